// OpenAI requests: every spelling is restored, and requests of other dialects are written as this dialect's.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChatMessage, ChatRequest, JsonObject, Part, ToolResultPart } from '../../../src/core/chat.ts'
import { isRecord, recordOf } from '../../../src/core/json-values.ts'
import { Problem } from '../../../src/core/problem.ts'
import { isEmpty } from '../../../src/translate/openai/dialect-fields.ts'
import { openaiChatTranslator } from '../../../src/translate/openai/translator.ts'
import { openaiChat } from '../../../src/wire/openai/chat.ts'
import { lineTo } from '../../wire/samples.ts'
import { catchProblem } from '../catch-problem.ts'
import { junk } from './junk.ts'

const LINE = lineTo('/v1/chat/completions')
const TARGET = { model: 'gpt-x', capField: 'max_completion_tokens', defaultCap: 1 }
const HI = { model: 'gpt-x', messages: [{ role: 'user', content: 'Hi' }] }
const DIALECT = 'openai.chat'

const read = (body: JsonObject) => openaiChatTranslator.readRequest(body, LINE)
const readMore = (fields: object) => read({ ...HI, ...fields })
const write = (request: ChatRequest, model = 'gpt-x') =>
  openaiChatTranslator.writeRequest(request, { ...TARGET, model })
const bare = (fields: Partial<ChatRequest> = {}): ChatRequest => ({
  model: 'm',
  stream: false,
  messages: [],
  ...fields,
})
const conversation = (...messages: object[]) => read({ model: 'gpt-x', messages })
const script = (...messages: ChatMessage[]) => write(bare({ messages }))

const PNG = 'data:image/png;base64,aGk='
const CALL = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }

describe('fields that all dialects have', () => {
  test.each([
    ['temperature', { temperature: 0.5 }, { temperature: 0.5 }],
    ['top_p', { top_p: 0 }, { topP: 0 }],
    ['seed', { seed: 7 }, { seed: 7 }],
    ['penalties', { frequency_penalty: 1, presence_penalty: -1 }, { frequencyPenalty: 1, presencePenalty: -1 }],
    ['answers', { n: 2 }, { answers: 2 }],
    ['the cap', { max_completion_tokens: 9 }, { outputCap: 9 }],
    ['stops', { stop: ['a', 'b'] }, { stop: ['a', 'b'] }],
    ['one stop', { stop: 'a' }, { stop: ['a'] }],
    ['the user', { user: 'alice' }, { user: 'alice' }],
    ['one call at a time', { parallel_tool_calls: false }, { parallelTools: false }],
    ['a stream', { stream: true }, { stream: true }],
    ['JSON', { response_format: { type: 'json_object' } }, { format: { kind: 'json' } }],
    ['no tools', { tool_choice: 'none' }, { toolChoice: { kind: 'none' } }],
    ['top_k, where it is known', { top_k: 5 }, { topK: 5 }],
    ['effort', { reasoning_effort: 'high' }, { reasoning: { effort: 'high' } }],
    [
      "OpenRouter's reasoning",
      { reasoning: { max_tokens: 9, exclude: true } },
      { reasoning: { budgetTokens: 9, shown: false } },
    ],
    ["Anthropic's thinking", { thinking: { type: 'enabled', budget_tokens: 9 } }, { reasoning: { budgetTokens: 9 } }],
    ['no thinking', { thinking: { type: 'disabled' } }, { reasoning: { effort: 'none' } }],
    [
      'a schema',
      {
        response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' }, strict: true } },
      },
      { format: { kind: 'schema', name: 'n', schema: { type: 'object' }, strict: true } },
    ],
    [
      'a named tool',
      { tool_choice: { type: 'function', function: { name: 'f' } } },
      { toolChoice: { kind: 'tools', names: ['f'], required: true } },
    ],
    [
      'allowed tools',
      {
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'f' } }] },
        },
      },
      { toolChoice: { kind: 'tools', names: ['f'], required: false } },
    ],
    [
      'a tool',
      {
        tools: [
          {
            type: 'function',
            function: { name: 'f', description: 'd', parameters: { type: 'object' }, strict: false },
          },
        ],
      },
      { tools: [{ kind: 'function', name: 'f', description: 'd', schema: { type: 'object' }, strict: false }] },
    ],
  ])('%s', (_case, fields, expected) => {
    const request = readMore(fields)
    expect(request).toMatchObject(expected)
    expect(request.extras?.needs).toBeUndefined()
    expect(write(request).body).toEqual({ ...HI, ...fields })
  })
})

test('the larger of two caps counts', () => {
  expect(readMore({ max_completion_tokens: 8, max_tokens: 7 }).outputCap).toBe(8)
})

test('one allowed tool and unknown fields of a function are restored', () => {
  const tools = [{ type: 'function', function: { name: 'f', description: null, odd: 1 } }]
  const allowed = { mode: 'required', tools: [{ type: 'function', function: { name: 'f' } }] }
  const fields = { tools, tool_choice: { type: 'allowed_tools', allowed_tools: allowed } }
  const request = readMore(fields)
  expect(request.tools?.[0]).toMatchObject({
    extras: { hints: { 'function.description': null }, needs: { 'function.odd': 1 } },
  })
  expect(write(request).body).toEqual({ ...HI, ...fields })
})

describe('fields that only this dialect has', () => {
  test.each([
    [{ logit_bias: { 1: 2 } }],
    [{ metadata: { a: 'b' } }],
    [{ store: true }],
    [{ service_tier: 'flex' }],
    [{ verbosity: 'low' }],
    [{ prediction: { type: 'content', content: 'x' } }],
    [{ prompt_cache_key: 'k' }],
    [{ safety_identifier: 's' }],
    [{ thinking: { type: 'enabled', clear_thinking: false } }],
    [{ reasoning_effort: 'default' }],
  ])('%j is a hint', (fields) => {
    const request = readMore(fields)
    expect(request.extras).toEqual({ dialect: DIALECT, hints: fields })
    expect(write(request).body).toEqual({ ...HI, ...fields })
  })

  test.each([
    [{ logprobs: true }],
    [{ top_logprobs: 2 }],
    [{ modalities: ['text', 'audio'] }],
    [{ audio: { voice: 'ash', format: 'mp3' } }],
    [{ web_search_options: {} }],
    [{ functions: [{ name: 'f' }] }],
    [{ function_call: { name: 'f' } }],
    [{ tool_choice: { type: 'custom', custom: { name: 'c' } } }],
    [{ response_format: { type: 'grammar', grammar: 'x' } }],
    [{ provider: { data_collection: 'deny' } }],
    [JSON.parse('{"__proto__":{"a":1}}')],
  ])('%j is a need', (fields) => {
    const request = readMore(fields)
    expect(Object.keys(request.extras?.needs ?? {})).toEqual(Object.keys(fields))
    expect(JSON.stringify(write(request).body)).toContain(JSON.stringify(fields).slice(1, -1))
  })

  test.each([
    [{ logprobs: false }],
    [{ modalities: ['text'] }],
    [{ response_format: { type: 'text' } }],
    [{ service_tier: 'auto' }],
    [{ stream: true, stream_options: { include_usage: true } }],
    [{ stream: false }],
    [{ temperature: null, n: null, stop: null, tools: null, max_completion_tokens: null, audio: null }],
    [{ tools: [] }],
    [{ plugins: [] }],
  ])('%j requests nothing, so dropping it is not reported', (fields) => {
    const request = readMore(fields)
    expect(request.extras?.needs).toBeUndefined()
    expect(Object.values(request.extras?.hints ?? {}).filter((value) => !isEmpty(value))).toEqual([])
    expect(write(request).body).toEqual({ ...HI, ...fields })
  })

  test('a hosted or custom tool is a dialect tool with the name of its type', () => {
    const tools = [{ type: 'custom', custom: { name: 'c' } }, { type: 'openrouter:web_search' }]
    const request = readMore({ tools })
    expect(request.tools).toMatchObject([
      { kind: 'dialect', name: 'custom' },
      { kind: 'dialect', name: 'openrouter:web_search' },
    ])
    expect(write(request).body.tools).toEqual(tools)
  })
})

const spellings: readonly (readonly [what: string, messages: object[]])[] = [
  [
    'texts',
    [
      { role: 'system', content: 's' },
      { role: 'user', content: 'u' },
      { role: 'assistant', content: 'a' },
    ],
  ],
  ['a developer', [{ role: 'developer', content: 'd' }]],
  ['names', [{ role: 'user', name: 'bob', content: 'u' }]],
  [
    'arrays',
    [
      { role: 'system', content: [{ type: 'text', text: 's' }] },
      { role: 'user', content: [{ type: 'text', text: 's' }] },
    ],
  ],
  [
    'empty contents',
    [
      { role: 'user', content: '' },
      { role: 'user', content: [] },
      { role: 'assistant', content: null },
      { role: 'assistant' },
    ],
  ],
  [
    'pictures',
    [
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: PNG, detail: 'low' } },
          { type: 'image_url', image_url: { url: 'https://x/y' } },
          { type: 'image_url', image_url: 'https://x/y' },
        ],
      },
    ],
  ],
  ['a sound', [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: 'aGk=', format: 'wav' } }] }]],
  [
    'files',
    [
      {
        role: 'user',
        content: [
          { type: 'file', file: { file_data: 'data:application/pdf;base64,aGk=', filename: 'a.pdf' } },
          { type: 'file', file: { file_data: 'data:application/pdf;base64,aGk=' } },
          { type: 'file', file: { file_data: 'https://x/y.pdf', filename: 'y' } },
        ],
      },
    ],
  ],
  [
    'unknown parts',
    [
      {
        role: 'user',
        content: [
          { type: 'file', file: { file_id: 'f' } },
          { type: 'video_url', video_url: { url: 'x' } },
          { type: 'image_url', image_url: { url: 'x', odd: 1 } },
        ],
      },
    ],
  ],
  [
    'caches',
    [
      { role: 'system', content: [{ type: 'text', text: 's', cache_control: { type: 'ephemeral' } }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 's', cache_control: { type: 'ephemeral', ttl: '1h' } },
          { type: 'image_url', image_url: { url: PNG }, cache_control: { type: 'x' } },
        ],
      },
    ],
  ],
  [
    'a call and its result',
    [
      { role: 'assistant', content: null, tool_calls: [CALL] },
      { role: 'tool', tool_call_id: 'call_1', content: 'r' },
    ],
  ],
  ['a call beside text', [{ role: 'assistant', content: 't', tool_calls: [CALL] }]],
  [
    'a call without content',
    [
      { role: 'assistant', tool_calls: [CALL] },
      { role: 'assistant', content: '', tool_calls: [{ ...CALL, function: { name: 'g', arguments: '' } }] },
    ],
  ],
  [
    'results in a row',
    [
      { role: 'assistant', content: null, tool_calls: [CALL, { ...CALL, id: 'call_2' }] },
      { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: 'r' }] },
      { role: 'tool', tool_call_id: 'call_2', name: 'f', content: '' },
      { role: 'user', content: 'u' },
    ],
  ],
  [
    'a result with more than text',
    [
      { role: 'assistant', content: null, tool_calls: [CALL] },
      { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'image_url', image_url: { url: PNG } }] },
      { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'odd' }] },
    ],
  ],
  [
    "Google's signature",
    [
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { ...CALL, extra_content: { google: { thought_signature: 's' } } },
          { ...CALL, extra_content: { odd: 1 } },
        ],
      },
    ],
  ],
  [
    'a custom call',
    [
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'call_1', type: 'custom', custom: { name: 'c', input: 'i' } }],
      },
      { role: 'tool', tool_call_id: 'call_1', content: 'r' },
    ],
  ],
  [
    'the older calls',
    [
      { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
      { role: 'function', name: 'f', content: 'r' },
    ],
  ],
  [
    'refusals',
    [
      { role: 'assistant', content: null, refusal: 'no' },
      { role: 'assistant', content: [{ type: 'refusal', refusal: 'no' }] },
      { role: 'assistant', content: [{ type: 'text', text: 't' }], refusal: null },
    ],
  ],
  [
    'thoughts',
    [
      { role: 'assistant', content: 'a', reasoning_content: 't' },
      { role: 'assistant', content: 'a', reasoning: 't', reasoning_details: [{ type: 'x' }] },
    ],
  ],
  [
    "Mistral's thoughts",
    [
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 't' }] },
          { type: 'text', text: 'a' },
        ],
      },
    ],
  ],
  [
    'signed thoughts',
    [
      {
        role: 'assistant',
        content: 'a',
        reasoning_content: 't',
        thinking_blocks: [
          { type: 'thinking', thinking: 't', signature: 's' },
          { type: 'redacted_thinking', data: 'd' },
        ],
      },
    ],
  ],
  [
    'thoughts in odd blocks',
    [{ role: 'assistant', content: 'a', reasoning_content: 't', thinking_blocks: [{ type: 'odd' }] }],
  ],
  [
    'what SDKs hand back',
    [
      {
        role: 'assistant',
        content: 'a',
        refusal: null,
        annotations: [],
        audio: null,
        function_call: null,
        tool_calls: [],
      },
    ],
  ],
  ['a spoken answer', [{ role: 'assistant', content: null, audio: { id: 'a' } }]],
]

describe('the spelling of messages', () => {
  test.each(spellings)('%s are restored', (_case, messages) => {
    expect(write(conversation(...messages)).body.messages).toEqual(messages)
  })

  test('conversations of these messages in any order are restored', () => {
    const example = fc.array(fc.constantFrom(...spellings.map(([, messages]) => messages)), { maxLength: 8 })
    fc.assert(
      fc.property(example, (parts) => {
        const messages = parts.flat()
        expect(write(conversation(...messages)).body.messages).toEqual(messages)
      }),
    )
  })
})

describe('what messages become for other dialects', () => {
  test('results become parts of one user message, with the name of their tool', () => {
    const [, results] = conversation(
      {
        role: 'assistant',
        content: null,
        tool_calls: [CALL, { ...CALL, id: 'call_2', function: { name: 'g', arguments: '' } }],
      },
      { role: 'tool', tool_call_id: 'call_2', content: 'two' },
      { role: 'tool', tool_call_id: 'call_1', content: 'one' },
    ).messages
    expect(results).toEqual({
      role: 'user',
      parts: [
        { kind: 'toolResult', callId: 'call_2', name: 'g', parts: [{ kind: 'text', text: 'two' }], failed: false },
        { kind: 'toolResult', callId: 'call_1', name: 'f', parts: [{ kind: 'text', text: 'one' }], failed: false },
      ],
    })
  })

  test('media are read with their type and source', () => {
    const [message] = conversation({
      role: 'user',
      content: [
        { type: 'image_url', image_url: { url: PNG } },
        { type: 'image_url', image_url: { url: 'https://x/y' } },
        { type: 'image_url', image_url: 'https://x/y' },
        { type: 'input_audio', input_audio: { data: 'aGk=', format: 'mp3' } },
        { type: 'file', file: { file_data: 'data:application/pdf;base64,aGk=', filename: 'a.pdf' } },
      ],
    }).messages
    expect(message?.parts).toEqual([
      { kind: 'media', mediaType: 'image/png', source: { base64: 'aGk=' } },
      { kind: 'media', mediaType: 'image/*', source: { url: 'https://x/y' } },
      {
        kind: 'media',
        mediaType: 'image/*',
        source: { url: 'https://x/y' },
        extras: { dialect: DIALECT, hints: { image_url: '' } },
      },
      { kind: 'media', mediaType: 'audio/mp3', source: { base64: 'aGk=' } },
      { kind: 'media', mediaType: 'application/pdf', source: { base64: 'aGk=' }, name: 'a.pdf' },
    ])
  })

  test('signed thoughts keep their signature', () => {
    const [message] = conversation({
      role: 'assistant',
      content: 'a',
      reasoning_content: 't',
      thinking_blocks: [{ type: 'thinking', thinking: 't', signature: 's' }],
    }).messages
    expect(message?.parts).toMatchObject([
      { kind: 'reasoning', text: 't', signature: 's', signedIn: 'anthropic.messages' },
      { kind: 'text', text: 'a' },
    ])
  })

  test('missing fields of calls are filled in, and unknown fields are ignored', () => {
    const { messages } = conversation({
      role: 'assistant',
      content: null,
      tool_calls: [{ index: 0, function: { name: 'f', arguments: { a: 1 } }, custom: { name: '', input: '' } }],
    })
    expect(messages[0]?.parts).toMatchObject([{ kind: 'toolCall', id: 'call_0_0', name: 'f', arguments: '{"a":1}' }])
  })
})

describe('an invalid request', () => {
  test.each([
    [{ model: 7 }, 'model'],
    [{ messages: {} }, 'messages'],
    [{ messages: [1] }, 'messages[0]'],
    [{ messages: [{ role: 'x' }] }, 'messages[0].role'],
    [{ messages: [{ role: 'user', content: 7 }] }, 'messages[0].content'],
    [{ messages: [{ role: 'user', content: [{}] }] }, 'messages[0].content[0].type'],
    [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0].text'],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id'],
    [{ messages: [{ role: 'tool', content: 'x', tool_call_id: 'y' }] }, 'messages[0].tool_call_id'],
    [{ messages: [{ role: 'assistant', tool_calls: [{}] }] }, 'messages[0].tool_calls[0].function.name'],
    [{ temperature: 'hot' }, 'temperature'],
    [{ stream: 'yes' }, 'stream'],
    [{ stop: [1] }, 'stop'],
    [{ user: {} }, 'user'],
    [{ tools: [{ type: 'function' }] }, 'tools[0].function.name'],
    [{ tools: [{ type: 'function', function: { name: 'f', parameters: 'x' } }] }, 'tools[0].function.parameters'],
  ])('%j is refused, with the field %s', (fields, param) => {
    expect(catchProblem(() => readMore(fields))).toMatchObject({ code: 'invalid_request', param })
  })
})

const result = (text: string, failed = false): Part => {
  return { kind: 'toolResult', callId: 'c', name: 'f', parts: text === '' ? [] : [{ kind: 'text', text }], failed }
}

describe('messages of other dialects', () => {
  test('texts become one string, except those of the user', () => {
    const two: Part[] = [
      { kind: 'text', text: 'a', cache: '5m' },
      { kind: 'text', text: 'b' },
    ]
    const { body, dropped } = script(
      { role: 'system', parts: two },
      { role: 'assistant', parts: two },
      {
        role: 'user',
        parts: [
          {
            kind: 'toolResult',
            callId: 'c',
            name: 'f',
            parts: [
              { kind: 'text', text: 'a' },
              { kind: 'text', text: 'b' },
            ],
            failed: false,
          },
          ...two,
        ],
      },
    )
    expect(body.messages).toEqual([
      { role: 'system', content: 'a\n\nb' },
      { role: 'assistant', content: 'ab' },
      { role: 'tool', tool_call_id: 'c', content: 'a\nb' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
    ])
    expect(dropped).toEqual(['cache'])
  })

  test('results come first, and a failed one has at least a text that says so', () => {
    const { body } = script({ role: 'user', parts: [result('', true), result('why', true), result('')] })
    expect(body.messages).toMatchObject([{ content: 'Error' }, { content: 'why' }, { content: '' }])
  })

  test('thoughts of other dialects are left out without a report', () => {
    const extras = { dialect: 'x', hints: { y: 1 } }
    const { body, dropped } = script({
      role: 'assistant',
      parts: [
        { kind: 'reasoning', text: 't', signature: 's', signedIn: 'x', extras },
        { kind: 'toolCall', id: 'c', name: 'f', arguments: '{}', signature: 'g' },
      ],
    })
    expect(body.messages).toEqual([
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
    ])
    expect(dropped).toEqual([])
  })

  test('long ids are cut the same way in call and result, and stay unique', () => {
    const ids = ['a', 'b'].map((end) => 'x'.repeat(80) + end)
    const parts = ids.map((id): Part => ({ kind: 'toolCall', id, name: 'f', arguments: '{}' }))
    const results = ids.map((callId): Part => ({ ...result('r'), callId }) as Part)
    const { messages } = script({ role: 'assistant', parts }, { role: 'user', parts: results }).body
    const [requests, ...answers] = Array.isArray(messages) ? messages : []
    const calls = requests.tool_calls.map(({ id }: { id: string }) => id)
    expect(calls.map((id: string) => id.length)).toEqual([40, 40])
    expect(new Set(calls).size).toBe(2)
    expect(answers.map(({ tool_call_id: id }) => id)).toEqual(calls)
  })

  test.each([
    ['topK', { topK: 5 }, 'gpt-x', ['topK'], {}],
    ['temperature over two', { temperature: 3 }, 'gpt-x', ['temperature'], { temperature: 2 }],
    [
      'temperature of a model that always thinks',
      { temperature: 0.5, topP: 0.5 },
      'o3-mini',
      ['temperature', 'topP'],
      {},
    ],
    ['the same model at a router', { temperature: 0.5 }, 'openai/o3-mini', [], { temperature: 0.5 }],
    ['temperature of a later model', { temperature: 0.5 }, 'gpt-5.2', [], { temperature: 0.5 }],
    ['a little thought', { reasoning: { budgetTokens: 2_048 } }, 'gpt-5', [], { reasoning_effort: 'low' }],
    ['some thought', { reasoning: { budgetTokens: 8_192 } }, 'gpt-5', [], { reasoning_effort: 'medium' }],
    ['much thought', { reasoning: { budgetTokens: 8_193 } }, 'gpt-5', [], { reasoning_effort: 'high' }],
    ['thought as the model likes', { reasoning: { dynamic: true, shown: true } }, 'gpt-5', [], {}],
    ['thought of who has none', { reasoning: { effort: 'high' } }, 'gpt-4o', ['reasoning'], {}],
    ['no thought of who has none', { reasoning: { effort: 'none' } }, 'gpt-4o', [], {}],
    ['no thought of who cannot stop', { reasoning: { effort: 'none' } }, 'gpt-5-mini', ['reasoning'], {}],
    [
      'a schema without a name',
      { format: { kind: 'schema', schema: {} } },
      'x',
      [],
      { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: {} } } },
    ],
    [
      'a schema with an odd name',
      { format: { kind: 'schema', name: 'a b!', schema: {} } },
      'x',
      [],
      { response_format: { type: 'json_schema', json_schema: { name: 'a_b_', schema: {} } } },
    ],
    [
      'hints of theirs',
      { extras: { dialect: 'x', hints: { safetySettings: [1], empty: [] } } },
      'x',
      ['safetySettings'],
      {},
    ],
    [
      'several tools, of which one must be called',
      { toolChoice: { kind: 'tools', names: ['f', 'g'], required: true } },
      'x',
      [],
      {
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: {
            mode: 'required',
            tools: [
              { type: 'function', function: { name: 'f' } },
              { type: 'function', function: { name: 'g' } },
            ],
          },
        },
      },
    ],
  ] as const)('%s', (_case, fields, model, dropped, body) => {
    const written = write(bare(fields), model)
    expect(written).toEqual({ dropped, body: { model, messages: [], ...body } })
  })
})

describe('what OpenAI cannot do', () => {
  test.each([
    ['needs of theirs', bare({ extras: { dialect: 'x', needs: { cachedContent: 'c' } } }), 'cachedContent'],
    [
      'their tools',
      bare({ tools: [{ kind: 'dialect', dialect: 'x', name: 'googleSearch', value: {} }] }),
      'googleSearch',
    ],
    [
      'their parts',
      bare({ messages: [{ role: 'user', parts: [{ kind: 'dialect', dialect: 'x', name: 'fileData', value: {} }] }] }),
      'fileData',
    ],
    ['more than four stops', bare({ stop: ['1', '2', '3', '4', '5'] }), 'stop'],
    [
      'a film',
      bare({
        messages: [{ role: 'user', parts: [{ kind: 'media', mediaType: 'video/mp4', source: { base64: '' } }] }],
      }),
      'messages',
    ],
    [
      'a file that lies elsewhere',
      bare({
        messages: [
          { role: 'user', parts: [{ kind: 'media', mediaType: 'application/pdf', source: { url: 'https://x' } }] },
        ],
      }),
      'messages',
    ],
  ])('%s is refused', (_case, request, param) => {
    expect(catchProblem(() => write(request))).toMatchObject({ code: 'unsupported', status: 400, param })
  })
})

test('what the model once made or did at another provider is left out', () => {
  const picture: Part = { kind: 'media', mediaType: 'image/png', source: { base64: '' } }
  const search: Part = { kind: 'dialect', dialect: 'x', name: 'server_tool_use', value: {} }
  const { body, dropped } = script({ role: 'assistant', parts: [picture, { kind: 'text', text: 'a' }, search] })
  expect(body.messages).toEqual([{ role: 'assistant', content: 'a' }])
  expect(dropped).toEqual(['media', 'server_tool_use'])
})

describe('media in tool results', () => {
  test('an image in a result moves to the message after the results', () => {
    const result = (callId: string, parts: ToolResultPart['parts']): ToolResultPart => ({
      kind: 'toolResult',
      callId,
      name: 'read',
      failed: false,
      parts,
    })
    const picture = { kind: 'media', mediaType: 'image/png', source: { base64: 'aGk=' } } as const
    const parts = [result('a', [picture]), result('b', [{ kind: 'text', text: 'two' }, picture])]
    const { messages } = write(
      bare({ messages: [{ role: 'user', parts: [...parts, { kind: 'text', text: 'and?' }] }] }),
    ).body
    const seen = { type: 'image_url', image_url: { url: PNG } }
    expect(messages).toEqual([
      { role: 'tool', tool_call_id: 'a', content: 'See the next message of the user.' },
      { role: 'tool', tool_call_id: 'b', content: 'two' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Result of read:' },
          seen,
          { type: 'text', text: 'Result of read:' },
          seen,
          { type: 'text', text: 'and?' },
        ],
      },
    ])
  })
})

const word = fc.string({ minLength: 1, maxLength: 8 })
const json = fc
  .dictionary(word, fc.jsonValue(), { maxKeys: 3 })
  .map((value): JsonObject => JSON.parse(JSON.stringify(value)))
const text = fc.record({ kind: fc.constant('text' as const), text: word })
const media = fc.oneof(
  fc.record({
    kind: fc.constant('media' as const),
    mediaType: fc.constantFrom('image/png', 'audio/wav', 'audio/mp3'),
    source: fc.record({ base64: fc.base64String() }),
  }),
  fc.record({
    kind: fc.constant('media' as const),
    mediaType: fc.constant('image/*'),
    source: fc.record({ url: fc.webUrl() }),
  }),
  fc.record({
    kind: fc.constant('media' as const),
    mediaType: fc.constant('application/pdf'),
    source: fc.record({ base64: fc.base64String() }),
    name: word,
  }),
)
const calls = fc.uniqueArray(word, { maxLength: 3 }).chain((ids) =>
  fc.tuple(
    ...ids.map((id) =>
      fc.record({
        kind: fc.constant('toolCall' as const),
        id: fc.constant(id),
        name: word,
        arguments: fc.oneof(
          json.map((value) => JSON.stringify(value)),
          word,
        ),
      }),
    ),
  ),
)
/** A message with tool calls and the message with their results, or a single message. */
const turns = fc.oneof(
  text.map((part): ChatMessage[] => [{ role: 'system', parts: [part] }]),
  fc.array(fc.oneof(text, media), { maxLength: 4 }).map((parts): ChatMessage[] => [{ role: 'user', parts }]),
  fc.tuple(fc.option(text), calls, word).map(([text, calls, expected]): ChatMessage[] => {
    const results = calls.map(({ id, name }): Part => {
      return { kind: 'toolResult', callId: id, name, parts: [{ kind: 'text', text: expected }], failed: false }
    })
    const requests: ChatMessage = { role: 'assistant', parts: [...(text ? [text] : []), ...calls] }
    return results.length > 0 ? [requests, { role: 'user', parts: results }, { role: 'user', parts: [] }] : [requests]
  }),
)
const tool = fc.record(
  { kind: fc.constant('function' as const), name: word, description: fc.string(), schema: json, strict: fc.boolean() },
  { requiredKeys: ['kind', 'name'] },
)
const chatRequests: fc.Arbitrary<ChatRequest> = fc
  .record(
    {
      model: word,
      stream: fc.constant(true),
      messages: fc.array(turns, { maxLength: 4 }).map((example) => example.flat()),
      tools: fc.array(tool, { maxLength: 3 }),
      toolChoice: fc.oneof(
        fc.record({ kind: fc.constantFrom('auto' as const, 'none' as const, 'required' as const) }),
        word.map((name) => ({ kind: 'tools' as const, names: [name], required: true })),
      ),
      parallelTools: fc.boolean(),
      format: fc.oneof(
        fc.constant({ kind: 'json' as const }),
        fc.record(
          {
            kind: fc.constant('schema' as const),
            schema: json,
            name: fc.stringMatching(/^[a-z_]{1,9}$/),
            description: word,
            strict: fc.boolean(),
          },
          { requiredKeys: ['kind', 'schema', 'name'] },
        ),
      ),
      outputCap: fc.integer({ min: 1 }),
      answers: fc.integer({ min: 1, max: 128 }),
      temperature: fc.double({ min: 0, max: 2, noNaN: true }),
      topP: fc.double({ min: 0, max: 1, noNaN: true }),
      seed: fc.nat(),
      stop: fc.array(word, { maxLength: 4 }),
      frequencyPenalty: fc.double({ min: -2, max: 2, noNaN: true }),
      presencePenalty: fc.double({ min: -2, max: 2, noNaN: true }),
      reasoning: fc.record({
        effort: fc.constantFrom('minimal' as const, 'low' as const, 'high' as const, 'xhigh' as const),
      }),
      user: fc.string(),
    },
    { requiredKeys: ['model', 'stream', 'messages'] },
  )
  .map((request) => ({ ...request, model: `m-${request.model}` }))

test('every request that this dialect can express survives writing and reading', () => {
  fc.assert(
    fc.property(chatRequests, (request) => {
      const written = write(request, request.model)
      expect(written.dropped).toEqual([])
      const body = recordOf(JSON.parse(JSON.stringify(written.body)))
      expect(read(body)).toEqual(JSON.parse(JSON.stringify(request)))
      expect(openaiChat.readRequest(Buffer.from(JSON.stringify(body)), LINE).facts).toMatchObject({
        model: request.model,
        stream: true,
        outputCap: request.outputCap ?? null,
      })
    }),
  )
})

const NAMES = [
  'model',
  'messages',
  'stream',
  'stop',
  'tools',
  'tool_choice',
  'response_format',
  'reasoning',
  'thinking',
  'n',
  'user',
  'modalities',
  'stream_options',
  'functions',
  '__proto__',
  'constructor',
  'toString',
]
describe('junk', () => {
  test('is refused with a Problem, or is read', () => {
    const bodies = fc.array(fc.tuple(fc.constantFrom(...NAMES), junk), { maxLength: 8 })
    fc.assert(
      fc.property(bodies, fc.array(junk, { maxLength: 5 }), (entries, messages) => {
        const body = Object.fromEntries([['model', 'm'], ['messages', messages], ...entries])
        try {
          write(read(body))
        } catch (error) {
          if (!(error instanceof Problem)) throw error
        }
      }),
      { numRuns: 500 },
    )
  })

  test.each(['tools', 'messages', 'tool_choice', 'response_format', 'thinking', 'odd', 'metadata', 'stop'])(
    'nested without end in %s is no matter',
    (name) => {
      const deep = '['.repeat(50_000) + ']'.repeat(50_000)
      const deepObject = `${'{"type":'.repeat(50_000)}1${'}'.repeat(50_000)}`
      for (const value of [deep, deepObject, `[${deepObject}]`]) {
        const body = JSON.parse(`{"model":"m","messages":[],"${name}":${value}}`)
        try {
          expect(isRecord(write(read(body)).body)).toBe(true)
        } catch (error) {
          if (!(error instanceof Problem)) throw error
        }
      }
    },
  )
})
