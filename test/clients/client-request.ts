// Client request: one question to any SDK, what comes of it, and what the SDKs' own ways have in common.

import type { DialectName } from '../call/dialect-fixtures.ts'

/** One question. Everything but where to ask has a default. */
export interface ClientRequest {
  /** An origin: the gateway's, or the provider's own. */
  readonly url: string
  readonly key: string
  readonly model?: string
  readonly prompt?: string
  readonly tools?: boolean
  readonly headers?: Readonly<Record<string, string>>
  /** Left to the SDK where it is not given. */
  readonly retries?: number
  readonly signal?: AbortSignal
}

/** What a user of the SDK can read from its error. */
export interface Failure {
  readonly type: string
  readonly status: number | undefined
  /** The SDK's own words for the kind of error: OpenAI's code, Anthropic's error code or type, Google's status. */
  readonly code: unknown
  readonly requestId?: unknown
  readonly retryAfter?: unknown
}

export interface Client {
  readonly name: string
  readonly dialect: DialectName
  /** A whole answer, without what differs from call to call. */
  whole(ask: ClientRequest): Promise<unknown>
  /** A streamed answer's events, likewise. */
  events(ask: ClientRequest): AsyncIterable<unknown>
  /** Undefined where it is not the SDK's own error. */
  failure(error: unknown): Failure | undefined
}

/** What the errors of OpenAI's and Anthropic's SDKs have in common. */
export interface ApiErrorLike extends Error {
  readonly status?: number | undefined
  readonly code?: unknown
  readonly type?: unknown
  readonly errorCode?: unknown
  readonly requestID?: unknown
  readonly headers?: Headers | undefined
}

export function sdkFailure(error: ApiErrorLike, code: unknown): Failure {
  const retryAfter = error.headers?.get('retry-after')
  return { type: error.constructor.name, status: error.status, code, requestId: error.requestID, retryAfter }
}

export const PROMPT = 'Say hello to Köln.'
export const PARAMETERS = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } as const
export const TOOL = { name: 'weather', description: 'The weather in a city.' }
export const FUNCTION = { type: 'function', function: { ...TOOL, parameters: PARAMETERS } } as const
export const CAP = 64
const MODELS: Readonly<Record<DialectName, string>> = {
  openai: 'gpt-4o',
  anthropic: 'claude-sonnet-5',
  gemini: 'gemini-2.5-flash',
}

export const modelOf = (dialect: DialectName, ask: ClientRequest) => ask.model ?? MODELS[dialect]
export const retries = (ask: ClientRequest) => (ask.retries === undefined ? {} : { maxRetries: ask.retries })
export const signal = (ask: ClientRequest) => (ask.signal ? { signal: ask.signal } : {})
export const headers = (ask: ClientRequest) => ({ ...ask.headers })

/** Every provider's error has its word under `error`, by another name. */
export function codeIn(data: unknown): unknown {
  const { error } = (data ?? {}) as { error?: { code?: unknown; type?: unknown; status?: unknown } }
  return error?.status ?? (typeof error?.code === 'string' ? error.code : error?.type)
}
