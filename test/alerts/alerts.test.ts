// Alerts of a whole gateway: what reaches receivers, how often, and what happens if they fail.

import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'
import { expect, it, onTestFinished } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { administer } from '../support/administrator.ts'
import { GatewayFixture, useGateway } from '../support/gateway.ts'
import { listen } from '../support/provider.ts'
import { waitFor } from '../support/waiting.ts'

const SECRET = `whsec_${Buffer.from('a secret of twenty-four b').toString('base64')}`
interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

async function openReceiver(status: () => number = () => 200) {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    received.push({ headers: request.headers, body })
    response.writeHead(status(), { location: 'http://127.0.0.1:1/' }).end('x'.repeat(100_000))
  })
  const url = await listen(server)
  onTestFinished(() => void server.close().closeAllConnections())
  return { url, received }
}

const config = (url: string, more: object = {}) => ({
  prices: [PRICE],
  alerts: [
    { name: 'ops', send: 'webhook', url: `${url}/in?token=t0p-s3cret`, secret: SECRET, allowPrivate: true, ...more },
  ],
})

it('a limit that is reached is sent once, signed, and not again after a restart', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bursar-alerts-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const { url, received } = await openReceiver()
  const options = { config: config(url), path: join(folder, 'ledger.db'), env: { DAILY_SPENDING_LIMIT: '0.001' } }
  const first = await GatewayFixture.open(options)
  for (let call = 0; call < 40; call++) await first.client.asks('openai', { cap: 10 })
  await waitFor(() => received.length > 0)
  await first.close()
  const sent = received.length
  for (const { headers, body } of received) {
    const message = new Webhook(SECRET).verify(body, headers as Record<string, string>)
    expect(message).toMatchObject({ type: 'limit.reached', data: { kind: 'limit', subject: 'global' } })
  }
  const second = await GatewayFixture.open(options)
  for (let call = 0; call < 5; call++) await second.client.asks('openai', { cap: 10 })
  await second.close()
  expect(received.length).toBe(sent)
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(sent)
})

it('a test says what the receiver answered, and nothing shows its address or secret', async () => {
  let status = 200
  const { url, received } = await openReceiver(() => status)
  const gateway = await useGateway({ config: config(url) })
  const test = async () =>
    (await administer(gateway, '/admin/alerts/test', { method: 'POST', body: { name: 'ops' } })).body
  expect(await test()).toMatchObject({ ok: true })
  status = 302
  expect(await test()).toMatchObject({ ok: false, message: expect.stringContaining('redirects are not followed') })
  status = 500
  expect(await test()).toMatchObject({ ok: false, message: expect.stringContaining('status 500') })
  expect(received).toHaveLength(3)
  for (const path of ['/admin/alerts', '/admin/config']) {
    const { text } = await administer(gateway, path)
    expect(text).toContain('"ops"')
    expect(text).not.toContain('t0p-s3cret')
    expect(text).not.toContain(SECRET)
  }
})

it.each([
  'https://127.0.0.1/',
  'https://2130706433/',
  'https://0x7f.1/',
  'https://[::1]/',
  'https://[::ffff:10.0.0.1]/',
  'https://localhost/',
  'https://169.254.169.254/',
  'https://[fd00::1]/',
  'https://a.internal/',
  'http://example.com/',
])('a receiver at %s is refused by HTTP', async (url) => {
  const gateway = await useGateway({ env: { BURSAR_SECRET: 'the-bursar-secret-of-tests' } })
  const { status, body } = await administer(gateway, '/admin/alerts/ops', {
    body: { send: 'webhook', url, secret: SECRET },
  })
  expect([status, body.error.param]).toEqual([400, 'url'])
})

it('a receiver that is set by HTTP is stored encrypted, and gone once it is removed', async () => {
  const { url, received } = await openReceiver()
  const gateway = await useGateway({
    env: { BURSAR_SECRET: 'the-bursar-secret-of-tests', ALERTS_ALLOW_PRIVATE: 'true' },
  })
  const put = await administer(gateway, '/admin/alerts/ops', {
    body: { send: 'slack', url: `${url}/T0/B0/hook-secret` },
  })
  expect([put.status, put.text.includes('hook-secret')]).toEqual([200, false])
  const other = await administer(gateway, '/admin/alerts/ops', { body: { name: 'other', send: 'slack', url } })
  expect([other.status, other.body.error.param]).toEqual([400, 'name'])
  const stored = JSON.stringify([
    await gateway.app.store.registry.read('alert'),
    await gateway.app.store.registry.read('alert-secret'),
  ])
  expect(stored).not.toContain('hook-secret')
  await administer(gateway, '/admin/alerts/test', { method: 'POST', body: { name: 'ops' } })
  expect(JSON.parse(received[0]?.body ?? '{}')).toMatchObject({
    text: expect.stringContaining('A test of alerts'),
    mrkdwn: false,
  })
  expect((await administer(gateway, '/admin/alerts/ops', { method: 'DELETE' })).status).toBe(200)
  expect(JSON.parse((await administer(gateway, '/admin/alerts')).text)).toEqual({ alerts: [] })
})

it('what waits for a receiver goes with its row of the file, and follows a changed address', async () => {
  let status = 500
  const { url, received } = await openReceiver(() => status)
  const other = await openReceiver()
  const gateway = await useGateway({ config: config(url), env: { DAILY_SPENDING_LIMIT: '0.001' } })
  const pending = async () =>
    (await gateway.app.store.alerts.deliveries()).find(({ receiver }) => receiver === 'ops')?.pending ?? 0
  const reload = (file: unknown) => gateway.app.reload(readFileConfig(JSON.stringify(file)))
  for (let call = 0; call < 40; call++) await gateway.client.asks('openai', { cap: 10 })
  await waitFor(() => received.length > 0)
  await waitFor(async () => (await pending()) > 0)
  await reload(config(other.url))
  expect(await pending()).toBeGreaterThan(0)
  await reload({ prices: [PRICE] })
  await waitFor(async () => (await pending()) === 0)
  status = 200
  await reload(config(other.url))
  expect(await pending()).toBe(0)
  expect(other.received).toHaveLength(0)
})

it('a receiver that hangs delays no other', async () => {
  const hanging = createServer((request) => void request.resume())
  const down = await listen(hanging)
  onTestFinished(() => void hanging.close().closeAllConnections())
  const { url, received } = await openReceiver()
  const rows = [...config(down, { name: 'down' }).alerts, ...config(url).alerts]
  const gateway = await useGateway({
    config: { prices: [PRICE], alerts: rows },
    env: { DAILY_SPENDING_LIMIT: '0.001' },
  })
  for (let call = 0; call < 40; call++) await gateway.client.asks('openai', { cap: 10 })
  await waitFor(() => received.length > 0)
  const states = await gateway.app.store.alerts.deliveries()
  expect(states.find(({ receiver }) => receiver === 'down')?.lastSentAtMs ?? null).toBeNull()
})
