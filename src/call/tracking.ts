// Tracking: books calls that were made elsewhere, at their own time, each once. It refuses none because a limit is full.

import { windowAt } from '../core/calendar.ts'
import type { Clock } from '../core/clock.ts'
import type { KeyLimits } from '../core/key-limits.ts'
import type { Caller, CallFacts, Certainty, Ending, Outcome } from '../core/ledger-entry.ts'
import type { UsedAmounts } from '../core/levels.ts'
import { type LimitPlan, type LimitSubjects, NO_SUBJECT } from '../core/limits.ts'
import type { Charge, Instant } from '../core/meter.ts'
import { modelNameOf } from '../core/model-name.ts'
import { capCallNanoUsd } from '../core/money.ts'
import { type Cost, costOf, costWithTotal, NO_COST, type Price, type PriceBook } from '../core/prices.ts'
import { RecentMap } from '../core/recent-map.ts'
import { totalTokens, type Usage, usageJson } from '../core/usage.ts'
import type { Provider } from '../providers/provider.ts'
import type { LedgerRecord, Store } from '../stores/store.ts'
import type { Telemetry } from '../telemetry/call-events.ts'
import type { ChangingLimits } from './admission.ts'

/** A call that was made elsewhere and is over, as its sender describes it. */
export interface TrackedCall {
  /** The sender's name for the call: the same call never comes with another. Ids of two keys are two ids. */
  readonly id: string
  readonly caller: Caller
  /** The limits in the record of the caller's key. */
  readonly keyLimits: KeyLimits | undefined
  /** When the call was made, in epoch milliseconds. */
  readonly atMs: number
  readonly provider: string
  readonly model: string
  /** The model as the sender wrote it. */
  readonly writtenModel: string
  readonly operation: string | null
  readonly usage: Usage
  /** The part of the output that is reasoning. */
  readonly reasoningTokens: number
  readonly serviceTier: string | null
  /** Undefined: the price book says what the call cost. */
  readonly statedNanoUsd: bigint | undefined
  readonly certainty: Exclude<Certainty, 'upperBound'>
  readonly ending: Exclude<Ending, 'expired' | 'adjusted'>
  readonly latencyMs: number
  readonly timeToFirstTokenMs: number | null
  readonly items: number | null
  /** JSON of at most 2 kB, or null. */
  readonly metadata: string | null
}

/** What became of a tracked call. `different`: its id is in the ledger with other figures, which stay. */
export interface TrackResult {
  readonly callId: string
  readonly status: 'tracked' | 'already_tracked' | 'different'
  /** The parts in which the call in the ledger differs, by their names in JSON. */
  readonly differences: readonly string[]
  readonly cost: Cost
  readonly costKnown: boolean
  readonly priceVersion: string | null
}

export interface TrackingParts {
  readonly store: Pick<Store, 'append' | 'entries' | 'entry'>
  readonly limits: ChangingLimits
  readonly prices: PriceBook
  readonly providers: readonly Provider[]
  readonly clock: Clock
  readonly telemetry: Pick<Telemetry, 'emit'>
  /** False without cost tracking: then calls cost nothing. */
  readonly countsCost: boolean
}

/** The dialect of tracked calls in the ledger: they were written in none. */
const DIALECT = 'tracked'
/** Ids that were tracked lately: their repeats are not booked anew even in a ledger that forgot them. */
const MAX_RECENT_IDS = 10_000

/** A long list is booked in several turns of the event loop, so that calls of the gateway do not wait for it. */
const CALLS_PER_TURN = 50

type EntryRecord = Extract<LedgerRecord, { kind: 'entry' }>

/** Books lists of calls. Two lists that share an id are booked one after the other. */
export class Tracking {
  readonly #parts: TrackingParts
  readonly #recent = new RecentMap<true>(MAX_RECENT_IDS)
  readonly #writing = new Map<string, Promise<void>>()

  constructor(parts: TrackingParts) {
    this.#parts = parts
  }

  /** Whether the cost of a call is known: it is stated, or the price book has a price of that time. */
  isPriced(call: TrackedCall): boolean {
    return call.statedNanoUsd !== undefined || !this.#parts.countsCost || this.#priceOf(call) !== undefined
  }

  /**
   * Adds calls to the ledger, and to the windows of their time. Resolves once they are written, in the order of the calls. Costs nothing
   * for a call whose cost is not known: see `isPriced`. Rejects with StoreUnavailable; then the same list can be sent again.
   *
   * @example
   * const [result] = await tracking.track([call]) // { status: 'tracked', callId: 'alice/job-7', … }
   * await tracking.track([call]) // [{ status: 'already_tracked', … }]
   */
  async track(calls: readonly TrackedCall[]): Promise<readonly TrackResult[]> {
    const ids = new Set(calls.map(callIdOf))
    for (let other = this.#writerOf(ids); other; other = this.#writerOf(ids)) await other
    const written = Promise.withResolvers<void>()
    for (const id of ids) this.#writing.set(id, written.promise)
    try {
      return await this.#write(calls)
    } finally {
      for (const id of ids) this.#writing.delete(id)
      written.resolve()
    }
  }

  /** Resolves once another list with one of these ids is written. Undefined if there is none. */
  #writerOf(ids: ReadonlySet<string>): Promise<void> | undefined {
    for (const id of ids) {
      const writer = this.#writing.get(id)
      if (writer) return writer
    }
    return undefined
  }

  async #write(calls: readonly TrackedCall[]): Promise<readonly TrackResult[]> {
    const first = new Map<string, TrackedCall>()
    for (const call of calls) {
      const id = callIdOf(call)
      if (!first.has(id) && this.#recent.get(id) === undefined) first.set(id, call)
    }
    const lastSeq = await this.#lastSeq()
    const records = new Map<string, EntryRecord>()
    // By time, because finding a window anew takes long.
    const ordered = [...first.values()].toSorted((left, right) => left.atMs - right.atMs)
    for (let start = 0; start < ordered.length; start += CALLS_PER_TURN)
      for (const record of await this.#append(ordered.slice(start, start + CALLS_PER_TURN)))
        records.set(record.facts.callId, record)
    return Promise.all(
      calls.map((call) => {
        const id = callIdOf(call)
        return this.#resultOf(call, records.get(id), first.get(id) === call ? lastSeq : undefined)
      }),
    )
  }

  /** What is booked from now on has a larger `settledSeq`. */
  async #lastSeq(): Promise<number> {
    const [newest] = await this.#parts.store.entries({ limit: 1 })
    return newest?.settledSeq ?? 0
  }

  async #append(calls: readonly TrackedCall[]): Promise<readonly EntryRecord[]> {
    await this.#limitsSettled(calls)
    // From here to the append nothing waits, so that no limit begins to count in between.
    const now = this.#parts.clock.now()
    const records = calls.map((call) => this.#recordOf(call, now))
    await this.#parts.store.append(records, now)
    this.#parts.telemetry.emit({ kind: 'booked', at: now, calls: records })
    for (const { facts } of records) this.#recent.set(facts.callId, true)
    return records
  }

  /**
   * @param record the call as it was appended, unless its id was known before
   * @param lastSeq the last `settledSeq` before the append; undefined for a repeat in the same list
   */
  async #resultOf(
    call: TrackedCall,
    record: EntryRecord | undefined,
    lastSeq: number | undefined,
  ): Promise<TrackResult> {
    const { store, clock } = this.#parts
    const entry = await store.entry(callIdOf(call))
    const isNew = record !== undefined && lastSeq !== undefined && (entry?.settledSeq ?? lastSeq + 1) > lastSeq
    // A ledger in memory forgets old calls.
    const { facts, outcome } = entry ?? record ?? this.#recordOf(call, clock.now())
    const differences = isNew || !outcome ? [] : differencesOf(call, facts, outcome)
    const status = isNew ? 'tracked' : differences.length === 0 ? 'already_tracked' : 'different'
    const { callId, costKnown, priceVersion } = facts
    return { callId, status, differences, cost: outcome?.cost ?? NO_COST, costKnown, priceVersion }
  }

  /** Waits while limits of these calls change: new limits count what is in the ledger before, and charges what comes after. */
  async #limitsSettled(calls: readonly TrackedCall[]): Promise<void> {
    const { limits } = this.#parts
    const changeOfAny = () => {
      for (const call of calls) {
        const change = limits.changeOf(subjectsOf(call))
        if (change) return change
      }
      return undefined
    }
    for (let change = changeOfAny(); change; change = changeOfAny()) await change
  }

  #recordOf(call: TrackedCall, now: Instant): EntryRecord {
    const { plan } = this.#parts.limits
    const price = this.#priceOf(call)
    const cost = this.#costOf(call, price)
    const tokens = totalTokens(call.usage)
    const facts: CallFacts = {
      callId: callIdOf(call),
      caller: call.caller,
      operation: call.operation,
      dialect: DIALECT,
      provider: call.provider,
      requestedModel: call.writtenModel,
      model: call.model,
      reservedAtMs: call.atMs,
      day: windowAt('day', plan.timeZone, call.atMs).id.slice('day:'.length),
      reservedTokens: tokens,
      reservedCostNanoUsd: cost.totalNanoUsd,
      priceVersion: call.statedNanoUsd === undefined ? (price?.version ?? null) : null,
      costKnown: this.isPriced(call),
      streaming: false,
      capAsked: null,
      capInjected: null,
      simulated: false,
      items: call.items,
      metadata: call.metadata,
      idempotency: null,
    }
    const outcome: Outcome = {
      ending: call.ending,
      certainty: call.certainty,
      usage: call.usage,
      reasoningTokens: call.reasoningTokens,
      cost,
      answeredModel: null,
      settledAtMs: call.atMs + call.latencyMs,
      latencyMs: call.latencyMs,
      timeToFirstTokenMs: call.timeToFirstTokenMs,
      attempts: [],
      upstreamLimits: null,
    }
    const used: UsedAmounts = { requests: 1n, tokens: BigInt(tokens), cost: cost.totalNanoUsd, inFlight: 0n }
    return { kind: 'entry', facts, outcome, charges: chargesOf(call, used, plan, now), used }
  }

  #costOf({ usage, serviceTier, statedNanoUsd }: TrackedCall, price: Price | undefined): Cost {
    if (!this.#parts.countsCost) return NO_COST
    const computed = price ? costOf(price, usage, serviceTier) : NO_COST
    return statedNanoUsd === undefined ? computed : costWithTotal(computed, capCallNanoUsd(statedNanoUsd))
  }

  #priceOf({ provider: name, model, atMs }: TrackedCall): Price | undefined {
    const { prices, providers, countsCost } = this.#parts
    if (!countsCost) return undefined
    const provider = providers.find((candidate) => candidate.name === name)
    return prices.find(provider?.priceName ?? name, model, atMs).price ?? provider?.unlistedPrice
  }
}

/** Calls that the gateway made itself have ids without a slash, and so have keys. */
function callIdOf({ caller, id }: TrackedCall): string {
  return `${caller.key ?? NO_SUBJECT}/${id}`
}

function subjectsOf({ caller, keyLimits, provider, model }: TrackedCall): LimitSubjects {
  return { caller, keyLimits, provider, ...modelNameOf(provider, model) }
}

/**
 * The windows of the call's own time, whether they are over or not. Of limits that refill steadily, those in which not all of a call of
 * that time has come back. Levels of calls in flight, and limits on single calls, are none of a call that is over.
 */
function chargesOf(call: TrackedCall, amounts: UsedAmounts, plan: LimitPlan, now: Instant): Charge[] {
  const subjects = subjectsOf(call)
  const windows = plan
    .chargesFor(subjects, amounts, call.atMs, '', false)
    .filter(({ meter }) => meter.refill === 'window')
  const buckets = plan
    .chargesFor(subjects, amounts, now.wallMs, '', false)
    .filter(({ meter }) => meter.refill === 'steady' && now.wallMs - call.atMs < meter.spanMs)
  return [...windows, ...buckets]
}

/** A price that has changed since is no difference. */
function differencesOf(call: TrackedCall, facts: CallFacts, outcome: Outcome): string[] {
  const { caller } = call
  const equal: Readonly<Record<string, boolean>> = {
    timestamp: call.atMs === facts.reservedAtMs,
    user_id: caller.user === facts.caller.user,
    thread_id: caller.thread === facts.caller.thread,
    agent_name: caller.agent === facts.caller.agent,
    task: caller.task === facts.caller.task,
    operation_type: call.operation === facts.operation,
    model: call.provider === facts.provider && call.model === facts.model,
    tokens: JSON.stringify(usageJson(call.usage)) === JSON.stringify(usageJson(outcome.usage)),
    reasoning_tokens: call.reasoningTokens === outcome.reasoningTokens,
    total_cost: call.statedNanoUsd === undefined || call.statedNanoUsd === outcome.cost.totalNanoUsd,
    outcome: call.ending === outcome.ending,
    certainty: call.certainty === outcome.certainty,
    latency_ms: call.latencyMs === outcome.latencyMs,
    time_to_first_token_ms: call.timeToFirstTokenMs === outcome.timeToFirstTokenMs,
    items: call.items === facts.items,
    request_metadata: call.metadata === facts.metadata,
  }
  return Object.keys(equal).filter((name) => equal[name] === false)
}
