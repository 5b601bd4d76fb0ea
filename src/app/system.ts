// System: the real clocks, randomness and ids. With main, the only place that reads them.

import { randomBytes } from 'node:crypto'
import pino, { type Logger } from 'pino'
import type { FileConfig } from '../config/file.ts'
import type { Settings } from '../config/settings.ts'
import { uuidV7Source } from '../core/call-ids.ts'
import type { Clock, Timers } from '../core/clock.ts'
import { openStore } from '../stores/index.ts'
import { type App, createApp } from './app.ts'

const { timeOrigin } = performance

/** `monoMs` is the time since 1970 on a clock that never steps: comparable between runs, and steady within one. */
const systemClock: Clock = {
  now: () => ({ wallMs: Date.now(), monoMs: Math.floor(timeOrigin + performance.now()) }),
}

const systemTimers: Timers = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
}

const systemRandom = (): number => Math.random()

export const newCallId = uuidV7Source(
  () => Date.now(),
  (size) => randomBytes(size),
)

const LOG_FLUSH_INTERVAL_MS = 200
const LOG_BUFFER_BYTES = 16_384

/** One JSON line per event on standard output, written in batches beside the calls. `flush` writes what is left. */
function systemLog(level: string): { readonly log: Logger; readonly flush: () => void } {
  const destination = pino.destination({
    dest: 1,
    sync: false,
    minLength: LOG_BUFFER_BYTES,
    maxWrite: 4 * LOG_BUFFER_BYTES,
  })
  // Standard output may be closed before we are: that is no reason to stop.
  destination.on('error', () => {})
  const flushing = setInterval(() => destination.flush(), LOG_FLUSH_INTERVAL_MS).unref()
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
  return {
    log,
    flush: () => {
      clearInterval(flushing)
      destination.flushSync()
    },
  }
}

/** The app on the real clocks, with its ledger open. Throws StoreUnusable. */
export async function openApp(settings: Settings, file: FileConfig) {
  const store = await openStore(settings.DATABASE_URL, {
    now: systemClock.now(),
    timers: systemTimers,
    synchronous: settings.SQLITE_SYNCHRONOUS,
    maxEntries: settings.USAGE_HISTORY_SIZE,
  })
  const { log, flush } = systemLog(settings.LOG_LEVEL)
  const parts = {
    settings,
    file,
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    newCallId,
    log,
    store,
  }
  const app: App = await createApp({ ...parts, registry: store.registry })
  return { app, log, flush }
}
