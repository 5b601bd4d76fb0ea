// What a response of Gemini's reports as used, as a document or as a stream.

import { isRecord, recordOf } from '../../core/json-values.ts'
import { servedTier } from '../../core/service-tier.ts'
import { areCredibleCounts, countOf, isCount, usageOf } from '../../core/usage.ts'
import { isErrorValue } from '../answer-errors.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { eachObject, handlersFor, lengthOf, ObjectReader } from '../json/object-reader.ts'
import { AnswerEvents } from '../taps/answer-events.ts'
import { DocumentTap, ErrorDocument } from '../taps/document.ts'
import { ArrayTap } from '../taps/json-array.ts'
import { hasValue, SseTap } from '../taps/sse.ts'
import { mergeReports, tokensBeside } from '../usage-reports.ts'
import { GROUNDING, type Grounding, lookupsIn, newGrounding } from './grounding.ts'

export function createGenerateTap(
  streaming: boolean,
  contentType: string,
  _hideUsage: boolean,
  requestedModel: string | null = null,
): Tap {
  if (streaming && contentType.includes('event-stream')) return new SseTap(new ResponseEvents(requestedModel), false)
  return streaming && contentType.includes('json')
    ? new ArrayTap(new ResponseEvents(requestedModel))
    : new DocumentTap((document) => readResponseUsage(document, requestedModel))
}

/** What was read of a response, or of one response of a stream. */
interface AnswerFacts {
  counts: unknown
  model: string | null
  readonly grounding: Grounding
  /** True if the answer has a text or anything else that the model wrote, thoughts excluded. */
  hasOutput: boolean
  /** True if the answer has any part, thoughts included. */
  hasParts: boolean
  finished: boolean
  failed: boolean
}

const ANSWER = new ObjectReader<AnswerFacts>({
  candidates(json, answer) {
    eachObject(json, readCandidate, answer)
  },
  usageMetadata(json, answer) {
    answer.counts = json.value()
  },
  modelVersion(json, answer) {
    answer.model = json.stringOrNull()
  },
  promptFeedback(json, answer) {
    // A blocked prompt is answered without a candidate.
    if (json.text(json.range()).includes('"blockReason"')) answer.finished = true
  },
  error(json, answer) {
    answer.failed = isErrorValue(json)
  },
})

const CANDIDATE = new ObjectReader<AnswerFacts>({
  content(json, answer) {
    CONTENT.readIfObject(json, answer)
  },
  urlContextMetadata(json, answer) {
    if (json.isObject()) answer.grounding.readsPages = true
    json.skipValue()
  },
  groundingMetadata(json, answer) {
    GROUNDING.readIfObject(json, answer.grounding)
  },
  finishReason(json, answer) {
    if (json.stringOrNull() !== null) answer.finished = true
  },
})

const CONTENT = new ObjectReader<AnswerFacts>({
  parts(json, answer) {
    eachObject(json, readPart, answer)
  },
})

interface Part {
  isThought: boolean
  hasOutput: boolean
}

const PART = new ObjectReader<Part>({
  thought(json, part) {
    part.isThought = json.text(json.range()) === 'true'
  },
  text(json, part) {
    if (lengthOf(json.range()) > '""'.length) part.hasOutput = true
  },
  ...handlersFor(['functionCall', 'inlineData', 'executableCode'], (json, part: Part) => {
    if (json.isObject()) part.hasOutput = true
    json.skipValue()
  }),
})

function readPart(json: JsonCursor, answer: AnswerFacts): void {
  const part: Part = { isThought: false, hasOutput: false }
  PART.read(json, part)
  answer.hasParts = true
  if (part.hasOutput && !part.isThought) answer.hasOutput = true
}

function readCandidate(json: JsonCursor, answer: AnswerFacts): void {
  CANDIDATE.read(json, answer)
}

function readAnswer(document: Buffer, grounding: Grounding): AnswerFacts {
  return ANSWER.readDocument(document, {
    counts: null,
    model: null,
    grounding,
    hasOutput: false,
    hasParts: false,
    finished: false,
    failed: false,
  })
}

type Reported = Pick<AnswerFacts, 'counts' | 'model' | 'grounding' | 'hasOutput'>

function answerUsageOf(reported: Reported, requestedModel: string | null): AnswerUsage | undefined {
  return isRecord(reported.counts) ? normaliseUsage(reported.counts, reported, requestedModel) : undefined
}

function readResponseUsage(document: Buffer, requestedModel: string | null): AnswerUsage | undefined {
  if (document.toString('latin1', 0, MAX_HEAD_BYTES).trimStart().startsWith('['))
    return readListUsage(document, requestedModel)
  const answer = readAnswer(document, newGrounding())
  const usage = answerUsageOf(answer, requestedModel)
  if (answer.failed && !answer.hasParts) throw new ErrorDocument(usage)
  return usage
}

const MAX_HEAD_BYTES = 64

/** The usage of a list of responses: a stream in the older form, for a request that asked for events. */
function readListUsage(document: Buffer, requestedModel: string | null): AnswerUsage | undefined {
  const list = new ArrayTap(new ResponseEvents(requestedModel))
  list.push(document)
  if (list.failed && !list.answerUsage()) throw new ErrorDocument()
  if (!list.finished) throw new Error('the list of responses is not whole')
  return list.answerUsage()
}

/**
 * Gemini's counts of prompt and candidates exclude thoughts and tool-use prompts, and include cached and audio tokens. What the
 * total has beside all of them is output. Undefined if nothing is counted.
 */
function normaliseUsage(
  counts: Readonly<Record<string, unknown>>,
  { model, grounding, hasOutput }: Reported,
  requestedModel: string | null,
): AnswerUsage | undefined {
  const prompt = countOf(counts.promptTokenCount)
  const toolPrompt = countOf(counts.toolUsePromptTokenCount)
  const thoughts = countOf(counts.thoughtsTokenCount)
  const named = countOf(counts.candidatesTokenCount) + thoughts
  const beside = tokensBeside(countOf(counts.totalTokenCount), prompt + toolPrompt, named, 0)
  const output = named + beside
  // Google leaves a count of zero out; its total says that nothing is missing.
  const isOutputMissing = hasOutput && ![counts.candidatesTokenCount, counts.totalTokenCount].some(isCount)
  if (!areCredibleCounts([counts.promptTokenCount, counts.candidatesTokenCount, counts.thoughtsTokenCount]))
    return undefined
  const cached = Math.min(countOf(counts.cachedContentTokenCount), prompt)
  const audioCacheRead = Math.min(modalityTokens(counts.cacheTokensDetails, 'AUDIO'), cached)
  const audioInput = Math.min(
    Math.max(modalityTokens(counts.promptTokensDetails, 'AUDIO') - audioCacheRead, 0),
    prompt - cached,
  )
  const audioOutput = Math.min(modalityTokens(counts.candidatesTokensDetails, 'AUDIO'), output)
  // Film has its price where images have theirs.
  const drawn = ['IMAGE', 'VIDEO'].reduce((sum, name) => sum + modalityTokens(counts.candidatesTokensDetails, name), 0)
  const imageOutput = Math.min(drawn, output - audioOutput)
  return {
    usage: usageOf({
      input: prompt - cached - audioInput + toolPrompt,
      cacheRead: cached - audioCacheRead,
      audioInput,
      audioCacheRead,
      output: output - audioOutput - imageOutput,
      audioOutput,
      imageOutput,
      ...lookupsIn(grounding, model, requestedModel),
      requests: 1,
    }),
    ...(grounding.usesStore ? { unmetered: ['retrieval'] } : {}),
    ...(isOutputMissing ? { isOutputMissing } : {}),
    reasoningTokens: thoughts,
    model,
    // Vertex AI names the tier that answered in the type of traffic.
    serviceTier: servedTier(counts.serviceTier) ?? servedTier(counts.trafficType),
  }
}

function modalityTokens(details: unknown, name: string): number {
  if (!Array.isArray(details)) return 0
  return details.reduce(
    (sum: number, detail) => sum + (recordOf(detail).modality === name ? countOf(recordOf(detail).tokenCount) : 0),
    0,
  )
}

const USAGE = Buffer.from('usageMetadata"')
const FINISH_REASON = Buffer.from('finishReason"')
const PARTS = Buffer.from('parts"')
const GROUNDING_METADATA = Buffer.from('groundingMetadata"')
const URL_METADATA = Buffer.from('urlContextMetadata"')
const FEEDBACK = Buffer.from('promptFeedback"')
const ERROR = Buffer.from('error"')

/** Gemini ends a stream by closing it: `terminated` stays false. */
class ResponseEvents extends AnswerEvents {
  /** Later responses leave fields out that earlier ones had. */
  #counts: Readonly<Record<string, unknown>> | undefined
  #model: string | null = null
  #hasOutput = false
  readonly #grounding = newGrounding()
  readonly #requestedModel: string | null

  constructor(requestedModel: string | null) {
    super()
    this.#requestedModel = requestedModel
  }

  protected matters(chunk: Buffer): boolean {
    return (
      hasValue(chunk, USAGE) ||
      hasValue(chunk, FINISH_REASON) ||
      (!this.#hasOutput && chunk.includes(PARTS)) ||
      chunk.includes(GROUNDING_METADATA) ||
      chunk.includes(URL_METADATA) ||
      chunk.includes(FEEDBACK) ||
      hasValue(chunk, ERROR)
    )
  }

  override answerUsage(): AnswerUsage | undefined {
    const reported = {
      counts: this.#counts,
      model: this.#model,
      grounding: this.#grounding,
      hasOutput: this.#hasOutput,
    }
    return answerUsageOf(reported, this.#requestedModel)
  }

  protected readEvent(payload: Buffer): boolean {
    const answer = readAnswer(payload, this.#grounding)
    this.#hasOutput ||= answer.hasOutput
    const isCounted = answerUsageOf(answer, this.#requestedModel) !== undefined
    if (isCounted && isRecord(answer.counts)) this.#counts = mergeReports(this.#counts, answer.counts)
    this.#model = answer.model ?? this.#model
    this.finished ||= answer.finished
    this.failed ||= answer.failed
    this.isUsageFinal ||= answer.failed && isCounted
    this.hasContent ||= answer.finished || answer.hasParts
    return false
  }
}
