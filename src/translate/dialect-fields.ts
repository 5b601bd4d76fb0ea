// Shared: the little that readers and writers of asks have in common.

import type { ErrorKind, Extras, JsonObject } from '../core/chat.ts'
import { isRecord } from '../core/json-values.ts'
import { Problem } from '../core/problem.ts'

/** How deep emptiness is looked for: some servers fill in whole objects of nothing. */
const MAX_EMPTY_LEVELS = 3

/** What stands for nothing asked: such a field is kept, but nobody misses it. */
export function isEmpty(value: unknown): boolean {
  return value === false || isEmptyToLevel(value, MAX_EMPTY_LEVELS)
}

function isEmptyToLevel(value: unknown, levels: number): boolean {
  if (Array.isArray(value)) return value.length === 0
  if (isRecord(value)) return levels > 0 && Object.values(value).every((inner) => isEmptyToLevel(inner, levels - 1))
  return value === null || value === undefined || value === '' || value === 0
}

/**
 * Collects what only one dialect knows. A hint that is empty also serves as a mark of how something was spelled: it says
 * nothing to another dialect, and is never announced.
 */
export class ExtrasDraft {
  readonly #hints = new Map<string, unknown>()
  readonly #needs = new Map<string, unknown>()

  hint(name: string, value: unknown): void {
    this.#hints.set(name, value)
  }

  need(name: string, value: unknown): void {
    this.#needs.set(name, value)
  }

  /** Fields of an object that are none of the `known`: needs, but for these hints and for what is empty. */
  keepRest(record: JsonObject, known: ReadonlySet<string>, hints: ReadonlySet<string>): this {
    for (const [name, value] of Object.entries(record)) {
      if (known.has(name)) continue
      if (hints.has(name) || isEmpty(value)) this.hint(name, value)
      else this.need(name, value)
    }
    return this
  }

  /** To be spread: `{}` where there is nothing. */
  toField(dialect: string): { readonly extras?: Extras } {
    if (this.#hints.size + this.#needs.size === 0) return {}
    const extras = {
      dialect,
      ...(this.#hints.size > 0 && { hints: Object.fromEntries(this.#hints) }),
      ...(this.#needs.size > 0 && { needs: Object.fromEntries(this.#needs) }),
    }
    return { extras }
  }
}

/**
 * What a writer of this dialect puts back of it, needs and hints together. Of another dialect's it notes the hints as
 * dropped, and throws Problem `unsupported` for a need.
 */
export function writeExtras(extras: Extras | undefined, dialect: string, dropped: Set<string>): JsonObject {
  if (extras === undefined) return {}
  if (extras.dialect === dialect) return { ...extras.hints, ...extras.needs }
  const [need] = Object.keys(extras.needs ?? {})
  if (need !== undefined) throw unsupportedExtra(need)
  for (const [name, value] of Object.entries(extras.hints ?? {})) if (!isEmpty(value)) dropped.add(name)
  return {}
}

/** @param name as the dialect that has it calls it */
export function unsupportedExtra(name: string): Problem {
  return new Problem('unsupported', `The model that is to answer has nothing like '${name}'.`, name)
}

/** How deep two values are compared: nothing that is put back is deeper. */
const MAX_COMPARED_LEVELS = 64

/** Whether two parsed JSON values say the same, whatever the order of their members. Too deep ones do not. */
export function isSameJson(one: unknown, other: unknown, levels = MAX_COMPARED_LEVELS): boolean {
  if (Object.is(one, other)) return true
  if (levels === 0) return false
  if (Array.isArray(one)) {
    if (!Array.isArray(other) || other.length !== one.length) return false
    return one.every((value, at) => isSameJson(value, other[at], levels - 1))
  }
  if (!isRecord(one) || !isRecord(other)) return false
  const names = Object.keys(one)
  if (names.length !== Object.keys(other).length) return false
  return names.every((name) => Object.hasOwn(other, name) && isSameJson(one[name], other[name], levels - 1))
}

/** JSON of a value that was parsed from JSON; `{}` for what is too deep for it. */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '{}'
  } catch {
    return '{}'
  }
}

/** Names of answers and of models are shorter. */
const MAX_NAME_CHARACTERS = 256

/** An answer's name of itself or of its model, cut to size: it is said again with every event. Empty where there is none. */
export function readName(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_NAME_CHARACTERS) : ''
}

const FNV_PRIME = 0x100000001b3n
const FNV_OFFSET = 0xcbf29ce484222325n

/** FNV-1a, 64 bits, as 16 hexadecimal digits: tells names apart, and hides nothing. */
export function hashOf(text: string): string {
  let hash = FNV_OFFSET
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME)
  return hash.toString(16).padStart(16, '0')
}

/** What went wrong, where nothing says more than HTTP's status. */
export const KIND_OF_STATUS: ReadonlyMap<number, ErrorKind> = new Map<number, ErrorKind>([
  [401, 'unauthenticated'],
  [402, 'quota'],
  [403, 'forbidden'],
  [404, 'notFound'],
  [408, 'timeout'],
  [413, 'tooLarge'],
  [429, 'rate'],
  [503, 'overloaded'],
  [504, 'timeout'],
  [529, 'overloaded'],
])
