// Time to the first byte of content of a stream: from the request, through each gateway and without one, in alternating slices of one
// run. Chunks leave the pretend provider in ticks of 2 ms, so the times are those of a fast model.
import { PASS_THROUGH, PREAMBLE_MODEL, type Way } from './bodies.ts'
import { type Loader, type Measured, measure, median, type Subject } from './measure.ts'
import { describe, describeRange, equalRange, spreadOf } from './spread.ts'

/** `maxRatio` is to the upstream without a gateway. Content that comes 50 ms after a preamble is not held, whatever becomes of the preamble. */
const ROWS: readonly { name: string; way: Way; maxRatio: number }[] = [
  { name: 'first content', way: PASS_THROUGH, maxRatio: 1.5 },
  { name: 'first content after a preamble', way: { asked: 'anthropic', model: PREAMBLE_MODEL }, maxRatio: 1.1 },
]
/** Few: the machine must not be busy, or the times are those of a queue. */
const STREAMS_PER_SECOND = 40
const CONNECTIONS = 64
const WARM_UP_SECONDS = 5
const SLICE_SECONDS = 2
const MAX_RATIO_TO_COMMIT = 1.03

type FirstContentTest = {
  loader: Loader
  pairs: number
  seconds: number
  upstream: Subject
  ours: Subject
  /** The gateway of another commit, and a second one of this tree, which shows how far two processes of one tree differ. */
  others?: { against: Subject; again: Subject }
}

/** Milliseconds of one round: medians over its slices, since a percentile of all calls would be that of the machine's worst second. */
type Times = { p50Ms: number; p99Ms: number }
type Percentile = keyof Times

/** Prints two lines per row, and sets the exit code to 1 if a ratio is missed. */
export async function firstContent(test: FirstContentTest): Promise<void> {
  const { upstream, ours, others } = test
  const subjects = [upstream, ours, ...(others ? [others.against, others.again] : [])]
  for (const row of ROWS) {
    const rounds = await measureRow(test, subjects, row.way)
    for (const percentile of ['p50Ms', 'p99Ms'] as const) printRow(test, row, rounds, percentile)
  }
}

async function measureRow(
  test: FirstContentTest,
  subjects: readonly Subject[],
  way: Way,
): Promise<Map<Subject, Times>[]> {
  const run = (subject: Subject, seconds: number) =>
    measure(test.loader, subject, {
      kind: 'stream',
      way,
      connections: CONNECTIONS,
      ratePerSecond: STREAMS_PER_SECOND,
      untilContent: true,
      seconds,
    })
  for (const subject of subjects) await run(subject, WARM_UP_SECONDS)
  const rounds: Map<Subject, Times>[] = []
  const order = [...subjects]
  while (rounds.length < test.pairs) {
    const slices = new Map<Subject, Measured[]>(subjects.map((subject) => [subject, []]))
    for (let done = 0; done < test.seconds; done += SLICE_SECONDS) {
      for (const subject of order) slices.get(subject)?.push(await run(subject, SLICE_SECONDS))
      order.reverse()
    }
    rounds.push(new Map([...slices].map(([subject, measured]) => [subject, timesOf(measured)])))
  }
  return rounds
}

function timesOf(slices: readonly Measured[]): Times {
  return { p50Ms: median(slices.map(({ p50Ms }) => p50Ms)), p99Ms: median(slices.map(({ p99Ms }) => p99Ms)) }
}

function printRow(
  { upstream, ours, others }: FirstContentTest,
  { name, maxRatio }: (typeof ROWS)[number],
  rounds: readonly Map<Subject, Times>[],
  percentile: Percentile,
): void {
  const msOf = (subject: Subject) => rounds.map((round) => round.get(subject)?.[percentile] ?? Number.NaN)
  const shown = (subject: Subject) => `${subject.name} ${median(msOf(subject)).toFixed(2)} ms`
  const ratiosOf = (left: Subject, right: Subject) => {
    const divisors = msOf(right)
    return msOf(left).map((ms, index) => ms / (divisors[index] ?? Number.NaN))
  }
  // The 99th percentile of so few streams is the slowest one: on a shared machine, one moment of others decides.
  const hasTarget = percentile === 'p50Ms'
  const toUpstream = spreadOf(ratiosOf(ours, upstream))
  const isQuick = toUpstream.median <= maxRatio
  console.log(
    `${`${name}, ${percentile.slice(0, 3)}`.padEnd(36)} ${shown(upstream)}  ${shown(ours)}  ratio ${describe(toUpstream)}  ` +
      (hasTarget ? `target ≤ ${maxRatio}  ${verdict(isQuick)}` : 'no target'),
  )
  if (!others) return
  const toCommit = spreadOf(ratiosOf(ours, others.against))
  const itself = spreadOf(ratiosOf(others.again, ours))
  const equal = equalRange(itself)
  const isAsBefore = toCommit.median <= Math.max(MAX_RATIO_TO_COMMIT, equal.max)
  console.log(
    `${''.padEnd(36)} ${shown(others.against)}  ${shown(ours)}  ratio ${describe(toCommit)}  itself ${describe(itself)}  ` +
      `equal within ${describeRange(equal)}  ` +
      (hasTarget ? `target ≤ ${MAX_RATIO_TO_COMMIT}  ${verdict(isAsBefore)}` : 'no target'),
  )
}

function verdict(isMet: boolean): string {
  if (!isMet) process.exitCode = 1
  return isMet ? 'met' : 'MISSED'
}
