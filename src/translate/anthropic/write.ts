// Anthropic request writer: writes a chat request as the body of POST /v1/messages.

import type { ChatRequest, DialectTool, JsonObject, OutputFormat, ToolChoice, ToolDefinition } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { unsupportedPartOrTool, writeExtras } from '../dialect-fields.ts'
import { type RequestTarget, unsupported, type WrittenRequest } from '../translator.ts'
import { ANTHROPIC_EXTRAS, cacheControl, DIALECT, optionalField } from './dialect-fields.ts'
import { isForced, samplingOf, supportsStrictTools, thinkingOf } from './models.ts'
import { writeMessages } from './write-parts.ts'

const UNSUPPORTED_HINTS = ['seed', 'frequencyPenalty', 'presencePenalty'] as const

/** Throws Problem `unsupported` for what Anthropic models cannot do. */
export function writeRequest(request: ChatRequest, target: RequestTarget): WrittenRequest {
  const dropped = new Set<string>()
  for (const name of UNSUPPORTED_HINTS) if (request[name] !== undefined) dropped.add(name)
  if ((request.answers ?? 1) > 1)
    throw unsupported('answers', 'Anthropic models return one choice per call. Send one call for each choice.')
  const extras = writeExtras(request.extras, ANTHROPIC_EXTRAS, dropped)
  const cap = request.outputCap ?? target.defaultCap
  const { thinking, effort, isDropped } = thinkingOf(request, target.model, cap)
  if (isDropped) dropped.add('reasoning')
  const isThinking = thinking !== undefined && thinking.type !== 'disabled'
  const written = {
    model: target.model,
    max_tokens: cap,
    ...optionalField('stream', request.stream ? true : undefined),
    ...writeMessages(request.messages, dropped),
    ...writeTools(request, target, dropped),
    ...samplingOf(request, target.model, isThinking, dropped),
    ...optionalField('stop_sequences', stopSequencesOf(request.stop)),
    ...optionalField('thinking', thinking),
    ...nonEmptyField('output_config', {
      ...optionalField('effort', effort),
      ...optionalField('format', formatOf(request.format)),
    }),
    ...nonEmptyField('metadata', optionalField('user_id', request.user)),
    ...cacheControl(request.cache),
  }
  return { body: restoreExtras(extras, written), dropped: [...dropped] }
}

/** A member to spread into an object; `{}` if the value has no fields. */
function nonEmptyField(name: string, value: JsonObject): JsonObject {
  return Object.keys(value).length > 0 ? { [name]: value } : {}
}

const PARENT_FIELDS = new Set(['thinking', 'output_config', 'metadata'])

/** Puts extras back beside the written fields, or inside one of them: `thinking.display`. A `thinking` of null stays absent. */
function restoreExtras(extras: JsonObject, written: JsonObject): JsonObject {
  const { 'anthropic-beta': _, thinking, ...fields } = extras
  const top = Object.entries(fields).filter(([name]) => !PARENT_FIELDS.has(parentOf(name)))
  let body: JsonObject = {
    ...(thinking === null ? {} : optionalField('thinking', thinking)),
    ...Object.fromEntries(top),
    ...written,
  }
  for (const [name, value] of Object.entries(fields)) {
    const parent = parentOf(name)
    // Without thinking, the details of thinking are left out too.
    if (!PARENT_FIELDS.has(parent) || (parent === 'thinking' && body.thinking === undefined)) continue
    body = { ...body, [parent]: { ...recordOf(body[parent]), [name.slice(parent.length + 1)]: value } }
  }
  return body
}

function parentOf(name: string): string {
  const dot = name.indexOf('.')
  return dot < 0 ? '' : name.slice(0, dot)
}

function writeTools(request: ChatRequest, target: RequestTarget, dropped: Set<string>): JsonObject {
  const { toolChoice, parallelTools } = request
  const tools = selectTools(request.tools ?? [], toolChoice)
  if (tools.length === 0) {
    if (isForced(toolChoice)) throw invalidField('tools', 'must hold the tools that tool_choice requires')
    return {}
  }
  const choice = choiceOf(toolChoice, parallelTools)
  return { tools: tools.map((tool) => writeTool(tool, target, dropped)), ...optionalField('tool_choice', choice) }
}

/** `tool_choice` can name one tool. If several tools are allowed, only these are sent. */
function selectTools(
  tools: readonly (ToolDefinition | DialectTool)[],
  choice: ToolChoice | undefined,
): readonly (ToolDefinition | DialectTool)[] {
  if (choice?.kind !== 'tools' || isSingleTool(choice)) return tools
  const names = new Set(choice.names)
  return tools.filter((tool) => names.has(nameOf(tool)))
}

function nameOf(tool: ToolDefinition | DialectTool): string {
  return tool.kind === 'dialect' && typeof tool.value.name === 'string' ? tool.value.name : tool.name
}

function isSingleTool(choice: { readonly names: readonly string[]; readonly required: boolean }): boolean {
  return choice.required && choice.names.length === 1
}

/** Undefined if the choice is the default for a request with tools. */
function choiceOf(choice: ToolChoice | undefined, parallel: boolean | undefined): JsonObject | undefined {
  if (!choice && parallel !== false) return undefined
  if (choice?.kind === 'none') return { type: 'none' }
  const disablesParallel = optionalField('disable_parallel_tool_use', parallel === undefined ? undefined : !parallel)
  if (choice?.kind === 'tools' && isSingleTool(choice))
    return { type: 'tool', name: choice.names[0], ...disablesParallel }
  return { type: isForced(choice) ? 'any' : 'auto', ...disablesParallel }
}

function writeTool(tool: ToolDefinition | DialectTool, target: RequestTarget, dropped: Set<string>): JsonObject {
  if (tool.kind === 'dialect') {
    if (tool.dialect !== DIALECT) throw unsupportedPartOrTool(tool)
    return tool.value
  }
  const canBeStrict = supportsStrictTools(target.model)
  if (tool.strict && !canBeStrict) dropped.add('strict')
  return {
    ...writeExtras(tool.extras, ANTHROPIC_EXTRAS, dropped),
    name: tool.name,
    ...optionalField('description', tool.description),
    input_schema: { type: 'object', ...tool.schema },
    ...optionalField('strict', canBeStrict ? tool.strict : undefined),
    ...cacheControl(tool.cache),
  }
}

/** Anthropic refuses blank stop sequences. */
function stopSequencesOf(stop: readonly string[] | undefined): readonly string[] | undefined {
  if (!stop || stop.length === 0) return undefined
  if (stop.some((sequence) => sequence.trim() === '')) {
    throw unsupported(
      'stop',
      'Anthropic models do not support blank stop sequences. Use sequences with visible characters.',
    )
  }
  return stop
}

function formatOf(format: OutputFormat | undefined): JsonObject | undefined {
  if (!format) return undefined
  if (format.kind === 'json') {
    throw unsupported('format', 'Anthropic models do not support JSON output without a schema. Use json_schema.')
  }
  return { type: 'json_schema', schema: format.schema }
}
