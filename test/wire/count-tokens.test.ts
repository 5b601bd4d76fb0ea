// Counts of tokens: requests that are read like the calls they stand for, and use nothing whatever they are answered.

import { describe, expect, test } from 'vitest'
import { type QuoteRules, quote } from '../../src/core/quote.ts'
import { usageOf } from '../../src/core/usage.ts'
import { anthropicCountTokens } from '../../src/wire/anthropic/count-tokens.ts'
import { anthropicMessages } from '../../src/wire/anthropic/messages.ts'
import { geminiCountTokens } from '../../src/wire/gemini/count-tokens.ts'
import { geminiGenerate } from '../../src/wire/gemini/generate.ts'
import { lineTo } from './samples.ts'
import { bytewise, feed } from './streams.ts'

const MESSAGES = lineTo('/v1/messages/count_tokens', 'beta=true&key=k')
const CONTENTS = lineTo('/v1beta/models/google/gemini-2.5-pro:countTokens')
const bytes = (body: unknown) => Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
const messages = (body: unknown) => anthropicCountTokens.readRequest(bytes(body), MESSAGES)
const contents = (body: unknown) => geminiCountTokens.readRequest(bytes(body), CONTENTS)

const RULES: QuoteRules = {
  tokensPerCall: 64,
  tokensPerMessage: 16,
  tokensWithTools: 128,
  imageTokens: () => 1_000,
  capCoversReasoning: true,
  cachesAutomatically: true,
}
const SETTINGS = { defaultMaxOutputTokens: 4_096, tokenReservation: 'worst' } as const
const UNKNOWN = { price: undefined, limits: undefined }

describe.each([
  ['Anthropic', anthropicCountTokens, MESSAGES, { model: 'claude-sonnet-5', messages: [{ content: 'Hi' }] }],
  ['Gemini', geminiCountTokens, CONTENTS, { contents: [{ parts: [{ text: 'Hi' }] }] }],
] as const)('a count of %s', (_name, dialect, line, body) => {
  test('is no call that writes, and reserves nothing', () => {
    const { facts } = dialect.readRequest(bytes(body), line)
    expect(facts).toMatchObject({ kind: 'count', stream: false, outputCap: null, unbounded: [] })
    expect(quote(facts, UNKNOWN, RULES, SETTINGS)).toMatchObject({ tokens: 0, costNanoUsd: 0n, injectedCap: null })
  })

  test.each(['{"input_tokens":14}', '{"totalTokens":14}', '{}', '', '<html>', '{"usage":{"input_tokens":9}}'])(
    'answered %j used nothing',
    (text) => {
      const tap = dialect.createTap(false, 'application/json', false)
      expect(feed(tap, bytewise(Buffer.from(text), 3)).out.toString()).toBe(text)
      expect(tap.answerUsage()).toEqual({ usage: usageOf(), reasoningTokens: 0, model: null, serviceTier: null })
      expect([tap.isDocument, tap.finished, tap.failed]).toEqual([true, true, false])
    },
  )
})

describe('the request for a count of a call', () => {
  const MESSAGE = { model: 'alias', messages: [{ role: 'user', content: 'Hi' }] }
  const counted = {
    system: 'Be brief.',
    tools: [{ name: 'f', input_schema: {} }],
    tool_choice: { type: 'any' },
    thinking: { type: 'enabled', budget_tokens: 2_000 },
    output_config: { effort: 'medium' },
    context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
  }

  test('of Anthropic has everything that is input, and nothing else', () => {
    const other = { max_tokens: 9, stream: true, metadata: { user_id: 'u' }, cache_control: { type: 'ephemeral' } }
    const request = anthropicMessages.countRequest?.(bytes({ ...MESSAGE, ...counted, ...other }), 'claude-sonnet-5-5')
    expect(JSON.parse(request?.body.toString() ?? '')).toEqual({ ...MESSAGE, ...counted, model: 'claude-sonnet-5-5' })
  })

  test.each([{ container: 'c' }, { thread: { type: 'create' } }, { mcp_servers: [] }, { something_new: 1 }])(
    'of Anthropic is none with %j, which it would leave out',
    (field) => {
      expect(anthropicMessages.countRequest?.(bytes({ ...MESSAGE, ...field }), 'm')).toBeUndefined()
    },
  )

  test('of Gemini is the whole call', () => {
    const call = {
      contents: [{ parts: [{ text: 'Hi' }] }],
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      tools: [{ functionDeclarations: [{ name: 'f' }] }],
      toolConfig: { functionCallingConfig: { mode: 'ANY' } },
      generationConfig: { thinkingConfig: { thinkingBudget: 100 }, mediaResolution: 'MEDIA_RESOLUTION_HIGH' },
      cachedContent: 'cachedContents/x',
    }
    const request = geminiGenerate.countRequest?.(bytes(call), 'gemini-2.5-flash')
    expect(request?.path).toBe('/v1beta/models/gemini-2.5-flash:countTokens')
    expect(JSON.parse(request?.body.toString() ?? '')).toEqual({
      generateContentRequest: { model: 'models/gemini-2.5-flash', ...call },
    })
  })
})

describe('Anthropic', () => {
  const BODY = { model: 'claude-sonnet-5', messages: [{ role: 'user', content: 'Hi' }] }

  test('may name tools without an upper bound: none is run', () => {
    const tools = [{ type: 'web_search_20250305', name: 'web_search' }]
    expect(messages({ ...BODY, tools, mcp_servers: [{}], stream: true }).facts).toMatchObject({
      model: 'claude-sonnet-5',
      stream: false,
      unbounded: [],
    })
  })

  test('is asked for at its own path, with its own query and the model of the provider', () => {
    expect(anthropicCountTokens.upstreamPath('m', MESSAGES)).toBe('/v1/messages/count_tokens?beta=true')
    const edited = messages(BODY).edit({ model: 'other' })
    expect(JSON.parse(edited.toString())).toEqual({ ...BODY, model: 'other' })
  })

  test.each([{ messages: [] }, { ...BODY, messages: 'Hi' }])('%j is refused', (body) => {
    expect(() => messages(body)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })
})

describe('Gemini', () => {
  const REQUEST = { model: 'models/google/gemini-2.5-pro', contents: [] }

  test('names its model in the path, and once more where the request is inside', () => {
    expect(contents({ contents: [] }).facts.model).toBe('google/gemini-2.5-pro')
    for (const field of ['generateContentRequest', 'generate_content_request']) {
      const reading = contents({ [field]: REQUEST })
      expect(JSON.parse(reading.edit({ model: 'm' }).toString())).toEqual({
        [field]: { ...REQUEST, model: 'models/m' },
      })
    }
    const body = bytes({ generateContentRequest: null })
    expect(geminiCountTokens.readRequest(body, CONTENTS).edit({ model: 'm' })).toEqual(body)
    expect(geminiCountTokens.upstreamPath('m', CONTENTS)).toBe('/v1beta/models/m:countTokens')
  })

  test('is refused where it names another, or is no JSON', () => {
    expect(() => contents({ generateContentRequest: { model: 'models/other' } })).toThrow(
      expect.objectContaining({ code: 'invalid_request', param: 'model' }),
    )
    for (const text of ['', '[]', '{"contents":[}', '{}}'])
      expect(() => contents(text), text).toThrow(expect.objectContaining({ code: 'invalid_json' }))
  })
})
