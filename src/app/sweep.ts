// Sweep: settles calls whose reservation expired, every few seconds.

import type { Clock, Timer, Timers } from '../core/clock.ts'
import type { Store } from '../stores/store.ts'
import type { Telemetry } from '../telemetry/call-events.ts'

/** What sweeping needs. */
interface SweepParts {
  readonly clock: Clock
  readonly timers: Timers
  readonly telemetry: Pick<Telemetry, 'notify'>
  readonly store: Pick<Store, 'sweep'>
}

const SWEEP_INTERVAL_MS = 5_000

/** Starts sweeping. A sweep begins five seconds after the one before it has ended. Returns the function that stops it. */
export function startSweeping({ clock, timers, telemetry, store }: SweepParts): () => void {
  let timer: Timer | undefined
  let isStopped = false
  const sweep = async () => {
    try {
      await store.sweep(clock.now())
    } catch (error) {
      const message = 'Expired calls could not be settled. The next sweep tries again.'
      telemetry.notify({ code: 'sweep_failed', level: 'error', message, error })
    }
    if (!isStopped) wait()
  }
  const wait = () => {
    timer = timers.setTimeout(() => void sweep(), SWEEP_INTERVAL_MS).unref()
  }
  wait()
  return () => {
    isStopped = true
    timers.clearTimeout(timer)
  }
}
