// OpenAI-compatible endpoints of bursar.json, and callers' own keys: what reaches the server, what it costs, and who may ask.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { answerWhole, type Gateway, startGateway, useGateway } from '../support/gateway.ts'
import { FakeProvider, PROVIDER_KEYS, type ProviderRequest, type ProviderScript } from '../support/provider.ts'
import { vendorAnswer } from '../support/provider-answers.ts'
import { waitFor } from '../support/waiting.ts'

const ENDPOINT_KEY = 'gsk-of-the-endpoint-0123456789'
const CALLER_KEY = 'sk-of-the-caller-0123456789'
const BURSAR_KEY = 'bsr-of-alice-0123456789'
const ADMIN_KEY = 'bsr-of-the-admin-0123456789'
const MESSAGES = [{ role: 'user', content: 'Grüße' }]

/** One provider for all tests here: their gateways differ. */
let provider: FakeProvider
beforeAll(async () => {
  const usage = { input: 21, output: 9 }
  provider = await FakeProvider.open({ usual: vendorAnswer, usage, countsTokens: true })
})
afterAll(() => provider.close())
beforeEach(() => provider.says(({ usual }) => usual))

interface RequestOverrides {
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: object
}

function sendRequest(
  gateway: Gateway,
  model: string,
  { path, headers, body }: RequestOverrides = {},
): Promise<Response> {
  return fetch(gateway.url + (path ?? '/v1/chat/completions'), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, messages: MESSAGES, max_tokens: 50, ...body }),
  })
}

const gatewayTo = (providers: object, env: Readonly<Record<string, string>> = {}, config: object = {}) =>
  startGateway({ env: { ...provider.env, ...env }, config: { providers, ...config } })

const lastReceived = () => {
  const last = provider.received.at(-1)
  if (!last) throw new Error('nothing was sent')
  return last
}

/** All that a provider received with a request. */
const textOf = ({ path, headers, body }: ProviderRequest) => JSON.stringify([path, headers, body])

const errorOf = async (response: Response): Promise<{ code: string; message: string }> => (await response.json()).error

describe('a compatible endpoint', () => {
  test.each([
    [{}, { max_completion_tokens: 7 }, { max_completion_tokens: null, max_tokens: 7 }],
    [{}, { max_tokens: 5, max_completion_tokens: 7 }, { max_completion_tokens: null, max_tokens: 7 }],
    [{ preset: 'cerebras' }, { max_tokens: 5 }, { max_tokens: null, max_completion_tokens: 5 }],
    [{ preset: 'groq' }, { max_tokens: 5 }, { max_tokens: 5 }],
  ])('%j, asked with the cap %j, gets it where it is read', async (row, caps, expected) => {
    await using gateway = await gatewayTo(
      { own: { ...row, baseUrl: `${provider.url}/v1`, apiKey: ENDPOINT_KEY } },
      { UNKNOWN_PRICE: 'allow' },
    )
    await sendRequest(gateway, 'own/m', { body: { max_tokens: undefined, ...caps } })
    const { max_tokens, max_completion_tokens } = lastReceived().json
    expect(JSON.parse(JSON.stringify({ max_tokens, max_completion_tokens }))).toEqual(expected)
  })

  test('is asked by its prefix, with its own key and price', async () => {
    const row = { preset: 'groq', baseUrl: `${provider.url}/openai/v1/`, apiKey: ENDPOINT_KEY }
    await using gateway = await gatewayTo({ fast: row })
    const response = await sendRequest(gateway, 'fast/llama-3.3-70b-versatile', {
      headers: { authorization: 'Bearer mine' },
    })
    expect(response.status).toBe(200)
    expect(lastReceived().path).toBe('/openai/v1/chat/completions')
    expect(lastReceived().headers.authorization).toBe(`Bearer ${ENDPOINT_KEY}`)
    expect(lastReceived().json).toMatchObject({ model: 'llama-3.3-70b-versatile', max_tokens: 50 })
    const [entry] = await gateway.ledger.entries()
    expect(entry?.facts).toMatchObject({ provider: 'fast', model: 'llama-3.3-70b-versatile', costKnown: true })
    // 21 tokens at $0.59 a million and 9 at $0.79.
    expect(entry?.outcome?.cost.totalNanoUsd).toBe(21n * 590n + 9n * 790n)
  })

  test('is paid for the model that answered, by its own prices', async () => {
    const row = { preset: 'groq', baseUrl: provider.url, apiKey: ENDPOINT_KEY }
    await using gateway = await gatewayTo({ fast: row })
    provider.says(({ usual }) => {
      const [body] = usual.pieces
      return { ...usual, pieces: [JSON.stringify({ ...JSON.parse(String(body)), model: 'llama-3.1-8b-instant' })] }
    })
    await sendRequest(gateway, 'fast/llama-3.3-70b-versatile')
    expect((await gateway.ledger.entries())[0]?.outcome?.cost.totalNanoUsd).toBe(21n * 50n + 9n * 80n)
  })

  test('on Azure is a path with a deployment and a version, and a header of its own', async () => {
    const row = {
      preset: 'azure-deployments',
      baseUrl: provider.url,
      apiKey: ENDPOINT_KEY,
      deployments: { 'gpt-4o': 'my gpt/4o' },
    }
    await using gateway = await gatewayTo({ azure: row })
    await sendRequest(gateway, 'azure/gpt-4o', { path: '/v1/chat/completions?api-version=2020-01-01&trace=1&key=x' })
    expect(lastReceived().path).toBe(
      '/openai/deployments/my%20gpt%2F4o/chat/completions?trace=1&api-version=2025-04-01-preview',
    )
    expect(lastReceived().headers).toMatchObject({ 'api-key': ENDPOINT_KEY })
    expect(lastReceived().headers).not.toHaveProperty('authorization')
    const [entry] = await gateway.ledger.entries()
    expect(entry?.facts).toMatchObject({ provider: 'azure', model: 'gpt-4o', costKnown: true })
  })

  test('cannot be led to another path by the name of a model', async () => {
    const row = { preset: 'azure-deployments', baseUrl: provider.url, apiKey: ENDPOINT_KEY, prices: 'free' }
    await using gateway = await gatewayTo({ azure: row })
    for (const [model, segment] of [
      ['..', '_'],
      ['.', '_'],
      ['a/../../b', 'a%2F..%2F..%2Fb'],
      ['%2e%2e', '%252e%252e'],
      ['a?b#c', 'a%3Fb%23c'],
      ['\ud800', '%EF%BF%BD'],
    ]) {
      expect((await sendRequest(gateway, `azure/${model}`)).status).toBe(200)
      expect(lastReceived().path).toBe(`/openai/deployments/${segment}/chat/completions?api-version=2025-04-01-preview`)
    }
  })

  test('on the newer Azure API gets the name of its deployment in the body', async () => {
    const row = { preset: 'azure', baseUrl: `${provider.url}/openai/v1`, apiKey: ENDPOINT_KEY }
    await using gateway = await gatewayTo({ azure: { ...row, deployments: { 'gpt-4o': 'mine' } } })
    await sendRequest(gateway, 'azure/gpt-4o')
    expect(lastReceived()).toMatchObject({ path: '/openai/v1/chat/completions', json: { model: 'mine' } })
  })

  test.each([
    ['mistral', { max_tokens: 4_096 }, false],
    ['groq', { max_completion_tokens: 4_096 }, true],
    ['vllm', { max_tokens: 4_096 }, true],
    [undefined, { max_tokens: 4_096 }, false],
  ])('of preset %s is capped in its own field, and asked for usage where it knows how', async (preset, cap, knows) => {
    const row = { ...(preset ? { preset } : {}), baseUrl: provider.url, apiKey: ENDPOINT_KEY }
    await using gateway = await gatewayTo({ here: row }, { MAX_COST_PER_REQUEST: '', DAILY_SPENDING_LIMIT: '' })
    await (await sendRequest(gateway, 'here/some-model', { body: { stream: true, max_tokens: null } })).text()
    const options = knows ? { stream_options: { include_usage: true } } : {}
    const { max_tokens = null, ...body } = lastReceived().json
    expect({ ...(max_tokens === null ? {} : { max_tokens }), ...body }).toEqual({
      model: 'some-model',
      messages: MESSAGES,
      stream: true,
      ...cap,
      ...options,
    })
  })

  test('gets fixed headers and queries in place of the caller’s', async () => {
    const row = { baseUrl: provider.url, headers: { 'X-Title': 'ours', 'HTTP-Referer': 'us' }, query: { v: 'a b&c' } }
    await using gateway = await gatewayTo({ here: row }, { UNKNOWN_PRICE: 'allow' })
    await sendRequest(gateway, 'here/m', {
      path: '/v1/chat/completions?v=1&%76=2&w=3',
      headers: { 'x-title': 'theirs' },
    })
    expect(lastReceived().path).toBe('/chat/completions?w=3&v=a+b%26c')
    expect(lastReceived().headers).toMatchObject({ 'x-title': 'ours', 'http-referer': 'us' })
    expect(lastReceived().headers).not.toHaveProperty('authorization')
  })

  test('that is local costs nothing, and no budget keeps it from answering', async () => {
    const rows = { ollama: { preset: 'ollama', baseUrl: provider.url }, elsewhere: { baseUrl: provider.url } }
    const limits = { DAILY_SPENDING_LIMIT: '0', MAX_COST_PER_REQUEST: '0' }
    await using gateway = await gatewayTo(rows, limits)
    expect((await sendRequest(gateway, 'ollama/llama3')).status).toBe(200)
    const [entry] = await gateway.ledger.entries()
    expect(entry).toMatchObject({ facts: { costKnown: true }, outcome: { cost: { totalNanoUsd: 0n } } })
    const refused = await sendRequest(gateway, 'elsewhere/llama3')
    expect(refused.status).toBe(400)
    const { message } = await errorOf(refused)
    const [line = ''] = /\{.*\}/.exec(message) ?? []
    expect(JSON.parse(line)).toMatchObject({ prices: [{ provider: 'elsewhere', model: 'llama3' }] })
  })

  test('that is local has the price it is given', async () => {
    const prices = [{ provider: 'ollama', model: 'llama3', input: '1', output: '2' }]
    await using gateway = await gatewayTo({ ollama: { preset: 'ollama', baseUrl: provider.url } }, {}, { prices })
    expect((await sendRequest(gateway, 'ollama/llama3')).status).toBe(200)
    // The server answers with a name that has no price: what was asked for counts, not nothing.
    expect((await gateway.ledger.entries())[0]?.outcome?.cost.totalNanoUsd).toBe(21n * 1_000n + 9n * 2_000n)
  })

  test('of xAI is held to answer beyond its cap', async () => {
    const row = { preset: 'xai', baseUrl: provider.url, apiKey: ENDPOINT_KEY }
    const estimate = async (providers: object) => {
      await using gateway = await gatewayTo(providers)
      return (await sendRequest(gateway, 'x/grok-3', { path: '/llm/estimate' })).json()
    }
    const beyond = await estimate({ x: row })
    const within = await estimate({ x: { ...row, capCoversReasoning: true } })
    expect(within.output_tokens).toBe(50)
    expect(beyond.output_tokens).toBeGreaterThan(1_000)
    expect(beyond.input_tokens).toBe(within.input_tokens)
    expect(beyond.input_tokens).toBeGreaterThan(1_536)
  })

  test('without its key is not configured, and says what to set', async () => {
    const file = readFileConfig(JSON.stringify({ providers: { fast: { preset: 'groq' } } }), {})
    await using gateway = await gatewayTo({})
    await gateway.app.reload(file)
    const refused = await sendRequest(gateway, 'fast/llama-3.3-70b-versatile')
    expect(refused.status).toBe(503)
    expect((await errorOf(refused)).message).toContain('Set GROQ_API_KEY in .env file')
    const status = await (await fetch(`${gateway.url}/llm/status`)).json()
    expect(status.providers).toContainEqual({
      name: 'fast',
      status: 'not_configured',
      setup_guide: 'Set GROQ_API_KEY in .env file',
    })
  })

  test('shows its models as they are asked for, and its key nowhere', async () => {
    const rows = {
      fast: { preset: 'groq', baseUrl: provider.url, apiKey: ENDPOINT_KEY, model: 'my-own' },
      azure: { preset: 'azure', baseUrl: provider.url, apiKey: ENDPOINT_KEY, deployments: { 'gpt-4o': 'mine' } },
    }
    await using gateway = await gatewayTo(rows)
    const models = await (await fetch(`${gateway.url}/v1/models`)).json()
    const ids: string[] = models.data.map((model: { id: string }) => model.id)
    expect(ids).toEqual(expect.arrayContaining(['sim/echo', 'fast/my-own', expect.stringMatching(/^fast\/.*gpt-oss/)]))
    expect(ids.filter((id) => id.startsWith('azure/'))).toEqual(['azure/gpt-4o'])
    const status = await (await fetch(`${gateway.url}/llm/status`)).text()
    expect(status).toContain('my-own')
    expect(status).not.toContain(ENDPOINT_KEY)
  })
})

describe('bursar.json, changed', () => {
  const configOf = (providers: object) => readFileConfig(JSON.stringify({ providers }))
  const row = (path: string) => ({ preset: 'vllm', baseUrl: `${provider.url}/${path}`, apiKey: ENDPOINT_KEY })

  test('sends new calls to the new address, and lets those under way finish at the old one', async () => {
    await using gateway = await gatewayTo({ here: row('old') })
    const held = Promise.withResolvers<void>()
    provider.says(({ usual }) => ({ ...usual, pieces: [held.promise, ...usual.pieces] }))
    const asked = provider.received.length
    const first = sendRequest(gateway, 'here/m')
    await waitFor(() => provider.received.length > asked)
    await gateway.app.reload(configOf({ here: row('new') }))
    provider.says(({ usual }) => usual)
    expect((await sendRequest(gateway, 'here/m')).status).toBe(200)
    expect(lastReceived().path).toBe('/new/chat/completions')
    held.resolve()
    const answer = await first
    expect([answer.status, (await answer.json()).usage.prompt_tokens]).toEqual([200, 21])
    await gateway.idle()
    expect((await gateway.ledger.entries()).map((entry) => entry.outcome?.ending)).toEqual(['completed', 'completed'])
  })

  test('still sends a call that was admitted before', async () => {
    await using gateway = await gatewayTo({ here: row('old') })
    const before = gateway.app.providers.find(({ name }) => name === 'here')
    await gateway.app.reload(configOf({}))
    const status = await new Promise<number>((resolve, reject) => {
      before?.send(
        {
          dialect: 'openai.chat',
          path: '/chat/completions',
          headers: ['content-type', 'application/json'],
          callerKey: undefined,
          body: Buffer.from('{}'),
          model: 'm',
          stream: false,
          needsPlainAnswer: false,
        },
        { started: () => {}, head: resolve, data: () => {}, end: () => {}, failed: reject },
      )
    })
    expect([status, lastReceived().path]).toEqual([200, '/old/chat/completions'])
  })

  test('takes a provider away, and leaves what is as it was in place', async () => {
    await using gateway = await gatewayTo({ here: row('a'), there: row('b') })
    const find = (name: string) => gateway.app.providers.find((provider) => provider.name === name)
    const before = { here: find('here'), openai: find('openai') }
    await gateway.app.reload(configOf({ here: row('a') }))
    expect(find('here')).toBe(before.here)
    expect(find('openai')).toBe(before.openai)
    expect(find('there')).toBeUndefined()
    await gateway.app.reload(configOf({ here: { ...row('a'), apiKey: 'another' }, openai: { callerKeys: 'forward' } }))
    expect(find('here')).not.toBe(before.here)
    expect(find('openai')?.callerKeys).toBe(true)
    await sendRequest(gateway, 'here/m')
    expect(lastReceived().headers.authorization).toBe('Bearer another')
  })
})

const FORWARDED = {
  openai: { callerKeys: 'forward' },
  anthropic: { callerKeys: 'forward' },
  gemini: { callerKeys: 'forward' },
}

describe('the caller’s own provider key', () => {
  const places: readonly [string, string, Readonly<Record<string, string>>][] = [
    ['gpt-4o', '/v1/chat/completions', { authorization: `Bearer ${CALLER_KEY}` }],
    ['gpt-4o', '/v1/chat/completions', { 'api-key': CALLER_KEY }],
    ['claude-sonnet-5', '/v1/messages', { 'x-api-key': CALLER_KEY }],
    ['claude-sonnet-5', '/v1/messages', { authorization: `Bearer ${CALLER_KEY}` }],
    ['', '/v1beta/models/gemini-2.5-flash:generateContent', { 'x-goog-api-key': CALLER_KEY }],
    ['', `/v1beta/models/gemini-2.5-flash:generateContent?a=1&key=${CALLER_KEY}`, {}],
  ]
  const KEYS = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key']

  test.each(places)('for %s at %s goes on where it was, and ours does not', async (model, path, headers) => {
    const noKeys = { OPENAI_API_KEY: '', ANTHROPIC_API_KEY: '', GEMINI_API_KEY: '' }
    for (const [settings, own] of [
      [{}, {}],
      [noKeys, {}],
      [{ BURSAR_KEYS: `alice:${BURSAR_KEY}` }, { 'x-bursar-key': BURSAR_KEY }],
    ] as const) {
      await using gateway = await gatewayTo(FORWARDED, settings)
      const body = model === '' ? { contents: [{ parts: [{ text: 'Hi' }] }] } : {}
      const response = await sendRequest(gateway, model, { path, headers: { ...headers, ...own }, body })
      expect(response.status).toBe(200)
      const got = lastReceived()
      expect(
        Object.fromEntries(KEYS.flatMap((name) => (got.headers[name] ? [[name, got.headers[name]]] : []))),
      ).toEqual(headers)
      expect(got.path).toBe(path)
      expect(got.headers).not.toHaveProperty('x-bursar-key')
      for (const key of Object.values(PROVIDER_KEYS)) expect(textOf(got)).not.toContain(key)
      expect(textOf(got)).not.toContain(BURSAR_KEY)
      const [entry] = await gateway.ledger.entries()
      expect(entry?.facts.caller.key).toBe('x-bursar-key' in own ? 'alice' : null)
      const ledger = JSON.stringify(entry, (_key, value) => (typeof value === 'bigint' ? String(value) : value))
      expect(ledger).not.toContain(CALLER_KEY)
    }
  })

  test.each([
    ['/v1/chat/completions?%6bey=SECRET&a=1', {}],
    ['/v1/chat/completions?key=mine&k%65y=SECRET', {}],
  ])('is the only one that goes on in a query (%s)', async (path, headers) => {
    await using gateway = await gatewayTo(FORWARDED, { BURSAR_KEYS: `alice:${BURSAR_KEY}` })
    const own = { authorization: `Bearer ${CALLER_KEY}`, 'x-bursar-key': BURSAR_KEY, ...headers }
    const before = provider.received.length
    await sendRequest(gateway, 'gpt-4o', { path: path.replace('SECRET', BURSAR_KEY), headers: own })
    for (const received of provider.received.slice(before)) expect(textOf(received)).not.toContain(BURSAR_KEY)
  })

  test.each(['"KEY"', 'KEY;x', 'x KEY', "'KEY'"])('is not a Bursar key in disguise (%s)', async (value) => {
    await using gateway = await gatewayTo(FORWARDED, { BURSAR_KEYS: `alice:${BURSAR_KEY}` })
    const headers = { 'x-api-key': value.replace('KEY', BURSAR_KEY), 'x-bursar-key': BURSAR_KEY }
    const body = { model: 'claude-sonnet-5' }
    const response = await sendRequest(gateway, 'claude-sonnet-5', { path: '/v1/messages', headers, body })
    expect(response.status).toBe(401)
  })

  test('says nothing to others of the limits its account has', async () => {
    provider.says(({ usual }) => ({ ...usual, headers: { ...usual.headers, 'x-ratelimit-remaining-requests': '3' } }))
    const BOB_KEY = 'bsr-of-bob-0123456789'
    await using gateway = await gatewayTo(FORWARDED, { BURSAR_KEYS: `alice:${BURSAR_KEY},bob:${BOB_KEY}` })
    await sendRequest(gateway, 'gpt-4o', {
      headers: { authorization: `Bearer ${CALLER_KEY}`, 'x-bursar-key': BURSAR_KEY },
    })
    const page = await fetch(`${gateway.url}/llm/status`, { headers: { authorization: `Bearer ${BOB_KEY}` } })
    const { providers } = (await page.json()) as { providers: { upstream_rate_limits?: unknown }[] }
    expect(providers.map(({ upstream_rate_limits }) => upstream_rate_limits ?? null)).toEqual([null, null, null])
    const [entry] = await gateway.ledger.entries()
    expect(entry?.outcome?.upstreamLimits?.remainingRequests).toBe(3)
  })

  test('is not sent where the provider has ours', async () => {
    await using gateway = await gatewayTo({})
    await sendRequest(gateway, 'gpt-4o', { headers: { authorization: `Bearer ${CALLER_KEY}`, 'api-key': CALLER_KEY } })
    expect(lastReceived().headers.authorization).toBe(`Bearer ${PROVIDER_KEYS.openai}`)
    expect(textOf(lastReceived())).not.toContain(CALLER_KEY)
  })

  test('goes to compatible endpoints too', async () => {
    const row = { preset: 'azure', baseUrl: provider.url, callerKeys: 'forward', apiKey: ENDPOINT_KEY }
    await using gateway = await gatewayTo({ azure: row })
    await sendRequest(gateway, 'azure/gpt-4o', { headers: { 'api-key': CALLER_KEY } })
    expect(lastReceived().headers['api-key']).toBe(CALLER_KEY)
    expect(textOf(lastReceived())).not.toContain(ENDPOINT_KEY)
  })

  test.each<[string, Readonly<Record<string, string>>, string]>([
    ['is missing', {}, ''],
    ['is empty', { 'x-api-key': '' }, '?key='],
    ['is no bearer token', { authorization: `Basic ${CALLER_KEY}` }, ''],
    ['is a Bursar key', { authorization: `Bearer ${BURSAR_KEY}` }, ''],
    ['is a Bursar key in small letters', { authorization: `bearer  ${BURSAR_KEY}` }, ''],
    ['is a Bursar key beside one', { authorization: `Bearer ${CALLER_KEY}`, 'x-api-key': BURSAR_KEY }, ''],
    ['is a Bursar key in a list', { 'x-api-key': `${CALLER_KEY}, ${BURSAR_KEY}` }, ''],
    ['is the admin key', { 'api-key': ADMIN_KEY }, ''],
    ['is a Bursar key in the query', {}, `?key=${BURSAR_KEY}`],
    ['is a Bursar key in the query, encoded', {}, `?key=%62${BURSAR_KEY.slice(1)}`],
  ])('that %s is refused, and nothing is sent', async (_name, headers, query) => {
    const settings = { BURSAR_KEYS: `alice:${BURSAR_KEY}`, ADMIN_KEY }
    await using gateway = await gatewayTo(FORWARDED, settings)
    const asked = provider.received.length
    const response = await sendRequest(gateway, 'gpt-4o', {
      path: `/v1/chat/completions${query}`,
      headers: { 'x-bursar-key': BURSAR_KEY, ...headers },
    })
    expect(response.status).toBe(401)
    const { message } = await errorOf(response)
    expect(message).toContain('x-bursar-key')
    expect(message).not.toContain(BURSAR_KEY)
    expect(provider.received.length).toBe(asked)
    expect(await gateway.ledger.entries()).toEqual([])
    const levels = (await gateway.app.store.figures({ simulated: false })).report
    expect(levels.total().requests).toBe(0)
  })

  test('is no Bursar key: with these, callers say who they are by one', async () => {
    await using gateway = await gatewayTo(FORWARDED, { BURSAR_KEYS: `alice:${BURSAR_KEY}`, ADMIN_KEY })
    const own = { authorization: `Bearer ${CALLER_KEY}` }
    for (const headers of [own, { ...own, 'x-bursar-key': CALLER_KEY }, { ...own, 'x-bursar-key': '' }]) {
      const response = await sendRequest(gateway, 'gpt-4o', { headers })
      expect(response.status).toBe(401)
      expect(await response.text()).not.toContain(CALLER_KEY)
    }
    // In the usual place a Bursar key alone still is one, for everything that sends no key on.
    expect(
      (await sendRequest(gateway, 'sim/echo', { headers: { authorization: `Bearer ${BURSAR_KEY}` } })).status,
    ).toBe(200)
    expect((await sendRequest(gateway, 'sim/echo', { headers: { 'x-bursar-key': BURSAR_KEY } })).status).toBe(200)
    const seen = await fetch(`${gateway.url}/llm/stats`, { headers: { 'x-bursar-key': ADMIN_KEY } })
    expect(seen.status).toBe(200)
  })

  test('is in no log line and on no page, whatever becomes of the call', async () => {
    const gateway = await useGateway({
      config: { providers: FORWARDED },
      env: { BURSAR_KEYS: `alice:${BURSAR_KEY}` },
    })
    const scripts: readonly ProviderScript[] = [
      (call) => answerWhole(call, { input: 20, output: 10 }),
      ({ response }) => void response.writeHead(401).end(`{"error":{"message":"Incorrect API key: ${CALLER_KEY}"}}`),
      ({ response }) => void response.destroy(),
    ]
    const headers = { authorization: `Bearer ${CALLER_KEY}`, 'x-bursar-key': BURSAR_KEY }
    for (const script of scripts) {
      gateway.provider.says(script)
      await (await gateway.client.asks('openai', {}, { headers })).text()
    }
    await gateway.ledger.holds(scripts.length)
    const pages = await Promise.all(
      ['/llm/status', '/llm/stats', '/llm/limits?key=alice'].map((path) => gateway.client.asksOwner<unknown>(path)),
    )
    await gateway.close()
    const told = [...gateway.log, JSON.stringify(pages)].join('\n')
    expect(gateway.provider.received.map((call) => call.headers.authorization)).toEqual(
      scripts.map(() => `Bearer ${CALLER_KEY}`),
    )
    expect(gateway.log.join('').trim().split('\n').length).toBeGreaterThanOrEqual(scripts.length)
    expect(told).not.toContain(CALLER_KEY)
    expect(told).not.toContain(BURSAR_KEY)
  })
})
