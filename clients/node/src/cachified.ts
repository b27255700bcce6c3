// What @epic-web/cachified does, by a Corral: its usual options, with times in milliseconds as there.
import type { BuildContext } from './build.js'
import type { Corral } from './corral.js'
import type { Options } from './options.js'

export interface CachifiedOptions<T> extends Pick<Options<T>, 'tags' | 'signal' | 'group' | 'wait' | 'background'> {
  cache: Corral
  key: string
  getFreshValue(context: { background: boolean; signal: AbortSignal | undefined }): T | Promise<T>
  /** Milliseconds; without it, or with Infinity, the value is fresh for ever. */
  ttl?: number
  /** Milliseconds after `ttl` in which the old value is served while it is refreshed. */
  swr?: number
  staleWhileRevalidate?: number
  /** Whether a cached value is one: false, or a text that says why not, builds it anew. A schema of the Standard Schema kind will do, too. */
  checkValue?: ((value: unknown) => unknown) | { '~standard': { validate(value: unknown): unknown } }
  /** Builds although the value is fresh. */
  forceFresh?: boolean
  /** Serve the old value for so many milliseconds after `ttl` if the build fails; true: as long as `swr`. */
  fallbackToCache?: boolean | number
}

export async function cachified<T>(options: CachifiedOptions<T>): Promise<T> {
  const { cache, key, getFreshValue, checkValue, forceFresh, tags, signal, group, wait, background } = options
  const swr = options.swr ?? options.staleWhileRevalidate
  const sie = options.fallbackToCache === true ? swr : options.fallbackToCache || undefined
  const finite = (ms: number | undefined) => (ms === undefined || ms === Infinity ? undefined : ms / 1000)
  const given: Options<T> = {
    ttl: finite(options.ttl), swr: finite(swr), sie: finite(sie), tags, signal, group, wait, background,
  }
  let built = false
  const build = async ({ behind }: BuildContext) => {
    built ||= !behind
    const value = await getFreshValue({ background: behind, signal })
    await check(key, checkValue, value)
    return value
  }
  if (forceFresh) return await cache.refresh(key, build, given)
  const value = await cache.getOrBuild(key, build, given)
  if (built) return value
  try {
    await check(key, checkValue, value)
    return value
  } catch {
    return await cache.refresh(key, build, given) // what is cached was built by another version of the program
  }
}

async function check(key: string, checkValue: CachifiedOptions<any>['checkValue'], value: unknown): Promise<void> {
  if (!checkValue) return
  if (typeof checkValue === 'object') {
    const { issues } = await checkValue['~standard'].validate(value) as { issues?: { message: string }[] }
    if (issues) throw new TypeError(`the value of "${key}" is not valid: ${issues.map(({ message }) => message).join('; ')}`)
    return
  }
  const verdict = await checkValue(value)
  if (verdict === true || verdict === undefined || verdict === null) return
  throw new TypeError(`the value of "${key}" is not valid${typeof verdict === 'string' ? `: ${verdict}` : ''}`)
}
