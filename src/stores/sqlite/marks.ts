// Marks in the SQLite file: numbers by name, saved in the transaction of the rows they are about.

import type { DatabaseSync, StatementSync } from 'node:sqlite'

type MarkName = 'rolled_up_seq' | 'open_from' | 'pruned_seq'

/** 0 if the mark was never saved. */
export function findMark(db: DatabaseSync, name: MarkName): number {
  return Number(db.prepare('SELECT value FROM mark WHERE name = ?').get(name)?.value ?? 0)
}

/** A statement with one parameter: the value. */
export function prepareSaveMark(db: DatabaseSync, name: MarkName): StatementSync {
  return db.prepare(`INSERT INTO mark VALUES ('${name}', ?) ON CONFLICT DO UPDATE SET value = excluded.value`)
}
