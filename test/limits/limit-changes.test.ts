// Limits that change while calls run, in memory and in SQLite: nested budgets hold, no change is lost or seen by halves, and what was
// spent before a limit counts.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { compileKeyLimits, type KeyLimits } from '../../src/core/key-limits.ts'
import type { Caller } from '../../src/core/ledger-entry.ts'
import { type Limit, type LimitSubjects, NO_SUBJECTS, type Scope } from '../../src/core/limits.ts'
import { changeKeyDocument, readKeyLimits } from '../../src/limits/key-documents.ts'
import type { LimitDocument } from '../../src/limits/limit-document.ts'
import { LimitsInForce } from '../../src/limits/limits-in-force.ts'
import { MemoryStore } from '../../src/stores/memory/store.ts'
import type { Store } from '../../src/stores/store.ts'
import { outcomeOf, reservationOf } from '../stores/calls.ts'
import { openSqlite } from '../stores/open-sqlite.ts'
import { ManualClock } from '../support/clocks.ts'
import { turns } from '../support/waiting.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-test-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

const STORES: readonly (readonly [string, (clock: ManualClock) => Store])[] = [
  ['memory', () => new MemoryStore()],
  ['SQLite', (clock) => openSqlite(join(folder, `${++files}.db`), clock.now())],
]
const ORIGIN = { actor: 'admin', atMs: 0, audit: true }
const CALLER = { ...NO_SUBJECTS.caller, organisation: 'acme', project: 'web', key: 'ci' }
const NESTED: readonly Scope[] = [
  { who: 'organisation', subject: 'acme' },
  { who: 'project', subject: 'web' },
  { who: 'key', subject: 'ci' },
  { who: 'user', subject: 'ci/u' },
  { who: 'agent', subject: 'ci/a' },
  { who: 'task', subject: 'ci/t' },
]

describe.each(STORES)('in %s', (_name, open) => {
  let clock: ManualClock
  let store: Store
  let inForce: LimitsInForce
  let callCount: number

  beforeEach(async () => {
    clock = new ManualClock()
    store = open(clock)
    callCount = 0
    onTestFinished(() => store.close(clock.now()))
    inForce = await start()
  })

  async function start(file: readonly Limit[] = [], timeZone = 'UTC'): Promise<LimitsInForce> {
    const limits = new LimitsInForce({ store, clock, timeZone, countsCost: true })
    ;(await limits.prepare({ settings: [], file }))()
    return limits
  }

  const set = (scope: Scope, limits: LimitDocument['limits'] | null) =>
    inForce.change(scope, () => limits && { limits, raises: [] }, ORIGIN)

  const subjectsOf = (caller: Partial<Caller>, keyLimits?: KeyLimits): LimitSubjects => ({
    ...NO_SUBJECTS,
    caller: { ...CALLER, ...caller },
    provider: 'openai',
    model: 'gpt-4o',
    canonical: 'gpt-4o',
    family: 'gpt-4o',
    keyLimits,
  })

  /** Reserves a call as admission does: it waits for changes, and then decides in one turn. */
  async function reserve(cost: bigint, caller: Partial<Caller> = {}, keyLimits?: KeyLimits) {
    const subjects = subjectsOf(caller, keyLimits)
    for (let change = inForce.changeOf(subjects); change; change = inForce.changeOf(subjects)) await change
    const now = clock.now()
    const amounts = { requests: 1n, tokens: 10n, cost, inFlight: 1n }
    const charges = inForce.plan.chargesFor(subjects, amounts, now.wallMs, '', false)
    const reservation = reservationOf(`call-${++callCount}`, charges, {
      caller: subjects.caller,
      reservedAtMs: now.wallMs,
      reservedCostNanoUsd: cost,
    })
    const [admission] = await store.reserve([reservation], now)
    return { admitted: admission?.admitted === true, callId: reservation.facts.callId, charges }
  }

  async function settle(callId: string, cost: bigint): Promise<void> {
    const used = { requests: 1n, tokens: 10n, cost, inFlight: 0n }
    await store.settle([{ callId, outcome: outcomeOf(10, cost), used }], clock.now())
  }

  /** Calls that are over. Returns how many were admitted. */
  async function spend(count: number, cost: bigint, caller: Partial<Caller> = {}, keyLimits?: KeyLimits) {
    let admitted = 0
    for (let index = 0; index < count; index++) {
      const call = await reserve(cost, caller, keyLimits)
      if (!call.admitted) continue
      admitted += 1
      await settle(call.callId, cost)
    }
    return admitted
  }

  it.each(NESTED.map((scope, index) => [scope.who, index] as const))(
    '200 concurrent calls against nested budgets are admitted 37 times if %s has room for 37',
    async (_who, tight) => {
      for (const [index, scope] of NESTED.entries())
        await set(scope, { costPerDay: { amount: index === tight ? '0.0037' : '0.01' }, requestsPerDay: 150 })
      const within = { user: 'u', agent: 'a', task: 't' }
      const calls = await Promise.all(Array.from({ length: 200 }, () => reserve(100_000n, within)))
      const admitted = calls.filter((call) => call.admitted)
      expect(admitted).toHaveLength(37)
      const levels = await store.levels(calls[0]?.charges ?? [], clock.now())
      expect(levels.map(({ reserved }) => reserved)).toEqual(
        levels.map(({ meter }) => (meter.what === 'cost' ? 3_700_000n : 37n)),
      )
      expect(levels).toHaveLength(2 * NESTED.length)
    },
  )

  it('children do not overbook a parent, whatever they are allowed themselves', async () => {
    await set({ who: 'project', subject: 'web' }, { requestsPerDay: 37 })
    await set({ who: 'user', subject: undefined }, { requestsPerDay: 30 })
    const calls = await Promise.all(Array.from({ length: 200 }, (_, index) => reserve(0n, { user: `u${index % 10}` })))
    expect(calls.filter(({ admitted }) => admitted)).toHaveLength(37)
  })

  it('1,000 changes while calls run: no call passes the limit in force at its admission, and none sees half a change', async () => {
    // The two amounts change together: a call that sees one old and one new amount has seen half a change.
    const record = { name: 'ci', limits: { costPerDay: 1, requestsPerDay: 1_000_000 }, raises: [] }
    await store.registry.write({ kind: 'key', id: 'ci', value: record }, ORIGIN)
    let keyLimits = readKeyLimits('ci', record)
    let allowed = 1_000_000_000n
    store.registry.watch('key', ({ value }) => {
      keyLimits = readKeyLimits('ci', value)
      allowed = 1_000_000_000n * BigInt((value as { limits: { costPerDay: number } }).limits.costPerDay)
    })
    let isOver = false
    let changes = 0
    const change = async () => {
      for (; changes < 1_000; changes++) {
        const dollars = 1 + (changes % 7)
        const limits = { costPerDay: dollars, requestsPerDay: 1_000_000 * dollars }
        await changeKeyDocument(store.registry, inForce, 'ci', () => ({ limits, raises: [] }), ORIGIN)
        await new Promise(setImmediate)
      }
      isOver = true
    }
    const outcomes = { admitted: 0, refused: 0, overshoot: 0, half: 0 }
    const call = async () => {
      while (!isOver) {
        // An amount that changes lets no call wait: the call is decided in this turn.
        const allowedNow = allowed
        const { admitted, callId, charges } = await reserve(500_000_000n, {}, keyLimits)
        const [cost, requests] = charges
        if (cost && requests && requests.capacity * 1_000n !== cost.capacity) outcomes.half += 1
        if (!admitted) {
          outcomes.refused += 1
          await new Promise(setImmediate)
          continue
        }
        outcomes.admitted += 1
        const held = (heldNow += 500_000_000n)
        if (held > allowedNow) outcomes.overshoot += 1
        await new Promise(setImmediate)
        heldNow -= 500_000_000n
        await settle(callId, 0n)
      }
    }
    let heldNow = 0n
    await Promise.all([change(), ...Array.from({ length: 20 }, call)])
    expect(outcomes).toMatchObject({ overshoot: 0, half: 0 })
    expect(Math.min(outcomes.admitted, outcomes.refused)).toBeGreaterThan(100)
    expect(changes).toBe(1_000)
  }, 60_000)

  it('what was spent before a limit counts, of its subject alone', async () => {
    await spend(3, 1_000_000_000n, { user: 'u' })
    await spend(5, 1_000_000_000n, { user: 'other' })
    await set({ who: 'user', subject: 'ci/u' }, { costPerDay: 4 })
    expect(await spend(9, 1_000_000_000n, { user: 'u' })).toBe(1)
    await set({ who: 'user', subject: undefined }, { costPerMonth: 6 })
    expect(await spend(9, 1_000_000_000n, { user: 'other' })).toBe(1)
    await set({ who: 'user', subject: 'ci/u' }, null)
    expect(await spend(9, 1_000_000_000n, { user: 'u' })).toBe(2)
  })

  it('a subject that falls back to the limit on each starts from what it spent', async () => {
    inForce = await start([limitOf('key', undefined, 'requests', 'day', 5n)])
    await set({ who: 'key', subject: 'ci' }, { requestsPerDay: { amount: 100, refill: 'steady' } })
    expect(await spend(4, 0n)).toBe(4)
    await set({ who: 'key', subject: 'ci' }, null)
    expect(await spend(9, 0n)).toBe(1)
  })

  it('a limit on each keeps the levels of subjects that are counted already', async () => {
    await set({ who: 'user', subject: 'ci/u' }, { costPerDay: 100 })
    const { callId } = await reserve(5_000_000_000n, { user: 'u' })
    await set({ who: 'user', subject: undefined }, { costPerDay: 50 })
    await settle(callId, 1_000_000_000n)
    await set({ who: 'user', subject: 'ci/u' }, null)
    const { charges } = await reserve(0n, { user: 'u' })
    expect(await store.levels(charges, clock.now())).toMatchObject([
      { settled: 1_000_000_000n, capacity: 50_000_000_000n },
    ])
  })

  it('a restart keeps limits, raises and what was spent', async () => {
    const until = new Date(clock.wallMs + 1_000).toISOString()
    const raises = [{ limits: { costPerDay: 3 }, until, reason: 'launch' }]
    await inForce.change({ who: 'key', subject: 'ci' }, () => ({ limits: { costPerDay: 2 }, raises }), ORIGIN)
    expect(await spend(1, 1_000_000_000n)).toBe(1)
    inForce = await start()
    expect(await spend(9, 1_000_000_000n)).toBe(2)
    clock.advance(1_000)
    expect(await spend(1, 1n)).toBe(0)
  })

  it('a reload and a change at the same time both hold', async () => {
    const file = [limitOf('key', 'ci', 'requests', 'day', 2n), limitOf('user', undefined, 'requests', 'month', 7n)]
    const reload = inForce.prepare({ settings: [], file }).then((putInForce) => putInForce())
    await Promise.all([reload, set({ who: 'key', subject: 'ci' }, { requestsPerDay: 5 })])
    expect(await spend(9, 0n)).toBe(5)
    const again = set({ who: 'key', subject: 'ci' }, { requestsPerDay: 6 })
    await Promise.all([again, inForce.prepare({ settings: [], file }).then((putInForce) => putInForce())])
    expect(await spend(9, 0n)).toBe(1)
    expect(inForce.plan.limits).toHaveLength(2)
  })

  it('a change that cannot be written changes nothing, and the next one does', async () => {
    await set({ who: 'key', subject: 'ci' }, { requestsPerDay: 2 })
    const { write } = store.registry
    store.registry.write = async () => Promise.reject(new Error('the disk is full'))
    await expect(set({ who: 'key', subject: 'ci' }, { requestsPerDay: 9, requestsPerMonth: 9 })).rejects.toThrow('full')
    expect(await spend(9, 0n)).toBe(2)
    store.registry.write = write
    await set({ who: 'key', subject: 'ci' }, { requestsPerDay: 3 })
    expect(await spend(9, 0n)).toBe(1)
  })

  it('only calls of the subject wait for a change, and none for another amount', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { sums } = store
    let readCount = 0
    store.sums = async (query) => {
      readCount += 1
      await promise
      return sums.call(store, query)
    }
    const change = set({ who: 'user', subject: 'ci/u' }, { requestsPerDay: 5 })
    await turns()
    expect((await reserve(0n, { user: 'other' })).admitted).toBe(true)
    let isAdmitted = false
    const waiting = reserve(0n, { user: 'u' }).then(() => {
      isAdmitted = true
    })
    await turns()
    expect(isAdmitted).toBe(false)
    resolve()
    await Promise.all([change, waiting])
    readCount = 0
    await set({ who: 'user', subject: 'ci/u' }, { requestsPerDay: 6 })
    await inForce.change({ who: 'user', subject: 'ci/u' }, (before) => before ?? null, ORIGIN)
    expect(readCount).toBe(0)
  })

  describe('limits of a key’s record', () => {
    const limits = (perDay: bigint | undefined, perMonth?: bigint, timeZone?: string) =>
      compileKeyLimits(
        [
          ...(perDay === undefined ? [] : [limitOf('key', 'ci', 'requests', 'day', perDay)]),
          ...(perMonth === undefined ? [] : [limitOf('key', 'ci', 'requests', 'month', perMonth)]),
        ],
        timeZone,
      )
    const change = (before: KeyLimits, after: KeyLimits) => inForce.changeKey('ci', before, after, async () => {})

    it('replace what the plan says of keys, and add to it', async () => {
      inForce = await start([limitOf('key', undefined, 'requests', 'day', 2n), limitOf('key', 'ci', 'cost', 'day', 9n)])
      expect(await spend(9, 2n, {}, limits(3n))).toBe(3)
      expect(await spend(9, 9n, { key: 'bob' }, undefined)).toBe(2)
      expect(await spend(9, 2n, {}, limits(100n, 4n))).toBe(1)
    })

    it('start from the ledger if they are new, and from nothing if the key is', async () => {
      const none = limits(undefined)
      expect(await spend(3, 0n, {}, none)).toBe(3)
      await change(none, limits(5n))
      expect(await spend(9, 0n, {}, limits(5n))).toBe(2)
      const { sums } = store
      store.sums = async () => Promise.reject(new Error('nothing is to be read'))
      await change(limits(5n), limits(6n))
      store.sums = sums
      expect(await spend(9, 0n, {}, limits(6n))).toBe(1)
      await change(limits(6n), limits(6n, 8n))
      expect(await spend(9, 0n, {}, limits(100n, 8n))).toBe(2)
    })

    it('in a zone of their own start from the sum of their own day', async () => {
      clock.advance(-6 * 3_600_000)
      const kolkata = limits(3n, undefined, 'Asia/Kolkata')
      const calls = async (count: number, keyLimits: KeyLimits) => spend(count, 0n, {}, keyLimits)
      await calls(2, limits(undefined))
      await change(limits(undefined), kolkata)
      expect(await calls(9, kolkata)).toBe(1)
      // Half past six in the evening in London is midnight in Kolkata.
      clock.advance(12.5 * 3_600_000 - 1)
      expect(await calls(9, kolkata)).toBe(0)
      clock.advance(1)
      expect(await calls(9, kolkata)).toBe(3)
      await change(kolkata, limits(7n))
      expect(await calls(9, limits(7n))).toBe(1)
    })

    it('in another zone count another day of the same date', async () => {
      clock.advance(-16 * 3_600_000)
      const kolkata = limits(3n, undefined, 'Asia/Kolkata')
      // It is half past one on the 22nd in Kolkata, and the 21st in London.
      expect(await spend(2, 0n, {}, kolkata)).toBe(2)
      clock.advance(16 * 3_600_000)
      expect(await spend(9, 0n, {}, kolkata)).toBe(1)
      await change(kolkata, limits(3n))
      expect(await spend(9, 0n, {}, limits(3n))).toBe(2)
    })

    it('start from the ledger after a start in another zone', async () => {
      await store.registry.write({ kind: 'key', id: 'ci', value: {} }, ORIGIN)
      clock.advance(8 * 3_600_000)
      expect(await spend(2, 0n, {}, limits(3n))).toBe(2)
      clock.advance(5 * 3_600_000)
      // It is the 23rd in London, and still the 22nd in New York.
      expect(await spend(1, 0n, {}, limits(3n))).toBe(1)
      inForce = await start([], 'America/New_York')
      expect(await spend(9, 0n, {}, limits(5n))).toBe(2)
    })

    it('count a call that was identified before they changed and is admitted after', async () => {
      const before = limits(undefined)
      const after = limits(undefined, 2n)
      await change(before, after)
      expect(await spend(9, 0n, {}, before)).toBe(2)
      expect(await spend(9, 0n, {}, after)).toBe(0)
    })

    it('count a call that holds the record from before a change at /admin/limits', async () => {
      await store.registry.write({ kind: 'key', id: 'ci', value: {} }, ORIGIN)
      const held = limits(undefined)
      inForce.useKeyLimits('ci', held)
      for (const amount of [2, 3, 4]) {
        const edit = () => ({ limits: { requestsPerMonth: amount }, raises: [] })
        expect(await changeKeyDocument(store.registry, inForce, 'ci', edit, ORIGIN)).toBe(true)
        inForce.useKeyLimits('ci', limits(undefined, BigInt(amount)))
        expect(await spend(9, 0n, {}, held)).toBe(amount === 2 ? 2 : 1)
      }
    })

    it('are as before if the record cannot be written', async () => {
      const before = limits(3n)
      const failing = inForce.changeKey('ci', before, limits(1n), async () => Promise.reject(new Error('full')))
      await expect(failing).rejects.toThrow('full')
      expect(await spend(9, 0n, {}, before)).toBe(3)
    })
  })
})

function limitOf(
  who: Limit['who'],
  subject: string | undefined,
  what: 'requests' | 'cost',
  span: 'day' | 'month',
  capacity: bigint,
): Limit {
  return { who, subject, what, span, capacity, refill: 'window', enforced: true }
}
