// The simulated provider's tool calls and formats: which tools and which schema a request brings, in any chat dialect.

import { isRecord, recordOf } from '../../core/json-values.ts'
import { instanceOf, type Told } from './instance.ts'
import type { Asked, Call } from './shape.ts'

const MOST_CALLS = 128

interface Tool {
  readonly name: string
  readonly schema: unknown
}

/** Calls a request gets instead of text: of the tool it forces or else its first, or of many in turn. None where it has results. */
export function callsFor(asked: Asked, told: Told, wanted: number, id: string): readonly Call[] {
  const tools = toolsIn(asked)
  const choice = choiceIn(asked)
  const allowed = tools.filter(({ name }) => choice.names === undefined || choice.names.includes(name))
  if (choice.none || allowed.length === 0 || hasResults(asked)) return []
  const single = asked.parallel_tool_calls === false || recordOf(asked.tool_choice).disable_parallel_tool_use === true
  const count = single ? 1 : Math.min(Math.max(wanted, 1), MOST_CALLS)
  return Array.from({ length: count }, (_, at) => {
    const { name, schema } = allowed[at % allowed.length] ?? { name: '', schema: {} }
    const made = instanceOf(schema ?? {}, told)
    return { id: `${id}_${at}`, name, arguments: isRecord(made) ? made : {} }
  })
}

/** The text a request wants in place of words: JSON of its schema, or of none in particular. Undefined where words will do. */
export function jsonFor(asked: Asked, told: Told): string | undefined {
  const format = formatIn(asked)
  if (format === undefined) return undefined
  const made = instanceOf(format, told)
  return JSON.stringify(made)
}

function toolsIn({ tools }: Asked): Tool[] {
  return list(tools).flatMap((tool) => {
    const declared = list(tool.functionDeclarations ?? tool.function_declarations)
    if (declared.length > 0) return declared.map((one) => toolOf(one, one.parametersJsonSchema ?? one.parameters))
    if (isRecord(tool.function)) return [toolOf(tool.function, tool.function.parameters)]
    if (tool.type === undefined || tool.type === 'custom') return [toolOf(tool, tool.input_schema)]
    return []
  })
}

function toolOf({ name }: Asked, schema: unknown): Tool {
  return { name: typeof name === 'string' ? name : '', schema }
}

interface Choice {
  readonly none: boolean
  /** The only ones that may be called. */
  readonly names?: readonly unknown[]
}

function choiceIn({ tool_choice, toolConfig, tool_config }: Asked): Choice {
  if (typeof tool_choice === 'string') return { none: tool_choice === 'none' }
  if (isRecord(tool_choice)) return chosen(tool_choice)
  const config = recordOf(toolConfig ?? tool_config)
  const { mode, allowedFunctionNames } = recordOf(config.functionCallingConfig ?? config.function_calling_config)
  const names =
    Array.isArray(allowedFunctionNames) && allowedFunctionNames.length > 0 ? allowedFunctionNames : undefined
  return { none: mode === 'NONE', ...(names === undefined ? {} : { names }) }
}

function chosen(choice: Asked): Choice {
  if (choice.type === 'none') return { none: true }
  if (choice.type === 'allowed_tools')
    return {
      none: false,
      names: list(recordOf(choice.allowed_tools).tools).map((tool) => recordOf(tool.function).name),
    }
  const name = recordOf(choice.function).name ?? choice.name
  return { none: false, ...(name === undefined ? {} : { names: [name] }) }
}

function hasResults({ messages, contents }: Asked): boolean {
  return list(messages ?? contents).some(
    ({ role, content, parts }) =>
      role === 'tool' ||
      role === 'function' ||
      list(content).some(({ type }) => type === 'tool_result') ||
      list(parts).some((part) => isRecord(part.functionResponse ?? part.function_response)),
  )
}

/** The schema of the answer; an empty object's where any JSON will do. */
function formatIn(asked: Asked): unknown {
  const formats = [
    asked.response_format,
    recordOf(asked.output_config).format,
    asked.output_format,
    recordOf(asked.text).format,
  ]
  const format = recordOf(formats.find(isRecord))
  if (format.type === 'json_schema') return recordOf(format.json_schema).schema ?? format.schema ?? {}
  if (format.type === 'json_object') return ANY_JSON
  const config = recordOf(asked.generationConfig ?? asked.generation_config)
  if (config.responseMimeType !== 'application/json') return undefined
  return config.responseJsonSchema ?? config._responseJsonSchema ?? config.responseSchema ?? ANY_JSON
}

const ANY_JSON = { type: 'object', properties: { answer: { type: 'string' } } }

function list(value: unknown): Asked[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}
