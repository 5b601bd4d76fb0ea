// Gemini request reader: reads the body and the path of a generateContent call as a chat request.

import type {
  ChatMessage,
  ChatRequest,
  DialectTool,
  JsonObject,
  Part,
  ToolChoice,
  ToolDefinition,
} from '../../core/chat.ts'
import type { RequestLine } from '../../wire/dialect.ts'
import { modelInPath } from '../../wire/gemini/path.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft } from '../dialect-fields.ts'
import { placed } from '../places.ts'
import { listOf, objectAt, stringsOf } from './checks.ts'
import {
  CONTENT_SIZES_MARK,
  convertToCamelCase,
  DIALECT,
  EMPTY_TEXTS_MARK,
  GEMINI_EXTRAS,
  GEMINI_HINTS,
  isEmpty,
  SEPARATE_MARK,
  SNAKE_CASE_MARK,
} from './dialect-fields.ts'
import { readPart, type ToolCallIds } from './parts.ts'
import { readConfig } from './read-config.ts'
import { jsonSchemaOf } from './schema.ts'

/** Throws Problem `invalid_request`, naming the field, if the body is no request of this dialect. */
export function readRequest(original: JsonObject, line: RequestLine): ChatRequest {
  const { body, snakeCasePaths } = convertToCamelCase(original)
  const extras = new ExtrasDraft(GEMINI_EXTRAS)
  if (snakeCasePaths.length > 0) extras.mark(SNAKE_CASE_MARK, snakeCasePaths)
  const { model, ...rest } = body
  // The path names the model. The same field in the body has no effect.
  if (model !== undefined && model !== null) extras.mark('model', model)
  const config = objectAt(body.generationConfig, 'generationConfig') ?? {}
  const toolConfig = objectAt(body.toolConfig, 'toolConfig') ?? {}
  const nonEmptyFields = ['generationConfig', 'toolConfig', 'tools'].filter((name) => !isEmpty(body[name]))
  extras.keepRest(rest, new Set(['contents', 'systemInstruction', ...nonEmptyFields]), { hints: GEMINI_HINTS })
  const messages = [...systemOf(body.systemInstruction), ...messagesOf(body.contents)]
  return {
    model: modelInPath(line.path),
    stream: line.path.endsWith(':streamGenerateContent'),
    messages,
    ...(isEmpty(body.tools) ? {} : { tools: toolsOf(body.tools) }),
    ...choiceIn(toolConfig, extras),
    ...readConfig(config, extras),
    ...extras.toField(),
  }
}

const CONTENT_FIELDS = new Set(['role', 'parts'])

function systemOf(value: unknown): ChatMessage[] {
  const content = objectAt(value, 'systemInstruction')
  if (!content) return []
  const extras = new ExtrasDraft(GEMINI_EXTRAS, 'systemInstruction')
  extras.keepRest(content, CONTENT_FIELDS, { isEcho: true })
  // Google ignores the role here.
  if (!isEmpty(content.role)) extras.mark('role', content.role)
  const parts = listOf(content.parts, 'systemInstruction.parts').map((part, index) =>
    readPart(part, `systemInstruction.parts[${index}]`, NO_CALLS),
  )
  return [{ role: 'system', parts, ...extras.toField() }]
}

const NO_CALLS: ToolCallIds = {
  idOfCall: () => {
    throw invalidField('systemInstruction', 'must not hold function calls. Move them to contents')
  },
  idOfResult: () => {
    throw invalidField('systemInstruction', 'must not hold function responses. Move them to contents')
  },
}

/** Gives ids to calls and results without one: a result answers the first unanswered call of its tool. */
class ConversationToolCallIds implements ToolCallIds {
  /** The indexes of the content and of the part that the reader reads, for ids: `2_0`. */
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

/** A part and its JSON. */
interface ParsedPart {
  readonly part: Part
  readonly original: JsonObject
}

/** Contents that become one message: clients that collect a stream send every event back as a content of its own. */
interface MessageDraft {
  readonly role: ChatMessage['role']
  readonly parts: ParsedPart[]
  readonly sizes: number[]
  readonly extras: ExtrasDraft
  /** Of the first content. */
  readonly place: string
  /** True: the content has extras, so no other content can join it. */
  readonly isSeparate: boolean
}

function messagesOf(contents: unknown): ChatMessage[] {
  const conversation = new ConversationToolCallIds()
  const drafts: MessageDraft[] = []
  for (const [contentIndex, content] of listOf(contents, 'contents').entries()) {
    const role = roleOf(content.role, contentIndex)
    const parts = listOf(content.parts, `contents[${contentIndex}].parts`).map((original, index) => {
      conversation.position = `${contentIndex}_${index}`
      return { part: readPart(original, `contents[${contentIndex}].parts[${index}]`, conversation), original }
    })
    const extras = new ExtrasDraft(GEMINI_EXTRAS, `contents[${contentIndex}]`)
    extras.keepRest(content, CONTENT_FIELDS, { isEcho: true })
    if (content.role !== (role === 'assistant' ? 'model' : role)) extras.mark('role', content.role ?? null)
    const isAlone = extras.toField().extras !== undefined
    const last = drafts.at(-1)
    if (last?.role === role && !isAlone && !last.isSeparate) {
      for (const part of parts) last.parts.push(part)
      last.sizes.push(parts.length)
    } else {
      if (last?.role === role) extras.mark(SEPARATE_MARK, true)
      drafts.push({
        role,
        parts,
        sizes: [parts.length],
        extras,
        place: `contents[${contentIndex}]`,
        isSeparate: isAlone,
      })
    }
  }
  return drafts.map((draft) => placed(messageOf(draft), draft.place))
}

function messageOf({ role, parts, sizes, extras }: MessageDraft): ChatMessage {
  const results = parts.filter(({ part }) => part.kind === 'toolResult')
  const ordered = [...results, ...parts.filter(({ part }) => part.kind !== 'toolResult')]
  const nonEmpty = ordered.filter((parsed) => !isEmptyText(parsed))
  if (sizes.length > 1 || parts.length === 0) extras.mark(CONTENT_SIZES_MARK, sizes)
  // A message of empty texts only keeps them.
  if (nonEmpty.length === 0 || nonEmpty.length === ordered.length)
    return { role, parts: ordered.map(partOf), ...extras.toField() }
  const emptyTexts = ordered.flatMap((parsed, index) => (isEmptyText(parsed) ? [[index, parsed.original]] : []))
  extras.mark(EMPTY_TEXTS_MARK, emptyTexts)
  return { role, parts: nonEmpty.map(partOf), ...extras.toField() }
}

const partOf = ({ part }: ParsedPart) => part

/** Google ends a stream with an empty text that carries a signature. Other providers refuse empty texts. */
function isEmptyText({ part }: ParsedPart): boolean {
  return part.kind === 'text' && part.text === ''
}

function roleOf(role: unknown, contentIndex: number): ChatMessage['role'] {
  if (role === 'model') return 'assistant'
  // Google's older clients use `function` or `tool` for function responses.
  if (role === undefined || role === null || role === '') return 'user'
  if (role === 'user' || role === 'function' || role === 'tool') return 'user'
  if (role === 'system') return 'system'
  throw invalidField(`contents[${contentIndex}].role`, 'must be user, model, function, tool or system')
}

function toolsOf(value: unknown): (ToolDefinition | DialectTool)[] {
  const tools: (ToolDefinition | DialectTool)[] = []
  for (const [position, { functionDeclarations, ...rest }] of listOf(value, 'tools').entries()) {
    const followsFunctions = tools.at(-1)?.kind === 'function'
    const field = `tools[${position}].functionDeclarations`
    for (const [index, declaration] of listOf(functionDeclarations, field).entries()) {
      const place = `${field}[${index}]`
      tools.push(placed(readDeclaration(declaration, place, followsFunctions && index === 0), place))
    }
    const name = Object.keys(rest)[0]
    if (name !== undefined)
      tools.push(placed({ kind: 'dialect', dialect: DIALECT, name, value: rest }, `tools[${position}].${name}`))
  }
  return tools
}

const DECLARATION_FIELDS = new Set(['name', 'description', 'parameters', 'parametersJsonSchema'])

/** @param isSeparate true: the function starts a new list of functions, right after another list */
function readDeclaration(declaration: JsonObject, field: string, isSeparate: boolean): ToolDefinition {
  const { name, description, parameters, parametersJsonSchema } = declaration
  if (typeof name !== 'string' || name === '') throw invalidField(`${field}.name`, 'must be a string that is not empty')
  const extras = new ExtrasDraft(GEMINI_EXTRAS, field)
  extras.keepRest(declaration, DECLARATION_FIELDS, { hints: GEMINI_HINTS })
  const schema = objectAt(parametersJsonSchema, `${field}.parametersJsonSchema`)
  const openApiSchema = objectAt(parameters, `${field}.parameters`)
  if (openApiSchema) extras.mark('parameters', openApiSchema)
  if (openApiSchema && !schema) extras.mark('parametersJsonSchema', null)
  if (isSeparate) extras.mark(SEPARATE_MARK, true)
  return {
    kind: 'function',
    name,
    ...(typeof description === 'string' ? { description } : {}),
    ...(schema ? { schema } : openApiSchema ? { schema: jsonSchemaOf(openApiSchema) } : {}),
    ...extras.toField(),
  }
}

const CALLING_CONFIG = 'toolConfig.functionCallingConfig'

function choiceIn(config: JsonObject, extras: ExtrasDraft): { readonly toolChoice?: ToolChoice } {
  extras.keepRest(config, new Set(['functionCallingConfig']), { hints: GEMINI_HINTS, prefix: 'toolConfig.' })
  const calling = objectAt(config.functionCallingConfig, CALLING_CONFIG)
  if (!calling) return {}
  const { mode, allowedFunctionNames, ...rest } = calling
  extras.mark(CALLING_CONFIG, calling)
  const names = isEmpty(allowedFunctionNames)
    ? undefined
    : stringsOf(allowedFunctionNames, `${CALLING_CONFIG}.allowedFunctionNames`)
  // VALIDATED promises arguments that fit their schema, which `auto` does not.
  if ((mode === 'VALIDATED' && !names) || !Object.values(rest).every(isEmpty)) extras.hint(CALLING_CONFIG, calling)
  if (mode === 'NONE') return { toolChoice: { kind: 'none' } }
  if (names) return { toolChoice: { kind: 'tools', names, required: mode === 'ANY' } }
  return isEmpty(mode) ? {} : { toolChoice: { kind: mode === 'ANY' ? 'required' : 'auto' } }
}
