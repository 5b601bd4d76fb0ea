// The tables: what each SDK makes of each kind of refusal, and how often it asks before it gives up.

import type { RefusalSituation } from './situations.ts'

type Row<Value> = Readonly<Record<RefusalSituation, Value>>
type Table<Value> = Readonly<Record<string, Row<Value>>>

/**
 * Requests made while nothing changes, with each SDK's own defaults: what is worth waiting for is asked for again. The AI SDK
 * does not know `x-should-retry`, LangChain only `Retry-After`, and Google's own SDKs ask once whatever the answer says.
 */
export const ATTEMPTS: Table<number> = parseTable(`
                          time  long  money  never  flight  key  body  path  size  setup
  openai 7                   3     1      1      1       3    1     1     1     1      1
  openai 6                   3     1      1      1       3    1     1     1     1      1
  @anthropic-ai/sdk          3     1      1      1       3    1     1     1     1      1
  @google/generative-ai      1     1      1      1       1    1     1     1     1      1
  @google/genai              1     1      1      1       1    1     1     1     1      1
  @langchain/openai          7     1      1      1       7    1     1     1     1      7
  @langchain/anthropic       7     1      1      1       7    1     1     1     1      7
  @ai-sdk/openai             3     3      3      3       3    1     1     1     1      3
  @ai-sdk/anthropic          3     3      3      3       3    1     1     1     1      3
  @ai-sdk/google             3     3      3      3       3    1     1     1     1      3
`)

function parseTable(text: string): Table<number> {
  const [header = [], ...rows] = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s{2,}/))
  const rowOf = (cells: readonly string[]) =>
    Object.fromEntries(header.map((kind, index) => [kind, Number(cells[index])]))
  return Object.fromEntries(rows.map(([name = '', ...cells]) => [name, rowOf(cells) as Row<number>]))
}

export const STATUS: Row<number> = {
  time: 429,
  long: 429,
  money: 429,
  never: 429,
  flight: 429,
  key: 401,
  body: 400,
  path: 404,
  size: 413,
  setup: 503,
}

/** Seconds. A wait of more than a minute, and one that does not help, is in no header. */
export const RETRY_AFTER: Partial<Row<string>> = { time: '5', flight: '1' }

function uniformRow<Value>(value: Value): Row<Value> {
  return Object.fromEntries(Object.keys(STATUS).map((kind) => [kind, value])) as Row<Value>
}

const TYPES: Row<string> = {
  ...uniformRow('RateLimitError'),
  key: 'AuthenticationError',
  body: 'BadRequestError',
  path: 'NotFoundError',
  size: 'APIError',
  setup: 'InternalServerError',
}
const SPENT = 'EnforcedSpendLimitReachedError'
const NO_QUOTA = 'RateLimitError InsufficientQuotaError'
const TOO_LONG = 'RateLimitError RateLimitCapacityError'
const AI: Row<string> = {
  ...uniformRow('AI_RetryError'),
  key: 'AI_APICallError',
  body: 'AI_APICallError',
  path: 'AI_APICallError',
  size: 'AI_APICallError',
}

/** The class each SDK raises; a second word is the name LangChain gives it. */
export const ERRORS: Table<string> = {
  'openai 7': TYPES,
  'openai 6': TYPES,
  '@anthropic-ai/sdk': {
    ...TYPES,
    money: SPENT,
    never: SPENT,
    size: 'ContentTooLargeError',
    setup: 'ServiceUnavailableError',
  },
  '@google/generative-ai': uniformRow('GoogleGenerativeAIFetchError'),
  '@google/genai': uniformRow('ApiError'),
  '@langchain/openai': { ...TYPES, long: TOO_LONG, money: NO_QUOTA, never: NO_QUOTA },
  '@langchain/anthropic': { ...TYPES, long: TOO_LONG, money: TOO_LONG, never: TOO_LONG },
  '@ai-sdk/openai': AI,
  '@ai-sdk/anthropic': AI,
  '@ai-sdk/google': AI,
}

const OPENAI: Row<string> = {
  ...uniformRow('rate_limit_exceeded'),
  money: 'insufficient_quota',
  never: 'insufficient_quota',
  key: 'invalid_api_key',
  body: 'unknown_price',
  path: 'not_found',
  size: 'body_too_large',
  setup: 'provider_not_configured',
}
const ANTHROPIC: Row<string> = {
  ...uniformRow('rate_limit_error'),
  key: 'authentication_error',
  body: 'invalid_request_error',
  path: 'not_found_error',
  size: 'request_too_large',
  setup: 'overloaded_error',
}
const GEMINI: Row<string> = {
  ...uniformRow('RESOURCE_EXHAUSTED'),
  key: 'UNAUTHENTICATED',
  body: 'INVALID_ARGUMENT',
  path: 'NOT_FOUND',
  size: 'INVALID_ARGUMENT',
  setup: 'UNAVAILABLE',
}

/** The provider's word for it, as far as the SDK shows one. */
export const CODES: Table<string> = {
  'openai 7': OPENAI,
  'openai 6': OPENAI,
  '@anthropic-ai/sdk': {
    ...ANTHROPIC,
    money: 'enforced_spend_limit_reached',
    never: 'enforced_spend_limit_reached',
  },
  // This one shows the details only, whose reasons are Bursar's own words.
  '@google/generative-ai': {
    ...uniformRow('LIMIT_EXCEEDED'),
    key: 'unauthenticated',
    body: 'unknown_price',
    path: 'not_found',
    size: 'body_too_large',
    setup: 'provider_not_configured',
  },
  '@google/genai': GEMINI,
  '@langchain/openai': OPENAI,
  '@langchain/anthropic': ANTHROPIC,
  '@ai-sdk/openai': OPENAI,
  '@ai-sdk/anthropic': ANTHROPIC,
  '@ai-sdk/google': GEMINI,
}
