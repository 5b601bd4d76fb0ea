// Limits: whose they are, what they are called, and which charges they make of a call.

import { describe, expect, test } from 'vitest'
import { compileKeyLimits } from '../../src/core/key-limits.ts'
import type { Caller } from '../../src/core/ledger-entry.ts'
import { type Limit, LimitPlan, limitName, NO_SUBJECTS, subjectOf, WHO } from '../../src/core/limits.ts'

const caller = (overrides: Partial<Caller> = {}): Caller => ({ ...NO_SUBJECTS.caller, ...overrides })
const call = (overrides: Partial<Caller> = {}, model = 'gpt-4o') => ({
  caller: caller(overrides),
  provider: 'openai',
  model,
  canonical: 'gpt-4o',
  family: 'gpt-4o',
})
const limit = (overrides: Partial<Limit> = {}): Limit => ({
  who: 'global',
  subject: undefined,
  what: 'cost',
  span: 'day',
  capacity: 100n,
  refill: 'window',
  enforced: true,
  ...overrides,
})
const amounts = { requests: 1n, tokens: 20n, cost: 300n, inFlight: 1n }
const NOON_MS = Date.UTC(2026, 10, 22, 12)

test.each([
  ['global', call({ key: 'k' }), ''],
  ['organisation', call({ organisation: 'o' }), 'o'],
  ['project', call(), '(none)'],
  ['key', call({ key: 'k' }), 'k'],
  ['user', call({ key: 'k', user: '7' }), 'k/7'],
  ['user', call({ user: '7' }), '(none)/7'],
  ['thread', call({ key: 'k' }), 'k/(none)'],
  ['agent', call({ key: 'k', agent: 'a' }), 'k/a'],
  ['task', call({ key: 'k', task: 't' }), 'k/t'],
  ['model', call(), 'openai/gpt-4o'],
  ['provider', call(), 'openai'],
] as const)('the %s of a call', (who, overrides, subject) => {
  expect(subjectOf(who, overrides)).toBe(subject)
})

test('every dimension has a subject', () => {
  for (const who of WHO) expect(typeof subjectOf(who, call())).toBe('string')
})

test('names are those of the settings', () => {
  expect(limitName('requests', 'minute')).toBe('requests_per_minute')
  expect(limitName('cost', 'day')).toBe('daily_spending_limit')
  expect(limitName('cost', 'call')).toBe('max_cost_per_request')
})

describe('charges', () => {
  const keys = (plan: LimitPlan, caller = call(), realm = '') =>
    plan.chargesFor(caller, amounts, NOON_MS, realm, false).map(({ meter }) => meter.key)

  test('take the amount of what is limited, with the capacity in force', () => {
    const plan = new LimitPlan(
      [
        limit(),
        limit({ what: 'tokens', span: 'minute', refill: 'steady' }),
        limit({ what: 'inFlight', span: 'call', refill: 'none' }),
      ],
      'UTC',
    )
    expect(plan.chargesFor(call(), amounts, NOON_MS, '', false)).toMatchObject([
      { meter: { key: 'global:/cost/day:2026-11-22', endsAtMs: Date.UTC(2026, 10, 23) }, amount: 300n, capacity: 100n },
      { meter: { key: 'global:/tokens/minute', spanMs: 60_000 }, amount: 20n },
      { meter: { key: 'global:/inFlight/call', refill: 'none' }, amount: 1n },
    ])
  })

  test('a subject’s own limit replaces the one for each', () => {
    const plan = new LimitPlan([limit({ who: 'key' }), limit({ who: 'key', subject: 'rich', capacity: 900n })], 'UTC')
    const capacity = (key: string) => plan.chargesFor(call({ key }), amounts, NOON_MS, '', false)[0]?.capacity
    expect([capacity('rich'), capacity('poor')]).toEqual([900n, 100n])
  })

  test('of two on the same the stricter one holds, and what is enforced before what is only watched', () => {
    const capacities = (...limits: Limit[]) =>
      new LimitPlan(limits, 'UTC').chargesFor(call(), amounts, NOON_MS, '', false).map(({ capacity }) => capacity)
    const [low, high] = [limit({ capacity: 100n }), limit({ capacity: 900n })]
    expect([capacities(low, high), capacities(high, low)]).toEqual([[100n], [100n]])
    const watched = limit({ capacity: 1n, enforced: false })
    expect([capacities(watched, high), capacities(high, watched), capacities(watched)]).toEqual([[900n], [900n], [1n]])
  })

  test('a key’s own limits replace those on keys, and a ceiling of its own bounds each call', () => {
    const perCall = { span: 'call', refill: 'call' } as const
    const plan = new LimitPlan([limit({ who: 'key' }), limit({ who: 'key', ...perCall, capacity: 5n }), limit()], 'UTC')
    const own = (overrides: Partial<Limit> = {}) => limit({ who: 'key', subject: 'k', ...overrides })
    const keyLimits = compileKeyLimits([own({ capacity: 7n }), own({ ...perCall, capacity: 9n })], undefined)
    const subjects = { ...call({ key: 'k' }), keyLimits }
    const charges = plan.chargesFor(subjects, amounts, NOON_MS, '', false)
    expect(charges.map(({ meter: { key }, capacity }) => `${key} ${capacity}`)).toEqual([
      'global:/cost/day:2026-11-22 100',
      'key:k/cost/day:2026-11-22 7',
      'key:k/cost/call 9',
    ])
    expect([plan.ceiling(subjects, 'cost', NOON_MS), plan.ceiling(call({ key: 'k' }), 'cost', NOON_MS)]).toEqual([
      9n,
      5n,
    ])
    expect([
      plan.counts('tokens', compileKeyLimits([own({ what: 'tokens' })], undefined)),
      plan.countsSize(undefined),
    ]).toEqual([true, true])
  })

  test('a raise enlarges whichever limit is in force, until it ends', () => {
    const raise = { who: 'key', what: 'cost', span: 'day', untilMs: NOON_MS + 1 } as const
    const raises = [
      { ...raise, subject: undefined, capacity: 300n },
      { ...raise, subject: 'own', capacity: 900n },
      { ...raise, subject: 'small', capacity: 200n },
    ]
    const plan = new LimitPlan(
      [limit({ who: 'key' }), limit({ who: 'key', subject: 'own', capacity: 50n })],
      'UTC',
      raises,
    )
    const keyLimits = compileKeyLimits([], undefined, [{ ...raise, subject: 'k', capacity: 400n }])
    const capacity = (key: string, wallMs: number) =>
      plan.chargesFor({ ...call({ key }), ...(key === 'k' ? { keyLimits } : {}) }, amounts, wallMs, '', false)[0]
        ?.capacity
    expect(['own', 'small', 'other', 'k'].map((key) => capacity(key, NOON_MS))).toEqual([900n, 300n, 300n, 400n])
    expect(['own', 'small', 'other', 'k'].map((key) => capacity(key, NOON_MS + 1))).toEqual([50n, 100n, 100n, 100n])
  })

  test('the limits of one scope are replaced, and no others', () => {
    const plan = new LimitPlan([limit({ who: 'key' }), limit({ who: 'key', subject: 'a' }), limit()], 'UTC')
    plan.replace({ who: 'key', subject: 'a' }, [limit({ who: 'key', subject: 'a', what: 'requests' })], [])
    expect(keys(plan, call({ key: 'a' }))).toEqual([
      'key:a/cost/day:2026-11-22',
      'global:/cost/day:2026-11-22',
      'key:a/requests/day:2026-11-22',
    ])
    plan.replace({ who: 'key', subject: 'a' }, [], [])
    plan.replace({ who: 'global', subject: undefined }, [], [])
    plan.replace({ who: 'key', subject: undefined }, [], [])
    expect([plan.limits, plan.counts('cost', undefined), plan.counts('requests', undefined)]).toEqual([
      [],
      false,
      false,
    ])
  })

  test('a single subject’s limit leaves others alone', () => {
    const plan = new LimitPlan([limit({ who: 'key', subject: 'one' })], 'UTC')
    expect([keys(plan, call({ key: 'one' })), keys(plan, call({ key: 'two' }))]).toEqual([
      ['key:one/cost/day:2026-11-22'],
      [],
    ])
  })

  test('two keys’ users of one name are two subjects', () => {
    const plan = new LimitPlan([limit({ who: 'user' })], 'UTC')
    expect(keys(plan, call({ key: 'a', user: '7' }))).not.toEqual(keys(plan, call({ key: 'b', user: '7' })))
  })

  test('simulated calls are on meters of their own', () => {
    const plan = new LimitPlan([limit()], 'UTC')
    expect(keys(plan, call(), 'sim/')).toEqual(['sim/global:/cost/day:2026-11-22'])
    expect(keys(plan)).toEqual(['global:/cost/day:2026-11-22'])
  })

  test('soft mode enforces nothing', () => {
    const plan = new LimitPlan([limit()], 'UTC')
    expect(plan.chargesFor(call(), amounts, NOON_MS, '', true)[0]?.enforced).toBe(false)
    expect([plan.counts('cost', undefined), plan.counts('tokens', undefined)]).toEqual([true, false])
  })

  test('the window turns with the calendar, and back when the clock does', () => {
    const plan = new LimitPlan([limit()], 'Asia/Kolkata')
    const key = (wallMs: number) => plan.chargesFor(call(), amounts, wallMs, '', false)[0]?.meter.key
    const turn = Date.UTC(2026, 10, 22, 18, 30)
    expect([key(turn - 1), key(turn), key(turn - 1)]).toEqual([
      'global:/cost/day:2026-11-22',
      'global:/cost/day:2026-11-23',
      'global:/cost/day:2026-11-22',
    ])
  })
})
