// Our own recordings: their figures are what a person computes by hand, and they cover what providers say.

import { expect, test } from 'vitest'
import { type Recording, recordedApis, recordingsOf, sharedOf } from '../support/recordings.ts'

/** So many tokens at one rate. */
interface Term {
  readonly what: string
  readonly tokens: number
  readonly usd_per_million: number
}

const ALL = recordedApis().flatMap((api) => recordingsOf(api)) as (Recording & {
  readonly expected_by: { readonly hand: readonly Term[] | null }
})[]
const OWN = ALL.filter(({ isShared }) => !isShared)
const WITH_USAGE = OWN.filter(({ expected_usage: usage }) => usage !== null)

test('there are twenty, of each way to answer', () => {
  expect(OWN.map(({ file }) => file.replace(/^own-|\.json$/g, '')).toSorted()).toEqual([
    'anthropic-messages-json-200-tool-use',
    'anthropic-messages-json-200-whole',
    'anthropic-messages-json-400',
    'anthropic-messages-sse-200-overloaded',
    'anthropic-messages-sse-200-stream',
    'anthropic-messages-sse-200-thinking',
    'gemini-embed-json-200',
    'gemini-generate-array-200-stream',
    'gemini-generate-json-200-whole',
    'gemini-generate-json-429',
    'gemini-generate-sse-200-stream',
    'groq-chat-sse-200-usage-last-but-one',
    'openai-chat-json-200-whole',
    'openai-chat-json-429',
    'openai-chat-sse-200-tool-call',
    'openai-chat-sse-200-usage',
    'openai-chat-sse-200-without-usage',
    'openai-embeddings-json-200',
    'openai-responses-json-200-whole',
    'openai-responses-sse-200-stream',
  ])
})

test.each(WITH_USAGE)('$file: the cost is the sum of its terms, which are all tokens of its usage', (recording) => {
  const { expected_usage: usage, expected_cost_usd: cost, expected_by: by } = recording
  const terms = by.hand ?? []
  const { input_tokens: input = 0, output_tokens: output = 0 } = usage ?? {}
  expect(terms.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(input + output)
  const microUsd = terms.reduce((sum, { tokens, usd_per_million: usd }) => sum + tokens * usd, 0)
  expect(cost).toBeCloseTo(microUsd / 1e6, 12)
  expect(cost).toBeGreaterThan(0)
})

test('pieces as they came off a socket are as long as the body', () => {
  const cut = OWN.filter(({ response }) => response.chunk_bytes !== undefined)
  expect(cut.length).toBeGreaterThan(3)
  for (const { file, response } of cut) {
    const length = response.chunk_bytes?.reduce((sum, bytes) => sum + bytes, 0)
    expect(length, file).toBe(Buffer.byteLength(response.body))
  }
})

test('nothing is taken from real exchanges', () => {
  const real = new Set(sharedOf(ALL).map(({ response }) => response.body))
  expect(OWN.filter(({ response }) => real.has(response.body))).toEqual([])
})
