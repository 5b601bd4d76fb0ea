// Zone days: in every zone the days of a period are cut at whole quarter hours, and are the whole period.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { timeZoneId, windowAt } from '../../src/core/calendar.ts'
import { dateOf, dayNumberOf, ZoneDays } from '../../src/core/zone-days.ts'

const QUARTER_MS = 900_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const ZONES = Intl.supportedValuesOf('timeZone')

const days = (zone: string, from: string, until: string) =>
  new ZoneDays(zone).within(Date.parse(from), Date.parse(until)).map(({ date, startsAtMs, endsAtMs }) => ({
    date,
    start: new Date(startsAtMs).toISOString().slice(0, 16),
    hours: (endsAtMs - startsAtMs) / HOUR_MS,
  }))

describe('the days of a zone', () => {
  it.each([
    ['UTC', '2026-11-01T00:00Z', '2026-11-02T00:00Z', [['2026-11-01', '2026-11-01T00:00', 24]]],
    ['Asia/Kathmandu', '2026-10-31T18:15Z', '2026-11-01T18:15Z', [['2026-11-01', '2026-10-31T18:15', 24]]],
    // Clocks go forward, and back, by an hour.
    ['Europe/Berlin', '2026-03-28T23:00Z', '2026-03-29T22:00Z', [['2026-03-29', '2026-03-28T23:00', 23]]],
    ['Europe/Berlin', '2026-10-24T22:00Z', '2026-10-25T23:00Z', [['2026-10-25', '2026-10-24T22:00', 25]]],
    // By half an hour.
    ['Australia/Lord_Howe', '2026-04-04T13:00Z', '2026-04-05T13:30Z', [['2026-04-05', '2026-04-04T13:00', 24.5]]],
    ['Australia/Lord_Howe', '2026-10-03T13:30Z', '2026-10-04T13:00Z', [['2026-10-04', '2026-10-03T13:30', 23.5]]],
    ['Pacific/Chatham', '2026-04-04T10:15Z', '2026-04-05T11:15Z', [['2026-04-05', '2026-04-04T10:15', 25]]],
    ['America/St_Johns', '2026-03-08T03:30Z', '2026-03-09T02:30Z', [['2026-03-08', '2026-03-08T03:30', 23]]],
    // Clocks turn at midnight: the day begins at 01:00, or the day before has 25 hours.
    ['Africa/Cairo', '2026-04-23T22:00Z', '2026-04-24T21:00Z', [['2026-04-24', '2026-04-23T22:00', 23]]],
    ['Africa/Cairo', '2026-10-28T21:00Z', '2026-10-29T22:00Z', [['2026-10-29', '2026-10-28T21:00', 25]]],
    // A date that was skipped.
    [
      'Pacific/Apia',
      '2011-12-29T10:00Z',
      '2011-12-31T10:00Z',
      [
        ['2011-12-29', '2011-12-29T10:00', 24],
        ['2011-12-31', '2011-12-30T10:00', 24],
      ],
    ],
    // Clocks went back at one minute after midnight.
    [
      'America/St_Johns',
      '2006-10-28T02:30Z',
      '2006-10-30T03:30Z',
      [
        ['2006-10-28', '2006-10-28T02:30', 24],
        ['2006-10-29', '2006-10-29T02:30', 25],
      ],
    ],
    // The first and the last day are cut short.
    [
      'Asia/Kolkata',
      '2026-11-01T12:15Z',
      '2026-11-02T00:00Z',
      [
        ['2026-11-01', '2026-11-01T12:15', 6.25],
        ['2026-11-02', '2026-11-01T18:30', 5.5],
      ],
    ],
    // An offset of -00:44:30.
    ['Africa/Monrovia', '1970-05-05T00:30Z', '1970-05-06T00:30Z', [['1970-05-05', '1970-05-05T00:30', 24]]],
  ])('%s from %s', (zone, from, until, expected) => {
    expect(days(zone, from, until)).toEqual(expected.map(([date, start, hours]) => ({ date, start, hours })))
  })

  const instants = (year: number, untilYear: number) =>
    fc
      .integer({ min: Date.UTC(year) / QUARTER_MS, max: Date.UTC(untilYear) / QUARTER_MS })
      .map((quarter) => quarter * QUARTER_MS)

  it('are whole quarter hours of one date each and add up to the period, in every zone that ever was', () => {
    for (const zone of ZONES) {
      const property = fc.property(instants(1970, 2040), fc.integer({ min: 1, max: 40 * 96 }), (fromMs, quarters) => {
        const untilMs = fromMs + quarters * QUARTER_MS
        const parts = new ZoneDays(zone).within(fromMs, untilMs)
        expect(parts[0]?.startsAtMs).toBe(fromMs)
        expect(parts.at(-1)?.endsAtMs).toBe(untilMs)
        parts.forEach(({ date, startsAtMs, endsAtMs }, index) => {
          expect(startsAtMs % QUARTER_MS).toBe(0)
          expect(endsAtMs).toBeGreaterThan(startsAtMs)
          if (index > 0) expect(startsAtMs).toBe(parts[index - 1]?.endsAtMs)
          if (index > 0) expect(date > (parts[index - 1]?.date ?? '')).toBe(true)
        })
      })
      fc.assert(property, { numRuns: 3 })
    }
  })

  it('are the days of limits, in every zone, at every change of the clock of these years', () => {
    for (const zone of ZONES) {
      const zoneDays = new ZoneDays(zone)
      for (const dayMs of changesOfClock(zone)) {
        const { id, startsAtMs, endsAtMs } = windowAt('day', zone, dayMs)
        const day = zoneDays.numberAt(dayMs)
        expect([zone, dateOf(day), zoneDays.startOf(day), zoneDays.startOf(day + 1)]).toEqual([
          zone,
          id.slice(4),
          startsAtMs,
          endsAtMs,
        ])
      }
    }
  })

  /** An instant on each day of 2026 on which clocks change, and on the days beside it. */
  function changesOfClock(zone: string): number[] {
    const zoneDays = new ZoneDays(zone)
    const first = zoneDays.numberAt(Date.UTC(2026, 0, 2))
    const changed: number[] = []
    for (let day = first; day < first + 365; day++) {
      if (zoneDays.startOf(day + 1) - zoneDays.startOf(day) === DAY_MS) continue
      for (const beside of [day - 1, day, day + 1]) changed.push(zoneDays.startOf(beside) + 11 * HOUR_MS)
    }
    return changed
  }
})

describe('dates', () => {
  it.each(['2026-11-22', '2024-02-29', '1970-01-01'])('%s is read and written', (date) => {
    expect(dateOf(dayNumberOf(date) ?? Number.NaN)).toBe(date)
  })

  it.each(['2026-02-30', '2025-02-29', '2026-13-01', '2026-1-1', '', 'today', '02026-01-01', '2026-11-22T00:00'])(
    '%s is none',
    (text) => expect(dayNumberOf(text)).toBeUndefined(),
  )
})

describe('a time zone', () => {
  it.each([
    ['europe/BERLIN', 'Europe/Berlin'],
    ['UTC', 'UTC'],
    ['+05:30', undefined],
    ['-01', undefined],
    ['Mars/Olympus', undefined],
    ['', undefined],
    ['Europe/Berlin\0', undefined],
    ['__proto__', undefined],
  ])('%j is %j', (written, id) => expect(timeZoneId(written)).toBe(id))

  it('has one name, in whatever way it is written', () => {
    expect(timeZoneId('asia/kathmandu')).toBe(timeZoneId('Asia/Katmandu'))
  })
})
