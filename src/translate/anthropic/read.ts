// Anthropic request reader: reads the body of POST /v1/messages as a chat request.

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
import { ExtrasDraft } from '../dialect-fields.ts'
import { placed } from '../places.ts'
import { ANTHROPIC_EXTRAS, cacheOf, DIALECT, isEmpty, optionalField } from './dialect-fields.ts'
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

/** Throws Problem `invalid_request`, naming the field, if the body is no request of this dialect. */
export function readRequest(body: JsonObject, line: RequestLine): ChatRequest {
  const { model, messages } = body
  if (typeof model !== 'string' || model === '') throw invalidField('model', 'is required')
  if (!Array.isArray(messages)) throw invalidField('messages', 'must be an array')
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS)
  const fields = presentFields(body, extras)
  extras.keepRest(fields, REQUEST_FIELDS, { hints: REQUEST_HINTS })
  keepRegion(fields.inference_geo, extras)
  keepContextManagement(fields.context_management, extras)
  const betas = line.header('anthropic-beta')
  if (betas) extras.hint('anthropic-beta', betas)
  return {
    model,
    stream: readStream(fields),
    messages: readMessages(fields.system, messages),
    ...optionalField('tools', readTools(fields.tools)),
    ...readToolChoice(fields.tool_choice, extras),
    ...optionalField('format', readFormat(fields, extras)),
    ...optionalField('outputCap', readNumber(fields, 'max_tokens')),
    ...optionalField('temperature', readNumber(fields, 'temperature')),
    ...optionalField('topP', readNumber(fields, 'top_p')),
    ...optionalField('topK', readNumber(fields, 'top_k')),
    ...optionalField('stop', readStopSequences(fields.stop_sequences)),
    ...optionalField('reasoning', readReasoning(fields, extras)),
    ...optionalField('user', readUser(fields.metadata, extras)),
    ...extras.toField(),
  }
}

/** A law can demand that a region processes the data, so a region is a need. `global` is what every other provider does. */
function keepRegion(region: unknown, extras: ExtrasDraft): void {
  if (region === 'global') extras.hint('inference_geo', region)
  else if (region !== undefined) extras.keep('inference_geo', region)
}

/** A hint if the edits leave the whole context in place, as those of Claude Code do. */
function keepContextManagement(management: unknown, extras: ExtrasDraft): void {
  if (management === undefined) return
  const { edits, ...rest } = recordOf(management)
  const keepsAll = Array.isArray(edits) && isEmpty(rest) && edits.every(isHarmless)
  if (keepsAll) extras.hint('context_management', management)
  else extras.keep('context_management', management)
}

/** Thoughts are sent back to their own provider only, so elsewhere there is nothing of them to clear. */
function isHarmless(edit: unknown): boolean {
  const { type, keep } = recordOf(edit)
  return keep === 'all' || (typeof type === 'string' && type.startsWith('clear_thinking'))
}

/** The fields that request something. The empty ones become hints. */
function presentFields(body: JsonObject, extras: ExtrasDraft): JsonObject {
  const fields = Object.entries(body).filter(([name]) => name !== 'model' && name !== 'messages')
  for (const [name, value] of fields) if (isEmpty(value)) extras.hint(name, value)
  return Object.fromEntries(fields.filter(([, value]) => !isEmpty(value)))
}

function readMessages(system: unknown, messages: readonly unknown[]): ChatMessage[] {
  const names: ToolNames = new Map()
  const first = system === undefined ? [] : [readSystem(system)]
  return [...first, ...messages.map((message, index) => readMessage(message, `messages[${index}]`, names))]
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
  return tools.map((tool, index) => placedTool(tool, `tools[${index}]`))
}

function placedTool(tool: unknown, path: string): ToolDefinition | DialectTool {
  return placed(readTool(tool, path), path)
}

function readTool(tool: unknown, path: string): ToolDefinition | DialectTool {
  if (!isRecord(tool)) throw invalidField(path, 'must be an object')
  const { name, type, description, input_schema: schema, strict, cache_control: control } = tool
  if (typeof type === 'string' && type !== '' && type !== 'custom') {
    // Other providers get every tool with the request, so nothing needs to be searched for.
    const isHint = type.startsWith('tool_search_tool')
    return { kind: 'dialect', dialect: DIALECT, name: type, value: tool, ...(isHint && { isHint }) }
  }
  if (typeof name !== 'string' || name === '') throw invalidField(`${path}.name`, 'is required')
  if (schema !== undefined && !isRecord(schema)) throw invalidField(`${path}.input_schema`, 'must be an object')
  const extras = new ExtrasDraft(ANTHROPIC_EXTRAS, path)
  extras.keepRest(tool, TOOL_FIELDS, { hints: TOOL_HINTS })
  readCallers(tool.allowed_callers, extras)
  const cache = cacheOf(control)
  if (!isEmpty(control) && cache === undefined) extras.hint('cache_control', control)
  return {
    kind: 'function',
    name,
    ...(typeof description === 'string' ? { description } : {}),
    ...optionalField('schema', schema),
    ...(typeof strict === 'boolean' ? { strict } : {}),
    ...optionalField('cache', cache),
    ...extras.toField(),
  }
}

/** `direct` callers are the model, as in every dialect. Other callers are code that runs at Anthropic only. */
function readCallers(callers: unknown, extras: ExtrasDraft): void {
  if (callers === undefined || callers === null) return
  const isDirect = Array.isArray(callers) && callers.every((caller) => caller === 'direct')
  if (isDirect) extras.hint('allowed_callers', callers)
  else extras.keep('allowed_callers', callers)
}

const CHOICES: Readonly<Record<string, ToolChoice>> = {
  auto: { kind: 'auto' },
  any: { kind: 'required' },
  none: { kind: 'none' },
}

/** A choice with unknown fields is kept as it is. */
function readToolChoice(value: unknown, extras: ExtrasDraft): Pick<ChatRequest, 'toolChoice' | 'parallelTools'> {
  if (value === undefined) return {}
  const { type, name, disable_parallel_tool_use: disablesParallel, ...rest } = recordOf(value)
  const toolChoice = choiceOf(type, name)
  if (toolChoice && Object.keys(rest).length === 0) {
    return typeof disablesParallel === 'boolean' ? { toolChoice, parallelTools: !disablesParallel } : { toolChoice }
  }
  extras.keep('tool_choice', value)
  return {}
}

function choiceOf(type: unknown, name: unknown): ToolChoice | undefined {
  if (type === 'tool') return typeof name === 'string' ? { kind: 'tools', names: [name], required: true } : undefined
  return typeof type === 'string' && Object.hasOwn(CHOICES, type) ? CHOICES[type] : undefined
}

const OUTPUT_FIELDS = new Set(['effort', 'format'])
const OUTPUT_PREFIX = 'output_config.'
const OUTPUT_HINTS = new Set(['output_config.task_budget'])

/** `output_format` is the older name of `output_config.format`. */
function readFormat(fields: JsonObject, extras: ExtrasDraft): OutputFormat | undefined {
  const config = fields.output_config ?? {}
  if (!isRecord(config)) throw invalidField('output_config', 'must be an object')
  extras.keepRest(config, OUTPUT_FIELDS, { hints: OUTPUT_HINTS, prefix: OUTPUT_PREFIX })
  const newer = config.format ?? undefined
  const older = fields.output_format
  if (newer !== undefined && older !== undefined) extras.keep('output_format', older)
  const value = newer ?? older
  if (value === undefined) return undefined
  const { type, schema, ...rest } = recordOf(value)
  if (type === 'json_schema' && isRecord(schema) && Object.keys(rest).length === 0) return { kind: 'schema', schema }
  extras.keep(newer === undefined ? 'output_format' : 'output_config.format', value)
  return undefined
}

const THINKING_FIELDS = new Set(['type', 'budget_tokens', 'display'])

/** What `Reasoning` cannot express is a hint: no call is refused because of its thinking. */
function readReasoning(fields: JsonObject, extras: ExtrasDraft): Reasoning | undefined {
  const { effort: word } = recordOf(fields.output_config)
  const effort = EFFORTS.find((known) => known === word && known !== 'none')
  if (!isEmpty(word) && effort === undefined) extras.hint('output_config.effort', word)
  const reasoning = effort === undefined ? undefined : { effort }
  const thinking = recordOf(fields.thinking)
  if (thinking.type === 'disabled') {
    if (effort !== undefined) extras.hint('output_config.effort', effort)
    return { effort: 'none' }
  }
  const amount = amountOf(thinking)
  if (!amount) {
    // Null if the field was absent, so that a request with an effort alone is restored without it.
    if (reasoning || fields.thinking !== undefined) extras.hint('thinking', fields.thinking ?? null)
    return reasoning
  }
  for (const [name, value] of Object.entries(thinking)) {
    if (!THINKING_FIELDS.has(name)) extras.hint(`thinking.${name}`, value)
  }
  return { ...reasoning, ...amount, ...optionalField('shown', readDisplay(thinking.display, extras)) }
}

const SHOWN_BY_DISPLAY: ReadonlyMap<unknown, boolean> = new Map([
  ['summarized', true],
  ['omitted', false],
])

function readDisplay(display: unknown, extras: ExtrasDraft): boolean | undefined {
  const shown = SHOWN_BY_DISPLAY.get(display)
  if (display !== undefined && shown === undefined) extras.hint('thinking.display', display)
  return shown
}

function amountOf({ type, budget_tokens: budget }: JsonObject): Reasoning | undefined {
  if (type === 'adaptive') return { dynamic: true }
  return type === 'enabled' && typeof budget === 'number' && budget > 0 ? { budgetTokens: budget } : undefined
}

function readStopSequences(stop: unknown): string[] | undefined {
  if (stop === undefined) return undefined
  if (!Array.isArray(stop)) throw invalidField('stop_sequences', 'must be an array')
  return stop.map((sequence) => {
    if (typeof sequence !== 'string') throw invalidField('stop_sequences', 'must hold strings only')
    return sequence
  })
}

function readUser(metadata: unknown, extras: ExtrasDraft): string | undefined {
  if (metadata === undefined) return undefined
  if (!isRecord(metadata)) throw invalidField('metadata', 'must be an object')
  const { user_id: user, ...rest } = metadata
  for (const [name, value] of Object.entries(rest)) extras.hint(`metadata.${name}`, value)
  if (typeof user === 'string') return user
  if (user !== undefined) extras.hint('metadata.user_id', user)
  return undefined
}

function readNumber(fields: JsonObject, name: string): number | undefined {
  const value = fields[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !(value >= 0)) throw invalidField(name, 'must be a number of at least 0')
  return value
}

function readStream(fields: JsonObject): boolean {
  const { stream = false } = fields
  if (typeof stream !== 'boolean') throw invalidField('stream', 'must be true or false')
  return stream
}
