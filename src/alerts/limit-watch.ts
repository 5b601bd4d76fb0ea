// Limit watch: raises alerts when limits reach their percentages. A call costs look-ups alone: levels are read a second later, in steps.

import { setImmediate } from 'node:timers/promises'
import type { AlertRow } from '../config/alerts.ts'
import type { PastCall } from '../core/call-limits.ts'
import type { Clock, Timer, Timers } from '../core/clock.ts'
import type { Charge } from '../core/meter.ts'
import { totalTokens } from '../core/usage.ts'
import type { Store } from '../stores/store.ts'
import type { CallAdmitted, CallRefused, CallSettled, CallsBooked } from '../telemetry/call-events.ts'
import type { Alert } from './alert.ts'
import { isWatched, limitAlert, type ReachedLevel } from './limit-alerts.ts'
import { Thresholds } from './thresholds.ts'

interface LimitWatchParts {
  readonly store: Pick<Store, 'levels' | 'entries'>
  readonly clock: Clock
  readonly timers: Timers
  /** The limits that count calls like this one now, as charges that take nothing. */
  readonly limitsOf: (call: PastCall) => Promise<readonly Charge[]>
  readonly raise: (row: AlertRow, alert: Alert) => void
  readonly fail: (error: unknown) => void
}

/** Levels are read again after this time, in which most calls settle. */
const READ_LEVELS_MS = 1_000
/** If more calls wait, all are forgotten, and the newest calls are read from the ledger. */
const MAX_WAITING_CALLS = 10_000
/** What may be missing after a restart is of the last moments before. */
const MAX_PAST_CALLS = 10_000
const PAST_CALLS_PER_PAGE = 250
/** Calls whose limits are looked at in one turn of the event loop: two milliseconds at most, if no level is in memory. */
const CALLS_PER_TURN = 20

/** Call `use` for each configuration, and `close` before the store is closed. */
export class LimitWatch {
  readonly #parts: LimitWatchParts
  readonly #thresholds = new Thresholds()
  #rows: readonly AlertRow[] = []
  #countsTokens = false
  #simulated = false
  /** Calls that came to more than their reservation, or had none: the limits of these may have reached a percentage unseen. */
  readonly #calls: PastCall[] = []
  /** Whether the newest calls of the ledger are to be looked at. */
  #looksBack = false
  #timer: Timer | undefined
  #reading: Promise<void> | undefined
  #isClosed = false

  constructor(parts: LimitWatchParts) {
    this.#parts = parts
  }

  /** Other rows are in force. If they watch anything else, the newest calls are looked at once more: an earlier process, too, made some. */
  use(rows: readonly AlertRow[], simulated: boolean): void {
    const before = watchText(this.#rows, this.#simulated)
    this.#rows = rows.filter(({ on }) => on.has('limit'))
    this.#countsTokens = this.#rows.some(({ limits }) => limits?.some(({ what }) => what === 'tokens'))
    this.#simulated = simulated
    if (watchText(this.#rows, simulated) === before) return
    this.#thresholds.use(this.#rows)
    this.#looksBack = this.#rows.length > 0
    this.#wait()
  }

  hear(event: CallAdmitted | CallRefused | CallSettled | CallsBooked): void {
    if (this.#thresholds.isIdle) return
    const { wallMs } = event.at
    switch (event.kind) {
      case 'admitted':
        if (event.facts.simulated !== this.#simulated) return
        this.#thresholds.hear(event.levels, wallMs)
        break
      case 'refused':
        if (event.simulated !== this.#simulated) return
        this.#thresholds.hearRefusal(event.refusal, wallMs)
        break
      case 'settled':
        if (isOverReservation(event, this.#countsTokens)) this.#add([event])
        break
      case 'booked':
        this.#add(event.calls)
    }
    this.#wait()
  }

  /** Forgets windows that have ended. Call it now and then. */
  forgetEnded(nowMs: number): void {
    this.#thresholds.forgetEnded(nowMs)
  }

  /** Reads once more what waits to be read. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#parts.timers.clearTimeout(this.#timer)
    await this.#reading
    // The newest calls are looked at after the next start.
    this.#looksBack = false
    if (this.#hasWork) await this.#read()
  }

  get #hasWork(): boolean {
    return this.#looksBack || this.#calls.length > 0 || this.#thresholds.hasCandidates
  }

  #add(calls: readonly PastCall[]): void {
    const ofRealm = calls.filter(({ facts }) => facts.simulated === this.#simulated)
    if (this.#calls.length + ofRealm.length <= MAX_WAITING_CALLS) {
      for (const { facts, outcome } of ofRealm) this.#calls.push({ facts, outcome })
      return
    }
    this.#calls.length = 0
    this.#looksBack = true
  }

  #wait(): void {
    if (this.#timer || this.#reading || this.#isClosed || !this.#hasWork) return
    this.#timer = this.#parts.timers
      .setTimeout(() => {
        this.#timer = undefined
        this.#reading = this.#read().finally(() => {
          this.#reading = undefined
          this.#wait()
        })
      }, READ_LEVELS_MS)
      .unref()
  }

  /** Never rejects: what cannot be read now is read the next time. */
  async #read(): Promise<void> {
    const looksBack = this.#looksBack
    const isBehind = looksBack || this.#calls.length > 0
    this.#looksBack = false
    try {
      if (looksBack) await this.#lookBack()
      await this.#hearInSteps(this.#calls)
      const now = this.#parts.clock.now()
      for (const reached of await this.#thresholds.read(this.#parts.store, now)) this.#raise(reached, now.wallMs)
    } catch (error) {
      // Calls that were taken out and not looked at are in the ledger.
      if (isBehind) this.#looksBack = true
      this.#parts.fail(error)
    }
  }

  /** Looks at the limits of the newest calls of the ledger, the newest first. */
  async #lookBack(): Promise<void> {
    let beforeSeq = Number.MAX_SAFE_INTEGER
    for (let count = 0; count < MAX_PAST_CALLS && !this.#isClosed; count += PAST_CALLS_PER_PAGE) {
      const query = { simulated: this.#simulated, beforeSeq, limit: PAST_CALLS_PER_PAGE }
      const page = await this.#parts.store.entries(query)
      beforeSeq = page.at(-1)?.settledSeq ?? 0
      await this.#hearInSteps([...page])
      if (page.length < PAST_CALLS_PER_PAGE) return
    }
  }

  /** Takes all calls out of a list. */
  async #hearInSteps(calls: PastCall[]): Promise<void> {
    while (calls.length > 0) {
      await this.#hearCalls(calls.splice(0, CALLS_PER_TURN))
      await setImmediate()
    }
  }

  async #hearCalls(calls: readonly PastCall[]): Promise<void> {
    const { store, clock, limitsOf } = this.#parts
    const limits = new Map<string, Charge>()
    for (const call of calls) for (const limit of await limitsOf(call)) limits.set(limit.meter.key, limit)
    const now = clock.now()
    const watched = this.#thresholds.watched([...limits.values()], now.wallMs)
    this.#thresholds.hear(await store.levels(watched, now), now.wallMs)
  }

  /** Each receiver hears of the highest percentage of its own. */
  #raise({ level, percent, hasRefused }: ReachedLevel, atMs: number): void {
    for (const row of this.#rows) {
      if (!isWatched(row, level.meter)) continue
      const own = row.at.findLast((candidate) => candidate <= percent)
      if (own === undefined) continue
      this.#parts.raise(row, limitAlert({ level, percent: own, hasRefused: hasRefused && own >= 100 }, atMs))
    }
  }
}

/** The levels after the reservation did not show what the call came to. */
function isOverReservation({ facts, outcome }: CallSettled, countsTokens: boolean): boolean {
  return (
    outcome.cost.totalNanoUsd > facts.reservedCostNanoUsd ||
    (countsTokens && totalTokens(outcome.usage) > facts.reservedTokens)
  )
}

/** What rows watch: equal texts watch the same. */
function watchText(rows: readonly AlertRow[], simulated: boolean): string {
  return JSON.stringify([simulated, ...rows.map(({ name, limits, at }) => [name, limits, at])])
}
