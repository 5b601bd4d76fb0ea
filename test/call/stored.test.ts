// Stored responses, with OpenAI's own SDK: fetched through the gate as they are, for a request each, and settled without cost.

import { connect } from 'node:net'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { usageOf } from '../../src/core/usage.ts'
import { TRANSPORTS, type Transport } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import type { ProviderRequest, ProviderScript } from '../support/provider.ts'
import { recordingsOf } from '../support/recordings.ts'
import { waitFor, withTimeout } from '../support/waiting.ts'
import { costOfUsage, PRICE } from './dialect-fixtures.ts'
import { readSettled } from './settlement-checks.ts'

const ID = 'resp_0e6b15873828668f00698b9df63cb0'
const RESPONSE_PATH = `/v1/responses/${ID}`
const LIMITED = {
  prices: [PRICE],
  limits: { global: { requestsPerDay: 1_000, tokensPerDay: 1_000_000, costPerDay: '1', inFlight: 100 } },
}
const KEYS = { BURSAR_KEYS: 'alice:alice-secret-alice' }
const USAGE = { input_tokens: 20, output_tokens: 10, total_tokens: 30 }
const COMPLETED_RESPONSE = { id: ID, object: 'response', model: 'm', status: 'completed', output: [], usage: USAGE }
const EVENTS = ['created', 'in_progress', 'completed'].map((name, sequence_number) => {
  const status = name === 'completed' ? name : 'in_progress'
  const response = { ...COMPLETED_RESPONSE, status, usage: status === 'completed' ? USAGE : null }
  return `event: response.${name}\ndata: ${JSON.stringify({ type: `response.${name}`, sequence_number, response })}\n\n`
})
const ITEM = { id: 'msg_1', type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hello' }] }

/** OpenAI, as far as it keeps responses. */
const answer: ProviderScript = ({ path, response }) => {
  const { method = '' } = response.req
  const url = new URL(path, 'http://upstream')
  const says = (body: object) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  if (method === 'POST')
    return void says(
      path.endsWith('/cancel') ? { ...COMPLETED_RESPONSE, status: 'cancelled', usage: null } : COMPLETED_RESPONSE,
    )
  if (method === 'DELETE') return void says({ id: ID, object: 'response', deleted: true })
  if (path.includes('/input_items')) return void says({ object: 'list', data: [ITEM], has_more: false })
  if (url.searchParams.get('stream') !== 'true') return void says(COMPLETED_RESPONSE)
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
  const after = Number(url.searchParams.get('starting_after') ?? -1)
  for (const event of EVENTS.slice(after + 1)) response.write(event)
  response.end()
}

function open(
  env: Record<string, string> = {},
  script: ProviderScript = answer,
  config: unknown = LIMITED,
): Promise<GatewayFixture> {
  return useGateway({ config, respond: script, env: { ...KEYS, ...env }, clock: new ManualClock() })
}

function sdkOf(gateway: GatewayFixture, transport: Transport, apiKey = 'alice-secret-alice'): OpenAI {
  const inProcess = async (url: string | URL | Request, init?: RequestInit) =>
    gateway.app.app.fetch(new Request(url, init))
  const over = transport === 'in process' ? { fetch: inProcess } : {}
  return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0, ...over })
}

const asAlice = { authorization: 'Bearer alice-secret-alice' }
const requestOf = ({ path, body, response }: ProviderRequest) => [response.req.method, path, body]

async function collectTypes(events: AsyncIterable<{ readonly type: string }>): Promise<string[]> {
  const types: string[] = []
  for await (const { type } of events) types.push(type)
  return types
}

/** So many requests that used nothing, whose cost is known. */
async function expectFree(gateway: GatewayFixture, requests: number): Promise<void> {
  await gateway.ledger.holds(requests)
  const { levels, entries } = await readSettled(gateway)
  expect(levels).toEqual({ requests, tokens: 0, costNanoUsd: 0n, inFlight: 0 })
  for (const { facts, outcome } of entries) {
    expect(facts).toMatchObject({ dialect: 'openai.stored', provider: 'openai', model: 'stored', costKnown: true })
    expect(facts).toMatchObject({ reservedTokens: 0, reservedCostNanoUsd: 0n, caller: { key: 'alice' } })
    expect(outcome?.cost.totalNanoUsd).toBe(0n)
    expect(outcome?.usage).toEqual(usageOf())
  }
}

describe.each(TRANSPORTS)('%s:', (transport) => {
  it('the SDK gets, lists, cancels and deletes what is stored', async () => {
    const gateway = await open({}, answer)
    const { responses } = sdkOf(gateway, transport)
    expect(await responses.retrieve(ID, { include: ['reasoning.encrypted_content'] })).toMatchObject(COMPLETED_RESPONSE)
    const items = await responses.inputItems.list(ID, { limit: 5 })
    expect(items.data).toEqual([ITEM])
    expect(await responses.cancel(ID)).toMatchObject({ id: ID, status: 'cancelled' })
    await responses.delete(ID)
    expect(
      gateway.provider.received.map(({ path, response }) => [response.req.method, decodeURIComponent(path)]),
    ).toEqual([
      ['GET', `${RESPONSE_PATH}?include[]=reasoning.encrypted_content`],
      ['GET', `${RESPONSE_PATH}/input_items?limit=5`],
      ['POST', `${RESPONSE_PATH}/cancel`],
      ['DELETE', RESPONSE_PATH],
    ])
    for (const { body, headers } of gateway.provider.received) {
      expect(body).toBe('')
      expect(headers.authorization).toBe(`Bearer ${gateway.provider.env.OPENAI_API_KEY}`)
    }
    await expectFree(gateway, 4)
  })

  it.each([204, 200])('a deletion may be answered with %i and no body', async (status) => {
    const gateway = await open({}, ({ response }) => void response.writeHead(status).end())
    const response = await gateway.client.fetch(transport, RESPONSE_PATH, { method: 'DELETE', headers: asAlice })
    expect([response.status, await response.text()]).toEqual([status, ''])
    expect(response.headers.has('content-length')).toBe(status === 200)
    await expectFree(gateway, 1)
  })

  it('the SDK gets a stream, from where it likes', async () => {
    const gateway = await open()
    const { responses } = sdkOf(gateway, transport)
    const types = ['response.created', 'response.in_progress', 'response.completed']
    for (const [after, expected] of [
      [undefined, types],
      [0, types.slice(1)],
      [2, []],
    ] as const) {
      const from = after === undefined ? {} : { starting_after: after }
      expect(await collectTypes(await responses.retrieve(ID, { stream: true, ...from }))).toEqual(expected)
    }
    expect(gateway.provider.received.map(({ path }) => path)).toEqual([
      `${RESPONSE_PATH}?stream=true`,
      `${RESPONSE_PATH}?stream=true&starting_after=0`,
      `${RESPONSE_PATH}?stream=true&starting_after=2`,
    ])
    await expectFree(gateway, 3)
    for (const { outcome, facts } of await gateway.ledger.entries())
      expect([outcome?.ending, outcome?.certainty, facts.streaming]).toEqual(['completed', 'exact', true])
  })

  it('a stream that breaks off is an error, and is settled without cost', async () => {
    const gateway = await open({}, ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(EVENTS[0])
    })
    const stream = await sdkOf(gateway, transport).responses.retrieve(ID, { stream: true })
    await expect(collectTypes(stream)).rejects.toThrow(/broke off its answer/)
    await expectFree(gateway, 1)
    expect((await gateway.ledger.entries())[0]?.outcome?.ending).toBe('failed')
  })

  it("the provider's own errors are the SDK's, and cost nothing", async () => {
    const error = JSON.stringify({ error: { message: 'No such response', type: 'invalid_request_error', code: null } })
    const gateway = await open({}, ({ response, path }) => {
      response.writeHead(path.includes('?') ? 500 : 404, { 'content-type': 'application/json' }).end(error)
    })
    const { responses } = sdkOf(gateway, transport)
    await expect(responses.retrieve(ID)).rejects.toBeInstanceOf(OpenAI.NotFoundError)
    await expect(responses.retrieve(ID, { stream: true })).rejects.toBeInstanceOf(OpenAI.InternalServerError)
    await expectFree(gateway, 2)
  })

  it('a background response is settled once, however often it is fetched', async () => {
    const queued = JSON.stringify({ ...COMPLETED_RESPONSE, status: 'queued', background: true, usage: null })
    const gateway = await open({}, (call) => {
      if (call.path !== '/v1/responses') return answer(call)
      call.response.writeHead(200, { 'content-type': 'application/json' }).end(queued)
    })
    const { responses } = sdkOf(gateway, transport)
    await responses.create({ model: 'm', input: 'hello', background: true })
    const before = await readSettled(gateway)
    expect(before.levels.costNanoUsd).toBeGreaterThan(costOfUsage({ input: 20, output: 10 }))
    for (let times = 0; times < 3; times++) await responses.retrieve(ID)
    await collectTypes(await responses.retrieve(ID, { stream: true }))
    await gateway.ledger.holds(5)
    expect((await readSettled(gateway)).levels).toEqual({ ...before.levels, requests: 5 })
  })

  it.each([
    ['a caller without a key', 401, OpenAI.AuthenticationError, {}, 'wrong'],
    ['a provider without one', 503, OpenAI.InternalServerError, { OPENAI_API_KEY: '' }, 'alice-secret-alice'],
  ] as const)('%s gets a %i that says so, and nothing is sent', async (_, status, Failure, env, key) => {
    const gateway = await open(env)
    const { responses } = sdkOf(gateway, transport, key)
    for (const ask of [responses.retrieve(ID), responses.cancel(ID), responses.delete(ID)]) {
      const error: unknown = await ask.catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(Failure)
      expect(error).toMatchObject({ status, message: expect.stringMatching(status === 503 ? /OPENAI_API_KEY/ : /key/) })
    }
    expect(gateway.provider.received).toEqual([])
    expect((await readSettled(gateway)).levels.requests).toBe(0)
  })

  it.each([
    ['GET', '/v1/responses'],
    ['GET', '/v1/responses/'],
    ['GET', `${RESPONSE_PATH}/`],
    ['POST', RESPONSE_PATH],
    ['PUT', RESPONSE_PATH],
    ['PATCH', `${RESPONSE_PATH}/cancel`],
    ['GET', `${RESPONSE_PATH}/cancel`],
    ['POST', `${RESPONSE_PATH}/input_items`],
    ['GET', '/v1/responses/a.b'],
    ['GET', '/v1/responses/..%2ffiles'],
    ['GET', '/v1/responses/%2e%2e%2ffiles'],
    ['GET', '/v1/responses/%252e%252e'],
    ['GET', '/v1/responses/a%2Fcancel'],
    ['GET', '/v1/responses/%72esp'],
    ['GET', '/v1/responses/a%00'],
    ['GET', '/v1/responses/a;b'],
    ['GET', '/v1/responses/a%0d%0aHost:x'],
    ['GET', `/v1/responses/${'a'.repeat(129)}`],
    ['GET', `/v1/responses/${'a'.repeat(9_000)}`],
    ['DELETE', '/v1/responses/*'],
    ['DELETE', '/v1/files/file-1'],
    ['GET', '/V1/responses/a'],
  ])('%s %s is 404 in the shape of the dialect, and goes nowhere', async (method, path) => {
    const gateway = await open()
    const response = await gateway.client.fetch(transport, path, { method, headers: asAlice })
    expect([response.status, await response.json()]).toEqual([
      404,
      { error: expect.objectContaining({ type: 'invalid_request_error', code: 'not_found' }) },
    ])
    expect(gateway.provider.received).toEqual([])
    expect((await readSettled(gateway)).levels.requests).toBe(0)
  })

  it('no body, no key and no header for the gateway goes on', async () => {
    const gateway = await open()
    const response = await gateway.client.fetch(transport, `${RESPONSE_PATH}/cancel?key=alice-secret-alice&a=1`, {
      method: 'POST',
      headers: { ...asAlice, 'x-bursar-user': 'u', 'content-type': 'application/json', 'x-mine': '1', cookie: 'c=1' },
      body: '{"model":"gpt-4o"}',
    })
    expect([response.status, response.headers.get('x-bursar-source')]).toEqual([200, 'provider'])
    expect(response.headers.get('x-bursar-cost-usd')).toMatch(/^0(\.0+)?$/)
    await response.text()
    const [call] = gateway.provider.received
    expect(call && requestOf(call)).toEqual(['POST', `${RESPONSE_PATH}/cancel?a=1`, ''])
    expect(call?.headers).toMatchObject({ 'x-mine': '1', 'content-length': '0' })
    for (const name of ['content-type', 'x-bursar-user', 'cookie']) expect(call?.headers[name]).toBeUndefined()
    expect((await gateway.ledger.entries())[0]?.facts.caller.user).toBe('u')
  })

  it('of 200 at once as many are sent as fit the limit on requests', async () => {
    const gateway = await open({}, () => {}, { limits: { global: { requestsPerMinute: 37 } } })
    const { received } = gateway.provider
    let refused = 0
    const asked = Array.from({ length: 200 }, async (_, index) => {
      const path = index % 2 === 0 ? RESPONSE_PATH : `${RESPONSE_PATH}?stream=true`
      const response = await gateway.client.fetch(transport, path, {
        method: index % 3 === 0 ? 'DELETE' : 'GET',
        headers: asAlice,
      })
      if (response.status === 429) refused++
      return response.text()
    })
    await waitFor(async () => received.length + refused === 200 || undefined)
    expect([received.length, refused]).toEqual([37, 163])
    for (const call of received) void answer(call)
    await Promise.all(asked)
    expect(await gateway.ledger.holds(37)).toHaveLength(37)
  })

  it("a refusal is the SDK's own, and takes nothing", async () => {
    const gateway = await open({ MAX_REQUESTS_PER_MINUTE: '1' })
    const { responses } = sdkOf(gateway, transport)
    await responses.retrieve(ID)
    const error: unknown = await responses.retrieve(ID).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(error).toMatchObject({ code: 'rate_limit_exceeded' })
    await expectFree(gateway, 1)
  })

  it('a used-up budget and unknown prices do not matter', async () => {
    const gateway = await open(
      { DAILY_SPENDING_LIMIT: '0', MAX_COST_PER_REQUEST: '0', UNBOUNDED_CALLS: 'refuse' },
      answer,
      {},
    )
    expect(await sdkOf(gateway, transport).responses.retrieve(ID)).toMatchObject(COMPLETED_RESPONSE)
  })

  it('a stream whose client leaves is not read on', async () => {
    const gateway = await open({ ON_DISCONNECT: 'drain' }, ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(EVENTS[0])
    })
    const leaving = new AbortController()
    const response = await gateway.client.fetch(transport, `${RESPONSE_PATH}?stream=true`, {
      headers: asAlice,
      signal: leaving.signal,
    })
    const reader = response.body?.getReader()
    await reader?.read()
    if (transport === 'in process') await reader?.cancel()
    leaving.abort()
    const [call] = gateway.provider.received
    expect(await withTimeout(2_000, call?.cut ?? Promise.resolve(false))).toBe(true)
    await expectFree(gateway, 1)
    expect((await gateway.ledger.entries())[0]?.outcome).toMatchObject({ ending: 'canceled', certainty: 'exact' })
  })

  it('what a client that leaves asked to be done is done', async () => {
    const gateway = await open({ ON_DISCONNECT: 'drain' }, () => {})
    const leaving = new AbortController()
    const asked = gateway.client.fetch(transport, `${RESPONSE_PATH}/cancel`, {
      method: 'POST',
      headers: asAlice,
      signal: leaving.signal,
    })
    asked.catch(() => {})
    const call = await waitFor(async () => gateway.provider.received[0])
    await gateway.untilClientGone(transport, () => leaving.abort())
    void answer(call)
    expect(await call.cut).toBe(false)
    await expectFree(gateway, 1)
  })
})

it.each([
  ['/v1/responses/../files', 404],
  ['/v1/responses/a/../../files', 404],
  ['/v1/x/../responses/resp_1', 404],
  ['//v1/responses/resp_1', 404],
  ['/v1/responses//resp_1', 404],
  ['/v1/responses/resp_1#/x', 404],
  // No URL at all.
  ['/v1/responses/..\\files', 400],
  ['/v1/responses/a\\..\\b', 400],
  ['/v1/responses/r\xe9sp', 400],
])('the path %j is not made into another on its way', async (path, status) => {
  const gateway = await open()
  expect(await withTimeout(5_000, statusOf(gateway.port, path))).toBe(status)
  expect(gateway.provider.received).toEqual([])
})

/** Of a path as it is written: clients clean theirs up. */
function statusOf(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1').on('error', reject)
    socket.once('data', (chunk: Buffer) => {
      socket.destroy()
      resolve(Number(chunk.toString('latin1').split(' ')[1]))
    })
    const key = `authorization: ${asAlice.authorization}`
    socket.write(Buffer.from(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${key}\r\n\r\n`, 'latin1'))
  })
}

it.each(recordingsOf('openai.responses_retrieve'))('$file passes byte for byte', async ({ request, response }) => {
  const gateway = await open({}, (call) => {
    call.response.writeHead(200, { 'content-type': 'application/json' }).end(response.body)
  })
  const got = await gateway.client.fetch('over sockets', request?.path ?? '', { headers: asAlice })
  expect([got.status, await got.text()]).toEqual([200, response.body])
  expect(gateway.provider.received[0]?.path).toBe(request?.path)
  await expectFree(gateway, 1)
})
