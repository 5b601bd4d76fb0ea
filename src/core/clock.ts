// Clock: the two clocks as one value, handed in by main.

import type { Instant } from './meter.ts'

export interface Clock {
  /** Whole milliseconds on both clocks. */
  now(): Instant
}

/** A timer that was started. */
export interface Timer {
  /** Lets the process end before the timer is due. */
  unref(): Timer
}

/** Timers, handed in beside the clock: the process's own, or ones that a test turns by hand. */
export interface Timers {
  /** Calls back once, `delayMs` from now at the earliest. */
  setTimeout(callback: () => void, delayMs: number): Timer
  /** Does nothing for a timer that is over, or undefined. */
  clearTimeout(timer: Timer | undefined): void
}
