// Backtests of a gateway: against what really happened when the same limits had been in force, and as operators ask for them.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { readLimits } from '../../src/config/limits.ts'
import { LimitPlan } from '../../src/core/limits.ts'
import { Replay } from '../../src/limits/replay.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { Random, SEED } from '../call/random.ts'
import { administer } from '../support/administrator.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, useGateway } from '../support/gateway.ts'
import { waitFor } from '../support/waiting.ts'

const KEYS = { BURSAR_KEYS: 'alice:alice-secret-alice,bob:bob-secret-bob-bob' }
const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` }
const MINUTE_MS = 60_000

/** A call of a script. Its text is its place in the script. */
interface ScriptedCall {
  readonly key: 'alice' | 'bob'
  readonly user: string
  readonly cap: number
  readonly outputTokens: number
}

interface Step {
  readonly afterMs: number
  readonly call: number
  readonly does: 'start' | 'finish'
}

interface Script {
  readonly calls: readonly ScriptedCall[]
  readonly steps: readonly Step[]
}

/** Calls at random times, of which several are in flight at once, unless they come one after the other. */
function scriptOf(random: Random, maxInFlight: number): Script {
  const calls = Array.from({ length: 40 }, () => {
    const cap = random.between(20, 200)
    return {
      key: random.oneOf(['alice', 'bob'] as const),
      user: `${random.between(1, 3)}`,
      cap,
      outputTokens: random.between(1, cap),
    }
  })
  const steps: Step[] = []
  const open: number[] = []
  let next = 0
  while (next < calls.length || open.length > 0) {
    const afterMs = random.chance(0.03) ? 20 * MINUTE_MS : random.between(1, 4_000)
    const starts = next < calls.length && open.length < maxInFlight && (open.length === 0 || random.chance(0.5))
    if (starts) open.push(next)
    const call = starts ? next++ : (open.splice(random.between(0, open.length - 1), 1)[0] ?? 0)
    steps.push({ afterMs, call, does: starts ? 'start' : 'finish' })
  }
  return { calls, steps }
}

/** Plays a script against a new gateway. Returns the calls that it refused, by their places in the script. */
async function play(
  { calls, steps }: Script,
  limits: unknown,
): Promise<{ gateway: GatewayFixture; refused: number[] }> {
  const clock = new ManualClock()
  const gateway = await useGateway({ clock, env: KEYS, config: { prices: [PRICE], limits } })
  const finishes = new Map<number, () => void>()
  gateway.provider.says((request) => {
    const place = Number(/"content":"(\d+)"/.exec(request.body)?.[1])
    return new Promise((resolve) => {
      finishes.set(place, () => {
        answerWhole(request, { input: 20, output: calls[place]?.outputTokens ?? 0 })
        resolve()
      })
    })
  })
  const answers = new Map<number, Promise<Response>>()
  const refused: number[] = []
  for (const { afterMs, call: place, does } of steps) {
    clock.advance(afterMs)
    const call = calls[place]
    if (!call) continue
    if (does === 'start') {
      const headers = {
        authorization: `Bearer ${call.key}-secret-${call.key}${call.key === 'bob' ? '-bob' : ''}`,
        'x-bursar-user': call.user,
      }
      const answer = gateway.client.asks('openai', { cap: call.cap, text: `${place}` }, { headers })
      const status = await Promise.race([
        answer.then((response) => response.status),
        waitFor(() => finishes.has(place)).then(() => 'sent' as const),
      ])
      if (status === 'sent') answers.set(place, answer)
      else {
        expect(status).toBeOneOf([402, 429])
        refused.push(place)
      }
    } else {
      const answer = answers.get(place)
      if (!answer) continue
      finishes.get(place)?.()
      expect((await (await answer).json()) as unknown).toMatchObject({
        usage: { completion_tokens: call.outputTokens },
      })
      answers.delete(place)
      await waitFor(() => gateway.app.gate.inFlight === answers.size)
    }
  }
  return { gateway, refused }
}

/** The calls that a backtest of these limits refuses, by their places in the script. */
async function backtested({ app, provider }: GatewayFixture, limits: unknown): Promise<number[]> {
  const plan = new LimitPlan(readLimits(limits, []).limits, 'UTC')
  const replay = new Replay(plan, false)
  const refused: number[] = []
  let place = 0
  for await (const page of app.store.callPages({ simulated: false, fromMs: 0, untilMs: Number.MAX_SAFE_INTEGER }))
    for (const call of page) {
      if (replay.decide(call).length > 0) refused.push(place)
      place += 1
    }
  expect(place).toBe(provider.received.length)
  return refused
}

const LIMITS = {
  windows: { perKey: { costPerHour: '0.001', requestsPerDay: 12 }, perUser: { costPerDay: '0.0009' } },
  buckets: { perKey: { requestsPerMinute: 4 }, global: { tokensPerMinute: 700, requestsPerHour: 15 } },
  'calls in flight': { perKey: { inFlight: 2 }, perUser: { inFlight: 1 } },
  'all of them': {
    perKey: { costPerHour: '0.0015', inFlight: 2 },
    perUser: { tokensPerMinute: 600, costPerDay: '0.0015' },
    global: { requestsPerMinute: 12, costPerCall: '0.0006' },
    'user:bob/1': { requestsPerDay: 3 },
    perModel: { tokensPerHour: 3_000 },
  },
}

describe('a backtest refuses what was refused when the limits were in force:', () => {
  it.each([
    ['one call after the other', 'windows', 1],
    ['one call after the other', 'buckets', 1],
    ['in flight together', 'windows', 5],
    ['in flight together', 'buckets', 5],
    ['in flight together', 'calls in flight', 5],
    ['in flight together', 'all of them', 5],
  ] as const)('%s, %s', async (_how, kind, maxInFlight) => {
    const script = scriptOf(new Random(SEED), maxInFlight)
    const limits = LIMITS[kind]
    const { refused } = await play(script, limits)
    const { gateway, refused: refusedWithout } = await play(script, {})
    expect(refusedWithout, `SEED=${SEED}`).toEqual([])
    expect(await backtested(gateway, limits), `SEED=${SEED}`).toEqual(refused)
    expect(refused.length, `SEED=${SEED}`).toBeGreaterThan(0)
    expect(refused.length, `SEED=${SEED}`).toBeLessThan(40)
  })
})

describe('POST /admin/limits/backtest', () => {
  const open = async () => {
    const clock = new ManualClock()
    const gateway = await useGateway({ clock, env: KEYS })
    const post = async (body: unknown, headers: Record<string, string> = ADMIN) => {
      const init = {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }
      const response = await gateway.client.fetch('in process', '/admin/limits/backtest', init)
      return { status: response.status, body: await response.json() }
    }
    const call = async (key: 'alice' | 'bob') => {
      const headers = { authorization: `Bearer ${key}-secret-${key}${key === 'bob' ? '-bob' : ''}` }
      const answer = await gateway.client.asks('openai', { cap: 10 }, { headers })
      await answer.text()
      await gateway.idle()
      clock.advance(1_000)
      return answer.headers.get('x-bursar-call-id')
    }
    return { gateway, clock, post, call }
  }

  it('says what would have been refused, whose, by which limit, when the first, and what would have been saved', async () => {
    const { post, call, clock } = await open()
    const startedAt = new Date(clock.wallMs).toISOString()
    await call('bob')
    const ids = [await call('alice'), await call('alice'), await call('alice')]
    const { status, body } = await post({ days: 1, limits: { perKey: { requestsPerDay: 1 }, global: { inFlight: 9 } } })
    // Each call uses 20 tokens in and 10 out, for 40,000 nano-dollars.
    const first = { call_id: ids[1], reserved_at: startedAt.replace('00.000', '02.000') }
    const saved = { calls: 2, tokens: 60, cost_usd: 0.00008, first }
    const none = { calls: 0, tokens: 0, cost_usd: 0, first: null }
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        to: startedAt.replace('00.000', '04.000'),
        simulated: false,
        replayed: { calls: 4, tokens: 120, cost_usd: 0.00016 },
        refused: { ...saved, calls_percent: 50 },
        limits: [
          { limit: 'perKey.requestsPerDay', enforced: true, ...saved },
          { limit: 'global.inFlight', enforced: true, ...none },
        ],
        subjects: [{ subject: 'key:alice', ...saved }],
        keys: [{ key: 'alice', ...saved }],
        refused_calls: [
          {
            call_id: ids[1],
            key: 'alice',
            user: null,
            model: 'm',
            tokens: 30,
            cost_usd: 0.00004,
            limits: ['perKey.requestsPerDay'],
          },
          { call_id: ids[2] },
        ],
        left_out: { limits: 0, subjects: 0, keys: 0, refused_calls: 0 },
        note: expect.stringMatching(/refused at the time are not in .* gone: it is not tried again/s),
      },
    })
    const span = { from: startedAt, to: startedAt.replace('00.000Z', '02.001Z') }
    const narrow = await post({ ...span, limits: { perKey: { requestsPerDay: 1 } } })
    expect(narrow.body).toMatchObject({ ...span, replayed: { calls: 3 }, refused: { calls: 1, calls_percent: 33.33 } })
  })

  it.each([
    [{ limits: { global: { inFlight: 1 } } }, 'days', /days: is missing; name days, or from and to/],
    [{ days: 1, from: '2026-11-22T00:00:00Z', limits: { global: { inFlight: 1 } } }, 'days', /must not stand beside/],
    [{ days: 0, limits: { global: { inFlight: 1 } } }, 'days', /must be 1 or more/],
    [{ from: 'yesterday', limits: { global: { inFlight: 1 } } }, 'from', /must be a time with its zone, such as/],
    [
      { from: '2027-11-22T00:00:00Z', limits: { global: { inFlight: 1 } } },
      'from',
      /must be before to, and in the past/,
    ],
    [{ days: 1 }, 'limits', /is missing; it must be an object/],
    [{ days: 1, limits: {} }, 'limits', /must set a limit, such as/],
    [{ days: 1, limits: { perUsr: { costPerDay: 1 } } }, 'limits.perUsr', /Did you mean perUser\?/],
    [{ days: 1, limits: { perUser: { costPerDya: 1 } } }, 'limits.perUser.costPerDya', /Did you mean costPerDay\?/],
    [{ days: 1, limits: { perUser: { costPerDay: -1 } } }, 'limits.perUser.costPerDay', /must be decimal dollars/],
    [{ days: 1, limits: { global: { inFlight: 1 } }, more: 1 }, null, /must not have "more"/],
  ])('answers %j with the place and what was expected', async (body, param, message) => {
    const { post } = await open()
    const answer = await post(body)
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_request' } } })
    if (param !== null) expect(answer.body.error.param).toBe(param)
    expect(answer.body.error.message).toMatch(message)
  })

  it('turns the windows of a limit on a key in the zone of the key, as those of its record', async () => {
    const { gateway, clock, post } = await open()
    const made = await administer(gateway, '/admin/keys', {
      method: 'POST',
      body: { name: 'zoned', time_zone: 'Asia/Kolkata' },
    })
    const headers = { authorization: `Bearer ${(made.body as unknown as { readonly key: string }).key}` }
    const call = async () => {
      const answer = await gateway.client.asks('openai', { cap: 10 }, { headers })
      await answer.text()
      await gateway.idle()
      clock.advance(1_000)
      return answer.status
    }
    // Two calls before and two after midnight of the key's zone, which is at 18:30 UTC.
    const midnightMs = Math.floor(clock.wallMs / 86_400_000) * 86_400_000 + 86_400_000 + 66_600_000
    clock.advance(midnightMs - 60_000 - clock.wallMs)
    const fromMs = clock.wallMs - 1
    await call()
    await call()
    clock.advance(60_000)
    await call()
    await call()
    const refusedBy = async (from: number, requestsPerDay: number) => {
      const span = { from: new Date(from).toISOString(), to: new Date(clock.wallMs).toISOString() }
      const answer = await post({ ...span, limits: { 'key:zoned': { requestsPerDay } } })
      expect(answer.status).toBe(200)
      return answer.body.refused.calls
    }
    expect(await refusedBy(fromMs, 2)).toBe(0)
    expect(await refusedBy(fromMs, 1)).toBe(2)
    // The window of the fourth call began with the third.
    expect(await refusedBy(midnightMs + 1_500, 1)).toBe(1)
    expect(await refusedBy(midnightMs + 1_500, 2)).toBe(0)
  })

  it('answers more limits than it takes', async () => {
    const { post } = await open()
    const limits = Object.fromEntries(Array.from({ length: 1_001 }, (_, index) => [`user:a/${index}`, { inFlight: 1 }]))
    const answer = await post({ days: 1, limits })
    expect(answer).toMatchObject({ status: 400, body: { error: { message: 'limits: must set at most 1000 limits' } } })
  })

  it('takes times of any year and zone', async () => {
    const { post, call } = await open()
    await call('alice')
    const limits = { global: { costPerMonth: 0, costPerTotal: 1 } }
    const answer = await post({ from: '0000-01-01T00:00:00+14:00', to: '9999-12-31T23:59:59-12:00', limits })
    expect(answer).toMatchObject({ status: 200, body: { replayed: { calls: 1 }, refused: { calls: 1 } } })
  })

  it('answers the admin key alone', async () => {
    const { post } = await open()
    const body = { days: 1, limits: { global: { inFlight: 1 } } }
    expect((await post(body, {})).status).toBe(401)
    expect((await post(body, { authorization: 'Bearer alice-secret-alice' })).status).toBe(401)
  })

  it('runs once at a time, and ends once its client has left', async () => {
    const { gateway, post } = await open()
    const { store } = gateway.app
    let pages = 0
    let ended = false
    // A ledger without an end.
    store.callPages = async function* () {
      try {
        for (;;) {
          pages += 1
          yield []
          await sleep(1)
        }
      } finally {
        ended = true
      }
    }
    const body = { days: 1, limits: { global: { inFlight: 1 } } }
    const leaving = new AbortController()
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...ADMIN },
      body: JSON.stringify(body),
    }
    const left = gateway.client.fetch('over sockets', '/admin/limits/backtest', { ...init, signal: leaving.signal })
    await waitFor(() => pages > 3)
    expect(await post(body)).toMatchObject({ status: 409, body: { error: { code: 'backtest_running' } } })
    leaving.abort()
    await expect(left).rejects.toThrow(/abort/)
    await waitFor(() => ended)
  })
})
