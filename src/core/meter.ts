// Meter: one limit on one subject, and the arithmetic of its level. Time is an argument; nothing here knows the clock.

import type { Span } from './calendar.ts'
import { divideUp } from './money.ts'

/** Whom a limit is about. */
export type Who =
  | 'global'
  | 'organisation'
  | 'project'
  | 'key'
  | 'user'
  | 'thread'
  | 'agent'
  | 'task'
  | 'model'
  | 'provider'

/** What a limit counts. `cost` is in nano-dollars. */
export type What = 'requests' | 'tokens' | 'cost' | 'inFlight'

/**
 * How a level comes back. `steady`: drains evenly, a whole capacity per span. `window`: gone when the calendar window turns.
 * `none`: only by settling (calls in flight). `call`: nothing is kept, each call stands alone.
 */
export type Refill = 'steady' | 'window' | 'none' | 'call'

export interface Meter {
  /** `who:subject/what/window`, unique. Follows a key's id, never its secret. */
  readonly key: string
  /** The limit's name in messages and headers: `requests_per_minute`. */
  readonly name: string
  readonly who: Who
  readonly subject: string
  readonly what: What
  readonly span: Span
  readonly refill: Refill
  /** Where refill is `steady`: the time a whole capacity takes. */
  readonly spanMs: number
  /** Where refill is `window`: when it turns, epoch milliseconds, or infinity. */
  readonly endsAtMs: number
}

/** An amount to take from a meter. Capacity travels with it, so that changing a limit touches no stored level. */
export interface Charge {
  readonly meter: Meter
  readonly amount: bigint
  readonly capacity: bigint
  /** False in soft mode and for shadow limits: taken even where it does not fit. */
  readonly enforced: boolean
  /** Once taken from a bucket: what had been taken from it altogether, this charge included. */
  readonly takenTotal?: bigint
  /** And what had drained from it by then, and when that was. */
  readonly drained?: { readonly units: bigint; readonly atMs: number }
}

/** Now, on both clocks. Buckets run on the monotonic one, windows on the wall. Whole milliseconds. */
export interface Instant {
  readonly wallMs: number
  readonly monoMs: number
}

/**
 * A meter's state. `used` and not `free` is kept for buckets, so that a changed capacity needs no conversion: lowering a
 * limit admits nothing until what was used has drained below it.
 */
export interface BucketLevel {
  readonly kind: 'bucket'
  used: bigint
  /** What has drained of the next whole unit, in unit × milliseconds: carried, so that asking often mints nothing. */
  remainder: bigint
  atMs: number
  /** Everything ever taken, whatever was given back: only differences matter. */
  taken: bigint
  /** Everything that ever drained, in whole units: only differences matter. */
  drained: bigint
}

export interface WindowLevel {
  readonly kind: 'window'
  settled: bigint
  reserved: bigint
  readonly endsAtMs: number
}

export type Level = BucketLevel | WindowLevel

/** Why a charge does not fit. `waitMs` is the first whole millisecond after which it does, on an otherwise idle meter. */
export type ShortfallReason =
  | { readonly kind: 'time'; readonly waitMs: number }
  | { readonly kind: 'inFlight' }
  | { readonly kind: 'never' }

export function newLevel(meter: Meter, now: Instant): Level {
  if (meter.refill === 'steady')
    return { kind: 'bucket', used: 0n, remainder: 0n, atMs: now.monoMs, taken: 0n, drained: 0n }
  return { kind: 'window', settled: 0n, reserved: 0n, endsAtMs: meter.endsAtMs }
}

/** Drains a bucket up to now. A clock that stepped back drains nothing until it has caught up. */
export function advance(level: Level, charge: Charge, now: Instant): void {
  if (level.kind !== 'bucket' || now.monoMs <= level.atMs) return
  const drained = BigInt(now.monoMs - level.atMs) * charge.capacity + level.remainder
  const spanMs = BigInt(charge.meter.spanMs)
  const units = minBigint(drained / spanMs, level.used)
  level.atMs = now.monoMs
  level.used -= units
  level.drained += units
  level.remainder = level.used === 0n ? 0n : drained % spanMs
}

/** Takes a charge that fits, or one that is not enforced. Returns what was really taken: see `unenforcedRoom`. */
export function take(level: Level, charge: Charge, now: Instant): Charge {
  if (level.kind === 'window') {
    level.reserved += charge.amount
    return charge
  }
  advance(level, charge, now)
  const amount = charge.enforced ? charge.amount : minBigint(charge.amount, unenforcedRoom(level, charge))
  fillBucket(level, amount)
  const { meter, capacity, enforced } = charge
  return {
    meter,
    amount,
    capacity,
    enforced,
    takenTotal: level.taken,
    drained: { units: level.drained, atMs: level.atMs },
  }
}

/** Replaces what was taken by what was used. Never refuses; the difference may be a debt. */
export function settle(level: Level, charge: Charge, used: bigint, now: Instant): void {
  if (level.kind === 'window') {
    level.reserved -= charge.amount
    level.settled += used
    return
  }
  advance(level, charge, now)
  const more = used - charge.amount
  if (more < 0n) refund(level, charge, -more)
  else if (more > 0n) fillBucket(level, charge.enforced ? more : minBigint(more, unenforcedRoom(level, charge)))
}

/** Gives back a charge as though it had never been taken. */
export function release(level: Level, charge: Charge): void {
  if (level.kind === 'window') {
    level.reserved -= charge.amount
    return
  }
  refund(level, charge, charge.amount)
}

function fillBucket(level: BucketLevel, amount: bigint): void {
  level.used += amount
  level.taken += amount
}

/**
 * Gives back at most what of the charge has not drained: what drained while the bucket would have been empty without this
 * call is gone. Giving that back too would promise it twice. Two figures are certain to be there yet, the larger one counts:
 * all that is held but what was taken since, and the charge but what drained since.
 */
function refund(level: BucketLevel, charge: Charge, amount: bigint): void {
  const { meter, takenTotal = level.taken } = charge
  const spanMs = BigInt(meter.spanMs)
  const held = heldBy(level, spanMs)
  const firstInFirstOut = held - (level.taken - takenTotal) * spanMs
  const undrained = minBigint((charge.amount - drainedSince(level, charge)) * spanMs, held)
  const left = held - minBigint(amount * spanMs, clampToZero(firstInFirstOut > undrained ? firstInFirstOut : undrained))
  level.used = divideUp(left, spanMs)
  level.remainder = level.used * spanMs - left
}

/** Rounded up. */
function drainedSince(level: BucketLevel, { amount, drained }: Charge): bigint {
  if (!drained) return amount
  return level.atMs === drained.atMs ? 0n : level.drained - drained.units + 1n
}

/** What has not drained, in unit × milliseconds: nothing is rounded. */
function heldBy(level: BucketLevel, spanMs: bigint): bigint {
  return level.used * spanMs - level.remainder
}

/** Undefined when the charge fits. Changes nothing. `level` is undefined where the meter was never touched. */
export function shortfallReason(level: Level | undefined, charge: Charge, now: Instant): ShortfallReason | undefined {
  const { amount, capacity, meter } = charge
  if (amount === 0n && meter.what === 'cost') return undefined
  if (amount > capacity) return { kind: 'never' }
  if (!level || meter.refill === 'call') return undefined
  if (level.kind === 'bucket') return bucketShortfallReason(level, charge, now)
  if (level.settled + level.reserved + amount <= capacity) return undefined
  if (meter.refill === 'none' || level.settled + amount <= capacity) return { kind: 'inFlight' }
  if (meter.endsAtMs === Number.POSITIVE_INFINITY) return { kind: 'never' }
  return { kind: 'time', waitMs: Math.max(1, meter.endsAtMs - now.wallMs) }
}

function bucketShortfallReason(level: BucketLevel, charge: Charge, now: Instant): ShortfallReason | undefined {
  const missing = level.used + charge.amount - charge.capacity
  if (missing <= 0n) return undefined
  if (charge.capacity === 0n) return { kind: 'never' }
  const spanMs = BigInt(charge.meter.spanMs)
  const behindMs = level.atMs - now.monoMs
  const drainMs = (missing * spanMs - level.remainder + charge.capacity - 1n) / charge.capacity
  const waitMs = Number(drainMs) + behindMs
  return waitMs <= 0 ? undefined : { kind: 'time', waitMs }
}

/** A level as people and headers see it. */
export interface LevelView {
  readonly meter: Meter
  readonly capacity: bigint
  readonly enforced: boolean
  /** What counts against the capacity for good, or in a bucket what has not drained yet. */
  readonly settled: bigint
  /** What is held for calls in flight; a bucket does not tell it apart. */
  readonly reserved: bigint
  /** Never negative, though a level may be over its capacity. */
  readonly free: bigint
  /** Until the level is as good as new: a bucket has drained, a window has turned. 0 where settling alone does it. */
  readonly resetMs: number
}

export function viewOf(level: Level | undefined, charge: Charge, now: Instant): LevelView {
  const { meter, capacity, enforced } = charge
  if (meter.refill === 'steady') {
    if (level?.kind !== 'bucket')
      return { meter, capacity, enforced, settled: 0n, reserved: 0n, free: capacity, resetMs: 0 }
    const { used, remainder } = drainedTo(level, charge, now)
    const drainsIn = capacity === 0n ? 0n : divideUp(used * BigInt(meter.spanMs) - remainder, capacity)
    const resetMs = Number(drainsIn)
    return { meter, capacity, enforced, settled: used, reserved: 0n, free: clampToZero(capacity - used), resetMs }
  }
  const settled = level?.kind === 'window' ? level.settled : 0n
  const reserved = level?.kind === 'window' ? level.reserved : 0n
  const resetMs =
    meter.refill === 'window' && Number.isFinite(meter.endsAtMs) ? Math.max(0, meter.endsAtMs - now.wallMs) : 0
  return { meter, capacity, enforced, settled, reserved, free: clampToZero(capacity - settled - reserved), resetMs }
}

/** A level as it will be now; the same one where it is already. */
function drainedTo(level: BucketLevel, charge: Charge, now: Instant): Pick<BucketLevel, 'used' | 'remainder'> {
  if (now.monoMs <= level.atMs) return level
  const copy = { ...level }
  advance(copy, charge, now)
  return copy
}

/** An idle bucket or window is indistinguishable from one that was never touched, and need not be kept. */
export function isIdle(level: Level): boolean {
  return level.kind === 'bucket' ? level.used === 0n : level.settled === 0n && level.reserved === 0n
}

/** A charge that is not enforced may run a bucket into debt, but by no more than one capacity. */
function unenforcedRoom(level: BucketLevel, charge: Charge): bigint {
  return clampToZero(2n * charge.capacity - level.used)
}

function minBigint(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function clampToZero(value: bigint): bigint {
  return value > 0n ? value : 0n
}
