// Zone days: cuts a period into the days of a time zone. Every cut is a whole quarter hour, and the parts are the whole. It reads no clock.

import { offsetMs } from './calendar.ts'

const DAY_MS = 86_400_000
const HALF_DAY_MS = DAY_MS / 2
/** Every time zone's days begin and end at whole quarter hours. */
export const QUARTER_MS = 900_000

/** A part of a period: a local day, or as much of the day as the period has. In epoch milliseconds, `startsAtMs ≤ t < endsAtMs`. */
export interface ZoneDay {
  /** The local date: `2026-11-22`. */
  readonly date: string
  readonly startsAtMs: number
  readonly endsAtMs: number
}

/**
 * The days of one time zone, by their numbers: whole days from 1970-01-01 to the local date.
 *
 * A day begins with the first quarter hour in which the local date is that date or a later one. If clocks turn at midnight, that may be at
 * 01:00; a date that a zone skipped has no time of its own. A day of an offset that is no multiple of 15 minutes, as some zones had before 1987,
 * begins with the quarter hour that holds its midnight.
 *
 * @example
 * const days = new ZoneDays('Asia/Kathmandu')
 * const today = days.numberAt(now.wallMs)
 * days.within(days.startOf(today - 6), days.startOf(today + 1)) // the last seven days
 */
export class ZoneDays {
  readonly #timeZone: string
  readonly #offsetByDay = new Map<number, number>()

  /** @param timeZone an IANA time zone */
  constructor(timeZone: string) {
    this.#timeZone = timeZone
  }

  /** The number of the local date at an instant. */
  numberAt(wallMs: number): number {
    return Math.floor((wallMs + offsetMs(this.#timeZone, wallMs)) / DAY_MS)
  }

  /** When a day begins, in epoch milliseconds: a whole quarter hour. */
  startOf(day: number): number {
    const midnightMs = day * DAY_MS
    // Between two of these instants, clocks change once at most, and midnight lies between the first and the last.
    const offsets = [day - 1, day, day + 1].map((number) => this.#offsetBeforeNoon(number))
    let startsAtMs = midnightMs - Math.max(...offsets)
    const lastMs = midnightMs - Math.min(...offsets)
    while (startsAtMs < lastMs && this.numberAt(startsAtMs) < day) startsAtMs += QUARTER_MS
    return Math.floor(startsAtMs / QUARTER_MS) * QUARTER_MS
  }

  /** The days of a period of whole quarter hours, the first and the last of which may be cut short. */
  within(fromMs: number, untilMs: number): ZoneDay[] {
    const days: ZoneDay[] = []
    let startsAtMs = fromMs
    for (let day = this.numberAt(fromMs); startsAtMs < untilMs; day++) {
      const endsAtMs = Math.min(untilMs, this.startOf(day + 1))
      if (endsAtMs <= startsAtMs) continue
      days.push({ date: dateOf(day), startsAtMs, endsAtMs })
      startsAtMs = endsAtMs
    }
    return days
  }

  /** The offset twelve hours before midnight in UTC begins that day. */
  #offsetBeforeNoon(day: number): number {
    let offset = this.#offsetByDay.get(day)
    if (offset === undefined) {
      offset = offsetMs(this.#timeZone, day * DAY_MS - HALF_DAY_MS)
      this.#offsetByDay.set(day, offset)
    }
    return offset
  }
}

/** `2026-11-22`, for the number of a day. */
export function dateOf(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10)
}

/** The number of a date such as `2026-11-22`. Undefined for any other text, and for a date that the calendar lacks. */
export function dayNumberOf(date: string): number | undefined {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : Number.NaN
  const day = ms / DAY_MS
  return Number.isInteger(day) && dateOf(day) === date ? day : undefined
}
