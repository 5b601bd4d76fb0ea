// Recommendations: GET /token-usage/recommendations, what would cost less, each with its arithmetic. It changes nothing.

import { setImmediate as turn } from 'node:timers/promises'
import { z } from 'zod'
import type { SettledEntry } from '../core/ledger-entry.ts'
import { formatUsd, jsonUsd } from '../core/money.ts'
import { CLASS_ROWS } from '../core/usage.ts'
import type { EditablePriceBook } from '../prices/price-book.ts'
import { outliers } from '../recommendations/outliers.ts'
import { PriceCatalog } from '../recommendations/price-catalog.ts'
import { bySaving, type ModelTraffic, type Recommendation } from '../recommendations/recommendation.ts'
import { batches, caching, cheaperModels } from '../recommendations/savings.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import { endpointsFor } from './endpoint.ts'
import { recordPages } from './token-usage.ts'
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

export interface RecommendationParts extends UsageRequestParts {
  readonly prices: EditablePriceBook
}

const endpoint = endpointsFor<RecommendationParts>()

/** The most expensive models. Those of others are too cheap for a saving. */
const MAX_MODELS = 50
/** The newest calls of the period, in which outliers are looked for. */
const MAX_SAMPLED_CALLS = 2_000
const DEFAULT_SHOWN = 50
const MAX_SHOWN = 500

const NOTE =
  'Savings do not add up: a call that goes to another model is not also cached or batched at the first. ' +
  'The arithmetic is by the price list of today; saving = the smaller one of cost_booked and cost_now, less cost_then. ' +
  'Outliers are looked for in the newest calls of the period (sampled_calls).'

const recommendationSchema = z.strictObject({
  kind: z.enum(['cheaper_model', 'caching', 'batch', 'long_prompts', 'high_output_caps']),
  /** `provider/model`, as in all reports. */
  model: z.string(),
  /** The model to take instead. Null if the model stays. */
  to: z.string().nullable(),
  /** Whether the gateway has a key for the provider of `to`. */
  to_is_configured: z.boolean().nullable(),
  /** Null: the calls of all callers. */
  caller: z.strictObject({ key: z.string().nullable(), user: z.string().nullable() }).nullable(),
  total_requests: countSchema,
  /** Tokens × rates. Rates are dollars for a million tokens. */
  arithmetic: z.array(
    z.strictObject({ class: z.string(), tokens: countSchema, rate_now: usdSchema, rate_then: usdSchema }),
  ),
  /** The same in words. */
  explanation: z.string(),
  /** What the ledger has for these calls. */
  cost_booked: usdSchema,
  cost_now: usdSchema,
  cost_then: usdSchema,
  saving: usdSchema,
  /** True: the saving is at most this. */
  is_bound: z.boolean(),
  /** What each call reserves beyond the usual. */
  held_per_call: usdSchema,
  assumptions: z.array(z.string()),
})

const recommendationsSchema = z.strictObject({
  period: periodSchema,
  simulated: z.boolean(),
  /** The price list of the arithmetic. Prices of the operator go first. */
  price_version: z.string(),
  sampled_calls: countSchema,
  /** The largest saving first. */
  recommendations: z.array(recommendationSchema),
  left_out: countSchema,
  note: z.string(),
})

export type RecommendationsJson = z.output<typeof recommendationsSchema>

export const RECOMMENDATIONS = endpoint({
  method: 'GET',
  path: '/token-usage/recommendations',
  role: 'figures',
  summary: 'What would cost less: cheaper models, caching, batches, and callers whose prompts or caps are outliers.',
  query: z.strictObject({ ...PERIOD_FIELDS, ...FILTER_FIELDS, limit: wholeNumber(1, MAX_SHOWN).optional() }),
  answer: recommendationsSchema,
}).handle(async (parts, request) => {
  const { limit = DEFAULT_SHOWN, ...query } = request.query
  const read = await readUsageRequest(parts, { ...request, query })
  const { store, prices, providers } = parts
  const { period, simulated, where } = read
  const { by } = await store.usage({ simulated, period, where, by: ['model'], maxGroups: MAX_MODELS })
  const sample = await newestCalls(parts, read)
  const catalog = new PriceCatalog(prices, providers, await readPrices(parts))
  const traffic = (by.model?.groups ?? []).flatMap(({ value, sum }) => trafficOf(value, sum))
  const found = [
    ...traffic.flatMap((model) => [
      ...cheaperModels(model, catalog),
      ...[caching(model, catalog), batches(model, catalog)].filter((one) => one !== undefined),
    ]),
    ...outliers(sample, catalog),
  ].toSorted(bySaving)
  return {
    answer: {
      period: periodJson(read),
      simulated,
      price_version: prices.list.version,
      sampled_calls: sample.length,
      recommendations: found.slice(0, limit).map(recommendationJson),
      left_out: Math.max(0, found.length - limit),
      note: NOTE,
    },
  }
})

/**
 * Has the price book read all of its models, one provider in a turn of the event loop: the first time takes 0.1 s. Resolves to the instant
 * that they were read for, in epoch milliseconds.
 */
async function readPrices({ prices, providers, clock }: RecommendationParts): Promise<number> {
  const { wallMs } = clock.now()
  for (const { priceName } of providers) {
    for (const model of prices.models(priceName, wallMs)) prices.find(priceName, model, wallMs)
    await turn()
  }
  return wallMs
}

/** `provider/model`: names of providers have no slash. */
function trafficOf(value: string | null, sum: ModelTraffic['sum']): readonly ModelTraffic[] {
  const slash = value?.indexOf('/') ?? -1
  return value === null || slash < 1 ? [] : [{ provider: value.slice(0, slash), model: value.slice(slash + 1), sum }]
}

async function newestCalls(
  { store }: Pick<RecommendationParts, 'store'>,
  request: UsageRequest,
): Promise<readonly SettledEntry[]> {
  const calls: SettledEntry[] = []
  for await (const entries of recordPages(store, request, {})) {
    calls.push(...entries.filter(({ adjustment }) => !adjustment))
    if (calls.length >= MAX_SAMPLED_CALLS) break
  }
  return calls.slice(0, MAX_SAMPLED_CALLS)
}

function recommendationJson(one: Recommendation): z.output<typeof recommendationSchema> {
  const { kind, provider, model, to, caller, requests, lines, isBound, assumptions } = one
  return {
    kind,
    model: `${provider}/${model}`,
    to: to && `${to.provider}/${to.model}`,
    to_is_configured: to?.isConfigured ?? null,
    caller,
    total_requests: requests,
    arithmetic: lines.map(({ tokenClass, tokens, rateNow, rateThen }) => ({
      class: CLASS_ROWS[tokenClass].json,
      tokens,
      rate_now: jsonUsd(rateNow),
      rate_then: jsonUsd(rateThen),
    })),
    explanation: explanationOf(one),
    cost_booked: jsonUsd(one.bookedNanoUsd),
    cost_now: jsonUsd(one.nowNanoUsd),
    cost_then: jsonUsd(one.thenNanoUsd),
    saving: jsonUsd(one.savingNanoUsd),
    is_bound: isBound,
    held_per_call: jsonUsd(one.heldNanoUsd),
    assumptions: [...assumptions],
  }
}

function explanationOf({ kind, lines, nowNanoUsd, thenNanoUsd, heldNanoUsd }: Recommendation): string {
  if (kind === 'high_output_caps') return `Each call reserves $${formatUsd(heldNanoUsd)} more than with the usual cap.`
  const sum = (rate: 'rateNow' | 'rateThen') =>
    lines.map((line) => `${line.tokens} ${CLASS_ROWS[line.tokenClass].json} × $${formatUsd(line[rate])}`).join(' + ')
  const now = `${sum('rateNow')} for a million = $${formatUsd(nowNanoUsd)} now`
  if (kind === 'long_prompts') return `The part of prompts beyond the usual: ${now}.`
  return `${now}; ${sum('rateThen')} = $${formatUsd(thenNanoUsd)} then.`
}
