// The cost of a usage: exact against rational arithmetic, rounded up once, at the whole-request steps that providers bill by.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  costOf,
  isFree,
  NO_COST,
  NO_TIERS,
  type Price,
  type PriceSteps,
  ratesFor,
  ratesOf,
} from '../../src/core/prices.ts'
import { inputTokens, USAGE_CLASSES, type UsageClass, usageOf } from '../../src/core/usage.ts'
import { tiersOf } from '../support/tiers.ts'

const USD = 1_000_000_000n

function priceOf(rates: Partial<Record<UsageClass, bigint>>, tiers: Record<string, number> = {}): Price {
  const steps: PriceSteps = [{ fromInputTokens: 0, rates: ratesOf(rates) }]
  return { version: 'test', steps, tiers: tiersOf(steps, tiers) }
}

/** $3 in, $15 out; from 200,001 tokens of input on $6 and $22.5 for the whole call. */
const CLIFF: Price = {
  version: 'test',
  steps: [
    { fromInputTokens: 0, rates: ratesOf({ input: 3n * USD, cacheRead: USD / 10n, output: 15n * USD }) },
    { fromInputTokens: 200_001, rates: ratesOf({ input: 6n * USD, cacheRead: USD / 5n, output: (45n * USD) / 2n }) },
  ],
  tiers: NO_TIERS,
}

const rate = fc.bigInt(0n, 1_000n * USD)
const count = fc.oneof(fc.nat(10), fc.nat(2_000_000))
const anyRates = fc.record(Object.fromEntries(USAGE_CLASSES.map((name) => [name, rate]))) as fc.Arbitrary<
  Record<UsageClass, bigint>
>
const anyUsage = fc.record(Object.fromEntries(USAGE_CLASSES.map((name) => [name, count]))) as fc.Arbitrary<
  Record<UsageClass, number>
>

describe('costOf', () => {
  test('is the exact rational cost, rounded up once to a nano-dollar', () => {
    fc.assert(
      fc.property(anyRates, anyRates, anyUsage, fc.boolean(), (standard, tiered, usage, isTiered) => {
        const tiers = new Map([['tier', priceOf(tiered).steps]])
        const cost = costOf({ ...priceOf(standard), tiers }, usageOf(usage), isTiered ? 'tier' : 'default')
        const rates = isTiered ? tiered : standard
        let exact = 0n // in millionths of a nano-dollar
        for (const name of USAGE_CLASSES) exact += rates[name] * BigInt(usage[name])
        const slack = cost.totalNanoUsd * 1_000_000n - exact
        expect(slack >= 0n && slack < 1_000_000n).toBe(true)
        expect(cost.inputNanoUsd + cost.outputNanoUsd <= cost.totalNanoUsd).toBe(true)
      }),
    )
  })

  test('of a call is never more than the sum over its parts, and less by under a nano-dollar for each', () => {
    fc.assert(
      fc.property(anyRates, anyUsage, anyUsage, (rates, first, second) => {
        const price = priceOf(rates)
        const both = usageOf(Object.fromEntries(USAGE_CLASSES.map((name) => [name, first[name] + second[name]])))
        const parts = costOf(price, usageOf(first)).totalNanoUsd + costOf(price, usageOf(second)).totalNanoUsd
        const whole = costOf(price, both).totalNanoUsd
        expect(parts - whole === 0n || parts - whole === 1n).toBe(true)
      }),
    )
  })

  test.each([
    ['one token of a $2.50 model', { input: 1 }, 2_500n],
    ['one token of a $0.0000001 rate rounds up', { cacheRead: 1 }, 1n],
    ['120,097 tokens at $75, past the safe integers', { output: 120_097 }, 9_007_275_000n],
    ['a web search', { webSearches: 1 }, 10_000_000n],
    ['nothing', {}, 0n],
  ])('of %s', (_what, usage, nanoUsd) => {
    const price = priceOf({ input: (5n * USD) / 2n, cacheRead: 100n, output: 75n * USD, webSearches: 10_000n * USD })
    expect(costOf(price, usageOf(usage)).totalNanoUsd).toBe(nanoUsd)
  })

  test('of no usage is no cost', () => {
    expect(costOf(CLIFF, usageOf())).toEqual(NO_COST)
  })

  test('scales tokens by the service tier, and leaves fees alone', () => {
    const price = priceOf({ input: USD, output: 2n * USD, webSearches: 10_000n * USD }, { flex: 50, priority: 175 })
    const usage = usageOf({ input: 1_000_000, output: 1_000_000, webSearches: 100 })
    expect(costOf(price, usage).totalNanoUsd).toBe(4n * USD)
    expect(costOf(price, usage, 'flex').totalNanoUsd).toBe((5n * USD) / 2n)
    expect(costOf(price, usage, 'priority').totalNanoUsd).toBe((25n * USD) / 4n)
    expect(costOf(price, usage, 'default').totalNanoUsd).toBe(4n * USD)
  })
})

describe('ratesFor', () => {
  test.each([
    [0, 3n],
    [200_000, 3n],
    [200_001, 6n],
    [10_000_000, 6n],
  ])('%d tokens of input are billed at $%d', (tokens, dollars) => {
    expect(ratesFor(CLIFF, tokens).input).toBe(dollars * USD)
  })

  test('counts cached and audio input toward the step, and bills the whole call by it', () => {
    const usage = usageOf({ input: 1, cacheRead: 150_000, audioInput: 50_000, output: 1_000_000 })
    expect(inputTokens(usage)).toBe(200_001)
    expect(costOf(CLIFF, usage).outputNanoUsd).toBe((45n * USD) / 2n)
  })
})

describe('ratesOf', () => {
  test('fills a class from its nearest priced relative', () => {
    expect(ratesOf({ input: 2n, output: 8n, cacheWrite5m: 3n })).toMatchObject({
      cacheRead: 2n,
      cacheWrite1h: 3n,
      audioInput: 2n,
      audioCacheRead: 2n,
      audioOutput: 8n,
      imageInput: 2n,
      imageOutput: 8n,
      webSearches: 0n,
    })
    expect(ratesOf({ input: 2n, audioInput: 9n, cacheRead: 1n }).audioCacheRead).toBe(9n)
  })

  test('makes a free price only from nothing but zeros', () => {
    expect(isFree(priceOf({}))).toBe(true)
    for (const name of USAGE_CLASSES) expect(isFree(priceOf({ [name]: 1n }))).toBe(false)
  })
})
