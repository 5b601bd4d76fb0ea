// Metrics epoch: the totals from which the counters of /api/metrics start anew. The ledger and its sums stay as they are.

import { z } from 'zod'
import { minuteOf, type Report, type Tally } from '../core/report.ts'
import { inputTokens, outputTokens } from '../core/usage.ts'
import type { Registry, WriteOrigin } from '../stores/registry.ts'

/** What the counters count. */
export interface MetricTotals {
  readonly requests: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costNanoUsd: bigint
}

const KIND = 'metrics-epoch'
const ID = 'current'
const RECENT_MINUTES = 60

const totalsSchema = z
  .object({ requests: z.number(), input_tokens: z.number(), output_tokens: z.number(), cost_nano_usd: z.string() })
  .transform(({ requests, input_tokens, output_tokens, cost_nano_usd }): MetricTotals => {
    return { requests, inputTokens: input_tokens, outputTokens: output_tokens, costNanoUsd: BigInt(cost_nano_usd) }
  })
/** The totals at an instant, and those of the hour before, by minute since the epoch. */
const baselineSchema = z.object({ total: totalsSchema, minutes: z.array(z.tuple([z.number(), totalsSchema])) })
const epochSchema = z.object({ real: baselineSchema, simulated: baselineSchema })

/** The counters since the last reset: of all calls, and of the last hour. */
export async function countersOf(
  registry: Pick<Registry, 'read'>,
  report: Report,
  simulated: boolean,
  wallMs: number,
): Promise<{ readonly global: MetricTotals; readonly lastHour: MetricTotals }> {
  const [document] = await registry.read(KIND, ID)
  const epoch = document && epochSchema.parse(document.value)[simulated ? 'simulated' : 'real']
  const recent = (epoch?.minutes ?? []).filter(([minute]) => isRecent(minute, wallMs)).map(([, totals]) => totals)
  return {
    global: difference(totalsOf(report.total()), epoch ? [epoch.total] : []),
    lastHour: difference(totalsOf(report.recentHour(wallMs)), recent),
  }
}

/** Starts the counters anew from these reports. Rejects with StoreUnavailable. */
export async function startEpoch(
  registry: Pick<Registry, 'write'>,
  reports: { readonly real: Report; readonly simulated: Report },
  origin: WriteOrigin,
): Promise<void> {
  const value = {
    real: baselineJson(reports.real, origin.atMs),
    simulated: baselineJson(reports.simulated, origin.atMs),
  }
  await registry.write({ kind: KIND, id: ID, value }, origin)
}

export function totalsOf({ requests, usage, costNanoUsd }: Tally): MetricTotals {
  return { requests, inputTokens: inputTokens(usage), outputTokens: outputTokens(usage), costNanoUsd }
}

function difference(totals: MetricTotals, before: readonly MetricTotals[]): MetricTotals {
  return before.reduce(
    (rest, taken) => ({
      requests: rest.requests - taken.requests,
      inputTokens: rest.inputTokens - taken.inputTokens,
      outputTokens: rest.outputTokens - taken.outputTokens,
      costNanoUsd: rest.costNanoUsd - taken.costNanoUsd,
    }),
    totals,
  )
}

function isRecent(minute: number, wallMs: number): boolean {
  const last = minuteOf(wallMs)
  return minute > last - RECENT_MINUTES && minute <= last
}

function baselineJson(report: Report, wallMs: number) {
  const minutes = [...report.minutes].filter(([minute]) => isRecent(minute, wallMs))
  return {
    total: totalsJson(totalsOf(report.total())),
    minutes: minutes.map(([minute, tally]) => [minute, totalsJson(totalsOf(tally))]),
  }
}

function totalsJson({ requests, inputTokens: input, outputTokens: output, costNanoUsd }: MetricTotals) {
  return { requests, input_tokens: input, output_tokens: output, cost_nano_usd: `${costNanoUsd}` }
}
