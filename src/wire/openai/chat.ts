// OpenAI chat completions: POST /v1/chat/completions, and every API that copies it.

import { areCredibleCounts, countOf, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Dialect, Edits, ParsedRequest } from '../dialect.ts'
import { forwardedQuery } from '../headers.ts'
import { type ByteRange, Fields, invalidField, JsonCursor } from '../json/cursor.ts'
import { applySplices, memberInsertion, type Splice } from '../json/edit.ts'
import {
  eachField,
  eachObject,
  lengthOf,
  markUnbounded,
  newDraft,
  type RequestDraft,
  readAnswers,
  readAudioOutput,
  readInto,
  readMedia,
} from '../request-reader.ts'
import { DocumentTap } from '../taps/document.ts'
import { type EventUsageReader, hasValue, SseTap } from '../taps/sse.ts'
import { addOpenaiRateHeaders, openaiProblemBody, openaiRefusalBody } from './errors.ts'

const BODY = new Fields(
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'n',
  'tools',
  'functions',
  'service_tier',
  'user',
  'modalities',
  'prediction',
  'web_search_options',
  'search_parameters',
  'plugins',
  'models',
  'preset',
  'route',
)
const STREAM_OPTIONS = new Fields('include_usage')
const MESSAGE = new Fields('content', 'audio')
const PART = new Fields('type', 'image_url', 'input_audio', 'file')
/** Parts whose size in the body bounds what they are; pictures are counted. */
const SIZED_PARTS: ReadonlySet<string | null> = new Set([
  'text',
  'input_text',
  'output_text',
  'refusal',
  'thinking',
  'reasoning',
  'image_url',
])
const TOOL = new Fields('type')

/** Where in a body the things lie that may be edited. */
export interface BodyLayout {
  /** Right after the outermost brace. */
  readonly membersStart: number
  isEmpty: boolean
  model: ByteRange | null
  readonly caps: Record<'max_tokens' | 'max_completion_tokens', ByteRange | null>
  streamOptions: (ByteRange & { readonly members: number }) | null
  includeUsage: ByteRange | null
  asksForUsage: boolean
}

export const openaiChat: Dialect = {
  name: 'openai.chat',
  breaksAfterError: false,
  requestIdHeader: 'x-request-id',
  readRequest: readBody,
  upstreamPath: (_model, line) => `/chat/completions${forwardedQuery(line.query)}`,
  createTap: (streaming, contentType, hideUsage) =>
    streaming && contentType.includes('event-stream')
      ? new SseTap(new ChatEvents(), hideUsage)
      : new DocumentTap(readDocumentUsage),
  refusalBody: openaiRefusalBody,
  problemBody: openaiProblemBody,
  streamError: (problem, context) => `data: ${openaiProblemBody(problem, context)}\n\n`,
  addRateHeaders: addOpenaiRateHeaders,
}

/** None found yet, in a body whose outermost brace stands here. */
export function newBodyLayout(brace: number): BodyLayout {
  return {
    membersStart: brace + 1,
    isEmpty: false,
    model: null,
    caps: { max_tokens: null, max_completion_tokens: null },
    streamOptions: null,
    includeUsage: null,
    asksForUsage: false,
  }
}

function readBody(body: Buffer): ParsedRequest {
  const json = new JsonCursor(body)
  const draft = newDraft(body.length)
  const spots = newBodyLayout(json.position)
  const members = eachField(json, BODY, (field) => readMember(json, BODY.names[field] ?? '', draft, spots))
  json.finish()
  spots.isEmpty = members === 0
  if (draft.model === '') throw invalidField('model', 'is required')
  return { facts: draft, asksForUsage: spots.asksForUsage, edit: (edits) => editChat(body, spots, edits) }
}

function readMember(json: JsonCursor, name: string, draft: RequestDraft, spots: BodyLayout): void {
  switch (name) {
    case 'model':
      spots.model = json.range()
      draft.model = json.stringAt(spots.model, name)
      return
    case 'messages':
      return readMessages(json, draft)
    case 'stream':
      draft.stream = json.boolean(name)
      return
    case 'stream_options':
      return readStreamOptions(json, spots)
    case 'max_tokens':
    case 'max_completion_tokens': {
      const at = json.range()
      const cap = json.countAt(at, name, 1)
      spots.caps[name] = at
      if (cap !== null) draft.outputCap = Math.max(draft.outputCap ?? 0, cap)
      return
    }
    case 'n':
      draft.answers = readAnswers(json, name)
      return
    case 'tools':
      eachObject(json, readTool, draft)
      return
    case 'functions':
      eachObject(json, readFunction, draft)
      return
    case 'service_tier':
      draft.serviceTier = json.stringOrNull()
      return
    case 'user':
      draft.user = json.stringOrNull()
      return
    case 'modalities':
      draft.audioOutput = readAudioOutput(json)
      return
    case 'prediction':
      draft.predictionBytes = json.peek() === '{' ? lengthOf(json.range()) : 0 * lengthOf(json.range())
      return
    // xAI's search; OpenRouter's plugins, and the models it falls back to.
    case 'search_parameters':
    case 'plugins':
    case 'models':
    case 'preset':
    case 'route':
    case 'web_search_options':
      if (json.peek() !== 'n') markUnbounded(draft, name)
      json.skipValue()
  }
}

export function readStreamOptions(json: JsonCursor, spots: BodyLayout): void {
  const start = json.position
  if (json.peek() !== '{') {
    if (json.peek() !== 'n') throw invalidField('stream_options', 'must be an object')
    spots.streamOptions = { ...json.range(), members: -1 }
    return
  }
  const members = eachField(json, STREAM_OPTIONS, () => {
    spots.asksForUsage = json.peek() === 't'
    spots.includeUsage = json.range()
  })
  spots.streamOptions = { start, end: start + 1, members }
}

function readMessages(json: JsonCursor, draft: RequestDraft): void {
  if (json.peek() !== '[') throw invalidField('messages', 'must be an array')
  draft.messages = eachObject(json, readMessage, draft)
}

function readMessage(json: JsonCursor, draft: RequestDraft): void {
  eachField(json, MESSAGE, readMessageMember, draft)
}

function readMessageMember(field: number, json: JsonCursor, draft: RequestDraft): void {
  const isAudio = MESSAGE.names[field] === 'audio'
  // `audio` refers to an earlier spoken answer, whose length the body does not show.
  if (isAudio && json.peek() === '{') draft.unsizedInput = draft.audioInput = true
  if (isAudio || json.peek() !== '[') json.skipValue()
  else eachObject(json, readPart, draft)
}

function readPart(json: JsonCursor, draft: RequestDraft): void {
  eachField(json, PART, readPartMember, draft)
}

function readPartMember(part: number, json: JsonCursor, draft: RequestDraft): void {
  if (PART.names[part] === 'type') {
    if (!SIZED_PARTS.has(json.stringOrNull())) draft.unsizedInput = true
    return
  }
  if (PART.names[part] === 'image_url') draft.images++
  else draft.unsizedInput = true
  if (PART.names[part] === 'input_audio') draft.audioInput = true
  readMedia(json, draft)
}

/** A tool that is neither a function nor a grammar is run by the provider, as often as the model likes. */
function readTool(json: JsonCursor, draft: RequestDraft): void {
  draft.tools = true
  eachField(json, TOOL, readToolType, draft)
}

function readToolType(_field: number, json: JsonCursor, draft: RequestDraft): void {
  const type = json.stringOrNull()
  if (type !== null && type !== 'function' && type !== 'custom') markUnbounded(draft, type)
}

function readFunction(json: JsonCursor, draft: RequestDraft): void {
  draft.tools = true
  json.skipValue()
}

/** Also for completions, whose bodies have the same spots. */
export function editChat(body: Buffer, spots: BodyLayout, edits: Edits): Buffer {
  const splices: Splice[] = []
  const added: string[] = []
  if (edits.model !== undefined && spots.model) splices.push({ ...spots.model, text: JSON.stringify(edits.model) })
  if (edits.cap) {
    const { field, tokens, alone } = edits.cap
    let isPresent = false
    for (const [present, at] of Object.entries(spots.caps)) {
      if (at && present === field) {
        isPresent = true
        splices.push({ ...at, text: String(tokens) })
      } else if (at && alone) splices.push({ ...at, text: 'null' })
    }
    if (!isPresent) added.push(`"${field}":${tokens}`)
  }
  if (edits.includeUsage && !spots.asksForUsage) {
    const { includeUsage, streamOptions } = spots
    if (includeUsage) splices.push({ ...includeUsage, text: 'true' })
    else if (!streamOptions) added.push('"stream_options":{"include_usage":true}')
    else if (streamOptions.members < 0) splices.push({ ...streamOptions, text: '{"include_usage":true}' })
    else splices.push(memberInsertion(streamOptions.end, '"include_usage":true', streamOptions.members === 0))
  }
  if (added.length > 0) splices.push(memberInsertion(spots.membersStart, added.join(','), spots.isEmpty))
  return applySplices(body, splices)
}

const ANSWER = new Fields('choices', 'usage', 'x_groq', 'model', 'service_tier', 'error')
const X_GROQ = new Fields('usage')
const CHOICE = new Fields('finish_reason')
const COUNTS = Fields.exact(
  'prompt_tokens',
  'completion_tokens',
  'total_tokens',
  'prompt_tokens_details',
  'completion_tokens_details',
)
const PROMPT_DETAILS = Fields.exact('cached_tokens', 'cache_write_tokens', 'audio_tokens')
const COMPLETION_DETAILS = Fields.exact('reasoning_tokens', 'audio_tokens')

/** The figures of one answer, as they came. */
interface Counts {
  prompt: unknown
  completion: unknown
  total: unknown
  cached: unknown
  cacheWritten: unknown
  audioInput: unknown
  reasoning: unknown
  audioOutput: unknown
}

/** An answer, or one chunk of it, as far as it was read. */
interface AnswerFacts {
  /** Where `stream_options` puts it. */
  usage: Counts | null
  /** Groq's own place for it, in streams that were not asked for it; the others have the same figures twice. */
  groqUsage: Counts | null
  model: string | null
  serviceTier: string | null
  choices: number
  finished: boolean
  failed: boolean
}

/** Only what stands at the top level counts: a model's own words never do. Throws on what cannot be read. */
function readAnswer(bytes: Buffer): AnswerFacts {
  return readInto<AnswerFacts>(bytes, ANSWER, readAnswerMember, {
    usage: null,
    groqUsage: null,
    model: null,
    serviceTier: null,
    choices: 0,
    finished: false,
    failed: false,
  })
}

function readAnswerMember(field: number, json: JsonCursor, answer: AnswerFacts): void {
  switch (ANSWER.names[field]) {
    case 'usage':
      answer.usage = readCounts(json)
      return
    case 'x_groq':
      if (json.peek() === '{') eachField(json, X_GROQ, readGroqUsage, answer)
      else json.skipValue()
      return
    case 'model':
      answer.model = json.stringOrNull()
      return
    case 'service_tier':
      answer.serviceTier = json.stringOrNull()
      return
    case 'error':
      answer.failed = json.peek() !== 'n'
      json.skipValue()
      return
    case 'choices':
      answer.choices = eachObject(json, readChoice, answer)
  }
}

function readGroqUsage(_field: number, json: JsonCursor, answer: AnswerFacts): void {
  answer.groqUsage = readCounts(json)
}

/** Null for what is no object. Throws on what JSON.parse does not take, as for every figure: it says nothing, then. */
function readCounts(json: JsonCursor): Counts | null {
  if (json.peek() !== '{') {
    json.value()
    return null
  }
  const counts: Counts = {
    prompt: undefined,
    completion: undefined,
    total: undefined,
    cached: undefined,
    cacheWritten: undefined,
    audioInput: undefined,
    reasoning: undefined,
    audioOutput: undefined,
  }
  eachField(json, COUNTS, readCount, counts)
  return counts
}

function readCount(field: number, json: JsonCursor, counts: Counts): void {
  switch (COUNTS.names[field]) {
    case 'prompt_tokens':
      counts.prompt = json.numberValue()
      return
    case 'completion_tokens':
      counts.completion = json.numberValue()
      return
    case 'total_tokens':
      counts.total = json.numberValue()
      return
    case 'prompt_tokens_details':
      counts.cached = counts.cacheWritten = counts.audioInput = undefined
      if (json.peek() === '{') eachField(json, PROMPT_DETAILS, readPromptDetail, counts)
      else json.value()
      return
    case 'completion_tokens_details':
      counts.reasoning = counts.audioOutput = undefined
      if (json.peek() === '{') eachField(json, COMPLETION_DETAILS, readCompletionDetail, counts)
      else json.value()
  }
}

function readPromptDetail(field: number, json: JsonCursor, counts: Counts): void {
  const name = PROMPT_DETAILS.names[field]
  if (name === 'cached_tokens') counts.cached = json.numberValue()
  else if (name === 'cache_write_tokens') counts.cacheWritten = json.numberValue()
  else counts.audioInput = json.numberValue()
}

function readCompletionDetail(field: number, json: JsonCursor, counts: Counts): void {
  if (COMPLETION_DETAILS.names[field] === 'reasoning_tokens') counts.reasoning = json.numberValue()
  else counts.audioOutput = json.numberValue()
}

function readChoice(json: JsonCursor, answer: AnswerFacts): void {
  eachField(json, CHOICE, readFinish, answer)
}

function readFinish(_field: number, json: JsonCursor, answer: AnswerFacts): void {
  if (json.peek() !== 'n') answer.finished = true
  json.skipValue()
}

function readDocumentUsage(document: Buffer): AnswerUsage | undefined {
  return answerUsageOf(readAnswer(document))
}

function answerUsageOf({ usage, groqUsage, model, serviceTier }: AnswerFacts): AnswerUsage | undefined {
  const counts = usage ?? groqUsage
  return counts ? normaliseUsage(counts, model, serviceTier) : undefined
}

/**
 * OpenAI's counts hold their parts inside; ours are disjoint. Parts that contradict their total are cut to fit. Tokens that
 * are in the total and in neither half were used as well: sound that is larger than its half could hold or is all that is
 * missing (Voxtral), and else reasoning, named (xAI) or not (Gemini's OpenAI endpoint).
 */
function normaliseUsage(counts: Counts, model: string | null, serviceTier: string | null): AnswerUsage | undefined {
  if (!areCredibleCounts([counts.prompt, counts.completion, counts.total])) return undefined
  const prompt = countOf(counts.prompt)
  const completion = countOf(counts.completion)
  const cacheRead = Math.min(countOf(counts.cached), prompt)
  const cacheWrite5m = Math.min(countOf(counts.cacheWritten), prompt - cacheRead)
  const audio = countOf(counts.audioInput)
  const beside = Math.max(0, countOf(counts.total) - prompt - completion)
  const reasoning = countOf(counts.reasoning)
  const unnamed = Math.max(0, beside - reasoning)
  const audioBeside = audio > prompt || audio === unnamed ? Math.min(audio, unnamed) : 0
  const reasoningBeside = beside - audioBeside
  const audioInside = Math.min(audio - audioBeside, prompt - cacheRead - cacheWrite5m)
  const audioOutput = Math.min(countOf(counts.audioOutput), completion)
  return {
    usage: usageOf({
      input: prompt - cacheRead - cacheWrite5m - audioInside,
      cacheRead,
      cacheWrite5m,
      audioInput: audioInside + audioBeside,
      output: completion - audioOutput + reasoningBeside,
      audioOutput,
      requests: 1,
    }),
    reasoningTokens: Math.max(reasoning, reasoningBeside),
    model,
    serviceTier,
  }
}

const USAGE = Buffer.from('usage"')
const FINISH_REASON = Buffer.from('finish_reason"')
const ERROR = Buffer.from('error"')
const DONE = Buffer.from('DONE]')

class ChatEvents implements EventUsageReader {
  terminated = false
  finished = false
  failed = false
  #last: AnswerUsage | undefined

  mayMatter(chunk: Buffer): boolean {
    return hasValue(chunk, USAGE) || hasValue(chunk, FINISH_REASON) || chunk.includes(DONE) || chunk.includes(ERROR)
  }

  readData(payload: Buffer): boolean {
    if (payload.includes(DONE) && payload.toString('latin1').trim() === '[DONE]') {
      this.terminated = this.finished = true
      return false
    }
    if (!this.mayMatter(payload)) return false
    try {
      const answer = readAnswer(payload)
      this.#last = answerUsageOf(answer) ?? this.#last
      this.finished ||= answer.finished
      this.failed ||= answer.failed
      return answer.choices === 0 && answer.usage !== null
    } catch {
      return false
    }
  }

  answerUsage(): AnswerUsage | undefined {
    return this.#last
  }
}
