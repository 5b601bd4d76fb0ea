// Limit alerts: which percentages of which limits an alert watches, and what it says when one is reached. It reads no level.

import type { AlertRow } from '../config/alerts.ts'
import type { LevelView, Meter, What } from '../core/meter.ts'
import { formatUsd } from '../core/money.ts'
import { amountJson, subjectText, unitOf } from '../wire/limit-headers.ts'
import { type Alert, DAY_MS, HOUR_MS, nameText, timeText } from './alert.ts'

/** A level that has reached a part of its capacity. */
export interface ReachedLevel {
  readonly level: LevelView
  /** A whole percentage. */
  readonly percent: number
  /** True if the limit refused a call for what is spent. */
  readonly hasRefused: boolean
}

/** Settlements may come after the window has ended. */
const WINDOW_GRACE_MS = DAY_MS

/** Whether a row watches the limit of a meter. Limits on single calls have no level to reach. */
export function isWatched({ limits }: Pick<AlertRow, 'limits'>, { who, subject, what, span, refill }: Meter): boolean {
  if (refill === 'call') return false
  if (limits === undefined) return what === 'cost' && span !== 'minute'
  return limits.some(
    ({ scope, what: watched, span: watchedSpan }) =>
      scope.who === who &&
      watched === what &&
      watchedSpan === span &&
      (scope.subject === undefined || scope.subject === subject),
  )
}

/** The smallest amount that is a percentage of a capacity. */
export function amountAt(percent: number, capacity: bigint): bigint {
  return (capacity * BigInt(percent) + 99n) / 100n
}

/**
 * What counts as used of a level. In a window that is what is spent: open calls give most of their reservation back. Buckets do not tell
 * both apart, and calls in flight are nothing but reserved.
 */
export function usedOf({ meter, settled, reserved }: Pick<LevelView, 'meter' | 'settled' | 'reserved'>): bigint {
  return meter.refill === 'window' ? settled : settled + reserved
}

export function limitAlert({ level, percent, hasRefused }: ReachedLevel, atMs: number): Alert {
  const { meter, capacity, reserved, enforced } = level
  const subject = subjectText(meter)
  const [used, whole] = [usedOf(level), amountText(meter.what, capacity)]
  const limit = `${meter.name} of ${nameText(subject)}`
  const isFull = percent >= 100 && enforced
  const open =
    meter.refill === 'window' && reserved > 0n ? ` Open calls hold ${amountText(meter.what, reserved)} more.` : ''
  const refused = hasRefused ? ' The limit has refused a call that could have taken more than is left.' : ''
  return {
    kind: 'limit',
    type: 'limit.reached',
    atMs,
    subject: nameText(subject),
    title: hasRefused ? `${limit} refuses calls` : `${limit} has reached ${percent} %`,
    text: `${amountText(meter.what, used)} of ${whole} ${usedWords(meter)}.${open}${refused}${resetText(meter)}`,
    advice: adviceFor(meter, isFull || hasRefused, enforced),
    figures: {
      limit: meter.name,
      subject: nameText(subject),
      unit: unitOf(meter),
      percent,
      used: amountJson(meter, used),
      reserved: amountJson(meter, meter.refill === 'window' ? reserved : 0n),
      capacity: amountJson(meter, capacity),
      enforced,
      refused_calls: hasRefused,
      window: meter.refill === 'window' ? windowOf(meter) : null,
      resets_at: hasEnd(meter) ? new Date(meter.endsAtMs).toISOString() : null,
    },
    // A limit that is changed is another limit.
    key: `limit/${meter.key}/${capacity}`,
    rank: percent,
    keepUntilMs: meter.refill === 'window' ? meter.endsAtMs + WINDOW_GRACE_MS : atMs + HOUR_MS,
  }
}

function amountText(what: What, amount: bigint): string {
  if (what === 'cost') return `$${formatUsd(amount)}`
  const unit = what === 'inFlight' ? 'call' : what.slice(0, -1)
  return `${amount} ${unit}${amount === 1n ? '' : 's'}`
}

/** What stands after an amount, with the time since when it counts. */
function usedWords(meter: Meter): string {
  if (meter.refill === 'none') return 'are in flight'
  if (meter.refill === 'steady') return `are used of what refills within a ${meter.span}`
  const verb = meter.what === 'cost' ? 'is spent' : 'are used'
  const window = windowOf(meter)
  switch (meter.span) {
    case 'day':
      return `${verb} since the day ${window} began`
    case 'month':
      return `${verb} since the month ${window} began`
    case 'total':
      return `${verb} in total`
    default:
      return `${verb} since ${window.replace('T', ' ').replace('Z', ' UTC')}`
  }
}

function resetText(meter: Meter): string {
  return hasEnd(meter) ? ` The limit starts anew at ${timeText(meter.endsAtMs)}.` : ''
}

function adviceFor({ refill, span }: Meter, isFull: boolean, enforced: boolean): string {
  if (!enforced)
    return 'The limit is not enforced, so calls go on. See who spends, and enforce the limit if they should not.'
  if (!isFull) return 'See who spends. Raise the limit by PUT /admin/limits before it refuses calls, or let it.'
  if (refill !== 'window')
    return 'Calls are refused until others are done. Raise the limit by PUT /admin/limits if that is too few.'
  const wait = span === 'total' ? '' : ', or wait until the limit starts anew'
  return `Calls that do not fit are refused. Raise the limit by PUT /admin/limits, give the subject a raise that ends by itself${wait}.`
}

function hasEnd({ refill, endsAtMs }: Meter): boolean {
  return refill === 'window' && Number.isFinite(endsAtMs)
}

/** `2026-11-30` of `key:ci/cost/day:2026-11-30@Europe/Berlin`; `total`. The subject may hold any signs, what follows it none. */
function windowOf({ key, what, span }: Meter): string {
  const tail = key.slice(key.lastIndexOf(`/${what}/${span}`) + what.length + 2)
  return (tail.slice(span.length + 1) || span).replace(/@.*$/, '')
}
