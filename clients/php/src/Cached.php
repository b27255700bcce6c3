<?php

declare(strict_types=1);

namespace Corral;

/**
 * A function whose values are kept by its arguments.
 *
 * @template T
 */
final class Cached
{
    private readonly Template $template;

    /** @param array<string, mixed> $options */
    public function __construct(private readonly Corral $corral, string $template, private readonly \Closure $function, private readonly array $options)
    {
        $this->template = new Template($template, $function);
    }

    /** @return T */
    public function __invoke(mixed ...$arguments): mixed
    {
        return $this->corral->getOrBuild($this->key(...$arguments), fn () => ($this->function)(...$arguments), ...$this->options);
    }

    /**
     * Builds although the value is fresh; while somebody else does, waits for theirs.
     *
     * @return T
     */
    public function refresh(mixed ...$arguments): mixed
    {
        return $this->corral->refresh($this->key(...$arguments), fn () => ($this->function)(...$arguments), ...$this->options);
    }

    public function invalidate(mixed ...$arguments): void
    {
        $this->corral->invalidate($this->key(...$arguments));
    }

    public function key(mixed ...$arguments): string
    {
        return $this->template->key($arguments);
    }
}
