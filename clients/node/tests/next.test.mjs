import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Corral } from 'corral-cache'
import { nextCacheHandler } from 'corral-cache/next'
import { nextLegacyCacheHandler } from 'corral-cache/next-legacy'
import { startServer, until } from './server.mjs'

let server
const corrals = []
before(async () => (server = await startServer()))
after(async () => {
  await Promise.all(corrals.map((corral) => corral.close()))
  await server.stop()
})

// Two objects, as two processes would have them.
const twoHandlers = (options) => [1, 2].map(() => {
  const corral = new Corral(server.url, { log() {} })
  corrals.push(corral)
  return nextCacheHandler(corral, options)
})
const entry = (text, more = {}) => ({
  value: new Blob([text]).stream(), tags: ['posts'], stale: 300, timestamp: Date.now(), expire: 3600, revalidate: 900, ...more,
})
const textOf = async (found) => (found ? await new Response(found.value).text() : found)
const needsTags = () => ({ skip: server.has('cache.fill tags') ? false : 'this module has no tags' })

test('a render in one process is awaited by the others, and read by all', async (t) => {
  if (needsTags().skip) return t.skip(needsTags().skip)
  const [one, two] = twoHandlers()
  assert.equal(await one.get('page', []), undefined)
  const waiting = two.get('page', [])
  const waitingHere = one.get('page', [])
  await until('the other process waits', async () => /corral_listeners:1\b/.test(await server.redis.info('corral')))
  await one.set('page', Promise.resolve(entry('<p>')))
  assert.equal(await textOf(await waiting), '<p>')
  assert.equal(await textOf(await waitingHere), '<p>')
  const found = await two.get('page', [])
  assert.deepEqual([found.tags, found.expire, found.revalidate, await textOf(found)], [['posts'], 3600, 900, '<p>'])
})

test('an entry past its revalidate is rendered again by one process, and is good as new for the others', async (t) => {
  if (needsTags().skip) return t.skip(needsTags().skip)
  const [one, two] = twoHandlers()
  await one.get('old', [])
  await one.set('old', Promise.resolve(entry('old', { revalidate: 0.001, timestamp: Date.now() - 5000 })))
  await until('it is stale', async () => String((await server.redis.sendCommand(['CACHE.GET', 'next:old']))[0]) === 'STALE')
  const mine = await one.get('old', [])
  const theirs = await two.get('old', [])
  assert.equal(mine.revalidate, -1)
  assert.ok(theirs.revalidate > 0 && theirs.timestamp > mine.timestamp)
  await one.set('old', Promise.resolve(entry('new')))
  assert.equal(await textOf(await two.get('old', [])), 'new')
})

test('a tag that is updated ends its entries on all processes, and one renders', async (t) => {
  if (needsTags().skip) return t.skip(needsTags().skip)
  const [one, two] = twoHandlers()
  await one.get('tagged', [])
  await one.set('tagged', Promise.resolve(entry('v1')))
  await two.updateTags(['posts'])
  assert.equal(await one.get('tagged', []), undefined)
  await one.set('tagged', Promise.resolve(entry('v2')))
  assert.equal(await textOf(await two.get('tagged', [])), 'v2')
  await two.updateTags(['posts'], { expire: 60 })
  const again = await two.get('tagged', [])
  assert.deepEqual([again.revalidate, await textOf(again)], [-1, 'v2'])
})

test('a soft tag is judged at read time, by the server’s clock', async (t) => {
  if (needsTags().skip) return t.skip(needsTags().skip)
  const [one, two] = twoHandlers()
  await one.get('soft', ['_N_T_/blog'])
  await one.set('soft', Promise.resolve(entry('v1')))
  assert.equal(await textOf(await two.get('soft', ['_N_T_/blog'])), 'v1')
  await two.updateTags(['_N_T_/blog'])
  assert.equal(await textOf(await two.get('soft', [])), 'v1', 'other pages keep it')
  assert.equal(await two.get('soft', ['_N_T_/blog']), undefined)
  await two.set('soft', Promise.resolve(entry('v2')))
  assert.equal(await textOf(await one.get('soft', ['_N_T_/blog'])), 'v2')
})

test('expire 0 is not stored, and nobody waits for it', async () => {
  const [one, two] = twoHandlers()
  await one.get('dynamic', [])
  await one.set('dynamic', Promise.resolve(entry('mine', { expire: 0 })))
  assert.equal(await two.get('dynamic', []), undefined)
  assert.equal(String((await server.redis.sendCommand(['CACHE.GET', 'next:dynamic']))[0]), 'PASS')
})

test('a render that failed frees the key when its lease is over, a stream that failed at once', async () => {
  const [one, two] = twoHandlers({ lease: 0.3 })
  await one.get('lost', [])
  assert.equal(await two.get('lost', []), undefined)
  const broken = new ReadableStream({ start: (controller) => controller.error(new Error('render failed')) })
  await assert.rejects(two.set('lost', Promise.resolve({ ...entry(''), value: broken })), /render failed/)
  assert.equal(await one.get('lost', []), undefined)
})

test('without a server every get is a miss and set does no harm', async () => {
  const corral = new Corral('redis://127.0.0.1:1', { log() {} })
  corrals.push(corral)
  const handler = nextCacheHandler(corral)
  assert.equal(await handler.get('page', ['_N_T_/x']), undefined)
  await handler.set('page', Promise.resolve(entry('x', { timestamp: 0 })))
  await assert.rejects(handler.updateTags(['posts']), { name: 'NotAllAnswered' })
})

test('the older cacheHandler shares pages with all their parts', async (t) => {
  if (needsTags().skip) return t.skip(needsTags().skip)
  const [One, Two] = [1, 2].map(() => {
    const corral = new Corral(server.url)
    corrals.push(corral)
    return nextLegacyCacheHandler(corral)
  })
  const page = { kind: 'APP_PAGE', html: '<p>', rscData: Buffer.from([0, 255]), headers: { 'x-next-cache-tags': 'a,_N_T_/p' }, status: 200, segmentData: new Map([['/', Buffer.from('s')]]) }
  assert.equal(await new One({}).get('/p', { kind: 'APP_PAGE' }), null)
  await new One({}).set('/p', page, { cacheControl: { revalidate: 900, expire: 3600 } })
  const found = await new Two({}).get('/p', { kind: 'APP_PAGE' })
  assert.deepEqual([found.value, found.cacheControl], [page, { revalidate: 900, expire: 3600 }])
  await new Two({}).revalidateTag('_N_T_/p')
  assert.equal(await new One({}).get('/p', { kind: 'APP_PAGE' }), null)
})
