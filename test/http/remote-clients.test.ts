// Remote clients: without keys, the gateway answers its own machine alone, whatever the `Host` header says.

import { createServer, type RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { describe, expect, it, onTestFinished } from 'vitest'
import { callListener } from '../../src/http/calls.ts'
import { gateMiddleware } from '../../src/http/middleware.ts'
import { requestFor, wholeAnswer } from '../call/dialect-fixtures.ts'
import { LIMITED_CONFIG } from '../call/settlement-checks.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import { listen } from '../support/provider.ts'

const { path: CHAT, body: BODY } = requestFor('openai', { cap: 50 })
const json = { 'content-type': 'application/json' }
const answer = () => new Response(wholeAnswer('openai', { input: 20, output: 10 }), { headers: json })

function gatedApp({ app: { app: own, gate } }: GatewayFixture): Hono {
  const app = new Hono()
  app.use('/v1/*', gateMiddleware(gate, {})).post(CHAT, answer).route('/', own)
  return app
}

const SERVERS: readonly (readonly [string, (gateway: GatewayFixture) => RequestListener])[] = [
  ['the server', ({ app }) => callListener(app.gate, getRequestListener(app.app.fetch))],
  ['the app by itself', ({ app }) => getRequestListener(app.app.fetch)],
  ['an app with gate()', (gateway) => getRequestListener(gatedApp(gateway).fetch)],
  [
    'an app that gets the request alone',
    (gateway) => {
      const app = gatedApp(gateway)
      return getRequestListener((request) => app.fetch(request))
    },
  ],
  [
    'an app that a handler hands requests to',
    ({ app }) => getRequestListener(new Hono().all('*', (c) => app.app.fetch(c.req.raw)).fetch),
  ],
]

/** The origin of a server whose clients seem to have this address. */
async function serveTo(remoteAddress: string, listener: RequestListener): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    Object.defineProperty(incoming.socket, 'remoteAddress', { value: remoteAddress, configurable: true })
    listener(incoming, outgoing)
  })
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return listen(server)
}

async function statusesAt(origin: string): Promise<number[]> {
  const post = { method: 'POST', body: BODY, headers: json }
  const requests: [string, RequestInit][] = [
    [CHAT, post],
    ['/v1/messages', { ...post, body: requestFor('anthropic', { cap: 50 }).body }],
    ['/llm/estimate', post],
    ['/llm/stats', {}],
    ['/v1/models', {}],
    ['/healthz', {}],
  ]
  return Promise.all(requests.map(async ([path, init]) => (await fetch(origin + path, init)).status))
}

describe.each(SERVERS)('%s, without keys', (_, listenerOf) => {
  it.each([
    ['127.0.0.1', 200],
    ['::ffff:127.0.0.1', 200],
    ['172.17.0.1', 403],
  ])('a client at %s gets %i', async (address, status) => {
    const gateway = await useGateway({ config: LIMITED_CONFIG, env: { ADMIN_KEY: '' } })
    const origin = await serveTo(address, listenerOf(gateway))
    expect(await statusesAt(origin)).toEqual([status, status, status, status, status, 200])
    if (status === 403) expect(await gateway.ledger.entries()).toEqual([])
  })

  it.each([
    ['AUTH=off', { AUTH: 'off' }, {}],
    ['a key', { BURSAR_KEYS: 'alice:alice-secret-alice' }, { authorization: 'Bearer alice-secret-alice' }],
  ])('and a client elsewhere gets 200 with %s', async (_name, env, headers) => {
    const gateway = await useGateway({ config: LIMITED_CONFIG, env })
    const origin = await serveTo('172.17.0.1', listenerOf(gateway))
    expect((await fetch(origin + CHAT, { method: 'POST', body: BODY, headers: { ...json, ...headers } })).status).toBe(
      200,
    )
  })
})
