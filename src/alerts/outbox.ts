// Outbox: what was decided and is not in the queue yet. It writes within a moment; while the ledger cannot be written, it keeps alerts in
// memory, and sends those that say so from there.

import type { AlertRow } from '../config/alerts.ts'
import type { Clock, Timer, Timers } from '../core/clock.ts'
import type { AlertDraft, AlertQueue } from '../stores/alert-queue.ts'
import type { Telemetry } from '../telemetry/call-events.ts'
import type { Alert } from './alert.ts'
import type { Dispatcher } from './dispatcher.ts'
import { messageOf } from './messages.ts'

interface OutboxParts {
  readonly queue: AlertQueue
  readonly dispatcher: Pick<Dispatcher, 'wake' | 'sendNow'>
  readonly clock: Clock
  readonly timers: Timers
  readonly telemetry: Pick<Telemetry, 'notify'>
  /** To `/llm/limits`. */
  readonly link: string
  /** No two are the same, also after a restart. */
  readonly newMessageId: () => string
}

interface Item {
  readonly row: AlertRow
  readonly isUrgent: boolean
  draft: AlertDraft
}

/** A key that is to be released before what follows it is added. */
interface Release {
  readonly releases: string
}

const FLUSH_MS = 20
const RETRY_MS = 5_000
const MAX_ITEMS = 10_000

export class Outbox {
  readonly #parts: OutboxParts
  #items: (Item | Release)[] = []
  #timer: Timer | undefined
  #flushing: Promise<void> = Promise.resolve()
  #lostCount = 0

  constructor(parts: OutboxParts) {
    this.#parts = parts
  }

  /** Takes note and returns. */
  put(row: AlertRow, alert: Alert): void {
    if (this.#items.length >= MAX_ITEMS) {
      this.#lostCount += 1
      return
    }
    const { link, newMessageId } = this.#parts
    const draft: AlertDraft = {
      receiver: row.name,
      key: alert.key,
      rank: alert.rank,
      messageId: `msg_${newMessageId()}`,
      message: JSON.stringify(messageOf(alert, link)),
      keepUntilMs: alert.keepUntilMs,
    }
    this.#items.push({ row, draft, isUrgent: alert.kind === 'ledger_unavailable' })
    this.#schedule(FLUSH_MS)
  }

  /** Lets alerts with this key be sent again. */
  release(key: string): void {
    if (this.#items.length < MAX_ITEMS) this.#items.push({ releases: key })
    this.#schedule(FLUSH_MS)
  }

  /** Writes what waits. Never rejects. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flush())
    return this.#flushing
  }

  stop(): void {
    this.#parts.timers.clearTimeout(this.#timer)
  }

  #schedule(delayMs: number): void {
    this.#timer ??= this.#parts.timers.setTimeout(() => void this.flush(), delayMs).unref()
  }

  async #flush(): Promise<void> {
    const { timers, dispatcher } = this.#parts
    timers.clearTimeout(this.#timer)
    this.#timer = undefined
    const items = this.#items
    this.#items = []
    try {
      while (items.length > 0) items.splice(0, await this.#writeFirst(items))
      dispatcher.wake()
    } catch {
      // The ledger cannot be written: what waits is older than what came meanwhile.
      await this.#sendUrgent(items)
      this.#items = [...items, ...this.#items]
      this.#schedule(RETRY_MS)
    }
    this.#notifyLost()
  }

  /** Releases the first key, or adds what comes before the next key. Resolves with the count of items that are done. */
  async #writeFirst(items: readonly (Item | Release)[]): Promise<number> {
    const { queue, clock } = this.#parts
    const [first] = items
    if (first && 'releases' in first) {
      await queue.release(first.releases)
      return 1
    }
    const releaseAt = items.findIndex((item) => 'releases' in item)
    const drafts = items
      .slice(0, releaseAt < 0 ? undefined : releaseAt)
      .flatMap((item) => ('draft' in item ? [item.draft] : []))
    this.#lostCount += (await queue.add(drafts, clock.now().wallMs)).overflowed
    return drafts.length
  }

  /** That the ledger is unavailable cannot wait for the ledger. */
  async #sendUrgent(items: readonly (Item | Release)[]): Promise<void> {
    const { dispatcher, clock } = this.#parts
    await Promise.all(
      items.map(async (item) => {
        if (!('draft' in item) || !item.isUrgent || item.draft.sentAtMs !== undefined) return
        const attempt = await dispatcher.sendNow(item.row, item.draft.messageId, item.draft.message)
        if (attempt.kind === 'delivered') item.draft = { ...item.draft, sentAtMs: clock.now().wallMs }
      }),
    )
  }

  #notifyLost(): void {
    if (this.#lostCount === 0) return
    const message = `${this.#lostCount} alerts are lost, because too many wait for their receivers. See GET /admin/alerts.`
    this.#lostCount = 0
    this.#parts.telemetry.notify({ code: 'alerts_lost', level: 'error', message })
  }
}
