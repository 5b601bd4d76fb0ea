// What waits to be written to the SQLite ledger, and the one transaction that writes all of it or nothing.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { setTimeout as setTimeoutPromise } from 'node:timers/promises'
import type { Entry, Reservation } from '../../core/ledger-entry.ts'
import type { Levels, Lowered } from '../../core/levels.ts'
import type { Charge, Instant } from '../../core/meter.ts'
import { expiredOutcome } from '../../core/open-calls.ts'
import { StoreUnavailable } from '../store.ts'
import { isBusy } from './file.ts'
import { LevelRows, textOfCharges } from './levels.ts'
import { findMark, prepareMark } from './marks.ts'
import { Rollups } from './rollups.ts'
import { EntryRows, prepareEntries, type Row } from './rows.ts'

/** An open call and its row. */
export interface OpenRow extends Reservation {
  readonly id: number
  charges: readonly Charge[]
  /** Why this row is not to be written, or could not be; the others of its commit are. */
  error?: Error
  /** What it is to become with the next commit. */
  amending?: Amending | undefined
}

/** Of no effect once its row points elsewhere: the call was settled, or the amendment failed. */
export interface Amending {
  readonly row: OpenRow
  to: Reservation
  /** What the levels hold until it is written: of each meter the more of what was held and what is to be. */
  held: readonly Charge[]
  now: Instant
  error?: Error
}

/** A settled call that is to be written: over its open row, or as a row of its own. */
interface Job {
  readonly id: number
  readonly opened: boolean
  /** The open row still has the facts from before an amendment. */
  readonly amended: boolean
  entry: Entry
}

/** What the ledger tells of its commits, in the midst of them. */
export interface Told {
  /** No row that is open after this commit, or is written after it, has a smaller id. */
  openFrom(): number
  /** These rows were not written and never will be: their charges are to be given back. */
  notReserved(rows: readonly OpenRow[]): void
  /** The same of amendments. */
  notAmended(amendments: readonly Amending[], error: Error): void
  /** Written; what they hold too much was given back before. */
  amended(amendments: readonly Amending[]): void
}

interface Waiting<Item> {
  readonly items: Item[]
  readonly done: PromiseWithResolvers<void>
}

interface Reserves extends Waiting<OpenRow> {
  amendments?: Amending[]
}

type Flushed = 'written' | 'busy' | 'failed'

const SETTLE_MS = 5
const FULL_BATCH = 256
const ROLLUPS_MS = 250
const MANY_ROLLUPS = 64
const RETRY_MS = 100
const PRUNE_MS = 60_000
const PRUNE_KEYS = 500
const BUSY_MS = 2
/** Five seconds or more: then it counts as failed. */
const MOST_BUSY_TIMES = 2500
const LONGEST_RETRY_MS = 2000
/** While nothing can be written, open calls still settle; calls from elsewhere are turned away beyond this. */
const MOST_JOBS = 50_000

/**
 * A commit holds everything that waits, because levels are saved whole: rows left out would be counted by levels and, after
 * a crash, once more by the sweep.
 */
export class Ledger {
  readonly levelRows: LevelRows
  readonly rollups: Rollups
  /** What `Told.openFrom` said last, before this was opened: new ids start here, too, or their rows would not be found. */
  readonly openFrom: number
  readonly #db: DatabaseSync
  readonly #levels: Levels
  readonly #told: Told
  readonly #entries: EntryRows
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #saveOpenFrom: StatementSync
  #reserves: Reserves | undefined
  #jobs: Waiting<Job> | undefined
  #timer: NodeJS.Timeout | undefined
  #rollupTimer: NodeJS.Timeout | undefined
  #rollupsDue = false
  #retryMs = 0
  #busyTimes = 0
  #prunedAtMs: number | undefined
  #prunedKey = ''

  constructor(db: DatabaseSync, levels: (rows: LevelRows) => Levels, told: Told) {
    this.#db = db
    this.#told = told
    this.levelRows = new LevelRows(db)
    this.rollups = new Rollups(db)
    this.#levels = levels(this.levelRows)
    this.#entries = new EntryRows(db)
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#saveOpenFrom = prepareMark(db, 'open_from')
    this.openFrom = findMark(db, 'open_from')
  }

  /** Rows that nobody settled before this was opened. */
  leftOpen(): Row[] {
    return prepareEntries(this.#db, 'WHERE id >= ? AND settled_seq IS NULL ORDER BY id').all(this.openFrom)
  }

  /** To be written with all others of this turn of the event loop: await `reserved`. */
  reserve(row: OpenRow): void {
    this.#reservesWaiting().items.push(row)
  }

  /** Like `reserve`. */
  amend(amending: Amending): void {
    const reserves = this.#reservesWaiting()
    reserves.amendments ??= []
    reserves.amendments.push(amending)
  }

  #reservesWaiting(): Reserves {
    if (!this.#reserves) {
      this.#reserves = waiting()
      // Whoever awaits it is told; a list that was given up does not.
      this.#reserves.done.promise.catch(() => {})
      setImmediate(() => this.flush())
    }
    return this.#reserves
  }

  /** Resolves after the commit at the end of this turn. */
  reserved(): Promise<void> | undefined {
    return this.#reserves?.done.promise
  }

  /** To be written soon: await `written`. */
  settle(id: number, entry: Entry, opened: boolean, amended = false): void {
    const size = this.#jobsWaiting().items.push({ id, entry, opened, amended })
    if (size === FULL_BATCH && this.#retryMs === 0) setImmediate(() => this.flush())
  }

  #jobsWaiting(): Waiting<Job> {
    if (!this.#jobs) {
      this.#jobs = waiting()
      // Nobody has to wait for it.
      this.#jobs.done.promise.catch(() => {})
    }
    this.#timer ??= setTimeout(() => this.#timeout(), SETTLE_MS)
    return this.#jobs
  }

  get full(): boolean {
    return (this.#jobs?.items.length ?? 0) >= MOST_JOBS
  }

  hasWaiting(callId: string): boolean {
    return this.#jobs?.items.some(({ entry }) => entry.facts.callId === callId) ?? false
  }

  /** Takes a row out of those that wait to be reserved: it was settled before it was written. */
  unreserve(row: OpenRow): boolean {
    const at = this.#reserves?.items.indexOf(row) ?? -1
    if (at >= 0) this.#reserves?.items.splice(at, 1)
    return at >= 0
  }

  /** Resolves when what was settled, and the levels as they are now, are written: with the next commit that succeeds. */
  written(): Promise<void> {
    return this.#jobsWaiting().done.promise
  }

  /**
   * Writes everything that waits. `busy`: a checkpoint is being finished, nothing was tried. `failed`: calls not reserved
   * are told so, settled ones wait on.
   */
  flush(): Flushed {
    const reserves = this.#reserves
    this.#reserves = undefined
    try {
      this.#write(reserves)
    } catch (error) {
      if (isBusy(error) && ++this.#busyTimes < MOST_BUSY_TIMES) {
        this.#reserves = reserves
        this.#flushIn(BUSY_MS)
        return 'busy'
      }
      if (reserves) {
        const unavailable = new StoreUnavailable('the ledger could not be written', { cause: error })
        this.#told.notAmended(standing(reserves), unavailable)
        this.#told.notReserved(reserves.items.filter((row) => !row.error))
        reserves.done.reject(unavailable)
        // New rows need room that settled ones may not.
        return this.flush()
      }
      this.#retryMs = Math.min(LONGEST_RETRY_MS, this.#retryMs * 2 || RETRY_MS)
      this.#flushIn(this.#retryMs)
      return 'failed'
    }
    reserves?.done.resolve()
    this.#retryMs = 0
    this.#busyTimes = 0
    return 'written'
  }

  /** Flushes, waiting while it is busy. `all`: sums too, so that other connections see all that was settled. */
  async drain(all: boolean): Promise<boolean> {
    for (;;) {
      const flushed = all ? this.flushAll() : this.flush()
      if (flushed !== 'busy') return flushed === 'written'
      await setTimeoutPromise(BUSY_MS)
    }
  }

  flushAll(): Flushed {
    const flushed = this.flush()
    if (flushed !== 'written' || !this.rollups.unsaved) return flushed
    this.#rollupsDue = true
    return this.flush()
  }

  /** Now and then, deletes a slice of what no call can ask for any more. */
  prune({ wallMs, monoMs }: Instant): void {
    this.#prunedAtMs ??= monoMs
    if (monoMs - this.#prunedAtMs < PRUNE_MS || this.flush() !== 'written') return
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
    clearTimeout(this.#timer)
    clearTimeout(this.#rollupTimer)
    this.#jobs?.done.reject(new StoreUnavailable('the store was closed before it could be written'))
    this.#jobs = undefined
  }

  #write(reserves: Reserves | undefined): void {
    const jobs = this.#jobs
    const saveRollups = this.#rollupsDue || this.rollups.size >= MANY_ROLLUPS
    if (!reserves && !jobs && !this.#levels.dirty && !saveRollups) return
    let dirty: ReturnType<Levels['drainDirty']> = []
    const lowered: Lowered[] = []
    try {
      this.#begin.get()
      for (const row of reserves?.items ?? []) this.#insert(row)
      if (reserves?.amendments) this.#amend(standing(reserves), lowered)
      for (const job of jobs?.items ?? []) this.#settle(job)
      dirty = this.#levels.drainDirty()
      for (const [key, level] of dirty) this.levelRows.save(key, level)
      if (saveRollups) {
        this.rollups.save()
        this.#saveOpenFrom.get(this.#told.openFrom())
      }
      this.#commit.get()
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      for (const { undo } of lowered.reverse()) undo()
      this.#levels.redirty(dirty.map(([key]) => key))
      throw error
    }
    if (saveRollups) {
      this.rollups.saved()
      this.#rollupsDue = false
    }
    if (reserves?.amendments) this.#told.amended(standing(reserves))
    this.#jobs = undefined
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const { entry } of jobs?.items ?? []) this.rollups.count(entry)
    if (jobs) this.#rollupTimer ??= setTimeout(() => this.#rollupTimeout(), ROLLUPS_MS).unref()
    jobs?.done.resolve()
  }

  #insert(row: OpenRow): void {
    if (row.error) return
    try {
      this.#entries.insert(row.id, row.facts, textOfCharges(row.charges), false)
    } catch (error) {
      if (!isOfRow(error)) throw error
      row.error = error
      this.#told.notReserved([row])
    }
  }

  /** What becomes free is free from this commit on: not before, when it could fail, nor later, when the row would hold less. */
  #amend(amendments: readonly Amending[], lowered: Lowered[]): void {
    const written = amendments.filter((amending) => this.#isRewritten(amending))
    for (const { held, to, now } of written) lowered.push(this.#levels.lower(held, to.charges, now))
  }

  #isRewritten(amending: Amending): boolean {
    const { row, to } = amending
    try {
      this.#entries.amend(row.id, to.facts, textOfCharges(to.charges))
      return true
    } catch (error) {
      if (!isOfRow(error)) throw error
      this.#told.notAmended([amending], new StoreUnavailable('the row could not be written', { cause: error }))
      return false
    }
  }

  /** A row that cannot be written as it is must not keep all others waiting: it is booked as though nobody had settled it. */
  #settle(job: Job): void {
    const { facts, outcome, settledSeq } = job.entry
    if (!job.opened) this.#entries.insert(job.id, facts, '[]', true)
    if (!outcome || settledSeq === null) return
    try {
      if (job.amended) this.#entries.amend(job.id, facts, '[]')
      this.#entries.settle(job.id, settledSeq, facts, outcome)
    } catch (error) {
      if (!isOfRow(error)) throw error
      const bound = expiredOutcome(facts, outcome.settledAtMs)
      job.entry = { facts, outcome: bound, settledSeq }
      this.#entries.settle(job.id, settledSeq, facts, bound)
    }
  }

  #timeout(): void {
    this.#timer = undefined
    this.flush()
  }

  #rollupTimeout(): void {
    this.#rollupTimer = undefined
    this.#rollupsDue = this.rollups.unsaved
    this.flush()
  }

  #flushIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#timeout(), ms)
    // A process that is done must not be kept alive by a disk that stays full.
    if (this.#retryMs > 0) this.#timer.unref()
  }
}

function standing({ amendments = [] }: Reserves): readonly Amending[] {
  return amendments.filter((amending) => amending.row.amending === amending)
}

function waiting<Item>(): Waiting<Item> {
  return { items: [], done: Promise.withResolvers<void>() }
}

const ROW_ERRORS: ReadonlySet<number> = new Set([18, 19, 20, 25])

/** Constraint, mismatch, too big, or refused before it reached SQLite: this row's fault and no other's. */
function isOfRow(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  return !('errcode' in error) || ROW_ERRORS.has(Number(error.errcode) & 0xff)
}
