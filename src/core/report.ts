// Report: totals that grow with every settled call. The one place where calls are summed, so that no two pages disagree.

import type { Entry } from './ledger-entry.ts'
import { TOKEN_CLASSES, type TokenClass, totalTokens, type Usage } from './usage.ts'

const MINUTE_MS = 60_000
const RECENT_MINUTES = 60

/** A sum over calls. Mutable: it is added to in place. */
export interface Tally {
  requests: number
  tokens: number
  costNanoUsd: bigint
  tokensByClass: Record<TokenClass, number>
  exact: number
  estimated: number
  upperBound: number
}

export function newTally(): Tally {
  const tokensByClass = Object.fromEntries(TOKEN_CLASSES.map((name) => [name, 0])) as Record<TokenClass, number>
  return { requests: 0, tokens: 0, costNanoUsd: 0n, tokensByClass, exact: 0, estimated: 0, upperBound: 0 }
}

/** Adds a settled call. An entry still in flight adds nothing. */
export function addEntry(tally: Tally, entry: Entry): void {
  const { outcome } = entry
  if (!outcome) return
  tally.requests += 1
  tally.tokens += totalTokens(outcome.usage)
  tally.costNanoUsd += outcome.cost.totalNanoUsd
  addUsage(tally.tokensByClass, outcome.usage)
  tally[outcome.certainty] += 1
}

/** Class by class, since every call is added: a look-up by name costs more than the sum. */
function addUsage(sum: Tally['tokensByClass'], usage: Usage): void {
  sum.input += usage.input
  sum.cacheRead += usage.cacheRead
  sum.cacheWrite5m += usage.cacheWrite5m
  sum.cacheWrite1h += usage.cacheWrite1h
  sum.output += usage.output
  sum.audioInput += usage.audioInput
  sum.audioCacheRead += usage.audioCacheRead
  sum.audioOutput += usage.audioOutput
  sum.imageInput += usage.imageInput
  sum.imageOutput += usage.imageOutput
}

/** Adds to `sum`, and returns it. */
export function addTally(sum: Tally, more: Tally): Tally {
  sum.requests += more.requests
  sum.tokens += more.tokens
  sum.costNanoUsd += more.costNanoUsd
  for (const name of TOKEN_CLASSES) sum.tokensByClass[name] += more.tokensByClass[name]
  sum.exact += more.exact
  sum.estimated += more.estimated
  sum.upperBound += more.upperBound
  return sum
}

/** Totals by day and, for the last hour, by minute. A call belongs to the day and minute of its reservation. */
export class Report {
  readonly days = new Map<string, Tally>()
  /** By minute since the epoch; at most the sixty that a recent hour is made of, and those not yet pruned. */
  readonly minutes = new Map<number, Tally>()
  /** Refused calls by reason. */
  readonly refusals = new Map<string, number>()

  addCall(entry: Entry): void {
    addEntry(findOrAddTally(this.days, entry.facts.day), entry)
    addEntry(findOrAddTally(this.minutes, minuteOf(entry.facts.reservedAtMs)), entry)
    this.#pruneMinutes()
  }

  /** Books many calls of one day and minute at once. */
  addSum(day: string, minute: number, sum: Tally): void {
    addTally(findOrAddTally(this.days, day), sum)
    addTally(findOrAddTally(this.minutes, minute), sum)
    this.#pruneMinutes()
  }

  addRefusals(reason: string, count = 1): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + count)
  }

  total(): Tally {
    return sumOf(this.days.values())
  }

  /** The sixty minutes up to and including the one that holds `wallMs`. */
  recentHour(wallMs: number): Tally {
    const last = minuteOf(wallMs)
    const recent = [...this.minutes].filter(([minute]) => minute > last - RECENT_MINUTES && minute <= last)
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

  /** Oldest in first out, by arrival and not by name: a clock that once stepped forward must not push out the present. */
  #pruneMinutes(): void {
    if (this.minutes.size <= 2 * RECENT_MINUTES) return
    for (const minute of this.minutes.keys()) {
      if (this.minutes.size <= 2 * RECENT_MINUTES) return
      this.minutes.delete(minute)
    }
  }
}

export function minuteOf(wallMs: number): number {
  return Math.floor(wallMs / MINUTE_MS)
}

/** The tally under a key, made when there is none. */
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
