// The figures in headers: Go's durations, the IETF pair as structured fields, and what a provider says of its own limits.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LevelView } from '../../src/core/meter.ts'
import type { HeaderList } from '../../src/wire/dialect.ts'
import { findHeader, headersForCaller } from '../../src/wire/headers.ts'
import { addIetfRateHeaders, formatGoDuration, tightestLevel } from '../../src/wire/limit-headers.ts'
import { readUpstreamLimits } from '../../src/wire/upstream-limits.ts'
import { levelOf, NOW_MS } from './samples.ts'

describe('a Go duration', () => {
  test.each([
    [0, '0s'],
    [1, '1ms'],
    [17, '17ms'],
    [999, '999ms'],
    [1_000, '1s'],
    [1_500, '1.5s'],
    [1_050, '1.05s'],
    [59_999, '59.999s'],
    [60_000, '1m0s'],
    [90_000, '1m30s'],
    [179_560, '2m59.56s'],
    [360_000, '6m0s'],
    [3_600_000, '1h0m0s'],
    [3_661_001, '1h1m1.001s'],
    [86_400_000, '24h0m0s'],
    [950_400, '15m50.4s'],
  ])('of %d ms is %s', (ms, text) => {
    expect(formatGoDuration(ms)).toBe(text)
  })

  test('is read back as it was written, up to years', () => {
    fc.assert(
      fc.property(fc.nat(100_000_000_000), (ms) => {
        expect(readUpstreamLimits(200, ['x-ratelimit-reset-tokens', formatGoDuration(ms)], NOW_MS)?.resetTokensMs).toBe(
          ms,
        )
      }),
    )
  })
})

/** A list of strings with integer and string parameters: as much of RFC 9651 as these fields use, and nothing else. */
function parseList(text: string): { item: string; [parameter: string]: string | number }[] {
  let step = 0
  const take = (pattern: RegExp): string => {
    const sticky = new RegExp(pattern, 'y')
    sticky.lastIndex = step
    const match = sticky.exec(text)
    if (!match) throw new Error(`${pattern} at ${step} of ${text}`)
    step = sticky.lastIndex
    return match[0]
  }
  const string = () => take(/"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/).slice(1, -1)
  const items: { item: string; [parameter: string]: string | number }[] = []
  for (;;) {
    const found: (typeof items)[number] = { item: string() }
    while (text[step] === ';') {
      step++
      const key = take(/ *[a-z*][a-z0-9_.*-]*/).trim()
      take(/=/)
      found[key] = text[step] === '"' ? string() : Number(take(/-?\d{1,15}(?![\d.])/))
    }
    items.push(found)
    if (step === text.length) return items
    take(/[ \t]*,[ \t]*/)
  }
}

describe('the IETF pair', () => {
  const pairOf = (levels: readonly LevelView[]) => {
    const headers: HeaderList = []
    addIetfRateHeaders(levels, headers)
    return [findHeader(headers, 'ratelimit-policy'), findHeader(headers, 'ratelimit')].map((text) =>
      parseList(text ?? ''),
    )
  }

  test('is two lists of structured fields, one item per limit', () => {
    const [policies, states] = pairOf([
      levelOf('requests', 60n, 59n, 1_000),
      levelOf('tokens', 90_000n, 0n, 59_001, 'alice'),
      levelOf('cost', 10_000_000_999n, 1_999n, 43_200_000),
      levelOf('inFlight', 4n, 3n, 0),
    ])
    expect(policies).toEqual([
      { item: 'requests_per_minute', q: 60, w: 60 },
      { item: 'key_tokens_per_minute', q: 90_000, qu: 'tokens', w: 60 },
      { item: 'daily_spending_limit', q: 10_000_000, qu: 'micro-usd', w: 86_400 },
      { item: 'max_in_flight', q: 4, qu: 'concurrent-requests' },
    ])
    expect(states).toEqual([
      { item: 'requests_per_minute', r: 59, t: 1 },
      { item: 'key_tokens_per_minute', r: 0, t: 60 },
      { item: 'daily_spending_limit', r: 1, t: 43_200 },
      { item: 'max_in_flight', r: 3 },
    ])
  })

  test('parses whatever the figures, and never shows more than is there', () => {
    const amount = fc.oneof(fc.bigInt(0n, 10n), fc.bigInt(0n, 10n ** 30n))
    fc.assert(
      fc.property(
        fc.constantFrom('requests', 'tokens', 'cost', 'inFlight'),
        amount,
        amount,
        fc.nat(),
        (what, capacity, free, resetMs) => {
          const [[policy] = [], [state] = []] = pairOf([levelOf(what, capacity, free, resetMs)])
          const unit = what === 'cost' ? 1_000n : 1n
          expect(BigInt(policy?.q ?? -1) * unit <= capacity).toBe(true)
          expect(BigInt(state?.r ?? -1) * unit <= free).toBe(true)
          expect(Number(state?.t ?? 0) * 1_000).toBeGreaterThanOrEqual(resetMs)
        },
      ),
    )
  })

  test('follows a capacity that was changed', () => {
    const level = levelOf('requests', 60n, 59n, 0)
    for (const capacity of [60n, 30n, 60n])
      expect(pairOf([{ ...level, capacity }])[0]).toMatchObject([{ q: Number(capacity) }])
  })

  test('is absent where nothing is kept', () => {
    const headers: HeaderList = []
    const { meter, ...level } = levelOf('cost', 1n, 1n, 0)
    addIetfRateHeaders([{ ...level, meter: { ...meter, refill: 'call' } }], headers)
    expect(headers).toEqual([])
  })
})

test('the tightest level is the one with least free, ceilings per call aside', () => {
  const [wide, tight] = [levelOf('tokens', 10n, 9n, 0), levelOf('tokens', 100n, 3n, 0)]
  const ceiling = { ...tight, free: 0n, meter: { ...tight.meter, refill: 'call' as const } }
  expect(tightestLevel([wide, ceiling, tight], 'tokens')).toBe(tight)
  expect(tightestLevel([wide], 'requests')).toBeUndefined()
})

const PROVIDER = { keepsRetryAfter: false, keepsCrossOrigin: false }

describe("a provider's own limits", () => {
  test('go on under a name that says whose they are; cookies, organisations and lengths do not go on', () => {
    const given: HeaderList = []
    for (const name of [
      'x-request-id',
      'x-ratelimit-limit-requests',
      'anthropic-ratelimit-tokens-limit',
      'anthropic-priority-input-tokens-limit',
      'anthropic-fast-input-tokens-limit',
      'ratelimit',
      'retry-after',
      'set-cookie',
      'openai-organization',
      'anthropic-organization-id',
      'content-length',
      'transfer-encoding',
      'x-bursar-call-id',
    ])
      given.push(name, '7')
    const kept = [
      'x-request-id',
      'x-bursar-upstream-x-ratelimit-limit-requests',
      'x-bursar-upstream-anthropic-ratelimit-tokens-limit',
      'x-bursar-upstream-anthropic-priority-input-tokens-limit',
      'x-bursar-upstream-anthropic-fast-input-tokens-limit',
      'x-bursar-upstream-ratelimit',
    ]
    const namesOf = (headers: HeaderList) => headers.filter((_, index) => index % 2 === 0)
    expect(namesOf(headersForCaller(given, PROVIDER))).toEqual(kept)
    expect(namesOf(headersForCaller(given, { ...PROVIDER, keepsRetryAfter: true }))).toEqual([...kept, 'retry-after'])
  })
})
