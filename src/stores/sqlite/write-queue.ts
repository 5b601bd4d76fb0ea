// What waits to be written to the SQLite ledger, and the one transaction that writes all of it or nothing.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { setTimeout as setTimeoutPromise } from 'node:timers/promises'
import type { Entry, Reservation } from '../../core/ledger-entry.ts'
import type { Levels, LowerResult } from '../../core/levels.ts'
import type { Charge, Instant } from '../../core/meter.ts'
import { expiredOutcome } from '../../core/open-calls.ts'
import { StoreUnavailable } from '../store.ts'
import { EntryWriter } from './entry-writer.ts'
import { isBusy } from './file.ts'
import { LevelRows, serializeCharges } from './levels.ts'
import { findMark, prepareSaveMark } from './marks.ts'
import { Rollups } from './rollups.ts'
import { prepareEntries, type Row } from './rows.ts'

/** An open call and its row. */
export interface OpenRow extends Reservation {
  readonly id: number
  charges: readonly Charge[]
  /** Why this row is not to be written, or could not be; the others of its commit are. */
  error?: Error
  /** What it is to become with the next commit. */
  pendingAmendment?: PendingAmendment | undefined
}

/** Of no effect once its row points elsewhere: the call was settled, or the amendment failed. */
export interface PendingAmendment {
  readonly row: OpenRow
  to: Reservation
  /** What the levels hold until it is written: of each meter the more of what was held and what is to be. */
  held: readonly Charge[]
  now: Instant
  error?: Error
}

/** A settled call that is to be written: over its open row, or as a row of its own. */
interface PendingSettlement {
  readonly id: number
  readonly hasOpenRow: boolean
  /** The open row still has the facts from before an amendment. */
  readonly isAmended: boolean
  entry: Entry
}

/** What the ledger tells of its commits, in the midst of them. */
export interface WriteObserver {
  /** No row that is open after this commit, or is written after it, has a smaller id. */
  openFrom(): number
  /** These rows were not written and never will be: their charges are to be given back. */
  reserveFailed(rows: readonly OpenRow[]): void
  /** The same of amendments. */
  amendFailed(amendments: readonly PendingAmendment[], error: Error): void
  /** Written; what they hold too much was given back before. */
  amendmentsWritten(amendments: readonly PendingAmendment[]): void
}

interface PendingBatch<Item> {
  readonly items: Item[]
  readonly done: PromiseWithResolvers<void>
}

interface ReserveBatch extends PendingBatch<OpenRow> {
  amendments?: PendingAmendment[]
}

type FlushResult = 'written' | 'busy' | 'failed'

const SETTLE_DELAY_MS = 5
const FLUSH_AT_SETTLEMENTS = 256
const ROLLUPS_DELAY_MS = 250
const FLUSH_AT_ROLLUPS = 64
const MIN_RETRY_MS = 100
const PRUNE_INTERVAL_MS = 60_000
const PRUNE_KEYS = 500
const BUSY_RETRY_MS = 2
/** Five seconds or more: then it counts as failed. */
const MAX_BUSY_RETRIES = 2500
const MAX_RETRY_MS = 2000
/** While nothing can be written, open calls still settle; calls from elsewhere are turned away beyond this. */
const MAX_PENDING_SETTLEMENTS = 50_000

/**
 * A commit holds everything that waits, because levels are saved whole: rows left out would be counted by levels and, after
 * a crash, once more by the sweep.
 */
export class WriteQueue {
  readonly levelRows: LevelRows
  readonly rollups: Rollups
  /** What `Told.openFrom` said last, before this was opened: new ids start here, too, or their rows would not be found. */
  readonly openFrom: number
  readonly #db: DatabaseSync
  readonly #levels: Levels
  readonly #observer: WriteObserver
  readonly #entries: EntryWriter
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #saveOpenFrom: StatementSync
  #reserveBatch: ReserveBatch | undefined
  #settlementBatch: PendingBatch<PendingSettlement> | undefined
  #flushTimer: NodeJS.Timeout | undefined
  #rollupTimer: NodeJS.Timeout | undefined
  #rollupsDue = false
  #retryMs = 0
  #busyRetries = 0
  #prunedAtMs: number | undefined
  #prunedKey = ''

  constructor(db: DatabaseSync, levels: (rows: LevelRows) => Levels, told: WriteObserver) {
    this.#db = db
    this.#observer = told
    this.levelRows = new LevelRows(db)
    this.rollups = new Rollups(db)
    this.#levels = levels(this.levelRows)
    this.#entries = new EntryWriter(db)
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#saveOpenFrom = prepareSaveMark(db, 'open_from')
    this.openFrom = findMark(db, 'open_from')
  }

  /** Rows that nobody settled before this was opened. */
  readOpenRows(): Row[] {
    return prepareEntries(this.#db, 'WHERE id >= ? AND settled_seq IS NULL ORDER BY id').all(this.openFrom)
  }

  /** To be written with all others of this turn of the event loop: await `reserved`. */
  reserve(row: OpenRow): void {
    this.#currentReserveBatch().items.push(row)
  }

  /** Like `reserve`. */
  amend(amending: PendingAmendment): void {
    const reserves = this.#currentReserveBatch()
    reserves.amendments ??= []
    reserves.amendments.push(amending)
  }

  #currentReserveBatch(): ReserveBatch {
    if (!this.#reserveBatch) {
      this.#reserveBatch = newBatch()
      // Whoever awaits it is told; a list that was given up does not.
      this.#reserveBatch.done.promise.catch(() => {})
      setImmediate(() => this.flush())
    }
    return this.#reserveBatch
  }

  /** Resolves after the commit at the end of this turn. */
  reservesWritten(): Promise<void> | undefined {
    return this.#reserveBatch?.done.promise
  }

  /** To be written soon: await `written`. */
  settle(id: number, entry: Entry, opened: boolean, amended = false): void {
    const size = this.#currentSettlementBatch().items.push({ id, entry, hasOpenRow: opened, isAmended: amended })
    if (size === FLUSH_AT_SETTLEMENTS && this.#retryMs === 0) setImmediate(() => this.flush())
  }

  #currentSettlementBatch(): PendingBatch<PendingSettlement> {
    if (!this.#settlementBatch) {
      this.#settlementBatch = newBatch()
      // Nobody has to wait for it.
      this.#settlementBatch.done.promise.catch(() => {})
    }
    this.#flushTimer ??= setTimeout(() => this.#onFlushTimer(), SETTLE_DELAY_MS)
    return this.#settlementBatch
  }

  get isFull(): boolean {
    return (this.#settlementBatch?.items.length ?? 0) >= MAX_PENDING_SETTLEMENTS
  }

  hasPending(callId: string): boolean {
    return this.#settlementBatch?.items.some(({ entry }) => entry.facts.callId === callId) ?? false
  }

  /** Takes a row out of those that wait to be reserved: it was settled before it was written. */
  cancelReserve(row: OpenRow): boolean {
    const at = this.#reserveBatch?.items.indexOf(row) ?? -1
    if (at >= 0) this.#reserveBatch?.items.splice(at, 1)
    return at >= 0
  }

  /** Resolves when what was settled, and the levels as they are now, are written: with the next commit that succeeds. */
  settlementsWritten(): Promise<void> {
    return this.#currentSettlementBatch().done.promise
  }

  /**
   * Writes everything that waits. `busy`: a checkpoint is being finished, nothing was tried. `failed`: calls not reserved
   * are told so, settled ones wait on.
   */
  flush(): FlushResult {
    const reserves = this.#reserveBatch
    this.#reserveBatch = undefined
    try {
      this.#write(reserves)
    } catch (error) {
      if (isBusy(error) && ++this.#busyRetries < MAX_BUSY_RETRIES) {
        this.#reserveBatch = reserves
        this.#scheduleFlush(BUSY_RETRY_MS)
        return 'busy'
      }
      if (reserves) {
        const unavailable = new StoreUnavailable('the ledger could not be written', { cause: error })
        this.#observer.amendFailed(currentAmendments(reserves), unavailable)
        this.#observer.reserveFailed(reserves.items.filter((row) => !row.error))
        reserves.done.reject(unavailable)
        // New rows need room that settled ones may not.
        return this.flush()
      }
      this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2 || MIN_RETRY_MS)
      this.#scheduleFlush(this.#retryMs)
      return 'failed'
    }
    reserves?.done.resolve()
    this.#retryMs = 0
    this.#busyRetries = 0
    return 'written'
  }

  /** Flushes, waiting while it is busy. `all`: sums too, so that other connections see all that was settled. */
  async flushWhenFree(all: boolean): Promise<boolean> {
    for (;;) {
      const flushed = all ? this.flushAll() : this.flush()
      if (flushed !== 'busy') return flushed === 'written'
      await setTimeoutPromise(BUSY_RETRY_MS)
    }
  }

  flushAll(): FlushResult {
    const flushed = this.flush()
    if (flushed !== 'written' || !this.rollups.hasUnsaved) return flushed
    this.#rollupsDue = true
    return this.flush()
  }

  /** Now and then, deletes a slice of what no call can ask for any more. */
  prune({ wallMs, monoMs }: Instant): void {
    this.#prunedAtMs ??= monoMs
    if (monoMs - this.#prunedAtMs < PRUNE_INTERVAL_MS || this.flush() !== 'written') return
    this.#prunedAtMs = monoMs
    try {
      this.rollups.prune(wallMs)
      // The lesser of the two clocks: one that was set forward must not make today's budget look old.
      this.#prunedKey = this.levelRows.prune(this.#prunedKey, PRUNE_KEYS, Math.min(wallMs, monoMs))
    } catch {
      // Busy or full: next time.
    }
  }

  /** Stops timers. What still waits stays open in the file and is told so. */
  stop(): void {
    clearTimeout(this.#flushTimer)
    clearTimeout(this.#rollupTimer)
    this.#settlementBatch?.done.reject(new StoreUnavailable('the store was closed before it could be written'))
    this.#settlementBatch = undefined
  }

  #write(reserves: ReserveBatch | undefined): void {
    const jobs = this.#settlementBatch
    const saveRollups = this.#rollupsDue || this.rollups.size >= FLUSH_AT_ROLLUPS
    if (!reserves && !jobs && !this.#levels.isDirty && !saveRollups) return
    let dirty: ReturnType<Levels['collectDirty']> = []
    const lowered: LowerResult[] = []
    try {
      this.#begin.get()
      for (const row of reserves?.items ?? []) this.#insert(row)
      if (reserves?.amendments) this.#amend(currentAmendments(reserves), lowered)
      for (const job of jobs?.items ?? []) this.#settle(job)
      dirty = this.#levels.collectDirty()
      for (const [key, level] of dirty) this.levelRows.save(key, level)
      if (saveRollups) {
        this.rollups.save()
        this.#saveOpenFrom.get(this.#observer.openFrom())
      }
      this.#commit.get()
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      for (const { undo } of lowered.reverse()) undo()
      this.#levels.markDirty(dirty.map(([key]) => key))
      throw error
    }
    if (saveRollups) {
      this.rollups.markSaved()
      this.#rollupsDue = false
    }
    if (reserves?.amendments) this.#observer.amendmentsWritten(currentAmendments(reserves))
    this.#settlementBatch = undefined
    clearTimeout(this.#flushTimer)
    this.#flushTimer = undefined
    for (const { entry } of jobs?.items ?? []) this.rollups.countEntry(entry)
    if (jobs) this.#rollupTimer ??= setTimeout(() => this.#onRollupTimer(), ROLLUPS_DELAY_MS).unref()
    jobs?.done.resolve()
  }

  #insert(row: OpenRow): void {
    if (row.error) return
    try {
      this.#entries.insert(row.id, row.facts, serializeCharges(row.charges), false)
    } catch (error) {
      if (!isRowError(error)) throw error
      row.error = error
      this.#observer.reserveFailed([row])
    }
  }

  /** What becomes free is free from this commit on: not before, when it could fail, nor later, when the row would hold less. */
  #amend(amendments: readonly PendingAmendment[], lowered: LowerResult[]): void {
    const written = amendments.filter((amending) => this.#tryAmend(amending))
    for (const { held, to, now } of written) lowered.push(this.#levels.lower(held, to.charges, now))
  }

  #tryAmend(amending: PendingAmendment): boolean {
    const { row, to } = amending
    try {
      this.#entries.amend(row.id, to.facts, serializeCharges(to.charges))
      return true
    } catch (error) {
      if (!isRowError(error)) throw error
      this.#observer.amendFailed([amending], new StoreUnavailable('the row could not be written', { cause: error }))
      return false
    }
  }

  /** A row that cannot be written as it is must not keep all others waiting: it is booked as though nobody had settled it. */
  #settle(job: PendingSettlement): void {
    const { facts, outcome, settledSeq } = job.entry
    if (!job.hasOpenRow) this.#entries.insert(job.id, facts, '[]', true)
    if (!outcome || settledSeq === null) return
    try {
      if (job.isAmended) this.#entries.amend(job.id, facts, '[]')
      this.#entries.settle(job.id, settledSeq, facts, outcome)
    } catch (error) {
      if (!isRowError(error)) throw error
      const bound = expiredOutcome(facts, outcome.settledAtMs)
      job.entry = { facts, outcome: bound, settledSeq }
      this.#entries.settle(job.id, settledSeq, facts, bound)
    }
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

  #scheduleFlush(ms: number): void {
    clearTimeout(this.#flushTimer)
    this.#flushTimer = setTimeout(() => this.#onFlushTimer(), ms)
    // A process that is done must not be kept alive by a disk that stays full.
    if (this.#retryMs > 0) this.#flushTimer.unref()
  }
}

function currentAmendments({ amendments = [] }: ReserveBatch): readonly PendingAmendment[] {
  return amendments.filter((amending) => amending.row.pendingAmendment === amending)
}

function newBatch<Item>(): PendingBatch<Item> {
  return { items: [], done: Promise.withResolvers<void>() }
}

const ROW_ERROR_CODES: ReadonlySet<number> = new Set([18, 19, 20, 25])

/** Constraint, mismatch, too big, or refused before it reached SQLite: this row's fault and no other's. */
function isRowError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  return !('errcode' in error) || ROW_ERROR_CODES.has(Number(error.errcode) & 0xff)
}
