// Limit editor: what operators do to limits while calls run: set, change, delete, raise. Each change is in force when its promise resolves.

import type { Finding } from '../config/findings.ts'
import { limitWord, readLimitSet, scopeName } from '../config/limits.ts'
import type { Clock } from '../core/clock.ts'
import { recordOf } from '../core/json-values.ts'
import type { KeyLimits } from '../core/key-limits.ts'
import { type Limit, meterOf, type Scope } from '../core/limits.ts'
import { Problem } from '../core/problem.ts'
import { amountText } from '../core/refusal.ts'
import { DocumentChanged, type Registry, type WriteOrigin } from '../stores/registry.ts'
import { changeKeyDocument, keyDocument, readKeyLimits } from './key-documents.ts'
import {
  EMPTY_DOCUMENT,
  type LimitDocument,
  limitDocumentOf,
  type WrittenLimits,
  type WrittenRaise,
} from './limit-document.ts'
import type { LimitsInForce } from './limits-in-force.ts'

interface LimitEditorParts {
  readonly registry: Registry
  readonly limits: LimitsInForce
  readonly clock: Clock
}

/** What is set on one scope, and what is in force there. */
export interface ScopeLimits {
  readonly scope: Scope
  /** `admin`: a document of its own. `key`: the record of the key. Null: nothing is set here. */
  readonly source: 'admin' | 'key' | null
  readonly document: LimitDocument
  readonly inForce: readonly LimitInForce[]
}

export interface LimitInForce {
  readonly limit: Limit
  /** With the raises of this moment. In the unit of `limit.what`. */
  readonly capacity: bigint
}

/** Raises end within a year of 366 days. */
const MAX_RAISE_MS = 366 * 86_400_000

/**
 * Edits the limits of one scope at a time. A key that was made at /admin/keys has its limits in its record; every other scope has a
 * document of its own. Methods reject with Problem for what cannot be set, and with StoreUnavailable.
 */
export class LimitEditor {
  readonly #parts: LimitEditorParts

  constructor(parts: LimitEditorParts) {
    this.#parts = parts
  }

  async read(scope: Scope): Promise<ScopeLimits> {
    const { registry, limits } = this.#parts
    const record = await keyRecordOf(registry, scope)
    if (record && scope.subject !== undefined) {
      const document = this.withoutEnded(joined(limits.documentOf(scope), limitDocumentOf(record.value)))
      const ofKey = readKeyLimits(scope.subject, record.value, limits.countsCost)
      return { scope, source: 'key', document, inForce: this.inForceOn(scope, ofKey) }
    }
    const document = limits.documentOf(scope)
    const source = document ? 'admin' : null
    return { scope, source, document: this.withoutEnded(document ?? EMPTY_DOCUMENT), inForce: this.inForceOn(scope) }
  }

  /** The limits in force on a scope: its own, or those on each of its kind. */
  inForceOn(scope: Scope, ofKey?: KeyLimits): readonly LimitInForce[] {
    const { limits, clock } = this.#parts
    const { wallMs } = clock.now()
    const shared = limits.plan.capacitiesOn(scope, wallMs)
    if (!ofKey) return shared
    return [
      ...shared
        .filter(({ limit }) => !ofKey.has(limit.what, limit.span))
        .map(({ limit, capacity }) => ({ limit, capacity: ofKey.capacityOf({ ...limit, capacity }, wallMs) })),
      ...ofKey.limits.map((limit) => ({ limit, capacity: ofKey.capacityOf(limit, wallMs) })),
    ]
  }

  /** Replaces the limits of a scope. Raises stay. */
  async put(scope: Scope, limits: WrittenLimits, actor: string): Promise<void> {
    checkWords(scope, limits)
    if (Object.keys(limits).length === 0)
      throw new Problem(
        'invalid_request',
        'No limit is set, such as "costPerDay": "5". To take limits back, use DELETE.',
      )
    await this.#edit(scope, actor, (before) => ({ limits, raises: this.#current(before) }))
  }

  /** Sets some limits of a scope, and takes back those that are null. Other limits and raises stay. */
  async patch(scope: Scope, limits: WrittenLimits, actor: string): Promise<void> {
    if (Object.keys(limits).length === 0)
      throw new Problem('invalid_request', 'No limit is named, such as "costPerDay": "5".')
    checkWords(scope, Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== null)))
    await this.#edit(scope, actor, (before) => {
      const merged = { ...before.limits, ...limits }
      for (const [name, value] of Object.entries(limits)) {
        if (value !== null) continue
        if (!Object.hasOwn(before.limits, name))
          throw new Problem('not_found', `No ${name} is set on ${scopeName(scope)} here.`, name)
        delete merged[name]
      }
      return { limits: merged, raises: this.#current(before) }
    })
  }

  /** Takes back the limits and raises of a scope. */
  async delete(scope: Scope, actor: string): Promise<void> {
    await this.#edit(scope, actor, (before) => {
      if (isEmpty(before)) throw new Problem('not_found', `No limits are set on ${scopeName(scope)} here.`, 'subject')
      return EMPTY_DOCUMENT
    })
  }

  /** Raises limits of a scope until an instant. It replaces earlier raises of the same limits. */
  async raise(scope: Scope, raise: WrittenRaise, actor: string): Promise<void> {
    const raised = checkWords(scope, raise.limits)
    checkAmounts(raise.limits)
    this.#checkUntil(raise.until)
    await this.#edit(scope, actor, (before, inForce) => {
      for (const limit of raised) checkAbove(scope, limit, inForce)
      const words = Object.keys(raise.limits)
      const others = this.#current(before).flatMap((each) => {
        const limits = Object.fromEntries(Object.entries(each.limits).filter(([word]) => !words.includes(word)))
        return Object.keys(limits).length === 0 ? [] : [{ ...each, limits }]
      })
      return { limits: before.limits, raises: [...others, raise] }
    })
  }

  /** Ends the raises of a scope. */
  async endRaise(scope: Scope, actor: string): Promise<void> {
    await this.#edit(scope, actor, (before) => {
      if (this.#current(before).length === 0)
        throw new Problem('not_found', `No raise is in force on ${scopeName(scope)}.`, 'subject')
      return { limits: before.limits, raises: [] }
    })
  }

  /** A document without raises that have ended. */
  withoutEnded({ limits, raises }: LimitDocument): LimitDocument {
    const { wallMs } = this.#parts.clock.now()
    return { limits, raises: raises.filter(({ until }) => wallMs < Date.parse(until)) }
  }

  #current(document: LimitDocument): readonly WrittenRaise[] {
    return this.withoutEnded(document).raises
  }

  #checkUntil(until: string): void {
    const fromNowMs = Date.parse(until) - this.#parts.clock.now().wallMs
    if (fromNowMs <= 0) throw new Problem('invalid_request', 'until must be in the future.', 'until')
    if (fromNowMs > MAX_RAISE_MS)
      throw new Problem(
        'invalid_request',
        'until must be at most a year ahead. Set a limit for what lasts longer.',
        'until',
      )
  }

  /** @param edit gets the document, and the limits in force without raises */
  async #edit(
    scope: Scope,
    actor: string,
    edit: (before: LimitDocument, inForce: readonly Limit[]) => LimitDocument,
  ): Promise<void> {
    const { registry, limits, clock } = this.#parts
    const origin: WriteOrigin = { actor, atMs: clock.now().wallMs, audit: true }
    if (scope.who === 'key' && scope.subject !== undefined) {
      const { subject } = scope
      const earlier = limits.documentOf(scope)
      const editKey = (ofRecord: LimitDocument) => {
        const before = joined(earlier, ofRecord)
        const ofKey = readKeyLimits(subject, before, limits.countsCost)
        return edit(
          before,
          this.inForceOn(scope, ofKey).map(({ limit }) => limit),
        )
      }
      if (await changeKeyDocument(registry, limits, subject, editKey, origin).catch(conflictOf)) {
        // The record has taken its limits over.
        if (earlier) await limits.change(scope, () => null, origin)
        return
      }
    }
    const editDocument = (before: LimitDocument = EMPTY_DOCUMENT) => {
      const after = edit(before, limits.plan.limitsOf(scope))
      return isEmpty(after) ? null : after
    }
    await limits.change(scope, editDocument, origin)
  }
}

async function keyRecordOf(registry: Registry, { who, subject }: Scope) {
  return who === 'key' && subject !== undefined ? keyDocument(registry, subject) : undefined
}

/** The limits of a key's record, with those of a document that was written before the key was made. The record goes first. */
function joined(earlier: LimitDocument | undefined, ofRecord: LimitDocument): LimitDocument {
  if (!earlier) return ofRecord
  return { limits: { ...earlier.limits, ...ofRecord.limits }, raises: [...earlier.raises, ...ofRecord.raises] }
}

function isEmpty({ limits, raises }: LimitDocument): boolean {
  return Object.keys(limits).length === 0 && raises.length === 0
}

/** The limits that the words say. Throws Problem with the place of the first mistake. */
function checkWords(scope: Scope, words: WrittenLimits): readonly Limit[] {
  const mistakes: Finding[] = []
  const limits = readLimitSet(scope, words, [], () => '', mistakes)
  const [mistake] = mistakes
  if (!mistake) return limits
  const place = mistake.place.join('.')
  throw new Problem('invalid_request', `${place} ${mistake.text}`.trim(), place)
}

/** A raise changes the amount alone. Throws Problem for an option that it would ignore. */
function checkAmounts(limits: WrittenLimits): void {
  for (const [word, written] of Object.entries(limits)) {
    const option = Object.keys(recordOf(written)).find((name) => name !== 'amount')
    if (option !== undefined)
      throw new Problem(
        'invalid_request',
        `${word}.${option} must not be here: a raise changes the amount alone.`,
        word,
      )
  }
}

function checkAbove(scope: Scope, raised: Limit, inForce: readonly Limit[]): void {
  const { what, span, capacity } = raised
  const word = limitWord(what, span)
  const limit = inForce.find((each) => each.what === what && each.span === span)
  if (!limit)
    throw new Problem(
      'invalid_request',
      `${word} cannot be raised: no such limit is in force on ${scopeName(scope)}.`,
      word,
    )
  if (capacity > limit.capacity) return
  const figure = amountText(meterOf(limit, '', 0, 'UTC', ''), limit.capacity)
  throw new Problem('invalid_request', `${word} must be above the limit in force, which is ${figure}.`, word)
}

function conflictOf(error: unknown): never {
  if (error instanceof DocumentChanged)
    throw new Problem('conflict', 'The key was changed by others meanwhile. Please try again.')
  throw error
}
