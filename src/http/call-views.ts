// Call views: the JSON of a call, as its ledger entry or its refusal tells it, and of its quote, each with its schema.

import { z } from 'zod'
import { snakeCase } from '../core/json-values.ts'
import type { Attempt, Caller, Entry, Outcome } from '../core/ledger-entry.ts'
import { CERTAINTY_NAMES } from '../core/ledger-entry.ts'
import { jsonUsd } from '../core/money.ts'
import type { Quote } from '../core/quote.ts'
import { inputTokens, outputTokens, totalTokens, usageJson } from '../core/usage.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import type { CallRefused } from '../telemetry/call-events.ts'
import { refusalDetails } from '../wire/limit-headers.ts'
import {
  amountSchema,
  levelSchema,
  msSchema,
  timeJson,
  timeSchema,
  upstreamLimitsJson,
  upstreamLimitsSchema,
  usageSchema,
} from './views.ts'

const name = z.string().nullable()

const attemptSchema = z.strictObject({
  provider: z.string(),
  model: z.string(),
  /** The HTTP status; null if no answer arrived. */
  status: z.number().int().nullable(),
  error: name,
  duration_ms: msSchema,
  cost_usd: usdSchema,
})

/** A call that was reserved: in flight, or settled. What is known only once it is settled is null before. */
export const entrySchema = z.strictObject({
  call_id: z.string(),
  /** `adjusted`: no call, but the correction of the cost of one. */
  status: z.enum(['in_flight', 'completed', 'failed', 'canceled', 'expired', 'adjusted']),
  certainty: z.enum(['exact', 'estimated', 'upper_bound']).nullable(),
  key: name,
  organisation: name,
  project: name,
  user: name,
  thread: name,
  agent: name,
  task: name,
  operation: name,
  dialect: z.string(),
  provider: z.string(),
  model: z.string(),
  answered_model: name,
  reserved_at: timeSchema,
  settled_at: timeSchema.nullable(),
  settled_seq: countSchema.nullable(),
  day: z.iso.date(),
  reserved: z.strictObject({ tokens: countSchema, cost_usd: usdSchema }),
  tokens: z
    .strictObject({ total: countSchema, input: countSchema, output: countSchema, reasoning: countSchema })
    .nullable(),
  usage: usageSchema.nullable(),
  cost_usd: z.strictObject({ total: usdSchema, input: usdSchema, output: usdSchema }).nullable(),
  /** What the provider stated, and what the usage costs by the price book. Null if the provider stated nothing. */
  provider_cost_usd: usdSchema.nullable(),
  computed_cost_usd: usdSchema.nullable(),
  price_version: name,
  cost_known: z.boolean(),
  streaming: z.boolean(),
  latency_ms: msSchema.nullable(),
  time_to_first_token_ms: msSchema.nullable(),
  max_output_tokens: z.strictObject({ asked: countSchema.nullable(), set_by_gateway: countSchema.nullable() }),
  attempts: z.array(attemptSchema),
  upstream_rate_limits: upstreamLimitsSchema.nullable(),
  simulated: z.boolean(),
  /** The call that this entry corrects, and why. `cost_usd` is the difference then. */
  adjusts: z.strictObject({ call_id: z.string(), reason: z.string() }).nullable(),
})

export function entryJson({ facts, outcome, settledSeq, adjustment }: Entry): z.output<typeof entrySchema> {
  return {
    call_id: facts.callId,
    status: outcome ? outcome.ending : 'in_flight',
    certainty: outcome ? CERTAINTY_NAMES[outcome.certainty] : null,
    ...callerJson(facts.caller),
    operation: facts.operation,
    dialect: snakeCase(facts.dialect),
    provider: facts.provider,
    model: facts.requestedModel,
    answered_model: outcome?.answeredModel ?? null,
    reserved_at: timeJson(facts.reservedAtMs),
    settled_at: outcome ? timeJson(outcome.settledAtMs) : null,
    settled_seq: settledSeq,
    day: facts.day,
    reserved: { tokens: facts.reservedTokens, cost_usd: jsonUsd(facts.reservedCostNanoUsd) },
    ...usedJson(outcome),
    price_version: facts.priceVersion,
    cost_known: facts.costKnown || outcome?.providerCost !== undefined,
    streaming: facts.streaming,
    latency_ms: outcome?.latencyMs ?? null,
    time_to_first_token_ms: outcome?.timeToFirstTokenMs ?? null,
    max_output_tokens: { asked: facts.capAsked, set_by_gateway: facts.capInjected },
    attempts: (outcome?.attempts ?? []).map(attemptJson),
    upstream_rate_limits: outcome?.upstreamLimits ? upstreamLimitsJson(outcome.upstreamLimits) : null,
    simulated: facts.simulated,
    adjusts: adjustment ? { call_id: adjustment.callId, reason: adjustment.reason } : null,
  }
}

function callerJson({ key, organisation, project, user, thread, agent, task }: Caller) {
  return { key, organisation, project, user, thread, agent, task }
}

/** A call, and what operators said later that the call did cost. */
export const explainedSchema = entrySchema.extend({
  adjustments: z.array(
    z.strictObject({
      adjustment_id: z.string(),
      difference_usd: usdSchema,
      reason: z.string(),
      settled_at: timeSchema,
      settled_seq: countSchema,
    }),
  ),
  /** The cost with all adjustments. Null while the call is in flight. */
  adjusted_cost_usd: usdSchema.nullable(),
})

export type ExplainedJson = z.output<typeof explainedSchema>

export function explainedJson(entry: Entry, adjustments: readonly Entry[]): z.output<typeof explainedSchema> {
  const settled = adjustments.flatMap(({ facts, outcome, adjustment, settledSeq }) =>
    outcome && adjustment && settledSeq !== null ? [{ id: facts.callId, outcome, adjustment, settledSeq }] : [],
  )
  const differenceNanoUsd = settled.reduce((sum, { outcome }) => sum + outcome.cost.totalNanoUsd, 0n)
  return {
    ...entryJson(entry),
    adjustments: settled.map(({ id, outcome, adjustment, settledSeq }) => ({
      adjustment_id: id,
      difference_usd: jsonUsd(outcome.cost.totalNanoUsd),
      reason: adjustment.reason,
      settled_at: timeJson(outcome.settledAtMs),
      settled_seq: settledSeq,
    })),
    adjusted_cost_usd: entry.outcome ? jsonUsd(entry.outcome.cost.totalNanoUsd + differenceNanoUsd) : null,
  }
}

type UsedJson = Pick<
  z.output<typeof entrySchema>,
  'tokens' | 'usage' | 'cost_usd' | 'provider_cost_usd' | 'computed_cost_usd'
>

function usedJson(outcome: Outcome | null): UsedJson {
  if (!outcome) return { tokens: null, usage: null, cost_usd: null, provider_cost_usd: null, computed_cost_usd: null }
  const { usage, cost, providerCost, reasoningTokens } = outcome
  return {
    tokens: {
      total: totalTokens(usage),
      input: inputTokens(usage),
      output: outputTokens(usage),
      reasoning: reasoningTokens,
    },
    usage: usageJson(usage),
    cost_usd: {
      total: jsonUsd(cost.totalNanoUsd),
      input: jsonUsd(cost.inputNanoUsd),
      output: jsonUsd(cost.outputNanoUsd),
    },
    provider_cost_usd: providerCost ? jsonUsd(providerCost.statedNanoUsd) : null,
    computed_cost_usd: providerCost ? jsonUsd(providerCost.computedNanoUsd) : null,
  }
}

function attemptJson({ provider, model, status, error, durationMs, costNanoUsd }: Attempt) {
  return { provider, model, status, error, duration_ms: durationMs, cost_usd: jsonUsd(costNanoUsd) }
}

/** What a call can use at most, and what is reserved for it. */
export const quoteSchema = z.strictObject({
  input_tokens: countSchema,
  output_tokens: countSchema,
  tokens_reserved: countSchema,
  cost_usd: usdSchema,
  cost_known: z.boolean(),
  price_version: name,
  max_output_tokens_set_by_gateway: countSchema.nullable(),
})

export function quoteJson(quote: Quote): z.output<typeof quoteSchema> {
  return {
    input_tokens: quote.inputTokens,
    output_tokens: quote.outputTokens,
    tokens_reserved: quote.tokens,
    cost_usd: jsonUsd(quote.costNanoUsd),
    cost_known: quote.price !== undefined,
    price_version: quote.price?.version ?? null,
    max_output_tokens_set_by_gateway: quote.injectedCap,
  }
}

/** Why a call was refused, as `details` of the error that it was answered with. */
const refusalSchema = z.strictObject({
  reason: z.enum(['time', 'in_flight', 'never']),
  limit: z.string(),
  limits: z.array(z.string()),
  subject: z.string(),
  unit: levelSchema.shape.unit,
  needed: amountSchema,
  free: amountSchema,
  capacity: amountSchema,
  retry_after_ms: msSchema.nullable(),
  resets_at: timeSchema.nullable(),
  retryable: z.boolean(),
  fitting_max_output_tokens: countSchema.nullable(),
})

export const refusedSchema = z.strictObject({
  call_id: z.string(),
  status: z.literal('refused'),
  key: name,
  provider: z.string(),
  model: z.string(),
  refused_at: timeSchema,
  message: z.string(),
  refusal: refusalSchema,
  quote: quoteSchema,
})

export type RefusedJson = z.output<typeof refusedSchema>

export function refusedJson(call: CallRefused): z.output<typeof refusedSchema> {
  const details = refusalDetails(call.refusal, call.at.wallMs)
  return {
    call_id: call.callId,
    status: 'refused',
    key: call.caller.key,
    provider: call.provider,
    model: call.model,
    refused_at: timeJson(call.at.wallMs),
    message: call.refusal.message,
    refusal: { ...details, limits: [...details.limits] },
    quote: quoteJson(call.quote),
  }
}
