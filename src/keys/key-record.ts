// Key record: a key that was made, as the registry keeps it and as calls use it. It holds no secret.

import { z } from 'zod'
import { readLimitSet } from '../config/limits.ts'
import { HOSTED_TOOLS_RULES, type HostedToolsRule } from '../config/routes.ts'
import { strictObject } from '../config/schema.ts'
import { isTimeZone } from '../core/calendar.ts'
import type { KeyLimits } from '../core/key-limits.ts'
import { NO_SUBJECT } from '../core/limits.ts'
import { readKeyLimits } from '../limits/key-documents.ts'
import type { Document } from '../stores/registry.ts'
import { PermittedModels } from './permitted-models.ts'

/** What a key may require its calls to declare. */
export const REQUIRED_NAMES = ['organisation', 'project', 'user', 'thread', 'agent', 'task', 'operation'] as const
export type RequiredName = (typeof REQUIRED_NAMES)[number]

export const MONEY_REFUSALS = ['auto', '429', '402', '400'] as const

export const MAX_KEY_ID_CHARACTERS = 64
const MAX_NAME_CHARACTERS = 200
const MAX_SUBJECT_CHARACTERS = 256
const MAX_PATTERNS = 100
const MAX_TAGS = 50
const MAX_METADATA_BYTES = 2_048

/** A text of one line. */
function line(maxCharacters: number) {
  return z
    .string()
    .trim()
    .min(1)
    .max(maxCharacters)
    .refine(
      (text) => text.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text),
      'must be one line, without control characters',
    )
}

/** The name of an organisation, a project or a person, as limits and sums know it. */
const subjectName = line(MAX_SUBJECT_CHARACTERS).refine((text) => text !== NO_SUBJECT, `must not be ${NO_SUBJECT}`)

const pattern = z
  .string()
  .regex(/^\S{1,512}$/, 'must be a name without spaces, in which * stands for any text, such as openai/*')
const patterns = z.array(pattern).min(1).max(MAX_PATTERNS)

const limitWords = z.record(z.string(), z.unknown()).superRefine((limits, context) => {
  const mistakes: Parameters<typeof readLimitSet>[4] = []
  readLimitSet({ who: 'key', subject: '' }, limits, [], () => '', mistakes)
  for (const { place, text } of mistakes) context.addIssue({ code: 'custom', path: [...place], message: text })
})

const metadata = z
  .record(z.string().max(64), z.union([z.string(), z.number(), z.boolean()], 'must be text, a number, true or false'))
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= MAX_METADATA_BYTES, {
    message: `must have at most ${MAX_METADATA_BYTES} bytes as JSON`,
  })

/** What an operator sets of a key. Null: not set. */
const SETTABLE_FIELDS = {
  name: line(MAX_NAME_CHARACTERS),
  organisation: subjectName.nullable().default(null),
  project: subjectName.nullable().default(null),
  /** The person whose key it is: one subject over all of the person's keys. */
  user: subjectName
    .refine((text) => !text.includes('/'), 'must have no slash: that is how users whom callers declare are written')
    .nullable()
    .default(null),
  /** Patterns of `provider/model`, and names of aliases. */
  models: patterns.nullable().default(null),
  providers: patterns.nullable().default(null),
  /** As they were written, in the words of bursar.json. */
  limits: limitWords.nullable().default(null),
  requires: z.array(z.enum(REQUIRED_NAMES)).max(REQUIRED_NAMES.length).nullable().default(null),
  expires_at: z.iso
    .datetime({ offset: true, message: 'must be a time such as 2027-01-31T00:00:00Z' })
    .transform((text) => new Date(text).toISOString())
    .nullable()
    .default(null),
  /** A status may be written as a number. */
  money_refusal: z
    .preprocess((value) => (typeof value === 'number' ? String(value) : value), z.enum(MONEY_REFUSALS).nullable())
    .default(null),
  hosted_tools: z.enum(HOSTED_TOOLS_RULES).nullable().default(null),
  time_zone: z.string().refine(isTimeZone, 'must be an IANA time zone such as Europe/Berlin').nullable().default(null),
  tags: z.array(line(64)).max(MAX_TAGS).nullable().default(null),
  metadata: metadata.nullable().default(null),
}

/** A key of which every call would be refused is a mistake, and not a key. */
function checkRequired(
  { requires, ...fields }: { requires: readonly string[] | null; organisation: unknown; project: unknown },
  context: z.core.$RefinementCtx,
): void {
  for (const name of ['organisation', 'project'] as const)
    if (requires?.includes(name) && fields[name] === null)
      context.addIssue({
        code: 'custom',
        path: ['requires'],
        message: `must not have "${name}" while the key has none: set ${name}`,
      })
}

/** The fields of a new key. */
export const newKeySchema = strictObject({
  ...SETTABLE_FIELDS,
  id: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/,
      `must be 1 to ${MAX_KEY_ID_CHARACTERS} letters, digits, _ . or -, a letter or digit first`,
    )
    .optional(),
}).superRefine(checkRequired)

/** The fields of a key after a change. */
export const changedKeySchema = strictObject({
  ...SETTABLE_FIELDS,
  /** A disabled key is refused, and can be enabled again. */
  disabled: z.boolean().default(false),
}).superRefine(checkRequired)

export const raiseSchema = z.object({
  limits: z.record(z.string(), z.unknown()),
  until: z.string(),
  reason: z.string(),
})

const keyDocumentSchema = z.object({
  ...SETTABLE_FIELDS,
  prefix: z.string(),
  /** Larger limits that end by themselves: see limits/limit-document.ts. */
  raises: z.array(raiseSchema).default([]),
  disabled_at: z.string().nullable(),
  created_at: z.string(),
})

/** The document of a key: all but its secret. Times are ISO 8601. */
export type KeyDocument = z.output<typeof keyDocumentSchema>

/** A key as calls use it. Never changed: a change makes another record. */
export interface KeyRecord {
  readonly id: string
  readonly organisation: string | null
  readonly project: string | null
  /** The person whose key it is, or null. */
  readonly user: string | null
  /** Undefined: every model. */
  readonly permitted: PermittedModels | undefined
  readonly requires: readonly RequiredName[]
  /** Epoch milliseconds; infinite if the key does not expire. */
  readonly expiresAtMs: number
  readonly isDisabled: boolean
  /** Undefined: the setting decides. */
  readonly moneyRefusal: (typeof MONEY_REFUSALS)[number] | undefined
  /** Undefined: the alias and the setting decide. */
  readonly hostedTools: HostedToolsRule | undefined
  /** Undefined for a key of BURSAR_KEYS. */
  readonly limits: KeyLimits | undefined
}

/** A key of BURSAR_KEYS: the settings and bursar.json decide everything about it. */
export function configuredKey(id: string): KeyRecord {
  return {
    id,
    organisation: null,
    project: null,
    user: null,
    permitted: undefined,
    requires: [],
    expiresAtMs: Number.POSITIVE_INFINITY,
    isDisabled: false,
    moneyRefusal: undefined,
    hostedTools: undefined,
    limits: undefined,
  }
}

/** Throws ZodError for a value that this version did not write. */
export function keyDocumentOf({ value }: Pick<Document, 'value'>): KeyDocument {
  return keyDocumentSchema.parse(value)
}

/**
 * Prepares a key for its calls.
 * @param countsCost false without cost tracking: then no limit counts cost
 */
export function compileKey(id: string, document: KeyDocument, countsCost: boolean): KeyRecord {
  const { organisation, project, user, models, providers, requires, expires_at } = document
  return {
    id,
    organisation,
    project,
    user,
    permitted: models || providers ? new PermittedModels({ models, providers }) : undefined,
    requires: requires ?? [],
    expiresAtMs: expires_at === null ? Number.POSITIVE_INFINITY : Date.parse(expires_at),
    isDisabled: document.disabled_at !== null,
    moneyRefusal: document.money_refusal ?? undefined,
    hostedTools: document.hosted_tools ?? undefined,
    limits: readKeyLimits(id, document, countsCost),
  }
}
