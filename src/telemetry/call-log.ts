// The log: one line for every call, and one for every event that an operator should know of. It holds figures and names, and never
// content or secrets.

import type { Logger } from 'pino'
import { CERTAINTY_NAMES } from '../core/ledger-entry.ts'
import { formatUsd } from '../core/money.ts'
import { REFUSAL_REASONS } from '../core/refusal.ts'
import { inputTokens, outputTokens } from '../core/usage.ts'
import type {
  CallEvent,
  CallListener,
  CallRefused,
  CallRejected,
  CallSettled,
  Notice,
  QuoteExceeded,
  UpstreamLimitLow,
} from './call-events.ts'

/** Writes events and notices to a pino logger, which decides on levels, redaction and where lines go. */
export class CallLog implements CallListener {
  readonly name = 'log'
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  hear(event: CallEvent): void {
    switch (event.kind) {
      case 'settled':
        if (this.#log.isLevelEnabled('info')) this.#log.info(settledFields(event), 'call')
        return
      case 'refused':
        this.#log.info(refusedFields(event), 'call')
        return
      case 'rejected':
        this.#log[event.problem.status >= 500 ? 'warn' : 'info'](rejectedFields(event), 'call')
        return
      case 'settled_late':
        this.#log.warn({ call_id: event.facts.callId }, 'a call was settled after it had expired; nothing changed')
        return
      case 'quote_exceeded':
        this.#log.warn(overrunFields(event), 'a call cost more than its quote')
        return
      case 'upstream_limit_low':
        this.#log.warn(lowLimitFields(event), 'a provider is about to refuse calls: little is left of its own limit')
        return
      case 'circuit_opened':
        this.#log.warn(targetFields(event), 'calls to a target keep failing; none are sent for a while')
        return
      case 'circuit_closed':
        this.#log.info(targetFields(event), 'a target answers again')
    }
  }

  notice({ code, level, message, details, error }: Notice): void {
    this.#log[level]({ code, ...details, ...(error === undefined ? {} : { err: error }) }, message)
  }
}

function settledFields({ facts, outcome }: CallSettled): object {
  const { caller, model, requestedModel } = facts
  const error = outcome.attempts.at(-1)?.error ?? undefined
  return {
    call_id: facts.callId,
    key: caller.key,
    user: caller.user,
    model: requestedModel,
    provider: facts.provider,
    // pino leaves out what is undefined.
    target_model: model === requestedModel ? undefined : model,
    outcome: outcome.ending,
    certainty: CERTAINTY_NAMES[outcome.certainty],
    input_tokens: inputTokens(outcome.usage),
    output_tokens: outputTokens(outcome.usage),
    cost_usd: usdNumber(outcome.cost.totalNanoUsd),
    latency_ms: outcome.latencyMs,
    time_to_first_token_ms: outcome.timeToFirstTokenMs,
    stream: facts.streaming,
    error,
  }
}

function refusedFields({ callId, caller, model, refusal }: CallRefused): object {
  return {
    call_id: callId,
    key: caller.key,
    user: caller.user,
    model,
    outcome: 'refused',
    limit: refusal.meter.name,
    reason: REFUSAL_REASONS[refusal.kind],
    wait_ms: refusal.waitMs,
  }
}

function rejectedFields({ callId, problem }: CallRejected): object {
  return { call_id: callId, outcome: 'rejected', reason: problem.code, status: problem.status }
}

function overrunFields({ facts, outcome, reason }: QuoteExceeded): object {
  return {
    call_id: facts.callId,
    provider: facts.provider,
    model: facts.model,
    reason,
    quoted_usd: usdNumber(facts.reservedCostNanoUsd),
    cost_usd: usdNumber(outcome.cost.totalNanoUsd),
  }
}

function lowLimitFields({ provider, model, limit }: UpstreamLimitLow): object {
  const { name, limit: capacity, remaining, resetMs } = limit
  return { provider, model, limit: name, capacity, remaining, reset_ms: resetMs }
}

function targetFields({ provider, model }: { readonly provider: string; readonly model: string }): object {
  return { provider, model }
}

/** A double writes every digit of an amount below a million dollars; no call costs as much. */
function usdNumber(nanoUsd: bigint): number {
  return Number(formatUsd(nanoUsd))
}
