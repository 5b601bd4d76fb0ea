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
  /** Milliseconds after which the call may fit; null if waiting does not help. */
  readonly waitMs: number | null
  /** Whether the same call can succeed later without any change. */
  readonly retryable: boolean
  /** The output cap, in tokens, that would have fitted; null if none would. */
  readonly fittingCap: number | null
  /** The parts of the call whose cost has no bound, by the names of their tools or fields. */
  readonly unbounded: readonly string[]
  /** Sentences for the caller. */
  readonly message: string
}

/** The longest wait that clients are told to sleep. After a longer one they come back at `resets_at`, or when a person says so. */
export const MAX_CLIENT_WAIT_MS = 60_000

/** What a refusal says beside what its meters tell. */
interface RefusalFacts {
  /** The wait for `inFlight`: a moment, different for each client, so that clients do not all come back at once. */
  readonly inFlightMs: number
  /** The output cap, in tokens, that would have fitted; null if none would. */
  readonly fittingCap: number | null
  /** Why the call needs a whole context window; undefined if it does not. */
  readonly window?: WindowReason | undefined
  /** What of the call has no bound. */
  readonly unbounded?: readonly string[]
}

const KIND_RANK: Readonly<Record<RefusalKind, number>> = { inFlight: 0, time: 1, never: 2 }

/**
 * Why a call needs a whole context window. `countedLater`: its files were not counted in time, and can be counted soon.
 * `notCounted`: the provider does not count them. `changeable`: they can change before the call, or come from stored context.
 * `noSize`: nothing counts them.
 */
export type WindowReason = 'countedLater' | 'notCounted' | 'changeable' | 'noSize'

/** The refusal for a list of shortfalls. The list holds at least one. */
export function refusalOf(shortfalls: readonly Shortfall[], facts: RefusalFacts): Refusal {
  const { inFlightMs, fittingCap, window, unbounded = [] } = facts
  const worst = shortfalls.reduce((a, b) => (isWorse(b, a) ? b : a))
  const { charge, reason, level } = worst
  const windowReason = isSized(charge.meter) ? window : undefined
  const kind = windowReason === 'countedLater' ? 'inFlight' : reason.kind
  const waitMs = kind === 'inFlight' ? inFlightMs : reason.kind === 'time' ? reason.waitMs : null
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
    unbounded: isSized(charge.meter) ? unbounded : [],
    message: messageOf(worst, kind, waitMs, { ...facts, window: windowReason }),
  }
}

/** True if the refusal is about money, and not about calls that are still to settle. */
export function isAboutMoney({ meter, kind }: Refusal): boolean {
  return meter.what === 'cost' && kind !== 'inFlight'
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
  waitMs: number | null,
  { fittingCap, window, unbounded = [] }: RefusalFacts,
): string {
  const { meter, amount, capacity } = charge
  const whose = meter.who === 'global' ? '' : ` of ${meter.who} ${meter.subject}`
  return [
    `${limitText(meter, kind)}: ${meter.name}.`,
    `This call needs up to ${amountText(meter, amount)}; the limit${whose} is ${amountText(meter, capacity)}, ${freeText(meter, level.free)} free.`,
    isSized(meter) && unbounded.length > 0 ? unboundedText(unbounded) : '',
    window === undefined ? '' : WINDOW_TEXTS[window],
    window === 'countedLater' ? '' : adviceText(meter, kind, waitMs),
    meter.source === undefined ? '' : `This${meter.who === 'global' ? ' global' : ''} limit is set by ${meter.source}.`,
    fittingCap === null ? '' : `An output cap of ${fittingCap} tokens would fit.`,
  ]
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

/** Agents read "rate limit" as "try again soon", which neither money nor a call that is too large grants. */
function limitText(meter: Meter, kind: RefusalKind): string {
  if (meter.what === 'cost') return 'Spending limit reached'
  return kind === 'never' ? 'Limit reached' : 'Rate limit exceeded'
}

function unboundedText(names: readonly string[]): string {
  return `That is for a whole context window, because nothing bounds what ${names.join(', ')} costs.`
}

/** Agents read "try again in" as a wait to make by themselves. */
function adviceText(meter: Meter, kind: RefusalKind, waitMs: number | null): string {
  if (kind === 'inFlight') return 'It fits once calls in flight are done. Please try again in a moment.'
  if (kind === 'never' || waitMs === null) return 'Waiting does not help: it is more than the limit allows at all.'
  if (meter.what !== 'cost' && waitMs <= MAX_CLIENT_WAIT_MS) return `Please try again in ${retryAfterSeconds(waitMs)}s.`
  return `It fits in ${durationText(waitMs)}.`
}

const MINUTES_PER_HOUR = 60
const MINUTES_PER_DAY = 1_440

/** For people, rounded up: `40 s`, `12 min`, `11 h 5 min`, `3 d 2 h`. */
export function durationText(ms: number): string {
  if (ms <= MAX_CLIENT_WAIT_MS) return `${retryAfterSeconds(ms)} s`
  const minutes = Math.ceil(ms / 60_000)
  const hours = Math.floor(minutes / MINUTES_PER_HOUR)
  if (hours === 0) return `${minutes} min`
  if (minutes < MINUTES_PER_DAY) return withRest(`${hours} h`, minutes % MINUTES_PER_HOUR, 'min')
  const hoursUp = Math.ceil(minutes / MINUTES_PER_HOUR)
  return withRest(`${Math.floor(hoursUp / 24)} d`, hoursUp % 24, 'h')
}

function withRest(text: string, rest: number, unit: string): string {
  return rest === 0 ? text : `${text} ${rest} ${unit}`
}
