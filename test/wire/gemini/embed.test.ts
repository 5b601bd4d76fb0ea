// Gemini embeddings, one and many: what they can take at most, the model they name twice, and what they say was used.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type UnitsByClass, usageOf } from '../../../src/core/usage.ts'
import { geminiEmbed } from '../../../src/wire/gemini/embed.ts'
import { bodies, diffBytes, lineTo } from '../samples.ts'
import { bytewise, feed } from '../streams.ts'

const ONE_LINE = lineTo('/v1beta/models/gemini-embedding-2:embedContent')
const BATCH_LINE = lineTo('/v1/models/gemini-embedding-2:batchEmbedContents', 'key=k&alt=json')
const read = (body: unknown, line = ONE_LINE) =>
  geminiEmbed.readRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), line)
const says = (...parts: object[]) => ({ content: { parts } })
const lengthOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

describe('the ask', () => {
  test('of a single call is its model, its bytes and its content', () => {
    const body = { ...says({ text: 'Hi' }), taskType: 'RETRIEVAL_QUERY', outputDimensionality: 8 }
    const { facts, requestsUsage } = read(body)
    const asked = { kind: 'embed', model: 'gemini-embedding-2', prompts: 1, messages: 1, stream: false }
    expect(facts).toMatchObject({ ...asked, textBytes: lengthOf(body), outputCap: null, answers: 1 })
    expect(requestsUsage).toBe(true)
  })

  test.each([
    ['requests', { requests: [says({ text: 'a' }), says({ text: 'b' }), says({ text: 'c' })] }, 3],
    ['one request in the place of a list', { requests: says({ text: 'a' }) }, 1],
    ['no requests', { requests: [] }, 1],
    ['things that are no requests', { requests: [7, null, says({ text: 'a' })] }, 1],
    ['a content of null', { content: null }, 1],
  ])('of %s counts them', (_name, body, prompts) => {
    expect(read(body, BATCH_LINE).facts).toMatchObject({ prompts, images: 0, unsizedInput: false })
  })

  test('counts pictures by the piece, and gives no size to what else is no text', () => {
    const picture = { inline_data: { mime_type: 'image/png', data: 'A'.repeat(5_000) } }
    const body = { requests: [says({ text: 'a' }, picture), says(picture)] }
    expect(read(body, BATCH_LINE).facts).toMatchObject({
      images: 2,
      unsizedInput: false,
      textBytes: lengthOf(body) - 10_004,
    })
    const sound = says({ inlineData: { mimeType: 'audio/mp3', data: 'AAAA' } })
    expect(read(sound).facts).toMatchObject({ images: 0, unsizedInput: true, audioInput: true })
    const file = says({ fileData: { fileUri: 'gs://x/y', mimeType: 'application/pdf' } })
    expect(read(file).facts).toMatchObject({ unsizedInput: true, audioInput: false })
  })

  test('has as many bytes as its text has once it is normalised', () => {
    const grown = '\ufdfa'.repeat(100)
    expect(read(says({ text: grown })).facts.textBytes).toBeGreaterThan(Buffer.byteLength(grown.normalize('NFKC')))
  })
})

describe('what cannot be metered is refused:', () => {
  test.each([
    { model: 'models/gemini-embedding-001', ...says({ text: 'a' }) },
    { requests: [{ model: 'models/gemini-embedding-2' }, { model: 'models/other' }] },
    { model: 7 },
    { Model: 'models/gemini-embedding-2' },
  ])('%j', (body) => {
    expect(() => read(body)).toThrow(expect.objectContaining({ code: 'invalid_request', param: 'model' }))
  })

  test('more requests than any provider takes', () => {
    const requests = Array.from({ length: 10_001 }, () => ({ model: 'models/gemini-embedding-2' }))
    expect(() => read({ requests }, BATCH_LINE)).toThrow(
      expect.objectContaining({ code: 'invalid_request', param: 'requests' }),
    )
    expect(read({ requests: requests.slice(1) }, BATCH_LINE).facts.model).toBe('gemini-embedding-2')
  })

  test.each(['', '[]', '{"content":{"parts":[}}', '{"requests":[]}}', '{"requests":'.repeat(300)])('%j', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'invalid_json' }))
  })
})

describe('an edit', () => {
  const line = lineTo('/v1beta/models/gemini/embed:batchEmbedContents')

  test('renames the model wherever the body names it, and touches nothing else', () => {
    const requests = '[{"model":"models/gemini/embed","content":{}},{"content":{}},{"model" : "models/embed"}]'
    fc.assert(
      fc.property(bodies([['requests', requests]]), (body) => {
        const reading = geminiEmbed.readRequest(body, line)
        expect(reading.edit({})).toBe(body)
        const model = { model: 'models/e"x' }
        const edited = reading.edit({ model: 'e"x' })
        expect(JSON.parse(edited.toString())).toEqual({
          ...JSON.parse(body.toString()),
          requests: [{ ...model, content: {} }, { content: {} }, model],
        })
      }),
    )
  })

  test('leaves a model that is not there where it is', () => {
    const body = Buffer.from('{"model":null,"content":{}}')
    expect(geminiEmbed.readRequest(body, line).edit({ model: 'x' })).toEqual(body)
    expect(diffBytes(body, body)).toEqual({ gone: '', added: '' })
  })
})

test('is asked for by its own method, without the key of the caller', () => {
  expect(geminiEmbed.upstreamPath('m', BATCH_LINE)).toBe('/v1/models/m:batchEmbedContents?alt=json')
  expect(geminiEmbed.upstreamPath('m', ONE_LINE)).toBe('/v1beta/models/m:embedContent')
})

describe('an answer', () => {
  const hear = (text: string) => {
    const tap = geminiEmbed.createTap(false, 'application/json', false)
    const { out, ends } = feed(tap, bytewise(Buffer.from(text), 7))
    expect(out.toString()).toBe(text)
    return { metered: tap.answerUsage(), finished: ends[0] }
  }
  const used = (usageMetadata: unknown) => hear(JSON.stringify({ embedding: { values: [1] }, usageMetadata }))
  const details = (...parts: [string, unknown][]) => parts.map(([modality, tokenCount]) => ({ modality, tokenCount }))

  test.each<[string, object, UnitsByClass, number?]>([
    ['a count', { promptTokenCount: 8 }, { input: 8 }],
    ['text', { promptTokenCount: 8, promptTokenDetails: details(['TEXT', 8]) }, { input: 8 }],
    [
      'a picture',
      { promptTokenCount: 261, promptTokenDetails: details(['IMAGE', 258], ['TEXT', 3]) },
      { input: 3, imageInput: 258 },
    ],
    [
      'sound and film',
      { promptTokenCount: 50, promptTokensDetails: details(['AUDIO', 20], ['VIDEO', 10], ['DOCUMENT', 5]) },
      { input: 15, audioInput: 20 },
      15,
    ],
    [
      'film over the total',
      { promptTokenCount: 9, promptTokenDetails: details(['AUDIO', 8], ['VIDEO', 5], ['IMAGE', 8]) },
      { audioInput: 4 },
      5,
    ],
    [
      'parts over the total',
      { promptTokenCount: 10, promptTokenDetails: details(['AUDIO', 8], ['IMAGE', 8]) },
      { audioInput: 8, imageInput: 2 },
    ],
    [
      'nonsense',
      { promptTokenCount: 3, promptTokenDetails: [null, 7, { modality: 'AUDIO', tokenCount: -9 }] },
      { input: 3 },
    ],
  ])('with %s has disjoint classes', (_name, counts, expected, film) => {
    const usage = usageOf({ ...expected, requests: 1 })
    const alsoFilm = film
      ? { otherUsage: [{ usage: usageOf({ imageInput: film }), model: 'gemini-embedding-2-video' }] }
      : {}
    expect(used(counts)).toEqual({
      metered: { usage, ...alsoFilm, reasoningTokens: 0, model: null, serviceTier: null },
      finished: true,
    })
  })

  test.each([undefined, null, {}, [], { promptTokenCount: 0 }, { promptTokenCount: '8' }])(
    'with usage %j does not say',
    (counts) => expect(used(counts)).toEqual({ metered: undefined, finished: true }),
  )

  test.each(['', '<html>', '{"usageMetadata":{"promptTokenCount":9}'])('of %j is none', (text) => {
    expect(hear(text)).toEqual({ metered: undefined, finished: false })
  })
})
