// OpenAI chat, ask: the fields of a request, both ways.

import type { JsonObject, NeutralAsk } from '../../core/chat.ts'
import { invalid } from '../../wire/json/cursor.ts'
import { hashOf, OwnDraft, ownFields, sameJson } from '../dialect-fields.ts'
import { type AskTarget, unsupported, type WrittenAsk } from '../translator.ts'
import { readMessages, writeMessages } from './messages.ts'
import { DIALECT } from './parts.ts'
import { ALWAYS_THINKS, readReasoning, writeReasoning } from './reasoning.ts'
import { readFormat, readTool, readToolChoice, writeFormat, writeTool, writeToolChoice } from './tools.ts'

type AskDraft = { -readonly [Field in keyof NeutralAsk]: NeutralAsk[Field] }

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
const AS_DEFAULT = ''

/** Throws Problem `invalid_request`, naming the field. */
export function readAsk(body: JsonObject): NeutralAsk {
  const { model, messages } = body
  if (typeof model !== 'string' || model === '') throw invalid('model', 'must be a string')
  const own = new OwnDraft()
  const draft: AskDraft = { model, stream: false, messages: readMessages(messages) }
  for (const [name, value] of Object.entries(body)) readField(draft, name, value, own)
  return { ...draft, ...own.done(DIALECT) }
}

function readField(draft: AskDraft, name: string, value: unknown, own: OwnDraft): void {
  if (name === 'model' || name === 'messages') return
  // Every field may be null, which is to leave it out.
  if (value === null) return own.hint(name, null)
  const number = NUMBER_FIELDS.get(name)
  if (number) return readNumber(draft, number, name, value, own)
  switch (name) {
    case 'stream':
      if (!(draft.stream = booleanOf(value, name))) own.hint(name, false)
      return
    case 'user':
      if (typeof value !== 'string') throw invalid(name, 'must be a string')
      draft.user = value
      return
    case 'parallel_tool_calls':
      draft.parallelTools = booleanOf(value, name)
      return
    case 'stop':
      return readStop(draft, value, own)
    case 'tools':
      if (!Array.isArray(value)) throw invalid(name, 'must be an array')
      draft.tools = value.map((tool: unknown, at) => readTool(tool, `tools[${at}]`))
      return
    case 'tool_choice': {
      const choice = readToolChoice(value, own)
      if (choice) draft.toolChoice = choice
      return
    }
    case 'response_format': {
      const format = readFormat(value)
      if (!format) return keep(own, name, value)
      draft.format = format
      if (format.kind === 'schema' && format.name === undefined) own.hint(name, [])
      return
    }
    case 'reasoning_effort':
    case 'reasoning':
    case 'thinking': {
      if (draft.reasoning) return own.hint(name, value)
      const reasoning = readReasoning(name, value, own)
      if (reasoning) draft.reasoning = reasoning
      return
    }
    default:
      keep(own, name, value)
  }
}

function keep(own: OwnDraft, name: string, value: unknown): void {
  if (DEFAULTS.has(name) && sameJson(value, DEFAULTS.get(name))) own.hint(name, AS_DEFAULT)
  else if (NEEDS.has(name)) own.need(name, value)
  else own.rest({ [name]: value }, new Set(), HINTS)
}

function readNumber(draft: AskDraft, field: NumberField, name: string, value: unknown, own: OwnDraft): void {
  if (typeof value !== 'number') throw invalid(name, 'must be a number')
  // OpenAI has no such field; a server that was asked with it has.
  if (field === 'topK') own.hint(name, null)
  draft[field] = field === 'outputCap' ? Math.max(value, draft.outputCap ?? 0) : value
}

function booleanOf(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalid(name, 'must be true or false')
  return value
}

/** OpenAI takes four; a server that was asked with more takes more. */
const MOST_STOPS = 4

function readStop(draft: AskDraft, value: unknown, own: OwnDraft): void {
  const stops: unknown[] = Array.isArray(value) ? value : [value]
  if (!stops.every((stop) => typeof stop === 'string')) throw invalid('stop', 'must be a string or an array of strings')
  draft.stop = stops
  if (typeof value === 'string') own.hint('stop', '')
  else if (stops.length > MOST_STOPS) own.hint('stop', [])
}

const MOST_TEMPERATURE = 2
const STEERS: ReadonlySet<string> = new Set(['temperature', 'topP', 'frequencyPenalty', 'presencePenalty'])

/** Throws Problem `unsupported` for what this dialect cannot say. */
export function writeAsk(ask: NeutralAsk, target: AskTarget): WrittenAsk {
  const dropped = new Set<string>()
  const own = ownFields(ask.own, DIALECT, dropped)
  const written: JsonObject = {
    ...withDefaults(own),
    model: target.model,
    messages: writeMessages(ask.messages, dropped),
    ...(ask.stream && { stream: true }),
    ...writeNumbers(ask, target, own, dropped),
    ...(ask.stop && { stop: writeStop(ask.stop, own) }),
    ...(ask.tools && { tools: ask.tools.map((tool) => writeTool(tool, dropped)) }),
    ...(ask.toolChoice && { tool_choice: writeToolChoice(ask.toolChoice, own) }),
    ...(ask.parallelTools !== undefined && { parallel_tool_calls: ask.parallelTools }),
    ...(ask.format && { response_format: writeFormat(ask.format, own.response_format ? undefined : 'answer') }),
    ...(ask.reasoning && writeReasoning(ask.reasoning, target.model, own, dropped)),
    ...(ask.user !== undefined && { user: legalUser(ask.user) }),
  }
  return { body: written, dropped: [...dropped] }
}

const MOST_USER_CHARACTERS = 64

/** Other dialects' users may be longer: such a one keeps its start, and a hash of the whole. */
function legalUser(user: string): string {
  if (user.length <= MOST_USER_CHARACTERS) return user
  const hash = hashOf(user)
  return `${user.slice(0, MOST_USER_CHARACTERS - hash.length - 1).toWellFormed()}_${hash}`
}

function withDefaults(own: JsonObject): JsonObject {
  const said = Object.entries(own).map(([name, value]) => [
    name,
    value === AS_DEFAULT && DEFAULTS.has(name) ? DEFAULTS.get(name) : value,
  ])
  return Object.fromEntries(said)
}

function writeNumbers(ask: NeutralAsk, target: AskTarget, own: JsonObject, dropped: Set<string>): JsonObject {
  const written = new Map<string, number>()
  for (const [name, field] of NUMBERS) {
    const value = ask[field]
    if (value === undefined || field === 'outputCap') continue
    const isUnknown = field === 'topK' && !Object.hasOwn(own, name)
    const isForbidden = STEERS.has(field) && ALWAYS_THINKS.test(target.model)
    if (isUnknown || isForbidden) dropped.add(field)
    else written.set(name, value)
  }
  if ((ask.temperature ?? 0) > MOST_TEMPERATURE && written.has('temperature')) {
    written.set('temperature', MOST_TEMPERATURE)
    dropped.add('temperature')
  }
  if (ask.outputCap !== undefined) written.set(target.capField, ask.outputCap)
  return Object.fromEntries(written)
}

function writeStop(stop: readonly string[], own: JsonObject): unknown {
  if (own.stop === '' && stop.length === 1) return stop[0]
  if (stop.length > MOST_STOPS && own.stop === undefined)
    throw unsupported('stop', `At most ${MOST_STOPS} stop sequences can be sent to this model.`)
  return stop
}
