// Attempts: a call that fails is made again if that may help, at another target if not, and is settled once with all it cost.

import { afterAll, describe, expect, it } from 'vitest'
import type { AttemptFailure } from '../../src/call/attempts.ts'
import type { Timer, Timers } from '../../src/core/clock.ts'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { EagerTimers, ManualClock } from '../support/clocks.ts'
import type { ProviderScript } from '../support/provider.ts'
import { waitFor, withTimeout } from '../support/waiting.ts'
import { type DialectName, errorIn } from './dialect-fixtures.ts'
import {
  COST_NANO_USD,
  closes,
  fails,
  hangs,
  inTurn,
  LedgerFolder,
  LIMITS,
  type RoutingFixture,
  type RoutingFixtureOptions,
  resets,
  STORES,
  streamOf,
  succeeds,
  useRouting,
} from './routing-fixture.ts'
import { retriesAt } from './routing-retries.ts'
import { nanoUsd, readSettled } from './settlement-checks.ts'

const ledgers = new LedgerFolder()
afterAll(() => ledgers.remove())

/** Unless a test has timers of its own, the next attempt follows in the next turn. */
function open(options: RoutingFixtureOptions = {}): Promise<RoutingFixture> {
  return useRouting({ timers: new EagerTimers(), ...options })
}

/** How long the gateway waits between two sweeps of expired calls. */
const SWEEP_MS = 5_000

/** The timers of a clock, so that the clock counts those of calls alone: the sweep of expired calls never comes. */
function timersOfCalls(clock: ManualClock): Timers {
  const never: Timer = { unref: () => never }
  return {
    setTimeout: (callback, delayMs) => (delayMs === SWEEP_MS ? never : clock.setTimeout(callback, delayMs)),
    clearTimeout: (timer) => clock.clearTimeout(timer),
  }
}

/** Waits until a call pauses before its next attempt: two timers run then, that pause and the deadline. */
const untilPaused = (clock: ManualClock) => waitFor(async () => clock.timerCount === 2 || undefined)

/** The alias `both`, asked this often at each target. */
const retrying = (retries: number, targets = ['first/m', 'second/m']) => ({ aliases: { both: { targets, retries } } })

/** Provider, status and error of each attempt. */
const attemptsIn = ({ outcome }: Entry) =>
  outcome?.attempts.map(({ provider, status, error }) => [provider, status, error])

describe('a failed attempt', () => {
  const failure = (overrides: Partial<AttemptFailure> = {}): AttemptFailure => ({
    status: 503,
    isFree: true,
    retryAfterMs: null,
    ...overrides,
  })

  /** The waits before each further attempt of a call that keeps failing. */
  async function waits(random: number, retries: number, how: Partial<AttemptFailure> = {}): Promise<number[]> {
    const { gateway } = await open()
    const attempts = await retriesAt(gateway, { clock: new ManualClock(), random, retries })
    const delays: number[] = []
    for (let next = attempts.next(failure(how)); next; next = attempts.next(failure(how))) {
      delays.push(next.delayMs)
      expect(await next.prepare()).toBe('first/m')
    }
    return delays
  }

  it.each([
    [0, [125, 250, 500, 1_000, 2_000]],
    [0.5, [188, 375, 750, 1_500, 3_000]],
    [0.999_999, [250, 500, 1_000, 2_000, 4_000]],
  ])('is followed by others after longer and longer, by chance of %f', async (random, expected) => {
    expect(await waits(random, 5)).toEqual(expected)
  })

  it('is followed by one after eight seconds at most', async () => {
    expect((await waits(0.999_999, 9)).slice(-4)).toEqual([8_000, 8_000, 8_000, 8_000])
  })

  it.each([
    [100, [188, 375]],
    [300, [300, 375]],
    [30_000, [30_000, 30_000]],
    [30_001, []],
  ])('of a provider that wants to be asked again after %i ms', async (retryAfterMs, expected) => {
    expect(await waits(0.5, 2, { retryAfterMs })).toEqual(expected)
  })

  it.each([
    [null, true],
    [408, true],
    [429, true],
    [500, true],
    [502, true],
    [503, true],
    [504, true],
    [529, true],
    [400, false],
    [401, false],
    [403, false],
    [404, false],
    [409, false],
    [413, false],
    [422, false],
  ])('with status %s is followed by another: %s', async (status, followed) => {
    const { gateway } = await open()
    const options = { clock: new ManualClock(), random: 0, retries: 1, otherModels: ['second/m'] }
    const attempts = await retriesAt(gateway, options)
    expect(attempts.next(failure({ status })) !== undefined).toBe(followed)
  })

  it('is not followed by one that would come after the deadline', async () => {
    const { gateway } = await open()
    const clock = new ManualClock()
    const options = { clock, random: 0, retries: 5, deadlineMs: clock.monoMs + 126 }
    const attempts = await retriesAt(gateway, options)
    expect(attempts.next(failure())?.delayMs).toBe(125)
    clock.advance(1)
    expect(attempts.next(failure())).toBeUndefined()
  })

  it('is followed by one elsewhere, at once, when waiting would take too long or has been enough', async () => {
    const { gateway } = await open()
    const options = { clock: new ManualClock(), random: 0, retries: 1, otherModels: ['second/m'] }
    const patient = await retriesAt(gateway, options)
    const again = patient.next(failure())
    expect([again?.delayMs, await again?.prepare()]).toEqual([125, 'first/m'])
    const elsewhere = patient.next(failure())
    expect([elsewhere?.delayMs, await elsewhere?.prepare()]).toEqual([0, 'second/m'])
    // A target of its own has retries of its own.
    expect(patient.next(failure())?.delayMs).toBe(125)
  })

  it.each([
    ['wants to be left alone for long', { retryAfterMs: 60_000 }],
    ['refuses for its own limits', { status: 429, retryAfterMs: 1 }],
  ])('of a provider that %s is followed by one elsewhere at once', async (_, how) => {
    const { gateway } = await open()
    const options = { clock: new ManualClock(), random: 0, retries: 1, otherModels: ['second/m'] }
    const elsewhere = (await retriesAt(gateway, options)).next(failure(how))
    expect([elsewhere?.delayMs, await elsewhere?.prepare()]).toEqual([0, 'second/m'])
  })
})

describe('over sockets', () => {
  /** A call waits for exactly this long before it is sent again, and is then answered. */
  async function expectWait(waitMs: number, options: RoutingFixtureOptions, dialect: DialectName = 'openai') {
    const clock = new ManualClock()
    const routing = await open({ clock, timers: timersOfCalls(clock), ...options })
    const answer = routing.send({}, {}, dialect)
    await untilPaused(clock)
    clock.advance(waitMs - 1)
    expect(clock.timerCount).toBe(2)
    clock.advance(1)
    expect(clock.timerCount).toBe(1)
    expect((await answer).status).toBe(200)
    return routing
  }

  it.each([
    ['retry-after-ms', { 'retry-after-ms': '300' }, 300],
    ['retry-after', { 'retry-after': '1' }, 1_000],
    ['nothing', {}, 188],
  ] as const)('a wait that %s asks for is kept', async (_, headers, waitMs) => {
    const routing = await expectWait(waitMs, {
      first: inTurn(fails(429, headers), succeeds),
      file: retrying(1, ['first/m']),
    })
    expect(routing.requestCounts).toEqual([2, 0])
  })

  it('a wait that RetryInfo asks for is kept', async () => {
    const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '0.6s' }]
    const error = { code: 429, message: 'Quota exceeded.', status: 'RESOURCE_EXHAUSTED', details }
    const refuses: ProviderScript = ({ response }) =>
      void response.writeHead(429, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
    await expectWait(600, { respond: inTurn(refuses, succeeds), file: retrying(1, ['gemini/m']) }, 'gemini')
  })

  it.each([
    ['408', fails(408), 408, 'status 408'],
    ['429', fails(429), 429, 'status 429'],
    ['500', fails(500), 500, 'status 500'],
    ['503', fails(503), 503, 'status 503'],
    ['a reset', resets, null, 'ECONNRESET'],
    ['a closed connection', closes, null, 'UND_ERR_SOCKET'],
  ])('after %s it is asked again, and then well', async (_, script, status, error) => {
    const routing = await open({ first: inTurn(script, succeeds), file: retrying(1, ['first/m']) })
    const answer = await routing.send()
    expect([answer.status, answer.headers.has('x-should-retry')]).toEqual([200, false])
    expect(attemptsIn(await routing.settledEntry())).toEqual([
      ['first', status, error],
      ['first', 200, null],
    ])
  })

  it('a model that is no alias is asked once, unless retries says otherwise', async () => {
    let routing = await open({ first: fails(503) })
    const once = await routing.send({ model: 'first/m' })
    expect([once.status, once.headers.has('x-should-retry'), routing.requestCounts]).toEqual([503, false, [1, 0]])
    await routing.close()
    routing = await open({ first: fails(503), file: { retries: 2 } })
    const thrice = await routing.send({ model: 'first/m' })
    expect([thrice.status, thrice.headers.get('x-should-retry'), routing.requestCounts]).toEqual([503, 'false', [3, 0]])
    expect(attemptsIn(await routing.settledEntry())).toEqual(Array(3).fill(['first', 503, 'status 503']))
  })

  it.each([400, 401, 403, 404, 413, 422])('status %i is the answer, and no other target is asked', async (status) => {
    const routing = await open({ first: fails(status), file: retrying(2) })
    const answer = await routing.send()
    expect([answer.status, answer.headers.has('x-should-retry'), routing.requestCounts]).toEqual([
      status,
      false,
      [1, 0],
    ])
    expect(errorIn('openai', await answer.json()).message).toBe('no')
  })

  it('the last error is the answer, and forbids a retry whatever the provider says', async () => {
    const routing = await open({
      first: fails(503),
      second: fails(502, { 'x-should-retry': 'true' }, 'last'),
      file: retrying(0),
    })
    const answer = await routing.send()
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([502, 'false'])
    expect(answer.headers.get('x-bursar-target')).toBe('second/m')
    expect(errorIn('openai', await answer.json()).message).toBe('last')
  })

  it('targets that cannot be reached at all are an error of the gateway’s, and free', async () => {
    const routing = await open({ file: retrying(1, ['nowhere/m', 'nowhere/cheap']) })
    const answer = await routing.send()
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([502, 'false'])
    expect(errorIn('openai', await answer.json()).code).toBe('upstream_unreachable')
    const entry = await routing.settledEntry()
    expect(attemptsIn(entry)).toEqual(Array(4).fill(['nowhere', null, 'ECONNREFUSED']))
    expect(entry.outcome).toMatchObject({ ending: 'failed', certainty: 'exact', cost: { totalNanoUsd: 0n } })
  })

  it.each([
    ['resets', resets],
    ['closes', closes],
  ])('a stream of which something has reached the client is not begun again: the provider %s', async (_, breaks) => {
    const begun = Promise.withResolvers<void>()
    const begins: ProviderScript = async (call) => {
      call.response.writeHead(200, { 'content-type': 'text/event-stream' })
      call.response.write(streamOf('openai')[0])
      await begun.promise
      await breaks(call)
    }
    const routing = await open({ first: begins, file: retrying(2) })
    const answer = await routing.send({ stream: true })
    expect(answer.status).toBe(200)
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
    const text = [(await reader?.read())?.value]
    begun.resolve()
    const readOn = async () => {
      for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) text.push(read.value)
    }
    await readOn().catch(() => text.push('cut'))
    expect(text.join('')).toMatch(/upstream_failed|broke off|cut/)
    expect(routing.requestCounts).toEqual([1, 0])
    expect((await routing.settledEntry()).outcome).toMatchObject({ ending: 'failed', certainty: 'upperBound' })
  })

  it('a stream that ends before it begins is asked for again', async () => {
    const routing = await open({ first: inTurn(fails(503), closes), file: retrying(1) })
    const answer = await routing.send({ stream: true })
    expect(await answer.text()).toMatch(/\[DONE\]\s*$/)
    expect(routing.requestCounts).toEqual([2, 1])
  })

  it('an error body that breaks off is no answer', async () => {
    const breaksOff: ProviderScript = ({ response }) => {
      response.writeHead(503, { 'content-type': 'application/json', 'content-length': '100' })
      response.write('{"error"', () => response.destroy())
    }
    const routing = await open({ first: breaksOff, file: retrying(0) })
    expect((await routing.send()).headers.get('x-bursar-target')).toBe('second/m')
  })

  it('the limits that one provider reported are not taken for another’s', async () => {
    const headers = { 'x-ratelimit-limit-requests': '7', 'x-ratelimit-remaining-requests': '0', 'retry-after': '9' }
    const routing = await open({ first: fails(429, headers), file: retrying(0, ['first/m', 'nowhere/m']) })
    expect((await routing.send()).status).toBe(502)
    const { facts, outcome } = await routing.settledEntry()
    expect([facts.provider, outcome?.upstreamLimits]).toEqual(['nowhere', null])
  })

  it('error bodies of earlier attempts do not count against the size of an answer', async () => {
    const routing = await open({
      first: inTurn(fails(503, {}, 'x'.repeat(900)), fails(503, {}, 'x'.repeat(900)), succeeds),
      env: { MAX_BODY_BYTES: '1500' },
      file: retrying(2, ['first/m']),
    })
    expect((await routing.send()).status).toBe(200)
  })
})

/** `both` may end at ten times the price; `expensive` is that target alone. */
const withExpensive = {
  aliases: {
    both: { targets: ['first/m', 'second/dear'], retries: 0 },
    dear: { targets: ['second/dear'], retries: 0 },
  },
}

describe.each(STORES)('%s: reservations', (store) => {
  const openStored = (options: RoutingFixtureOptions = {}) => open({ ...ledgers.pathFor(store), ...options })
  /** What the first attempt of a call to `both` reserves: the name `first/m` is three characters longer. */
  const firstBound = async (routing: RoutingFixture) => (await routing.reservationNanoUsd('first/m')) - 3_000n
  const costLevel = async (routing: RoutingFixture) => {
    const { settled, reserved } = await routing.gateway.ledger.level('daily_spending_limit')
    return { settled: nanoUsd(settled), reserved: nanoUsd(reserved) }
  }

  /** Everything the levels say is in the ledger, in one entry. */
  async function expectBooked(routing: RoutingFixture, costNanoUsd: bigint): Promise<Entry> {
    const entry = await routing.settledEntry()
    const { levels } = await readSettled(routing.gateway)
    const { outcome } = entry
    const attempts = outcome?.attempts.reduce((sum, attempt) => sum + attempt.costNanoUsd, 0n)
    expect({ cost: outcome?.cost.totalNanoUsd, attempts }).toEqual({ cost: costNanoUsd, attempts: costNanoUsd })
    expect(levels).toMatchObject({ requests: 1, costNanoUsd, inFlight: 0 })
    const stats = await routing.gateway.client.asksOwner<{ total_tokens: number; total_cost: number }>('/llm/stats')
    expect(nanoUsd(stats.total_cost)).toBe(costNanoUsd)
    expect(levels.tokens).toBe(stats.total_tokens)
    return entry
  }

  it.each([
    ['a status that is free', fails(503)],
    ['a refusal', fails(429)],
  ])('an attempt that failed with %s shares its reservation with the next', async (_, script) => {
    const routing = await openStored({ first: script, second: hangs, file: retrying(0) })
    const bound = await routing.reservationNanoUsd('both')
    const asking = routing.send()
    const call = await waitFor(async () => routing.second.received[0])
    expect(await costLevel(routing)).toEqual({ settled: 0n, reserved: bound })
    succeeds(call)
    expect((await asking).status).toBe(200)
    const { outcome } = await expectBooked(routing, COST_NANO_USD)
    expect(outcome?.certainty).toBe('exact')
  })

  it.each([
    ['an error that may be billed', fails(500)],
    ['a reset', resets],
    ['a closed connection', closes],
  ])(
    'an attempt that failed with %s is settled at its bound, and the next has a reservation of its own',
    async (_, script) => {
      const routing = await openStored({ first: script, second: hangs, file: withExpensive })
      const first = await firstBound(routing)
      const second = await routing.reservationNanoUsd('dear')
      const asking = routing.send()
      const call = await waitFor(async () => routing.second.received[0])
      expect(await costLevel(routing)).toEqual({ settled: 0n, reserved: first + second })
      succeeds(call)
      expect((await asking).status).toBe(200)
      const { outcome } = await expectBooked(routing, first + 10n * COST_NANO_USD)
      expect(outcome?.certainty).toBe('upperBound')
      expect(outcome?.attempts.map(({ costNanoUsd }) => costNanoUsd)).toEqual([first, 10n * COST_NANO_USD])
    },
  )

  it('every attempt that may have been billed is settled, at every target', async () => {
    const routing = await openStored({ first: fails(500), second: fails(500), file: retrying(1) })
    const bound = await firstBound(routing)
    expect((await routing.send()).status).toBe(500)
    const { outcome } = await expectBooked(routing, 4n * bound)
    expect(outcome?.attempts).toHaveLength(4)
    expect(outcome).toMatchObject({ ending: 'failed', certainty: 'upperBound' })
  })

  it('the header of the cost holds all attempts', async () => {
    const routing = await openStored({ first: inTurn(fails(500), succeeds), file: retrying(1, ['first/m']) })
    const bound = await firstBound(routing)
    const answer = await routing.send()
    expect(nanoUsd(Number(answer.headers.get('x-bursar-cost-usd')))).toBe(bound + COST_NANO_USD)
    await expectBooked(routing, bound + COST_NANO_USD)
  })

  it('a call is one request and one in flight, however many attempts it takes', async () => {
    const limits = { global: { requestsPerDay: 1, requestsPerMinute: 1, inFlight: 1 } }
    const routing = await openStored({ first: inTurn(fails(500), fails(503)), file: { ...retrying(1), limits } })
    expect((await routing.send()).status).toBe(200)
    expect(routing.requestCounts).toEqual([2, 1])
    const settled = async (limit: string) => (await routing.gateway.ledger.level(limit)).settled
    await routing.settledEntry()
    expect([await settled('requests_per_day'), await settled('max_in_flight')]).toEqual([1, 0])
  })

  it('limits of a provider hold what was used there', async () => {
    const each = { costPerDay: '1', requestsPerDay: 10, tokensPerDay: 100_000 }
    const routing = await openStored({
      first: fails(500),
      file: { ...retrying(0), limits: { ...LIMITS, perProvider: each } },
    })
    const bound = await firstBound(routing)
    expect((await routing.send()).status).toBe(200)
    const { facts } = await expectBooked(routing, bound + COST_NANO_USD)
    const levelsOf = async (provider: string) => {
      const levels = await routing.gateway.ledger.levels(`?provider=${provider}`)
      const own = levels.filter(({ subject }) => subject === `provider:${provider}`)
      return own.map(({ limit, settled, reserved }) => [limit, settled, reserved])
    }
    expect(await levelsOf('second')).toEqual([
      ['requests_per_day', 1, 0],
      ['tokens_per_day', 30, 0],
      ['daily_spending_limit', 0.000_04, 0],
    ])
    const [requests, tokens, cost] = await levelsOf('first')
    expect([requests, cost]).toEqual([
      ['requests_per_day', 1, 0],
      ['daily_spending_limit', Number(bound) / 1e9, 0],
    ])
    expect(tokens?.[1]).toBeGreaterThan(30)
    expect(facts.provider).toBe('second')
  })

  it('a call keeps to its ceiling, attempts and all', async () => {
    const limits = { global: { ...LIMITS.global, costPerCall: '0.0003' } }
    const routing = await openStored({ first: fails(500), file: { ...retrying(1), limits } })
    const bound = await firstBound(routing)
    expect([(await routing.send()).status, routing.requestCounts]).toEqual([500, [1, 0]])
    await expectBooked(routing, bound)
  })

  it('what may have been billed is no exact figure where costs are not tracked, either', async () => {
    const routing = await openStored({ first: fails(500), env: { ENABLE_COST_TRACKING: 'false' }, file: retrying(0) })
    expect((await routing.send()).status).toBe(200)
    const { outcome } = await expectBooked(routing, 0n)
    expect(outcome?.certainty).toBe('upperBound')
  })

  it('another attempt that does not fit is not made', async () => {
    const limits = { global: { ...LIMITS.global, costPerDay: '0.0003' } }
    const routing = await openStored({ first: fails(500), file: { ...retrying(1), limits } })
    const bound = await firstBound(routing)
    const answer = await routing.send()
    expect([answer.status, answer.headers.has('x-should-retry'), routing.requestCounts]).toEqual([500, false, [1, 0]])
    await expectBooked(routing, bound)
  })

  describe.each([
    ['its client leaves', 'canceled', null],
    ['its deadline comes', 'failed', 504],
    ['the gateway stops', 'failed', 503],
  ] as const)('%s', (why, ending, status) => {
    const DEADLINE_MS = 300
    const LATE_MS = 50
    const wait = { 'retry-after-ms': String(DEADLINE_MS - 10) }
    let clock: ManualClock

    /** Sends a call, and ends it once `now` resolves. Resolves to the status, or to null for a client that left. */
    async function sendAndEnd(
      routing: RoutingFixture,
      now: () => Promise<unknown>,
      onEnd = () => {},
    ): Promise<number | null> {
      const leaving = new AbortController()
      const asking = routing.send({}, { signal: leaving.signal }).then(
        (answer) => answer.text().then(() => answer.status),
        () => null,
      )
      await now()
      if (why === 'its client leaves') await routing.gateway.untilClientGone('over sockets', () => leaving.abort())
      else if (why === 'the gateway stops') routing.gateway.app.gate.expireAll()
      else clock.advance(DEADLINE_MS)
      onEnd()
      return asking
    }

    /** Timers of pauses are late, as on a busy machine: the deadline comes before the pause ends. */
    const latePauses = (): Timers => {
      const timers = timersOfCalls(clock)
      return {
        setTimeout: (callback, delayMs) =>
          timers.setTimeout(callback, delayMs === DEADLINE_MS || delayMs === SWEEP_MS ? delayMs : delayMs + LATE_MS),
        clearTimeout: (timer) => timers.clearTimeout(timer),
      }
    }

    function openTimed(options: RoutingFixtureOptions) {
      clock = new ManualClock()
      const env = { UPSTREAM_TIMEOUT_MS: String(DEADLINE_MS) }
      return openStored({ clock, timers: latePauses(), env, ...options })
    }

    it('between two attempts: it is over at once, and settled once', async () => {
      const routing = await openTimed({ first: fails(503, wait), file: retrying(1) })
      expect(await sendAndEnd(routing, () => untilPaused(clock))).toBe(status)
      const { outcome } = await expectBooked(routing, 0n)
      expect(outcome).toMatchObject({ ending, certainty: 'exact' })
      // The pause is given up. The timer of the deadlines stays, unless it has gone off.
      expect(clock.timerCount).toBe(why === 'its deadline comes' ? 0 : 1)
      expect(routing.requestCounts).toEqual([1, 0])
      expect(routing.gateway.app.gate.inFlight).toBe(0)
    })

    it('between two attempts of which the first may have been billed: the first is settled', async () => {
      const routing = await openTimed({ first: fails(500, wait), file: retrying(1) })
      const bound = await firstBound(routing)
      expect(await sendAndEnd(routing, () => untilPaused(clock))).toBe(status)
      const { outcome } = await expectBooked(routing, bound)
      expect(outcome).toMatchObject({ ending, certainty: 'upperBound' })
      expect(routing.requestCounts).toEqual([1, 0])
    })

    describe.each([
      ['is moved', 'moved'],
      ['cannot be moved', 'stays'],
      ['cannot be written', 'fails'],
    ])('while a reservation %s', (_, how) => {
      /** Reservations are moved once `go` is called. */
      function slowMoves(routing: RoutingFixture) {
        const { store: ledger } = routing.gateway.app
        const amend = ledger.amend.bind(ledger)
        const moving = Promise.withResolvers<void>()
        const going = Promise.withResolvers<void>()
        ledger.amend = async (...amendment) => {
          moving.resolve()
          await going.promise
          if (how === 'fails') throw new Error('the disk is full')
          return how === 'stays' ? [{ admitted: false, shortfalls: [] }] : amend(...amendment)
        }
        return { begun: moving.promise, go: () => going.resolve() }
      }

      /** The call ends in the middle of the move, which ends after it. */
      async function sendAndEndWhileMoving(routing: RoutingFixture): Promise<number | null> {
        const moves = slowMoves(routing)
        const ended = Promise.withResolvers<void>()
        const untilMoving = async () => {
          await untilPaused(clock)
          clock.advance(LATE_MS)
          await moves.begun
        }
        const answer = sendAndEnd(routing, untilMoving, ended.resolve)
        await ended.promise
        moves.go()
        return answer
      }

      it.each([
        ['is free', fails(503), false],
        ['may have been billed', fails(500), true],
      ] as const)('after an attempt that %s: it is settled once, and nothing is sent', async (_, script, billed) => {
        const routing = await openTimed({ first: script, file: retrying(0) })
        const bound = await firstBound(routing)
        expect(await sendAndEndWhileMoving(routing)).toBe(status)
        const { outcome } = await expectBooked(routing, billed ? bound : 0n)
        expect(outcome?.ending).toBe(ending)
        expect(routing.requestCounts).toEqual([1, 0])
      })

      it('a probe that was to be made is given back', async () => {
        const routing = await openTimed({
          first: fails(503),
          second: fails(503),
          file: { aliases: { ...retrying(0).aliases, two: { targets: ['second/m'], retries: 0 } } },
        })
        for (let call = 0; call < 10; call++) await (await routing.send({ model: 'two' })).text()
        await routing.gateway.ledger.holds(10)
        clock.advance(5_000)
        expect(await sendAndEndWhileMoving(routing)).toBe(status)
        await routing.gateway.ledger.holds(11)
        routing.second.says(succeeds)
        expect((await routing.send({ model: 'two' })).status).toBe(200)
      })
    })
  })

  it('a gateway that closes while a reservation is moved leaves nothing open', async () => {
    const path = ledgers.pathFor(store)
    let routing = await open({ ...path, first: fails(500), second: hangs, file: retrying(0) })
    const bound = await firstBound(routing)
    const { store: ledger } = routing.gateway.app
    const amend = ledger.amend.bind(ledger)
    const close = ledger.close.bind(ledger)
    let openAtClose: number | undefined
    ledger.close = async (now) => {
      openAtClose ??= (await ledger.figures({ simulated: false })).open.calls
      return close(now)
    }
    const begun = Promise.withResolvers<void>()
    const going = Promise.withResolvers<void>()
    ledger.amend = async (...amendment) => {
      begun.resolve()
      await going.promise
      return amend(...amendment)
    }
    const asking = routing.send().then(
      ({ status }) => status,
      () => 0,
    )
    await begun.promise
    const closing = routing.gateway.app.close(0)
    going.resolve()
    await closing
    expect(await withTimeout(5_000, asking)).toBe(503)
    expect(openAtClose).toBe(0)
    if (store === 'memory') return
    await routing.close()
    routing = await open(path)
    const { outcome } = await routing.settledEntry()
    expect(outcome?.cost.totalNanoUsd).toBe(bound)
  })
})
