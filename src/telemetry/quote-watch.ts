// Quote watch: records calls that cost more than their quote, so that later quotes of their models are higher. It settles nothing.

import { QuoteOverruns } from '../core/quote-overruns.ts'
import type { CallEvent, CallListener, Telemetry } from './call-events.ts'

/** Listens to settled calls, keeps overruns by model, and emits `quote_exceeded`. */
export class QuoteWatch implements CallListener {
  readonly name = 'quote watch'
  readonly overruns = new QuoteOverruns()
  readonly #telemetry: Telemetry

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry
  }

  hear(event: CallEvent): void {
    if (event.kind !== 'settled') return
    const { at, facts, outcome, quote, bounded } = event
    if (!facts.costKnown || outcome.cost.totalNanoUsd <= facts.reservedCostNanoUsd) return
    const reason = this.overruns.add(facts, outcome, quote, bounded)
    this.#telemetry.emit({ kind: 'quote_exceeded', at, facts, outcome, reason })
  }
}
