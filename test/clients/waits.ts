// Waits: the pauses an SDK makes before it asks again, passed over at once. What it would have waited is noted instead.

import { AsyncLocalStorage } from 'node:async_hooks'

/** Anything shorter is no pause between attempts, anything longer is a deadline. */
const SHORTEST_MS = 100
const LONGEST_MS = 300_000

type Waited = (ms: number) => Promise<void> | void

const onWait = new AsyncLocalStorage<Waited | undefined>()
const { fetch: realFetch, setTimeout: realSetTimeout } = globalThis

/** Only what runs inside `withoutWaiting` is hurried: the gateway's own timers, and the tests', are not. */
function hurriedSetTimeout<Args extends unknown[]>(callback: (...args: Args) => void, ms = 0, ...args: Args) {
  const waited = onWait.getStore()
  if (!waited || ms < SHORTEST_MS || ms > LONGEST_MS) return realSetTimeout(callback, ms, ...args)
  return realSetTimeout(async () => {
    await waited(ms)
    callback(...args)
  }, 0)
}
globalThis.setTimeout = Object.assign(hurriedSetTimeout, realSetTimeout) as typeof setTimeout
// Node's fetch keeps connections by timers, which are no waits.
globalThis.fetch = (...args) => onWait.run(undefined, () => realFetch(...args))

export interface Unhurried<Result> {
  readonly result: Result
  /** In milliseconds, in order. */
  readonly waits: readonly number[]
}

/** Runs an SDK. `waited` is told of each wait once it would have been over, before the SDK goes on. */
export async function withoutWaiting<Result>(
  run: () => Promise<Result>,
  waited: Waited = () => {},
): Promise<Unhurried<Result>> {
  const waits: number[] = []
  const note = (ms: number) => {
    waits.push(ms)
    return waited(ms)
  }
  const result = await onWait.run(note, run)
  return { result, waits }
}
