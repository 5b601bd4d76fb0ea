// An SQLite store on the timers of this process.

import type { Instant } from '../../src/core/meter.ts'
import { processTimers } from '../../src/stores/index.ts'
import { type SqliteOptions, SqliteStore } from '../../src/stores/sqlite/store.ts'
import { at } from './calls.ts'

export function openSqlite(path: string, now: Instant = at(), options: Partial<SqliteOptions> = {}): SqliteStore {
  return new SqliteStore(path, { timers: processTimers, ...options, now })
}
