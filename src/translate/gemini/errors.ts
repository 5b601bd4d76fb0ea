// Gemini errors: reads and writes errors with the status names of google.rpc.

import type { ChatError, ErrorKind, JsonObject } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'
import type { ErrorContext } from '../../wire/dialect.ts'
import { KIND_OF_STATUS } from '../dialect-fields.ts'
import { refineError } from '../error-kinds.ts'

const MAX_MESSAGE_CHARACTERS = 2_000

const KINDS: ReadonlyMap<unknown, ErrorKind> = new Map<unknown, ErrorKind>([
  ['INVALID_ARGUMENT', 'invalid'],
  ['FAILED_PRECONDITION', 'invalid'],
  ['OUT_OF_RANGE', 'invalid'],
  ['UNIMPLEMENTED', 'invalid'],
  ['ALREADY_EXISTS', 'invalid'],
  ['UNAUTHENTICATED', 'unauthenticated'],
  ['PERMISSION_DENIED', 'forbidden'],
  ['NOT_FOUND', 'notFound'],
  ['RESOURCE_EXHAUSTED', 'rate'],
  ['UNAVAILABLE', 'overloaded'],
  ['DEADLINE_EXCEEDED', 'timeout'],
  ['INTERNAL', 'server'],
  ['UNKNOWN', 'server'],
  ['DATA_LOSS', 'server'],
])

/** HTTP status and google.rpc name of each kind of error. */
const NAMES: Readonly<Record<ErrorKind, readonly [number, string]>> = {
  invalid: [400, 'INVALID_ARGUMENT'],
  contextLength: [400, 'INVALID_ARGUMENT'],
  contentFilter: [400, 'INVALID_ARGUMENT'],
  unauthenticated: [401, 'UNAUTHENTICATED'],
  forbidden: [403, 'PERMISSION_DENIED'],
  notFound: [404, 'NOT_FOUND'],
  tooLarge: [413, 'INVALID_ARGUMENT'],
  rate: [429, 'RESOURCE_EXHAUSTED'],
  quota: [429, 'RESOURCE_EXHAUSTED'],
  overloaded: [503, 'UNAVAILABLE'],
  timeout: [504, 'DEADLINE_EXCEEDED'],
  server: [500, 'INTERNAL'],
}

/** Never throws. @param status the HTTP status; 0 in the middle of a stream */
export function readError(status: number, body: unknown): ChatError {
  // A stream that is one JSON array also reports its error in an array.
  const error = recordOf(recordOf(Array.isArray(body) ? body[0] : body).error)
  const code = typeof error.code === 'number' ? error.code : 0
  const knownStatus = status || code
  const message =
    typeof error.message === 'string' && error.message !== ''
      ? error.message
      : `The provider answered with status ${knownStatus}.`
  const shown = message.slice(0, MAX_MESSAGE_CHARACTERS)
  const kind = isInvalidKey(error.details) ? 'unauthenticated' : kindOf(knownStatus, error.status)
  return {
    status: knownStatus,
    ...refineError(kind, shown, [error.status]),
    message: shown,
    ...(typeof error.status === 'string' ? { code: error.status.slice(0, MAX_MESSAGE_CHARACTERS) } : {}),
  }
}

/** Google reports an unknown key as an invalid argument. */
function isInvalidKey(details: unknown): boolean {
  return Array.isArray(details) && details.some((detail) => recordOf(detail).reason === 'API_KEY_INVALID')
}

function kindOf(status: number, name: unknown): ErrorKind {
  const byStatus = KIND_OF_STATUS.get(status) ?? KINDS.get(name)
  return byStatus ?? (status >= 400 && status < 500 ? 'invalid' : 'server')
}

/** The JSON of an error response, or of an error event in a stream. */
export function errorBody(error: ChatError, context: ErrorContext): JsonObject {
  const [defaultStatus, status] = NAMES[error.kind]
  const info = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: error.code ?? status, domain: 'bursar' }
  return {
    error: {
      code: error.status >= 400 && error.status < 600 ? error.status : defaultStatus,
      message: messageOf(error),
      status,
      details: [{ ...info, metadata: { callId: context.callId } }, ...retryInfo(error)],
    },
  }
}

/** Google's SDKs and agents read how long to wait from the body. */
function retryInfo({ retryAfterMs }: ChatError): JsonObject[] {
  if (retryAfterMs === undefined) return []
  return [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${Math.ceil(retryAfterMs / 1_000)}s` }]
}

/** Google's words for a prompt that is too long; otherwise the provider's own. */
function messageOf({ kind, message, tokens, maxTokens }: ChatError): string {
  if (kind !== 'contextLength') return message
  if (tokens === undefined || maxTokens === undefined)
    return `The input token count exceeds the maximum number of tokens allowed: ${message}`
  return `The input token count (${tokens}) exceeds the maximum number of tokens allowed (${maxTokens}).`
}
