// Permits: a counting semaphore that refuses instead of waiting, and the permits of one holder.

/** A fixed number of permits, in any unit, such as calls or bytes. Release exactly the permits that you acquired. */
export class Permits {
  readonly #max: number
  #held = 0

  constructor(max: number) {
    this.#max = max
  }

  /** How many permits are acquired and not released. */
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

/** The permits of one holder, which are released together. */
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

  /** Releases all permits of this holder. Calling it twice is harmless. */
  release(): void {
    this.#permits.release(this.#amount)
    this.#amount = 0
  }
}
