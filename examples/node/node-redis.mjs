// node-redis sends everything over one socket, where a parked call would hold up every other: parked calls get a pool.
import { createClient, createClientPool } from 'redis'
import { Corral, askAgainSoon } from './corral.mjs'

export async function connect(url, { block = 2_000, mostParked = 200, ...times } = {}) {
  const client = createClient({ url })
  // More callers than connections queue for one; a connection is held for BLOCK at most.
  const parked = createClientPool({ url }, { maximum: mostParked, acquireTimeout: block + 3_000 })
  for (const each of [client, parked]) await each.on('error', () => {}).connect() // commands report errors themselves
  const text = (args) => args.map((arg) => (Buffer.isBuffer(arg) ? arg : String(arg)))
  return new Corral({
    call: (...args) => client.sendCommand(text(args)),
    ask: (key, ...options) => parked.sendCommand(text(['CACHE.GETORLOCK', key, ...options, 'BLOCK', block])),
    watch: () => askAgainSoon,
    close: () => { client.destroy(); parked.destroy() },
  }, times)
}
