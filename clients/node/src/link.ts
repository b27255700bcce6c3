// One connection to one server, whichever client library makes it. What every library does for its users (reconnecting,
// sending again, queueing while offline) is off here: an answer must never meet another question than its own.
import type { Hears } from './ear.js'
import { Lost, type ServerError, type Usage } from './errors.js'

export type Argument = string | Buffer

/** Whether it is the same as a text. */
export function isText(argument: Argument): boolean {
  return typeof argument === 'string' || Buffer.from(argument.toString()).equals(argument)
}

/** A single connection as a library gives it. */
export interface Link {
  /** Resolves once commands can be sent; rejects with a Lost or a ServerError. */
  ready: Promise<void>
  readonly open: boolean
  send(args: Argument[]): Promise<unknown>
  /** What a rejection of `send` was. Not done by `send` itself: a promise less for every hit. */
  errorOf(error: unknown): Lost | ServerError | Usage
  /** Closes the socket at once; whoever still waits for an answer is rejected. */
  close(): void
  /** On a link that was opened to hear messages. */
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  onEnd(ended: () => void): void
}

/** Told of keys that changed, or null: of any. */
export type Heard = (key: Buffer | null) => void

/** What a connection is for besides its own answers. */
export interface Messages {
  /** Invalidations of CLIENT TRACKING. */
  heard?: Heard
  /** What was published to the channels that it subscribes to. */
  hears?: Hears
}

/** What is needed of a client library. */
export interface Library {
  /** Where it connects to, for error messages. */
  readonly where: string
  /** The client's own keyPrefix: raw commands bypass it, so keys get it here. */
  readonly keyPrefix: string
  /** Whether pushes of CLIENT TRACKING reach us. */
  readonly tracks: boolean
  /** A connection to the master, in a cluster to the node named. */
  connect(node: string | undefined, timeoutMs: number, messages: Messages): Promise<Link>
  /** For clusters: the address of the master of each slot, freshly read. */
  topology?(timeoutMs: number): Promise<string[]>
  /** Ends what the library keeps besides its links. */
  close(): void
}

/** Into so many parts a limit is divided. */
const TICKS = 8

/** A link with a limit on silence: if nothing is answered for so long although something was asked, it is closed. */
export class Connection {
  #pending = 0
  #silentTicks = 0
  #timer: NodeJS.Timeout | undefined
  #hung = false

  constructor(readonly link: Link, readonly where: string) {}

  static async open(library: Library, node: string | undefined, limitMs: number, messages: Messages = {}): Promise<Connection> {
    const where = node ?? library.where
    const link = await within(library.connect(node, limitMs, messages), limitMs, `no connection to ${where}`)
    try {
      await within(link.ready, limitMs, `${where} does not answer`)
    } catch (error) {
      link.close()
      throw error
    }
    return new Connection(link, where)
  }

  get open(): boolean {
    return this.link.open
  }

  call(args: Argument[], limitMs: number): Promise<unknown> {
    return this.ask(args, limitMs, (reply) => reply, (error) => {
      throw error
    })
  }

  /** What is made of the reply, or of the error. */
  ask<T>(args: Argument[], limitMs: number, answered: (reply: unknown) => T | Promise<T>, refused: (error: unknown) => T | Promise<T>): Promise<T> {
    this.#pending++
    if (!this.#timer) this.#watch(limitMs)
    return this.link.send(args).then((reply) => {
      this.#pending--
      this.#silentTicks = 0
      return answered(reply)
    }, (error: unknown) => {
      this.#pending--
      return refused(this.#hung ? new Silent(`${this.where} does not answer`) : this.link.errorOf(error))
    })
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.link.close()
  }

  // One timer for many calls: one a call would cost more than the rest of a hit. Ticks are counted and not time: when a
  // build has blocked this process for long, one tick has passed, and the answer lies in the socket.
  #watch(limitMs: number): void {
    this.#silentTicks = 0
    this.#timer = setInterval(() => {
      if (this.#pending === 0) {
        clearInterval(this.#timer)
        this.#timer = undefined
      } else if (++this.#silentTicks >= TICKS) {
        this.#hung = true
        this.close()
      }
    }, limitMs / TICKS)
    this.#timer.unref()
  }
}

/** A server that took the question and does not answer: asking again would cost the same again. */
export class Silent extends Lost {}

export async function within<T>(promise: Promise<T>, limitMs: number, sentence: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let ticks = 0
  const late = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      if (++ticks >= TICKS) reject(new Silent(`${sentence} within ${limitMs / 1000} s`))
    }, limitMs / TICKS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearInterval(timer)
  }
}
