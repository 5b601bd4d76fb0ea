// Translated calls from the outside: caps, keys that callers bring, redirects, endless answers, and what circuits make of them.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { HandClock, type Play, type Received, until, within } from '../support/gateway-fixture.ts'
import { errorIn, eventsOf, SPOKEN, type Spoken } from './dialect-fixtures.ts'
import { COST, closes, fails, LIMITS, NOWHERE, PRICES, Routed, type RoutedOptions, well } from './routing-fixture.ts'

let routed: Routed
afterEach(() => routed?.close())

async function open(options: RoutedOptions = {}): Promise<Routed> {
  routed = await Routed.open(options)
  return routed
}

const received = (spoken: Spoken) => routed.stage.upstream.received.filter((call) => call.spoken === spoken)
const bodySent = () => JSON.parse(routed.stage.upstream.received.at(-1)?.body ?? '')
const capSaid = (answer: Response) => answer.headers.get('x-bursar-max-output-tokens')

/** The text of an answer as far as it came. */
async function heardOf(answer: Response): Promise<string> {
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
const ACROSS = [
  ['anthropic', 'openai'],
  ['openai', 'anthropic'],
  ['openai', 'gemini'],
  ['gemini', 'openai'],
] as const

describe('a call without a cap, of a client of OpenAI’s, to Anthropic', () => {
  const ask = (cap?: number) => routed.stage.call('openai', { model: 'anthropic/m', ...(cap ? { cap } : {}) })
  const withMoney = (costPerDay: string) => ({ file: { limits: { global: { costPerDay } } } })

  it.each([
    [{}, 4_096],
    [{ DEFAULT_MAX_OUTPUT_TOKENS: '1000' }, 1_000],
  ])('gets the usual cap, and hears of it (%j)', async (env, cap) => {
    await open({ env })
    const answer = await ask()
    expect([answer.status, capSaid(answer)]).toEqual([200, String(cap)])
    expect(bodySent()).toMatchObject({ max_tokens: cap })
    expect((await routed.entry()).facts).toMatchObject({ capAsked: null, capInjected: cap })
  })

  it('gets it, too, where Anthropic is asked because another target failed', async () => {
    await open({ file: { aliases: { both: { targets: ['nowhere/m', 'anthropic/m'], retries: 0 } } } })
    const answer = await routed.stage.call('openai', { model: 'both' })
    expect([answer.headers.get('x-bursar-target'), capSaid(answer)]).toEqual(['anthropic/m', '4096'])
    expect(bodySent()).toMatchObject({ max_tokens: 4_096 })
    expect((await routed.entry()).facts).toMatchObject({ capAsked: null, capInjected: 4_096 })
  })

  it('gets a smaller one where little money is left', async () => {
    await open(withMoney('0.005'))
    const answer = await ask()
    const cap = Number(capSaid(answer))
    expect(answer.status).toBe(200)
    // Half of the money is 2,500,000 nano-dollars, and a token out costs 2,000.
    expect(cap).toBeGreaterThan(1_000)
    expect(cap).toBeLessThan(1_250)
    expect(bodySent()).toMatchObject({ max_tokens: cap })
    const { facts } = await routed.entry()
    expect(facts).toMatchObject({ capAsked: null, capInjected: cap })
    expect(facts.reservedCostNanoUsd).toBeLessThanOrEqual(2_500_000n)
  })

  it('gets a smaller one under the most that one call may cost', async () => {
    await open({ env: { MAX_COST_PER_REQUEST: '0.004' }, file: { limits: {} } })
    const answer = await ask()
    const cap = Number(capSaid(answer))
    expect(answer.status).toBe(200)
    expect(cap).toBeLessThan(2_000)
    expect(bodySent()).toMatchObject({ max_tokens: cap })
    expect((await routed.entry()).facts.reservedCostNanoUsd).toBeLessThanOrEqual(4_000_000n)
  })

  it('is refused where not even the least cap fits', async () => {
    await open(withMoney('0.0005'))
    expect((await ask()).status).toBe(429)
    expect(routed.stage.upstream.received).toHaveLength(0)
  })

  it('with one of its own keeps it where it fits, and is refused where it does not', async () => {
    await open(withMoney('0.005'))
    const kept = await ask(2_000)
    expect([kept.status, capSaid(kept)]).toEqual([200, null])
    expect(bodySent()).toMatchObject({ max_tokens: 2_000 })
    expect((await routed.entry()).facts).toMatchObject({ capAsked: 2_000, capInjected: null })
    const refused = await ask(3_000)
    expect([refused.status, capSaid(refused)]).toEqual([429, null])
    expect(routed.stage.upstream.received).toHaveLength(1)
  })
})

describe('a key that the caller brings', () => {
  const OWN = 'own-key-of-the-caller-0123456789'
  const headers = { authorization: `Bearer ${OWN}` }
  const BOTH = { openai: { callerKeys: 'forward' }, anthropic: { callerKeys: 'forward' } }

  const openTo = (targets: readonly string[], play: Play, env: Readonly<Record<string, string>> = {}) =>
    open({ play, env, file: { providers: BOTH, aliases: { both: { targets, retries: 0 } } } })

  /** SDKs put it where they like. */
  const keyIn = ({ headers }: Received) => headers['x-api-key'] ?? headers.authorization?.replace('Bearer ', '')

  const failing: readonly (readonly [string, Play, number])[] = [
    ['fails', fails(500), 500],
    ['refuses', fails(429), 429],
    ['breaks off', closes, 502],
  ]

  it.each(failing)('goes to no second provider when the first one %s', async (_, play, status) => {
    await openTo(['openai/m', 'anthropic/m'], (call) => (call.spoken === 'openai' ? play : well)(call))
    const answer = await routed.ask({}, { headers })
    expect(answer.status).toBe(status)
    expect(received('openai').map((call) => call.headers.authorization)).toEqual([headers.authorization])
    expect(received('anthropic')).toEqual([])
  })

  it.each(failing)('goes to no second provider when a translated first one %s', async (_, play, status) => {
    await openTo(['anthropic/m', 'openai/m'], (call) => (call.spoken === 'anthropic' ? play : well)(call))
    const answer = await routed.ask({}, { headers })
    expect(answer.status).toBe(status)
    expect(received('anthropic').map(keyIn)).toEqual([OWN])
    expect(received('openai')).toEqual([])
  })

  it('goes to no second provider when the first one cannot be reached', async () => {
    await openTo(['openai/m', 'anthropic/m'], well, { OPENAI_BASE_URL: NOWHERE })
    expect((await routed.ask({}, { headers })).status).toBe(502)
    expect(routed.stage.upstream.received).toEqual([])
  })

  it('goes to another model of the same provider', async () => {
    const isFirst = ({ body }: Received) => body.includes('"model":"m"')
    await openTo(['openai/m', 'openai/cheap'], (call) => (isFirst(call) ? fails(500) : well)(call))
    const answer = await routed.ask({}, { headers })
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'openai/cheap'])
    expect(received('openai').map((call) => call.headers.authorization)).toEqual(Array(2).fill(headers.authorization))
  })

  it('is left out where the next provider has a key of ours', async () => {
    await open({
      play: (call) => (call.spoken === 'openai' ? fails(500) : well)(call),
      file: {
        providers: { openai: { callerKeys: 'forward' } },
        aliases: { both: { targets: ['openai/m', 'anthropic/m'], retries: 0 } },
      },
    })
    const answer = await routed.ask({}, { headers })
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'anthropic/m'])
    const [call] = received('anthropic')
    expect(call && keyIn(call)).toBe('sk-upstream-anthropic-secret')
    expect(JSON.stringify(call?.headers)).not.toContain(OWN)
  })
})

describe.each([302, 307])('a redirect, %i,', (status) => {
  const ways = [...SPOKEN.map((spoken) => [spoken, spoken] as const), ...ACROSS]

  it.each(ways)('of a call in the words of %s to %s is not followed, nor passed on', async (spoken, provider) => {
    await open()
    routed.stage.upstream.play = ({ response }) => {
      response.writeHead(status, { location: `${routed.second.url}/elsewhere`, 'content-type': 'application/json' })
      response.end('{"error":{"message":"moved"}}')
    }
    const model = spoken === provider ? 'm' : `${provider}/m`
    for (const stream of [false, true]) {
      const answer = await routed.ask({ model, stream }, { redirect: 'manual' }, spoken)
      await answer.text()
      expect([answer.status, answer.headers.get('location')]).toEqual([status, null])
    }
    expect(received(provider)).toHaveLength(2)
    expect(routed.stage.upstream.received).toHaveLength(2)
    expect(routed.second.received).toHaveLength(0)
  })
})

describe('a provider that is not there', () => {
  it.each(ACROSS)('costs a client of %s, asking %s, nothing', async (spoken, provider) => {
    await open({ env: { [`${provider.toUpperCase()}_BASE_URL`]: NOWHERE } })
    const answer = await routed.ask({ model: `${provider}/m` }, {}, spoken)
    expect([answer.status, answer.headers.get('x-bursar-source')]).toEqual([502, 'gateway'])
    errorIn(spoken, await answer.json())
    const { outcome } = await routed.entry()
    expect(outcome).toMatchObject({ ending: 'failed', cost: { totalNanoUsd: 0n } })
    expect((await routed.stage.level('daily_spending_limit')).settled).toBe(0)
  })
})

/** Writes as fast as it is read, until there is enough or nobody is left. Counts the bytes that could be written. */
class Flood {
  bytes = 0
  enough = false

  async write({ response }: Received, piece: string, most: number): Promise<void> {
    const closed = new Promise((resolve) => response.once('close', resolve))
    while (this.bytes < most && !this.enough && !response.destroyed) {
      this.bytes += piece.length
      if (response.write(piece)) await new Promise((resolve) => setImmediate(resolve))
      else await Promise.race([new Promise((resolve) => response.once('drain', resolve)), closed])
    }
  }

  /** Once nothing more could be written for a while. */
  async stopped(): Promise<number> {
    for (let before = -1; before !== this.bytes || this.bytes === 0; ) {
      before = this.bytes
      await sleep(500)
    }
    return this.bytes
  }
}

const MEGABYTE = 1_000_000

describe('a stream to a client that does not read', () => {
  it.each(ACROSS)(
    'in the words of %s, from %s, waits for it',
    async (spoken, provider) => {
      const flood = new Flood()
      const said = { input: 20, output: 10 }
      const events = eventsOf(provider, said, ['x'.repeat(50_000), 'end'])
      // The last word and the end come when the client reads again.
      const at = events.findIndex((event) => event.includes('xxx'))
      await open({
        play: async (call) => {
          call.response.writeHead(200, { 'content-type': 'text/event-stream' })
          call.response.write(events.slice(0, at).join(''))
          await flood.write(call, events[at] ?? '', 100 * MEGABYTE)
          call.response.end(events.slice(at + 1).join(''))
        },
      })
      const answer = await routed.ask({ model: `${provider}/m`, stream: true }, {}, spoken)
      expect(await flood.stopped()).toBeLessThan(20 * MEGABYTE)
      flood.enough = true
      expect((await answer.text()).length).toBeGreaterThan(flood.bytes / 2)
      const { outcome } = await routed.entry()
      expect(outcome).toMatchObject({ ending: 'completed', certainty: 'exact', cost: { totalNanoUsd: COST } })
    },
    30_000,
  )
})

describe('an error that does not end', () => {
  it.each(ACROSS)('reaches a client of %s, asking %s, and its connection is closed', async (spoken, provider) => {
    const flood = new Flood()
    await open({
      // What is read through no SDK is bounded as every answer is.
      env: provider === 'gemini' ? { MAX_BODY_BYTES: '1048576' } : {},
      play: async (call) => {
        call.response.writeHead(500, { 'content-type': 'application/json' })
        await flood.write(call, 'x'.repeat(10_000), 200 * MEGABYTE)
        call.response.destroy()
      },
    })
    const answer = await within(5_000, routed.ask({ model: `${provider}/m` }, {}, spoken))
    expect(answer.status).toBe(provider === 'gemini' ? 502 : 500)
    errorIn(spoken, await answer.json())
    const [call] = routed.stage.upstream.received
    expect(await within(5_000, Promise.resolve(call?.cut))).toBe(true)
    expect(flood.bytes).toBeGreaterThan(1_000_000)
    expect(flood.bytes).toBeLessThan(20 * MEGABYTE)
    expect((await routed.entry()).outcome).toMatchObject({ ending: 'failed' })
  })
})

describe('a circuit', () => {
  it.each([
    ['openai', 'openai', 'first'],
    ['anthropic', 'openai', 'first'],
    ['openai', 'anthropic', 'anthropic'],
    ['openai', 'gemini', 'gemini'],
  ] as const)('lets others of %s through as soon as a stream of %s (%s) has begun', async (spoken, heard, provider) => {
    const clock = new HandClock()
    const model = `${provider}/m`
    await open({ clock, play: fails(500), first: fails(500) })
    for (let call = 0; call < 10; call++) expect((await routed.ask({ model }, {}, spoken)).status).toBe(500)
    expect((await routed.ask({ model }, {}, spoken)).status).toBe(503)
    clock.pass(5_000)
    let goOn: () => void = () => {}
    const going = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const begins: Play = async ({ response }) => {
      const [head = '', ...rest] = eventsOf(heard, { input: 20, output: 10 })
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(head)
      await going
      response.end(rest.join(''))
    }
    const play: Play = (call) => (/"stream":true|:stream/.test(call.body + call.path) ? begins : well)(call)
    routed.stage.upstream.play = play
    routed.first.play = play
    const probe = await within(5_000, routed.ask({ model, stream: true }, {}, spoken))
    expect(probe.status).toBe(200)
    const others = await Promise.all([1, 2, 3].map(() => routed.ask({ model }, {}, spoken)))
    expect(others.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(await routed.targets()).toMatchObject([{ circuit: 'closed' }])
    goOn()
    await probe.text()
  })

  const ERROR: Readonly<Record<Spoken, string>> = {
    openai: 'data: {"error":{"message":"no","type":"server_error","code":null,"param":null}}\n\n',
    anthropic: 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n',
    gemini: 'data: {"error":{"code":503,"message":"no","status":"UNAVAILABLE"}}\r\n\r\n',
  }

  it.each([...SPOKEN.map((one) => [one, one] as const), ...ACROSS])(
    'of streams in the words of %s, from %s, that end in an error stays closed',
    async (spoken, provider) => {
      const [begun = ''] = eventsOf(provider, { input: 20, output: 10 })
      const play: Play = ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.end(begun + ERROR[provider])
      }
      await open({ play })
      const model = spoken === provider ? 'm' : `${provider}/m`
      for (let call = 0; call < 12; call++) {
        const answer = await routed.ask({ model, stream: true }, {}, spoken)
        expect(answer.status).toBe(200)
        expect(await heardOf(answer)).toContain('"error"')
      }
      expect(routed.stage.upstream.received).toHaveLength(12)
      const entries = await routed.stage.settled(12)
      expect(entries.map(({ outcome }) => outcome?.attempts[0]?.error)).toEqual(Array(12).fill('error event'))
      for (const { circuit, failed } of await routed.targets()) expect([circuit, failed]).toEqual(['closed', 0])
    },
  )
})

describe('a model whose prefix is nobody’s', () => {
  const EVERYBODYS = { ...PRICES[0], model: 'nobody/m' }

  it.each(SPOKEN)('is not asked of an endpoint because anybody’s price is known (%s)', async (spoken) => {
    const [env, file] = [
      { OPENAI_API_KEY: '', ANTHROPIC_API_KEY: '', GEMINI_API_KEY: '' },
      { prices: [...PRICES, EVERYBODYS] },
    ]
    await open({ env, file })
    const answer = await routed.ask({ model: 'nobody/m' }, {}, spoken)
    expect(answer.status).toBe(503)
    expect(errorIn(spoken, await answer.json()).message).toContain(`${spoken.toUpperCase()}_API_KEY`)
    expect([routed.asked, routed.stage.upstream.received.length]).toEqual([[0, 0], 0])
  })
})

it('the limit of a model is shown where it is asked for with its provider in front', async () => {
  await open({ file: { limits: { ...LIMITS, perModel: { requestsPerDay: 7 } } } })
  const shown = { limit: 'requests_per_day', subject: 'model:openai/o1', capacity: 7 }
  expect(await routed.stage.levels('?model=openai/o1')).toContainEqual(expect.objectContaining(shown))
  expect(await routed.stage.levels('?model=openai%2Fo1')).toContainEqual(expect.objectContaining(shown))
  expect(await routed.stage.levels('?provider=openai&model=o1')).toContainEqual(expect.objectContaining(shown))
})

describe('a request of very many values', () => {
  const MANY = `[${Array(100_001).fill('0').join(',')}]`
  const bodyOf = (spoken: Spoken, model: string) => {
    const said =
      spoken === 'gemini' ? '"contents":[{"parts":[{"text":"hi"}]}]' : '"messages":[{"role":"user","content":"hi"}]'
    return `{"model":"${model}","max_tokens":50,${said},"metadata":${MANY}}`
  }
  const pathOf = (spoken: Spoken, model: string) =>
    ({
      openai: '/v1/chat/completions',
      anthropic: '/v1/messages',
      gemini: `/v1beta/models/${encodeURIComponent(model)}:generateContent`,
    })[spoken]

  it.each(ACROSS)('of a client of %s is not translated for %s, and says why at once', async (spoken, provider) => {
    await open()
    const init = { method: 'POST', headers: { 'content-type': 'application/json' } }
    const model = `${provider}/m`
    const asked = routed.stage.fetch('over sockets', pathOf(spoken, model), { ...init, body: bodyOf(spoken, model) })
    const answer = await within(1_000, asked)
    expect(answer.status).toBe(400)
    expect(errorIn(spoken, await answer.json()).message).toMatch(/at most 100000 values/)
    expect(routed.stage.upstream.received).toHaveLength(0)
    expect(await routed.stage.entries()).toHaveLength(0)
  })

  it.each(SPOKEN)('goes on to %s as it is where nothing is translated', async (spoken) => {
    await open()
    const init = { method: 'POST', headers: { 'content-type': 'application/json' } }
    const body = bodyOf(spoken, 'm')
    const answer = await routed.stage.fetch('over sockets', pathOf(spoken, 'm'), { ...init, body })
    expect(answer.status).toBe(200)
    await until(async () => received(spoken)[0])
    expect(received(spoken)[0]?.body).toContain(MANY)
  })
})
