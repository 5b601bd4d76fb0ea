// Processes under test: starts them in a temporary folder, reads what they cost from /proc, and ends every one of them.
// Linux only: CPU time and memory come from /proc/<pid>.
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Load, Result } from './load.ts'

/** `headers` are lines that every request to it needs. */
export type Subject = {
  name: string
  port: number
  pid: number
  logFile: string
  headers?: readonly string[]
  stop(): Promise<void>
}

/** How another gateway is started: its arguments come after the script, and its page of health may be elsewhere. */
export type Start = { flags?: readonly string[]; args?: (port: number) => readonly string[]; healthPath?: string }

/** `peakBytes` is the kernel's own high-water mark since the process started. */
export type Cost = { cpuUs: number; rssBytes: number; peakBytes: number }

export type Measured = Result & { cpuUs: number; cpuUsPerCall: number; cpuUsPerChunk: number }

const READY_WITHIN_MS = 120_000
const CLOCK_TICK_US = 1_000_000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

const children = new Set<ChildProcess>()
export const folder = mkdtempSync(join(tmpdir(), 'bursar-bench-'))

function cleanUp(): void {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

process.on('exit', cleanUp)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** Adds up one field of several slices of a run. */
export const sum = (slices: readonly Measured[], field: 'cpuUs' | 'calls' | 'chunks' | 'reads') =>
  slices.reduce((total, slice) => total + slice[field], 0)

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

function trackChild(child: ChildProcess): ChildProcess {
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

/**
 * Starts `node <flags> <script> <args>` with nothing in its environment but `env` and PATH, its output in a file, and waits
 * until its page of health answers 200. Throws with the end of that output when it does not.
 */
export async function start(
  name: string,
  script: string,
  env: Record<string, string>,
  { flags = [], args = () => [], healthPath = '/healthz' }: Start = {},
): Promise<Subject> {
  const port = await freePort()
  const logFile = join(folder, `${name}.log`)
  const log = openSync(logFile, 'w')
  const all = { PATH: process.env.PATH ?? '', HOST: '127.0.0.1', PORT: String(port), ...env }
  const child = trackChild(
    spawn(process.execPath, [...flags, script, ...args(port)], { cwd: folder, env: all, stdio: ['ignore', log, log] }),
  )
  closeSync(log)
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async () => {
    child.kill('SIGTERM')
    await Promise.race([exited, sleep(5000).then(() => child.kill('SIGKILL'))])
  }
  const giveUpAt = performance.now() + READY_WITHIN_MS
  while (!(await isHealthy(port, healthPath))) {
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > giveUpAt)
      throw new Error(`${name} did not start:\n${readFileSync(logFile, 'utf8').slice(-4000)}`)
    await sleep(2)
  }
  return { name, port, pid: child.pid ?? 0, logFile, stop }
}

const isHealthy = (port: number, path: string) =>
  fetch(`http://127.0.0.1:${port}${path}`).then(
    (response) => response.arrayBuffer().then(() => response.status === 200),
    () => false,
  )

export function costOf(pid: number): Cost {
  // The second field is the command's name, which may hold spaces; utime and stime are fields 14 and 15, of all threads.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024
  return {
    cpuUs: (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_US,
    rssBytes: bytes('VmRSS'),
    peakBytes: bytes('VmHWM'),
  }
}

/** CPU time of this process's children that have ended: cutime and cstime, fields 16 and 17. */
function endedChildrenUs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[13]) + Number(fields[14])) * CLOCK_TICK_US
}

/** Share of the machine's time taken since by what is not part of this benchmark, time stolen by the host included. */
export function watchOthers(): () => number {
  const read = () => {
    const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? ''
    const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, steal = 0] = line
      .split(/ +/)
      .slice(1)
      .map((ticks) => Number(ticks) * CLOCK_TICK_US)
    const busyUs = user + nice + system + irq + softirq + steal
    let oursUs = costOf(process.pid).cpuUs + endedChildrenUs()
    for (const { pid } of children) if (pid) oursUs += costOf(pid).cpuUs
    return { allUs: busyUs + idle + wait, othersUs: busyUs - oursUs }
  }
  const before = read()
  return () => {
    const now = read()
    return (now.othersUs - before.othersUs) / (now.allUs - before.allUs)
  }
}

/** A load generator that stays up between loads, so that it is warm itself. */
export type Loader = { run(load: Load): Promise<Result> }

export function startLoader(): Loader {
  const child = trackChild(fork(join(import.meta.dirname, 'load.ts'), { stdio: 'inherit' }))
  const run = (load: Load) =>
    new Promise<Result>((resolve, reject) => {
      const gone = () => reject(new Error('the load generator ended'))
      child.once('exit', gone)
      child.once('message', (result: Result) => {
        child.off('exit', gone)
        resolve(result)
      })
      child.send(load)
    })
  return { run }
}

/** Loads the subject and charges it with all the CPU time it used until shortly after the last answer. */
export async function measure(
  loader: Loader,
  subject: Subject,
  load: Omit<Load, 'port' | 'headers'>,
): Promise<Measured> {
  const before = costOf(subject.pid)
  const { port, headers = [] } = subject
  const result = await loader.run({ ...load, port, headers })
  await sleep(SETTLE_MS)
  const cpuUs = costOf(subject.pid).cpuUs - before.cpuUs
  if (result.errors > 0)
    throw new Error(
      `${subject.name}: ${result.errors} of ${result.calls} ${load.kind} calls failed: ${result.firstError?.slice(0, 1000)}`,
    )
  return { ...result, cpuUs, cpuUsPerCall: cpuUs / result.calls, cpuUsPerChunk: cpuUs / result.chunks }
}

/** Time for work that follows the last answer: the ledger's commit, the log's flush. */
const SETTLE_MS = 100
