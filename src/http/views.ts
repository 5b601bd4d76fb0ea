// Views: the JSON of the gateway's own endpoints: entries, refusals and levels as people and programs read them. Money is decimal dollars.

import type { CircuitView } from '../core/circuit.ts'
import type { Entry } from '../core/ledger-entry.ts'
import type { LevelView } from '../core/meter.ts'
import { jsonUsd } from '../core/money.ts'
import type { Quote } from '../core/quote.ts'
import type { ModelOverruns } from '../core/quote-overruns.ts'
import { inputTokens, outputTokens, totalTokens } from '../core/usage.ts'
import type { RefusalRecord } from '../telemetry/recorder.ts'
import { amountJson, refusalDetails } from '../wire/limit-headers.ts'

const isoTime = (atMs: number) => new Date(atMs).toISOString()

export function entryJson({ facts, outcome, settledSeq }: Entry): Readonly<Record<string, unknown>> {
  return {
    call_id: facts.callId,
    status: outcome ? outcome.ending : 'in_flight',
    certainty: outcome?.certainty ?? null,
    ...facts.caller,
    operation: facts.operation,
    dialect: facts.dialect,
    provider: facts.provider,
    model: facts.requestedModel,
    answered_model: outcome?.answeredModel ?? null,
    reserved_at: isoTime(facts.reservedAtMs),
    settled_at: outcome ? isoTime(outcome.settledAtMs) : null,
    settled_seq: settledSeq,
    day: facts.day,
    reserved: { tokens: facts.reservedTokens, cost: jsonUsd(facts.reservedCostNanoUsd) },
    tokens: outcome
      ? {
          total: totalTokens(outcome.usage),
          input: inputTokens(outcome.usage),
          output: outputTokens(outcome.usage),
          reasoning: outcome.reasoningTokens,
        }
      : null,
    usage: outcome?.usage ?? null,
    cost: outcome
      ? {
          total: jsonUsd(outcome.cost.totalNanoUsd),
          input: jsonUsd(outcome.cost.inputNanoUsd),
          output: jsonUsd(outcome.cost.outputNanoUsd),
        }
      : null,
    price_version: facts.priceVersion,
    cost_known: facts.costKnown,
    streaming: facts.streaming,
    latency_ms: outcome?.latencyMs ?? null,
    time_to_first_token_ms: outcome?.timeToFirstTokenMs ?? null,
    max_output_tokens: { asked: facts.capAsked, set_by_gateway: facts.capInjected },
    attempts: (outcome?.attempts ?? []).map(({ durationMs, costNanoUsd, ...attempt }) => ({
      ...attempt,
      duration_ms: durationMs,
      cost: jsonUsd(costNanoUsd),
    })),
    upstream_rate_limits: outcome?.upstreamLimits ?? null,
    simulated: facts.simulated,
  }
}

export function refusedJson(call: RefusalRecord): Readonly<Record<string, unknown>> {
  return {
    call_id: call.callId,
    status: 'refused',
    key: call.key,
    provider: call.provider,
    model: call.model,
    refused_at: isoTime(call.atMs),
    message: call.refusal.message,
    refusal: refusalDetails(call.refusal, call.atMs),
    quote: quoteJson(call.quote),
  }
}

export function quoteJson(quote: Quote): Readonly<Record<string, unknown>> {
  return {
    input_tokens: quote.inputTokens,
    output_tokens: quote.outputTokens,
    tokens_reserved: quote.tokens,
    cost: jsonUsd(quote.costNanoUsd),
    cost_known: quote.price !== undefined,
    price_version: quote.price?.version ?? null,
    max_output_tokens_set_by_gateway: quote.injectedCap,
  }
}

/** Calls that cost more than their quote: how many by model, and beside it why, and by what such a model is quoted higher. */
export function overrunsJson(models: readonly ModelOverruns[]): Readonly<Record<string, unknown>> {
  const real = models.filter((one) => !one.simulated)
  const counts = new Map<string, number>()
  for (const { model, counts: by } of real)
    counts.set(model, (counts.get(model) ?? 0) + by.input + by.output + by.price)
  return {
    cost_over_quote: Object.fromEntries(counts),
    quote_exceeded: real.map(({ provider, model, counts: by, percent }) => ({
      provider,
      model,
      ...by,
      factor: percent / 100,
    })),
  }
}

/** A target that failed of late, or refused. */
export function circuitJson(circuit: CircuitView): Readonly<Record<string, unknown>> {
  const { provider, model, state, failures, calls, retryAfterMs, coolingMs } = circuit
  return {
    target: `${provider}/${model}`,
    circuit: state,
    failed: failures,
    of: calls,
    retry_after_ms: Math.ceil(retryAfterMs),
    cooling_ms: Math.ceil(coolingMs),
  }
}

export function levelJson(level: LevelView): Readonly<Record<string, unknown>> {
  const { meter } = level
  return {
    limit: meter.name,
    subject: meter.who === 'global' ? 'global' : `${meter.who}:${meter.subject}`,
    unit: meter.what === 'cost' ? 'usd' : meter.what === 'inFlight' ? 'calls' : meter.what,
    refill: meter.refill,
    enforced: level.enforced,
    capacity: amountJson(meter, level.capacity),
    settled: amountJson(meter, level.settled),
    reserved: amountJson(meter, level.reserved),
    free: amountJson(meter, level.free),
    resets_in_ms: level.resetMs,
  }
}
