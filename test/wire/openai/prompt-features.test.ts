// Fields with which a request brings its own template, or the like: its bytes bound no tokens then, at any endpoint that has them.

import { describe, expect, test } from 'vitest'
import type { Dialect } from '../../../src/wire/dialect.ts'
import { openaiChat } from '../../../src/wire/openai/chat.ts'
import { openaiCompletions } from '../../../src/wire/openai/completions.ts'
import { openaiEmbeddings } from '../../../src/wire/openai/embeddings.ts'
import { openaiResponses } from '../../../src/wire/openai/responses.ts'
import { PROMPT_FEATURES } from '../../../src/wire/request-reader.ts'
import { lineTo } from '../samples.ts'

const DIALECTS: readonly (readonly [Dialect, path: string, input: object])[] = [
  [openaiChat, '/v1/chat/completions', { messages: [] }],
  [openaiCompletions, '/v1/completions', { prompt: 'a' }],
  [openaiEmbeddings, '/v1/embeddings', { input: 'a' }],
  [openaiResponses, '/v1/responses', { input: 'a' }],
]

describe.each(DIALECTS)('$0.name', (dialect, path, input) => {
  const unboundedOf = (fields: object) => {
    const body = Buffer.from(JSON.stringify({ model: 'm', ...input, ...fields }))
    return dialect.readRequest(body, lineTo(path)).facts.unbounded
  }

  test.each([...PROMPT_FEATURES, 'extra_body'])('%s has no bound, unless it is empty', (name) => {
    for (const value of ['x', { a: 1 }, [1], 7, true]) expect(unboundedOf({ [name]: value })).toEqual([name])
    for (const value of [null, '', {}, []]) expect(unboundedOf({ [name]: value })).toEqual([])
  })
})

test('messages to embed are rendered by a template', () => {
  const body = Buffer.from('{"model":"m","input":"a","messages":[{"role":"user","content":"b"}]}')
  expect(openaiEmbeddings.readRequest(body, lineTo('/v1/embeddings')).facts.unbounded).toEqual(['messages'])
})
