// The nearest name: what somebody meant by a name that does not exist.

import { describe, expect, test } from 'vitest'
import { didYouMean, namesakeOf, nearestName } from '../../src/core/nearest-name.ts'

const NAMES = ['openai', 'anthropic', 'gemini', 'batch', 'DAILY_SPENDING_LIMIT', 'OPENAI_API_KEY', 'BURSAR_KEYS']

describe('the nearest name', () => {
  test.each([
    ['opnai', 'openai'],
    ['opneai', 'openai'],
    ['OpenAI', 'openai'],
    ['antropic', 'anthropic'],
    ['batsch', 'batch'],
    ['DAILY_SPENDING_LIMT', 'DAILY_SPENDING_LIMIT'],
    ['daily_spending_limit', 'DAILY_SPENDING_LIMIT'],
    ['OPENAI_APIKEY', 'OPENAI_API_KEY'],
    ['BURSAR_KEY', 'BURSAR_KEYS'],
    ['groq', undefined],
    ['bxtxh', undefined],
    ['GOOGLE_API_KEY', undefined],
    ['', undefined],
    ['-', undefined],
    ['b'.repeat(100_000), undefined],
  ])('of %.30s is %s', (name, nearest) => {
    expect(nearestName(name, NAMES)).toBe(nearest)
  })

  test('is the one with the fewest mistakes, and of two the first; the name itself is none', () => {
    expect(nearestName('gpt-5.1', ['gpt-5.2', 'gpt-51', 'gpt-5.1'])).toBe('gpt-51')
    expect(nearestName('gpt-9', ['gpt-4', 'gpt-5'])).toBe('gpt-4')
  })

  test.each([
    ['retry', 'retries'],
    ['costPerWeek', 'costPerDay'],
    ['cost', 'costPerDay'],
    ['openrouter', undefined],
    ['', undefined],
  ])('%s has the namesake %s', (name, namesake) => {
    expect(namesakeOf(name, ['openai', 'retries', 'costPerDay', 'costPerHour'])).toBe(namesake)
  })

  test('is told in a sentence, or not at all', () => {
    expect(didYouMean('opnai', NAMES)).toBe(' Did you mean openai?')
    expect(didYouMean('groq', NAMES)).toBe('')
  })
})
