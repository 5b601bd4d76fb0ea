// OpenAI chat, messages: a conversation, both ways.

import type { JsonObject, NeutralMessage, Part, ReasoningPart, ToolResultPart } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { invalid } from '../../wire/json/cursor.ts'
import { OwnDraft, ownFields, sameJson } from '../dialect-fields.ts'
import { unsupported } from '../translator.ts'
import { DIALECT, isBare, legalId, marked, readCall, readPart, writeCall, writePart } from './parts.ts'

const KNOWN: ReadonlySet<string> = new Set(['role', 'content', 'name'])
const MESSAGE_HINTS: ReadonlySet<string> = new Set(['annotations', 'cache_control', 'channel', 'reasoning_details'])
const ASSISTANT_KNOWN: ReadonlySet<string> = new Set([
  ...KNOWN,
  'refusal',
  'tool_calls',
  'reasoning',
  'reasoning_content',
  'thinking_blocks',
])
const TOOL_KNOWN: ReadonlySet<string> = new Set([...KNOWN, 'tool_call_id'])
const REASONING_FIELDS = ['reasoning_content', 'reasoning'] as const
/** Signed thinking is handed on in LiteLLM's form of it. */
const THINKING_DIALECT = 'anthropic.messages'

/** Throws Problem `invalid_request`, naming the place: `messages[2].content`. */
export function readMessages(value: unknown): NeutralMessage[] {
  if (!Array.isArray(value)) throw invalid('messages', 'must be an array')
  const calls = new Map<string, string>()
  const messages: NeutralMessage[] = []
  let results: Part[] | undefined
  value.forEach((message: unknown, at) => {
    const place = `messages[${at}]`
    if (!isRecord(message)) throw invalid(place, 'must be an object')
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

function readMessage(message: JsonObject, place: string, at: number, calls: Map<string, string>): NeutralMessage {
  const { role } = message
  if (role === 'assistant') return readAssistant(message, place, at, calls)
  // The older form of a tool's result, which names no call.
  if (role === 'function')
    return { role: 'user', parts: [{ kind: 'own', dialect: DIALECT, name: 'function_call', value: message }] }
  if (role !== 'system' && role !== 'developer' && role !== 'user')
    throw invalid(`${place}.role`, 'must be one of system, developer, user, assistant and tool')
  const own = new OwnDraft().rest(message, KNOWN, MESSAGE_HINTS)
  if (message.name !== undefined) own.hint('name', message.name)
  if (role === 'developer') own.hint('developer', null)
  const parts = readContent(message, role === 'user', '', place, own)
  return { role: role === 'user' ? 'user' : 'system', parts, ...own.done(DIALECT) }
}

/**
 * @param takesArrays texts are usually written as an array; else as one string
 * @param usual how nothing is usually written
 */
function readContent(message: JsonObject, takesArrays: boolean, usual: unknown, place: string, own: OwnDraft): Part[] {
  const { content } = message
  if (typeof content === 'string' && content !== '') return [{ kind: 'text', text: content }]
  if (Array.isArray(content) && content.length > 0) {
    const parts = content.map((part: unknown, at) => readPart(part, `${place}.content[${at}]`))
    if (!takesArrays || isOneText(parts)) own.hint('content', [])
    return parts
  }
  if (content !== undefined && content !== null && content !== '' && !Array.isArray(content))
    throw invalid(`${place}.content`, 'must be a string or an array')
  const spelled = content === undefined ? false : content
  if (spelled !== usual) own.hint('content', spelled)
  return []
}

function isOneText(parts: readonly Part[]): boolean {
  return parts.length === 1 && parts.every(isBare)
}

function readAssistant(message: JsonObject, place: string, at: number, calls: Map<string, string>): NeutralMessage {
  const own = new OwnDraft().rest(message, ASSISTANT_KNOWN, MESSAGE_HINTS)
  if (message.name !== undefined) own.hint('name', message.name)
  const called = readCalls(message, place, at, calls, own)
  const parts = [
    ...readReasoning(message, own),
    ...readContent(message, false, called.length > 0 ? null : '', place, own).map((part) => asAssistants(part, own)),
    ...readRefusal(message, own),
    ...called,
  ]
  return { role: 'assistant', parts, ...own.done(DIALECT) }
}

/** Mistral's thoughts stand in the content itself; so may refusals. */
function asAssistants(part: Part, own: OwnDraft): Part {
  if (part.kind !== 'own') return part
  const { type, refusal, thinking } = part.value
  if (type === 'refusal' && typeof refusal === 'string' && sameJson(part.value, { type, refusal })) {
    own.hint('refusal', [])
    return { kind: 'refusal', text: refusal }
  }
  const text = textIn(thinking)
  return type === 'thinking' && sameJson(part.value, thinkingPart(text)) ? thought(text, 'thinking') : part
}

function thinkingPart(text: string): JsonObject {
  return { type: 'thinking', thinking: [{ type: 'text', text }] }
}

/** The text of parts of text, or of one string. */
export function textIn(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((part: unknown) => (isRecord(part) && typeof part.text === 'string' ? part.text : '')).join('')
}

function readRefusal({ refusal }: JsonObject, own: OwnDraft): Part[] {
  if (typeof refusal === 'string' && refusal !== '') return [{ kind: 'refusal', text: refusal }]
  if (refusal !== undefined) own.hint('refusal', refusal)
  return []
}

/** Marked with the field it stood in: there it can be put back, in no other. */
function thought(text: string, field: string): ReasoningPart {
  return { kind: 'reasoning', text, own: { dialect: DIALECT, hints: { [field]: null } } }
}

function readReasoning(message: JsonObject, own: OwnDraft): Part[] {
  const { thinking_blocks: given } = message
  const parts: ReasoningPart[] = readBlocks(given).map((part) => ({ ...thought('', 'thinking_blocks'), ...part }))
  if (given !== undefined && !sameJson(given, parts.map(writeBlock))) {
    parts.length = 0
    own.hint('thinking_blocks', given)
  }
  const inBlocks = parts.map(({ text }) => text).join('')
  for (const field of REASONING_FIELDS) {
    const text = message[field]
    if (text === undefined) continue
    if (parts.length > 0 && text === inBlocks) own.hint(field, false)
    else if (typeof text === 'string' && text !== '') parts.push(thought(text, field))
    else own.hint(field, text)
  }
  return parts
}

/** LiteLLM's `thinking_blocks`, which hold what Anthropic's models thought as those signed it. Others are left out. */
export function readBlocks(blocks: unknown): ReasoningPart[] {
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

export function writeBlock({ text, signature, redacted }: ReasoningPart): JsonObject {
  if (redacted !== undefined) return { type: 'redacted_thinking', data: redacted }
  return { type: 'thinking', thinking: text, ...(signature !== undefined && { signature }) }
}

/** Signed by who can read it again when it is handed back in blocks. */
export function isBlock({ signature, redacted, signedIn }: ReasoningPart): boolean {
  return signedIn === THINKING_DIALECT && (signature !== undefined || redacted !== undefined)
}

function readCalls(message: JsonObject, place: string, at: number, calls: Map<string, string>, own: OwnDraft): Part[] {
  const { tool_calls: given } = message
  if (!Array.isArray(given) || given.length === 0) {
    if (given !== undefined) own.hint('tool_calls', given)
    return []
  }
  return given.map((value: unknown, index): Part => {
    if (!isRecord(value)) throw invalid(`${place}.tool_calls[${index}]`, 'must be an object')
    const call = readCall(value, `call_${at}_${index}`)
    if (call) {
      calls.set(call.id, call.name)
      return call
    }
    const { type, id, custom } = value
    if (typeof type !== 'string' || type === 'function' || !isRecord(custom))
      throw invalid(`${place}.tool_calls[${index}].function.name`, 'is required')
    if (typeof id === 'string') calls.set(id, String(custom.name))
    return { kind: 'own', dialect: DIALECT, name: type.slice(0, 64), value }
  })
}

function readResult(message: JsonObject, place: string, calls: ReadonlyMap<string, string>): ToolResultPart {
  const { tool_call_id: callId, name: said, content } = message
  if (typeof callId !== 'string' || callId === '') throw invalid(`${place}.tool_call_id`, 'must be a string')
  const isNamed = typeof said === 'string' && said !== ''
  const name = isNamed ? said : calls.get(callId)
  if (name === undefined) throw invalid(`${place}.tool_call_id`, 'answers no tool call that came before')
  const own = new OwnDraft().rest(message, TOOL_KNOWN, MESSAGE_HINTS)
  if (isNamed) own.hint('name', '')
  else if (said !== undefined) own.hint('name', said)
  const all = readContent(message, false, '', place, own)
  const parts = all.filter((part) => part.kind === 'text' || part.kind === 'media')
  if (parts.length < all.length) own.need('content', content)
  return { kind: 'toolResult', callId, name, parts, failed: false, ...own.done(DIALECT) }
}

/** Throws Problem `unsupported` for what no message of this dialect can hold. */
export function writeMessages(messages: readonly NeutralMessage[], dropped: Set<string>): JsonObject[] {
  return messages.flatMap((message) => {
    if (message.role === 'assistant') return [writeAssistant(message, dropped)]
    if (message.role === 'system') return [writeSystem(message, dropped)]
    return writeUser(message, dropped)
  })
}

function writeSystem({ parts, own }: NeutralMessage, dropped: Set<string>): JsonObject {
  const { developer, content, ...fields } = ownFields(own, DIALECT, dropped)
  const role = developer === null ? 'developer' : 'system'
  return { ...fields, role, ...writeContent(parts, { spelled: content, usual: '', between: '\n\n' }, dropped) }
}

/** Each result is a message of its own; what of it is no text stands in the user's message after them. */
function writeUser({ parts, own }: NeutralMessage, dropped: Set<string>): JsonObject[] {
  const { content, ...fields } = ownFields(own, DIALECT, dropped)
  const results = parts.filter((part) => part.kind === 'toolResult')
  const others = [...results.flatMap(mediaBeside), ...parts.filter((part) => part.kind !== 'toolResult')]
  const written = results.map((result) => writeResult(result, dropped))
  if (results.length > 0 && others.length === 0) return written
  const [only] = others
  if (only?.kind === 'own' && only.dialect === DIALECT && only.value.role === 'function') return [only.value]
  return [...written, { ...fields, role: 'user', ...writeContent(others, { spelled: content, usual: '' }, dropped) }]
}

/** Pictures in a result of another dialect, and what they are of. */
function mediaBeside(result: ToolResultPart): Part[] {
  const media = result.own?.dialect === DIALECT ? [] : result.parts.filter(({ kind }) => kind === 'media')
  return media.length === 0 ? [] : [{ kind: 'text', text: `Result of ${result.name}:` }, ...media]
}

function writeResult(result: ToolResultPart, dropped: Set<string>): JsonObject {
  const { name, content, ...fields } = ownFields(result.own, DIALECT, dropped)
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
      : writeContent(parts, { spelled: content, usual, between: '\n' }, dropped)),
  }
}

interface Spelling {
  /** How it was written: `[]` as an array, `false` not at all, else as this, which is nothing. */
  readonly spelled: unknown
  /** How nothing is usually written. */
  readonly usual: unknown
  /** Texts are usually joined, with this between them; else they are written as an array. */
  readonly between?: string
}

/** Many servers take nothing but one string from anyone but the user. */
function writeContent(parts: readonly Part[], { spelled, usual, between }: Spelling, dropped: Set<string>): JsonObject {
  if (parts.length === 0) {
    const nothing = spelled === undefined ? usual : spelled
    return nothing === false ? {} : { content: nothing }
  }
  const written = parts.map((part) => (part.kind === 'reasoning' ? thinkingPart(part.text) : writePart(part, dropped)))
  const isJoined = between !== undefined || (written.length === 1 && Object.keys(written[0] ?? {}).length === 2)
  if (Array.isArray(spelled) || !isJoined || parts.some(({ kind }) => kind !== 'text')) return { content: written }
  return {
    content: textIn(
      parts
        .filter(({ kind }) => kind === 'text')
        .flatMap((part, at) => [at > 0 && between ? { text: between } : {}, part]),
    ),
  }
}

function writeAssistant({ parts, own }: NeutralMessage, dropped: Set<string>): JsonObject {
  const { content: spelled, refusal, ...fields } = ownFields(own, DIALECT, dropped)
  const refusals = parts.filter((part) => part.kind === 'refusal')
  const isApart = refusals.length > 0 && !Array.isArray(refusal)
  const calls = parts.filter((part) => part.kind === 'toolCall' || isOwnCall(part))
  const content = parts.filter((part) => isContent(part) || (part.kind === 'refusal' && !isApart))
  if (!Array.isArray(spelled) && content.some(({ kind }) => kind === 'media'))
    throw unsupported('messages', 'A message of the assistant can hold no media here.')
  const usual = calls.length > 0 ? null : ''
  return {
    role: 'assistant',
    ...writeContent(content, { spelled, usual, between: '' }, dropped),
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

function isOwnCall(part: Part): boolean {
  return part.kind === 'own' && part.dialect === DIALECT && isRecord(part.value.custom)
}

function isContent(part: Part): boolean {
  if (part.kind === 'reasoning') return marked(part.own, 'thinking')
  return part.kind !== 'refusal' && part.kind !== 'toolCall' && !isOwnCall(part)
}

/** What others thought means nothing here, and is left out. `fields` are the message's own, with marks resolved. */
function writeReasoning(parts: readonly ReasoningPart[], fields: JsonObject): JsonObject {
  const blocks = parts.filter(({ own }) => marked(own, 'thinking_blocks'))
  const written: Record<string, unknown> = {
    ...fields,
    ...(blocks.length > 0 && { thinking_blocks: blocks.map(writeBlock) }),
  }
  for (const field of REASONING_FIELDS) {
    const inField = parts.find(({ own }) => marked(own, field))
    if (inField) written[field] = inField.text
    else if (fields[field] === false) written[field] = blocks.map(({ text }) => text).join('')
  }
  return written
}
