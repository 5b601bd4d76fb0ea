// OpenAI dialect fields: how the fields that only this dialect has are kept.

import type { Extras } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'
import type { ExtrasPolicy } from '../dialect-fields.ts'

export const DIALECT = 'openai.chat'

/** Compatible servers fill in objects whose fields are all empty; deeper ones count as full. */
const MAX_EMPTY_LEVELS = 3

/** True for a value that requests nothing, as if the field were absent. Zero counts as nothing too. */
export function isEmpty(value: unknown): boolean {
  return value === false || isEmptyToLevel(value, MAX_EMPTY_LEVELS)
}

function isEmptyToLevel(value: unknown, levels: number): boolean {
  if (Array.isArray(value)) return value.length === 0
  if (isRecord(value)) return levels > 0 && Object.values(value).every((field) => isEmptyToLevel(field, levels - 1))
  return value === null || value === undefined || value === '' || value === 0
}

/** How OpenAI's translator keeps the fields that only this dialect has. Its readers keep the nulls of known fields themselves. */
export const OPENAI_EXTRAS: ExtrasPolicy = { dialect: DIALECT, isEmpty, keepsNulls: false }

/** Whether this dialect's reader kept a hint of this name, which can be an empty one that only tells the spelling. */
export function isMarked(extras: Extras | undefined, name: string): boolean {
  return extras?.dialect === DIALECT && Object.hasOwn(extras.hints ?? {}, name)
}
