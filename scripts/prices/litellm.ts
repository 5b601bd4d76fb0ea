// litellm: what its map adds to the price list: dates, limits, long cache writes, tiers, regions, and models that are missing.

import { type FileModel, type FilePrice, type FileRates, findModel } from '../../src/prices/price-file.ts'
import { percentOf } from './percent.ts'
import type { LitellmMap, LitellmModel } from './sources.ts'

/** How litellm's map names the models of a provider of genai-prices. */
interface Naming {
  readonly prefix: string
  /** litellm's own names of the provider, where names have no prefix. */
  readonly owners?: readonly string[]
}

const NAMINGS: Readonly<Record<string, Naming>> = {
  openai: { prefix: '', owners: ['openai', 'text-completion-openai'] },
  anthropic: { prefix: '', owners: ['anthropic'] },
  aws: { prefix: '', owners: ['bedrock', 'bedrock_converse'] },
  cohere: { prefix: '', owners: ['cohere', 'cohere_chat'] },
  google: { prefix: 'gemini/' },
  'x-ai': { prefix: 'xai/' },
  azure: { prefix: 'azure/' },
  cerebras: { prefix: 'cerebras/' },
  deepseek: { prefix: 'deepseek/' },
  fireworks: { prefix: 'fireworks_ai/' },
  groq: { prefix: 'groq/' },
  mistral: { prefix: 'mistral/' },
  moonshotai: { prefix: 'moonshot/' },
  novita: { prefix: 'novita/' },
  openrouter: { prefix: 'openrouter/' },
  perplexity: { prefix: 'perplexity/' },
  together: { prefix: 'together_ai/' },
  voyageai: { prefix: 'voyage/' },
  zai: { prefix: 'zai/' },
}

/** The providers whose models are taken from the map if genai-prices lacks them. */
const COMPLETED_PROVIDERS = new Set(['openai', 'anthropic', 'google', 'x-ai', 'groq', 'mistral', 'deepseek'])

/** Tiers that are read from the map. The API of batches is not the gateway's. */
const TIERS = ['flex', 'priority', 'ultrafast'] as const

/** No tier costs more times the standard price: gpt-5-nano's 50 is a mistake of the map. */
const MAX_TIER_RATIO = 10

/** A class that several keys join has the highest of their prices: video counts as images. */
const COST_KEYS: Readonly<Record<string, readonly string[]>> = {
  input: ['input_cost_per_token'],
  cacheRead: ['cache_read_input_token_cost'],
  cacheWrite5m: ['cache_creation_input_token_cost'],
  cacheWrite1h: ['cache_creation_input_token_cost_above_1hr'],
  cacheWrite12h: ['cache_creation_input_token_cost_above_12hr'],
  output: ['output_cost_per_token'],
  audioInput: ['input_cost_per_audio_token'],
  audioCacheRead: ['cache_read_input_audio_token_cost'],
  audioOutput: ['output_cost_per_audio_token'],
  imageInput: ['input_cost_per_image_token', 'input_cost_per_video_token'],
  imageOutput: ['output_cost_per_image_token', 'output_cost_per_video_token'],
}

/** Mistral's model card of Leanstral 1.5: $0. Any other model of the map without a price is one whose price nobody knows. */
const FREE_MODELS = new Set(['mistral/labs-leanstral-1-5', 'mistral/labs-leanstral-1-5-1'])

/** Google bills a song of a Lyria model by the request, and the map has its price as that of an image. */
const SONG_MODEL = /^gemini\/lyria-(?!realtime)/

/** The model with what the map knows of it besides. */
export function addLitellmFacts(provider: string, model: FileModel, map: LitellmMap): FileModel {
  const row = rowOf(provider, [model.id, ...(model.names.equals ?? [])], map)
  if (row) return { ...model, ...factsOf(row), spans: model.spans.map((span) => addRates(span, row)) }
  return hasEnded(provider, model) ? { ...model, isDeprecated: true } : model
}

/** Claude's page on Vertex AI: Sonnet 4.5 and all later models cost a tenth more at the address of a region. */
const EARLIER_CLAUDE = /claude-(?:v?[123]|instant|4-(?:opus|sonnet)|(?:opus|sonnet|haiku)-(?:3|4(?!-[5-9])))/
const CLAUDE_REGIONAL_PERCENT = 110

/** The model with what it costs more at an address of one region. `provider` is the one whose list has the model. */
export function addClaudeUplift(provider: string, model: FileModel): FileModel {
  const isOnVertex = provider === 'anthropic' || provider === 'google'
  if (!isOnVertex || !model.id.startsWith('claude-') || EARLIER_CLAUDE.test(model.id)) return model
  return { ...model, uplifts: { ...model.uplifts, regional: CLAUDE_REGIONAL_PERCENT } }
}

/** The map drops models that have ended, and has these ones not yet. */
const NEWER_THAN_MAP = new Set(['claude-fable-5-2', 'claude-mythos-5-2', 'gemma-4-26b-a4b-it-maas'])

function hasEnded(provider: string, { id }: FileModel): boolean {
  const isElsewhere = provider === 'google' && id.startsWith('claude-')
  return COMPLETED_PROVIDERS.has(provider) && !isElsewhere && !NEWER_THAN_MAP.has(id)
}

function rowOf(provider: string, names: readonly string[], map: LitellmMap): LitellmModel | undefined {
  const naming = NAMINGS[provider]
  if (!naming) return undefined
  const row = names.map((name) => map[naming.prefix + name]).find((row) => row && belongs(row, naming))
  if (provider !== 'google' || !row) return row
  // Vertex AI serves Google's models at addresses of one region as well.
  const vertex = names.map((name) => map[`vertex_ai/${name}`]).find((row) => row !== undefined)
  return { regional_endpoint_uplift_multiplier: vertex?.regional_endpoint_uplift_multiplier, ...row }
}

function belongs(row: LitellmModel, { owners }: Naming): boolean {
  return owners?.includes(String(row.litellm_provider)) ?? true
}

function factsOf(row: LitellmModel): Partial<FileModel> {
  const { deprecation_date: ends, successor_model: successor } = row
  const contextWindow = numberOf(row.max_input_tokens)
  const maxOutput = row.mode === 'embedding' ? 0 : numberOf(row.max_output_tokens)
  const regional = numberOf(row.regional_processing_uplift_multiplier_us ?? row.regional_endpoint_uplift_multiplier)
  return {
    ...(contextWindow && maxOutput !== undefined ? { limits: [contextWindow, maxOutput] } : {}),
    ...(typeof ends === 'string' ? { ends } : {}),
    ...(typeof successor === 'string' ? { successor: successor.replace(/^.*\//, '') } : {}),
    ...(regional ? { uplifts: { regional: Math.round(regional * 100) } } : {}),
  }
}

function addRates(span: FileModel['spans'][number], row: LitellmModel): FileModel['spans'][number] {
  const { input } = span.rates
  const ownRates = ratesOf(row)
  const { input: ownInput, cacheWrite12h: ownWrite } = ownRates
  const isLongWritePriced = input !== undefined && ownInput !== undefined && ownWrite !== undefined
  const cacheWrite12h = isLongWritePriced ? scaled(input, baseOf(ownWrite) / baseOf(ownInput)) : undefined
  const tiers = { ...tiersOf(row, ownRates), ...span.tiers }
  return {
    ...span,
    rates: {
      ...lookupFeesOf(row),
      ...span.rates,
      ...(cacheWrite12h === undefined ? {} : { cacheWrite12h }),
    },
    ...(Object.keys(tiers).length > 0 ? { tiers } : {}),
  }
}

/** Dollars per thousand searches of the model's own tools; the highest where their size matters. */
function lookupFeesOf({
  search_context_cost_per_query,
  google_maps_grounding_cost_per_query,
}: LitellmModel): FileRates {
  const searches = numberOf(Math.max(0, ...Object.values(search_context_cost_per_query ?? {})))
  const maps = numberOf(google_maps_grounding_cost_per_query)
  return {
    ...(searches ? { webSearches: round(searches * 1_000) } : {}),
    ...(maps ? { mapsQueries: round(maps * 1_000) } : {}),
  }
}

/** Only tiers that cost the same percentage of every rate: the map's own standard rates may be older or newer than the list's. */
function tiersOf(row: LitellmModel, standard: FileRates): Record<string, number> {
  const tiers: Record<string, number> = {}
  for (const tier of TIERS) {
    const percent = percentOf(ratesOf(row, `_${tier}`), { input: standard.input ?? 0, output: standard.output ?? 0 })
    if (percent !== undefined && percent <= MAX_TIER_RATIO * 100) tiers[tier] = percent
  }
  return tiers
}

/** The map's models of a provider that the list lacks. */
export function litellmModels(provider: string, map: LitellmMap, listed: readonly FileModel[]): FileModel[] {
  const naming = NAMINGS[provider]
  if (!naming || !COMPLETED_PROVIDERS.has(provider)) return []
  const models: FileModel[] = []
  for (const [key, row] of Object.entries(map)) {
    if (!key.startsWith(naming.prefix) || !belongs(row, naming)) continue
    const id = key.slice(naming.prefix.length)
    if (!/^(?:chat|completion|responses|embedding)$/.test(String(row.mode))) continue
    if (findModel([...listed, ...models], id.toLowerCase()) || /^ft:|^vertex_ai/.test(id) || id.includes(' ')) continue
    const rates = { ...ratesOf(row), ...songFeeOf(key, row) }
    if (rates.input === undefined || (isCostless(rates) && !FREE_MODELS.has(key))) continue
    const tiers = tiersOf(row, rates)
    models.push({
      id,
      names: { equals: [id.toLowerCase()] },
      spans: [{ rates: { ...lookupFeesOf(row), ...rates }, ...(Object.keys(tiers).length > 0 ? { tiers } : {}) }],
      ...factsOf(row),
      source: 'litellm',
    })
  }
  return models
}

/** Dollars per thousand requests. */
function songFeeOf(key: string, { output_cost_per_image }: LitellmModel): FileRates {
  const song = SONG_MODEL.test(key) ? numberOf(output_cost_per_image) : undefined
  return song ? { requests: round(song * 1_000) } : {}
}

/** True for a free model, and for one with a price in units that are not known here: a song, a second of video. */
function isCostless(rates: FileRates): boolean {
  return Object.values(rates).every((price) => baseOf(price) === 0)
}

/** @param tier the ending of the keys of a tier: `_flex`, or nothing for the standard rates */
function ratesOf(row: LitellmModel, tier = ''): FileRates {
  const rates: Record<string, FilePrice> = {}
  for (const [name, keys] of Object.entries(COST_KEYS)) {
    const prices = keys.map((key) => priceOf(row, key, tier)).filter((price) => price !== undefined)
    const [dearest] = prices.sort((a, b) => baseOf(b) - baseOf(a))
    if (dearest !== undefined) rates[name] = dearest
  }
  return rates
}

function priceOf(row: LitellmModel, key: string, tier: string): FilePrice | undefined {
  const base = perMillion(row[`${key}${tier}`])
  if (base === undefined) return undefined
  const over: Record<string, number> = {}
  for (const [field, value] of Object.entries(row)) {
    const edge = new RegExp(`^${key}_above_(\\d+)k_tokens${tier}$`).exec(field)?.[1]
    const above = perMillion(value)
    if (edge !== undefined && above !== undefined) over[lastTokenOf(Number(edge) * 1_000, row)] = above
  }
  return Object.keys(over).length > 0 ? { base, over } : base
}

/** The last token that has the lower price. xAI's higher price begins with a prompt that reaches the edge, as litellm's own sums have it. */
function lastTokenOf(edge: number, { litellm_provider }: LitellmModel): number {
  return litellm_provider === 'xai' ? edge - 1 : edge
}

function baseOf(price: FilePrice): number {
  return typeof price === 'number' ? price : price.base
}

function scaled(price: FilePrice, ratio: number): FilePrice {
  const scale = (dollars: number) => round(dollars * ratio)
  if (typeof price === 'number') return scale(price)
  return {
    base: scale(price.base),
    over: Object.fromEntries(Object.entries(price.over).map(([edge, dollars]) => [edge, scale(dollars)])),
  }
}

function perMillion(dollars: unknown): number | undefined {
  const figure = numberOf(dollars)
  return figure === undefined ? undefined : round(figure * 1_000_000)
}

/** Dollars to nine digits, so that no figure has the rest of a binary fraction. */
function round(dollars: number): number {
  return Number(dollars.toFixed(9))
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}
