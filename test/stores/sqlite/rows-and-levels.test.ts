// Rows and levels of the SQLite file: found again, bounded, and right after a restart.

import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { SqliteStore } from '../../../src/stores/sqlite/store.ts'
import { at, chargeOf, outcomeOf, reservationOf, usedOf } from '../calls.ts'
import { temporaryFolder } from '../folder.ts'
import { openSqlite } from '../open-sqlite.ts'

import { charges, settlement } from './sample-charges.ts'

test('rows that were left open are found, however many were settled before and after them', async () => {
  const path = join(temporaryFolder(), 'ledger.db')
  const idOf = (store: SqliteStore, callId: string) =>
    Number(store.db.prepare('SELECT id FROM entry WHERE call_id = ?').get(callId)?.id)
  const from = (store: SqliteStore) =>
    Number(store.db.prepare("SELECT value FROM mark WHERE name = 'open_from'").get()?.value)
  const store = openSqlite(path)
  const call = (callId: string) => store.reserve([reservationOf(callId, charges)], at())
  const settle = async (callId: string) => {
    await store.settle([settlement(callId)], at())
    // Saves the sums, too.
    await store.figures({ simulated: false, key: 'key' })
  }
  for (const callId of ['a', 'b', 'c', 'd', 'e']) await call(callId)
  await settle('a')
  expect(from(store)).toBe(idOf(store, 'b'))
  await settle('c')
  expect(from(store)).toBe(idOf(store, 'b'))
  await settle('b')
  expect(from(store)).toBe(idOf(store, 'd'))
  await store.close(at())

  const second = openSqlite(path)
  for (const callId of ['d', 'e']) expect(await second.entry(callId)).toMatchObject({ outcome: { ending: 'expired' } })
  for (const callId of ['a', 'b', 'c'])
    expect(await second.entry(callId)).toMatchObject({ outcome: { ending: 'completed' } })
  expect(from(second)).toBe(idOf(second, 'e') + 1)
  await second.reserve([reservationOf('f', charges)], at())
  await second.close(at())

  const third = openSqlite(path)
  expect(await third.entry('f')).toMatchObject({ outcome: { ending: 'expired' } })
  await third.close(at())
})

test.each([2000, 0, -2000])(
  'a row is found again after ids were given that no row has, and a start %i ms later',
  async (ms) => {
    const path = join(temporaryFolder(), 'ledger.db')
    const store = openSqlite(path)
    store.db.exec(
      "CREATE TEMP TRIGGER odd BEFORE INSERT ON entry WHEN new.call_id = 'odd' BEGIN SELECT raise(ABORT, 'odd'); END",
    )
    await store.reserve([reservationOf('fine', charges)], at())
    await store.settle([settlement('fine')], at())
    for (let tries = 0; tries < 3; tries++)
      await expect(store.reserve([reservationOf('odd', charges)], at())).rejects.toThrow('odd')
    await store.close(at())

    const second = openSqlite(path, at(ms))
    await second.reserve([reservationOf('lost', charges)], at(ms))
    await second.close(at(ms))

    const third = openSqlite(path, at(ms))
    expect(await third.entry('lost')).toMatchObject({ outcome: { ending: 'expired' } })
    await third.close(at(ms))
  },
)

test('calls are found by their idempotency key through an index that holds no others', async () => {
  const store = openSqlite(':memory:')
  const plan = store.db.prepare(`EXPLAIN QUERY PLAN SELECT * FROM entry
    WHERE idempotency_key = ? AND id >= ? AND reserved_at_ms >= ? ORDER BY id DESC LIMIT 1`)
  expect(plan.all('key', 0, 0).map(({ detail }) => detail)).toEqual([
    'SEARCH entry USING INDEX entry_idempotency (idempotency_key=? AND rowid>?)',
  ])
  const sql = store.db.prepare("SELECT sql FROM sqlite_schema WHERE name = 'entry_idempotency'").get()
  expect(sql?.sql).toMatch('WHERE idempotency_key IS NOT NULL')
  await store.close(at())
})

test('money beyond 64 bits is stored as the largest amount the ledger can hold, and other calls are written', async () => {
  const store = openSqlite(':memory:')
  const huge = 10n ** 30n
  await store.reserve([reservationOf('huge', [], { reservedCostNanoUsd: huge }), reservationOf('fine', [])], at())
  await store.settle([{ callId: 'huge', outcome: outcomeOf(1, huge), used: usedOf(1, huge) }], at())
  await store.settle([settlement('fine')], at())
  expect((await store.entries({ limit: 5 })).map(({ facts }) => facts.callId).sort()).toEqual(['fine', 'huge'])
  await store.close(at())
})

test('a call is found by its id, before and after others, and after the clock went back', async () => {
  const store = openSqlite(':memory:')
  const uuid = (ms: number, tail: number) => {
    const hex = ms.toString(16).padStart(12, '0')
    return `${hex.slice(0, 8)}-${hex.slice(8)}-7abc-8abc-${String(tail).padStart(12, '0')}`
  }
  const ids: string[] = []
  for (const [index, after] of [0, 0, 5, 4, 90_000, 90_001, 500].entries()) {
    const callId = uuid(at(after).wallMs, index)
    ids.push(callId)
    // Reserved a while after its id was made.
    const now = at(after + (index % 3) * 700)
    await store.reserve([reservationOf(callId, [], { reservedAtMs: now.wallMs })], now)
    await store.settle([settlement(callId)], now)
  }
  for (const callId of ids) expect((await store.entry(callId))?.facts.callId).toBe(callId)
  expect(await store.entry(uuid(at(3).wallMs, 3))).toBeUndefined()
  await store.close(at())
})

test('a settlement that overtakes its reservation is in the ledger', async () => {
  const store = openSqlite(':memory:')
  const reserving = store.reserve([reservationOf('fast', charges)], at())
  const settling = store.settle([settlement('fast')], at())
  expect([await reserving, await settling]).toMatchObject([[{ admitted: true }], ['settled']])
  expect(await store.entry('fast')).toMatchObject({ settledSeq: 1 })
  const [, , today] = await store.levels(charges, at())
  expect([today?.settled, today?.reserved]).toEqual([4n, 0n])
  await store.close(at())
})

test('a bucket stored with a time to come is not frozen, and mints nothing', async () => {
  const path = join(temporaryFolder(), 'ledger.db')
  const charge = chargeOf('tokens/minute', 60n, 60n)
  const before = openSqlite(path, at(3_600_000))
  await before.reserve([reservationOf('call', [charge])], at(3_600_000))
  await before.close(at(3_600_000))
  const store = openSqlite(path)
  expect((await store.levels([charge], at()))[0]?.settled).toBe(60n)
  expect((await store.levels([charge], at(1000)))[0]?.settled).toBe(59n)
  await store.close(at(1000))
})

test('idle levels leave memory and come back as they were; old windows leave the file', async () => {
  const path = join(temporaryFolder(), 'ledger.db')
  const store = openSqlite(path)
  await store.reserve([reservationOf('call', charges)], at())
  await store.settle([settlement('call')], at())
  const minute = 60_000
  for (let after = 0; after < 60; after++) await store.sweep(at(after * minute))
  expect((await store.levels(charges, at(0)))[2]?.settled).toBe(4n)
  const keys = () => store.db.prepare('SELECT key FROM level ORDER BY key').all().length
  expect(keys()).toBe(4)
  for (let after = 0; after < 5; after++) await store.sweep(at(86_400_000 * 4 + after * minute))
  expect(keys()).toBe(3)
  // A wall clock that jumps ahead, without the monotonic clock, must not empty a budget.
  const later = at(86_400_000 * 4)
  const today = chargeOf('cost/day', 10n, 100n, { now: later })
  await store.reserve([reservationOf('again', [today])], later)
  await store.settle([settlement('again')], later)
  const jumped = (times: number) => ({ wallMs: later.wallMs * 2, monoMs: later.monoMs + times * 11 * minute })
  for (let times = 1; times < 5; times++) await store.sweep(jumped(times))
  expect((await store.levels([today], at(86_400_000 * 4 + 60 * minute)))[0]?.settled).toBe(4n)
  await store.close(at())
})
