// Dialect fields: what the translators share to keep the fields of one dialect, and to compare, cut and hash values.

import type { DialectPart, DialectTool, ErrorKind, Extras, JsonObject } from '../core/chat.ts'
import { isRecord } from '../core/json-values.ts'
import { Problem } from '../core/problem.ts'
import { fieldIn, placed, placeOf } from './places.ts'

/** How a dialect treats the fields that it does not share with other dialects. */
export interface ExtrasPolicy {
  /** The dialect's name in wire/index.ts. */
  readonly dialect: string
  /** True for a value that requests nothing, as if the field were absent. Such a field is a hint, and leaving it out is not reported. */
  isEmpty(value: unknown): boolean
  /** True: a field that the reader knows is kept if it is null, so that the null can be restored. */
  readonly keepsNulls: boolean
}

/** Which fields `ExtrasDraft.keepRest` takes for hints, and where they stand. */
interface RestOptions {
  /** Names with their prefix. */
  readonly hints?: ReadonlySet<string>
  /** Precedes every name: `generationConfig.` */
  readonly prefix?: string
  /** True: every field is a hint. A message of the conversation tells what was, so no field of it is a need. */
  readonly isEcho?: boolean
}

const NO_NAMES: ReadonlySet<string> = new Set()

/**
 * Collects the extras of an object while a reader reads it.
 *
 * @example
 * const extras = new ExtrasDraft(POLICY)
 * extras.keepRest(body, new Set(['model', 'messages']), { hints: new Set(['logit_bias']) })
 * return { model, messages, ...extras.toField() }
 */
export class ExtrasDraft {
  readonly #policy: ExtrasPolicy
  readonly #hints = new Map<string, unknown>()
  readonly #needs = new Map<string, unknown>()
  readonly #marks = new Map<string, unknown>()
  readonly #place: string

  /** @param place where the object stands in the caller's request; empty for the request itself */
  constructor(policy: ExtrasPolicy, place = '') {
    this.#policy = policy
    this.#place = place
  }

  /** Keeps a field that another dialect leaves out. An empty value only restores the original spelling. */
  hint(name: string, value: unknown): void {
    this.#hints.set(name, value)
  }

  /** Keeps a field that another dialect refuses, even if the value is empty. */
  need(name: string, value: unknown): void {
    this.#needs.set(name, value)
  }

  /** Keeps a detail of the spelling, for the writer of this dialect only. @param value null: the field was absent */
  mark(name: string, value: unknown): void {
    this.#marks.set(name, value)
  }

  /** Keeps an empty value as a hint and any other value as a need. */
  keep(name: string, value: unknown): void {
    if (this.#policy.isEmpty(value)) this.hint(name, value)
    else this.need(name, value)
  }

  /** Keeps the fields of `record` that the reader does not know: as hints if the options say so, otherwise as `keep` does. */
  keepRest(record: JsonObject, known: ReadonlySet<string>, options: RestOptions = {}): this {
    const { hints = NO_NAMES, prefix = '', isEcho = false } = options
    for (const [name, value] of Object.entries(record)) {
      if (known.has(name) && !(value === null && this.#policy.keepsNulls)) continue
      if (isEcho || hints.has(prefix + name)) this.hint(prefix + name, value)
      else this.keep(prefix + name, value)
    }
    return this
  }

  /** The field `extras` to spread into an object; `{}` if nothing was kept. */
  toField(): { readonly extras?: Extras } {
    if (this.#hints.size + this.#needs.size + this.#marks.size === 0) return {}
    const extras = {
      dialect: this.#policy.dialect,
      ...(this.#hints.size > 0 && { hints: Object.fromEntries(this.#hints) }),
      ...(this.#needs.size > 0 && { needs: Object.fromEntries(this.#needs) }),
      ...(this.#marks.size > 0 && { marks: Object.fromEntries(this.#marks) }),
    }
    return { extras: placed(extras, this.#place) }
  }
}

/**
 * The fields that the writer of a request restores: hints and needs of its own dialect. It writes nothing of another dialect's
 * extras: see `dropForeignExtras`.
 */
export function writeExtras(extras: Extras | undefined, policy: ExtrasPolicy, dropped: Set<string>): JsonObject {
  dropForeignExtras(extras, policy, dropped)
  return ownExtras(extras, policy)
}

/**
 * The fields that the writer of a response restores: hints and needs of its own dialect. Never throws: the call was made and is
 * paid for, so extras of another dialect are left out, even if they are needs.
 */
export function ownExtras(extras: Extras | undefined, policy: ExtrasPolicy): JsonObject {
  return extras?.dialect === policy.dialect ? { ...extras.hints, ...extras.needs } : {}
}

/** Adds the names of another dialect's hints to `dropped`. Throws Problem `unsupported` for the first of its needs. */
export function dropForeignExtras(extras: Extras | undefined, policy: ExtrasPolicy, dropped: Set<string>): void {
  if (!extras || extras.dialect === policy.dialect) return
  const [need] = Object.keys(extras.needs ?? {})
  if (need !== undefined) throw unsupportedExtra(need, fieldIn(extras, need))
  for (const [name, value] of Object.entries(extras.hints ?? {})) if (!policy.isEmpty(value)) dropped.add(name)
}

/**
 * @param name the field, part or tool in the words of the dialect that has it
 * @param place its path in the caller's request
 */
function unsupportedExtra(name: string, place = name): Problem {
  const where = place === name ? '' : ` in ${place}`
  return new Problem('unsupported', `The target model does not support '${name}'${where}.`, place)
}

/** The error for a part or a tool that only another dialect has. */
export function unsupportedPartOrTool(value: DialectPart | DialectTool): Problem {
  return unsupportedExtra(value.name, placeOf(value))
}

/** Values that are nested more deeply count as different. No value that is restored is. */
const MAX_COMPARED_LEVELS = 64

/** Whether two parsed JSON values are equal; members can be in any order. Values that are too deep count as different. */
export function isSameJson(left: unknown, right: unknown, levels = MAX_COMPARED_LEVELS): boolean {
  if (Object.is(left, right)) return true
  if (levels === 0) return false
  if (Array.isArray(left)) {
    if (!Array.isArray(right) || right.length !== left.length) return false
    return left.every((value, index) => isSameJson(value, right[index], levels - 1))
  }
  if (!isRecord(left) || !isRecord(right)) return false
  const names = Object.keys(left)
  if (names.length !== Object.keys(right).length) return false
  return names.every((name) => Object.hasOwn(right, name) && isSameJson(left[name], right[name], levels - 1))
}

/** The JSON text of a value that was parsed from JSON; `{}` if the value is nested too deeply. */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '{}'
  } catch {
    return '{}'
  }
}

/** Real ids and model names are shorter. */
const MAX_NAME_CHARACTERS = 256

/** The id or model name in a response, cut to a size that every event can repeat. Empty if the value is no string. */
export function readName(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_NAME_CHARACTERS) : ''
}

const FNV_PRIME = 0x100000001b3n
const FNV_OFFSET = 0xcbf29ce484222325n

/** FNV-1a with 64 bits, as 16 hexadecimal digits. It tells names apart and hides nothing. */
export function hashOf(text: string): string {
  let hash = FNV_OFFSET
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME)
  return hash.toString(16).padStart(16, '0')
}

/** The kind of an error if its HTTP status is all that is known. */
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
