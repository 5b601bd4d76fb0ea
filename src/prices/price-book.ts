// The price book: what every known model costs and can take, from genai-prices, our own corrections and the operator.
// It compiles a name once and remembers it; it does no I/O and never guesses: an unknown name has no price.

import { hash } from 'node:crypto'
import {
  type ConditionalPrice,
  calcPrice,
  findProvider,
  type MatchLogic,
  type ModelInfo,
  type ModelPrice,
} from '@pydantic/genai-prices'
import { divideUp, parseUsd } from '../core/money.ts'
import {
  type ModelFacts,
  type ModelLimits,
  type Price,
  type PriceBook,
  type PriceStep,
  type Rates,
  ratesOf,
} from '../core/prices.ts'
import { FEE_CLASSES, USAGE_CLASSES, type UsageClass } from '../core/usage.ts'
import { limitsOf } from './model-limits.ts'
import { familyNames, modelNames } from './model-names.ts'

/** The version recorded for prices that are the library's own. A test holds it to the installed package. */
export const LIBRARY_VERSION = 'genai-prices@0.1.8'
const OVERRIDE_VERSION = 'bursar@1'

/** Names remembered of one provider, known or not: callers choose names, so this bounds what they can make us hold. */
export const MOST_NAMES = 10_000

/** Dollars as a decimal (`"0.15"`, at most nine decimals) or a number. */
export type Dollars = string | number

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

export interface EditablePriceBook extends PriceBook {
  /** Sets a price in code. Throws a RangeError that names the mistake. */
  addPrice(provider: string, model: string, price: UserPrice): void
  /** Swaps all prices of `bursar.json` at once; on a mistake throws a RangeError and keeps the old ones. */
  replaceUserPrices(entries: readonly UserPriceEntry[]): void
  /** Ids of the models with a known price, for listings: the library's and the operator's. */
  models(provider: string): readonly string[]
  /** How many names are remembered now; at most `MOST_NAMES` of each provider. */
  readonly remembered: number
}

/** Our names for providers that genai-prices calls otherwise. All others must be its own ids exactly. */
const LIBRARY_IDS: ReadonlyMap<string, string> = new Map([
  ['gemini', 'google'],
  ['vertex', 'google'],
  ['google_vertex', 'google'],
  ['bedrock', 'aws'],
  ['xai', 'x-ai'],
  ['moonshot', 'moonshotai'],
  ['voyage', 'voyageai'],
])

/**
 * The library's price keys by our class. Classes it knows and we do not fall into the one their tokens are counted in, at
 * the dearer of the two rates: video into image, cached images into cache reads, reasoning into output.
 * `storage_searches_kcount` (file search) is the same for every model: it stands in TOOLS.
 *
 * Ignored, because no usage we meter carries their units: `audio_hours`, `input_audio_hours` (transcription),
 * `input_document_kpages`, `input_annotated_document_kpages` (OCR), `input_text_messages_kcount` (realtime voice),
 * `output_citation_mtok` (Perplexity deep research). A model priced in nothing else has no price here, rather than a
 * price of zero.
 */
const CLASS_OF_KEY: ReadonlyMap<string, UsageClass> = new Map([
  ['input_mtok', 'input'],
  ['cache_read_mtok', 'cacheRead'],
  ['cache_image_read_mtok', 'cacheRead'],
  ['cache_write_mtok', 'cacheWrite5m'],
  ['cache_write_1h_mtok', 'cacheWrite1h'],
  ['output_mtok', 'output'],
  ['output_reasoning_mtok', 'output'],
  ['input_audio_mtok', 'audioInput'],
  ['cache_audio_read_mtok', 'audioCacheRead'],
  ['output_audio_mtok', 'audioOutput'],
  ['input_image_mtok', 'imageInput'],
  ['input_video_mtok', 'imageInput'],
  ['output_image_mtok', 'imageOutput'],
  ['output_video_mtok', 'imageOutput'],
  ['web_searches_kcount', 'webSearches'],
  ['requests_kcount', 'requests'],
])

type KeyPrice = Exclude<ModelPrice[string], undefined>

interface Override {
  /** The library's model that this name really is. */
  readonly as?: string
  /** Keys put over the library's, or the whole price when the library does not know the model. */
  readonly set?: Readonly<Record<string, KeyPrice>>
  /** The library says free and is wrong. */
  readonly unknown?: true
}

/** A rate that changes for the whole request once its input is *over* `start`, as the library writes it. */
function cliff(base: number, start: number, price: number): KeyPrice {
  return { base, tiers: [{ start, price }] }
}

/** Anthropic's long-context surcharge of the Sonnet 4 generation: double input, one and a half output. */
const SONNET_4_LONG: Override = {
  set: {
    input_mtok: cliff(3, 200_000, 6),
    cache_read_mtok: cliff(0.3, 200_000, 0.6),
    cache_write_mtok: cliff(3.75, 200_000, 7.5),
    cache_write_1h_mtok: cliff(6, 200_000, 12),
    output_mtok: cliff(15, 200_000, 22.5),
  },
}

/**
 * Pictures are embedded at a price of their own, film at a dearer one: it is booked by a name of its own, `…-video`, which
 * has the library's figures. What may be film is reserved at its price, as sound in the cache, which embeddings never are.
 */
const EMBEDDED_PICTURES: Override = { set: { input_video_mtok: 0.45, cache_audio_read_mtok: 12 } }

/**
 * Dollars per thousand uses of what OpenAI runs for its models, as it publishes them: calls of file search, and containers
 * for twenty minutes each, by their memory. Each is billed like a model of its own, by the request.
 */
const TOOLS = {
  file_search: 2.5,
  container_1g: 30,
  container_4g: 120,
  container_16g: 480,
  container_64g: 1_920,
}

/** Azure borrows OpenAI's models, and its tools with them. */
const TOOL_OVERRIDES = ['openai', 'azure'].flatMap((libraryId) =>
  Object.entries(TOOLS).map(([name, fee]): readonly [string, Override] => [
    `${libraryId}/${name}`,
    { set: { input_mtok: 0, requests_kcount: fee } },
  ]),
)

/** By the names of what a request declares: tools whose containers have no memory stated get the smallest. */
const TOOL_FEES: ReadonlyMap<string, bigint> = new Map(
  Object.entries({ ...TOOLS, code_interpreter: TOOLS.container_1g, shell: TOOLS.container_1g }).map(
    ([name, fee]) => [name, nanoOf(fee) * 1_000n] as const,
  ),
)

/** Every call of these models searches; the fee is per call and not in the usage. */
const SEARCH_PREVIEW: Override = { set: { requests_kcount: 25 } }

/**
 * Known holes of the library, by its provider id and the asked name, or else by its provider id and its model id. Figures
 * are the providers' published ones. `gemini-*-latest` move: they stand for the dearest model they can mean in
 * September 2026, and the answer's own model name gives the exact price.
 */
const OVERRIDES: ReadonlyMap<string, Override> = new Map<string, Override>([
  ['openai/gpt-4o-audio-preview', { set: { input_audio_mtok: 40, output_audio_mtok: 80 } }],
  ['openai/gpt-4o-audio-preview-2024-10-01', { set: { input_audio_mtok: 100, output_audio_mtok: 200 } }],
  ['openai/gpt-4o-mini-audio-preview', { set: { input_audio_mtok: 10, output_audio_mtok: 20 } }],
  ['openai/gpt-4o-search-preview', SEARCH_PREVIEW],
  ['openai/gpt-4o-mini-search-preview', SEARCH_PREVIEW],
  ['openai/gpt-4o-mini-search-preview-2025-03-11', SEARCH_PREVIEW],
  ['openai/gpt-5-search-api', { as: 'gpt-5', set: { requests_kcount: 10 } }],
  ['openai/gpt-5-search-api-2025-10-14', { as: 'gpt-5', set: { requests_kcount: 10 } }],
  ['openai/ft:gpt-4o', { set: { input_mtok: 3.75, cache_read_mtok: 1.875, output_mtok: 15 } }],
  ['openai/ft:gpt-4o-mini', { set: { input_mtok: 0.3, cache_read_mtok: 0.15, output_mtok: 1.2 } }],
  ['openai/ft:gpt-4.1', { set: { input_mtok: 3, cache_read_mtok: 0.75, output_mtok: 12 } }],
  ['openai/ft:gpt-4.1-mini', { set: { input_mtok: 0.8, cache_read_mtok: 0.2, output_mtok: 3.2 } }],
  ['openai/ft:gpt-4.1-nano', { set: { input_mtok: 0.2, cache_read_mtok: 0.05, output_mtok: 0.8 } }],
  ['openai/ft:o4-mini', { set: { input_mtok: 4, cache_read_mtok: 1, output_mtok: 16 } }],
  ['anthropic/claude-sonnet-4-0', SONNET_4_LONG],
  ['google/claude-4-sonnet', SONNET_4_LONG],
  ['google/gemini-flash-latest', { as: 'gemini-3.5-flash' }],
  ['google/gemini-flash-lite-latest', { as: 'gemini-3.5-flash-lite' }],
  ['google/gemini-pro-latest', { as: 'gemini-3.1-pro-preview' }],
  ['google/gemini-1.5-flash-8b', { as: 'gemini-flash-1.5-8b' }],
  ['google/gemini-embedding-2', EMBEDDED_PICTURES],
  ['google/gemini-embedding-2-video', { as: 'gemini-embedding-2' }],
  ...TOOL_OVERRIDES,
  ['deepseek/deepseek-chat', { as: 'deepseek-v4-flash' }],
  ['deepseek/deepseek-reasoner', { as: 'deepseek-v4-flash' }],
  ['mistral/mistral-large-latest', { as: 'mistral-large-2512' }],
  ['mistral/mistral-small-latest', { as: 'mistral-small-2603' }],
  ['mistral/devstral-latest', { as: 'devstral-2512' }],
  ['mistral/devstral-medium-latest', { as: 'devstral-2512' }],
  ['mistral/ministral-3b-latest', { as: 'ministral-3b-2512' }],
  ['mistral/ministral-14b-latest', { as: 'ministral-14b-2512' }],
  [
    'openrouter/anthropic/claude-3.5-sonnet',
    { set: { input_mtok: 6, cache_read_mtok: 0.6, cache_write_mtok: 7.5, output_mtok: 30 } },
  ],
  [
    'openrouter/openai/gpt-5.6-sol',
    {
      set: {
        input_mtok: cliff(4, 271_999, 8),
        cache_read_mtok: cliff(0.4, 271_999, 0.8),
        cache_write_mtok: cliff(5, 271_999, 10),
        output_mtok: cliff(20, 271_999, 30),
      },
    },
  ],
  ['openrouter/google/lyria-3-clip-preview', { unknown: true }],
  ['openrouter/google/lyria-3-pro-preview', { unknown: true }],
  ['openrouter/gemini-2.5-pro-exp-03-25', { unknown: true }],
  ['cerebras/qwen-3-coder-480b', { unknown: true }],
])

/** Dollars per thousand searches where the library has no figure: xAI per tool call, Gemini per grounded prompt or query. */
function searchFee(libraryId: string, family: string): number {
  if (libraryId === 'openai' || libraryId === 'anthropic') return 10
  if (libraryId === 'x-ai') return 5
  if (libraryId === 'google' && family.startsWith('gemini-')) return /^gemini-[12]\./.test(family) ? 35 : 14
  return 0
}

type Percents = Readonly<Record<string, number>>

/** Without a prototype: tiers come from requests and answers, and `constructor` is no percentage. */
function percents(of: Record<string, number>): Percents {
  return Object.freeze(Object.assign(Object.create(null) as Record<string, number>, of))
}

const NO_TIERS = percents({})

/**
 * OpenAI's priority prices in percent of the standard ones, rounded up, by the library's model: published figures. For all
 * others the highest published ratio stands (gpt-5.5 has been quoted at both 200 and 250).
 */
const OPENAI_PRIORITY: ReadonlyMap<string, number> = new Map(
  (
    [
      [167, 'gpt-4o-mini'],
      [170, 'gpt-4o'],
      [175, 'gpt-4o-2024-05-13 gpt-4.1 gpt-4.1-mini o3'],
      [180, 'gpt-5-mini gpt-5.1-codex-mini'],
      [182, 'o4-mini'],
      [200, 'gpt-4.1-nano gpt-5 gpt-5.1 gpt-5.2 gpt-5.3 gpt-5.3-codex gpt-5.4 gpt-5.4-mini'],
      [200, 'gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna'],
    ] as const
  ).flatMap(([percent, models]) => models.split(' ').map((model) => [model, percent] as const)),
)
const HIGHEST_OPENAI_PRIORITY = 250
const OPENAI_FLEX = /^(?:o3|o4-mini|gpt-5(?:\.\d)?(?:-mini|-nano|-sol|-terra|-luna)?|gpt-5\.[45]-pro|gpt-6-[a-z]+)$/

/** Anthropic's `speed: fast`: six times the price, twice for Opus 5; six is the safe figure for all others. */
const ANTHROPIC_FAST: ReadonlyMap<string, number> = new Map([['claude-opus-5', 200]])
const HIGHEST_ANTHROPIC_FAST = 600
const ANTHROPIC_US = 110

/**
 * What service tiers do to token rates. Keys are the words of OpenAI's `service_tier`; Gemini's traffic types map onto the
 * same words; Anthropic's `speed: fast` and `inference_geo: us` are `fast`, `us` and `fast+us`. A tier that a model is
 * not sold in is left out, so it costs 100. Committed capacity (`scale`, Anthropic's `priority`, provisioned throughput)
 * also costs 100 here: its own bill is paid elsewhere.
 *
 * @param families the model's names from the most exact to the family
 */
function tiersOf(libraryId: string, families: readonly string[]): Percents {
  const family = families.at(-1) ?? ''
  if (libraryId === 'openai' || libraryId === 'azure') {
    const known = families.find((name) => OPENAI_PRIORITY.has(name)) ?? ''
    const priority = OPENAI_PRIORITY.get(known) ?? HIGHEST_OPENAI_PRIORITY
    return percents(OPENAI_FLEX.test(family) ? { priority, flex: 50, batch: 50 } : { priority, batch: 50 })
  }
  if (libraryId === 'anthropic') {
    const fast = ANTHROPIC_FAST.get(family) ?? HIGHEST_ANTHROPIC_FAST
    return percents({ fast, us: ANTHROPIC_US, 'fast+us': (fast * ANTHROPIC_US) / 100, batch: 50 })
  }
  if (libraryId === 'google' && /^gemini-(?:2\.5|[3-9])/.test(family)) {
    return percents({ priority: 180, flex: 50, batch: 50 })
  }
  return NO_TIERS
}

const SIMULATED: Known = {
  timeline: {
    spans: [undefined],
    prices: [
      {
        version: 'simulated@1',
        steps: [
          {
            fromInputTokens: 0,
            rates: ratesOf({ input: 1_000_000_000n, cacheRead: 100_000_000n, output: 2_000_000_000n }),
          },
        ],
        serviceTierPercent: NO_TIERS,
      },
    ],
  },
  limits: { contextWindow: 128_000, maxOutput: 4_096, usualOutput: 64 },
}

const UNKNOWN_FACTS: ModelFacts = Object.freeze({ price: undefined, limits: undefined })
const UNKNOWN_TIMELINE: Timeline = { spans: [undefined], prices: [undefined] }

/** Longer names are nobody's model; they are answered without being remembered. */
const LONGEST_NAME = 512

export function createPriceBook(): EditablePriceBook {
  const timelines = new Map<string, Timeline>()
  const inCode = new Map<string, UserLayer>()
  let inFile: ReadonlyMap<string, UserLayer> = new Map()
  const remembered = new Map<string, RecentNames<RememberedModel>>()

  function remember(provider: string, model: string): RememberedModel {
    const spellings = modelNames(provider, model)
    const known = provider === 'simulated' ? SIMULATED : libraryFacts(provider, spellings, model, timelines)
    const own = [...spellings, ...familyNames(model)]
    const layers = ['*', provider].flatMap((owner) => [inCode, inFile].map((source) => layerOf(source, owner, own)))
    const facts = known.timeline.prices.map((price) => {
      let found: ModelFacts = { price, limits: known.limits }
      for (const layer of layers) if (layer) found = overlay(found, layer, isClaude(model))
      return found
    })
    return { spans: known.timeline.spans, facts }
  }

  function find(provider: string, model: string, atMs: number): ModelFacts {
    if (model.length > LONGEST_NAME) return UNKNOWN_FACTS
    let names = remembered.get(provider)
    if (!names) remembered.set(provider, (names = new RecentNames(MOST_NAMES)))
    let known = names.get(model)
    if (!known) names.set(model, (known = remember(provider, model)))
    return known.facts[known.spans.length === 1 ? 0 : spanAt(known.spans, atMs)] ?? UNKNOWN_FACTS
  }

  return {
    find,
    // The library prices Claude at Google's, too: Vertex has it, the Gemini endpoint has not.
    serves: (provider, model, atMs) =>
      find(provider, model, atMs).price !== undefined && !(provider === 'gemini' && isClaude(model)),
    addPrice(provider, model, price) {
      inCode.set(...userLayer({ provider, model, price }, 'code'))
      remembered.clear()
    },
    replaceUserPrices(entries) {
      inFile = new Map(entries.map((entry) => userLayer(entry, 'bursar.json')))
      remembered.clear()
    },
    models(provider) {
      const mark = `${provider}\n`
      const own = [...inCode.keys(), ...inFile.keys()].filter((key) => key.startsWith(mark))
      const ids = new Set([...listed(provider), ...own.map((key) => key.slice(mark.length))])
      return [...ids].filter((id) => find(provider, id, 0).price !== undefined).sort()
    },
    get remembered() {
      return [...remembered.values()].reduce((sum, names) => sum + names.size, 0)
    },
  }
}

/** At most `most` names; when it is full, those not asked for since it was half full are forgotten. */
class RecentNames<Value> {
  readonly #half: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  constructor(most: number) {
    this.#half = most / 2
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(name: string): Value | undefined {
    const young = this.#young.get(name)
    if (young !== undefined) return young
    const old = this.#old.get(name)
    if (old === undefined) return undefined
    this.#old.delete(name)
    this.set(name, old)
    return old
  }

  set(name: string, value: Value): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(name, value)
  }
}

interface Known {
  readonly timeline: Timeline
  readonly limits: ModelLimits | undefined
}

interface LibraryModel {
  /** The provider whose list it is in: Azure and Vertex borrow other providers' lists. */
  readonly libraryId: string
  readonly info: ModelInfo
}

function libraryFacts(
  provider: string,
  spellings: readonly string[],
  model: string,
  timelines: Map<string, Timeline>,
): Known {
  const libraryId = LIBRARY_IDS.get(provider) ?? provider
  // The library also finds providers by likeness (`my-openai-proxy`); only its exact ids are taken.
  const listedThere = findProvider({ providerId: libraryId })?.id === libraryId
  for (const name of listedThere ? spellings : []) {
    const named = OVERRIDES.get(`${libraryId}/${name}`)
    const found = libraryModel(libraryId, named?.as ?? name)
    const override = named ?? (found && OVERRIDES.get(`${found.libraryId}/${found.info.id}`))
    if (override?.unknown) break
    if (!found && !override) continue
    const key = `${found?.libraryId ?? libraryId}/${found?.info.id ?? ''}/${named ? name : ''}`
    let timeline = timelines.get(key)
    if (!timeline) timelines.set(key, (timeline = compile(found, found?.libraryId ?? libraryId, name, override)))
    return { timeline, limits: limitsOf(model) ?? (found && limitsOf(found.info.id)) }
  }
  return { timeline: UNKNOWN_TIMELINE, limits: limitsOf(model) }
}

function libraryModel(libraryId: string, name: string): LibraryModel | undefined {
  const answer = calcPrice({}, name, { providerId: libraryId, timestamp: new Date(0) })
  if (!answer) return undefined
  const lists = [libraryId, ...(answer.provider.fallback_model_providers ?? [])]
  const owner = lists.find((id) => findProvider({ providerId: id })?.models.includes(answer.model)) ?? libraryId
  return isGuess(owner, answer.model, name) ? undefined : { libraryId: owner, info: answer.model }
}

/**
 * True when the library matched only the beginning of a Claude or Gemini name and what follows is not a snapshot or a
 * stage: `claude-sonnet-5` would also answer for a dearer `claude-sonnet-5-5` that it has not heard of.
 */
function isGuess(libraryId: string, info: ModelInfo, name: string): boolean {
  if (libraryId !== 'anthropic' && libraryId !== 'google') return false
  const listed = new Set([info.id, ...namesIn(info.match)].flatMap((text) => familyNames(text).slice(0, 1)))
  return !familyNames(name).some((family) => listed.has(family))
}

function namesIn(match: MatchLogic): readonly string[] {
  if ('or' in match) return match.or.flatMap(namesIn)
  if ('and' in match) return match.and.flatMap(namesIn)
  if ('equals' in match) return [match.equals]
  if ('starts_with' in match) return [match.starts_with]
  if ('ends_with' in match) return [match.ends_with]
  if ('contains' in match) return [match.contains]
  return []
}

/** The library's ids of a provider's models; Vertex lists Claude among Google's, the Gemini endpoint does not serve it. */
function listed(provider: string): readonly string[] {
  if (provider === 'simulated') return ['sim/echo']
  const libraryId = LIBRARY_IDS.get(provider) ?? provider
  const library = findProvider({ providerId: libraryId })
  if (library?.id !== libraryId) return []
  const current = library.models.filter((model) => !model.deprecated).map((model) => model.id)
  if (provider === 'openai') return current.filter((id) => !/^ft:|\.ft-/.test(id))
  return provider === 'gemini' ? current.filter((id) => !isClaude(id)) : current
}

type Span = { readonly fromMs: number } | { readonly dailyFromMs: number; readonly dailyToMs: number } | undefined

/** A model's prices over time: of those whose span holds, the last one counts; the first when none does. */
interface Timeline {
  readonly spans: readonly Span[]
  readonly prices: readonly (Price | undefined)[]
}

interface RememberedModel {
  readonly spans: readonly Span[]
  readonly facts: readonly ModelFacts[]
}

const DAY_MS = 86_400_000

function spanAt(spans: readonly Span[], atMs: number): number {
  for (let index = spans.length - 1; index > 0; index--) if (holds(spans[index], atMs)) return index
  return 0
}

function holds(span: Span, atMs: number): boolean {
  if (span === undefined) return true
  if ('fromMs' in span) return atMs >= span.fromMs
  const timeMs = timeOfDay(atMs)
  if (span.dailyToMs < span.dailyFromMs) return timeMs >= span.dailyFromMs || timeMs < span.dailyToMs
  return timeMs >= span.dailyFromMs && timeMs < span.dailyToMs
}

function timeOfDay(atMs: number): number {
  return ((atMs % DAY_MS) + DAY_MS) % DAY_MS
}

function spanOf(constraint: ConditionalPrice['constraint']): Span {
  if (!constraint) return undefined
  if (constraint.type === 'start_date') return { fromMs: Date.parse(constraint.start_date) }
  const dailyMs = (time: string) => timeOfDay(Date.parse(`1970-01-01T${time}`))
  return { dailyFromMs: dailyMs(constraint.start_time), dailyToMs: dailyMs(constraint.end_time) }
}

function compile(
  found: LibraryModel | undefined,
  libraryId: string,
  name: string,
  override: Override | undefined,
): Timeline {
  const prices = found?.info.prices ?? {}
  const dated: readonly ConditionalPrice[] = Array.isArray(prices) ? prices : [{ prices }]
  const families = familyNames(found?.info.id ?? name)
  const version = override ? OVERRIDE_VERSION : LIBRARY_VERSION
  return {
    spans: dated.map((price) => spanOf(price.constraint)),
    prices: dated.map((price) => {
      const steps = stepsOf({ ...price.prices, ...override?.set }, libraryId, families.at(-1) ?? '')
      return steps && { version, steps, serviceTierPercent: tiersOf(libraryId, families), ...toolFeesOf(libraryId) }
    }),
  }
}

function toolFeesOf(libraryId: string): Pick<Price, 'toolFees'> {
  return libraryId === 'openai' || libraryId === 'azure' ? { toolFees: TOOL_FEES } : {}
}

/** Undefined when the model is priced only in units that we do not meter. No key at all is a price of zero. */
function stepsOf(keys: ModelPrice, libraryId: string, family: string): Price['steps'] | undefined {
  const priced: (readonly [UsageClass, KeyPrice])[] = []
  for (const [key, price] of Object.entries(keys)) {
    const name = CLASS_OF_KEY.get(key)
    if (name && price !== undefined) priced.push([name, price])
  }
  const free = Object.keys(keys).length === 0
  if (!free && priced.every(([name]) => isFee(name))) return undefined
  const edges = new Set(
    priced.flatMap(([, price]) => (isNumber(price) ? [] : price.tiers.map((tier) => tier.start + 1))),
  )
  const step = (fromInputTokens: number): PriceStep => {
    const known = knownRates(priced, fromInputTokens)
    if (!free) known.webSearches ??= nanoOf(searchFee(libraryId, family)) * 1_000n
    return { fromInputTokens, rates: filledRates(known, isClaude(family)) }
  }
  return [step(0), ...[...edges].sort((a, b) => a - b).map(step)]
}

type KnownRates = Partial<Record<UsageClass, bigint>>

function knownRates(priced: readonly (readonly [UsageClass, KeyPrice])[], inputTokens: number): KnownRates {
  const known: KnownRates = {}
  for (const [name, price] of priced) {
    const rate = nanoOf(dollarsAt(price, inputTokens)) * (isFee(name) ? 1_000n : 1n)
    if (rate >= (known[name] ?? 0n)) known[name] = rate
  }
  return known
}

/** A tier holds for the whole request once its input is over the tier's start. */
function dollarsAt(price: KeyPrice, inputTokens: number): number {
  if (isNumber(price)) return price
  const reached = price.tiers.filter((tier) => inputTokens > tier.start).sort((a, b) => b.start - a.start)
  return reached[0]?.price ?? price.base
}

/** Anthropic's cache writes are 1.25 times the input price for five minutes and twice for an hour, on every platform. */
function filledRates(known: KnownRates, claude: boolean): Rates {
  if (!claude || known.input === undefined) return ratesOf(known)
  return ratesOf({
    ...known,
    cacheWrite5m: known.cacheWrite5m ?? divideUp(known.input * 5n, 4n),
    cacheWrite1h: known.cacheWrite1h ?? known.input * 2n,
  })
}

/** Nano-dollars of a double, exactly its shortest decimal; what is finer than a nano-dollar is rounded up. */
function nanoOf(dollars: number): bigint {
  const [digits = '', exponent = '0'] = String(dollars).split('e')
  const [whole = '', fraction = ''] = digits.split('.')
  const finer = fraction.length - Number(exponent) - 9
  const value = BigInt(whole + fraction)
  return finer <= 0 ? value * 10n ** BigInt(-finer) : divideUp(value, 10n ** BigInt(finer))
}

function isNumber(price: KeyPrice): price is number {
  return typeof price === 'number'
}

function isFee(name: UsageClass): boolean {
  return FEE_CLASSES.some((fee) => fee === name)
}

function isClaude(name: string): boolean {
  return name.toLowerCase().includes('claude')
}

interface UserLayer {
  readonly rates: KnownRates
  readonly limits: Partial<ModelLimits>
  readonly version: string
}

const LIMIT_NAMES = ['contextWindow', 'maxOutput', 'usualOutput'] as const

function userLayer({ provider, model, price }: UserPriceEntry, source: string): [key: string, layer: UserLayer] {
  const where = `price of ${provider}/${model}`
  const rates: KnownRates = {}
  for (const name of USAGE_CLASSES) {
    const dollars = price[name]
    if (dollars !== undefined) rates[name] = userRate(dollars, `${where}: ${name}`) * (isFee(name) ? 1_000n : 1n)
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

function layerOf(
  source: ReadonlyMap<string, UserLayer>,
  owner: string,
  names: readonly string[],
): UserLayer | undefined {
  const name = source.size === 0 ? undefined : names.find((each) => source.has(`${owner}\n${each}`))
  return name === undefined ? undefined : source.get(`${owner}\n${name}`)
}

function userRate(dollars: Dollars, where: string): bigint {
  if (typeof dollars === 'number' && Number.isFinite(dollars) && dollars >= 0) return nanoOf(dollars)
  const nanoUsd = typeof dollars === 'string' ? parseUsd(dollars) : undefined
  if (nanoUsd === undefined) throw new RangeError(`${where} must be decimal dollars, zero or more`)
  return nanoUsd
}

function overlay(under: ModelFacts, layer: UserLayer, claude: boolean): ModelFacts {
  return { price: overlayPrice(under.price, layer, claude), limits: overlayLimits(under.limits, layer.limits) }
}

function overlayPrice(under: Price | undefined, { rates, version }: UserLayer, claude: boolean): Price | undefined {
  if (Object.keys(rates).length === 0) return under
  const serviceTierPercent = under?.serviceTierPercent ?? NO_TIERS
  if (rates.input !== undefined && rates.output !== undefined) {
    const { webSearches = 0n, requests = 0n } = under?.steps[0].rates ?? {}
    const free = Object.values(rates).every((rate) => rate === 0n)
    const known = free ? rates : { webSearches, requests, ...rates }
    const steps: Price['steps'] = [{ fromInputTokens: 0, rates: filledRates(known, claude) }]
    const toolFees = under?.toolFees
    return { version, steps, serviceTierPercent, ...(toolFees && !free ? { toolFees } : {}) }
  }
  if (!under) return undefined
  const corrected = (step: PriceStep): PriceStep => ({ ...step, rates: { ...step.rates, ...rates } })
  const [first, ...later] = under.steps
  return { ...under, version, steps: [corrected(first), ...later.map(corrected)] }
}

/** A model that nobody knows needs its context window; its output is then at most that. */
function overlayLimits(under: ModelLimits | undefined, layer: Partial<ModelLimits>): ModelLimits | undefined {
  const contextWindow = layer.contextWindow ?? under?.contextWindow
  if (contextWindow === undefined) return undefined
  const maxOutput = layer.maxOutput ?? under?.maxOutput ?? contextWindow
  const usualOutput = Math.min(layer.usualOutput ?? under?.usualOutput ?? 1_000, maxOutput)
  return { contextWindow, maxOutput, usualOutput }
}
