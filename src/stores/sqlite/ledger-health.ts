// Ledger health: whether the ledger takes calls, and who is notified when that changes. It looks at no file.

import type { StoreFailure, StoreHealth } from '../store.ts'

type Listener = (failure: StoreFailure | undefined) => void

/** A file of the open ledger that is not what it was when the ledger was opened. */
export interface FileLoss {
  readonly path: string
  /** What happened to the file, as the verb of a sentence. `deleted or moved` and `replaced` end if the file comes back. */
  readonly verb: 'deleted or moved' | 'replaced by another file' | 'cut short' | 'written by another program'
}

const LOSSES_THAT_END: ReadonlySet<FileLoss['verb']> = new Set(['deleted or moved', 'replaced by another file'])

/** Healthy at first. A loss hides that the ledger is unwritable as well. */
export class LedgerHealth implements StoreHealth {
  #failure: StoreFailure | undefined
  #writeError = ''
  /** True if the loss ends with a restart alone. */
  #isFinal = false
  readonly #listeners: Listener[] = []
  readonly #sumsListeners: (() => void)[] = []

  get failure(): StoreFailure | undefined {
    return this.#failure
  }

  /** While true, nothing is written: the rows would be in no ledger, or in another one. */
  get isLost(): boolean {
    return this.#failure?.kind === 'lost'
  }

  /** SQLite's words for the newest commit that failed. */
  get writeError(): string {
    return this.#writeError
  }

  watch(listener: Listener): void {
    this.#listeners.push(listener)
  }

  watchSums(listener: () => void): void {
    this.#sumsListeners.push(listener)
  }

  /** The sums begin anew without the rows that retention deleted. Calls are taken all the same. */
  sumsLost(): void {
    for (const listener of this.#sumsListeners) listener()
  }

  /** A commit failed. @param reason SQLite's words */
  unwritable(reason: string): void {
    this.#writeError = reason
    if (this.#failure) return
    const message = `The ledger cannot be written (${reason}). A call that cannot be written is not sent. The gateway tries once a second whether the ledger can be written again.`
    this.#change({ kind: 'unwritable', message })
  }

  /** A trial row was written. */
  writable(): void {
    if (this.#failure?.kind === 'unwritable') this.#change(undefined)
  }

  /** The first loss is reported, and a loss that ends with a restart alone after one that can end before. */
  lost(loss: FileLoss): void {
    const isFinal = !LOSSES_THAT_END.has(loss.verb)
    if (this.isLost && (this.#isFinal || !isFinal)) return
    this.#isFinal = isFinal
    this.#change({ kind: 'lost', message: lossMessage(loss, isFinal), file: loss.path })
  }

  /** Every file is what it was when the ledger was opened. */
  found(): void {
    if (this.isLost && !this.#isFinal) this.#change(undefined)
  }

  #change(failure: StoreFailure | undefined): void {
    this.#failure = failure
    for (const listener of this.#listeners) listener(failure)
  }
}

/** It names the file without its folder: /readyz shows the message to everyone. */
function lossMessage({ path, verb }: FileLoss, isFinal: boolean): string {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
  const whatFollows = isFinal ? 'To go on,' : 'If the same file comes back, the gateway goes on by itself. Otherwise'
  return `The ledger's file ${name} was ${verb} while the gateway ran. No call is sent. ${whatFollows} ${remedyFor(name)}.`
}

function remedyFor(name: string): string {
  if (name.endsWith('-wal')) return 'restart the gateway: its newest calls may be missing in the ledger'
  if (name.endsWith('-shm') || name.endsWith('.owner')) return 'restart the gateway'
  return 'stop the gateway, put the ledger or a backup of it in place, without -wal and -shm files of another one, and start the gateway'
}
