// A thousand calls to a target that fails half of the time: all are answered, and the ledger agrees with what the providers served.

import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { EagerTimers, ManualClock } from '../support/clocks.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import { turns } from '../support/waiting.ts'
import { costOfUsage, requestFor } from './dialect-fixtures.ts'
import { Random, SEED } from './random.ts'
import { FAULTS, type FaultSource, FaultyProvider, HEALTH_FAULTS } from './routing-faults.ts'
import { fileFor, LedgerFolder, LIMITS, STORES, type StoreKind, type TargetJson } from './routing-fixture.ts'
import { nanoUsd, readSettled } from './settlement-checks.ts'

const ledgers = new LedgerFolder()
afterAll(() => ledgers.remove())

const CALL_COUNT = 1_000
const CALLS_AT_ONCE = 50
const CALLS_BEFORE_BREAKDOWN = 400

/** How a target's faults look in the ledger. */
const ERRORS = ['ECONNREFUSED', 'ECONNRESET', 'UND_ERR_SOCKET', 'status 500', 'status 503', 'status 429']

/** All texts have one length, so that all calls reserve the same. */
const textOf = (call: number) => `call ${String(call).padStart(4, '0')}`
const sorted = (amounts: readonly bigint[]) => amounts.toSorted((left, right) => Number(left - right))
const costOf = ({ outcome }: Entry) => outcome?.cost.totalNanoUsd ?? 0n
const attemptsOf = ({ outcome }: Entry) => outcome?.attempts ?? []

async function useFaultyProvider(): Promise<FaultyProvider> {
  const provider = await FaultyProvider.open()
  onTestFinished(() => provider.stopListening())
  return provider
}

/** A gateway with a target that fails and one that does not, and clients that call both in waves. */
class Waves {
  readonly gateway: GatewayFixture
  readonly faulty: FaultyProvider
  readonly steady: FaultyProvider
  readonly #clock: ManualClock
  callCount = 0
  /** Levels above their limit. */
  readonly overshoots: unknown[] = []
  readonly failures: unknown[] = []
  levelReadCount = 0

  private constructor(gateway: GatewayFixture, faulty: FaultyProvider, steady: FaultyProvider, clock: ManualClock) {
    this.gateway = gateway
    this.faulty = faulty
    this.steady = steady
    this.#clock = clock
  }

  static async open(store: StoreKind): Promise<Waves> {
    const [faulty, steady] = [await useFaultyProvider(), await useFaultyProvider()]
    const clock = new ManualClock()
    const limits = { global: { ...LIMITS.global, costPerDay: '0.15' } }
    const aliases = { both: { targets: ['first/m', 'second/m'], retries: 1 } }
    const gateway = await useGateway({
      clock,
      timers: new EagerTimers(),
      env: { USAGE_HISTORY_SIZE: '10000' },
      ...ledgers.pathFor(store),
      config: { ...fileFor(faulty.url, steady.url), limits, aliases },
    })
    return new Waves(gateway, faulty, steady, clock)
  }

  /** Sends many calls at once, whole and streamed. */
  async send(): Promise<void> {
    const calls = Array.from({ length: CALLS_AT_ONCE }, () => this.callCount++)
    await Promise.all(calls.map((call) => this.#call(call)))
  }

  async sendUntil(callCount: number): Promise<void> {
    while (this.callCount < callCount) {
      await this.send()
      await this.pass(20_000)
    }
  }

  /** Lets time pass. Meanwhile the gateway learns which connections were closed. */
  async pass(ms: number): Promise<void> {
    this.#clock.advance(ms)
    await turns()
  }

  async circuit(): Promise<string | undefined> {
    const { targets } = await this.gateway.client.asksOwner<{ targets: TargetJson[] }>('/llm/status')
    return targets[0]?.circuit
  }

  /** What one call reserves at a target. */
  async boundOf(stream: boolean): Promise<bigint> {
    const { path, body } = requestFor('openai', { model: 'both', cap: 20, text: textOf(0), stream })
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
    const estimate = await this.gateway.client.asksOwner<{ cost_usd: number }>(`/llm/estimate?path=${path}`, init)
    return nanoUsd(estimate.cost_usd)
  }

  async #call(call: number): Promise<void> {
    const { client, ledger } = this.gateway
    const wanted = { model: 'both', cap: 20, text: textOf(call), stream: call % 2 === 1 }
    const answer = await client.asks('openai', wanted, {}, 'over sockets')
    const text = await answer.text().catch(String)
    if (answer.status !== 200 || !/"usage":\{|\[DONE\]/.test(text)) this.failures.push([call, answer.status, text])
    if (call % 5 !== 0) return
    const levels = await ledger.levels()
    this.levelReadCount += 1
    this.overshoots.push(...levels.filter(({ settled, reserved, capacity }) => settled + reserved > capacity + 1e-12))
  }
}

/** The first target breaks down, goes away, comes back, and goes away again: its circuit follows. */
async function breakDown(waves: Waves, random: Random): Promise<void> {
  const { faulty } = waves
  faulty.nextFault = () => random.oneOf(HEALTH_FAULTS)
  await waves.pass(60_000)
  await waves.send()
  expect(await waves.circuit()).toBe('open')
  const before = faulty.served.length
  await waves.send()
  expect(faulty.served).toHaveLength(before)
  // The probe of the open circuit meets a target that is away, and the next probe one that is well.
  await faulty.stopListening()
  await waves.pass(60_000)
  await waves.send()
  expect(await waves.circuit()).toBe('open')
  await faulty.startListening()
  faulty.nextFault = () => undefined
  await waves.pass(60_000)
  await waves.send()
  expect(await waves.circuit()).toBe('closed')
  await faulty.stopListening()
  await waves.pass(20)
  await waves.send()
  expect(await waves.circuit()).toBe('open')
  await faulty.startListening()
}

/** What every call costs by what the providers served. */
function costsOwed({ faulty, steady }: Waves, bounds: readonly bigint[]): bigint[] {
  const owed = new Map<number, bigint>()
  for (const { call, usage, billed, stream } of [...faulty.served, ...steady.served]) {
    const cost = usage ? costOfUsage(usage) : billed ? (bounds[Number(stream)] ?? 0n) : 0n
    owed.set(call, (owed.get(call) ?? 0n) + cost)
  }
  return [...owed.values()]
}

describe.each(STORES)('%s: a thousand calls to a target that fails half of the time', (store) => {
  it('are all answered, and paid for once', async () => {
    console.info(`SEED=${SEED}`)
    const random = new Random(SEED)
    const waves = await Waves.open(store)
    const { gateway, faulty, steady } = waves
    const half: FaultSource = () => (random.chance(0.5) ? random.oneOf(FAULTS) : undefined)
    faulty.nextFault = half
    await waves.sendUntil(CALLS_BEFORE_BREAKDOWN)
    await breakDown(waves, random)
    faulty.nextFault = half
    await waves.pass(60_000)
    await waves.sendUntil(CALL_COUNT)
    const entries = await gateway.ledger.holds(CALL_COUNT)
    expect(waves.failures).toEqual([])
    expect([waves.overshoots, waves.levelReadCount]).toEqual([[], CALL_COUNT / 5])
    expect(entries).toHaveLength(CALL_COUNT)

    const owed = costsOwed(waves, [await waves.boundOf(false), await waves.boundOf(true)])
    expect(sorted(entries.map(costOf))).toEqual(sorted(owed))
    for (const entry of entries) {
      const attempts = attemptsOf(entry)
      expect(attempts.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0n)).toBe(costOf(entry))
      expect(attempts.at(-1)).toMatchObject({ status: 200, error: null })
    }
    const errors = entries.flatMap(attemptsOf).map(({ error }) => error)
    for (const error of ERRORS) expect(errors).toContain(error)
    const reached = errors.filter((error) => error !== 'ECONNREFUSED')
    expect(reached).toHaveLength(faulty.served.length + steady.served.length)
    const costNanoUsd = owed.reduce((sum, cost) => sum + cost, 0n)
    const { levels } = await readSettled(gateway)
    expect(levels).toMatchObject({ requests: CALL_COUNT, costNanoUsd, inFlight: 0 })
  })
})
