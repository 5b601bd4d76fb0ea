// The price library, genai-prices, read into our own prices. The only file that knows the library's shapes.

import {
  type ConditionalPrice,
  calcPrice,
  findProvider,
  type MatchLogic,
  type ModelInfo,
  type ModelPrice,
} from '@pydantic/genai-prices'
import { nanoUsdOf } from '../core/money.ts'
import type { ModelLimits, Price, PriceStep } from '../core/prices.ts'
import type { UsageClass } from '../core/usage.ts'
import { type KeyPrice, OVERRIDE_VERSION, OVERRIDES, type Override, searchFee, TOOL_FEES } from './corrections.ts'
import { limitsOf } from './model-limits.ts'
import { familyNames } from './model-names.ts'
import { fillRates, isClaude, isFee, type KnownRates, rateOf } from './rates.ts'
import { tiersOf } from './service-tiers.ts'

/** The version recorded for prices that are the library's own. A test holds it to the installed package. */
export const LIBRARY_VERSION = 'genai-prices@0.1.8'

/** The library's ids of providers, by our names. All other providers have the same id in both. */
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
 * Our class for each price key of the library. A class of the library that we do not have joins the class that its tokens are
 * counted in, at the higher of the two rates: video joins images, cached images join cache reads, reasoning joins output.
 * `storage_searches_kcount` (file search) is not read: it is the same for every model and stands in `TOOL_FEES`.
 *
 * Other keys are ignored, because no usage that we meter has their units: `audio_hours`, `input_audio_hours` (transcription),
 * `input_document_kpages`, `input_annotated_document_kpages` (OCR), `input_text_messages_kcount` (realtime voice),
 * `output_citation_mtok` (Perplexity deep research). A model with no other key has no price here, instead of a price of zero.
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

const UNKNOWN_TIMELINE: Timeline = { spans: [undefined], prices: [undefined] }

/** What is known of a model. */
export interface TimedModelFacts {
  readonly timeline: Timeline
  readonly limits: ModelLimits | undefined
}

interface LibraryModel {
  /** The provider whose list has the model: Azure and Vertex use other providers' lists too. */
  readonly libraryId: string
  readonly info: ModelInfo
}

/**
 * The limits of a model and its prices over time, from the library and our corrections. An unknown model has no price.
 * @param spellings names of the model to look up, the most literal first
 * @param timelines the models compiled so far; names of the same model share a timeline
 */
export function libraryFacts(
  provider: string,
  spellings: readonly string[],
  model: string,
  timelines: Map<string, Timeline>,
): TimedModelFacts {
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
    if (!timeline)
      timelines.set(key, (timeline = compileTimeline(found, found?.libraryId ?? libraryId, name, override)))
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
 * True if the library matched only the beginning of a Claude or Gemini name and what follows is not a snapshot or a
 * stage: the price of `claude-sonnet-5` would also count for a `claude-sonnet-5-5` that costs more and is not listed yet.
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

/** The library's ids of a provider's models. It lists Claude among Google's; the Gemini endpoint does not serve Claude. */
export function listedModels(provider: string): readonly string[] {
  if (provider === 'simulated') return ['sim/echo']
  const libraryId = LIBRARY_IDS.get(provider) ?? provider
  const library = findProvider({ providerId: libraryId })
  if (library?.id !== libraryId) return []
  const current = library.models.filter((model) => !model.deprecated).map((model) => model.id)
  if (provider === 'openai') return current.filter((id) => !/^ft:|\.ft-/.test(id))
  return provider === 'gemini' ? current.filter((id) => !isClaude(id)) : current
}

/** When a price holds: from an instant on, or daily between two times (milliseconds of the UTC day). Undefined is always. */
export type PriceSpan =
  | { readonly fromMs: number }
  | { readonly dailyFromMs: number; readonly dailyToMs: number }
  | undefined

/** A model's prices over time. The last price whose span holds counts, or the first if no span holds. */
export interface Timeline {
  readonly spans: readonly PriceSpan[]
  readonly prices: readonly (Price | undefined)[]
}

const DAY_MS = 86_400_000

/** The index of the price that counts at an instant, in epoch milliseconds. */
export function spanAt(spans: readonly PriceSpan[], atMs: number): number {
  for (let index = spans.length - 1; index > 0; index--) if (isInSpan(spans[index], atMs)) return index
  return 0
}

function isInSpan(span: PriceSpan, atMs: number): boolean {
  if (span === undefined) return true
  if ('fromMs' in span) return atMs >= span.fromMs
  const timeMs = timeOfDayMs(atMs)
  if (span.dailyToMs < span.dailyFromMs) return timeMs >= span.dailyFromMs || timeMs < span.dailyToMs
  return timeMs >= span.dailyFromMs && timeMs < span.dailyToMs
}

function timeOfDayMs(atMs: number): number {
  return ((atMs % DAY_MS) + DAY_MS) % DAY_MS
}

function spanOf(constraint: ConditionalPrice['constraint']): PriceSpan {
  if (!constraint) return undefined
  if (constraint.type === 'start_date') return { fromMs: Date.parse(constraint.start_date) }
  const dailyMs = (time: string) => timeOfDayMs(Date.parse(`1970-01-01T${time}`))
  return { dailyFromMs: dailyMs(constraint.start_time), dailyToMs: dailyMs(constraint.end_time) }
}

function compileTimeline(
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

/** Undefined if the model is priced only in units that we do not meter. A model without any key is free. */
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
    if (!free) known.webSearches ??= rateOf('webSearches', nanoUsdOf(searchFee(libraryId, family)))
    return { fromInputTokens, rates: fillRates(known, isClaude(family)) }
  }
  return [step(0), ...[...edges].sort((a, b) => a - b).map(step)]
}

function knownRates(priced: readonly (readonly [UsageClass, KeyPrice])[], inputTokens: number): KnownRates {
  const known: KnownRates = {}
  for (const [name, price] of priced) {
    const rate = rateOf(name, nanoUsdOf(dollarsAt(price, inputTokens)))
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

function isNumber(price: KeyPrice): price is number {
  return typeof price === 'number'
}
