// Usage views: the JSON and the CSV columns of sums and of records, each with its schema.

import { z } from 'zod'
import { percentile } from '../core/histogram.ts'
import { snakeCase } from '../core/json-values.ts'
import { CERTAINTY_NAMES, type SettledEntry } from '../core/ledger-entry.ts'
import { formatUsd, jsonUsd } from '../core/money.ts'
import { cacheReadTokens, cacheWriteTokens, inputTokens, outputTokens, totalTokens, usageJson } from '../core/usage.ts'
import { addUsageSum, newUsageSum, type UsageSum } from '../core/usage-sum.ts'
import type { ZoneDay } from '../core/zone-days.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import type { UsageGroups, UsageReport } from '../stores/usage-query.ts'
import { type CsvColumn, figure, text } from './csv.ts'
import { msSchema, timeJson, timeSchema, usageSchema } from './views.ts'

const name = z.string().nullable()
const percentilesSchema = z.strictObject({
  p50: msSchema.nullable(),
  p95: msSchema.nullable(),
  p99: msSchema.nullable(),
})

/** The fields of a sum of calls. */
export const SUM_FIELDS = {
  total_requests: countSchema,
  /** Of all classes, cached or not. */
  total_input_tokens: countSchema,
  total_output_tokens: countSchema,
  total_tokens: countSchema,
  /** Parts of the input. */
  cache_read_tokens: countSchema,
  cache_write_tokens: countSchema,
  total_cost: usdSchema,
  /** Rounded down to a nano-dollar. */
  average_cost: usdSchema,
  outcomes: z.strictObject({
    completed: countSchema,
    failed: countSchema,
    canceled: countSchema,
    expired: countSchema,
  }),
  /** The part of the requests that failed, from 0 to 1. */
  error_rate: z.number().min(0).max(1),
  certainty: z.strictObject({ exact: countSchema, estimated: countSchema, upper_bound: countSchema }),
  /** Of completed calls. Null if there are none, and in sums by key and by user that nothing filters. */
  latency_ms: percentilesSchema,
  time_to_first_token_ms: percentilesSchema,
  /** What the callers said that their calls made (`x-bursar-items`). */
  items: countSchema,
  /** The cost of those calls by their items, rounded down to a nano-dollar. Null without items. */
  cost_per_item: usdSchema.nullable(),
}
export const sumSchema = z.strictObject(SUM_FIELDS)

export type SumJson = z.output<typeof sumSchema>

export function sumJson(sum: UsageSum): z.output<typeof sumSchema> {
  const { requests, endings, certainty, items } = sum
  return {
    total_requests: requests,
    total_input_tokens: sum.inputTokens,
    total_output_tokens: sum.outputTokens,
    total_tokens: tokensOf(sum),
    cache_read_tokens: sum.cacheReadTokens,
    cache_write_tokens: sum.cacheWriteTokens,
    total_cost: jsonUsd(sum.costNanoUsd),
    average_cost: jsonUsd(requests === 0 ? 0n : sum.costNanoUsd / BigInt(requests)),
    outcomes: { ...endings },
    error_rate: errorRate(sum),
    certainty: { exact: certainty.exact, estimated: certainty.estimated, upper_bound: certainty.upperBound },
    latency_ms: percentilesJson(sum.latency),
    time_to_first_token_ms: percentilesJson(sum.timeToFirstToken),
    items,
    cost_per_item: items === 0 ? null : jsonUsd(sum.itemCostNanoUsd / BigInt(items)),
  }
}

export function tokensOf({ inputTokens: input, outputTokens: output }: UsageSum): number {
  return Math.min(input + output, Number.MAX_SAFE_INTEGER)
}

function errorRate({ requests, endings }: UsageSum): number {
  return requests === 0 ? 0 : endings.failed / requests
}

function percentilesJson(histogram: UsageSum['latency']): z.output<typeof percentilesSchema> {
  return {
    p50: percentile(histogram, 0.5),
    p95: percentile(histogram, 0.95),
    p99: percentile(histogram, 0.99),
  }
}

const trendSchema = z.strictObject({ date: z.iso.date(), cost: usdSchema, requests: countSchema, tokens: countSchema })

/** A sum, and what it is made of. */
export const STATISTICS_FIELDS = {
  ...SUM_FIELDS,
  /** By `provider/model`. */
  cost_by_model: z.record(z.string(), usdSchema),
  tokens_by_model: z.record(z.string(), countSchema),
  /** The models that are not listed because there are too many. Null if all are listed. */
  other_models: z.strictObject({ count: countSchema, cost: usdSchema, tokens: countSchema }).nullable(),
  /** The empty name has the calls without an agent. */
  requests_by_agent: z.record(z.string(), countSchema),
  other_agents: z.strictObject({ count: countSchema, requests: countSchema }).nullable(),
  /** Every day of the period in its zone, also without a call. */
  cost_trend: z.array(trendSchema),
}
const statisticsSchema = z.strictObject(STATISTICS_FIELDS)

/**
 * @param report by model and by agent, with a part for each of the days
 */
export function statisticsJson(report: UsageReport, days: readonly ZoneDay[]): z.output<typeof statisticsSchema> {
  const models = report.by.model ?? NO_GROUPS
  const agents = report.by.agent ?? NO_GROUPS
  return {
    ...sumJson(report.total),
    cost_by_model: byName(models, ({ costNanoUsd }) => jsonUsd(costNanoUsd)),
    tokens_by_model: byName(models, tokensOf),
    other_models: models.others && {
      count: otherCount(models),
      cost: jsonUsd(models.others.costNanoUsd),
      tokens: tokensOf(models.others),
    },
    requests_by_agent: byName(agents, ({ requests }) => requests),
    other_agents: agents.others && { count: otherCount(agents), requests: agents.others.requests },
    cost_trend: report.parts.map((sum, index) => ({
      date: days[index]?.date ?? '',
      cost: jsonUsd(sum.costNanoUsd),
      requests: sum.requests,
      tokens: tokensOf(sum),
    })),
  }
}

export const NO_GROUPS: UsageGroups = { groups: [], count: 0, others: null }

function byName<Figure>({ groups }: UsageGroups, figure: (sum: UsageSum) => Figure): Record<string, Figure> {
  return Object.fromEntries(groups.map(({ value, sum }) => [value ?? '', figure(sum)]))
}

/** At most so many groups, and the sum of all others. */
export function firstGroups({ groups, count, others }: UsageGroups, maxGroups: number): UsageGroups {
  const rest = groups.slice(maxGroups)
  if (rest.length === 0) return { groups, count, others }
  const sum = rest.reduce((all, group) => addUsageSum(all, group.sum), newUsageSum())
  return { groups: groups.slice(0, maxGroups), count, others: others ? addUsageSum(sum, others) : sum }
}

/** How many values are in the sum of the others. */
export function otherCount({ count, groups }: UsageGroups): number {
  return count - groups.length
}

/** The columns of a sum. */
export const SUM_COLUMNS: readonly CsvColumn<{ readonly sum: UsageSum }>[] = [
  figure('total_requests', ({ sum }) => sum.requests),
  figure('total_input_tokens', ({ sum }) => sum.inputTokens),
  figure('total_output_tokens', ({ sum }) => sum.outputTokens),
  figure('total_tokens', ({ sum }) => tokensOf(sum)),
  figure('cache_read_tokens', ({ sum }) => sum.cacheReadTokens),
  figure('cache_write_tokens', ({ sum }) => sum.cacheWriteTokens),
  figure('total_cost', ({ sum }) => formatUsd(sum.costNanoUsd)),
  figure('completed', ({ sum }) => sum.endings.completed),
  figure('failed', ({ sum }) => sum.endings.failed),
  figure('canceled', ({ sum }) => sum.endings.canceled),
  figure('expired', ({ sum }) => sum.endings.expired),
  figure('error_rate', ({ sum }) => errorRate(sum)),
  figure('exact', ({ sum }) => sum.certainty.exact),
  figure('estimated', ({ sum }) => sum.certainty.estimated),
  figure('upper_bound', ({ sum }) => sum.certainty.upperBound),
  figure('latency_ms_p50', ({ sum }) => percentile(sum.latency, 0.5)),
  figure('latency_ms_p95', ({ sum }) => percentile(sum.latency, 0.95)),
  figure('latency_ms_p99', ({ sum }) => percentile(sum.latency, 0.99)),
  figure('time_to_first_token_ms_p50', ({ sum }) => percentile(sum.timeToFirstToken, 0.5)),
  figure('time_to_first_token_ms_p95', ({ sum }) => percentile(sum.timeToFirstToken, 0.95)),
  figure('time_to_first_token_ms_p99', ({ sum }) => percentile(sum.timeToFirstToken, 0.99)),
  figure('items', ({ sum }) => sum.items),
  figure('cost_per_item', ({ sum }) => (sum.items === 0 ? null : formatUsd(sum.itemCostNanoUsd / BigInt(sum.items)))),
]

/** A settled call, or the correction of the cost of one. */
export const recordSchema = z.strictObject({
  id: z.string(),
  user_id: name,
  thread_id: name,
  /** When the call was reserved. */
  timestamp: timeSchema,
  /** `provider/model`, as it was sent. */
  model: z.string(),
  agent_name: name,
  operation_type: name,
  input_tokens: countSchema,
  output_tokens: countSchema,
  total_tokens: countSchema,
  input_cost: usdSchema,
  output_cost: usdSchema,
  /** With fees that are neither input nor output. */
  total_cost: usdSchema,
  /** What the caller sent along. */
  request_metadata: z.unknown(),
  key: name,
  organisation: name,
  project: name,
  task: name,
  provider: z.string(),
  answered_model: name,
  dialect: z.string(),
  cache_read_tokens: countSchema,
  cache_write_tokens: countSchema,
  reasoning_tokens: countSchema,
  usage: usageSchema,
  /** `adjusted`: no call, but the correction of the cost of `adjusts`. */
  outcome: z.enum(['completed', 'failed', 'canceled', 'expired', 'adjusted']),
  certainty: z.enum(['exact', 'estimated', 'upper_bound']),
  cost_known: z.boolean(),
  price_version: name,
  streaming: z.boolean(),
  latency_ms: msSchema,
  time_to_first_token_ms: msSchema.nullable(),
  items: countSchema.nullable(),
  settled_at: timeSchema,
  adjusts: name,
})

export type RecordJson = z.output<typeof recordSchema>

export function recordJson(entry: SettledEntry): z.output<typeof recordSchema> {
  const { facts, outcome, adjustment } = entry
  const { caller } = facts
  const { usage, cost } = outcome
  return {
    id: facts.callId,
    user_id: caller.user,
    thread_id: caller.thread,
    timestamp: timeJson(facts.reservedAtMs),
    model: `${facts.provider}/${facts.model}`,
    agent_name: caller.agent,
    operation_type: facts.operation,
    input_tokens: inputTokens(usage),
    output_tokens: outputTokens(usage),
    total_tokens: totalTokens(usage),
    input_cost: jsonUsd(cost.inputNanoUsd),
    output_cost: jsonUsd(cost.outputNanoUsd),
    total_cost: jsonUsd(cost.totalNanoUsd),
    request_metadata: metadataJson(facts.metadata),
    key: caller.key,
    organisation: caller.organisation,
    project: caller.project,
    task: caller.task,
    provider: facts.provider,
    answered_model: outcome.answeredModel,
    dialect: snakeCase(facts.dialect),
    cache_read_tokens: cacheReadTokens(usage),
    cache_write_tokens: cacheWriteTokens(usage),
    reasoning_tokens: outcome.reasoningTokens,
    usage: usageJson(usage),
    outcome: outcome.ending,
    certainty: CERTAINTY_NAMES[outcome.certainty],
    cost_known: facts.costKnown || outcome.providerCost !== undefined,
    price_version: facts.priceVersion,
    streaming: facts.streaming,
    latency_ms: outcome.latencyMs,
    time_to_first_token_ms: outcome.timeToFirstTokenMs,
    items: facts.items,
    settled_at: timeJson(outcome.settledAtMs),
    adjusts: adjustment?.callId ?? null,
  }
}

function metadataJson(metadata: string | null): unknown {
  if (metadata === null) return null
  try {
    return JSON.parse(metadata)
  } catch {
    return metadata
  }
}

/** The fields of a record in their order, without `usage`. */
export const RECORD_COLUMNS: readonly CsvColumn<SettledEntry>[] = [
  text('id', ({ facts }) => facts.callId),
  text('user_id', ({ facts }) => facts.caller.user),
  text('thread_id', ({ facts }) => facts.caller.thread),
  figure('timestamp', ({ facts }) => timeJson(facts.reservedAtMs)),
  text('model', ({ facts }) => `${facts.provider}/${facts.model}`),
  text('agent_name', ({ facts }) => facts.caller.agent),
  text('operation_type', ({ facts }) => facts.operation),
  figure('input_tokens', ({ outcome }) => inputTokens(outcome.usage)),
  figure('output_tokens', ({ outcome }) => outputTokens(outcome.usage)),
  figure('total_tokens', ({ outcome }) => totalTokens(outcome.usage)),
  figure('input_cost', ({ outcome }) => formatUsd(outcome.cost.inputNanoUsd)),
  figure('output_cost', ({ outcome }) => formatUsd(outcome.cost.outputNanoUsd)),
  figure('total_cost', ({ outcome }) => formatUsd(outcome.cost.totalNanoUsd)),
  text('request_metadata', ({ facts }) => facts.metadata),
  text('key', ({ facts }) => facts.caller.key),
  text('organisation', ({ facts }) => facts.caller.organisation),
  text('project', ({ facts }) => facts.caller.project),
  text('task', ({ facts }) => facts.caller.task),
  text('provider', ({ facts }) => facts.provider),
  text('answered_model', ({ outcome }) => outcome.answeredModel),
  text('dialect', ({ facts }) => snakeCase(facts.dialect)),
  figure('cache_read_tokens', ({ outcome }) => cacheReadTokens(outcome.usage)),
  figure('cache_write_tokens', ({ outcome }) => cacheWriteTokens(outcome.usage)),
  figure('reasoning_tokens', ({ outcome }) => outcome.reasoningTokens),
  figure('outcome', ({ outcome }) => outcome.ending),
  figure('certainty', ({ outcome }) => CERTAINTY_NAMES[outcome.certainty]),
  figure('cost_known', ({ facts, outcome }) => facts.costKnown || outcome.providerCost !== undefined),
  text('price_version', ({ facts }) => facts.priceVersion),
  figure('streaming', ({ facts }) => facts.streaming),
  figure('latency_ms', ({ outcome }) => outcome.latencyMs),
  figure('time_to_first_token_ms', ({ outcome }) => outcome.timeToFirstTokenMs),
  figure('items', ({ facts }) => facts.items),
  figure('settled_at', ({ outcome }) => timeJson(outcome.settledAtMs)),
  text('adjusts', ({ adjustment }) => adjustment?.callId),
]
