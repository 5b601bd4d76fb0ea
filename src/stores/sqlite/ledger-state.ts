// Ledger state: open calls, their levels and pending rows, which change together in one turn of the event loop. It awaits nothing.

import type { DatabaseSync } from 'node:sqlite'
import type { Timers } from '../../core/clock.ts'
import { type Entry, type Outcome, type Reservation, settledFacts } from '../../core/ledger-entry.ts'
import { Levels, type UsedAmounts } from '../../core/levels.ts'
import type { Instant } from '../../core/meter.ts'
import { applyAmendment, expiredOutcome, OpenCalls } from '../../core/open-calls.ts'
import {
  type Admission,
  type Amendment,
  type LedgerRecord,
  type Settlement,
  type SettleResult,
  StoreUnavailable,
} from '../store.ts'
import {
  type BatchObserver,
  LedgerTables,
  type OpenRow,
  type PendingAmendment,
  type PendingSettlement,
} from './batch.ts'
import { storedCallId } from './compact-values.ts'
import { IDS_PER_MS, IdSource } from './id-source.ts'
import type { LedgerHealth } from './ledger-health.ts'
import { parseCharges } from './levels.ts'
import { entryOf, prepareEntries } from './rows.ts'
import { WriteQueue } from './write-queue.ts'

/**
 * The state in memory of one SQLite ledger. Each method changes open calls, levels and pending rows together; `writeQueue` writes the
 * rows later, and reports commits that fail.
 */
export class LedgerState implements BatchObserver {
  readonly levels: Levels
  readonly openCalls = new OpenCalls<OpenRow>()
  readonly writeQueue: WriteQueue
  /** The instant of the last call of the store: levels are given back at it if a commit fails later. */
  now: Instant
  readonly #db: DatabaseSync
  readonly #ids: IdSource
  #lastSeq: number
  #lateSettlements = 0

  constructor(db: DatabaseSync, timers: Timers, health: LedgerHealth, now: Instant) {
    this.#db = db
    this.now = now
    const tables = new LedgerTables(db)
    this.levels = new Levels((key) => tables.levels.find(key, this.now.monoMs))
    this.writeQueue = new WriteQueue({ db, timers, tables, levels: this.levels, observer: this, health })
    const last = findLast(db)
    // Ids of rows that could not be written are in no row. They are not given again.
    this.#ids = new IdSource(Math.max(last.id, this.writeQueue.openFrom - 1))
    this.#lastSeq = last.seq
  }

  get lateSettlements(): number {
    return this.#lateSettlements
  }

  /** @param rows gets the row of the reservation, if it is admitted */
  reserve(reservation: Reservation, now: Instant, rows: OpenRow[]): Admission {
    const { facts, expiresAtMs } = reservation
    if (this.openCalls.get(facts.callId)) throw new Error(`Call ${facts.callId} is open already.`)
    const { charges, shortfalls, unenforced } = this.levels.take(reservation.charges, now)
    if (shortfalls.length > 0) return { admitted: false, shortfalls }
    const row: OpenRow = { id: this.#ids.next(facts.reservedAtMs, now.wallMs), facts, charges, expiresAtMs }
    this.openCalls.add(row)
    this.writeQueue.reserve(row)
    rows.push(row)
    return { admitted: true, levels: this.levels.view(reservation.charges, now), unenforced }
  }

  /**
   * Takes what the amendment adds. What it frees is given back when it is written. An amendment replaces an earlier amendment
   * of its call that waits.
   * @param pending gets the amendment, if it is admitted
   */
  amend(amendment: Amendment, now: Instant, pending: PendingAmendment[]): Admission {
    const row = this.openCalls.get(amendment.facts.callId)
    if (!row) return { admitted: false, shortfalls: [] }
    const raised = this.levels.raise(row.pendingAmendment?.held ?? row.charges, amendment.charges, now)
    if (raised.shortfalls.length > 0) return { admitted: false, shortfalls: raised.shortfalls }
    const change = { to: { ...applyAmendment(row, amendment), charges: raised.charges }, held: raised.held, now }
    if (row.pendingAmendment) Object.assign(row.pendingAmendment, change)
    else this.writeQueue.amend((row.pendingAmendment = { row, ...change }))
    pending.push(row.pendingAmendment)
    return { admitted: true, levels: [], unenforced: raised.unenforced }
  }

  /** @param pending gets the settlement, unless it is late */
  settle({ callId, outcome, used, usedByMeter }: Settlement, now: Instant, pending: PendingSettlement[]): SettleResult {
    const row = this.openCalls.remove(callId)
    if (row) pending.push(this.#settleRow(row, outcome, now, used, usedByMeter))
    else this.#lateSettlements += 1
    return row ? 'settled' : 'late'
  }

  /** Returns false if nothing has to be written: the call is in the ledger already. */
  append(record: Exclude<LedgerRecord, { kind: 'refusals' }>, now: Instant): boolean {
    const { facts, outcome, charges } = record
    if (this.writeQueue.isFull) throw new StoreUnavailable('The ledger could not be written for a while.')
    if (this.#isKnown(facts.callId)) return false
    if (record.kind === 'entry') this.levels.settleUnreserved(charges, record.used, now)
    else this.levels.correct(charges, now)
    const untilMs = Math.floor(facts.reservedAtMs) + 1
    // Rows of open calls may not be written yet.
    const oldestOpenId = this.openCalls.oldest()?.id ?? Number.POSITIVE_INFINITY
    const id =
      untilMs <= now.wallMs && untilMs * IDS_PER_MS <= oldestOpenId
        ? this.#ids.late(facts.reservedAtMs, (from, until) => this.#lastIdAt(from, until))
        : this.#ids.next(facts.reservedAtMs, now.wallMs)
    const adjustment = record.kind === 'adjustment' ? { adjustment: record.adjustment } : {}
    const entry: Entry = { facts, outcome, settledSeq: ++this.#lastSeq, ...adjustment }
    this.writeQueue.settle({ id, entry, hasOpenRow: false, isAmended: false })
    return true
  }

  /** Settles in full the calls that expired. */
  expire(now: Instant): Entry[] {
    return this.openCalls.expired(now).map((row) => {
      this.openCalls.remove(row.facts.callId)
      return this.#settleRow(row, expiredOutcome((row.pendingAmendment?.to ?? row).facts, now.wallMs), now).entry
    })
  }

  /**
   * Counts the entries that were settled after the sums were last saved, and settles in full what an earlier process left
   * open. Throws StoreUnavailable if that cannot be written.
   */
  recover(): Entry[] {
    const { rollups } = this.writeQueue
    const unsaved = prepareEntries(this.#db, 'WHERE settled_seq > ? ORDER BY settled_seq')
    for (const row of unsaved.iterate(rollups.countedSeq)) rollups.countEntry(entryOf(row))
    const expired = this.writeQueue.readOpenRows().map((row): Entry => {
      const { facts } = entryOf(row)
      this.levels.settle(parseCharges(String(row.charges)), undefined, this.now)
      const entry = { facts, outcome: expiredOutcome(facts, this.now.wallMs), settledSeq: ++this.#lastSeq }
      this.writeQueue.settle({ id: Number(row.id), entry, hasOpenRow: true, isAmended: false })
      return entry
    })
    if (this.writeQueue.flushAll() !== 'written') throw new StoreUnavailable('The ledger could not be written.')
    return expired
  }

  openFrom(): number {
    return this.openCalls.oldest()?.id ?? this.#ids.lastId + 1
  }

  reserveFailed(rows: readonly OpenRow[]): void {
    for (const row of rows) {
      if (row.pendingAmendment) {
        const error = row.error ?? new StoreUnavailable('The reservation could not be written.')
        this.amendFailed([row.pendingAmendment], error)
      }
      this.openCalls.remove(row.facts.callId)
      this.levels.release(row.charges, this.now)
    }
  }

  amendFailed(amendments: readonly PendingAmendment[], error: Error): void {
    for (const amendment of amendments) {
      const { row, held } = amendment
      if (row.pendingAmendment !== amendment) continue
      amendment.error = error
      row.pendingAmendment = undefined
      row.charges = this.levels.lower(held, row.charges, this.now).charges
    }
  }

  amendmentsWritten(amendments: readonly PendingAmendment[]): void {
    for (const { row, to } of amendments) this.openCalls.replace({ ...to, id: row.id })
  }

  /** Settles a row that was removed from the open calls, as amended if its amendment waits to be written. */
  #settleRow(
    row: OpenRow,
    outcome: Outcome,
    now: Instant,
    used?: UsedAmounts,
    usedByMeter?: Settlement['usedByMeter'],
  ): PendingSettlement {
    const { pendingAmendment } = row
    const { facts, charges } = pendingAmendment?.to ?? row
    if (pendingAmendment) {
      row.pendingAmendment = undefined
      this.levels.lower(pendingAmendment.held, charges, now)
    }
    this.levels.settle(charges, used, now, usedByMeter)
    const entry: Entry = { facts: settledFacts(facts, outcome), outcome, settledSeq: ++this.#lastSeq }
    const hasOpenRow = !this.writeQueue.cancelReserve(row)
    const settlement = { id: row.id, entry, hasOpenRow, isAmended: pendingAmendment !== undefined }
    this.writeQueue.settle(settlement)
    return settlement
  }

  #lastIdAt(fromId: number, untilId: number): number | undefined {
    const written = this.#db.prepare('SELECT max(id) AS id FROM entry WHERE id >= ? AND id < ?').get(fromId, untilId)
    const waiting = this.writeQueue.lastWaitingId(fromId, untilId)
    return typeof written?.id === 'number' ? Math.max(written.id, waiting ?? 0) : waiting
  }

  #isKnown(callId: string): boolean {
    if (this.openCalls.get(callId) || this.writeQueue.hasPending(callId)) return true
    return (
      this.#db
        .prepare('SELECT 1 FROM entry WHERE appended = 1 AND call_id IN (?, ?)')
        .get(callId, storedCallId(callId)) !== undefined
    )
  }
}

/** Two subqueries: the condition lets the second one use its index. */
function findLast(db: DatabaseSync): { readonly id: number; readonly seq: number } {
  const last = db
    .prepare(`SELECT (SELECT max(id) FROM entry) AS id,
      (SELECT max(settled_seq) FROM entry WHERE settled_seq IS NOT NULL) AS seq`)
    .get()
  return { id: Number(last?.id ?? 0), seq: Number(last?.seq ?? 0) }
}
