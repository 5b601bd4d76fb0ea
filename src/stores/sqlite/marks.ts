// Marks in the SQLite file: numbers by name, saved in the transaction of what they speak of.

import type { DatabaseSync, StatementSync } from 'node:sqlite'

type MarkName = 'rolled_up_seq' | 'open_from'

/** Zero where none was saved. */
export function findMark(db: DatabaseSync, name: MarkName): number {
  return Number(db.prepare('SELECT value FROM mark WHERE name = ?').get(name)?.value ?? 0)
}

/** Takes the value. */
export function prepareSaveMark(db: DatabaseSync, name: MarkName): StatementSync {
  return db.prepare(`INSERT INTO mark VALUES ('${name}', ?) ON CONFLICT DO UPDATE SET value = excluded.value`)
}
