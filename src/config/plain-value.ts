// Plain value: a configuration that a program hands over, as plain data. What JSON cannot hold is a mistake, not lost.

import type { Finding, Place } from './findings.ts'

const PLAIN_TYPES = ['string', 'number', 'boolean']

/** A copy of plain objects, lists, text, numbers, true, false and null, without undefined values. */
export function copyPlain(
  value: unknown,
  mistakes: Finding[],
  place: Place = [],
  around: readonly object[] = [],
): unknown {
  if (value === null || PLAIN_TYPES.includes(typeof value)) return value
  if (typeof value === 'object' && isPlain(value) && !around.includes(value)) {
    const copy = (item: unknown, part: string | number) =>
      copyPlain(item, mistakes, [...place, part], [...around, value])
    if (Array.isArray(value)) return value.map(copy)
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    return Object.fromEntries(entries.map(([key, item]) => [key, copy(item, key)]))
  }
  mistakes.push({ place, text: 'must be plain data: an object, a list, text, a number, true, false or null' })
  return undefined
}

/** False for maps, dates and instances of other classes. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return Array.isArray(value) || prototype === null || Object.getPrototypeOf(prototype) === null
}
