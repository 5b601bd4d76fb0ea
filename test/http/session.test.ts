// Sessions: who is signed in with a browser, what a session may do, which pages it answers, and when it ends.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { ENDPOINTS } from '../../src/http/index.ts'
import { digest } from '../../src/keys/secrets.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { temporaryFolder } from '../stores/folder.ts'
import { Browser } from '../support/browser.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import { holding, KeyOperator } from '../support/keys.ts'

const ALICE = 'alice-secret-alice'
const CONFIGURED = { BURSAR_KEYS: `alice:${ALICE},bob:bob-secret-bob-bob` }
const HOURS = 3_600_000

async function open(options: GatewayFixtureOptions = {}) {
  const clock = new ManualClock()
  const gateway = await useGateway({ clock, timers: clock, config: { prices: [PRICE] }, ...options })
  return { gateway, clock, browser: new Browser(gateway), operator: new KeyOperator(gateway) }
}

async function openSignedIn(key = ADMIN_KEY, options: GatewayFixtureOptions = { env: CONFIGURED }) {
  const opened = await open(options)
  await opened.browser.signsIn(key)
  return opened
}

/** What is on disk for a gateway that has closed. */
function bytesIn(folder: string): string {
  return ['', '-wal']
    .map((end) => readFileSync(join(folder, `ledger.db${end}`), { flag: 'a+' }).toString('latin1'))
    .join()
}

describe('who is signed in', () => {
  it('is nobody yet, an administrator, or the holder of a key', async () => {
    const { browser, clock } = await open({ env: { ...CONFIGURED, TIME_ZONE: 'Europe/Berlin' } })
    const nobody = {
      ...{ viewer: 'none', key: null, user: null, can_administer: false, admin_key_set: true, keys_exist: true },
      ...{ by: null, expires_at: null, cookie_possible: true, time_zone: 'Europe/Berlin' },
      ...{ version: expect.stringMatching(/^\d+\.\d+\.\d+/), now: new Date(clock.wallMs).toISOString() },
    }
    expect(await browser.visitor()).toEqual(nobody)
    const expires_at = new Date(clock.wallMs + 12 * HOURS).toISOString()
    const admin = { ...nobody, viewer: 'admin', can_administer: true, by: 'session', expires_at }
    expect(await browser.signsIn(ADMIN_KEY)).toEqual(admin)
    expect(await browser.visitor()).toEqual(admin)
    expect(await browser.signsIn(ALICE)).toEqual({ ...nobody, viewer: 'key', key: 'alice', by: 'session', expires_at })
    const out = await browser.asks('DELETE', '/session')
    expect(out.body).toEqual(nobody)
    expect(out.headers.get('set-cookie')).toBe('__Host-bursar=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0')
    expect((await browser.asks('GET', '/session', undefined, { authorization: `Bearer ${ALICE}` })).body).toEqual({
      ...{ ...nobody, viewer: 'key', key: 'alice', by: 'header' },
    })
  })

  it('is the person of a key', async () => {
    const { browser, operator } = await open()
    const { key } = await operator.makes({ name: 'CI', user: 'ann', expires_at: '2026-11-22T13:00:00Z' })
    expect(await browser.signsIn(key)).toMatchObject({
      ...{ viewer: 'key', key: 'ci', user: 'ann', expires_at: '2026-11-22T13:00:00.000Z' },
    })
  })

  it.each([
    [
      'no key and no ADMIN_KEY',
      { ADMIN_KEY: '' },
      { viewer: 'open', admin_key_set: false, keys_exist: false, by: null },
    ],
    ['an ADMIN_KEY and no key', {}, { viewer: 'none', admin_key_set: true, keys_exist: false, by: null }],
    [
      'keys and no ADMIN_KEY',
      { ...CONFIGURED, ADMIN_KEY: '' },
      { viewer: 'none', admin_key_set: false, keys_exist: true },
    ],
  ])('with %s', async (_what, env, visitor) => {
    const { browser } = await open({ env })
    expect(await browser.visitor()).toMatchObject(visitor)
  })

  it('is told to nobody elsewhere while there is nothing to sign in with', async () => {
    const { browser, gateway } = await open({ env: { ADMIN_KEY: '' } })
    expect((await browser.asks('GET', '/session', undefined, { host: 'evil.example' })).status).toBe(403)
    expect((await browser.asks('GET', '/session', undefined, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    await gateway.close()
    const { browser: other } = await open()
    const behindProxy = await other.asks('GET', '/session', undefined, { host: 'bursar.example' })
    expect(behindProxy.body).toMatchObject({ viewer: 'none', cookie_possible: false })
  })

  it('is said by the key in a request before it is said by the cookie', async () => {
    const { browser } = await openSignedIn()
    const withKey = (key: string) => browser.asks('GET', '/session', undefined, { authorization: `Bearer ${key}` })
    expect((await withKey(ALICE)).body).toMatchObject({ viewer: 'key', key: 'alice', by: 'header', expires_at: null })
    expect((await withKey('wrong')).body).toMatchObject({ viewer: 'none', by: null })
    const list = (headers: Readonly<Record<string, string>>) => browser.asks('GET', '/admin/keys', undefined, headers)
    expect((await list({ 'x-bursar-key': ALICE })).status).toBe(401)
    expect((await list({ 'x-api-key': 'wrong' })).status).toBe(401)
    expect((await list({ authorization: 'Basic dXNlcjpwYXNz', 'x-api-key': ' ' })).status).toBe(200)
  })
})

describe('signing in', () => {
  it('sets a cookie that no script reads and no other host gets, with another secret each time', async () => {
    const { browser } = await open()
    const fixed = `__Host-bursar=${'a'.repeat(43)}`
    browser.cookie = fixed
    const { headers } = await browser.asks('POST', '/session', { key: ADMIN_KEY })
    expect(headers.get('set-cookie')).toMatch(
      /^__Host-bursar=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200$/,
    )
    expect(headers.get('cache-control')).toBe('no-store')
    const first = browser.cookie
    expect(first).not.toBe(fixed)
    await browser.signsIn(ADMIN_KEY)
    expect(browser.cookie).not.toBe(first)
    const second = browser.cookie
    for (const cookie of [fixed, first]) {
      browser.cookie = cookie
      expect(await browser.visitor()).toMatchObject({ viewer: 'none' })
    }
    browser.cookie = second
    expect(await browser.visitor()).toMatchObject({ viewer: 'admin' })
  })

  it('ends the session before it only if the key is right', async () => {
    const { browser } = await openSignedIn()
    expect((await browser.asks('POST', '/session', { key: 'wrong' })).status).toBe(401)
    expect(await browser.visitor()).toMatchObject({ viewer: 'admin' })
  })

  it.each([
    ['http://10.0.0.5:5555', '', 400],
    ['http://bursar.example', '', 400],
    ['http://localhost.example', '', 400],
    ['http://localhost:5555', '', 200],
    ['http://bursar.localhost', '', 200],
    ['http://127.0.0.1:5555', '', 200],
    ['http://[::1]:5555', '', 200],
    ['http://gateway:5555', 'https://bursar.example/gateway', 200],
    ['http://gateway:5555', 'http://bursar.example', 400],
  ])('at %s, with PUBLIC_URL=%s: %i', async (origin, PUBLIC_URL, status) => {
    const { browser } = await open({ env: { PUBLIC_URL } })
    const { host } = new URL(origin)
    const answer = await browser.asks('POST', '/session', { key: ADMIN_KEY }, { host })
    expect(answer.status).toBe(status)
    expect((await browser.asks('GET', '/session', undefined, { host })).body).toMatchObject({
      cookie_possible: status === 200,
    })
    if (status === 400) {
      expect(answer.body.error).toMatchObject({
        code: 'cookie_not_possible',
        message: expect.stringContaining('https'),
      })
      expect(answer.headers.get('set-cookie')).toBeNull()
    }
  })

  it.each([
    ['https://bursar.example', '', 200],
    ['http://10.0.0.5:5555', 'https://bursar.example', 400],
    ['http://10.0.0.5:5555', '', 400],
    ['null', '', 400],
  ])('from a page whose origin the browser says is %s, with PUBLIC_URL=%s: %i', async (origin, PUBLIC_URL, status) => {
    const { browser } = await open({ env: { PUBLIC_URL } })
    const answer = await browser.asks('POST', '/session', { key: ADMIN_KEY }, { host: '10.0.0.5:5555', origin })
    expect(answer.status).toBe(status)
  })

  it('goes by the address of the request where no header names the host', async () => {
    const { gateway } = await open()
    const possible = async (url: string) => (await gateway.app.app.fetch(new Request(`${url}/session`))).json()
    expect(await possible('http://10.0.0.5')).toMatchObject({ cookie_possible: false })
    expect(await possible('https://10.0.0.5')).toMatchObject({ cookie_possible: true })
  })

  it.each([
    ['{}', 400, 'invalid_request'],
    ['{"key":7}', 400, 'invalid_request'],
    ['{"key":" "}', 400, 'invalid_request'],
    ['{"key":"a","remember":true}', 400, 'invalid_request'],
    ['key=a', 400, 'invalid_json'],
    [`{"key":"${'a'.repeat(20_000)}"}`, 413, 'body_too_large'],
  ])('refuses a body of %.30s, and counts it as no attempt', async (body, status, code) => {
    const { browser } = await open()
    for (let count = 0; count < 6; count++) {
      const answer = await browser.asks('POST', '/session', body)
      expect([answer.status, answer.body.error.code]).toEqual([status, code])
      expect(answer.body.error.message).not.toMatch(/aaaa|MAX_BODY_BYTES/)
    }
  })

  it('over a socket takes the origin from the address that was asked, and notes who asked', async () => {
    const { gateway } = await open()
    const ask = (method: string, path: string, headers: Readonly<Record<string, string>>, body?: string) =>
      gateway.client.fetch('over sockets', path, {
        method,
        headers: { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body }),
      })
    const key = JSON.stringify({ key: ADMIN_KEY })
    const { origin, port } = new URL(gateway.url)
    expect((await ask('POST', '/session', { origin: `http://127.0.0.1:${Number(port) + 1}` }, key)).status).toBe(403)
    expect((await ask('POST', '/session', { origin: `https://127.0.0.1:${port}` }, key)).status).toBe(403)
    const signedIn = await ask('POST', '/session', { origin }, key)
    const [cookie = ''] = signedIn.headers.get('set-cookie')?.split(';') ?? []
    const list = await ask('GET', '/admin/sessions', { cookie })
    expect(await list.json()).toMatchObject({ sessions: [{ role: 'admin', address: '127.0.0.1' }] })
    expect((await ask('POST', '/admin/keys', { cookie, origin }, '{"name":"CI"}')).status).toBe(201)
    expect((await ask('POST', '/admin/keys', { cookie }, '{"name":"CI"}')).status).toBe(403)
    expect((await ask('DELETE', '/admin/keys/ci', { cookie, origin, 'content-type': 'text/plain' }, 'x')).status).toBe(
      403,
    )
    expect((await ask('DELETE', '/admin/keys/ci', { cookie, origin })).status).toBe(200)
  })

  it('works below a path of a user’s app, with a cookie for the whole host', async () => {
    const { gateway } = await open()
    const app = new Hono().route('/tenants/:id', gateway.app.app)
    const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }
    const body = JSON.stringify({ key: ADMIN_KEY })
    const response = await app.request('http://localhost/tenants/7/session', { method: 'POST', headers, body })
    const [cookie = ''] = response.headers.get('set-cookie')?.split(';') ?? []
    expect(response.headers.get('set-cookie')).toContain('; Path=/;')
    const list = await app.request('http://localhost/tenants/7/admin/sessions', { headers: { ...headers, cookie } })
    expect(await list.json()).toMatchObject({ sessions: [{ role: 'admin', address: null }] })
  })
})

describe('a session', () => {
  it('stands in for its key at every endpoint but those of callers', async () => {
    const { browser, gateway, operator } = await openSignedIn()
    await operator.makes({ name: 'CI' })
    const refused: string[] = []
    for (const { method, path, role } of ENDPOINTS) {
      if (role === 'open' || path.startsWith('/admin/sessions')) continue
      const asked = path.replace(/\{.*?\}/, '').replace(':id', 'ci')
      const { status } = await browser.asks(method, asked, method === 'GET' ? undefined : {})
      expect([method, path, status]).not.toEqual([method, path, 403])
      if (status === 401) refused.push(`${method} ${path} ${role}`)
    }
    expect(refused).toEqual(['POST /llm/estimate caller', 'POST /api/patterns/:name caller'])
    for (const path of ['/v1/chat/completions', '/v1/messages', '/v1beta/models/m:generateContent', '/v1/responses'])
      expect([path, (await browser.asks('POST', path, { model: 'm', messages: [] })).status]).toEqual([path, 401])
    expect((await browser.asks('GET', '/v1/models')).status).toBe(401)
    expect(gateway.app.gate.inFlight).toBe(0)
  })

  it('of a key sees its own calls alone, and administers nothing', async () => {
    const { browser, gateway } = await open({ env: CONFIGURED })
    await (await gateway.client.asks('openai', { cap: 10 }, holding({ key: 'bob-secret-bob-bob' }))).text()
    const [entry] = await gateway.ledger.holds(1)
    const id = entry?.facts.callId
    await browser.signsIn(ALICE)
    expect((await browser.asks('GET', `/llm/explain/${id}`)).status).toBe(404)
    expect((await browser.asks('GET', '/llm/stats')).body).toMatchObject({ total_requests: 0, newest: [] })
    expect((await browser.asks('GET', '/token-usage/all?key=bob')).text).not.toContain('bob-secret')
    for (const path of ['/admin/keys', '/admin/sessions', '/admin/none', '/audit/self-check']) {
      const { status, body } = await browser.asks('GET', path)
      expect([path, status, body.error.code]).toEqual([path, 403, 'forbidden'])
    }
    await browser.signsIn('bob-secret-bob-bob')
    expect((await browser.asks('GET', `/llm/explain/${id}`)).status).toBe(200)
    expect((await browser.asks('GET', '/llm/stats')).body).toMatchObject({ total_requests: 1 })
  })

  it.each([
    (cookie: string) => `${cookie.slice(0, -1)}${cookie.endsWith('A') ? 'B' : 'A'}`,
    (cookie: string) => cookie.slice(0, -1),
    (cookie: string) => `${cookie}A`,
    (cookie: string) => cookie.replace('__Host-', ''),
    (cookie: string) => cookie.replace('bursar', 'Bursar'),
    (cookie: string) => `__Host-bursar=${digest(cookie.split('=')[1] ?? '')}`,
    () => `__Host-bursar=${ADMIN_KEY}`,
    () => `__Host-bursar=${ALICE}`,
    () => '__Host-bursar=',
    () => '__Host-bursar',
  ])('is not found by a cookie that was changed: %s', async (change) => {
    const { browser } = await openSignedIn()
    browser.cookie = change(browser.cookie)
    expect(await browser.visitor()).toMatchObject({ viewer: 'none', by: null })
    expect((await browser.asks('GET', '/admin/keys')).status).toBe(401)
  })

  it('is found among other cookies', async () => {
    const { browser } = await openSignedIn()
    browser.cookie = `a=b; x__Host-bursar=c;${browser.cookie}; d=e`
    expect(await browser.visitor()).toMatchObject({ viewer: 'admin' })
  })

  it('ends after twelve hours, however much it is used, and is deleted then', async () => {
    const { browser, clock, gateway } = await openSignedIn()
    for (let hours = 0; hours < 12; hours++) {
      expect(await browser.visitor()).toMatchObject({ viewer: 'admin' })
      clock.advance(hours < 11 ? HOURS : HOURS - 1)
    }
    expect(await browser.visitor()).toMatchObject({ viewer: 'admin' })
    expect(await gateway.app.store.registry.read('session')).toHaveLength(1)
    clock.advance(1)
    expect(await browser.visitor()).toMatchObject({ viewer: 'none' })
    const { status, body } = await browser.asks('GET', '/llm/stats')
    expect([status, body.error.message]).toEqual([401, 'The session has ended. Sign in again, or send a key.'])
    expect(await gateway.app.store.registry.read('session')).toEqual([])
    expect(await gateway.app.store.registry.read('session-secret')).toEqual([])
  })

  it('that nobody uses is deleted once its time is over', async () => {
    const { clock, gateway } = await openSignedIn()
    for (const ms of [12 * HOURS, 60_000]) {
      expect(await gateway.app.store.registry.read('session')).toHaveLength(1)
      clock.advance(ms)
      await turn()
    }
    expect(await gateway.app.store.registry.read('session')).toEqual([])
  })

  it('ends when its browser signs out, and no other does', async () => {
    const { browser, gateway } = await openSignedIn()
    const other = new Browser(gateway)
    await other.signsIn(ADMIN_KEY)
    const { cookie } = browser
    await browser.asks('DELETE', '/session')
    browser.cookie = cookie
    expect(await browser.visitor()).toMatchObject({ viewer: 'none' })
    expect(await other.visitor()).toMatchObject({ viewer: 'admin' })
    expect((await other.asks('GET', '/admin/sessions')).body.sessions).toHaveLength(1)
  })

  it('ends when its key is disabled, also if the key is enabled again', async () => {
    const { browser, operator, gateway } = await open()
    const { key } = await operator.makes({ name: 'CI' })
    await browser.signsIn(key)
    await operator.changes('ci', { project: 'web' })
    expect(await browser.visitor()).toMatchObject({ viewer: 'key' })
    const other = new Browser(gateway)
    await other.signsIn(key)
    await operator.disables('ci')
    expect(await browser.visitor()).toMatchObject({ viewer: 'none' })
    await operator.changes('ci', { disabled: false })
    for (const one of [browser, other]) expect(await one.visitor()).toMatchObject({ viewer: 'none' })
  })

  it('ends when its key expires, and shows a change of the key at once', async () => {
    const { browser, operator, clock } = await open()
    const { key } = await operator.makes({ name: 'CI' })
    await browser.signsIn(key)
    await operator.changes('ci', { expires_at: new Date(clock.wallMs + HOURS).toISOString(), user: 'ann' })
    expect(await browser.visitor()).toMatchObject({
      user: 'ann',
      expires_at: new Date(clock.wallMs + HOURS).toISOString(),
    })
    clock.advance(HOURS)
    expect(await browser.visitor()).toMatchObject({ viewer: 'none' })
  })

  it('ends when the secret that it began with stops working', async () => {
    const { browser, operator, clock, gateway } = await open()
    const { key } = await operator.makes({ name: 'CI' })
    await browser.signsIn(key)
    const rotated = await operator.rotates('ci', 60)
    expect(await browser.visitor()).toMatchObject({ expires_at: new Date(clock.wallMs + 60_000).toISOString() })
    const other = new Browser(gateway)
    await other.signsIn(rotated.key)
    clock.advance(60_000)
    expect(await browser.visitor()).toMatchObject({ viewer: 'none' })
    expect(await other.visitor()).toMatchObject({ viewer: 'key' })
    await operator.rotates('ci')
    expect(await other.visitor()).toMatchObject({ viewer: 'none' })
  })

  it('is listed with its holder, and ends when an administrator revokes it, which the audit shows', async () => {
    const { browser, gateway, clock } = await openSignedIn()
    const holder = new Browser(gateway)
    clock.advance(1_000)
    const signedInAt = new Date(clock.wallMs).toISOString()
    await holder.signsIn(ALICE)
    clock.advance(1_000)
    await holder.visitor()
    const { body } = await browser.asks('GET', '/admin/sessions')
    const sessions = body.sessions as { id: string }[]
    expect(sessions).toMatchObject([
      { role: 'key', key: 'alice', created_at: signedInAt, last_used_at: new Date(clock.wallMs).toISOString() },
      { role: 'admin', key: null, address: null },
    ])
    const [{ id } = { id: '' }] = sessions
    const revoke = () => browser.asks('DELETE', `/admin/sessions/${id}`)
    expect((await revoke()).body).toEqual({ id, revoked: true })
    expect(await holder.visitor()).toMatchObject({ viewer: 'none' })
    expect((await browser.asks('GET', '/admin/sessions')).body.sessions).toHaveLength(1)
    expect([(await revoke()).status, (await holder.asks('DELETE', `/admin/sessions/${id}`)).status]).toEqual([404, 401])
    const { changes } = (await browser.asks('GET', '/admin/audit')).body as unknown as { changes: unknown[] }
    expect(changes).toEqual([
      expect.objectContaining({
        ...{ actor: 'admin', kind: 'session', after: null },
        before: expect.objectContaining({ id, key: 'alice', created_at: signedInAt }),
      }),
    ])
  })

  it('goes on after a restart, unless ADMIN_KEY or the secret of its key was changed', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    const clock = new ManualClock()
    const restart = (env: Readonly<Record<string, string>>) =>
      open({ path, clock, timers: clock, env: { ...CONFIGURED, ...env } })
    const first = await restart({})
    const made = await first.operator.makes({ name: 'CI' })
    const [admin, alice, ci] = [first.browser, new Browser(first.gateway), new Browser(first.gateway)]
    for (const [browser, key] of [
      [admin, ADMIN_KEY],
      [alice, ALICE],
      [ci, made.key],
    ] as const)
      await browser.signsIn(key)
    const visitors = async (gateway: GatewayFixture) => {
      const found: string[] = []
      for (const { cookie } of [admin, alice, ci]) {
        const browser = new Browser(gateway)
        browser.cookie = cookie
        found.push((await browser.visitor()).viewer)
      }
      await gateway.close()
      return found
    }
    await first.gateway.close()
    expect(await visitors((await restart({})).gateway)).toEqual(['admin', 'key', 'key'])
    const changed = await restart({ ADMIN_KEY: `${ADMIN_KEY}-2` })
    const list = await changed.browser.asks('GET', '/admin/sessions', undefined, { 'x-api-key': `${ADMIN_KEY}-2` })
    expect(list.body.sessions).toMatchObject([{ key: expect.any(String) }, { key: expect.any(String) }])
    expect(await visitors(changed.gateway)).toEqual(['none', 'key', 'key'])
    expect(await visitors((await restart({})).gateway)).toEqual(['none', 'key', 'key'])
    const others = { BURSAR_KEYS: 'alice:another-secret-of-alice' }
    expect(await visitors((await restart(others)).gateway)).toEqual(['none', 'none', 'key'])
  })

  it('leaves no secret in the ledger, the audit or the log, in clear or as a digest of a secret that a person chose', async () => {
    const folder = temporaryFolder()
    const { browser, gateway, operator } = await open({ env: CONFIGURED, path: join(folder, 'ledger.db') })
    const { key } = await operator.makes({ name: 'CI' })
    const secrets = [ADMIN_KEY, ALICE, key, 'wrong-key-of-a-person', digest(ADMIN_KEY), digest(ALICE)]
    for (const right of [ADMIN_KEY, ALICE, key]) {
      const other = new Browser(gateway)
      await other.signsIn(right)
      secrets.push(other.cookie.split('=')[1] ?? '')
    }
    const answers: string[] = []
    for (let count = 0; count < 6; count++)
      answers.push((await browser.asks('POST', '/session', { key: 'wrong-key-of-a-person' })).text)
    const audit = JSON.stringify(await gateway.app.store.registry.audit({ limit: 100 }))
    await gateway.close()
    const written = [bytesIn(folder), audit, gateway.log.join(), answers.join()]
    expect(written[0]).toContain('session-secret')
    expect(gateway.log.join()).toContain('sign_ins_slowed')
    for (const secret of secrets) for (const text of written) expect(text).not.toContain(secret)
  })
})

describe('a page of another origin', () => {
  /** What a page elsewhere can have a browser send, and a program that knows nothing of origins. */
  const FOREIGN: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    [
      'a form',
      { 'sec-fetch-site': 'cross-site', 'content-type': 'application/x-www-form-urlencoded' },
      'sec-fetch-site',
    ],
    ['text', { 'sec-fetch-site': 'same-origin', 'content-type': 'text/plain' }, 'content-type'],
    ['a form of its own', { 'content-type': 'multipart/form-data; boundary=a' }, 'content-type'],
    ['JSON under another name', { 'content-type': 'application/json5' }, 'content-type'],
    ['a body of no type', { 'content-type': '', 'content-length': '2' }, 'content-type'],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 'sec-fetch-site'],
    ['another port of this host', { 'sec-fetch-site': 'same-site', origin: 'http://localhost:3000' }, 'sec-fetch-site'],
    ['the bar of addresses', { 'sec-fetch-site': 'none' }, 'sec-fetch-site'],
    ['a lie of two', { 'sec-fetch-site': 'same-origin, cross-site' }, 'sec-fetch-site'],
    ['another origin', { 'sec-fetch-site': '', origin: 'https://evil.example' }, 'origin'],
    ['another scheme', { 'sec-fetch-site': '', origin: 'https://localhost' }, 'origin'],
    ['another port', { 'sec-fetch-site': '', origin: 'http://localhost:3000' }, 'origin'],
    ['an origin that begins alike', { 'sec-fetch-site': '', origin: 'http://localhost.evil.example' }, 'origin'],
    ['a frame without an origin', { 'sec-fetch-site': '', origin: 'null' }, 'origin'],
    ['nobody says whom', { 'sec-fetch-site': '' }, 'origin'],
  ]
  const UNSAFE = ENDPOINTS.filter(({ method, role }) => method !== 'GET' && role !== 'caller')

  it('is among the rows', () => expect(UNSAFE.length).toBeGreaterThan(20))

  it('changes nothing by a session, at any endpoint', async () => {
    const { browser, gateway, operator } = await openSignedIn()
    await operator.makes({ name: 'CI', id: 'ci' })
    const { cookie } = browser
    const stateNow = async () => [
      await gateway.app.store.registry.audit({ limit: 100 }),
      await gateway.app.store.registry.read('session'),
      (await browser.visitor()).viewer,
    ]
    const before = await stateNow()
    for (const { method, path } of UNSAFE) {
      const asked = path.replace(/\{.*?\}/, '').replace(/:\w+/, 'ci')
      for (const [what, headers, param] of FOREIGN) {
        const { status, body, headers: answered } = await browser.asks(method, asked, '{}', headers)
        expect([method, path, what, status, body.error]).toEqual([
          ...[method, path, what, 403],
          { code: 'forbidden', message: expect.any(String), param },
        ])
        expect([...answered.keys()].filter((name) => /^access-control|^set-cookie/.test(name))).toEqual([])
        browser.cookie = cookie
      }
    }
    expect(await stateNow()).toEqual(before)
  })

  it('reads nothing by a session, unless the browser opens the answer as a page', async () => {
    const { browser } = await openSignedIn()
    const read = async (headers: Readonly<Record<string, string>>) => {
      const { status, headers: answered } = await browser.asks('GET', '/llm/stats', undefined, headers)
      expect(answered.get('access-control-allow-origin')).toBeNull()
      return status
    }
    for (const site of ['cross-site', 'same-site']) {
      expect(await read({ 'sec-fetch-site': site })).toBe(403)
      expect(await read({ 'sec-fetch-site': site, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' })).toBe(403)
      expect(await read({ 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' })).toBe(403)
      expect(await read({ 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' })).toBe(
        200,
      )
    }
    for (const site of ['same-origin', 'none', '']) expect(await read({ 'sec-fetch-site': site })).toBe(200)
    expect((await browser.asks('OPTIONS', '/admin/keys', undefined, { 'sec-fetch-site': 'cross-site' })).status).toBe(
      403,
    )
    expect((await browser.asks('HEAD', '/admin/keys', undefined, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
  })

  it('signs nobody in', async () => {
    const { browser } = await open()
    for (const [what, headers] of FOREIGN) {
      const { status, headers: answered } = await browser.asks('POST', '/session', { key: ADMIN_KEY }, headers)
      expect([what, status, answered.get('set-cookie')]).toEqual([what, 403, null])
    }
  })

  it.each([
    [{ 'sec-fetch-site': '', origin: 'http://localhost' }, ''],
    [{ 'sec-fetch-site': '', origin: 'http://127.0.0.1:5555', host: '127.0.0.1:5555' }, ''],
    [{ 'sec-fetch-site': '', origin: 'https://bursar.example', host: 'gateway:5555' }, 'https://bursar.example/below'],
    [{ 'sec-fetch-site': '', origin: 'http://localhost' }, 'https://bursar.example'],
    [{ 'content-type': 'application/json; charset=utf-8' }, ''],
    [{ 'content-type': 'Application/JSON' }, ''],
  ])('is not one of %j with PUBLIC_URL=%s', async (headers, PUBLIC_URL) => {
    const { browser } = await open({ env: { PUBLIC_URL } })
    expect((await browser.asks('POST', '/session', { key: ADMIN_KEY }, headers)).status).toBe(200)
    expect((await browser.asks('POST', '/admin/keys', { name: 'CI' }, headers)).status).toBe(201)
    expect((await browser.asks('DELETE', '/admin/keys/ci', undefined, { ...headers, 'content-type': '' })).status).toBe(
      200,
    )
  })

  it('does not matter to programs, which send a key', async () => {
    const { browser } = await openSignedIn()
    const headers = { 'sec-fetch-site': '', authorization: `Bearer ${ADMIN_KEY}` }
    expect((await browser.asks('POST', '/admin/keys', { name: 'CI' }, headers)).status).toBe(201)
  })
})

describe('wrong keys', () => {
  const asks = async (browser: Browser, key: string) => {
    const { status, body, headers } = await browser.asks('POST', '/session', { key })
    return [status, body.error?.code, body.error?.message, headers.get('retry-after')]
  }

  it('are counted down, and then make everyone at the address wait, also with the right key', async () => {
    const { browser, clock, gateway } = await open({ env: CONFIGURED })
    const next = () => asks(browser, 'wrong')
    for (const left of ['Four more tries', 'Three more tries', 'Two more tries', 'One more try'])
      expect(await next()).toEqual([
        ...[401, 'unauthenticated', `That key is not known. ${left}, then a wait of 30 s.`, null],
      ])
    expect(await next()).toEqual([401, 'unauthenticated', 'That key is not known. The next try is in 30 s.', null])
    const refusal = [429, 'too_many_attempts', 'Too many wrong keys were tried. The next try is in 30 s.', '30']
    expect(await next()).toEqual(refusal)
    expect(await asks(browser, ADMIN_KEY)).toEqual(refusal)
    clock.advance(29_001)
    expect(await asks(browser, ALICE)).toMatchObject([429, 'too_many_attempts', expect.any(String), '1'])
    clock.advance(999)
    expect(await next()).toEqual([401, 'unauthenticated', 'That key is not known. The next try is in 30 s.', null])
    clock.advance(30_000)
    await browser.signsIn(ADMIN_KEY)
    await browser.signsIn(ADMIN_KEY)
    expect(gateway.log.join()).toContain('sign_ins_slowed')
    clock.advance(150_000)
    expect(await next()).toMatchObject([401, expect.anything(), expect.stringContaining('Four more tries'), null])
  })

  it('are counted before they are looked at, so that many at a time are no more', async () => {
    const { gateway } = await open()
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => new Browser(gateway).asks('POST', '/session', { key: 'bsr_wrong' })),
    )
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 401)).toHaveLength(5)
    expect(statuses.filter((status) => status === 429)).toHaveLength(15)
  })

  it('are those of disabled, expired and replaced keys as well, whose holders learn why', async () => {
    const { browser, operator } = await open()
    const disabled = await operator.makes({ name: 'Disabled' })
    const expired = await operator.makes({ name: 'Expired', expires_at: '2026-01-01T00:00:00Z' })
    const replaced = await operator.makes({ name: 'Replaced' })
    await operator.disables('disabled')
    await operator.rotates('replaced')
    const messages: unknown[] = []
    for (const { key } of [disabled, expired, replaced]) messages.push((await asks(browser, key)).slice(0, 3))
    expect(messages).toEqual([
      [401, 'unauthenticated', 'This API key is disabled. Ask for another one. Four more tries, then a wait of 30 s.'],
      [
        ...[401, 'unauthenticated'],
        'This API key expired at 2026-01-01T00:00:00.000Z. Ask for another one. Three more tries, then a wait of 30 s.',
      ],
      [401, 'unauthenticated', 'That key is not known. Two more tries, then a wait of 30 s.'],
    ])
  })
})
