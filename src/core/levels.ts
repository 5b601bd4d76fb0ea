// Levels: every meter's state in memory, and the one way to change it: check all, then take all. It never waits.

import { chargeOnMeter, sumByMeter, takeIncrease } from './charges.ts'
import {
  type Charge,
  type Instant,
  isIdle,
  type Level,
  type LevelView,
  type Meter,
  newLevel,
  release,
  type ShortfallReason,
  settle,
  shortfallReason,
  take,
  viewOf,
  type What,
} from './meter.ts'

/** An enforced charge that does not fit. */
export interface Shortfall {
  readonly charge: Charge
  readonly reason: ShortfallReason
  /** The level without what the call itself holds. */
  readonly level: LevelView
}

/** What does not fit. */
interface Misfits {
  /** Enforced charges. */
  readonly shortfalls: readonly Shortfall[]
  /** Names of unenforced limits. */
  readonly unenforced: readonly string[]
}

/** The answer of `take`: everything is taken, or, if `shortfalls` is not empty, nothing is. */
export interface TakeResult extends Misfits {
  /** What was taken, charge by charge. Settling replaces it. */
  readonly charges: readonly Charge[]
}

/** The answer of `raise`. If `shortfalls` is not empty, nothing was taken. */
export interface RaiseResult extends Misfits {
  /** What the call holds now: for each meter the larger one of the old and the new charge. */
  readonly held: readonly Charge[]
  /** The new charges: what the call holds once `lower` has given back the rest. Empty if something does not fit. */
  readonly charges: readonly Charge[]
}

/** The answer of `lower`. */
export interface LowerResult {
  /** What the call holds now. */
  readonly charges: readonly Charge[]
  /** Restores the levels. Call it before any level changes again; undo later results of `lower` first. */
  readonly undo: () => void
}

/** What a call used of each thing that limits count: requests, tokens, nano-dollars, calls in flight. */
export type UsedAmounts = Readonly<Record<What, bigint>>

/** Nearly every call fits: then no list is made. */
const NO_MISFITS: Misfits = { shortfalls: [], unenforced: [] }

const DAY_MS = 86_400_000

interface LevelSlot {
  readonly key: string
  readonly level: Level
  dirty: boolean
}

/** A charge, what the call holds on its meter already, and the meter's level. */
interface Increase {
  readonly charge: Charge
  readonly held: Charge | undefined
  readonly slot: LevelSlot | undefined
}

/**
 * The levels of all meters. A method checks everything before it changes anything, and no await lies between, so that the
 * decision of one call can never overlap with that of another call.
 */
export class Levels {
  /** Idle levels leave in two steps: `turnGeneration` ages young to old, and forgets old. A touch makes young. */
  #young = new Map<string, LevelSlot>()
  #old = new Map<string, LevelSlot>()
  #dirty: LevelSlot[] = []
  /** Where `forgetSome` goes on. */
  #visited: Iterator<LevelSlot> = this.#young.values()
  readonly #load: ((key: string) => Level | undefined) | undefined

  /** @param load reads a stored level on its first touch. Without it, idle levels are dropped only if they hold nothing. */
  constructor(load?: (key: string) => Level | undefined) {
    this.#load = load
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** Takes all charges or none. Charges on the same meter are one charge. */
  take(charges: readonly Charge[], now: Instant): TakeResult {
    const summed = sumByMeter(charges)
    let misfits = NO_MISFITS
    // Find every level before changing any level, because loading a level may fail.
    for (const charge of summed) {
      const level = this.#find(charge.meter)?.level
      const reason = shortfallReason(level, charge, now)
      if (reason) misfits = withMisfit(misfits, { charge, reason, level: viewOf(level, charge, now) })
    }
    const { shortfalls, unenforced } = misfits
    if (shortfalls.length > 0) return { charges: [], shortfalls, unenforced }
    const taken: Charge[] = []
    for (const charge of summed) {
      if (charge.meter.refill === 'call') continue
      // A level that was found is in the young generation now.
      const slot = this.#young.get(charge.meter.key) ?? this.#add(charge.meter, now)
      taken.push(take(slot.level, charge, now))
      this.#touch(slot)
    }
    return { charges: taken, shortfalls, unenforced }
  }

  /**
   * Grows a reservation, all or nothing. For a meter the call already holds, only the increase has to fit. Nothing shrinks
   * here: call `lower` for that. In `shortfalls`, `amount` is the full new amount and `level` excludes what this call holds.
   * @param held what `take` or an earlier amendment left this call with
   */
  raise(held: readonly Charge[], charges: readonly Charge[], now: Instant): RaiseResult {
    // Find every level before changing any level, because loading a level may fail.
    for (const { meter } of held) this.#find(meter)
    const increases = sumByMeter(charges).map((charge): Increase => {
      return { charge, held: chargeOnMeter(held, charge.meter), slot: this.#find(charge.meter) }
    })
    let misfits = NO_MISFITS
    for (const increase of increases) {
      const misfit = misfitOf(increase, now)
      if (misfit) misfits = withMisfit(misfits, misfit)
    }
    if (misfits.shortfalls.length > 0) return { held, charges: [], ...misfits }
    const raised = held.filter(({ meter }) => !increases.some(({ charge }) => charge.meter.key === meter.key))
    const remaining: Charge[] = []
    for (const { charge, held: before, slot: found } of increases) {
      if (charge.meter.refill === 'call') continue
      const slot = found ?? this.#add(charge.meter, now)
      const larger = before ? takeIncrease(slot.level, before, charge, now) : take(slot.level, charge, now)
      raised.push(larger)
      remaining.push(larger.amount > charge.amount ? { ...larger, amount: charge.amount } : larger)
      this.#touch(slot)
    }
    return { held: raised, charges: remaining, ...misfits }
  }

  /**
   * Gives back what a call holds beyond `charges`, as a refund. Never refuses.
   * @param charges the `charges` that `raise` answered, or those the call held before
   */
  lower(held: readonly Charge[], charges: readonly Charge[], now: Instant): LowerResult {
    const changed: { readonly slot: LevelSlot; readonly before: Level }[] = []
    for (const charge of held) {
      const excess = charge.amount - (chargeOnMeter(charges, charge.meter)?.amount ?? 0n)
      if (excess <= 0n) continue
      const slot = this.#findOrAdd(charge.meter, now)
      changed.push({ slot, before: { ...slot.level } })
      settle(slot.level, { ...charge, amount: excess }, 0n, now)
      this.#touch(slot)
    }
    return {
      // A charge that grew got a new `takenTotal` in `raise`, and what stays has to carry it: with the former mark, a
      // refund takes the call's own increase for that of a later call, and returns too little.
      charges: charges.map((charge) => {
        const { takenTotal, drained } = chargeOnMeter(held, charge.meter) ?? {}
        return takenTotal === undefined || !drained ? charge : { ...charge, takenTotal, drained }
      }),
      undo: () => {
        for (const { slot, before } of changed) Object.assign(slot.level, before)
      },
    }
  }

  /**
   * Replaces what was taken by what was used. If `used` is undefined, the full reservation counts as used (in-flight meters
   * always release). `usedByMeter`, by meter key, overrides `used`.
   */
  settle(
    charges: readonly Charge[],
    used: UsedAmounts | undefined,
    now: Instant,
    usedByMeter?: ReadonlyMap<string, bigint>,
  ): void {
    for (const charge of charges) {
      const slot = this.#findOrAdd(charge.meter, now)
      const amount = used ? (usedByMeter?.get(charge.meter.key) ?? used[charge.meter.what]) : charge.amount
      settle(slot.level, charge, charge.meter.refill === 'none' ? 0n : amount, now)
      this.#touch(slot)
    }
  }

  /** Settles what was used without a reservation, whether it fits or not. */
  settleUnreserved(charges: readonly Charge[], used: UsedAmounts, now: Instant): void {
    const settled = sumByMeter(charges).filter((charge) => charge.meter.refill !== 'call')
    this.settle(
      settled.map((charge) => ({ ...charge, amount: 0n })),
      used,
      now,
    )
  }

  /** Corrects what settled calls used of the charged windows, up or down. No level falls below zero. */
  correct(charges: readonly Charge[], now: Instant): void {
    for (const charge of sumByMeter(charges)) {
      if (charge.meter.refill !== 'window') continue
      const slot = this.#findOrAdd(charge.meter, now)
      settle(slot.level, { ...charge, amount: 0n }, charge.amount, now)
      this.#touch(slot)
    }
  }

  /** Gives charges back as if they had never been taken. */
  release(charges: readonly Charge[], now: Instant): void {
    for (const charge of charges) {
      const slot = this.#findOrAdd(charge.meter, now)
      release(slot.level, charge)
      this.#touch(slot)
    }
  }

  /** Raises the settled part of a window, and keeps its reserved part: a new limit starts from the ledger's sum. */
  seed(meter: Meter, settled: bigint, now: Instant): void {
    const slot = this.#findOrAdd(meter, now)
    if (slot.level.kind !== 'window' || slot.level.settled >= settled) return
    slot.level.settled = settled
    this.#touch(slot)
  }

  /** The level each charge would meet now. Changes nothing. */
  view(charges: readonly Charge[], now: Instant): LevelView[] {
    return charges.map((charge) => viewOf(this.#find(charge.meter)?.level, charge, now))
  }

  /** True if `collectDirty` would return a level. */
  get isDirty(): boolean {
    return this.#dirty.length > 0
  }

  /** The levels that changed since the last call, each once. Call `markDirty` for those that could not be saved. */
  collectDirty(): readonly (readonly [key: string, level: Level])[] {
    const dirty = this.#dirty
    this.#dirty = []
    return dirty.map((slot) => {
      slot.dirty = false
      return [slot.key, slot.level] as const
    })
  }

  markDirty(keys: Iterable<string>): void {
    for (const key of keys) {
      const slot = this.#young.get(key) ?? this.#old.get(key)
      if (slot) this.#touch(slot)
    }
  }

  /**
   * Forgets levels that were not touched since the turn before. With `load`, a forgotten level is loaded again. Without it,
   * a level is forgotten only if it holds nothing or if its window ended a day ago: a clock that stepped forward must not empty
   * today's budget.
   */
  turnGeneration(now: Instant): void {
    const idle = this.#old
    this.#old = this.#young
    this.#young = new Map()
    for (const slot of idle.values()) {
      const { level } = slot
      const isOver = level.kind === 'window' && level.endsAtMs + DAY_MS < now.wallMs && level.reserved === 0n
      if (slot.dirty || !(this.#load || isOver || isIdle(level))) this.#old.set(slot.key, slot)
    }
  }

  /**
   * Visits the next `count` levels, and forgets those that hold nothing, or whose window ended before `endedBeforeMs`. In place of
   * `turnGeneration`, where levels are not loaded and no call may wait for a visit to all.
   */
  forgetSome(count: number, endedBeforeMs: number): void {
    for (let visits = 0; visits < count; visits++) {
      const { value: slot, done } = this.#visited.next()
      if (done) {
        this.#visited = this.#young.values()
        return
      }
      const { level } = slot
      const isOver = level.kind === 'window' && level.endsAtMs < endedBeforeMs && level.reserved === 0n
      if (isOver || isIdle(level)) this.#young.delete(slot.key)
    }
  }

  #find(meter: Meter): LevelSlot | undefined {
    if (meter.refill === 'call') return undefined
    const young = this.#young.get(meter.key)
    if (young) return young
    const old = this.#old.get(meter.key)
    if (old) {
      this.#old.delete(meter.key)
      this.#young.set(meter.key, old)
      return old
    }
    const level = this.#load?.(meter.key)
    if (!level) return undefined
    const slot: LevelSlot = { key: meter.key, level, dirty: false }
    this.#young.set(meter.key, slot)
    return slot
  }

  #findOrAdd(meter: Meter, now: Instant): LevelSlot {
    return this.#find(meter) ?? this.#add(meter, now)
  }

  #add(meter: Meter, now: Instant): LevelSlot {
    const slot: LevelSlot = { key: meter.key, level: newLevel(meter, now), dirty: false }
    this.#young.set(meter.key, slot)
    return slot
  }

  #touch(slot: LevelSlot): void {
    if (slot.dirty) return
    slot.dirty = true
    this.#dirty.push(slot)
  }
}

function withMisfit({ shortfalls, unenforced }: Misfits, misfit: Shortfall): Misfits {
  return misfit.charge.enforced
    ? { shortfalls: [...shortfalls, misfit], unenforced }
    : { shortfalls, unenforced: [...unenforced, misfit.charge.meter.name] }
}

/** Undefined if the increase fits. The level is the one the charge would meet if the call gave back what it holds. */
function misfitOf({ charge, held, slot }: Increase, now: Instant): Shortfall | undefined {
  const level = slot?.level
  if (!level || !held) {
    const reason = shortfallReason(level, charge, now)
    return reason && { charge, reason, level: viewOf(level, charge, now) }
  }
  if (charge.amount <= held.amount) return undefined
  const levelWithout = { ...level }
  settle(levelWithout, held, 0n, now)
  // For a bucket only the increase is checked: part of what the call took has drained and is free already.
  const reason =
    level.kind === 'bucket'
      ? shortfallReason(level, { ...charge, amount: charge.amount - held.amount }, now)
      : shortfallReason(levelWithout, charge, now)
  return reason && { charge, reason, level: viewOf(levelWithout, charge, now) }
}
