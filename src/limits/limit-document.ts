// Limit document: what /admin/limits keeps of one scope: its limits and raises, in the words of bursar.json.

import type { Finding, Place } from '../config/findings.ts'
import { readLimitSet, scopeName } from '../config/limits.ts'
import type { Limit, Raise, Scope } from '../core/limits.ts'

/** Limits as `bursar.json` writes them: `{ "costPerDay": "5" }`. */
export type WrittenLimits = Readonly<Record<string, unknown>>

/** Larger limits that end by themselves. */
export interface WrittenRaise {
  readonly limits: WrittenLimits
  /** ISO 8601. The raise holds before this instant. */
  readonly until: string
  readonly reason: string
}

/** The value of a document `limit/{scope}`, and a part of that of a document `key/{id}`. */
export interface LimitDocument {
  readonly limits: WrittenLimits
  readonly raises: readonly WrittenRaise[]
}

/** A document as calls are checked by it. */
export interface ReadDocument {
  readonly limits: readonly Limit[]
  readonly raises: readonly Raise[]
}

export const EMPTY_DOCUMENT: LimitDocument = { limits: {}, raises: [] }

/** The document that a stored value is. */
export function limitDocumentOf(value: unknown): LimitDocument {
  const { limits, raises } = (value ?? {}) as Partial<LimitDocument>
  return { limits: limits ?? {}, raises: raises ?? [] }
}

/**
 * Reads a document. What is wrong with it is added to `mistakes`.
 * @param setBy ends the source of each limit: `at /admin/limits`
 */
export function readDocument(
  scope: Scope,
  { limits, raises }: LimitDocument,
  setBy: string,
  mistakes: Finding[],
  place: Place = [],
): ReadDocument {
  const source = (name: string) => `"${name}" of "${scopeName(scope)}" ${setBy}`
  const read = (set: WrittenLimits) => readLimitSet(scope, set, place, source, mistakes)
  return {
    limits: read(limits),
    raises: raises.flatMap((raise) =>
      read(raise.limits).map(({ who, subject, what, span, capacity }) => {
        return { who, subject, what, span, capacity, untilMs: Date.parse(raise.until) }
      }),
    ),
  }
}

/** Reads a stored document. Throws Error if it cannot be read: a limit that is left out would limit nothing. */
export function readStoredDocument(scope: Scope, document: LimitDocument, setBy: string): ReadDocument {
  const mistakes: Finding[] = []
  const read = readDocument(scope, document, setBy, mistakes)
  const [mistake] = mistakes
  if (mistake)
    throw new Error(`The limits of ${scopeName(scope)} cannot be read: ${mistake.place.join('.')} ${mistake.text}`)
  return read
}
