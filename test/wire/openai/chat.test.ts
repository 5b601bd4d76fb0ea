// OpenAI chat: what of a request changes its quote, and the few bytes that edits touch.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openaiChat } from '../../../src/wire/openai/chat.ts'
import { newDraft } from '../../../src/wire/request-reader.ts'
import { bodies, diffBytes, lineTo } from '../samples.ts'

const LINE = lineTo('/v1/chat/completions')
const BARE = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }
const read = (body: unknown) =>
  openaiChat.readRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), LINE)
const askOf = (fields: object) => read({ ...BARE, ...fields }).facts
const says = (...parts: object[]) => ({ messages: [{ role: 'user', content: parts }] })
const lengthOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

describe('the ask', () => {
  test('of a bare call is its model, its bytes and its messages', () => {
    const bytes = lengthOf(BARE)
    expect(read(BARE).facts).toEqual({ ...newDraft(bytes), model: 'gpt-4o', messages: 1, depth: 3 })
  })

  test.each([
    ['a cap', { max_tokens: 7 }, { outputCap: 7 }],
    ['the newer cap', { max_completion_tokens: 8 }, { outputCap: 8 }],
    ['both caps', { max_tokens: 7, max_completion_tokens: 8 }, { outputCap: 8 }],
    ['both caps, the larger first', { max_completion_tokens: 8, max_tokens: 7 }, { outputCap: 8 }],
    ['a cap of null', { max_tokens: null }, { outputCap: null }],
    ['a cap beside one of null', { max_tokens: 9, max_completion_tokens: null }, { outputCap: 9 }],
    ['answers', { n: 3 }, { answers: 3 }],
    ['answers of null', { n: null }, { answers: 1 }],
    ['stream', { stream: true }, { stream: true }],
    ['stream of null', { stream: null }, { stream: false }],
    ['a service tier', { service_tier: 'priority' }, { serviceTier: 'priority' }],
    ['a user', { user: 'alice' }, { user: 'alice' }],
    ['a cache for an hour', { cache_control: { type: 'ephemeral', ttl: '1h' } }, { cacheWrite: '1h' }],
    [
      'a part that is cached for an hour',
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'a', cache_control: { ttl: '1h' } }] }] },
      { cacheWrite: '1h' },
    ],
    [
      'an hour and half a day',
      { prompt_cache_options: { ttl: '12h' }, cache_control: { ttl: '1h' } },
      { cacheWrite: '12h' },
    ],
    ['functions', { functions: [{ name: 'f' }] }, { tools: true }],
    ['no functions', { functions: [], tools: [] }, { tools: false }],
    ['a function tool', { tools: [{ type: 'function', function: {} }] }, { tools: true, unbounded: [] }],
    ['a grammar tool', { tools: [{ type: 'custom', custom: {} }] }, { tools: true, unbounded: [] }],
    ['a hosted tool', { tools: [{ type: 'web_search' }] }, { tools: true, unbounded: ['web_search'] }],
    ['web search', { web_search_options: {} }, { unbounded: ['web_search_options'] }],
    ['web search of null', { web_search_options: null }, { unbounded: [] }],
    ["xAI's search", { search_parameters: { mode: 'auto' } }, { unbounded: ['search_parameters'] }],
    ['plugins', { plugins: [{ id: 'web' }] }, { unbounded: ['plugins'] }],
    ['a template', { chat_template: '{{ x * 9 }}' }, { unbounded: ['chat_template'] }],
    ['values of a template', { chat_template_kwargs: { a: false } }, { unbounded: ['chat_template_kwargs'] }],
    ['no values of a template', { chat_template_kwargs: {}, documents: [] }, { unbounded: [] }],
    ['a template of null', { chat_template: null, chat_template_kwargs: null }, { unbounded: [] }],
    ['an empty template', { chat_template: '' }, { unbounded: [] }],
    ['documents', { documents: [{ text: 'a' }] }, { unbounded: ['documents'] }],
    ['how images are cut', { mm_processor_kwargs: { max_pixels: 9e9 } }, { unbounded: ['mm_processor_kwargs'] }],
    ['how videos are cut', { media_io_kwargs: { video: { num_frames: 9 } } }, { unbounded: ['media_io_kwargs'] }],
    ['a session of the server', { session_params: { id: 'a' } }, { unbounded: ['session_params'] }],
    ['a search of Azure', { data_sources: [{ type: 'azure_search' }] }, { unbounded: ['data_sources'] }],
    ['a cap that overrides the cap', { max_tokens: 5, n_predict: -1 }, { unbounded: ['n_predict'] }],
    ['fields in a field', { extra_body: { chat_template: 'x' } }, { unbounded: ['extra_body'] }],
    ['how the prompt ends', { add_generation_prompt: false, continue_final_message: true }, { unbounded: [] }],
    [
      'an unknown part',
      { messages: [{ content: [{ type: 'document_url', document_url: 'x' }] }] },
      { unsizedInput: true },
    ],
    ['text parts', { messages: [{ content: [{ type: 'text', text: 'x' }] }] }, { unsizedInput: false }],
    [
      'tools of any number',
      { tools: Array.from({ length: 20 }, (_, index) => ({ type: `t${index % 10}` })) },
      { unbounded: ['t0', 't1', 't2', 't3', 't4', 't5', 't6', 't7'] },
    ],
    ['models to fall back to', { models: ['a', 'b'] }, { unbounded: ['models'] }],
    ['spoken answers', { modalities: ['text', 'audio'] }, { audioOutput: true }],
    ['silent answers', { modalities: ['text'] }, { audioOutput: false }],
    ['modalities of null', { modalities: null }, { audioOutput: false }],
    ['a prediction', { prediction: { type: 'content', content: 'abc' } }, { predictionBytes: 34 }],
    ['a prediction of null', { prediction: null }, { predictionBytes: 0 }],
    [
      'an earlier spoken answer',
      { messages: [{ role: 'assistant', audio: { id: 'a' } }] },
      { unsizedInput: true, audioInput: true },
    ],
    ['several messages', { messages: [{}, { content: null }, { content: [] }, 7] }, { messages: 3 }],
  ])('with %s', (_name, fields, expected) => {
    expect(askOf(fields)).toMatchObject(expected)
  })

  test('is not fooled by escapes in what it asks for', () => {
    expect(read('{"model":"m","messages":[],"modalities":["\\u0061udio"],"\\u006e":4}').facts).toMatchObject({
      audioOutput: true,
      answers: 4,
    })
  })

  test('counts images and leaves their bytes out, wherever the bytes stand', () => {
    const picture = { url: `data:image/png;base64,${'A'.repeat(5_000)}`, detail: 'high' }
    const fields = says(
      { type: 'text', text: 'a' },
      { type: 'image_url', image_url: picture },
      { image_url: 'https://x/y' },
    )
    const bytes = lengthOf({ ...BARE, ...fields })
    expect(askOf(fields)).toMatchObject({
      images: 2,
      unsizedInput: false,
      textBytes: bytes - lengthOf(picture) - lengthOf('https://x/y'),
    })
  })

  test.each([
    ['a file', { type: 'file', file: { file_id: 'f' } }, { unsizedInput: true, audioInput: false, images: 0 }],
    ['sound', { type: 'input_audio', input_audio: { data: 'AAAA' } }, { unsizedInput: true, audioInput: true }],
  ])('with %s has no size', (_name, part, expected) => {
    expect(askOf(says(part))).toMatchObject(expected)
  })
})

describe('what cannot be metered is refused by the field at fault:', () => {
  test.each([
    [{ model: undefined }, 'model'],
    [{ model: 7 }, 'model'],
    [{ model: '' }, 'model'],
    [{ messages: 'Hi' }, 'messages'],
    [{ messages: null }, 'messages'],
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ max_tokens: -1 }, 'max_tokens'],
    [{ max_tokens: 1.5 }, 'max_tokens'],
    [{ max_tokens: '100' }, 'max_tokens'],
    [{ max_tokens: 1e300 }, 'max_tokens'],
    [{ max_completion_tokens: [1] }, 'max_completion_tokens'],
    [{ n: 0 }, 'n'],
    [{ n: 129 }, 'n'],
    [{ n: '2' }, 'n'],
    [{ stream: 'true' }, 'stream'],
    [{ stream: 1 }, 'stream'],
    [{ stream_options: true }, 'stream_options'],
    [{ stream_options: [] }, 'stream_options'],
    [{ MAX_TOKENS: 9 }, 'max_tokens'],
    [{ stream_options: { Include_Usage: true } }, 'include_usage'],
    [{ messages: [{ Content: [] }] }, 'content'],
  ])('%j', (fields, param) => {
    expect(() => askOf(fields)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })

  test.each(['', '[]', '"x"', '{"model":"m"', '{"model":"m"}}', 'null'])('%j is no request', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'invalid_json' }))
  })
})

describe('an edit', () => {
  const MODEL = ['model', '"gpt-4o"'] as const
  const MESSAGES = ['messages', '[{"content":[{"text":"é"}]}]'] as const
  /** Makes an edit, and checks that it set these members and touched no byte beside them. */
  const edits = (
    members: (readonly [string, string])[],
    made: Parameters<ReturnType<typeof read>['edit']>[0],
    set: object,
    gone: string,
    added: string,
  ) =>
    fc.assert(
      fc.property(bodies([MODEL, MESSAGES, ...members]), (body) => {
        const edited = openaiChat.readRequest(body, LINE).edit(made)
        expect(JSON.parse(edited.toString())).toEqual({ ...JSON.parse(body.toString()), ...set })
        const found = diffBytes(body, edited)
        expect(gone).toContain(found.gone)
        expect(found.added.length).toBeLessThanOrEqual(added.length)
        expect(edited.length - body.length).toBe(Buffer.byteLength(added) - Buffer.byteLength(gone))
        expect(openaiChat.readRequest(edited, LINE).edit(made).equals(edited), 'edited twice').toBe(true)
      }),
    )

  test('of nothing gives the very body', () => {
    const body = Buffer.from(JSON.stringify(BARE))
    expect(openaiChat.readRequest(body, LINE).edit({})).toBe(body)
  })

  test('replaces the model', () => edits([], { model: 'ü"x' }, { model: 'ü"x' }, '"gpt-4o"', '"ü\\"x"'))

  test.each(['max_tokens', 'max_completion_tokens'])('adds a cap as %s', (field) =>
    edits([], { cap: { field, tokens: 256 } }, { [field]: 256 }, '', `"${field}":256,`),
  )

  test.each(['null', '900', '1e3'])('replaces a cap of %s', (old) =>
    edits([['max_tokens', old]], { cap: { field: 'max_tokens', tokens: 256 } }, { max_tokens: 256 }, old, '256'),
  )

  test('adds the cap that the provider reads beside another of null', () =>
    edits(
      [['max_tokens', 'null']],
      { cap: { field: 'max_completion_tokens', tokens: 9 } },
      { max_completion_tokens: 9 },
      '',
      '"max_completion_tokens":9,',
    ))

  const OPTIONS = { stream_options: { include_usage: true } }
  test.each([
    ['absent', null, '', '"stream_options":{"include_usage":true},', OPTIONS],
    ['null', 'null', 'null', '{"include_usage":true}', OPTIONS],
    ['{}', '{}', '', '"include_usage":true', OPTIONS],
    ['{ }', '{ \n}', '', '"include_usage":true', OPTIONS],
    ['false', '{"include_usage":false}', 'false', 'true', OPTIONS],
    [
      'null inside',
      '{"include_usage" : null, "x":[]}',
      'null',
      'true',
      { stream_options: { include_usage: true, x: [] } },
    ],
    ['true', '{"include_usage": true}', '', '', OPTIONS],
    [
      'something else',
      '{"include_obfuscation":false}',
      '',
      '"include_usage":true,',
      { stream_options: { include_usage: true, include_obfuscation: false } },
    ],
  ])('asks for usage where stream_options are %s', (_name, options, gone, added, set) =>
    edits(options === null ? [] : [['stream_options', options]], { includeUsage: true }, set, gone, added),
  )

  test('makes all of them at once', () => {
    fc.assert(
      fc.property(bodies([MODEL, MESSAGES, ['stream_options', '{}'], ['max_tokens', 'null']]), (body) => {
        const edited = openaiChat
          .readRequest(body, LINE)
          .edit({ model: 'm', cap: { field: 'max_tokens', tokens: 5 }, includeUsage: true })
        expect(JSON.parse(edited.toString())).toEqual({
          ...JSON.parse(body.toString()),
          model: 'm',
          max_tokens: 5,
          ...OPTIONS,
        })
        expect(openaiChat.readRequest(edited, LINE)).toMatchObject({
          facts: { model: 'm', outputCap: 5 },
          requestsUsage: true,
        })
      }),
    )
  })

  test.each([
    ['true', true],
    ['false', false],
    ['null', false],
  ])('knows whether usage was asked for: %s', (value, asked) => {
    expect(read(`{"model":"m","stream_options":{"include_usage":${value}}}`).requestsUsage).toBe(asked)
  })
})
