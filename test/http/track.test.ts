// Calls made elsewhere: they enter the ledger at their own time, each once, and no limit refuses them.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { GatewayProcess } from '../app/child.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { Random, SEED } from '../call/random.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import { KeyOperator } from '../support/keys.ts'

const ALICE = 'alice-secret-alice'
const BOB = 'bob-secret-bob-bob'
const KEYS = { BURSAR_KEYS: `alice:${ALICE},bob:${BOB}` }

interface Answer {
  readonly tracked: number
  readonly already_tracked: number
  readonly different: number
  readonly calls: readonly Readonly<Record<string, unknown>>[]
  readonly error?: { readonly code: string; readonly message: string; readonly param: string | null }
}

/** A call as a sender describes it: 1,000 tokens in and 100 out cost 0.0012 dollars. */
const CALL = {
  id: 'job-7',
  timestamp: '2026-11-22T11:00:00Z',
  model: 'openai/m',
  input_tokens: 1_000,
  output_tokens: 100,
}

function tracker(gateway: GatewayFixture) {
  return async (body: unknown, secret = ALICE) => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    }
    const response = await gateway.client.fetch('in process', '/token-usage/track', init)
    return { status: response.status, body: (await response.json()) as Answer }
  }
}

async function open(options: GatewayFixtureOptions = {}) {
  const clock = new ManualClock()
  const gateway = await useGateway({ clock, config: { prices: [PRICE] }, ...options, env: { ...KEYS, ...options.env } })
  return { gateway, clock, track: tracker(gateway) }
}

async function ledgerPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bursar-test-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return join(folder, 'ledger.db')
}

describe.each(['memory', 'sqlite'])('a tracked call in %s', (kind) => {
  const options = async () => (kind === 'memory' ? {} : { path: await ledgerPath() })

  it('is in the ledger as its sender describes it', async () => {
    const { gateway, track } = await open(await options())
    const { status, body } = await track({
      ...CALL,
      user_id: 'ann',
      thread_id: 't1',
      agent_name: 'writer',
      task: 'letters',
      operation_type: 'draft',
      cache_read_tokens: 300,
      cache_write_tokens: 200,
      reasoning_tokens: 40,
      total_tokens: 1_100,
      items: 3,
      latency_ms: 1_500,
      time_to_first_token_ms: 200,
      request_metadata: { ticket: 'T-1' },
    })
    expect([status, body]).toEqual([
      200,
      {
        tracked: 1,
        already_tracked: 0,
        different: 0,
        calls: [
          {
            id: 'job-7',
            call_id: 'alice/job-7',
            status: 'tracked',
            differences: [],
            total_cost: 0.0012,
            cost_known: true,
            price_version: expect.any(String),
          },
        ],
      },
    ])
    const [entry] = await gateway.ledger.entries()
    expect(entry).toMatchObject({
      facts: {
        callId: 'alice/job-7',
        caller: { key: 'alice', user: 'ann', thread: 't1', agent: 'writer', task: 'letters', isPerson: false },
        operation: 'draft',
        provider: 'openai',
        model: 'm',
        requestedModel: 'openai/m',
        reservedAtMs: Date.parse(CALL.timestamp),
        day: '2026-11-22',
        items: 3,
        metadata: '{"ticket":"T-1"}',
        simulated: false,
      },
      outcome: {
        ending: 'completed',
        certainty: 'exact',
        usage: { input: 500, cacheRead: 300, cacheWrite5m: 200, output: 100 },
        reasoningTokens: 40,
        latencyMs: 1_500,
        // It was in flight as long as it took, and not until it was tracked: a backtest counts calls in flight.
        settledAtMs: Date.parse(CALL.timestamp) + 1_500,
        timeToFirstTokenMs: 200,
        cost: { inputNanoUsd: 1_000_000n, outputNanoUsd: 200_000n, totalNanoUsd: 1_200_000n },
      },
    })
    expect(await gateway.client.asksOwner(`/llm/explain/${encodeURIComponent('alice/job-7')}`)).toMatchObject({
      call_id: 'alice/job-7',
      status: 'completed',
      cost_usd: { total: 0.0012 },
    })
  })

  it('is counted once, however often it comes, and a change of it is reported and not booked', async () => {
    const { gateway, track } = await open(await options())
    expect((await track([CALL, CALL])).body).toMatchObject({ tracked: 1, already_tracked: 1, different: 0 })
    expect((await track(CALL)).body).toMatchObject({ tracked: 0, already_tracked: 1, different: 0 })
    const other = { ...CALL, output_tokens: 999, user_id: 'ann', total_cost: 5 }
    expect((await track({ calls: [other] })).body).toMatchObject({
      tracked: 0,
      different: 1,
      calls: [{ status: 'different', differences: ['user_id', 'tokens', 'total_cost'], total_cost: 0.0012 }],
    })
    // The same id of another key is another call.
    expect((await track(other, BOB)).body).toMatchObject({ tracked: 1 })
    const stats = await gateway.client.asksOwner('/llm/stats')
    expect(stats).toMatchObject({ total_requests: 2, total_cost: 5.0012 })
  })

  it('is on the windows of its time, also if they are full, and on no others', async () => {
    const config = {
      prices: [PRICE],
      limits: { perKey: { costPerDay: 0.001, costPerMonth: 1, requestsPerMinute: 1, tokensPerHour: 2_000 } },
    }
    const { gateway, clock, track } = await open({ ...(await options()), config })
    const yesterday = '2026-11-21T12:00:00Z'
    const halfAnHourAgo = '2026-11-22T11:30:00Z'
    expect((await track([{ ...CALL, id: 'a', timestamp: yesterday }])).body.tracked).toBe(1)
    const settled = async () => {
      const levels = await gateway.ledger.levels('?key=alice')
      return Object.fromEntries(levels.map(({ limit, settled }) => [limit, settled]))
    }
    const ofYesterday = {
      daily_spending_limit: 0,
      monthly_spending_limit: 0.0012,
      requests_per_minute: 0,
      tokens_per_hour: 0,
    }
    expect(await settled()).toMatchObject(ofYesterday)
    expect((await track([{ ...CALL, id: 'b', timestamp: halfAnHourAgo }])).body.tracked).toBe(1)
    expect((await track([{ ...CALL, id: 'c', timestamp: new Date(clock.wallMs).toISOString() }])).body.tracked).toBe(1)
    expect(await settled()).toMatchObject({
      daily_spending_limit: 0.0024,
      monthly_spending_limit: 0.0036,
      requests_per_minute: 1,
      tokens_per_hour: 2_200,
    })
    const refused = await gateway.client.asks('openai', { cap: 10 }, { headers: { authorization: `Bearer ${ALICE}` } })
    expect(refused.status).toBeGreaterThanOrEqual(400)
    await refused.text()
    // And once more: full limits refuse no call that was made already.
    expect((await track([{ ...CALL, id: 'd' }])).body.tracked).toBe(1)
    expect(await settled()).toMatchObject({ daily_spending_limit: 0.0036 })
  })
})

describe('who may track', () => {
  it('the admin key names the key whose call it is, and a key tracks its own alone', async () => {
    const { gateway, track } = await open()
    expect((await track({ ...CALL, key: 'bob' }, ADMIN_KEY)).body).toMatchObject({
      tracked: 1,
      calls: [{ call_id: 'bob/job-7' }],
    })
    expect((await track({ ...CALL, key: 'alice' })).body.tracked).toBe(1)
    const refusals = [
      [await track(CALL, ADMIN_KEY), 400, 'key: is missing'],
      [await track({ ...CALL, key: 'nobody' }, ADMIN_KEY), 400, 'key: must be the id of a key'],
      [await track({ ...CALL, key: 'bob' }), 403, 'key: must be left out'],
      [await track(CALL, 'wrong-secret-wrong'), 401, 'Incorrect API key'],
    ] as const
    for (const [{ status, body }, code, text] of refusals)
      expect([status, body.error?.message]).toEqual([code, expect.stringContaining(text)])
    expect(await gateway.ledger.entries()).toHaveLength(2)
  })

  it('a person’s key tracks the person’s calls, and what a key requires is required', async () => {
    const { gateway, track } = await open()
    const operator = new KeyOperator(gateway)
    const ann = await operator.makes({ id: 'ann-1', name: 'Ann', user: 'ann@x', requires: ['agent', 'task'] })
    const refused = await track({ ...CALL, user_id: 'bob@x' }, ann.key)
    expect([refused.status, refused.body.error?.message]).toEqual([
      400,
      'user_id: must be left out: the API key is of a person, whose calls these are\n' +
        'agent_name: is missing: the API key requires a call to have its agent\n' +
        'task: is missing: the API key requires a call to have its task',
    ])
    expect((await track({ ...CALL, agent_name: 'a', task: 't' }, ann.key)).body.tracked).toBe(1)
    expect((await gateway.ledger.entries())[0]?.facts.caller).toMatchObject({ user: 'ann@x', isPerson: true })
  })

  it('without keys, everyone on this machine may, in the name of no key', async () => {
    const gateway = await useGateway({ clock: new ManualClock(), config: { prices: [PRICE] } })
    const post = tracker(gateway)
    expect((await post(CALL, 'anything')).body.calls[0]).toMatchObject({ call_id: '(none)/job-7', status: 'tracked' })
    expect((await post({ ...CALL, key: 'alice' }, 'anything')).status).toBe(403)
  })
})

describe('a list with mistakes', () => {
  it('is refused whole, with every mistake and its place', async () => {
    const { gateway, track } = await open()
    const { status, body } = await track([
      CALL,
      { ...CALL, id: 'b', timestamp: '2026-10-01T00:00:00Z', cache_read_tokens: 2_000 },
      { ...CALL, id: 'c', timestamp: '2026-11-22T12:02:00Z', model: 'openai/unheard-of' },
      { ...CALL, id: 'd e', tokens: 4, input_tokens: -1, outcome: 'expired' },
      'call',
    ])
    expect(status).toBe(400)
    const lines = body.error?.message.split('\n') ?? []
    expect(lines.map((line) => line.replace(/:? .*/, ''))).toEqual([
      'calls[1].timestamp',
      'calls[1].input_tokens',
      'calls[2].timestamp',
      'calls[3].id',
      'calls[3].input_tokens',
      'calls[3].outcome',
      'calls[3].tokens',
      'calls[4]',
    ])
    expect(body.error).toMatchObject({ code: 'invalid_request', param: 'calls[1].timestamp' })
    expect(await gateway.ledger.entries()).toEqual([])
  })

  it.each([
    ['no JSON', '{', 'invalid_json', 'not valid JSON'],
    ['an empty list', [], 'invalid_request', '1 to 1000 calls'],
    ['too long a list', Array.from({ length: 1_001 }, () => CALL), 'invalid_request', '1 to 1000 calls'],
    ['an unknown price', { ...CALL, model: 'openai/unheard-of' }, 'unknown_price', 'send total_cost'],
    ['a provider that nobody knows', { ...CALL, model: 'm', provider: 'elsewhere' }, undefined, ''],
    [
      'a provider without a model',
      { ...CALL, model: 'openai/', total_cost: 1 },
      'invalid_request',
      'must name a model',
    ],
    ['a provider with a slash', { ...CALL, provider: 'a/b' }, 'invalid_request', 'name of a provider'],
    ['a list beside other fields', { calls: [CALL], key: 'alice' }, 'invalid_request', 'must be the only field'],
    ['the simulated provider', { ...CALL, model: 'sim/echo' }, 'invalid_request', 'must not be the simulated provider'],
    ['a cost below zero', { ...CALL, total_cost: -1 }, 'invalid_request', 'total_cost'],
    ['a cost that is no number', { ...CALL, total_cost: '1e3' }, 'invalid_request', 'must be dollars'],
    ['metadata with an object', { ...CALL, request_metadata: { a: {} } }, 'invalid_request', 'request_metadata.a'],
    ['too much metadata', { ...CALL, request_metadata: { a: 'x'.repeat(2_048) } }, 'invalid_request', '2048 bytes'],
    ['a name with a line break', { ...CALL, user_id: 'a\nb' }, 'invalid_request', 'control characters'],
    ['a sum that is none', { ...CALL, total_tokens: 3 }, 'invalid_request', 'input_tokens + output_tokens'],
  ])('of %s', async (_what, body, code, text) => {
    const { track } = await open()
    const answer = await track(body)
    expect([answer.status, answer.body.error?.code]).toEqual([code === undefined ? 200 : 400, code])
    expect(answer.body.error?.message ?? '').toContain(text)
  })
})

describe('the cost of a tracked call', () => {
  const costOf = async (fields: object) => {
    const config = { prices: [PRICE, { ...PRICE, provider: 'openai', model: 'moved', input: '7' }] }
    const { gateway, track } = await open({ config })
    const { body } = await track({ ...CALL, ...fields })
    const [entry] = await gateway.ledger.entries()
    return { ...body.calls[0], entry }
  }

  it('is that of the sender, exact to the nano-dollar, also if no price is known', async () => {
    expect(await costOf({ model: 'openai/unheard-of', total_cost: '0.000000001' })).toMatchObject({
      total_cost: 1e-9,
      cost_known: true,
      price_version: null,
    })
    // Doubles have more digits than nano-dollars: up, never down.
    expect(await costOf({ total_cost: 0.1 + 0.2 })).toMatchObject({ total_cost: 0.300000001 })
    expect(await costOf({ total_cost: 0 })).toMatchObject({ total_cost: 0, cost_known: true })
  })

  it('is by the price book of its time and by the tier that was billed', async () => {
    // The list has 2.5 and 10 dollars for gpt-4o, and half of it in batches.
    const gpt = { model: 'gpt-4o', input_tokens: 1_000_000, output_tokens: 1_000_000 }
    expect(await costOf(gpt)).toMatchObject({ total_cost: 12.5 })
    expect(await costOf({ ...gpt, service_tier: 'batch' })).toMatchObject({ total_cost: 6.25 })
  })

  it('is at the provider that the sender names, in any of its spellings', async () => {
    const { entry } = await costOf({ provider: 'Google', model: 'gemini-2.5-flash' })
    expect(entry?.facts).toMatchObject({ provider: 'gemini', model: 'gemini-2.5-flash' })
  })
})

it('tracked calls that come many times at once, and again after kill -9, are each in the ledger once', async () => {
  const path = await ledgerPath()
  const env = {
    DATABASE_URL: `sqlite:${path}`,
    CONFIG_FILE: join(import.meta.dirname, '../app/priced.json'),
    DAILY_SPENDING_LIMIT: '1000',
    MAX_REQUESTS_PER_MINUTE: '',
  }
  const random = new Random(SEED)
  const timestamp = new Date().toISOString()
  const calls = Array.from({ length: 300 }, (_, index) => ({ ...CALL, id: `c${index}`, timestamp, total_cost: 0.01 }))
  const answered = new Set<string>()
  const send = async (gateway: GatewayProcess) => {
    const from = random.between(0, calls.length - 1)
    const body = JSON.stringify(calls.slice(from, from + random.between(1, 60)))
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
    const response = await fetch(`http://127.0.0.1:${gateway.port}/token-usage/track`, init)
    const { calls: tracked } = (await response.json()) as { calls: { id: string; status: string }[] }
    for (const { id, status } of tracked) {
      if (status === 'tracked') expect(answered.has(id), `${id} of SEED=${SEED}`).toBe(false)
      answered.add(id)
    }
  }
  for (let kill = 0; kill < 3; kill++) {
    const gateway = await GatewayProcess.start(env)
    const requests = Array.from({ length: 12 }, () => send(gateway).catch(() => undefined))
    await Promise.race(requests.slice(4))
    await gateway.kill('SIGKILL')
    await Promise.all(requests)
  }
  const gateway = await GatewayProcess.start(env)
  await Promise.all(Array.from({ length: 24 }, () => send(gateway)))
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(calls) }
  const last = await fetch(`http://127.0.0.1:${gateway.port}/token-usage/track`, init)
  const { different, tracked, already_tracked } = (await last.json()) as Answer
  expect([different, tracked + already_tracked]).toEqual([0, calls.length])
  expect(already_tracked).toBeGreaterThanOrEqual(answered.size)
  expect(await gateway.page('/llm/stats')).toMatchObject({ total_requests: calls.length, total_cost: 3 })
  const { limits } = await gateway.page<{ limits: { limit: string; settled: number }[] }>('/llm/limits')
  expect(limits.find(({ limit }) => limit === 'daily_spending_limit')?.settled).toBe(3)
  await gateway.kill('SIGTERM')
})
