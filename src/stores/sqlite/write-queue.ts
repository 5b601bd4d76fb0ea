// Write queue: what waits to be written to the SQLite ledger, and when it is written. How is for `batch.ts`.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Timer, Timers } from '../../core/clock.ts'
import type { Entry } from '../../core/ledger-entry.ts'
import type { Levels } from '../../core/levels.ts'
import type { Instant } from '../../core/meter.ts'
import { StoreUnavailable } from '../store.ts'
import {
  Batch,
  type BatchObserver,
  type LedgerTables,
  type OpenRow,
  type PendingAmendment,
  type PendingList,
  type PendingReserves,
  type PendingSettlement,
} from './batch.ts'
import type { LedgerHealth } from './ledger-health.ts'
import { findMark } from './marks.ts'
import { RetryPolicy } from './retry-policy.ts'
import type { Rollups } from './rollups.ts'
import { prepareEntries, type Row } from './rows.ts'
import { sleep } from './sleep.ts'

/** `busy`: another connection holds the lock, and nothing changed. `failed`: reservations were refused, the rest waits. */
export type FlushResult = 'written' | 'busy' | 'failed'

const SETTLE_DELAY_MS = 5
const FLUSH_AT_SETTLEMENTS = 256
const ROLLUPS_DELAY_MS = 250
const FLUSH_AT_ROLLUPS = 64
const BUSY_POLL_MS = 2
const PRUNE_INTERVAL_MS = 60_000
const PRUNE_KEYS = 500
/** While nothing can be written, open calls still settle, and appended calls beyond this number are refused. */
const MAX_PENDING_SETTLEMENTS = 50_000

interface WriteQueueParts {
  readonly db: DatabaseSync
  readonly timers: Timers
  readonly tables: LedgerTables
  readonly levels: Levels
  readonly observer: BatchObserver
  readonly health: LedgerHealth
}

/**
 * Reservations of one turn of the event loop share a commit at the end of that turn; settlements share a commit every few
 * milliseconds. Every commit writes all that waits.
 */
export class WriteQueue {
  /** The saved mark `open_from`. New ids must not be smaller, or their rows would not be found after a restart. */
  readonly openFrom: number
  readonly #db: DatabaseSync
  readonly #timers: Timers
  readonly #tables: LedgerTables
  readonly #levels: Levels
  readonly #observer: BatchObserver
  readonly #health: LedgerHealth
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #retryPolicy = new RetryPolicy()
  #reserves: PendingReserves | undefined
  #settlements: PendingList<PendingSettlement> | undefined
  #flushTimer: Timer | undefined
  #rollupTimer: Timer | undefined
  #rollupsDue = false
  #prunedAtMs: number | undefined
  #prunedKey = ''

  constructor({ db, timers, tables, levels, observer, health }: WriteQueueParts) {
    this.#db = db
    this.#timers = timers
    this.#tables = tables
    this.#levels = levels
    this.#observer = observer
    this.#health = health
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.openFrom = findMark(db, 'open_from')
  }

  get rollups(): Rollups {
    return this.#tables.rollups
  }

  /** Rows that an earlier process left open. */
  readOpenRows(): Row[] {
    return prepareEntries(this.#db, 'WHERE id >= ? AND settled_seq IS NULL ORDER BY id').all(this.openFrom)
  }

  /** Adds a row to the commit at the end of this turn. Await `reservesWritten` for it. */
  reserve(row: OpenRow): void {
    this.#currentReserves().items.push(row)
  }

  /** Adds an amendment to the commit at the end of this turn. */
  amend(amendment: PendingAmendment): void {
    const reserves = this.#currentReserves()
    reserves.amendments ??= []
    reserves.amendments.push(amendment)
  }

  #currentReserves(): PendingReserves {
    if (!this.#reserves) {
      this.#reserves = newPendingList()
      // A caller who awaits the promise sees the rejection. A list that failed before its caller awaits must not end the process.
      this.#reserves.done.promise.catch(() => {})
      setImmediate(() => this.flush())
    }
    return this.#reserves
  }

  /** Resolves after the commit at the end of this turn. */
  reservesWritten(): Promise<void> | undefined {
    return this.#reserves?.done.promise
  }

  /** Adds a settled call to the next commit. Await `settlementsWritten` for it. */
  settle(settlement: PendingSettlement): void {
    const size = this.#currentSettlements().items.push(settlement)
    if (size === FLUSH_AT_SETTLEMENTS && !this.#retryPolicy.isFailing) setImmediate(() => this.flush())
  }

  #currentSettlements(): PendingList<PendingSettlement> {
    if (!this.#settlements) {
      this.#settlements = newPendingList()
      // No caller has to await a settlement.
      this.#settlements.done.promise.catch(() => {})
    }
    this.#flushTimer ??= this.#timers.setTimeout(() => this.#onFlushTimer(), SETTLE_DELAY_MS)
    return this.#settlements
  }

  /** Resolves with the next commit that succeeds: it writes what is settled by now, and the levels. */
  settlementsWritten(): Promise<void> {
    return this.#currentSettlements().done.promise
  }

  /** Settled calls that are not written yet. */
  get unwrittenEntries(): readonly Entry[] {
    return this.#settlements?.items.map(({ entry }) => entry) ?? []
  }

  get isFull(): boolean {
    return (this.#settlements?.items.length ?? 0) >= MAX_PENDING_SETTLEMENTS
  }

  hasPending(callId: string): boolean {
    return this.#settlements?.items.some(({ entry }) => entry.facts.callId === callId) ?? false
  }

  /** The largest id of a settled call that waits to be written, from `fromId` on and below `untilId`. */
  lastWaitingId(fromId: number, untilId: number): number | undefined {
    let last: number | undefined
    for (const { id } of this.#settlements?.items ?? [])
      if (id >= fromId && id < untilId && id >= (last ?? 0)) last = id
    return last
  }

  /** Takes back a row whose call was settled before the row was written. False if it is written already. */
  cancelReserve(row: OpenRow): boolean {
    const index = this.#reserves?.items.indexOf(row) ?? -1
    if (index >= 0) this.#reserves?.items.splice(index, 1)
    return index >= 0
  }

  /** Writes everything that waits, without the reservations if it cannot be written with them. */
  flush(): FlushResult {
    for (;;) {
      const batch = this.#takeBatch()
      const error = batch.isEmpty ? undefined : this.#attempt(batch)
      if (error === undefined) {
        this.#retryPolicy.afterSuccess()
        return 'written'
      }
      const decision = this.#retryPolicy.afterFailure(error, batch.reserves !== undefined)
      if (decision.kind === 'drop' || !decision.isBusy) this.#health.unwritable(error.message)
      this.#settlements = batch.settlements
      if (decision.kind === 'drop') {
        batch.failReserves(error)
        continue
      }
      this.#reserves = batch.reserves
      this.#scheduleFlush(decision.delayMs)
      return decision.isBusy ? 'busy' : 'failed'
    }
  }

  #takeBatch(): Batch {
    const savesRollups = this.#rollupsDue || this.rollups.size >= FLUSH_AT_ROLLUPS
    const parts = { reserves: this.#reserves, settlements: this.#settlements, savesRollups }
    this.#reserves = undefined
    this.#settlements = undefined
    return new Batch(parts, this.#levels, this.#observer)
  }

  /** One attempt to commit a batch. Returns the error, or undefined once it is written. Nothing is written to a ledger that is lost. */
  #attempt(batch: Batch): Error | undefined {
    try {
      if (this.#health.isLost) throw new StoreUnavailable('The ledger is lost.')
      this.#begin.get()
      batch.writeInto(this.#tables)
      this.#commit.get()
    } catch (error) {
      this.#rollBack()
      batch.rolledBack(this.#tables)
      return error instanceof Error ? error : new Error(String(error))
    }
    this.#rollupsDue &&= !batch.savesRollups
    this.#timers.clearTimeout(this.#flushTimer)
    this.#flushTimer = undefined
    batch.committed(this.#tables)
    if (batch.settlements)
      this.#rollupTimer ??= this.#timers.setTimeout(() => this.#onRollupTimer(), ROLLUPS_DELAY_MS).unref()
    return undefined
  }

  /** If this fails, the transaction stays open: the next attempt cannot begin another one, and rolls this one back. */
  #rollBack(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
    } catch {
      // The failure of the commit is the one that counts.
    }
  }

  /** Flushes, and the sums as well: then other connections see all that was settled. */
  flushAll(): FlushResult {
    const result = this.flush()
    if (result !== 'written' || !this.rollups.hasUnsaved) return result
    this.#rollupsDue = true
    return this.flush()
  }

  /**
   * Flushes, and waits while the file is busy. Then reads in the same turn, so that no call settles in between. Reads after a
   * failed flush, too: `unwrittenEntries` has what is missing.
   * @param withRollups whether the sums have to be in the file
   */
  async flushAndRead<Value>(withRollups: boolean, read: () => Value): Promise<Value> {
    while ((withRollups ? this.flushAll() : this.flush()) === 'busy') await sleep(this.#timers, BUSY_POLL_MS)
    return read()
  }

  /** Now and then deletes some levels and sums that no call needs any more. */
  prune({ wallMs, monoMs }: Instant): void {
    this.#prunedAtMs ??= monoMs
    if (monoMs - this.#prunedAtMs < PRUNE_INTERVAL_MS || this.#health.isLost || this.flush() !== 'written') return
    this.#prunedAtMs = monoMs
    try {
      this.rollups.prune(wallMs)
      // The smaller one of both clocks: a wall clock that was set forward must not make today's budget look old.
      this.#prunedKey = this.#tables.levels.prune(this.#prunedKey, PRUNE_KEYS, Math.min(wallMs, monoMs))
    } catch {
      // The file is busy or full. The next call of `prune` tries again.
    }
  }

  /** Stops the timers and rejects what still waits. Its rows stay open in the file. */
  stop(): void {
    this.#timers.clearTimeout(this.#flushTimer)
    this.#timers.clearTimeout(this.#rollupTimer)
    this.#settlements?.done.reject(new StoreUnavailable('The store was closed before the settlement could be written.'))
    this.#settlements = undefined
  }

  #onFlushTimer(): void {
    this.#flushTimer = undefined
    this.flush()
  }

  #onRollupTimer(): void {
    this.#rollupTimer = undefined
    this.#rollupsDue = this.rollups.hasUnsaved
    this.flush()
  }

  #scheduleFlush(delayMs: number): void {
    this.#timers.clearTimeout(this.#flushTimer)
    this.#flushTimer = this.#timers.setTimeout(() => this.#onFlushTimer(), delayMs)
    // A disk that stays full must not keep the process alive.
    if (this.#retryPolicy.isFailing) this.#flushTimer.unref()
  }
}

function newPendingList<Item>(): PendingList<Item> {
  return { items: [], done: Promise.withResolvers<void>() }
}
