// gate() and the gateway's own app in one Hono app: a call is gated and charged once, whoever has read its body before.

import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { cors } from 'hono/cors'
import { validator } from 'hono/validator'
import { describe, expect, it, onTestFinished } from 'vitest'
import { gateMiddleware } from '../../src/http/middleware.ts'
import { DIALECT_NAMES, requestFor, wholeAnswer } from '../call/dialect-fixtures.ts'
import { LIMITED_CONFIG } from '../call/settlement-checks.ts'
import { type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import { listen } from '../support/provider.ts'
import { withTimeout } from '../support/waiting.ts'

type Fetch = (path: string, init: RequestInit) => Promise<Response>

const open = (options: GatewayFixtureOptions = {}) => useGateway({ config: LIMITED_CONFIG, ...options })
const json = { 'content-type': 'application/json' }

/** The app in memory, and over a socket. */
async function transportsOf(
  app: Pick<Hono, 'fetch' | 'request'>,
): Promise<readonly [readonly [string, Fetch], readonly [string, Fetch]]> {
  const server = createServer(getRequestListener(app.fetch))
  onTestFinished(() => void server.close())
  const url = await listen(server)
  return [
    ['in memory', (path, init) => Promise.resolve(app.request(path, init))],
    ['over a socket', (path, init) => fetch(url + path, init)],
  ]
}

/** Sends one call over each transport, and returns the statuses of the answers. */
async function statusesOf(app: Hono, path: string, body: string, init: RequestInit = {}): Promise<number[]> {
  const statuses: number[] = []
  for (const [, send] of await transportsOf(app)) {
    const answer = await withTimeout(5_000, send(path, { method: 'POST', body, headers: json, ...init }))
    await answer.text()
    statuses.push(answer.status)
  }
  return statuses
}

/** How every call in the ledger ended, and how many requests the limits have counted. */
async function bookedBy(gateway: GatewayFixture): Promise<unknown> {
  const entries = await gateway.ledger.entries()
  const levels = await gateway.ledger.levels()
  return {
    endings: entries.map(({ outcome }) => `${outcome?.ending}, ${outcome?.certainty}`),
    requests: levels.find(({ limit }) => limit === 'requests_per_day')?.settled,
    reserved: levels.filter(({ reserved }) => reserved > 0),
  }
}

const COMPLETED = 'completed, exact'
const ONE_CALL_EACH = { endings: [COMPLETED, COMPLETED], requests: 2, reserved: [] }

type Arrangement = (app: Hono, gateway: GatewayFixture, gate: MiddlewareHandler) => unknown

const ARRANGEMENTS: readonly (readonly [string, Arrangement])[] = [
  ['app.route', (app, { app: { app: own } }, gate) => app.use('/v1/*', gate).use('/v1beta/*', gate).route('/', own)],
  ['app.route twice', (app, { app: { app: own } }, gate) => app.use(gate).route('/', own).route('/', own)],
  ['app.mount', (app, { app: { app: own } }, gate) => app.use(gate).mount('/', own.fetch)],
  ['the same gate twice', (app, { app: { app: own } }, gate) => app.use(gate).use('/v1/*', gate).route('/', own)],
  [
    'another gate of the same gateway',
    (app, { app: { app: own, gate } }, first) => app.use(first).use(gateMiddleware(gate, {})).route('/', own),
  ],
  [
    'middleware between',
    (app, { app: { app: own } }, gate) =>
      app
        .use(gate)
        .use((_c, next) => next())
        .route('/', own),
  ],
  [
    'middleware between two gates',
    (app, { app: { app: own } }, gate) => app.use(gate).use(cors()).use(gate).route('/', own),
  ],
  [
    'middleware between that reads the body',
    (app, { app: { app: own } }, gate) =>
      app
        .use(gate)
        .use(async (c, next) => {
          await c.req.json()
          await next()
        })
        .route('/', own),
  ],
  [
    'middleware between that reads the body past Hono',
    (app, { app: { app: own } }, gate) =>
      app
        .use(gate)
        .use(async (c, next) => {
          await c.req.raw.text()
          await next()
        })
        .route('/', own),
  ],
  [
    'an error handler of its own',
    (app, { app: { app: own } }, gate) => {
      const inner = new Hono().use(gate).route('/', own)
      inner.onError((_error, c) => c.text('sorry', 500))
      app.route('/', inner)
    },
  ],
  [
    'a handler that hands the request on',
    (app, { app: { app: own } }, gate) => app.use(gate).all('*', (c) => own.fetch(c.req.raw, c.env)),
  ],
  [
    'a handler that hands the body on',
    (app, { app: { app: own } }, gate) =>
      app.use(gate).all('*', async (c) => {
        const { pathname } = new URL(c.req.url)
        return own.request(pathname, { method: 'POST', body: await c.req.text(), headers: json })
      }),
  ],
  [
    'a gate in the mounted app, too',
    (app, { app: { app: own } }, gate) => app.use(gate).mount('/', new Hono().use(gate).route('/', own).fetch),
  ],
]

describe.each(ARRANGEMENTS)('gate() in front of the gateway itself, by %s', (_, arrange) => {
  it.each(DIALECT_NAMES)('%s: one call is sent, and charged once', async (dialect) => {
    const gateway = await open()
    const app = new Hono()
    arrange(app, gateway, gateMiddleware(gateway.app.gate, {}))
    const { path, body } = requestFor(dialect, { cap: 50 })
    expect(await statusesOf(app, path, body)).toEqual([200, 200])
    expect(gateway.provider.received.map((request) => JSON.parse(request.body.toString()))).toEqual([
      JSON.parse(body),
      JSON.parse(body),
    ])
    expect(await bookedBy(gateway)).toEqual(ONE_CALL_EACH)
  })
})

describe('gate() in front of the gateway itself', () => {
  const between = (gateway: GatewayFixture, middleware: MiddlewareHandler = (_c, next) => next()) => {
    const app = new Hono()
    app.use(gateMiddleware(gateway.app.gate, {})).use(middleware).route('/', gateway.app.app)
    return app
  }

  it('answers below a prefix', async () => {
    const gateway = await open()
    const { path, body } = requestFor('openai', { cap: 50 })
    const app = new Hono()
    app.use('/api/*', gateMiddleware(gateway.app.gate, {}))
    app.route('/api', gateway.app.app)
    expect(await statusesOf(app, `/api${path}`, body)).toEqual([200, 200])
    expect(await bookedBy(gateway)).toEqual(ONE_CALL_EACH)
    const list = await app.request('/api/v1/models', { headers: { authorization: 'Bearer the-admin-key-of-tests' } })
    expect(await list.json()).toMatchObject({ object: 'list' })
  })

  it('answers below a prefix with a parameter', async () => {
    const gateway = await open()
    const { path, body } = requestFor('openai', { cap: 50 })
    const app = new Hono()
    app.use('/:tenant/v1/*', gateMiddleware(gateway.app.gate, {}))
    app.route('/:tenant', gateway.app.app)
    expect(await statusesOf(app, `/acme${path}`, body)).toEqual([200, 200])
    expect(await bookedBy(gateway)).toEqual(ONE_CALL_EACH)
  })

  it('lets the endpoints that are no calls pass', async () => {
    const { app } = await open()
    const hono = new Hono().use(gateMiddleware(app.gate, {})).route('/', app.app)
    const { body } = requestFor('openai')
    const estimate = await hono.request('/llm/estimate', { method: 'POST', body, headers: json })
    expect([estimate.status, await estimate.json()]).toMatchObject([200, { fits: true }])
  })

  it('translates for a target of another dialect', async () => {
    const gateway = await open()
    const { path, body } = requestFor('anthropic', { model: 'openai/m', cap: 50 })
    const app = new Hono().use(gateMiddleware(gateway.app.gate, {})).route('/', gateway.app.app)
    const answer = await app.request(path, { method: 'POST', body, headers: json })
    expect(await answer.json()).toMatchObject({ type: 'message', content: [{ text: 'hi' }] })
    expect(gateway.provider.received).toMatchObject([{ dialect: 'openai' }])
  })

  it('lets middleware between change the answer', async () => {
    const gateway = await open()
    const app = between(gateway, async (c, next) => {
      await next()
      c.header('x-between', 'kept')
    })
    const { path, body } = requestFor('openai', { cap: 50 })
    const answer = await app.request(path, { method: 'POST', body, headers: json })
    expect(await answer.text()).toBe(wholeAnswer('openai', { input: 20, output: 10 }))
    expect(answer.headers.get('x-between')).toBe('kept')
    expect(answer.headers.get('x-bursar-cost-usd')).toBe('0.00004')
  })

  it('sends the body that middleware between has changed', async () => {
    const gateway = await open()
    const { path, body } = requestFor('openai', { cap: 50 })
    const { body: changed } = requestFor('openai', { cap: 7 })
    const app = between(gateway, async (c, next) => {
      c.req.raw = new Request(c.req.url, { method: 'POST', headers: json, body: changed })
      await next()
    })
    expect(await statusesOf(app, path, body)).toEqual([200, 200])
    expect(gateway.provider.received.map((request) => request.body.toString())).toEqual([changed, changed])
    expect(await bookedBy(gateway)).toEqual(ONE_CALL_EACH)
  })

  it('a call that no target can take is answered at once, and free', async () => {
    const gateway = await open({ env: { OPENAI_API_KEY: '' } })
    const { path, body } = requestFor('openai', { model: 'openai/m', cap: 50 })
    expect(await statusesOf(between(gateway), path, body)).toEqual([503, 503])
    const free = 'failed, exact'
    expect(await bookedBy(gateway)).toEqual({ endings: [free, free], requests: 2, reserved: [] })
    const [entry] = await gateway.ledger.entries()
    expect(entry?.outcome?.cost.totalNanoUsd).toBe(0n)
  })

  it('falls back to the next target of an alias', async () => {
    const config = { ...LIMITED_CONFIG, aliases: { either: { targets: ['openai/m', 'anthropic/m'], retries: 0 } } }
    const gateway = await open({ config, env: { UNKNOWN_PRICE: 'allow' } })
    gateway.provider.says(({ dialect, usual }) =>
      dialect === 'openai' ? { ...usual, status: 503, pieces: ['no'] } : usual,
    )
    const { path, body } = requestFor('openai', { model: 'either', cap: 50 })
    expect(await statusesOf(between(gateway), path, body)).toEqual([200, 200])
    const [entry] = await gateway.ledger.entries()
    expect(entry?.facts.provider).toBe('anthropic')
    expect(entry?.outcome?.attempts.map(({ provider }) => provider)).toEqual(['openai', 'anthropic'])
  })

  it('moves the reservation to the target, and says nothing of the provider that the handler stood for', async () => {
    const config = { ...LIMITED_CONFIG, aliases: { other: ['anthropic/m'] } }
    const gateway = await open({ config, env: { UNKNOWN_PRICE: 'allow' } })
    const app = between(gateway)
    const { path, body } = requestFor('openai', { model: 'other', cap: 50 })
    expect(await statusesOf(app, path, body)).toEqual([200, 200])
    const [entry] = await gateway.ledger.entries()
    expect([entry?.facts.provider, entry?.facts.model]).toEqual(['anthropic', 'm'])
    const impossible = JSON.stringify({ ...JSON.parse(body), n: 2 })
    for (let count = 0; count < 10; count++) expect(await statusesOf(app, path, impossible)).toEqual([400, 400])
    const { body: direct } = requestFor('openai', { model: 'openai/other', cap: 50 })
    expect(await statusesOf(app, path, direct)).toEqual([200, 200])
  })

  it('charges further calls that a handler makes', async () => {
    const gateway = await open()
    const { path, body } = requestFor('openai', { cap: 50 })
    const { body: other } = requestFor('openai', { cap: 50, text: 'another question' })
    const { app: own, gate } = gateway.app
    const app = new Hono()
    app.use(gateMiddleware(gate, {})).all('*', async () => {
      await (await own.request(path, { method: 'POST', body: other, headers: json })).text()
      return new Response(wholeAnswer('openai', { input: 20, output: 10 }), { headers: json })
    })
    expect(await statusesOf(app, path, body)).toEqual([200, 200])
    expect(await bookedBy(gateway)).toMatchObject({ requests: 4 })
  })
})

describe('gate() twice in front of a handler', () => {
  const answer = () => new Response(wholeAnswer('openai', { input: 20, output: 10 }), { headers: json })

  it.each<readonly [string, Arrangement]>([
    ['in one app', (app, _gateway, gate) => app.use(gate).use(cors()).use('/v1/*', gate).post('/v1/*', answer)],
    [
      'in an app and in one that is mounted in it',
      (app, _gateway, gate) => app.use(gate).mount('/', new Hono().use(gate).post('/v1/*', answer).fetch),
    ],
  ])('%s, charges a call once', async (_, arrange) => {
    const gateway = await open()
    const app = new Hono()
    arrange(app, gateway, gateMiddleware(gateway.app.gate, {}))
    const { path, body } = requestFor('openai', { cap: 50 })
    expect(await statusesOf(app, path, body)).toEqual([200, 200])
    expect(await bookedBy(gateway)).toEqual(ONE_CALL_EACH)
  })

  it('charges the same call once more if it is made after the answer', async () => {
    const gateway = await open()
    const { path, body } = requestFor('openai', { cap: 50 })
    const answered = Promise.withResolvers<void>()
    let later: Promise<Response> | undefined
    const app = new Hono()
    app.use(gateMiddleware(gateway.app.gate, {})).post('/v1/*', () => {
      const again = async () => gateway.app.app.request(path, { method: 'POST', body, headers: json })
      later = answered.promise.then(again)
      return answer()
    })
    await (await app.request(path, { method: 'POST', body, headers: json })).text()
    answered.resolve()
    expect(await (await later)?.text()).toBe(wholeAnswer('openai', { input: 20, output: 10 }))
    expect(await bookedBy(gateway)).toEqual(ONE_CALL_EACH)
  })
})

/** What middleware in front of the gateway does to the body. */
const READERS: readonly (readonly [string, (c: Context) => unknown])[] = [
  ['c.req.json()', (c) => c.req.json()],
  ['c.req.text()', (c) => c.req.text()],
  ['c.req.arrayBuffer()', (c) => c.req.arrayBuffer()],
  ['c.req.blob()', (c) => c.req.blob()],
  ['c.req.parseBody()', (c) => c.req.parseBody()],
  ['c.req.raw.clone()', (c) => c.req.raw.clone().text()],
  ['c.req.raw.body, unread', (c) => c.req.raw.body],
]

const MIDDLEWARE: readonly (readonly [string, MiddlewareHandler])[] = [
  ...READERS.map(([name, read]): [string, MiddlewareHandler] => [
    name,
    async (c, next) => {
      await read(c)
      await next()
    },
  ]),
  ['a validator', validator('json', (value) => value)],
  ['a limit on bodies', bodyLimit({ maxSize: 10_000 })],
]

describe.each(MIDDLEWARE)('a body that middleware has read by %s', (_, middleware) => {
  it.each([
    ['gate()', (gateway: GatewayFixture) => gateMiddleware(gateway.app.gate, {})],
    ['the gateway', () => undefined],
  ])('reaches %s, whole or in chunks', async (_name, gateOf) => {
    const gateway = await open()
    const gate = gateOf(gateway)
    const app = new Hono().use(middleware)
    if (gate)
      app.use(gate).post('/v1/chat/completions', async (c) => {
        expect(await c.req.text()).toBe(body)
        return c.body(wholeAnswer('openai', { input: 20, output: 10 }), 200, json)
      })
    app.route('/', gateway.app.app)
    const { path, body } = requestFor('openai', { cap: 50 })
    expect(await statusesOf(app, path, body)).toEqual([200, 200])
    const stream = () => new Blob([body]).stream()
    for (const [, send] of await transportsOf(app)) {
      const init = { method: 'POST', body: stream(), headers: json, duplex: 'half' } as RequestInit
      expect((await withTimeout(5_000, send(path, init))).status).toBe(200)
    }
    expect(await bookedBy(gateway)).toMatchObject({ requests: 4, reserved: [] })
  })
})

describe.each<readonly [string, (c: Context) => unknown]>([
  ['c.req.raw.json()', (c) => c.req.raw.json()],
  ['c.req.formData()', (c) => c.req.formData().catch(() => {})],
  ['a reader that stays', (c) => void c.req.raw.body?.getReader()],
  [
    'a reader that read a part',
    async (c) => {
      const reader = c.req.raw.body?.getReader()
      await reader?.read()
      reader?.releaseLock()
    },
  ],
])('a body that is gone, by %s', (_, read) => {
  it.each([true, false])('is refused at once, in words that say so; with gate(): %j', async (isGated) => {
    const gateway = await open()
    const app = new Hono().use(async (c, next) => {
      await read(c)
      await next()
    })
    if (isGated) app.use(gateMiddleware(gateway.app.gate, {})).post('/v1/chat/completions', (c) => c.text('never'))
    app.route('/', gateway.app.app)
    const { path, body } = requestFor('openai')
    for (const [, send] of await transportsOf(app)) {
      const answer = await withTimeout(5_000, send(path, { method: 'POST', body, headers: json }))
      expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([500, 'false'])
      expect(await answer.text()).toMatch(/read before the gateway saw it.*c\.req\.json\(\)/)
    }
    expect(await gateway.ledger.entries()).toEqual([])
  })
})

describe('a body that was read from Node itself', () => {
  it.each([true, false])('is refused at once, in words that say so; with gate(): %j', async (isGated) => {
    const gateway = await open()
    const app = new Hono().use(async (c, next) => {
      await text((c.env as HttpBindings).incoming)
      await next()
    })
    if (isGated) app.use(gateMiddleware(gateway.app.gate, {})).post('/v1/chat/completions', (c) => c.text('never'))
    const { path, body } = requestFor('openai')
    const [, [, send]] = await transportsOf(app.route('/', gateway.app.app))
    const answer = await withTimeout(5_000, send(path, { method: 'POST', body, headers: json }))
    expect([answer.status, await answer.text()]).toEqual([500, expect.stringContaining('read before the gateway')])
    expect(await gateway.ledger.entries()).toEqual([])
  })
})

describe('an answer of the gateway', () => {
  const FRONTS: readonly (readonly [string, MiddlewareHandler])[] = [
    ['CORS', cors({ origin: '*' })],
    [
      'a header set later',
      async (c, next) => {
        await next()
        c.header('access-control-allow-origin', '*')
      },
    ],
  ]
  const handler = () => new Response(wholeAnswer('openai', { input: 20, output: 10 }), { headers: json })

  describe.each(FRONTS)('has the headers of middleware in front: %s', (_, front) => {
    it.each<readonly [string, Arrangement]>([
      ['without gate()', (app, { app: { app: own } }) => app.route('/', own)],
      ['with gate() and a handler', (app, _gateway, gate) => app.use(gate).post('*', handler)],
      ['with gate() and none', (app, { app: { app: own } }, gate) => app.use(gate).route('/', own)],
    ])('%s, also if the call is refused', async (_name, arrange) => {
      const gateway = await open()
      const app = new Hono().use(front)
      arrange(app, gateway, gateMiddleware(gateway.app.gate, {}))
      const { path, body } = requestFor('openai', { cap: 50 })
      for (const [, send] of await transportsOf(app))
        for (const [expected, sent] of [
          [200, body],
          [400, '{'],
        ] as const) {
          const answer = await withTimeout(5_000, send(path, { method: 'POST', body: sent, headers: json }))
          expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([expected, '*'])
          expect(await answer.json()).toBeTypeOf('object')
        }
    })
  })

  it('can be read by a handler that asks for it with the bindings of its own request', async () => {
    const gateway = await open()
    const { path, body } = requestFor('openai', { cap: 50 })
    const app = new Hono().post('/ask', async (c) => {
      const asked = new Request(new URL(path, c.req.url), { method: 'POST', body, headers: json })
      const answer = await gateway.app.app.fetch(asked, c.env)
      return c.json({ asked: answer.status, answered: await answer.text() })
    })
    for (const [, send] of await transportsOf(app)) {
      const answer = await withTimeout(5_000, send('/ask', { method: 'POST' }))
      expect(await answer.json()).toEqual({ asked: 200, answered: wholeAnswer('openai', { input: 20, output: 10 }) })
    }
  })
})

describe('a request that middleware has replaced', () => {
  it.each([true, false])('is what is sent; with gate(): %j', async (isGated) => {
    const gateway = await open()
    const { path, body } = requestFor('openai', { cap: 50 })
    const { body: replaced } = requestFor('openai', { cap: 7 })
    const app = new Hono()
    app.use(async (c, next) => {
      c.req.raw = new Request(c.req.url, { method: 'POST', headers: json, body: replaced })
      await next()
    })
    if (isGated) app.use(gateMiddleware(gateway.app.gate, {}))
    app.route('/', gateway.app.app)
    expect(await statusesOf(app, path, body)).toEqual([200, 200])
    expect(gateway.provider.received.map((request) => request.body)).toEqual([replaced, replaced])
  })
})

describe('a handler behind gate()', () => {
  it('reads the request as it was admitted, also if middleware in front has read the body', async () => {
    const gateway = await open({ config: { ...LIMITED_CONFIG, limits: { global: { costPerDay: '0.002' } } } })
    const seen: unknown[] = []
    const app = new Hono()
      .use(async (c, next) => {
        await c.req.json()
        await next()
      })
      .use(gateMiddleware(gateway.app.gate, {}))
      .post('*', async (c) => {
        seen.push((await c.req.json()).max_completion_tokens, JSON.parse(await c.req.text()).max_completion_tokens)
        return c.body(wholeAnswer('openai', { input: 20, output: 10 }), 200, json)
      })
    const { path, body } = requestFor('openai')
    const answer = await app.request(path, { method: 'POST', body, headers: json })
    const cap = Number(answer.headers.get('x-bursar-max-output-tokens'))
    expect(cap).toBeGreaterThan(0)
    expect(seen).toEqual([cap, cap])
  })
})
