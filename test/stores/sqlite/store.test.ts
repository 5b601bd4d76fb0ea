// The SQLite store keeps the contract, on a file and in memory.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { SqliteStore } from '../../../src/stores/sqlite/store.ts'
import { conformance } from '../conformance/conformance.ts'
import { openSqlite } from '../open-sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-test-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

/** Every commit saves a level if it has charges. */
function failWrites({ db }: SqliteStore): () => void {
  db.exec("CREATE TEMP TRIGGER failing BEFORE INSERT ON level BEGIN SELECT raise(ABORT, 'failing'); END")
  return () => db.exec('DROP TRIGGER failing')
}

conformance({
  name: 'sqlite file',
  open: async () => {
    const path = join(folder, `${++files}.db`)
    const store = openSqlite(path)
    return { store, reopen: async (now) => openSqlite(path, now), failWrites: () => failWrites(store) }
  },
})

conformance({
  name: 'sqlite in memory',
  open: async () => {
    const store = openSqlite(':memory:')
    return { store, failWrites: () => failWrites(store) }
  },
})
