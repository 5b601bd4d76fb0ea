// Anthropic parts: reads messages and their content blocks as chat messages and parts.

import type {
  ChatMessage,
  JsonObject,
  MediaPart,
  Part,
  ReasoningPart,
  TextPart,
  ToolResultPart,
} from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft } from '../dialect-fields.ts'
import { stringifyJson } from './arguments.ts'
import { ANTHROPIC_EXTRAS, cacheOf, DIALECT, isEmpty, optionalField } from './dialect-fields.ts'

/** The name of each tool call's tool, by the call's id. The reader adds to it while it reads a conversation. */
export type ToolNames = Map<string, string>

const MESSAGE_FIELDS = new Set(['role', 'content'])

/** Throws Problem `invalid_request` if `message` is no message of this dialect. */
export function readMessage(message: unknown, names: ToolNames): ChatMessage {
  if (!isRecord(message)) throw invalidField('messages', 'must hold objects only')
  const { role, content } = message
  if (role !== 'user' && role !== 'assistant' && role !== 'system')
    throw invalidField('messages', 'must have the role user, assistant or system in every message')
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS)
  extras.keepRest(message, MESSAGE_FIELDS)
  // The hint tells a system message of the conversation from the field `system`, which is read without a hint.
  if (role === 'system') extras.hint('role', null)
  const parts = readContent(content, 'messages', names)
  const results = parts.filter((part) => part.kind === 'toolResult')
  return { role, parts: [...results, ...parts.filter((part) => part.kind !== 'toolResult')], ...extras.toField() }
}

export function readSystem(content: unknown): ChatMessage {
  return { role: 'system', parts: readContent(content, 'system', new Map()) }
}

/** Content is a string or a list of blocks. */
function readContent(content: unknown, field: string, names: ToolNames): Part[] {
  if (typeof content === 'string') return [{ kind: 'text', text: content }]
  if (content === undefined || content === null) return []
  if (!Array.isArray(content)) throw invalidField(field, 'must hold a string or a list of content blocks')
  return content.map((block) => readBlock(block, field, names))
}

/** Throws Problem `invalid_request` for a tool call without a name or an id, and for a result without a call. */
export function readBlock(block: unknown, field: string, names: ToolNames): Part {
  if (!isRecord(block) || typeof block.type !== 'string')
    throw invalidField(field, 'must hold content blocks that are objects with a type')
  switch (block.type) {
    case 'thinking':
    case 'redacted_thinking':
      return readThinking(block) ?? dialectPart(block)
    case 'tool_use':
      return readToolUse(block, field, names)
    case 'tool_result':
      return readToolResult(block, field, names)
  }
  return readPlain(block) ?? dialectPart(block)
}

function dialectPart(block: JsonObject): Part {
  return { kind: 'dialect', dialect: DIALECT, name: String(block.type), value: block }
}

/** Reads text, images and documents; undefined if only Anthropic can read the block. */
function readPlain(block: JsonObject): TextPart | MediaPart | undefined {
  switch (block.type) {
    case 'text':
      return typeof block.text === 'string' ? textPart(block.text, block, TEXT_FIELDS, TEXT_HINTS) : undefined
    case 'image':
      return readImage(block)
    case 'document':
      return readDocument(block)
    case 'search_result':
      return readSearchResult(block)
  }
  return undefined
}

const TEXT_FIELDS = new Set(['type', 'text', 'cache_control'])
const TEXT_HINTS = new Set(['citations'])

function textPart(text: string, block: JsonObject, known: ReadonlySet<string>, hints: ReadonlySet<string>): TextPart {
  return { kind: 'text', text, ...readCommon(block, known, hints, new ExtrasDraft(ANTHROPIC_EXTRAS)) }
}

/** The cache hint and the extras, which every block can have. */
function readCommon(block: JsonObject, known: ReadonlySet<string>, hints: ReadonlySet<string>, extras: ExtrasDraft) {
  extras.keepRest(block, known, { hints })
  const control = block.cache_control
  const cache = cacheOf(control)
  if (!isEmpty(control) && cache === undefined) extras.hint('cache_control', control)
  return { ...optionalField('cache', cache), ...extras.toField() }
}

const MEDIA_FIELDS = new Set(['type', 'source', 'title', 'cache_control'])
const MEDIA_HINTS = new Set(['citations', 'context'])

function readImage(block: JsonObject): MediaPart | undefined {
  const media = readSource(block.source, 'image/*')
  return (
    media && {
      kind: 'media',
      ...media,
      ...readCommon(block, MEDIA_FIELDS, MEDIA_HINTS, new ExtrasDraft(ANTHROPIC_EXTRAS)),
    }
  )
}

/** A source with inline data or a URL; undefined for any other kind of source. */
function readSource(source: unknown, defaultType: string): Pick<MediaPart, 'mediaType' | 'source'> | undefined {
  const { type, media_type: mediaType, data, url } = recordOf(source)
  if (type === 'url' && typeof url === 'string') return { mediaType: defaultType, source: { url } }
  if (type !== 'base64' || typeof data !== 'string') return undefined
  return { mediaType: typeof mediaType === 'string' ? mediaType : defaultType, source: { base64: data } }
}

function readDocument(block: JsonObject): MediaPart | TextPart | undefined {
  const { source, title } = block
  const media = readSource(source, 'application/pdf')
  if (media) {
    const common = readCommon(block, MEDIA_FIELDS, MEDIA_HINTS, new ExtrasDraft(ANTHROPIC_EXTRAS))
    return { kind: 'media', ...media, ...(typeof title === 'string' ? { name: title } : {}), ...common }
  }
  const { type, media_type: mediaType, data, content } = recordOf(source)
  if (type === 'text' && mediaType === 'text/plain' && typeof data === 'string') {
    const extras = new ExtrasDraft(ANTHROPIC_EXTRAS)
    // The empty hint tells this document from plain text. The text itself holds the source's data.
    extras.hint('source', null)
    return { kind: 'text', text: data, ...readCommon(block, DOCUMENT_FIELDS, DOCUMENT_HINTS, extras) }
  }
  const text = type === 'content' ? textOf(content) : undefined
  return text === undefined ? undefined : { kind: 'text', text, ...wholeBlockExtras(block) }
}

const DOCUMENT_FIELDS = new Set(['type', 'source', 'cache_control'])
const DOCUMENT_HINTS = new Set(['citations', 'context', 'title'])

/** A search result is text under its title for other dialects. */
function readSearchResult(block: JsonObject): TextPart | undefined {
  const found = textOf(block.content)
  if (found === undefined) return undefined
  const heads = [block.title, block.source].filter((head) => typeof head === 'string' && head !== '')
  return { kind: 'text', text: [...heads, found].join('\n'), ...wholeBlockExtras(block) }
}

/** Extras that keep the whole block, under the name of its type. */
function wholeBlockExtras(block: JsonObject): Pick<TextPart, 'extras' | 'cache'> {
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS)
  extras.hint(String(block.type), block)
  return { ...optionalField('cache', cacheOf(block.cache_control)), ...extras.toField() }
}

/** The text of content that is a string or has text blocks only; undefined for any other content. */
function textOf(content: unknown): string | undefined {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return undefined
  const texts = content.map((block) => recordOf(block)).map(({ type, text }) => (type === 'text' ? text : undefined))
  return texts.every((text) => typeof text === 'string') ? texts.join('\n') : undefined
}

/** Undefined if a field has the wrong type. */
function readThinking(block: JsonObject): ReasoningPart | undefined {
  const { type, thinking, signature, data } = block
  if (type === 'redacted_thinking') {
    return typeof data === 'string' ? { kind: 'reasoning', text: '', redacted: data, signedIn: DIALECT } : undefined
  }
  if (typeof thinking !== 'string') return undefined
  const signed = typeof signature === 'string' && signature !== '' ? { signature, signedIn: DIALECT } : {}
  return { kind: 'reasoning', text: thinking, ...signed }
}

const CALL_FIELDS = new Set(['type', 'id', 'name', 'input', 'caller', 'cache_control'])

function readToolUse(block: JsonObject, field: string, names: ToolNames): Part {
  const { id, name, input, caller } = block
  if (typeof id !== 'string' || id === '') throw invalidField(field, 'must hold an id with every tool_use')
  if (typeof name !== 'string' || name === '') throw invalidField(field, 'must hold a name with every tool_use')
  const text = stringifyJson(input ?? {})
  if (text === undefined) throw invalidField(field, 'must hold a less deeply nested input with every tool_use')
  names.set(id, name)
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS)
  // A `direct` caller is the model, as in every dialect. Any other caller is code that runs at Anthropic only.
  if (recordOf(caller).type !== 'direct' && caller !== undefined) extras.keep('caller', caller)
  const common = readCommon(block, CALL_FIELDS, new Set(), extras)
  return { kind: 'toolCall', id, name, arguments: text, ...common }
}

const RESULT_FIELDS = new Set(['type', 'tool_use_id', 'content', 'is_error', 'cache_control'])

function readToolResult(block: JsonObject, field: string, names: ToolNames): ToolResultPart {
  const { tool_use_id: callId, content, is_error: failed } = block
  const name = typeof callId === 'string' ? names.get(callId) : undefined
  if (typeof callId !== 'string' || name === undefined) {
    throw invalidField(field, 'must hold, before every tool_result, the tool_use with its id')
  }
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS)
  if (failed === false) extras.hint('is_error', false)
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? [])
  if (!Array.isArray(blocks))
    throw invalidField(field, 'must hold a string or a list of content blocks in every tool_result')
  if (isEmpty(content) && content !== undefined) extras.hint('content', content)
  const parts = isEmpty(content) ? [] : blocks.map((resultBlock) => readPlain(recordOf(resultBlock)))
  const readable = parts.filter((part) => part !== undefined)
  if (readable.length < parts.length) extras.keep('content', content)
  const common = readCommon(block, RESULT_FIELDS, new Set(), extras)
  return { kind: 'toolResult', callId, name, parts: readable, failed: failed === true, ...common }
}
