// In process: an SDK whose `fetch` is the app itself, without a socket between them.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../support/waiting.ts'
import { type GatewayPair, KEY, plainJson, startPair } from './pair.ts'

const MESSAGES = [{ role: 'user' as const, content: 'Hello' }]
const CHAT = { model: 'gpt-4o', messages: MESSAGES, stream_options: { include_usage: true } }
const MESSAGE = { model: 'claude-sonnet-5', messages: MESSAGES, max_tokens: 64 }

type Fetch = (url: string | URL | Request, init?: RequestInit) => Promise<Response>

/** One question, over whatever `fetch` there is. */
interface MountedClient {
  whole(pair: GatewayPair, fetch: Fetch | undefined): Promise<unknown>
  stream(pair: GatewayPair, fetch: Fetch | undefined, signal?: AbortSignal): Promise<AsyncIterable<unknown>>
  readonly error: new (...args: never[]) => Error
}

function optionsOf(pair: GatewayPair, fetch: Fetch | undefined, path: string) {
  // Without a socket the host is never looked up.
  return fetch
    ? { apiKey: KEY, baseURL: `http://gateway.invalid${path}`, fetch }
    : { apiKey: KEY, baseURL: `${pair.provider.url}${path}` }
}

const openai = (pair: GatewayPair, fetch: Fetch | undefined) =>
  new OpenAI(optionsOf(pair, fetch, '/v1')).chat.completions
const anthropic = (pair: GatewayPair, fetch: Fetch | undefined) => new Anthropic(optionsOf(pair, fetch, '')).messages

const MOUNTED_CLIENTS: readonly (readonly [string, MountedClient])[] = [
  [
    'openai 7',
    {
      whole: async (pair, fetch) => openai(pair, fetch).create({ ...CHAT, stream_options: null }),
      stream: async (pair, fetch, signal) =>
        openai(pair, fetch).create({ ...CHAT, stream: true }, signal ? { signal } : {}),
      error: OpenAI.RateLimitError,
    },
  ],
  [
    '@anthropic-ai/sdk',
    {
      whole: async (pair, fetch) => anthropic(pair, fetch).create(MESSAGE),
      stream: async (pair, fetch, signal) =>
        anthropic(pair, fetch).create({ ...MESSAGE, stream: true }, signal ? { signal } : {}),
      error: Anthropic.RateLimitError,
    },
  ],
]

async function collectAll(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const events: unknown[] = []
  for await (const event of stream) events.push(plainJson(event))
  return events
}

const mount =
  ({ gateway }: GatewayPair): Fetch =>
  async (url, init) =>
    gateway.app.app.fetch(new Request(url, init))

describe.each(MOUNTED_CLIENTS)('%s', (_name, client) => {
  test('gets whole and streamed answers from an app it is mounted on', async () => {
    await using pair = await startPair()
    expect(plainJson(await client.whole(pair, mount(pair)))).toEqual(plainJson(await client.whole(pair, undefined)))
    const direct = await collectAll(await client.stream(pair, undefined))
    expect(await collectAll(await client.stream(pair, mount(pair)))).toEqual(direct)
    const entries = await pair.gateway.ledger.entries()
    expect(entries.map(({ outcome }) => [outcome?.ending, outcome?.certainty])).toEqual([
      ['completed', 'exact'],
      ['completed', 'exact'],
    ])
    expect(pair.gateway.receivedRequests).toEqual([])
  })

  test('raises its own error when the app refuses', async () => {
    await using pair = await startPair({ env: { MAX_COST_PER_REQUEST: '0.000001' } })
    await expect(client.whole(pair, mount(pair))).rejects.toBeInstanceOf(client.error)
    await expect(client.stream(pair, mount(pair))).rejects.toBeInstanceOf(client.error)
  })

  test('throws when the provider dies in mid-stream', async () => {
    await using pair = await startPair()
    pair.provider.says(({ usual }) => ({ ...usual, pieces: usual.pieces.slice(0, 4), cut: true }))
    await expect(client.stream(pair, mount(pair)).then(collectAll)).rejects.toThrow('broke off its answer')
  })

  test('leaves one settled entry when it aborts in mid-stream', { timeout: 5_000 }, async () => {
    await using pair = await startPair()
    const { promise: left, resolve: release } = Promise.withResolvers<void>()
    pair.provider.says(({ usual }) => ({ ...usual, pieces: usual.pieces.toSpliced(4, 0, left) }))
    const abort = new AbortController()
    for await (const _ of await client.stream(pair, mount(pair), abort.signal)) abort.abort()
    release()
    await waitFor(async () => (await pair.gateway.ledger.entries()).length > 0)
    const entries = await pair.gateway.ledger.entries()
    expect(entries.map(({ outcome }) => [outcome?.ending, outcome?.certainty])).toEqual([['canceled', 'exact']])
  })
})
