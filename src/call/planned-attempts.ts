// Planned attempts: the first attempt of an admitted call, and the attempts that may follow it. It sends nothing.

import { type AdmittedCall, type Candidate, isSameTarget } from './applicant.ts'
import { RetryPlan, type RetryPlanParts } from './attempts.ts'
import type { CallCandidate } from './candidates.ts'
import { type Dispatch, type DispatchContext, dispatchOf } from './dispatch.ts'
import type { RoutablePlan } from './routing.ts'

/** What a relay needs to send a call. */
export interface PlannedAttempts {
  readonly first: Dispatch
  /** The attempts that may follow; undefined if none may. */
  readonly retryPlan: RetryPlan<Dispatch> | undefined
}

/** What the attempts of all calls share. */
export type PlanParts = Pick<RetryPlanParts<Dispatch>, 'admissionControl' | 'circuits' | 'clock' | 'random'>

/**
 * Prepares the first attempt of an admitted call, and the plan for those that may follow.
 * @param retries how often each target is tried again
 */
export function planAttempts(
  parts: PlanParts,
  context: DispatchContext,
  { candidates, circuitPass }: RoutablePlan<CallCandidate>,
  retries: number,
  admitted: AdmittedCall,
): PlannedAttempts {
  const { applicant } = admitted
  const [best] = candidates
  // Admission may have dropped the best candidates, because they are too expensive.
  const chosen = candidates.find((candidate) => isSameTarget(candidate, applicant.first)) ?? best
  const { provider, model } = chosen
  const pass = chosen === best ? circuitPass : parts.circuits.acquire(provider.name, model, context.now.monoMs)
  const first = dispatchOf(context, admitted, chosen, pass)
  // Most calls have one target and no retries. Without a plan they hold no closure while a stream lasts, and take 40 ns less.
  if (retries === 0 && applicant.others.length === 0) return { first, retryPlan: undefined }
  const remaining = candidates.flatMap((candidate) => fallbackOf(candidate, chosen, applicant.others))
  return { first, retryPlan: new RetryPlan(retryPartsOf(parts, context, retries), admitted, chosen, remaining) }
}

/** The attempts of a call whose handler makes none: the first of these candidates, then the others. */
export function planWithoutHandler(
  parts: PlanParts,
  context: DispatchContext,
  candidates: readonly [CallCandidate, ...CallCandidate[]],
  retries: number,
  admitted: AdmittedCall,
): RetryPlan<Dispatch> {
  const { first } = admitted.applicant
  const { countedInput } = first
  // Copies, because none of them is the current candidate: the reservation is moved to the first one, too.
  const remaining = candidates.map((candidate) =>
    countedInput && isSameTarget(candidate, first) ? { ...candidate, countedInput } : { ...candidate },
  )
  return new RetryPlan(retryPartsOf(parts, context, retries), admitted, candidates[0], remaining)
}

function retryPartsOf(parts: PlanParts, context: DispatchContext, retries: number): RetryPlanParts<Dispatch> {
  return {
    ...parts,
    retries,
    deadlineMs: context.now.monoMs + context.settings.UPSTREAM_TIMEOUT_MS,
    dispatchOf: (moved, candidate, movedPass) => dispatchOf(context, moved, candidate, movedPass),
  }
}

/** The candidate with the count of its input, by which a move to it is quoted. Empty if it is no fallback of the admitted call. */
function fallbackOf(candidate: CallCandidate, chosen: CallCandidate, others: readonly Candidate[]): CallCandidate[] {
  const fallback = candidate === chosen ? undefined : others.find((other) => isSameTarget(other, candidate))
  if (!fallback) return []
  const { countedInput } = fallback
  return [countedInput ? { ...candidate, countedInput } : candidate]
}
