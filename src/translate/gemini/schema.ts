// Gemini schemas: converts Gemini's OpenAPI schemas, with types in capitals, to the JSON Schema that other dialects accept.

import type { JsonObject } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'

/** Deeper schemas stay as they are: no model accepts them. */
const MAX_LEVELS = 64

/** A schema that is being converted, and how deep it is. */
interface SchemaContext {
  readonly schema: JsonObject
  readonly level: number
}

/** The keywords of JSON Schema that a keyword becomes, with their values. */
type Conversion = (value: unknown, context: SchemaContext, keyword: string) => [string, unknown][]

const convertType: Conversion = (type, { schema }) => {
  if (typeof type !== 'string') return [['type', type]]
  if (type === 'TYPE_UNSPECIFIED') return []
  const name = type.toLowerCase()
  return [['type', schema.nullable === true ? [name, 'null'] : name]]
}

const convertProperties: Conversion = (value, { level }) => {
  if (!isRecord(value)) return [['properties', value]]
  const properties = Object.entries(value).map(([name, schema]) => [name, convertInner(schema, level)])
  return [['properties', Object.fromEntries(properties)]]
}

const convertList: Conversion = (value, { level }, keyword) => [
  [keyword, Array.isArray(value) ? value.map((schema) => convertInner(schema, level)) : value],
]

const convertItems: Conversion = (value, context, keyword) =>
  Array.isArray(value) ? convertList(value, context, keyword) : [[keyword, convertInner(value, context.level)]]

/** Google writes 64-bit integers as strings. */
const convertInteger: Conversion = (value, _context, keyword) => [
  [keyword, typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value],
]

/** A value of null has to be among the values of a schema that can be null. */
const convertEnum: Conversion = (values, { schema }) => {
  const needsNull = schema.nullable === true && Array.isArray(values) && !values.includes(null)
  return [['enum', needsNull ? [...values, null] : values]]
}

const omit: Conversion = () => []

/** The changes by keyword. Other keywords stay unchanged. */
const CONVERSIONS: ReadonlyMap<string, Conversion> = new Map([
  ['type', convertType],
  ['nullable', omit],
  ['enum', convertEnum],
  ['propertyOrdering', omit],
  ['format', (value: unknown): [string, unknown][] => (value === 'enum' ? [] : [['format', value]])],
  ['example', (value: unknown): [string, unknown][] => [['examples', [value]]]],
  ['properties', convertProperties],
  ['anyOf', convertList],
  ['items', convertItems],
  ['minItems', convertInteger],
  ['maxItems', convertInteger],
  ['minLength', convertInteger],
  ['maxLength', convertInteger],
  ['minProperties', convertInteger],
  ['maxProperties', convertInteger],
])

/** Converts a schema. JSON Schema stays as it is. */
export function jsonSchemaOf(schema: JsonObject, level = 0): JsonObject {
  if (level > MAX_LEVELS) return schema
  const context = { schema, level }
  const fields = Object.entries(schema).flatMap(([keyword, value]): [string, unknown][] => {
    const convert = CONVERSIONS.get(keyword)
    return convert ? convert(value, context, keyword) : [[keyword, value]]
  })
  return Object.fromEntries(fields)
}

function convertInner(value: unknown, level: number): unknown {
  return isRecord(value) ? jsonSchemaOf(value, level + 1) : value
}
