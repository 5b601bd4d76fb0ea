// What many keys cost: the start, one change and each call of a gateway whose ledger has 100,000 keys with limits of their own, beside a
// gateway without keys, in one run.
import { hash } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { processTimers } from '../src/stores/index.ts'
import { SqliteStore } from '../src/stores/sqlite/store.ts'
import { KEY } from './bodies.ts'
import { type Ratio, ratio } from './cases.ts'
import { folder, median, type Subject, startLoader } from './measure.ts'

export type KeysFound = {
  withoutMs: number
  withMs: number
  changeMs: { median: number; most: number }
  subjectMs: { median: number; most: number }
  calls: Ratio
}

/** Starts ours on a database, with additional settings. */
type StartOurs = (name: string, database: string, env: Record<string, string>) => Promise<Subject>

const STARTS = 5
const CHANGES = 50
const ADMIN_KEY = 'admin_bench_secret_0123'
/** Calls come with the key of the benchmark: from the settings without keys, else from its record. */
const WITHOUT = { ADMIN_KEY }
const WITH = { ADMIN_KEY, BURSAR_KEYS: '' }

/** The database with keys, and a document of limits for the project of each thousandth key. */
async function fill(database: string, count: number): Promise<void> {
  const path = join(folder, database)
  const now = { wallMs: Date.now(), monoMs: Date.now() }
  await new SqliteStore(path, { now, timers: processTimers }).close(now)
  const db = new DatabaseSync(path)
  const insert = db.prepare('INSERT INTO document VALUES (?, ?, ?, ?)')
  let version = 0
  const write = (kind: string, id: string, value: object) => insert.run(kind, id, JSON.stringify(value), ++version)
  db.exec('BEGIN')
  for (let index = 0; index < count; index++) {
    const id = index === 0 ? 'bench' : `key-${index}`
    write('key', id, recordOf(index))
    write('key-secret', hash('sha256', index === 0 ? KEY : `bsr_bench_${index}`), { key: id })
    if (index % 1_000 === 0) write('limit', `project:project-${index}`, { limits: { costPerDay: '1000' }, raises: [] })
  }
  db.exec('COMMIT')
  db.close()
}

function recordOf(index: number): object {
  return {
    name: `Key ${index}`,
    prefix: 'bsr_benc',
    organisation: null,
    project: index === 0 ? null : `project-${index}`,
    user: null,
    models: null,
    providers: null,
    limits: { costPerDay: '100000', requestsPerMinute: 100_000_000 },
    requires: null,
    expires_at: null,
    money_refusal: null,
    hosted_tools: null,
    time_zone: null,
    tags: null,
    metadata: null,
    disabled_at: null,
    created_at: '2026-11-30T00:00:00.000Z',
  }
}

async function startMs(startOurs: StartOurs, database: string, env: Record<string, string>): Promise<number> {
  const from = performance.now()
  const subject = await startOurs('ours', database, env)
  const ms = performance.now() - from
  await subject.stop()
  return ms
}

/** How long a change of a subject's limits takes, over a kept connection. */
async function changeMs({ port }: Subject, subjectOf: (index: number) => string) {
  const times: number[] = []
  for (let index = 0; index < CHANGES; index++) {
    const from = performance.now()
    const response = await fetch(`http://127.0.0.1:${port}/admin/limits/${encodeURIComponent(subjectOf(index))}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ costPerDay: 100_000 + index, requestsPerMinute: 100_000_000 }),
    })
    const text = await response.text()
    times.push(performance.now() - from)
    if (!response.ok) throw new Error(`a limit could not be changed: ${text}`)
  }
  // The first has the code to compile.
  return { median: median(times), most: Math.max(...times.slice(1)) }
}

export async function keys(
  startOurs: StartOurs,
  { count, pairs, seconds }: { count: number; pairs: number; seconds: number },
): Promise<KeysFound> {
  await fill('keys.db', count)
  const withoutMs: number[] = []
  const withMs: number[] = []
  // The first start on each database makes its files, and reads the source anew.
  await startMs(startOurs, 'none.db', WITHOUT)
  await startMs(startOurs, 'keys.db', WITH)
  for (let index = 0; index < STARTS; index++) {
    const both = [
      async () => withoutMs.push(await startMs(startOurs, 'none.db', WITHOUT)),
      async () => withMs.push(await startMs(startOurs, 'keys.db', WITH)),
    ]
    for (const next of index % 2 === 0 ? both : both.reverse()) await next()
  }
  const without = await startOurs('without keys', 'none.db', WITHOUT)
  const withKeys = await startOurs('with keys', 'keys.db', WITH)
  const ofKeys = await changeMs(withKeys, (index) => (index % 2 === 0 ? 'key:bench' : `key:key-${index}`))
  const ofProjects = await changeMs(withKeys, (index) => `project:project-${index * 1_000}`)
  const calls = await ratio({ loader: startLoader(), bare: without, ours: withKeys, pairs, seconds }, '1kb')
  return { withoutMs: median(withoutMs), withMs: median(withMs), changeMs: ofKeys, subjectMs: ofProjects, calls }
}
