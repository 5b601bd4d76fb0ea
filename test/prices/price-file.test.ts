// The price file: the shipped one is valid, and a broken one is refused with the place of its first mistake.

import { readFileSync } from 'node:fs'
import { describe, expect, it, test } from 'vitest'
import { CORRECTIONS } from '../../scripts/prices/corrections.ts'
import { findModel, type PriceFile, readPriceFile } from '../../src/prices/price-file.ts'
import { digestOf, PriceList, shippedPriceList } from '../../src/prices/price-list.ts'

const TEXT = readFileSync(new URL('../../src/prices/prices.json', import.meta.url), 'utf8')
const SHIPPED = readPriceFile(TEXT)

const SMALL: PriceFile = {
  format: 1,
  date: '2026-11-30',
  sources: {},
  limits: {},
  providers: { mine: { models: [{ id: 'm', names: { equals: ['m'] }, spans: [{ rates: { input: 1, output: 2 } }] }] } },
}

describe('the shipped file', () => {
  it('is valid, and names its day and its sources', () => {
    expect(SHIPPED.date).toMatch(/^20\d\d-\d\d-\d\d$/)
    expect(Object.keys(SHIPPED.sources)).toEqual(['genai-prices', 'litellm'])
    expect(shippedPriceList().version).toBe(`prices@${SHIPPED.date}#${digestOf(TEXT)}`)
  })

  it('stands beside the licences of its sources', () => {
    for (const name of Object.keys(SHIPPED.sources))
      expect(readFileSync(new URL(`../../src/prices/licences/${name}.txt`, import.meta.url), 'utf8')).toContain('MIT')
  })

  it('has every correction, with its source and its date', () => {
    for (const { provider, model, isUnknown, source, date } of CORRECTIONS) {
      const found = SHIPPED.providers[provider]?.models.find(({ id }) => id === model)
      if (isUnknown) expect(found, `${provider}/${model}`).toBeUndefined()
      else expect(found?.source, `${provider}/${model}`).toBe(`${source}, ${date}`)
      if (!isUnknown) expect(findModel(SHIPPED.providers[provider]?.models ?? [], model)?.id).toBe(model)
    }
  })
})

describe('a broken file', () => {
  const broken = (change: (file: { providers: { mine: { models: unknown[] } } } & Record<string, unknown>) => void) => {
    const file = JSON.parse(JSON.stringify(SMALL))
    change(file)
    return JSON.stringify(file)
  }
  test.each([
    ['no JSON', '{"format":1', 'is not JSON'],
    ['another format', broken((file) => (file.format = 2)), 'at format'],
    ['no day', broken((file) => (file.date = 'today')), 'at date: must be a date'],
    ['a field nobody knows', broken((file) => (file.more = 1)), 'at its top: .*more'],
    [
      'a negative price',
      broken((file) => Object.assign(file.providers.mine.models[0] as object, { spans: [{ rates: { input: -1 } }] })),
      'at providers.mine.models.0.spans.0',
    ],
    [
      'a name that is no pattern',
      broken((file) => Object.assign(file.providers.mine.models[0] as object, { names: { pattern: ['('] } })),
      'at providers.mine.models.0.names.pattern.0: must be a regular expression',
    ],
    [
      'a model without prices',
      broken((file) => Object.assign(file.providers.mine.models[0] as object, { spans: [] })),
      'at providers.mine.models.0.spans',
    ],
  ])('%s is refused', (_what, text, message) => {
    expect(() => readPriceFile(text)).toThrow(RangeError)
    expect(() => readPriceFile(text)).toThrow(new RegExp(message))
  })
})

describe('a list', () => {
  it('leaves a model out of those that are served from the day on which it ends', () => {
    const [model] = SMALL.providers.mine?.models ?? []
    if (!model) throw new Error('no model')
    const list = new PriceList({ ...SMALL, providers: { mine: { models: [{ ...model, ends: '2027-01-14' }] } } }, 'x')
    expect(list.servedModels('mine', Date.parse('2027-01-13T23:59:59Z'))).toEqual(['m'])
    expect(list.servedModels('mine', Date.parse('2027-01-14T00:00:00Z'))).toEqual([])
    expect(list.facts('mine', ['m'], 'm').timeline.prices[0]).toBeDefined()
  })

  it('finds no provider that is a word of JavaScript', () => {
    const list = new PriceList(SMALL, 'x')
    for (const provider of ['__proto__', 'constructor', ''])
      expect(list.facts(provider, ['m'], 'm').timeline.prices).toEqual([undefined])
  })
})
