// Schema: pieces of the schema of bursar.json, and the messages for values that do not fit. No message repeats the value, because
// the value may be a secret.

import { z } from 'zod'
import { listOf } from '../core/issue-text.ts'
import { usdOf } from '../core/money.ts'
import { USAGE_CLASSES, type UsageClass } from '../core/usage.ts'

/** Longer names are no model's. */
const MAX_MODEL_CHARACTERS = 512

export const modelSchema = z.string().min(1).max(MAX_MODEL_CHARACTERS)

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER) {
  const range = max === Number.MAX_SAFE_INTEGER ? `, ${min} or more` : ` from ${min} to ${max}`
  const message = `must be a whole number${range}`
  return z.number(message).int(message).min(min, message).max(max, message)
}

/** Decimal dollars, as text or as a number. */
export const usdSchema = z.custom<string | number>(
  (value) => usdOf(value) !== undefined,
  'must be decimal dollars such as "2.50", zero or more, with at most 9 decimals',
)

/** A price for each class of units, each in dollars for as many units as the class is priced per. */
export const ratesShape = Object.fromEntries(USAGE_CLASSES.map((name) => [name, usdSchema.optional()])) as Readonly<
  Record<UsageClass, z.ZodOptional<typeof usdSchema>>
>

/** An object of these keys and no others. A mistake about another key lists these. */
export function strictObject<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, { error: unknownKeys(Object.keys(shape)) })
}

/** The message for keys that are not among the known ones. */
export function unknownKeys(known: readonly string[]): z.core.$ZodErrorMap {
  return (issue) =>
    issue.code === 'unrecognized_keys'
      ? `must not have ${listOf(issue.keys.map((key) => `"${key}"`))}. Its keys can be ${listOf(known)}`
      : undefined
}

/** The mistakes of a value that was parsed with a schema, each with its place. */
export function mistakesOf(error: z.ZodError): string[] {
  const mistakes = error.issues.map(({ path, message }) => `${path.map(String).join('.') || 'file'}: ${message}`)
  return [...new Set(mistakes)]
}
