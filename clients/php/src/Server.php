<?php

declare(strict_types=1);

namespace Corral;

/** One request to whoever has the key, and what comes of each error that it may meet. */
final class Server
{
    private const ATTEMPTS_TO_TELL = 3;
    /** What every user needs: command, and arguments that are refused after the ACL was asked and before anything is done. */
    private const PROBES = [
        'cache.getorlock' => ['CORRAL'], 'cache.fill' => ['x', ''], 'cache.fail' => ['x', ''], 'cache.release' => ['x'],
        'cache.pass' => ['x'], 'cache.get' => [],
    ];

    public readonly Topology $topology;

    public function __construct(Servers $servers)
    {
        $this->topology = new Topology($servers);
    }

    /**
     * Sends it to the key's master: the reply, and the connection, to be kept or given back. Raises Unavailable for an
     * outage; NoPermission and ModuleMissing always.
     *
     * @param list<string|int>   $words
     * @param ?array{mixed, Link} $met  a reply, or a Failure, that the first attempt has met already
     *
     * @return array{mixed, Link}
     */
    public function reach(string $key, array $words, float $deadline, ?array $met = null): array
    {
        $lost = false;
        $asking = $made = null;
        while (true) {
            if ($met !== null) {
                [$reply, $link] = $met;
                $node = $link->node;
            } else {
                $node = $asking ?? $this->topology->node($key);
                // Who has a connection does not ask whether the server is out: the connection says it.
                $link = $node->idle() ?? $made = $this->take($node);
            }
            try {
                if ($met !== null) {
                    $met = null;
                    return $reply instanceof Failure ? throw $reply : [$reply, $link];
                }
                if ($asking !== null) {
                    $link->call(['ASKING']);
                }
                $reply = $link->call($words);
            } catch (Failure $failure) {
                $asking = null;
                if ($failure->kind === Kind::Lost && !$lost) {
                    // A server that restarted, or closed what was idle: everything else that is idle is as old.
                    $lost = true;
                    $node->dropIdle();
                    continue;
                }
                if (in_array($failure->kind, [Kind::Lost, Kind::Outage], true)) {
                    $link->close();
                    $node->dropIdle();
                    $this->refreshed();
                    throw $this->out($node, $failure);
                }
                $node->give($link);
                $this->refuse($node, $failure);
                if (microtime(true) >= $deadline) {
                    throw new WaitTimeout("$key: {$node->name} said to ask again until `wait` was over: {$failure->getMessage()}", 0, $failure);
                }
                if ($failure->kind === Kind::Moved) {
                    $asking = $this->another($failure);
                }
                if ($asking === null) {
                    self::pause(0.02, 0.1);
                }
                $words = Leases::within($deadline, $words);
                continue;
            }
            if ($made !== null) {
                $node->outage->end();
            }
            return [$reply, $link];
        }
    }

    /** @param string|int ...$arguments */
    public function command(string $name, string $key, string|int ...$arguments): mixed
    {
        [$reply, $link] = $this->reach($key, [$name, $key, ...array_values($arguments)], microtime(true) + 5.0);
        $link->node->give($link);
        return $reply;
    }

    /**
     * CACHE.GET of each: the bytes of those that are fresh.
     *
     * @param list<string> $keys
     *
     * @return array<string, string>
     */
    public function readFresh(array $keys): array
    {
        $replies = null;
        if (count($keys) > 1 && !$this->topology->isCluster()) { // keys of one command must be of one slot
            try {
                $replies = array_combine($keys, $this->command('CACHE.MGET', ...$keys));
            } catch (ModuleMissing) {
                // the first version of the module: one by one
            }
        }
        $replies ??= array_combine($keys, array_map(fn (string $key) => $this->command('CACHE.GET', $key), $keys));
        return array_map(fn (array $reply) => (string) $reply[1], array_filter($replies, fn (array $reply) => $reply[0] === 'HIT'));
    }

    public function features(string $key): Features
    {
        $node = $this->topology->node($key);
        $link = $this->take($node);
        $missing = [];
        foreach (self::PROBES as $name => $arguments) {
            $kind = $this->kindOf($link, [$name, $key, ...$arguments], $said);
            if ($kind === Kind::Missing) {
                throw new ModuleMissing($node->name);
            }
            // "… no permissions to run the 'cache.fill' command". A refused key is told when it is used.
            if ($kind === Kind::Denied && preg_match("/run the '?cache/i", $said)) {
                $missing[] = $name;
            }
        }
        $told = [];
        $kind = $this->kindOf($link, ['CACHE.VERSION'], $said, $told);
        if ($link->usable) {
            $node->give($link);
        }
        if ($kind === Kind::Denied) {
            return new Features('unknown: the user may not run cache.version', [], [...$missing, 'cache.version']);
        }
        if ($kind !== null) {
            return new Features('of the first version', [], $missing);
        }
        $fields = [];
        for ($index = 0; $index + 1 < count($told); $index += 2) {
            $fields[(string) $told[$index]] = $told[$index + 1];
        }
        $words = array_map('strtolower', [...($fields['commands'] ?? []), ...($fields['options'] ?? [])]);
        return new Features((string) ($fields['version'] ?? '?'), $words, $missing);
    }

    /** @param list<string> $keys */
    public function invalidate(array $keys): void
    {
        // In a cluster one by one: keys of one command must be of one slot.
        $groups = $this->topology->isCluster() ? array_map(fn ($key) => [$key], $keys) : array_filter([$keys]);
        $this->tell(array_map(fn ($group) => ['CACHE.INVALIDATE', ...$group], $groups));
    }

    public function outdate(string $key, int $version): void
    {
        try {
            $this->tell([['CACHE.OUTDATE', $key, $version]]);
        } catch (ModuleMissing $missing) {
            throw new Unsupported("the server's module has no CACHE.OUTDATE", 0, $missing);
        }
    }

    /** @param list<string> $tags */
    public function invalidateTags(array $tags, ?float $swr): void
    {
        $this->everywhere(['CACHE.INVALIDATETAG', count($tags), ...$tags, ...($swr === null ? [] : ['SWR', (int) round($swr * 1000)])]);
    }

    /**
     * To every master of a freshly read topology; again to those that did not answer.
     *
     * @param list<string|int> $command
     */
    public function everywhere(array $command): void
    {
        $done = $failed = [];
        for ($attempt = 0; $attempt < self::ATTEMPTS_TO_TELL; ++$attempt) {
            if ($attempt > 0) {
                self::pause(0.1, 0.2);
            }
            try {
                $masters = $this->topology->masters();
            } catch (Unavailable $error) {
                $failed = ['every node' => $error];
                continue;
            }
            $failed = [];
            foreach ($masters as $node) {
                if (isset($done[$node->name])) {
                    continue;
                }
                try {
                    $link = $node->take();
                    $link->call($command);
                    $node->give($link);
                    $done[$node->name] = true;
                } catch (Failure $failure) {
                    if ($failure->kind === Kind::Missing) {
                        throw new Unsupported("{$node->name}: the server's module has no {$command[0]}", 0, $failure);
                    }
                    $this->refuse($node, $failure);
                    $node->dropIdle();
                    $failed[$node->name] = $failure;
                }
            }
            if ($failed === []) {
                return;
            }
        }
        throw new NotAllAnswered($failed);
    }

    /** What is an error for every caller, whatever it prefers. */
    public function refuse(Node $node, Failure $failure): void
    {
        match ($failure->kind) {
            Kind::Denied => throw new NoPermission("{$node->name}: {$failure->getMessage()}", 0, $failure),
            Kind::Missing => throw new ModuleMissing($node->name, $failure),
            Kind::Other => throw new CorralError("{$node->name}: {$failure->getMessage()}", 0, $failure),
            default => null,
        };
    }

    private function take(Node $node): Link
    {
        $out = $node->outage->error();
        if ($out !== null && !$this->answersAgain($node)) {
            throw new Unavailable("{$node->name} is out: $out");
        }
        try {
            return $node->take();
        } catch (Failure $failure) {
            $this->refuse($node, $failure);
            $node->dropIdle();
            $this->refreshed();
            throw $this->out($node, $failure);
        }
    }

    private function answersAgain(Node $node): bool
    {
        if (!$node->outage->isDue()) {
            return false;
        }
        if ($node->answers()) {
            return true;
        }
        $this->refreshed(); // a replica may have taken its place meanwhile
        return false;
    }

    public function out(Node $node, Failure $failure): Unavailable
    {
        $node->outage->begin($failure->getMessage());
        return new Unavailable("{$node->name}: {$failure->getMessage()}", 0, $failure->getPrevious() ?? $failure);
    }

    /** After MOVED the topology is read anew and asked; ASK names the node for this one call. */
    private function another(Failure $failure): ?Node
    {
        if (preg_match('/^ASK \d+ (\S+):(\d+)/', $failure->getMessage(), $parts) === 1) {
            return $this->topology->at($parts[1], (int) $parts[2]);
        }
        $this->refreshed();
        return null;
    }

    private function refreshed(): void
    {
        try {
            $this->topology->refresh();
        } catch (Unavailable) {
            // what is known stays; the caller has an error of its own
        }
    }

    private function kindOf(Link $link, array $arguments, ?string &$said = null, mixed &$reply = null): ?Kind
    {
        try {
            $reply = $link->call($arguments);
            return null;
        } catch (Failure $failure) {
            if (in_array($failure->kind, [Kind::Lost, Kind::Outage], true)) {
                throw new Unavailable($failure->getMessage(), 0, $failure);
            }
            $said = $failure->getMessage();
            return $failure->kind;
        }
    }

    /**
     * Tells each key's master, and those that did not answer again: what is lost here is an old value for ever. A node that
     * did not take one key is not waited for with each of the others.
     *
     * @param list<list<string|int>> $commands the key is the second word
     */
    private function tell(array $commands): void
    {
        $failed = [];
        foreach ($commands as $command) {
            for ($attempt = 1; ; ++$attempt) {
                try {
                    $this->command(...$command);
                    break;
                } catch (Unavailable $error) {
                    $node = $this->master($command[1]);
                    $where = $node === null ? "the master of {$command[1]}" : $node->name;
                    if (isset($failed[$where]) || $attempt === self::ATTEMPTS_TO_TELL) {
                        $failed[$where] = $error;
                        break;
                    }
                    self::pause(0.1, 0.2);
                    $this->refreshed();
                    if ($node?->answers()) { // it may be back before its pause is over
                        $node->outage->end();
                    }
                }
            }
        }
        if ($failed !== []) {
            throw new NotAllAnswered($failed);
        }
    }

    /** Null: nobody says who that is. */
    private function master(string $key): ?Node
    {
        try {
            return $this->topology->node($key);
        } catch (Unavailable) {
            return null;
        }
    }

    public static function pause(float $least, float $most): void
    {
        usleep(random_int((int) ($least * 1e6), (int) max($least * 1e6, $most * 1e6)));
    }
}
