// The simulated provider's tool calls and formats: which tools and which schema a request brings, in any chat dialect.

import { isRecord, recordOf } from '../../core/json-values.ts'
import type { RequestBody, ToolCall } from './answer-format.ts'
import { instanceOf, type Prompt } from './instance.ts'

const MAX_CALLS = 128

interface Tool {
  readonly name: string
  readonly schema: unknown
}

/** Calls a request gets instead of text: of the tool it forces or else its first, or of many in turn. None where it has results. */
export function callsFor(asked: RequestBody, told: Prompt, wanted: number, id: string): readonly ToolCall[] {
  const tools = toolsIn(asked)
  const choice = choiceIn(asked)
  const allowed = tools.filter(({ name }) => choice.names === undefined || choice.names.includes(name))
  if (choice.isForbidden || allowed.length === 0 || hasResults(asked)) return []
  const single = asked.parallel_tool_calls === false || recordOf(asked.tool_choice).disable_parallel_tool_use === true
  const count = single ? 1 : Math.min(Math.max(wanted, 1), MAX_CALLS)
  return Array.from({ length: count }, (_, at) => {
    const { name, schema } = allowed[at % allowed.length] ?? { name: '', schema: {} }
    const made = instanceOf(schema ?? {}, told)
    return { id: `${id}_${at}`, name, arguments: isRecord(made) ? made : {} }
  })
}

/** The text a request wants in place of words: JSON of its schema, or of none in particular. Undefined where words will do. */
export function jsonFor(asked: RequestBody, told: Prompt): string | undefined {
  const format = formatIn(asked)
  if (format === undefined) return undefined
  const made = instanceOf(format, told)
  return JSON.stringify(made)
}

function toolsIn({ tools }: RequestBody): Tool[] {
  return recordsIn(tools).flatMap((tool) => {
    const declared = recordsIn(tool.functionDeclarations ?? tool.function_declarations)
    if (declared.length > 0) return declared.map((one) => toolOf(one, one.parametersJsonSchema ?? one.parameters))
    if (isRecord(tool.function)) return [toolOf(tool.function, tool.function.parameters)]
    if (tool.type === undefined || tool.type === 'custom') return [toolOf(tool, tool.input_schema)]
    return []
  })
}

function toolOf({ name }: RequestBody, schema: unknown): Tool {
  return { name: typeof name === 'string' ? name : '', schema }
}

interface ToolSelection {
  readonly isForbidden: boolean
  /** The only ones that may be called. */
  readonly names?: readonly unknown[]
}

function choiceIn({ tool_choice, toolConfig, tool_config }: RequestBody): ToolSelection {
  if (typeof tool_choice === 'string') return { isForbidden: tool_choice === 'none' }
  if (isRecord(tool_choice)) return parseToolChoice(tool_choice)
  const config = recordOf(toolConfig ?? tool_config)
  const { mode, allowedFunctionNames } = recordOf(config.functionCallingConfig ?? config.function_calling_config)
  const names =
    Array.isArray(allowedFunctionNames) && allowedFunctionNames.length > 0 ? allowedFunctionNames : undefined
  return { isForbidden: mode === 'NONE', ...(names === undefined ? {} : { names }) }
}

function parseToolChoice(choice: RequestBody): ToolSelection {
  if (choice.type === 'none') return { isForbidden: true }
  if (choice.type === 'allowed_tools')
    return {
      isForbidden: false,
      names: recordsIn(recordOf(choice.allowed_tools).tools).map((tool) => recordOf(tool.function).name),
    }
  const name = recordOf(choice.function).name ?? choice.name
  return { isForbidden: false, ...(name === undefined ? {} : { names: [name] }) }
}

function hasResults({ messages, contents }: RequestBody): boolean {
  return recordsIn(messages ?? contents).some(
    ({ role, content, parts }) =>
      role === 'tool' ||
      role === 'function' ||
      recordsIn(content).some(({ type }) => type === 'tool_result') ||
      recordsIn(parts).some((part) => isRecord(part.functionResponse ?? part.function_response)),
  )
}

/** The schema of the answer; an empty object's where any JSON will do. */
function formatIn(asked: RequestBody): unknown {
  const formats = [
    asked.response_format,
    recordOf(asked.output_config).format,
    asked.output_format,
    recordOf(asked.text).format,
  ]
  const format = recordOf(formats.find(isRecord))
  if (format.type === 'json_schema') return recordOf(format.json_schema).schema ?? format.schema ?? {}
  if (format.type === 'json_object') return ANY_OBJECT_SCHEMA
  const config = recordOf(asked.generationConfig ?? asked.generation_config)
  if (config.responseMimeType !== 'application/json') return undefined
  return config.responseJsonSchema ?? config._responseJsonSchema ?? config.responseSchema ?? ANY_OBJECT_SCHEMA
}

const ANY_OBJECT_SCHEMA = { type: 'object', properties: { answer: { type: 'string' } } }

function recordsIn(value: unknown): RequestBody[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}
