// The SQLite store keeps the contract, on a file and in memory.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { SqliteRegistry } from '../../../src/stores/sqlite/registry.ts'
import { SqliteStore } from '../../../src/stores/sqlite/store.ts'
import { at } from '../calls.ts'
import { conformance } from '../conformance.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-test-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

conformance({
  name: 'sqlite file',
  open: async () => {
    const path = join(folder, `${++files}.db`)
    const store = new SqliteStore(path, { now: at() })
    return { store, registry: new SqliteRegistry(store.db), reopen: async (now) => new SqliteStore(path, { now }) }
  },
})

conformance({
  name: 'sqlite in memory',
  open: async () => {
    const store = new SqliteStore(':memory:', { now: at() })
    return { store, registry: new SqliteRegistry(store.db) }
  },
})
