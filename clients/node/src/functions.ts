// cached(): a function whose results are shared. Its key comes from its arguments, and never from nothing.
import { Usage } from './errors.js'
import type { Built } from './build.js'
import type { Argument } from './link.js'

/** A template, `report:{day}`, or a function that makes the key of the arguments. */
export type KeyOf<A extends unknown[]> = string | ((...args: A) => Argument)

export interface CachedFunction<A extends unknown[], T> {
  (...args: A): Promise<T>
  /** Builds although the value is fresh; others keep getting the old one meanwhile. */
  refresh(...args: A): Promise<T>
  invalidate(...args: A): Promise<void>
  key(...args: A): Argument
}

interface Operations<T> {
  get(key: Argument, build: () => Built<T>): Promise<T>
  refresh(key: Argument, build: () => Built<T>): Promise<T>
  invalidate(key: Argument): Promise<void>
}

export function cachedFunction<A extends unknown[], T>(
  template: KeyOf<A>, parameters: readonly string[] | undefined, build: (...args: A) => Built<T>, corral: Operations<T>,
): CachedFunction<A, T> {
  if (typeof build !== 'function') throw new Usage(`cached takes a template and a function, not ${typeof build}`)
  const key = typeof template === 'function' ? template : fromTemplate<A>(template, parameters)
  return Object.assign(async (...args: A) => await corral.get(key(...args), () => build(...args)), {
    refresh: async (...args: A) => await corral.refresh(key(...args), () => build(...args)),
    invalidate: async (...args: A) => await corral.invalidate(key(...args)),
    key,
  })
}

/**
 * JavaScript does not tell a function's parameters, so names count by their first place: {a}:{b} are the first and the
 * second argument, unless `parameters` says otherwise. {user.id} reads a property.
 */
function fromTemplate<A extends unknown[]>(template: string, parameters: readonly string[] | undefined): (...args: A) => string {
  const pieces = template.split(/\{([^{}]*)\}/)
  const paths = pieces.filter((_, at) => at % 2 === 1).map((path) => path.split('.'))
  const names = parameters ?? [...new Set(paths.map(([name]) => name!))]
  for (const [name] of paths) {
    if (!name) throw new Usage(`cached("${template}"): a name is missing between { and }`)
    if (!names.includes(name)) throw new Usage(`cached("${template}"): {${name}} is no parameter, there are ${names.join(', ') || 'none'}`)
  }
  return (...args) => {
    if (args.length > names.length) {
      throw new Usage(`cached("${template}") was called with ${args.length} arguments: the key names ${names.length}, so calls that differ in the others would share a value. Name them, or make the key by a function`)
    }
    return pieces.map((piece, at) => {
      if (at % 2 === 0) return piece
      const [name, ...properties] = piece.split('.')
      let value: any = args[names.indexOf(name!)]
      for (const property of properties) value = value?.[property]
      return partOfKey(value, piece, template)
    }).join('')
  }
}

function partOfKey(value: unknown, name: string, template: string): string {
  const usage = (sentence: string) => new Usage(`cached("${template}"): ${sentence}`)
  switch (typeof value) {
    case 'string':
      return value.replaceAll('%', '%25').replaceAll(':', '%3A') // "a:b" and "c" must not meet "a" and "b:c"
    case 'boolean': case 'bigint':
      return String(value)
    case 'number':
      if (Number.isNaN(value)) throw usage(`{${name}} is NaN`)
      return String(value)
    case 'undefined':
      throw usage(`the argument {${name}} is missing`)
    case 'object':
      if (value instanceof Date) return partOfKey(value.toISOString(), name, template)
      throw usage(`{${name}} is ${value === null ? 'null' : 'an object'}, which no key can be made of: name a property, as in {${name}.id}, or make the key by a function`)
    default:
      throw usage(`{${name}} is a ${typeof value}, which no key can be made of`)
  }
}
