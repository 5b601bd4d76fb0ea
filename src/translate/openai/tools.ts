// OpenAI tools: reads and writes tool definitions, the tool choice and the output format.

import type { DialectTool, JsonObject, OutputFormat, ToolChoice, ToolDefinition } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft, isSameJson, unsupportedPartOrTool, writeExtras } from '../dialect-fields.ts'
import { placed } from '../places.ts'
import { FUNCTION_PREFIX, splitFunctionFields } from './calls.ts'
import { DIALECT, OPENAI_EXTRAS } from './dialect-fields.ts'
import { readCache, writeCache } from './parts.ts'

const TOOL_FIELDS: ReadonlySet<string> = new Set(['type', 'function', 'cache_control'])
/** The types of the function's optional fields, as an error tells them. */
const FUNCTION_FIELD_TYPES: ReadonlyMap<string, string> = new Map([
  ['description', 'a string'],
  ['parameters', 'an object'],
  ['strict', 'true or false'],
])

export function readTool(tool: unknown, path: string): ToolDefinition | DialectTool {
  if (!isRecord(tool)) throw invalidField(path, 'must be an object')
  if (tool.type !== 'function') {
    if (typeof tool.type !== 'string') throw invalidField(`${path}.type`, 'must be a string')
    return placed({ kind: 'dialect', dialect: DIALECT, name: tool.type.slice(0, 64), value: tool }, path)
  }
  const definition = recordOf(tool.function)
  const { name, description, parameters, strict } = definition
  if (typeof name !== 'string') throw invalidField(`${path}.function.name`, 'must be a string')
  const isText = typeof description === 'string'
  const isStrict = typeof strict === 'boolean'
  const extras = new ExtrasDraft(OPENAI_EXTRAS, path).keepRest(tool, TOOL_FIELDS)
  const presentFields = new Set([
    'name',
    isText && 'description',
    isRecord(parameters) && 'parameters',
    isStrict && 'strict',
  ])
  const unreadFields = Object.entries(definition).filter(([field]) => !presentFields.has(field))
  for (const [field, value] of unreadFields) {
    if (FUNCTION_FIELD_TYPES.has(field) && value !== null)
      throw invalidField(`${path}.function.${field}`, `must be ${FUNCTION_FIELD_TYPES.get(field)}`)
    extras.keep(FUNCTION_PREFIX + field, value)
  }
  const read = {
    kind: 'function',
    name,
    ...(isText && { description }),
    ...(isRecord(parameters) && { schema: parameters }),
    ...(isStrict && { strict }),
    ...readCache(tool, extras),
    ...extras.toField(),
  } as const
  return placed(read, path)
}

export function writeTool(tool: ToolDefinition | DialectTool, dropped: Set<string>): JsonObject {
  if (tool.kind === 'dialect') {
    if (tool.dialect !== DIALECT) throw unsupportedPartOrTool(tool)
    return tool.value
  }
  const extras = writeExtras(tool.extras, OPENAI_EXTRAS, dropped)
  const { outer, inner } = splitFunctionFields(extras)
  return {
    ...outer,
    ...writeCache(tool.cache, extras, dropped),
    type: 'function',
    function: {
      ...inner,
      name: tool.name,
      ...(tool.description !== undefined && { description: tool.description }),
      ...(tool.schema !== undefined && { parameters: tool.schema }),
      ...(tool.strict !== undefined && { strict: tool.strict }),
    },
  }
}

/** Undefined if only this dialect has the choice: then it is kept as a need. */
export function readToolChoice(value: unknown, extras: ExtrasDraft): ToolChoice | undefined {
  // Mistral's name for `required`.
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
  const isSingle = choice.required && choice.names.length === 1 && !Array.isArray(extras.tool_choice)
  return isSingle ? namedTool(choice.names[0] ?? '') : allowedTools(choice.names, choice.required)
}

/** Undefined if the writer could not restore the format exactly. */
export function readFormat(value: unknown): OutputFormat | undefined {
  const { type, json_schema: jsonSchema } = recordOf(value)
  if (type === 'json_object') return isSameJson(value, { type }) ? { kind: 'json' } : undefined
  const { name, description, schema, strict } = recordOf(jsonSchema)
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

/** @param defaultName the name of a schema that has none, since OpenAI needs one; undefined to write none */
export function writeFormat(format: OutputFormat, defaultName: string | undefined): JsonObject {
  if (format.kind === 'json') return { type: 'json_object' }
  const { name = defaultName, description, schema, strict } = format
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
