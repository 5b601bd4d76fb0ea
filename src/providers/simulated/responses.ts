// The simulated provider's responses: one message, as a document or as OpenAI's events in their order.

import type { AnswerContent, AnswerFormat } from './answer-format.ts'

export const RESPONSES_FORMAT: Pick<AnswerFormat, 'whole' | 'stream'> = {
  whole: (answer) => JSON.stringify(finishedResponse(answer)),
  stream: (answer) => {
    const item_id = itemOf(answer, []).id
    const place = { item_id, output_index: 0, content_index: 0 }
    const text = answer.words.join('')
    const event = (type: string, fields: object) => ({ type, ...fields })
    const part = partOf(text)
    return [
      event('response.created', { response: startedResponse(answer) }),
      event('response.in_progress', { response: startedResponse(answer) }),
      event('response.output_item.added', { output_index: 0, item: { ...itemOf(answer, []), status: 'in_progress' } }),
      event('response.content_part.added', { ...place, part: partOf('') }),
      ...answer.words.map((delta) => event('response.output_text.delta', { ...place, delta, logprobs: [] })),
      event('response.output_text.done', { ...place, text, logprobs: [] }),
      event('response.content_part.done', { ...place, part }),
      event('response.output_item.done', { output_index: 0, item: itemOf(answer, [part]) }),
      event(`response.${statusOf(answer)}`, { response: finishedResponse(answer) }),
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

function itemOf(answer: AnswerContent, content: readonly unknown[]) {
  return { id: `msg_${answer.id}`, type: 'message', status: statusOf(answer), role: 'assistant', content }
}

function startedResponse(answer: AnswerContent) {
  return {
    id: `resp_${answer.id}`,
    object: 'response',
    created_at: 0,
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    model: answer.model,
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

function finishedResponse(answer: AnswerContent) {
  return {
    ...startedResponse(answer),
    status: statusOf(answer),
    incomplete_details: answer.isTruncated ? { reason: 'max_output_tokens' } : null,
    output: [itemOf(answer, [partOf(answer.words.join(''))])],
    usage: answer.withUsage ? usageOf(answer) : null,
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
