// The gateway's own pages: their shapes, that they agree with each other and with the ledger, and who sees what.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { totalTokens } from '../../src/core/usage.ts'
import { shippedPriceList } from '../../src/prices/price-list.ts'
import { isSimulatedModel } from '../../src/providers/index.ts'
import { DIALECT_NAMES, eventsOf, PRICE, requestFor } from '../call/dialect-fixtures.ts'
import { LIMITED_CONFIG } from '../call/settlement-checks.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import { waitFor } from '../support/waiting.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-figures-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const USED = { input: 20, output: 10 }
function open(options: GatewayFixtureOptions = {}): Promise<GatewayFixture> {
  return useGateway({
    config: LIMITED_CONFIG,
    respond: (call) => answerWhole(call, USED),
    clock: new ManualClock(),
    ...options,
  })
}

interface StatsJson {
  readonly total_requests: number
  readonly total_tokens: number
  readonly total_cost: number
  readonly average_cost: number
  readonly recent_hour: { readonly requests: number; readonly tokens: number; readonly cost: number }
  readonly daily_costs: Readonly<Record<string, number>>
  readonly refused: Readonly<Record<string, number>>
  readonly newest: readonly { readonly call_id: string; readonly key: string | null }[]
}

describe.each(['/llm', '/api/patterns/llm'])('%s', (prefix) => {
  it('/status says which providers are ready, and how to make the others so', async () => {
    const gateway = await open({ env: { GEMINI_API_KEY: '', OPENAI_MODEL: 'gpt-4o', ANTHROPIC_MODEL: 'claude-x' } })
    const status = await gateway.client.asksOwner<object>(`${prefix}/status`)
    expect(status).toMatchObject({
      configured: true,
      configured_count: 2,
      total_providers: 3,
      default_provider: 'openai',
      providers: [
        { name: 'openai', status: 'configured', model: 'gpt-4o' },
        { name: 'anthropic', status: 'configured', model: 'claude-x' },
        { name: 'gemini', status: 'not_configured', setup_guide: 'Set GEMINI_API_KEY in .env file' },
      ],
      message: '2 provider(s) ready',
    })
    expect(JSON.stringify(status)).not.toContain('secret')
  })

  it('/stats has every figure, before the first call and after', async () => {
    const gateway = await open({
      env: {
        MAX_REQUESTS_PER_MINUTE: '60',
        MAX_TOKENS_PER_MINUTE: '90000',
        MAX_COST_PER_REQUEST: '0.50',
        DAILY_SPENDING_LIMIT: '10.00',
      },
      config: { prices: [PRICE] },
    })
    const rate_limits = {
      requests_per_minute: 60,
      tokens_per_minute: 90_000,
      max_cost_per_request: 0.5,
      daily_spending_limit: 10,
    }
    const nothing = { requests: 0, tokens: 0, cost: 0 }
    expect(await gateway.client.asksOwner(`${prefix}/stats`)).toMatchObject({
      total_requests: 0,
      total_tokens: 0,
      total_cost: 0,
      average_cost: 0,
      recent_hour: nothing,
      daily_costs: {},
      rate_limits,
      refused: {},
      newest: [],
    })
    await (await gateway.client.asks('openai', { cap: 10 })).text()
    await (await gateway.client.asks('anthropic', { cap: 10 })).text()
    await (await gateway.client.asks('openai', { cap: 8_000, text: 'x'.repeat(600_000) })).text()
    await gateway.ledger.holds(2)
    // Refusals of a turn of the event loop are counted once the turn is over.
    await turn()
    expect(await gateway.client.asksOwner(`${prefix}/stats`)).toMatchObject({
      total_requests: 2,
      total_tokens: 60,
      total_cost: 0.00008,
      average_cost: 0.00004,
      recent_hour: { requests: 2, tokens: 60, cost: 0.00008 },
      daily_costs: { '2026-11-22': 0.00008 },
      rate_limits,
      tokens_by_class: { input: 40, output: 20, cache_read: 0 },
      billed_units: { requests: 2, web_searches: 0 },
      certainty: { exact: 2, estimated: 0, upper_bound: 0 },
      refused: { tokens_per_minute: 1 },
      reserved_now: { requests: 0, tokens: 0, cost_usd: 0 },
      simulated: false,
    })
  })
})

describe('figures', () => {
  it.each(['memory', 'sqlite'])('%s: are the sum of the entries, and so are the levels', async (store) => {
    const path = join(folder, 'sums.db')
    const clock = new ManualClock()
    let gateway = await open({ clock, ...(store === 'sqlite' ? { path } : {}) })
    for (let call = 0; call < 30; call++) {
      const model = call % 7 === 3 ? 'none' : 'm'
      gateway.provider.says((received) =>
        call % 5 === 4
          ? void received.response.writeHead(500).end()
          : answerWhole(received, { input: call, output: 2 * call }),
      )
      await (await gateway.client.asks(DIALECT_NAMES[call % 3] ?? 'openai', { model, cap: 100 })).text()
      clock.advance(60_000)
    }
    await checkSums(gateway)
    const before = await gateway.client.asksOwner<StatsJson>('/llm/stats')
    expect(before.total_requests).toBe(26)
    expect(before.refused).toEqual({ unknown_price: 4 })
    clock.advance(3_600_000)
    expect((await gateway.client.asksOwner<StatsJson>('/llm/stats')).recent_hour.requests).toBe(0)
    if (store === 'memory') return
    await gateway.close()
    gateway = await open({ clock, path })
    expect({ ...(await gateway.client.asksOwner<StatsJson>('/llm/stats')), recent_hour: null }).toEqual({
      ...before,
      recent_hour: null,
    })
    await checkSums(gateway)
  })

  async function checkSums(gateway: GatewayFixture): Promise<void> {
    const entries = await gateway.ledger.entries()
    const stats = await gateway.client.asksOwner<StatsJson>('/llm/stats')
    const cost = entries.reduce((sum, { outcome }) => sum + Number(outcome?.cost.totalNanoUsd), 0) / 1e9
    const tokens = entries.reduce((sum, { outcome }) => sum + (outcome ? totalTokens(outcome.usage) : 0), 0)
    expect(stats).toMatchObject({ total_requests: entries.length, total_tokens: tokens, total_cost: cost })
    expect(Object.values(stats.daily_costs).reduce((sum, dayCost) => sum + dayCost, 0)).toBeCloseTo(cost, 9)
    expect(await gateway.ledger.level('daily_spending_limit')).toMatchObject({ settled: cost, reserved: 0 })
    expect(await gateway.ledger.level('requests_per_day')).toMatchObject({ settled: entries.length })
    expect(await gateway.ledger.level('tokens_per_day')).toMatchObject({ settled: tokens })
  }

  it.each(DIALECT_NAMES)(
    '%s: an estimate is what the call then reserves, and takes nothing itself',
    async (dialect) => {
      const gateway = await open()
      const { path, body } = requestFor(dialect, { cap: 123, text: 'a few words' })
      const before = await gateway.ledger.levels()
      const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
      const estimate = await gateway.client.asksOwner<Record<string, unknown>>(
        `/llm/estimate?path=${encodeURIComponent(path)}`,
        init,
      )
      expect(await gateway.ledger.levels()).toEqual(before)
      expect(estimate).toMatchObject({
        provider: dialect,
        model: 'm',
        fits: true,
        output_tokens: 123,
        cost_known: true,
        unbounded: [],
      })
      await (await gateway.client.asks(dialect, { cap: 123, text: 'a few words' })).text()
      const [entry] = await gateway.ledger.holds(1)
      expect([estimate.cost_usd, estimate.tokens_reserved]).toEqual([
        Number(entry?.facts.reservedCostNanoUsd) / 1e9,
        entry?.facts.reservedTokens,
      ])
    },
  )

  it('an estimate is for those who may call, of a path that is one', async () => {
    const gateway = await open({ env: { BURSAR_KEYS: 'alice:alice-secret-alice' } })
    const asked = (query: string, key: string) =>
      gateway.client.fetch('over sockets', `/llm/estimate${query}`, {
        method: 'POST',
        body: '{ broken',
        headers: { 'x-api-key': key, 'content-type': 'application/json' },
      })
    // The body is not so much as looked at.
    expect((await asked('', 'somebody-else')).status).toBe(401)
    expect((await asked('', 'alice-secret-alice')).status).toBe(400)
    expect((await asked('?path=//x:99999999/v1/messages', 'alice-secret-alice')).status).toBe(400)
    expect((await asked('?path=http://[/v1/messages', 'alice-secret-alice')).status).toBe(400)
  })

  it('an estimate of a call that would get a cap says so, as does one that does not fit', async () => {
    const gateway = await open({
      config: { prices: [PRICE], limits: { global: { costPerCall: '0.004', requestsPerDay: 0 } } },
    })
    const init = { method: 'POST', body: requestFor('openai').body, headers: { 'content-type': 'application/json' } }
    const estimate = await gateway.client.asksOwner<{ limits: unknown[]; max_output_tokens_set_by_gateway: number }>(
      '/llm/estimate',
      init,
    )
    expect(estimate).toMatchObject({
      fits: false,
      limits: expect.arrayContaining([expect.objectContaining({ limit: 'requests_per_day', needed: 1, fits: false })]),
    })
    expect(estimate.max_output_tokens_set_by_gateway).toBeGreaterThan(1_000)
  })

  it('explains calls that are settled, open, and refused, and knows no others', async () => {
    let finish = () => {}
    const gateway = await open({
      config: { prices: [PRICE], limits: { global: { inFlight: 1 } } },
      respond: (call) => void (finish = () => answerWhole(call, USED)),
    })
    const asked = gateway.client.asks('openai', { cap: 10 })
    await waitFor(async () => gateway.provider.received[0])
    const refused = await gateway.client.asks('openai', { cap: 10 })
    const explain = (id: string | null) => gateway.client.asksOwner<Record<string, unknown>>(`/llm/explain/${id}`)
    expect(await explain(refused.headers.get('x-bursar-call-id'))).toMatchObject({
      status: 'refused',
      refusal: { limit: 'max_in_flight', reason: 'in_flight', needed: 1, free: 0 },
    })
    finish()
    const answer = await asked
    const id = answer.headers.get('x-bursar-call-id')
    expect(await explain(id)).toMatchObject({
      status: 'completed',
      certainty: 'exact',
      cost_usd: { total: 0.00004 },
      tokens: { total: 30 },
      attempts: [{ status: 200 }],
    })
    expect(await explain('01234567-89ab-7def-8123-456789abcdef')).toMatchObject({ error: { code: 'not_found' } })
  })

  /** A stream that has begun, and ends when the test says so. */
  async function openStream(): Promise<{ gateway: GatewayFixture; answer: Response; finish: () => void }> {
    let finish = () => {}
    const gateway = await open({
      respond: async ({ response }) => {
        const events = eventsOf('openai', USED)
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write(events.shift())
        finish = () => void response.end(events.join(''))
      },
    })
    const answer = await gateway.client.asks('openai', { cap: 10, stream: true })
    return { gateway, answer, finish }
  }

  it('counts a call that is settled while the figures are gathered, as open or as made', async () => {
    const { gateway, answer, finish } = await openStream()
    const { store } = gateway.app
    const entries = store.entries.bind(store)
    store.entries = async (query) => {
      const newest = await entries(query)
      finish()
      await answer.text()
      return newest
    }
    const stats = await gateway.client.asksOwner<{ total_requests: number; reserved_now: { requests: number } }>(
      '/llm/stats',
    )
    expect(stats.total_requests + stats.reserved_now.requests).toBe(1)
  })

  it('explains a stream while it is open, by the id in its headers', async () => {
    const { gateway, answer, finish } = await openStream()
    const page = `/llm/explain/${answer.headers.get('x-bursar-call-id')}`
    expect(await gateway.client.asksOwner(page)).toMatchObject({
      status: 'in_flight',
      certainty: null,
      cost_usd: null,
      reserved: { tokens: expect.any(Number) },
    })
    const { reserved_now } = await gateway.client.asksOwner<{ reserved_now: { requests: number; cost_usd: number } }>(
      '/llm/stats',
    )
    expect(reserved_now.requests).toBe(1)
    expect(await gateway.ledger.level('daily_spending_limit')).toMatchObject({
      settled: 0,
      reserved: reserved_now.cost_usd,
    })
    finish()
    await answer.text()
    expect(await gateway.client.asksOwner(page)).toMatchObject({
      status: 'completed',
      certainty: 'exact',
      streaming: true,
    })
  })

  it('are for each key its own, for the admin key all, and for no key nothing', async () => {
    const env = { BURSAR_KEYS: 'alice:alice-secret-alice,bob:bob-secret-bob-bob' }
    const gateway = await open({ env, config: { prices: [PRICE], limits: { perKey: { requestsPerDay: 5 } } } })
    const as = (secret: string) => ({ headers: { authorization: `Bearer ${secret}` } })
    const first = await gateway.client.asks('openai', { cap: 10 }, as('alice-secret-alice'))
    for (let call = 0; call < 2; call++) await gateway.client.asks('openai', { cap: 10 }, as('bob-secret-bob-bob'))
    await gateway.ledger.holds(3)
    const own = await gateway.client.asksOwner<StatsJson>('/llm/stats', as('alice-secret-alice'))
    expect(own).toMatchObject({ total_requests: 1, newest: [{ key: 'alice' }] })
    expect(own).not.toHaveProperty('refused')
    expect(own).not.toHaveProperty('reserved_now')
    expect(await gateway.client.asksOwner<StatsJson>('/llm/stats')).toMatchObject({ total_requests: 3 })
    const limits = await gateway.client.asksOwner<{ limits: { subject: string; settled: number }[] }>(
      '/llm/limits?key=bob',
      as('alice-secret-alice'),
    )
    expect(limits.limits).toMatchObject([{ subject: 'key:alice', settled: 1 }])
    const path = `/llm/explain/${first.headers.get('x-bursar-call-id')}`
    expect(await gateway.client.asksOwner(path, as('alice-secret-alice'))).toMatchObject({
      key: 'alice',
      status: 'completed',
    })
    expect(await gateway.client.asksOwner(path, as('bob-secret-bob-bob'))).toMatchObject({
      error: { code: 'not_found' },
    })
    for (const page of ['/llm/stats', '/llm/status', '/llm/limits', path, '/v1/models', '/api/patterns/llm/stats']) {
      for (const init of [{}, as('wrong'), as('')])
        expect((await gateway.client.fetch('in process', page, init)).status, page).toBe(401)
    }
    expect((await gateway.client.asks('openai', { cap: 1 }, as(ADMIN_KEY))).status).toBe(401)
  })

  it('need the admin key if there is one and no other, and calls, models and the front page do not', async () => {
    const gateway = await open()
    const { client } = gateway
    const call = await client.asks('openai', { cap: 10 })
    expect(call.status).toBe(200)
    const figures = ['/llm/stats', '/llm/limits', `/llm/explain/${call.headers.get('x-bursar-call-id')}`]
    for (const path of [...figures, '/api/patterns/llm/stats']) {
      const refused = await client.fetch('over sockets', path)
      expect([path, refused.status]).toEqual([path, 401])
      expect(await refused.text()).toContain('Send ADMIN_KEY as')
      const headers = { 'x-bursar-key': ADMIN_KEY }
      expect((await client.fetch('over sockets', path, { headers })).status).toBe(200)
      expect((await client.fetch('over sockets', `${path}?key=${ADMIN_KEY}`)).status).toBe(200)
    }
    for (const path of ['/', '/llm/status', '/v1/models', '/api/patterns', '/healthz'])
      expect([path, (await client.fetch('over sockets', path)).status]).toEqual([path, 200])
    const status = await (await client.fetch('over sockets', '/llm/status')).json()
    expect(status).not.toHaveProperty('quote_exceeded')
    expect(await client.asksOwner('/llm/status')).toHaveProperty('quote_exceeded')
  })

  it('are open to everyone who reaches a gateway without any key', async () => {
    const gateway = await open({ env: { ADMIN_KEY: '' } })
    expect((await gateway.client.fetch('over sockets', '/llm/stats')).status).toBe(200)
    expect(await (await gateway.client.fetch('over sockets', '/llm/status')).json()).toHaveProperty('quote_exceeded')
  })

  const LIMITS_OF_USERS = { limits: { perUser: { requestsPerDay: 5 } }, prices: [PRICE] }
  const TWO_KEYS = 'alice:alice-secret-alice,bob:bob-secret-bob-bob'
  it.each([
    ['user=alice/u1', 'user', 'Key and user are two parameters here: ?key=alice&user=u1.'],
    ['thread=bob/a%26b', 'thread', 'Key and thread are two parameters here: ?key=bob&thread=a%26b.'],
    ['user=u1', 'key', 'The key is missing that the user belongs to: ?key=…&user=….'],
    ['key=alcie', 'key', 'No key has this name. Did you mean alice?'],
    ['key=carol&user=u1', 'key', 'No key has this name.'],
    ['provider=opnai', 'provider', 'No provider has this name. Did you mean openai?'],
    ['key=alice&user=', 'user', 'user: must not be empty'],
    ['key=alice&user=u1&user=u2', 'user', 'Query parameter user must not stand twice.'],
  ])('are refused for /llm/limits?%s, which no call has', async (query, param, message) => {
    const gateway = await open({ env: { BURSAR_KEYS: TWO_KEYS }, config: LIMITS_OF_USERS })
    const headers = { authorization: `Bearer ${ADMIN_KEY}` }
    const answer = await gateway.client.fetch('in process', `/llm/limits?${query}`, { headers })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toEqual({ error: { code: 'invalid_request', message, param } })
  })

  it('are those of one meter, whoever asks for the user', async () => {
    const gateway = await open({ env: { BURSAR_KEYS: TWO_KEYS }, config: LIMITS_OF_USERS })
    const alice = { authorization: 'Bearer alice-secret-alice' }
    for (const user of ['u1', 'team/7']) {
      const headers = { ...alice, 'x-bursar-user': user }
      await (await gateway.client.asks('openai', { cap: 10 }, { headers })).text()
      const used = [expect.objectContaining({ subject: `user:alice/${user}`, settled: 1 })]
      const own = await gateway.client.asksOwner(`/llm/limits?user=${user}`, { headers: alice })
      expect(own).toMatchObject({ limits: used })
      expect(await gateway.client.asksOwner(`/llm/limits?key=alice&user=${user}`)).toMatchObject({ limits: used })
    }
    const answer = await gateway.client.fetch('in process', '/llm/limits?user=alice/u1', { headers: alice })
    expect(await answer.json()).toMatchObject({ error: { message: expect.stringContaining('here: ?user=u1.') } })
  })

  it('name the user alone if there are no keys', async () => {
    const gateway = await open({ config: LIMITS_OF_USERS })
    const answer = await gateway.client.asksOwner<object>('/llm/limits?user=(none)/u1')
    expect(answer).toMatchObject({ error: { message: 'Key and user are two parameters here: ?user=u1.' } })
    expect(await gateway.client.asksOwner<object>('/llm/limits?user=u1')).toMatchObject({
      limits: [{ subject: 'user:(none)/u1' }],
    })
  })

  it('list every simulated model that README names', async () => {
    const gateway = await open()
    const { data } = await gateway.client.asksOwner<{ data: { id: string }[] }>('/v1/models')
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
    const named = new Set([...readme.matchAll(/`(sim\/[\w-]+)`/g)].map(([, id]) => id))
    expect([...named]).toContain('sim/no-usage')
    expect([...named].filter((name) => !isSimulatedModel(String(name)))).toEqual([])
    expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining([...named]))
  })

  it('list models with the day of the list, their context window and their price', async () => {
    const gateway = await open({ config: { aliases: { quick: ['openai/gpt-6-luna'] } } })
    const { data } = await gateway.client.asksOwner<{ data: Record<string, unknown>[] }>('/v1/models')
    const created = Date.parse(shippedPriceList().date) / 1_000
    expect(data.filter((model) => model.created !== created)).toEqual([])
    const ids = data.map(({ id }) => id)
    expect(ids).toContain('quick')
    expect(ids.filter((id) => /^(text-)?(ada|babbage|curie|davinci)/.test(String(id)))).toEqual([])
    expect(data.find(({ id }) => id === 'gpt-6-luna')).toMatchObject({
      context_window: expect.any(Number),
      max_output_tokens: expect.any(Number),
      pricing: { input: expect.any(String), output: expect.any(String) },
    })
  })

  it('list models in the shape of the SDK that asks, and probes answer without a key', async () => {
    const gateway = await open({ env: { BURSAR_KEYS: 'alice:alice-secret-alice' } })
    const openai = await gateway.client.asksOwner<{ data: { id: string; owned_by: string }[] }>('/v1/models')
    expect(openai).toMatchObject({ object: 'list' })
    expect(openai.data.find(({ id }) => id === 'gpt-4o')).toMatchObject({ object: 'model', owned_by: 'openai' })
    const anthropic = await gateway.client.asksOwner<{ data: object[] }>('/v1/models', {
      headers: { 'anthropic-version': '2023-06-01' },
    })
    expect(anthropic).toMatchObject({ has_more: false, first_id: expect.any(String) })
    expect(anthropic.data[0]).toMatchObject({
      type: 'model',
      display_name: expect.any(String),
      created_at: expect.any(String),
    })
    expect(await gateway.client.asksOwner('/v1/models/gpt-4o')).toMatchObject({
      id: 'gpt-4o',
      object: 'model',
      shutdown_date: '2027-01-14',
      context_window: 128_000,
      max_output_tokens: 16_384,
      pricing: { input: '2.5', cache_read: '1.25', output: '10', web_searches: '10' },
    })
    expect(openai.data.map(({ id }) => id)).not.toContain('gpt-4o-2024-05-13')
    expect(await gateway.client.asksOwner('/v1/models/sim/echo')).toMatchObject({ id: 'sim/echo' })
    const { models } = await gateway.client.asksOwner<{ models: { name: string }[] }>('/v1beta/models')
    const names = models.map(({ name }) => name)
    expect(names).toContain('models/gemini-embedding-001')
    expect(names).not.toContain('models/gpt-4o')
    expect(await gateway.client.asksOwner('/v1beta/models?pageSize=2&pageToken=1')).toEqual({
      models: models.slice(1, 3),
      nextPageToken: '3',
    })
    expect(await gateway.client.asksOwner('/v1beta/models/gemini-embedding-001')).toEqual({
      name: 'models/gemini-embedding-001',
      displayName: 'gemini-embedding-001',
      inputTokenLimit: 2_048,
      outputTokenLimit: 0,
      supportedGenerationMethods: ['embedContent', 'countTokens'],
      pricing: { input: '0.15', output: '0', web_searches: '35' },
    })
    expect(
      await gateway.client.asksOwner('/v1/models', { headers: { 'x-goog-api-client': 'google-genai-sdk' } }),
    ).toEqual({
      models,
    })
    const missing = await gateway.client.fetch('in process', '/v1beta/models/gpt-4o', {
      headers: { 'x-goog-api-key': 'alice-secret-alice' },
    })
    expect([missing.status, await missing.json()]).toMatchObject([404, { error: { status: 'NOT_FOUND' } }])
    expect((await gateway.client.fetch('in process', '/healthz')).status).toBe(200)
    expect((await gateway.client.fetch('in process', '/readyz')).status).toBe(200)
    gateway.app.gate.close()
    expect((await gateway.client.fetch('in process', '/readyz')).status).toBe(503)
    expect((await gateway.client.fetch('in process', '/healthz')).status).toBe(200)
  })
})
