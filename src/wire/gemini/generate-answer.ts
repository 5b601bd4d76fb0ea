// What a response of Gemini's reports as used, as a document or as a stream.

import { isRecord, recordOf } from '../../core/json-values.ts'
import { areCredibleCounts, countOf, type UnitsByClass, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { eachObject, handlersFor, lengthOf, ObjectReader } from '../json/object-reader.ts'
import { AnswerEvents } from '../taps/answer-events.ts'
import { DocumentTap, ErrorDocument } from '../taps/document.ts'
import { ArrayTap } from '../taps/json-array.ts'
import { hasValue, SseTap } from '../taps/sse.ts'
import { mergeReports } from '../usage-reports.ts'

export function createGenerateTap(streaming: boolean, contentType: string): Tap {
  if (streaming && contentType.includes('event-stream')) return new SseTap(new ResponseEvents(), false)
  return streaming && contentType.includes('json')
    ? new ArrayTap(new ResponseEvents())
    : new DocumentTap(readResponseUsage)
}

/** What an answer says that Google looked up for it. Searches are billed by the query, or by the prompt that makes any. */
interface Grounding {
  /** Of the web, for pages and for pictures; of maps, if the answer has places and no pages. */
  readonly queries: Set<string>
  usesMaps: boolean
  usesWeb: boolean
  /** Searches in a data store of the caller's, which Vertex AI bills. */
  usesStore: boolean
}

function newGrounding(): Grounding {
  return { queries: new Set(), usesMaps: false, usesWeb: false, usesStore: false }
}

/** Queries beyond this number are not counted. */
const MAX_QUERIES = 1_000

/** What was read of a response, or of one response of a stream. */
interface AnswerFacts {
  counts: unknown
  model: string | null
  readonly grounding: Grounding
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
    answer.failed = lengthOf(json.range()) > 'null'.length
  },
})

const CANDIDATE = new ObjectReader<AnswerFacts>({
  groundingMetadata(json, answer) {
    GROUNDING.readIfObject(json, answer.grounding)
  },
  finishReason(json, answer) {
    if (json.stringOrNull() !== null) answer.finished = true
  },
})

const GROUNDING = new ObjectReader<Grounding>({
  ...handlersFor(['webSearchQueries', 'imageSearchQueries'], (json, grounding: Grounding) => {
    eachText(json, (query) => {
      if (grounding.queries.size < MAX_QUERIES) grounding.queries.add(query)
    })
  }),
  retrievalQueries(json, grounding) {
    eachText(json, () => {
      grounding.usesStore = true
    })
  },
  groundingChunks(json, grounding) {
    eachObject(json, readGroundingChunk, grounding)
  },
  googleMapsWidgetContextToken(json, grounding) {
    if (!json.isNull()) grounding.usesMaps = true
    json.skipValue()
  },
})

/** Calls `take` with each text of a list that is not empty. */
function eachText(json: JsonCursor, take: (text: string) => void): void {
  if (!json.isArray()) return json.skipValue()
  json.enterArray()
  while (json.nextElement()) {
    const text = json.stringOrNull()
    if (text !== null && text !== '') take(text)
  }
}

const GROUNDING_CHUNK = new ObjectReader<Grounding>({
  maps(json, grounding) {
    if (json.isObject()) grounding.usesMaps = true
    json.skipValue()
  },
  ...handlersFor(['web', 'image'], (json, grounding: Grounding) => {
    if (json.isObject()) grounding.usesWeb = true
    json.skipValue()
  }),
})

function readGroundingChunk(json: JsonCursor, grounding: Grounding): void {
  GROUNDING_CHUNK.read(json, grounding)
}

function readCandidate(json: JsonCursor, answer: AnswerFacts): void {
  CANDIDATE.read(json, answer)
}

function readAnswer(document: Buffer, grounding: Grounding): AnswerFacts {
  return ANSWER.readDocument(document, { counts: null, model: null, grounding, finished: false, failed: false })
}

type Reported = Pick<AnswerFacts, 'counts' | 'model' | 'grounding'>

function answerUsageOf({ counts, model, grounding }: Reported): AnswerUsage | undefined {
  return isRecord(counts) ? normaliseUsage(counts, model, grounding) : undefined
}

function readResponseUsage(document: Buffer): AnswerUsage | undefined {
  const answer = readAnswer(document, newGrounding())
  const usage = answerUsageOf(answer)
  if (answer.failed && !usage) throw new ErrorDocument()
  return usage
}

/** Gemini's totals exclude thoughts and tool-use prompts, and include cached and audio tokens. Undefined if it counts nothing. */
function normaliseUsage(
  counts: Readonly<Record<string, unknown>>,
  model: string | null,
  grounding: Grounding,
): AnswerUsage | undefined {
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
      ...lookupsIn(grounding, model),
      requests: 1,
    }),
    ...(grounding.usesStore ? { unmetered: ['retrieval'] } : {}),
    reasoningTokens: countOf(counts.thoughtsTokenCount),
    model,
    serviceTier: servedTier(counts),
  }
}

/**
 * Queries belong to the web unless the answer has places and no pages. Before Gemini 3, a prompt that searches is billed once,
 * whatever it searches for.
 */
function lookupsIn({ queries, usesMaps, usesWeb }: Grounding, model: string | null): UnitsByClass {
  const billed = isBilledByPrompt(model) ? Math.min(queries.size, 1) : queries.size
  if (usesMaps && !usesWeb) return { mapsQueries: Math.max(billed, 1) }
  return { webSearches: billed, mapsQueries: usesMaps ? 1 : 0 }
}

/** The tier that answered: Vertex AI names it in the type of traffic. */
function servedTier({ serviceTier, trafficType }: Readonly<Record<string, unknown>>): string | null {
  if (typeof serviceTier === 'string') return tierName(serviceTier)
  return typeof trafficType === 'string' ? (VERTEX_TIERS.get(trafficType) ?? null) : null
}

/** `PRIORITY`, and `SERVICE_TIER_PRIORITY` as protocol buffers write it, are `priority`. */
export function tierName(text: string): string {
  return text.toLowerCase().replace(/^service_tier_/, '')
}

/** All other types of traffic cost the standard price, or are paid by a bill of their own. */
const VERTEX_TIERS: ReadonlyMap<string, string> = new Map([
  ['ON_DEMAND_PRIORITY', 'priority'],
  ['ON_DEMAND_FLEX', 'flex'],
])

function isBilledByPrompt(model: string | null): boolean {
  return model !== null && /^(?:models\/)?gemini-[12]\./.test(model)
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
const GROUNDING_METADATA = Buffer.from('groundingMetadata"')
const FEEDBACK = Buffer.from('promptFeedback"')
const ERROR = Buffer.from('error"')

/** Gemini ends a stream by closing it: `terminated` stays false. */
class ResponseEvents extends AnswerEvents {
  /** Later responses leave fields out that earlier ones had. */
  #counts: Readonly<Record<string, unknown>> | undefined
  #model: string | null = null
  readonly #grounding = newGrounding()

  mayMatter(chunk: Buffer): boolean {
    return (
      hasValue(chunk, USAGE) ||
      hasValue(chunk, FINISH_REASON) ||
      chunk.includes(GROUNDING_METADATA) ||
      chunk.includes(FEEDBACK) ||
      chunk.includes(ERROR)
    )
  }

  override answerUsage(): AnswerUsage | undefined {
    return answerUsageOf({ counts: this.#counts, model: this.#model, grounding: this.#grounding })
  }

  protected readEvent(payload: Buffer): boolean {
    const answer = readAnswer(payload, this.#grounding)
    if (isRecord(answer.counts) && answerUsageOf(answer)) this.#counts = mergeReports(this.#counts, answer.counts)
    this.#model = answer.model ?? this.#model
    this.finished ||= answer.finished
    this.failed ||= answer.failed
    return false
  }
}
