// SQLite ledger reader: reads figures, entries and sums, after pending rows have been written. It changes no row.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Entry } from '../../core/ledger-entry.ts'
import { type OpenTotals, totalsOf } from '../../core/open-calls.ts'
import { Report } from '../../core/report.ts'
import type { CallQuery, EntryQuery, Figures, FiguresQuery, LedgerReader, MeteredCall, SumQuery } from '../store.ts'
import {
  type RecordPage,
  type RecordQuery,
  type RefusalCount,
  type RefusalQuery,
  type SumCheck,
  SumsNotReady,
  type UsageQuery,
  type UsageReport,
} from '../usage-query.ts'
import type { CallPage } from './call-pages.ts'
import { IDS_PER_MS } from './id-source.ts'
import type { LedgerState } from './ledger-state.ts'
import { findMark } from './marks.ts'
import { type KeyReport, readKeyReport } from './queries.ts'
import type { QueryRunner } from './query-runner.ts'
import { entryOf, prepareEntries } from './rows.ts'

/** How often a report is read in the worker before it is read in this thread. */
const MAX_WORKER_READS = 3

/** The reader of the SQLite ledger. Long reads run in a worker with a connection of its own. */
export class SqliteLedgerReader implements LedgerReader {
  readonly #db: DatabaseSync
  readonly #state: LedgerState
  readonly #queries: QueryRunner
  readonly #findIdempotent: StatementSync
  readonly #findAdjustments: StatementSync
  #lastCheckId = 0
  #checks = 0

  constructor(db: DatabaseSync, state: LedgerState, queries: QueryRunner) {
    this.#db = db
    this.#state = state
    this.#queries = queries
    this.#findAdjustments = prepareEntries(db, 'WHERE adjusts = ? ORDER BY settled_seq')
    this.#findIdempotent = prepareEntries(
      db,
      'WHERE idempotency_key = ? AND id >= ? AND reserved_at_ms >= ? ORDER BY id DESC LIMIT 1',
    )
  }

  async figures({ simulated, key }: FiguresQuery): Promise<Figures> {
    if (key !== undefined) return this.#keyFigures(simulated, key)
    const { writeQueue } = this.#state
    const { rollups } = writeQueue
    return writeQueue.flushAndRead(false, () => {
      rollups.fold()
      return this.#figuresOf((simulated ? rollups.simulated : rollups.real).copy(), this.#openTotals(simulated))
    })
  }

  /**
   * The sums of one key are read in the worker while calls go on settling. They agree with what was open if no sums were saved
   * meanwhile. Else they are read again, and in the end in this thread, where no call settles meanwhile.
   */
  async #keyFigures(simulated: boolean, key: string): Promise<Figures> {
    const { writeQueue } = this.#state
    for (let read = 0; read < MAX_WORKER_READS; read++) {
      const before = await writeQueue.flushAndRead(true, () => ({
        open: this.#openTotals(simulated, key),
        countedSeq: findMark(this.#db, 'rolled_up_seq'),
      }))
      const report = await this.#queries.run({ kind: 'keyReport', key, simulated })
      if (report.countedSeq === before.countedSeq) return this.#figuresOf(reportOf(report), before.open)
    }
    return writeQueue.flushAndRead(true, () =>
      this.#figuresOf(reportOf(readKeyReport(this.#db, key, simulated)), this.#openTotals(simulated, key)),
    )
  }

  async entries(query: EntryQuery): Promise<readonly Entry[]> {
    await this.#written()
    return this.#queries.run({ kind: 'entries', query })
  }

  async entry(callId: string): Promise<Entry | undefined> {
    const row = this.#state.openCalls.get(callId)
    if (row) return { facts: row.facts, outcome: null, settledSeq: null }
    await this.#written()
    return this.#queries.run({ kind: 'entry', callId })
  }

  async adjustments(callId: string): Promise<readonly Entry[]> {
    await this.#written()
    return this.#findAdjustments.all(callId).map(entryOf)
  }

  async idempotentEntry(keyHash: string, sinceMs: number): Promise<Entry | undefined> {
    await this.#written()
    const since = Math.max(0, sinceMs)
    const row = this.#findIdempotent.get(keyHash, Math.floor(since) * IDS_PER_MS, since)
    return row && entryOf(row)
  }

  async sums(query: SumQuery): Promise<ReadonlyMap<string, bigint>> {
    await this.#written()
    return this.#queries.run({ kind: 'sums', query })
  }

  /** The next page is read in the worker while this one is used. */
  async *callPages(query: CallQuery): AsyncGenerator<readonly MeteredCall[]> {
    await this.#written()
    let reading = this.#readCalls(query, 0)
    for (;;) {
      const { calls, lastId } = await reading
      if (lastId !== null) {
        reading = this.#readCalls(query, lastId)
        // If the loop ends early, nobody waits for this page.
        reading.catch(() => {})
      }
      if (calls.length > 0) yield calls
      if (lastId === null) return
    }
  }

  async usage(query: UsageQuery): Promise<UsageReport> {
    await this.#written()
    return this.#queries.run({ kind: 'usage', query })
  }

  async records(query: RecordQuery): Promise<RecordPage> {
    await this.#written()
    return this.#queries.run({ kind: 'records', query })
  }

  async refusalCounts(query: RefusalQuery): Promise<readonly RefusalCount[]> {
    await this.#state.writeQueue.flushAndRead(true, () => {})
    return this.#queries.run({ kind: 'refusalCounts', query })
  }

  async selfCheck(signal?: AbortSignal): Promise<readonly SumCheck[]> {
    await this.#state.writeQueue.flushAndRead(true, () => {})
    const id = ++this.#lastCheckId
    this.#checks += 1
    try {
      for (;;) {
        signal?.throwIfAborted()
        const checks = await this.#queries.run({ kind: 'selfCheckStep', id })
        if (checks) return checks
      }
    } finally {
      this.#checks -= 1
    }
  }

  /** While sums are compared with rows, none of both may be deleted. */
  get isChecking(): boolean {
    return this.#checks > 0
  }

  /** The last `settledSeq` in the kept sums, which survives any crash; 0 if they are being built. */
  async securedSeq(): Promise<number> {
    await this.#state.writeQueue.flushAndRead(true, () => {})
    try {
      return await this.#queries.run({ kind: 'secureSums' })
    } catch (error) {
      if (error instanceof SumsNotReady) return 0
      throw error
    }
  }

  #readCalls(query: CallQuery, afterId: number): Promise<CallPage> {
    return this.#queries.run({ kind: 'calls', query: { ...query, afterId } })
  }

  #written(): Promise<void> {
    return this.#state.writeQueue.flushAndRead(false, () => {})
  }

  #figuresOf(report: Report, open: OpenTotals): Figures {
    return { report, open, lateSettlements: this.#state.lateSettlements }
  }

  /** Settlements that could not be written yet are in no report: they count as open. */
  #openTotals(simulated: boolean, key?: string): OpenTotals {
    const { openCalls, writeQueue } = this.#state
    const open = openCalls.totals(simulated, key)
    const unwritten = totalsOf(
      writeQueue.unwrittenEntries.flatMap(({ facts, adjustment }) => (adjustment ? [] : [facts])),
      simulated,
      key,
    )
    return {
      calls: open.calls + unwritten.calls,
      tokens: open.tokens + unwritten.tokens,
      costNanoUsd: open.costNanoUsd + unwritten.costNanoUsd,
    }
  }
}

function reportOf({ days, minutes }: KeyReport): Report {
  const report = new Report()
  for (const [day, tally] of days) report.days.set(day, tally)
  for (const [minute, tally] of minutes) report.minutes.set(minute, tally)
  return report
}
