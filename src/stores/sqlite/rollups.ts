// Rollups: sums by day and minute, of all calls and of each key. They grow with the ledger and outlive a restart.

import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'
import type { Entry } from '../../core/ledger-entry.ts'
import { NO_SUBJECT } from '../../core/limits.ts'
import { MAX_NANO_USD, saturateNanoUsd } from '../../core/money.ts'
import { addEntry, addTally, minuteOf, newTally, Report, type Tally } from '../../core/report.ts'
import { totalTokens } from '../../core/usage.ts'
import type { RefusedCalls } from '../store.ts'
import { QUARTER_MS } from '../usage-query.ts'
import { findMark, prepareSaveMark } from './marks.ts'
import { toBigint } from './rows.ts'
import { COMMON_COLUMNS, RARE_COLUMN, RARE_SUM_SQL, serializeRareUsage, usageOfRow } from './usage-columns.ts'

const RETENTION_MINUTES = 120
const COST_COLUMN = 'cost_nano_usd'

/** Columns of sums beside usage, and the figure of a tally in each. */
const TALLY_COLUMNS: readonly { readonly column: string; readonly figureOf: (tally: Tally) => SQLInputValue }[] = [
  { column: 'requests', figureOf: (tally) => tally.requests },
  { column: COST_COLUMN, figureOf: (tally) => saturateNanoUsd(tally.costNanoUsd) },
  { column: 'exact', figureOf: (tally) => tally.exact },
  { column: 'estimated', figureOf: (tally) => tally.estimated },
  { column: 'upper_bound', figureOf: (tally) => tally.upperBound },
  ...COMMON_COLUMNS.map(({ name, column }) => ({ column, figureOf: (tally: Tally) => tally.usage[name] })),
]

/** Adds a column of a row that is being inserted (`excluded`). Cost stops at zero and at the largest amount: a larger sum would be inexact. */
function sumSql(column: string): string {
  const sum = `${column} + excluded.${column}`
  if (column !== COST_COLUMN) return sum
  const isTooLarge = `excluded.${column} > 0 AND ${column} > ${MAX_NANO_USD} - excluded.${column}`
  return `CASE WHEN ${isTooLarge} THEN ${MAX_NANO_USD} ELSE max(0, ${sum}) END`
}

/** What a row has grown by since the last save. */
interface RollupDelta {
  readonly span: 'day' | 'minute'
  readonly key: string
  readonly simulated: boolean
  readonly id: string | number
  readonly tally: Tally
}

/** Calls of one day and minute, by key. A call is added here alone; `fold` adds up the four rows it belongs to. */
interface MinuteTallies {
  readonly day: string
  readonly minute: number
  readonly simulated: boolean
  readonly byKey: Map<string, Tally>
}

/** Refused calls since the last save, and the key of their row. */
interface RefusedDelta {
  readonly place: readonly [simulated: number, quarter: number, name: string, key: string, shadow: number]
  readonly count: number
}

/**
 * Sums of settled calls. They are saved less often than entries, together with the last `settledSeq` they include. After a crash,
 * later entries are counted again from the ledger, so that no call is missed or counted twice.
 */
export class Rollups {
  readonly real: Report
  readonly simulated: Report
  readonly #db: DatabaseSync
  readonly #save: StatementSync
  readonly #saveRefusal: StatementSync
  readonly #saveRefused: StatementSync
  readonly #saveMark: StatementSync
  #unfolded: MinuteTallies[] = []
  #unfoldedSize = 0
  readonly #deltas = new Map<string, RollupDelta>()
  readonly #refusals = new Map<string, number>()
  readonly #refused = new Map<string, RefusedDelta>()
  #countedSeq: number
  #savedSeq: number

  constructor(db: DatabaseSync) {
    this.#db = db
    this.real = readReport(db, '', false)
    this.simulated = readReport(db, '', true)
    const sums = TALLY_COLUMNS.map(({ column }) => column)
    this.#save = db.prepare(`INSERT INTO rollup (span, key, simulated, id, ${sums}, ${RARE_COLUMN})
      VALUES (?, ?, ?, ?, ${sums.map(() => '?')}, ?)
      ON CONFLICT DO UPDATE SET ${sums.map((column) => `${column} = ${sumSql(column)}`)},
        ${RARE_COLUMN} = ${RARE_SUM_SQL}`)
    this.#saveRefusal = db.prepare(`INSERT INTO refusal VALUES (?, ?)
      ON CONFLICT DO UPDATE SET count = count + excluded.count`)
    this.#saveRefused = db.prepare(`INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET count = count + excluded.count`)
    this.#saveMark = prepareSaveMark(db, 'rolled_up_seq')
    this.#countedSeq = this.#savedSeq = findMark(db, 'rolled_up_seq')
  }

  /** The last `settledSeq` that is counted. */
  get countedSeq(): number {
    return this.#countedSeq
  }

  /** Roughly how many rows the next save writes. */
  get size(): number {
    return this.#unfoldedSize + this.#deltas.size
  }

  get hasUnsaved(): boolean {
    return this.#savedSeq < this.#countedSeq || this.#refusals.size > 0 || this.#refused.size > 0
  }

  /** Adds an entry whose row is committed. Entries come in the order of `settledSeq`. */
  countEntry(entry: Entry): void {
    const { day, reservedAtMs, caller, simulated } = entry.facts
    const minute = minuteOf(reservedAtMs)
    let tallies = this.#unfolded.find(
      (known) => known.minute === minute && known.day === day && known.simulated === simulated,
    )
    if (!tallies) this.#unfolded.push((tallies = { day, minute, simulated, byKey: new Map() }))
    const key = caller.key ?? NO_SUBJECT
    let tally = tallies.byKey.get(key)
    if (!tally) {
      tallies.byKey.set(key, (tally = newTally()))
      this.#unfoldedSize += 2
    }
    addEntry(tally, entry)
    this.#countedSeq = entry.settledSeq ?? this.#countedSeq
  }

  addRefusals(reason: string, count: number, refused?: RefusedCalls): void {
    if (refused) this.#addRefused(reason, count, refused)
    if (refused?.isShadow) return
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + count)
    this.real.addRefusals(reason, count)
    this.simulated.addRefusals(reason, count)
  }

  #addRefused(name: string, count: number, { key, atMs, simulated, isShadow }: RefusedCalls): void {
    const place = [simulated ? 1 : 0, Math.floor(atMs / QUARTER_MS), name, key ?? '', isShadow ? 1 : 0] as const
    const id = JSON.stringify(place)
    this.#refused.set(id, { place, count: (this.#refused.get(id)?.count ?? 0) + count })
  }

  /** Adds what was counted since the last time to the reports. */
  fold(): void {
    for (const { day, minute, simulated, byKey } of this.#unfolded) {
      const sum = newTally()
      for (const [key, tally] of byKey) {
        addTally(sum, tally)
        this.#addDelta({ span: 'day', id: day, key, simulated, tally })
        this.#addDelta({ span: 'minute', id: minute, key, simulated, tally })
      }
      this.#addDelta({ span: 'day', id: day, key: '', simulated, tally: sum })
      this.#addDelta({ span: 'minute', id: minute, key: '', simulated, tally: sum })
      const report = simulated ? this.simulated : this.real
      report.addSum(day, minute, sum)
    }
    this.#unfolded = []
    this.#unfoldedSize = 0
  }

  /** Writes inside a transaction of the caller. Call `markSaved` once it is committed, before another entry is counted. */
  save(): void {
    this.fold()
    for (const { span, key, simulated, id, tally } of this.#deltas.values()) {
      const sums = TALLY_COLUMNS.map(({ figureOf }) => figureOf(tally))
      this.#save.get(span, key, simulated ? 1 : 0, id, ...sums, serializeRareUsage(tally.usage))
    }
    for (const [reason, count] of this.#refusals) this.#saveRefusal.get(reason, count)
    for (const { place, count } of this.#refused.values()) this.#saveRefused.get(...place, count)
    this.#saveMark.get(this.#countedSeq)
  }

  markSaved(): void {
    this.#deltas.clear()
    this.#refusals.clear()
    this.#refused.clear()
    this.#savedSeq = this.#countedSeq
  }

  /** Deletes minutes that no recent hour includes. */
  prune(wallMs: number): void {
    const before = minuteOf(wallMs) - RETENTION_MINUTES
    this.#db.prepare("DELETE FROM rollup WHERE span = 'minute' AND id < ?").run(before)
  }

  #addDelta(delta: RollupDelta): void {
    const name = `${delta.span}/${delta.simulated}/${delta.id}/${delta.key}`
    const known = this.#deltas.get(name)
    if (known) addTally(known.tally, delta.tally)
    else this.#deltas.set(name, { ...delta, tally: addTally(newTally(), delta.tally) })
  }
}

/** The saved sums of a key, or of all calls if `key` is `''`. Refusals are not known by key, so only the latter has them. */
export function readReport(db: DatabaseSync, key: string, simulated: boolean): Report {
  const report = new Report()
  const rows = db.prepare('SELECT * FROM rollup WHERE span = ? AND key = ? AND simulated = ? ORDER BY id')
  rows.setReadBigInts(true)
  const flag = simulated ? 1 : 0
  for (const row of rows.iterate('day', key, flag)) report.days.set(String(row.id), tallyOf(row))
  for (const row of rows.iterate('minute', key, flag)) report.minutes.set(Number(row.id), tallyOf(row))
  if (key !== '') return report
  for (const row of db.prepare('SELECT reason, count FROM refusal').iterate()) {
    report.addRefusals(String(row.reason), Number(row.count))
  }
  return report
}

function tallyOf(row: Record<string, SQLOutputValue>): Tally {
  const usage = usageOfRow(row)
  return {
    requests: Number(row.requests),
    tokens: totalTokens(usage),
    costNanoUsd: toBigint(row.cost_nano_usd),
    usage,
    exact: Number(row.exact),
    estimated: Number(row.estimated),
    upperBound: Number(row.upper_bound),
  }
}
