// OpenRouter's `provider`: which choices can lead to a dearer provider than the price list has.

import { expect, test } from 'vitest'
import type { Dialect } from '../../../src/wire/dialect.ts'
import { openaiChat } from '../../../src/wire/openai/chat.ts'
import { openaiCompletions } from '../../../src/wire/openai/completions.ts'
import { openaiEmbeddings } from '../../../src/wire/openai/embeddings.ts'
import { openaiResponses } from '../../../src/wire/openai/responses.ts'
import { lineTo } from '../samples.ts'

const INPUTS = { messages: [{ role: 'user', content: 'Hi' }], prompt: 'Hi', input: 'Hi' }
const INPUT_OF: Readonly<Record<string, keyof typeof INPUTS>> = {
  'openai.chat': 'messages',
  'openai.completions': 'prompt',
  'openai.embeddings': 'input',
  'openai.responses': 'input',
}
const read = ({ readRequest, name }: Dialect, provider: unknown) => {
  const field = INPUT_OF[name] ?? 'input'
  const body = { model: 'openai/gpt-4o', [field]: INPUTS[field], provider }
  return readRequest(Buffer.from(JSON.stringify(body)), lineTo('/v1')).facts.unbounded
}

test.each([
  ['speed', { sort: 'throughput' }],
  ['speed, in the longer form', { sort: { by: 'latency', partition: 'none' } }],
  ['an order', { order: ['azure'], allow_fallbacks: false }],
  ['some alone', { only: ['azure'] }],
  ['all but some', { ignore: ['deepinfra'] }],
  ['a quantization', { quantizations: ['fp16'] }],
  ['who keeps no data', { data_collection: 'deny' }],
  ['who keeps nothing', { zdr: true }],
  ['who knows every parameter', { require_parameters: true }],
  ['a throughput', { preferred_min_throughput: 50 }],
  ['a field of the future', { max_price: { prompt: 1 }, nearest: true }],
  ['a name', 'azure'],
])('a choice by %s makes the cost of a call unbounded', (_what, provider) => {
  for (const dialect of [openaiChat, openaiResponses, openaiCompletions, openaiEmbeddings])
    expect([dialect.name, read(dialect, provider)]).toEqual([dialect.name, ['provider']])
})

test.each([
  ['of null', null],
  ['of nothing', {}],
  ['of the cheapest', { sort: 'price', max_price: { prompt: 1, completion: 2 }, allow_fallbacks: true }],
  ['of the cheapest, in the longer form', { sort: { by: 'price', partition: 'model' } }],
  ['by the usual values', { order: [], only: null, data_collection: 'allow', require_parameters: false, sort: null }],
])('a choice %s leaves the cost of a call as it is', (_what, provider) => {
  for (const dialect of [openaiChat, openaiResponses, openaiCompletions, openaiEmbeddings])
    expect([dialect.name, read(dialect, provider)]).toEqual([dialect.name, []])
})

test('fallback models of a completion make its cost unbounded, too', () => {
  const body = { model: 'openai/gpt-4o', prompt: 'Hi', models: ['openai/o1'] }
  const { facts } = openaiCompletions.readRequest(Buffer.from(JSON.stringify(body)), lineTo('/v1/completions'))
  expect(facts.unbounded).toEqual(['models'])
})
