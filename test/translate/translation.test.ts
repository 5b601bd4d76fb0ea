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
      'web_search',
      "The target model does not support 'web_search'.",
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
      'messages',
      'Anthropic models accept files inline (base64) or by an http or https URL.',
    ],
    ['gemini.generateContent', { n: 9 }, 'n', 'Gemini models return at most 8 choices per call.'],
    [
      'gemini.generateContent',
      { messages: [{ role: 'system', content: [IMAGE] }] },
      'messages',
      'Gemini models support only text in system messages. Move other parts to a user message.',
    ],
  ])('says what %s supports: %j', (provider, fields, param, message) => {
    const translate = expect(() => translateRequest(provider, { ...HI, ...fields }))
    translate.toThrow(expect.objectContaining({ code: 'unsupported', param, message }))
  })
})
