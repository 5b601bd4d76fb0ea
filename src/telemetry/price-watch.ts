// Notices models that are called although their price is not known: their calls are settled at a cost of 0.

import type { CallEvent, CallListener, Telemetry } from './call-events.ts'

/** Callers may send any model name, so this bounds what is remembered. */
const MAX_MODELS = 1_000

/** Notifies once for each model, until the process ends. */
export class PriceWatch implements CallListener {
  readonly name = 'price watch'
  readonly #telemetry: Telemetry
  readonly #models = new Set<string>()

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry
  }

  /** The models whose price was not known when they were called, as `provider/model`. */
  get models(): readonly string[] {
    return [...this.#models]
  }

  hear(event: CallEvent): void {
    if (event.kind !== 'admitted' || event.facts.costKnown) return
    const { provider, model } = event.facts
    const name = `${provider}/${model}`
    if (this.#models.has(name) || this.#models.size >= MAX_MODELS) return
    this.#models.add(name)
    const message = `The price of ${name} is not known, so its calls are settled at $0. Put its price into bursar.json.`
    this.#telemetry.notify({ code: 'price_unknown', level: 'warn', message, details: { provider, model } })
  }
}
