// Recommendations against figures worked out by hand, to the nano-dollar.

import { describe, expect, it, test } from 'vitest'
import type { SettledEntry } from '../../src/core/ledger-entry.ts'
import { type ModelFacts, type Price, type Rates, ratesOf } from '../../src/core/prices.ts'
import { usageOf } from '../../src/core/usage.ts'
import { newUsageSum, type UsageSum } from '../../src/core/usage-sum.ts'
import { createPriceBook } from '../../src/prices/price-book.ts'
import { outliers } from '../../src/recommendations/outliers.ts'
import { PriceCatalog } from '../../src/recommendations/price-catalog.ts'
import { bySaving, type Recommendation } from '../../src/recommendations/recommendation.ts'
import { batches, caching, cheaperModels } from '../../src/recommendations/savings.ts'
import { factsOf, outcomeOf, START_MS } from '../stores/calls.ts'

/** Dollars for a million tokens, as nano-dollars. */
const usd = (dollars: number) => BigInt(Math.round(dollars * 1e9))

interface Listed {
  readonly input: number
  readonly output: number
  readonly cacheRead?: number
  /** Of longer prompts. */
  readonly over?: { readonly fromInputTokens: number; readonly input: number }
  readonly batchPercent?: number
  readonly contextWindow?: number
  readonly maxOutput?: number
  readonly ends?: string
}

function rates({ input, output, cacheRead }: Listed, percent = 100): Rates {
  const part = (dollars: number) => (usd(dollars) * BigInt(percent)) / 100n
  return ratesOf({
    input: part(input),
    output: part(output),
    ...(cacheRead === undefined ? {} : { cacheRead: part(cacheRead) }),
  })
}

function factsOfModel(listed: Listed): ModelFacts {
  const { over, batchPercent, contextWindow = 100_000, maxOutput = 8_000, ends } = listed
  const first = { fromInputTokens: 0, rates: rates(listed) }
  const price: Price = {
    version: 'test@1',
    steps: over
      ? [first, { fromInputTokens: over.fromInputTokens, rates: rates({ ...listed, input: over.input }) }]
      : [first],
    tiers: new Map(
      batchPercent === undefined ? [] : [['batch', [{ fromInputTokens: 0, rates: rates(listed, batchPercent) }]]],
    ),
  }
  const limits = { contextWindow, maxOutput, usualOutput: 100 }
  return { price, limits, retirement: ends === undefined ? undefined : { date: ends, successor: undefined } }
}

/** A catalog with these models, by provider. */
function catalogOf(models: Readonly<Record<string, Readonly<Record<string, Listed>>>>): PriceCatalog {
  const prices = {
    find: (provider: string, model: string) => {
      const listed = models[provider]?.[model]
      return listed ? factsOfModel(listed) : { price: undefined, limits: undefined }
    },
    models: (provider: string) => Object.keys(models[provider] ?? {}),
  }
  const providers = Object.keys(models).map((name) => ({
    name,
    priceName: name,
    configured: name === 'openai',
    simulated: name === 'sim',
  }))
  return new PriceCatalog(prices, providers, START_MS)
}

function sumOf(fields: Partial<UsageSum>): UsageSum {
  return { ...newUsageSum(), ...fields }
}

/** 1,000 calls: 10 million tokens in, of which 4 million were read from the cache, and a million out. */
const SUM = sumOf({
  requests: 1_000,
  inputTokens: 10_000_000,
  cacheReadTokens: 4_000_000,
  outputTokens: 1_000_000,
  costNanoUsd: usd(30),
})
const BIG: Listed = { input: 2.5, cacheRead: 1.25, output: 10 }
const traffic = (sum = SUM, model = 'big') => ({ provider: 'openai', model, sum })
const brief = ({ to, nowNanoUsd, thenNanoUsd, savingNanoUsd }: Recommendation) => [
  to?.model,
  nowNanoUsd,
  thenNanoUsd,
  savingNanoUsd,
]

describe('the same calls on a cheaper model', () => {
  const catalog = catalogOf({
    openai: { big: BIG, small: { input: 0.15, cacheRead: 0.075, output: 0.6 } },
    other: { fair: { input: 1, output: 5 } },
  })

  it('cost tokens × rates, and save what they cost less', () => {
    // Now: 6 × 2.5 + 4 × 1.25 + 1 × 10 = 30. There: 6 × 0.15 + 4 × 0.075 + 1 × 0.6 = 1.8. Elsewhere: 6 × 1 + 4 × 1 + 1 × 5 = 15.
    expect(cheaperModels(traffic(), catalog).map(brief)).toEqual([
      ['small', usd(30), usd(1.8), usd(28.2)],
      ['fair', usd(30), usd(15), usd(15)],
    ])
    expect(cheaperModels(traffic(), catalog)[0]).toMatchObject({
      to: { provider: 'openai', isConfigured: true },
      requests: 1_000,
      lines: [
        { tokenClass: 'input', tokens: 6_000_000, rateNow: usd(2.5), rateThen: usd(0.15) },
        { tokenClass: 'cacheRead', tokens: 4_000_000, rateNow: usd(1.25), rateThen: usd(0.075) },
        { tokenClass: 'output', tokens: 1_000_000, rateNow: usd(10), rateThen: usd(0.6) },
      ],
    })
  })

  it('round each cost up once, to a nano-dollar', () => {
    // 1 × 2.5 micro-dollars = 2,500 nano-dollars, and 1 × 0.15 = 150.
    const one = sumOf({ requests: 1, inputTokens: 1, costNanoUsd: 2_500n })
    expect(cheaperModels(traffic(one), catalog).map(brief)[0]).toEqual(['small', 2_500n, 150n, 2_350n])
    const odd = catalogOf({ openai: { big: BIG, small: { input: 0.0001, output: 0.1 } } })
    // A tenth of a nano-dollar is one.
    expect(cheaperModels(traffic(one), odd).map(brief)).toEqual([['small', 2_500n, 1n, 2_499n]])
  })

  it('save nothing that a discount saved already', () => {
    // Half of it was booked, as in a batch: 15 − 1.8 = 13.2; and 15 − 15 = 0 is no recommendation.
    expect(cheaperModels(traffic({ ...SUM, costNanoUsd: usd(15) }), catalog).map(brief)).toEqual([
      ['small', usd(30), usd(1.8), usd(13.2)],
    ])
    // Fees and failed calls in the booked cost are none of the tokens: 30 − 1.8.
    expect(cheaperModels(traffic({ ...SUM, costNanoUsd: usd(99) }), catalog).map(brief)[0]?.[3]).toBe(usd(28.2))
  })

  it.each<[string, string, Listed]>([
    ['has a smaller context window', 'small', { input: 0.1, output: 0.1, contextWindow: 99_999 }],
    ['has a shorter longest answer', 'small', { input: 0.1, output: 0.1, maxOutput: 7_999 }],
    ['is made for something else', 'small-audio', { input: 0.1, output: 0.1 }],
    ['writes no text', 'small', { input: 0.1, output: 0 }],
    ['is free', 'small', { input: 0, output: 0 }],
    ['is the same model with a date', 'big-2026-01-01', { input: 0.1, output: 0.1 }],
    ['ends within 90 days', 'small', { input: 0.1, output: 0.1, ends: '2027-02-19' }],
    ['costs more', 'small', { input: 9, output: 9 }],
    [
      'costs more for prompts as long as these can be',
      'small',
      { input: 0.1, output: 0.1, over: { fromInputTokens: 100_000, input: 9 } },
    ],
  ])('are not recommended if the model %s', (_why, name, listed) => {
    expect(cheaperModels(traffic(), catalogOf({ openai: { big: BIG, [name]: listed } }))).toEqual([])
  })

  it('are counted at long prompts’ price only if the prompts can be so long', () => {
    const long: Listed = { input: 0.1, output: 0.1, over: { fromInputTokens: 100_001, input: 9 } }
    expect(cheaperModels(traffic(), catalogOf({ openai: { big: BIG, long } })).map(brief)).toEqual([
      ['long', usd(30), usd(1.1), usd(28.9)],
    ])
  })

  it('are not recommended for models of which no limits or no prices are known, nor at the simulated provider', () => {
    expect(cheaperModels(traffic(SUM, 'unheard-of'), catalog)).toEqual([])
    expect(
      cheaperModels(traffic(), catalogOf({ openai: { big: BIG }, sim: { echo: { input: 0.1, output: 0.1 } } })),
    ).toEqual([])
  })

  it('name three models of the provider and three of others, one of each family, the cheapest first', () => {
    const cheap = (input: number): Listed => ({ input, output: 1 })
    const others = catalogOf({
      openai: { big: BIG, a: cheap(0.1), b: cheap(0.2), 'b-2026-01-01': cheap(0.2), c: cheap(0.3), d: cheap(0.4) },
      other: { e: cheap(0.05), f: cheap(0.5) },
      third: { g: cheap(0.6), h: cheap(0.7) },
    })
    expect(cheaperModels(traffic(), others).map(({ to }) => to?.model)).toEqual(['a', 'b', 'c', 'e', 'f', 'g'])
  })
})

describe('caching', () => {
  const catalog = catalogOf({ openai: { big: BIG, plain: { input: 2.5, output: 10 } } })

  it('saves at most what uncached input costs more than cached input', () => {
    // 6 million × (2.5 − 1.25) = 7.5.
    expect(caching(traffic(), catalog)).toMatchObject({
      savingNanoUsd: usd(7.5),
      thenNanoUsd: usd(22.5),
      isBound: true,
    })
  })

  it.each([
    ['a model without a price for cached input', traffic(SUM, 'plain')],
    ['prompts that are too short', traffic({ ...SUM, requests: 10_000 })],
    ['input that is cached already', traffic({ ...SUM, cacheReadTokens: 10_000_000 })],
    ['no calls', traffic(sumOf({}))],
  ])('is not recommended for %s', (_what, calls) => {
    expect(caching(calls, catalog)).toBeUndefined()
  })
})

test('batches cost what the price list has for them', () => {
  const catalog = catalogOf({ openai: { big: { ...BIG, batchPercent: 50 }, small: BIG } })
  expect(batches(traffic(), catalog)).toMatchObject({ thenNanoUsd: usd(15), savingNanoUsd: usd(15) })
  expect(batches(traffic(SUM, 'small'), catalog)).toBeUndefined()
  // They were batches already.
  expect(batches(traffic({ ...SUM, costNanoUsd: usd(15) }), catalog)).toBeUndefined()
})

describe('callers whose calls are outliers', () => {
  const catalog = catalogOf({ openai: { big: BIG } })

  /** Ten calls, each with so many tokens in and this cap. */
  const callsOf = (user: string, input: number, cap: number | null = null, count = 10, cacheRead = 0): SettledEntry[] =>
    Array.from({ length: count }, () => ({
      facts: factsOf('call', { model: 'big', capAsked: cap, caller: { key: 'ci', user } }),
      settledSeq: 1,
      outcome: outcomeOf(0, usd(1), { usage: usageOf({ input, cacheRead, output: 10 }) }),
    }))
  const usual = [...callsOf('a', 900), ...callsOf('b', 1_000), ...callsOf('c', 1_100)]

  it('have what is beyond the usual prompt, at the price of input', () => {
    // The medians are 900, 1,000, 1,100 and 9,000; the lower middle one is 1,000. 10 × 8,000 tokens × $2.5 for a million = 0.2.
    expect(outliers([...usual, ...callsOf('d', 9_000)], catalog)).toMatchObject([
      {
        kind: 'long_prompts',
        caller: { key: 'ci', user: 'd' },
        requests: 10,
        lines: [{ tokens: 80_000, rateNow: usd(2.5) }],
        savingNanoUsd: usd(0.2),
        isBound: true,
      },
    ])
  })

  it('do not count input that was cached', () => {
    // Of 9,000 tokens, 5,000 were read from the cache: 10 × 4,000 × $2.5 = 0.1.
    expect(outliers([...usual, ...callsOf('d', 4_000, null, 10, 5_000)], catalog)[0]?.savingNanoUsd).toBe(usd(0.1))
  })

  it('hold money by caps that others do not need', () => {
    const capped = ['a', 'b', 'c'].flatMap((user) => callsOf(user, 100, 500))
    // (8,500 − 500) × $10 for a million = 0.08 for each call.
    expect(outliers([...capped, ...callsOf('d', 100, 8_500)], catalog)).toMatchObject([
      { kind: 'high_output_caps', caller: { key: 'ci', user: 'd' }, savingNanoUsd: 0n, heldNanoUsd: usd(0.08) },
    ])
  })

  it.each([
    ['less than four times the usual', [...usual, ...callsOf('d', 3_999)]],
    [
      'less than 1,000 tokens more',
      [...callsOf('a', 10), ...callsOf('b', 10), ...callsOf('c', 10), ...callsOf('d', 1_009)],
    ],
    ['of fewer than ten calls', [...usual, ...callsOf('d', 9_000, null, 9)]],
    ['of one caller of two', [...callsOf('a', 100), ...callsOf('d', 9_000)]],
  ])('are none if they are %s', (_what, entries) => {
    expect(outliers(entries, catalog)).toEqual([])
  })

  it('are judged by medians, which neither a busy caller nor an extreme one moves', () => {
    const busy = callsOf('busy', 50_000, null, 500)
    expect(outliers([...usual, ...busy], catalog).map(({ caller }) => caller?.user)).toEqual(['busy'])
    // One extreme call of many makes nobody an outlier.
    expect(outliers([...usual, ...callsOf('d', 1_000), ...callsOf('d', 90_000, null, 1)], catalog)).toEqual([])
  })
})

test('the largest saving comes first', () => {
  const one = (savingNanoUsd: bigint, heldNanoUsd = 0n) => ({ savingNanoUsd, heldNanoUsd }) as Recommendation
  const sorted = [one(0n, 1n), one(5n), one(0n, 2n), one(7n)].toSorted(bySaving)
  expect(sorted.map(({ savingNanoUsd, heldNanoUsd }) => [savingNanoUsd, heldNanoUsd])).toEqual([
    [7n, 0n],
    [5n, 0n],
    [0n, 2n],
    [0n, 1n],
  ])
})

test('with the price list of the gateway: gpt-4o in batches and on other models, by published prices', () => {
  const prices = createPriceBook()
  const names = ['openai', 'anthropic', 'gemini']
  const providers = names.map((name) => ({ name, priceName: name, configured: true, simulated: false }))
  const catalog = new PriceCatalog(prices, providers, START_MS)
  const calls = traffic({ ...SUM, cacheReadTokens: 0, costNanoUsd: usd(35) }, 'gpt-4o')
  // 10 × 2.5 + 1 × 10 = 35; a batch is half of it.
  expect(batches(calls, catalog)).toMatchObject({ nowNanoUsd: usd(35), savingNanoUsd: usd(17.5) })
  const found = cheaperModels(calls, catalog)
  expect(found.length).toBeGreaterThan(2)
  for (const { to, thenNanoUsd } of found) {
    const limits = prices.find(to?.provider ?? '', to?.model ?? '', START_MS).limits
    expect(limits?.contextWindow).toBeGreaterThanOrEqual(128_000)
    expect(limits?.maxOutput).toBeGreaterThanOrEqual(16_384)
    expect(to?.model).not.toMatch(/audio|image|tts|embed|realtime|search/)
    expect(thenNanoUsd).toBeLessThan(usd(35))
  }
})
