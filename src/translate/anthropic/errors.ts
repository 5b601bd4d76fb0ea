// Anthropic errors: reads a provider's error, and writes errors that Anthropic's SDKs raise as their own typed errors.

import type { ChatError, ErrorKind } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'
import type { ErrorContext } from '../../wire/dialect.ts'
import { KIND_OF_STATUS } from '../dialect-fields.ts'
import { refineError } from '../error-kinds.ts'

const MAX_MESSAGE_CHARACTERS = 2_000

const KINDS: Readonly<Record<string, ErrorKind>> = {
  invalid_request_error: 'invalid',
  authentication_error: 'unauthenticated',
  permission_error: 'forbidden',
  not_found_error: 'notFound',
  request_too_large: 'tooLarge',
  rate_limit_error: 'rate',
  billing_error: 'quota',
  overloaded_error: 'overloaded',
  timeout_error: 'timeout',
  api_error: 'server',
}

/** Limits on money that Anthropic reports under the types of other errors. */
const MONEY_CODE = /spend_limit|billing/
const MONEY_MESSAGE = /credit balance is too low|reached your specified API usage limits/i

/** Never throws. @param body the parsed JSON of the error response; undefined if it is no JSON */
export function readError(status: number, body: unknown): ChatError {
  const answer = recordOf(body)
  const { type, message, details } = recordOf(answer.error)
  const code = recordOf(details).error_code ?? type
  const text = [message, answer.message].find((candidate) => typeof candidate === 'string' && candidate !== '')
  const shown =
    typeof text === 'string' ? text.slice(0, MAX_MESSAGE_CHARACTERS) : `The provider answered with status ${status}.`
  return {
    status,
    ...refineError(kindOf(status, type, code, text), shown, [code]),
    message: shown,
    ...(typeof code === 'string' ? { code: code.slice(0, MAX_MESSAGE_CHARACTERS) } : {}),
  }
}

function kindOf(status: number, type: unknown, code: unknown, message: unknown): ErrorKind {
  const typeKind = typeof type === 'string' && Object.hasOwn(KINDS, type) ? KINDS[type] : undefined
  const kind = typeKind ?? KIND_OF_STATUS.get(status) ?? (status >= 400 && status < 500 ? 'invalid' : 'server')
  const isMoney = typeof code === 'string' && MONEY_CODE.test(code)
  if (kind === 'rate' || kind === 'invalid') {
    if (isMoney || (typeof message === 'string' && MONEY_MESSAGE.test(message))) return 'quota'
  }
  return kind
}

const TYPES: Readonly<Record<ErrorKind, string>> = {
  invalid: 'invalid_request_error',
  contextLength: 'invalid_request_error',
  contentFilter: 'invalid_request_error',
  unauthenticated: 'authentication_error',
  forbidden: 'permission_error',
  notFound: 'not_found_error',
  tooLarge: 'request_too_large',
  rate: 'rate_limit_error',
  quota: 'billing_error',
  overloaded: 'overloaded_error',
  timeout: 'timeout_error',
  server: 'api_error',
}

/** With status 429 only this code tells a spending limit from a rate limit. SDKs raise a separate error for it. */
const SPEND_LIMIT_CODE = 'enforced_spend_limit_reached'

/** The JSON of an error response, or of the data of an error event in a stream. */
export function writeError(error: ChatError, context: ErrorContext): string {
  const isSpent = error.kind === 'quota' && error.status === 429
  const details = {
    ...(isSpent ? { error_code: SPEND_LIMIT_CODE } : {}),
    ...(error.code === undefined ? {} : { code: error.code }),
  }
  return JSON.stringify({
    type: 'error',
    error: {
      type: isSpent ? TYPES.rate : TYPES[error.kind],
      message: messageOf(error).slice(0, MAX_MESSAGE_CHARACTERS),
      ...(Object.keys(details).length > 0 ? { details } : {}),
    },
    request_id: context.callId || undefined,
  })
}

/** Anthropic's words for a prompt that is too long, on which Claude Code acts; otherwise the provider's own. */
function messageOf({ kind, message, tokens, maxTokens }: ChatError): string {
  if (kind !== 'contextLength' || message.startsWith('prompt is too long')) return message
  const isKnown = tokens !== undefined && maxTokens !== undefined
  return `prompt is too long: ${isKnown ? `${tokens} tokens > ${maxTokens} maximum` : message}`
}
