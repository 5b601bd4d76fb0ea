// What a chat completion of OpenAI's reports as used, as a document or as a stream.

import { areCredibleCounts, countOf, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { eachObject, ObjectReader } from '../json/object-reader.ts'
import { AnswerEvents } from '../taps/answer-events.ts'
import { DocumentTap } from '../taps/document.ts'
import { hasValue, SseTap } from '../taps/sse.ts'

export function createChatTap(streaming: boolean, contentType: string, hideUsage: boolean): Tap {
  return streaming && contentType.includes('event-stream')
    ? new SseTap(new ChatEvents(), hideUsage)
    : new DocumentTap(readDocumentUsage)
}

/** The figures of one answer, as they came. */
interface Counts {
  prompt: unknown
  completion: unknown
  total: unknown
  cached: unknown
  cacheWritten: unknown
  /** The part of it that is kept for twelve hours. */
  cacheWritten12h: unknown
  audioInput: unknown
  reasoning: unknown
  audioOutput: unknown
}

/** What was read of an answer, or of one chunk of it. */
interface AnswerFacts {
  /** The field that `stream_options` requests. */
  usage: Counts | null
  /** Groq's field for usage in streams without `stream_options`. Other streams have the same figures in both fields. */
  groqUsage: Counts | null
  model: string | null
  serviceTier: string | null
  choices: number
  finished: boolean
  failed: boolean
}

/** Only top-level fields count: a model's own words never do. */
const ANSWER = new ObjectReader<AnswerFacts>({
  choices(json, answer) {
    answer.choices = eachObject(json, readChoice, answer)
  },
  usage(json, answer) {
    answer.usage = readCounts(json)
  },
  x_groq(json, answer) {
    X_GROQ.readIfObject(json, answer)
  },
  model(json, answer) {
    answer.model = json.stringOrNull()
  },
  service_tier(json, answer) {
    answer.serviceTier = json.stringOrNull()
  },
  error(json, answer) {
    answer.failed = !json.isNull()
    json.skipValue()
  },
})

const X_GROQ = new ObjectReader<AnswerFacts>({
  usage(json, answer) {
    answer.groqUsage = readCounts(json)
  },
})

const CHOICE = new ObjectReader<AnswerFacts>({
  finish_reason(json, answer) {
    if (!json.isNull()) answer.finished = true
    json.skipValue()
  },
})

function readChoice(json: JsonCursor, answer: AnswerFacts): void {
  CHOICE.read(json, answer)
}

const COUNTS = ObjectReader.exact<Counts>({
  prompt_tokens(json, counts) {
    counts.prompt = json.numberValue()
  },
  completion_tokens(json, counts) {
    counts.completion = json.numberValue()
  },
  total_tokens(json, counts) {
    counts.total = json.numberValue()
  },
  prompt_tokens_details(json, counts) {
    counts.cached = counts.cacheWritten = counts.cacheWritten12h = counts.audioInput = undefined
    readDetails(json, PROMPT_DETAILS, counts)
  },
  completion_tokens_details(json, counts) {
    counts.reasoning = counts.audioOutput = undefined
    readDetails(json, COMPLETION_DETAILS, counts)
  },
})

const PROMPT_DETAILS = ObjectReader.exact<Counts>({
  cached_tokens(json, counts) {
    counts.cached = json.numberValue()
  },
  cache_write_tokens(json, counts) {
    counts.cacheWritten = json.numberValue()
  },
  cache_write_tokens_details(json, counts) {
    counts.cacheWritten12h = undefined
    readDetails(json, CACHE_WRITE_DETAILS, counts)
  },
  audio_tokens(json, counts) {
    counts.audioInput = json.numberValue()
  },
})

const CACHE_WRITE_DETAILS = ObjectReader.exact<Counts>({
  ttl_12h_tokens(json, counts) {
    counts.cacheWritten12h = json.numberValue()
  },
})

const COMPLETION_DETAILS = ObjectReader.exact<Counts>({
  reasoning_tokens(json, counts) {
    counts.reasoning = json.numberValue()
  },
  audio_tokens(json, counts) {
    counts.audioOutput = json.numberValue()
  },
})

/** Throws on figures that JSON.parse would not read: a usage object that is broken reports nothing. */
function readDetails(json: JsonCursor, details: ObjectReader<Counts>, counts: Counts): void {
  if (json.isObject()) details.read(json, counts)
  else json.value()
}

/** Null for anything but an object. Throws as `readDetails` does. */
function readCounts(json: JsonCursor): Counts | null {
  if (!json.isObject()) {
    json.value()
    return null
  }
  const counts: Counts = {
    prompt: undefined,
    completion: undefined,
    total: undefined,
    cached: undefined,
    cacheWritten: undefined,
    cacheWritten12h: undefined,
    audioInput: undefined,
    reasoning: undefined,
    audioOutput: undefined,
  }
  COUNTS.read(json, counts)
  return counts
}

/** Throws on an answer that cannot be read. */
function readAnswer(bytes: Buffer): AnswerFacts {
  return ANSWER.readDocument(bytes, {
    usage: null,
    groqUsage: null,
    model: null,
    serviceTier: null,
    choices: 0,
    finished: false,
    failed: false,
  })
}

function readDocumentUsage(document: Buffer): AnswerUsage | undefined {
  return answerUsageOf(readAnswer(document))
}

function answerUsageOf({ usage, groqUsage, model, serviceTier }: AnswerFacts): AnswerUsage | undefined {
  const counts = usage ?? groqUsage
  return counts ? normaliseUsage(counts, model, serviceTier) : undefined
}

/**
 * OpenAI's counts include their parts; the classes of `Usage` are disjoint. Parts that exceed their total are reduced to it.
 *
 * Tokens that are in the total and in neither half were used as well. They are audio if the audio is larger than its half
 * could hold, or is all that is missing (Voxtral). Otherwise they are reasoning, named (xAI) or not (Gemini's OpenAI endpoint).
 */
function normaliseUsage(counts: Counts, model: string | null, serviceTier: string | null): AnswerUsage | undefined {
  if (!areCredibleCounts([counts.prompt, counts.completion, counts.total])) return undefined
  const prompt = countOf(counts.prompt)
  const completion = countOf(counts.completion)
  const cacheRead = Math.min(countOf(counts.cached), prompt)
  const written = Math.min(countOf(counts.cacheWritten), prompt - cacheRead)
  const cacheWrite12h = Math.min(countOf(counts.cacheWritten12h), written)
  const audio = countOf(counts.audioInput)
  const beside = Math.max(0, countOf(counts.total) - prompt - completion)
  const reasoning = countOf(counts.reasoning)
  const unnamed = Math.max(0, beside - reasoning)
  const audioBeside = audio > prompt || audio === unnamed ? Math.min(audio, unnamed) : 0
  const reasoningBeside = beside - audioBeside
  const audioInside = Math.min(audio - audioBeside, prompt - cacheRead - written)
  const audioOutput = Math.min(countOf(counts.audioOutput), completion)
  return {
    usage: usageOf({
      input: prompt - cacheRead - written - audioInside,
      cacheRead,
      cacheWrite5m: written - cacheWrite12h,
      cacheWrite12h,
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

class ChatEvents extends AnswerEvents {
  mayMatter(chunk: Buffer): boolean {
    return hasValue(chunk, USAGE) || hasValue(chunk, FINISH_REASON) || chunk.includes(DONE) || chunk.includes(ERROR)
  }

  protected readEvent(payload: Buffer): boolean {
    if (payload.includes(DONE) && payload.toString('latin1').trim() === '[DONE]') {
      this.terminated = this.finished = true
      return false
    }
    const answer = readAnswer(payload)
    this.lastUsage = answerUsageOf(answer) ?? this.lastUsage
    this.finished ||= answer.finished
    this.failed ||= answer.failed
    return answer.choices === 0 && answer.usage !== null
  }
}
