// Anthropic responses and errors: recordings survive reading and writing, and the SDK reads what is written.

import Anthropic from '@anthropic-ai/sdk'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChatEvent, ChatResponse, ErrorKind, JsonObject, StopReason } from '../../../src/core/chat.ts'
import { isRecord, recordOf } from '../../../src/core/json-values.ts'
import { anthropicMessagesTranslator as anthropic } from '../../../src/translate/anthropic/translator.ts'
import { readMessageUsage } from '../../../src/wire/anthropic/usage.ts'
import { HAS_SHARED_RECORDINGS, recordingsOf, sharedOf } from '../../support/recordings.ts'
import { CONTEXT } from '../../wire/samples.ts'
import {
  ANSWER_CONTEXT,
  comparableParts,
  eventsOf,
  joinEvents,
  objectOf,
  readEvents,
  USED,
  writeEvents,
} from './fixtures.ts'

const RECORDED = recordingsOf('anthropic.messages')
const WHOLE = RECORDED.filter(({ status, stream }) => status === 200 && !stream)
const STREAMED = RECORDED.filter(({ status, stream }) => status === 200 && stream).map(
  ({ file, isShared, response }) => ({
    file,
    isShared,
    // One recording goes on with the next message.
    stream: `${response.body.split('event: message_stop', 1)[0]}event: message_stop\ndata: {"type":"message_stop"}\n\n`,
  }),
)
const FAILED = RECORDED.filter(({ status }) => status !== 200)

/** All values of a field in a response or its events, joined, from the blocks that a caller of another dialect receives. */
const textIn = (values: readonly unknown[], type: string, name: string) =>
  values.map((value) => (recordOf(value).type === type ? recordOf(value)[name] : '')).join('')

describe('recorded answers', () => {
  test.skipIf(!HAS_SHARED_RECORDINGS)('the shared set is complete (../shared/recordings)', () => {
    const streams = sharedOf(STREAMED)
    expect([sharedOf(WHOLE).length, streams.length]).toEqual([36, 25])
    expect(streams.filter(({ stream }) => stream.includes('"tool_use"')).length).toBe(6)
  })

  test('keep their content', () => {
    for (const { file, response } of WHOLE) {
      const body = objectOf(response.body)
      const read = anthropic.readResponse(body)
      const written = anthropic.writeResponse(read, USED, ANSWER_CONTEXT)
      expect(
        anthropic.readResponse(objectOf(JSON.stringify(written))).choices.map(({ stop }) => stop),
        file,
      ).toEqual(read.choices.map(({ stop }) => stop))
      const again = anthropic.readResponse(written).choices[0]?.parts ?? []
      expect(comparableParts(again).map(withoutNulls), file).toEqual(
        comparableParts(read.choices[0]?.parts ?? []).map(withoutNulls),
      )
      const content = Array.isArray(body.content) ? body.content : []
      const rewritten = Array.isArray(written.content) ? written.content : []
      for (const [type, name] of [
        ['text', 'text'],
        ['thinking', 'thinking'],
        ['thinking', 'signature'],
      ] as const) {
        expect(textIn(rewritten, type, name), file).toBe(textIn(content, type, name))
      }
      expect(
        rewritten.map(({ type }) => type),
        file,
      ).toEqual(content.map(({ type }) => type))
      const isEnded = typeof body.stop_reason === 'string'
      expect([written.stop_reason, written.stop_sequence, written.model], file).toEqual([
        isEnded ? body.stop_reason : 'end_turn',
        body.stop_sequence,
        body.model,
      ])
    }
  })

  test('keep their content as streams', () => {
    for (const { file, stream } of STREAMED) {
      const events = eventsOf(stream)
      const read = readEvents(stream)
      const written = writeEvents(read)
      expect(joinEvents(readEvents(written)).map(withoutId), file).toEqual(joinEvents(read).map(withoutId))
      const deltas = (example: readonly JsonObject[]) => example.map(({ delta }) => delta)
      for (const [type, name] of [
        ['text_delta', 'text'],
        ['thinking_delta', 'thinking'],
        ['signature_delta', 'signature'],
      ] as const) {
        expect(textIn(deltas(eventsOf(written)), type, name), file).toBe(textIn(deltas(events), type, name))
      }
      const calls = events
        .filter((event) => recordOf(event.content_block).type === 'tool_use')
        .map(({ index }) => index)
      const pieces = events.filter(({ index }) => calls.includes(index)).map(({ delta }) => delta)
      expect(textIn(deltas(eventsOf(written)), 'input_json_delta', 'partial_json').replaceAll('{}', ''), file).toBe(
        textIn(pieces, 'input_json_delta', 'partial_json').replaceAll('{}', ''),
      )
      expect(textOf(read, 'text'), file).toBe(textIn(deltas(events), 'text_delta', 'text'))
    }
  })

  test('that broke off end with an error', () => {
    const broken = STREAMED.filter(({ file }) => /-overloaded|-mid-stream/.test(file)).flatMap(({ stream }) =>
      readEvents(stream).filter(({ kind }) => kind === 'error'),
    )
    expect(broken).toMatchObject([{ error: { status: 0, kind: 'overloaded', message: 'Overloaded' } }])
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)('that are errors have the right kind (../shared/recordings)', () => {
    const kinds = sharedOf(FAILED).map(({ status, response }) => {
      const { kind, message } = anthropic.readError(status, response.body === '' ? undefined : objectOf(response.body))
      return [status, kind, message]
    })
    expect(kinds.sort()).toEqual([
      [
        400,
        'invalid',
        'messages.0: all messages must have non-empty content except for the optional final assistant message',
      ],
      [401, 'unauthenticated', 'invalid x-api-key'],
      [429, 'rate', 'The provider answered with status 429.'],
      [429, 'rate', 'The provider answered with status 429.'],
      [529, 'overloaded', 'Overloaded'],
    ])
    const broken = sharedOf(STREAMED).flatMap(({ stream }) => readEvents(stream).filter(({ kind }) => kind === 'error'))
    expect(broken).toMatchObject([{ error: { status: 0, kind: 'overloaded', message: 'Overloaded' } }])
  })
})

function withoutNulls(part: JsonObject): JsonObject {
  return objectOf(
    JSON.stringify(part).replaceAll(',"extras":{"dialect":"anthropic.messages","hints":{"citations":null}}', ''),
  )
}

function withoutId(event: JsonObject): JsonObject {
  return event.kind === 'start' ? { ...event, id: '' } : event
}

function textOf(events: readonly ChatEvent[], kind: 'text' | 'reasoning'): string {
  return events.map((event) => (event.kind === kind ? event.text : '')).join('')
}

const answer = (stop: StopReason, ...parts: ChatResponse['choices'][number]['parts']): ChatResponse => ({
  ...{ id: 'x', model: '' },
  choices: [{ parts, stop }],
})
const CALL = { kind: 'toolCall', id: 'a', name: 'f', arguments: '{"b":1}' } as const

describe('a response of another dialect', () => {
  test('is written as a message', () => {
    const written = anthropic.writeResponse(
      answer(
        'end',
        { kind: 'reasoning', text: 'r' },
        { kind: 'reasoning', text: 's', signature: 'x', signedIn: 'gemini.generate_content' },
        { kind: 'reasoning', text: '', redacted: 'x', signedIn: 'openai.responses' },
        { kind: 'text', text: '' },
        { kind: 'text', text: 't' },
        { kind: 'media', mediaType: 'image/png', source: { base64: '' } },
        CALL,
        { ...CALL, arguments: '{"b' },
      ),
      USED,
      ANSWER_CONTEXT,
    )
    expect(written).toEqual({
      ...{ id: 'msg_019a-call', type: 'message', role: 'assistant', model: 'asked' },
      content: [
        { type: 'thinking', thinking: 'r', signature: '' },
        { type: 'thinking', thinking: 's', signature: '' },
        { type: 'text', text: 't', citations: null },
        { type: 'tool_use', id: 'a', name: 'f', input: { b: 1 } },
        { type: 'tool_use', id: 'a', name: 'f', input: {} },
      ],
      ...{ stop_reason: 'tool_use', stop_sequence: null },
      usage: {
        ...{ input_tokens: 7, cache_creation_input_tokens: 30, cache_read_input_tokens: 5, output_tokens: 40 },
        cache_creation: { ephemeral_5m_input_tokens: 20, ephemeral_1h_input_tokens: 10 },
        output_tokens_details: { thinking_tokens: 3 },
        server_tool_use: { web_search_requests: 2 },
        service_tier: null,
      },
    })
    const metered = readMessageUsage(Buffer.from(JSON.stringify(written)))
    expect(metered).toMatchObject({ usage: { ...USED.usage, requests: 1 }, reasoningTokens: 3 })
  })

  test('is written as a message even if it is empty', () => {
    const written = anthropic.writeResponse({ id: '', model: 'm', choices: [] }, undefined, ANSWER_CONTEXT)
    expect(written).toMatchObject({ model: 'm', content: [], stop_reason: 'end_turn', usage: { input_tokens: 0 } })
  })

  test.each<[StopReason, string]>([
    ['end', 'end_turn'],
    ['length', 'max_tokens'],
    ['toolCalls', 'tool_use'],
    ['stopSequence', 'stop_sequence'],
    ['refusal', 'refusal'],
    ['filtered', 'refusal'],
    ['context', 'model_context_window_exceeded'],
    ['paused', 'pause_turn'],
  ])('with stop reason %s has stop_reason %s', (stop, reason) => {
    expect(anthropic.writeResponse(answer(stop), undefined, ANSWER_CONTEXT).stop_reason).toBe(reason)
    expect(anthropic.readResponse({ stop_reason: reason }).choices[0]?.stop).toBe(
      stop === 'filtered' ? 'refusal' : stop,
    )
  })

  test('with a refusal in words has the stop reason refusal', () => {
    const written = anthropic.writeResponse(answer('end', { kind: 'refusal', text: 'no' }), undefined, ANSWER_CONTEXT)
    expect(written).toMatchObject({ content: [{ type: 'text', text: 'no' }], stop_reason: 'refusal' })
  })

  test.each(['constructor', '__proto__', 'dreaming', 7, null])('that stopped for %j has ended', (reason) => {
    expect(anthropic.readResponse({ stop_reason: reason }).choices[0]?.stop).toBe('end')
  })
})

const start: ChatEvent = { kind: 'start', id: 'x', model: 'm' }
const text = (text: string, choice = 0): ChatEvent => ({ kind: 'text', choice, text })
const reasoning = (text: string): ChatEvent => ({ kind: 'reasoning', choice: 0, text })
const signature = (signedIn: string = anthropic.dialect): ChatEvent => ({
  ...{ kind: 'signature', choice: 0, signature: 's', signedIn },
})
const call = (index: number): ChatEvent => ({
  kind: 'toolCall',
  choice: 0,
  call: index,
  id: `c${index}`,
  name: `f${index}`,
})
const piece = (index: number, text: string): ChatEvent => ({ kind: 'arguments', choice: 0, call: index, text })
const stop = (reason: StopReason): ChatEvent => ({ kind: 'stop', choice: 0, reason })

/** A summary of a stream: where blocks start and end, and what they hold. */
function summarize(stream: string): string {
  return eventsOf(stream)
    .map(({ type, index, content_block: block, delta }) => {
      const { partial_json: json, text, thinking, signature: signed, stop_reason: reason } = recordOf(delta)
      if (type === 'content_block_start') return `${index}:${recordOf(block).name ?? recordOf(block).type}(`
      if (type === 'content_block_stop') return ')'
      return reason ?? json ?? text ?? thinking ?? (signed ? `/${signed}` : `<${String(type).slice(8)}>`)
    })
    .join(' ')
}

const pieces = fc.array(
  fc.oneof(
    fc.constantFrom(text('a'), text('b'), reasoning('r'), signature(), call(0), call(1), call(2), stop('end')),
    fc
      .tuple(fc.nat({ max: 2 }), fc.constantFrom('{', '}', '"', '{}', '\\', ' '))
      .map(([index, text]) => piece(index, text)),
  ),
)

describe('a stream that is written', () => {
  test.each<[string, readonly ChatEvent[], string]>([
    ['nothing', [], '<start> end_turn <stop>'],
    ['text', [start, text('a'), text(''), text('b'), stop('end')], '<start> 0:text( a b ) end_turn <stop>'],
    ['text without a start', [text('a'), stop('length')], '<start> 0:text( a ) max_tokens <stop>'],
    ['another choice', [start, text('a', 1), stop('end')], '<start> end_turn <stop>'],
    [
      'thought',
      [
        start,
        reasoning('a'),
        signature(),
        reasoning('b'),
        signature('gemini.generate_content'),
        text('c'),
        stop('end'),
      ],
      '<start> 0:thinking( a /s ) 1:thinking( b ) 2:text( c ) end_turn <stop>',
    ],
    [
      'thought that is not shown',
      [signature(), signature(), text('a')],
      '<start> 0:thinking( /s ) 1:thinking( /s ) 2:text( a ) end_turn <stop>',
    ],
    [
      'redacted thought',
      [
        { kind: 'redacted', choice: 0, data: 'd', signedIn: anthropic.dialect },
        { kind: 'redacted', choice: 0, data: 'd', signedIn: 'openai.responses' },
        text('a'),
      ],
      '<start> 0:redacted_thinking( ) 1:text( a ) end_turn <stop>',
    ],
    [
      'calls one after the other',
      [text('a'), call(0), piece(0, '{"a"'), piece(0, ':"}"}'), call(1), piece(1, '{}'), stop('toolCalls')],
      '<start> 0:text( a ) 1:f0( {"a" :"}"} ) 2:f1( {} ) tool_use <stop>',
    ],
    [
      'calls at once',
      [call(0), call(1), piece(0, '{"a":'), piece(1, '{'), piece(0, '1}'), piece(1, '}'), piece(0, ' '), stop('end')],
      '<start> 0:f0( {"a": 1} ) 1:f1( { } ) tool_use <stop>',
    ],
    [
      'calls without arguments',
      [call(0), call(1), text('a'), piece(1, '{}'), stop('toolCalls')],
      '<start> 0:f0( ) 1:f1( {} ) 2:text( a ) tool_use <stop>',
    ],
    ['a refusal', [{ kind: 'refusal', choice: 0, text: 'no' }, stop('end')], '<start> 0:text( no ) refusal <stop>'],
    ['arguments of no call', [piece(7, '{}'), stop('end')], '<start> end_turn <stop>'],
  ])('of %s is written in blocks', (_, events, expected) => {
    expect(summarize(writeEvents(events))).toBe(expected)
  })

  test('is sent at once, except what has to wait for a block', () => {
    const writer = anthropic.createEventWriter(ANSWER_CONTEXT)
    const sent = [start, text('a'), call(0), call(1), piece(1, '{"b":1}'), piece(0, '{}')].map((event) =>
      writer.write(event),
    )
    expect(sent.map(summarize)).toEqual(['<start>', '0:text( a', ') 1:f0(', '', '', '{} ) 2:f1( {"b":1}'])
    expect(summarize(writer.write(stop('toolCalls')))).toBe(')')
    expect(writer.end(USED)).toContain('"input_tokens":7')
    expect([writer.end(USED), writer.write(text('late'))]).toEqual(['', ''])
  })

  test('holds back a bounded amount', () => {
    const writer = anthropic.createEventWriter(ANSWER_CONTEXT)
    writer.write(call(0))
    writer.write(call(1))
    let written = ''
    for (let index = 0; index < 12; index++) written += writer.write(piece(1, 'x'.repeat(100_000)))
    expect(written.length).toBeGreaterThan(1_000_000)
    for (let index = 2; index < 30_000; index++) written += writer.write(call(index))
    expect(written.match(/"f2"/)).not.toBeNull()
  })

  test('that fails ends with an error event', () => {
    const writer = anthropic.createEventWriter(ANSWER_CONTEXT)
    writer.write(text('a'))
    const error = { status: 0, kind: 'overloaded', message: 'busy' } as const
    expect(writer.write({ kind: 'error', error })).toBe(
      'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"},"request_id":"019a-call"}\n\n',
    )
    expect([writer.write(text('b')), writer.end(USED)]).toEqual(['', ''])
  })

  test('is read by the SDK as one message', async () => {
    const stream = writeEvents([
      ...[start, reasoning('r'), signature(), text('a'), call(0), call(1), piece(1, '{"b":2}'), piece(0, '{"a":1}')],
      stop('toolCalls'),
    ])
    const fetch = async () =>
      new Response(stream, { headers: { 'content-type': anthropic.streamContentType(ANSWER_CONTEXT) } })
    const client = new Anthropic({ apiKey: 'k', baseURL: 'http://127.0.0.1:9', fetch })
    const requests = { model: 'm', max_tokens: 9, messages: [{ role: 'user' as const, content: 'x' }] }
    expect(await client.messages.stream(requests).finalMessage()).toMatchObject({
      content: [
        { type: 'thinking', thinking: 'r', signature: 's' },
        { type: 'text', text: 'a' },
        { type: 'tool_use', id: 'c0', name: 'f0', input: { a: 1 } },
        { type: 'tool_use', id: 'c1', name: 'f1', input: { b: 2 } },
      ],
      stop_reason: 'tool_use',
      usage: { input_tokens: 7, cache_read_input_tokens: 5, output_tokens: 40 },
    })
  })

  test('opens and closes one block at a time, and loses nothing', () => {
    fc.assert(
      fc.property(pieces, (events) => {
        const stream = writeEvents(events)
        let open: unknown
        let next = 0
        for (const { type, index } of eventsOf(stream)) {
          if (type === 'content_block_start') {
            expect([open, index]).toEqual([undefined, next++])
            open = index
          } else if (type === 'content_block_delta' || type === 'content_block_stop') {
            expect(index).toBe(open)
            if (type === 'content_block_stop') open = undefined
          }
        }
        expect(open).toBeUndefined()
        for (const kind of ['text', 'reasoning'] as const) {
          expect(textOf(readEvents(stream), kind)).toBe(textOf(events, kind))
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('a stream that is read', () => {
  test('is read if the input of a call arrives whole', () => {
    const reader = anthropic.createEventReader()
    const block = { type: 'tool_use', id: 'a', name: 'f', input: { b: 1 } }
    expect(reader.read({ type: 'content_block_start', index: 3, content_block: block })).toHaveLength(1)
    expect(reader.read({ type: 'content_block_stop', index: 3 })).toEqual([piece(0, '{"b":1}')])
    expect(reader.read({ type: 'content_block_stop', index: 3 })).toEqual([])
  })

  test('has one stop event, and no events for tools that ran at the provider', () => {
    const reader = anthropic.createEventReader()
    const block = { type: 'server_tool_use', id: 'a', name: 'web_search', input: {} }
    const delta = { type: 'input_json_delta', partial_json: '{"q":1}' }
    const text = [
      { type: 'content_block_start', index: 0, content_block: block },
      { type: 'content_block_delta', index: 0, delta },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: null } },
      { type: 'message_delta', delta: { stop_reason: 'stop_sequence', stop_sequence: 'x' } },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' } },
    ].flatMap((event) => reader.read(event))
    expect(text).toEqual([{ kind: 'stop', choice: 0, reason: 'stopSequence', stopSequence: 'x' }])
  })
})

describe('an error', () => {
  const body = (type: string, fields: object = {}) => ({ type: 'error', error: { type, message: 'm', ...fields } })
  test.each<[number, unknown, ErrorKind]>([
    [400, body('invalid_request_error'), 'invalid'],
    [400, body('invalid_request_error', { message: 'Your credit balance is too low to …' }), 'quota'],
    [400, body('invalid_request_error', { message: 'You have reached your specified API usage limits.' }), 'quota'],
    [402, body('billing_error'), 'quota'],
    [403, body('permission_error'), 'forbidden'],
    [404, body('not_found_error'), 'notFound'],
    [413, body('request_too_large'), 'tooLarge'],
    [429, body('rate_limit_error'), 'rate'],
    [429, body('rate_limit_error', { details: { error_code: 'enforced_spend_limit_reached' } }), 'quota'],
    [500, body('api_error'), 'server'],
    [504, body('timeout_error'), 'timeout'],
    [529, body('overloaded_error'), 'overloaded'],
    [0, body('overloaded_error'), 'overloaded'],
    [529, undefined, 'overloaded'],
    [503, 'x', 'overloaded'],
    [422, {}, 'invalid'],
    [500, { error: 7 }, 'server'],
    [401, body('constructor'), 'unauthenticated'],
    [0, {}, 'server'],
  ])('of status %i, %j, is %s', (status, text, kind) => {
    expect(anthropic.readError(status, text)).toMatchObject({ status, kind })
  })

  test('has a bounded message', () => {
    const long = 'x'.repeat(9_999)
    expect(anthropic.readError(500, body(long, { message: long })).message).toHaveLength(2_000)
    expect(objectOf(anthropic.writeError({ status: 500, kind: 'server', message: long }, CONTEXT))).toMatchObject({
      error: { message: 'x'.repeat(2_000) },
    })
  })

  test.each<[number, ErrorKind, string]>([
    [400, 'invalid', 'BadRequestError'],
    [401, 'unauthenticated', 'AuthenticationError'],
    [403, 'forbidden', 'PermissionDeniedError'],
    [404, 'notFound', 'NotFoundError'],
    [413, 'tooLarge', 'ContentTooLargeError'],
    [429, 'rate', 'RateLimitError'],
    [429, 'quota', 'EnforcedSpendLimitReachedError'],
    [402, 'quota', 'PaymentRequiredError'],
    [500, 'server', 'InternalServerError'],
    [504, 'timeout', 'GatewayTimeoutError'],
    [529, 'overloaded', 'OverloadedError'],
  ])("of status %i, %s, raises the SDK's %s, and survives reading", async (status, kind, name) => {
    const text = anthropic.writeError({ status, kind, message: 'm', code: 'c' }, CONTEXT)
    expect(anthropic.readError(status, objectOf(text))).toMatchObject({ status, kind, message: 'm' })
    const headers = { 'content-type': 'application/json' }
    const fetch = async () => new Response(text, { status, headers })
    const client = new Anthropic({ apiKey: 'k', baseURL: 'http://127.0.0.1:9', fetch, maxRetries: 0 })
    const requests = client.messages.create({ model: 'm', max_tokens: 9, messages: [] })
    const thrown: unknown = await requests.catch((error: unknown) => error)
    expect(thrown instanceof Error && thrown.constructor.name).toBe(name)
    expect(JSON.stringify(recordOf(thrown).error ?? thrown)).toContain('m')
  })
})

test('junk is read as a response with little content', () => {
  const text = fc.constantFrom(
    'text',
    'tool_use',
    'thinking',
    'redacted_thinking',
    'message_start',
    'error',
    '__proto__',
  )
  const kinds = fc.constantFrom(
    'content_block_start',
    'content_block_delta',
    'content_block_stop',
    'message_delta',
    'error',
  )
  const names = [
    'type',
    'text',
    'content',
    'content_block',
    'delta',
    'input',
    'id',
    'name',
    'error',
    'stop_reason',
    'index',
  ]
  const { junk } = fc.letrec<{ junk: unknown }>((tie) => ({
    junk: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(text, fc.integer(), fc.constantFrom(null, true, '')),
      fc.array(tie('junk'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...names), tie('junk'), { maxKeys: 5 }),
    ),
  }))
  fc.assert(
    fc.property(fc.array(fc.tuple(kinds, junk, junk, junk)), junk, (events, junkEvent) => {
      const reader = anthropic.createEventReader()
      const read = events.flatMap(([type, block, delta, index]) => {
        const event = objectOf(
          JSON.stringify({ type, content_block: block, delta, index, message: block, error: delta }),
        )
        return reader.read(event)
      })
      expect(eventsOf(writeEvents(read)).every(isRecord)).toBe(true)
      expect(
        anthropic.readResponse({ content: junkEvent, id: junkEvent, stop_reason: junkEvent }).choices,
      ).toHaveLength(1)
      anthropic.readError(500, junkEvent)
    }),
    { numRuns: 500 },
  )
})
