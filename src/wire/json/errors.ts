// What the JSON reader refuses a request with. The texts go to callers: each says what was expected, and where.

import { Problem } from '../../core/problem.ts'

/** How deep objects and arrays may be nested. */
export const MAX_DEPTH = 256
/** How much of a caller's own key is repeated to the caller. */
const MAX_SHOWN_KEY_CHARACTERS = 64

/** Broken structure. @param position in `bytes`; the text says so if it is at or behind their end */
export function syntaxProblem(bytes: Buffer, expected: string, position: number): Problem {
  const where = position >= bytes.length ? 'at its end' : `at byte ${position}`
  return new Problem('invalid_json', `The request body is not valid JSON: expected ${expected} ${where}.`)
}

export function tooDeepProblem(): Problem {
  return new Problem('invalid_json', `The request body is nested more than ${MAX_DEPTH} levels deep.`)
}

/**
 * A field whose value cannot be used.
 * @param name of the field, as the caller wrote it
 * @param rule completes "it …": `must be at least 1`, `is required`
 */
export function invalidField(name: string, rule: string): Problem {
  return new Problem('invalid_request', `Invalid value for '${name}': it ${rule}.`, name)
}

export function duplicateFieldProblem(name: string): Problem {
  return new Problem('invalid_request', `Duplicate field '${name}'.`, name)
}

export function caseVariantProblem(key: string, name: string): Problem {
  const shown = key.slice(0, MAX_SHOWN_KEY_CHARACTERS)
  return new Problem('invalid_request', `Unknown field '${shown}'. Did you mean '${name}'?`, name)
}
