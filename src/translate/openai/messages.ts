// OpenAI chat, messages: a conversation, both ways.

import type { ChatMessage, JsonObject, Part, ReasoningPart, ToolResultPart } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft, isSameJson, writeExtras } from '../dialect-fields.ts'
import { unsupported } from '../translator.ts'
import { DIALECT, isMarked, isPlainText, legalId, readCall, readPart, writeCall, writePart } from './parts.ts'

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
/** Signed thinking is handed on in LiteLLM's form of it. */
const THINKING_DIALECT = 'anthropic.messages'

/** Throws Problem `invalid_request`, naming the place: `messages[2].content`. */
export function readMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value)) throw invalidField('messages', 'must be an array')
  const calls = new Map<string, string>()
  const messages: ChatMessage[] = []
  let results: Part[] | undefined
  value.forEach((message: unknown, at) => {
    const place = `messages[${at}]`
    if (!isRecord(message)) throw invalidField(place, 'must be an object')
    if (message.role !== 'tool') {
      results = undefined
      messages.push(readMessage(message, place, at, calls))
      return
    }
    const result = readResult(message, place, calls)
    if (results) results.push(result)
    else messages.push({ role: 'user', parts: (results = [result]) })
  })
  return messages
}

function readMessage(message: JsonObject, place: string, at: number, calls: Map<string, string>): ChatMessage {
  const { role } = message
  if (role === 'assistant') return readAssistant(message, place, at, calls)
  // The older form of a tool's result, which names no call.
  if (role === 'function')
    return { role: 'user', parts: [{ kind: 'own', dialect: DIALECT, name: 'function_call', value: message }] }
  if (role !== 'system' && role !== 'developer' && role !== 'user')
    throw invalidField(`${place}.role`, 'must be one of system, developer, user, assistant and tool')
  const extras = new ExtrasDraft().keepRest(message, MESSAGE_FIELDS, MESSAGE_HINTS)
  if (message.name !== undefined) extras.hint('name', message.name)
  if (role === 'developer') extras.hint('developer', null)
  const parts = readContent(message, role === 'user', '', place, extras)
  return { role: role === 'user' ? 'user' : 'system', parts, ...extras.toField(DIALECT) }
}

/**
 * @param takesArrays texts are usually written as an array; else as one string
 * @param usual how nothing is usually written
 */
function readContent(
  message: JsonObject,
  takesArrays: boolean,
  usual: unknown,
  place: string,
  extras: ExtrasDraft,
): Part[] {
  const { content } = message
  if (typeof content === 'string' && content !== '') return [{ kind: 'text', text: content }]
  if (Array.isArray(content) && content.length > 0) {
    const parts = content.map((part: unknown, at) => readPart(part, `${place}.content[${at}]`))
    if (!takesArrays || isSingleText(parts)) extras.hint('content', [])
    return parts
  }
  if (content !== undefined && content !== null && content !== '' && !Array.isArray(content))
    throw invalidField(`${place}.content`, 'must be a string or an array')
  const spelled = content === undefined ? false : content
  if (spelled !== usual) extras.hint('content', spelled)
  return []
}

function isSingleText(parts: readonly Part[]): boolean {
  return parts.length === 1 && parts.every(isPlainText)
}

function readAssistant(message: JsonObject, place: string, at: number, calls: Map<string, string>): ChatMessage {
  const extras = new ExtrasDraft().keepRest(message, ASSISTANT_FIELDS, MESSAGE_HINTS)
  if (message.name !== undefined) extras.hint('name', message.name)
  const called = readCalls(message, place, at, calls, extras)
  const parts = [
    ...readReasoning(message, extras),
    ...readContent(message, false, called.length > 0 ? null : '', place, extras).map((part) =>
      readAssistantPart(part, extras),
    ),
    ...readRefusal(message, extras),
    ...called,
  ]
  return { role: 'assistant', parts, ...extras.toField(DIALECT) }
}

/** Mistral's thoughts stand in the content itself; so may refusals. */
function readAssistantPart(part: Part, extras: ExtrasDraft): Part {
  if (part.kind !== 'own') return part
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

/** The text of parts of text, or of one string. */
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

/** Marked with the field it stood in: there it can be put back, in no other. */
function reasoningPart(text: string, field: string): ReasoningPart {
  return { kind: 'reasoning', text, extras: { dialect: DIALECT, hints: { [field]: null } } }
}

function readReasoning(message: JsonObject, extras: ExtrasDraft): Part[] {
  const { thinking_blocks: given } = message
  const parts: ReasoningPart[] = readThinkingBlocks(given).map((part) => ({
    ...reasoningPart('', 'thinking_blocks'),
    ...part,
  }))
  if (given !== undefined && !isSameJson(given, parts.map(writeThinkingBlock))) {
    parts.length = 0
    extras.hint('thinking_blocks', given)
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

/** LiteLLM's `thinking_blocks`, which hold what Anthropic's models thought as those signed it. Others are left out. */
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

/** Signed by who can read it again when it is handed back in blocks. */
export function isThinkingBlock({ signature, redacted, signedIn }: ReasoningPart): boolean {
  return signedIn === THINKING_DIALECT && (signature !== undefined || redacted !== undefined)
}

function readCalls(
  message: JsonObject,
  place: string,
  at: number,
  calls: Map<string, string>,
  extras: ExtrasDraft,
): Part[] {
  const { tool_calls: given } = message
  if (!Array.isArray(given) || given.length === 0) {
    if (given !== undefined) extras.hint('tool_calls', given)
    return []
  }
  return given.map((value: unknown, index): Part => {
    if (!isRecord(value)) throw invalidField(`${place}.tool_calls[${index}]`, 'must be an object')
    const call = readCall(value, `call_${at}_${index}`)
    if (call) {
      calls.set(call.id, call.name)
      return call
    }
    const { type, id, custom } = value
    if (typeof type !== 'string' || type === 'function' || !isRecord(custom))
      throw invalidField(`${place}.tool_calls[${index}].function.name`, 'is required')
    if (typeof id === 'string') calls.set(id, String(custom.name))
    return { kind: 'own', dialect: DIALECT, name: type.slice(0, 64), value }
  })
}

function readResult(message: JsonObject, place: string, calls: ReadonlyMap<string, string>): ToolResultPart {
  const { tool_call_id: callId, name: said, content } = message
  if (typeof callId !== 'string' || callId === '') throw invalidField(`${place}.tool_call_id`, 'must be a string')
  const isNamed = typeof said === 'string' && said !== ''
  const name = isNamed ? said : calls.get(callId)
  if (name === undefined) throw invalidField(`${place}.tool_call_id`, 'answers no tool call that came before')
  const extras = new ExtrasDraft().keepRest(message, TOOL_RESULT_FIELDS, MESSAGE_HINTS)
  if (isNamed) extras.hint('name', '')
  else if (said !== undefined) extras.hint('name', said)
  const all = readContent(message, false, '', place, extras)
  const parts = all.filter((part) => part.kind === 'text' || part.kind === 'media')
  if (parts.length < all.length) extras.need('content', content)
  return { kind: 'toolResult', callId, name, parts, failed: false, ...extras.toField(DIALECT) }
}

/** Throws Problem `unsupported` for what no message of this dialect can hold. */
export function writeMessages(messages: readonly ChatMessage[], dropped: Set<string>): JsonObject[] {
  return messages.flatMap((message) => {
    if (message.role === 'assistant') return [writeAssistant(message, dropped)]
    if (message.role === 'system') return [writeSystem(message, dropped)]
    return writeUser(message, dropped)
  })
}

function writeSystem({ parts, extras }: ChatMessage, dropped: Set<string>): JsonObject {
  const { developer, content, ...fields } = writeExtras(extras, DIALECT, dropped)
  const role = developer === null ? 'developer' : 'system'
  return { ...fields, role, ...writeContent(parts, { original: content, emptyValue: '', separator: '\n\n' }, dropped) }
}

/** Each result is a message of its own; what of it is no text stands in the user's message after them. */
function writeUser({ parts, extras }: ChatMessage, dropped: Set<string>): JsonObject[] {
  const { content, ...fields } = writeExtras(extras, DIALECT, dropped)
  const results = parts.filter((part) => part.kind === 'toolResult')
  const others = [...results.flatMap(mediaOfResult), ...parts.filter((part) => part.kind !== 'toolResult')]
  const written = results.map((result) => writeResult(result, dropped))
  if (results.length > 0 && others.length === 0) return written
  const [only] = others
  if (only?.kind === 'own' && only.dialect === DIALECT && only.value.role === 'function') return [only.value]
  return [
    ...written,
    { ...fields, role: 'user', ...writeContent(others, { original: content, emptyValue: '' }, dropped) },
  ]
}

/** Pictures in a result of another dialect, and what they are of. */
function mediaOfResult(result: ToolResultPart): Part[] {
  const media = result.extras?.dialect === DIALECT ? [] : result.parts.filter(({ kind }) => kind === 'media')
  return media.length === 0 ? [] : [{ kind: 'text', text: `Result of ${result.name}:` }, ...media]
}

function writeResult(result: ToolResultPart, dropped: Set<string>): JsonObject {
  const { name, content, ...fields } = writeExtras(result.extras, DIALECT, dropped)
  if (result.cache !== undefined) dropped.add('cache')
  const isOwn = Array.isArray(content)
  const parts = isOwn ? result.parts : result.parts.filter(({ kind }) => kind === 'text')
  const isBeside = parts.length < result.parts.length
  const usual = result.failed ? 'Error' : isBeside ? 'See the next message of the user.' : ''
  return {
    ...fields,
    role: 'tool',
    tool_call_id: legalId(result.callId),
    ...(name !== undefined && { name: name === '' ? result.name : name }),
    ...(isOwn && content.length > 0
      ? { content }
      : writeContent(parts, { original: content, emptyValue: usual, separator: '\n' }, dropped)),
  }
}

interface ContentStyle {
  /** How it was written: `[]` as an array, `false` not at all, else as this, which is nothing. */
  readonly original: unknown
  /** How nothing is usually written. */
  readonly emptyValue: unknown
  /** Texts are usually joined, with this between them; else they are written as an array. */
  readonly separator?: string
}

/** Many servers take nothing but one string from anyone but the user. */
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
        .flatMap((part, at) => [at > 0 && separator ? { text: separator } : {}, part]),
    ),
  }
}

function writeAssistant({ parts, extras }: ChatMessage, dropped: Set<string>): JsonObject {
  const { content: spelled, refusal, ...fields } = writeExtras(extras, DIALECT, dropped)
  const refusals = parts.filter((part) => part.kind === 'refusal')
  const isApart = refusals.length > 0 && !Array.isArray(refusal)
  const calls = parts.filter((part) => part.kind === 'toolCall' || isDialectCall(part))
  const content = parts.filter((part) => isContentPart(part) || (part.kind === 'refusal' && !isApart))
  if (!Array.isArray(spelled) && content.some(({ kind }) => kind === 'media'))
    throw unsupported('messages', 'A message of the assistant can hold no media here.')
  const usual = calls.length > 0 ? null : ''
  return {
    role: 'assistant',
    ...writeContent(content, { original: spelled, emptyValue: usual, separator: '' }, dropped),
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
  return part.kind === 'own' && part.dialect === DIALECT && isRecord(part.value.custom)
}

function isContentPart(part: Part): boolean {
  if (part.kind === 'reasoning') return isMarked(part.extras, 'thinking')
  return part.kind !== 'refusal' && part.kind !== 'toolCall' && !isDialectCall(part)
}

/** What others thought means nothing here, and is left out. `fields` are the message's own, with marks resolved. */
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
