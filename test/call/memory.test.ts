// Nothing that comes from either side makes the gateway's memory grow: measured in a process of its own, after a collection.

import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { GatewayProcess } from '../app/child.ts'
import { answerWhole, useProvider } from '../support/gateway.ts'
import type { FakeProvider, ProviderRequest } from '../support/provider.ts'
import { turns, waitFor } from '../support/waiting.ts'
import { requestFor, wholeAnswer } from './dialect-fixtures.ts'

const MEGABYTE_BYTES = 1_048_576
const MAX_GROWTH_BYTES = 20 * MEGABYTE_BYTES
const DEADLINE_MS = 1_200
/** Real time, since the gateway is another process: how long it works on after its answer has come. */
const SETTLING_MS = 300
const JSON_TYPE = { 'content-type': 'application/json', 'x-api-key': 'alice-secret-alice' }

let provider: FakeProvider
let gateway: GatewayProcess
beforeEach(async () => {
  provider = await useProvider()
  const limits = {
    MAX_REQUESTS_PER_MINUTE: '',
    MAX_TOKENS_PER_MINUTE: '',
    MAX_COST_PER_REQUEST: '1000',
    DAILY_SPENDING_LIMIT: '1000000',
  }
  const keys = { BURSAR_KEYS: 'alice:alice-secret-alice', UNKNOWN_PRICE: 'allow' }
  const memory = {
    ...keys,
    DATABASE_URL: 'memory:',
    UPSTREAM_TIMEOUT_MS: String(DEADLINE_MS),
    MAX_BODY_BYTES: '8388608',
  }
  gateway = await GatewayProcess.start({ ...provider.env, ...limits, ...memory })
  onTestFinished(async () => void (await gateway.kill('SIGKILL')))
})

async function sendRequest({ path, body }: { path: string; body: string }): Promise<number> {
  const answer = await fetch(gateway.url + path, { method: 'POST', body, headers: JSON_TYPE })
  await answer.arrayBuffer().catch(() => {})
  return answer.status
}

/**
 * What allocators keep for themselves varies by as much as is allowed here, and the young generation grows once by more; neither
 * goes on from one time to the next, as a leak does.
 */
const MAX_REPEATS = 3

/**
 * Runs something hostile until pools and heaps have the size they work at, then again, and measures what is left of it. The
 * gateway goes on answering.
 */
async function expectNoGrowth(
  times: number,
  hostile: (times: number) => Promise<unknown>,
  first = times,
): Promise<void> {
  await hostile(first)
  await sleep(SETTLING_MS)
  let grown = Number.POSITIVE_INFINITY
  for (let time = 1; time <= MAX_REPEATS && grown > MAX_GROWTH_BYTES; time++) {
    const before = await gateway.rssBytes()
    await hostile(times)
    await sleep(SETTLING_MS)
    grown = (await gateway.rssBytes()) - before
  }
  expect(Math.round(grown / MEGABYTE_BYTES), 'megabytes grown').toBeLessThanOrEqual(MAX_GROWTH_BYTES / MEGABYTE_BYTES)
  provider.says((call) => answerWhole(call, { input: 20, output: 10 }))
  expect(await sendRequest(requestFor('openai', { model: 'gpt-4o', cap: 10 }))).toBe(200)
}

/** Writes as long as the other side reads. */
async function writeUntilClosed(
  call: ProviderRequest,
  type: string,
  piece: string | Buffer,
  first: string | Buffer = '',
): Promise<void> {
  const { response } = call
  response.writeHead(200, { 'content-type': type })
  if (first.length > 0) response.write(first)
  while (!response.destroyed && !response.closed) {
    if (!response.write(piece)) await Promise.race([once(response, 'drain'), call.cut])
    else await turns(1)
  }
}

const sendStreamed = () => sendRequest(requestFor('openai', { model: 'gpt-4o', cap: 10, stream: true }))

describe('memory stays, whatever comes:', () => {
  it('bodies of 100 MB', () =>
    expectNoGrowth(4, async (times) => {
      for (let index = 0; index < times; index++)
        expect(await sendLargeBody(100 * MEGABYTE_BYTES, index % 2 === 0)).toBe(413)
    }))

  it('models with a megabyte of a name', () =>
    expectNoGrowth(30, async (times) => {
      for (let index = 0; index < times; index++) {
        await sendRequest(requestFor('openai', { model: `sim/${Math.random()}${'x'.repeat(MEGABYTE_BYTES)}`, cap: 10 }))
      }
    }))

  it('users with a megabyte of a name, in each way a body can name them', () =>
    expectNoGrowth(30, async (times) => {
      for (let index = 0; index < times; index++) {
        const user = `${Math.random()}${'u'.repeat(MEGABYTE_BYTES)}`
        const openai = JSON.parse(requestFor('openai', { model: 'gpt-4o', cap: 10 }).body)
        await sendRequest({ path: '/v1/chat/completions', body: JSON.stringify({ ...openai, user }) })
        const claude = JSON.parse(requestFor('anthropic', { model: 'claude-sonnet-4-5', cap: 10 }).body)
        await sendRequest({ path: '/v1/messages', body: JSON.stringify({ ...claude, metadata: { user_id: user } }) })
      }
    }))

  it('answers by models with a megabyte of a name', () =>
    expectNoGrowth(30, async (times) => {
      provider.says(({ dialect, response }) => {
        const model = Math.random() + 'm'.repeat(MEGABYTE_BYTES)
        response
          .writeHead(200, JSON_TYPE)
          .end(wholeAnswer(dialect, { input: 1, output: 1 }).replace('"model":"m"', `"model":"${model}"`))
      })
      for (let index = 0; index < times; index++)
        expect(await sendRequest(requestFor('openai', { model: 'gpt-4o', cap: 10 }))).toBe(200)
    }))

  it('a stream that is one line without an end', () =>
    expectNoGrowth(1, () => {
      provider.says((call) =>
        writeUntilClosed(call, 'text/event-stream', 'x'.repeat(65_536), 'data: {"choices":[{"delta":{"content":"'),
      )
      return sendStreamed()
    }))

  it('a stream of events without an end', () =>
    expectNoGrowth(1, () => {
      const event = 'data: {"choices":[{"index":0,"delta":{"content":"hi"}}],"usage":{}}\n\n'
      provider.says((call) => writeUntilClosed(call, 'text/event-stream', event.repeat(200)))
      return sendStreamed()
    }))

  it('a document without an end, whole and in the place of a stream', () =>
    expectNoGrowth(1, async () => {
      provider.says((call) => writeUntilClosed(call, 'application/json', 'x'.repeat(262_144), '{"choices":"'))
      await sendRequest(requestFor('openai', { model: 'gpt-4o', cap: 10 }))
      await sendStreamed()
    }))

  it('a document as long as the deadline in the place of a stream is not collected beyond the largest answer', async () => {
    const before = await gateway.rssBytes()
    let maxBytes = 0
    provider.says((call) => writeUntilClosed(call, 'application/json', 'x'.repeat(1_048_576), '{"choices":"'))
    const asked = sendStreamed()
    for (let index = 0; index < 10; index++) maxBytes = Math.max(maxBytes, (await gateway.rssBytes()) - before)
    await asked
    expect(maxBytes / MEGABYTE_BYTES).toBeLessThan(60)
  })

  it('a bomb in gzip, whole and streamed', () => {
    const bomb = gzipSync(Buffer.alloc(200 * MEGABYTE_BYTES, 0x20))
    return expectNoGrowth(1, async () => {
      for (const type of ['application/json', 'text/event-stream']) {
        provider.says(
          ({ response }) =>
            void response.writeHead(200, { 'content-type': type, 'content-encoding': 'gzip' }).end(bomb),
        )
        const { path, body } = requestFor('anthropic', {
          model: 'claude-sonnet-4-5',
          cap: 10,
          stream: type === 'text/event-stream',
        })
        await new Promise<void>((resolve) => {
          const headers = { ...JSON_TYPE, 'accept-encoding': 'gzip' }
          const asked = request(gateway.url + path, { method: 'POST', headers }, (answer) =>
            answer.resume().on('close', resolve),
          )
          asked.on('error', () => resolve()).end(body)
        })
      }
    })
  })

  it('clients that ask for much and never read: they hold little, and are given up at the deadline', async () => {
    const before = await gateway.rssBytes()
    let maxBytes = 0
    await expectNoGrowth(10, async (times) => {
      provider.says((call) => writeUntilClosed(call, 'text/event-stream', `data: ${'x'.repeat(65_536)}\n\n`))
      provider.received.length = 0
      const { body, path } = requestFor('openai', { model: 'gpt-4o', cap: 10, stream: true })
      const sockets = Array.from({ length: times }, () => {
        const socket = connect(gateway.port, '127.0.0.1').on('error', () => {})
        socket.pause()
        socket.write(
          `POST ${path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: alice-secret-alice\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        )
        return socket
      })
      await waitFor(async () => provider.received.length === times || undefined)
      // Real time, by the gateway's own clock: its buffers fill, and the deadline has not come.
      await sleep(DEADLINE_MS / 2)
      maxBytes = Math.max(maxBytes, (await gateway.rssBytes()) - before)
      expect(await Promise.all(provider.received.map((call) => call.cut))).not.toContain(false)
      for (const socket of sockets) socket.destroy()
    })
    expect(maxBytes / MEGABYTE_BYTES).toBeLessThan(100)
  })

  it('ten thousand wrong keys', () =>
    expectNoGrowth(
      10_000,
      async (times) => {
        const head =
          'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nauthorization: Bearer '
        for (let index = 0; index < times; index += 250) {
          const wrong = Array.from({ length: 250 }, () => `${head}${Math.random()}\r\n\r\n{}`)
          expect(await sendPipelined(wrong)).toEqual(new Map([['401', 250]]))
        }
      },
      5_000,
    ))
})

/** Sends requests on one connection without waiting, and counts the answers by status. */
function sendPipelined(requests: readonly string[]): Promise<Map<string, number>> {
  const statuses = new Map<string, number>()
  return new Promise((resolve, reject) => {
    let answers = 0
    const socket = connect(gateway.port, '127.0.0.1').on('error', reject)
    socket.on('data', (chunk: Buffer) => {
      for (const [, status = ''] of chunk.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3})/g)) {
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        if (++answers < requests.length) continue
        socket.destroy()
        resolve(statuses)
      }
    })
    socket.write(requests.join(''))
  })
}

/** A body of this size, with its length in the head or not. Resolves with the answer's status. */
function sendLargeBody(bytes: number, declared: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const length = declared ? { 'content-length': bytes } : {}
    const asked = request(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { ...JSON_TYPE, ...length },
    })
    asked.on('response', (answer) => {
      resolve(answer.statusCode ?? 0)
      answer.resume()
    })
    asked.on('error', reject)
    const piece = Buffer.alloc(MEGABYTE_BYTES, 0x20)
    let sent = 0
    const writeOn = () => {
      while (sent < bytes) {
        sent += MEGABYTE_BYTES
        if (!asked.write(piece)) return void asked.once('drain', writeOn)
      }
      asked.end()
    }
    writeOn()
  })
}
