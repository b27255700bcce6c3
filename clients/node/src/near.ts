// Copies kept in this process, so that a hit costs no round trip. Never longer than the server said, and never a value
// whose question was asked before the key changed.

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
    const ticket = { outdated: false, others: this.#asked.get(id) }
    this.#asked.set(id, ticket)
    return ticket
  }

  /** When the question is answered; without bytes there is nothing to keep. */
  answer(id: string, ticket: Ticket, bytes?: Buffer, forMs = 0): void {
    if (this.#asked.get(id) === ticket) this.#asked.delete(id)
    if (!bytes || ticket.outdated || forMs <= 0) return
    this.#kept.delete(id)
    this.#kept.set(id, { bytes, until: performance.now() + forMs })
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.most) break
      this.#kept.delete(oldest)
    }
  }

  /** The key changed; null: any of them may have. */
  drop(id: string | null): void {
    if (id === null) this.#kept.clear()
    else this.#kept.delete(id)
    for (const first of id === null ? this.#asked.values() : [this.#asked.get(id)]) {
      for (let ticket = first; ticket; ticket = ticket.others) ticket.outdated = true
    }
  }
}

export interface Ticket {
  outdated: boolean
  /** Questions of the same key that were asked before. */
  others: Ticket | undefined
}
