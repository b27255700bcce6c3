<?php

declare(strict_types=1);

namespace Corral;

/** One connection of the package's own, used by one caller at a time, whichever client library made it. */
abstract class Link
{
    public const SLICE = 2.0; // seconds that a call is parked before it asks again
    public const READ_TIMEOUT = self::SLICE + 2.0;
    public const CONNECT_TIMEOUT = 4.0;

    public bool $usable = true;

    /**
     * The reply: text, whole number, null or an array of these.
     *
     * @param list<string|int> $arguments
     *
     * @throws Failure an error reply, or, having closed itself, what became of the connection
     */
    public function call(array $arguments): mixed
    {
        $began = microtime(true);
        try {
            return $this->exchange($arguments);
        } catch (Failure $failure) {
            if (!$failure->reply || $failure->kind === Kind::Outage && str_starts_with($failure->getMessage(), 'ERR max')) {
                $this->close(); // the server closes it, too, when it is full
            }
            throw $failure;
        } catch (\Throwable $error) {
            // The reply to come must not meet the next command.
            $this->close();
            throw Failure::broken($error, microtime(true) - $began >= $this->timeout() - 0.05);
        }
    }

    /** The server is to be known or not by then: for one that was out. */
    abstract public function hurry(float $readTimeout): void;

    public function close(): void
    {
        if ($this->usable) {
            $this->usable = false;
            $this->disconnect();
        }
    }

    /** @param list<string|int> $arguments */
    abstract protected function exchange(array $arguments): mixed;

    abstract protected function disconnect(): void;

    abstract protected function timeout(): float;
}
