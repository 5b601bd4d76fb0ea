// Fills a ledger with the calls of traffic.ts: through the store, so that rows, indexes and sums are those that a gateway leaves; or
// row by row, as a version left them that knew no sums.

import { DatabaseSync } from 'node:sqlite'
import type { Timers } from '../src/core/clock.ts'
import { LimitPlan } from '../src/core/limits.ts'
import type { Charge } from '../src/core/meter.ts'
import { EntryWriter } from '../src/stores/sqlite/entry-writer.ts'
import { APPLICATION_ID, MIGRATIONS } from '../src/stores/sqlite/migrations.ts'
import { SqliteStore } from '../src/stores/sqlite/store.ts'
import { keyName, type TrafficCall, traffic } from './traffic.ts'

/** The last format of the file without items and sums by quarter hour. */
const OLDER_FORMAT = 11
const ITEMS_FORMAT = 12
/** Calls that are in flight together: at 1.3 calls a second of 2 s each, few are. Rows that settle late split their pages. */
const BATCH_CALLS = 8
const CALLS_PER_CORRECTION = 2_000
const CALLS_PER_REFUSAL = 200
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

/** Commits of settlements do not wait for further calls. A busy file is still polled, and sums are still saved at intervals. */
const SETTLE_AT_ONCE: Timers = {
  setTimeout: (callback, delayMs) =>
    delayMs > 2 && delayMs < 50 ? setImmediate(callback) : setTimeout(callback, delayMs),
  clearTimeout: (timer) => {
    if (isImmediate(timer)) clearImmediate(timer)
    else clearTimeout(timer as NodeJS.Timeout | undefined)
  },
}

const isImmediate = (timer: unknown): timer is NodeJS.Immediate =>
  typeof timer === 'object' && timer !== null && '_onImmediate' in timer

const at = (ms: number) => ({ wallMs: ms, monoMs: ms })

/** Every call is reserved and settled at its own time. Some are corrected later; between them, calls are refused. */
export async function fillVaried(path: string, count: number): Promise<void> {
  const progress = progressOf(count)
  let store: SqliteStore | undefined
  let done = 0
  let lastMs = Date.now()
  for (const batch of batches(count)) {
    store ??= new SqliteStore(path, { now: at(batch[0]?.facts.reservedAtMs ?? lastMs), timers: SETTLE_AT_ONCE })
    const ledger = store
    const instants = batch.map(({ facts }) => at(facts.reservedAtMs))
    await Promise.all(
      batch.map((call, index) => {
        const now = instants[index] ?? at(lastMs)
        const reservation = { facts: call.facts, charges: chargesOf(call), expiresAtMs: Number.MAX_SAFE_INTEGER }
        return ledger.reserve([reservation], now)
      }),
    )
    lastMs = batch.at(-1)?.facts.reservedAtMs ?? lastMs
    const settlements = batch.map(({ facts, outcome }) => ({
      callId: facts.callId,
      outcome,
      used: { requests: 1n, tokens: 0n, cost: outcome.cost.totalNanoUsd, inFlight: 0n },
    }))
    const results = (
      await Promise.all(settlements.map((one, index) => ledger.settle([one], instants[index] ?? at(lastMs))))
    ).flat()
    if (results.some((result) => result !== 'settled')) throw new Error('a call could not be settled')
    for (const [index, call] of batch.entries()) await addOthers(ledger, call, done + index)
    progress((done += batch.length))
  }
  await store?.close(at(lastMs))
}

/** Corrections and refusals among the calls. */
async function addOthers(store: SqliteStore, { facts, outcome }: TrafficCall, index: number): Promise<void> {
  const now = at(facts.reservedAtMs)
  if (index % CALLS_PER_REFUSAL === 0) {
    const turn = index / CALLS_PER_REFUSAL
    const reason = REFUSING_LIMITS[turn % REFUSING_LIMITS.length] ?? ''
    const refused = { key: keyName(turn), atMs: now.wallMs, simulated: false, isShadow: turn % 3 === 0 }
    await store.append([{ kind: 'refusals', reason, count: 1 + (turn % 5), refused }], now)
  }
  if (index % CALLS_PER_CORRECTION !== CALLS_PER_CORRECTION - 1) return
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

/** Entries of an older file, with the sums that it has: by day and by minute of the recent hours. */
export async function fillOlder(path: string, count: number): Promise<void> {
  const progress = progressOf(count)
  const db = new DatabaseSync(path)
  for (const migration of MIGRATIONS.slice(0, ITEMS_FORMAT)) db.exec(migration)
  // The writer is made for the newest format. The calls here have no items, so that the column can go again.
  const writer = new EntryWriter(db)
  db.exec(`ALTER TABLE entry DROP COLUMN items; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${OLDER_FORMAT};
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000`)
  let seq = 0
  let id = 0
  for (const batch of batches(count)) {
    db.exec('BEGIN')
    const ids = batch.map((call) => {
      id = Math.max(id + 1, call.facts.reservedAtMs * 1_024)
      const held = chargesOf(call).map(({ meter, amount }) => [meter.key, `${amount}`, 0])
      writer.insert(id, { ...call.facts, items: null }, JSON.stringify(held), false)
      return id
    })
    for (const [index, { facts, outcome }] of batch.entries()) writer.settle(ids[index] ?? 0, ++seq, facts, outcome)
    db.exec('COMMIT')
    progress(seq)
  }
  addOlderSums(db)
  db.exec('PRAGMA journal_mode = WAL')
  db.close()
}

const RECENT_MS = 7_200_000

export function addOlderSums(db: DatabaseSync, nowMs = Date.now()): void {
  for (const [span, id] of [
    ['day', 'day'],
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
