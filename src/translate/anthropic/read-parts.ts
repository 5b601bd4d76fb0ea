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
import { stringifyJson } from '../arguments.ts'
import { ExtrasDraft } from '../dialect-fields.ts'
import { placed } from '../places.ts'
import { ANTHROPIC_EXTRAS, cacheOf, DIALECT, isEmpty, optionalField } from './dialect-fields.ts'

/** The name of each tool call's tool, by the call's id. The reader adds to it while it reads a conversation. */
export type ToolNames = Map<string, string>

const MESSAGE_FIELDS = new Set(['role', 'content'])

/**
 * Throws Problem `invalid_request` if `message` is no message of this dialect.
 * @param path its place in the request: `messages[0]`
 */
export function readMessage(message: unknown, path: string, names: ToolNames): ChatMessage {
  if (!isRecord(message)) throw invalidField(path, 'must be an object')
  const { role, content } = message
  if (role !== 'user' && role !== 'assistant' && role !== 'system')
    throw invalidField(`${path}.role`, 'must be user, assistant or system')
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS, path)
  extras.keepRest(message, MESSAGE_FIELDS, { isEcho: true })
  // The hint tells a system message of the conversation from the field `system`, which is read without a hint.
  if (role === 'system') extras.hint('role', null)
  const parts = readContent(content, `${path}.content`, names)
  const results = parts.filter((part) => part.kind === 'toolResult')
  const ordered = [...results, ...parts.filter((part) => part.kind !== 'toolResult')]
  return placed({ role, parts: ordered, ...extras.toField() }, path)
}

export function readSystem(content: unknown): ChatMessage {
  return { role: 'system', parts: readContent(content, 'system', new Map()) }
}

/** Content is a string or a list of blocks. */
function readContent(content: unknown, path: string, names: ToolNames): Part[] {
  if (typeof content === 'string') return [{ kind: 'text', text: content }]
  if (content === undefined || content === null) return []
  if (!Array.isArray(content)) throw invalidField(path, 'must be a string or a list of content blocks')
  return content.map((block, index) => readBlock(block, `${path}[${index}]`, names))
}

/** Throws Problem `invalid_request` for a tool call without a name or an id, and for a result without a call. */
export function readBlock(block: unknown, path: string, names: ToolNames): Part {
  if (!isRecord(block)) throw invalidField(path, 'must be an object')
  if (typeof block.type !== 'string') throw invalidField(`${path}.type`, 'must be a string')
  return placed(readTypedBlock(block, path, names), path)
}

function readTypedBlock(block: JsonObject, path: string, names: ToolNames): Part {
  switch (block.type) {
    case 'thinking':
    case 'redacted_thinking':
      return readThinking(block) ?? dialectPart(block)
    case 'tool_use':
      return readToolUse(block, path, names)
    case 'tool_result':
      return readToolResult(block, path, names)
  }
  return readPlain(block, path) ?? dialectPart(block)
}

function dialectPart(block: JsonObject): Part {
  return { kind: 'dialect', dialect: DIALECT, name: String(block.type), value: block }
}

/** Reads text, images and documents; undefined if only Anthropic can read the block. */
function readPlain(block: JsonObject, path: string): TextPart | MediaPart | undefined {
  switch (block.type) {
    case 'text':
      return typeof block.text === 'string'
        ? { kind: 'text', text: block.text, ...readCommon(block, path, TEXT_FIELDS) }
        : undefined
    case 'image':
      return readImage(block, path)
    case 'document':
      return readDocument(block, path)
    case 'search_result':
      return readSearchResult(block, path)
  }
  return undefined
}

const TEXT_FIELDS = new Set(['type', 'text', 'cache_control'])

/** The cache hint and the extras, which every block can have. What stands beside the known fields is an echo or a detail. */
function readCommon(
  block: JsonObject,
  path: string,
  known: ReadonlySet<string>,
  extras = new ExtrasDraft(ANTHROPIC_EXTRAS, path),
) {
  extras.keepRest(block, known, { isEcho: true })
  const control = block.cache_control
  const cache = cacheOf(control)
  if (!isEmpty(control) && cache === undefined) extras.hint('cache_control', control)
  return { ...optionalField('cache', cache), ...extras.toField() }
}

const MEDIA_FIELDS = new Set(['type', 'source', 'title', 'cache_control'])

function readImage(block: JsonObject, path: string): MediaPart | undefined {
  const media = readSource(block.source, 'image/*')
  return media && placed<MediaPart>({ kind: 'media', ...media, ...readCommon(block, path, MEDIA_FIELDS) }, path)
}

/** A source with inline data or a URL; undefined for any other kind of source. */
function readSource(source: unknown, defaultType: string): Pick<MediaPart, 'mediaType' | 'source'> | undefined {
  const { type, media_type: mediaType, data, url } = recordOf(source)
  if (type === 'url' && typeof url === 'string') return { mediaType: defaultType, source: { url } }
  if (type !== 'base64' || typeof data !== 'string') return undefined
  return { mediaType: typeof mediaType === 'string' ? mediaType : defaultType, source: { base64: data } }
}

function readDocument(block: JsonObject, path: string): MediaPart | TextPart | undefined {
  const { source, title } = block
  const media = readSource(source, 'application/pdf')
  if (media) {
    const common = readCommon(block, path, MEDIA_FIELDS)
    return placed<MediaPart>(
      { kind: 'media', ...media, ...(typeof title === 'string' ? { name: title } : {}), ...common },
      path,
    )
  }
  const { type, media_type: mediaType, data, content } = recordOf(source)
  if (type === 'text' && mediaType === 'text/plain' && typeof data === 'string') {
    const extras = new ExtrasDraft(ANTHROPIC_EXTRAS, path)
    // The empty hint tells this document from plain text. The text itself holds the source's data.
    extras.hint('source', null)
    return { kind: 'text', text: data, ...readCommon(block, path, DOCUMENT_FIELDS, extras) }
  }
  const text = type === 'content' ? textOf(content) : undefined
  return text === undefined ? undefined : { kind: 'text', text, ...wholeBlockExtras(block, path) }
}

const DOCUMENT_FIELDS = new Set(['type', 'source', 'cache_control'])

/** A search result is text under its title for other dialects. */
function readSearchResult(block: JsonObject, path: string): TextPart | undefined {
  const found = textOf(block.content)
  if (found === undefined) return undefined
  const heads = [block.title, block.source].filter((head) => typeof head === 'string' && head !== '')
  return { kind: 'text', text: [...heads, found].join('\n'), ...wholeBlockExtras(block, path) }
}

/** Extras that keep the whole block, under the name of its type. */
function wholeBlockExtras(block: JsonObject, path: string): Pick<TextPart, 'extras' | 'cache'> {
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS, path)
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

function readToolUse(block: JsonObject, path: string, names: ToolNames): Part {
  const { id, name, input, caller } = block
  if (typeof id !== 'string' || id === '') throw invalidField(`${path}.id`, 'is required')
  if (typeof name !== 'string' || name === '') throw invalidField(`${path}.name`, 'is required')
  const text = stringifyJson(input ?? {})
  if (text === undefined) throw invalidField(`${path}.input`, 'must be nested less deeply')
  names.set(id, name)
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS, path)
  // A `direct` caller is the model, as in every dialect.
  if (recordOf(caller).type !== 'direct' && caller !== undefined) extras.hint('caller', caller)
  const common = readCommon(block, path, CALL_FIELDS, extras)
  return { kind: 'toolCall', id, name, arguments: text, ...common }
}

const RESULT_FIELDS = new Set(['type', 'tool_use_id', 'content', 'is_error', 'cache_control'])

function readToolResult(block: JsonObject, path: string, names: ToolNames): ToolResultPart {
  const { tool_use_id: callId, content, is_error: failed } = block
  const name = typeof callId === 'string' ? names.get(callId) : undefined
  if (typeof callId !== 'string' || name === undefined)
    throw invalidField(`${path}.tool_use_id`, 'must be the id of an earlier tool_use')
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS, path)
  if (failed === false) extras.hint('is_error', false)
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? [])
  if (!Array.isArray(blocks)) throw invalidField(`${path}.content`, 'must be a string or a list of content blocks')
  if (isEmpty(content) && content !== undefined) extras.hint('content', content)
  const parts = isEmpty(content)
    ? []
    : blocks.map((inner, index) => readResultBlock(recordOf(inner), `${path}.content[${index}]`))
  const readable = parts.filter((part) => part !== undefined)
  if (readable.length < parts.length) extras.keep('content', content)
  const common = readCommon(block, path, RESULT_FIELDS, extras)
  return { kind: 'toolResult', callId, name, parts: readable, failed: failed === true, ...common }
}

/** The types of blocks whose data only Anthropic has. */
const UPLOADED_TYPES: ReadonlySet<unknown> = new Set(['image', 'document', 'container_upload'])

/** A block of a result. What only Anthropic's own tools return is text for other dialects. Undefined for an uploaded file. */
function readResultBlock(block: JsonObject, path: string): TextPart | MediaPart | undefined {
  const plain = readPlain(block, path)
  if (plain || UPLOADED_TYPES.has(block.type)) return plain
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS, path)
  extras.mark('block', block)
  if (block.type === 'tool_reference') return { ...toolReference(block), ...extras.toField() }
  return { kind: 'text', text: stringifyJson(block) ?? '{}', ...extras.toField() }
}

/** Other providers get every tool with the request, so a tool that was found can be called at once. */
function toolReference({ tool_name: name }: JsonObject): TextPart {
  const namedTool = typeof name === 'string' ? name : ''
  return { kind: 'text', text: `The tool ${namedTool} is available now.`, namedTool }
}
