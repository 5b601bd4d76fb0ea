// Stores: the kinds of storage, chosen by DATABASE_URL. The only file that knows them all.

import type { Timers } from '../core/clock.ts'
import type { Instant } from '../core/meter.ts'
import { MemoryStore } from './memory/store.ts'
import { SqliteStore } from './sqlite/store.ts'
import { type Store, StoreUnusable } from './store.ts'

interface StoreOptions {
  /** Calls that an earlier process left open are settled at this instant. */
  readonly now: Instant
  /** For delays between commits. The process's own by default. */
  readonly timers?: Timers
  readonly synchronous?: 'normal' | 'full'
  /** The number of entries that a store in memory keeps. */
  readonly maxEntries?: number
}

/** The timers of this process. */
export const processTimers: Timers = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
}

/**
 * Opens a store.
 * @param url `sqlite:path` or `memory:`. Rejects with StoreUnusable if the store cannot be opened.
 */
export async function openStore(url: string, options: StoreOptions): Promise<Store> {
  const colon = url.indexOf(':')
  const scheme = url.slice(0, colon)
  const path = url.slice(colon + 1).replace(/^\/\/(?=.)/, '')
  const { now, timers = processTimers, synchronous = 'normal', maxEntries } = options
  if (scheme === 'memory') return new MemoryStore(maxEntries)
  if (scheme === 'sqlite' && path !== '') return new SqliteStore(path, { now, timers, synchronous })
  throw new StoreUnusable(`DATABASE_URL=${url} has no store: write sqlite:PATH or memory:`)
}
