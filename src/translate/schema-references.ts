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
    const name = unescaped(step)
    if ((!isRecord(value) && !Array.isArray(value)) || !Object.hasOwn(value, name)) return undefined
    value = Array.isArray(value) ? value[Number(name)] : value[name]
  }
  return isRecord(value) ? value : undefined
}

/** A step of a JSON pointer in a URL, with its escapes of both kinds undone. */
function unescaped(step: string): string {
  const pointer = /%[0-9a-f]{2}/i.test(step) ? decoded(step) : step
  return pointer.replaceAll('~1', '/').replaceAll('~0', '~')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A reference to a definition at the root, or to the root itself. */
const TO_DEFINITION = /^#(?:\/(?:\$defs|definitions)\/[^/]+)?$/
/** The pointer to a schema, and not to a list or a record of schemas. */
const TO_SCHEMA =
  /(?:\/(?:properties|\$defs|definitions|patternProperties|dependentSchemas|anyOf|oneOf|allOf|prefixItems|items)\/[^/]+|\/(?:items|additionalProperties|not|contains|if|then|else|propertyNames))$/
const MAP_KEYWORDS: ReadonlySet<string> = new Set([
  'properties',
  '$defs',
  'definitions',
  'patternProperties',
  'dependentSchemas',
])
/** What stands under these keywords is no schema. */
const DATA_KEYWORDS: ReadonlySet<string> = new Set(['enum', 'const', 'default', 'examples', 'example', 'required'])

/**
 * The schema with a definition in every other place that a reference names: places move when a schema is put into another form, and
 * definitions do not. Returns the same schema if no such reference is in it. Takes time linear in the size of the schema.
 * @param movesRoot true: the root becomes a definition too, if a reference names it
 */
export function withDefinitions(schema: JsonObject, movesRoot = false): JsonObject {
  const references = placesIn(schema, movesRoot)
  if (references.size === 0) return schema
  const mover = new PlaceMover(schema, references)
  const { $defs: definitions, definitions: older, ...rest } = recordOf(mover.move(schema, ''))
  const moved = Object.fromEntries(mover.definitions)
  const root = movesRoot && references.has('#') ? mover.defineRoot(rest) : undefined
  return {
    ...(root ? { $ref: root.$ref } : rest),
    $defs: { ...recordOf(definitions), ...moved, ...root?.definitions },
    ...(older === undefined ? {} : { definitions: older }),
  }
}

/** The references to places that are no definitions. */
function placesIn(value: unknown, withRoot: boolean, found = new Set<string>(), level = 0): Set<string> {
  if (level > MAX_LEVELS) return found
  if (Array.isArray(value)) for (const element of value) placesIn(element, withRoot, found, level + 1)
  else if (isRecord(value)) {
    const { $ref: reference } = value
    if (typeof reference === 'string' && reference.startsWith('#')) {
      const isPlace = reference === '#' ? withRoot : !TO_DEFINITION.test(reference) && TO_SCHEMA.test(reference)
      if (isPlace) found.add(reference)
    }
    for (const inner of Object.values(value)) placesIn(inner, withRoot, found, level + 1)
  }
  return found
}

/** Moves the places of one schema into definitions, each once. */
class PlaceMover {
  readonly definitions = new Map<string, unknown>()
  readonly #names = new Map<string, string>()
  readonly #taken: Set<string>

  constructor(schema: JsonObject, references: ReadonlySet<string>) {
    this.#taken = new Set([...Object.keys(recordOf(schema.$defs)), ...Object.keys(recordOf(schema.definitions))])
    for (const reference of references)
      if (reference === '#' || resolve(schema, reference)) this.#names.set(pointerOf(reference), this.#newName())
  }

  #newName(): string {
    let number = this.#names.size + 1
    while (this.#taken.has(`ref${number}`)) number++
    this.#taken.add(`ref${number}`)
    return `ref${number}`
  }

  /** The value with references by the new names. A place that is moved becomes a reference itself. */
  move(value: unknown, pointer: string, isMap = false, level = 0): unknown {
    if (level > MAX_LEVELS) return value
    if (Array.isArray(value))
      return value.map((element, index) => this.move(element, `${pointer}/${index}`, false, level + 1))
    if (!isRecord(value)) return value
    const fields = Object.entries(value).map(([keyword, inner]): [string, unknown] => {
      if (!isMap && keyword === '$ref') return [keyword, this.#newReference(inner)]
      if (!isMap && DATA_KEYWORDS.has(keyword)) return [keyword, inner]
      const isMapInside = !isMap && MAP_KEYWORDS.has(keyword)
      return [keyword, this.move(inner, `${pointer}/${escaped(keyword)}`, isMapInside, level + 1)]
    })
    const moved = Object.fromEntries(fields)
    const name = pointer === '' ? undefined : this.#names.get(pointer)
    if (name === undefined) return moved
    this.definitions.set(name, moved)
    return { $ref: `#/$defs/${name}` }
  }

  defineRoot(root: JsonObject): { readonly $ref: string; readonly definitions: JsonObject } {
    const name = this.#names.get('') ?? 'root'
    return { $ref: `#/$defs/${name}`, definitions: { [name]: root } }
  }

  #newReference(reference: unknown): unknown {
    const name = typeof reference === 'string' ? this.#names.get(pointerOf(reference)) : undefined
    return name === undefined ? reference : `#/$defs/${name}`
  }
}

/** The pointer of a reference, spelled in one way: empty for the root. */
function pointerOf(reference: string): string {
  return reference
    .split('/')
    .slice(1)
    .map((step) => `/${escaped(unescaped(step))}`)
    .join('')
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
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
