// Anthropic dialect fields: how the fields that only this dialect has are kept, and the small fields that reader and writer share.

import type { CacheHint, JsonObject } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import type { ExtrasPolicy } from '../dialect-fields.ts'

export const DIALECT = 'anthropic.messages'

/** True for a value that requests nothing, as if the field were absent. Zero requests something. */
export function isEmpty(value: unknown): boolean {
  if (isBlank(value)) return true
  return isRecord(value) && Object.values(value).every(isBlank)
}

function isBlank(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** How Anthropic's translator keeps the fields that only this dialect has. */
export const ANTHROPIC_EXTRAS: ExtrasPolicy = { dialect: DIALECT, isEmpty, keepsNulls: true }

const CACHE_FIELDS = new Set(['type', 'ttl'])

/** The cache hint of a `cache_control` field; undefined if there is none, or if its exact form has to be kept. */
export function cacheOf(control: unknown): CacheHint | undefined {
  if (!isRecord(control) || control.type !== 'ephemeral') return undefined
  if (Object.keys(control).some((name) => !CACHE_FIELDS.has(name))) return undefined
  if (control.ttl === undefined || control.ttl === '5m') return '5m'
  return control.ttl === '1h' ? '1h' : undefined
}

/** A member to spread into an object; `{}` if the value is undefined. */
export function optionalField<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [N in Name]?: Value } {
  const member: { [N in Name]?: Value } = {}
  if (value !== undefined) member[name] = value
  return member
}

/** The field `cache_control` to spread into an object; `{}` if there is no hint. */
export function cacheControl(cache: CacheHint | undefined): JsonObject {
  if (cache === undefined) return {}
  return { cache_control: cache === '1h' ? { type: 'ephemeral', ttl: '1h' } : { type: 'ephemeral' } }
}

const ILLEGAL_CHARACTERS = /[^a-zA-Z0-9_-]/g

/** The id if Anthropic accepts its characters, otherwise a legal id made of it. Call and result get the same one. */
export function legalId(id: string): string {
  const legal = id.replace(ILLEGAL_CHARACTERS, '_')
  return legal === id ? id : `${legal}_${hashOf(id)}`
}

/** FNV-1a with 32 bits, as 8 hexadecimal digits. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
