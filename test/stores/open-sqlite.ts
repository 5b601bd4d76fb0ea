// An SQLite store on timers that count turns.

import type { Instant } from '../../src/core/meter.ts'
import { type SqliteOptions, SqliteStore } from '../../src/stores/sqlite/store.ts'
import { at } from './calls.ts'
import { turnTimers } from './timers.ts'

export function openSqlite(path: string, now: Instant = at(), options: Partial<SqliteOptions> = {}): SqliteStore {
  return new SqliteStore(path, { timers: turnTimers, ...options, now })
}
