// Fair slots: bounds the number of concurrent jobs so that no single caller takes all slots. A job without a slot does not wait.

/**
 * While half of the slots are free, every caller gets a slot. After that, a caller gets one only if it holds less than a quarter of
 * all slots.
 */
export class FairSlots {
  readonly #maxSlots: number
  #takenCount = 0
  readonly #takenByCaller = new Map<string, number>()

  constructor(maxSlots: number) {
    this.#maxSlots = maxSlots
  }

  /** How many callers hold a slot. */
  get callerCount(): number {
    return this.#takenByCaller.size
  }

  /**
   * Runs `work` in a slot. Resolves to undefined if there is no slot for this caller; rejects as `work` does.
   * @param caller absent or null if callers are anonymous: then only the number of slots counts
   */
  async withSlot<Value>(
    caller: string | null | undefined,
    work: () => Promise<Value | undefined>,
  ): Promise<Value | undefined> {
    const name = caller ?? null
    if (!this.#hasSlotFor(name)) return undefined
    this.#change(name, 1)
    try {
      return await work()
    } finally {
      this.#change(name, -1)
    }
  }

  #hasSlotFor(caller: string | null): boolean {
    if (this.#takenCount >= this.#maxSlots) return false
    return this.#takenCount < this.#maxSlots / 2 || this.#takenBy(caller) < this.#maxSlots / 4
  }

  #takenBy(caller: string | null): number {
    return caller === null ? 0 : (this.#takenByCaller.get(caller) ?? 0)
  }

  #change(caller: string | null, difference: number): void {
    this.#takenCount += difference
    if (caller === null) return
    const taken = this.#takenBy(caller) + difference
    if (taken > 0) this.#takenByCaller.set(caller, taken)
    else this.#takenByCaller.delete(caller)
  }
}
