// OpenAI message writer: writes chat messages as a conversation.

import type { ChatMessage, JsonObject, Part, ReasoningPart, ToolResultPart } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { writeExtras } from '../dialect-fields.ts'
import { unsupported } from '../translator.ts'
import { DIALECT, isMarked, OPENAI_EXTRAS } from './dialect-fields.ts'
import { legalId, writeCall, writePart } from './parts.ts'
import { joinText, REASONING_FIELDS, thinkingPart, writeThinkingBlock } from './thoughts.ts'

/** Throws Problem `unsupported` for parts that no message of this dialect can hold. */
export function writeMessages(messages: readonly ChatMessage[], dropped: Set<string>): JsonObject[] {
  return messages.flatMap((message) => {
    if (message.role === 'assistant') return [writeAssistant(message, dropped)]
    if (message.role === 'system') return [writeSystem(message, dropped)]
    return writeUser(message, dropped)
  })
}

function writeSystem({ parts, extras }: ChatMessage, dropped: Set<string>): JsonObject {
  const { developer, content, ...fields } = writeExtras(extras, OPENAI_EXTRAS, dropped)
  const role = developer === null ? 'developer' : 'system'
  return { ...fields, role, ...writeContent(parts, { original: content, emptyValue: '', separator: '\n\n' }, dropped) }
}

/** Each tool result becomes a message. Media of the results go into the user message after them. */
function writeUser({ parts, extras }: ChatMessage, dropped: Set<string>): JsonObject[] {
  const { content, ...fields } = writeExtras(extras, OPENAI_EXTRAS, dropped)
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
  const { name, content, ...fields } = writeExtras(result.extras, OPENAI_EXTRAS, dropped)
  if (result.cache !== undefined) dropped.add('cache')
  const isArray = Array.isArray(content)
  const parts = isArray ? result.parts : result.parts.filter(({ kind }) => kind === 'text')
  const hasMedia = parts.length < result.parts.length
  const emptyValue = result.failed ? 'Error' : hasMedia ? 'See the next message of the user.' : ''
  return {
    ...fields,
    role: 'tool',
    tool_call_id: legalId(result.callId),
    ...(name !== undefined && { name: name === '' ? result.name : name }),
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

function writeAssistant({ parts, extras }: ChatMessage, dropped: Set<string>): JsonObject {
  const { content: spelling, refusal, ...fields } = writeExtras(extras, OPENAI_EXTRAS, dropped)
  const refusals = parts.filter((part) => part.kind === 'refusal')
  const isSeparate = refusals.length > 0 && !Array.isArray(refusal)
  const calls = parts.filter((part) => part.kind === 'toolCall' || isDialectCall(part))
  const content = parts.filter((part) => isContentPart(part) || (part.kind === 'refusal' && !isSeparate))
  if (!Array.isArray(spelling) && content.some(({ kind }) => kind === 'media'))
    throw unsupported(
      'messages',
      'The target model does not support media in messages of the assistant. Move them to a user message.',
    )
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
    ...(calls.length > 0 && {
      tool_calls: calls.map((call) => (call.kind === 'toolCall' ? writeCall(call, dropped) : writePart(call, dropped))),
    }),
  }
}

function isDialectCall(part: Part): boolean {
  return part.kind === 'dialect' && part.dialect === DIALECT && isRecord(part.value.custom)
}

function isContentPart(part: Part): boolean {
  if (part.kind === 'reasoning') return isMarked(part.extras, 'thinking')
  return part.kind !== 'refusal' && part.kind !== 'toolCall' && !isDialectCall(part)
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
