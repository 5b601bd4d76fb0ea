// Calendar: which window of wall-clock time an instant lies in, in a time zone. Knows no meters.

export type Span = 'minute' | 'hour' | 'day' | 'month' | 'total' | 'call'

/** Half-open: `startsAtMs ≤ t < endsAtMs`, epoch milliseconds. The id is part of a meter's key. */
export interface Window {
  readonly id: string
  readonly startsAtMs: number
  readonly endsAtMs: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** How long a whole capacity takes to refill where a limit refills steadily. Months have no one length and never do. */
export const SPAN_MS: Readonly<Record<Span, number>> = {
  minute: MINUTE_MS,
  hour: HOUR_MS,
  day: DAY_MS,
  month: 30 * DAY_MS,
  total: Number.POSITIVE_INFINITY,
  call: 0,
}

const TOTAL_WINDOW: Window = { id: 'total', startsAtMs: 0, endsAtMs: Number.POSITIVE_INFINITY }

/** The last window asked for, by span and zone: calls come in order, so almost every question is answered from here. */
const latestWindows = new Map<string, Map<Span, Window>>()

/** The calendar window of `span` that holds `wallMs`, in an IANA time zone. */
export function windowAt(span: Span, timeZone: string, wallMs: number): Window {
  if (span === 'total' || span === 'call') return TOTAL_WINDOW
  let bySpan = latestWindows.get(timeZone)
  if (!bySpan) latestWindows.set(timeZone, (bySpan = new Map()))
  const known = bySpan.get(span)
  if (known && wallMs >= known.startsAtMs && wallMs < known.endsAtMs) return known
  const found =
    span === 'day' || span === 'month' ? datedWindow(span, timeZone, wallMs) : clockWindow(span, timeZone, wallMs)
  bySpan.set(span, found)
  return found
}

/** True when the runtime knows the zone. */
export function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone })
    return true
  } catch {
    return false
  }
}

/**
 * Minutes and hours are cut where the local clock shows a full one, and named by the UTC instant they start at: the local
 * name would stand for two hours on the night the clocks go back. Where they change by half an hour, one is cut short.
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

/** Days and months are named by the local date; a day is 23 or 25 hours long where the clocks change. */
function datedWindow(span: 'day' | 'month', timeZone: string, wallMs: number): Window {
  const digits = span === 'day' ? 10 : 7
  const name = (atMs: number) => localDate(timeZone, atMs).slice(0, digits)
  const current = name(wallMs)
  const reachMs = span === 'day' ? 2 * DAY_MS : 33 * DAY_MS
  const startsAtMs = firstWhere((atMs) => name(atMs) >= current, wallMs - reachMs, wallMs)
  const endsAtMs = firstWhere((atMs) => name(atMs) > current, wallMs, wallMs + reachMs)
  return { id: `${span}:${current}`, startsAtMs, endsAtMs }
}

/** The first millisecond in `(low, high]` where a condition that only ever turns true has turned true. */
function firstWhere(isTrue: (atMs: number) => boolean, low: number, high: number): number {
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (isTrue(middle)) high = middle
    else low = middle
  }
  return high
}

const formatsByZone = new Map<string, Intl.DateTimeFormat>()

/** The zone's local time at an instant, as an ISO string without a zone. */
function localDate(timeZone: string, atMs: number): string {
  return new Date(atMs + offsetMs(timeZone, atMs)).toISOString()
}

/** Local minus UTC. Whole seconds: no zone in use today has less. */
function offsetMs(timeZone: string, atMs: number): number {
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
