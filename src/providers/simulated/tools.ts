// The simulated provider's tool calls and structured answers: which tools and which schema a request has, in any chat dialect.

import { isRecord, recordOf } from '../../core/json-values.ts'
import type { RequestBody, ToolCall } from './answer-format.ts'
import { instanceOf, type Prompt } from './instance.ts'

const MAX_CALLS = 128

interface Tool {
  readonly name: string
  readonly schema: unknown
}

/**
 * The calls that answer a request in place of text: of the tool that it forces, otherwise of its first, or of its tools in turn.
 * None if the request has results.
 */
export function callsFor(request: RequestBody, prompt: Prompt, wanted: number, id: string): readonly ToolCall[] {
  const tools = toolsIn(request)
  const choice = choiceIn(request)
  const allowed = tools.filter(({ name }) => choice.names === undefined || choice.names.includes(name))
  if (choice.isForbidden || allowed.length === 0 || hasResults(request)) return []
  const single =
    request.parallel_tool_calls === false || recordOf(request.tool_choice).disable_parallel_tool_use === true
  const count = single ? 1 : Math.min(Math.max(wanted, 1), MAX_CALLS)
  return Array.from({ length: count }, (_, index) => {
    const { name, schema } = allowed[index % allowed.length] ?? { name: '', schema: {} }
    const made = instanceOf(schema ?? {}, prompt)
    return { id: `${id}_${index}`, name, arguments: isRecord(made) ? made : {} }
  })
}

/** JSON that answers a request which wants JSON, of its schema if it has one. Undefined if the request wants text. */
export function jsonFor(request: RequestBody, prompt: Prompt): string | undefined {
  const format = formatIn(request)
  if (format === undefined) return undefined
  return JSON.stringify(instanceOf(format, prompt))
}

function toolsIn({ tools }: RequestBody): Tool[] {
  return recordsIn(tools).flatMap((tool) => {
    const declared = recordsIn(tool.functionDeclarations ?? tool.function_declarations)
    if (declared.length > 0)
      return declared.map((declaration) =>
        toolOf(declaration, declaration.parametersJsonSchema ?? declaration.parameters),
      )
    if (isRecord(tool.function)) return [toolOf(tool.function, tool.function.parameters)]
    // OpenAI's Responses declare a function in place.
    if (tool.type === 'function') return [toolOf(tool, tool.parameters)]
    if (tool.type === undefined || tool.type === 'custom') return [toolOf(tool, tool.input_schema)]
    return []
  })
}

function toolOf({ name }: RequestBody, schema: unknown): Tool {
  return { name: typeof name === 'string' ? name : '', schema }
}

interface ToolSelection {
  readonly isForbidden: boolean
  /** The only tools that may be called; absent if all may. */
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
      names: recordsIn(recordOf(choice.allowed_tools).tools ?? choice.tools).map(
        (tool) => recordOf(tool.function).name ?? tool.name,
      ),
    }
  const name = recordOf(choice.function).name ?? choice.name
  return { isForbidden: false, ...(name === undefined ? {} : { names: [name] }) }
}

function hasResults({ messages, contents, input }: RequestBody): boolean {
  return recordsIn(messages ?? contents ?? input).some(
    ({ role, type: itemType, content, parts }) =>
      itemType === 'function_call_output' ||
      role === 'tool' ||
      role === 'function' ||
      recordsIn(content).some(({ type }) => type === 'tool_result') ||
      recordsIn(parts).some((part) => isRecord(part.functionResponse ?? part.function_response)),
  )
}

/** The schema of the answer; ANY_OBJECT_SCHEMA if any JSON will do; undefined if the request wants text. */
function formatIn(request: RequestBody): unknown {
  const formats = [
    request.response_format,
    recordOf(request.output_config).format,
    request.output_format,
    recordOf(request.text).format,
  ]
  const format = recordOf(formats.find(isRecord))
  if (format.type === 'json_schema') return recordOf(format.json_schema).schema ?? format.schema ?? {}
  if (format.type === 'json_object') return ANY_OBJECT_SCHEMA
  const config = recordOf(request.generationConfig ?? request.generation_config)
  if (config.responseMimeType !== 'application/json') return undefined
  return config.responseJsonSchema ?? config._responseJsonSchema ?? config.responseSchema ?? ANY_OBJECT_SCHEMA
}

const ANY_OBJECT_SCHEMA = { type: 'object', properties: { answer: { type: 'string' } } }

function recordsIn(value: unknown): RequestBody[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}
