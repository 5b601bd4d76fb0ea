// Dialect: one wire format as one value. It reads requests, meters answers, and refuses in the words its SDKs understand.
// What a call needs of its dialect stands here. Elsewhere a dialect's name only picks a row or a dialect: a translator,
// a simulated answer, a provider's path, the providers whose models http/models.ts lists for Google's SDKs. Only
// `embed` in a name has a meaning of its own: see `Dialect.name`.

import type { LevelView } from '../core/meter.ts'
import type { Problem } from '../core/problem.ts'
import type { RequestFacts } from '../core/quote.ts'
import type { Refusal } from '../core/refusal.ts'
import type { Usage } from '../core/usage.ts'
import type { Endpoint } from './endpoint.ts'
import type { HostedToolFields } from './hosted-tools.ts'
import type { StatedCost } from './stated-cost.ts'

/** The parts of a request that a dialect reads, in addition to its body. */
export interface RequestLine {
  /** Without the query. */
  readonly path: string
  /** Without the question mark. */
  readonly query: string
  /** The header with this lower-case name. */
  header(name: string): string | undefined
}

/** Changes to a request body on its way to the provider. Absent changes are not made. */
export interface Edits {
  /** The model as the provider names it. */
  readonly model?: string
  /** An output cap, in the field that the provider reads. */
  readonly cap?: {
    readonly field: string
    readonly tokens: number
    /** Caps in other fields become null: the provider is not known to read them. */
    readonly alone?: boolean
  }
  /** Request usage at the end of a stream. */
  readonly includeUsage?: boolean
}

/** A request body that has been read. */
export interface ParsedRequest {
  readonly facts: RequestFacts
  /** True if the caller requested usage at the end of its stream, or the dialect always sends it. */
  readonly requestsUsage: boolean
  /** The body with these changes, made as byte edits; the body itself if there are none. */
  edit(edits: Edits): Buffer
}

/** A request for a provider's count of a call's input tokens. */
export interface CountRequest {
  /** The name of the dialect it is in. */
  readonly dialect: string
  /** Relative to the provider's base URL. */
  readonly path: string
  readonly body: Buffer
}

/** Usage with a price of its own, inside one answer. */
export interface UsageShare {
  readonly usage: Usage
  readonly model: string | null
  /** True if a hosted tool runs the model: the price of the model that was requested is no stand-in for an unknown one. */
  readonly isTool?: boolean
}

/** A field of one provider's own for what hosted tools did. What the field leaves out was not done. */
export type ExtrasField =
  | 'executed_tools'
  | 'num_search_queries'
  | 'num_sources_used'
  | 'server_side_tool_usage_details'
  | 'server_tool_use_details'

/** The usage that an answer reports, in disjoint classes. */
export interface AnswerUsage {
  readonly usage: Usage
  /** Usage that `usage` does not include: of other models, or of additional passes. */
  readonly otherUsage?: readonly UsageShare[]
  /** Included in the output tokens of `usage`. */
  readonly reasoningTokens: number
  readonly model: string | null
  readonly serviceTier: string | null
  /** True if all that was used is listed, whatever the dialect lists. */
  readonly listsExtras?: boolean
  /** The fields of the answer that count or list what hosted tools did. Absent if there are none. */
  readonly extrasFields?: readonly ExtrasField[]
  /** Billed uses that the answer shows and gives no figure for, by a name of the tool. Absent if there are none. */
  readonly unmetered?: readonly string[]
  /** True if the provider ran code in a container that is billed by its time, which the answer does not tell. */
  readonly ranCode?: boolean
  /** What the answer says was charged. */
  readonly statedCost?: StatedCost
  /** True if the classes are not known and `usage` is the most that they can cost. */
  readonly isUpperBound?: boolean
  /** True if nothing tells how much output there was: the answer leaves the count out, which is no zero. */
  readonly isOutputMissing?: boolean
}

/** Meters one answer while its bytes pass. Never throws: an answer that cannot be read has no usage. */
export interface Tap {
  /** The answer is one document, which is read when it has ended: collect it before you pass it on. */
  readonly isDocument: boolean
  /** Takes the next bytes, and returns the bytes to pass on: the same, without a usage chunk that the caller did not request. */
  push(chunk: Buffer): Buffer
  /** The body has ended. Returns bytes that were held back. */
  end(): Buffer
  /** The usage that was reported last, or undefined. */
  answerUsage(): AnswerUsage | undefined
  /** The dialect's terminal event has passed: nothing of interest follows. */
  readonly terminated: boolean
  /** The model has reported why it stopped, or the answer is whole: a body that ends now ended well. */
  readonly finished: boolean
  /** The answer carried an error event, or is an error. */
  readonly failed: boolean
  /** More has passed than the preamble of a stream, which announces an answer. For an error that is a document: it answers in part. */
  readonly hasContent: boolean
  /** The event that carries the error, or the document that is one, as JSON; undefined if the answer has not failed. */
  readonly errorJson: Buffer | undefined
  /** The usage came with the end of the answer, be the end good or bad: nothing more is billed. */
  readonly isUsageFinal: boolean
  /**
   * Set once an answer has been read that is one document although the caller requested a stream: the document as the events that
   * the caller waits for.
   */
  readonly asEvents?: Buffer | undefined
  /** Why a whole answer cannot be passed on, if the provider told; a sentence for the caller. */
  readonly failureMessage?: string | undefined
  /** How many content events have passed, for an estimate if nothing better is known. */
  readonly eventCount: number
}

/** A header list as Node writes it: name, value, name, value. */
export type HeaderList = string[]

/** The call that an error belongs to. */
export interface ErrorContext {
  readonly callId: string
  /** Wall clock, epoch milliseconds. */
  readonly nowMs: number
  /** The message of a problem as a whole, if the message that is shown leaves out parts. */
  readonly wholeText?: string | undefined
}

/** The status of a refusal. */
export type RefusalStatus = 429 | 402 | 400

/** The form of refusals and problems in the dialects of one vendor. */
export interface RefusalFormat {
  /** The header in which the vendor's SDKs look for a request id. */
  readonly requestIdHeader: string
  /** The status that stands for 400 in refusals: another one where agents of the vendor repeat a 400. */
  readonly refusalStatus400: RefusalStatus
  /** The JSON of the answer to a refused call. @param status of the answer; 429 by default */
  refusalBody(refusal: Refusal, context: ErrorContext, status?: RefusalStatus): string
  /** The JSON of the answer to a call with a problem. */
  problemBody(problem: Problem, context: ErrorContext): string
  /** True if some SDK takes an error event for a further answer: the connection is broken after it, too. */
  readonly breaksAfterError: boolean
  /** Appends the vendor's own rate-limit headers, with the gateway's figures, to `headers`. @param wallMs now, epoch milliseconds */
  addRateHeaders(levels: readonly LevelView[], wallMs: number, headers: HeaderList): void
}

/**
 * A wire format. To add one, write its value in a file of its own and add a line to the list in `wire/index.ts`: its routes,
 * its refusals, its count requests and the list of what its vendor speaks follow.
 * @example
 * export const openaiEcho: Dialect<'openai.echo'> = {
 *   ...openaiChat,
 *   name: 'openai.echo',
 *   endpoint: postEndpoint('/v1/echo'),
 *   upstreamPath: (_model, line) => `/echo${forwardedQuery(line.query)}`,
 * }
 */
export interface Dialect<Name extends string = string> extends RefusalFormat {
  /** True if answers list every use of hosted tools, so that what they do not list was not done. */
  readonly listsExtras: boolean
  /**
   * `vendor.operation`. The ledger keeps it. `embed` at the beginning of the operation means that answers are vectors, which
   * have no output tokens (see `core/open-calls.ts`).
   */
  readonly name: Name
  readonly endpoint: Endpoint
  /**
   * True if problems at a path that no dialect serves are answered in this dialect's form. Absent in dialects that leave this
   * to another one of their vendor.
   */
  readonly isNearestTo?: (path: string) => boolean
  /**
   * The path of the same vendor whose calls are translated to providers that do not speak this dialect. Absent if calls of this
   * dialect are translated themselves, or if no other call does the same.
   */
  readonly translatedPath?: string
  /** False if its requests concern no model: whoever may use any model of the provider may send them. Absent: they name one. */
  readonly namesModel?: false
  /** Where its requests have tools that the provider runs. Absent: nowhere. */
  readonly hostedTools?: HostedToolFields
  /** Throws Problem for what cannot be metered: broken JSON, absurd caps, duplicate or case-variant fields. */
  readRequest(body: Buffer, line: RequestLine): ParsedRequest
  /** Path and query of the provider's endpoint, relative to its base URL. @param model as the provider names it */
  upstreamPath(model: string, line: RequestLine): string
  /**
   * The request for the provider's count of input tokens. Undefined if the call cannot be counted whole; absent
   * if the vendor does not count. Throws Problem for a body that cannot be read.
   * @param model as the provider names it
   */
  readonly countRequest?: (body: Buffer, model: string) => CountRequest | undefined
  /** True if a stream for this request is one JSON array in place of events. Absent: never. */
  readonly streamsAsArray?: (line: RequestLine) => boolean
  /**
   * A tap for one answer.
   * @param streaming true if the caller requested a stream; `contentType` tells whether the answer is one
   * @param hideUsage true if only the gateway requested the usage chunk, which must not reach the caller
   * @param requestedModel stands in for a model that the answer does not name
   */
  createTap(streaming: boolean, contentType: string, hideUsage: boolean, requestedModel?: string): Tap
  /**
   * Writes a whole answer as the events of a stream, for callers that requested one. Absent, or undefined: the document is passed on.
   * @param withUsage true: the caller requested usage at the end
   */
  readonly documentEvents?: (document: Readonly<Record<string, unknown>>, withUsage: boolean) => string | undefined
  /** The error event that ends a stream of this content type if it could not be finished. */
  streamError(problem: Problem, context: ErrorContext, contentType: string): string
}
