// Booking watch: counts, by model, answers that state another cost than the price book has, and usage that cannot be true.

import type { CallFacts, Outcome } from '../core/ledger-entry.ts'
import type { CallEvent, CallListener, Telemetry } from './call-events.ts'

/** Callers may send any model name, so this bounds what is remembered. */
const MAX_MODELS = 1_000
/** A smaller difference is rounding. In percent. */
const MIN_DIFFERENCE_PERCENT = 1n

/** What was booked for a model's calls since the process started. Costs are nano-dollars. */
export interface ModelBookings {
  readonly provider: string
  readonly model: string
  /** Calls whose answers stated a cost. */
  statedCalls: number
  /** Those of them whose stated cost differs by more than 1 % from that of the price book. */
  differingCalls: number
  statedNanoUsd: bigint
  computedNanoUsd: bigint
  /** Calls whose usage cannot be true: they were booked at their reservation. */
  incredibleCalls: number
}

export class BookingWatch implements CallListener {
  readonly name = 'booking watch'
  readonly #telemetry: Telemetry
  readonly #models = new Map<string, ModelBookings>()

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry
  }

  hear(event: CallEvent): void {
    if (event.kind !== 'settled') return
    const { facts, outcome, isIncredible } = event
    if (isIncredible) this.#countIncredible(facts)
    if (outcome.providerCost) this.#countStated(facts, outcome.providerCost)
  }

  /** The models with something to tell. */
  models(): readonly Readonly<ModelBookings>[] {
    return [...this.#models.values()]
  }

  #countIncredible(facts: CallFacts): void {
    const bookings = this.#bookingsOf(facts)
    if (bookings) bookings.incredibleCalls += 1
    const { callId: call_id, provider, model } = facts
    const message = `The usage that ${provider}/${model} reported cannot be true. The call is booked at its reservation.`
    this.#telemetry.notify({
      code: 'usage_not_credible',
      level: 'warn',
      message,
      details: { call_id, provider, model },
    })
  }

  #countStated(facts: CallFacts, { statedNanoUsd, computedNanoUsd }: NonNullable<Outcome['providerCost']>): void {
    const bookings = this.#bookingsOf(facts)
    if (!bookings) return
    bookings.statedCalls += 1
    bookings.statedNanoUsd += statedNanoUsd
    bookings.computedNanoUsd += computedNanoUsd
    const difference =
      statedNanoUsd > computedNanoUsd ? statedNanoUsd - computedNanoUsd : computedNanoUsd - statedNanoUsd
    if (difference * 100n > statedNanoUsd * MIN_DIFFERENCE_PERCENT) bookings.differingCalls += 1
  }

  #bookingsOf({ provider, model }: CallFacts): ModelBookings | undefined {
    const name = `${provider}/${model}`
    const known = this.#models.get(name)
    if (known || this.#models.size >= MAX_MODELS) return known
    const bookings = {
      provider,
      model,
      statedCalls: 0,
      differingCalls: 0,
      statedNanoUsd: 0n,
      computedNanoUsd: 0n,
      incredibleCalls: 0,
    }
    this.#models.set(name, bookings)
    return bookings
  }
}
