// Anthropic messages: writes chat messages as messages with content blocks.

import type {
  ChatMessage,
  Extras,
  JsonObject,
  MediaPart,
  Part,
  ReasoningPart,
  TextPart,
  ToolCallPart,
  ToolResultPart,
} from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { parseJsonObject } from '../arguments.ts'
import { unsupportedPartOrTool, writeExtras } from '../dialect-fields.ts'
import { invalidPart, unsupportedPart } from '../translator.ts'
import { ANTHROPIC_EXTRAS, cacheControl, DIALECT, isEmpty, legalId, optionalField } from './dialect-fields.ts'

/** A conversation as the two fields of a request. */
export interface WrittenMessages {
  readonly system?: string | readonly JsonObject[]
  readonly messages: readonly JsonObject[]
}

interface Turn {
  readonly role: ChatMessage['role']
  readonly fields: JsonObject
  readonly blocks: JsonObject[]
}

/** Throws Problem `unsupported` for what Anthropic models do not take. Adds the names of left-out hints to `dropped`. */
export function writeMessages(messages: readonly ChatMessage[], dropped: Set<string>): WrittenMessages {
  const system: JsonObject[] = []
  const turns: Turn[] = []
  for (const [index, message] of messages.entries()) {
    const fields = writeExtras(message.extras, ANTHROPIC_EXTRAS, dropped)
    const blocks = message.parts.flatMap((part) => writePart(part, message.role, dropped))
    // Anthropic refuses an empty message of the assistant, unless it is the last. It is left out.
    const isSilent = message.role === 'assistant' && index < messages.length - 1 && blocks.every(isEmptyText)
    if (message.role === 'system' && !('role' in fields)) for (const block of blocks) system.push(block)
    else if (!isSilent) addTurn(turns, { role: message.role, fields, blocks })
  }
  const written = turns.map(writeTurn)
  // Anthropic needs at least one message, so instructions alone become a user message.
  if (written.length === 0 && system.length > 0) return { messages: [{ role: 'user', content: contentOf(system) }] }
  return { ...optionalField('system', system.length > 0 ? contentOf(system) : undefined), messages: written }
}

/** Consecutive messages of the same role become one message. */
function addTurn(turns: Turn[], turn: Turn): void {
  const previous = turns.at(-1)
  const canJoin =
    previous?.role === turn.role && [previous, turn].every(({ fields }) => Object.keys(fields).length === 0)
  // Not `push(...blocks)`: there can be more blocks than a function call takes arguments.
  if (previous && canJoin) for (const block of turn.blocks) previous.blocks.push(block)
  else turns.push(turn)
}

function writeTurn({ role, fields, blocks }: Turn): JsonObject {
  const results = blocks.filter(({ type }) => type === 'tool_result')
  const otherBlocks = blocks.filter(({ type }) => type !== 'tool_result')
  const isBare = blocks.length === 0 && role === 'system'
  return { ...fields, role, ...optionalField('content', isBare ? undefined : contentOf([...results, ...otherBlocks])) }
}

/** A single plain text is written as a string. Empty texts are left out beside other blocks, since Anthropic refuses them. */
function contentOf(blocks: readonly JsonObject[]): string | JsonObject[] {
  const nonEmpty = blocks.filter((block) => !isEmptyText(block))
  const extras = nonEmpty.length > 0 ? nonEmpty : blocks.slice(0, 1)
  const [first] = extras
  const isPlain = extras.length === 1 && first && Object.keys(first).length === 2 && first.type === 'text'
  return isPlain && typeof first.text === 'string' ? first.text : [...extras]
}

function isEmptyText({ type, text }: JsonObject): boolean {
  return type === 'text' && text === ''
}

/** The part as a block; none for thoughts that Anthropic did not sign. */
function writePart(part: Part, role: ChatMessage['role'], dropped: Set<string>): JsonObject[] {
  switch (part.kind) {
    case 'text':
      return [writeText(part, dropped)]
    case 'refusal':
      return [{ type: 'text', text: part.text }]
    case 'media':
      if (role === 'assistant') return leaveOut('media', dropped)
      if (role !== 'user')
        throw unsupportedPart(
          part,
          'Anthropic models accept images and documents in user messages only. Move them to a user message.',
        )
      return [writeMedia(part, dropped)]
    case 'reasoning':
      return writeThinking(part, dropped)
    case 'toolCall':
      return [writeToolUse(part, dropped)]
    case 'toolResult':
      return [writeToolResult(part, dropped)]
    case 'dialect':
      if (part.dialect === DIALECT) return [part.value]
      if (role === 'assistant') return leaveOut(part.name, dropped)
      throw unsupportedPartOrTool(part)
  }
}

/** What the model once made or did at another provider is no need. */
function leaveOut(name: string, dropped: Set<string>): [] {
  dropped.add(name)
  return []
}

function writeText(part: TextPart, dropped: Set<string>): JsonObject {
  const {
    source,
    search_result: searchResult,
    document,
    ...fields
  } = writeExtras(part.extras, ANTHROPIC_EXTRAS, dropped)
  const wholeBlock = searchResult ?? document ?? ownMarks(part.extras).block
  if (isRecord(wholeBlock)) return wholeBlock
  const common = { ...fields, ...cacheControl(part.cache) }
  if (source === undefined) return { ...common, type: 'text', text: part.text }
  return { ...common, type: 'document', source: textSource(part.text) }
}

function ownMarks(extras: Extras | undefined): JsonObject {
  return extras?.dialect === DIALECT ? (extras.marks ?? {}) : {}
}

function textSource(data: string): JsonObject {
  return { type: 'text', media_type: 'text/plain', data }
}

/** Anthropic accepts images, PDFs and plain text. */
function writeMedia(part: MediaPart, dropped: Set<string>): JsonObject {
  const { mediaType, source, name } = part
  const isImage = mediaType.startsWith('image/')
  const isText = mediaType.startsWith('text/') && 'base64' in source
  if (!isImage && !isText && mediaType !== 'application/pdf') {
    throw unsupportedPart(part, `Anthropic models accept images, PDFs and text, not '${mediaType.slice(0, 64)}'.`)
  }
  if ('url' in source && !/^https?:/i.test(source.url)) {
    throw unsupportedPart(part, 'Anthropic models accept files inline (base64) or by an http or https URL.')
  }
  const common = { ...writeExtras(part.extras, ANTHROPIC_EXTRAS, dropped), ...cacheControl(part.cache) }
  const mediaSource =
    'url' in source
      ? { type: 'url', url: source.url }
      : isText
        ? textSource(Buffer.from(source.base64, 'base64').toString())
        : { type: 'base64', media_type: mediaType, data: source.base64 }
  if (isImage) return { ...common, type: 'image', source: mediaSource }
  return { ...common, ...optionalField('title', name), type: 'document', source: mediaSource }
}

/** Anthropic refuses thoughts that it did not sign, so they are left out. */
function writeThinking(part: ReasoningPart, dropped: Set<string>): JsonObject[] {
  if (part.signedIn !== DIALECT) return []
  const fields = writeExtras(part.extras, ANTHROPIC_EXTRAS, dropped)
  if (part.redacted !== undefined) return [{ ...fields, type: 'redacted_thinking', data: part.redacted }]
  if (part.signature === undefined) return []
  return [{ ...fields, type: 'thinking', thinking: part.text, signature: part.signature }]
}

function writeToolUse(part: ToolCallPart, dropped: Set<string>): JsonObject {
  return {
    ...writeExtras(part.extras, ANTHROPIC_EXTRAS, dropped),
    type: 'tool_use',
    id: legalId(part.id),
    name: part.name,
    input: parseArguments(part),
    ...cacheControl(part.cache),
  }
}

function parseArguments(part: ToolCallPart): JsonObject {
  const value = parseJsonObject(part.arguments)
  if (value) return value
  throw invalidPart(part, 'must hold a JSON object as its arguments')
}

function writeToolResult(part: ToolResultPart, dropped: Set<string>): JsonObject {
  const { content, ...fields } = writeExtras(part.extras, ANTHROPIC_EXTRAS, dropped)
  const blocks = part.parts.map((resultPart) =>
    resultPart.kind === 'text' ? writeText(resultPart, dropped) : writeMedia(resultPart, dropped),
  )
  return {
    ...fields,
    type: 'tool_result',
    tool_use_id: legalId(part.callId),
    ...optionalField('content', content !== undefined && !isEmpty(content) ? content : contentOrNone(blocks, content)),
    ...(part.failed ? { is_error: true } : {}),
    ...cacheControl(part.cache),
  }
}

function contentOrNone(blocks: readonly JsonObject[], content: unknown): unknown {
  return blocks.length > 0 ? contentOf(blocks) : content
}
