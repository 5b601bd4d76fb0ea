// OpenAI errors: reads a provider's error, from a response or from the middle of a stream, and writes errors that OpenAI's SDKs
// raise as their own typed errors.

import type { ChatError, ErrorKind, JsonObject } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import type { ErrorContext } from '../../wire/dialect.ts'
import { jsonOf, KIND_OF_STATUS } from '../dialect-fields.ts'
import { refineError } from '../error-kinds.ts'

const MAX_MESSAGE_CHARACTERS = 2_000
const MAX_CODE_CHARACTERS = 100

/** Codes for used-up money or quota. Their status is often 429, which alone would mean a rate limit. */
const QUOTA_CODE =
  /^(?:insufficient_quota|credit_balance_exhausted|billing_hard_limit_reached|\w+_(?:spend|usage)_limit_exceeded)$/
/** For errors without a status, as in most streams: the first pattern that one of the error's codes matches. */
const KINDS_BY_WORD: readonly (readonly [RegExp, ErrorKind])[] = [
  [/overloaded|unavailable/i, 'overloaded'],
  [/rate_?limit|too_many_requests|^slow_down$/i, 'rate'],
  [/timeout/i, 'timeout'],
  [/invalid_api_key|authentication/i, 'unauthenticated'],
  [/permission|forbidden/i, 'forbidden'],
  [/not_found/i, 'notFound'],
  [/invalid|content_filter|context_length/i, 'invalid'],
]

/** Never throws. @param status the HTTP status; 200 and 0 tell nothing about the error */
export function readError(status: number, body: unknown): ChatError {
  const response = recordOf(body)
  const error = isRecord(response.error) ? response.error : response
  const words = [error.code, response.code, error.type].filter((word) => typeof word === 'string')
  const knownStatus = status >= 400 ? status : statusIn(error)
  const code = codeOf(error.code) ?? codeOf(response.code) ?? codeOf(error.type)
  const message =
    messageIn(response, error) ?? `The provider answered with an error${knownStatus > 0 ? ` (${knownStatus})` : ''}.`
  const shown = message.slice(0, MAX_MESSAGE_CHARACTERS).toWellFormed()
  return {
    status: knownStatus,
    ...refineError(kindOf(knownStatus, words), shown, words),
    message: shown,
    ...(code !== undefined && { code: code.slice(0, MAX_CODE_CHARACTERS).toWellFormed() }),
  }
}

function statusIn({ status_code: status, code }: JsonObject): number {
  const found = [status, code]
    .map(Number)
    .find((candidate) => Number.isInteger(candidate) && candidate >= 400 && candidate < 600)
  return found ?? 0
}

function codeOf(code: unknown): string | undefined {
  if (typeof code === 'number') return String(code)
  return typeof code === 'string' && code !== '' ? code : undefined
}

function kindOf(status: number, words: readonly string[]): ErrorKind {
  if (words.some((word) => QUOTA_CODE.test(word))) return 'quota'
  const byStatus = KIND_OF_STATUS.get(status)
  if (byStatus) return byStatus
  if (status >= 500) return words.some((word) => /overloaded/i.test(word)) ? 'overloaded' : 'server'
  if (status >= 400) return 'invalid'
  for (const [pattern, kind] of KINDS_BY_WORD) if (words.some((word) => pattern.test(word))) return kind
  return 'server'
}

/** The message, from the many places where servers put it. Routers put the upstream's own message one level deeper. */
function messageIn(response: JsonObject, error: JsonObject): string | undefined {
  const { raw } = recordOf(error.metadata)
  const message = [error.message, response.error, response.message].find(
    (text) => typeof text === 'string' && text !== '',
  )
  if (typeof message !== 'string') {
    if (response.detail === undefined) return undefined
    return typeof response.detail === 'string' ? response.detail : jsonOf(response.detail)
  }
  return typeof raw === 'string' && raw !== '' ? `${message}: ${raw}` : message
}

const TYPES: Readonly<Record<ErrorKind, readonly [type: string, code: string | null]>> = {
  invalid: ['invalid_request_error', null],
  contextLength: ['invalid_request_error', 'context_length_exceeded'],
  contentFilter: ['invalid_request_error', 'content_filter'],
  unauthenticated: ['invalid_request_error', 'invalid_api_key'],
  forbidden: ['invalid_request_error', 'forbidden'],
  notFound: ['invalid_request_error', 'model_not_found'],
  tooLarge: ['invalid_request_error', 'request_too_large'],
  rate: ['requests', 'rate_limit_exceeded'],
  quota: ['insufficient_quota', 'insufficient_quota'],
  overloaded: ['service_unavailable_error', 'server_is_overloaded'],
  timeout: ['server_error', 'timeout'],
  server: ['server_error', null],
}

/** The JSON of an error response, or of an error chunk in a stream. The provider's own code is used if the kind has none. */
export function writeError(error: ChatError, context: ErrorContext): string {
  const [type, code] = TYPES[error.kind]
  return JSON.stringify({
    error: {
      message: messageOf(error),
      type,
      param: error.kind === 'contextLength' ? 'messages' : null,
      code: code ?? error.code ?? null,
      call_id: context.callId || undefined,
    },
  })
}

/** OpenAI's words for a prompt that is too long; otherwise the provider's own. */
function messageOf({ kind, message, tokens, maxTokens }: ChatError): string {
  if (kind !== 'contextLength' || /maximum context length/i.test(message)) return message
  if (tokens === undefined || maxTokens === undefined)
    return `The prompt is longer than the model's maximum context length: ${message}`
  return `This model's maximum context length is ${maxTokens} tokens. However, your messages resulted in ${tokens} tokens. Please reduce the length of the messages.`
}
