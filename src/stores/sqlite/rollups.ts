// Rollups: sums by day and minute, of all calls and of each key, that grow with the ledger and outlive a restart.

import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import type { Entry } from '../../core/ledger-entry.ts'
import { NO_SUBJECT } from '../../core/limits.ts'
import { addEntry, addTally, minuteOf, newTally, Report, type Tally } from '../../core/report.ts'
import { TOKEN_CLASSES, type TokenClass } from '../../core/usage.ts'
import { findMark, prepareSaveMark } from './marks.ts'
import { clampInt64 } from './rows.ts'

const RETENTION_MINUTES = 120

const COLUMN_OF: Readonly<Record<TokenClass, string>> = {
  input: 'input_tokens',
  cacheRead: 'cache_read_tokens',
  cacheWrite5m: 'cache_write_5m_tokens',
  cacheWrite1h: 'cache_write_1h_tokens',
  output: 'output_tokens',
  audioInput: 'audio_input_tokens',
  audioCacheRead: 'audio_cache_read_tokens',
  audioOutput: 'audio_output_tokens',
  imageInput: 'image_input_tokens',
  imageOutput: 'image_output_tokens',
}

/** Adds up what its tallies counted, in SQL. */
export const TOKENS_SUM_SQL = Object.values(COLUMN_OF).join(' + ')

/** One row's growth since the last save. */
interface RollupDelta {
  readonly span: 'day' | 'minute'
  readonly key: string
  readonly simulated: boolean
  readonly id: string | number
  readonly tally: Tally
}

/** Calls of one day and minute, by key: what a call is added to. The four rows it belongs to are made of this. */
interface MinuteTallies {
  readonly day: string
  readonly minute: number
  readonly simulated: boolean
  readonly byKey: Map<string, Tally>
}

/**
 * What was counted since the last save. Saved less often than entries, with the `settledSeq` it has counted up to: what a
 * dying process had not saved is counted again from the ledger, so that nothing is missed or counted twice.
 */
export class Rollups {
  readonly real: Report
  readonly simulated: Report
  readonly #db: DatabaseSync
  readonly #save: StatementSync
  readonly #saveRefusal: StatementSync
  readonly #saveMark: StatementSync
  #unfolded: MinuteTallies[] = []
  #unfoldedSize = 0
  readonly #deltas = new Map<string, RollupDelta>()
  readonly #refusals = new Map<string, number>()
  #countedSeq: number
  #savedSeq: number

  constructor(db: DatabaseSync) {
    this.#db = db
    this.real = readReport(db, '', false)
    this.simulated = readReport(db, '', true)
    const sums = ['requests', 'cost_nano_usd', 'exact', 'estimated', 'upper_bound', ...Object.values(COLUMN_OF)]
    this.#save = db.prepare(`INSERT INTO rollup (span, key, simulated, id, ${sums.join(', ')})
      VALUES (?, ?, ?, ?, ${sums.map(() => '?').join(', ')})
      ON CONFLICT DO UPDATE SET ${sums.map((name) => `${name} = ${name} + excluded.${name}`).join(', ')}`)
    this.#saveRefusal = db.prepare(`INSERT INTO refusal VALUES (?, ?)
      ON CONFLICT DO UPDATE SET count = count + excluded.count`)
    this.#saveMark = prepareSaveMark(db, 'rolled_up_seq')
    this.#countedSeq = this.#savedSeq = findMark(db, 'rolled_up_seq')
  }

  /** Entries up to this one are counted. */
  get countedSeq(): number {
    return this.#countedSeq
  }

  /** Roughly how many rows the next save writes. */
  get size(): number {
    return this.#unfoldedSize + this.#deltas.size
  }

  get hasUnsaved(): boolean {
    return this.#savedSeq < this.#countedSeq || this.#refusals.size > 0
  }

  /** Only entries whose row is committed, in the order of `settledSeq`. */
  countEntry(entry: Entry): void {
    const { day, reservedAtMs, caller, simulated } = entry.facts
    const minute = minuteOf(reservedAtMs)
    let fresh = this.#unfolded.find(
      (some) => some.minute === minute && some.day === day && some.simulated === simulated,
    )
    if (!fresh) this.#unfolded.push((fresh = { day, minute, simulated, byKey: new Map() }))
    const key = caller.key ?? NO_SUBJECT
    let tally = fresh.byKey.get(key)
    if (!tally) {
      fresh.byKey.set(key, (tally = newTally()))
      this.#unfoldedSize += 2
    }
    addEntry(tally, entry)
    this.#countedSeq = entry.settledSeq ?? this.#countedSeq
  }

  addRefusals(reason: string, count: number): void {
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + count)
    this.real.addRefusals(reason, count)
    this.simulated.addRefusals(reason, count)
  }

  /** Brings the reports up to what was counted. */
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

  /** Inside a transaction. Call `saved` once it is committed, before anything else is counted. */
  save(): void {
    this.fold()
    for (const { span, key, simulated, id, tally } of this.#deltas.values()) {
      const tokens = TOKEN_CLASSES.map((name) => tally.tokensByClass[name])
      const { requests, costNanoUsd, exact, estimated, upperBound } = tally
      const flag = simulated ? 1 : 0
      this.#save.get(span, key, flag, id, requests, clampInt64(costNanoUsd), exact, estimated, upperBound, ...tokens)
    }
    for (const [reason, count] of this.#refusals) this.#saveRefusal.get(reason, count)
    this.#saveMark.get(this.#countedSeq)
  }

  markSaved(): void {
    this.#deltas.clear()
    this.#refusals.clear()
    this.#savedSeq = this.#countedSeq
  }

  /** Drops minutes that no recent hour needs. */
  prune(wallMs: number): void {
    const before = minuteOf(wallMs) - RETENTION_MINUTES
    this.#db.prepare("DELETE FROM rollup WHERE span = 'minute' AND id < ?").run(before)
  }

  #addDelta(growth: RollupDelta): void {
    const name = `${growth.span}/${growth.simulated}/${growth.id}/${growth.key}`
    const delta = this.#deltas.get(name)
    if (delta) addTally(delta.tally, growth.tally)
    else this.#deltas.set(name, { ...growth, tally: addTally(newTally(), growth.tally) })
  }
}

/** What was saved, of one key or (`''`) of all; refusals are not known by key. */
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
  const tally = newTally()
  for (const name of TOKEN_CLASSES) {
    const count = Number(row[COLUMN_OF[name]])
    tally.tokensByClass[name] = count
    tally.tokens += count
  }
  tally.requests = Number(row.requests)
  tally.costNanoUsd = BigInt(row.cost_nano_usd as bigint | number)
  tally.exact = Number(row.exact)
  tally.estimated = Number(row.estimated)
  tally.upperBound = Number(row.upper_bound)
  return tally
}
