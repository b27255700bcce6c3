// Running somebody's build function, and saying to the server how it ended.
import { AsyncLocalStorage } from 'node:async_hooks'
import { RecursiveBuild, ServerError, Unavailable, Usage, WaitTimeout } from './errors.js'
import { parsed, type Flight, type Outcome } from './flight.js'
import type { Lease } from './lease.js'
import { checkedTags, checkedVersion, milliseconds, type CorralEvent, type Defaults, type Options } from './options.js'
import { serializerOf } from './serializers.js'

export interface BuildContext {
  /** Aborted when the caller gives up; pass it on to fetch and the like. */
  signal: AbortSignal | undefined
  /** Whether this is a refresh, whose caller has the old value already. */
  behind: boolean
}
export type Built<T> = T | NotShared<T> | Promise<T | NotShared<T>>
export type Build<T> = (context: BuildContext) => Built<T>

/** What a build returns for its caller alone: it is not stored, and for a while everybody builds for himself. */
export class NotShared<T> {
  constructor(readonly value: T) {}
}

/** One build to be done. */
export interface Job<T> {
  id: string
  build: Build<T>
  options: Options<T>
  /** Milliseconds as performance.now() counts them, when the caller's patience ends. */
  deadline: number
  lease?: Lease | undefined
  flight?: Flight
  /** Why the server was not asked. */
  outage?: unknown
  /** Nobody waits for it, so its error has to be said. */
  behind?: boolean
}

// The builds that this call is part of, innermost first.
const under = new AsyncLocalStorage<Chain>()
interface Chain {
  owner: unknown
  id: string
  outer: Chain | undefined
  /** What a build began, a timer say, may outlive it. */
  over: boolean
}

/** A build that asks for its own key would wait for itself. */
export function refuseRecursion(owner: unknown, id: string): void {
  for (let chain = under.getStore(); chain; chain = chain.outer) {
    if (chain.owner === owner && chain.id === id && !chain.over) throw new RecursiveBuild(`the build of "${id}" asks for its own key`)
  }
}

/** The keys of the builds that this call is part of, innermost first. */
export function enclosing(): string[] {
  const ids: string[] = []
  for (let chain = under.getStore(); chain; chain = chain.outer) if (!chain.over) ids.push(chain.id)
  return ids
}

export class Builder {
  readonly #degraded: Limit
  /** Whether it was said, since something was last stored. */
  #refused = false

  constructor(readonly owner: object, readonly defaults: Defaults, readonly tell: (event: CorralEvent) => void, readonly log: (message: string, error?: unknown) => void) {
    this.#degraded = new Limit(defaults.degradeLimit ?? 8)
  }

  async do<T>(job: Job<T>): Promise<T> {
    const { id, options, lease, flight } = job
    if (job.outage) await this.#enter(job)
    lease?.keep()
    const serializer = serializerOf(options.serializer)
    const began = performance.now()
    let value: T
    let times: string[] = []
    let bytes = Buffer.alloc(0)
    let labels: string[] = []
    try {
      const built = await this.#run(job)
      if (built instanceof NotShared) return await this.#notShared(job, built.value, began)
      value = built
      bytes = Buffer.from(serializer.encode(value) as string)
      times = timesOf(options, value)
      labels = labelsOf(options, value)
    } catch (error) {
      if (options.signal?.aborted) {
        await lease?.release()
        flight?.settle({ kind: 'again' })
        throw error
      }
      return await this.#failed(job, error, performance.now() - began)
    } finally {
      if (job.outage) this.#degraded.leave()
    }
    this.tell({ type: 'built', key: id, ms: performance.now() - began })
    const stored = await this.#say(job, lease?.end('CACHE.FILL', bytes, ...times, ...labels))
    // Not stored, because the key was invalidated meanwhile: who joined after that must ask anew.
    flight?.settle({ kind: 'value', bytes, stale: false }, lease && stored === null ? { kind: 'again' } : undefined)
    return serializer.decode(bytes) as T
  }

  async #enter(job: Job<any>): Promise<void> {
    this.tell({ type: 'degraded', key: job.id, error: job.outage })
    // Of a server that is gone `Server` has said so.
    if (job.outage instanceof ServerError && !this.#refused) this.log(`values are built without the server, which refuses: ${job.outage.message}`)
    this.#refused ||= job.outage instanceof ServerError
    if (await this.#degraded.enter(job.deadline)) return
    job.flight?.settle({ kind: 'again' })
    throw new WaitTimeout(`too many builds at once without the server, "${job.id}" had no turn within its wait`)
  }

  async #notShared<T>(job: Job<T>, value: T, began: number): Promise<T> {
    this.tell({ type: 'built', key: job.id, ms: performance.now() - began })
    await this.#say(job, job.lease?.end('CACHE.PASS'))
    job.flight?.settle({ kind: 'pass' })
    return value
  }

  async #run<T>({ id, build, behind = false, options: { signal } }: Job<T>): Promise<T | NotShared<T>> {
    signal?.throwIfAborted()
    // Nobody who builds waits for a refresh that he began.
    const chain: Chain = { owner: this.owner, id, outer: behind ? undefined : under.getStore(), over: false }
    let aborted = () => {}
    try {
      const value = under.run(chain, async () => await build({ signal, behind }))
      if (!signal) return await value
      return await Promise.race([value, new Promise<never>((_, reject) => {
        aborted = () => reject(signal.reason)
        signal.addEventListener('abort', aborted)
      })])
    } finally {
      chain.over = true
      signal?.removeEventListener('abort', aborted)
    }
  }

  // The caller has the value whatever the server says; that it is not stored is told, but no error of the caller's.
  async #say(job: Job<any>, verdict: Promise<unknown> | undefined): Promise<unknown> {
    try {
      const answer = await verdict
      if (answer === null) this.tell({ type: 'not_stored', key: job.id })
      else if (answer !== undefined) this.#refused = false
      return answer
    } catch (error) {
      this.tell({ type: 'not_stored', key: job.id, error })
      this.log(`"${job.id}" was built, but is not stored`, error)
      return undefined
    }
  }

  async #failed<T>(job: Job<T>, error: unknown, ms: number): Promise<T> {
    const { id, options, lease, flight } = job
    this.tell({ type: 'failed', key: id, ms, error })
    const message = this.#message(error)
    let outcome: Outcome = { kind: 'failed', message, retryAfter: lease ? options.backoff ?? 1 : 0, cause: error }
    try {
      const backoff = options.backoff === undefined ? [] : ['BACKOFF', milliseconds(options.backoff)]
      const reply = await lease?.end('CACHE.FAIL', message, ...backoff)
      if (reply === null) outcome = { kind: 'again' }
      else if (reply !== undefined) {
        const answer = parsed(reply)
        if (answer.state === 'STALE') outcome = { kind: 'value', bytes: answer.value!, stale: true }
        else outcome = { kind: 'failed', message: String(answer.value), retryAfter: answer.number / 1000, cause: error }
      }
    } catch (undelivered) {
      if (!(undelivered instanceof ServerError) && !(undelivered instanceof Unavailable)) throw undelivered
      this.log(`that the build of "${id}" failed could not be said to the server`, undelivered)
    }
    flight?.settle(outcome)
    if (job.behind || outcome.kind === 'value') this.log(`the build of "${id}" failed${outcome.kind === 'value' ? ', the old value is served' : ''}`, error)
    if (outcome.kind !== 'value') throw error
    return serializerOf(options.serializer).decode(outcome.bytes) as T
  }

  // Other processes see it, and so may other users: its class, and its text unless that is turned off.
  #message(error: unknown): string {
    let text: string = typeof error
    try {
      const kind = error instanceof Error ? error.name : text
      text = this.defaults.errorText === false ? `${kind}` : `${kind}: ${error instanceof Error ? error.message : String(error)}`
    } catch {
      // Anything can be thrown, also what no text can be made of: the lease has to end all the same.
    }
    // The server takes 1024 bytes; no character takes more than 4 (3 here, for each half of a pair).
    return text.slice(0, 340)
  }
}

/** The options of FILL that say how long. Windows need a deadline to begin at. */
export function timesOf<T>(options: Options<T>, value: T): string[] {
  const ttl = typeof options.ttl === 'function' ? options.ttl(value) : options.ttl
  if (ttl === undefined) return []
  if (!Number.isFinite(ttl)) throw new Usage(`ttl returned ${String(ttl)}, which is no number of seconds`)
  const times = ttl > 0 ? ['PX', milliseconds(ttl)] : ['PXAT', '1'] // for those who wait, not to be kept
  if (options.swr !== undefined) times.push('SWR', milliseconds(options.swr, 0))
  if (options.sie !== undefined) times.push('SIE', milliseconds(options.sie, 0))
  if (options.jitter !== undefined) times.push('JITTER', String(options.jitter))
  return times
}

export function labelsOf<T>({ tags, version }: Options<T>, value: T): string[] {
  const labels: string[] = []
  const list = typeof tags === 'function' ? tags(value) : tags
  if (list?.length) labels.push('TAGS', String(list.length), ...checkedTags(list))
  const number = typeof version === 'function' ? version(value) : version
  if (number !== undefined) labels.push('VERSION', checkedVersion(number))
  return labels
}

/** So many at once; the others queue. */
class Limit {
  #free: number
  #queue: (() => void)[] = []
  constructor(most: number) {
    this.#free = most
  }

  /** Whether there was a place before the deadline. */
  async enter(deadline: number): Promise<boolean> {
    if (this.#free > 0) return Boolean(this.#free--)
    return await new Promise((resolve) => {
      const mine = () => {
        clearTimeout(timer)
        resolve(true)
      }
      const timer = setTimeout(() => {
        this.#queue.splice(this.#queue.indexOf(mine), 1)
        resolve(false)
      }, Math.min(deadline - performance.now(), 2 ** 31 - 1))
      this.#queue.push(mine)
    })
  }

  leave(): void {
    const next = this.#queue.shift()
    if (next) next()
    else this.#free++
  }
}
