// How calls end and how they are settled, over both exchanges and in every dialect.

import { describe, expect, it } from 'vitest'
import { TRANSPORTS, type Transport } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import type { ProviderScript } from '../support/provider.ts'
import { waitFor, withTimeout } from '../support/waiting.ts'
import { costOfUsage, DIALECT_NAMES, type DialectName, errorIn, eventsOf } from './dialect-fixtures.ts'
import { expectSettled, LIMITED_CONFIG, readSettled } from './settlement-checks.ts'

function open(script: ProviderScript, options: GatewayFixtureOptions = {}): Promise<GatewayFixture> {
  return useGateway({ config: LIMITED_CONFIG, respond: script, ...options })
}

const transportsAndDialects: [Transport, DialectName][] = TRANSPORTS.flatMap((transport) =>
  DIALECT_NAMES.map((dialect): [Transport, DialectName] => [transport, dialect]),
)
const USAGE = { input: 21, output: 9 }
/** Error statuses that this provider does not bill, beside those that no provider bills. */
const FREE_STATUSES: Readonly<Record<DialectName, readonly number[]>> = {
  openai: [400, 402, 405, 409, 415, 503],
  anthropic: [400, 402, 405, 409, 415, 503, 529],
  gemini: [400, 402, 405, 409, 415, 503],
}
const COMMON_FREE_STATUSES = [401, 403, 404, 413, 422, 429]

describe.each(transportsAndDialects)('%s, %s:', (transport, dialect) => {
  it('a whole answer is settled exactly, and says what it cost', async () => {
    const gateway = await open((call) => answerWhole(call, USAGE))
    const answer = await gateway.client.asks(dialect, { cap: 50 }, {}, transport)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-bursar-cost-usd')).toBe('0.000039')
    expect(answer.headers.get('x-bursar-source')).toBe('provider')
    await answer.text()
    const entry = await expectSettled(gateway, {
      ending: 'completed',
      certainty: 'exact',
      cost: costOfUsage(USAGE),
      tokens: 30,
    })
    expect(answer.headers.get('x-bursar-call-id')).toBe(entry.facts.callId)
    expect(entry.outcome?.attempts).toMatchObject([{ status: 200, error: null }])
  })

  it('a stream is settled exactly', async () => {
    const gateway = await open(async ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const event of eventsOf(dialect, USAGE)) response.write(event)
      response.end()
    })
    const answer = await gateway.client.asks(dialect, { cap: 50, stream: true }, {}, transport)
    expect(answer.headers.get('x-bursar-cost-usd')).toBeNull()
    await answer.text()
    const entry = await expectSettled(gateway, {
      ending: 'completed',
      certainty: 'exact',
      cost: costOfUsage(USAGE),
      tokens: 30,
    })
    expect(entry.facts.streaming).toBe(true)
  })

  it('errors that are not billed take the request only, and others the whole reservation', async () => {
    let status = 0
    const gateway = await open(({ response }) => {
      response
        .writeHead(status, { 'content-type': 'application/json', 'retry-after': '7' })
        .end('{"error":{"message":"no"}}')
    })
    let spent = 0n
    const statuses = [...COMMON_FREE_STATUSES, ...FREE_STATUSES[dialect], 408, 418, 500, 502, 504]
    for (const [index, code] of statuses.entries()) {
      status = code
      const answer = await gateway.client.asks(
        dialect,
        { cap: 50, stream: index % 2 === 0 },
        { redirect: 'manual' },
        transport,
      )
      expect([answer.status, await answer.text()]).toEqual([code, '{"error":{"message":"no"}}'])
      expect(answer.headers.get('retry-after')).toBe('7')
      const [entry] = await gateway.ledger.holds(index + 1)
      const free = COMMON_FREE_STATUSES.includes(code) || FREE_STATUSES[dialect].includes(code)
      const cost = free ? 0n : (entry?.facts.reservedCostNanoUsd ?? -1n)
      expect(entry?.outcome).toMatchObject({
        ending: 'failed',
        certainty: free ? 'exact' : 'upperBound',
        cost: { totalNanoUsd: cost },
      })
      expect(entry?.outcome?.attempts).toMatchObject([{ status: code, error: `status ${code}` }])
      spent += cost
    }
    const { levels } = await readSettled(gateway)
    expect(levels).toMatchObject({ requests: statuses.length, costNanoUsd: spent, inFlight: 0 })
  })

  it('an upstream that cannot be reached costs nothing', async () => {
    const gateway = await open(() => {}, { env: UNREACHABLE_ENV })
    const answer = await gateway.client.asks(dialect, { cap: 50 }, {}, transport)
    expect(answer.status).toBe(502)
    await expectSettled(gateway, { ending: 'failed', certainty: 'exact', cost: 0n, tokens: 0 })
    expect(errorIn(dialect, await answer.json()).message).toMatch(/could not be reached/)
  })

  it('an upstream that dies after the request was written costs the whole reservation', async () => {
    const gateway = await open(({ response }) => void response.destroy())
    const answer = await gateway.client.asks(dialect, { cap: 50, stream: true }, {}, transport)
    expect(answer.status).toBe(502)
    await expectSettled(gateway, { ending: 'failed', certainty: 'upperBound', cost: 'whole' })
    expect(errorIn(dialect, await answer.json()).message).toMatch(/broke off/)
  })

  it('an answer that breaks off in its middle is an error, not half an answer', async () => {
    const gateway = await open(({ response }) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
      response.write('{"usage":', () => response.destroy())
    })
    const answer = await gateway.client.asks(dialect, { cap: 50 }, {}, transport)
    expect(answer.status).toBe(502)
    await expectSettled(gateway, { ending: 'failed', certainty: 'upperBound', cost: 'whole' })
  })

  it.each([
    ['garbage', 'application/json', '{"usage": {"prompt_tokens'],
    ['JSON without usage', 'application/json', '{"choices":[],"content":[],"candidates":[]}'],
  ])('%s costs the whole reservation, and is passed on', async (_, type, body) => {
    const gateway = await open(({ response }) => void response.writeHead(200, { 'content-type': type }).end(body))
    const answer = await gateway.client.asks(dialect, { cap: 50 }, {}, transport)
    expect([answer.status, await answer.text()]).toEqual([200, body])
    const entry = await expectSettled(gateway, { certainty: 'upperBound', cost: 'whole' })
    expect(answer.headers.get('x-bursar-cost-usd')).toBe((Number(entry.facts.reservedCostNanoUsd) / 1e9).toString())
  })

  it('a call without an answer in time is cut, and costs the whole reservation', async () => {
    const clock = new ManualClock()
    const gateway = await open(() => {}, { clock, timers: clock, env: { UPSTREAM_TIMEOUT_MS: '120' } })
    const asked = gateway.client.asks(dialect, { cap: 50 }, {}, transport)
    await waitFor(async () => gateway.provider.received[0])
    clock.advance(120)
    const answer = await asked
    expect(answer.status).toBe(504)
    await expectSettled(gateway, { ending: 'failed', certainty: 'upperBound', cost: 'whole' })
    expect(await gateway.provider.received[0]?.cut).toBe(true)
    expect(errorIn(dialect, await answer.json()).message).toMatch(/in time/)
  })

  it('a status no web Response can have reaches the client as some error, and is settled', async () => {
    for (const status of [700, 999]) {
      const gateway = await open(({ response }) => void response.writeHead(status).end())
      const answer = await withTimeout(2_000, gateway.client.asks(dialect, { cap: 50 }, {}, transport))
      expect([502, 700, 999]).toContain(answer.status)
      await expectSettled(gateway, { certainty: 'upperBound', cost: 'whole' })
      await gateway.close()
    }
  })
})

describe.each(TRANSPORTS)('%s:', (transport) => {
  it('the answer carries our rate limits, and the ones of the provider under other names', async () => {
    const gateway = await open(({ response }) => {
      const theirs = {
        'x-ratelimit-remaining-requests': '5',
        'set-cookie': 'a=b',
        'openai-organization': 'org-x',
        'x-request-id': 'req_1',
      }
      response
        .writeHead(200, { 'content-type': 'application/json', ...theirs, 'x-bursar-cost-usd': '99' })
        .end('{"usage":{}}')
    })
    const { headers } = await gateway.client.asks('openai', { cap: 50 }, {}, transport)
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('999')
    expect(headers.get('x-bursar-upstream-x-ratelimit-remaining-requests')).toBe('5')
    expect(headers.get('ratelimit-policy')).toContain('"daily_spending_limit";q=1000000;qu="micro-usd";w=86400')
    expect(headers.get('x-request-id')).toBe('req_1')
    expect([headers.get('set-cookie'), headers.get('openai-organization')]).toEqual([null, null])
    expect(headers.get('x-bursar-cost-usd')).not.toBe('99')
  })

  it('a call that expired stays so: settling it later changes nothing but a counter', async () => {
    const clock = new ManualClock()
    let finish = () => {}
    const gateway = await open((call) => void (finish = () => answerWhole(call, USAGE)), {
      clock,
      env: { UPSTREAM_TIMEOUT_MS: '3600000' },
    })
    const asked = gateway.client.asks('openai', { cap: 50 }, {}, transport)
    await waitFor(async () => gateway.provider.received[0])
    clock.advance(3_600_000 + 59_999)
    expect(await gateway.app.store.sweep(clock.now())).toHaveLength(0)
    clock.advance(1)
    expect(await gateway.app.store.sweep(clock.now())).toHaveLength(1)
    const before = await readSettled(gateway)
    expect(before.entries[0]?.outcome).toMatchObject({ ending: 'expired', certainty: 'upperBound' })
    finish()
    expect((await asked).status).toBe(200)
    expect(await readSettled(gateway)).toEqual(before)
    expect((await gateway.app.store.figures({ simulated: false })).lateSettlements).toBe(1)
  })
})

const UNREACHABLE_URL = 'http://127.0.0.1:9'
const UNREACHABLE_ENV = {
  OPENAI_BASE_URL: `${UNREACHABLE_URL}/v1`,
  ANTHROPIC_BASE_URL: UNREACHABLE_URL,
  GEMINI_BASE_URL: UNREACHABLE_URL,
}

describe.each(TRANSPORTS)('%s, a count of tokens', (transport) => {
  it('that breaks off in its middle is answered with an error, and settled', async () => {
    const gateway = await open(
      ({ response }) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
        response.write('{"input_tokens":', () => response.destroy())
      },
      { countsTokens: true },
    )
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }] })
    const headers = { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' }
    const asked = gateway.client.fetch(transport, '/v1/messages/count_tokens', { method: 'POST', body, headers })
    const answer = await withTimeout(10_000, asked)
    expect(answer.status).toBe(502)
    expect(errorIn('anthropic', await answer.json()).message).toMatch(/broke off/)
    const [entry] = await gateway.ledger.holds(1)
    expect(entry?.outcome).toMatchObject({ ending: 'failed', cost: { totalNanoUsd: 0n } })
  })
})
