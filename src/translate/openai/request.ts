// OpenAI chat, ask: the fields of a request, both ways.

import type { ChatRequest, JsonObject } from '../../core/chat.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft, hashOf, isSameJson, writeExtras } from '../dialect-fields.ts'
import { type RequestTarget, unsupported, type WrittenRequest } from '../translator.ts'
import { readMessages, writeMessages } from './messages.ts'
import { DIALECT } from './parts.ts'
import { ALWAYS_THINKS, readReasoning, writeReasoning } from './reasoning.ts'
import { readFormat, readTool, readToolChoice, writeFormat, writeTool, writeToolChoice } from './tools.ts'

type RequestDraft = { -readonly [Field in keyof ChatRequest]: ChatRequest[Field] }

const NUMBERS = [
  ['n', 'answers'],
  ['temperature', 'temperature'],
  ['top_p', 'topP'],
  ['top_k', 'topK'],
  ['seed', 'seed'],
  ['frequency_penalty', 'frequencyPenalty'],
  ['presence_penalty', 'presencePenalty'],
  ['max_tokens', 'outputCap'],
  ['max_completion_tokens', 'outputCap'],
] as const
type NumberField = (typeof NUMBERS)[number][1]
const NUMBER_FIELDS: ReadonlyMap<string, NumberField> = new Map(NUMBERS)

/** What may be lost in another dialect. Anything else nobody knows may not. */
const HINTS: ReadonlySet<string> = new Set([
  'logit_bias',
  'metadata',
  'store',
  'service_tier',
  'verbosity',
  'prediction',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'safety_identifier',
  'stream_options',
  'min_p',
  'top_a',
  'repetition_penalty',
  'usage',
])
/** What asks for something even when it is empty. */
const NEEDS: ReadonlySet<string> = new Set(['web_search_options', 'search_parameters'])

/** Said, and the same as not said: nobody misses it. */
const DEFAULTS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['modalities', ['text']],
  ['response_format', { type: 'text' }],
  ['service_tier', 'auto'],
  // Usage comes with every stream that is translated.
  ['stream_options', { include_usage: true }],
])
/** Stands among hints for the default. */
const DEFAULT_MARK = ''

/** Throws Problem `invalid_request`, naming the field. */
export function readRequest(body: JsonObject): ChatRequest {
  const { model, messages } = body
  if (typeof model !== 'string' || model === '') throw invalidField('model', 'must be a string')
  const extras = new ExtrasDraft()
  const draft: RequestDraft = { model, stream: false, messages: readMessages(messages) }
  for (const [name, value] of Object.entries(body)) readField(draft, name, value, extras)
  return { ...draft, ...extras.toField(DIALECT) }
}

function readField(draft: RequestDraft, name: string, value: unknown, extras: ExtrasDraft): void {
  if (name === 'model' || name === 'messages') return
  // Every field may be null, which is to leave it out.
  if (value === null) return extras.hint(name, null)
  const number = NUMBER_FIELDS.get(name)
  if (number) return readNumber(draft, number, name, value, extras)
  switch (name) {
    case 'stream':
      if (!(draft.stream = booleanOf(value, name))) extras.hint(name, false)
      return
    case 'user':
      if (typeof value !== 'string') throw invalidField(name, 'must be a string')
      draft.user = value
      return
    case 'parallel_tool_calls':
      draft.parallelTools = booleanOf(value, name)
      return
    case 'stop':
      return readStop(draft, value, extras)
    case 'tools':
      if (!Array.isArray(value)) throw invalidField(name, 'must be an array')
      draft.tools = value.map((tool: unknown, at) => readTool(tool, `tools[${at}]`))
      return
    case 'tool_choice': {
      const choice = readToolChoice(value, extras)
      if (choice) draft.toolChoice = choice
      return
    }
    case 'response_format': {
      const format = readFormat(value)
      if (!format) return keepExtra(extras, name, value)
      draft.format = format
      if (format.kind === 'schema' && format.name === undefined) extras.hint(name, [])
      return
    }
    case 'reasoning_effort':
    case 'reasoning':
    case 'thinking': {
      if (draft.reasoning) return extras.hint(name, value)
      const reasoning = readReasoning(name, value, extras)
      if (reasoning) draft.reasoning = reasoning
      return
    }
    default:
      keepExtra(extras, name, value)
  }
}

function keepExtra(extras: ExtrasDraft, name: string, value: unknown): void {
  if (DEFAULTS.has(name) && isSameJson(value, DEFAULTS.get(name))) extras.hint(name, DEFAULT_MARK)
  else if (NEEDS.has(name)) extras.need(name, value)
  else extras.keepRest({ [name]: value }, new Set(), HINTS)
}

function readNumber(draft: RequestDraft, field: NumberField, name: string, value: unknown, extras: ExtrasDraft): void {
  if (typeof value !== 'number') throw invalidField(name, 'must be a number')
  // OpenAI has no such field; a server that was asked with it has.
  if (field === 'topK') extras.hint(name, null)
  draft[field] = field === 'outputCap' ? Math.max(value, draft.outputCap ?? 0) : value
}

function booleanOf(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalidField(name, 'must be true or false')
  return value
}

/** OpenAI takes four; a server that was asked with more takes more. */
const MAX_STOP_SEQUENCES = 4

function readStop(draft: RequestDraft, value: unknown, extras: ExtrasDraft): void {
  const stops: unknown[] = Array.isArray(value) ? value : [value]
  if (!stops.every((stop) => typeof stop === 'string'))
    throw invalidField('stop', 'must be a string or an array of strings')
  draft.stop = stops
  if (typeof value === 'string') extras.hint('stop', '')
  else if (stops.length > MAX_STOP_SEQUENCES) extras.hint('stop', [])
}

const MAX_TEMPERATURE = 2
const SAMPLING_FIELDS: ReadonlySet<string> = new Set(['temperature', 'topP', 'frequencyPenalty', 'presencePenalty'])

/** Throws Problem `unsupported` for what this dialect cannot say. */
export function writeRequest(ask: ChatRequest, target: RequestTarget): WrittenRequest {
  const dropped = new Set<string>()
  const extras = writeExtras(ask.extras, DIALECT, dropped)
  const written: JsonObject = {
    ...restoreDefaults(extras),
    model: target.model,
    messages: writeMessages(ask.messages, dropped),
    ...(ask.stream && { stream: true }),
    ...writeNumbers(ask, target, extras, dropped),
    ...(ask.stop && { stop: writeStop(ask.stop, extras) }),
    ...(ask.tools && { tools: ask.tools.map((tool) => writeTool(tool, dropped)) }),
    ...(ask.toolChoice && { tool_choice: writeToolChoice(ask.toolChoice, extras) }),
    ...(ask.parallelTools !== undefined && { parallel_tool_calls: ask.parallelTools }),
    ...(ask.format && { response_format: writeFormat(ask.format, extras.response_format ? undefined : 'answer') }),
    ...(ask.reasoning && writeReasoning(ask.reasoning, target.model, extras, dropped)),
    ...(ask.user !== undefined && { user: legalUser(ask.user) }),
  }
  return { body: written, dropped: [...dropped] }
}

const MAX_USER_CHARACTERS = 64

/** Other dialects' users may be longer: such a one keeps its start, and a hash of the whole. */
function legalUser(user: string): string {
  if (user.length <= MAX_USER_CHARACTERS) return user
  const hash = hashOf(user)
  return `${user.slice(0, MAX_USER_CHARACTERS - hash.length - 1).toWellFormed()}_${hash}`
}

function restoreDefaults(extras: JsonObject): JsonObject {
  const said = Object.entries(extras).map(([name, value]) => [
    name,
    value === DEFAULT_MARK && DEFAULTS.has(name) ? DEFAULTS.get(name) : value,
  ])
  return Object.fromEntries(said)
}

function writeNumbers(ask: ChatRequest, target: RequestTarget, extras: JsonObject, dropped: Set<string>): JsonObject {
  const written = new Map<string, number>()
  for (const [name, field] of NUMBERS) {
    const value = ask[field]
    if (value === undefined || field === 'outputCap') continue
    const isUnknown = field === 'topK' && !Object.hasOwn(extras, name)
    const isForbidden = SAMPLING_FIELDS.has(field) && ALWAYS_THINKS.test(target.model)
    if (isUnknown || isForbidden) dropped.add(field)
    else written.set(name, value)
  }
  if ((ask.temperature ?? 0) > MAX_TEMPERATURE && written.has('temperature')) {
    written.set('temperature', MAX_TEMPERATURE)
    dropped.add('temperature')
  }
  if (ask.outputCap !== undefined) written.set(target.capField, ask.outputCap)
  return Object.fromEntries(written)
}

function writeStop(stop: readonly string[], extras: JsonObject): unknown {
  if (extras.stop === '' && stop.length === 1) return stop[0]
  if (stop.length > MAX_STOP_SEQUENCES && extras.stop === undefined)
    throw unsupported('stop', `At most ${MAX_STOP_SEQUENCES} stop sequences can be sent to this model.`)
  return stop
}
