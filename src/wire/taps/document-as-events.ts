// Document as events: an answer that is one JSON document although the caller requested a stream. The document is metered as it is;
// the caller, who waits for events, gets it as events of the same dialect.

import { isRecord } from '../../core/json-values.ts'
import type { Tap } from '../dialect.ts'
import { ChunkBuffer, EMPTY_BUFFER } from './chunk-buffer.ts'
import { MeteredTap } from './metered-tap.ts'

/** Writes a document as the events of a stream; undefined if the document is no answer. */
export type DocumentEventsWriter = (
  document: Readonly<Record<string, unknown>>,
  withUsage: boolean,
) => string | undefined

/** A tap whose `asEvents` is set at its end, unless the document is an error or no JSON object. */
export class DocumentAsEventsTap extends MeteredTap<Tap> {
  readonly isDocument = true
  readonly #write: DocumentEventsWriter
  readonly #withUsage: boolean
  readonly #document = new ChunkBuffer()
  #events: Buffer | undefined

  constructor(meter: Tap, write: DocumentEventsWriter, withUsage: boolean) {
    super(meter)
    this.#write = write
    this.#withUsage = withUsage
  }

  get eventCount(): number {
    return this.source.eventCount
  }

  get asEvents(): Buffer | undefined {
    return this.#events
  }

  push(chunk: Buffer): Buffer {
    this.#document.push(chunk)
    return this.source.push(chunk)
  }

  end(): Buffer {
    this.source.end()
    if (!this.failed) this.#events = this.#eventsOf(this.#document.take())
    return EMPTY_BUFFER
  }

  /** A list of documents is a stream in the form that Gemini has without `alt=sse`. */
  #eventsOf(body: Buffer): Buffer | undefined {
    try {
      const parsed: unknown = JSON.parse(body.toString())
      const documents = (Array.isArray(parsed) ? parsed : [parsed]).filter(isRecord)
      const events = documents.map((document) => this.#write(document, this.#withUsage))
      const isWhole = events.length > 0 && !events.includes(undefined)
      return isWhole ? Buffer.from(events.join('')) : undefined
    } catch {
      return undefined
    }
  }
}
