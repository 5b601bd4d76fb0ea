// Campaign: waves of random calls against random limits, with faults, clients that leave, and days that turn. Keeps books of
// its own from what the upstream received, and compares them with the gateway's.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { answerStream, HandClock, type Received, Stage, until } from '../support/gateway-fixture.ts'
import { costOfSaid, eventsOf, PRICE, type Said, SPOKEN, type Spoken, wholeAnswer } from './dialect-fixtures.ts'
import type { Random } from './random.ts'

const FATES = ['whole', 'whole', 'leaves', 'dies', 'half', 'silent', 'error', 'turned away', 'garbage'] as const
type Fate = (typeof FATES)[number]

/** One planned call. Its number travels as the task, so that the ledger's row can be found. */
interface Plan {
  readonly task: string
  readonly spoken: Spoken
  readonly key: string
  readonly fate: Fate
  readonly cap: number
  readonly text: string
  readonly stream: boolean
  readonly day: string
  readonly leaving: AbortController
  /** What the call really used, whether anybody is told or not. */
  truth: Said
  status: number | undefined
  over: boolean
}

const SECRETS: Readonly<Record<string, string>> = { alice: 'alice-secret-alice', bob: 'bob-secret-bob-bob' }
const DAY_MS = 86_400_000

type Limits = Readonly<Record<string, Readonly<Record<string, string | number>>>>

export class Campaign {
  readonly stage: Stage
  readonly #random: Random
  readonly #clock: HandClock
  readonly #limits: Limits
  readonly #drains: boolean
  readonly #plans = new Map<string, Plan>()

  private constructor(stage: Stage, random: Random, clock: HandClock, limits: Limits, drains: boolean) {
    this.stage = stage
    this.#random = random
    this.#clock = clock
    this.#limits = limits
    this.#drains = drains
  }

  static async open(random: Random, store: { path?: string }): Promise<Campaign> {
    const clock = new HandClock()
    const usd = (most: number) => `0.${String(random.between(1, most)).padStart(9, '0')}`
    const global = {
      costPerDay: usd(40_000_000),
      ...(random.chance(0.3) ? { costPerHour: usd(20_000_000) } : {}),
      ...(random.chance(0.5) ? { requestsPerDay: random.between(1, 60) } : {}),
      ...(random.chance(0.5) ? { inFlight: random.between(1, 12) } : {}),
    }
    const limits = { global, ...(random.chance(0.6) ? { perKey: { costPerDay: usd(20_000_000) } } : {}) }
    const drains = random.chance(0.5)
    const env = {
      BURSAR_KEYS: Object.entries(SECRETS)
        .map((pair) => pair.join(':'))
        .join(','),
      ON_DISCONNECT: drains ? 'drain' : 'charge',
    }
    const stage = await Stage.open({ config: { prices: [PRICE], limits }, clock, env, play: () => {}, ...store })
    return new Campaign(stage, random, clock, limits, drains)
  }

  get description(): string {
    return JSON.stringify({ limits: this.#limits, drains: this.#drains })
  }

  /** Sends many calls at once; when each is refused or received, plays their fates, checking at every step. */
  async wave(): Promise<void> {
    const { received } = this.stage.upstream
    const before = received.length
    const plans = Array.from({ length: this.#random.between(1, 25) }, () => this.#plan())
    const asked = plans.map((plan) => this.#ask(plan))
    await until(
      async () => received.length - before + plans.filter((plan) => plan.over).length === plans.length || undefined,
    )
    await this.#checkLevels()
    const now = received.slice(before)
    expect(now.map(taskOf).toSorted()).toEqual(
      plans
        .filter((plan) => !plan.over)
        .map(({ task }) => task)
        .toSorted(),
    )
    for (const call of now) {
      const plan = this.#plans.get(taskOf(call))
      if (!plan) throw new Error('a call was received that nobody made')
      await this.#play(plan, call)
      await this.#checkLevels()
    }
    await Promise.all(asked)
    await until(async () => this.stage.app.store.open(false).calls === 0 || undefined)
    await this.#checkLevels()
    this.#clock.pass(this.#random.oneOf([0, 1_000, 3_600_000, DAY_MS / 2]))
  }

  /** One row for each received call, none for any other, and none that says less than the truth. */
  async checkLedger(): Promise<void> {
    const entries = await this.stage.entries()
    const rows = new Map(entries.map((entry) => [entry.facts.caller.task, entry]))
    const tasks = this.stage.upstream.received.map(taskOf)
    expect(entries.map((entry) => entry.facts.caller.task).toSorted()).toEqual(tasks.toSorted())
    const trueByDay = new Map<string, bigint>()
    for (const task of tasks) {
      const plan = this.#plans.get(task)
      const row = rows.get(task)
      if (!plan || !row?.outcome) throw new Error(`${task} is not in the ledger`)
      const truth = costOfSaid(plan.truth)
      expect(row.outcome.cost.totalNanoUsd, `${task} ${plan.fate}`).toBeGreaterThanOrEqual(truth)
      expect(row.outcome.cost.totalNanoUsd).toBeLessThanOrEqual(row.facts.reservedCostNanoUsd)
      expect({ day: row.facts.day, key: row.facts.caller.key }).toEqual({ day: plan.day, key: plan.key })
      trueByDay.set(plan.day, (trueByDay.get(plan.day) ?? 0n) + truth)
    }
    const most = BigInt(String(this.#limits.global?.costPerDay).slice(2))
    for (const [day, truth] of trueByDay) expect(truth, day).toBeLessThanOrEqual(most)
  }

  #plan(): Plan {
    const random = this.#random
    const cap = random.between(1, 600)
    const fate = random.oneOf(FATES)
    const plan: Plan = {
      task: `call-${this.#plans.size}`,
      spoken: random.oneOf(SPOKEN),
      key: random.oneOf(Object.keys(SECRETS)),
      fate,
      cap,
      text: 'word '.repeat(random.between(1, 300)),
      stream: random.chance(0.5),
      day: new Date(this.#clock.wallMs).toISOString().slice(0, 10),
      leaving: new AbortController(),
      truth: { input: random.between(1, 40), output: random.between(0, cap) },
      status: undefined,
      over: false,
    }
    if (fate === 'turned away') plan.truth = { input: 0, output: 0 }
    this.#plans.set(plan.task, plan)
    return plan
  }

  async #ask(plan: Plan): Promise<void> {
    const { cap, text, stream, task, key, leaving } = plan
    const headers = { authorization: `Bearer ${SECRETS[key]}`, 'x-bursar-task': task, 'x-test-task': task }
    try {
      const answer = await this.stage.call(
        plan.spoken,
        { cap, text, stream },
        { headers, signal: leaving.signal },
        'over sockets',
      )
      plan.status = answer.status
      await answer.text()
    } catch {
      // A client that left, or an answer that broke off.
    }
    plan.over = true
  }

  async #play({ fate, spoken, truth, stream, leaving }: Plan, call: Received): Promise<void> {
    const { response } = call
    const json = { 'content-type': 'application/json' }
    const events = eventsOf(spoken, truth)
    const answer = () =>
      stream ? answerStream(call, events) : void response.writeHead(200, json).end(wholeAnswer(spoken, truth))
    if (fate === 'whole') await answer()
    else if (fate === 'dies') response.destroy()
    else if (fate === 'error') response.writeHead(500, json).end('{"error":{"message":"no"}}')
    else if (fate === 'turned away') response.writeHead(429, json).end('{"error":{"message":"no"}}')
    else if (fate === 'garbage') response.writeHead(200, json).end('{"usage":')
    else if (fate === 'half') await answerStream(call, events.slice(0, 2))
    else if (fate === 'silent') response.writeHead(200, json).end('{"choices":[]}')
    else {
      leaving.abort()
      await sleep(this.#random.between(0, 5))
      await answer()
    }
  }

  /** Σ ≤ limit, on every meter, now. */
  async #checkLevels(): Promise<void> {
    for (const key of Object.keys(SECRETS)) {
      for (const { limit, settled, reserved, capacity } of await this.stage.levels(`?key=${key}`)) {
        const sum = Math.round((settled + reserved) * 1e9)
        expect(sum, `${limit} of ${key}`).toBeLessThanOrEqual(Math.round(capacity * 1e9))
      }
    }
  }
}

function taskOf({ headers }: Received): string {
  return String(headers['x-test-task'])
}
