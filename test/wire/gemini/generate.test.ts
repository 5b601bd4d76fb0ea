// Gemini: what of a request and its path changes its quote, in either spelling, and the few bytes that edits touch.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { geminiGenerate } from '../../../src/wire/gemini/generate.ts'
import { modelInPath } from '../../../src/wire/gemini/path.ts'
import { newDraft } from '../../../src/wire/request-reader.ts'
import { bodies, diffBytes, lineTo } from '../samples.ts'

const LINE = lineTo('/v1beta/models/gemini-2.5-flash:generateContent')
const BARE = { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] }
const read = (body: unknown, line = LINE) =>
  geminiGenerate.readRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), line)
const askOf = (fields: object) => read({ ...BARE, ...fields }).facts
const says = (...parts: object[]) => ({ contents: [{ parts }] })
const config = (generationConfig: object) => ({ generationConfig })
const lengthOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))
const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** A body with every one of its keys in snake_case. */
function inSnake(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inSnake)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inside]) => [snake(key), inSnake(inside)]))
}

describe('the ask', () => {
  test('of a bare call is the model of its path, its bytes and its messages', () => {
    expect(read(BARE).facts).toEqual({ ...newDraft(lengthOf(BARE)), model: 'gemini-2.5-flash', messages: 1, depth: 5 })
  })

  const blob = (mimeType: string) => ({ mimeType, data: 'A'.repeat(4_000) })
  test.each<[string, object, object]>([
    ['a cap', config({ maxOutputTokens: 7 }), { outputCap: 7 }],
    ['a cap of null', config({ maxOutputTokens: null }), { outputCap: null }],
    ['a configuration of null', { generationConfig: null }, { outputCap: null }],
    ['answers', config({ candidateCount: 3 }), { answers: 3 }],
    ['spoken answers', config({ responseModalities: ['AUDIO'] }), { audioOutput: true }],
    ['spoken answers, by number', config({ responseModalities: [3] }), { audioOutput: true }],
    ['silent answers', config({ responseModalities: ['TEXT', 'IMAGE'] }), { audioOutput: false }],
    ['a service tier', { serviceTier: 'flex' }, { serviceTier: 'flex' }],
    ['a function', { tools: [{ functionDeclarations: [{ name: 'f' }] }] }, { tools: true, unbounded: [] }],
    ['no functions', { tools: [{ functionDeclarations: [] }] }, { tools: false, unbounded: [] }],
    ['one tool alone', { tools: { functionDeclarations: [{ name: 'f' }] } }, { tools: true, unbounded: [] }],
    ['stored context', { cachedContent: 'cachedContents/x' }, { unsizedInput: true, uncountableInput: true }],
    ['no stored context', { cachedContent: '' }, { unsizedInput: false }],
    ['a picture', says({ inlineData: blob('image/png') }), { images: 1, unsizedInput: false, audioInput: false }],
    ['sound', says({ inlineData: blob('audio/mp3') }), { images: 0, unsizedInput: true, audioInput: true }],
    ['film', says({ inlineData: blob('video/mp4') }), { images: 0, unsizedInput: true, audioInput: true }],
    [
      'a PDF',
      says({ inlineData: blob('application/pdf') }),
      { unsizedInput: true, uncountableInput: false, audioInput: false },
    ],
    [
      'film with frames of its own',
      says({ inlineData: blob('video/mp4'), videoMetadata: { fps: 24 } }),
      { unsizedInput: true, uncountableInput: true },
    ],
    ['film without', says({ inlineData: blob('video/mp4'), videoMetadata: null }), { uncountableInput: false }],
    ...['files/abc-1', 'https://generativelanguage.googleapis.com/v1beta/files/abc-1'].map(
      (fileUri): [string, object, object] => [
        `the uploaded file ${fileUri}`,
        says({ fileData: { mimeType: 'application/pdf', fileUri } }),
        { unsizedInput: true, uncountableInput: false, audioInput: false },
      ],
    ),
    ...[
      'https://example.com/files/abc',
      'https://generativelanguage.googleapis.com.example.com/v1beta/files/abc',
      'http://generativelanguage.googleapis.com/v1beta/files/abc',
      'https://generativelanguage.googleapis.com/v1beta/files/abc:download',
      'https://www.youtube.com/watch?v=x',
      'gs://bucket/files/abc',
      'files/../x',
      '',
    ].map((fileUri): [string, object, object] => [
      `a file at '${fileUri}'`,
      says({ fileData: { mimeType: 'application/pdf', fileUri } }),
      { unsizedInput: true, uncountableInput: true },
    ]),
    [
      'a file',
      says({ fileData: { mimeType: 'image/png', fileUri: 'u' } }),
      { images: 0, unsizedInput: true, audioInput: false },
    ],
    [
      'a file with sound',
      says({ fileData: { mimeType: 'audio/mp3', fileUri: 'u' } }),
      { unsizedInput: true, audioInput: true },
    ],
    ['a file of no known kind', says({ fileData: { fileUri: 'u' } }), { unsizedInput: true, audioInput: true }],
    [
      'media that a function answered',
      says({
        functionResponse: { response: {}, parts: [{ inlineData: blob('image/png') }, { fileData: { fileUri: 'u' } }] },
      }),
      { images: 1, unsizedInput: true },
    ],
    [
      'a system prompt',
      { systemInstruction: { parts: [{ inlineData: blob('image/png') }] } },
      { images: 1, messages: 2 },
    ],
    ['one content alone', { contents: { parts: { inlineData: blob('image/png') } } }, { images: 1, messages: 1 }],
  ])('with %s is the same in camelCase and in snake_case', (_name, fields, expected) => {
    expect(read({ ...BARE, ...fields }).facts).toMatchObject(expected)
    expect(read(inSnake({ ...BARE, ...fields })).facts).toMatchObject(expected)
  })

  test.each([
    'googleSearch',
    'google_search',
    'codeExecution',
    'urlContext',
    'fileSearch',
    'computerUse',
    'somethingNew',
  ])('with the tool %s has no bound', (tool) => {
    expect(askOf({ tools: [{ functionDeclarations: [{ name: 'f' }], [tool]: {} }] }).unbounded).toHaveLength(1)
    expect(askOf({ tools: { [tool]: {} } }).unbounded).toHaveLength(1)
  })

  test.each([
    [{ maxOutputTokens: 7, max_output_tokens: 9 }, { outputCap: 9 }],
    [{ maxOutputTokens: 9, max_output_tokens: 7 }, { outputCap: 9 }],
    [{ candidateCount: 3, candidate_count: 1 }, { answers: 3 }],
    [{ response_modalities: ['AUDIO'], responseModalities: ['TEXT'] }, { audioOutput: true }],
  ])('of both spellings at once takes the larger: %j', (both, expected) => {
    expect(askOf(config(both))).toMatchObject(expected)
  })

  test('leaves the bytes of inline media out, and grows by what normalisation makes of the text', () => {
    const fields = says({ inlineData: blob('image/png') }, { text: '\ufdfa' })
    expect(askOf(fields).textBytes).toBe(lengthOf(fields) - lengthOf('A'.repeat(4_000)) + 30)
  })
})

describe('the path', () => {
  test.each([
    ['/v1beta/models/gemini-2.5-pro:generateContent', 'gemini-2.5-pro', false],
    ['/v1beta/models/gemini-2.5-pro:streamGenerateContent', 'gemini-2.5-pro', true],
    ['/v1/models/sim%2Fecho:generateContent', 'sim/echo', false],
    ['/v1beta/models/tunedModels/x:streamGenerateContent', 'tunedModels/x', true],
    ['/v1beta/models/%zz:generateContent', '%zz', false],
  ])('%s names the model and says whether to stream', (path, model, stream) => {
    expect(read(BARE, lineTo(path)).facts).toMatchObject({ model, stream })
    expect(modelInPath(path)).toBe(model)
  })

  test.each([
    ['key=secret', ''],
    ['alt=sse&key=secret', '?alt=sse'],
    ['key=secret&alt=sse&key=other', '?alt=sse'],
    ['monkey=1&&keys=2&key', '?monkey=1&keys=2'],
  ])("%s goes on without the caller's key", (query, rest) => {
    const line = lineTo('/v1beta/models/a:streamGenerateContent', query)
    expect(geminiGenerate.upstreamPath('m/1', line)).toBe(`/v1beta/models/m%2F1:streamGenerateContent${rest}`)
  })
})

describe('what cannot be metered is refused by the field at fault:', () => {
  test.each([
    [config({ maxOutputTokens: 0 }), 'maxOutputTokens'],
    [config({ max_output_tokens: -1 }), 'maxOutputTokens'],
    [config({ maxOutputTokens: '100' }), 'maxOutputTokens'],
    [config({ maxOutputTokens: 2.5 }), 'maxOutputTokens'],
    [config({ candidateCount: 1_000 }), 'candidateCount'],
    [config({ candidateCount: '2' }), 'candidateCount'],
    [config({ MaxOutputTokens: 9 }), 'maxOutputTokens'],
    [{ generationConfig: [] }, 'generationConfig'],
    [{ generationConfig: {}, generation_config: {} }, 'generationConfig'],
    [{ generationConfig: null, generation_config: {} }, 'generationConfig'],
    [{ GenerationConfig: {} }, 'generationConfig'],
    [says({ InlineData: {} }), 'inlineData'],
  ])('%j', (fields, param) => {
    expect(() => askOf(fields)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })
})

describe('an edit', () => {
  const CONTENTS = ['contents', '[{"parts":[{"text":"é"}]}]'] as const
  const cap = { cap: { field: 'maxOutputTokens', tokens: 256 } }

  test('of the model is none: the path holds it', () => {
    const body = Buffer.from(JSON.stringify(BARE))
    expect(geminiGenerate.readRequest(body, LINE).edit({ model: 'other', includeUsage: true })).toBe(body)
  })

  test.each([
    ['no configuration', null, '', '"generationConfig":{"maxOutputTokens":256},', { maxOutputTokens: 256 }],
    ['a configuration of null', 'null', 'null', '{"maxOutputTokens":256}', { maxOutputTokens: 256 }],
    ['an empty one', '{\t}', '', '"maxOutputTokens":256', { maxOutputTokens: 256 }],
    ['one without', '{ "topK" :1}', '', '"maxOutputTokens":256,', { maxOutputTokens: 256, topK: 1 }],
    ['a cap', '{"maxOutputTokens":9000,"topK":1}', '9000', '256', { maxOutputTokens: 256, topK: 1 }],
    ['a cap of null', '{"topK":1,"maxOutputTokens" : null }', 'null', '256', { maxOutputTokens: 256, topK: 1 }],
    ['a cap in snake_case', '{"max_output_tokens":9000}', '9000', '256', { max_output_tokens: 256 }],
  ])('of the cap where there is %s touches nothing beside it', (_name, was, gone, added, generationConfig) => {
    fc.assert(
      fc.property(bodies(was === null ? [CONTENTS] : [CONTENTS, ['generationConfig', was]]), (body) => {
        const edited = geminiGenerate.readRequest(body, LINE).edit(cap)
        expect(JSON.parse(edited.toString())).toEqual({ ...JSON.parse(body.toString()), generationConfig })
        expect(gone).toContain(diffBytes(body, edited).gone)
        expect(edited.length - body.length).toBe(added.length - gone.length)
        expect(geminiGenerate.readRequest(edited, LINE).facts.outputCap).toBe(256)
        expect(geminiGenerate.readRequest(edited, LINE).edit(cap).equals(edited), 'edited twice').toBe(true)
      }),
    )
  })

  test('of an empty body makes a configuration', () => {
    expect(read('{ }').edit(cap).toString()).toBe('{"generationConfig":{"maxOutputTokens":256} }')
  })
})
