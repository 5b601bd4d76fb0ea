// Audit: GET /admin/audit, who changed what of the configuration. Nothing here changes it.

import { z } from 'zod'
import type { AuditLine, Registry } from '../stores/registry.ts'
import { endpointsFor } from './endpoint.ts'
import { timeJson, timeSchema } from './views.ts'

export interface AuditParts {
  readonly registry: Pick<Registry, 'audit'>
}

const endpoint = endpointsFor<AuditParts>()

const DEFAULT_PAGE_LINES = 100
const MAX_PAGE_LINES = 1_000
const LIMIT_TEXT = `must be a whole number from 1 to ${MAX_PAGE_LINES}`

const lineSchema = z.strictObject({
  /** Grows with every change. */
  version: z.number().int(),
  at: timeSchema,
  actor: z.string(),
  kind: z.string(),
  id: z.string(),
  /** The document before and after. Null: there was none, or there is none now. */
  before: z.unknown(),
  after: z.unknown(),
})

export const AUDIT = endpoint({
  method: 'GET',
  path: '/admin/audit',
  role: 'admin',
  summary: 'Who changed what of the configuration, and when, the newest change first.',
  query: z.strictObject({
    /** The `next_cursor` of the page before. */
    cursor: z
      .string()
      .regex(/^\d{1,15}$/, 'must be the next_cursor of a page')
      .transform(Number)
      .optional(),
    limit: z
      .string()
      .regex(/^\d{1,4}$/, LIMIT_TEXT)
      .transform(Number)
      .refine((limit) => limit >= 1 && limit <= MAX_PAGE_LINES, LIMIT_TEXT)
      .default(DEFAULT_PAGE_LINES),
  }),
  answer: z.strictObject({
    changes: z.array(lineSchema),
    /** Null on the last page. */
    next_cursor: z.string().nullable(),
  }),
}).handle(async ({ registry }, { query: { cursor, limit } }) => {
  const before = cursor === undefined ? {} : { beforeVersion: cursor }
  const lines = await registry.audit({ ...before, limit: limit + 1 })
  const page = lines.slice(0, limit)
  const last = lines.length > limit ? page.at(-1) : undefined
  return { answer: { changes: page.map(lineJson), next_cursor: last === undefined ? null : String(last.version) } }
})

function lineJson({ version, atMs, actor, kind, id, before, after }: AuditLine): z.output<typeof lineSchema> {
  return { version, at: timeJson(atMs), actor, kind, id, before, after }
}
