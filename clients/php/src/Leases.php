<?php

declare(strict_types=1);

namespace Corral;

/** Asking for a key, and what a holder owes: one verdict at the end. Nothing renews a lease meanwhile: PHP is busy. */
final class Leases
{
    private const MESSAGE_BYTES = 1024; // what FAIL takes
    public const WAIT_WORTH_TELLING = 0.01; // the same in every package: what is shorter may be a busy machine's

    public function __construct(private readonly Server $server, private readonly Settings $settings)
    {
    }

    /**
     * One GETORLOCK for a hit. The connection that asks is the one that is parked, and the one that holds the lease.
     *
     * @param list<string>        $force words for who wants it built although it is fresh
     * @param ?array{mixed, Link} $met   the reply, or the Failure, that the first attempt has met already
     *
     * @return array{string, mixed, int, ?Lease} state, value, number, and with LOCK and REFRESH the lease
     */
    public function ask(string $key, Call $o, float $deadline, array $force = [], ?array $met = null): array
    {
        $began = $asked = $deadline - $o->wait;
        $words = ['CACHE.GETORLOCK', $key, ...$force, ...$o->asking()];
        while (true) {
            try {
                [$reply, $link] = $this->server->reach($key, $words, $deadline, $met);
            } catch (CorralError $error) {
                throw $this->tooOld($error, $key, $o->group === null ? [] : ['cache.getorlock group']) ?? $error;
            }
            $state = is_array($reply) && count($reply) === 3 ? $reply[0] : null;
            if ($state === 'LOCK' || $state === 'REFRESH') {
                return [...$reply, new Lease($key, $reply[2], $link, microtime(true) + $o->lease)];
            }
            if ($state !== 'HIT' && !in_array($state, ['STALE', 'WAIT', 'PASS', 'FAIL'], true)) {
                $link->close(); // should it be a grant, the tie ends it
                throw new UnknownAnswer('CACHE.GETORLOCK answered ' . var_export($reply, true) . ', which this version does not know');
            }
            $link->node->give($link);
            $now = microtime(true);
            if ($state !== 'WAIT' || $now >= $deadline) {
                if ($now - $began > self::WAIT_WORTH_TELLING) {
                    $this->settings->tell('waited', $key, $now - $began);
                }
                $reply[] = null;
                return $reply;
            }
            if ($now - $asked < 0.02) { // nobody is parked there just now
                Server::pause(0.02, min(0.1, max(0.02, $deadline - $now)));
            }
            $asked = microtime(true);
            $met = null;
            $words = self::within($deadline, $words);
        }
    }

    /**
     * What is asked again, parked no longer than there is patience left.
     *
     * @param list<string|int> $words
     *
     * @return list<string|int>
     */
    public static function within(float $deadline, array $words): array
    {
        if ($words[0] === 'CACHE.GETORLOCK') {
            $words[array_key_last($words)] = Call::milliseconds(min(Link::SLICE, $deadline - microtime(true)));
        }
        return $words;
    }

    /**
     * Speaks the verdict over the held connection, or once over another. Whoever built has the value in any case, so
     * nothing is raised but a missing right, and a module too old for what was asked for.
     */
    public function conclude(Lease $lease, string $command, string|int ...$arguments): mixed
    {
        if (!$lease->isMine()) {
            return null;
        }
        $lease->ended = true;
        $reply = $this->speak($lease, $command, array_values($arguments), $told);
        if ($reply === null && !$told && $command === 'CACHE.FILL') {
            $this->settings->tell('not_stored', $lease->key); // invalidated meanwhile, or somebody took over
        }
        return $reply;
    }

    /** @param list<string|int> $arguments */
    private function speak(Lease $lease, string $command, array $arguments, ?bool &$told): mixed
    {
        $told = false;
        try {
            if ($lease->link->usable) {
                try {
                    $reply = $lease->link->call([$command, $lease->key, $lease->token, ...$arguments]);
                    $lease->link->node->give($lease->link);
                    return $reply;
                } catch (Failure $failure) {
                    $this->afterRefusal($lease, $command, $failure);
                }
            }
            return $this->server->command($command, $lease->key, $lease->token, ...$arguments);
        } catch (NoPermission | Unsupported $error) {
            throw $error;
        } catch (CorralError | Failure $error) {
            if ($command === 'CACHE.FILL') {
                $needed = array_filter(['TAGS' => 'cache.fill tags', 'VERSION' => 'cache.fill version'], fn ($word) => in_array($word, $arguments, true), ARRAY_FILTER_USE_KEY);
                $old = $this->tooOld($error, $lease->key, array_values($needed));
                if ($old !== null) {
                    throw $old;
                }
            }
            $this->settings->log('warning', "$command {$lease->key} was not taken: {$error->getMessage()}");
            $this->settings->tell('not_stored', $lease->key, null, $error);
            $told = true;
            return null;
        }
    }

    /** Returns if another connection may fare better. */
    private function afterRefusal(Lease $lease, string $command, Failure $failure): void
    {
        $link = $lease->link;
        $answered = $link->usable;
        if ($answered && $failure->kind === Kind::Other && $command !== 'CACHE.RELEASE') {
            // Refused as it stands (a tag, a time that is too long), and so would be what every next builder brings.
            try {
                $link->call(['CACHE.FAIL', $lease->key, $lease->token, $this->message($failure)]);
            } catch (Failure) {
                // the tie ends it
            }
        }
        $link->close(); // should the lease still be live, the tie ends it
        if ($failure->kind === Kind::Denied) {
            throw new NoPermission("{$link->node->name}: {$failure->getMessage()}", 0, $failure);
        }
        if (!$answered && $failure->kind === Kind::Outage) {
            throw $this->server->out($link->node, $failure); // a server that hangs costs a read time-out, and not another
        }
        if ($answered && !in_array($failure->kind, [Kind::Moved, Kind::Again], true)) {
            throw $failure;
        }
    }

    /** A syntax error may be an option that the server's module does not know yet. It is not asked before: most never see one. */
    private function tooOld(CorralError|Failure $error, string $key, array $needed): ?Unsupported
    {
        $failure = $error instanceof Failure ? $error : $error->getPrevious();
        if ($needed === [] || !$failure instanceof Failure || $failure->kind !== Kind::Other) {
            return null;
        }
        $features = $this->server->features($key);
        foreach ($needed as $word) {
            if (!$features->has($word)) {
                return new Unsupported("the server's module (version {$features->version}) has no " . strtoupper($word), 0, $error);
            }
        }
        return null;
    }

    /** A build's exception as a message for everybody, in UTF-8 as every language's are. */
    public function message(\Throwable $error): string
    {
        $name = strtok((new \ReflectionClass($error))->getShortName(), "\0"); // after which an anonymous class names its file
        try {
            $said = $this->settings->errorText ? $error->getMessage() : '';
        } catch (\Throwable) {
            $said = '(not to be printed)'; // `$this->message` of an exception may be anything
        }
        $text = $said === '' ? $name : "$name: $said";
        if (preg_match('//u', $text) !== 1) {
            $text = (string) json_decode((string) json_encode($text, JSON_INVALID_UTF8_SUBSTITUTE));
        }
        // Cut between characters: what is left of one at the end is removed.
        return strlen($text) <= self::MESSAGE_BYTES ? $text : preg_replace('/[\xC0-\xFF][\x80-\xBF]*$/', '', substr($text, 0, self::MESSAGE_BYTES));
    }
}
