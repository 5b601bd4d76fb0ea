// Key windows: the windows that a change of one key's limits adds. It reads and writes nothing.

import type { KeyLimits } from '../core/key-limits.ts'
import type { Limit, LimitPlan } from '../core/limits.ts'
import type { NewWindow } from './window-seeds.ts'

/** The windows that calls of a key are charged with after a change and were not before. */
export function newKeyWindows(id: string, before: KeyLimits, after: KeyLimits, plan: LimitPlan): NewWindow[] {
  const known = new Set(windowsOf(id, before, plan).map(nameOf))
  return windowsOf(id, after, plan).filter((window) => !known.has(nameOf(window)))
}

/** The key's own, and those of limits on keys that it does not replace. */
function windowsOf(id: string, keyLimits: KeyLimits, plan: LimitPlan): NewWindow[] {
  const shared = plan.limitsOf({ who: 'key', subject: id }).filter(({ what, span }) => !keyLimits.has(what, span))
  const own = keyLimits.limits.map((limit) => windowOf(id, limit, keyLimits.timeZone ?? plan.timeZone))
  return [...own, ...shared.map((limit) => windowOf(id, limit, plan.timeZone))].filter(
    ({ limit }) => limit.refill === 'window',
  )
}

function windowOf(id: string, limit: Limit, timeZone: string): NewWindow {
  return { limit: { ...limit, subject: id }, timeZone, isCounted: () => false }
}

function nameOf({ limit: { what, span }, timeZone }: NewWindow): string {
  return `${what}/${span}/${span === 'total' ? '' : timeZone}`
}
