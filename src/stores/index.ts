// Stores: the list of kinds, chosen by DATABASE_URL. The only file that knows them all.

import type { Instant } from '../core/meter.ts'
import { MemoryRegistry } from './memory/registry.ts'
import { MemoryStore } from './memory/store.ts'
import type { Registry } from './registry.ts'
import { SqliteRegistry } from './sqlite/registry.ts'
import { SqliteStore } from './sqlite/store.ts'
import { type Store, StoreUnusable } from './store.ts'

export interface StoreOptions {
  /** Calls that a dead process left open are settled at this instant. */
  readonly now: Instant
  readonly synchronous?: 'normal' | 'full'
  /** How many entries a store in memory keeps. */
  readonly maxEntries?: number
}

/** `sqlite:path` or `memory:`. Rejects with StoreUnusable when it cannot be opened. */
export async function openStore(url: string, options: StoreOptions): Promise<Store> {
  const colon = url.indexOf(':')
  const scheme = url.slice(0, colon)
  const path = url.slice(colon + 1).replace(/^\/\/(?=.)/, '')
  if (scheme === 'memory') return new MemoryStore(options.maxEntries)
  if (scheme === 'sqlite' && path !== '') {
    return new SqliteStore(path, { now: options.now, synchronous: options.synchronous ?? 'normal' })
  }
  throw new StoreUnusable(`DATABASE_URL=${url}: expected sqlite:path or memory:`)
}

/** The registry that belongs to a store; it is closed with it. */
export function openRegistry(store: Store): Registry {
  return store instanceof SqliteStore ? new SqliteRegistry(store.db) : new MemoryRegistry()
}
