// What a chat completion of OpenAI's reports as used, as a document or as a stream.

import type { AnswerUsage, Tap } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { eachObject, handlersFor, ObjectReader } from '../json/object-reader.ts'
import { AnswerEvents } from '../taps/answer-events.ts'
import { DocumentTap, ErrorDocument } from '../taps/document.ts'
import { hasValue, SseTap } from '../taps/sse.ts'
import { type ChatCounts, chatUsageOf, mergeCounts, readCounts } from './chat-usage.ts'
import { type ExecutedTools, newExecutedTools, readExecutedTools } from './executed-tools.ts'

export function createChatTap(streaming: boolean, contentType: string, hideUsage: boolean): Tap {
  return streaming && contentType.includes('event-stream')
    ? new SseTap(new ChatEvents(), hideUsage)
    : new DocumentTap(readDocumentUsage)
}

/** What was read of an answer, or of one chunk of it. */
interface AnswerFacts {
  /** The field that `stream_options` requests. */
  usage: ChatCounts | null
  /** Groq's field for usage in streams without `stream_options`. Other streams have the same figures in both fields. */
  groqUsage: ChatCounts | null
  model: string | null
  serviceTier: string | null
  choices: number
  readonly executed: ExecutedTools
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

const MESSAGE = new ObjectReader<AnswerFacts>({
  executed_tools(json, answer) {
    readExecutedTools(json, answer.executed)
  },
})

const CHOICE = new ObjectReader<AnswerFacts>({
  ...handlersFor(['message', 'delta'], (json, answer: AnswerFacts) => {
    MESSAGE.readIfObject(json, answer)
  }),
  finish_reason(json, answer) {
    if (!json.isNull()) answer.finished = true
    json.skipValue()
  },
})

function readChoice(json: JsonCursor, answer: AnswerFacts): void {
  CHOICE.read(json, answer)
}

/** Throws on an answer that cannot be read. */
function readAnswer(bytes: Buffer, executed: ExecutedTools): AnswerFacts {
  return ANSWER.readDocument(bytes, {
    usage: null,
    groqUsage: null,
    model: null,
    serviceTier: null,
    choices: 0,
    executed,
    finished: false,
    failed: false,
  })
}

/** OpenRouter and others send their status before they know, and then an error in place of choices. */
function readDocumentUsage(document: Buffer): AnswerUsage | undefined {
  const answer = readAnswer(document, newExecutedTools())
  const usage = answerUsageOf(answer)
  if (answer.failed && answer.choices === 0 && !usage) throw new ErrorDocument()
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
  readonly #executed = newExecutedTools()

  override answerUsage(): AnswerUsage | undefined {
    return this.#counts && chatUsageOf(this.#counts, this.#model, this.#serviceTier, this.#executed)
  }

  mayMatter(chunk: Buffer): boolean {
    return (
      hasValue(chunk, USAGE) ||
      hasValue(chunk, FINISH_REASON) ||
      chunk.includes(DONE) ||
      chunk.includes(EXECUTED_TOOLS) ||
      chunk.includes(ERROR)
    )
  }

  protected readEvent(payload: Buffer): boolean {
    if (payload.includes(DONE) && payload.toString('latin1').trim() === '[DONE]') {
      this.terminated = true
      this.finished ||= !this.failed
      return false
    }
    const answer = readAnswer(payload, this.#executed)
    this.#report(answer)
    this.finished ||= answer.finished
    this.failed ||= answer.failed
    return answer.choices === 0 && answer.usage !== null
  }

  /** A chunk that counts nothing, or names no model, leaves what was reported before. */
  #report({ usage, groqUsage, model, serviceTier }: AnswerFacts): void {
    const counts = usage ?? groqUsage
    if (counts && chatUsageOf(counts, model, serviceTier)) this.#counts = mergeCounts(this.#counts, counts)
    this.#model = model ?? this.#model
    this.#serviceTier = serviceTier ?? this.#serviceTier
  }
}
