// What every store promises, as one suite that is run against each of them.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Charge, Instant } from '../../src/core/meter.ts'
import { addEntry, newTally } from '../../src/core/report.ts'
import type { Registry } from '../../src/stores/registry.ts'
import type { Store } from '../../src/stores/store.ts'
import { amendmentsSuite } from './amendments.ts'
import { at, chargeOf, factsOf, outcomeOf, reservationOf, usedOf } from './calls.ts'

export interface StoreFactory {
  readonly name: string
  /** A fresh one, and how to open the same again after it was closed; undefined when it survives nothing. */
  readonly open: () => Promise<{ store: Store; registry: Registry; reopen?: (now: Instant) => Promise<Store> }>
}

export function conformance(kind: StoreFactory): void {
  describe(`${kind.name}: meters`, () => metersSuite(kind))
  describe(`${kind.name}: amendments`, () => amendmentsSuite(kind))
  describe(`${kind.name}: endings`, () => endingsSuite(kind))
  describe(`${kind.name}: ledger`, () => ledgerSuite(kind))
  describe(`${kind.name}: registry`, () => registrySuite(kind))
}

/** Every limit at once: what a refused or failed call must leave as it was. */
const everyCharge = (amount: bigint, capacity: bigint): Charge[] => [
  chargeOf('requests/minute', 1n, 1000n),
  chargeOf('tokens/minute', amount, capacity),
  chargeOf('cost/day', amount, capacity),
  chargeOf('cost/total', amount, capacity),
  chargeOf('inFlight', 1n, 1000n),
  chargeOf('cost/call', amount, capacity),
]

function metersSuite(kind: StoreFactory): void {
  let store: Store
  beforeEach(async () => {
    store = (await kind.open()).store
  })
  afterEach(() => store.close(at()))

  const reserve = async (callId: string, charges: readonly Charge[], now = at()) => {
    const [admission] = await store.reserve([reservationOf(callId, charges)], now)
    if (!admission) throw new Error('no answer')
    return admission
  }
  const settle = async (callId: string, tokens: number, cost: bigint, now = at()) => {
    const settlement = { callId, outcome: outcomeOf(tokens, cost), used: usedOf(tokens, cost) }
    return (await store.settle([settlement], now))[0]
  }
  const level = async (charge: Charge, now = at()) => {
    const [view] = await store.levels([charge], now)
    return { settled: view?.settled, reserved: view?.reserved, free: view?.free }
  }

  test('a call is admitted up to the capacity and refused one unit above it', async () => {
    expect((await reserve('one', [chargeOf('cost/day', 60n, 100n)])).admitted).toBe(true)
    expect(await reserve('two', [chargeOf('cost/day', 41n, 100n)])).toMatchObject({
      admitted: false,
      shortfalls: [{ reason: { kind: 'inFlight' }, level: { settled: 0n, reserved: 60n, free: 40n } }],
    })
    expect((await reserve('three', [chargeOf('cost/day', 40n, 100n)])).admitted).toBe(true)
  })

  test('the admission shows each level after it was taken, in the order of the charges', async () => {
    const charges = [chargeOf('inFlight', 1n, 5n), chargeOf('cost/call', 30n, 50n), chargeOf('cost/day', 30n, 100n)]
    expect(await reserve('one', charges)).toMatchObject({
      admitted: true,
      levels: [{ reserved: 1n, free: 4n }, { free: 50n }, { reserved: 30n, free: 70n }],
      unenforced: [],
    })
  })

  test('a call over one of many limits takes nothing from any of them', async () => {
    await reserve('first', everyCharge(60n, 100n))
    const before = await store.levels(everyCharge(0n, 100n), at(10))
    for (const shortfalls of ['cost/day', 'cost/total', 'tokens/minute', 'cost/call'] as const) {
      const charges = everyCharge(10n, 100n).filter(({ meter }) => `${meter.what}/${meter.span}` !== shortfalls)
      expect((await reserve('refused', [...charges, chargeOf(shortfalls, 101n, 100n)], at(10))).admitted).toBe(false)
    }
    expect(await store.levels(everyCharge(0n, 100n), at(10))).toEqual(before)
    expect(store.openTotals(false).calls).toBe(1)
  })

  test('each item of a list is decided by itself, in order', async () => {
    const list = [60n, 60n, 40n].map((amount, index) => reservationOf(`${index}`, [chargeOf('cost/day', amount, 100n)]))
    expect((await store.reserve(list, at())).map(({ admitted }) => admitted)).toEqual([true, false, true])
  })

  test('charges on the same meter are summed before they are checked', async () => {
    const twice = (amount: bigint) => [chargeOf('cost/day', amount, 100n), chargeOf('cost/day', amount, 100n)]
    expect((await reserve('over', twice(51n))).admitted).toBe(false)
    expect((await reserve('fits', twice(50n))).admitted).toBe(true)
    expect(await settle('fits', 10, 70n)).toBe('settled')
    expect(await level(chargeOf('cost/day', 0n, 100n))).toEqual({ settled: 70n, reserved: 0n, free: 30n })
  })

  test('an unenforced charge is taken where it does not fit, and named', async () => {
    const soft = chargeOf('cost/day', 150n, 100n, { enforced: false })
    expect(await reserve('over', [soft])).toMatchObject({ admitted: true, unenforced: ['daily_spending_limit'] })
    expect(await level(soft)).toEqual({ settled: 0n, reserved: 150n, free: 0n })
  })

  test('an unenforced bucket runs into debt by one capacity and no more', async () => {
    const soft = (amount: bigint) => chargeOf('tokens/minute', amount, 60n, { enforced: false })
    for (let call = 0; call < 10; call++) await reserve(`${call}`, [soft(50n)])
    expect(await level(soft(0n))).toMatchObject({ settled: 120n })
    for (let call = 0; call < 10; call++) await settle(`${call}`, 500, 0n)
    expect(await level(soft(0n))).toMatchObject({ settled: 120n })
  })

  test('a lowered limit admits nothing until it fits; a raised one admits at once', async () => {
    await reserve('open', [chargeOf('cost/day', 60n, 100n)])
    expect((await reserve('lowered', [chargeOf('cost/day', 1n, 50n)])).admitted).toBe(false)
    expect((await reserve('raised', [chargeOf('cost/day', 100n, 160n)])).admitted).toBe(true)
    await settle('open', 1, 5n)
    await settle('raised', 1, 5n)
    expect((await reserve('again', [chargeOf('cost/day', 40n, 50n)])).admitted).toBe(true)
  })

  test('a refund goes to the window of the reservation, not to the one of the settlement', async () => {
    const [today, tomorrow] = [at(), at(86_400_000)]
    await reserve('late', [chargeOf('cost/day', 80n, 100n)], today)
    await settle('late', 1, 30n, tomorrow)
    expect(await level(chargeOf('cost/day', 0n, 100n, { now: today }), tomorrow)).toMatchObject({ settled: 30n })
    expect(await level(chargeOf('cost/day', 0n, 100n, { now: tomorrow }), tomorrow)).toMatchObject({ settled: 0n })
  })

  test('more than was reserved is booked in full, and is paid before the next admission', async () => {
    await reserve('dear', [chargeOf('cost/day', 10n, 100n), chargeOf('tokens/minute', 10n, 60n)])
    await settle('dear', 90, 130n)
    expect(await level(chargeOf('cost/day', 0n, 100n))).toEqual({ settled: 130n, reserved: 0n, free: 0n })
    expect(await reserve('next', [chargeOf('tokens/minute', 1n, 60n)])).toMatchObject({
      shortfalls: [{ reason: { kind: 'time', waitMs: 31_000 } }],
    })
    expect((await reserve('next', [chargeOf('tokens/minute', 1n, 60n)], at(30_999))).admitted).toBe(false)
    expect((await reserve('next', [chargeOf('tokens/minute', 1n, 60n)], at(31_000))).admitted).toBe(true)
  })

  test('calls in flight come back when they settle, whatever they used', async () => {
    const one = chargeOf('inFlight', 1n, 1n)
    await reserve('first', [one])
    expect(await reserve('second', [one])).toMatchObject({ shortfalls: [{ reason: { kind: 'inFlight' } }] })
    await store.settle([{ callId: 'first', outcome: outcomeOf(1, 1n), used: undefined }], at())
    expect((await reserve('second', [one])).admitted).toBe(true)
  })

  test('levels change before the promise of a settlement resolves', async () => {
    await reserve('call', [chargeOf('cost/day', 100n, 100n)])
    const settling = settle('call', 1, 20n)
    const next = store.reserve([reservationOf('next', [chargeOf('cost/day', 80n, 100n)])], at())
    expect([await settling, (await next)[0]?.admitted]).toEqual(['settled', true])
  })

  test('a new limit starts from what it is seeded with, and keeps what is reserved', async () => {
    const charge = chargeOf('cost/day', 30n, 100n)
    await reserve('open', [charge])
    await store.seed([{ meter: charge.meter, settled: 50n }], at())
    expect(await level(charge)).toEqual({ settled: 50n, reserved: 30n, free: 20n })
  })

  test('the same call id cannot be reserved twice', async () => {
    await reserve('same', [chargeOf('cost/day', 10n, 100n)])
    await expect(reserve('same', [chargeOf('cost/day', 10n, 100n)])).rejects.toThrow('same')
    expect(await level(chargeOf('cost/day', 0n, 100n))).toMatchObject({ reserved: 10n })
  })
}

/** How a call ended, what is handed to `settle`, and what the meters hold afterwards. One row per row of the design. */
const ENDINGS = [
  { how: 'usage arrived', ending: 'completed', certainty: 'exact', used: usedOf(40, 25n), tokens: 40n, cost: 25n },
  {
    how: 'client left, drained',
    ending: 'canceled',
    certainty: 'exact',
    used: usedOf(70, 44n),
    tokens: 70n,
    cost: 44n,
  },
  { how: 'client left, charged', ending: 'canceled', certainty: 'upperBound', used: undefined, tokens: 90n, cost: 90n },
  { how: 'client left, cut', ending: 'canceled', certainty: 'estimated', used: usedOf(9, 7n), tokens: 9n, cost: 7n },
  { how: 'upstream died', ending: 'failed', certainty: 'upperBound', used: undefined, tokens: 90n, cost: 90n },
  { how: 'not a byte written', ending: 'failed', certainty: 'exact', used: usedOf(0, 0n), tokens: 0n, cost: 0n },
  {
    how: 'bound of one attempt',
    ending: 'failed',
    certainty: 'upperBound',
    used: usedOf(60, 50n),
    tokens: 60n,
    cost: 50n,
  },
] as const

function endingsSuite(kind: StoreFactory): void {
  let store: Store
  beforeEach(async () => {
    store = (await kind.open()).store
  })
  afterEach(() => store.close(at()))

  const charges = [...everyCharge(90n, 1000n)]
  const held = () => store.levels(charges, at())

  test.each(ENDINGS)('$how: $ending, $certainty', async ({ ending, certainty, used, tokens, cost }) => {
    await store.reserve([reservationOf('call', charges, { reservedCostNanoUsd: 90n, reservedTokens: 90 })], at())
    const outcome = outcomeOf(Number(tokens), cost, { ending, certainty })
    expect(await store.settle([{ callId: 'call', outcome, used }], at())).toEqual(['settled'])
    const [requests, perMinute, today, total, inFlight] = await held()
    expect(requests).toMatchObject({ settled: 1n })
    expect(perMinute).toMatchObject({ settled: tokens })
    expect(today).toMatchObject({ settled: cost, reserved: 0n })
    expect(total).toMatchObject({ settled: cost, reserved: 0n })
    expect(inFlight).toMatchObject({ settled: 0n, reserved: 0n })
    expect(store.openTotals(false)).toEqual({ calls: 0, tokens: 0, costNanoUsd: 0n })
    expect(await store.entry('call')).toMatchObject({ outcome, settledSeq: 1 })
  })

  test('nobody settled: the sweep books the whole reservation, and whoever comes after it is late', async () => {
    await store.reserve([reservationOf('lost', charges, { reservedCostNanoUsd: 90n, reservedTokens: 90 })], at())
    expect(await store.sweep(at(59_999))).toEqual([])
    const [swept] = await store.sweep(at(60_000))
    expect(swept).toMatchObject({
      facts: { callId: 'lost' },
      outcome: { ending: 'expired', certainty: 'upperBound', usage: { output: 90 }, cost: { totalNanoUsd: 90n } },
    })
    const [, , today, , inFlight] = await held()
    expect([today?.settled, today?.reserved, inFlight?.reserved]).toEqual([90n, 0n, 0n])
    const before = await held()
    const late = { callId: 'lost', outcome: outcomeOf(5, 5n), used: usedOf(5, 5n) }
    expect(await store.settle([late], at(60_001))).toEqual(['late'])
    expect(store.lateSettlements).toBe(1)
    expect(await held()).toEqual(before)
    expect(await store.entry('lost')).toEqual(swept)
    expect(await store.sweep(at(70_000))).toEqual([])
  })

  test('settling twice changes nothing but a counter', async () => {
    await store.reserve([reservationOf('call', charges)], at())
    const settlement = { callId: 'call', outcome: outcomeOf(5, 5n), used: usedOf(5, 5n) }
    expect(await store.settle([settlement, settlement], at())).toEqual(['settled', 'late'])
    const [levels, entry] = [await held(), await store.entry('call')]
    const other = { callId: 'call', outcome: outcomeOf(80, 80n), used: undefined }
    expect(await store.settle([other], at())).toEqual(['late'])
    expect(await held()).toEqual(levels)
    expect(await store.entry('call')).toEqual(entry)
    expect(store.lateSettlements).toBe(2)
  })

  test('a call that was never reserved cannot be settled', async () => {
    expect(await store.settle([{ callId: 'ghost', outcome: outcomeOf(1, 1n), used: undefined }], at())).toEqual([
      'late',
    ])
    expect((await store.report({ simulated: false })).total().requests).toBe(0)
  })
}

function ledgerSuite(kind: StoreFactory): void {
  let store: Store
  let reopen: ((now: Instant) => Promise<Store>) | undefined
  beforeEach(async () => {
    const opened = await kind.open()
    store = opened.store
    reopen = opened.reopen
  })
  afterEach(() => store.close(at()))

  const call = async (callId: string, cost: bigint, some: Parameters<typeof factsOf>[1] = {}) => {
    await store.reserve([reservationOf(callId, [chargeOf('cost/day', cost, 10n ** 9n)], some)], at())
    await store.settle([{ callId, outcome: outcomeOf(30, cost), used: usedOf(30, cost) }], at())
  }

  test('an entry comes back with every field it was given', async () => {
    const facts = factsOf('whole', {
      caller: { key: 'k', organisation: 'o', project: 'p', user: 'u\n"\u{1f600}', thread: 't', agent: 'a', task: 'x' },
      operation: 'plan',
      capAsked: 10,
      capInjected: 20,
      streaming: true,
      costKnown: false,
      simulated: true,
      metadata: '{"a":1}',
      reservedCostNanoUsd: 9_007_199_254_740_993n,
      idempotency: { keyHash: 'a1', bodyHash: 'b2' },
    })
    const attempt = {
      provider: 'openai',
      model: 'gpt-4o',
      status: 200,
      durationMs: 7,
      error: null,
      costNanoUsd: 9_007_199_254_740_994n,
    }
    const outcome = outcomeOf(12, 9_007_199_254_740_995n, {
      usage: {
        input: 1,
        cacheRead: 2,
        cacheWrite5m: 3,
        cacheWrite1h: 4,
        output: 5,
        audioInput: 6,
        audioCacheRead: 7,
        audioOutput: 8,
        imageInput: 9,
        imageOutput: 10,
        webSearches: 11,
        requests: 12,
      },
      reasoningTokens: 3,
      answeredModel: 'gpt-4o-2024',
      timeToFirstTokenMs: 4,
      attempts: [{ ...attempt, status: null, error: 'timeout', costNanoUsd: 1n }, attempt],
      upstreamLimits: {
        limitRequests: 1,
        remainingRequests: null,
        resetRequestsMs: 3,
        limitTokens: 4,
        remainingTokens: 5,
        resetTokensMs: 6,
        retryAfterMs: 7,
        others: [
          { name: 'input-tokens', limit: 8, remaining: 9, resetMs: null },
          { name: 'tokens-month', limit: null, remaining: 10, resetMs: 11 },
        ],
      },
    })
    await store.reserve([{ facts, charges: [], expiresAtMs: at(1000).monoMs }], at())
    expect(await store.entry('whole')).toEqual({ facts, outcome: null, settledSeq: null })
    await store.settle([{ callId: 'whole', outcome, used: undefined }], at())
    expect(await store.entry('whole')).toEqual({ facts, outcome, settledSeq: 1 })
    for (const [index, costNanoUsd] of [1n, 2n].entries()) {
      const facts = factsOf(`plain-${index}`)
      const plain = outcomeOf(3, 1n, { attempts: [{ ...attempt, costNanoUsd }] })
      await store.append([{ kind: 'entry', facts, outcome: plain, charges: [], used: usedOf(3, 1n) }], at())
      expect(await store.entry(facts.callId)).toEqual({ facts, outcome: plain, settledSeq: 2 + index })
    }
    expect(await store.entry('nobody')).toBeUndefined()
  })

  test('entries come newest first by settledSeq, in pages, narrowed by key and realm', async () => {
    for (let index = 0; index < 7; index++) {
      await call(`${index}`, 1n, { simulated: index === 3, caller: { key: index % 2 ? 'odd' : 'even' } })
    }
    const ids = async (query: Parameters<Store['entries']>[0]) =>
      (await store.entries(query)).map(({ facts }) => facts.callId)
    expect(await ids({ limit: 3 })).toEqual(['6', '5', '4'])
    expect(await ids({ limit: 3, beforeSeq: 5 })).toEqual(['3', '2', '1'])
    expect(await ids({ limit: 9, key: 'odd' })).toEqual(['5', '3', '1'])
    expect(await ids({ limit: 9, key: 'odd', simulated: false })).toEqual(['5', '1'])
  })

  test('an appended entry is booked where it fits and where it does not, once', async () => {
    const charges = [chargeOf('cost/day', 0n, 10n), chargeOf('tokens/minute', 0n, 60n), chargeOf('cost/call', 0n, 10n)]
    const outcome = outcomeOf(30, 25n)
    const record = { kind: 'entry', facts: factsOf('elsewhere'), outcome, charges, used: usedOf(30, 25n) } as const
    await Promise.all([store.append([record, record], at()), store.append([record], at())])
    const [today, perMinute] = await store.levels(charges, at())
    expect([today?.settled, today?.reserved, perMinute?.settled]).toEqual([25n, 0n, 30n])
    expect((await store.report({ simulated: false })).total()).toMatchObject({ requests: 1, costNanoUsd: 25n })
    expect(await store.entry('elsewhere')).toMatchObject({ outcome, settledSeq: 1 })
  })

  test('a call is found by its idempotency key, the newest one, open or settled', async () => {
    const idempotency = (body: string) => ({ keyHash: 'key', bodyHash: body })
    const found = async (sinceMs = 0) => (await store.idempotentEntry('key', sinceMs))?.facts.callId
    expect(await found()).toBeUndefined()
    await call('other', 1n, { idempotency: { keyHash: 'other', bodyHash: 'b' } })
    await call('none', 1n)
    await store.reserve([reservationOf('first', [], { idempotency: idempotency('a') })], at())
    expect(await store.idempotentEntry('key', at().wallMs)).toEqual({
      facts: factsOf('first', { idempotency: idempotency('a') }),
      outcome: null,
      settledSeq: null,
    })
    expect(await found(at(1).wallMs)).toBeUndefined()
    const second = reservationOf('second', [], { idempotency: idempotency('b'), reservedAtMs: at(10).wallMs })
    await store.reserve([second], at(10))
    await store.settle([{ callId: 'second', outcome: outcomeOf(3, 1n), used: usedOf(3, 1n) }], at(20))
    await store.settle([{ callId: 'first', outcome: outcomeOf(3, 1n), used: usedOf(3, 1n) }], at(30))
    expect(await store.idempotentEntry('key', at().wallMs)).toMatchObject({
      facts: { callId: 'second', idempotency: idempotency('b') },
      outcome: { ending: 'completed' },
    })
    expect(await found(at(10).wallMs)).toBe('second')
    expect(await found(at(11).wallMs)).toBeUndefined()
    if (!reopen) return
    await store.close(at(40))
    store = await reopen(at(40))
    expect(await found(at().wallMs)).toBe('second')
  })

  test('a call reserved in this very turn is found by its key', async () => {
    const reserving = store.reserve(
      [reservationOf('call', [], { idempotency: { keyHash: 'key', bodyHash: 'b' } })],
      at(),
    )
    expect((await store.idempotentEntry('key', 0))?.facts.callId).toBe('call')
    await reserving
  })

  test('refusals are counted by reason', async () => {
    await store.append([{ kind: 'refusals', reason: 'requests_per_minute', count: 3 }], at())
    await store.append([{ kind: 'refusals', reason: 'requests_per_minute', count: 2 }], at())
    expect([...(await store.report({ simulated: false })).refusals]).toEqual([['requests_per_minute', 5]])
  })

  test('reports are the sums of the entries, of all and of each key, real and simulated apart', async () => {
    for (let index = 0; index < 40; index++) {
      const reservedAtMs = at(index * 3_000_000).wallMs
      await call(`${index}`, BigInt(index), {
        simulated: index % 5 === 0,
        caller: { key: `k${index % 3}` },
        reservedAtMs,
      })
    }
    for (const simulated of [false, true]) {
      for (const key of [undefined, 'k0', 'k1', 'k2', 'k3']) {
        const narrowed = key === undefined ? { simulated } : { simulated, key }
        const report = await store.report(narrowed)
        const sum = newTally()
        const entries = await store.entries({ ...narrowed, limit: 1000 })
        for (const entry of entries) addEntry(sum, entry)
        expect(report.total()).toEqual(sum)
        for (const [day, tally] of report.days) {
          const ofDay = newTally()
          for (const entry of entries) if (entry.facts.day === day) addEntry(ofDay, entry)
          expect(tally).toEqual(ofDay)
        }
      }
    }
  })

  test('sums are by subject, with open calls at what they reserved', async () => {
    const caller = { key: 'k', user: 'u', organisation: 'o' }
    await call('early', 1n, { caller, reservedAtMs: at(-5000).wallMs })
    await call('one', 10n, { caller })
    await call('two', 20n, { caller: { key: 'k' } })
    await call('simulated', 40n, { caller, simulated: true })
    await store.reserve([reservationOf('open', [], { caller, reservedCostNanoUsd: 700n, reservedTokens: 9 })], at())
    const sums = async (
      who: 'global' | 'key' | 'user' | 'organisation' | 'model',
      what: 'cost' | 'tokens' | 'requests',
    ) => Object.fromEntries(await store.sums({ who, what, simulated: false, sinceMs: at().wallMs }))
    expect(await sums('global', 'cost')).toEqual({ '': 730n })
    expect(await sums('key', 'tokens')).toEqual({ k: 69n })
    expect(await sums('user', 'requests')).toEqual({ 'k/u': 2n, 'k/(none)': 1n })
    expect(await sums('organisation', 'cost')).toEqual({ o: 710n, '(none)': 20n })
    expect(await sums('model', 'requests')).toEqual({ 'openai/gpt-4o': 3n })
  })

  test('open totals are what open calls hold, real and simulated apart', async () => {
    await store.reserve([reservationOf('real', []), reservationOf('sim', [], { simulated: true })], at())
    expect(store.openTotals(false)).toEqual({ calls: 1, tokens: 100, costNanoUsd: 1000n })
    expect(store.openTotals(true)).toEqual({ calls: 1, tokens: 100, costNanoUsd: 1000n })
  })

  test('a closed store refuses work instead of losing it', async () => {
    await store.close(at())
    await expect(store.reserve([reservationOf('late', [])], at())).rejects.toThrow('closed')
  })

  test('a restart keeps levels, entries and reports, and sweeps what was left open', async () => {
    if (!reopen) return
    const charges = everyCharge(90n, 1000n)
    await store.reserve([reservationOf('done', charges), reservationOf('open', charges)], at())
    await store.settle([{ callId: 'done', outcome: outcomeOf(30, 40n), used: usedOf(30, 40n) }], at())
    await store.append([{ kind: 'refusals', reason: 'cost', count: 2 }], at())
    await store.close(at())
    store = await reopen(at())
    const [requests, tokens, today, total, inFlight] = await store.levels(charges, at())
    expect([requests?.settled, tokens?.settled]).toEqual([2n, 120n])
    expect([today?.settled, today?.reserved, total?.settled, total?.reserved]).toEqual([130n, 0n, 130n, 0n])
    expect([inFlight?.settled, inFlight?.reserved]).toEqual([0n, 0n])
    const report = await store.report({ simulated: false })
    expect(report.total()).toMatchObject({ requests: 2, costNanoUsd: 1040n, exact: 1, upperBound: 1 })
    expect([...report.refusals]).toEqual([['cost', 2]])
    expect(await store.entry('open')).toMatchObject({ outcome: { ending: 'expired' }, settledSeq: 2 })
    expect((await store.sweep(at())).map(({ facts }) => facts.callId)).toEqual(['open'])
    await store.close(at())
    store = await reopen(at())
    expect((await store.report({ simulated: false })).total()).toEqual(report.total())
    expect(await store.sweep(at())).toEqual([])
  })
}

function registrySuite(kind: StoreFactory): void {
  let store: Store
  let registry: Registry
  beforeEach(async () => {
    ;({ store, registry } = await kind.open())
  })
  afterEach(() => store.close(at()))
  const by = { actor: 'admin', atMs: at().wallMs, audit: true }

  test('what was written is read, and what was deleted is not', async () => {
    await registry.write({ kind: 'key', id: 'b', value: { name: 'b', list: [1] } }, by)
    await registry.write({ kind: 'key', id: 'a', value: 'text' }, by)
    await registry.write({ kind: 'limit', id: 'a', value: 1 }, by)
    expect((await registry.read('key')).map(({ id, value }) => [id, value])).toContainEqual([
      'b',
      { name: 'b', list: [1] },
    ])
    expect(await registry.read('key', 'a')).toMatchObject([{ kind: 'key', id: 'a', value: 'text', version: 2 }])
    const gone = await registry.write({ kind: 'key', id: 'a', value: null }, by)
    expect(gone).toEqual({ kind: 'key', id: 'a', value: null, version: 4 })
    expect(await registry.read('key', 'a')).toEqual([])
    expect((await registry.read('key')).map(({ id }) => id)).toEqual(['b'])
  })

  test('the audit tells who changed what, newest first, and leaves out the gateway’s own state', async () => {
    await registry.write({ kind: 'price', id: 'm', value: 1 }, by)
    await registry.write({ kind: 'cursor', id: 'c', value: 7 }, { actor: 'gateway', atMs: 1, audit: false })
    await registry.write({ kind: 'price', id: 'm', value: 2 }, { ...by, actor: 'key-1' })
    const [newest, oldest] = await registry.audit(10)
    expect(newest).toMatchObject({ version: 3, actor: 'key-1', kind: 'price', id: 'm', before: 1, after: 2 })
    expect(oldest).toMatchObject({ version: 1, actor: 'admin', before: null, after: 1 })
    expect(await registry.audit(1)).toEqual([newest])
  })

  test('watchers are told of their kind, in order, until they stop', async () => {
    const seen: unknown[] = []
    const stop = registry.watch('limit', ({ value }) => seen.push(value))
    for (const value of [1, 2]) await registry.write({ kind: 'limit', id: 'x', value }, by)
    await registry.write({ kind: 'key', id: 'x', value: 'other' }, by)
    stop()
    await registry.write({ kind: 'limit', id: 'x', value: 3 }, by)
    expect(seen).toEqual([1, 2])
  })

  test('writing does not get in the way of calls', async () => {
    const writes = [1, 2, 3].map((value) => registry.write({ kind: 'alert', id: 'a', value }, { ...by, audit: false }))
    const calls = [1, 2, 3].map((id) => store.reserve([reservationOf(`${id}`, [])], at()))
    await Promise.all([...writes, ...calls])
    expect(await registry.read('alert')).toMatchObject([{ value: 3, version: 3 }])
    expect(store.openTotals(false).calls).toBe(3)
  })
}
