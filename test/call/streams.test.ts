// Streams on their way through: the bytes as they came, settled before the last event leaves, closed at once, and never
// ended without saying how.

import { request as rawRequest } from 'node:http'
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createDeflate,
  createGzip,
  createZstdCompress,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { TRANSPORTS, type Transport } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerStream, type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import type { ProviderScript } from '../support/provider.ts'
import { turns, withTimeout } from '../support/waiting.ts'
import {
  costOfUsage,
  DIALECT_NAMES,
  type DialectName,
  errorIn,
  eventsOf,
  requestFor,
  wholeAnswer,
} from './dialect-fixtures.ts'
import { expectSettled, LIMITED_CONFIG } from './settlement-checks.ts'

/** Stands still: no deadline comes, and no connection is given up, before a test says so. */
let clock: ManualClock

function open(script: ProviderScript, options: GatewayFixtureOptions = {}): Promise<GatewayFixture> {
  clock = new ManualClock()
  return useGateway({ config: LIMITED_CONFIG, respond: script, clock, timers: clock, ...options })
}

/** Waits for the first chunk of an answer. The answer that is returned holds that chunk, too. */
async function readFirstChunk(answer: Response): Promise<Response> {
  const reader = answer.body?.getReader()
  const first = await reader?.read()
  const body = new ReadableStream({
    start: (sink) => sink.enqueue(first?.value),
    pull: async (sink) => {
      const read = await reader?.read()
      if (read?.value) sink.enqueue(read.value)
      else sink.close()
    },
  })
  return new Response(body, { status: answer.status, headers: answer.headers })
}

const transportsAndDialects: [Transport, DialectName][] = TRANSPORTS.flatMap((transport) =>
  DIALECT_NAMES.map((dialect): [Transport, DialectName] => [transport, dialect]),
)
const USAGE = { input: 21, output: 9 }
const EXACT = { ending: 'completed', certainty: 'exact', cost: costOfUsage(USAGE), tokens: 30 }

describe.each(TRANSPORTS)('%s, responses:', (transport) => {
  it.each(['\n', '\r\n'])(
    'the rest of the last event is waited for, and the connection is not (%j)',
    async (newline) => {
      const usage = { input_tokens: USAGE.input, output_tokens: USAGE.output }
      const last = {
        type: 'response.completed',
        response: { object: 'response', model: 'm', status: 'completed', usage },
      }
      const sent = `data: ${JSON.stringify(last)}${newline}event: response.completed${newline}${newline}`
      const gateway = await open(async ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        for (const piece of sent.split(/(?<=\r|\n)/)) {
          response.write(piece)
          await turns()
        }
      })
      const body = JSON.stringify({ model: 'm', input: 'hello', max_output_tokens: 50, stream: true })
      const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
      const answer = await gateway.client.fetch(transport, '/v1/responses', init)
      expect(await answer.text()).toBe(sent)
      await expectSettled(gateway, EXACT)
    },
  )
})

describe.each(transportsAndDialects)('%s, %s:', (transport, dialect) => {
  it('the bytes are those of the provider, wherever they are cut', async () => {
    const sent = eventsOf(dialect, USAGE, ['Hé', '日本', '\\"usage\\":{"', ' 👋']).join('')
    const bytes = Buffer.from(sent)
    const gateway = await open(async ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
      for (let offset = 0; offset < bytes.length; offset += 7) response.write(bytes.subarray(offset, offset + 7))
      response.end()
    })
    const answer = await requestUsage(gateway, dialect, transport)
    expect(await answer.text()).toBe(sent)
    await expectSettled(gateway, EXACT)
  })

  it('the blank line after the last event is waited for, and the connection is not', async () => {
    const sent = eventsOf(dialect, USAGE).join('')
    const gateway = await open(async ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(sent.slice(0, -1))
      await turns()
      response.write(sent.slice(-1))
      if (dialect === 'gemini') response.end()
    })
    const answer = await requestUsage(gateway, dialect, transport)
    expect(await answer.text()).toBe(sent)
    await expectSettled(gateway, EXACT)
  })

  it('a stream that ends without its end is an error, and costs the whole reservation', async () => {
    const first = beginningOf(dialect)
    const gateway = await open(({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(`${first}data: {"delta":`)
    })
    const answer = await gateway.client.asks(dialect, { cap: 50, stream: true }, {}, transport)
    await expectErrorEvent(dialect, answer, /broke off/, first)
    await expectSettled(gateway, { ending: 'failed', certainty: 'upperBound', cost: 'whole' })
  })

  it('an upstream that dies in the middle of a stream is an error event', async () => {
    const first = beginningOf(dialect)
    const gateway = await open(({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(first, () => response.destroy())
    })
    const answer = await gateway.client.asks(dialect, { cap: 50, stream: true }, {}, transport)
    await expectErrorEvent(dialect, answer, /broke off/, first)
    await expectSettled(gateway, { ending: 'failed', certainty: 'upperBound', cost: 'whole' })
  })

  it('a stream that is not over in time is cut with an error event', async () => {
    const first = beginningOf(dialect)
    const gateway = await open(
      ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(first)
      },
      { env: { UPSTREAM_TIMEOUT_MS: '150' } },
    )
    const answer = await gateway.client.asks(dialect, { cap: 50, stream: true }, {}, transport)
    const begun = await readFirstChunk(answer)
    clock.advance(150)
    await expectErrorEvent(dialect, begun, /in time/, first)
    await expectSettled(gateway, { ending: 'failed', certainty: 'upperBound', cost: 'whole' })
    expect(await gateway.provider.received[0]?.cut).toBe(true)
  })

  it("the provider's own error event passes on, and costs the whole reservation", async () => {
    const first = beginningOf(dialect)
    const error = {
      type: 'error',
      error: { type: 'overloaded_error', message: 'Overloaded', code: 503, status: 'UNAVAILABLE' },
    }
    const sent = `${first}${dialect === 'anthropic' ? 'event: error\n' : ''}data: ${JSON.stringify(error)}\n\n`
    const gateway = await open((call) => answerStream(call, [sent]))
    const answer = await gateway.client.asks(dialect, { cap: 50, stream: true }, {}, transport)
    expect(await answer.text()).toBe(sent)
    await expectSettled(gateway, { ending: 'failed', certainty: 'upperBound', cost: 'whole' })
  })

  it.each(['gzip', 'br', 'deflate', 'zstd'] as const)(
    'a whole answer in %s passes on as it is, metered',
    async (encoding) => {
      const whole = { gzip: gzipSync, br: brotliCompressSync, deflate: deflateSync, zstd: zstdCompressSync }
      const sent = whole[encoding](wholeAnswer(dialect, USAGE))
      const gateway = await open(({ response }) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding }).end(sent)
      })
      const { headers, body } = await fetchRaw(gateway, dialect, transport, false)
      expect(headers.get('content-encoding')).toBe(encoding)
      expect(headers.get('x-bursar-cost-usd')).toBe('0.000039')
      expect(body.equals(sent)).toBe(true)
      await expectSettled(gateway, EXACT)
    },
  )

  it.each(['gzip', 'br', 'deflate', 'zstd'] as const)(
    'a stream in %s passes on as it is, metered',
    async (encoding) => {
      const sent: Buffer[] = []
      const gateway = await open(async ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': encoding })
        const coder = compressors[encoding]()
        coder.on('data', (chunk: Buffer) => {
          sent.push(chunk)
          response.write(chunk)
        })
        coder.on('end', () => response.end())
        for (const event of eventsOf(dialect, USAGE)) {
          await new Promise((resolve) => coder.write(event, resolve))
        }
        // The encoding's own end comes when the last event is long gone.
        await turns()
        coder.end()
      })
      const { headers, body } = await fetchRaw(gateway, dialect, transport, true)
      expect(headers.get('content-encoding')).toBe(encoding)
      expect(body.equals(Buffer.concat(sent))).toBe(true)
      await expectSettled(gateway, EXACT)
    },
  )
})

describe.each(TRANSPORTS)('%s:', (transport) => {
  it('openai: a usage chunk that was not asked for is asked for, metered, and hidden', async () => {
    const events = eventsOf('openai', USAGE)
    const gateway = await open((call) => answerStream(call, events))
    const answer = await gateway.client.asks(
      'openai',
      { cap: 50, stream: true },
      { headers: { 'accept-encoding': 'gzip' } },
      transport,
    )
    expect(await answer.text()).toBe(events.toSpliced(-2, 1).join(''))
    const [call] = gateway.provider.received
    expect(JSON.parse(call?.body ?? '')).toHaveProperty('stream_options', { include_usage: true })
    expect(call?.headers['accept-encoding']).toBe('identity')
    await expectSettled(gateway, EXACT)
  })

  it('openai: a first chunk with empty choices and no usage is not hidden', async () => {
    const filters = `data: ${JSON.stringify({ choices: [], prompt_filter_results: [], usage: null })}\n\n`
    const events = [filters, ...eventsOf('openai', USAGE)]
    const gateway = await open((call) => answerStream(call, events))
    const answer = await gateway.client.asks('openai', { cap: 50, stream: true }, {}, transport)
    expect(await answer.text()).toBe(events.toSpliced(-2, 1).join(''))
  })

  it.each(['openai', 'anthropic'] as const)(
    '%s: the answer closes at once after its last event, though the upstream does not',
    async (dialect) => {
      const gateway = await open((call) => answerStream(call, eventsOf(dialect, USAGE), false))
      await (await gateway.client.asks(dialect, { cap: 50, stream: true }, {}, transport)).text()
      await expectSettled(gateway, EXACT)
      // The connection is given up a while later, so that it does not stay open for ever.
      clock.advance(1_000)
      expect(await withTimeout(25_000, gateway.provider.received[0]?.cut ?? Promise.resolve(false))).toBe(true)
    },
  )

  it.each(['openai', 'anthropic'] as const)('%s: the call is settled before its last event leaves', async (dialect) => {
    const gateway = await open((call) => answerStream(call, eventsOf(dialect, USAGE), false))
    const answer = await gateway.client.asks(dialect, { cap: 50, stream: true }, {}, transport)
    const decoder = new TextDecoder()
    let seen = ''
    for await (const chunk of answer.body ?? []) {
      seen += decoder.decode(chunk, { stream: true })
      const over = seen.includes('[DONE]') || seen.includes('message_stop')
      if (over) break
    }
    expect((await gateway.app.store.figures({ simulated: false })).open.calls).toBe(0)
    await expectSettled(gateway, EXACT)
  })

  it('gemini: a stream that is one JSON array is passed on, metered, and ended as an array where it breaks off', async () => {
    const elements = eventsOf('gemini', USAGE).map((event) => event.slice('data: '.length).trim())
    const whole = `[${elements.join('\n,\r\n')}\n]`
    let sent = whole
    const gateway = await open(
      ({ response }) => void response.writeHead(200, { 'content-type': 'application/json; charset=UTF-8' }).end(sent),
    )
    const { body } = requestFor('gemini', { cap: 50 })
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
    const answer = await gateway.client.fetch(transport, '/v1beta/models/m:streamGenerateContent', init)
    expect(await answer.text()).toBe(whole)
    await expectSettled(gateway, EXACT)
    sent = `[${elements[0]}\n`
    const broken = await gateway.client.fetch(transport, '/v1beta/models/m:streamGenerateContent', init)
    const { text, broke } = await readAll(broken)
    const list = JSON.parse(text) as unknown[]
    expect(broke).toBe(true)
    expect(list).toHaveLength(2)
    expect(list[1]).toMatchObject({ error: { code: 502, status: 'UNAVAILABLE' } })
  })
})

/** The events up to the first word. */
function beginningOf(dialect: DialectName): string {
  return eventsOf(dialect, USAGE)
    .slice(0, dialect === 'anthropic' ? 2 : 1)
    .join('')
}

/** A stream whose usage the caller itself asked for, so that nothing is hidden from it. */
function requestUsage(gateway: GatewayFixture, dialect: DialectName, transport: Transport): Promise<Response> {
  const { path, body } = requestFor(dialect, { cap: 50, stream: true })
  const fields = dialect === 'openai' ? { stream_options: { include_usage: true } } : {}
  const asked = JSON.stringify({ ...JSON.parse(body), ...fields })
  return gateway.client.fetch(transport, path, {
    method: 'POST',
    body: asked,
    headers: { 'content-type': 'application/json' },
  })
}

const compressors = {
  gzip: () => createGzip({ flush: constants.Z_SYNC_FLUSH }),
  br: () => createBrotliCompress({ flush: constants.BROTLI_OPERATION_FLUSH }),
  deflate: () => createDeflate({ flush: constants.Z_SYNC_FLUSH }),
  zstd: () => createZstdCompress({ flush: constants.ZSTD_e_flush }),
}

/** The answer's bytes as they came, which `fetch` over sockets would decode. */
async function fetchRaw(
  gateway: GatewayFixture,
  dialect: DialectName,
  transport: Transport,
  stream: boolean,
): Promise<{ headers: Headers; body: Buffer }> {
  const { path, body } = requestFor(dialect, { cap: 50, stream })
  // With its usage asked for by the client, a stream may come encoded.
  const fields = stream && dialect === 'openai' ? { stream_options: { include_usage: true } } : {}
  const asked = JSON.stringify({ ...JSON.parse(body), ...fields })
  const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip, br, deflate, zstd' }
  if (transport === 'in process') {
    const answer = await gateway.client.fetch(transport, path, { method: 'POST', body: asked, headers })
    return { headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) }
  }
  return new Promise((resolve, reject) => {
    const request = rawRequest(gateway.url + path, { method: 'POST', headers }, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk)
      const pairs = Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)])
      resolve({ headers: new Headers(pairs), body: Buffer.concat(chunks) })
    })
    request.on('error', reject).end(asked)
  })
}

/** All that comes, and whether it broke off. */
async function readAll(answer: Response): Promise<{ text: string; broke: boolean }> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const chunk of answer.body ?? []) text += decoder.decode(chunk, { stream: true })
    return { text, broke: false }
  } catch {
    return { text, broke: true }
  }
}

/** The last event is the dialect's error event. Gemini's SDKs read on after one: there the connection breaks as well. */
async function expectErrorEvent(dialect: DialectName, answer: Response, message: RegExp, first: string): Promise<void> {
  const { text, broke } = await readAll(answer)
  expect({ begins: text.startsWith(first), broke }).toEqual({ begins: true, broke: dialect === 'gemini' })
  const last =
    text
      .trimEnd()
      .split(/\r?\n\r?\n/)
      .at(-1) ?? ''
  if (dialect === 'anthropic') expect(last).toMatch(/^event: error\n/)
  expect(errorIn(dialect, JSON.parse(/^data: (.*)$/m.exec(last)?.[1] ?? '{}')).message).toMatch(message)
}
