// Token usage: GET /token-usage/…, what calls used and did cost, by whom and for what. The ledger is the only source.

import { hash } from 'node:crypto'
import { z } from 'zod'
import { isSettled, type SettledEntry } from '../core/ledger-entry.ts'
import { Problem } from '../core/problem.ts'
import { newUsageSum, type UsageSum } from '../core/usage-sum.ts'
import type { ZoneDay } from '../core/zone-days.ts'
import { countSchema } from '../runs/run-answer.ts'
import type { Store } from '../stores/store.ts'
import type { Dimension, RecordPage, RecordQuery, UsageGroups, UsageReport } from '../stores/usage-query.ts'
import { type CsvColumn, csvResponse, figure, inPages, text } from './csv.ts'
import { type Endpoint, endpointsFor } from './endpoint.ts'
import {
  FILTER_FIELDS,
  FORMAT_FIELD,
  PERIOD_FIELDS,
  periodHeaders,
  periodJson,
  periodSchema,
  readUsageRequest,
  SUBJECT_ID,
  type UsageRequest,
  type UsageRequestParts,
  wholeNumber,
} from './usage-request.ts'
import {
  firstGroups,
  NO_GROUPS,
  otherCount,
  RECORD_COLUMNS,
  recordJson,
  recordSchema,
  STATISTICS_FIELDS,
  SUM_COLUMNS,
  SUM_FIELDS,
  statisticsJson,
  sumJson,
  sumSchema,
} from './usage-views.ts'
import { timeJson, timeSchema } from './views.ts'

const endpoint = endpointsFor<UsageRequestParts>()

const DEFAULT_GROUPS = 100
const MAX_GROUPS = 1_000
/** Groups of a CSV table that names no limit: each is in memory at the same time. */
const MAX_CSV_GROUPS = 10_000
const DEFAULT_RECORDS = 100
const MAX_RECORDS = 1_000
const DEFAULT_RECORD_DAYS = 7
const MAX_CURSOR_CHARACTERS = 64
const LIST_NAME_CHARACTERS = 12
const CURSOR_TEXT = 'must be the next_cursor of a page with the same filters'
/** Records of a CSV table that are in memory at the same time. */
const CSV_PAGE_RECORDS = 500

const REPORT_FIELDS = { ...PERIOD_FIELDS, ...FILTER_FIELDS, ...FORMAT_FIELD }
const reportQuery = z.strictObject(REPORT_FIELDS)
const answerFields = { period: periodSchema, simulated: z.boolean() }
const name = z.string().nullable()

/** The answer of the reports by a dimension: a field named as the dimension has its value in each group. */
const groupSchema = (dimension: Dimension) => z.strictObject({ [dimension]: name, ...SUM_FIELDS })

/** The statistics of one user, or of one thread. */
function subjectReport(dimension: 'user' | 'thread', summary: string) {
  const idField = `${dimension}_id` as const
  return endpoint({
    method: 'GET',
    path: `/token-usage/${dimension}/:id`,
    role: 'figures',
    summary,
    params: z.strictObject({ id: SUBJECT_ID }),
    query: reportQuery,
    answer: z.strictObject({ [idField]: z.string(), ...answerFields, ...STATISTICS_FIELDS }),
  }).handle(async (parts, { params: { id }, ...request }) => {
    if (request.query[dimension] !== undefined)
      throw new Problem('invalid_request', `${dimension}: stands in the path already`, dimension)
    const read = await readUsageRequest(parts, { ...request, query: { ...request.query, [dimension]: id } })
    if (read.wantsCsv) return { response: await recordsCsv(parts.store, read, {}, `token-usage-${dimension}`) }
    const { report, days } = await readReport(parts.store, read)
    return { answer: { [idField]: id, ...headOf(read), ...statisticsJson(report, days) } }
  })
}

/** The sums by the values of a dimension, the most expensive first. */
function groupedReport(dimension: Dimension, summary: string): Endpoint<UsageRequestParts> {
  return endpoint({
    method: 'GET',
    path: `/token-usage/by-${dimension}`,
    role: 'figures',
    summary,
    query: z.strictObject({ ...REPORT_FIELDS, limit: wholeNumber(1, MAX_GROUPS).optional() }),
    answer: z.strictObject({
      ...answerFields,
      ...STATISTICS_FIELDS,
      groups: z.array(groupSchema(dimension)),
      /** The sum of the groups that are not listed. Null if all are. */
      others: sumSchema.extend({ count: countSchema }).nullable(),
    }),
  }).handle(async (parts, request) => {
    const { limit } = request.query
    const read = await readUsageRequest(parts, request)
    const maxGroups = limit ?? (read.wantsCsv ? MAX_CSV_GROUPS : DEFAULT_GROUPS)
    // The maps by model and by agent are no shorter because fewer groups are listed.
    const { report, days } = await readReport(parts.store, read, dimension, Math.max(maxGroups, DEFAULT_GROUPS))
    const groups = firstGroups(report.by[dimension] ?? NO_GROUPS, maxGroups)
    if (read.wantsCsv) return { response: await groupsCsv(dimension, groups, read) }
    return {
      answer: {
        ...headOf(read),
        ...statisticsJson(report, days),
        groups: groups.groups.map(({ value, sum }) => ({ [dimension]: value, ...sumJson(sum) })),
        others: groups.others && { ...sumJson(groups.others), count: otherCount(groups) },
      },
    }
  })
}

const dayFields = { date: z.iso.date(), from: timeSchema, to: timeSchema }

const BY_DAY = endpoint({
  method: 'GET',
  path: '/token-usage/by-day',
  role: 'figures',
  summary: 'Sums by day of the zone, the oldest first, days without calls included.',
  query: reportQuery,
  answer: z.strictObject({
    ...answerFields,
    ...STATISTICS_FIELDS,
    days: z.array(z.strictObject({ ...dayFields, ...SUM_FIELDS })),
  }),
}).handle(async (parts, request) => {
  const read = await readUsageRequest(parts, request)
  const { report, days } = await readReport(parts.store, read)
  const rows = days.map((day, index) => ({ day, sum: report.parts[index] ?? newUsageSum() }))
  if (read.wantsCsv) return { response: await tableCsv(DAY_COLUMNS, rows, 'token-usage-by-day', read) }
  return {
    answer: {
      ...headOf(read),
      ...statisticsJson(report, days),
      days: rows.map(({ day, sum }) => ({ ...dayJson(day), ...sumJson(sum) })),
    },
  }
})

const ALL = endpoint({
  method: 'GET',
  path: '/token-usage/all',
  role: 'figures',
  summary: 'Every call, and every correction of one, the newest first.',
  query: z.strictObject({
    ...REPORT_FIELDS,
    limit: wholeNumber(1, MAX_RECORDS).optional(),
    /** The `next_cursor` of the page before. */
    cursor: z.string().max(MAX_CURSOR_CHARACTERS, CURSOR_TEXT).optional(),
  }),
  answer: z.strictObject({
    ...answerFields,
    records: z.array(recordSchema),
    /** Null on the last page. */
    next_cursor: z.string().nullable(),
  }),
}).handle(async (parts, request) => {
  const { limit, cursor } = request.query
  const read = await readUsageRequest(parts, request, DEFAULT_RECORD_DAYS)
  const list = listName(read)
  const page = cursor === undefined ? {} : { cursor: placeIn(list, cursor) }
  if (read.wantsCsv) return { response: await recordsCsv(parts.store, read, { ...page, limit }, 'token-usage-all') }
  const { entries, next } = await readPage(parts.store, recordQuery(read, { ...page, limit: limit ?? DEFAULT_RECORDS }))
  return {
    answer: {
      ...headOf(read),
      records: entries.filter(isSettled).map(recordJson),
      next_cursor: next === null ? null : `${next}.${list}`,
    },
  }
})

export const TOKEN_USAGE_ENDPOINTS: readonly Endpoint<UsageRequestParts>[] = [
  subjectReport('user', 'What the calls of a user used and did cost: totals, by model, by agent and by day.'),
  subjectReport('thread', 'What the calls of a thread used and did cost: totals, by model, by agent and by day.'),
  groupedReport('model', 'Sums by model, the most expensive first.'),
  groupedReport('provider', 'Sums by provider, with latency, time to first token, and errors.'),
  groupedReport('agent', 'Sums by the agent that callers declare, the most expensive first.'),
  groupedReport('operation', 'Sums by the operation that callers declare, the most expensive first.'),
  groupedReport('user', 'Sums by user, the most expensive first.'),
  groupedReport('key', 'Sums by key, the most expensive first.'),
  groupedReport('project', 'Sums by project, the most expensive first.'),
  BY_DAY,
  ALL,
]

/**
 * A short name of the list of records that a request is of. A cursor ends in it, so that a cursor of another list is refused. The period is
 * no part of it: a cursor is a place in time, midnight may pass between two pages, and a client may name the period that a page stated.
 */
function listName({ simulated, where }: UsageRequest): string {
  return hash('sha256', JSON.stringify([simulated, where]), 'base64url').slice(0, LIST_NAME_CHARACTERS)
}

/** The place that a cursor names. Throws Problem for a cursor of another list. */
function placeIn(list: string, cursor: string): string {
  if (!cursor.endsWith(`.${list}`)) throw wrongCursor()
  return cursor.slice(0, -list.length - 1)
}

function wrongCursor(): Problem {
  return new Problem('invalid_request', `cursor: ${CURSOR_TEXT}`, 'cursor')
}

function headOf(request: UsageRequest) {
  return { period: periodJson(request), simulated: request.simulated }
}

interface DatedReport {
  readonly report: UsageReport
  /** A part of the report for each. */
  readonly days: readonly ZoneDay[]
}

/** The statistics of a request, and its sums by one more dimension. */
async function readReport(
  store: Store,
  { period, simulated, where, days: zone }: UsageRequest,
  dimension?: Dimension,
  maxGroups = MAX_GROUPS,
): Promise<DatedReport> {
  const days = zone.within(period.fromMs, period.untilMs)
  const by = new Set<Dimension>(['model', 'agent', ...(dimension ? [dimension] : [])])
  const cuts = days.slice(1).map(({ startsAtMs }) => startsAtMs)
  return { report: await store.usage({ simulated, period, where, by: [...by], cuts, maxGroups }), days }
}

function recordQuery(
  { period, simulated, where }: UsageRequest,
  page: Pick<RecordQuery, 'limit' | 'cursor'>,
): RecordQuery {
  return { period, simulated, where, ...page }
}

/** Rejects with Problem for a cursor that is none. */
async function readPage(store: Store, query: RecordQuery): Promise<RecordPage> {
  try {
    return await store.records(query)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw wrongCursor()
  }
}

interface CsvSpan {
  readonly cursor?: string
  /** All by default. */
  readonly limit?: number | undefined
}

/** Every record of a request, as a table. */
export function recordsCsv(store: Store, request: UsageRequest, span: CsvSpan, fileName: string): Promise<Response> {
  const pages = recordPages(store, request, span)
  return csvResponse({ columns: RECORD_COLUMNS, pages, fileName, headers: periodHeaders(request) })
}

/** Every record of a request. A page is read while the one before is used. */
export async function* recordPages(
  store: Store,
  request: UsageRequest,
  { cursor, limit = Number.POSITIVE_INFINITY }: CsvSpan,
): AsyncGenerator<readonly SettledEntry[]> {
  const read = (rest: number, from: string | undefined): Promise<RecordPage> => {
    const size = { limit: Math.min(rest, CSV_PAGE_RECORDS) }
    return readPage(store, recordQuery(request, from === undefined ? size : { ...size, cursor: from }))
  }
  let reading = read(limit, cursor)
  for (let rest = limit - CSV_PAGE_RECORDS; ; rest -= CSV_PAGE_RECORDS) {
    const { entries, next } = await reading
    const hasMore = next !== null && rest > 0
    if (hasMore) {
      reading = read(rest, next)
      // If the client leaves, nobody waits for this page.
      reading.catch(() => {})
    }
    yield entries.filter(isSettled)
    if (!hasMore) return
  }
}

interface GroupRow {
  readonly kind: 'group' | 'others'
  readonly value: string | null
  readonly sum: UsageSum
}

function groupsCsv(dimension: Dimension, { groups, others }: UsageGroups, request: UsageRequest): Promise<Response> {
  const columns: readonly CsvColumn<GroupRow>[] = [
    text(dimension, ({ value }) => value),
    figure('row', ({ kind }) => kind),
    ...SUM_COLUMNS,
  ]
  const rows: GroupRow[] = groups.map(({ value, sum }) => ({ kind: 'group', value, sum }))
  if (others) rows.push({ kind: 'others', value: null, sum: others })
  return tableCsv(columns, rows, `token-usage-by-${dimension}`, request)
}

interface DayRow {
  readonly day: ZoneDay
  readonly sum: UsageSum
}

const DAY_COLUMNS: readonly CsvColumn<DayRow>[] = [
  figure('date', ({ day }) => day.date),
  figure('from', ({ day }) => timeJson(day.startsAtMs)),
  figure('to', ({ day }) => timeJson(day.endsAtMs)),
  ...SUM_COLUMNS,
]

function dayJson({ date, startsAtMs, endsAtMs }: ZoneDay) {
  return { date, from: timeJson(startsAtMs), to: timeJson(endsAtMs) }
}

/** A table whose rows are all there. */
export function tableCsv<Row>(
  columns: readonly CsvColumn<Row>[],
  rows: readonly Row[],
  fileName: string,
  request: UsageRequest,
): Promise<Response> {
  return csvResponse({ columns, pages: inPages(rows), fileName, headers: periodHeaders(request) })
}
