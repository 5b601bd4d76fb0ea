// Which price counts: where it changes while a call runs, where it comes from, and where a free model is not free.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { formatUsd } from '../../src/core/money.ts'
import { ManualClock } from '../support/clocks.ts'
import { useGateway, useProvider } from '../support/gateway.ts'

const MESSAGES = [{ role: 'user', content: 'hi' }]

/** A gateway before one fake provider that is reached as several. @param reply the model's name and the usage of each answer */
async function open(
  reply: () => { model: string; usage: object },
  more: { env?: object; config?: object; path?: string } = {},
) {
  const provider = await useProvider(() => ({
    status: 200,
    headers: { 'content-type': 'application/json' },
    pieces: [
      JSON.stringify({
        id: 'c',
        object: 'chat.completion',
        choices: [{ index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }],
        ...reply(),
      }),
    ],
  }))
  const row = { baseUrl: `${provider.url}/v1`, apiKey: 'sk-of-the-row' }
  const providers = {
    deepseek: { preset: 'deepseek', ...row },
    openrouter: { preset: 'openrouter', ...row },
    second: { ...row, prices: 'openai' },
  }
  const clock = new ManualClock()
  const gateway = await useGateway({
    clock,
    ...(more.path === undefined ? {} : { path: more.path }),
    env: { ...provider.env, MAX_COST_PER_REQUEST: '', DAILY_SPENDING_LIMIT: '1000', ...more.env },
    config: { providers, ...more.config },
  })
  const ask = async (body: object) => {
    const response = await gateway.client.fetch('in process', '/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: MESSAGES, max_tokens: 100_000, ...body }),
    })
    return { status: response.status, text: await response.text() }
  }
  const booked = async (count = 1) => {
    const [entry] = await gateway.ledger.holds(count)
    if (!entry?.outcome) throw new Error('The call is not settled.')
    const { facts, outcome } = entry
    const { priceVersion, costKnown } = facts
    return {
      reserved: Number(formatUsd(facts.reservedCostNanoUsd)),
      cost: Number(formatUsd(outcome.cost.totalNanoUsd)),
      certainty: outcome.certainty,
      priceVersion,
      costKnown,
    }
  }
  return { gateway, clock, ask, booked }
}

const tokens = (prompt_tokens: number, completion_tokens: number, more: object = {}) => ({
  prompt_tokens,
  completion_tokens,
  total_tokens: prompt_tokens + completion_tokens,
  ...more,
})

describe('a price that changes by the hour', () => {
  /** DeepSeek's peak begins on Mondays at 9:00 in Beijing. */
  const PEAK_MS = Date.UTC(2026, 10, 23, 1)
  const OFF_PEAK = 10 * 0.15e-6 + 100_000 * 0.6e-6

  test.each([
    ['is the one at the end of the call, and the dearer one is reserved', -7_000, 15_000, 2],
    ['is the same if the call ends before', -7_000, 5_000, 1],
    ['is the lower one if the peak ends before the call does', 3 * 3_600_000 - 7_000, 15_000, 1],
  ])('%s', async (_what, startMs, durationMs, factor) => {
    const pair = await open(() => {
      pair.clock.advance(durationMs)
      return { model: 'deepseek-flash', usage: tokens(10, 100_000) }
    })
    const { clock } = pair
    clock.advance(PEAK_MS + startMs - clock.wallMs)
    expect((await pair.ask({ model: 'deepseek/deepseek-flash' })).status).toBe(200)
    const { cost, reserved, certainty } = await pair.booked()
    expect([cost, certainty]).toEqual([Number((factor * OFF_PEAK).toFixed(9)), 'exact'])
    expect(reserved).toBeGreaterThan(2 * OFF_PEAK)
  })

  test('is reserved as it is if the call ends long before a change', async () => {
    const pair = await open(() => ({ model: 'deepseek-flash', usage: tokens(10, 100_000) }))
    await pair.ask({ model: 'deepseek/deepseek-flash' })
    expect((await pair.booked()).reserved).toBeLessThan(1.1 * OFF_PEAK)
  })
})

describe('an entry names the price that counted', () => {
  const own = (provider: string, model: string, dollars: string) => ({
    provider,
    model,
    input: dollars,
    output: dollars,
  })
  test.each<[string, object, string, string, RegExp]>([
    [
      'the operator’s for the name that answered',
      { prices: [own('openai', 'gpt-4o-2024-08-06', '100')] },
      'second/gpt-4o',
      'gpt-4o-2024-08-06',
      /^bursar\.json#/,
    ],
    ['the list’s for the name that answered', {}, 'gpt-5.5', 'gpt-4.1', /^prices@/],
    [
      'both, of a router and its model',
      { prices: [own('openrouter', 'openrouter/auto', '1')] },
      'openrouter/openrouter/auto',
      'openai/gpt-4o',
      /^bursar\.json#\w+ \+ prices@/,
    ],
  ])('%s', async (_what, config, asked, answered, version) => {
    const folder = await mkdtemp(join(tmpdir(), 'bursar-test-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    for (const path of [undefined, join(folder, 'ledger.db')]) {
      const pair = await open(() => ({ model: answered, usage: tokens(1_000, 1_000) }), {
        config,
        ...(path ? { path } : {}),
      })
      await pair.ask({ model: asked })
      expect(await pair.booked()).toMatchObject({
        priceVersion: expect.stringMatching(version) as string,
        costKnown: true,
      })
    }
  })

  test('and knows the cost of a model without a price that another one answered', async () => {
    const pair = await open(() => ({ model: 'gpt-4o', usage: tokens(1_000, 1_000) }), {
      env: { UNKNOWN_PRICE: 'allow' },
    })
    await pair.ask({ model: 'openai/my-alias' })
    expect(await pair.booked()).toMatchObject({
      cost: 0.0125,
      costKnown: true,
      priceVersion: expect.stringMatching(/^prices@/) as string,
    })
  })
})

describe('a free model that may search, or hand the call on, is not free', () => {
  const FREE = 'openrouter/qwen/qwen3-coder:free'
  const search = { model: 'qwen/qwen3-coder:free', usage: tokens(100, 10, { cost: 0.02 }) }

  test.each<[string, object]>([
    ['a plugin', { plugins: [{ id: 'web' }] }],
    ['a hosted tool', { tools: [{ type: 'openrouter:web_search' }] }],
    ['models to fall back to', { models: ['qwen/qwen3-coder:free', 'openai/gpt-5-pro'] }],
  ])('%s: refused when the money is used up', async (_what, more) => {
    const pair = await open(() => search, { env: { DAILY_SPENDING_LIMIT: '0.15' } })
    const statuses: number[] = []
    for (let call = 0; call < 6; call++)
      statuses.push((await pair.ask({ model: FREE, max_tokens: 100, ...more })).status)
    expect(statuses).toEqual([200, 200, 200, 429, 429, 429])
    expect((await pair.gateway.ledger.level('daily_spending_limit')).settled).toBe(0.06)
  })

  test('the reservation is booked if nobody says what was charged', async () => {
    const pair = await open(() => ({ ...search, usage: tokens(100, 10) }))
    await pair.ask({ model: FREE, max_tokens: 100, plugins: [{ id: 'web' }] })
    expect(await pair.booked()).toMatchObject({ cost: 0.1, reserved: 0.1, certainty: 'upperBound' })
  })

  test('a call with nothing of that kind is free', async () => {
    const pair = await open(() => ({ ...search, usage: tokens(100, 10) }), { env: { DAILY_SPENDING_LIMIT: '0' } })
    expect((await pair.ask({ model: FREE, max_tokens: 100 })).status).toBe(200)
    expect(await pair.booked()).toMatchObject({ cost: 0, reserved: 0, certainty: 'exact' })
  })
})
