// The right to build, for frameworks that say get and set and never show their function. The lease is not renewed,
// since nobody tells that a build failed: it is the longest build that is allowed, and ends by itself.
import { labelsOf, timesOf } from './build.js'
import { isOutage, ServerError } from './errors.js'
import type { Flight } from './flight.js'
import type { Lease } from './lease.js'
import type { Options } from './options.js'

export class Claim {
  readonly #timer: NodeJS.Timeout

  /** @internal */
  constructor(private readonly lease: Lease, private readonly flight: Flight | undefined, private readonly options: Options) {
    this.#timer = setTimeout(() => void this.release(), lease.ms)
    this.#timer.unref()
  }

  /** Stores what was built. False if the server does not keep it: the claim had ended, or there is no room. */
  async fill(bytes: Buffer, options: Options = {}): Promise<boolean> {
    clearTimeout(this.#timer)
    const all = { ...this.options, ...options }
    const stored = await this.#end(this.lease.end('CACHE.FILL', bytes, ...timesOf(all), ...labelsOf(all, bytes)))
    this.flight?.settle({ kind: 'value', bytes, stale: false }, stored ? undefined : { kind: 'again' })
    return stored
  }

  /** This is for its caller alone: nothing is stored, and for a while everybody builds for himself. */
  async pass(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#end(this.lease.end('CACHE.PASS'))
    this.flight?.settle({ kind: 'pass' })
  }

  /** Nothing was built: whoever waits longest is next. */
  async release(): Promise<void> {
    clearTimeout(this.#timer)
    await this.lease.release()
    this.flight?.settle({ kind: 'again' })
  }

  async #end(verdict: Promise<unknown>): Promise<boolean> {
    try {
      return await verdict !== null
    } catch (error) {
      if (isOutage(error) || error instanceof ServerError) return false
      throw error
    }
  }
}
