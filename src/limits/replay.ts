// Replay: decides calls of the ledger once more, by other limits. It reads no ledger and no clock: the time is that of the calls.

import type { KeyLimits } from '../core/key-limits.ts'
import { Levels, type Shortfall, type UsedAmounts } from '../core/levels.ts'
import { type LimitPlan, OF_TARGETS, SIMULATED_REALM, ZERO_AMOUNTS } from '../core/limits.ts'
import type { Charge, Instant, Meter } from '../core/meter.ts'
import { modelNameOf } from '../core/model-name.ts'
import type { BookedCost, MeteredCall, TargetCost } from '../stores/store.ts'
import { EventQueue } from './event-queue.ts'

/** What happens to a call after its reservation: it is settled with its charges, or its cost is corrected. */
type LaterEvent =
  | { readonly call: MeteredCall; readonly charges: readonly Charge[] }
  | { readonly call: MeteredCall; readonly correction: BookedCost }

/** For each level that a call takes from, this many are visited, and leave if they are over. */
const VISITS_PER_CHARGE = 2
const CALLS_PER_COLLECTION = 64
/** Windows that are over stay this long, because the clock of the calls may have been set back. */
const MAX_SET_BACK_MS = 600_000

/**
 * The decisions of a plan on calls that are given in the order of their reservations. A call needs what it reserved then. It holds that
 * until the instant at which it was settled, and what it used from then on. A refused call takes nothing, now or later. Buckets run on
 * the wall clock of the calls. What happens in the same millisecond as a reservation happens before it.
 *
 * @example
 * const replay = new Replay(plan, false)
 * for (const call of calls) if (replay.decide(call).length > 0) refused.push(call)
 */
export class Replay {
  readonly #plan: LimitPlan
  readonly #realm: string
  readonly #keyLimits: ReadonlyMap<string, KeyLimits>
  readonly #levels = new Levels()
  readonly #later = new EventQueue<LaterEvent>()
  #callCount = 0

  /**
   * @param simulated the calls are simulated: they have levels of their own
   * @param keyLimits limits of keys that turn in a zone of the key, by the key's id
   */
  constructor(plan: LimitPlan, simulated: boolean, keyLimits: ReadonlyMap<string, KeyLimits> = new Map()) {
    this.#plan = plan
    this.#keyLimits = keyLimits
    this.#realm = simulated ? SIMULATED_REALM : ''
  }

  /** Starts a window from what was used of it before the first call. */
  seed(meter: Meter, used: bigint, atMs: number): void {
    this.#levels.seed(meter, used, instantOf(atMs))
  }

  /** How many levels are in memory. */
  get levelCount(): number {
    return this.#levels.size
  }

  /** The limits that refuse the call; none if it is admitted. */
  decide(call: MeteredCall): readonly Shortfall[] {
    const { reservedAtMs, settled, corrections } = call
    this.#happenUntil(reservedAtMs)
    const now = instantOf(reservedAtMs)
    // Nothing is saved: what changed need not be kept.
    if (++this.#callCount % CALLS_PER_COLLECTION === 0) this.#levels.collectDirty()
    const amounts = {
      requests: 1n,
      tokens: BigInt(call.reservedTokens),
      cost: call.reservedCostNanoUsd,
      inFlight: 1n,
    }
    const { charges, shortfalls } = this.#levels.take(this.#chargesAt(call, call, amounts), now)
    if (shortfalls.length > 0) return shortfalls
    this.#levels.forgetSome(VISITS_PER_CHARGE * charges.length, reservedAtMs - MAX_SET_BACK_MS)
    if (settled) this.#later.push(settled.atMs, { call, charges })
    for (const correction of corrections) this.#later.push(correction.atMs, { call, correction })
    return shortfalls
  }

  #happenUntil(untilMs: number): void {
    for (let due = this.#later.takeDue(untilMs); due; due = this.#later.takeDue(untilMs)) {
      const { event, atMs } = due
      if ('charges' in event) this.#settle(event.call, event.charges, instantOf(atMs))
      else this.#correct(event.call, event.correction, instantOf(atMs))
    }
  }

  #settle(call: MeteredCall, charges: readonly Charge[], now: Instant): void {
    const { settled } = call
    if (!settled) return
    const used = { requests: 1n, tokens: BigInt(settled.tokens), cost: settled.costNanoUsd, inFlight: 0n }
    const others = settled.targets.filter((target) => target.costNanoUsd > 0n && !isOwn(target, call))
    if (others.length === 0) return this.#levels.settle(charges, used, now)
    const ownNanoUsd = others.reduce((rest, { costNanoUsd }) => rest - costNanoUsd, settled.costNanoUsd)
    const usedByMeter = new Map(
      charges.filter(({ meter }) => isCostOfTarget(meter)).map(({ meter }) => [meter.key, ownNanoUsd] as const),
    )
    this.#levels.settle(charges, used, now, usedByMeter)
    for (const target of others) {
      const shares: UsedAmounts = { ...ZERO_AMOUNTS, cost: target.costNanoUsd }
      this.#levels.settleUnreserved(this.#costCharges(call, target, target.costNanoUsd, true), shares, now)
    }
  }

  /** As the gateway corrects it: limits on providers and models get the part of each target, all others the whole difference. */
  #correct(call: MeteredCall, { costNanoUsd, targets }: BookedCost, now: Instant): void {
    const shares: readonly TargetCost[] = targets.length > 0 ? targets : [{ ...call, costNanoUsd }]
    this.#levels.correct(
      [
        ...this.#costCharges(call, call, costNanoUsd, false),
        ...shares.flatMap((share) => this.#costCharges(call, share, share.costNanoUsd, true)),
      ],
      now,
    )
  }

  /** Charges on cost alone, of the limits on providers and models, or of all others. */
  #costCharges(call: MeteredCall, target: Target, nanoUsd: bigint, ofTarget: boolean): Charge[] {
    const charges = this.#chargesAt(call, target, { ...ZERO_AMOUNTS, cost: nanoUsd })
    return charges.filter(({ meter }) => meter.what === 'cost' && OF_TARGETS.has(meter.who) === ofTarget)
  }

  /** The windows are those of the reservation. */
  #chargesAt({ caller, reservedAtMs }: MeteredCall, { provider, model }: Target, amounts: UsedAmounts): Charge[] {
    const keyLimits = this.#keyLimits.get(caller.key ?? '')
    const subjects = { caller, provider, ...modelNameOf(provider, model), keyLimits }
    return this.#plan.chargesFor(subjects, amounts, reservedAtMs, this.#realm, false)
  }
}

type Target = Pick<MeteredCall, 'provider' | 'model'>

function isCostOfTarget({ what, who }: Meter): boolean {
  return what === 'cost' && OF_TARGETS.has(who)
}

function isOwn(target: Target, call: MeteredCall): boolean {
  return target.provider === call.provider && target.model === call.model
}

/** The ledger knows the wall clock alone. */
function instantOf(wallMs: number): Instant {
  return { wallMs, monoMs: wallMs }
}
