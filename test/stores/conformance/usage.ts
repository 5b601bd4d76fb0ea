// What every store promises of its reports: usage, records, refusals, the self-check and what pruning leaves.

import { afterEach, beforeEach, expect } from 'vitest'
import { percentile } from '../../../src/core/histogram.ts'
import type { CallFacts, Entry, Outcome } from '../../../src/core/ledger-entry.ts'
import { usageOf } from '../../../src/core/usage.ts'
import type { UsageSum } from '../../../src/core/usage-sum.ts'
import type { Store } from '../../../src/stores/store.ts'
import { recordsOf, usageOf as usageOfEntries } from '../../../src/stores/usage-of-entries.ts'
import { type Dimension, QUARTER_MS, type UsageFilter, type UsageQuery } from '../../../src/stores/usage-query.ts'
import { Random } from '../../call/random.ts'
import { at, factsOf, outcomeOf, reservationOf, START_MS, usedOf } from '../calls.ts'
import type { OpenedStore, StoreFactory } from './conformance.ts'
import { promise } from './promises.ts'

const DAY_MS = 86_400_000
const PERIOD = { fromMs: START_MS - 30 * DAY_MS, untilMs: START_MS + DAY_MS }

export function usageSuite(kind: StoreFactory): void {
  let store: Store
  let reopen: OpenedStore['reopen']
  beforeEach(async () => {
    ;({ store, reopen } = await kind.open())
  })
  afterEach(() => store.close(at()))

  const append = (facts: CallFacts, outcome: Outcome) =>
    store.append([{ kind: 'entry', facts, outcome, charges: [], used: usedOf(1, 1n) }], at())

  /** Calls over three weeks, of few names, with adjustments. Returns what the ledger has of them. */
  async function fill(seed: number, count: number): Promise<readonly Entry[]> {
    const source = new Random(seed)
    const random = () => source.next()
    const pick = <Value>(values: readonly Value[]) => values[Math.floor(random() * values.length)] as Value
    for (let index = 0; index < count; index++) {
      const facts = factsOf(`call-${index}`, {
        reservedAtMs: START_MS - Math.floor(random() * 21 * DAY_MS),
        operation: pick([null, 'plan', 'answer']),
        provider: pick(['openai', 'anthropic']),
        model: pick(['small', 'large', 'vendor/large']),
        simulated: random() < 0.1,
        items: pick([null, null, 3]),
        caller: {
          key: pick([null, 'a', 'b', "o'key"]),
          organisation: pick([null, 'acme']),
          project: pick([null, 'p1', 'p2']),
          user: pick([null, 'ann', 'bob', '(none)', '__proto__']),
          thread: pick([null, 't1', 't2']),
          agent: pick([null, 'coder']),
          task: pick([null, 'k1']),
        },
      })
      const outcome = outcomeOf(0, BigInt(Math.floor(random() * 1e12)), {
        ending: pick(['completed', 'completed', 'failed', 'canceled', 'expired']),
        certainty: pick(['exact', 'estimated', 'upperBound']),
        usage: usageOf({
          input: Math.floor(random() * 5000),
          output: 7,
          cacheRead: pick([0, 50]),
          cacheWrite1h: pick([0, 9]),
        }),
        latencyMs: Math.floor(random() * 20_000),
        timeToFirstTokenMs: pick([null, 250]),
      })
      await append(facts, outcome)
      if (random() > 0.1) continue
      const difference = -(outcome.cost.totalNanoUsd / 3n)
      const adjusted = outcomeOf(0, difference, { ending: 'adjusted' })
      const adjustment = { callId: facts.callId, reason: 'invoice' }
      const own = { ...facts, callId: `adjusted-${index}` }
      await store.append([{ kind: 'adjustment', facts: own, outcome: adjusted, adjustment, charges: [] }], at())
    }
    return store.entries({ limit: 10 * count })
  }

  /** Queries of all kinds of filters, groups and parts. */
  function* queries(seed: number, count: number): Generator<UsageQuery> {
    const source = new Random(seed)
    const random = () => source.next()
    const values: Readonly<Record<Dimension, readonly (string | null)[]>> = {
      organisation: [null, 'acme'],
      project: ['p1', null, 'nowhere'],
      key: ['a', "o'key", null, 'none'],
      user: ['ann', '(none)', '__proto__', null, 'nobody'],
      thread: ['t1', null],
      agent: ['coder', null],
      task: ['k1', null],
      operation: ['plan', null],
      provider: ['openai', 'other'],
      model: ['openai/small', 'anthropic/vendor/large', 'openai'],
    }
    const dimensions = Object.keys(values) as Dimension[]
    for (let index = 0; index < count; index++) {
      const where: Partial<Record<Dimension, string | null>> = {}
      for (const dimension of dimensions) {
        const choices = values[dimension]
        if (random() < 0.12) where[dimension] = choices[Math.floor(random() * choices.length)] ?? null
      }
      const quarters = 30 * 96
      const from = Math.floor(random() * quarters)
      const until = from + Math.floor(random() * (quarters - from))
      const cuts = Array.from({ length: Math.floor(random() * 4) }, () => from + Math.floor(random() * (until - from)))
      const toMs = (quarter: number) => PERIOD.fromMs + quarter * QUARTER_MS
      yield {
        simulated: random() < 0.2,
        period: random() < 0.3 ? PERIOD : { fromMs: toMs(from), untilMs: toMs(until) },
        ...(random() < 0.3 ? {} : { where }),
        by: dimensions.filter(() => random() < 0.25),
        ...(random() < 0.5 ? { maxGroups: 2 } : {}),
        ...(random() < 0.5 ? { cuts: [...new Set(cuts)].sort((left, right) => left - right).map(toMs) } : {}),
      }
    }
  }

  promise('usage is the sum of the entries of a period, of each group and of each part, with adjustments', async () => {
    const entries = await fill(1, 300)
    const by = ['model', 'agent', 'provider', 'project', 'operation', 'organisation', 'user', 'key'] as const
    const cuts = [PERIOD.fromMs + 20 * DAY_MS, PERIOD.fromMs + 22 * DAY_MS + 3 * QUARTER_MS]
    const query = { simulated: false, period: PERIOD, by, cuts }
    const found = await store.usage(query)
    const expected = usageOfEntries(entries, query)
    expect(found.total).toEqual(expected.total)
    expect(found.parts).toEqual(expected.parts)
    for (const dimension of by)
      expect(found.by[dimension]?.groups.map(withoutTimes), dimension).toEqual(
        expected.by[dimension]?.groups.map(withoutTimes),
      )
    expect(found.by.model).toEqual(expected.by.model)
    expect(percentile(found.total.latency, 0.5)).toBeGreaterThan(5_000)
  })

  promise('usage is narrowed by any dimensions together, and by none that is null', async () => {
    const entries = await fill(2, 250)
    for (const query of queries(3, 250)) {
      const [found, expected] = [await store.usage(query), usageOfEntries(entries, query)]
      expect(found.total, JSON.stringify(query)).toEqual(expected.total)
      expect(found.parts, JSON.stringify(query)).toEqual(expected.parts)
      for (const dimension of query.by ?? []) {
        const [groups, others] = [found.by[dimension], expected.by[dimension]]
        expect(groups?.groups.map(withoutTimes), JSON.stringify(query)).toEqual(others?.groups.map(withoutTimes))
        expect(groups?.count).toEqual(others?.count)
        expect(groups?.others && withoutTimes({ value: '', sum: groups.others })).toEqual(
          others?.others && withoutTimes({ value: '', sum: others.others }),
        )
      }
    }
  })

  promise('usage in series has the parts of each value, which add up to its sum', async () => {
    const entries = await fill(4, 200)
    const cuts = [PERIOD.fromMs + 20 * DAY_MS, PERIOD.fromMs + 22 * DAY_MS + 3 * QUARTER_MS]
    for (const by of ['model', 'provider', 'project', 'key', 'agent', 'operation', 'user'] as const)
      for (const where of [{}, { user: 'ann' }, { [by]: null }] as const) {
        const query = { simulated: false, period: PERIOD, where, cuts, series: { by, max: 2 } }
        const { series, parts } = await store.usage(query)
        const expected = usageOfEntries(entries, { ...query, by: [by], maxGroups: 2 })
        expect(parts.map(({ costNanoUsd }) => costNanoUsd)).toEqual(expected.parts.map((part) => part.costNanoUsd))
        expect(series.map(({ value }) => value)).toEqual(expected.by[by]?.groups.map(({ value }) => value))
        for (const { value, parts: own } of series) {
          const { total, parts: ownExpected } = usageOfEntries(entries, { ...query, where: { ...where, [by]: value } })
          expect(own, `${by} ${value}`).toEqual(ownExpected)
          expect(own.reduce((sum, part) => sum + part.costNanoUsd, 0n)).toBe(total.costNanoUsd)
        }
      }
  })

  promise('usage without a limit of groups has them all, and with one the rest in one sum', async () => {
    for (const [index, user] of ['ann', 'bob', 'cid'].entries())
      await append(factsOf(user, { caller: { user } }), outcomeOf(30, BigInt(index + 1)))
    const all = await store.usage({ simulated: false, period: PERIOD, by: ['user'] })
    expect(all.by.user).toMatchObject({ groups: [{ value: 'cid' }, { value: 'bob' }, { value: 'ann' }], others: null })
    const some = await store.usage({ simulated: false, period: PERIOD, by: ['user'], maxGroups: 1 })
    expect(some.by.user).toMatchObject({
      groups: [{ value: 'cid' }],
      count: 3,
      others: { requests: 2, costNanoUsd: 3n },
    })
  })

  promise('usage counts every call that settled before it was asked for', async () => {
    const query: UsageQuery = { simulated: false, period: PERIOD, where: { user: 'ann' } }
    for (let index = 1; index <= 4; index++) {
      const facts = { caller: { user: 'ann' } }
      await store.reserve([reservationOf(`${index}`, [], facts), reservationOf(`open-${index}`, [], facts)], at())
      await store.settle([{ callId: `${index}`, outcome: outcomeOf(30, 5n), used: undefined }], at())
      expect((await store.usage(query)).total).toMatchObject({ requests: index, costNanoUsd: BigInt(5 * index) })
      if (!reopen || index !== 2) continue
      await store.close(at())
      store = await reopen(at())
      // What was open is settled by the start at the whole of its reservation.
      for (const callId of ['open-1', 'open-2']) expect((await store.entry(callId))?.outcome?.ending).toBe('expired')
      return
    }
  })

  promise('usage of a call made elsewhere is at its own time', async () => {
    await append(factsOf('old', { reservedAtMs: START_MS - 10 * DAY_MS }), outcomeOf(30, 5n))
    await append(factsOf('new'), outcomeOf(30, 7n))
    const costOf = async (fromMs: number, untilMs: number) =>
      (await store.usage({ simulated: false, period: { fromMs, untilMs } })).total.costNanoUsd
    expect(await costOf(START_MS - 10 * DAY_MS, START_MS - 9 * DAY_MS)).toBe(5n)
    expect(await costOf(START_MS - 9 * DAY_MS, START_MS + DAY_MS)).toBe(7n)
  })

  promise('records of a period come newest first, in pages, narrowed by any dimensions', async () => {
    const entries = await fill(4, 200)
    const filters: UsageFilter[] = [
      {},
      { user: 'ann' },
      { key: 'a', model: 'openai/small' },
      { thread: 't1', task: null },
    ]
    filters.push({ user: null }, { key: 'none' }, { thread: 't1', key: 'b' }, { provider: 'openai' })
    for (const where of filters) {
      const query = {
        simulated: false,
        where,
        limit: 7,
        period: { fromMs: START_MS - 15 * DAY_MS, untilMs: START_MS - 99 },
      }
      const found: Entry[] = []
      let cursor: string | null | undefined
      do {
        const page = await store.records({ ...query, ...(cursor ? { cursor } : {}) })
        expect(page.entries.length).toBeLessThanOrEqual(7)
        found.push(...page.entries)
        cursor = page.next
      } while (cursor !== null)
      const idsOf = (list: readonly Entry[]) => list.map(({ facts }) => facts.callId).sort()
      expect(idsOf(found), JSON.stringify(where)).toEqual(idsOf(recordsOf(entries, { ...query, limit: 1e6 }).entries))
      const times = found.map(({ facts }) => Math.floor(facts.reservedAtMs / QUARTER_MS))
      expect(times).toEqual(times.toSorted((left, right) => right - left))
    }
  })

  promise('a wrong cursor of records is a RangeError', async () => {
    const query = { simulated: false, period: PERIOD, limit: 1 }
    for (const cursor of ['nonsense', '', '1.2.3', "r1' OR 1=1"])
      await expect(store.records({ ...query, cursor }), cursor).rejects.toThrow(RangeError)
  })

  promise('refused calls are counted by limit, key and shadow, in the quarter hour of each', async () => {
    const refuse = (reason: string, key: string | null, isShadow = false, atMs = START_MS, simulated = false) =>
      store.append([{ kind: 'refusals', reason, count: 1, refused: { key, atMs, simulated, isShadow } }], at())
    await refuse('daily', 'a')
    await refuse('daily', 'a')
    await refuse('daily', null)
    await refuse('daily', 'a', true)
    await refuse('daily', 'a', false, START_MS + QUARTER_MS)
    await refuse('daily', 'a', false, START_MS, true)
    const period = { fromMs: START_MS, untilMs: START_MS + QUARTER_MS }
    const byName = (counts: readonly object[]) => counts.map((count) => JSON.stringify(count)).sort()
    expect(byName(await store.refusalCounts({ simulated: false, period }))).toEqual(
      byName([
        { limit: 'daily', key: 'a', isShadow: false, count: 2 },
        { limit: 'daily', key: null, isShadow: false, count: 1 },
        { limit: 'daily', key: 'a', isShadow: true, count: 1 },
      ]),
    )
    expect(await store.refusalCounts({ simulated: true, period, key: 'a' })).toMatchObject([{ count: 1 }])
    expect((await store.figures({ simulated: false })).report.refusals.get('daily')).toBe(5)
  })

  promise('every sum that is kept equals that of the rows', async () => {
    await fill(5, 100)
    for (const check of await store.selfCheck()) expect(check.kept, check.name).toBe(check.ledger)
  })

  promise('rows before an instant are deleted, and usage, figures and sums stay', async () => {
    await fill(6, 150)
    const now = { wallMs: START_MS + 60 * DAY_MS, monoMs: START_MS + 60 * DAY_MS }
    const read = async () => ({
      usage: await store.usage({
        simulated: false,
        period: PERIOD,
        by: ['model', 'user'],
        cuts: [START_MS - 9 * DAY_MS],
      }),
      ofUser: (await store.usage({ simulated: false, period: PERIOD, where: { user: 'ann' } })).total,
      days: (await store.figures({ simulated: false })).report.days,
      sums: await store.sums({ who: 'user', what: 'cost', simulated: false, sinceMs: 0 }),
      requests: await store.sums({ who: 'global', what: 'requests', simulated: true, sinceMs: 0 }),
    })
    const before = await read()
    const pruneAll = async () => {
      let deleted = 0
      for (let last = 1; last > 0; ) deleted += last = await store.prune(START_MS - 8 * DAY_MS, now)
      return deleted
    }
    const deleted = await pruneAll()
    expect(await read()).toEqual(before)
    for (const check of await store.selfCheck()) expect(check.kept, check.name).toBe(check.ledger)
    const { entries } = await store.records({ simulated: false, period: PERIOD, limit: 1000 })
    if (deleted > 0)
      expect(Math.min(...entries.map(({ facts }) => facts.reservedAtMs))).toBeGreaterThanOrEqual(START_MS - 8 * DAY_MS)
    if (!reopen) return
    expect(deleted).toBeGreaterThan(50)
    await store.close(now)
    store = await reopen(now)
    expect(await read()).toEqual(before)
  })
}

/** Sums by key and user have no histograms if nothing filters the calls. */
function withoutTimes({ value, sum }: { readonly value: string | null; readonly sum: UsageSum }) {
  const { latency, timeToFirstToken, ...rest } = sum
  return { value, ...rest }
}
