<?php

declare(strict_types=1);

namespace Corral;

/**
 * Refreshes behind an answer. In php-fpm (and FrankenPHP, LiteSpeed) they run when the response has been sent, in the
 * same worker. Elsewhere PHP has no "afterwards": the caller builds, and has the new value.
 *
 * @internal
 */
final class Refreshes
{
    private const MOST = 8; // each holds a connection, and has its lease for a build, not for a queue

    /** @var list<\Closure(): void> */
    private static array $jobs = [];
    private static bool $registered = false;

    /** False: there is no afterwards here. $release: is called in place of the job if there are enough, for whoever asks next. */
    public static function later(\Closure $job, \Closure $release): bool
    {
        if (self::finisher() === null) {
            return false;
        }
        if (count(self::$jobs) >= self::MOST) {
            $release();
            return true;
        }
        self::$jobs[] = $job;
        if (!self::$registered) {
            self::$registered = true;
            register_shutdown_function(self::run(...));
        }
        return true;
    }

    private static function run(): void
    {
        self::$registered = false;
        if (session_status() === PHP_SESSION_ACTIVE) {
            session_write_close(); // or the same visitor's next request waits for the build
        }
        (self::finisher())();
        while (($job = array_shift(self::$jobs)) !== null) {
            $job();
        }
    }

    private static function finisher(): ?string
    {
        foreach (['fastcgi_finish_request', 'frankenphp_finish_request', 'litespeed_finish_request'] as $name) {
            if (function_exists($name)) {
                return $name;
            }
        }
        return null;
    }
}
