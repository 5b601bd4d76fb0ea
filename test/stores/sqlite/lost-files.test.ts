// Files of an open ledger that are deleted, moved, replaced, cut or overwritten: calls are refused until the files are back.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ForeignWrites, isOnExactFileSystem } from '../../../src/stores/sqlite/foreign-writes.ts'
import { LedgerHealth } from '../../../src/stores/sqlite/ledger-health.ts'
import type { SqliteStore } from '../../../src/stores/sqlite/store.ts'
import type { StoreFailure } from '../../../src/stores/store.ts'
import { waitFor } from '../../support/waiting.ts'
import { at, reservationOf } from '../calls.ts'
import { temporaryFolder } from '../folder.ts'
import { openSqlite } from '../open-sqlite.ts'
import { HeldTimers } from '../timers.ts'
import { charges, settlement } from './sample-charges.ts'

const CHECK_INTERVAL_MS = 800
/** On a machine with much else to do. */
const MAX_WORKER_START_MS = 25_000

/** An open ledger in a folder of its own, whose files are checked when a test says so. */
class WatchedLedger {
  readonly path: string
  readonly timers = new HeldTimers()
  readonly store: SqliteStore
  readonly failures: (StoreFailure | undefined)[] = []

  constructor(path = join(temporaryFolder(), 'folder', 'ledger.db'), configured = path) {
    this.path = path
    mkdirSync(dirname(path), { recursive: true })
    this.store = openSqlite(configured, at(), { timers: this.timers })
    this.store.health.watch((failure) => this.failures.push(failure))
    onTestFinished(() => this.store.close(at()))
  }

  /** Checks the files once. */
  async check(): Promise<void> {
    expect(this.timers.delaysMs).toContain(CHECK_INTERVAL_MS)
    this.timers.fire(CHECK_INTERVAL_MS)
    await waitFor(() => this.timers.delaysMs.includes(CHECK_INTERVAL_MS))
  }

  reserve(callId: string): Promise<unknown> {
    return this.store.reserve([reservationOf(callId, charges)], at())
  }
}

const UNAVAILABLE = { name: 'StoreUnavailable' }

/** What happens to a ledger, and the file and the verb of the message. */
const losses: readonly (readonly [name: string, lose: (path: string) => void, file: string, verb: string])[] = [
  ['deleted', (path) => unlinkSync(path), 'ledger.db', 'deleted or moved'],
  ['moved away', (path) => renameSync(path, `${path}.old`), 'ledger.db', 'deleted or moved'],
  ['replaced by a copy of itself', replaceByCopy, 'ledger.db', 'replaced by another file'],
  ['replaced by a folder', replaceByFolder, 'ledger.db', 'replaced by another file'],
  [
    'in a folder that was deleted',
    (path) => rmSync(dirname(path), { recursive: true }),
    'ledger.db',
    'deleted or moved',
  ],
  ['in a folder that was renamed', (path) => renameSync(dirname(path), `${dirname(path)}.old`), 'ledger.db', 'deleted'],
  ['without its log', (path) => unlinkSync(`${path}-wal`), 'ledger.db-wal', 'deleted or moved'],
  ['without the index of its log', (path) => unlinkSync(`${path}-shm`), 'ledger.db-shm', 'deleted or moved'],
  ['without its owner’s file', (path) => unlinkSync(`${path}.owner`), 'ledger.db.owner', 'deleted or moved'],
  ['cut short', (path) => truncateSync(path, 4096), 'ledger.db', 'cut short'],
  ['emptied', (path) => writeFileSync(path, ''), 'ledger.db', 'cut short'],
  ['with an emptied log', (path) => truncateSync(`${path}-wal`, 0), 'ledger.db-wal', 'cut short'],
]

function replaceByCopy(path: string): void {
  copyFileSync(path, `${path}.copy`)
  renameSync(`${path}.copy`, path)
}

function replaceByFolder(path: string): void {
  unlinkSync(path)
  mkdirSync(path)
}

test.each(losses)('a ledger %s is lost, and told once', async (_name, lose, file, verb) => {
  const ledger = new WatchedLedger()
  await ledger.reserve('before')
  await ledger.check()
  expect(ledger.failures).toEqual([])
  lose(ledger.path)
  await ledger.check()
  await ledger.check()
  expect(ledger.failures).toMatchObject([{ kind: 'lost', file: expect.stringMatching(new RegExp(`${file}$`)) }])
  expect(ledger.failures[0]?.message).toContain(`The ledger's file ${file} was ${verb}`)
  for (const id of ['one', 'two']) await expect(ledger.reserve(id)).rejects.toMatchObject(UNAVAILABLE)
  expect(ledger.store.health.failure).toBe(ledger.failures[0])
})

describe('a ledger that comes back', () => {
  const returns: Readonly<Record<string, readonly [away: (path: string) => void, back: (path: string) => void]>> = {
    'from another name': [(path) => renameSync(path, `${path}.old`), (path) => renameSync(`${path}.old`, path)],
    'in the place of another file': [
      (path) => {
        renameSync(path, `${path}.old`)
        writeFileSync(path, 'x')
      },
      (path) => renameSync(`${path}.old`, path),
    ],
    'with its folder': [
      (path) => renameSync(dirname(path), `${dirname(path)}.old`),
      (path) => renameSync(`${dirname(path)}.old`, dirname(path)),
    ],
    'with its log': [
      (path) => renameSync(`${path}-wal`, `${path}.old`),
      (path) => renameSync(`${path}.old`, `${path}-wal`),
    ],
  }

  test.each(Object.entries(returns))('%s goes on, and keeps what settled meanwhile', async (_name, [away, back]) => {
    const ledger = new WatchedLedger()
    await ledger.reserve('open')
    away(ledger.path)
    await ledger.check()
    const settled = ledger.store.settle([settlement('open')], at())
    ledger.timers.fire(5)
    await expect(ledger.reserve('refused')).rejects.toMatchObject(UNAVAILABLE)
    expect(ledger.store.db.prepare('SELECT call_id, settled_seq FROM entry').all()).toEqual([
      { call_id: 'open', settled_seq: null },
    ])
    back(ledger.path)
    await ledger.check()
    expect(ledger.failures).toMatchObject([{ kind: 'lost' }, undefined])
    await ledger.reserve('after')
    ledger.timers.fire()
    expect(await settled).toEqual(['settled'])
    await ledger.store.close(at())
    const reopened = openSqlite(ledger.path)
    expect(await reopened.entry('open')).toMatchObject({ outcome: { ending: 'completed' } })
    expect(await reopened.entry('after')).toMatchObject({ outcome: { ending: 'expired' } })
    expect(await reopened.entry('refused')).toBeUndefined()
    await reopened.close(at())
  })

  test('a ledger that was cut does not come back by growing', async () => {
    const ledger = new WatchedLedger()
    await ledger.check()
    const whole = readFileSync(ledger.path)
    truncateSync(ledger.path, 4096)
    await ledger.check()
    writeFileSync(ledger.path, whole)
    await ledger.check()
    expect(ledger.failures).toMatchObject([{ kind: 'lost' }])
  })
})

test('a link that leads to another ledger is a loss, and SQLite’s other files are where the link leads', async () => {
  const folder = temporaryFolder()
  const real = join(folder, 'real', 'ledger.db')
  const link = join(folder, 'link.db')
  symlinkSync(real, link)
  const ledger = new WatchedLedger(real, link)
  await ledger.reserve('one')
  await ledger.check()
  expect(ledger.failures).toEqual([])
  expect(['', '-wal', '.owner'].map((suffix) => existsSync(real + suffix))).toEqual([true, true, true])
  expect(existsSync(`${link}.owner`)).toBe(false)
  expect(() => openSqlite(real)).toThrow('in use by another process')
  unlinkSync(link)
  symlinkSync(join(folder, 'other.db'), link)
  await ledger.check()
  expect(ledger.failures).toMatchObject([{ kind: 'lost', file: link }])
})

test('a new ledger does not take over the log of one that is gone', async () => {
  const ledger = new WatchedLedger()
  await ledger.reserve('one')
  const copies = join(temporaryFolder(), 'ledger.db')
  copyFileSync(`${ledger.path}-wal`, `${copies}-wal`)
  expect(() => openSqlite(copies)).toThrow('Put ledger.db back, or remove ledger.db-wal')
  expect(existsSync(copies)).toBe(false)
})

test('after it is closed, nothing is checked', async () => {
  const ledger = new WatchedLedger()
  await ledger.store.close(at())
  expect(ledger.timers.delaysMs).not.toContain(CHECK_INTERVAL_MS)
})

describe.skipIf(!isOnExactFileSystem(tmpdir()))('writes of other programs, if the file system has exact times', () => {
  function sampleFile(): string {
    const path = join(temporaryFolder(), 'ledger.db')
    writeFileSync(path, 'ours')
    // In the past, so that each write of the test has another time.
    utimesSync(path, 1, 1)
    return path
  }

  test('a file that was written between two of our writes is noticed before the second', () => {
    const path = sampleFile()
    const writes = new ForeignWrites(path)
    expect(writes.between(() => writeFileSync(path, 'new'))).toBe(true)
    expect(writes.between(() => {})).toBe(true)
    utimesSync(path, 2, 2)
    expect(writes.between(() => expect.unreachable())).toBe(false)
  })

  test('a time that was put back after reading, rounded to a second or a microsecond, is no write', () => {
    const path = sampleFile()
    const writes = new ForeignWrites(path)
    for (const seconds of [1.7654321, 1.765432, 1]) {
      expect(writes.between(() => utimesSync(path, 1.7654321, 1.7654321))).toBe(true)
      utimesSync(path, seconds, seconds)
    }
    expect(writes.between(() => {})).toBe(true)
    utimesSync(path, 3, 3)
    expect(writes.between(() => {})).toBe(false)
  })

  test('a file that is away, or another file in its place, is not taken for one that was written', () => {
    const path = sampleFile()
    const writes = new ForeignWrites(path)
    renameSync(path, `${path}.old`)
    expect(writes.between(() => {})).toBe(true)
    writeFileSync(path, 'another')
    expect(writes.between(() => {})).toBe(true)
    renameSync(`${path}.old`, path)
    expect(writes.between(() => {})).toBe(true)
    expect(writes.between(() => {})).toBe(true)
    utimesSync(path, 2, 2)
    expect(writes.between(() => {})).toBe(false)
  })

  test('a ledger that another program wrote is lost, and stays lost though its files are in place', async () => {
    const ledger = new WatchedLedger()
    const health = ledger.store.health
    const store = openSqlite(join(temporaryFolder(), 'ledger.db'), at(), { checkpointMs: 2 })
    onTestFinished(() => store.close(at()))
    const path = store.db.location() ?? ''
    let seconds = 1
    const failure = await waitFor(() => {
      // Again and again: a time that is set while the worker itself writes is not noticed.
      utimesSync(path, ++seconds, seconds)
      return store.health.failure
    }, MAX_WORKER_START_MS)
    expect(failure).toMatchObject({ kind: 'lost', message: expect.stringContaining('written by another program') })
    await expect(store.reserve([reservationOf('one', charges)], at())).rejects.toMatchObject(UNAVAILABLE)
    health.lost({ path: ledger.path, verb: 'written by another program' })
    await ledger.check()
    expect(ledger.failures).toMatchObject([{ kind: 'lost' }])
  })
})

test('a loss that ends with a restart alone is told after one that can end before, and not the other way round', () => {
  const health = new LedgerHealth()
  const verbs: string[] = []
  health.watch((failure) => verbs.push(/was (.*) while/.exec(failure?.message ?? '')?.[1] ?? 'healthy'))
  health.unwritable('full')
  health.lost({ path: 'a', verb: 'deleted or moved' })
  health.lost({ path: 'b', verb: 'replaced by another file' })
  health.writable()
  health.lost({ path: 'a', verb: 'cut short' })
  health.lost({ path: 'a', verb: 'deleted or moved' })
  health.found()
  health.unwritable('full')
  expect(verbs).toEqual(['healthy', 'deleted or moved', 'cut short'])
  expect(health.isLost).toBe(true)
})
