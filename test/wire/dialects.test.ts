// The list of dialects: all that the gateway derives from it, shown for a toy dialect that is in no list but the test's.

import { describe, expect, test } from 'vitest'
import { answersInVectors } from '../../src/core/open-calls.ts'
import type { Dialect } from '../../src/wire/dialect.ts'
import { postEndpoint } from '../../src/wire/endpoint.ts'
import { forwardedQuery } from '../../src/wire/headers.ts'
import {
  CALL_ROUTES,
  type DialectName,
  dialectAt,
  dialectNamed,
  dialectNamesOf,
  routesOf,
  servedDialect,
} from '../../src/wire/index.ts'
import { openaiChat } from '../../src/wire/openai/chat.ts'
import { lineTo } from './samples.ts'

const NAMES: readonly DialectName[] = [
  ...dialectNamesOf('openai'),
  ...dialectNamesOf('anthropic'),
  ...dialectNamesOf('gemini'),
]
const DIALECTS = NAMES.map(dialectNamed)

describe('a toy dialect', () => {
  const toy: Dialect<'openai.echo'> = {
    ...openaiChat,
    name: 'openai.echo',
    endpoint: postEndpoint('/v1/echo'),
    upstreamPath: (_model, line) => `/echo${forwardedQuery(line.query)}`,
  }
  const withToy = [...DIALECTS, toy]

  test('in the list has a route of its own', () => {
    expect(routesOf(withToy)).toEqual([...routesOf(DIALECTS), ['POST', '/v1/echo']])
  })

  test('in the list is served at its path and found below any prefix', () => {
    expect(servedDialect('POST', '/v1/echo', withToy)).toBe(toy)
    expect(dialectAt('/openai/v1/echo', withToy)).toBe(toy)
    expect(servedDialect('GET', '/v1/echo', withToy)).toBeUndefined()
    expect(servedDialect('POST', '/openai/v1/echo', withToy)).toBeUndefined()
    expect(servedDialect('POST', '/v1/chat/completions', withToy)).toBe(openaiChat)
  })

  test('in no list is unknown', () => {
    expect(servedDialect('POST', '/v1/echo')).toBeUndefined()
    expect(dialectAt('/v1/echo')).toBeUndefined()
  })
})

describe('the dialects', () => {
  test('have names of their own, each of a known vendor', () => {
    expect(new Set(NAMES).size).toBe(NAMES.length)
    expect(routesOf(DIALECTS).toSorted()).toEqual(CALL_ROUTES.toSorted())
  })

  test.each(NAMES)('%s answers in vectors exactly if its name says so', (name) => {
    const paths: Partial<Record<DialectName, string>> = {
      'openai.stored': '/v1/responses/resp_1',
      'gemini.embedContent': '/v1beta/models/m:embedContent',
    }
    const body = Buffer.from(name.startsWith('gemini.') ? '{}' : '{"model":"m","input":"x"}')
    const { facts } = dialectNamed(name).readRequest(body, lineTo(paths[name] ?? '/v1beta/models/m:generateContent'))
    expect(facts.kind === 'embed').toBe(answersInVectors(name))
  })

  test.each([
    ['POST', '/v1/chat/completions', 'openai.chat'],
    ['POST', '/v1/responses', 'openai.responses'],
    ['POST', '/v1/responses/resp_1/cancel', 'openai.stored'],
    ['GET', '/v1/responses/responses', 'openai.stored'],
    ['POST', '/v1/models/google/gemini:countTokens', 'gemini.countTokens'],
    ['POST', '/v1alpha/models/m:batchEmbedContents', 'gemini.embedContent'],
    ['POST', '/v2/models/m:generateContent', undefined],
    ['POST', '/x/v1beta/models/m:generateContent', undefined],
    ['POST', '/chat/completions', undefined],
    ['GET', '/v1/messages', undefined],
    ['POST', '/v1/messages/', undefined],
  ])('%s %s is a call in %s', (method, path, name) => {
    expect(servedDialect(method, path)?.name).toBe(name)
  })
})
