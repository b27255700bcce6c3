// cached(): a function whose results are shared. Its key comes from its arguments, and never from nothing.
import { Usage } from './errors.js'
import type { Built } from './build.js'
import type { Argument } from './link.js'
import type { Options } from './options.js'

/** A template, `report:{day}`, or a function that makes the key of the arguments. */
export type KeyOf<A extends unknown[]> = string | ((...args: A) => Argument)

export interface CachedFunction<A extends unknown[], T> {
  (...args: A): Promise<T>
  /** Builds although the value is fresh; others keep getting the old one meanwhile. */
  refresh(...args: A): Promise<T>
  invalidate(...args: A): Promise<void>
  key(...args: A): Argument
}

/** `tags`: of this call, if arguments are named in them. */
interface Operations<T> {
  get(key: Argument, build: () => Built<T>, tags?: string[]): Promise<T>
  refresh(key: Argument, build: () => Built<T>, tags?: string[]): Promise<T>
  invalidate(key: Argument): Promise<void>
}

export function cachedFunction<A extends unknown[], T>(
  template: KeyOf<A>, parameters: readonly string[] | undefined, tags: Options<T>['tags'], build: (...args: A) => Built<T>,
  corral: Operations<T>,
): CachedFunction<A, T> {
  if (typeof build !== 'function') throw new Usage(`cached takes a template and a function, not ${typeof build}`)
  const names = parameters ?? (typeof template === 'string' ? namesOf(template) : [])
  const key = typeof template === 'function' ? template : keyOf<A>(template, names)
  const tagsOf = tagsFrom<A>(tags, names)
  return Object.assign(async (...args: A) => await corral.get(key(...args), () => build(...args), tagsOf?.(args)), {
    refresh: async (...args: A) => await corral.refresh(key(...args), () => build(...args), tagsOf?.(args)),
    invalidate: async (...args: A) => await corral.invalidate(key(...args)),
    key,
  })
}

/**
 * JavaScript does not tell a function's parameters, so names count by their first place in the key: {a}:{b} are the first
 * and the second argument, unless `parameters` says otherwise. {user.id} reads a property.
 */
function namesOf(template: string): string[] {
  return [...new Set(pathsOf(template).map(([name]) => name!))]
}

function keyOf<A extends unknown[]>(template: string, names: readonly string[]): (...args: A) => string {
  const write = writer<A>(template, names)
  return (...args) => {
    if (args.length > names.length) {
      throw new Usage(`cached("${template}") was called with ${args.length} arguments: the key names ${names.length}, so calls that differ in the others would share a value. Name them, or make the key by a function`)
    }
    // "a:b" and "c" must not meet "a" and "b:c".
    return write(args, (text) => text.replaceAll('%', '%25').replaceAll(':', '%3A'))
  }
}

/** How each call's tags are made, if arguments are named in them. */
function tagsFrom<A extends unknown[]>(tags: unknown, names: readonly string[]): ((args: A) => string[]) | undefined {
  if (!Array.isArray(tags) || !tags.some((tag) => pathsOf(tag).length > 0)) return undefined
  const writers = tags.map((tag) => writer<A>(tag, names))
  return (args) => writers.map((write) => write(args, (text) => text))
}

/** The text that the arguments make of a template. */
function writer<A extends unknown[]>(template: string, names: readonly string[]): (args: A, escape: (text: string) => string) => string {
  for (const [name] of pathsOf(template)) {
    if (!name) throw new Usage(`cached("${template}"): a name is missing between { and }`)
    if (!names.includes(name)) throw new Usage(`cached("${template}"): {${name}} is no parameter, there are ${names.join(', ') || 'none'}`)
  }
  const pieces = template.split(FIELD)
  return (args, escape) => pieces.map((piece, at) => {
    if (at % 2 === 0) return piece
    const [name, ...properties] = piece.split('.')
    let value: any = args[names.indexOf(name!)]
    for (const property of properties) value = value?.[property]
    return escape(textOf(value, piece, template))
  }).join('')
}

const FIELD = /\{([^{}]*)\}/

function pathsOf(template: string): string[][] {
  return template.split(FIELD).filter((_, at) => at % 2 === 1).map((path) => path.split('.'))
}

function textOf(value: unknown, name: string, template: string): string {
  const usage = (sentence: string) => new Usage(`cached("${template}"): ${sentence}`)
  switch (typeof value) {
    case 'string': case 'boolean': case 'bigint':
      return String(value)
    case 'number':
      if (Number.isNaN(value)) throw usage(`{${name}} is NaN`)
      return String(value)
    case 'undefined':
      throw usage(`the argument {${name}} is missing`)
    case 'object':
      if (value instanceof Date) return textOf(value.toISOString(), name, template)
      throw usage(`{${name}} is ${value === null ? 'null' : 'an object'}, which no text can be made of: name a property, as in {${name}.id}, or make the key by a function`)
    default:
      throw usage(`{${name}} is a ${typeof value}, which no text can be made of`)
  }
}
