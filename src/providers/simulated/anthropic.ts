// The simulated provider's messages, as Anthropic shapes them: text, or calls of tools.

import type { Shape, Speech, SpokenCall } from './shape.ts'

export const ANTHROPIC: Shape = {
  whole: (speech) =>
    JSON.stringify({
      ...messageOf(speech, contentOf(speech), reasonOf(speech)),
      ...(speech.withUsage ? { usage: usageOf(speech) } : {}),
    }),
  stream: (speech) => {
    const usage = speech.withUsage ? { usage: { ...usageOf(speech), output_tokens: 1 } } : {}
    return [
      event('message_start', { message: { ...messageOf(speech, [], null), ...usage } }),
      ...(speech.calls.length > 0 ? speech.calls.flatMap(callEvents) : textEvents(speech)),
      event('message_delta', {
        delta: { stop_reason: reasonOf(speech), stop_sequence: null },
        ...(speech.withUsage ? { usage: { output_tokens: speech.output } } : {}),
      }),
      event('message_stop', {}),
    ]
  },
  error: (status, message) =>
    JSON.stringify({
      type: 'error',
      error: { type: status === 429 ? 'rate_limit_error' : 'api_error', message },
      request_id: 'req_simulated',
    }),
}

function event(type: string, more: Readonly<Record<string, unknown>>): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
}

function textEvents({ words }: Speech): string[] {
  return [
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    event('ping', {}),
    ...words.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    event('content_block_stop', { index: 0 }),
  ]
}

function callEvents(call: SpokenCall, index: number): string[] {
  const delta = (partial_json: string) =>
    event('content_block_delta', { index, delta: { type: 'input_json_delta', partial_json } })
  return [
    event('content_block_start', { index, content_block: callOf(call, {}) }),
    ...(index === 0 ? [event('ping', {})] : []),
    delta(''),
    ...call.pieces.map(delta),
    event('content_block_stop', { index }),
  ]
}

function messageOf(speech: Speech, content: readonly unknown[], stop_reason: string | null) {
  return {
    id: `msg_${speech.id}`,
    type: 'message',
    role: 'assistant',
    model: speech.model,
    content,
    stop_reason,
    stop_sequence: null,
  }
}

/** A call that the cap ended has no input: half of it would be no JSON. */
function contentOf({ words, calls }: Speech): readonly unknown[] {
  if (calls.length === 0) return [{ type: 'text', text: words.join('') }]
  return calls.map((call) => callOf(call, call.whole ? call.arguments : {}))
}

function callOf({ id, name }: SpokenCall, input: unknown) {
  return { type: 'tool_use', id: `toolu_${id}`, name, input }
}

function reasonOf({ cut, calls }: Speech): string {
  if (cut) return 'max_tokens'
  return calls.length > 0 ? 'tool_use' : 'end_turn'
}

function usageOf(speech: Speech) {
  return {
    input_tokens: speech.input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: speech.output,
    service_tier: 'standard',
  }
}
