// What a response of Gemini's reports as used, as a document or as a stream.

import { isRecord, recordOf } from '../../core/json-values.ts'
import { areCredibleCounts, countOf, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { eachObject, lengthOf, ObjectReader } from '../json/object-reader.ts'
import { AnswerEvents } from '../taps/answer-events.ts'
import { DocumentTap } from '../taps/document.ts'
import { ArrayTap } from '../taps/json-array.ts'
import { hasValue, SseTap } from '../taps/sse.ts'

export function createGenerateTap(streaming: boolean, contentType: string): Tap {
  if (streaming && contentType.includes('event-stream')) return new SseTap(new ResponseEvents(), false)
  return streaming && contentType.includes('json')
    ? new ArrayTap(new ResponseEvents())
    : new DocumentTap(readResponseUsage)
}

/** What was read of a response, or of one response of a stream. */
interface AnswerFacts {
  counts: unknown
  model: string | null
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
  finishReason(json, answer) {
    if (json.stringOrNull() !== null) answer.finished = true
  },
})

function readCandidate(json: JsonCursor, answer: AnswerFacts): void {
  CANDIDATE.read(json, answer)
}

function readAnswer(document: Buffer): AnswerFacts {
  return ANSWER.readDocument(document, { counts: null, model: null, finished: false, failed: false })
}

function answerUsageOf({ counts, model }: AnswerFacts): AnswerUsage | undefined {
  return isRecord(counts) ? normaliseUsage(counts, model) : undefined
}

function readResponseUsage(document: Buffer): AnswerUsage | undefined {
  return answerUsageOf(readAnswer(document))
}

/** Gemini's totals exclude thoughts and tool-use prompts, and include cached and audio tokens. Undefined if it counts nothing. */
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
    (sum: number, detail) => sum + (recordOf(detail).modality === name ? countOf(recordOf(detail).tokenCount) : 0),
    0,
  )
}

const USAGE = Buffer.from('usageMetadata"')
const FINISH_REASON = Buffer.from('finishReason"')
const FEEDBACK = Buffer.from('promptFeedback"')
const ERROR = Buffer.from('error"')

/** Gemini ends a stream by closing it: `terminated` stays false. */
class ResponseEvents extends AnswerEvents {
  mayMatter(chunk: Buffer): boolean {
    return hasValue(chunk, USAGE) || hasValue(chunk, FINISH_REASON) || chunk.includes(FEEDBACK) || chunk.includes(ERROR)
  }

  protected readEvent(payload: Buffer): boolean {
    const answer = readAnswer(payload)
    this.lastUsage = answerUsageOf(answer) ?? this.lastUsage
    this.finished ||= answer.finished
    this.failed ||= answer.failed
    return false
  }
}
