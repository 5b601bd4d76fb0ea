// gate() in front of a user's own handler: the same flow, with the handler in the provider's place.

import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { HTTPException } from 'hono/http-exception'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type GateVariables, gateMiddleware } from '../../src/http/middleware.ts'
import {
  costOfUsage,
  DIALECT_NAMES,
  eventsOf,
  type RequestOptions,
  requestFor,
  wholeAnswer,
} from '../call/dialect-fixtures.ts'
import { expectSettled, LIMITED_CONFIG, readSettled } from '../call/settlement-checks.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import { withTimeout } from '../support/waiting.ts'

type Env = { Variables: GateVariables }

/** A gateway whose provider receives nothing: the user's handler answers in its place. */
async function open(env: Readonly<Record<string, string>> = {}): Promise<GatewayFixture> {
  const gateway = await useGateway({ config: LIMITED_CONFIG, env })
  onTestFinished(() => expect(gateway.provider.received).toHaveLength(0))
  return gateway
}

/** The user's app, with the handler behind the gate. */
function appBehindGate(gateway: GatewayFixture, handler: (app: Hono<Env>) => void): Hono<Env> {
  const app = new Hono<Env>()
  app.use(gateMiddleware(gateway.app.gate, {}))
  handler(app)
  return app
}

function sendRequest(app: Hono<Env>, wanted: RequestOptions = {}, init: RequestInit = {}): Promise<Response> {
  const { path, body } = requestFor('openai', { cap: 50, ...wanted })
  const headers = { 'content-type': 'application/json' }
  return Promise.resolve(app.request(path, { method: 'POST', body, headers, ...init }))
}

const USAGE = { input: 21, output: 9 }
const EXACT = { ending: 'completed', certainty: 'exact', cost: costOfUsage(USAGE), tokens: 30 }
const WHOLE = { certainty: 'upperBound', cost: 'whole' } as const
const json = { 'content-type': 'application/json' }

describe('gate() in front of a handler', () => {
  it.each(DIALECT_NAMES)('%s: meters the usage in the answer', async (dialect) => {
    const gateway = await open()
    const app = appBehindGate(gateway, (app) =>
      app.post('*', (c) => c.body(wholeAnswer(dialect, USAGE), 200, { ...json, 'x-mine': 'kept' })),
    )
    const { path, body } = requestFor(dialect, { cap: 50 })
    const answer = await app.request(path, { method: 'POST', body, headers: json })
    expect([answer.status, await answer.text()]).toEqual([200, wholeAnswer(dialect, USAGE)])
    expect(answer.headers.get('x-mine')).toBe('kept')
    expect(answer.headers.get('x-bursar-cost-usd')).toBe('0.000039')
    await expectSettled(gateway, EXACT)
  })

  it('keeps who may read the answers in a browser, as the app says', async () => {
    const gateway = await open({ BURSAR_KEYS: 'alice:alice-secret-alice' })
    const app = new Hono<Env>()
    app.use(cors({ origin: 'https://app.example' }))
    app.use(gateMiddleware(gateway.app.gate, {}))
    app.post('*', (c) => c.body(wholeAnswer('openai', USAGE), 200, { ...json, 'access-control-max-age': '7' }))
    const headers = { ...json, origin: 'https://app.example', 'x-bursar-key': 'alice-secret-alice' }
    const answer = await sendRequest(app, {}, { headers })
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example')
    expect(answer.headers.get('access-control-max-age')).toBe('7')
  })

  it('meters a stream at the end of its body, not when its headers are ready', async () => {
    const gateway = await open()
    let openCalls = -1
    const events = eventsOf('openai', USAGE)
    const app = appBehindGate(gateway, (app) =>
      app.post('*', () => {
        const body = new ReadableStream({
          async pull(sink) {
            const event = events.shift()
            if (events.length === 2) openCalls = (await gateway.app.store.figures({ simulated: false })).open.calls
            if (event === undefined) sink.close()
            else sink.enqueue(new TextEncoder().encode(event))
          },
        })
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
      }),
    )
    const sent = events.toSpliced(-2, 1).join('')
    expect(await (await sendRequest(app, { stream: true })).text()).toBe(sent)
    expect(openCalls).toBe(1)
    await expectSettled(gateway, EXACT)
  })

  it('gives the handler the edited request, and lets requests that are not calls pass', async () => {
    const gateway = await open()
    let read: unknown
    const app = appBehindGate(gateway, (app) => {
      app.post('/v1/*', async (c) => {
        read = await c.req.json()
        return c.body(wholeAnswer('openai', USAGE), 200, json)
      })
      app.get('/hello', (c) => c.text('hello'))
    })
    await (await sendRequest(app, { stream: true })).text()
    expect(read).toMatchObject({ model: 'm', stream_options: { include_usage: true } })
    expect(await (await app.request('/hello')).text()).toBe('hello')
    expect(await gateway.ledger.holds(1)).toHaveLength(1)
  })

  it('settles the usage that the handler reports, if the answer carries none', async () => {
    const gateway = await open()
    const app = appBehindGate(gateway, (app) =>
      app.post('*', (c) => {
        c.var.bursar.settle({ inputTokens: 21, outputTokens: 9, model: 'm' })
        return c.json({ answer: 'hi' })
      }),
    )
    const answer = await sendRequest(app)
    expect(await answer.json()).toEqual({ answer: 'hi' })
    await expectSettled(gateway, EXACT)
  })

  it("the answer's own figures win over the handler's", async () => {
    const gateway = await open()
    const app = appBehindGate(gateway, (app) =>
      app.post('*', (c) => {
        c.var.bursar.settle({ inputTokens: 1, outputTokens: 1 })
        return c.body(wholeAnswer('openai', USAGE), 200, json)
      }),
    )
    await sendRequest(app)
    await expectSettled(gateway, EXACT)
  })

  it.each([
    ['throws an error', () => Promise.reject(new Error('a bug')), 500],
    ['throws an HTTP exception', () => Promise.reject(new HTTPException(502, { message: 'no' })), 502],
    ['throws an HTTP exception that looks free', () => Promise.reject(new HTTPException(429, { message: 'no' })), 429],
    ['answers 500', () => new Response('no', { status: 500 }), 500],
    ['answers 503', () => new Response('no', { status: 503 }), 503],
    ['leaves usage out', () => Response.json({ answer: 'hi' }), 200],
  ])('a handler that %s costs the whole reservation', async (_, handler, status) => {
    const gateway = await open()
    const app = appBehindGate(gateway, (app) => app.post('*', async () => handler()))
    app.onError((error) =>
      error instanceof HTTPException ? error.getResponse() : new Response('sorry', { status: 500 }),
    )
    expect((await sendRequest(app)).status).toBe(status)
    await expectSettled(gateway, WHOLE)
  })

  it('a handler that turns the caller away itself costs the request only', async () => {
    const gateway = await open()
    const app = appBehindGate(gateway, (app) => app.post('*', (c) => c.json({ error: 'who are you?' }, 401)))
    expect((await sendRequest(app)).status).toBe(401)
    await expectSettled(gateway, { ending: 'failed', certainty: 'exact', cost: 0n, tokens: 0 })
  })

  it('a stream that fails half way says so, and costs the whole reservation', async () => {
    const gateway = await open()
    const events = eventsOf('openai', USAGE)
    const app = appBehindGate(gateway, (app) =>
      app.post('*', () => {
        const body = new ReadableStream({
          pull: (sink) =>
            events.length > 4 ? sink.enqueue(new TextEncoder().encode(events.shift())) : sink.error(new Error('a bug')),
        })
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
      }),
    )
    expect(await (await sendRequest(app, { stream: true })).text()).toMatch(
      /"error":\{"message":"The provider openai broke off its answer/,
    )
    await expectSettled(gateway, WHOLE)
  })

  it('a handler that hangs is aborted at the deadline', async () => {
    const gateway = await open({ UPSTREAM_TIMEOUT_MS: '100' })
    let aborted = false
    const app = appBehindGate(gateway, (app) =>
      app.post('*', (c) => {
        c.req.raw.signal.addEventListener('abort', () => (aborted = true))
        return new Promise<Response>(() => {})
      }),
    )
    expect((await withTimeout(2_000, sendRequest(app))).status).toBe(504)
    expect(aborted).toBe(true)
    await expectSettled(gateway, WHOLE)
  })

  it('a client that leaves a stream fires two events, and is settled once', async () => {
    const gateway = await open({ ON_DISCONNECT: 'charge' })
    const app = appBehindGate(gateway, (app) =>
      app.post('*', () => {
        const body = new ReadableStream({
          pull: (sink) => sink.enqueue(new TextEncoder().encode(eventsOf('openai', USAGE)[0])),
        })
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
      }),
    )
    const leaving = new AbortController()
    const answer = await sendRequest(app, { stream: true }, { signal: leaving.signal })
    const reader = answer.body?.getReader()
    await reader?.read()
    leaving.abort()
    await reader?.cancel().catch(() => {})
    await expectSettled(gateway, { ...WHOLE, ending: 'canceled' })
    expect((await gateway.app.store.figures({ simulated: false })).lateSettlements).toBe(0)
  })

  it('shows the calls it metered even if no provider has a key', async () => {
    const gateway = await open({
      OPENAI_API_KEY: '',
      ANTHROPIC_API_KEY: '',
      GEMINI_API_KEY: '',
    })
    const app = appBehindGate(gateway, (app) => app.post('*', (c) => c.body(wholeAnswer('openai', USAGE), 200, json)))
    expect((await sendRequest(app)).status).toBe(200)
    await expectSettled(gateway, EXACT)
  })

  it('does not run the handler of a call that is refused', async () => {
    const gateway = await open({
      MAX_COST_PER_REQUEST: '0.000000001',
    })
    let ran = 0
    const app = appBehindGate(gateway, (app) => app.post('*', (c) => c.json({ ran: ++ran })))
    const before = await readSettled(gateway)
    const answer = await sendRequest(app)
    expect([answer.status, ran]).toEqual([429, 0])
    expect(await readSettled(gateway)).toEqual(before)
  })
})
