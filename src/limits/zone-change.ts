// Zone change: after a start with another TIME_ZONE, the windows of keys' own limits start from the ledger, as those of other limits do.

import type { Span } from '../core/calendar.ts'
import { recordOf } from '../core/json-values.ts'
import { DEFAULT_REFILLS, type Limit } from '../core/limits.ts'
import type { Instant, What } from '../core/meter.ts'
import type { Store } from '../stores/store.ts'
import { type NewWindow, seedWindows } from './window-seeds.ts'

/** Keeps the zone of the last start. */
const ZONE_ID = 'time-zone'
const WINDOW_SPANS: ReadonlySet<Span> = new Set(['minute', 'hour', 'day', 'month'])

/** Rejects with StoreUnavailable. Then the next start does it. */
export async function followZone(store: Store, timeZone: string, now: Instant): Promise<void> {
  const { registry } = store
  const [last] = await registry.read('cursor', ZONE_ID)
  if (last && recordOf(last.value).time_zone === timeZone) return
  const hasKeys = (await registry.page('key', { limit: 1 })).length > 0
  if (last && hasKeys) await seedWindows(store, windowsOfKeys(), timeZone, now)
  const draft = { kind: 'cursor', id: ZONE_ID, value: { time_zone: timeZone } } as const
  await registry.write(draft, { actor: 'gateway', atMs: now.wallMs, audit: false })
}

/** Every window that a limit on a key can have, since which keys have which limits is not known. */
function windowsOfKeys(): readonly NewWindow[] {
  return (Object.entries(DEFAULT_REFILLS) as [What, Partial<Record<Span, unknown>>][]).flatMap(([what, spans]) =>
    (Object.keys(spans) as Span[])
      .filter((span) => WINDOW_SPANS.has(span))
      .map((span) => ({ limit: windowOf(what, span), isCounted: () => false })),
  )
}

function windowOf(what: What, span: Span): Limit {
  return { who: 'key', subject: undefined, what, span, capacity: 0n, refill: 'window', enforced: true }
}
