// The listed model whose name is nearest to an unknown one.

import { expect, test } from 'vitest'
import { unknownPriceProblem } from '../../src/call/unknown-price.ts'
import { readFileConfig } from '../../src/config/file.ts'
import { createPriceBook } from '../../src/prices/price-book.ts'
import { PriceList } from '../../src/prices/price-list.ts'

const NOW_MS = Date.parse('2026-11-30T12:00:00Z')

function bookOf(provider: string, ...prices: readonly [name: string, input: number][]) {
  const models = prices.map(([id, input]) => ({
    id,
    names: { equals: [id] },
    spans: [{ rates: { input, output: 9 } }],
  }))
  const book = createPriceBook()
  const limits = { 'claude-sonnet-5-5': [1_000_000, 128_000, 1_000] as const }
  const file = { format: 1 as const, date: '2026-11-30', sources: {}, limits, providers: { [provider]: { models } } }
  book.useList(new PriceList(JSON.parse(JSON.stringify(file)), 'test'))
  return book
}

const OPENAI = bookOf('openai', ['gpt-5.5', 5], ['gpt-6-sol', 1], ['gpt-6.2-sol', 2], ['gpt-6.2-astra', 8], ['o3', 2])
const GEMINI = bookOf('google', ['gemini-4-argon', 2], ['gemini-4-neon', 3], ['gemini-exp', 0], ['gemini-2-flash', 1])

test.each([
  ['openai', OPENAI, 'gpt-6.3-sol', 'gpt-6.2-sol'],
  ['openai', OPENAI, 'GPT-6.1-Sol-2027-01-31', 'gpt-6.2-sol'],
  ['openai', OPENAI, 'gpt-6.3-sol-mini', 'gpt-6.2-sol'],
  ['openai', OPENAI, 'gpt-5.7', 'gpt-5.5'],
  ['openai', OPENAI, 'o4', 'o3'],
  ['openai', OPENAI, 'my-finetune', undefined],
  ['openai', OPENAI, 'gpt-19', undefined],
  ['openai', OPENAI, '', undefined],
  ['openai', OPENAI, '123', undefined],
  ['gemini', GEMINI, 'gemini-4-xenon', 'gemini-4-neon'],
  ['gemini', GEMINI, 'models/gemini-4-argon-lite', 'gemini-4-argon'],
  [
    'anthropic',
    bookOf('anthropic', ['claude-sonnet-5-5', 2], ['claude-opus-5-5', 4]),
    'claude-opus-6',
    'claude-opus-5-5',
  ],
  ['nobody', OPENAI, 'gpt-6.3-sol', undefined],
])('at %s', (provider, book, model, sibling) => {
  expect(book.sibling(provider, model, NOW_MS)).toBe(sibling)
})

/** The line to paste, as bursar.json reads it. */
function pastedLine(message: string): unknown {
  const line = message.slice(message.indexOf('{"prices"'), message.lastIndexOf('}') + 1)
  expect(() => readFileConfig(line)).not.toThrow()
  return JSON.parse(line)
}

test('a refusal has the line to paste, with the figures of the nearest model', () => {
  const book = bookOf('anthropic', ['claude-sonnet-5-5', 2])
  const { message } = unknownPriceProblem(book, 'anthropic', 'claude-sonnet-5-9', NOW_MS)
  expect(message).toContain('this line, which has the figures of claude-sonnet-5-5; check them')
  const figures = { input: '2', output: '9', cacheRead: '2', cacheWrite5m: '2.5', contextWindow: 1_000_000 }
  expect(pastedLine(message)).toEqual({
    prices: [{ provider: 'anthropic', model: 'claude-sonnet-5-9', ...figures, maxOutput: 128_000 }],
  })
})

test('a refusal says where the price of the nearest model rises, and leaves out the region of a provider', () => {
  const { message } = unknownPriceProblem(createPriceBook(), 'openai+regional', 'gpt-6.9-sol', NOW_MS)
  expect(message).toContain('higher from 272001 tokens of input on')
  expect(pastedLine(message)).toMatchObject({ prices: [{ provider: 'openai', model: 'gpt-6.9-sol' }] })
})

test('a refusal without a near model has an example', () => {
  const { message } = unknownPriceProblem(createPriceBook(), 'openai', `mine-${'x'.repeat(999)}`, NOW_MS)
  expect(message.length).toBeLessThan(600)
  expect(pastedLine(message)).toMatchObject({ prices: [{ input: '1.00', output: '2.00' }] })
})
