// OpenAI message reader: reads a conversation as chat messages.

import type { ChatMessage, JsonObject, Part, ReasoningPart, ToolResultPart } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft, isSameJson } from '../dialect-fields.ts'
import { DIALECT, OPENAI_EXTRAS } from './dialect-fields.ts'
import { isPlainText, readCall, readPart } from './parts.ts'
import { joinText, REASONING_FIELDS, readThinkingBlocks, thinkingPart, writeThinkingBlock } from './thoughts.ts'

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
  const toolCalls = readCalls(message, path, index, calls, extras)
  const parts = [
    ...readReasoning(message, extras),
    ...readContent(message, false, toolCalls.length > 0 ? null : '', path, extras).map((part) =>
      readAssistantPart(part, extras),
    ),
    ...readRefusal(message, extras),
    ...toolCalls,
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
