// Levels: every meter's state in memory, and the one way to change it: check all, then take all. Never waits.

import {
  advance,
  type BucketLevel,
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
import { divideUp } from './money.ts'

/** One charge that did not fit, and the level it met. */
export interface Shortfall {
  readonly charge: Charge
  readonly reason: ShortfallReason
  readonly level: LevelView
}

/** Either everything was taken (`short` is empty), or nothing was. */
export interface TakeResult {
  /** What was taken, charge by charge; what settling replaces. */
  readonly charges: readonly Charge[]
  /** Enforced charges that did not fit. */
  readonly shortfalls: readonly Shortfall[]
  /** Names of unenforced limits that would have refused. */
  readonly unenforced: readonly string[]
}

/** What `raise` answers. `charges` is what is left once the rest is lowered. */
export interface RaiseResult extends TakeResult {
  /** What is held now, charge by charge: of each meter the more of what was held and what is asked. */
  readonly held: readonly Charge[]
}

export interface LowerResult {
  /** What is held now. */
  readonly charges: readonly Charge[]
  /** Good until anything else changes a level, but for later lowerings that are undone first. */
  readonly undo: () => void
}

/** What a call used, by what limits count. */
export type UsedAmounts = Readonly<Record<What, bigint>>

const NO_SHORTFALLS: readonly Shortfall[] = []
const NO_LIMIT_NAMES: readonly string[] = []

interface LevelSlot {
  readonly key: string
  readonly level: Level
  dirty: boolean
}

export class Levels {
  /** Two generations: what is touched moves to the young one, what stayed old through a turn is idle. */
  #young = new Map<string, LevelSlot>()
  #old = new Map<string, LevelSlot>()
  #dirty: LevelSlot[] = []
  readonly #load: ((key: string) => Level | undefined) | undefined

  /** @param load reads a stored level on first touch; without it idle levels are only dropped when they hold nothing. */
  constructor(load?: (key: string) => Level | undefined) {
    this.#load = load
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** All or nothing, decided and done at one instant. Charges on the same meter are one charge. */
  take(charges: readonly Charge[], now: Instant): TakeResult {
    const summed = sumByMeter(charges)
    let short = NO_SHORTFALLS
    let overlooked = NO_LIMIT_NAMES
    // Every level is found before any is changed: loading one may fail.
    for (const charge of summed) {
      const level = this.#find(charge.meter)?.level
      const lacking = shortfallReason(level, charge, now)
      if (!lacking) continue
      if (charge.enforced) short = [...short, { charge, reason: lacking, level: viewOf(level, charge, now) }]
      else overlooked = [...overlooked, charge.meter.name]
    }
    if (short.length > 0) return { charges: [], shortfalls: short, unenforced: overlooked }
    const taken: Charge[] = []
    for (const charge of summed) {
      if (charge.meter.refill === 'call') continue
      // What was found is young by now.
      const kept = this.#young.get(charge.meter.key) ?? this.#add(charge.meter, now)
      taken.push(take(kept.level, charge, now))
      this.#touch(kept)
    }
    return { charges: taken, shortfalls: short, unenforced: overlooked }
  }

  /**
   * Takes what new charges ask beyond what a call holds, all or nothing. A meter that is held already moves by the
   * difference, and only a larger amount has to fit. What is held beyond the new charges stays: `lower` gives it back. In
   * `short`, amounts are whole and levels are without what this call holds.
   * @param held what `take` or an earlier amendment left this call with
   */
  raise(held: readonly Charge[], charges: readonly Charge[], now: Instant): RaiseResult {
    const summed = sumByMeter(charges)
    const short: Shortfall[] = []
    const overlooked: string[] = []
    // Every level is found before any is changed: loading one may fail.
    for (const { meter } of held) this.#find(meter)
    const found = summed.map((charge) => this.#find(charge.meter))
    const had = summed.map((charge) => chargeOnMeter(held, charge.meter))
    for (const [index, charge] of summed.entries()) {
      const lacking = shortfallOfIncrease(found[index]?.level, had[index], charge, now)
      if (!lacking) continue
      if (charge.enforced) short.push({ charge, ...lacking })
      else overlooked.push(charge.meter.name)
    }
    if (short.length > 0) return { held, charges: [], shortfalls: short, unenforced: overlooked }
    const raised: Charge[] = held.filter(({ meter }) => !chargeOnMeter(summed, meter))
    const left: Charge[] = []
    for (const [index, charge] of summed.entries()) {
      if (charge.meter.refill === 'call') continue
      const kept = found[index] ?? this.#add(charge.meter, now)
      const before = had[index]
      const more = before ? takeIncrease(kept.level, before, charge, now) : take(kept.level, charge, now)
      raised.push(more)
      left.push(more.amount > charge.amount ? { ...more, amount: charge.amount } : more)
      this.#touch(kept)
    }
    return { held: raised, charges: left, shortfalls: short, unenforced: overlooked }
  }

  /**
   * Gives back what a call holds beyond `charges`, as refunds do. Never refuses. `charges` is what `raise` answered, or what
   * the call held before it.
   */
  lower(held: readonly Charge[], charges: readonly Charge[], now: Instant): LowerResult {
    const changed: { readonly kept: LevelSlot; readonly before: Level }[] = []
    for (const charge of held) {
      const excess = charge.amount - (chargeOnMeter(charges, charge.meter)?.amount ?? 0n)
      if (excess <= 0n) continue
      const kept = this.#findOrAdd(charge.meter, now)
      changed.push({ kept, before: { ...kept.level } })
      settle(kept.level, { ...charge, amount: excess }, 0n, now)
      this.#touch(kept)
    }
    return {
      charges: charges.map((charge) => {
        const { takenTotal, drained } = chargeOnMeter(held, charge.meter) ?? {}
        return takenTotal === undefined || !drained ? charge : { ...charge, takenTotal, drained }
      }),
      undo: () => {
        for (const { kept, before } of changed) Object.assign(kept.level, before)
      },
    }
  }

  /** Replaces what was taken by what was used. Without `used` the whole of it counts as used, but for calls in flight. `usedOn` goes before it, by meter. */
  settle(
    charges: readonly Charge[],
    used: UsedAmounts | undefined,
    now: Instant,
    usedOn?: ReadonlyMap<string, bigint>,
  ): void {
    for (const charge of charges) {
      const kept = this.#findOrAdd(charge.meter, now)
      const booked = used ? (usedOn?.get(charge.meter.key) ?? used[charge.meter.what]) : charge.amount
      settle(kept.level, charge, charge.meter.refill === 'none' ? 0n : booked, now)
      this.#touch(kept)
    }
  }

  /** Books what was used without a reservation, whether it fits or not. */
  settleUnreserved(charges: readonly Charge[], used: UsedAmounts, now: Instant): void {
    const kept = sumByMeter(charges).filter((charge) => charge.meter.refill !== 'call')
    this.settle(
      kept.map((charge) => ({ ...charge, amount: 0n })),
      used,
      now,
    )
  }

  /** Gives charges back as though they had never been taken. */
  release(charges: readonly Charge[], now: Instant): void {
    for (const charge of charges) {
      const kept = this.#findOrAdd(charge.meter, now)
      release(kept.level, charge)
      this.#touch(kept)
    }
  }

  /** Sets what a window has settled, keeping what is reserved: a limit that is new starts from the ledger's sum. */
  seed(meter: Meter, settled: bigint, now: Instant): void {
    const kept = this.#findOrAdd(meter, now)
    if (kept.level.kind !== 'window') return
    kept.level.settled = settled
    this.#touch(kept)
  }

  /** The level each charge would meet now. Changes nothing. */
  view(charges: readonly Charge[], now: Instant): LevelView[] {
    return charges.map((charge) => viewOf(this.#find(charge.meter)?.level, charge, now))
  }

  /** True when `drainDirty` has something to give. */
  get isDirty(): boolean {
    return this.#dirty.length > 0
  }

  /** Levels changed since the last call, each once. The caller saves them, or calls `redirty` when it could not. */
  collectDirty(): readonly (readonly [key: string, level: Level])[] {
    const drained = this.#dirty
    this.#dirty = []
    return drained.map((kept) => {
      kept.dirty = false
      return [kept.key, kept.level] as const
    })
  }

  markDirty(keys: Iterable<string>): void {
    for (const key of keys) {
      const kept = this.#young.get(key) ?? this.#old.get(key)
      if (kept) this.#touch(kept)
    }
  }

  /**
   * Forgets what was not touched since the turn before. With a `load` they come back when asked for; without one only those
   * go that hold nothing or whose window ended a day ago (a clock that stepped forward must not empty today's budget).
   */
  turnGeneration(now: Instant): void {
    const idle = this.#old
    this.#old = this.#young
    this.#young = new Map()
    for (const kept of idle.values()) {
      const over =
        kept.level.kind === 'window' && kept.level.endsAtMs + 86_400_000 < now.wallMs && kept.level.reserved === 0n
      if (kept.dirty || !(this.#load || over || isIdle(kept.level))) this.#old.set(kept.key, kept)
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
    const loaded = { key: meter.key, level, dirty: false }
    this.#young.set(meter.key, loaded)
    return loaded
  }

  #findOrAdd(meter: Meter, now: Instant): LevelSlot {
    return this.#find(meter) ?? this.#add(meter, now)
  }

  #add(meter: Meter, now: Instant): LevelSlot {
    const made = { key: meter.key, level: newLevel(meter, now), dirty: false }
    this.#young.set(meter.key, made)
    return made
  }

  #touch(kept: LevelSlot): void {
    if (kept.dirty) return
    kept.dirty = true
    this.#dirty.push(kept)
  }
}

function chargeOnMeter(charges: readonly Charge[], { key }: Meter): Charge | undefined {
  return charges.find(({ meter }) => meter.key === key)
}

/** Why what a charge asks beyond what is held does not fit, and the level it would meet once that were given back. */
function shortfallOfIncrease(
  level: Level | undefined,
  held: Charge | undefined,
  charge: Charge,
  now: Instant,
): Pick<Shortfall, 'reason' | 'level'> | undefined {
  let free = level
  let asked = charge
  if (level && held) {
    if (charge.amount <= held.amount) return undefined
    free = { ...level }
    settle(free, held, 0n, now)
    // Of what was taken from a bucket some has drained, and is not asked again.
    if (level.kind === 'bucket') asked = { ...charge, amount: charge.amount - held.amount }
  }
  const lacking = shortfallReason(asked === charge ? free : level, asked, now)
  return lacking && { reason: lacking, level: viewOf(free, charge, now) }
}

/** Takes the difference, where there is one. Returns what is held then: the more of both. */
function takeIncrease(level: Level, held: Charge, charge: Charge, now: Instant): Charge {
  const { capacity, enforced } = charge
  if (charge.amount <= held.amount) return { ...held, capacity, enforced }
  if (level.kind === 'window') {
    level.reserved += charge.amount - held.amount
    return charge
  }
  advance(level, charge, now)
  const others = heldByOthers(level, held)
  const more = take(level, { ...charge, amount: charge.amount - held.amount }, now)
  const { drained = more.drained } = held
  return {
    ...more,
    amount: held.amount + more.amount,
    takenTotal: level.taken - others,
    ...(drained ? { drained } : {}),
  }
}

/**
 * What has not drained of others' charges, rounded up. The mark of a charge that has grown is set back by it, as though the
 * charge stood before them all: no refund of it, however late, gives back what is theirs.
 */
function heldByOthers(level: BucketLevel, { meter, amount, takenTotal = level.taken }: Charge): bigint {
  const spanMs = BigInt(meter.spanMs)
  const all = level.used * spanMs - level.remainder
  const upToMark = all - (level.taken - takenTotal) * spanMs
  const own = upToMark < amount * spanMs ? upToMark : amount * spanMs
  return divideUp(own > 0n ? all - own : all, spanMs)
}

/** Charges on the same meter become one. Hardly ever needed, so the given list is returned as it is when it can be. */
function sumByMeter(charges: readonly Charge[]): readonly Charge[] {
  if (!hasDuplicateMeters(charges)) return charges
  const seen = new Map<string, number>()
  const summed: Charge[] = []
  for (const charge of charges) {
    const at = seen.get(charge.meter.key)
    const earlier = at === undefined ? undefined : summed[at]
    if (at === undefined || !earlier) seen.set(charge.meter.key, summed.push(charge) - 1)
    else
      summed[at] = { ...earlier, amount: earlier.amount + charge.amount, enforced: earlier.enforced || charge.enforced }
  }
  return summed
}

/** By comparing all pairs: calls have a handful of charges, and a set of keys costs more. */
function hasDuplicateMeters(charges: readonly Charge[]): boolean {
  for (let i = 1; i < charges.length; i++) {
    const key = charges[i]?.meter.key
    for (let j = 0; j < i; j++) if (charges[j]?.meter.key === key) return true
  }
  return false
}
