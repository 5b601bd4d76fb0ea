// Usage reader: answers usage queries from kept sums, and from packed calls where sums do not know enough.

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { addUsageSum, newUsageSum, type UsageSum } from '../../../core/usage-sum.ts'
import { groupsOf, usageOf } from '../../usage-of-entries.ts'
import { type Dimension, QUARTER_MS, type UsageGroups, type UsageQuery } from '../../usage-query.ts'
import type { PlainReport } from '../../usage-series.ts'
import { addCallTo } from './add-call.ts'
import { type CallFilter, CallSelection, filterOf } from './call-selection.ts'
import type { Names } from './names.ts'
import type { RecordRows } from './record-rows.ts'
import { addRowTo, SUM_COLUMNS_SQL, SUMMED_COLUMNS_SQL } from './sum-rows.ts'
import { ALL_CALLS, COARSE_DIMENSIONS, DAY, FINE_DIMENSIONS, QUARTER, type Span, spansOf, WEEK } from './sum-spans.ts'

/** A period in quarter hours. */
interface Quarters {
  readonly from: number
  readonly until: number
}

type Sums = Map<string, UsageSum>

const COARSE: ReadonlySet<string> = new Set(COARSE_DIMENSIONS)
const FINE: ReadonlySet<string> = new Set(FINE_DIMENSIONS)

export class UsageReader {
  readonly #db: DatabaseSync
  readonly #names: Names
  readonly #rows: RecordRows

  constructor(db: DatabaseSync, names: Names, rows: RecordRows) {
    this.#db = db
    this.#names = names
    this.#rows = rows
  }

  usage(query: UsageQuery): PlainReport {
    const { period, cuts = [], by = [] } = query
    const from = Math.floor(period.fromMs / QUARTER_MS)
    const until = Math.max(from, Math.ceil(period.untilMs / QUARTER_MS))
    const starts = [from, ...cuts.map((cut) => Math.floor(cut / QUARTER_MS))]
    const whole = { from, until }
    const only = onlyDimension(query)
    if (only !== undefined && by.every((dimension) => hasSums(only, dimension)))
      return this.#fromSums(query, whole, starts, only)
    const selection = new CallSelection(this.#db, this.#names)
    const filter = filterOf(query, selection)
    if (filter === 'rows') return usageOf(this.#rows.entries(query), query)
    return this.#fromCalls(query, whole, starts, selection, filter)
  }

  #fromSums(query: UsageQuery, whole: Quarters, starts: readonly number[], only: string): PlainReport {
    const { simulated, by = [], maxGroups, where } = query
    const value = only === ALL_CALLS ? '' : (where?.[only as Dimension] ?? '')
    const parts = starts.map((start, index) => {
      const part = newUsageSum()
      const until = starts[index + 1] ?? whole.until
      for (const span of spansOf(start, until, [QUARTER, DAY])) this.#addValue(part, simulated, only, value, span)
      return part
    })
    const total = parts.reduce((sum, part) => addUsageSum(sum, part), newUsageSum())
    const groups = by.map((dimension): [Dimension, UsageGroups] => {
      if (dimension === only) return [dimension, groupsOf(groupOf(value, total), maxGroups)]
      const sums = FINE.has(dimension)
        ? this.#fineSums(simulated, dimension, whole)
        : this.#coarseSums(simulated, dimension, whole, only === 'provider' ? `${value}/` : '')
      return [dimension, groupsOf(named(sums), maxGroups)]
    })
    return { total, parts, by: Object.fromEntries(groups) }
  }

  #addValue(sum: UsageSum, simulated: boolean, dimension: string, value: string, { tier, from, until }: Span): void {
    const rows = this.#arrays(
      `SELECT ${SUM_COLUMNS_SQL}, latency, first_token FROM sum
        WHERE simulated = ? AND dimension = ? AND tier = ? AND at >= ? AND at < ? AND value = ?`,
      [simulated ? 1 : 0, dimension, tier, from, until, value],
    )
    for (const row of rows) addRowTo(sum, row, 0)
  }

  #coarseSums(simulated: boolean, dimension: string, { from, until }: Quarters, start: string): Sums {
    const sums: Sums = new Map()
    for (const span of spansOf(from, until, [QUARTER, DAY])) {
      const rows = this.#arrays(
        `SELECT value, ${SUM_COLUMNS_SQL}, latency, first_token FROM sum
          WHERE simulated = ? AND dimension = ? AND tier = ? AND at >= ? AND at < ?`,
        [simulated ? 1 : 0, dimension, span.tier, span.from, span.until],
      )
      for (const row of rows) {
        const value = String(row[0])
        if (value.startsWith(start)) addRowTo(sumOf(sums, value), row, 1)
      }
    }
    return sums
  }

  /** Whole weeks and days from sums, the rest from packed calls. */
  #fineSums(simulated: boolean, dimension: string, { from, until }: Quarters): Sums {
    const sums: Sums = new Map()
    const weeksUntil = Number(this.#db.prepare('SELECT weeks_until FROM counted').get()?.weeks_until)
    for (const span of spansOf(from, until, [QUARTER, DAY])) {
      if (span.tier === QUARTER) this.#addCallsTo(sums, simulated, dimension as Dimension, span)
      else for (const part of weeksOf(span, weeksUntil)) this.#addFineRows(sums, simulated, dimension, part)
    }
    return sums
  }

  #addFineRows(sums: Sums, simulated: boolean, dimension: string, { tier, from, until }: Span): void {
    const rows = this.#arrays(
      `SELECT value, ${SUMMED_COLUMNS_SQL} FROM sum
        WHERE simulated = ? AND dimension = ? AND tier = ? AND at >= ? AND at < ? GROUP BY value`,
      [simulated ? 1 : 0, dimension, tier, from, until],
    )
    for (const row of rows) addRowTo(sumOf(sums, String(row[0])), row, 1)
  }

  /** Without histograms, as the sums of whole days have none. */
  #addCallsTo(sums: Sums, simulated: boolean, dimension: Dimension, { from, until }: Span): void {
    const selection = new CallSelection(this.#db, this.#names)
    for (const placed of selection.calls({
      simulated,
      from,
      until,
      kind: 'key',
      subject: undefined,
      matches: undefined,
    })) {
      const sum = sumOf(sums, selection.valueOf(dimension, placed))
      addCallTo(sum, placed.call)
      sum.latency.clear()
      sum.timeToFirstToken.clear()
    }
  }

  #fromCalls(
    { simulated, by = [], maxGroups }: UsageQuery,
    { from, until }: Quarters,
    starts: readonly number[],
    selection: CallSelection,
    filter: CallFilter | undefined,
  ): PlainReport {
    const parts = starts.map(newUsageSum)
    const sumsBy = by.map((dimension) => ({ dimension, sums: new Map() as Sums }))
    if (filter)
      for (const placed of selection.calls({ simulated, from, until, ...filter })) {
        addCallTo(parts[partOf(starts, placed.call.quarter)] ?? newUsageSum(), placed.call)
        for (const { dimension, sums } of sumsBy)
          addCallTo(sumOf(sums, selection.valueOf(dimension, placed)), placed.call)
      }
    const total = parts.reduce((sum, part) => addUsageSum(sum, part), newUsageSum())
    const groups = sumsBy.map(({ dimension, sums }) => [dimension, groupsOf(named(sums), maxGroups)] as const)
    return { total, parts, by: Object.fromEntries(groups) }
  }

  #arrays(sql: string, values: readonly (string | number)[]): Iterable<readonly SQLOutputValue[]> {
    const rows: unknown = this.#db.prepare(sql, { returnArrays: true }).iterate(...values)
    return rows as Iterable<readonly SQLOutputValue[]>
  }
}

/** The one dimension that the query filters by, if sums by it are enough; all calls if it filters by none. */
function onlyDimension({ where = {} }: UsageQuery): string | undefined {
  const filtered = Object.entries(where).flatMap(([dimension, value]) => (value === undefined ? [] : [dimension]))
  const [only = ALL_CALLS] = filtered
  return filtered.length < 2 && COARSE.has(only) ? only : undefined
}

/** Whether there are sums by `dimension` of the calls with one value of `only`: a model has its provider in its name. */
function hasSums(only: string, dimension: Dimension): boolean {
  if (only === ALL_CALLS) return COARSE.has(dimension) || FINE.has(dimension)
  return dimension === only || (only === 'provider' && dimension === 'model')
}

/** Days before `weeksUntil` as weeks, where whole weeks are among them. */
function weeksOf({ from, until }: Span, weeksUntil: number): Span[] {
  const first = Math.ceil(from / WEEK) * WEEK
  const last = Math.floor(Math.min(until, weeksUntil) / WEEK) * WEEK
  if (first >= last) return [{ tier: DAY, from, until }]
  const spans = [
    { tier: DAY, from, until: first },
    { tier: WEEK, from: first, until: last },
    { tier: DAY, from: last, until },
  ]
  return spans.filter((span) => span.from < span.until)
}

function partOf(starts: readonly number[], quarter: number): number {
  let low = 0
  let high = starts.length
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((starts[middle] ?? 0) <= quarter) low = middle
    else high = middle
  }
  return low
}

function sumOf(sums: Sums, value: string): UsageSum {
  let sum = sums.get(value)
  if (!sum) sums.set(value, (sum = newUsageSum()))
  return sum
}

/** '' is no value. Values whose calls are all of other times are left out. */
function named(sums: Sums): Map<string | null, UsageSum> {
  return new Map([...sums].map(([value, sum]) => [value === '' ? null : value, sum]))
}

function groupOf(value: string, total: UsageSum): Map<string | null, UsageSum> {
  if (total.requests === 0 && total.costNanoUsd === 0n) return new Map()
  return new Map([[value === '' ? null : value, total]])
}
