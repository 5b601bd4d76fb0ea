// Tool arguments: the JSON text of a tool call, parsed and written. It never throws, however malformed the text is.

import type { JsonObject } from '../core/chat.ts'
import { isRecord } from '../core/json-values.ts'
import { BracketTracker } from './bracket-tracker.ts'

/** Deeper than the arguments of any real tool. Text that nests deeper could not be serialised again. */
const MAX_LEVELS = 128

/** Parses a JSON object; empty text is an empty object. Undefined if the text is no object or is nested too deeply. */
export function parseJsonObject(text: string): JsonObject | undefined {
  if (text === '') return {}
  const brackets = new BracketTracker()
  brackets.push(text)
  if (brackets.maxDepth > MAX_LEVELS) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The JSON text of a value that was parsed from JSON; undefined if the value is nested too deeply. */
export function stringifyJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
