// Live figures in parts: rates of the last minute, the newest calls by number, levels the fullest first, and what needs attention.

import { describe, expect, it, test } from 'vitest'
import type { PastCall } from '../../src/core/call-limits.ts'
import { LimitPlan } from '../../src/core/limits.ts'
import type { Charge, LevelView, Meter } from '../../src/core/meter.ts'
import { type AttentionSources, attentionOf } from '../../src/live/attention.ts'
import { callIdOf, LiveCalls } from '../../src/live/live-calls.ts'
import { LiveLevels } from '../../src/live/live-levels.ts'
import { LiveRates } from '../../src/live/live-rates.ts'
import { callWithKey, namedCalls } from '../../src/live/named-calls.ts'
import type { CallEvent } from '../../src/telemetry/call-events.ts'
import { factsOf, outcomeOf } from '../stores/calls.ts'
import { ManualClock } from '../support/clocks.ts'

const AT_MS = Date.UTC(2026, 10, 22, 12)
const at = (ms: number) => ({ wallMs: AT_MS + ms, monoMs: AT_MS + ms })

function settled(id: string, ms: number, costNanoUsd: bigint, key: string | null = null, simulated = false): CallEvent {
  const facts = factsOf(id, { caller: { key }, simulated })
  return { kind: 'settled', at: at(ms), facts, outcome: outcomeOf(10, costNanoUsd) } as CallEvent
}

function admitted(id: string): CallEvent {
  return { kind: 'admitted', at: at(0), facts: factsOf(id), levels: [], unenforced: [] }
}

function refused(id: string, ms: number, key: string | null = null): CallEvent {
  const { caller } = factsOf(id, { caller: { key } })
  return { kind: 'refused', at: at(ms), callId: id, caller, simulated: false } as CallEvent
}

describe('rates', () => {
  it('are of the last sixty seconds, of everyone and of each key, real and simulated calls apart', () => {
    const rates = new LiveRates()
    for (const event of [
      settled('a', 0, 5n, 'web'),
      settled('b', 30_000, 7n, 'ci'),
      settled('c', 59_999, 11n),
      settled('s', 59_000, 100n, 'web', true),
      refused('d', 59_000, 'web'),
    ])
      rates.hear(event)
    const last = (ms: number, key: string | null = null, simulated = false) =>
      rates.lastMinute(key, simulated, AT_MS + ms)
    expect(last(59_999)).toEqual({ calls: 3, tokens: 30, costNanoUsd: 23n, refused: 1 })
    expect(last(60_000)).toEqual({ calls: 2, tokens: 20, costNanoUsd: 18n, refused: 1 })
    expect(last(59_999, 'web')).toEqual({ calls: 1, tokens: 10, costNanoUsd: 5n, refused: 1 })
    expect(last(59_999, 'web', true)).toMatchObject({ calls: 1, costNanoUsd: 100n, refused: 0 })
    expect(last(200_000)).toEqual({ calls: 0, tokens: 0, costNanoUsd: 0n, refused: 0 })
    expect(last(59_999, 'nobody')).toMatchObject({ calls: 0 })
  })

  it('know the refusals of each minute of the last hour, and of no more', () => {
    const rates = new LiveRates()
    for (let minute = 0; minute < 70; minute++) rates.hear(refused(`${minute}`, minute * 60_000))
    const first = AT_MS / 60_000
    expect(rates.refusedIn(null, false, first + 69)).toBe(1)
    expect(rates.refusedIn(null, false, first + 10)).toBe(1)
    expect(rates.refusedIn(null, false, first + 9)).toBe(0)
  })
})

describe('the newest calls', () => {
  const all = () => true
  const idsAfter = (calls: LiveCalls, seq: number) => calls.after(seq, all, 200).calls.map(callIdOf)

  it('are numbered, and a call that settles comes again in its place', () => {
    const calls = new LiveCalls()
    calls.hear(admitted('a'))
    const seq = calls.lastSeq
    calls.hear(admitted('b'))
    calls.hear(settled('a', 1, 1n))
    expect(idsAfter(calls, 0)).toEqual(['b', 'a'])
    expect(idsAfter(calls, seq)).toEqual(['b', 'a'])
    expect(idsAfter(calls, calls.lastSeq)).toEqual([])
    const [, last] = calls.after(0, all, 200).calls
    expect(last).toMatchObject({ entry: { outcome: { ending: 'completed' } } })
  })

  it('beyond what is kept or asked for are skipped, and counted', () => {
    const calls = new LiveCalls()
    for (let index = 0; index < 2_100; index++) calls.hear(refused(`${index}`, 0))
    const { calls: found, skipped } = calls.after(0, all, 200)
    expect([found.length, found.length + skipped]).toEqual([200, 2_100])
    expect(callIdOf(found.at(-1) ?? { refused: {} as never })).toBe('2099')
  })

  it('are one of several if there are many a second, refused and failed ones all', () => {
    const calls = new LiveCalls()
    const id = (index: number) => `0199${index.toString(16).padStart(8, '0')}`
    for (let index = 0; index < 100; index++) calls.hear(admitted(id(index)))
    calls.turnSecond()
    expect(calls.oneOf).toBe(8)
    const seq = calls.lastSeq
    for (let index = 0; index < 80; index++) calls.hear(admitted(id(1_000 + index)))
    expect(idsAfter(calls, seq)).toHaveLength(10)
    for (let index = 0; index < 80; index++) calls.hear(settled(id(1_000 + index), 1, 1n))
    expect(idsAfter(calls, seq)).toHaveLength(10)
    const failed = settled(id(1_001), 2, 1n) as Extract<CallEvent, { kind: 'settled' }>
    calls.hear({ ...failed, outcome: { ...failed.outcome, ending: 'failed' } })
    calls.hear(refused(id(1_003), 2))
    expect(idsAfter(calls, seq)).toHaveLength(12)
    calls.turnSecond()
    calls.turnSecond()
    expect(calls.oneOf).toBe(1)
  })
})

function meterOf(who: Meter['who'], subject: string, endsAtMs = Number.POSITIVE_INFINITY): Meter {
  const what = { what: 'cost', span: 'day', refill: 'window', spanMs: 0, endsAtMs } as const
  return { key: `${who}:${subject}/cost/day`, name: 'daily_spending_limit', who, subject, ...what }
}

describe('levels', () => {
  const used = new Map<string, bigint>()
  const levelsOf = (limitsOf: (call: PastCall) => readonly Charge[], clock = new ManualClock()) =>
    new LiveLevels(
      {
        clock,
        limitsOf: async (call) => limitsOf(call),
        namedCalls: (simulated) => [callWithKey('named', simulated)],
        keys: async () => [],
        store: {
          entries: async () => [],
          levels: async (charges) =>
            charges.map(({ meter, capacity }) => {
              const settledUnits = used.get(meter.key) ?? 0n
              const free = capacity > settledUnits ? capacity - settledUnits : 0n
              return { meter, capacity, enforced: true, settled: settledUnits, reserved: 0n, free, resetMs: 1 }
            }),
        },
      },
      false,
    )
  const chargeOn = (meter: Meter): Charge => ({ meter, amount: 0n, capacity: 100n, enforced: true })
  const byUser = ({ facts: { caller } }: PastCall) => [
    chargeOn(meterOf('global', '')),
    chargeOn(meterOf('user', `${caller.key}/${caller.user}`)),
  ]

  it('are the fullest first, found by search, and those of a key and of everyone for its holder', async () => {
    const levels = levelsOf(byUser)
    for (let index = 0; index < 300; index++) {
      const key = index % 2 === 0 ? 'web' : 'ci'
      used.set(`user:${key}/u${index}/cost/day`, BigInt((index * 37) % 101))
      levels.hear(factsOf(`${index}`, { caller: { key, user: `u${index}` } }))
    }
    await levels.refresh()
    const all = levels.find({ key: null }, 50)
    expect(all.count).toBe(302)
    const fullness = all.rows.map((row) => row.fullness)
    expect(fullness).toEqual(fullness.toSorted((left, right) => right - left))
    expect(fullness[0]).toBe(1)
    const found = levels.find({ key: null, search: 'WEB/u4' }, 1_000)
    expect(found.rows.every(({ view }) => view.meter.subject.startsWith('web/u4'))).toBe(true)
    expect(found.count).toBe(6)
    const own = levels.find({ key: 'ci' }, 1_000).rows.map(({ view }) => view.meter)
    expect(own.filter(({ who }) => who === 'user').every(({ subject }) => subject.startsWith('ci/'))).toBe(true)
    expect(own.filter(({ who }) => who === 'global')).toHaveLength(1)
    expect(levels.find({ key: null, who: 'global' }, 9).count).toBe(1)
  })

  it('of limits that are gone leave', async () => {
    let limits = [chargeOn(meterOf('key', 'named')), chargeOn(meterOf('global', ''))]
    const levels = levelsOf(() => limits)
    await levels.refresh()
    expect(levels.find({ key: null }, 9).count).toBe(2)
    limits = limits.slice(1)
    await levels.refresh()
    expect(levels.find({ key: null }, 9).rows.map(({ view }) => view.meter.who)).toEqual(['global'])
  })
})

test('a call of each subject that limits name has its limits', () => {
  const subjects = [
    ['key', 'web'],
    ['user', 'web/ann'],
    ['user', '(none)/ben'],
    ['project', 'p'],
    ['provider', 'openai'],
    ['model', 'openai/gpt-4o'],
  ] as const
  const plan = new LimitPlan(
    subjects.map(([who, subject]) => ({
      who,
      subject,
      what: 'cost',
      span: 'day',
      refill: 'window',
      capacity: 1n,
      name: 'daily_spending_limit',
      enforced: true,
      source: undefined,
    })) as never,
    'UTC',
  )
  const calls = namedCalls(plan, false).map(({ facts: { caller, provider, model } }) => [
    caller.key,
    caller.user,
    caller.project,
    provider,
    model,
  ])
  expect(calls).toEqual(
    expect.arrayContaining([
      [null, null, null, '', ''],
      ['web', null, null, '', ''],
      ['web', 'ann', null, '', ''],
      [null, 'ben', null, '', ''],
      [null, null, 'p', '', ''],
      [null, null, null, 'openai', ''],
      [null, null, null, 'openai', 'gpt-4o'],
    ]),
  )
})

describe('attention', () => {
  const nothing: AttentionSources = {
    ledgerFailure: undefined,
    levels: [],
    circuits: [],
    unpricedModels: [],
    overruns: [],
    bookings: [],
    priceWarnings: [],
    configurationWarnings: [],
    notReloaded: null,
  }
  const level = (subject: string, settledUnits: bigint, change: Partial<LevelView> = {}) => ({
    view: {
      meter: meterOf('key', subject),
      capacity: 50_000_000_000n,
      enforced: true,
      settled: settledUnits,
      reserved: 0n,
      free: 50_000_000_000n - settledUnits,
      resetMs: 3_600_000,
      ...change,
    },
    fullness: Number(settledUnits) / 50_000_000_000,
  })

  it('is nothing if all is well', () => expect(attentionOf(nothing)).toEqual([]))

  it('is sorted by what stops calls', () => {
    const items = attentionOf({
      ...nothing,
      ledgerFailure: 'The disk is full.',
      levels: [level('ci', 50_000_000_000n), level('web', 48_330_000_000n), level('calm', 1n)],
      circuits: [
        {
          provider: 'gemini',
          model: 'flash',
          state: 'open',
          failures: 10,
          calls: 10,
          retryAfterMs: 11_500,
          coolingMs: 0,
        },
      ],
      unpricedModels: ['acme/tiny'],
      priceWarnings: [{ code: 'prices_old', message: 'The prices are 60 days old.' }],
      notReloaded: 'limits: must be an object',
    })
    expect(items.map(({ kind }) => kind)).toEqual([
      'ledger_unavailable',
      'limit_full',
      'provider_down',
      'price_unknown',
      'limit_nearly_full',
      'prices_old',
      'configuration',
    ])
    expect(items[1]).toMatchObject({ severity: 'bad', text: 'Its calls are refused for 1 h 0 min.' })
    expect(items[2]?.text).toContain('Tried again in 12 s')
    expect(items[4]).toMatchObject({ severity: 'warn', title: 'key web has $1.67 left: daily spending limit' })
  })

  it('of one kind hides nothing else', () => {
    const levels = Array.from({ length: 100 }, (_, index) => level(`k${index}`, 50_000_000_000n))
    const items = attentionOf({ ...nothing, levels, unpricedModels: ['acme/tiny'] })
    expect(items.filter(({ kind }) => kind === 'limit_full')).toHaveLength(5)
    expect(items.at(-1)?.kind).toBe('price_unknown')
  })
})
