// OpenAI messages: reads and writes a conversation.

import type { ChatMessage, JsonObject, Part, ReasoningPart, ToolResultPart } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/cursor.ts'
import { ExtrasDraft, isSameJson, writeExtras } from '../dialect-fields.ts'
import { unsupported } from '../translator.ts'
import { DIALECT, isMarked, OPENAI_EXTRAS } from './dialect-fields.ts'
import { isPlainText, legalId, readCall, readPart, writeCall, writePart } from './parts.ts'

const MESSAGE_FIELDS: ReadonlySet<string> = new Set(['role', 'content', 'name'])
const MESSAGE_HINTS: ReadonlySet<string> = new Set(['annotations', 'cache_control', 'channel', 'reasoning_details'])
const ASSISTANT_FIELDS: ReadonlySet<string> = new Set([
  ...MESSAGE_FIELDS,
  'refusal',
  'tool_calls',
  'reasoning',
  'reasoning_content',
  'thinking_blocks',
])
const TOOL_RESULT_FIELDS: ReadonlySet<string> = new Set([...MESSAGE_FIELDS, 'tool_call_id'])
const REASONING_FIELDS = ['reasoning_content', 'reasoning'] as const
/** Signed thoughts travel as `thinking_blocks`, LiteLLM's field for those of Anthropic's models. No other signature has a field. */
export const THINKING_DIALECT = 'anthropic.messages'

/** Throws Problem `invalid_request`, naming the field: `messages[2].content`. */
export function readMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value)) throw invalidField('messages', 'must be an array')
  const calls = new Map<string, string>()
  const messages: ChatMessage[] = []
  let results: Part[] | undefined
  value.forEach((message: unknown, index) => {
    const path = `messages[${index}]`
    if (!isRecord(message)) throw invalidField(path, 'must be an object')
    if (message.role !== 'tool') {
      results = undefined
      messages.push(readMessage(message, path, index, calls))
      return
    }
    const result = readResult(message, path, calls)
    if (results) results.push(result)
    else messages.push({ role: 'user', parts: (results = [result]) })
  })
  return messages
}

function readMessage(message: JsonObject, path: string, index: number, calls: Map<string, string>): ChatMessage {
  const { role } = message
  if (role === 'assistant') return readAssistant(message, path, index, calls)
  // The older form of a tool result, which does not name its call.
  if (role === 'function')
    return { role: 'user', parts: [{ kind: 'dialect', dialect: DIALECT, name: 'function_call', value: message }] }
  if (role !== 'system' && role !== 'developer' && role !== 'user')
    throw invalidField(`${path}.role`, 'must be system, developer, user, assistant or tool')
  const extras = new ExtrasDraft(OPENAI_EXTRAS).keepRest(message, MESSAGE_FIELDS, { hints: MESSAGE_HINTS })
  if (message.name !== undefined) extras.hint('name', message.name)
  if (role === 'developer') extras.hint('developer', null)
  const parts = readContent(message, role === 'user', '', path, extras)
  return { role: role === 'user' ? 'user' : 'system', parts, ...extras.toField() }
}

/**
 * Reads the content of a message. Adds a hint if its form differs from the usual one.
 * @param isArray true: the writer usually writes texts as an array, otherwise as one string
 * @param emptyValue what the writer usually writes if there is no content
 */
function readContent(
  message: JsonObject,
  isArray: boolean,
  emptyValue: unknown,
  path: string,
  extras: ExtrasDraft,
): Part[] {
  const { content } = message
  if (typeof content === 'string' && content !== '') return [{ kind: 'text', text: content }]
  if (Array.isArray(content) && content.length > 0) {
    const parts = content.map((part: unknown, index) => readPart(part, `${path}.content[${index}]`))
    if (!isArray || isSingleText(parts)) extras.hint('content', [])
    return parts
  }
  if (content !== undefined && content !== null && content !== '' && !Array.isArray(content))
    throw invalidField(`${path}.content`, 'must be a string or an array')
  const spelling = content === undefined ? false : content
  if (spelling !== emptyValue) extras.hint('content', spelling)
  return []
}

function isSingleText(parts: readonly Part[]): boolean {
  return parts.length === 1 && parts.every(isPlainText)
}

function readAssistant(message: JsonObject, path: string, index: number, calls: Map<string, string>): ChatMessage {
  const extras = new ExtrasDraft(OPENAI_EXTRAS).keepRest(message, ASSISTANT_FIELDS, { hints: MESSAGE_HINTS })
  if (message.name !== undefined) extras.hint('name', message.name)
  const called = readCalls(message, path, index, calls, extras)
  const parts = [
    ...readReasoning(message, extras),
    ...readContent(message, false, called.length > 0 ? null : '', path, extras).map((part) =>
      readAssistantPart(part, extras),
    ),
    ...readRefusal(message, extras),
    ...called,
  ]
  return { role: 'assistant', parts, ...extras.toField() }
}

/** In a message of the assistant, Mistral's thoughts are parts of the content. Refusals can be too. */
function readAssistantPart(part: Part, extras: ExtrasDraft): Part {
  if (part.kind !== 'dialect') return part
  const { type, refusal, thinking } = part.value
  if (type === 'refusal' && typeof refusal === 'string' && isSameJson(part.value, { type, refusal })) {
    extras.hint('refusal', [])
    return { kind: 'refusal', text: refusal }
  }
  const text = joinText(thinking)
  return type === 'thinking' && isSameJson(part.value, thinkingPart(text)) ? reasoningPart(text, 'thinking') : part
}

function thinkingPart(text: string): JsonObject {
  return { type: 'thinking', thinking: [{ type: 'text', text }] }
}

/** The text of a string, or of all text parts of an array. */
export function joinText(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((part: unknown) => (isRecord(part) && typeof part.text === 'string' ? part.text : '')).join('')
}

function readRefusal({ refusal }: JsonObject, extras: ExtrasDraft): Part[] {
  if (typeof refusal === 'string' && refusal !== '') return [{ kind: 'refusal', text: refusal }]
  if (refusal !== undefined) extras.hint('refusal', refusal)
  return []
}

/** Thoughts with a hint that names their field: the writer restores them there and nowhere else. */
function reasoningPart(text: string, field: string): ReasoningPart {
  return { kind: 'reasoning', text, extras: { dialect: DIALECT, hints: { [field]: null } } }
}

function readReasoning(message: JsonObject, extras: ExtrasDraft): Part[] {
  const { thinking_blocks: blocks } = message
  const parts: ReasoningPart[] = readThinkingBlocks(blocks).map((part) => ({
    ...reasoningPart('', 'thinking_blocks'),
    ...part,
  }))
  if (blocks !== undefined && !isSameJson(blocks, parts.map(writeThinkingBlock))) {
    parts.length = 0
    extras.hint('thinking_blocks', blocks)
  }
  const inBlocks = parts.map(({ text }) => text).join('')
  for (const field of REASONING_FIELDS) {
    const text = message[field]
    if (text === undefined) continue
    if (parts.length > 0 && text === inBlocks) extras.hint(field, false)
    else if (typeof text === 'string' && text !== '') parts.push(reasoningPart(text, field))
    else extras.hint(field, text)
  }
  return parts
}

/** Reads LiteLLM's `thinking_blocks`: thoughts of Anthropic's models with their signatures. Blocks of other types are left out. */
export function readThinkingBlocks(blocks: unknown): ReasoningPart[] {
  if (!Array.isArray(blocks)) return []
  return blocks.flatMap((block: unknown): ReasoningPart[] => {
    if (!isRecord(block)) return []
    const { type, thinking, signature, data } = block
    if (type === 'redacted_thinking' && typeof data === 'string' && data !== '')
      return [{ kind: 'reasoning', text: '', redacted: data, signedIn: THINKING_DIALECT }]
    if (type !== 'thinking' || typeof thinking !== 'string') return []
    if (typeof signature !== 'string' || signature === '') return [{ kind: 'reasoning', text: thinking }]
    return [{ kind: 'reasoning', text: thinking, signature, signedIn: THINKING_DIALECT }]
  })
}

export function writeThinkingBlock({ text, signature, redacted }: ReasoningPart): JsonObject {
  if (redacted !== undefined) return { type: 'redacted_thinking', data: redacted }
  return { type: 'thinking', thinking: text, ...(signature !== undefined && { signature }) }
}

/** Whether the thoughts carry a signature that `thinking_blocks` can hold. */
export function isThinkingBlock({ signature, redacted, signedIn }: ReasoningPart): boolean {
  return signedIn === THINKING_DIALECT && (signature !== undefined || redacted !== undefined)
}

function readCalls(
  message: JsonObject,
  path: string,
  messageIndex: number,
  calls: Map<string, string>,
  extras: ExtrasDraft,
): Part[] {
  const { tool_calls: values } = message
  if (!Array.isArray(values) || values.length === 0) {
    if (values !== undefined) extras.hint('tool_calls', values)
    return []
  }
  return values.map((value: unknown, index): Part => {
    if (!isRecord(value)) throw invalidField(`${path}.tool_calls[${index}]`, 'must be an object')
    const call = readCall(value, `call_${messageIndex}_${index}`)
    if (call) {
      calls.set(call.id, call.name)
      return call
    }
    const { type, id, custom } = value
    if (typeof type !== 'string' || type === 'function' || !isRecord(custom))
      throw invalidField(`${path}.tool_calls[${index}].function.name`, 'is required')
    if (typeof id === 'string') calls.set(id, String(custom.name))
    return { kind: 'dialect', dialect: DIALECT, name: type.slice(0, 64), value }
  })
}

function readResult(message: JsonObject, path: string, calls: ReadonlyMap<string, string>): ToolResultPart {
  const { tool_call_id: callId, name: toolName, content } = message
  if (typeof callId !== 'string' || callId === '') throw invalidField(`${path}.tool_call_id`, 'must be a string')
  const isNamed = typeof toolName === 'string' && toolName !== ''
  const name = isNamed ? toolName : calls.get(callId)
  if (name === undefined) throw invalidField(`${path}.tool_call_id`, 'must be the id of an earlier tool call')
  const extras = new ExtrasDraft(OPENAI_EXTRAS).keepRest(message, TOOL_RESULT_FIELDS, { hints: MESSAGE_HINTS })
  if (isNamed) extras.hint('name', '')
  else if (toolName !== undefined) extras.hint('name', toolName)
  const all = readContent(message, false, '', path, extras)
  const parts = all.filter((part) => part.kind === 'text' || part.kind === 'media')
  if (parts.length < all.length) extras.need('content', content)
  return { kind: 'toolResult', callId, name, parts, failed: false, ...extras.toField() }
}

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
      : writeContent(parts, { original: content, emptyValue: emptyValue, separator: '\n' }, dropped)),
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
  const isApart = refusals.length > 0 && !Array.isArray(refusal)
  const calls = parts.filter((part) => part.kind === 'toolCall' || isDialectCall(part))
  const content = parts.filter((part) => isContentPart(part) || (part.kind === 'refusal' && !isApart))
  if (!Array.isArray(spelling) && content.some(({ kind }) => kind === 'media'))
    throw unsupported(
      'messages',
      'The target model does not support media in messages of the assistant. Move them to a user message.',
    )
  const emptyValue = calls.length > 0 ? null : ''
  return {
    role: 'assistant',
    ...writeContent(content, { original: spelling, emptyValue: emptyValue, separator: '' }, dropped),
    ...(refusal !== undefined && !Array.isArray(refusal) && { refusal }),
    ...(isApart && { refusal: refusals.map(({ text }) => text).join('') }),
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
