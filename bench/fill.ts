// Fills a ledger with settled calls, for benchmarks of starting and reading with a long history.
//   node bench/fill.ts <path> <rows>          equal calls, ten a second: the fastest
//   node bench/fill.ts <path> <rows> varied   the calls of traffic.ts, as the gateway leaves them
//   node bench/fill.ts <path> <rows> older    the same calls, without the sums of reports

import { DatabaseSync } from 'node:sqlite'
import { processTimers } from '../src/stores/index.ts'
import { SqliteStore } from '../src/stores/sqlite/store.ts'
import { addSums, fillOlder, fillVaried } from './fill-varied.ts'

const [path, count, kind = 'equal'] = process.argv.slice(2)
const isKnown = ['equal', 'varied', 'older'].includes(kind)
if (!path || !count || !isKnown) throw new Error('usage: node bench/fill.ts <path> <rows> [varied|older]')
const ROW_COUNT = Number(count)
if (kind !== 'equal') {
  await (kind === 'older' ? fillOlder : fillVaried)(path, ROW_COUNT)
  process.exit()
}
const CHUNK_ROWS = 500_000
/** Rows are spread over the days before now, ten a second. */
const now = { wallMs: Date.now(), monoMs: Date.now() }
const firstMs = now.wallMs - ROW_COUNT * 100 - 60_000

await new SqliteStore(path, { now, timers: processTimers }).close(now)
const db = new DatabaseSync(path)
db.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000')
// Indexes are cheaper to make at once, from sorted rows.
const indexes = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql LIKE '%ON entry%'").all()
for (const { name } of indexes) db.exec(`DROP INDEX ${name}`)

const insert = db.prepare(`
  WITH RECURSIVE row(n) AS (SELECT $from UNION ALL SELECT n + 1 FROM row WHERE n < $until)
  INSERT INTO entry (id, call_id, organisation, project, key, user, dialect, provider, requested_model, model,
    reserved_at_ms, day, reserved_tokens, reserved_cost_nano_usd, price_version, cost_known, streaming, simulated,
    settled_seq, ending, certainty, settled_at_ms, latency_ms, input_tokens, output_tokens, input_cost_nano_usd,
    output_cost_nano_usd, cost_nano_usd, attempts, charges)
  SELECT ($first + n * 100) * 1024,
    printf('%08x-%04x-7%03x-8abc-%012x', ($first + n * 100) >> 16, ($first + n * 100) & 65535, n & 4095, n),
    'acme', 'project-' || (n % 10), 'key-' || (n % 500), 'user-' || (n % 5000), 'openai-chat', 'openai', 'gpt-4o', 'gpt-4o',
    $first + n * 100, date(($first + n * 100) / 1000, 'unixepoch'), 1400, 12345678, 'prices@2026-11-30#1a2b3c4d', 1, n % 3 = 0, 0,
    n, 'completed', 'exact', $first + n * 100 + 800, 800, 350, 100 + n % 700, 875000, (100 + n % 700) * 10000,
    875000 + (100 + n % 700) * 10000, 811,
    '[["global:/cost/day:' || date(($first + n * 100) / 1000, 'unixepoch') || '","12345678",0]]'
  FROM row`)
for (let from = 1; from <= ROW_COUNT; from += CHUNK_ROWS) {
  insert.run({ $from: from, $until: Math.min(ROW_COUNT, from + CHUNK_ROWS - 1), $first: firstMs })
}
for (const { sql } of indexes) db.exec(String(sql))

addSums(db, now.wallMs)
db.exec('PRAGMA journal_mode = WAL')
db.close()
