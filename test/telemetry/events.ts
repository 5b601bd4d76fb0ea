// Events of calls for tests of listeners, each made of as little as the test says.

import type { CallFacts, Outcome } from '../../src/core/ledger-entry.ts'
import { Problem } from '../../src/core/problem.ts'
import type { FactoredQuote } from '../../src/core/quote-overruns.ts'
import type { Refusal } from '../../src/core/refusal.ts'
import type { CallRefused, CallRejected, CallSettled } from '../../src/telemetry/call-events.ts'
import { at, factsOf, outcomeOf } from '../stores/calls.ts'

export const QUOTE: FactoredQuote = {
  inputTokens: 10,
  outputTokens: 10,
  tokens: 20,
  costNanoUsd: 1_000n,
  price: undefined,
  contextWindow: 128_000,
  injectedCap: null,
}

export function settled(facts: Partial<CallFacts> = {}, outcome: Partial<Outcome> = {}): CallSettled {
  return {
    kind: 'settled',
    at: at(),
    facts: factsOf(facts.callId ?? 'call', facts),
    outcome: outcomeOf(10, 500n, outcome),
    quote: QUOTE,
    bounded: true,
    isIncredible: false,
    ownAccount: true,
  }
}

const REFUSAL: Refusal = {
  kind: 'time',
  meter: {
    key: 'k',
    name: 'requests_per_minute',
    who: 'global',
    subject: 'global',
    what: 'requests',
    refill: 'steady',
  } as Refusal['meter'],
  limits: ['requests_per_minute'],
  needed: 1n,
  free: 0n,
  capacity: 60n,
  waitMs: 1_000,
  retryable: true,
  fittingCap: null,
  unbounded: [],
  message: 'Rate limit exceeded: requests_per_minute.',
}

export function refused(callId = 'call', model = 'gpt-4o'): CallRefused {
  const { caller } = factsOf(callId, { caller: { key: 'alice', user: 'ann' } })
  const target = { model, provider: 'openai', simulated: false }
  return { kind: 'refused', at: at(), callId, caller, ...target, refusal: REFUSAL, quote: QUOTE }
}

export function rejected(
  problem = new Problem('unauthenticated', 'Incorrect API key.'),
  callId = 'call',
): CallRejected {
  return { kind: 'rejected', at: at(), callId, problem }
}
