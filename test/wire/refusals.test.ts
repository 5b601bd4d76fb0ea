// How each dialect says no: bodies in the shapes that SDKs turn into typed errors, and native rate-limit headers with our figures.

import { describe, expect, test } from 'vitest'
import { Problem } from '../../src/core/problem.ts'
import type { Refusal } from '../../src/core/refusal.ts'
import { anthropicCountTokens } from '../../src/wire/anthropic/count-tokens.ts'
import { anthropicMessages } from '../../src/wire/anthropic/messages.ts'
import type { Dialect, HeaderList } from '../../src/wire/dialect.ts'
import { geminiCountTokens } from '../../src/wire/gemini/count-tokens.ts'
import { geminiEmbed } from '../../src/wire/gemini/embed.ts'
import { geminiGenerate } from '../../src/wire/gemini/generate.ts'
import { dialectAt, dialectNamed, nearestDialect } from '../../src/wire/index.ts'
import { openaiChat } from '../../src/wire/openai/chat.ts'
import { openaiCompletions } from '../../src/wire/openai/completions.ts'
import { openaiEmbeddings } from '../../src/wire/openai/embeddings.ts'
import { CONTEXT, levelOf, NOW_MS, refusalAt } from './samples.ts'

const REQUESTS = refusalAt(levelOf('requests', 60n, 0n, 1_500), 1n, 'time')
const TOKENS = refusalAt(levelOf('tokens', 90_000n, 10n, 59_999, 'alice'), 4_000n, 'time')
const MONEY = refusalAt(levelOf('cost', 10_000_000_000n, 1n, 43_200_000), 20_000_001n, 'time', 512)
const TOO_EXPENSIVE = refusalAt(levelOf('cost', 500_000_000n, 500_000_000n, 0), 600_000_000n, 'never')
const BUSY_MONEY = refusalAt(levelOf('cost', 10_000_000_000n, 1n, 43_200_000), 20_000_001n, 'inFlight')
const IN_FLIGHT = refusalAt(levelOf('inFlight', 4n, 0n, 0), 1n, 'inFlight')
const ALL = [REQUESTS, TOKENS, MONEY, TOO_EXPENSIVE, BUSY_MONEY, IN_FLIGHT]

const bodyOf = (dialect: Dialect, refusal: Refusal) => JSON.parse(dialect.refusalBody(refusal, CONTEXT))
const details = (refusal: Refusal, fields: object = {}) => ({
  reason: 'time',
  limit: refusal.meter.name,
  limits: [refusal.meter.name],
  subject: 'global',
  retry_after_ms: refusal.waitMs,
  resets_at: refusal.waitMs === null ? null : new Date(NOW_MS + refusal.waitMs).toISOString(),
  retryable: true,
  fitting_max_output_tokens: null,
  ...fields,
})

describe('the figures of a refusal are the same in every dialect:', () => {
  test.each<[string, Refusal, object]>([
    ['requests', REQUESTS, details(REQUESTS, { unit: 'requests', needed: 1, free: 0, capacity: 60 })],
    [
      'tokens',
      TOKENS,
      details(TOKENS, { subject: 'key:alice', unit: 'tokens', needed: 4_000, free: 10, capacity: 90_000 }),
    ],
    [
      'money',
      MONEY,
      details(MONEY, { unit: 'usd', needed: 0.020000001, free: 1e-9, capacity: 10, fitting_max_output_tokens: 512 }),
    ],
    [
      'never',
      TOO_EXPENSIVE,
      details(TOO_EXPENSIVE, { reason: 'never', unit: 'usd', needed: 0.6, free: 0.5, capacity: 0.5, retryable: false }),
    ],
    [
      'in flight',
      IN_FLIGHT,
      details(IN_FLIGHT, { reason: 'in_flight', unit: 'calls', needed: 1, free: 0, capacity: 4 }),
    ],
  ])('%s', (_name, refusal, expected) => {
    expect(bodyOf(openaiChat, refusal).error.details).toEqual(expected)
    expect(bodyOf(anthropicMessages, refusal).error.details).toMatchObject(expected)
    expect(bodyOf(geminiGenerate, refusal).error.details[2].metadata).toMatchObject(expected)
  })

  test('money keeps every nano-dollar, where a double would not', () => {
    const dear = refusalAt(levelOf('cost', 99_999_999_999_999_999_999n, 10_000_000_000_000_001n, 1), 1n, 'time')
    for (const dialect of [openaiChat, anthropicMessages, geminiGenerate])
      expect(dialect.refusalBody(dear, CONTEXT)).toMatch(/"free":10000000.000000001,"capacity":99999999999.999999999,/)
  })

  test('a debt that takes longer than the calendar goes does not break the answer', () => {
    const long = refusalAt(levelOf('tokens', 1n, 0n, 9e15), 1n, 'time')
    for (const dialect of [openaiChat, anthropicMessages, geminiGenerate]) {
      expect(JSON.stringify(bodyOf(dialect, long))).toContain('9999-12-31T23:59:59.999Z')
      expect(() => dialect.addRateHeaders([levelOf('tokens', 1n, 0n, 9e15)], NOW_MS, [])).not.toThrow()
    }
  })
})

describe('OpenAI', () => {
  test.each([
    [REQUESTS, 'requests', 'rate_limit_exceeded'],
    [TOKENS, 'tokens', 'rate_limit_exceeded'],
    [MONEY, 'insufficient_quota', 'insufficient_quota'],
    [TOO_EXPENSIVE, 'insufficient_quota', 'insufficient_quota'],
    // SDKs give up on insufficient_quota: waiting for others is no such thing.
    [BUSY_MONEY, 'requests', 'rate_limit_exceeded'],
    [IN_FLIGHT, 'requests', 'rate_limit_exceeded'],
  ])('a refusal has the type and code that clients go by', (refusal, type, code) => {
    expect(bodyOf(openaiChat, refusal)).toEqual({
      error: { message: refusal.message, type, param: null, code, call_id: '019a-call', details: expect.anything() },
    })
  })

  test.each([
    [new Problem('invalid_request', 'no', 'max_tokens'), 'invalid_request_error', 'max_tokens', 'invalid_request'],
    [new Problem('unauthenticated', 'no'), 'invalid_request_error', null, 'invalid_api_key'],
    [new Problem('internal', 'no'), 'server_error', null, 'internal'],
    [new Problem('provider_not_configured', 'no', 'model'), 'server_error', 'model', 'provider_not_configured'],
  ])('a problem is %s', (problem, type, param, code) => {
    const body = { error: { message: 'no', type, param, code, call_id: '019a-call' } }
    expect(JSON.parse(openaiChat.problemBody(problem, CONTEXT))).toEqual(body)
    const event = openaiChat.streamError(problem, CONTEXT, 'text/event-stream')
    expect(JSON.parse(/^data: (.*)\n\n$/.exec(event)?.[1] ?? '')).toEqual(body)
  })
})

describe('Anthropic', () => {
  test.each(ALL)('a refusal is a rate_limit_error, and a spend limit where money ran out', (refusal) => {
    const money = refusal === MONEY || refusal === TOO_EXPENSIVE
    const body = bodyOf(anthropicMessages, refusal)
    expect(body).toMatchObject({
      type: 'error',
      request_id: '019a-call',
      error: { type: 'rate_limit_error', message: refusal.message },
    })
    expect(body.error.details.error_code).toBe(money ? 'enforced_spend_limit_reached' : undefined)
  })

  test.each([
    ['invalid_request', 'invalid_request_error'],
    ['unauthenticated', 'authentication_error'],
    ['forbidden', 'permission_error'],
    ['not_found', 'not_found_error'],
    ['method_not_allowed', 'invalid_request_error'],
    ['request_timeout', 'invalid_request_error'],
    ['body_too_large', 'request_too_large'],
    ['unsupported_media_type', 'invalid_request_error'],
    ['internal', 'api_error'],
    ['upstream_failed', 'api_error'],
    ['overloaded', 'overloaded_error'],
    ['upstream_timeout', 'timeout_error'],
  ] as const)('the problem %s is %s', (code, type) => {
    const problem = new Problem(code, 'no', 'x')
    const body = {
      type: 'error',
      error: { type, message: 'no', details: { code, param: 'x' } },
      request_id: '019a-call',
    }
    expect(JSON.parse(anthropicMessages.problemBody(problem, CONTEXT))).toEqual(body)
    const event = anthropicMessages.streamError(problem, CONTEXT, 'text/event-stream')
    expect(JSON.parse(/^event: error\ndata: (.*)\n\n$/.exec(event)?.[1] ?? '')).toEqual(body)
  })
})

describe('Gemini', () => {
  test.each([
    [REQUESTS, '1.500s', '60'],
    [TOKENS, '59.999s', '90000'],
    [MONEY, '43200.000s', '10000000000'],
    [TOO_EXPENSIVE, '86400.000s', '500000000'],
    [IN_FLIGHT, '1.700s', '4'],
  ])(
    'a refusal is RESOURCE_EXHAUSTED, with the quota and a protobuf duration to wait',
    (refusal, retryDelay, quotaValue) => {
      const { error } = bodyOf(geminiGenerate, refusal)
      expect(error).toMatchObject({ code: 429, status: 'RESOURCE_EXHAUSTED', message: refusal.message })
      expect(error.details).toMatchObject([
        {
          '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
          violations: [{ quotaMetric: `bursar/${refusal.meter.what}`, quotaId: refusal.meter.name, quotaValue }],
        },
        { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay },
        { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', domain: 'bursar', metadata: { call_id: '019a-call' } },
      ])
    },
  )

  test.each([
    ['invalid_request', 400, 'INVALID_ARGUMENT'],
    ['unauthenticated', 401, 'UNAUTHENTICATED'],
    ['forbidden', 403, 'PERMISSION_DENIED'],
    ['not_found', 404, 'NOT_FOUND'],
    ['body_too_large', 413, 'INVALID_ARGUMENT'],
    ['internal', 500, 'INTERNAL'],
    ['overloaded', 503, 'UNAVAILABLE'],
    ['upstream_timeout', 504, 'DEADLINE_EXCEEDED'],
  ] as const)('the problem %s is %d %s, in either framing', (code, status, name) => {
    const problem = new Problem(code, 'no')
    const body = JSON.parse(geminiGenerate.problemBody(problem, CONTEXT))
    expect(body).toMatchObject({
      error: {
        code: status,
        status: name,
        message: 'no',
        details: [{ reason: code, metadata: { call_id: '019a-call' } }],
      },
    })
    const event = geminiGenerate.streamError(problem, CONTEXT, 'text/event-stream')
    expect(JSON.parse(/^data: (.*)\r\n\r\n$/.exec(event)?.[1] ?? '')).toEqual(body)
    const element = geminiGenerate.streamError(problem, CONTEXT, 'application/json')
    expect(JSON.parse(`[{"candidates":[]}${element}`)).toEqual([{ candidates: [] }, body])
  })
})

describe('native rate-limit headers', () => {
  const LEVELS = [
    levelOf('requests', 60n, 59n, 1_000),
    levelOf('requests', 10n, 9n, 6_000, 'alice'),
    levelOf('tokens', 90_000n, 89_000n, 667),
    levelOf('tokens', 500_000n, 499_000n, 120, 'alice'),
    levelOf('cost', 10_000_000_000n, 1n, 1),
  ]
  const written = (dialect: Dialect) => {
    const headers: HeaderList = []
    dialect.addRateHeaders(LEVELS, NOW_MS, headers)
    return Object.fromEntries(headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1]]] : [])))
  }

  test("of OpenAI show the tightest limit, with Go's durations", () => {
    expect(written(openaiChat)).toEqual({
      'x-ratelimit-limit-requests': '10',
      'x-ratelimit-remaining-requests': '9',
      'x-ratelimit-reset-requests': '6s',
      'x-ratelimit-limit-tokens': '90000',
      'x-ratelimit-remaining-tokens': '89000',
      'x-ratelimit-reset-tokens': '667ms',
    })
  })

  test('of Anthropic show the tightest limit, with RFC 3339 times', () => {
    expect(written(anthropicMessages)).toEqual({
      'anthropic-ratelimit-requests-limit': '10',
      'anthropic-ratelimit-requests-remaining': '9',
      'anthropic-ratelimit-requests-reset': '2026-11-22T12:00:06.000Z',
      'anthropic-ratelimit-tokens-limit': '90000',
      'anthropic-ratelimit-tokens-remaining': '89000',
      'anthropic-ratelimit-tokens-reset': '2026-11-22T12:00:00.667Z',
    })
  })

  test('of Gemini are none', () => expect(written(geminiGenerate)).toEqual({}))

  test('are none where nothing is limited', () => {
    const headers: HeaderList = []
    for (const dialect of [openaiChat, anthropicMessages])
      dialect.addRateHeaders([levelOf('cost', 1n, 1n, 0)], NOW_MS, headers)
    expect(headers).toEqual([])
  })
})

test.each([
  ['/v1/chat/completions', openaiChat, openaiChat],
  ['/v1/messages', anthropicMessages, anthropicMessages],
  ['/v1/completions', openaiCompletions, openaiChat],
  ['/v1/embeddings', openaiEmbeddings, openaiChat],
  ['/v1/messages/count_tokens', anthropicCountTokens, anthropicMessages],
  ['/v1/messages/batches', undefined, anthropicMessages],
  ['/v1beta/models/gemini-2.5-pro:generateContent', geminiGenerate, geminiGenerate],
  ['/v1beta/models/a/b:streamGenerateContent', geminiGenerate, geminiGenerate],
  ['/v1beta/models/m:countTokens', geminiCountTokens, geminiGenerate],
  ['/v1/models/m:embedContent', geminiEmbed, geminiGenerate],
  ['/v1beta/models/m:batchEmbedContents', geminiEmbed, geminiGenerate],
  ['/v1beta/models/m:asyncBatchEmbedContent', undefined, geminiGenerate],
  ['/v1/files', undefined, openaiChat],
])('%s is answered in its own shape', (path, called, nearest) => {
  expect(dialectAt(path)).toBe(called)
  expect(nearestDialect(path)).toBe(nearest)
  if (called?.name === 'openai.chat') expect(dialectNamed('openai.chat')).toBe(openaiChat)
})
