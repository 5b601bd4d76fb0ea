// Spellings: Google's servers take every field in camelCase and in snake_case.

import type { FieldHandlers } from '../json/object-reader.ts'

/** The handlers under both spellings of their names. Error texts name the field in camelCase. */
export function inBothSpellings<Target, Context>(
  handlers: FieldHandlers<Target, Context>,
): FieldHandlers<Target, Context> {
  const entries = Object.entries(handlers).flatMap(([name, handler]): [string, typeof handler][] => {
    const snakeName = toSnakeCase(name)
    if (snakeName === name) return [[name, handler]]
    return [
      [name, handler],
      [snakeName, (json, target, context) => handler(json, target, context, name)],
    ]
  })
  return Object.fromEntries(entries)
}

export function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
