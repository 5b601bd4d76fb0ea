// Limit headers: the figures in every dialect's refusals and rate-limit headers, and the IETF's pair of headers.

import type { LevelView, Meter } from '../core/meter.ts'
import { jsonUsd, type UsdJson } from '../core/money.ts'
import type { Problem } from '../core/problem.ts'
import { REFUSAL_REASONS, type Refusal } from '../core/refusal.ts'
import type { ErrorContext, HeaderList } from './dialect.ts'

const NANO_PER_MICRO = 1000n
const MAX_STRUCTURED_INTEGER = 999_999_999_999_999n
/** 9999-12-31T23:59:59.999Z */
const MAX_DATE_MS = 253_402_300_799_999

/** Why a call was refused, for programs. Amounts are numbers in `unit`; money is decimal dollars. */
export interface RefusalDetails {
  readonly reason: 'time' | 'in_flight' | 'never'
  readonly limit: string
  readonly limits: readonly string[]
  readonly subject: string
  readonly unit: Unit
  readonly needed: number | UsdJson
  readonly free: number | UsdJson
  readonly capacity: number | UsdJson
  /** Null if waiting does not help. */
  readonly retry_after_ms: number | null
  readonly resets_at: string | null
  readonly retryable: boolean
  readonly fitting_max_output_tokens: number | null
}

type Unit = 'usd' | 'calls' | 'requests' | 'tokens'

/** The details of a refusal. @param nowMs wall clock, epoch milliseconds */
export function refusalDetails(refusal: Refusal, nowMs: number): RefusalDetails {
  const { meter } = refusal
  return {
    reason: REFUSAL_REASONS[refusal.kind],
    limit: meter.name,
    limits: refusal.limits,
    subject: subjectText(meter),
    unit: unitOf(meter),
    needed: amountJson(meter, refusal.needed),
    free: amountJson(meter, refusal.free),
    capacity: amountJson(meter, refusal.capacity),
    retry_after_ms: refusal.waitMs,
    resets_at: refusal.waitMs === null ? null : formatTime(nowMs + refusal.waitMs),
    retryable: refusal.retryable,
    fitting_max_output_tokens: refusal.fittingCap,
  }
}

/** What a problem tells programs beside its code. Absent if it tells no more. */
export interface ProblemDetails {
  readonly message?: string
  readonly retry_after_ms?: number
  readonly resets_at?: string
}

/** The details of a problem: its whole message, if the one that is shown leaves out parts, and how long it lasts, if that is known. */
export function problemDetails({ advice }: Problem, { nowMs, wholeText }: ErrorContext): ProblemDetails | undefined {
  const waitMs = advice.retryAfterMs === undefined ? undefined : Math.ceil(advice.retryAfterMs)
  if (waitMs === undefined && wholeText === undefined) return undefined
  return {
    ...(wholeText === undefined ? {} : { message: wholeText }),
    ...(waitMs === undefined ? {} : { retry_after_ms: waitMs, resets_at: formatTime(nowMs + waitMs) }),
  }
}

/** The subject of a meter, for people: `global`, `key:alice`. */
export function subjectText({ who, subject }: Meter): string {
  return who === 'global' ? 'global' : `${who}:${subject}`
}

/** The unit of a meter's amounts in JSON. */
export function unitOf({ what }: Meter): Unit {
  return what === 'cost' ? 'usd' : what === 'inFlight' ? 'calls' : what
}

/** RFC 3339, whose years have four digits: a debt on a tiny limit can take longer. */
export function formatTime(wallMs: number): string {
  return new Date(Math.min(wallMs, MAX_DATE_MS)).toISOString()
}

/** Counts as numbers, nano-dollars as exact decimal dollars. */
export function amountJson(meter: Pick<Meter, 'what'>, amount: bigint): number | UsdJson {
  return meter.what === 'cost' ? jsonUsd(amount) : Number(amount)
}

/** The level with the least left for requests, tokens or the like, limits on a single call aside. Undefined if there is none. */
export function tightestLevel(levels: readonly LevelView[], what: Meter['what']): LevelView | undefined {
  let tightest: LevelView | undefined
  for (const level of levels) {
    if (level.meter.what !== what || level.meter.refill === 'call') continue
    if (!tightest || level.free < tightest.free) tightest = level
  }
  return tightest
}

/** Go's `time.Duration.String()`, as OpenAI writes resets: `17ms`, `1.5s`, `6m0s`, `24h0m0s`. */
export function formatGoDuration(ms: number): string {
  if (ms < 1000) return ms === 0 ? '0s' : `${ms}ms`
  const seconds = Math.floor(ms / 1000)
  const fraction = ms % 1000
  const tail = `${seconds % 60}${fraction === 0 ? '' : `.${String(fraction).padStart(3, '0').replace(/0+$/, '')}`}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes === 0) return tail
  return minutes < 60 ? `${minutes}m${tail}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${tail}`
}

const UNIT_PARAMETER: Readonly<Record<Meter['what'], string>> = {
  requests: '',
  tokens: ';qu="tokens"',
  cost: ';qu="micro-usd"',
  inFlight: ';qu="concurrent-requests"',
}

/** `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), one item per limit. */
export function addIetfRateHeaders(levels: readonly LevelView[], headers: HeaderList): void {
  let policies = ''
  let states = ''
  for (const level of levels) {
    const { meter, capacity } = level
    if (meter.refill === 'call') continue
    const name = `"${meter.who === 'global' ? meter.name : `${meter.who}_${meter.name}`}"`
    const window = meter.refill === 'none' || !Number.isFinite(meter.spanMs) ? '' : `;w=${meter.spanMs / 1000}`
    const policy = `${name};q=${unitsOf(meter, capacity)}${UNIT_PARAMETER[meter.what]}${window}`
    const reset = level.resetMs > 0 ? `;t=${Math.ceil(level.resetMs / 1000)}` : ''
    policies += policies === '' ? policy : `, ${policy}`
    states += `${states === '' ? '' : ', '}${name};r=${unitsOf(meter, level.free)}${reset}`
  }
  if (policies !== '') headers.push('ratelimit-policy', policies, 'ratelimit', states)
}

/** In micro-dollars, rounded down, for money: structured-field integers have at most fifteen digits. */
function unitsOf(meter: Meter, amount: bigint): bigint {
  const units = meter.what === 'cost' ? amount / NANO_PER_MICRO : amount
  return units > MAX_STRUCTURED_INTEGER ? MAX_STRUCTURED_INTEGER : units
}
