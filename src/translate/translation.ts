// Translation: joins two translators for calls whose caller speaks one dialect and whose provider speaks another. It holds no
// state of a call.

import { hasMoreValuesThan, parseFirstObject, parseObject } from '../core/json-values.ts'
import { Problem } from '../core/problem.ts'
import type { ErrorContext, RequestLine, Tap } from '../wire/dialect.ts'
import { adaptRequest } from './adaptation.ts'
import { type AnswerChanges, withCallerNames } from './answer-restoration.ts'
import { TranslatedTap } from './translated-tap.ts'
import type { ChatRequestField, RequestTarget, ResponseContext, Translator } from './translator.ts'

/** The conversations of agents have a few thousand values. */
const MAX_VALUES = 100_000

/** A caller's request in the provider's dialect. */
export interface TranslatedRequest {
  readonly body: Buffer
  /** The path and the query that the provider's own dialect uses. It has no headers. */
  readonly line: RequestLine
  /** The hints that were left out, in the caller's names. */
  readonly dropped: readonly string[]
  /** What was put into another form, in the caller's names. */
  readonly adapted: readonly string[]
  /** What has to be undone in the answer; undefined if it is nothing. */
  readonly changes: AnswerChanges | undefined
}

/**
 * Translates requests from the caller's dialect to the provider's, and responses and errors back.
 *
 * @example
 * const translation = new Translation(openaiChatTranslator, geminiGenerateTranslator)
 * const { body, line, dropped } = translation.translateRequest(received, receivedLine, target)
 * const tap = translation.createTap(geminiTap, context) // returns OpenAI's bytes for Gemini's
 */
export class Translation {
  readonly #caller: Translator
  readonly #provider: Translator

  /**
   * @param caller the translator of the caller's dialect
   * @param provider the translator of the provider's dialect
   */
  constructor(caller: Translator, provider: Translator) {
    this.#caller = caller
    this.#provider = provider
  }

  /**
   * Throws Problem `unsupported`, naming the caller's field, for what the provider cannot do; `invalid_json` or
   * `invalid_request` for a body that cannot be read.
   */
  translateRequest(body: Buffer, line: RequestLine, target: RequestTarget): TranslatedRequest {
    const text = body.toString()
    if (hasMoreValuesThan(text, MAX_VALUES))
      throw new Problem(
        'invalid_request',
        `A request that is translated can have at most ${MAX_VALUES} values. Shorten it, or send it in the provider's own dialect.`,
      )
    const parsed = parseObject(text)
    if (!parsed) throw new Problem('invalid_json', 'The request body must be a JSON object.')
    const received = this.#caller.readRequest(parsed, line)
    try {
      const { request, adapted, dropped, changes } = adaptRequest(received, this.#provider.rules, target.model)
      const written = this.#provider.writeRequest(request, target)
      const { path, query } = this.#provider.requestLine(request, target)
      return {
        body: Buffer.from(JSON.stringify(written.body)),
        line: { path, query, header: () => undefined },
        dropped: this.#fieldNamesOf([...written.dropped, ...dropped]),
        adapted: this.#fieldNamesOf(
          [...adapted].filter((name) => name !== 'effort' || !written.dropped.includes('reasoning')),
        ),
        changes,
      }
    } catch (error) {
      if (!(error instanceof Problem) || error.param === null) throw error
      const name = this.#fieldNameOf(error.param)
      throw new Problem(error.code, error.message.replace(`'${error.param}'`, `'${name}'`), name)
    }
  }

  /** A tap for one response. @param meter the tap of the provider's dialect for the same response */
  createTap(meter: Tap, context: ResponseContext): Tap {
    return new TranslatedTap(meter, this.#provider, this.#caller, context)
  }

  /** The content type of the translated response. @param isWhole false for a stream */
  contentType(isWhole: boolean, context: ResponseContext): string {
    return isWhole ? 'application/json' : this.#caller.streamContentType(context)
  }

  /**
   * The provider's error response as JSON in the caller's dialect.
   * @param body the provider's bytes, which need not be JSON
   * @param retryAfterMs how long the provider asks to wait; null if it does not
   * @param changes to the request, to be undone in the words of the error; absent: none
   */
  errorBody(
    status: number,
    body: Buffer,
    context: ErrorContext,
    retryAfterMs: number | null = null,
    changes?: AnswerChanges,
  ): string {
    const read = this.#provider.readError(status, parseFirstObject(body.toString()))
    const error = changes ? withCallerNames(read, changes) : read
    return this.#caller.writeError(retryAfterMs === null ? error : { ...error, retryAfterMs }, context)
  }

  #fieldNamesOf(names: readonly string[]): string[] {
    return [...new Set(names.map((name) => this.#fieldNameOf(name)))]
  }

  #fieldNameOf(name: string): string {
    const { fieldNames } = this.#caller
    return Object.hasOwn(fieldNames, name) ? (fieldNames[name as ChatRequestField] ?? name) : name
  }
}
