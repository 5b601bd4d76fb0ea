// Price comparison: a newer file that takes prices away is refused with the reason, and one that corrects some prices is not.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkSuccessor } from '../../src/prices/price-comparison.ts'
import type { FilePrice, PriceFile } from '../../src/prices/price-file.ts'
import { digestOf, PriceList } from '../../src/prices/price-list.ts'

const TEXT = readFileSync(new URL('../../src/prices/prices.json', import.meta.url), 'utf8')
const CURRENT = new PriceList(JSON.parse(TEXT), 'current')
const NOW_MS = Date.parse('2026-11-30T12:00:00Z')

type Mutable<Value> = Value extends object ? { -readonly [Name in keyof Value]: Mutable<Value[Name]> } : Value
type File = Mutable<PriceFile>
type Model = File['providers'][string]['models'][number]

function check(change: (file: File) => void, configured: readonly string[] = []): Promise<void> {
  const file: File = JSON.parse(TEXT)
  change(file)
  return checkSuccessor(CURRENT, new PriceList(file, digestOf(JSON.stringify(file))), configured, NOW_MS)
}

const allProviders = (file: File) => Object.values(file.providers)
const modelsOf = (file: File, provider: string) => file.providers[provider]?.models ?? []
const allModels = (file: File) => allProviders(file).flatMap(({ models }) => models)
const spansOf = (models: readonly Model[]) => models.flatMap(({ spans }) => spans)

function forAll<Item>(items: readonly Item[], change: (item: Item) => unknown): void {
  for (const item of items) change(item)
}

const priced = (dollars: number): Model['spans'] => [{ rates: { input: dollars, output: dollars } }]

function times(price: FilePrice, factor: number): FilePrice {
  if (typeof price === 'number') return price * factor
  const over = Object.fromEntries(Object.entries(price.over).map(([edge, above]) => [edge, above * factor]))
  return { base: price.base * factor, over }
}

function multiply(models: readonly Model[], factor: number): void {
  for (const { spans } of models)
    for (const { rates } of spans) for (const name of Object.keys(rates)) rates[name] = times(rates[name] ?? 0, factor)
}

const REFUSED: [string, (file: File) => void, RegExp][] = [
  [
    'all tiers of providers',
    (file) => forAll(allProviders(file), (one) => delete one.tiers),
    /no tiers\.\w+ for all models of/,
  ],
  [
    'all tiers of models',
    (file) => forAll(spansOf(allModels(file)), (span) => delete span.tiers),
    /less of a price, .* such as tier \w+ of/,
  ],
  [
    'all uplifts of providers',
    (file) => forAll(allProviders(file), (one) => delete one.uplifts),
    /no uplifts\.us for all/,
  ],
  ['all uplifts of models', (file) => forAll(allModels(file), (one) => delete one.uplifts), /such as tier regional of/],
  [
    'all fees',
    (file) => forAll(allProviders(file), (one) => delete one.fees),
    /no fees\.webSearches for all models of azure/,
  ],
  ['a fee', (file) => delete file.providers.azure?.fees?.containerGigabytes, /no fees\.containerGigabytes for all/],
  [
    'all rates of providers',
    (file) => forAll(allProviders(file), (one) => delete one.rates),
    /no rates\.webSearches for all/,
  ],
  [
    'what others serve',
    (file) => forAll(allProviders(file), (one) => delete one.alsoServes),
    /no price for models of openai at azure/,
  ],
  ['a small provider', (file) => delete file.providers.cerebras, /no prices of cerebras/],
  ['the models of a small provider', (file) => file.providers.cerebras?.models.splice(0), /no prices of cerebras/],
  ['all providers', (file) => (file.providers = {}), /no prices of anthropic/],
  [
    'all but a millionth',
    (file) => multiply(allModels(file), 1e-6),
    /more than twice or less than half of the price for/,
  ],
  [
    'nothing, and has a million times the prices',
    (file) => multiply(allModels(file), 1e6),
    /more than twice or less than half/,
  ],
  [
    'two thirds of the prices of one provider',
    (file) => multiply(modelsOf(file, 'anthropic'), 0.33),
    /less than half, for \d+ of \d+ models of anthropic/,
  ],
  [
    'many models by a row before them',
    (file) => modelsOf(file, 'openai').unshift({ id: 'x', names: { startsWith: ['gpt-'] }, spans: priced(0.001) }),
    /less than a tenth of the price for \d+ of/,
  ],
  [
    'the models of one vendor at a large provider by a row before them',
    (file) => modelsOf(file, 'openrouter').unshift({ id: 'x', names: { contains: ['claude'] }, spans: priced(0.001) }),
    /less than a tenth of the price for \d+ of \d+ known models, such as openrouter/,
  ],
  [
    'the prices from next week on',
    (file) =>
      forAll(modelsOf(file, 'openai'), ({ spans }) =>
        spans.push({ from: '2026-12-07', rates: { input: 0.001, output: 0.001 } }),
      ),
    /less than a tenth of the price for/,
  ],
  [
    'the prices of some hours',
    (file) =>
      forAll(modelsOf(file, 'anthropic'), ({ spans }) =>
        spans.push({
          hours: { utcOffsetMinutes: 0, daily: [['02:00', '03:00']], weekdays: [7] },
          rates: { input: 0.001, output: 0.001 },
        }),
      ),
    /less than a tenth of the price for/,
  ],
  [
    'the prices of long input',
    (file) =>
      forAll(spansOf(allModels(file)), ({ rates }) => {
        for (const [name, price] of Object.entries(rates)) if (typeof price !== 'number') rates[name] = price.base
      }),
    /such as the price of long input of/,
  ],
  [
    'the limits, so that a call reserves less than it costs',
    (file) => forAll(Object.values(file.limits), (limits) => limits.fill(1)),
    /less than half of the limits of \d+ families/,
  ],
]

test.each(REFUSED)('a file that takes away %s is refused', async (_what, change, reason) => {
  await expect(check(change)).rejects.toThrow(reason)
})

test('a price of a configured provider cannot fall below a tenth, or to zero', async () => {
  const change = (input: number) => (file: File) => multiply(modelsOf(file, 'cerebras').slice(0, 1), input)
  const reason = /less than a tenth of the price of cerebras\/[\w.-]+, whose provider is configured/
  await expect(check(change(0.09), ['cerebras'])).rejects.toThrow(reason)
  await expect(check(change(0), ['cerebras'])).rejects.toThrow(reason)
  await expect(check(change(0.11), ['cerebras'])).resolves.toBeUndefined()
  await expect(check(change(0.09), ['groq'])).resolves.toBeUndefined()
})

test.each<[string, (file: File) => unknown]>([
  [
    'a tier',
    (file) => forAll(spansOf(modelsOf(file, 'openai')), (span) => span.tiers?.priority && (span.tiers.priority = 1)),
  ],
  [
    'long input',
    (file) =>
      forAll(spansOf(modelsOf(file, 'openai').filter(({ id }) => id === 'gpt-5.4')), ({ rates }) => {
        rates.input = { base: 2.5, over: { 272000: 0.001 } }
      }),
  ],
  [
    'a fee',
    (file) => forAll(spansOf(modelsOf(file, 'openai')), ({ rates }) => rates.webSearches && (rates.webSearches = 0.01)),
  ],
])('neither can that of %s', async (_what, change) => {
  await expect(check(change, ['openai'])).rejects.toThrow(/less than a tenth of the price/)
})

test('the region of a configured provider does not matter', async () => {
  const change = (file: File) =>
    multiply(
      modelsOf(file, 'google').filter(({ id }) => id === 'gemini-2.5-pro'),
      0.05,
    )
  await expect(check(change, ['vertex+regional'])).rejects.toThrow(
    'google/gemini-2.5-pro, whose provider is configured',
  )
})

test.each([
  ['is the same', () => {}],
  ['halves all prices of a provider', (file: File) => multiply(modelsOf(file, 'anthropic'), 0.5)],
  ['doubles all prices', (file: File) => multiply(allModels(file), 2)],
  ['cuts those of some models', (file: File) => multiply(modelsOf(file, 'openrouter').slice(0, 9), 0.3)],
  ['drops some models', (file: File) => modelsOf(file, 'openrouter').splice(0, 20)],
  [
    'drops some tiers',
    (file: File) => forAll(spansOf(modelsOf(file, 'openai').slice(0, 5)), (span) => delete span.tiers),
  ],
  [
    'has more models',
    (file: File) => modelsOf(file, 'openai').unshift({ id: 'gpt-9', names: { equals: ['gpt-9'] }, spans: priced(1) }),
  ],
] as const)('a file that %s is accepted', async (_what, change) => {
  await expect(check(change, ['openai', 'anthropic', 'gemini'])).resolves.toBeUndefined()
})
