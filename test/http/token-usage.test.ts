// Reports of usage: which period, zone, calls and groups they are of, what their figures are, and what is wrong with a request.

import { parse } from 'csv-parse/sync'
import { describe, expect, it, onTestFinished } from 'vitest'
import { usageOf } from '../../src/core/usage.ts'
import { type Period, SumsNotReady, type UsageQuery } from '../../src/stores/usage-query.ts'
import type { ManualClock } from '../support/clocks.ts'
import type { Gateway } from '../support/gateway.ts'
import { KeyOperator } from '../support/keys.ts'
import { type AnswerJson, AS_ADMIN, AS_ALICE, ask, correctCall, openLedger, writeCall } from './usage-ledger.ts'

const HOUR_MS = 3_600_000
/** Noon in UTC, where the clock of these tests stands. */
const NOON_MS = Date.UTC(2026, 10, 22, 12)

async function open(settings: Readonly<Record<string, string>> = {}): Promise<Gateway<ManualClock>> {
  const gateway = await openLedger('memory:', settings)
  onTestFinished(() => gateway.close())
  return gateway
}

const asked = async (gateway: Gateway, path: string, headers = AS_ADMIN): Promise<AnswerJson> => {
  const { status, body, text } = await ask(gateway, path, headers)
  expect(status, text).toBe(200)
  return body
}

/** The plain numbers of an answer. */
const plain = async (gateway: Gateway, path: string, headers = AS_ADMIN): Promise<Record<string, unknown>> =>
  JSON.parse((await ask(gateway, path, headers)).text) as Record<string, unknown>

describe('a period', () => {
  it.each([
    ['days=1', '2026-11-22T00:00', '2026-11-23T00:00', 'UTC'],
    ['days=30', '2026-10-24T00:00', '2026-11-23T00:00', 'UTC'],
    ['', '2026-10-24T00:00', '2026-11-23T00:00', 'UTC'],
    ['days=1&tz=Asia/Kathmandu', '2026-11-21T18:15', '2026-11-22T18:15', 'Asia/Kathmandu'],
    ['days=1&tz=asia/KATHMANDU', '2026-11-21T18:15', '2026-11-22T18:15', 'asia/KATHMANDU'],
    ['days=1&tz=europe/berlin', '2026-11-21T23:00', '2026-11-22T23:00', 'Europe/Berlin'],
    ['days=1&tz=Pacific/Auckland', '2026-11-22T11:00', '2026-11-23T11:00', 'Pacific/Auckland'],
    // Before the change of the clock, the offset is another.
    ['days=30&tz=Europe/Berlin', '2026-10-23T22:00', '2026-11-22T23:00', 'Europe/Berlin'],
    ['from=2026-11-01&to=2026-11-02', '2026-11-01T00:00', '2026-11-03T00:00', 'UTC'],
    ['from=2026-11-01&to=2026-11-01&tz=America/New_York', '2026-11-01T04:00', '2026-11-02T05:00', 'America/New_York'],
    ['from=2026-11-22', '2026-11-22T00:00', '2026-11-22T12:15', 'UTC'],
    ['from=2026-11-22T08:01:00Z&to=2026-11-22T08:16:00Z', '2026-11-22T08:00', '2026-11-22T08:30', 'UTC'],
    ['from=2026-11-22T08:15:00%2B05:45&to=2026-11-22', '2026-11-22T02:30', '2026-11-23T00:00', 'UTC'],
    // A plus sign that nobody encoded.
    ['from=2026-11-22T08:15:00+05:45&to=2026-11-22', '2026-11-22T02:30', '2026-11-23T00:00', 'UTC'],
  ])('of %j is from %s to %s in %s', async (query, from, to, zone) => {
    const { period } = await asked(await open(), `/token-usage/by-model?${query}`)
    expect(period).toEqual({ from: `${from}:00.000Z`, to: `${to}:00.000Z`, time_zone: zone })
  })

  it('of records is a week, if the request names none', async () => {
    expect((await asked(await open(), '/token-usage/all')).period.from).toBe('2026-11-16T00:00:00.000Z')
  })

  it('is in the zone of the setting, of the key, and of the parameter, the last of these that there is', async () => {
    const gateway = await open({ TIME_ZONE: 'Asia/Kolkata' })
    const operator = new KeyOperator(gateway)
    const { key } = await operator.makes({ name: 'abroad', time_zone: 'Pacific/Chatham' })
    const zone = async (query: string, headers = AS_ADMIN) =>
      (await asked(gateway, `/token-usage/by-day${query}`, headers)).period.time_zone
    const asKey = { authorization: `Bearer ${key}` }
    expect(await zone('')).toBe('Asia/Kolkata')
    expect(await zone('', AS_ALICE)).toBe('Asia/Kolkata')
    expect(await zone('', asKey)).toBe('Pacific/Chatham')
    expect(await zone('?key=abroad')).toBe('Pacific/Chatham')
    expect(await zone('?tz=UTC', asKey)).toBe('UTC')
  })

  it('may be in an offset that the setting names', async () => {
    const { period } = await asked(await open({ TIME_ZONE: '+05:30' }), '/token-usage/by-day?days=1')
    expect(period).toMatchObject({ from: '2026-11-21T18:30:00.000Z', time_zone: '+05:30' })
  })

  it('has every day of its zone in the trend, also those without calls, and those on which the clock turns', async () => {
    const gateway = await open()
    // 23:59 and 00:01 at the end of a day of 25 hours in Berlin.
    await writeCall(gateway, { reservedAtMs: Date.UTC(2026, 9, 25, 22, 59), costNanoUsd: 1n })
    await writeCall(gateway, { reservedAtMs: Date.UTC(2026, 9, 25, 23, 1), costNanoUsd: 20n })
    const { days, cost_trend: trend } = await plain(
      gateway,
      '/token-usage/by-day?from=2026-10-24&to=2026-10-27&tz=Europe/Berlin',
    )
    expect(trend).toEqual([
      { date: '2026-10-24', cost: 0, requests: 0, tokens: 0 },
      { date: '2026-10-25', cost: 1e-9, requests: 1, tokens: 30 },
      { date: '2026-10-26', cost: 2e-8, requests: 1, tokens: 30 },
      { date: '2026-10-27', cost: 0, requests: 0, tokens: 0 },
    ])
    expect(days).toMatchObject([
      {},
      { from: '2026-10-24T22:00:00.000Z', to: '2026-10-25T23:00:00.000Z', total_requests: 1 },
      { total_requests: 1 },
      {},
    ])
  })
})

describe('the figures', () => {
  it('of a user are those of its calls, worked out by hand', async () => {
    const gateway = await open()
    const caller = { key: 'alice', user: 'ann' }
    const usage = usageOf({ input: 100, cacheRead: 40, cacheWrite5m: 10, output: 7 })
    const call = await writeCall(gateway, {
      caller: { ...caller, agent: 'coder' },
      costNanoUsd: 1_000_000_000n,
      items: 4,
      outcome: { usage, latencyMs: 1_000, timeToFirstTokenMs: 100 },
    })
    await writeCall(gateway, {
      caller,
      provider: 'anthropic',
      model: 'claude-x',
      costNanoUsd: 1n,
      tokens: 30,
      outcome: { ending: 'failed', certainty: 'upperBound' },
    })
    await correctCall(gateway, call, -250_000_000n)
    await writeCall(gateway, { caller: { key: 'alice', user: 'ben' } })
    const { period: _, ...report } = await plain(gateway, '/token-usage/user/ann?days=1')
    expect(report).toEqual({
      user_id: 'ann',
      simulated: false,
      total_requests: 2,
      total_input_tokens: 170,
      total_output_tokens: 17,
      total_tokens: 187,
      cache_read_tokens: 40,
      cache_write_tokens: 10,
      total_cost: 0.750000001,
      average_cost: 0.375,
      outcomes: { completed: 1, failed: 1, canceled: 0, expired: 0 },
      error_rate: 0.5,
      certainty: { exact: 1, estimated: 0, upper_bound: 1 },
      latency_ms: { p50: 996.1, p95: 996.1, p99: 996.1 },
      time_to_first_token_ms: { p50: 100.6, p95: 100.6, p99: 100.6 },
      items: 4,
      cost_per_item: 0.1875,
      cost_by_model: { 'openai/gpt-4o': 0.75, 'anthropic/claude-x': 1e-9 },
      tokens_by_model: { 'openai/gpt-4o': 157, 'anthropic/claude-x': 30 },
      other_models: null,
      requests_by_agent: { coder: 1, '': 1 },
      other_agents: null,
      cost_trend: [{ date: '2026-11-22', cost: 0.750000001, requests: 2, tokens: 187 }],
    })
  })

  it('of percentiles are within 2.5 % of the calls’ own', async () => {
    const gateway = await open()
    for (let call = 1; call <= 100; call++)
      await writeCall(gateway, { outcome: { latencyMs: 10 * call, timeToFirstTokenMs: call } })
    const { groups } = (await plain(gateway, '/token-usage/by-provider?days=1')) as {
      groups: { latency_ms: Record<string, number>; time_to_first_token_ms: Record<string, number> }[]
    }
    for (const [name, expected] of [
      ['p50', 500],
      ['p95', 950],
      ['p99', 990],
    ] as const) {
      const { latency_ms = {}, time_to_first_token_ms = {} } = groups[0] ?? {}
      expect(Math.abs((latency_ms[name] ?? 0) / expected - 1)).toBeLessThan(0.025)
      expect(Math.abs((time_to_first_token_ms[name] ?? 0) / (expected / 10) - 1)).toBeLessThan(0.035)
    }
  })

  it('of groups are the most expensive ones, and the rest in one sum', async () => {
    const gateway = await open()
    for (const [index, user] of ['a', 'b', 'c', 'd', null].entries())
      await writeCall(gateway, { caller: { user }, costNanoUsd: BigInt(10 ** index) })
    const { groups, others, total_cost, requests_by_agent } = await plain(gateway, '/token-usage/by-user?limit=2')
    expect(groups).toMatchObject([
      { user: null, total_cost: 0.00001 },
      { user: 'd', total_cost: 0.000001 },
    ])
    expect(others).toMatchObject({ count: 3, total_cost: 1.11e-7, total_requests: 3 })
    expect(total_cost).toBe(0.000011111)
    expect(requests_by_agent).toEqual({ '': 5 })
    expect(await plain(gateway, '/token-usage/by-user?limit=5')).toMatchObject({ others: null })
  })

  it('of more groups than are ever read are in the sum of the others, too', async () => {
    const gateway = await open()
    for (let user = 0; user < 103; user++) await writeCall(gateway, { caller: { user: `u${user}` }, costNanoUsd: 1n })
    for (const [limit, count] of [
      [2, 101],
      [101, 2],
    ]) {
      const { others } = await plain(gateway, `/token-usage/by-user?limit=${limit}`)
      expect(others).toMatchObject({ count, total_requests: count, total_cost: Number(count) / 1e9 })
    }
  })

  it('of a record are all that the ledger has of its call', async () => {
    const gateway = await open()
    const caller = { key: 'alice', user: 'u', thread: 't', agent: 'a', task: 'k', project: 'p', organisation: 'o' }
    const call = await writeCall(gateway, {
      ...{ callId: 'one', caller, operation: 'plan', metadata: '{"ticket":7}', items: 3, costNanoUsd: 9n, tokens: 30 },
      outcome: { latencyMs: 12, timeToFirstTokenMs: 5, reasoningTokens: 2, answeredModel: 'gpt-4o-2024' },
    })
    await correctCall(gateway, call, 5n)
    const { records } = (await plain(gateway, '/token-usage/all')) as { records: Record<string, unknown>[] }
    expect(records).toMatchObject([
      { adjusts: 'one', outcome: 'adjusted', total_cost: 5e-9, total_tokens: 0 },
      {
        ...{ id: 'one', user_id: 'u', thread_id: 't', agent_name: 'a', operation_type: 'plan', task: 'k' },
        ...{ key: 'alice', project: 'p', organisation: 'o', model: 'openai/gpt-4o', provider: 'openai' },
        ...{ timestamp: '2026-11-22T12:00:00.000Z', input_tokens: 20, output_tokens: 10, total_tokens: 30 },
        ...{ input_cost: 0, output_cost: 9e-9, total_cost: 9e-9, request_metadata: { ticket: 7 }, items: 3 },
        ...{ latency_ms: 12, time_to_first_token_ms: 5, outcome: 'completed', certainty: 'exact' },
        ...{ reasoning_tokens: 2, answered_model: 'gpt-4o-2024', adjusts: null, usage: { input: 20, output: 10 } },
      },
    ])
  })

  it('are of simulated calls only while there are no others', async () => {
    const gateway = await open({ OPENAI_API_KEY: '' })
    await writeCall(gateway, { simulated: true, costNanoUsd: 7n })
    expect(await plain(gateway, '/token-usage/by-model')).toMatchObject({ simulated: true, total_cost: 7e-9 })
    await writeCall(gateway, { costNanoUsd: 8n })
    expect(await plain(gateway, '/token-usage/by-model')).toMatchObject({ simulated: false, total_cost: 8e-9 })
  })
})

describe('a filter', () => {
  it.each([
    ['user=ann', ['ann']],
    ['user=', ['nobody']],
    ['user=ANN', []],
    ['key=bob', ['bobs']],
    ['key=', ['keyless']],
    ['model=openai/gpt-4o&user=ann', ['ann']],
    ['model=gpt-4o&provider=openai&user=ann', ['ann']],
    ['model=openai/gpt-4o&provider=openai&user=ann', ['ann']],
    ['provider=my-vllm', ['slashed']],
    ['provider=my-vllm&model=org/large', ['slashed']],
    ['model=my-vllm/org/large', ['slashed']],
    ['user=ann&thread=t', ['ann']],
    ['user=ann&thread=', []],
    ['operation=plan', ['planned']],
  ])('of %s finds %j', async (query, ids) => {
    const gateway = await open()
    const write = (callId: string, call: object, caller = {}) =>
      writeCall(gateway, { ...call, callId, caller: { key: 'alice', user: 'some', thread: 't', ...caller } })
    await write('ann', {}, { user: 'ann' })
    await write('nobody', {}, { user: null })
    await write('bobs', {}, { key: 'bob' })
    await write('keyless', {}, { key: null })
    await write('slashed', { provider: 'my-vllm', model: 'org/large' })
    await write('planned', { operation: 'plan' })
    const { records } = await asked(gateway, `/token-usage/all?${query}`)
    expect(records.map(({ id }) => id)).toEqual(ids)
  })
})

describe('what is wrong with a request is a 400 that names the parameter:', () => {
  it.each([
    ['by-model?days=0', 'days', /whole number from 1 to 3660/],
    ['by-model?days=3661', 'days', /whole number from 1 to 3660/],
    ['by-model?days=-1', 'days', /whole number/],
    ['by-model?days=1e3', 'days', /whole number/],
    ['by-model?days=', 'days', /whole number/],
    ['by-model?days=7&from=2026-11-01', 'days', /must not stand beside from and to/],
    ['by-model?to=2026-11-01', 'from', /must stand beside to/],
    ['by-model?from=yesterday', 'from', /a date such as 2026-11-22/],
    ['by-model?from=2026-02-30', 'from', /a date such as/],
    ['by-model?from=2026-11-01T00:00:00', 'from', /a time with its zone/],
    ['by-model?from=1999-12-31', 'from', /from the year 2000/],
    ['by-model?from=2026-11-01&to=3000-01-01', 'to', /to 2999/],
    ['by-model?from=2026-11-02&to=2026-11-01', 'from', /must be before to/],
    ['by-model?from=2026-11-23', 'from', /must be before now/],
    ['by-model?from=2001-01-01&to=2026-11-01', 'from', /at most 3660 days before to/],
    ['by-model?tz=Mars/Olympus', 'tz', /IANA time zone such as Europe\/Berlin/],
    ['by-model?tz=', 'tz', /IANA time zone/],
    ['by-model?tz=%2B05:30', 'tz', /IANA time zone/],
    ['by-model?model=gpt-4o', 'model', /must be provider\/model/],
    [`by-model?user=${'x'.repeat(1_025)}`, 'user', /1024/],
    ['by-model?limit=0', 'limit', /whole number from 1 to 1000/],
    ['by-model?limit=1001', 'limit', /whole number from 1 to 1000/],
    ['by-model?format=xml', 'format', /json.*csv/],
    ['by-model?colour=red', 'colour', /Unknown query parameter/],
    ['by-model?user=a&user=b', 'user', /must not stand twice/],
    ['all?cursor=abc', 'cursor', /next_cursor of a page/],
    [`all?cursor=${'1'.repeat(65)}`, 'cursor', /next_cursor of a page/],
    ['all?cursor=', 'cursor', /next_cursor of a page/],
    ['all?cursor=abc&format=csv', 'cursor', /next_cursor of a page/],
    ['user/ann?user=ben', 'user', /in the path already/],
    ['refusals?user=ann', 'user', /Unknown query parameter/],
    ['by-model?key=nobody', 'key', /id of a key of this gateway/],
    ['by-model?key=nobody&tz=UTC', 'key', /id of a key of this gateway/],
    ['user/ann?key=nobody', 'key', /id of a key of this gateway/],
    ['refusals?key=nobody', 'key', /id of a key of this gateway/],
    ['export?key=nobody', 'key', /id of a key of this gateway/],
    ['recommendations?key=nobody', 'key', /id of a key of this gateway/],
    [`user/${'x'.repeat(1_025)}`, 'id', /1024/],
    [`thread/${'x'.repeat(1_025)}?format=csv`, 'id', /1024/],
    ['export?format=csv&granularity=hour', 'granularity', /format=focus alone/],
  ])('%s', async (path, param, message) => {
    const { status, body } = await ask(await open(), `/token-usage/${path}`)
    expect([status, body.error.code, body.error.param]).toEqual([400, 'invalid_request', param])
    expect(body.error.message).toMatch(message)
  })

  it('a key that is no more is known by its calls', async () => {
    const gateway = await open()
    await writeCall(gateway, { caller: { key: 'gone' } })
    await writeCall(gateway, { caller: { key: 'tried-out' }, simulated: true })
    expect(await plain(gateway, '/token-usage/by-key?key=gone')).toMatchObject({ total_requests: 1 })
    expect(await plain(gateway, '/token-usage/by-key?key=tried-out')).toMatchObject({ total_requests: 0 })
  })

  it('a cursor of another list', async () => {
    const gateway = await open()
    for (let call = 0; call < 4; call++)
      await writeCall(gateway, { callId: `of-${call}`, caller: { key: 'alice', user: call % 2 ? 'ann' : 'ben' } })
    const all = (query: string) => ask(gateway, `/token-usage/all?${query}`)
    const { next_cursor } = await asked(gateway, '/token-usage/all?user=ann&limit=1')
    const period = 'from=2026-11-16T00:00:00Z&to=2026-11-23T00:00:00Z'
    for (const same of [
      'user=ann',
      'limit=5&user=ann',
      'user=ann&tz=Asia/Tokyo',
      `user=ann&${period}`,
      'user=ann&format=csv',
    ])
      expect([same, (await all(`${same}&cursor=${next_cursor}`)).status]).toEqual([same, 200])
    for (const other of ['', 'user=ben', 'user=', 'user=ann&key=alice', 'thread=ann', 'user=ben&format=csv']) {
      const { status, body } = await all(`${other}&cursor=${next_cursor}`)
      expect([other, status, body.error.param]).toEqual([other, 400, 'cursor'])
      expect(body.error.message).toMatch(/same filters/)
    }
  })

  it('a cursor whose days go on after midnight is no other list', async () => {
    const gateway = await open()
    for (let call = 0; call < 3; call++) await writeCall(gateway, { callId: `c${call}`, reservedAtMs: NOON_MS - call })
    const { next_cursor } = await asked(gateway, '/token-usage/all?limit=1')
    gateway.clock.advance(13 * HOUR_MS)
    const { records } = await asked(gateway, `/token-usage/all?limit=1&cursor=${next_cursor}`)
    expect(records).toMatchObject([{ id: 'c1' }])
  })

  it.each(['/llm/stats', '/audit/self-check'])(
    'a key whose calls cannot be shown apart: %s?key=alice',
    async (path) => {
      const gateway = await open()
      const { status, body } = await ask(gateway, `${path}?key=alice`)
      expect([status, body.error.param]).toEqual([400, 'key'])
    },
  )

  it.each([`/api/metrics/task/${'x'.repeat(1_025)}`, '/api/metrics/task/t?key=nobody', '/api/metrics/summary?key='])(
    '%s',
    async (path) => {
      const { status, body } = await ask(await open(), path)
      expect([status, body.error.code]).toEqual([400, 'invalid_request'])
    },
  )

  it.each([
    ['hours=0', 'hours'],
    ['hours=169', 'hours'],
    ['hours=six', 'hours'],
    ['days=1', 'days'],
    ['tz=x', 'tz'],
  ])('/api/metrics/recent?%s', async (query, param) => {
    const { status, body } = await ask(await open(), `/api/metrics/recent?${query}`)
    expect([status, body.error.param]).toEqual([400, param])
  })
})

describe('a table', () => {
  const rowsOf = (text: string): Readonly<Record<string, string>>[] => parse(text, { columns: true })

  it('of records has all of the period, however many there are, and a page of them if it is asked for', async () => {
    const gateway = await open()
    for (let call = 0; call < 1_203; call++)
      await writeCall(gateway, { callId: `c${call}`, reservedAtMs: NOON_MS - call, caller: { user: '=1' } })
    const rows = rowsOf((await ask(gateway, '/token-usage/all?format=csv')).text)
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 1_203 }, (_, call) => `c${call}`))
    expect(rows[0]).toMatchObject({ user_id: "'=1", total_cost: '0.000001', total_tokens: '30', adjusts: '' })
    expect(rowsOf((await ask(gateway, '/token-usage/all?format=csv&limit=700')).text)).toHaveLength(700)
    const { next_cursor } = await asked(gateway, '/token-usage/all?limit=3')
    const rest = rowsOf((await ask(gateway, `/token-usage/all?format=csv&cursor=${next_cursor}`)).text)
    expect([rest.length, rest[0]?.id]).toEqual([1_200, 'c3'])
  })

  it('of a user has the records of its calls', async () => {
    const gateway = await open()
    await writeCall(gateway, { callId: 'a', caller: { user: 'ann' } })
    await writeCall(gateway, { callId: 'b', caller: { user: 'ben' } })
    expect(rowsOf((await ask(gateway, '/token-usage/user/ann?format=csv')).text)).toMatchObject([{ id: 'a' }])
  })

  it('says of which period, zone and realm it is in its headers', async () => {
    const gateway = await open()
    const headers = { ...AS_ADMIN, accept: 'text/csv' }
    const path = '/token-usage/by-day?days=1&tz=asia/kolkata'
    const response = await gateway.client.fetch('over sockets', path, { headers })
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': expect.stringMatching(/^text\/csv; charset=utf-8/),
      'content-disposition': 'attachment; filename="token-usage-by-day.csv"',
      'x-bursar-from': '2026-11-21T18:30:00.000Z',
      'x-bursar-to': '2026-11-22T18:30:00.000Z',
      'x-bursar-time-zone': 'asia/kolkata',
      'x-bursar-simulated': 'false',
    })
    expect(rowsOf(await response.text())).toMatchObject([{ date: '2026-11-22', total_requests: '0' }])
  })

  it('of groups has all of them, and the rest in one row if a number is asked for', async () => {
    const gateway = await open()
    for (const user of ['a', 'b', null]) await writeCall(gateway, { caller: { user } })
    const all = rowsOf((await ask(gateway, '/token-usage/by-user?format=csv')).text)
    expect(all.map(({ user, row }) => [user, row])).toEqual([
      ['', 'group'],
      ['a', 'group'],
      ['b', 'group'],
    ])
    const few = rowsOf((await ask(gateway, '/token-usage/by-user?format=csv&limit=1')).text)
    expect(few.map(({ row, total_requests }) => [row, total_requests])).toEqual([
      ['group', '1'],
      ['others', '2'],
    ])
  })

  it('is read no further once its client has left', async () => {
    const gateway = await open()
    for (let call = 0; call < 30; call++) await writeCall(gateway, {})
    const { store } = gateway.app
    const records = store.records.bind(store)
    let reads = 0
    const page = await records({ simulated: false, period: { fromMs: 0, untilMs: NOON_MS * 2 }, limit: 30 })
    const ended = Promise.withResolvers<void>()
    store.records = async () => {
      reads += 1
      if (reads > 10_000) ended.reject(new Error('the ledger is read on and on'))
      return { ...page, next: 'more' }
    }
    const response = await gateway.client.fetch('over sockets', '/token-usage/all?format=csv', { headers: AS_ADMIN })
    const reader = response.body?.getReader()
    await reader?.read()
    await gateway.untilClientGone('over sockets', () => reader?.cancel())
    const before = reads
    await new Promise((resolve) => setImmediate(resolve))
    ended.resolve()
    await ended.promise
    expect(reads - before).toBeLessThanOrEqual(2)
  })

  it.each([1, 10])('is no whole table if the ledger cannot be read after %i pages', async (pages) => {
    const gateway = await open()
    const { store } = gateway.app
    await writeCall(gateway, {})
    const page = await store.records({ simulated: false, period: { fromMs: 0, untilMs: NOON_MS * 2 }, limit: 1 })
    let reads = 0
    store.records = async () => {
      if (++reads > pages) throw new Error('the disk is gone')
      return { ...page, next: 'more' }
    }
    const ending = gateway.client
      .fetch('over sockets', '/token-usage/all?format=csv', { headers: AS_ADMIN })
      .then(async (response) => `${response.status} ${await response.text()}`)
      .catch(() => 'broken off')
    // Before anything is sent, there is still time for a status.
    expect(await ending).toBe(pages === 1 ? '500 Error: The table could not be read to its end.' : 'broken off')
  })
})

describe('refusals', () => {
  it('are counted by limit, key and whether the limit is enforced', async () => {
    const gateway = await open()
    const refuse = (limit: string, key: string | null, count: number, isShadow = false, atMs = NOON_MS) =>
      gateway.app.store.append(
        [{ kind: 'refusals', reason: limit, count, refused: { key, atMs, simulated: false, isShadow } }],
        gateway.clock.now(),
      )
    await refuse('daily_spending_limit', 'alice', 3)
    await refuse('daily_spending_limit', 'bob', 1)
    await refuse('tokens_per_minute', 'alice', 2, true)
    await refuse('tokens_per_minute', null, 1)
    await refuse('tokens_per_minute', null, 50, false, NOON_MS - 24 * HOUR_MS)
    expect(await plain(gateway, '/token-usage/refusals?days=1&limit=2')).toMatchObject({
      refused: 5,
      would_have_refused: 2,
      by_limit: {
        daily_spending_limit: { refused: 4, would_have_refused: 0 },
        tokens_per_minute: { refused: 1, would_have_refused: 2 },
      },
      refusals: [
        { limit: 'daily_spending_limit', key: 'alice', shadow: false, count: 3 },
        { limit: 'tokens_per_minute', key: 'alice', shadow: true, count: 2 },
      ],
      others: { count: 2, refused: 2, would_have_refused: 0 },
    })
    expect(await plain(gateway, '/token-usage/refusals', AS_ALICE)).toMatchObject({ refused: 3, would_have_refused: 2 })
    expect(await plain(gateway, '/token-usage/refusals?key=&days=1')).toMatchObject({ refused: 1 })
    const { text } = await ask(gateway, '/token-usage/refusals?format=csv&days=1&key=bob')
    expect(text).toBe('limit,key,shadow,count\r\ndaily_spending_limit,bob,false,1\r\n')
    const { text: first } = await ask(gateway, '/token-usage/refusals?format=csv&days=1&limit=1')
    expect(first).toBe('limit,key,shadow,count\r\ndaily_spending_limit,alice,false,3\r\n,,true,2\r\n,,false,2\r\n')
  })
})

describe('metrics', () => {
  it('have exactly the fields that clients expect, and the price of the default model', async () => {
    const gateway = await open({ OPENAI_MODEL: 'gpt-4o' })
    await writeCall(gateway, { costNanoUsd: 123n, tokens: 30 })
    await writeCall(gateway, { costNanoUsd: 1n, tokens: 30, reservedAtMs: NOON_MS - 2 * HOUR_MS })
    expect(await plain(gateway, '/api/metrics/summary')).toEqual({
      timestamp: '2026-11-22T12:00:00.000Z',
      global: {
        total_tokens: 60,
        total_prompt_tokens: 40,
        total_completion_tokens: 20,
        total_cost_usd: 1.24e-7,
        total_requests: 2,
        avg_tokens_per_request: 30,
        last_updated: '2026-11-22T10:00:00.500Z',
      },
      last_hour: { total_tokens: 30, total_cost_usd: 1.23e-7, total_requests: 1 },
      pricing: { model: 'openai/gpt-4o', input_per_1m_tokens: 2.5, output_per_1m_tokens: 10 },
    })
  })

  it('of the last hours are hour by hour on the clock of the zone', async () => {
    const gateway = await open()
    for (const minutes of [0, 20, 50, 200])
      await writeCall(gateway, { reservedAtMs: NOON_MS - minutes * 60_000, costNanoUsd: BigInt(minutes) })
    expect(await plain(gateway, '/api/metrics/recent?hours=1&tz=Asia/Kathmandu')).toMatchObject({
      period: { from: '2026-11-22T11:00:00.000Z', to: '2026-11-22T12:15:00.000Z', time_zone: 'Asia/Kathmandu' },
      hours: 1,
      total_requests: 3,
      total_cost_usd: 7e-8,
      by_hour: [
        { from: '2026-11-22T11:00:00.000Z', to: '2026-11-22T11:15:00.000Z', total_requests: 1 },
        { from: '2026-11-22T11:15:00.000Z', to: '2026-11-22T12:15:00.000Z', total_requests: 2 },
      ],
    })
    expect(await plain(gateway, '/api/metrics/recent')).toMatchObject({ hours: 6, total_requests: 4 })
  })

  it('of a task are all of its calls', async () => {
    const gateway = await open()
    await writeCall(gateway, { caller: { task: 'k' }, reservedAtMs: Date.UTC(2025, 0, 1), costNanoUsd: 3n })
    await writeCall(gateway, { caller: { task: 'k' }, costNanoUsd: 4n })
    await writeCall(gateway, { caller: { task: 'other' } })
    expect(await plain(gateway, '/api/metrics/task/k')).toMatchObject({
      task_id: 'k',
      total_requests: 2,
      total_cost_usd: 7e-9,
      cost_by_model: { 'openai/gpt-4o': 7e-9 },
    })
    expect(await plain(gateway, '/api/metrics/task/none')).toMatchObject({ total_requests: 0, last_updated: null })
  })

  it('start anew with a reset, which the ledger, its reports and a key’s own counters do not', async () => {
    const gateway = await open()
    const nothing = { total_tokens: 0, total_cost_usd: 0, total_requests: 0 }
    const reset = () => gateway.client.fetch('in process', '/api/metrics/reset', { method: 'POST', headers: AS_ADMIN })
    const call = await writeCall(gateway, { caller: { key: 'alice' }, costNanoUsd: 500n })
    expect(await (await reset()).json()).toMatchObject({
      reset_at: '2026-11-22T12:00:00.000Z',
      global: { total_requests: 1, total_cost_usd: 5e-7 },
    })
    expect(await plain(gateway, '/api/metrics/summary')).toMatchObject({ global: nothing, last_hour: nothing })
    expect(await plain(gateway, '/api/metrics/summary', AS_ALICE)).toMatchObject({ global: { total_requests: 1 } })
    expect(await plain(gateway, '/api/metrics/summary?key=alice')).toMatchObject({ global: { total_requests: 1 } })
    expect(await plain(gateway, '/api/metrics/summary?key=bob')).toMatchObject({ global: { total_requests: 0 } })
    expect(await plain(gateway, '/llm/stats')).toMatchObject({ total_requests: 1 })
    expect(await plain(gateway, '/token-usage/by-day')).toMatchObject({ total_requests: 1 })
    await writeCall(gateway, { caller: { key: 'alice' }, costNanoUsd: 7n })
    await correctCall(gateway, call, -100n)
    const since = { total_requests: 1, total_tokens: 30, total_cost_usd: -9.3e-8 }
    expect(await plain(gateway, '/api/metrics/summary')).toMatchObject({ global: since, last_hour: since })
    gateway.clock.advance(30 * 60_000)
    await reset()
    expect(await plain(gateway, '/api/metrics/summary')).toMatchObject({ global: nothing, last_hour: nothing })
    // The calls before the reset leave the last hour, and what is taken from it leaves with them.
    gateway.clock.advance(31 * 60_000)
    await writeCall(gateway, { costNanoUsd: 2n, reservedAtMs: gateway.clock.wallMs })
    const one = { total_requests: 1, total_cost_usd: 2e-9 }
    expect(await plain(gateway, '/api/metrics/summary')).toMatchObject({ global: one, last_hour: one })
    const { changes } = (await plain(gateway, '/admin/audit')) as { changes: object[] }
    expect(changes).toMatchObject([
      { actor: 'admin', kind: 'metrics-epoch', after: { real: { total: { requests: 2 } } } },
      { actor: 'admin', kind: 'metrics-epoch', before: null },
    ])
  })
})

describe('the ledger', () => {
  it('is checked once at a time, until the client leaves', async () => {
    const gateway = await open()
    const { store } = gateway.app
    const check = { name: 'cost by model', simulated: false, ledger: 2n ** 60n, kept: 2n ** 60n + 1n }
    const going = Promise.withResolvers<void>()
    const aborted = Promise.withResolvers<void>()
    store.selfCheck = async (signal) => {
      signal?.addEventListener('abort', () => aborted.resolve())
      await going.promise
      return [check, { ...check, simulated: true, kept: 2n ** 60n - 2n }]
    }
    const leaving = new AbortController()
    const first = gateway.client.fetch('in process', '/audit/self-check', {
      headers: AS_ADMIN,
      signal: leaving.signal,
    })
    const { status, body } = await ask(gateway, '/audit/self-check')
    expect([status, body.error.code]).toEqual([409, 'self_check_running'])
    leaving.abort()
    await aborted.promise
    going.resolve()
    await first
    const { text } = await ask(gateway, '/audit/self-check')
    expect(text).toContain('"difference":3,')
    expect(text).toContain(
      '"checks":[{"name":"cost by model","simulated":false,"ledger":1152921504606846976,"kept":1152921504606846977,"difference":1}',
    )
  })

  it('whose sums are not ready is a 503 that says how far they are, and when to come again', async () => {
    const gateway = await open()
    gateway.app.store.usage = async () => {
      throw new SumsNotReady(1_500, 20_000)
    }
    const response = await gateway.client.fetch('in process', '/token-usage/by-day', { headers: AS_ADMIN })
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await response.json()).toMatchObject({
      error: { code: 'sums_not_ready', message: expect.stringContaining('1500 of 20000 entries') },
    })
  })

  it('is asked for whole quarter hours with cuts inside them', async () => {
    const gateway = await open()
    const queries: UsageQuery[] = []
    const usage = gateway.app.store.usage.bind(gateway.app.store)
    gateway.app.store.usage = (query) => {
      queries.push(query)
      return usage(query)
    }
    await asked(gateway, '/token-usage/by-user?days=3&tz=Pacific/Chatham&limit=7')
    const period: Period = { fromMs: Date.UTC(2026, 10, 20, 10, 15), untilMs: Date.UTC(2026, 10, 23, 10, 15) }
    const cuts = [period.fromMs + 24 * HOUR_MS, period.fromMs + 48 * HOUR_MS]
    expect(queries).toEqual([
      { simulated: false, period, where: {}, by: ['model', 'agent', 'user'], cuts, maxGroups: 100 },
    ])
  })
})
