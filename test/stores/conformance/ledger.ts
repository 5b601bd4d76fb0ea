// What every store promises of its ledger: entries, figures, sums, restarts.

import { afterEach, beforeEach, expect } from 'vitest'
import type { Outcome } from '../../../src/core/ledger-entry.ts'
import { NO_SUBJECT } from '../../../src/core/limits.ts'
import { MAX_NANO_USD } from '../../../src/core/money.ts'
import { addEntry, newTally } from '../../../src/core/report.ts'
import { usageOf } from '../../../src/core/usage.ts'
import { type CallQuery, type MeteredCall, type Store, StoreUnavailable } from '../../../src/stores/store.ts'
import { QUARTER_MS } from '../../../src/stores/usage-query.ts'
import { at, chargeOf, everyCharge, factsOf, outcomeOf, reservationOf, START_MS, usedOf } from '../calls.ts'
import type { OpenedStore, StoreFactory } from './conformance.ts'
import { promise } from './promises.ts'

/** Ids of calls are UUIDs, with letters; the tests say shorter ones where either will do. */
const UUID_CALL = 'f19abcde-f000-7abc-8def-0123456789ab'

export function ledgerSuite(kind: StoreFactory): void {
  let store: Store
  let reopen: OpenedStore['reopen']
  beforeEach(async () => {
    ;({ store, reopen } = await kind.open())
  })
  afterEach(() => store.close(at()))

  const call = async (callId: string, cost: bigint, overrides: Parameters<typeof factsOf>[1] = {}) => {
    await store.reserve([reservationOf(callId, [chargeOf('cost/day', cost, 10n ** 9n)], overrides)], at())
    await store.settle([{ callId, outcome: outcomeOf(30, cost), used: usedOf(30, cost) }], at())
  }

  promise('an entry comes back with every field it was given', async () => {
    const facts = factsOf('whole', {
      caller: {
        key: 'k',
        organisation: 'o',
        project: 'p',
        user: 'u\n"\u{1f600}',
        thread: 't',
        agent: 'a',
        task: 'x',
        isPerson: true,
      },
      operation: 'plan',
      capAsked: 10,
      capInjected: 20,
      streaming: true,
      costKnown: false,
      simulated: true,
      metadata: '{"a":1}',
      day: '2030-01-01',
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
      usage: usageOf({
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
      }),
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
    expect(await store.entry('unknown')).toBeUndefined()
  })

  promise('entries come newest first by settledSeq, in pages, narrowed by key and realm', async () => {
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

  promise('entries after a settledSeq come oldest first, in pages, narrowed by key and realm', async () => {
    for (let index = 0; index < 7; index++) {
      await call(`${index}`, 1n, { simulated: index === 3, caller: { key: index % 2 ? 'odd' : 'even' } })
    }
    await store.reserve([reservationOf('open', [])], at())
    const ids = async (query: Parameters<Store['entries']>[0]) =>
      (await store.entries(query)).map(({ facts }) => facts.callId)
    expect(await ids({ limit: 3, afterSeq: 0 })).toEqual(['0', '1', '2'])
    expect(await ids({ limit: 3, afterSeq: 3 })).toEqual(['3', '4', '5'])
    expect(await ids({ limit: 3, afterSeq: 6 })).toEqual(['6'])
    expect(await ids({ limit: 3, afterSeq: 7 })).toEqual([])
    expect(await ids({ limit: 9, afterSeq: 2, key: 'odd' })).toEqual(['3', '5'])
    expect(await ids({ limit: 9, afterSeq: 2, key: 'odd', simulated: false })).toEqual(['5'])
    expect(await ids({ limit: 9, afterSeq: 2, beforeSeq: 5 })).toEqual(['2', '3'])
  })

  promise('a reader that follows settledSeq while calls settle misses none and sees none twice', async () => {
    const seqs: (number | null)[] = []
    const ids: string[] = []
    const read = async () => {
      const entries = await store.entries({ afterSeq: seqs.at(-1) ?? 0, limit: 5 })
      seqs.push(...entries.map(({ settledSeq }) => settledSeq))
      ids.push(...entries.map(({ facts }) => facts.callId))
      return entries.length
    }
    const settling: Promise<unknown>[] = []
    for (let index = 0; index < 30; index++) {
      const reserving = store.reserve([reservationOf(`${index}`, [])], at())
      // Half of the calls settle before their row is written, and all of them in another order than they came.
      if (index % 2) await reserving
      const callId = `${index % 2 ? index - 1 : index}`
      settling.push(store.settle([{ callId, outcome: outcomeOf(3, 1n), used: usedOf(3, 1n) }], at()))
      if (index % 2)
        settling.push(store.settle([{ callId: `${index}`, outcome: outcomeOf(3, 1n), used: undefined }], at()))
      if (index % 4 === 0) await read()
    }
    await Promise.all(settling)
    while ((await read()) > 0);
    expect(seqs).toEqual(Array.from({ length: 30 }, (_, index) => index + 1))
    expect(new Set(ids).size).toBe(30)
  })

  promise('an appended entry is settled whether it fits or not, and only once', async () => {
    const charges = [chargeOf('cost/day', 0n, 10n), chargeOf('tokens/minute', 0n, 60n), chargeOf('cost/call', 0n, 10n)]
    const outcome = outcomeOf(30, 25n)
    const record = { kind: 'entry', facts: factsOf('elsewhere'), outcome, charges, used: usedOf(30, 25n) } as const
    await Promise.all([store.append([record, record], at()), store.append([record], at())])
    const [today, perMinute] = await store.levels(charges, at())
    expect([today?.settled, today?.reserved, perMinute?.settled]).toEqual([25n, 0n, 30n])
    expect((await store.figures({ simulated: false })).report.total()).toMatchObject({ requests: 1, costNanoUsd: 25n })
    expect(await store.entry('elsewhere')).toMatchObject({ outcome, settledSeq: 1 })
  })

  promise('calls of one millisecond of the past are all kept, also if they come together', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `past-${index}`)
    const records = ids.map((callId) => ({
      kind: 'entry' as const,
      facts: factsOf(callId, { reservedAtMs: START_MS - 10 * 86_400_000 }),
      outcome: outcomeOf(3, 1n),
      charges: [],
      used: usedOf(3, 1n),
    }))
    await Promise.all([store.append(records.slice(0, 30), at()), store.append(records.slice(30), at())])
    expect((await store.entries({ limit: 50 })).map(({ facts }) => facts.callId).sort()).toEqual(ids.sort())
  })

  /** The difference on a day's window of cost, and on windows that a correction leaves alone. */
  const correct = (callId: string, adjusts: string, differenceNanoUsd: bigint) => {
    const cost = { inputNanoUsd: 0n, outputNanoUsd: 0n, totalNanoUsd: differenceNanoUsd }
    const outcome: Outcome = { ...outcomeOf(0, 0n), ending: 'adjusted', usage: usageOf(), cost }
    const facts = factsOf(callId, { reservedTokens: 0, reservedCostNanoUsd: 0n })
    const charges = [chargeOf('cost/day', differenceNanoUsd, 100n), chargeOf('cost/total', differenceNanoUsd, 1000n)]
    const adjustment = { callId: adjusts, reason: 'the invoice' }
    return store.append([{ kind: 'adjustment', facts, outcome, adjustment, charges }], at(5))
  }

  promise(
    'an adjustment corrects cost on windows, days and sums, up or down, never below zero, and is no request',
    async () => {
      const charges = [
        chargeOf('cost/day', 40n, 100n),
        chargeOf('cost/total', 40n, 1000n),
        chargeOf('requests/minute', 1n, 9n),
      ]
      await store.reserve([reservationOf('call', charges)], at())
      await store.settle([{ callId: 'call', outcome: outcomeOf(30, 40n), used: usedOf(30, 40n) }], at(1))
      const shown = async () => {
        const [day, total, requests] = await store.levels(charges, at(5))
        const { report } = await store.figures({ simulated: false })
        const { requests: count, costNanoUsd, exact, tokens } = report.total()
        const sums = await store.sums({ who: 'global', what: 'cost', simulated: false, sinceMs: 0 })
        const calls = await store.sums({ who: 'global', what: 'requests', simulated: false, sinceMs: 0 })
        return {
          levels: [day?.settled, total?.settled, requests?.settled],
          costNanoUsd,
          count,
          exact,
          tokens,
          sums: [sums.get(''), calls.get('')],
        }
      }
      const before = await shown()
      expect(before).toMatchObject({ levels: [40n, 40n, 1n], costNanoUsd: 40n, count: 1, tokens: 30, sums: [40n, 1n] })
      await correct('up', 'call', 15n)
      expect(await shown()).toEqual({ ...before, levels: [55n, 55n, 1n], costNanoUsd: 55n, sums: [55n, 1n] })
      await correct('down', 'call', -55n)
      expect(await shown()).toEqual({ ...before, levels: [0n, 0n, 1n], costNanoUsd: 0n, sums: [0n, 1n] })
      await correct('further', 'elsewhere', -10n)
      expect(await shown()).toMatchObject({ levels: [0n, 0n, 1n], costNanoUsd: 0n })
      if (!reopen) return
      await store.close(at(6))
      store = await reopen(at(6))
      expect(await shown()).toMatchObject({
        levels: [0n, 0n, expect.anything()],
        costNanoUsd: 0n,
        count: 1,
        tokens: 30,
      })
    },
  )

  promise("adjustments of a call are found by the call's id", async () => {
    await call('call', 40n)
    expect(await store.adjustments('call')).toEqual([])
    await correct('first', 'call', 2n)
    await correct('second', 'call', -3n)
    await correct('other', 'another call', 5n)
    const found = await store.adjustments('call')
    expect(
      found.map(({ facts, outcome, settledSeq }) => [facts.callId, outcome?.cost.totalNanoUsd, settledSeq]),
    ).toEqual([
      ['first', 2n, 2],
      ['second', -3n, 3],
    ])
    expect(await store.entry('first')).toMatchObject({
      adjustment: { callId: 'call', reason: 'the invoice' },
      outcome: { ending: 'adjusted' },
    })
    expect((await store.entries({ limit: 9, afterSeq: 1 })).map(({ facts }) => facts.callId)).toEqual([
      'first',
      'second',
      'other',
    ])
  })

  promise(
    'sums of absurd costs stop at the largest amount, in memory and in the ledger, also after a restart',
    async () => {
      const charges = [chargeOf('cost/total', 0n, 100n)]
      const settleAbsurd = async (callId: string, cost: bigint) => {
        await store.reserve([reservationOf(callId, charges)], at())
        await store.settle([{ callId, outcome: outcomeOf(1, cost), used: usedOf(1, cost) }], at())
      }
      const shown = async () => {
        const [total] = await store.levels(charges, at())
        const { report } = await store.figures({ simulated: false })
        const sums = await store.sums({ who: 'global', what: 'cost', simulated: false, sinceMs: 0 })
        return [total?.settled, report.total().costNanoUsd, sums.get('')]
      }
      await settleAbsurd('usual', 1n)
      await settleAbsurd('one', MAX_NANO_USD - 2n)
      expect(await shown()).toEqual([MAX_NANO_USD - 1n, MAX_NANO_USD - 1n, MAX_NANO_USD - 1n])
      for (const callId of ['two', 'three']) {
        await settleAbsurd(callId, MAX_NANO_USD)
        expect(await shown()).toEqual([MAX_NANO_USD, MAX_NANO_USD, MAX_NANO_USD])
      }
      if (!reopen) return
      await store.close(at())
      store = await reopen(at())
      expect(await shown()).toEqual([MAX_NANO_USD, MAX_NANO_USD, MAX_NANO_USD])
      await settleAbsurd('four', MAX_NANO_USD)
      expect(await shown()).toEqual([MAX_NANO_USD, MAX_NANO_USD, MAX_NANO_USD])
    },
  )

  promise('the newest call with an idempotency key is found, open or settled', async () => {
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

  promise('a call that was reserved in this turn is found by its idempotency key', async () => {
    const reserving = store.reserve(
      [reservationOf('call', [], { idempotency: { keyHash: 'key', bodyHash: 'b' } })],
      at(),
    )
    expect((await store.idempotentEntry('key', 0))?.facts.callId).toBe('call')
    await reserving
  })

  promise('refusals are counted by reason', async () => {
    await store.append([{ kind: 'refusals', reason: 'requests_per_minute', count: 3 }], at())
    await store.append([{ kind: 'refusals', reason: 'requests_per_minute', count: 2 }], at())
    expect([...(await store.figures({ simulated: false })).report.refusals]).toEqual([['requests_per_minute', 5]])
  })

  promise('figures are the sums of the entries, of all and of each key, real and simulated apart', async () => {
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
        const report = (await store.figures(narrowed)).report
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

  const pagesOf = async (query: Partial<CallQuery> = {}) => {
    const span = { simulated: false, fromMs: 0, untilMs: START_MS + 3_600_000 }
    const pages: (readonly MeteredCall[])[] = []
    for await (const page of store.callPages({ ...span, ...query })) pages.push(page)
    return pages
  }

  promise('calls come in the order of their reservations, open or settled, with their adjustments', async () => {
    const reserve = (callId: string, afterMs: number) =>
      store.reserve(
        [reservationOf(callId, [], { reservedAtMs: START_MS + afterMs, caller: { user: 'u' } })],
        at(afterMs),
      )
    await reserve('1', 0)
    await reserve('2', 10)
    await reserve(UUID_CALL, 10)
    const fallback = { provider: 'first', model: 'dear', status: 500, durationMs: 1, error: 'overloaded' }
    const attempts = [
      { ...fallback, costNanoUsd: 9n },
      { ...fallback, provider: 'openai', model: 'gpt-4o', status: 200, error: null, costNanoUsd: 31n },
    ]
    const outcome = outcomeOf(30, 40n, { attempts, settledAtMs: START_MS + 30 })
    await store.settle([{ callId: UUID_CALL, outcome, used: undefined }], at(30))
    const rare = outcomeOf(30, 2n, { usage: usageOf({ input: 5, audioInput: 7, webSearches: 3 }) })
    await store.settle([{ callId: '1', outcome: rare, used: undefined }], at(40))
    await correct('up', UUID_CALL, 5n)
    await correct('down', UUID_CALL, -7n)
    const shared = {
      caller: factsOf('1', { caller: { user: 'u' } }).caller,
      provider: 'openai',
      model: 'gpt-4o',
      reservedTokens: 100,
      reservedCostNanoUsd: 1000n,
      corrections: [],
    }
    const targets = attempts.map(({ provider, model, costNanoUsd }) => ({ provider, model, costNanoUsd }))
    const [first, ...others] = (await pagesOf()).flat()
    expect(first).toEqual({
      ...shared,
      callId: '1',
      reservedAtMs: START_MS,
      settled: { atMs: START_MS, tokens: 12, costNanoUsd: 2n, targets: [] },
    })
    expect(others).toEqual([
      { ...shared, callId: '2', reservedAtMs: START_MS + 10, settled: null },
      {
        ...shared,
        callId: UUID_CALL,
        reservedAtMs: START_MS + 10,
        settled: { atMs: START_MS + 30, tokens: 30, costNanoUsd: 40n, targets },
        corrections: [
          { atMs: START_MS, costNanoUsd: 5n, targets: [] },
          { atMs: START_MS, costNanoUsd: -7n, targets: [] },
        ],
      },
    ])
  })

  promise('calls are narrowed to a span of time and a realm', async () => {
    for (const afterMs of [0, 10, 20, 30])
      await store.reserve([reservationOf(`${afterMs}`, [], { reservedAtMs: START_MS + afterMs })], at(afterMs))
    await store.reserve([reservationOf('sim', [], { reservedAtMs: START_MS + 30, simulated: true })], at(30))
    const ids = async (query: Partial<CallQuery>) => (await pagesOf(query)).flat().map(({ callId }) => callId)
    expect(await ids({})).toEqual(['0', '10', '20', '30'])
    expect(await ids({ fromMs: START_MS + 10, untilMs: START_MS + 30 })).toEqual(['10', '20'])
    expect(await ids({ fromMs: START_MS + 31 })).toEqual([])
    expect(await ids({ simulated: true })).toEqual(['sim'])
  })

  promise('pages of calls are never large, and together hold each call once', async () => {
    const ids = Array.from({ length: 600 }, (_, index) => `${index}`.padStart(3, '0'))
    await store.reserve(
      ids.map((callId) => reservationOf(callId, [])),
      at(),
    )
    const pages = await pagesOf()
    expect(pages.flat().map(({ callId }) => callId)).toEqual(ids)
    expect(Math.max(...pages.map((page) => page.length))).toBeLessThan(300)
  })

  promise('a store that closes between pages of calls rejects a later page with StoreUnavailable', async () => {
    const ids = Array.from({ length: 1_000 }, (_, index) => `${index}`)
    await store.reserve(
      ids.map((callId) => reservationOf(callId, [])),
      at(),
    )
    const read = async () => {
      for await (const _ of store.callPages({ simulated: false, fromMs: 0, untilMs: START_MS + 1 }))
        await store.close(at())
    }
    await expect(read()).rejects.toThrow(StoreUnavailable)
  })

  promise('sums are of the calls of a span of time', async () => {
    for (const afterMs of [0, 10, 20])
      await store.reserve([reservationOf(`${afterMs}`, [], { reservedAtMs: START_MS + afterMs })], at(afterMs))
    const sum = async (sinceMs: number, untilMs?: number) => {
      const span = untilMs === undefined ? { sinceMs } : { sinceMs, untilMs }
      return (await store.sums({ who: 'global', what: 'requests', simulated: false, ...span })).get('') ?? 0n
    }
    expect([await sum(0), await sum(START_MS + 10), await sum(0, START_MS + 20)]).toEqual([3n, 2n, 2n])
    expect(await sum(START_MS + 5, START_MS + 20)).toBe(1n)
  })

  promise('sums are by subject, with open calls at what they reserved', async () => {
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

  promise(
    'a person is one subject over all keys, and a user whom a caller declares is one within its key',
    async () => {
      const ann = { user: 'ann', isPerson: true }
      await call('laptop', 10n, { caller: { ...ann, key: 'ann-laptop' } })
      await call('server', 20n, { caller: { ...ann, key: 'ann-server' } })
      await call('declared', 40n, { caller: { key: 'ci', user: 'ann' } })
      await store.reserve(
        [reservationOf('open', [], { caller: { ...ann, key: 'x' }, reservedCostNanoUsd: 700n })],
        at(),
      )
      const sums = await store.sums({ who: 'user', what: 'cost', simulated: false, sinceMs: at().wallMs })
      expect(Object.fromEntries(sums)).toEqual({ ann: 730n, 'ci/ann': 40n })
    },
  )
  promise('the sum of one subject is read alone', async () => {
    await call('one', 10n, { caller: { key: 'k', user: 'u' } })
    await call('two', 20n, { caller: { key: 'k' } })
    await call('other', 40n, { caller: { key: 'other', user: 'u' } })
    const sum = async (who: 'key' | 'user' | 'global', subject: string) =>
      Object.fromEntries(await store.sums({ who, what: 'cost', simulated: false, sinceMs: 0, subject }))
    expect(await sum('key', 'k')).toEqual({ k: 30n })
    expect(await sum('user', 'k/u')).toEqual({ 'k/u': 10n })
    expect(await sum('global', '')).toEqual({ '': 70n })
    expect(await sum('key', "nobody' OR 1 = 1")).toEqual({})
  })

  promise('open totals are what open calls hold, of all and of each key, real and simulated apart', async () => {
    const reservations = [
      reservationOf('one', [], { caller: { key: 'k' } }),
      reservationOf('two', []),
      reservationOf('three', [], { simulated: true, caller: { key: 'k' } }),
    ]
    await store.reserve(reservations, at())
    const open = async (query: Parameters<Store['figures']>[0]) => (await store.figures(query)).open
    const totals = (calls: number) => ({ calls, tokens: 100 * calls, costNanoUsd: 1000n * BigInt(calls) })
    expect(await open({ simulated: false })).toEqual(totals(2))
    expect(await open({ simulated: true })).toEqual(totals(1))
    expect(await open({ simulated: false, key: 'k' })).toEqual(totals(1))
    expect(await open({ simulated: false, key: NO_SUBJECT })).toEqual(totals(1))
    expect(await open({ simulated: true, key: NO_SUBJECT })).toEqual(totals(0))
  })

  promise('a call that settles while figures are read is in the report or open, and never in both', async () => {
    const settle = (callId: string) => store.settle([{ callId, outcome: outcomeOf(3, 1n), used: usedOf(3, 1n) }], at())
    const ids = Array.from({ length: 40 }, (_, index) => `${index}`)
    await store.reserve(
      ids.map((id) => reservationOf(id, [], { caller: { key: 'k' } })),
      at(),
    )
    const reading: Promise<void>[] = []
    const settling: Promise<unknown>[] = []
    for (const [index, id] of ids.entries()) {
      for (const query of [{ simulated: false }, { simulated: false, key: 'k' }]) {
        reading.push(
          store.figures(query).then(({ report, open }) => expect(report.total().requests + open.calls).toBe(40)),
        )
      }
      settling.push(settle(id))
      if (index % 3 === 1) await Promise.resolve()
      if (index % 3 === 2) await new Promise((resolve) => setImmediate(resolve))
    }
    await Promise.all([...reading, ...settling])
  })

  promise('figures that were read do not change with later calls', async () => {
    await call('one', 5n, { caller: { key: 'k' } })
    const read = [await store.figures({ simulated: false }), await store.figures({ simulated: false, key: 'k' })]
    const before = structuredClone(read.map(({ report, open }) => [report.days, report.minutes, report.refusals, open]))
    await call('two', 5n, { caller: { key: 'k' } })
    await store.append([{ kind: 'refusals', reason: 'cost', count: 2 }], at())
    await store.reserve([reservationOf('open', [])], at())
    await store.figures({ simulated: false })
    expect(read.map(({ report, open }) => [report.days, report.minutes, report.refusals, open])).toEqual(before)
  })

  promise('a closed store rejects every call with StoreUnavailable', async () => {
    await store.close(at())
    const { facts, charges } = reservationOf('late', [chargeOf('cost/day', 1n, 100n)])
    const outcome = outcomeOf(1, 1n)
    const calls: Record<Exclude<keyof Store, 'registry' | 'alerts' | 'health' | 'close'>, () => Promise<unknown>> = {
      reserve: () => store.reserve([{ facts, charges, expiresAtMs: 0 }], at()),
      amend: () => store.amend([{ facts, charges, expiresAtMs: 0 }], at()),
      settle: () => store.settle([{ callId: 'late', outcome, used: undefined }], at()),
      append: () => store.append([{ kind: 'entry', facts, charges, outcome, used: usedOf(1, 1n) }], at()),
      sweep: () => store.sweep(at()),
      levels: () => store.levels(charges, at()),
      seed: () => store.seed([], at()),
      figures: () => store.figures({ simulated: false }),
      entries: () => store.entries({ limit: 1 }),
      entry: () => store.entry('late'),
      adjustments: () => store.adjustments('late'),
      idempotentEntry: () => store.idempotentEntry('key', 0),
      sums: () => store.sums({ who: 'key', what: 'cost', simulated: false, sinceMs: 0 }),
      callPages: () => pagesOf(),
      usage: () => store.usage({ simulated: false, period: { fromMs: 0, untilMs: QUARTER_MS } }),
      records: () => store.records({ simulated: false, period: { fromMs: 0, untilMs: 1 }, limit: 1 }),
      refusalCounts: () => store.refusalCounts({ simulated: false, period: { fromMs: 0, untilMs: QUARTER_MS } }),
      selfCheck: () => store.selfCheck(),
      prune: () => store.prune(0, at()),
    }
    for (const [name, makeCall] of Object.entries(calls))
      await expect(makeCall(), name).rejects.toThrow(StoreUnavailable)
  })

  promise('a store can be closed twice', async () => {
    await store.close(at())
    await store.close(at())
  })

  promise('a restart keeps levels, entries and figures, and settles in full what was left open', async () => {
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
    const report = (await store.figures({ simulated: false })).report
    expect(report.total()).toMatchObject({ requests: 2, costNanoUsd: 1040n, exact: 1, upperBound: 1 })
    expect([...report.refusals]).toEqual([['cost', 2]])
    expect(await store.entry('open')).toMatchObject({ outcome: { ending: 'expired' }, settledSeq: 2 })
    expect((await store.sweep(at())).map(({ facts }) => facts.callId)).toEqual(['open'])
    await store.close(at())
    store = await reopen(at())
    expect((await store.figures({ simulated: false })).report.total()).toEqual(report.total())
    expect(await store.sweep(at())).toEqual([])
  })
}
