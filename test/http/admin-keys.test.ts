// Admin keys: operators make keys, change them and replace their secrets while calls go on.

import { describe, expect, it } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import type { Problem } from '../../src/core/problem.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import { holding, KeyOperator } from '../support/keys.ts'
import { waitFor } from '../support/waiting.ts'

async function open(options: GatewayFixtureOptions = {}) {
  const clock = new ManualClock()
  const gateway = await useGateway({ clock, timers: clock, config: { prices: [PRICE] }, ...options })
  return { gateway, clock, operator: new KeyOperator(gateway) }
}

/** The status of a call, and the message if it was refused. */
async function calls(gateway: GatewayFixture, init: RequestInit = {}, model = 'm'): Promise<string> {
  const response = await gateway.client.asks('openai', { model, cap: 10 }, init)
  const { error } = (await response.json()) as { error?: Pick<Problem, 'message'> }
  return error ? `${response.status} ${error.message}` : `${response.status}`
}

const UNKNOWN = '401 Incorrect API key: it is no key of this gateway.'

describe('a new key', () => {
  it('has an id made from its name, never one that exists or did', async () => {
    const { operator } = await open({ env: { BURSAR_KEYS: 'ci:ci-secret-ci-secret' } })
    const ids = []
    for (const name of ['CI', 'ci!', '  Ärger & Söhne ', '__proto__', '"quoted"', '漢字', 'x'.repeat(200)])
      ids.push((await operator.makes({ name })).id)
    await operator.disables('ci-2')
    for (let made = 0; made < 12; made++) ids.push((await operator.makes({ name: 'CI' })).id)
    expect(ids.slice(0, 7)).toEqual(['ci-2', 'ci-3', 'arger-sohne', 'proto', 'quoted', 'key', 'x'.repeat(55)])
    expect(ids.slice(7, 13)).toEqual(['ci-4', 'ci-5', 'ci-6', 'ci-7', 'ci-8', 'ci-9'])
    for (const id of ids.slice(13)) expect(id).toMatch(/^ci-[0-9a-f]{8}$/)
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ['ci', 'ci-2'])
      expect(await operator.isRefused('POST', '', { name: 'x', id })).toMatchObject({
        status: 409,
        code: 'already_exists',
        param: 'id',
      })
  })

  it('shows its secret once, and its prefix always', async () => {
    const { operator } = await open()
    const { key, warnings: _, ...made } = await operator.makes({ name: 'CI' })
    expect(key).toMatch(/^bsr_[A-Za-z0-9_-]{43}$/)
    expect(made.prefix).toBe(key.slice(0, 8))
    expect(await operator.asks('GET', '/ci')).toEqual({ status: 200, body: made })
    expect(await operator.asks('GET', '')).toEqual({ status: 200, body: { keys: [made], next_cursor: null } })
    expect((await operator.makes({ name: 'CI' })).key).not.toBe(key)
  })

  it.each<[object | string, string | null, RegExp]>([
    [{}, 'name', /is missing/],
    [{ name: '' }, 'name', /must not be empty/],
    [{ name: 'a\nb' }, 'name', /must be one line/],
    [{ name: 'a\u2028b' }, 'name', /must be one line/],
    ['{"name":"\\ud800"}', 'name', /must be one line/],
    [{ name: 'x'.repeat(201) }, 'name', /at most 200 characters/],
    [{ name: 'x', id: '__proto__' }, 'id', /must be 1 to 64/],
    [{ name: 'x', id: 'a/b' }, 'id', /must be 1 to 64/],
    [{ name: 'x', id: 'a\n' }, 'id', /must be 1 to 64/],
    [{ name: 'x', user: 'a/b' }, 'user', /no slash/],
    [{ name: 'x', project: '(none)' }, 'project', /must not be \(none\)/],
    [{ name: 'x', models: [] }, 'models', /1 or more/],
    [{ name: 'x', models: ['a b'] }, 'models[0]', /without spaces/],
    [{ name: 'x', limits: { costPerDya: '1' } }, 'limits.costPerDya', /Did you mean costPerDay/],
    [{ name: 'x', limits: { costPerDay: 'many' } }, 'limits.costPerDay', /decimal dollars/],
    [
      { name: 'x', limits: { requestsPerMinute: { amount: 1, refill: 'x' } } },
      'limits.requestsPerMinute.refill',
      /steady/,
    ],
    [{ name: 'x', requires: ['usr'] }, 'requires[0]', /Did you mean user/],
    [{ name: 'x', requires: ['project'] }, 'requires', /set project/],
    [{ name: 'x', expires_at: 'tomorrow' }, 'expires_at', /2027-01-31T00:00:00Z/],
    [{ name: 'x', money_refusal: '418' }, 'money_refusal', /must be "400", "402", "429" or "auto"/],
    [{ name: 'x', hosted_tools: 'dorp' }, 'hosted_tools', /drop/],
    [{ name: 'x', time_zone: 'Mars' }, 'time_zone', /Europe\/Berlin/],
    [{ name: 'x', metadata: { a: {} } }, 'metadata.a', /must be text/],
    [{ name: 'x', metadata: { a: 'x'.repeat(3_000) } }, 'metadata', /2048 bytes/],
    [{ name: 'x', limit: {} }, null, /Did you mean limits/],
    ['{', null, /not a JSON object/],
  ])('of %j is refused, with the place', async (fields, param, message) => {
    const { operator, gateway } = await open()
    const error = await operator.isRefused('POST', '', fields)
    expect(error).toMatchObject({ status: 400, message: expect.stringMatching(message) })
    if (param !== null) expect(error.param).toBe(param)
    expect(await gateway.app.store.registry.read('key')).toEqual([])
  })
})

describe('keys', () => {
  it('are listed in pages, by project', async () => {
    const { operator } = await open()
    for (const id of ['a', 'b', 'c', 'd', 'e']) await operator.makes({ name: id, project: id === 'c' ? 'api' : 'web' })
    const pages = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const query: string = `?project=web&limit=2&cursor=${cursor}`
      const { body } = await operator.asks<{ keys: { id: string }[]; next_cursor: string | null }>('GET', query)
      pages.push(body.keys.map(({ id }) => id))
      cursor = body.next_cursor
    }
    expect(pages).toEqual([
      ['a', 'b'],
      ['d', 'e'],
    ])
    for (const limit of ['0', '1001', 'x', '-1'])
      expect(await operator.isRefused('GET', `?limit=${limit}`)).toMatchObject({ status: 400, param: 'limit' })
  })

  it('that do not exist, and keys of BURSAR_KEYS, are not found', async () => {
    const { operator } = await open({ env: { BURSAR_KEYS: 'alice:alice-secret-alice' } })
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['POST', '/rotate'],
    ] as const) {
      const body = method === 'GET' || method === 'DELETE' ? undefined : {}
      expect(await operator.isRefused(method, `/nobody${path}`, body)).toMatchObject({ status: 404 })
      expect((await operator.isRefused(method, `/alice${path}`, body)).message).toMatch(/one of BURSAR_KEYS/)
    }
    expect((await operator.isRefused('GET', '/%0Aa')).message).toBe(
      'There is no key "\\na". GET /admin/keys lists them.',
    )
  })
})

describe('names that match nothing now', () => {
  it('are warnings with the nearest that do, for a new key and for a change', async () => {
    const config = { prices: [PRICE], aliases: { fast: ['openai/m'] } }
    const { operator } = await open({ config })
    const right = {
      models: ['fast', 'm', 'openai/*', '*', 'sim/echo', 'gpt-4o', '*/gpt-*'],
      providers: ['openai', 'a*'],
    }
    expect((await operator.makes({ name: 'CI', ...right })).warnings).toEqual([])
    const wrong = { models: ['fsat', 'opnai/*', 'openai/gpt-4oo'], providers: ['antropic'] }
    const warnings = [
      'models[0]: no provider has a model fsat. Did you mean fast?',
      'models[1]: no provider is named opnai. Did you mean openai?',
      'models[2]: openai has no known model gpt-4oo. Did you mean openai/gpt-4o?',
      'providers[0]: no provider is named antropic. Did you mean anthropic?',
    ]
    expect((await operator.changes('ci', wrong)).warnings).toEqual(warnings)
    expect((await operator.makes({ name: 'Wrong', ...wrong })).warnings).toEqual(warnings)
  })

  it('are told ten at a time', async () => {
    const { operator } = await open()
    const models = Array.from({ length: 100 }, (_, index) => `openai/no-such-model-${index}`)
    expect((await operator.makes({ name: 'CI', models })).warnings).toHaveLength(10)
  })
})

describe('a change', () => {
  it('is a merge patch: null removes a field, and what is not named stays', async () => {
    const { operator } = await open()
    const limits = { costPerDay: '5.00', requestsPerMinute: { amount: 60, enforce: false } }
    const made = await operator.makes({ name: 'CI', project: 'web', limits, tags: ['a'], metadata: { team: 'x' } })
    const changed = await operator.changes('ci', {
      project: null,
      limits: { costPerDay: null, requestsPerMinute: { amount: 6 } },
      metadata: { cost_centre: 7 },
      tags: ['b'],
    })
    expect(changed).toEqual({
      ...Object.fromEntries(Object.entries(made).filter(([name]) => name !== 'key')),
      project: null,
      limits: { requestsPerMinute: { amount: 6, enforce: false } },
      metadata: { team: 'x', cost_centre: 7 },
      tags: ['b'],
    })
    for (const [patch, message] of [
      [{ name: null }, /^name: is missing/],
      [{ id: 'x' }, /must not be here/],
      [{ prefix: 'x' }, /must not be here/],
      // Nothing is taken back by a name that no key has.
      [{ expires: null }, /^expires: must not be here\. Did you mean expires_at/],
      [{ id: null }, /must not be here/],
      [{ limits: { costPerDy: null } }, /Did you mean costPerDay/],
      [{ limits: { costPerDay: -1 } }, /decimal dollars/],
      [{ requires: ['project'] }, /set project/],
    ] as const)
      expect(await operator.isRefused('PATCH', '/ci', patch)).toMatchObject({
        status: 400,
        message: expect.stringMatching(message),
      })
    await operator.asks('PATCH', '/ci', '{"__proto__":{"models":[]},"metadata":{"__proto__":{"polluted":1}}}')
    const { warnings: _, ...shown } = changed
    expect((await operator.asks('GET', '/ci')).body).toEqual(shown)
    expect({}).not.toHaveProperty('polluted')
  })

  it('is not lost to another one at the same time', async () => {
    const { operator } = await open()
    await operator.makes({ name: 'CI', metadata: {} })
    const names = Array.from({ length: 20 }, (_, index) => `m${index}`)
    const replies = await Promise.all(names.map((name) => operator.asks('PATCH', '/ci', { metadata: { [name]: 1 } })))
    const { body } = await operator.asks<{ metadata: object }>('GET', '/ci')
    const taken = names.filter((_, index) => replies[index]?.status === 200)
    expect(Object.keys(body.metadata).toSorted()).toEqual(taken.toSorted())
    expect(taken.length).toBeGreaterThan(0)
    for (const { status } of replies) expect(status).toBeOneOf([200, 409])
  })

  it('holds from the next call on, and a call in flight ends as it began', async () => {
    const { gateway, operator } = await open()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const ci = await operator.makes({ name: 'CI', models: ['openai/m'], project: 'web' })
    gateway.provider.says(async ({ usual }) => {
      await released
      return usual
    })
    const inFlight = calls(gateway, holding(ci))
    await waitFor(() => gateway.provider.received.length === 1)
    await operator.changes('ci', { models: ['openai/other'], project: 'api' })
    expect(await calls(gateway, holding(ci))).toMatch(
      /^403 This API key may not use m\. It may use the models openai\/other\.$/,
    )
    await operator.changes('ci', { disabled: true })
    expect(await calls(gateway, holding(ci))).toMatch(/^401 This API key is disabled/)
    release()
    expect(await inFlight).toBe('200')
    const [entry] = await gateway.ledger.holds(1)
    expect(entry?.facts.caller).toMatchObject({ key: 'ci', project: 'web' })
    await operator.changes('ci', { disabled: false, models: null })
    expect(await calls(gateway, holding(ci))).toBe('200')
  })
})

describe('the first key', () => {
  it('closes the gateway to callers without one, for good', async () => {
    const { gateway, operator } = await open()
    expect(await calls(gateway)).toBe('200')
    expect(await calls(gateway, holding({ key: 'any text' }))).toBe('200')
    const ci = await operator.makes({ name: 'CI' })
    const refused = async () => {
      expect(await calls(gateway)).toMatch(/^401 No API key was sent/)
      expect(await calls(gateway, holding({ key: 'any text' }))).toBe(UNKNOWN)
      for (const path of ['/llm/stats', '/llm/status', '/v1/models', '/'])
        expect((await gateway.client.fetch('in process', path)).status).toBe(401)
    }
    await refused()
    expect(await calls(gateway, holding(ci))).toBe('200')
    await operator.disables('ci')
    await refused()
    expect(await calls(gateway, holding(ci))).toMatch(/^401 This API key is disabled/)
    expect(await calls(gateway, holding({ key: ADMIN_KEY }))).toBe(UNKNOWN)
  })
})

it("a key's limits hold for its calls, change while they run, and are shown to its holder and to operators", async () => {
  const { gateway, operator } = await open()
  const made = await operator.makes({ name: 'CI', limits: { requestsPerDay: 2 } })
  const shown = async (path: string, init: RequestInit = {}) => {
    const response = await gateway.client.fetch('in process', path, init)
    const { limits } = (await response.json()) as { limits: { subject: string; capacity: number; settled: number }[] }
    return limits.filter(({ subject }) => subject === 'key:ci').map(({ capacity, settled }) => [settled, capacity])
  }
  for (const expected of ['200', '200']) expect(await calls(gateway, holding(made))).toBe(expected)
  expect(await calls(gateway, holding(made))).toMatch(/^429 .*"requestsPerDay" of "key:ci" in its key/)
  await operator.asks('PATCH', '/ci', { limits: { requestsPerDay: 3, tokensPerMonth: 5000 } })
  // The window that is new counts the calls before it.
  expect((await shown('/llm/limits', holding(made)))[1]?.[0]).toBeGreaterThan(0)
  expect(await calls(gateway, holding(made))).toBe('200')
  expect(await calls(gateway, holding(made))).toMatch(/^429 /)
  const ofHolder = await shown('/llm/limits', holding(made))
  expect(ofHolder).toEqual([
    [3, 3],
    [expect.any(Number), 5000],
  ])
  const admin = { headers: { authorization: `Bearer ${ADMIN_KEY}` } }
  expect(await shown('/llm/limits?key=ci', admin)).toEqual(ofHolder)
})

describe('the limits of bursar.json', () => {
  it('are no warning if they name a key that was made', async () => {
    const { gateway, operator } = await open()
    const limits = { perKey: {}, 'key:ci': {}, 'user:ci/7': {}, 'user:ann': {}, 'project:web': {}, 'key:cii': {} }
    const shown = async () => {
      const { configuration } = await gateway.client.asksOwner<{ configuration: { warnings: string[] } }>('/llm/status')
      return configuration.warnings.map((warning) => warning.replace(/^.*?limits\./, ''))
    }
    const warnings = async () => {
      await gateway.app.reload(readFileConfig(JSON.stringify({ limits })))
      return shown()
    }
    expect((await warnings()).map((warning) => warning.split(': ')[0])).toEqual([
      'perKey',
      'key:ci',
      'user:ci/7',
      'user:ann',
      'key:cii',
    ])
    await operator.makes({ name: 'CI' })
    const left = ['key:cii: limits nothing: there is no key cii']
    expect(await shown()).toEqual(left)
    expect(await warnings()).toEqual(left)
    await operator.makes({ name: 'cii' })
    expect(await shown()).toEqual([])
  })
})

describe('another secret', () => {
  it('replaces the one before at once, or after the grace, for the same key', async () => {
    const { gateway, operator, clock } = await open()
    const first = await operator.makes({ name: 'CI' })
    expect(await calls(gateway, holding(first))).toBe('200')
    const second = await operator.rotates('ci')
    expect(await calls(gateway, holding(first))).toBe(UNKNOWN)
    expect(await calls(gateway, holding(second))).toBe('200')
    const third = await operator.rotates('ci', 60)
    expect(third).toMatchObject({
      id: 'ci',
      prefix: third.key.slice(0, 8),
      old_key_works_until: '2026-11-22T12:01:00.000Z',
    })
    clock.advance(59_999)
    for (const secret of [second, third]) expect(await calls(gateway, holding(secret))).toBe('200')
    clock.advance(1)
    expect(await calls(gateway, holding(second))).toBe(
      '401 This API key was replaced by a new one, which has to be used now.',
    )
    expect(await calls(gateway, holding(third))).toBe('200')
    const fourth = await operator.rotates('ci', 3_600)
    const fifth = await operator.rotates('ci', 10)
    clock.advance(10_000)
    for (const secret of [third, fourth]) expect(await calls(gateway, holding(secret))).toMatch(/^401 /)
    expect(await calls(gateway, holding(fifth))).toBe('200')
    expect((await gateway.ledger.entries()).map(({ facts }) => facts.caller.key)).toEqual(Array(6).fill('ci'))
  })

  it('is found although no request had it before the change', async () => {
    const { gateway, operator, clock } = await open()
    const first = await operator.makes({ name: 'CI' })
    const second = await operator.rotates('ci', 60)
    expect(await calls(gateway, holding(first))).toBe('200')
    await operator.rotates('ci')
    for (const secret of [first, second]) expect(await calls(gateway, holding(secret))).toBe(UNKNOWN)
    clock.advance(1)
  })

  it('has a grace of at most thirty days', async () => {
    const { operator } = await open()
    await operator.makes({ name: 'CI' })
    for (const grace of [-1, 0.5, 2_592_001, '60'])
      expect(await operator.isRefused('POST', '/ci/rotate', { grace_seconds: grace })).toMatchObject({
        status: 400,
        param: 'grace_seconds',
      })
  })
})

describe('an expiry', () => {
  it('ends a key at that instant, also one that was used lately', async () => {
    const { gateway, operator, clock } = await open()
    const ci = await operator.makes({ name: 'CI', expires_at: '2026-11-22T13:00:00+00:00' })
    expect(await calls(gateway, holding(ci))).toBe('200')
    clock.advance(3_600_000)
    expect(await calls(gateway, holding(ci))).toBe(
      '401 This API key expired at 2026-11-22T13:00:00.000Z. Ask for another one.',
    )
    expect(await operator.asks('GET', '/ci')).toMatchObject({ body: { status: 'expired' } })
    await operator.changes('ci', { expires_at: null })
    expect(await calls(gateway, holding(ci))).toBe('200')
  })
})
