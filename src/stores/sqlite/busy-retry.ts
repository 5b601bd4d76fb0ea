// Busy retry: writes that people cause, or the gateway now and then, wait a moment while a checkpoint holds the file.

import type { Timers } from '../../core/clock.ts'
import { isBusy } from './file.ts'
import { sleep } from './sleep.ts'

const BUSY_RETRY_MS = 5
const MAX_BUSY_RETRIES = 400

/** What `write` returns. Rejects with what `write` throws, also with a busy file's error after two seconds of retries. */
export async function retryWhileBusy<Value>(timers: Timers, write: () => Value): Promise<Value> {
  for (let attempt = 1; ; attempt++) {
    try {
      return write()
    } catch (error) {
      if (!isBusy(error) || attempt === MAX_BUSY_RETRIES) throw error
    }
    await sleep(timers, BUSY_RETRY_MS)
  }
}
