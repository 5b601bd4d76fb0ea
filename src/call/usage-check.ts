// Usage check: whether the usage that an answer reports can be true. It prices nothing.

import { inputTokens, outputTokens, usageOf, usageSum } from '../core/usage.ts'
import type { AnswerUsage, HeaderList } from '../wire/dialect.ts'
import { findHeader } from '../wire/headers.ts'
import type { AdmittedCall } from './applicant.ts'
import type { Dispatch } from './dispatch.ts'
import { type SettlementBasis, upperBoundBasis } from './settlement-basis.ts'

/** Usage beyond so many times the model's window, and the call's quote, is no usage. */
const MAX_OVER = 10
/** The same for calls without an upper bound, whose hosted tools read the context again and again. */
const MAX_OVER_UNBOUNDED = 1_000

/** The error of an attempt whose usage cannot be true. */
export const INCREDIBLE_USAGE = 'usage cannot be true'

/** Gemini names the tier that answered in a header, and in some answers nowhere else. */
const TIER_HEADER = 'x-gemini-service-tier'

export function withServedTier(basis: SettlementBasis, headers: HeaderList): SettlementBasis {
  const { metered } = basis
  if (!metered || metered.serviceTier !== null) return basis
  const serviceTier = findHeader(headers, TIER_HEADER)?.toLowerCase()
  return serviceTier === undefined ? basis : { ...basis, metered: { ...metered, serviceTier } }
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
  { admitted, dialect }: Pick<Dispatch, 'admitted' | 'dialect'>,
): SettlementBasis {
  const { metered } = basis
  if (!metered) return basis
  const { quote, bounded } = admitted
  const times = bounded ? MAX_OVER : MAX_OVER_UNBOUNDED
  const [input, output] = [inputTokens(metered.usage), outputTokens(metered.usage)]
  const isCredible =
    input <= times * Math.max(quote.contextWindow, quote.inputTokens) &&
    output <= times * Math.max(quote.contextWindow, quote.outputTokens)
  if (!isCredible) return upperBoundBasis(basis.ending, INCREDIBLE_USAGE)
  if (isMissingCharges(metered, admitted, dialect.listsExtras)) return upperBoundBasis(basis.ending, basis.error)
  if (metered.isUpperBound) return { ...basis, certainty: 'upperBound' }
  const isPromptMissing = input === 0 && quote.inputTokens > 0 && output > 0
  if (!isPromptMissing) return basis
  return { ...basis, certainty: 'upperBound', metered: withInput(metered, quote.inputTokens) }
}

/** True if something may have been billed for which the answer gives no figure. A cost that it states covers everything. */
function isMissingCharges(metered: AnswerUsage, { applicant, quote }: AdmittedCall, dialectLists: boolean): boolean {
  const { listsExtras = dialectLists, countsSources, statedCost, unmetered = [] } = metered
  if (statedCost && statedCost.nanoUsd > 0n) return false
  const { unbounded } = applicant.first.request
  if (unmetered.length > 0) return true
  // A request fee of the model is a fee for its searches.
  const hasFee = (quote.price?.steps[0].rates.requests ?? 0n) > 0n
  const isTold = (name: string) => {
    if (TOKEN_FEATURES.has(name) || (name === 'web_search_options' && hasFee)) return true
    if (UNTOLD_FEATURES.test(name)) return false
    return listsExtras || (name === 'search_parameters' && countsSources === true)
  }
  return !unbounded.every(isTold)
}

/** Features without an upper bound that are billed by the tokens of the answering model alone. */
const TOKEN_FEATURES: ReadonlySet<string> = new Set(['models', 'preset', 'route', 'mcp'])

/** Features whose costs are told in no list of uses: OpenRouter's, Mistral's reading of documents, Vertex AI's search for enterprises. */
const UNTOLD_FEATURES = /^(?:plugins|provider|openrouter:.*|document_url|enterprise_?web_?search)$/i

function withInput(metered: AnswerUsage, input: number): AnswerUsage {
  return { ...metered, usage: usageSum(metered.usage, usageOf({ input })) }
}
