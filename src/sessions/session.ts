// Session: what a browser is signed in by, as the registry keeps it. It holds neither the cookie's secret nor that of a key.

import { z } from 'zod'
import type { Document, DocumentDraft } from '../stores/registry.ts'
import { stampSchema } from './secret-stamps.ts'

/** What people may read of a session, also in the audit log. Times are ISO 8601. */
const sessionSchema = z.strictObject({
  id: z.string(),
  /** Null: of the admin key. */
  key: z.string().nullable(),
  address: z.string().nullable(),
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime(),
})

/** What a session is found and checked by. */
const sessionSecretSchema = z.strictObject({
  /** Of the session that the secret belongs to. */
  id: z.string(),
  /** SHA-256 of the secret in the cookie. */
  digest: z.string(),
  /** Of the key that the session began with. */
  stamp: stampSchema,
})

/** A session and its secret, as two documents of the same id hold them: the number of a slot, which later sessions use again. */
export interface StoredSession {
  readonly slot: number
  readonly session: z.output<typeof sessionSchema>
  readonly secret: z.output<typeof sessionSecretSchema>
}

/** Undefined for documents that do not fit each other, or that another version wrote. */
export function storedSessionOf(session: Document, secret: Document | undefined): StoredSession | undefined {
  const read = sessionSchema.safeParse(session.value)
  const readSecret = sessionSecretSchema.safeParse(secret?.value)
  if (!read.success || !readSecret.success || read.data.id !== readSecret.data.id) return undefined
  return { slot: Number(session.id), session: read.data, secret: readSecret.data }
}

export function sessionDrafts({ slot, session, secret }: StoredSession): readonly DocumentDraft[] {
  return drafts(slot, session, secret)
}

export function deletionDrafts(slots: readonly number[]): readonly DocumentDraft[] {
  return slots.flatMap((slot) => drafts(slot, null, null))
}

function drafts(slot: number, session: unknown, secret: unknown): readonly DocumentDraft[] {
  return [
    { kind: 'session', id: String(slot), value: session },
    { kind: 'session-secret', id: String(slot), value: secret },
  ]
}
