// Admission from the outside: caps that are set, calls that are refused and what would have fitted, limits of every scope,
// changed while calls go on.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import { DIALECT_NAMES, type DialectName, errorIn, PRICE, requestFor } from './dialect-fixtures.ts'
import { LIMITED_CONFIG, nanoUsd, readSettled } from './settlement-checks.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-admission-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const USED = { input: 20, output: 10 }
function open(limits: object, options: GatewayFixtureOptions = {}): Promise<GatewayFixture> {
  return useGateway({
    config: { prices: [PRICE], limits },
    respond: (call) => answerWhole(call, USED),
    clock: new ManualClock(),
    ...options,
  })
}
const change = (gateway: GatewayFixture, limits: object, prices: readonly object[] = [PRICE]) =>
  gateway.app.reload(readFileConfig(JSON.stringify({ prices, limits })))
const statusOf = async (asked: Promise<Response>) => {
  const answer = await asked
  await answer.text()
  return answer.status
}
/** The cap in a body that was sent on, in the field its provider reads. */
const FIELD: Readonly<Record<DialectName, RegExp>> = {
  openai: /"max_completion_tokens":(\d+)/,
  anthropic: /"max_tokens":(\d+)/,
  gemini: /"generationConfig":\{"maxOutputTokens":(\d+)\}/,
}
const capSent = (gateway: GatewayFixture, dialect: DialectName) =>
  Number(FIELD[dialect].exec(gateway.provider.received.at(-1)?.body ?? '')?.[1] ?? Number.NaN)
/** The input a call is taken to have at most. */
const inputOf = (dialect: DialectName) => BigInt(requestFor(dialect).body.length + 64 + 16)

describe.each(DIALECT_NAMES)('%s:', (dialect) => {
  it('a call without a cap that would not fit gets one: half of what is free, in a header and in the body sent on', async () => {
    const gateway = await open({ global: { costPerDay: '0.01' } })
    const answer = await gateway.client.asks(dialect)
    expect(answer.status).toBe(200)
    const cap = Number(answer.headers.get('x-bursar-max-output-tokens'))
    expect(capSent(gateway, dialect)).toBe(cap)
    const [entry] = await gateway.ledger.holds(1)
    expect(entry?.facts).toMatchObject({
      capAsked: null,
      capInjected: cap,
      reservedCostNanoUsd: inputOf(dialect) * 1_000n + BigInt(cap) * 2_000n,
    })
    expect(BigInt(cap)).toBe((5_000_000n - inputOf(dialect) * 1_000n) / 2_000n)
  })

  it('the cap that is set is no less than MIN_INJECTED_OUTPUT_TOKENS: below that the call is refused', async () => {
    const minNanoUsd = inputOf(dialect) * 1_000n + 300n * 2_000n
    const gateway = await open(
      { global: { costPerDay: `0.${String(minNanoUsd).padStart(9, '0')}` } },
      { env: { MIN_INJECTED_OUTPUT_TOKENS: '300' } },
    )
    const before = await readSettled(gateway)
    await change(gateway, { global: { costPerDay: `0.${String(minNanoUsd - 1n).padStart(9, '0')}` } })
    expect(await statusOf(gateway.client.asks(dialect))).toBe(429)
    expect((await readSettled(gateway)).levels).toEqual(before.levels)
    await change(gateway, { global: { costPerDay: `0.${String(minNanoUsd).padStart(9, '0')}` } })
    const answer = await gateway.client.asks(dialect)
    expect([answer.status, answer.headers.get('x-bursar-max-output-tokens')]).toEqual([200, '300'])
  })

  it('a call without a cap that fits is left alone, byte for byte', async () => {
    const gateway = await open({ global: { costPerDay: '1' } })
    const answer = await gateway.client.asks(dialect)
    expect(answer.headers.get('x-bursar-max-output-tokens')).toBeNull()
    expect(gateway.provider.received[0]?.body).toBe(requestFor(dialect).body)
  })

  it.each([
    ['a day', { costPerDay: '0.004' }, 'daily_spending_limit'],
    ['one call', { costPerCall: '0.004' }, 'max_cost_per_request'],
  ])(
    'a cap that does not fit the money of %s is refused with the one that would, and that one is admitted',
    async (_, limit, name) => {
      const gateway = await open({ global: limit })
      const refused = await gateway.client.asks(dialect, { cap: 7_000 })
      expect(refused.status).toBe(429)
      expect(refused.headers.get('x-bursar-limited-by')).toBe(name)
      const body = await refused.text()
      expect(errorIn(dialect, JSON.parse(body)).message).toMatch(
        new RegExp(`^Spending limit reached: ${name}\\. .*An output cap of \\d+ tokens would fit\\.$`),
      )
      expect(gateway.provider.received).toHaveLength(0)
      const cap = Number(/"fitting_max_output_tokens":(\d+)/.exec(body)?.[1])
      expect(await statusOf(gateway.client.asks(dialect, { cap: cap + 1 }))).toBe(429)
      // The cap is written with as many digits as before, so that the body has the size that was quoted.
      expect(await statusOf(gateway.client.asks(dialect, { cap }))).toBe(200)
    },
  )

  it('soft: nothing is refused and no cap is set, but what is over the limit is in a header and counted', async () => {
    const gateway = await open(
      { global: { costPerDay: '0.0001', requestsPerDay: 1 } },
      { env: { ENFORCEMENT: 'soft' } },
    )
    await gateway.client.asks(dialect)
    const answer = await gateway.client.asks(dialect, { cap: 5_000 })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-bursar-over-limit')?.split(', ').toSorted()).toEqual([
      'daily_spending_limit',
      'requests_per_day',
    ])
    const uncapped = await gateway.client.asks(dialect)
    expect([uncapped.status, uncapped.headers.get('x-bursar-max-output-tokens')]).toEqual([200, null])
    expect(gateway.provider.received.at(-1)?.body).toBe(requestFor(dialect).body)
    expect((await gateway.ledger.level('requests_per_day')).settled).toBe(3)
  })

  it('an unknown price is refused with the line to paste, and the pasted line works without a restart', async () => {
    const gateway = await open({ global: { costPerDay: '1' } })
    const refused = await gateway.client.asks(dialect, { model: 'brand-new', cap: 10 })
    expect(refused.status).toBe(400)
    const line = /\{"prices".*\]\}/.exec(errorIn(dialect, await refused.json()).message)?.[0] ?? ''
    await change(gateway, { global: { costPerDay: '1' } }, (JSON.parse(line) as { prices: object[] }).prices)
    expect(await statusOf(gateway.client.asks(dialect, { model: 'brand-new', cap: 10 }))).toBe(200)
    expect((await gateway.ledger.holds(1))[0]?.facts).toMatchObject({ costKnown: true, requestedModel: 'brand-new' })
  })

  it('a model that costs nothing works when the budget is used up', async () => {
    const gateway = await open({ global: { costPerDay: '0' } })
    await change(gateway, { global: { costPerDay: '0' } }, [PRICE, { model: 'local', input: '0', output: '0' }])
    expect(await statusOf(gateway.client.asks(dialect, { cap: 10 }))).toBe(429)
    expect(await statusOf(gateway.client.asks(dialect, { model: 'local', cap: 10 }))).toBe(200)
    expect(await statusOf(gateway.client.asks(dialect, { model: 'local' }))).toBe(200)
  })
})

describe('limits', () => {
  const KEYS = { BURSAR_KEYS: 'alice:alice-secret-alice,bob:bob-secret-bob-bob' }
  const as = (key: string, headers: Record<string, string> = {}) => ({
    headers: { authorization: `Bearer ${key}`, ...headers },
  })
  const alice = (headers = {}) => as('alice-secret-alice', headers)
  const bob = (headers = {}) => as('bob-secret-bob-bob', headers)
  const ask = (gateway: GatewayFixture, init: RequestInit) => statusOf(gateway.client.asks('openai', { cap: 10 }, init))

  it('of a key, of one key by name, and of a user within its key', async () => {
    const limits = { perKey: { requestsPerDay: 3 }, 'key:bob': { requestsPerDay: 1 }, perUser: { requestsPerDay: 2 } }
    const gateway = await open(limits, { env: KEYS })
    expect([await ask(gateway, bob()), await ask(gateway, bob())]).toEqual([200, 429])
    expect([
      await ask(gateway, alice({ 'x-bursar-user': '7' })),
      await ask(gateway, alice({ 'x-bursar-user': '7' })),
    ]).toEqual([200, 200])
    expect(await ask(gateway, alice({ 'x-bursar-user': '7' }))).toBe(429)
    // Leaving the header out is a subject of its own, not a way around.
    expect([await ask(gateway, alice()), await ask(gateway, alice())]).toEqual([200, 429])
    expect(await gateway.ledger.level('requests_per_day', '?key=alice')).toMatchObject({
      subject: 'key:alice',
      settled: 3,
    })
  })

  it('lowered while calls go on admit nothing until it fits, and raised admit at once', async () => {
    const clock = new ManualClock()
    const gateway = await open({ global: { requestsPerDay: 10 } }, { clock })
    for (let call = 0; call < 5; call++) expect(await ask(gateway, {})).toBe(200)
    await change(gateway, { global: { requestsPerDay: 3 } })
    expect(await ask(gateway, {})).toBe(429)
    await change(gateway, { global: { requestsPerDay: 6 } })
    expect([await ask(gateway, {}), await ask(gateway, {})]).toEqual([200, 429])
    clock.advance(12 * 3_600_000)
    expect(await ask(gateway, {})).toBe(200)
  })

  it('made in the middle of a window start from what the ledger says, also after a restart', async () => {
    const path = join(folder, 'middle.db')
    const clock = new ManualClock()
    let gateway = await open({}, { path, clock, env: KEYS })
    for (const init of [alice(), alice(), bob()]) expect(await ask(gateway, init)).toBe(200)
    await change(gateway, { perKey: { requestsPerDay: 2 }, global: { costPerDay: '1' } })
    expect([await ask(gateway, alice()), await ask(gateway, bob()), await ask(gateway, bob())]).toEqual([429, 200, 429])
    expect(nanoUsd((await gateway.ledger.level('daily_spending_limit')).settled)).toBe(4n * 40_000n)
    await gateway.close()
    gateway = await open({ perKey: { requestsPerMonth: 2 } }, { path, clock, env: KEYS })
    expect([await ask(gateway, alice()), await ask(gateway, bob())]).toEqual([429, 429])
    expect((await gateway.ledger.level('requests_per_month', '?key=alice')).settled).toBe(2)
  })

  it('on tokens reserve what is usual, or with TOKEN_RESERVATION=worst the most there can be', async () => {
    let gateway = await open({ global: { tokensPerDay: 2_000 } })
    expect(await statusOf(gateway.client.asks('openai', { cap: 8_000 }))).toBe(200)
    await gateway.close()
    gateway = await open({ global: { tokensPerDay: 2_000 } }, { env: { TOKEN_RESERVATION: 'worst' } })
    expect(await statusOf(gateway.client.asks('openai', { cap: 8_000 }))).toBe(429)
    expect(await statusOf(gateway.client.asks('openai', { cap: 1_500 }))).toBe(200)
    expect((await gateway.ledger.holds(1))[0]?.facts.reservedTokens).toBe(
      Number(inputOf('openai')) + 1_500 + '"max_completion_tokens":1500,'.length,
    )
  })

  it('on money are none where cost is not tracked', async () => {
    const gateway = await open(
      { global: { costPerDay: '0' } },
      { env: { ENABLE_COST_TRACKING: 'false', DAILY_SPENDING_LIMIT: '0' } },
    )
    expect(await statusOf(gateway.client.asks('openai', { model: 'nobody-knows', cap: 10 }))).toBe(200)
    expect((await gateway.ledger.levels()).filter(({ limit }) => /spending|cost/.test(limit))).toEqual([])
    expect((await gateway.ledger.holds(1))[0]).toMatchObject({
      facts: { reservedCostNanoUsd: 0n, costKnown: false },
      outcome: { cost: { totalNanoUsd: 0n } },
    })
  })

  it('of real calls are not touched by simulated ones', async () => {
    const gateway = await open(LIMITED_CONFIG.limits)
    const before = await readSettled(gateway)
    const answer = await gateway.client.asks('openai', { model: 'sim/echo', cap: 10 })
    expect(answer.headers.get('x-bursar-simulated')).toBe('true')
    await answer.text()
    expect((await readSettled(gateway)).levels).toEqual(before.levels)
    expect(await gateway.client.asksOwner('/llm/stats')).toMatchObject({ total_requests: 0, simulated: false })
  })

  it('of a key that may spend nothing refuse with a body and headers that hold no secret, and neither do logs and files', async () => {
    const path = join(folder, 'secrets.db')
    const gateway = await open({ perKey: { costPerDay: '0.0001' } }, { path, env: KEYS })
    const seen: string[] = []
    for (const init of [alice(), bob(), as('wrong-secret-wrong'), { headers: { 'x-api-key': 'alice-secret-alice' } }]) {
      for (const wanted of [
        { cap: 1 },
        { cap: 5_000 },
        { model: 'sim/error-500', cap: 1 },
        { model: 'unknown', cap: 1 },
      ]) {
        const answer = await gateway.client.asks('openai', wanted, init)
        seen.push(JSON.stringify([...answer.headers]) + (await answer.text()))
      }
    }
    const pages = ['/llm/stats', '/llm/limits?key=alice', '/llm/status', '/v1/models']
    for (const page of pages) seen.push(JSON.stringify(await gateway.client.asksOwner(page)))
    await gateway.close()
    const files = readdirSync(folder)
      .filter((name) => name.startsWith('secrets'))
      .map((name) => readFileSync(join(folder, name), 'latin1'))
    expect(gateway.log.length).toBeGreaterThan(10)
    for (const text of [...seen, ...gateway.log, ...files]) {
      expect(text).not.toMatch(/alice-secret|bob-secret|wrong-secret|upstream-\w+-secret|the-admin-key/)
      expect(text).not.toContain('"hello"')
    }
  })
})
