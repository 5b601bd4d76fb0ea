// Report: totals by day and minute, of the window a call was reserved in.

import { expect, test } from 'vitest'
import { addTally, minuteOf, newTally, Report } from '../../src/core/report.ts'
import { TOKEN_CLASSES, USAGE_CLASSES, unitsOf, usageOf } from '../../src/core/usage.ts'
import { factsOf, outcomeOf, START_MS } from '../stores/calls.ts'

const entry = (afterMs: number, cost: bigint) => ({
  facts: factsOf('call', { reservedAtMs: START_MS + afterMs }),
  outcome: outcomeOf(30, cost),
  settledSeq: 1,
})

test('a call belongs to the day and minute of its reservation', () => {
  const report = new Report()
  report.addCall(entry(0, 5n))
  report.addCall(entry(12 * 3_600_000, 7n))
  expect([...report.days].map(([day, { costNanoUsd }]) => [day, costNanoUsd])).toEqual([
    ['2026-11-22', 5n],
    ['2026-11-23', 7n],
  ])
  expect(report.total()).toMatchObject({ requests: 2, tokens: 60, costNanoUsd: 12n, exact: 2 })
})

test('units of every class are counted as what they are', () => {
  const report = new Report()
  const usage = usageOf(Object.fromEntries(USAGE_CLASSES.map((name, index) => [name, index + 1])))
  for (const { facts, outcome, settledSeq } of [entry(0, 1n), entry(1, 1n)])
    report.addCall({ facts, outcome: { ...outcome, usage }, settledSeq })
  const twice = usageOf(Object.fromEntries(USAGE_CLASSES.map((name, index) => [name, 2 * (index + 1)])))
  const tokens = TOKEN_CLASSES.reduce((sum, name) => sum + 2 * unitsOf(usage, name), 0)
  expect(report.total()).toMatchObject({ tokens, usage: twice })
})

test('a call in flight adds nothing', () => {
  const report = new Report()
  report.addCall({ facts: factsOf('open'), outcome: null, settledSeq: null })
  expect(report.total()).toEqual(newTally())
})

test('the recent hour is the sixty minutes up to now', () => {
  const report = new Report()
  for (let minute = 0; minute < 90; minute++) report.addCall(entry(minute * 60_000, 1n))
  expect(report.recentHour(START_MS + 89 * 60_000).requests).toBe(60)
  expect(report.recentHour(START_MS + 89 * 60_000 + 30 * 60_000).requests).toBe(30)
  expect(report.recentHour(START_MS - 60_000).requests).toBe(0)
})

test('minutes are bounded, days and totals are not touched by it', () => {
  const report = new Report()
  for (let minute = 0; minute < 1000; minute++) report.addCall(entry(minute * 60_000, 1n))
  expect(report.minutes.size).toBe(120)
  expect(report.total().requests).toBe(1000)
})

test('a clock that once stepped forward does not push out the present', () => {
  const report = new Report()
  report.addCall(entry(400 * 86_400_000, 1n))
  for (let minute = 0; minute < 300; minute++) report.addCall(entry(minute * 60_000, 1n))
  expect(report.recentHour(START_MS + 299 * 60_000).requests).toBe(60)
})

test('adding a sum is adding its calls', () => {
  const [byCall, bySum] = [new Report(), new Report()]
  const sum = newTally()
  for (let index = 0; index < 5; index++) {
    byCall.addCall(entry(index, 3n))
    addTally(
      sum,
      (() => {
        const single = new Report()
        single.addCall(entry(index, 3n))
        return single.total()
      })(),
    )
  }
  bySum.addSum('2026-11-22', minuteOf(START_MS), sum)
  expect([bySum.days, bySum.minutes]).toEqual([byCall.days, byCall.minutes])
})

test('refusals are counted by reason', () => {
  const report = new Report()
  report.addRefusals('a')
  report.addRefusals('a', 4)
  expect([...report.refusals]).toEqual([['a', 5]])
})
