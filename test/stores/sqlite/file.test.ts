// The SQLite file: one owner, never changed if it is not ours, and a full disk that loses nothing.

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { openStore } from '../../../src/stores/index.ts'
import { StoreUnusable } from '../../../src/stores/store.ts'
import { at, outcomeOf, reservationOf, usedOf } from '../calls.ts'
import { temporaryFolder } from '../folder.ts'
import { openSqlite } from '../open-sqlite.ts'

import { charges } from './sample-charges.ts'

describe('one owner', () => {
  test('the error of a second opener names the file that stands in its way, and the first opener goes on', async () => {
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

  test('another process is kept out, and let in once the owner was killed', async () => {
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
    ALTER TABLE entry DROP COLUMN person; DROP INDEX document_version; DROP INDEX key_project; DROP INDEX entry_adjusts; ALTER TABLE entry DROP COLUMN adjusts; ALTER TABLE entry DROP COLUMN reason;
    ALTER TABLE entry DROP COLUMN provider_cost_nano_usd; ALTER TABLE entry DROP COLUMN computed_cost_nano_usd;
    ALTER TABLE entry DROP COLUMN rare_usage; ALTER TABLE rollup DROP COLUMN rare_usage;
    DROP TABLE alert; DROP TABLE pruned; DROP TABLE text_code; DROP TABLE refused; ALTER TABLE entry DROP COLUMN items; ALTER TABLE rollup DROP COLUMN billed_requests; PRAGMA user_version = 1`)
  for (const name of [
    'cache_write_1h',
    'audio_input',
    'audio_cache_read',
    'audio_output',
    'image_input',
    'image_output',
  ])
    db.exec(`ALTER TABLE rollup ADD COLUMN ${name}_tokens INTEGER NOT NULL DEFAULT 0`)
  db.close()
  const store = openSqlite(path)
  const free = { ...attempt, costNanoUsd: 0n }
  expect(await store.entry('old')).toMatchObject({ facts: { idempotency: null }, outcome: { attempts: [free, free] } })
  expect(await store.entry('open')).toMatchObject({ outcome: { ending: 'expired' } })
  await store.reserve([reservationOf('new', [], { idempotency: { keyHash: 'key', bodyHash: 'body' } })], at())
  expect((await store.idempotentEntry('key', 0))?.facts.callId).toBe('new')
  await store.close(at())
})
