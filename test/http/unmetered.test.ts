// gate() and requests that nothing meters: refused, unless they only read, or their path is listed.

import { createServer, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type GateOptions, gateMiddleware } from '../../src/http/middleware.ts'
import { requestFor } from '../call/dialect-fixtures.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import { listen } from '../support/provider.ts'

const json = { 'content-type': 'application/json' }

/** A gateway whose budget is used up, so that whatever is metered is refused with 429. */
const openSpent = () => useGateway({ env: { DAILY_SPENDING_LIMIT: '0' } })

/** A proxy for every path, behind the gate. */
function proxyBehindGate(gateway: GatewayFixture, options: GateOptions = {}): Hono {
  const app = new Hono()
  app.use('*', gateMiddleware(gateway.app.gate, options)).all('*', (c) => c.text('proxied'))
  return app
}

/** Sends a request with exactly this path, which `fetch` would tidy up. Resolves to its status and body. */
async function sendTo(app: Hono, method: string, path: string, headers = {}): Promise<readonly [number, string]> {
  const server = createServer(getRequestListener(app.fetch))
  onTestFinished(() => void server.close())
  const { port } = new URL(await listen(server))
  const { body } = requestFor('openai')
  const hasBody = !['GET', 'HEAD', 'OPTIONS'].includes(method)
  const sent = request({ port, host: '127.0.0.1', method, path, headers: { ...json, ...headers }, agent: false })
  sent.setHeader('content-length', hasBody ? body.length : 0)
  sent.end(hasBody ? body : undefined)
  const answer = await new Promise<import('node:http').IncomingMessage>((resolve, reject) =>
    sent.on('response', resolve).on('error', reject),
  )
  return [answer.statusCode ?? 0, await text(answer)]
}

describe('gate() with a budget that is used up', () => {
  it.each([
    ['PUT', '/v1/chat/completions'],
    ['PATCH', '/v1/chat/completions'],
    ['QUERY', '/v1/chat/completions'],
    ['DELETE', '/v1/files/file-1'],
    ['POST', '/v1/Chat/Completions'],
    ['POST', '/v1/chat/completions/'],
    ['POST', '/v1/chat/complet%69ons'],
    ['POST', '/v1/chat%2Fcompletions'],
    ['POST', '/v1/chat/completions%20'],
    ['POST', '/v1/chat/completions;x=1'],
    ['POST', '/v1/images/generations'],
    ['POST', '/v1/audio/speech'],
    ['POST', '/v1/batches'],
    ['POST', '/v1/files'],
    ['POST', '/v1/realtime/sessions'],
    ['POST', '/v1/responses/compact'],
    ['POST', '/v1beta/models/imagen:predict'],
    ['POST', '/v1beta/models/m:GenerateContent'],
    ['POST', '/v1beta/models/m:generate%43ontent'],
    ['POST', '/'],
  ])('refuses %s %s', async (method, path) => {
    const gateway = await openSpent()
    const [status, body] = await sendTo(proxyBehindGate(gateway), method, path)
    expect(status).toBe(403)
    expect(JSON.parse(body).error.message).toContain(`${method} ${path} is not metered`)
    expect(JSON.parse(body).error.message).toContain("gate({ unmetered: ['/v1/images/*'] })")
    expect(gateway.log.some((line) => line.includes('forbidden'))).toBe(true)
  })

  it('refuses in the shape of the dialect', async () => {
    const app = proxyBehindGate(await openSpent())
    const errors = ['/v1/messages/batches', '/v1beta/models/m:predict', '/v1/images/edits'].map(async (path) => {
      const answer = await app.request(path, { method: 'POST', body: '{}', headers: json })
      return (await answer.json()).error
    })
    expect(await Promise.all(errors)).toMatchObject([
      { type: 'permission_error' },
      { code: 403, status: 'PERMISSION_DENIED' },
      { type: 'invalid_request_error', code: 'forbidden' },
    ])
  })

  it.each(['/v1/chat/completions', '/v1//chat/completions', '/any/prefix/v1/chat/completions?x=1'])(
    'meters POST %s',
    async (path) => {
      const [status] = await sendTo(proxyBehindGate(await openSpent()), 'POST', path)
      expect(status).toBe(429)
    },
  )

  it.each([
    ['GET', '/v1/models'],
    ['GET', '/v1/files/file-1/content'],
    ['HEAD', '/'],
    ['OPTIONS', '/v1/chat/completions'],
  ])('lets %s %s pass, which reads', async (method, path) => {
    const [status] = await sendTo(proxyBehindGate(await openSpent()), method, path)
    expect(status).toBe(200)
  })

  it.each([
    ['a websocket', { connection: 'upgrade', upgrade: 'websocket' }],
    ['another method in a header', { 'x-http-method-override': 'POST' }],
  ])('refuses a GET request that is %s', async (_, headers) => {
    const [status] = await sendTo(proxyBehindGate(await openSpent()), 'GET', '/v1/realtime', headers)
    expect(status).toBe(403)
  })

  it('meters every POST request, and no other, if it is told the dialect', async () => {
    const app = proxyBehindGate(await openSpent(), { dialect: 'openai.chat' })
    const { body } = requestFor('openai')
    const statuses = ['POST', 'PUT'].map(
      async (method) => (await app.request('/ask', { method, body, headers: json })).status,
    )
    expect(await Promise.all(statuses)).toEqual([429, 403])
  })
})

describe('gate({ unmetered })', () => {
  it.each([
    ['/v1/images/*', '/v1/images/generations', 200],
    ['/v1/images/*', '/v1/images/a/b', 200],
    ['/v1/images/*', '/v1/images', 403],
    ['/v1/images/*', '/v1/imagesX', 403],
    ['/v1/images/*', '/V1/images/edits', 403],
    ['/v1/images/*', '/proxy/v1/images/edits', 403],
    ['/v1/images/*', '/v1/images/../audio/speech', 403],
    ['/v1/images/*', '/v1/images/..%2faudio/speech', 403],
    ['/v1/images/*', '/v1/images/%2e%2e/audio/speech', 403],
    ['/v1/images/*', '/v1/images/x%5c..%5caudio', 403],
    ['/v1/files', '/v1/files', 200],
    ['/v1/files', '/v1/files/', 403],
    ['/v1/files', '/v1/files/file-1', 403],
    ['/v1/*/speech', '/v1/audio/speech', 200],
    ['/v1/*/speech', '/v1/audio/x/speech', 403],
    ['/v1/a.b', '/v1/axb', 403],
    ['/v1/*', '/v1/chat/completions', 429],
    ['/v1/*', '/v1/Chat/Completions', 403],
    ['/v1/*', '/v1/chat/completions/', 403],
    ['/v1/*', '/v1/chat//completions/', 403],
    ['/v1/*', '/v1/complet%69ons', 403],
    ['/v1/*', '/v1/responses%20', 403],
    ['/v1/*', '/v1/embeddings;x=1', 403],
    ['/v1/*', '/v1/messages;x=1/count_tokens', 403],
    ['/v1beta/*', '/v1beta/models/m:GENERATECONTENT', 403],
    ['/v1beta/*', '/v1beta/models/m:predict', 200],
    ['/v1/*', '/v1/responses/resp_1/cancel', 200],
    ['/*', '/', 200],
  ])('%s: POST %s is a %i', async (pattern, path, expected) => {
    const [status] = await sendTo(proxyBehindGate(await openSpent(), { unmetered: [pattern] }), 'POST', path)
    expect(status).toBe(expected)
  })

  it('refuses other methods at the paths of calls', async () => {
    const app = proxyBehindGate(await openSpent(), { unmetered: ['/v1/*'] })
    expect((await sendTo(app, 'PUT', '/v1/chat/completions'))[0]).toBe(403)
    expect((await sendTo(app, 'PUT', '/v1/images'))[0]).toBe(200)
  })

  it('refuses unknown dialects and options when the gate is made', async () => {
    const { app } = await openSpent()
    const make = (options: object) => () => gateMiddleware(app.gate, options as GateOptions)
    expect(make({ dialect: 'openai' })).toThrow('gate(): there is no dialect openai, but one such as openai.chat.')
    expect(make({ unmetred: [] })).toThrow('gate(): there is no option unmetred. The options are dialect or unmetered.')
    expect(make({ dialect: undefined, unmetered: undefined })).not.toThrow()
  })

  it('refuses text in place of a list when the gate is made', async () => {
    const { app } = await openSpent()
    const unmetered = '/v1/images/*' as unknown as string[]
    expect(() => gateMiddleware(app.gate, { unmetered })).toThrow('gate(): unmetered must list paths such as')
  })

  it.each(['v1/images', '', '*'])('refuses the pattern %j when the gate is made', async (pattern) => {
    const { app } = await openSpent()
    expect(() => gateMiddleware(app.gate, { unmetered: [pattern] })).toThrow(
      `gate(): unmetered must list paths such as '/v1/images/*', and not ${JSON.stringify(pattern)}.`,
    )
  })
})
