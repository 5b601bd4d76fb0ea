// OpenAI message writer: writes chat messages as a conversation.

import type {
  ChatMessage,
  Extras,
  JsonObject,
  Part,
  ReasoningPart,
  ToolCallPart,
  ToolResultPart,
} from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { writeExtras } from '../dialect-fields.ts'
import { placedLike } from '../places.ts'
import { legalId, writeCall } from './calls.ts'
import { DIALECT, isMarked, OPENAI_EXTRAS } from './dialect-fields.ts'
import { writeCache, writePart } from './parts.ts'
import { CACHE_MARK } from './read-messages.ts'
import { joinText, REASONING_FIELDS, thinkingPart, writeThinkingBlock } from './thoughts.ts'

/** Throws Problem `unsupported` for parts that no message of this dialect can hold. */
export function writeMessages(messages: readonly ChatMessage[], dropped: Set<string>): JsonObject[] {
  return messages.flatMap((message) => {
    if (message.role === 'assistant') return [writeAssistant(message, dropped)]
    if (message.role === 'system') return [writeSystem(message, dropped)]
    return writeUser(message, dropped)
  })
}

/** The details of a message's spelling that this dialect's reader kept. */
function marksOf(extras: Extras | undefined): JsonObject {
  return extras?.dialect === DIALECT ? (extras.marks ?? {}) : {}
}

/** A message's own `cache_control`, and its parts without the hint that stands for the field. */
function splitCache({ parts, extras }: ChatMessage): { readonly fields: JsonObject; readonly parts: readonly Part[] } {
  const control = marksOf(extras)[CACHE_MARK]
  if (control === undefined) return { fields: {}, parts }
  const last = parts.findLastIndex((part) => 'cache' in part)
  return {
    fields: { cache_control: control },
    parts: parts.map((part, index) => (index === last ? uncached(part) : part)),
  }
}

function uncached(part: Part): Part {
  if (!('cache' in part)) return part
  const { cache: _, ...rest } = part
  return placedLike(rest, part)
}

function writeSystem(message: ChatMessage, dropped: Set<string>): JsonObject {
  const cached = splitCache(message)
  const { developer, content, ...others } = writeExtras(message.extras, OPENAI_EXTRAS, dropped)
  const [fields, parts] = [{ ...others, ...cached.fields }, cached.parts]
  const role = developer === null ? 'developer' : 'system'
  return { ...fields, role, ...writeContent(parts, { original: content, emptyValue: '', separator: '\n\n' }, dropped) }
}

/** Each tool result becomes a message. Media of the results go into the user message after them. */
function writeUser(message: ChatMessage, dropped: Set<string>): JsonObject[] {
  const cached = splitCache(message)
  const { content, ...others } = writeExtras(message.extras, OPENAI_EXTRAS, dropped)
  const [fields, parts] = [{ ...others, ...cached.fields }, cached.parts]
  const results = parts.filter((part) => part.kind === 'toolResult')
  const otherParts = [...results.flatMap(mediaOfResult), ...parts.filter((part) => part.kind !== 'toolResult')]
  const written = results.map((result) => writeResult(result, dropped))
  if (results.length > 0 && otherParts.length === 0) return written
  const [only] = otherParts
  if (only?.kind === 'dialect' && only.dialect === DIALECT && only.value.role === 'function') return [only.value]
  return [
    ...written,
    { ...fields, role: 'user', ...writeContent(otherParts, { original: content, emptyValue: '' }, dropped) },
  ]
}

/** The media of another dialect's tool result, after a text that names the tool. */
function mediaOfResult(result: ToolResultPart): Part[] {
  const media = result.extras?.dialect === DIALECT ? [] : result.parts.filter(({ kind }) => kind === 'media')
  return media.length === 0 ? [] : [{ kind: 'text', text: `Result of ${result.name}:` }, ...media]
}

function writeResult(result: ToolResultPart, dropped: Set<string>): JsonObject {
  const marks = marksOf(result.extras)
  if (isRecord(marks.function)) return marks.function
  const extras = writeExtras(result.extras, OPENAI_EXTRAS, dropped)
  const { content, ...fields } = extras
  const isArray = Array.isArray(content)
  const parts = isArray ? result.parts : result.parts.filter(({ kind }) => kind === 'text')
  const hasMedia = parts.length < result.parts.length
  const emptyValue = result.failed ? 'Error' : hasMedia ? 'See the next message of the user.' : ''
  return {
    ...fields,
    ...writeCache(result.cache, extras, dropped),
    role: 'tool',
    tool_call_id: legalId(result.callId),
    ...(marks.name !== undefined && { name: marks.name }),
    ...(marks.is_error !== undefined && { is_error: marks.is_error }),
    ...(isArray && content.length > 0
      ? { content }
      : writeContent(parts, { original: content, emptyValue, separator: '\n' }, dropped)),
  }
}

/** How to write the content of a message. */
interface ContentStyle {
  /** The form that the reader kept: `[]` for an array, `false` for an absent field, otherwise the empty value itself. */
  readonly original: unknown
  /** What is written if there is no content. */
  readonly emptyValue: unknown
  /** Joins the texts, with this between them. If absent, they are written as an array. */
  readonly separator?: string
}

/** The field `content` to spread into a message. Many servers accept only one string, except from the user. */
function writeContent(
  parts: readonly Part[],
  { original, emptyValue, separator }: ContentStyle,
  dropped: Set<string>,
): JsonObject {
  if (parts.length === 0) {
    const nothing = original === undefined ? emptyValue : original
    return nothing === false ? {} : { content: nothing }
  }
  const written = parts.map((part) => (part.kind === 'reasoning' ? thinkingPart(part.text) : writePart(part, dropped)))
  const isJoined = separator !== undefined || (written.length === 1 && Object.keys(written[0] ?? {}).length === 2)
  if (Array.isArray(original) || !isJoined || parts.some(({ kind }) => kind !== 'text')) return { content: written }
  return {
    content: joinText(
      parts
        .filter(({ kind }) => kind === 'text')
        .flatMap((part, index) => [index > 0 && separator ? { text: separator } : {}, part]),
    ),
  }
}

function writeAssistant(message: ChatMessage, dropped: Set<string>): JsonObject {
  const cached = splitCache(message)
  const marks = marksOf(message.extras)
  const { content: spelling, refusal, ...fields } = writeExtras(message.extras, OPENAI_EXTRAS, dropped)
  const parts = withoutEchoes(cached.parts, Array.isArray(spelling), dropped)
  const refusals = parts.filter((part) => part.kind === 'refusal')
  const isSeparate = refusals.length > 0 && !Array.isArray(refusal)
  const calls = parts.filter((part) => part.kind === 'toolCall')
  const content = parts.filter((part) => isContentPart(part) || (part.kind === 'refusal' && !isSeparate))
  const emptyValue = calls.length > 0 ? null : ''
  return {
    role: 'assistant',
    ...writeContent(content, { original: spelling, emptyValue, separator: '' }, dropped),
    ...(refusal !== undefined && !Array.isArray(refusal) && { refusal }),
    ...(isSeparate && { refusal: refusals.map(({ text }) => text).join('') }),
    ...writeReasoning(
      parts.filter((part) => part.kind === 'reasoning'),
      fields,
    ),
    ...cached.fields,
    ...(marks.images !== undefined && { images: marks.images }),
    ...writeCalls(calls, marks.function_call, dropped),
  }
}

/**
 * What the model said or did once is no need: the parts of other dialects are left out, and so are media, which no message of the
 * assistant can hold here.
 * @param isArray true: the reader of this dialect read the content as parts
 */
function withoutEchoes(parts: readonly Part[], isArray: boolean, dropped: Set<string>): Part[] {
  return parts.filter((part) => {
    const isLeftOut = (part.kind === 'dialect' && part.dialect !== DIALECT) || (part.kind === 'media' && !isArray)
    if (isLeftOut) dropped.add(part.kind === 'dialect' ? part.name : 'media')
    return !isLeftOut
  })
}

/** @param olderCall the call in the older field, if the request came with it */
function writeCalls(calls: readonly ToolCallPart[], olderCall: unknown, dropped: Set<string>): JsonObject {
  if (olderCall !== undefined) return { function_call: olderCall }
  return calls.length === 0 ? {} : { tool_calls: calls.map((call) => writeCall(call, dropped)) }
}

function isContentPart(part: Part): boolean {
  if (part.kind === 'reasoning') return isMarked(part.extras, 'thinking')
  return part.kind !== 'refusal' && part.kind !== 'toolCall'
}

/** Thoughts of other dialects are left out. @param fields the extras of the message, which tell how its thoughts were written */
function writeReasoning(parts: readonly ReasoningPart[], fields: JsonObject): JsonObject {
  const blocks = parts.filter(({ extras }) => isMarked(extras, 'thinking_blocks'))
  const written: Record<string, unknown> = {
    ...fields,
    ...(blocks.length > 0 && { thinking_blocks: blocks.map(writeThinkingBlock) }),
  }
  for (const field of REASONING_FIELDS) {
    const inField = parts.find(({ extras }) => isMarked(extras, field))
    if (inField) written[field] = inField.text
    else if (fields[field] === false) written[field] = blocks.map(({ text }) => text).join('')
  }
  return written
}
