// Metrics: /api/metrics, counters of tokens and costs since they were last reset, and those of the last hours and of a task.

import { z } from 'zod'
import { offsetMs } from '../core/calendar.ts'
import { jsonUsd } from '../core/money.ts'
import type { PriceBook } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import type { UsageSum } from '../core/usage-sum.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import type { Registry } from '../stores/registry.ts'
import { QUARTER_MS } from '../stores/usage-query.ts'
import { type Endpoint, endpointsFor } from './endpoint.ts'
import { countersOf, type MetricTotals, startEpoch, totalsOf } from './metrics-epoch.ts'
import { showsSimulated } from './stats.ts'
import {
  FILTER_FIELDS,
  floorQuarter,
  PERIOD_FIELDS,
  periodJson,
  periodSchema,
  readUsageRequest,
  SUBJECT_ID,
  type UsageRequestParts,
  wholeNumber,
} from './usage-request.ts'
import { timeJson, timeSchema } from './views.ts'

export interface MetricParts extends UsageRequestParts {
  readonly registry: Registry
  readonly prices: Pick<PriceBook, 'find'>
  /** The models that are used if a request names none. */
  readonly patternModels: () => { readonly model: string }
  /** The target that a call with this model would go to first. */
  readonly locate: (model: string) => { readonly provider: string; readonly model: string }
}

const endpoint = endpointsFor<MetricParts>()

const HOUR_MS = 3_600_000
const DEFAULT_HOURS = 6
const MAX_HOURS = 168

/** Costs are signed: a correction of a call from before the reset counts from when it is made. */
const totalFields = { total_tokens: countSchema, total_cost_usd: usdSchema, total_requests: countSchema }
const counterFields = {
  ...totalFields,
  total_prompt_tokens: countSchema,
  total_completion_tokens: countSchema,
  avg_tokens_per_request: z.number().min(0),
  /** When the newest call was settled. Null if there is none. */
  last_updated: timeSchema.nullable(),
}
const globalSchema = z.strictObject(counterFields)

const SUMMARY = endpoint({
  method: 'GET',
  path: '/api/metrics/summary',
  role: 'figures',
  summary: 'Totals since the last reset, or of one key, the last hour, and the price of the default model.',
  query: z.strictObject({ key: FILTER_FIELDS.key }),
  answer: z.strictObject({
    timestamp: timeSchema,
    global: globalSchema,
    last_hour: z.strictObject(totalFields),
    pricing: z.strictObject({
      model: z.string(),
      /** Null if the price is not known. */
      input_per_1m_tokens: usdSchema.nullable(),
      output_per_1m_tokens: usdSchema.nullable(),
    }),
  }),
}).handle(async (parts, request) => {
  const { store, registry } = parts
  const { wallMs } = parts.clock.now()
  const { simulated, where } = await readUsageRequest(parts, request)
  if (where.key === null) throw new Problem('invalid_request', 'key: must be the id of a key', 'key')
  const ownCalls = where.key === undefined ? {} : { key: where.key }
  const { report } = await store.figures({ simulated, ...ownCalls })
  // A reset is of the counters over all keys. Those of one key run on.
  const { global, lastHour } =
    where.key !== undefined
      ? { global: totalsOf(report.total()), lastHour: totalsOf(report.recentHour(wallMs)) }
      : await countersOf(registry, report, simulated, wallMs)
  const [newest] = await store.entries({ simulated, ...ownCalls, limit: 1 })
  return {
    answer: {
      timestamp: timeJson(wallMs),
      global: counterJson(global, newest?.outcome?.settledAtMs),
      last_hour: totalJson(lastHour),
      pricing: pricingJson(parts, wallMs),
    },
  }
})

const RECENT = endpoint({
  method: 'GET',
  path: '/api/metrics/recent',
  role: 'figures',
  summary: 'Totals of the last hours, whole and hour by hour.',
  query: z.strictObject({
    hours: wholeNumber(1, MAX_HOURS).default(DEFAULT_HOURS),
    tz: PERIOD_FIELDS.tz,
    key: FILTER_FIELDS.key,
  }),
  answer: z.strictObject({
    timestamp: timeSchema,
    hours: z.number().int(),
    /** Rounded to quarter hours. */
    period: periodSchema,
    simulated: z.boolean(),
    ...totalFields,
    total_prompt_tokens: countSchema,
    total_completion_tokens: countSchema,
    by_hour: z.array(z.strictObject({ from: timeSchema, to: timeSchema, ...totalFields })),
  }),
}).handle(async (parts, { query: { hours, ...query }, ...request }) => {
  const { wallMs } = parts.clock.now()
  const read = await readUsageRequest(parts, { ...request, query })
  const period = { fromMs: floorQuarter(wallMs - hours * HOUR_MS), untilMs: floorQuarter(wallMs) + QUARTER_MS }
  const cuts = hourCuts(period.fromMs, period.untilMs, read.zoneId)
  const report = await parts.store.usage({ simulated: read.simulated, period, where: read.where, cuts })
  const bounds = [period.fromMs, ...cuts, period.untilMs]
  const total = totalsOfSum(report.total)
  return {
    answer: {
      timestamp: timeJson(wallMs),
      hours,
      period: periodJson({ period, timeZone: read.timeZone }),
      simulated: read.simulated,
      ...totalJson(total),
      total_prompt_tokens: total.inputTokens,
      total_completion_tokens: total.outputTokens,
      by_hour: report.parts.map((part, index) => ({
        from: timeJson(bounds[index] ?? 0),
        to: timeJson(bounds[index + 1] ?? 0),
        ...totalJson(totalsOfSum(part)),
      })),
    },
  }
})

const TASK = endpoint({
  method: 'GET',
  path: '/api/metrics/task/:id',
  role: 'figures',
  summary: 'What all calls of a task used and did cost, whenever they were made.',
  params: z.strictObject({ id: SUBJECT_ID }),
  query: z.strictObject({ key: FILTER_FIELDS.key }),
  answer: z.strictObject({
    task_id: z.string(),
    timestamp: timeSchema,
    simulated: z.boolean(),
    ...counterFields,
    cost_by_model: z.record(z.string(), usdSchema),
  }),
}).handle(async (parts, { params: { id }, ...request }) => {
  const { wallMs } = parts.clock.now()
  const { simulated, where } = await readUsageRequest(parts, { ...request, query: { ...request.query, task: id } })
  const query = { simulated, where, period: { fromMs: 0, untilMs: floorQuarter(wallMs) + 2 * QUARTER_MS } }
  const { total, by } = await parts.store.usage({ ...query, by: ['model'] })
  const { entries } = await parts.store.records({ ...query, limit: 1 })
  return {
    answer: {
      task_id: id,
      timestamp: timeJson(wallMs),
      simulated,
      ...counterJson(totalsOfSum(total), entries[0]?.outcome?.settledAtMs),
      cost_by_model: Object.fromEntries(
        (by.model?.groups ?? []).map(({ value, sum }) => [value ?? '', jsonUsd(sum.costNanoUsd)]),
      ),
    },
  }
})

const RESET = endpoint({
  method: 'POST',
  path: '/api/metrics/reset',
  role: 'admin',
  summary: 'Starts the counters of /api/metrics/summary anew. The ledger, its reports and limits stay as they are.',
  answer: z.strictObject({
    reset_at: timeSchema,
    /** The counters before. */
    global: globalSchema,
  }),
}).handle(async (parts, { sender }) => {
  const { store, registry } = parts
  const { wallMs } = parts.clock.now()
  const simulated = await showsSimulated(parts)
  const reports = {
    real: (await store.figures({ simulated: false })).report,
    simulated: (await store.figures({ simulated: true })).report,
  }
  const { global } = await countersOf(registry, reports[simulated ? 'simulated' : 'real'], simulated, wallMs)
  const [newest] = await store.entries({ simulated, limit: 1 })
  await startEpoch(registry, reports, { actor: sender.actor, atMs: wallMs, audit: true })
  return { answer: { reset_at: timeJson(wallMs), global: counterJson(global, newest?.outcome?.settledAtMs) } }
})

export const METRIC_ENDPOINTS: readonly Endpoint<MetricParts>[] = [SUMMARY, RECENT, TASK, RESET]

function totalsOfSum({ requests, inputTokens, outputTokens, costNanoUsd }: UsageSum): MetricTotals {
  return { requests, inputTokens, outputTokens, costNanoUsd }
}

function totalJson({ requests, inputTokens, outputTokens, costNanoUsd }: MetricTotals) {
  return {
    total_tokens: inputTokens + outputTokens,
    total_cost_usd: jsonUsd(costNanoUsd),
    total_requests: requests,
  }
}

function counterJson(totals: MetricTotals, settledAtMs: number | undefined): z.output<typeof globalSchema> {
  const { requests, inputTokens, outputTokens } = totals
  const { total_tokens, total_cost_usd, total_requests } = totalJson(totals)
  return {
    total_tokens,
    total_prompt_tokens: inputTokens,
    total_completion_tokens: outputTokens,
    total_cost_usd,
    total_requests,
    avg_tokens_per_request: requests === 0 ? 0 : (inputTokens + outputTokens) / requests,
    last_updated: settledAtMs === undefined ? null : timeJson(settledAtMs),
  }
}

function pricingJson({ patternModels, locate, providers, prices }: MetricParts, wallMs: number) {
  const { provider: name, model } = locate(patternModels().model)
  const provider = providers.find((candidate) => candidate.name === name)
  const rates = provider && prices.find(provider.priceName, model, wallMs).price?.steps[0].rates
  return {
    model: `${name}/${model}`,
    input_per_1m_tokens: rates ? jsonUsd(rates.input) : null,
    output_per_1m_tokens: rates ? jsonUsd(rates.output) : null,
  }
}

/** The full hours of a zone's clock inside a period. If clocks change by half an hour, one hour is cut short. */
function hourCuts(fromMs: number, untilMs: number, timeZone: string): number[] {
  const cuts: number[] = []
  let atMs = fromMs
  while (atMs < untilMs) {
    const shiftMs = ((offsetMs(timeZone, atMs) % HOUR_MS) + HOUR_MS) % HOUR_MS
    const nextMs = (Math.floor((atMs + shiftMs) / HOUR_MS) + 1) * HOUR_MS - shiftMs
    atMs = Math.max(atMs + QUARTER_MS, floorQuarter(nextMs))
    if (atMs < untilMs) cuts.push(atMs)
  }
  return cuts
}
