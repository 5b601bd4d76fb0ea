// The other dialects: embeddings, older completions, counts of tokens and model lists, asked for with the official SDKs.

import Anthropic from '@anthropic-ai/sdk'
import { ApiError, GoogleGenAI } from '@google/genai'
import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { formatUsd } from '../../src/core/money.ts'
import { usageOf } from '../../src/core/usage.ts'
import { type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { PROVIDER_KEYS } from '../support/provider.ts'
import { KEY, startPair } from './pair.ts'

const MESSAGES = [{ role: 'user' as const, content: 'How many tokens is this?' }]
const PROMPT = 'one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen'

const start = ({ env, ...options }: GatewayOptions = {}) =>
  startGateway({ ...options, env: { BURSAR_KEYS: `alice:${KEY}`, ...env } })

const openaiAt = ({ url }: Gateway) => new OpenAI({ apiKey: KEY, baseURL: `${url}/v1`, maxRetries: 0 })
const anthropicAt = ({ url }: Gateway) => new Anthropic({ apiKey: KEY, baseURL: url, maxRetries: 0 })
const genaiAt = ({ url }: Gateway) => new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: url } }).models

/** The entry of the one call that was made. */
async function settledEntry(gateway: Gateway): Promise<Entry> {
  await gateway.idle()
  const [entry, ...others] = await gateway.app.store.entries({ simulated: true, limit: 10 })
  expect(others).toEqual([])
  if (!entry?.outcome) throw new Error('nothing was settled')
  expect(entry.outcome).toMatchObject({ ending: 'completed', certainty: 'exact' })
  expect(entry.outcome.cost.totalNanoUsd).toBeLessThanOrEqual(entry.facts.reservedCostNanoUsd)
  return entry
}

/** sim/ takes a dollar for a million tokens in, and two for as many out. */
async function expectSettled(gateway: Gateway, dialect: string, input: number, output: number): Promise<void> {
  const { facts, outcome } = await settledEntry(gateway)
  expect(facts).toMatchObject({ dialect, caller: { key: 'alice' } })
  expect(outcome?.usage).toMatchObject({ input, output, requests: 1 })
  expect(formatUsd(outcome?.cost.totalNanoUsd ?? -1n)).toBe(formatUsd(BigInt(input + 2 * output) * 1_000n))
}

describe('embeddings.create of openai', () => {
  const INPUT = ['one', 'two', 'one']
  const body = { model: 'sim/embed', input: INPUT, dimensions: 4 }

  test('gets a vector for each input, as floats though the SDK asks for base64', async () => {
    await using gateway = await start()
    const { data, usage, model } = await openaiAt(gateway).embeddings.create(body)
    expect(data.map(({ index, object }) => [index, object])).toEqual(INPUT.map((_, index) => [index, 'embedding']))
    expect(data.map(({ embedding }) => embedding.length)).toEqual([4, 4, 4])
    expect(data[0]?.embedding).toEqual(data[2]?.embedding)
    expect(data[0]?.embedding).not.toEqual(data[1]?.embedding)
    expect(model).toBe('sim/embed')
    const sent = JSON.stringify({ ...body, encoding_format: 'base64' })
    expect(usage).toEqual({ prompt_tokens: Math.ceil(sent.length / 4), total_tokens: Math.ceil(sent.length / 4) })
    await expectSettled(gateway, 'openai.embeddings', usage.prompt_tokens, 0)
  })

  test('gets the same vectors in either encoding', async () => {
    await using gateway = await start()
    const { embeddings } = openaiAt(gateway)
    const [usual, floats, base64] = await Promise.all([
      embeddings.create(body),
      embeddings.create({ ...body, encoding_format: 'float' }),
      embeddings.create({ ...body, encoding_format: 'base64' }),
    ])
    expect(floats.data.map(({ embedding }) => embedding)).toEqual(usual.data.map(({ embedding }) => [...embedding]))
    const bytes = Buffer.from(String(base64.data[0]?.embedding), 'base64')
    expect(Array.from({ length: 4 }, (_, index) => bytes.readFloatLE(index * 4))).toEqual(floats.data[0]?.embedding)
  })

  test('gets a vector for token ids, and one for each list of them', async () => {
    await using gateway = await start()
    const { embeddings } = openaiAt(gateway)
    expect((await embeddings.create({ model: 'sim/embed', input: [1, 2, 3] })).data).toHaveLength(1)
    expect((await embeddings.create({ model: 'sim/embed', input: [[1, 2], [3]] })).data).toHaveLength(2)
  })

  test('is refused as a rate limit, and raises its typed error', async () => {
    await using gateway = await start({ env: { MAX_REQUESTS_PER_MINUTE: '1' } })
    const { embeddings } = openaiAt(gateway)
    await embeddings.create(body)
    await expect(embeddings.create(body)).rejects.toThrow(OpenAI.RateLimitError)
  })

  test('is refused for money, where it could cost more than is left', async () => {
    await using gateway = await start({ env: { DAILY_SPENDING_LIMIT: '0.000001' } })
    const refused = openaiAt(gateway).embeddings.create(body)
    await expect(refused).rejects.toMatchObject({ status: 429, code: 'insufficient_quota' })
  })

  test('is refused where the price of its model is not known', async () => {
    await using gateway = await start({
      env: { OPENAI_API_KEY: 'sk-x', OPENAI_BASE_URL: 'http://127.0.0.1:9/v1' },
    })
    const refused = openaiAt(gateway).embeddings.create({ model: 'nobody-knows-this-one', input: 'Hi' })
    await expect(refused).rejects.toThrow(OpenAI.BadRequestError)
    await expect(refused).rejects.toMatchObject({ code: 'unknown_price', param: 'model' })
  })

  test('settles its whole reservation if the answer does not say what it used', async () => {
    await using gateway = await start()
    await openaiAt(gateway).embeddings.create({ ...body, model: 'sim/no-usage' })
    await gateway.idle()
    const [entry] = await gateway.app.store.entries({ simulated: true, limit: 1 })
    expect(entry?.outcome).toMatchObject({ ending: 'completed', certainty: 'upperBound' })
    expect(entry?.outcome?.cost.totalNanoUsd).toBe(entry?.facts.reservedCostNanoUsd)
  })
})

describe('completions.create of openai', () => {
  const body = { model: 'sim/echo', prompt: PROMPT, max_tokens: 5 }

  test('gets a whole answer', async () => {
    await using gateway = await start()
    const { choices, usage } = await openaiAt(gateway).completions.create(body)
    expect(choices).toEqual([{ text: 'You said: one two three', index: 0, logprobs: null, finish_reason: 'length' }])
    await expectSettled(gateway, 'openai.completions', usage?.prompt_tokens ?? -1, 5)
  })

  test('gets a stream, without the usage that the gateway asked for itself', async () => {
    await using gateway = await start()
    const chunks: OpenAI.Completion[] = []
    for await (const chunk of await openaiAt(gateway).completions.create({ ...body, stream: true })) chunks.push(chunk)
    expect(chunks.map(({ choices }) => choices[0]?.text).join('')).toBe('You said: one two three')
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('length')
    expect(chunks.filter(({ choices, usage }) => choices.length === 0 || usage)).toEqual([])
    const { outcome } = await settledEntry(gateway)
    expect(outcome?.usage).toMatchObject({ output: 5, requests: 1 })
  })

  test('gets usage at the end of a stream where it asked for it', async () => {
    await using gateway = await start()
    const asking = { ...body, stream: true, stream_options: { include_usage: true } } as const
    const chunks: OpenAI.Completion[] = []
    for await (const chunk of await openaiAt(gateway).completions.create(asking)) chunks.push(chunk)
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 5 } })
    await expectSettled(gateway, 'openai.completions', chunks.at(-1)?.usage?.prompt_tokens ?? -1, 5)
  })

  test('gets a choice for each prompt', async () => {
    await using gateway = await start()
    const { choices, usage } = await openaiAt(gateway).completions.create({ ...body, prompt: ['one', PROMPT] })
    expect(choices.map(({ index, text, finish_reason }) => [index, text, finish_reason])).toEqual([
      [0, 'You said: one', 'stop'],
      [1, 'You said: one two three', 'length'],
    ])
    await expectSettled(gateway, 'openai.completions', usage?.prompt_tokens ?? -1, 8)
  })

  test('gets the sixteen tokens of the API where it sets no cap', async () => {
    await using gateway = await start()
    const { usage } = await openaiAt(gateway).completions.create({ model: 'sim/echo', prompt: PROMPT })
    expect(usage?.completion_tokens).toBe(16)
    expect((await settledEntry(gateway)).facts).toMatchObject({ capAsked: 16, capInjected: null })
  })

  test('gets nothing but the usage of its prompt where it asks for no tokens', async () => {
    await using gateway = await start()
    const { choices, usage } = await openaiAt(gateway).completions.create({ ...body, max_tokens: 0 })
    expect(choices).toMatchObject([{ text: '', finish_reason: 'length' }])
    await expectSettled(gateway, 'openai.completions', usage?.prompt_tokens ?? -1, 0)
  })

  test.each([false, true])('is refused with its typed error (streamed: %s)', async (stream) => {
    await using gateway = await start({ env: { MAX_REQUESTS_PER_MINUTE: '1' } })
    const { completions } = openaiAt(gateway)
    await completions.create(body)
    await expect(completions.create({ ...body, stream })).rejects.toThrow(OpenAI.RateLimitError)
  })
})

describe('messages.countTokens of @anthropic-ai/sdk', () => {
  const body = { model: 'sim/echo', messages: MESSAGES }

  test('counts, and takes a request and no money', async () => {
    await using gateway = await start({ env: { DAILY_SPENDING_LIMIT: '0', MAX_COST_PER_REQUEST: '0' } })
    const { messages } = anthropicAt(gateway)
    const tokens = Math.ceil(JSON.stringify(body).length / 4)
    expect(await messages.countTokens(body)).toEqual({ input_tokens: tokens })
    await expectNothingSpent(gateway, 'anthropic.countTokens')
    await expect(messages.create({ ...body, max_tokens: 5 })).rejects.toThrow(Anthropic.RateLimitError)
  })

  test('needs no price, and may name tools without an upper bound', async () => {
    await using gateway = await start({ env: { ...UNPRICED, UNBOUNDED_CALLS: 'refuse' } })
    const tools: Anthropic.MessageCountTokensParams['tools'] = [{ type: 'web_search_20250305', name: 'web_search' }]
    const asked = anthropicAt(gateway).messages.countTokens({ ...body, model: 'nobody-knows-this-one', tools })
    await expect(asked).rejects.toMatchObject({ status: 502 })
  })

  test('is refused with its typed error', async () => {
    await using gateway = await start({ env: { MAX_REQUESTS_PER_MINUTE: '1' } })
    const { messages } = anthropicAt(gateway)
    await messages.countTokens(body)
    await expect(messages.countTokens(body)).rejects.toThrow(Anthropic.RateLimitError)
  })

  test('costs nothing either where its answer cannot be read', async () => {
    await using gateway = await start()
    await anthropicAt(gateway).messages.countTokens({ ...body, model: 'sim/html' })
    await expectNothingSpent(gateway, 'anthropic.countTokens')
  })
})

const UNPRICED = { ANTHROPIC_API_KEY: 'sk-x', ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' }

async function expectNothingSpent(gateway: Gateway, dialect: string): Promise<void> {
  const { facts, outcome } = await settledEntry(gateway)
  expect(facts).toMatchObject({ dialect, reservedTokens: 0, reservedCostNanoUsd: 0n })
  expect(outcome?.usage).toEqual(usageOf())
  expect(outcome?.cost.totalNanoUsd).toBe(0n)
}

describe('@google/genai', () => {
  test('embedContent gets a vector for each content', async () => {
    await using gateway = await start()
    const { embeddings } = await genaiAt(gateway).embedContent({
      model: 'sim/embed',
      contents: ['one', 'two', 'one'],
      config: { outputDimensionality: 4 },
    })
    expect(embeddings?.map(({ values }) => values?.length)).toEqual([4, 4, 4])
    expect(embeddings?.[0]?.values).toEqual(embeddings?.[2]?.values)
    expect(embeddings?.[0]?.values).not.toEqual(embeddings?.[1]?.values)
    const { facts, outcome } = await settledEntry(gateway)
    expect(facts.dialect).toBe('gemini.embedContent')
    expect(outcome?.usage).toMatchObject({ output: 0, requests: 1 })
    expect(outcome?.usage.input).toBeGreaterThan(20)
  })

  test('countTokens counts, and takes a request and no money', async () => {
    await using gateway = await start({ env: { DAILY_SPENDING_LIMIT: '0', MAX_COST_PER_REQUEST: '0' } })
    const models = genaiAt(gateway)
    expect((await models.countTokens({ model: 'sim/echo', contents: 'Hello' })).totalTokens).toBeGreaterThan(0)
    await expectNothingSpent(gateway, 'gemini.countTokens')
    await expect(models.generateContent({ model: 'sim/echo', contents: 'Hello' })).rejects.toThrow(ApiError)
  })

  test.each(['embedContent', 'countTokens'] as const)('%s is refused with its typed error', async (method) => {
    await using gateway = await start({ env: { MAX_REQUESTS_PER_MINUTE: '1' } })
    const models = genaiAt(gateway)
    const call = () => models[method]({ model: 'sim/echo', contents: 'Hello' })
    await call()
    await expect(call()).rejects.toThrow(ApiError)
    await expect(call()).rejects.toMatchObject({ status: 429, message: expect.stringContaining('RESOURCE_EXHAUSTED') })
  })

  test('lists the models that it can ask, page by page, and finds one', async () => {
    await using gateway = await start({ env: { GEMINI_API_KEY: 'x', OPENAI_API_KEY: 'sk-x' } })
    const models = genaiAt(gateway)
    const names: (string | undefined)[] = []
    for await (const { name } of await models.list({ config: { pageSize: 7 } })) names.push(name)
    expect(names).toContain('models/gemini-2.5-flash')
    expect(names).toContain('models/sim/echo')
    expect(names).not.toContain('models/gpt-4o')
    expect(new Set(names).size).toBe(names.length)
    const { page } = await models.list()
    expect(page.map(({ name }) => name)).toEqual(names)
    expect(await models.get({ model: 'gemini-2.5-flash' })).toMatchObject({
      name: 'models/gemini-2.5-flash',
      inputTokenLimit: 1_048_576,
      outputTokenLimit: 65_536,
      supportedActions: ['generateContent', 'countTokens'],
    })
    expect(await models.get({ model: 'sim/echo' })).toMatchObject({ name: 'models/sim/echo' })
    await expect(models.get({ model: 'gpt-4o' })).rejects.toMatchObject({ status: 404 })
  })
})

test('every SDK finds its own shape of model list at one address, and its own error', async () => {
  await using gateway = await start({ env: { OPENAI_API_KEY: 'sk-x' } })
  const stranger = { url: gateway.url }
  expect((await openaiAt(gateway).models.retrieve('gpt-4o')).owned_by).toBe('openai')
  expect((await anthropicAt(gateway).models.retrieve('sim/echo')).type).toBe('model')
  const nobody = { apiKey: 'secret-of-nobody', maxRetries: 0 }
  await expect(new OpenAI({ ...nobody, baseURL: `${stranger.url}/v1` }).models.list()).rejects.toMatchObject({
    status: 401,
    code: 'invalid_api_key',
  })
  await expect(new Anthropic({ ...nobody, baseURL: stranger.url }).models.list()).rejects.toThrow(
    Anthropic.AuthenticationError,
  )
  const google = new GoogleGenAI({ apiKey: 'secret-of-nobody', httpOptions: { baseUrl: stranger.url } }).models
  await expect(google.list()).rejects.toMatchObject({
    status: 401,
    message: expect.stringContaining('UNAUTHENTICATED'),
  })
})

interface ForwardedCall {
  readonly path: string
  readonly body: object
  /** As the provider is to get them. */
  readonly sent: { readonly path: string; readonly body: object }
  readonly answer: object
  readonly usage: object
  readonly certainty?: string
}

const CONTENT = { parts: [{ text: 'Hi' }] }
const FORWARDED_CALLS: readonly ForwardedCall[] = [
  {
    path: '/v1/embeddings',
    body: { model: 'openai/text-embedding-3-small', input: ['Hi'] },
    sent: { path: '/v1/embeddings', body: { model: 'text-embedding-3-small', input: ['Hi'] } },
    answer: { data: [], model: 'text-embedding-3-small', usage: { prompt_tokens: 3, total_tokens: 3 } },
    usage: { input: 3, output: 0, requests: 1 },
  },
  {
    path: '/v1/completions',
    body: { model: 'openai/gpt-3.5-turbo-instruct', prompt: 'Hi' },
    sent: { path: '/v1/completions', body: { max_tokens: 16, model: 'gpt-3.5-turbo-instruct', prompt: 'Hi' } },
    answer: { choices: [], usage: { prompt_tokens: 3, completion_tokens: 16 } },
    usage: { input: 3, output: 16, requests: 1 },
  },
  {
    path: '/v1/messages/count_tokens?beta=true',
    body: { model: 'anthropic/claude-sonnet-5', messages: MESSAGES },
    sent: { path: '/v1/messages/count_tokens?beta=true', body: { model: 'claude-sonnet-5', messages: MESSAGES } },
    answer: { input_tokens: 9 },
    usage: { input: 0, output: 0, requests: 0 },
  },
  {
    path: '/v1beta/models/gemini/gemini-2.5-flash:countTokens',
    body: { generateContentRequest: { model: 'models/gemini/gemini-2.5-flash', contents: [CONTENT] } },
    sent: {
      path: '/v1beta/models/gemini-2.5-flash:countTokens',
      body: { generateContentRequest: { model: 'models/gemini-2.5-flash', contents: [CONTENT] } },
    },
    answer: { totalTokens: 9 },
    usage: { input: 0, output: 0, requests: 0 },
  },
  {
    path: '/v1/models/gemini-embedding-2:batchEmbedContents',
    body: { requests: [{ model: 'models/gemini-embedding-2', content: CONTENT }] },
    sent: {
      path: '/v1/models/gemini-embedding-2:batchEmbedContents',
      body: { requests: [{ model: 'models/gemini-embedding-2', content: CONTENT }] },
    },
    answer: { embeddings: [], usageMetadata: { promptTokenCount: 7 } },
    usage: { input: 7, output: 0, requests: 1 },
  },
  {
    path: '/v1beta/models/gemini/gemini-embedding-001:embedContent',
    body: { model: 'models/gemini/gemini-embedding-001', content: CONTENT },
    sent: {
      path: '/v1beta/models/gemini-embedding-001:embedContent',
      body: { model: 'models/gemini-embedding-001', content: CONTENT },
    },
    // The older model says nothing of what it used.
    answer: { embedding: { values: [1] } },
    usage: {},
    certainty: 'upperBound',
  },
]

test.each(FORWARDED_CALLS)('$path goes on to its provider, and its answer comes back as it is', async (forwarded) => {
  const { path, body, sent, answer, usage, certainty = 'exact' } = forwarded
  await using scene = await startPair()
  scene.provider.says(({ usual }) => ({ ...usual, pieces: [JSON.stringify(answer)] }))
  const response = await fetch(scene.gateway.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
    body: JSON.stringify(body),
  })
  expect([response.status, await response.json()]).toEqual([200, answer])
  expect(scene.provider.received.map(({ path, json }) => ({ path, body: json }))).toEqual([sent])
  const [received] = scene.provider.received
  expect(JSON.stringify(received?.headers)).toContain(received && PROVIDER_KEYS[received.dialect])
  const [entry] = await scene.gateway.ledger.entries()
  expect(entry?.outcome).toMatchObject({ ending: 'completed', certainty, usage })
  const { reservedCostNanoUsd } = entry?.facts ?? { reservedCostNanoUsd: -1n }
  expect(entry?.outcome?.cost.totalNanoUsd).toBeLessThanOrEqual(reservedCostNanoUsd)
})
