// What a hit costs beside the bare client's own call: node figures.mjs URL [CALLS]. Rounds of each take turns, and the figure is
// the middle one of the ratios, of the clock's time and of this process's processor time (which a busy machine blurs
// less). Nothing here can fail a test.
import { Redis } from 'ioredis'
import { createClient, createClientPool } from 'redis'
import { Corral } from 'corral-cache'

const url = process.argv[2]
const most = Number(process.argv[3] ?? 20_000) // calls of a round
const redis = createClient({ url })
await redis.connect()
const io = new Redis(url)
const keys = Array.from({ length: 200 }, (_, at) => `figures:${at}`)
for (const key of keys) {
  await redis.sendCommand(['CACHE.SET', key, '"value"', 'PX', '3600000'])
  await redis.set(`${key}:plain`, '"value"')
}

async function seconds(call, flying, calls) {
  let left = calls
  const began = performance.now()
  const used = process.cpuUsage()
  await Promise.all(Array.from({ length: flying }, async (_, at) => {
    while (left-- > 0) await call(keys[at])
  }))
  const { user, system } = process.cpuUsage(used)
  return { clock: (performance.now() - began) / 1000, processor: (user + system) / 1e6 }
}

const middle = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]

async function compare(name, bare, package_, flying) {
  const calls = flying === 1 ? most / 10 : most
  await seconds(bare, flying, calls)
  await seconds(package_, flying, calls)
  const rounds = []
  for (let round = 0; round < 7; round++) rounds.push([await seconds(bare, flying, calls), await seconds(package_, flying, calls)])
  const ratio = (kind) => middle(rounds.map(([plain, own]) => own[kind] / plain[kind])).toFixed(2)
  const rate = Math.round(calls / middle(rounds.map(([, own]) => own.clock)))
  console.log(`${name}, ${flying} in flight: ${rate} hits/s, ${ratio('clock')} x the bare call's time, ${ratio('processor')} x its processor time`)
}

const build = () => 'value'
for (const [name, client, bare] of [
  ['node-redis', redis, async (key) => JSON.parse(String((await redis.sendCommand(['CACHE.GETORLOCK', key, 'LEASE', '10000']))[1]))],
  ['ioredis', io, async (key) => JSON.parse(String((await io.callBuffer('CACHE.GETORLOCK', key, 'LEASE', '10000'))[1]))],
]) {
  const cache = new Corral(client)
  for (const flying of [1, 200]) await compare(name, bare, (key) => cache.getOrBuild(key, build), flying)
  await compare(`${name}, beside GET`, async (key) => JSON.parse(await client.get(`${key}:plain`)), (key) => cache.getOrBuild(key, build), 200)
  await cache.close()

  const near = new Corral(client, { local: 1000 })
  await near.getOrBuild(keys[0], build)
  await near.getOrBuild(keys[0], build)
  const rate = most / (await seconds(() => near.getOrBuild(keys[0], build), 1, most)).clock
  // How long this process serves a value after somebody else's INVALIDATE.
  const [delays, rounds] = [[], name === 'ioredis' ? 20 : 200]
  for (let round = 0; round < rounds; round++) {
    await near.getOrBuild(keys[1], () => round - 1)
    await near.getOrBuild(keys[1], build) // over node-redis the second answer is the one that is kept
    await new Promise((done) => setTimeout(done, Math.random() * (name === 'ioredis' ? 1000 : 5)))
    await redis.sendCommand(['CACHE.INVALIDATE', keys[1]])
    const invalidated = performance.now()
    while (await near.getOrBuild(keys[1], () => round) !== round) await new Promise(setImmediate)
    delays.push(performance.now() - invalidated)
  }
  delays.sort((a, b) => a - b)
  const at = (percent) => delays[Math.floor(rounds * percent / 100)].toFixed(1)
  console.log(`${name}, local: ${Math.round(rate)} hits/s; an old value is served for ${at(50)} ms (p50), ${at(99)} ms (p99 of ${rounds}) after an INVALIDATE elsewhere`)
  await near.close()
}

// What a connection for each caller would cost: why hits share one.
const pool = createClientPool({ url }, { minimum: 200, maximum: 200 })
pool.on('error', () => {})
await pool.connect()
const cache = new Corral(redis)
await compare('node-redis, beside a pool of 200', async (key) => JSON.parse(String((await pool.sendCommand(['CACHE.GETORLOCK', key, 'LEASE', '10000']))[1])), (key) => cache.getOrBuild(key, build), 200)
await cache.close()
pool.destroy()
redis.destroy()
io.disconnect()
