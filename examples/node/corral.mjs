// getOrBuild: one caller builds, everybody else gets the value. How a command is sent and how a caller waits is the
// transport's part: node-redis.mjs, ioredis.mjs and node-redis-events.mjs.
import { setTimeout as sleep } from 'node:timers/promises'

/** The last build failed, perhaps in another process; the message is its holder's. */
export class BuildFailed extends Error {}

export class Corral {
  // All times in ms. The lease is renewed while a build runs, so it need not cover the slowest. After `patience` a caller
  // builds for itself.
  static times = { fresh: 60_000, swr: 30_000, sie: 300_000, backoff: 1_000, lease: 10_000, patience: 30_000 }

  constructor(transport, times = {}) {
    Object.assign(this, Corral.times, times, { transport })
  }

  async getOrBuild(key, build) {
    const patienceEnds = performance.now() + this.patience
    let watch
    try {
      for (;;) {
        const [state, value, number] = await this.transport.ask(key, 'LEASE', this.lease)
        switch (state) {
          case 'HIT': case 'STALE': return value
          case 'REFRESH': this.#rebuild(key, number, build).catch(() => {}); return value // CACHE.FAIL told the others
          case 'LOCK': return await this.#rebuild(key, number, build)
          case 'PASS': return await build() // not to be shared, so not stored
          case 'FAIL': throw new BuildFailed(value)
        }
        const left = patienceEnds - performance.now() // WAIT: the lease is another's
        if (left <= 0) return await build() // not stored
        // From the moment the watch is on, no event is missed; one before that shows in the next answer.
        if (watch) await watch.change(Math.min(number + 1, left))
        else watch = await this.transport.watch(key)
      }
    } finally {
      await watch?.end()
    }
  }

  async #rebuild(key, token, build) {
    const { call } = this.transport
    const renewing = setInterval(() => call('CACHE.RENEW', key, token, this.lease).catch(() => {}), this.lease / 3)
    let value
    try {
      value = await build()
    } catch (error) {
      const message = Buffer.from(String(error?.message ?? error)).subarray(0, 1024)
      const verdict = await call('CACHE.FAIL', key, token, message, 'BACKOFF', this.backoff)
      if (verdict?.[0] === 'STALE') return verdict[1] // the old value may still be served
      throw error
    } finally {
      clearInterval(renewing)
    }
    // null is normal: the key was invalidated, or another took over. An error (out of memory) is no reason to lose what
    // was built either.
    await call('CACHE.FILL', key, token, value, 'PX', this.fresh, 'SWR', this.swr, 'SIE', this.sie).catch(() => {})
    return value
  }
}

/** For transports that park in the server: WAIT means that BLOCK ran out, or that nobody is parked just now. */
export const askAgainSoon = { change: () => sleep(20 + Math.random() * 80), end() {} }
