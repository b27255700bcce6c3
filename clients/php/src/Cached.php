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
    /** @var ?list<Template> in place of the option's own, if they name arguments */
    private readonly ?array $tags;

    /** @param array<string, mixed> $options */
    public function __construct(private readonly Corral $corral, string $template, private readonly \Closure $function, private readonly array $options)
    {
        $this->template = new Template($template, $function);
        $this->tags = Template::ofTags($options['tags'] ?? null, $function);
    }

    /** @return T */
    public function __invoke(mixed ...$arguments): mixed
    {
        return $this->corral->getOrBuild($this->key(...$arguments), fn () => ($this->function)(...$arguments), ...$this->options($arguments));
    }

    /**
     * Builds although the value is fresh; while somebody else does, waits for theirs.
     *
     * @return T
     */
    public function refresh(mixed ...$arguments): mixed
    {
        return $this->corral->refresh($this->key(...$arguments), fn () => ($this->function)(...$arguments), ...$this->options($arguments));
    }

    public function invalidate(mixed ...$arguments): void
    {
        $this->corral->invalidate($this->key(...$arguments));
    }

    public function key(mixed ...$arguments): string
    {
        return $this->template->key($arguments);
    }

    /**
     * @param array<int|string, mixed> $arguments
     *
     * @return array<string, mixed>
     */
    private function options(array $arguments): array
    {
        return $this->tags === null ? $this->options : ['tags' => array_map(fn ($tag) => $tag->tag($arguments), $this->tags)] + $this->options;
    }
}
