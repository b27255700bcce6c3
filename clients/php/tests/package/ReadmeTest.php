<?php

declare(strict_types=1);

use PHPUnit\Framework\TestCase;

/** Every block of README.md is run as it stands, but for the server's address, where the package was installed. */
final class ReadmeTest extends TestCase
{
    private const PREPENDED = __DIR__ . '/../debian.php';

    /** @dataProvider blocks */
    public function testABlockRuns(string $block): void
    {
        server('FLUSHALL');
        $port = (string) parse_url(server_url(), PHP_URL_PORT);
        $program = dirname(getenv('CORRAL_AUTOLOAD'), 2) . '/block.php';
        file_put_contents($program, str_replace(['localhost:6379', "'localhost', 6379"], ["127.0.0.1:$port", "'127.0.0.1', $port"], $block));
        exec(sprintf('cd %s && %s -d display_errors=1 -d error_reporting=-1 -d auto_prepend_file=%s block.php 2>&1', escapeshellarg(dirname($program)), PHP_BINARY, escapeshellarg(self::PREPENDED)), $said, $status);
        unlink($program);
        $said = implode("\n", $said);
        $this->assertSame(0, $status, $said);
        $this->assertDoesNotMatchRegularExpression('/(Warning|Notice|Deprecated|Fatal error|corral):/', $said);
        preg_match_all('/^(?:\S.*)$/m', $said, $lines);
        $this->assertNotEmpty($lines[0], 'it says something');
    }

    public static function blocks(): array
    {
        preg_match_all('/^```php\n(.*?)^```$/ms', self::text(), $found);
        return array_map(fn ($block) => [$block], $found[1]);
    }

    public function testThereIsNoBlockThatNobodyRuns(): void
    {
        preg_match_all('/^```(\w+)$/m', self::text(), $found);
        $this->assertSame(['php', 'sh', 'text'], array_values(array_unique([...array_filter($found[1], fn ($w) => $w === 'php'), ...array_filter($found[1], fn ($w) => $w !== 'php')])));
        $this->assertCount(5, self::blocks());
    }

    public function testTheUserIsTheOneThatTheConformanceScenariosArePlayedWith(): void
    {
        preg_match('/^```text\n(.*?)\n```$/ms', self::text(), $found);
        $this->assertSame(trim(file_get_contents(getenv('CORRAL_ACL'))), $found[1]);
    }

    private static function text(): string
    {
        return file_get_contents(getenv('CORRAL_README'));
    }
}
