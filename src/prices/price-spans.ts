// Price spans: when each of a model's prices holds, by date and by hours of the week at its provider. Knows no prices.

import type { FileHours, FileSpan } from './price-file.ts'

/** Hours of the week, in a provider's own time. */
interface WeeklyHours {
  readonly utcOffsetMs: number
  /** Each from the first millisecond of the day that belongs to it to the first that does not. */
  readonly daily: readonly (readonly [number, number])[]
  /** From Sunday on. */
  readonly isWeekdayIncluded: readonly boolean[]
  /** Days since 1970 on which the hours do not hold. */
  readonly holidays: ReadonlySet<number>
}

/** When a price holds. */
export interface PriceSpan {
  /** In epoch milliseconds. */
  readonly fromMs: number
  readonly hours: WeeklyHours | undefined
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
/** 1970-01-01 was a Thursday. */
const FIRST_WEEKDAY = 4

/** @param holidays days on which hours of the week do not hold, `YYYY-MM-DD` */
export function spanOf({ from, hours }: FileSpan, holidays: readonly string[] = []): PriceSpan {
  const fromMs = from === undefined ? Number.NEGATIVE_INFINITY : Date.parse(from)
  return { fromMs, hours: hours && weeklyHours(hours, holidays) }
}

function weeklyHours({ utcOffsetMinutes, daily, weekdays }: FileHours, holidays: readonly string[]): WeeklyHours {
  return {
    utcOffsetMs: utcOffsetMinutes * MINUTE_MS,
    daily: daily.map(([from, to]) => [timeOfDayMs(from), timeOfDayMs(to)]),
    isWeekdayIncluded: [7, 1, 2, 3, 4, 5, 6].map((day) => weekdays.includes(day)),
    holidays: new Set(holidays.map((day) => Date.parse(day) / DAY_MS)),
  }
}

function timeOfDayMs(time: string): number {
  return Date.parse(`1970-01-01T${time}Z`)
}

/** The index of the span that counts at an instant, in epoch milliseconds: the last that holds, or the first if none holds. */
export function spanAt(spans: readonly PriceSpan[], atMs: number): number {
  for (let index = spans.length - 1; index > 0; index--) {
    const span = spans[index]
    if (span && atMs >= span.fromMs && (span.hours === undefined || holds(span.hours, atMs))) return index
  }
  return 0
}

function holds({ utcOffsetMs, daily, isWeekdayIncluded, holidays }: WeeklyHours, atMs: number): boolean {
  const localMs = atMs + utcOffsetMs
  const day = Math.floor(localMs / DAY_MS)
  if (holidays.has(day) || !isWeekdayIncluded[(((day + FIRST_WEEKDAY) % 7) + 7) % 7]) return false
  const timeMs = localMs - day * DAY_MS
  return daily.some(([from, to]) => (to < from ? timeMs >= from || timeMs < to : timeMs >= from && timeMs < to))
}
