// Call events: what happens to calls, as values that listeners hear. Nothing here slows, changes or fails a call.

import type { Caller, CallFacts, Outcome } from '../core/ledger-entry.ts'
import type { Instant, LevelView } from '../core/meter.ts'
import type { Problem } from '../core/problem.ts'
import type { Quote } from '../core/quote.ts'
import type { FactoredQuote, OverrunReason } from '../core/quote-overruns.ts'
import type { Refusal } from '../core/refusal.ts'

/** The call was reserved and is about to be sent. */
export interface CallAdmitted {
  readonly kind: 'admitted'
  readonly at: Instant
  readonly facts: CallFacts
  /** The level of each of the call's meters after the reservation. */
  readonly levels: readonly LevelView[]
  /** Names of limits that are not enforced and would have refused the call. */
  readonly unenforced: readonly string[]
}

/** A limit refused the call. The call consumed nothing and has no row in the ledger. */
export interface CallRefused {
  readonly kind: 'refused'
  readonly at: Instant
  readonly callId: string
  readonly caller: Caller
  /** The model as the caller wrote it. */
  readonly model: string
  readonly provider: string
  readonly simulated: boolean
  readonly refusal: Refusal
  readonly quote: Quote
}

/** The call was not admitted for another reason than a limit. */
export interface CallRejected {
  readonly kind: 'rejected'
  readonly at: Instant
  readonly callId: string
  readonly problem: Problem
}

/**
 * The call is over. The settlement is on its way to the ledger; if the reservation had expired there, `settled_late`
 * follows. No event tells that a reservation expires.
 */
export interface CallSettled {
  readonly kind: 'settled'
  readonly at: Instant
  readonly facts: CallFacts
  readonly outcome: Outcome
  /** The quote of the target that answered. */
  readonly quote: FactoredQuote
  /** False if something in the call has no upper bound: hosted tools and the like. */
  readonly bounded: boolean
  /** True if the reported usage could not be true, so that the call is booked at its reservation. */
  readonly isIncredible: boolean
  /** False if the caller's own provider key was used: the provider's limits are the caller's too. */
  readonly ownAccount: boolean
}

/** A settlement came after the call had expired. The settlement changed nothing. */
export interface CallSettledLate {
  readonly kind: 'settled_late'
  readonly at: Instant
  readonly facts: CallFacts
  readonly outcome: Outcome
}

/** Calls that were made elsewhere, or corrections of calls, are in the ledger, and count on the levels of their limits. */
export interface CallsBooked {
  readonly kind: 'booked'
  readonly at: Instant
  readonly calls: readonly { readonly facts: CallFacts; readonly outcome: Outcome }[]
}

/** A settled call cost more than was reserved for it. The cost was settled in full; the promise did not hold for this call. */
export interface QuoteExceeded {
  readonly kind: 'quote_exceeded'
  readonly at: Instant
  readonly facts: CallFacts
  readonly outcome: Outcome
  readonly reason: OverrunReason
}

/** A provider's own limit that is nearly used up. Null for what the provider does not report. */
export interface LowLimit {
  readonly name: string
  readonly limit: number | null
  readonly remaining: number | null
  readonly resetMs: number | null
}

/** Little is left of a limit that a provider has for us: the provider is about to refuse calls. */
export interface UpstreamLimitLow {
  readonly kind: 'upstream_limit_low'
  readonly at: Instant
  readonly provider: string
  readonly model: string
  readonly limit: LowLimit
}

/** Calls to a target failed so often that none are sent for a while. */
export interface CircuitOpened {
  readonly kind: 'circuit_opened'
  readonly at: Instant
  readonly provider: string
  readonly model: string
}

/** A target whose circuit was open answers again. */
export interface CircuitClosed {
  readonly kind: 'circuit_closed'
  readonly at: Instant
  readonly provider: string
  readonly model: string
}

export type CallEvent =
  | CallAdmitted
  | CallRefused
  | CallRejected
  | CallSettled
  | CallSettledLate
  | CallsBooked
  | QuoteExceeded
  | UpstreamLimitLow
  | CircuitOpened
  | CircuitClosed

/** The codes of notices, for programs that act on some of them. */
export type NoticeCode =
  | 'alert_not_delivered'
  | 'alert_receiver_gone'
  | 'alerts_failing'
  | 'alerts_lost'
  | 'call_failed_internally'
  | 'calls_need_no_key'
  | 'configuration_not_reloaded'
  | 'configuration_reloaded'
  | 'configuration_warning'
  | 'cost_not_limited'
  | 'ledger_available'
  | 'live_levels_not_read'
  | 'sums_lost'
  | 'ledger_unavailable'
  | 'open_to_everyone'
  | 'model_ends'
  | 'price_changes'
  | 'price_unknown'
  | 'prices_not_downloaded'
  | 'prices_old'
  | 'provider_address_wrong'
  | 'rows_deleted'
  | 'rows_not_deleted'
  | 'sessions_not_deleted'
  | 'setting_ignored'
  | 'sign_ins_slowed'
  | 'store_write_failed'
  | 'sweep_failed'
  | 'usage_not_credible'

/** Something that an operator should know and that is no event of a call. */
export interface Notice {
  readonly code: NoticeCode
  readonly level: 'info' | 'warn' | 'error'
  /** A sentence: what happened and what to do. It holds no secret. */
  readonly message: string
  /** Names and figures that belong to the message, in snake_case. */
  readonly details?: Readonly<Record<string, unknown>>
  /** What was thrown. */
  readonly error?: unknown
}

/** The notice of a bug, or of a ledger that cannot be read, which failed a call or a run. */
export function internalFailure(callId: string, error: unknown): Notice {
  const message = 'A call failed in the gateway itself.'
  return { code: 'call_failed_internally', level: 'error', message, details: { call_id: callId }, error }
}

/** The notice of an address that is no API's. */
export function misdirection({ message }: Problem, provider: string): Notice {
  return { code: 'provider_address_wrong', level: 'warn', message, details: { provider } }
}

/**
 * Hears of calls. A listener is called in the call's own turn of the event loop: it takes note and returns, and does its work
 * later. A listener that throws is counted and harms neither the call nor other listeners.
 *
 * @example
 * const slowCalls: CallListener = {
 *   name: 'slow calls',
 *   hear(event) {
 *     if (event.kind === 'settled' && event.outcome.latencyMs > 10_000) count += 1
 *   },
 * }
 */
export interface CallListener {
  readonly name: string
  hear(event: CallEvent): void
  /** Hears of notices too. */
  notice?(notice: Notice): void
}

/** Hands every event to every listener, in the order in which they were added. */
export class Telemetry {
  readonly #listeners: CallListener[] = []
  readonly #failures = new Map<string, number>()

  /** Returns the way to remove the listener again. */
  listen(listener: CallListener): () => void {
    this.#listeners.push(listener)
    return () => {
      const index = this.#listeners.indexOf(listener)
      if (index >= 0) this.#listeners.splice(index, 1)
    }
  }

  /** Never throws. A listener may emit an event of its own, which all listeners hear at once. */
  emit(event: CallEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener.hear(event)
      } catch {
        this.#countFailure(listener)
      }
    }
  }

  /** Never throws. */
  notify(notice: Notice): void {
    for (const listener of this.#listeners) {
      try {
        listener.notice?.(notice)
      } catch {
        this.#countFailure(listener)
      }
    }
  }

  /** How often each listener has thrown, by its name. */
  get failures(): ReadonlyMap<string, number> {
    return this.#failures
  }

  #countFailure({ name }: CallListener): void {
    this.#failures.set(name, (this.#failures.get(name) ?? 0) + 1)
  }
}
