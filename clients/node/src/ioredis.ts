// ioredis: Redis (Sentinels included) and Cluster. Links are duplicates with everything clever turned off.
import { Lost, ServerError, Usage } from './errors.js'
import type { Library, Link, Messages } from './link.js'

/** A Redis or Cluster of ioredis, by what is used of it. */
export interface IoRedis {
  callBuffer(command: string, ...args: any[]): Promise<any>
  duplicate(...args: any[]): any
  disconnect(reconnect?: boolean): void
  readonly options: any
}

export function isIoRedis(client: any): client is IoRedis {
  return typeof client?.callBuffer === 'function' && typeof client.duplicate === 'function'
}

// `close` events would begin again what an answer should say once; and INFO, which the ready check sends, may be forbidden.
const PLAIN = {
  lazyConnect: true, retryStrategy: () => null, reconnectOnError: null, autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0, enableOfflineQueue: false, enableAutoPipelining: false, enableReadyCheck: false, keyPrefix: '',
  replyMapping: 'legacy', stringNumbers: false, commandTimeout: undefined, socketTimeout: undefined,
  blockingTimeout: undefined, monitor: false, readOnly: false,
}

export function ioredis(client: any): Library {
  if (client.isCluster) return ofCluster(client)
  const { sentinels, name, path, host, port, keyPrefix } = client.options
  return {
    where: sentinels ? `the master ${name} of the sentinels` : path ?? `${host}:${port}`,
    keyPrefix: String(keyPrefix ?? ''),
    tracks: false, // ioredis shows nobody the pushes of CLIENT TRACKING
    connect: async (_node, timeoutMs, messages) => linkOf(client.duplicate({ ...PLAIN, connectTimeout: timeoutMs, sentinelRetryStrategy: () => null }), messages),
    close() {},
  }
}

function ofCluster(cluster: any): Library {
  return {
    where: (cluster.startupNodes ?? []).map((node: any) => (node.host ? `${node.host}:${node.port}` : String(node))).join(', '),
    keyPrefix: String(cluster.options.keyPrefix ?? ''),
    tracks: false,
    async connect(node, timeoutMs, messages) {
      const { Redis } = await load()
      const at = node!.lastIndexOf(':')
      return linkOf(new Redis({
        ...cluster.options.redisOptions, ...PLAIN, connectTimeout: timeoutMs,
        host: node!.slice(0, at), port: Number(node!.slice(at + 1)),
      }), messages)
    },
    async topology() {
      // A duplicate that connects reads the slots, and opens nothing but what it read them from. `natMap` is applied in it.
      const fresh = cluster.duplicate(undefined, {
        lazyConnect: true, clusterRetryStrategy: () => null, slotsRefreshInterval: undefined, enableReadyCheck: false, shardedSubscribers: false,
      })
      fresh.on('error', () => {})
      try {
        await fresh.connect()
        return Array.from({ length: 16384 }, (_, slot) => fresh.slots[slot]?.[0])
      } catch (error) {
        throw lost(error)
      } finally {
        fresh.disconnect()
      }
    },
    close() {},
  }
}

function linkOf(redis: any, { hears }: Messages): Link {
  let failed: unknown
  redis.on('error', (error: unknown) => (failed = error)) // commands report what went wrong, but for the handshake
  if (hears) redis.on('smessage', (channel: string, message: string) => hears(message, channel))
  let corked = false
  // ioredis writes each command by itself; those of one turn go out together.
  const cork = () => {
    const { stream } = redis
    if (corked || !stream) return
    corked = true
    stream.cork()
    process.nextTick(() => {
      corked = false
      stream.uncork()
    })
  }
  return {
    ready: redis.connect().then(() => {}, (error: unknown) => {
      redis.disconnect()
      return Promise.reject(lost(failed ?? error))
    }),
    get open() {
      return redis.status === 'ready' && redis.stream?.writable
    },
    send([command, ...args]) {
      cork()
      return redis.callBuffer(command, ...args)
    },
    errorOf: lost,
    close() {
      redis.disconnect()
      redis.stream?.destroy() // disconnect() alone waits for the server to close its side; a hung one never does
    },
    subscribe: (channel) => redis.ssubscribe(channel),
    unsubscribe: (channel) => redis.sunsubscribe(channel),
    onEnd: (ended) => redis.on('end', ended),
  }
}

function lost(error: any): Lost | ServerError | Usage {
  if (error instanceof TypeError) return new Usage(error.message, { cause: error }) // an argument that it cannot send
  if (error.name === 'ReplyError') return new ServerError(error.message, { cause: error })
  return new Lost(error.lastNodeError?.message ?? (error.message || error.code || String(error)), { cause: error })
}

/** @internal */
export async function load(): Promise<{ Redis: new (...args: any[]) => any }> {
  try {
    return await import('ioredis' as string)
  } catch (error: any) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Usage('ioredis is not installed: npm install ioredis')
  }
}
