// Attacks on keys: what nobody without the right key learns or changes, and where no secret ever stands.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ENDPOINTS } from '../../src/http/index.ts'
import { digest } from '../../src/keys/secrets.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { temporaryFolder } from '../stores/folder.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import { holding, KeyOperator } from '../support/keys.ts'

async function open(options: GatewayFixtureOptions = {}) {
  const clock = new ManualClock()
  const gateway = await useGateway({ clock, timers: clock, config: { prices: [PRICE] }, ...options })
  return { gateway, clock, operator: new KeyOperator(gateway) }
}

const CONFIGURED = { BURSAR_KEYS: 'alice:alice-secret-alice' }

describe('/admin/', () => {
  const PATHS = [
    ...ENDPOINTS.filter(({ role, path }) => role === 'admin' && path.startsWith('/admin/')).map(({ path }) =>
      path.replace(':id', 'ci'),
    ),
    ...[
      '/admin',
      '/admin/',
      '/admin/keys/',
      '/admin/keys/nobody',
      '/admin/keys/ci/none',
      '/admin/none',
      '/admin//keys',
    ],
  ]

  it.each([...new Set(PATHS)])(
    '%s answers the admin key alone, whatever the method, and tells nothing else',
    async (path) => {
      const { gateway, operator } = await open({ env: CONFIGURED })
      const ci = await operator.makes({ name: 'CI', project: 'secret-project' })
      const before = await gateway.app.store.registry.audit({ limit: 100 })
      for (const [headers, query] of [
        [{}, ''],
        [holding(ci).headers, ''],
        [{ authorization: 'Bearer alice-secret-alice' }, ''],
        [{ authorization: `Bearer ${ADMIN_KEY}x` }, ''],
        [{ authorization: `Bearer ${ADMIN_KEY.slice(0, -1)}` }, ''],
        [{ authorization: `Basic ${ADMIN_KEY}` }, ''],
        [{ 'x-bursar-key': digest(ADMIN_KEY) }, ''],
        [{ cookie: `key=${ADMIN_KEY}` }, ''],
        [{ 'x-bursar-key': 'wrong', authorization: `Bearer ${ADMIN_KEY}` }, ''],
        [{}, '?%6bey=the-admin-key-of-tests'],
      ] as const)
        for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
          const body = ['POST', 'PUT', 'PATCH'].includes(method) ? { body: '{"name":"x"}' } : {}
          const init = { method, headers: { 'content-type': 'application/json', ...headers }, ...body }
          const response = await gateway.client.fetch('in process', path + query, init)
          const text = await response.text()
          expect([method, response.status, headers], text).toEqual([method, 401, headers])
          expect(text).not.toMatch(/secret-project|"ci"/)
        }
      expect(await gateway.app.store.registry.audit({ limit: 100 })).toEqual(before)
      expect(await operator.asks('GET', '/ci')).toMatchObject({ body: { status: 'active' } })
    },
  )

  it('answers nobody without an admin key', async () => {
    const { gateway } = await open({ env: { ADMIN_KEY: '' } })
    for (const headers of [{}, { authorization: 'Bearer ' }, { 'x-bursar-key': digest('') }])
      for (const [method, path] of [
        ['GET', ''],
        ['POST', ''],
        ['DELETE', '/ci'],
      ] as const)
        expect((await gateway.client.fetch('in process', `/admin/keys${path}`, { method, headers })).status).toBe(403)
  })
})

describe('the figures of another key', () => {
  it('are on no path that a holder asks', async () => {
    const limits = { perKey: { costPerDay: '5.00' }, perUser: { costPerDay: '5.00' } }
    const { gateway, operator } = await open({ env: CONFIGURED, config: { prices: [PRICE], limits } })
    const [ann, bob] = [
      await operator.makes({ name: 'Ann', user: 'ann' }),
      await operator.makes({ name: 'Bob-secret-name' }),
    ]
    await (await gateway.client.asks('openai', { cap: 10 }, holding(bob, { 'x-bursar-user': 'bobs-user' }))).text()
    const [entry] = await gateway.ledger.holds(1)
    const page = async (path: string, init: RequestInit = holding(ann)) => {
      const response = await gateway.client.fetch('in process', path, init)
      return { status: response.status, text: await response.text() }
    }
    const id = entry?.facts.callId
    expect((await page(`/llm/explain/${id}`)).status).toBe(404)
    expect((await page(`/llm/explain/${id}`, holding(bob))).status).toBe(200)
    expect(JSON.parse((await page('/llm/stats')).text)).toMatchObject({ total_requests: 0, total_cost: 0, newest: [] })
    expect(JSON.parse((await page('/llm/stats', holding(bob))).text)).toMatchObject({ total_requests: 1 })
    const levels = async (query: string, init?: RequestInit) => {
      const { limits } = JSON.parse((await page(`/llm/limits${query}`, init)).text) as {
        limits: { subject: string; settled: number }[]
      }
      return limits.map(({ subject, settled }) => [subject, settled > 0] as const)
    }
    const own = [
      ['key:ann', false],
      ['user:ann', false],
    ]
    for (const query of ['', '?key=bob-secret-name', '?user=bob-secret-name', '?user=bobs-user', '?key=alice'])
      expect(await levels(query)).toEqual(own)
    expect((await page('/llm/limits?user=bob-secret-name/bobs-user')).status).toBe(200)
    expect(await levels('?user=bobs-user', holding(bob))).toEqual([
      ['key:bob-secret-name', true],
      ['user:bob-secret-name/bobs-user', true],
    ])
    const admin = { headers: { authorization: `Bearer ${ADMIN_KEY}` } }
    expect(await levels('?key=ann', admin)).toEqual(own)
    expect(await levels('?key=bob-secret-name&user=bobs-user', admin)).toEqual([
      ['key:bob-secret-name', true],
      ['user:bob-secret-name/bobs-user', true],
    ])
    expect(await page('/llm/limits?user=bob-secret-name/bobs-user', admin)).toMatchObject({
      status: 400,
      text: expect.stringContaining('?key=bob-secret-name&user=bobs-user'),
    })
    expect(await page('/llm/limits?key=nobody', admin)).toMatchObject({ status: 400 })
    for (const path of [
      '/llm/status',
      '/llm/stats',
      '/llm/limits',
      '/',
      '/v1/models',
      '/v1beta/models',
      '/api/patterns/llm/stats',
    ])
      expect((await page(path)).text).not.toMatch(/bob-secret-name|bobs-user/)
  })

  it('are not told by a refusal of its own', async () => {
    const { gateway, operator } = await open()
    const [gone, old] = [
      await operator.makes({ name: 'Gone', user: 'ann-the-person' }),
      await operator.makes({ name: 'Old' }),
    ]
    await operator.disables('gone')
    await operator.changes('old', { expires_at: '2020-01-01T00:00:00Z', user: 'ann-the-person' })
    for (const key of [gone, old]) {
      const response = await gateway.client.asks('openai', { cap: 10 }, holding(key))
      expect([response.status, await response.text()]).toEqual([
        401,
        expect.not.stringMatching(/ann|Gone|Old|"gone"|"old"|bsr_/),
      ])
    }
  })
})

describe('a secret', () => {
  const NAMES = [
    'a"b\'c`',
    '__proto__',
    'constructor',
    '"; DROP TABLE document; --',
    '<script>',
    '%s%n',
    '../../x',
    '$(x)',
    'ü'.repeat(200),
  ]

  it('stands in clear in no file of the ledger, no log, no error and no audit', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'ledger.db')
    const { gateway, operator } = await open({ path, env: { LOG_LEVEL: 'trace' } })
    const secrets: string[] = [ADMIN_KEY]
    const pages: string[] = []
    for (const name of NAMES) {
      const { key, ...made } = await operator.makes({ name, metadata: { name } })
      pages.push(JSON.stringify(made))
      const { key: second, ...rotated } = await operator.rotates(made.id, 60)
      pages.push(JSON.stringify(rotated))
      secrets.push(key, second)
      for (const secret of [key, second])
        await (await gateway.client.asks('openai', { cap: 10 }, holding({ key: secret }))).text()
    }
    const wrong = `bsr_${'x'.repeat(43)}`
    for (const init of [holding({ key: wrong }), { headers: { 'x-api-key': wrong } }]) {
      const response = await gateway.client.asks('openai', { cap: 10 }, init)
      pages.push(await response.text())
      expect(response.status).toBe(401)
    }
    await gateway.ledger.holds(2 * NAMES.length)
    pages.push(JSON.stringify((await operator.asks('GET', '?limit=1000')).body))
    pages.push(JSON.stringify(await gateway.app.store.registry.audit({ limit: 1_000 })))
    pages.push(...gateway.log)
    for (const { headers } of gateway.provider.received) pages.push(JSON.stringify(headers))
    await gateway.close()
    const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)).toString('latin1'))
    expect(files.join('')).toContain(digest(secrets[1] ?? ''))
    expect(pages.join('\n')).not.toContain(digest(secrets[1] ?? ''))
    for (const text of [...files, ...pages])
      for (const secret of [...secrets, wrong]) expect(text.includes(secret)).toBe(false)
  })

  it('of a made key is never sent to a provider', async () => {
    const config = { prices: [PRICE], providers: { openai: { callerKeys: 'forward' } } }
    const { gateway, operator } = await open({ env: { OPENAI_API_KEY: '' }, config })
    const ci = await operator.makes({ name: 'CI' })
    const send = async (headers: Readonly<Record<string, string>>) =>
      (await gateway.client.asks('openai', { cap: 10 }, { headers })).status
    expect(await send({ 'x-bursar-key': ci.key, authorization: `Bearer ${ci.key}` })).toBe(401)
    expect(await send({ 'x-bursar-key': ci.key, authorization: `Bearer sk, "${ci.key}"` })).toBe(401)
    expect(await send({ authorization: `Bearer ${ci.key}` })).toBe(401)
    expect(gateway.provider.received).toEqual([])
    expect(await send({ 'x-bursar-key': ci.key, authorization: 'Bearer sk-own' })).toBe(200)
  })

  it('is found by its digest, so that no comparison takes longer for a better guess', async () => {
    const { gateway, operator } = await open()
    const ci = await operator.makes({ name: 'CI' })
    const [document] = await gateway.app.store.registry.read('key-secret', digest(ci.key))
    expect(document?.value).toEqual({ key: 'ci' })
    for (const guess of [
      ci.key.slice(0, -1),
      `${ci.key}A`,
      ci.key.toLowerCase(),
      ci.prefix,
      digest(ci.key),
      'of:ci',
      'ci',
    ])
      expect((await gateway.client.asks('openai', { cap: 10 }, holding({ key: guess }))).status).toBe(401)
  })
})

describe('after a restart', () => {
  it('keys, their secrets and their figures are what they were, and the gateway stays closed', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    const options = { path, config: { prices: [PRICE] } }
    let gateway = await GatewayFixture.open(options)
    const operator = new KeyOperator(gateway)
    const ci = await operator.makes({ name: 'CI', models: ['openai/*'] })
    await (await gateway.client.asks('openai', { cap: 10 }, holding(ci))).text()
    await operator.makes({ name: 'Off' })
    await operator.disables('off')
    await gateway.ledger.holds(1)
    await gateway.close()
    gateway = await GatewayFixture.open(options)
    onTestFinished(() => gateway.close())
    const ask = async (dialect: 'openai' | 'anthropic', init?: RequestInit) =>
      (await gateway.client.asks(dialect, { cap: 10 }, init)).status
    expect([await ask('openai'), await ask('openai', holding(ci)), await ask('anthropic', holding(ci))]).toEqual([
      401, 200, 403,
    ])
    expect(await (await gateway.client.fetch('in process', '/llm/stats', holding(ci))).json()).toMatchObject({
      newest: [{}, {}],
    })
  })
})

describe('on an address that others reach', () => {
  it('the admin key alone lets the gateway start, and every call needs a key', async () => {
    const { gateway, operator } = await open({ env: { HOST: '0.0.0.0' } })
    const ask = async (init?: RequestInit) => (await gateway.client.asks('openai', { cap: 10 }, init)).status
    for (const init of [{}, holding({ key: 'any' }), holding({ key: ADMIN_KEY })]) expect(await ask(init)).toBe(401)
    for (const path of ['/llm/stats', '/llm/status', '/v1/models', '/'])
      expect((await gateway.client.fetch('in process', path)).status).toBe(401)
    expect(await ask(holding(await operator.makes({ name: 'CI' })))).toBe(200)
  })
})
