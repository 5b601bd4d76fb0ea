// SQLite alert queue: a table in the ledger's file. Alerts are few, so each change is a commit of its own.

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import type { Timers } from '../../core/clock.ts'
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
import { StoreUnavailable } from '../store.ts'
import { retryWhileBusy } from './busy-retry.ts'
import type { LedgerHealth } from './ledger-health.ts'

/** SQLite's integers end here; JavaScript's dates do before. */
const MAX_TIME_MS = 8_640_000_000_000_000

/** A queue on the store's connection, which the store closes. Alerts of earlier processes are in it. */
export class SqliteAlertQueue implements AlertQueue {
  readonly #db: DatabaseSync
  readonly #timers: Timers
  readonly #health: Pick<LedgerHealth, 'isLost'>

  constructor(db: DatabaseSync, timers: Timers, health: Pick<LedgerHealth, 'isLost'>) {
    this.#db = db
    this.#timers = timers
    this.#health = health
  }

  add(drafts: readonly AlertDraft[], nowMs: number): Promise<AddedAlerts> {
    return this.#write(() => {
      let added = 0
      let overflowed = 0
      let pending = Number(this.#db.prepare('SELECT count(*) AS n FROM alert WHERE next_at_ms IS NOT NULL').get()?.n)
      const known = this.#db.prepare(
        'SELECT 1 FROM alert WHERE receiver = ? AND key = ? AND rank >= ? AND keep_until_ms > ? LIMIT 1',
      )
      const insert = this.#db.prepare(`INSERT INTO alert
        (receiver, key, rank, message_id, message, created_at_ms, keep_until_ms, attempts, next_at_ms, sent_at_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`)
      for (const { receiver, key, rank, messageId, message, keepUntilMs, sentAtMs = null } of drafts) {
        if (known.get(receiver, key, rank, nowMs)) continue
        const isPending = sentAtMs === null
        if (isPending && pending >= MAX_PENDING_ALERTS) {
          overflowed += 1
          continue
        }
        if (isPending) pending += 1
        added += 1
        const keepMs = Math.min(keepUntilMs, MAX_TIME_MS)
        insert.run(receiver, key, rank, messageId, message, nowMs, keepMs, isPending ? nowMs : null, sentAtMs)
      }
      return { added, overflowed }
    })
  }

  due(receiver: string, nowMs: number, limit: number): Promise<readonly PendingAlert[]> {
    return this.#read(() => {
      const rows = this.#db.prepare('SELECT * FROM alert WHERE receiver = ? AND next_at_ms <= ? ORDER BY id LIMIT ?')
      return rows.all(receiver, nowMs, limit).map(pendingOf)
    })
  }

  nextDueAtMs(receivers: readonly string[]): Promise<number | undefined> {
    return this.#read(() => {
      const next = this.#db.prepare('SELECT min(next_at_ms) AS at FROM alert WHERE receiver = ?')
      const times = receivers.map((receiver) => next.get(receiver)?.at).filter((at) => at !== null && at !== undefined)
      return times.length === 0 ? undefined : Math.min(...times.map(Number))
    })
  }

  record(id: number, result: DeliveryResult, nowMs: number): Promise<void> {
    return this.#write(() => {
      if (result.kind === 'delivered') {
        this.#db.prepare('UPDATE alert SET next_at_ms = NULL, sent_at_ms = ? WHERE id = ?').run(nowMs, id)
        return
      }
      const nextAtMs = result.kind === 'failed' ? result.nextAtMs : null
      this.#db
        .prepare('UPDATE alert SET attempts = attempts + 1, next_at_ms = ?, failed_at_ms = ?, error = ? WHERE id = ?')
        .run(nextAtMs, nowMs, result.error, id)
    })
  }

  release(key: string): Promise<void> {
    return this.#write(() => {
      this.#db.prepare("UPDATE alert SET key = '' WHERE key = ?").run(key)
    })
  }

  drop(receiver: string): Promise<void> {
    return this.#write(() => {
      this.#db.prepare('DELETE FROM alert WHERE receiver = ? AND next_at_ms IS NOT NULL').run(receiver)
      this.#db.prepare('UPDATE alert SET failed_at_ms = NULL, error = NULL WHERE receiver = ?').run(receiver)
    })
  }

  deliveries(): Promise<readonly ReceiverDeliveries[]> {
    return this.#read(() => {
      const rows = this.#db.prepare(`
        SELECT receiver, count(next_at_ms) AS pending, max(sent_at_ms) AS sent, max(failed_at_ms) AS failed,
          (SELECT error FROM alert AS newest WHERE newest.receiver = alert.receiver AND newest.failed_at_ms IS NOT NULL
            ORDER BY newest.failed_at_ms DESC LIMIT 1) AS error
        FROM alert GROUP BY receiver`)
      return rows.all().map(({ receiver, pending, sent, failed, error }) => ({
        receiver: String(receiver),
        pending: Number(pending),
        lastSentAtMs: numberOrNull(sent),
        lastFailedAtMs: numberOrNull(failed),
        lastError: typeof error === 'string' ? error : null,
      }))
    })
  }

  tidy(nowMs: number): Promise<void> {
    return this.#write(() => {
      this.#db.prepare('DELETE FROM alert WHERE next_at_ms IS NULL AND keep_until_ms <= ?').run(nowMs)
      this.#db
        .prepare(`DELETE FROM alert WHERE next_at_ms IS NULL AND id <= (
          SELECT id FROM alert WHERE next_at_ms IS NULL ORDER BY id DESC LIMIT 1 OFFSET ?)`)
        .run(MAX_DONE_ALERTS)
    })
  }

  /** One transaction in one turn, so that the store cannot write in between. */
  #write<Value>(change: () => Value): Promise<Value> {
    return this.#guarded(() =>
      retryWhileBusy(this.#timers, () => {
        if (this.#health.isLost) throw new Error('The ledger is lost.')
        this.#db.exec('BEGIN IMMEDIATE')
        try {
          const value = change()
          this.#db.exec('COMMIT')
          return value
        } catch (error) {
          if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
          throw error
        }
      }),
    )
  }

  #read<Value>(read: () => Value): Promise<Value> {
    return this.#guarded(async () => read())
  }

  async #guarded<Value>(run: () => Promise<Value>): Promise<Value> {
    try {
      return await run()
    } catch (error) {
      throw new StoreUnavailable('The queue of alerts could not be used.', { cause: error })
    }
  }
}

function pendingOf(row: Record<string, SQLOutputValue>): PendingAlert {
  return {
    id: Number(row.id),
    receiver: String(row.receiver),
    messageId: String(row.message_id),
    message: String(row.message),
    createdAtMs: Number(row.created_at_ms),
    attempts: Number(row.attempts),
  }
}

function numberOrNull(value: SQLOutputValue | undefined): number | null {
  return value === null || value === undefined ? null : Number(value)
}
