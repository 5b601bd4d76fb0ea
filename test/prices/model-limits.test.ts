// The limits table: every popular model is in it, dated names find their family, and strangers are not guessed.

import { describe, expect, test } from 'vitest'
import { shippedPriceList } from '../../src/prices/price-list.ts'

const limitsOf = (model: string) => shippedPriceList().familyLimits(model)

describe('limits of a family', () => {
  test.each([
    ['gpt-4o', 128_000, 16_384],
    ['gpt-4o-mini', 128_000, 16_384],
    ['gpt-4.1', 1_047_576, 32_768],
    ['gpt-5', 400_000, 128_000],
    ['gpt-5-mini', 400_000, 128_000],
    ['gpt-5-nano', 400_000, 128_000],
    ['gpt-5.2', 400_000, 128_000],
    ['gpt-5.4', 1_050_000, 128_000],
    ['gpt-5.6-sol', 1_050_000, 128_000],
    ['o1', 200_000, 100_000],
    ['o3', 200_000, 100_000],
    ['o4-mini', 200_000, 100_000],
    ['gpt-3.5-turbo', 16_385, 4_096],
    ['gpt-4o-audio-preview', 128_000, 16_384],
    ['claude-3-haiku-20240307', 200_000, 4_096],
    ['claude-3-5-haiku-20241022', 200_000, 8_192],
    ['claude-3-5-sonnet-20241022', 200_000, 8_192],
    ['claude-sonnet-4-20250514', 200_000, 64_000],
    ['claude-sonnet-4-5-20250929', 200_000, 64_000],
    ['claude-haiku-4-5-20251001', 200_000, 64_000],
    ['claude-opus-4-1-20250805', 200_000, 32_000],
    ['claude-opus-4-5-20251101', 200_000, 64_000],
    ['claude-opus-4-7', 1_000_000, 128_000],
    ['claude-sonnet-5', 1_000_000, 128_000],
    ['claude-opus-5', 1_000_000, 128_000],
    ['gemini-1.5-pro', 2_097_152, 8_192],
    ['gemini-1.5-flash', 1_048_576, 8_192],
    ['gemini-2.0-flash', 1_048_576, 8_192],
    ['gemini-2.5-flash', 1_048_576, 65_536],
    ['gemini-2.5-pro', 1_048_576, 65_536],
    ['gemini-3-pro-preview', 1_048_576, 65_536],
    ['deepseek-chat', 1_000_000, 393_216],
    ['claude-sonnet-5-5', 1_000_000, 128_000],
    ['gpt-6.2-sol', 1_050_000, 128_000],
    ['gemini-4-argon', 1_048_576, 1_048_576],
    ['mistral-large-latest', 262_144, 262_144],
    ['grok-4', 256_000, 256_000],
    ['llama-3.3-70b-versatile', 131_072, 32_768],
  ])('%s takes %d and gives %d', (model, contextWindow, maxOutput) => {
    const limits = limitsOf(model)
    expect(limits).toMatchObject({ contextWindow, maxOutput })
    expect(limits?.usualOutput).toBeGreaterThan(0)
    expect(limits?.usualOutput).toBeLessThanOrEqual(maxOutput)
  })

  test.each(['text-embedding-3-small', 'text-embedding-3-large', 'gemini-embedding-001'])(
    '%s answers no tokens',
    (model) => {
      expect(limitsOf(model)).toMatchObject({ maxOutput: 0, usualOutput: 0 })
    },
  )

  test.each([
    ['gpt-4o-2024-08-06', 'gpt-4o'],
    ['gpt-4o-2099-01-01', 'gpt-4o'],
    ['gpt-4-0613', 'gpt-4'],
    ['gpt-4-0125-preview', 'gpt-4-turbo'],
    ['gpt-35-turbo', 'gpt-3.5-turbo'],
    ['ft:gpt-4o-mini-2024-07-18:acme::x', 'gpt-4o-mini'],
    ['o1-preview-2024-09-12', 'o1-preview'],
    ['claude-3-7-sonnet-latest', 'claude-3-7-sonnet'],
    ['claude-sonnet-4.5', 'claude-sonnet-4-5'],
    ['claude-sonnet-4-5@20250929', 'claude-sonnet-4-5'],
    ['us.anthropic.claude-3-5-sonnet-20241022-v2:0', 'claude-3-5-sonnet'],
    ['anthropic/claude-4.6-sonnet-20260217', 'claude-sonnet-4-6'],
    ['models/gemini-2.0-flash-001', 'gemini-2.0-flash'],
    ['gemini-2.5-flash-preview-09-2025', 'gemini-2.5-flash'],
    ['gemini-2.5-pro-exp-03-25', 'gemini-2.5-pro'],
    ['mistral-small-2603', 'mistral-small-latest'],
    ['meta-llama/llama-4-scout-17b-16e-instruct', 'llama-4-scout-17b-16e-instruct'],
  ])('%s has the limits of %s', (model, family) => {
    expect(limitsOf(family)).toBeDefined()
    expect(limitsOf(model)).toEqual(limitsOf(family))
  })

  test.each(['', 'gpt-4o-foo', 'gpt-4ooo', 'claude-sonnet-5-9', '__proto__', 'constructor', 'my-deployment'])(
    'nothing is known of %j',
    (model) => {
      expect(limitsOf(model)).toBeUndefined()
    },
  )

  test('nothing is known of an endless name', () => {
    expect(limitsOf(`gpt-4o${'-2024-08-06'.repeat(10_000)}`)).toBeUndefined()
  })
})
