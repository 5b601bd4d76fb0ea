// Early errors: answers that turn out to be errors before anything was answered, and how long the opening of a stream is waited for.

import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { EagerTimers, ManualClock } from '../support/clocks.ts'
import { useGateway } from '../support/gateway.ts'
import type { ProviderScript } from '../support/provider.ts'
import { turns, waitFor } from '../support/waiting.ts'
import { costOfUsage, DIALECT_NAMES, type DialectName, errorIn, eventsOf } from './dialect-fixtures.ts'
import {
  COST_NANO_USD,
  inTurn,
  PRICES,
  type RoutingFixture,
  type RoutingFixtureOptions,
  succeeds,
  USAGE,
  useRouting,
} from './routing-fixture.ts'

const data = (event: object) => `data: ${JSON.stringify(event)}\n\n`
const OVERLOADED: Readonly<Record<DialectName, { readonly status: number; readonly error: object }>> = {
  openai: {
    status: 503,
    error: { error: { message: 'Too busy', type: 'server_error', code: 'server_is_overloaded', param: null } },
  },
  anthropic: { status: 529, error: { type: 'error', error: { type: 'overloaded_error', message: 'Too busy' } } },
  gemini: { status: 503, error: { error: { code: 503, message: 'Too busy', status: 'UNAVAILABLE' } } },
}
const ROLE = {
  id: 'c',
  object: 'chat.completion.chunk',
  model: 'm',
  choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }],
}
const MESSAGE_START = {
  type: 'message_start',
  message: { id: 'm', model: 'm', content: [], usage: { input_tokens: 25, output_tokens: 1 } },
}
/** What may come before anything is answered. */
const PREAMBLES: Readonly<Record<DialectName, string>> = {
  openai: `: OPENROUTER PROCESSING\n\n${data(ROLE)}`,
  anthropic: `event: message_start\n${data(MESSAGE_START)}event: ping\n${data({ type: 'ping' })}`,
  gemini: data({ usageMetadata: { promptTokenCount: 25 }, modelVersion: 'm' }),
}

/** What begins a text or a thought, and says nothing. */
const EMPTY_STARTS: Readonly<Partial<Record<DialectName, string>>> = {
  anthropic: [
    { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: '' } },
  ]
    .map(data)
    .join(''),
}

/** Answers with a 200 that is these pieces, each a packet of its own. */
const says =
  (type: string, ...pieces: string[]): ProviderScript =>
  () => ({ status: 200, headers: { 'content-type': type }, pieces })
const streams = (...pieces: string[]) => says('text/event-stream', ...pieces)

/** How each provider says that it is too busy. */
const FORMS: Readonly<Record<string, (dialect: DialectName) => ProviderScript>> = {
  'in its first event': (dialect) => streams(data(OVERLOADED[dialect].error)),
  'behind a preamble': (dialect) => streams(PREAMBLES[dialect] + data(OVERLOADED[dialect].error)),
  'behind a preamble, in many packets': (dialect) =>
    streams(...(PREAMBLES[dialect] + data(OVERLOADED[dialect].error)).split(/(?<=[\n:,])/)),
  'without a line end': (dialect) => streams(data(OVERLOADED[dialect].error).trimEnd()),
  'as one JSON': (dialect) => says('application/json', JSON.stringify(OVERLOADED[dialect].error)),
  'as one JSON under the type of events': (dialect) => streams(JSON.stringify(OVERLOADED[dialect].error)),
  'behind the start of an empty text': (dialect) =>
    streams(PREAMBLES[dialect] + (EMPTY_STARTS[dialect] ?? '') + data(OVERLOADED[dialect].error)),
  'under the wrong type': (dialect) => says('application/json', data(OVERLOADED[dialect].error)),
  'in a list': (dialect) => streams(data([OVERLOADED[dialect].error])),
}
const PAIRS = [
  ...DIALECT_NAMES.map((dialect) => [dialect, dialect] as const),
  ['anthropic', 'openai'],
  ['openai', 'anthropic'],
  ['openai', 'gemini'],
  ['gemini', 'openai'],
  ['anthropic', 'gemini'],
  ['gemini', 'anthropic'],
] as const
const otherThan = (dialect: DialectName): DialectName => (dialect === 'openai' ? 'anthropic' : 'openai')

/** One provider does as it is told, and the others answer. */
const only =
  (busy: DialectName, script: ProviderScript): ProviderScript =>
  (call) =>
    (call.dialect === busy ? script : succeeds)(call)

/** Timers of less than a second go off at once, so that retries do not wait; the others never do, however busy the machine is. */
const openRouting = (options: RoutingFixtureOptions) => useRouting({ timers: new EagerTimers(), ...options })

async function attemptsOf(routing: RoutingFixture) {
  const { outcome } = await routing.settledEntry()
  return outcome?.attempts.map(({ provider, status, error, costNanoUsd }) => [provider, status, error, costNanoUsd])
}

describe.each(Object.keys(FORMS))('an error %s', (form) => {
  it.each(PAIRS)(
    'to a client of %s, from %s, is answered by the next target, and costs nothing',
    async (caller, provider) => {
      const other = otherThan(provider)
      const script = FORMS[form]?.(provider) ?? succeeds
      const aliases = { both: { targets: [`${provider}/m`, `${other}/m`], retries: 0 } }
      const routing = await openRouting({ respond: only(provider, script), file: { aliases } })
      const answer = await routing.send({ stream: true }, {}, caller)
      expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, `${other}/m`])
      const text = await answer.text()
      expect(text).toContain('Hel')
      expect(text).not.toContain('Too busy')
      expect(await attemptsOf(routing)).toEqual([
        [provider, OVERLOADED[provider].status, 'error in the answer', 0n],
        [other, 200, null, COST_NANO_USD],
      ])
      expect((await routing.settledEntry()).outcome).toMatchObject({
        certainty: 'exact',
        cost: { totalNanoUsd: COST_NANO_USD },
      })
    },
  )

  it.each(PAIRS)(
    'to a client of %s, from %s, has a status where there is no other target',
    async (caller, provider) => {
      const routing = await openRouting({ respond: FORMS[form]?.(provider) ?? succeeds })
      const answer = await routing.send({ model: `${provider}/m`, stream: true }, {}, caller)
      expect([answer.status, answer.headers.get('content-type')]).toEqual([
        OVERLOADED[provider].status,
        'application/json',
      ])
      expect(answer.headers.has('x-should-retry')).toBe(false)
      expect(errorIn(caller, await answer.json()).message).toBe('Too busy')
      expect(await attemptsOf(routing)).toEqual([[provider, OVERLOADED[provider].status, 'error in the answer', 0n]])
    },
  )
})

describe('plain text in place of an answer', () => {
  it.each([
    ['text/plain', true],
    ['text/plain', false],
    ['text/event-stream', true],
  ])('of type %s (streamed: %s) is answered by the next target', async (type, stream) => {
    for (const [caller, provider] of PAIRS) {
      const script = says(type, 'upstream connect error or disconnect/reset before headers')
      const other = otherThan(provider)
      const aliases = { both: { targets: [`${provider}/m`, `${other}/m`], retries: 0 } }
      const routing = await openRouting({ respond: only(provider, script), file: { aliases } })
      const answer = await routing.send({ stream }, {}, caller)
      expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, `${other}/m`])
      expect(await answer.text()).not.toContain('upstream')
    }
  })
})

describe('a whole 200 that is an error', () => {
  it.each(PAIRS)('to a client of %s, from %s, has its status', async (caller, provider) => {
    const routing = await openRouting({ respond: says('application/json', JSON.stringify(OVERLOADED[provider].error)) })
    const answer = await routing.send({ model: `${provider}/m` }, {}, caller)
    expect(answer.status).toBe(OVERLOADED[provider].status)
    expect(errorIn(caller, await answer.json()).message).toBe('Too busy')
    expect(await attemptsOf(routing)).toEqual([[provider, OVERLOADED[provider].status, 'error in the answer', 0n]])
  })

  it.each([
    [{ error: { code: 429, message: 'slowly' } }, 429],
    [{ object: 'error', message: 'slowly', type: 'BadRequestError', code: 400 }, 400],
    [{ detail: 'slowly' }, 502],
    [{ choices: [{ error: { code: 502, message: 'slowly' }, finish_reason: 'error' }] }, 502],
    [[{ error: { code: 429, message: 'slowly' } }], 429],
  ])('%j is told with the status %i', async (body, status) => {
    const routing = await openRouting({ first: says('application/json', JSON.stringify(body)) })
    const answer = await routing.send({ model: 'first/m' })
    expect(answer.status).toBe(status)
    expect(await answer.json()).toMatchObject({ error: { message: 'slowly' } })
  })

  it('in gzip is no longer, where it is told', async () => {
    const error = gzipSync(JSON.stringify(OVERLOADED.openai.error))
    const routing = await openRouting({
      respond: ({ response }) =>
        void response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(error),
    })
    const answer = await routing.send({ model: 'openai/m' }, { headers: { 'accept-encoding': 'gzip' } })
    expect([answer.status, answer.headers.get('content-encoding')]).toEqual([503, null])
    expect(errorIn('openai', await answer.json()).message).toBe('Too busy')
  })

  it('of a count of tokens has its status', async () => {
    const respond = says('application/json', JSON.stringify(OVERLOADED.anthropic.error))
    const { client } = await useGateway({ respond, countsTokens: true, config: { prices: PRICES } })
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }] })
    const headers = { 'content-type': 'application/json' }
    const answer = await client.fetch('over sockets', '/v1/messages/count_tokens', {
      method: 'POST',
      body,
      headers,
    })
    expect(answer.status).toBe(529)
  })
})

describe('an error in a 200 counts as one with that status:', () => {
  const clock = new ManualClock()
  const error = (code: number, message = 'no') => says('text/event-stream', data({ error: { code, message } }))
  const one = { aliases: { one: { targets: ['first/m'], retries: 1 } } }

  it('the same target is tried again', async () => {
    const routing = await openRouting({ first: inTurn(error(503), succeeds), file: one })
    const answer = await routing.send({ model: 'one', stream: true })
    expect(answer.status).toBe(200)
    await answer.text()
    expect(await attemptsOf(routing)).toMatchObject([
      ['first', 503, 'error in the answer', 0n],
      ['first', 200, null, COST_NANO_USD],
    ])
  })

  it('and not for what the request is to blame for', async () => {
    const routing = await openRouting({ first: error(400) })
    const answer = await routing.send({ stream: true })
    expect([answer.status, routing.requestCounts]).toEqual([400, [1, 0]])
    expect(await attemptsOf(routing)).toEqual([['first', 400, 'error in the answer', 0n]])
  })

  it('what may have been billed is booked, and the next target asked beside', async () => {
    const routing = await openRouting({ first: error(500) })
    const answer = await routing.send({ stream: true })
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'second/m'])
    await answer.text()
    const bound = await routing.reservationNanoUsd('both', { stream: true })
    expect(await attemptsOf(routing)).toEqual([
      ['first', 500, 'error in the answer', bound],
      ['second', 200, null, COST_NANO_USD],
    ])
  })

  it('what the error tells was used is booked, whatever the status', async () => {
    const usage = { prompt_tokens: 7, completion_tokens: 0, total_tokens: 7 }
    const routing = await openRouting({ first: streams(data({ error: { code: 429, message: 'no' }, usage })) })
    await (await routing.send({ stream: true })).text()
    const cost = costOfUsage({ input: 7, output: 0 })
    expect(await attemptsOf(routing)).toEqual([
      ['first', 429, 'error in the answer', cost],
      ['second', 200, null, COST_NANO_USD],
    ])
    expect((await routing.settledEntry()).outcome?.cost.totalNanoUsd).toBe(cost + COST_NANO_USD)
  })

  it('the target cools as long as the error says', async () => {
    const routing = await openRouting({ clock, first: error(429, 'Please try again in 7s.') })
    await (await routing.send({ model: 'first/m', stream: true })).text()
    expect(await routing.targets()).toMatchObject([
      { target: 'first/m', circuit: 'closed', failed: 0, cooling_ms: 7_000 },
    ])
  })

  it('its circuit opens, and a probe that meets one more has failed', async () => {
    const routing = await openRouting({ clock, first: error(503) })
    const status = async () => {
      const answer = await routing.send({ model: 'first/m', stream: true })
      await answer.text()
      return answer.status
    }
    for (let call = 0; call < 10; call++) expect(await status()).toBe(503)
    expect(await routing.targets()).toMatchObject([{ circuit: 'open', failed: 10, retry_after_ms: 5_000 }])
    clock.advance(5_000)
    await status()
    expect(await routing.targets()).toMatchObject([{ circuit: 'open', retry_after_ms: 10_000 }])
  })
})

describe('the head of a stream waits', () => {
  /** Asks for a stream that comes piece by piece. */
  async function ask(dialect: DialectName) {
    const clock = new ManualClock()
    const { promise: request, resolve: reached } = Promise.withResolvers<Parameters<ProviderScript>[0]>()
    const routing = await openRouting({
      clock,
      timers: clock,
      respond: (call) => {
        call.response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
        reached(call)
      },
    })
    const seen = { status: 0, text: '' }
    const done = routing.send({ model: 'm', stream: true }, {}, dialect).then(async (answer) => {
      seen.status = answer.status
      const decoder = new TextDecoder()
      for await (const chunk of answer.body ?? []) seen.text += decoder.decode(chunk, { stream: true })
    })
    const { response } = await request
    const timerCount = clock.timerCount
    /** Writes, and waits until the gateway has begun to wait for more. */
    const begin = async (text: string) => {
      response.write(text)
      await waitFor(() => clock.timerCount > timerCount)
    }
    return { clock, routing, seen, done, response, begin }
  }

  it.each(DIALECT_NAMES)('for a second behind a preamble, and no longer (%s)', async (dialect) => {
    const { clock, seen, done, response, begin } = await ask(dialect)
    await begin(PREAMBLES[dialect])
    clock.advance(999)
    await turns()
    expect(seen.status).toBe(0)
    clock.advance(1)
    await waitFor(() => seen.text === PREAMBLES[dialect])
    expect(seen.status).toBe(200)
    response.end(eventsOf(dialect, USAGE).join(''))
    await done
    expect(seen.text).toContain('Hel')
  })

  it.each(DIALECT_NAMES)('for a second behind comments, and no longer (%s)', async (dialect) => {
    const { clock, seen, done, response, begin } = await ask(dialect)
    await begin(': keep-alive\n\n')
    const { timerCount } = clock
    clock.advance(600)
    response.write(': keep-alive\n\n')
    await turns()
    expect([seen.status, clock.timerCount]).toEqual([0, timerCount])
    clock.advance(400)
    await waitFor(() => seen.text === ': keep-alive\n\n: keep-alive\n\n')
    response.end(eventsOf(dialect, USAGE).join(''))
    await done
  })

  it.each(DIALECT_NAMES)('for no content (%s)', async (dialect) => {
    const { clock, seen, done, response } = await ask(dialect)
    const timerCount = clock.timerCount
    const first = eventsOf(dialect, USAGE)
      .slice(0, dialect === 'anthropic' ? 2 : 1)
      .join('')
    response.write(first)
    await waitFor(() => seen.text === first)
    // No timer is left behind.
    expect([seen.status, clock.timerCount]).toEqual([200, timerCount])
    response.end(
      eventsOf(dialect, USAGE)
        .slice(dialect === 'anthropic' ? 2 : 1)
        .join(''),
    )
    await done
  })

  it.each(DIALECT_NAMES)('and an error that comes too late for it is free all the same (%s)', async (dialect) => {
    const { clock, routing, seen, done, response, begin } = await ask(dialect)
    await begin(PREAMBLES[dialect])
    clock.advance(1_000)
    await waitFor(() => seen.status === 200)
    response.end(data(OVERLOADED[dialect].error))
    await done.catch(() => {})
    expect(seen.text).toContain('Too busy')
    expect(await attemptsOf(routing)).toEqual([[dialect, 200, 'error event', 0n]])
  })

  it('as long as the first event takes, up to the deadline of the call', async () => {
    const { clock, seen, done } = await ask('openai')
    clock.advance(599_000)
    await turns()
    expect(seen.status).toBe(0)
    clock.advance(1_000)
    await done
    expect(seen.status).toBe(504)
  })

  it('for a client that leaves no longer', async () => {
    const clock = new ManualClock()
    const abort = new AbortController()
    const routing = await openRouting({
      clock,
      timers: clock,
      env: { ON_DISCONNECT: 'charge' },
      respond: ({ response }) =>
        void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(PREAMBLES.openai),
    })
    const before = clock.timerCount
    const asked = routing.send({ model: 'm', stream: true }, { signal: abort.signal })
    await waitFor(() => clock.timerCount > before + 1)
    abort.abort()
    await asked.catch(() => {})
    const { outcome } = await routing.settledEntry()
    expect(outcome).toMatchObject({ ending: 'canceled', certainty: 'upperBound' })
    clock.advance(1_000)
    await turns()
  })
})

it('an encoded stream that begins with an error is answered by the next target', async () => {
  const bytes = gzipSync(data(OVERLOADED.openai.error))
  const aliases = { both: { targets: ['openai/m', 'anthropic/m'], retries: 0 } }
  const routing = await openRouting({
    respond: only(
      'openai',
      ({ response }) =>
        void response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end(bytes),
    ),
    file: { aliases },
  })
  const answer = await routing.send({ stream: true })
  expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'anthropic/m'])
  expect(await answer.text()).toContain('Hel')
})
