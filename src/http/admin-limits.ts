// Admin limits: GET, PUT, PATCH and DELETE /admin/limits/{subject}, and raises: limits that are set while calls run. It keeps none.

import { z } from 'zod'
import { limitWord, readScope, scopeName, writtenLimit } from '../config/limits.ts'
import type { Limit, Scope } from '../core/limits.ts'
import { Problem } from '../core/problem.ts'
import { limitDocumentOf } from '../limits/limit-document.ts'
import type { LimitEditor, LimitInForce, ScopeLimits } from '../limits/limit-editor.ts'
import type { ConfiguredLimits } from '../limits/merge-limits.ts'
import type { Document, Registry } from '../stores/registry.ts'
import { amountJson } from '../wire/limit-headers.ts'
import { endpointsFor } from './endpoint.ts'
import { amountSchema } from './views.ts'

export interface AdminLimitParts {
  readonly limitEditor: LimitEditor
  readonly registry: Registry
  /** What settings and file say. */
  readonly configuredLimits: () => ConfiguredLimits
  /** Why limits on a scope limit nothing now: a sentence, or none. */
  readonly limitWarnings: (scope: Scope) => Promise<readonly string[]>
}

const endpoint = endpointsFor<AdminLimitParts>()

const MAX_SUBJECT_CHARACTERS = 1_024
const MAX_REASON_CHARACTERS = 500
const MAX_PAGE_SIZE = 1_000
const DEFAULT_PAGE_SIZE = 100

/** Limits in the words of `bursar.json`. */
const wordsSchema = z.record(z.string(), z.unknown())
const subjectParams = z.strictObject({ subject: z.string().min(1).max(MAX_SUBJECT_CHARACTERS) })

const limitInForceSchema = z.strictObject({
  /** As `bursar.json` names the limit: `costPerDay`. */
  limit: z.string(),
  /** Dollars, or a count, with what raises add now. */
  amount: amountSchema,
  refill: z.enum(['steady', 'window', 'none', 'call']),
  /** True: the limit decides and counts, and refuses nothing. */
  shadow: z.boolean(),
  /** What sets the limit: a setting, or a place in `bursar.json`, at `/admin/limits` or in the key. */
  source: z.string().nullable(),
})

const scopeLimitsSchema = z.strictObject({
  /** As `bursar.json` names it: `key:ci`, `perUser`, `global`. */
  subject: z.string(),
  /** Where `limits` are set. Null: nowhere. */
  source: z.enum(['settings', 'bursar.json', 'admin', 'key']).nullable(),
  limits: wordsSchema,
  raises: z.array(z.strictObject({ limits: wordsSchema, until: z.string(), reason: z.string() })),
  in_force: z.array(limitInForceSchema),
})

const changedLimitsSchema = z.strictObject({
  ...scopeLimitsSchema.shape,
  /** A name that matches nothing now, with the nearest that does. It is no mistake, because keys and models may come later. */
  warnings: z.array(z.string()),
})

export const ADMIN_LIMITS = endpoint({
  method: 'GET',
  path: '/admin/limits',
  role: 'admin',
  summary: 'All limits: what settings and bursar.json say, and what is set here, with what is in force for each.',
  query: z.strictObject({
    cursor: z.string().optional(),
    limit: z.coerce.number().int().min(1).max(MAX_PAGE_SIZE).default(DEFAULT_PAGE_SIZE),
  }),
  answer: z.strictObject({ limits: z.array(scopeLimitsSchema), next_cursor: z.string().nullable() }),
}).handle(async (parts, { query: { cursor, limit } }) => {
  const { registry, limitEditor, configuredLimits } = parts
  const page = await registry.page('limit', { ...(cursor === undefined ? {} : { afterId: cursor }), limit: limit + 1 })
  const shown = page.slice(0, limit)
  const { settings, file } = configuredLimits()
  const configured =
    cursor === undefined
      ? [...configuredRows(limitEditor, 'settings', settings), ...configuredRows(limitEditor, 'bursar.json', file)]
      : []
  const next = page.length > limit ? (shown.at(-1)?.id ?? null) : null
  return {
    answer: { limits: [...configured, ...shown.map((each) => documentRow(limitEditor, each))], next_cursor: next },
  }
})

export const GET_LIMITS = endpoint({
  method: 'GET',
  path: '/admin/limits/:subject{[^]+}',
  role: 'admin',
  summary: 'The limits that are set on one subject here, and those in force on it.',
  params: subjectParams,
  answer: scopeLimitsSchema,
}).handle(({ limitEditor }, { params }) => answerFor(limitEditor, scopeOf(params.subject)))

export const PUT_LIMITS = endpoint({
  method: 'PUT',
  path: '/admin/limits/:subject{[^]+}',
  role: 'admin',
  summary: 'Sets the limits of one subject in place of those of settings and bursar.json, from the next call on.',
  params: subjectParams,
  body: wordsSchema,
  answer: changedLimitsSchema,
}).handle(async ({ limitEditor, limitWarnings }, { params, sender, body }) => {
  const scope = scopeOf(params.subject)
  await limitEditor.put(scope, await body(), sender.actor)
  return answerWithWarnings(limitEditor, scope, limitWarnings)
})

export const PATCH_LIMITS = endpoint({
  method: 'PATCH',
  path: '/admin/limits/:subject{[^]+}',
  role: 'admin',
  summary: 'Sets some limits of one subject, and takes back those that are null. All others stay.',
  params: subjectParams,
  body: wordsSchema,
  answer: changedLimitsSchema,
}).handle(async ({ limitEditor, limitWarnings }, { params, sender, body }) => {
  const scope = scopeOf(params.subject)
  await limitEditor.patch(scope, await body(), sender.actor)
  return answerWithWarnings(limitEditor, scope, limitWarnings)
})

export const DELETE_LIMITS = endpoint({
  method: 'DELETE',
  path: '/admin/limits/:subject{[^]+}',
  role: 'admin',
  summary: 'Takes back the limits and raises that are set on one subject here.',
  params: subjectParams,
  answer: scopeLimitsSchema,
}).handle(async ({ limitEditor }, { params, sender }) => {
  const scope = scopeOf(params.subject)
  await limitEditor.delete(scope, sender.actor)
  return answerFor(limitEditor, scope)
})

export const RAISE_LIMITS = endpoint({
  method: 'POST',
  path: '/admin/limits/:subject{[^]+?}/raise',
  role: 'admin',
  summary: 'Raises limits in force on one subject until an instant, at most a year ahead.',
  params: subjectParams,
  body: z.looseObject({
    until: z.iso.datetime({ offset: true, error: 'must be a time such as 2026-12-01T00:00:00Z' }),
    reason: z.string().trim().min(1).max(MAX_REASON_CHARACTERS),
  }),
  answer: scopeLimitsSchema,
}).handle(async ({ limitEditor }, { params, sender, body }) => {
  const scope = scopeOf(params.subject)
  const { until, reason, ...limits } = await body()
  if (Object.keys(limits).length === 0)
    throw new Problem('invalid_request', 'Name the limits to raise, such as "costPerDay": "20".')
  await limitEditor.raise(scope, { limits, until: new Date(until).toISOString(), reason }, sender.actor)
  return answerFor(limitEditor, scope)
})

export const END_RAISE = endpoint({
  method: 'DELETE',
  path: '/admin/limits/:subject{[^]+?}/raise',
  role: 'admin',
  summary: 'Ends the raises of one subject.',
  params: subjectParams,
  answer: scopeLimitsSchema,
}).handle(async ({ limitEditor }, { params, sender }) => {
  const scope = scopeOf(params.subject)
  await limitEditor.endRaise(scope, sender.actor)
  return answerFor(limitEditor, scope)
})

/** Rows of raises come first: a subject that is not URL-encoded may hold slashes. */
export const ADMIN_LIMIT_ENDPOINTS = [
  ADMIN_LIMITS,
  RAISE_LIMITS,
  END_RAISE,
  GET_LIMITS,
  PUT_LIMITS,
  PATCH_LIMITS,
  DELETE_LIMITS,
]

async function answerFor(editor: LimitEditor, scope: Scope) {
  return { answer: scopeJson(await editor.read(scope)) }
}

async function answerWithWarnings(editor: LimitEditor, scope: Scope, warningsOf: AdminLimitParts['limitWarnings']) {
  const { answer } = await answerFor(editor, scope)
  return { answer: { ...answer, warnings: [...(await warningsOf(scope))] } }
}

/** Throws Problem for a subject that limits cannot have. */
function scopeOf(subject: string): Scope {
  if (/\p{Cc}/u.test(subject))
    throw new Problem('invalid_request', 'The subject must hold no control characters, such as line breaks.', 'subject')
  const read = readScope(subject)
  if ('mistake' in read) throw new Problem('invalid_request', `The subject ${read.mistake}`, 'subject')
  return read.scope
}

function scopeJson({ scope, source, document, inForce }: ScopeLimits): z.output<typeof scopeLimitsSchema> {
  return {
    subject: scopeName(scope),
    source,
    limits: document.limits,
    raises: document.raises.map(({ limits, until, reason }) => ({ limits, until, reason })),
    in_force: inForce.map(inForceJson),
  }
}

function inForceJson({ limit, capacity }: LimitInForce): z.output<typeof limitInForceSchema> {
  const { what, span, refill, enforced, source = null } = limit
  return { limit: limitWord(what, span), amount: amountJson(limit, capacity), refill, shadow: !enforced, source }
}

function documentRow(editor: LimitEditor, { id, value }: Document): z.output<typeof scopeLimitsSchema> {
  const scope = scopeOf(id)
  const document = editor.withoutEnded(limitDocumentOf(value))
  return scopeJson({ scope, source: 'admin', document, inForce: editor.inForceOn(scope) })
}

/** A row for each scope that settings or file limit. */
function configuredRows(editor: LimitEditor, source: 'settings' | 'bursar.json', limits: readonly Limit[]) {
  const byScope = Map.groupBy(limits, scopeName)
  return [...byScope.values()].map((ofScope): z.output<typeof scopeLimitsSchema> => {
    const [scope = { who: 'global', subject: undefined }] = ofScope
    return {
      subject: scopeName(scope),
      source,
      limits: Object.fromEntries(ofScope.map(writtenLimit)),
      raises: [],
      in_force: editor.inForceOn(scope).map(inForceJson),
    }
  })
}
