// Translated tap: meters a response in the provider's dialect, and returns it in the caller's. It never meters its own output.

import type { ChatEvent, ChatUsage } from '../core/chat.ts'
import { hasMoreValuesThan, isRecord, parseObject } from '../core/json-values.ts'
import { usageSum } from '../core/usage.ts'
import type { AnswerUsage, Tap } from '../wire/dialect.ts'
import { ChunkBuffer, EMPTY_BUFFER } from '../wire/taps/chunk-buffer.ts'
import { MeteredTap } from '../wire/taps/metered-tap.ts'
import { AnswerRestorer } from './answer-restoration.ts'
import { eventsOf } from './response-events.ts'
import type { EventReader, EventWriter, ResponseContext, Translator } from './translator.ts'

const LINE_FEED = 0x0a
const DATA_PREFIX = Buffer.from('data:')
/** Longer than any real event, including those with images. */
const MAX_LINE_BYTES = 33_554_432

/** More values than any real response has. Parsing more would hold up all other calls. */
const MAX_VALUES = 1_000_000

/** The provider's response cannot be read, so nothing of it can be passed on. */
export class TranslationError extends Error {
  override name = 'TranslationError'
}

/**
 * A tap over a provider's response. It gives the bytes to the provider's own tap, which meters them. `push` and `end` return
 * bytes in the caller's dialect, and throw TranslationError if the response cannot be read.
 */
export class TranslatedTap extends MeteredTap<Tap> {
  readonly #providerTranslator: Translator
  readonly #callerTranslator: Translator
  readonly #context: ResponseContext
  readonly #reader: EventReader
  readonly #writer: EventWriter
  readonly #restorer: AnswerRestorer | undefined
  readonly #lineBuffer = new ChunkBuffer()
  #output = ''
  #isClosed = false
  #events: Buffer | undefined
  #failureMessage: string | undefined

  /**
   * @param meter the tap of the provider's dialect for the same response
   * @param from the translator of the provider's dialect
   * @param to the translator of the caller's dialect
   */
  constructor(meter: Tap, from: Translator, to: Translator, context: ResponseContext) {
    super(meter)
    this.#providerTranslator = from
    this.#callerTranslator = to
    this.#context = context
    this.#reader = from.createEventReader()
    this.#writer = to.createEventWriter(context)
    this.#restorer = context.changes && new AnswerRestorer(context.changes)
  }

  get isDocument(): boolean {
    return this.source.isDocument
  }

  get eventCount(): number {
    return this.source.eventCount
  }

  get asEvents(): Buffer | undefined {
    return this.#events
  }

  get failureMessage(): string | undefined {
    return this.#failureMessage
  }

  push(chunk: Buffer): Buffer {
    if (this.isDocument) return this.#translateWhole(chunk)
    this.source.push(chunk)
    this.#readLines(chunk)
    if (this.terminated) this.#close()
    return this.#takeOutput()
  }

  end(): Buffer {
    if (this.isDocument) return EMPTY_BUFFER
    this.source.end()
    this.#readLine(this.#lineBuffer.take())
    // A stream that broke off gets no terminal event, so that the caller sees that it broke off.
    if (this.finished || this.failed) this.#close()
    return this.#takeOutput()
  }

  /** Translates a response that is one JSON document. @param body all of its bytes */
  #translateWhole(body: Buffer): Buffer {
    this.source.push(body)
    this.source.end()
    const text = body.toString()
    if (this.#context.stream && text.trimStart().startsWith('[')) return this.#translateList(text)
    const parsed = hasMoreValuesThan(text, MAX_VALUES) ? undefined : parseObject(text)
    if (!parsed) throw new TranslationError('the response is not a JSON object')
    const usage = totalUsage(this.answerUsage())
    const read = this.#providerTranslator.readResponse(parsed)
    const response = this.#restorer?.restoreResponse(read) ?? read
    if (response.failure) {
      this.#failureMessage = response.failure.message
      throw new TranslationError(response.failure.message)
    }
    const isEmpty = response.choices.every(({ parts, stop }) => parts.length === 0 && stop === 'end')
    if (isEmpty && (!usage || response.choices.length === 0))
      throw new TranslationError(`the response is not one of the dialect ${this.#providerTranslator.dialect}`)
    if (!this.#context.stream)
      return Buffer.from(JSON.stringify(this.#callerTranslator.writeResponse(response, usage, this.#context)))
    for (const event of eventsOf(response)) this.#output += this.#writer.write(event)
    this.#output += this.#writer.end(usage)
    this.#events = this.#takeOutput()
    return this.#events
  }

  /** Translates a stream that came as one list of events, as Gemini's does without `alt=sse`. */
  #translateList(text: string): Buffer {
    const list: unknown = hasMoreValuesThan(text, MAX_VALUES) ? undefined : parseList(text)
    if (!Array.isArray(list)) throw new TranslationError('the response is not a JSON list')
    const events = list.filter(isRecord)
    if (events.length === 0 || !this.finished) throw new TranslationError('the list of events is not whole')
    for (const event of events) this.#write(this.#reader.read(event))
    this.#close()
    this.#events = this.#takeOutput()
    return this.#events
  }

  #readLines(chunk: Buffer): void {
    let from = 0
    for (let feed = chunk.indexOf(LINE_FEED); feed >= 0; feed = chunk.indexOf(LINE_FEED, from)) {
      this.#readLine(this.#takeLine(chunk.subarray(from, feed)))
      from = feed + 1
    }
    this.#lineBuffer.push(chunk.subarray(from))
    if (this.#lineBuffer.length > MAX_LINE_BYTES)
      throw new TranslationError(`an event of the response is longer than ${MAX_LINE_BYTES} bytes`)
  }

  /** The line that ends with `last`. Most lines arrive in one piece, which is returned without a copy. */
  #takeLine(last: Buffer): Buffer {
    if (this.#lineBuffer.length === 0) return last
    this.#lineBuffer.push(last)
    return this.#lineBuffer.take()
  }

  #readLine(line: Buffer): void {
    if (
      this.#isClosed ||
      line.length <= DATA_PREFIX.length ||
      line.compare(DATA_PREFIX, 0, DATA_PREFIX.length, 0, DATA_PREFIX.length) !== 0
    )
      return
    const data = parseObject(line.toString('utf8', DATA_PREFIX.length))
    if (!data) return
    this.#write(this.#reader.read(data))
  }

  /** Writes what was held back, the usage and the terminal event, once. */
  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#write(this.#reader.end())
    this.#output += this.#writer.end(totalUsage(this.answerUsage()))
  }

  #write(events: readonly ChatEvent[]): void {
    for (const event of events)
      for (const restored of this.#restorer?.restoreEvent(event) ?? [event])
        this.#output += this.#writer.write(restored)
  }

  #takeOutput(): Buffer {
    const written = this.#output
    this.#output = ''
    return written === '' ? EMPTY_BUFFER : Buffer.from(written)
  }
}

function parseList(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The usage of the response and of the calls inside it, added up. */
function totalUsage(metered: AnswerUsage | undefined): ChatUsage | undefined {
  if (!metered) return undefined
  const usage = (metered.otherUsage ?? []).reduce((sum, share) => usageSum(sum, share.usage), metered.usage)
  return { usage, reasoningTokens: metered.reasoningTokens }
}
