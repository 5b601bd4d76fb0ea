// SDK post: POST requests through OpenAI's and Anthropic's SDKs, which are generated alike.

import { isRecord, parseFirstObject } from '../../core/json-values.ts'
import { type ProviderSettings, secretOf, type UpstreamRequest } from '../provider.ts'
import type { HttpForwarder } from './http-forwarder.ts'
import { type FetchOptions, pooledFetch } from './pooled-fetch.ts'
import { type SdkError, type SdkRequest, sdkAnswerOf } from './sdk-call.ts'

interface PostOptions {
  readonly body: Buffer
  readonly headers: Record<string, string>
  readonly signal: AbortSignal
  readonly fetchOptions: FetchOptions
}

interface SdkClient {
  post(path: string, options: PostOptions): { asResponse(): Promise<Response> }
}

/** The options that every client gets. */
interface ClientOptions {
  readonly apiKey: string
  readonly baseURL: string
  readonly maxRetries: 0
  readonly timeout: number
  readonly logLevel: 'off'
  readonly fetch: ReturnType<typeof pooledFetch>
}

/** What differs between the SDKs. */
export interface SdkAdapter {
  /** Loads the SDK on the first call that needs it, so that a start without it is shorter and takes less memory. */
  newClient(options: ClientOptions): Promise<SdkClient>
  /** Added to every request. */
  readonly headers: Readonly<Record<string, string>>
  /** The body of an error answer, from the part that the SDK's error kept. */
  errorBody(kept: unknown): unknown
}

/** Longer than any call's own deadline, which is what ends calls. */
const TIMEOUT_MS = 86_400_000

/** Returns the function that makes requests of an SDK: with one client for our key, and another for each call with its own key. */
export function createSdkRequests(
  sdk: SdkAdapter,
  forwarder: HttpForwarder,
  { apiKey, baseUrl }: ProviderSettings,
): (outgoing: UpstreamRequest) => SdkRequest {
  const fetch = withErrorObjects(pooledFetch(forwarder))
  const clientFor = (key: string) =>
    sdk.newClient({ apiKey: key, baseURL: baseUrl, maxRetries: 0, timeout: TIMEOUT_MS, logLevel: 'off', fetch })
  let ownClient: Promise<SdkClient> | undefined
  return ({ callerKey, path, body }) => ({
    async send(signal, started) {
      const client = await (callerKey ? clientFor(secretOf(callerKey)) : (ownClient ??= clientFor(apiKey)))
      const headers = { 'content-type': 'application/json', ...sdk.headers }
      return sdkAnswerOf(await client.post(path, { body, headers, signal, fetchOptions: { started } }).asResponse())
    },
    errorAnswerIn: (error) => errorAnswerIn(sdk, error),
  })
}

/** The JSON of error answers by their headers, which an SDK's error keeps: of the body, it keeps what its own vendor would send. */
const ERROR_BODIES = new WeakMap<Headers, string>()

/** Google's endpoint for OpenAI's callers puts an error into an array. SDKs would lose it: they get the error alone. */
function withErrorObjects(send: ReturnType<typeof pooledFetch>): ReturnType<typeof pooledFetch> {
  return async (input, init) => {
    const response = await send(input, init)
    if (response.status < 400) return response
    // A body that breaks off leaves the status, which tells enough.
    const text = await response.text().catch(() => '')
    const { status, headers } = response
    const error = parseFirstObject(text)
    const kept = new Response(text.trimStart().startsWith('[') ? JSON.stringify(error ?? {}) : text, {
      status,
      headers,
    })
    if (isRecord(error)) ERROR_BODIES.set(kept.headers, JSON.stringify(error))
    return kept
  }
}

/** An SDK's error for an answer has its status, its headers, and a part of its body. */
function errorAnswerIn(sdk: SdkAdapter, error: unknown): SdkError | undefined {
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return undefined
  const received = 'headers' in error && error.headers instanceof Headers ? error.headers : undefined
  const headers = received ? [...received].flat() : []
  const whole = received && ERROR_BODIES.get(received)
  if (whole !== undefined) return { status: error.status, headers, body: whole }
  const kept = 'error' in error && isRecord(error.error) ? error.error : undefined
  const body = kept ? sdk.errorBody(kept) : { error: { message: error.message } }
  return { status: error.status, headers, body: JSON.stringify(body) }
}
