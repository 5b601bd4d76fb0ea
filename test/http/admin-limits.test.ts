// Limits that are set while calls run: what they replace, how raises end, and what is refused.

import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import type { ManualClock } from '../support/clocks.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { KeyOperator } from '../support/keys.ts'

const CI = 'the-secret-of-ci-0001'
const BOB = 'the-secret-of-bob-001'
const DAY_MS = 86_400_000

const CONFIG = { limits: { perKey: { requestsPerDay: 3 }, global: { costPerDay: '20', costPerMonth: '90' } } }

let gateway: Gateway<ManualClock>

beforeEach(async () => {
  gateway = await startGateway({
    env: { ADMIN_KEY, BURSAR_KEYS: `ci:${CI},bob:${BOB}`, DAILY_SPENDING_LIMIT: '10', MAX_REQUESTS_PER_MINUTE: '' },
    config: CONFIG,
  })
  onTestFinished(() => gateway.close())
})

interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects.
  readonly json: any
}

async function admin(method: string, path: string, body?: unknown): Promise<Answer> {
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }
  const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
  const response = await gateway.client.fetch('in process', `/admin/limits${path}`, init)
  return { status: response.status, json: await response.json() }
}

async function call(key = CI, user = 'u'): Promise<number> {
  const response = await gateway.client.fetch('in process', '/v1/chat/completions', {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'x-bursar-user': user },
    body: JSON.stringify({ model: 'sim/echo', max_tokens: 5, messages: [{ role: 'user', content: 'hello' }] }),
  })
  await response.text()
  return response.status
}

const calls = async (count: number, key = CI) => {
  const statuses: number[] = []
  for (let index = 0; index < count; index++) statuses.push(await call(key))
  return statuses.filter((status) => status === 200).length
}

const inForce = ({ json }: Answer) =>
  Object.fromEntries(json.in_force.map(({ limit, amount }: { limit: string; amount: unknown }) => [limit, amount]))

describe('a limit that is set', () => {
  it('replaces what settings and file say, until it is deleted', async () => {
    expect(inForce(await admin('GET', '/global'))).toMatchObject({ costPerDay: 10, costPerMonth: 90 })
    const put = await admin('PUT', '/global', { costPerDay: '50', requestsPerDay: { amount: 7, shadow: true } })
    expect(put).toMatchObject({
      status: 200,
      json: { subject: 'global', source: 'admin', limits: { costPerDay: '50' } },
    })
    expect(inForce(put)).toMatchObject({ costPerDay: 50, costPerMonth: 90, requestsPerDay: 7 })
    expect((await admin('DELETE', '/global')).json).toMatchObject({ source: null, limits: {} })
    expect(inForce(await admin('GET', '/global'))).toMatchObject({ costPerDay: 10, costPerMonth: 90 })
    expect((await admin('DELETE', '/global')).status).toBe(404)
  })

  it('stays if another one of its subject is set or taken back by PATCH', async () => {
    await admin('PUT', '/key:ci', { costPerDay: '5', inFlight: 4 })
    const patched = await admin('PATCH', '/key:ci', { requestsPerDay: 9, inFlight: null })
    expect(patched.json.limits).toEqual({ costPerDay: '5', requestsPerDay: 9 })
    expect(inForce(patched)).toEqual({ costPerDay: 5, requestsPerDay: 9 })
    expect(await admin('PATCH', '/key:ci', { inFlight: null })).toMatchObject({ status: 404 })
    expect(await admin('PATCH', '/key:ci', {})).toMatchObject({ status: 400 })
    expect(await admin('PATCH', '/key:ci', { costPerWeek: 1 })).toMatchObject({ status: 400 })
    const last = await admin('PATCH', '/key:ci', { costPerDay: null, requestsPerDay: null })
    expect(last.json).toMatchObject({ source: null, limits: {} })
  })

  it('holds from the next call on, for its subject alone, and counts what was before', async () => {
    expect(await calls(1)).toBe(1)
    await admin('PUT', '/user:ci%2Fu', { requestsPerMonth: 2 })
    expect(await calls(3)).toBe(1)
    expect(await calls(2, BOB)).toBe(2)
    await admin('PUT', '/user:ci%2Fu', { requestsPerMonth: 3 })
    expect(await calls(3)).toBe(1)
    await admin('PUT', '/key:ci', { requestsPerDay: 4 })
    await admin('DELETE', '/user:ci/u')
    expect(await calls(3)).toBe(1)
  })

  it('is one document however its model is spelled', async () => {
    const { warnings, ...json } = (await admin('PUT', '/model:openai%2FGPT-4o', { costPerDay: 1 })).json
    expect((await admin('GET', '/model:openai/gpt-4o')).json).toEqual(json)
    expect([json.subject, warnings]).toEqual(['model:openai/gpt-4o', []])
  })

  it('comes with a warning if its name matches nothing now', async () => {
    const limits = { costPerDay: 1 }
    const warning = async (subject: string, method = 'PUT') =>
      (await admin(method, `/${encodeURIComponent(subject)}`, limits)).json.warnings
    for (const method of ['PUT', 'PATCH'])
      expect(await warning('key:cii', method)).toEqual([
        'key:cii: limits nothing: BURSAR_KEYS has no cii. Did you mean ci?',
      ])
    expect(await warning('provider:opnai')).toEqual([
      'provider:opnai: no provider is named opnai. Did you mean openai?',
    ])
    expect(await warning('model:openai/gpt-4oo')).toEqual([expect.stringContaining('Did you mean openai/gpt-4o?')])
    await new KeyOperator(gateway).makes({ name: 'Cii' })
    for (const subject of ['key:ci', 'key:cii', 'user:cii/7', 'user:ann', 'project:none', 'perKey', 'global'])
      expect(await warning(subject)).toEqual([])
  })

  it('is there after a restart of what reads it, with its source', async () => {
    await admin('PUT', '/perKey', { requestsPerDay: 1 })
    await gateway.app.reload(readFileConfig(JSON.stringify(CONFIG)))
    expect(await calls(2)).toBe(1)
    const page = await gateway.client.asksOwner<{ limits: { limit: string; source: string }[] }>('/llm/limits?key=ci')
    expect(page.limits.map(({ limit, source }) => `${limit}: ${source}`)).toContain(
      'requests_per_day: "requestsPerDay" of "perKey" at /admin/limits',
    )
    expect(page.limits.map(({ limit, source }) => `${limit}: ${source}`)).toContain(
      'daily_spending_limit: DAILY_SPENDING_LIMIT',
    )
  })

  it('may be on a name with quotes and slashes', async () => {
    const subject = `user:ci/o'hara "7"/raise`
    const path = `/${encodeURIComponent(subject)}`
    expect((await admin('PUT', path, { costPerDay: 5 })).json).toMatchObject({ subject, source: 'admin' })
    expect((await admin('DELETE', path)).json).toMatchObject({ subject, source: null })
  })

  it('is in the record of a key that has one, and only there', async () => {
    const { registry } = gateway.app.store
    const record = { name: 'Ann', limits: { costPerDay: 5 }, time_zone: 'Asia/Kolkata' }
    await registry.write({ kind: 'key', id: 'ann', value: record }, { actor: 'admin', atMs: 0, audit: true })
    const put = await admin('PUT', '/key:ann', { requestsPerDay: 2 })
    expect(put.json).toMatchObject({ source: 'key', limits: { requestsPerDay: 2 }, in_force: [{ amount: 2 }] })
    const until = new Date(gateway.clock.wallMs + 1_000).toISOString()
    const raised = await admin('POST', '/key:ann/raise', { requestsPerDay: 7, until, reason: 'a launch' })
    expect(inForce(raised)).toEqual({ requestsPerDay: 7 })
    expect(await registry.read('limit')).toEqual([])
    expect(await registry.read('key')).toMatchObject([
      {
        value: {
          name: 'Ann',
          limits: { requestsPerDay: 2 },
          raises: [{ reason: 'a launch' }],
          time_zone: 'Asia/Kolkata',
        },
      },
    ])
    expect(inForce(await admin('DELETE', '/key:ann'))).toEqual({ requestsPerDay: 3 })
    expect((await registry.audit({ limit: 1 }))[0]).toMatchObject({ kind: 'key', id: 'ann', actor: 'admin' })
  })

  it('that was set before its key was made moves into the record with the next change, and can be taken back', async () => {
    const { registry } = gateway.app.store
    await admin('PUT', '/key:new', { requestsPerDay: 2, costPerDay: 5 })
    const { key } = await new KeyOperator(gateway).makes({ name: 'New', limits: { costPerDay: 7 } })
    expect(await calls(9, key)).toBe(2)
    const shown = await admin('GET', '/key:new')
    expect(shown.json).toMatchObject({ source: 'key', limits: { requestsPerDay: 2, costPerDay: 7 } })
    expect(inForce(shown)).toEqual({ requestsPerDay: 2, costPerDay: 7 })
    const patched = await admin('PATCH', '/key:new', { costPerDay: null })
    expect([patched.json.limits, inForce(patched)]).toEqual([{ requestsPerDay: 2 }, { requestsPerDay: 2 }])
    expect(await registry.read('limit')).toEqual([])
    expect(await calls(9, key)).toBe(0)
    expect(inForce(await admin('DELETE', '/key:new'))).toEqual({ requestsPerDay: 3 })
    expect(await calls(9, key)).toBe(1)
  })

  it('moves into the record of a key that is made later, once either is changed', async () => {
    const { registry } = gateway.app.store
    const origin = { actor: 'admin', atMs: 0, audit: true } as const
    for (const [method, body, after] of [
      ['PATCH', { inFlight: 9 }, { requestsPerDay: 2, costPerDay: '1', inFlight: 9 }],
      ['PATCH', { requestsPerDay: null }, { costPerDay: '1' }],
      ['PUT', { inFlight: 9 }, { inFlight: 9 }],
      ['DELETE', undefined, {}],
    ] as const) {
      await registry.write({ kind: 'key', id: 'ann', value: null }, origin)
      await admin('PUT', '/key:ann', { requestsPerDay: 2, costPerDay: '8' })
      await registry.write({ kind: 'key', id: 'ann', value: { name: 'Ann', limits: { costPerDay: '1' } } }, origin)
      const before = await admin('GET', '/key:ann')
      expect(before.json).toMatchObject({ source: 'key', limits: { requestsPerDay: 2, costPerDay: '1' } })
      expect(inForce(before)).toEqual({ requestsPerDay: 2, costPerDay: 1 })
      expect((await admin(method, '/key:ann', body)).json).toMatchObject({ source: 'key', limits: after })
      expect(await registry.read('limit')).toEqual([])
      expect(await registry.read('key', 'ann')).toMatchObject([{ value: { limits: after } }])
    }
  })

  it('takes a bare user for a person', async () => {
    expect((await admin('PUT', '/user:ann', { costPerDay: 5 })).json).toMatchObject({ subject: 'user:ann' })
  })
})

describe('a shadow limit', () => {
  it('decides and counts, and refuses nothing', async () => {
    await admin('PUT', '/key:ci', { requestsPerDay: { amount: 1, shadow: true } })
    await admin('PUT', '/user:ci%2Fu', { requestsPerDay: { amount: 9, shadow: true } })
    expect(await calls(4)).toBe(4)
    const page = await gateway.client.asksOwner<{ limits: object[] }>('/llm/limits?key=ci&user=u')
    expect(page.limits).toContainEqual(
      expect.objectContaining({ limit: 'requests_per_day', subject: 'user:ci/u', settled: 4, would_have_refused: 0 }),
    )
    expect(page.limits).toContainEqual(
      expect.objectContaining({
        limit: 'requests_per_day',
        subject: 'key:ci',
        shadow: true,
        enforced: false,
        settled: 4,
        would_have_refused: 3,
      }),
    )
    expect(page.limits).toContainEqual(
      expect.objectContaining({ limit: 'daily_spending_limit', shadow: false, would_have_refused: 0 }),
    )
  })
})

describe('a raise', () => {
  const until = (fromNowMs: number) => new Date(gateway.clock.wallMs + fromNowMs).toISOString()
  const raise = (amount: number, ms: number, subject = 'key:ci') =>
    admin('POST', `/${subject}/raise`, { requestsPerDay: amount, until: until(ms), reason: 'a launch' })

  it('holds until its instant and not a millisecond longer', async () => {
    expect(await calls(4)).toBe(3)
    expect((await raise(4, 1_000)).json).toMatchObject({
      raises: [{ limits: { requestsPerDay: 4 }, reason: 'a launch' }],
    })
    expect(inForce(await admin('GET', '/key:ci'))).toMatchObject({ requestsPerDay: 4 })
    expect(await calls(2)).toBe(1)
    expect(await calls(4, BOB)).toBe(3)
    await raise(9, 1_000)
    gateway.clock.advance(999)
    expect(await calls(1)).toBe(1)
    gateway.clock.advance(1)
    expect(await calls(1)).toBe(0)
    expect(inForce(await admin('GET', '/key:ci'))).toMatchObject({ requestsPerDay: 3 })
    expect((await admin('GET', '/key:ci')).json.raises).toEqual([])
  })

  it('is replaced by a second one, and ends early', async () => {
    await raise(50, 1_000)
    expect((await raise(4, 1_000)).json.raises).toHaveLength(1)
    expect(await calls(5)).toBe(4)
    await raise(9, 1_000)
    expect(await admin('DELETE', '/key:ci/raise')).toMatchObject({
      status: 200,
      json: { subject: 'key:ci', raises: [] },
    })
    expect(await calls(1)).toBe(0)
    expect((await admin('DELETE', '/key:ci/raise')).status).toBe(404)
    await raise(9, 1_000)
    expect(await calls(1)).toBe(1)
    await admin('DELETE', '/key:ci')
    expect(await calls(1)).toBe(0)
  })

  it('of a kind raises each subject without a limit of its own', async () => {
    await admin('PUT', '/key:bob', { requestsPerDay: 1 })
    await raise(5, 1_000, 'perKey')
    expect([await calls(6), await calls(2, BOB)]).toEqual([5, 1])
  })

  it('is in the audit log with its reason', async () => {
    await raise(5, 1_000)
    const [line] = await gateway.app.store.registry.audit({ limit: 1 })
    expect(line).toMatchObject({
      actor: 'admin',
      kind: 'limit',
      id: 'key:ci',
      before: null,
      after: { raises: [{ reason: 'a launch' }] },
    })
  })

  it.each<[what: string, body: object, message: RegExp]>([
    [
      'not above the limit in force',
      { requestsPerDay: 3 },
      /requestsPerDay must be above the limit in force, which is 3 requests/,
    ],
    [
      'of a limit that is not in force',
      { costPerTotal: 3 },
      /costPerTotal cannot be raised: no such limit is in force on key:ci/,
    ],
    ['of nothing', {}, /Name the limits to raise/],
    ['with an option', { requestsPerDay: { amount: 9, shadow: true } }, /requestsPerDay\.shadow must not be here/],
    ['of no limit', { costPerWeek: 3 }, /costPerWeek must not be here/],
    ['that ended', { requestsPerDay: 5, until: '2020-01-01T00:00:00Z' }, /until must be in the future/],
    ['for too long', { requestsPerDay: 5, until: '2040-01-01T00:00:00Z' }, /until must be at most a year ahead/],
    ['until no instant', { requestsPerDay: 5, until: 'tomorrow' }, /until: must be a time such as/],
    ['without a reason', { requestsPerDay: 5, reason: ' ' }, /reason/],
  ])('%s is refused', async (_what, body, message) => {
    const sent = { until: until(DAY_MS), reason: 'a launch', ...body }
    const { status, json } = await admin('POST', '/key:ci/raise', sent)
    expect([status, json.error.message]).toEqual([400, expect.stringMatching(message)])
    expect(await gateway.app.store.registry.read('limit')).toEqual([])
  })
})

describe('what cannot be set', () => {
  it.each<[subject: string, body: unknown, message: RegExp]>([
    ['perkey', { costPerDay: 1 }, /must be named .* Did you mean perKey/],
    ['key:a\nb', { costPerDay: 1 }, /must hold no control characters/],
    ['agent:7', { costPerDay: 1 }, /must name its key first/],
    ['model:gpt-4o', { costPerDay: 1 }, /must name its provider first/],
    ['key:ci', {}, /No limit is set/],
    ['key:ci', { costPerDay: -1 }, /costPerDay must be decimal dollars/],
    ['key:ci', { costPerDai: 1 }, /costPerDai must not be here. Did you mean costPerDay/],
    ['key:ci', { costPerDay: { amount: 1, refill: 'steady' } }, /costPerDay.refill must not be "steady"/],
    [
      'key:ci',
      { costPerDay: { amount: 1, shadow: true, enforce: true } },
      /costPerDay.shadow must not be true where "enforce" is true/,
    ],
    ['key:ci', [], /not a JSON object/],
  ])('%s %j', async (subject, body, message) => {
    const { status, json } = await admin('PUT', `/${encodeURIComponent(subject)}`, body)
    expect([status, json.error.message]).toEqual([400, expect.stringMatching(message)])
  })

  it.each(['GET', 'PUT', 'DELETE'])('%s without the admin key', async (method) => {
    const headers = { authorization: `Bearer ${CI}`, 'content-type': 'application/json' }
    const init = { method, headers, ...(method === 'PUT' ? { body: '{"costPerDay":1}' } : {}) }
    const response = await gateway.client.fetch('in process', '/admin/limits/key:ci', init)
    expect(response.status).toBe(401)
    expect(await gateway.app.store.registry.read('limit')).toEqual([])
  })
})

it('lists what settings and file say, and pages what is set', async () => {
  for (const name of ['a', 'b', 'c']) await admin('PUT', `/project:${name}`, { costPerDay: 5 })
  const first = await admin('GET', '?limit=2')
  const rows = (answer: Answer) =>
    answer.json.limits.map((row: { subject: string; source: string }) => `${row.source} ${row.subject}`)
  expect(rows(first)).toEqual([
    'settings global',
    'bursar.json perKey',
    'bursar.json global',
    'admin project:a',
    'admin project:b',
  ])
  expect(first.json.limits[2]).toMatchObject({
    limits: { costPerDay: '20' },
    in_force: expect.arrayContaining([
      expect.objectContaining({ limit: 'costPerDay', amount: 10, source: 'DAILY_SPENDING_LIMIT' }),
    ]),
  })
  const second = await admin('GET', `?limit=2&cursor=${encodeURIComponent(first.json.next_cursor)}`)
  expect([rows(second), second.json.next_cursor]).toEqual([['admin project:c'], null])
})
