// Schemas: puts a JSON schema into the form that a target accepts. What the target refuses is removed, at any depth, and said in
// the description, as Anthropic's SDKs do. The original is never changed.

import type { JsonObject } from '../core/chat.ts'
import { isRecord, recordOf } from '../core/json-values.ts'
import { isSameJson, jsonOf } from './dialect-fields.ts'
import { hasRecursion, withDefinitions, withoutRootReference } from './schema-references.ts'
import type { SchemaRules, SchemaSize } from './target-rules.ts'

/** A schema in the form that the target accepts. */
export interface AdaptedSchema {
  readonly schema: JsonObject
  readonly isChanged: boolean
  /** False: the target would refuse even this form, or the form asks for something else than the original. */
  readonly fits: boolean
  /** What was removed from the root, in words; empty if nothing was. */
  readonly rootWords: string
}

/** No model accepts deeper schemas. What is deeper stays unchanged. */
const MAX_LEVELS = 64
/** How many references in `allOf` are followed in one schema: they could go on without an end. */
const MAX_FOLLOWED_INTERSECTIONS = 64
/** Keywords that constrain nothing. They are left out without a word. */
const SILENT_KEYWORDS = /^(?:\$schema|\$id|\$comment|x-.*|propertyOrdering|markdownDescription|errorMessage)$/
const SCHEMA_KEYWORDS = ['items', 'additionalProperties', 'not', 'if', 'then', 'else', 'contains', 'propertyNames']
const LIST_KEYWORDS = ['anyOf', 'oneOf', 'allOf', 'prefixItems']
const MAP_KEYWORDS = ['properties', '$defs', 'definitions', 'patternProperties', 'dependentSchemas']
const TYPING_KEYWORDS = ['type', 'anyOf', 'oneOf', 'allOf', 'enum', 'const', '$ref']
const TYPES = ['type', 'anyOf', 'oneOf', 'allOf', '$ref']
const COMBINATIONS = ['anyOf', 'oneOf', 'allOf']
const ROOT_REFUSED = [...COMBINATIONS, 'not', 'enum', 'const', 'if', 'then', 'else']
/** Keywords that can bring properties: a closed object without the keyword refuses what the original accepts. */
const BRINGS_PROPERTIES = new Set([...COMBINATIONS, 'if', 'then', 'else', 'patternProperties', 'dependentSchemas'])
const CAN_BE_NULL = new Set(['const', 'default', 'example'])
/** Longer words are cut: a description is no place for a whole schema. */
const MAX_WORDS_CHARACTERS = 2_000

/** @param rules what the target accepts in this place */
export function adaptSchema(original: JsonObject, rules: SchemaRules): AdaptedSchema {
  const defined = withDefinitions(original)
  const adapter = new SchemaAdapter(rules, defined)
  const { schema, words } = adapter.adaptRoot(withoutRootReference(defined))
  const isSmall = !rules.size || isWithin(schema, rules.size)
  const fits = adapter.fits && isSmall && !(rules.refusesRecursion && hasRecursion(defined))
  return { schema, isChanged: !isSameJson(schema, original), fits, rootWords: words }
}

class SchemaAdapter {
  readonly #rules: SchemaRules
  /** Holds the definitions. */
  readonly #root: JsonObject
  #followedIntersections = 0
  /** False once something was removed without which the schema means something else. */
  fits = true

  constructor(rules: SchemaRules, root: JsonObject) {
    this.#rules = rules
    this.#root = root
  }

  adaptRoot(original: JsonObject): { readonly schema: JsonObject; readonly words: string } {
    const schema = withoutNulls(original)
    if (this.#rules.root === 'any') return { schema: this.#adapt(schema, 0), words: '' }
    const refused = Object.entries(schema).filter(([keyword]) => ROOT_REFUSED.includes(keyword))
    const { description, ...merged } = mergeBranches(schema)
    const adapted = this.#adapt({ ...merged, type: 'object' }, 0)
    const words = wordsOf(refused)
    const listed = this.#rules.listsProperties ? { properties: {}, ...adapted } : adapted
    return {
      schema: description === undefined ? listed : { ...listed, description: joined(description, listed.description) },
      words,
    }
  }

  #adaptAny(value: unknown, level: number): unknown {
    if (value === true && this.#rules.keywords) return {}
    return isRecord(value) ? this.#adapt(value, level) : value
  }

  #adapt(original: JsonObject, level: number): JsonObject {
    if (level > MAX_LEVELS) return original
    const { keywords } = this.#rules
    const modern = this.#modernise(original)
    const conditions = this.#conditionsOf(modern)
    const schema = this.#withType(conditions.length > 0 ? mergeBranches(modern) : modern)
    if (keywords && schema.$ref !== undefined) return onlyReference(schema, (inner) => this.#adaptAny(inner, level + 1))
    const kept = new Map<string, unknown>()
    const removed: [string, unknown][] = [...conditions]
    for (const [keyword, value] of Object.entries(schema)) {
      if (!keywords || (keywords.has(keyword) && this.#acceptsValue(keyword, value)))
        kept.set(keyword, this.#adaptValue(keyword, value, level))
      else if (!SILENT_KEYWORDS.test(keyword)) removed.push([keyword, value])
    }
    this.#completeObject(schema, kept, removed, level)
    if (this.#rules.needsItems && schema.type === 'array' && !kept.has('items')) kept.set('items', {})
    const words = wordsOf(removed)
    if (words !== '') kept.set('description', joined(kept.get('description'), words))
    return Object.fromEntries(kept)
  }

  /** Combinations of schemas beside the properties of an object, which a target that needs types does not read as conditions. */
  #conditionsOf(schema: JsonObject): [string, unknown][] {
    if (!this.#rules.needsType || !isRecord(schema.properties)) return []
    return Object.entries(schema).filter(([keyword]) => COMBINATIONS.includes(keyword))
  }

  #acceptsValue(keyword: string, value: unknown): boolean {
    const { formats, maxMinItems, refusedPattern } = this.#rules
    if (keyword === 'format') return !formats || formats.has(String(value))
    if (keyword === 'enum')
      return !this.#rules.keywords || listOf(value).every((choice) => typeof choice !== 'object' || choice === null)
    if (keyword === 'pattern') return !refusedPattern?.test(String(value))
    if (keyword === 'minItems') return maxMinItems === undefined || Number(value) <= maxMinItems
    return true
  }

  #adaptValue(keyword: string, value: unknown, level: number): unknown {
    if (MAP_KEYWORDS.includes(keyword) && isRecord(value))
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, this.#adaptAny(inner, level + 1)]))
    if (LIST_KEYWORDS.includes(keyword) && Array.isArray(value))
      return value.map((inner) => this.#adaptAny(inner, level + 1))
    return SCHEMA_KEYWORDS.includes(keyword) && typeof value === 'object' ? this.#adaptAny(value, level + 1) : value
  }

  /** Writes older spellings as JSON Schema 2020-12, and keywords that the target lacks as others that mean the same. */
  #modernise(schema: JsonObject): JsonObject {
    const { keywords } = this.#rules
    let modern = withNumericBounds(withNull(withoutNulls(schema)))
    if (Array.isArray(modern.items)) {
      const { items, additionalItems, ...rest } = modern
      modern = { ...rest, prefixItems: items, ...(additionalItems === undefined ? {} : { items: additionalItems }) }
    }
    if (Array.isArray(modern.prefixItems) && (keywords ? !keywords.has('prefixItems') : this.#rules.needsItems)) {
      const { prefixItems, ...rest } = modern
      modern = {
        ...rest,
        items: { anyOf: prefixItems },
        description: joined(rest.description, 'The items have these schemas in turn.'),
      }
    }
    if (!keywords) return modern
    if (!keywords.has('oneOf') && Array.isArray(modern.oneOf) && modern.anyOf === undefined) {
      const { oneOf, ...rest } = modern
      modern = { ...rest, anyOf: oneOf }
    }
    // Closed objects that must hold together would exclude each other's properties.
    if (Array.isArray(modern.allOf) && (this.#rules.closesObjects || !keywords.has('allOf')))
      modern = mergeAllOf(modern, this.#followedIntersections++ < MAX_FOLLOWED_INTERSECTIONS ? this.#root : {})
    if (!keywords.has('const') && ['string', 'number'].includes(typeof modern.const)) {
      const { const: only, ...rest } = modern
      modern = { type: typeof only, ...rest, enum: [only] }
    }
    return keywords.has('definitions') ? modern : withDefs(modern)
  }

  /** A schema for any value becomes one for any plain value, if every schema needs a type. */
  #withType(schema: JsonObject): JsonObject {
    if (!this.#rules.needsType) return schema
    if (TYPING_KEYWORDS.some((keyword) => schema[keyword] !== undefined)) return withTypeOfValues(schema)
    if (isRecord(schema.properties)) return { type: 'object', ...schema }
    if (schema.items !== undefined) return { type: 'array', ...schema }
    this.fits = false
    return { ...schema, anyOf: ['string', 'number', 'boolean', 'null'].map((type) => ({ type })) }
  }

  /** @param removed gets what an object is not allowed to say */
  #completeObject(schema: JsonObject, kept: Map<string, unknown>, removed: [string, unknown][], level: number): void {
    const properties = recordOf(schema.properties)
    const names = Object.keys(properties)
    const isObject = schema.type === 'object' || isRecord(schema.properties) || listOf(schema.type).includes('object')
    if (!isObject) return
    const { closesObjects, requiresAllProperties, requiresDeclaredProperties } = this.#rules
    if (closesObjects) {
      const { additionalProperties: others } = schema
      // Only at the root of a tool is an object without properties one that holds none.
      const isOpen = names.length === 0 && (others === true || (others === undefined && level > 0))
      if (isRecord(others) || isOpen) {
        if (others !== undefined) removed.push(['additionalProperties', others])
        this.fits = false
      }
      if (removed.some(([keyword]) => BRINGS_PROPERTIES.has(keyword))) this.fits = false
      kept.set('additionalProperties', false)
    }
    const required = listOf(schema.required)
    if (requiresAllProperties && names.length > 0) {
      const requiredNames = new Set(required)
      if (names.some((name) => !requiredNames.has(name))) this.fits = false
    }
    if (
      (requiresDeclaredProperties || requiresAllProperties) &&
      required.some((name) => !Object.hasOwn(properties, String(name)))
    ) {
      const declared = required.filter((name) => Object.hasOwn(properties, String(name)))
      if (declared.length > 0) kept.set('required', declared)
      else kept.delete('required')
    }
  }
}

/** A reference can have no keywords beside it but definitions. */
function onlyReference(schema: JsonObject, adapt: (value: unknown) => unknown): JsonObject {
  const definitions = Object.entries(recordOf(schema.$defs)).map(([name, inner]) => [name, adapt(inner)])
  return { $ref: schema.$ref, ...(definitions.length > 0 ? { $defs: Object.fromEntries(definitions) } : {}) }
}

/** Keywords and their values as text: `{minLength: 3, pattern: "^a"}`. Empty if there are none. */
function wordsOf(keywords: readonly (readonly [string, unknown])[]): string {
  if (keywords.length === 0) return ''
  const words = keywords.map(([keyword, value]) => `${keyword}: ${jsonOf(value)}`).join(', ')
  const isLong = words.length > MAX_WORDS_CHARACTERS
  return `{${isLong ? `${words.slice(0, MAX_WORDS_CHARACTERS).toWellFormed()}…` : words}}`
}

/** Values of a schema without a type name the type: the types of `enum` and `const`. */
function withTypeOfValues(schema: JsonObject): JsonObject {
  const values = Array.isArray(schema.enum) ? schema.enum : schema.const === undefined ? [] : [schema.const]
  if (values.length === 0 || TYPES.some((keyword) => schema[keyword] !== undefined)) return schema
  const types = [...new Set(values.map((value) => (value === null ? 'null' : typeof value)))]
  if (types.includes('object')) return schema
  return { type: types.length === 1 ? types[0] : types, ...schema }
}

/** Whether a schema is within the sizes that the target accepts. Takes time linear in the size of the schema. */
function isWithin(schema: JsonObject, size: SchemaSize): boolean {
  const counts = { properties: 0, enumValues: 0, characters: 0 }
  const isShallow = (value: unknown, level: number): boolean => {
    if (!isRecord(value)) return true
    if (level > size.maxLevels) return false
    const { properties, $defs, definitions, items, anyOf, enum: values } = value
    const names = Object.keys(recordOf(properties))
    counts.properties += names.length
    for (const name of names) counts.characters += name.length
    for (const choice of [...listOf(values), value.const]) {
      counts.enumValues += choice === undefined ? 0 : 1
      counts.characters += typeof choice === 'string' ? choice.length : 0
    }
    const deeper = [...Object.values(recordOf(properties)), items]
    const asDeep = listOf(anyOf)
    const definedApart = [recordOf($defs), recordOf(definitions)].flatMap((record) => Object.values(record))
    return (
      deeper.every((inner) => isShallow(inner, level + 1)) &&
      asDeep.every((inner) => isShallow(inner, level)) &&
      definedApart.every((inner) => isShallow(inner, 1))
    )
  }
  return (
    isShallow(schema, 1) &&
    counts.properties <= size.maxProperties &&
    counts.enumValues <= size.maxEnumValues &&
    counts.characters <= size.maxCharacters
  )
}

/** A description with more words after it. */
export function joined(description: unknown, words: unknown): string {
  return [description, words].filter((text) => typeof text === 'string' && text !== '').join('\n\n')
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** Without the keywords of null, which some generators write for absent ones. */
function withoutNulls(schema: JsonObject): JsonObject {
  const isAbsent = ([keyword, value]: [string, unknown]) => value === null && !CAN_BE_NULL.has(keyword)
  const entries = Object.entries(schema)
  return entries.some(isAbsent) ? Object.fromEntries(entries.filter((entry) => !isAbsent(entry))) : schema
}

/** OpenAPI's `nullable` as a type. */
function withNull(schema: JsonObject): JsonObject {
  const { nullable, ...rest } = schema
  if (typeof nullable !== 'boolean') return schema
  if (!nullable || typeof rest.type !== 'string') return rest
  const values = Array.isArray(rest.enum) && !rest.enum.includes(null) ? { enum: [...rest.enum, null] } : {}
  return { ...rest, type: [rest.type, 'null'], ...values }
}

/** The bounds of draft 4, which are true or false, as numbers; the `required` of draft 3, which is true or false, is left out. */
function withNumericBounds(schema: JsonObject): JsonObject {
  const { exclusiveMinimum, exclusiveMaximum, required, ...rest } = schema
  const hasOldBounds = typeof exclusiveMinimum === 'boolean' || typeof exclusiveMaximum === 'boolean'
  if (!hasOldBounds && typeof required !== 'boolean') return schema
  const fields = new Map<string, unknown>(Object.entries(rest))
  const write = (bound: unknown, inclusive: string, exclusive: string) => {
    if (typeof bound !== 'boolean') return bound === undefined ? undefined : fields.set(exclusive, bound)
    if (!bound || !fields.has(inclusive)) return
    fields.set(exclusive, fields.get(inclusive))
    fields.delete(inclusive)
  }
  write(exclusiveMinimum, 'minimum', 'exclusiveMinimum')
  write(exclusiveMaximum, 'maximum', 'exclusiveMaximum')
  if (required !== undefined && typeof required !== 'boolean') fields.set('required', required)
  return Object.fromEntries(fields)
}

/** `definitions` and references to them by their newer name. */
function withDefs(schema: JsonObject): JsonObject {
  const { definitions, ...rest } = schema
  const reference = typeof rest.$ref === 'string' && rest.$ref.startsWith('#/definitions/') ? rest.$ref : undefined
  return {
    ...rest,
    ...(isRecord(definitions) ? { $defs: { ...definitions, ...recordOf(rest.$defs) } } : {}),
    ...(reference === undefined ? {} : { $ref: reference.replace('#/definitions/', '#/$defs/') }),
  }
}

const MERGEABLE = new Set([
  'type',
  'properties',
  'required',
  'additionalProperties',
  'description',
  'title',
  '$defs',
  'definitions',
])
const ANNOTATION = /^(?:description|title|\$defs|definitions|default)$/

/** The schema with the properties of all schemas that must hold, if each of them is a plain object; otherwise unchanged. */
export function mergeAllOf(schema: JsonObject, root: JsonObject): JsonObject {
  const { allOf, ...rest } = schema
  const parts = listOf(allOf).map(recordOf)
  const [only] = parts
  if (only && parts.length === 1 && Object.keys(rest).every((keyword) => ANNOTATION.test(keyword)))
    return { ...only, ...rest }
  const named = parts.map((part) => withoutRootReference(part, root))
  if (![rest, ...named].every((part) => Object.keys(part).every((keyword) => MERGEABLE.has(keyword)))) return schema
  return { type: 'object', ...mergeBranches({ ...rest, allOf: named }) }
}

/**
 * A schema of one object in place of a combination of schemas: with the properties of all of them. Required is what all of `allOf`
 * and every one of the alternatives require.
 */
function mergeBranches(schema: JsonObject): JsonObject {
  const branches = COMBINATIONS.flatMap((keyword) => listOf(schema[keyword]).map(recordOf))
  const own = Object.fromEntries(Object.entries(schema).filter(([keyword]) => !ROOT_REFUSED.includes(keyword)))
  const values = new Map<string, unknown[]>(
    Object.entries(recordOf(schema.properties)).map(([name, value]) => [name, [value]]),
  )
  for (const branch of branches)
    for (const [name, value] of Object.entries(recordOf(branch.properties))) {
      const known = values.get(name)
      if (known) known.push(value)
      else values.set(name, [value])
    }
  const properties = [...values].map(([name, choices]) => [name, oneOrAnyOf(choices)])
  const required = new Set([
    ...listOf(schema.required),
    ...listOf(schema.allOf).flatMap((part) => listOf(recordOf(part).required)),
  ])
  for (const keyword of ['anyOf', 'oneOf']) {
    const [first, ...rest] = listOf(schema[keyword]).map((branch) => listOf(recordOf(branch).required))
    const others = rest.map((names) => new Set(names))
    for (const name of first ?? []) if (others.every((names) => names.has(name))) required.add(name)
  }
  return {
    ...own,
    ...(properties.length > 0 ? { properties: Object.fromEntries(properties) } : {}),
    ...(required.size > 0 ? { required: [...required] } : {}),
  }
}

/** More different schemas of one property are no help to a model: the property then takes any value. */
const MAX_ALTERNATIVES = 64

/** The schemas that a property has in different branches as one. */
function oneOrAnyOf(schemas: readonly unknown[]): unknown {
  const different: unknown[] = []
  for (const schema of schemas.flatMap(alternativesIn)) {
    if (different.some((other) => isSameJson(other, schema))) continue
    if (different.length === MAX_ALTERNATIVES) return {}
    different.push(schema)
  }
  return different.length === 1 ? different[0] : { anyOf: different }
}

function alternativesIn(schema: unknown): readonly unknown[] {
  const { anyOf, ...rest } = recordOf(schema)
  return Array.isArray(anyOf) && Object.keys(rest).length === 0 ? anyOf : [schema]
}
