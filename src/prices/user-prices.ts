// Prices that an operator writes, in bursar.json or in code: checks them, and lays them over those of the price list.

import { hash } from 'node:crypto'
import { divideUp, nanoUsdOf, parseUsd } from '../core/money.ts'
import {
  type ModelFacts,
  type ModelLimits,
  NO_TIERS,
  type Price,
  type PriceStep,
  type PriceSteps,
} from '../core/prices.ts'
import { FEE_CLASSES, USAGE_CLASSES, type UsageClass } from '../core/usage.ts'
import { fillRates, type KnownRates, rateOf, scaledSteps } from './rates.ts'

/** Dollars as a decimal (`"0.15"`, at most nine decimals) or a number. */
type Dollars = string | number

/**
 * A model's price and limits as an operator writes them: dollars per million tokens, or per thousand of units that are not
 * tokens (`pricedPer` in core/usage.ts). With both `input` and `output` it is a whole price, and the classes it leaves
 * out follow their nearest relative. With fewer, it corrects the price already known. Limits it leaves out stay as
 * known. Zero is a price.
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
  /** Where it is set, for its version. Absent: in bursar.json. */
  readonly source?: string
}

/** A compiled entry, to be laid over the price and limits known so far. */
export interface UserLayer {
  readonly rates: KnownRates
  readonly limits: Partial<ModelLimits>
  /** Source and digest of the rates: `bursar.json#1a2b3c4d`. */
  readonly version: string
}

/** All prices of bursar.json and of /admin/prices, checked: layers by `provider\nmodel`. */
export type UserPrices = ReadonlyMap<string, UserLayer>

const LIMIT_NAMES = ['contextWindow', 'maxOutput', 'usualOutput'] as const

/**
 * Checks and compiles all prices of bursar.json. Of two entries for one model, the last counts. Throws a RangeError that names the
 * first mistake and where it is.
 */
export function compileUserPrices(entries: readonly UserPriceEntry[]): UserPrices {
  return new Map(entries.map((entry) => compileUserLayer(entry, entry.source ?? 'bursar.json')))
}

/** @param source the beginning of the version: `bursar.json` or `code` */
export function compileUserLayer(
  { provider, model, price }: UserPriceEntry,
  source: string,
): [key: string, layer: UserLayer] {
  const where = `price of ${provider}/${model}`
  const rates = compileRates(price, where)
  const figures = USAGE_CLASSES.map((name) => rates[name] ?? '').join(',')
  const version = `${source}#${hash('sha256', figures).slice(0, 8)}`
  return [`${provider}\n${model.trim().toLowerCase()}`, { rates, limits: compileLimits(price, where), version }]
}

function compileRates(price: UserPrice, where: string): KnownRates {
  const rates: KnownRates = {}
  for (const name of USAGE_CLASSES) {
    const dollars = price[name]
    if (dollars !== undefined) rates[name] = rateOf(name, parseDollars(dollars, `${where}: ${name}`))
  }
  return rates
}

function compileLimits(price: UserPrice, where: string): Partial<ModelLimits> {
  const limits: { -readonly [Name in keyof ModelLimits]?: number } = {}
  for (const name of LIMIT_NAMES) {
    const tokens = price[name]
    if (tokens === undefined) continue
    if (!Number.isSafeInteger(tokens) || tokens < 0)
      throw new RangeError(`${where}: ${name} must be a whole number of tokens`)
    limits[name] = tokens
  }
  return limits
}

/** The layer of the first of these names that has one. */
export function findLayer(prices: UserPrices, owner: string, names: readonly string[]): UserLayer | undefined {
  if (prices.size === 0) return undefined
  for (const name of names) {
    const layer = prices.get(`${owner}\n${name}`)
    if (layer) return layer
  }
  return undefined
}

/** In nano-dollars. */
function parseDollars(dollars: Dollars, where: string): bigint {
  if (typeof dollars === 'number' && Number.isFinite(dollars) && dollars >= 0) return nanoUsdOf(dollars)
  const nanoUsd = typeof dollars === 'string' ? parseUsd(dollars) : undefined
  if (nanoUsd === undefined) throw new RangeError(`${where} must be decimal dollars, zero or more`)
  return nanoUsd
}

/** The facts of a model with a layer over them. */
export function applyLayer(under: ModelFacts, layer: UserLayer, isClaudeModel: boolean): ModelFacts {
  return {
    ...under,
    price: overlayPrice(under.price, layer, isClaudeModel),
    limits: overlayLimits(under.limits, layer.limits),
  }
}

function overlayPrice(
  under: Price | undefined,
  { rates, version }: UserLayer,
  isClaudeModel: boolean,
): Price | undefined {
  if (Object.keys(rates).length === 0) return under
  if (rates.input !== undefined && rates.output !== undefined) return wholePrice(under, rates, version, isClaudeModel)
  if (!under) return undefined
  const tiers = [...under.tiers].map(([tier, steps]) => [tier, correctedSteps(steps, rates, under.steps)] as const)
  const steps = correctedSteps(under.steps, rates)
  return { ...under, version, isOperators: true, steps, tiers: new Map(tiers), freeFees: freeFeesOf(rates) }
}

/** A tier costs the same percentage of the operator's price as of the price below. */
function wholePrice(under: Price | undefined, rates: KnownRates, version: string, isClaudeModel: boolean): Price {
  const isFree = Object.values(rates).every((rate) => rate === 0n)
  const known = isFree || !under ? rates : { ...feesOf(under), ...rates }
  const steps: PriceSteps = [{ fromInputTokens: 0, rates: fillRates(known, isClaudeModel) }]
  const freeFees = freeFeesOf(rates)
  if (!under || isFree) return { version, isOperators: true, steps, tiers: NO_TIERS, freeFees }
  const tiers = [...under.tiers].map(([tier, own]) => [tier, scaledSteps(steps, percentOf(own, under.steps))] as const)
  return { version, isOperators: true, steps, tiers: new Map(tiers), freeFees }
}

/** The highest percentage that a tier's input or output costs, rounded up. */
function percentOf([{ rates: tier }]: PriceSteps, [{ rates: standard }]: PriceSteps): number {
  const percents = (['input', 'output'] as const).map((name) =>
    standard[name] === 0n ? 100 : Number(divideUp(tier[name] * 1_000_000n, standard[name])) / 10_000,
  )
  return Math.max(...percents)
}

/**
 * Steps with the operator's rates in place of their own.
 * @param standard the steps of the standard tier, if these are another tier's, which keeps its share of each rate
 */
function correctedSteps(steps: PriceSteps, rates: KnownRates, standard?: PriceSteps): PriceSteps {
  const standardRates = standard?.[0].rates
  const corrected = (step: PriceStep): PriceStep => {
    const own: KnownRates = {}
    for (const [name, rate] of Object.entries(rates) as [UsageClass, bigint][]) {
      const whole = standardRates?.[name] ?? 0n
      own[name] = whole === 0n ? rate : divideUp(rate * step.rates[name], whole)
    }
    return { ...step, rates: { ...step.rates, ...own } }
  }
  const [first, ...later] = steps
  return [corrected(first), ...later.map(corrected)]
}

/** The fees of the price below. A whole price that leaves out fees keeps them, unless it is zero altogether. */
function feesOf({ steps: [{ rates }] }: Price): KnownRates {
  return Object.fromEntries(FEE_CLASSES.map((name) => [name, rates[name]]))
}

/** The fees that the operator wrote as zero. */
function freeFeesOf(rates: KnownRates): ReadonlySet<UsageClass> {
  return new Set(FEE_CLASSES.filter((name) => rates[name] === 0n))
}

/** An unknown model gets limits only if its context window is given. Its output is at most that. */
function overlayLimits(under: ModelLimits | undefined, layer: Partial<ModelLimits>): ModelLimits | undefined {
  const contextWindow = layer.contextWindow ?? under?.contextWindow
  if (contextWindow === undefined) return undefined
  const maxOutput = layer.maxOutput ?? under?.maxOutput ?? contextWindow
  const usualOutput = Math.min(layer.usualOutput ?? under?.usualOutput ?? 1_000, maxOutput)
  return { contextWindow, maxOutput, usualOutput }
}
