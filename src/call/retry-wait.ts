// RetryWait: the time between a failed attempt of a call and the next one. It moves the reservation, and settles nothing.

import type { Circuits } from '../core/circuit.ts'
import type { Timer, Timers } from '../core/clock.ts'
import type { FailedAttempt, NextAttempt } from './attempts.ts'
import type { ExpiryCode } from './deadlines.ts'
import type { Dispatch } from './dispatch.ts'

/** Why a wait is stopped. */
export type RetryStopReason = ExpiryCode | 'client left'

/** Is notified once, of the end of a wait. */
export interface RetryListener {
  /** The next attempt can be sent. */
  onRetryReady(dispatch: Dispatch): void
  /** No further attempt is possible: the failed one was the last. */
  giveUp(failed: FailedAttempt): void
  /**
   * The wait was stopped, and nothing more will be sent.
   * @param failed what was used and is not in the bound of earlier attempts
   * @param moved the attempt that the reservation was moved to meanwhile; undefined if it was not moved
   */
  onRetryStopped(
    reason: RetryStopReason,
    failed: Pick<FailedAttempt, 'isFree' | 'usage'>,
    moved: Dispatch | undefined,
  ): void
  /** Ends the call after an error that is a bug. */
  failInternally(error: unknown): void
}

export interface RetryWaitParts {
  readonly timers: Timers
  readonly circuits: Circuits
  /** How many reservations are being moved: a stopping gateway waits for them, since their calls settle afterwards. */
  readonly moves: { inProgress: number }
}

/** First it pauses; then it moves the reservation, which cannot be interrupted. */
export class RetryWait {
  readonly #parts: RetryWaitParts
  readonly #listener: RetryListener
  readonly #failed: FailedAttempt
  readonly #next: NextAttempt<Dispatch>
  readonly #pause: Timer
  #isMoving = false
  #stopReason: RetryStopReason | undefined

  /** Begins to wait. */
  constructor(parts: RetryWaitParts, listener: RetryListener, failed: FailedAttempt, next: NextAttempt<Dispatch>) {
    this.#parts = parts
    this.#listener = listener
    this.#failed = failed
    this.#next = next
    this.#pause = parts.timers.setTimeout(() => void this.#move(), next.delayMs)
  }

  /** Ends the wait: at once during the pause, otherwise as soon as the reservation is moved. */
  stop(reason: RetryStopReason): void {
    if (this.#isMoving) {
      this.#stopReason = reason
      return
    }
    this.#parts.timers.clearTimeout(this.#pause)
    this.#listener.onRetryStopped(reason, this.#failed, undefined)
  }

  async #move(): Promise<void> {
    const { moves } = this.#parts
    this.#isMoving = true
    moves.inProgress += 1
    try {
      this.#finish(await this.#next.prepare())
    } catch (error) {
      this.#listener.failInternally(error)
    } finally {
      moves.inProgress -= 1
    }
  }

  #finish(dispatch: Dispatch | undefined): void {
    if (this.#stopReason) {
      if (dispatch) this.#releaseCircuit(dispatch)
      // A moved reservation counts the failed attempt among the prior ones, and nothing was sent for it.
      this.#listener.onRetryStopped(this.#stopReason, dispatch ? { isFree: true } : this.#failed, dispatch)
    } else if (dispatch) this.#listener.onRetryReady(dispatch)
    else this.#listener.giveUp(this.#failed)
  }

  #releaseCircuit({ admitted, circuitPass }: Dispatch): void {
    this.#parts.circuits.release(admitted.facts.provider, admitted.facts.model, circuitPass)
  }
}
