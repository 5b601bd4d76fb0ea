// Call pages: calls in the order of their reservations, as limits count them, from rows of the SQLite ledger. It changes nothing.

import type { DatabaseSync } from 'node:sqlite'
import type { BookedCost, CallQuery, MeteredCall, TargetCost } from '../store.ts'
import { CALL_ID_SQL, readCallId } from './compact-values.ts'
import { IDS_PER_MS } from './id-source.ts'
import { attemptsOf, CALLER_COLUMNS, callerOf, parseCount, parseText, type Row, toBigint } from './rows.ts'
import { TOKENS_SUM_SQL } from './usage-columns.ts'

/** A page of a query. @see CallQuery */
export interface CallPageQuery extends CallQuery {
  /** Only rows with a larger id. 0 starts at the beginning. */
  readonly afterId: number
}

export interface CallPage {
  readonly calls: readonly MeteredCall[]
  /** The id to go on after; null if this page is the last. */
  readonly lastId: number | null
}

/** Copying a page to another thread takes a millisecond at most. */
const MAX_CALLS_PER_PAGE = 256
/** An id is ahead of the reservation by this much at most: see `IdSource`. */
const MAX_AHEAD_MS = 86_400_000

const COLUMNS = [
  'id',
  'call_id',
  ...CALLER_COLUMNS,
  'provider',
  'model',
  'reserved_at_ms',
  'reserved_tokens',
  'reserved_cost_nano_usd',
  'settled_at_ms',
  'cost_nano_usd',
  `${TOKENS_SUM_SQL} AS tokens`,
  'settled_seq',
  // A number is the duration of the one good attempt.
  "iif(typeof(attempts) = 'text', attempts, NULL) AS attempts",
]

/** Adjustments of a row: few rows have any, and the index holds only those. */
const CORRECTIONS_SQL = `iif(EXISTS (SELECT 1 FROM entry AS known WHERE known.adjusts IS NOT NULL)
    AND EXISTS (SELECT 1 FROM entry AS correction WHERE correction.adjusts = ${CALL_ID_SQL}),
  (SELECT json_group_array(json_array(settled_at_ms, CAST(cost_nano_usd AS TEXT), attempts))
    FROM (SELECT * FROM entry AS correction WHERE correction.adjusts = ${CALL_ID_SQL} ORDER BY settled_seq)),
  NULL) AS corrections`

export function readCallPage(db: DatabaseSync, { simulated, fromMs, untilMs, afterId }: CallPageQuery): CallPage {
  const rows = db.prepare(`SELECT ${COLUMNS.join(', ')}, ${CORRECTIONS_SQL} FROM entry
    WHERE id > ? AND id >= ? AND id < ? AND reserved_at_ms >= ? AND reserved_at_ms < ? AND simulated = ? AND adjusts IS NULL
    ORDER BY id LIMIT ?`)
  rows.setReadBigInts(true)
  const from = Math.max(0, fromMs)
  const [firstId, endId] = [from, Math.min(untilMs + MAX_AHEAD_MS, Number.MAX_SAFE_INTEGER / IDS_PER_MS)].map(
    (ms) => Math.floor(ms) * IDS_PER_MS,
  )
  const found: Row[] = rows.all(afterId, firstId ?? 0, endId ?? 0, from, untilMs, simulated ? 1 : 0, MAX_CALLS_PER_PAGE)
  const isLast = found.length < MAX_CALLS_PER_PAGE
  return { calls: found.map(callOf), lastId: isLast ? null : parseCount(found.at(-1)?.id) }
}

function callOf(row: Row): MeteredCall {
  return {
    callId: readCallId(row.call_id),
    caller: callerOf(row),
    provider: parseText(row.provider) ?? '',
    model: parseText(row.model) ?? '',
    reservedAtMs: parseCount(row.reserved_at_ms) ?? 0,
    reservedTokens: parseCount(row.reserved_tokens) ?? 0,
    reservedCostNanoUsd: toBigint(row.reserved_cost_nano_usd),
    settled:
      row.settled_seq === null
        ? null
        : {
            atMs: parseCount(row.settled_at_ms) ?? 0,
            tokens: parseCount(row.tokens) ?? 0,
            costNanoUsd: toBigint(row.cost_nano_usd),
            targets: targetsOf(parseText(row.attempts)),
          },
    corrections: correctionsOf(parseText(row.corrections)),
  }
}

const NO_TARGETS: readonly TargetCost[] = []
const NO_CORRECTIONS: readonly BookedCost[] = []

function targetsOf(attempts: string | null): readonly TargetCost[] {
  if (attempts === null) return NO_TARGETS
  return attemptsOf(attempts).map(({ provider, model, costNanoUsd }) => ({ provider, model, costNanoUsd }))
}

function correctionsOf(text: string | null): readonly BookedCost[] {
  if (text === null) return NO_CORRECTIONS
  const rows: readonly (readonly [atMs: number, costNanoUsd: string, attempts: string | number | null])[] =
    JSON.parse(text)
  return rows.map(([atMs, costNanoUsd, attempts]) => ({
    atMs,
    costNanoUsd: BigInt(costNanoUsd),
    targets: targetsOf(typeof attempts === 'string' ? attempts : null),
  }))
}
