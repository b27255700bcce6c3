// A store for keyv. Keyv sets and gets, so it is no help against stampedes by itself: `getOrBuild` of the same Corral is,
// and both can share a server.
import { EventEmitter } from 'node:events'
import type { Corral } from './corral.js'

export class KeyvCorral extends EventEmitter {
  /** Set by keyv, and part of every key it gives. */
  namespace?: string
  readonly opts: Record<string, unknown> = { dialect: 'redis' }

  constructor(readonly corral: Corral) {
    super()
  }

  async get(key: string): Promise<string | undefined> {
    const [state, value] = await this.corral.command(key, 'CACHE.GET') as [unknown, Buffer | null]
    return String(state) === 'HIT' ? value!.toString() : undefined
  }

  async getMany(keys: string[]): Promise<(string | undefined)[]> {
    return await Promise.all(keys.map((key) => this.get(key)))
  }

  async set(key: string, value: string, ttlMs?: number): Promise<void> {
    const deadline = ttlMs ? ['PX', String(Math.max(1, Math.round(ttlMs))), 'SWR', '0', 'SIE', '0'] : []
    await this.corral.command(key, 'CACHE.SET', value, ...deadline, 'TAGS', '1', this.#tag())
  }

  async delete(key: string): Promise<boolean> {
    return await this.corral.command(key, 'DEL') === 1
  }

  async deleteMany(keys: string[]): Promise<boolean> {
    return (await Promise.all(keys.map((key) => this.delete(key)))).includes(true)
  }

  async has(key: string): Promise<boolean> {
    return await this.get(key) !== undefined
  }

  /** Every entry of the namespace carries its tag, so nothing has to be looked for. */
  async clear(): Promise<void> {
    await this.corral.invalidateTags(this.#tag(), { swr: 0 })
  }

  async disconnect(): Promise<void> {
    await this.corral.close()
  }

  #tag(): string {
    return `keyv:${this.namespace ?? ''}`
  }
}
