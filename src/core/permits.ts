// Permits: a counting semaphore that never waits, and what one holder has taken from it.

/** A number that must not pass a most, held in parts and given back. See Holding. */
export class Permits {
  readonly #max: number
  #held = 0

  constructor(most: number) {
    this.#max = most
  }

  get held(): number {
    return this.#held
  }

  /** False, and nothing is held, where there is not that much left. */
  acquire(amount: number): boolean {
    if (this.#held + amount > this.#max) return false
    this.#held += amount
    return true
  }

  release(amount: number): void {
    this.#held -= amount
  }
}

/** What somebody holds of an allowance. */
export class PermitLease {
  readonly #permits: Permits
  #amount = 0

  constructor(of: Permits) {
    this.#permits = of
  }

  /** More of it. False, and nothing changes, where there is not that much left. */
  acquire(amount: number): boolean {
    if (!this.#permits.acquire(amount)) return false
    this.#amount += amount
    return true
  }

  release(): void {
    this.#permits.release(this.#amount)
    this.#amount = 0
  }
}
