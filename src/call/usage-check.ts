// Usage check: whether the usage that an answer reports can be true. It prices nothing.

import { servedTier } from '../core/service-tier.ts'
import {
  FEE_CLASSES,
  type FeeClass,
  inputTokens,
  NO_RARE_UNITS,
  outputTokens,
  unitsOf,
  usageOf,
  usageSum,
} from '../core/usage.ts'
import type { AnswerUsage, ExtrasField, HeaderList } from '../wire/dialect.ts'
import { findHeader } from '../wire/headers.ts'
import { PROMPT_FEATURES } from '../wire/request-reader.ts'
import { coversAll } from '../wire/stated-cost.ts'
import type { AdmittedCall } from './applicant.ts'
import type { Dispatch } from './dispatch.ts'
import { type SettlementBasis, upperBoundBasis } from './settlement-basis.ts'

/** Usage beyond so many times the model's window, and the call's quote, is no usage. */
const MAX_OVER = 10
/** The same for calls without an upper bound, whose hosted tools read the context again and again. */
const MAX_OVER_UNBOUNDED = 1_000

/** No call makes as many searches, pages or runs; one without hosted tools makes fewer. */
const MAX_FEE_UNITS = 1_000
const MAX_FEE_UNITS_UNBOUNDED = 10_000
/** A day of sound, or of a container's life. */
const MAX_FEE_SECONDS = 86_400
const SECOND_CLASSES: ReadonlySet<FeeClass> = new Set(['audioSeconds', 'containerSeconds'])

/** A stated cost can be so many times the reservation and still be true; the reservation of a cheap call counts as ten cents. */
const MIN_STATED_BASE_NANO_USD = 100_000_000n
/** In place of a reservation, for a model whose price is not known. */
const UNKNOWN_STATED_BASE_NANO_USD = 10_000_000_000n

/** The error of an attempt whose usage cannot be true. */
export const INCREDIBLE_USAGE = 'usage cannot be true'

/** Gemini names the tier that answered in a header, and in some answers nowhere else. */
const TIER_HEADER = 'x-gemini-service-tier'

export function withServedTier(basis: SettlementBasis, headers: HeaderList): SettlementBasis {
  const { metered } = basis
  if (!metered || metered.serviceTier !== null) return basis
  const serviceTier = servedTier(findHeader(headers, TIER_HEADER))
  return serviceTier === null ? basis : { ...basis, metered: { ...metered, serviceTier } }
}

/** Anthropic bills a container for this long at least. */
const MIN_CONTAINER_SECONDS = 300

/** Anthropic bills no code that runs beside these tools, which run code themselves to filter what they find. */
const FREE_CODE_TOOL = /^web_(?:search|fetch)_202[6-9]/

/**
 * The basis with the most that its container can have lived, if code ran in one. A file that a request brings along makes a
 * container, too.
 * @param seconds how long the provider took for the answer
 */
export function withContainerTime(
  basis: SettlementBasis,
  { admitted }: Pick<Dispatch, 'admitted'>,
  seconds: number,
): SettlementBasis {
  const { metered } = basis
  const { unbounded } = admitted.applicant.first.request
  const hasContainer = metered?.ranCode || unbounded.includes('container_upload')
  if (!metered || !hasContainer || unbounded.some((name) => FREE_CODE_TOOL.test(name))) return basis
  const containerSeconds = Math.max(MIN_CONTAINER_SECONDS, Math.ceil(seconds))
  const usage = usageSum(metered.usage, usageOf({ containerSeconds }))
  return { ...basis, metered: { ...metered, usage, isUpperBound: true } }
}

/**
 * The basis with what its usage cannot be put right. Usage beyond the model's window by orders of magnitude counts as unknown. A
 * prompt has tokens: if none are counted, the input is the most that it can be.
 */
export function checkBasis(
  basis: SettlementBasis,
  { admitted, dialect, provider }: Pick<Dispatch, 'admitted' | 'dialect' | 'provider'>,
): SettlementBasis {
  const { metered } = basis
  if (!metered) return basis
  const { quote, bounded } = admitted
  const times = bounded ? MAX_OVER : MAX_OVER_UNBOUNDED
  const [input, output] = [inputTokens(metered.usage), outputTokens(metered.usage)]
  const areTokensCredible =
    input <= times * Math.max(quote.contextWindow, quote.inputTokens) &&
    output <= times * Math.max(quote.contextWindow, quote.outputTokens)
  if (!areTokensCredible || !areFeesCredible(metered, bounded) || !isCostCredible(metered, admitted, times))
    return upperBoundBasis(basis.ending, INCREDIBLE_USAGE)
  if (isMissingCharges(metered, admitted, provider.priceName, dialect.listsExtras))
    return upperBoundBasis(basis.ending, basis.error)
  if (metered.isUpperBound) return { ...basis, certainty: 'upperBound' }
  const isOutputMissing = metered.isOutputMissing === true && basis.certainty === 'exact'
  const missingInput = input === 0 && (output > 0 || isOutputMissing) ? quote.inputTokens : 0
  const missingOutput = isOutputMissing ? Math.max(0, quote.outputTokens - output) : 0
  if (missingInput + missingOutput === 0) return basis
  const usage = usageSum(metered.usage, usageOf({ input: missingInput, output: missingOutput }))
  return { ...basis, certainty: 'upperBound', metered: { ...metered, usage } }
}

function areFeesCredible({ usage, otherUsage = [] }: AnswerUsage, bounded: boolean): boolean {
  if (usage.rare === NO_RARE_UNITS && otherUsage.length === 0) return true
  const maxUnits = bounded ? MAX_FEE_UNITS : MAX_FEE_UNITS_UNBOUNDED
  return [usage, ...otherUsage.map((share) => share.usage)].every((each) =>
    FEE_CLASSES.every((name) => unitsOf(each, name) <= (SECOND_CLASSES.has(name) ? MAX_FEE_SECONDS : maxUnits)),
  )
}

function isCostCredible({ statedCost }: AnswerUsage, { bound, quote }: AdmittedCall, times: number): boolean {
  if (!statedCost) return true
  const minBase = quote.price ? MIN_STATED_BASE_NANO_USD : UNKNOWN_STATED_BASE_NANO_USD
  const base = bound.costNanoUsd > minBase ? bound.costNanoUsd : minBase
  return statedCost.nanoUsd <= BigInt(times) * base
}

/** True if something may have been billed for which the answer gives no figure. A cost that it states covers everything. */
function isMissingCharges(
  metered: AnswerUsage,
  { applicant, quote }: AdmittedCall,
  priceName: string,
  dialectLists: boolean,
): boolean {
  const { statedCost, unmetered = [], extrasFields = [] } = metered
  if (coversAll(statedCost)) return false
  const { unbounded, audioInput } = applicant.first.request
  if (unmetered.length > 0) return true
  if (unbounded.length === 0 && !audioInput) return false
  const rates = quote.price?.steps[0].rates
  if (audioInput && rates && rates.audioSeconds > 0n && unitsOf(metered.usage, 'audioSeconds') === 0) return true
  const own = EXTRAS_FIELDS.get(priceName.replace(/\+.*/, '')) ?? []
  const fields = extrasFields.filter((field) => own.includes(field))
  const listsExtras = metered.listsExtras || dialectLists || fields.some((field) => field !== 'num_sources_used')
  // A request fee of the model is a fee for its searches.
  const hasFee = (rates?.requests ?? 0n) > 0n
  const isTold = (name: string) => {
    if (TOKEN_FEATURES.has(name) || (name === 'web_search_options' && hasFee)) return true
    if (UNTOLD_FEATURES.test(name)) return false
    return listsExtras || (name === 'search_parameters' && fields.includes('num_sources_used'))
  }
  return !unbounded.every(isTold)
}

/** The providers' own fields, by their names in the price book. In an answer of another provider a field tells nothing. */
const EXTRAS_FIELDS: ReadonlyMap<string, readonly ExtrasField[]> = new Map([
  ['groq', ['executed_tools']],
  ['openrouter', ['server_tool_use_details']],
  ['perplexity', ['num_search_queries']],
  ['xai', ['server_side_tool_usage_details', 'num_sources_used']],
])

/** Features without an upper bound that are billed by the tokens of the answering model alone. */
const TOKEN_FEATURES: ReadonlySet<string> = new Set([
  'models',
  'preset',
  'route',
  'mcp',
  'messages',
  ...PROMPT_FEATURES,
])

/** Features whose costs are told in no list of uses: OpenRouter's, Mistral's reading of documents, Vertex AI's search for enterprises. */
const UNTOLD_FEATURES = /^(?:plugins|provider|openrouter:.*|document_url|enterprise_?web_?search)$/i
