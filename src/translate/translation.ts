// Translation: one call asked in one dialect and answered in another, joined from two translators.

import { hasMoreValuesThan, parseObject } from '../core/json-values.ts'
import { Problem } from '../core/problem.ts'
import type { ErrorContext, RequestLine, Tap } from '../wire/dialect.ts'
import { TranslatedTap } from './translated-tap.ts'
import type { ChatRequestField, RequestTarget, ResponseContext, Translator } from './translator.ts'

/** Conversations of agents have a few thousand. */
const MAX_VALUES = 100_000

export interface TranslatedRequest {
  readonly body: Buffer
  /** As though it had come to the provider's own path. */
  readonly line: RequestLine
  /** Names, in the caller's dialect, of hints that the target has no words for. */
  readonly dropped: readonly string[]
}

/** The two ends of a translation. */
export class Translation {
  /** What the caller speaks. */
  readonly #caller: Translator
  /** What the provider speaks. */
  readonly #provider: Translator

  constructor(caller: Translator, provider: Translator) {
    this.#caller = caller
    this.#provider = provider
  }

  /** Throws Problem `unsupported`, naming the caller's field, for what the provider's dialect cannot say. */
  translateRequest(body: Buffer, line: RequestLine, target: RequestTarget): TranslatedRequest {
    const text = body.toString()
    if (hasMoreValuesThan(text, MAX_VALUES))
      throw new Problem('invalid_request', `A request that is translated can have at most ${MAX_VALUES} values.`)
    const parsed = parseObject(text)
    if (!parsed) throw new Problem('invalid_json', 'The request body is not a JSON object.')
    const ask = this.#caller.readRequest(parsed, line)
    try {
      const written = this.#provider.writeRequest(ask, target)
      const { path, query } = this.#provider.requestLine(ask, target)
      return {
        body: Buffer.from(JSON.stringify(written.body)),
        line: { path, query, header: () => undefined },
        dropped: [...new Set(written.dropped.map((name) => this.#fieldNameOf(name)))],
      }
    } catch (error) {
      if (!(error instanceof Problem) || error.param === null) throw error
      throw new Problem(error.code, error.message, this.#fieldNameOf(error.param))
    }
  }

  /** @param meter the tap of the provider's dialect for this answer */
  createTap(meter: Tap, context: ResponseContext): Tap {
    return new TranslatedTap(meter, this.#provider, this.#caller, context)
  }

  /** The content type of a whole answer, or of a stream. */
  contentType(whole: boolean, context: ResponseContext): string {
    return whole ? 'application/json' : this.#caller.streamContentType(context)
  }

  /** A provider's error answer, in the caller's words. */
  errorBody(status: number, body: Buffer, context: ErrorContext): string {
    return this.#caller.writeError(this.#provider.readError(status, parseObject(body.toString())), context)
  }

  #fieldNameOf(name: string): string {
    const { fieldNames } = this.#caller
    return Object.hasOwn(fieldNames, name) ? (fieldNames[name as ChatRequestField] ?? name) : name
  }
}
