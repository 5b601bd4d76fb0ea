// Compares this tree with an older commit: `npm run bench -- --against <commit>`.
// Each round starts three fresh gateways: the commit's, this tree's, and this tree's again. The third shows how far two processes
// of one tree differ. Fresh processes matter: compilation and heap layout differ from process to process, and these differences
// last as long as the process.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Kind, Way } from './bodies.ts'
import { CONNECTIONS, SLICE_SECONDS } from './cases.ts'
import { checkOut } from './checkout.ts'
import { firstContent } from './first-content.ts'
import { bursarEnv, ROOT, startGateway } from './gateway.ts'
import type { Load } from './load.ts'
import {
  costOf,
  folder,
  type Loader,
  type Measured,
  measure,
  median,
  type Subject,
  startLoader,
  sum,
} from './measure.ts'
import { describe, describeRange, equalRange, spreadOf } from './spread.ts'
import { CASES as TRANSLATED_SHAPES, WAYS } from './translated.ts'

type Name = 'against' | 'ours' | 'again'
type Trio<Value> = Record<Name, Value>

type Unit = 'calls' | 'chunks'
type CpuCase = { name: string; only: string; unit: Unit; kind: Kind; connections: number; way?: Way }

/**
 * `start` starts a gateway with an empty ledger. The two orders tell which gateway goes first, second and third: one for the
 * starts of a round, one for its slices. Each advances by itself, so that no gateway is first in every round.
 */
type Comparison = {
  loader: Loader
  pairs: number
  seconds: number
  start(name: Name): Promise<Subject>
  nextRoundOrder(): readonly Name[]
  nextSliceOrder(): readonly Name[]
}

/** One value per round and gateway, and what a reader should know of how it was measured. */
type Found = { rounds: Trio<number>[]; note?: string }

const MAX_RATIO = 1.03
/** Share of the chunks per call. */
const MAX_CHUNKS_DIFFERENCE = 0.005

/** All orders of three. Every other order is the one before it reversed; in six, each gateway takes each place twice. */
const ORDERS: readonly (readonly Name[])[] = [
  ['against', 'ours', 'again'],
  ['again', 'ours', 'against'],
  ['ours', 'again', 'against'],
  ['against', 'again', 'ours'],
  ['again', 'against', 'ours'],
  ['ours', 'against', 'again'],
]

const TRANSLATED_WAYS = WAYS.slice(1)
/** The compiler works for so long after a start. A shorter warm-up compares how much code two trees have, and not what calls cost. */
const WARM_UP_SECONDS = 10

const CPU_CASES: readonly CpuCase[] = [
  { name: '1 kB body', only: '1kb', unit: 'calls', kind: '1kb', connections: CONNECTIONS },
  { name: '100 kB body', only: '100kb', unit: 'calls', kind: '100kb', connections: CONNECTIONS },
  { name: 'stream', only: 'stream', unit: 'chunks', kind: 'stream', connections: CONNECTIONS },
  { name: 'stream with usage', only: 'stream', unit: 'chunks', kind: 'stream-usage', connections: CONNECTIONS },
  ...TRANSLATED_SHAPES.flatMap(({ kind, connections, unit }) =>
    TRANSLATED_WAYS.map(({ name, way }) => ({ name, only: 'translated', unit, kind, connections, way })),
  ),
]

export const AGAINST_CASES = ['1kb', '100kb', 'stream', 'translated', 'latency', 'memory']

type MemoryLoad = Pick<Load, 'kind' | 'way' | 'connections'> & { callsPerSecond: number }

/** Calls per second of `--seconds`. A number of calls, not a time, makes the load the same for a slower gateway. */
const MEMORY_LOADS: readonly MemoryLoad[] = [
  { kind: '1kb', connections: CONNECTIONS, callsPerSecond: 500 },
  { kind: '100kb', connections: CONNECTIONS, callsPerSecond: 100 },
  { kind: 'stream', connections: CONNECTIONS, callsPerSecond: 32 },
  { kind: 'stream-usage', connections: CONNECTIONS, callsPerSecond: 32 },
  ...TRANSLATED_WAYS.map(({ way }) => ({ kind: '1kb' as const, way, connections: CONNECTIONS, callsPerSecond: 100 })),
]
const MAX_MEMORY_LOAD_SECONDS = 120

/** Prints a line per case, and sets the exit code to 1 if a ratio is missed. */
export async function compareAgainst(
  commit: string,
  upstream: Subject,
  { only, pairs, seconds }: { only: string | undefined; pairs: number; seconds: number },
): Promise<void> {
  const { root, title } = await checkOut(commit)
  console.log(`this tree against ${title}`)
  const start = starter(upstream, root)
  // The first start of a tree compiles TypeScript, which costs CPU and memory. Later starts read the compile cache.
  for (const name of ['against', 'ours'] as const) await (await start(name)).stop()
  const [rounds, slices] = [rotate(ORDERS), rotate(ORDERS)]
  const comparison = {
    loader: startLoader(),
    pairs,
    seconds,
    start,
    nextRoundOrder: () => rounds.next().value,
    nextSliceOrder: () => slices.next().value,
  }
  for (const cpuCase of CPU_CASES)
    if (only === undefined || only === cpuCase.only) printCpu(cpuCase, await compareCpu(comparison, cpuCase))
  if (only === undefined || only === 'latency') await compareFirstContent(comparison, upstream)
  if (only === undefined || only === 'memory') printMemory(await compareMemory(comparison))
}

function* rotate<Item>(items: readonly Item[]): Generator<Item, never> {
  for (;;) yield* items
}

/** The gateways keep their compile cache in the benchmark's folder: it must not outlive the commit's tree. */
function starter(upstream: Subject, root: string): Comparison['start'] {
  const roots: Trio<string> = { against: root, ours: ROOT, again: ROOT }
  const temporary = join(folder, 'tmp')
  mkdirSync(temporary)
  return (name) => {
    const data = `data-${name}`
    rmSync(join(folder, data), { recursive: true, force: true })
    mkdirSync(join(folder, data))
    return startGateway(name, roots[name], { ...bursarEnv(upstream, `${data}/bench.db`), TMPDIR: temporary })
  }
}

async function compareCpu(comparison: Comparison, { kind, connections, way, unit }: CpuCase): Promise<Found> {
  const rounds: Trio<number>[] = []
  const notes: string[] = []
  const load = { kind, connections, ...(way ? { way } : {}) }
  while (rounds.length < comparison.pairs) {
    const slices = await cpuRound(comparison, load)
    const cost = (name: Name) => sum(slices[name], 'cpuUs') / sum(slices[name], unit)
    rounds.push({ against: cost('against'), ours: cost('ours'), again: cost('again') })
    if (unit === 'chunks') notes.push(chunksNote(slices))
  }
  return { rounds, ...(notes[0] ? { note: notes[0] } : {}) }
}

async function cpuRound(
  { loader, seconds, start, nextRoundOrder, nextSliceOrder }: Comparison,
  load: Pick<Load, 'kind' | 'way' | 'connections'>,
): Promise<Trio<Measured[]>> {
  const subjects = new Map<Name, Subject>()
  const slices: Trio<Measured[]> = { against: [], ours: [], again: [] }
  const run = (name: Name, seconds: number) => measure(loader, subjectOf(subjects, name), { ...load, seconds })
  const order = nextRoundOrder()
  for (const name of order) subjects.set(name, await start(name))
  for (const name of order) await run(name, WARM_UP_SECONDS)
  for (let done = 0; done < seconds; done += SLICE_SECONDS)
    for (const name of nextSliceOrder()) slices[name].push(await run(name, SLICE_SECONDS))
  for (const subject of subjects.values()) await subject.stop()
  return slices
}

function subjectOf(subjects: ReadonlyMap<Name, Subject>, name: Name): Subject {
  const subject = subjects.get(name)
  if (!subject) throw new Error(`${name} was not started`)
  return subject
}

/** Throws if the clients got different numbers of chunks. A gateway that falls behind joins chunks, and looks too cheap. */
function chunksNote({ against, ours }: Trio<Measured[]>): string {
  const perCall = (slices: readonly Measured[]) => sum(slices, 'chunks') / sum(slices, 'calls')
  const perRead = (slices: readonly Measured[]) => (sum(slices, 'chunks') / sum(slices, 'reads')).toFixed(2)
  const numbers = `chunks per call: against ${perCall(against).toFixed(1)}, ours ${perCall(ours).toFixed(1)}`
  if (Math.abs(perCall(ours) / perCall(against) - 1) > MAX_CHUNKS_DIFFERENCE) throw new Error(numbers)
  return `${numbers}; per read of the client: against ${perRead(against)}, ours ${perRead(ours)}`
}

/** One process of each serves all rounds: what a compiler does differently in one is less than a chunk's wait for its tick. */
async function compareFirstContent({ loader, pairs, seconds, start }: Comparison, upstream: Subject): Promise<void> {
  const [against, ours, again] = [await start('against'), await start('ours'), await start('again')]
  await firstContent({ loader, pairs, seconds, upstream, ours, others: { against, again } })
  for (const subject of [against, ours, again]) await subject.stop()
}

/** The peak of a process is one number, so a spread takes several processes: each round starts all three anew. */
async function compareMemory({ loader, pairs, seconds, start, nextRoundOrder }: Comparison): Promise<Found> {
  const rounds: Trio<number>[] = []
  while (rounds.length < pairs) {
    const peakBytes: Trio<number> = { against: Number.NaN, ours: Number.NaN, again: Number.NaN }
    for (const name of nextRoundOrder()) {
      const subject = await start(name)
      for (const { callsPerSecond, ...load } of MEMORY_LOADS) {
        const maxCalls = Math.ceil(callsPerSecond * seconds)
        const { calls } = await measure(loader, subject, { ...load, maxCalls, seconds: MAX_MEMORY_LOAD_SECONDS })
        if (calls < maxCalls) throw new Error(`${name}: ${calls} of ${maxCalls} ${load.kind} calls in time`)
      }
      peakBytes[name] = costOf(subject.pid).peakBytes
      await subject.stop()
    }
    rounds.push(peakBytes)
  }
  return { rounds }
}

function printCpu({ name, kind, unit, way }: CpuCase, found: Found): void {
  const singular = unit === 'calls' ? 'call' : 'chunk'
  const shown = way ? `${name}, ${kind === 'stream' ? 'streamed' : 'whole'}` : name
  print(shown, found, (us) => `${us.toFixed(1).padStart(6)} µs/${singular}`.padEnd(15))
}

const printMemory = (found: Found) =>
  print('memory, peak', found, (bytes) => `${(bytes / 1024 / 1024).toFixed(1).padStart(6)} MB`.padEnd(15))

function print(name: string, { rounds, note }: Found, format: (value: number) => string): void {
  const ratio = spreadOf(rounds.map(({ against, ours }) => ours / against))
  const itself = spreadOf(rounds.map(({ ours, again }) => again / ours))
  const equal = equalRange(itself)
  const isEqual = ratio.median >= equal.min && ratio.median <= equal.max
  const isMet = ratio.median <= MAX_RATIO
  if (!isEqual && !isMet) process.exitCode = 1
  const middle = (side: Name) => format(median(rounds.map((round) => round[side])))
  console.log(
    `${name.padEnd(32)} against ${middle('against')} ours ${middle('ours')} ` +
      `ratio ${describe(ratio)}  itself ${describe(itself)}  equal within ${describeRange(equal)}  ` +
      `target ≤ ${MAX_RATIO}  ${isEqual ? 'equal' : isMet ? 'met' : 'MISSED'}`,
  )
  if (note) console.log(`${''.padEnd(32)} ${note}`)
}
