// Adjustments: corrects what settled calls did cost, by entries of their own. It edits no entry.

import type { Adjustment, CallFacts, Entry, Outcome } from '../core/ledger-entry.ts'
import { type LimitPlan, SIMULATED_REALM, ZERO_AMOUNTS } from '../core/limits.ts'
import type { Charge, Instant } from '../core/meter.ts'
import { modelNameOf } from '../core/model-name.ts'
import { Problem } from '../core/problem.ts'
import { usageOf } from '../core/usage.ts'
import type { Store } from '../stores/store.ts'

/** What a call did cost, in an operator's words. */
export interface Correction extends Adjustment {
  readonly costNanoUsd: bigint
}

/** A correction that is in the ledger. */
export interface AppliedCorrection {
  /** Its cost is the difference. */
  readonly entry: Entry
  /** What the call cost before, with the corrections before this one. */
  readonly beforeNanoUsd: bigint
}

interface AdjustmentParts {
  readonly store: Pick<Store, 'entry' | 'adjustments' | 'append' | 'registry'>
  /** Read anew for every correction, since a reload replaces the plan. */
  readonly plan: () => LimitPlan
  readonly newCallId: () => string
}

/** Corrections happen one after the other, so that each starts from the cost that the one before left. */
export class Adjustments {
  readonly #parts: AdjustmentParts
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: AdjustmentParts) {
    this.#parts = parts
  }

  /**
   * Writes the difference between what a call is booked at and what it did cost, as an entry of its own: on the windows, the day and the
   * sums of the call. Rejects with Problem `not_found` if there is no such call, `not_settled` while the call is in flight, and
   * `invalid_request` for an adjustment in place of a call; with StoreUnavailable if the ledger cannot be written.
   *
   * @param actor who corrects, for the audit log
   * @example
   * const { entry, beforeNanoUsd } = await adjustments.apply({ callId, costNanoUsd: 20_000_000n, reason: 'invoice 7' }, 'admin', now)
   */
  apply(correction: Correction, actor: string, now: Instant): Promise<AppliedCorrection> {
    const applied = this.#last.then(() => this.#apply(correction, actor, now))
    this.#last = applied.catch(() => {})
    return applied
  }

  async #apply({ callId, costNanoUsd, reason }: Correction, actor: string, now: Instant): Promise<AppliedCorrection> {
    const { store, newCallId } = this.#parts
    const { facts: ofCall, outcome } = await this.#settledCall(callId)
    const earlier = await store.adjustments(callId)
    const beforeNanoUsd = [outcome, ...earlier.map((entry) => entry.outcome)].reduce(
      (sum, part) => sum + (part?.cost.totalNanoUsd ?? 0n),
      0n,
    )
    const differenceNanoUsd = costNanoUsd - beforeNanoUsd
    const facts: CallFacts = {
      ...ofCall,
      callId: newCallId(),
      reservedTokens: 0,
      reservedCostNanoUsd: 0n,
      costKnown: true,
      idempotency: null,
      metadata: null,
    }
    const adjustment = { callId, reason }
    const record = { kind: 'adjustment', facts, adjustment } as const
    const charges = this.#chargesOf(facts, differenceNanoUsd)
    await store.append([{ ...record, outcome: outcomeOf(differenceNanoUsd, now.wallMs), charges }], now)
    const value = { call_id: callId, before_nano_usd: `${beforeNanoUsd}`, after_nano_usd: `${costNanoUsd}`, reason }
    await store.registry.write(
      { kind: 'adjustment', id: facts.callId, value },
      { actor, atMs: now.wallMs, audit: true },
    )
    const entry = await store.entry(facts.callId)
    if (!entry) throw new Error(`The adjustment ${facts.callId} is not in the ledger.`)
    return { entry, beforeNanoUsd }
  }

  async #settledCall(callId: string): Promise<Entry> {
    const entry = await this.#parts.store.entry(callId)
    if (!entry) throw new Problem('not_found', `There is no call ${callId} in the ledger.`, 'call_id')
    if (entry.adjustment) {
      const message = `call_id: must be the call that was corrected, which is ${entry.adjustment.callId}`
      throw new Problem('invalid_request', message, 'call_id')
    }
    if (!entry.outcome) throw new Problem('not_settled', `The call ${callId} is in flight. Try again later.`, 'call_id')
    return entry
  }

  /** The windows of the call: those of the instant at which it was reserved. */
  #chargesOf(facts: CallFacts, differenceNanoUsd: bigint): Charge[] {
    const { caller, provider, reservedAtMs, simulated } = facts
    const subjects = { caller, provider, ...modelNameOf(provider, facts.model) }
    const amounts = { ...ZERO_AMOUNTS, cost: differenceNanoUsd }
    const charges = this.#parts
      .plan()
      .chargesFor(subjects, amounts, reservedAtMs, simulated ? SIMULATED_REALM : '', false)
    return charges.filter(({ meter }) => meter.what === 'cost')
  }
}

function outcomeOf(differenceNanoUsd: bigint, wallMs: number): Outcome {
  return {
    ending: 'adjusted',
    certainty: 'exact',
    usage: usageOf(),
    reasoningTokens: 0,
    cost: { inputNanoUsd: 0n, outputNanoUsd: 0n, totalNanoUsd: differenceNanoUsd },
    answeredModel: null,
    settledAtMs: wallMs,
    latencyMs: 0,
    timeToFirstTokenMs: null,
    attempts: [],
    upstreamLimits: null,
  }
}
