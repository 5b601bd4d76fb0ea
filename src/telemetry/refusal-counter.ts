// Refusal counter: counts refused and rejected calls in the ledger, by limit or problem code. It writes no row for a call.

import type { Instant } from '../core/meter.ts'
import type { Store } from '../stores/store.ts'
import type { CallEvent, CallListener, Telemetry } from './call-events.ts'

/** Listens to refused and rejected calls. If the ledger cannot be written, emits a notice and loses the count. */
export class RefusalCounter implements CallListener {
  readonly name = 'refusal counter'
  readonly #store: Pick<Store, 'append'>
  readonly #telemetry: Telemetry

  constructor(store: Pick<Store, 'append'>, telemetry: Telemetry) {
    this.#store = store
    this.#telemetry = telemetry
  }

  hear(event: CallEvent): void {
    if (event.kind === 'refused') this.#count(event.refusal.meter.name, event.at)
    else if (event.kind === 'rejected') this.#count(event.problem.code, event.at)
  }

  #count(reason: string, at: Instant): void {
    this.#store.append([{ kind: 'refusals', reason, count: 1 }], at).catch((error: unknown) => {
      const message = 'A refusal could not be counted in the ledger.'
      this.#telemetry.notify({ code: 'store_write_failed', level: 'error', message, error })
    })
  }
}
