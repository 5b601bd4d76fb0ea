// Stats: GET /llm/stats, the sums over all calls that the viewer may see, and the newest of them.

import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { type LimitPlan, NO_SUBJECTS, ZERO_AMOUNTS } from '../core/limits.ts'
import { jsonUsd, type UsdJson } from '../core/money.ts'
import type { Report, Tally } from '../core/report.ts'
import { FEE_CLASSES, TOKEN_CLASSES, usageJson } from '../core/usage.ts'
import type { Provider } from '../providers/provider.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import type { Store } from '../stores/store.ts'
import { amountJson } from '../wire/limit-headers.ts'
import { entryJson, entrySchema } from './call-views.ts'
import { endpointsFor } from './endpoint.ts'
import { amountSchema, billedUnitsSchema, tokensByClassSchema } from './views.ts'

export interface StatsParts {
  readonly clock: Clock
  readonly store: Store
  readonly providers: readonly Provider[]
  readonly plan: () => LimitPlan
}

const endpoint = endpointsFor<StatsParts>()

const MAX_NEWEST_ENTRIES = 20

/** The global limits by the names of the settings; null if there is no such limit. */
const rateLimitsSchema = z
  .object({
    requests_per_minute: amountSchema.nullable(),
    tokens_per_minute: amountSchema.nullable(),
    max_cost_per_request: amountSchema.nullable(),
    daily_spending_limit: amountSchema.nullable(),
  })
  .catchall(amountSchema.nullable())

export const STATS = endpoint({
  method: 'GET',
  path: '/llm/stats',
  alias: '/api/patterns/llm/stats',
  role: 'figures',
  summary: 'Totals, the recent hour, costs by day, what is reserved now, and the newest calls.',
  answer: z.strictObject({
    total_requests: countSchema,
    total_tokens: countSchema,
    total_cost: usdSchema,
    average_cost: usdSchema,
    recent_hour: z.strictObject({ requests: countSchema, tokens: countSchema, cost: usdSchema }),
    daily_costs: z.record(z.iso.date(), usdSchema),
    rate_limits: rateLimitsSchema,
    tokens_by_class: tokensByClassSchema,
    billed_units: billedUnitsSchema,
    certainty: z.strictObject({ exact: countSchema, estimated: countSchema, upper_bound: countSchema }),
    refused: z.record(z.string(), countSchema).optional(),
    reserved_now: z.strictObject({ requests: countSchema, tokens: countSchema, cost_usd: usdSchema }).optional(),
    late_settlements: countSchema.optional(),
    simulated: z.boolean(),
    newest: z.array(entrySchema),
  }),
}).handle(async (parts, { sender }) => {
  const { store, clock, plan } = parts
  const simulated = await showsSimulated(parts)
  const ownCalls = sender.role === 'key' ? { key: sender.key } : {}
  const newest = await store.entries({ simulated, ...ownCalls, limit: MAX_NEWEST_ENTRIES })
  const { report, open, lateSettlements } = await store.figures({ simulated, ...ownCalls })
  const total = report.total()
  return {
    answer: {
      total_requests: total.requests,
      total_tokens: total.tokens,
      total_cost: jsonUsd(total.costNanoUsd),
      average_cost: jsonUsd(total.requests === 0 ? 0n : total.costNanoUsd / BigInt(total.requests)),
      recent_hour: tallyJson(report.recentHour(clock.now().wallMs)),
      daily_costs: dailyCosts(report),
      rate_limits: rateLimits(plan(), clock.now().wallMs),
      tokens_by_class: usageJson(total.usage, TOKEN_CLASSES),
      billed_units: usageJson(total.usage, FEE_CLASSES),
      certainty: { exact: total.exact, estimated: total.estimated, upper_bound: total.upperBound },
      ...(sender.role === 'key'
        ? {}
        : {
            refused: Object.fromEntries(report.refusals),
            reserved_now: { requests: open.calls, tokens: open.tokens, cost_usd: jsonUsd(open.costNanoUsd) },
            late_settlements: lateSettlements,
          }),
      simulated,
      newest: newest.map(entryJson),
    },
  }
})

/**
 * Whether figures show simulated calls: only while there are no others and no provider has a key. (A handler behind `gate()`
 * makes real calls without a provider of the gateway.)
 */
export async function showsSimulated({ providers, store }: Pick<StatsParts, 'providers' | 'store'>): Promise<boolean> {
  if (providers.some(({ configured, simulated }) => configured && !simulated)) return false
  const { report, open } = await store.figures({ simulated: false })
  return open.calls === 0 && report.total().requests === 0
}

function tallyJson({ requests, tokens, costNanoUsd }: Tally) {
  return { requests, tokens, cost: jsonUsd(costNanoUsd) }
}

function dailyCosts(report: Report): Record<string, UsdJson> {
  const days = [...report.days].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(days.map(([day, { costNanoUsd }]) => [day, jsonUsd(costNanoUsd)]))
}

function rateLimits(plan: LimitPlan, wallMs: number): z.output<typeof rateLimitsSchema> {
  const globalLimits = plan
    .chargesFor(NO_SUBJECTS, ZERO_AMOUNTS, wallMs, '', false)
    .filter(({ meter }) => meter.who === 'global')
    .map(({ meter, capacity }) => [meter.name, amountJson(meter, capacity)] as const)
  return {
    requests_per_minute: null,
    tokens_per_minute: null,
    max_cost_per_request: null,
    daily_spending_limit: null,
    ...Object.fromEntries(globalLimits),
  }
}
