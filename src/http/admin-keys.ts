// Admin keys: /admin/keys, where operators make keys, change them, and replace their secrets. A secret is shown once.

import { z } from 'zod'
import { isLimitWord } from '../config/limits.ts'
import { HOSTED_TOOLS_RULES } from '../config/routes.ts'
import type { Clock } from '../core/clock.ts'
import { mergePatch, recordOf } from '../core/json-values.ts'
import type { Administrator } from '../keys/callers.ts'
import type { KeyAdministration, MadeKey } from '../keys/key-administration.ts'
import {
  changedKeySchema,
  type KeyDocument,
  MONEY_REFUSALS,
  newKeySchema,
  REQUIRED_NAMES,
  raiseSchema,
} from '../keys/key-record.ts'
import type { WriteOrigin } from '../stores/registry.ts'
import { checked, type Endpoint, endpointsFor } from './endpoint.ts'
import { timeJson, timeSchema } from './views.ts'

export interface AdminKeyParts {
  readonly keyAdministration: KeyAdministration
  readonly clock: Clock
  /** Names in the lists of a key that match nothing now: a sentence each. */
  readonly keyWarnings: (key: Pick<KeyDocument, 'models' | 'providers'>) => readonly string[]
}

const endpoint = endpointsFor<AdminKeyParts>()

const DEFAULT_PAGE_KEYS = 100
const MAX_PAGE_KEYS = 1_000
const MAX_GRACE_SECONDS = 30 * 86_400

const textOrNull = z.string().nullable()
const textsOrNull = z.array(z.string()).nullable()

/** A key without its secret. Null: not set. */
const keySchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  /** The beginning of its secret, by which people tell keys apart. */
  prefix: z.string(),
  status: z.enum(['active', 'disabled', 'expired']),
  organisation: textOrNull,
  project: textOrNull,
  user: textOrNull,
  models: textsOrNull,
  providers: textsOrNull,
  /** In the words of bursar.json, as they were written. */
  limits: z.record(z.string(), z.unknown()).nullable(),
  /** Larger limits that end by themselves: POST /admin/limits/key:{id}/raise. */
  raises: z.array(raiseSchema),
  requires: z.array(z.enum(REQUIRED_NAMES)).nullable(),
  expires_at: timeSchema.nullable(),
  money_refusal: z.enum(MONEY_REFUSALS).nullable(),
  hosted_tools: z.enum(HOSTED_TOOLS_RULES).nullable(),
  time_zone: textOrNull,
  tags: textsOrNull,
  metadata: z.record(z.string(), z.unknown()).nullable(),
  disabled: z.boolean(),
  disabled_at: timeSchema.nullable(),
  created_at: timeSchema,
})

/** A key with its secret, which is never shown again. */
const keyWithSecretSchema = z.strictObject({ ...keySchema.shape, key: z.string() })

/** Names that match nothing now, with the nearest that do. They are no mistakes, because models may come later. */
const warnings = z.array(z.string())

const idParams = z.strictObject({ id: z.string() })

/** Nobody between may keep a secret. */
const NOT_STORED = { 'cache-control': 'no-store' }

const MAKE = endpoint({
  method: 'POST',
  path: '/admin/keys',
  role: 'admin',
  summary: 'Makes a key. The answer has its secret, this once.',
  body: newKeySchema,
  answer: z.strictObject({ ...keyWithSecretSchema.shape, warnings }),
}).handle(async ({ keyAdministration, clock, keyWarnings }, { sender, body }) => {
  const { secret, ...made } = await keyAdministration.make(await body(), originOf(sender, clock))
  const answer = { ...keyJson(made, clock), key: secret, warnings: [...keyWarnings(made.document)] }
  return { status: 201, answer, headers: NOT_STORED }
})

const LIST = endpoint({
  method: 'GET',
  path: '/admin/keys',
  role: 'admin',
  summary: 'Keys in the order of their ids, in pages, without their secrets.',
  query: z.strictObject({
    project: z.string().optional(),
    cursor: z.string().default('').describe('The `next_cursor` of the page before.'),
    limit: z
      .string()
      .regex(/^\d{1,5}$/, `must be a whole number from 1 to ${MAX_PAGE_KEYS}`)
      .transform(Number)
      .pipe(z.number().min(1).max(MAX_PAGE_KEYS))
      .default(DEFAULT_PAGE_KEYS),
  }),
  answer: z.strictObject({ keys: z.array(keySchema), next_cursor: z.string().nullable() }),
}).handle(async ({ keyAdministration, clock }, { query: { project, cursor, limit } }) => {
  const found = await keyAdministration.page(cursor, limit + 1, project)
  const keys = found.slice(0, limit)
  const nextCursor = found.length > limit ? (keys.at(-1)?.id ?? null) : null
  return { answer: { keys: keys.map((key) => keyJson(key, clock)), next_cursor: nextCursor } }
})

const SHOW = endpoint({
  method: 'GET',
  path: '/admin/keys/:id',
  role: 'admin',
  summary: 'One key, without its secret.',
  params: idParams,
  answer: keySchema,
}).handle(async ({ keyAdministration, clock }, { params: { id } }) => ({
  answer: keyJson(await keyAdministration.find(id), clock),
}))

const CHANGE = endpoint({
  method: 'PATCH',
  path: '/admin/keys/:id',
  role: 'admin',
  summary: 'Changes a key by a JSON merge patch: null removes a field. It holds from the next call on.',
  params: idParams,
  body: z.record(z.string(), z.unknown()),
  answer: z.strictObject({ ...keySchema.shape, warnings }),
}).handle(async ({ keyAdministration, clock, keyWarnings }, { sender, params: { id }, body }) => {
  const patch = await body()
  const changed = await keyAdministration.change(
    id,
    (before) => checked<typeof changedKeySchema>(changedKeySchema, patchedKey(before, patch)),
    originOf(sender, clock),
  )
  return { answer: { ...keyJson(changed, clock), warnings: [...keyWarnings(changed.document)] } }
})

const DISABLE = endpoint({
  method: 'DELETE',
  path: '/admin/keys/:id',
  role: 'admin',
  summary: 'Disables a key. Its figures stay, and no other key ever gets its id.',
  params: idParams,
  answer: keySchema,
}).handle(async ({ keyAdministration, clock }, { sender, params: { id } }) => {
  const disabled = await keyAdministration.change(
    id,
    (before) => ({ ...before, disabled: true }),
    originOf(sender, clock),
  )
  return { answer: keyJson(disabled, clock) }
})

const ROTATE = endpoint({
  method: 'POST',
  path: '/admin/keys/:id/rotate',
  role: 'admin',
  summary: 'Gives a key another secret; id, limits and figures stay. The answer has the secret, this once.',
  params: idParams,
  body: z.strictObject({
    /** How long the secret before works on. */
    grace_seconds: z.number().int().min(0).max(MAX_GRACE_SECONDS).default(0),
  }),
  mayLackBody: true,
  answer: z.strictObject({ ...keyWithSecretSchema.shape, old_key_works_until: timeSchema.nullable() }),
}).handle(async ({ keyAdministration, clock }, { sender, params: { id }, body }) => {
  const { grace_seconds: graceSeconds } = await body()
  const origin = originOf(sender, clock)
  const { secret, ...rotated } = await keyAdministration.rotate(id, graceSeconds * 1_000, origin)
  const worksUntil = graceSeconds === 0 ? null : timeJson(origin.atMs + graceSeconds * 1_000)
  return {
    answer: { ...keyJson(rotated, clock), key: secret, old_key_works_until: worksUntil },
    headers: NOT_STORED,
  }
})

export const KEY_ENDPOINTS: readonly Endpoint<AdminKeyParts>[] = [MAKE, LIST, SHOW, CHANGE, DISABLE, ROTATE]

/** A merge patch. A name that no key has stays, even with null, so that the check refuses it. */
function patchedKey(before: unknown, patch: Readonly<Record<string, unknown>>): unknown {
  const removed = ([name, value]: [string, unknown]) => value === null && !Object.hasOwn(changedKeySchema.shape, name)
  const unknown = Object.fromEntries(Object.entries(patch).filter(removed))
  const merged = { ...recordOf(mergePatch(before, patch)), ...unknown }
  const limits = Object.entries(recordOf(patch.limits)).filter(([name, value]) => value === null && !isLimitWord(name))
  return limits.length === 0
    ? merged
    : { ...merged, limits: { ...recordOf(merged.limits), ...Object.fromEntries(limits) } }
}

function originOf({ actor }: Administrator, clock: Clock): WriteOrigin {
  return { actor, atMs: clock.now().wallMs, audit: true }
}

function keyJson({ id, document }: MadeKey, clock: Clock): z.output<typeof keySchema> {
  const { name, prefix, disabled_at, expires_at, created_at, ...fields } = document
  const isExpired = expires_at !== null && Date.parse(expires_at) <= clock.now().wallMs
  const status = disabled_at !== null ? 'disabled' : isExpired ? 'expired' : 'active'
  return { id, name, prefix, status, ...fields, expires_at, disabled: disabled_at !== null, disabled_at, created_at }
}
