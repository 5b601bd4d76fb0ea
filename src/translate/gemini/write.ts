// Gemini's asks, written: what is asked in neutral words, as a body for generateContent.

import type {
  ChatMessage,
  ChatRequest,
  Extras,
  JsonObject,
  Part,
  Reasoning,
  ToolCallPart,
  ToolChoice,
  ToolDefinition,
} from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { Problem } from '../../core/problem.ts'
import { countOf } from '../../core/usage.ts'
import { type RequestTarget, unsupported, type WrittenRequest } from '../translator.ts'
import {
  CONTENT_SIZES_MARK,
  DIALECT,
  EMPTY_TEXTS_MARK,
  isEmpty,
  isMarked,
  markedList,
  restoreExtras,
  restoreSnakeCase,
  SEPARATE_MARK,
  SNAKE_CASE_MARK,
} from './dialect-fields.ts'
import { parseJsonObject, SKIP_SIGNATURE_CHECK, writeCall, writeMedia, writeResult, writeThought } from './parts.ts'

const MAX_STOP_SEQUENCES = 5
const MAX_CANDIDATES = 8
const MAX_TEMPERATURE = 2

/** Throws Problem `unsupported` for what Gemini cannot do, `invalid_request` for a conversation that is none. */
export function writeRequest(ask: ChatRequest, target: RequestTarget): WrittenRequest {
  const dropped = new Set<string>()
  dropForeignExtras(ask.extras, dropped)
  const system = ask.messages.filter(({ role }) => role === 'system')
  const others = ask.messages.filter(({ role }) => role !== 'system')
  const generationConfig = configOf(ask, target.model, dropped)
  const toolConfig = ask.toolChoice ? { functionCallingConfig: callingOf(ask.toolChoice) } : {}
  if (ask.parallelTools === false) dropped.add('parallelTools')
  if (ask.user) dropped.add('user')
  const body = {
    contents: contentsOf(others, target.model, dropped),
    ...(system.length === 0 ? {} : { systemInstruction: systemOf(system, dropped) }),
    ...(ask.tools ? { tools: toolsOf(ask.tools, dropped) } : {}),
    ...(isEmpty(toolConfig) ? {} : { toolConfig }),
    ...(isEmpty(generationConfig) ? {} : { generationConfig }),
  }
  const spelt = markedList(ask.extras, SNAKE_CASE_MARK).filter((path) => typeof path === 'string')
  return {
    body: restoreSnakeCase(restoreExtras(body, extrasForModel(ask, target.model)), spelt),
    dropped: [...dropped],
  }
}

/** Leaves another dialect's hints out, by name, and refuses its needs. */
function dropForeignExtras(extras: Extras | undefined, dropped: Set<string>): void {
  if (!extras || extras.dialect === DIALECT) return
  const [need] = Object.keys(extras.needs ?? {})
  if (need !== undefined) throw new Problem('unsupported', `Gemini has nothing like ${need}.`, need)
  for (const [name, value] of Object.entries(extras.hints ?? {})) if (!isEmpty(value)) dropped.add(name)
}

/** How a model is told to think has changed twice. */
function thinkingStyleOf(model: string): 'none' | 'budget' | 'level' {
  if (/gemini-1|gemini-2\.0|gemma|-image/.test(model)) return 'none'
  return /gemini-2\.5/.test(model) ? 'budget' : 'level'
}

/** What the ask's own reader kept, without what another generation of models does not take. */
function extrasForModel(ask: ChatRequest, model: string): Extras | undefined {
  if (!ask.extras?.marks || thinkingStyleOf(ask.model) === thinkingStyleOf(model)) return ask.extras
  const { 'generationConfig.thinkingConfig': _thinking, ...marks } = ask.extras.marks
  return { ...ask.extras, marks }
}

function configOf(ask: ChatRequest, model: string, dropped: Set<string>): JsonObject {
  const { answers, temperature, seed, stop, format } = ask
  if ((stop?.length ?? 0) > MAX_STOP_SEQUENCES)
    throw unsupported('stop', `Gemini takes ${MAX_STOP_SEQUENCES} stop sequences at most.`)
  if ((answers ?? 1) > MAX_CANDIDATES) throw unsupported('answers', `Gemini gives ${MAX_CANDIDATES} answers at most.`)
  const hot = temperature !== undefined && temperature > MAX_TEMPERATURE
  // It takes 32 bits.
  const long = seed !== undefined && (seed | 0) !== seed
  if (hot) dropped.add('temperature')
  if (long) dropped.add('seed')
  const thinkingConfig = ask.reasoning ? thinkingConfigOf(ask.reasoning, model, dropped) : {}
  const fields = {
    candidateCount: answers,
    maxOutputTokens: ask.outputCap,
    temperature: hot ? MAX_TEMPERATURE : temperature,
    topP: ask.topP,
    topK: ask.topK,
    seed: long ? undefined : seed,
    stopSequences: stop,
    frequencyPenalty: ask.frequencyPenalty,
    presencePenalty: ask.presencePenalty,
    responseMimeType: format && 'application/json',
    responseJsonSchema: format?.kind === 'schema' ? format.schema : undefined,
    thinkingConfig: isEmpty(thinkingConfig) ? undefined : thinkingConfig,
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

const LEVEL_BY_EFFORT = {
  none: 'minimal',
  minimal: 'minimal',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
  max: 'high',
}
const BUDGET_TOKENS_BY_EFFORT = {
  none: 0,
  minimal: 512,
  low: 1_024,
  medium: 8_192,
  high: 24_576,
  xhigh: 24_576,
  max: 24_576,
}
const MAX_BUDGET_TOKENS = 24_576
/** The larger models cannot do without thought. */
const MIN_PRO_BUDGET_TOKENS = 128
const MAX_LOW_BUDGET_TOKENS = 2_048
const MAX_MEDIUM_BUDGET_TOKENS = 8_192

function thinkingConfigOf(reasoning: Reasoning, model: string, dropped: Set<string>): JsonObject {
  const { effort, budgetTokens, dynamic, shown } = reasoning
  const way = thinkingStyleOf(model)
  const isPro = model.includes('-pro')
  if (way === 'none') {
    if (effort !== 'none') dropped.add('reasoning')
    return {}
  }
  if (isPro && effort === 'none') dropped.add('reasoning')
  const show = shown === undefined ? {} : { includeThoughts: shown }
  if (way === 'budget') {
    const asked = effort ? BUDGET_TOKENS_BY_EFFORT[effort] : dynamic ? -1 : undefined
    const budget = budgetTokens === undefined ? asked : Math.min(budgetTokens, MAX_BUDGET_TOKENS)
    if (budget === undefined) return show
    return { thinkingBudget: isPro && budget >= 0 ? Math.max(budget, MIN_PRO_BUDGET_TOKENS) : budget, ...show }
  }
  const level = effort ? LEVEL_BY_EFFORT[effort] : budgetTokens === undefined ? undefined : levelOf(budgetTokens)
  if (level === undefined) return show
  return { thinkingLevel: isPro && level === 'minimal' ? 'low' : level, ...show }
}

function levelOf(budgetTokens: number): string {
  if (budgetTokens <= MAX_LOW_BUDGET_TOKENS) return 'low'
  return budgetTokens <= MAX_MEDIUM_BUDGET_TOKENS ? 'medium' : 'high'
}

function callingOf(choice: ToolChoice): JsonObject {
  if (choice.kind === 'tools') {
    return { mode: choice.required ? 'ANY' : 'VALIDATED', allowedFunctionNames: choice.names }
  }
  return { mode: { auto: 'AUTO', none: 'NONE', required: 'ANY' }[choice.kind] }
}

function toolsOf(tools: NonNullable<ChatRequest['tools']>, dropped: Set<string>): JsonObject[] {
  const entries: JsonObject[] = []
  let list: JsonObject[] | undefined
  for (const tool of tools) {
    if (tool.kind === 'own') {
      if (tool.dialect !== DIALECT) throw new Problem('unsupported', `Gemini has no tool ${tool.name}.`, tool.name)
      entries.push(tool.value)
      list = undefined
      continue
    }
    if (!list || isMarked(tool.extras, SEPARATE_MARK)) {
      list = []
      entries.push({ functionDeclarations: list })
    }
    list.push(declarationOf(tool, dropped))
  }
  return entries
}

function declarationOf(tool: ToolDefinition, dropped: Set<string>): JsonObject {
  dropForeignExtras(tool.extras, dropped)
  if (tool.strict) dropped.add('strict')
  if (tool.cache) dropped.add('cache')
  const { name, description, schema } = tool
  const declaration = {
    name,
    ...(description === undefined ? {} : { description }),
    ...(schema === undefined ? {} : { parametersJsonSchema: schema }),
  }
  return restoreExtras(declaration, tool.extras)
}

function systemOf(messages: readonly ChatMessage[], dropped: Set<string>): JsonObject {
  const parts = messages.flatMap((message) => {
    dropForeignExtras(message.extras, dropped)
    return message.parts.map((part) => {
      if (part.kind !== 'text' && !isGeminiPart(part))
        throw unsupported('messages', 'Gemini takes only text as instructions.')
      return writePart(part, dropped)
    })
  })
  return restoreExtras({ parts: parts.flat() }, messages[0]?.extras)
}

function isGeminiPart(part: Part): boolean {
  return (part.kind === 'own' && part.dialect === DIALECT) || ('extras' in part && part.extras?.dialect === DIALECT)
}

function contentsOf(messages: readonly ChatMessage[], model: string, dropped: Set<string>): JsonObject[] {
  const contents: { readonly role: string; readonly parts: JsonObject[]; readonly extras: Extras | undefined }[] = []
  const signs = thinkingStyleOf(model) === 'level'
  for (const message of messages) {
    dropForeignExtras(message.extras, dropped)
    const role = message.role === 'assistant' ? 'model' : 'user'
    for (const [at, parts] of splitContents(message, writeParts(message.parts, signs, dropped)).entries()) {
      const last = contents.at(-1)
      const joins = at === 0 && last?.role === role && !isMarked(message.extras, SEPARATE_MARK)
      if (joins) for (const part of parts) last.parts.push(part)
      else contents.push({ role, parts, extras: message.extras })
    }
  }
  return contents.map(({ role, parts, extras }) => restoreExtras({ role, parts }, extras))
}

/** A message as the contents that it was, with the empty texts that it had; none where there is nothing to say. */
function splitContents({ extras }: ChatMessage, parts: readonly JsonObject[]): JsonObject[][] {
  const all: JsonObject[] = []
  let taken = 0
  for (const empty of markedList(extras, EMPTY_TEXTS_MARK)) {
    const [at, part] = Array.isArray(empty) ? empty : []
    for (const end = countOf(at); all.length < end && taken < parts.length; taken++) all.push(parts[taken] ?? {})
    if (isRecord(part)) all.push(part)
  }
  for (const part of parts.slice(taken)) all.push(part)
  const sizes = markedList(extras, CONTENT_SIZES_MARK).map(countOf)
  if (sizes.length > 0 && sizes.reduce((sum, size) => sum + size, 0) === all.length) {
    let from = 0
    return sizes.map((size) => all.slice(from, (from += size)))
  }
  return all.length === 0 ? [] : [all]
}

/** @param signs the model wants the first call of each message signed */
function writeParts(parts: readonly Part[], signs: boolean, dropped: Set<string>): JsonObject[] {
  const first = parts.find(({ kind }) => kind === 'toolCall')
  const results = parts
    .filter((part) => part.kind === 'toolResult')
    .map((part) => {
      dropForeignExtras(part.extras, dropped)
      if (part.cache) dropped.add('cache')
      for (const inside of part.parts) dropForeignExtras(inside.extras, dropped)
      return writeResult(part)
    })
  const others = parts.flatMap((part): JsonObject[] => {
    if (part.kind === 'toolResult') return []
    if (part.kind !== 'toolCall') return writePart(part, dropped)
    const needsOne = signs && part === first && part.extras?.dialect !== DIALECT
    return [callOf(part, part.signature ?? (needsOne ? SKIP_SIGNATURE_CHECK : undefined), dropped)]
  })
  return [...results.map(({ result }) => result), ...results.flatMap(({ beside }) => beside), ...others]
}

function callOf(part: ToolCallPart, signature: string | undefined, dropped: Set<string>): JsonObject {
  dropForeignExtras(part.extras, dropped)
  if (part.cache) dropped.add('cache')
  const args = part.arguments.trim() === '' ? {} : parseJsonObject(part.arguments)
  if (args) return writeCall(part, args, signature)
  throw new Problem('invalid_request', 'messages: the arguments of a tool call are no JSON object', 'messages')
}

/** What another provider thought means nothing to Gemini: it is left out. */
function writePart(part: Part, dropped: Set<string>): JsonObject[] {
  if ('extras' in part) dropForeignExtras(part.extras, dropped)
  if ('cache' in part && part.cache) dropped.add('cache')
  switch (part.kind) {
    case 'text':
      return part.text === '' && !isGeminiPart(part) ? [] : [restoreExtras({ text: part.text }, part.extras)]
    case 'refusal':
      return [{ text: part.text }]
    case 'media':
      return [writeMedia(part)]
    case 'reasoning':
      return part.signedIn === DIALECT ? [writeThought(part)] : []
    case 'own':
      if (part.dialect === DIALECT) return [part.value]
      throw new Problem('unsupported', `Gemini has nothing like ${part.name}.`, part.name)
    default:
      return []
  }
}
