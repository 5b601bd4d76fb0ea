// Translator: what one dialect has to provide so that its requests, responses, streams and errors can be translated. Every
// dialect translates to and from the chat types of core/chat.ts, so N dialects need N translators and not N × N.

import type { ChatError, ChatEvent, ChatRequest, ChatResponse, ChatUsage, JsonObject } from '../core/chat.ts'
import { Problem } from '../core/problem.ts'
import type { ErrorContext, RequestLine } from '../wire/dialect.ts'
import { invalidField } from '../wire/json/errors.ts'
import type { AnswerChanges } from './answer-restoration.ts'
import { placeOf } from './places.ts'
import type { TargetRules } from './target-rules.ts'

/** The fields of a chat request for which a dialect can have a name of its own. */
export type ChatRequestField =
  | keyof ChatRequest
  | 'toolName'
  | 'toolSchema'
  | 'strict'
  | 'effort'
  | 'media'
  | 'arguments'

/**
 * The error for a request that the target cannot fulfil. The caller sees its own dialect's name of the field.
 * @param message a sentence that says what the target supports
 */
export function unsupported(field: ChatRequestField, message: string): Problem {
  return new Problem('unsupported', message, field)
}

/** The error for a part of a message that the target cannot take. It names the part's place in the caller's request. */
export function unsupportedPart(part: object, message: string): Problem {
  const place = placeOf(part)
  return place === undefined
    ? unsupported('messages', message)
    : new Problem('unsupported', `${place}: ${message}`, place)
}

/** The error for a part of a message that no target could take. @param rule as in `invalidField` */
export function invalidPart(part: object, rule: string): Problem {
  return invalidField(placeOf(part) ?? 'messages', rule)
}

/** The target for which a request is written. */
export interface RequestTarget {
  /** The model as the provider names it. */
  readonly model: string
  /** The field for the maximum of output tokens: some OpenAI-compatible servers know only the older one. */
  readonly capField: string
  /** The maximum of output tokens for a request without one, if the dialect requires one. */
  readonly defaultCap: number
}

/** A request in a provider's dialect. */
export interface WrittenRequest {
  readonly body: JsonObject
  /**
   * The hints that were left out, each once: names of chat request fields, or the caller's own names of fields that only its
   * dialect has.
   */
  readonly dropped: readonly string[]
}

/** What a writer needs to know of the call to write its response. */
export interface ResponseContext {
  readonly callId: string
  /** Wall clock, in milliseconds. */
  readonly nowMs: number
  /** The model of the caller's request, for responses in which the provider does not name its model. */
  readonly model: string
  /** True: the stream ends with usage, because the caller requested it or its dialect always sends it. */
  readonly withUsage: boolean
  /** False: the stream is one JSON array, as Gemini sends it without `alt=sse`. */
  readonly asEvents: boolean
  /** True: the caller requested a stream. A provider may answer with one document all the same. */
  readonly stream?: boolean
  /** What the request was changed by, to be undone in the answer. Absent: nothing. */
  readonly changes?: AnswerChanges
}

/** Reads a stream, event by event. Never throws: an event that cannot be read returns no chat events. */
export interface EventReader {
  /** @param data the parsed JSON of one event's data */
  read(data: JsonObject): readonly ChatEvent[]
  /** Returns the chat events that the reader held back. Call it once, when the stream has ended well or with an error. */
  end(): readonly ChatEvent[]
}

/**
 * Writes a stream. Each method returns text to send at once, which is empty if nothing is ready. Never throws: what the dialect
 * cannot express is left out.
 */
export interface EventWriter {
  write(event: ChatEvent): string
  /**
   * Returns what the writer held back and the dialect's terminal event. Call it once.
   * @param usage absent if the provider reported none
   */
  end(usage: ChatUsage | undefined): string
}

/**
 * One dialect's readers and writers. Readers accept what real servers and clients send and keep what only this dialect has
 * as `Extras`; the dialect's own writer restores it exactly.
 *
 * @example
 * const request = openaiChatTranslator.readRequest(body, line)
 * const { body: sent, dropped } = anthropicMessagesTranslator.writeRequest(request, target)
 * // … send `sent` to requestLine(request, target); then, for a whole response:
 * const response = anthropicMessagesTranslator.readResponse(answer)
 * const returned = openaiChatTranslator.writeResponse(response, usage, context)
 */
export interface Translator {
  /** The dialect's name in wire/index.ts. */
  readonly dialect: string
  /** The vendor's name for people: `Anthropic`. */
  readonly title: string
  /** The dialect's names of chat request fields: `max_completion_tokens`, `generationConfig.topK`. */
  readonly fieldNames: Readonly<Partial<Record<ChatRequestField, string>>>
  /**
   * Reads a request. Throws Problem `invalid_request`, naming the field, if the body is no request of this dialect.
   * @param body the parsed JSON, which the dialect's reader in wire/ has checked already
   */
  readRequest(body: JsonObject, line: RequestLine): ChatRequest
  /** What this dialect's models accept. A request of another dialect is put into that form before it is written. */
  readonly rules: TargetRules
  /** Throws Problem `unsupported`, naming the field, for what this dialect cannot express and the request needs. */
  writeRequest(request: ChatRequest, target: RequestTarget): WrittenRequest
  /** The path and the query to which this dialect's SDK would send the written request. */
  requestLine(request: ChatRequest, target: RequestTarget): { readonly path: string; readonly query: string }
  /** Never throws: what cannot be read is left out. */
  readResponse(body: JsonObject): ChatResponse
  /**
   * Never throws: what this dialect cannot express is left out, because the call is paid for.
   * @param usage absent if the provider reported none
   */
  writeResponse(response: ChatResponse, usage: ChatUsage | undefined, context: ResponseContext): JsonObject
  /** A reader for one stream. */
  createEventReader(): EventReader
  /** A writer for one stream. */
  createEventWriter(context: ResponseContext): EventWriter
  /** The content type of a stream of `createEventWriter`. */
  streamContentType(context: ResponseContext): string
  /** Reads a provider's error response; never throws. @param body its parsed JSON; undefined if it is no JSON */
  readError(status: number, body: unknown): ChatError
  /** The JSON of an error response, as this dialect's SDKs expect it. */
  writeError(error: ChatError, context: ErrorContext): string
}
