// Key documents: the limits in the records of keys that /admin/keys makes. It knows no other part of a record.

import { isTimeZone } from '../core/calendar.ts'
import { recordOf } from '../core/json-values.ts'
import { compileKeyLimits, type KeyLimits } from '../core/key-limits.ts'
import { type Document, DocumentChanged, type Registry, type WriteOrigin } from '../stores/registry.ts'
import { type LimitDocument, limitDocumentOf, readStoredDocument } from './limit-document.ts'
import type { LimitsInForce } from './limits-in-force.ts'

const SET_BY = 'in its key'
/** A write is tried anew if another change of the key was faster. */
const MAX_TRIES = 5

/**
 * The limits of a key's record, prepared for calls.
 * @param record the value of the document `key/{id}`: `limits` in the words of `bursar.json`, `raises`, and `time_zone`
 * Throws Error if the limits cannot be read.
 */
export function readKeyLimits(id: string, record: unknown, countsCost = true): KeyLimits {
  const scope = { who: 'key', subject: id } as const
  const { limits, raises } = readStoredDocument(scope, limitDocumentOf(record), SET_BY)
  const isCounted = ({ what }: { readonly what: string }) => countsCost || what !== 'cost'
  return compileKeyLimits(limits.filter(isCounted), keyZone(record), raises.filter(isCounted))
}

/** The time zone of a key's record; undefined if it has none. */
function keyZone(record: unknown): string | undefined {
  const { time_zone: zone } = recordOf(record)
  return typeof zone === 'string' && isTimeZone(zone) ? zone : undefined
}

/** The time zones of those of these keys that have a record with a zone. Rejects with StoreUnavailable. */
export async function readKeyZones(registry: Registry, ids: Iterable<string>): Promise<ReadonlyMap<string, string>> {
  const zones = new Map<string, string>()
  for (const id of new Set(ids)) {
    const zone = keyZone((await keyDocument(registry, id))?.value)
    if (zone !== undefined) zones.set(id, zone)
  }
  return zones
}

/** The record of a key that was made at /admin/keys. Undefined if there is none. */
export async function keyDocument(registry: Registry, id: string): Promise<Document | undefined> {
  const [document] = await registry.read('key', id)
  return document
}

/**
 * Writes a key's record in place of the one that was read. Windows that are new for the key start from the ledger before the record is in
 * force. Rejects with DocumentChanged if the record has changed since, and with StoreUnavailable.
 */
export function replaceKeyDocument(
  registry: Registry,
  limits: Pick<LimitsInForce, 'changeKey' | 'countsCost'>,
  { id, value: before, version }: Document,
  value: unknown,
  origin: WriteOrigin,
): Promise<Document> {
  const compiled = (record: unknown) => readKeyLimits(id, record, limits.countsCost)
  const write = () => registry.write({ kind: 'key', id, value, replaces: version }, origin)
  return limits.changeKey(id, compiled(before), compiled(value), write)
}

/**
 * Changes the limits in a key's record. Resolves to false if the key has no record. Rejects with what `edit` throws, with
 * DocumentChanged if others change the record all the time, and with StoreUnavailable.
 */
export function changeKeyDocument(
  registry: Registry,
  limits: LimitsInForce,
  id: string,
  edit: (before: LimitDocument) => LimitDocument,
  origin: WriteOrigin,
): Promise<boolean> {
  return limits.keyTurns.run(id, () => changeInTurn(registry, limits, id, edit, origin))
}

async function changeInTurn(
  ...[registry, limits, id, edit, origin]: Parameters<typeof changeKeyDocument>
): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    const document = await keyDocument(registry, id)
    if (!document) return false
    const value = { ...recordOf(document.value), ...edit(limitDocumentOf(document.value)) }
    try {
      await replaceKeyDocument(registry, limits, document, value, origin)
      return true
    } catch (error) {
      if (!(error instanceof DocumentChanged) || tries === MAX_TRIES) throw error
    }
  }
}
