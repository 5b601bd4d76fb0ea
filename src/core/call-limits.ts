// Call limits: which limits count calls like one that is settled. It reads no level.

import type { KeyLimits } from './key-limits.ts'
import type { CallFacts, Outcome } from './ledger-entry.ts'
import { type LimitPlan, SIMULATED_REALM, ZERO_AMOUNTS } from './limits.ts'
import type { Charge } from './meter.ts'
import { modelNameOf } from './model-name.ts'

/** A call that is settled, made elsewhere, or corrected. */
export interface PastCall {
  readonly facts: Pick<CallFacts, 'caller' | 'provider' | 'model' | 'simulated'>
  readonly outcome: Pick<Outcome, 'attempts'> | null
}

/**
 * The limits that count a call like this one now, as charges that take nothing, each once. Limits on providers and models are those of
 * all targets of the call.
 * @param keyLimits the limits in the record of the call's key
 * @param wallMs epoch milliseconds, which select the calendar windows
 * @param soft true: no limit is enforced
 */
export function limitsOfCall(
  { facts, outcome }: PastCall,
  keyLimits: KeyLimits | undefined,
  plan: LimitPlan,
  wallMs: number,
  soft: boolean,
): Charge[] {
  const { caller, simulated } = facts
  const charges = new Map<string, Charge>()
  for (const { provider, model } of [facts, ...(outcome?.attempts ?? [])]) {
    const subjects = { caller, keyLimits, provider, ...modelNameOf(provider, model) }
    for (const charge of plan.chargesFor(subjects, ZERO_AMOUNTS, wallMs, simulated ? SIMULATED_REALM : '', soft))
      charges.set(charge.meter.key, charge)
  }
  return [...charges.values()]
}
