// Anthropic document events: a whole message as the events of a stream, with all of its fields.

import { isRecord } from '../../core/json-values.ts'

type JsonObject = Readonly<Record<string, unknown>>

export function messageDocumentEvents(document: JsonObject): string {
  const { content, stop_reason: reason = null, stop_sequence: sequence = null, usage, ...rest } = document
  const blocks = Array.isArray(content) ? content.filter(isRecord) : []
  const head = { ...rest, content: [], stop_reason: null, stop_sequence: null, usage }
  return [
    { type: 'message_start', message: head },
    ...blocks.flatMap(blockEvents),
    { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: sequence }, usage },
    { type: 'message_stop' },
  ]
    .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join('')
}

/** A block begins empty, and its deltas fill it. Blocks without deltas come whole. */
function blockEvents(block: JsonObject, index: number): (JsonObject & { readonly type: string })[] {
  const { start, deltas } = splitBlock(block)
  return [
    { type: 'content_block_start', index, content_block: start },
    ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ]
}

function splitBlock(block: JsonObject): { readonly start: JsonObject; readonly deltas: readonly JsonObject[] } {
  const { text, thinking, signature, input, citations } = block
  if (block.type === 'text' && typeof text === 'string') {
    const cited = Array.isArray(citations) ? citations.map((citation) => ({ type: 'citations_delta', citation })) : []
    const start = { ...block, text: '', ...(cited.length > 0 ? { citations: [] } : {}) }
    return { start, deltas: [...cited, { type: 'text_delta', text }] }
  }
  if (block.type === 'thinking' && typeof thinking === 'string')
    return {
      start: { ...block, thinking: '', signature: '' },
      deltas: [
        { type: 'thinking_delta', thinking },
        ...(typeof signature === 'string' ? [{ type: 'signature_delta', signature }] : []),
      ],
    }
  if (isRecord(input))
    return {
      start: { ...block, input: {} },
      deltas: [{ type: 'input_json_delta', partial_json: JSON.stringify(input) }],
    }
  return { start: block, deltas: [] }
}
