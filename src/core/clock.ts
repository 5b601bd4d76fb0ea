// Clock: the interfaces of clocks and timers. Code gets both as arguments, so that tests can replace them. It reads no clock.

import type { Instant } from './meter.ts'

/** The wall clock and the monotonic clock. */
export interface Clock {
  /** Whole milliseconds on both clocks. */
  now(): Instant
}

/** A timer that was started. */
export interface Timer {
  /** Lets the process end before the timer is due. */
  unref(): Timer
}

/** The process's own timers, or timers that a test controls. */
export interface Timers {
  /** Calls back once, `delayMs` from now at the earliest. */
  setTimeout(callback: () => void, delayMs: number): Timer
  /** Does nothing for a timer that is over, or undefined. */
  clearTimeout(timer: Timer | undefined): void
}
