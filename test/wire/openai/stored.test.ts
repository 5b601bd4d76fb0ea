// Stored responses: which requests are for one, what of them goes on, and answers that use nothing whatever they say.

import { describe, expect, test } from 'vitest'
import { quote } from '../../../src/core/quote.ts'
import { usageOf } from '../../../src/core/usage.ts'
import { openai } from '../../../src/providers/openai.ts'
import { dialectNamed, servedDialect } from '../../../src/wire/index.ts'
import { openaiStored } from '../../../src/wire/openai/stored.ts'
import { recordingsOf } from '../../support/recordings.ts'
import { lineTo } from '../samples.ts'
import { bytewise, feed } from '../streams.ts'

const ID = 'resp_0A-z'
const RESPONSE_PATH = `/v1/responses/${ID}`
const NO_USAGE = { usage: usageOf(), reasoningTokens: 0, model: null, serviceTier: null }
const streaming = () => openaiStored.createTap(true, 'text/event-stream; charset=utf-8', false)

test.each([
  ['GET', RESPONSE_PATH, true],
  ['DELETE', RESPONSE_PATH, true],
  ['GET', `${RESPONSE_PATH}/input_items`, true],
  ['POST', `${RESPONSE_PATH}/cancel`, true],
  ['GET', `/v1/responses/${'a'.repeat(128)}`, true],
  ['GET', `/v1/responses/${'a'.repeat(129)}`, false],
  ['POST', RESPONSE_PATH, false],
  ['PUT', RESPONSE_PATH, false],
  ['HEAD', RESPONSE_PATH, false],
  ['GET', `${RESPONSE_PATH}/cancel`, false],
  ['POST', `${RESPONSE_PATH}/input_items`, false],
  ['DELETE', `${RESPONSE_PATH}/cancel`, false],
  ['GET', '/v1/responses', false],
  ['GET', '/v1/responses/', false],
  ['GET', `${RESPONSE_PATH}/`, false],
  ['GET', `${RESPONSE_PATH}\n`, false],
  ['GET', `/v1/responses/${ID}/../x`, false],
  ['GET', '/v1/responses/..', false],
  ['GET', '/v1/responses/a.b', false],
  ['GET', '/v1/responses/a%2Fb', false],
  ['GET', '/v1/responses/é', false],
  ['GET', `/x${RESPONSE_PATH}`, false],
  ['GET', `/v2/responses/${ID}`, false],
])('%s %j is for a stored response: %s', (method, path, is) => {
  expect(servedDialect(method, path)).toBe(is ? openaiStored : undefined)
})

test('has a name', () => {
  expect(dialectNamed('openai.stored')).toBe(openaiStored)
})

describe('a request', () => {
  const { rules } = openai.open({ apiKey: '', baseUrl: 'http://127.0.0.1', model: '' })

  test.each(['', '{}', '{', '\x00', '{"model":"gpt-4o","stream":true}'])('with the body %j has none', (body) => {
    const reading = openaiStored.readRequest(Buffer.from(body), lineTo(RESPONSE_PATH))
    expect(reading.facts).toMatchObject({ kind: 'count', model: 'stored', stream: false, unbounded: [] })
    expect(reading.edit({ cap: { field: 'max_output_tokens', tokens: 1 }, model: 'other' })).toHaveLength(0)
    const settings = { defaultMaxOutputTokens: 4_096, tokenReservation: 'worst' } as const
    const quoted = quote(reading.facts, { price: undefined, limits: undefined }, rules, settings)
    expect(quoted).toMatchObject({ tokens: 0, costNanoUsd: 0n, injectedCap: null })
  })

  test.each([
    ['', false],
    ['stream=false', false],
    ['stream=False', false],
    ['include=stream', false],
    ['stream=true&starting_after=3', true],
    ['starting_after=3&stream=1', true],
  ])('with the query %j asks for a stream: %s, and never for usage', (query, stream) => {
    const { facts, requestsUsage } = openaiStored.readRequest(Buffer.alloc(0), lineTo(RESPONSE_PATH, query))
    expect([facts.stream, requestsUsage]).toEqual([stream, true])
  })

  test.each(['', '/cancel', '/input_items'])('goes on as it came, but for the key: %j', (rest) => {
    const line = lineTo(RESPONSE_PATH + rest, 'include[]=a%20b&key=secret&stream=true&starting_after=3')
    const query = 'include[]=a%20b&stream=true&starting_after=3'
    expect(openaiStored.upstreamPath('stored', line)).toBe(`/responses/${ID}${rest}?${query}`)
  })

  test.each([
    '/v1/responses/..',
    '/v1/responses/a%2Fb',
    '/v1/responses',
    `${RESPONSE_PATH}/x`,
    `/v1/a/..${RESPONSE_PATH}`,
  ])('to %s is not read, and leads nowhere', (path) => {
    const notFound = expect.objectContaining({ code: 'not_found', status: 404 })
    expect(() => openaiStored.readRequest(Buffer.alloc(0), lineTo(path))).toThrow(notFound)
    expect(() => openaiStored.upstreamPath('stored', lineTo(path))).toThrow(notFound)
  })
})

const USAGE = '"usage":{"input_tokens":7,"output_tokens":9}'
const event = (type: string, response = '') =>
  `event: ${type}\ndata: {"type":"${type}"${response && `,"response":{${response}}`}}\n\n`
const CREATED = event('response.created', '"status":"queued","usage":null')

describe('an answer', () => {
  test.each([`{"id":"r",${USAGE}}`, '{"status":"failed"}', '{"id":"r","deleted":true}', '', '<html>'])(
    'of %j used nothing',
    (text) => {
      for (const asked of [true, false]) {
        const tap = openaiStored.createTap(asked, 'application/json', false)
        expect(feed(tap, bytewise(Buffer.from(text), 3)).out.toString()).toBe(text)
        expect(tap.answerUsage()).toEqual(NO_USAGE)
        expect([tap.isDocument, tap.finished, tap.failed]).toEqual([true, true, false])
      }
    },
  )

  test.each([
    ['completed', CREATED + event('response.completed', USAGE), [true, true, false]],
    ['incomplete', CREATED + event('response.incomplete', USAGE), [true, true, false]],
    ['failed, which it says', CREATED + event('response.failed', '"error":{}'), [true, true, true]],
    ['over before it was asked for', '', [true, false, false]],
    ['broken off', CREATED, [false, false, false]],
    ['an error', 'event: error\ndata: {"type":"error","code":"x"}\n\n', [false, false, true]],
  ])('as a stream that is %s used nothing, wherever it is cut', (_, text, ends) => {
    const bytes = Buffer.from(text)
    for (let size = 1; size <= bytes.length + 1; size++) {
      const tap = streaming()
      const fed = feed(tap, bytewise(bytes, size))
      expect([fed.out.toString(), fed.ends, tap.isDocument]).toEqual([text, ends, false])
      expect(tap.answerUsage()).toEqual(NO_USAGE)
    }
  })

  test('that has not begun is not over', () => {
    expect(streaming().finished).toBe(false)
  })
})

test.each(recordingsOf('openai.responses_retrieve'))('$file used nothing', ({ request, response }) => {
  const [path = '', query = ''] = (request?.path ?? '').split('?')
  expect(servedDialect('GET', path)).toBe(openaiStored)
  expect(openaiStored.readRequest(Buffer.alloc(0), lineTo(path, query)).facts.stream).toBe(false)
  const tap = openaiStored.createTap(false, response.headers['content-type'] ?? '', false)
  expect(feed(tap, bytewise(Buffer.from(response.body), 61)).out.toString()).toBe(response.body)
  expect(tap.answerUsage()).toEqual(NO_USAGE)
})
