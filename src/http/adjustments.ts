// Adjustments: POST /admin/adjustments, what a call did cost if the ledger has another figure.

import { z } from 'zod'
import type { Adjustments } from '../call/adjustments.ts'
import { usdSchema as usdInputSchema } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { jsonUsd, MAX_CALL_NANO_USD, usdOf } from '../core/money.ts'
import { usdSchema } from '../runs/run-answer.ts'
import { endpointsFor } from './endpoint.ts'

export interface AdjustmentParts {
  readonly adjustments: Adjustments
  readonly clock: Clock
}

const endpoint = endpointsFor<AdjustmentParts>()

/** Those of calls that were made elsewhere are a key, a slash and the id that their sender gave them. */
const MAX_CALL_ID_CHARACTERS = 256
const MAX_REASON_CHARACTERS = 500

const costSchema = usdInputSchema
  .transform((value) => usdOf(value) ?? 0n)
  .refine((nanoUsd) => nanoUsd <= MAX_CALL_NANO_USD, 'must be at most 1000000 dollars')

export const ADJUST = endpoint({
  method: 'POST',
  path: '/admin/adjustments',
  role: 'admin',
  summary:
    'Says what a settled call did cost. The difference is an entry of its own, in the window, the day and the sums of the call.',
  body: z.strictObject({
    call_id: z.string().min(1).max(MAX_CALL_ID_CHARACTERS),
    /** Decimal dollars, as text or as a number. */
    cost_usd: costSchema,
    reason: z.string().trim().min(1).max(MAX_REASON_CHARACTERS),
  }),
  answer: z.strictObject({
    adjustment_id: z.string(),
    call_id: z.string(),
    cost_usd: z.strictObject({ before: usdSchema, after: usdSchema, difference: usdSchema }),
    reason: z.string(),
    day: z.iso.date(),
    settled_seq: z.number().int().nullable(),
  }),
}).handle(async ({ adjustments, clock }, { sender, body }) => {
  const { call_id: callId, cost_usd: costNanoUsd, reason } = await body()
  const { entry, beforeNanoUsd } = await adjustments.apply({ callId, costNanoUsd, reason }, sender.actor, clock.now())
  return {
    answer: {
      adjustment_id: entry.facts.callId,
      call_id: callId,
      cost_usd: {
        before: jsonUsd(beforeNanoUsd),
        after: jsonUsd(costNanoUsd),
        difference: jsonUsd(costNanoUsd - beforeNanoUsd),
      },
      reason,
      day: entry.facts.day,
      settled_seq: entry.settledSeq,
    },
  }
})
