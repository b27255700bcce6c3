<?php

declare(strict_types=1);

namespace Corral;

/** Keys and tags from "report:{day}" and the arguments of a function. {user.id} is a property, a method's answer or an element. */
final class Template
{
    private const FIELD = '/\{([^{}]*)\}/';

    /** @var list<string> texts and fields in turns */
    private array $parts;
    /** @var list<\ReflectionParameter> */
    private array $parameters;

    public function __construct(private readonly string $template, \Closure $function)
    {
        $this->parameters = (new \ReflectionFunction($function))->getParameters();
        $names = array_map(fn ($parameter) => $parameter->getName(), $this->parameters);
        $this->parts = preg_split(self::FIELD, $template, -1, PREG_SPLIT_DELIM_CAPTURE) ?: [''];
        foreach ($this->parts as $index => $part) {
            if ($index % 2 === 1 && !in_array(explode('.', $part)[0], $names, true)) {
                throw new Usage("template '$template': {{$part}} is no parameter of the function, which has " . ($names ? implode(', ', $names) : 'none'));
            }
        }
    }

    /**
     * @param mixed $tags the option
     *
     * @return ?list<self> null if they name no arguments
     */
    public static function ofTags(mixed $tags, \Closure $function): ?array
    {
        $named = is_array($tags) ? preg_grep(self::FIELD, array_filter($tags, 'is_string')) : [];
        return $named ? array_map(fn ($tag) => new self((string) $tag, $function), array_values($tags)) : null;
    }

    /** @param array<int|string, mixed> $arguments */
    public function key(array $arguments): string
    {
        // "a:b" and "c" must not meet "a" and "b:c".
        return $this->written($arguments, static fn (string $text) => str_replace(['%', ':'], ['%25', '%3A'], $text));
    }

    /** @param array<int|string, mixed> $arguments */
    public function tag(array $arguments): string
    {
        return $this->written($arguments, static fn (string $text) => $text);
    }

    /** @param array<int|string, mixed> $arguments */
    private function written(array $arguments, \Closure $escape): string
    {
        $bound = $this->bound($arguments);
        $made = '';
        foreach ($this->parts as $index => $part) {
            $made .= $index % 2 === 1 ? $escape($this->text($part, $bound)) : $part;
        }
        return $made;
    }

    /**
     * @param array<int|string, mixed> $arguments
     *
     * @return array<string, mixed>
     */
    private function bound(array $arguments): array
    {
        $bound = [];
        foreach ($this->parameters as $position => $parameter) {
            $name = $parameter->getName();
            $bound[$name] = match (true) {
                array_key_exists($name, $arguments) => $arguments[$name],
                array_key_exists($position, $arguments) => $arguments[$position],
                $parameter->isDefaultValueAvailable() => $parameter->getDefaultValue(),
                $parameter->isVariadic() => null,
                default => throw new Usage("template '{$this->template}': the argument $name is missing"),
            };
        }
        return $bound;
    }

    /** @param array<string, mixed> $bound */
    private function text(string $field, array $bound): string
    {
        [$name, $path] = [strtok($field, '.'), array_slice(explode('.', $field), 1)];
        $value = $bound[$name];
        foreach ($path as $step) {
            $value = match (true) {
                is_array($value) && array_key_exists($step, $value) => $value[$step],
                is_object($value) && (isset($value->$step) || property_exists($value, $step)) => $value->$step,
                is_object($value) && is_callable([$value, $step]) => $value->$step(),
                is_object($value) && is_callable([$value, "get$step"]) => $value->{"get$step"}(),
                default => throw new Usage("template '{$this->template}': {{$field}} has no $step"),
            };
        }
        return match (true) {
            $value instanceof \BackedEnum => (string) $value->value,
            $value instanceof \UnitEnum => $value->name,
            $value instanceof \DateTimeInterface => $value->format('Y-m-d\TH:i:s.uP'),
            is_bool($value) => $value ? 'true' : 'false',
            $value === null => 'null',
            is_scalar($value) || $value instanceof \Stringable => (string) $value,
            default => throw new Usage("template '{$this->template}': {{$field}} is a " . get_debug_type($value)
                . ", of which no text can be made; name a part of it, as {{$field}.id}, or pass a text"),
        };
    }
}
