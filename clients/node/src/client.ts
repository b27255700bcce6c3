// Which library a client is of, and keys as it would send them.
import { Usage } from './errors.js'
import { ioredis, isIoRedis, load as loadIoRedis, type IoRedis } from './ioredis.js'
import { isText, type Argument, type Library } from './link.js'
import { isNodeRedis, load as loadNodeRedis, nodeRedis, type NodeRedis } from './node-redis.js'

/** A client, cluster or Sentinel object of node-redis or ioredis, or the URL of a server. */
export type Client = NodeRedis | IoRedis | string

export function checkedClient(client: Client): Client {
  if (typeof client === 'string' ? /^(rediss?|unix):\/\//.test(client) : isNodeRedis(client) || isIoRedis(client)) return client
  throw new Usage('Corral takes a client, cluster or Sentinel object of node-redis or ioredis, or a URL such as redis://127.0.0.1:6379')
}

export async function libraryOf(client: Client): Promise<Library> {
  if (typeof client !== 'string') return isNodeRedis(client) ? nodeRedis(client) : ioredis(client)
  try {
    const { createClient } = await loadNodeRedis()
    return nodeRedis(createClient({ url: client }))
  } catch (error) {
    if (!(error instanceof Usage)) throw error
  }
  try {
    const { Redis } = await loadIoRedis()
    return ioredis(new Redis(client, { lazyConnect: true }))
  } catch (error) {
    throw error instanceof Usage ? new Usage('for a URL either client library must be installed: npm install redis, or npm install ioredis') : error
  }
}

export function withPrefix(prefix: string, key: Argument): Argument {
  if (typeof key !== 'string' && !Buffer.isBuffer(key)) throw new Usage(`a key is a text or a Buffer, not ${key === null ? 'null' : typeof key}`)
  if (prefix === '') return key
  return typeof key === 'string' ? prefix + key : Buffer.concat([Buffer.from(prefix), key])
}

/** The same text for the same bytes, whether they were given as text or not. */
export function idOf(key: Argument): string {
  return isText(key) ? key.toString() : `bytes ${(key as Buffer).toString('hex')}`
}
