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
    protected float $readTimeout = self::READ_TIMEOUT;
    public float $asked = 0.0; // the moment of the last call
    public Node $node; // whose it is; nobody's while a sentinel is asked

    /**
     * The reply: text, whole number, null or an array of these, in which phpredis says false for null.
     *
     * @param list<string|int> $arguments
     *
     * @throws Failure an error reply, or, having closed itself, what became of the connection
     */
    abstract public function call(array $arguments): mixed;

    protected function refused(string $said): Failure
    {
        $failure = Failure::said($said);
        if ($failure->kind === Kind::Outage && str_starts_with($said, 'ERR max')) {
            $this->close(); // the server closes it, too, when it is full
        }
        return $failure;
    }

    /** The reply to come must not meet the next command. */
    protected function broken(\Throwable $error): Failure
    {
        $this->close();
        return Failure::broken($error, microtime(true) - $this->asked >= $this->readTimeout - 0.05);
    }

    /** What a signal's handler raises is no failure of the connection's: nobody asks again. */
    protected function interrupted(\Throwable $interrupt): \Throwable
    {
        $this->close();
        return $interrupt;
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

    abstract protected function disconnect(): void;
}
