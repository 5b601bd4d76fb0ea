// Calendar windows: days and months of any zone, of any length, without gap or overlap.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isTimeZone, type Span, windowAt } from '../../src/core/calendar.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const ZONES = [
  'UTC',
  'America/New_York',
  'Europe/Berlin',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'America/Havana',
  'Asia/Beirut',
]
const utc = (text: string) => Date.parse(`${text}Z`)

describe.each(ZONES)('in %s', (zone) => {
  test('days follow each other without gap or overlap for three years, 23 to 25 hours long', () => {
    let window = windowAt('day', zone, utc('2025-01-01T12:00'))
    for (let days = 0; days < 3 * 365; days++) {
      const hours = (window.endsAtMs - window.startsAtMs) / HOUR_MS
      expect([23, 23.5, 24, 24.5, 25]).toContain(hours)
      expect(windowAt('day', zone, window.endsAtMs - 1)).toEqual(window)
      const next = windowAt('day', zone, window.endsAtMs)
      expect(next.startsAtMs).toBe(window.endsAtMs)
      expect(Date.parse(next.id.slice(4)) - Date.parse(window.id.slice(4))).toBe(DAY_MS)
      window = next
    }
  })

  test('months follow each other and are named by their own year and month', () => {
    let window = windowAt('month', zone, utc('2024-01-15T12:00'))
    for (let month = 0; month < 40; month++) {
      const name = `month:${2024 + Math.floor(month / 12)}-${String((month % 12) + 1).padStart(2, '0')}`
      expect(window.id).toBe(name)
      const next = windowAt('month', zone, window.endsAtMs)
      expect(next.startsAtMs).toBe(window.endsAtMs)
      window = next
    }
  })

  test('any two instants are in the same window or in windows that do not overlap', () => {
    const instant = fc.integer({ min: utc('2025-01-01T00:00'), max: utc('2028-01-01T00:00') })
    const nearby = fc.integer({ min: -3 * HOUR_MS, max: 3 * HOUR_MS })
    const span = fc.constantFrom<Span>('minute', 'hour', 'day', 'month')
    const property = fc.property(span, instant, nearby, (length, first, distance) => {
      const [a, b] = [windowAt(length, zone, first), windowAt(length, zone, first + distance)]
      expect(a.startsAtMs <= first && first < a.endsAtMs).toBe(true)
      expect(windowAt(length, zone, first)).toEqual(a)
      if (a.id === b.id) expect(a).toEqual(b)
      else expect(a.endsAtMs <= b.startsAtMs || b.endsAtMs <= a.startsAtMs).toBe(true)
    })
    fc.assert(property, { numRuns: 300 })
  })

  test('hours follow each other without gap or overlap while clocks change', () => {
    for (let day = utc('2026-01-01T00:00'); day < utc('2027-01-01T00:00'); day += DAY_MS) {
      let window = windowAt('day', zone, day)
      if (window.endsAtMs - window.startsAtMs === DAY_MS) continue
      const last = window.endsAtMs + HOUR_MS
      window = windowAt('hour', zone, window.startsAtMs - 2 * HOUR_MS)
      while (window.startsAtMs < last) {
        const next = windowAt('hour', zone, window.endsAtMs)
        expect(next.startsAtMs).toBe(window.endsAtMs)
        expect(next.id).not.toBe(window.id)
        expect(windowAt('hour', zone, window.startsAtMs)).toEqual(window)
        window = next
      }
    }
  })
})

test.each([
  ['day', 'America/New_York', '2026-03-08T12:00', 'day:2026-03-08', 23],
  ['day', 'America/New_York', '2026-11-01T12:00', 'day:2026-11-01', 25],
  ['day', 'Australia/Lord_Howe', '2026-10-03T20:00', 'day:2026-10-04', 23.5],
  ['day', 'Asia/Kolkata', '2026-05-05T18:30', 'day:2026-05-06', 24],
  ['month', 'UTC', '2028-02-29T23:59', 'month:2028-02', 29 * 24],
  ['month', 'UTC', '2026-02-01T00:00', 'month:2026-02', 28 * 24],
  ['month', 'Europe/Berlin', '2026-03-15T00:00', 'month:2026-03', 31 * 24 - 1],
  ['hour', 'Asia/Kolkata', '2026-05-05T18:29', 'hour:2026-05-05T17:30Z', 1],
  ['minute', 'UTC', '2026-05-05T18:29:59.999', 'minute:2026-05-05T18:29Z', 1 / 60],
] as const)('a %s in %s at %s is %s, %d hours long', (span, zone, when, id, hours) => {
  const window = windowAt(span, zone, utc(when))
  expect(window.id).toBe(id)
  expect((window.endsAtMs - window.startsAtMs) / HOUR_MS).toBeCloseTo(hours, 9)
})

test('a total never turns', () => {
  expect(windowAt('total', 'UTC', 5)).toEqual({ id: 'total', startsAtMs: 0, endsAtMs: Number.POSITIVE_INFINITY })
})

test('one wrong step of the clock has no effect on the next window', () => {
  const right = windowAt('day', 'UTC', utc('2026-11-22T10:00'))
  windowAt('day', 'UTC', utc('2031-01-01T00:00'))
  expect(windowAt('day', 'UTC', utc('2026-11-22T10:00'))).toEqual(right)
})

test('zones are known or not', () => {
  expect([isTimeZone('Europe/Berlin'), isTimeZone('Europe/Atlantis'), isTimeZone('')]).toEqual([true, false, false])
})
