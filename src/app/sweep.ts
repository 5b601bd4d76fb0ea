// Sweep: settles calls whose reservation expired, every few seconds, and deletes sessions whose time is over.

import type { Clock, Timer, Timers } from '../core/clock.ts'
import type { Sessions } from '../sessions/sessions.ts'
import type { Store } from '../stores/store.ts'
import type { Telemetry } from '../telemetry/call-events.ts'

/** What sweeping needs. */
interface SweepParts {
  readonly clock: Clock
  readonly timers: Timers
  readonly telemetry: Pick<Telemetry, 'notify'>
  readonly store: Pick<Store, 'sweep'>
}

/** What sweeping sessions needs. */
interface SessionSweepParts {
  readonly timers: Timers
  readonly telemetry: Pick<Telemetry, 'notify'>
  readonly sessions: Pick<Sessions, 'sweep'>
}

const SWEEP_INTERVAL_MS = 5_000
const SESSION_SWEEP_INTERVAL_MS = 60_000

/** Starts sweeping. A sweep begins five seconds after the one before it has ended. Returns the function that stops it. */
export function startSweeping({ clock, timers, telemetry, store }: SweepParts): () => void {
  return repeat(timers, SWEEP_INTERVAL_MS, async () => {
    try {
      await store.sweep(clock.now())
    } catch (error) {
      const message = 'Expired calls could not be settled. The next sweep tries again.'
      telemetry.notify({ code: 'sweep_failed', level: 'error', message, error })
    }
  })
}

/** Starts deleting sessions that have ended, once a minute. Returns the function that stops it. */
export function startSweepingSessions({ timers, telemetry, sessions }: SessionSweepParts): () => void {
  return repeat(timers, SESSION_SWEEP_INTERVAL_MS, async () => {
    try {
      await sessions.sweep()
    } catch (error) {
      const message = 'Sessions that have ended could not be deleted. The next sweep tries again.'
      telemetry.notify({ code: 'sessions_not_deleted', level: 'error', message, error })
    }
  })
}

/** Does this again and again, an interval after it was done the last time. Returns the function that stops it. */
function repeat(timers: Timers, intervalMs: number, work: () => Promise<void>): () => void {
  let timer: Timer | undefined
  let isStopped = false
  const workAndWait = async () => {
    await work()
    if (!isStopped) wait()
  }
  const wait = () => {
    timer = timers.setTimeout(() => void workAndWait(), intervalMs).unref()
  }
  wait()
  return () => {
    isStopped = true
    timers.clearTimeout(timer)
  }
}
