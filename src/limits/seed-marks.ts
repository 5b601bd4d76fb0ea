// Seed marks: documents `limit-seed` that say which windows have started from the sums of the ledger, so that a restart does not do
// that again.

import type { Limit } from '../core/limits.ts'
import type { Instant } from '../core/meter.ts'
import { ALIASES_DATE } from '../core/model-aliases.ts'
import type { DocumentDraft, Registry } from '../stores/registry.ts'

/** Windows of limits, by the name that their levels' keys depend on. */
export type Windows = ReadonlyMap<string, Limit>

export function windowsOf(limits: readonly Limit[], timeZone: string): Windows {
  const windows = limits.filter((limit) => limit.refill === 'window')
  return new Map(windows.map((limit) => [windowName(limit, timeZone), limit]))
}

/** What a level's key depends on, and how its subject is named. A limit with another amount is the same limit. */
export function windowName(
  { who, subject, what, span }: Omit<Limit, 'capacity' | 'refill' | 'enforced'>,
  timeZone: string,
) {
  const kind = who === 'model' ? `model ${ALIASES_DATE}` : who
  return `${kind}${subject === undefined ? '' : `:${subject}`}/${what}/${span}/${timeZone}`
}

/** The names of the windows that are marked. */
export async function readMarks(registry: Registry): Promise<ReadonlySet<string>> {
  return new Set((await registry.read('limit-seed')).map((document) => document.id))
}

/** Marks the windows in force and no others. Rejects with the registry's error: then the marks are as before. */
export async function writeMarks(
  registry: Registry,
  windows: Windows,
  marked: ReadonlySet<string>,
  now: Instant,
): Promise<void> {
  const added = [...windows.keys()].filter((name) => !marked.has(name))
  // A mark without its limit would keep the limit from being seeded later.
  const removed = [...marked].filter((name) => !windows.has(name))
  await changeMarks(registry, added, removed, now)
}

/** The same for the windows that one change adds and removes. */
export async function changeMarks(
  registry: Registry,
  added: readonly string[],
  removed: readonly string[],
  now: Instant,
): Promise<void> {
  const drafts = [...added.map((name) => markOf(name, now)), ...removed.map((name) => markOf(name, null))]
  if (drafts.length > 0) await registry.writeAll(drafts, { actor: 'gateway', atMs: now.wallMs, audit: false })
}

function markOf(name: string, since: Instant | null): DocumentDraft {
  return { kind: 'limit-seed', id: name, value: since && { since: since.wallMs } }
}
