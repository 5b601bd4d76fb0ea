// Retention: deletes rows that are older than the operator wants to keep, a few at a time. Their sums stay.

import type { Clock, Timer, Timers } from '../core/clock.ts'
import type { Store } from '../stores/store.ts'
import type { Telemetry } from '../telemetry/call-events.ts'

interface RetentionParts {
  readonly clock: Clock
  readonly timers: Timers
  readonly telemetry: Pick<Telemetry, 'notify'>
  readonly store: Pick<Store, 'prune'>
  /** How many days rows are kept, read anew for every pass. Null: for ever. */
  readonly days: () => number | null
}

const PASS_INTERVAL_MS = 60_000
/** Between two steps of a few milliseconds: calls hardly notice. */
const STEP_INTERVAL_MS = 20
const DAY_MS = 86_400_000

/** Starts deleting, every minute. Returns the function that stops it. */
export function startRetention({ clock, timers, telemetry, store, days }: RetentionParts): () => void {
  let timer: Timer | undefined
  let isStopped = false
  let hasFailed = false
  let deleted = 0
  /** What a pass deletes is decided when the pass begins: calls grow old during a pass, too, and the pass would never end. */
  let passBeforeMs: number | undefined
  const step = async () => {
    const kept = days()
    let count = 0
    try {
      const now = clock.now()
      if (kept !== null) {
        const beforeMs = now.wallMs - kept * DAY_MS
        passBeforeMs ??= beforeMs
        // More days are in force at once.
        count = await store.prune(Math.min(passBeforeMs, beforeMs), now)
      }
      hasFailed = false
    } catch (error) {
      const message = 'Old rows of the ledger could not be deleted. The gateway tries again every minute.'
      if (!hasFailed && !isStopped) telemetry.notify({ code: 'rows_not_deleted', level: 'error', message, error })
      hasFailed = true
    }
    deleted += count
    if (count === 0 && deleted > 0) {
      const message = 'Rows of the ledger that are older than RETENTION_DAYS were deleted. Their sums stay.'
      const before = passBeforeMs === undefined ? null : new Date(passBeforeMs).toISOString()
      telemetry.notify({ code: 'rows_deleted', level: 'info', message, details: { rows: deleted, days: kept, before } })
      deleted = 0
    }
    if (count === 0) passBeforeMs = undefined
    if (!isStopped) wait(count > 0 ? STEP_INTERVAL_MS : PASS_INTERVAL_MS)
  }
  const wait = (delayMs: number) => {
    timer = timers.setTimeout(() => void step(), delayMs).unref()
  }
  wait(PASS_INTERVAL_MS)
  return () => {
    isStopped = true
    timers.clearTimeout(timer)
  }
}
