// Calls, charges and outcomes for tests of stores, with defaults for what a test does not name.

import { windowAt } from '../../src/core/calendar.ts'
import type { Caller, CallFacts, Outcome, Reservation } from '../../src/core/ledger-entry.ts'
import type { UsedAmounts } from '../../src/core/levels.ts'
import { type Limit, meterOf, NO_SUBJECTS } from '../../src/core/limits.ts'
import type { Charge, Instant, What } from '../../src/core/meter.ts'
import { usageOf } from '../../src/core/usage.ts'

export const START_MS = Date.UTC(2026, 10, 22, 12, 0, 0)
export const at = (afterMs = 0): Instant => ({ wallMs: START_MS + afterMs, monoMs: START_MS + afterMs })

export function factsOf(
  callId: string,
  overrides: Partial<Omit<CallFacts, 'caller'>> & { caller?: Partial<Caller> } = {},
) {
  const facts: CallFacts = {
    callId,
    operation: null,
    dialect: 'openai-chat',
    provider: 'openai',
    requestedModel: 'gpt-4o',
    model: 'gpt-4o',
    reservedAtMs: START_MS,
    day: windowAt('day', 'UTC', overrides.reservedAtMs ?? START_MS).id.slice(4),
    reservedTokens: 100,
    reservedCostNanoUsd: 1000n,
    priceVersion: 'test@1',
    costKnown: true,
    streaming: false,
    capAsked: null,
    capInjected: null,
    simulated: false,
    items: null,
    metadata: null,
    idempotency: null,
    ...overrides,
    caller: { ...NO_SUBJECTS.caller, ...overrides.caller },
  }
  return facts
}

type LimitName =
  | 'requests/minute'
  | 'tokens/minute'
  | 'cost/day'
  | 'cost/minute'
  | 'cost/total'
  | 'inFlight'
  | 'cost/call'

const REFILL = {
  'requests/minute': 'steady',
  'tokens/minute': 'steady',
  'cost/day': 'window',
  'cost/minute': 'window',
  'cost/total': 'window',
  inFlight: 'none',
  'cost/call': 'call',
} as const

/** A charge on the limit of that name, in the window of that instant. */
export function chargeOf(
  name: LimitName,
  amount: bigint,
  capacity: bigint,
  { subject = 'a', enforced = true, now = at() }: { subject?: string; enforced?: boolean; now?: Instant } = {},
): Charge {
  const [what, span] =
    name === 'inFlight' ? (['inFlight', 'call'] as const) : (name.split('/') as [What, Limit['span']])
  const limit: Limit = { who: 'key', subject, what, span, capacity, refill: REFILL[name], enforced }
  return { meter: meterOf(limit, subject, now.wallMs, 'UTC', ''), amount, capacity, enforced }
}

export function reservationOf(
  callId: string,
  charges: readonly Charge[],
  overrides: Parameters<typeof factsOf>[1] & { expiresAfterMs?: number } = {},
): Reservation {
  const { expiresAfterMs = 60_000, ...facts } = overrides
  const made = factsOf(callId, facts)
  return { facts: made, charges, expiresAtMs: made.reservedAtMs + expiresAfterMs }
}

export function outcomeOf(tokens: number, costNanoUsd: bigint, overrides: Partial<Outcome> = {}): Outcome {
  return {
    ending: 'completed',
    certainty: 'exact',
    usage: usageOf({ input: tokens - Math.floor(tokens / 3), output: Math.floor(tokens / 3) }),
    reasoningTokens: 0,
    cost: { inputNanoUsd: 0n, outputNanoUsd: costNanoUsd, totalNanoUsd: costNanoUsd },
    answeredModel: null,
    settledAtMs: START_MS,
    latencyMs: 5,
    timeToFirstTokenMs: null,
    attempts: [],
    upstreamLimits: null,
    ...overrides,
  }
}

export function usedOf(tokens: number, costNanoUsd: bigint): UsedAmounts {
  return { requests: 1n, tokens: BigInt(tokens), cost: costNanoUsd, inFlight: 0n }
}

/** A charge on every kind of limit: a refused or failed call must leave all of them as they were. */
export const everyCharge = (amount: bigint, capacity: bigint): Charge[] => [
  chargeOf('requests/minute', 1n, 1000n),
  chargeOf('tokens/minute', amount, capacity),
  chargeOf('cost/day', amount, capacity),
  chargeOf('cost/total', amount, capacity),
  chargeOf('inFlight', 1n, 1000n),
  chargeOf('cost/call', amount, capacity),
]
