// OpenAI completions: what of a request changes its quote, the cap it always has, and what its answers say was used.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openaiCompletions } from '../../../src/wire/openai/completions.ts'
import { newDraft } from '../../../src/wire/request-reader.ts'
import { bodies, diffBytes, lineTo } from '../samples.ts'
import { bytewise, feed } from '../streams.ts'

const LINE = lineTo('/v1/completions')
const BARE = { model: 'davinci-002', prompt: 'Hi' }
const read = (body: unknown) =>
  openaiCompletions.readRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), LINE)
const askOf = (fields: object) => read({ ...BARE, ...fields }).facts

describe('the ask', () => {
  test('of a bare call is its model, its bytes and the cap of the API', () => {
    expect(read(BARE).facts).toEqual({
      ...newDraft(JSON.stringify(BARE).length),
      model: 'davinci-002',
      outputCap: 16,
      depth: 1,
    })
  })

  test.each([
    ['a cap', { max_tokens: 7 }, { outputCap: 7 }],
    ['a cap of nothing, which says back the prompt', { max_tokens: 0, echo: true }, { outputCap: 0 }],
    ['a cap of null', { max_tokens: null }, { outputCap: 16 }],
    ['answers', { n: 3 }, { answers: 3, prompts: 1 }],
    ['the best of some', { best_of: 5 }, { answers: 5 }],
    ['some of the best', { n: 2, best_of: 5 }, { answers: 5 }],
    ['fewer best than answers', { best_of: 1, n: 3 }, { answers: 3 }],
    ['prompts', { prompt: ['a', 'b'] }, { answers: 2, prompts: 2 }],
    ['the best for each prompt', { prompt: ['a', 'b'], best_of: 4 }, { answers: 8, prompts: 2 }],
    ['the best for each prompt, stated first', { best_of: 4, n: null, prompt: [[1, 2], [3], [4]] }, { answers: 12 }],
    ['token ids', { prompt: [1, 2, 3] }, { answers: 1, prompts: 1 }],
    ['no prompt', { prompt: null }, { answers: 1, prompts: 1 }],
    ['stream', { stream: true }, { stream: true }],
    ['stream of null', { stream: null }, { stream: false }],
    ['a user', { user: 'ada' }, { user: 'ada' }],
  ])('with %s', (_name, fields, expected) => {
    expect(askOf(fields)).toMatchObject(expected)
  })
})

describe('what cannot be metered is refused by the field at fault:', () => {
  test.each([
    [{ model: undefined }, 'model'],
    [{ prompt: 7 }, 'prompt'],
    [{ prompt: {} }, 'prompt'],
    [{ max_tokens: -1 }, 'max_tokens'],
    [{ max_tokens: '9' }, 'max_tokens'],
    [{ MAX_TOKENS: 9 }, 'max_tokens'],
    [{ n: 0 }, 'n'],
    [{ best_of: 129 }, 'best_of'],
    [{ stream: 1 }, 'stream'],
    [{ stream_options: [] }, 'stream_options'],
  ])('%j', (fields, param) => {
    expect(() => askOf(fields)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })

  test.each(['', '[]', '{"model":"m"', '{"model":"m","n":1}}'])('%j is no request', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'invalid_json' }))
  })
})

describe('an edit', () => {
  const MEMBERS = [
    ['model', '"a/b"'],
    ['prompt', '["é"]'],
  ] as const
  type Made = Parameters<ReturnType<typeof read>['edit']>[0]
  const edits = (members: (readonly [string, string])[], made: Made, set: object, gone: string) =>
    fc.assert(
      fc.property(bodies([...MEMBERS, ...members]), (body) => {
        const edited = openaiCompletions.readRequest(body, LINE).edit(made)
        expect(JSON.parse(edited.toString())).toEqual({ ...JSON.parse(body.toString()), ...set })
        expect(gone).toContain(diffBytes(body, edited).gone)
      }),
    )

  test('of nothing gives the very body, where it has a cap', () => {
    const body = Buffer.from(JSON.stringify({ ...BARE, max_tokens: 9 }))
    expect(openaiCompletions.readRequest(body, LINE).edit({})).toBe(body)
  })

  test('of nothing writes the cap of the API, where there is none', () => edits([], {}, { max_tokens: 16 }, ''))
  test('of nothing replaces a cap of null', () => edits([['max_tokens', 'null']], {}, { max_tokens: 16 }, 'null'))

  test('sets a cap in the one field there is', () =>
    edits([], { cap: { field: 'max_completion_tokens', tokens: 9 } }, { max_tokens: 9 }, ''))

  test('replaces the model', () => edits([['max_tokens', '9']], { model: 'ü' }, { model: 'ü' }, '"a/b"'))

  test.each([
    ['absent', []],
    ['null', [['stream_options', 'null']]],
    ['empty', [['stream_options', '{}']]],
  ] as [string, [string, string][]][])('asks for usage where stream_options are %s', (_name, options) => {
    const set = { stream_options: { include_usage: true } }
    edits([['max_tokens', '9'], ...options], { includeUsage: true }, set, 'null')
  })

  test('knows whether usage was asked for', () => {
    expect(read({ ...BARE, stream_options: { include_usage: true } }).requestsUsage).toBe(true)
    expect(read({ ...BARE, stream_options: {} }).requestsUsage).toBe(false)
  })
})

test('is asked for at its own path, without the key of the caller', () => {
  expect(openaiCompletions.upstreamPath('m', lineTo('/v1/completions', 'key=k'))).toBe('/completions')
})

describe('an answer', () => {
  const COUNTS = '"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}'
  const chunk = (choices: string, usage = ',"usage":null') =>
    `data: {"object":"text_completion","choices":${choices}${usage}}\n\n`
  const WORDS = chunk('[{"text":"\\"usage\\":{} data: [DONE]","index":0,"finish_reason":null}]')
  const STOP = chunk('[{"text":"","index":0,"finish_reason":"length"}]')
  const USAGE = chunk('[]', `,${COUNTS}`)
  const DONE = 'data: [DONE]\n\n'

  test.each([1, 7, 1_000])('that is whole is read by its top level (chunks of %d)', (size) => {
    const text = `{"object":"text_completion","choices":[{"text":"a","finish_reason":"stop"}],${COUNTS}}`
    const fed = feed(openaiCompletions.createTap(false, 'application/json', false), bytewise(Buffer.from(text), size))
    expect(fed).toEqual({ out: Buffer.from(text), usage: { input: 9, output: 4 }, ends: [true, false, false] })
  })

  test.each([1, 7, 1_000])('that is streamed lacks the usage that is hidden, and no more (chunks of %d)', (size) => {
    const bytes = Buffer.from(WORDS + STOP + USAGE + DONE)
    const fed = (hides: boolean) =>
      feed(openaiCompletions.createTap(true, 'text/event-stream', hides), bytewise(bytes, size))
    const heard = { usage: { input: 9, output: 4 }, ends: [true, true, false] }
    expect(fed(false)).toEqual({ ...heard, out: bytes })
    expect(fed(true)).toEqual({ ...heard, out: Buffer.from(WORDS + STOP + DONE) })
  })

  test('that is cut did not end well', () => {
    expect(feed(openaiCompletions.createTap(true, 'text/event-stream', true), [Buffer.from(WORDS)]).ends).toEqual([
      false,
      false,
      false,
    ])
  })
})

test('a whole document is one chunk, and its usage another if it was requested', () => {
  const [rest, usage] = [{ id: 'c', choices: [{ index: 0, text: 'Hi', finish_reason: 'stop' }] }, { total_tokens: 2 }]
  const chunks = (withUsage: boolean) => openaiCompletions.documentEvents?.({ ...rest, usage }, withUsage)
  const data = (chunk: object) => `data: ${JSON.stringify(chunk)}\n\n`
  expect(chunks(false)).toBe(`${data(rest)}data: [DONE]\n\n`)
  expect(chunks(true)).toBe(`${data(rest)}${data({ ...rest, choices: [], usage })}data: [DONE]\n\n`)
})
