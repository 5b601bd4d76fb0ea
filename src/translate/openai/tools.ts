// OpenAI chat, tools: what may be called, what must be, and what the answer's text is to be, both ways.

import type { DialectTool, JsonObject, OutputFormat, ToolChoice, ToolDefinition } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft, isSameJson, unsupportedExtra, writeExtras } from '../dialect-fields.ts'
import { DIALECT, readCache, writeCache } from './parts.ts'

const TOOL_FIELDS: ReadonlySet<string> = new Set(['type', 'function', 'cache_control'])
const FUNCTION_FIELDS: ReadonlySet<string> = new Set(['name', 'description', 'parameters', 'strict'])
const FUNCTION_PREFIX = 'function.'
const NO_FIELDS: ReadonlySet<string> = new Set()

export function readTool(tool: unknown, place: string): ToolDefinition | DialectTool {
  if (!isRecord(tool)) throw invalidField(place, 'must be an object')
  if (tool.type !== 'function') {
    if (typeof tool.type !== 'string') throw invalidField(`${place}.type`, 'must be a string')
    return { kind: 'own', dialect: DIALECT, name: tool.type.slice(0, 64), value: tool }
  }
  const given = recordOf(tool.function)
  const { name, description, parameters, strict } = given
  if (typeof name !== 'string') throw invalidField(`${place}.function.name`, 'must be a string')
  const isText = typeof description === 'string'
  const isStrict = typeof strict === 'boolean'
  const extras = new ExtrasDraft().keepRest(tool, TOOL_FIELDS, NO_FIELDS)
  const known = new Set(['name', isText && 'description', isRecord(parameters) && 'parameters', isStrict && 'strict'])
  const inner = Object.entries(given).filter(([field]) => !known.has(field))
  for (const [field, value] of inner) {
    if (FUNCTION_FIELDS.has(field) && value !== null)
      throw invalidField(`${place}.function.${field}`, 'is of the wrong type')
    extras.keepRest({ [FUNCTION_PREFIX + field]: value }, NO_FIELDS, NO_FIELDS)
  }
  return {
    kind: 'function',
    name,
    ...(isText && { description }),
    ...(isRecord(parameters) && { schema: parameters }),
    ...(isStrict && { strict }),
    ...readCache(tool, extras),
    ...extras.toField(DIALECT),
  }
}

export function writeTool(tool: ToolDefinition | DialectTool, dropped: Set<string>): JsonObject {
  if (tool.kind === 'own') {
    if (tool.dialect !== DIALECT) throw unsupportedExtra(tool.name)
    return tool.value
  }
  const extras = writeExtras(tool.extras, DIALECT, dropped)
  const [inner, outer] = [new Map<string, unknown>(), new Map<string, unknown>()]
  for (const [name, value] of Object.entries(extras))
    if (name.startsWith(FUNCTION_PREFIX)) inner.set(name.slice(FUNCTION_PREFIX.length), value)
    else outer.set(name, value)
  return {
    ...Object.fromEntries(outer),
    ...writeCache(tool.cache, extras, dropped),
    type: 'function',
    function: {
      ...Object.fromEntries(inner),
      name: tool.name,
      ...(tool.description !== undefined && { description: tool.description }),
      ...(tool.schema !== undefined && { parameters: tool.schema }),
      ...(tool.strict !== undefined && { strict: tool.strict }),
    },
  }
}

/** Undefined for one that only this dialect knows, which is kept as a need. */
export function readToolChoice(value: unknown, extras: ExtrasDraft): ToolChoice | undefined {
  // Mistral's word for it.
  if (value === 'any') return { kind: 'required' }
  if (value === 'auto' || value === 'none' || value === 'required') return { kind: value }
  const [name = ''] = namesIn([value])
  if (isSameJson(value, namedTool(name))) return { kind: 'tools', names: [name], required: true }
  const { mode, tools } = recordOf(recordOf(value).allowed_tools)
  const names = namesIn(tools)
  if (isSameJson(value, allowedTools(names, mode === 'required'))) {
    extras.hint('tool_choice', [])
    return { kind: 'tools', names, required: mode === 'required' }
  }
  extras.need('tool_choice', value)
  return undefined
}

function namesIn(tools: unknown): string[] {
  if (!Array.isArray(tools)) return []
  return tools.map((tool: unknown) => String(recordOf(recordOf(tool).function).name))
}

function namedTool(name: string): JsonObject {
  return { type: 'function', function: { name } }
}

function allowedTools(names: readonly string[], required: boolean): JsonObject {
  const tools = names.map(namedTool)
  return { type: 'allowed_tools', allowed_tools: { mode: required ? 'required' : 'auto', tools } }
}

export function writeToolChoice(choice: ToolChoice, extras: JsonObject): unknown {
  if (choice.kind !== 'tools') return choice.kind
  const isOne = choice.required && choice.names.length === 1 && !Array.isArray(extras.tool_choice)
  return isOne ? namedTool(choice.names[0] ?? '') : allowedTools(choice.names, choice.required)
}

/** Undefined for one that could not be put back as it was. */
export function readFormat(value: unknown): OutputFormat | undefined {
  const { type, json_schema: given } = recordOf(value)
  if (type === 'json_object') return isSameJson(value, { type }) ? { kind: 'json' } : undefined
  const { name, description, schema, strict } = recordOf(given)
  if (!isRecord(schema)) return undefined
  const format: OutputFormat = {
    kind: 'schema',
    schema,
    ...(typeof name === 'string' && { name }),
    ...(typeof description === 'string' && { description }),
    ...(typeof strict === 'boolean' && { strict }),
  }
  return isSameJson(value, writeFormat(format, undefined)) ? format : undefined
}

const ILLEGAL_IN_NAME = /[^a-zA-Z0-9_-]/g
const MAX_NAME_CHARACTERS = 64

/** @param usualName of a schema that has none: OpenAI wants one */
export function writeFormat(format: OutputFormat, usualName: string | undefined): JsonObject {
  if (format.kind === 'json') return { type: 'json_object' }
  const { name = usualName, description, schema, strict } = format
  return {
    type: 'json_schema',
    json_schema: {
      ...(name !== undefined && { name: name.replace(ILLEGAL_IN_NAME, '_').slice(0, MAX_NAME_CHARACTERS) }),
      ...(description !== undefined && { description }),
      schema,
      ...(strict !== undefined && { strict }),
    },
  }
}
