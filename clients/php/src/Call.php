<?php

declare(strict_types=1);

namespace Corral;

/** What a call may say, and an object as the default of its calls. All times are seconds, or a DateInterval. */
final class Call
{
    public const NAMES = ['ttl', 'swr', 'sie', 'jitter', 'tags', 'version', 'group', 'wait', 'lease', 'backoff', 'onTimeout'];

    public mixed $ttl = null;         // fresh so long; null is for ever. Like tags and version also a function of the value
    public float $swr = 0.0;          // served so long past ttl while somebody rebuilds
    public float $sie = 0.0;          // served so long past ttl while rebuilds fail
    public int $jitter = 0;           // percent by which chance may shorten ttl
    public mixed $tags = [];
    public mixed $version = null;
    public ?string $group = null;
    public float $wait = 10.0;        // patience for somebody else's build
    public float $lease = 30.0;       // the longest build: nothing can renew it while PHP is busy building
    public ?float $backoff = null;    // after a failed build; null is the server's default
    public string $onTimeout = 'raise'; // or 'build': for oneself, not stored

    /** @var ?list<string> */
    private ?array $asking = null;

    /** @param array<string, mixed> $changes */
    public function but(array $changes): self
    {
        if ($changes === []) {
            return $this;
        }
        $made = clone $this;
        $made->asking = null;
        foreach ($changes as $name => $value) {
            $made->take((string) $name, $value);
        }
        return $made;
    }

    private function take(string $name, mixed $value): void
    {
        match ($name) {
            'ttl' => $this->ttl = $value instanceof \Closure || $value === null ? $value : self::seconds($name, $value),
            'swr', 'sie', 'wait', 'lease' => $this->$name = self::seconds($name, $value),
            'backoff' => $this->backoff = $value === null ? null : self::seconds($name, $value),
            'jitter' => $this->jitter = is_int($value) && $value >= 0 && $value <= 100 ? $value
                : throw new Usage('jitter takes a percentage, 0 to 100'),
            'tags' => $this->tags = $value instanceof \Closure ? $value : self::tags($value),
            'version' => $this->version = $value instanceof \Closure ? $value : self::version($value),
            'group' => $this->group = $value === null || is_string($value) ? $value : throw new Usage('group takes a name'),
            'onTimeout' => $this->onTimeout = in_array($value, ['raise', 'build'], true) ? $value
                : throw new Usage("onTimeout takes 'raise' or 'build'"),
            default => throw new Usage("unknown option: $name; known are " . implode(', ', self::NAMES)),
        };
    }

    public static function seconds(string $name, mixed $given): float
    {
        if ($given instanceof \DateInterval) {
            $from = new \DateTimeImmutable('@0');
            $given = (float) $from->add($given)->format('U.u');
        }
        if ((!is_int($given) && !is_float($given)) || !($given >= 0) || $given >= 9e12) {
            throw new Usage("$name takes seconds, 0 and more, or a DateInterval, not " . (is_scalar($given) ? var_export($given, true) : get_debug_type($given)));
        }
        return (float) $given;
    }

    /** @return list<string> */
    public static function tags(mixed $given): array
    {
        $isTag = fn (mixed $tag) => (is_string($tag) || is_int($tag) || $tag instanceof \Stringable) && (string) $tag !== '';
        if (!is_array($given) || array_filter($given, $isTag) !== $given) {
            throw new Usage('tags takes an array of texts that are not empty, or a function of the value');
        }
        return array_map('strval', array_values($given));
    }

    private static function version(mixed $given): ?int
    {
        return $given === null || is_int($given) && $given >= 0 ? $given
            : throw new Usage('version takes a whole number, 0 and more, or a function of the value');
    }

    /** At least 1: the server takes 0 for an error where a time must be a time. */
    public static function milliseconds(float $seconds): int
    {
        return max(1, (int) round($seconds * 1000));
    }

    /**
     * What GETORLOCK is told beside the key, made once: a hit has little else to do. BLOCK is last, and never left out: a
     * group may have a longer time to block of its own than there is patience here.
     *
     * @return list<string>
     */
    public function asking(): array
    {
        return $this->asking ??= ['LEASE', (string) self::milliseconds($this->lease), 'TIED', ...($this->group === null ? [] : ['GROUP', $this->group]),
            'BLOCK', (string) self::milliseconds(min(Link::SLICE, $this->wait))];
    }

    /**
     * What FAIL is told beside the message.
     *
     * @return list<string|int>
     */
    public function failOptions(): array
    {
        return $this->backoff === null ? [] : ['BACKOFF', self::milliseconds($this->backoff)];
    }

    /**
     * What FILL is told, as far as it depends on the value. What is wrong in it is raised to the build's caller.
     *
     * @return list<string|int>
     */
    public function fillOptions(mixed $made): array
    {
        $options = [];
        $ttl = $this->ttl instanceof \Closure ? ($this->ttl)($made) : $this->ttl;
        if ($ttl !== null) { // what is fresh for ever has no windows after it, and nothing to shorten
            $ttl = self::seconds('ttl', $ttl);
            // 0: for those who wait, not to be kept.
            array_push($options, ...($ttl > 0 ? ['PX', self::milliseconds($ttl)] : ['PXAT', 1]));
            foreach (['swr', 'sie'] as $name) {
                if ($this->$name > 0) {
                    array_push($options, strtoupper($name), self::milliseconds($this->$name));
                }
            }
            if ($this->jitter > 0) {
                array_push($options, 'JITTER', $this->jitter);
            }
        }
        $tags = $this->tags instanceof \Closure ? self::tags(($this->tags)($made) ?? []) : $this->tags;
        if ($tags) {
            array_push($options, 'TAGS', count($tags), ...$tags);
        }
        $version = $this->version instanceof \Closure ? self::version(($this->version)($made)) : $this->version;
        if ($version !== null) {
            array_push($options, 'VERSION', $version);
        }
        return $options;
    }
}
