// Ledger health: whether the ledger takes calls, and who is notified when that changes. It looks at no file.

import type { StoreFailure, StoreHealth } from '../store.ts'

/** Healthy at first. `unwritable` ends by itself; `lost` is final. */
export class LedgerHealth implements StoreHealth {
  #failure: StoreFailure | undefined
  readonly #listeners: ((failure: StoreFailure | undefined) => void)[] = []

  get failure(): StoreFailure | undefined {
    return this.#failure
  }

  get isLost(): boolean {
    return this.#failure?.kind === 'lost'
  }

  watch(listener: (failure: StoreFailure | undefined) => void): void {
    this.#listeners.push(listener)
  }

  /** A commit failed. */
  unwritable(error: Error): void {
    if (this.#failure) return
    const message = `The ledger cannot be written (${error.message}). Calls are refused until it can be written again.`
    this.#change({ kind: 'unwritable', message, error })
  }

  /** New rows were written. */
  writable(): void {
    if (this.#failure?.kind === 'unwritable') this.#change(undefined)
  }

  /** A file of the ledger is not the one that was opened. @param message what happened and what to do */
  lost(message: string, file: string): void {
    if (!this.isLost) this.#change({ kind: 'lost', message, file })
  }

  #change(failure: StoreFailure | undefined): void {
    this.#failure = failure
    for (const listener of this.#listeners) listener(failure)
  }
}
