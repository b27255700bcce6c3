// The object that applications use: getOrBuild and what goes with it.
import { Claim } from './claim.js'
import { checkedClient, idOf, libraryOf, withPrefix, type Client } from './client.js'
import { Builder, enclosing, refuseRecursion, type Build, type Built, type Job } from './build.js'
import { BuildFailed, explained, isOutage, ModuleMissing, NotAllAnswered, Unsupported, WaitTimeout } from './errors.js'
import { Flight, type Common, type Keeping, type Outcome } from './flight.js'
import { cachedFunction, type CachedFunction, type KeyOf } from './functions.js'
import type { Lease } from './lease.js'
import type { Argument } from './link.js'
import { askModule, denial, forbidden, NEEDED, report, type Checked, type Module } from './module.js'
import { Near } from './near.js'
import { flightsOf, Plan } from './plan.js'
import { checkedOptions, checkedTags, checkedVersion, milliseconds, type CorralEvent, type Defaults, type Options } from './options.js'
import { Servers } from './servers.js'

// The same in every package: what is shorter may be a busy machine's.
const WAIT_WORTH_TELLING_MS = 10

interface Entered {
  id: string
  /** From this process, and no question of the server's. */
  copy?: Buffer
  flight?: Flight
  /** This call made it. */
  begins?: boolean
}

interface Call<T> {
  key: Argument
  build: Build<T>
  plan: Plan<T>
  /** By performance.now(), as the deadline. */
  began: number
  deadline: number
}

export class Corral {
  readonly #client: Client
  readonly #defaults: Defaults
  readonly #flights = new Map<string, Flight>()
  readonly #builder: Builder
  readonly #near: Near | undefined
  readonly #refreshing = new Set<Promise<unknown>>()
  readonly #usual: Plan
  #connecting: Promise<Common> | undefined
  #common: Common | undefined
  #module: Module | undefined
  #asking: Promise<Module> | undefined

  /** Talks to no server yet. The client's settings are used, its connections are not. */
  constructor(client: Client, defaults: Defaults = {}) {
    this.#client = checkedClient(client)
    this.#defaults = checkedOptions(defaults, 'constructor')
    this.#usual = new Plan(this.#defaults)
    this.#builder = new Builder(this, defaults, (event) => this.#tell(event), (message, error) => this.#log(message, error))
    this.#near = defaults.local ? new Near(defaults.local) : undefined
  }

  /** The value of the key; if there is none, one caller of all processes builds it and the others wait for that. */
  getOrBuild<T>(key: Argument, build: Build<T>, options?: Options<T>): Promise<T> {
    return this.#get(key, build, options)
  }

  /** Builds although the value is fresh; others keep getting the old one meanwhile. */
  refresh<T>(key: Argument, build: Build<T>, options?: Options<T>): Promise<T> {
    return this.#get(key, build, options, true)
  }

  /** A function whose results are shared: its key is made of its arguments, and so are tags that name any. */
  cached<A extends unknown[], T>(
    template: KeyOf<A>, build: (...args: A) => Built<T>, options: Options<T> & { parameters?: readonly string[] } = {},
  ): CachedFunction<A, T> {
    const { parameters, ...rest } = options
    const plan = this.#plan(rest)
    const forced = this.#plan(rest, true)
    return cachedFunction(template, parameters, rest.tags, build, {
      get: (key, build, tags) => this.#get(key, build, tags ? plan.tagged(tags) : plan),
      refresh: (key, build, tags) => this.#get(key, build, tags ? forced.tagged(tags) : forced),
      invalidate: (key) => this.invalidate(key),
    })
  }

  /** Makes values stale now; builds that began before are not stored. */
  async invalidate(keys: Argument | readonly Argument[]): Promise<void> {
    await this.#toEach((Array.isArray(keys) ? keys : [keys]) as Argument[], (key) => ['CACHE.INVALIDATE', key])
  }

  /** The source now has this version of the key: an older value becomes stale, and is never stored again. */
  async outdate(key: Argument, version: number): Promise<void> {
    const floor = checkedVersion(version)
    await this.#toEach([key], (key) => ['CACHE.OUTDATE', key, floor])
  }

  /** Makes everything stale that carries one of the tags, on every server. With `swr: 0` no old value is served. */
  async invalidateTags(tags: string | readonly string[], { swr }: { swr?: number } = {}): Promise<void> {
    const list = typeof tags === 'string' ? [tags] : tags
    for (const tag of list) checkedTags([tag]) // of these there may be more than a value can have
    if (list.length === 0) return
    const { servers } = await this.#connected()
    const cap = swr === undefined ? [] : ['SWR', milliseconds(checkedOptions({ swr }, 'call').swr!, 0)]
    try {
      this.#forget(null)
      await servers.callAll(['CACHE.INVALIDATETAG', String(list.length), ...list, ...cap], (this.#defaults.wait ?? 10) * 1000)
    } catch (error) {
      throw this.#tooOld(explained(error), 'tags')
    } finally {
      this.#forget(null)
    }
  }

  /** Milliseconds since 1970 at which each tag was last invalidated on this key's master, 0 for never. */
  async tagged(tags: readonly string[], key: Argument): Promise<number[]> {
    const { servers } = await this.#connected()
    const answer = await servers.call(withPrefix(servers.library.keyPrefix, key), ['CACHE.TAGS', ...tags]) as unknown[]
    return answer.map(Number)
  }

  /** Any other command on a key: `command('k', 'CACHE.INFO')`. Goes to the key's master and does not degrade. */
  async command(key: Argument, name: string, ...args: Argument[]): Promise<unknown> {
    const { servers } = await this.#connected()
    const full = withPrefix(servers.library.keyPrefix, key)
    try {
      return await servers.call(full, [name, full, ...args])
    } catch (error) {
      throw explained(error)
    } finally {
      this.#forget(idOf(full))
    }
  }

  /** What the server has, and what this user may not do. */
  async check(): Promise<Checked> {
    try {
      return await report((await this.#connected()).servers, `corral-check-${Math.random()}`)
    } catch (error) {
      throw explained(error)
    }
  }

  /** Waits for refreshes under way and closes the connections. The client is yours to close. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#refreshing)
    if (this.#connecting) (await this.#connecting).servers.close()
  }

  /**
   * For frameworks that say get and set and never show their function: the value, or the claim to build it, or neither
   * (build, but do not store). The lease is not renewed: it is the longest build that is allowed.
   */
  async claim(key: Argument, options?: Options, force = false): Promise<{ bytes?: Buffer; stale?: boolean; claim?: Claim }> {
    const plan = this.#plan(options, force)
    const merged = plan.options
    const deadline = performance.now() + plan.waitMs
    for (;;) {
      const { id, copy, flight } = await this.#enter(key, plan)
      if (copy) return { bytes: copy, stale: false }
      const outcome = await flight!.join(deadline, merged.signal)
      switch (outcome.kind) {
        case 'value':
          await outcome.refresh?.tie()
          return { bytes: outcome.bytes, stale: outcome.stale, ...(outcome.refresh && { claim: new Claim(outcome.refresh, undefined, merged) }) }
        case 'build':
          if (!outcome.lease) {
            flight?.settle({ kind: 'again' })
            this.#tell({ type: 'degraded', key: id, error: outcome.outage })
            return {}
          }
          return { claim: new Claim(outcome.lease, flight, merged) }
        case 'again': continue
        case 'error': throw outcome.error
        default: return {}
      }
    }
  }

  #get<T>(key: Argument, build: Build<T>, given: Plan<T> | Options<T> | undefined, force = false): Promise<T> {
    try {
      const plan = given instanceof Plan ? given : this.#plan(given, force)
      const began = performance.now()
      const call: Call<T> = { key, build, plan, began, deadline: began + plan.waitMs }
      if (!this.#module) return this.#follow(call)
      const entered = this.#entered(this.#common!, key, plan)
      const hit = (bytes: Buffer) => {
        if (this.#defaults.onEvent) this.#tell({ type: 'hit', key: entered.id })
        return plan.serializer.decode(bytes) as T
      }
      const asked = entered.begins && !plan.options.signal
        ? entered.flight!.lead(call.deadline, hit, (outcome) => this.#follow(call, entered, outcome)) : undefined
      return asked ?? this.#follow(call, entered)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async #follow<T>(call: Call<T>, first?: Entered, told?: Promise<Outcome>): Promise<T> {
    const { key, build, plan, began, deadline } = call
    const { options } = plan
    for (let entered = first; ; entered = undefined) {
      entered ??= await this.#enter(key, plan)
      const { id, copy, flight } = entered
      const outcome = flight ? await (told ?? flight.join(deadline, options.signal)) : undefined
      told = undefined
      if (flight?.waited && outcome?.kind !== 'build' && outcome?.kind !== 'again') {
        const ms = performance.now() - began
        if (ms > WAIT_WORTH_TELLING_MS) this.#tell({ type: 'waited', key: id, ms })
      }
      if (!outcome) {
        if (this.#defaults.onEvent) this.#tell({ type: 'hit', key: id })
        return plan.serializer.decode(copy!) as T
      }
      const job = { id, build, options, deadline }
      switch (outcome.kind) {
        case 'value':
          if (this.#defaults.onEvent) this.#tell({ type: outcome.refresh ? 'refresh' : outcome.stale ? 'stale' : 'hit', key: id })
          if (outcome.refresh) this.#refreshBehind({ ...job, lease: outcome.refresh, behind: true })
          return plan.serializer.decode(outcome.bytes) as T
        case 'build':
          if (outcome.outage && this.#defaults.degrade === 'raise') {
            flight?.settle({ kind: 'error', error: outcome.outage })
            throw outcome.outage
          }
          try {
            return await this.#builder.do({ ...job, lease: outcome.lease, flight, outage: outcome.outage })
          } finally {
            this.#near?.drop(id)
          }
        case 'pass':
          return await this.#builder.do(job)
        case 'failed':
          throw new BuildFailed(outcome.message, outcome.retryAfter, { cause: outcome.cause })
        case 'error':
          throw outcome.error
        case 'late':
          if (options.onTimeout === 'build') return await this.#builder.do(job)
          throw new WaitTimeout(`"${id}" was not there within ${options.wait ?? 10} s${this.#whileBuilding()}`)
        case 'again':
      }
    }
  }

  #whileBuilding(): string {
    const outer = enclosing()
    return outer.length === 0 ? '' : `, while building "${outer.join('" for "')}": do two builds ask for each other's keys?`
  }

  async #enter(key: Argument, plan: Plan): Promise<Entered> {
    const common = await this.#connected()
    if (!this.#module) await this.#ask(common, withPrefix(common.servers.library.keyPrefix, key))
    return this.#entered(common, key, plan)
  }

  // The copy in this process, or the key's flight, begun if there is none.
  #entered(common: Common, key: Argument, plan: Plan): Entered {
    const { library } = common.servers
    const full = withPrefix(library.keyPrefix, key)
    const id = idOf(full)
    refuseRecursion(this, id)
    const copy = plan.force ? undefined : this.#near?.get(id)
    if (copy) return { id, copy }
    if (plan.options.tags && this.#module && !this.#module.has.has('cache.fill tags')) throw this.#tooOld(undefined, 'tags')
    const name = plan.flightOf(id)
    const known = this.#flights.get(name)
    if (known && !known.over) return { id, flight: known }
    return { id, begins: true, flight: new Flight(common, full, plan, name, this.#near && this.#keeping(this.#near, id, plan.options, library.tracks)) }
  }

  // How a hit becomes a copy in this process. Tags change what no push tells, so tagged copies are short-lived.
  #keeping(near: Near, id: string, options: Options, tracks: boolean): Keeping {
    const [ticket, askedAt] = [near.ask(id), performance.now()]
    return {
      tracked: tracks,
      keep: (bytes, freshMs, tracked) => {
        const mostMs = tracked && !options.tags ? Infinity : (this.#defaults.localTtl ?? 1) * 1000
        near.keep(id, ticket, bytes, askedAt + Math.min(freshMs < 0 ? Infinity : freshMs, mostMs))
      },
      end: () => near.end(id, ticket),
    }
  }

  #refreshBehind<T>(job: Job<T> & { lease: Lease }): void {
    if (this.#refreshing.size >= (this.#defaults.backgroundLimit ?? 8)) return void job.lease.release()
    const run = async () => {
      await job.lease.tie()
      await this.#builder.do(job).catch(() => {}) // logged and told where it happened
      this.#near?.drop(job.id)
    }
    // Inside this caller's async context, so AsyncLocalStorage, traces and locale go along.
    const refreshing = (async () => await (job.options.background ? job.options.background(run) : run()))()
      .catch((error: unknown) => {
        this.#log(`the background hook failed for "${job.id}"`, error)
        return job.lease.release()
      })
      .finally(() => this.#refreshing.delete(refreshing))
    this.#refreshing.add(refreshing)
  }

  async #toEach(keys: Argument[], command: (key: Argument) => Argument[]): Promise<void> {
    const { servers } = await this.#connected()
    const failed = new Map<string, unknown>()
    await Promise.all(keys.map(async (key) => {
      const full = withPrefix(servers.library.keyPrefix, key)
      this.#forget(idOf(full))
      try {
        await servers.tell(full, command(full))
      } catch (error) {
        if (!isOutage(error)) throw this.#tooOld(explained(error), 'versions')
        const where = await servers.of(full).then((server) => server.where, () => servers.library.where)
        failed.set(where, error)
      } finally {
        this.#forget(idOf(full))
      }
    }))
    if (failed.size > 0) throw new NotAllAnswered(failed)
  }

  // Who asks after an invalidation must not join a question from before it.
  #forget(id: string | null): void {
    this.#near?.drop(id)
    if (id === null) this.#flights.clear()
    else for (const name of flightsOf(id)) this.#flights.delete(name)
  }

  async #ask(common: Common, key: Argument): Promise<void> {
    const { servers } = common
    try {
      this.#module = await (this.#asking ??= (async () => {
        const module = await askModule(servers, key)
        const missing = await forbidden(servers, key, NEEDED)
        if (missing.length > 0) throw denial(missing)
        common.movesTies = module.has.has('cache.renew tied')
        common.notifies = module.has.has('cache.getorlock notify')
        return module
      })())
    } catch (error) {
      this.#asking = undefined
      if (isOutage(error)) return // the flight that follows sees it, too
      throw explained(error)
    }
  }

  #tooOld(error: unknown, what: string): unknown {
    if (error instanceof ModuleMissing && !this.#module) return error
    return error === undefined || error instanceof ModuleMissing
      ? new Unsupported(`${what} need the second version of Corral's module, this server has version ${this.#module?.version}`, { cause: error }) : error
  }

  async #connected(): Promise<Common> {
    return this.#common ??= await (this.#connecting ??= this.#connect().catch((error: unknown) => {
      this.#connecting = undefined
      throw error
    }))
  }

  async #connect(): Promise<Common> {
    const near = this.#near
    const log = (message: string, error?: unknown) => this.#log(message, error)
    const servers = new Servers(await libraryOf(this.#client), {
      readTimeoutMs: (this.#defaults.readTimeout ?? 5) * 1000, log,
      ...(near && { heard: (key: Buffer | null) => near.drop(key === null ? null : idOf(key)) }),
    })
    return { servers, log, flights: this.#flights, parked: 0, mostParked: this.#defaults.maxWaiting ?? 1000, movesTies: true, notifies: false }
  }

  #plan<T>(options?: Options<T>, force = false): Plan<T> {
    if (!options && !force) return this.#usual
    return new Plan({ ...this.#defaults, ...(options && checkedOptions(options, 'call')) }, force)
  }

  #tell(event: CorralEvent): void {
    if (!this.#defaults.onEvent) return
    try {
      this.#defaults.onEvent(event)
    } catch (error) {
      this.#log('the onEvent hook failed', error)
    }
  }

  #log(message: string, error?: unknown): void {
    if (this.#defaults.log) this.#defaults.log(message, error)
    else console.warn(...(error === undefined ? [`corral: ${message}`] : [`corral: ${message}:`, error]))
  }
}
