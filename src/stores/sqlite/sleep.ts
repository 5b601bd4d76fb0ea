// Sleep: a pause on timers that are handed in.

import type { Timers } from '../../core/clock.ts'

export function sleep(timers: Timers, delayMs: number): Promise<void> {
  return new Promise((resolve) => timers.setTimeout(resolve, delayMs))
}
