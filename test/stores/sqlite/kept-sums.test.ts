// The file of kept sums: it follows the ledger, is built anew if it does not fit, and its mistakes are found.

import { copyFileSync, existsSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { Pruner } from '../../../src/stores/sqlite/pruner.ts'
import { KeptSums } from '../../../src/stores/sqlite/sums/kept-sums.ts'
import { spansOf } from '../../../src/stores/sqlite/sums/sum-spans.ts'
import { sumsFileOf } from '../../../src/stores/sqlite/sums/sums-file.ts'
import type { Store } from '../../../src/stores/store.ts'
import { SumsNotReady, type UsageQuery } from '../../../src/stores/usage-query.ts'
import { at, factsOf, outcomeOf, START_MS, usedOf } from '../calls.ts'
import { temporaryFolder } from '../folder.ts'
import { openSqlite } from '../open-sqlite.ts'

const DAY_MS = 86_400_000
const QUERY: UsageQuery = {
  simulated: false,
  period: { fromMs: START_MS - 40 * DAY_MS, untilMs: START_MS + DAY_MS },
  by: ['user', 'model'],
}

const costOf = async (store: Store, query = QUERY) => (await store.usage(query)).total.costNanoUsd

/** Calls of one nano-dollar each. */
async function append(store: Store, ...callIds: readonly string[]): Promise<void> {
  const entries = callIds.map((callId, index) => ({
    kind: 'entry' as const,
    facts: factsOf(callId, {
      reservedAtMs: START_MS - index * DAY_MS,
      caller: { user: `user-${index % 3}`, key: 'k' },
    }),
    outcome: outcomeOf(3, 1n),
    charges: [],
    used: usedOf(3, 1n),
  }))
  await store.append(entries, at())
}

async function ledgerOf(callIds: readonly string[]): Promise<string> {
  const path = join(temporaryFolder(), 'ledger.db')
  const store = openSqlite(path)
  await append(store, ...callIds)
  expect(await costOf(store)).toBe(BigInt(callIds.length))
  await store.close(at())
  return path
}

test('sums are kept in a file beside the ledger that only the account of the gateway reads', async () => {
  const path = await ledgerOf(['a'])
  expect(statSync(sumsFileOf(path)).mode & 0o777).toBe(0o600)
})

test.each([
  ['deleted', (path: string) => rmSync(path)],
  ['cut', (path: string) => writeFileSync(path, 'SQLite format 3')],
  ['overwritten', (path: string) => writeFileSync(path, 'no database at all')],
  ['of another version', (path: string) => change(path, 'PRAGMA user_version = 999')],
  ['of another application', (path: string) => change(path, 'PRAGMA application_id = 1; DROP TABLE sum')],
])('a file that was %s while the gateway was stopped is built anew', async (_how, damage) => {
  const path = await ledgerOf(['a', 'b', 'c'])
  damage(sumsFileOf(path))
  const store = openSqlite(path)
  expect(await costOf(store)).toBe(3n)
  for (const { name, ledger, kept } of await store.selfCheck()) expect(kept, name).toBe(ledger)
  await store.close(at())
})

/** Calls of 40 days before the last one, which retention deletes, and today's. */
async function prunedLedger(): Promise<string> {
  const path = await ledgerOf(Array.from({ length: 41 }, (_, index) => `c${index}`))
  const store = openSqlite(path)
  expect(await store.prune(START_MS - 33 * DAY_MS, at())).toBe(7)
  await store.close(at())
  return path
}

test.each([
  ['deleted', 'lost', (path: string) => rmSync(path)],
  ['overwritten', 'lost', (path: string) => writeFileSync(path, 'no database at all')],
  ['left alone', 'kept', () => {}],
])('sums of rows that retention deleted: a file that was %s is %s', async (_how, outcome, damage) => {
  const path = await prunedLedger()
  damage(sumsFileOf(path))
  const isLeft = existsSync(sumsFileOf(path))
  const store = openSqlite(path)
  let lost = 0
  store.health.watchSums(() => (lost += 1))
  expect(await costOf(store)).toBe(outcome === 'lost' ? 34n : 41n)
  expect(lost).toBe(outcome === 'lost' ? 1 : 0)
  expect(existsSync(`${sumsFileOf(path)}.unused`)).toBe(outcome === 'lost' && isLeft)
  await store.close(at())
})

test('a step of retention reads the rows it deletes, and no index of all rows', () => {
  const store = openSqlite(':memory:')
  const statements: string[] = []
  const { db } = store
  const prepare = db.prepare.bind(db)
  db.prepare = (sql) => {
    statements.push(sql)
    return prepare(sql)
  }
  new Pruner(db)
  const plans = statements.map((sql) =>
    prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map(({ detail }) => `${detail}`),
  )
  const ofEntries = plans.flat().filter((detail) => /\bentry\b/.test(detail))
  expect(ofEntries.length).toBeGreaterThan(5)
  expect(new Set(ofEntries)).toEqual(new Set(['SEARCH entry USING INTEGER PRIMARY KEY (rowid<?)']))
})

test('a ledger that was put back from a copy gets sums of its own', async () => {
  const path = await ledgerOf(['a', 'b'])
  copyFileSync(path, `${path}.copy`)
  let store = openSqlite(path)
  await append(store, 'c', 'd')
  expect(await costOf(store)).toBe(4n)
  await store.close(at())
  copyFileSync(`${path}.copy`, path)
  store = openSqlite(path)
  // As many entries again, so that the last number is the same as before; both are of the first user.
  await append(store, 'e')
  await append(store, 'f')
  expect(await costOf(store, { ...QUERY, where: { user: 'user-0' } })).toBe(3n)
  await store.close(at())
})

test('a call is counted once, also if the process ends between two counts', async () => {
  const path = await ledgerOf(['a', 'b', 'c', 'd', 'e'])
  rmSync(sumsFileOf(path))
  const db = new DatabaseSync(path, { readOnly: true })
  for (let count = 0; count < 3; count++) {
    const sums = new KeptSums(db, sumsFileOf(path))
    sums.follow(2)
    sums.close()
  }
  const sums = new KeptSums(db, sumsFileOf(path))
  expect(sums.missing).toBe(0)
  expect(sums.usage(QUERY).total).toMatchObject({ requests: 5, costNanoUsd: 5n })
  sums.close()
})

test('a call of a week that is over, and summed by week already, is in the sums of that week', async () => {
  const store = openSqlite(':memory:')
  const period = { fromMs: START_MS - 63 * DAY_MS, untilMs: START_MS + DAY_MS }
  const costByUser = async () => {
    const { by } = await store.usage({ simulated: false, period, by: ['user'] })
    return by.user?.groups.map(({ value, sum }) => [value, sum.costNanoUsd])
  }
  const add = async (callId: string, daysAgo: number, user: string) => {
    const facts = factsOf(callId, { reservedAtMs: START_MS - daysAgo * DAY_MS, caller: { user } })
    await store.append([{ kind: 'entry', facts, outcome: outcomeOf(3, 1n), charges: [], used: usedOf(3, 1n) }], at())
  }
  await add('then', 30, 'ann')
  await add('now', 0, 'ann')
  expect(await costByUser()).toEqual([['ann', 2n]])
  for (const callId of ['late', 'later', 'latest']) await add(callId, 30, 'bob')
  expect(await costByUser()).toEqual([
    ['bob', 3n],
    ['ann', 2n],
  ])
  await store.close(at())
})

test('while the sums of an older ledger are built, a report says how far they are', async () => {
  const path = await ledgerOf([])
  const db = new DatabaseSync(path)
  db.exec(`WITH RECURSIVE row(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM row WHERE n < 40000)
    INSERT INTO entry (id, call_id, dialect, provider, requested_model, model, reserved_at_ms, day, reserved_tokens,
      reserved_cost_nano_usd, cost_known, streaming, simulated, settled_seq, ending, certainty, cost_nano_usd, charges)
    SELECT (${START_MS} - n) * 1024, 'c' || n, 'd', 'p', 'm', 'm', ${START_MS} - n, '2026-11-22', 1, 1, 1, 0, 0, n,
      'completed', 'exact', 1, '' FROM row`)
  const sums = new KeptSums(db, ':memory:')
  expect(() => sums.usage(QUERY)).toThrow(new SumsNotReady(0, 40_000))
  while (sums.follow(16_384));
  expect(sums.usage(QUERY).total.costNanoUsd).toBe(40_000n)
  sums.close()
  db.close()
})

test.each([
  [
    'a sum by quarter hour',
    "UPDATE sum SET cost_nano_usd = cost_nano_usd + 1 WHERE dimension = 'model' AND tier = 1",
    'cost by model and quarter hour',
  ],
  ['a sum by day', "DELETE FROM sum WHERE dimension = 'user' AND tier = 96", 'requests by user and day (UTC)'],
  ['calls', "DELETE FROM calls WHERE kind = 1 AND subject = 'user-1'", 'tokens calls of each user'],
])('the self-check finds that %s is wrong', async (_what, sql, name) => {
  const path = await ledgerOf(['a', 'b', 'c'])
  change(sumsFileOf(path), sql)
  const store = openSqlite(path)
  const wrong = (await store.selfCheck()).filter(({ ledger, kept }) => ledger !== kept)
  expect(wrong.map((check) => check.name)).toContain(name)
  await store.close(at())
})

test('a self-check ends if its signal aborts', async () => {
  const store = openSqlite(await ledgerOf(['a']))
  await expect(store.selfCheck(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  await store.close(at())
})

test('a period is made of the longest spans that fit', () => {
  expect(spansOf(95, 193, [1, 96])).toEqual([
    { tier: 1, from: 95, until: 96 },
    { tier: 96, from: 96, until: 192 },
    { tier: 1, from: 192, until: 193 },
  ])
  expect(spansOf(3, 9, [1, 96])).toEqual([{ tier: 1, from: 3, until: 9 }])
  expect(spansOf(0, 672 * 2 + 96, [96, 672])).toEqual([
    { tier: 672, from: 0, until: 1344 },
    { tier: 96, from: 1344, until: 1440 },
  ])
  expect(spansOf(5, 5, [1, 96])).toEqual([])
})

test('the sums of a ledger in memory have no file', async () => {
  const store = openSqlite(':memory:')
  await append(store, 'a')
  expect(await costOf(store)).toBe(1n)
  expect(existsSync(':memory:-sums')).toBe(false)
  await store.close(at())
})

function change(path: string, sql: string): void {
  const db = new DatabaseSync(path)
  db.exec(sql)
  db.close()
}
