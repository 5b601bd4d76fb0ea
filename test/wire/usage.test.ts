// Usage: what each provider counts becomes classes that do not overlap, never negative, whatever it says.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  countOf,
  inputTokens,
  outputTokens,
  totalTokens,
  type UnitsByClass,
  unitsOf,
  usageOf,
} from '../../src/core/usage.ts'
import { anthropicMessages } from '../../src/wire/anthropic/messages.ts'
import type { AnswerUsage, Dialect } from '../../src/wire/dialect.ts'
import { geminiGenerate } from '../../src/wire/gemini/generate.ts'
import { openaiChat } from '../../src/wire/openai/chat.ts'
import { minUnits } from '../support/usage-units.ts'

function meteredOf(dialect: Dialect, document: object): AnswerUsage | undefined {
  const tap = dialect.createTap(false, 'application/json', false)
  tap.push(Buffer.from(JSON.stringify(document)))
  tap.end()
  return tap.answerUsage()
}

type Row = [name: string, counts: unknown, classes: UnitsByClass | undefined, reasoning: number]

/** Undefined where the counts say nothing. */
const expected = (classes: UnitsByClass | undefined, rest: Omit<AnswerUsage, 'usage'>): AnswerUsage | undefined =>
  classes && { usage: usageOf({ ...classes, requests: 1 }), ...rest }

/** What a provider may put where a count belongs. */
const anything = fc.oneof(fc.nat(1_000), fc.integer(), fc.constantFrom(null, '7', [], {}, true), fc.double())

describe('OpenAI counts parts inside totals:', () => {
  const meter = (usage: unknown) =>
    meteredOf(openaiChat, { model: 'gpt-4o-2024', service_tier: 'flex', choices: [], usage })
  const detailed = (prompt: unknown, input: object, completion: unknown = 0, output: object = {}) => ({
    prompt_tokens: prompt,
    completion_tokens: completion,
    prompt_tokens_details: input,
    completion_tokens_details: output,
  })

  test('and of a member that is there twice the last counts, in any spelling of JSON', () => {
    const details = fc.dictionary(
      fc.constantFrom('cached_tokens', 'audio_tokens', 'reasoning_tokens', 'Cached_tokens'),
      anything,
    )
    const name = fc.constantFrom('prompt_tokens', 'completion_tokens', 'total_tokens', 'Prompt_tokens', '__proto__')
    const detailsName = fc.constantFrom('prompt_tokens_details', 'completion_tokens_details')
    const member = fc.oneof(fc.tuple(name, anything), fc.tuple(detailsName, fc.oneof(details, anything)))
    fc.assert(
      fc.property(fc.array(member, { maxLength: 9 }), fc.constantFrom('', ' ', '\n\t'), (members, space) => {
        const said = members.map(([key, value]) => `${space}"${key}"${space}:${space}${JSON.stringify(value)}${space}`)
        const text = `{"model":"gpt-4o-2024","service_tier":"flex","choices":[],"usage":{${said.join(',')}}}`
        const tap = openaiChat.createTap(false, 'application/json', false)
        tap.push(Buffer.from(text))
        tap.end()
        expect(tap.finished).toBe(true)
        expect(tap.answerUsage()).toEqual(meter(JSON.parse(text).usage))
      }),
    )
  })

  test.each<Row>([
    ['plain', { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 }, { input: 9, output: 4 }, 0],
    ['with reasoning inside', detailed(9, {}, 40, { reasoning_tokens: 30 }), { input: 9, output: 40 }, 30],
    [
      'with more reasoning than output',
      { ...detailed(9, {}, 168, { reasoning_tokens: 173 }), total_tokens: 177 },
      { input: 9, output: 168 },
      173,
    ],
    [
      'with more reasoning than output, and no total',
      detailed(100, {}, 10, { reasoning_tokens: 300 }),
      { input: 100, output: 310 },
      300,
    ],
    ['cached', detailed(100, { cached_tokens: 60 }), { input: 40, cacheRead: 60 }, 0],
    [
      'written to the cache',
      detailed(100, { cached_tokens: 60, cache_write_tokens: 30 }),
      { input: 10, cacheRead: 60, cacheWrite5m: 30 },
      0,
    ],
    ['cached over the prompt', detailed(10, { cached_tokens: 161 }), { cacheRead: 10 }, 0],
    [
      'read and written over the prompt',
      detailed(2168, { cached_tokens: 2161, cache_write_tokens: 2161 }),
      { cacheRead: 2161, cacheWrite5m: 7 },
      0,
    ],
    [
      'spoken',
      detailed(50, { audio_tokens: 20 }, 30, { audio_tokens: 25 }),
      { input: 30, audioInput: 20, output: 5, audioOutput: 25 },
      0,
    ],
    [
      'spoken over the total',
      detailed(5, { audio_tokens: 20 }, 3, { audio_tokens: 25 }),
      { audioInput: 5, audioOutput: 3 },
      0,
    ],
    [
      'written to Claude’s cache, beside the prompt',
      { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15, cache_creation_input_tokens: 5_000 },
      { input: 10, cacheWrite5m: 5_000, output: 5 },
      0,
    ],
    [
      'with reasoning beside, as xAI counts it',
      { ...detailed(12, { cached_tokens: 2 }, 2, { reasoning_tokens: 320 }), total_tokens: 334 },
      { input: 10, cacheRead: 2, output: 322 },
      320,
    ],
    [
      'with reasoning in the total alone, as at the OpenAI endpoint of Gemini',
      { prompt_tokens: 35, completion_tokens: 12, total_tokens: 109 },
      { input: 35, output: 74 },
      62,
    ],
    [
      'with sound beside the prompt, as Voxtral counts it',
      { ...detailed(9, { cached_tokens: 0, audio_tokens: 375 }, 248), total_tokens: 632 },
      { input: 9, audioInput: 375, output: 248 },
      0,
    ],
    [
      'with sound beside a prompt that is longer',
      { ...detailed(400, { audio_tokens: 375 }, 10), total_tokens: 785 },
      { input: 400, audioInput: 375, output: 10 },
      0,
    ],
    [
      'with sound inside, and reasoning in the total alone',
      { ...detailed(60, { audio_tokens: 50 }, 10), total_tokens: 170 },
      { input: 10, audioInput: 50, output: 110 },
      100,
    ],
    [
      'with less in the total than in its halves',
      { ...detailed(9, {}, 40, { reasoning_tokens: 30 }), total_tokens: 20 },
      { input: 9, output: 40 },
      30,
    ],
    [
      'nulls and nonsense',
      { prompt_tokens: null, completion_tokens: '7', prompt_tokens_details: [], completion_tokens_details: null },
      undefined,
      0,
    ],
    ['negative', detailed(-5, { cached_tokens: -3 }, -1, { reasoning_tokens: -1 }), undefined, 0],
    ['fractions and infinities', { prompt_tokens: 2.9, completion_tokens: 1e300 }, undefined, 0],
  ])('%s', (_name, usage, classes, reasoningTokens) => {
    expect(meter(usage)).toEqual(expected(classes, { reasoningTokens, model: 'gpt-4o-2024', serviceTier: 'flex' }))
  })

  test.each([
    [{ prompt_tokens: 8, total_tokens: 8 }],
    [{ prompt_tokens: 8 }],
    [{ prompt_tokens: 8, completion_tokens: null }],
  ])('misses the output: %j', (usage) => {
    expect(meter(usage)).toMatchObject({ usage: usageOf({ input: 8, requests: 1 }), isOutputMissing: true })
  })

  test('adds up to the totals, whatever the details say', () => {
    const details = fc.record({ cached_tokens: anything, cache_write_tokens: anything, audio_tokens: anything })
    fc.assert(
      fc.property(fc.nat(1_000), details, fc.nat(1_000), details, (prompt, input, completion, output) => {
        const { usage } = meter(detailed(prompt, input, completion, output)) ?? { usage: usageOf() }
        expect([inputTokens(usage), outputTokens(usage)]).toEqual([prompt, completion])
        expect(minUnits(usage)).toBeGreaterThanOrEqual(0)
      }),
    )
  })

  test('adds up to the total where that is more than its halves, and to these where it is less', () => {
    const details = fc.record({ cached_tokens: anything, audio_tokens: anything, reasoning_tokens: anything })
    fc.assert(
      fc.property(
        fc.nat(100),
        details,
        fc.nat(100),
        details,
        fc.integer({ min: 1, max: 1_000 }),
        (prompt, input, completion, output, all) => {
          const { usage } = meter({ ...detailed(prompt, input, completion, output), total_tokens: all }) ?? {
            usage: usageOf(),
          }
          expect(totalTokens(usage)).toBe(Math.max(all, prompt + completion))
          expect(inputTokens(usage)).toBeGreaterThanOrEqual(prompt)
          expect(outputTokens(usage)).toBeGreaterThanOrEqual(completion)
          expect(minUnits(usage)).toBeGreaterThanOrEqual(0)
        },
      ),
    )
  })
})

describe('Groq says usage in a place of its own,', () => {
  const counts = { prompt_tokens: 12, completion_tokens: 26, total_tokens: 38 }
  const last = { choices: [{ delta: {}, finish_reason: 'stop' }], x_groq: { id: 'req_1', usage: counts } }
  const usage = usageOf({ input: 12, output: 26, requests: 1 })
  const heard = (...chunks: object[]) => {
    const tap = openaiChat.createTap(true, 'text/event-stream', true)
    const stream = [...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), 'data: [DONE]\n\n'].join('')
    const out = Buffer.concat([tap.push(Buffer.from(stream)), tap.end()]).toString()
    return { usage: tap.answerUsage()?.usage, hidden: stream.length - out.length }
  }

  test('which counts where it stands alone, and hides nothing', () => {
    expect(heard({ choices: [], x_groq: { id: 'req_1' } }, last)).toEqual({ usage, hidden: 0 })
    expect(heard({ choices: [], x_groq: { usage: counts } })).toEqual({ usage, hidden: 0 })
  })

  test('and counts once where it was asked for, too', () => {
    const asked = { choices: [], usage: counts, x_groq: { id: 'req_1', usage: counts } }
    expect(heard(last, asked).usage).toEqual(usage)
    expect(heard(last, asked).hidden).toBeGreaterThan(0)
  })

  test.each([[null], [7], ['x'], [[]], [{ usage: null }], [{ usage: [] }], [{ usage: 'x' }]])(
    'or %j in it, which is none',
    (x_groq) => {
      expect(heard({ choices: [], x_groq }, { ...last, x_groq })).toEqual({ usage: undefined, hidden: 0 })
      expect(heard(last, { choices: [], x_groq }).usage).toEqual(usage)
    },
  )
})

describe('Anthropic counts classes apart:', () => {
  const meter = (usage: unknown) => meteredOf(anthropicMessages, { type: 'message', model: 'claude-sonnet-5', usage })

  test.each<Row>([
    ['plain', { input_tokens: 9, output_tokens: 4 }, { input: 9, output: 4 }, 0],
    [
      'read from the cache',
      { input_tokens: 3, output_tokens: 0, cache_read_input_tokens: 46_134 },
      { input: 3, cacheRead: 46_134 },
      0,
    ],
    [
      'written for five minutes',
      {
        output_tokens: 0,
        cache_creation_input_tokens: 30,
        cache_creation: { ephemeral_5m_input_tokens: 30, ephemeral_1h_input_tokens: 0 },
      },
      { cacheWrite5m: 30 },
      0,
    ],
    [
      'written for an hour',
      {
        output_tokens: 0,
        cache_creation_input_tokens: 30,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 30 },
      },
      { cacheWrite1h: 30 },
      0,
    ],
    [
      'written, and not split',
      {
        output_tokens: 0,
        cache_creation_input_tokens: 10_345,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
      },
      { cacheWrite5m: 10_345 },
      0,
    ],
    [
      'written, and split in part',
      {
        output_tokens: 0,
        cache_creation_input_tokens: 100,
        cache_creation: { ephemeral_5m_input_tokens: 10, ephemeral_1h_input_tokens: 20 },
      },
      { cacheWrite5m: 80, cacheWrite1h: 20 },
      0,
    ],
    [
      'split into more than was written',
      {
        output_tokens: 0,
        cache_creation_input_tokens: 10,
        cache_creation: { ephemeral_5m_input_tokens: 5, ephemeral_1h_input_tokens: 20 },
      },
      { cacheWrite5m: 5, cacheWrite1h: 20 },
      0,
    ],
    [
      'thinking inside output',
      { output_tokens: 50, output_tokens_details: { thinking_tokens: 30 } },
      { output: 50 },
      30,
    ],
    [
      'searches',
      { input_tokens: 1, output_tokens: 0, server_tool_use: { web_search_requests: 2, web_fetch_requests: 5 } },
      { input: 1, webSearches: 2 },
      0,
    ],
    [
      'nulls and nonsense',
      { input_tokens: null, output_tokens: '9', cache_creation: 7, server_tool_use: null },
      undefined,
      0,
    ],
    ['negative', { input_tokens: -1, output_tokens: -2, cache_creation_input_tokens: -3 }, undefined, 0],
  ])('%s', (_name, usage, classes, reasoningTokens) => {
    expect(meter(usage)).toEqual(expected(classes, { reasoningTokens, model: 'claude-sonnet-5', serviceTier: null }))
  })

  test('misses an output that is not counted', () => {
    expect(meter({ input_tokens: 7 })).toMatchObject({ usage: { input: 7, output: 0 }, isOutputMissing: true })
  })

  test('gives the tier that was used', () => {
    const usual = { speed: 'standard', inference_geo: 'global' }
    expect(meter({ input_tokens: 1, service_tier: 'priority', ...usual })?.serviceTier).toBe('priority')
    // What has a price of its own is not told.
    expect(meter({ input_tokens: 1, service_tier: 'priority' })?.serviceTier).toBeNull()
  })

  test('settles every token written, by the sum or by the split: whichever has more', () => {
    const lifetimes = fc.record({ ephemeral_5m_input_tokens: anything, ephemeral_1h_input_tokens: anything })
    fc.assert(
      fc.property(fc.nat(), fc.nat(), lifetimes, (input_tokens, written, cache_creation) => {
        const { usage } = meter({ input_tokens, cache_creation_input_tokens: written, cache_creation }) ?? {
          usage: usageOf(),
        }
        const parts =
          countOf(cache_creation.ephemeral_5m_input_tokens) + countOf(cache_creation.ephemeral_1h_input_tokens)
        const isReported = input_tokens + written > 0
        expect(usage.cacheWrite5m + unitsOf(usage, 'cacheWrite1h')).toBe(isReported ? Math.max(written, parts) : 0)
        expect(minUnits(usage)).toBeGreaterThanOrEqual(0)
      }),
    )
  })
})

describe('Gemini counts thoughts and tool use beside totals, cached and spoken tokens inside:', () => {
  const meter = (usageMetadata: unknown) =>
    meteredOf(geminiGenerate, { modelVersion: 'gemini-2.5-flash', usageMetadata })
  const audio = (tokenCount: unknown) => [
    { modality: 'TEXT', tokenCount: 1 },
    { modality: 'AUDIO', tokenCount },
  ]

  test.each<Row>([
    ['plain', { promptTokenCount: 9, candidatesTokenCount: 4 }, { input: 9, output: 4 }, 0],
    [
      'thoughts',
      { promptTokenCount: 9, candidatesTokenCount: 4, thoughtsTokenCount: 30 },
      { input: 9, output: 34 },
      30,
    ],
    ['thoughts alone', { promptTokenCount: 9, thoughtsTokenCount: 30 }, { input: 9, output: 30 }, 30],
    ['tool use', { promptTokenCount: 9, toolUsePromptTokenCount: 100 }, { input: 109 }, 0],
    ['cached', { promptTokenCount: 9, cachedContentTokenCount: 5 }, { input: 4, cacheRead: 5 }, 0],
    ['cached over the prompt', { promptTokenCount: 9, cachedContentTokenCount: 50 }, { cacheRead: 9 }, 0],
    ['spoken', { promptTokenCount: 9, promptTokensDetails: audio(6) }, { input: 3, audioInput: 6 }, 0],
    [
      'spoken and cached',
      { promptTokenCount: 9, cachedContentTokenCount: 5, promptTokensDetails: audio(6), cacheTokensDetails: audio(4) },
      { input: 2, cacheRead: 1, audioInput: 2, audioCacheRead: 4 },
      0,
    ],
    ['spoken over the prompt', { promptTokenCount: 9, promptTokensDetails: audio(60) }, { audioInput: 9 }, 0],
    [
      'a spoken answer',
      { promptTokenCount: 1, candidatesTokenCount: 9, candidatesTokensDetails: audio(7) },
      { input: 1, output: 2, audioOutput: 7 },
      0,
    ],
    [
      'a picture',
      {
        promptTokenCount: 1,
        candidatesTokenCount: 1290,
        candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 1290 }],
      },
      { input: 1, imageOutput: 1290 },
      0,
    ],
    [
      'a film with sound, a picture and a text',
      {
        promptTokenCount: 1,
        candidatesTokenCount: 1000,
        candidatesTokensDetails: [
          { modality: 'VIDEO', tokenCount: 600 },
          { modality: 'AUDIO', tokenCount: 100 },
          { modality: 'IMAGE', tokenCount: 200 },
        ],
      },
      { input: 1, output: 100, imageOutput: 800, audioOutput: 100 },
      0,
    ],
    [
      'nulls and nonsense',
      { promptTokenCount: 9, candidatesTokenCount: null, promptTokensDetails: 'AUDIO', cacheTokensDetails: [null, 7] },
      { input: 9 },
      0,
    ],
  ])('%s', (_name, usage, classes, reasoningTokens) => {
    expect(meter(usage)).toEqual(expected(classes, { reasoningTokens, model: 'gemini-2.5-flash', serviceTier: null }))
  })

  test.each([[{}], [{ promptTokenCount: 0 }], [{ promptTokenCount: -9, candidatesTokenCount: null }], [[]], [null]])(
    'nothing: %j',
    (counts) => {
      expect(meter(counts)).toBeUndefined()
    },
  )

  test('adds up to its four totals, whatever the details say', () => {
    const counts = fc.record({
      promptTokenCount: fc.integer({ min: 1, max: 1_000 }),
      candidatesTokenCount: fc.nat(1_000),
      thoughtsTokenCount: fc.nat(1_000),
      toolUsePromptTokenCount: fc.nat(1_000),
      cachedContentTokenCount: anything,
      promptTokensDetails: anything.map(audio),
      cacheTokensDetails: anything.map(audio),
      candidatesTokensDetails: anything.map(audio),
    })
    fc.assert(
      fc.property(counts, (usageMetadata) => {
        const { usage } = meter(usageMetadata) ?? { usage: usageOf() }
        const { promptTokenCount, candidatesTokenCount, thoughtsTokenCount, toolUsePromptTokenCount } = usageMetadata
        expect(totalTokens(usage)).toBe(
          promptTokenCount + candidatesTokenCount + thoughtsTokenCount + toolUsePromptTokenCount,
        )
        expect(minUnits(usage)).toBeGreaterThanOrEqual(0)
      }),
    )
  })
})
