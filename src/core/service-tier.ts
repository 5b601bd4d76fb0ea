// Service tiers: the names under which requests and answers know the tiers that have prices of their own. It holds no prices.

import { SlotCache } from './slot-cache.ts'

/**
 * The name of a tier in the price book. `PRIORITY`, `SERVICE_TIER_PRIORITY` as protocol buffers write it, and Vertex AI's
 * `ON_DEMAND_PRIORITY` are `priority`.
 */
export function tierName(text: string): string {
  return tierNames.get(text)
}

const tierNames = new SlotCache((text) =>
  text
    .trim()
    .toLowerCase()
    .replaceAll('-', '_')
    .replace(/^(?:service_tier_|on_demand_)/, ''),
)

/** Names that tell nothing of the tier that a call ran at. The price of batches is for no single call. */
const UNTOLD: ReadonlySet<string> = new Set(['', 'auto', 'unspecified', 'batch', 'null'])

/** The tier that an answer names; null if the answer names none, or no tier at which a single call can run. */
export function servedTier(text: unknown): string | null {
  if (typeof text !== 'string') return null
  const name = tierName(text)
  return UNTOLD.has(name) ? null : name
}

/** Tiers at the standard price, and committed capacity, which has a bill of its own. */
const STANDARD_TIERS: ReadonlySet<string> = new Set([
  'default',
  'standard',
  'on_demand',
  'scale',
  'provisioned_throughput',
])

export function isStandardTier(name: string): boolean {
  return STANDARD_TIERS.has(name)
}
