// Gemini's schemas: OpenAPI with types in capitals, as the JSON Schema that every other dialect takes.

import type { JsonObject } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'

/** Deeper ones stay as they are: no model takes them. */
const MAX_LEVELS = 64
/** Numbers that Google writes as strings, since they have 64 bits. */
const INT64_FIELDS = new Set(['minItems', 'maxItems', 'minLength', 'maxLength', 'minProperties', 'maxProperties'])

/** A schema in OpenAPI's words, in those of JSON Schema. One that is JSON Schema already stays as it is. */
export function jsonSchemaOf(schema: JsonObject, level = 0): JsonObject {
  if (level > MAX_LEVELS) return schema
  const inner = (value: unknown) => (isRecord(value) ? jsonSchemaOf(value, level + 1) : value)
  const fields: [string, unknown][] = []
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'type') fields.push(...typeField(value, schema.nullable === true))
    else if (key === 'nullable' || key === 'propertyOrdering') continue
    else if (key === 'format' && value === 'enum') continue
    else if (key === 'example') fields.push(['examples', [value]])
    else if (INT64_FIELDS.has(key) && typeof value === 'string' && /^\d+$/.test(value))
      fields.push([key, Number(value)])
    else if (key === 'properties' && isRecord(value)) fields.push([key, mapValues(value, inner)])
    else if (Array.isArray(value) && (key === 'anyOf' || key === 'items')) fields.push([key, value.map(inner)])
    else if (key === 'items') fields.push([key, inner(value)])
    else fields.push([key, value])
  }
  return Object.fromEntries(fields)
}

function mapValues(object: JsonObject, change: (value: unknown) => unknown): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]))
}

function typeField(type: unknown, nullable: boolean): [string, unknown][] {
  if (typeof type !== 'string') return [['type', type]]
  if (type === 'TYPE_UNSPECIFIED') return []
  return [['type', nullable ? [type.toLowerCase(), 'null'] : type.toLowerCase()]]
}
