// Rows of FOCUS: their columns are those of the specification, and their sums are those of the ledger, to the nano-dollar.

import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { formatUsd, NANO_PER_USD } from '../../src/core/money.ts'
import { costOf, type Price, type PriceBook, ratesOf } from '../../src/core/prices.ts'
import { USAGE_CLASSES, unitsOf, usageOf, usageSum } from '../../src/core/usage.ts'
import { FocusCharges } from '../../src/focus/charges.ts'
import { FOCUS_COLUMNS } from '../../src/focus/columns.ts'
import { costShares } from '../../src/focus/cost-shares.ts'
import { csvHeader, csvLine } from '../../src/http/csv.ts'
import { factsOf, outcomeOf, START_MS } from '../stores/calls.ts'
import { ALLOWED_VALUES, SPECIFICATION } from './specification.ts'

const PRICE: Price = {
  version: 'test@1',
  steps: [
    {
      fromInputTokens: 0,
      rates: ratesOf({ input: 2_500_000_001n, cacheRead: 1_250_000_000n, output: 10_000_000_000n }),
    },
    { fromInputTokens: 5_000, rates: ratesOf({ input: 5_000_000_000n, output: 20_000_000_000n }) },
  ],
  tiers: new Map(),
}

/** Knows the price of one model. */
const BOOK: PriceBook = {
  find: (_provider, model) => ({ price: model === 'known' ? PRICE : undefined, limits: undefined }),
  get inForce() {
    return BOOK
  },
  sibling: () => undefined,
  serves: () => true,
}

const HOUR_MS = 3_600_000
const units = fc.integer({ min: 0, max: 9_000 })
const names = fc.constantFrom(null, 'alice', 'bob', '=cmd()', 'a,"b"')

/** Settled calls with costs that follow from prices or from nothing, and corrections up and down. */
const entries: fc.Arbitrary<readonly Entry[]> = fc.array(
  fc
    .record({
      hour: fc.integer({ min: -60, max: 60 }),
      key: names,
      project: names,
      model: fc.constantFrom('known', 'unknown', 'meta-llama/x'),
      usage: fc.record({
        input: units,
        cacheRead: units,
        output: units,
        requests: fc.constantFrom(0, 1),
        webSearches: fc.constantFrom(0, 0, 3),
      }),
      cost: fc.option(fc.bigInt({ min: 0n, max: 5_000_000_000n }), { nil: undefined }),
      inputPercent: fc.integer({ min: 0, max: 100 }),
      correction: fc.option(fc.bigInt({ min: -9_999n, max: 9_999n }), { nil: undefined, freq: 4 }),
    })
    .map(({ hour, key, project, model, usage: used, cost, inputPercent, correction }): Entry => {
      const usage = usageOf(used)
      const facts = factsOf('call', { model, reservedAtMs: START_MS + hour * HOUR_MS + 7, caller: { key, project } })
      if (correction !== undefined)
        return {
          facts,
          settledSeq: 1,
          adjustment: { callId: 'call', reason: 'invoice' },
          outcome: outcomeOf(0, correction, { ending: 'adjusted', usage: usageOf() }),
        }
      const totalNanoUsd = cost ?? costOf(PRICE, usage).totalNanoUsd
      const inputNanoUsd = (totalNanoUsd * BigInt(inputPercent)) / 100n
      const parts =
        cost === undefined
          ? costOf(PRICE, usage)
          : { inputNanoUsd, outputNanoUsd: (totalNanoUsd - inputNanoUsd) / 2n, totalNanoUsd }
      return { facts, settledSeq: 1, outcome: outcomeOf(0, 0n, { usage, cost: parts }) }
    }),
  { maxLength: 60 },
)

type Row = Readonly<Record<string, string>>

/** The rows that a reader of the CSV file sees. */
function rowsOf(all: readonly Entry[], granularity: 'hour' | 'day' = 'day'): readonly Row[] {
  const charges = new FocusCharges(granularity, BOOK, (provider) => provider)
  for (const entry of all) charges.add(entry)
  const text =
    csvHeader(FOCUS_COLUMNS) +
    charges
      .takeAll()
      .map((charge) => csvLine(FOCUS_COLUMNS, charge))
      .join('')
  return parse(text, { columns: true }) as Row[]
}

/** Dollars with up to fifteen decimals, as a whole number. */
const DECIMALS = 15
function exact(text = ''): bigint {
  const [whole = '0', fraction = ''] = text.replace('-', '').split('.')
  const value = BigInt(whole + fraction.padEnd(DECIMALS, '0'))
  return text.startsWith('-') ? -value : value
}
const sumOf = (rows: readonly Row[], column: string) => rows.reduce((sum, row) => sum + exact(row[column]), 0n)
const NANO = 10n ** BigInt(DECIMALS) / NANO_PER_USD

describe('the columns', () => {
  const own = FOCUS_COLUMNS.filter(({ name }) => name.startsWith('x_'))
  const given = FOCUS_COLUMNS.filter((column) => !own.includes(column)).map(({ name }) => name)

  it('are those of FOCUS 1.0 in its order, and then our own', () => {
    const specified = SPECIFICATION.map(({ name }) => name)
    expect(given).toEqual(specified.filter((name) => given.includes(name)))
    expect(FOCUS_COLUMNS.map(({ name }) => name)).toEqual([...given, ...own.map(({ name }) => name)])
    expect(specified).toHaveLength(43)
  })

  it('lack no column that is mandatory', () => {
    const mandatory = SPECIFICATION.filter(({ level }) => level === 'Mandatory').map(({ name }) => name)
    expect(mandatory.filter((name) => !given.includes(name))).toEqual([])
  })
})

it('every row has what the specification requires of each column', () => {
  fc.assert(
    fc.property(entries, fc.constantFrom('hour', 'day'), (all, granularity) => {
      const priceOfSku = new Map<string, string | undefined>()
      for (const row of rowsOf(all, granularity)) {
        for (const { name, type, mayBeNull } of SPECIFICATION) {
          const value = row[name]
          if (value === undefined) continue
          if (value === '') expect(mayBeNull, name).toBe(true)
          else if (type === 'Decimal') expect(value, name).toMatch(/^-?\d+(\.\d+)?$/)
          else if (type === 'Date/Time') expect(value, name).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
          else if (type === 'JSON')
            for (const tag of Object.values(JSON.parse(value))) expect(typeof tag).toBe('string')
          const allowed = ALLOWED_VALUES[name]
          if (allowed) expect(allowed, name).toContain(value)
        }
        const isUsage = row.ChargeCategory === 'Usage'
        // Quantities, units and unit prices are those of usage, and of nothing else.
        for (const name of [
          'ConsumedQuantity',
          'ConsumedUnit',
          'PricingQuantity',
          'PricingUnit',
          'ListUnitPrice',
          'SkuId',
          'SkuPriceId',
          'PricingCategory',
        ])
          expect(row[name] !== '', name).toBe(isUsage)
        expect(row.ResourceType !== '').toBe(row.ResourceId !== '')
        const listCost = isUsage ? exact(row.ListUnitPrice) * BigInt(row.PricingQuantity ?? '') : exact(row.BilledCost)
        expect(exact(row.ListCost)).toBe(listCost)
        // A SkuPriceId is one unit price.
        const sku = row.SkuPriceId ?? ''
        expect(priceOfSku.get(sku) ?? row.ListUnitPrice).toBe(row.ListUnitPrice)
        priceOfSku.set(sku, row.ListUnitPrice)
        const [start = '', end = '', from = '', to = ''] = [
          row.ChargePeriodStart,
          row.ChargePeriodEnd,
          row.BillingPeriodStart,
          row.BillingPeriodEnd,
        ]
        expect(Date.parse(end) - Date.parse(start)).toBe(granularity === 'day' ? 24 * HOUR_MS : HOUR_MS)
        expect([from <= start, end <= to, from.slice(0, 7)]).toEqual([true, true, start.slice(0, 7)])
      }
    }),
    { numRuns: 60 },
  )
})

it('the rows add up to the ledger: billed cost to the nano-dollar, and tokens', () => {
  fc.assert(
    fc.property(entries, fc.constantFrom('hour', 'day'), (all, granularity) => {
      const rows = rowsOf(all, granularity)
      const nanoUsd = all.reduce((sum, { outcome }) => sum + (outcome?.cost.totalNanoUsd ?? 0n), 0n)
      for (const column of ['BilledCost', 'EffectiveCost', 'ContractedCost'])
        expect(sumOf(rows, column), column).toBe(nanoUsd * NANO)
      const used = all.reduce((sum, { outcome }) => usageSum(sum, outcome?.usage ?? usageOf()), usageOf())
      for (const [unitClass, name] of [
        ['input', 'input'],
        ['cacheRead', 'cache_read'],
        ['output', 'output'],
      ] as const) {
        const ofClass = rows.filter((row) => row.x_UnitClass === name)
        expect(
          ofClass.reduce((sum, row) => sum + Number(row.ConsumedQuantity), 0),
          name,
        ).toBe(unitsOf(used, unitClass))
      }
    }),
    { numRuns: 60 },
  )
})

describe('the cost of a call', () => {
  it('is split by class without a loss', () => {
    fc.assert(
      fc.property(entries, (all) => {
        for (const { outcome } of all) {
          if (!outcome || outcome.cost.totalNanoUsd < 0n) continue
          for (const rates of [undefined, PRICE.steps[0].rates]) {
            const shares = costShares(outcome.usage, outcome.cost, rates)
            expect(shares.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0n)).toBe(outcome.cost.totalNanoUsd)
            expect(shares.every(({ nanoUsd }) => nanoUsd >= 0n)).toBe(true)
            expect(new Set(shares.map(({ unitClass }) => unitClass)).size).toBe(shares.length)
            expect(shares.every(({ unitClass }) => USAGE_CLASSES.includes(unitClass))).toBe(true)
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  it('follows the rates, as worked out by hand', () => {
    // 1,000 × $2.5, 1,000 × $1.25 and 100 × $10 for a million: 2,500 + 1,250 + 1,000 = 4,750 micro-dollars, of which half was billed.
    const usage = usageOf({ input: 1_000, cacheRead: 1_000, output: 100, requests: 1 })
    const rates = ratesOf({ input: 2_500_000_000n, cacheRead: 1_250_000_000n, output: 10_000_000_000n })
    const cost = { inputNanoUsd: 1_875_000n, outputNanoUsd: 500_000n, totalNanoUsd: 2_375_001n }
    expect(costShares(usage, cost, rates)).toEqual([
      { unitClass: 'input', units: 1_000, nanoUsd: 1_250_001n },
      { unitClass: 'cacheRead', units: 1_000, nanoUsd: 625_000n },
      { unitClass: 'output', units: 100, nanoUsd: 500_000n },
    ])
  })

  it('of a call without usage is one share', () => {
    const cost = { inputNanoUsd: 0n, outputNanoUsd: 0n, totalNanoUsd: 7n }
    expect(costShares(usageOf(), cost, undefined)).toEqual([{ unitClass: 'requests', units: 1, nanoUsd: 7n }])
  })
})

it('a call is a row for each class, as worked out by hand', () => {
  const usage = usageOf({ input: 1_000, output: 100, requests: 1 })
  const cost = costOf(PRICE, usage)
  const facts = factsOf('call', { model: 'known', caller: { key: 'ci', project: 'web', organisation: 'acme' } })
  const [first, second] = rowsOf([{ facts, settledSeq: 1, outcome: outcomeOf(0, 0n, { usage, cost }) }])
  expect(formatUsd(cost.totalNanoUsd)).toBe('0.003500001')
  expect(first).toEqual({
    BilledCost: '0.002500001',
    BillingAccountId: 'acme',
    BillingAccountName: 'acme',
    BillingCurrency: 'USD',
    BillingPeriodEnd: '2026-12-01T00:00:00Z',
    BillingPeriodStart: '2026-11-01T00:00:00Z',
    ChargeCategory: 'Usage',
    ChargeClass: '',
    ChargeDescription: 'known, input tokens',
    ChargeFrequency: 'Usage-Based',
    ChargePeriodEnd: '2026-11-23T00:00:00Z',
    ChargePeriodStart: '2026-11-22T00:00:00Z',
    ConsumedQuantity: '1000',
    ConsumedUnit: 'Tokens',
    ContractedCost: '0.002500001',
    EffectiveCost: '0.002500001',
    InvoiceIssuerName: 'OpenAI',
    // The exact product. The ledger rounds the cost of a call up to a nano-dollar.
    ListCost: '0.002500000001',
    ListUnitPrice: '0.000002500000001',
    PricingCategory: 'Standard',
    PricingQuantity: '1000',
    PricingUnit: 'Tokens',
    ProviderName: 'OpenAI',
    PublisherName: 'OpenAI',
    ResourceId: 'ci',
    ResourceName: 'ci',
    ResourceType: 'API Key',
    ServiceCategory: 'AI and Machine Learning',
    ServiceName: 'OpenAI API',
    SkuId: 'openai/known/input',
    SkuPriceId: 'openai/known/input@0.000002500000001',
    SubAccountId: 'web',
    SubAccountName: 'web',
    Tags: '{"key":"ci","organisation":"acme","project":"web"}',
    x_Key: 'ci',
    x_Organisation: 'acme',
    x_Model: 'openai/known',
    x_UnitClass: 'input',
    x_CallCount: '1',
  })
  expect(second).toMatchObject({ x_UnitClass: 'output', BilledCost: '0.001', ConsumedQuantity: '100' })
})

it('few rows are in memory at the same time', () => {
  const charges = new FocusCharges('hour', BOOK, (provider) => provider)
  let index = 0
  for (; !charges.isFull; index++) {
    const facts = factsOf('call', { model: `m${index}`, caller: { key: `k${index}` } })
    charges.add({ facts, settledSeq: 1, outcome: outcomeOf(2, 2n) })
  }
  expect(index).toBeLessThanOrEqual(20_000)
  expect(charges.takeAll()).toHaveLength(index)
  expect([charges.isFull, charges.takeAll()]).toEqual([false, []])
})
