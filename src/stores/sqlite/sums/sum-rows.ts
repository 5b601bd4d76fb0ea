// Rows of kept sums: how a sum is written to the file and read from there.

import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'
import { MAX_NANO_USD, saturateNanoUsd } from '../../../core/money.ts'
import { addUsageSum, newUsageSum, type UsageSum } from '../../../core/usage-sum.ts'
import { addHistogramBytes, histogramBytes } from './histogram-bytes.ts'
import { DAY, WEEK } from './sum-spans.ts'

/** What a sum is of. */
export interface SumPlace {
  readonly simulated: boolean
  readonly dimension: string
  /** Quarter hours. */
  readonly tier: number
  /** Quarter hours since the epoch. */
  readonly at: number
  /** '' for calls without a value. */
  readonly value: string
}

/** Columns of counts and amounts, and the figure of a sum in each. */
const FIGURES: readonly (readonly [column: string, figureOf: (sum: UsageSum) => number | bigint])[] = [
  ['requests', (sum) => sum.requests],
  ['input_tokens', (sum) => sum.inputTokens],
  ['cache_read_tokens', (sum) => sum.cacheReadTokens],
  ['cache_write_tokens', (sum) => sum.cacheWriteTokens],
  ['output_tokens', (sum) => sum.outputTokens],
  ['cost_nano_usd', (sum) => saturateNanoUsd(sum.costNanoUsd)],
  ['failed', (sum) => sum.endings.failed],
  ['canceled', (sum) => sum.endings.canceled],
  ['expired', (sum) => sum.endings.expired],
  ['estimated', (sum) => sum.certainty.estimated],
  ['upper_bound', (sum) => sum.certainty.upperBound],
  ['items', (sum) => sum.items],
  ['item_cost_nano_usd', (sum) => saturateNanoUsd(sum.itemCostNanoUsd)],
]
const COLUMNS = FIGURES.map(([column]) => column)
const COST_COLUMNS: ReadonlySet<string> = new Set(['cost_nano_usd', 'item_cost_nano_usd'])
const PLACE_COLUMNS = 'simulated, dimension, tier, at, value'
const PLACE_SQL = 'simulated = ? AND dimension = ? AND tier = ? AND at = ? AND value = ?'

/** Amounts of money take 64 bits: they are read in two parts, each of which a number holds. */
const PART = 1_000_000_000
const BIG_PART = BigInt(PART)
const moneySql = (column: string) => `${column} / ${PART}, ${column} % ${PART}`

/** The columns that `readSum` reads, in its order. */
export const SUM_COLUMNS_SQL = COLUMNS.map((column) => (COST_COLUMNS.has(column) ? moneySql(column) : column)).join(
  ', ',
)

/** The same columns, summed over rows. The histograms are left out. */
export const SUMMED_COLUMNS_SQL = COLUMNS.map((column) =>
  COST_COLUMNS.has(column) ? `sum(${column} / ${PART}), sum(${column} % ${PART})` : `sum(${column})`,
).join(', ')

/** Without overflow: a sum that leaves 64 bits would become inexact without a word. */
function addedSql(column: string): string {
  const sum = `${column} + excluded.${column}`
  if (!COST_COLUMNS.has(column)) return `${column} = ${sum}`
  return `${column} = CASE WHEN excluded.${column} > 0 AND ${column} > ${MAX_NANO_USD} - excluded.${column} THEN ${MAX_NANO_USD} ELSE ${sum} END`
}

/** The sum of a column over rows, as one number of 64 bits. */
function totalSql(column: string): string {
  if (!COST_COLUMNS.has(column)) return `sum(${column})`
  const [parts, rest] = [`sum(${column} / ${PART})`, `sum(${column} % ${PART})`]
  return `CASE WHEN ${parts} + ${rest} / ${PART} >= ${MAX_NANO_USD / BIG_PART} THEN ${MAX_NANO_USD} ELSE ${parts} * ${PART} + ${rest} END`
}

/** Adds up sums by day to sums by week. Parameters: the dimension, and the days in quarter hours, from and until. */
export const WEEKS_SQL = `INSERT INTO sum (${PLACE_COLUMNS}, ${COLUMNS.join(', ')})
  SELECT simulated, dimension, ${WEEK}, at / ${WEEK} * ${WEEK}, value, ${COLUMNS.map(totalSql).join(', ')}
  FROM sum WHERE simulated IN (0, 1) AND dimension = ? AND tier = ${DAY} AND at >= ? AND at < ?
  GROUP BY simulated, dimension, at / ${WEEK}, value`

/** A row of arrays: `columns` from `at` on are `SUM_COLUMNS_SQL`, and perhaps the two histograms. */
export function addRowTo(sum: UsageSum, row: readonly SQLOutputValue[], at: number): void {
  const read = newUsageSum()
  let index = at
  const next = () => Number(row[index++])
  const nextMoney = () => BigInt(next()) * BIG_PART + BigInt(next())
  read.requests = next()
  read.inputTokens = next()
  read.cacheReadTokens = next()
  read.cacheWriteTokens = next()
  read.outputTokens = next()
  read.costNanoUsd = nextMoney()
  read.endings.failed = next()
  read.endings.canceled = next()
  read.endings.expired = next()
  read.endings.completed = read.requests - read.endings.failed - read.endings.canceled - read.endings.expired
  read.certainty.estimated = next()
  read.certainty.upperBound = next()
  read.certainty.exact = read.requests - read.certainty.estimated - read.certainty.upperBound
  read.items = next()
  read.itemCostNanoUsd = nextMoney()
  addUsageSum(sum, read)
  const [latency, firstToken] = [row[index], row[index + 1]]
  if (latency instanceof Uint8Array) addHistogramBytes(sum.latency, latency)
  if (firstToken instanceof Uint8Array) addHistogramBytes(sum.timeToFirstToken, firstToken)
}

/** Writes sums inside a transaction of the caller. */
export class SumWriter {
  readonly #find: StatementSync
  readonly #replace: StatementSync
  readonly #add: StatementSync

  constructor(db: DatabaseSync) {
    this.#find = db.prepare(`SELECT ${SUM_COLUMNS_SQL}, latency, first_token FROM sum WHERE ${PLACE_SQL}`, {
      returnArrays: true,
    })
    const values = COLUMNS.map(() => '?').join(', ')
    this.#replace =
      db.prepare(`INSERT OR REPLACE INTO sum (${PLACE_COLUMNS}, ${COLUMNS.join(', ')}, latency, first_token)
      VALUES (?, ?, ?, ?, ?, ${values}, ?, ?)`)
    this.#add = db.prepare(`INSERT INTO sum (${PLACE_COLUMNS}, ${COLUMNS.join(', ')}) VALUES (?, ?, ?, ?, ?, ${values})
      ON CONFLICT DO UPDATE SET ${COLUMNS.map(addedSql).join(', ')}`)
  }

  /** Adds a sum with its histograms to the row of its place. */
  addWhole(place: SumPlace, sum: UsageSum): void {
    const at = placeValues(place)
    const row: unknown = this.#find.get(...at)
    if (Array.isArray(row)) addRowTo(sum, row, 0)
    this.#replace.get(...at, ...figuresOf(sum), histogramBytes(sum.latency), histogramBytes(sum.timeToFirstToken))
  }

  /** Adds a sum without its histograms. */
  add(place: SumPlace, sum: UsageSum): void {
    this.#add.get(...placeValues(place), ...figuresOf(sum))
  }
}

function placeValues({ simulated, dimension, tier, at, value }: SumPlace): SQLInputValue[] {
  return [simulated ? 1 : 0, dimension, tier, at, value]
}

function figuresOf(sum: UsageSum): SQLInputValue[] {
  return FIGURES.map(([, figureOf]) => figureOf(sum))
}
