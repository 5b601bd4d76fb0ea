// Reports over time: the parts of each series and of all others add up to the whole, in every step and zone; and the forecast's rule.

import { describe, expect, it, onTestFinished, test } from 'vitest'
import type { ManualClock } from '../support/clocks.ts'
import type { Gateway } from '../support/gateway.ts'
import { AS_ADMIN, AS_ALICE, ask, openLedger, writeCall } from './usage-ledger.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Noon in UTC, where the clock of these tests stands: a Sunday. */
const NOON_MS = Date.UTC(2026, 10, 22, 12)

interface Figures {
  readonly total_cost: number
  readonly total_requests: number
  readonly total_tokens: number
  readonly cost: readonly number[]
  readonly tokens: readonly number[]
  readonly requests: readonly number[]
}

interface Answer {
  readonly step: string
  readonly parts: readonly string[]
  readonly total: Figures
  readonly series: readonly (Figures & { readonly value: string | null })[]
  readonly others: (Figures & { readonly count: number }) | null
  readonly before:
    | (Figures & { readonly parts: readonly string[]; readonly period: { from: string; to: string } })
    | null
}

async function open(): Promise<Gateway<ManualClock>> {
  const gateway = await openLedger('memory:')
  onTestFinished(() => gateway.close())
  return gateway
}

async function series(gateway: Gateway, query: string, headers = AS_ADMIN): Promise<Answer> {
  const { status, text } = await ask(gateway, `/token-usage/series?${query}`, headers)
  expect(status, text).toBe(200)
  return JSON.parse(text)
}

/** Whole nano-dollars: sums of doubles are not exact. */
const nano = (usd: number) => Math.round(usd * 1e9)
const sumOf = (costs: readonly number[]) => costs.reduce((sum, cost) => sum + nano(cost), 0)

async function writeMany(gateway: Gateway<ManualClock>): Promise<void> {
  for (let index = 0; index < 60; index++)
    await writeCall(gateway, {
      reservedAtMs: NOON_MS - index * 11 * HOUR_MS,
      costNanoUsd: BigInt(1 + index),
      model: `m${index % 5}`,
      caller: { key: index % 3 === 0 ? 'alice' : 'bob', user: `u${index % 7}` },
    })
}

describe('series', () => {
  it.each([
    'days=2&step=quarter_hour',
    'days=3&step=hour&tz=Asia/Kathmandu',
    'days=30',
    'days=30&tz=Australia/Lord_Howe',
    'days=60&step=week&tz=Europe/Berlin',
    'days=300&step=month',
    'from=2026-11-01T05:30:00Z&to=2026-11-20T17:45:00Z&step=day',
  ])('of %s add up: parts to the whole, series and others to each part', async (query) => {
    const gateway = await open()
    await writeMany(gateway)
    for (const by of ['model', 'user', 'key', 'agent']) {
      const { parts, total, series: found, others } = await series(gateway, `${query}&by=${by}&series=2`)
      expect(total.cost).toHaveLength(parts.length)
      for (const figures of [total, ...found, ...(others ? [others] : [])]) {
        expect(sumOf(figures.cost)).toBe(nano(figures.total_cost))
        expect(figures.requests.reduce((sum, count) => sum + count, 0)).toBe(figures.total_requests)
        expect(figures.tokens.reduce((sum, count) => sum + count, 0)).toBe(figures.total_tokens)
      }
      total.cost.forEach((cost, index) => {
        const split = [...found, ...(others ? [others] : [])].map((figures) => figures.cost[index] ?? 0)
        expect(sumOf(split), `${by}, part ${index}`).toBe(nano(cost))
      })
      const group = JSON.parse(
        (await ask(gateway, `/token-usage/by-day?${query.replace(/&?step=\w+/, '')}`, AS_ADMIN)).text,
      )
      expect(nano(total.total_cost)).toBe(nano(group.total_cost))
    }
  })

  it('are the dearest values, the dearest first, and how many others there are', async () => {
    const gateway = await open()
    for (const [index, model] of ['cheap', 'dear', 'middle', 'least'].entries())
      await writeCall(gateway, { reservedAtMs: NOON_MS, costNanoUsd: [2n, 9n, 5n, 1n][index] ?? 0n, model })
    const { series: found, others } = await series(gateway, 'days=1&series=2')
    expect(found.map(({ value, total_cost }) => [value, nano(total_cost)])).toEqual([
      ['openai/dear', 9],
      ['openai/middle', 5],
    ])
    expect(others).toMatchObject({ count: 2, total_requests: 2 })
    expect((await series(gateway, 'days=1')).others).toBeNull()
  })

  it.each([
    ['days=1', 'hour', 24],
    ['days=30', 'day', 30],
    ['days=400', 'week', 58],
    ['days=900', 'month', 30],
    ['from=2026-11-22T06:00:00Z&to=2026-11-22T08:00:00Z', 'quarter_hour', 8],
  ])('of %s are by %s', async (query, step, count) => {
    const answer = await series(await open(), query)
    expect([answer.step, answer.parts.length]).toEqual([step, count])
  })

  it('begin weeks on Monday and months on the first, in the zone', async () => {
    const gateway = await open()
    const { parts: weeks } = await series(gateway, 'days=20&step=week&tz=Europe/Berlin')
    expect(weeks).toEqual(['2026-11-02T23:00:00.000Z', '2026-11-08T23:00:00.000Z', '2026-11-15T23:00:00.000Z'])
    const { parts: months } = await series(gateway, 'days=60&step=month&tz=Asia/Kathmandu')
    expect(months).toEqual(['2026-09-23T18:15:00.000Z', '2026-09-30T18:15:00.000Z', '2026-10-31T18:15:00.000Z'])
  })

  it('have the hours of a day on which the clock turns', async () => {
    const { parts } = await series(await open(), 'from=2026-10-25&to=2026-10-25&step=hour&tz=Europe/Berlin')
    expect(parts).toHaveLength(25)
  })

  it('stand beside the period before: as many days, whatever the clock did', async () => {
    const gateway = await open()
    await writeCall(gateway, { reservedAtMs: NOON_MS - 30 * DAY_MS, costNanoUsd: 7n })
    await writeCall(gateway, { reservedAtMs: NOON_MS, costNanoUsd: 3n })
    const { before, total } = await series(gateway, 'days=30&tz=Europe/Berlin&compare=before')
    expect(before?.period).toMatchObject({ from: '2026-09-23T22:00:00.000Z', to: '2026-10-23T22:00:00.000Z' })
    expect([before?.parts.length, nano(before?.total_cost ?? 0), nano(total.total_cost)]).toEqual([30, 7, 3])
    expect((await series(gateway, 'days=30')).before).toBeNull()
  })

  it("of a key's holder are of that key alone", async () => {
    const gateway = await open()
    await writeMany(gateway)
    const own = await series(gateway, 'days=30&by=key', AS_ALICE)
    expect(own.series.map(({ value }) => value)).toEqual(['alice'])
    expect((await ask(gateway, '/token-usage/series?key=bob', AS_ALICE)).status).toBe(403)
  })

  it.each([
    ['days=30&step=quarter_hour', 'step'],
    ['by=colour', 'by'],
    ['series=9', 'series'],
    ['series=0', 'series'],
    ['compare=yes', 'compare'],
    ['step=year', 'step'],
  ])('of %s are refused with the name of the parameter', async (query, name) => {
    const { status, body } = await ask(await open(), `/token-usage/series?${query}`, AS_ADMIN)
    expect([status, body.error.param]).toEqual([400, name])
  })
})

describe('a forecast', () => {
  const forecast = async (gateway: Gateway, query = '') => {
    const { status, text } = await ask(gateway, `/token-usage/forecast${query}`, AS_ADMIN)
    expect(status, text).toBe(200)
    return JSON.parse(text)
  }

  test('is what is spent and a usual day for each day that is left', async () => {
    const gateway = await open()
    // Seven days before today: 10, 10, …, 10, and one of 1,000, which the median leaves out.
    for (let day = 1; day <= 7; day++)
      await writeCall(gateway, { reservedAtMs: NOON_MS - day * DAY_MS, costNanoUsd: day === 3 ? 1_000n : 10n })
    await writeCall(gateway, { reservedAtMs: NOON_MS - HOUR_MS, costNanoUsd: 4n })
    const month = await forecast(gateway)
    // Half of today is left, and eight days of November.
    expect([nano(month.spent), nano(month.usual_day), nano(month.expected)]).toEqual([1064, 10, 1064 + 5 + 80])
    expect(month.window).toMatchObject({ from: '2026-11-01T00:00:00.000Z', to: '2026-12-01T00:00:00.000Z' })
    const day = await forecast(gateway, '?window=day')
    expect([nano(day.spent), nano(day.expected)]).toEqual([4, 9])
    expect(day.rule).toContain('median')
  })

  test('counts no day before the first call, and says that nothing is known', async () => {
    const gateway = await open()
    expect(await forecast(gateway)).toMatchObject({ spent: 0, expected: null, usual_day: null })
    await writeCall(gateway, { reservedAtMs: NOON_MS - DAY_MS, costNanoUsd: 30n })
    expect(nano((await forecast(gateway)).usual_day)).toBe(30)
  })
})
