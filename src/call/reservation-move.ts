// Reservation move: how the reservation of a call changes when another attempt follows a failed one. Pure: it writes nothing.

import type { CallFacts } from '../core/ledger-entry.ts'
import type { Charge } from '../core/meter.ts'
import type { FactoredQuote } from '../core/quote-overruns.ts'
import type { Amendment } from '../stores/store.ts'
import type { AdmittedCall, Applicant, Bound } from './applicant.ts'

export const ZERO_BOUND: Bound = { tokens: 0, costNanoUsd: 0n }

/** An attempt that is to follow, quoted by itself. */
interface QuotedAttempt {
  /** The call with the target of this attempt as its only candidate. */
  readonly applicant: Applicant
  readonly quote: FactoredQuote
  readonly facts: CallFacts
  readonly charges: readonly Charge[]
}

export interface ReservationMove {
  /** What the store has to change. */
  readonly amendment: Amendment
  /** The call as it is admitted once the store has changed it. */
  readonly admitted: AdmittedCall
}

/**
 * The move of a reservation to the next attempt. It then holds the bound of that attempt and, for each earlier attempt that may
 * have been billed, the bound of that one on the meters it was charged to.
 * @param isBilled the attempt before may have been billed
 */
export function amendmentFor(from: AdmittedCall, next: QuotedAttempt, isBilled: boolean): ReservationMove {
  const { applicant, quote, charges } = next
  const priorBound = isBilled ? sumOf(from.priorBound, from.bound) : from.priorBound
  const priorCharges = isBilled ? [...from.priorCharges, ...billedCharges(from, charges)] : from.priorCharges
  const facts = {
    ...next.facts,
    reservedTokens: next.facts.reservedTokens + priorBound.tokens,
    reservedCostNanoUsd: next.facts.reservedCostNanoUsd + priorBound.costNanoUsd,
  }
  const { expiresAtMs } = from
  const heldCharges = [...charges.map((charge) => withPriorBound(charge, priorBound)), ...priorCharges]
  const bounded = applicant.first.request.unbounded.length === 0
  return {
    amendment: { facts, charges: heldCharges, expiresAtMs },
    admitted: { ...from, applicant, facts, quote, bound: quote, charges, priorBound, priorCharges, bounded },
  }
}

function sumOf(a: Bound, b: Bound): Bound {
  return { tokens: a.tokens + b.tokens, costNanoUsd: a.costNanoUsd + b.costNanoUsd }
}

/** The limit per call goes for all attempts of a call together. */
function withPriorBound(charge: Charge, { tokens, costNanoUsd }: Bound): Charge {
  const { refill, what } = charge.meter
  if (refill !== 'call' || (what !== 'cost' && what !== 'tokens')) return charge
  return { ...charge, amount: charge.amount + (what === 'cost' ? costNanoUsd : BigInt(tokens)) }
}

/** What a billed attempt leaves on its meters. On each meter a call is one request, however many attempts it takes. */
function billedCharges({ charges, bound }: AdmittedCall, next: readonly Charge[]): Charge[] {
  const amounts = { requests: 1n, tokens: BigInt(bound.tokens), cost: bound.costNanoUsd, inFlight: 0n }
  const isCharged = ({ meter }: Charge) => next.some((charge) => charge.meter.key === meter.key)
  return charges
    .filter(({ meter }) => meter.refill !== 'call' && meter.what !== 'inFlight')
    .filter((charge) => charge.meter.what !== 'requests' || !isCharged(charge))
    .map((charge) => ({ ...charge, amount: amounts[charge.meter.what] }))
}
