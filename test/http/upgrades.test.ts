// Upgrades and probes: requests that are no calls and that agents make before their first call.

import { once } from 'node:events'
import { type IncomingHttpHeaders, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { TRANSPORTS } from '../support/client-and-ledger.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** `fetch` may not ask for an upgrade. */
async function askToUpgrade(gateway: GatewayFixture, path: string, upgrade: string): Promise<Answer> {
  const headers = {
    connection: 'Upgrade',
    upgrade,
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  const asked = request(gateway.url + path, { headers }).end()
  const [response] = await once(asked, 'response')
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

describe('a request for a WebSocket', () => {
  test.each(['/v1/responses', '/v1/realtime', '/v1/responses/resp_1', '/', '/llm/stats'])(
    'at %s is a 426 in the form of OpenAI, at which Codex goes on over HTTP',
    async (path) => {
      const { status, headers, body } = await askToUpgrade(await useGateway(), path, 'websocket')
      expect([status, headers.upgrade, headers['x-should-retry']]).toEqual([426, 'HTTP/1.1', 'false'])
      expect(JSON.parse(body).error).toMatchObject({
        code: 'upgrade_required',
        type: 'invalid_request_error',
        message: expect.stringMatching(/no WebSockets here.*POST/),
      })
    },
  )

  test('is answered in the form of the dialect that is nearest', async () => {
    const gateway = await useGateway()
    expect(JSON.parse((await askToUpgrade(gateway, '/v1/messages', 'WebSocket')).body)).toMatchObject({ type: 'error' })
    const gemini = await askToUpgrade(gateway, '/v1beta/models/m:streamGenerateContent', 'websocket')
    expect(JSON.parse(gemini.body).error).toMatchObject({ code: 426, status: expect.any(String) })
  })

  test('is no request for another protocol, which is ignored', async () => {
    const gateway = await useGateway()
    expect((await askToUpgrade(gateway, '/healthz', 'h2c')).status).toBe(200)
    expect((await askToUpgrade(gateway, '/v1/responses', 'h2c')).status).toBe(404)
  })

  test('reserves nothing, and the next call on a connection passes', async () => {
    const gateway = await useGateway()
    await askToUpgrade(gateway, '/v1/responses', 'websocket')
    expect((await gateway.client.asks('openai', {}, {}, 'over sockets')).status).toBe(200)
    expect(await gateway.ledger.holds(1)).toHaveLength(1)
  })

  test('is a 426 in process, too, at the paths of calls', async () => {
    const gateway = await useGateway()
    const headers = { upgrade: 'websocket' }
    for (const path of ['/v1/responses', '/v1/chat/completions', '/v1/messages'])
      expect((await gateway.client.fetch('in process', path, { headers })).status).toBe(426)
  })
})

describe.each(TRANSPORTS)('%s,', (transport) => {
  test('the probe of Claude Code is answered, and has no body', async () => {
    const gateway = await useGateway({ env: { BURSAR_KEYS: 'alice:secret-of-alice-000' } })
    const answer = await gateway.client.fetch(transport, '/api/hello', { method: 'HEAD' })
    expect([answer.status, await answer.text()]).toEqual([200, ''])
    expect((await gateway.client.fetch(transport, '/api/hello')).status).toBe(404)
  })

  test.each([
    ['/v1/responses', 'anthropic/claude-sonnet-5-5', '/v1/chat/completions, by translation'],
    ['/v1/completions', 'gemini/gemini-3.5-flash-lite', '/v1/chat/completions, by translation'],
    ['/v1/responses', 'groq/llama-3.3-70b-versatile', '/v1/chat/completions'],
  ])('the 404 of %s for %s names the path that works, and that path works', async (path, model, elsewhere) => {
    const gateway = await useGateway({
      config: {
        prices: [{ provider: '*', model: model.split('/')[1], input: '1', output: '2' }],
        providers: { groq: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'k', dialects: ['openai.chat'] } },
      },
    })
    const ask = (at: string, body: object) => {
      const headers = { 'content-type': 'application/json' }
      return gateway.client.fetch(transport, at, { method: 'POST', headers, body: JSON.stringify({ model, ...body }) })
    }
    const refused = await ask(path, { input: 'hi', prompt: 'hi', max_tokens: 5 })
    expect(refused.status).toBe(404)
    const { message } = ((await refused.json()) as { error: { message: string } }).error
    expect(message).toContain(`does not answer ${path}. Its models answer at ${elsewhere}.`)
    expect(message).not.toMatch(/openai\.|anthropic\.|gemini\./)
    const answer = await ask('/v1/chat/completions', { messages: [{ role: 'user', content: 'hi' }], max_tokens: 5 })
    expect([200, 502]).toContain(answer.status)
  })

  test.each([
    ['/v1/embeddings', 'anthropic/claude-sonnet-5-5', { input: 'hi' }, '/v1/messages, /v1/messages/count_tokens'],
    ['/v1/messages/count_tokens', 'openai/gpt-4o', { messages: [] }, '/v1/chat/completions'],
  ])('the 404 of %s for %s names the paths of the provider', async (path, model, body, own) => {
    const gateway = await useGateway()
    const headers = { 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: JSON.stringify({ model, ...body }) }
    const answer = await gateway.client.fetch(transport, path, init)
    expect(answer.status).toBe(404)
    const text = await answer.text()
    expect(text).toContain(`The provider's own paths are ${own}`)
    expect(text).not.toContain('Its models answer at')
  })
})
