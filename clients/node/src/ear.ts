// Hearing what became of the keys waited for (GETORLOCK … NOTIFY, SSUBSCRIBE): one connection to a server, however many keys.
import { Lost } from './errors.js'
import { within, type Connection } from './link.js'

/** The two libraries give and take channels as texts. The message is `STATE number`, what who waits would get. */
export type Hears = (message: string, channel: string) => void

interface Channel {
  all: Set<Listening>
  subscribed: boolean
  /** What was asked of the server before must have been answered: a library forgets listeners when it is. */
  settled: Promise<void>
}

export class Ear {
  #connection: Promise<Connection> | undefined
  #channels = new Map<string, Channel>()

  constructor(readonly open: (hears: Hears) => Promise<Connection>, readonly limitMs: number) {}

  /** Subscribed when it resolves: what is published from now on is heard. */
  async listen(name: string): Promise<Listening> {
    const connection = await this.#present()
    let channel = this.#channels.get(name)
    if (!channel) this.#channels.set(name, (channel = { all: new Set(), subscribed: false, settled: Promise.resolve() }))
    const listening = new Listening((ended) => {
      channel.all.delete(ended)
      void this.#settle(connection, name, channel).catch(() => {}) // a lost connection has no subscriptions
    })
    channel.all.add(listening)
    try {
      await this.#settle(connection, name, channel)
    } catch (error) {
      listening.end()
      throw error
    }
    return listening
  }

  /** Nothing is heard any more: who listens has to ask. */
  close(): void {
    void this.#connection?.then((connection) => connection.close(), () => {})
    this.#connection = undefined
    for (const { all } of this.#channels.values()) for (const listening of all) listening.lose()
    this.#channels.clear()
  }

  async #present(): Promise<Connection> {
    const known = await this.#connection
    if (known?.open) return known
    if (known) this.close()
    const opening: Promise<Connection> = this.#connection ??= this.open((message, channel) => {
      for (const listening of this.#channels.get(channel)?.all ?? []) listening.tell(message)
    }).then((connection) => {
      connection.link.onEnd(() => this.#connection === opening && this.close()) // once, however many wait for it
      return connection
    })
    try {
      return await opening
    } catch (error) {
      if (this.#connection === opening) this.#connection = undefined
      throw error
    }
  }

  #settle({ link, where }: Connection, name: string, channel: Channel): Promise<void> {
    return channel.settled = channel.settled.catch(() => {}).then(async () => {
      const wanted = channel.all.size > 0
      if (wanted !== channel.subscribed) {
        try {
          await within(wanted ? link.subscribe(name) : link.unsubscribe(name), this.limitMs, `${where} does not answer`)
        } catch (error) {
          throw error instanceof Lost ? error : link.errorOf(error)
        }
        channel.subscribed = wanted
      }
      if (channel.all.size === 0 && this.#channels.get(name) === channel) this.#channels.delete(name)
    })
  }
}

/** One caller's subscription to one key. */
export class Listening {
  open = true
  /** Whether the server was asked to tell, and has not told yet. */
  marked = false
  /** What it told then. */
  message = ''
  #wake = () => {}

  constructor(readonly ended: (listening: Listening) => void) {}

  /** Waits until it is told, or lost, or so long. */
  async hear(limitMs: number): Promise<void> {
    if (!this.open || !this.marked) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  tell(message: string): void {
    this.marked = false
    this.message = message
    this.#wake()
  }

  lose(): void {
    this.open = false
    this.#wake()
  }

  end(): void {
    if (this.open) this.ended(this)
    this.lose()
  }
}
