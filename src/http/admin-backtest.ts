// Backtest: POST /admin/limits/backtest, what proposed limits would have refused. It changes no level and writes nothing.

import { z } from 'zod'
import type { Gate } from '../call/gate.ts'
import { type Finding, placeText } from '../config/findings.ts'
import { limitText, readLimits } from '../config/limits.ts'
import type { Clock } from '../core/clock.ts'
import type { Limit, LimitPlan } from '../core/limits.ts'
import { jsonUsd } from '../core/money.ts'
import { Problem } from '../core/problem.ts'
import type { Backtests } from '../limits/backtest.ts'
import type { BacktestTally, CallReference, CallSum, RefusedCall, RefusedGroup } from '../limits/backtest-tally.ts'
import { readKeyZones } from '../limits/key-documents.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import type { Registry } from '../stores/registry.ts'
import { endpointsFor } from './endpoint.ts'
import { timeJson, timeSchema } from './views.ts'

export interface BacktestParts {
  readonly clock: Clock
  readonly backtests: Backtests
  readonly plan: () => LimitPlan
  readonly registry: Registry
  readonly gate: Pick<Gate, 'isClosing'>
}

const endpoint = endpointsFor<BacktestParts>()

const DAY_MS = 86_400_000
const MAX_DAYS = 3_660
const MAX_LIMITS = 1_000
const MAX_SHOWN_ROWS = 20
const MAX_SHOWN_LIMITS = 100
const MAX_SHOWN_MISTAKES = 5

const NOTE =
  'Calls that were refused at the time are not in the ledger, and so not in this backtest. ' +
  'A refused call is gone: it is not tried again, with a smaller output cap or later, as its client might have done. ' +
  'Only the limits of this request refuse; those in force at the time have decided already what is in the ledger. ' +
  'At the start, windows that had begun count what the ledger has of them, and limits that refill steadily are full.'

const timeInput = z.iso
  .datetime({ offset: true, error: 'must be a time with its zone, such as "2026-11-22T00:00:00Z"' })
  .transform((text) => Date.parse(text))

const sumShape = { calls: countSchema, tokens: countSchema, cost_usd: usdSchema }
const callRefSchema = z.strictObject({ call_id: z.string(), reserved_at: timeSchema })
/** Refused calls, what they used, which would have been saved, and the first of them. */
const groupShape = { ...sumShape, first: callRefSchema.nullable() }

const refusedCallSchema = z.strictObject({
  ...callRefSchema.shape,
  key: z.string().nullable(),
  user: z.string().nullable(),
  provider: z.string(),
  model: z.string(),
  tokens: countSchema,
  cost_usd: usdSchema,
  limits: z.array(z.string()),
})

export const BACKTEST = endpoint({
  method: 'POST',
  path: '/admin/limits/backtest',
  role: 'admin',
  summary: 'What proposed limits would have refused, of whom, and what they would have saved: a replay of the ledger.',
  body: z.strictObject({
    days: z.number().int().min(1).max(MAX_DAYS).optional().describe('The last days, each of 24 hours.'),
    from: timeInput.optional().describe('In place of days: calls that were reserved at this time or later.'),
    to: timeInput.optional().describe('Calls that were reserved before this time. Without it: up to now.'),
    limits: z.record(z.string(), z.unknown()).describe('As `limits` of bursar.json.'),
    simulated: z.boolean().default(false).describe('Replays the simulated calls, in place of the real ones.'),
  }),
  answer: z.strictObject({
    from: timeSchema,
    to: timeSchema,
    simulated: z.boolean(),
    /** All calls of the span, and what they used. */
    replayed: z.strictObject(sumShape),
    refused: z.strictObject({ ...groupShape, calls_percent: z.number().min(0).max(100) }),
    /** A call that several limits refuse counts with each of them. */
    limits: z.array(z.strictObject({ limit: z.string(), enforced: z.boolean(), ...groupShape })),
    subjects: z.array(z.strictObject({ subject: z.string(), ...groupShape })),
    keys: z.array(z.strictObject({ key: z.string().nullable(), ...groupShape })),
    refused_calls: z.array(refusedCallSchema),
    /** How many more there are than the lists show. */
    left_out: z.strictObject({
      limits: countSchema,
      subjects: countSchema,
      keys: countSchema,
      refused_calls: countSchema,
      /** Refused calls of subjects, and of keys, that came when there were too many to count each by itself. */
      calls_of_other_subjects: countSchema,
      calls_of_other_keys: countSchema,
    }),
    note: z.string(),
  }),
}).handle(async ({ clock, backtests, plan, registry, gate }, { body, signal }) => {
  const { limits: written, simulated, ...span } = await body()
  const limits = proposedLimits(written)
  const { fromMs, untilMs } = spanOf(span, clock.now().wallMs)
  const keyIds = limits.flatMap(({ who, subject }) => (who === 'key' && subject !== undefined ? [subject] : []))
  const keyZones = await readKeyZones(registry, keyIds)
  const query = { limits, timeZone: plan().timeZone, keyZones, fromMs, untilMs, simulated }
  const tally = await backtests.run(query, () => signal.aborted || gate.isClosing)
  if (!tally) throw new Problem('shutting_down', 'The backtest ended early.')
  return { answer: { from: timeJson(fromMs), to: timeJson(untilMs), simulated, ...tallyJson(tally, limits) } }
})

/** Throws Problem that names every mistake, up to a few. */
function proposedLimits(written: Readonly<Record<string, unknown>>): Limit[] {
  const mistakes: Finding[] = []
  const { limits } = readLimits(written, mistakes)
  const [first] = mistakes
  if (first) {
    const texts = mistakes.slice(0, MAX_SHOWN_MISTAKES).map(({ place, text }) => `${placeText(place)}: ${text}`)
    throw new Problem('invalid_request', texts.join('\n'), placeText(first.place))
  }
  if (limits.length === 0)
    throw new Problem('invalid_request', 'limits: must set a limit, such as {"perKey": {"costPerDay": 5}}', 'limits')
  if (limits.length > MAX_LIMITS)
    throw new Problem('invalid_request', `limits: must set at most ${MAX_LIMITS} limits`, 'limits')
  return limits.map((limit) => ({ ...limit, source: limitText(limit) }))
}

interface WrittenSpan {
  readonly days?: number | undefined
  readonly from?: number | undefined
  readonly to?: number | undefined
}

function spanOf({ days, from, to }: WrittenSpan, nowMs: number): { readonly fromMs: number; readonly untilMs: number } {
  if (days !== undefined) {
    if (from !== undefined || to !== undefined)
      throw new Problem('invalid_request', 'days: must not stand beside from and to', 'days')
    return { fromMs: nowMs - days * DAY_MS, untilMs: nowMs }
  }
  if (from === undefined) throw new Problem('invalid_request', 'days: is missing; name days, or from and to', 'days')
  const untilMs = Math.min(to ?? nowMs, nowMs)
  if (from >= untilMs) throw new Problem('invalid_request', 'from: must be before to, and in the past', 'from')
  return { fromMs: from, untilMs }
}

function tallyJson({ all, refused, limits, subjects, keys, firstCalls }: BacktestTally, proposed: readonly Limit[]) {
  const limitRows = proposed
    .map((limit) => ({ limit, group: limits.byName.get(limitText(limit)) }))
    .toSorted((left, right) => (right.group?.calls ?? 0) - (left.group?.calls ?? 0))
  const shownSubjects = largest(subjects.byName)
  const shownKeys = largest(keys.byName)
  const percent = all.calls === 0 ? 0 : Math.round((10_000 * refused.calls) / all.calls) / 100
  return {
    replayed: sumJson(all),
    refused: { ...sumJson(refused), first: refOf(firstCalls[0]?.call), calls_percent: percent },
    limits: limitRows
      .slice(0, MAX_SHOWN_LIMITS)
      .map(({ limit, group }) => ({ limit: limitText(limit), enforced: limit.enforced, ...groupJson(group) })),
    subjects: shownSubjects.map(([subject, group]) => ({ subject, ...groupJson(group) })),
    keys: shownKeys.map(([key, group]) => ({ key: key === '' ? null : key, ...groupJson(group) })),
    refused_calls: firstCalls.map(refusedCallJson),
    left_out: {
      limits: Math.max(0, limitRows.length - MAX_SHOWN_LIMITS),
      subjects: subjects.byName.size - shownSubjects.length,
      keys: keys.byName.size - shownKeys.length,
      refused_calls: refused.calls - firstCalls.length,
      calls_of_other_subjects: subjects.uncounted,
      calls_of_other_keys: keys.uncounted,
    },
    note: NOTE,
  }
}

type NamedGroup = readonly [name: string, group: RefusedGroup]

/** Those that would have saved the most. There can be very many, and to sort all would hold up calls. */
function largest(groups: ReadonlyMap<string, RefusedGroup>): readonly NamedGroup[] {
  const found: NamedGroup[] = []
  for (const group of groups) {
    const last = found.at(-1)
    if (last && found.length === MAX_SHOWN_ROWS && bySaving(last, group) <= 0) continue
    const index = found.findIndex((other) => bySaving(group, other) < 0)
    found.splice(index < 0 ? found.length : index, 0, group)
    if (found.length > MAX_SHOWN_ROWS) found.pop()
  }
  return found
}

function bySaving([, left]: NamedGroup, [, right]: NamedGroup): number {
  if (left.costNanoUsd === right.costNanoUsd) return right.calls - left.calls
  return left.costNanoUsd < right.costNanoUsd ? 1 : -1
}

function sumJson({ calls, tokens, costNanoUsd }: CallSum) {
  return { calls, tokens, cost_usd: jsonUsd(costNanoUsd) }
}

function groupJson(group: RefusedGroup | undefined) {
  return { ...sumJson(group ?? { calls: 0, tokens: 0, costNanoUsd: 0n }), first: refOf(group?.first) }
}

function refOf(call: CallReference | undefined): z.output<typeof callRefSchema> | null {
  return call ? { call_id: call.callId, reserved_at: timeJson(call.reservedAtMs) } : null
}

function refusedCallJson({ call, used, limits }: RefusedCall): z.output<typeof refusedCallSchema> {
  const { callId, reservedAtMs, caller, provider, model } = call
  return {
    call_id: callId,
    reserved_at: timeJson(reservedAtMs),
    key: caller.key,
    user: caller.user,
    provider,
    model,
    tokens: used.tokens,
    cost_usd: jsonUsd(used.costNanoUsd),
    limits: [...limits],
  }
}
