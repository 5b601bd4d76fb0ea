// bursar explain: what a call cost, or why it was refused.

import { recordOf } from '../core/json-values.ts'
import type { Command } from './command.ts'
import { fieldsText, usdText } from './format.ts'

export const EXPLAIN: Command = {
  name: 'explain',
  arguments: ['CALL_ID'],
  summary: 'What a call cost, attempt by attempt, or why it was refused.',
  details: 'CALL_ID is the x-bursar-call-id of the answer. Refused calls are kept for a while only.',
  examples: [
    'bursar explain 01a2081b-932c-73ce-ae45-005c56199fce',
    'bursar explain 01a2081b-932c-73ce-ae45-005c56199fce --json | jq .cost_usd.total',
  ],
  run: async ({ args: [callId = ''], client }) => {
    const { json, value } = await client.send('GET', `/llm/explain/${encodeURIComponent(callId)}`, {
      as: 'viewer',
    })
    const { usage, cost_usd, ...fields } = value
    const used = Object.entries(recordOf(usage)).filter(([, units]) => units !== 0)
    const costs = Object.entries(recordOf(cost_usd)).map(([part, cost]) => [part, usdText(cost)])
    const shown = { ...fields, usage: Object.fromEntries(used), cost_usd: Object.fromEntries(costs) }
    return { json, text: fieldsText(shown) }
  },
}
