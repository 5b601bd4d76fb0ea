// Timers for tests of stores: no test waits for real time.

import type { Timer, Timers } from '../../src/core/clock.ts'

const MS_PER_TURN = 5
/** A longer delay never passes. */
const MAX_DELAY_MS = 10_000

/** A timer that counts turns of the event loop instead of milliseconds, so that the order of timers stays as it is. */
class TurnTimer implements Timer {
  #immediate: NodeJS.Immediate | undefined
  #turns: number
  readonly #callback: () => void

  constructor(callback: () => void, turns: number) {
    this.#callback = callback
    this.#turns = turns
    this.#schedule()
  }

  /** Without effect: the event loop sleeps if only unreferenced turns wait. */
  unref(): this {
    return this
  }

  clear(): void {
    clearImmediate(this.#immediate)
  }

  #schedule(): void {
    this.#immediate = setImmediate(() => {
      this.#turns -= 1
      if (this.#turns <= 0) this.#callback()
      else this.#schedule()
    })
  }
}

const NEVER: Timer = { unref: () => NEVER }

/** A delay of five milliseconds takes two turns, the 250 before sums are saved take 51. */
export const turnTimers: Timers = {
  setTimeout: (callback, delayMs) =>
    delayMs > MAX_DELAY_MS ? NEVER : new TurnTimer(callback, 1 + Math.ceil(delayMs / MS_PER_TURN)),
  clearTimeout: (timer) => {
    if (timer instanceof TurnTimer) timer.clear()
  },
}

interface HeldTimer extends Timer {
  readonly callback: () => void
  readonly delayMs: number
}

/** Timers that fire when a test calls `fire`. */
export class HeldTimers implements Timers {
  #waiting: HeldTimer[] = []

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: HeldTimer = { callback, delayMs, unref: () => timer }
    this.#waiting.push(timer)
    return timer
  }

  clearTimeout(timer: Timer | undefined): void {
    this.#waiting = this.#waiting.filter((waiting) => waiting !== timer)
  }

  get delaysMs(): readonly number[] {
    return this.#waiting.map(({ delayMs }) => delayMs).toSorted((left, right) => left - right)
  }

  /** Calls back the timers up to a delay that wait now, those with the shortest delay first. */
  fire(maxDelayMs = MAX_DELAY_MS): void {
    const due = this.#waiting.filter(({ delayMs }) => delayMs <= maxDelayMs)
    this.#waiting = this.#waiting.filter((timer) => !due.includes(timer))
    for (const { callback } of due.toSorted((left, right) => left.delayMs - right.delayMs)) callback()
  }
}
