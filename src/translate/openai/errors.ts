// OpenAI chat, errors: of a provider's answer or in the middle of a stream, both ways.

import type { ChatError, ErrorKind, JsonObject } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import type { ErrorContext } from '../../wire/dialect.ts'
import { jsonOf, KIND_OF_STATUS } from '../dialect-fields.ts'

const MAX_MESSAGE_CHARACTERS = 2_000
const MAX_CODE_CHARACTERS = 100

/** Codes that say more than the status they come with. Money comes as 429, too. */
const QUOTA_CODE =
  /^(?:insufficient_quota|credit_balance_exhausted|billing_hard_limit_reached|\w+_(?:spend|usage)_limit_exceeded)$/
/** For streams, whose errors often come without a status. */
const KINDS_BY_WORD: readonly (readonly [RegExp, ErrorKind])[] = [
  [/overloaded|unavailable/i, 'overloaded'],
  [/rate_?limit|too_many_requests|^slow_down$/i, 'rate'],
  [/timeout/i, 'timeout'],
  [/invalid_api_key|authentication/i, 'unauthenticated'],
  [/permission|forbidden/i, 'forbidden'],
  [/not_found/i, 'notFound'],
  [/invalid|content_filter|context_length/i, 'invalid'],
]

/** @param status of the answer; 200 and 0 say nothing of the error */
export function readError(status: number, body: unknown): ChatError {
  const answer = recordOf(body)
  const error = isRecord(answer.error) ? answer.error : answer
  const words = [error.code, answer.code, error.type].filter((word) => typeof word === 'string')
  const said = status >= 400 ? status : statusIn(error)
  const code = codeOf(error.code) ?? codeOf(answer.code) ?? codeOf(error.type)
  const message = messageIn(answer, error) ?? `The provider answered with an error${said > 0 ? ` (${said})` : ''}.`
  return {
    status: said,
    kind: kindOf(said, words),
    message: message.slice(0, MAX_MESSAGE_CHARACTERS).toWellFormed(),
    ...(code !== undefined && { code: code.slice(0, MAX_CODE_CHARACTERS).toWellFormed() }),
  }
}

function statusIn({ status_code: status, code }: JsonObject): number {
  const said = [status, code].map(Number).find((one) => Number.isInteger(one) && one >= 400 && one < 600)
  return said ?? 0
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

/** Servers put it in many places; routers hide what really happened one level deeper. */
function messageIn(answer: JsonObject, error: JsonObject): string | undefined {
  const { raw } = recordOf(error.metadata)
  const message = [error.message, answer.error, answer.message].find((text) => typeof text === 'string' && text !== '')
  if (typeof message !== 'string') {
    if (answer.detail === undefined) return undefined
    return typeof answer.detail === 'string' ? answer.detail : jsonOf(answer.detail)
  }
  return typeof raw === 'string' && raw !== '' ? `${message}: ${raw}` : message
}

const TYPES: Readonly<Record<ErrorKind, readonly [type: string, code: string | null]>> = {
  invalid: ['invalid_request_error', null],
  unauthenticated: ['invalid_request_error', 'invalid_api_key'],
  forbidden: ['invalid_request_error', 'forbidden'],
  notFound: ['invalid_request_error', 'not_found'],
  tooLarge: ['invalid_request_error', 'request_too_large'],
  rate: ['requests', 'rate_limit_exceeded'],
  quota: ['insufficient_quota', 'insufficient_quota'],
  overloaded: ['service_unavailable_error', 'server_is_overloaded'],
  timeout: ['server_error', 'timeout'],
  server: ['server_error', null],
}

/** JSON. SDKs go by the status and by these codes; the provider's own is shown where the dialect has none. */
export function writeError(error: ChatError, context: ErrorContext): string {
  const [type, code] = TYPES[error.kind]
  return JSON.stringify({
    error: {
      message: error.message,
      type,
      param: null,
      code: code ?? error.code ?? null,
      call_id: context.callId || undefined,
    },
  })
}
