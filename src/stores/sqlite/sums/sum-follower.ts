// Sum follower: lets the kept sums follow the ledger in short steps, between the queries of the ledger's second thread.

import type { DatabaseSync } from 'node:sqlite'
import { KeptSums } from './kept-sums.ts'

/** Few large steps cost less than many small ones, and a query that comes before a step waits for what is missing. */
const MIN_STEP_ENTRIES = 8_192
/** Entries wait at most so many calls of `follow` for others. */
const MAX_IDLE_CALLS = 30

export class SumFollower {
  readonly #ledger: DatabaseSync
  readonly #path: string
  readonly #onSumsLost: () => void
  #sums: KeptSums | undefined
  #idleCalls = 0
  #next: NodeJS.Immediate | undefined

  /** @param onSumsLost called if sums begin anew without the rows that retention deleted */
  constructor(ledger: DatabaseSync, path: string, onSumsLost: () => void) {
    this.#ledger = ledger
    this.#path = path
    this.#onSumsLost = onSumsLost
  }

  kept(): KeptSums {
    return (this.#sums ??= new KeptSums(this.#ledger, this.#path, this.#onSumsLost))
  }

  /** Called again and again: counts what has been settled, once it is enough or has waited long enough. */
  follow(): void {
    if (this.#next) return
    try {
      const { missing } = this.kept()
      this.#idleCalls = missing === 0 ? 0 : this.#idleCalls + 1
      if (missing < MIN_STEP_ENTRIES && this.#idleCalls <= MAX_IDLE_CALLS) return
      this.#step()
    } catch {
      this.#discard()
    }
  }

  close(): void {
    clearImmediate(this.#next)
    this.#sums?.close()
    this.#sums = undefined
  }

  /** One step a turn, so that queries come between. */
  #step(): void {
    this.#next = undefined
    this.#idleCalls = 0
    try {
      if (this.kept().follow(MIN_STEP_ENTRIES)) this.#next = setImmediate(() => this.#step())
    } catch {
      this.#discard()
    }
  }

  /** The file is gone or full. The next call opens it anew; until then a query says what is wrong. */
  #discard(): void {
    try {
      this.#sums?.close()
    } catch {
      // It is broken.
    }
    this.#sums = undefined
  }
}
