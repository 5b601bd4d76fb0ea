// Waits: the pauses an SDK makes before it asks again, passed over at once. What it would have waited is noted instead.

import { AsyncLocalStorage } from 'node:async_hooks'

/** Anything shorter is no pause between attempts, anything longer is a deadline. */
const MIN_WAIT_MS = 100
const MAX_WAIT_MS = 300_000

type WaitListener = (ms: number) => Promise<void> | void

const waitListeners = new AsyncLocalStorage<WaitListener | undefined>()
const { fetch: realFetch, setTimeout: realSetTimeout } = globalThis

/** Only what runs inside `withoutWaiting` is hurried: the gateway's own timers, and the tests', are not. */
function immediateSetTimeout<Args extends unknown[]>(callback: (...args: Args) => void, ms = 0, ...args: Args) {
  const waited = waitListeners.getStore()
  if (!waited || ms < MIN_WAIT_MS || ms > MAX_WAIT_MS) return realSetTimeout(callback, ms, ...args)
  return realSetTimeout(async () => {
    await waited(ms)
    callback(...args)
  }, 0)
}
globalThis.setTimeout = Object.assign(immediateSetTimeout, realSetTimeout) as typeof setTimeout
// Node's fetch keeps connections by timers, which are no waits.
globalThis.fetch = (...args) => waitListeners.run(undefined, () => realFetch(...args))

export interface RunWithWaits<Result> {
  readonly result: Result
  /** In milliseconds, in order. */
  readonly waits: readonly number[]
}

/** Runs an SDK. `waited` gets each wait once it would have been over, before the SDK goes on. */
export async function runWithoutWaiting<Result>(
  run: () => Promise<Result>,
  waited: WaitListener = () => {},
): Promise<RunWithWaits<Result>> {
  const waits: number[] = []
  const note = (ms: number) => {
    waits.push(ms)
    return waited(ms)
  }
  const result = await waitListeners.run(note, run)
  return { result, waits }
}
