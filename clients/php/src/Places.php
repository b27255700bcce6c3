<?php

declare(strict_types=1);

namespace Corral;

/**
 * Places for builds while the server is gone: so many at once among all PHP processes of this machine and user, by
 * locked files, which the system unlocks when a process ends, however it does.
 */
final class Places
{
    /** @var resource|null */
    private $file = null;

    public function __construct(private readonly int $count)
    {
    }

    /** Whether there was one within so many seconds. A nested build shares its outer one's. */
    public function enter(float $seconds): bool
    {
        $deadline = microtime(true) + $seconds;
        do {
            $first = random_int(0, $this->count - 1);
            for ($number = 0; $number < $this->count; ++$number) {
                $path = sprintf('%s/corral-%d-%d.lock', sys_get_temp_dir(), function_exists('posix_geteuid') ? posix_geteuid() : 0, ($first + $number) % $this->count);
                $file = @fopen($path, 'c');
                if ($file === false) {
                    return true; // nowhere to write: better builds without a limit than none
                }
                if (flock($file, LOCK_EX | LOCK_NB)) {
                    $this->file = $file;
                    return true;
                }
                fclose($file);
            }
            Server::pause(0.01, 0.05);
        } while (microtime(true) < $deadline);
        return false;
    }

    public function leave(): void
    {
        if ($this->file !== null) {
            fclose($this->file);
            $this->file = null;
        }
    }
}
