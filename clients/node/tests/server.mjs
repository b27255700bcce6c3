// A real server with the module, on a free port of its own. CORRAL_SERVER and CORRAL_MODULE name others.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'

const { CORRAL_SERVER = 'redis-server', CORRAL_MODULE } = process.env

/** Below the ports that the system gives to connections. */
export async function freePort() {
  for (;;) {
    const port = 20000 + Math.floor(Math.random() * 12000)
    const free = await new Promise((resolve) => {
      const probe = createServer().once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
    })
    if (free) return port
  }
}

/** Started, and answering. `redis` is a client of the test's own; `has` are the module's words. */
export async function startServer() {
  const directory = mkdtempSync(join(tmpdir(), 'corral-node-'))
  const port = await freePort()
  const log = join(directory, 'log')
  const process = spawn(CORRAL_SERVER, ['--bind', '127.0.0.1', '--port', String(port), '--dir', directory, '--save', '', '--loadmodule', CORRAL_MODULE, '--logfile', log], { stdio: 'ignore' })
  const ended = new Promise((resolve) => process.once('exit', resolve))
  const url = `redis://127.0.0.1:${port}`
  const redis = createClient({ url, socket: { reconnectStrategy: (tries) => (process.exitCode === null && tries < 200 ? 50 : false) } })
  redis.on('error', () => {})
  try {
    await redis.connect()
  } catch (error) {
    throw new Error(`${CORRAL_SERVER} did not start:\n${readFileSync(log)}`, { cause: error })
  }
  const version = await redis.sendCommand(['CACHE.VERSION']).catch(() => undefined)
  return {
    url, port, redis,
    has: (word) => version !== undefined && [...version.commands, ...version.options].some((known) => known.toLowerCase() === word),
    async stop() {
      redis.destroy()
      process.kill()
      await ended
      rmSync(directory, { recursive: true })
    },
  }
}

/** Asks again until it is so, or the deadline has passed. */
export async function until(sentence, ask, seconds = 10) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${sentence}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
