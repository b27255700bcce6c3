// The right to build one key: tied to a connection of its own, renewed while the build runs, ended by one verdict.
import { isMoving, isRefusal, Lost, ServerError } from './errors.js'
import type { Argument, Connection } from './link.js'
import type { Server, Servers } from './servers.js'

/** A connection held by one caller. */
export interface Held {
  server: Server
  connection: Connection
}

export class Lease {
  #renewing: NodeJS.Timeout | undefined
  #ended = false

  /** @param held the connection that the lease is tied to, if it is already */
  constructor(
    readonly servers: Servers,
    readonly key: Argument,
    readonly token: number,
    readonly ms: number,
    public held?: Held,
  ) {}

  /**
   * Moves the tie to a connection of its own, so that a killed process frees the lease at once. Done before the build
   * begins: a build may kill its process. Without a connection the lease still holds, until its deadline.
   */
  async tie(): Promise<void> {
    if (this.held) return
    try {
      const server = await this.servers.of(this.key)
      const connection = await server.borrow()
      this.held = { server, connection }
      await connection.call(['CACHE.RENEW', this.key, String(this.token), String(this.ms), 'TIED'], this.servers.settings.readTimeoutMs)
    } catch (error) {
      if (!(error instanceof Lost) && !(error instanceof ServerError)) throw error
      this.#letGo(!isMoving(error))
    }
  }

  /** From now on the lease lives as long as the build does. */
  keep(): void {
    this.#renewing = setInterval(async () => {
      try {
        const left = await this.#send(['CACHE.RENEW', this.key, String(this.token), String(this.ms)])
        if (left === null) clearInterval(this.#renewing) // taken over or invalidated: there is nothing left to keep
      } catch {
        // The next one is sent all the same. A lease that cannot be renewed ends, which is what leases are for.
      }
    }, this.ms / 3)
  }

  /** Ends the lease with a word to the server; null means that the lease was not ours any more. */
  async end(command: 'CACHE.FILL' | 'CACHE.FAIL' | 'CACHE.PASS' | 'CACHE.RELEASE', ...rest: Argument[]): Promise<unknown> {
    if (this.#ended) return null
    this.#ended = true
    clearInterval(this.#renewing)
    let delivered = false
    try {
      const answer = await this.#send([command, this.key, String(this.token), ...rest])
      delivered = true
      return answer
    } catch (error) {
      // Refused as it stands, and so would be what every next builder brings: without a FAIL they build in a row.
      if (command === 'CACHE.FILL' && isRefusal(error)) {
        await this.#send(['CACHE.FAIL', this.key, String(this.token), error.message.slice(0, 340)])
        delivered = true
      }
      throw error
    } finally {
      this.#letGo(!delivered) // a refused word has changed nothing: then the closed connection ends the lease
    }
  }

  /** Gives up without a verdict. That nobody hears it is no harm: the tie ends with the connection. */
  async release(): Promise<void> {
    await this.end('CACHE.RELEASE').catch(() => {})
  }

  /** Its time is over, and its tie with it. */
  expire(): void {
    clearInterval(this.#renewing)
    this.#letGo(false)
  }

  async #send(args: Argument[]): Promise<unknown> {
    if (this.held?.connection.open) {
      try {
        return await this.held.connection.call(args, this.servers.settings.readTimeoutMs)
      } catch (error) {
        this.held.server.report(error)
        if (!(error instanceof Lost) && !isMoving(error)) throw error
      }
    }
    return await this.servers.call(this.key, args)
  }

  // A closed connection ends the tie, a kept one would hold it.
  #letGo(close: boolean): void {
    if (close) this.held?.connection.close()
    else this.held?.server.giveBack(this.held.connection)
    this.held = undefined
  }
}
