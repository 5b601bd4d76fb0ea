// The limits of bursar.json: who they hold for, and every row of the table of what is limited over which span.

import { z } from 'zod'
import type { Span } from '../core/calendar.ts'
import { listOf } from '../core/issue-text.ts'
import { DEFAULT_REFILLS, type Limit, SCOPED_BY, WHO } from '../core/limits.ts'
import type { Refill, What, Who } from '../core/meter.ts'
import { modelNameOf } from '../core/model-name.ts'
import { parseUsd } from '../core/money.ts'
import { strictObject, usdSchema, wholeNumber } from './schema.ts'

interface LimitName {
  readonly what: What
  readonly span: Span
  readonly refill: Refill
}

/** `requestsPerMinute`, `costPerDay`, `tokensPerCall`, `inFlight`, …: every row of the what × span table. */
const LIMIT_NAMES: ReadonlyMap<string, LimitName> = new Map(
  (Object.entries(DEFAULT_REFILLS) as [What, Partial<Record<Span, Refill>>][]).flatMap(([what, spans]) =>
    (Object.entries(spans) as [Span, Refill][]).map(([span, refill]) => [
      what === 'inFlight' ? what : `${what}Per${capitalize(span)}`,
      { what, span, refill },
    ]),
  ),
)

/** Nano-dollars for cost, a count for everything else. */
const costAmount = usdSchema.transform((value) => parseUsd(String(value)) ?? 0n)
const countAmount = wholeNumber(0).transform(BigInt)

/** A limit's amount, alone or with how the limit is kept. */
function limitValue(amount: typeof costAmount | typeof countAmount, example: string) {
  const options = strictObject({
    amount,
    refill: z.enum(['steady', 'window']).optional(),
    enforce: z.boolean().default(true),
  })
  const plain = amount.transform((capacity) => ({ amount: capacity, refill: undefined, enforce: true }))
  const whole = `{ "amount": ${example}, "refill": "steady" or "window", "enforce": true or false }`
  return z.union([plain, options], { error: `must be an amount such as ${example}, zero or more, or ${whole}` })
}

const limitSet = strictObject(
  Object.fromEntries(
    [...LIMIT_NAMES].map(([name, { what }]) => [
      name,
      (what === 'cost' ? limitValue(costAmount, '"2.50"') : limitValue(countAmount, '60')).optional(),
    ]),
  ),
)

export const limitsSchema = z.record(z.string(), limitSet).default({})

/** The limits of a file, in its order. What is wrong with them is added to `mistakes`. */
export function readLimits(rows: z.infer<typeof limitsSchema>, mistakes: string[]): Limit[] {
  const rowsByScope = new Map<string, string>()
  return Object.entries(rows).flatMap(([subject, set]) => {
    const scope = scopeOf(subject)
    const other = scope && rowsByScope.get(`${scope.who}:${scope.subject}`)
    const mistake =
      scopeMistake(scope) ?? (other && `must not stand beside limits.${other}, which names the same model`)
    if (scope) rowsByScope.set(`${scope.who}:${scope.subject}`, subject)
    if (mistake) mistakes.push(`limits.${subject}: ${mistake}`)
    return scope && !mistake ? limitsOf(scope, subject, set, mistakes) : []
  })
}

/** Who a set of limits holds for. Without a subject, for each of its kind. */
interface Scope {
  readonly who: Who
  readonly subject: string | undefined
}

function scopeOf(name: string): Scope | undefined {
  if (name === 'global') return { who: 'global', subject: undefined }
  const each = WHO.find((who) => who !== 'global' && name === perName(who))
  if (each) return { who: each, subject: undefined }
  const colon = name.indexOf(':')
  const who = WHO.find((kind) => kind === name.slice(0, colon))
  const subject = name.slice(colon + 1)
  if (!who || who === 'global' || subject === '') return undefined
  return { who, subject: who === 'model' ? modelSubject(subject) : subject }
}

/** A model by its one name, however the row spells it. */
function modelSubject(subject: string): string {
  const slash = subject.indexOf('/')
  const provider = subject.slice(0, slash)
  return slash < 0 ? subject : `${provider}/${modelNameOf(provider, subject.slice(slash + 1)).canonical}`
}

const SCOPE_HINTS = {
  key: 'must name its key first, such as user:alice/bob, or user:(none)/bob if there are no keys',
  provider: 'must name its provider first, such as model:openai/gpt-4o',
}

/** No call has a subject of two parts that names only the second. */
function scopeMistake(scope: Scope | undefined): string | undefined {
  if (!scope) {
    const names = ['global', ...WHO.filter((who) => who !== 'global').map(perName)]
    return `must be named ${listOf([...names, 'who:subject such as key:alice'])}`
  }
  const { who, subject } = scope
  const owner = SCOPED_BY[who]
  return subject === undefined || owner === undefined || subject.includes('/') ? undefined : SCOPE_HINTS[owner]
}

function limitsOf(scope: Scope, subject: string, set: z.infer<typeof limitSet>, mistakes: string[]): Limit[] {
  return Object.entries(set).flatMap(([name, value]) => {
    const row = LIMIT_NAMES.get(name)
    if (!row || !value) return []
    const { what, span } = row
    if (value.refill === 'steady' && !canRefillSteadily(row)) {
      mistakes.push(
        `limits.${subject}.${name}: must not have refill "steady": only requests and tokens per minute, hour or day refill steadily`,
      )
    }
    const refill = value.refill && row.refill !== 'none' && row.refill !== 'call' ? value.refill : row.refill
    return [{ ...scope, what, span, capacity: value.amount, refill, enforced: value.enforce }]
  })
}

function canRefillSteadily({ what, span, refill }: LimitName): boolean {
  return what !== 'cost' && refill !== 'call' && span !== 'month' && span !== 'total'
}

function perName(who: Who): string {
  return `per${capitalize(who)}`
}

function capitalize(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
