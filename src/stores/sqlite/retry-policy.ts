// Retry policy: what to do after a commit of the ledger failed. It counts failures and measures no time.

import { isBusy } from './file.ts'

/** `drop`: give up the reservations, and try again at once without them. `wait`: keep everything and try again later. */
export type RetryDecision =
  | { readonly kind: 'drop' }
  | { readonly kind: 'wait'; readonly isBusy: boolean; readonly delayMs: number }

const BUSY_RETRY_MS = 2
/** Five seconds or more of `BUSY_RETRY_MS` each. After that, a busy file counts as a failure. */
const MAX_BUSY_RETRIES = 2500
const MIN_RETRY_MS = 100
const MAX_RETRY_MS = 2000

/**
 * A busy file (a checkpoint is being finished) is tried again soon, with everything. After any other failure, reservations are
 * rejected at once, and settlements are tried again, with growing delays.
 */
export class RetryPolicy {
  #busyRetries = 0
  #delayMs = 0

  /** True from a failure until the next success. A busy file is no failure. */
  get isFailing(): boolean {
    return this.#delayMs > 0
  }

  /** @param hasReserves whether the batch had reservations, which need room that settlements may not need */
  afterFailure(error: unknown, hasReserves: boolean): RetryDecision {
    if (isBusy(error) && ++this.#busyRetries < MAX_BUSY_RETRIES)
      return { kind: 'wait', isBusy: true, delayMs: BUSY_RETRY_MS }
    if (hasReserves) return { kind: 'drop' }
    this.#delayMs = Math.min(MAX_RETRY_MS, this.#delayMs * 2 || MIN_RETRY_MS)
    return { kind: 'wait', isBusy: false, delayMs: this.#delayMs }
  }

  afterSuccess(): void {
    this.#busyRetries = 0
    this.#delayMs = 0
  }
}
