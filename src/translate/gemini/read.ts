// Gemini's asks, read: a body and the path it came to, in neutral words.

import type {
  ChatMessage,
  ChatRequest,
  DialectTool,
  Effort,
  JsonObject,
  OutputFormat,
  Part,
  Reasoning,
  ToolChoice,
  ToolDefinition,
} from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import type { RequestLine } from '../../wire/dialect.ts'
import { modelInPath } from '../../wire/gemini/path.ts'
import {
  CONTENT_SIZES_MARK,
  convertToCamelCase,
  DIALECT,
  EMPTY_TEXTS_MARK,
  ExtrasDraft,
  invalid,
  isEmpty,
  SEPARATE_MARK,
  SNAKE_CASE_MARK,
} from './dialect-fields.ts'
import { readPart, type ToolCallIds } from './parts.ts'
import { jsonSchemaOf } from './schema.ts'

/** Throws Problem `invalid_request`, naming the field, for what is no request. */
export function readRequest(original: JsonObject, line: RequestLine): ChatRequest {
  const { body, spelt } = convertToCamelCase(original)
  const extras = new ExtrasDraft()
  if (spelt.length > 0) extras.mark(SNAKE_CASE_MARK, spelt)
  const { model, ...rest } = body
  // The path names it: here it says nothing.
  if (model !== undefined && model !== null) extras.mark('model', model)
  const config = objectAt(body.generationConfig, 'generationConfig') ?? {}
  const toolConfig = objectAt(body.toolConfig, 'toolConfig') ?? {}
  const full = ['generationConfig', 'toolConfig', 'tools'].filter((name) => !isEmpty(body[name]))
  extras.keepRest(rest, ['contents', 'systemInstruction', ...full])
  const messages = [...systemOf(body.systemInstruction), ...messagesOf(body.contents)]
  return {
    model: modelInPath(line.path),
    stream: line.path.endsWith(':streamGenerateContent'),
    messages,
    ...(isEmpty(body.tools) ? {} : { tools: toolsOf(body.tools) }),
    ...choiceIn(toolConfig, extras),
    ...configIn(config, extras),
    ...extras.toField(),
  }
}

function objectAt(value: unknown, name: string): JsonObject | null {
  if (value === undefined || value === null) return null
  if (!isRecord(value)) throw invalid(name, 'must be an object')
  return value
}

/** A list, or one alone, as protobuf's JSON takes it. */
function listOf(value: unknown, name: string): JsonObject[] {
  const list = Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]
  return list.map((one, at) => {
    if (!isRecord(one)) throw invalid(`${name}[${at}]`, 'must be an object')
    return one
  })
}

function systemOf(value: unknown): ChatMessage[] {
  const content = objectAt(value, 'systemInstruction')
  if (!content) return []
  const extras = new ExtrasDraft()
  extras.keepRest(content, ['role', 'parts'])
  // Google does not look at it.
  if (!isEmpty(content.role)) extras.mark('role', content.role)
  const parts = listOf(content.parts, 'systemInstruction.parts').map((part, at) =>
    readPart(part, `systemInstruction.parts[${at}]`, NO_CALLS),
  )
  return [{ role: 'system', parts, ...extras.toField() }]
}

const NO_CALLS: ToolCallIds = {
  idOfCall: () => {
    throw invalid('systemInstruction', 'must not call functions')
  },
  idOfResult: () => {
    throw invalid('systemInstruction', 'must not answer functions')
  },
}

/** Calls of a conversation that were not answered yet, in their order. Google's callers need not name them. */
class ConversationToolCallIds implements ToolCallIds {
  /** Where the reader stands. */
  position = ''
  readonly #idsByTool = new Map<string, string[]>()
  readonly #nextByTool = new Map<string, number>()
  readonly #answeredIds = new Set<string>()

  idOfCall(name: string, given: string | undefined): string {
    const id = given ?? `call_${this.position}`
    const ids = this.#idsByTool.get(name) ?? []
    ids.push(id)
    this.#idsByTool.set(name, ids)
    return id
  }

  idOfResult(name: string, given: string | undefined): string {
    const id = given ?? this.#firstUnanswered(name) ?? `call_${this.position}`
    this.#answeredIds.add(id)
    return id
  }

  #firstUnanswered(name: string): string | undefined {
    const ids = this.#idsByTool.get(name) ?? []
    let next = this.#nextByTool.get(name) ?? 0
    while (next < ids.length && this.#answeredIds.has(ids[next] ?? '')) next++
    this.#nextByTool.set(name, next)
    return ids[next]
  }
}

/** A part, and how it came. */
interface ParsedPart {
  readonly part: Part
  readonly original: JsonObject
}

/** Contents that are one message: clients that gather streams hand every event back as a content of its own. */
interface MessageDraft {
  readonly role: ChatMessage['role']
  readonly parts: ParsedPart[]
  readonly sizes: number[]
  readonly extras: ExtrasDraft
  /** It has fields of its own: no content can join it. */
  readonly isSeparate: boolean
}

function messagesOf(contents: unknown): ChatMessage[] {
  const conversation = new ConversationToolCallIds()
  const gathered: MessageDraft[] = []
  for (const [message, content] of listOf(contents, 'contents').entries()) {
    const role = roleOf(content.role, message)
    const parts = listOf(content.parts, `contents[${message}].parts`).map((original, at) => {
      conversation.position = `${message}_${at}`
      return { part: readPart(original, `contents[${message}].parts[${at}]`, conversation), original }
    })
    const extras = new ExtrasDraft()
    extras.keepRest(content, ['role', 'parts'])
    if (content.role !== (role === 'assistant' ? 'model' : role)) extras.mark('role', content.role ?? null)
    const isAlone = extras.toField().extras !== undefined
    const last = gathered.at(-1)
    if (last?.role === role && !isAlone && !last.isSeparate) {
      for (const part of parts) last.parts.push(part)
      last.sizes.push(parts.length)
    } else {
      if (last?.role === role) extras.mark(SEPARATE_MARK, true)
      gathered.push({ role, parts, sizes: [parts.length], extras, isSeparate: isAlone })
    }
  }
  return gathered.map(messageOf)
}

function messageOf({ role, parts, sizes, extras }: MessageDraft): ChatMessage {
  const results = parts.filter(({ part }) => part.kind === 'toolResult')
  const ordered = [...results, ...parts.filter(({ part }) => part.kind !== 'toolResult')]
  const said = ordered.filter((came) => !isEmptyText(came))
  if (sizes.length > 1 || parts.length === 0) extras.mark(CONTENT_SIZES_MARK, sizes)
  // One that is nothing but empty is left as it is.
  if (said.length === 0 || said.length === ordered.length)
    return { role, parts: ordered.map(partOf), ...extras.toField() }
  const empties = ordered.flatMap((came, at) => (isEmptyText(came) ? [[at, came.original]] : []))
  extras.mark(EMPTY_TEXTS_MARK, empties)
  return { role, parts: said.map(partOf), ...extras.toField() }
}

const partOf = ({ part }: ParsedPart) => part

/** Google ends streams with one, for its signature's sake. Others refuse them. */
function isEmptyText({ part }: ParsedPart): boolean {
  return part.kind === 'text' && part.text === ''
}

function roleOf(role: unknown, message: number): ChatMessage['role'] {
  if (role === 'model') return 'assistant'
  // Google's older clients name results of functions so.
  if (role === undefined || role === null || role === '') return 'user'
  if (role === 'user' || role === 'function' || role === 'tool') return 'user'
  if (role === 'system') return 'system'
  throw invalid(`contents[${message}].role`, 'must be user or model')
}

function toolsOf(value: unknown): (ToolDefinition | DialectTool)[] {
  const tools: (ToolDefinition | DialectTool)[] = []
  for (const [at, { functionDeclarations, ...rest }] of listOf(value, 'tools').entries()) {
    const apart = tools.at(-1)?.kind === 'function'
    const field = `tools[${at}].functionDeclarations`
    for (const [index, declaration] of listOf(functionDeclarations, field).entries()) {
      tools.push(readDeclaration(declaration, `${field}[${index}]`, apart && index === 0))
    }
    const name = Object.keys(rest)[0]
    if (name !== undefined) tools.push({ kind: 'own', dialect: DIALECT, name, value: rest })
  }
  return tools
}

/** @param apart it opens a list of its own, after another one */
function readDeclaration(declaration: JsonObject, field: string, apart: boolean): ToolDefinition {
  const { name, description, parameters, parametersJsonSchema } = declaration
  if (typeof name !== 'string' || name === '') throw invalid(`${field}.name`, 'must be a name')
  const extras = new ExtrasDraft()
  extras.keepRest(declaration, ['name', 'description', 'parameters', 'parametersJsonSchema'])
  const schema = objectAt(parametersJsonSchema, `${field}.parametersJsonSchema`)
  const open = objectAt(parameters, `${field}.parameters`)
  if (open) extras.mark('parameters', open)
  if (open && !schema) extras.mark('parametersJsonSchema', null)
  if (apart) extras.mark(SEPARATE_MARK, true)
  return {
    kind: 'function',
    name,
    ...(typeof description === 'string' ? { description } : {}),
    ...(schema ? { schema } : open ? { schema: jsonSchemaOf(open) } : {}),
    ...extras.toField(),
  }
}

const CALLING_CONFIG = 'toolConfig.functionCallingConfig'

function choiceIn(config: JsonObject, extras: ExtrasDraft): { readonly toolChoice?: ToolChoice } {
  extras.keepRest(config, ['functionCallingConfig'], 'toolConfig.')
  const calling = objectAt(config.functionCallingConfig, CALLING_CONFIG)
  if (!calling) return {}
  const { mode, allowedFunctionNames, ...rest } = calling
  extras.mark(CALLING_CONFIG, calling)
  const names = isEmpty(allowedFunctionNames)
    ? undefined
    : stringsOf(allowedFunctionNames, `${CALLING_CONFIG}.allowedFunctionNames`)
  // It promises arguments that fit their schema.
  if ((mode === 'VALIDATED' && !names) || !Object.values(rest).every(isEmpty)) extras.hint(CALLING_CONFIG, calling)
  if (mode === 'NONE') return { toolChoice: { kind: 'none' } }
  if (names) return { toolChoice: { kind: 'tools', names, required: mode === 'ANY' } }
  return isEmpty(mode) ? {} : { toolChoice: { kind: mode === 'ANY' ? 'required' : 'auto' } }
}

function stringsOf(value: unknown, name: string): string[] {
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) {
    throw invalid(name, 'must be a list of strings')
  }
  return value
}

/** The neutral fields that are one number each. */
const NUMBERS = {
  candidateCount: 'answers',
  maxOutputTokens: 'outputCap',
  temperature: 'temperature',
  topP: 'topP',
  topK: 'topK',
  seed: 'seed',
  frequencyPenalty: 'frequencyPenalty',
  presencePenalty: 'presencePenalty',
} as const

type ConfigFields = Omit<ChatRequest, 'model' | 'stream' | 'messages'>

function configIn(config: JsonObject, extras: ExtrasDraft): ConfigFields {
  const said = ['stopSequences', 'thinkingConfig', 'responseMimeType', 'responseSchema', 'responseJsonSchema']
  const silent = isTextOnly(config.responseModalities)
  if (silent) extras.mark('generationConfig.responseModalities', config.responseModalities)
  extras.keepRest(
    config,
    [...said, ...Object.keys(NUMBERS), ...(silent ? ['responseModalities'] : [])],
    'generationConfig.',
  )
  const numbers: Partial<Record<(typeof NUMBERS)[keyof typeof NUMBERS], number>> = {}
  for (const [name, field] of Object.entries(NUMBERS)) {
    const value = config[name]
    if (value === undefined || value === null) continue
    if (typeof value !== 'number') throw invalid(`generationConfig.${name}`, 'must be a number')
    numbers[field] = value
  }
  const stop = config.stopSequences ?? undefined
  return {
    ...numbers,
    ...(stop === undefined ? {} : { stop: stringsOf(stop, 'generationConfig.stopSequences') }),
    ...formatIn(config, extras),
    ...reasoningIn(config.thinkingConfig, extras),
  }
}

/** Text is what is answered anyway. */
function isTextOnly(modalities: unknown): boolean {
  return Array.isArray(modalities) && modalities.length > 0 && modalities.every((one) => one === 'TEXT')
}

const CONFIG_PREFIX = 'generationConfig.'

function formatIn(config: JsonObject, extras: ExtrasDraft): { readonly format?: OutputFormat } {
  const type = config.responseMimeType
  const schema = objectAt(config.responseJsonSchema, `${CONFIG_PREFIX}responseJsonSchema`)
  const open = objectAt(config.responseSchema, `${CONFIG_PREFIX}responseSchema`)
  if (type === 'application/json') {
    if (open) extras.mark(`${CONFIG_PREFIX}responseSchema`, open)
    if (open && !schema) extras.mark(`${CONFIG_PREFIX}responseJsonSchema`, null)
    const asked = schema ?? (open ? jsonSchemaOf(open) : null)
    return { format: asked ? { kind: 'schema', schema: asked } : { kind: 'json' } }
  }
  if (type === 'text/plain') extras.mark(`${CONFIG_PREFIX}responseMimeType`, type)
  else if (!isEmpty(type)) extras.need(`${CONFIG_PREFIX}responseMimeType`, type)
  else if (type === '') extras.hint(`${CONFIG_PREFIX}responseMimeType`, type)
  if (schema) extras.need(`${CONFIG_PREFIX}responseJsonSchema`, schema)
  if (open) extras.need(`${CONFIG_PREFIX}responseSchema`, open)
  return {}
}

const EFFORT_BY_LEVEL: Readonly<Record<string, Effort>> = {
  MINIMAL: 'minimal',
  LOW: 'low',
  MEDIUM: 'medium',
  HIGH: 'high',
}
const THINKING_CONFIG = `${CONFIG_PREFIX}thinkingConfig`

function reasoningIn(value: unknown, extras: ExtrasDraft): { readonly reasoning?: Reasoning } {
  const config = objectAt(value, THINKING_CONFIG)
  if (!config) return {}
  const { includeThoughts, thinkingBudget, thinkingLevel, ...rest } = config
  extras.mark(THINKING_CONFIG, config)
  if (!Object.values(rest).every(isEmpty)) extras.need(THINKING_CONFIG, config)
  const level = typeof thinkingLevel === 'string' ? thinkingLevel.toUpperCase() : ''
  const effort = Object.hasOwn(EFFORT_BY_LEVEL, level) ? EFFORT_BY_LEVEL[level] : undefined
  const reasoning: Reasoning = {
    ...(effort ? { effort } : {}),
    ...budgetOf(thinkingBudget),
    ...(typeof includeThoughts === 'boolean' ? { shown: includeThoughts } : {}),
  }
  return isEmpty(reasoning) ? {} : { reasoning }
}

function budgetOf(budget: unknown): Reasoning {
  if (typeof budget !== 'number') return {}
  if (budget < 0) return { dynamic: true }
  return budget === 0 ? { effort: 'none' } : { budgetTokens: budget }
}
