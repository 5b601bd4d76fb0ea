// OpenAI embeddings: how many inputs there are and how long they can be, and what the answer says was used.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { usageOf } from '../../../src/core/usage.ts'
import { openaiEmbeddings } from '../../../src/wire/openai/embeddings.ts'
import { newDraft } from '../../../src/wire/request-reader.ts'
import { bodies, diffBytes, lineTo } from '../samples.ts'
import { bytewise, feed } from '../streams.ts'

const LINE = lineTo('/v1/embeddings')
const read = (body: unknown) =>
  openaiEmbeddings.readRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), LINE)
const askOf = (fields: object) => read({ model: 'text-embedding-3-small', ...fields }).facts

describe('the ask', () => {
  test('of a bare call is its model and its bytes', () => {
    const body = { model: 'm', input: 'Hi', encoding_format: 'base64', dimensions: 8 }
    const draft = newDraft(JSON.stringify(body).length)
    expect(read(body).facts).toEqual({ ...draft, kind: 'embed', model: 'm', depth: 1 })
  })

  test.each([
    ['a text', 'Hi', 1],
    ['no text', '', 1],
    ['a list of texts', ['a', 'b', 'c'], 3],
    ['token ids', [1, 2, 3], 1],
    ['lists of token ids', [[1, 2], [3]], 2],
    ['an empty list', [], 1],
    ['a mixture', ['a', 1, 2, [3]], 3],
    ['nothing much', [null, []], 2],
  ])('of %s counts its inputs', (_name, input, prompts) => {
    expect(askOf({ input })).toMatchObject({ prompts, answers: 1, unsizedInput: false })
  })

  test.each([
    [[{ image: 'https://x/y' }], 1],
    [[{ text: 'a' }, { image: 'https://x/y' }], 2],
    [[['a', { type: 'image_url' }]], 1],
  ])('of %j has no size', (input, prompts) => {
    expect(askOf({ input })).toMatchObject({ prompts, unsizedInput: true, audioInput: true })
  })

  test('has more bytes than there are token ids, however the ids are written', () => {
    const ids = fc.array(fc.nat(200_000), { minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(fc.oneof(ids, fc.array(ids, { minLength: 1 })), (input) => {
        const { textBytes } = askOf({ input })
        expect(textBytes).toBeGreaterThanOrEqual(2 * input.flat().length)
      }),
    )
  })

  test('names the end user', () => expect(askOf({ input: 'a', user: 'ada' }).user).toBe('ada'))
})

describe('what cannot be metered is refused by the field at fault:', () => {
  test.each([
    [{ input: undefined }, 'input'],
    [{ input: null }, 'input'],
    [{ input: 7 }, 'input'],
    [{ input: { text: 'a' } }, 'input'],
    [{ model: '', input: 'a' }, 'model'],
    [{ model: undefined, input: 'a' }, 'model'],
    [{ INPUT: ['a'], input: 'a' }, 'input'],
  ])('%j', (fields, param) => {
    expect(() => askOf(fields)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })

  test.each(['{"model":"m","input":"a","input":"b"}', '{"model":"m","model":"n","input":"b"}'])('%s', (body) => {
    expect(() => read(body)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  test.each(['', '[]', '{"model":"m","input":[1,', '{"model":"m","input":"a"}}'])('%j is no request', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'invalid_json' }))
  })
})

test('an edit replaces the model and nothing else', () => {
  const members = [
    ['model', '"a/b"'],
    ['input', '["é",[1]]'],
  ] as const
  fc.assert(
    fc.property(bodies(members), (body) => {
      const reading = openaiEmbeddings.readRequest(body, LINE)
      expect(reading.edit({})).toBe(body)
      const edited = reading.edit({ model: 'ü' })
      expect(JSON.parse(edited.toString())).toEqual({ ...JSON.parse(body.toString()), model: 'ü' })
      expect('"a/b"').toContain(diffBytes(body, edited).gone)
    }),
  )
})

test('is asked for at its own path, without the key of the caller', () => {
  expect(openaiEmbeddings.upstreamPath('m', lineTo('/v1/embeddings', 'key=k&a=1'))).toBe('/embeddings?a=1')
})

describe('an answer', () => {
  const hear = (text: string, size = 1_000) => {
    const tap = openaiEmbeddings.createTap(false, 'application/json', false)
    const { out, ends } = feed(tap, bytewise(Buffer.from(text), size))
    expect(out.toString()).toBe(text)
    return { metered: tap.answerUsage(), finished: ends[0] }
  }
  const answer = (usage: unknown) => JSON.stringify({ data: [{ embedding: [1, 2] }], model: 'm-2', usage })

  test.each([
    ['prompt and total', { prompt_tokens: 8, total_tokens: 8 }, 8],
    ['the total alone', { total_tokens: 3 }, 3],
    ['the prompt alone', { prompt_tokens: 7, cost: {} }, 7],
    ['two counts that differ', { prompt_tokens: 3, total_tokens: 5, completion_tokens: 0 }, 5],
    ['half nonsense', { prompt_tokens: -4, total_tokens: 2.9 }, 2],
  ])('with %s is all input', (_name, usage, input) => {
    const expected = { usage: usageOf({ input, requests: 1 }), reasoningTokens: 0, model: 'm-2', serviceTier: null }
    for (const size of [1, 7, 1_000]) expect(hear(answer(usage), size)).toEqual({ metered: expected, finished: true })
  })

  test.each([undefined, null, {}, [], 7, { prompt_tokens: 0, total_tokens: 0 }, { total_tokens: '9' }])(
    'with usage %j does not say',
    (usage) => expect(hear(answer(usage))).toEqual({ metered: undefined, finished: true }),
  )

  test.each(['', '<html>', '{"usage":{"prompt_tokens":9}', '{"usage":{"prompt_tokens":9}}}'])(
    'of %j is none',
    (text) => {
      expect(hear(text)).toEqual({ metered: undefined, finished: false })
    },
  )
})
