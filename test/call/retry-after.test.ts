// Retry-After is true: a call refused for a time is admitted after exactly that time, and not a step earlier.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, useGateway } from '../support/gateway.ts'
import { waitFor } from '../support/waiting.ts'
import { DIALECT_NAMES, type DialectName, errorIn, PRICE } from './dialect-fixtures.ts'
import { Random, SEED } from './random.ts'

const PRICES = [
  { model: 'sim/echo', input: '1', output: '2', contextWindow: 100_000, maxOutput: 4_000, usualOutput: 50 },
]
const PLANS = 400
const CALLS = 25
const usd = (nano: number) => `0.${String(nano).padStart(9, '0')}`

/** Limits of every kind that time lets go of, a few of them at once. */
function limitsFor(random: Random) {
  const maybe = <Value>(name: string, value: Value) => (random.chance(0.35) ? { [name]: value } : {})
  const limits = {
    ...maybe('requestsPerMinute', random.between(1, 40)),
    ...maybe('requestsPerHour', random.between(1, 90)),
    ...maybe('requestsPerDay', random.between(3, 30)),
    ...maybe('tokensPerMinute', random.between(60, 3_000)),
    ...maybe('tokensPerHour', { amount: random.between(60, 9_000), refill: 'window' }),
    ...maybe('costPerMinute', usd(random.between(100_000, 9_000_000))),
    ...maybe('costPerHour', usd(random.between(100_000, 9_000_000))),
    ...maybe('costPerDay', usd(random.between(1_000_000, 30_000_000))),
    ...maybe('costPerCall', usd(random.between(500_000, 30_000_000))),
  }
  return {
    global: limits,
    ...(random.chance(0.4)
      ? { perUser: { ...maybe('requestsPerMinute', random.between(1, 20)), ...maybe('costPerDay', usd(5_000_000)) } }
      : {}),
  }
}

interface RandomCall {
  readonly dialect: DialectName
  readonly cap: number | undefined
  readonly text: string
  readonly user: string
}

async function sendCall(gateway: GatewayFixture, { dialect, cap, text, user }: RandomCall, model = 'sim/echo') {
  const answer = await gateway.client.asks(
    dialect,
    { model, text, ...(cap === undefined ? {} : { cap }) },
    { headers: { 'x-bursar-user': user } },
  )
  const body = await answer.text()
  const waitMs = Number(/"retry_after_ms":(\d+)/.exec(body)?.[1] ?? 0)
  const isShort = waitMs > 0 && waitMs <= 60_000
  expect(answer.headers.get('retry-after-ms')).toBe(isShort ? String(waitMs) : null)
  expect(answer.headers.get('retry-after')).toBe(isShort ? String(Math.ceil(waitMs / 1_000)) : null)
  return {
    status: answer.status,
    waitMs,
    body,
    dialect,
  }
}

/** How the refusal says it is meant: time, in_flight or never. */
const reasonIn = (body: string) => /"reason":"(time|in_flight|never)"/.exec(body)?.[1]

describe('Retry-After', () => {
  it('is the first moment at which the call fits, whatever refuses it', async () => {
    console.info(`SEED=${SEED}`)
    const clock = new ManualClock()
    const gateway = await useGateway({ clock, config: {} })
    const random = new Random(SEED)
    let told = 0
    for (let plan = 0; plan < PLANS; plan++) {
      const limits = limitsFor(random)
      await gateway.app.reload(readFileConfig(JSON.stringify({ prices: PRICES, limits })))
      const where = () => `SEED=${SEED}, plan ${plan}: ${JSON.stringify(limits)}`
      clock.advance(2 * 86_400_000 + random.between(0, 86_400_000))
      for (let call = 0; call < CALLS; call++) {
        const next: RandomCall = {
          dialect: random.oneOf(DIALECT_NAMES),
          cap: random.chance(0.3) ? undefined : random.between(1, 1_500),
          text: 'word '.repeat(random.between(1, 60)),
          user: random.oneOf(['ann', 'ben']),
        }
        const first = await sendCall(gateway, next)
        if (first.status === 200 || reasonIn(first.body) !== 'time') {
          clock.advance(random.oneOf([0, 0, 1, 137, 5_000]))
          continue
        }
        told++
        clock.advance(first.waitMs - 1)
        const early = await sendCall(gateway, next)
        expect(
          { status: early.status, next, waitMs: first.waitMs, body: first.body },
          `one step early: ${where()}`,
        ).toMatchObject({ status: 429 })
        expect(early.waitMs, where()).toBe(1)
        clock.advance(1)
        const onTime = await sendCall(gateway, next)
        expect(
          { status: onTime.status, next, waitMs: first.waitMs, body: onTime.body },
          `on time: ${where()}`,
        ).toMatchObject({ status: 200 })
      }
    }
    expect(told).toBeGreaterThan(1_000)
  }, 120_000)

  it('holds for a call without a cap that would get one as soon as a slower limit lets it', async () => {
    const clock = new ManualClock()
    const limits = { global: { requestsPerMinute: 2, costPerDay: '0.006' } }
    const gateway = await useGateway({
      clock,
      config: { prices: PRICES, limits },
      env: { MIN_INJECTED_OUTPUT_TOKENS: '16' },
    })
    const uncapped: RandomCall = { dialect: 'openai', cap: undefined, text: 'hello', user: 'ann' }
    for (let call = 0; call < 2; call++) expect((await sendCall(gateway, uncapped)).status).toBe(200)
    const refused = await sendCall(gateway, uncapped)
    expect([refused.status, reasonIn(refused.body)]).toEqual([429, 'time'])
    expect(refused.waitMs).toBe(30_000)
    clock.advance(30_000)
    expect((await sendCall(gateway, uncapped)).status).toBe(200)
  })

  it('of a budget that is used up is the turn of its day, and says that waiting helps', async () => {
    const clock = new ManualClock()
    const gateway = await useGateway({
      clock,
      config: { prices: PRICES, limits: { global: { costPerDay: '0.0009' } } },
    })
    const uncapped: RandomCall = { dialect: 'openai', cap: undefined, text: 'hello', user: 'ann' }
    // Fills the day until not even the least cap fits.
    for (let status = 200; status === 200; ) status = (await sendCall(gateway, { ...uncapped, cap: 90 })).status
    const refused = await sendCall(gateway, uncapped)
    expect(refused.status).toBe(429)
    expect(refused.waitMs).toBe(12 * 3_600_000)
    clock.advance(refused.waitMs)
    const next = await sendCall(gateway, { ...uncapped, cap: 90 })
    expect(next.status).toBe(200)
  })

  it('never calls hopeless what the gateway itself would make fit tomorrow', async () => {
    const clock = new ManualClock()
    // Uncapped, the call would cost over $0.008 at most, which is more than a day allows: it is admitted with a cap.
    const gateway = await useGateway({
      clock,
      config: { prices: PRICES, limits: { global: { costPerDay: '0.004' } } },
    })
    const uncapped: RandomCall = { dialect: 'openai', cap: undefined, text: 'word '.repeat(400), user: 'ann' }
    for (let call = 0; call < 30; call++) if ((await sendCall(gateway, uncapped)).status === 429) break
    const refused = await sendCall(gateway, uncapped)
    expect([refused.status, reasonIn(refused.body)]).toEqual([429, 'time'])
    clock.advance(refused.waitMs)
    expect((await sendCall(gateway, uncapped)).status).toBe(200)
  })

  it.each(DIALECT_NAMES)(
    '%s: is in the body alone if it is long, so that no client sleeps through it',
    async (dialect) => {
      const clock = new ManualClock()
      const gateway = await useGateway({
        clock,
        config: { prices: PRICES, limits: { global: { requestsPerHour: 120, requestsPerDay: 2 } } },
      })
      const next: RandomCall = { dialect, cap: 5, text: 'hello', user: 'ann' }
      await sendCall(gateway, next)
      await sendCall(gateway, next)
      const answer = await gateway.client.asks(dialect, { model: 'sim/echo', cap: 5 })
      expect(answer.status).toBe(429)
      expect(answer.headers.get('retry-after')).toBeNull()
      expect(answer.headers.get('retry-after-ms')).toBeNull()
      expect(answer.headers.get('x-should-retry')).toBe('false')
      expect(answer.headers.get('x-bursar-limited-by')).toBe('requests_per_day')
      expect(answer.headers.get('x-bursar-source')).toBe('gateway')
      const body = await answer.text()
      expect(body).toContain(
        `"retry_after_ms":${12 * 3_600_000},"resets_at":"${new Date(clock.now().wallMs + 12 * 3_600_000).toISOString()}"`,
      )
      expect(errorIn(dialect, JSON.parse(body)).message).toMatch(
        /^Rate limit exceeded: requests_per_day\..* It fits in 12 h\. /,
      )
    },
  )

  it('of a call that waits for others in flight is short, random, and nothing to give up for', async () => {
    const prices = [...PRICES, PRICE]
    const gateway = await useGateway({ config: { prices, limits: { global: { inFlight: 1 } } }, respond: () => {} })
    const held = gateway.client.asks('openai', { cap: 5 })
    const call = await waitFor(async () => gateway.provider.received[0])
    const next: RandomCall = { dialect: 'openai', cap: 5, text: 'hello', user: 'ann' }
    const refused = await sendCall(gateway, next, 'm')
    expect([refused.status, reasonIn(refused.body), refused.waitMs]).toEqual([429, 'in_flight', 2_000])
    expect(refused.body).toContain('"code":"rate_limit_exceeded"')
    answerWhole(call, { input: 20, output: 5 })
    await (await held).text()
    gateway.provider.says((received) => answerWhole(received, { input: 20, output: 5 }))
    expect((await sendCall(gateway, next, 'm')).status).toBe(200)
  })

  it('holds in real time', async () => {
    const gateway = await useGateway({ config: { prices: PRICES, limits: { global: { requestsPerMinute: 120 } } } })
    const next: RandomCall = { dialect: 'openai', cap: 5, text: 'hello', user: 'ann' }
    let refused = await sendCall(gateway, next)
    for (let call = 0; refused.status === 200 && call < 500; call++) refused = await sendCall(gateway, next)
    expect(refused.waitMs).toBeGreaterThan(0)
    expect(refused.waitMs).toBeLessThanOrEqual(500)
    // Real time is what this test is about.
    await sleep(refused.waitMs + 1)
    expect((await sendCall(gateway, next)).status).toBe(200)
  })
})
