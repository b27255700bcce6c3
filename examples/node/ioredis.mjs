// ioredis sends everything over one socket, where a parked call would hold up every other: parked calls get their own.
import { Redis } from 'ioredis'
import { Corral, askAgainSoon } from './corral.mjs'

export async function connect(url, { block = 2_000, mostParked = 200, ...times } = {}) {
  const redis = new Redis(url)
  const all = [redis]
  const idle = []
  async function ask(key, ...options) {
    if (idle.length === 0 && all.length <= mostParked) {
      const opened = redis.duplicate()
      all.push(opened)
      idle.push(opened)
    }
    const own = idle.pop()
    if (!own) return redis.call('CACHE.GETORLOCK', key, ...options) // none left: not parked, asked again soon
    try {
      return await own.call('CACHE.GETORLOCK', key, ...options, 'BLOCK', block)
    } finally {
      idle.push(own)
    }
  }
  return new Corral({
    call: (...args) => redis.call(...args),
    ask,
    watch: () => askAgainSoon,
    close: () => all.forEach((each) => each.disconnect()),
  }, times)
}
