<?php

declare(strict_types=1);

namespace Corral;

/** An error that a Link met: an error reply of the server's (`reply`), or a connection that is of no use any more. */
final class Failure extends \RuntimeException
{
    private function __construct(public readonly Kind $kind, public readonly bool $reply, string $message, ?\Throwable $cause = null)
    {
        parent::__construct($message, 0, $cause);
    }

    public static function said(string $error): self
    {
        return new self(Kind::ofReply($error), true, $error);
    }

    /** Both clients have one exception for a connection that was closed and for one that says nothing. */
    public static function broken(\Throwable $cause, bool $timedOut): self
    {
        $said = $cause->getMessage() !== '' ? $cause->getMessage() : get_class($cause);
        return new self($timedOut ? Kind::Outage : Kind::Lost, false, $timedOut ? "no answer in time ($said)" : $said, $cause);
    }

    public static function unreachable(\Throwable $cause): self
    {
        return new self(Kind::Outage, false, $cause->getMessage(), $cause);
    }
}
