// Published prices of November 2026 that other lists have wrong, late or not at all, each as its provider's page states it.

import { describe, expect, test } from 'vitest'
import { costOf } from '../../src/core/prices.ts'
import { type UnitsByClass, usageOf } from '../../src/core/usage.ts'
import { createPriceBook } from '../../src/prices/price-book.ts'

const book = createPriceBook()
/** A Monday, at noon in UTC. */
const NOVEMBER_30 = '2026-11-30T12:00:00Z'
const MILLION = 1_000_000

/** In dollars. */
function cost(
  provider: string,
  model: string,
  usage: UnitsByClass,
  tier: string | null = null,
  time = NOVEMBER_30,
): number {
  const { price } = book.find(provider, model, Date.parse(time))
  if (!price) throw new Error(`no price: ${provider}/${model}`)
  return Number(costOf(price, usageOf(usage), tier).totalNanoUsd) / 1e9
}

test.each([['grok-4.7'], ['grok-4.20-reasoning'], ['grok-4.20-non-reasoning-latest']])(
  'a prompt of %s that reaches 200,000 tokens has the higher price',
  (model) => {
    const below = cost('xai', model, { input: 199_999 }) / 199_999
    expect(cost('xai', model, { input: 200_000 }) / 200_000).toBeCloseTo(2 * below, 12)
  },
)

describe('tiers and uplifts', () => {
  test.each([
    ['gpt-5.6-sol', 'fast', 0.04],
    ['gpt-5.6-sol', 'priority', 0.04],
    ['gpt-5.6-sol', null, 0.02],
    ['gpt-5.5', 'fast', 0.075],
    ['gpt-6-astra', 'priority', 0.1],
    ['gpt-6-sol', 'priority', 0.02],
    ['gpt-6-astra', 'ultrafast', 0.3],
    ['gpt-6.1-sol', 'ultrafast', 0.06],
    ['gpt-6.2-sol', 'ultrafast', 0.03],
  ])('a thousand tokens of output of %s at %s cost $%d', (model, tier, dollars) => {
    expect(cost('openai', model, { output: 1_000 }, tier)).toBeCloseTo(dollars, 9)
  })

  test('ultrafast answers of GPT-6.2 cost twice as much from March 2027 on', () => {
    expect(cost('openai', 'gpt-6.2-sol', { output: 1_000 }, 'ultrafast', '2027-02-28T23:59:59Z')).toBeCloseTo(0.03, 9)
    expect(cost('openai', 'gpt-6.2-sol', { output: 1_000 }, 'ultrafast', '2027-03-01T00:00:00Z')).toBeCloseTo(0.06, 9)
  })

  test.each([
    ['gpt-5.6-sol', 10],
    ['gpt-6-sol', 5],
    ['gpt-6-astra', 25],
    ['gpt-6.2-sol', 5],
  ])('a million tokens that %s writes to its cache for twelve hours cost $%d', (model, dollars) => {
    expect(cost('openai', model, { cacheWrite12h: 200_000 })).toBeCloseTo(dollars / 5, 9)
  })

  test.each([
    ['gpt-5.4', 1.1],
    ['gpt-5.6-sol', 1.1],
    ['gpt-6.2-sol', 1.1],
    ['gpt-5', 1],
  ])('%s at an address of one region costs %d times as much, on every tier', (model, factor) => {
    for (const tier of [null, 'priority', 'flex'])
      expect(cost('openai+regional', model, { input: 100_000, output: 1_000 }, tier)).toBeCloseTo(
        cost('openai', model, { input: 100_000, output: 1_000 }, tier) * factor,
        9,
      )
  })

  test.each([
    ['claude-opus-5-5', 'fast', 48],
    ['claude-opus-4-8', 'fast', 60],
    ['claude-opus-4-8', 'fast+us', 66],
    ['claude-opus-5-5', null, 24],
  ])('a million tokens each way of %s at %s cost $%d', (model, tier, dollars) => {
    expect(cost('anthropic', model, { input: MILLION, output: MILLION }, tier)).toBeCloseTo(dollars, 9)
  })

  test('cached input of gpt-5.4 costs $0.13 with flex', () => {
    expect(cost('openai', 'gpt-5.4', { cacheRead: 100_000 }, 'flex')).toBeCloseTo(0.013, 9)
  })

  test('exactly 272,000 tokens of input are no long context', () => {
    expect(cost('openai', 'gpt-5.4', { input: 272_000, output: 1_000 })).toBeCloseTo(0.695, 9)
    expect(cost('openai', 'gpt-5.4', { input: 272_001, output: 1_000 })).toBeCloseTo(1.382505, 9)
  })

  test('priority costs twice as much at xAI', () => {
    expect(cost('xai', 'grok-4.5', { input: 1_000, output: 500 }, 'priority')).toBeCloseTo(0.01, 9)
  })
})

describe('an address of one region of Vertex AI', () => {
  test.each([
    ['claude-sonnet-4-5@20250929', 1.1],
    ['claude-haiku-4-5', 1.1],
    ['claude-opus-5-5', 1.1],
    ['claude-fable-5-2', 1.1],
    ['claude-sonnet-5', 1.1],
    ['claude-opus-4-1', 1],
    ['claude-sonnet-4', 1],
    ['claude-3-7-sonnet', 1],
    ['google/gemini-3.8-flash', 1.1],
    ['gemini-2.5-flash', 1],
  ])('answers with %s at %d times the price, whatever name the prices have', (model, factor) => {
    for (const name of ['google', 'vertex', 'vertex_ai', 'google-vertex'])
      expect(cost(`${name}+regional`, model, { input: 100_000, output: 1_000 })).toBeCloseTo(
        cost('google', model, { input: 100_000, output: 1_000 }) * factor,
        9,
      )
  })
})

describe('sound, images, film and songs', () => {
  test.each([
    ['gemini', 'gemini-omni-1.1-flash', { imageOutput: MILLION }, 17.5],
    ['gemini', 'gemini-omni-1.2-flash', { imageOutput: MILLION }, 12],
    ['gemini', 'lyria-3-clip-preview', { input: 100, output: 1_000, audioOutput: 1_000, requests: 1 }, 0.04],
    ['gemini', 'lyria-3.5', { input: 100, output: 1_000, audioOutput: 1_000, requests: 1 }, 0.08],
    ['openai', 'gpt-5-image', { imageOutput: MILLION }, 40],
    ['openrouter', 'openai/gpt-audio', { audioInput: MILLION }, 32],
    ['openrouter', 'openai/gpt-audio', { audioOutput: MILLION }, 64],
    ['openrouter', 'openai/gpt-audio', { output: MILLION }, 10],
    ['openrouter', 'openai/gpt-4o-audio-preview', { audioOutput: MILLION }, 80],
    ['openrouter', 'openai/gpt-4o', { audioOutput: MILLION }, 10],
    ['openrouter', 'google/gemini-2.5-flash', { audioInput: MILLION }, 1],
    ['openrouter', 'google/gemini-3-pro-image', { imageOutput: MILLION }, 120],
    ['openrouter', 'google/gemini-omni-1.2-flash', { imageOutput: MILLION }, 12],
    ['openrouter', 'openai/gpt-5.4-image-2', { imageOutput: MILLION }, 30],
  ])('of %s %s cost their own price: %j cost $%d', (provider, model, usage, dollars) => {
    expect(cost(provider, model, usage)).toBeCloseTo(dollars, 9)
  })
})

describe('models', () => {
  // Input, output, cache read: dollars for a million tokens, of a call with 50,000 of input.
  test.each([
    ['deepseek', 'deepseek-v4-flash', 0.15, 0.6, 0.003],
    ['deepseek', 'deepseek-v4-flash-vision-exp', 0.15, 0.6, 0.003],
    ['deepseek', 'deepseek-chat', 0.15, 0.6, 0.003],
    ['deepseek', 'deepseek-reasoner', 0.15, 0.6, 0.003],
    ['deepseek', 'deepseek-flash', 0.15, 0.6, 0.003],
    ['deepseek', 'deepseek-v3.2', 0.28, 0.42, 0.028],
    ['groq', 'openai/gpt-oss-safeguard-20b', 0.075, 0.3, 0.0375],
    ['groq', 'qwen/qwen3.8-27b', 0.8, 4, 0.8],
    ['xai', 'grok-4.20-multi-agent', 1.25, 2.5, 0.2],
    ['xai', 'grok-4.20-0309-reasoning', 1.25, 2.5, 0.2],
    ['xai', 'grok-4.20-0309-non-reasoning', 1.25, 2.5, 0.2],
    ['xai', 'grok-4.7', 2, 6, 0.5],
    ['gemini', 'gemini-flash-latest', 0.75, 3.75, 0.075],
    ['mistral', 'codestral-latest', 0.3, 0.9, 0.03],
    ['mistral', 'mistral-large-4', 0.7, 2.1, 0.07],
    ['mistral', 'mistral-large-4-0', 0.7, 2.1, 0.07],
    ['mistral', 'mistral-medium-2604', 1.5, 7.5, 0.15],
    ['mistral', 'mistral-medium', 1.5, 7.5, 0.15],
    ['mistral', 'mistral-medium-2508', 0.4, 2, 0.04],
    ['mistral', 'mistral-small-2506', 0.1, 0.3, 0.1],
    ['openai', 'gpt-6.2-sol', 2, 10, 0.1],
    ['openai', 'gpt-6.2-astra', 8, 40, 0.4],
    ['openai', 'gpt-6.1-sol', 2, 10, 0.1],
    ['openai', 'gpt-6.1-terra', 1, 5, 0.05],
    ['openai', 'chat-latest', 5, 30, 0.5],
    ['openai', 'babbage-002', 0.4, 0.4, 0.4],
    ['openai', 'davinci-002', 2, 2, 2],
    ['anthropic', 'claude-sonnet-5-5', 2, 10, 0.1],
    ['anthropic', 'claude-haiku-5-5', 0.1, 0.5, 0.01],
    ['anthropic', 'claude-fable-5-2', 8, 40, 0.2],
    ['anthropic', 'claude-mythos-5-2', 8, 40, 0.2],
    ['anthropic', 'claude-mythos-5-1', 10, 50, 0.25],
    ['gemini', 'gemini-4-argon', 2, 10, 0.1],
    ['gemini', 'gemini-4-carbon', 2, 10, 0.1],
    ['gemini', 'gemini-4-hydrogen', 1.5, 7.5, 0.075],
    ['gemini', 'gemini-4-neon', 3, 15, 0.15],
    ['gemini', 'gemini-3.8-flash-tts', 0.5, 9, 0.5],
  ])('%s %s: $%d in, $%d out, $%d cached', (provider, model, input, output, cacheRead) => {
    expect(cost(provider, model, { input: 50_000 })).toBeCloseTo(input / 20, 9)
    expect(cost(provider, model, { output: 50_000 })).toBeCloseTo(output / 20, 9)
    expect(cost(provider, model, { cacheRead: 50_000 })).toBeCloseTo(cacheRead / 20, 9)
  })

  test.each([
    ['openai', 'gpt-6.2-astra', 272_000, 16, 60],
    ['anthropic', 'claude-haiku-5-5', 100_000, 0.5, 2.5],
    ['xai', 'grok-4.20-multi-agent', 200_000, 2.5, 5],
    ['xai', 'grok-4.7', 200_000, 4, 12],
  ])('%s %s over %d tokens of input: $%d in, $%d out', (provider, model, edge, input, output) => {
    const tokens = edge + 1
    expect(cost(provider, model, { input: tokens })).toBeCloseTo((input * tokens) / MILLION, 9)
    expect(cost(provider, model, { input: tokens, output: MILLION })).toBeCloseTo(
      (input * tokens) / MILLION + output,
      9,
    )
  })

  test.each([
    ['anthropic', 'claude-sonnet-5-5', '2026-10-06T23:59:59Z', 0.2, '2026-10-07T00:00:00Z', 0.1],
    ['gemini', 'gemini-4-argon', '2026-11-30T23:59:59Z', 0.1, '2026-12-01T00:00:00Z', 0.2],
    ['gemini', 'gemini-4-carbon', '2026-11-30T23:59:59Z', 0.1, '2026-12-01T00:00:00Z', 0.2],
    ['gemini', 'gemini-flash-latest', '2026-12-31T23:59:59Z', 0.075, '2027-01-01T00:00:00Z', 0.15],
    ['mistral', 'mistral-large-4', '2026-10-28T23:59:59Z', 0.14, '2026-10-29T00:00:00Z', 0.07],
  ])('cached input of %s %s: at %s $%d, at %s $%d', (provider, model, before, was, after, is) => {
    expect(cost(provider, model, { cacheRead: MILLION }, null, before)).toBeCloseTo(was, 9)
    expect(cost(provider, model, { cacheRead: MILLION }, null, after)).toBeCloseTo(is, 9)
  })

  test('calls for gemini-2.5-pro, which newer models answer, are quoted at no less than those cost', () => {
    const input = (model: string) => cost('gemini', model, { input: 1_000 }, null, '2027-01-02T00:00:00Z')
    expect(input('gemini-2.5-pro')).toBeGreaterThanOrEqual(input('gemini-3.8-flash'))
  })
})

describe('hours', () => {
  test.each([
    ['a Monday before the peak', '2026-11-30T00:59:59Z', 2.64],
    ['a Monday at the peak', '2026-11-30T01:00:00Z', 5.28],
    ['a Monday at noon in China', '2026-11-30T04:00:00Z', 2.64],
    ['a Monday in the afternoon in China', '2026-11-30T09:59:59Z', 5.28],
    ['a Monday after the peak', '2026-11-30T10:00:00Z', 2.64],
    ['a Saturday', '2026-11-28T02:00:00Z', 2.64],
    ['a Sunday', '2026-11-29T07:00:00Z', 2.64],
    ['a Thursday that is a Chinese holiday', '2026-10-01T02:00:00Z', 2.64],
    ['the Thursday after the holidays', '2026-10-08T02:00:00Z', 5.28],
    ['a Friday that may be a holiday, of a year whose holidays are not listed', '2027-01-01T02:00:00Z', 5.28],
  ])('a million tokens each way of deepseek-v4-pro on %s (%s) cost $%d', (_day, time, dollars) => {
    expect(cost('deepseek', 'deepseek-v4-pro', { input: MILLION, output: MILLION }, null, time)).toBeCloseTo(dollars, 9)
  })
})

test.each([
  ['text-embedding-3-small', 0.022],
  ['text-embedding-3-large', 0.143],
  ['text-embedding-ada-002', 0.11],
])('%s at Azure costs $%d, the price of a regional deployment', (model, dollars) => {
  expect(cost('azure', model, { input: MILLION })).toBeCloseTo(dollars, 9)
})

test('the longest answers of DeepSeek V4 are 393,216 tokens', () => {
  expect(book.find('deepseek', 'deepseek-v4-pro', Date.parse(NOVEMBER_30)).limits?.maxOutput).toBe(393_216)
})
