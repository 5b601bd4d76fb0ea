// Memory alert queue: the reference for every other queue. It survives nothing.

import {
  type AddedAlerts,
  type AlertDraft,
  type AlertQueue,
  type DeliveryResult,
  MAX_DONE_ALERTS,
  MAX_PENDING_ALERTS,
  type PendingAlert,
  type ReceiverDeliveries,
} from '../alert-queue.ts'

interface Row extends PendingAlert {
  key: string
  readonly rank: number
  readonly keepUntilMs: number
  attempts: number
  /** Null once the alert is delivered or given up. */
  nextAtMs: number | null
  sentAtMs: number | null
  failedAtMs: number | null
  error: string | null
}

export class MemoryAlertQueue implements AlertQueue {
  #rows: Row[] = []
  #lastId = 0

  async add(drafts: readonly AlertDraft[], nowMs: number): Promise<AddedAlerts> {
    let added = 0
    let overflowed = 0
    let pending = this.#pending().length
    for (const draft of drafts) {
      if (this.#isKnown(draft, nowMs)) continue
      const isPending = draft.sentAtMs === undefined
      if (isPending && pending >= MAX_PENDING_ALERTS) {
        overflowed += 1
        continue
      }
      if (isPending) pending += 1
      added += 1
      this.#rows.push({
        ...draft,
        id: ++this.#lastId,
        createdAtMs: nowMs,
        attempts: 0,
        nextAtMs: isPending ? nowMs : null,
        sentAtMs: draft.sentAtMs ?? null,
        failedAtMs: null,
        error: null,
      })
    }
    return { added, overflowed }
  }

  async due(receiver: string, nowMs: number, limit: number): Promise<readonly PendingAlert[]> {
    return this.#pending()
      .filter((row) => row.receiver === receiver && (row.nextAtMs ?? 0) <= nowMs)
      .slice(0, limit)
      .map(({ id, messageId, message, createdAtMs, attempts }) => ({
        id,
        receiver,
        messageId,
        message,
        createdAtMs,
        attempts,
      }))
  }

  async nextDueAtMs(receivers: readonly string[]): Promise<number | undefined> {
    const times = this.#pending().flatMap(({ receiver, nextAtMs }) =>
      nextAtMs !== null && receivers.includes(receiver) ? [nextAtMs] : [],
    )
    return times.length === 0 ? undefined : Math.min(...times)
  }

  async record(id: number, result: DeliveryResult, nowMs: number): Promise<void> {
    const row = this.#rows.find((candidate) => candidate.id === id)
    if (!row) return
    row.nextAtMs = result.kind === 'failed' ? result.nextAtMs : null
    if (result.kind === 'delivered') {
      row.sentAtMs = nowMs
      return
    }
    row.attempts += 1
    row.failedAtMs = nowMs
    row.error = result.error
  }

  async release(key: string): Promise<void> {
    for (const row of this.#rows) if (row.key === key) row.key = ''
  }

  async drop(receiver: string): Promise<void> {
    this.#rows = this.#rows.filter((row) => row.receiver !== receiver || row.nextAtMs === null)
    for (const row of this.#rows) {
      if (row.receiver !== receiver) continue
      row.failedAtMs = null
      row.error = null
    }
  }

  async deliveries(): Promise<readonly ReceiverDeliveries[]> {
    return [...Map.groupBy(this.#rows, ({ receiver }) => receiver)].map(([receiver, rows]) => {
      const failed = rows
        .filter(({ failedAtMs }) => failedAtMs !== null)
        .toSorted((left, right) => (right.failedAtMs ?? 0) - (left.failedAtMs ?? 0))
      const sent = rows.flatMap(({ sentAtMs }) => (sentAtMs === null ? [] : [sentAtMs]))
      return {
        receiver,
        pending: rows.filter(({ nextAtMs }) => nextAtMs !== null).length,
        lastSentAtMs: sent.length === 0 ? null : Math.max(...sent),
        lastFailedAtMs: failed[0]?.failedAtMs ?? null,
        lastError: failed[0]?.error ?? null,
      }
    })
  }

  async tidy(nowMs: number): Promise<void> {
    const done = this.#rows.filter(({ nextAtMs }) => nextAtMs === null)
    const excess = new Set(done.slice(0, Math.max(0, done.length - MAX_DONE_ALERTS)))
    this.#rows = this.#rows.filter((row) => row.nextAtMs !== null || (row.keepUntilMs > nowMs && !excess.has(row)))
  }

  #pending(): readonly Row[] {
    return this.#rows.filter(({ nextAtMs }) => nextAtMs !== null)
  }

  #isKnown({ receiver, key, rank }: AlertDraft, nowMs: number): boolean {
    return this.#rows.some(
      (row) => row.receiver === receiver && row.key === key && row.rank >= rank && row.keepUntilMs > nowMs,
    )
  }
}
