// Kept sums: the sums of a ledger in a file of their own, which follows the ledger. Runs where long reads run, off the path of calls.

import { DatabaseSync } from 'node:sqlite'
import {
  type RecordPage,
  type RecordQuery,
  type SumCheck,
  SumsNotReady,
  type UsageQuery,
  type UsageReport,
} from '../../usage-query.ts'
import { withSeries } from '../../usage-series.ts'
import { Names } from './names.ts'
import { RecordReader } from './record-reader.ts'
import { RecordRows } from './record-rows.ts'
import { ROWS_PER_PAGE } from './row-reader.ts'
import { SelfCheck } from './self-check.ts'
import { SumBuilder } from './sum-builder.ts'
import { openSums } from './sums-file.ts'
import { UsageReader } from './usage-reader.ts'

/** A query waits until so many entries are counted, some 200 ms. If more are missing, it is rejected. */
const MAX_AWAITED_ENTRIES = 30_000

export class KeptSums {
  readonly #ledger: DatabaseSync
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #builder: SumBuilder
  readonly #usage: UsageReader
  readonly #records: RecordReader
  #check: { readonly id: number; readonly check: SelfCheck; readonly snapshot: { close(): void } } | undefined

  /**
   * @param ledger a connection that reads the ledger
   * @param path of the file of sums, which is made if need be, or `:memory:`
   * @param onSumsLost called if sums begin anew without the rows that retention deleted
   */
  constructor(ledger: DatabaseSync, path: string, onSumsLost: () => void = () => {}) {
    this.#ledger = ledger
    this.#path = path
    this.#db = openSums(path, ledger, onSumsLost)
    const names = new Names(this.#db)
    const rows = new RecordRows(ledger)
    this.#builder = new SumBuilder(ledger, this.#db, names)
    this.#usage = new UsageReader(this.#db, names, rows)
    this.#records = new RecordReader(this.#db, names, rows)
  }

  /** How many settled entries are not counted yet. */
  get missing(): number {
    const last = this.#ledger.prepare('SELECT max(settled_seq) AS seq FROM entry WHERE settled_seq IS NOT NULL').get()
    return Math.max(0, Number(last?.seq ?? 0) - this.#builder.countedSeq)
  }

  /** The last `settledSeq` that is in the sums. */
  get countedSeq(): number {
    return this.#builder.countedSeq
  }

  /** Counts a page of entries. Returns false if none are left. */
  follow(maxCalls = ROWS_PER_PAGE): boolean {
    return this.#builder.count(maxCalls) === maxCalls
  }

  /** Sums with every entry that is in the ledger. Throws SumsNotReady if too many are missing. */
  usage(query: UsageQuery): UsageReport {
    this.#catchUp()
    return withSeries(query, (plain) => this.#usage.usage(plain))
  }

  /** Records with every entry that is in the ledger. Throws SumsNotReady if too many are missing, and RangeError for a wrong cursor. */
  records(query: RecordQuery): RecordPage {
    this.#catchUp()
    return this.#records.records(query)
  }

  /**
   * A step of a comparison of all sums with the rows; undefined as long as further steps are needed. Another `id` begins anew.
   * Throws SumsNotReady.
   */
  selfCheckStep(id: number): readonly SumCheck[] | undefined {
    if (this.#check?.id !== id) {
      this.#check?.snapshot.close()
      this.#check = undefined
      this.#catchUp()
      const { snapshot, close } = this.#snapshot()
      const check = new SelfCheck({ ledger: this.#ledger, snapshot, countedSeq: this.countedSeq })
      this.#check = { id, check, snapshot: { close } }
    }
    const { check, snapshot } = this.#check
    let result = check.step()
    // Sums in memory have no snapshot: nothing may happen between the steps.
    while (!result && this.#path === ':memory:') result = check.step()
    if (!result) return undefined
    snapshot.close()
    this.#check = undefined
    return result
  }

  /** The sums as they are now. */
  #snapshot(): { readonly snapshot: DatabaseSync; readonly close: () => void } {
    if (this.#path === ':memory:') return { snapshot: this.#db, close() {} }
    const snapshot = new DatabaseSync(this.#path, { readOnly: true })
    snapshot.exec('BEGIN')
    snapshot.prepare('SELECT seq FROM counted').get()
    return { snapshot, close: () => snapshot.close() }
  }

  /** Moves the log into the file, so that what is counted stays counted, whatever happens to the machine. Returns the last `settledSeq`. Throws SumsNotReady. */
  secure(): number {
    this.#catchUp()
    this.#db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
    return this.#builder.countedSeq
  }

  close(): void {
    this.#check?.snapshot.close()
    this.#db.close()
  }

  #catchUp(): void {
    const { missing } = this
    if (missing > MAX_AWAITED_ENTRIES) throw new SumsNotReady(this.countedSeq, this.countedSeq + missing)
    while (this.follow());
  }
}
