// Unusual spend: whether an hour costs more than that hour usually does. The rule: the cost is above a floor, and above a factor times
// the median of the same hour of the 14 days before, 24 hours apart, of which the ledger must know at least 7.

import { scopeName } from '../config/limits.ts'
import { median } from '../core/median.ts'
import { formatUsd, jsonUsd } from '../core/money.ts'
import type { UsageSum } from '../core/usage-sum.ts'
import type { Store } from '../stores/store.ts'
import type { UsageQuery } from '../stores/usage-query.ts'
import { type Alert, DAY_MS, HOUR_MS, nameText, timeText } from './alert.ts'

const HISTORY_DAYS = 14
const MIN_HISTORY_DAYS = 7
/** The keys of an hour that are looked at one by one: the dearest. */
const MAX_KEYS = 20

/** One hour of everyone or of a key, beside what that hour usually costs. */
export interface HourOfSpend {
  /** Null: all keys together. */
  readonly key: string | null
  readonly startsAtMs: number
  readonly endsAtMs: number
  /** So far. In nano-dollars. */
  readonly costNanoUsd: bigint
  /** The median of the same hour of the days before. */
  readonly usualNanoUsd: bigint
  /** How many days the median is of. */
  readonly days: number
}

/** When an hour is unusual. */
export interface SpendRule {
  readonly factor: number
  readonly floorNanoUsd: bigint
}

export function isUnusual({ costNanoUsd, usualNanoUsd }: HourOfSpend, { factor, floorNanoUsd }: SpendRule): boolean {
  // A factor has at most as many decimals as a thousandth.
  const allowed = (usualNanoUsd * BigInt(Math.round(factor * 1_000))) / 1_000n
  return costNanoUsd > floorNanoUsd && costNanoUsd > allowed
}

/**
 * The hour of everyone, and of each key that cost more than the floor in it. Empty if the ledger knows too few days. Rejects as
 * `Store.usage`.
 * @param startsAtMs of the hour: a whole quarter hour
 */
export async function hoursOfSpend(
  store: Pick<Store, 'usage'>,
  startsAtMs: number,
  simulated: boolean,
  floorNanoUsd: bigint,
): Promise<readonly HourOfSpend[]> {
  const query = historyQuery(startsAtMs, simulated)
  const all = hourOf((await store.usage(query)).parts, null, startsAtMs)
  if (!all || all.costNanoUsd <= floorNanoUsd) return []
  const period = { fromMs: startsAtMs, untilMs: startsAtMs + HOUR_MS }
  const byKey = await store.usage({ simulated, period, by: ['key'], maxGroups: MAX_KEYS })
  const hours: HourOfSpend[] = [all]
  for (const { value, sum } of byKey.by.key?.groups ?? []) {
    if (value === null || sum.costNanoUsd <= floorNanoUsd) continue
    const hour = hourOf((await store.usage({ ...query, where: { key: value } })).parts, value, startsAtMs)
    if (hour) hours.push(hour)
  }
  return hours
}

/** The same hour of each day, and the time between: one part after the other. */
function historyQuery(startsAtMs: number, simulated: boolean): UsageQuery {
  const days = Array.from({ length: HISTORY_DAYS }, (_, index) => HISTORY_DAYS - index)
  const edges = days.flatMap((day) => [startsAtMs - day * DAY_MS, startsAtMs - day * DAY_MS + HOUR_MS])
  const [fromMs = startsAtMs, ...cuts] = [...edges, startsAtMs]
  return { simulated, period: { fromMs, untilMs: startsAtMs + HOUR_MS }, cuts }
}

/** Undefined if the parts before the hour have too few days. */
function hourOf(parts: readonly UsageSum[], key: string | null, startsAtMs: number): HourOfSpend | undefined {
  const first = parts.findIndex(({ requests }) => requests > 0)
  const days = first < 0 ? 0 : HISTORY_DAYS - Math.floor(first / 2)
  if (days < MIN_HISTORY_DAYS) return undefined
  const costs = parts
    .slice(0, -1)
    .filter((_, index) => index % 2 === 0)
    .slice(-days)
  return {
    key,
    startsAtMs,
    endsAtMs: startsAtMs + HOUR_MS,
    costNanoUsd: parts.at(-1)?.costNanoUsd ?? 0n,
    usualNanoUsd: median(costs.map(({ costNanoUsd }) => costNanoUsd)),
    days,
  }
}

export function unusualSpendAlert(hour: HourOfSpend, rule: SpendRule, atMs: number): Alert {
  const { key, startsAtMs, endsAtMs, costNanoUsd, usualNanoUsd, days } = hour
  const subject = nameText(scopeName({ who: key === null ? 'global' : 'key', subject: key ?? undefined }))
  const since = timeText(startsAtMs)
  const usual = `$${formatUsd(usualNanoUsd)}`
  return {
    kind: 'unusual_spend',
    type: 'spend.unusual',
    atMs,
    subject,
    title: `Unusual spend of ${subject}: $${formatUsd(costNanoUsd)} within the hour`,
    text: `$${formatUsd(costNanoUsd)} is spent since ${since}. That hour usually costs ${usual}, by the median of ${days} days. The alert is for more than ${rule.factor} times the usual cost and more than $${formatUsd(rule.floorNanoUsd)}.`,
    advice: 'See which key, agent and model spend, and set a limit or disable the key if nobody meant it.',
    figures: {
      subject,
      cost_usd: jsonUsd(costNanoUsd),
      usual_cost_usd: jsonUsd(usualNanoUsd),
      days,
      factor: rule.factor,
      floor_usd: jsonUsd(rule.floorNanoUsd),
      hour_starts_at: new Date(startsAtMs).toISOString(),
    },
    key: `unusual_spend/${subject}/${startsAtMs}`,
    rank: 0,
    keepUntilMs: endsAtMs + DAY_MS,
  }
}
