// Pruner: deletes rows of settled calls, and keeps their sums by subject. The sums of reports stand elsewhere and are not touched.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { MAX_NANO_USD } from '../../core/money.ts'
import { IDS_PER_MS } from './id-source.ts'
import { findMark, prepareSaveMark } from './marks.ts'
import { FIGURE_SQL, SUBJECT_SQL } from './subject-sql.ts'

/** Rows deleted in one turn of the event loop, in a few milliseconds. */
const ROWS_PER_TURN = 100

/** Beside each kind of subject: all calls that have a user, a thread or a task. */
const GROUPS: readonly (readonly [who: string, subjectSql: string, condition: string])[] = [
  ...Object.entries(SUBJECT_SQL).map(([who, sql]) => [who, sql, '1'] as const),
  ...['user', 'thread', 'task'].map((name) => [`with_${name}`, "''", `coalesce(${name}, '') <> ''`] as const),
]

const COST_SQL = `CASE WHEN excluded.cost_nano_usd > 0 AND cost_nano_usd > ${MAX_NANO_USD} - excluded.cost_nano_usd
  THEN ${MAX_NANO_USD} ELSE cost_nano_usd + excluded.cost_nano_usd END`
/** A few hundred costs that are absurd together leave 64 bits, which SQLite refuses to sum. */
const SUMMED_COST_SQL = `CASE WHEN total(cost_nano_usd) > ${MAX_NANO_USD / 2n} THEN ${MAX_NANO_USD / 2n}
  ELSE CAST(sum(cost_nano_usd / 1000000000) AS INTEGER) * 1000000000 + sum(cost_nano_usd % 1000000000) END`

export class Pruner {
  readonly #db: DatabaseSync
  readonly #find: StatementSync
  readonly #keep: readonly StatementSync[]
  readonly #delete: StatementSync
  readonly #saveMark: StatementSync

  constructor(db: DatabaseSync) {
    this.#db = db
    // By the index on settled_seq each statement would read all rows of the ledger. The id is no index to SQLite.
    const entries = 'entry NOT INDEXED'
    const chosen = 'id <= ? AND settled_seq <= ?'
    this.#find = db.prepare(`SELECT max(id) AS id, max(settled_seq) AS seq, count(*) AS count FROM
      (SELECT id, settled_seq FROM ${entries} WHERE ${chosen} ORDER BY id LIMIT ${ROWS_PER_TURN})`)
    this.#keep = GROUPS.map(([who, subject, condition]) =>
      db.prepare(`INSERT INTO pruned SELECT '${who}', ${subject}, simulated, sum(${FIGURE_SQL.requests}),
        sum(iif(adjusts IS NULL, ${FIGURE_SQL.tokens}, 0)), ${SUMMED_COST_SQL} FROM ${entries} WHERE ${chosen} AND ${condition}
        GROUP BY 2, 3 ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
        tokens = tokens + excluded.tokens, cost_nano_usd = ${COST_SQL}`),
    )
    this.#delete = db.prepare(`DELETE FROM ${entries} WHERE ${chosen}`)
    this.#saveMark = prepareSaveMark(db, 'pruned_seq')
  }

  /**
   * Deletes the oldest rows of calls that were reserved before `beforeMs`, in one transaction. Returns how many. Throws the error of
   * SQLite if the file is busy or full: nothing is deleted then.
   * @param maxSeq rows with a larger `settledSeq` are not in all sums yet
   */
  prune(beforeMs: number, maxSeq: number): number {
    const found = this.#find.get(Math.floor(beforeMs) * IDS_PER_MS - 1, maxSeq)
    const [lastId, lastSeq, count] = [Number(found?.id ?? 0), Number(found?.seq ?? 0), Number(found?.count ?? 0)]
    if (count === 0) return 0
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      for (const statement of this.#keep) statement.get(lastId, maxSeq)
      this.#delete.get(lastId, maxSeq)
      this.#saveMark.get(Math.max(lastSeq, findMark(this.#db, 'pruned_seq')))
      this.#db.exec('COMMIT')
      return count
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }
}
