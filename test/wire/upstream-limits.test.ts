// What providers say of their own rate limits: every header that was recorded, the words of refusals, and nonsense.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { UpstreamLimits } from '../../src/core/ledger-entry.ts'
import type { HeaderList } from '../../src/wire/dialect.ts'
import { readRefusalLimits, readUpstreamLimits, remainingFraction } from '../../src/wire/upstream-limits.ts'
import { HAS_SHARED_RECORDINGS, type Recording, recordedApis, recordingsOf, sharedOf } from '../support/recordings.ts'
import { NOW_MS } from './samples.ts'

const NO_LIMITS: UpstreamLimits = {
  limitRequests: null,
  remainingRequests: null,
  resetRequestsMs: null,
  limitTokens: null,
  remainingTokens: null,
  resetTokensMs: null,
  retryAfterMs: null,
  others: [],
}

const listed = (headers: Readonly<Record<string, string>>): HeaderList => Object.entries(headers).flat()
const read = (headers: Readonly<Record<string, string>>, status = 200) =>
  readUpstreamLimits(status, listed(headers), NOW_MS)
const otherLimit = (name: string, limit: number | null, remaining: number | null, resetMs: number | null = null) => ({
  name,
  limit,
  remaining,
  resetMs,
})

test.each([
  ['120ms', 120],
  ['2.674s', 2_674],
  ['15m50.4s', 950_400],
  ['24h0m0s', 86_400_000],
  ['0s', 0],
  ['7.66s', 7_660],
  ['17.399999999s', 17_400],
  ['1500us', 2],
  ['59', 59_000],
  ['0', 0],
  ['0.032625675201416016', 33],
  ['24480.0326256752', 24_480_033],
  ['1795348830', 30_000],
  ['1795348830000', 30_000],
  ['1769759899', 0],
  ['2026-11-22T12:00:30Z', 30_000],
  ['2026-11-22T11:00:00Z', 0],
  ['Sun, 22 Nov 2026 12:00:30 GMT', 30_000],
  ['-1', null],
  ['soon', null],
  ['', null],
  ['.', null],
  ['1.2.3', null],
  ['5 parsecs', null],
  ['5s!', null],
  ['2026-99-99', null],
  ['9'.repeat(40), null],
  ['1s'.repeat(33), null],
])('a reset at %j is read', (text, ms) => {
  expect(read({ 'x-ratelimit-reset-requests': text })?.resetRequestsMs ?? null).toBe(ms)
})

test.each([
  ['60', 60],
  ['0', 0],
  ['150000000', 150_000_000],
  ['49.5', 49],
  ['-1', null],
  ['0x10', null],
  ['1e3', null],
  ['unlimited', null],
  ['99999999999999999', null],
])('a figure of %j is read', (text, figure) => {
  expect(read({ 'x-ratelimit-remaining-tokens': text })?.remainingTokens ?? null).toBe(figure)
})

const FAMILIES: readonly [string, Readonly<Record<string, string>>, Partial<UpstreamLimits>][] = [
  [
    "OpenAI's, with a project's tokens",
    {
      'x-ratelimit-limit-requests': '60',
      'x-ratelimit-remaining-requests': '59',
      'x-ratelimit-reset-requests': '1s',
      'x-ratelimit-limit-tokens': '150000',
      'x-ratelimit-remaining-tokens': '149984',
      'x-ratelimit-reset-tokens': '6m0s',
      'x-ratelimit-limit-project-tokens': '5000',
      'x-ratelimit-remaining-project-tokens': '12',
      'x-ratelimit-reset-project-tokens': '2ms',
    },
    {
      limitRequests: 60,
      remainingRequests: 59,
      resetRequestsMs: 1_000,
      limitTokens: 150_000,
      remainingTokens: 149_984,
      resetTokensMs: 360_000,
      others: [otherLimit('project-tokens', 5_000, 12, 2)],
    },
  ],
  [
    "Azure's, with nothing to say of tokens",
    {
      'x-ratelimit-limit-requests': '50',
      'x-ratelimit-remaining-requests': '49',
      'x-ratelimit-reset-requests': '1',
      'x-ratelimit-renewalperiod-requests': '60',
      'x-ratelimit-limit-tokens': '-1',
      'x-ratelimit-remaining-tokens': '-1',
      'x-ratelimit-reset-tokens': '0',
    },
    { limitRequests: 50, remainingRequests: 49, resetRequestsMs: 1_000, resetTokensMs: 0 },
  ],
  [
    "Anthropic's",
    {
      'anthropic-ratelimit-requests-limit': '50',
      'anthropic-ratelimit-tokens-remaining': '7000',
      'anthropic-ratelimit-tokens-reset': '2026-11-22T12:00:01Z',
      'anthropic-ratelimit-input-tokens-limit': '30000',
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-output-tokens-reset': '2026-11-22T12:00:02Z',
      'anthropic-priority-input-tokens-remaining': '9',
      'anthropic-fast-output-tokens-limit': '8',
      'anthropic-ratelimit-unified-5h-utilization': '0.93',
      'anthropic-ratelimit-unified-5h-reset': '1795348860',
      'anthropic-ratelimit-unified-5h-status': 'allowed',
      'anthropic-organization-id': 'org',
      'anthropic-version-limit': '1',
    },
    {
      limitRequests: 50,
      remainingTokens: 7_000,
      resetTokensMs: 1_000,
      others: [
        otherLimit('input-tokens', 30_000, 0),
        otherLimit('output-tokens', null, null, 2_000),
        otherLimit('priority-input-tokens', null, 9),
        otherLimit('fast-output-tokens', 8, null),
        otherLimit('unified-5h', 100, 7, 60_000),
      ],
    },
  ],
  [
    "OpenRouter's, on nothing in particular",
    { 'x-ratelimit-limit': '20', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795348860000' },
    { limitRequests: 20, remainingRequests: 0, resetRequestsMs: 60_000 },
  ],
  [
    'on nothing in particular, beside requests',
    { 'x-ratelimit-limit': '100', 'anthropic-ratelimit-requests-limit': '4000' },
    { limitRequests: 4_000, others: [otherLimit('unspecified', 100, null)] },
  ],
  [
    "Mistral's: the tightest of its spans comes first",
    {
      'x-ratelimit-limit-req-10-second': '60',
      'x-ratelimit-remaining-req-10-second': '59',
      'x-ratelimit-limit-tokens-month': '1000',
      'x-ratelimit-remaining-tokens-month': '10',
      'x-ratelimit-limit-tokens-minute': '1000',
      'x-ratelimit-remaining-tokens-minute': '990',
      'x-ratelimit-tokens-query-cost': '107',
    },
    {
      limitRequests: 60,
      remainingRequests: 59,
      limitTokens: 1_000,
      remainingTokens: 10,
      others: [otherLimit('tokens-minute', 1_000, 990)],
    },
  ],
  [
    "Cerebras'",
    {
      'x-ratelimit-limit-requests-day': '1440000',
      'x-ratelimit-reset-requests-day': '24480.03',
      'x-ratelimit-remaining-tokens-minute': '999220',
    },
    { limitRequests: 1_440_000, resetRequestsMs: 24_480_030, remainingTokens: 999_220 },
  ],
  [
    "the IETF's",
    { 'ratelimit-policy': '"burst";q=100;w=60, "daily";q=1000;w=86400', ratelimit: '"burst";r=50;t=30' },
    { others: [otherLimit('burst', 100, 50, 30_000), otherLimit('daily', 1_000, null)] },
  ],
  [
    "a gateway's before models",
    { 'x-ai-ratelimit-limit-my-model': '500', 'x-ai-ratelimit-remaining-my-model': '3' },
    { limitTokens: 500, remainingTokens: 3 },
  ],
]

test.each(FAMILIES)('limits are read: %s', (_, headers, expected) => {
  expect(read(headers)).toEqual({ ...NO_LIMITS, ...expected })
})

test('an answer that says nothing of limits has none', () => {
  expect(read({ 'content-type': 'x', 'x-ratelimit-key': 'a', 'x-request-id': '1', ratelimit: 'limit=10' })).toBeNull()
  expect(read({ 'x-ratelimit-remaining-tokens': '-1' })).toBeNull()
  expect(readRefusalLimits([], Buffer.from('{}'), NOW_MS)).toBeNull()
})

test.each([
  [429, { 'retry-after': '16' }, 16_000],
  [529, { 'retry-after': '0.3' }, 300],
  [429, { 'retry-after': 'Sun, 22 Nov 2026 12:01:00 GMT' }, 60_000],
  [429, { 'retry-after-ms': '250' }, 250],
  [429, { 'retry-after': '1', 'retry-after-ms': '0' }, 1_000],
  [429, { 'retry-after': '0' }, 0],
  [429, { 'retry-after': '-5' }, null],
  [429, { 'retry-after': '99999999999999' }, null],
  [200, { 'retry-after': '59' }, null],
])('of a %d with %j the wait is read', (status, headers, ms) => {
  expect(read(headers, status)?.retryAfterMs ?? null).toBe(ms)
})

const BODIES: readonly [string, string, number | null][] = [
  ["Groq's words", 'Limit 15000, Used 11972, Requested 4351. Please try again in 5.289s. Visit …', 5_289],
  ["OpenAI's words", 'Please try again in 6ms. Contact us', 6],
  ['minutes and seconds', 'Please try again in 7m12.5s.', 432_500],
  ["Azure's words", 'Please retry after 86400 seconds. Please contact Azure support', 86_400_000],
  ['one minute', 'try again in 1 minute', 60_000],
  ["Gemini's words", 'model: gemini-2.5-flash\nPlease retry in 48.939935699s.', 48_940],
  ['RetryInfo', '{"@type":"…/google.rpc.RetryInfo","retryDelay": "36s"}', 36_000],
  ['RetryInfo of less than a second', '{"retryDelay":"0.300s"}', 300],
  ['RetryInfo within a string', '{"raw":"{\\"details\\":[{\\"retryDelay\\": \\"26s\\"}]}"}', 26_000],
  ['the longer of two', 'Please retry in 48.9s. "retryDelay": "50s"', 50_000],
  ["OpenRouter's hint", '{"error":{"metadata":{"retry_after_seconds":7.5}}}', 7_500],
  ["OpenRouter's headers", '{"metadata":{"headers":{"Retry-After":"5"}}}', 5_000],
  [
    "OpenRouter's reset",
    '{"headers":{"X-RateLimit-Limit":"20","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1795348860000"}}',
    60_000,
  ],
  ['no figure', 'temporarily rate-limited upstream. Please retry shortly', null],
  ['no unit', 'Please try again in 5', null],
  ['another unit', 'Please try again in 5 parsecs', null],
  ['thousands of years', 'Please retry after 99999999999999 seconds', null],
  ['money', 'You exceeded your current quota, please check your plan and billing details.', null],
]

test.each(BODIES)('a refusal says when to come back: %s', (_, body, ms) => {
  expect(readRefusalLimits([], Buffer.from(body), NOW_MS)?.retryAfterMs ?? null).toBe(ms)
})

test('the later of header and body counts, and the figures of both are kept', () => {
  const quotas = ['GenerateRequestsPerDayPerProjectPerModel-FreeTier', 'GenerateContentInputTokensPerModelPerMinute']
  const violations = quotas.map((quotaId, index) => ({ quotaId, quotaValue: index === 0 ? '250' : 'many' }))
  const details = [{ '@type': 'type.googleapis.com/google.rpc.QuotaFailure', violations }, 7, null]
  const body = JSON.stringify({ error: { message: 'Please retry in 3s.', details } })
  expect(readRefusalLimits(['retry-after', '1', 'x-ratelimit-limit-tokens', '9'], Buffer.from(body), NOW_MS)).toEqual({
    ...NO_LIMITS,
    limitRequests: 250,
    remainingRequests: 0,
    limitTokens: 9,
    retryAfterMs: 3_000,
    others: [otherLimit('input-tokens-minute', null, 0)],
  })
})

test('the share left is known where both figures are', () => {
  expect([
    remainingFraction(10, 1),
    remainingFraction(10, 0),
    remainingFraction(0, 0),
    remainingFraction(null, 1),
    remainingFraction(1, null),
  ]).toEqual([0.1, 0, undefined, undefined, undefined])
})

describe('whatever is sent', () => {
  const name = fc
    .tuple(
      fc.constantFrom(
        'x-ratelimit-limit-',
        'x-ratelimit-reset',
        'anthropic-ratelimit-',
        'anthropic-fast-',
        'retry-',
        '',
      ),
      fc.string({ maxLength: 60 }),
      fc.constantFrom('', '-limit', '-reset', '-utilization', 'after', 'ratelimit'),
    )
    .map((parts) => parts.join(''))
  const value = fc.oneof(fc.string(), fc.double().map(String), fc.constantFrom('1s', '"a";q=1', '2026-11-22T12:00:01Z'))
  const body = fc
    .array(
      fc.oneof(
        fc.string(),
        fc.constantFrom('retry in ', 'try again in 5', '"retryDelay":"', '1s', 'QuotaFailure', '{"error":{"details":['),
      ),
    )
    .map((parts) => Buffer.from(parts.join('')))

  test('nothing is thrown, nothing is negative, and little is kept', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 80 }), body, (headers, body) => {
        for (const limits of [
          readUpstreamLimits(429, headers.flat(), NOW_MS),
          readRefusalLimits(headers.flat(), body, NOW_MS),
          readUpstreamLimits(429, headers.flat().slice(1), NOW_MS),
        ]) {
          if (!limits) continue
          const { others, ...figures } = limits
          expect(others.length).toBeLessThanOrEqual(16)
          const all = [...Object.values(figures), ...others.flatMap(({ name: _, ...rest }) => Object.values(rest))]
          for (const figure of all) if (figure !== null) expect(Number.isFinite(figure) && figure >= 0).toBe(true)
        }
      }),
    )
  })

  test('made-up names do not crowd out real ones', () => {
    for (let index = 0; index < 5_000; index++)
      readUpstreamLimits(200, [`x-${index}`, '1', `x-ratelimit-limit-${index}`, '1'], NOW_MS)
    expect(read({ 'x-ratelimit-limit-never-seen': '7' })?.others).toEqual([otherLimit('never-seen', 7, null)])
    const many = Array.from({ length: 500 }, (_, index) => [`x-ratelimit-limit-${index}`, '1']).flat()
    expect(readUpstreamLimits(200, many, NOW_MS)?.others.length).toBe(16)
  })
})

/** What every recorded name says, as the limit's name and the figure. */
const MEANING: Readonly<Record<string, readonly [string, 'limit' | 'remaining' | 'reset']>> = {
  'x-ratelimit-requests': ['requests', 'limit'],
  'x-ratelimit-tokens': ['tokens', 'limit'],
  'ratelimitbysize-limit': ['tokens', 'limit'],
  'ratelimitbysize-remaining': ['tokens', 'remaining'],
  'ratelimitbysize-reset': ['tokens', 'reset'],
  'x-ratelimitbysize-limit-minute': ['tokens-minute', 'limit'],
  'x-ratelimitbysize-remaining-minute': ['tokens-minute', 'remaining'],
  'x-ratelimitbysize-limit-month': ['tokens-month', 'limit'],
  'x-ratelimitbysize-remaining-month': ['tokens-month', 'remaining'],
  'x-ratelimit-limit-req-minute': ['requests-minute', 'limit'],
  'x-ratelimit-remaining-req-minute': ['requests-minute', 'remaining'],
  'x-ratelimit-limit-req-10-second': ['requests-10-second', 'limit'],
  'x-ratelimit-remaining-req-10-second': ['requests-10-second', 'remaining'],
  'x-ratelimit-limit-tokens-month': ['tokens-month', 'limit'],
  'x-ratelimit-remaining-tokens-month': ['tokens-month', 'remaining'],
  'x-ratelimit-limit-audio-seconds-minute': ['audio-seconds-minute', 'limit'],
  'x-ratelimit-remaining-audio-seconds-minute': ['audio-seconds-minute', 'remaining'],
  'x-ratelimit-limit': ['unspecified', 'limit'],
  'x-ratelimit-remaining': ['unspecified', 'remaining'],
  'x-ratelimit-reset': ['unspecified', 'reset'],
  ...figuresOf((figure) => `x-ratelimit-${figure}-requests`, 'requests'),
  ...figuresOf((figure) => `x-ratelimit-${figure}-tokens`, 'tokens'),
  ...figuresOf((figure) => `x-ratelimit-${figure}-requests-day`, 'requests-day'),
  ...figuresOf((figure) => `x-ratelimit-${figure}-tokens-minute`, 'tokens-minute'),
  ...figuresOf((figure) => `x-ratelimit-${figure}-input-images`, 'input-images'),
  ...figuresOf((figure) => `anthropic-ratelimit-requests-${figure}`, 'requests'),
  ...figuresOf((figure) => `anthropic-ratelimit-tokens-${figure}`, 'tokens'),
  ...figuresOf((figure) => `anthropic-ratelimit-input-tokens-${figure}`, 'input-tokens'),
  ...figuresOf((figure) => `anthropic-ratelimit-output-tokens-${figure}`, 'output-tokens'),
}

function figuresOf(header: (figure: string) => string, name: string) {
  const figures = ['limit', 'remaining', 'reset'] as const
  return Object.fromEntries(figures.map((figure) => [header(figure), [name, figure] as const]))
}

/** Recorded names that are not read, and why. */
const MEANINGLESS: Readonly<Record<string, string>> = {
  'x-ratelimit': 'whether limits are shown at all (Together)',
  'x-ratelimit-key': 'the name of the deployment (Azure)',
  'x-ratelimit-abusepenalty-active': 'a flag (Azure)',
  'x-ratelimit-renewalperiod-requests': 'how long the span is, the same in every answer (Azure)',
  'x-ratelimit-renewalperiod-tokens': 'how long the span is, the same in every answer (Azure)',
  'x-ratelimit-tokens-query-cost': 'what this call took, which its usage says (Mistral)',
  'x-ratelimit-audio-seconds-query-cost': 'what this call took (Mistral)',
  'ratelimitbysize-query-cost': 'what this call took (Mistral)',
  'x-should-retry': 'passed on to the client, whose business it is',
}
const WAIT_HEADERS = new Set(['retry-after', 'retry-after-ms'])

/** By file. Null if neither a header nor a word shows it. */
const RECORDED_WAITS: readonly (readonly [string, number | null])[] = [
  ['anthropic-anthropic-messages-json-429-x', null],
  ['anthropic-anthropic-messages-json-429-x', 16_000],
  ['anthropic-chat-json-429-x', null],
  ['azure-chat-json-429-grok-4-1-fast-non-reasoning', 1_000],
  ['azure-chat-json-429-x', 86_400_000],
  ['google-gemini-generate-content-json-429-gemini-2-5-flash', 48_940],
  ['google-gemini-generate-content-json-429-x', null],
  ['google-gemini-generate-content-json-429-x', 26_000],
  ['google-vertex-gemini-generate-content-json-429-x', null],
  ['openai-chat-json-429-x', null],
  ['openai-chat-json-429-x', 6],
  ['openrouter-chat-json-429-google-gemini-2-0-flash-exp-free', null],
]

/** A moment before all recordings, so that no reset has passed. */
const LONG_AGO_MS = Date.UTC(2024, 0, 1)

function isOfLimits(name: string): boolean {
  return /rate-?limit|retry|quota|-(remaining|reset)/.test(name)
}

function expectedMs(text: string): number {
  if (/^\d{4}-/.test(text)) return Date.parse(text) - LONG_AGO_MS
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) > 1e9 ? Number(text) * 1_000 - LONG_AGO_MS : Number(text) * 1_000
  const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
  const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)]
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit as keyof typeof units], 0)
}

/** What stands in the headers, by the name of the limit, without figures of −1. */
function statedLimits({ response }: Recording): Map<string, ReturnType<typeof otherLimit>> {
  const limits = new Map<string, ReturnType<typeof otherLimit>>()
  for (const [header, text] of Object.entries(response.headers)) {
    const [name, figure] = MEANING[header.toLowerCase()] ?? []
    if (name === undefined || text === '-1') continue
    const value = figure === 'reset' ? Math.round(expectedMs(text)) : Number(text)
    const limit = limits.get(name) ?? otherLimit(name, null, null)
    limits.set(name, { ...limit, [figure === 'reset' ? 'resetMs' : (figure ?? '')]: value })
  }
  return limits
}

describe('recordings', () => {
  const recordings = recordedApis().flatMap((api) => recordingsOf(api))
  const headersOf = ({ response }: Recording) =>
    Object.entries(response.headers).map(([name, value]): [string, string] => [name.toLowerCase(), value])

  test('every name of a limit that was recorded is read, or there is a reason', () => {
    const names = new Set(
      recordings.flatMap((recording) => headersOf(recording).map(([name]) => name)).filter(isOfLimits),
    )
    const known = [...Object.keys(MEANING), ...Object.keys(MEANINGLESS), ...WAIT_HEADERS]
    expect([...names].filter((name) => !known.includes(name))).toEqual([])
    expect(names.size).toBeGreaterThan(HAS_SHARED_RECORDINGS ? 55 : 15)
    for (const name of Object.keys(MEANINGLESS)) expect(readUpstreamLimits(200, [name, '7'], NOW_MS)).toBeNull()
  })

  test('every set of headers is read as what stands in it', () => {
    let sets = 0
    for (const recording of recordings) {
      const limits = readUpstreamLimits(recording.status, headersOf(recording).flat(), LONG_AGO_MS)
      const expected = statedLimits(recording)
      if (expected.size === 0) {
        expect(limits === null || limits.retryAfterMs !== null, recording.file).toBe(true)
        continue
      }
      sets++
      if (!limits) throw new Error(`nothing was read of ${recording.file}`)
      const { others, retryAfterMs, ...main } = limits
      const requests = otherLimit('', main.limitRequests, main.remainingRequests, main.resetRequestsMs)
      const tokens = otherLimit('', main.limitTokens, main.remainingTokens, main.resetTokensMs)
      for (const limit of others) expect(limit, recording.file).toEqual(expected.get(limit.name))
      const rest = [...expected.values()].filter(({ name }) => !others.some((otherLimit) => otherLimit.name === name))
      const said = [requests, tokens].filter(
        (otherLimit) => otherLimit.limit !== null || otherLimit.remaining !== null || otherLimit.resetMs !== null,
      )
      expect(said.length, recording.file).toBe(rest.length)
      for (const { name, ...figures } of rest)
        expect({ name: '', ...figures }, recording.file).toEqual(name.startsWith('tokens') ? tokens : requests)
      const wait = recording.response.headers['retry-after']
      expect(retryAfterMs, recording.file).toBe(recording.status >= 400 && wait ? Number(wait) * 1_000 : null)
    }
    expect(sets).toBeGreaterThan(HAS_SHARED_RECORDINGS ? 130 : 10)
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)(
    'every refusal that says when to come back is understood (../shared/recordings)',
    () => {
      const waits = sharedOf(recordings)
        .filter(({ status }) => status === 429)
        .map((row) => {
          const limits = readRefusalLimits(headersOf(row).flat(), Buffer.from(row.response.body), LONG_AGO_MS)
          return [row.file.replace(/-[0-9a-f]{8}\.json$/, ''), limits?.retryAfterMs ?? null]
        })
      expect(waits.toSorted()).toEqual(RECORDED_WAITS)
    },
  )
})
