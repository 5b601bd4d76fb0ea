// Permits: a counting semaphore that never waits, and what one holder has taken from it.

/** A number that must not pass a most, held in parts and given back. See Holding. */
export class Allowance {
  readonly #most: number
  #held = 0

  constructor(most: number) {
    this.#most = most
  }

  get held(): number {
    return this.#held
  }

  /** False, and nothing is held, where there is not that much left. */
  take(amount: number): boolean {
    if (this.#held + amount > this.#most) return false
    this.#held += amount
    return true
  }

  give(amount: number): void {
    this.#held -= amount
  }
}

/** What somebody holds of an allowance. */
export class Holding {
  readonly #of: Allowance
  #amount = 0

  constructor(of: Allowance) {
    this.#of = of
  }

  /** More of it. False, and nothing changes, where there is not that much left. */
  take(amount: number): boolean {
    if (!this.#of.take(amount)) return false
    this.#amount += amount
    return true
  }

  giveBack(): void {
    this.#of.give(this.#amount)
    this.#amount = 0
  }
}
