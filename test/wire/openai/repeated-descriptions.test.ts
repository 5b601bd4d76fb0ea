import { expect, test } from 'vitest'
import { dialectNamed } from '../../../src/wire/index.ts'

const LINE = { method: 'POST', path: '/v1/chat/completions', query: '', header: () => undefined }
const NESTED = { type: 'object', description: '12345', properties: {} }

function repeatedOf(properties: object, more: object = {}): number {
  const parameters = { type: 'object', properties }
  const chat = { type: 'function', function: { name: 'f', description: 'long words', parameters, ...more } }
  const response = { type: 'function', name: 'f', description: 'long words', parameters, ...more }
  const bytes = (name: 'openai.chat' | 'openai.responses', body: object) =>
    dialectNamed(name).readRequest(Buffer.from(JSON.stringify({ model: 'm', ...body })), LINE).facts.repeatedBytes
  const repeated = bytes('openai.chat', { messages: [], tools: [chat] })
  expect(bytes('openai.responses', { input: 'x', tools: [response] })).toBe(repeated)
  return repeated
}

test.each<[string, object, number]>([
  ['none without objects', { a: { type: 'string', description: 'words' } }, 0],
  ['of an object', { a: NESTED }, 7],
  [
    'of objects in objects, and in lists',
    { a: { ...NESTED, properties: { b: NESTED } }, c: { type: 'array', description: 'xx', items: NESTED } },
    21,
  ],
  ['of objects that may be null', { a: { ...NESTED, type: ['object', 'null'] } }, 7],
  ['of objects without a type', { a: NESTED, b: { description: '12', properties: {} } }, 11],
  ['of objects among others', { a: { anyOf: [NESTED, { type: 'string', description: 'words' }] } }, 7],
  ['not of a property with that name', { description: { type: 'string' }, type: { type: 'object' } }, 0],
])('descriptions that are written twice: %s', (_what, properties, bytes) => {
  expect(repeatedOf(properties)).toBe(bytes)
})

test('an escape hides no object', () => {
  const schema = '{"type":"\\u006fbject","description":"12345"}'
  const body = `{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":${schema}}}}}]}`
  expect(dialectNamed('openai.chat').readRequest(Buffer.from(body), LINE).facts.repeatedBytes).toBe(7)
})
