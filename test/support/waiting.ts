// Waiting: for something that happens elsewhere. It fails if that takes longer than anything in these tests should.

import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'

const POLL_MS = 2
const DEFAULT_TURN_COUNT = 20

/** Looks again and again until there is something. Throws once `withinMs` are over. */
export async function waitFor<Found>(
  look: () => Found | undefined | false | Promise<Found | undefined | false>,
  withinMs = 10_000,
): Promise<Found> {
  const lastMs = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > lastMs) throw new Error(`This did not happen within ${withinMs} ms: ${look}`)
    await sleep(POLL_MS)
  }
}

/** What is promised. Throws if it does not come within so many milliseconds. */
export async function withTimeout<Value>(ms: number, promised: Promise<Value>): Promise<Value> {
  const controller = new AbortController()
  const tooLate = sleep(ms, undefined, { signal: controller.signal }).then(() => {
    throw new Error(`Nothing came within ${ms} ms.`)
  })
  try {
    return await Promise.race([promised, tooLate])
  } finally {
    controller.abort()
    tooLate.catch(() => {})
  }
}

/** Lets the event loop turn: what is on its way between sockets of this process arrives, and promises that can go on do. */
export async function turns(count = DEFAULT_TURN_COUNT): Promise<void> {
  for (let index = 0; index < count; index++) await turn()
}
