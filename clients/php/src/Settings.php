<?php

declare(strict_types=1);

namespace Corral;

/** What an object may say, besides the defaults of its calls. */
final class Settings
{
    private const NAMES = ['serializer', 'degrade', 'degradeLimit', 'background', 'onEvent', 'errorText', 'logger'];

    public readonly Serializer $serializer;
    public readonly ?\Closure $background;
    private readonly ?\Closure $onEvent;
    public readonly bool $hears; // whether there is anybody to be told of a hit

    /**
     * @param bool|string $degrade      true: build here while the server is gone; or 'raise'
     * @param int         $degradeLimit builds at once meanwhile, on this machine
     * @param ?callable   $background   takes a function without arguments and has it run elsewhere
     * @param ?callable   $onEvent      takes an Event
     * @param bool        $errorText    false: other processes are told a failed build's class only
     * @param ?object     $logger       PSR-3; default error_log()
     */
    private function __construct(
        string|Serializer $serializer = 'json',
        public readonly bool|string $degrade = true,
        public readonly int $degradeLimit = 8,
        ?callable $background = null,
        ?callable $onEvent = null,
        public readonly bool $errorText = true,
        private readonly ?object $logger = null,
    ) {
        $this->background = $background === null ? null : $background(...);
        $this->onEvent = $onEvent === null ? null : $onEvent(...);
        $this->hears = $onEvent !== null;
        $this->serializer = match (true) {
            $serializer instanceof Serializer => $serializer,
            $serializer === 'json' => new Serializers\Json(),
            $serializer === 'bytes' => new Serializers\Bytes(),
            $serializer === 'php' => new Serializers\Native(),
            default => throw new Usage("serializer takes 'json', 'bytes', 'php' or a Corral\\Serializer, not '$serializer'"),
        };
        if ($degrade !== true && $degrade !== 'raise') {
            throw new Usage("degrade takes true or 'raise'");
        }
        if ($degradeLimit < 1) {
            throw new Usage("degradeLimit takes 1 and more, not $degradeLimit");
        }
    }

    /**
     * @param array<string, mixed> $options
     *
     * @return array{self, Call}
     */
    public static function split(array $options): array
    {
        $own = array_intersect_key($options, array_flip(self::NAMES));
        try {
            return [new self(...$own), (new Call())->but(array_diff_key($options, $own))];
        } catch (\TypeError $error) {
            throw new Usage($error->getMessage(), 0, $error);
        }
    }

    public function tell(string $name, string $key, ?float $seconds = null, ?\Throwable $error = null): void
    {
        if ($this->onEvent === null) {
            return;
        }
        try {
            ($this->onEvent)(new Event($name, $key, $seconds, $error));
        } catch (\Throwable $raised) {
            $this->log('error', 'onEvent raised', $raised);
        }
    }

    /** No build fails because its log is full, or its error cannot be printed. */
    public function log(string $level, string $message, ?\Throwable $error = null): void
    {
        try {
            if ($this->logger !== null) {
                $this->logger->$level($message, $error === null ? [] : ['exception' => $error]);
            } else {
                error_log("corral: $message" . ($error === null ? '' : "\n$error"));
            }
        } catch (\Throwable $raised) {
            error_log("corral: $message (and to log it raised " . get_debug_type($raised) . ')');
        }
    }
}
