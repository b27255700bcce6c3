// The right to build, for frameworks that say get and set and never show their function. The lease is not renewed,
// since nobody tells that a build failed: it is the longest build that is allowed, and ends by itself.
import { labelsOf, timesOf } from './build.js'
import type { Corral } from './corral.js'
import { isOutage } from './errors.js'
import type { Flight } from './flight.js'
import type { Lease } from './lease.js'
import type { Options } from './options.js'

export class Claim {
  readonly #timer: NodeJS.Timeout

  constructor(private readonly lease: Lease, private readonly flight: Flight | undefined, private readonly options: Options) {
    // A late fill may still land, if nobody took over; but nobody in this process waits for it any longer.
    this.#timer = setTimeout(() => {
      this.lease.expire()
      this.flight?.settle({ kind: 'again' })
    }, lease.ms)
    this.#timer.unref()
  }

  /** When it was granted, in milliseconds since 1970 by the server's clock, as CACHE.TAGS counts. */
  get grantedAt(): number {
    return this.lease.token / 1000
  }

  /** Stores what was built. False if the server does not keep it: somebody took over, there is no room, or it is gone. */
  async fill(bytes: Buffer, options: Options = {}): Promise<boolean> {
    const all = { ...this.options, ...options }
    const stored = await this.#end(this.lease.end('CACHE.FILL', bytes, ...timesOf(all, bytes), ...labelsOf(all, bytes)))
    this.flight?.settle({ kind: 'value', bytes, stale: false }, stored ? undefined : { kind: 'again' })
    return stored
  }

  /** This is for its caller alone: nothing is stored, and for a while everybody builds for himself. */
  async pass(): Promise<void> {
    await this.#end(this.lease.end('CACHE.PASS'))
    this.flight?.settle({ kind: 'pass' })
  }

  /** Nothing was built: whoever waits longest is next. */
  async release(): Promise<void> {
    await this.#end(this.lease.release())
    this.flight?.settle({ kind: 'again' })
  }

  async #end(verdict: Promise<unknown>): Promise<boolean> {
    clearTimeout(this.#timer)
    try {
      return await verdict !== null
    } catch (error) {
      if (isOutage(error)) return false
      throw error
    }
  }
}

/** The claims between a framework's `get` and its `set`. */
export class Claims {
  readonly #claims = new Map<string, Claim>()
  constructor(readonly corral: Corral, readonly leaseSeconds: number) {}

  /** The cached bytes; `mine` if this process is to build the key now, be it behind the old bytes. */
  async get(key: string, outdated = false): Promise<{ bytes?: Buffer; stale?: boolean; mine: boolean }> {
    const { bytes, stale, claim } = await this.corral.claim(key, { lease: this.leaseSeconds }, outdated)
    if (claim) {
      this.#claims.set(key, claim)
      setTimeout(() => {
        if (this.#claims.get(key) === claim) this.#claims.delete(key)
      }, 3000 * this.leaseSeconds).unref()
    }
    return { bytes, stale, mine: claim !== undefined }
  }

  grantedAt(key: string): number | undefined {
    return this.#claims.get(key)?.grantedAt
  }

  /** Under the claim. Without one (a forced revalidation, a prerender) nothing fences the value, so it must be young. */
  async set(key: string, bytes: Buffer, begunAt: number, options: Options): Promise<void> {
    const claim = this.#taken(key)
    if (claim) await claim.fill(bytes, options)
    else if (Date.now() - begunAt < 1000 * this.leaseSeconds) {
      await this.corral.command(key, 'CACHE.SET', bytes, ...timesOf(options, bytes), ...labelsOf(options, bytes))
    }
  }

  async pass(key: string): Promise<void> {
    await this.#taken(key)?.pass()
  }

  async release(key: string): Promise<void> {
    await this.#taken(key)?.release()
  }

  #taken(key: string): Claim | undefined {
    const claim = this.#claims.get(key)
    this.#claims.delete(key)
    return claim
  }
}
