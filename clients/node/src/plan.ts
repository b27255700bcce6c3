// What a call wants, made ready to be asked. A cached function makes its own once, not for every call.
import { milliseconds, type Options, type Serializer } from './options.js'
import { serializerOf } from './serializers.js'

export class Plan<T = any> {
  /** What stands after the key in GETORLOCK. */
  readonly words: string[]
  /** The same over a shared connection: all others' calls would stand behind one that a group's own setting blocks. */
  readonly shared: string[]
  readonly leaseMs: number
  readonly waitMs: number
  readonly serializer: Serializer

  constructor(readonly options: Options<T>, readonly force = false) {
    const { lease = 10, wait = 10, group, noStale, early, serializer } = options
    this.leaseMs = Number(milliseconds(lease))
    this.waitMs = wait * 1000
    this.serializer = serializerOf(serializer)
    this.words = ['LEASE', String(this.leaseMs)]
    if (group !== undefined) this.words.push('GROUP', group)
    // Who asks for a new value is not content with the one that is being replaced.
    if (noStale || force) this.words.push('NOSTALE')
    if (early !== undefined) this.words.push('EARLY', String(early))
    if (force) this.words.push('FORCE')
    this.shared = group === undefined ? this.words : [...this.words, 'BLOCK', '1']
  }

  /** The same with the tags of one call. */
  tagged(tags: string[]): Plan<T> {
    return new Plan({ ...this.options, tags }, this.force)
  }

  /** Flights are shared by those who would take the same answer. No key begins with a NUL of ours. */
  flightOf(id: string): string {
    return this.force ? FORCED + id : this.options.noStale ? NOSTALE + id : id
  }
}

const NOSTALE = '\0nostale '
const FORCED = '\0force '

/** The flights that a key can have. */
export function flightsOf(id: string): string[] {
  return [id, NOSTALE + id, FORCED + id]
}
