// Keys and addresses of providers by /admin/providers: when they hold, where keys go, and that no key is ever shown in clear.

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished, test } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { type AdminRequest, administer } from '../support/administrator.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixtureOptions, useGateway, useProvider } from '../support/gateway.ts'
import { waitFor } from '../support/waiting.ts'

const BURSAR_SECRET = 'the-bursar-secret-of-tests'
const KEY = 'sk-set-by-admin-0123456789abcd'
const OTHER_KEY = 'sk-another-key-9876543210wxyz'
const FILE_KEY = 'sk-in-the-file-0123456789'
/** No key of OpenAI in the environment. */
const NO_KEY = { OPENAI_API_KEY: '', BURSAR_SECRET }

async function open({ env, ...options }: GatewayFixtureOptions = {}) {
  const gateway = await useGateway({ config: { prices: [PRICE] }, env: { ...NO_KEY, ...env }, ...options })
  const admin = (path: string, request?: AdminRequest) => administer(gateway, `/admin/providers${path}`, request)
  const put = async (name: string, body: unknown) => {
    const answer = await admin(`/${name}`, { body })
    expect(answer.status, answer.text).toBe(200)
    return answer.body
  }
  const call = async (model = 'openai/m') => {
    const response = await gateway.client.asks('openai', { cap: 10, model })
    return { status: response.status, text: await response.text() }
  }
  const shown = async (name: string) => (await admin('')).body.providers.find((provider) => provider.name === name)
  const status = async (name: string) => {
    const { providers } = await gateway.client.asksOwner<{ providers: readonly { name: string }[] }>('/llm/status')
    return providers.find((provider) => provider.name === name)
  }
  const reload = (config: unknown) => gateway.app.reload(readFileConfig(JSON.stringify(config)))
  return { gateway, admin, put, call, shown, status, reload }
}

/** A place that would be glad of keys. */
async function openCollector() {
  const collector = await useProvider()
  /** Everything in its requests that could be a key. */
  const keys = () =>
    collector.received.map(({ headers, path }) => [
      headers.authorization,
      headers['x-api-key'],
      headers['x-goog-api-key'],
      headers['api-key'],
      path,
    ])
  return { collector, url: `${collector.url}/v1`, keys }
}

async function ledgerFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bursar-provider-keys-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return folder
}

describe('a key that is set', () => {
  it('is sent from the next call on, in disguise everywhere else, and gone once it is removed', async () => {
    const { gateway, admin, put, call, shown, status } = await open()
    expect((await call()).status).toBe(503)
    expect(await put('openai', { api_key: KEY })).toMatchObject({
      ready: true,
      api_key: 'sk-…abcd',
      api_key_source: 'registry',
    })
    expect((await call()).status).toBe(200)
    expect(gateway.provider.received.at(-1)?.headers.authorization).toBe(`Bearer ${KEY}`)
    expect(await status('openai')).toMatchObject({ status: 'configured' })
    await put('openai', { api_key: OTHER_KEY })
    await call()
    const translated = await gateway.client.asks('anthropic', { cap: 10, model: 'openai/m' })
    expect(translated.status, await translated.text()).toBe(200)
    const sent = gateway.provider.received.map(({ headers }) => headers.authorization)
    expect(sent.slice(-2)).toEqual([`Bearer ${OTHER_KEY}`, `Bearer ${OTHER_KEY}`])
    expect((await admin('/openai', { method: 'DELETE' })).body).toEqual({ name: 'openai', removed: true })
    expect((await call()).status).toBe(503)
    expect(await shown('openai')).toMatchObject({ ready: false, api_key: null, api_key_source: null })
    expect(await status('openai')).toMatchObject({ status: 'not_configured' })
  })

  it('serves a row of bursar.json whose variable is missing, and goes before a key in the file', async () => {
    const { collector, url, keys } = await openCollector()
    const mine = { preset: 'groq', baseUrl: url, model: 'm' }
    const { put, call, shown, reload } = await open({ config: { prices: [PRICE], providers: { mine } } })
    await put('mine', { api_key: KEY })
    expect((await call('mine/m')).status).toBe(200)
    await reload({ prices: [PRICE], providers: { mine: { ...mine, apiKey: FILE_KEY } } })
    expect((await call('mine/m')).status).toBe(200)
    expect(keys().map(([authorization]) => authorization)).toEqual(Array(2).fill(`Bearer ${KEY}`))
    expect(await shown('mine')).toMatchObject({ api_key: 'sk-…abcd', base_url_source: 'bursar.json' })
    expect(collector.received).toHaveLength(2)
  })

  it('a call in flight ends with the key it began with', async () => {
    const reached = Promise.withResolvers<void>()
    const goesOn = Promise.withResolvers<void>()
    const { gateway, admin, put, call } = await open({
      respond: async (request) => {
        reached.resolve()
        await goesOn.promise
        answerWhole(request, { input: 20, output: 10 })
      },
    })
    await put('openai', { api_key: KEY })
    const answer = call()
    await reached.promise
    await put('openai', { api_key: OTHER_KEY })
    await admin('/openai', { method: 'DELETE' })
    goesOn.resolve()
    expect((await answer).status).toBe(200)
    expect(gateway.provider.received).toHaveLength(1)
    await gateway.ledger.holds(1)
  })

  it('and a reload of bursar.json at the same time are both in force', async () => {
    const { put, call, shown, reload } = await open()
    const config = { prices: [PRICE], providers: { mine: { preset: 'vllm' } } }
    await Promise.all([reload(config), put('openai', { api_key: KEY }), reload(config)])
    expect((await call()).status).toBe(200)
    expect(await shown('mine')).toMatchObject({ ready: true })
  })

  it('needs BURSAR_SECRET', async () => {
    const { admin, shown } = await open({ env: { BURSAR_SECRET: '' } })
    const { status, body } = await admin('/openai', { body: { api_key: KEY } })
    expect([status, body.error.param]).toEqual([403, 'api_key'])
    expect(body.error.message).toContain('BURSAR_SECRET')
    expect(await shown('openai')).toMatchObject({ api_key: null })
  })
})

describe('after a restart', () => {
  test('the key is there again; under another BURSAR_SECRET the provider says why it is not, and nothing is lost', async () => {
    const path = join(await ledgerFolder(), 'ledger.db')
    const first = await open({ path })
    await first.put('openai', { api_key: KEY })
    await first.gateway.close()
    for (const secret of ['another-bursar-secret', '']) {
      const wrong = await open({ path, env: { BURSAR_SECRET: secret } })
      expect(await wrong.status('openai')).toMatchObject({
        status: 'not_configured',
        setup_guide: expect.stringContaining('BURSAR_SECRET'),
      })
      expect(await wrong.call()).toMatchObject({ status: 503, text: expect.stringContaining('BURSAR_SECRET') })
      expect(wrong.gateway.log.join()).toContain('provider/openai: Its')
      expect((await wrong.call('sim/echo')).status).toBe(200)
      expect(await wrong.shown('openai')).toMatchObject({ ready: false, api_key: 'sk-…abcd' })
      await wrong.gateway.close()
    }
    const last = await open({ path })
    expect((await last.call()).status).toBe(200)
    expect(last.gateway.provider.received.at(-1)?.headers.authorization).toBe(`Bearer ${KEY}`)
  })

  test('a key in the environment goes before the one that is set here', async () => {
    const path = join(await ledgerFolder(), 'ledger.db')
    const { url, keys } = await openCollector()
    const first = await open({ path, env: { OPENAI_BASE_URL: '' } })
    await first.put('openai', { api_key: KEY, base_url: url })
    await first.gateway.close()
    const second = await open({ path, env: { OPENAI_API_KEY: 'sk-of-the-environment-1234' } })
    expect((await second.call()).status).toBe(200)
    expect(second.gateway.provider.received[0]?.headers.authorization).toBe('Bearer sk-of-the-environment-1234')
    expect(await second.shown('openai')).toMatchObject({
      api_key: 'sk-…1234',
      api_key_source: 'environment',
      base_url_source: 'environment',
      not_in_force: expect.stringContaining('OPENAI_API_KEY is set in the environment'),
    })
    expect(keys()).toEqual([])
    expect((await second.admin('/openai', { method: 'DELETE' })).status).toBe(200)
  })

  test.each<[string, string]>([
    ['provider', '{"api_key":"sk-…abcd","base_url":"COLLECTOR"}'],
    ['provider', '{"api_key":"sk-…abcd"}'],
    ['provider', '7'],
    ['provider', '{"api_key":null,"base_url":"no address"}'],
    ['provider', '{"api_key":"sk-…abcd","base_url":"http://collector.example"}'],
    ['provider-secret', '{"nonce":"","sealed":""}'],
    ['provider-secret', '"x"'],
  ])('a document that somebody changed in the file leads no key away: %s %s', async (kind, value) => {
    const path = join(await ledgerFolder(), 'ledger.db')
    const { url, keys } = await openCollector()
    const first = await open({ path })
    await first.put('openai', { api_key: KEY })
    await first.gateway.close()
    const db = new DatabaseSync(path)
    db.prepare('UPDATE document SET value = ? WHERE kind = ?').run(value.replace('COLLECTOR', url), kind)
    db.close()
    const second = await open({ path, env: { OPENAI_BASE_URL: '' } })
    expect((await second.call()).status).toBe(503)
    expect(keys()).toEqual([])
  })
})

describe('an address that is set gets no key from elsewhere:', () => {
  test('not one of the environment', async () => {
    const { url, keys } = await openCollector()
    const { admin, gateway } = await open({ env: { OPENAI_API_KEY: KEY, OPENAI_BASE_URL: '' } })
    for (const body of [{ base_url: url }, { base_url: url, api_key: OTHER_KEY }, { api_key: OTHER_KEY }]) {
      const { status, body: answer } = await admin('/openai', { body })
      expect([status, answer.error.code]).toEqual([409, 'conflict'])
      expect(answer.error.message).toContain('OPENAI_API_KEY is set in the environment')
    }
    expect((await administer(gateway, '/admin/audit')).body.changes).toEqual([])
    expect(keys()).toEqual([])
  })

  test('not one that is set before for another address', async () => {
    const { url, keys } = await openCollector()
    const { put, call, shown, status } = await open({ env: { OPENAI_BASE_URL: '' } })
    await put('openai', { api_key: KEY })
    expect(await put('openai', { base_url: url })).toMatchObject({ ready: false, api_key: null, base_url: url })
    expect(await call()).toMatchObject({ status: 503, text: expect.stringContaining('PUT /admin/providers/openai') })
    expect(await status('openai')).toMatchObject({
      setup_guide: expect.stringContaining('Send the key for its base_url'),
    })
    await put('openai', { api_key: KEY })
    expect((await call()).status).toBe(200)
    await put('openai', { base_url: `${url}/` })
    expect(await shown('openai')).toMatchObject({ ready: true, api_key: 'sk-…abcd' })
    await put('openai', { base_url: `${url}/other` })
    expect(await shown('openai')).toMatchObject({ ready: false, api_key: null })
    await put('openai', { api_key: OTHER_KEY })
    await put('openai', { base_url: null })
    expect(await shown('openai')).toMatchObject({ ready: false, api_key: null, base_url_source: 'default' })
    expect(keys().map(([authorization]) => authorization)).toEqual([`Bearer ${KEY}`])
  })

  test('not one in bursar.json, nor in the headers and the query there', async () => {
    const { collector, url } = await openCollector()
    const row = { baseUrl: 'http://127.0.0.1:9/v1', model: 'm' }
    const providers = {
      keyed: { ...row, apiKey: FILE_KEY },
      headed: { ...row, auth: 'none', headers: { 'x-portkey-api-key': FILE_KEY } },
      queried: { ...row, auth: 'none', query: { key: FILE_KEY } },
      free: { ...row, auth: 'none' },
    }
    const { admin, put, call } = await open({ config: { prices: [PRICE], providers } })
    expect(await put('keyed', { base_url: url })).toMatchObject({ ready: false, api_key: null })
    expect((await call('keyed/m')).status).toBe(503)
    for (const name of ['headed', 'queried']) {
      const { status, body } = await admin(`/${name}`, { body: { base_url: url } })
      expect([status, body.error.message]).toEqual([409, expect.stringContaining('can hold a key')])
    }
    expect(await put('free', { base_url: url })).toMatchObject({ ready: true })
    expect((await admin('/free', { body: { api_key: KEY } })).body.error.message).toContain('takes no key')
    expect((await call('free/m')).status).toBe(200)
    expect(JSON.stringify(collector.received.map(({ headers, path }) => [headers, path]))).not.toContain(FILE_KEY)
  })

  test('not a key of a variable that bursar.json names', async () => {
    const config = { providers: { mine: { preset: 'groq', apiKey: '$MINE' } } }
    const file = readFileConfig(JSON.stringify(config), { MINE: FILE_KEY })
    const { url } = await openCollector()
    const { gateway, admin, shown } = await open({ env: { OPENAI_BASE_URL: '' } })
    await gateway.app.reload(file)
    for (const body of [{ base_url: url }, { base_url: url, api_key: KEY }, { api_key: KEY }])
      expect((await admin('/mine', { body })).status).toBe(409)
    expect(await shown('mine')).toMatchObject({ api_key_source: 'environment', base_url_source: 'bursar.json' })
  })

  test('not the own key of a caller, whichever of the two was set first', async () => {
    const { collector, url } = await openCollector()
    const { admin, put, call, shown, reload, gateway } = await open()
    const forwarding = {
      prices: [PRICE],
      providers: {
        anthropic: { callerKeys: 'forward' },
        mine: { preset: 'groq', baseUrl: `${gateway.provider.url}/v1`, callerKeys: 'forward' },
      },
    }
    const plain = { ...forwarding, providers: { mine: { preset: 'groq', baseUrl: `${gateway.provider.url}/v1` } } }
    await reload(plain)
    await put('mine', { base_url: url, api_key: KEY })
    await reload(forwarding)
    expect(await shown('mine')).toMatchObject({ not_in_force: expect.stringContaining('callerKeys') })
    const headers = { authorization: 'Bearer sk-own-key-of-a-caller' }
    const response = await gateway.client.asks('openai', { cap: 10, model: 'mine/m' }, { headers })
    expect(response.status).toBe(200)
    await response.text()
    expect(collector.received).toEqual([])
    expect(gateway.provider.received.at(-1)?.headers.authorization).toBe('Bearer sk-own-key-of-a-caller')
    for (const name of ['mine', 'anthropic'])
      for (const body of [{ base_url: `${url}/2`, api_key: OTHER_KEY }, { api_key: OTHER_KEY }])
        expect((await admin(`/${name}`, { body })).status).toBe(409)
    await reload(plain)
    expect((await call('mine/m')).status).toBe(200)
    expect(collector.received.at(-1)?.headers.authorization).toBe(`Bearer ${KEY}`)
  })

  test.each([
    'http://collector.example/v1',
    'http://localhost.collector.example/v1',
    'http://127.0.0.1.collector.example/v1',
    'http://127.0.0.1@collector.example/v1',
    'https://user:pass@api.example/v1',
    'https://api.example/v1?key=',
    'https://api.example/v1#x',
    'ftp://api.example',
    'file:///etc/passwd',
    'javascript:alert(1)',
    '//api.example',
    'api.example',
    '',
    ' ',
    `https://api.example/${'x'.repeat(2_100)}`,
  ])('and %s is none', async (base_url) => {
    const { admin } = await open({ env: { OPENAI_BASE_URL: '' } })
    const { status, body } = await admin('/openai', { body: { base_url, api_key: KEY } })
    expect([status, body.error?.param]).toEqual([400, 'base_url'])
  })

  test.each([
    ['https://API.example:443/v1//', 'https://api.example/v1'],
    ['http://[::1]:9/v1', 'http://[::1]:9/v1'],
    ['https://api.example/v1/?#', 'https://api.example/v1'],
    ['http://127.1:9/', 'http://127.0.0.1:9'],
    ['https://api.exam\nple/v1', 'https://api.example/v1'],
  ])('%j is taken as %s', async (base_url, taken) => {
    const { put } = await open({ env: { OPENAI_BASE_URL: '' } })
    expect(await put('openai', { base_url, api_key: KEY })).toMatchObject({ base_url: taken })
  })
})

test('a request that changes nothing writes nothing', async () => {
  const { gateway, put } = await open({ env: { OPENAI_BASE_URL: '' } })
  await put('openai', { api_key: null })
  await put('openai', { api_key: KEY, base_url: 'https://proxy.example/v1' })
  const provider = gateway.app.providers[0]
  await put('openai', { base_url: 'https://proxy.example/v1/' })
  expect(gateway.app.providers[0]).toBe(provider)
  expect((await administer(gateway, '/admin/audit')).body.changes).toHaveLength(1)
})

test('nothing is left of a key that is removed, dropped or replaced', async () => {
  const { gateway, admin, put } = await open({ env: { OPENAI_BASE_URL: '' } })
  const secrets = async () => (await gateway.app.store.registry.read('provider-secret')).length
  const records = async () => (await gateway.app.store.registry.read('provider')).length
  await put('openai', { api_key: KEY })
  expect([await secrets(), await records()]).toEqual([1, 1])
  await put('openai', { base_url: 'https://proxy.example/v1' })
  expect([await secrets(), await records()]).toEqual([0, 1])
  await put('openai', { api_key: OTHER_KEY })
  await put('openai', { api_key: null })
  expect([await secrets(), await records()]).toEqual([0, 1])
  await put('openai', { base_url: null })
  expect([await secrets(), await records()]).toEqual([0, 0])
  await put('openai', { api_key: KEY, base_url: 'https://proxy.example/v1' })
  await admin('/openai', { method: 'DELETE' })
  expect([await secrets(), await records()]).toEqual([0, 0])
})

test('what is set for a row of bursar.json that is gone is shown, waits for the row, and can be removed', async () => {
  const config = { prices: [PRICE], providers: { mine: { preset: 'groq' } } }
  const { admin, put, shown, reload } = await open({ config })
  await put('mine', { api_key: KEY })
  await reload({ prices: [PRICE] })
  expect(await shown('mine')).toMatchObject({ ready: false, not_in_force: 'No provider is named mine now' })
  await reload(config)
  expect(await shown('mine')).toMatchObject({ ready: true, not_in_force: null })
  await reload({ prices: [PRICE] })
  expect((await admin('/mine', { body: { api_key: KEY } })).status).toBe(404)
  expect((await admin('/mine', { method: 'DELETE' })).status).toBe(200)
  expect(await shown('mine')).toBeUndefined()
})

describe('a request is refused', () => {
  test.each([
    ['opnai', 'Did you mean openai?'],
    ['simulated', 'No provider is named simulated'],
    [encodeURIComponent('open"ai\n'), 'No provider is named "open\\"ai\\n"'],
    ['__proto__', 'No provider is named __proto__'],
    ['x'.repeat(500), 'No provider is named xxx'],
  ])('for a provider that there is not: %s', async (name, message) => {
    const { admin } = await open()
    for (const request of [{ body: { api_key: KEY } }, { method: 'DELETE' }]) {
      const { status, body } = await admin(`/${name}`, request)
      expect([status, body.error.message]).toEqual([404, expect.stringContaining(message)])
    }
    const { status } = await admin(`/${name}/test`, { method: 'POST' })
    expect(status).toBe(name === 'simulated' ? 200 : 404)
  })

  test.each([
    [{}, 'api_key or base_url is missing'],
    [{ api_key: '' }, 'must not be empty'],
    [{ api_key: 'two\nlines' }, 'characters that can be sent in a header'],
    [{ api_key: 'ключ' }, 'characters that can be sent in a header'],
    [{ api_key: 'x'.repeat(5_000) }, 'at most 4096 characters'],
    [{ api_key: 7 }, 'must be text'],
    [{ key: KEY }, 'key'],
  ])('for what is no key: %j', async (body, message) => {
    const { admin } = await open()
    const answer = await admin('/openai', { body })
    expect([answer.status, answer.body.error.message]).toEqual([400, expect.stringContaining(message)])
    expect(answer.text).not.toContain(KEY)
  })

  test('for removing what is not set', async () => {
    const { admin } = await open()
    expect((await admin('/openai', { method: 'DELETE' })).body.error.message).toContain('Nothing is set here')
  })
})

test('a key is in no answer, no log line, no audit line and nowhere in the files of the ledger', async () => {
  const folder = await ledgerFolder()
  const texts: string[] = []
  const mine = { preset: 'groq', baseUrl: 'http://127.0.0.1:9/v1', apiKey: FILE_KEY, model: 'm' }
  const { gateway, admin, put, call } = await open({
    path: join(folder, 'ledger.db'),
    config: { prices: [PRICE], providers: { mine, headed: { ...mine, headers: { 'x-k': OTHER_KEY } } } },
    // It repeats what it was sent, as some do in errors.
    respond: ({ response, headers }) =>
      void response
        .writeHead(401, { 'content-type': 'application/json', 'x-echo': String(headers.authorization) })
        .end(JSON.stringify({ error: { message: `Incorrect API key: ${headers.authorization}` } })),
  })
  await put('openai', { api_key: OTHER_KEY })
  await put('openai', { api_key: KEY })
  await call('mine/m')
  for (const path of ['', '/openai/test', '/mine/test'])
    texts.push((await admin(path, path === '' ? {} : { method: 'POST' })).text)
  for (const body of [
    { api_key: KEY, base_url: 'ftp://x' },
    { api_key: `${KEY}\n` },
    { api_key: KEY, other: 1 },
    `{"api_key":"${KEY}"`,
  ])
    texts.push((await admin('/openai', { body })).text)
  texts.push((await admin('/opnai', { body: { api_key: KEY } })).text)
  for (const path of ['/admin/config', '/admin/audit', '/admin/prices', '/llm/status', '/llm/stats', '/'])
    texts.push(
      await (
        await gateway.client.fetch('in process', path, {
          headers: { authorization: `Bearer ${'the-admin-key-of-tests'}` },
        })
      ).text(),
    )
  await admin('/openai', { method: 'DELETE' })
  await put('openai', { api_key: KEY })
  await gateway.close()
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'latin1')))
  const kept = [...texts, ...gateway.log, ...files].join('\n')
  expect(kept).toContain('sk-…abcd')
  for (const secret of [
    KEY,
    OTHER_KEY,
    FILE_KEY,
    BURSAR_SECRET,
    'the-admin-key-of-tests',
    'sk-upstream-anthropic-secret',
  ]) {
    expect(kept.includes(secret), secret).toBe(false)
    expect(kept.includes(Buffer.from(secret).toString('base64').slice(0, 20)), secret).toBe(false)
  }
})

describe('a test of a provider', () => {
  const probe = async (respond: GatewayFixtureOptions['respond'], options: GatewayFixtureOptions = {}) => {
    const { gateway, admin } = await open({ env: { OPENAI_API_KEY: KEY }, respond, ...options })
    const { status, body } = await admin('/openai/test', { method: 'POST' })
    expect(status).toBe(200)
    return { body, gateway }
  }

  it('asks for the list of models, which costs nothing', async () => {
    const { body, gateway } = await probe(
      ({ response }) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[]}'),
    )
    expect(body).toMatchObject({ ok: true, status: 200, message: 'It answered, and takes the key.' })
    expect(gateway.provider.received.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /v1/models'])
    expect(gateway.provider.received[0]?.headers.authorization).toBe(`Bearer ${KEY}`)
    for (const name of ['anthropic', 'gemini'])
      await administer(gateway, `/admin/providers/${name}/test`, { method: 'POST' })
    expect(
      gateway.provider.received
        .slice(1)
        .map(({ method, path, headers }) => [method, path, headers['x-api-key'] ?? headers['x-goog-api-key']]),
    ).toEqual([
      ['GET', '/v1/models?limit=1', 'sk-upstream-anthropic-secret'],
      ['GET', '/v1beta/models?pageSize=1', 'upstream-gemini-secret'],
    ])
    expect(await gateway.ledger.entries()).toEqual([])
  })

  it.each([
    [401, 'It refused the key (401).'],
    [404, 'It has no GET /models (404)'],
    [429, 'says nothing of the key'],
    [503, 'It failed (503).'],
    [307, 'which is not followed'],
  ])('says what an answer of %d means', async (status, message) => {
    const { url, keys } = await openCollector()
    const { body } = await probe(({ response }) => void response.writeHead(status, { location: url }).end(KEY))
    expect(body).toMatchObject({ ok: false, status, message: expect.stringContaining(message) })
    expect(body.message).not.toContain(KEY)
    expect(keys()).toEqual([])
  })

  it('says that a page is no API, and that nothing answers', async () => {
    const { body } = await probe(
      ({ response }) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
    )
    expect(body).toMatchObject({ ok: false, status: 200, message: expect.stringContaining('base URL') })
    const { body: broken } = await probe(({ response }) => void response.destroy())
    expect(broken).toMatchObject({ ok: false, status: null, message: expect.stringContaining('could not be reached') })
    const { body: closed } = await probe(undefined, {
      env: { OPENAI_API_KEY: KEY, OPENAI_BASE_URL: 'http://127.0.0.1:9/v1' },
    })
    expect(closed).toMatchObject({
      ok: false,
      status: null,
      message: 'It could not be reached (ECONNREFUSED): check its base URL.',
    })
  })

  it('waits five seconds at most', async () => {
    const clock = new ManualClock()
    const { gateway, admin } = await open({ env: { OPENAI_API_KEY: KEY }, respond: () => {}, clock, timers: clock })
    const answer = admin('/openai/test', { method: 'POST' })
    await waitFor(() => gateway.provider.received.length === 1)
    clock.advance(5_000)
    expect((await answer).body).toEqual({
      ok: false,
      status: null,
      latency_ms: 5_000,
      message: 'It did not answer within 5 seconds.',
    })
  })

  it('sends nothing without a key of its own', async () => {
    const { admin, gateway } = await open({ config: { providers: { anthropic: { callerKeys: 'forward' } } } })
    expect((await admin('/openai/test', { method: 'POST' })).body).toMatchObject({
      ok: false,
      message: expect.stringContaining('Set OPENAI_API_KEY'),
    })
    expect((await admin('/anthropic/test', { method: 'POST' })).body).toMatchObject({
      ok: false,
      message: expect.stringContaining('callers send keys'),
    })
    expect((await admin('/simulated/test', { method: 'POST' })).body).toMatchObject({ ok: true })
    expect(gateway.provider.received).toEqual([])
  })
})
