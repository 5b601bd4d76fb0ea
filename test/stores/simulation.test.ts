// Thousands of random calls against a simple model, checked after every step: failures, clients that leave, windows that
// turn, limits that change, processes that die. `SEED=…` replays one run.

import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Reservation } from '../../src/core/ledger-entry.ts'
import type { Charge, Instant } from '../../src/core/meter.ts'
import { MemoryStore } from '../../src/stores/memory/store.ts'
import { SqliteStore } from '../../src/stores/sqlite/store.ts'
import type { Figures, Store } from '../../src/stores/store.ts'
import { chargeOf, outcomeOf, reservationOf, START_MS, usedOf } from './calls.ts'
import { temporaryFolder } from './folder.ts'
import { StoreModel } from './model.ts'
import { openSqlite } from './open-sqlite.ts'

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
console.log(`simulation: SEED=${SEED}`)

/** mulberry32 */
class Random {
  #state: number
  constructor(seed: number) {
    this.#state = seed
  }
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
  chance(percent: number): boolean {
    return this.below(100) < percent
  }
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }
}

const SUBJECTS = ['a', 'b', 'c']

class Simulation {
  readonly random: Random
  readonly model = new StoreModel()
  store: Store
  now: Instant = { wallMs: START_MS, monoMs: START_MS }
  #calls = 0
  readonly #capacities = new Map<string, bigint>()
  mayFail = true

  constructor(seed: number, store: Store) {
    this.random = new Random(seed)
    this.store = store
  }

  /** One random step. */
  async step(): Promise<void> {
    const { random } = this
    const ms = random.chance(3) ? random.below(4 * 3_600_000) : random.below(4000)
    this.now = { wallMs: this.now.wallMs + ms, monoMs: this.now.monoMs + ms }
    const dice = random.below(100)
    if (dice < 38) await this.reserve(1 + random.below(3))
    else if (dice < 48) await this.amend()
    else if (dice < 50) await this.failToWrite()
    else if (dice < 85) await this.settle()
    else if (dice < 90) await this.sweep()
    else if (dice < 94) await this.settleAgain()
    else if (dice < 97) await this.append()
    else this.#capacities.set(random.pick([...this.#capacities.keys(), 'none']), BigInt(random.below(3000)))
    await this.model.checkLevels(this.store, this.now)
  }

  async reserve(count: number): Promise<void> {
    const reservations = Array.from({ length: count }, () => this.#reservation())
    const answers = await this.store.reserve(reservations, this.now)
    for (const [index, answer] of answers.entries()) {
      const reservation = reservations[index]
      if (reservation) this.model.admit(reservation, answer)
    }
  }

  async amend(): Promise<void> {
    if (this.model.open.size === 0) return
    const amendments = Array.from({ length: 1 + this.random.below(2) }, () =>
      this.amendment(this.random.pick([...this.model.open.keys(), 'ghost'])),
    )
    this.model.amend(amendments, await this.store.amend(amendments, this.now))
  }

  /** A retry or a fallback: other amounts on the same meters or on other ones, of the windows of the reservation. */
  amendment(callId: string): Reservation {
    const { random } = this
    const before = this.model.open.get(callId)
    const reservedAtMs = before?.facts.reservedAtMs ?? this.now.wallMs
    const { facts, charges, expiresAtMs } = this.#reservation({ wallMs: reservedAtMs, monoMs: reservedAtMs })
    const same = before && random.chance(50)
    const cost = random.chance(10) ? 5000n : BigInt(random.below(400))
    const changed = same
      ? before.charges.map((charge) => (charge.meter.what === 'cost' ? { ...charge, amount: cost } : charge))
      : charges
    const reservedCostNanoUsd = same ? cost : facts.reservedCostNanoUsd
    const operation = `${this.#calls}`
    return { facts: { ...facts, callId, operation, reservedCostNanoUsd }, charges: changed, expiresAtMs }
  }

  /** A failed write changes nothing, whether one row or the disk is at fault. */
  async failToWrite(): Promise<void> {
    const { store, random } = this
    if (!this.mayFail || !(store instanceof SqliteStore) || this.model.open.size === 0) return
    const why = random.pick(['INSERT ON level', "UPDATE ON entry WHEN new.operation <> ''"])
    store.db.exec(`CREATE TEMP TRIGGER failing BEFORE ${why} BEGIN SELECT raise(ABORT, 'failing'); END`)
    const callId = random.pick([...this.model.open.keys()])
    const amending = store.amend([this.amendment(callId), this.amendment(callId)], this.now)
    const others = why.startsWith('UPDATE') ? [this.#reservation()] : []
    const [amended, reserved] = await Promise.allSettled([amending, store.reserve(others, this.now)])
    store.db.exec('DROP TRIGGER failing')
    if (amended.status === 'fulfilled') expect(amended.value.some(({ admitted }) => admitted)).toBe(false)
    else expect(amended.reason).toMatchObject({ name: 'StoreUnavailable' })
    if (reserved.status === 'rejected') throw reserved.reason
    for (const [index, answer] of reserved.value.entries()) {
      const outcome = others[index]
      // It is refused if it met what the amendments took before they failed.
      if (outcome && answer.admitted) this.model.admit(outcome, answer)
    }
  }

  async settle(): Promise<void> {
    if (this.model.open.size === 0) return
    const callId = this.random.pick([...this.model.open.keys()])
    const { settlement, cost } = this.settlement(callId)
    const settling = this.store.settle([settlement], this.now)
    this.model.settle(callId, cost)
    await this.model.checkLevels(this.store, this.now)
    expect(await settling).toEqual(['settled'])
  }

  /** A settlement at the reserved cost, less, more, or unknown (only if the reserved cost is certain). */
  settlement(callId: string, isReservedCertain = true) {
    const reserved = this.model.open.get(callId)?.facts.reservedCostNanoUsd ?? 0n
    const part = this.random.pick([0, 0, 50, 100, 100, 130])
    const cost = isReservedCertain && this.random.chance(20) ? undefined : (reserved * BigInt(part)) / 100n
    const outcome = outcomeOf(30, cost ?? reserved, { ending: cost === undefined ? 'failed' : 'completed' })
    return { settlement: { callId, outcome, used: cost === undefined ? undefined : usedOf(30, cost) }, cost }
  }

  async settleAgain(): Promise<void> {
    if (this.model.settledCosts.size === 0) return
    const callId = this.random.pick([...this.model.settledCosts.keys()])
    const late = (await this.store.figures({ simulated: false })).lateSettlements
    expect(await this.store.settle([{ callId, outcome: outcomeOf(1, 1n), used: undefined }], this.now)).toEqual([
      'late',
    ])
    expect((await this.store.figures({ simulated: false })).lateSettlements).toBe(late + 1)
  }

  async sweep(): Promise<void> {
    const due = [...this.model.open.values()].filter(({ expiresAtMs }) => expiresAtMs <= this.now.monoMs)
    const swept = await this.store.sweep(this.now)
    const ids = due.map(({ facts }) => facts.callId)
    expect(swept.map(({ facts }) => facts.callId).filter((id) => this.model.open.has(id))).toEqual(ids)
    for (const id of ids) this.model.settle(id, undefined)
  }

  async append(): Promise<void> {
    const { facts, charges } = this.#reservation()
    const cost = BigInt(this.random.below(300))
    const record = { kind: 'entry', facts, outcome: outcomeOf(9, cost), charges, used: usedOf(9, cost) } as const
    await this.store.append([record], this.now)
    this.model.append(facts.callId, charges, cost)
  }

  #reservation(now = this.now) {
    const { random } = this
    const subject = random.pick(SUBJECTS)
    const cost = BigInt(random.chance(10) ? 0 : random.below(400))
    const charges = [
      this.#charge('requests/minute', 1n, subject, now),
      this.#charge('tokens/minute', BigInt(random.below(500)), subject, now),
      this.#charge('cost/minute', cost, subject, now),
      this.#charge('cost/day', cost, random.chance(20) ? 'a' : subject, now),
      this.#charge('cost/total', cost, 'all', now),
      this.#charge('inFlight', 1n, subject, now),
    ].filter(() => random.chance(85))
    if (random.chance(5) && charges[0]) charges.push(charges[0])
    return reservationOf(`call-${++this.#calls}`, charges, {
      caller: { key: subject },
      reservedCostNanoUsd: cost,
      reservedTokens: 500,
      reservedAtMs: now.wallMs,
      expiresAfterMs: 1000 + random.below(60_000),
    })
  }

  #charge(name: Parameters<typeof chargeOf>[0], amount: bigint, subject: string, now: Instant): Charge {
    const usual = { 'cost/total': 10n ** 12n, inFlight: 20n, 'requests/minute': 300n }
    const first = name in usual ? usual[name as keyof typeof usual] : 3000n
    const limit = `${name}/${subject}`
    if (!this.#capacities.has(limit)) this.#capacities.set(limit, first)
    const enforced = !(subject === 'c' && name === 'cost/day')
    return chargeOf(name, amount, this.#capacities.get(limit) ?? first, { subject, enforced, now })
  }
}

describe('random calls', () => {
  test('memory and SQLite do what the model does', async () => {
    for (const [index, store] of [new MemoryStore(1e6), openSqlite(':memory:', start())].entries()) {
      const simulation = new Simulation(SEED + index, store)
      for (let step = 0; step < 1500; step++) await simulation.step()
      await simulation.model.checkLedger(store)
      await store.close(simulation.now)
    }
  })

  test('SQLite does what memory does, bucket by bucket and refusal by refusal', async () => {
    const [memory, sqlite] = [
      new Simulation(SEED, new MemoryStore(1e6)),
      new Simulation(SEED, openSqlite(':memory:', start())),
    ]
    memory.mayFail = sqlite.mayFail = false
    const [memoryAnswers, sqliteAnswers] = [recordOf(memory), recordOf(sqlite)]
    for (let step = 0; step < 1000; step++) {
      await memory.step()
      await sqlite.step()
      expect(sqliteAnswers.splice(0)).toEqual(memoryAnswers.splice(0))
    }
    expect(await sqlite.store.entries({ limit: 1e6 })).toEqual(await memory.store.entries({ limit: 1e6 }))
    expect(sorted((await sqlite.store.figures({ simulated: false })).report)).toEqual(
      sorted((await memory.store.figures({ simulated: false })).report),
    )
    await sqlite.store.close(sqlite.now)
  })

  test('restarts and sudden deaths lose no answered call, and give no budget back', async () => {
    const where = temporaryFolder()
    let lives = 0
    const path = () => join(where, `${lives}.db`)
    const open = () => openSqlite(path(), simulation.now, { checkpointMs: 1e9 })
    const simulation: Simulation = new Simulation(SEED, new MemoryStore())
    simulation.store = open()
    const abandoned: Store[] = []
    for (let step = 0; step < 1200; step++) {
      await simulation.step()
      if (step % 60 === 59) {
        await simulation.store.close(simulation.now)
        simulation.store = open()
        expireAll(simulation)
      } else if (step % 20 === 19) {
        const before = simulation.store
        abandoned.push(before)
        await killAndReopen(simulation, () => {
          const from = path()
          lives += 1
          for (const part of ['', '-wal']) copyFileSync(from + part, path() + part)
          return open()
        })
      }
      if (step % 100 === 99) await simulation.model.checkLedger(simulation.store)
    }
    await simulation.model.checkLedger(simulation.store)
    await simulation.store.close(simulation.now)
    for (const store of abandoned) await store.close(simulation.now)
  })
})

const start = (): Instant => ({ wallMs: START_MS, monoMs: START_MS })

/** A list that grows with each answer of a store. */
function recordOf({ store }: Simulation): unknown[] {
  const answersSoFar: unknown[] = []
  const reserve = store.reserve.bind(store)
  const amend = store.amend.bind(store)
  store.amend = async (amendments, now) => {
    const answers = await amend(amendments, now)
    const charges = amendments.flatMap((amendment) => amendment.charges)
    answersSoFar.push(answers, await store.levels(charges, now))
    return answers
  }
  store.reserve = async (reservations, now) => {
    const answers = await reserve(reservations, now)
    answersSoFar.push(
      answers,
      await store.levels(
        reservations.flatMap(({ charges }) => charges),
        now,
      ),
    )
    return answers
  }
  return answersSoFar
}

function sorted(report: Figures['report']) {
  return [...report.days].sort(([a], [b]) => a.localeCompare(b))
}

/** Calls that were open when the process ended are settled in full. */
function expireAll({ model }: Simulation): void {
  for (const callId of [...model.open.keys()]) model.settle(callId, undefined)
}

/** Ends the process while settlements and amendments are under way: each has happened as a whole or not at all. */
async function killAndReopen(simulation: Simulation, reopen: () => SqliteStore): Promise<void> {
  const { store, model, random } = simulation
  const amending = [...model.open.keys()].filter(() => random.chance(30)).map((callId) => simulation.amendment(callId))
  const answers = amending.map((amendment) => store.amend([amendment], simulation.now))
  const underWay = [...model.open.keys()].filter(() => random.chance(50))
  const changing = new Set(amending.map(({ facts }) => facts.callId))
  const settling = underWay.map((callId) => ({ callId, ...simulation.settlement(callId, !changing.has(callId)) }))
  for (const { settlement } of settling) void store.settle([settlement], simulation.now)
  const waits = random.below(3)
  // Nothing is written, or what waits at the end of this turn, or more and perhaps the sums, too.
  const turns = waits === 2 ? random.below(60) : waits
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
  simulation.store = reopen()
  for (const [index, amendment] of amending.entries()) {
    const { callId, operation } = amendment.facts
    const entry = await simulation.store.entry(callId)
    if (entry?.facts.operation === operation) model.amend([amendment], (await answers[index]) ?? [])
  }
  for (const { callId, cost } of settling) {
    const entry = await simulation.store.entry(callId)
    expect(entry?.outcome).toBeTruthy()
    model.settle(callId, entry?.outcome?.ending === 'expired' ? undefined : cost)
  }
  expireAll(simulation)
  await model.checkLevels(simulation.store, simulation.now)
}

afterAll(() => console.log(`simulation: SEED=${SEED}`))
