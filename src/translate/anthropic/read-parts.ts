// Anthropic messages, read: their content blocks as neutral parts.

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
import { stringifyJson } from './arguments.ts'
import { cacheOf, DIALECT, ExtrasDraft, isEmpty, optionalField } from './dialect-fields.ts'

/** Names of tools by the ids of their calls, as the conversation goes on. */
export type ToolNames = Map<string, string>

const MESSAGE_FIELDS = new Set(['role', 'content'])

/** Throws Problem for what is no message. */
export function readMessage(message: unknown, names: ToolNames): ChatMessage {
  if (!isRecord(message)) throw invalidField('messages', 'must hold objects')
  const { role, content } = message
  if (role !== 'user' && role !== 'assistant' && role !== 'system')
    throw invalidField('messages', 'must have known roles')
  const kept = new ExtrasDraft()
  kept.keepRest(message, MESSAGE_FIELDS)
  // Where it stands is kept by saying nothing about its role: the system field is read into a message without it.
  if (role === 'system') kept.hint('role', null)
  const parts = readContent(content, 'messages', names)
  const results = parts.filter((part) => part.kind === 'toolResult')
  return { role, parts: [...results, ...parts.filter((part) => part.kind !== 'toolResult')], ...kept.toField() }
}

export function readSystem(content: unknown): ChatMessage {
  return { role: 'system', parts: readContent(content, 'system', new Map()) }
}

/** A string, or blocks. */
function readContent(content: unknown, field: string, names: ToolNames): Part[] {
  if (typeof content === 'string') return [{ kind: 'text', text: content }]
  if (content === undefined || content === null) return []
  if (!Array.isArray(content)) throw invalidField(field, 'must hold text or content blocks')
  return content.map((block) => readBlock(block, field, names))
}

/** Throws Problem for a call without a name or an id, or a result without a call. */
export function readBlock(block: unknown, field: string, names: ToolNames): Part {
  if (!isRecord(block) || typeof block.type !== 'string')
    throw invalidField(field, 'must hold content blocks with a type')
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
  return { kind: 'own', dialect: DIALECT, name: String(block.type), value: block }
}

/** Text, or what can be shown; undefined for what only Anthropic can show. */
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

function textPart(text: string, block: JsonObject, read: ReadonlySet<string>, hints: ReadonlySet<string>): TextPart {
  return { kind: 'text', text, ...readCommon(block, read, hints, new ExtrasDraft()) }
}

/** What any block may carry. */
function readCommon(block: JsonObject, read: ReadonlySet<string>, hints: ReadonlySet<string>, kept: ExtrasDraft) {
  kept.keepRest(block, read, hints)
  const control = block.cache_control
  const cache = cacheOf(control)
  if (!isEmpty(control) && cache === undefined) kept.hint('cache_control', control)
  return { ...optionalField('cache', cache), ...kept.toField() }
}

const MEDIA_FIELDS = new Set(['type', 'source', 'title', 'cache_control'])
const MEDIA_HINTS = new Set(['citations', 'context'])

function readImage(block: JsonObject): MediaPart | undefined {
  const media = readSource(block.source, 'image/*')
  return media && { kind: 'media', ...media, ...readCommon(block, MEDIA_FIELDS, MEDIA_HINTS, new ExtrasDraft()) }
}

/** Inline, or where it lies; undefined for a source of any other kind. */
function readSource(source: unknown, usual: string): Pick<MediaPart, 'mediaType' | 'source'> | undefined {
  const { type, media_type: mediaType, data, url } = recordOf(source)
  if (type === 'url' && typeof url === 'string') return { mediaType: usual, source: { url } }
  if (type !== 'base64' || typeof data !== 'string') return undefined
  return { mediaType: typeof mediaType === 'string' ? mediaType : usual, source: { base64: data } }
}

function readDocument(block: JsonObject): MediaPart | TextPart | undefined {
  const { source, title } = block
  const media = readSource(source, 'application/pdf')
  if (media) {
    const common = readCommon(block, MEDIA_FIELDS, MEDIA_HINTS, new ExtrasDraft())
    return { kind: 'media', ...media, ...(typeof title === 'string' ? { name: title } : {}), ...common }
  }
  const { type, media_type: mediaType, data, content } = recordOf(source)
  if (type === 'text' && mediaType === 'text/plain' && typeof data === 'string') {
    const kept = new ExtrasDraft()
    // An empty source, since the text says it all: it only tells a document from other text.
    kept.hint('source', null)
    return { kind: 'text', text: data, ...readCommon(block, DOCUMENT_FIELDS, DOCUMENT_HINTS, kept) }
  }
  const text = type === 'content' ? textOf(content) : undefined
  return text === undefined ? undefined : { kind: 'text', text, ...wholeBlockExtras(block) }
}

const DOCUMENT_FIELDS = new Set(['type', 'source', 'cache_control'])
const DOCUMENT_HINTS = new Set(['citations', 'context', 'title'])

/** Something found, to be cited: for other models, text under its title. */
function readSearchResult(block: JsonObject): TextPart | undefined {
  const found = textOf(block.content)
  if (found === undefined) return undefined
  const heads = [block.title, block.source].filter((head) => typeof head === 'string' && head !== '')
  return { kind: 'text', text: [...heads, found].join('\n'), ...wholeBlockExtras(block) }
}

/** A block that is put back as it is, under its type's name. */
function wholeBlockExtras(block: JsonObject): Pick<TextPart, 'extras' | 'cache'> {
  const kept = new ExtrasDraft()
  kept.hint(String(block.type), block)
  return { ...optionalField('cache', cacheOf(block.cache_control)), ...kept.toField() }
}

/** A string, or blocks of nothing but text; undefined where there is anything else. */
function textOf(content: unknown): string | undefined {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return undefined
  const texts = content.map((block) => recordOf(block)).map(({ type, text }) => (type === 'text' ? text : undefined))
  return texts.every((text) => typeof text === 'string') ? texts.join('\n') : undefined
}

/** Undefined where it holds what it should not. */
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
  if (text === undefined) throw invalidField(field, 'must not nest without end')
  names.set(id, name)
  const kept = new ExtrasDraft()
  // The model itself, if it is said at all. Code that ran at the provider cannot go on elsewhere.
  if (recordOf(caller).type !== 'direct' && caller !== undefined) kept.need('caller', caller)
  const common = readCommon(block, CALL_FIELDS, new Set(), kept)
  return { kind: 'toolCall', id, name, arguments: text, ...common }
}

const RESULT_FIELDS = new Set(['type', 'tool_use_id', 'content', 'is_error', 'cache_control'])

function readToolResult(block: JsonObject, field: string, names: ToolNames): ToolResultPart {
  const { tool_use_id: callId, content, is_error: failed } = block
  const name = typeof callId === 'string' ? names.get(callId) : undefined
  if (typeof callId !== 'string' || name === undefined) {
    throw invalidField(field, 'must hold the tool_use before every tool_result')
  }
  const kept = new ExtrasDraft()
  if (failed === false) kept.hint('is_error', false)
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? [])
  if (!Array.isArray(blocks)) throw invalidField(field, 'must hold text or content blocks as a result')
  if (isEmpty(content) && content !== undefined) kept.hint('content', content)
  const parts = isEmpty(content) ? [] : blocks.map((inner) => readPlain(recordOf(inner)))
  const readable = parts.filter((part) => part !== undefined)
  if (readable.length < parts.length) kept.need('content', content)
  const common = readCommon(block, RESULT_FIELDS, new Set(), kept)
  return { kind: 'toolResult', callId, name, parts: readable, failed: failed === true, ...common }
}
