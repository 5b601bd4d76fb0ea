// Queries of the SQLite ledger that may read many rows: they run in a worker, off the path of calls. They change nothing.

import type { DatabaseSync } from 'node:sqlite'
import type { Entry } from '../../core/ledger-entry.ts'
import { saturateNanoUsd } from '../../core/money.ts'
import type { Tally } from '../../core/report.ts'
import type { EntryQuery, SumQuery } from '../store.ts'
import {
  QUARTER_MS,
  type RecordPage,
  type RecordQuery,
  type RefusalCount,
  type RefusalQuery,
  type SumCheck,
  type UsageQuery,
  type UsageReport,
} from '../usage-query.ts'
import { type CallPage, type CallPageQuery, readCallPage } from './call-pages.ts'
import { storedCallId } from './compact-values.ts'
import { IDS_PER_MS } from './id-source.ts'
import { findMark } from './marks.ts'
import { readReport } from './rollups.ts'
import { entryOf, prepareEntries, toBigint } from './rows.ts'
import { FIGURE_SQL, SUBJECT_SQL } from './subject-sql.ts'
import type { KeptSums } from './sums/kept-sums.ts'

export type LedgerQuery =
  | { readonly kind: 'entries'; readonly query: EntryQuery }
  | { readonly kind: 'entry'; readonly callId: string }
  | { readonly kind: 'sums'; readonly query: SumQuery }
  | { readonly kind: 'calls'; readonly query: CallPageQuery }
  | { readonly kind: 'keyReport'; readonly key: string; readonly simulated: boolean }
  | { readonly kind: 'usage'; readonly query: UsageQuery }
  | { readonly kind: 'records'; readonly query: RecordQuery }
  | { readonly kind: 'refusalCounts'; readonly query: RefusalQuery }
  | { readonly kind: 'selfCheckStep'; readonly id: number }
  | { readonly kind: 'secureSums' }

/** The report of one key, as far as its sums are saved. */
export interface KeyReport {
  readonly days: ReadonlyMap<string, Tally>
  readonly minutes: ReadonlyMap<number, Tally>
  /** Entries up to this `settledSeq` are in the sums, and no others. */
  readonly countedSeq: number
}

/** Queries by their kind. They are plain data, which can be sent to another thread. */
export interface LedgerQueryResults {
  entries: readonly Entry[]
  entry: Entry | undefined
  sums: ReadonlyMap<string, bigint>
  calls: CallPage
  keyReport: KeyReport
  usage: UsageReport
  records: RecordPage
  refusalCounts: readonly RefusalCount[]
  /** Undefined as long as further steps are needed. */
  selfCheckStep: readonly SumCheck[] | undefined
  /** The last `settledSeq` in the sums, which survives any crash. */
  secureSums: number
}

/** What queries read. */
export interface QuerySources {
  readonly db: DatabaseSync
  /** Made, or opened, when first asked for. */
  readonly sums: () => KeptSums
}

export function runLedgerQuery(
  { db, sums }: QuerySources,
  query: LedgerQuery,
): LedgerQueryResults[LedgerQuery['kind']] {
  switch (query.kind) {
    case 'entries':
      return readEntries(db, query.query)
    case 'entry':
      return readEntry(db, query.callId)
    case 'sums':
      return readSums(db, query.query)
    case 'calls':
      return readCallPage(db, query.query)
    case 'keyReport':
      return readKeyReport(db, query.key, query.simulated)
    case 'usage':
      return sums().usage(query.query)
    case 'records':
      return sums().records(query.query)
    case 'refusalCounts':
      return readRefusalCounts(db, query.query)
    case 'selfCheckStep':
      return sums().selfCheckStep(query.id)
    case 'secureSums':
      return sums().secure()
  }
}

function readEntries(db: DatabaseSync, { simulated, key, beforeSeq, afterSeq, limit }: EntryQuery): Entry[] {
  const where = ['settled_seq IS NOT NULL', 'settled_seq < ?', 'settled_seq > ?']
  const values: (string | number)[] = [beforeSeq ?? Number.MAX_SAFE_INTEGER, afterSeq ?? 0]
  if (simulated !== undefined) {
    where.push('simulated = ?')
    values.push(simulated ? 1 : 0)
  }
  if (key !== undefined) {
    where.push('key = ?')
    values.push(key)
  }
  const order = afterSeq === undefined ? 'DESC' : 'ASC'
  const rows = prepareEntries(db, `WHERE ${where.join(' AND ')} ORDER BY settled_seq ${order} LIMIT ?`)
  return rows.all(...values, limit).map(entryOf)
}

/** In one transaction, so that the sums and the mark of what they have counted are of the same commit. */
export function readKeyReport(db: DatabaseSync, key: string, simulated: boolean): KeyReport {
  db.exec('BEGIN')
  try {
    const { days, minutes } = readReport(db, key, simulated)
    return { days, minutes, countedSeq: findMark(db, 'rolled_up_seq') }
  } finally {
    db.exec('COMMIT')
  }
}

function readRefusalCounts(db: DatabaseSync, { simulated, period, key }: RefusalQuery): RefusalCount[] {
  const ofKey = key === undefined ? '' : 'AND key = ?'
  const rows = db.prepare(`SELECT name, key, shadow, sum(count) AS count FROM refused
    WHERE simulated = ? AND quarter >= ? AND quarter < ? ${ofKey} GROUP BY name, key, shadow`)
  const [from, until] = [Math.floor(period.fromMs / QUARTER_MS), Math.ceil(period.untilMs / QUARTER_MS)]
  return rows.all(simulated ? 1 : 0, from, until, ...(key === undefined ? [] : [key])).map((row) => ({
    limit: String(row.name),
    key: row.key === '' ? null : String(row.key),
    isShadow: row.shadow === 1,
    count: Number(row.count),
  }))
}

/** How many rows to search for a call: it may have been reserved a while after its id was made. */
const MAX_SCANNED_ROWS = 1_000_000
const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7/i

function readEntry(db: DatabaseSync, callId: string): Entry | undefined {
  const [, high, low] = UUID_V7.exec(callId) ?? []
  const fromId = high && low ? Number.parseInt(high + low, 16) * IDS_PER_MS : 0
  const found = db.prepare(`SELECT id FROM entry WHERE appended = 1 AND call_id IN ($callId, $stored)
    UNION ALL SELECT id FROM (SELECT id, call_id FROM entry WHERE id >= $fromId ORDER BY id LIMIT ${MAX_SCANNED_ROWS})
      WHERE call_id IN ($callId, $stored) LIMIT 1`)
  const id = found.get({ $callId: callId, $stored: storedCallId(callId), $fromId: fromId })?.id
  const row = id === undefined ? undefined : prepareEntries(db, 'WHERE id = ?').get(Number(id))
  return row ? entryOf(row) : undefined
}

/** An id is ahead of the reservation by this much at most: see `IdSource`. */
const MAX_AHEAD_MS = 86_400_000

/** SQLite refuses a sum of more than 64 bits: it is read in two parts. */
const PART = 1_000_000_000n

/** Adds what was kept of rows that retention deleted, and that only a sum of all time includes. */
function addPruned(
  db: DatabaseSync,
  { who, what, simulated, subject }: Pick<SumQuery, 'who' | 'what' | 'simulated' | 'subject'>,
  sums: Map<string, bigint>,
): void {
  const ofSubject = subject === undefined ? '' : 'AND subject = ?'
  const rows = db.prepare(`SELECT subject, ${what === 'cost' ? 'cost_nano_usd' : what} AS sum FROM pruned
    WHERE who = ? AND simulated = ? ${ofSubject}`)
  rows.setReadBigInts(true)
  for (const row of rows.iterate(who, simulated ? 1 : 0, ...(subject === undefined ? [] : [subject]))) {
    const name = String(row.subject)
    sums.set(name, saturateNanoUsd((sums.get(name) ?? 0n) + toBigint(row.sum)))
  }
}

function readSums(
  db: DatabaseSync,
  { who, what, simulated, sinceMs, untilMs = Number.MAX_SAFE_INTEGER, subject }: SumQuery,
): Map<string, bigint> {
  const figure = FIGURE_SQL[what]
  const ofSubject = subject === undefined ? '' : `AND ${SUBJECT_SQL[who]} = ?`
  const rows = db.prepare(`SELECT ${SUBJECT_SQL[who]} AS subject, sum((${figure}) / ${PART}) AS parts,
      sum((${figure}) % ${PART}) AS rest
    FROM entry WHERE id >= ? AND id < ? AND reserved_at_ms >= ? AND reserved_at_ms < ? AND simulated = ? ${ofSubject} GROUP BY 1`)
  rows.setReadBigInts(true)
  const since = Math.max(0, sinceMs)
  const sums = new Map<string, bigint>()
  const from = Math.floor(since) * IDS_PER_MS
  const endId = Math.min(Math.floor(untilMs + MAX_AHEAD_MS) * IDS_PER_MS, Number.MAX_SAFE_INTEGER)
  const values = [from, endId, since, untilMs, simulated ? 1 : 0, ...(subject === undefined ? [] : [subject])]
  for (const row of rows.iterate(...values)) {
    const { parts, rest } = row
    if (typeof parts === 'bigint' && typeof rest === 'bigint')
      sums.set(String(row.subject), saturateNanoUsd(parts * PART + rest))
  }
  if (since === 0) addPruned(db, { who, what, simulated, ...(subject === undefined ? {} : { subject }) }, sums)
  return sums
}
