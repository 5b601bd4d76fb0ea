// Outage watch: makes one outage of all failures of a target that follow each other, so that a target that comes and goes is no stream of
// alerts.

import type { Timer, Timers } from '../core/clock.ts'
import type { CircuitClosed, CircuitOpened } from '../telemetry/call-events.ts'
import type { Alert } from './alert.ts'
import { downAlert, downKey, upAlert } from './event-alerts.ts'

/** A target that was up for this long is up again. */
const MIN_UP_MS = 300_000

interface Outage {
  readonly sinceMs: number
  /** Runs while the target is up. */
  timer: Timer | undefined
}

/** Circuits are bounded, and so are outages. */
export class OutageWatch {
  readonly #timers: Timers
  readonly #raise: (alert: Alert) => void
  readonly #release: (key: string) => void
  readonly #outages = new Map<string, Outage>()

  /** @param release lets a target that goes down again be reported again */
  constructor(timers: Timers, raise: (alert: Alert) => void, release: (key: string) => void) {
    this.#timers = timers
    this.#raise = raise
    this.#release = release
  }

  hear(event: CircuitOpened | CircuitClosed): void {
    const key = downKey(event)
    const outage = this.#outages.get(key)
    this.#timers.clearTimeout(outage?.timer)
    if (event.kind === 'circuit_closed') {
      if (outage) outage.timer = this.#timers.setTimeout(() => this.#end(key, event), MIN_UP_MS).unref()
      return
    }
    if (outage) {
      outage.timer = undefined
      return
    }
    this.#outages.set(key, { sinceMs: event.at.wallMs, timer: undefined })
    this.#raise(downAlert(event))
  }

  stop(): void {
    for (const { timer } of this.#outages.values()) this.#timers.clearTimeout(timer)
  }

  #end(key: string, event: CircuitClosed): void {
    const outage = this.#outages.get(key)
    if (!outage) return
    this.#outages.delete(key)
    this.#release(key)
    this.#raise(upAlert(event, outage.sinceMs))
  }
}
