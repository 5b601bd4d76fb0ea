// Record rows: settled rows of the ledger by time or by number, as whole entries.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Entry } from '../../../core/ledger-entry.ts'
import type { Dimension, Period, RecordQuery, UsageFilter, UsageQuery } from '../../usage-query.ts'
import { IDS_PER_MS } from '../id-source.ts'
import { entryOf, prepareEntries } from '../rows.ts'

/** An id is ahead of the reservation by this much at most: see `IdSource`. */
const MAX_AHEAD_MS = 86_400_000
const MAX_ID = Number.MAX_SAFE_INTEGER

/** The column, or columns, of a dimension. */
const COLUMN_SQL: Readonly<Record<Dimension, string>> = {
  organisation: 'organisation',
  project: 'project',
  key: 'key',
  user: 'user',
  thread: 'thread',
  agent: 'agent',
  task: 'task',
  operation: 'operation',
  provider: 'provider',
  model: "provider || '/' || model",
}

/** An entry and the id of its row. */
export interface EntryRow {
  readonly id: number
  readonly entry: Entry
}

export class RecordRows {
  readonly #ledger: DatabaseSync
  readonly #bySeq: StatementSync

  constructor(ledger: DatabaseSync) {
    this.#ledger = ledger
    this.#bySeq = prepareEntries(ledger, 'WHERE settled_seq = ?')
  }

  /** Undefined if retention deleted the row. */
  bySeq(seq: number): Entry | undefined {
    const row = this.#bySeq.get(seq)
    return row && entryOf(row)
  }

  /** All entries that a query sums. */
  *entries({ period, simulated, where }: UsageQuery): Generator<Entry> {
    const { sql, values } = conditionsOf(period, simulated, where, MAX_ID)
    for (const row of prepareEntries(this.#ledger, `WHERE ${sql}`).iterate(...values)) yield entryOf(row)
  }

  /** The newest entries whose rows are before `beforeId`. */
  newest({ period, simulated, where, limit }: RecordQuery, beforeId = MAX_ID): EntryRow[] {
    const { sql, values } = conditionsOf(period, simulated, where, beforeId)
    const rows = prepareEntries(this.#ledger, `WHERE ${sql} ORDER BY id DESC LIMIT ?`)
    return rows.all(...values, limit).map((row) => ({ id: Number(row.id), entry: entryOf(row) }))
  }
}

function conditionsOf(period: Period, simulated: boolean, where: UsageFilter | undefined, beforeId: number) {
  const fromMs = Math.max(0, period.fromMs)
  const endId = Math.min(beforeId, Math.floor(period.untilMs + MAX_AHEAD_MS) * IDS_PER_MS)
  const conditions = ['id >= ?', 'id < ?', 'reserved_at_ms >= ?', 'reserved_at_ms < ?', 'simulated = ?']
  conditions.push('settled_seq IS NOT NULL')
  const values: (string | number)[] = [
    Math.floor(fromMs) * IDS_PER_MS,
    endId,
    fromMs,
    period.untilMs,
    simulated ? 1 : 0,
  ]
  for (const [dimension, value] of Object.entries(where ?? {})) {
    const column = COLUMN_SQL[dimension as Dimension]
    if (value === null) conditions.push(`coalesce(${column}, '') = ''`)
    else if (value !== undefined) {
      conditions.push(`${column} = ?`)
      values.push(value)
    }
  }
  return { sql: conditions.join(' AND '), values }
}
