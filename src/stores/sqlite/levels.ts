// Levels in the SQLite file, and the charges of open rows. It decides nothing.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { BucketLevel, Charge, Level } from '../../core/meter.ts'
import { saturateNanoUsd } from '../../core/money.ts'
import { parseCount, toBigint } from './rows.ts'

const WINDOW_RETENTION_MS = 2 * 86_400_000
const BUCKET_RETENTION_MS = 31 * 86_400_000

/** The table of levels, by meter key. */
export class LevelRows {
  readonly #find: StatementSync
  readonly #save: StatementSync
  readonly #selectKeys: StatementSync
  readonly #prune: StatementSync

  constructor(db: DatabaseSync) {
    this.#selectKeys = db.prepare('SELECT key FROM level WHERE key > ? ORDER BY key LIMIT ?')
    this.#prune = db.prepare(`DELETE FROM level WHERE key > ? AND key <= ?
      AND ((kind = 'window' AND rest = 0 AND at_ms < ?) OR (kind = 'bucket' AND at_ms < ?))`)
    this.#find = db.prepare('SELECT kind, used, rest, at_ms, taken, drained FROM level WHERE key = ?')
    this.#find.setReadBigInts(true)
    this.#save =
      db.prepare(`INSERT INTO level (key, kind, used, rest, at_ms, taken, drained) VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET used = excluded.used, rest = excluded.rest, at_ms = excluded.at_ms, taken = excluded.taken,
        drained = excluded.drained`)
  }

  /** A bucket whose time is in the future, because the clock was set back, continues from now: not frozen, and minting nothing. */
  find(key: string, monoMs: number): Level | undefined {
    const row = this.#find.get(key)
    if (!row) return undefined
    const atMs = parseCount(row.at_ms)
    if (row.kind === 'bucket') {
      return {
        kind: 'bucket',
        used: toBigint(row.used),
        remainder: toBigint(row.rest),
        atMs: Math.min(atMs ?? monoMs, monoMs),
        taken: toBigint(row.taken),
        drained: toBigint(row.drained),
      }
    }
    return {
      kind: 'window',
      settled: toBigint(row.used),
      reserved: toBigint(row.rest),
      endsAtMs: atMs ?? Number.POSITIVE_INFINITY,
    }
  }

  save(key: string, level: Level): void {
    if (level.kind === 'bucket') this.#saveBucket(key, level)
    else {
      const endsAtMs = Number.isFinite(level.endsAtMs) ? level.endsAtMs : null
      this.#save.get(key, 'window', saturateNanoUsd(level.settled), saturateNanoUsd(level.reserved), endsAtMs, 0, 0)
    }
  }

  #saveBucket(key: string, { used, remainder, atMs, taken, drained }: BucketLevel): void {
    this.#save.get(
      key,
      'bucket',
      saturateNanoUsd(used),
      remainder,
      atMs,
      saturateNanoUsd(taken),
      saturateNanoUsd(drained),
    )
  }

  /**
   * Looks at the next `limit` levels after `key`. Deletes windows that ended two days ago and hold nothing, and buckets that were
   * not touched for a month (steady limits refill within the hour). Returns the key to continue after, or `''` at the end.
   */
  prune(key: string, limit: number, nowMs: number): string {
    const last = this.#selectKeys.all(key, limit).at(-1)
    if (!last) return ''
    this.#prune.run(key, String(last.key), nowMs - WINDOW_RETENTION_MS, nowMs - BUCKET_RETENTION_MS)
    return String(last.key)
  }
}

/**
 * The charges as `[[key, amount, inFlight], …]`: what a restart needs to settle the call in full. Buckets are left out, because
 * they do not change if the whole reservation counts as used.
 */
export function serializeCharges(charges: readonly Charge[]): string {
  let list = ''
  for (const { meter, amount } of charges) {
    if (meter.refill === 'steady') continue
    list += `${list === '' ? '[' : ','}[${JSON.stringify(meter.key)},"${amount}",${meter.refill === 'none' ? 1 : 0}]`
  }
  return list === '' ? '[]' : `${list}]`
}

export function parseCharges(list: string): Charge[] {
  const rows: [string, string, number][] = JSON.parse(list)
  return rows.map(([key, amount, inFlight]) => ({
    meter: {
      key,
      name: '',
      who: 'global',
      subject: '',
      what: inFlight ? 'inFlight' : 'cost',
      span: 'total',
      refill: inFlight ? 'none' : 'window',
      spanMs: 0,
      endsAtMs: Number.POSITIVE_INFINITY,
    },
    capacity: 0n,
    amount: BigInt(amount),
    enforced: true,
  }))
}
