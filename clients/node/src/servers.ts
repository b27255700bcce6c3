// Where questions go: one shared connection to each master, some of their own for holders and waiters, and what is known
// of outages. A server that is gone is looked for in the background; meanwhile every call is told so at once.
import calculateSlot from 'cluster-key-slot'
import { Ear } from './ear.js'
import { isMoving, isOutage, Lost, NotAllAnswered, ServerError, Unavailable } from './errors.js'
import { Connection, Silent, within, type Argument, type Heard, type Library, type Messages } from './link.js'

export interface ServerSettings {
  readTimeoutMs: number
  heard?: Heard
  log(message: string, error?: unknown): void
}

/** Idle connections kept for the next holder or waiter. */
const KEPT_IDLE = 32

export class Server {
  #shared: Promise<Connection> | undefined
  /** The shared one, once it is open. */
  #present: Connection | undefined
  #idle: Connection[] = []
  #gone: Unavailable | undefined
  #search: NodeJS.Timeout | undefined
  #closed = false
  readonly ear: Ear

  constructor(readonly library: Library, readonly node: string | undefined, readonly settings: ServerSettings) {
    this.ear = new Ear((hears) => this.#openOrBegin({ hears }), settings.readTimeoutMs)
  }

  get where(): string {
    return this.node ?? this.library.where
  }

  /** Asks over the shared connection if there is one just now, and only once. For hits, of which there are many. */
  tryAsk<T>(args: Argument[], answered: (reply: unknown) => T | Promise<T>, refused: (error: unknown) => T | Promise<T>): Promise<T> | undefined {
    if (!this.#present?.open || this.#gone) return undefined
    return this.#present.ask(args, this.settings.readTimeoutMs, answered, (error) => {
      this.report(error)
      return refused(error)
    })
  }

  /** Asks over the shared connection; after a loss once more, over a new one. */
  async call(args: Argument[]): Promise<unknown> {
    for (let losses = 0; ; losses++) {
      if (this.#gone) throw this.#gone
      try {
        const connection = await this.#share()
        return await connection.call(args, this.settings.readTimeoutMs)
      } catch (error) {
        if (!(error instanceof Lost)) throw error
        this.#shared = undefined
        if (losses > 0 || error instanceof Silent) throw this.#begin(error)
      }
    }
  }

  /** A command that a slot's migration sent here. */
  async ask(args: Argument[]): Promise<unknown> {
    const connection = await this.#share()
    const asking = connection.call(['ASKING'], this.settings.readTimeoutMs) // sent in the same turn: nothing gets between
    const [answer] = await Promise.all([connection.call(args, this.settings.readTimeoutMs), asking])
    return answer
  }

  /** A connection for one caller alone. To be given back, or closed. */
  async borrow(): Promise<Connection> {
    for (let kept = this.#idle.pop(); kept; kept = this.#idle.pop()) if (kept.open) return kept
    return await this.#openOrBegin({})
  }

  giveBack(connection: Connection): void {
    if (!this.#closed && connection.open && this.#idle.length < KEPT_IDLE) this.#idle.push(connection)
    else connection.close()
  }

  /** A server that became a replica: with Sentinel, a new connection finds the new master. */
  leave(): void {
    this.#shared?.then((connection) => connection.close(), () => {})
    this.#shared = undefined
    this.settings.heard?.(null) // of changes from now on nobody tells, and who finds a copy does not ask
    for (const connection of this.#idle.splice(0)) connection.close()
    this.ear.close()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#search)
    this.leave()
  }

  /** What a connection of one's own showed: idle ones were lost with it, and a server that hangs hangs for all. */
  report(error: unknown): void {
    if (error instanceof Lost) for (const connection of this.#idle.splice(0)) connection.close()
    if (error instanceof Silent) this.#begin(error)
  }

  async #share(): Promise<Connection> {
    const known = this.#shared
    if (known) {
      const connection = await known
      if (connection.open) return connection
      if (this.#shared !== known) return await this.#share() // somebody else has seen it first
    }
    this.settings.heard?.(null) // what changed while nothing was heard is not known
    const opening = this.#open(this.settings)
    this.#shared = opening
    try {
      return this.#present = await opening
    } catch (error) {
      if (this.#shared === opening) this.#shared = undefined
      throw error
    }
  }

  async #open({ heard, hears }: Messages): Promise<Connection> {
    if (this.#closed) throw new Lost(`the Corral over ${this.where} was closed`)
    return await Connection.open(this.library, this.node, this.settings.readTimeoutMs, { heard, hears })
  }

  async #openOrBegin(messages: Messages): Promise<Connection> {
    if (this.#gone) throw this.#gone
    try {
      return await this.#open(messages)
    } catch (error) {
      throw error instanceof Lost ? this.#begin(error) : error
    }
  }

  #begin(cause: Unavailable): Unavailable {
    if (this.#gone || this.#closed) return this.#gone ?? cause
    this.settings.log(`${this.where} is gone, values are built without it: ${cause.message}`)
    this.leave()
    this.#searchIn(100)
    return (this.#gone = new Unavailable(`${this.where} is gone: ${cause.message}`, { cause }))
  }

  #searchIn(pauseMs: number): void {
    this.#search = setTimeout(async () => {
      try {
        const found = await this.#open(this.settings)
        // Any answer will do, an error as well: what it refuses is seen call by call.
        await found.call(['PING'], this.settings.readTimeoutMs).catch((error: unknown) => {
          if (!(error instanceof ServerError)) throw error
        })
        if (this.#closed) return found.close()
        this.settings.heard?.(null)
        this.#shared = Promise.resolve(this.#present = found)
        this.#gone = undefined
        this.settings.log(`${this.where} is back`)
      } catch (error) {
        if (error instanceof ServerError) this.#gone = undefined // a wrong password is for callers to see
        else if (!this.#closed) this.#searchIn(Math.min(pauseMs * 2, 5000))
      }
    }, pauseMs)
    this.#search.unref()
  }
}

export class Servers {
  #servers = new Map<string | undefined, Server>()
  #slots: Promise<string[]> | undefined
  #presentSlots: string[] | undefined
  #slotsReadAt = 0

  constructor(readonly library: Library, readonly settings: ServerSettings) {}

  /** The master of the key. */
  async of(key: Argument): Promise<Server> {
    if (!this.library.topology) return this.#server(undefined)
    const slots = await (this.#slots ??= this.#readSlots())
    const node = slots[calculateSlot(key as string)] // takes Buffers, too; its types know only texts
    if (node === undefined) throw new Unavailable(`no node of the cluster serves the slot of ${String(key)}`)
    return this.#server(node)
  }

  /** Asks at once, or not at all: whatever is not usual is for `call`. */
  tryAsk<T>(key: Argument, args: Argument[], answered: (reply: unknown) => T | Promise<T>, refused: (error: unknown) => T | Promise<T>): Promise<T> | undefined {
    const node = this.library.topology ? this.#presentSlots?.[calculateSlot(key as string)] : undefined
    return this.library.topology && node === undefined ? undefined : this.#servers.get(node)?.tryAsk(args, answered, refused)
  }

  /** Asks the master of the key, and follows the key where it went. */
  async call(key: Argument, args: Argument[]): Promise<unknown> {
    for (let tries = 0; ; tries++) {
      const server = await this.of(key)
      try {
        return await server.call(args)
      } catch (error) {
        if (error instanceof Unavailable) this.refreshSlots(1000)
        if (error instanceof ServerError && error.code === 'READONLY') server.leave()
        if (!isMoving(error) || tries === 5) throw error
        if (error.code === 'ASK') return await this.#server(error.message.split(' ')[2]).ask(args)
        if (error.code === 'MOVED') this.refreshSlots(0)
        else await pause()
      }
    }
  }

  /** Tells the master of the key, and for a second again: what is lost here is an old value for ever. */
  async tell(key: Argument, args: Argument[]): Promise<unknown> {
    const deadline = performance.now() + 1000
    for (;;) {
      try {
        return await this.call(key, args)
      } catch (error) {
        if (!isOutage(error) || performance.now() > deadline) throw error
        await pause()
      }
    }
  }

  /** Drops what is known of the slots, if it is older than that. */
  refreshSlots(olderThanMs: number): void {
    if (performance.now() - this.#slotsReadAt >= olderThanMs) this.#slots = this.#presentSlots = undefined
  }

  /** Sends it to every master there is now, and tries again what did not answer, for so long. */
  async callAll(args: Argument[], patienceMs: number): Promise<void> {
    const deadline = performance.now() + patienceMs
    const done = new Set<string>()
    for (;;) {
      const failed = new Map<string, unknown>()
      try {
        const nodes = this.library.topology ? [...new Set(await this.#readSlots())] : [undefined]
        await Promise.all(nodes.map(async (node) => {
          const server = this.#server(node)
          if (done.has(server.where)) return
          try {
            await server.call(args)
            done.add(server.where)
          } catch (error) {
            if (error instanceof ServerError && error.code === 'READONLY') server.leave()
            failed.set(server.where, error)
          }
        }))
      } catch (error) {
        failed.set(this.library.where, error)
      }
      if (failed.size === 0) return
      const final = [...failed.values()].find((error) => !isOutage(error) && !isMoving(error))
      if (final) throw final
      if (performance.now() > deadline) throw new NotAllAnswered(failed)
      await pause()
    }
  }

  close(): void {
    for (const server of this.#servers.values()) server.close()
    this.library.close()
  }

  async #readSlots(): Promise<string[]> {
    const reading = within(this.library.topology!(this.settings.readTimeoutMs), this.settings.readTimeoutMs, `no node of the cluster (${this.library.where}) tells its slots`)
    this.#slots = reading
    this.#slotsReadAt = performance.now()
    try {
      return this.#presentSlots = await reading
    } catch (error) {
      if (this.#slots === reading) this.#slots = undefined
      throw error
    }
  }

  #server(node: string | undefined): Server {
    let server = this.#servers.get(node)
    if (!server) this.#servers.set(node, (server = new Server(this.library, node, this.settings)))
    return server
  }
}

/** 20 to 100 ms: who asks again in step with others asks in vain. */
export function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 80))
}
