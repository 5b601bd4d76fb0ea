// SQLite store: levels in memory, one row per call in a file. For one process, which owns the file. Reads no clock.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { CallFacts, Entry, Outcome, Reservation } from '../../core/ledger-entry.ts'
import { Levels, type UsedAmounts } from '../../core/levels.ts'
import type { Charge, Instant, LevelView, Meter } from '../../core/meter.ts'
import { applyAmendment, expiredOutcome, OpenCalls } from '../../core/open-calls.ts'
import { Report } from '../../core/report.ts'
import {
  type Admission,
  type Amendment,
  type EntryQuery,
  type LedgerRecord,
  type OpenTotals,
  type ReportQuery,
  type Settlement,
  type SettleResult,
  type Store,
  StoreUnavailable,
  StoreUnusable,
  type SumQuery,
} from '../store.ts'
import { type LedgerFile, openFile, type Synchronous } from './file.ts'
import { type LevelRows, parseCharges } from './levels.ts'
import { IDS_PER_MS } from './queries.ts'
import { InlineReader, type LedgerReader, WorkerReader } from './reader.ts'
import { entryOf, prepareEntries } from './rows.ts'
import { type OpenRow, type PendingAmendment, WriteQueue } from './write-queue.ts'

export interface SqliteOptions {
  /** Calls that a dead process left open are settled at this instant. */
  readonly now: Instant
  /** `full` survives power loss, at about 100 µs per commit; `normal` survives the process. */
  readonly synchronous?: Synchronous
  readonly checkpointMs?: number
}

const GENERATION_MS = 600_000
const DAY_MS = 86_400_000

export class SqliteStore implements Store {
  /** For the registry, which shares the connection. */
  readonly db: DatabaseSync
  readonly #file: LedgerFile
  readonly #writeQueue: WriteQueue
  readonly #levels: Levels
  readonly #openCalls = new OpenCalls<OpenRow>()
  readonly #reader: LedgerReader
  readonly #findIdempotent: StatementSync
  #now: Instant
  #lastId: number
  #lastSeq: number
  #lateCount = 0
  #closed = false
  #generationTurnedAtMs: number
  /** Swept at opening, told by the first sweep. */
  #expiredAtOpening: Entry[] = []

  /** @param path a file, or `:memory:` for tests. Throws StoreUnusable, with the file untouched. */
  constructor(path: string, options: SqliteOptions) {
    const { now, synchronous = 'normal', checkpointMs = 1000 } = options
    this.#now = now
    this.#generationTurnedAtMs = now.monoMs
    this.#file = openFile(path, synchronous)
    const db = (this.db = this.#file.db)
    try {
      let levels = new Levels()
      const load = (rows: LevelRows) => (levels = new Levels((key) => rows.find(key, this.#now.monoMs)))
      this.#writeQueue = new WriteQueue(db, load, {
        openFrom: () => this.#openCalls.oldest()?.id ?? this.#lastId + 1,
        reserveFailed: (rows) => this.#releaseRows(rows),
        amendFailed: (amendments, error) => this.#revertAmendments(amendments, error),
        amendmentsWritten: (amendments) => this.#replaceAmended(amendments),
      })
      this.#levels = levels
      // One look-up each: the condition is what lets the second use its index.
      const last = db
        .prepare(`SELECT (SELECT max(id) FROM entry) AS id,
        (SELECT max(settled_seq) FROM entry WHERE settled_seq IS NOT NULL) AS seq`)
        .get()
      // Ids that were given to calls whose rows could not be written are no row's, and still not given again.
      this.#lastId = Math.max(Number(last?.id ?? 0), this.#writeQueue.openFrom - 1)
      this.#lastSeq = Number(last?.seq ?? 0)
      this.#findIdempotent = prepareEntries(
        db,
        'WHERE idempotency_key = ? AND id >= ? AND reserved_at_ms >= ? ORDER BY id DESC LIMIT 1',
      )
      this.#countUnsaved()
      this.#settleOpenRows()
    } catch (error) {
      this.#file.release()
      if (error instanceof StoreUnavailable) throw error
      throw new StoreUnusable(`${path} cannot be read: ${error}`, { cause: error })
    }
    this.#reader = path === ':memory:' ? new InlineReader(db) : new WorkerReader(path, checkpointMs)
  }

  get lateSettlements(): number {
    return this.#lateCount
  }

  openTotals(simulated: boolean): OpenTotals {
    return this.#openCalls.totals(simulated)
  }

  async reserve(reservations: readonly Reservation[], now: Instant): Promise<readonly Admission[]> {
    this.#setNow(now)
    const rows: OpenRow[] = []
    const admissions = this.#takeAll(reservations, now, rows)
    if (rows.length > 0) await this.#writeQueue.reservesWritten()
    throwFirstError(rows)
    return admissions
  }

  #takeAll(reservations: readonly Reservation[], now: Instant, rows: OpenRow[]): Admission[] {
    try {
      return reservations.map((reservation) => this.#take(reservation, now, rows))
    } catch (error) {
      // A level could not be read, or an id is taken: nothing of this list is reserved.
      for (const row of rows) row.error = new StoreUnavailable('not reserved', { cause: error })
      this.#releaseRows(rows)
      throw error
    }
  }

  #take(reservation: Reservation, now: Instant, rows: OpenRow[]): Admission {
    const { facts, expiresAtMs } = reservation
    if (this.#openCalls.get(facts.callId)) throw new Error(`call ${facts.callId} is open already`)
    const { charges, shortfalls, unenforced } = this.#levels.take(reservation.charges, now)
    if (shortfalls.length > 0) return { admitted: false, shortfalls }
    const row: OpenRow = { id: this.#nextId(facts, now), facts, charges, expiresAtMs }
    this.#openCalls.add(row)
    this.#writeQueue.reserve(row)
    rows.push(row)
    return { admitted: true, levels: this.#levels.view(reservation.charges, now), unenforced }
  }

  async amend(amendments: readonly Amendment[], now: Instant): Promise<readonly Admission[]> {
    this.#setNow(now)
    const made: PendingAmendment[] = []
    let answers: Admission[]
    try {
      answers = amendments.map((amendment) => this.#raise(amendment, now, made))
    } catch (error) {
      // A level could not be read: nothing of this list is amended.
      this.#revertAmendments(made, new StoreUnavailable('not amended', { cause: error }))
      throw error
    }
    if (made.length > 0) await this.#writeQueue.reservesWritten()
    throwFirstError(made)
    return answers.map((answer, index) =>
      answer.admitted ? { ...answer, levels: this.#levels.view(amendments[index]?.charges ?? [], now) } : answer,
    )
  }

  /** An amendment that comes while another of the same call waits to be written takes its place. */
  #raise(amendment: Amendment, now: Instant, made: PendingAmendment[]): Admission {
    const row = this.#openCalls.get(amendment.facts.callId)
    if (!row) return { admitted: false, shortfalls: [] }
    const raised = this.#levels.raise(row.pendingAmendment?.held ?? row.charges, amendment.charges, now)
    if (raised.shortfalls.length > 0) return { admitted: false, shortfalls: raised.shortfalls }
    const change = { to: { ...applyAmendment(row, amendment), charges: raised.charges }, held: raised.held, now }
    if (row.pendingAmendment) Object.assign(row.pendingAmendment, change)
    else this.#writeQueue.amend((row.pendingAmendment = { row, ...change }))
    made.push(row.pendingAmendment)
    return { admitted: true, levels: [], unenforced: raised.unenforced }
  }

  async settle(settlements: readonly Settlement[], now: Instant): Promise<readonly SettleResult[]> {
    this.#setNow(now)
    const results = settlements.map((settlement) => this.#settle(settlement, now))
    if (results.includes('settled')) await this.#writeQueue.settlementsWritten()
    return results
  }

  #settle({ callId, outcome, used, usedByMeter }: Settlement, now: Instant): SettleResult {
    const row = this.#openCalls.remove(callId)
    if (row) this.#settleRow(row, outcome, now, used, usedByMeter)
    else this.#lateCount += 1
    return row ? 'settled' : 'late'
  }

  async append(records: readonly LedgerRecord[], now: Instant): Promise<void> {
    this.#setNow(now)
    let isWaiting = false
    for (const record of records) {
      if (record.kind === 'refusals') {
        this.#writeQueue.rollups.addRefusals(record.reason, record.count)
        continue
      }
      if (this.#writeQueue.isFull) throw new StoreUnavailable('the ledger cannot be written')
      if (this.#isKnown(record.facts.callId)) continue
      this.#levels.settleUnreserved(record.charges, record.used, now)
      const entry: Entry = { facts: record.facts, outcome: record.outcome, settledSeq: ++this.#lastSeq }
      this.#writeQueue.settle(this.#nextId(record.facts, now), entry, false)
      isWaiting = true
    }
    if (isWaiting) await this.#writeQueue.settlementsWritten()
  }

  async sweep(now: Instant): Promise<readonly Entry[]> {
    this.#setNow(now)
    this.#tidy(now)
    const swept = this.#expiredAtOpening
    this.#expiredAtOpening = []
    const expired = this.#openCalls.expired(now)
    for (const row of expired) {
      this.#openCalls.remove(row.facts.callId)
      swept.push(this.#settleRow(row, expiredOutcome((row.pendingAmendment?.to ?? row).facts, now.wallMs), now))
    }
    if (expired.length > 0) await this.#writeQueue.settlementsWritten()
    return swept
  }

  async levels(charges: readonly Charge[], now: Instant): Promise<readonly LevelView[]> {
    this.#setNow(now)
    return this.#levels.view(charges, now)
  }

  async seed(levels: readonly { readonly meter: Meter; readonly settled: bigint }[], now: Instant): Promise<void> {
    this.#setNow(now)
    for (const { meter, settled } of levels) this.#levels.seed(meter, settled, now)
    await this.#writeQueue.settlementsWritten()
  }

  async report({ simulated, key }: ReportQuery): Promise<Report> {
    this.#assertOpen()
    await this.#writeQueue.flushWhenFree(key !== undefined)
    if (key === undefined) {
      this.#writeQueue.rollups.fold()
      return simulated ? this.#writeQueue.rollups.simulated : this.#writeQueue.rollups.real
    }
    const { days, minutes } = await this.#reader.run({ ask: 'report', query: { simulated, key } })
    const report = new Report()
    for (const [day, tally] of days) report.days.set(day, tally)
    for (const [minute, tally] of minutes) report.minutes.set(minute, tally)
    return report
  }

  async entries(query: EntryQuery): Promise<readonly Entry[]> {
    this.#assertOpen()
    await this.#writeQueue.flushWhenFree(false)
    return this.#reader.run({ ask: 'entries', query })
  }

  async entry(callId: string): Promise<Entry | undefined> {
    this.#assertOpen()
    const row = this.#openCalls.get(callId)
    if (row) return { facts: row.facts, outcome: null, settledSeq: null }
    await this.#writeQueue.flushWhenFree(false)
    return this.#reader.run({ ask: 'entry', callId })
  }

  async idempotentEntry(keyHash: string, sinceMs: number): Promise<Entry | undefined> {
    this.#assertOpen()
    await this.#writeQueue.flushWhenFree(false)
    const since = Math.max(0, sinceMs)
    const row = this.#findIdempotent.get(keyHash, Math.floor(since) * IDS_PER_MS, since)
    return row && entryOf(row)
  }

  async sums(query: SumQuery): Promise<ReadonlyMap<string, bigint>> {
    this.#assertOpen()
    await this.#writeQueue.flushWhenFree(false)
    return this.#reader.run({ ask: 'sums', query })
  }

  async close(_now: Instant): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#reader.close()
    await this.#writeQueue.flushWhenFree(true)
    this.#writeQueue.stop()
    try {
      this.db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {
      // The log is whole without it, and read at the next start.
    }
    this.#file.release()
  }

  #setNow(now: Instant): void {
    this.#assertOpen()
    this.#now = now
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
  }

  /** Books a call that is open no more, as amended where that was under way. */
  #settleRow(
    row: OpenRow,
    outcome: Outcome,
    now: Instant,
    used?: UsedAmounts,
    usedOn?: Settlement['usedByMeter'],
  ): Entry {
    const { pendingAmendment } = row
    const { facts, charges } = pendingAmendment?.to ?? row
    if (pendingAmendment) {
      row.pendingAmendment = undefined
      this.#levels.lower(pendingAmendment.held, charges, now)
    }
    this.#levels.settle(charges, used, now, usedOn)
    const entry: Entry = { facts, outcome, settledSeq: ++this.#lastSeq }
    this.#writeQueue.settle(row.id, entry, !this.#writeQueue.cancelReserve(row), pendingAmendment !== undefined)
    return entry
  }

  #releaseRows(rows: readonly OpenRow[]): void {
    for (const row of rows) {
      if (row.pendingAmendment)
        this.#revertAmendments([row.pendingAmendment], row.error ?? new StoreUnavailable('not reserved'))
      this.#openCalls.remove(row.facts.callId)
      this.#levels.release(row.charges, this.#now)
    }
  }

  #revertAmendments(amendments: readonly PendingAmendment[], error: Error): void {
    for (const amending of amendments) {
      if (amending.row.pendingAmendment !== amending) continue
      const { row, held } = amending
      amending.error = error
      row.pendingAmendment = undefined
      row.charges = this.#levels.lower(held, row.charges, this.#now).charges
    }
  }

  #replaceAmended(amendments: readonly PendingAmendment[]): void {
    for (const { row, to } of amendments) this.#openCalls.replace({ ...to, id: row.id })
  }

  #isKnown(callId: string): boolean {
    if (this.#openCalls.get(callId) || this.#writeQueue.hasPending(callId)) return true
    return this.db.prepare('SELECT 1 FROM entry WHERE appended = 1 AND call_id = ?').get(callId) !== undefined
  }

  /** See migrations: never below the one before, and no further ahead of the clock than a day. */
  #nextId(facts: CallFacts, now: Instant): number {
    const atMs = Math.min(Math.max(facts.reservedAtMs, now.wallMs), now.wallMs + DAY_MS)
    this.#lastId = Math.max(this.#lastId + 1, Math.floor(atMs) * IDS_PER_MS)
    return this.#lastId
  }

  /** What was settled after the sums were last saved. */
  #countUnsaved(): void {
    const rows = prepareEntries(this.db, 'WHERE settled_seq > ? ORDER BY settled_seq')
    for (const row of rows.iterate(this.#writeQueue.rollups.countedSeq)) {
      this.#writeQueue.rollups.countEntry(entryOf(row))
    }
  }

  #settleOpenRows(): void {
    const now = this.#now
    for (const row of this.#writeQueue.readOpenRows()) {
      const { facts } = entryOf(row)
      this.#levels.settle(parseCharges(String(row.charges)), undefined, now)
      const entry: Entry = { facts, outcome: expiredOutcome(facts, now.wallMs), settledSeq: ++this.#lastSeq }
      this.#writeQueue.settle(Number(row.id), entry, true)
      this.#expiredAtOpening.push(entry)
    }
    if (this.#writeQueue.flushAll() !== 'written') throw new StoreUnavailable('the ledger could not be written')
  }

  /** Forgets idle levels, and now and then a slice of what no call can ask for any more. */
  #tidy(now: Instant): void {
    if (now.monoMs - this.#generationTurnedAtMs >= GENERATION_MS && this.#writeQueue.flush() === 'written') {
      this.#generationTurnedAtMs = now.monoMs
      this.#levels.turnGeneration(now)
    }
    this.#writeQueue.prune(now)
  }
}

function throwFirstError(failed: readonly { readonly error?: Error }[]): void {
  for (const { error } of failed) if (error) throw error
}
