// Runs getOrBuild through every state against a server with Corral.
// usage: node check.mjs node-redis|node-redis-events|ioredis PORT
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

const [client, port] = process.argv.slice(2)
const url = `redis://127.0.0.1:${port}`
const transport = await import(`./${client}.mjs`)
const raw = new Redis(url)

// What is expensive: counts its builds, and fails when told to.
function source({ takes = 200, value = 'v', fails, meanwhile } = {}) {
  const build = async () => {
    build.count++
    await sleep(takes)
    await meanwhile?.()
    if (fails) throw new Error(fails)
    return value
  }
  build.count = 0
  return build
}

async function herd(key, build, callers, times) {
  const corral = await transport.connect(url, times)
  const calls = Array.from({ length: callers }, () => corral.getOrBuild(key, build).catch((error) => error.message))
  try {
    return await Promise.all(calls)
  } finally {
    closing.push(corral)
  }
}
const closing = [] // after the check: background builds still need theirs

const state = (key) => raw.call('CACHE.GET', key)
const times = (n, value) => Array(n).fill(value)

async function becomes(key, state_, value) {
  for (let i = 0; i < 500; i++) {
    const got = await state(key)
    if (got[0] === state_ && got[1] === value) return
    await sleep(10)
  }
  assert.fail(`${key} is ${await state(key)} and did not become ${state_} ${value}`)
}

const checks = {
  async a_herd_builds_once(key) {
    const build = source()
    assert.deepEqual(await herd(key, build, 100), times(100, 'v'))
    assert.equal(build.count, 1)
  },

  async a_fill_elsewhere_wakes_all(key) {
    // Who hears of it late finds the value gone, and builds.
    const [, , token] = await raw.call('CACHE.GETORLOCK', key, 'LEASE', 60_000)
    setTimeout(() => raw.call('CACHE.FILL', key, token, 'v', 'PX', 2_000), 300)
    const build = source()
    assert.deepEqual(await herd(key, build, 20, { patience: 4_000 }), times(20, 'v'))
    assert.equal(build.count, 0)
  },

  async a_stale_value_is_served_while_one_refreshes(key) {
    await raw.call('CACHE.SET', key, 'old', 'PX', 1, 'SWR', 60_000)
    await becomes(key, 'STALE', 'old')
    const build = source({ takes: 1_000, value: 'new' })
    assert.deepEqual(await herd(key, build, 20), times(20, 'old'))
    await becomes(key, 'HIT', 'new')
    assert.equal(build.count, 1)
  },

  async a_failure_reaches_all_and_leaves_no_lease(key) {
    const build = source({ fails: 'source is down' })
    assert.deepEqual(await herd(key, build, 20, { backoff: 1_500 }), times(20, 'source is down'))
    assert.equal(build.count, 1)
    await becomes(key, 'FAIL', 'source is down')
    await becomes(key, 'MISS', null)
    assert.deepEqual(await herd(key, source(), 1), ['v'])
  },

  async a_failure_serves_the_old_value_where_there_is_one(key) {
    await raw.call('CACHE.SET', key, 'old', 'PX', 1, 'SIE', 60_000)
    await becomes(key, 'STALE', 'old')
    assert.deepEqual(await herd(key, source({ fails: 'source is down' }), 20), times(20, 'old'))
  },

  async what_must_not_be_shared_is_built_by_each(key) {
    const [, , token] = await raw.call('CACHE.GETORLOCK', key)
    await raw.call('CACHE.PASS', key, token)
    const build = source()
    assert.deepEqual(await herd(key, build, 10), times(10, 'v'))
    assert.equal(build.count, 10)
    assert.equal((await state(key))[0], 'PASS')
  },

  async a_long_build_keeps_its_lease(key) {
    const build = source({ takes: 6_500 })
    assert.deepEqual(await herd(key, build, 20, { lease: 3_000 }), times(20, 'v'))
    assert.equal(build.count, 1)
  },

  async a_short_block_is_asked_again(key) {
    const build = source({ takes: 500 })
    assert.deepEqual(await herd(key, build, 20, { block: 50 }), times(20, 'v'))
    assert.equal(build.count, 1)
  },

  async patience_ends_in_a_build_that_is_not_stored(key) {
    const [, , token] = await raw.call('CACHE.GETORLOCK', key, 'LEASE', 60_000)
    assert.deepEqual(await herd(key, source({ value: 'own' }), 1, { block: 50, patience: 300 }), ['own'])
    assert.deepEqual((await state(key)).slice(0, 2), ['MISS', null])
    assert.equal(await raw.call('CACHE.FILL', key, token, 'v'), 'OK')
  },

  async a_void_fill_is_normal(key) {
    assert.deepEqual(await herd(key, source({ meanwhile: () => raw.del(key) }), 1), ['v'])
    assert.deepEqual((await state(key)).slice(0, 2), ['MISS', null])
  },

  async a_dead_holder_is_succeeded(key) {
    await raw.call('CACHE.GETORLOCK', key, 'LEASE', 300)
    const build = source()
    assert.deepEqual(await herd(key, build, 20), times(20, 'v'))
    assert.equal(build.count, 1)
  },
}

let passed = 0
for (const [name, check] of Object.entries(checks)) {
  const key = `example:${client}:${name}`
  await raw.del(key)
  try {
    await check(key)
    passed++
    console.log('ok    ', name)
  } catch (error) {
    console.log('FAILED', name, '-', error.message)
  }
  closing.splice(0).forEach((corral) => corral.transport.close())
  await raw.del(key)
}
const library = client.startsWith('node-redis') ? 'redis' : 'ioredis'
const { version } = JSON.parse(readFileSync(new URL(`node_modules/${library}/package.json`, import.meta.url)))
console.log(`${client} ${version}: ${passed} of ${Object.keys(checks).length}`)
raw.disconnect()
process.exit(passed === Object.keys(checks).length ? 0 : 1)
