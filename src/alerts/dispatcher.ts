// Dispatcher: delivers what waits in the queue, one message after the other for each receiver, so that a receiver that is down delays no
// other. It decides nothing about what is sent.

import type { AlertRow } from '../config/alerts.ts'
import type { Clock, Timer, Timers } from '../core/clock.ts'
import type { AlertQueue, PendingAlert } from '../stores/alert-queue.ts'
import type { Registry } from '../stores/registry.ts'
import type { Telemetry } from '../telemetry/call-events.ts'
import { parseMessage } from './messages.ts'
import type { Attempt } from './receiver.ts'
import { addressDigest, type Receivers } from './receivers.ts'
import { retryWaitMs } from './retries.ts'

interface DispatcherParts {
  readonly queue: AlertQueue
  readonly registry: Pick<Registry, 'read' | 'write'>
  readonly receivers: Receivers
  readonly clock: Clock
  readonly timers: Timers
  readonly telemetry: Pick<Telemetry, 'notify'>
  /** From 0 to below 1. */
  readonly random: () => number
}

const PAGE_SIZE = 50
/** Slack takes one message a second. */
const PAUSE_MS = 1_000
/** If nothing is due before, the queue is looked at after this time, and old rows are deleted. */
const MAX_IDLE_MS = 3_600_000
/** After a queue that could not be read. */
const RETRY_MS = 5_000
/** How long a stop waits for messages that are being sent. */
const MAX_STOP_MS = 1_000

/** Call `use` and `wake`; `stop` before the queue is closed. */
export class Dispatcher {
  readonly #parts: DispatcherParts
  #rows = new Map<string, AlertRow>()
  /** The digest of the address that wants no more, by the name of its receiver. */
  #gone = new Map<string, string>()
  readonly #lanes = new Map<string, Promise<void>>()
  readonly #stopping = new AbortController()
  #timer: Timer | undefined
  #isStopping = false
  #tidiedAtMs = Number.NEGATIVE_INFINITY

  constructor(parts: DispatcherParts) {
    this.#parts = parts
  }

  /** Reads which receivers want no more. */
  async start(): Promise<void> {
    for (const { id, value } of await this.#parts.registry.read('alert-state')) {
      const { gone } = (value ?? {}) as { readonly gone?: unknown }
      if (typeof gone === 'string') this.#gone.set(id, gone)
    }
  }

  /** Other receivers are in force. A message that is being sent goes to the receiver before. */
  use(rows: readonly AlertRow[]): void {
    this.#rows = new Map(rows.map((row) => [row.name, row]))
    this.wake()
  }

  /** Whether a receiver has asked for no more messages at its address. */
  isGone({ name, address }: AlertRow): boolean {
    const gone = this.#gone.get(name)
    return gone !== undefined && gone === addressDigest(address)
  }

  /** Something may be due. */
  wake(): void {
    if (this.#isStopping) return
    this.#parts.timers.clearTimeout(this.#timer)
    this.#timer = undefined
    for (const row of this.#rows.values()) {
      if (this.#lanes.has(row.name) || this.isGone(row)) continue
      const lane = this.#run(row.name).finally(() => {
        this.#lanes.delete(row.name)
        if (this.#lanes.size === 0) void this.#schedule()
      })
      this.#lanes.set(row.name, lane)
    }
    if (this.#lanes.size === 0) void this.#schedule()
  }

  /** Sends a message now, and does not repeat it. A success brings back a receiver that wanted no more. */
  async sendNow(row: AlertRow, messageId: string, json: string): Promise<Attempt> {
    const attempt = await this.#attempt(row, messageId, json)
    if (attempt.kind === 'delivered' && this.#gone.has(row.name)) {
      await this.#setGone(row.name, null)
      this.wake()
    }
    return attempt
  }

  /** Resolves when nothing is being sent any more. */
  async stop(): Promise<void> {
    const { timers } = this.#parts
    timers.clearTimeout(this.#timer)
    const lanes = Promise.all(this.#lanes.values())
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const deadline = timers.setTimeout(resolve, MAX_STOP_MS)
    this.#isStopping = true
    await Promise.race([lanes, late])
    timers.clearTimeout(deadline)
    this.#stopping.abort()
    await lanes
  }

  /** Sends what is due to one receiver. */
  async #run(name: string): Promise<void> {
    const { queue, clock } = this.#parts
    try {
      for (;;) {
        const page = await queue.due(name, clock.now().wallMs, PAGE_SIZE)
        for (const [index, alert] of page.entries()) {
          const row = this.#rows.get(name)
          if (!row || this.#isStopping || this.isGone(row)) return
          await this.#deliver(row, alert)
          if (index < page.length - 1) await this.#pause()
        }
        if (page.length < PAGE_SIZE) return
      }
    } catch (error) {
      this.#notifyFailure(error)
    }
  }

  async #deliver(row: AlertRow, { id, messageId, message, attempts }: PendingAlert): Promise<void> {
    const { queue, clock, random, telemetry } = this.#parts
    const attempt = await this.#attempt(row, messageId, message)
    // What became of it is not known, so it is sent again, with the same id.
    if (this.#stopping.signal.aborted) return
    const nowMs = clock.now().wallMs
    if (attempt.kind === 'delivered') {
      await queue.record(id, { kind: 'delivered' }, nowMs)
      if (attempt.warning !== undefined) this.#notifyLoss(row.name, attempt.warning)
      return
    }
    const waitMs = attempt.kind === 'failed' ? retryWaitMs(attempt, attempts + 1, random()) : undefined
    if (attempt.kind === 'gone') {
      await queue.record(id, { kind: 'failed', error: attempt.error, nextAtMs: nowMs }, nowMs)
      await this.#setGone(row.name, addressDigest(row.address))
      const message = `The receiver ${row.name} asks for no more alerts: ${attempt.error}. Alerts for it wait. Change its address, or have POST /admin/alerts/test succeed.`
      telemetry.notify({ code: 'alert_receiver_gone', level: 'error', message, details: { receiver: row.name } })
    } else if (waitMs === undefined) {
      await queue.record(id, { kind: 'givenUp', error: attempt.error }, nowMs)
      this.#notifyLoss(row.name, `${attempt.error}. It is not tried again`)
    } else await queue.record(id, { kind: 'failed', error: attempt.error, nextAtMs: nowMs + waitMs }, nowMs)
  }

  #attempt(row: AlertRow, messageId: string, json: string): Promise<Attempt> {
    const { receivers, clock } = this.#parts
    const atSeconds = Math.floor(clock.now().wallMs / 1_000)
    const parcel = { id: messageId, message: parseMessage(json), json, atSeconds }
    return receivers.deliver(row, parcel, this.#stopping.signal)
  }

  async #setGone(name: string, digest: string | null): Promise<void> {
    const { registry, clock } = this.#parts
    if (digest === null) this.#gone.delete(name)
    else this.#gone.set(name, digest)
    const value = digest === null ? null : { gone: digest }
    const origin = { actor: 'gateway', atMs: clock.now().wallMs, audit: false }
    await registry.write({ kind: 'alert-state', id: name, value }, origin)
  }

  async #schedule(): Promise<void> {
    const { queue, clock, timers } = this.#parts
    let delayMs = RETRY_MS
    try {
      const { wallMs } = clock.now()
      if (wallMs - this.#tidiedAtMs >= MAX_IDLE_MS) {
        this.#tidiedAtMs = wallMs
        await queue.tidy(wallMs)
      }
      const active = [...this.#rows.values()].filter((row) => !this.isGone(row)).map(({ name }) => name)
      const nextAtMs = (await queue.nextDueAtMs(active)) ?? Number.POSITIVE_INFINITY
      delayMs = Math.min(MAX_IDLE_MS, Math.max(PAUSE_MS, nextAtMs - wallMs))
    } catch {
      // The ledger cannot be read now. The log has that already.
    }
    if (this.#isStopping || this.#lanes.size > 0) return
    timers.clearTimeout(this.#timer)
    this.#timer = timers.setTimeout(() => this.wake(), delayMs).unref()
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const { timers } = this.#parts
      const timer = timers.setTimeout(resolve, PAUSE_MS).unref()
      this.#stopping.signal.addEventListener(
        'abort',
        () => {
          timers.clearTimeout(timer)
          resolve()
        },
        { once: true },
      )
    })
  }

  #notifyLoss(receiver: string, reason: string): void {
    const message = `An alert for the receiver ${receiver} was not delivered: ${reason}.`
    this.#parts.telemetry.notify({ code: 'alert_not_delivered', level: 'error', message, details: { receiver } })
  }

  #notifyFailure(error: unknown): void {
    const message = 'Alerts could not be read from the ledger or written to it. That is tried again.'
    this.#parts.telemetry.notify({ code: 'alerts_failing', level: 'warn', message, error })
  }
}
