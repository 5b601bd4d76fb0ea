// Models that search, or run other tools, without being asked to. What that costs has no upper bound, as with hosted tools.

/** By the model's name behind any prefix. The figures of Perplexity's other models are bounded: their fee is by the request. */
const SELF_SEARCHING: readonly RegExp[] = [
  // Perplexity: searches, citations and reasoning beside the answer.
  /(?:^|\/)sonar-deep-research/,
  // Groq: any number of searches and passes.
  /(?:^|\/)compound(?:-|$)/,
  // OpenRouter: the suffix adds its search to any model.
  /:online$/,
  // OpenAI, which names the tool in the request; routers add it themselves.
  /^openrouter\/.*deep-research|^openai\/.*deep-research/,
]

/** What `unbounded` says of such a model. */
export const SELF_SEARCH = 'searches of the model'

/** @param model the name at the provider */
export function searchesByItself(model: string): boolean {
  const name = model.toLowerCase()
  return SELF_SEARCHING.some((pattern) => pattern.test(name))
}
