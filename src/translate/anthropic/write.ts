// Anthropic requests, written: a neutral ask as a body.

import type { JsonObject, NeutralAsk, OutputFormat, OwnTool, ToolChoice, ToolDefinition } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'
import { invalid } from '../../wire/json/cursor.ts'
import { type AskTarget, unsupported, type WrittenAsk } from '../translator.ts'
import { cacheControl, DIALECT, foreign, given, ownFields } from './dialect-fields.ts'
import { samplingOf, takesStrict, thinkingOf } from './models.ts'
import { writeMessages } from './write-parts.ts'

const HINTS_ELSEWHERE = ['seed', 'frequencyPenalty', 'presencePenalty'] as const

export function writeAsk(ask: NeutralAsk, target: AskTarget): WrittenAsk {
  const dropped = new Set<string>()
  for (const name of HINTS_ELSEWHERE) if (ask[name] !== undefined) dropped.add(name)
  if ((ask.answers ?? 1) > 1) throw unsupported('answers', 'Anthropic models give one answer to a call.')
  const own = ownFields(ask.own, dropped)
  const cap = ask.outputCap ?? target.usualCap
  const { thinking, effort, isDropped } = thinkingOf(ask, target.model, cap)
  if (isDropped) dropped.add('reasoning')
  const isThinking = thinking !== undefined && thinking.type !== 'disabled'
  const written = {
    model: target.model,
    max_tokens: cap,
    ...given('stream', ask.stream ? true : undefined),
    ...writeMessages(ask.messages, dropped),
    ...writeTools(ask, target, dropped),
    ...samplingOf(ask, target.model, isThinking, dropped),
    ...given('stop_sequences', stopOf(ask.stop)),
    ...given('thinking', thinking),
    ...members('output_config', { ...given('effort', effort), ...given('format', formatOf(ask.format)) }),
    ...members('metadata', given('user_id', ask.user)),
  }
  return { body: putBack(own, written), dropped: [...dropped] }
}

/** As a member to spread: nothing, where it would be empty. */
function members(name: string, value: JsonObject): JsonObject {
  return Object.keys(value).length > 0 ? { [name]: value } : {}
}

const PARENTS = new Set(['thinking', 'output_config', 'metadata'])

/** Own fields beside the others, or inside of one of them: `thinking.display`. Nothing is said about thinking by null. */
function putBack(own: JsonObject, written: JsonObject): JsonObject {
  const { 'anthropic-beta': _, thinking, ...fields } = own
  const top = Object.entries(fields).filter(([name]) => !PARENTS.has(parentOf(name)))
  let body: JsonObject = {
    ...(thinking === null ? {} : given('thinking', thinking)),
    ...Object.fromEntries(top),
    ...written,
  }
  for (const [name, value] of Object.entries(fields)) {
    const parent = parentOf(name)
    // Thinking that is not asked for after all takes its details along.
    if (!PARENTS.has(parent) || (parent === 'thinking' && body.thinking === undefined)) continue
    body = { ...body, [parent]: { ...recordOf(body[parent]), [name.slice(parent.length + 1)]: value } }
  }
  return body
}

function parentOf(name: string): string {
  const dot = name.indexOf('.')
  return dot < 0 ? '' : name.slice(0, dot)
}

function writeTools(ask: NeutralAsk, target: AskTarget, dropped: Set<string>): JsonObject {
  const { toolChoice, parallelTools } = ask
  const tools = offered(ask.tools ?? [], toolChoice)
  if (tools.length === 0) {
    if (isForced(toolChoice)) throw invalid('tools', 'must hold the tools that are to be called')
    return {}
  }
  const choice = choiceOf(toolChoice, parallelTools)
  return { tools: tools.map((tool) => writeTool(tool, target, dropped)), ...given('tool_choice', choice) }
}

function isForced(choice: ToolChoice | undefined): boolean {
  return choice?.kind === 'required' || (choice?.kind === 'tools' && choice.required)
}

/** One tool can be named; of several that are allowed, the others are not offered. */
function offered(
  tools: readonly (ToolDefinition | OwnTool)[],
  choice: ToolChoice | undefined,
): readonly (ToolDefinition | OwnTool)[] {
  if (choice?.kind !== 'tools' || isNamed(choice)) return tools
  const names = new Set(choice.names)
  return tools.filter((tool) => names.has(nameOf(tool)))
}

function nameOf(tool: ToolDefinition | OwnTool): string {
  return tool.kind === 'own' && typeof tool.value.name === 'string' ? tool.value.name : tool.name
}

function isNamed(choice: { readonly names: readonly string[]; readonly required: boolean }): boolean {
  return choice.required && choice.names.length === 1
}

/** Absent where it would say no more than the tools do. */
function choiceOf(choice: ToolChoice | undefined, parallel: boolean | undefined): JsonObject | undefined {
  if (!choice && parallel !== false) return undefined
  if (choice?.kind === 'none') return { type: 'none' }
  const alone = given('disable_parallel_tool_use', parallel === undefined ? undefined : !parallel)
  if (choice?.kind === 'tools' && isNamed(choice)) return { type: 'tool', name: choice.names[0], ...alone }
  return { type: isForced(choice) ? 'any' : 'auto', ...alone }
}

function writeTool(tool: ToolDefinition | OwnTool, target: AskTarget, dropped: Set<string>): JsonObject {
  if (tool.kind === 'own') {
    if (tool.dialect !== DIALECT) throw foreign(tool.name)
    return tool.value
  }
  const canBeStrict = takesStrict(target.model)
  if (tool.strict && !canBeStrict) dropped.add('strict')
  return {
    ...ownFields(tool.own, dropped),
    name: tool.name,
    ...given('description', tool.description),
    input_schema: { type: 'object', ...tool.schema },
    ...given('strict', canBeStrict ? tool.strict : undefined),
    ...cacheControl(tool.cache),
  }
}

/** Blank ones are refused there. */
function stopOf(stop: readonly string[] | undefined): readonly string[] | undefined {
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
