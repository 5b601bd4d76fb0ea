// The simulated provider's chat completions, in OpenAI's form: text, or calls of tools.

import { isRecord } from '../../core/json-values.ts'
import type { AnswerContent, AnswerFormat, PartialToolCall } from './answer-format.ts'

export const OPENAI_FORMAT: AnswerFormat = {
  whole: (answer) =>
    JSON.stringify({
      id: `chatcmpl-${answer.id}`,
      object: 'chat.completion',
      created: 0,
      model: answer.model,
      choices: [{ index: 0, message: messageOf(answer), logprobs: null, finish_reason: finishReasonOf(answer) }],
      ...(answer.withUsage ? { usage: usageOf(answer) } : {}),
    }),
  stream: (answer, request) => {
    const options = request.stream_options
    const requestsUsage = answer.withUsage && isRecord(options) && options.include_usage === true
    const chunk = (choices: unknown[], usage: unknown = null) =>
      `data: ${JSON.stringify({ id: `chatcmpl-${answer.id}`, object: 'chat.completion.chunk', created: 0, model: answer.model, choices, ...(requestsUsage ? { usage } : {}) })}\n\n`
    const delta = (delta: unknown, reason: string | null) => chunk([{ index: 0, delta, finish_reason: reason }])
    const calls = answer.calls.flatMap((call, index) => [
      delta({ tool_calls: [{ index, ...callOf(call, '') }] }, null),
      ...call.pieces.map((text) => delta({ tool_calls: [{ index, function: { arguments: text } }] }, null)),
    ])
    return [
      delta({ role: 'assistant', content: calls.length > 0 ? null : '' }, null),
      ...answer.words.map((content) => delta({ content }, null)),
      ...calls,
      delta({}, finishReasonOf(answer)),
      ...(requestsUsage ? [chunk([], usageOf(answer))] : []),
      'data: [DONE]\n\n',
    ]
  },
  error: (status, message) =>
    JSON.stringify({
      error: {
        message,
        type: status === 429 ? 'requests' : 'server_error',
        param: null,
        code: status === 429 ? 'rate_limit_exceeded' : null,
      },
    }),
}

function messageOf({ words, calls }: AnswerContent) {
  if (calls.length === 0) return { role: 'assistant', content: words.join(''), refusal: null }
  const tool_calls = calls.map((call) => callOf(call, call.pieces.join('')))
  return { role: 'assistant', content: null, tool_calls, refusal: null }
}

function callOf({ id, name }: PartialToolCall, text: string) {
  return { id: `call_${id}`, type: 'function', function: { name, arguments: text } }
}

function finishReasonOf({ isTruncated, calls }: AnswerContent): string {
  if (isTruncated) return 'length'
  return calls.length > 0 ? 'tool_calls' : 'stop'
}

function usageOf(answer: AnswerContent) {
  return {
    prompt_tokens: answer.inputTokens,
    completion_tokens: answer.outputTokens,
    total_tokens: answer.inputTokens + answer.outputTokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  }
}
