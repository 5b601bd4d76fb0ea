// Models that search, or run other tools, without being asked to. What that costs has no upper bound, as with hosted tools.

import { SlotCache } from '../core/slot-cache.ts'

/** By the model's name behind any prefix. The figures of Perplexity's other models are bounded: their fee is by the request. */
const SELF_SEARCHING: readonly RegExp[] = [
  // Perplexity, OpenAI: searches, and what they bring, beside the answer. OpenAI names the tool in the request, and routers add it.
  /deep-research/,
  // Perplexity, by way of OpenRouter: steps without end for one fee.
  /(?:^|\/)sonar-pro-search/,
  // Groq: searches and passes without end.
  /(?:^|\/)compound(?:-|$)/,
  // OpenRouter: the suffix adds its search to any model.
  /:online$/,
]

/** What `unbounded` says of such a model. */
export const SELF_SEARCH = 'searches of the model'

/** @param model the name at the provider */
export function searchesByItself(model: string): boolean {
  return searching.get(model)
}

const searching = new SlotCache((model) => SELF_SEARCHING.some((pattern) => pattern.test(model.toLowerCase())))
