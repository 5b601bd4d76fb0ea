// Arguments of tool calls: JSON text, whole or in pieces, whole or broken.

import type { JsonObject } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import { BracketTracker } from '../bracket-tracker.ts'

/** Nobody's tool takes more; text that nests without end would break whoever writes it again. */
const MAX_LEVELS = 128

/** The object in this text; undefined where it holds none that could be written again. */
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

/** JSON of any value that was parsed from JSON; undefined where it nests too deep. */
export function stringifyJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
