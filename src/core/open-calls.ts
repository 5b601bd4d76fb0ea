// Open calls: calls that are reserved and not yet settled, what they hold in sum, and how they expire. Changes no meter.

import type { CallFacts, Outcome, Reservation } from './ledger-entry.ts'
import { NO_SUBJECT } from './limits.ts'
import type { Instant } from './meter.ts'
import { usageOf } from './usage.ts'

/** What open calls hold. */
export interface OpenTotals {
  readonly calls: number
  readonly tokens: number
  readonly costNanoUsd: bigint
}

type MutableTotals = { -readonly [Name in keyof OpenTotals]: OpenTotals[Name] }

/**
 * Open calls, by call id. The calls lie in an array, because a Map of them would keep settled calls alive: see
 * docs/decisions/v8-memory.md.
 */
export class OpenCalls<Call extends Reservation> {
  readonly #indexById = new Map<string, number>()
  readonly #calls: (Call | undefined)[] = []
  readonly #vacantIndexes: number[] = []
  readonly #real = newTotals()
  readonly #simulated = newTotals()

  get(callId: string): Call | undefined {
    const index = this.#indexById.get(callId)
    return index === undefined ? undefined : this.#calls[index]
  }

  /** Throws if a call with that id is open: a bug of the caller. */
  add(call: Call): void {
    const { facts } = call
    if (this.#indexById.has(facts.callId)) throw new Error(`Call ${facts.callId} is open already.`)
    const index = this.#vacantIndexes.pop() ?? this.#calls.length
    this.#indexById.set(facts.callId, index)
    this.#calls[index] = call
    addTo(this.#totalsOf(facts), facts)
  }

  /** Puts a call in the place of the call with the same id. Throws if none is open: a bug of the caller. */
  replace(call: Call): void {
    const { facts } = call
    const index = this.#indexById.get(facts.callId)
    const before = index === undefined ? undefined : this.#calls[index]
    if (index === undefined || !before) throw new Error(`Call ${facts.callId} is not open.`)
    this.#calls[index] = call
    subtractFrom(this.#totalsOf(before.facts), before.facts)
    addTo(this.#totalsOf(facts), facts)
  }

  /** Undefined if the call is not open: settled before, expired, or never reserved. */
  remove(callId: string): Call | undefined {
    const index = this.#indexById.get(callId)
    const call = index === undefined ? undefined : this.#calls[index]
    if (index === undefined || !call) return undefined
    this.#indexById.delete(callId)
    this.#calls[index] = undefined
    this.#vacantIndexes.push(index)
    subtractFrom(this.#totalsOf(call.facts), call.facts)
    return call
  }

  /** In the order they were added. */
  all(): Call[] {
    return [...this.#indexById.values()].map((index) => this.#calls[index]).filter((call) => call !== undefined)
  }

  /** The call that was added first, replaced since or not. */
  oldest(): Call | undefined {
    for (const index of this.#indexById.values()) return this.#calls[index]
    return undefined
  }

  expired(now: Instant): Call[] {
    return this.all().filter((call) => call.expiresAtMs <= now.monoMs)
  }

  /** @param key a key id; without it the totals are of all keys, and take no walk over the calls */
  totals(simulated: boolean, key?: string): OpenTotals {
    if (key === undefined) return { ...(simulated ? this.#simulated : this.#real) }
    return totalsOf(
      this.all().map(({ facts }) => facts),
      simulated,
      key,
    )
  }

  #totalsOf(facts: CallFacts): MutableTotals {
    return facts.simulated ? this.#simulated : this.#real
  }
}

/** What calls hold together: real or simulated calls, of one key or of all. */
export function totalsOf(calls: Iterable<CallFacts>, simulated: boolean, key?: string): OpenTotals {
  const totals = newTotals()
  for (const facts of calls) {
    const isWanted = facts.simulated === simulated && (key === undefined || (facts.caller.key ?? NO_SUBJECT) === key)
    if (isWanted) addTo(totals, facts)
  }
  return totals
}

function newTotals(): MutableTotals {
  return { calls: 0, tokens: 0, costNanoUsd: 0n }
}

function addTo(totals: MutableTotals, facts: CallFacts): void {
  totals.calls += 1
  totals.tokens += facts.reservedTokens
  totals.costNanoUsd += facts.reservedCostNanoUsd
}

function subtractFrom(totals: MutableTotals, facts: CallFacts): void {
  totals.calls -= 1
  totals.tokens -= facts.reservedTokens
  totals.costNanoUsd -= facts.reservedCostNanoUsd
}

/** The amendment with the caller, instant and day of the open call, which an amendment does not change. */
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
  const isInputOnly = answersInVectors(facts.dialect)
  return {
    ending: 'expired',
    certainty: 'upperBound',
    usage: usageOf(isInputOnly ? { input: tokens } : { output: tokens }),
    reasoningTokens: 0,
    cost: { inputNanoUsd: isInputOnly ? cost : 0n, outputNanoUsd: isInputOnly ? 0n : cost, totalNanoUsd: cost },
    answeredModel: null,
    settledAtMs: wallMs,
    latencyMs: Math.max(0, wallMs - facts.reservedAtMs),
    timeToFirstTokenMs: null,
    attempts: [],
    upstreamLimits: null,
  }
}
