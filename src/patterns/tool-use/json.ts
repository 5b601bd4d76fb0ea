// JSON query: applies a JSONPath to JSON. A model writes both, so everything that could take long is refused.

import { jsonpath } from 'json-p3'
import { isShallow } from '../pattern/pattern.ts'

const MAX_VALUES = 100
const MAX_RESULT_CHARACTERS = 10_000
/** `..` visits everything below a value, and each comma can double the work after it. */
const MAX_DESCENTS = 1
const MAX_COMMAS = 3
const MAX_COMMAS_WITH_DESCENT = 1

const ENVIRONMENT = new jsonpath.JSONPathEnvironment()
// A model's regular expressions could take forever.
ENVIRONMENT.functionRegister.delete('match')
ENVIRONMENT.functionRegister.delete('search')

/** The values that a path finds, as JSON text. Throws an Error with a clause that says what is wrong with the path or the JSON. */
export function queryJson(json: string, path: string): string {
  if (!isShallow(json)) throw new Error('the JSON is nested too deeply')
  const problem = problemOf(path)
  if (problem !== undefined) throw new Error(problem)
  const values = ENVIRONMENT.query(path, JSON.parse(json)).values()
  const text = JSON.stringify(values.slice(0, MAX_VALUES))
  if (text.length > MAX_RESULT_CHARACTERS) throw new Error('the values found are too long')
  return values.length > MAX_VALUES ? `${text} and ${values.length - MAX_VALUES} more` : text
}

/** Counts in quoted names too: refusing a harmless path is better than running one that takes minutes. */
function problemOf(path: string): string | undefined {
  const count = (token: string) => path.split(token).length - 1
  if (count('..') > MAX_DESCENTS) return `a path can hold .. at most ${MAX_DESCENTS} times`
  if (count('?') > 1) return 'a path can hold at most one filter'
  if (count('$') > 1) return 'a filter must start at @, not at $'
  const commas = count('..') > 0 ? MAX_COMMAS_WITH_DESCENT : MAX_COMMAS
  return count(',') > commas ? `this path can hold at most ${commas} commas` : undefined
}
