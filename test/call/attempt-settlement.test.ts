// Attempts are settled once, with all that they cost, wherever a call ends: between two attempts, or while its reservation moves.

import { afterAll, describe, expect, it } from 'vitest'
import type { Timers } from '../../src/core/clock.ts'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { StoreUnavailable } from '../../src/stores/store.ts'
import { EagerTimers, ManualClock } from '../support/clocks.ts'
import { waitFor, withTimeout } from '../support/waiting.ts'
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
  succeeds,
  useRouting,
} from './routing-fixture.ts'
import { retrying, timersOfCalls, untilPaused } from './routing-retries.ts'
import { nanoUsd, readSettled } from './settlement-checks.ts'

const ledgers = new LedgerFolder()
afterAll(() => ledgers.remove())

/** Unless a test has timers of its own, the next attempt follows in the next turn. */
function open(options: RoutingFixtureOptions = {}): Promise<RoutingFixture> {
  return useRouting({ timers: new EagerTimers(), ...options })
}

/** `both` may end at ten times the price; `dear` is that target alone. */
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
  async function expectSettledAttempts(routing: RoutingFixture, costNanoUsd: bigint): Promise<Entry> {
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
    const { outcome } = await expectSettledAttempts(routing, COST_NANO_USD)
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
      const { outcome } = await expectSettledAttempts(routing, first + 10n * COST_NANO_USD)
      expect(outcome?.certainty).toBe('upperBound')
      expect(outcome?.attempts.map(({ costNanoUsd }) => costNanoUsd)).toEqual([first, 10n * COST_NANO_USD])
    },
  )

  it('every attempt that may have been billed is settled, at every target', async () => {
    const routing = await openStored({ first: fails(500), second: fails(500), file: retrying(1) })
    const bound = await firstBound(routing)
    expect((await routing.send()).status).toBe(500)
    const { outcome } = await expectSettledAttempts(routing, 4n * bound)
    expect(outcome?.attempts).toHaveLength(4)
    expect(outcome).toMatchObject({ ending: 'failed', certainty: 'upperBound' })
  })

  it('the header of the cost holds all attempts', async () => {
    const routing = await openStored({ first: inTurn(fails(500), succeeds), file: retrying(1, ['first/m']) })
    const bound = await firstBound(routing)
    const answer = await routing.send()
    expect(nanoUsd(Number(answer.headers.get('x-bursar-cost-usd')))).toBe(bound + COST_NANO_USD)
    await expectSettledAttempts(routing, bound + COST_NANO_USD)
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
    const { facts } = await expectSettledAttempts(routing, bound + COST_NANO_USD)
    const levelsOf = async (provider: string) => {
      const levels = await routing.gateway.ledger.levels(`?provider=${provider}`)
      const own = levels.filter(({ subject }) => subject === `provider:${provider}`)
      return own.map(({ limit, settled, reserved }) => [limit, settled, reserved])
    }
    expect(await levelsOf('second')).toEqual([
      ['daily_spending_limit', 0.000_04, 0],
      ['requests_per_day', 1, 0],
      ['tokens_per_day', 30, 0],
    ])
    const [cost, requests, tokens] = await levelsOf('first')
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
    await expectSettledAttempts(routing, bound)
  })

  it('what may have been billed is no exact figure where costs are not tracked, either', async () => {
    const routing = await openStored({ first: fails(500), env: { ENABLE_COST_TRACKING: 'false' }, file: retrying(0) })
    expect((await routing.send()).status).toBe(200)
    const { outcome } = await expectSettledAttempts(routing, 0n)
    expect(outcome?.certainty).toBe('upperBound')
  })

  it('another attempt that does not fit is not made', async () => {
    const limits = { global: { ...LIMITS.global, costPerDay: '0.0003' } }
    const routing = await openStored({ first: fails(500), file: { ...retrying(1), limits } })
    const bound = await firstBound(routing)
    const answer = await routing.send()
    expect([answer.status, answer.headers.has('x-should-retry'), routing.requestCounts]).toEqual([500, false, [1, 0]])
    await expectSettledAttempts(routing, bound)
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
    const latePauses = (): Timers =>
      timersOfCalls({
        setTimeout: (callback, delayMs) =>
          clock.setTimeout(callback, delayMs === DEADLINE_MS ? delayMs : delayMs + LATE_MS),
        clearTimeout: (timer) => clock.clearTimeout(timer),
      })

    function openTimed(options: RoutingFixtureOptions) {
      clock = new ManualClock()
      const env = { UPSTREAM_TIMEOUT_MS: String(DEADLINE_MS) }
      return openStored({ clock, timers: latePauses(), env, ...options })
    }

    it('between two attempts: it is over at once, and settled once', async () => {
      const routing = await openTimed({ first: fails(503, wait), file: retrying(1) })
      expect(await sendAndEnd(routing, () => untilPaused(clock))).toBe(status)
      const { outcome } = await expectSettledAttempts(routing, 0n)
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
      const { outcome } = await expectSettledAttempts(routing, bound)
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
        const { outcome } = await expectSettledAttempts(routing, billed ? bound : 0n)
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

  it('a reservation that cannot be moved because the ledger is full: the failed attempt is the last one', async () => {
    const routing = await open({ ...ledgers.pathFor(store), first: fails(503), second: succeeds, file: retrying(0) })
    routing.gateway.app.store.amend = async () => {
      throw new StoreUnavailable('The disk is full.')
    }
    expect((await routing.send()).status).toBe(503)
    const { outcome } = await routing.settledEntry()
    expect(outcome).toMatchObject({ ending: 'failed', certainty: 'exact', cost: { totalNanoUsd: 0n } })
    expect(routing.requestCounts).toEqual([1, 0])
    expect(routing.gateway.log.join()).not.toContain('call_failed_internally')
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
