// Fills a ledger with the calls of traffic.ts, so that rows, indexes and sums are those that a gateway leaves.

import { rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { LimitPlan } from '../src/core/limits.ts'
import type { Charge } from '../src/core/meter.ts'
import { processTimers } from '../src/stores/index.ts'
import { EntryWriter } from '../src/stores/sqlite/entry-writer.ts'
import { IDS_PER_MS } from '../src/stores/sqlite/id-source.ts'
import { serializeCharges } from '../src/stores/sqlite/levels.ts'
import { SqliteStore } from '../src/stores/sqlite/store.ts'
import { KeptSums } from '../src/stores/sqlite/sums/kept-sums.ts'
import { sumsFileOf } from '../src/stores/sqlite/sums/sums-file.ts'
import { keyName, TRAFFIC_MS, type TrafficCall, traffic } from './traffic.ts'

const BATCH_CALLS = 8
const CALLS_PER_CORRECTION = 2_000
const REFUSALS_PER_CORRECTION = 10
/** Many at once cost less, and leave the same sums. */
const CALLS_PER_COUNT = 65_536
const REFUSING_LIMITS = ['requests_per_minute', 'tokens_per_minute', 'daily_spending_limit', 'key_cost_per_day']
/** No call is later than this before now, so that the newest hour has calls. */
const END_BEFORE_NOW_MS = 60_000
const PROGRESS_MS = 10_000

/** What the gateway of the benchmark charges: only windows are in the rows. */
const plan = new LimitPlan(
  [
    {
      who: 'global',
      subject: undefined,
      what: 'cost',
      span: 'day',
      refill: 'window',
      capacity: 10n ** 17n,
      enforced: true,
    },
  ],
  'UTC',
)

function chargesOf({ facts }: TrafficCall): Charge[] {
  const amounts = { requests: 1n, tokens: BigInt(facts.reservedTokens), cost: facts.reservedCostNanoUsd, inFlight: 1n }
  const subjects = { ...facts, canonical: facts.model, family: facts.model }
  return plan.chargesFor(subjects, amounts, facts.reservedAtMs, '', false)
}

function* batches(count: number): Generator<readonly TrafficCall[]> {
  let batch: TrafficCall[] = []
  for (const call of traffic(count, Date.now() - END_BEFORE_NOW_MS)) {
    batch.push(call)
    if (batch.length < BATCH_CALLS) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** Prints how far it is, every few seconds, to standard error. */
function progressOf(count: number): (done: number) => void {
  let lastMs = performance.now()
  return (done) => {
    if (performance.now() - lastMs < PROGRESS_MS) return
    lastMs = performance.now()
    console.error(`${done} of ${count} entries are written`)
  }
}

const at = (ms: number) => ({ wallMs: ms, monoMs: ms })

/**
 * Calls as a gateway leaves them: each row is inserted and settled by the writer of the store, a few in flight at a time. Some calls are
 * corrected later, and some are refused. Without the sums of reports, as in a file of a version that kept none.
 */
export async function fillOlder(path: string, count: number): Promise<void> {
  const progress = progressOf(count)
  const startMs = Date.now() - TRAFFIC_MS
  await new SqliteStore(path, { now: at(startMs), timers: processTimers }).close(at(startMs))
  const corrected = writeCalls(path, count, progress)
  const store = new SqliteStore(path, { now: at(Date.now()), timers: processTimers })
  for (const [index, call] of corrected.entries()) await addOthers(store, call, index)
  await store.close(at(Date.now()))
  rmSync(sumsFileOf(path), { force: true })
}

/** The same, with all sums. */
export async function fillVaried(path: string, count: number): Promise<void> {
  await fillOlder(path, count)
  const db = new DatabaseSync(path)
  const sums = new KeptSums(db, sumsFileOf(path))
  while (sums.follow(CALLS_PER_COUNT));
  sums.secure()
  sums.close()
  db.close()
}

/** Returns the calls to correct. */
function writeCalls(path: string, count: number, progress: (done: number) => void): TrafficCall[] {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000')
  const writer = new EntryWriter(db)
  const corrected: TrafficCall[] = []
  let seq = 0
  let id = 0
  for (const batch of batches(count)) {
    db.exec('BEGIN')
    const ids = batch.map((call) => {
      id = Math.max(id + 1, call.facts.reservedAtMs * IDS_PER_MS)
      writer.insert(id, call.facts, serializeCharges(chargesOf(call)), false)
      return id
    })
    for (const [index, call] of batch.entries()) {
      writer.settle(ids[index] ?? 0, ++seq, call.facts, call.outcome)
      if (seq % CALLS_PER_CORRECTION === 0) corrected.push(call)
    }
    db.exec('COMMIT')
    progress(seq)
  }
  addSums(db)
  db.exec('PRAGMA journal_mode = WAL')
  db.close()
  return corrected
}

/** Corrections and refusals among the calls. */
async function addOthers(store: SqliteStore, { facts, outcome }: TrafficCall, index: number): Promise<void> {
  const now = at(facts.reservedAtMs)
  for (let turn = index * REFUSALS_PER_CORRECTION; turn < (index + 1) * REFUSALS_PER_CORRECTION; turn++) {
    const reason = REFUSING_LIMITS[turn % REFUSING_LIMITS.length] ?? ''
    const refused = { key: keyName(turn), atMs: now.wallMs, simulated: false, isShadow: turn % 3 === 0 }
    await store.append([{ kind: 'refusals', reason, count: 1 + (turn % 5), refused }], now)
  }
  const { callId } = facts
  const tenth = outcome.cost.totalNanoUsd / 10n
  const cost = { inputNanoUsd: 0n, outputNanoUsd: 0n, totalNanoUsd: tenth }
  const corrected = { ...facts, callId: callId.replace('-8', '-9'), reservedTokens: 0, reservedCostNanoUsd: 0n }
  await store.append(
    [
      {
        kind: 'adjustment',
        facts: { ...corrected, items: null },
        outcome: { ...outcome, ending: 'adjusted', cost, attempts: [], upstreamLimits: null },
        adjustment: { callId, reason: 'invoice' },
        charges: [],
      },
    ],
    now,
  )
}

const RECENT_MS = 7_200_000
const DAY_SQL = "iif(day = '', date(reserved_at_ms / 1000, 'unixepoch'), day)"

/** The sums of `/llm/stats`: by day, and by minute of the recent hours. */
export function addSums(db: DatabaseSync, nowMs = Date.now()): void {
  for (const [span, id] of [
    ['day', DAY_SQL],
    ['minute', 'reserved_at_ms / 60000'],
  ]) {
    for (const key of ["''", 'key']) {
      db.exec(`INSERT INTO rollup SELECT '${span}', ${key}, simulated, ${id}, count(*), sum(cost_nano_usd),
        count(*) FILTER (WHERE certainty = 'exact'), count(*) FILTER (WHERE certainty = 'estimated'),
        count(*) FILTER (WHERE certainty = 'upperBound'), sum(input_tokens), sum(cache_read_tokens),
        sum(cache_write_5m_tokens), sum(output_tokens), sum(billed_requests), NULL FROM entry
        WHERE '${span}' = 'day' OR id > ${(nowMs - RECENT_MS) * 1_024} GROUP BY ${key}, simulated, ${id}`)
    }
  }
  db.exec(`INSERT OR REPLACE INTO mark SELECT 'rolled_up_seq', max(settled_seq) FROM entry`)
  db.exec(`INSERT OR REPLACE INTO mark SELECT 'open_from', max(id) FROM entry`)
}
