// Context length: recognises the error that a prompt is too long for its model, in the words of many providers. Agents shorten
// their conversation when they read their own provider's words for it.

/** The figures of the error, if its sentence has them. */
export interface ContextLength {
  readonly tokens?: number
  readonly maxTokens?: number
}

const NUMBER = '([\\d,]{1,15})'
/** Sentences with both figures: the tokens of the prompt as `tokens`, the model's maximum as `max`. */
const SENTENCES: readonly (readonly [RegExp, 'tokens first' | 'maximum first'])[] = [
  // Anthropic.
  [new RegExp(`prompt is too long:? ?${NUMBER} tokens? > ${NUMBER}`, 'i'), 'tokens first'],
  // OpenAI, vLLM, DeepSeek and others.
  [
    new RegExp(
      `maximum context length is ${NUMBER} tokens.{0,80}?(?:resulted in|requested|has|contains?) ${NUMBER}`,
      'is',
    ),
    'maximum first',
  ],
  [new RegExp(`exceed the configured limit of ${NUMBER} tokens.{0,80}?resulted in ${NUMBER}`, 'is'), 'maximum first'],
  // Gemini.
  [
    new RegExp(`input token count \\(?${NUMBER}\\)? exceeds the maximum number of tokens allowed \\(?${NUMBER}`, 'i'),
    'tokens first',
  ],
  // xAI.
  [new RegExp(`maximum prompt length is ${NUMBER} but the request contains ${NUMBER}`, 'i'), 'maximum first'],
  // Mistral.
  [new RegExp(`prompt contains ${NUMBER} tokens.{0,80}?model with ${NUMBER} maximum`, 'is'), 'tokens first'],
  // llama.cpp.
  [new RegExp(`request \\(${NUMBER} tokens\\) exceeds the available context size \\(${NUMBER}`, 'i'), 'tokens first'],
]
/** Anthropic counts the output cap, too. */
const WITH_CAP = new RegExp(`exceed context limit: ${NUMBER} \\+ ${NUMBER} > ${NUMBER}`, 'i')
const WORDS =
  /prompt is too long|exceed(?:s|ed)? (?:the |this |its )?(?:model's |available |maximum )*context|context_length_exceeded|maximum context length|input is too long|maximum prompt length|token count.{0,40}exceeds|reduce the length of the messages|context window exceeded|too large for model with/i
const CODES: ReadonlySet<unknown> = new Set([
  'context_length_exceeded',
  'context_window_exceeded',
  'exceed_context_size_error',
])

/** Undefined if the error is another one. @param codes the error's own codes */
export function contextLengthOf(message: string, codes: readonly unknown[]): ContextLength | undefined {
  const text = message.slice(0, 2_000)
  for (const [sentence, order] of SENTENCES) {
    const [, first, second] = sentence.exec(text) ?? []
    if (first === undefined || second === undefined) continue
    const [a, b] = [numberOf(first), numberOf(second)]
    return order === 'tokens first' ? { tokens: a, maxTokens: b } : { tokens: b, maxTokens: a }
  }
  const [, input, cap, max] = WITH_CAP.exec(text) ?? []
  if (input !== undefined && cap !== undefined && max !== undefined)
    return { tokens: numberOf(input) + numberOf(cap), maxTokens: numberOf(max) }
  return WORDS.test(text) || codes.some((code) => CODES.has(code)) ? {} : undefined
}

function numberOf(digits: string): number {
  return Number(digits.replaceAll(',', ''))
}
