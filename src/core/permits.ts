// Permits: a counting semaphore that refuses in place of waiting, and the share that one holder has of it.

/** A number of permits, in any unit: calls, or bytes. Whoever acquires permits releases as many. */
export class Permits {
  readonly #max: number
  #held = 0

  constructor(max: number) {
    this.#max = max
  }

  get held(): number {
    return this.#held
  }

  /** Acquires this many permits. Returns false, and acquires none, if fewer are left. */
  acquire(amount: number): boolean {
    if (this.#held + amount > this.#max) return false
    this.#held += amount
    return true
  }

  release(amount: number): void {
    this.#held -= amount
  }
}

/** The permits of one holder, released together. */
export class PermitLease {
  readonly #permits: Permits
  #amount = 0

  constructor(permits: Permits) {
    this.#permits = permits
  }

  /** Acquires this many more permits. Returns false, and acquires none, if fewer are left. */
  acquire(amount: number): boolean {
    if (!this.#permits.acquire(amount)) return false
    this.#amount += amount
    return true
  }

  /** Releases all of them. Calling it twice is harmless. */
  release(): void {
    this.#permits.release(this.#amount)
    this.#amount = 0
  }
}
