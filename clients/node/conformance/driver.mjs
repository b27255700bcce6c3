// The driver of ../../conformance for this package: node driver.mjs node-redis|ioredis. Its README says what is asked.
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { BuildFailed, Corral, NotShared, ServerError, Unavailable } from 'corral-cache'

const library = process.argv[2]
const packageOf = { 'node-redis': 'redis', ioredis: 'ioredis' }[library]
const { createClient, createCluster, createSentinel, Cluster, Redis } = await import(packageOf)
const version = JSON.parse(readFileSync(createRequire(import.meta.url).resolve(`${packageOf}/package.json`))).version

class Build extends Error {
  name = 'Build'
}
class Unsupported extends Error {
  name = 'Unsupported'
}

const corrals = {}
const seen = {} // event names by corral
const functions = {}
const gates = {}
const running = new Map() // AbortController by request id

const gate = (name) => (gates[name] ??= Promise.withResolvers?.() ?? withResolvers())
function withResolvers() {
  const all = {}
  all.promise = new Promise((resolve) => (all.resolve = resolve))
  return all
}

// --- Clients, as each library makes them for each topology ---------------------------------------------------------

function address(text) {
  const [host, port] = text.split(':')
  return { host, port: Number(port) }
}

const clients = {
  'node-redis'({ topology, url, ca, nodes, sentinels, service, resp }) {
    const RESP = resp
    const socket = ca && { tls: true, ca: readFileSync(ca) }
    const { username, password } = new URL(url)
    const login = username ? { username, password } : {}
    const made = topology === 'cluster' ? createCluster({ rootNodes: nodes.map(address).map((socket) => ({ socket })), RESP, defaults: login })
      : topology === 'sentinel' ? createSentinel({ name: service, sentinelRootNodes: sentinels.map(address), RESP, nodeClientOptions: login })
        : createClient({ url, RESP, socket })
    return made.on('error', () => {})
  },
  ioredis({ topology, url, ca, nodes, sentinels, service, resp }) {
    const protocol = resp
    const tls = ca && { tls: { ca: readFileSync(ca) } }
    const { username, password } = new URL(url)
    const login = username ? { username, password } : {}
    const lazyConnect = true
    const made = topology === 'cluster' ? new Cluster(nodes.map(address), { lazyConnect, redisOptions: { protocol, ...login } })
      : topology === 'sentinel' ? new Redis({ sentinels: sentinels.map(address), name: service, lazyConnect, protocol, ...login })
        : new Redis(url, { lazyConnect, protocol, ...tls })
    return made.on('error', () => {})
  },
}

// --- Words between JSON and JavaScript -----------------------------------------------------------------------------

function optionsOf(options = {}) {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()), value]))
}
const fromJson = (value) => (value?.$bytes === undefined ? value : Buffer.from(value.$bytes, 'base64'))
const toJson = (value) => (Buffer.isBuffer(value) ? { $bytes: value.toString('base64') } : value)

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function errorOf(error, signal) {
  const type = signal?.aborted ? 'Cancelled'
    : ['Build', 'Unsupported', 'BuildFailed', 'WaitTimeout', 'ModuleMissing', 'NoPermission', 'NotAllAnswered', 'Usage'].includes(error.name) ? error.name
      : error.name === 'RecursiveBuild' ? 'Recursion'
      : error instanceof Unavailable || error instanceof ServerError ? 'Server'
        : error instanceof TypeError && /JSON|serializer|BigInt/.test(error.message) ? 'Encoding' : 'Other'
  const more = error instanceof BuildFailed ? { retry_after: error.retryAfter } : {}
  return { type, message: type === 'Other' ? error.stack : error.message, ...more }
}

// --- Builds --------------------------------------------------------------------------------------------------------

// Of the machine's clock, in seconds: what two processes say is in order by it.
const now = () => Number(process.hrtime.bigint()) / 1e9

function scripted(script, corral, keyOf, call) {
  return async function build() {
    const key = keyOf()
    say({ event: 'begun', key, call, at: now() })
    try {
      for (const action of script) {
        if (action.not_shared) return new NotShared(fromJson(action.return))
        if ('return' in action) return fromJson(action.return)
        if (action.return_unencodable) return 1n
        if (action.raise) throw new Build(action.raise)
        if (action.wait_for) await gate(action.wait_for).promise
        if (action.sleep) await sleep(action.sleep * 1000)
        if (action.exit) process.kill(process.pid, 'SIGKILL')
        if (action.fork) throw new Unsupported('Node cannot fork')
        if (action.get_or_build) {
          const nested = action.get_or_build
          await corral.getOrBuild(nested.key, scripted(nested.build, corral, () => nested.key, call), optionsOf(nested.options))
        }
      }
    } finally {
      say({ event: 'ended', key, call, at: now() })
    }
  }
}

// --- Requests ------------------------------------------------------------------------------------------------------

const requests = {
  hello: () => ({
    language: 'node', library: `${library} ${version}`,
    has: ['cluster', 'sentinel', 'resp3', 'concurrent', 'cancel', 'renew', 'background', 'local', 'unencodable', 'closures', 'tls', 'error_text'],
  }),
  open(request) {
    const events = (seen[request.corral] = [])
    corrals[request.corral] = new Corral(clients[library](request), {
      ...optionsOf(request.options), onEvent: (event) => events.push(event.type), log: (message, error) => console.error(message, error ?? ''),
    })
  },
  close: ({ corral }) => corrals[corral].close(),
  async get_or_build({ id, corral, key, options, build, mutate }, signal) {
    const value = await corrals[corral].getOrBuild(key, scripted(build, corrals[corral], () => key, id), { ...optionsOf(options), signal })
    if (mutate) {
      value.push('mutated')
      await sleep(100)
    }
    return toJson(value)
  },
  define({ id, corral, function: name, template, parameters, options, build }) {
    let key
    const made = corrals[corral].cached(template, (...args) => scripted(build, corrals[corral], () => made.key(...args), id)(), { ...optionsOf(options), parameters })
    functions[name] = made
  },
  call: ({ function: name, args }) => functions[name](...args),
  refresh: ({ function: name, args }) => functions[name].refresh(...args),
  key: ({ function: name, args }) => functions[name].key(...args),
  invalidate_call: ({ function: name, args }) => functions[name].invalidate(...args),
  invalidate: ({ corral, keys }) => corrals[corral].invalidate(keys),
  invalidate_tags: ({ corral, tags, swr }) => corrals[corral].invalidateTags(tags, { swr }),
  outdate: ({ corral, key, version }) => corrals[corral].outdate(key, version),
  check: ({ corral }) => corrals[corral].check(),
  cancel({ call }) {
    running.get(call)?.abort()
  },
  gate({ gate: name }) {
    gate(name).resolve()
  },
  events: ({ corral }) => seen[corral],
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  const controller = new AbortController()
  running.set(request.id, controller)
  void (async () => {
    try {
      const known = requests[request.do]
      if (!known) throw new Unsupported(request.do)
      say({ id: request.id, value: (await known(request, controller.signal)) ?? null })
    } catch (error) {
      say({ id: request.id, error: errorOf(error, controller.signal) })
    } finally {
      running.delete(request.id)
    }
  })()
}
process.exit(0)
