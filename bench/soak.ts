// The soak: every way a call can go, at once and for long. When the load is over, memory must have been flat, nothing may be
// reserved any more, and every call the provider has read must be in the ledger, settled.

import { isFault, PART_HEADER } from './faults.ts'
import type { Load, Result } from './load.ts'
import { costOf, median, type Subject, sleep, startLoader } from './measure.ts'
import { errorsIn, type GatewayTotals, type RowCounts, receivedBy, rowsBy, waitUntilIdle } from './reconcile.ts'

/** How long a call may take that neither the provider nor its client ends. */
const TIMEOUT_MS = 10_000
const IDLE_WITHIN_MS = 2 * TIMEOUT_MS
const ADMIN_KEY = 'bsr_bench_admin_0123456789'

/** What the soak sets besides: a key that sees everything, and a limit on calls in flight that is never reached. */
export const SOAK_ENV = { ADMIN_KEY, MAX_IN_FLIGHT: '100000', UPSTREAM_TIMEOUT_MS: String(TIMEOUT_MS) }

/** One way a call can go, carried out by a process of its own. Only where the name is a fault's may calls fail. */
type SoakPart = { name: string } & Omit<Load, 'port' | 'seconds' | 'ratePerSecond' | 'headers'>

/**
 * Calls that hang are read on until their time is over though their client has left: now and then there are more of them than
 * MAX_DRAINS, so that some find no room and are aborted.
 */
const PARTS: readonly SoakPart[] = [
  { name: '1 kB', kind: '1kb', connections: 8 },
  { name: '100 kB', kind: '100kb', connections: 8 },
  { name: 'stream', kind: 'stream', connections: 8 },
  { name: 'stream with usage', kind: 'stream-usage', connections: 8 },
  { name: 'left stream', kind: 'stream', connections: 8, leaveWithinReads: 60 },
  { name: 'left stream with usage', kind: 'stream-usage', connections: 8, leaveWithinReads: 60 },
  { name: 'error 500', kind: '1kb', connections: 2, pauseMs: 50 },
  { name: 'cut', kind: 'stream', connections: 4 },
  { name: 'stall', kind: 'stream', connections: 8, leaveAfterMs: 1_500 },
  { name: 'reset', kind: '1kb', connections: 2, pauseMs: 50 },
  { name: 'hang', kind: '1kb', connections: 10, leaveAfterMs: 1_500 },
  { name: 'garbage', kind: '1kb', connections: 2, pauseMs: 50 },
  { name: 'garbage stream', kind: 'stream', connections: 2, pauseMs: 50 },
]

const NO_ROW_COUNTS: RowCounts = { all: 0, open: 0, completed: 0, failed: 0, canceled: 0, expired: 0 }

/** A part when it is over: what its clients saw, how many of its calls the provider has read, and its rows. */
type PartResult = { part: SoakPart; result: Result; received: number; rows: RowCounts }

const MAX_SHOWN_CHARACTERS = 1_000

/** Says what is wrong, and makes the run fail. */
function failSoak(what: string): void {
  console.log(`WRONG: ${what}`)
  process.exitCode = 1
}

/**
 * Runs the soak, stops the gateway and prints what was found; the exit code is 1 where something is wrong.
 * Answers with the most memory the gateway took, in bytes.
 */
export async function soak(ours: Subject, upstream: Subject, database: string, minutes: number): Promise<number> {
  const { results, samples } = await runParts(ours, minutes * 60)
  const standing = await waitUntilIdle(ours, ADMIN_KEY, IDLE_WITHIN_MS)
  const received = await receivedBy(upstream)
  const { peakBytes } = costOf(ours.pid)
  await ours.stop()
  const rows = rowsBy(database)
  const outcomes = PARTS.map((part, at) => {
    const result = results[at]
    if (!result) throw new Error(`${part.name}: no result`)
    return { part, result, received: received[part.name] ?? 0, rows: rows.get(part.name) ?? NO_ROW_COUNTS }
  })
  printCalls(outcomes)
  for (const outcome of outcomes) checkPart(outcome)
  checkReconciliation(standing, received, [...rows.values()])
  const errors = await errorsIn(ours.logFile)
  if (errors.count > 0)
    failSoak(`${errors.count} errors in the log, the first: ${errors.first.slice(0, MAX_SHOWN_CHARACTERS)}`)
  printMemory(samples, peakBytes)
  return peakBytes
}

const SAMPLE_MS = 5_000
/** Faults begin so much later: a provider that fails from the first call on would be taken to be down. */
const HEAD_START_MS = 2_000
const megabytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(1)

/** Every part at once, while the gateway's memory is read. */
async function runParts(ours: Subject, seconds: number): Promise<{ results: Result[]; samples: number[] }> {
  let running = true
  const loads = Promise.all(
    PARTS.map(async ({ name, ...shape }) => {
      const headers = [`${PART_HEADER}: ${name}`, `x-bursar-task: ${name}`]
      const loader = startLoader()
      if (isFault(name)) await sleep(HEAD_START_MS)
      return loader.run({ ...shape, seconds, port: ours.port, headers })
    }),
  ).finally(() => {
    running = false
  })
  const samples: number[] = []
  while (running) {
    const { rssBytes } = costOf(ours.pid)
    const minute = (samples.length * SAMPLE_MS) / 60_000
    if (Number.isInteger(minute)) console.log(`minute ${String(minute).padStart(3)}  ${megabytes(rssBytes)} MB`)
    samples.push(rssBytes)
    await Promise.race([sleep(SAMPLE_MS), loads])
  }
  return { results: await loads, samples }
}

const COLUMNS = ['calls', 'left', 'received', 'rows', 'completed', 'failed', 'canceled', 'expired', 'unsettled']

function printCalls(outcomes: readonly PartResult[]): void {
  const line = (name: string, cells: readonly (string | number)[]) =>
    console.log(name.padEnd(24) + cells.map((cell) => String(cell).padStart(11)).join(''))
  const cells = outcomes.map(({ result, received, rows }) => {
    const { all, completed, failed, canceled, expired, open } = rows
    return [result.calls, result.left, received, all, completed, failed, canceled, expired, open]
  })
  line('', COLUMNS)
  for (const [at, { part }] of outcomes.entries()) line(part.name, cells[at] ?? [])
  line(
    'together',
    COLUMNS.map((_, column) => cells.reduce((sum, row) => sum + (row[column] ?? 0), 0)),
  )
}

/** Every call was answered, or left; it reached the provider once, and whatever the provider has read is in the ledger. */
function checkPart({ part, result, received, rows }: PartResult): void {
  const { unanswered, errors, calls, firstError = '' } = result
  if (unanswered > 0) failSoak(`${part.name}: ${unanswered} calls were never answered`)
  else if (errors > 0 && !isFault(part.name))
    failSoak(`${part.name}: ${errors} of ${calls} calls failed: ${firstError.slice(0, MAX_SHOWN_CHARACTERS)}`)
  if (calls !== received) failSoak(`${part.name}: ${calls} calls were made, the provider has read ${received}`)
  if (rows.all !== received)
    failSoak(`${part.name}: the provider has read ${received} calls, the ledger has ${rows.all}`)
}

function checkReconciliation(
  standing: GatewayTotals,
  received: Readonly<Record<string, number>>,
  rows: readonly RowCounts[],
): void {
  const { openCalls, reserved, requests, lateSettlements } = standing
  const sum = (field: keyof RowCounts) => rows.reduce((total, one) => total + one[field], 0)
  const read = Object.values(received).reduce((total, calls) => total + calls, 0)
  console.log(
    `${'books'.padEnd(30)} ${read} calls read, ${sum('all')} rows, ${sum('open')} unsettled, ${sum('expired')} expired, ` +
      `${lateSettlements} settled late; before the stop ${openCalls} open, ${reserved} reserved, ${requests} counted`,
  )
  if (sum('all') !== read) failSoak(`the provider has read ${read} calls, the ledger has ${sum('all')}`)
  if (sum('open') > 0) failSoak(`${sum('open')} calls are unsettled in the ledger`)
  if (sum('expired') + lateSettlements !== 0) failSoak('calls were settled by the sweep')
  if (openCalls !== 0 || reserved !== 0) failSoak('something is still reserved')
  if (requests !== sum('all')) failSoak(`/llm/stats counts ${requests} calls, the ledger has ${sum('all')}`)
}

const MAX_GROWTH_RATIO = 0.05

/** Memory is flat when its last fifth is no higher than its middle one. */
function printMemory(samples: readonly number[], peakBytes: number): void {
  const fifths = [0, 1, 2, 3, 4].map((at) =>
    median(samples.slice(Math.floor((samples.length * at) / 5), Math.ceil((samples.length * (at + 1)) / 5))),
  )
  const [, , middle = Number.NaN, , last = Number.NaN] = fifths
  const growth = last / middle - 1
  console.log(
    `${'memory by fifths'.padEnd(30)} ${fifths.map(megabytes).join('  ')} MB, at most ${megabytes(peakBytes)} MB` +
      `  ${growth <= MAX_GROWTH_RATIO ? 'flat' : 'NOT FLAT'}`,
  )
  if (!(growth <= MAX_GROWTH_RATIO))
    failSoak(`memory grew by ${(growth * 100).toFixed(0)} % from the middle to the last fifth`)
}
