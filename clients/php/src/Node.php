<?php

declare(strict_types=1);

namespace Corral;

/** One server: its idle connections, and whether it is out. */
final class Node
{
    private const KEPT_IDLE = 8;

    public readonly string $name;
    public readonly Outage $outage;
    /** @var list<Link> */
    private array $idle = [];
    private int $process;

    public function __construct(private readonly Servers $servers, public readonly string $host, public readonly int $port)
    {
        $this->name = $port === 0 ? $host : "$host:$port";
        $this->outage = new Outage($this->name);
        $this->process = (int) getmypid();
    }

    /** The last one given back, which is the least likely to have been closed meanwhile. */
    public function idle(): ?Link
    {
        if ($this->process !== getmypid()) {
            $this->process = (int) getmypid(); // a child that was forked: the sockets are its parent's
            $this->dropIdle();
        }
        return array_pop($this->idle);
    }

    /** @throws Failure */
    public function take(): Link
    {
        return $this->idle() ?? $this->opened();
    }

    /** @throws Failure */
    private function opened(float $timeout = Link::CONNECT_TIMEOUT): Link
    {
        $link = $this->servers->open($this->host, $this->port, $timeout);
        $link->node = $this;
        return $link;
    }

    public function give(Link $link): void
    {
        if ($link->usable && count($this->idle) < self::KEPT_IDLE) {
            $this->idle[] = $link;
        } else {
            $link->close();
        }
    }

    public function dropIdle(): void
    {
        foreach ($this->idle as $link) {
            $link->close();
        }
        $this->idle = [];
    }

    /** Whether a server that was out answers again; asked with little patience, for a caller waits for it. */
    public function answers(): bool
    {
        try {
            $link = $this->opened(0.5);
            $link->call(['PING']);
            $link->hurry(Link::READ_TIMEOUT);
            $this->give($link);
        } catch (Failure $failure) {
            if (in_array($failure->kind, [Kind::Lost, Kind::Outage], true)) {
                $this->outage->begin($failure->getMessage());
                return false;
            }
        }
        return true;
    }
}
