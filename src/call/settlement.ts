// CallSettlement: settles one call exactly once, and records its attempts. It writes no answer.

import type { Circuits } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { Attempt, Outcome } from '../core/ledger-entry.ts'
import type { Instant } from '../core/meter.ts'
import { truncate } from '../keys/callers.ts'
import type { Store } from '../stores/store.ts'
import { internalFailure, type Telemetry } from '../telemetry/call-events.ts'
import type { Bound } from './applicant.ts'
import type { FailedAttempt } from './attempts.ts'
import { ZERO_BOUND } from './reservation-move.ts'
import type { SettledAmounts, SettlementCalculator } from './settlement-amounts.ts'
import { failedBasis, type SettlementBasis, upperBoundBasis } from './settlement-basis.ts'
import { reportAttempt } from './target-health.ts'
import type { UpstreamAttempt } from './upstream-attempt.ts'
import { checkBasis, INCREDIBLE_USAGE, withContainerTime, withServedTier } from './usage-check.ts'

export interface SettlementParts {
  readonly clock: Clock
  readonly store: Store
  readonly settlementCalculator: SettlementCalculator
  readonly circuits: Circuits
  readonly telemetry: Telemetry
}

/** The ledger keeps the provider's name of the model up to this length, since a provider can answer any text. */
const MAX_ANSWERED_MODEL_CHARACTERS = 256

/**
 * The settlement of one call, and the record of its attempts. `settle` has an effect once. Costs are nano-dollars and include all
 * attempts.
 */
export class CallSettlement {
  readonly #parts: SettlementParts
  /** When the first attempt was sent, in monotonic milliseconds. */
  readonly #sentAtMs: number
  readonly #attempts: Attempt[] = []
  #lastRecorded: UpstreamAttempt | undefined
  #isSettled = false
  #costNanoUsd = 0n

  constructor(parts: SettlementParts, sentAtMs: number) {
    this.#parts = parts
    this.#sentAtMs = sentAtMs
  }

  /** The cost of all attempts; 0 until the call is settled. */
  get costNanoUsd(): bigint {
    return this.#costNanoUsd
  }

  /** More than one attempt is recorded. */
  get hasRetried(): boolean {
    return this.#attempts.length > 1
  }

  /**
   * Records an attempt and reports it to the circuit of its target. Does nothing if the attempt is recorded already.
   * @param error why the attempt failed, in a word or two; null if it did not
   */
  recordAttempt(attempt: UpstreamAttempt, error: string | null, costNanoUsd: bigint, at: Instant): void {
    if (this.#lastRecorded === attempt) return
    this.#lastRecorded = attempt
    const { dispatch, status, sentAtMs } = attempt
    const { provider, model } = dispatch.admitted.facts
    this.#attempts.push({ provider, model, status, durationMs: at.monoMs - sentAtMs, error, costNanoUsd })
    reportAttempt(this.#parts, dispatch, status, error, at)
  }

  /** Settles the call with its last attempt. Does nothing if the call is settled already. Never throws on a failing ledger. */
  settle(attempt: UpstreamAttempt, given: SettlementBasis): void {
    if (this.#isSettled) return
    this.#isSettled = true
    const { clock, settlementCalculator, store, telemetry } = this.#parts
    const { admitted, provider, outgoing } = attempt.dispatch
    const { facts } = admitted
    const now = clock.now()
    const basis = this.#checkedBasis(attempt, given, now)
    const amounts = settlementCalculator.settlementFor(basis, admitted, provider, now.wallMs)
    this.#costNanoUsd = amounts.cost.totalNanoUsd
    this.recordAttempt(attempt, basis.error, amounts.attemptCostNanoUsd, now)
    const outcome = this.#outcome(attempt, basis, amounts, now.wallMs)
    const { used, usedByMeter } = amounts
    // Levels change now. The row follows within milliseconds, and counts in full until then.
    store.settle([{ callId: facts.callId, outcome, used, usedByMeter }], now).then(
      ([result]) => {
        if (result === 'late') telemetry.emit({ kind: 'settled_late', at: now, facts, outcome })
      },
      (error: unknown) => telemetry.notify(internalFailure(facts.callId, error)),
    )
    const { quote, bounded } = admitted
    const ownAccount = outgoing.callerKey === undefined
    const isIncredible = basis.error === INCREDIBLE_USAGE
    telemetry.emit({ kind: 'settled', at: now, facts, outcome, quote, bounded, isIncredible, ownAccount })
  }

  /** What a failed attempt is billed: by the usage that its answer reports or, without any, its whole bound. */
  billOf(attempt: UpstreamAttempt, failed: FailedAttempt): Bound {
    const { admitted, provider } = attempt.dispatch
    if (failed.isFree || !failed.usage) return failed.isFree ? ZERO_BOUND : admitted.bound
    const now = this.#parts.clock.now()
    const basis = this.#checkedBasis(attempt, failedBasis(failed, failed.error), now)
    const { used } = this.#parts.settlementCalculator.settlementFor(basis, admitted, provider, now.wallMs)
    return used ? { tokens: Number(used.tokens), costNanoUsd: used.cost } : admitted.bound
  }

  /** The basis after all checks of its usage. */
  #checkedBasis(attempt: UpstreamAttempt, given: SettlementBasis, { monoMs, wallMs }: Instant): SettlementBasis {
    const { dispatch, headers, sentAtMs } = attempt
    const timed = withContainerTime(withServedTier(given, headers), dispatch, (monoMs - sentAtMs) / 1_000)
    const basis = checkBasis(timed, dispatch)
    const { metered, ending, error } = basis
    const { admitted, provider } = dispatch
    const { settlementCalculator } = this.#parts
    if (metered && settlementCalculator.hasUnpricedParts(metered, admitted, provider, wallMs))
      return upperBoundBasis(ending, error)
    return settlementCalculator.withDearestTier(basis, admitted, provider, wallMs)
  }

  #outcome(
    { dispatch, firstByteAtMs, limits }: UpstreamAttempt,
    { ending, certainty, metered }: SettlementBasis,
    { usage, cost, priceVersion, providerCost }: SettledAmounts,
    wallMs: number,
  ): Outcome {
    const { facts, priorBound } = dispatch.admitted
    const hasPriorBound = priorBound.costNanoUsd > 0n || priorBound.tokens > 0
    return {
      ending,
      certainty: hasPriorBound ? 'upperBound' : certainty,
      usage,
      ...(providerCost ? { providerCost } : {}),
      ...(priceVersion !== undefined && priceVersion !== facts.priceVersion ? { priceVersion } : {}),
      reasoningTokens: metered?.reasoningTokens ?? 0,
      cost,
      answeredModel: metered?.model ? truncate(MAX_ANSWERED_MODEL_CHARACTERS, metered.model) : null,
      settledAtMs: wallMs,
      latencyMs: Math.max(0, wallMs - facts.reservedAtMs),
      timeToFirstTokenMs: firstByteAtMs === null ? null : firstByteAtMs - this.#sentAtMs,
      attempts: this.#attempts,
      upstreamLimits: limits,
    }
  }
}
