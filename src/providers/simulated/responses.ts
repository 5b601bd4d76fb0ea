// The simulated provider's responses, as a document or as OpenAI's events in their order: one message, or calls of functions.

import type { AnswerContent, AnswerFormat, PartialToolCall } from './answer-format.ts'

interface ResponseEvent {
  readonly type: string
}

export const RESPONSES_FORMAT: Pick<AnswerFormat, 'whole' | 'stream'> = {
  whole: (answer) => JSON.stringify(finishedResponse(answer)),
  stream: (answer) => {
    const items = answer.calls.length > 0 ? answer.calls.flatMap(callEvents) : messageEvents(answer)
    return [
      event('response.created', { response: startedResponse(answer) }),
      event('response.in_progress', { response: startedResponse(answer) }),
      ...items,
      event(`response.${statusOf(answer)}`, { response: finishedResponse(answer) }),
    ].map(formatEvent)
  },
}

function event(type: string, fields: object): ResponseEvent {
  return { type, ...fields }
}

function messageEvents(answer: AnswerContent): ResponseEvent[] {
  const place = { item_id: messageOf(answer, []).id, output_index: 0, content_index: 0 }
  const text = answer.words.join('')
  const part = partOf(text)
  const started = { ...messageOf(answer, []), status: 'in_progress' }
  return [
    event('response.output_item.added', { output_index: 0, item: started }),
    event('response.content_part.added', { ...place, part: partOf('') }),
    ...answer.words.map((delta) => event('response.output_text.delta', { ...place, delta, logprobs: [] })),
    event('response.output_text.done', { ...place, text, logprobs: [] }),
    event('response.content_part.done', { ...place, part }),
    event('response.output_item.done', { output_index: 0, item: messageOf(answer, [part]) }),
  ]
}

function callEvents(call: PartialToolCall, output_index: number): ResponseEvent[] {
  const item = callOf(call)
  const place = { item_id: item.id, output_index }
  return [
    event('response.output_item.added', { output_index, item: { ...item, status: 'in_progress', arguments: '' } }),
    ...call.pieces.map((delta) => event('response.function_call_arguments.delta', { ...place, delta })),
    event('response.function_call_arguments.done', { ...place, name: item.name, arguments: item.arguments }),
    event('response.output_item.done', { output_index, item }),
  ]
}

function formatEvent(made: ResponseEvent, sequence_number: number): string {
  return `event: ${made.type}\ndata: ${JSON.stringify({ ...made, sequence_number })}\n\n`
}

function statusOf({ isTruncated }: Pick<AnswerContent, 'isTruncated'>): string {
  return isTruncated ? 'incomplete' : 'completed'
}

function partOf(text: string) {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

function messageOf(answer: AnswerContent, content: readonly unknown[]) {
  return { id: `msg_${answer.id}`, type: 'message', status: statusOf(answer), role: 'assistant', content }
}

function callOf({ id, name, pieces, isComplete }: PartialToolCall) {
  const status = statusOf({ isTruncated: !isComplete })
  return { id: `fc_${id}`, type: 'function_call', status, call_id: `call_${id}`, name, arguments: pieces.join('') }
}

function outputOf(answer: AnswerContent): readonly object[] {
  if (answer.calls.length > 0) return answer.calls.map(callOf)
  return [messageOf(answer, [partOf(answer.words.join(''))])]
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
    output: outputOf(answer),
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
