// Writes that fail, for a full disk or for one row: nothing is lost, and no level is wrong.

import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import type { SqliteStore } from '../../../src/stores/sqlite/store.ts'
import { StoreUnavailable } from '../../../src/stores/store.ts'
import { at, chargeOf, outcomeOf, reservationOf, usedOf } from '../calls.ts'
import { temporaryFolder } from '../folder.ts'
import { openSqlite } from '../open-sqlite.ts'
import { HeldTimers } from '../timers.ts'

import { all, charges, larger, settlement } from './sample-charges.ts'

describe('a full disk', () => {
  const fill = (store: SqliteStore) => {
    const pages = Number(store.db.prepare('PRAGMA page_count').get()?.page_count)
    store.db.exec(`PRAGMA max_page_count = ${pages}`)
  }
  const empty = (store: SqliteStore) => store.db.exec('PRAGMA max_page_count = 1000000')

  /** Reserves until a reservation fails. Returns the ids before it. */
  async function reserveUntilFull(store: SqliteStore, name: string): Promise<string[]> {
    const reserved: string[] = []
    for (let index = 0; index < 500; index++) {
      const callId = `${name}-${index}`
      try {
        await store.reserve([reservationOf(callId, charges)], at())
        reserved.push(callId)
      } catch (error) {
        expect(error).toBeInstanceOf(StoreUnavailable)
        return reserved
      }
    }
    throw new Error('never full')
  }

  test('calls are refused with nothing taken, and admitted again once there is room', async () => {
    const store = openSqlite(join(temporaryFolder(), 'ledger.db'))
    fill(store)
    const reserved = await reserveUntilFull(store, 'a')
    const before = await store.levels(charges, at())
    const open = (await store.figures({ simulated: false })).open
    for (let turn = 0; turn < 3; turn++) {
      const tries = ['x', 'y', 'z'].map((id) => store.reserve([reservationOf(`${id}${turn}`, charges)], at()))
      for (const result of await Promise.allSettled(tries)) {
        expect(result).toMatchObject({ status: 'rejected', reason: { name: 'StoreUnavailable' } })
      }
      expect(await store.levels(charges, at())).toEqual(before)
      expect((await store.figures({ simulated: false })).open).toEqual(open)
    }
    empty(store)
    expect(await store.reserve([reservationOf('again', charges)], at())).toMatchObject([{ admitted: true }])
    expect((await store.figures({ simulated: false })).open.calls).toBe(reserved.length + 1)
    await store.close(at())
  })

  test('a rollback that fails, too, loses no settlement, and calls are still refused with nothing taken', async () => {
    const store = openSqlite(join(temporaryFolder(), 'ledger.db'))
    await store.reserve([reservationOf('open', charges)], at())
    const exec = store.db.exec.bind(store.db)
    const rollback = vi.spyOn(store.db, 'exec').mockImplementationOnce((sql) => {
      throw new Error(`${sql}: disk I/O error`)
    })
    exec("CREATE TEMP TRIGGER full BEFORE INSERT ON level BEGIN SELECT raise(ABORT, 'full'); END")
    const settled = store.settle([settlement('open')], at())
    const before = await store.levels(charges, at())
    const refused = store.reserve([reservationOf('refused', charges)], at())
    await expect(refused).rejects.toBeInstanceOf(StoreUnavailable)
    expect(rollback).toHaveBeenCalledWith('ROLLBACK')
    expect(await store.levels(charges, at())).toEqual(before)
    exec('DROP TRIGGER full')
    await settled
    expect(await store.entry('open')).toMatchObject({ outcome: { ending: 'completed' } })
    expect(await store.reserve([reservationOf('again', charges)], at())).toMatchObject([{ admitted: true }])
    await store.close(at())
  })

  test('an amendment that cannot be written leaves the reservation as it was, and what it gave up with it', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    const store = openSqlite(path)
    const first = reservationOf('call', charges, { reservedCostNanoUsd: 10n })
    await store.reserve([first, reservationOf('twin', charges.slice(2))], at())
    const before = await store.levels(all, at())
    store.db.exec("CREATE TEMP TRIGGER full BEFORE INSERT ON level BEGIN SELECT raise(ABORT, 'full'); END")
    const results = await Promise.allSettled([
      store.amend([reservationOf('call', larger)], at()),
      store.amend([reservationOf('call', charges.slice(0, 1)), reservationOf('twin', [])], at()),
      store.reserve([reservationOf('other', [])], at()),
    ])
    for (const result of results) expect(result).toMatchObject({ reason: { name: 'StoreUnavailable' } })
    expect(await store.levels(all, at())).toEqual(before)
    expect(await store.entry('call')).toMatchObject({ facts: first.facts })
    store.db.exec('DROP TRIGGER full')
    await store.settle([{ callId: 'twin', outcome: outcomeOf(0, 0n), used: usedOf(0, 0n) }], at())
    expect(await store.amend([reservationOf('call', larger)], at())).toMatchObject([{ admitted: true }])
    await store.close(at())
    const reopened = openSqlite(path)
    const levels = await reopened.levels(all, at())
    expect(levels.map(({ settled, reserved }) => [settled, reserved])).toEqual([
      [1n, 0n],
      [500n, 0n],
      [99_990n, 0n],
      [0n, 0n],
      [7n, 0n],
    ])
    await reopened.close(at())
  })

  test('a reservation whose amendment could not be written is settled as it was reserved', async () => {
    const store = openSqlite(':memory:')
    const before = await store.levels(all, at())
    await store.reserve([reservationOf('call', charges)], at())
    store.db.exec("CREATE TEMP TRIGGER full BEFORE INSERT ON level BEGIN SELECT raise(ABORT, 'full'); END")
    await expect(store.amend([reservationOf('call', larger)], at())).rejects.toThrow(StoreUnavailable)
    store.db.exec('DROP TRIGGER full')
    await store.settle([{ callId: 'call', outcome: outcomeOf(0, 0n), used: usedOf(0, 0n) }], at())
    expect((await store.levels(all, at())).slice(1)).toEqual(before.slice(1))
    await store.close(at())
  })

  test('no other call gets what an amendment gives up before the amendment is written', async () => {
    const store = openSqlite(':memory:')
    const [large, few] = [[chargeOf('cost/day', 90n, 100n)], [chargeOf('cost/day', 5n, 100n)]]
    await store.reserve([reservationOf('call', large)], at())
    store.db.exec(`CREATE TEMP TRIGGER odd BEFORE UPDATE ON entry WHEN new.operation = 'odd'
      BEGIN SELECT raise(ABORT, 'odd'); END`)
    const [amended, reserved] = await Promise.allSettled([
      store.amend([reservationOf('call', few, { operation: 'odd' })], at()),
      store.reserve([reservationOf('other', large)], at()),
    ])
    expect([amended.status, reserved]).toMatchObject(['rejected', { value: [{ admitted: false }] }])
    const level = async () => (await store.levels(few, at()))[0]
    expect(await level()).toMatchObject({ settled: 0n, reserved: 90n })
    expect(await store.amend([reservationOf('call', few)], at())).toMatchObject([{ admitted: true }])
    expect(await store.reserve([reservationOf('other', large)], at())).toMatchObject([{ admitted: true }])
    expect(await level()).toMatchObject({ settled: 0n, reserved: 95n })
    await store.close(at())
  })

  test('an amendment fails with the row of its reservation', async () => {
    const store = openSqlite(':memory:')
    const before = await store.levels(all, at())
    store.db.exec(`CREATE TEMP TRIGGER odd BEFORE INSERT ON entry WHEN new.call_id = 'odd'
      BEGIN SELECT raise(ABORT, 'odd'); END`)
    const results = await Promise.allSettled([
      store.reserve([reservationOf('odd', charges)], at()),
      store.amend([reservationOf('odd', larger)], at()),
      store.reserve([reservationOf('fine', [])], at()),
      store.amend([reservationOf('fine', [], { model: 'other' })], at()),
    ])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled', 'fulfilled'])
    expect((await store.levels(all, at())).slice(1)).toEqual(before.slice(1))
    expect((await store.figures({ simulated: false })).open.calls).toBe(1)
    expect(await store.entry('fine')).toMatchObject({ facts: { model: 'other' } })
    await store.close(at())
  })

  test('amendments of a list that meets a level that cannot be read change nothing', async () => {
    const store = openSqlite(':memory:')
    await store.reserve([reservationOf('call', charges)], at())
    const before = await store.levels(all, at())
    store.db.exec('ALTER TABLE level RENAME TO away')
    const unread = [chargeOf('cost/minute', 1n, 100n)]
    const list = [larger.slice(0, 4), larger.slice(2, 3), unread].map((charges) => reservationOf('call', charges))
    await expect(store.amend(list, at())).rejects.toThrow('level')
    store.db.exec('ALTER TABLE away RENAME TO level')
    expect(await store.levels(all, at())).toEqual(before)
    await store.settle([{ callId: 'call', outcome: outcomeOf(30, 4n), used: undefined }], at())
    const levels = await store.levels(all, at())
    expect(levels.map(({ settled, reserved }) => [settled, reserved])).toEqual([
      [1n, 0n],
      [50n, 0n],
      [10n, 0n],
      [0n, 0n],
      [0n, 0n],
    ])
    await store.close(at())
  })

  test('settlements that cannot be written are written when there is room, and until then their rows count in full', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    const timers = new HeldTimers()
    const store = openSqlite(path, at(), { timers })
    fill(store)
    const reserved = await reserveUntilFull(store, 'a')
    const results = reserved.map((callId) => store.settle([settlement(callId)], at()))
    for (let attempt = 0; attempt < 3; attempt++) timers.fire()
    const [, , today] = await store.levels(charges, at())
    expect([today?.settled, today?.reserved]).toEqual([BigInt(reserved.length) * 4n, 0n])
    const rows = store.db.prepare('SELECT count(*) AS open FROM entry WHERE settled_seq IS NULL').get()
    const saved = store.db.prepare("SELECT used, rest FROM level WHERE key LIKE '%cost/day%'").get()
    // What is stored is of one moment: either nothing is settled yet, or everything is.
    expect([Number(saved?.used), Number(saved?.rest)]).toEqual(
      rows?.open === 0 ? [reserved.length * 4, 0] : [0, reserved.length * 10],
    )
    empty(store)
    timers.fire()
    expect((await Promise.all(results)).flat()).toEqual(reserved.map(() => 'settled'))
    expect((await store.figures({ simulated: false })).report.total().requests).toBe(reserved.length)
    await store.close(at())
    const reopened = openSqlite(path)
    const [, , later] = await reopened.levels(charges, at())
    expect(later?.settled).toBe(BigInt(reserved.length) * 4n)
    expect((await reopened.figures({ simulated: false })).report.total().requests).toBe(reserved.length)
    await reopened.close(at())
  })

  test('levels that a failed commit did not save are saved with the next commit', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    const timers = new HeldTimers()
    const store = openSqlite(path, at(), { timers })
    await store.reserve([reservationOf('one', charges)], at())
    store.db.exec("CREATE TEMP TRIGGER full BEFORE INSERT ON level BEGIN SELECT raise(ABORT, 'full'); END")
    const settling = store.settle([settlement('one')], at())
    for (const delayMs of [5, 100, 200]) {
      expect(timers.delaysMs).toContain(delayMs)
      timers.fire(delayMs)
    }
    store.db.exec('DROP TRIGGER full')
    timers.fire(400)
    expect(await settling).toEqual(['settled'])
    await store.close(at())
    const reopened = openSqlite(path)
    const levels = await reopened.levels(charges, at())
    expect(levels.map(({ settled, reserved }) => [settled, reserved])).toEqual([
      [1n, 0n],
      [30n, 0n],
      [4n, 0n],
      [0n, 0n],
    ])
    await reopened.close(at())
  })

  test('a full disk is told once, however many calls it refuses, and is over when a trial row can be written', async () => {
    const timers = new HeldTimers()
    const store = openSqlite(join(temporaryFolder(), 'ledger.db'), at(), { timers })
    const changes: (string | undefined)[] = []
    store.health.watch((failure) => changes.push(failure?.kind))
    fill(store)
    await reserveUntilFull(store, 'a')
    for (const id of ['x', 'y']) {
      await expect(store.reserve([reservationOf(id, charges)], at())).rejects.toBeInstanceOf(StoreUnavailable)
      timers.fire(1000)
    }
    expect(changes).toEqual(['unwritable'])
    expect(store.health.failure?.message).toContain('database or disk is full')
    empty(store)
    // A call that passes does not say that there is room for the next one.
    await store.reserve([reservationOf('passes', charges)], at())
    expect(store.health.failure).toBeDefined()
    timers.fire(1000)
    expect(changes).toEqual(['unwritable', undefined])
    expect(store.db.prepare("SELECT count(*) AS rows FROM mark WHERE name = 'probe'").get()).toEqual({ rows: 0 })
    timers.fire(1000)
    expect(changes).toHaveLength(2)
    await store.close(at())
  })

  test('a ledger is not healthy before what waits is written', async () => {
    const timers = new HeldTimers()
    const store = openSqlite(join(temporaryFolder(), 'ledger.db'), at(), { timers })
    await store.reserve([reservationOf('one', charges)], at())
    store.db.exec("CREATE TEMP TRIGGER full BEFORE INSERT ON level BEGIN SELECT raise(ABORT, 'full'); END")
    const settling = store.settle([settlement('one')], at())
    timers.fire(5)
    timers.fire(1000)
    expect(store.health.failure?.kind).toBe('unwritable')
    store.db.exec('DROP TRIGGER full')
    timers.fire(1000)
    expect(await settling).toEqual(['settled'])
    timers.fire(1000)
    expect(store.health.failure).toBeUndefined()
    await store.close(at())
  })

  test('closing while the disk is full loses what could not be written, and counts it in full', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    const store = openSqlite(path)
    await store.reserve([reservationOf('one', charges)], at())
    store.db.exec("CREATE TEMP TRIGGER full BEFORE UPDATE ON entry BEGIN SELECT raise(ABORT, 'full'); END")
    // Not awaited: an unhandled rejection must not end the process.
    const settling = store.settle([settlement('one')], at())
    settling.catch(() => {})
    await store.close(at())
    await expect(settling).rejects.toThrow(StoreUnavailable)
    const reopened = openSqlite(path)
    const [, , today] = await reopened.levels(charges, at())
    expect([today?.settled, today?.reserved]).toEqual([10n, 0n])
    await reopened.close(at())
  })
})

test('a row that cannot be written does not take the others of its turn with it', async () => {
  const store = openSqlite(':memory:')
  store.db.exec(`CREATE TEMP TRIGGER odd BEFORE INSERT ON entry WHEN new.call_id = 'odd'
    BEGIN SELECT raise(ABORT, 'odd'); END`)
  const before = await store.levels(charges, at())
  const [odd, fine] = await Promise.allSettled([
    store.reserve([reservationOf('odd', charges)], at()),
    store.reserve([reservationOf('fine', charges.slice(0, 1))], at()),
  ])
  expect([odd.status, fine.status]).toEqual(['rejected', 'fulfilled'])
  const after = await store.levels(charges, at())
  expect(after.slice(1)).toEqual(before.slice(1))
  expect(after[0]?.settled).toBe(1n)
  expect((await store.figures({ simulated: false })).open.calls).toBe(1)
  await store.close(at())
})

test('a settlement that cannot be written as it is says so, counts in full, and takes no other with it', async () => {
  const store = openSqlite(':memory:')
  const day = [chargeOf('cost/day', 90n, 1000n)]
  await store.reserve([reservationOf('odd', day), reservationOf('fine', day)], at())
  // SQLite has no type for this: a bug elsewhere.
  const unwritable = outcomeOf(1, 5n, { answeredModel: Symbol('odd') as unknown as string })
  const settled = await Promise.allSettled([
    store.settle([{ callId: 'odd', outcome: unwritable, used: usedOf(1, 5n) }], at()),
    store.settle([{ callId: 'fine', outcome: outcomeOf(1, 5n), used: usedOf(1, 5n) }], at()),
  ])
  expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  expect((await store.entry('odd'))?.outcome).toMatchObject({ ending: 'expired', certainty: 'upperBound' })
  expect((await store.entry('fine'))?.outcome).toMatchObject({ ending: 'completed', cost: { totalNanoUsd: 5n } })
  await store.close(at())
})
