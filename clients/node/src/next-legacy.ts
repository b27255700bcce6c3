// Next.js, `cacheHandler` (singular): ISR pages, route handlers, fetch and unstable_cache.
import { deserialize, serialize } from 'node:v8'
import { Claims } from './claim.js'
import type { Corral } from './corral.js'
import type { NextOptions } from './next.js'

interface CacheControl {
  revalidate?: number | false
  expire?: number
}
interface Found {
  lastModified: number
  value: any
  cacheControl?: CacheControl
}
type Stored = Found & { bornAt: number }
interface GetContext {
  tags?: string[]
  softTags?: string[]
}
interface SetContext {
  tags?: string[]
  cacheControl?: CacheControl
  revalidate?: number | false
}

const YEAR_SECONDS = 31_536_000

/** A class, as Next makes an object of it for each request; the claims outlive them. */
export function nextLegacyCacheHandler(corral: Corral, { prefix = 'next:', lease = 30 }: NextOptions = {}) {
  const claims = new Claims(corral, lease)
  return class CorralCacheHandler {
    async get(cacheKey: string, { tags = [], softTags = [] }: GetContext = {}): Promise<Found | null> {
      const key = prefix + cacheKey
      const asked = [...tags, ...softTags]
      const marks = asked.length > 0 ? corral.tagged(asked, key) : Promise.resolve([])
      marks.catch(() => {}) // awaited below
      let answer = await claims.get(key)
      if (!answer.bytes) return null
      let stored = deserialize(answer.bytes) as Stored
      if (Math.max(0, ...await marks.catch(() => [])) >= stored.bornAt) {
        if (!answer.mine) answer = await claims.get(key, true)
        if (answer.mine || !answer.bytes) return null
        stored = deserialize(answer.bytes) as Stored
      }
      const { bornAt: _, ...found } = stored
      // Next renders again, behind this answer, what is older than its revalidate: this process if it has the claim, else none.
      const now = Date.now()
      const revalidate = found.cacheControl?.revalidate || found.value?.revalidate
      const limit = typeof revalidate === 'number' ? now - 1000 * revalidate - 1 : -Infinity
      if (answer.mine && limit === -Infinity) return null // a tag's doing: Next would take it for fresh
      if (answer.mine) found.lastModified = Math.min(found.lastModified, limit)
      else if (answer.stale || found.lastModified <= limit) found.lastModified = now
      return found
    }

    async set(cacheKey: string, value: any, context: SetContext = {}): Promise<void> {
      const key = prefix + cacheKey
      const revalidate = value?.revalidate ?? context.cacheControl?.revalidate ?? context.revalidate
      if (revalidate === 0) return await claims.pass(key)
      const expire = context.cacheControl?.expire ?? YEAR_SECONDS
      const header = value?.headers?.['x-next-cache-tags']
      const tags = context.tags ?? (typeof header === 'string' ? header.split(',') : [])
      const now = Date.now()
      const stored: Stored = {
        lastModified: now, value, bornAt: claims.grantedAt(key) ?? now, ...(context.cacheControl && { cacheControl: context.cacheControl }),
      }
      await claims.set(key, serialize(stored), now, {
        ...(typeof revalidate === 'number' && { ttl: revalidate, swr: Math.max(0, expire - revalidate) }), tags,
      })
    }

    async revalidateTag(tags: string | string[], durations?: { expire?: number }): Promise<void> {
      await corral.invalidateTags(tags, durations ? { swr: durations.expire } : { swr: 0 })
    }

    resetRequestCache(): void {
      // Nothing is kept for a request.
    }
  }
}
