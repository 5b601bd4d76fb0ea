// Batch: what one commit of the SQLite ledger writes, all of it or nothing. It knows no timers and no retries.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Entry, Reservation } from '../../core/ledger-entry.ts'
import type { Levels, LowerResult } from '../../core/levels.ts'
import type { Charge, Instant } from '../../core/meter.ts'
import { expiredOutcome } from '../../core/open-calls.ts'
import { StoreUnavailable } from '../store.ts'
import { EntryWriter } from './entry-writer.ts'
import { LevelRows, serializeCharges } from './levels.ts'
import { prepareSaveMark } from './marks.ts'
import { Rollups } from './rollups.ts'

/** An open call and its row. */
export interface OpenRow extends Reservation {
  readonly id: number
  charges: readonly Charge[]
  /** Why this row alone is not written. Other rows of the commit are. */
  error?: Error
  /** The amendment that the next commit writes. */
  pendingAmendment?: PendingAmendment | undefined
}

/** Counts only while `row.pendingAmendment` is this object: settling, or a failure, clears that field. */
export interface PendingAmendment {
  readonly row: OpenRow
  to: Reservation
  /** What the levels hold until the commit: for each meter the larger one of the old and the new charge. */
  held: readonly Charge[]
  now: Instant
  error?: Error
}

/** A settled call: to be written over its open row, or as a row of its own. */
export interface PendingSettlement {
  readonly id: number
  /** False if the call was settled before its reservation was written, or was never reserved. */
  readonly hasOpenRow: boolean
  /** True if the open row still has the facts from before an amendment. */
  readonly isAmended: boolean
  entry: Entry
  /** Why the row could not be written as it was. The call is settled in full then. */
  error?: Error
}

/** Items for the next commit, and the promise of that commit. */
export interface PendingList<Item> {
  readonly items: Item[]
  readonly done: PromiseWithResolvers<void>
}

/** Reservations and amendments for the next commit. */
export interface PendingReserves extends PendingList<OpenRow> {
  amendments?: PendingAmendment[]
}

/** Called while a batch is written, in the same turn. */
export interface BatchObserver {
  /** No row that is open after this commit, and no row that is written later, has a smaller id. */
  openFrom(): number
  /** These rows will never be written: their charges have to be given back. */
  reserveFailed(rows: readonly OpenRow[]): void
  amendFailed(amendments: readonly PendingAmendment[], error: Error): void
  /** The amendments are written, and the levels hold exactly their new charges. */
  amendmentsWritten(amendments: readonly PendingAmendment[]): void
}

/** The tables that a batch writes. */
export class LedgerTables {
  readonly entries: EntryWriter
  readonly levels: LevelRows
  readonly rollups: Rollups
  readonly saveOpenFrom: StatementSync

  constructor(db: DatabaseSync) {
    this.entries = new EntryWriter(db)
    this.levels = new LevelRows(db)
    this.rollups = new Rollups(db)
    this.saveOpenFrom = prepareSaveMark(db, 'open_from')
  }
}

/** What a batch is made of. */
interface BatchParts {
  readonly reserves: PendingReserves | undefined
  readonly settlements: PendingList<PendingSettlement> | undefined
  readonly savesRollups: boolean
}

/**
 * What one commit writes: everything that waits, never a part. Levels are saved whole and already count every waiting
 * row; if a row were left out and the process died, the recovery at the next start would count it again.
 *
 * After `writeInto`, call `committed` or `rolledBack` in the same turn.
 */
export class Batch {
  readonly reserves: PendingReserves | undefined
  readonly settlements: PendingList<PendingSettlement> | undefined
  readonly savesRollups: boolean
  readonly #levels: Levels
  readonly #observer: BatchObserver
  #dirtyLevels: ReturnType<Levels['collectDirty']> = []
  readonly #lowered: LowerResult[] = []

  constructor({ reserves, settlements, savesRollups }: BatchParts, levels: Levels, observer: BatchObserver) {
    this.reserves = reserves
    this.settlements = settlements
    this.savesRollups = savesRollups
    this.#levels = levels
    this.#observer = observer
  }

  get isEmpty(): boolean {
    return !this.reserves && !this.settlements && !this.#levels.isDirty && !this.savesRollups
  }

  /** Writes everything into an open transaction. Throws if the transaction has to be rolled back. */
  writeInto(tables: LedgerTables): void {
    for (const row of this.reserves?.items ?? []) this.#insert(row, tables.entries)
    if (this.reserves?.amendments) this.#amend(currentAmendments(this.reserves), tables.entries)
    for (const settlement of this.settlements?.items ?? []) writeSettlement(settlement, tables.entries)
    this.#dirtyLevels = this.#levels.collectDirty()
    for (const [key, level] of this.#dirtyLevels) tables.levels.save(key, level)
    if (!this.savesRollups) return
    tables.rollups.save()
    tables.saveOpenFrom.get(this.#observer.openFrom())
  }

  /** First the sums are marked saved, then this batch's entries are counted: the saved sums do not include them. */
  committed({ rollups }: LedgerTables): void {
    if (this.savesRollups) rollups.markSaved()
    if (this.reserves?.amendments) this.#observer.amendmentsWritten(currentAmendments(this.reserves))
    for (const { entry } of this.settlements?.items ?? []) rollups.countEntry(entry)
    this.settlements?.done.resolve()
    this.reserves?.done.resolve()
  }

  /** Puts the levels back to what they were before the transaction. */
  rolledBack(tables: LedgerTables): void {
    tables.entries.codes.forget()
    for (const { undo } of this.#lowered.reverse()) undo()
    this.#levels.markDirty(this.#dirtyLevels.map(([key]) => key))
  }

  /** Gives up the reservations and amendments of a batch that was rolled back. Its settlements wait on. */
  failReserves(cause: unknown): void {
    if (!this.reserves) return
    const error = new StoreUnavailable('The ledger could not be written.', { cause })
    this.#observer.amendFailed(currentAmendments(this.reserves), error)
    this.#observer.reserveFailed(this.reserves.items.filter((row) => !row.error))
    this.reserves.done.reject(error)
  }

  #insert(row: OpenRow, entries: EntryWriter): void {
    if (row.error) return
    try {
      entries.insert(row.id, row.facts, serializeCharges(row.charges), false)
    } catch (error) {
      if (!isRowError(error)) throw error
      row.error = error
      this.#observer.reserveFailed([row])
    }
  }

  /**
   * Lowers the levels inside the transaction. Before it, the capacity would be free although the commit can fail; after it, the
   * saved levels would hold more than the rows.
   */
  #amend(amendments: readonly PendingAmendment[], entries: EntryWriter): void {
    const written = amendments.filter((amendment) => this.#tryAmend(amendment, entries))
    for (const { held, to, now } of written) this.#lowered.push(this.#levels.lower(held, to.charges, now))
  }

  #tryAmend(amendment: PendingAmendment, entries: EntryWriter): boolean {
    const { row, to } = amendment
    try {
      entries.amend(row.id, to.facts, serializeCharges(to.charges))
      return true
    } catch (error) {
      if (!isRowError(error)) throw error
      this.#observer.amendFailed([amendment], new StoreUnavailable('The row could not be written.', { cause: error }))
      return false
    }
  }
}

/** A row that cannot be written as it is must not block all others: it is settled in full, as an expired call is. */
function writeSettlement(settlement: PendingSettlement, entries: EntryWriter): void {
  const { facts, outcome, settledSeq, adjustment } = settlement.entry
  if (!settlement.hasOpenRow) entries.insert(settlement.id, facts, '[]', true)
  if (adjustment) entries.markAdjustment(settlement.id, adjustment)
  if (!outcome || settledSeq === null) return
  try {
    if (settlement.isAmended) entries.amend(settlement.id, facts, '[]')
    entries.settle(settlement.id, settledSeq, facts, outcome)
  } catch (error) {
    if (!isRowError(error)) throw error
    settlement.error = error
    const bound = expiredOutcome(facts, outcome.settledAtMs)
    settlement.entry = { facts, outcome: bound, settledSeq }
    entries.settle(settlement.id, settledSeq, facts, bound)
  }
}

function currentAmendments({ amendments = [] }: PendingReserves): readonly PendingAmendment[] {
  return amendments.filter((amendment) => amendment.row.pendingAmendment === amendment)
}

/** Constraint, type mismatch, or too big. */
const ROW_ERROR_CODES: ReadonlySet<number> = new Set([18, 19, 20, 25])

/** Node refuses a value that SQLite has no type for. */
const VALUE_ERROR_CODES: ReadonlySet<string> = new Set([
  'ERR_INVALID_ARG_TYPE',
  'ERR_INVALID_ARG_VALUE',
  'ERR_OUT_OF_RANGE',
])

/** True if the error is of this row alone; also if Node refused a value before SQLite got it. */
function isRowError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  if ('errcode' in error) return ROW_ERROR_CODES.has(Number(error.errcode) & 0xff)
  return 'code' in error && VALUE_ERROR_CODES.has(String(error.code))
}
