// Shadow counter: counts the calls that limits would have refused if they were enforced. It keeps the counts in memory.

import type { LevelView, Meter } from '../core/meter.ts'
import { RecentMap } from '../core/recent-map.ts'
import type { CallEvent, CallListener } from './call-events.ts'

/** Limits whose counts are kept, each with its subject. The counts of those that refused nothing for longest are forgotten. */
const MAX_COUNTED_LIMITS = 10_000

/** Listens to admitted calls. */
export class ShadowCounter implements CallListener {
  readonly name = 'shadow counter'
  readonly #counts = new RecentMap<number>(MAX_COUNTED_LIMITS)

  hear(event: CallEvent): void {
    if (event.kind !== 'admitted' || event.unenforced.length === 0) return
    const { levels, unenforced, facts } = event
    for (const level of levels) {
      if (level.enforced || !unenforced.includes(level.meter.name) || !isOver(level)) continue
      const name = nameOf(level.meter, facts.simulated)
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
    }
  }

  /** How many calls a limit on a subject would have refused since the start. */
  count(meter: Meter, simulated: boolean): number {
    return this.#counts.get(nameOf(meter, simulated)) ?? 0
  }
}

/** Whether a call did not fit, by the level after it. A limit on each call keeps no level. */
export function isOver({ meter, settled, reserved, capacity }: LevelView): boolean {
  return meter.refill === 'call' || settled + reserved > capacity
}

function nameOf({ who, subject, what, span }: Meter, simulated: boolean): string {
  return `${simulated} ${who}:${subject}/${what}/${span}`
}
