// Corrections of costs: who may make them, what they change, and what they leave as it is.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, test } from 'vitest'
import { eventsOf, PRICE } from '../call/dialect-fixtures.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'

const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` }

interface Correction {
  readonly call_id?: unknown
  readonly cost_usd?: unknown
  readonly reason?: unknown
}

async function open(options: GatewayFixtureOptions = {}) {
  const gateway = await useGateway({ clock: new ManualClock(), config: { prices: [PRICE] }, ...options })
  const post = async (body: unknown, headers: Record<string, string> = ADMIN, path = '/admin/adjustments') => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    }
    const response = await gateway.client.fetch('in process', path, init)
    return { status: response.status, body: await response.json() }
  }
  const correct = (correction: Correction) => post({ reason: 'the invoice', ...correction })
  /** A settled call: its id and its cost. */
  const call = async () => {
    const response = await gateway.client.asks('openai', { cap: 10 })
    await response.text()
    const callId = response.headers.get('x-bursar-call-id') ?? ''
    await gateway.idle()
    const { cost_usd } = (await gateway.client.asksOwner(`/llm/explain/${callId}`)) as { cost_usd: { total: number } }
    return { callId, cost: cost_usd.total }
  }
  const explained = (callId: string) => gateway.client.asksOwner<Record<string, unknown>>(`/llm/explain/${callId}`)
  return { gateway, post, correct, call, explained }
}

const spentToday = async ({ gateway }: Awaited<ReturnType<typeof open>>) =>
  (await gateway.ledger.levels()).find(({ limit }) => limit === 'daily_spending_limit')?.settled

describe('/admin/', () => {
  it('answers the admin key alone', async () => {
    const { post } = await open({ env: { BURSAR_KEYS: 'alice:alice-secret-alice' } })
    for (const headers of [{}, { authorization: 'Bearer alice-secret-alice' }, { 'x-api-key': 'wrong' }]) {
      for (const path of ['/admin/adjustments', '/admin/other', '/admin']) {
        const { status, body } = await post({}, headers, path)
        expect([status, body.error.code]).toEqual([401, 'unauthenticated'])
      }
    }
    expect((await post({}, ADMIN, '/admin/other')).status).toBe(404)
    expect((await post({}, { 'x-bursar-key': ADMIN_KEY })).status).toBe(400)
  })

  it('names ADMIN_KEY where none is set, also where all else is open', async () => {
    const { post, gateway } = await open({ env: { ADMIN_KEY: '' } })
    expect((await gateway.client.fetch('in process', '/llm/stats')).status).toBe(200)
    for (const path of ['/admin/adjustments', '/admin/other']) {
      const { status, body } = await post({}, {}, path)
      expect([status, body.error.code]).toEqual([403, 'forbidden'])
      expect(body.error.message).toContain('ADMIN_KEY')
    }
  })
})

describe.each(['memory', 'sqlite'])('a correction in %s', (kind) => {
  const ledger = async () => {
    if (kind === 'memory') return {}
    const folder = await mkdtemp(join(tmpdir(), 'bursar-test-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    return { path: join(folder, 'ledger.db') }
  }

  it('is on the meters, the day and the sums of its call, up and down, and is no request', async () => {
    const opened = await open({ ...(await ledger()), env: { DAILY_SPENDING_LIMIT: '10' } })
    const { correct, call, explained, gateway } = opened
    const { callId, cost } = await call()
    expect(await spentToday(opened)).toBe(cost)
    const before = await gateway.client.asksOwner<Record<string, unknown>>('/llm/stats')
    const up = await correct({ call_id: callId, cost_usd: 0.05 })
    expect(up).toMatchObject({
      status: 200,
      body: { call_id: callId, cost_usd: { before: cost, after: 0.05 }, settled_seq: 2 },
    })
    expect(await spentToday(opened)).toBe(0.05)
    const down = await correct({ call_id: callId, cost_usd: '0.02' })
    expect(down.body.cost_usd).toEqual({ before: 0.05, after: 0.02, difference: -0.03 })
    expect(await spentToday(opened)).toBe(0.02)
    const after = await gateway.client.asksOwner<Record<string, unknown>>('/llm/stats')
    expect(after).toMatchObject({
      total_cost: 0.02,
      total_requests: 1,
      total_tokens: before.total_tokens,
      certainty: before.certainty as object,
    })
    expect(Object.values(after.daily_costs as object)).toEqual([0.02])
    expect(await explained(callId)).toMatchObject({
      cost_usd: { total: cost },
      adjusted_cost_usd: 0.02,
      adjustments: [{ reason: 'the invoice' }, { adjustment_id: down.body.adjustment_id, difference_usd: -0.03 }],
    })
    expect(await explained(down.body.adjustment_id)).toMatchObject({
      status: 'adjusted',
      adjusts: { call_id: callId, reason: 'the invoice' },
      adjustments: [],
    })
    expect(
      (await gateway.app.store.registry.audit({ limit: 9 })).map(({ actor, kind, id }) => [actor, kind, id]),
    ).toEqual([
      ['admin', 'adjustment', down.body.adjustment_id],
      ['admin', 'adjustment', up.body.adjustment_id],
    ])
  })

  it('frees budget, and takes it', async () => {
    const opened = await open({
      ...(await ledger()),
      config: { prices: [PRICE], limits: { perModel: { costPerDay: '0.01' } } },
    })
    const { correct, call, gateway } = opened
    const status = async () => (await gateway.client.asks('openai', { cap: 10 })).status
    const { callId } = await call()
    await correct({ call_id: callId, cost_usd: '0.01' })
    expect(await status()).toBe(429)
    await correct({ call_id: callId, cost_usd: 0 })
    expect(await status()).toBe(200)
  })

  it('is one of many at once, and each starts from the one before', async () => {
    const opened = await open({ ...(await ledger()), env: { DAILY_SPENDING_LIMIT: '10' } })
    const { callId } = await opened.call()
    const costs = Array.from({ length: 20 }, (_, index) => (index + 1) / 100)
    const answers = await Promise.all(costs.map((cost_usd) => opened.correct({ call_id: callId, cost_usd })))
    expect(answers.map(({ status }) => status)).toEqual(costs.map(() => 200))
    expect(await spentToday(opened)).toBe(0.2)
    expect(await opened.explained(callId)).toMatchObject({ adjusted_cost_usd: 0.2 })
  })

  it('goes to the window of its call when the day has turned', async () => {
    const clock = new ManualClock()
    const opened = await open({ ...(await ledger()), clock, env: { DAILY_SPENDING_LIMIT: '10' } })
    const { callId } = await opened.call()
    clock.advance(86_400_000)
    const { body } = await opened.correct({ call_id: callId, cost_usd: 5 })
    expect(body.day).toBe('2026-11-22')
    expect(await spentToday(opened)).toBe(0)
    const stats = await opened.gateway.client.asksOwner<{ daily_costs: object }>('/llm/stats')
    expect(stats.daily_costs).toEqual({ '2026-11-22': 5 })
  })
})

test('a lower cost is taken from the target that failed first, and each target keeps what others spent there', async () => {
  const limits = { 'provider:openai': { costPerDay: '9' }, 'provider:anthropic': { costPerDay: '9' } }
  const { gateway, correct, call } = await open({
    config: { prices: [PRICE], limits, aliases: { pair: ['anthropic/m', 'openai/m'] } },
    respond: (request) => {
      if (request.dialect === 'anthropic') request.response.writeHead(500).end()
      else answerWhole(request, { input: 20, output: 10 })
    },
  })
  const spent = async (provider: string) =>
    (await gateway.ledger.levels(`?provider=${provider}`)).find(({ subject }) => subject === `provider:${provider}`)
      ?.settled
  const { cost } = await call()
  await (await gateway.client.asks('openai', { model: 'pair', cap: 10 })).text()
  const [entry] = await gateway.ledger.holds(2)
  const call_id = entry?.facts.callId
  const failed = await spent('anthropic')
  expect(failed).toBeGreaterThan(0)
  expect(await spent('openai')).toBe(2 * cost)
  expect((await correct({ call_id, cost_usd: cost })).body.cost_usd.before).toBeCloseTo((failed ?? 0) + cost, 12)
  expect([await spent('anthropic'), await spent('openai')]).toEqual([0, 2 * cost])
  await correct({ call_id, cost_usd: cost + 1 })
  expect([await spent('anthropic'), await spent('openai')]).toEqual([0, 2 * cost + 1])
  await correct({ call_id, cost_usd: 0 })
  expect([await spent('anthropic'), await spent('openai')]).toEqual([0, cost])
})

test.each<[string, Correction, number, string]>([
  ['an unknown call', { call_id: 'nobody', cost_usd: 1 }, 404, 'call_id'],
  ['no call', { cost_usd: 1 }, 400, 'call_id'],
  ['a negative cost', { call_id: 'x', cost_usd: -1 }, 400, 'cost_usd'],
  ['a cost in words', { call_id: 'x', cost_usd: 'much' }, 400, 'cost_usd'],
  ['ten decimals', { call_id: 'x', cost_usd: '0.0000000001' }, 400, 'cost_usd'],
  ['ten decimals as a number', { call_id: 'x', cost_usd: 1e-10 }, 400, 'cost_usd'],
  ['more than the ledger holds', { call_id: 'x', cost_usd: '1000000.000000001' }, 400, 'cost_usd'],
  ['no reason', { call_id: 'x', cost_usd: 1, reason: ' ' }, 400, 'reason'],
  ['a field nobody knows', { call_id: 'x', cost_usd: 1, more: 1 } as Correction, 400, 'more'],
])('%s is refused and changes nothing', async (_what, correction, status, param) => {
  const { correct, gateway } = await open()
  const answer = await correct(correction)
  expect([answer.status, answer.body.error.param]).toEqual([status, param])
  expect(await gateway.ledger.entries()).toEqual([])
})

test.each([1e-9, 1.5e-7])(
  'a cost of %d dollars, which JavaScript writes with an exponent, is taken',
  async (cost_usd) => {
    const { correct, call } = await open()
    const { callId } = await call()
    expect(await correct({ call_id: callId, cost_usd })).toMatchObject({
      status: 200,
      body: { cost_usd: { after: cost_usd } },
    })
  },
)

test('an adjustment is not corrected, but its call is', async () => {
  const { correct, call } = await open()
  const { callId } = await call()
  const { body } = await correct({ call_id: callId, cost_usd: 1 })
  const refused = await correct({ call_id: body.adjustment_id, cost_usd: 1 })
  expect([refused.status, refused.body.error.message]).toEqual([400, expect.stringContaining(callId)])
})

test('a call in flight is not corrected', async () => {
  const release = Promise.withResolvers<void>()
  const { correct, gateway } = await open({
    respond: async ({ response }) => {
      const events = eventsOf('openai', { input: 20, output: 10 })
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(events.shift())
      await release.promise
      response.end(events.join(''))
    },
  })
  const answer = await gateway.client.asks('openai', { cap: 10, stream: true })
  const refused = await correct({ call_id: answer.headers.get('x-bursar-call-id'), cost_usd: 1 })
  expect([refused.status, refused.body.error.code]).toEqual([409, 'not_settled'])
  release.resolve()
  await answer.text()
})
