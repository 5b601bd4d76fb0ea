// Schema: pieces of the schema of bursar.json, and the mistakes of values that do not fit. No mistake repeats a value, because the
// value may be a secret.

import { z } from 'zod'
import { describeIssue, listOf } from '../core/issue-text.ts'
import { usdOf } from '../core/money.ts'
import { namesakeOf, nearestName } from '../core/nearest-name.ts'
import { USAGE_CLASSES, type UsageClass } from '../core/usage.ts'
import type { Finding, Place } from './findings.ts'

/** Longer names are no model's. */
const MAX_MODEL_CHARACTERS = 512

export const modelSchema = z
  .string()
  .min(1)
  .max(MAX_MODEL_CHARACTERS)
  .refine((text) => !/\p{Cc}/u.test(text), 'must have no control characters, such as line breaks')

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER) {
  const range = max === Number.MAX_SAFE_INTEGER ? `, ${min} or more` : ` from ${min} to ${max}`
  const message = `must be a whole number${range}`
  return z.number(message).int(message).min(min, message).max(max, message)
}

/** Decimal dollars, as text or as a number. */
export const usdSchema = z.custom<string | number>(
  (value) => usdOf(value) !== undefined,
  'must be decimal dollars such as "2.50", zero or more, with at most 12 digits and 9 decimals',
)

/** A price for each class of units, each in dollars for as many units as the class is priced per. */
export const ratesShape = Object.fromEntries(USAGE_CLASSES.map((name) => [name, usdSchema.optional()])) as Readonly<
  Record<UsageClass, z.ZodOptional<typeof usdSchema>>
>

/** An object whose values are read one by one, so that a mistake in one does not hide those of others. */
const entriesSchema = z.record(z.string(), z.unknown())

/** An object of these keys and no others. */
export function strictObject<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, { error: unknownKeys(Object.keys(shape)) })
}

/** The messages for keys that are not among the known ones, a line for each. */
export function unknownKeys(known: readonly string[]): z.core.$ZodErrorMap {
  return (issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys.map((key) => unknownKeyText(key, known)).join('\n') : undefined
}

export function unknownKeyText(key: string, known: readonly string[]): string {
  const nearest = nearestName(key, known) ?? namesakeOf(key, known)
  const advice = nearest === undefined ? '' : ` Did you mean ${nearest}?`
  return `must not be here.${advice} The keys here are ${listOf(known)}`
}

/** The value as the schema reads it. Undefined if it does not fit: then `mistakes` has a finding for each part that does not. */
export function readValue<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  place: Place,
  mistakes: Finding[],
): z.output<Schema> | undefined {
  const read = schema.safeParse(value, { error: describeIssue })
  if (read.success) return read.data
  mistakes.push(...read.error.issues.flatMap((issue) => findingsOf(issue, place)))
  return undefined
}

/** The entries of an object. None, and a mistake, if the value is no object; none if it is absent. */
export function readEntries(value: unknown, place: Place, mistakes: Finding[]): [string, unknown][] {
  return value === undefined ? [] : Object.entries(readValue(entriesSchema, value, place, mistakes) ?? {})
}

function findingsOf(issue: z.core.$ZodIssue, top: Place): Finding[] {
  const place = [...top, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))]
  if (issue.code !== 'unrecognized_keys') return [{ place, text: issue.message }]
  const texts = issue.message.split('\n')
  return issue.keys.map((key, index) => ({ place: [...place, key], text: texts[index] ?? issue.message }))
}
