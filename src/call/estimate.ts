// Estimate: what a call would reserve, and whether it fits now. Reserves nothing and sends nothing.

import { fitsIn } from '../core/charges.ts'
import type { Clock } from '../core/clock.ts'
import type { LevelView } from '../core/meter.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Callers } from '../keys/callers.ts'
import type { Store } from '../stores/store.ts'
import type { Dialect } from '../wire/dialect.ts'
import type { Applicant, RouteQuote } from './applicant.ts'
import type { Gate } from './gate.ts'

/** One limit that applies to the call. */
export interface EstimateCheck {
  readonly level: LevelView
  /** The amount that the call needs, in the unit of the limit. */
  readonly needed: bigint
  readonly fits: boolean
}

/** What a call would reserve. Costs are nano-dollars. */
export interface Estimate {
  readonly applicant: Applicant
  readonly quote: RouteQuote
  /** Every limit that applies, in the order in which they are configured. */
  readonly checks: readonly EstimateCheck[]
  /** Every limit lets the call through. */
  readonly fits: boolean
  /** The provider counts files of the call before anything is reserved, which may then be less than the quote. */
  readonly countedFirst: boolean
}

export interface EstimateParts {
  readonly gate: Pick<Gate, 'applicantFor' | 'admissionControl'>
  readonly callers: Pick<Callers, 'identify'>
  readonly store: Pick<Store, 'levels'>
  readonly clock: Clock
}

/** The estimate for the request of `exchange`. Rejects with the same Problem as the call would. */
export async function estimateCall(
  { gate, callers, store, clock }: EstimateParts,
  exchange: Exchange,
  dialect: Dialect,
  body: Buffer,
): Promise<Estimate> {
  const applicant = gate.applicantFor(exchange, dialect, body, await callers.identify(exchange))
  const now = clock.now()
  const quote = gate.admissionControl.quote(applicant, now)
  const charges = gate.admissionControl.charges(applicant, quote, now)
  const levels = await store.levels(charges, now)
  const checks = charges.flatMap((charge, index) => {
    const level = levels[index]
    return level ? [{ level, needed: charge.amount, fits: fitsIn(charge, level) }] : []
  })
  const fits = checks.length === charges.length && checks.every((check) => check.fits)
  return { applicant, quote, checks, fits, countedFirst: gate.admissionControl.countsFilesOf(applicant) }
}
