// Gemini request writer: writes a chat request as the body of a generateContent call.

import type {
  ChatMessage,
  ChatRequest,
  Extras,
  JsonObject,
  Part,
  ToolCallPart,
  ToolChoice,
  ToolDefinition,
} from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { countOf } from '../../core/usage.ts'
import { dropForeignExtras, unsupportedPartOrTool } from '../dialect-fields.ts'
import { invalidPart, type RequestTarget, unsupported, unsupportedPart, type WrittenRequest } from '../translator.ts'
import {
  CONTENT_SIZES_MARK,
  DIALECT,
  EMPTY_TEXTS_MARK,
  GEMINI_EXTRAS,
  isEmpty,
  isMarked,
  markedList,
  restoreExtras,
  restoreSnakeCase,
  SEPARATE_MARK,
  SNAKE_CASE_MARK,
} from './dialect-fields.ts'
import { parseJsonObject, SKIP_SIGNATURE_CHECK, writeCall, writeMedia, writeResult, writeThought } from './parts.ts'
import { thinkingConfigOf, thinkingStyleOf } from './thinking.ts'

const MAX_STOP_SEQUENCES = 5
const MAX_CANDIDATES = 8
const MAX_TEMPERATURE = 2

/** Throws Problem `unsupported` for what Gemini cannot do, and `invalid_request` for a malformed conversation. */
export function writeRequest(request: ChatRequest, target: RequestTarget): WrittenRequest {
  const dropped = new Set<string>()
  dropForeignExtras(request.extras, GEMINI_EXTRAS, dropped)
  const system = request.messages.filter(({ role }) => role === 'system')
  const conversation = request.messages.filter(({ role }) => role !== 'system')
  const generationConfig = configOf(request, target.model, dropped)
  const toolConfig = request.toolChoice ? { functionCallingConfig: callingOf(request.toolChoice) } : {}
  if (request.parallelTools === false) dropped.add('parallelTools')
  if (request.user) dropped.add('user')
  if (request.cache) dropped.add('cache')
  const body = {
    contents: contentsOf(conversation, target.model, dropped),
    ...(system.length === 0 ? {} : { systemInstruction: systemOf(system, dropped) }),
    ...(request.tools ? { tools: toolsOf(request.tools, dropped) } : {}),
    ...(isEmpty(toolConfig) ? {} : { toolConfig }),
    ...(isEmpty(generationConfig) ? {} : { generationConfig }),
  }
  const snakeCasePaths = markedList(request.extras, SNAKE_CASE_MARK).filter((path) => typeof path === 'string')
  return {
    body: restoreSnakeCase(restoreExtras(body, extrasForModel(request, target.model)), snakeCasePaths),
    dropped: [...dropped],
  }
}

/** The extras of a Gemini request. Its thinking field is left out if the target's generation does not accept it. */
function extrasForModel(request: ChatRequest, model: string): Extras | undefined {
  if (!request.extras?.marks || thinkingStyleOf(request.model) === thinkingStyleOf(model)) return request.extras
  const { 'generationConfig.thinkingConfig': _thinking, ...marks } = request.extras.marks
  return { ...request.extras, marks }
}

function configOf(request: ChatRequest, model: string, dropped: Set<string>): JsonObject {
  const { answers, temperature, seed, stop, format } = request
  if ((stop?.length ?? 0) > MAX_STOP_SEQUENCES)
    throw unsupported('stop', `Gemini models support at most ${MAX_STOP_SEQUENCES} stop sequences.`)
  if ((answers ?? 1) > MAX_CANDIDATES)
    throw unsupported('answers', `Gemini models return at most ${MAX_CANDIDATES} choices per call.`)
  const isTooHot = temperature !== undefined && temperature > MAX_TEMPERATURE
  // Gemini's seeds have 32 bits.
  const isLongSeed = seed !== undefined && (seed | 0) !== seed
  if (isTooHot) dropped.add('temperature')
  if (isLongSeed) dropped.add('seed')
  const thinkingConfig = request.reasoning ? thinkingConfigOf(request.reasoning, model, dropped) : {}
  const fields = {
    candidateCount: answers,
    maxOutputTokens: request.outputCap,
    temperature: isTooHot ? MAX_TEMPERATURE : temperature,
    topP: request.topP,
    topK: request.topK,
    seed: isLongSeed ? undefined : seed,
    stopSequences: stop,
    frequencyPenalty: request.frequencyPenalty,
    presencePenalty: request.presencePenalty,
    responseMimeType: format && 'application/json',
    responseJsonSchema: format?.kind === 'schema' ? format.schema : undefined,
    thinkingConfig: isEmpty(thinkingConfig) ? undefined : thinkingConfig,
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
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
    if (tool.kind === 'dialect') {
      if (tool.dialect !== DIALECT) throw unsupportedPartOrTool(tool)
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
  dropForeignExtras(tool.extras, GEMINI_EXTRAS, dropped)
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
    dropForeignExtras(message.extras, GEMINI_EXTRAS, dropped)
    return message.parts.map((part) => {
      if (part.kind !== 'text' && !isGeminiPart(part))
        throw unsupportedPart(
          part,
          'Gemini models support only text in system messages. Move other parts to a user message.',
        )
      return writePart(part, dropped)
    })
  })
  return restoreExtras({ parts: parts.flat() }, messages[0]?.extras)
}

function isGeminiPart(part: Part): boolean {
  return (part.kind === 'dialect' && part.dialect === DIALECT) || ('extras' in part && part.extras?.dialect === DIALECT)
}

function contentsOf(messages: readonly ChatMessage[], model: string, dropped: Set<string>): JsonObject[] {
  const contents: { readonly role: string; readonly parts: JsonObject[]; readonly extras: Extras | undefined }[] = []
  const signsCalls = thinkingStyleOf(model) === 'level'
  for (const message of messages) {
    dropForeignExtras(message.extras, GEMINI_EXTRAS, dropped)
    const role = message.role === 'assistant' ? 'model' : 'user'
    for (const [index, parts] of splitContents(message, writeParts(message, signsCalls, dropped)).entries()) {
      const last = contents.at(-1)
      const joins = index === 0 && last?.role === role && !isMarked(message.extras, SEPARATE_MARK)
      if (joins) for (const part of parts) last.parts.push(part)
      else contents.push({ role, parts, extras: message.extras })
    }
  }
  return contents.map(({ role, parts, extras }) => restoreExtras({ role, parts }, extras))
}

/** Restores the contents, and the empty texts, from which the reader made one message. No content if there are no parts. */
function splitContents({ extras }: ChatMessage, parts: readonly JsonObject[]): JsonObject[][] {
  const all: JsonObject[] = []
  let position = 0
  for (const empty of markedList(extras, EMPTY_TEXTS_MARK)) {
    const [index, part] = Array.isArray(empty) ? empty : []
    for (const end = countOf(index); all.length < end && position < parts.length; position++)
      all.push(parts[position] ?? {})
    if (isRecord(part)) all.push(part)
  }
  for (const part of parts.slice(position)) all.push(part)
  const sizes = markedList(extras, CONTENT_SIZES_MARK).map(countOf)
  if (sizes.length > 0 && sizes.reduce((sum, size) => sum + size, 0) === all.length) {
    let from = 0
    return sizes.map((size) => all.slice(from, (from += size)))
  }
  return all.length === 0 ? [] : [all]
}

/** @param signsCalls true: the model needs a signature on the first call of each message */
function writeParts({ role, parts }: ChatMessage, signsCalls: boolean, dropped: Set<string>): JsonObject[] {
  const isModel = role === 'assistant'
  const first = parts.find(({ kind }) => kind === 'toolCall')
  const results = parts
    .filter((part) => part.kind === 'toolResult')
    .map((part) => {
      dropForeignExtras(part.extras, GEMINI_EXTRAS, dropped)
      if (part.cache) dropped.add('cache')
      for (const resultPart of part.parts) dropForeignExtras(resultPart.extras, GEMINI_EXTRAS, dropped)
      return writeResult(part)
    })
  const otherParts = parts.flatMap((part): JsonObject[] => {
    if (part.kind === 'toolResult') return []
    if (part.kind === 'dialect' && part.dialect !== DIALECT && isModel) {
      // What the model once did at another provider is no need.
      dropped.add(part.name)
      return []
    }
    if (part.kind !== 'toolCall') return writePart(part, dropped)
    const needsStandIn = signsCalls && part === first && part.extras?.dialect !== DIALECT
    return [callOf(part, part.signature ?? (needsStandIn ? SKIP_SIGNATURE_CHECK : undefined), dropped)]
  })
  return [...results.map(({ result }) => result), ...results.flatMap(({ beside }) => beside), ...otherParts]
}

function callOf(part: ToolCallPart, signature: string | undefined, dropped: Set<string>): JsonObject {
  dropForeignExtras(part.extras, GEMINI_EXTRAS, dropped)
  if (part.cache) dropped.add('cache')
  const args = part.arguments.trim() === '' ? {} : parseJsonObject(part.arguments)
  if (args) return writeCall(part, args, signature)
  throw invalidPart(part, 'must hold a JSON object as its arguments')
}

/** The part as Gemini writes it; none for empty texts and for thoughts of other dialects. */
function writePart(part: Part, dropped: Set<string>): JsonObject[] {
  if ('extras' in part) dropForeignExtras(part.extras, GEMINI_EXTRAS, dropped)
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
    case 'dialect':
      if (part.dialect === DIALECT) return [part.value]
      throw unsupportedPartOrTool(part)
    default:
      return []
  }
}
