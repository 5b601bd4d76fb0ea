// Refusal counter: counts refused and rejected calls in the ledger, by limit or problem code, and by key. It writes no row for a call.

import type { CallFacts } from '../core/ledger-entry.ts'
import type { Instant } from '../core/meter.ts'
import type { LedgerRecord, Store } from '../stores/store.ts'
import { QUARTER_MS } from '../stores/usage-query.ts'
import type { CallEvent, CallListener, Telemetry } from './call-events.ts'
import { isOver } from './shadow-counter.ts'

type Refusals = Extract<LedgerRecord, { kind: 'refusals' }>

/** Counts of this many limits and keys are handed over at once. */
const MAX_WAITING_COUNTS = 1_000

/**
 * Listens to refused and rejected calls, and to admitted calls that a limit would have refused if it were enforced. The counts of one
 * turn of the event loop are handed over together, so that a flood of refusals costs little. If the ledger cannot be written, emits a
 * notice and loses the counts.
 */
export class RefusalCounter implements CallListener {
  readonly name = 'refusal counter'
  readonly #store: Pick<Store, 'append'>
  readonly #telemetry: Telemetry
  readonly #defer: (callback: () => void) => unknown
  readonly #waiting = new Map<string, Refusals>()
  #at: Instant | undefined

  /** @param defer calls back once the turn of the event loop is over */
  constructor(store: Pick<Store, 'append'>, telemetry: Telemetry, defer: (callback: () => void) => unknown) {
    this.#store = store
    this.#telemetry = telemetry
    this.#defer = defer
  }

  hear(event: CallEvent): void {
    if (event.kind === 'refused') {
      const { refusal, caller, simulated, at } = event
      this.#countLimit(refusal.meter.name, caller.key, at, simulated, false)
    } else if (event.kind === 'rejected') this.#count(event.problem.code, event.problem.code, event.at)
    else if (event.kind === 'admitted' && event.unenforced.length > 0) {
      const { facts, at } = event
      for (const limit of shadowLimitsOf(event)) this.#countLimit(limit, facts.caller.key, at, facts.simulated, true)
    }
  }

  /** Hands over what waits. Resolves once the ledger has it, or has refused it. */
  async flush(): Promise<void> {
    const at = this.#at
    if (!at || this.#waiting.size === 0) return
    const records = [...this.#waiting.values()]
    this.#waiting.clear()
    try {
      await this.#store.append(records, at)
    } catch (error) {
      const message = 'Refusals could not be counted in the ledger.'
      this.#telemetry.notify({ code: 'store_write_failed', level: 'error', message, error })
    }
  }

  #countLimit(limit: string, key: CallFacts['caller']['key'], at: Instant, simulated: boolean, isShadow: boolean) {
    const quarter = Math.floor(at.wallMs / QUARTER_MS)
    const name = JSON.stringify([limit, key, quarter, simulated, isShadow])
    this.#count(name, limit, at, { key, atMs: at.wallMs, simulated, isShadow })
  }

  #count(name: string, reason: string, at: Instant, refused?: Refusals['refused']): void {
    if (this.#waiting.size === 0) this.#defer(() => void this.flush())
    const count = (this.#waiting.get(name)?.count ?? 0) + 1
    this.#waiting.set(name, { kind: 'refusals', reason, count, ...(refused ? { refused } : {}) })
    this.#at = at
    if (this.#waiting.size >= MAX_WAITING_COUNTS) void this.flush()
  }
}

/** The limits that are not enforced and that the call does not fit, each once, whatever the number of its subjects. */
function shadowLimitsOf({ unenforced, levels }: Extract<CallEvent, { kind: 'admitted' }>): ReadonlySet<string> {
  const over = levels.filter((level) => !level.enforced && unenforced.includes(level.meter.name) && isOver(level))
  return new Set(over.map(({ meter }) => meter.name))
}
