// Gemini's asks, read: a body and the path it came to, in neutral words.

import type {
  Effort,
  JsonObject,
  NeutralAsk,
  NeutralMessage,
  OutputFormat,
  OwnTool,
  Part,
  Reasoning,
  ToolChoice,
  ToolDefinition,
} from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import type { RequestLine } from '../../wire/dialect.ts'
import { modelInPath } from '../../wire/gemini/generate.ts'
import { APART, camelised, DIALECT, EMPTIES, invalid, isEmpty, OwnFields, SIZES, SPELT } from './dialect-fields.ts'
import { type CallIds, readPart } from './parts.ts'
import { lowered } from './schema.ts'

/** Throws Problem `invalid_request`, naming the field, for what is no request. */
export function readAsk(original: JsonObject, line: RequestLine): NeutralAsk {
  const { body, spelt } = camelised(original)
  const own = new OwnFields()
  if (spelt.length > 0) own.mark(SPELT, spelt)
  const { model, ...rest } = body
  // The path names it: here it says nothing.
  if (model !== undefined && model !== null) own.mark('model', model)
  const config = objectAt(body.generationConfig, 'generationConfig') ?? {}
  const toolConfig = objectAt(body.toolConfig, 'toolConfig') ?? {}
  const full = ['generationConfig', 'toolConfig', 'tools'].filter((name) => !isEmpty(body[name]))
  own.rest(rest, ['contents', 'systemInstruction', ...full])
  const messages = [...systemOf(body.systemInstruction), ...messagesOf(body.contents)]
  return {
    model: modelInPath(line.path),
    stream: line.path.endsWith(':streamGenerateContent'),
    messages,
    ...(isEmpty(body.tools) ? {} : { tools: toolsOf(body.tools) }),
    ...choiceIn(toolConfig, own),
    ...configIn(config, own),
    ...own.own(),
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

function systemOf(value: unknown): NeutralMessage[] {
  const content = objectAt(value, 'systemInstruction')
  if (!content) return []
  const own = new OwnFields()
  own.rest(content, ['role', 'parts'])
  // Google does not look at it.
  if (!isEmpty(content.role)) own.mark('role', content.role)
  const parts = listOf(content.parts, 'systemInstruction.parts').map((part, at) =>
    readPart(part, `systemInstruction.parts[${at}]`, NO_CALLS),
  )
  return [{ role: 'system', parts, ...own.own() }]
}

const NO_CALLS: CallIds = {
  called: () => {
    throw invalid('systemInstruction', 'must not call functions')
  },
  answered: () => {
    throw invalid('systemInstruction', 'must not answer functions')
  },
}

/** Calls of a conversation that were not answered yet, in their order. Google's callers need not name them. */
class Conversation implements CallIds {
  /** Where the reader stands. */
  at = ''
  readonly #ids = new Map<string, string[]>()
  readonly #next = new Map<string, number>()
  readonly #answered = new Set<string>()

  called(name: string, given: string | undefined): string {
    const id = given ?? `call_${this.at}`
    const ids = this.#ids.get(name) ?? []
    ids.push(id)
    this.#ids.set(name, ids)
    return id
  }

  answered(name: string, given: string | undefined): string {
    const id = given ?? this.#firstOpen(name) ?? `call_${this.at}`
    this.#answered.add(id)
    return id
  }

  #firstOpen(name: string): string | undefined {
    const ids = this.#ids.get(name) ?? []
    let next = this.#next.get(name) ?? 0
    while (next < ids.length && this.#answered.has(ids[next] ?? '')) next++
    this.#next.set(name, next)
    return ids[next]
  }
}

/** A part, and how it came. */
interface Came {
  readonly part: Part
  readonly original: JsonObject
}

/** Contents that are one message: clients that gather streams hand every event back as a content of its own. */
interface Gathered {
  readonly role: NeutralMessage['role']
  readonly parts: Came[]
  readonly sizes: number[]
  readonly own: OwnFields
  /** It has fields of its own: no content can join it. */
  readonly isAlone: boolean
}

function messagesOf(contents: unknown): NeutralMessage[] {
  const conversation = new Conversation()
  const gathered: Gathered[] = []
  for (const [message, content] of listOf(contents, 'contents').entries()) {
    const role = roleOf(content.role, message)
    const parts = listOf(content.parts, `contents[${message}].parts`).map((original, at) => {
      conversation.at = `${message}_${at}`
      return { part: readPart(original, `contents[${message}].parts[${at}]`, conversation), original }
    })
    const own = new OwnFields()
    own.rest(content, ['role', 'parts'])
    if (content.role !== (role === 'assistant' ? 'model' : role)) own.mark('role', content.role ?? null)
    const isAlone = own.own().own !== undefined
    const last = gathered.at(-1)
    if (last?.role === role && !isAlone && !last.isAlone) {
      for (const part of parts) last.parts.push(part)
      last.sizes.push(parts.length)
    } else {
      if (last?.role === role) own.mark(APART, true)
      gathered.push({ role, parts, sizes: [parts.length], own, isAlone })
    }
  }
  return gathered.map(messageOf)
}

function messageOf({ role, parts, sizes, own }: Gathered): NeutralMessage {
  const results = parts.filter(({ part }) => part.kind === 'toolResult')
  const ordered = [...results, ...parts.filter(({ part }) => part.kind !== 'toolResult')]
  const said = ordered.filter((came) => !isEmptyText(came))
  if (sizes.length > 1 || parts.length === 0) own.mark(SIZES, sizes)
  // One that is nothing but empty is left as it is.
  if (said.length === 0 || said.length === ordered.length) return { role, parts: ordered.map(partOf), ...own.own() }
  const empties = ordered.flatMap((came, at) => (isEmptyText(came) ? [[at, came.original]] : []))
  own.mark(EMPTIES, empties)
  return { role, parts: said.map(partOf), ...own.own() }
}

const partOf = ({ part }: Came) => part

/** Google ends streams with one, for its signature's sake. Others refuse them. */
function isEmptyText({ part }: Came): boolean {
  return part.kind === 'text' && part.text === ''
}

function roleOf(role: unknown, message: number): NeutralMessage['role'] {
  if (role === 'model') return 'assistant'
  // Google's older clients name results of functions so.
  if (role === undefined || role === null || role === '') return 'user'
  if (role === 'user' || role === 'function' || role === 'tool') return 'user'
  if (role === 'system') return 'system'
  throw invalid(`contents[${message}].role`, 'must be user or model')
}

function toolsOf(value: unknown): (ToolDefinition | OwnTool)[] {
  const tools: (ToolDefinition | OwnTool)[] = []
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
  const own = new OwnFields()
  own.rest(declaration, ['name', 'description', 'parameters', 'parametersJsonSchema'])
  const schema = objectAt(parametersJsonSchema, `${field}.parametersJsonSchema`)
  const open = objectAt(parameters, `${field}.parameters`)
  if (open) own.mark('parameters', open)
  if (open && !schema) own.mark('parametersJsonSchema', null)
  if (apart) own.mark(APART, true)
  return {
    kind: 'function',
    name,
    ...(typeof description === 'string' ? { description } : {}),
    ...(schema ? { schema } : open ? { schema: lowered(open) } : {}),
    ...own.own(),
  }
}

const CALLING = 'toolConfig.functionCallingConfig'

function choiceIn(config: JsonObject, own: OwnFields): { readonly toolChoice?: ToolChoice } {
  own.rest(config, ['functionCallingConfig'], 'toolConfig.')
  const calling = objectAt(config.functionCallingConfig, CALLING)
  if (!calling) return {}
  const { mode, allowedFunctionNames, ...rest } = calling
  own.mark(CALLING, calling)
  const names = isEmpty(allowedFunctionNames)
    ? undefined
    : stringsOf(allowedFunctionNames, `${CALLING}.allowedFunctionNames`)
  // It promises arguments that fit their schema.
  if ((mode === 'VALIDATED' && !names) || !Object.values(rest).every(isEmpty)) own.hint(CALLING, calling)
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

type Config = Omit<NeutralAsk, 'model' | 'stream' | 'messages'>

function configIn(config: JsonObject, own: OwnFields): Config {
  const said = ['stopSequences', 'thinkingConfig', 'responseMimeType', 'responseSchema', 'responseJsonSchema']
  const silent = isTextOnly(config.responseModalities)
  if (silent) own.mark('generationConfig.responseModalities', config.responseModalities)
  own.rest(config, [...said, ...Object.keys(NUMBERS), ...(silent ? ['responseModalities'] : [])], 'generationConfig.')
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
    ...formatIn(config, own),
    ...reasoningIn(config.thinkingConfig, own),
  }
}

/** Text is what is answered anyway. */
function isTextOnly(modalities: unknown): boolean {
  return Array.isArray(modalities) && modalities.length > 0 && modalities.every((one) => one === 'TEXT')
}

const CONFIG = 'generationConfig.'

function formatIn(config: JsonObject, own: OwnFields): { readonly format?: OutputFormat } {
  const type = config.responseMimeType
  const schema = objectAt(config.responseJsonSchema, `${CONFIG}responseJsonSchema`)
  const open = objectAt(config.responseSchema, `${CONFIG}responseSchema`)
  if (type === 'application/json') {
    if (open) own.mark(`${CONFIG}responseSchema`, open)
    if (open && !schema) own.mark(`${CONFIG}responseJsonSchema`, null)
    const asked = schema ?? (open ? lowered(open) : null)
    return { format: asked ? { kind: 'schema', schema: asked } : { kind: 'json' } }
  }
  if (type === 'text/plain') own.mark(`${CONFIG}responseMimeType`, type)
  else if (!isEmpty(type)) own.need(`${CONFIG}responseMimeType`, type)
  else if (type === '') own.hint(`${CONFIG}responseMimeType`, type)
  if (schema) own.need(`${CONFIG}responseJsonSchema`, schema)
  if (open) own.need(`${CONFIG}responseSchema`, open)
  return {}
}

const LEVELS: Readonly<Record<string, Effort>> = { MINIMAL: 'minimal', LOW: 'low', MEDIUM: 'medium', HIGH: 'high' }
const THINKING = `${CONFIG}thinkingConfig`

function reasoningIn(value: unknown, own: OwnFields): { readonly reasoning?: Reasoning } {
  const config = objectAt(value, THINKING)
  if (!config) return {}
  const { includeThoughts, thinkingBudget, thinkingLevel, ...rest } = config
  own.mark(THINKING, config)
  if (!Object.values(rest).every(isEmpty)) own.need(THINKING, config)
  const level = typeof thinkingLevel === 'string' ? thinkingLevel.toUpperCase() : ''
  const effort = Object.hasOwn(LEVELS, level) ? LEVELS[level] : undefined
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
