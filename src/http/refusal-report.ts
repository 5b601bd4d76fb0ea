// Refusal report: GET /token-usage/refusals, how many calls each limit refused, or would have refused, of which key.

import { z } from 'zod'
import { countSchema } from '../runs/run-answer.ts'
import type { RefusalCount } from '../stores/usage-query.ts'
import { type CsvColumn, figure, text } from './csv.ts'
import { endpointsFor } from './endpoint.ts'
import { tableCsv } from './token-usage.ts'
import {
  FILTER_FIELDS,
  FORMAT_FIELD,
  PERIOD_FIELDS,
  periodJson,
  periodSchema,
  readUsageRequest,
  type UsageRequestParts,
  wholeNumber,
} from './usage-request.ts'

const endpoint = endpointsFor<UsageRequestParts>()

const DEFAULT_ROWS = 100
const MAX_ROWS = 1_000

/** `refused`: the calls were not sent. `would_have_refused`: they were sent, because the limit is not enforced. */
const countFields = { refused: countSchema, would_have_refused: countSchema }
type Counts = z.output<z.ZodObject<typeof countFields>>
const rowSchema = z.strictObject({
  /** The limit's name, such as `daily_spending_limit`. */
  limit: z.string(),
  key: z.string().nullable(),
  shadow: z.boolean(),
  count: countSchema,
})

export const REFUSAL_REPORT = endpoint({
  method: 'GET',
  path: '/token-usage/refusals',
  role: 'figures',
  summary: 'How many calls each limit refused, or would have refused, and of which key.',
  query: z.strictObject({
    ...PERIOD_FIELDS,
    key: FILTER_FIELDS.key,
    ...FORMAT_FIELD,
    limit: wholeNumber(1, MAX_ROWS).optional(),
  }),
  answer: z.strictObject({
    period: periodSchema,
    simulated: z.boolean(),
    ...countFields,
    by_limit: z.record(z.string(), z.strictObject(countFields)),
    /** By limit, key and whether the limit is enforced, the largest count first. */
    refusals: z.array(rowSchema),
    /** The rows that are not listed. Null if all are. */
    others: z.strictObject({ count: countSchema, ...countFields }).nullable(),
  }),
}).handle(async (parts, request) => {
  const { limit = DEFAULT_ROWS } = request.query
  const read = await readUsageRequest(parts, request)
  const { simulated, period, where } = read
  const counts = await parts.store.refusalCounts({
    simulated,
    period,
    ...(typeof where.key === 'string' ? { key: where.key } : {}),
  })
  const rows = counts.filter(({ key }) => where.key === undefined || key === where.key).toSorted(byCount)
  if (read.wantsCsv) {
    const table = request.query.limit === undefined ? rows : [...rows.slice(0, limit), ...othersOf(rows.slice(limit))]
    return { response: await tableCsv(COLUMNS, table, 'token-usage-refusals', read) }
  }
  const rest = rows.slice(limit)
  return {
    answer: {
      period: periodJson(read),
      simulated,
      ...sumOf(rows),
      by_limit: Object.fromEntries([...Map.groupBy(rows, (row) => row.limit)].map(([name, of]) => [name, sumOf(of)])),
      refusals: rows.slice(0, limit).map(({ limit: name, key, isShadow, count }) => {
        return { limit: name, key, shadow: isShadow, count }
      }),
      others: rest.length === 0 ? null : { count: rest.length, ...sumOf(rest) },
    },
  }
})

/** The rows that a table leaves out, added up: no limit has an empty name. */
function othersOf(rows: readonly RefusalCount[]): RefusalCount[] {
  return [...Map.groupBy(rows, ({ isShadow }) => isShadow)].map(([isShadow, of]) => {
    return { limit: '', key: null, isShadow, count: of.reduce((sum, { count }) => sum + count, 0) }
  })
}

const COLUMNS: readonly CsvColumn<RefusalCount>[] = [
  text('limit', ({ limit }) => limit),
  text('key', ({ key }) => key),
  figure('shadow', ({ isShadow }) => isShadow),
  figure('count', ({ count }) => count),
]

function sumOf(rows: readonly RefusalCount[]): Counts {
  const counts = { refused: 0, would_have_refused: 0 }
  for (const { isShadow, count } of rows) counts[isShadow ? 'would_have_refused' : 'refused'] += count
  return counts
}

function byCount(left: RefusalCount, right: RefusalCount): number {
  return right.count - left.count || (`${left.limit}\n${left.key}` < `${right.limit}\n${right.key}` ? -1 : 1)
}
