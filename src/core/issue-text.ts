// Issue text: what a value must be that does not fit its schema, in plain words. No text repeats the value, which may be a secret.

import { didYouMean } from './nearest-name.ts'

/** An issue as schema libraries report it, as far as its text depends on it. */
export interface SchemaIssue {
  readonly code?: string | undefined
  readonly input?: unknown
  /** The name of a type, as in `invalid_type`. */
  readonly expected?: unknown
  /** The values that fit, as in `invalid_value`. */
  readonly values?: unknown
  /** Unknown keys. */
  readonly keys?: unknown
  readonly origin?: unknown
  readonly minimum?: unknown
  readonly maximum?: unknown
  /** The field that tells the members of a union apart. */
  readonly discriminator?: unknown
  /** Issues of a key. */
  readonly issues?: unknown
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'an object',
  record: 'an object',
}

/** `a, b or c`. */
export function listOf(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

/** What the value must be; undefined if the schema's own message says it best. */
export function describeIssue(issue: SchemaIssue): string | undefined {
  const missing = issue.input === undefined ? 'is missing; it ' : ''
  switch (issue.code) {
    case 'invalid_type':
      return `${missing}must be ${TYPE_NAMES[String(issue.expected)] ?? String(issue.expected)}`
    case 'invalid_value':
      return `${missing}must be ${listOf(textsIn(issue.values))}${nearestOf(issue)}`
    case 'unrecognized_keys':
      return `must not have ${listOf(textsIn(issue.keys))}`
    case 'too_small':
      return describeMinimum(issue)
    case 'too_big':
      return describeMaximum(issue)
    case 'invalid_key':
      return messageOf(issue.issues)
    default:
      return undefined
  }
}

function nearestOf({ input, values }: SchemaIssue): string {
  const words = Array.isArray(values) ? values.filter((value) => typeof value === 'string') : []
  return typeof input === 'string' ? didYouMean(input, words).replace(/^ /, '. ') : ''
}

function describeMinimum({ origin, minimum }: SchemaIssue): string {
  if (origin === 'string') return minimum === 1 ? 'must not be empty' : `must have at least ${minimum} characters`
  return origin === 'number' || origin === 'int' ? `must be ${minimum} or more` : `must have ${minimum} or more entries`
}

function describeMaximum({ origin, maximum }: SchemaIssue): string {
  if (origin === 'number' || origin === 'int') return `must be ${maximum} or less`
  return `must have at most ${maximum} ${origin === 'string' ? 'characters' : 'entries'}`
}

function textsIn(values: unknown): string[] {
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)) : []
}

function messageOf(issues: unknown): string | undefined {
  const [first]: unknown[] = Array.isArray(issues) ? issues : []
  const message = typeof first === 'object' && first !== null && 'message' in first ? first.message : undefined
  return typeof message === 'string' ? message : undefined
}
