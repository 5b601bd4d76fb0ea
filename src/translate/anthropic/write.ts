// Anthropic requests, written: a neutral ask as a body.

import type { ChatRequest, DialectTool, JsonObject, OutputFormat, ToolChoice, ToolDefinition } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { type RequestTarget, unsupported, type WrittenRequest } from '../translator.ts'
import { cacheControl, DIALECT, optionalField, unsupportedExtra, writeExtras } from './dialect-fields.ts'
import { samplingOf, supportsStrictTools, thinkingOf } from './models.ts'
import { writeMessages } from './write-parts.ts'

const UNSUPPORTED_HINTS = ['seed', 'frequencyPenalty', 'presencePenalty'] as const

export function writeRequest(ask: ChatRequest, target: RequestTarget): WrittenRequest {
  const dropped = new Set<string>()
  for (const name of UNSUPPORTED_HINTS) if (ask[name] !== undefined) dropped.add(name)
  if ((ask.answers ?? 1) > 1) throw unsupported('answers', 'Anthropic models give one answer to a call.')
  const extras = writeExtras(ask.extras, dropped)
  const cap = ask.outputCap ?? target.defaultCap
  const { thinking, effort, isDropped } = thinkingOf(ask, target.model, cap)
  if (isDropped) dropped.add('reasoning')
  const isThinking = thinking !== undefined && thinking.type !== 'disabled'
  const written = {
    model: target.model,
    max_tokens: cap,
    ...optionalField('stream', ask.stream ? true : undefined),
    ...writeMessages(ask.messages, dropped),
    ...writeTools(ask, target, dropped),
    ...samplingOf(ask, target.model, isThinking, dropped),
    ...optionalField('stop_sequences', stopSequencesOf(ask.stop)),
    ...optionalField('thinking', thinking),
    ...nonEmptyField('output_config', {
      ...optionalField('effort', effort),
      ...optionalField('format', formatOf(ask.format)),
    }),
    ...nonEmptyField('metadata', optionalField('user_id', ask.user)),
  }
  return { body: restoreExtras(extras, written), dropped: [...dropped] }
}

/** As a member to spread: nothing, where it would be empty. */
function nonEmptyField(name: string, value: JsonObject): JsonObject {
  return Object.keys(value).length > 0 ? { [name]: value } : {}
}

const PARENT_FIELDS = new Set(['thinking', 'output_config', 'metadata'])

/** Own fields beside the others, or inside of one of them: `thinking.display`. Nothing is said about thinking by null. */
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
    // Thinking that is not asked for after all takes its details along.
    if (!PARENT_FIELDS.has(parent) || (parent === 'thinking' && body.thinking === undefined)) continue
    body = { ...body, [parent]: { ...recordOf(body[parent]), [name.slice(parent.length + 1)]: value } }
  }
  return body
}

function parentOf(name: string): string {
  const dot = name.indexOf('.')
  return dot < 0 ? '' : name.slice(0, dot)
}

function writeTools(ask: ChatRequest, target: RequestTarget, dropped: Set<string>): JsonObject {
  const { toolChoice, parallelTools } = ask
  const tools = selectTools(ask.tools ?? [], toolChoice)
  if (tools.length === 0) {
    if (isForced(toolChoice)) throw invalidField('tools', 'must hold the tools that are to be called')
    return {}
  }
  const choice = choiceOf(toolChoice, parallelTools)
  return { tools: tools.map((tool) => writeTool(tool, target, dropped)), ...optionalField('tool_choice', choice) }
}

function isForced(choice: ToolChoice | undefined): boolean {
  return choice?.kind === 'required' || (choice?.kind === 'tools' && choice.required)
}

/** One tool can be named; of several that are allowed, the others are not offered. */
function selectTools(
  tools: readonly (ToolDefinition | DialectTool)[],
  choice: ToolChoice | undefined,
): readonly (ToolDefinition | DialectTool)[] {
  if (choice?.kind !== 'tools' || isSingleTool(choice)) return tools
  const names = new Set(choice.names)
  return tools.filter((tool) => names.has(nameOf(tool)))
}

function nameOf(tool: ToolDefinition | DialectTool): string {
  return tool.kind === 'own' && typeof tool.value.name === 'string' ? tool.value.name : tool.name
}

function isSingleTool(choice: { readonly names: readonly string[]; readonly required: boolean }): boolean {
  return choice.required && choice.names.length === 1
}

/** Absent where it would say no more than the tools do. */
function choiceOf(choice: ToolChoice | undefined, parallel: boolean | undefined): JsonObject | undefined {
  if (!choice && parallel !== false) return undefined
  if (choice?.kind === 'none') return { type: 'none' }
  const alone = optionalField('disable_parallel_tool_use', parallel === undefined ? undefined : !parallel)
  if (choice?.kind === 'tools' && isSingleTool(choice)) return { type: 'tool', name: choice.names[0], ...alone }
  return { type: isForced(choice) ? 'any' : 'auto', ...alone }
}

function writeTool(tool: ToolDefinition | DialectTool, target: RequestTarget, dropped: Set<string>): JsonObject {
  if (tool.kind === 'own') {
    if (tool.dialect !== DIALECT) throw unsupportedExtra(tool.name)
    return tool.value
  }
  const canBeStrict = supportsStrictTools(target.model)
  if (tool.strict && !canBeStrict) dropped.add('strict')
  return {
    ...writeExtras(tool.extras, dropped),
    name: tool.name,
    ...optionalField('description', tool.description),
    input_schema: { type: 'object', ...tool.schema },
    ...optionalField('strict', canBeStrict ? tool.strict : undefined),
    ...cacheControl(tool.cache),
  }
}

/** Blank ones are refused there. */
function stopSequencesOf(stop: readonly string[] | undefined): readonly string[] | undefined {
  if (!stop || stop.length === 0) return undefined
  if (stop.some((sequence) => sequence.trim() === '')) {
    throw unsupported('stop', 'Anthropic models cannot be stopped by blank sequences alone.')
  }
  return stop
}

function formatOf(format: OutputFormat | undefined): JsonObject | undefined {
  if (!format) return undefined
  if (format.kind === 'json') {
    throw unsupported('format', 'Anthropic models have no JSON mode without a schema: use json_schema.')
  }
  return { type: 'json_schema', schema: format.schema }
}
