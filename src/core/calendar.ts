// Calendar: the calendar window (minute, hour, day, month) that contains an instant, in a time zone. It reads no clock and knows no
// meters.

/** The time over which a limit counts. `total`: forever. `call`: a single call. */
export type Span = 'minute' | 'hour' | 'day' | 'month' | 'total' | 'call'

/** A span of wall-clock time, half-open: `startsAtMs ≤ t < endsAtMs`, in epoch milliseconds. */
export interface Window {
  /** `day:2026-11-22`. Part of a meter's key. */
  readonly id: string
  readonly startsAtMs: number
  readonly endsAtMs: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** For limits that refill steadily: the time in which a whole capacity refills. Limits per month do not, because months differ. */
export const SPAN_MS: Readonly<Record<Span, number>> = {
  minute: MINUTE_MS,
  hour: HOUR_MS,
  day: DAY_MS,
  month: 30 * DAY_MS,
  total: Number.POSITIVE_INFINITY,
  call: 0,
}

const TOTAL_WINDOW: Window = { id: 'total', startsAtMs: 0, endsAtMs: Number.POSITIVE_INFINITY }

/** The latest window, and the one before: a replay of the past does not displace the window in which calls lie. */
interface KnownWindows {
  readonly latest: Window
  readonly before: Window | undefined
}

/** By zone and span. Nearly every call lies in one of them, and finding a window takes 25 µs to 0.3 ms. */
const knownWindows = new Map<string, Map<Span, KnownWindows>>()

/**
 * The calendar window of `span` that contains `wallMs`.
 * @param timeZone an IANA time zone, such as `Europe/Berlin`
 */
export function windowAt(span: Span, timeZone: string, wallMs: number): Window {
  if (span === 'total' || span === 'call') return TOTAL_WINDOW
  let bySpan = knownWindows.get(timeZone)
  if (!bySpan) knownWindows.set(timeZone, (bySpan = new Map()))
  const known = bySpan.get(span)
  if (known && isWithin(known.latest, wallMs)) return known.latest
  if (known?.before && isWithin(known.before, wallMs)) return known.before
  const window =
    span === 'day' || span === 'month' ? datedWindow(span, timeZone, wallMs) : clockWindow(span, timeZone, wallMs)
  bySpan.set(span, { latest: window, before: known?.latest })
  return window
}

function isWithin({ startsAtMs, endsAtMs }: Window, wallMs: number): boolean {
  return wallMs >= startsAtMs && wallMs < endsAtMs
}

/** True if the runtime knows the zone. */
export function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone })
    return true
  } catch {
    return false
  }
}

/**
 * The one name of a zone that may be written in many ways, so that caches by zone stay small: `asia/kolkata` is `Asia/Calcutta`. Undefined if
 * the runtime does not know the zone, and for a mere offset such as `+05:30`, which has no name.
 */
export function timeZoneId(timeZone: string): string | undefined {
  if (!/^[A-Za-z]/.test(timeZone) || !isTimeZone(timeZone)) return undefined
  return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone
}

/**
 * A minute or hour begins when the local clock shows a full one. Its id is the UTC time of its start, because on the night on
 * which clocks go back a local time stands for two hours. If clocks change by half an hour, one hour is cut short.
 */
function clockWindow(span: 'minute' | 'hour', timeZone: string, wallMs: number): Window {
  const size = SPAN_MS[span]
  const offset = offsetMs(timeZone, wallMs)
  const isSame = (atMs: number) => offsetMs(timeZone, atMs) === offset
  const shift = ((offset % size) + size) % size
  let startsAtMs = Math.floor((wallMs + shift) / size) * size - shift
  let endsAtMs = startsAtMs + size
  if (!isSame(startsAtMs)) startsAtMs = firstWhere(isSame, startsAtMs, wallMs)
  if (!isSame(endsAtMs - 1)) endsAtMs = firstWhere((atMs) => !isSame(atMs), wallMs, endsAtMs)
  return { id: `${span}:${new Date(startsAtMs).toISOString().slice(0, 16)}Z`, startsAtMs, endsAtMs }
}

/** The id of a day or month is its local date. A day on which clocks change has 23 or 25 hours. */
function datedWindow(span: 'day' | 'month', timeZone: string, wallMs: number): Window {
  const digits = span === 'day' ? 10 : 7
  const name = (atMs: number) => localDate(timeZone, atMs).slice(0, digits)
  const current = name(wallMs)
  const reachMs = span === 'day' ? 2 * DAY_MS : 33 * DAY_MS
  const startsAtMs = firstWhere((atMs) => name(atMs) >= current, wallMs - reachMs, wallMs)
  const endsAtMs = firstWhere((atMs) => name(atMs) > current, wallMs, wallMs + reachMs)
  return { id: `${span}:${current}`, startsAtMs, endsAtMs }
}

/** The first millisecond in `(low, high]` at which a condition holds that is false before and true from then on. */
function firstWhere(isTrue: (atMs: number) => boolean, low: number, high: number): number {
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (isTrue(middle)) high = middle
    else low = middle
  }
  return high
}

/** Making a format takes more than 0.1 ms. */
const formatsByZone = new Map<string, Intl.DateTimeFormat>()

/** The local time at an instant, as an ISO string whose `Z` means nothing. */
function localDate(timeZone: string, atMs: number): string {
  return new Date(atMs + offsetMs(timeZone, atMs)).toISOString()
}

/** Local time minus UTC, in whole seconds: no zone in use today has fractions. */
export function offsetMs(timeZone: string, atMs: number): number {
  if (timeZone === 'UTC') return 0
  let format = formatsByZone.get(timeZone)
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formatsByZone.set(timeZone, format)
  }
  const parts: Record<string, number> = {}
  for (const { type, value } of format.formatToParts(atMs)) parts[type] = Number(value)
  const local = Date.UTC(
    parts.year ?? 0,
    (parts.month ?? 1) - 1,
    parts.day ?? 1,
    parts.hour ?? 0,
    parts.minute ?? 0,
    parts.second ?? 0,
  )
  return local - Math.floor(atMs / 1000) * 1000
}
