// The simulated provider's completions. Every text of a list is answered by a choice of its own.

import { isRecord } from '../../core/json-values.ts'
import type { AnswerContent, AnswerFormat, RequestBody } from './answer-format.ts'

/** OpenAI takes no more prompts in one call. */
const MAX_PROMPTS = 2_048

interface Choice {
  readonly words: readonly string[]
  readonly isTruncated: boolean
}

export const COMPLETIONS_FORMAT: Pick<AnswerFormat, 'whole' | 'stream'> = {
  whole: (speech, asked) => {
    const choices = choicesOf(speech, asked)
    const said = choices.map(({ words, isTruncated }, index) =>
      choice(index, words.join(''), finishReason(isTruncated)),
    )
    return completion(speech, said, speech.withUsage ? { usage: usageOf(speech, choices) } : {})
  },
  stream: (speech, asked) => {
    const choices = choicesOf(speech, asked)
    const options = asked.stream_options
    const asksForUsage = speech.withUsage && isRecord(options) && options.include_usage === true
    const event = (some: readonly unknown[], usage: unknown = null) =>
      `data: ${completion(speech, some, asksForUsage ? { usage } : {})}\n\n`
    return [
      ...choices.flatMap(({ words, isTruncated }, index) => [
        ...words.map((text) => event([choice(index, text, null)])),
        event([choice(index, '', finishReason(isTruncated))]),
      ]),
      ...(asksForUsage ? [event([], usageOf(speech, choices))] : []),
      'data: [DONE]\n\n',
    ]
  },
}

function completion(speech: AnswerContent, choices: readonly unknown[], more: object): string {
  const head = { id: `cmpl-${speech.id}`, object: 'text_completion', created: 0, model: speech.model }
  return JSON.stringify({ ...head, choices, ...more })
}

function choice(index: number, text: string, finish_reason: string | null) {
  return { text, index, logprobs: null, finish_reason }
}

function finishReason(isTruncated: boolean): string {
  return isTruncated ? 'length' : 'stop'
}

function choicesOf(speech: AnswerContent, { prompt, max_tokens }: RequestBody): readonly Choice[] {
  if (!Array.isArray(prompt) || !prompt.some((one) => typeof one === 'string')) return [speech]
  const cap = typeof max_tokens === 'number' ? max_tokens : undefined
  return prompt.slice(0, MAX_PROMPTS).map((one) => {
    const words = `You said: ${typeof one === 'string' ? one : 'nothing'}`.match(/\s*\S+/g) ?? []
    const said = words.slice(0, cap)
    return { words: said, isTruncated: said.length < words.length }
  })
}

function usageOf(speech: AnswerContent, choices: readonly Choice[]) {
  const completion = choices.reduce((sum, { words }) => sum + words.length, 0)
  return {
    prompt_tokens: speech.inputTokens,
    completion_tokens: completion,
    total_tokens: speech.inputTokens + completion,
  }
}
