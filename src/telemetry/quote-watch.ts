// Notices calls that cost more than their quote, so that their models are quoted higher from then on.

import { QuoteOverruns } from '../core/quote-overruns.ts'
import type { CallEvent, CallListener, Telemetry } from './call-events.ts'

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
