// Request drafts: a request while its body is being read, and the readers of fields that several dialects share.

import { parseObject } from '../core/json-values.ts'
import type { RequestFacts } from '../core/quote.ts'
import { tierName } from '../core/service-tier.ts'
import type { ByteRange, JsonCursor } from './json/cursor.ts'
import { invalidField } from './json/errors.ts'
import { countMembers, lengthOf } from './json/object-reader.ts'
import { beginsLikeJson, JsonStructure, measureJsonString } from './json-strings.ts'

/** The facts of a request, which readers fill in. */
export type RequestDraft = { -readonly [Part in keyof RequestFacts]: RequestFacts[Part] } & {
  unbounded: string[]
  hostedTools: string[]
}

/** The facts of an empty request. @param textBytes the maximum length of its body's text, in bytes */
export function newDraft(textBytes: number): RequestDraft {
  return {
    kind: 'generate',
    model: '',
    stream: false,
    textBytes,
    grownBytes: 0,
    toolBytes: 0,
    toolSeparators: 0,
    repeatedBytes: 0,
    callArguments: 0,
    depth: 0,
    messages: 0,
    addedTokens: 0,
    outputCap: null,
    answers: 1,
    prompts: 1,
    predictionBytes: 0,
    tools: false,
    images: 0,
    unsizedInput: false,
    uncountableInput: false,
    audioInput: false,
    audioOutput: false,
    cacheWrite: 'none',
    unbounded: [],
    hostedTools: [],
    serviceTier: null,
    user: null,
    metadata: null,
  }
}

/** The names are for people, who need only a few of each kind. A request may hold any number. */
const MAX_UNBOUNDED_NAMES = 8
const MAX_NAME_CHARACTERS = 64

/** Notes that nothing bounds what the call costs. @param name of the field that makes it so */
export function markUnbounded(draft: RequestDraft, name: string): void {
  const short = shortName(name)
  const { unbounded, hostedTools } = draft
  if (unbounded.length - hostedTools.length < MAX_UNBOUNDED_NAMES && !unbounded.includes(short)) unbounded.push(short)
}

/** Notes that the provider runs a tool, as often as the model likes: nothing bounds what the call costs. @param name of the tool */
export function markHostedTool(draft: RequestDraft, name: string): void {
  const short = shortName(name)
  const { unbounded, hostedTools } = draft
  if (hostedTools.length >= MAX_UNBOUNDED_NAMES || hostedTools.includes(short)) return
  hostedTools.push(short)
  if (!unbounded.includes(short)) unbounded.push(short)
}

/** A name as `unbounded` has it. */
export function shortName(name: string): string {
  return name.slice(0, MAX_NAME_CHARACTERS)
}

/** The position of the model's name in a body. */
export interface ModelLayout {
  model: ByteRange | null
}

/** The position of the field that caps output, for dialects that have one such field. */
export interface CapLayout {
  cap: ByteRange | null
}

/** Tools that servers add to OpenAI's API, each with a field of its own: xAI's search, and OpenRouter's plugins. */
export const TOOL_FIELDS = ['search_parameters', 'plugins'] as const

/** Where OpenAI's requests list tools, and choose among them. */
export const TOOL_PLACES = { lists: ['tools'], choices: ['tool_choice', 'parallel_tool_calls'] } as const

/** Fields by which OpenRouter and LiteLLM choose other models than the call names. */
export const MODEL_CHOICES = ['models', 'preset', 'route', 'fallbacks'] as const

/**
 * Fields of servers that change what becomes of the body, so that its bytes bound no tokens: the template of a prompt and what the
 * template is given (vLLM, SGLang, llama.cpp, Together), how media are cut into tokens (vLLM), context that the server keeps (SGLang) or
 * finds (Azure), and an output cap that overrides the API's (llama.cpp). All of them are billed by tokens alone.
 */
export const PROMPT_FEATURES = [
  'chat_template',
  'chat_template_kwargs',
  'documents',
  'mm_processor_kwargs',
  'media_io_kwargs',
  'session_params',
  'data_sources',
  'n_predict',
] as const

const MAX_EMPTY_BYTES = 8
const EMPTY_VALUE = /^(?:null|""|\{\s*\}|\[\s*\])$/

export function markUnboundedUnlessEmpty(json: JsonCursor, draft: RequestDraft, _layout: unknown, name: string): void {
  const range = json.range()
  const isEmpty = lengthOf(range) <= MAX_EMPTY_BYTES && EMPTY_VALUE.test(json.text(range))
  if (!isEmpty) markUnbounded(draft, name)
}

export function markUnboundedUnlessNull(json: JsonCursor, draft: RequestDraft, _layout: unknown, name: string): void {
  if (!json.isNull()) markUnbounded(draft, name)
  json.skipValue()
}

export function markToolUnlessNull(json: JsonCursor, draft: RequestDraft, _layout: unknown, name: string): void {
  if (!json.isNull()) markHostedTool(draft, name)
  json.skipValue()
}

export function readModel(json: JsonCursor, draft: RequestDraft, layout: ModelLayout, name: string): void {
  layout.model = json.range()
  draft.model = json.stringAt(layout.model, name)
}

/** A cap of 0 is refused. */
export function readCap(json: JsonCursor, draft: RequestDraft, layout: CapLayout, name: string): void {
  layout.cap = json.range()
  draft.outputCap = json.countAt(layout.cap, name, 1)
}

/** For dialects in which a cap of 0 has a meaning. */
export function readCapOrZero(json: JsonCursor, draft: RequestDraft, layout: CapLayout, name: string): void {
  layout.cap = json.range()
  draft.outputCap = json.countAt(layout.cap, name, 0)
}

export function readStream(json: JsonCursor, draft: RequestDraft, _layout: unknown, name: string): void {
  draft.stream = json.boolean(name)
}

export function readUser(json: JsonCursor, draft: RequestDraft): void {
  draft.user = json.stringOrNull()
}

/** The ledger keeps notes up to this size. OpenAI takes sixteen of 576 bytes, which few callers need. */
export const MAX_METADATA_BYTES = 2_048

/** Notes of the caller on a call: `metadata`, or Google's `labels`. Anything but a small object is left to the provider. */
export function readMetadata(json: JsonCursor, draft: RequestDraft): void {
  const isObject = json.isObject()
  const range = json.range()
  if (!isObject || lengthOf(range) > MAX_METADATA_BYTES) return
  const notes = parseObject(json.text(range))
  draft.metadata = notes && Object.keys(notes).length > 0 ? JSON.stringify(notes) : null
}

export function readServiceTier(json: JsonCursor, draft: RequestDraft): void {
  const name = json.stringOrNull()
  draft.serviceTier = name === null ? null : tierName(name)
}

export function readModalities(json: JsonCursor, draft: RequestDraft): void {
  draft.audioOutput = readAudioOutput(json)
}

/** No provider writes more answers to one prompt. */
const MAX_ANSWERS = 128

/** How many answers to one prompt a caller can request. */
export function readAnswers(json: JsonCursor, name: string): number {
  const answers = json.count(name, 1) ?? 1
  if (answers > MAX_ANSWERS) throw invalidField(name, `must be at most ${MAX_ANSWERS}`)
  return answers
}

/** Inline media: its bytes are no text. */
export function readMedia(json: JsonCursor, draft: RequestDraft): void {
  draft.textBytes -= lengthOf(json.range())
}

const SILENT_MODALITIES = new Set(['text', 'image', 'TEXT', 'IMAGE'])

/** True if the answer may come in a modality other than text and images. Google also takes modalities by number. */
export function readAudioOutput(json: JsonCursor): boolean {
  if (!json.isArray()) return readIsAudible(json)
  let isAudible = false
  json.enterArray()
  while (json.nextElement()) isAudible = readIsAudible(json) || isAudible
  return isAudible
}

function readIsAudible(json: JsonCursor): boolean {
  const isNull = json.isNull()
  const modality = json.stringOrNull()
  return !isNull && (modality === null || !SILENT_MODALITIES.has(modality))
}

/** Reads tools with `read`, and measures what they take. */
export function measureTools(json: JsonCursor, draft: RequestDraft, read: () => void): void {
  const start = json.position
  const { separators } = json.passed
  read()
  draft.toolBytes += json.position - start
  draft.toolSeparators += json.passed.separators - separators
}

/** The arguments of a call that a model made, which some servers read and write anew: JSON in a string, or, at some servers, an object. */
export function readArguments(json: JsonCursor, draft: RequestDraft): void {
  if (json.isString()) {
    const range = json.range()
    const structure = new JsonStructure()
    addMeasure(draft, json.bytesAt(range), structure)
    draft.toolBytes += lengthOf(range)
    draft.callArguments += structure.members
    draft.depth = Math.max(draft.depth, structure.maxDepth)
  } else if (json.isObject()) {
    measureTools(json, draft, () => {
      draft.callArguments += countMembers(json)
    })
  } else json.skipValue()
}

/** What a tool answered: some servers read it and write it anew, if it is JSON. @param bytes of a string, or of a list of parts */
export function measureResult(draft: RequestDraft, bytes: Buffer): void {
  if (beginsLikeJson(bytes)) addMeasure(draft, bytes)
}

function addMeasure(draft: RequestDraft, bytes: Buffer, structure?: JsonStructure): void {
  const { grownBytes, separators } = measureJsonString(bytes, structure)
  draft.grownBytes += grownBytes
  draft.toolSeparators += separators
}
