// The configuration by HTTP: what /admin/settings and /admin/prices change, when it holds, and what /admin/config and /admin/audit
// show of it.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished, test } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { type AdminRequest, administer } from '../support/administrator.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'

interface Status {
  readonly default_provider: string
  readonly configuration: { readonly warnings: readonly string[] }
  readonly providers: readonly { readonly name: string; readonly model: string }[]
}

async function open(options: GatewayFixtureOptions = {}) {
  const gateway = await useGateway({ clock: new ManualClock(), config: { prices: [PRICE] }, ...options })
  const admin = (path: string, request?: AdminRequest) => administer(gateway, `/admin/${path}`, request)
  const put = async (path: string, body: unknown) => {
    const answer = await admin(path, { body })
    expect(answer.status, answer.text).toBe(200)
    return answer.body
  }
  const status = () => gateway.client.asksOwner<Status>('/llm/status')
  const patternModel = async () => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"task":"Say hello."}' }
    return (await gateway.client.asksOwner<{ model: string }>('/api/patterns/tool-use', init)).model
  }
  const config = async (name: string) => (await admin('config')).body.settings.find((setting) => setting.name === name)
  return { gateway, admin, put, status, patternModel, config }
}

async function ledgerPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bursar-configuration-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return join(folder, 'ledger.db')
}

describe('every path', () => {
  const PATHS: readonly (readonly [method: string, path: string])[] = [
    ['GET', 'audit'],
    ['GET', 'config'],
    ['PUT', 'settings'],
    ['GET', 'prices'],
    ['PUT', 'prices'],
    ['GET', 'providers'],
    ['PUT', 'providers/openai'],
    ['DELETE', 'providers/openai'],
    ['POST', 'providers/openai/test'],
  ]

  it.each(PATHS)('%s /admin/%s answers the admin key alone, and learns nothing before', async (method, path) => {
    const { gateway, admin } = await open({ env: { BURSAR_KEYS: 'alice:alice-secret-alice' } })
    const body = method === 'PUT' ? '{not json' : undefined
    for (const authorization of ['', 'Bearer alice-secret-alice', 'Bearer wrong', 'Bearer ']) {
      const answer = await admin(path, { method, body, headers: { authorization } })
      expect([answer.status, answer.body.error.code]).toEqual([401, 'unauthenticated'])
    }
    expect((await administer(gateway, '/admin/audit')).body.changes).toEqual([])
    expect(gateway.provider.received).toEqual([])
  })

  it.each(PATHS)('%s /admin/%s is closed if there is no admin key', async (method, path) => {
    const { admin } = await open({ env: { ADMIN_KEY: '' } })
    const answer = await admin(path, { method })
    expect([answer.status, answer.body.error.code]).toEqual([403, 'forbidden'])
  })
})

describe('PUT /admin/settings', () => {
  it('changes the default provider and the default models from the next call on, until they are given back', async () => {
    const { put, status, patternModel, config } = await open({
      config: { prices: [PRICE], providers: { mine: { preset: 'vllm', model: 'of-the-file' } } },
    })
    expect([await patternModel(), (await status()).default_provider]).toEqual(['openai/gpt-6-luna', 'openai'])
    const set = { default_provider: 'anthropic', default_models: { anthropic: 'claude-haiku-4-5', mine: 'llama' } }
    expect(await put('settings', set)).toEqual({ ...set, retention_days: null })
    expect(await patternModel()).toBe('anthropic/claude-haiku-4-5')
    const { default_provider, providers } = await status()
    expect(default_provider).toBe('anthropic')
    expect(providers.find(({ name }) => name === 'mine')?.model).toBe('llama')
    expect(await config('ANTHROPIC_MODEL')).toEqual({
      name: 'ANTHROPIC_MODEL',
      value: 'claude-haiku-4-5',
      source: 'registry',
      replaced_by: null,
    })
    expect(await config('DEFAULT_LLM_PROVIDER')).toMatchObject({ value: 'anthropic', source: 'registry' })
    await put('settings', { default_provider: null, default_models: { mine: null } })
    expect([await patternModel(), (await status()).default_provider]).toEqual(['openai/gpt-6-luna', 'openai'])
    expect(await config('ANTHROPIC_MODEL')).toMatchObject({ value: 'claude-sonnet-5-5', source: 'default' })
  })

  it('holds after a restart, and across a reload of bursar.json', async () => {
    const path = await ledgerPath()
    const first = await open({ path })
    await first.put('settings', { default_provider: 'gemini', default_models: { gemini: 'g' } })
    await first.gateway.app.reload(readFileConfig(JSON.stringify({ prices: [PRICE], retries: 1 })))
    expect(await first.patternModel()).toBe('gemini/g')
    await first.gateway.close()
    const second = await open({ path })
    expect(await second.patternModel()).toBe('gemini/g')
  })

  it.each([
    ['DEFAULT_LLM_PROVIDER', 'gemini', { default_provider: 'openai' }, 'default_provider'],
    ['OPENAI_MODEL', 'm', { default_models: { openai: 'n' } }, 'default_models.openai'],
  ])('leaves what the environment decides: %s', async (variable, value, body, param) => {
    const { admin } = await open({ env: { [variable]: value } })
    const answer = await admin('settings', { body })
    expect([answer.status, answer.body.error]).toEqual([409, expect.objectContaining({ code: 'conflict', param })])
    expect(answer.body.error.message).toContain(`${variable} is set in the environment`)
    expect((await admin('audit')).body.changes).toEqual([])
  })

  it('what the environment decides after a restart goes before what was set here', async () => {
    const path = await ledgerPath()
    const first = await open({ path })
    await first.put('settings', { default_provider: 'gemini', default_models: { openai: 'set-here' } })
    await first.gateway.close()
    const { status, config } = await open({ path, env: { DEFAULT_LLM_PROVIDER: 'openai', OPENAI_MODEL: 'of-env' } })
    expect(await status()).toMatchObject({ default_provider: 'openai', providers: [{ model: 'of-env' }, {}, {}] })
    expect(await config('OPENAI_MODEL')).toMatchObject({ value: 'of-env', source: 'environment' })
  })

  it('sets for how many days rows are kept, unless the environment decides', async () => {
    const { put, config } = await open()
    expect(await put('settings', { retention_days: 40 })).toMatchObject({ retention_days: 40 })
    expect(await config('RETENTION_DAYS')).toMatchObject({ value: '40', source: 'registry' })
    await put('settings', {})
    expect(await config('RETENTION_DAYS')).toMatchObject({ value: null, source: 'default' })
    const decided = await open({ env: { RETENTION_DAYS: '90' } })
    expect(await decided.admin('settings', { body: { retention_days: 40 } })).toMatchObject({ status: 409 })
    expect(await decided.config('RETENTION_DAYS')).toMatchObject({ value: '90', source: 'environment' })
  })

  it.each([
    [{ default_provider: 'opnai' }, 'default_provider', 'Did you mean openai?'],
    [{ default_models: { 'anthropc\n': 'm' } }, 'default_models."anthropc\\n"', 'Did you mean anthropic?'],
    [{ default_models: { simulated: 'm' } }, 'default_models.simulated', 'The names are openai, anthropic, gemini'],
    [{ default_models: { openai: '' } }, 'default_models.openai', 'must not be empty'],
    [{ default_models: [] }, 'default_models', 'must be an object'],
    [{ default_models: { constructor: 'm' } }, 'default_models.constructor', 'no provider is named constructor'],
    ['{"default_models":{"__proto__":"m"}}', 'default_models', 'must not have "__proto__"'],
    ['{"default_models":7}', 'default_models', 'must be an object'],
    [{ retention_days: 9 }, 'retention_days', 'must be a whole number from 32 to 36500'],
    [{ retention_days: '40' }, 'retention_days', 'must be a whole number from 32 to 36500'],
    [{ retention: 40 }, null, 'retention'],
  ])('refuses %j', async (body, param, message) => {
    const { admin } = await open()
    const { status, body: answer } = await admin('settings', { body })
    expect([status, answer.error.param]).toEqual([400, param ?? answer.error.param])
    expect(answer.error.message).toContain(message)
  })
})

describe('PUT /admin/prices', () => {
  const ours = { ...PRICE, input: '30', output: '60' }

  it('prices calls from the next one on, in place of the row of bursar.json, until it is taken back', async () => {
    const { gateway, put, admin } = await open()
    const cost = async () => {
      const response = await gateway.client.asks('openai', { cap: 10 })
      await response.text()
      return Number(response.headers.get('x-bursar-cost-usd'))
    }
    const before = await cost()
    expect(await put('prices', { prices: [{ ...ours, model: ' M ' }] })).toMatchObject({
      prices: [{ input: '30', output: '60' }],
      file_prices: [{ source: 'bursar.json', replaced: true, price: { model: 'm' } }],
    })
    // 20 tokens in and 10 out.
    expect(await cost()).toBe(0.0012)
    const [entry] = await gateway.ledger.holds(2)
    expect(JSON.stringify(entry, (_, value) => (typeof value === 'bigint' ? String(value) : value))).toContain('admin#')
    const { prices } = (await admin('prices')).body
    await put('prices', { prices })
    expect(await cost()).toBe(0.0012)
    expect(await put('prices', { prices: [] })).toMatchObject({ prices: [], file_prices: [{ replaced: false }] })
    expect(await cost()).toBe(before)
  })

  it('a call in flight keeps its prices', async () => {
    const reached = Promise.withResolvers<void>()
    const goesOn = Promise.withResolvers<void>()
    const { gateway, put } = await open({
      respond: async (call) => {
        reached.resolve()
        await goesOn.promise
        answerWhole(call, { input: 20, output: 10 })
      },
    })
    const answer = gateway.client.asks('openai', { cap: 10 })
    await reached.promise
    await put('prices', { prices: [{ ...ours, input: '3000', output: '6000' }] })
    goesOn.resolve()
    await (await answer).text()
    const [entry] = await gateway.ledger.holds(1)
    expect(entry?.outcome?.cost.totalNanoUsd).toBeLessThan(1_000_000n)
  })

  it('holds after a restart, and a reload of bursar.json takes nothing back', async () => {
    const path = await ledgerPath()
    const first = await open({ path })
    await first.put('prices', { prices: [ours] })
    await first.gateway.app.reload(readFileConfig(JSON.stringify({ prices: [{ ...ours, input: '1' }] })))
    const rate = ({ gateway }: typeof first) => gateway.app.prices.find('openai', 'm', 0).price?.steps[0].rates.input
    expect(rate(first)).toBe(30_000_000_000n)
    await first.gateway.close()
    expect(rate(await open({ path }))).toBe(30_000_000_000n)
  })

  it('a change and a reload at the same time are both in force', async () => {
    const { gateway, put, admin } = await open()
    const reloads = [1, 2, 3].map((retries) =>
      gateway.app.reload(readFileConfig(JSON.stringify({ prices: [], retries }))),
    )
    await Promise.all([...reloads, put('prices', { prices: [ours] }), put('settings', { default_provider: 'gemini' })])
    const { body } = await admin('config')
    expect(body).toMatchObject({
      file: { sections: { retries: 3 } },
      registry: { default_provider: 'gemini', prices: [{ model: 'm' }] },
    })
    expect(gateway.app.prices.find('openai', 'm', 0).price).toBeDefined()
  })

  it.each([
    [[{ model: 'm', input: 'a dollar' }], 'prices[0].input', 'must be decimal dollars'],
    [[ours, { model: '' }], 'prices[1].model', 'must not be empty'],
    [[{ ...ours, inptu: '1' }], 'prices[0].inptu', 'Did you mean input?'],
    [[ours, { ...ours, model: 'M' }], 'prices[1]', 'must not stand beside prices[0]'],
    [[7], 'prices[0]', 'must be an object'],
    [[{ model: 'm', input: '1', output: '1', contextWindow: -1 }], 'prices[0].contextWindow', 'must be a whole number'],
  ])('refuses %j as a whole, and names the place', async (prices, param, message) => {
    const { admin } = await open()
    const { status, body } = await admin('prices', { body: { prices } })
    expect([status, body.error.param]).toEqual([400, param])
    expect(body.error.message).toContain(message)
    expect((await admin('prices')).body.prices).toEqual([])
    expect((await admin('audit')).body.changes).toEqual([])
  })

  it('warns of rows that price nothing, as for bursar.json, until they are gone', async () => {
    const { gateway, put, status } = await open()
    const warning = '/admin/prices: prices[0]: says nothing of gpt-6-luna'
    await put('prices', { prices: [{ provider: 'openai', model: 'gpt-6-luna' }] })
    expect((await status()).configuration.warnings).toEqual([expect.stringContaining(warning)])
    await put('settings', { default_provider: 'gemini' })
    expect(gateway.log.filter((line) => line.includes(warning))).toHaveLength(1)
    await put('prices', { prices: [] })
    expect((await status()).configuration.warnings).toEqual([])
  })

  it('refuses more rows than a person sets', async () => {
    const { admin } = await open()
    const prices = Array.from({ length: 1_001 }, (_, index) => ({ ...ours, model: `m${index}` }))
    expect((await admin('prices', { body: { prices } })).status).toBe(400)
    expect((await admin('prices', { body: {} })).body.error).toMatchObject({ param: 'prices' })
  })
})

test('a document that cannot be read is ignored and warned of, and the gateway starts', async () => {
  const path = await ledgerPath()
  const first = await open({ path })
  await first.put('prices', { prices: [{ model: 'ours', input: '1', output: '2' }] })
  await first.put('settings', { default_provider: 'gemini', default_models: { gemini: 'g' } })
  await first.gateway.close()
  const db = new DatabaseSync(path)
  db.exec(`UPDATE document SET value = '{"default_provider":7}' WHERE kind IN ('price', 'setting')`)
  db.close()
  const { gateway, admin, status } = await open({ path })
  expect((await admin('config')).body.registry).toMatchObject({
    default_provider: null,
    default_models: {},
    prices: [],
  })
  expect((await status()).configuration.warnings).toEqual([
    'setting/default_models: cannot be read, and is ignored',
    'setting/default_provider: cannot be read, and is ignored',
    'price/*/ours: cannot be read, and is ignored',
  ])
  expect(gateway.log.join()).toContain('price/*/ours: cannot be read, and is ignored')
})

test('a gateway that stops takes no change', async () => {
  const { gateway, admin } = await open()
  gateway.app.gate.close()
  const { status, body } = await admin('settings', { body: { default_provider: 'gemini' } })
  expect([status, body.error.code]).toEqual([503, 'shutting_down'])
})

describe('GET /admin/audit', () => {
  it('shows who changed what, before and after, the newest first, in pages', async () => {
    const { admin, put, gateway } = await open()
    await put('settings', { default_provider: 'gemini' })
    await put('settings', { default_provider: 'anthropic' })
    await put('prices', { prices: [{ model: 'ours', input: '1', output: '2' }] })
    await put('prices', { prices: [] })
    const all = (await admin('audit')).body
    expect(all.next_cursor).toBeNull()
    const at = new Date(gateway.clock.now().wallMs).toISOString()
    expect(all.changes).toMatchObject([
      { kind: 'price', id: '*/ours', before: { model: 'ours', input: '1' }, after: null, actor: 'admin', at },
      { kind: 'price', id: '*/ours', before: null, after: { model: 'ours', input: '1' } },
      { kind: 'setting', id: 'default_provider', before: 'gemini', after: 'anthropic' },
      { kind: 'setting', id: 'default_provider', before: null, after: 'gemini' },
    ])
    const pages: unknown[] = []
    let query = ''
    for (let isLast = false; !isLast; ) {
      const { changes, next_cursor } = (await admin(`audit?limit=3${query}`)).body
      pages.push(changes)
      query = `&cursor=${next_cursor}`
      isLast = next_cursor === null
    }
    expect(pages).toEqual([all.changes.slice(0, 3), all.changes.slice(3)])
  })

  it('has no line for what changes nothing', async () => {
    const { admin, put } = await open()
    const prices = [{ model: 'ours', input: '1', output: '2' }]
    for (let time = 0; time < 2; time++) {
      await put('prices', { prices })
      await put('settings', { default_provider: 'gemini' })
    }
    expect((await admin('audit')).body.changes).toHaveLength(2)
  })

  it.each(['limit=0', 'limit=1001', 'limit=x', 'cursor=x', 'cursor=-1', 'limit='])('refuses ?%s', async (query) => {
    const { admin } = await open()
    const { status, body } = await admin(`audit?${query}`)
    expect([status, body.error.param]).toEqual([400, query.split('=')[0]])
  })

  it.each(['PUT', 'POST', 'DELETE', 'PATCH'])('cannot be changed: %s is no method of it', async (method) => {
    const { admin, put } = await open()
    await put('settings', { default_provider: 'gemini' })
    expect((await admin('audit', { method, body: '{}' })).status).toBeGreaterThanOrEqual(400)
    expect((await admin('audit')).body.changes).toHaveLength(1)
  })
})

describe('GET /admin/config', () => {
  it('shows each setting in the words of .env, and where it is set', async () => {
    const { config } = await open({
      env: { DAILY_SPENDING_LIMIT: '7.50', PRICES_URL: 'https://u:p@prices.example/?k=v' },
    })
    expect(await config('DAILY_SPENDING_LIMIT')).toMatchObject({ value: '7.50', source: 'environment' })
    expect(await config('MAX_COST_PER_REQUEST')).toMatchObject({ value: null, source: 'environment' })
    expect(await config('MONTHLY_SPENDING_LIMIT')).toMatchObject({ value: null, source: 'default' })
    expect(await config('TIME_ZONE')).toMatchObject({ value: 'UTC', source: 'default' })
    expect(await config('ADMIN_KEY')).toMatchObject({ value: 'set', source: 'environment' })
    expect(await config('BURSAR_SECRET')).toMatchObject({ value: null, source: 'default' })
    expect(await config('OPENAI_API_KEY')).toMatchObject({ value: 'sk-…cret', source: 'environment' })
    expect(await config('PRICES_URL')).toMatchObject({ value: 'https://…@prices.example/?…' })
  })

  it('says which settings a limit takes the place of, and where limits and keys are listed', async () => {
    const { gateway, admin, put, config } = await open({
      env: { DAILY_SPENDING_LIMIT: '7.50', MONTHLY_SPENDING_LIMIT: '90' },
      config: { limits: { global: { costPerMonth: '80' } } },
    })
    expect(await config('DAILY_SPENDING_LIMIT')).toMatchObject({ replaced_by: null })
    await put('limits/global', { costPerDay: '20' })
    expect(await config('DAILY_SPENDING_LIMIT')).toMatchObject({
      value: '7.50',
      replaced_by: '"costPerDay" of "global" at /admin/limits',
    })
    expect((await config('MONTHLY_SPENDING_LIMIT'))?.replaced_by).toMatch(/bursar\.json/)
    expect(await config('TIME_ZONE')).toMatchObject({ replaced_by: null })
    const { limits, keys } = (await admin('config')).body.registry as Record<string, unknown>
    for (const path of [limits, keys]) expect((await administer(gateway, String(path))).status).toBe(200)
  })

  it('shows bursar.json in its own words, with its path', async () => {
    const config = { retries: 2, limits: { 'key:a': { costPerDay: '5' } }, patterns: { model: 'sim/echo' } }
    const { admin } = await open({ config })
    expect((await admin('config')).body.file).toEqual({ source: 'bursar.json', path: null, sections: config })
  })
})
