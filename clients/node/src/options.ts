// What can be said to a Corral and to a call. All times are seconds, fractions allowed.
import { Usage } from './errors.js'

export interface Serializer<T = any> {
  encode(value: T): Buffer | string
  decode(bytes: Buffer): T
}

/** What one call can say; as defaults it holds for all calls. Everything may be left out. */
export interface Options<T = any> {
  /** Seconds until the value is stale, or how to read them off the value; without it the value is fresh for ever. */
  ttl?: number | ((value: T) => number | undefined)
  /** Seconds after that in which the old value is served while one caller refreshes it. */
  swr?: number
  /** Seconds after `ttl` in which the old value is served while builds fail. */
  sie?: number
  /** Percent by which chance may shorten `ttl`, so that keys do not expire together. */
  jitter?: number
  /** Labels for `invalidateTags`, or how to read them off the value. */
  tags?: readonly string[] | ((value: T) => readonly string[])
  /** How new the source was when it was read, for `outdate`. */
  version?: number | ((value: T) => number)
  /** Name of the group that limits builds of one source (setting `corral.groups` of the server). */
  group?: string
  /** Seconds to wait for somebody else's build; default 10. */
  wait?: number
  /** What then: a WaitTimeout (`raise`), or a build of one's own that is not stored (`build`). */
  onTimeout?: 'raise' | 'build'
  /** Seconds of the lease; it is renewed while the build runs. Default 10. */
  lease?: number
  /** Seconds in which nobody tries again after a failed build; default: the server's. */
  backoff?: number
  /** Refresh before the deadline with growing chance (XFetch): 1 is usual, 0 is never. */
  early?: number
  /** Never a value past its `ttl`. */
  noStale?: boolean
  /** Ends this call. A build that was begun for it gives its lease up. */
  signal?: AbortSignal
  /** `json`, `bytes` (Buffers as they are), `v8` (structured clone), or your own. */
  serializer?: 'json' | 'bytes' | 'v8' | Serializer<T>
  /** Runs refreshes elsewhere, as Next's `after` or a queue would; default: in this process, after the old value was given. */
  background?: (refresh: () => Promise<void>) => unknown
}

/** What the constructor takes besides. */
export interface Defaults extends Options {
  /** While the server is gone: build here (true, the default), or raise. */
  degrade?: true | 'raise'
  /** Builds at once while the server is gone; default 8. */
  degradeLimit?: number
  /** Connections that may wait in the server; default 1,000. Callers beyond it ask again and again instead. */
  maxWaiting?: number
  /** Refreshes at once in the background; default 8. One beyond it is left to a later caller. */
  backgroundLimit?: number
  /** Seconds without any answer after which a server counts as gone; default 5. */
  readTimeout?: number
  /** Entries kept in this process; default 0. */
  local?: number
  /** Seconds such a copy lives where the server does not say when it is outdated; default 1. */
  localTtl?: number
  /** Whether messages of failed builds are shown to other processes, or only their class; default true. */
  errorText?: boolean
  /** Told what happens; see CorralEvent. */
  onEvent?: (event: CorralEvent) => void
  /** Where outages and failed refreshes are said; default console.warn. */
  log?: (message: string, error?: unknown) => void
}

export interface CorralEvent {
  type: 'hit' | 'stale' | 'refresh' | 'built' | 'waited' | 'failed' | 'degraded' | 'not_stored'
  key: string
  /** Milliseconds: of the build (built, failed), of the wait (waited). */
  ms?: number
  error?: unknown
}

type Test = [allowed: string, test: (value: any) => boolean]
const seconds: Test = ['a number of seconds, 0 or more', (value) => Number.isFinite(value) && value >= 0]
const period: Test = ['a number of seconds above 0', (value) => Number.isFinite(value) && value > 0]
const count: Test = ['a whole number, 0 or more', (value) => Number.isSafeInteger(value) && value >= 0]
const functional: Test = ['a function', (value) => typeof value === 'function']
const flag: Test = ['true or false', (value) => typeof value === 'boolean']

const CALL: Record<keyof Options, Test> = {
  ttl: ['a number of seconds, 0 or more, or a function', (value) => typeof value === 'function' || seconds[1](value)], swr: seconds, sie: seconds, wait: seconds, lease: period, backoff: seconds, noStale: flag,
  jitter: ['a whole number from 0 to 100', (value) => Number.isInteger(value) && value >= 0 && value <= 100],
  tags: ['a list of texts, or a function', (value) => typeof value === 'function'
    || (Array.isArray(value) && value.every((tag) => typeof tag === 'string'))],
  version: ['a whole number, or a function', (value) => typeof value === 'function' || count[1](value)],
  group: ['a text', (value) => typeof value === 'string'],
  onTimeout: ["'raise' or 'build'", (value) => value === 'raise' || value === 'build'],
  early: ['a number from 0 to 100', (value) => value >= 0 && value <= 100],
  signal: ['an AbortSignal', (value) => value instanceof AbortSignal],
  serializer: ["'json', 'bytes', 'v8', or an object with encode and decode",
    (value) => ['json', 'bytes', 'v8'].includes(value) || (typeof value?.encode === 'function' && typeof value.decode === 'function')],
  background: functional,
}
const CONSTRUCTOR: Record<keyof Defaults, Test> = {
  ...CALL,
  degrade: ["true or 'raise'", (value) => value === true || value === 'raise'],
  degradeLimit: ['a whole number above 0', (value) => Number.isSafeInteger(value) && value > 0],
  maxWaiting: count, backgroundLimit: count, readTimeout: period, local: count, localTtl: seconds,
  errorText: flag, onEvent: functional, log: functional,
}

/** Refuses what nobody would want to have ignored. */
export function checkedOptions<O extends Options>(options: O, where: 'call' | 'constructor'): O {
  const table: Record<string, Test> = where === 'call' ? CALL : CONSTRUCTOR
  for (const name in options) {
    const value = options[name]
    if (value === undefined) continue
    const test = table[name]
    if (!test) {
      throw new Usage(`unknown option ${name}${name in CONSTRUCTOR ? ': it belongs into the constructor' : ''}; allowed are ${Object.keys(table).join(', ')}`)
    }
    if (!test[1](value)) throw new Usage(`${name} must be ${test[0]}, not ${String(value)}`)
  }
  return options
}

/** What the server would refuse when the value was built, and everybody would build again. */
export function checkedTags(tags: readonly string[]): readonly string[] {
  if (!Array.isArray(tags)) throw new Usage(`tags must be a list of texts, not ${String(tags)}`)
  if (tags.length > 32) throw new Usage(`tags: ${tags.length} were given, and 32 are allowed`)
  for (const tag of tags) {
    if (typeof tag !== 'string') throw new Usage(`tags must be texts, and ${String(tag)} is none`)
    const size = Buffer.byteLength(tag)
    if (size < 1 || size > 255) throw new Usage(`tags: "${tag}" has ${size} bytes, and 1 to 255 are allowed`)
  }
  return tags
}

export function checkedVersion(version: number): string {
  if (!count[1](version)) throw new Usage(`version must be a whole number, 0 or more, not ${String(version)}`)
  return String(version)
}

/** As the server's commands take it. */
export function milliseconds(seconds: number, least = 1): string {
  return String(Math.max(least, Math.round(seconds * 1000)))
}
