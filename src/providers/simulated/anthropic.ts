// The simulated provider's messages, in Anthropic's form: text, or calls of tools.

import type { AnswerContent, AnswerFormat, PartialToolCall } from './answer-format.ts'

export const ANTHROPIC_FORMAT: AnswerFormat = {
  whole: (answer) =>
    JSON.stringify({
      ...messageOf(answer, contentOf(answer), stopReasonOf(answer)),
      ...(answer.withUsage ? { usage: usageOf(answer) } : {}),
    }),
  stream: (answer) => {
    const usage = answer.withUsage ? { usage: { ...usageOf(answer), output_tokens: 1 } } : {}
    return [
      formatEvent('message_start', { message: { ...messageOf(answer, [], null), ...usage } }),
      ...(answer.calls.length > 0 ? answer.calls.flatMap(callEvents) : textEvents(answer)),
      formatEvent('message_delta', {
        delta: { stop_reason: stopReasonOf(answer), stop_sequence: null },
        ...(answer.withUsage ? { usage: { output_tokens: answer.outputTokens } } : {}),
      }),
      formatEvent('message_stop', {}),
    ]
  },
  error: (status, message) =>
    JSON.stringify({
      type: 'error',
      error: { type: status === 429 ? 'rate_limit_error' : 'api_error', message },
      request_id: 'req_simulated',
    }),
}

function formatEvent(type: string, fields: Readonly<Record<string, unknown>>): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
}

function textEvents({ words }: AnswerContent): string[] {
  return [
    formatEvent('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    formatEvent('ping', {}),
    ...words.map((text) => formatEvent('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    formatEvent('content_block_stop', { index: 0 }),
  ]
}

function callEvents(call: PartialToolCall, index: number): string[] {
  const delta = (partial_json: string) =>
    formatEvent('content_block_delta', { index, delta: { type: 'input_json_delta', partial_json } })
  return [
    formatEvent('content_block_start', { index, content_block: callOf(call, {}) }),
    ...(index === 0 ? [formatEvent('ping', {})] : []),
    delta(''),
    ...call.pieces.map(delta),
    formatEvent('content_block_stop', { index }),
  ]
}

function messageOf(answer: AnswerContent, content: readonly unknown[], stop_reason: string | null) {
  return {
    id: `msg_${answer.id}`,
    type: 'message',
    role: 'assistant',
    model: answer.model,
    content,
    stop_reason,
    stop_sequence: null,
  }
}

/** A call that the cap ended has no input: half of it would not be JSON. */
function contentOf({ words, calls }: AnswerContent): readonly unknown[] {
  if (calls.length === 0) return [{ type: 'text', text: words.join('') }]
  return calls.map((call) => callOf(call, call.isComplete ? call.arguments : {}))
}

function callOf({ id, name }: PartialToolCall, input: unknown) {
  return { type: 'tool_use', id: `toolu_${id}`, name, input }
}

function stopReasonOf({ isTruncated, calls }: AnswerContent): string {
  if (isTruncated) return 'max_tokens'
  return calls.length > 0 ? 'tool_use' : 'end_turn'
}

function usageOf(answer: AnswerContent) {
  return {
    input_tokens: answer.inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: answer.outputTokens,
    service_tier: 'standard',
  }
}
