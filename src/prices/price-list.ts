// The price list: the models of a price file, compiled into prices and limits. It never guesses: an unknown name has no price.

import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { PROVIDER_SPELLINGS } from '../core/model-name.ts'
import { nanoUsdOf } from '../core/money.ts'
import type { ModelLimits, Price, PriceStep, PriceSteps, Retirement } from '../core/prices.ts'
import { USAGE_CLASSES, type UsageClass } from '../core/usage.ts'
import { familyNames } from './model-names.ts'
import {
  type FileModel,
  type FileNames,
  type FilePrice,
  type FileProvider,
  type FileRates,
  type FileSpan,
  findModel,
  isPricedModel,
  type PriceFile,
} from './price-file.ts'
import { type PriceSpan, spanOf } from './price-spans.ts'
import { fillRates, isClaude, isFee, type KnownRates, rateOf, scaledSteps } from './rates.ts'

/** The file's ids of providers, by our names. All other providers have the same id in both. */
const FILE_IDS: ReadonlyMap<string, string> = new Map([
  ...[...(PROVIDER_SPELLINGS.get('google') ?? []), 'google_vertex'].map((name) => [name, 'google'] as const),
  ['bedrock', 'aws'],
  ['xai', 'x-ai'],
  ['moonshot', 'moonshotai'],
  ['voyage', 'voyageai'],
])

/** The region of a provider's name in the price book: `openai+regional` is OpenAI at an address of one region. */
const REGIONAL = '+regional'

/** A provider's name in the price book without its region. */
export function withoutRegion(priceName: string): string {
  return priceName.endsWith(REGIONAL) ? priceName.slice(0, -REGIONAL.length) : priceName
}

/** In place of limits that no source has. Limits on tokens per minute reserve a usual answer. */
const DEFAULT_USUAL_OUTPUT_TOKENS = 1_000

const KNOWN_CLASSES: ReadonlySet<string> = new Set(USAGE_CLASSES)

/** A model's prices over time. The last price whose span holds counts, or the first if no span holds. */
export interface Timeline {
  readonly spans: readonly PriceSpan[]
  readonly prices: readonly (Price | undefined)[]
}

/** What is known of a model. */
export interface TimedModelFacts {
  readonly timeline: Timeline
  readonly limits: ModelLimits | undefined
  readonly retirement: Retirement | undefined
}

/** A model of the file, and the provider whose list has it: Azure and Vertex serve other providers' models too. */
interface ListedModel {
  readonly owner: FileProvider
  readonly ownerId: string
  /** The provider that serves the model. */
  readonly server: FileProvider
  readonly serverId: string
  readonly model: FileModel
}

/** What a provider of the file serves. */
export interface ServedNames {
  readonly id: string
  readonly facts: Omit<FileProvider, 'models'>
  readonly models: readonly { readonly id: string; readonly names: readonly string[]; readonly isPriced: boolean }[]
}

const ALWAYS: readonly PriceSpan[] = [{ fromMs: Number.NEGATIVE_INFINITY, hours: undefined }]
const UNKNOWN_TIMELINE: Timeline = { spans: ALWAYS, prices: [undefined] }

/** A timeline with one price that always holds. */
export function constantTimeline(price: Price): Timeline {
  return { spans: ALWAYS, prices: [price] }
}

export class PriceList {
  /** As every entry records it: `prices@2026-11-30#1a2b3c4d`. */
  readonly version: string
  /** The day on which the file was made: `2026-11-30`. */
  readonly date: string
  readonly #file: PriceFile
  /** The limits of each family of models. */
  readonly families: ReadonlyMap<string, ModelLimits>
  /** Names of the same model share a timeline. */
  readonly #timelines = new Map<FileModel, Map<string, Timeline>>()

  /**
   * @param file checked: `readPriceFile` checks a file from elsewhere
   * @param digest tells files of the same day apart
   */
  constructor(file: PriceFile, digest: string) {
    this.#file = file
    this.date = file.date
    this.families = new Map(
      Object.entries(file.limits).map(([family, [contextWindow, maxOutput, usualOutput]]) => [
        family,
        { contextWindow, maxOutput, usualOutput },
      ]),
    )
    this.version = `prices@${file.date}#${digest}`
  }

  /**
   * The limits of a model and its prices over time. An unknown model has no price.
   * @param provider our name of the provider, with its region
   * @param spellings names of the model to look up, the most literal first
   */
  facts(provider: string, spellings: readonly string[], model: string): TimedModelFacts {
    const isRegional = provider.endsWith(REGIONAL)
    const id = fileIdOf(withoutRegion(provider))
    for (const name of spellings) {
      const found = this.#find(id, name)
      if (!found) continue
      const { ends: date, successor } = found.model
      return {
        timeline: this.#timelineOf(found, isRegional),
        limits: this.#limitsOf(model, found.model),
        retirement: date === undefined ? undefined : { date, successor },
      }
    }
    return { timeline: UNKNOWN_TIMELINE, limits: this.familyLimits(model), retirement: undefined }
  }

  /** Ids of the models that a provider serves now. Google's list has Claude, which the Gemini endpoint does not serve. */
  servedModels(provider: string, atMs: number): readonly string[] {
    const name = withoutRegion(provider)
    const server = this.#providerOf(fileIdOf(name))
    const owners = (server?.alsoServes ?? []).flatMap((owner) => this.#providerOf(owner) ?? [])
    // Azure's list still has OpenAI's first models.
    const isDeprecatedByOwner = (id: string) =>
      owners.some(({ models }) => models.some((model) => model.id === id && model.isDeprecated))
    const served = (server?.models ?? []).filter(
      ({ id, isDeprecated, ends }) => !isDeprecated && !isDeprecatedByOwner(id) && !(ends && Date.parse(ends) <= atMs),
    )
    const ids = served.map(({ id }) => id)
    if (name === 'openai') return ids.filter((id) => !/^ft:|\.ft-/.test(id))
    return name === 'gemini' ? ids.filter((id) => !isClaude(id)) : ids
  }

  /** The models of a provider whose price changes after `fromMs` and until `toMs`, with the day, in UTC. */
  changesWithin(provider: string, fromMs: number, toMs: number): readonly { model: string; date: string }[] {
    const served = new Set(this.servedModels(provider, fromMs))
    const models = this.#providerOf(fileIdOf(withoutRegion(provider)))?.models ?? []
    return models.flatMap(({ id, spans }) => {
      const dates = spans.flatMap(({ from }) => (from === undefined ? [] : [from]))
      const date = dates.find((from) => Date.parse(from) > fromMs && Date.parse(from) <= toMs)
      return date === undefined || !served.has(id) ? [] : [{ model: id, date }]
    })
  }

  /** What each provider of the file has, by the file's id: facts that hold for all of its models, and the names of the models that it serves. */
  *servedNames(): Generator<ServedNames> {
    for (const [id, provider] of Object.entries(this.#file.providers)) {
      const owners = [provider, ...(provider.alsoServes ?? []).flatMap((other) => this.#providerOf(other) ?? [])]
      const models = owners.flatMap((owner) =>
        owner.models.map((model) => ({ id: model.id, names: namesOf(model), isPriced: isPricedModel(model) })),
      )
      const { models: _, ...facts } = provider
      yield { id, facts, models }
    }
  }

  /** The facts of a provider of the file that hold for all of its models. Undefined if the file does not have the provider. */
  providerFacts(id: string): ServedNames['facts'] | undefined {
    return this.#providerOf(id)
  }

  /** Whether a name has the same row and the same facts of its providers in another list. @param provider the file's id of the provider */
  hasSameRow(other: PriceList, provider: string, name: string): boolean {
    const own = this.#find(provider, name)
    const others = other.#find(provider, name)
    return own !== undefined && others !== undefined && isDeepStrictEqual(sourceOf(own), sourceOf(others))
  }

  #providerOf(id: string): FileProvider | undefined {
    return Object.hasOwn(this.#file.providers, id) ? this.#file.providers[id] : undefined
  }

  #find(id: string, name: string): ListedModel | undefined {
    const server = this.#providerOf(id)
    if (!server) return undefined
    for (const ownerId of [id, ...(server.alsoServes ?? [])]) {
      const owner = this.#providerOf(ownerId)
      const model = owner && findModel(owner.models, name)
      if (model) return isGuess(ownerId, model, name) ? undefined : { owner, ownerId, server, serverId: id, model }
    }
    return undefined
  }

  #timelineOf(found: ListedModel, isRegional: boolean): Timeline {
    let ofModel = this.#timelines.get(found.model)
    if (!ofModel) this.#timelines.set(found.model, (ofModel = new Map()))
    const percent = (isRegional && (found.model.uplifts ?? found.owner.uplifts)?.regional) || 100
    const key = `${found.ownerId} ${found.serverId} ${percent}`
    let timeline = ofModel.get(key)
    if (!timeline) ofModel.set(key, (timeline = compileTimeline(found, this.version, percent)))
    return timeline
  }

  /** The limits of a model's family, in any provider's spelling, dated or not. Undefined if the family is not listed. */
  familyLimits(model: string): ModelLimits | undefined {
    for (const family of familyNames(model)) {
      const limits = this.families.get(family)
      if (limits) return limits
    }
    return undefined
  }

  #limitsOf(name: string, model: FileModel): ModelLimits | undefined {
    const ofFamily = this.familyLimits(name) ?? this.familyLimits(model.id)
    if (ofFamily || !model.limits) return ofFamily
    const [contextWindow, maxOutput] = model.limits
    return { contextWindow, maxOutput, usualOutput: Math.min(DEFAULT_USUAL_OUTPUT_TOKENS, maxOutput) }
  }
}

/** Everything of the file that a price is made of. */
function sourceOf({ owner: { models: _, ...owner }, server: { models: __, ...server }, model }: ListedModel): unknown {
  return [owner, server, model]
}

/** The file's id of one of our providers. */
export function fileIdOf(provider: string): string {
  return FILE_IDS.get(provider) ?? provider
}

let shippedList: PriceList | undefined

/** The list of the file that this version ships. A test checks the file. */
export function shippedPriceList(): PriceList {
  shippedList ??= readShippedList()
  return shippedList
}

function readShippedList(): PriceList {
  const text = readFileSync(new URL('./prices.json', import.meta.url), 'utf8')
  return new PriceList(JSON.parse(text) as PriceFile, digestOf(text))
}

export function digestOf(text: string): string {
  return hash('sha256', text).slice(0, 8)
}

/**
 * True if the file matches only the beginning of a Claude or Gemini name and what follows is not a snapshot or a stage: the
 * price of `claude-sonnet-5` would also count for a `claude-sonnet-5-9` that costs more and is not listed yet.
 */
function isGuess(ownerId: string, model: FileModel, name: string): boolean {
  if (ownerId !== 'anthropic' && ownerId !== 'google') return false
  const listed = new Set([model.id, ...namesIn(model.names)].flatMap((text) => familyNames(text).slice(0, 1)))
  return !familyNames(name).some((family) => listed.has(family))
}

/** The names of a model that can be looked up as they are written, in lower case. */
function namesOf({ id, names }: FileModel): readonly string[] {
  return [...new Set([id.toLowerCase(), ...(names.equals ?? []), ...(names.startsWith ?? [])])]
}

/** Patterns are the lists' own rules for snapshots: what they match is no guess, and `isGuess` knows its family. */
function namesIn({ equals = [], startsWith = [], endsWith = [], contains = [] }: FileNames): readonly string[] {
  return [...equals, ...startsWith, ...endsWith, ...contains]
}

function compileTimeline(found: ListedModel, version: string, percent: number): Timeline {
  const { owner, model } = found
  return {
    spans: model.spans.map((span) => spanOf(span, owner.holidays)),
    prices: model.spans.map((span) => priceOf(found, span, version, percent)),
  }
}

function priceOf(found: ListedModel, span: FileSpan, version: string, percent: number): Price | undefined {
  const { owner, server, model } = found
  const isFree = Object.keys(span.rates).length === 0
  const compile = (rates: FileRates) => stepsOf(isFree ? rates : { ...owner.rates, ...rates, ...server.fees }, model.id)
  const steps = isPriced(span.rates) ? compile(span.rates) : undefined
  if (!steps) return undefined
  const tiers = new Map<string, PriceSteps>()
  for (const [tier, rates] of Object.entries({ ...owner.tiers, ...span.tiers }))
    tiers.set(tier, typeof rates === 'number' ? scaledSteps(steps, rates) : compile({ ...span.rates, ...rates }))
  const uplifted = percent === 100 ? steps : scaledSteps(steps, percent)
  const upliftedTiers = new Map([...tiers].map(([tier, rates]) => [tier, scaledSteps(rates, percent)]))
  return {
    version,
    steps: uplifted,
    tiers: percent === 100 ? withRegions(steps, tiers, { ...owner.uplifts, ...model.uplifts }) : upliftedTiers,
  }
}

/** A request or an answer can name a region beside its tier: `us`, `fast+us`. */
function withRegions(
  standard: PriceSteps,
  tiers: ReadonlyMap<string, PriceSteps>,
  uplifts: Readonly<Record<string, number>>,
): ReadonlyMap<string, PriceSteps> {
  const all = new Map(tiers)
  for (const [region, percent] of Object.entries(uplifts)) {
    all.set(region, scaledSteps(standard, percent))
    for (const [tier, steps] of tiers) all.set(`${tier}+${region}`, scaledSteps(steps, percent))
  }
  return all
}

/** False if a model is priced only in units that the gateway does not meter. A model without any price is free. */
function isPriced(rates: FileRates): boolean {
  const names = Object.keys(rates)
  return names.length === 0 || names.some((name) => isKnown(name) && !isFee(name))
}

function isKnown(name: string): name is UsageClass {
  return KNOWN_CLASSES.has(name)
}

function stepsOf(rates: FileRates, modelId: string): PriceSteps {
  const prices = Object.entries(rates).flatMap(([name, price]) => (isKnown(name) ? [[name, price] as const] : []))
  const step = (fromInputTokens: number): PriceStep => {
    const known: KnownRates = {}
    for (const [name, price] of prices) known[name] = rateOf(name, nanoUsdOf(dollarsAt(price, fromInputTokens)))
    return { fromInputTokens, rates: fillRates(known, isClaude(modelId)) }
  }
  const edges = new Set(prices.flatMap(([, price]) => (typeof price === 'number' ? [] : Object.keys(price.over))))
  return [
    step(0),
    ...[...edges]
      .map((edge) => Number(edge) + 1)
      .sort((a, b) => a - b)
      .map(step),
  ]
}

/** The highest edge that is reached counts, for the whole call. */
function dollarsAt(price: FilePrice, inputTokens: number): number {
  if (typeof price === 'number') return price
  let dollars = price.base
  let reached = -1
  for (const [edge, above] of Object.entries(price.over)) {
    if (inputTokens <= Number(edge) || Number(edge) <= reached) continue
    reached = Number(edge)
    dollars = above
  }
  return dollars
}
