// Meter: one limit on one subject, and the arithmetic of its level. Time is an argument: nothing here reads a clock.

import type { Span } from './calendar.ts'
import { divideUp, saturateNanoUsd } from './money.ts'

/** The subject of a limit. */
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

/** What a limit counts. It is the unit of a meter's amounts: requests, tokens, nano-dollars (`cost`), or calls (`inFlight`). */
export type What = 'requests' | 'tokens' | 'cost' | 'inFlight'

/**
 * How capacity comes back. `steady`: a token bucket that drains evenly, a whole capacity per span. `window`: all of it when the
 * calendar window turns. `none`: only when a call settles (calls in flight). `call`: no level is kept, each call stands alone.
 */
export type Refill = 'steady' | 'window' | 'none' | 'call'

/** One limit on one subject in one window. It names a level; it does not hold it. */
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
  /** For `steady`: the time in which a whole capacity drains. */
  readonly spanMs: number
  /** For `window`: when it turns, in epoch milliseconds, or infinity. */
  readonly endsAtMs: number
  /** What sets the limit, for people: see `Limit.source`. */
  readonly source?: string | undefined
}

/** An amount to take from a meter. It carries the capacity, so that changing a limit touches no stored level. */
export interface Charge {
  readonly meter: Meter
  /** In the unit of `meter.what`. Never negative. */
  readonly amount: bigint
  /** In the unit of `meter.what`. */
  readonly capacity: bigint
  /** False in soft mode and for shadow limits: the charge is taken even if it does not fit. */
  readonly enforced: boolean
  /** Set once the charge is taken from a bucket: `BucketLevel.taken` right after it, in the unit of `meter.what`. */
  readonly takenTotal?: bigint
  /** Set with it: `BucketLevel.drained` at that time, and the time on the monotonic clock. */
  readonly drained?: { readonly units: bigint; readonly atMs: number }
}

/** One moment on both clocks, in whole milliseconds. Buckets run on the monotonic clock, windows on the wall clock. */
export interface Instant {
  readonly wallMs: number
  readonly monoMs: number
}

/**
 * The state of a `steady` meter: a token bucket. It keeps `used` rather than what is free, so that a changed capacity needs no
 * conversion: a lowered limit admits nothing until `used` has drained below it. Amounts are in the unit of the meter.
 */
export interface BucketLevel {
  readonly kind: 'bucket'
  /** What has not drained yet. May exceed the capacity: a debt. */
  used: bigint
  /** The part of the next whole unit that has drained, in unit × milliseconds. It is carried, so that frequent calls mint nothing. */
  remainder: bigint
  /** When the bucket was last drained, in milliseconds on the monotonic clock. */
  atMs: number
  /** The sum of all that was ever taken; refunds do not lower it. Only differences matter. */
  taken: bigint
  /** The sum of all whole units that ever drained. Only differences matter. */
  drained: bigint
}

/** The state of any other meter. Amounts are in the unit of the meter. */
export interface WindowLevel {
  readonly kind: 'window'
  /** What settled calls used. Always 0 for calls in flight. */
  settled: bigint
  /** What open calls hold. */
  reserved: bigint
  /** When the window turns, in epoch milliseconds, or infinity. */
  readonly endsAtMs: number
}

/** The level of a meter. */
export type Level = BucketLevel | WindowLevel

/**
 * Why a charge does not fit. `time`: it fits after `waitMs`, the least whole number of milliseconds, if no other call comes.
 * `inFlight`: it can fit once open calls settle. `never`: it is over the capacity, or over what a window without end has left.
 */
export type ShortfallReason =
  | { readonly kind: 'time'; readonly waitMs: number }
  | { readonly kind: 'inFlight' }
  | { readonly kind: 'never' }

/** The level of a meter from which nothing has been taken. */
export function newLevel(meter: Meter, now: Instant): Level {
  if (meter.refill === 'steady')
    return { kind: 'bucket', used: 0n, remainder: 0n, atMs: now.monoMs, taken: 0n, drained: 0n }
  return { kind: 'window', settled: 0n, reserved: 0n, endsAtMs: meter.endsAtMs }
}

/** Drains a bucket up to now. After a clock stepped back, nothing drains until it has caught up. */
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

/** Takes a charge that fits, or an unenforced charge. Returns the charge that was really taken: see `unenforcedRoom`. */
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

/** Replaces a taken charge by what was used. Never refuses: more than was taken becomes a debt. */
export function settle(level: Level, charge: Charge, used: bigint, now: Instant): void {
  if (level.kind === 'window') {
    level.reserved = clampToZero(level.reserved - charge.amount)
    level.settled = clampToZero(saturateNanoUsd(level.settled + used))
    return
  }
  advance(level, charge, now)
  const excess = used - charge.amount
  if (excess < 0n) refund(level, charge, -excess)
  else if (excess > 0n) fillBucket(level, charge.enforced ? excess : minBigint(excess, unenforcedRoom(level, charge)))
}

/** Gives back a charge as if it had never been taken. */
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
 * A refund must not return tokens that have already drained. Two lower bounds on what is left of this charge are known; use
 * the larger: (a) everything held now minus everything taken later (exact in first-in-first-out order), (b) the charge minus
 * everything drained since. See docs/decisions/bucket-refunds.md.
 */
function refund(level: BucketLevel, charge: Charge, amount: bigint): void {
  const { meter, takenTotal = level.taken } = charge
  const spanMs = BigInt(meter.spanMs)
  const held = heldBy(level, spanMs)
  const firstInFirstOut = held - (level.taken - takenTotal) * spanMs
  const undrained = minBigint((charge.amount - drainedSince(level, charge)) * spanMs, held)
  const refundable = clampToZero(firstInFirstOut > undrained ? firstInFirstOut : undrained)
  const left = held - minBigint(amount * spanMs, refundable)
  level.used = divideUp(left, spanMs)
  level.remainder = level.used * spanMs - left
}

/** What drained since the charge was taken, in whole units, at least as much as really did: a part of a unit counts as one. */
function drainedSince(level: BucketLevel, { amount, drained }: Charge): bigint {
  if (!drained) return amount
  return level.atMs === drained.atMs ? 0n : level.drained - drained.units + 1n
}

/** What has not drained yet, in unit × milliseconds: exact. */
function heldBy(level: BucketLevel, spanMs: bigint): bigint {
  return level.used * spanMs - level.remainder
}

/**
 * Undefined if the charge fits. Changes nothing.
 * @param level undefined if the meter was never touched
 */
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

/** A level as people and headers see it. Amounts are in the unit of `meter.what`. */
export interface LevelView {
  readonly meter: Meter
  readonly capacity: bigint
  readonly enforced: boolean
  /** In a window: what settled calls used. In a bucket: what has not drained yet. */
  readonly settled: bigint
  /** What open calls hold. 0 for a bucket, which does not tell it apart from `settled`. */
  readonly reserved: bigint
  /** Never negative, even if the level is over its capacity. */
  readonly free: bigint
  /** Milliseconds until the bucket has drained or the window turns. 0 if only a settlement brings capacity back. */
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

/** The level drained up to now, as a copy if anything drains. */
function drainedTo(level: BucketLevel, charge: Charge, now: Instant): Pick<BucketLevel, 'used' | 'remainder'> {
  if (now.monoMs <= level.atMs) return level
  const copy = { ...level }
  advance(copy, charge, now)
  return copy
}

/** An idle level is equal to one that was never touched, and need not be kept. */
export function isIdle(level: Level): boolean {
  return level.kind === 'bucket' ? level.used === 0n : level.settled === 0n && level.reserved === 0n
}

/** The most an unenforced charge may take: it runs a bucket into debt by one capacity at most. */
function unenforcedRoom(level: BucketLevel, charge: Charge): bigint {
  return clampToZero(2n * charge.capacity - level.used)
}

function minBigint(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function clampToZero(value: bigint): bigint {
  return value > 0n ? value : 0n
}
