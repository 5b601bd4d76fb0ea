// Gemini checks: returns a value as the type that a field must have, or throws Problem `invalid_request` with the field's path.

import type { JsonObject } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'

/** Null if the field is absent. */
export function objectAt(value: unknown, field: string): JsonObject | null {
  if (value === undefined || value === null) return null
  if (!isRecord(value)) throw invalidField(field, 'must be an object')
  return value
}

/** A list of objects; empty if the field is absent. Protobuf's JSON also accepts a single object in place of a list. */
export function listOf(value: unknown, field: string): JsonObject[] {
  const list = Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]
  return list.map((element, index) => {
    if (!isRecord(element)) throw invalidField(`${field}[${index}]`, 'must be an object')
    return element
  })
}

/** A list of strings. */
export function stringsOf(value: unknown, field: string): string[] {
  if (!Array.isArray(value) || !value.every((element) => typeof element === 'string')) {
    throw invalidField(field, 'must be a list of strings')
  }
  return value
}

/** A string. */
export function textOf(value: unknown, field: string): string {
  if (typeof value !== 'string') throw invalidField(field, 'must be a string')
  return value
}

/** A string that is not empty. */
export function nameOf(value: unknown, field: string): string {
  const name = textOf(value, field)
  if (name === '') throw invalidField(field, 'must not be empty')
  return name
}

/** A string; undefined if the field is absent. */
export function optionalText(value: unknown, field: string): string | undefined {
  return value === undefined || value === null ? undefined : textOf(value, field)
}
