import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { AsyncLocalStorage } from 'node:async_hooks'
import { createClient } from 'redis'
import { Corral, ServerError, Unavailable, Usage } from 'corral-cache'
import { cachified } from 'corral-cache/cachified'
import { otelEvents } from 'corral-cache/otel'
import { explained, isMoving, isOutage } from './node_modules/corral-cache/dist/errors.js' // not exported
import { Near } from './node_modules/corral-cache/dist/near.js'
import { startServer, until } from './server.mjs'

let server
let cache
before(async () => {
  server = await startServer()
  cache = new Corral(server.url, { log() {} })
})
after(async () => {
  await cache.close()
  await server.stop()
})

test('cachified builds once, refreshes behind the old value, and builds anew what does not check', async () => {
  let builds = 0
  const seen = []
  const get = (more) => cachified({
    cache, key: 'c', ttl: 60_000, swr: 60_000, ...more,
    getFreshValue({ background }) {
      seen.push(background)
      return { n: ++builds }
    },
  })
  const all = await Promise.all([get(), get(), get()])
  assert.deepEqual(all, [{ n: 1 }, { n: 1 }, { n: 1 }])
  await cache.invalidate('c')
  assert.deepEqual(await get(), { n: 1 })
  await until('it was refreshed', async () => (await get()).n === 2)
  assert.deepEqual(await get({ forceFresh: true }), { n: 3 })
  assert.deepEqual(await get({ checkValue: ({ n }) => n > 3 || 'too small' }), { n: 4 })
  assert.deepEqual(seen, [false, true, false, false])
  await assert.rejects(get({ key: 'other', checkValue: () => 'never good' }), /never good/)
})

test('events become spans and counters of OpenTelemetry', async () => {
  const spans = new InMemorySpanExporter()
  const tracer = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }).getTracer('test')
  const numbers = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: numbers })
  const traced = new Corral(server.url, { ttl: 60, log() {}, onEvent: otelEvents(tracer, new MeterProvider({ readers: [reader] }).getMeter('test')) })
  await traced.getOrBuild('o', () => 1)
  await traced.getOrBuild('o', () => 1)
  await assert.rejects(traced.getOrBuild('bad', () => Promise.reject(new Error('no'))))
  await traced.close()
  await reader.forceFlush()
  assert.deepEqual(spans.getFinishedSpans().map(({ name, attributes, status }) => [name, attributes['corral.key'], status.code]), [['corral build', 'o', 0], ['corral build', 'bad', 2]])
  const told = (name) => numbers.getMetrics().at(-1).scopeMetrics[0].metrics.find(({ descriptor }) => descriptor.name === name)
  const counted = told('corral.events')
  assert.deepEqual(Object.fromEntries(counted.dataPoints.map(({ attributes, value }) => [attributes.name, value])), { built: 1, hit: 1, failed: 1 })
  assert.equal(told('corral.build').descriptor.unit, 's')
  await reader.shutdown()
})

test('a refresh keeps the AsyncLocalStorage of the request that began it', async () => {
  const requests = new AsyncLocalStorage()
  await cache.getOrBuild('als', () => 'old', { ttl: 60, swr: 60 })
  await cache.invalidate('als')
  let inside
  assert.equal(await requests.run('request 7', () => cache.getOrBuild('als', async () => {
    await new Promise(setImmediate)
    inside = requests.getStore()
    return 'new'
  }, { ttl: 60, swr: 60 })), 'old')
  await until('it was refreshed', () => inside)
  assert.equal(inside, 'request 7')
})

test('a process that was blocked for longer than the read time-out does not take the server for gone', async () => {
  const events = []
  const blocked = new Corral(server.url, { readTimeout: 0.4, degrade: 'raise', log() {}, onEvent: ({ type }) => events.push(type) })
  await blocked.getOrBuild('blocked', () => 1)
  const calls = ['blocked', 'blocked too', 'and another'].map((key) => blocked.getOrBuild(key, () => 1))
  const until = performance.now() + 1500
  while (performance.now() < until); // as a synchronous query does
  assert.deepEqual(await Promise.all(calls), [1, 1, 1])
  assert.ok(!events.includes('degraded'))
  await blocked.close()
})

test('a grant that comes when its caller has left is released', async () => {
  await cache.getOrBuild('warm', () => 1) // now answers come over the shared connection, with no promise between
  for (let round = 0; round < 20; round++) {
    const caller = new AbortController()
    const call = cache.getOrBuild(`left ${round}`, () => new Promise(() => {}), { lease: 60, signal: caller.signal })
    const refused = assert.rejects(call, { name: 'AbortError' })
    if (round % 2) await new Promise(setImmediate)
    caller.abort()
    await refused
  }
  await until('no lease is left', async () => (await server.redis.sendCommand(['CACHE.LEASES'])).length === 0)
})

test('no copy is kept of a question that was asked before the key changed, whatever was asked and answered since', () => {
  for (const changed of ['k', null]) {
    const near = new Near(10)
    const [old, other] = [near.ask('k'), near.ask('k')]
    near.end('k', other)
    near.drop(changed)
    const fresh = near.ask('k')
    near.keep('k', old, Buffer.from('old'), performance.now() + 1000)
    assert.equal(near.get('k'), undefined)
    near.end('k', old)
    near.keep('k', fresh, Buffer.from('new'), performance.now() + 1000)
    assert.equal(String(near.get('k')), 'new')
  }
})

test('a change is told again when its connection was lost, and a copy is as old as its question', async () => {
  const mine = await startServer()
  const own = new Corral(mine.url, { log() {}, ttl: 60 })
  await own.getOrBuild('k', async () => 1)
  for (const change of [() => own.outdate('k', 9), () => own.invalidate('k')]) {
    await mine.redis.sendCommand(['CACHE.SET', 'k', '1', 'PX', '60000', 'SWR', '60000'])
    await mine.redis.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
    await mine.redis.sendCommand(['CONFIG', 'SET', 'maxclients', '1'])
    const told = change()
    await new Promise((done) => setTimeout(done, 300))
    await mine.redis.sendCommand(['CONFIG', 'SET', 'maxclients', '100'])
    await told
    assert.equal(String((await mine.redis.sendCommand(['CACHE.GET', 'k']))[0]), 'STALE')
  }
  await own.close()
  await mine.stop()

  const near = new Near(10)
  near.keep('late', near.ask('late'), Buffer.from('old'), performance.now() - 1)
  assert.equal(near.get('late'), undefined)
})

test('what JSON would make another object of is refused, and so is every value without a JSON of its own', async () => {
  for (const [at, value] of [Buffer.from('b'), new Uint8Array(2), new Map(), new Set(), undefined, () => 1, { inside: [Buffer.from('b')] }, 1n].entries()) {
    await assert.rejects(cache.getOrBuild(`json ${at}`, () => value), TypeError)
  }
  assert.deepEqual(await cache.getOrBuild('json object', () => ({ a: [null, 1], toJSON: undefined })), { a: [null, 1] })
})

test('that a server refuses is said once, until something is stored again', async () => {
  const said = []
  const refused = new Corral(server.url, { log: (message) => said.push(message) })
  for (let round = 1; round <= 2; round++) {
    await server.redis.sendCommand(['CONFIG', 'SET', 'min-replicas-to-write', '1'])
    for (const key of ['r1', 'r2', 'r3']) assert.equal(await refused.getOrBuild(`${key} ${round}`, () => 1), 1)
    assert.equal(said.length, round)
    assert.match(said.at(-1), /NOREPLICAS/)
    await server.redis.sendCommand(['CONFIG', 'SET', 'min-replicas-to-write', '0'])
    await refused.getOrBuild(`stored ${round}`, () => 1)
  }
  await refused.close()
})

test('what is fresh for no time is for those who wait, and not kept', async () => {
  let builds = 0
  for (const ttl of [0, () => 0, () => -1]) {
    const calls = [1, 2, 3].map(() => cache.getOrBuild('brief', async () => ++builds, { ttl, swr: 60 }))
    assert.equal(new Set(await Promise.all(calls)).size, 1)
  }
  assert.equal(builds, 3)
  assert.equal(await server.redis.exists('brief'), 0)
})

test('the background hook decides when a refresh runs', async () => {
  const later = []
  const options = { ttl: 60, swr: 60, background: (refresh) => new Promise((resolve) => later.push(() => resolve(refresh()))) }
  await cache.getOrBuild('hook', () => 1, options)
  await cache.invalidate('hook')
  assert.equal(await cache.getOrBuild('hook', () => 2, options), 1)
  assert.equal(await cache.getOrBuild('hook', () => 3, options), 1, 'another one refreshes')
  assert.equal(later.length, 1)
  later[0]()
  await until('it was refreshed', async () => await cache.getOrBuild('hook', () => 4, options) === 2)
})

test('wrong options, templates and arguments are refused before any server is asked', async () => {
  assert.throws(() => new Corral('127.0.0.1:6379'), Usage)
  assert.throws(() => new Corral({}), Usage)
  assert.throws(() => new Corral(server.url, { tll: 5 }), /unknown option tll/)
  assert.throws(() => new Corral(server.url, { ttl: '5' }), /ttl must be/)
  await assert.rejects(cache.getOrBuild('k', () => 1, { local: 5 }), /constructor/)
  await assert.rejects(cache.getOrBuild(5, () => 1), /a text or a Buffer/)
  assert.throws(() => cache.cached('r:{}', () => 1), /a name is missing/)
  const report = cache.cached('r:{day}:{user.id}', () => 1)
  assert.equal(report.key('a:b', { id: 7 }), 'r:a%3Ab:7')
  for (const args of [['d'], ['d', {}], ['d', { id: {} }], [undefined, { id: 1 }], [Symbol('d'), { id: 1 }], ['d', { id: 1 }, 'more'], [NaN, { id: 1 }]]) {
    await assert.rejects(report(...args), Usage)
  }
})

test('keys may be bytes, and the same bytes as text are the same key', async () => {
  assert.equal(await cache.getOrBuild(Buffer.from('bytes'), () => 1), 1)
  assert.equal(await cache.getOrBuild('bytes', () => 2), 1)
  assert.equal(await cache.getOrBuild(Buffer.from([0, 255]), () => 3), 3)
})

test('a hundred keys are waited for over two connections, and who is told nothing is parked', async (t) => {
  if (!server.has('cache.getorlock notify')) return t.skip('this module has no NOTIFY')
  const warned = []
  process.on('warning', (warning) => warned.push(warning))
  const clients = async (name) => (await server.redis.sendCommand(['CLIENT', 'LIST'])).split('\n').filter((line) => line.includes(`name=${name} `)).length
  const parked = async () => Number(/corral_waiters:(\d+)/.exec(await server.redis.info('corral'))[1])
  const allowed = '~* +cache.version +cache.getorlock +cache.get +cache.fill +cache.fail +cache.pass +cache.renew +cache.release +ssubscribe +sunsubscribe +client|setname'
  await server.redis.sendCommand(['ACL', 'SETUSER', 'hears', 'on', '>x', '&*', ...allowed.split(' ')])
  await server.redis.sendCommand(['ACL', 'SETUSER', 'deaf', 'on', '>x', 'resetchannels', ...allowed.split(' ')])
  for (const [name, url, keys, connections, parkedThen] of [
    ['hears', server.url.replace('//', '//hears:x@'), 100, 2, 0], ['deaf', server.url.replace('//', '//deaf:x@'), 3, 4, 3], ['elsewhere', `${server.url}/1`, 3, 4, 3],
  ]) {
    const said = []
    const waiting = new Corral(createClient({ url, name }), { log: (message) => said.push(message) })
    await waiting.getOrBuild(`${name} first`, () => 1)
    const database = name === 'elsewhere' ? createClient({ url }) : server.redis
    if (database !== server.redis) await database.connect()
    const grants = []
    for (let at = 0; at < keys; at++) grants.push(await database.sendCommand(['CACHE.GETORLOCK', `${name} ${at}`, 'LEASE', '60000']))
    const calls = grants.map((_, at) => waiting.getOrBuild(`${name} ${at}`, () => 'own', { wait: 60 }))
    const listening = async () => Number(/corral_listeners:(\d+)/.exec(await server.redis.info('corral'))[1])
    await until(`all of ${name} wait`, async () => await parked() + await listening() === keys)
    assert.equal(await parked(), parkedThen)
    assert.ok(await clients(name) <= connections + 1, `${await clients(name)} connections`) // one more was given back
    for (const [at, [, , token]] of grants.entries()) await database.sendCommand(['CACHE.FILL', `${name} ${at}`, String(token), '"theirs"'])
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['theirs']))
    assert.equal(said.length, name === 'hears' ? 0 : 1)
    await waiting.close()
    if (database !== server.redis) database.destroy()
  }
  assert.deepEqual(warned, [])
})

test('each answer of a server means what the table of the contract says', () => {
  const of = (message) => new ServerError(message)
  for (const code of ['LOADING', 'MASTERDOWN', 'CLUSTERDOWN', 'READONLY', 'MISCONF', 'NOREPLICAS', 'OOM', 'BUSY']) assert.ok(isOutage(of(`${code} because`)), code)
  assert.ok(isOutage(of('ERR max number of clients reached')))
  for (const code of ['UNBLOCKED', 'TRYAGAIN', 'MOVED', 'ASK']) assert.ok(isMoving(of(`${code} because`)) && !isOutage(of(`${code} because`)), code)
  for (const code of ['NOPERM', 'NOAUTH', 'WRONGPASS']) assert.equal(explained(of(`${code} because`)).name, 'NoPermission')
  assert.equal(explained(of("ERR unknown command 'CACHE.GETORLOCK'")).name, 'ModuleMissing')
  for (const other of ['ERR READONLY is no code here', 'WRONGTYPE x', 'ERR Too many connections']) assert.ok(!isOutage(of(other)) && !isMoving(of(other)), other)
  assert.ok(isOutage(new Unavailable('refused')))
})

test('whatever is thrown, the lease ends', async () => {
  const mute = Object.defineProperty(new Error('x'), 'message', { get() { throw new Error('no text') } })
  for (const [name, thrown] of Object.entries({ nothing: Object.create(null), mute, named: Object.assign(new Error('x'), { name: Symbol('s') }) })) {
    await cache.getOrBuild(`odd ${name}`, () => { throw thrown }).then(() => assert.fail(), (error) => assert.equal(error, thrown))
    await assert.rejects(cache.getOrBuild(`odd ${name}`, () => 1), { name: 'BuildFailed' })
  }
  assert.deepEqual(await server.redis.sendCommand(['CACHE.LEASES']), [])
})

test('what the server refuses to store is a failed build to all others, who do not build it in a row', async () => {
  const others = [1, 2, 3].map(() => new Corral(server.url, { log() {} }))
  let [builds, waiting] = [0, 0]
  const tooLong = { ttl: 1e300 } // a number, but none of the server's
  const build = async () => {
    builds++
    await until('the others wait', async () => waiting === 0 || Number(/corral_listeners:(\d+)/.exec(await server.redis.info('corral'))?.[1] ?? 0) + Number(/corral_waiters:(\d+)/.exec(await server.redis.info('corral'))[1]) >= waiting)
    return 1
  }
  for (const other of others) await other.getOrBuild('warm', () => 1)
  waiting = others.length
  const first = cache.getOrBuild('refused', build, tooLong)
  await until('it builds', () => builds === 1)
  const rest = await Promise.all(others.map((other) => other.getOrBuild('refused', build, tooLong).catch((error) => error.name)))
  assert.equal(await first, 1)
  assert.deepEqual(rest, ['BuildFailed', 'BuildFailed', 'BuildFailed'])
  assert.equal(builds, 1)
  assert.deepEqual(await server.redis.sendCommand(['CACHE.LEASES']), [])
  for (const other of others) await other.close()
})

test('a wrong tag, version or argument is the error of its call, and the server is not taken for gone', async () => {
  const events = []
  const told = new Corral(server.url, { log() {}, onEvent: (event) => events.push(event.type) })
  for (const options of [{ tags: () => [1] }, { tags: [''] }, { tags: Array(33).fill('t') }, { version: () => 'x' }, { ttl: () => NaN }]) {
    await assert.rejects(told.getOrBuild(`wrong ${Object.keys(options)} ${events.length}`, () => 1, options), Usage)
  }
  await assert.rejects(told.invalidateTags([5]), Usage)
  await assert.rejects(told.outdate('k', -1), Usage)
  await assert.rejects(told.command('k', 'CACHE.INFO', 5), Usage)
  assert.equal(await told.getOrBuild('right', () => 1), 1)
  assert.equal(await told.getOrBuild('right', () => 2), 1)
  assert(!events.includes('degraded') && !events.includes('not_stored'))
  await told.close()
})

test('a timer that a build began may ask for its key when the build is over', async () => {
  let later
  await cache.getOrBuild('timer', () => {
    later = new Promise((resolve) => setTimeout(resolve, 50)).then(() => cache.getOrBuild('timer', () => 2))
    return 1
  })
  assert.equal(await later, 1)
})

test('a background hook that throws costs its caller nothing, and the lease is given up', async () => {
  const hooked = new Corral(server.url, { ttl: 60, swr: 60, log() {}, background() { throw new Error('full') } })
  await hooked.getOrBuild('hooked', () => 'old')
  await hooked.invalidate('hooked')
  assert.equal(await hooked.getOrBuild('hooked', () => 'new'), 'old')
  await until('the lease ended', async () => (await server.redis.sendCommand(['CACHE.LEASES'])).length === 0)
  await hooked.close()
})
