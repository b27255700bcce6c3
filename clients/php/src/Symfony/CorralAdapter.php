<?php

declare(strict_types=1);

namespace Corral\Symfony;

use Corral\Call;
use Corral\Claim;
use Corral\Corral;
use Corral\Refreshes;
use Corral\Usage;
use Psr\Log\LoggerInterface;
use Symfony\Component\Cache\Adapter\AbstractAdapter;
use Symfony\Component\Cache\Marshaller\DefaultMarshaller;
use Symfony\Component\Cache\Marshaller\MarshallerInterface;
use Symfony\Contracts\Cache\CacheInterface;
use Symfony\Contracts\Cache\ItemInterface;

/**
 * A pool of Symfony Cache whose `get($key, $callback)` builds once over all processes and machines. `getItem` and `save`
 * promise nothing of the kind: nobody knows there who will build.
 */
final class CorralAdapter extends AbstractAdapter
{
    private readonly MarshallerInterface $marshaller;
    private readonly string $tag; // of all entries of this namespace, for clear()
    /** @var array<string, Claim> what this process is building */
    private array $claims = [];
    /** @var array<string, string> what an answer brought, for the getItem that unpacks it */
    private array $brought = [];

    /** @param array<string, mixed> $options of Corral's calls: swr, sie, jitter, wait, lease, group, backoff, onTimeout */
    public function __construct(
        private readonly Corral $corral,
        string $namespace = '',
        int $defaultLifetime = 0,
        private readonly array $options = [],
        ?MarshallerInterface $marshaller = null,
    ) {
        parent::__construct($namespace, $defaultLifetime);
        (new Call())->but($options); // what is wrong is said now
        if (array_intersect_key($options, ['ttl' => 0, 'tags' => 0, 'version' => 0]) !== []) {
            throw new Usage("an item's lifetime and tags are said to Symfony: no option ttl, tags or version");
        }
        $this->marshaller = $marshaller ?? new DefaultMarshaller();
        $this->tag = 'symfony:' . ($namespace === '' ? '' : $namespace . static::NS_SEPARATOR);
        $this->setCallbackWrapper($this->wrapper());
    }

    /** For a pool around this one that has a `get` of its own: `$tagAware->setCallbackWrapper($adapter->wrapper())`. */
    public function wrapper(): \Closure
    {
        return $this->compute(...);
    }

    private function compute(callable $callback, ItemInterface $item, bool &$save, CacheInterface $pool, \Closure $setMetadata, ?LoggerInterface $logger = null): mixed
    {
        $id = $this->getId($item->getKey());
        $claim = $this->corral->claim($id, $this->options, $item->isHit() ? ['FORCE'] : []); // a hit: chance renews it early
        $found = $this->found($id, $claim?->bytes, $item, $pool);
        if ($claim !== null && !$claim->isMine() && !$claim->private && $found === null) {
            // Fresh for the server, but a pool around this one knows better: its tags are of old.
            $claim = $this->corral->claim($id, $this->options, ['FORCE', 'NOSTALE']);
            $found = $this->found($id, $claim?->bytes, $item, $pool);
            if ($found !== null) {
                $claim?->release(); // somebody has just built it
            }
        } elseif ($claim !== null && $claim->isMine() && $found !== null) {
            if ($item->isHit() && $this->isAnother($found, $item)) {
                $claim->release(); // somebody has renewed it since it was read
                $save = false;
                return $found->get();
            }
            if (Refreshes::later(fn () => $this->buildBehind($id, $claim, $callback, $item, $pool, $setMetadata), $claim->release(...))) {
                $save = false;
                return $found->get();
            }
            $found = null;
        }
        if ($found !== null) {
            $save = false;
            return $found->get();
        }
        if ($claim?->isMine()) {
            return $this->build($id, $claim, $callback, $item, $pool, $save);
        }
        $build = function () use ($callback, $item, &$save): mixed {
            return $callback($item, $save);
        };
        $value = $claim === null ? $this->corral->withoutServer($id, $build, $this->options) : $build(); // or it is not to be shared
        $save = false;
        return $value;
    }

    private function isAnother(ItemInterface $found, ItemInterface $item): bool
    {
        return serialize([$found->get(), $found->getMetadata()]) !== serialize([$item->get(), $item->getMetadata()]);
    }

    private function buildBehind(string $id, Claim $claim, callable $callback, ItemInterface $item, CacheInterface $pool, \Closure $setMetadata): void
    {
        if ($claim->isOver()) {
            $claim->release();
            return;
        }
        try {
            $save = true;
            $item->set($this->build($id, $claim, $callback, $item, $pool, $save));
            $setMetadata($item);
            if ($save) {
                $pool->save($item);
            }
        } catch (\Throwable $error) {
            $this->corral->settings()->log('error', "refreshing $id failed", $error);
        }
    }

    /** Symfony saves what it returns: doSave finds the claim. */
    private function build(string $id, Claim $claim, callable $callback, ItemInterface $item, CacheInterface $pool, bool &$save): mixed
    {
        $this->claims[$id] = $claim;
        try {
            $value = $callback($item, $save);
        } catch (\Throwable $error) {
            unset($this->claims[$id]);
            $old = $this->found($id, $claim->fail($error), $item, $pool) ?? throw $error;
            $this->corral->settings()->log('error', "the build of $id failed, and its old value is served", $error);
            $save = false;
            return $old->get();
        }
        if (!$save) {
            unset($this->claims[$id]);
            $claim->pass();
        }
        return $value;
    }

    /** What the answer brought, if the pool takes it for a hit. */
    private function found(string $id, ?string $bytes, ItemInterface $item, CacheInterface $pool): ?ItemInterface
    {
        if ($bytes === null) {
            return null;
        }
        $this->brought[$id] = $bytes;
        try {
            $found = $pool->getItem($item->getKey());
            return $found->isHit() ? $found : null;
        } finally {
            unset($this->brought[$id]);
        }
    }

    protected function doFetch(array $ids): iterable
    {
        $found = array_intersect_key($this->brought, array_flip($ids));
        $asked = array_values(array_diff($ids, array_keys($found)));
        foreach ($asked === [] ? $found : $found + $this->corral->server()->readFresh($asked) as $id => $bytes) {
            yield (string) $id => $this->marshaller->unmarshall($bytes);
        }
    }

    protected function doHave(string $id): bool
    {
        return $this->corral->server()->readFresh([$id]) !== [];
    }

    protected function doClear(string $namespace): bool
    {
        if ('symfony:' . $namespace !== $this->tag) {
            return false; // a part of a namespace: nothing lists keys
        }
        $this->corral->invalidateTags($this->tag, swr: 0);
        return true;
    }

    protected function doDelete(array $ids): bool
    {
        foreach ($ids as $id) {
            ($this->claims[$id] ?? null)?->pass(); // built, and said to be over already: not to be shared
            unset($this->claims[$id]);
            $this->corral->server()->command('DEL', $id);
        }
        return true;
    }

    protected function doSave(array $values, int $lifetime): array|bool
    {
        $marshalled = $this->marshaller->marshall($values, $failed);
        foreach ($failed as $id) {
            ($this->claims[$id] ?? null)?->fail(new \UnexpectedValueException('the value cannot be serialized'));
            unset($this->claims[$id]);
        }
        $windows = array_intersect_key($this->options, ['swr' => 0, 'sie' => 0, 'jitter' => 0]);
        $options = (new Call())->but(['ttl' => $lifetime > 0 ? $lifetime : null, 'tags' => [$this->tag]] + $windows);
        foreach ($marshalled as $id => $bytes) {
            $id = (string) $id;
            if (isset($this->claims[$id])) {
                $claim = $this->claims[$id];
                unset($this->claims[$id]);
                $claim->fill($bytes, $options); // not taken: invalidated meanwhile, which is no failure
            } else {
                $this->corral->server()->command('CACHE.SET', $id, $bytes, ...$options->fillOptions($bytes));
            }
        }
        return $failed ?: true;
    }
}
