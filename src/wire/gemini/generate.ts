// Gemini generateContent and streamGenerateContent: POST /v1beta/models/{model}:generateContent.

import { isRecord, recordOf } from '../../core/json-values.ts'
import type { Problem } from '../../core/problem.ts'
import type { Refusal } from '../../core/refusal.ts'
import { areCredibleCounts, countOf, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Dialect, Edits, ErrorContext, ParsedRequest, RequestLine } from '../dialect.ts'
import { forwardedQuery } from '../headers.ts'
import { type ByteRange, Fields, invalidField, JsonCursor } from '../json/cursor.ts'
import { applySplices, memberInsertion, type Splice } from '../json/edit.ts'
import { refusalDetails } from '../limit-headers.ts'
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
import { ArrayTap } from '../taps/json-array.ts'
import { type EventUsageReader, hasValue, SseTap } from '../taps/sse.ts'
import { maxNormalisedBytes } from '../text-bound.ts'

// Google's servers take every field in camelCase and in snake_case.
const BODY = new Fields(
  'contents',
  'systemInstruction',
  'system_instruction',
  'generationConfig',
  'generation_config',
  'tools',
  'cachedContent',
  'cached_content',
  'serviceTier',
  'service_tier',
)
const CONFIG = new Fields(
  'maxOutputTokens',
  'max_output_tokens',
  'candidateCount',
  'candidate_count',
  'responseModalities',
  'response_modalities',
)
const CONTENT = new Fields('parts')
const PART = new Fields('inlineData', 'inline_data', 'fileData', 'file_data', 'functionResponse', 'function_response')
const MEDIA = new Fields('mimeType', 'mime_type', 'data')
/** Media without sound, which has a price of its own. */
const SILENT_MEDIA_TYPE = /^(image|text|application)\//
const RESPONSE = new Fields('parts')
const DECLARATION_FIELDS = ['functionDeclarations', 'function_declarations']
/** Tools that Google runs. */
const HOSTED_TOOLS = [
  'googleSearch',
  'google_search',
  'googleSearchRetrieval',
  'google_search_retrieval',
  'codeExecution',
  'code_execution',
  'urlContext',
  'url_context',
  'fileSearch',
  'file_search',
  'computerUse',
  'computer_use',
  'googleMaps',
  'google_maps',
]
const TOOL = new Fields(...DECLARATION_FIELDS, ...HOSTED_TOOLS)

const toCamelCase = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
const BODY_NAMES = BODY.names.map(toCamelCase)
const CONFIG_NAMES = CONFIG.names.map(toCamelCase)
const PART_NAMES = PART.names.map(toCamelCase)

interface BodyLayout {
  readonly membersStart: number
  isEmpty: boolean
  config: { readonly opened: number; isEmpty: boolean } | null
  nullConfig: ByteRange | null
  cap: ByteRange | null
}

/** A model's name may hold slashes. */
const MODEL_PATH = /\/(v1\w*)\/models\/(.+):(\w+)$/

export const geminiGenerate: Dialect = {
  name: 'gemini.generateContent',
  breaksAfterError: true,
  requestIdHeader: 'x-request-id',
  readRequest: readBody,
  upstreamPath: (model, line) => {
    const [, version, , method] = MODEL_PATH.exec(line.path) ?? []
    return `/${version ?? 'v1beta'}/models/${encodeURIComponent(model)}:${method ?? 'generateContent'}${forwardedQuery(line.query)}`
  },
  createTap: (streaming, contentType) => {
    if (streaming && contentType.includes('event-stream')) return new SseTap(new ResponseEvents(), false)
    return streaming && contentType.includes('json')
      ? new ArrayTap(new ResponseEvents())
      : new DocumentTap(readResponseUsage)
  },
  refusalBody,
  problemBody,
  streamError: (problem, context, contentType) =>
    contentType.includes('event-stream')
      ? `data: ${problemBody(problem, context)}\r\n\r\n`
      : `,\r\n${problemBody(problem, context)}\n]`,
  addRateHeaders: () => {},
}

/** The model that a path names. */
export function modelInPath(path: string): string {
  const encoded = MODEL_PATH.exec(path)?.[2] ?? ''
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

function readBody(body: Buffer, line: RequestLine): ParsedRequest {
  const json = new JsonCursor(body)
  const draft = newDraft(maxNormalisedBytes(body))
  const spots: BodyLayout = {
    membersStart: json.position + 1,
    isEmpty: false,
    config: null,
    nullConfig: null,
    cap: null,
  }
  draft.model = modelInPath(line.path)
  draft.stream = line.path.endsWith(':streamGenerateContent')
  const members = eachField(json, BODY, (field) => readMember(json, BODY_NAMES[field] ?? '', draft, spots))
  json.finish()
  spots.isEmpty = members === 0
  return { facts: draft, asksForUsage: true, edit: (edits) => editBody(body, spots, edits) }
}

function readMember(json: JsonCursor, name: string, draft: RequestDraft, spots: BodyLayout): void {
  switch (name) {
    case 'contents':
      if (json.peek() === '{') readContent(json, draft)
      else eachObject(json, readContent, draft)
      return
    case 'systemInstruction':
      if (json.peek() === '{') readContent(json, draft)
      else json.skipValue()
      return
    case 'generationConfig':
      return readConfig(json, draft, spots)
    case 'tools':
      if (json.peek() === '{') readTool(json, draft)
      else eachObject(json, readTool, draft)
      return
    case 'cachedContent':
      if (json.stringOrNull()) draft.unsizedInput = true
      return
    case 'serviceTier':
      draft.serviceTier = json.stringOrNull()
  }
}

function readConfig(json: JsonCursor, draft: RequestDraft, spots: BodyLayout): void {
  if (spots.config || spots.nullConfig) throw invalidField('generationConfig', 'must not come twice')
  if (json.peek() !== '{') {
    if (json.peek() !== 'n') throw invalidField('generationConfig', 'must be an object')
    spots.nullConfig = json.range()
    return
  }
  const config = { opened: json.position + 1, isEmpty: false }
  spots.config = config
  const members = eachField(json, CONFIG, (field) => {
    const name = CONFIG_NAMES[field]
    if (name === 'maxOutputTokens') {
      spots.cap = json.range()
      const cap = json.countAt(spots.cap, name, 1)
      if (cap !== null) draft.outputCap = Math.max(draft.outputCap ?? 0, cap)
    } else if (name === 'candidateCount') draft.answers = Math.max(draft.answers, readAnswers(json, name))
    else draft.audioOutput = readAudioOutput(json) || draft.audioOutput
  })
  config.isEmpty = members === 0
}

/** One content: a message, or what is to be embedded. */
export function readContent(json: JsonCursor, draft: RequestDraft): void {
  draft.messages++
  eachField(json, CONTENT, readParts, draft)
}

function readParts(_field: number, json: JsonCursor, draft: RequestDraft): void {
  if (json.peek() === '{') readPart(json, draft)
  else eachObject(json, readPart, draft)
}

function readPart(json: JsonCursor, draft: RequestDraft): void {
  eachField(json, PART, readPartMember, draft)
}

function readPartMember(field: number, json: JsonCursor, draft: RequestDraft): void {
  const name = PART_NAMES[field]
  if (json.peek() !== '{') json.skipValue()
  else if (name === 'inlineData' || name === 'fileData') readBlob(json, draft, name === 'inlineData')
  // A function may answer with media of its own.
  else eachField(json, RESPONSE, () => eachObject(json, readPart, draft))
}

/** Media, inline or stored. Only an inline image counts as one: a stored file is what its caller says it is. */
function readBlob(json: JsonCursor, draft: RequestDraft, inline: boolean): void {
  let type = ''
  eachField(json, MEDIA, (field) => {
    if (MEDIA.names[field] === 'data') readMedia(json, draft)
    else type = json.stringOrNull() ?? ''
  })
  if (inline && type.startsWith('image/')) draft.images++
  else draft.unsizedInput = true
  if (!SILENT_MEDIA_TYPE.test(type)) draft.audioInput = true
}

/** A tool entry with anything but function declarations is run by Google: search, code, URL context. */
function readTool(json: JsonCursor, draft: RequestDraft): void {
  const start = json.position
  let known = 0
  const members = eachField(json, TOOL, (field) => {
    const name = TOOL.names[field] ?? ''
    const length = lengthOf(json.range())
    known++
    if (DECLARATION_FIELDS.includes(name)) draft.tools = length > 2 || draft.tools
    else markUnbounded(draft, name)
  })
  if (members > known) markUnbounded(draft, `tools at byte ${start}`)
}

function editBody(body: Buffer, spots: BodyLayout, edits: Edits): Buffer {
  const splices: Splice[] = []
  if (edits.cap) {
    const text = String(edits.cap.tokens)
    const member = `"maxOutputTokens":${text}`
    if (spots.cap) splices.push({ ...spots.cap, text })
    else if (spots.nullConfig) splices.push({ ...spots.nullConfig, text: `{${member}}` })
    else if (spots.config) splices.push(memberInsertion(spots.config.opened, member, spots.config.isEmpty))
    else splices.push(memberInsertion(spots.membersStart, `"generationConfig":{${member}}`, spots.isEmpty))
  }
  return applySplices(body, splices)
}

const ANSWER = new Fields('candidates', 'usageMetadata', 'modelVersion', 'promptFeedback', 'error')
const CANDIDATE = new Fields('finishReason')

/** A response, or one of a stream's, as far as it was read. */
interface AnswerFacts {
  counts: unknown
  model: string | null
  finished: boolean
  failed: boolean
}

function readAnswer(document: Buffer): AnswerFacts {
  const none: AnswerFacts = { counts: null, model: null, finished: false, failed: false }
  return readInto(document, ANSWER, readAnswerMember, none)
}

function readAnswerMember(field: number, json: JsonCursor, answer: AnswerFacts): void {
  switch (ANSWER.names[field]) {
    case 'usageMetadata':
      answer.counts = json.value()
      return
    case 'modelVersion':
      answer.model = json.stringOrNull()
      return
    case 'error':
      answer.failed = lengthOf(json.range()) > 4
      return
    case 'promptFeedback':
      // Blocked prompts are answered without a candidate.
      if (json.text(json.range()).includes('"blockReason"')) answer.finished = true
      return
    case 'candidates':
      eachObject(json, readCandidate, answer)
  }
}

function readCandidate(json: JsonCursor, answer: AnswerFacts): void {
  eachField(json, CANDIDATE, readFinish, answer)
}

function readFinish(_field: number, json: JsonCursor, answer: AnswerFacts): void {
  if (json.stringOrNull() !== null) answer.finished = true
}

function answerUsageOf({ counts, model }: AnswerFacts): AnswerUsage | undefined {
  return isRecord(counts) ? normaliseUsage(counts, model) : undefined
}

function readResponseUsage(document: Buffer): AnswerUsage | undefined {
  return answerUsageOf(readAnswer(document))
}

/** Thoughts and tool-use prompts stand beside Gemini's totals, cached and audio tokens inside. Undefined when it counts nothing. */
function normaliseUsage(counts: Readonly<Record<string, unknown>>, model: string | null): AnswerUsage | undefined {
  const prompt = countOf(counts.promptTokenCount)
  const output = countOf(counts.candidatesTokenCount) + countOf(counts.thoughtsTokenCount)
  if (!areCredibleCounts([counts.promptTokenCount, counts.candidatesTokenCount, counts.thoughtsTokenCount]))
    return undefined
  const cached = Math.min(countOf(counts.cachedContentTokenCount), prompt)
  const audioCacheRead = Math.min(modalityTokens(counts.cacheTokensDetails, 'AUDIO'), cached)
  const audioInput = Math.min(
    Math.max(modalityTokens(counts.promptTokensDetails, 'AUDIO') - audioCacheRead, 0),
    prompt - cached,
  )
  const audioOutput = Math.min(modalityTokens(counts.candidatesTokensDetails, 'AUDIO'), output)
  const imageOutput = Math.min(modalityTokens(counts.candidatesTokensDetails, 'IMAGE'), output - audioOutput)
  return {
    usage: usageOf({
      input: prompt - cached - audioInput + countOf(counts.toolUsePromptTokenCount),
      cacheRead: cached - audioCacheRead,
      audioInput,
      audioCacheRead,
      output: output - audioOutput - imageOutput,
      audioOutput,
      imageOutput,
      requests: 1,
    }),
    reasoningTokens: countOf(counts.thoughtsTokenCount),
    model,
    serviceTier: typeof counts.serviceTier === 'string' ? counts.serviceTier.toLowerCase() : null,
  }
}

function modalityTokens(details: unknown, name: string): number {
  if (!Array.isArray(details)) return 0
  return details.reduce(
    (sum: number, one) => sum + (recordOf(one).modality === name ? countOf(recordOf(one).tokenCount) : 0),
    0,
  )
}

const USAGE = Buffer.from('usageMetadata"')
const FINISH_REASON = Buffer.from('finishReason"')
const FEEDBACK = Buffer.from('promptFeedback"')
const ERROR = Buffer.from('error"')

/** Gemini ends a stream by closing it: `terminated` never comes. */
class ResponseEvents implements EventUsageReader {
  readonly terminated = false
  finished = false
  failed = false
  /** Running totals: the last one counts, and only it is worth parsing twice. */
  #last: AnswerUsage | undefined

  mayMatter(chunk: Buffer): boolean {
    return hasValue(chunk, USAGE) || hasValue(chunk, FINISH_REASON) || chunk.includes(FEEDBACK) || chunk.includes(ERROR)
  }

  readData(payload: Buffer): boolean {
    if (!this.mayMatter(payload)) return false
    try {
      const answer = readAnswer(payload)
      this.#last = answerUsageOf(answer) ?? this.#last
      this.finished ||= answer.finished
      this.failed ||= answer.failed
    } catch {
      // Not a response: passed on as it is.
    }
    return false
  }

  answerUsage(): AnswerUsage | undefined {
    return this.#last
  }
}

/** google.rpc names by status. There is none for 413 and 415: they are invalid arguments. */
const STATUS_NAMES: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNIMPLEMENTED',
  408: 'DEADLINE_EXCEEDED',
  413: 'INVALID_ARGUMENT',
  415: 'INVALID_ARGUMENT',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

const ERROR_INFO_TYPE = 'type.googleapis.com/google.rpc.ErrorInfo'
const BAD_REQUEST_TYPE = 'type.googleapis.com/google.rpc.BadRequest'

function problemBody(problem: Problem, context: ErrorContext): string {
  return JSON.stringify({
    error: {
      code: problem.status,
      message: problem.message,
      status: STATUS_NAMES[problem.status] ?? 'UNKNOWN',
      details: [
        { '@type': ERROR_INFO_TYPE, reason: problem.code, domain: 'bursar', metadata: { call_id: context.callId } },
        ...fieldViolations(problem),
      ],
    },
  })
}

/** The field at fault, where Google's own errors name it. */
function fieldViolations({ param, message }: Problem): readonly object[] {
  if (param === null) return []
  return [{ '@type': BAD_REQUEST_TYPE, fieldViolations: [{ field: param, description: message }] }]
}

function refusalBody(refusal: Refusal, context: ErrorContext): string {
  const { meter } = refusal
  return JSON.stringify({
    error: {
      code: 429,
      message: refusal.message,
      status: 'RESOURCE_EXHAUSTED',
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
          violations: [{ quotaMetric: `bursar/${meter.what}`, quotaId: meter.name, quotaValue: `${refusal.capacity}` }],
        },
        { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${(refusal.waitMs / 1000).toFixed(3)}s` },
        {
          '@type': ERROR_INFO_TYPE,
          reason: 'LIMIT_EXCEEDED',
          domain: 'bursar',
          metadata: { call_id: context.callId, ...refusalDetails(refusal, context.nowMs) },
        },
      ],
    },
  })
}
