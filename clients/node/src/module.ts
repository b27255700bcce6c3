// What the server's module can do, asked once: CACHE.VERSION, which the first version did not have.
import { explained, ModuleMissing, NoPermission, ServerError } from './errors.js'
import type { Argument } from './link.js'
import type { Servers } from './servers.js'

export interface Module {
  /** Its version, as it says it. */
  version: string
  /** Words as in CACHE.VERSION: `cache.getorlock`, `cache.renew tied`. */
  has: ReadonlySet<string>
}

export interface Checked {
  version: string
  commands: string[]
  /** Commands that the user may not run, or that the module does not have. */
  missing: string[]
}

/** What the first version had, which cannot tell. */
const FIRST = ['getorlock', 'mgetorlock', 'get', 'fill', 'set', 'touch', 'fail', 'pass', 'renew', 'release', 'invalidate', 'info', 'leases'].map((name) => `cache.${name}`)

/** What every build needs. */
export const NEEDED = ['cache.getorlock', 'cache.renew', 'cache.fill', 'cache.fail', 'cache.pass', 'cache.release']
const ALSO = ['cache.get', 'cache.set', 'cache.invalidate', 'cache.invalidatetag', 'cache.tags', 'cache.outdate']

/** Asks the master of this key. */
export async function askModule(servers: Servers, key: Argument): Promise<Module> {
  try {
    const map = pairs(await servers.call(key, ['CACHE.VERSION']))
    const words = [...list(map.get('commands')), ...list(map.get('options'))].map((word) => word.toLowerCase())
    return { version: String(map.get('version')), has: new Set(words) }
  } catch (error) {
    if (!(explained(error) instanceof ModuleMissing)) throw error
    // Too few arguments: an error either way, and it tells a missing command from a present one.
    const answer = await servers.call(key, ['CACHE.GETORLOCK']).catch((answer: unknown) => answer)
    if (answer instanceof ServerError && answer.message.includes('wrong number of arguments')) return { version: '1', has: new Set(FIRST) }
    throw answer
  }
}

/** Which commands the user may not run. Each is asked with arguments that the module refuses: nothing happens. */
export async function forbidden(servers: Servers, key: Argument, commands: readonly string[]): Promise<string[]> {
  const refused = await Promise.all(commands.map(async (command) => {
    try {
      await servers.call(key, [command, ...(REFUSED_ARGUMENTS[command] ?? []).map((argument) => argument ?? key)])
    } catch (error) {
      if (!(error instanceof ServerError)) throw error
      if (error.code === 'NOPERM' && /command/i.test(error.message)) return command
      if (error.code === 'NOAUTH') throw error
    }
    return undefined
  }))
  return refused.filter((command) => command !== undefined)
}

/** null stands for the key. */
const REFUSED_ARGUMENTS: Record<string, (string | null)[]> = {
  'cache.getorlock': [null, 'LEASE', '0'], 'cache.renew': [null, '0', '0'], 'cache.fill': [null, '0', ''],
  'cache.fail': [null, '0', ''], 'cache.pass': [null, '0'], 'cache.release': [null, '0'], 'cache.get': [null],
  'cache.set': [null, '', 'PX', '0'], 'cache.invalidate': [null], 'cache.invalidatetag': ['0', ''], 'cache.tags': [''],
  'cache.outdate': [null, '-1'],
}

/** The full report, for `check()`. The key must be one that nobody uses: INVALIDATE has no wrong arguments. */
export async function report(servers: Servers, key: Argument): Promise<Checked> {
  const module = await askModule(servers, key)
  const known = [...NEEDED, ...ALSO].filter((command) => module.has.has(command))
  const missing = [...NEEDED, ...ALSO].filter((command) => !module.has.has(command))
  return {
    version: module.version,
    commands: [...module.has].filter((word) => !word.includes(' ')),
    missing: [...missing, ...await forbidden(servers, key, known)],
  }
}

export function denial(missing: string[]): NoPermission {
  return new NoPermission(`the user may not run ${missing.join(', ')}: copy the ACL line in the README of corral-cache`)
}

// RESP2 sends maps as flat lists; the libraries give RESP3's as objects or Maps.
function pairs(reply: unknown): Map<string, unknown> {
  if (Array.isArray(reply)) {
    return new Map(Array.from({ length: reply.length / 2 }, (_, at) => [String(reply[2 * at]), reply[2 * at + 1]]))
  }
  if (reply instanceof Map) return new Map([...reply].map(([name, value]) => [String(name), value]))
  return new Map(Object.entries(reply as object))
}

function list(reply: unknown): string[] {
  return Array.isArray(reply) ? reply.map(String) : []
}
