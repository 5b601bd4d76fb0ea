// SQLite store: levels in memory, one row per call in a file. For one process, which owns the file. Reads no clock.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { CallFacts, Entry, Outcome, Reservation } from '../../core/ledger-entry.ts'
import { Levels, type Used } from '../../core/levels.ts'
import type { Charge, Instant, LevelView, Meter } from '../../core/meter.ts'
import { amended, expiredOutcome, OpenCalls } from '../../core/open-calls.ts'
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
import { type OpenFile, openFile, type Synchronous } from './file.ts'
import { chargesOfText, type LevelRows } from './levels.ts'
import { IDS_PER_MS } from './queries.ts'
import { InlineReader, type Reader, WorkerReader } from './reader.ts'
import { entryOf, prepareEntries } from './rows.ts'
import { type Amending, Ledger, type OpenRow } from './write-queue.ts'

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
  readonly #file: OpenFile
  readonly #ledger: Ledger
  readonly #levels: Levels
  readonly #open = new OpenCalls<OpenRow>()
  readonly #reader: Reader
  readonly #findIdempotent: StatementSync
  #now: Instant
  #lastId: number
  #lastSeq: number
  #late = 0
  #closed = false
  #turnedAtMs: number
  /** Swept at opening, told by the first sweep. */
  #leftOpen: Entry[] = []

  /** @param path a file, or `:memory:` for tests. Throws StoreUnusable, with the file untouched. */
  constructor(path: string, options: SqliteOptions) {
    const { now, synchronous = 'normal', checkpointMs = 1000 } = options
    this.#now = now
    this.#turnedAtMs = now.monoMs
    this.#file = openFile(path, synchronous)
    const db = (this.db = this.#file.db)
    try {
      let levels = new Levels()
      const load = (rows: LevelRows) => (levels = new Levels((key) => rows.find(key, this.#now.monoMs)))
      this.#ledger = new Ledger(db, load, {
        openFrom: () => this.#open.oldest()?.id ?? this.#lastId + 1,
        notReserved: (rows) => this.#giveBack(rows),
        notAmended: (amendments, error) => this.#notAmended(amendments, error),
        amended: (amendments) => this.#amended(amendments),
      })
      this.#levels = levels
      // One look-up each: the condition is what lets the second use its index.
      const last = db
        .prepare(`SELECT (SELECT max(id) FROM entry) AS id,
        (SELECT max(settled_seq) FROM entry WHERE settled_seq IS NOT NULL) AS seq`)
        .get()
      // Ids that were given to calls whose rows could not be written are no row's, and still not given again.
      this.#lastId = Math.max(Number(last?.id ?? 0), this.#ledger.openFrom - 1)
      this.#lastSeq = Number(last?.seq ?? 0)
      this.#findIdempotent = prepareEntries(
        db,
        'WHERE idempotency_key = ? AND id >= ? AND reserved_at_ms >= ? ORDER BY id DESC LIMIT 1',
      )
      this.#countUnsaved()
      this.#settleLeftOpen()
    } catch (error) {
      this.#file.release()
      if (error instanceof StoreUnavailable) throw error
      throw new StoreUnusable(`${path} cannot be read: ${error}`, { cause: error })
    }
    this.#reader = path === ':memory:' ? new InlineReader(db) : new WorkerReader(path, checkpointMs)
  }

  get lateSettlements(): number {
    return this.#late
  }

  open(simulated: boolean): OpenTotals {
    return this.#open.totals(simulated)
  }

  async reserve(reservations: readonly Reservation[], now: Instant): Promise<readonly Admission[]> {
    this.#at(now)
    const rows: OpenRow[] = []
    const admissions = this.#takeAll(reservations, now, rows)
    if (rows.length > 0) await this.#ledger.reserved()
    throwFirst(rows)
    return admissions
  }

  #takeAll(reservations: readonly Reservation[], now: Instant, rows: OpenRow[]): Admission[] {
    try {
      return reservations.map((reservation) => this.#take(reservation, now, rows))
    } catch (error) {
      // A level could not be read, or an id is taken: nothing of this list is reserved.
      for (const row of rows) row.error = new StoreUnavailable('not reserved', { cause: error })
      this.#giveBack(rows)
      throw error
    }
  }

  #take(reservation: Reservation, now: Instant, rows: OpenRow[]): Admission {
    const { facts, expiresAtMs } = reservation
    if (this.#open.get(facts.callId)) throw new Error(`call ${facts.callId} is open already`)
    const { charges, short, overlooked } = this.#levels.take(reservation.charges, now)
    if (short.length > 0) return { admitted: false, short }
    const row: OpenRow = { id: this.#nextId(facts, now), facts, charges, expiresAtMs }
    this.#open.add(row)
    this.#ledger.reserve(row)
    rows.push(row)
    return { admitted: true, levels: this.#levels.view(reservation.charges, now), overlooked }
  }

  async amend(amendments: readonly Amendment[], now: Instant): Promise<readonly Admission[]> {
    this.#at(now)
    const made: Amending[] = []
    let answers: Admission[]
    try {
      answers = amendments.map((amendment) => this.#raise(amendment, now, made))
    } catch (error) {
      // A level could not be read: nothing of this list is amended.
      this.#notAmended(made, new StoreUnavailable('not amended', { cause: error }))
      throw error
    }
    if (made.length > 0) await this.#ledger.reserved()
    throwFirst(made)
    return answers.map((answer, index) =>
      answer.admitted ? { ...answer, levels: this.#levels.view(amendments[index]?.charges ?? [], now) } : answer,
    )
  }

  /** An amendment that comes while another of the same call waits to be written takes its place. */
  #raise(amendment: Amendment, now: Instant, made: Amending[]): Admission {
    const row = this.#open.get(amendment.facts.callId)
    if (!row) return { admitted: false, short: [] }
    const raised = this.#levels.raise(row.amending?.held ?? row.charges, amendment.charges, now)
    if (raised.short.length > 0) return { admitted: false, short: raised.short }
    const change = { to: { ...amended(row, amendment), charges: raised.charges }, held: raised.held, now }
    if (row.amending) Object.assign(row.amending, change)
    else this.#ledger.amend((row.amending = { row, ...change }))
    made.push(row.amending)
    return { admitted: true, levels: [], overlooked: raised.overlooked }
  }

  async settle(settlements: readonly Settlement[], now: Instant): Promise<readonly SettleResult[]> {
    this.#at(now)
    const results = settlements.map((settlement) => this.#settle(settlement, now))
    if (results.includes('settled')) await this.#ledger.written()
    return results
  }

  #settle({ callId, outcome, used, usedOn }: Settlement, now: Instant): SettleResult {
    const row = this.#open.remove(callId)
    if (row) this.#close(row, outcome, now, used, usedOn)
    else this.#late += 1
    return row ? 'settled' : 'late'
  }

  async append(records: readonly LedgerRecord[], now: Instant): Promise<void> {
    this.#at(now)
    let isWaiting = false
    for (const record of records) {
      if (record.kind === 'refusals') {
        this.#ledger.rollups.refuse(record.reason, record.count)
        continue
      }
      if (this.#ledger.full) throw new StoreUnavailable('the ledger cannot be written')
      if (this.#isKnown(record.facts.callId)) continue
      this.#levels.book(record.charges, record.used, now)
      const entry: Entry = { facts: record.facts, outcome: record.outcome, settledSeq: ++this.#lastSeq }
      this.#ledger.settle(this.#nextId(record.facts, now), entry, false)
      isWaiting = true
    }
    if (isWaiting) await this.#ledger.written()
  }

  async sweep(now: Instant): Promise<readonly Entry[]> {
    this.#at(now)
    this.#tidy(now)
    const swept = this.#leftOpen
    this.#leftOpen = []
    const expired = this.#open.expired(now)
    for (const row of expired) {
      this.#open.remove(row.facts.callId)
      swept.push(this.#close(row, expiredOutcome((row.amending?.to ?? row).facts, now.wallMs), now))
    }
    if (expired.length > 0) await this.#ledger.written()
    return swept
  }

  async levels(charges: readonly Charge[], now: Instant): Promise<readonly LevelView[]> {
    this.#at(now)
    return this.#levels.view(charges, now)
  }

  async seed(levels: readonly { readonly meter: Meter; readonly settled: bigint }[], now: Instant): Promise<void> {
    this.#at(now)
    for (const { meter, settled } of levels) this.#levels.seed(meter, settled, now)
    await this.#ledger.written()
  }

  async report({ simulated, key }: ReportQuery): Promise<Report> {
    this.#mustBeOpen()
    await this.#ledger.drain(key !== undefined)
    if (key === undefined) {
      this.#ledger.rollups.fold()
      return simulated ? this.#ledger.rollups.simulated : this.#ledger.rollups.real
    }
    const { days, minutes } = await this.#reader.ask({ ask: 'report', query: { simulated, key } })
    const report = new Report()
    for (const [day, tally] of days) report.days.set(day, tally)
    for (const [minute, tally] of minutes) report.minutes.set(minute, tally)
    return report
  }

  async entries(query: EntryQuery): Promise<readonly Entry[]> {
    this.#mustBeOpen()
    await this.#ledger.drain(false)
    return this.#reader.ask({ ask: 'entries', query })
  }

  async entry(callId: string): Promise<Entry | undefined> {
    this.#mustBeOpen()
    const row = this.#open.get(callId)
    if (row) return { facts: row.facts, outcome: null, settledSeq: null }
    await this.#ledger.drain(false)
    return this.#reader.ask({ ask: 'entry', callId })
  }

  async idempotent(keyHash: string, sinceMs: number): Promise<Entry | undefined> {
    this.#mustBeOpen()
    await this.#ledger.drain(false)
    const since = Math.max(0, sinceMs)
    const row = this.#findIdempotent.get(keyHash, Math.floor(since) * IDS_PER_MS, since)
    return row && entryOf(row)
  }

  async sums(query: SumQuery): Promise<ReadonlyMap<string, bigint>> {
    this.#mustBeOpen()
    await this.#ledger.drain(false)
    return this.#reader.ask({ ask: 'sums', query })
  }

  async close(_now: Instant): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#reader.close()
    await this.#ledger.drain(true)
    this.#ledger.stop()
    try {
      this.db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {
      // The log is whole without it, and read at the next start.
    }
    this.#file.release()
  }

  #at(now: Instant): void {
    this.#mustBeOpen()
    this.#now = now
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
  }

  /** Books a call that is open no more, as amended where that was under way. */
  #close(row: OpenRow, outcome: Outcome, now: Instant, used?: Used, usedOn?: Settlement['usedOn']): Entry {
    const { amending } = row
    const { facts, charges } = amending?.to ?? row
    if (amending) {
      row.amending = undefined
      this.#levels.lower(amending.held, charges, now)
    }
    this.#levels.settle(charges, used, now, usedOn)
    const entry: Entry = { facts, outcome, settledSeq: ++this.#lastSeq }
    this.#ledger.settle(row.id, entry, !this.#ledger.unreserve(row), amending !== undefined)
    return entry
  }

  #giveBack(rows: readonly OpenRow[]): void {
    for (const row of rows) {
      if (row.amending) this.#notAmended([row.amending], row.error ?? new StoreUnavailable('not reserved'))
      this.#open.remove(row.facts.callId)
      this.#levels.untake(row.charges, this.#now)
    }
  }

  #notAmended(amendments: readonly Amending[], error: Error): void {
    for (const amending of amendments) {
      if (amending.row.amending !== amending) continue
      const { row, held } = amending
      amending.error = error
      row.amending = undefined
      row.charges = this.#levels.lower(held, row.charges, this.#now).charges
    }
  }

  #amended(amendments: readonly Amending[]): void {
    for (const { row, to } of amendments) this.#open.replace({ ...to, id: row.id })
  }

  #isKnown(callId: string): boolean {
    if (this.#open.get(callId) || this.#ledger.hasWaiting(callId)) return true
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
    for (const row of rows.iterate(this.#ledger.rollups.countedSeq)) {
      this.#ledger.rollups.count(entryOf(row))
    }
  }

  #settleLeftOpen(): void {
    const now = this.#now
    for (const row of this.#ledger.leftOpen()) {
      const { facts } = entryOf(row)
      this.#levels.settle(chargesOfText(String(row.charges)), undefined, now)
      const entry: Entry = { facts, outcome: expiredOutcome(facts, now.wallMs), settledSeq: ++this.#lastSeq }
      this.#ledger.settle(Number(row.id), entry, true)
      this.#leftOpen.push(entry)
    }
    if (this.#ledger.flushAll() !== 'written') throw new StoreUnavailable('the ledger could not be written')
  }

  /** Forgets idle levels, and now and then a slice of what no call can ask for any more. */
  #tidy(now: Instant): void {
    if (now.monoMs - this.#turnedAtMs >= GENERATION_MS && this.#ledger.flush() === 'written') {
      this.#turnedAtMs = now.monoMs
      this.#levels.turnGeneration(now)
    }
    this.#ledger.prune(now)
  }
}

function throwFirst(failed: readonly { readonly error?: Error }[]): void {
  for (const { error } of failed) if (error) throw error
}
