// Prices that an operator writes: read, checked, and laid over the library's.

import { hash } from 'node:crypto'
import { nanoUsdOf, parseUsd } from '../core/money.ts'
import type { ModelFacts, ModelLimits, Price, PriceStep } from '../core/prices.ts'
import { FEE_CLASSES, USAGE_CLASSES, type UsageClass } from '../core/usage.ts'
import { fillRates, type KnownRates, rateOf } from './rates.ts'
import { NO_TIERS } from './service-tiers.ts'

/** Dollars as a decimal (`"0.15"`, at most nine decimals) or a number. */
type Dollars = string | number

/**
 * A model's price and limits as an operator writes them: dollars per million tokens, `webSearches` and `requests` in dollars
 * per thousand. With both `input` and `output` it is a whole price, classes it leaves out follow their nearest relative;
 * with fewer it corrects the price already known. Limits it leaves out stay as known. Zero is a price.
 */
export type UserPrice = {
  readonly [Name in UsageClass | keyof ModelLimits]?: Name extends UsageClass ? Dollars : number
}

export interface UserPriceEntry {
  /** A provider's name, or `*` for any. The entry of a named provider wins over that of `*`. */
  readonly provider: string
  /** Also stands for the model's dated names, unless they have their own entry. */
  readonly model: string
  readonly price: UserPrice
}

export interface UserLayer {
  readonly rates: KnownRates
  readonly limits: Partial<ModelLimits>
  readonly version: string
}

const LIMIT_NAMES = ['contextWindow', 'maxOutput', 'usualOutput'] as const

export function compileUserLayer(
  { provider, model, price }: UserPriceEntry,
  source: string,
): [key: string, layer: UserLayer] {
  const where = `price of ${provider}/${model}`
  const rates: KnownRates = {}
  for (const name of USAGE_CLASSES) {
    const dollars = price[name]
    if (dollars !== undefined) rates[name] = rateOf(name, userRate(dollars, `${where}: ${name}`))
  }
  const limits: { -readonly [Name in keyof ModelLimits]?: number } = {}
  for (const name of LIMIT_NAMES) {
    const tokens = price[name]
    if (tokens === undefined) continue
    if (!Number.isSafeInteger(tokens) || tokens < 0)
      throw new RangeError(`${where}: ${name} must be a whole number of tokens`)
    limits[name] = tokens
  }
  const figures = USAGE_CLASSES.map((name) => rates[name] ?? '').join(',')
  const version = `${source}#${hash('sha256', figures).slice(0, 8)}`
  return [`${provider}\n${model.trim().toLowerCase()}`, { rates, limits, version }]
}

export function findLayer(
  source: ReadonlyMap<string, UserLayer>,
  owner: string,
  names: readonly string[],
): UserLayer | undefined {
  const name = source.size === 0 ? undefined : names.find((each) => source.has(`${owner}\n${each}`))
  return name === undefined ? undefined : source.get(`${owner}\n${name}`)
}

function userRate(dollars: Dollars, where: string): bigint {
  if (typeof dollars === 'number' && Number.isFinite(dollars) && dollars >= 0) return nanoUsdOf(dollars)
  const nanoUsd = typeof dollars === 'string' ? parseUsd(dollars) : undefined
  if (nanoUsd === undefined) throw new RangeError(`${where} must be decimal dollars, zero or more`)
  return nanoUsd
}

export function applyLayer(under: ModelFacts, layer: UserLayer, claude: boolean): ModelFacts {
  return { price: overlayPrice(under.price, layer, claude), limits: overlayLimits(under.limits, layer.limits) }
}

function overlayPrice(under: Price | undefined, { rates, version }: UserLayer, claude: boolean): Price | undefined {
  if (Object.keys(rates).length === 0) return under
  const serviceTierPercent = under?.serviceTierPercent ?? NO_TIERS
  if (rates.input !== undefined && rates.output !== undefined) {
    const free = Object.values(rates).every((rate) => rate === 0n)
    const known = free || !under ? rates : { ...feesOf(under), ...rates }
    const steps: Price['steps'] = [{ fromInputTokens: 0, rates: fillRates(known, claude) }]
    const toolFees = under?.toolFees
    return { version, steps, serviceTierPercent, ...(toolFees && !free ? { toolFees } : {}) }
  }
  if (!under) return undefined
  const corrected = (step: PriceStep): PriceStep => ({ ...step, rates: { ...step.rates, ...rates } })
  const [first, ...later] = under.steps
  return { ...under, version, steps: [corrected(first), ...later.map(corrected)] }
}

/** The fees of the price below. A whole price that leaves out fees keeps them, unless it is zero altogether. */
function feesOf({ steps: [{ rates }] }: Price): KnownRates {
  return Object.fromEntries(FEE_CLASSES.map((name) => [name, rates[name]]))
}

/** A model that nobody knows needs its context window; its output is then at most that. */
function overlayLimits(under: ModelLimits | undefined, layer: Partial<ModelLimits>): ModelLimits | undefined {
  const contextWindow = layer.contextWindow ?? under?.contextWindow
  if (contextWindow === undefined) return undefined
  const maxOutput = layer.maxOutput ?? under?.maxOutput ?? contextWindow
  const usualOutput = Math.min(layer.usualOutput ?? under?.usualOutput ?? 1_000, maxOutput)
  return { contextWindow, maxOutput, usualOutput }
}
