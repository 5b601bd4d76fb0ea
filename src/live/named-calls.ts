// Named calls: a call of each caller and target that limits name, so that their levels are known before any call is made.

import type { PastCall } from '../core/call-limits.ts'
import type { Caller } from '../core/ledger-entry.ts'
import { type Limit, type LimitPlan, NO_SUBJECT, NO_SUBJECTS, SCOPED_BY } from '../core/limits.ts'

/** @returns a call of nobody, and one for each subject that the plan's limits name */
export function namedCalls(plan: LimitPlan, simulated: boolean): readonly PastCall[] {
  const named = plan.limits.flatMap((limit) =>
    limit.subject === undefined ? [] : [callOn(limit, limit.subject, simulated)],
  )
  return [callOf({}, simulated), ...named]
}

/** A call with a key, and with nothing else. */
export function callWithKey(key: string, simulated: boolean): PastCall {
  return callOf({ key }, simulated)
}

function callOn({ who }: Limit, subject: string, simulated: boolean): PastCall {
  switch (who) {
    case 'global':
      return callOf({}, simulated)
    case 'provider':
      return callOf({}, simulated, subject, '')
    case 'model': {
      const [provider, model] = splitAt(subject)
      return callOf({}, simulated, provider, model)
    }
    case 'key':
    case 'organisation':
    case 'project':
      return callOf({ [who]: subject }, simulated)
    default: {
      const [key, name] = SCOPED_BY[who] === 'key' && subject.includes('/') ? splitAt(subject) : [NO_SUBJECT, subject]
      return callOf({ key: key === NO_SUBJECT ? null : key, [who]: name === NO_SUBJECT ? null : name }, simulated)
    }
  }
}

function splitAt(subject: string): readonly [before: string, after: string] {
  const slash = subject.indexOf('/')
  return [subject.slice(0, slash), subject.slice(slash + 1)]
}

function callOf(caller: Partial<Caller>, simulated: boolean, provider = '', model = ''): PastCall {
  return { facts: { caller: { ...NO_SUBJECTS.caller, ...caller }, provider, model, simulated }, outcome: null }
}
