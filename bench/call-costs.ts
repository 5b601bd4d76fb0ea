// What calls cost with a long ledger beside what they cost with an empty one, without reports and while reports are asked for.
import { type Loader, type Subject, sleep } from './measure.ts'
import { ask, CALLS_PER_SECOND, LOAD, REPORTS } from './reports.ts'
import { describe, spreadOf } from './spread.ts'
import { type ThreadTimes, threadTimes } from './threads.ts'
import { verdict } from './verdict.ts'

const SIDES = ['full', 'empty'] as const
type Side = (typeof SIDES)[number]
type BySide<T> = Record<Side, T>

interface Starts {
  full(): Promise<Subject>
  /** @param file of a ledger that is not there yet */
  empty(file: string): Promise<Subject>
}

const MAX_RATIO = 1.05
/** The compiler works for so long after a start. */
const WARM_UP_SECONDS = 10
const SLICE_SECONDS = 2
const REPORT_PAUSE_MS = 200
/** Time for work that follows the last answer: commits, sums, checkpoints. */
const SETTLE_MS = 1_500
/** A ledger of few calls. */
const FEW_CALLS = 1_000

/** Of one process: CPU in microseconds for each call. */
interface Costs {
  /** Of all threads, without reports. */
  readonly plainUs: number
  /** Of the main thread, without reports. */
  readonly mainUs: number
  /** Of the main thread while reports are asked for, without what the reports themselves take of it. */
  readonly besideReportsUs: number
  /** Of all threads while reports are asked for. */
  readonly withReportsUs: number
}

/**
 * Processes of the same code differ by a tenth, so each pair starts two new ones. Slices alternate, so that a slow moment of the machine
 * falls on both, and a process is charged with everything that it does until the end of its phase.
 */
export async function callCosts(
  loader: Loader,
  starts: Starts,
  { pairs, seconds }: { pairs: number; seconds: number },
): Promise<void> {
  const rounds: BySide<Costs>[] = []
  for (let index = 0; index < pairs; index++) {
    const order = index % 2 === 0 ? SIDES : SIDES.toReversed()
    const subjects = new Map<Side, Subject>()
    for (const side of order)
      subjects.set(side, await (side === 'full' ? starts.full() : starts.empty(`empty-${index}.db`)))
    for (const subject of subjects.values()) await load(loader, subject, WARM_UP_SECONDS)
    rounds.push(await measureRound(loader, subjects, seconds))
    for (const subject of subjects.values()) await subject.stop()
  }
  printRatio('calls, full ÷ empty', rounds, ({ plainUs }) => plainUs, MAX_RATIO)
  printRatio('  main thread', rounds, ({ mainUs }) => mainUs)
  printRatio('  beside reports, main thread', rounds, ({ besideReportsUs }) => besideReportsUs, MAX_RATIO)
  printRatio('  with reports, all threads', rounds, ({ withReportsUs }) => withReportsUs)
}

async function measureRound(
  loader: Loader,
  subjects: ReadonlyMap<Side, Subject>,
  seconds: number,
): Promise<BySide<Costs>> {
  const plain = await phase(subjects, seconds, (subject) => load(loader, subject, SLICE_SECONDS))
  const alone = await phase(subjects, Math.max(SLICE_SECONDS, seconds / 2), (subject) =>
    askReports(subject, sleep(SLICE_SECONDS * 1_000)),
  )
  const both = await phase(subjects, seconds, async (subject) => {
    const loaded = load(loader, subject, SLICE_SECONDS)
    const asked = await askReports(subject, loaded)
    return { calls: (await loaded).calls, reports: asked.reports }
  })
  const costsOf = (side: Side): Costs => {
    const mainPerReportUs = alone[side].used.mainUs / Math.max(1, alone[side].reports)
    const { used, calls, reports } = both[side]
    return {
      plainUs: plain[side].used.allUs / plain[side].calls,
      mainUs: plain[side].used.mainUs / plain[side].calls,
      besideReportsUs: (used.mainUs - reports * mainPerReportUs) / calls,
      withReportsUs: used.allUs / calls,
    }
  }
  return { full: costsOf('full'), empty: costsOf('empty') }
}

interface Work {
  readonly calls: number
  readonly reports: number
}

/** Slices of work of both sides in turn, and what the process of each used from the first to the end. */
async function phase(
  subjects: ReadonlyMap<Side, Subject>,
  seconds: number,
  slice: (subject: Subject) => Promise<Work>,
): Promise<BySide<Work & { used: ThreadTimes }>> {
  const before = new Map<Side, ThreadTimes>()
  const done: BySide<Work> = { full: { calls: 0, reports: 0 }, empty: { calls: 0, reports: 0 } }
  const sides = [...subjects]
  for (const [side, { pid }] of sides) before.set(side, threadTimes(pid))
  for (let at = 0; at < seconds; at += SLICE_SECONDS) {
    for (const [side, subject] of sides) {
      const { calls, reports } = await slice(subject)
      done[side] = { calls: done[side].calls + calls, reports: done[side].reports + reports }
    }
    sides.reverse()
  }
  await sleep(SETTLE_MS)
  const result = (side: Side) => {
    const now = threadTimes(subjects.get(side)?.pid ?? 0)
    const { allUs = 0, mainUs = 0 } = before.get(side) ?? {}
    return { ...done[side], used: { allUs: now.allUs - allUs, mainUs: now.mainUs - mainUs } }
  }
  return { full: result('full'), empty: result('empty') }
}

async function load(loader: Loader, { port, name }: Subject, seconds: number): Promise<Work> {
  const { calls, errors, firstError } = await loader.run({ ...LOAD, seconds, port })
  if (errors > 0) throw new Error(`${name}: ${errors} of ${calls} calls failed: ${firstError?.slice(0, 300)}`)
  return { calls, reports: 0 }
}

/** Asks for one report after the other until the end, with pauses. */
async function askReports(subject: Subject, end: Promise<unknown>): Promise<Work> {
  let over = false
  void end.then(
    () => (over = true),
    () => (over = true),
  )
  let reports = 0
  while (!over) {
    const report = REPORTS[nextReport++ % REPORTS.length]
    if (report) await ask(subject, report.path(nextReport, FEW_CALLS))
    reports++
    await Promise.race([sleep(REPORT_PAUSE_MS), end])
  }
  return { calls: 0, reports }
}

/** Goes on from slice to slice, so that every report comes on both sides. */
let nextReport = 0

function printRatio(
  name: string,
  rounds: readonly BySide<Costs>[],
  costOf: (costs: Costs) => number,
  atMost?: number,
): void {
  const ratio = spreadOf(rounds.map(({ full, empty }) => costOf(full) / costOf(empty)))
  const [full, empty] = SIDES.map((side) => spreadOf(rounds.map((round) => costOf(round[side]))).median)
  const target = atMost === undefined ? '' : `  target ≤ ${atMost}  ${verdict(ratio.median <= atMost)}`
  console.log(
    `${name.padEnd(30)} full ${full?.toFixed(0)} µs/call  empty ${empty?.toFixed(0)} µs/call  ratio ${describe(ratio)} ` +
      `at ${CALLS_PER_SECOND} calls/s${target}`,
  )
}
