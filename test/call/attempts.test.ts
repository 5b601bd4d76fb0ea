// Attempts: a call that fails is made again if that may help, at another target if not, and is settled once with all it cost.

import { describe, expect, it } from 'vitest'
import type { AttemptFailure } from '../../src/call/attempts.ts'
import { EagerTimers, ManualClock } from '../support/clocks.ts'
import type { ProviderScript } from '../support/provider.ts'
import { type DialectName, errorIn } from './dialect-fixtures.ts'
import {
  closes,
  fails,
  inTurn,
  type RoutingFixture,
  type RoutingFixtureOptions,
  resets,
  streamOf,
  succeeds,
  useRouting,
} from './routing-fixture.ts'
import { attemptsIn, retriesAt, retrying, timersOfCalls, untilPaused } from './routing-retries.ts'

/** Unless a test has timers of its own, the next attempt follows in the next turn. */
function open(options: RoutingFixtureOptions = {}): Promise<RoutingFixture> {
  return useRouting({ timers: new EagerTimers(), ...options })
}

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
