// Explain: GET /llm/explain/{call_id}, what a call cost or why it was refused.

import { z } from 'zod'
import { Problem } from '../core/problem.ts'
import type { Viewer } from '../keys/callers.ts'
import type { Store } from '../stores/store.ts'
import type { RefusalHistory } from '../telemetry/refusal-history.ts'
import { explainedJson, explainedSchema, refusedJson, refusedSchema } from './call-views.ts'
import { endpointsFor } from './endpoint.ts'

export interface ExplainParts {
  readonly store: Pick<Store, 'entry' | 'adjustments'>
  readonly refusals: Pick<RefusalHistory, 'find'>
}

const endpoint = endpointsFor<ExplainParts>()

export const EXPLAIN = endpoint({
  method: 'GET',
  path: '/llm/explain/:call_id',
  role: 'figures',
  summary: 'What a call cost, attempt by attempt, or why it was refused.',
  params: z.strictObject({ call_id: z.string() }),
  answer: z.discriminatedUnion('status', [explainedSchema, refusedSchema]),
}).handle(async ({ store, refusals }, { sender, params: { call_id } }) => {
  const entry = await store.entry(call_id)
  if (entry && maySee(sender, entry.facts.caller.key))
    return { answer: explainedJson(entry, await store.adjustments(call_id)) }
  const refused = refusals.find(call_id)
  if (refused && maySee(sender, refused.caller.key)) return { answer: refusedJson(refused) }
  const message =
    'There is no such call. Refused calls are kept only for a while, and calls older than RETENTION_DAYS are deleted.'
  throw new Problem('not_found', message, 'call_id')
})

function maySee(viewer: Viewer, key: string | null): boolean {
  return viewer.role !== 'key' || viewer.key === key
}
