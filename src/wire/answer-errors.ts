// Answer errors: errors that come with the status of an answer, and the status that each would have of its own. It reads no usage.

import { isRecord, recordOf } from '../core/json-values.ts'
import { JsonCursor } from './json/cursor.ts'
import { OPEN_BRACE, OPEN_BRACKET, spaceEnd } from './json/scan.ts'

/** An error in place of an answer. */
export interface AnswerError {
  /** From 400 to 599; null if the error does not tell. */
  readonly status: number | null
  /** The body of an error response: as it came if it has an `error`, otherwise what was found in that form. */
  readonly body: Buffer
}

/** Values of an error field that mean that there is no error. */
const NO_ERROR: ReadonlySet<string> = new Set(['null', 'false', '""', '{}', '[]', '0'])
const MAX_NO_ERROR_BYTES = 5

/** Reads the value of an error field. True if the value says something. */
export function isErrorValue(json: JsonCursor): boolean {
  const range = json.range()
  return range.end - range.start > MAX_NO_ERROR_BYTES || !NO_ERROR.has(json.text(range))
}

/** The first object of a list, as Google's errors can come; undefined for anything but a list of objects. Throws Problem. */
export function firstOfList(document: Buffer): Buffer | undefined {
  const start = spaceEnd(document, 0)
  if (document[start] !== OPEN_BRACKET || document[spaceEnd(document, start + 1)] !== OPEN_BRACE) return undefined
  const json = new JsonCursor(document)
  json.enterArray()
  return json.nextElement() ? json.bytesAt(json.range()) : undefined
}

/** Never throws. @param document the JSON of an error, or of an event that holds one */
export function readAnswerError(document: Buffer): AnswerError {
  const found = recordOf(parse(document))
  const error = errorIn(found)
  const status = statusOf(found, error)
  if (isSaid(found.error)) return { status, body: document.subarray(spaceEnd(document, 0)) }
  const { message = 'The provider answered with an error.', code = null, param = null } = error
  const type = error.type === 'error' || typeof error.type !== 'string' ? (code ?? 'api_error') : error.type
  return { status, body: Buffer.from(JSON.stringify({ type: 'error', error: { message, type, code, param } })) }
}

/** No error is longer. A longer document is not parsed: that would hold up other calls. */
const MAX_ERROR_BYTES = 1_048_576

function parse(document: Buffer): unknown {
  if (document.length > MAX_ERROR_BYTES) return undefined
  try {
    return JSON.parse(document.toString())
  } catch {
    return undefined
  }
}

function isSaid(error: unknown): boolean {
  return typeof error === 'string' ? error !== '' : isRecord(error) && Object.keys(error).length > 0
}

type JsonRecord = Readonly<Record<string, unknown>>

/** The error itself, from the many places where servers put it. */
function errorIn(found: JsonRecord): JsonRecord {
  const choices = Array.isArray(found.choices) ? found.choices.map(recordOf) : []
  const candidates = [found.error, recordOf(found.response).error, ...choices.map((choice) => choice.error)]
  const error = candidates.find(isSaid)
  if (isRecord(error)) return error
  if (typeof error === 'string') return { ...found, message: error }
  const { detail } = found
  if (detail === undefined || detail === null) return choices.length > 0 ? {} : found
  return { ...found, message: typeof detail === 'string' ? detail : JSON.stringify(detail) }
}

/** A number counts before a word, and a code before the type, which is wider. */
function statusOf(found: JsonRecord, error: JsonRecord): number | null {
  const { code, status, status_code, statusCode, http_status, type, metadata, details } = error
  for (const figure of [status_code, statusCode, http_status, code, status, found.status_code, found.code])
    if (isErrorStatus(figure)) return Number(figure)
  const { error_type } = recordOf(metadata)
  const { error_code } = recordOf(details)
  const words = [code, status, error_code, error_type, type, found.code].filter((word) => typeof word === 'string')
  for (const word of words) {
    const known = STATUS_BY_WORD.get(word.toLowerCase())
    if (known !== undefined) return known
  }
  for (const word of words) for (const [pattern, known] of STATUS_BY_PATTERN) if (pattern.test(word)) return known
  return null
}

/** Also as text: Azure writes `"429"`. */
function isErrorStatus(figure: unknown): boolean {
  const isFigure = typeof figure === 'number' || (typeof figure === 'string' && /^\d{3}$/.test(figure))
  const number = Number(figure)
  return isFigure && Number.isInteger(number) && number >= 400 && number < 600
}

/** What a word of an error's code, type or status name means, in lower case. */
const STATUS_BY_WORD: ReadonlyMap<string, number> = new Map([
  // Anthropic.
  ['invalid_request_error', 400],
  ['authentication_error', 401],
  ['billing_error', 402],
  ['permission_error', 403],
  ['not_found_error', 404],
  ['conflict_error', 409],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
  ['api_error', 500],
  ['timeout_error', 504],
  ['overloaded_error', 529],
  // Google's names of google.rpc.
  ['invalid_argument', 400],
  ['failed_precondition', 400],
  ['out_of_range', 400],
  ['unauthenticated', 401],
  ['permission_denied', 403],
  ['not_found', 404],
  ['aborted', 409],
  ['already_exists', 409],
  ['resource_exhausted', 429],
  ['cancelled', 499],
  ['data_loss', 500],
  ['internal', 500],
  ['unknown', 500],
  ['unimplemented', 501],
  ['unavailable', 503],
  ['deadline_exceeded', 504],
  // OpenAI, and servers that copy its API.
  ['invalid_prompt', 400],
  ['context_length_exceeded', 400],
  ['content_filter', 400],
  ['content_policy_violation', 400],
  ['invalid_api_key', 401],
  ['insufficient_credits', 402],
  ['model_not_found', 404],
  ['tokens', 429],
  ['requests', 429],
  ['slow_down', 429],
  ['insufficient_quota', 429],
  ['credit_balance_exhausted', 429],
  ['billing_hard_limit_reached', 429],
  ['server_error', 500],
  ['server_is_overloaded', 503],
  ['service_unavailable_error', 503],
])

/** For all other words: the first pattern that matches. */
const STATUS_BY_PATTERN: readonly (readonly [RegExp, number])[] = [
  [/rate_?limit|too_?many_?requests|throttl|(?:spend|usage)_limit|quota/i, 429],
  [/overload|unavailable|capacity/i, 503],
  [/time_?d?_?out/i, 504],
  [/api_?key|authenticat|unauthori[sz]ed/i, 401],
  [/permission|forbidden/i, 403],
  [/not_?found/i, 404],
  [/invalid|bad_?request|unsupported|validation|context_length|content_(?:filter|policy)|safety/i, 400],
  [/bad_?gateway|provider|upstream/i, 502],
  [/server|internal/i, 500],
]
