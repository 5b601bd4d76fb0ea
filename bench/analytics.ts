// What reports cost with a long ledger: the start, each report while calls go through, the calls beside an empty ledger's, long
// work, and the file. The ledger's calls are those of traffic.ts.
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { callCosts } from './call-costs.ts'
import type { Result } from './load.ts'
import { costOf, folder, type Loader, median, type Subject, sleep, startLoader } from './measure.ts'
import {
  ADMIN_KEY,
  ask,
  BACKTEST,
  CALLS_PER_SECOND,
  CSV_PATH,
  LOAD,
  REPORTS,
  type Report,
  SELF_CHECK_PATH,
} from './reports.ts'
import { spreadOf } from './spread.ts'
import { resetPeak } from './threads.ts'
import { verdict } from './verdict.ts'

/** Starts ours with additional settings, of which DATABASE_URL names the ledger. */
export type StartOurs = (name: string, database: string, env: Record<string, string>) => Promise<Subject>

export interface AnalyticsOptions {
  readonly rows: number
  /** Where filled ledgers are kept. */
  readonly ledgers: string | undefined
  readonly pairs: number
  readonly seconds: number
}

const STARTS = 5
const REPORT_TURNS = 48
const WARM_TURNS = 2
const SLICE_SECONDS = 2

const MAX_START_MS = 1_000
const MAX_REPORT_MS = 300
const MAX_LONG_WORK_SECONDS = 120
const MAX_BYTES_PER_ENTRY = 400
const MAX_LONG_WORK_BYTES = 400 * 1024 * 1024

const line = (name: string, text: string) => console.log(`${name.padEnd(30)} ${text}`)
const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(0)} MB`

export async function analytics(startOurs: StartOurs, options: AnalyticsOptions): Promise<void> {
  const { rows, pairs, seconds } = options
  const loader = startLoader()
  const start = (name: string, file: string) =>
    startOurs(name, '', { ADMIN_KEY, DATABASE_URL: `sqlite:${file}`, LOG_LEVEL: 'warn' })
  await (await start('first', join(folder, 'first.db'))).stop()

  const older = join(folder, 'older.db')
  copyFileSync(filled('older', options), older)
  console.log(`the older ledger of ${rows} entries`)
  await olderLedger(loader, () => start('older', older))
  rmSync(older)

  const file = filled('varied', options)
  console.log(`the ledger of ${rows} entries`)
  await startTimes(() => start('full', file))
  const full = await start('full', file)
  await reports(loader, full, rows)
  await longWork(full, rows)
  await full.stop()
  printSize(file)
  const startOf = { full: () => start('full', file), empty: (name: string) => start('empty', join(folder, name)) }
  await callCosts(loader, startOf, { pairs, seconds })
}

/** A ledger that is filled, now or by an earlier run. It gets its name once it is whole. */
export function filled(kind: 'older' | 'varied', { rows, ledgers = folder }: AnalyticsOptions): string {
  const directory = resolve(ledgers)
  const file = join(directory, `${kind}-${rows}.db`)
  if (existsSync(file)) return file
  mkdirSync(directory, { recursive: true })
  const draft = join(directory, 'draft.db')
  for (const name of filesOf(draft)) rmSync(name)
  const from = performance.now()
  const fill = join(import.meta.dirname, 'fill.ts')
  execFileSync(process.execPath, [fill, draft, String(rows), kind], { stdio: 'inherit' })
  for (const name of filesOf(draft)) renameSync(name, file + name.slice(draft.length))
  line(`filled (${kind})`, `${((performance.now() - from) / 1000).toFixed(0)} s`)
  return file
}

/** The ledger's file and those beside it. */
function filesOf(file: string): string[] {
  const directory = dirname(file)
  return readdirSync(directory)
    .filter((name) => name.startsWith(basename(file)))
    .map((name) => join(directory, name))
}

/** Loads a gateway until the work is done. Resolves with the work's value and with what the clients saw. */
async function underLoad<T>(loader: Loader, { port }: Subject, work: () => Promise<T>): Promise<[T, Result[]]> {
  let working = true
  const done = work().finally(() => {
    working = false
  })
  done.catch(() => {})
  const results: Result[] = []
  do results.push(await loader.run({ ...LOAD, seconds: SLICE_SECONDS, port }))
  while (working)
  return [await done, results]
}

function printLoad(name: string, results: readonly Result[]): void {
  const total = (field: 'calls' | 'errors' | 'seconds') => results.reduce((sum, result) => sum + result[field], 0)
  const rate = total('calls') / total('seconds')
  const p99 = median(results.map(({ p99Ms }) => p99Ms))
  const most = Math.max(...results.map(({ maxMs }) => maxMs))
  const errors = total('errors')
  const kept = errors === 0 && rate >= CALLS_PER_SECOND * 0.95
  line(
    name,
    `${rate.toFixed(0)} calls/s, ${errors} failed, p99 ${p99.toFixed(1)} ms, at most ${most.toFixed(0)} ms  ` +
      `target ${CALLS_PER_SECOND}/s, none failed  ${verdict(kept)}`,
  )
  const first = results.find(({ firstError }) => firstError !== undefined)?.firstError
  if (first !== undefined) line('', first.slice(0, 300))
}

/** From the spawn to the first 200 of /healthz. */
async function timeStart(start: () => Promise<Subject>): Promise<{ ms: number; subject: Subject }> {
  const from = performance.now()
  const subject = await start()
  return { ms: performance.now() - from, subject }
}

async function startTimes(start: () => Promise<Subject>): Promise<void> {
  const times: number[] = []
  for (let index = 0; index < STARTS; index++) {
    const { ms, subject } = await timeStart(start)
    times.push(ms)
    await subject.stop()
  }
  const { median: usual, max } = spreadOf(times)
  const met = verdict(usual <= MAX_START_MS)
  line('start', `${usual.toFixed(0)} ms (at most ${max.toFixed(0)})  target ≤ ${MAX_START_MS} ms  ${met}`)
}

/** The first start on a ledger without sums, and the time until there are reports, while calls go through. */
async function olderLedger(loader: Loader, start: () => Promise<Subject>): Promise<void> {
  const { ms, subject } = await timeStart(start)
  line('first start', `${ms.toFixed(0)} ms  target ≤ ${MAX_START_MS} ms  ${verdict(ms <= MAX_START_MS)}`)
  const from = performance.now()
  const [found, results] = await underLoad(loader, subject, () => untilSums(subject))
  const built = `${((performance.now() - from) / 1000).toFixed(1)} s after the start`
  line('sums built', found === 'built' ? built : found)
  printLoad('calls meanwhile', results)
  await subject.stop()
}

const POLL_MS = 100

export async function untilSums(subject: Subject): Promise<string> {
  for (;;) {
    const { status, text } = await ask(subject, '/token-usage/by-model?days=90')
    if (status === 200) return 'built'
    if (status !== 503) return status === 404 ? 'not there' : `${status} ${text.slice(0, 200)}`
    await sleep(POLL_MS)
  }
}

/** Each report in turn, so that a slow moment of the machine falls on all of them. */
async function reports(loader: Loader, subject: Subject, calls: number): Promise<void> {
  const times = new Map<Report, number[]>(REPORTS.map((report) => [report, []]))
  const missing = new Map<Report, string>()
  const [, results] = await underLoad(loader, subject, async () => {
    for (let turn = -WARM_TURNS; turn < REPORT_TURNS; turn++)
      for (const [report, found] of times) {
        if (missing.has(report)) continue
        const { status, ms, text } = await ask(subject, report.path(turn + WARM_TURNS, calls))
        if (status !== 200) missing.set(report, status === 404 ? 'not there' : `${status} ${text.slice(0, 200)}`)
        else if (turn >= 0) found.push(ms)
      }
  })
  for (const [report, found] of times) printReport(report, found, missing.get(report))
  printLoad('calls meanwhile', results)
}

function printReport({ name }: Report, found: readonly number[], missing: string | undefined): void {
  if (missing !== undefined) return line(name, missing)
  const sorted = found.toSorted((left, right) => left - right)
  const share = (part: number) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN
  const p95 = share(0.95)
  line(
    name,
    `p50 ${share(0.5).toFixed(0).padStart(5)} ms  p95 ${p95.toFixed(0).padStart(5)} ms  max ${share(1).toFixed(0).padStart(5)} ms  ` +
      `target p95 ≤ ${MAX_REPORT_MS} ms  ${verdict(p95 <= MAX_REPORT_MS)}`,
  )
}

/** What reads every entry: each alone, without calls. */
async function longWork(subject: Subject, rows: number): Promise<void> {
  const work: readonly (readonly [string, string, object?])[] = [
    ['CSV of everything', CSV_PATH],
    ['self-check', SELF_CHECK_PATH],
    ['backtest', BACKTEST.path, BACKTEST.body],
  ]
  for (const [name, path, body] of work) {
    resetPeak(subject.pid)
    const before = costOf(subject.pid).rssBytes
    const from = performance.now()
    const read = await readAll(subject, path, body).catch((error: unknown) => String(error))
    const seconds = (performance.now() - from) / 1000
    if (typeof read === 'string') {
      line(name, read)
      continue
    }
    const { peakBytes } = costOf(subject.pid)
    const met = seconds <= MAX_LONG_WORK_SECONDS && peakBytes <= MAX_LONG_WORK_BYTES
    line(
      name,
      `${seconds.toFixed(1)} s, ${(rows / seconds).toFixed(0)} entries/s, ${megabytes(read.bytes)} answered, ` +
        `memory ${megabytes(before)}, then at most ${megabytes(peakBytes)}  ` +
        `target ≤ ${MAX_LONG_WORK_SECONDS} s, ≤ ${megabytes(MAX_LONG_WORK_BYTES)}  ${verdict(met)}`,
    )
    if (read.text !== '') line('', read.text)
  }
}

const MAX_SHOWN_CHARACTERS = 200

/** Reads an answer to its end and keeps its beginning only if it is short. A text in place of an answer says what is wrong. */
async function readAll(
  { port }: Subject,
  path: string,
  body?: object,
): Promise<{ bytes: number; text: string } | string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  if (response.status === 404) return 'not there'
  if (!response.ok) return `${response.status} ${(await response.text()).slice(0, MAX_SHOWN_CHARACTERS)}`
  let bytes = 0
  let text = ''
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (text.length < MAX_SHOWN_CHARACTERS) text += Buffer.from(chunk).toString('latin1', 0, MAX_SHOWN_CHARACTERS)
  }
  return { bytes, text: path === SELF_CHECK_PATH ? text.slice(0, MAX_SHOWN_CHARACTERS) : '' }
}

/** All files of the ledger together; the gateway is stopped. */
function printSize(file: string): void {
  const bytes = filesOf(file).reduce((sum, name) => sum + statSync(name).size, 0)
  const db = new DatabaseSync(file, { readOnly: true })
  const count = Number(db.prepare('SELECT count(*) AS count FROM entry').get()?.count)
  const perEntry = bytes / count
  const met = verdict(perEntry <= MAX_BYTES_PER_ENTRY)
  line('file', `${megabytes(bytes)}, ${perEntry.toFixed(0)} bytes an entry  target ≤ ${MAX_BYTES_PER_ENTRY}  ${met}`)
  const tables = db.prepare('SELECT name, sum(pgsize) AS bytes FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 8').all()
  line('', tables.map((table) => `${table.name} ${(Number(table.bytes) / count).toFixed(1)}`).join(', '))
  db.close()
}
