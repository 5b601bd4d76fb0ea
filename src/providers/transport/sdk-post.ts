// SDK post: what is asked through OpenAI's and Anthropic's SDKs, which are made alike.

import { isRecord } from '../../core/json-values.ts'
import { type Outgoing, type ProviderSettings, secretOf } from '../provider.ts'
import type { Forward } from './forward.ts'
import { pooledFetch, type Told } from './pooled-fetch.ts'
import { rawAnswer, type SdkError, type SdkRequest } from './sdk-call.ts'

interface PostOptions {
  readonly body: Buffer
  readonly headers: Record<string, string>
  readonly signal: AbortSignal
  readonly fetchOptions: Told
}

interface PostingClient {
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

export interface PostingSdk {
  /** Loads the SDK with the first call that needs it: a start without it is shorter, and takes less memory. */
  newClient(options: ClientOptions): Promise<PostingClient>
  readonly headers: Readonly<Record<string, string>>
  /** The body of an error answer, from what its error kept of it. */
  errorBody(kept: unknown): unknown
}

/** Calls are cut by their own deadline, and this comes after it. */
const TIMEOUT_MS = 86_400_000

/** How calls are made through an SDK: with one client for our key, and another for each call that brings its own. */
export function postingRequests(
  sdk: PostingSdk,
  forward: Forward,
  { apiKey, baseUrl }: ProviderSettings,
): (outgoing: Outgoing) => SdkRequest {
  const fetch = pooledFetch(forward)
  const clientFor = (key: string) =>
    sdk.newClient({ apiKey: key, baseURL: baseUrl, maxRetries: 0, timeout: TIMEOUT_MS, logLevel: 'off', fetch })
  let ours: Promise<PostingClient> | undefined
  return ({ callerKey, path, body }) => ({
    async ask(signal, started) {
      ours ??= callerKey ? undefined : clientFor(apiKey)
      const client = await (callerKey ? clientFor(secretOf(callerKey)) : ours)
      if (!client) throw new Error('there is no client')
      const headers = { 'content-type': 'application/json', ...sdk.headers }
      return rawAnswer(await client.post(path, { body, headers, signal, fetchOptions: { started } }).asResponse())
    },
    answerIn: (error) => answerIn(sdk, error),
  })
}

/** Their errors of answers have a status, headers, and what the body said. */
function answerIn(sdk: PostingSdk, error: unknown): SdkError | undefined {
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return undefined
  const headers = 'headers' in error && error.headers instanceof Headers ? [...error.headers].flat() : []
  const kept = 'error' in error && isRecord(error.error) ? error.error : undefined
  const body = kept ? sdk.errorBody(kept) : { error: { message: error.message } }
  return { status: error.status, headers, body: JSON.stringify(body) }
}
