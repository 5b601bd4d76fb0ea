// Translated tap: listens to an answer in the provider's dialect, and passes it on in the caller's.

import type { ChatUsage } from '../core/chat.ts'
import { hasMoreValuesThan, parseObject } from '../core/json-values.ts'
import { usageSum } from '../core/usage.ts'
import type { AnswerUsage, Tap } from '../wire/dialect.ts'
import { ChunkBuffer, EMPTY_BUFFER } from '../wire/taps/chunk-buffer.ts'
import { MeteredTap } from '../wire/taps/metered-tap.ts'
import type { EventReader, EventWriter, ResponseContext, Translator } from './translator.ts'

const LINE_FEED = 0x0a
const DATA_PREFIX = Buffer.from('data:')
/** A longer event is no event: pictures are shorter. */
const MAX_LINE_BYTES = 33_554_432

/** No answer has as many: parsing more would take everybody's time. */
const MAX_VALUES = 1_000_000

/** The provider's answer could not be read: nothing of it can be passed on. */
export class TranslationError extends Error {
  override name = 'TranslationError'
}

/**
 * Takes what the provider's own tap takes, and meters by it. `push` and `end` return the caller's dialect in place of what
 * came in; they throw Untranslatable for an answer that is none.
 */
export class TranslatedTap extends MeteredTap<Tap> {
  readonly #providerTranslator: Translator
  readonly #callerTranslator: Translator
  readonly #context: ResponseContext
  readonly #reader: EventReader
  readonly #writer: EventWriter
  readonly #lineBuffer = new ChunkBuffer()
  #output = ''
  #isClosed = false

  /**
   * @param meter the tap of the provider's dialect, for the same answer
   * @param from what the provider speaks
   * @param to what the caller speaks
   */
  constructor(meter: Tap, from: Translator, to: Translator, context: ResponseContext) {
    super(meter)
    this.#providerTranslator = from
    this.#callerTranslator = to
    this.#context = context
    this.#reader = from.createEventReader()
    this.#writer = to.createEventWriter(context)
  }

  get isDocument(): boolean {
    return this.source.isDocument
  }

  get eventCount(): number {
    return this.source.eventCount
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
    // Of one that broke off nothing is made up: whoever reads on must see that it did.
    if (this.finished || this.failed) this.#close()
    return this.#takeOutput()
  }

  /** The whole of it, in one. */
  #translateWhole(body: Buffer): Buffer {
    this.source.push(body)
    this.source.end()
    const text = body.toString()
    const parsed = hasMoreValuesThan(text, MAX_VALUES) ? undefined : parseObject(text)
    if (!parsed) throw new TranslationError('the answer is no JSON object')
    const used = totalUsage(this.answerUsage())
    const answer = this.#providerTranslator.readResponse(parsed)
    const saysNothing = answer.choices.every(({ parts, stop }) => parts.length === 0 && stop === 'end')
    if (!used && saysNothing) throw new TranslationError('the answer is none of its dialect')
    return Buffer.from(JSON.stringify(this.#callerTranslator.writeResponse(answer, used, this.#context)))
  }

  #readLines(chunk: Buffer): void {
    let from = 0
    for (let feed = chunk.indexOf(LINE_FEED); feed >= 0; feed = chunk.indexOf(LINE_FEED, from)) {
      this.#readLine(this.#takeLine(chunk.subarray(from, feed)))
      from = feed + 1
    }
    this.#lineBuffer.push(chunk.subarray(from))
    if (this.#lineBuffer.length > MAX_LINE_BYTES) throw new TranslationError('an event of the answer is too long')
  }

  /** Most lines come in one piece. */
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
    for (const event of this.#reader.read(data)) this.#output += this.#writer.write(event)
  }

  /** Writes what belongs to the end: stop reasons held back, usage, the terminal event. Once. */
  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const event of this.#reader.end()) this.#output += this.#writer.write(event)
    this.#output += this.#writer.end(totalUsage(this.answerUsage()))
  }

  #takeOutput(): Buffer {
    const written = this.#output
    this.#output = ''
    return written === '' ? EMPTY_BUFFER : Buffer.from(written)
  }
}

function totalUsage(metered: AnswerUsage | undefined): ChatUsage | undefined {
  if (!metered) return undefined
  const usage = (metered.otherUsage ?? []).reduce((sum, share) => usageSum(sum, share.usage), metered.usage)
  return { usage, reasoningTokens: metered.reasoningTokens }
}
