// Focus columns: the columns of FOCUS 1.0 (FinOps Open Cost and Usage Specification) that the gateway can fill, and its own after them.
//
// Left out, as the specification lets a provider that has no such thing: AvailabilityZone, RegionId, RegionName, ContractedUnitPrice and
// the five columns of commitment discounts. A null is an empty cell.

import { formatUsd } from '../core/money.ts'
import { MILLION_UNITS } from '../core/prices.ts'
import { CLASS_ROWS, type FeeClass, type UsageClass } from '../core/usage.ts'
import type { FocusCharge } from './charges.ts'

/** A column, and its value in a row. `text` is what others wrote, or may contain. */
export interface FocusColumn {
  readonly name: string
  readonly kind: 'figure' | 'text'
  readonly value: (charge: FocusCharge) => string | number | bigint | null
}

const figure = (name: string, value: FocusColumn['value']): FocusColumn => ({ name, kind: 'figure', value })
const text = (name: string, value: FocusColumn['value']): FocusColumn => ({ name, kind: 'text', value })

/** The account of a gateway that knows no organisations. */
const DEFAULT_ACCOUNT = 'bursar'

export const FOCUS_COLUMNS: readonly FocusColumn[] = [
  figure('BilledCost', ({ nanoUsd }) => formatUsd(nanoUsd)),
  text('BillingAccountId', ({ organisation }) => organisation ?? DEFAULT_ACCOUNT),
  text('BillingAccountName', ({ organisation }) => organisation),
  figure('BillingCurrency', () => 'USD'),
  figure('BillingPeriodEnd', ({ startsAtMs }) => timeText(monthStart(startsAtMs, 1))),
  figure('BillingPeriodStart', ({ startsAtMs }) => timeText(monthStart(startsAtMs, 0))),
  figure('ChargeCategory', ({ unitClass }) => (unitClass === null ? 'Adjustment' : 'Usage')),
  // A correction is in the period of the call that it corrects.
  figure('ChargeClass', () => null),
  text('ChargeDescription', (charge) => descriptionOf(charge)),
  figure('ChargeFrequency', ({ unitClass }) => (unitClass === null ? 'One-Time' : 'Usage-Based')),
  figure('ChargePeriodEnd', ({ endsAtMs }) => timeText(endsAtMs)),
  figure('ChargePeriodStart', ({ startsAtMs }) => timeText(startsAtMs)),
  figure('ConsumedQuantity', ({ unitClass, units }) => (unitClass === null ? null : units)),
  figure('ConsumedUnit', ({ unitClass }) => unitNameOf(unitClass)),
  figure('ContractedCost', ({ nanoUsd }) => formatUsd(nanoUsd)),
  figure('EffectiveCost', ({ nanoUsd }) => formatUsd(nanoUsd)),
  text('InvoiceIssuerName', ({ provider }) => providerName(provider)),
  figure('ListCost', (charge) => listCostOf(charge)),
  figure('ListUnitPrice', (charge) => listPriceOf(charge)),
  figure('PricingCategory', ({ unitClass }) => (unitClass === null ? null : 'Standard')),
  figure('PricingQuantity', ({ unitClass, units }) => (unitClass === null ? null : units)),
  figure('PricingUnit', ({ unitClass }) => unitNameOf(unitClass)),
  text('ProviderName', ({ provider }) => providerName(provider)),
  text('PublisherName', ({ provider, model }) => publisherName(provider, model)),
  text('ResourceId', ({ key }) => key),
  text('ResourceName', ({ key }) => key),
  figure('ResourceType', ({ key }) => (key === null ? null : 'API Key')),
  figure('ServiceCategory', () => 'AI and Machine Learning'),
  text('ServiceName', ({ provider }) => `${providerName(provider)} API`),
  text('SkuId', (charge) => skuOf(charge)),
  text('SkuPriceId', (charge) => skuPriceOf(charge)),
  text('SubAccountId', ({ project }) => project),
  text('SubAccountName', ({ project }) => project),
  text('Tags', (charge) => tagsOf(charge)),
  text('x_Key', ({ key }) => key),
  text('x_Organisation', ({ organisation }) => organisation),
  text('x_Model', ({ provider, model }) => `${provider}/${model}`),
  figure('x_UnitClass', ({ unitClass }) => (unitClass === null ? null : CLASS_ROWS[unitClass].json)),
  figure('x_CallCount', ({ count }) => count),
]

/** `2026-11-22T09:00:00Z` */
function timeText(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 19)}Z`
}

/** The billing period is the calendar month in UTC. */
function monthStart(wallMs: number, monthsLater: number): number {
  const date = new Date(wallMs)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + monthsLater)
}

const FEE_UNITS: Readonly<Record<FeeClass, string>> = {
  webSearches: 'Searches',
  mapsQueries: 'Queries',
  sources: 'Sources',
  fileSearches: 'Searches',
  documentSearches: 'Searches',
  pageVisits: 'Pages',
  codeRuns: 'Runs',
  containerGigabytes: 'GB',
  audioSeconds: 'Seconds',
  containerSeconds: 'Seconds',
  requests: 'Requests',
}

function unitNameOf(unitClass: UsageClass | null): string | null {
  if (unitClass === null) return null
  return isFee(unitClass) ? FEE_UNITS[unitClass] : 'Tokens'
}

function isFee(unitClass: UsageClass): unitClass is FeeClass {
  return CLASS_ROWS[unitClass].part === 'fee'
}

function descriptionOf({ model, unitClass }: FocusCharge): string {
  if (unitClass === null) return `${model}, corrected cost`
  const name = CLASS_ROWS[unitClass].json.replaceAll('_', ' ')
  return isFee(unitClass) ? `${model}, ${name}` : `${model}, ${name} tokens`
}

/** Nano-dollars per million units are dollars × 10^15 per unit. */
const UNIT_PRICE_DECIMALS = 15

/** The list price of a unit; what a unit did cost, rounded down, if no price is known. Null for a correction. */
function rateOf({ unitClass, listRate, units, nanoUsd }: FocusCharge): bigint | null {
  if (unitClass === null) return null
  return listRate ?? (units === 0n ? 0n : (nanoUsd * MILLION_UNITS) / units)
}

function listPriceOf(charge: FocusCharge): string | null {
  const rate = rateOf(charge)
  return rate === null ? null : decimal(rate, UNIT_PRICE_DECIMALS)
}

/** Exactly ListUnitPrice × PricingQuantity. Of a correction: the billed cost. */
function listCostOf(charge: FocusCharge): string {
  const rate = rateOf(charge)
  return rate === null ? formatUsd(charge.nanoUsd) : decimal(rate * charge.units, UNIT_PRICE_DECIMALS)
}

/** A whole number with a decimal point before its last digits, and without zeros at its end. Never negative. */
function decimal(value: bigint, decimals: number): string {
  const digits = value.toString().padStart(decimals + 1, '0')
  const fraction = digits.slice(-decimals).replace(/0+$/, '')
  const whole = digits.slice(0, -decimals)
  return fraction === '' ? whole : `${whole}.${fraction}`
}

function skuOf({ provider, model, unitClass }: FocusCharge): string | null {
  return unitClass === null ? null : `${provider}/${model}/${CLASS_ROWS[unitClass].json}`
}

/** One price has one id. */
function skuPriceOf(charge: FocusCharge): string | null {
  const sku = skuOf(charge)
  return sku === null ? null : `${sku}@${listPriceOf(charge)}`
}

function tagsOf({ key, organisation, project }: FocusCharge): string | null {
  const tags = Object.entries({ key, organisation, project }).filter(([, value]) => value !== null)
  return tags.length === 0 ? null : JSON.stringify(Object.fromEntries(tags))
}

/** As the providers write their names. All others are written as the gateway knows them. */
const PROVIDER_NAMES: ReadonlyMap<string, string> = new Map([
  ['openai', 'OpenAI'],
  ['anthropic', 'Anthropic'],
  ['gemini', 'Google'],
  ['google', 'Google'],
  ['azure', 'Microsoft'],
  ['bedrock', 'Amazon Web Services'],
  ['aws', 'Amazon Web Services'],
  ['mistral', 'Mistral AI'],
  ['deepseek', 'DeepSeek'],
  ['xai', 'xAI'],
  ['groq', 'Groq'],
  ['openrouter', 'OpenRouter'],
])

function providerName(provider: string): string {
  return PROVIDER_NAMES.get(provider) ?? provider
}

/** At a router, `anthropic/claude-…` is a model that Anthropic publishes. */
function publisherName(provider: string, model: string): string {
  const slash = model.indexOf('/')
  return providerName(slash > 0 ? model.slice(0, slash) : provider)
}
