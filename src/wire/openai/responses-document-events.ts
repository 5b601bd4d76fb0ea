// Responses document events: a whole response as the events of a stream, with all of its fields.

import { isRecord } from '../../core/json-values.ts'

type JsonObject = Readonly<Record<string, unknown>>
type StreamEvent = JsonObject & { readonly type: string }

/** A part of an item as events: an empty start, the deltas that fill it, and the whole. */
interface Piece {
  /** The fields that say where the piece is. */
  readonly place: JsonObject
  readonly start?: StreamEvent
  readonly deltas: readonly StreamEvent[]
  readonly end?: StreamEvent
}

/** The terminal events by the status of the response; `response.completed` for any other status. */
const LAST_EVENTS: ReadonlyMap<unknown, string> = new Map([
  ['incomplete', 'response.incomplete'],
  ['failed', 'response.failed'],
  // A response that goes on in the background: the stream ends without a terminal event.
  ['queued', 'response.queued'],
  ['in_progress', 'response.in_progress'],
])

/** Undefined for a document that is no response, such as a list of the items of one. */
export function responseDocumentEvents(document: JsonObject): string | undefined {
  if ((document.object ?? 'response') !== 'response') return undefined
  const items = (Array.isArray(document.output) ? document.output.filter(isRecord) : []).map(withId)
  const response = { ...document, output: items }
  const begun = { ...document, status: 'in_progress', output: [], usage: null }
  return [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    ...items.flatMap(itemEvents),
    { type: LAST_EVENTS.get(document.status) ?? 'response.completed', response },
  ]
    .map((event, index) => ({ ...event, sequence_number: index }))
    .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join('')
}

/** Clients find an item by its id, which some servers leave out. */
function withId(item: JsonObject, index: number): JsonObject {
  return typeof item.id === 'string' && item.id !== '' ? item : { ...item, id: `item_${index}` }
}

/** An item begins empty, and its pieces fill it. Items without pieces come whole. */
function itemEvents(item: JsonObject, index: number): StreamEvent[] {
  const { emptied, pieces } = splitItem(item)
  const place = { item_id: item.id, output_index: index }
  return [
    { type: 'response.output_item.added', output_index: index, item: { ...item, ...emptied, status: 'in_progress' } },
    ...pieces.flatMap((piece) =>
      [piece.start, ...piece.deltas, piece.end]
        .filter((event) => event !== undefined)
        .map((event) => ({ ...event, ...place, ...piece.place })),
    ),
    { type: 'response.output_item.done', output_index: index, item },
  ]
}

function splitItem(item: JsonObject): { readonly emptied: JsonObject; readonly pieces: readonly Piece[] } {
  switch (item.type) {
    case 'message':
      return { emptied: { content: [] }, pieces: partsOf(item.content).map(contentPiece) }
    case 'reasoning': {
      const summary = partsOf(item.summary).map(summaryPiece)
      const thoughts = partsOf(item.content).map(thoughtPiece)
      const content = Array.isArray(item.content) ? { content: [] } : {}
      return { emptied: { summary: [], ...content }, pieces: [...summary, ...thoughts] }
    }
    case 'function_call':
      return textField(item, 'arguments', 'response.function_call_arguments', { name: item.name })
    case 'custom_tool_call':
      return textField(item, 'input', 'response.custom_tool_call_input', {})
    case 'mcp_call':
      return textField(item, 'arguments', 'response.mcp_call_arguments', {})
  }
  return { emptied: {}, pieces: [] }
}

function partsOf(parts: unknown): readonly JsonObject[] {
  return Array.isArray(parts) ? parts.filter(isRecord) : []
}

/** An item whose text stands in a field of its own. @param more fields of the last event */
function textField(item: JsonObject, field: string, name: string, more: JsonObject) {
  const text = item[field]
  if (typeof text !== 'string') return { emptied: {}, pieces: [] }
  const end = { type: `${name}.done`, ...more, [field]: text }
  return { emptied: { [field]: '' }, pieces: [{ place: {}, deltas: deltasOf(`${name}.delta`, text), end }] }
}

function deltasOf(type: string, delta: string, more: JsonObject = {}): StreamEvent[] {
  return delta === '' ? [] : [{ type, delta, ...more }]
}

function contentPiece(part: JsonObject, index: number): Piece {
  const { type, text, refusal, annotations, logprobs = [] } = part
  const place = { content_index: index }
  const added = (emptied: JsonObject) => ({ type: 'response.content_part.added', part: { ...part, ...emptied } })
  const end = { type: 'response.content_part.done', part }
  if (type === 'output_text' && typeof text === 'string') {
    const cited = partsOf(annotations).map((annotation, position) => ({
      type: 'response.output_text.annotation.added',
      annotation_index: position,
      annotation,
    }))
    const deltas = deltasOf('response.output_text.delta', text, { logprobs })
    const whole = { type: 'response.output_text.done', text, logprobs }
    return { place, start: added({ text: '', annotations: [] }), deltas: [...deltas, ...cited, whole], end }
  }
  if (type === 'refusal' && typeof refusal === 'string') {
    const deltas = deltasOf('response.refusal.delta', refusal)
    return {
      place,
      start: added({ refusal: '' }),
      deltas: [...deltas, { type: 'response.refusal.done', refusal }],
      end,
    }
  }
  return { place, start: added({}), deltas: [], end }
}

function summaryPiece(part: JsonObject, index: number): Piece {
  const text = typeof part.text === 'string' ? part.text : ''
  return {
    place: { summary_index: index },
    start: { type: 'response.reasoning_summary_part.added', part: { ...part, text: '' } },
    deltas: [
      ...deltasOf('response.reasoning_summary_text.delta', text),
      { type: 'response.reasoning_summary_text.done', text },
    ],
    end: { type: 'response.reasoning_summary_part.done', part },
  }
}

function thoughtPiece(part: JsonObject, index: number): Piece {
  const text = typeof part.text === 'string' ? part.text : ''
  const deltas = deltasOf('response.reasoning_text.delta', text)
  return { place: { content_index: index }, deltas, end: { type: 'response.reasoning_text.done', text } }
}
