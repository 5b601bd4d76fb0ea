// A quote is a bound: no call within its request uses or costs more, whatever mix of prices it meets.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  costOf,
  type ModelLimits,
  type Price,
  type PriceStep,
  type PriceSteps,
  ratesOf,
} from '../../src/core/prices.ts'
import {
  affordableCap,
  type CountedInput,
  type QuoteRules,
  type QuoteSettings,
  quote,
  type RequestFacts,
} from '../../src/core/quote.ts'
import { USAGE_CLASSES, type UsageClass, usageOf } from '../../src/core/usage.ts'
import { tiersOf } from '../support/tiers.ts'

const SETTINGS: QuoteSettings = { defaultMaxOutputTokens: 4_096, tokenReservation: 'estimate' }
const WORST: QuoteSettings = { ...SETTINGS, tokenReservation: 'worst' }
const RULES: QuoteRules = {
  tokensPerCall: 64,
  tokensPerMessage: 16,
  tokensWithTools: 128,
  imageTokens: () => 1_445,
  capCoversReasoning: true,
  cachesAutomatically: false,
}
const LIMITS: ModelLimits = { contextWindow: 128_000, maxOutput: 16_384, usualOutput: 500 }
const REQUEST: RequestFacts = {
  model: 'm',
  stream: false,
  textBytes: 1_000,
  grownBytes: 0,
  toolBytes: 0,
  toolSeparators: 0,
  repeatedBytes: 0,
  callArguments: 0,
  depth: 0,
  messages: 2,
  addedTokens: 0,
  outputCap: 100,
  kind: 'generate',
  answers: 1,
  prompts: 1,
  predictionBytes: 0,
  tools: false,
  images: 0,
  unsizedInput: false,
  uncountableInput: false,
  audioInput: false,
  audioOutput: false,
  cacheWrite: 'none',
  unbounded: [],
  hostedTools: [],
  serviceTier: null,
  user: null,
  metadata: null,
}
const USD = 1_000_000_000n

function priceOf(...steps: [number, Partial<Record<UsageClass, bigint>>][]): Price {
  const [first = step([0, {}]), ...rest] = steps.map(step)
  const all: PriceSteps = [first, ...rest]
  return { version: 'test', steps: all, tiers: tiersOf(all, { flex: 50, priority: 175 }) }
}

function step([fromInputTokens, rates]: [number, Partial<Record<UsageClass, bigint>>]): PriceStep {
  return { fromInputTokens, rates: ratesOf(rates) }
}

const flat = (rates: Partial<Record<UsageClass, bigint>>) => priceOf([0, rates])
const PLAIN = flat({ input: 3n * USD, output: 15n * USD })
const quoteOf = (
  changes: Partial<RequestFacts>,
  price: Price | undefined = PLAIN,
  limits: ModelLimits | undefined = LIMITS,
  rules = RULES,
) => quote({ ...REQUEST, ...changes }, { price, limits }, rules, SETTINGS)

describe('the most a call can take in', () => {
  test.each<[string, Partial<RequestFacts>, number]>([
    ['its bytes, and what the provider adds', {}, 1_000 + 64 + 32],
    ['its tools', { tools: true }, 1_000 + 64 + 32 + 128],
    ['its images, each at its largest', { images: 2 }, 1_000 + 64 + 32 + 2_890],
    ['no more than the window', { textBytes: 200_000 }, 128_000],
    ['the window, for what has no size', { unsizedInput: true }, 128_000],
    ['the window, for what has no bound', { unbounded: ['web_search'] }, 128_000],
  ])('is %s', (_what, changes, tokens) => {
    expect(quoteOf(changes).inputTokens).toBe(tokens)
  })

  test.each<[string, Partial<RequestFacts>, CountedInput, number]>([
    ['the count of its text, and what the provider adds', {}, { text: 300 }, 300 + 64 + 32],
    ['the count of all of it', {}, { all: 300, reported: 280 }, 300],
    ['its bytes, if the count is more', {}, { all: 9_000, reported: 8_000 }, 1_096],
    [
      'its bytes, if the call can change after the count',
      { uncountableInput: true },
      { all: 300, reported: 280 },
      1_096,
    ],
    ['the count, of files', { unsizedInput: true }, { all: 9_000, reported: 8_000 }, 9_000],
    ['no more than the window, of files', { unsizedInput: true }, { all: 900_000, reported: 800_000 }, 128_000],
    ['the window, of files whose text alone was counted', { unsizedInput: true }, { text: 300 }, 128_000],
    [
      'the window, of files that can change after the count',
      { unsizedInput: true, uncountableInput: true },
      { all: 300, reported: 280 },
      128_000,
    ],
    [
      'the window, of files beside hosted tools',
      { unsizedInput: true, unbounded: ['web_search'] },
      { all: 300, reported: 280 },
      128_000,
    ],
  ])('is %s', (_what, changes, counted, tokens) => {
    const facts = { price: PLAIN, limits: LIMITS }
    const quoted = quote({ ...REQUEST, ...changes }, facts, RULES, SETTINGS, undefined, counted)
    expect(quoted.inputTokens).toBe(tokens)
  })

  test('of counted files costs as much as the most expensive class that they may be of', () => {
    const rates = { input: 1n, imageInput: 5n, audioInput: 7n, audioCacheRead: 3n }
    const costOfFiles = (changes: Partial<RequestFacts>) => {
      const request = { ...REQUEST, outputCap: 0, unsizedInput: true, ...changes }
      const counted = { all: 1_000_000, reported: 900_000 }
      const limits = { ...LIMITS, contextWindow: 2_000_000 }
      return quote(request, { price: flat(rates), limits }, RULES, SETTINGS, undefined, counted).costNanoUsd
    }
    expect(costOfFiles({})).toBe(5n)
    expect(costOfFiles({ audioInput: true })).toBe(7n)
  })

  test('is not cut by a window that is not known', () => {
    const unknown = (changes: Partial<RequestFacts>) =>
      quote({ ...REQUEST, ...changes }, { price: PLAIN, limits: undefined }, RULES, SETTINGS)
    expect(unknown({ textBytes: 5_000_000 }).inputTokens).toBe(5_000_096)
    expect(unknown({ unsizedInput: true }).inputTokens).toBe(1_048_576)
    const counted = { all: 2_000_000, reported: 1_800_000 }
    const files = { ...REQUEST, unsizedInput: true }
    const facts = { price: PLAIN, limits: undefined }
    expect(quote(files, facts, RULES, SETTINGS, undefined, counted).inputTokens).toBe(2_000_000)
  })
})

describe('the most it can write', () => {
  const noCap = { ...RULES, capCoversReasoning: false }
  test.each<[string, Partial<RequestFacts>, ModelLimits | undefined, QuoteRules, number, number | null]>([
    ['its cap', {}, LIMITS, RULES, 100, null],
    ['its cap for each answer', { answers: 3 }, LIMITS, RULES, 300, null],
    ["the model's maximum where its cap is over it", { outputCap: 1e15 }, LIMITS, RULES, 16_384, null],
    ["the model's maximum where it has no cap", { outputCap: null, answers: 2 }, LIMITS, RULES, 32_768, null],
    ["the model's maximum where the cap leaves reasoning out", {}, LIMITS, noCap, 16_384, null],
    ['nothing where its cap is 0', { outputCap: 0 }, LIMITS, RULES, 0, null],
    ['its prediction beside the answer', { predictionBytes: 50 }, LIMITS, RULES, 150, null],
    ['its cap, of an unknown model', {}, undefined, RULES, 100, null],
    ['the default cap, of an unknown model without one', { outputCap: null }, undefined, RULES, 4_096, 4_096],
  ])('is %s', (_what, changes, limits, rules, outputTokens, injectedCap) => {
    const facts = { price: PLAIN, limits }
    expect(quote({ ...REQUEST, ...changes }, facts, rules, SETTINGS)).toMatchObject({ outputTokens, injectedCap })
  })

  test('is the cap that is set in the place of its own, and no more than the model gives', () => {
    const facts = { price: PLAIN, limits: LIMITS }
    expect(quote(REQUEST, facts, RULES, SETTINGS, 7)).toMatchObject({ outputTokens: 7, injectedCap: 7 })
    expect(quote(REQUEST, facts, RULES, SETTINGS, 99_999)).toMatchObject({ outputTokens: 16_384, injectedCap: 16_384 })
  })
})

describe('what limits on tokens reserve', () => {
  test.each<[string, Partial<RequestFacts>, number]>([
    ['a quarter of the bytes and the cap', {}, 250 + 100],
    ['no more output than is usual', { outputCap: 16_000 }, 250 + 500],
    ['the usual output where there is no cap', { outputCap: null, answers: 2 }, 250 + 1_000],
    ['a usual image', { images: 1 }, 250 + 100 + 1_000],
  ])('is %s', (_what, changes, tokens) => {
    expect(quoteOf(changes).tokens).toBe(tokens)
  })

  test('is never more than the worst case, which the strict setting reserves', () => {
    fc.assert(
      fc.property(fc.nat(300_000), fc.option(fc.nat(20_000)), fc.nat(20), (textBytes, outputCap, images) => {
        const request = { ...REQUEST, textBytes, outputCap, images }
        const [usual, worst] = [SETTINGS, WORST].map((settings) =>
          quote(request, { price: PLAIN, limits: LIMITS }, RULES, settings),
        )
        expect(worst?.tokens).toBe((worst?.inputTokens ?? 0) + (worst?.outputTokens ?? 0))
        expect(usual?.tokens).toBeLessThanOrEqual(worst?.tokens ?? -1)
      }),
    )
  })
})

describe('the price', () => {
  const WRITES = flat({ input: USD, cacheWrite5m: 2n * USD, cacheWrite1h: 4n * USD, cacheWrite12h: 5n * USD })
  const STEP = priceOf([0, { input: USD }], [1_096, { input: 2n * USD }])

  test.each<[string, Partial<RequestFacts>, Price, bigint]>([
    ['is rate times tokens', {}, PLAIN, 1_096n * 3_000n + 100n * 15_000n],
    ['has five-minute cache writes', { cacheWrite: '5m' }, WRITES, 1_096n * 2_000n],
    ['has one-hour cache writes', { cacheWrite: '1h' }, WRITES, 1_096n * 4_000n],
    ['has twelve-hour cache writes', { cacheWrite: '12h' }, WRITES, 1_096n * 5_000n],
    ['has sound where it is sent', { audioInput: true }, flat({ input: USD, audioInput: 9n * USD }), 1_096n * 9_000n],
    ['has spoken answers', { audioOutput: true }, flat({ output: USD, audioOutput: 9n * USD }), 100n * 9_000n],
    [
      'has no sound where there is none',
      {},
      flat({ input: USD, audioInput: 9n * USD, output: USD, audioOutput: 9n * USD }),
      1_196n * 1_000n,
    ],
    [
      'has cached sound where the size is not known',
      { unsizedInput: true },
      flat({ audioCacheRead: USD }),
      128_000_000n,
    ],
    ['has cache reads, should they be more expensive', { outputCap: 0 }, flat({ cacheRead: USD }), 1_096_000n],
    ['has pictures, which models write unasked', {}, flat({ output: USD, imageOutput: 30n * USD }), 100n * 30_000n],
    ['has a fee per call', {}, flat({ requests: 25_000n * USD }), 25_000_000n],
    [
      'has ten searches where they are hosted',
      { unbounded: ['web_search'], outputCap: 0 },
      flat({ webSearches: 10_000n * USD }),
      100_000_000n,
    ],
    [
      'has the assumed uses of every hosted tool whose fee is known, on any tier',
      { unbounded: ['file_search', 'constructor', 'container_4g'], outputCap: 0, serviceTier: 'priority' },
      flat({ fileSearches: 2_500n * USD, containerGigabytes: 30_000n * USD }),
      145_000_000n,
    ],
    [
      'costs more on an expensive tier',
      { serviceTier: 'priority', outputCap: 0 },
      PLAIN,
      (1_096n * 3_000n * 175n) / 100n,
    ],
    ['is no cheaper on a cheap tier', { serviceTier: 'flex', outputCap: 0 }, PLAIN, 1_096n * 3_000n],
    ['is the higher step within the bound', { textBytes: 1_000, outputCap: 0 }, STEP, 1_096n * 2_000n],
    ['is the lower step below it', { textBytes: 999, outputCap: 0 }, STEP, 1_095n * 1_000n],
    [
      'is the most expensive step within',
      { outputCap: 0 },
      priceOf([0, { input: 3n * USD }], [500, { input: USD }]),
      1_096n * 3_000n,
    ],
    ['rounds up once', { textBytes: 0, messages: 0, outputCap: 1 }, flat({ input: 1n, output: 1n }), 1n],
  ])('%s', (_what, changes, price, nanoUsd) => {
    expect(quoteOf(changes, price).costNanoUsd).toBe(nanoUsd)
  })

  test('has cache writes where the provider makes them unasked', () => {
    const price = flat({ input: USD, cacheWrite5m: 2n * USD })
    expect(quoteOf({ outputCap: 0 }, price, LIMITS, { ...RULES, cachesAutomatically: true }).costNanoUsd).toBe(
      1_096n * 2_000n,
    )
  })

  test('that is not known is nothing, and says so', () => {
    expect(quote(REQUEST, { price: undefined, limits: LIMITS }, RULES, SETTINGS)).toMatchObject({
      costNanoUsd: 0n,
      price: undefined,
    })
  })
})

const rate = fc.oneof(fc.bigInt(0n, 5n), fc.bigInt(0n, 1_000n * USD))
const rates = fc.record(Object.fromEntries(USAGE_CLASSES.map((name) => [name, rate]))) as fc.Arbitrary<
  Record<UsageClass, bigint>
>
const prices = fc
  .tuple(rates, fc.array(fc.tuple(fc.nat(3_000), rates), { maxLength: 2 }))
  .map(([first, later]) => priceOf([0, first], ...later.toSorted(([a], [b]) => a - b)))
const requests = fc.record({
  textBytes: fc.nat(3_000),
  messages: fc.nat(3),
  outputCap: fc.nat(3_000),
  answers: fc.integer({ min: 1, max: 4 }),
  predictionBytes: fc.nat(50),
  tools: fc.boolean(),
  images: fc.nat(2),
  unsizedInput: fc.boolean(),
  uncountableInput: fc.boolean(),
  audioInput: fc.boolean(),
  audioOutput: fc.boolean(),
  cacheWrite: fc.constantFrom('none', '5m', '1h', '12h'),
  serviceTier: fc.constantFrom(null, 'flex', 'priority', 'auto'),
})
const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 10, maxLength: 10 })

test('no usage within the request costs more than the quote, in any mix of the classes it allows', () => {
  fc.assert(
    fc.property(requests, prices, shares, fc.boolean(), (changes, price, share, cachesUnasked) => {
      const request = { ...REQUEST, ...changes }
      const bound = quoteOf(
        request,
        price,
        { ...LIMITS, contextWindow: 4_000 },
        { ...RULES, cachesAutomatically: cachesUnasked },
      )
      const inputs: UsageClass[] = ['input', 'cacheRead']
      if (request.cacheWrite !== 'none' || cachesUnasked) inputs.push('cacheWrite5m')
      if (request.cacheWrite === '1h' || request.cacheWrite === '12h') inputs.push('cacheWrite1h')
      if (request.cacheWrite === '12h') inputs.push('cacheWrite12h')
      if (request.audioInput) inputs.push('audioInput')
      if (request.unsizedInput) inputs.push('audioCacheRead')
      if (request.images > 0 || request.unsizedInput) inputs.push('imageInput')
      const outputs: UsageClass[] = request.audioOutput
        ? ['output', 'imageOutput', 'audioOutput']
        : ['output', 'imageOutput']
      const used = usageOf({
        ...split(bound.inputTokens * (share[0] ?? 0), inputs, share.slice(1)),
        ...split(bound.outputTokens * (share[1] ?? 0), outputs, share.slice(5)),
        requests: 1,
      })
      for (const tier of [null, 'flex', ...(request.serviceTier ? [request.serviceTier] : [])])
        expect(costOf(price, used, tier).totalNanoUsd <= bound.costNanoUsd).toBe(true)
    }),
    { numRuns: 1_000 },
  )
})

/** Whole tokens over these classes in about these proportions, never more than the total. */
function split(
  total: number,
  names: readonly UsageClass[],
  share: readonly number[],
): Partial<Record<UsageClass, number>> {
  let left = Math.floor(total)
  return Object.fromEntries(
    names.map((name, index) => {
      const tokens = index === names.length - 1 ? left : Math.floor(left * (share[index] ?? 0))
      left -= tokens
      return [name, tokens]
    }),
  )
}

describe('the affordable cap', () => {
  const budgets = fc.oneof(fc.bigInt(0n, 1_000n), fc.bigInt(0n, 10n * USD))
  const limits = { ...LIMITS, maxOutput: Number.MAX_SAFE_INTEGER }
  const costAt = (request: RequestFacts, price: Price, cap: number) =>
    quote(request, { price, limits }, RULES, SETTINGS, cap).costNanoUsd

  test('is the largest that fits, and one more does not', () => {
    fc.assert(
      fc.property(requests, prices, budgets, (changes, price, budget) => {
        const request = { ...REQUEST, ...changes }
        const cap = affordableCap(request, quoteOf(request, price, limits), RULES, budget)
        if (cap >= 0 && cap < Number.MAX_SAFE_INTEGER / 4) expect(costAt(request, price, cap) <= budget).toBe(true)
        if (cap < 1e12) expect(costAt(request, price, Math.max(cap + 1, 0)) > budget).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  })

  test('costs more the larger it is', () => {
    fc.assert(
      fc.property(requests, prices, fc.nat(10_000), fc.nat(10_000), (changes, price, a, b) => {
        const request = { ...REQUEST, ...changes }
        expect(costAt(request, price, Math.min(a, b)) <= costAt(request, price, Math.max(a, b))).toBe(true)
      }),
    )
  })

  test.each<[string, Partial<RequestFacts>, Price, bigint, number]>([
    ['is exact to the nano-dollar', {}, PLAIN, 1_096n * 3_000n + 15_000n * 7n, 7],
    ['falls short by one nano-dollar', {}, PLAIN, 1_096n * 3_000n + 15_000n * 7n - 1n, 6],
    ['is shared by the answers', { answers: 2 }, PLAIN, 1_096n * 3_000n + 15_000n * 7n, 3],
    ['leaves room for the prediction', { predictionBytes: 5 }, PLAIN, 1_096n * 3_000n + 15_000n * 7n, 2],
    ['is 0 where only the input fits', {}, PLAIN, 1_096n * 3_000n, 0],
    ['is negative where not even that does', {}, PLAIN, 1_096n * 3_000n - 1n, -1],
    ['is any where output is free', {}, flat({ input: USD }), 2n * USD, Number.MAX_SAFE_INTEGER],
    ['knows the expensive tier', { serviceTier: 'priority' }, flat({ output: 4n * USD }), 70_000n, 10],
  ])('%s', (_what, changes, price, budget, cap) => {
    const request = { ...REQUEST, ...changes }
    expect(affordableCap(request, quoteOf(request, price), RULES, budget)).toBe(cap)
  })

  test('bounds nothing where it leaves reasoning out: it is any where the call fits, and none where it does not', () => {
    const rules = { ...RULES, capCoversReasoning: false }
    fc.assert(
      fc.property(requests, prices, budgets, fc.boolean(), (changes, price, budget, known) => {
        const request = { ...REQUEST, ...changes }
        const facts = { price, limits: known ? { ...LIMITS, maxOutput: 3_000 } : undefined }
        const quoted = quote(request, facts, rules, SETTINGS)
        const fits = quoted.costNanoUsd <= budget
        expect(affordableCap(request, quoted, rules, budget)).toBe(fits ? Number.MAX_SAFE_INTEGER : -1)
        if (known) expect(quote(request, facts, rules, SETTINGS, 1).costNanoUsd).toBe(quoted.costNanoUsd)
      }),
      { numRuns: 1_000 },
    )
  })

  test('of an unknown price is any', () => {
    const quoted = quote(REQUEST, { price: undefined, limits: LIMITS }, RULES, SETTINGS)
    expect(affordableCap(REQUEST, quoted, RULES, 0n)).toBe(Number.MAX_SAFE_INTEGER)
  })
})
