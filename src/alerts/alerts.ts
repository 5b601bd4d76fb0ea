// Alerts: hears events and notices, decides what is an alert for whom, and hands it to the outbox. A call pays for look-ups alone.

import type { AlertKind, AlertRow } from '../config/alerts.ts'
import { windowAt } from '../core/calendar.ts'
import type { PastCall } from '../core/call-limits.ts'
import type { Clock, Timer, Timers } from '../core/clock.ts'
import type { Charge } from '../core/meter.ts'
import type { ReceiverDeliveries } from '../stores/alert-queue.ts'
import type { Store } from '../stores/store.ts'
import { SumsNotReady } from '../stores/usage-query.ts'
import type { CallEvent, CallListener, Notice, Telemetry } from '../telemetry/call-events.ts'
import { type Alert, HOUR_MS } from './alert.ts'
import { Dispatcher } from './dispatcher.ts'
import { alertOfEvent, alertOfNotice, LEDGER_KEY } from './event-alerts.ts'
import { LimitWatch } from './limit-watch.ts'
import { messageOf } from './messages.ts'
import { OutageWatch } from './outage-watch.ts'
import { Outbox } from './outbox.ts'
import type { Attempt } from './receiver.ts'
import type { Receivers } from './receivers.ts'
import { hoursOfSpend, isUnusual, unusualSpendAlert } from './unusual-spend.ts'

interface AlertParts {
  readonly store: Pick<Store, 'alerts' | 'levels' | 'entries' | 'usage' | 'registry'>
  readonly receivers: Receivers
  /** The limits that count calls like this one now, as charges that take nothing. */
  readonly limitsOf: (call: PastCall) => Promise<readonly Charge[]>
  readonly clock: Clock
  readonly timers: Timers
  readonly telemetry: Pick<Telemetry, 'notify'>
  readonly random: () => number
  readonly newMessageId: () => string
  /** To `/llm/limits`. */
  readonly link: string
  /** The gateway's IANA zone: hours begin at its full hours. */
  readonly timeZone: string
}

/** A receiver and what was delivered to it. */
export interface ReceiverState {
  readonly row: AlertRow
  readonly isGone: boolean
  /** Undefined if nothing was sent to it. */
  readonly deliveries: ReceiverDeliveries | undefined
}

const CHECK_SPEND_MS = 300_000

/** Call `start` once, `use` for each configuration, and `close` before the store is closed. */
export class Alerts implements CallListener {
  readonly name = 'alerts'
  readonly #parts: AlertParts
  readonly #limits: LimitWatch
  readonly #dispatcher: Dispatcher
  readonly #outbox: Outbox
  readonly #outages: OutageWatch
  #rows: readonly AlertRow[] = []
  #kinds: ReadonlySet<AlertKind> = new Set()
  #simulated = false
  #spendTimer: Timer | undefined
  #isClosed = false

  constructor(parts: AlertParts) {
    this.#parts = parts
    const { store, ...others } = parts
    this.#dispatcher = new Dispatcher({ queue: store.alerts, registry: store.registry, ...others })
    this.#outbox = new Outbox({ queue: store.alerts, dispatcher: this.#dispatcher, ...others })
    this.#limits = new LimitWatch({
      store,
      clock: parts.clock,
      timers: parts.timers,
      limitsOf: parts.limitsOf,
      raise: (row, alert) => this.#outbox.put(row, alert),
      fail: (error) => this.#notifyFailure(error),
    })
    this.#outages = new OutageWatch(
      parts.timers,
      (alert) => this.#raise(alert),
      (key) => this.#outbox.release(key),
    )
  }

  /** Delivers what an earlier process left. */
  async start(): Promise<void> {
    await this.#dispatcher.start()
    this.#waitForSpend()
    this.#dispatcher.wake()
  }

  /** @param simulated true if there are no other calls than simulated calls: limits and hours are theirs then */
  use(rows: readonly AlertRow[], simulated: boolean): void {
    const names = new Set(rows.map(({ name }) => name))
    const removed = this.#rows.filter(({ name }) => !names.has(name))
    this.#rows = rows
    this.#kinds = new Set(rows.flatMap(({ on }) => [...on]))
    this.#simulated = simulated
    this.#limits.use(rows, simulated)
    this.#dispatcher.use(rows)
    for (const { name } of removed) void this.#dropRemoved(name)
  }

  hear(event: CallEvent): void {
    if (this.#rows.length === 0) return
    switch (event.kind) {
      case 'admitted':
      case 'refused':
      case 'settled':
      case 'booked':
        this.#limits.hear(event)
        return
      case 'circuit_opened':
      case 'circuit_closed':
        this.#outages.hear(event)
        return
      default: {
        const alert = alertOfEvent(event)
        if (alert) this.#raise(alert)
      }
    }
  }

  notice(notice: Notice): void {
    if (this.#rows.length === 0) return
    const alert = alertOfNotice(notice, this.#parts.clock.now().wallMs)
    if (notice.code === 'ledger_available') this.#outbox.release(LEDGER_KEY)
    if (alert) this.#raise(alert)
  }

  /** Every receiver in force. Rejects as `AlertQueue.deliveries`. */
  async states(): Promise<readonly ReceiverState[]> {
    const deliveries = new Map((await this.#parts.store.alerts.deliveries()).map((state) => [state.receiver, state]))
    return this.#rows.map((row) => ({
      row,
      isGone: this.#dispatcher.isGone(row),
      deliveries: deliveries.get(row.name),
    }))
  }

  /** Sends a test message now, and does not repeat it. Undefined if there is no such receiver. */
  async test(name: string): Promise<Attempt | undefined> {
    const { clock, link, newMessageId } = this.#parts
    const row = this.#rows.find((candidate) => candidate.name === name)
    if (!row) return undefined
    const atMs = clock.now().wallMs
    const alert = testAlert(atMs)
    return this.#dispatcher.sendNow(row, `msg_${newMessageId()}`, JSON.stringify(messageOf(alert, link)))
  }

  /** Drops what waits for a receiver that is removed. */
  drop(name: string): Promise<void> {
    return this.#parts.store.alerts.drop(name)
  }

  /** Writes what was decided, and stops. What waits is delivered after the next start. */
  async close(): Promise<void> {
    this.#isClosed = true
    const { timers, receivers } = this.#parts
    timers.clearTimeout(this.#spendTimer)
    this.#outages.stop()
    await this.#limits.close()
    await this.#outbox.flush()
    this.#outbox.stop()
    await this.#dispatcher.stop()
    await receivers.close()
  }

  /** Never rejects. What was decided for the receiver is written first, so that it is dropped too. */
  async #dropRemoved(name: string): Promise<void> {
    try {
      await this.#outbox.flush()
      if (!this.#rows.some((row) => row.name === name)) await this.drop(name)
    } catch (error) {
      this.#notifyFailure(error)
    }
  }

  #raise(alert: Alert): void {
    for (const row of this.#rows) if (row.on.has(alert.kind)) this.#outbox.put(row, alert)
  }

  #waitForSpend(): void {
    if (this.#isClosed) return
    this.#spendTimer = this.#parts.timers.setTimeout(() => void this.#checkSpend(), CHECK_SPEND_MS).unref()
  }

  async #checkSpend(): Promise<void> {
    const { wallMs } = this.#parts.clock.now()
    this.#limits.forgetEnded(wallMs)
    try {
      if (this.#kinds.has('unusual_spend')) {
        // An hour is looked at once more when it is over, and its last calls have settled.
        const hours = new Set([wallMs - 2 * CHECK_SPEND_MS, wallMs].map((atMs) => this.#hourAt(atMs)))
        for (const startsAtMs of hours) await this.#checkHour(startsAtMs, wallMs)
      }
    } catch (error) {
      if (!(error instanceof SumsNotReady)) this.#notifyFailure(error)
    }
    this.#waitForSpend()
  }

  /** Reports are made of quarter hours. Zones whose full hours are none begin their hours at the quarter before. */
  #hourAt(wallMs: number): number {
    const { startsAtMs } = windowAt('hour', this.#parts.timeZone, wallMs)
    return startsAtMs - (startsAtMs % (HOUR_MS / 4))
  }

  async #checkHour(startsAtMs: number, nowMs: number): Promise<void> {
    const rows = this.#rows.filter(({ on }) => on.has('unusual_spend'))
    const floors = rows.map(({ floorNanoUsd }) => floorNanoUsd)
    const lowest = floors.reduce((least, floor) => (floor < least ? floor : least), floors[0] ?? 0n)
    for (const hour of await hoursOfSpend(this.#parts.store, startsAtMs, this.#simulated, lowest))
      for (const row of rows) if (isUnusual(hour, row)) this.#outbox.put(row, unusualSpendAlert(hour, row, nowMs))
  }

  #notifyFailure(error: unknown): void {
    if (this.#isClosed) return
    const message = 'It could not be read from the ledger whether alerts are due. That is tried again.'
    this.#parts.telemetry.notify({ code: 'alerts_failing', level: 'warn', message, error })
  }
}

function testAlert(atMs: number): Alert {
  return {
    kind: 'limit',
    type: 'test',
    atMs,
    subject: 'global',
    title: 'A test of alerts',
    text: 'Somebody has called POST /admin/alerts/test. No limit is reached.',
    advice: 'Nothing is to be done: alerts reach this receiver.',
    figures: {},
    key: 'test',
    rank: 0,
    keepUntilMs: atMs,
  }
}
