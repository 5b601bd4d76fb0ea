// The cases of the benchmark: what each one does to the two processes and what it makes of the numbers; printing is run.ts's.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Kind } from './bodies.ts'
import type { Load } from './load.ts'
import { folder, type Loader, type Measured, measure, median, type Subject, startLoader, sum } from './measure.ts'

type Shape = Pick<Load, 'kind' | 'connections' | 'ratePerSecond'>
export type Test = { loader: Loader; bare: Subject; ours: Subject; pairs: number; seconds: number }
export type Ratio = {
  bareUs: number
  oursUs: number
  medianRatio: number
  minRatio: number
  maxRatio: number
  note?: string
}

/** One number per pair; `added*` are ours minus bare. */
export type Latency = {
  ratePerSecond: number
  bareP50Ms: number[]
  bareP99Ms: number[]
  addedP50Ms: number[]
  addedP99Ms: number[]
}

export const CONNECTIONS = 32
const WARM_UP_SECONDS = 2
/** The first warm-up of a case also has the compiler to wait for. */
const FIRST_WARM_UP_SECONDS = 5
/** Runs are cut into slices that alternate (A B B A …), so that a slow moment of the machine falls on both sides of a pair. */
export const SLICE_SECONDS = 1

const isStream = (kind: Kind) => kind.startsWith('stream')

async function warmUp({ loader, bare, ours }: Test, shape: Shape, seconds: number): Promise<void> {
  for (const subject of [bare, ours]) await measure(loader, subject, { ...shape, seconds })
}

async function pair(test: Test, shape: Shape): Promise<{ bare: Measured[]; ours: Measured[] }> {
  await warmUp(test, shape, WARM_UP_SECONDS)
  const bare: Measured[] = []
  const ours: Measured[] = []
  const load = { ...shape, seconds: SLICE_SECONDS }
  const measureInto = async (slices: Measured[], subject: Subject) =>
    slices.push(await measure(test.loader, subject, load))
  for (let done = 0; done < test.seconds; done += SLICE_SECONDS) {
    const both = [() => measureInto(bare, test.bare), () => measureInto(ours, test.ours)]
    for (const next of done % 2 === 0 ? both : both.reverse()) await next()
  }
  return { bare, ours }
}

/** CPU per call, or per chunk the client received, at saturation unless there are few connections. */
export async function ratio(test: Test, kind: Kind, connections = CONNECTIONS): Promise<Ratio> {
  const unit = isStream(kind) ? 'chunks' : 'calls'
  const bareUs: number[] = []
  const oursUs: number[] = []
  const notes: string[] = []
  const shape = { kind, connections }
  await warmUp(test, shape, FIRST_WARM_UP_SECONDS)
  for (let index = 0; index < test.pairs; index++) {
    const { bare, ours } = await pair(test, shape)
    bareUs.push(sum(bare, 'cpuUs') / sum(bare, unit))
    oursUs.push(sum(ours, 'cpuUs') / sum(ours, unit))
    if (isStream(kind)) notes.push(sameChunks(test, bare, ours))
  }
  const ratios = oursUs.map((us, index) => us / (bareUs[index] ?? Number.NaN))
  return {
    bareUs: median(bareUs),
    oursUs: median(oursUs),
    medianRatio: median(ratios),
    minRatio: Math.min(...ratios),
    maxRatio: Math.max(...ratios),
    ...(notes[0] ? { note: notes[0] } : {}),
  }
}

/**
 * Both clients must get equally many chunks per call, and in about as many reads: a gateway that falls behind coalesces them,
 * which makes it look cheaper than it is.
 */
function sameChunks(names: Test, bare: readonly Measured[], ours: readonly Measured[]): string {
  const perCall = (slices: readonly Measured[]) => sum(slices, 'chunks') / sum(slices, 'calls')
  const perRead = (slices: readonly Measured[]) => sum(slices, 'chunks') / sum(slices, 'reads')
  const said = (of: (slices: readonly Measured[]) => number) =>
    `${names.bare.name} ${of(bare).toFixed(2)}, ${names.ours.name} ${of(ours).toFixed(2)}`
  if (Math.abs(perCall(bare) / perCall(ours) - 1) > 0.005) throw new Error(`chunks per call: ${said(perCall)}`)
  return `chunks per call ${perCall(ours).toFixed(1)}; per read of the client: ${said(perRead)}`
}

/** Latency at the same fixed rate for both: half of what the slower of them, ours, answers when pushed. */
export async function latency(test: Test): Promise<Latency> {
  const { bare, ours } = test
  await warmUp(test, { kind: '1kb', connections: CONNECTIONS }, FIRST_WARM_UP_SECONDS)
  const full = await measure(test.loader, ours, { kind: '1kb', connections: CONNECTIONS, seconds: 4 })
  const ratePerSecond = full.calls / full.seconds / 2
  const load = { kind: '1kb', connections: 2 * CONNECTIONS, ratePerSecond } as const
  const found = {
    ratePerSecond,
    bareP50Ms: [] as number[],
    bareP99Ms: [] as number[],
    addedP50Ms: [] as number[],
    addedP99Ms: [] as number[],
  }
  for (let index = 0; index < test.pairs; index++) {
    const slices = await pair(test, load)
    // The median over the slices: a percentile of all calls would be that of the machine's one worst second.
    const of = (subject: Subject, field: 'p50Ms' | 'p99Ms') =>
      median((subject === bare ? slices.bare : slices.ours).map((slice) => slice[field]))
    found.bareP50Ms.push(of(bare, 'p50Ms'))
    found.bareP99Ms.push(of(bare, 'p99Ms'))
    found.addedP50Ms.push(of(ours, 'p50Ms') - of(bare, 'p50Ms'))
    found.addedP99Ms.push(of(ours, 'p99Ms') - of(bare, 'p99Ms'))
  }
  return found
}

type StartOurs = (database: string) => Promise<Subject>
const STARTS = 5

/** From spawn to the first 200 of /healthz, and to the first answered call, which includes it. */
async function startTime(loader: Loader, startOurs: StartOurs, database: string): Promise<number[]> {
  const from = performance.now()
  const subject = await startOurs(database)
  const healthyMs = performance.now() - from
  const first = await loader.run({ kind: '1kb', connections: 1, seconds: 0, port: subject.port })
  const answeredMs = performance.now() - from
  await subject.stop()
  if (first.errors > 0) throw new Error(`the first call failed: ${first.firstError}`)
  return [healthyMs, answeredMs]
}

/** Starts on a fresh database, then on one that `fill.ts <database file> <rows>` has filled. */
export async function startTimes(startOurs: StartOurs, rows: number): Promise<void> {
  const loader = startLoader()
  const report = async (name: string, databaseOf: (index: number) => string) => {
    const healthy: number[] = []
    const answered: number[] = []
    for (let index = 0; index < STARTS; index++) {
      const [healthyMs = 0, answeredMs = 0] = await startTime(loader, startOurs, databaseOf(index))
      healthy.push(healthyMs)
      answered.push(answeredMs)
    }
    console.log(
      `${name.padEnd(30)} ready ${median(healthy).toFixed(0)} ms  first call ${median(answered).toFixed(0)} ms`,
    )
  }
  await report('fresh database', (index) => `fresh${index}.db`)
  const fill = join(import.meta.dirname, 'fill.ts')
  if (!existsSync(fill)) return console.log('no bench/fill.ts: the start on a full ledger is left out')
  execFileSync(process.execPath, [fill, join(folder, 'full.db'), String(rows)], { stdio: 'inherit' })
  await report(`ledger of ${rows} rows`, () => 'full.db')
}
