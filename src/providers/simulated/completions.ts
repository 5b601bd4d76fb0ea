// The simulated provider's completions. Every prompt of a list is answered by a choice of its own.

import { isRecord } from '../../core/json-values.ts'
import type { AnswerContent, AnswerFormat, RequestBody } from './answer-format.ts'

/** OpenAI takes no more prompts in one call. */
const MAX_PROMPTS = 2_048

interface Choice {
  readonly words: readonly string[]
  readonly isTruncated: boolean
}

export const COMPLETIONS_FORMAT: Pick<AnswerFormat, 'whole' | 'stream'> = {
  whole: (answer, request) => {
    const choices = choicesOf(answer, request)
    const answers = choices.map(({ words, isTruncated }, index) =>
      choice(index, words.join(''), finishReason(isTruncated)),
    )
    return completion(answer, answers, answer.withUsage ? { usage: usageOf(answer, choices) } : {})
  },
  stream: (answer, request) => {
    const choices = choicesOf(answer, request)
    const options = request.stream_options
    const requestsUsage = answer.withUsage && isRecord(options) && options.include_usage === true
    const event = (chunkChoices: readonly unknown[], usage: unknown = null) =>
      `data: ${completion(answer, chunkChoices, requestsUsage ? { usage } : {})}\n\n`
    return [
      ...choices.flatMap(({ words, isTruncated }, index) => [
        ...words.map((text) => event([choice(index, text, null)])),
        event([choice(index, '', finishReason(isTruncated))]),
      ]),
      ...(requestsUsage ? [event([], usageOf(answer, choices))] : []),
      'data: [DONE]\n\n',
    ]
  },
}

function completion(answer: AnswerContent, choices: readonly unknown[], fields: object): string {
  const head = { id: `cmpl-${answer.id}`, object: 'text_completion', created: 0, model: answer.model }
  return JSON.stringify({ ...head, choices, ...fields })
}

function choice(index: number, text: string, finish_reason: string | null) {
  return { text, index, logprobs: null, finish_reason }
}

function finishReason(isTruncated: boolean): string {
  return isTruncated ? 'length' : 'stop'
}

function choicesOf(answer: AnswerContent, { prompt, max_tokens }: RequestBody): readonly Choice[] {
  if (!Array.isArray(prompt) || !prompt.some((text) => typeof text === 'string')) return [answer]
  const cap = typeof max_tokens === 'number' ? max_tokens : undefined
  return prompt.slice(0, MAX_PROMPTS).map((text) => {
    const words = `You said: ${typeof text === 'string' ? text : 'nothing'}`.match(/\s*\S+/g) ?? []
    const kept = words.slice(0, cap)
    return { words: kept, isTruncated: kept.length < words.length }
  })
}

function usageOf(answer: AnswerContent, choices: readonly Choice[]) {
  const completion = choices.reduce((sum, { words }) => sum + words.length, 0)
  return {
    prompt_tokens: answer.inputTokens,
    completion_tokens: completion,
    total_tokens: answer.inputTokens + completion,
  }
}
