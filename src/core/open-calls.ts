// Open: calls that are reserved and not yet settled, what they hold in sum, and how they end when nobody settles them.

import type { CallFacts, Outcome, Reservation } from './ledger-entry.ts'
import type { Instant } from './meter.ts'
import { usageOf } from './usage.ts'

/** What open calls hold. */
export interface OpenTotals {
  readonly calls: number
  readonly tokens: number
  readonly costNanoUsd: bigint
}

/**
 * Calls in places of an array, and where each is by its id. A Map of the calls themselves would keep most of them alive long
 * after they are settled: each table it outgrows holds on to what was deleted, and to the next table.
 */
export class OpenCalls<Call extends Reservation> {
  readonly #indexById = new Map<string, number>()
  readonly #calls: (Call | undefined)[] = []
  readonly #vacantIndexes: number[] = []
  readonly #real = { calls: 0, tokens: 0, costNanoUsd: 0n }
  readonly #simulated = { calls: 0, tokens: 0, costNanoUsd: 0n }

  get(callId: string): Call | undefined {
    const place = this.#indexById.get(callId)
    return place === undefined ? undefined : this.#calls[place]
  }

  /** An id that is open already is a bug of the caller. */
  add(call: Call): void {
    const { facts } = call
    if (this.#indexById.has(facts.callId)) throw new Error(`call ${facts.callId} is open already`)
    const place = this.#vacantIndexes.pop() ?? this.#calls.length
    this.#indexById.set(facts.callId, place)
    this.#calls[place] = call
    this.#addToTotals(facts)
  }

  /** Puts a call where the one with its id is. That none is open is a bug of the caller. */
  replace(call: Call): void {
    const { facts } = call
    const place = this.#indexById.get(facts.callId)
    const before = place === undefined ? undefined : this.#calls[place]
    if (place === undefined || !before) throw new Error(`call ${facts.callId} is not open`)
    this.#calls[place] = call
    this.#subtractFromTotals(before.facts)
    this.#addToTotals(facts)
  }

  /** Undefined when it is not open: settled before, expired, or never reserved. */
  remove(callId: string): Call | undefined {
    const place = this.#indexById.get(callId)
    const call = place === undefined ? undefined : this.#calls[place]
    if (place === undefined || !call) return undefined
    this.#indexById.delete(callId)
    this.#calls[place] = undefined
    this.#vacantIndexes.push(place)
    this.#subtractFromTotals(call.facts)
    return call
  }

  /** In the order they were added. */
  all(): Call[] {
    return [...this.#indexById.values()].map((place) => this.#calls[place]).filter((call) => call !== undefined)
  }

  /** The one that was added first, also where it was replaced since. */
  oldest(): Call | undefined {
    for (const place of this.#indexById.values()) return this.#calls[place]
    return undefined
  }

  expired(now: Instant): Call[] {
    return this.all().filter((call) => call.expiresAtMs <= now.monoMs)
  }

  totals(simulated: boolean): OpenTotals {
    return { ...(simulated ? this.#simulated : this.#real) }
  }

  #addToTotals(facts: CallFacts): void {
    const sum = facts.simulated ? this.#simulated : this.#real
    sum.calls += 1
    sum.tokens += facts.reservedTokens
    sum.costNanoUsd += facts.reservedCostNanoUsd
  }

  #subtractFromTotals(facts: CallFacts): void {
    const sum = facts.simulated ? this.#simulated : this.#real
    sum.calls -= 1
    sum.tokens -= facts.reservedTokens
    sum.costNanoUsd -= facts.reservedCostNanoUsd
  }
}

/** An amendment of an open call, at its place: who called it what, and when, stays as it was. */
export function applyAmendment<Amendment extends Reservation>({ facts }: Reservation, amendment: Amendment): Amendment {
  const { callId, caller, reservedAtMs, day } = facts
  return { ...amendment, facts: { ...amendment.facts, callId, caller, reservedAtMs, day } }
}

/** A dialect's name is all that a ledger row keeps of it: see `Dialect.name`. */
const EMBEDDING_OPERATION = /\.embed/

/** Whether a dialect's answers are vectors, which have no output tokens. @param dialect its name, `vendor.operation` */
export function answersInVectors(dialect: string): boolean {
  return EMBEDDING_OPERATION.test(dialect)
}

/**
 * The outcome of a call that was never settled: money that may be spent counts as spent. A reservation does not split tokens
 * by class, so all of them count as output, or as input if the dialect has no output.
 */
export function expiredOutcome(facts: CallFacts, wallMs: number): Outcome {
  const tokens = facts.reservedTokens
  const cost = facts.reservedCostNanoUsd
  const readsOnly = answersInVectors(facts.dialect)
  return {
    ending: 'expired',
    certainty: 'upperBound',
    usage: usageOf(readsOnly ? { input: tokens } : { output: tokens }),
    reasoningTokens: 0,
    cost: { inputNanoUsd: readsOnly ? cost : 0n, outputNanoUsd: readsOnly ? 0n : cost, totalNanoUsd: cost },
    answeredModel: null,
    settledAtMs: wallMs,
    latencyMs: Math.max(0, wallMs - facts.reservedAtMs),
    timeToFirstTokenMs: null,
    attempts: [],
    upstreamLimits: null,
  }
}
