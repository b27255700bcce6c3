// Copies kept in this process, so that a hit costs no round trip. Never longer than the server said, and never a value
// whose question was asked before the key changed.

/** Shared by the questions of one key that are out and were asked after its last change. */
export interface Ticket {
  outdated: boolean
  questions: number
}

export class Near {
  // Oldest use first.
  #kept = new Map<string, { bytes: Buffer; until: number }>()
  #asked = new Map<string, Ticket>()

  constructor(readonly most: number) {}

  get(id: string): Buffer | undefined {
    const copy = this.#kept.get(id)
    if (!copy) return undefined
    this.#kept.delete(id)
    if (copy.until <= performance.now()) return undefined
    this.#kept.set(id, copy)
    return copy.bytes
  }

  /** Before a question is sent. Whatever changes from now on counts. */
  ask(id: string): Ticket {
    let ticket = this.#asked.get(id)
    if (!ticket) this.#asked.set(id, (ticket = { outdated: false, questions: 0 }))
    ticket.questions++
    return ticket
  }

  /** @param until by `performance.now()` */
  keep(id: string, ticket: Ticket, bytes: Buffer, until: number): void {
    if (ticket.outdated || until <= performance.now()) return
    this.#kept.delete(id)
    this.#kept.set(id, { bytes, until })
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.most) break
      this.#kept.delete(oldest)
    }
  }

  /** The question is answered, or nobody waits for its answer. */
  end(id: string, ticket: Ticket): void {
    if (--ticket.questions === 0 && this.#asked.get(id) === ticket) this.#asked.delete(id)
  }

  /** The key changed; null: any of them may have. */
  drop(id: string | null): void {
    if (id === null) {
      for (const ticket of this.#asked.values()) ticket.outdated = true
      this.#asked.clear()
      return this.#kept.clear()
    }
    const ticket = this.#asked.get(id)
    if (ticket) ticket.outdated = true
    this.#asked.delete(id)
    this.#kept.delete(id)
  }
}
