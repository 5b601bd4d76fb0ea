// What a chat completion of OpenAI's reports as used, as a document or as a stream.

import { servedTier } from '../../core/service-tier.ts'
import { isErrorValue } from '../answer-errors.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import type { ByteRange, JsonCursor } from '../json/cursor.ts'
import { eachObject, type FieldHandlers, handlersFor, ObjectReader } from '../json/object-reader.ts'
import { AnswerEvents } from '../taps/answer-events.ts'
import { DocumentTap, ErrorDocument } from '../taps/document.ts'
import { hasValue, SseTap } from '../taps/sse.ts'
import { ERROR_FIELDS, type ErrorFacts, hasChoiceContent } from './chat-errors.ts'
import { type ChatCounts, chatUsageOf, mergeCounts, readCounts } from './chat-usage.ts'
import { type ExecutedTools, newExecutedTools, readExecutedTools } from './executed-tools.ts'

export function createChatTap(streaming: boolean, contentType: string, hideUsage: boolean): Tap {
  return streaming && contentType.includes('event-stream')
    ? new SseTap(new ChatEvents(), hideUsage)
    : new DocumentTap(readDocumentUsage)
}

/** What was read of an answer, or of one chunk of it. */
interface AnswerFacts extends ErrorFacts {
  /** The field that `stream_options` requests. */
  usage: ChatCounts | null
  /** Groq's field for usage in streams without `stream_options`. Other streams have the same figures in both fields. */
  groqUsage: ChatCounts | null
  model: string | null
  serviceTier: string | null
  choices: number
  choicesAt: ByteRange | null
  /** How many of the choices are errors. */
  failedChoices: number
  /** Undefined until a message lists some. */
  executed: ExecutedTools | undefined
  finished: boolean
}

/** Only top-level fields count: a model's own words never do. */
const ANSWER = new ObjectReader<AnswerFacts>({
  choices(json, answer) {
    const start = json.position
    answer.choices = eachObject(json, readChoice, answer)
    answer.choicesAt = { start, end: json.position }
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
    answer.serviceTier = servedTier(json.stringOrNull())
  },
  ...(ERROR_FIELDS as FieldHandlers<AnswerFacts>),
})

const X_GROQ = new ObjectReader<AnswerFacts>({
  usage(json, answer) {
    answer.groqUsage = readCounts(json)
  },
})

const MESSAGE = new ObjectReader<AnswerFacts>({
  executed_tools(json, answer) {
    answer.executed ??= newExecutedTools()
    readExecutedTools(json, answer.executed)
  },
})

interface Choice {
  finished: boolean
  failed: boolean
}

const CHOICE = new ObjectReader<Choice, AnswerFacts>({
  ...handlersFor(['message', 'delta'], (json, _choice: Choice, answer: AnswerFacts) => {
    MESSAGE.readIfObject(json, answer)
  }),
  finish_reason(json, choice) {
    choice.finished = !json.isNull()
    if (json.text(json.range()) === '"error"') choice.failed = true
  },
  // OpenRouter's errors of single choices.
  error(json, choice) {
    choice.failed = isErrorValue(json) || choice.failed
  },
})

function readChoice(json: JsonCursor, answer: AnswerFacts): void {
  const choice: Choice = { finished: false, failed: false }
  CHOICE.read(json, choice, answer)
  if (choice.failed) answer.failedChoices++
  else answer.finished ||= choice.finished
}

/** Throws on an answer that cannot be read. */
function readAnswer(bytes: Buffer, executed?: ExecutedTools): AnswerFacts {
  return ANSWER.readDocument(bytes, {
    usage: null,
    groqUsage: null,
    model: null,
    serviceTier: null,
    choices: 0,
    choicesAt: null,
    failedChoices: 0,
    executed,
    finished: false,
    hasError: false,
    hasDetail: false,
  })
}

/** True for an error, and for an answer of which every choice is one. OpenRouter and others send their status before they know. */
function isErrorAnswer(answer: AnswerFacts, bytes: Buffer): boolean {
  const { choices, failedChoices, hasError, hasDetail } = answer
  if (choices === 0) return hasError || hasDetail
  return failedChoices === choices || (hasError && !hasContent(answer, bytes))
}

function hasContent({ choicesAt }: AnswerFacts, bytes: Buffer): boolean {
  return choicesAt !== null && hasChoiceContent(bytes.subarray(choicesAt.start, choicesAt.end))
}

function readDocumentUsage(document: Buffer): AnswerUsage | undefined {
  const answer = readAnswer(document)
  const usage = answerUsageOf(answer)
  if (isErrorAnswer(answer, document)) throw new ErrorDocument(usage, hasContent(answer, document))
  return usage
}

function answerUsageOf({ usage, groqUsage, model, serviceTier, executed }: AnswerFacts): AnswerUsage | undefined {
  const counts = usage ?? groqUsage
  return counts ? chatUsageOf(counts, model, serviceTier, executed) : undefined
}

const USAGE = Buffer.from('usage"')
const FINISH_REASON = Buffer.from('finish_reason"')
const EXECUTED_TOOLS = Buffer.from('executed_tools"')
const ERROR = Buffer.from('error"')
const DONE = Buffer.from('DONE]')

class ChatEvents extends AnswerEvents {
  #counts: ChatCounts | undefined
  #model: string | null = null
  #serviceTier: string | null = null
  #executed: ExecutedTools | undefined

  override answerUsage(): AnswerUsage | undefined {
    return this.#counts && chatUsageOf(this.#counts, this.#model, this.#serviceTier, this.#executed)
  }

  protected matters(chunk: Buffer): boolean {
    return (
      hasValue(chunk, USAGE) ||
      hasValue(chunk, FINISH_REASON) ||
      chunk.includes(DONE) ||
      chunk.includes(EXECUTED_TOOLS) ||
      hasValue(chunk, ERROR)
    )
  }

  protected readEvent(payload: Buffer): boolean {
    if (payload.includes(DONE) && payload.toString('latin1').trim() === '[DONE]') {
      this.terminated = true
      this.finished ||= !this.failed
      this.hasContent ||= this.finished
      return false
    }
    const answer = readAnswer(payload, this.#executed)
    this.#executed = answer.executed
    const isError = answer.hasError || answer.failedChoices > 0 || isErrorAnswer(answer, payload)
    const hasReported = this.#report(answer)
    this.finished ||= answer.finished
    this.failed ||= isError
    this.isUsageFinal ||= this.failed && hasReported
    // A chunk with a role alone is a preamble, as are one without choices and one with empty text.
    this.hasContent ||= answer.finished || hasContent(answer, payload)
    return answer.choices === 0 && answer.usage !== null && !isError
  }

  /** A chunk that counts nothing, or names no model, leaves what was reported before. Returns true if the chunk counts something. */
  #report({ usage, groqUsage, model, serviceTier }: AnswerFacts): boolean {
    const counts = usage ?? groqUsage
    const isCounted = counts !== null && chatUsageOf(counts, model, serviceTier) !== undefined
    if (isCounted) this.#counts = mergeCounts(this.#counts, counts)
    this.#model = model ?? this.#model
    this.#serviceTier = serviceTier ?? this.#serviceTier
    return isCounted
  }
}
