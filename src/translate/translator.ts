// Translator: one dialect's way into the neutral ask and answer, and out of it. N dialects need N of these, not N × N.

import type { ChatError, ChatEvent, ChatRequest, ChatResponse, ChatUsage, JsonObject } from '../core/chat.ts'
import { Problem } from '../core/problem.ts'
import type { ErrorContext, RequestLine } from '../wire/dialect.ts'

/** The fields of a neutral ask that a dialect may call otherwise. */
export type ChatRequestField = keyof ChatRequest | 'cache'

/** A target cannot do what was asked. The caller is told its own name of the field. */
export function unsupported(field: ChatRequestField, message: string): Problem {
  return new Problem('unsupported', message, field)
}

/** What a neutral ask is written for. */
export interface RequestTarget {
  /** As the provider names it. */
  readonly model: string
  /** The field that caps output there: some OpenAI-compatible servers know only the older one. */
  readonly capField: string
  /** The cap of a call that has none, where the dialect cannot do without. */
  readonly defaultCap: number
}

export interface WrittenRequest {
  readonly body: JsonObject
  /** What was left out, since it was only a hint: neutral fields, or, of what only the caller's dialect knows, its names. */
  readonly dropped: readonly string[]
}

/** What an answer is written for. */
export interface ResponseContext {
  readonly callId: string
  /** Wall clock, milliseconds. */
  readonly nowMs: number
  /** As the caller asked for it; answers carry it where the provider did not say its own. */
  readonly model: string
  /** The caller asked for usage at the end of its stream, or its dialect always sends it. */
  readonly withUsage: boolean
  /** False where the caller wants its stream as one JSON array, as Gemini without `alt=sse` sends it. */
  readonly asEvents: boolean
}

/** Reads a stream, event by event. Never throws: an event that cannot be read says nothing. */
export interface EventReader {
  /** @param data the parsed JSON of one event's data */
  read(data: JsonObject): readonly ChatEvent[]
  /** The stream has ended, well or not. What is still to be said; no more than a second `stop`'s worth. */
  end(): readonly ChatEvent[]
}

/** Writes a stream. What it returns is ready to be sent; empty where nothing is to be sent yet. */
export interface EventWriter {
  write(event: ChatEvent): string
  /** The last of it: whatever the dialect holds back for the end, and its terminal event. Once. */
  end(used: ChatUsage | undefined): string
}

export interface Translator {
  /** As in wire/index.ts. */
  readonly dialect: string
  /** Who speaks it, for people: `Anthropic`. */
  readonly title: string
  /** What it calls the fields of an ask: `max_completion_tokens`, `generationConfig.topK`. */
  readonly fieldNames: Readonly<Partial<Record<ChatRequestField, string>>>
  /**
   * Throws Problem `invalid_request`, naming the field, for what is no request of this dialect. The body is otherwise
   * checked by the dialect's reader in wire/.
   */
  readRequest(body: JsonObject, line: RequestLine): ChatRequest
  /** Throws `unsupported` for what this dialect cannot say and is more than a hint. */
  writeRequest(ask: ChatRequest, target: RequestTarget): WrittenRequest
  /** Where a written ask is sent: the path its own dialect's SDK would use, and the query. */
  requestLine(ask: ChatRequest, target: RequestTarget): { readonly path: string; readonly query: string }
  readResponse(body: JsonObject): ChatResponse
  writeResponse(answer: ChatResponse, used: ChatUsage | undefined, context: ResponseContext): JsonObject
  createEventReader(): EventReader
  createEventWriter(context: ResponseContext): EventWriter
  /** The content type of a stream that `eventWriter` writes. */
  streamContentType(context: ResponseContext): string
  /** An error answer of a provider. @param body its parsed JSON, or undefined where it is none */
  readError(status: number, body: unknown): ChatError
  /** The body of an error answer, JSON. */
  writeError(error: ChatError, context: ErrorContext): string
}
