// Clock: the two clocks as one value, handed in by main.

import type { Instant } from './meter.ts'

export interface Clock {
  /** Whole milliseconds on both clocks. */
  now(): Instant
}
