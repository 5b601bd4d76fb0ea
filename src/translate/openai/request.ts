// OpenAI requests: reads and writes the body of POST /v1/chat/completions.

import type { ChatRequest, JsonObject } from '../../core/chat.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft, hashOf, isSameJson, writeExtras } from '../dialect-fields.ts'
import { type RequestTarget, unsupported, type WrittenRequest } from '../translator.ts'
import { OPENAI_EXTRAS } from './dialect-fields.ts'
import { readCache, writeCache } from './parts.ts'
import { readMessages } from './read-messages.ts'
import { ALWAYS_THINKS, readReasoning, writeReasoning } from './reasoning.ts'
import { readFormat, readTool, readToolChoice, writeFormat, writeTool, writeToolChoice } from './tools.ts'
import { writeMessages } from './write-messages.ts'

/** A chat request that is being read. */
type RequestDraft = { -readonly [Field in keyof ChatRequest]: ChatRequest[Field] }

/** The numeric fields, and the fields of a chat request that they become. */
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

/** Fields that another dialect may leave out. Any other unknown field is a need. */
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
/** Fields that request something even if they are empty. */
const NEEDS: ReadonlySet<string> = new Set(['web_search_options', 'search_parameters'])

/** Values that are the same as an absent field. */
const DEFAULTS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['modalities', ['text']],
  ['response_format', { type: 'text' }],
  ['service_tier', 'auto'],
  // Every translated stream carries usage.
  ['stream_options', { include_usage: true }],
])
/** The hint for a field with its default. */
const DEFAULT_MARK = ''

/** Throws Problem `invalid_request`, naming the field, if the body is no request of this dialect. */
export function readRequest(body: JsonObject): ChatRequest {
  const { model, messages } = body
  if (typeof model !== 'string' || model === '') throw invalidField('model', 'must be a string')
  const extras = new ExtrasDraft(OPENAI_EXTRAS)
  const draft: RequestDraft = { model, stream: false, messages: readMessages(messages) }
  for (const [name, value] of Object.entries(body)) readField({ name, value, draft, extras })
  return { ...draft, ...extras.toField() }
}

/** A field, and where its reader puts what it reads. */
interface Field {
  readonly name: string
  readonly value: unknown
  readonly draft: RequestDraft
  readonly extras: ExtrasDraft
}

/** The reader of each field that other dialects have too. */
const FIELD_READERS: ReadonlyMap<string, (field: Field) => void> = new Map([
  ...NUMBERS.map(([name, target]): [string, (field: Field) => void] => [name, (field) => readNumber(field, target)]),
  ['stream', readStream],
  ['user', readUser],
  ['parallel_tool_calls', readParallelTools],
  ['stop', readStop],
  ['tools', readTools],
  ['tool_choice', readChoice],
  ['response_format', readResponseFormat],
  ['reasoning_effort', readReasoningField],
  ['reasoning', readReasoningField],
  ['thinking', readReasoningField],
  ['cache_control', readCacheField],
])

function readField(field: Field): void {
  const { name, value, extras } = field
  if (name === 'model' || name === 'messages') return
  // OpenAI accepts null for every field and treats it as absent.
  if (value === null) return extras.hint(name, null)
  const read = FIELD_READERS.get(name) ?? keepExtra
  read(field)
}

function keepExtra({ name, value, extras }: Field): void {
  if (DEFAULTS.has(name) && isSameJson(value, DEFAULTS.get(name))) extras.hint(name, DEFAULT_MARK)
  else if (NEEDS.has(name)) extras.need(name, value)
  else if (HINTS.has(name)) extras.hint(name, value)
  else extras.keep(name, value)
}

function readNumber({ name, value, draft, extras }: Field, target: NumberField): void {
  if (typeof value !== 'number') throw invalidField(name, 'must be a number')
  // OpenAI has no `top_k`. The hint tells the writer that the server of this request has it.
  if (target === 'topK') extras.hint(name, null)
  draft[target] = target === 'outputCap' ? Math.max(value, draft.outputCap ?? 0) : value
}

function readStream({ name, value, draft, extras }: Field): void {
  draft.stream = booleanOf(value, name)
  if (!draft.stream) extras.hint(name, false)
}

function readUser({ name, value, draft }: Field): void {
  if (typeof value !== 'string') throw invalidField(name, 'must be a string')
  draft.user = value
}

function readParallelTools({ name, value, draft }: Field): void {
  draft.parallelTools = booleanOf(value, name)
}

function booleanOf(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalidField(name, 'must be true or false')
  return value
}

/** OpenAI accepts four. The server of a request with more accepts more, which a hint tells the writer. */
const MAX_STOP_SEQUENCES = 4

function readStop({ name, value, draft, extras }: Field): void {
  const stops: unknown[] = Array.isArray(value) ? value : [value]
  if (!stops.every((stop) => typeof stop === 'string'))
    throw invalidField(name, 'must be a string or an array of strings')
  draft.stop = stops
  if (typeof value === 'string') extras.hint(name, '')
  else if (stops.length > MAX_STOP_SEQUENCES) extras.hint(name, [])
}

function readTools({ name, value, draft }: Field): void {
  if (!Array.isArray(value)) throw invalidField(name, 'must be an array')
  draft.tools = value.map((tool: unknown, index) => readTool(tool, `tools[${index}]`))
}

function readChoice({ value, draft, extras }: Field): void {
  const choice = readToolChoice(value, extras)
  if (choice) draft.toolChoice = choice
}

function readResponseFormat(field: Field): void {
  const { name, value, draft, extras } = field
  const format = readFormat(value)
  if (!format) return keepExtra(field)
  draft.format = format
  if (format.kind === 'schema' && format.name === undefined) extras.hint(name, [])
}

/** The first of the reasoning fields counts. */
function readReasoningField({ name, value, draft, extras }: Field): void {
  if (draft.reasoning) return extras.hint(name, value)
  const reasoning = readReasoning(name, value, extras)
  if (reasoning) draft.reasoning = reasoning
}

function readCacheField({ name, value, draft, extras }: Field): void {
  const { cache } = readCache({ [name]: value }, extras)
  if (cache) draft.cache = cache
}

const MAX_TEMPERATURE = 2
/** Fields that models refuse that always think. */
const SAMPLING_FIELDS: ReadonlySet<string> = new Set(['temperature', 'topP', 'frequencyPenalty', 'presencePenalty'])

/** Throws Problem `unsupported` for what this dialect cannot express. */
export function writeRequest(request: ChatRequest, target: RequestTarget): WrittenRequest {
  const dropped = new Set<string>()
  const extras = writeExtras(request.extras, OPENAI_EXTRAS, dropped)
  const written: JsonObject = {
    ...restoreDefaults(extras),
    model: target.model,
    messages: writeMessages(request.messages, dropped),
    ...(request.stream && { stream: true }),
    ...writeNumbers(request, target, extras, dropped),
    ...(request.stop && { stop: writeStop(request.stop, extras) }),
    ...(request.tools && { tools: request.tools.map((tool) => writeTool(tool, dropped)) }),
    ...(request.toolChoice && { tool_choice: writeToolChoice(request.toolChoice, extras) }),
    ...(request.parallelTools !== undefined && { parallel_tool_calls: request.parallelTools }),
    ...(request.format && {
      response_format: writeFormat(request.format, extras.response_format ? undefined : 'answer'),
    }),
    ...(request.reasoning && writeReasoning(request.reasoning, target.model, extras, dropped)),
    ...(request.user !== undefined && { user: legalUser(request.user) }),
    ...writeCache(request.cache, extras, dropped),
  }
  return { body: written, dropped: [...dropped] }
}

const MAX_USER_CHARACTERS = 64

/** Other dialects accept longer ids of users. A longer id is cut and gets a hash. */
function legalUser(user: string): string {
  if (user.length <= MAX_USER_CHARACTERS) return user
  const hash = hashOf(user)
  return `${user.slice(0, MAX_USER_CHARACTERS - hash.length - 1).toWellFormed()}_${hash}`
}

function restoreDefaults(extras: JsonObject): JsonObject {
  const fields = Object.entries(extras).map(([name, value]) => [
    name,
    value === DEFAULT_MARK && DEFAULTS.has(name) ? DEFAULTS.get(name) : value,
  ])
  return Object.fromEntries(fields)
}

function writeNumbers(
  request: ChatRequest,
  target: RequestTarget,
  extras: JsonObject,
  dropped: Set<string>,
): JsonObject {
  const written = new Map<string, number>()
  for (const [name, field] of NUMBERS) {
    const value = request[field]
    if (value === undefined || field === 'outputCap') continue
    const isUnknown = field === 'topK' && !Object.hasOwn(extras, name)
    const isForbidden = SAMPLING_FIELDS.has(field) && ALWAYS_THINKS.test(target.model)
    if (isUnknown || isForbidden) dropped.add(field)
    else written.set(name, value)
  }
  if ((request.temperature ?? 0) > MAX_TEMPERATURE && written.has('temperature')) {
    written.set('temperature', MAX_TEMPERATURE)
    dropped.add('temperature')
  }
  if (request.outputCap !== undefined) written.set(target.capField, request.outputCap)
  return Object.fromEntries(written)
}

function writeStop(stop: readonly string[], extras: JsonObject): unknown {
  if (extras.stop === '' && stop.length === 1) return stop[0]
  if (stop.length > MAX_STOP_SEQUENCES && extras.stop === undefined)
    throw unsupported('stop', `The target model supports at most ${MAX_STOP_SEQUENCES} stop sequences.`)
  return stop
}
