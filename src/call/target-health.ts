// Target health: what the circuit of a target learns from an attempt. It never decides whether a call is sent.

import { type CircuitChange, type Circuits, CLOSED_PASS } from '../core/circuit.ts'
import type { UpstreamLimits } from '../core/ledger-entry.ts'
import type { Instant } from '../core/meter.ts'
import type { Telemetry } from '../telemetry/call-events.ts'
import { GAVE_UP_ERROR, UNMADE_ATTEMPT_ERROR } from './attempts.ts'
import type { Dispatch } from './dispatch.ts'

interface HealthParts {
  readonly circuits: Circuits
  readonly telemetry: Telemetry
}

/** Errors that end an attempt and say nothing about its target. */
const CIRCUIT_NEUTRAL_ERRORS: ReadonlySet<string> = new Set([
  'client left',
  'client too slow',
  'shutting_down',
  'internal',
  'answer too large',
  // The request may be what is wrong.
  'error event',
  GAVE_UP_ERROR,
  UNMADE_ATTEMPT_ERROR,
])

/** How long a target cools that refused without saying for how long. */
const DEFAULT_COOLING_MS = 5_000

/**
 * Reports how an attempt ended. Simulated targets have no circuit.
 * @param status of the answer; null if none came
 * @param error why the attempt failed, in a word or two; null if it did not
 */
export function reportAttempt(
  parts: HealthParts,
  { provider, admitted, circuitPass }: Dispatch,
  status: number | null,
  error: string | null,
  at: Instant,
): void {
  if (provider.simulated) return
  const { circuits, telemetry } = parts
  const { model } = admitted.facts
  if (error !== null && CIRCUIT_NEUTRAL_ERRORS.has(error)) {
    circuits.release(provider.name, model, circuitPass)
    return
  }
  const failed = isTargetFailure(status, error)
  const change = circuits.recordResult(provider.name, model, failed, circuitPass, at.monoMs)
  if (change) emitChange(telemetry, change, provider.name, model, at)
}

/**
 * Reports a probe as successful once its answer begins, so that other calls need not wait for the end of a long answer.
 * Returns the dispatch without its probe.
 */
export function reportProbeAnswered({ circuits, telemetry }: HealthParts, dispatch: Dispatch, at: Instant): Dispatch {
  const { admitted, circuitPass } = dispatch
  if (circuitPass.kind !== 'probe') return dispatch
  const { provider, model } = admitted.facts
  const change = circuits.recordResult(provider, model, false, circuitPass, at.monoMs)
  if (change) emitChange(telemetry, change, provider, model, at)
  return { ...dispatch, circuitPass: CLOSED_PASS }
}

/** Puts a target that answered 429 last in line for a while. A refusal for a caller's own key does not affect the gateway's. */
export function coolTarget(
  circuits: Circuits,
  { provider, outgoing, admitted }: Dispatch,
  limits: UpstreamLimits | null,
  monoMs: number,
): void {
  if (provider.simulated || outgoing.callerKey) return
  circuits.startCooling(provider.name, admitted.facts.model, limits?.retryAfterMs ?? DEFAULT_COOLING_MS, monoMs)
}

function emitChange(telemetry: Telemetry, change: CircuitChange, provider: string, model: string, at: Instant): void {
  telemetry.emit({ kind: change === 'opened' ? 'circuit_opened' : 'circuit_closed', at, provider, model })
}

/** True if the target could not be reached, broke off, or answered 5xx. A refusal of this one call does not count. */
function isTargetFailure(status: number | null, error: string | null): boolean {
  if (error === null || error === 'no usage') return false
  return status === null || status >= 500 || status < 300
}
