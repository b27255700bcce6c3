// node-redis: createClient, createCluster, createSentinel. Links are duplicates with everything clever turned off.
import { Lost, ServerError, Usage } from './errors.js'
import type { Library, Link, Messages } from './link.js'

/** A client, cluster or sentinel of node-redis, by what is used of it. */
export interface NodeRedis {
  sendCommand(...args: any[]): Promise<any>
  duplicate(overrides?: any): any
  connect(): Promise<any>
  destroy(): unknown
  readonly isOpen: boolean
}

export function isNodeRedis(client: any): client is NodeRedis {
  return typeof client?.sendCommand === 'function' && typeof client.duplicate === 'function' && 'isOpen' in client
}

export function nodeRedis(client: any): Library {
  if (client._options?.rootNodes) return ofCluster(client)
  if (typeof client.getSentinelNode === 'function') return ofSentinel(client)
  const { socket, RESP, keyPrefix } = client.options ?? {}
  return {
    where: socket?.path ?? `${socket?.host ?? 'localhost'}:${socket?.port ?? 6379}`,
    keyPrefix: String(keyPrefix ?? ''),
    tracks: (RESP ?? 3) === 3,
    connect: async (_node, timeoutMs, messages) => linkOf(client, {}, timeoutMs, messages),
    close() {},
  }
}

function ofSentinel(sentinel: any): Library {
  // The library follows failovers only in an object that is connected, and its options are private: so we keep one.
  const own = sentinel.duplicate()
  own.on('error', () => {})
  let connected: Promise<unknown> | undefined
  return {
    where: `the master that the sentinels of ${sentinel.getSentinelNode?.()?.host ?? 'the client'} name`,
    keyPrefix: String(sentinel._keyPrefix ?? ''),
    tracks: true,
    async connect(_node, timeoutMs, messages) {
      connected ??= own.connect().catch((error: unknown) => {
        connected = undefined
        throw lost(error)
      })
      await connected
      const master = await own._execute(false, async (client: unknown) => client)
      return linkOf(master, {}, timeoutMs, messages)
    },
    close() {
      if (own.isOpen) void own.destroy()
    },
  }
}

function ofCluster(cluster: any): Library {
  const { rootNodes, defaults = {}, RESP, keyPrefix } = cluster._options
  return {
    where: rootNodes.map((node: any) => node.url ?? `${node.socket?.host}:${node.socket?.port}`).join(', '),
    keyPrefix: String(keyPrefix ?? ''),
    tracks: (RESP ?? 3) === 3,
    async connect(node, timeoutMs, messages) {
      const { createClient } = await load()
      const at = node!.lastIndexOf(':')
      const socket = { ...defaults.socket, host: node!.slice(0, at), port: Number(node!.slice(at + 1)) }
      return linkOf(createClient({ ...defaults, RESP, socket }), { socket }, timeoutMs, messages)
    },
    async topology() {
      // A duplicate that connects reads the slots and, so told, opens nothing else. `nodeAddressMap` is applied in it.
      const fresh = cluster.duplicate({ minimizeConnections: true })
      fresh.on('error', () => {})
      try {
        await fresh.connect()
        return fresh.slots.map((shard: any) => `${shard.master.host}:${shard.master.port}`)
      } catch (error) {
        throw lost(error)
      } finally {
        if (fresh.isOpen) fresh.destroy()
      }
    },
    close() {},
  }
}

function linkOf(like: any, overrides: { socket?: object }, timeoutMs: number, { heard: wanted, hears }: Messages): Link {
  const heard = (like.options?.RESP ?? 3) === 3 ? wanted : undefined // RESP2 has no pushes
  const client = like.duplicate({
    socket: { ...like.options?.socket, ...overrides.socket, reconnectStrategy: false, connectTimeout: timeoutMs, socketTimeout: 0 },
    // 36 is "$": values are bytes. Its time-out makes an AbortSignal for every command, which is most of what a hit costs it.
    commandOptions: { typeMapping: { 36: Buffer }, timeout: undefined },
    disableOfflineQueue: true,
    clientSideCache: undefined,
    emitInvalidate: heard !== undefined,
    pingInterval: undefined,
    readonly: false,
  })
  client.on('error', () => heard?.(null)) // commands report what went wrong
  if (heard) client.on('invalidate', (key: Buffer | string | null) => heard(key === null ? null : Buffer.from(key)))
  return {
    ready: client.connect().then(() => {}, (error: unknown) => Promise.reject(lost(error))),
    get open() {
      return client.isReady
    },
    send: (args) => client.sendCommand(args),
    errorOf: lost,
    close() {
      if (client.isOpen) client.destroy()
    },
    subscribe: (channel) => client.sSubscribe(channel, hears),
    unsubscribe: (channel) => client.sUnsubscribe(channel),
    onEnd: (ended) => client.on('error', ended), // of one that does not reconnect
  }
}

function lost(error: any): Lost | ServerError | Usage {
  if (error instanceof TypeError) return new Usage(error.message, { cause: error }) // an argument that it cannot send
  for (let kind = Object.getPrototypeOf(error); kind; kind = Object.getPrototypeOf(kind)) {
    if (kind.constructor?.name === 'ErrorReply') return new ServerError(error.message, { cause: error })
  }
  return new Lost(error.message || error.code || String(error), { cause: error })
}

/** @internal */
export async function load(): Promise<{ createClient(options: object): any }> {
  for (const name of ['redis', '@redis/client']) {
    try {
      return await import(name)
    } catch (error: any) {
      if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    }
  }
  throw new Usage('node-redis is not installed: npm install redis')
}
