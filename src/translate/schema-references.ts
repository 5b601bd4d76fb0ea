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

/** Whether some definition refers to itself, directly or through others. Takes time linear in the size of the schema. */
export function hasRecursion(schema: JsonObject): boolean {
  const definitions = { ...recordOf(schema.definitions), ...recordOf(schema.$defs) }
  const referencesOf = new Map(
    Object.entries(definitions).map(([name, definition]) => [name, [...namesIn(definition)]]),
  )
  if (namesIn({ ...schema, $defs: null, definitions: null }).has('')) return true
  const finished = new Set<string>()
  return [...referencesOf.keys()].some((name) => leadsToCycle(name, referencesOf, finished))
}

/** Searches in depth, without recursion of its own. Adds to `finished` the names from which no cycle can be reached. */
function leadsToCycle(from: string, referencesOf: ReadonlyMap<string, string[]>, finished: Set<string>): boolean {
  const path = [{ name: from, next: 0 }]
  const onPath = new Set([from])
  for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
    const reference = finished.has(step.name) ? undefined : referencesOf.get(step.name)?.[step.next++]
    if (reference === '' || (reference !== undefined && onPath.has(reference))) return true
    if (reference !== undefined) {
      path.push({ name: reference, next: 0 })
      onPath.add(reference)
      continue
    }
    finished.add(step.name)
    onPath.delete(step.name)
    path.pop()
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
