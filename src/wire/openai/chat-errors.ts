// Chat errors: how an error looks that has the status of an answer. It reads no usage.

import { isRecord, recordOf } from '../../core/json-values.ts'
import type { JsonCursor } from '../json/cursor.ts'

/** Values of an error field that mean that there is no error. */
const NO_ERROR: ReadonlySet<string> = new Set(['null', 'false', '""', '{}', '[]'])

/** Reads the value of an error field. True if the value says something. */
export function isErrorValue(json: JsonCursor): boolean {
  const range = json.range()
  return range.end - range.start > MAX_NO_ERROR_BYTES || !NO_ERROR.has(json.text(range))
}

const MAX_NO_ERROR_BYTES = 5

/** True if some choice has anything of an answer. @param choices JSON, or null */
export function hasChoiceContent(choices: Buffer | null): boolean {
  if (!choices) return false
  const parsed: unknown = JSON.parse(choices.toString())
  return Array.isArray(parsed) && parsed.filter(isRecord).some(hasContent)
}

/** A completion has text, and a chat completion has a message, or its delta. */
function hasContent({ text, message, delta }: Readonly<Record<string, unknown>>): boolean {
  const { role: _role, ...parts } = { ...recordOf(message), ...recordOf(delta), text }
  return Object.values(parts).some(saysSomething)
}

function saysSomething(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0
  return value !== undefined && value !== null && value !== '' && value !== false
}
