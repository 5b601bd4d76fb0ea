// System: the real clocks, timers, randomness and ids. Only this file and main read them.

import { randomBytes } from 'node:crypto'
import pino, { type Logger } from 'pino'
import { uuidV7Source } from '../core/call-ids.ts'
import type { Clock, Timers } from '../core/clock.ts'
import { openStore } from '../stores/index.ts'
import { LogDestination } from '../telemetry/log-destination.ts'
import { type App, createApp } from './app.ts'
import type { Configuration } from './load-configuration.ts'

const { timeOrigin } = performance

/** `monoMs` is the time since 1970 on a clock that never steps within a run. Between runs it is comparable. */
export const systemClock: Clock = {
  now: () => ({ wallMs: Date.now(), monoMs: Math.floor(timeOrigin + performance.now()) }),
}

const systemTimers: Timers = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
}

const systemRandom = (): number => Math.random()

const newCallId = uuidV7Source(
  () => Date.now(),
  (size) => randomBytes(size),
)

let cachedSecond = -1
let cachedText = ''

/** The time field of a log line, in ISO 8601. All but the milliseconds is formatted once a second, which saves a call 0.7 µs. */
function logTime(): string {
  const nowMs = Date.now()
  const second = Math.floor(nowMs / 1_000)
  if (second !== cachedSecond) {
    cachedSecond = second
    cachedText = new Date(second * 1_000).toISOString().slice(0, 20)
  }
  return `,"time":"${cachedText}${String(nowMs - second * 1_000).padStart(3, '0')}Z"`
}

/** One JSON line per event on standard output, written in batches beside the calls. `flush` writes what is pending. */
function systemLog(level: string): { readonly log: Logger; readonly flush: () => void } {
  const output = pino.destination({ dest: 1, sync: false })
  // Standard output may be closed before the gateway is, which is no reason to stop.
  output.on('error', () => {})
  const destination = new LogDestination(output, systemTimers)
  const log = pino({ level, base: null, timestamp: logTime }, destination)
  return {
    log,
    flush: () => {
      destination.flush()
      output.flushSync()
    },
  }
}

/** The app on the real clocks, with its ledger open, its log, and the function that writes what is left of the log. */
export interface OpenApp {
  readonly app: App
  readonly log: Logger
  readonly flush: () => void
}

/** Opens the ledger and the app on it. Rejects with StoreUnusable, or like `createApp`; then nothing stays open. */
export async function openApp({ settings, file, warnings }: Configuration): Promise<OpenApp> {
  const store = await openStore(settings.DATABASE_URL, {
    now: systemClock.now(),
    timers: systemTimers,
    synchronous: settings.SQLITE_SYNCHRONOUS,
    maxEntries: settings.USAGE_HISTORY_SIZE,
  })
  const { log, flush } = systemLog(settings.LOG_LEVEL)
  try {
    const app = await createApp({
      settings,
      file,
      warnings,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom,
      randomBytes: (size) => randomBytes(size),
      newCallId,
      log,
      store,
    })
    return { app, log, flush }
  } catch (error) {
    flush()
    await store.close(systemClock.now())
    throw error
  }
}
