// A refusal names the limit that lets the call through last, says what would have fitted, and never asks to come back too early.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Shortfall } from '../../src/core/levels.ts'
import { type Limit, meterOf } from '../../src/core/limits.ts'
import type { ShortfallReason } from '../../src/core/meter.ts'
import { amountText, durationText, refusalOf, retryAfterSeconds } from '../../src/core/refusal.ts'

const FACTS = { inFlightMs: 1_700, fittingCap: null }
const NOW_MS = Date.parse('2026-11-22T12:00:00Z')

const REQUESTS = { what: 'requests', span: 'minute', refill: 'steady' } as const
const TOKENS = { what: 'tokens', span: 'minute', refill: 'steady' } as const
const DAILY = { what: 'cost', span: 'day', refill: 'window' } as const
const CEILING = { what: 'cost', span: 'call', refill: 'call' } as const
const IN_FLIGHT = { what: 'inFlight', span: 'call', refill: 'none' } as const

function shortfallOf(
  limit: Pick<Limit, 'what' | 'span' | 'refill'>,
  [amount, capacity, free]: readonly [bigint, bigint, bigint],
  shortfall: ShortfallReason,
  who: 'global' | 'user' = 'global',
): Shortfall {
  const subject = who === 'user' ? 'alice/7' : ''
  const meter = meterOf({ ...limit, who, subject: undefined, capacity, enforced: true }, subject, NOW_MS, 'UTC', '')
  const level = { meter, capacity, enforced: true, settled: capacity - free, reserved: 0n, free, resetMs: 5_000 }
  return { charge: { meter, amount, capacity, enforced: true }, reason: shortfall, level }
}

const NEVER = shortfallOf(CEILING, [2_000_000_000n, 500_000_000n, 500_000_000n], { kind: 'never' })
const LONG = shortfallOf(DAILY, [20_000_000n, 10_000_000_000n, 1n], { kind: 'time', waitMs: 43_200_000 })
const BRIEF = shortfallOf(REQUESTS, [1n, 60n, 0n], { kind: 'time', waitMs: 1_001 })
const BUSY = shortfallOf(IN_FLIGHT, [1n, 4n, 0n], { kind: 'inFlight' })

test.each([
  [1, '1 s'],
  [60_000, '60 s'],
  [60_001, '2 min'],
  [3_599_000, '1 h'],
  [3_600_001, '1 h 1 min'],
  [43_200_000, '12 h'],
  [86_340_001, '1 d'],
  [90_000_001, '1 d 2 h'],
  [172_740_001, '2 d'],
  [2_678_400_000, '31 d'],
])('%d ms is a wait of %s', (waitMs, text) => {
  expect(durationText(waitMs)).toBe(text)
})

describe('the refusal of several limits', () => {
  test('is the one that lets the call through last, whatever their order, and names them all', () => {
    const ranked = [BUSY, BRIEF, LONG, NEVER]
    fc.assert(
      fc.property(fc.shuffledSubarray(ranked, { minLength: 1 }), (short) => {
        const refusal = refusalOf(short, FACTS)
        const last = ranked.findLast((shortfall) => short.includes(shortfall))
        expect(refusal.meter).toBe(last?.charge.meter)
        expect(refusal.limits).toEqual(short.map((shortfall) => shortfall.charge.meter.name))
      }),
    )
  })

  test.each([
    ['time', BRIEF, 1_001, true],
    ['time', LONG, 43_200_000, true],
    ['inFlight', BUSY, 1_700, true],
    ['never', NEVER, null, false],
  ] as const)('of kind %s waits as long as that kind does', (kind, short, waitMs, retryable) => {
    expect(refusalOf([short], FACTS)).toMatchObject({ kind, waitMs, retryable })
  })
})

describe('its message', () => {
  test.each([
    [
      BRIEF,
      null,
      'Rate limit exceeded: requests_per_minute. This call needs up to 1 request; the limit is 60 requests, 0 of them free. Please try again in 2s.',
    ],
    [
      shortfallOf(TOKENS, [5_000n, 6_000n, 1_000n], { kind: 'time', waitMs: 40_000 }, 'user'),
      null,
      'Rate limit exceeded: tokens_per_minute. This call needs up to 5000 tokens; the limit of user alice/7 is 6000 tokens, 1000 of them free. Please try again in 40s.',
    ],
    [
      BUSY,
      null,
      'Rate limit exceeded: max_in_flight. This call needs up to 1 in flight; the limit is 4 in flight, 0 of them free. It fits once calls in flight are done. Please try again in a moment.',
    ],
    [
      NEVER,
      512,
      'Spending limit reached: max_cost_per_request. This call needs up to $2; the limit is $0.5, of which $0.5 is free. Waiting does not help: it is more than the limit allows at all. An output cap of 512 tokens would fit.',
    ],
  ])('says what is needed, what is free and what helps', (short, cap, message) => {
    expect(refusalOf([short], { ...FACTS, fittingCap: cap })).toMatchObject({ message, fittingCap: cap })
  })

  test.each([
    ['Spending limit reached', 'cost', 'never', ['call', 'minute', 'hour', 'day', 'month', 'total']],
    ['Spending limit reached', 'cost', 'inFlight', ['minute', 'hour', 'day', 'month', 'total']],
    ['Rate limit exceeded', 'requests', 'inFlight', ['minute', 'hour', 'day']],
    ['Rate limit exceeded', 'tokens', 'inFlight', ['minute', 'hour', 'day']],
    ['Limit reached', 'requests', 'never', ['minute', 'hour', 'day']],
    ['Limit reached', 'tokens', 'never', ['call', 'minute', 'hour', 'day']],
  ] as const)('begins with "%s" for every limit on %s that refuses with %s', (text, what, kind, spans) => {
    for (const span of spans) {
      const shortfall = shortfallOf({ what, span, refill: 'window' }, [2n, 1n, 1n], { kind })
      expect(refusalOf([shortfall], FACTS).message).toMatch(new RegExp(`^${text}: ${shortfall.charge.meter.name}\\. `))
    }
  })

  test.each([
    [
      NEVER,
      'countedLater',
      'inFlight',
      true,
      /context window, because the provider did not count .* try again in a moment\.$/,
    ],
    [LONG, 'countedLater', 'inFlight', true, /try again in a moment\.$/],
    [NEVER, 'notCounted', 'never', false, /the provider did not count the files\. Waiting does not help/],
    [NEVER, 'changeable', 'never', false, /files behind a URL and stored context are not\. Waiting does not help/],
    [NEVER, 'noSize', 'never', false, /is not known\. Waiting does not help/],
    [BRIEF, 'countedLater', 'time', true, /0 of them free\. Please try again in 2s\.$/],
  ] as const)(
    'says why a whole window is needed, unless a limit on something else decides: %#',
    (short, window, kind, retryable, text) => {
      const refusal = refusalOf([short], { ...FACTS, window })
      expect(refusal).toMatchObject({ kind, retryable, message: expect.stringMatching(text) })
    },
  )

  test.each([
    [shortfallOf(DAILY, [20n, 100n, 1n], { kind: 'time', waitMs: 20_000 }), 'It fits in 20 s.'],
    [LONG, 'It fits in 12 h.'],
    [shortfallOf(REQUESTS, [1n, 60n, 0n], { kind: 'time', waitMs: 60_000 }), 'Please try again in 60s.'],
    [shortfallOf(REQUESTS, [1n, 60n, 0n], { kind: 'time', waitMs: 60_001 }), 'It fits in 2 min.'],
  ])('tells agents to try again only after a short wait, and never of money: %#', (short, text) => {
    const { message } = refusalOf([short], FACTS)
    expect(message).toContain(text)
    expect(message.includes('try again')).toBe(text.includes('try again'))
  })

  test.each([
    ['global', 'DAILY_SPENDING_LIMIT', 'This global limit is set by DAILY_SPENDING_LIMIT.'],
    [
      'user',
      '"costPerDay" of "perUser" in bursar.json',
      'This limit is set by "costPerDay" of "perUser" in bursar.json.',
    ],
  ] as const)('names what to change for a limit of who %s', (who, source, text) => {
    const { charge, reason, level } = shortfallOf(DAILY, [2n, 1n, 1n], { kind: 'never' }, who)
    const refusal = refusalOf([{ charge: { ...charge, meter: { ...charge.meter, source } }, reason, level }], FACTS)
    expect(refusal.message).toMatch(new RegExp(` ${text}$`))
  })

  test('names what has no bound, for limits that grow with the size of a call', () => {
    const unbounded = ['web_search', 'mcp']
    expect(refusalOf([NEVER], { ...FACTS, unbounded })).toMatchObject({
      unbounded,
      message: expect.stringContaining('because nothing bounds what web_search, mcp costs.'),
    })
    expect(refusalOf([BRIEF], { ...FACTS, unbounded })).toMatchObject({
      unbounded: [],
      message: expect.not.stringContaining('web_search'),
    })
  })

  test('gives money to the nano-dollar', () => {
    expect(amountText(LONG.charge.meter, 1_000_000_001n)).toBe('$1.000000001')
  })
})

test.each([
  [0, 1],
  [1, 1],
  [1_000, 1],
  [1_001, 2],
  [59_999, 60],
  [43_200_000, 43_200],
])('%d ms is Retry-After: %d', (waitMs, seconds) => {
  expect(retryAfterSeconds(waitMs)).toBe(seconds)
})
