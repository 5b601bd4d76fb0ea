// Threads: the CPU time and the memory of a process, finer than measure.ts has it. Linux only.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** CPU time in microseconds: of all threads that live, and of the main thread, on which calls are. */
export interface ThreadTimes {
  readonly allUs: number
  readonly mainUs: number
}

/** The first number of schedstat is the time on a CPU, in nanoseconds. A thread that ended meanwhile counts as 0. */
function threadUs(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0]) / 1_000
  } catch {
    return 0
  }
}

export function threadTimes(pid: number): ThreadTimes {
  const allUs = readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadUs(pid, thread), 0)
  return { allUs, mainUs: threadUs(pid, String(pid)) }
}

/** The kernel's high-water mark of a process begins anew. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}
