<?php

declare(strict_types=1);

namespace Corral;

/** Which node has a key, and which nodes are masters. */
final class Topology
{
    /** @var array<string, Node> */
    private array $nodes = [];
    /** @var list<array{int, int, Node}> first and last slot */
    private array $ranges = [];
    private ?Node $master = null;

    public function __construct(private readonly Servers $servers)
    {
    }

    public function isCluster(): bool
    {
        return $this->servers->cluster;
    }

    public function at(string $host, int $port): Node
    {
        return $this->nodes["$host:$port"] ??= new Node($this->servers, $host, $port);
    }

    public function node(string $key): Node
    {
        if (!$this->servers->cluster) {
            return $this->master ??= $this->at(...($this->servers->service === null ? $this->servers->addresses[0] : $this->servers->master()));
        }
        $slot = self::slot($key);
        for ($attempt = 0; $attempt < 2; ++$attempt) {
            foreach ($this->ranges as [$first, $last, $node]) {
                if ($first <= $slot && $slot <= $last) {
                    return $node;
                }
            }
            if ($attempt === 0) {
                $this->refresh();
            }
        }
        throw new Unavailable("slot $slot of the cluster is served by nobody");
    }

    /** @return list<Node> as they are now */
    public function masters(): array
    {
        $this->refresh();
        if (!$this->servers->cluster) {
            return [$this->node('')];
        }
        $masters = [];
        foreach ($this->ranges as [, , $node]) {
            $masters[$node->name] = $node;
        }
        return array_values($masters);
    }

    /** Asks whoever answers, those known to be well first. */
    public function refresh(): void
    {
        if ($this->servers->service !== null) {
            $this->master = $this->at(...$this->servers->master());
            return;
        }
        if (!$this->servers->cluster) {
            return;
        }
        $known = array_map(fn (array $range) => $range[2], $this->ranges);
        foreach ($this->servers->addresses as [$host, $port]) {
            $known[] = $this->at($host, $port);
        }
        $asked = [];
        foreach ($known as $node) {
            $asked[$node->name] = $node;
        }
        uasort($asked, fn (Node $a, Node $b) => ($a->outage->error() !== null) <=> ($b->outage->error() !== null));
        $why = null;
        foreach ($asked as $node) {
            try {
                $link = $node->take();
                $rows = $link->call(['CLUSTER', 'SLOTS']);
                $node->give($link);
            } catch (Failure $failure) {
                if ($failure->kind === Kind::Denied) {
                    throw new NoPermission("{$node->name}: {$failure->getMessage()}", 0, $failure);
                }
                $why = $failure;
                continue;
            }
            $this->ranges = array_map(
                fn (array $row) => [(int) $row[0], (int) $row[1], $this->at((string) ($row[2][0] ?: $node->host), (int) $row[2][1])],
                $rows,
            );
            return;
        }
        throw new Unavailable('no node of the cluster answers: ' . ($why?->getMessage() ?? 'none is known'), 0, $why);
    }

    /** CRC-16/XMODEM of the key, or of what is between its first braces. */
    public static function slot(string $key): int
    {
        $open = strpos($key, '{');
        if ($open !== false && ($close = strpos($key, '}', $open)) !== false && $close > $open + 1) {
            $key = substr($key, $open + 1, $close - $open - 1);
        }
        $crc = 0;
        for ($index = 0, $length = strlen($key); $index < $length; ++$index) {
            $crc ^= ord($key[$index]) << 8;
            for ($bit = 0; $bit < 8; ++$bit) {
                $crc = ($crc & 0x8000) ? (($crc << 1) ^ 0x1021) & 0xFFFF : ($crc << 1) & 0xFFFF;
            }
        }
        return $crc % 16384;
    }

    /** Connections and their node name each other, and PHP looks for such circles late. */
    public function __destruct()
    {
        $this->close();
    }

    public function close(): void
    {
        foreach ($this->nodes as $node) {
            $node->dropIdle();
        }
    }
}
