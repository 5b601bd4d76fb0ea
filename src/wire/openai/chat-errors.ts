// Chat errors: how an error looks that OpenAI's dialects send with the status of an answer. It reads no usage.

import { isRecord, recordOf } from '../../core/json-values.ts'
import { isErrorValue } from '../answer-errors.ts'
import { type FieldHandlers, handlersFor } from '../json/object-reader.ts'

/** What the top of an answer says of an error. */
export interface ErrorFacts {
  /** An error stands beside the answer, or in its place. */
  hasError: boolean
  /** A field that is an error only where nothing is answered. */
  hasDetail: boolean
}

export const ERROR_FIELDS: FieldHandlers<ErrorFacts> = {
  error(json, answer) {
    answer.hasError = isErrorValue(json) || answer.hasError
  },
  // vLLM's and Mistral's errors.
  object(json, answer) {
    answer.hasError = json.stringOrNull() === 'error' || answer.hasError
  },
  // FastAPI's; Cloudflare's.
  ...handlersFor(['detail', 'errors'], (json, answer: ErrorFacts) => {
    answer.hasDetail = isErrorValue(json) || answer.hasDetail
  }),
}

/** True if some choice has anything of an answer. @param choices JSON, or undefined */
export function hasChoiceContent(choices: Buffer | undefined): boolean {
  if (!choices) return false
  const parsed: unknown = JSON.parse(choices.toString())
  return Array.isArray(parsed) && parsed.filter(isRecord).some(hasContent)
}

/** A completion has text, and a chat completion has a message, or its delta. */
function hasContent({ text, message, delta }: Readonly<Record<string, unknown>>): boolean {
  const { role: _role, ...parts }: Readonly<Record<string, unknown>> = {
    ...recordOf(message),
    ...recordOf(delta),
    text,
  }
  return Object.values(parts).some(saysSomething)
}

function saysSomething(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0
  return value !== undefined && value !== null && value !== '' && value !== false
}
