// Translation: hostile requests and responses, and the texts of its errors.

import { describe, expect, test } from 'vitest'
import { recordOf } from '../../src/core/json-values.ts'
import { Problem } from '../../src/core/problem.ts'
import { translatorOf } from '../../src/translate/index.ts'
import { Translation } from '../../src/translate/translation.ts'
import { dialectNamed } from '../../src/wire/index.ts'
import { CONTEXT, lineTo } from '../wire/samples.ts'

type Name = 'openai.chat' | 'anthropic.messages' | 'gemini.generateContent'

function between(caller: Name, provider: Name): Translation {
  const [from, to] = [translatorOf(caller), translatorOf(provider)]
  if (!from || !to) throw new Error('no translator')
  return new Translation(from, to)
}

const CHAT = lineTo('/v1/chat/completions')
const TARGET = { model: 'claude-sonnet-4-5', capField: 'max_tokens', defaultCap: 4_096 }
const HI = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] }
const bodyOf = (body: object) => Buffer.from(JSON.stringify(body))
const translateRequest = (provider: Name, body: object | string, model = TARGET.model) =>
  between('openai.chat', provider).translateRequest(typeof body === 'string' ? Buffer.from(body) : bodyOf(body), CHAT, {
    ...TARGET,
    model,
  })

describe('a request', () => {
  test.each(['__proto__', 'constructor', 'toString', 'valueOf'])('is refused with the name of its field %s', (name) => {
    const body = `{"model":"m","messages":[{"role":"user","content":"Hi"}],"${name}":{"a":1}}`
    for (const provider of ['anthropic.messages', 'gemini.generateContent'] as const) {
      const expected = expect(() => translateRequest(provider, body))
      expected.toThrow(Problem)
      expected.toThrow(expect.objectContaining({ param: name }))
    }
  })

  test('can name a model that is not well-formed text', () => {
    expect(translateRequest('gemini.generateContent', HI, '\ud800').line.path).toBe(
      '/v1beta/models/%EF%BF%BD:generateContent',
    )
  })

  test('can hold very many parts', () => {
    const content = Array.from({ length: 20_000 }, () => ({ type: 'text', text: 'a' }))
    for (const role of ['user', 'system']) {
      const messages = [...HI.messages, { role, content }]
      expect(translateRequest('anthropic.messages', { ...HI, messages }).body.length).toBeGreaterThan(500_000)
    }
  })

  test('selects its tools in time linear in their number', () => {
    const named = (start: string) =>
      Array.from({ length: 6_000 }, (_, index) => ({
        type: 'function',
        function: { name: `a_tool_with_a_long_name_that_${start}_${index + 100_000}` },
      }))
    const [tools, others] = [named('is'), named('no')]
    const choice = { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [...others, tools[0]] } }
    const startedMs = performance.now()
    const { body } = translateRequest('anthropic.messages', { ...HI, tools, tool_choice: choice })
    expect(recordOf(JSON.parse(body.toString())).tools).toHaveLength(1)
    expect(performance.now() - startedMs).toBeLessThan(5_000)
  }, 60_000)
})

/** Responses in which every object has a field that only its provider could know. */
const UNKNOWN = { new_field: { a: [1] }, newText: 'a' }
const RESPONSES: Readonly<Record<Name, object>> = {
  'openai.chat': {
    ...UNKNOWN,
    choices: [
      {
        ...UNKNOWN,
        index: 0,
        finish_reason: 'stop',
        message: {
          ...UNKNOWN,
          role: 'assistant',
          content: [
            { ...UNKNOWN, type: 'text', text: 'the answer' },
            { ...UNKNOWN, type: 'new' },
          ],
          reasoning_content: 'a thought',
          images: [{ ...UNKNOWN, image_url: { ...UNKNOWN, url: 'data:image/png;base64,AAAA' } }],
          tool_calls: [
            { ...UNKNOWN, id: 'a', type: 'function', function: { ...UNKNOWN, name: 'f', arguments: '{}' } },
            { ...UNKNOWN, id: 'b', type: 'custom', custom: { ...UNKNOWN, name: 'g', input: '' } },
          ],
        },
      },
    ],
  },
  'anthropic.messages': {
    ...UNKNOWN,
    role: 'assistant',
    stop_reason: 'end_turn',
    content: [
      { ...UNKNOWN, type: 'thinking', thinking: 'a thought', signature: 'AAAA' },
      { ...UNKNOWN, type: 'redacted_thinking', data: 'AAAA' },
      { ...UNKNOWN, type: 'text', text: 'the answer', citations: [{ ...UNKNOWN, type: 'page_location' }] },
      { ...UNKNOWN, type: 'tool_use', id: 'a', name: 'f', input: {}, caller: { ...UNKNOWN, type: 'direct' } },
      { ...UNKNOWN, type: 'server_tool_use', id: 'b', name: 'web_search', input: {} },
    ],
  },
  'gemini.generateContent': {
    ...UNKNOWN,
    candidates: [
      {
        ...UNKNOWN,
        finishReason: 'STOP',
        content: {
          ...UNKNOWN,
          role: 'model',
          parts: [
            { ...UNKNOWN, text: 'a thought', thought: true, thoughtSignature: 'AAAA' },
            { ...UNKNOWN, text: 'the answer', videoMetadata: { fps: 1 } },
            { ...UNKNOWN, functionCall: { ...UNKNOWN, name: 'f', args: {} } },
            { ...UNKNOWN, inlineData: { ...UNKNOWN, mimeType: 'image/png', data: 'AAAA' } },
            { ...UNKNOWN, fileData: { ...UNKNOWN, mimeType: 'image/png', fileUri: 'gs://bucket/image.png' } },
            { ...UNKNOWN, executableCode: { ...UNKNOWN, language: 'PYTHON', code: '1' } },
          ],
        },
      },
    ],
  },
}
const NAMES = ['openai.chat', 'anthropic.messages', 'gemini.generateContent'] as const
const PAIRS = NAMES.flatMap((caller) => NAMES.map((provider) => [caller, provider] as const))

/** The same response as the events of a stream. OpenAI's and Anthropic's streams have deltas in place of whole parts. */
const STREAMED: Readonly<Record<Name, readonly object[]>> = {
  'openai.chat': [
    ...['content', 'reasoning_content'].map((field) => ({
      ...UNKNOWN,
      choices: [{ ...UNKNOWN, index: 0, delta: { ...UNKNOWN, [field]: 'the answer' } }],
    })),
    { choices: [{ ...UNKNOWN, index: 0, delta: { ...UNKNOWN, tool_calls: [{ ...UNKNOWN, index: 0, id: 'a' }] } }] },
    { ...UNKNOWN, choices: [{ ...UNKNOWN, index: 0, delta: UNKNOWN, finish_reason: 'stop' }] },
  ],
  'anthropic.messages': [
    { ...UNKNOWN, type: 'message_start', message: UNKNOWN },
    { ...UNKNOWN, type: 'content_block_start', index: 0, content_block: { ...UNKNOWN, type: 'text', text: '' } },
    {
      ...UNKNOWN,
      type: 'content_block_delta',
      index: 0,
      delta: { ...UNKNOWN, type: 'text_delta', text: 'the answer' },
    },
    { ...UNKNOWN, type: 'content_block_delta', index: 0, delta: { ...UNKNOWN, type: 'citations_delta' } },
    { ...UNKNOWN, type: 'content_block_stop', index: 0 },
    { ...UNKNOWN, type: 'new_event' },
    { ...UNKNOWN, type: 'message_delta', delta: { ...UNKNOWN, stop_reason: 'end_turn' } },
    { ...UNKNOWN, type: 'message_stop' },
  ],
  'gemini.generateContent': [RESPONSES['gemini.generateContent']],
}

describe('what a provider adds to its response', () => {
  const context = { ...CONTEXT, model: 'asked', withUsage: true, asEvents: true }

  test.each(PAIRS)('does not keep a caller of %s from the whole answer of %s', (caller, provider) => {
    const meter = dialectNamed(provider).createTap(false, 'application/json', false)
    const tap = between(caller, provider).createTap(meter, context)
    const text = tap.push(bodyOf(RESPONSES[provider])).toString()
    expect(text).toContain('"the answer"')
    // Its own fields are restored for callers of the same dialect alone.
    if (caller !== provider) expect(text).not.toContain('new_field')
  })

  test.each(PAIRS)('does not keep a caller of %s from the stream of %s', (caller, provider) => {
    const meter = dialectNamed(provider).createTap(true, 'text/event-stream', false)
    const tap = between(caller, provider).createTap(meter, context)
    const events = STREAMED[provider].map((event) => tap.push(Buffer.from(`data: ${JSON.stringify(event)}\n\n`)))
    const text = Buffer.concat([...events, tap.end()]).toString()
    expect(text).toContain('the answer')
    expect(text).not.toContain('new_field')
  })
})

const LONG_TEXT = 'm'.repeat(100_000)
const EVENTS: Readonly<Record<Name, readonly string[]>> = {
  'openai.chat': [
    `{"id":"${LONG_TEXT}","model":"${LONG_TEXT}","choices":[{"index":0,"delta":{"content":"a"}}]}`,
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}}]}',
  ],
  'anthropic.messages': [
    `{"type":"message_start","message":{"id":"${LONG_TEXT}","model":"${LONG_TEXT}"}}`,
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}',
  ],
  'gemini.generateContent': [
    `{"responseId":"${LONG_TEXT}","modelVersion":"${LONG_TEXT}","candidates":[{"content":{"parts":[{"text":"a"}]}}]}`,
    '{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}',
  ],
}

describe('a stream', () => {
  test.each([
    ['anthropic.messages', 'openai.chat'],
    ['openai.chat', 'anthropic.messages'],
    ['gemini.generateContent', 'anthropic.messages'],
    ['openai.chat', 'gemini.generateContent'],
    ['gemini.generateContent', 'openai.chat'],
  ] as const)('for %s does not repeat a very long name of its provider %s', (caller, provider) => {
    const context = { ...CONTEXT, model: 'asked', withUsage: true, asEvents: true }
    const meter = dialectNamed(provider).createTap(true, 'text/event-stream', false)
    const tap = between(caller, provider).createTap(meter, context)
    const text = EVENTS[provider].map((data) => tap.push(Buffer.from(`data: ${data}\n\n`)).toString()).join('')
    expect(text).toContain('"a"')
    expect(text.length).toBeLessThan(10_000)
  })
})

describe('the error of a request that the provider cannot fulfil', () => {
  const IMAGE = { type: 'image_url', image_url: { url: 'gs://bucket/image.png' } }

  test.each<[Name, object, string, string]>([
    ['anthropic.messages', { logprobs: true }, 'logprobs', "The target model does not support 'logprobs'."],
    ['gemini.generateContent', { logprobs: true }, 'logprobs', "The target model does not support 'logprobs'."],
    [
      'gemini.generateContent',
      { tools: [{ type: 'web_search' }] },
      'tools[0]',
      "The target model does not support 'web_search' in tools[0].",
    ],
    [
      'anthropic.messages',
      { n: 2 },
      'n',
      'Anthropic models return one choice per call. Send one call for each choice.',
    ],
    [
      'anthropic.messages',
      { response_format: { type: 'json_object' } },
      'response_format',
      'Anthropic models do not support JSON output without a schema. Use json_schema.',
    ],
    [
      'anthropic.messages',
      { stop: [' '] },
      'stop',
      'Anthropic models do not support blank stop sequences. Use sequences with visible characters.',
    ],
    [
      'anthropic.messages',
      { messages: [{ role: 'user', content: [IMAGE] }] },
      'messages[0].content[0]',
      'messages[0].content[0]: The target model accepts media inline (base64) or by an http or https URL.',
    ],
    ['gemini.generateContent', { n: 9 }, 'n', 'Gemini models return at most 8 choices per call.'],
    [
      'gemini.generateContent',
      { messages: [{ role: 'system', content: [IMAGE] }, ...HI.messages] },
      'messages[0].content[0]',
      'messages[0].content[0]: Gemini models support only text in system messages. Move other parts to a user message.',
    ],
  ])('says what %s supports: %j', (provider, fields, param, message) => {
    const translate = expect(() => translateRequest(provider, { ...HI, ...fields }))
    translate.toThrow(expect.objectContaining({ code: 'unsupported', param, message }))
  })
})
