// Situations: every way the gateway says no, and how to get there with a single call.

import { until } from '../support/server.ts'
import type { Ask } from './ask.ts'
import { KEY, type Pair, startPair } from './pair.ts'

export type Kind = 'time' | 'long' | 'money' | 'never' | 'flight' | 'key' | 'body' | 'path' | 'size' | 'setup'

interface Situation {
  /** Ends a sentence. */
  readonly when: string
  readonly settings?: Readonly<Record<string, string>>
  readonly file?: unknown
  /** Comes before the call that is refused. */
  before?(pair: Pair): Promise<unknown>
  /** What is different about that call. */
  ask?(pair: Pair): Partial<Ask>
}

export interface Scene extends Pair {
  /** The call that is refused. */
  readonly ask: Ask
  /** How often it was made, so far. */
  attempts(): number
  /** How often the provider heard of it. */
  forwarded(): number
  /** Ends a call that is held. */
  release(): Promise<void>
}

export const SITUATIONS: Readonly<Record<Kind, Situation>> = {
  time: {
    when: 'when the requests of a minute are used up',
    settings: { MAX_REQUESTS_PER_MINUTE: '12' },
    before: (pair) => Promise.all(Array.from({ length: 12 }, () => call(pair))),
  },
  long: {
    when: 'when the requests of an hour are used up',
    file: { limits: { global: { requestsPerHour: 1 } } },
    before: call,
  },
  money: {
    when: 'when the money of a day is used up',
    settings: { DAILY_SPENDING_LIMIT: '1.00' },
    before: async (pair) => {
      pair.upstream.spent = { input: 1, output: 1_000_000 }
      await call(pair)
    },
  },
  never: {
    when: 'when the call could cost more than any call may',
    settings: { MAX_COST_PER_REQUEST: '0.000001' },
  },
  flight: {
    when: 'when as many calls are in flight as may be',
    settings: { MAX_IN_FLIGHT: '1' },
    before: async (pair) => {
      void call(pair).catch(() => {})
      await until(() => pair.upstream.received.length === 1)
    },
  },
  key: {
    when: 'when its key is unknown',
    ask: () => ({ key: 'secret-of-nobody' }),
  },
  body: {
    when: 'when its model has no known price',
    ask: () => ({ model: 'nobody-knows-this-model' }),
  },
  path: {
    when: 'when its base URL has a /v1 too many',
    ask: ({ gateway }) => ({ url: `${gateway.url}/v1` }),
  },
  size: {
    when: 'when its request is too large',
    settings: { MAX_BODY_BYTES: '100000' },
    ask: () => ({ prompt: 'x'.repeat(4_000_000) }),
  },
  setup: {
    when: 'when the gateway has no key of the provider',
    settings: { OPENAI_API_KEY: '', ANTHROPIC_API_KEY: '', GEMINI_API_KEY: '' },
  },
}

export const KINDS = Object.keys(SITUATIONS) as Kind[]

export async function stage(kind: Kind): Promise<Scene> {
  const { settings = {}, file, before, ask }: Situation = SITUATIONS[kind]
  const pair = await startPair({ settings, file })
  const { gateway, upstream } = pair
  const { promise: released, resolve } = Promise.withResolvers<void>()
  if (kind === 'flight') upstream.reply = (usual) => ({ ...usual, pieces: [released, ...usual.pieces] })
  await before?.(pair)
  const arrivedBefore = gateway.arrivals.length
  const receivedBefore = upstream.received.length
  return {
    ...pair,
    ask: { ...pair.through, ...ask?.(pair) },
    attempts: () => gateway.arrivals.length - arrivedBefore,
    forwarded: () => upstream.received.length - receivedBefore,
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
async function call({ gateway }: Pair): Promise<void> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
    body: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 16 }),
  })
  await response.text()
  if (response.status !== 200) throw new Error(`the call before was answered ${response.status}`)
}
