// Translated tap: listens to an answer in the provider's dialect, and passes it on in the caller's.

import type { NeutralUsage } from '../core/chat.ts'
import { holdsMore, parsedObject } from '../core/json-values.ts'
import { usageSum } from '../core/usage.ts'
import type { Metered, Tap } from '../wire/dialect.ts'
import { Pile } from '../wire/taps/chunk-buffer.ts'
import type { AnswerContext, EventReader, EventWriter, Translator } from './translator.ts'

const LINE_FEED = 0x0a
const NOTHING = Buffer.alloc(0)
const DATA = Buffer.from('data:')
/** A longer event is no event: pictures are shorter. */
const MOST_LINE_BYTES = 33_554_432

/** No answer has as many: parsing more would take everybody's time. */
const MOST_VALUES = 1_000_000

/** The provider's answer could not be read: nothing of it can be passed on. */
export class Untranslatable extends Error {
  override name = 'Untranslatable'
}

/**
 * Takes what the provider's own tap takes, and meters by it. `push` and `end` return the caller's dialect in place of what
 * came in; they throw Untranslatable for an answer that is none.
 */
export class TranslatedTap implements Tap {
  readonly #meter: Tap
  readonly #from: Translator
  readonly #to: Translator
  readonly #context: AnswerContext
  readonly #reader: EventReader
  readonly #writer: EventWriter
  readonly #line = new Pile()
  #written = ''
  #closed = false

  /**
   * @param meter the tap of the provider's dialect, for the same answer
   * @param from what the provider speaks
   * @param to what the caller speaks
   */
  constructor(meter: Tap, from: Translator, to: Translator, context: AnswerContext) {
    this.#meter = meter
    this.#from = from
    this.#to = to
    this.#context = context
    this.#reader = from.eventReader()
    this.#writer = to.eventWriter(context)
  }

  get whole(): boolean {
    return this.#meter.whole
  }

  get terminated(): boolean {
    return this.#meter.terminated
  }

  get finished(): boolean {
    return this.#meter.finished
  }

  get failed(): boolean {
    return this.#meter.failed
  }

  get events(): number {
    return this.#meter.events
  }

  metered(): Metered | undefined {
    return this.#meter.metered()
  }

  push(chunk: Buffer): Buffer {
    if (this.whole) return this.#answer(chunk)
    this.#meter.push(chunk)
    this.#readLines(chunk)
    if (this.terminated) this.#close()
    return this.#take()
  }

  end(): Buffer {
    if (this.whole) return NOTHING
    this.#meter.end()
    this.#readLine(this.#line.take())
    // Of one that broke off nothing is made up: whoever reads on must see that it did.
    if (this.finished || this.failed) this.#close()
    return this.#take()
  }

  /** The whole of it, in one. */
  #answer(body: Buffer): Buffer {
    this.#meter.push(body)
    this.#meter.end()
    const text = body.toString()
    const parsed = holdsMore(text, MOST_VALUES) ? undefined : parsedObject(text)
    if (!parsed) throw new Untranslatable('the answer is no JSON object')
    const used = usedIn(this.metered())
    const answer = this.#from.readAnswer(parsed)
    const saysNothing = answer.choices.every(({ parts, stop }) => parts.length === 0 && stop === 'end')
    if (!used && saysNothing) throw new Untranslatable('the answer is none of its dialect')
    return Buffer.from(JSON.stringify(this.#to.writeAnswer(answer, used, this.#context)))
  }

  #readLines(chunk: Buffer): void {
    let from = 0
    for (let feed = chunk.indexOf(LINE_FEED); feed >= 0; feed = chunk.indexOf(LINE_FEED, from)) {
      this.#readLine(this.#takeLine(chunk.subarray(from, feed)))
      from = feed + 1
    }
    this.#line.push(chunk.subarray(from))
    if (this.#line.length > MOST_LINE_BYTES) throw new Untranslatable('an event of the answer is too long')
  }

  /** Most lines come in one piece. */
  #takeLine(last: Buffer): Buffer {
    if (this.#line.length === 0) return last
    this.#line.push(last)
    return this.#line.take()
  }

  #readLine(line: Buffer): void {
    if (this.#closed || line.length <= DATA.length || line.compare(DATA, 0, DATA.length, 0, DATA.length) !== 0) return
    const data = parsedObject(line.toString('utf8', DATA.length))
    if (!data) return
    for (const event of this.#reader.read(data)) this.#written += this.#writer.write(event)
  }

  /** Writes what belongs to the end: stop reasons held back, usage, the terminal event. Once. */
  #close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const event of this.#reader.end()) this.#written += this.#writer.write(event)
    this.#written += this.#writer.end(usedIn(this.metered()))
  }

  #take(): Buffer {
    const written = this.#written
    this.#written = ''
    return written === '' ? NOTHING : Buffer.from(written)
  }
}

function usedIn(metered: Metered | undefined): NeutralUsage | undefined {
  if (!metered) return undefined
  const usage = (metered.also ?? []).reduce((sum, share) => usageSum(sum, share.usage), metered.usage)
  return { usage, reasoningTokens: metered.reasoningTokens }
}
