// Refusal: why a call does not fit its limits, when it will, and which output cap would fit. Each dialect renders it in its shape.

import type { Shortfall } from './levels.ts'
import type { Meter } from './meter.ts'
import { formatUsd } from './money.ts'

/**
 * `time`: the call fits after `waitMs`, exactly. `inFlight`: it fits once open reservations settle, or it may fit once its files are
 * counted, for which there was no time. `never`: it needs more than a limit allows at all, so waiting does not help.
 */
export type RefusalKind = 'time' | 'inFlight' | 'never'

/** The names in JSON and in the log. */
export const REFUSAL_REASONS = { time: 'time', inFlight: 'in_flight', never: 'never' } as const satisfies Record<
  RefusalKind,
  string
>

/** Why a call is refused. */
export interface Refusal {
  readonly kind: RefusalKind
  /** The meter that decides: the last one to let this call through. */
  readonly meter: Meter
  /** The names of all limits that refused. */
  readonly limits: readonly string[]
  /** What the call needs, in the unit of the meter: requests, tokens, nano-dollars or calls. */
  readonly needed: bigint
  /** What is free now, in the same unit. */
  readonly free: bigint
  /** In the same unit. */
  readonly capacity: bigint
  readonly waitMs: number
  /** Whether the same call can succeed later without any change. */
  readonly retryable: boolean
  /** The output cap, in tokens, that would have fitted; null if none would. */
  readonly fittingCap: number | null
  /** A sentence for the caller. */
  readonly message: string
}

/** The wait that is advised if the meters do not give one. */
interface RefusalWaits {
  /** For `inFlight`: a moment, different for each client, so that clients do not all come back at once. */
  readonly inFlightMs: number
  /** For `never`: until the turn of the day, before which nothing changes by itself. */
  readonly neverMs: number
}

const KIND_RANK: Readonly<Record<RefusalKind, number>> = { inFlight: 0, time: 1, never: 2 }

/**
 * Why a call needs a whole context window. `countedLater`: its files were not counted in time, and can be counted soon.
 * `notCounted`: the provider does not count them. `changeable`: they can change before the call, or come from stored context.
 * `noSize`: nothing counts them.
 */
export type WindowReason = 'countedLater' | 'notCounted' | 'changeable' | 'noSize'

/**
 * The refusal for a list of shortfalls. The list holds at least one.
 * @param window why the call needs a whole context window; undefined if it does not
 */
export function refusalOf(
  shortfalls: readonly Shortfall[],
  waits: RefusalWaits,
  fittingCap: number | null,
  window?: WindowReason,
): Refusal {
  const worst = shortfalls.reduce((a, b) => (isWorse(b, a) ? b : a))
  const { charge, reason, level } = worst
  const windowReason = isSized(charge.meter) ? window : undefined
  const kind = windowReason === 'countedLater' ? 'inFlight' : reason.kind
  const waitMs = kind === 'inFlight' ? waits.inFlightMs : reason.kind === 'time' ? reason.waitMs : waits.neverMs
  return {
    kind,
    meter: charge.meter,
    limits: shortfalls.map((shortfall) => shortfall.charge.meter.name),
    needed: charge.amount,
    free: level.free,
    capacity: charge.capacity,
    waitMs,
    retryable: kind !== 'never',
    fittingCap,
    message: messageOf(worst, kind, waitMs, fittingCap, windowReason),
  }
}

/** Whole seconds for `Retry-After`, rounded up: a client that comes back earlier is refused again. */
export function retryAfterSeconds(waitMs: number): number {
  return Math.max(1, Math.ceil(waitMs / 1000))
}

/** An amount with its unit, for people. */
export function amountText(meter: Meter, amount: bigint): string {
  if (meter.what === 'cost') return `$${formatUsd(amount)}`
  if (meter.what === 'inFlight') return `${amount} in flight`
  return `${amount} ${amount === 1n ? meter.what.slice(0, -1) : meter.what}`
}

function freeText(meter: Meter, free: bigint): string {
  return meter.what === 'cost' ? `of which $${formatUsd(free)} is` : `${free} of them`
}

function isWorse(a: Shortfall, b: Shortfall): boolean {
  const difference = KIND_RANK[a.reason.kind] - KIND_RANK[b.reason.kind]
  if (difference !== 0) return difference > 0
  return a.reason.kind === 'time' && b.reason.kind === 'time' && a.reason.waitMs > b.reason.waitMs
}

function messageOf(
  { charge, level }: Shortfall,
  kind: RefusalKind,
  waitMs: number,
  fittingCap: number | null,
  windowReason: WindowReason | undefined,
): string {
  const { meter, amount, capacity } = charge
  const whose = meter.who === 'global' ? '' : ` of ${meter.who} ${meter.subject}`
  const figures = `This call needs up to ${amountText(meter, amount)}; the limit${whose} is ${amountText(meter, capacity)}, ${freeText(meter, level.free)} free.`
  const advice =
    windowReason === 'countedLater'
      ? WINDOW_TEXTS.countedLater
      : `${windowReason ? `${WINDOW_TEXTS[windowReason]} ` : ''}${adviceText(kind, waitMs)}`
  return [`${limitText(meter)}: ${meter.name}.`, figures, advice, capAdviceText(fittingCap)]
    .filter((part) => part !== '')
    .join(' ')
}

const WINDOW_TEXTS: Readonly<Record<WindowReason, string>> = {
  countedLater:
    'That is for a whole context window, because the provider did not count the files in time. Please try again in a moment.',
  notCounted: 'That is for a whole context window, because the provider did not count the files.',
  changeable:
    'That is for a whole context window. Files in the request, or uploaded before, are counted; files behind a URL and stored context are not.',
  noSize: 'That is for a whole context window, because the size of its files or of stored context is not known.',
}

/** Whether what a meter counts grows with the size of a call. */
function isSized({ what }: Meter): boolean {
  return what === 'cost' || what === 'tokens'
}

/** Agents read "rate limit" as "try again soon", which money does not grant. */
function limitText(meter: Meter): string {
  return meter.what === 'cost' ? 'Spending limit reached' : 'Rate limit exceeded'
}

function adviceText(kind: RefusalKind, waitMs: number): string {
  if (kind === 'time') return `Please try again in ${retryAfterSeconds(waitMs)}s.`
  if (kind === 'inFlight') return 'It fits once calls in flight are done. Please try again in a moment.'
  return 'Waiting does not help: it is more than the limit allows at all.'
}

function capAdviceText(fittingCap: number | null): string {
  return fittingCap === null ? '' : `An output cap of ${fittingCap} tokens would fit.`
}
