// Charges: lists of charges by meter, and the growth of a charge that a call already holds. It keeps no level.

import {
  advance,
  type BucketLevel,
  type Charge,
  type Instant,
  type Level,
  type LevelView,
  type Meter,
  take,
} from './meter.ts'
import { divideUp } from './money.ts'

/** The charge on a meter; undefined if there is none. */
export function chargeOnMeter(charges: readonly Charge[], { key }: Meter): Charge | undefined {
  return charges.find(({ meter }) => meter.key === key)
}

/** Whether admission would let a charge through: a call that costs nothing passes a limit on cost that is used up. */
export function fitsIn({ meter, amount }: Charge, { free }: LevelView): boolean {
  return (meter.what === 'cost' && amount === 0n) || free >= amount
}

/** Charges on the same meter become one. That is rare, so the given list is returned if nothing has to be summed. */
export function sumByMeter(charges: readonly Charge[]): readonly Charge[] {
  if (!hasDuplicateMeters(charges)) return charges
  const sums = new Map<string, Charge>()
  for (const charge of charges) {
    const { key } = charge.meter
    const sum = sums.get(key)
    const enforced = sum?.enforced || charge.enforced
    sums.set(key, sum ? { ...sum, amount: sum.amount + charge.amount, enforced } : charge)
  }
  return [...sums.values()]
}

/** Compares all pairs: a call has a handful of charges, and a set of keys costs more. */
function hasDuplicateMeters(charges: readonly Charge[]): boolean {
  for (let index = 1; index < charges.length; index++) {
    const key = charges[index]?.meter.key
    for (let before = 0; before < index; before++) if (charges[before]?.meter.key === key) return true
  }
  return false
}

/** Takes the increase, if there is one. Returns what the call holds then: the larger one of both charges. */
export function takeIncrease(level: Level, held: Charge, charge: Charge, now: Instant): Charge {
  const { capacity, enforced } = charge
  if (charge.amount <= held.amount) return { ...held, capacity, enforced }
  if (level.kind === 'window') {
    level.reserved += charge.amount - held.amount
    return charge
  }
  advance(level, charge, now)
  const others = heldByOthers(level, held)
  const increase = take(level, { ...charge, amount: charge.amount - held.amount }, now)
  const { drained = increase.drained } = held
  return {
    ...increase,
    amount: held.amount + increase.amount,
    takenTotal: level.taken - others,
    ...(drained ? { drained } : {}),
  }
}

/**
 * The amount that other calls took from a bucket and that has not drained yet, in whole units, rounded up.
 *
 * When a charge grows, its `takenTotal` is set back by this: treat the charge as the oldest in the bucket, so that its later
 * refund can never return another call's tokens. See docs/decisions/bucket-refunds.md.
 */
function heldByOthers(level: BucketLevel, { meter, amount, takenTotal = level.taken }: Charge): bigint {
  const spanMs = BigInt(meter.spanMs)
  const undrained = level.used * spanMs - level.remainder
  const upToCharge = undrained - (level.taken - takenTotal) * spanMs
  const ownPart = upToCharge < amount * spanMs ? upToCharge : amount * spanMs
  return divideUp(ownPart > 0n ? undrained - ownPart : undrained, spanMs)
}
