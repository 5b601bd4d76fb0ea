// Dialect: one wire format. How to read an ask, meter an answer, and say no in the words its SDKs understand.

import type { LevelView } from '../core/meter.ts'
import type { Problem } from '../core/problem.ts'
import type { RequestFacts } from '../core/quote.ts'
import type { Refusal } from '../core/refusal.ts'
import type { Usage } from '../core/usage.ts'

/** What of a request, beside its body, a dialect reads. */
export interface RequestLine {
  readonly path: string
  /** Without the question mark. */
  readonly query: string
  /** Header by lower-case name. */
  header(name: string): string | undefined
}

/** Changes to a request body on its way to the provider. Absent ones are not made. */
export interface Edits {
  /** The model as the provider names it. */
  readonly model?: string
  /** An output cap, in the field the provider reads it from. */
  readonly cap?: {
    readonly field: string
    readonly tokens: number
    /** No other field may say anything else: the provider does not read it. */
    readonly alone?: boolean
  }
  /** Ask for usage at the end of a stream. */
  readonly includeUsage?: boolean
}

/** A request body, read. */
export interface ParsedRequest {
  readonly facts: RequestFacts
  /** True when the caller itself asked for usage at the end of its stream, or the dialect always sends it. */
  readonly asksForUsage: boolean
  /** The body with these edits made as byte edits; the body itself when there are none. */
  edit(edits: Edits): Buffer
}

/** A part of what an answer used, that is priced by itself. */
export interface UsageShare {
  readonly usage: Usage
  readonly model: string | null
}

/** What an answer said it used, in disjoint classes. */
export interface AnswerUsage {
  readonly usage: Usage
  /** What was used beside that: by other models, or in passes of their own. */
  readonly otherUsage?: readonly UsageShare[]
  readonly reasoningTokens: number
  readonly model: string | null
  readonly serviceTier: string | null
}

/** Listens to one answer. Never throws: an answer that cannot be read has no usage. */
export interface Tap {
  /** One document, that is read when it has ended: to be collected before it is passed on. */
  readonly isDocument: boolean
  /** Takes the next bytes, and returns those to pass on: the same, but for a usage chunk the caller did not ask for. */
  push(chunk: Buffer): Buffer
  /** The body has ended. Returns bytes held back until now. */
  end(): Buffer
  /** The last usage seen, or undefined. */
  answerUsage(): AnswerUsage | undefined
  /** The dialect's terminal event has passed: nothing of interest follows. */
  readonly terminated: boolean
  /** The model has said why it stopped, or the answer is whole: a body that ends now ended well. */
  readonly finished: boolean
  /** The answer carried an error event. */
  readonly failed: boolean
  /** How many content events have passed, for an estimate where nothing better is known. */
  readonly eventCount: number
}

/** A header list as Node writes it: name, value, name, value. */
export type HeaderList = string[]

/** What refused or failed answers name themselves by. */
export interface ErrorContext {
  readonly callId: string
  readonly nowMs: number
}

export interface Dialect {
  readonly name: string
  /** Throws Problem for what cannot be metered: broken JSON, absurd caps, duplicate or case-variant fields. */
  readRequest(body: Buffer, line: RequestLine): ParsedRequest
  /** Path and query to ask the provider at, relative to its base URL. */
  upstreamPath(model: string, line: RequestLine): string
  /** True when an answer with this content type is a stream of events rather than one document. */
  createTap(streaming: boolean, contentType: string, hideUsage: boolean): Tap
  refusalBody(refusal: Refusal, context: ErrorContext): string
  problemBody(problem: Problem, context: ErrorContext): string
  /** What ends a stream of this content type that could not be finished: the dialect's error event. */
  streamError(problem: Problem, context: ErrorContext, contentType: string): string
  /** True where some SDK takes an error event for one more answer: the connection is broken after it, too. */
  readonly breaksAfterError: boolean
  /** The header in which its SDKs look for a request id. */
  readonly requestIdHeader: string
  /** The dialect's native rate-limit headers, with our figures, appended to `headers`. */
  addRateHeaders(levels: readonly LevelView[], wallMs: number, headers: HeaderList): void
}
