// One flight for each key and process: callers of one key share one request, and so at most one parked connection.
// Who is granted the lease is one of the callers, and builds with its own function.
import type { Listening } from './ear.js'
import { explained, isMoving, isOutage, Lost, ServerError } from './errors.js'
import { Lease, type Held } from './lease.js'
import { isText, type Argument } from './link.js'
import type { Plan } from './plan.js'
import { pause, type Server, type Servers } from './servers.js'

/** What a flight tells a caller. */
export type Outcome =
  | { kind: 'value'; bytes: Buffer; stale: boolean; refresh?: Lease }
  /** Yours to build. Without a lease the server is gone, and nothing is stored. */
  | { kind: 'build'; lease?: Lease; outage?: unknown }
  | { kind: 'pass' }
  | { kind: 'failed'; message: string; retryAfter: number; cause?: unknown }
  /** Who built is gone: ask anew. */
  | { kind: 'again' }
  | { kind: 'error'; error: unknown }
  | { kind: 'late' }

/** What all flights of a Corral have in common. */
export interface Common {
  readonly servers: Servers
  readonly flights: Map<string, Flight>
  /** How many connections of this process are parked, and may be. */
  parked: number
  readonly mostParked: number
  /** Whether a tie can be moved (CACHE.RENEW … TIED). If not, every question takes a connection of its own. */
  movesTies: boolean
  /** Whether who waits can be told (GETORLOCK … NOTIFY). If not, he is parked. */
  notifies: boolean
  log(message: string, error?: unknown): void
}

/** How a hit becomes a copy in this process. */
export interface Keeping {
  /** Look by CACHE.GET first: CLIENT TRACKING tells only of what was read, and on the shared connection. */
  tracked: boolean
  /** Told of a hit, how long it is fresh (-1: for ever) and whether we shall be told of changes. */
  keep(bytes: Buffer, freshMs: number, tracked: boolean): void
  /** Told once, when the flight is over. */
  end(): void
}

class Member {
  #answer: ((outcome: Outcome) => void) | undefined
  #reject: ((error: unknown) => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #aborted: (() => void) | undefined

  /** @param late joined when the build had begun: whether it asked before an invalidation cannot be told */
  constructor(readonly flight: Flight, readonly deadline: number, readonly signal: AbortSignal | undefined, readonly late: boolean) {}

  /** Made only for those who have to wait for it. */
  outcome(): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#answer = resolve
      this.#reject = reject
    })
  }

  resolve(outcome: Outcome): void {
    this.#settle()
    this.#answer?.(outcome)
  }

  /** From now on its patience may end. */
  limit(): void {
    if (this.#timer) return
    this.#timer = setTimeout(() => {
      this.flight.leave(this)
      this.resolve({ kind: 'late' })
    }, Math.min(this.deadline - performance.now(), LONGEST_TIMER_MS))
    if (!this.signal) return
    this.#aborted = () => {
      this.#settle()
      this.flight.leave(this)
      this.#reject?.(this.signal!.reason)
    }
    if (this.signal.aborted) this.#aborted()
    else this.signal.addEventListener('abort', this.#aborted)
  }

  #settle(): void {
    if (!this.#timer) return
    clearTimeout(this.#timer)
    if (this.#aborted) this.signal?.removeEventListener('abort', this.#aborted)
  }
}

/** Below the read time-outs of everything between here and the server. */
const SLICE_MS = 2000
/** Beyond it setTimeout fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export class Flight {
  #members = new Set<Member>()
  #parked: Held | undefined
  #heard: { by: Server; listening: Listening } | undefined
  #building = false
  #begun = false
  over = false
  /** Whether somebody else's build was waited for. */
  waited = false

  constructor(readonly common: Common, readonly key: Argument, readonly plan: Plan, readonly name: string, readonly keeping?: Keeping) {
    common.flights.set(name, this)
  }

  /**
   * For who began it: asks at once, if that can be. A hit ends here, without a timer or a promise but the library's and
   * this one; anything else is what `otherwise` makes of the outcome.
   */
  lead<T>(deadline: number, hit: (bytes: Buffer) => T, otherwise: (outcome: Promise<Outcome>) => Promise<T>): Promise<T> | undefined {
    if (!this.common.movesTies || this.keeping?.tracked) return undefined
    const leader = new Member(this, deadline, undefined, false)
    const answered = (reply?: unknown): T | Promise<T> => {
      if (Array.isArray(reply) && String(reply[0]) === 'HIT') {
        this.#hit(reply[1], Number(reply[2]), false)
        return hit(reply[1])
      }
      const outcome = leader.outcome()
      this.#begin(reply)
      return otherwise(outcome)
    }
    const asked = this.common.servers.tryAsk(this.key, ['CACHE.GETORLOCK', this.key, ...this.plan.shared], answered, () => answered())
    if (asked) this.#members.add(leader)
    return asked
  }

  /** Waits for the outcome until then. A caller that leaves ends only its own waiting. */
  join(deadline: number, signal?: AbortSignal): Promise<Outcome> {
    const begins = this.#members.size === 0 && !this.#begun
    const member = new Member(this, deadline, signal, this.#building)
    const outcome = member.outcome()
    this.#members.add(member)
    if (this.#begun || signal) member.limit()
    if (begins && !this.over) this.#begin()
    return outcome
  }

  #begin(reply?: unknown): void {
    this.#begun = true
    for (const member of this.#members) member.limit()
    void this.#run(reply)
  }

  leave(member: Member): void {
    this.#members.delete(member)
    if (this.#members.size === 0) this.#abandon()
  }

  /** Ends the flight, with this for all who still wait; who joined late gets the other one, if given. */
  settle(outcome: Outcome, late: Outcome = outcome): void {
    if (this.over) return
    this.#finish()
    for (const member of this.#members) member.resolve(member.late ? late : outcome)
    this.#members.clear()
  }

  // The answer to come would be for nobody, and the next question on that socket must not meet it.
  #abandon(): void {
    if (this.#building || this.over) return
    this.#finish()
    this.#parked?.connection.close()
    this.#heard?.listening.end()
  }

  #finish(): void {
    this.over = true
    this.keeping?.end()
    const { flights } = this.common
    if (flights.get(this.name) === this) flights.delete(this.name)
  }

  #hit(bytes: Buffer, freshMs: number, tracked: boolean): void {
    if (!this.over) this.keeping?.keep(bytes, freshMs, tracked) // changes since it was over are not known
    this.settle({ kind: 'value', bytes, stale: false })
  }

  async #run(first?: unknown): Promise<void> {
    try {
      await this.#ask(first)
    } catch (error) {
      if (isOutage(error)) this.#give({ kind: 'build', outage: error })
      else this.settle({ kind: 'error', error: explained(error) })
    } finally {
      this.#heard?.listening.end()
    }
  }

  async #ask(first: unknown): Promise<void> {
    if (this.keeping?.tracked && !this.plan.force) {
      const seen = parsed(await this.common.servers.call(this.key, ['CACHE.GET', this.key]))
      if (seen.state === 'HIT') return this.#hit(seen.value!, seen.number, true)
    }
    let losses = 0
    let wait = false
    // An answer that came when all had left is looked at still: a grant in it has to be released.
    while (!this.over || first !== undefined) {
      let answer: Answer
      const began = performance.now()
      try {
        if (first !== undefined) answer = parsed(first)
        else if (wait && this.#channel) answer = await this.#listen(this.#channel).catch((error) => this.#park(error))
        else answer = await (wait || !this.common.movesTies ? this.#askAlone(wait) : this.#askShared())
        first = undefined
        if (wait) losses = 0
      } catch (error) {
        if (this.over) return
        if (error instanceof Lost && losses++ === 0) wait = false
        else if (isMoving(error)) {
          if (error.code === 'MOVED') this.common.servers.refreshSlots(0)
          wait = false
          await pause()
        } else throw error
        continue
      }
      if (answer.state === 'WAIT') {
        // Not parked although asked to be: the room is full. In step with others one would ask in vain.
        if (wait && !this.#channel && performance.now() - began < SLICE_MS / 2) await pause()
        wait = this.waited = true
      } else return await this.#take(answer)
    }
  }

  async #askShared(words = this.plan.shared): Promise<Answer> {
    return parsed(await this.common.servers.call(this.key, ['CACHE.GETORLOCK', this.key, ...words]))
  }

  // The key's own channel; both libraries take channels as texts only.
  get #channel(): string | undefined {
    return this.common.notifies && isText(this.key) ? this.key.toString() : undefined
  }

  // Asks over the shared connection when the server has told that there is an answer. A message may be lost with a
  // connection, a slot, a failover, so the question is repeated now and then; the mark for the message stays meanwhile.
  async #listen(channel: string): Promise<Answer> {
    const by = await this.common.servers.of(this.key)
    if (this.#heard?.by !== by || !this.#heard.listening.open) {
      this.#heard?.listening.end()
      this.#heard = { by, listening: await by.ear.listen(channel) }
    }
    const { listening } = this.#heard
    await listening.hear(SLICE_MS)
    if (this.over) throw new Lost('nobody waits any more')
    if (listening.marked) return await this.#askShared()
    listening.marked = true // a message may come before the answer
    // Who asked for a new value (FORCE) is content with the one that he waited for.
    const words = listening.message.startsWith('HIT') ? this.plan.words.filter((word) => word !== 'FORCE') : this.plan.words
    return await this.#askShared([...words, 'NOTIFY'])
  }

  async #park(error: unknown): Promise<Answer> {
    if (!(error instanceof ServerError) || isOutage(error) || isMoving(error)) throw error
    const answer = await this.#askAlone(true)
    if (this.common.notifies) this.common.log('waiting calls take a connection each: the server tells this user nothing on channels', error)
    this.common.notifies = false
    return answer
  }

  async #askAlone(park: boolean): Promise<Answer> {
    const { key, plan, common } = this
    if (park && common.parked >= common.mostParked) {
      await pause()
      return await this.#askShared()
    }
    common.parked++
    let held: Held | undefined
    let granted = false
    try {
      const server = await common.servers.of(key)
      held = this.#parked = { server, connection: await server.borrow() }
      if (this.over) throw new Lost('nobody waits any more')
      const blocking = park ? ['BLOCK', String(SLICE_MS)] : []
      const answer = parsed(await held.connection.call(
        ['CACHE.GETORLOCK', key, ...plan.words, 'TIED', ...blocking], park ? SLICE_MS + 2000 : common.servers.settings.readTimeoutMs))
      granted = answer.state === 'LOCK' || answer.state === 'REFRESH'
      return granted ? { ...answer, held } : answer
    } catch (error) {
      if (!this.over) held?.server.report(error)
      throw error
    } finally {
      common.parked--
      this.#parked = undefined
      if (held && !granted) held.server.giveBack(held.connection)
    }
  }

  async #take(answer: Answer): Promise<void> {
    const { key, plan, common } = this
    const lease = (answer.state === 'LOCK' || answer.state === 'REFRESH')
      ? new Lease(common.servers, key, answer.number, plan.leaseMs, answer.held) : undefined
    switch (answer.state) {
      case 'HIT':
        return this.#hit(answer.value!, answer.number, false)
      case 'STALE':
        return this.settle({ kind: 'value', bytes: answer.value!, stale: true })
      case 'REFRESH':
        if (plan.force) return await this.#grant(lease!)
        return this.#refresh(lease!, answer.value!)
      case 'LOCK':
        return await this.#grant(lease!)
      case 'PASS':
        return this.settle({ kind: 'pass' })
      case 'FAIL':
        return this.settle({ kind: 'failed', message: String(answer.value), retryAfter: answer.number / 1000 })
      default:
        throw new ServerError(`ERR unknown state ${JSON.stringify(answer.state)}: this package is too old for the server's module`)
    }
  }

  async #grant(lease: Lease): Promise<void> {
    await lease.tie()
    if (!this.#give({ kind: 'build', lease })) await lease.release()
  }

  // All get the old value; the first also the lease.
  #refresh(lease: Lease, bytes: Buffer): void {
    const [first] = this.#members
    if (first) this.#members.delete(first)
    this.settle({ kind: 'value', bytes, stale: true })
    if (first) first.resolve({ kind: 'value', bytes, stale: true, refresh: lease })
    else void lease.release()
  }

  // To whoever has waited longest; the others wait for it.
  #give(outcome: Outcome): boolean {
    const [first] = this.#members
    if (!first || this.over) return false
    this.#building = this.waited = true
    this.#members.delete(first)
    first.resolve(outcome)
    return true
  }
}

interface Answer {
  state: string
  value: Buffer | null
  number: number
  held?: Held
}

export function parsed(reply: unknown): Answer {
  if (!Array.isArray(reply) || reply.length !== 3) throw new ServerError(`ERR not an answer of Corral: ${String(reply)}`)
  const [state, value, number] = reply
  return { state: String(state), value: value as Buffer | null, number: Number(number) }
}
