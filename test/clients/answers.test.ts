// Answers: through the gateway every SDK gets what it would have got from the provider, whole and streamed.

import OpenAI7 from 'openai'
import OpenAI6 from 'openai-6'
import { describe, expect, test } from 'vitest'
import type { Gateway } from '../support/gateway.ts'
import { type FakeProvider, PROVIDER_KEYS, type ProviderRequest } from '../support/provider.ts'
import { WORDS } from '../support/provider-answers.ts'
import type { Client, ClientRequest } from './client-request.ts'
import { CLIENTS } from './clients.ts'
import { KEY, plainJson, readStream, startPair } from './pair.ts'

async function eventsOf(client: Client, ask: ClientRequest): Promise<readonly unknown[]> {
  const { events, error } = await readStream(client, ask)
  if (error !== undefined) throw error
  return events
}

/** The gateway asks OpenAI for usage itself; then every chunk but the last says that it has none. */
function withoutNullUsage(events: readonly unknown[]): unknown[] {
  return events.map((event) => {
    const { usage, ...rest } = event as { usage?: unknown }
    return usage === null ? rest : event
  })
}

/** Differ from connection to connection, or are the gateway's business. */
const CONNECTION = new Set(['host', 'connection', 'content-length', 'accept-encoding'])
const CREDENTIALS = new Set(['authorization', 'x-api-key', 'x-goog-api-key'])

function forwardedHeaders(received: ProviderRequest | undefined): [string, unknown][] {
  const isOwn = ([name]: readonly [string, unknown]) => !CONNECTION.has(name) && !CREDENTIALS.has(name)
  return Object.entries(received?.headers ?? {})
    .filter(isOwn)
    .toSorted()
}

async function expectOneEntry(gateway: Gateway): Promise<void> {
  await gateway.idle()
  const entries = await gateway.ledger.entries()
  expect(entries.map(({ facts, outcome }) => [facts.caller.key, outcome?.ending, outcome?.certainty])).toEqual([
    ['alice', 'completed', 'exact'],
  ])
  expect(entries[0]?.outcome?.usage).toMatchObject({ input: 21, output: 9, requests: 1 })
}

/** What an SDK that asks the gateway makes of it, against what the same SDK makes of the provider. */
async function expectSame(
  client: Client,
  overrides: Partial<ClientRequest>,
  prepare: (provider: FakeProvider) => void = () => {},
) {
  for (const streamed of [false, true]) {
    await using scene = await startPair()
    prepare(scene.provider)
    const ask = async (request: ClientRequest) =>
      streamed ? eventsOf(client, request) : plainJson(await client.whole(request))
    const expected = await ask({ ...scene.direct, ...overrides })
    const got = await ask({ ...scene.through, ...overrides })
    expect(Array.isArray(got) ? withoutNullUsage(got) : got).toEqual(expected)
    expect(JSON.stringify(expected)).toContain(overrides.tools ? 'weather' : WORDS[0])
    await expectOneEntry(scene.gateway)
  }
}

describe.each(CLIENTS)('$name', (client) => {
  test('gets the answer, whole and streamed, that the provider would have given it', async () => {
    await expectSame(client, {})
  })

  test('gets calls of its tools, whole and streamed, as the provider made them', async () => {
    await expectSame(client, { tools: true })
  })

  test('gets compressed answers, whole and streamed, as though they were not', async () => {
    await expectSame(client, {}, (provider) =>
      provider.says(({ usual, headers }) => ({
        ...usual,
        gzip: headers['accept-encoding']?.includes('gzip') === true,
      })),
    )
  })

  test('is forwarded with its own request, and with the provider key in the place of its own', async () => {
    await using scene = await startPair()
    const declared = { 'x-bursar-user': 'ada', 'x-request-source': 'the-test' }
    await client.whole({ ...scene.direct, tools: true, headers: declared })
    await client.whole({ ...scene.through, tools: true, headers: declared })
    const [direct, through] = scene.provider.received
    expect(through?.path).toBe(direct?.path)
    expect(through?.json).toEqual(direct?.json)
    expect(forwardedHeaders(through)).toEqual(forwardedHeaders(direct).filter(([name]) => name !== 'x-bursar-user'))
    expect(forwardedHeaders(through)).toContainEqual(['x-request-source', 'the-test'])
    const sent = JSON.stringify([through?.path, through?.headers, through?.body])
    expect(sent).toContain(PROVIDER_KEYS[client.dialect])
    expect(sent).not.toContain(KEY)
    expect(sent).not.toContain('x-bursar-')
    const [entry] = await scene.gateway.ledger.entries()
    expect(entry?.facts.caller).toMatchObject({ key: 'alice', user: 'ada' })
  })

  test('asks the provider for nothing else when it streams than it asked the gateway for, but usage', async () => {
    await using scene = await startPair()
    await eventsOf(client, scene.direct)
    await eventsOf(client, scene.through)
    const [direct, through] = scene.provider.received
    const usage = client.dialect === 'openai' ? { stream_options: { include_usage: true } } : {}
    expect(through?.path).toBe(direct?.path)
    expect(through?.json).toEqual({ ...direct?.json, ...usage })
  })
})

const BODY = { model: 'gpt-4o', messages: [{ role: 'user' as const, content: 'Hello' }] }
const WITH_USAGE = { stream_options: { include_usage: true } }

interface Chunk {
  readonly choices: readonly unknown[]
  readonly usage?: unknown
}

const options = (request: ClientRequest) => ({ apiKey: request.key, baseURL: `${request.url}/v1` })
const STREAMS: readonly (readonly [
  string,
  (
    request: ClientRequest,
    fields: { stream_options?: { include_usage: boolean } },
  ) => PromiseLike<AsyncIterable<Chunk>>,
])[] = [
  [
    'openai 7',
    (request, fields) => new OpenAI7(options(request)).chat.completions.create({ ...BODY, ...fields, stream: true }),
  ],
  [
    'openai 6',
    (request, fields) => new OpenAI6(options(request)).chat.completions.create({ ...BODY, ...fields, stream: true }),
  ],
]

describe.each(STREAMS)('%s', (_name, streamOf) => {
  const usagesIn = async (stream: AsyncIterable<Chunk>) => {
    const chunks: Chunk[] = []
    for await (const chunk of stream) chunks.push(chunk)
    return chunks.filter(({ choices, usage }) => choices.length === 0 || (usage ?? null) !== null)
  }

  test('sees usage at the end of a stream when it asked for it', async () => {
    await using scene = await startPair()
    const [last, ...others] = await usagesIn(await streamOf(scene.through, WITH_USAGE))
    expect(last).toMatchObject({ choices: [], usage: { prompt_tokens: 21, completion_tokens: 9 } })
    expect(others).toEqual([])
  })

  test('sees no usage in a stream when it did not ask for it, though the call is metered by it', async () => {
    await using scene = await startPair()
    expect(await usagesIn(await streamOf(scene.through, {}))).toEqual([])
    await expectOneEntry(scene.gateway)
  })
})

describe('openai 7', () => {
  test("reads in the headers the gateway's rate limits, and nothing of who owns the provider's account", async () => {
    await using scene = await startPair({ env: { MAX_REQUESTS_PER_MINUTE: '7' } })
    const { response, request_id } = await new OpenAI7(options(scene.through)).chat.completions
      .create(BODY)
      .withResponse()
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('7')
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('6')
    expect(response.headers.get('x-bursar-upstream-x-ratelimit-limit-requests')).toBe('5000')
    expect(response.headers.get('set-cookie')).toBeNull()
    expect(response.headers.get('openai-organization')).toBeNull()
    expect(request_id).toBe('req_upstream')
  })
})

describe('a client of Gemini without an SDK', () => {
  test('gets a stream as the JSON array it asked for, and may send its key in the query', async () => {
    await using scene = await startPair()
    const path = '/v1beta/models/gemini-2.5-flash:streamGenerateContent'
    const ask = (url: string) =>
      fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ contents: [{ parts: [{ text: 'Hello' }] }] }),
      }).then((response) => response.text())
    const direct = await ask(`${scene.provider.url}${path}`)
    expect(await ask(`${scene.gateway.url}${path}?key=${KEY}&prettyPrint=false`)).toBe(direct)
    expect(scene.provider.received[1]?.path).toBe(`${path}?prettyPrint=false`)
    await expectOneEntry(scene.gateway)
  })
})
