// Situations: every way the gateway says no, and how to get there with a single call.

import { waitFor } from '../support/waiting.ts'
import type { ClientRequest } from './client-request.ts'
import { type GatewayPair, KEY, startPair } from './pair.ts'

export type RefusalSituation =
  | 'time'
  | 'long'
  | 'money'
  | 'never'
  | 'flight'
  | 'key'
  | 'body'
  | 'path'
  | 'size'
  | 'setup'

interface Situation {
  /** Ends a sentence. */
  readonly when: string
  readonly env?: Readonly<Record<string, string>>
  readonly config?: unknown
  /** Comes before the call that is refused. */
  before?(pair: GatewayPair): Promise<unknown>
  /** What is different about that call. */
  requestOverrides?(pair: GatewayPair): Partial<ClientRequest>
}

export interface RefusalFixture extends GatewayPair {
  /** The call that is refused. */
  readonly request: ClientRequest
  /** How often it was made, so far. */
  requestCount(): number
  /** How often the provider heard of it. */
  forwardedCount(): number
  /** Ends a call that is held. */
  release(): Promise<void>
}

export const SITUATIONS: Readonly<Record<RefusalSituation, Situation>> = {
  time: {
    when: 'when the requests of a minute are used up',
    env: { MAX_REQUESTS_PER_MINUTE: '12' },
    before: (pair) => Promise.all(Array.from({ length: 12 }, () => sendCall(pair))),
  },
  long: {
    when: 'when the requests of an hour are used up',
    config: { limits: { global: { requestsPerHour: 1 } } },
    before: sendCall,
  },
  money: {
    when: 'when the money of a day is used up',
    env: { DAILY_SPENDING_LIMIT: '1.00' },
    before: async (pair) => {
      pair.provider.usage = { input: 1, output: 1_000_000 }
      await sendCall(pair)
    },
  },
  never: {
    when: 'when the call could cost more than any call may',
    env: { MAX_COST_PER_REQUEST: '0.000001' },
  },
  flight: {
    when: 'when as many calls are in flight as may be',
    env: { MAX_IN_FLIGHT: '1' },
    before: async (pair) => {
      void sendCall(pair).catch(() => {})
      await waitFor(() => pair.provider.received.length === 1)
    },
  },
  key: {
    when: 'when its key is unknown',
    requestOverrides: () => ({ key: 'secret-of-nobody' }),
  },
  body: {
    when: 'when its model has no known price',
    requestOverrides: () => ({ model: 'nobody-knows-this-model' }),
  },
  path: {
    when: 'when its base URL has a /v1 too many',
    requestOverrides: ({ gateway }) => ({ url: `${gateway.url}/v1` }),
  },
  size: {
    when: 'when its request is too large',
    env: { MAX_BODY_BYTES: '100000' },
    requestOverrides: () => ({ prompt: 'x'.repeat(4_000_000) }),
  },
  setup: {
    when: 'when the gateway has no key of the provider',
    env: { OPENAI_API_KEY: '', ANTHROPIC_API_KEY: '', GEMINI_API_KEY: '' },
  },
}

export const REFUSAL_SITUATIONS = Object.keys(SITUATIONS) as RefusalSituation[]

export async function setUpRefusal(kind: RefusalSituation): Promise<RefusalFixture> {
  const { env = {}, config, before, requestOverrides }: Situation = SITUATIONS[kind]
  const pair = await startPair({ env, config })
  const { gateway, provider } = pair
  const { promise: released, resolve } = Promise.withResolvers<void>()
  if (kind === 'flight') provider.says(({ usual }) => ({ ...usual, pieces: [released, ...usual.pieces] }))
  await before?.(pair)
  const arrivedBefore = gateway.receivedRequests.length
  const receivedBefore = provider.received.length
  return {
    ...pair,
    request: { ...pair.through, ...requestOverrides?.(pair) },
    requestCount: () => gateway.receivedRequests.length - arrivedBefore,
    forwardedCount: () => provider.received.length - receivedBefore,
    async release() {
      resolve()
      await gateway.idle()
    },
    async [Symbol.asyncDispose]() {
      resolve()
      await pair[Symbol.asyncDispose]()
    },
  }
}

/** A call that uses something up. */
async function sendCall({ gateway }: GatewayPair): Promise<void> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
    body: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 16 }),
  })
  await response.text()
  if (response.status !== 200) throw new Error(`the call before was answered ${response.status}`)
}
