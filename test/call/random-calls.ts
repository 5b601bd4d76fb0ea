// Random calls: waves of calls against random limits, with faults, clients that leave, and days that turn. Keeps a record of
// its own from what the provider received, and compares it with the gateway's ledger.

import { expect } from 'vitest'
import { ManualClock } from '../support/clocks.ts'
import { answerStream, type GatewayFixture, useGateway } from '../support/gateway.ts'
import type { ProviderRequest } from '../support/provider.ts'
import { turns, waitFor } from '../support/waiting.ts'
import {
  costOfUsage,
  DIALECT_NAMES,
  type DialectName,
  eventsOf,
  PRICE,
  type ReportedUsage,
  wholeAnswer,
} from './dialect-fixtures.ts'
import type { Random } from './random.ts'

const SCENARIOS = ['whole', 'whole', 'leaves', 'dies', 'half', 'silent', 'error', 'turned away', 'garbage'] as const
type Scenario = (typeof SCENARIOS)[number]

/** One planned call. Its number travels as the task, so that the ledger's row can be found. */
interface PlannedCall {
  readonly task: string
  readonly dialect: DialectName
  readonly key: string
  readonly scenario: Scenario
  readonly cap: number
  readonly text: string
  readonly stream: boolean
  readonly day: string
  readonly disconnect: AbortController
  /** What the call really used, whether it is reported or not. */
  trueUsage: ReportedUsage
  status: number | undefined
  isFinished: boolean
}

const CALLER_SECRETS: Readonly<Record<string, string>> = { alice: 'alice-secret-alice', bob: 'bob-secret-bob-bob' }
const DAY_MS = 86_400_000

type LimitSettings = Readonly<Record<string, Readonly<Record<string, string | number>>>>

export class RandomCalls {
  readonly gateway: GatewayFixture
  readonly #random: Random
  readonly #clock: ManualClock
  readonly #limits: LimitSettings
  readonly #drains: boolean
  readonly #plannedCalls = new Map<string, PlannedCall>()

  private constructor(
    gateway: GatewayFixture,
    random: Random,
    clock: ManualClock,
    limits: LimitSettings,
    drains: boolean,
  ) {
    this.gateway = gateway
    this.#random = random
    this.#clock = clock
    this.#limits = limits
    this.#drains = drains
  }

  static async open(random: Random, store: { path?: string }): Promise<RandomCalls> {
    const clock = new ManualClock()
    const usd = (maxNanoUsd: number) => `0.${String(random.between(1, maxNanoUsd)).padStart(9, '0')}`
    const global = {
      costPerDay: usd(40_000_000),
      ...(random.chance(0.3) ? { costPerHour: usd(20_000_000) } : {}),
      ...(random.chance(0.5) ? { requestsPerDay: random.between(1, 60) } : {}),
      ...(random.chance(0.5) ? { inFlight: random.between(1, 12) } : {}),
    }
    const limits = { global, ...(random.chance(0.6) ? { perKey: { costPerDay: usd(20_000_000) } } : {}) }
    const drains = random.chance(0.5)
    const env = {
      BURSAR_KEYS: Object.entries(CALLER_SECRETS)
        .map((pair) => pair.join(':'))
        .join(','),
      ON_DISCONNECT: drains ? 'drain' : 'charge',
    }
    const gateway = await useGateway({
      config: { prices: [PRICE], limits },
      clock,
      env,
      respond: () => {},
      ...store,
    })
    return new RandomCalls(gateway, random, clock, limits, drains)
  }

  get description(): string {
    return JSON.stringify({ limits: this.#limits, drains: this.#drains })
  }

  /** Sends many calls at once; when each is refused or received, ends each as planned, and checks the levels at every step. */
  async runWave(): Promise<void> {
    const { received } = this.gateway.provider
    const before = received.length
    const plans = Array.from({ length: this.#random.between(1, 25) }, () => this.#planCall())
    const asked = plans.map((plan) => this.#sendCall(plan))
    await waitFor(
      async () =>
        received.length - before + plans.filter((plan) => plan.isFinished).length === plans.length || undefined,
    )
    await this.#checkLevels()
    const now = received.slice(before)
    expect(now.map(taskOf).toSorted()).toEqual(
      plans
        .filter((plan) => !plan.isFinished)
        .map(({ task }) => task)
        .toSorted(),
    )
    for (const call of now) {
      const plan = this.#plannedCalls.get(taskOf(call))
      if (!plan) throw new Error('a call was received that was never made')
      await this.#respond(plan, call)
      await this.#checkLevels()
    }
    await Promise.all(asked)
    await waitFor(
      async () => (await this.gateway.app.store.figures({ simulated: false })).open.calls === 0 || undefined,
    )
    await this.#checkLevels()
    this.#clock.advance(this.#random.oneOf([0, 1_000, 3_600_000, DAY_MS / 2]))
  }

  /** One row for each received call, none for any other, and none that says less than the truth. */
  async checkLedger(): Promise<void> {
    const entries = await this.gateway.ledger.entries()
    const rows = new Map(entries.map((entry) => [entry.facts.caller.task, entry]))
    const tasks = this.gateway.provider.received.map(taskOf)
    expect(entries.map((entry) => entry.facts.caller.task).toSorted()).toEqual(tasks.toSorted())
    const trueByDay = new Map<string, bigint>()
    for (const task of tasks) {
      const plan = this.#plannedCalls.get(task)
      const row = rows.get(task)
      if (!plan || !row?.outcome) throw new Error(`${task} is not in the ledger`)
      const truth = costOfUsage(plan.trueUsage)
      expect(row.outcome.cost.totalNanoUsd, `${task} ${plan.scenario}`).toBeGreaterThanOrEqual(truth)
      expect(row.outcome.cost.totalNanoUsd).toBeLessThanOrEqual(row.facts.reservedCostNanoUsd)
      expect({ day: row.facts.day, key: row.facts.caller.key }).toEqual({ day: plan.day, key: plan.key })
      trueByDay.set(plan.day, (trueByDay.get(plan.day) ?? 0n) + truth)
    }
    const maxNanoUsd = BigInt(String(this.#limits.global?.costPerDay).slice(2))
    for (const [day, truth] of trueByDay) expect(truth, day).toBeLessThanOrEqual(maxNanoUsd)
  }

  #planCall(): PlannedCall {
    const random = this.#random
    const cap = random.between(1, 600)
    const fate = random.oneOf(SCENARIOS)
    const plan: PlannedCall = {
      task: `call-${this.#plannedCalls.size}`,
      dialect: random.oneOf(DIALECT_NAMES),
      key: random.oneOf(Object.keys(CALLER_SECRETS)),
      scenario: fate,
      cap,
      text: 'word '.repeat(random.between(1, 300)),
      stream: random.chance(0.5),
      day: new Date(this.#clock.wallMs).toISOString().slice(0, 10),
      disconnect: new AbortController(),
      trueUsage: { input: random.between(1, 40), output: random.between(0, cap) },
      status: undefined,
      isFinished: false,
    }
    if (fate === 'turned away') plan.trueUsage = { input: 0, output: 0 }
    this.#plannedCalls.set(plan.task, plan)
    return plan
  }

  async #sendCall(plan: PlannedCall): Promise<void> {
    const { cap, text, stream, task, key, disconnect } = plan
    const headers = { authorization: `Bearer ${CALLER_SECRETS[key]}`, 'x-bursar-task': task, 'x-test-task': task }
    try {
      const answer = await this.gateway.client.asks(
        plan.dialect,
        { cap, text, stream },
        { headers, signal: disconnect.signal },
        'over sockets',
      )
      plan.status = answer.status
      await answer.text()
    } catch {
      // A client that left, or an answer that broke off.
    }
    plan.isFinished = true
  }

  async #respond(
    { scenario, dialect, trueUsage, stream, disconnect }: PlannedCall,
    call: ProviderRequest,
  ): Promise<void> {
    const { response } = call
    const json = { 'content-type': 'application/json' }
    const events = eventsOf(dialect, trueUsage)
    const answer = () =>
      stream ? answerStream(call, events) : void response.writeHead(200, json).end(wholeAnswer(dialect, trueUsage))
    if (scenario === 'whole') await answer()
    else if (scenario === 'dies') response.destroy()
    else if (scenario === 'error') response.writeHead(500, json).end('{"error":{"message":"no"}}')
    else if (scenario === 'turned away') response.writeHead(429, json).end('{"error":{"message":"no"}}')
    else if (scenario === 'garbage') response.writeHead(200, json).end('{"usage":')
    else if (scenario === 'half') await answerStream(call, events.slice(0, 2))
    else if (scenario === 'silent') response.writeHead(200, json).end('{"choices":[]}')
    else {
      disconnect.abort()
      await turns(this.#random.between(0, 20))
      await answer()
    }
  }

  /** Σ ≤ limit, on every meter, now. */
  async #checkLevels(): Promise<void> {
    for (const key of Object.keys(CALLER_SECRETS)) {
      for (const { limit, settled, reserved, capacity } of await this.gateway.ledger.levels(`?key=${key}`)) {
        const sum = Math.round((settled + reserved) * 1e9)
        expect(sum, `${limit} of ${key}`).toBeLessThanOrEqual(Math.round(capacity * 1e9))
      }
    }
  }
}

function taskOf({ headers }: ProviderRequest): string {
  return String(headers['x-test-task'])
}
