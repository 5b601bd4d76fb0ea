// Report: totals that grow with every settled call. Calls are summed nowhere else, so that no two pages disagree.

import type { Entry } from './ledger-entry.ts'
import { saturateNanoUsd } from './money.ts'
import { addUsage, type MutableUsage, totalTokens, usageOf } from './usage.ts'

const MINUTE_MS = 60_000
const RECENT_MINUTES = 60

/** A sum over settled calls. Mutable: calls are added in place. */
export interface Tally {
  requests: number
  /** Tokens of all classes, input and output. */
  tokens: number
  costNanoUsd: bigint
  /** Units by class, those that are not tokens included. */
  readonly usage: MutableUsage
  /** How many of the calls have each certainty. */
  exact: number
  estimated: number
  upperBound: number
}

export function newTally(): Tally {
  return { requests: 0, tokens: 0, costNanoUsd: 0n, usage: usageOf(), exact: 0, estimated: 0, upperBound: 0 }
}

/** Adds a settled call, or what an adjustment corrects. An entry in flight adds nothing. */
export function addEntry(tally: Tally, entry: Entry): void {
  const { outcome } = entry
  if (!outcome) return
  tally.costNanoUsd = saturateNanoUsd(tally.costNanoUsd + outcome.cost.totalNanoUsd)
  if (entry.adjustment) return
  tally.requests += 1
  tally.tokens += totalTokens(outcome.usage)
  addUsage(tally.usage, outcome.usage)
  tally[outcome.certainty] += 1
}

/** Adds `tally` to `sum`, and returns `sum`. */
export function addTally(sum: Tally, tally: Tally): Tally {
  sum.requests += tally.requests
  sum.tokens += tally.tokens
  sum.costNanoUsd = saturateNanoUsd(sum.costNanoUsd + tally.costNanoUsd)
  addUsage(sum.usage, tally.usage)
  sum.exact += tally.exact
  sum.estimated += tally.estimated
  sum.upperBound += tally.upperBound
  return sum
}

/** Totals by day and, for the last hour, by minute. A call belongs to the day and minute of its reservation. */
export class Report {
  /** By calendar day in the configured time zone: `2026-11-22`. */
  readonly days = new Map<string, Tally>()
  /** By minute since the epoch. At most twice the sixty minutes of a recent hour. */
  readonly minutes = new Map<number, Tally>()
  /** How many calls were refused, by reason. */
  readonly refusals = new Map<string, number>()

  addCall(entry: Entry): void {
    const [day, minute] = this.#tallies(entry.facts.day, minuteOf(entry.facts.reservedAtMs))
    addEntry(day, entry)
    addEntry(minute, entry)
    stopAtZero(day, minute)
    this.#pruneMinutes()
  }

  /** Adds many calls of one day and minute at once. */
  addSum(day: string, minute: number, sum: Tally): void {
    const tallies = this.#tallies(day, minute)
    for (const tally of tallies) addTally(tally, sum)
    stopAtZero(...tallies)
    this.#pruneMinutes()
  }

  #tallies(day: string, minute: number): readonly [day: Tally, minute: Tally] {
    return [findOrAddTally(this.days, day), findOrAddTally(this.minutes, minute)]
  }

  addRefusals(reason: string, count = 1): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + count)
  }

  total(): Tally {
    return sumOf(this.days.values())
  }

  /** The sixty minutes up to and including the one that holds `wallMs`. */
  recentHour(wallMs: number): Tally {
    const lastMinute = minuteOf(wallMs)
    const recent = [...this.minutes].filter(([minute]) => minute > lastMinute - RECENT_MINUTES && minute <= lastMinute)
    return sumOf(recent.map(([, tally]) => tally))
  }

  /** A report that later calls do not change. */
  copy(): Report {
    const copy = new Report()
    for (const [day, tally] of this.days) copy.days.set(day, addTally(newTally(), tally))
    for (const [minute, tally] of this.minutes) copy.minutes.set(minute, addTally(newTally(), tally))
    for (const [reason, count] of this.refusals) copy.refusals.set(reason, count)
    return copy
  }

  /** Drops minutes in the order they were added, not by their time: a clock that once stepped forward must not push out the present. */
  #pruneMinutes(): void {
    if (this.minutes.size <= 2 * RECENT_MINUTES) return
    for (const minute of this.minutes.keys()) {
      if (this.minutes.size <= 2 * RECENT_MINUTES) return
      this.minutes.delete(minute)
    }
  }
}

/** A correction cannot lower a sum below zero. */
function stopAtZero(...tallies: readonly Tally[]): void {
  for (const tally of tallies) if (tally.costNanoUsd < 0n) tally.costNanoUsd = 0n
}

/** Whole minutes since the epoch. */
export function minuteOf(wallMs: number): number {
  return Math.floor(wallMs / MINUTE_MS)
}

function findOrAddTally<Key>(tallies: Map<Key, Tally>, key: Key): Tally {
  let tally = tallies.get(key)
  if (!tally) tallies.set(key, (tally = newTally()))
  return tally
}

function sumOf(tallies: Iterable<Tally>): Tally {
  const sum = newTally()
  for (const tally of tallies) addTally(sum, tally)
  return sum
}
