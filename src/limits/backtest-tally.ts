// Backtest tally: sums of the calls of a backtest, of all and of those that would have been refused, by limit, subject and key. It
// decides no call.

import type { Shortfall } from '../core/levels.ts'
import { saturateNanoUsd } from '../core/money.ts'
import type { MeteredCall } from '../stores/store.ts'

/** Calls, and what they used: an open call counts with what it reserved. */
export interface CallSum {
  readonly calls: number
  readonly tokens: number
  readonly costNanoUsd: bigint
}

/** A call that would have been refused. */
export interface RefusedCall {
  readonly call: MeteredCall
  readonly used: CallSum
  /** The limits that refuse it, as `Limit.source` has them, each once. */
  readonly limits: readonly string[]
  /** The subjects of those limits: `user:ci/7`. */
  readonly subjects: readonly string[]
}

/** Which call, and when it came. */
export type CallReference = Pick<MeteredCall, 'callId' | 'reservedAtMs'>

/** Refused calls that have something in common. */
export interface RefusedGroup extends CallSum {
  readonly first: CallReference
}

/** Groups by name. */
interface Groups {
  readonly byName: ReadonlyMap<string, RefusedGroup>
  /** Refused calls of further names, which came when there were too many already. */
  readonly uncounted: number
}

/** More names than people look at. Calls of those that come later are counted together. */
const MAX_NAMES = 50_000
const MAX_FIRST_CALLS = 20

type MutableSum = { -readonly [Name in keyof CallSum]: CallSum[Name] }

/** Counts calls one by one. */
export class BacktestTally {
  readonly #all = newSum()
  readonly #refused = newSum()
  readonly #limits = new NamedGroups()
  readonly #subjects = new NamedGroups()
  readonly #keys = new NamedGroups()
  readonly #firstCalls: RefusedCall[] = []

  /** @param shortfalls the limits that refuse the call; none if it is admitted */
  add(call: MeteredCall, shortfalls: readonly Shortfall[]): void {
    const used = usedBy(call)
    addTo(this.#all, used)
    if (shortfalls.length === 0) return
    addTo(this.#refused, used)
    const refused = refusedCallOf(call, used, shortfalls)
    if (this.#firstCalls.length < MAX_FIRST_CALLS) this.#firstCalls.push(refused)
    for (const limit of refused.limits) this.#limits.add(limit, refused)
    for (const subject of refused.subjects) this.#subjects.add(subject, refused)
    this.#keys.add(call.caller.key ?? '', refused)
  }

  get all(): CallSum {
    return this.#all
  }

  get refused(): CallSum {
    return this.#refused
  }

  /** By `Limit.source`. A call that several limits refuse counts with each of them. */
  get limits(): Groups {
    return this.#limits
  }

  /** By the subject whose limit refuses. */
  get subjects(): Groups {
    return this.#subjects
  }

  /** By the key that made the call; empty for calls without one. */
  get keys(): Groups {
    return this.#keys
  }

  /** The first refused calls, in order. */
  get firstCalls(): readonly RefusedCall[] {
    return this.#firstCalls
  }
}

class NamedGroups implements Groups {
  readonly byName = new Map<string, MutableSum & { readonly first: CallReference }>()
  uncounted = 0

  add(name: string, { call, used }: RefusedCall): void {
    const group = this.byName.get(name)
    const { callId, reservedAtMs } = call
    if (group) addTo(group, used)
    else if (this.byName.size < MAX_NAMES) this.byName.set(name, { ...used, first: { callId, reservedAtMs } })
    else this.uncounted += 1
  }
}

function refusedCallOf(call: MeteredCall, used: CallSum, shortfalls: readonly Shortfall[]): RefusedCall {
  const meters = shortfalls.map(({ charge }) => charge.meter)
  return {
    call,
    used,
    limits: distinct(meters.map(({ source, name }) => source ?? name)),
    subjects: distinct(meters.map(({ who, subject }) => (who === 'global' ? 'global' : `${who}:${subject}`))),
  }
}

function distinct(names: readonly string[]): readonly string[] {
  return names.length === 1 ? names : [...new Set(names)]
}

function usedBy({ settled, corrections, reservedTokens, reservedCostNanoUsd }: MeteredCall): CallSum {
  if (!settled) return { calls: 1, tokens: reservedTokens, costNanoUsd: reservedCostNanoUsd }
  const costNanoUsd = corrections.reduce((sum, correction) => sum + correction.costNanoUsd, settled.costNanoUsd)
  return { calls: 1, tokens: settled.tokens, costNanoUsd }
}

function newSum(): MutableSum {
  return { calls: 0, tokens: 0, costNanoUsd: 0n }
}

function addTo(sum: MutableSum, { calls, tokens, costNanoUsd }: CallSum): void {
  sum.calls += calls
  sum.tokens = Math.min(sum.tokens + tokens, Number.MAX_SAFE_INTEGER)
  sum.costNanoUsd = saturateNanoUsd(sum.costNanoUsd + costNanoUsd)
}
