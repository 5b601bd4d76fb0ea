// One name for one model: limits hold for every spelling and every dated name, circuits and figures know one spelling, and what is sent
// stays as the caller wrote it.

import { describe, expect, it, test } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { LimitPlan, meterOf, NO_SUBJECTS, ZERO_AMOUNTS } from '../../src/core/limits.ts'
import { modelNameOf } from '../../src/core/model-name.ts'
import { LimitsInForce } from '../../src/limits/limits-in-force.ts'
import { MemoryStore } from '../../src/stores/memory/store.ts'
import { ManualClock } from '../support/clocks.ts'
import { useGateway } from '../support/gateway.ts'

const PRICES = ['gpt-4o', 'gpt-5', 'claude-sonnet-5-5', 'gemini-3.5-flash'].map((model) => ({
  provider: '*',
  model,
  input: '0',
  output: '1000',
  contextWindow: 1_000,
  maxOutput: 10,
}))
/** What the provider reports: 10 tokens of output. */
const DOLLARS_PER_CALL = 0.01

const limitsOf = (limits: object) => ({ prices: PRICES, limits })

async function useLimited(limits: object, path?: string) {
  const gateway = await useGateway({ config: limitsOf(limits), ...(path ? { path } : {}) })
  const status = async (model: string) => {
    const response = await gateway.client.asks('openai', { model, cap: 10 })
    await response.text()
    return response.status
  }
  return { ...gateway, gateway, status }
}

const TWO_CALLS = { costPerDay: String(2 * DOLLARS_PER_CALL) }

describe('a limit on a model', () => {
  test.each([
    ['gpt-4o-2024-08-06'],
    ['GPT-4o'],
    ['gpt-4o '],
    ['openai/openai/gpt-4o'],
    ['OpenAI/gpt-4o'],
    ['gpt-4o-latest'],
    ['openai/gpt-4o-2024-11-20'],
  ])('holds for %j as well', async (spelling) => {
    const { status } = await useLimited({ 'model:openai/gpt-4o': TWO_CALLS })
    expect([await status('gpt-4o'), await status(spelling), await status(spelling), await status('gpt-4o')]).toEqual([
      200, 200, 429, 429,
    ])
    expect(await status('gpt-5')).toBe(200)
  })

  it('holds however bursar.json spells it, and for each model together with its dated names', async () => {
    for (const limits of [{ 'model:openai/openai/GPT-4o': TWO_CALLS }, { perModel: TWO_CALLS }]) {
      const { status } = await useLimited(limits)
      expect([await status('gpt-4o-2024-08-06'), await status('gpt-4o-2024-11-20'), await status('gpt-4o')]).toEqual([
        200, 200, 429,
      ])
      expect(await status('gpt-5')).toBe(200)
    }
  })

  it('on a dated name holds for that name, beside the one on its model', async () => {
    const limits = {
      'model:openai/gpt-4o-2024-08-06': { costPerDay: String(DOLLARS_PER_CALL) },
      'model:openai/gpt-4o': { costPerDay: String(3 * DOLLARS_PER_CALL) },
    }
    const { status, gateway } = await useLimited(limits)
    expect([await status('gpt-4o-2024-08-06'), await status('GPT-4o-2024-08-06')]).toEqual([200, 429])
    expect([await status('gpt-4o'), await status('gpt-4o-2024-11-20'), await status('gpt-4o')]).toEqual([200, 200, 429])
    const levels = await gateway.ledger.levels('?model=gpt-4o-2024-08-06')
    expect(levels.filter(({ subject }) => subject.startsWith('model:'))).toMatchObject([
      { subject: 'model:openai/gpt-4o', settled: 0.03 },
      { subject: 'model:openai/gpt-4o-2024-08-06', settled: 0.01 },
    ])
  })

  test.each([
    ['gpt-5.6-sol', 'gpt-5.6', 'gpt-5-6-sol'],
    ['gpt-5.6', 'gpt-5.6-sol', 'gpt-5-6'],
    ['openai/gpt-3.5-turbo', 'gpt-35-turbo', 'gpt-3.5-turbo-0125'],
  ])('%s holds for its other names, %s and %s, which are sent and priced as written', async (limited, ...names) => {
    const rates = { provider: 'openai', output: '1000', contextWindow: 1_000, maxOutput: 10 }
    const [first, second] = names
    const prices = names.map((model) => ({ ...rates, model, input: model === second ? '1000' : '0' }))
    const gateway = await useGateway({
      config: { prices, limits: { [`model:openai/${limited}`]: { requestsPerDay: 2 } } },
    })
    const ask = async (model: string) => (await gateway.client.asks('openai', { model, cap: 10 })).status
    expect([await ask(first), await ask(second), await ask(first)]).toEqual([200, 200, 429])
    expect(gateway.provider.received.map(({ body }) => JSON.parse(body).model)).toEqual([first, second])
    const [dear, cheap] = await gateway.ledger.holds(2)
    expect(dear?.facts.model).toBe(second)
    expect(dear?.facts.reservedCostNanoUsd).toBeGreaterThan(cheap?.facts.reservedCostNanoUsd ?? 0n)
    const shown = expect.objectContaining({ settled: 2 })
    expect(await gateway.ledger.levels(`?model=${first}&provider=openai`)).toContainEqual(shown)
  })

  it('holds for another spelling of a dated name', async () => {
    const config = { limits: { 'model:anthropic/claude-4.5-sonnet-20250929': { requestsPerDay: 1 } } }
    const gateway = await useGateway({ config })
    const ask = async (model: string) => (await gateway.client.asks('anthropic', { model, cap: 10 })).status
    expect([await ask('claude-sonnet-4-5-20250929'), await ask('claude-sonnet-4.5-20250929')]).toEqual([200, 429])
    expect(await ask('claude-sonnet-4-5')).toBe(200)
  })

  it('of requests per call and of other vendors holds as well', async () => {
    const gateway = await useGateway({
      config: limitsOf({ 'model:gemini/gemini-3.5-flash': { requestsPerDay: 1 } }),
    })
    const ask = async (model: string) => (await gateway.client.asks('gemini', { model, cap: 10 })).status
    expect([await ask('gemini-3.5-flash-preview-06-05'), await ask('gemini-3.5-flash-latest')]).toEqual([200, 429])
  })

  it('is shown under every spelling of the model', async () => {
    const { gateway, status } = await useLimited({ 'model:openai/gpt-4o': TWO_CALLS })
    await status('GPT-4o')
    const shown = { subject: 'model:openai/gpt-4o', settled: 0.01 }
    for (const query of ['gpt-4o', 'openai/GPT-4o', 'openai%2Fgpt-4o-2024-08-06', 'gpt-4o&provider=openai'])
      expect(await gateway.ledger.levels(`?model=${query}`)).toContainEqual(expect.objectContaining(shown))
  })

  test.each([
    ['openai/gpt-4o', 'openai/GPT-4o'],
    ['openai/gpt-5.6-sol', 'openai/gpt-5.6'],
    ['openrouter/anthropic/claude-sonnet-4.5', 'openrouter/anthropic/claude-4.5-sonnet'],
  ])('must not be written twice, as %s and %s', (first, second) => {
    const limits = { [`model:${first}`]: TWO_CALLS, [`model:${second}`]: TWO_CALLS }
    expect(() => readFileConfig(JSON.stringify({ limits }))).toThrow(
      `limits.model:${second}: must not stand beside limits.model:${first}`,
    )
  })
})

it('the provider gets the name as the caller wrote it, and the ledger has one name', async () => {
  const { gateway, status } = await useLimited({ global: { costPerDay: '1' } })
  expect(await status('openai/GPT-4o-2024-08-06')).toBe(200)
  expect(JSON.parse(gateway.provider.received.at(-1)?.body ?? '').model).toBe('GPT-4o-2024-08-06')
  const [entry] = await gateway.ledger.holds(1)
  expect(entry?.facts).toMatchObject({ model: 'gpt-4o-2024-08-06', requestedModel: 'openai/GPT-4o-2024-08-06' })
})

it('a circuit is that of every spelling, and a dated name has its own', async () => {
  const { gateway, status } = await useLimited({ global: { costPerDay: '100' } })
  gateway.provider.says(({ response }) => void response.writeHead(503).end())
  for (let call = 0; call < 10; call++) await status('GPT-4o')
  expect([await status('gpt-4o'), await status('openai/GPT-4o')]).toEqual([503, 503])
  const sent = gateway.provider.received.length
  gateway.provider.says(({ usual }) => usual)
  expect([await status('gpt-4o'), await status('gpt-4o-2024-08-06')]).toEqual([503, 200])
  expect(gateway.provider.received).toHaveLength(sent + 1)
})

it('a new limit starts from what was spent under every spelling, also for a single model beside others', async () => {
  const { gateway, status } = await useLimited({ 'model:openai/gpt-5': TWO_CALLS })
  expect([await status('GPT-4o'), await status('gpt-4o-2024-08-06'), await status('gpt-5')]).toEqual([200, 200, 200])
  const limits = { 'model:openai/gpt-5': TWO_CALLS, 'model:openai/gpt-4o': TWO_CALLS }
  await gateway.app.reload(readFileConfig(JSON.stringify(limitsOf(limits))))
  expect([await status('gpt-4o'), await status('gpt-5'), await status('gpt-5')]).toEqual([429, 200, 429])
})

test.each([
  // An older version kept a level for each spelling, and marked the limit as counted under this name.
  ['gpt-4o', 'model/cost/day/UTC', { 'GPT-4o': 7n, 'gpt-4o-2024-08-06': 5n, 'gpt-4o': 3n, 'gpt-5': 9n }, 15n],
  // A later one knew no aliases.
  ['gpt-5.6-sol', 'model family:openai/gpt-5.6-sol/cost/day/UTC', { 'gpt-5.6': 7n, 'gpt-5-6-sol': 5n }, 12n],
])(
  'a level of %s that an older version marked as %s goes on from the sum of all names',
  async (model, mark, sums, sum) => {
    const store = new MemoryStore()
    const now = new ManualClock().now()
    const limits = readFileConfig(JSON.stringify(limitsOf({ [`model:openai/${model}`]: TWO_CALLS }))).limits
    const plan = new LimitPlan(limits, 'UTC')
    const [limit] = limits
    if (!limit) throw new Error('no limit')
    store.sums = async () => new Map(Object.entries(sums).map(([name, settled]) => [`openai/${name}`, settled]))
    await store.seed([{ meter: meterOf(limit, `openai/${model}`, now.wallMs, 'UTC', ''), settled: 3n }], now)
    await store.registry.write({ kind: 'limit-seed', id: mark, value: {} }, { actor: 'gateway', atMs: 0, audit: false })
    const inForce = new LimitsInForce({ store, clock: { now: () => now }, timeZone: 'UTC', countsCost: true })
    ;(await inForce.prepare({ settings: [], file: limits }))()
    const subjects = { ...NO_SUBJECTS, provider: 'openai', ...modelNameOf('openai', model) }
    const charges = plan.chargesFor(subjects, ZERO_AMOUNTS, now.wallMs, '', false)
    expect(await store.levels(charges, now)).toMatchObject([{ settled: sum }])
  },
)
