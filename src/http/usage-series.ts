// Usage series: GET /token-usage/series, cost, tokens and requests over time, for each of the dearest values of a dimension, beside the
// period before; and GET /token-usage/forecast, what a window will have cost at its end.

import { z } from 'zod'
import { windowAt } from '../core/calendar.ts'
import { median } from '../core/median.ts'
import { jsonUsd } from '../core/money.ts'
import { Problem } from '../core/problem.ts'
import { addUsageSum, newUsageSum, type UsageSum } from '../core/usage-sum.ts'
import { QUARTER_MS, type ZoneDay, type ZoneDays } from '../core/zone-days.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import { DIMENSIONS, type Period } from '../stores/usage-query.ts'
import { type Endpoint, endpointsFor } from './endpoint.ts'
import {
  FILTER_FIELDS,
  PERIOD_FIELDS,
  periodJson,
  periodSchema,
  readUsageRequest,
  type UsageRequest,
  type UsageRequestParts,
  wholeNumber,
} from './usage-request.ts'
import { tokensOf } from './usage-views.ts'
import { timeJson, timeSchema } from './views.ts'

const endpoint = endpointsFor<UsageRequestParts>()

/** As many as people tell apart in one chart. */
const MAX_SERIES = 8
const MAX_PARTS = 1_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const STEPS = ['quarter_hour', 'hour', 'day', 'week', 'month'] as const
type Step = (typeof STEPS)[number]

/** The sum of a period, and of each of its parts. */
const figuresSchema = z.strictObject({
  total_cost: usdSchema,
  total_tokens: countSchema,
  total_requests: countSchema,
  cost: z.array(usdSchema),
  tokens: z.array(countSchema),
  requests: z.array(countSchema),
})

function figuresJson(parts: readonly UsageSum[]): z.output<typeof figuresSchema> {
  const total = parts.reduce((sum, part) => addUsageSum(sum, part), newUsageSum())
  return {
    total_cost: jsonUsd(total.costNanoUsd),
    total_tokens: tokensOf(total),
    total_requests: total.requests,
    cost: parts.map(({ costNanoUsd }) => jsonUsd(costNanoUsd)),
    tokens: parts.map(tokensOf),
    requests: parts.map(({ requests }) => requests),
  }
}

const seriesSchema = z.strictObject({
  period: periodSchema,
  simulated: z.boolean(),
  by: z.enum(DIMENSIONS),
  step: z.enum(STEPS),
  /** Where each part begins. It ends where the next one begins, the last with the period. */
  parts: z.array(timeSchema),
  total: figuresSchema,
  /** The dearest first. Null: the calls without a value. */
  series: z.array(figuresSchema.extend({ value: z.string().nullable() })),
  /** What is in the total and in no series: `count` further values. Null if nothing is. */
  others: figuresSchema.extend({ count: countSchema }).nullable(),
  before: figuresSchema.extend({ period: periodSchema, parts: z.array(timeSchema) }).nullable(),
})

export type SeriesJson = z.output<typeof seriesSchema>

const SERIES = endpoint({
  method: 'GET',
  path: '/token-usage/series',
  role: 'figures',
  summary: 'Cost, tokens and requests over time, for each of the dearest values of a dimension.',
  query: z.strictObject({
    ...PERIOD_FIELDS,
    ...FILTER_FIELDS,
    by: z.enum(DIMENSIONS).default('model'),
    /** By default the longest that leaves some twenty parts or more. Weeks begin on Monday. */
    step: z.enum(STEPS).optional(),
    series: wholeNumber(1, MAX_SERIES).optional(),
    /** `before`: also the sums of the period of the same length that ends where this one begins. */
    compare: z.enum(['before', 'none']).default('none'),
  }),
  answer: seriesSchema,
}).handle(async (parts, request) => {
  const { by, step: asked, series: max = MAX_SERIES, compare, ...query } = request.query
  const read = await readUsageRequest(parts, { ...request, query })
  const { period, simulated, where, days } = read
  const step = asked ?? usualStep(period)
  const starts = startsOf(period, step, days)
  const report = await parts.store.usage({
    simulated,
    period,
    where,
    by: [by],
    maxGroups: max,
    cuts: starts.slice(1),
    series: { by, max },
  })
  const groups = report.by[by]
  return {
    answer: {
      period: periodJson(read),
      simulated,
      by,
      step,
      parts: starts.map(timeJson),
      total: figuresJson(report.parts),
      series: report.series.map(({ value, parts: sums }) => ({ value, ...figuresJson(sums) })),
      others:
        groups?.others == null
          ? null
          : {
              count: groups.count - groups.groups.length,
              ...figuresJson(report.parts.map((part, index) => rest(part, report.series, index))),
            },
      before: compare === 'before' ? await beforeOf(parts, read, step) : null,
    },
  }
})

/** What a part has beside all series: cost, tokens and requests. */
function rest(part: UsageSum, series: readonly { readonly parts: readonly UsageSum[] }[], index: number): UsageSum {
  const left = newUsageSum()
  left.requests = part.requests
  left.inputTokens = part.inputTokens
  left.outputTokens = part.outputTokens
  left.costNanoUsd = part.costNanoUsd
  for (const { parts } of series) {
    const sum = parts[index]
    if (!sum) continue
    left.requests -= sum.requests
    left.inputTokens -= sum.inputTokens
    left.outputTokens -= sum.outputTokens
    left.costNanoUsd -= sum.costNanoUsd
  }
  return left
}

function usualStep({ fromMs, untilMs }: Period): Step {
  const days = (untilMs - fromMs) / DAY_MS
  if (days <= 1.1) return days <= 0.3 ? 'quarter_hour' : 'hour'
  if (days <= 3) return 'hour'
  return days <= 120 ? 'day' : days <= 750 ? 'week' : 'month'
}

/** Where each part of a period begins, in epoch milliseconds. Throws Problem if that makes too many parts. */
function startsOf(period: Period, step: Step, zone: ZoneDays): readonly number[] {
  const starts: number[] = [period.fromMs]
  const begin = (atMs: number) => {
    if (atMs <= (starts.at(-1) ?? 0)) return
    starts.push(atMs)
    if (starts.length > MAX_PARTS)
      throw new Problem('invalid_request', `step: must cut the period into at most ${MAX_PARTS} parts`, 'step')
  }
  const stepMs = step === 'quarter_hour' ? QUARTER_MS : HOUR_MS
  for (const day of zone.within(period.fromMs, period.untilMs)) {
    if (step === 'quarter_hour' || step === 'hour') {
      // A day that is cut short has its hours from its own midnight on.
      const offset = step === 'hour' ? (day.startsAtMs - zone.startOf(zone.numberAt(day.startsAtMs))) % stepMs : 0
      for (let atMs = day.startsAtMs - offset; atMs < day.endsAtMs; atMs += stepMs)
        begin(Math.max(atMs, day.startsAtMs))
    } else if (beginsStep(day, step)) begin(day.startsAtMs)
  }
  return starts
}

function beginsStep({ date }: ZoneDay, step: Step): boolean {
  if (step === 'month') return date.endsWith('-01')
  return step === 'day' || new Date(`${date}T00:00:00Z`).getUTCDay() === 1
}

/** The period that ends where this one begins: as many whole days if this one has whole days, else as long. */
function periodBefore({ period: { fromMs, untilMs }, days }: UsageRequest): Period {
  const [first, end] = [days.numberAt(fromMs), days.numberAt(untilMs)]
  const isWhole = days.startOf(first) === fromMs && days.startOf(end) === untilMs
  return { fromMs: isWhole ? days.startOf(2 * first - end) : 2 * fromMs - untilMs, untilMs: fromMs }
}

async function beforeOf(parts: UsageRequestParts, read: UsageRequest, step: Step) {
  const period = periodBefore(read)
  const starts = startsOf(period, step, read.days)
  const { simulated, where } = read
  const report = await parts.store.usage({ simulated, period, where, cuts: starts.slice(1) })
  return {
    period: periodJson({ period, timeZone: read.timeZone }),
    parts: starts.map(timeJson),
    ...figuresJson(report.parts),
  }
}

/** Days before today whose median is the usual day. */
const USUAL_DAYS = 7

const forecastSchema = z.strictObject({
  window: periodSchema,
  simulated: z.boolean(),
  spent: usdSchema,
  /** Null if no day before today is known. */
  expected: usdSchema.nullable(),
  usual_day: usdSchema.nullable(),
  rule: z.string(),
})

export type ForecastJson = z.output<typeof forecastSchema>

const FORECAST = endpoint({
  method: 'GET',
  path: '/token-usage/forecast',
  role: 'figures',
  summary: 'What the day or the month that runs will have cost at its end, and by which rule.',
  query: z.strictObject({ window: z.enum(['day', 'month']).default('month'), tz: PERIOD_FIELDS.tz, ...FILTER_FIELDS }),
  answer: forecastSchema,
}).handle(async (parts, request) => {
  const { window: name, ...query } = request.query
  const read = await readUsageRequest(parts, { ...request, query })
  const { simulated, where, days, timeZone, zoneId } = read
  const { wallMs } = parts.clock.now()
  const today = days.numberAt(wallMs)
  const { startsAtMs, endsAtMs } = windowAt(name, zoneId, wallMs)
  const window = { fromMs: days.startOf(days.numberAt(startsAtMs)), untilMs: days.startOf(days.numberAt(endsAtMs)) }
  const fromMs = Math.min(window.fromMs, days.startOf(today - USUAL_DAYS))
  const untilMs = days.startOf(today + 1)
  const spans = days.within(fromMs, untilMs)
  const cuts = spans.slice(1).map(({ startsAtMs }) => startsAtMs)
  const report = await parts.store.usage({ simulated, period: { fromMs, untilMs }, where, cuts })
  const costs = report.parts.map(({ costNanoUsd }) => costNanoUsd)
  const spent = costs.reduce(
    (sum, cost, index) => ((spans[index]?.startsAtMs ?? 0) >= window.fromMs ? sum + cost : sum),
    0n,
  )
  const known = knownDays(report.parts.slice(-USUAL_DAYS - 1, -1))
  const usual = known.length === 0 ? undefined : median(known)
  return {
    answer: {
      window: periodJson({ period: window, timeZone }),
      simulated,
      spent: jsonUsd(spent),
      expected: usual === undefined ? null : jsonUsd(spent + restOfWindow(usual, days, wallMs, window)),
      usual_day: usual === undefined ? null : jsonUsd(usual),
      rule: RULE,
    },
  }
})

const RULE = `What is spent, and for what is left of today and for each further day of the window the median day of the ${USUAL_DAYS} days before today, from the first day with a call on.`

/** Days from the first with a call on: what was before says nothing of what is usual. */
function knownDays(parts: readonly UsageSum[]): readonly bigint[] {
  const first = parts.findIndex(({ requests }) => requests > 0)
  return first < 0 ? [] : parts.slice(first).map(({ costNanoUsd }) => costNanoUsd)
}

/** What the rest of the window costs, if each of its days is a usual one. */
function restOfWindow(usual: bigint, days: ZoneDays, nowMs: number, window: Period): bigint {
  const today = days.numberAt(nowMs)
  const [startsAtMs, endsAtMs] = [days.startOf(today), days.startOf(today + 1)]
  const leftOfToday = (usual * BigInt(Math.max(0, endsAtMs - nowMs))) / BigInt(endsAtMs - startsAtMs)
  const furtherDays = days.numberAt(window.untilMs - 1) - today
  return leftOfToday + usual * BigInt(Math.max(0, furtherDays))
}

export const SERIES_ENDPOINTS: readonly Endpoint<UsageRequestParts>[] = [SERIES, FORECAST]
