// Translated calls from the outside: caps, keys that callers bring, redirects, endless answers, and what circuits make of them.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clocks.ts'
import type { ProviderRequest, ProviderScript } from '../support/provider.ts'
import { waitFor, withTimeout } from '../support/waiting.ts'
import { DIALECT_NAMES, type DialectName, errorIn, eventsOf } from './dialect-fixtures.ts'
import {
  COST_NANO_USD,
  closes,
  fails,
  LIMITS,
  PRICES,
  type RoutingFixture,
  succeeds,
  UNREACHABLE_URL,
  USAGE,
  useRouting,
} from './routing-fixture.ts'

const receivedIn = (routing: RoutingFixture, dialect: DialectName) =>
  routing.gateway.provider.received.filter((call) => call.dialect === dialect)
const bodySent = (routing: RoutingFixture) => JSON.parse(routing.gateway.provider.received.at(-1)?.body ?? '')
const announcedCap = (answer: Response) => answer.headers.get('x-bursar-max-output-tokens')

/** The text of an answer as far as it came. */
async function readText(answer: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const chunk of answer.body ?? []) text += decoder.decode(chunk, { stream: true })
  } catch {
    // Some dialects break off after an error.
  }
  return text
}

/** Each provider, asked by a client of another. */
const DIALECT_PAIRS = [
  ['anthropic', 'openai'],
  ['openai', 'anthropic'],
  ['openai', 'gemini'],
  ['gemini', 'openai'],
] as const

describe('a wait that Gemini tells in its body', () => {
  const refuses =
    (seconds: string, headers: Readonly<Record<string, string>> = {}): ProviderScript =>
    ({ response }) => {
      const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${seconds}s` }]
      const error = { code: 429, message: 'Quota exceeded.', status: 'RESOURCE_EXHAUSTED', details }
      response.writeHead(429, { 'content-type': 'application/json', ...headers }).end(JSON.stringify({ error }))
    }
  const waitTold = async (caller: DialectName, script: ProviderScript) => {
    const routing = await useRouting({ respond: script })
    const answer = await routing.gateway.client.asks(caller, { model: 'gemini/m', cap: 5 })
    expect(answer.status).toBe(429)
    return [answer.headers.get('retry-after'), answer.headers.get('retry-after-ms')]
  }

  it.each(['openai', 'anthropic'] as const)('is in the headers for clients of %s', async (caller) => {
    expect(await waitTold(caller, refuses('7.25'))).toEqual(['8', '7250'])
    expect(await waitTold(caller, refuses('60'))).toEqual(['60', '60000'])
  })

  it.each(['openai', 'anthropic'] as const)('is not, if no client of %s should sleep so long', async (caller) => {
    expect(await waitTold(caller, refuses('61'))).toEqual([null, null])
  })

  it('stands beside no wait of its headers, and Google’s own clients read the body', async () => {
    expect(await waitTold('openai', refuses('7', { 'retry-after': '9' }))).toEqual(['9', null])
    expect(await waitTold('gemini', refuses('7'))).toEqual([null, null])
  })
})

describe('a call without a cap, of a client of OpenAI’s, to Anthropic', () => {
  const ask = (routing: RoutingFixture, cap?: number) =>
    routing.gateway.client.asks('openai', { model: 'anthropic/m', ...(cap ? { cap } : {}) })
  const withMoney = (costPerDay: string) => ({ file: { limits: { global: { costPerDay } } } })

  it.each([
    [{}, 4_096],
    [{ DEFAULT_MAX_OUTPUT_TOKENS: '1000' }, 1_000],
  ])('gets the usual cap, and hears of it (%j)', async (env, cap) => {
    const routing = await useRouting({ env })
    const answer = await ask(routing)
    expect([answer.status, announcedCap(answer)]).toEqual([200, String(cap)])
    expect(bodySent(routing)).toMatchObject({ max_tokens: cap })
    expect((await routing.settledEntry()).facts).toMatchObject({ capAsked: null, capInjected: cap })
  })

  it('gets it, too, where Anthropic is asked because another target failed', async () => {
    const routing = await useRouting({
      file: { aliases: { both: { targets: ['nowhere/m', 'anthropic/m'], retries: 0 } } },
    })
    const answer = await routing.gateway.client.asks('openai', { model: 'both' })
    expect([answer.headers.get('x-bursar-target'), announcedCap(answer)]).toEqual(['anthropic/m', '4096'])
    expect(bodySent(routing)).toMatchObject({ max_tokens: 4_096 })
    expect((await routing.settledEntry()).facts).toMatchObject({ capAsked: null, capInjected: 4_096 })
  })

  it('gets a smaller one where little money is left', async () => {
    const routing = await useRouting(withMoney('0.005'))
    const answer = await ask(routing)
    const cap = Number(announcedCap(answer))
    expect(answer.status).toBe(200)
    // Half of the money is 2,500,000 nano-dollars, and a token out costs 2,000.
    expect(cap).toBeGreaterThan(1_000)
    expect(cap).toBeLessThan(1_250)
    expect(bodySent(routing)).toMatchObject({ max_tokens: cap })
    const { facts } = await routing.settledEntry()
    expect(facts).toMatchObject({ capAsked: null, capInjected: cap })
    expect(facts.reservedCostNanoUsd).toBeLessThanOrEqual(2_500_000n)
  })

  it('gets a smaller one under the most that one call may cost', async () => {
    const routing = await useRouting({ env: { MAX_COST_PER_REQUEST: '0.004' }, file: { limits: {} } })
    const answer = await ask(routing)
    const cap = Number(announcedCap(answer))
    expect(answer.status).toBe(200)
    expect(cap).toBeLessThan(2_000)
    expect(bodySent(routing)).toMatchObject({ max_tokens: cap })
    expect((await routing.settledEntry()).facts.reservedCostNanoUsd).toBeLessThanOrEqual(4_000_000n)
  })

  it('is refused where not even the least cap fits', async () => {
    const routing = await useRouting(withMoney('0.0005'))
    expect((await ask(routing)).status).toBe(429)
    expect(routing.gateway.provider.received).toHaveLength(0)
  })

  it('with one of its own keeps it where it fits, and is refused where it does not', async () => {
    const routing = await useRouting(withMoney('0.005'))
    const kept = await ask(routing, 2_000)
    expect([kept.status, announcedCap(kept)]).toEqual([200, null])
    expect(bodySent(routing)).toMatchObject({ max_tokens: 2_000 })
    expect((await routing.settledEntry()).facts).toMatchObject({ capAsked: 2_000, capInjected: null })
    const refused = await ask(routing, 3_000)
    expect([refused.status, announcedCap(refused)]).toEqual([429, null])
    expect(routing.gateway.provider.received).toHaveLength(1)
  })
})

describe('a key that the caller brings', () => {
  const OWN = 'own-key-of-the-caller-0123456789'
  const headers = { authorization: `Bearer ${OWN}` }
  const BOTH = { openai: { callerKeys: 'forward' }, anthropic: { callerKeys: 'forward' } }

  const openTo = (targets: readonly string[], script: ProviderScript, env: Readonly<Record<string, string>> = {}) =>
    useRouting({ respond: script, env, file: { providers: BOTH, aliases: { both: { targets, retries: 0 } } } })

  /** SDKs put it where they like. */
  const keyIn = ({ headers }: ProviderRequest) => headers['x-api-key'] ?? headers.authorization?.replace('Bearer ', '')

  const failing: readonly (readonly [string, ProviderScript, number])[] = [
    ['fails', fails(500), 500],
    ['refuses', fails(429), 429],
    ['breaks off', closes, 502],
  ]

  it.each(failing)('goes to no second provider when the first one %s', async (_, script, status) => {
    const routing = await openTo(['openai/m', 'anthropic/m'], (call) =>
      (call.dialect === 'openai' ? script : succeeds)(call),
    )
    const answer = await routing.send({}, { headers })
    expect(answer.status).toBe(status)
    expect(receivedIn(routing, 'openai').map((call) => call.headers.authorization)).toEqual([headers.authorization])
    expect(receivedIn(routing, 'anthropic')).toEqual([])
  })

  it.each(failing)('goes to no second provider when a translated first one %s', async (_, script, status) => {
    const routing = await openTo(['anthropic/m', 'openai/m'], (call) =>
      (call.dialect === 'anthropic' ? script : succeeds)(call),
    )
    const answer = await routing.send({}, { headers })
    expect(answer.status).toBe(status)
    expect(receivedIn(routing, 'anthropic').map(keyIn)).toEqual([OWN])
    expect(receivedIn(routing, 'openai')).toEqual([])
  })

  it('goes to no second provider when the first one cannot be reached', async () => {
    const routing = await openTo(['openai/m', 'anthropic/m'], succeeds, { OPENAI_BASE_URL: UNREACHABLE_URL })
    expect((await routing.send({}, { headers })).status).toBe(502)
    expect(routing.gateway.provider.received).toEqual([])
  })

  it('goes to another model of the same provider', async () => {
    const isFirst = ({ body }: ProviderRequest) => body.includes('"model":"m"')
    const routing = await openTo(['openai/m', 'openai/cheap'], (call) => (isFirst(call) ? fails(500) : succeeds)(call))
    const answer = await routing.send({}, { headers })
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'openai/cheap'])
    expect(receivedIn(routing, 'openai').map((call) => call.headers.authorization)).toEqual(
      Array(2).fill(headers.authorization),
    )
  })

  it('is left out where the next provider has a key of ours', async () => {
    const routing = await useRouting({
      respond: (call) => (call.dialect === 'openai' ? fails(500) : succeeds)(call),
      file: {
        providers: { openai: { callerKeys: 'forward' } },
        aliases: { both: { targets: ['openai/m', 'anthropic/m'], retries: 0 } },
      },
    })
    const answer = await routing.send({}, { headers })
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'anthropic/m'])
    const [call] = receivedIn(routing, 'anthropic')
    expect(call && keyIn(call)).toBe('sk-upstream-anthropic-secret')
    expect(JSON.stringify(call?.headers)).not.toContain(OWN)
  })
})

describe.each([302, 307])('a redirect, %i,', (status) => {
  const ways = [...DIALECT_NAMES.map((dialect) => [dialect, dialect] as const), ...DIALECT_PAIRS]

  it.each(ways)('of a call in the words of %s to %s is not followed, nor passed on', async (dialect, provider) => {
    const routing = await useRouting()
    routing.gateway.provider.says(({ response }) => {
      response.writeHead(status, { location: `${routing.second.url}/elsewhere`, 'content-type': 'application/json' })
      response.end('{"error":{"message":"moved"}}')
    })
    const model = dialect === provider ? 'm' : `${provider}/m`
    for (const stream of [false, true]) {
      const answer = await routing.send({ model, stream }, { redirect: 'manual' }, dialect)
      await answer.text()
      expect([answer.status, answer.headers.get('location')]).toEqual([502, null])
    }
    expect(receivedIn(routing, provider)).toHaveLength(2)
    expect(routing.gateway.provider.received).toHaveLength(2)
    expect(routing.second.received).toHaveLength(0)
  })
})

describe('a provider that is not there', () => {
  it.each(DIALECT_PAIRS)('costs a client of %s, asking %s, nothing', async (dialect, provider) => {
    const routing = await useRouting({ env: { [`${provider.toUpperCase()}_BASE_URL`]: UNREACHABLE_URL } })
    const answer = await routing.send({ model: `${provider}/m` }, {}, dialect)
    expect([answer.status, answer.headers.get('x-bursar-source')]).toEqual([502, 'gateway'])
    errorIn(dialect, await answer.json())
    const { outcome } = await routing.settledEntry()
    expect(outcome).toMatchObject({ ending: 'failed', cost: { totalNanoUsd: 0n } })
    expect((await routing.gateway.ledger.level('daily_spending_limit')).settled).toBe(0)
  })
})

/** Writes as fast as it is read, until there is enough or the reader is gone. Counts the bytes that could be written. */
class StreamWriter {
  writtenBytes = 0
  isStopped = false

  async write({ response }: ProviderRequest, piece: string, maxBytes: number): Promise<void> {
    const closed = new Promise((resolve) => response.once('close', resolve))
    while (this.writtenBytes < maxBytes && !this.isStopped && !response.destroyed) {
      this.writtenBytes += piece.length
      if (response.write(piece)) await new Promise((resolve) => setImmediate(resolve))
      else await Promise.race([new Promise((resolve) => response.once('drain', resolve)), closed])
    }
  }

  /** Resolves once nothing more could be written for a while. Real time: a stall shows in nothing else. */
  async whenStalled(): Promise<number> {
    for (let before = -1; before !== this.writtenBytes || this.writtenBytes === 0; ) {
      before = this.writtenBytes
      await sleep(500)
    }
    return this.writtenBytes
  }
}

/** Far more than the buffers of all sockets on the way can hold, which may be tens of megabytes. */
const FLOOD_BYTES = 400_000_000

describe('a stream to a client that does not read', () => {
  it.each(DIALECT_PAIRS)(
    'in the words of %s, from %s, waits for it',
    async (dialect, provider) => {
      const flood = new StreamWriter()
      const events = eventsOf(provider, USAGE, ['x'.repeat(50_000), 'end'])
      // The last word and the end come when the client reads again.
      const floodIndex = events.findIndex((event) => event.includes('xxx'))
      const routing = await useRouting({
        respond: async (call) => {
          call.response.writeHead(200, { 'content-type': 'text/event-stream' })
          call.response.write(events.slice(0, floodIndex).join(''))
          await flood.write(call, events[floodIndex] ?? '', FLOOD_BYTES)
          call.response.end(events.slice(floodIndex + 1).join(''))
        },
      })
      const answer = await routing.send({ model: `${provider}/m`, stream: true }, {}, dialect)
      expect(await flood.whenStalled()).toBeLessThan(FLOOD_BYTES)
      flood.isStopped = true
      expect((await answer.text()).length).toBeGreaterThan(flood.writtenBytes / 2)
      const { outcome } = await routing.settledEntry()
      expect(outcome).toMatchObject({ ending: 'completed', certainty: 'exact', cost: { totalNanoUsd: COST_NANO_USD } })
    },
    30_000,
  )
})

describe('an error that does not end', () => {
  it.each(DIALECT_PAIRS)(
    'reaches a client of %s, asking %s, and its connection is closed',
    async (dialect, provider) => {
      const flood = new StreamWriter()
      const routing = await useRouting({
        // What is read through no SDK is bounded as every answer is.
        env: provider === 'gemini' ? { MAX_BODY_BYTES: '1048576' } : {},
        respond: async (call) => {
          call.response.writeHead(500, { 'content-type': 'application/json' })
          await flood.write(call, 'x'.repeat(10_000), FLOOD_BYTES)
          call.response.destroy()
        },
      })
      const answer = await withTimeout(25_000, routing.send({ model: `${provider}/m` }, {}, dialect))
      expect(answer.status).toBe(provider === 'gemini' ? 502 : 500)
      errorIn(dialect, await answer.json())
      const [call] = routing.gateway.provider.received
      expect(await withTimeout(25_000, Promise.resolve(call?.cut))).toBe(true)
      expect(flood.writtenBytes).toBeGreaterThan(1_000_000)
      expect(flood.writtenBytes).toBeLessThan(FLOOD_BYTES)
      expect((await routing.settledEntry()).outcome).toMatchObject({ ending: 'failed' })
    },
  )
})

describe('a circuit', () => {
  it.each([
    ['openai', 'openai', 'first'],
    ['anthropic', 'openai', 'first'],
    ['openai', 'anthropic', 'anthropic'],
    ['openai', 'gemini', 'gemini'],
  ] as const)(
    'lets others of %s through as soon as a stream of %s (%s) has begun',
    async (dialect, heard, provider) => {
      const clock = new ManualClock()
      const model = `${provider}/m`
      const routing = await useRouting({ clock, respond: fails(500), first: fails(500) })
      for (let call = 0; call < 10; call++) expect((await routing.send({ model }, {}, dialect)).status).toBe(500)
      expect((await routing.send({ model }, {}, dialect)).status).toBe(503)
      clock.advance(5_000)
      let goOn: () => void = () => {}
      const going = new Promise<void>((resolve) => {
        goOn = resolve
      })
      const begins: ProviderScript = async ({ response }) => {
        const [head = '', word = '', ...rest] = eventsOf(heard, USAGE)
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(head + word)
        await going
        response.end(rest.join(''))
      }
      const script: ProviderScript = (call) =>
        (/"stream":true|:stream/.test(call.body + call.path) ? begins : succeeds)(call)
      routing.gateway.provider.says(script)
      routing.first.says(script)
      const probe = await withTimeout(25_000, routing.send({ model, stream: true }, {}, dialect))
      expect(probe.status).toBe(200)
      const others = await Promise.all([1, 2, 3].map(() => routing.send({ model }, {}, dialect)))
      expect(others.map(({ status }) => status)).toEqual([200, 200, 200])
      expect(await routing.targets()).toMatchObject([{ circuit: 'closed' }])
      goOn()
      await probe.text()
    },
  )

  const ERROR: Readonly<Record<DialectName, string>> = {
    openai: 'data: {"error":{"message":"no","type":"server_error","code":null,"param":null}}\n\n',
    anthropic: 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n',
    gemini: 'data: {"error":{"code":503,"message":"no","status":"UNAVAILABLE"}}\r\n\r\n',
  }

  it.each([...DIALECT_NAMES.map((dialect) => [dialect, dialect] as const), ...DIALECT_PAIRS])(
    'of streams in the words of %s, from %s, that end in an error stays closed',
    async (dialect, provider) => {
      const begun = eventsOf(provider, USAGE).slice(0, 2).join('')
      const script: ProviderScript = ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.end(begun + ERROR[provider])
      }
      const routing = await useRouting({ respond: script })
      const model = dialect === provider ? 'm' : `${provider}/m`
      for (let call = 0; call < 12; call++) {
        const answer = await routing.send({ model, stream: true }, {}, dialect)
        expect(answer.status).toBe(200)
        expect(await readText(answer)).toContain('"error"')
      }
      expect(routing.gateway.provider.received).toHaveLength(12)
      const entries = await routing.gateway.ledger.holds(12)
      expect(entries.map(({ outcome }) => outcome?.attempts[0]?.error)).toEqual(Array(12).fill('error event'))
      for (const { circuit, failed } of await routing.targets()) expect([circuit, failed]).toEqual(['closed', 0])
    },
  )
})

describe('a model whose prefix names no provider', () => {
  const ANY_PROVIDERS_PRICE = { ...PRICES[0], model: 'nobody/m' }

  it.each(DIALECT_NAMES)(
    'is not sent to an endpoint because a price for any provider is known (%s)',
    async (dialect) => {
      const [env, file] = [
        { OPENAI_API_KEY: '', ANTHROPIC_API_KEY: '', GEMINI_API_KEY: '' },
        { prices: [...PRICES, ANY_PROVIDERS_PRICE] },
      ]
      const routing = await useRouting({ env, file })
      const answer = await routing.send({ model: 'nobody/m' }, {}, dialect)
      expect(answer.status).toBe(503)
      expect(errorIn(dialect, await answer.json()).message).toContain(`${dialect.toUpperCase()}_API_KEY`)
      expect([routing.requestCounts, routing.gateway.provider.received.length]).toEqual([[0, 0], 0])
    },
  )
})

it('the limit of a model is shown where it is asked for with its provider in front', async () => {
  const routing = await useRouting({ file: { limits: { ...LIMITS, perModel: { requestsPerDay: 7 } } } })
  const shown = { limit: 'requests_per_day', subject: 'model:openai/o1', capacity: 7 }
  expect(await routing.gateway.ledger.levels('?model=openai/o1')).toContainEqual(expect.objectContaining(shown))
  expect(await routing.gateway.ledger.levels('?model=openai%2Fo1')).toContainEqual(expect.objectContaining(shown))
  expect(await routing.gateway.ledger.levels('?provider=openai&model=o1')).toContainEqual(
    expect.objectContaining(shown),
  )
})

describe('a request of very many values', () => {
  const MANY = `[${Array(100_001).fill('0').join(',')}]`
  const bodyOf = (dialect: DialectName, model: string) => {
    const content =
      dialect === 'gemini' ? '"contents":[{"parts":[{"text":"hi"}]}]' : '"messages":[{"role":"user","content":"hi"}]'
    return `{"model":"${model}","max_tokens":50,${content},"metadata":${MANY}}`
  }
  const pathOf = (dialect: DialectName, model: string) =>
    ({
      openai: '/v1/chat/completions',
      anthropic: '/v1/messages',
      gemini: `/v1beta/models/${encodeURIComponent(model)}:generateContent`,
    })[dialect]

  it.each(DIALECT_PAIRS)(
    'of a client of %s is not translated for %s, and says why at once',
    async (dialect, provider) => {
      const routing = await useRouting()
      const init = { method: 'POST', headers: { 'content-type': 'application/json' } }
      const model = `${provider}/m`
      const asked = routing.gateway.client.fetch('over sockets', pathOf(dialect, model), {
        ...init,
        body: bodyOf(dialect, model),
      })
      const answer = await withTimeout(1_000, asked)
      expect(answer.status).toBe(400)
      expect(errorIn(dialect, await answer.json()).message).toMatch(/at most 100000 values/)
      expect(routing.gateway.provider.received).toHaveLength(0)
      expect(await routing.gateway.ledger.entries()).toHaveLength(0)
    },
  )

  it.each(DIALECT_NAMES)('goes on to %s as it is where nothing is translated', async (dialect) => {
    const routing = await useRouting()
    const init = { method: 'POST', headers: { 'content-type': 'application/json' } }
    const body = bodyOf(dialect, 'm')
    const answer = await routing.gateway.client.fetch('over sockets', pathOf(dialect, 'm'), { ...init, body })
    expect(answer.status).toBe(200)
    await waitFor(async () => receivedIn(routing, dialect)[0])
    expect(receivedIn(routing, dialect)[0]?.body).toContain(MANY)
  })
})
