// Adjustments: corrects what settled calls did cost, by entries of their own. It edits no entry.

import type { KeyLimits } from '../core/key-limits.ts'
import type { Adjustment, CallFacts, Entry, Outcome } from '../core/ledger-entry.ts'
import { type LimitPlan, OF_TARGETS, SIMULATED_REALM, ZERO_AMOUNTS } from '../core/limits.ts'
import type { Charge, Instant } from '../core/meter.ts'
import { modelNameOf } from '../core/model-name.ts'
import { Problem } from '../core/problem.ts'
import { usageOf } from '../core/usage.ts'
import type { Store } from '../stores/store.ts'
import type { Telemetry } from '../telemetry/call-events.ts'

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
  /** The limits in the record of a key. Undefined for a key without one. */
  readonly keyLimitsOf: (key: string) => Promise<KeyLimits | undefined>
  readonly newCallId: () => string
  readonly telemetry: Pick<Telemetry, 'emit'>
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
    const { store, newCallId, telemetry } = this.#parts
    const call = await this.#settledCall(callId)
    const { facts: ofCall } = call
    const shares = costShares(call, await store.adjustments(callId))
    const beforeNanoUsd = shares.reduce((sum, share) => sum + share.nanoUsd, 0n)
    const differenceNanoUsd = costNanoUsd - beforeNanoUsd
    const differences = spread(differenceNanoUsd, shares)
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
    const keyLimits = facts.caller.key === null ? undefined : await this.#parts.keyLimitsOf(facts.caller.key)
    const charges = this.#chargesOf(facts, keyLimits, differenceNanoUsd, differences)
    const outcome = outcomeOf(differenceNanoUsd, differences, now.wallMs)
    await store.append([{ ...record, outcome, charges }], now)
    telemetry.emit({ kind: 'booked', at: now, calls: [{ facts, outcome }] })
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
    if (!entry) {
      const message = `There is no call ${callId} in the ledger. Calls older than RETENTION_DAYS are deleted.`
      throw new Problem('not_found', message, 'call_id')
    }
    if (entry.adjustment) {
      const message = `call_id: must be the call that was corrected, which is ${entry.adjustment.callId}`
      throw new Problem('invalid_request', message, 'call_id')
    }
    if (!entry.outcome) throw new Problem('not_settled', `The call ${callId} is in flight. Try again later.`, 'call_id')
    return entry
  }

  /**
   * The windows of the call: those of the instant at which it was reserved. Limits on providers and models get the part of each
   * target, all others the whole difference.
   */
  #chargesOf(
    facts: CallFacts,
    keyLimits: KeyLimits | undefined,
    differenceNanoUsd: bigint,
    differences: readonly CostShare[],
  ): Charge[] {
    const { caller, provider, model, reservedAtMs, simulated } = facts
    const plan = this.#parts.plan()
    const realm = simulated ? SIMULATED_REALM : ''
    const chargesAt = (target: Target, nanoUsd: bigint, isOfTargets: boolean) => {
      const subjects = { caller, keyLimits, provider: target.provider, ...modelNameOf(target.provider, target.model) }
      const charges = plan.chargesFor(subjects, { ...ZERO_AMOUNTS, cost: nanoUsd }, reservedAtMs, realm, false)
      return charges.filter(({ meter }) => meter.what === 'cost' && OF_TARGETS.has(meter.who) === isOfTargets)
    }
    return [
      ...chargesAt({ provider, model }, differenceNanoUsd, false),
      ...differences.flatMap((share) => chargesAt(share, share.nanoUsd, true)),
    ]
  }
}

interface Target {
  readonly provider: string
  readonly model: string
}

/** What a call is booked at for one target. */
interface CostShare extends Target {
  readonly nanoUsd: bigint
}

/** What each target of a call is booked at, with earlier corrections. The target that answered is the last. */
function costShares({ facts, outcome }: Entry, earlier: readonly Entry[]): readonly CostShare[] {
  const entries = [outcome, ...earlier.map((entry) => entry.outcome)]
  const shares = new Map<string, CostShare>()
  let totalNanoUsd = 0n
  for (const part of entries) {
    totalNanoUsd += part?.cost.totalNanoUsd ?? 0n
    for (const { provider, model, costNanoUsd } of part?.attempts ?? []) {
      const name = `${provider}/${model}`
      if (provider === facts.provider && model === facts.model) continue
      shares.set(name, { provider, model, nanoUsd: (shares.get(name)?.nanoUsd ?? 0n) + costNanoUsd })
    }
  }
  const others = [...shares.values()]
  const othersNanoUsd = others.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0n)
  const { provider, model } = facts
  return [...others, { provider, model, nanoUsd: totalNanoUsd - othersNanoUsd }]
}

/** A lower cost is taken from the targets that failed first. A higher cost is that of the target that answered. */
function spread(differenceNanoUsd: bigint, shares: readonly CostShare[]): readonly CostShare[] {
  let leftNanoUsd = differenceNanoUsd
  const differences = shares.map(({ provider, model, nanoUsd }, index) => {
    const isLast = index === shares.length - 1
    const taken = leftNanoUsd < -nanoUsd ? -nanoUsd : leftNanoUsd
    const part = isLast ? leftNanoUsd : leftNanoUsd < 0n ? taken : 0n
    leftNanoUsd -= part
    return { provider, model, nanoUsd: part }
  })
  return differences.filter(({ nanoUsd }) => nanoUsd !== 0n)
}

function outcomeOf(differenceNanoUsd: bigint, differences: readonly CostShare[], wallMs: number): Outcome {
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
    attempts: differences.map(({ provider, model, nanoUsd }) => ({
      provider,
      model,
      status: null,
      durationMs: 0,
      error: null,
      costNanoUsd: nanoUsd,
    })),
    upstreamLimits: null,
  }
}
