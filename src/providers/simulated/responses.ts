// The simulated provider's responses: one message, whole or as the events that OpenAI makes of one, in their order.

import type { AnswerContent, AnswerFormat } from './answer-format.ts'

export const RESPONSES_FORMAT: Pick<AnswerFormat, 'whole' | 'stream'> = {
  whole: (speech) => JSON.stringify(finishedResponse(speech)),
  stream: (speech) => {
    const item_id = itemOf(speech, []).id
    const place = { item_id, output_index: 0, content_index: 0 }
    const text = speech.words.join('')
    const event = (type: string, more: object) => ({ type, ...more })
    const part = partOf(text)
    return [
      event('response.created', { response: startedResponse(speech) }),
      event('response.in_progress', { response: startedResponse(speech) }),
      event('response.output_item.added', { output_index: 0, item: { ...itemOf(speech, []), status: 'in_progress' } }),
      event('response.content_part.added', { ...place, part: partOf('') }),
      ...speech.words.map((delta) => event('response.output_text.delta', { ...place, delta, logprobs: [] })),
      event('response.output_text.done', { ...place, text, logprobs: [] }),
      event('response.content_part.done', { ...place, part }),
      event('response.output_item.done', { output_index: 0, item: itemOf(speech, [part]) }),
      event(`response.${statusOf(speech)}`, { response: finishedResponse(speech) }),
    ].map(formatEvent)
  },
}

function formatEvent(event: { readonly type: string }, sequence_number: number): string {
  return `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number })}\n\n`
}

function statusOf({ isTruncated }: AnswerContent): string {
  return isTruncated ? 'incomplete' : 'completed'
}

function partOf(text: string) {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

function itemOf(speech: AnswerContent, content: readonly unknown[]) {
  return { id: `msg_${speech.id}`, type: 'message', status: statusOf(speech), role: 'assistant', content }
}

function startedResponse(speech: AnswerContent) {
  return {
    id: `resp_${speech.id}`,
    object: 'response',
    created_at: 0,
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    model: speech.model,
    output: [] as readonly unknown[],
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    service_tier: 'default',
    usage: null,
    metadata: {},
  }
}

function finishedResponse(speech: AnswerContent) {
  return {
    ...startedResponse(speech),
    status: statusOf(speech),
    incomplete_details: speech.isTruncated ? { reason: 'max_output_tokens' } : null,
    output: [itemOf(speech, [partOf(speech.words.join(''))])],
    usage: speech.withUsage ? usageOf(speech) : null,
  }
}

function usageOf({ inputTokens, outputTokens }: AnswerContent) {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: inputTokens + outputTokens,
  }
}
