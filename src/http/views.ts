// Views: the JSON of amounts, levels, circuits, quote overruns and providers' own limits, each with its schema. Names are
// snake_case and end in their unit; money is exact dollars.

import { z } from 'zod'
import type { CircuitView } from '../core/circuit.ts'
import type { UpstreamLimits } from '../core/ledger-entry.ts'
import type { LevelView } from '../core/meter.ts'
import { jsonUsd } from '../core/money.ts'
import type { ModelOverruns } from '../core/quote-overruns.ts'
import { CLASS_ROWS, FEE_CLASSES, TOKEN_CLASSES, USAGE_CLASSES, type UsageClass } from '../core/usage.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import type { ModelBookings } from '../telemetry/booking-watch.ts'
import type { ObservedLimits } from '../telemetry/upstream-limit-tracker.ts'
import { amountJson, subjectText, unitOf } from '../wire/limit-headers.ts'

export const timeSchema = z.iso.datetime()
export const msSchema = z.number().min(0)
/** An amount in the unit that the same object names: whole requests, tokens or calls, or dollars. */
export const amountSchema = z.union([z.number(), usdSchema])

/** RFC 3339, in UTC. */
export function timeJson(wallMs: number): string {
  return new Date(wallMs).toISOString()
}

function countsSchema(classes: readonly UsageClass[]) {
  return z.strictObject(Object.fromEntries(classes.map((name) => [CLASS_ROWS[name].json, countSchema])))
}

/** Units by class, by their names in JSON: see `usageJson` in core/usage.ts. */
export const usageSchema = countsSchema(USAGE_CLASSES)
export const tokensByClassSchema = countsSchema(TOKEN_CLASSES)
export const billedUnitsSchema = countsSchema(FEE_CLASSES)

/** A limit and its level now. */
export const levelSchema = z.strictObject({
  /** The limit's name in messages and headers: `daily_spending_limit`. */
  limit: z.string(),
  /** `global`, or a kind and a name: `key:alice`. */
  subject: z.string(),
  unit: z.enum(['usd', 'calls', 'requests', 'tokens']),
  refill: z.enum(['steady', 'window', 'none', 'call']),
  enforced: z.boolean(),
  capacity: amountSchema,
  settled: amountSchema,
  reserved: amountSchema,
  free: amountSchema,
  resets_in_ms: msSchema,
})

export function levelJson(level: LevelView): z.output<typeof levelSchema> {
  const { meter } = level
  return {
    limit: meter.name,
    subject: subjectText(meter),
    unit: unitOf(meter),
    refill: meter.refill,
    enforced: level.enforced,
    capacity: amountJson(meter, level.capacity),
    settled: amountJson(meter, level.settled),
    reserved: amountJson(meter, level.reserved),
    free: amountJson(meter, level.free),
    resets_in_ms: level.resetMs,
  }
}

/** A target that failed or refused calls of late. */
export const circuitSchema = z.strictObject({
  target: z.string(),
  circuit: z.enum(['closed', 'open', 'half_open']),
  /** Calls that failed, `of` those counted. */
  failed: countSchema,
  of: countSchema,
  /** Until the next call is let through, if the circuit is open. */
  retry_after_ms: msSchema,
  /** Until the target is preferred again, after it refused a call. */
  cooling_ms: msSchema,
})

export function circuitJson(circuit: CircuitView): z.output<typeof circuitSchema> {
  const { provider, model, state, failures, calls, retryAfterMs, coolingMs } = circuit
  return {
    target: `${provider}/${model}`,
    circuit: state === 'half-open' ? 'half_open' : state,
    failed: failures,
    of: calls,
    retry_after_ms: Math.ceil(retryAfterMs),
    cooling_ms: Math.ceil(coolingMs),
  }
}

/** Calls that cost more than their quote: how many by model, what exceeded it, and how much higher the model is quoted since. */
export const overrunsSchema = z.strictObject({
  cost_over_quote: z.record(z.string(), countSchema),
  quote_exceeded: z.array(
    z.strictObject({
      provider: z.string(),
      model: z.string(),
      input: countSchema,
      output: countSchema,
      price: countSchema,
      factor: z.number().min(1),
    }),
  ),
})

export function overrunsJson(models: readonly ModelOverruns[]): z.output<typeof overrunsSchema> {
  const realModels = models.filter(({ simulated }) => !simulated)
  const callsByModel = new Map<string, number>()
  for (const { model, counts } of realModels)
    callsByModel.set(model, (callsByModel.get(model) ?? 0) + counts.input + counts.output + counts.price)
  return {
    cost_over_quote: Object.fromEntries(callsByModel),
    quote_exceeded: realModels.map(({ provider, model, counts, percent }) => ({
      provider,
      model,
      ...counts,
      factor: percent / 100,
    })),
  }
}

/** The prices in force, as `/llm/status` shows them. */
export interface PriceStateView {
  readonly version: string
  readonly date: string
  readonly origin: 'shipped' | 'downloaded'
  readonly warnings: readonly { readonly code: string; readonly message: string }[]
  readonly downloadedAtMs: number | null
  readonly downloadError: string | null
}

export const pricesSchema = z.strictObject({
  version: z.string(),
  date: z.string(),
  origin: z.enum(['shipped', 'downloaded']),
  downloaded_at: timeSchema.nullable(),
  download_error: z.string().nullable(),
  warnings: z.array(z.strictObject({ code: z.string(), message: z.string() })),
})

export function pricesJson(state: PriceStateView): z.output<typeof pricesSchema> {
  return {
    version: state.version,
    date: state.date,
    origin: state.origin,
    downloaded_at: state.downloadedAtMs === null ? null : timeJson(state.downloadedAtMs),
    download_error: state.downloadError,
    warnings: state.warnings.map(({ code, message }) => ({ code, message })),
  }
}

/** What answers stated of their cost, by model, and how many reported usage that cannot be true. */
export const bookingsSchema = z.strictObject({
  stated_costs: z.array(
    z.strictObject({
      provider: z.string(),
      model: z.string(),
      calls: countSchema,
      calls_differing_over_1_percent: countSchema,
      provider_cost_usd: usdSchema,
      computed_cost_usd: usdSchema,
    }),
  ),
  usage_not_credible: z.array(z.strictObject({ provider: z.string(), model: z.string(), calls: countSchema })),
})

export function bookingsJson(models: readonly Readonly<ModelBookings>[]): z.output<typeof bookingsSchema> {
  return {
    stated_costs: models
      .filter(({ statedCalls }) => statedCalls > 0)
      .map(({ provider, model, statedCalls, differingCalls, statedNanoUsd, computedNanoUsd }) => ({
        provider,
        model,
        calls: statedCalls,
        calls_differing_over_1_percent: differingCalls,
        provider_cost_usd: jsonUsd(statedNanoUsd),
        computed_cost_usd: jsonUsd(computedNanoUsd),
      })),
    usage_not_credible: models
      .filter(({ incredibleCalls }) => incredibleCalls > 0)
      .map(({ provider, model, incredibleCalls }) => ({ provider, model, calls: incredibleCalls })),
  }
}

const reported = z.number().nullable()
/** A provider's own rate limits, as its answer gave them; null for what it did not give. */
export const upstreamLimitsSchema = z.strictObject({
  limit_requests: reported,
  remaining_requests: reported,
  reset_requests_ms: reported,
  limit_tokens: reported,
  remaining_tokens: reported,
  reset_tokens_ms: reported,
  retry_after_ms: reported,
  others: z.array(z.strictObject({ name: z.string(), limit: reported, remaining: reported, reset_ms: reported })),
})
export const observedLimitsSchema = z.strictObject({ ...upstreamLimitsSchema.shape, seen_at: timeSchema })

export function upstreamLimitsJson(limits: UpstreamLimits): z.output<typeof upstreamLimitsSchema> {
  return {
    limit_requests: limits.limitRequests,
    remaining_requests: limits.remainingRequests,
    reset_requests_ms: limits.resetRequestsMs,
    limit_tokens: limits.limitTokens,
    remaining_tokens: limits.remainingTokens,
    reset_tokens_ms: limits.resetTokensMs,
    retry_after_ms: limits.retryAfterMs,
    others: limits.others.map(({ resetMs, ...limit }) => ({ ...limit, reset_ms: resetMs })),
  }
}

export function observedLimitsJson(limits: ObservedLimits): z.output<typeof observedLimitsSchema> {
  return { ...upstreamLimitsJson(limits), seen_at: timeJson(limits.seenAtMs) }
}
