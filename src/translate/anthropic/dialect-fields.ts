// Anthropic's own: what only its dialect has words for, kept beside what is neutral and put back as it was.

import type { CacheHint, Extras, JsonObject } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { Problem } from '../../core/problem.ts'

export const DIALECT = 'anthropic.messages'

/** True for a field's value that asks for nothing: the same as if the field were absent. */
export function isEmpty(value: unknown): boolean {
  if (isBlank(value)) return true
  return isRecord(value) && Object.values(value).every(isBlank)
}

function isBlank(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

const NO_HINTS: ReadonlySet<string> = new Set()

/** What is kept of something that is being read. */
export class ExtrasDraft {
  readonly #hints = new Map<string, unknown>()
  readonly #needs = new Map<string, unknown>()

  hint(name: string, value: unknown): void {
    this.#hints.set(name, value)
  }

  /** A hint, where it says nothing. */
  need(name: string, value: unknown): void {
    if (isEmpty(value)) this.hint(name, value)
    else this.#needs.set(name, value)
  }

  /** Keeps all but what is read and not null: as hints those so named, as needs those nobody knows. */
  keepRest(record: JsonObject, read: ReadonlySet<string>, hints: ReadonlySet<string> = NO_HINTS, prefix = ''): void {
    for (const [name, value] of Object.entries(record)) {
      if (read.has(name) && value !== null) continue
      if (hints.has(name)) this.hint(prefix + name, value)
      else this.need(prefix + name, value)
    }
  }

  /** As a member to spread: nothing, where nothing is kept. */
  toField(): { readonly extras?: Extras } {
    const hints = this.#hints.size > 0 ? { hints: Object.fromEntries(this.#hints) } : {}
    const needs = this.#needs.size > 0 ? { needs: Object.fromEntries(this.#needs) } : {}
    return 'hints' in hints || 'needs' in needs ? { extras: { dialect: DIALECT, ...hints, ...needs } } : {}
  }
}

/** Fields to put back, where they are ours. Throws Problem `unsupported` for a need of another dialect. */
export function writeExtras(extras: Extras | undefined, dropped: Set<string>): JsonObject {
  if (!extras) return {}
  if (extras.dialect === DIALECT) return { ...extras.hints, ...extras.needs }
  for (const name of Object.keys(extras.needs ?? {})) throw unsupportedExtra(name)
  for (const [name, value] of Object.entries(extras.hints ?? {})) if (!isEmpty(value)) dropped.add(name)
  return {}
}

export function unsupportedExtra(name: string): Problem {
  return new Problem('unsupported', `Anthropic models cannot be asked for '${name}'.`, name)
}

const CACHE_FIELDS = new Set(['type', 'ttl'])

/** A cache hint that has a neutral name; undefined for none, and for one that is kept as it is. */
export function cacheOf(control: unknown): CacheHint | undefined {
  if (!isRecord(control) || control.type !== 'ephemeral') return undefined
  if (Object.keys(control).some((name) => !CACHE_FIELDS.has(name))) return undefined
  if (control.ttl === undefined || control.ttl === '5m') return '5m'
  return control.ttl === '1h' ? '1h' : undefined
}

/** A member to spread: nothing, where there is no value. */
export function optionalField<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [N in Name]?: Value } {
  const member: { [N in Name]?: Value } = {}
  if (value !== undefined) member[name] = value
  return member
}

/** As a member to spread. */
export function cacheControl(cache: CacheHint | undefined): JsonObject {
  if (cache === undefined) return {}
  return { cache_control: cache === '1h' ? { type: 'ephemeral', ttl: '1h' } : { type: 'ephemeral' } }
}

const ILLEGAL_CHARACTERS = /[^a-zA-Z0-9_-]/g

/** The id itself where it may be one; otherwise one made of it, so that call and result still agree. */
export function legalId(id: string): string {
  const legal = id.replace(ILLEGAL_CHARACTERS, '_')
  return legal === id ? id : `${legal}_${hashOf(id)}`
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
