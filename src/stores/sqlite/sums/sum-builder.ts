// Sum builder: counts settled calls of the ledger into the file of kept sums, each once, in the order of their settlements.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { addUsageSum, newUsageSum, type UsageSum } from '../../../core/usage-sum.ts'
import { addCallTo } from './add-call.ts'
import type { Names } from './names.ts'
import { CallPacker } from './packed-calls.ts'
import { type CountedCall, RowReader } from './row-reader.ts'
import { SumWriter, WEEKS_SQL } from './sum-rows.ts'
import { ALL_CALLS, COARSE_DIMENSIONS, DAY, FINE_DIMENSIONS, QUARTER, WEEK } from './sum-spans.ts'

/** The subjects whose calls are packed. `key` has every call; the others have those with such a name. */
export const CALL_KINDS = ['key', 'user', 'thread', 'task'] as const
export type CallKind = (typeof CALL_KINDS)[number]

/** The number of a kind in the file. */
export function numberOf(kind: CallKind): number {
  return CALL_KINDS.indexOf(kind)
}

/** A subject with so many calls in one transaction gets a part of its own, so that no blob that grows becomes large. */
const MIN_PART_CALLS = 64

/** Days whose calls are moved in one transaction. */
const MAX_DAYS_PER_STEP = 3

/** Sums by the beginning of their span, dimension and value. */
type SumsByPlace = Map<number, Map<string, Map<string, UsageSum>>>

export class SumBuilder {
  readonly #db: DatabaseSync
  readonly #names: Names
  readonly #rows: RowReader
  readonly #writer: SumWriter
  readonly #packer = new CallPacker()
  readonly #appendCalls: StatementSync
  readonly #saveCounted: StatementSync
  readonly #closeWeeks: StatementSync
  readonly #firstDay: StatementSync
  readonly #movePast: StatementSync
  readonly #deleteMoved: StatementSync
  #countedSeq: number
  /** Sums by week are kept for all weeks before this quarter hour. */
  #weeksUntil: number
  /** Calls of all days before this day are past. */
  #pastUntil: number

  constructor(ledger: DatabaseSync, db: DatabaseSync, names: Names) {
    this.#db = db
    this.#names = names
    this.#rows = new RowReader(ledger, names)
    this.#writer = new SumWriter(db)
    this.#appendCalls = db.prepare(`INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET calls = CAST(calls || excluded.calls AS BLOB)`)
    this.#saveCounted = db.prepare('UPDATE counted SET seq = ?, call_id = ?, weeks_until = ?, past_until = ?')
    this.#closeWeeks = db.prepare(WEEKS_SQL)
    const ofDay = `simulated IN (0, 1) AND kind IN (${CALL_KINDS.map(numberOf)}) AND day = ?`
    this.#firstDay = db.prepare('SELECT min(day) AS day FROM calls')
    this.#movePast = db.prepare(`INSERT INTO past_calls SELECT day, simulated, kind, subject, part, calls FROM calls
      WHERE ${ofDay} ORDER BY simulated, kind, subject, part`)
    this.#deleteMoved = db.prepare(`DELETE FROM calls WHERE ${ofDay}`)
    const counted = db.prepare('SELECT seq, weeks_until, past_until FROM counted').get()
    this.#countedSeq = Number(counted?.seq)
    this.#weeksUntil = Number(counted?.weeks_until)
    this.#pastUntil = Number(counted?.past_until)
  }

  /** The last `settledSeq` that is in the sums. */
  get countedSeq(): number {
    return this.#countedSeq
  }

  /** Counts at most `maxCalls` more calls, in one transaction. Returns how many. */
  count(maxCalls: number): number {
    const [weeksUntil, pastUntil] = [this.#weeksUntil, this.#pastUntil]
    this.#db.exec('BEGIN')
    try {
      const calls = this.#rows.after(this.#countedSeq, maxCalls)
      const last = calls.at(-1)
      if (last) this.#write(calls, last)
      this.#db.exec('COMMIT')
      this.#countedSeq = last?.seq ?? this.#countedSeq
      return calls.length
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      this.#names.forget()
      this.#weeksUntil = weeksUntil
      this.#pastUntil = pastUntil
      throw error
    }
  }

  #write(calls: readonly CountedCall[], last: CountedCall): void {
    for (const [simulated, ofRealm] of Map.groupBy(calls, (call) => call.simulated)) {
      this.#writeSums(simulated, ofRealm)
      for (const kind of CALL_KINDS) this.#writeCalls(simulated, kind, ofRealm)
    }
    this.#finishWeeks(last.quarter)
    this.#finishDays(last.quarter)
    this.#saveCounted.get(last.seq, last.callId, this.#weeksUntil, this.#pastUntil)
  }

  #writeSums(simulated: boolean, calls: readonly CountedCall[]): void {
    const quarters: SumsByPlace = new Map()
    const days: SumsByPlace = new Map()
    for (const call of calls) {
      const ofQuarter = childOf(quarters, call.quarter)
      for (const dimension of COARSE_DIMENSIONS)
        addCallTo(sumAt(ofQuarter, dimension, dimension === ALL_CALLS ? '' : call.names[dimension]), call)
      const ofDay = childOf(days, startOf(call.quarter, DAY))
      for (const dimension of FINE_DIMENSIONS) addCallTo(sumAt(ofDay, dimension, call.names[dimension]), call)
    }
    for (const { at, dimension, value, sum } of placesOf(days)) {
      this.#writer.add({ simulated, dimension, tier: DAY, at, value }, sum)
      const week = startOf(at, WEEK)
      if (week < this.#weeksUntil) this.#writer.add({ simulated, dimension, tier: WEEK, at: week, value }, sum)
    }
    const coarseDays: SumsByPlace = new Map()
    for (const { at, dimension, value, sum } of placesOf(quarters)) {
      addUsageSum(sumAt(childOf(coarseDays, startOf(at, DAY)), dimension, value), sum)
      this.#writer.addWhole({ simulated, dimension, tier: QUARTER, at, value }, sum)
    }
    for (const { at, dimension, value, sum } of placesOf(coarseDays))
      this.#writer.addWhole({ simulated, dimension, tier: DAY, at, value }, sum)
  }

  #writeCalls(simulated: boolean, kind: CallKind, calls: readonly CountedCall[]): void {
    const named = kind === 'key' ? calls : calls.filter((call) => call.names[kind] !== '')
    for (const [day, ofDay] of Map.groupBy(named, ({ quarter }) => Math.floor(quarter / DAY)))
      for (const [subject, ofSubject] of Map.groupBy(ofDay, (call) => call.names[kind])) {
        this.#packer.reset()
        for (const call of ofSubject) this.#packer.add(call, kind === 'user')
        const part = ofSubject.length < MIN_PART_CALLS ? 0 : (ofSubject[0]?.seq ?? 0)
        this.#appendCalls.get(simulated ? 1 : 0, numberOf(kind), day, subject, part, this.#packer.take())
      }
  }

  /** Adds up the days of weeks that ended at least a day ago. Calls of those weeks that come later are added to both. */
  #finishWeeks(quarter: number): void {
    const until = startOf(quarter - DAY, WEEK)
    if (until <= this.#weeksUntil) return
    for (const dimension of FINE_DIMENSIONS) this.#closeWeeks.get(dimension, this.#weeksUntil, until)
    this.#weeksUntil = until
  }

  /** Moves the calls of days that ended at least a day ago, a few days at a time. Calls of those days that come later stay where they are. */
  #finishDays(quarter: number): void {
    const until = Math.floor(quarter / DAY) - 1
    const [first] = this.#pastUntil >= until ? [] : [this.#firstDay.get()?.day]
    if (first === undefined) return
    const from = Math.max(this.#pastUntil, Number(first))
    this.#pastUntil = Math.min(until, from + MAX_DAYS_PER_STEP)
    for (let day = from; day < this.#pastUntil; day++) {
      this.#movePast.get(day)
      this.#deleteMoved.get(day)
    }
  }
}

/** The beginning of the span of a quarter hour. */
function startOf(quarter: number, tier: number): number {
  return Math.floor(quarter / tier) * tier
}

function childOf<Key, ChildKey, Value>(parent: Map<Key, Map<ChildKey, Value>>, key: Key): Map<ChildKey, Value> {
  let child = parent.get(key)
  if (!child) parent.set(key, (child = new Map()))
  return child
}

function sumAt(byDimension: Map<string, Map<string, UsageSum>>, dimension: string, value: string): UsageSum {
  const byValue = childOf(byDimension, dimension)
  let sum = byValue.get(value)
  if (!sum) byValue.set(value, (sum = newUsageSum()))
  return sum
}

function* placesOf(sums: SumsByPlace) {
  for (const [at, byDimension] of sums)
    for (const [dimension, byValue] of byDimension)
      for (const [value, sum] of byValue) yield { at, dimension, value, sum }
}
