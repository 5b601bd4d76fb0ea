// Anthropic requests, read: what a body asks for, in neutral words.

import {
  type ChatMessage,
  type ChatRequest,
  type DialectTool,
  EFFORTS,
  type JsonObject,
  type OutputFormat,
  type Reasoning,
  type ToolChoice,
  type ToolDefinition,
} from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import type { RequestLine } from '../../wire/dialect.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { cacheOf, DIALECT, ExtrasDraft, isEmpty, optionalField } from './dialect-fields.ts'
import { readMessage, readSystem, type ToolNames } from './read-parts.ts'

const REQUEST_FIELDS = new Set([
  'model',
  'messages',
  'system',
  'max_tokens',
  'stream',
  'tools',
  'tool_choice',
  'stop_sequences',
  'temperature',
  'top_p',
  'top_k',
  'thinking',
  'output_config',
  'output_format',
  'metadata',
  'inference_geo',
  'context_management',
])
const REQUEST_HINTS = new Set([
  'cache_control',
  'service_tier',
  'speed',
  'diagnostics',
  'anthropic_version',
  'anthropic_beta',
  'betas',
])

/** Throws Problem `invalid_request`, naming the field. */
export function readRequest(body: JsonObject, line: RequestLine): ChatRequest {
  const { model, messages } = body
  if (typeof model !== 'string' || model === '') throw invalidField('model', 'is required')
  if (!Array.isArray(messages)) throw invalidField('messages', 'must be an array')
  const kept = new ExtrasDraft()
  const said = presentFields(body, kept)
  kept.keepRest(said, REQUEST_FIELDS, REQUEST_HINTS)
  // Where it is thought may be law; anywhere is what every other provider offers.
  if (said.inference_geo === 'global') kept.hint('inference_geo', 'global')
  else if (said.inference_geo !== undefined) kept.need('inference_geo', said.inference_geo)
  if (said.context_management !== undefined)
    kept[keepsAllContext(said.context_management) ? 'hint' : 'need']('context_management', said.context_management)
  const betas = line.header('anthropic-beta')
  if (betas) kept.hint('anthropic-beta', betas)
  return {
    model,
    stream: readStream(said),
    messages: readMessages(said.system, messages),
    ...optionalField('tools', readTools(said.tools)),
    ...readToolChoice(said.tool_choice, kept),
    ...optionalField('format', readFormat(said, kept)),
    ...optionalField('outputCap', readNumber(said, 'max_tokens')),
    ...optionalField('temperature', readNumber(said, 'temperature')),
    ...optionalField('topP', readNumber(said, 'top_p')),
    ...optionalField('topK', readNumber(said, 'top_k')),
    ...optionalField('stop', readStopSequences(said.stop_sequences)),
    ...optionalField('reasoning', readReasoning(said, kept)),
    ...optionalField('user', readUser(said.metadata, kept)),
    ...kept.toField(),
  }
}

/** Edits of the context that leave all of it there, as Claude Code asks for. */
function keepsAllContext(management: unknown): boolean {
  const { edits, ...more } = recordOf(management)
  return Array.isArray(edits) && isEmpty(more) && edits.every((edit) => recordOf(edit).keep === 'all')
}

/** The fields that say anything; the others are kept. */
function presentFields(body: JsonObject, kept: ExtrasDraft): JsonObject {
  const fields = Object.entries(body).filter(([name]) => name !== 'model' && name !== 'messages')
  for (const [name, value] of fields) if (isEmpty(value)) kept.hint(name, value)
  return Object.fromEntries(fields.filter(([, value]) => !isEmpty(value)))
}

function readMessages(system: unknown, messages: readonly unknown[]): ChatMessage[] {
  const names: ToolNames = new Map()
  const first = system === undefined ? [] : [readSystem(system)]
  return [...first, ...messages.map((message) => readMessage(message, names))]
}

const TOOL_FIELDS = new Set([
  'name',
  'type',
  'description',
  'input_schema',
  'strict',
  'cache_control',
  'allowed_callers',
])
const TOOL_HINTS = new Set(['eager_input_streaming', 'defer_loading', 'input_examples'])

function readTools(tools: unknown): (ToolDefinition | DialectTool)[] | undefined {
  if (tools === undefined) return undefined
  if (!Array.isArray(tools)) throw invalidField('tools', 'must be an array')
  return tools.map(readTool)
}

function readTool(tool: unknown): ToolDefinition | DialectTool {
  if (!isRecord(tool)) throw invalidField('tools', 'must hold objects')
  const { name, type, description, input_schema: schema, strict, cache_control: control } = tool
  if (typeof type === 'string' && type !== '' && type !== 'custom') {
    return { kind: 'own', dialect: DIALECT, name: type, value: tool }
  }
  if (typeof name !== 'string' || name === '') throw invalidField('tools', 'must have a name each')
  if (schema !== undefined && !isRecord(schema)) throw invalidField('tools', 'must have objects as input_schema')
  const kept = new ExtrasDraft()
  kept.keepRest(tool, TOOL_FIELDS, TOOL_HINTS)
  readCallers(tool.allowed_callers, kept)
  const cache = cacheOf(control)
  if (!isEmpty(control) && cache === undefined) kept.hint('cache_control', control)
  return {
    kind: 'function',
    name,
    ...(typeof description === 'string' ? { description } : {}),
    ...optionalField('schema', schema),
    ...(typeof strict === 'boolean' ? { strict } : {}),
    ...optionalField('cache', cache),
    ...kept.toField(),
  }
}

/** Who may call a tool: the model itself, as everywhere, or code that runs at the provider. */
function readCallers(callers: unknown, kept: ExtrasDraft): void {
  if (callers === undefined || callers === null) return
  const isDirect = Array.isArray(callers) && callers.every((caller) => caller === 'direct')
  if (isDirect) kept.hint('allowed_callers', callers)
  else kept.need('allowed_callers', callers)
}

const CHOICES: Readonly<Record<string, ToolChoice>> = {
  auto: { kind: 'auto' },
  any: { kind: 'required' },
  none: { kind: 'none' },
}

/** A choice that is not known in full is kept as it is. */
function readToolChoice(value: unknown, kept: ExtrasDraft): Pick<ChatRequest, 'toolChoice' | 'parallelTools'> {
  if (value === undefined) return {}
  const { type, name, disable_parallel_tool_use: alone, ...more } = recordOf(value)
  const toolChoice = choiceOf(type, name)
  if (toolChoice && Object.keys(more).length === 0) {
    return typeof alone === 'boolean' ? { toolChoice, parallelTools: !alone } : { toolChoice }
  }
  kept.need('tool_choice', value)
  return {}
}

function choiceOf(type: unknown, name: unknown): ToolChoice | undefined {
  if (type === 'tool') return typeof name === 'string' ? { kind: 'tools', names: [name], required: true } : undefined
  return typeof type === 'string' && Object.hasOwn(CHOICES, type) ? CHOICES[type] : undefined
}

const OUTPUT_FIELDS = new Set(['effort', 'format'])
const OUTPUT_HINTS = new Set(['task_budget'])

/** `output_format` is its older name. */
function readFormat(said: JsonObject, kept: ExtrasDraft): OutputFormat | undefined {
  const config = said.output_config ?? {}
  if (!isRecord(config)) throw invalidField('output_config', 'must be an object')
  kept.keepRest(config, OUTPUT_FIELDS, OUTPUT_HINTS, 'output_config.')
  const newer = config.format ?? undefined
  const older = said.output_format
  if (newer !== undefined && older !== undefined) kept.need('output_format', older)
  const value = newer ?? older
  if (value === undefined) return undefined
  const { type, schema, ...more } = recordOf(value)
  if (type === 'json_schema' && isRecord(schema) && Object.keys(more).length === 0) return { kind: 'schema', schema }
  kept.need(newer === undefined ? 'output_format' : 'output_config.format', value)
  return undefined
}

const THINKING_FIELDS = new Set(['type', 'budget_tokens', 'display'])

/** What neutral words do not tell of thinking is a hint: no call is refused for it. */
function readReasoning(said: JsonObject, kept: ExtrasDraft): Reasoning | undefined {
  const { effort: word } = recordOf(said.output_config)
  const effort = EFFORTS.find((known) => known === word && known !== 'none')
  if (!isEmpty(word) && effort === undefined) kept.hint('output_config.effort', word)
  const told = effort === undefined ? undefined : { effort }
  const thinking = recordOf(said.thinking)
  if (thinking.type === 'disabled') {
    if (effort !== undefined) kept.hint('output_config.effort', effort)
    return { effort: 'none' }
  }
  const amount = amountOf(thinking)
  if (!amount) {
    // Null where there was nothing: effort alone is to stay alone.
    if (told || said.thinking !== undefined) kept.hint('thinking', said.thinking ?? null)
    return told
  }
  const { display } = thinking
  const shown = display === 'summarized' ? true : display === 'omitted' ? false : undefined
  if (display !== undefined && shown === undefined) kept.hint('thinking.display', display)
  for (const [name, value] of Object.entries(thinking)) {
    if (!THINKING_FIELDS.has(name)) kept.hint(`thinking.${name}`, value)
  }
  return { ...told, ...amount, ...optionalField('shown', shown) }
}

function amountOf({ type, budget_tokens: budget }: JsonObject): Reasoning | undefined {
  if (type === 'adaptive') return { dynamic: true }
  return type === 'enabled' && typeof budget === 'number' && budget > 0 ? { budgetTokens: budget } : undefined
}

function readStopSequences(stop: unknown): string[] | undefined {
  if (stop === undefined) return undefined
  if (!Array.isArray(stop)) throw invalidField('stop_sequences', 'must be an array')
  return stop.map((sequence) => {
    if (typeof sequence !== 'string') throw invalidField('stop_sequences', 'must hold strings')
    return sequence
  })
}

function readUser(metadata: unknown, kept: ExtrasDraft): string | undefined {
  if (metadata === undefined) return undefined
  if (!isRecord(metadata)) throw invalidField('metadata', 'must be an object')
  const { user_id: user, ...more } = metadata
  for (const [name, value] of Object.entries(more)) kept.hint(`metadata.${name}`, value)
  if (typeof user === 'string') return user
  if (user !== undefined) kept.hint('metadata.user_id', user)
  return undefined
}

function readNumber(said: JsonObject, name: string): number | undefined {
  const value = said[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !(value >= 0)) throw invalidField(name, 'must be a number that is not negative')
  return value
}

function readStream(said: JsonObject): boolean {
  const { stream = false } = said
  if (typeof stream !== 'boolean') throw invalidField('stream', 'must be true or false')
  return stream
}
