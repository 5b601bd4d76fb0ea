// Endpoints of our own: every real answer has exactly the fields of its row's schema, and what is wrong with a request is
// answered in the plain shape of problems.

import { Hono } from 'hono'
import { afterAll, describe, expect, it } from 'vitest'
import { ENDPOINTS } from '../../src/http/index.ts'
import { problemSchema } from '../../src/http/problems.ts'
import { eventsOf, PRICE, requestFor } from '../call/dialect-fixtures.ts'
import { REQUESTS } from '../runs/patterns-runs.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import type { ProviderScript } from '../support/provider.ts'

const KEYS = { BURSAR_KEYS: 'alice:alice-secret-alice,bob:bob-secret-bob-bob' }
const ALICE = { authorization: 'Bearer alice-secret-alice' }
const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` }
const JSON_TYPE = { 'content-type': 'application/json' }

function open(options: GatewayFixtureOptions = {}): Promise<GatewayFixture> {
  return useGateway({ clock: new ManualClock(), config: { prices: [PRICE] }, ...options })
}

/** Rows whose answers have been checked, by method and path. */
const checkedRows = new Set<string>()

/** The answer to a request, which must be exactly as the row's schema says. Returns it as programs read it. */
async function checkAnswer(
  gateway: GatewayFixture,
  method: (typeof ENDPOINTS)[number]['method'],
  path: string,
  init: RequestInit = {},
): Promise<Record<string, unknown>> {
  const row = ENDPOINTS.find((endpoint) => endpoint.method === method && matches(endpoint, path))
  if (!row) throw new Error(`there is no endpoint ${method} ${path}`)
  const response = await gateway.client.fetch('in process', path, { method, headers: ADMIN, ...init })
  const text = await response.text()
  expect(response.status, text).toBeOneOf([200, 201, 503])
  const isText = response.headers.get('content-type')?.startsWith('text/')
  const answer: unknown = isText ? text : JSON.parse(text)
  const read = row.answer.safeParse(answer)
  expect(read.error?.issues, `${method} ${path}`).toBeUndefined()
  if (!FOREIGN_WORDS.test(row.path)) expect(camelCaseNames(answer)).toEqual([])
  checkedRows.add(`${row.method} ${row.path}`)
  return (isText ? {} : answer) as Record<string, unknown>
}

/** Endpoints whose answers hold the words of JSON Schema, or of bursar.json. */
const FOREIGN_WORDS = /^\/api\/patterns$|^\/admin\/(limits|audit$|config$|prices$)/

/** Names of fields that are not snake_case. The limits of a key are in the words of bursar.json. */
function camelCaseNames(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, field]) => [
    ...(/[A-Z]/.test(name) ? [name] : []),
    ...(name === 'limits' && !Array.isArray(field) ? [] : camelCaseNames(field)),
  ])
}

function matches({ path, alias }: (typeof ENDPOINTS)[number], requested: string): boolean {
  const [pathname = ''] = requested.split('?')
  return [path, alias].some(
    (row) => row !== undefined && new RegExp(`^${row.replace(/:\w+(\{.*?\})?/g, '[^/]+')}$`).test(pathname),
  )
}

const FIGURES = ['/llm/status', '/llm/stats', '/llm/limits', '/api/patterns/llm/status', '/api/patterns/llm/stats']
async function checkFigures(gateway: GatewayFixture, headers: Readonly<Record<string, string>> = ADMIN): Promise<void> {
  for (const path of FIGURES) await checkAnswer(gateway, 'GET', path, { headers })
}

const answersWithLimits: ProviderScript = (call) => {
  call.response.setHeader('x-ratelimit-limit-requests', '60')
  call.response.setHeader('x-ratelimit-remaining-requests', '59')
  answerWhole(call, { input: 20, output: 10 })
}

describe('every real answer has the fields of its schema, and no others:', () => {
  it('figures before the first call, with and without providers', async () => {
    let gateway = await open()
    await checkFigures(gateway)
    await gateway.close()
    gateway = await open({ env: { OPENAI_API_KEY: '', ANTHROPIC_API_KEY: '', GEMINI_API_KEY: '' } })
    await checkFigures(gateway)
  })

  it('figures after calls that completed, failed, broke off and cost more than quoted', async () => {
    const limits = {
      global: { costPerDay: '10.00', requestsPerDay: 100, inFlight: 9 },
      perKey: { tokensPerMinute: 99_999 },
    }
    const gateway = await open({
      env: { ...KEYS, DAILY_SPENDING_LIMIT: '5' },
      config: { prices: [PRICE], limits },
      respond: answersWithLimits,
    })
    for (const dialect of ['openai', 'anthropic', 'gemini'] as const)
      await (await gateway.client.asks(dialect, { cap: 50 }, { headers: ALICE })).text()
    gateway.provider.says(({ response }) => void response.writeHead(500).end())
    await (await gateway.client.asks('openai', { cap: 50 }, { headers: ALICE })).text()
    gateway.provider.says(({ response }) => void response.destroy())
    await (await gateway.client.asks('openai', { cap: 50 }, { headers: ALICE })).text()
    gateway.provider.says((call) => answerWhole(call, { input: 90_000, output: 50 }))
    await (await gateway.client.asks('openai', { cap: 50 }, { headers: ALICE })).text()
    await gateway.ledger.holds(6)
    await checkFigures(gateway, ADMIN)
    await checkFigures(gateway, ALICE)
    const status = await checkAnswer(gateway, 'GET', '/llm/status', { headers: ADMIN })
    expect(status).toMatchObject({ quote_exceeded: [{ model: 'm' }], targets: [{ circuit: 'closed' }] })
    await checkAnswer(gateway, 'GET', '/llm/limits?user=u&thread=t&agent=a&task=k&model=openai/m&key=bob', {
      headers: ADMIN,
    })
    const { newest } = await checkAnswer(gateway, 'GET', '/llm/stats', { headers: ADMIN })
    expect(newest).toMatchObject([{}, {}, {}, { dialect: 'gemini.generate_content' }, {}, {}])
    for (const { call_id } of newest as { call_id: string }[])
      await checkAnswer(gateway, 'GET', `/llm/explain/${call_id}`, { headers: ADMIN })
  })

  it('a call while it is open, and one that is refused', async () => {
    let finish = () => {}
    const respond: ProviderScript = ({ response }) => {
      const events = eventsOf('openai', { input: 20, output: 10 })
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(events.shift())
      finish = () => void response.end(events.join(''))
    }
    const gateway = await open({ config: { prices: [PRICE], limits: { global: { inFlight: 1 } } }, respond })
    const answer = await gateway.client.asks('openai', { cap: 10, stream: true })
    const explain = ({ headers }: Response) =>
      checkAnswer(gateway, 'GET', `/llm/explain/${headers.get('x-bursar-call-id')}`)
    expect(await explain(answer)).toMatchObject({ status: 'in_flight', cost_usd: null })
    expect(await checkAnswer(gateway, 'GET', '/llm/stats')).toMatchObject({ reserved_now: { requests: 1 } })
    expect(await explain(await gateway.client.asks('openai', { cap: 10 }))).toMatchObject({ status: 'refused' })
    finish()
    await answer.text()
    expect(await explain(answer)).toMatchObject({ status: 'completed' })
  })

  it('a correction, and the call that was corrected', async () => {
    const gateway = await open()
    await (await gateway.client.asks('openai', { cap: 50 })).text()
    const [entry] = await gateway.ledger.holds(1)
    const body = JSON.stringify({ call_id: entry?.facts.callId, cost_usd: '1.50', reason: 'the invoice' })
    const init = { body, headers: { ...ADMIN, ...JSON_TYPE } }
    const { adjustment_id } = await checkAnswer(gateway, 'POST', '/admin/adjustments', init)
    expect(await checkAnswer(gateway, 'GET', `/llm/explain/${entry?.facts.callId}`)).toMatchObject({
      adjustments: [{ adjustment_id, reason: 'the invoice' }],
    })
    expect(await checkAnswer(gateway, 'GET', `/llm/explain/${adjustment_id}`)).toMatchObject({ status: 'adjusted' })
    const { newest } = await checkAnswer(gateway, 'GET', '/llm/stats')
    expect(newest).toMatchObject([{ call_id: adjustment_id }, { status: 'completed' }])
  })

  it('the configuration, its changes and who made them', async () => {
    const env = { OPENAI_API_KEY: '', BURSAR_SECRET: 'the-secret-of-these-tests' }
    const gateway = await open({ env, config: { prices: [PRICE], providers: { mine: { preset: 'vllm' } } } })
    const send = (method: 'PUT' | 'POST' | 'DELETE', path: string, body: unknown = {}) =>
      checkAnswer(gateway, method, path, { body: JSON.stringify(body), headers: { ...ADMIN, ...JSON_TYPE } })
    await send('PUT', '/admin/settings', { default_provider: 'mine', default_models: { openai: 'gpt-6-luna' } })
    await send('PUT', '/admin/prices', { prices: [{ model: 'ours', input: '1', output: '2', contextWindow: 9 }] })
    await send('PUT', '/admin/providers/openai', { api_key: 'sk-a-key-of-these-tests' })
    await send('POST', '/admin/providers/openai/test')
    for (const path of ['/admin/config', '/admin/prices', '/admin/providers', '/admin/audit'])
      await checkAnswer(gateway, 'GET', path)
    expect(await checkAnswer(gateway, 'GET', '/admin/audit?limit=1')).toMatchObject({ changes: [{ actor: 'admin' }] })
    await send('DELETE', '/admin/providers/openai')
  })

  it('a receiver of alerts that is set, tested, listed and removed', async () => {
    const gateway = await open({ env: { BURSAR_SECRET: 'the-bursar-secret-of-tests', ALERTS_ALLOW_PRIVATE: 'true' } })
    const send = (method: 'PUT' | 'POST' | 'DELETE', path: string, body: unknown = {}) =>
      checkAnswer(gateway, method, path, { body: JSON.stringify(body), headers: { ...ADMIN, ...JSON_TYPE } })
    await send('PUT', '/admin/alerts/ops', { send: 'slack', url: `${gateway.provider.url}/hook` })
    expect(await send('POST', '/admin/alerts/test', { name: 'ops' })).toMatchObject({ name: 'ops' })
    await checkAnswer(gateway, 'GET', '/admin/alerts')
    await send('DELETE', '/admin/alerts/ops')
  })

  it('a key that is made, shown, changed, given another secret, and disabled', async () => {
    const gateway = await open()
    const init = (body: object) => ({ body: JSON.stringify(body), headers: { ...ADMIN, ...JSON_TYPE } })
    const fields = {
      ...{ name: 'CI', organisation: 'acme', project: 'web', user: 'ann', models: ['openai/*'], providers: ['openai'] },
      ...{ limits: { costPerDay: '5.00' }, requires: ['thread'], expires_at: '2027-01-31T00:00:00+01:00' },
      ...{ money_refusal: '402', hosted_tools: 'drop', time_zone: 'Europe/Berlin', tags: ['x'], metadata: { a: 1 } },
    }
    const { key, warnings, ...made } = await checkAnswer(gateway, 'POST', '/admin/keys', init(fields))
    expect(warnings).toEqual([])
    expect(made).toMatchObject({ ...fields, expires_at: '2027-01-30T23:00:00.000Z', id: 'ci', status: 'active' })
    expect(await checkAnswer(gateway, 'GET', '/admin/keys/ci')).toEqual(made)
    expect(await checkAnswer(gateway, 'GET', '/admin/keys')).toEqual({ keys: [made], next_cursor: null })
    await checkAnswer(gateway, 'PATCH', '/admin/keys/ci', init({ project: null }))
    const rotated = await checkAnswer(gateway, 'POST', '/admin/keys/ci/rotate', init({ grace_seconds: 60 }))
    expect(rotated.key).not.toBe(key)
    expect(await checkAnswer(gateway, 'DELETE', '/admin/keys/ci')).toMatchObject({ status: 'disabled', project: null })
  })

  it('a session that begins, is shown, listed and revoked, and one that ends', async () => {
    const gateway = await open({ env: KEYS })
    const page = { ...JSON_TYPE, 'sec-fetch-site': 'same-origin' }
    const begin = { body: JSON.stringify({ key: 'alice-secret-alice' }), headers: page }
    expect(await checkAnswer(gateway, 'POST', '/session', begin)).toMatchObject({ viewer: 'key', key: 'alice' })
    const { sessions } = await checkAnswer(gateway, 'GET', '/admin/sessions')
    const [{ id } = { id: '' }] = sessions as { id: string }[]
    await checkAnswer(gateway, 'DELETE', `/admin/sessions/${id}`)
    await checkAnswer(gateway, 'DELETE', '/session', { headers: page })
    for (const headers of [{}, ALICE, ADMIN]) await checkAnswer(gateway, 'GET', '/session', { headers })
  })

  it('limits that are set, listed, raised and taken back', async () => {
    const gateway = await open({ config: { prices: [PRICE], limits: { perKey: { costPerDay: '1' } } } })
    const init = (body: object) => ({ body: JSON.stringify(body), headers: { ...ADMIN, ...JSON_TYPE } })
    const path = '/admin/limits/key:ci'
    const raise = { costPerDay: '7', until: '2026-12-24T00:00:00+01:00', reason: 'Christmas' }
    await checkAnswer(gateway, 'PUT', path, init({ costPerDay: '5', inFlight: { amount: 4, shadow: true } }))
    await checkAnswer(gateway, 'POST', `${path}/raise`, init(raise))
    expect(await checkAnswer(gateway, 'GET', path)).toMatchObject({
      raises: [{ limits: { costPerDay: '7' }, until: '2026-12-23T23:00:00.000Z' }],
    })
    expect(await checkAnswer(gateway, 'GET', '/admin/limits')).toMatchObject({
      limits: [{ source: 'bursar.json' }, { source: 'admin' }],
    })
    await checkAnswer(gateway, 'DELETE', `${path}/raise`)
    await checkAnswer(gateway, 'PATCH', path, init({ inFlight: null }))
    await checkAnswer(gateway, 'DELETE', path)
  })

  it('a backtest that refuses calls, and one that refuses none', async () => {
    const clock = new ManualClock()
    const gateway = await open({ clock })
    const from = new Date(clock.wallMs).toISOString()
    for (let count = 0; count < 2; count++) {
      await (await gateway.client.asks('openai', { cap: 50 })).text()
      clock.advance(1)
    }
    await gateway.ledger.holds(2)
    for (const [requestsPerDay, calls] of [
      [1, 1],
      [9, 0],
    ]) {
      const limits = { global: { requestsPerDay }, perUser: { inFlight: 3 } }
      const body = JSON.stringify({ from, to: '2100-01-01T00:00:00+01:00', limits })
      const init = { body, headers: { ...ADMIN, ...JSON_TYPE } }
      const answer = await checkAnswer(gateway, 'POST', '/admin/limits/backtest', init)
      expect(answer).toMatchObject({ replayed: { calls: 2 }, refused: { calls } })
    }
  })

  it('estimates that fit, and that do not', async () => {
    const gateway = await open({
      config: { prices: [PRICE], limits: { global: { costPerCall: '0.004', requestsPerDay: 1 } } },
    })
    const estimate = (path: string, body: string) =>
      checkAnswer(gateway, 'POST', `/llm/estimate?path=${encodeURIComponent(path)}`, { body, headers: JSON_TYPE })
    for (const dialect of ['openai', 'anthropic', 'gemini'] as const) {
      const { path, body } = requestFor(dialect, { cap: 50 })
      expect(await estimate(path, body)).toMatchObject({ fits: true })
    }
    const { body: ofMessages } = requestFor('anthropic', { cap: 50 })
    expect(await estimate('/v1/messages?beta=true', ofMessages)).toMatchObject({ fits: true })
    const { path, body } = requestFor('openai', { cap: 8_000 })
    await (await gateway.client.asks('openai', { cap: 50 })).text()
    expect(await estimate(path, body)).toMatchObject({ fits: false })
  })

  it('runs of every pattern, and those that stop', async () => {
    const gateway = await open({
      config: { prices: [PRICE], patterns: { model: 'sim/echo', embeddingModel: 'sim/vectors' } },
    })
    const run = (name: string, fields: object) =>
      checkAnswer(gateway, 'POST', `/api/patterns/${name}`, { body: JSON.stringify(fields), headers: JSON_TYPE })
    for (const [name, fields] of Object.entries(REQUESTS)) {
      await run(name, fields)
      await run(name, { ...fields, max_cost_usd: '0.5' })
    }
    expect(await run('planning', { ...REQUESTS.planning, max_steps: 2 })).toMatchObject({ stopped: 'steps' })
    const pending = await run('tool-use', { task: 'Weather in Bonn?', tools: [{ name: 'weather' }] })
    expect(pending).toMatchObject({
      result: { ended: 'pending', conversation: [{}, { parts: [{ kind: 'tool_call' }] }] },
    })
    await checkAnswer(gateway, 'GET', '/api/patterns')
  })

  it('the front page, and probes while the gateway runs and stops', async () => {
    const gateway = await open()
    for (const path of ['/', '/healthz', '/readyz']) await checkAnswer(gateway, 'GET', path)
    gateway.app.gate.close()
    expect(await checkAnswer(gateway, 'GET', '/readyz')).toEqual({ status: 'stopping' })
  })

  it('reports of usage and metrics, without calls and with calls, and with a correction', async () => {
    const gateway = await open({ env: KEYS, respond: (call) => answerWhole(call, { input: 20, output: 10 }) })
    const reports = ENDPOINTS.filter(
      ({ method, path }) =>
        /^.(token-usage|api.metrics|audit)/.test(path) && !(method === 'POST' && path.endsWith('track')),
    )
    const checkReports = async () => {
      for (const { method, path } of reports) await checkAnswer(gateway, method, path.replace(':id', 'a'))
      await checkAnswer(gateway, 'GET', '/token-usage/by-user?limit=1&days=1')
      await checkAnswer(gateway, 'GET', '/token-usage/all?limit=1', { headers: ALICE })
    }
    await checkReports()
    for (const user of ['a', 'b', 'c']) {
      const headers = { ...ALICE, 'x-bursar-user': user, 'x-bursar-thread': 'a', 'x-bursar-task': 'a' }
      await (
        await gateway.client.asks('openai', { cap: 50 }, { headers: { ...headers, 'x-bursar-items': '2' } })
      ).text()
    }
    const [entry] = await gateway.ledger.holds(3)
    const body = JSON.stringify({ call_id: entry?.facts.callId, cost_usd: '1.50', reason: 'the invoice' })
    await checkAnswer(gateway, 'POST', '/admin/adjustments', { body, headers: { ...ADMIN, ...JSON_TYPE } })
    await checkReports()
  })

  it('live figures, without calls and with calls that passed, failed and were refused', async () => {
    const gateway = await open({ env: { MAX_REQUESTS_PER_MINUTE: '2' } })
    const check = async () => {
      await checkAnswer(gateway, 'GET', '/llm/live')
      await checkAnswer(gateway, 'GET', '/llm/limits/levels?search=minute')
    }
    await check()
    await (await gateway.client.asks('openai', { cap: 50 })).text()
    gateway.provider.says(({ response }) => void response.writeHead(500).end())
    for (let count = 0; count < 2; count++) await (await gateway.client.asks('openai', { cap: 50 })).text()
    await check()
  })

  it('of a tracked call', async () => {
    const gateway = await open({ env: KEYS })
    const timestamp = new Date(gateway.clock.now().wallMs).toISOString()
    const call = { id: 'a', timestamp, model: 'openai/m', input_tokens: 1, output_tokens: 1 }
    const init = { body: JSON.stringify(call), headers: { ...ALICE, ...JSON_TYPE } }
    expect(await checkAnswer(gateway, 'POST', '/token-usage/track', init)).toMatchObject({ tracked: 1 })
  })

  afterAll(() => {
    expect([...checkedRows].toSorted()).toEqual(ENDPOINTS.map(({ method, path }) => `${method} ${path}`).toSorted())
  })
})

describe('a row', () => {
  it('says in a line what it is for, and each path has one', () => {
    for (const { summary } of ENDPOINTS) expect(summary).toMatch(/^[A-Z].{10,120}\.$/)
    const paths = ENDPOINTS.flatMap(({ method, path, alias }) =>
      [path, alias ?? []].flat().map((row) => `${method} ${row}`),
    )
    expect(new Set(paths).size).toBe(paths.length)
  })

  it.each(
    ENDPOINTS.filter(({ role }) => role !== 'open' && role !== 'admin').map(({ method, path }) => [method, path]),
  )('%s %s: needs a key if there are keys, and a local host if there are none', async (method, path) => {
    let gateway = await open({ env: KEYS })
    const body = method === 'POST' ? { body: '{}', headers: JSON_TYPE } : {}
    const withoutKey = await gateway.client.fetch('in process', path, { method, ...body })
    expect(withoutKey.status).toBe(401)
    expect(problemSchema.parse(await withoutKey.json()).error.code).toBe('unauthenticated')
    await gateway.close()
    gateway = await open()
    const foreign = await gateway.client.fetch('in process', path, {
      method,
      ...body,
      headers: { ...JSON_TYPE, host: 'evil.example' },
    })
    expect(foreign.status).toBe(403)
  })

  it.each(ENDPOINTS.map(({ method, path, role }) => [method, path, role] as const))(
    '%s %s: refuses a query parameter that it does not know',
    async (method, path, role) => {
      const gateway = await open()
      const headers = role === 'admin' || role === 'figures' ? { ...JSON_TYPE, ...ADMIN } : JSON_TYPE
      const body = method === 'POST' || method === 'PUT' ? { body: '{}' } : {}
      const response = await gateway.client.fetch('in process', `${path.replace(/\{.*?\}/, '')}?colour=red`, {
        method,
        headers,
        ...body,
      })
      expect(response.status).toBe(400)
      const { error } = problemSchema.parse(await response.json())
      expect(error).toMatchObject({ code: 'invalid_request', param: 'colour' })
      expect(error.message).toMatch(/^Unknown query parameter: colour\. (Allowed here: \w|None are allowed here)/)
    },
  )
})

describe('what is wrong with a request', () => {
  it('names the parameters that are allowed, and keeps a secret in an unknown one to itself', async () => {
    const gateway = await open()
    const response = await gateway.client.fetch('in process', '/llm/limits?usr=7&apikey=secret', { headers: ADMIN })
    expect(problemSchema.parse(await response.json()).error.message).toBe(
      'Unknown query parameter: usr. Allowed here: key, user, thread, agent, task, provider, model.',
    )
    const secret = await gateway.client.fetch('in process', '/llm/stats?apikey=top-secret', { headers: ADMIN })
    expect(await secret.text()).not.toContain('top-secret')
  })

  it('takes a key from the query, as SDKs send it', async () => {
    const gateway = await open({ env: KEYS })
    await checkAnswer(gateway, 'GET', '/llm/stats?key=alice-secret-alice', { headers: {} })
    const { path, body } = requestFor('openai', { cap: 50 })
    await checkAnswer(gateway, 'POST', `/llm/estimate?path=${path}&key=alice-secret-alice`, {
      body,
      headers: JSON_TYPE,
    })
    expect((await gateway.client.fetch('in process', '/llm/stats?key=wrong')).status).toBe(401)
  })

  it.each([
    ['{"stream":7}', 'invalid_request', 'stream', /^stream: must be true or false$/],
    ['[]', 'invalid_json', null, /not a JSON object/],
    ['{', 'invalid_json', null, /not a JSON object/],
  ])('in a body of %s is named, with its place and what was expected', async (body, code, param, message) => {
    const gateway = await open()
    const response = await gateway.client.fetch('in process', '/api/patterns/rag', {
      method: 'POST',
      body,
      headers: JSON_TYPE,
    })
    expect(response.status).toBe(400)
    const { error } = problemSchema.parse(await response.json())
    expect(error).toMatchObject({ code, param })
    expect(error.message).toMatch(message)
  })

  it('is named for the path of an estimate', async () => {
    const gateway = await open()
    const post = { method: 'POST', body: '{}', headers: JSON_TYPE }
    const response = await gateway.client.fetch('in process', '/llm/estimate?path=/v1/images', post)
    expect(problemSchema.parse(await response.json()).error).toMatchObject({ code: 'invalid_request', param: 'path' })
  })
})

describe('money', () => {
  it('is a JSON number with every digit of the integer, beyond what a float holds', async () => {
    const limits = { global: { costPerTotal: '99999999999.123456789' } }
    const gateway = await open({ config: { prices: [PRICE], limits } })
    const text = await (await gateway.client.fetch('in process', '/llm/limits', { headers: ADMIN })).text()
    expect(text).toContain('"capacity":99999999999.123456789,"settled":0,"reserved":0,"free":99999999999.123456789,')
  })
})

describe('below a path of a user’s app', () => {
  it('endpoints answer as at the top, whatever parameters that path has', async () => {
    const gateway = await open()
    const app = new Hono().route('/tenants/:call_id', gateway.app.app)
    expect((await app.request('/tenants/7/llm/stats', { headers: ADMIN })).status).toBe(200)
    const missing = await app.request('/tenants/7/llm/explain/8', { headers: ADMIN })
    expect(problemSchema.parse(await missing.json()).error.code).toBe('not_found')
  })
})

describe('GET /', () => {
  it('answers a person with what there is and where to start', async () => {
    const gateway = await open()
    const response = await gateway.client.fetch('over sockets', '/')
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8'])
    const text = await response.text()
    expect(text).toMatch(/^Bursar \d+\.\d+\.\d+: /)
    for (const path of [
      '/v1/chat/completions',
      '/v1/messages',
      '/v1beta/models',
      '/api/patterns',
      '/llm/status',
      '/healthz',
    ])
      expect(text).toContain(path)
    expect(text).toContain(`curl -s http://127.0.0.1:${gateway.port}/v1/chat/completions`)
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(120)
  })

  it('names every endpoint of our own', async () => {
    const gateway = await open()
    const text = await (await gateway.client.fetch('in process', '/')).text()
    for (const { path } of ENDPOINTS) expect(text).toContain(path.replace(/:(\w+)(\{.*?\})?/g, '{$1}'))
  })
})
