// Next.js 16, `cacheHandlers`: what "use cache" keeps. One process renders an entry, all others wait for it.
import { Claims } from './claim.js'
import type { Corral } from './corral.js'

/** What Next.js keeps; its type is not exported by it. */
export interface CacheEntry {
  value: ReadableStream<Uint8Array>
  tags: string[]
  /** Seconds. */
  stale: number
  /** Milliseconds since 1970. */
  timestamp: number
  /** Seconds. */
  expire: number
  /** Seconds; negative: render again behind this one. */
  revalidate: number
}

type Stored = Omit<CacheEntry, 'value'> & { bornAt: number }

export interface NextOptions {
  /** Prefix of the keys; default `next:`. A build id in it keeps deploys apart. */
  prefix?: string
  /** Seconds of the longest render: Next tells nobody that one failed, so this is how long others wait in vain. Default 30. */
  lease?: number
}

export function nextCacheHandler(corral: Corral, { prefix = 'next:', lease = 30 }: NextOptions = {}) {
  const claims = new Claims(corral, lease)
  return {
    async get(cacheKey: string, softTags: string[]): Promise<CacheEntry | undefined> {
      const key = prefix + cacheKey
      const marks = softTags.length > 0 ? corral.tagged(softTags, key) : Promise.resolve([])
      marks.catch(() => {}) // awaited below
      let answer = await claims.get(key)
      if (!answer.bytes) return undefined
      let [stored, body] = unpacked(answer.bytes)
      // Soft tags are those of the path, which entries do not carry: a page that shows the entry was invalidated.
      const outdated = Math.max(0, ...await marks.catch(() => [])) >= stored.bornAt
      if (outdated) {
        if (!answer.mine) answer = await claims.get(key, true)
        if (answer.mine || !answer.bytes) return undefined
        ;[stored, body] = unpacked(answer.bytes)
      }
      const { bornAt: _, ...entry } = stored
      const value = new Blob([body as Uint8Array<ArrayBuffer>]).stream()
      if (answer.mine) return { ...entry, value, revalidate: -1 } // to be rendered again here, behind this answer
      // Another process renders it, or will be told to: good as new. By its own clock, every process of Next would.
      const old = answer.stale || Date.now() >= entry.timestamp + entry.revalidate * 1000
      return { ...entry, value, ...(old && { timestamp: Date.now() }) }
    },

    async set(cacheKey: string, pendingEntry: Promise<CacheEntry>): Promise<void> {
      const key = prefix + cacheKey
      try {
        const { value, ...entry } = await pendingEntry
        const body = Buffer.from(await new Response(value).arrayBuffer())
        if (entry.expire === 0) return await claims.pass(key)
        const bornAt = claims.grantedAt(key) ?? Date.now()
        const renderedFor = (Date.now() - entry.timestamp) / 1000 // its age counts from the beginning
        await claims.set(key, packed({ ...entry, bornAt }, body), entry.timestamp, {
          ttl: Math.max(0.001, entry.revalidate - renderedFor), swr: Math.max(0, entry.expire - entry.revalidate), tags: entry.tags,
        })
      } catch (error) {
        await claims.release(key)
        throw error
      }
    },

    async refreshTags(): Promise<void> {
      // The server knows the tags; there is no copy of them here.
    },

    /** Infinity: `get` judges soft tags itself, when it reads. Judged by Next, an outdated entry would be rendered by every process. */
    async getExpiration(_tags: string[]): Promise<number> {
      return Infinity
    },

    async updateTags(tags: string[], durations?: { expire?: number }): Promise<void> {
      await corral.invalidateTags(tags, durations ? { swr: durations.expire } : { swr: 0 })
    },
  }
}

function packed(stored: Stored, body: Buffer): Buffer {
  const head = Buffer.from(JSON.stringify(stored))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(head.length)
  return Buffer.concat([length, head, body])
}

function unpacked(bytes: Buffer): [Stored, Buffer] {
  const end = 4 + bytes.readUInt32BE(0)
  return [JSON.parse(bytes.toString('utf8', 4, end)), bytes.subarray(end)]
}
