// Gemini's asks, written: what is asked in neutral words, as a body for generateContent.

import type {
  JsonObject,
  NeutralAsk,
  NeutralMessage,
  Own,
  Part,
  Reasoning,
  ToolCallPart,
  ToolChoice,
  ToolDefinition,
} from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { Problem } from '../../core/problem.ts'
import { countOf } from '../../core/usage.ts'
import { type AskTarget, unsupported, type WrittenAsk } from '../translator.ts'
import {
  APART,
  DIALECT,
  EMPTIES,
  isEmpty,
  isMarked,
  markedList,
  putBack,
  respelt,
  SIZES,
  SPELT,
} from './dialect-fields.ts'
import { objectIn, UNSIGNED, writeCall, writeMedia, writeResult, writeThought } from './parts.ts'

const MOST_STOPS = 5
const MOST_ANSWERS = 8
const HOTTEST = 2

/** Throws Problem `unsupported` for what Gemini cannot do, `invalid_request` for a conversation that is none. */
export function writeAsk(ask: NeutralAsk, target: AskTarget): WrittenAsk {
  const dropped = new Set<string>()
  passOver(ask.own, dropped)
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
  const spelt = markedList(ask.own, SPELT).filter((path) => typeof path === 'string')
  return {
    body: respelt(putBack(body, forModel(ask, target.model)), spelt),
    dropped: [...dropped],
  }
}

/** Leaves another dialect's hints out, by name, and refuses its needs. */
function passOver(own: Own | undefined, dropped: Set<string>): void {
  if (!own || own.dialect === DIALECT) return
  const [need] = Object.keys(own.needs ?? {})
  if (need !== undefined) throw new Problem('unsupported', `Gemini has nothing like ${need}.`, need)
  for (const [name, value] of Object.entries(own.hints ?? {})) if (!isEmpty(value)) dropped.add(name)
}

/** How a model is told to think has changed twice. */
function thinkingOf(model: string): 'none' | 'budget' | 'level' {
  if (/gemini-1|gemini-2\.0|gemma|-image/.test(model)) return 'none'
  return /gemini-2\.5/.test(model) ? 'budget' : 'level'
}

/** What the ask's own reader kept, without what another generation of models does not take. */
function forModel(ask: NeutralAsk, model: string): Own | undefined {
  if (!ask.own?.marks || thinkingOf(ask.model) === thinkingOf(model)) return ask.own
  const { 'generationConfig.thinkingConfig': _thinking, ...marks } = ask.own.marks
  return { ...ask.own, marks }
}

function configOf(ask: NeutralAsk, model: string, dropped: Set<string>): JsonObject {
  const { answers, temperature, seed, stop, format } = ask
  if ((stop?.length ?? 0) > MOST_STOPS) throw unsupported('stop', `Gemini takes ${MOST_STOPS} stop sequences at most.`)
  if ((answers ?? 1) > MOST_ANSWERS) throw unsupported('answers', `Gemini gives ${MOST_ANSWERS} answers at most.`)
  const hot = temperature !== undefined && temperature > HOTTEST
  // It takes 32 bits.
  const long = seed !== undefined && (seed | 0) !== seed
  if (hot) dropped.add('temperature')
  if (long) dropped.add('seed')
  const thinkingConfig = ask.reasoning ? thinkingConfigOf(ask.reasoning, model, dropped) : {}
  const fields = {
    candidateCount: answers,
    maxOutputTokens: ask.outputCap,
    temperature: hot ? HOTTEST : temperature,
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

const LEVELS = {
  none: 'minimal',
  minimal: 'minimal',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
  max: 'high',
}
const BUDGETS = { none: 0, minimal: 512, low: 1_024, medium: 8_192, high: 24_576, xhigh: 24_576, max: 24_576 }
const MOST_BUDGET = 24_576
/** The larger models cannot do without thought. */
const LEAST_BUDGET_OF_PRO = 128
const LOW_BUDGET = 2_048
const MEDIUM_BUDGET = 8_192

function thinkingConfigOf(reasoning: Reasoning, model: string, dropped: Set<string>): JsonObject {
  const { effort, budgetTokens, dynamic, shown } = reasoning
  const way = thinkingOf(model)
  const isPro = model.includes('-pro')
  if (way === 'none') {
    if (effort !== 'none') dropped.add('reasoning')
    return {}
  }
  if (isPro && effort === 'none') dropped.add('reasoning')
  const show = shown === undefined ? {} : { includeThoughts: shown }
  if (way === 'budget') {
    const asked = effort ? BUDGETS[effort] : dynamic ? -1 : undefined
    const budget = budgetTokens === undefined ? asked : Math.min(budgetTokens, MOST_BUDGET)
    if (budget === undefined) return show
    return { thinkingBudget: isPro && budget >= 0 ? Math.max(budget, LEAST_BUDGET_OF_PRO) : budget, ...show }
  }
  const level = effort ? LEVELS[effort] : budgetTokens === undefined ? undefined : levelOf(budgetTokens)
  if (level === undefined) return show
  return { thinkingLevel: isPro && level === 'minimal' ? 'low' : level, ...show }
}

function levelOf(budgetTokens: number): string {
  if (budgetTokens <= LOW_BUDGET) return 'low'
  return budgetTokens <= MEDIUM_BUDGET ? 'medium' : 'high'
}

function callingOf(choice: ToolChoice): JsonObject {
  if (choice.kind === 'tools') {
    return { mode: choice.required ? 'ANY' : 'VALIDATED', allowedFunctionNames: choice.names }
  }
  return { mode: { auto: 'AUTO', none: 'NONE', required: 'ANY' }[choice.kind] }
}

function toolsOf(tools: NonNullable<NeutralAsk['tools']>, dropped: Set<string>): JsonObject[] {
  const entries: JsonObject[] = []
  let list: JsonObject[] | undefined
  for (const tool of tools) {
    if (tool.kind === 'own') {
      if (tool.dialect !== DIALECT) throw new Problem('unsupported', `Gemini has no tool ${tool.name}.`, tool.name)
      entries.push(tool.value)
      list = undefined
      continue
    }
    if (!list || isMarked(tool.own, APART)) {
      list = []
      entries.push({ functionDeclarations: list })
    }
    list.push(declarationOf(tool, dropped))
  }
  return entries
}

function declarationOf(tool: ToolDefinition, dropped: Set<string>): JsonObject {
  passOver(tool.own, dropped)
  if (tool.strict) dropped.add('strict')
  if (tool.cache) dropped.add('cache')
  const { name, description, schema } = tool
  const declaration = {
    name,
    ...(description === undefined ? {} : { description }),
    ...(schema === undefined ? {} : { parametersJsonSchema: schema }),
  }
  return putBack(declaration, tool.own)
}

function systemOf(messages: readonly NeutralMessage[], dropped: Set<string>): JsonObject {
  const parts = messages.flatMap((message) => {
    passOver(message.own, dropped)
    return message.parts.map((part) => {
      if (part.kind !== 'text' && !isOurs(part))
        throw unsupported('messages', 'Gemini takes only text as instructions.')
      return writePart(part, dropped)
    })
  })
  return putBack({ parts: parts.flat() }, messages[0]?.own)
}

function isOurs(part: Part): boolean {
  return (part.kind === 'own' && part.dialect === DIALECT) || ('own' in part && part.own?.dialect === DIALECT)
}

function contentsOf(messages: readonly NeutralMessage[], model: string, dropped: Set<string>): JsonObject[] {
  const contents: { readonly role: string; readonly parts: JsonObject[]; readonly own: Own | undefined }[] = []
  const signs = thinkingOf(model) === 'level'
  for (const message of messages) {
    passOver(message.own, dropped)
    const role = message.role === 'assistant' ? 'model' : 'user'
    for (const [at, parts] of contentsIn(message, partsOf(message.parts, signs, dropped)).entries()) {
      const last = contents.at(-1)
      const joins = at === 0 && last?.role === role && !isMarked(message.own, APART)
      if (joins) for (const part of parts) last.parts.push(part)
      else contents.push({ role, parts, own: message.own })
    }
  }
  return contents.map(({ role, parts, own }) => putBack({ role, parts }, own))
}

/** A message as the contents that it was, with the empty texts that it had; none where there is nothing to say. */
function contentsIn({ own }: NeutralMessage, parts: readonly JsonObject[]): JsonObject[][] {
  const all: JsonObject[] = []
  let taken = 0
  for (const empty of markedList(own, EMPTIES)) {
    const [at, part] = Array.isArray(empty) ? empty : []
    for (const end = countOf(at); all.length < end && taken < parts.length; taken++) all.push(parts[taken] ?? {})
    if (isRecord(part)) all.push(part)
  }
  for (const part of parts.slice(taken)) all.push(part)
  const sizes = markedList(own, SIZES).map(countOf)
  if (sizes.length > 0 && sizes.reduce((sum, size) => sum + size, 0) === all.length) {
    let from = 0
    return sizes.map((size) => all.slice(from, (from += size)))
  }
  return all.length === 0 ? [] : [all]
}

/** @param signs the model wants the first call of each message signed */
function partsOf(parts: readonly Part[], signs: boolean, dropped: Set<string>): JsonObject[] {
  const first = parts.find(({ kind }) => kind === 'toolCall')
  const results = parts
    .filter((part) => part.kind === 'toolResult')
    .map((part) => {
      passOver(part.own, dropped)
      if (part.cache) dropped.add('cache')
      for (const inside of part.parts) passOver(inside.own, dropped)
      return writeResult(part)
    })
  const others = parts.flatMap((part): JsonObject[] => {
    if (part.kind === 'toolResult') return []
    if (part.kind !== 'toolCall') return writePart(part, dropped)
    const needsOne = signs && part === first && part.own?.dialect !== DIALECT
    return [callOf(part, part.signature ?? (needsOne ? UNSIGNED : undefined), dropped)]
  })
  return [...results.map(({ result }) => result), ...results.flatMap(({ beside }) => beside), ...others]
}

function callOf(part: ToolCallPart, signature: string | undefined, dropped: Set<string>): JsonObject {
  passOver(part.own, dropped)
  if (part.cache) dropped.add('cache')
  const args = part.arguments.trim() === '' ? {} : objectIn(part.arguments)
  if (args) return writeCall(part, args, signature)
  throw new Problem('invalid_request', 'messages: the arguments of a tool call are no JSON object', 'messages')
}

/** What another provider thought means nothing to Gemini: it is left out. */
function writePart(part: Part, dropped: Set<string>): JsonObject[] {
  if ('own' in part) passOver(part.own, dropped)
  if ('cache' in part && part.cache) dropped.add('cache')
  switch (part.kind) {
    case 'text':
      return part.text === '' && !isOurs(part) ? [] : [putBack({ text: part.text }, part.own)]
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
