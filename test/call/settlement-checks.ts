// Settlement checks: what a test expects of the ledger, the levels and the figures after a call, all three of them.

import { expect } from 'vitest'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { totalTokens } from '../../src/core/usage.ts'
import type { GatewayFixture } from '../support/gateway.ts'
import { PRICE } from './dialect-fixtures.ts'

/** Windows only, so that levels show sums. */
export const LIMITED_CONFIG = {
  prices: [PRICE],
  limits: { global: { requestsPerDay: 1_000, tokensPerDay: 1_000_000, costPerDay: '1', inFlight: 100 } },
}

export interface SettledAmounts {
  readonly requests: number
  readonly tokens: number
  readonly costNanoUsd: bigint
  readonly inFlight: number
}

/** A JSON number of dollars, as it was before it became one. */
export const nanoUsd = (usd: number): bigint => BigInt(Math.round(usd * 1e9))

/** The settled part of every level, and the ledger. Nothing may be reserved. */
export async function readSettled(
  gateway: GatewayFixture,
): Promise<{ levels: SettledAmounts; entries: readonly Entry[] }> {
  const entries = await gateway.ledger.entries()
  const levels = await gateway.ledger.levels()
  const level = (name: string) => levels.find((row) => row.limit === name) ?? { settled: 0, reserved: 0 }
  for (const { limit, reserved } of levels) expect({ limit, reserved }).toEqual({ limit, reserved: 0 })
  return {
    levels: {
      requests: level('requests_per_day').settled,
      tokens: level('tokens_per_day').settled,
      costNanoUsd: nanoUsd(level('daily_spending_limit').settled),
      inFlight: level('max_in_flight').settled + level('max_in_flight').reserved,
    },
    entries,
  }
}

export interface ExpectedSettlement {
  readonly ending?: string
  readonly certainty: string
  /** Nano-dollars, or all that was reserved. */
  readonly cost: bigint | 'whole'
  readonly tokens?: number
}

/** The one call there was, once it is settled: the ledger, the levels and the figures agree on what was expected. */
export async function expectSettled(gateway: GatewayFixture, expected: ExpectedSettlement): Promise<Entry> {
  await gateway.ledger.holds(1)
  const { levels, entries } = await readSettled(gateway)
  const [entry] = entries
  if (!entry?.outcome || entries.length !== 1) throw new Error(`${entries.length} entries in place of one`)
  const { facts, outcome } = entry
  const costNanoUsd = expected.cost === 'whole' ? facts.reservedCostNanoUsd : expected.cost
  const tokens = expected.cost === 'whole' ? facts.reservedTokens : (expected.tokens ?? totalTokens(outcome.usage))
  expect(facts.reservedCostNanoUsd).toBeGreaterThan(0n)
  expect(outcome).toMatchObject({ certainty: expected.certainty, ending: expected.ending ?? outcome.ending })
  expect({ cost: outcome.cost.totalNanoUsd, tokens: totalTokens(outcome.usage) }).toEqual({ cost: costNanoUsd, tokens })
  expect(levels).toEqual({ requests: 1, tokens, costNanoUsd, inFlight: 0 })
  const stats = await gateway.client.asksOwner<{ total_requests: number; total_tokens: number; total_cost: number }>(
    '/llm/stats',
  )
  expect(stats).toMatchObject({ total_requests: 1, total_tokens: tokens, total_cost: Number(costNanoUsd) / 1e9 })
  return entry
}
