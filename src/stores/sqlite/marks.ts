// Marks in the SQLite file: numbers by name, saved in the transaction of what they speak of.

import type { DatabaseSync, StatementSync } from 'node:sqlite'

type Mark = 'rolled_up_seq' | 'open_from'

/** Zero where none was saved. */
export function findMark(db: DatabaseSync, name: Mark): number {
  return Number(db.prepare('SELECT value FROM mark WHERE name = ?').get(name)?.value ?? 0)
}

/** Takes the value. */
export function prepareMark(db: DatabaseSync, name: Mark): StatementSync {
  return db.prepare(`INSERT INTO mark VALUES ('${name}', ?) ON CONFLICT DO UPDATE SET value = excluded.value`)
}
