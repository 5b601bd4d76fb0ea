// Rollups: sums by day and minute, of all calls and of each key, that grow with the ledger and outlive a restart.

import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import type { Entry } from '../core/entry.ts'
import { NO_SUBJECT } from '../core/limits.ts'
import { addEntry, minuteOf, newTally, Report, type Tally } from '../core/report.ts'
import { TOKEN_CLASSES, type TokenClass } from '../core/usage.ts'
import { int64 } from './sqlite-rows.ts'

const KEPT_MINUTES = 120

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
export const TOKENS_SUM = Object.values(COLUMN_OF).join(' + ')

type Span = 'day' | 'minute'

interface Delta {
  readonly span: Span
  readonly key: string
  readonly simulated: boolean
  readonly id: string | number
  readonly tally: Tally
}

/**
 * What was counted since the last save. Saved less often than entries, with the `settledSeq` it has counted up to: what a
 * dying process had not saved is counted again from the ledger, so that nothing is missed or counted twice.
 */
export class Rollups {
  readonly #db: DatabaseSync
  readonly #save: StatementSync
  readonly #saveRefusal: StatementSync
  readonly #saveMark: StatementSync
  readonly #deltas = new Map<string, Delta>()
  readonly #refusals = new Map<string, number>()
  #countedSeq: number
  #savedSeq: number

  constructor(db: DatabaseSync) {
    this.#db = db
    const sums = ['requests', 'cost_nano_usd', 'exact', 'estimated', 'upper_bound', ...Object.values(COLUMN_OF)]
    this.#save = db.prepare(`INSERT INTO rollup (span, key, simulated, id, ${sums.join(', ')})
      VALUES (?, ?, ?, ?, ${sums.map(() => '?').join(', ')})
      ON CONFLICT DO UPDATE SET ${sums.map((name) => `${name} = ${name} + excluded.${name}`).join(', ')}`)
    this.#saveRefusal = db.prepare(`INSERT INTO refusal VALUES (?, ?)
      ON CONFLICT DO UPDATE SET count = count + excluded.count`)
    this.#saveMark = db.prepare(`INSERT INTO mark VALUES ('rolled_up_seq', ?)
      ON CONFLICT DO UPDATE SET value = excluded.value`)
    const mark = db.prepare("SELECT value FROM mark WHERE name = 'rolled_up_seq'").get()
    this.#countedSeq = this.#savedSeq = Number(mark?.value ?? 0)
  }

  /** Entries up to this one are counted. */
  get countedSeq(): number {
    return this.#countedSeq
  }

  get size(): number {
    return this.#deltas.size
  }

  get unsaved(): boolean {
    return this.#savedSeq < this.#countedSeq || this.#refusals.size > 0
  }

  /** Only entries whose row is committed, in the order of `settledSeq`. */
  count(entry: Entry): void {
    const { day, reservedAtMs, caller } = entry.facts
    const key = caller.key ?? NO_SUBJECT
    this.#add('day', day, '', entry)
    this.#add('day', day, key, entry)
    this.#add('minute', minuteOf(reservedAtMs), '', entry)
    this.#add('minute', minuteOf(reservedAtMs), key, entry)
    this.#countedSeq = entry.settledSeq ?? this.#countedSeq
  }

  refuse(reason: string, count: number): void {
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + count)
  }

  /** Inside a transaction. Call `saved` once it is committed, before anything else is counted. */
  save(): void {
    for (const { span, key, simulated, id, tally } of this.#deltas.values()) {
      const tokens = TOKEN_CLASSES.map((name) => tally.tokensByClass[name])
      const { requests, costNanoUsd, exact, estimated, upperBound } = tally
      const flag = simulated ? 1 : 0
      this.#save.run(span, key, flag, id, requests, int64(costNanoUsd), exact, estimated, upperBound, ...tokens)
    }
    for (const [reason, count] of this.#refusals) this.#saveRefusal.run(reason, count)
    this.#saveMark.run(this.#countedSeq)
  }

  saved(): void {
    this.#deltas.clear()
    this.#refusals.clear()
    this.#savedSeq = this.#countedSeq
  }

  /** Drops minutes that no recent hour needs. */
  prune(wallMs: number): void {
    const before = minuteOf(wallMs) - KEPT_MINUTES
    this.#db.prepare("DELETE FROM rollup WHERE span = 'minute' AND id < ?").run(before)
  }

  #add(span: Span, id: string | number, key: string, entry: Entry): void {
    const { simulated } = entry.facts
    const name = `${span}/${simulated}/${id}/${key}`
    let delta = this.#deltas.get(name)
    if (!delta) this.#deltas.set(name, (delta = { span, key, simulated, id, tally: newTally() }))
    addEntry(delta.tally, entry)
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
    report.refuse(String(row.reason), Number(row.count))
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
