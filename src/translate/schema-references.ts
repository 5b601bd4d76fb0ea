// Schema references: follows the `$ref` of a JSON schema to its own definitions. It opens no URL.

import type { JsonObject } from '../core/chat.ts'
import { isRecord, recordOf } from '../core/json-values.ts'

/** Longer chains of references are followed no further. */
const MAX_STEPS = 16
const MAX_LEVELS = 64

/** The schema that a reference into `root` names; undefined if there is none. */
function resolve(root: JsonObject, reference: unknown): JsonObject | undefined {
  if (typeof reference !== 'string' || !reference.startsWith('#')) return undefined
  let value: unknown = root
  for (const step of reference.split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    if (!isRecord(value) || !Object.hasOwn(value, name)) return undefined
    value = value[name]
  }
  return isRecord(value) ? value : undefined
}

/**
 * A schema that is a reference, as what the reference names. The definitions stay.
 * @param root the schema with the definitions
 */
export function withoutRootReference(schema: JsonObject, root = schema): JsonObject {
  let named = schema
  for (let step = 0; step < MAX_STEPS && named.$ref !== undefined; step++) {
    const { $ref: reference, ...rest } = named
    const definition = resolve(root, reference)
    if (!definition || definition === root) return named
    named = { ...definition, ...rest }
  }
  return named
}

/** Whether some definition refers to itself, directly or through others. */
export function hasRecursion(schema: JsonObject): boolean {
  const definitions = { ...recordOf(schema.definitions), ...recordOf(schema.$defs) }
  const referencesOf = new Map<string, Set<string>>(
    Object.entries(definitions).map(([name, definition]) => [name, namesIn(definition)]),
  )
  if (namesIn({ ...schema, $defs: null, definitions: null }).has('')) return true
  return [...referencesOf].some(([name]) => reaches(name, name, referencesOf))
}

function reaches(from: string, target: string, referencesOf: ReadonlyMap<string, ReadonlySet<string>>): boolean {
  const seen = new Set<string>()
  const pending = [from]
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    for (const next of referencesOf.get(name) ?? []) {
      if (next === target || next === '') return true
      if (!seen.has(next)) pending.push(next)
      seen.add(next)
    }
  }
  return false
}

/** The names of the definitions that a schema refers to; an empty name for the root. */
function namesIn(value: unknown, names = new Set<string>(), level = 0): Set<string> {
  if (level > MAX_LEVELS) return names
  if (Array.isArray(value)) for (const element of value) namesIn(element, names, level + 1)
  else if (isRecord(value)) {
    const { $ref: reference } = value
    if (reference === '#') names.add('')
    else if (typeof reference === 'string')
      names.add(/^#\/(?:\$defs|definitions)\/([^/]+)/.exec(reference)?.[1] ?? reference)
    for (const inner of Object.values(value)) namesIn(inner, names, level + 1)
  }
  return names
}
