// Anthropic messages, written: neutral messages as content blocks.

import type {
  ChatMessage,
  JsonObject,
  MediaPart,
  Part,
  ReasoningPart,
  TextPart,
  ToolCallPart,
  ToolResultPart,
} from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { unsupported } from '../translator.ts'
import { parseJsonObject } from './arguments.ts'
import {
  cacheControl,
  DIALECT,
  isEmpty,
  legalId,
  optionalField,
  unsupportedExtra,
  writeExtras,
} from './dialect-fields.ts'

export interface WrittenMessages {
  readonly system?: string | readonly JsonObject[]
  readonly messages: readonly JsonObject[]
}

interface Turn {
  readonly role: ChatMessage['role']
  readonly fields: JsonObject
  readonly blocks: JsonObject[]
}

/** Throws Problem for what cannot be said to an Anthropic model. */
export function writeMessages(messages: readonly ChatMessage[], dropped: Set<string>): WrittenMessages {
  const system: JsonObject[] = []
  const turns: Turn[] = []
  for (const [index, message] of messages.entries()) {
    const fields = writeExtras(message.extras, dropped)
    const blocks = message.parts.flatMap((part) => writePart(part, message.role, dropped))
    // A model that said nothing is left out: an empty message is refused, unless it is the last.
    const isSilent = message.role === 'assistant' && index < messages.length - 1 && blocks.every(isEmptyText)
    if (message.role === 'system' && !('role' in fields)) for (const block of blocks) system.push(block)
    else if (!isSilent) addTurn(turns, { role: message.role, fields, blocks })
  }
  const written = turns.map(writeTurn)
  // There is no asking with instructions alone.
  if (written.length === 0 && system.length > 0) return { messages: [{ role: 'user', content: contentOf(system) }] }
  return { ...optionalField('system', system.length > 0 ? contentOf(system) : undefined), messages: written }
}

/** Neighbours of one role are one message. */
function addTurn(turns: Turn[], turn: Turn): void {
  const before = turns.at(-1)
  const canJoin = before?.role === turn.role && [before, turn].every(({ fields }) => Object.keys(fields).length === 0)
  // One by one: there may be more of them than a call takes arguments.
  if (before && canJoin) for (const block of turn.blocks) before.blocks.push(block)
  else turns.push(turn)
}

function writeTurn({ role, fields, blocks }: Turn): JsonObject {
  const results = blocks.filter(({ type }) => type === 'tool_result')
  const others = blocks.filter(({ type }) => type !== 'tool_result')
  const isBare = blocks.length === 0 && role === 'system'
  return { ...fields, role, ...optionalField('content', isBare ? undefined : contentOf([...results, ...others])) }
}

/** Plain text alone is a string. Empty text is refused, and says nothing beside other blocks. */
function contentOf(blocks: readonly JsonObject[]): string | JsonObject[] {
  const full = blocks.filter((block) => !isEmptyText(block))
  const kept = full.length > 0 ? full : blocks.slice(0, 1)
  const [first] = kept
  const isPlain = kept.length === 1 && first && Object.keys(first).length === 2 && first.type === 'text'
  return isPlain && typeof first.text === 'string' ? first.text : [...kept]
}

function isEmptyText({ type, text }: JsonObject): boolean {
  return type === 'text' && text === ''
}

/** One block, or none for what means nothing to this provider. */
function writePart(part: Part, role: ChatMessage['role'], dropped: Set<string>): JsonObject[] {
  switch (part.kind) {
    case 'text':
      return [writeText(part, dropped)]
    case 'refusal':
      return [{ type: 'text', text: part.text }]
    case 'media':
      if (role !== 'user') throw unsupported('messages', 'Anthropic models take images and documents from users alone.')
      return [writeMedia(part, dropped)]
    case 'reasoning':
      return writeThinking(part, dropped)
    case 'toolCall':
      return [writeToolUse(part, dropped)]
    case 'toolResult':
      return [writeToolResult(part, dropped)]
    case 'own':
      if (part.dialect !== DIALECT) throw unsupportedExtra(part.name)
      return [part.value]
  }
}

function writeText(part: TextPart, dropped: Set<string>): JsonObject {
  const { source, search_result: found, document, ...fields } = writeExtras(part.extras, dropped)
  const whole = found ?? document
  if (isRecord(whole)) return whole
  const common = { ...fields, ...cacheControl(part.cache) }
  if (source === undefined) return { ...common, type: 'text', text: part.text }
  return { ...common, type: 'document', source: textSource(part.text) }
}

function textSource(data: string): JsonObject {
  return { type: 'text', media_type: 'text/plain', data }
}

/** Images, PDFs and text. */
function writeMedia(part: MediaPart, dropped: Set<string>): JsonObject {
  const { mediaType, source, name } = part
  const isImage = mediaType.startsWith('image/')
  const isText = mediaType.startsWith('text/') && 'base64' in source
  if (!isImage && !isText && mediaType !== 'application/pdf') {
    throw unsupported('messages', `Anthropic models take images, PDFs and text, not ${mediaType.slice(0, 64)}.`)
  }
  if ('url' in source && !/^https?:/i.test(source.url)) {
    throw unsupported('messages', 'Anthropic models take files inline or by an http address.')
  }
  const common = { ...writeExtras(part.extras, dropped), ...cacheControl(part.cache) }
  const from =
    'url' in source
      ? { type: 'url', url: source.url }
      : isText
        ? textSource(Buffer.from(source.base64, 'base64').toString())
        : { type: 'base64', media_type: mediaType, data: source.base64 }
  if (isImage) return { ...common, type: 'image', source: from }
  return { ...common, ...optionalField('title', name), type: 'document', source: from }
}

/** Thought that others signed, or nobody, means nothing here. */
function writeThinking(part: ReasoningPart, dropped: Set<string>): JsonObject[] {
  if (part.signedIn !== DIALECT) return []
  const fields = writeExtras(part.extras, dropped)
  if (part.redacted !== undefined) return [{ ...fields, type: 'redacted_thinking', data: part.redacted }]
  if (part.signature === undefined) return []
  return [{ ...fields, type: 'thinking', thinking: part.text, signature: part.signature }]
}

function writeToolUse(part: ToolCallPart, dropped: Set<string>): JsonObject {
  return {
    ...writeExtras(part.extras, dropped),
    type: 'tool_use',
    id: legalId(part.id),
    name: part.name,
    input: parseArguments(part.arguments),
    ...cacheControl(part.cache),
  }
}

function parseArguments(text: string): JsonObject {
  const value = parseJsonObject(text)
  if (value) return value
  throw invalidField('messages', 'must hold tool calls whose arguments are a JSON object')
}

function writeToolResult(part: ToolResultPart, dropped: Set<string>): JsonObject {
  const { content, ...fields } = writeExtras(part.extras, dropped)
  const blocks = part.parts.map((inner) =>
    inner.kind === 'text' ? writeText(inner, dropped) : writeMedia(inner, dropped),
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
