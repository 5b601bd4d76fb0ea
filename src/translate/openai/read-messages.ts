// OpenAI message reader: reads a conversation as chat messages.

import type { ChatMessage, JsonObject, Part, ReasoningPart, ToolResultPart } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft, isSameJson, jsonOf } from '../dialect-fields.ts'
import { placed, placedLike } from '../places.ts'
import { readCall } from './calls.ts'
import { DIALECT, OPENAI_EXTRAS } from './dialect-fields.ts'
import { isPlainText, MEDIA_TYPES, picturesIn, readCache, readPart, WHOLE_MARK } from './parts.ts'
import { joinText, REASONING_FIELDS, readThinkingBlocks, thinkingPart, writeThinkingBlock } from './thoughts.ts'

const MESSAGE_FIELDS: ReadonlySet<string> = new Set(['role', 'content', 'name', 'cache_control'])
const ASSISTANT_FIELDS: ReadonlySet<string> = new Set([
  ...MESSAGE_FIELDS,
  'refusal',
  'tool_calls',
  'function_call',
  'images',
  'reasoning',
  'reasoning_content',
  'thinking_blocks',
])
const TOOL_RESULT_FIELDS: ReadonlySet<string> = new Set([...MESSAGE_FIELDS, 'tool_call_id', 'is_error'])

/** Throws Problem `invalid_request`, naming the field: `messages[2].content`. */
export function readMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value)) throw invalidField('messages', 'must be an array')
  const calls = new Map<string, string>()
  const messages: ChatMessage[] = []
  let results: Part[] | undefined
  value.forEach((message: unknown, index) => {
    const path = `messages[${index}]`
    if (!isRecord(message)) throw invalidField(path, 'must be an object')
    const isResult = message.role === 'tool' || (message.role === 'function' && isAnswer(message, calls))
    if (!isResult) {
      results = undefined
      messages.push(placed(readMessage(message, path, index, calls), path))
      return
    }
    const result = message.role === 'tool' ? readResult(message, path, calls) : readOlderResult(message, path, calls)
    if (results) results.push(result)
    else messages.push({ role: 'user', parts: (results = [result]) })
  })
  return messages
}

function readMessage(message: JsonObject, path: string, index: number, calls: Map<string, string>): ChatMessage {
  const { role } = message
  if (role === 'assistant') return readAssistant(message, path, index, calls)
  if (role === 'function') {
    const part = { kind: 'dialect', dialect: DIALECT, name: 'function_call', value: message } as const
    return { role: 'user', parts: [placed(part, path)] }
  }
  if (role !== 'system' && role !== 'developer' && role !== 'user')
    throw invalidField(`${path}.role`, 'must be system, developer, user, assistant or tool')
  const extras = new ExtrasDraft(OPENAI_EXTRAS, path).keepRest(message, MESSAGE_FIELDS, { isEcho: true })
  if (message.name !== undefined) extras.hint('name', message.name)
  if (role === 'developer') extras.hint('developer', null)
  const parts = readContent(message, role === 'user', '', path, extras)
  const marked = readMessageCache(message, parts, extras)
  return { role: role === 'user' ? 'user' : 'system', parts: marked, ...extras.toField() }
}

/** The mark that a cache hint of the whole message has, in place of one of a part. */
export const CACHE_MARK = 'cache_control'

/** Gives a message's own `cache_control` to its last part that can have one. */
function readMessageCache<Any extends Part>(message: JsonObject, parts: readonly Any[], extras: ExtrasDraft): Any[] {
  const draft = new ExtrasDraft(OPENAI_EXTRAS)
  const { cache } = readCache(message, draft)
  if (message.cache_control === undefined) return [...parts]
  const last = parts.findLastIndex(({ kind }) => kind === 'text' || kind === 'media' || kind === 'toolCall')
  const part = parts[last]
  if (cache === undefined || !part) {
    extras.hint('cache_control', message.cache_control)
    return [...parts]
  }
  extras.mark(CACHE_MARK, message.cache_control)
  return parts.with(last, placedLike({ ...part, cache }, part))
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
  const extras = new ExtrasDraft(OPENAI_EXTRAS, path).keepRest(message, ASSISTANT_FIELDS, { isEcho: true })
  if (message.name !== undefined) extras.hint('name', message.name)
  const toolCalls = readCalls(message, path, index, calls, extras)
  const parts = [
    ...readReasoning(message, extras),
    ...readContent(message, false, toolCalls.length > 0 ? null : '', path, extras).map((part) =>
      readAssistantPart(part, extras),
    ),
    ...readRefusal(message, extras),
    ...readImages(message, path, extras),
    ...toolCalls,
  ]
  return { role: 'assistant', parts: readMessageCache(message, parts, extras), ...extras.toField() }
}

/** Images that the model made, in OpenRouter's field, which our own answers have, too. */
function readImages(message: JsonObject, path: string, extras: ExtrasDraft): Part[] {
  if (message.images === undefined) return []
  extras.mark('images', message.images)
  return picturesIn(message).map((picture) => placed(picture, `${path}.images`))
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
    return readOlderCall(message.function_call, path, messageIndex, calls, extras)
  }
  return values.map((value: unknown, index): Part => {
    const place = `${path}.tool_calls[${index}]`
    if (!isRecord(value)) throw invalidField(place, 'must be an object')
    const call = readCall(value, `call_${messageIndex}_${index}`, place)
    if (!call) throw invalidField(`${place}.function.name`, 'is required')
    calls.set(call.id, call.name)
    return call
  })
}

/** The older field, for a single call without an id. */
function readOlderCall(
  value: unknown,
  path: string,
  messageIndex: number,
  calls: Map<string, string>,
  extras: ExtrasDraft,
): Part[] {
  if (value === undefined) return []
  const place = `${path}.function_call`
  const call = readCall({ function: value }, `call_${messageIndex}_0`, place)
  if (!call) {
    extras.hint('function_call', value)
    return []
  }
  extras.mark('function_call', value)
  calls.set(call.id, call.name)
  return [call]
}

/** Whether a result in the older form, which does not name its call, follows a call of its function. */
function isAnswer({ name }: JsonObject, calls: ReadonlyMap<string, string>): boolean {
  return typeof name === 'string' && [...calls.values()].includes(name)
}

function readOlderResult(message: JsonObject, path: string, calls: ReadonlyMap<string, string>): ToolResultPart {
  const [callId] = [...calls].findLast(([, name]) => name === message.name) ?? []
  const result = readResult({ ...message, tool_call_id: callId }, path, calls)
  const extras = new ExtrasDraft(OPENAI_EXTRAS, path)
  extras.mark('function', message)
  return placed({ ...result, ...extras.toField() }, path)
}

/** A part of an unknown type is JSON text, unless it names a file that only its provider has. */
function asResultPart(part: Part): Part {
  if (part.kind !== 'dialect' || MEDIA_TYPES.has(part.name)) return part
  return { kind: 'text', text: jsonOf(part.value), extras: { dialect: DIALECT, marks: { [WHOLE_MARK]: part.value } } }
}

function readResult(message: JsonObject, path: string, calls: ReadonlyMap<string, string>): ToolResultPart {
  const { tool_call_id: callId, name: toolName, content, is_error: isError } = message
  if (typeof callId !== 'string' || callId === '') throw invalidField(`${path}.tool_call_id`, 'must be a string')
  const isNamed = typeof toolName === 'string' && toolName !== ''
  const name = calls.get(callId) ?? (isNamed ? toolName : undefined)
  if (name === undefined) throw invalidField(`${path}.tool_call_id`, 'must be the id of an earlier tool call')
  const extras = new ExtrasDraft(OPENAI_EXTRAS, path).keepRest(message, TOOL_RESULT_FIELDS, { isEcho: true })
  if (toolName !== undefined) extras.mark('name', toolName)
  if (isError !== undefined) extras.mark('is_error', isError)
  const all = readContent(message, false, '', path, extras).map(asResultPart)
  const parts = all.filter((part) => part.kind === 'text' || part.kind === 'media')
  if (all.some(({ kind }) => kind === 'dialect')) extras.need('content', content)
  const { cache } = readCache(message, extras)
  return placed(
    { kind: 'toolResult', callId, name, parts, failed: isError === true, ...(cache && { cache }), ...extras.toField() },
    path,
  )
}
