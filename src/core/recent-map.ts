// Recent map: a map of limited size, which forgets the values that were not used for longest.

/** Two generations. When the young one is full, it becomes the old one, and the values that are still old are forgotten. */
export class RecentMap<Value> {
  readonly #maxPerGeneration: number
  readonly #forget: ((value: Value) => void) | undefined
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  /** @param forget called with each value that is forgotten, and not with those that are deleted or replaced */
  constructor(maxNames: number, forget?: (value: Value) => void) {
    this.#maxPerGeneration = maxNames / 2
    this.#forget = forget
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(name: string): Value | undefined {
    const young = this.#young.get(name)
    if (young !== undefined) return young
    const old = this.#old.get(name)
    if (old === undefined) return undefined
    this.#old.delete(name)
    this.set(name, old)
    return old
  }

  delete(name: string): void {
    this.#young.delete(name)
    this.#old.delete(name)
  }

  set(name: string, value: Value): void {
    if (this.#young.size >= this.#maxPerGeneration) {
      if (this.#forget) for (const value of this.#old.values()) this.#forget(value)
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(name, value)
  }
}
