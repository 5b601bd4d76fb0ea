// OpenAI responses: the odd spellings of many servers are read, and what is written is what the SDKs read.

import fc from 'fast-check'
import { Stream } from 'openai/streaming'
import { describe, expect, test } from 'vitest'
import type { ChatEvent, ChatUsage, ErrorKind, JsonObject, Part, StopReason } from '../../../src/core/chat.ts'
import { recordOf } from '../../../src/core/json-values.ts'
import { usageOf } from '../../../src/core/usage.ts'
import { openaiChatTranslator } from '../../../src/translate/openai/translator.ts'
import type { ResponseContext } from '../../../src/translate/translator.ts'
import { openaiChat } from '../../../src/wire/openai/chat.ts'
import { NOW_MS } from '../../wire/samples.ts'
import { junk } from './junk.ts'

const CONTEXT: ResponseContext = { callId: 'c1', nowMs: NOW_MS, model: 'asked', withUsage: false, asEvents: true }
const START = { kind: 'start', id: 'a', model: 'm' } as const
const END = { kind: 'stop', choice: 0, reason: 'end' } as const

const answerOf = (message: object, fields: object = { finish_reason: 'stop' }) =>
  openaiChatTranslator.readResponse({ id: 'a', model: 'm', choices: [{ index: 0, message, ...fields }] }).choices[0]

function eventsOf(...chunks: JsonObject[]): ChatEvent[] {
  const reader = openaiChatTranslator.createEventReader()
  return [...chunks.flatMap((chunk) => reader.read(chunk)), ...reader.end()]
}

const chunk = (delta: object | null, fields: object = {}): JsonObject => {
  return { id: 'a', model: 'm', choices: [{ index: 0, delta, finish_reason: null, ...fields }] }
}
const STOP = chunk({}, { finish_reason: 'stop' })
/** The events between start and stop. */
const between = (...chunks: JsonObject[]) => eventsOf(...chunks, STOP).slice(1, -1)
const calls = (calls: unknown) => chunk({ tool_calls: calls })

function writeEvents(events: readonly ChatEvent[], context = CONTEXT, used?: ChatUsage): string {
  const writer = openaiChatTranslator.createEventWriter(context)
  return events.map((event) => writer.write(event)).join('') + writer.end(used)
}

const dataOf = (text: string): JsonObject[] =>
  text.split('\n\n').flatMap((event) => (event.startsWith('data: {') ? [JSON.parse(event.slice('data: '.length))] : []))
const deltasOf = (text: string) =>
  dataOf(text).flatMap(({ choices }) => (Array.isArray(choices) ? choices.map((choice) => choice.delta) : []))

describe('a response that is read', () => {
  test.each([
    ['text', { content: 'a' }, [{ kind: 'text', text: 'a' }]],
    ['nothing', { content: null }, []],
    ['no message', undefined, []],
    ['a refusal', { content: null, refusal: 'no' }, [{ kind: 'refusal', text: 'no' }]],
    [
      'thoughts',
      { content: 'a', reasoning_content: 't' },
      [
        { kind: 'reasoning', text: 't' },
        { kind: 'text', text: 'a' },
      ],
    ],
    [
      'the same thoughts twice',
      { reasoning: 't', reasoning_content: 't', reasoning_details: [{ text: 't' }] },
      [{ kind: 'reasoning', text: 't' }],
    ],
    [
      'thoughts in details alone',
      { reasoning_details: [{ text: 'a' }, { summary: 'b' }, 7, { data: 'x' }] },
      [{ kind: 'reasoning', text: 'ab' }],
    ],
    [
      "Mistral's parts",
      {
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 't' }] },
          { type: 'text', text: 'a' },
          { type: 'reference' },
        ],
      },
      [
        { kind: 'reasoning', text: 't' },
        { kind: 'text', text: 'a' },
      ],
    ],
    [
      'signed thoughts',
      { reasoning_content: 't', thinking_blocks: [{ type: 'thinking', thinking: 't', signature: 's' }] },
      [{ kind: 'reasoning', text: 't', signature: 's', signedIn: 'anthropic.messages' }],
    ],
    [
      'a picture',
      { images: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=' } }] },
      [{ kind: 'media', mediaType: 'image/png', source: { base64: 'aGk=' } }],
    ],
    [
      'a call',
      { tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{' } }] },
      [{ kind: 'toolCall', id: 'c', name: 'f', arguments: '{' }],
    ],
    [
      'a call without id, its arguments an object',
      { tool_calls: [{ function: { name: 'f', arguments: { a: 1 } } }] },
      [{ kind: 'toolCall', id: 'call_a_0_0', name: 'f', arguments: '{"a":1}' }],
    ],
    [
      'the older call',
      { function_call: { name: 'f', arguments: '' } },
      [{ kind: 'toolCall', id: 'call_a_0_0', name: 'f', arguments: '{}' }],
    ],
    [
      'a signed call',
      { tool_calls: [{ id: 'c', function: { name: 'f' }, extra_content: { google: { thought_signature: 's' } } }] },
      [{ kind: 'toolCall', id: 'c', name: 'f', signature: 's' }],
    ],
  ])('%s', (_case, message, parts) => {
    const choice = openaiChatTranslator.readResponse({ id: 'a', choices: [{ message }] }).choices[0]
    expect(choice?.parts).toMatchObject(parts)
    expect(choice?.parts.length).toBe(parts.length)
  })

  test.each([
    ['stop', {}, 'end'],
    ['length', {}, 'length'],
    ['tool_calls', {}, 'toolCalls'],
    ['function_call', {}, 'toolCalls'],
    ['content_filter', {}, 'filtered'],
    ['model_length', {}, 'context'],
    ['eos', {}, 'end'],
    ['', {}, 'end'],
    [null, {}, 'end'],
    [7, {}, 'end'],
    ['stop', { tool_calls: [{ function: { name: 'f' } }] }, 'toolCalls'],
    ['stop', { refusal: 'no' }, 'refusal'],
  ])('stops for %j with %j: %s', (reason, message, stop) => {
    expect(answerOf(message, { finish_reason: reason })?.stop).toBe(stop)
  })

  test('a stop sequence is kept if the server names it', () => {
    expect(answerOf({ content: 'a' }, { finish_reason: 'stop', stop_reason: '##' })).toMatchObject({
      stop: 'stopSequence',
      stopSequence: '##',
    })
    expect(answerOf({ content: 'a' }, { finish_reason: 'stop', stop_reason: 7 })?.stop).toBe('end')
  })
})

describe('a response that is written', () => {
  test('has every part in its field', () => {
    const parts: Part[] = [
      { kind: 'reasoning', text: 't', signature: 's', signedIn: 'anthropic.messages' },
      { kind: 'reasoning', text: '', redacted: 'd', signedIn: 'anthropic.messages' },
      { kind: 'reasoning', text: 'u', signature: 'g', signedIn: 'gemini.generateContent' },
      { kind: 'text', text: 'a' },
      { kind: 'text', text: 'b' },
      { kind: 'media', mediaType: 'image/png', source: { base64: 'aGk=' } },
      { kind: 'toolCall', id: 'c', name: 'f', arguments: '{}', signature: 'x' },
    ]
    const answer = { id: 'z', model: 'm', choices: [{ parts, stop: 'toolCalls' as const }] }
    expect(openaiChatTranslator.writeResponse(answer, undefined, CONTEXT)).toEqual({
      id: 'chatcmpl-c1',
      object: 'chat.completion',
      created: Math.floor(NOW_MS / 1_000),
      model: 'm',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'ab',
            refusal: null,
            reasoning_content: 'tu',
            thinking_blocks: [
              { type: 'thinking', thinking: 't', signature: 's' },
              { type: 'redacted_thinking', data: 'd' },
            ],
            images: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=' }, index: 0 }],
            tool_calls: [
              {
                id: 'c',
                type: 'function',
                function: { name: 'f', arguments: '{}' },
                extra_content: { google: { thought_signature: 'x' } },
              },
            ],
          },
          logprobs: null,
          finish_reason: 'tool_calls',
        },
      ],
    })
  })

  test.each([
    ['end', [], 'stop'],
    ['stopSequence', [], 'stop'],
    ['paused', [], 'stop'],
    ['length', [], 'length'],
    ['context', [], 'length'],
    ['toolCalls', [], 'tool_calls'],
    ['filtered', [], 'content_filter'],
    ['refusal', [], 'content_filter'],
    ['refusal', [{ kind: 'refusal', text: 'no' }], 'stop'],
  ] as [StopReason, Part[], string][])('with stop reason %s and %j has finish reason %s', (stop, parts, reason) => {
    const { choices } = openaiChatTranslator.writeResponse(
      { id: '', model: '', choices: [{ parts, stop }] },
      undefined,
      CONTEXT,
    )
    expect(choices).toMatchObject([{ message: { content: null }, finish_reason: reason }])
  })
})

const USED: ChatUsage = {
  usage: usageOf({ input: 10, cacheRead: 20, cacheWrite5m: 3, audioInput: 4, output: 50, audioOutput: 6, requests: 1 }),
  reasoningTokens: 7,
}

describe('usage', () => {
  test('has totals that include their details', () => {
    expect(openaiChatTranslator.writeResponse({ id: '', model: '', choices: [] }, USED, CONTEXT).usage).toEqual({
      prompt_tokens: 37,
      completion_tokens: 56,
      total_tokens: 93,
      prompt_tokens_details: { cached_tokens: 20, audio_tokens: 4, cache_write_tokens: 3 },
      completion_tokens_details: { reasoning_tokens: 7, audio_tokens: 6 },
    })
  })

  test('has the same figures after writing and metering, whole and streamed', () => {
    const counts = fc.record({
      input: fc.nat(),
      cacheRead: fc.nat(),
      cacheWrite5m: fc.nat(),
      audioInput: fc.nat(),
      output: fc.nat(),
      audioOutput: fc.nat(),
    })
    fc.assert(
      fc.property(counts, (example) => {
        const used = { usage: usageOf({ ...example, requests: 1 }), reasoningTokens: example.output >> 1 }
        const whole = openaiChat.createTap(false, 'application/json', false)
        whole.push(
          Buffer.from(
            JSON.stringify(openaiChatTranslator.writeResponse({ id: '', model: 'm', choices: [] }, used, CONTEXT)),
          ),
        )
        whole.end()
        const stream = openaiChat.createTap(true, openaiChatTranslator.streamContentType(CONTEXT), false)
        stream.push(Buffer.from(writeEvents([START, END], { ...CONTEXT, withUsage: true }, used)))
        for (const tap of [whole, stream]) expect(tap.answerUsage()).toMatchObject(used)
        expect([stream.terminated, stream.finished, stream.failed]).toEqual([true, true, false])
      }),
    )
  })
})

const f = (fields: object = {}) => ({ name: 'f', ...fields })

describe('a stream that is read', () => {
  test.each([
    [
      'a first event without choices',
      [{ id: '', model: '', choices: [], prompt_filter_results: [] }, chunk({ content: 'a' }), STOP],
      [START, { kind: 'text', choice: 0, text: 'a' }, END],
    ],
    [
      'no delta',
      [
        chunk(null),
        { id: 'a', model: 'm' },
        { choices: [null, 7, []] },
        chunk({ content: 'a' }, { index: null }),
        STOP,
      ],
      [START, { kind: 'text', choice: 0, text: 'a' }, END],
    ],
    [
      'empty and null pieces',
      [chunk({ role: 'assistant', content: '', refusal: null, tool_calls: null, reasoning_content: '' }), STOP],
      [START, END],
    ],
    ['no reason to stop', [chunk({ content: 'a' })], [START, { kind: 'text', choice: 0, text: 'a' }, END]],
    [
      'words and a reason after it stopped, and usage',
      [STOP, chunk({ content: 'late' }, { finish_reason: 'length' }), { id: 'a', choices: [], usage: {} }],
      [START, END],
    ],
    ['an odd reason', [chunk({}, { finish_reason: 'eos' })], [START, END]],
    ['nothing', [], []],
    [
      'a message in place of a delta',
      [{ id: 'a', model: 'm', choices: [{ message: { content: 'a' }, finish_reason: 'stop' }] }],
      [START, { kind: 'text', choice: 0, text: 'a' }, END],
    ],
    [
      'a refusal',
      [chunk({ refusal: 'no' }), STOP],
      [START, { kind: 'refusal', choice: 0, text: 'no' }, { ...END, reason: 'refusal' }],
    ],
  ])('with %s', (_case, chunks, events) => {
    expect(eventsOf(...chunks)).toEqual(events)
  })

  test('keeps several choices apart', () => {
    const two = {
      id: 'a',
      model: 'm',
      choices: [
        { index: 1, delta: { content: 'b' } },
        { index: 0, delta: { content: 'a' }, finish_reason: 'length' },
      ],
    }
    expect(eventsOf(two)).toEqual([
      START,
      { kind: 'text', choice: 1, text: 'b' },
      { kind: 'text', choice: 0, text: 'a' },
      { kind: 'stop', choice: 0, reason: 'length' },
      { kind: 'stop', choice: 1, reason: 'end' },
    ])
  })
})

describe('thoughts in a stream', () => {
  test.each([
    ['reasoning_content', [{ reasoning_content: 'a' }, { reasoning_content: 'b' }], ['a', 'b']],
    ['reasoning, beside its details', [{ reasoning: 'a', reasoning_details: [{ text: 'a' }] }], ['a']],
    ['details', [{ reasoning_details: [{ text: 'a' }, { summary: 'b' }] }], ['ab']],
    ['parts', [{ content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'a' }] }] }], ['a']],
    ['blocks alone', [{ thinking_blocks: [{ type: 'thinking', thinking: 'a' }] }], ['a']],
    ['blocks beside text', [{ reasoning_content: 'a', thinking_blocks: [{ type: 'thinking', thinking: 'a' }] }], ['a']],
  ])('are read from %s', (_case, deltas, texts) => {
    const events = between(...deltas.map((delta) => chunk(delta)))
    expect(events).toEqual(texts.map((text) => ({ kind: 'reasoning', choice: 0, text })))
  })

  test('keep signatures and redacted thoughts', () => {
    const blocks = [
      { type: 'thinking', thinking: 'a', signature: 's' },
      { type: 'redacted_thinking', data: 'd' },
    ]
    expect(between(chunk({ reasoning_content: 'a' }), chunk({ thinking_blocks: blocks }))).toEqual([
      { kind: 'reasoning', choice: 0, text: 'a' },
      { kind: 'signature', choice: 0, signature: 's', signedIn: 'anthropic.messages' },
      { kind: 'redacted', choice: 0, data: 'd', signedIn: 'anthropic.messages' },
    ])
  })
})

describe('tool calls in a stream', () => {
  test.each([
    [
      'pieces by index',
      [
        [{ index: 0, id: 'x', function: f({ arguments: '' }) }],
        [{ index: 0, function: { arguments: '{' } }],
        [{ index: 0, function: { arguments: '}' } }],
      ],
      [['x', 'f', '{}']],
    ],
    ['no index, no id', [[{ function: f({ arguments: '{}' }) }]], [['call_a_0_0', 'f', '{}']]],
    [
      'no index, pieces of the last',
      [[{ id: 'x', function: f() }], [{ function: { arguments: '{}' } }]],
      [['x', 'f', '{}']],
    ],
    [
      'no index, two ids',
      [
        [
          { id: 'x', function: f({ arguments: '1' }) },
          { id: 'y', function: f({ arguments: '2' }) },
        ],
        [{ id: 'x', function: { arguments: '3' } }],
      ],
      [
        ['x', 'f', '13'],
        ['y', 'f', '2'],
      ],
    ],
    [
      'every index 0',
      [
        [{ index: 0, id: 'x', function: f({ arguments: '1' }) }],
        [{ index: 0, id: 'y', function: f({ arguments: '2' }) }],
      ],
      [
        ['x', 'f', '1'],
        ['y', 'f', '2'],
      ],
    ],
    [
      'id and name in every piece',
      [
        [{ index: 0, id: 'x', function: f({ arguments: '1' }) }],
        [{ index: 0, id: 'x', function: f({ arguments: '2' }) }],
      ],
      [['x', 'f', '12']],
    ],
    [
      'the name after the arguments',
      [[{ index: 0, id: 'x', function: { arguments: '1' } }], [{ index: 0, function: f({ arguments: '2' }) }]],
      [['x', 'f', '12']],
    ],
    ['no arguments', [[{ index: 0, id: 'x', function: f() }]], [['x', 'f', '{}']]],
    [
      'arguments as an object',
      [[{ index: 0, id: 'x', function: f({ arguments: { a: 1 } }) }]],
      [['x', 'f', '{"a":1}']],
    ],
    ['no name at all', [[{ index: 0, id: 'x', function: { arguments: '1' } }], [null, 7]], []],
  ] as [string, unknown[][], string[][]][])('are read with %s', (_case, pieces, expected) => {
    const events = eventsOf(...pieces.map(calls), STOP)
    const announced = events
      .filter((event) => event.kind === 'toolCall')
      .map(({ id, name, call }) => {
        const texts = events.map((event) => (event.kind === 'arguments' && event.call === call ? event.text : ''))
        return [id, name, texts.join('')]
      })
    expect(announced).toEqual(expected)
    expect(events.at(-1)).toMatchObject({ kind: 'stop', reason: expected.length > 0 ? 'toolCalls' : 'end' })
  })

  test('are read from the older field', () => {
    const events = between(
      chunk({ function_call: { name: 'f', arguments: '' } }),
      chunk({ function_call: { arguments: '{}' } }),
    )
    expect(events).toEqual([
      { kind: 'toolCall', choice: 0, call: 0, id: 'call_a_0_0', name: 'f' },
      { kind: 'arguments', choice: 0, call: 0, text: '{}' },
    ])
  })
})

describe('a stream that fails or never ends', () => {
  test.each([
    [
      { error: { message: 'm', code: 429 }, choices: [{ finish_reason: 'error' }] },
      { status: 429, kind: 'rate', message: 'm', code: '429' },
    ],
    [
      { error: { message: 'm', type: 'invalid_request_error', status_code: 400 } },
      { status: 400, kind: 'invalid', message: 'm' },
    ],
    [
      { error: { message: 'm', type: 'server_error', code: 'server_is_overloaded' } },
      { status: 0, kind: 'overloaded' },
    ],
    [{ error: 'm' }, { status: 0, kind: 'server', message: 'm' }],
  ])('fails with %j', (broken, error) => {
    const events = eventsOf(chunk({ content: 'a' }), broken)
    expect(events.at(-1)).toMatchObject({ kind: 'error', error })
    expect(writeEvents(events)).toMatch(/^data: \{"error":.*\}\n\n$/m)
    expect(writeEvents(events)).not.toContain('[DONE]')
  })

  test('keeps no more state than a real stream needs', () => {
    const many = Array.from({ length: 3_000 }, (_, index) => ({
      id: `x${index}`,
      function: { name: 'f', arguments: '{}' },
    }))
    expect(between(calls(many)).filter(({ kind }) => kind === 'toolCall').length).toBe(1_024)
    const choices = Array.from({ length: 300 }, (_, index) => ({ index, delta: { content: 'a' } }))
    expect(eventsOf({ id: 'a', choices }).filter(({ kind }) => kind === 'text').length).toBe(128)
  })
})

describe('a stream that is written', () => {
  const EVENTS: ChatEvent[] = [
    START,
    { kind: 'reasoning', choice: 0, text: 't1' },
    { kind: 'reasoning', choice: 0, text: 't2' },
    { kind: 'signature', choice: 0, signature: 's', signedIn: 'anthropic.messages' },
    { kind: 'redacted', choice: 0, data: 'd', signedIn: 'anthropic.messages' },
    { kind: 'text', choice: 0, text: 'a' },
    { kind: 'toolCall', choice: 0, call: 0, id: 'x', name: 'f', signature: 'g' },
    { kind: 'toolCall', choice: 0, call: 1, id: 'y', name: 'h' },
    { kind: 'arguments', choice: 0, call: 1, text: '{"a":' },
    { kind: 'arguments', choice: 0, call: 1, text: '1}' },
    { kind: 'media', choice: 0, mediaType: 'image/png', base64: 'aGk=' },
    { kind: 'stop', choice: 0, reason: 'toolCalls' },
  ]

  test('has the role first, then each piece, then the finish reason', () => {
    expect(deltasOf(writeEvents(EVENTS))).toEqual([
      { role: 'assistant', content: '' },
      { reasoning_content: 't1' },
      { reasoning_content: 't2' },
      { thinking_blocks: [{ type: 'thinking', thinking: 't1t2', signature: 's' }] },
      { thinking_blocks: [{ type: 'redacted_thinking', data: 'd' }] },
      { content: 'a' },
      {
        tool_calls: [
          {
            index: 0,
            id: 'x',
            type: 'function',
            function: { name: 'f', arguments: '' },
            extra_content: { google: { thought_signature: 'g' } },
          },
        ],
      },
      { tool_calls: [{ index: 1, id: 'y', type: 'function', function: { name: 'h', arguments: '' } }] },
      { tool_calls: [{ index: 1, function: { arguments: '{"a":' } }] },
      { tool_calls: [{ index: 1, function: { arguments: '1}' } }] },
      { images: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=' }, index: 0 }] },
      { tool_calls: [{ index: 0, function: { arguments: '{}' } }] },
      {},
    ])
  })

  test('is read by the SDK to the end', async () => {
    const body = writeEvents(EVENTS, { ...CONTEXT, withUsage: true }, USED)
    const stream = Stream.fromSSEResponse<JsonObject>(new Response(body), new AbortController())
    const chunks: JsonObject[] = []
    for await (const chunk of stream) chunks.push(chunk)
    expect(chunks.length).toBe(14)
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
    expect(chunks.at(-1)).toMatchObject({ id: 'chatcmpl-c1', model: 'm', choices: [], usage: { prompt_tokens: 37 } })
    expect(body.endsWith('\n\ndata: [DONE]\n\n')).toBe(true)
  })

  test('carries usage only if the client asks for it, and ends once', () => {
    expect(writeEvents([START, END], CONTEXT, USED)).not.toContain('usage')
    const writer = openaiChatTranslator.createEventWriter(CONTEXT)
    expect(writer.write(START)).not.toBe('')
    expect([writer.end(USED), writer.end(USED), writer.write(END)]).toEqual(['data: [DONE]\n\n', '', ''])
  })

  test('leaves out signatures of other dialects', () => {
    const deltas = deltasOf(
      writeEvents([{ kind: 'signature', choice: 0, signature: 's', signedIn: 'gemini.generateContent' }, END]),
    )
    expect(deltas).toEqual([{ role: 'assistant', content: '' }, {}])
  })

  test('names the requested model if the provider names none', () => {
    expect(dataOf(writeEvents([{ kind: 'start', id: '', model: '' }, END])).map(({ model }) => model)).toEqual([
      'asked',
      'asked',
    ])
    expect(dataOf(writeEvents([END])).map(({ model }) => model)).toEqual(['asked', 'asked'])
  })

  test('is read back as the same events', () => {
    const piece = fc.oneof(
      fc.record({ kind: fc.constant('text' as const), choice: fc.nat(2), text: fc.string({ minLength: 1 }) }),
      fc.record({ kind: fc.constant('reasoning' as const), choice: fc.nat(2), text: fc.string({ minLength: 1 }) }),
      fc.record({ kind: fc.constant('refusal' as const), choice: fc.nat(2), text: fc.string({ minLength: 1 }) }),
      fc.record({
        kind: fc.constant('arguments' as const),
        choice: fc.constant(0),
        call: fc.nat(2),
        text: fc.string({ minLength: 1 }),
      }),
      fc.record({
        kind: fc.constant('redacted' as const),
        choice: fc.nat(2),
        data: fc.string({ minLength: 1 }),
        signedIn: fc.constant('anthropic.messages'),
      }),
      fc.record({
        kind: fc.constant('media' as const),
        choice: fc.nat(2),
        mediaType: fc.constant('image/png'),
        base64: fc.base64String(),
      }),
    )
    const startedMs = [0, 1, 2].flatMap((call): ChatEvent[] => [
      { kind: 'toolCall', choice: 0, call, id: `x${call}`, name: `f${call}` },
      { kind: 'arguments', choice: 0, call, text: '{' },
    ])
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const events: ChatEvent[] = [
          { ...START, id: 'chatcmpl-c1' },
          ...startedMs,
          ...pieces,
          { ...END, reason: 'toolCalls' },
        ]
        const others = new Set(pieces.map(({ choice }) => choice).filter((choice) => choice > 0))
        const again = eventsOf(...dataOf(writeEvents(events)))
        expect(again.filter((event) => event.kind !== 'stop' || event.choice === 0)).toEqual(events)
        expect(again.filter(({ kind }) => kind === 'stop').length).toBe(1 + others.size)
      }),
    )
  })
})

describe('errors', () => {
  const KINDS: readonly (readonly [status: number, body: unknown, kind: ErrorKind])[] = [
    [400, { error: { message: 'x', code: 'context_length_exceeded' } }, 'contextLength'],
    [401, {}, 'unauthenticated'],
    [402, undefined, 'quota'],
    [403, 'x', 'forbidden'],
    [404, null, 'notFound'],
    [408, {}, 'timeout'],
    [409, {}, 'invalid'],
    [413, {}, 'tooLarge'],
    [422, { detail: [{ loc: ['body'], msg: 'bad' }] }, 'invalid'],
    [429, { error: { code: 'rate_limit_exceeded' } }, 'rate'],
    [429, { error: { type: 'insufficient_quota' } }, 'quota'],
    [429, { error: { code: 'project_spend_limit_exceeded' } }, 'quota'],
    [500, {}, 'server'],
    [500, { error: { code: 'server_is_overloaded' } }, 'overloaded'],
    [502, [], 'server'],
    [503, {}, 'overloaded'],
    [504, {}, 'timeout'],
    [529, {}, 'overloaded'],
  ]

  test.each(KINDS)('%i %j is %s', (status, body, kind) => {
    expect(openaiChatTranslator.readError(status, body)).toMatchObject({ status, kind })
  })

  test('are read from every field that servers use', () => {
    const messages = [
      { error: 'e' },
      { message: 'm' },
      { detail: 'd' },
      { detail: [{ a: 1 }] },
      { error: { message: 'x', metadata: { raw: 'y' } } },
      7,
    ]
    expect(messages.map((body) => openaiChatTranslator.readError(400, body).message)).toEqual([
      'e',
      'm',
      'd',
      '[{"a":1}]',
      'x: y',
      'The provider answered with an error (400).',
    ])
    expect(openaiChatTranslator.readError(400, { error: { message: 'x'.repeat(5_000) } }).message.length).toBe(2_000)
  })

  test('a prompt that is too long has its own words and code', () => {
    const write = (fields: object) => {
      const error = { status: 400, kind: 'contextLength', message: 'why', ...fields } as const
      return recordOf(JSON.parse(openaiChatTranslator.writeError(error, CONTEXT)).error)
    }
    expect(write({})).toMatchObject({
      message: "The prompt is longer than the model's maximum context length: why",
      param: 'messages',
      code: 'context_length_exceeded',
    })
    expect(write({ tokens: 9, maxTokens: 8 }).message).toContain('maximum context length is 8 tokens')
    expect(openaiChatTranslator.readError(400, { error: write({ tokens: 9, maxTokens: 8 }) })).toMatchObject({
      kind: 'contextLength',
      tokens: 9,
      maxTokens: 8,
    })
  })

  const otherKinds = new Set(KINDS.map(([, , kind]) => kind).filter((kind) => kind !== 'contextLength'))
  test.each([...otherKinds])('%s is understood when it is written', (kind) => {
    const status = KINDS.find(([, , rowKind]) => rowKind === kind)?.[0] ?? 0
    const body = JSON.parse(openaiChatTranslator.writeError({ status, kind, message: 'why' }, CONTEXT))
    expect(recordOf(body.error)).toMatchObject({ message: 'why', param: null, call_id: 'c1' })
    expect(openaiChatTranslator.readError(status, body)).toMatchObject({ kind, message: 'why' })
  })
})

describe('junk', () => {
  const answers = fc.record({
    id: junk,
    model: junk,
    choices: fc.oneof(junk, fc.array(junk)),
    error: fc.option(junk),
    usage: junk,
  })

  test('never makes a reader throw, whole or in pieces', () => {
    fc.assert(
      fc.property(answers, fc.array(answers, { maxLength: 5 }), junk, fc.nat(600), (whole, pieces, error, status) => {
        openaiChatTranslator.writeResponse(openaiChatTranslator.readResponse(whole), undefined, CONTEXT)
        const events = eventsOf(...pieces)
        writeEvents(events)
        for (const body of [whole, error])
          expect(openaiChatTranslator.readError(status, body).message.length).toBeLessThanOrEqual(2_000)
        expect(events.filter(({ kind }) => kind === 'start').length).toBeLessThanOrEqual(1)
      }),
      { numRuns: 500 },
    )
  })

  test('is read even if it is nested very deeply', () => {
    const deep: unknown = JSON.parse(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`)
    const body = {
      id: deep,
      choices: [
        {
          message: { content: deep, tool_calls: [{ function: { name: 'f', arguments: deep } }], extra: deep },
          delta: { tool_calls: [{ function: { name: 'f', arguments: deep } }] },
        },
      ],
      detail: deep,
    }
    expect(openaiChatTranslator.readResponse(body).choices[0]?.parts.map(({ kind }) => kind)).toEqual(['toolCall'])
    expect(eventsOf(body).map(({ kind }) => kind)).toEqual(['start', 'toolCall', 'arguments', 'stop'])
    expect(openaiChatTranslator.readError(400, body).message.length).toBeLessThanOrEqual(2_000)
  })
})
