// Tool use's JSON query: JSONPath over JSON that a model wrote, so both are kept from taking long.

import { jsonpath } from 'json-p3'
import { isShallow } from '../pattern/pattern.ts'

const MAX_VALUES = 100
const MAX_RESULT_CHARACTERS = 10_000
/** `..` visits all that is below a value, and each comma may double what comes after it. */
const MAX_DESCENTS = 1
const MAX_COMMAS = 3
const MAX_COMMAS_WITH_DESCENT = 1

const ENVIRONMENT = new jsonpath.JSONPathEnvironment()
// Regular expressions of a model could take for ever.
ENVIRONMENT.functionRegister.delete('match')
ENVIRONMENT.functionRegister.delete('search')

/** The values a path finds, as JSON. Throws an Error that says what is wrong with either. */
export function queryJson(json: string, path: string): string {
  if (!isShallow(json)) throw new Error('the JSON is nested too deeply')
  const wrong = problemOf(path)
  if (wrong !== undefined) throw new Error(wrong)
  const values = ENVIRONMENT.query(path, JSON.parse(json)).values()
  const text = JSON.stringify(values.slice(0, MAX_VALUES))
  if (text.length > MAX_RESULT_CHARACTERS) throw new Error('the values found are too long')
  return values.length > MAX_VALUES ? `${text} and ${values.length - MAX_VALUES} more` : text
}

/** Quoted names count like the rest: better to refuse a path too many than to follow one that takes minutes. */
function problemOf(path: string): string | undefined {
  const count = (what: string) => path.split(what).length - 1
  if (count('..') > MAX_DESCENTS) return `a path may hold .. at most ${MAX_DESCENTS} times`
  if (count('?') > 1) return 'a path may hold one filter'
  if (count('$') > 1) return 'a filter must start at @, not at $'
  const commas = count('..') > 0 ? MAX_COMMAS_WITH_DESCENT : MAX_COMMAS
  return count(',') > commas ? `this path may hold at most ${commas} commas` : undefined
}
