// The SQLite file: one owner, never changed if it is not ours, and a full disk that loses nothing.

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { openStore } from '../../../src/stores/index.ts'
import type { SqliteStore } from '../../../src/stores/sqlite/store.ts'
import { StoreUnavailable, StoreUnusable } from '../../../src/stores/store.ts'
import { at, chargeOf, outcomeOf, reservationOf, usedOf } from '../calls.ts'
import { temporaryFolder } from '../folder.ts'
import { openSqlite } from '../open-sqlite.ts'
import { HeldTimers } from '../timers.ts'

const charges = [
  chargeOf('requests/minute', 1n, 100_000n),
  chargeOf('tokens/minute', 50n, 100_000n),
  chargeOf('cost/day', 10n, 100_000n),
  chargeOf('inFlight', 1n, 100_000n),
]
/** What a call with those may become. */
const larger = [
  chargeOf('requests/minute', 1n, 100_000n),
  chargeOf('tokens/minute', 500n, 100_000n),
  chargeOf('cost/day', 99_990n, 100_000n),
  chargeOf('inFlight', 1n, 100_000n),
  chargeOf('cost/total', 7n, 100_000n),
]
const all = larger.map((charge) => ({ ...charge, amount: 0n }))
const settlement = (callId: string) => ({ callId, outcome: outcomeOf(30, 4n), used: usedOf(30, 4n) })

describe('one owner', () => {
  test('a second opener is told which file stands in its way, and the first goes on', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    const first = openSqlite(path)
    expect(() => openSqlite(path)).toThrow(StoreUnusable)
    expect(() => openSqlite(path)).toThrow(`${path}.owner`)
    expect(await first.reserve([reservationOf('one', charges)], at())).toMatchObject([{ admitted: true }])
    await first.close(at())
    const second = openSqlite(path)
    expect(await second.entry('one')).toMatchObject({ outcome: { ending: 'expired' } })
    await second.close(at())
  })

  test('another process is kept out, and is let in when the owner was killed', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    const url = new URL('../open-sqlite.ts', import.meta.url).href
    const script = `import(${JSON.stringify(url)}).then(({ openSqlite }) => {
      globalThis.store = openSqlite(${JSON.stringify(path)}, { wallMs: 1, monoMs: 1 })
      console.log('open'); setInterval(() => {}, 1000) })`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    expect(() => openSqlite(path)).toThrow('in use by another process')
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    await openSqlite(path).close(at())
  })
})

describe('a file that is not ours', () => {
  const foreign: Readonly<Record<string, (path: string) => void | Promise<void>>> = {
    text: (path) => writeFileSync(path, 'not a database, but somebody’s notes\n'.repeat(100)),
    'a few bytes': (path) => writeFileSync(path, 'SQLite'),
    'another application’s database': (path) => {
      const db = new DatabaseSync(path)
      db.exec('CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO note (text) VALUES (1)')
      db.close()
    },
    'another application’s database with an application id': (path) => {
      const db = new DatabaseSync(path)
      db.exec('PRAGMA application_id = 7; PRAGMA user_version = 1; CREATE TABLE note (text TEXT)')
      db.close()
    },
    'a ledger of a newer version': async (path) => {
      await ours(path)
      alter(path, (bytes) => bytes.writeUInt32BE(99, 60))
    },
    'a ledger with its schema overwritten': async (path) => {
      await ours(path)
      alter(path, (bytes) => bytes.fill(0xa5, 100, 4096))
    },
    'a ledger cut short': async (path) => {
      await ours(path)
      writeFileSync(path, readFileSync(path).subarray(0, 4096 * 2 + 100))
    },
    'a ledger whose tables are gone': async (path) => {
      await ours(path)
      const db = new DatabaseSync(path)
      db.exec('DROP TABLE level')
      db.close()
    },
  }

  async function ours(path: string): Promise<void> {
    await openSqlite(path).close(at())
  }
  function alter(path: string, change: (bytes: Buffer) => void): void {
    const bytes = readFileSync(path)
    change(bytes)
    writeFileSync(path, bytes)
  }

  test.each(Object.entries(foreign))('%s is refused and left byte for byte as it was', async (_name, make) => {
    const path = join(temporaryFolder(), 'ledger.db')
    await make(path)
    const before = readFileSync(path)
    await expect(openStore(`sqlite:${path}`, { now: at() })).rejects.toThrow(StoreUnusable)
    await expect(openStore(`sqlite:${path}`, { now: at() })).rejects.toThrow(path)
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('a folder that does not exist, or a folder in its place, is a clear error', async () => {
    const where = temporaryFolder()
    await expect(openStore(`sqlite:${where}/none/ledger.db`, { now: at() })).rejects.toThrow(StoreUnusable)
    await expect(openStore(`sqlite:${where}`, { now: at() })).rejects.toThrow(StoreUnusable)
    await expect(openStore('mysql:x', { now: at() })).rejects.toThrow('DATABASE_URL')
  })

  test('an empty file becomes a ledger, and a start that was killed while making one does no harm', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    writeFileSync(path, '')
    writeFileSync(`${path}.new`, 'half of a ledger')
    const store = await openStore(`sqlite:${path}`, { now: at() })
    await store.reserve([reservationOf('one', charges)], at())
    await store.close(at())
    expect(readdirSync(join(path, '..')).sort()).toEqual(['ledger.db', 'ledger.db.owner'])
  })
})

test('a ledger from before costs of attempts and idempotency keys were kept goes on', async () => {
  const path = join(temporaryFolder(), 'ledger.db')
  const attempt = {
    provider: 'openai',
    model: 'gpt-4o',
    status: 500,
    durationMs: 7,
    error: 'status 500',
    costNanoUsd: 5n,
  }
  const before = openSqlite(path)
  await before.reserve([reservationOf('old', charges), reservationOf('open', charges)], at())
  const outcome = outcomeOf(30, 4n, { attempts: [attempt, attempt] })
  await before.settle([{ callId: 'old', outcome, used: usedOf(30, 4n) }], at())
  await before.close(at())
  const db = new DatabaseSync(path)
  const { costNanoUsd: _, ...old } = attempt
  db.prepare("UPDATE entry SET attempts = ? WHERE call_id = 'old'").run(JSON.stringify([old, old]))
  db.exec(`DROP INDEX entry_idempotency; ALTER TABLE entry DROP COLUMN idempotency_key;
    ALTER TABLE entry DROP COLUMN idempotency_body; ALTER TABLE level DROP COLUMN drained;
    CREATE INDEX entry_open ON entry (settled_seq) WHERE settled_seq IS NULL; DELETE FROM mark WHERE name = 'open_from';
    PRAGMA user_version = 1`)
  db.close()
  const store = openSqlite(path)
  const free = { ...attempt, costNanoUsd: 0n }
  expect(await store.entry('old')).toMatchObject({ facts: { idempotency: null }, outcome: { attempts: [free, free] } })
  expect(await store.entry('open')).toMatchObject({ outcome: { ending: 'expired' } })
  await store.reserve([reservationOf('new', [], { idempotency: { keyHash: 'key', bodyHash: 'body' } })], at())
  expect((await store.idempotentEntry('key', 0))?.facts.callId).toBe('new')
  await store.close(at())
})

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

describe('a full disk', () => {
  const fill = (store: SqliteStore) => {
    const pages = Number(store.db.prepare('PRAGMA page_count').get()?.page_count)
    store.db.exec(`PRAGMA max_page_count = ${pages}`)
  }
  const empty = (store: SqliteStore) => store.db.exec('PRAGMA max_page_count = 1000000')

  /** Reserves until it does not work any more. */
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

  test('a reservation whose amendment could not be written is settled as though none had been tried', async () => {
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

  test('what an amendment gives up is nobody else’s until it is written', async () => {
    const store = openSqlite(':memory:')
    const [most, few] = [[chargeOf('cost/day', 90n, 100n)], [chargeOf('cost/day', 5n, 100n)]]
    await store.reserve([reservationOf('call', most)], at())
    store.db.exec(`CREATE TEMP TRIGGER odd BEFORE UPDATE ON entry WHEN new.operation = 'odd'
      BEGIN SELECT raise(ABORT, 'odd'); END`)
    const [amended, reserved] = await Promise.allSettled([
      store.amend([reservationOf('call', few, { operation: 'odd' })], at()),
      store.reserve([reservationOf('other', most)], at()),
    ])
    expect([amended.status, reserved]).toMatchObject(['rejected', { value: [{ admitted: false }] }])
    const level = async () => (await store.levels(few, at()))[0]
    expect(await level()).toMatchObject({ settled: 0n, reserved: 90n })
    expect(await store.amend([reservationOf('call', few)], at())).toMatchObject([{ admitted: true }])
    expect(await store.reserve([reservationOf('other', most)], at())).toMatchObject([{ admitted: true }])
    expect(await level()).toMatchObject({ settled: 0n, reserved: 95n })
    await store.close(at())
  })

  test('an amendment falls with the row it is of', async () => {
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
    const list = [larger.slice(0, 4), larger.slice(2, 3), unread].map((some) => reservationOf('call', some))
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

  test('a settlement that cannot be written is written when there is room, and until then the row counts in full', async () => {
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

  test('levels that were not saved with a failed commit are saved with the next', async () => {
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

  test('closing while the disk is full loses what could not be written, and counts it in full', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    const store = openSqlite(path)
    await store.reserve([reservationOf('one', charges)], at())
    store.db.exec("CREATE TEMP TRIGGER full BEFORE UPDATE ON entry BEGIN SELECT raise(ABORT, 'full'); END")
    // Not awaited: nobody must be told of it by a crash.
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

test('money beyond 64 bits is booked as the most the ledger can hold, and costs other calls nothing', async () => {
  const store = openSqlite(':memory:')
  const huge = 10n ** 30n
  await store.reserve([reservationOf('huge', [], { reservedCostNanoUsd: huge }), reservationOf('fine', [])], at())
  await store.settle([{ callId: 'huge', outcome: outcomeOf(1, huge), used: usedOf(1, huge) }], at())
  await store.settle([settlement('fine')], at())
  expect((await store.entries({ limit: 5 })).map(({ facts }) => facts.callId).sort()).toEqual(['fine', 'huge'])
  await store.close(at())
})

test('a call is found by its id, before and after others, and where the clock went back', async () => {
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

test('a settlement that overtakes its reservation is booked all the same', async () => {
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
  // A wall clock that jumps ahead while the other one does not empties nobody's budget.
  const later = at(86_400_000 * 4)
  const today = chargeOf('cost/day', 10n, 100n, { now: later })
  await store.reserve([reservationOf('again', [today])], later)
  await store.settle([settlement('again')], later)
  const jumped = (times: number) => ({ wallMs: later.wallMs * 2, monoMs: later.monoMs + times * 11 * minute })
  for (let times = 1; times < 5; times++) await store.sweep(jumped(times))
  expect((await store.levels([today], at(86_400_000 * 4 + 60 * minute)))[0]?.settled).toBe(4n)
  await store.close(at())
})
