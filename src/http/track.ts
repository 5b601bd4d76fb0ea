// Track: POST /token-usage/track, calls that were made elsewhere and enter the ledger at their own time.

import { setImmediate as turn } from 'node:timers/promises'
import { z } from 'zod'
import type { TrackedCall, TrackResult } from '../call/tracking.ts'
import { placeText } from '../config/findings.ts'
import { hasMoreValuesThan, isRecord } from '../core/json-values.ts'
import { jsonUsd } from '../core/money.ts'
import { Problem } from '../core/problem.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import { endpointsFor, RAW_BODY } from './endpoint.ts'
import { CallReader, type Mistake, type TrackParts } from './tracked-calls.ts'

const endpoint = endpointsFor<TrackParts>()

const MAX_CALLS = 1_000
/** Checking so many calls takes a millisecond or two; others of the gateway do not wait for more. */
const CALLS_PER_TURN = 50
const MAX_JSON_VALUES = 100_000
const MAX_SHOWN_MISTAKES = 100

export const TRACK = endpoint({
  method: 'POST',
  path: '/token-usage/track',
  role: 'key',
  summary: 'Adds calls that were made elsewhere to the ledger, at their own time, each once. No limit refuses them.',
  body: RAW_BODY,
  answer: z.strictObject({
    tracked: countSchema,
    /** Ids that are in the ledger with the same figures. */
    already_tracked: countSchema,
    /** Ids that are in the ledger with other figures, which stay. */
    different: countSchema,
    calls: z.array(
      z.strictObject({
        id: z.string(),
        /** The name of the call in records and in `/llm/explain/{call_id}`. */
        call_id: z.string(),
        status: z.enum(['tracked', 'already_tracked', 'different']),
        /** The fields that the ledger has otherwise. */
        differences: z.array(z.string()),
        total_cost: usdSchema,
        cost_known: z.boolean(),
        price_version: z.string().nullable(),
      }),
    ),
  }),
}).handle(async (parts, { sender, body }) => {
  const { calls: written, isList } = callsIn(await body())
  const mistakes: Mistake[] = []
  const reader = new CallReader(parts, sender)
  const calls: TrackedCall[] = []
  for (const [index, value] of written.entries()) {
    if (index % CALLS_PER_TURN === CALLS_PER_TURN - 1) await turn()
    const call = await reader.read(value, isList ? ['calls', index] : [], mistakes)
    if (call) calls.push(call)
  }
  if (mistakes.length > 0) throw problemOf(mistakes)
  const results = await parts.tracking.track(calls)
  const count = (status: TrackResult['status']) => results.filter((result) => result.status === status).length
  return {
    answer: {
      tracked: count('tracked'),
      already_tracked: count('already_tracked'),
      different: count('different'),
      calls: results.map(({ callId, status, differences, cost: { totalNanoUsd }, costKnown, priceVersion }, index) => ({
        id: calls[index]?.id ?? '',
        call_id: callId,
        status,
        differences: [...differences],
        total_cost: jsonUsd(totalNanoUsd),
        cost_known: costKnown,
        price_version: priceVersion,
      })),
    },
  }
})

/** One call, a list of calls, or an object with a list: `{"calls": […]}`. Throws Problem. */
function callsIn(body: Buffer): { readonly calls: readonly unknown[]; readonly isList: boolean } {
  const text = body.toString()
  if (hasMoreValuesThan(text, MAX_JSON_VALUES))
    throw new Problem('invalid_request', `The request has more than ${MAX_JSON_VALUES} values.`)
  const value = parse(text)
  const list = Array.isArray(value) ? value : isRecord(value) && Array.isArray(value.calls) ? value.calls : undefined
  if (list === undefined) return { calls: [value], isList: false }
  if (isRecord(value) && Object.keys(value).length > 1)
    throw new Problem('invalid_request', 'calls: must be the only field of the body', 'calls')
  if (list.length === 0 || list.length > MAX_CALLS)
    throw new Problem('invalid_request', `calls: must have 1 to ${MAX_CALLS} calls`, 'calls')
  return { calls: list, isList: true }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Problem('invalid_json', 'The request body is not valid JSON.')
  }
}

/** Names every mistake, so that a list is mended in one go. Nothing of the list is in the ledger. */
function problemOf(mistakes: readonly Mistake[]): Problem {
  const [first] = mistakes
  const texts = mistakes
    .slice(0, MAX_SHOWN_MISTAKES)
    .map(({ place, text }) => `${placeText(place, 'the call')}: ${text}`)
  const more = mistakes.length - texts.length
  if (more > 0) texts.push(`and ${more} more mistakes`)
  const code =
    first?.code !== undefined && mistakes.every((mistake) => mistake.code === first.code) ? first.code : undefined
  return new Problem(code ?? 'invalid_request', texts.join('\n'), first ? placeText(first.place, 'the call') : null)
}
