// SDK post: what is asked through OpenAI's and Anthropic's SDKs, which are made alike.

import { isRecord } from '../../core/json-values.ts'
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

/** What every client is made with. */
export interface ClientOptions {
  readonly apiKey: string
  readonly baseURL: string
  readonly maxRetries: 0
  readonly timeout: number
  readonly logLevel: 'off'
  readonly fetch: ReturnType<typeof pooledFetch>
}

export interface SdkAdapter {
  /** Loads the SDK with the first call that needs it: a start without it is shorter, and takes less memory. */
  newClient(options: ClientOptions): Promise<SdkClient>
  readonly headers: Readonly<Record<string, string>>
  /** The body of an error answer, from what its error kept of it. */
  errorBody(kept: unknown): unknown
}

/** Calls are cut by their own deadline, and this comes after it. */
const TIMEOUT_MS = 86_400_000

/** How calls are made through an SDK: with one client for our key, and another for each call that brings its own. */
export function createSdkRequests(
  sdk: SdkAdapter,
  forward: HttpForwarder,
  { apiKey, baseUrl }: ProviderSettings,
): (outgoing: UpstreamRequest) => SdkRequest {
  const fetch = pooledFetch(forward)
  const clientFor = (key: string) =>
    sdk.newClient({ apiKey: key, baseURL: baseUrl, maxRetries: 0, timeout: TIMEOUT_MS, logLevel: 'off', fetch })
  let ours: Promise<SdkClient> | undefined
  return ({ callerKey, path, body }) => ({
    async send(signal, started) {
      ours ??= callerKey ? undefined : clientFor(apiKey)
      const client = await (callerKey ? clientFor(secretOf(callerKey)) : ours)
      if (!client) throw new Error('there is no client')
      const headers = { 'content-type': 'application/json', ...sdk.headers }
      return sdkAnswerOf(await client.post(path, { body, headers, signal, fetchOptions: { started } }).asResponse())
    },
    errorAnswerIn: (error) => errorAnswerIn(sdk, error),
  })
}

/** Their errors of answers have a status, headers, and what the body said. */
function errorAnswerIn(sdk: SdkAdapter, error: unknown): SdkError | undefined {
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return undefined
  const headers = 'headers' in error && error.headers instanceof Headers ? [...error.headers].flat() : []
  const kept = 'error' in error && isRecord(error.error) ? error.error : undefined
  const body = kept ? sdk.errorBody(kept) : { error: { message: error.message } }
  return { status: error.status, headers, body: JSON.stringify(body) }
}
