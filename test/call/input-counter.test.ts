// A call that only the bound on its input would refuse is counted: by a tokenizer, or by the provider itself. What cannot fit
// anyway is not, and without a count the bound stands.

import { describe, expect, it } from 'vitest'
import { answerWhole, type GatewayFixture, useGateway } from '../support/gateway.ts'
import type { ProviderRequest, ProviderScript } from '../support/provider.ts'
import { nanoUsd } from './settlement-checks.ts'

/** A dollar per million tokens in, two out, for models that are counted. */
const prices = ['gpt-4o', 'claude-sonnet-5', 'gemini-2.5-flash', 'old'].map((model) => ({
  provider: '*',
  model,
  input: '1',
  output: '2',
  contextWindow: 1_000_000,
  maxOutput: 8_000,
}))
const WORDS = 'The quick brown fox jumps over the lazy dog. '.repeat(1_000)
const USAGE = { input: 10_500, output: 5 }

/** Counts of tokens have paths of their own. */
const isCount = ({ path }: ProviderRequest) => /count_?tokens/i.test(path)
const countsOf = (gateway: GatewayFixture) => gateway.provider.received.filter(isCount)

/** A gateway with this budget of a day, whose provider answers counts of tokens with `count`, or with an error. */
function open(costPerDay: string, count: object | null = null): Promise<GatewayFixture> {
  const respond: ProviderScript = (request) => {
    if (!isCount(request)) return answerWhole(request, USAGE)
    const { response } = request
    response.writeHead(count ? 200 : 500, { 'content-type': 'application/json' }).end(JSON.stringify(count ?? {}))
  }
  return useGateway({ config: { prices, limits: { global: { costPerDay } } }, respond, countsTokens: true })
}

const sendOpenai = (gateway: GatewayFixture, model: string, text = WORDS, cap: number | null = 10) =>
  gateway.client.fetch('over sockets', '/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: text }], max_completion_tokens: cap }),
  })
const sendAnthropic = (gateway: GatewayFixture) =>
  gateway.client.fetch('over sockets', '/v1/messages', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01', 'x-api-key': 'sk-mine' },
    body: JSON.stringify({
      model: 'claude-sonnet-5',
      max_tokens: 10,
      temperature: 0,
      system: 'Be brief.',
      messages: [{ role: 'user', content: WORDS }],
    }),
  })
const sendGemini = (gateway: GatewayFixture) =>
  gateway.client.fetch('over sockets', '/v1beta/models/gemini-2.5-flash:generateContent', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      contents: [{ role: 'user', parts: [{ text: WORDS }] }],
      generationConfig: { maxOutputTokens: 10 },
    }),
  })

const reservedNanoUsd = async (gateway: GatewayFixture) =>
  (await gateway.ledger.holds(1))[0]?.facts.reservedCostNanoUsd ?? 0n

describe('text for a model of OpenAI', () => {
  it('is counted where its bytes do not fit, and reserves what its tokens can cost', async () => {
    const gateway = await open('0.02')
    expect((await sendOpenai(gateway, 'gpt-4o')).status).toBe(200)
    const cost = await reservedNanoUsd(gateway)
    expect(WORDS.length).toBeGreaterThan(40_000)
    expect(cost).toBeGreaterThan(10_000n * 1_000n)
    expect(cost).toBeLessThan(11_000n * 1_000n)
  })

  it('is not counted where its bytes fit', async () => {
    const gateway = await open('1')
    expect((await sendOpenai(gateway, 'gpt-4o')).status).toBe(200)
    expect(await reservedNanoUsd(gateway)).toBeGreaterThan(45_000n * 1_000n)
  })

  it('is counted as what it stands for, however it is written', async () => {
    const gateway = await open('0.021')
    const escaped = JSON.stringify({
      model: 'gpt-4o',
      max_completion_tokens: 10,
      messages: [{ role: 'user', content: '@' }],
    })
    const body = escaped.replace('@', '\\uabcd'.repeat(10_000))
    const headers = { 'content-type': 'application/json' }
    // Three tokens each, and two as they are written.
    expect(
      (await gateway.client.fetch('over sockets', '/v1/chat/completions', { method: 'POST', headers, body })).status,
    ).toBe(429)
  })

  it("keeps room for the provider's own words about its tools", async () => {
    const gateway = await open('0.003')
    const body = { model: 'gpt-4o', max_output_tokens: 16, input: 'hi', tools: [{ type: 'apply_patch' }] }
    const headers = { 'content-type': 'application/json' }
    const asked = { method: 'POST', headers, body: JSON.stringify(body) }
    expect((await gateway.client.fetch('over sockets', '/v1/responses', asked)).status).toBe(429)
  })

  it('is given up when too many wait, and then the bound stands', async () => {
    const gateway = await open('0.02')
    const slow = Array.from({ length: 250_000 }, (_, index) =>
      index % 60 === 0 ? ' ' : String.fromCharCode(0x4e00 + ((index * 7919) % 20_000)),
    ).join('')
    const answers = await Promise.all(Array.from({ length: 40 }, () => sendOpenai(gateway, 'gpt-4o', slow)))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 429))
    expect((await sendOpenai(gateway, 'gpt-4o')).status).toBe(200)
  })

  it('is refused where its tokens do not fit either, and says so in tokens', async () => {
    const gateway = await open('0.005')
    const answer = await sendOpenai(gateway, 'gpt-4o')
    const { error } = (await answer.json()) as { error: { details: { needed: number } } }
    expect(answer.status).toBe(429)
    expect(nanoUsd(error.details.needed)).toBeLessThan(11_000n * 1_000n)
    expect(await gateway.ledger.entries()).toHaveLength(0)
    expect((await gateway.ledger.level('daily_spending_limit')).free).toBe(0.005)
  })

  it('without a cap gets one from what the count leaves', async () => {
    const gateway = await open('0.025')
    const answer = await sendOpenai(gateway, 'gpt-4o', WORDS, null)
    expect(answer.status).toBe(200)
    expect(Number(answer.headers.get('x-bursar-max-output-tokens'))).toBeGreaterThan(500)
  })

  it('is bounded by its bytes for models that cut it finer', async () => {
    const gateway = await open('0.02')
    expect((await sendOpenai(gateway, 'old')).status).toBe(429)
  })

  it('is counted whatever stands in it: one word of 80,000 letters counts by its bytes', async () => {
    const text = WORDS.repeat(4) + 'a'.repeat(80_000)
    const gateway = await open('0.2')
    expect((await sendOpenai(gateway, 'old', text)).status).toBe(429)
    expect((await sendOpenai(gateway, 'gpt-4o', text)).status).toBe(200)
  })
})

describe('text for a provider that counts', () => {
  it("is counted by Anthropic, with our key and the caller's version, in the fields it takes", async () => {
    const gateway = await open('0.02', { input_tokens: 10_000 })
    expect((await sendAnthropic(gateway)).status).toBe(200)
    const [count] = countsOf(gateway)
    expect(Object.keys(JSON.parse(count?.body ?? '{}')).toSorted()).toEqual(['messages', 'model', 'system'])
    expect([count?.headers['x-api-key'], count?.headers['anthropic-version']]).toEqual([
      'sk-upstream-anthropic-secret',
      '2023-06-01',
    ])
    // The count and a tenth, at the price of writing it into a cache.
    expect(await reservedNanoUsd(gateway)).toBe(11_000n * 1_000n + 10n * 2_000n)
  })

  it('is counted by Gemini, whole', async () => {
    const gateway = await open('0.02', { totalTokens: 10_000 })
    expect((await sendGemini(gateway)).status).toBe(200)
    const { generateContentRequest } = JSON.parse(countsOf(gateway)[0]?.body ?? '{}')
    expect(generateContentRequest.model).toBe('models/gemini-2.5-flash')
    expect(Object.keys(generateContentRequest).toSorted()).toEqual(['contents', 'generationConfig', 'model'])
  })

  it('is bounded by its bytes where a field would be left out of the count', async () => {
    const gateway = await open('0.02', { input_tokens: 10 })
    const body = {
      model: 'claude-sonnet-5',
      max_tokens: 10,
      messages: [{ role: 'user', content: WORDS }],
      something_new: {},
    }
    const headers = { 'content-type': 'application/json' }
    const asked = { method: 'POST', headers, body: JSON.stringify(body) }
    expect((await gateway.client.fetch('over sockets', '/v1/messages', asked)).status).toBe(429)
    expect(countsOf(gateway)).toHaveLength(0)
  })

  it('is bounded by its bytes where the count fails', async () => {
    const gateway = await open('0.02')
    expect((await sendAnthropic(gateway)).status).toBe(429)
    expect(countsOf(gateway)).toHaveLength(1)
    expect(await gateway.ledger.entries()).toHaveLength(0)
  })

  it('is not counted where no input at all would fit', async () => {
    const gateway = await open('0.00001', { input_tokens: 10 })
    expect((await sendAnthropic(gateway)).status).toBe(429)
    expect(countsOf(gateway)).toHaveLength(0)
  })
})
