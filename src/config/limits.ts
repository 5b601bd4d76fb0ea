// The limits of bursar.json: who they hold for, and every row of the table of what is limited over which span.

import { z } from 'zod'
import type { Span } from '../core/calendar.ts'
import { listOf } from '../core/issue-text.ts'
import { DEFAULT_REFILLS, type Limit, SCOPED_BY, type Scope, WHO } from '../core/limits.ts'
import type { Refill, What, Who } from '../core/meter.ts'
import { modelNameOf } from '../core/model-name.ts'
import { formatUsd, usdOf } from '../core/money.ts'
import { didYouMean, nearestName } from '../core/nearest-name.ts'
import type { Finding, Place } from './findings.ts'
import { readEntries, readValue, strictObject, unknownKeyText, usdSchema, wholeNumber } from './schema.ts'

interface LimitName {
  readonly what: What
  readonly span: Span
  readonly refill: Refill
}

/** `requestsPerMinute`, `costPerDay`, `tokensPerCall`, `inFlight`, …: every row of the what × span table. */
const LIMIT_NAMES: ReadonlyMap<string, LimitName> = new Map(
  (Object.entries(DEFAULT_REFILLS) as [What, Partial<Record<Span, Refill>>][]).flatMap(([what, spans]) =>
    (Object.entries(spans) as [Span, Refill][]).map(([span, refill]) => [
      limitWord(what, span),
      { what, span, refill },
    ]),
  ),
)

/** Nano-dollars for cost, a count for everything else. */
const costAmount = usdSchema.transform((value) => usdOf(value) ?? 0n)
const countAmount = wholeNumber(0).transform(BigInt)

/** How a limit is kept, beside its amount. */
const limitOptions = {
  refill: z.enum(['steady', 'window']).optional(),
  enforce: z.boolean().optional(),
  shadow: z.boolean().optional(),
}

/** The two ways to write a limit: its amount, or an object of its amount and options. */
function limitForms(amount: typeof costAmount | typeof countAmount, example: string) {
  const options = `{ "amount": ${example}, "refill": "steady" or "window", "shadow": true or false }`
  return {
    plain: z.unknown().transform((value, context) => {
      const read = amount.safeParse(value)
      if (!read.success) context.addIssue(`${read.error.issues[0]?.message}, or ${options}`)
      return { amount: read.data ?? 0n, refill: undefined, enforce: undefined, shadow: undefined }
    }),
    object: strictObject({ amount, ...limitOptions }),
  }
}

const COST_FORMS = limitForms(costAmount, '"2.50"')
const COUNT_FORMS = limitForms(countAmount, '60')

/** The limits of a file, and who each row of them is for. */
export interface ReadLimits {
  readonly limits: readonly Limit[]
  /** By the name of the row, as it is written. */
  readonly scopes: ReadonlyMap<string, Scope>
}

/** Reads `limits` of a file, in its order. What is wrong with them is added to `mistakes`. */
export function readLimits(value: unknown, mistakes: Finding[]): ReadLimits {
  const limits: Limit[] = []
  const scopes = new Map<string, Scope>()
  const rowsByScope = new Map<string, string>()
  for (const [row, set] of readEntries(value, ['limits'], mistakes)) {
    const scope = scopeOf(row)
    const other = scope && rowsByScope.get(`${scope.who}:${scope.subject}`)
    const mistake =
      scopeMistake(row, scope) ?? (other && `must not stand beside limits.${other}, which names the same model`)
    if (mistake) mistakes.push({ place: ['limits', row], text: mistake })
    if (scope) rowsByScope.set(`${scope.who}:${scope.subject}`, row)
    if (scope && !mistake) scopes.set(row, scope)
    const source = (name: string) => `"${name}" of "${row}" in bursar.json`
    limits.push(...readLimitSet(scope ?? EVERYONE, set, ['limits', row], source, mistakes))
  }
  return { limits, scopes }
}

const EVERYONE: Scope = { who: 'global', subject: undefined }

/** A scope as `bursar.json` writes it, such as `perUser` or `key:ci`; or why it is none. The text follows a name. */
export function readScope(name: string): { readonly scope: Scope } | { readonly mistake: string } {
  const scope = scopeOf(name)
  const mistake = scopeMistake(name, scope)
  return scope && mistake === undefined ? { scope } : { mistake: mistake ?? '' }
}

/** The one way to write a scope: `readScope` reads it. */
export function scopeName({ who, subject }: Scope): string {
  if (who === 'global') return who
  return subject === undefined ? perName(who) : `${who}:${subject}`
}

function scopeOf(name: string): Scope | undefined {
  if (name === 'global') return { who: 'global', subject: undefined }
  const each = OWNERS.find((who) => name === perName(who))
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

/** The kinds that have subjects. */
const OWNERS = WHO.filter((who) => who !== 'global')

const SCOPE_HINTS = {
  key: (who: Who) => `must name its key first, such as ${who}:alice/bob, or ${who}:(none)/bob if there are no keys`,
  provider: () => 'must name its provider first, such as model:openai/gpt-4o',
}

/** No call has a subject of two parts that names only the second. Only a person has no key in front: a user whom keys name. */
function scopeMistake(row: string, scope: Scope | undefined): string | undefined {
  if (!scope) {
    const names = ['global', ...OWNERS.map(perName)]
    return `must be named ${listOf([...names, 'who:subject such as key:alice'])}.${nearestScope(row, names)}`
  }
  const { who, subject } = scope
  const owner = SCOPED_BY[who]
  if (subject === undefined || owner === undefined || who === 'user' || subject.includes('/')) return undefined
  return SCOPE_HINTS[owner](who)
}

function nearestScope(row: string, names: readonly string[]): string {
  const colon = row.indexOf(':')
  if (colon < 0) return didYouMean(row, names)
  const who = nearestName(row.slice(0, colon), OWNERS)
  return who === undefined || colon === row.length - 1 ? '' : ` Did you mean ${who}${row.slice(colon)}?`
}

/**
 * Reads the limits of one scope: `{ "costPerDay": "5", "inFlight": { "amount": 4, "shadow": true } }`. What is wrong with them is added to
 * `mistakes`.
 * @param sourceOf makes `Limit.source` of the name of a limit
 */
export function readLimitSet(
  scope: Scope,
  set: unknown,
  place: Place,
  sourceOf: (name: string) => string,
  mistakes: Finding[],
): Limit[] {
  return readEntries(set, place, mistakes).flatMap(([name, written]) => {
    const limit = readLimit(name, written, [...place, name], mistakes)
    return limit ? [{ ...scope, ...limit, source: sourceOf(name) }] : []
  })
}

function readLimit(name: string, written: unknown, place: Place, mistakes: Finding[]) {
  const limitName = LIMIT_NAMES.get(name)
  if (!limitName) {
    mistakes.push({ place, text: unknownKeyText(name, [...LIMIT_NAMES.keys()]) })
    return undefined
  }
  const { what, span, refill } = limitName
  const forms = what === 'cost' ? COST_FORMS : COUNT_FORMS
  const isObject = typeof written === 'object' && written !== null && !Array.isArray(written)
  const value = readValue(isObject ? forms.object : forms.plain, written, place, mistakes)
  if (!value) return undefined
  const refillText = refillMistake(limitName, value.refill)
  if (refillText !== undefined) mistakes.push({ place: [...place, 'refill'], text: refillText })
  const { amount: capacity, enforce, shadow } = value
  if (shadow !== undefined && enforce === shadow)
    mistakes.push({ place: [...place, 'shadow'], text: `must not be ${shadow} where "enforce" is ${enforce}` })
  return { what, span, capacity, refill: value.refill ?? refill, enforced: enforce ?? shadow !== true }
}

function refillMistake(name: LimitName, refill: Refill | undefined): string | undefined {
  if (refill === 'steady' && !canRefillSteadily(name))
    return 'must not be "steady" here: only requests and tokens per minute, hour or day refill steadily'
  if (refill === 'window' && (name.refill === 'none' || name.refill === 'call'))
    return 'must not be here: this limit holds for each call or moment anew'
  return undefined
}

/** A limit as `bursar.json` writes it: its name, and its amount or an object. */
export function writtenLimit({ what, span, capacity, refill, enforced }: Omit<Limit, 'who' | 'subject'>) {
  const name = limitWord(what, span)
  const amount = what === 'cost' ? formatUsd(capacity) : Number(capacity)
  const isPlain = enforced && refill === DEFAULT_REFILLS[what][span]
  if (isPlain) return [name, amount] as const
  const refillOption = refill === 'steady' || refill === 'window' ? { refill } : {}
  return [name, { amount, ...refillOption, ...(enforced ? {} : { shadow: true }) }] as const
}

/** The name of a limit in `bursar.json`: `costPerDay`. */
export function limitWord(what: What, span: Span): string {
  return what === 'inFlight' ? what : `${what}Per${capitalize(span)}`
}

/** The names of all limits. */
export const LIMIT_WORDS: readonly string[] = [...LIMIT_NAMES.keys()]

/** The limit of a name. Throws RangeError if there is none: see `isLimitWord`. */
export function limitOfWord(name: string): { readonly what: What; readonly span: Span; readonly refill: Refill } {
  const limit = LIMIT_NAMES.get(name)
  if (!limit) throw new RangeError(`No limit is named ${name}.`)
  return limit
}

/** Whether a limit has this name. */
export function isLimitWord(name: string): boolean {
  return LIMIT_NAMES.has(name)
}

function canRefillSteadily({ what, span, refill }: LimitName): boolean {
  return what !== 'cost' && refill !== 'call' && span !== 'month' && span !== 'total'
}

/** A limit as `bursar.json` names it, with a point between: `perUser.costPerDay`, `key:ci.inFlight`. */
export function limitText(limit: Pick<Limit, 'who' | 'subject' | 'what' | 'span'>): string {
  return `${scopeName(limit)}.${limitWord(limit.what, limit.span)}`
}

function perName(who: Who): string {
  return `per${capitalize(who)}`
}

function capitalize(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
