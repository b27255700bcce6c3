// Without BLOCK: one socket for all commands and one for events, however many callers wait.
// The server needs: CONFIG SET notify-keyspace-events Kd
import { createClient } from 'redis'
import { Corral } from './corral.mjs'

export async function connect(url, times = {}) {
  const client = createClient({ url })
  const events = client.duplicate()
  for (const each of [client, events]) await each.on('error', () => {}).connect() // commands report errors themselves
  const call = (...args) => client.sendCommand(args.map((arg) => (Buffer.isBuffer(arg) ? arg : String(arg))))

  async function watch(key) {
    const channel = `__keyspace@0__:${key}`
    let changed = false
    let wake = () => {}
    const listener = (event) => {
      if (event === 'cache.lock') return // a lease was granted: there is nothing to fetch yet
      changed = true // kept, as it may come between an answer and the wait
      wake()
    }
    await events.subscribe(channel, listener)
    return {
      // At the latest after the number's ms: a lease that runs out makes no event.
      async change(ms) {
        let timer
        if (!changed) await new Promise((resolve) => { wake = resolve; timer = setTimeout(resolve, ms) })
        clearTimeout(timer)
        changed = false
      },
      end: () => events.unsubscribe(channel, listener),
    }
  }

  const ask = (key, ...options) => call('CACHE.GETORLOCK', key, ...options)
  return new Corral({ call, ask, watch, close: () => { client.destroy(); events.destroy() } }, times)
}
