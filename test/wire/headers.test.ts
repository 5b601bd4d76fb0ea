// Headers of answers: what is dropped, whatever a provider calls it.

import { describe, expect, test } from 'vitest'
import type { HeaderList } from '../../src/wire/dialect.ts'
import { headersForCaller, listsHeaders, withoutListedHeaders } from '../../src/wire/headers.ts'

const PROVIDER = { keepsRetryAfter: false, keepsCrossOrigin: false }
const HANDLER = { keepsRetryAfter: false, keepsCrossOrigin: true }

const headersOf = (...names: string[]): HeaderList => names.flatMap((name) => [name, '7'])

describe('headers of an answer', () => {
  test.each([
    ['of the connection', 'keep-alive', 'proxy-authenticate', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
    ['who may read it in a browser', 'access-control-allow-origin', 'access-control-allow-credentials'],
    ['of the provider’s address', 'set-cookie', 'strict-transport-security', 'alt-svc', 'clear-site-data', 'nel'],
    ['that lead elsewhere', 'location', 'refresh'],
    ['that a web server in front obeys', 'x-accel-redirect', 'x-sendfile', 'x-lighttpd-send-file', 'x-reproxy-url'],
    ['of the provider’s software and account', 'server', 'x-powered-by', 'openai-organization'],
    ['with names of ours', 'x-bursar-call-id', 'x-bursar-made-up'],
  ])('%s are dropped', (_kind, ...names) => {
    expect(headersForCaller(['x-request-id', '1', ...headersOf(...names), 'date', '2'], PROVIDER)).toEqual([
      'x-request-id',
      '1',
      'date',
      '2',
    ])
  })

  test('a handler of the gateway’s own app says who may read its answers', () => {
    const given = headersOf('access-control-allow-origin', 'server', 'vary')
    expect(headersForCaller(given, HANDLER)).toEqual(headersOf('access-control-allow-origin', 'vary'))
  })

  test('advice against a retry is passed on, and advice to retry is not', () => {
    for (const advice of ['true', 'TRUE', 'yes'])
      expect(headersForCaller(['x-should-retry', advice], PROVIDER)).toEqual([])
    expect(headersForCaller(['x-should-retry', 'false'], PROVIDER)).toEqual(['x-should-retry', 'false'])
  })

  test('those that Connection lists are dropped, in any case and in several lines', () => {
    const given = [
      'x-a',
      '1',
      'connection',
      'keep-alive, X-A ,x-ratelimit-b',
      ...headersOf('x-ratelimit-b', 'x-c', 'x-d'),
    ]
    expect(headersForCaller([...given, 'connection', ' X-D,, '], PROVIDER)).toEqual(['x-c', '7'])
    expect(headersForCaller([...given, 'retry-after', '3'], { ...PROVIDER, keepsRetryAfter: true })).toEqual([
      ...headersOf('x-c', 'x-d'),
      'retry-after',
      '3',
    ])
  })

  test('a body stays readable, whatever Connection lists', () => {
    const given = [
      'connection',
      'content-type, content-encoding, x-a',
      ...headersOf('content-type', 'content-encoding'),
    ]
    expect(headersForCaller([...given, 'x-a', '1'], PROVIDER)).toEqual(headersOf('content-type', 'content-encoding'))
  })
})

test('a usual Connection header takes no second pass', () => {
  for (const value of ['keep-alive', 'close', 'Keep-Alive', '']) expect(listsHeaders('Connection', value)).toBe(false)
  expect(listsHeaders('CONNECTION', 'upgrade, http2-settings')).toBe(true)
  expect(listsHeaders('connectiom', 'x-a')).toBe(false)
  expect(withoutListedHeaders(['Connection', 'X-A', 'x-a', '1', 'X-B', '2'])).toEqual(['X-B', '2'])
})
