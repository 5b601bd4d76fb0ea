// Adaptation: every row of the targets' tables, in requests of every other dialect. The answers' way back is in
// matrix/restored-answers.test.ts.

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EFFORTS, type JsonObject } from '../../src/core/chat.ts'
import { isRecord, recordOf } from '../../src/core/json-values.ts'
import { translatorOf } from '../../src/translate/index.ts'
import { OPENAI_EFFORTS } from '../../src/translate/openai/target-rules.ts'
import { adaptSchema } from '../../src/translate/schemas.ts'
import type { SchemaRules } from '../../src/translate/target-rules.ts'
import { Translation } from '../../src/translate/translation.ts'
import { lineTo } from '../wire/samples.ts'
import { catchProblem } from './catch-problem.ts'
import { junk } from './openai/junk.ts'

const NAMES = ['openai.chat', 'anthropic.messages', 'gemini.generateContent'] as const
type Name = (typeof NAMES)[number]
const MODELS: Readonly<Record<Name, string>> = {
  'openai.chat': 'gpt-5.2',
  'anthropic.messages': 'claude-sonnet-4-5',
  'gemini.generateContent': 'gemini-3.5-flash',
}
const PATHS: Readonly<Record<Name, string>> = {
  'openai.chat': '/v1/chat/completions',
  'anthropic.messages': '/v1/messages',
  'gemini.generateContent': '/v1beta/models/m:generateContent',
}
const HI: Readonly<Record<Name, JsonObject>> = {
  'openai.chat': { model: 'm', messages: [{ role: 'user', content: 'Hi' }] },
  'anthropic.messages': { model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'Hi' }] },
  'gemini.generateContent': { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] },
}
const PAIRS = NAMES.flatMap((caller) =>
  NAMES.filter((name) => name !== caller).map((target) => [caller, target] as const),
)

function translatorNamed(name: Name) {
  const translator = translatorOf(name)
  if (!translator) throw new Error(`no translator of ${name}`)
  return translator
}

function translate(caller: Name, target: Name, fields: object, model = MODELS[target]) {
  const translation = new Translation(translatorNamed(caller), translatorNamed(target))
  const body = Buffer.from(JSON.stringify({ ...HI[caller], ...fields }))
  const written = translation.translateRequest(body, lineTo(PATHS[caller]), {
    model,
    capField: 'max_completion_tokens',
    defaultCap: 4_096,
  })
  return { ...written, text: written.body.toString(), json: recordOf(JSON.parse(written.body.toString())) }
}

const CACHED = { type: 'ephemeral' }
const CALL = { id: 'c1', type: 'function', function: { name: 't', arguments: '{}' } }
const calling = (message: JsonObject, result: JsonObject = {}) => ({
  messages: [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'a', tool_calls: [CALL], ...message },
    { role: 'tool', tool_call_id: 'c1', content: 'r', ...result },
  ],
})
const used = (block: JsonObject, more: JsonObject = {}, message: JsonObject = {}) => ({
  messages: [
    { role: 'user', content: 'Hi' },
    {
      role: 'assistant',
      content: [{ type: 'text', text: 'a' }, { type: 'tool_use', id: 'u1', name: 't', input: {}, ...more }, block],
      ...message,
    },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'u1', content: 'r' }] },
  ],
})
const TEXT = { type: 'text', text: 'b' }
const spoken = (part: JsonObject, content: JsonObject = {}) => ({
  contents: [
    { role: 'user', parts: [{ text: 'Hi' }] },
    { role: 'model', parts: [{ text: 'a' }, part], ...content },
    { role: 'user', parts: [{ text: 'So?' }] },
  ],
})
const PICTURE = 'data:image/png;base64,iVBORw0KGgo='

/** What SDKs, our own answers and other providers put into a history, and the name under which it is reported; none if it is carried. */
const ECHOES: readonly (readonly [Name, string, object, string?])[] = [
  ...[
    'parsed',
    'provider_specific_fields',
    'provider_metadata',
    'reasoning_opaque',
    'reasoning_details',
    'annotations',
  ].map((name) => ['openai.chat', name, calling({ [name]: [{ a: 1 }] }), name] as const),
  ...['id', 'status', 'index', 'channel', 'created_at', 'a_field_of_tomorrow'].map(
    (name) => ['openai.chat', name, calling({ [name]: 'x' }), name] as const,
  ),
  ['openai.chat', 'audio', calling({ audio: { id: 'a' } }), 'audio'],
  ['openai.chat', 'refusal: null', calling({ refusal: null, function_call: null, audio: null })],
  [
    'openai.chat',
    'parsed_arguments',
    calling({ tool_calls: [{ ...CALL, function: { ...CALL.function, parsed_arguments: { a: 1 } } }] }),
    'function.parsed_arguments',
  ],
  [
    'openai.chat',
    'parsed_arguments: null',
    calling({ tool_calls: [{ ...CALL, function: { ...CALL.function, parsed_arguments: null } }] }),
  ],
  [
    'openai.chat',
    'a field of a call',
    calling({ tool_calls: [{ ...CALL, index: 0, provider_metadata: { a: 1 } }] }),
    'provider_metadata',
  ],
  ['openai.chat', 'a status of a result', calling({}, { status: 'ok', name: 't' }), 'status'],
  ['openai.chat', 'a result of an unknown kind', calling({}, { content: [{ type: 'resource', uri: 'x' }] })],
  ['openai.chat', 'a failed result', calling({}, { is_error: true })],
  [
    'openai.chat',
    'a call in the older form',
    {
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: null, function_call: CALL.function },
        { role: 'function', name: 't', content: 'r' },
      ],
    },
  ],
  [
    'openai.chat',
    'a call of a custom tool',
    calling({ tool_calls: [{ id: 'c1', type: 'custom', custom: { name: 'c', input: 'i' } }] }),
  ],
  ['openai.chat', 'a field of a text', { messages: [{ role: 'user', content: [{ ...TEXT, id: 'x' }] }] }, 'id'],
  [
    'openai.chat',
    'a field of an image',
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: PICTURE, odd: 1 } }] }] },
    'image_url.odd',
  ],
  ['anthropic.messages', 'a whole message', used(TEXT, {}, { id: 'msg_1', usage: { input_tokens: 1 } }), 'usage'],
  ['anthropic.messages', 'citations', used({ ...TEXT, citations: [{ type: 'page_location' }] }), 'citations'],
  [
    'anthropic.messages',
    'a caller',
    used(TEXT, { caller: { type: 'code_execution_20260120', tool_id: 's' } }),
    'caller',
  ],
  ['anthropic.messages', 'a field of a call', used(TEXT, { odd: 1 }), 'odd'],
  [
    'anthropic.messages',
    'a search',
    used({ type: 'server_tool_use', id: 's', name: 'web_search', input: {} }),
    'server_tool_use',
  ],
  [
    'anthropic.messages',
    'what a search found',
    used({ type: 'web_search_tool_result', tool_use_id: 's', content: [] }),
    'web_search_tool_result',
  ],
  ['gemini.generateContent', 'a field of a part', spoken({ text: 'b', odd: 1 }), 'odd'],
  [
    'gemini.generateContent',
    'a field of a call',
    spoken({ functionCall: { name: 't', args: {}, odd: 1 } }),
    'functionCall.odd',
  ],
  ['gemini.generateContent', 'a field of a content', spoken({ text: 'b' }, { odd: 1 }), 'odd'],
  ['gemini.generateContent', 'code', spoken({ executableCode: { language: 'PYTHON', code: '1' } }), 'executableCode'],
]

describe('what a history echoes is never a need', () => {
  const rows = ECHOES.flatMap(([caller, what, fields, name]) =>
    NAMES.filter((target) => target !== caller).map((target) => ({ caller, target, what, fields, name })),
  )
  test.each(rows)('$caller > $target: $what', ({ caller, target, fields, name }) => {
    expect(translate(caller, target, fields).dropped).toEqual(name === undefined ? [] : expect.arrayContaining([name]))
  })

  test('a failed result stays a failed one, and signatures of routers reach Gemini', () => {
    expect(translate('openai.chat', 'anthropic.messages', calling({}, { is_error: true })).text).toContain(
      '"is_error":true',
    )
    for (const fields of [{ thought_signature: 's1' }, { provider_specific_fields: { thought_signature: 's1' } }]) {
      const { text } = translate(
        'openai.chat',
        'gemini.generateContent',
        calling({ tool_calls: [{ ...CALL, ...fields }] }),
      )
      expect(text).toContain('"thoughtSignature":"s1"')
    }
  })

  test('images that a model made are left out where no message of the assistant holds them', () => {
    const fields = calling({ images: [{ type: 'image_url', image_url: { url: PICTURE } }] })
    expect(translate('openai.chat', 'gemini.generateContent', fields).text).toContain('"inlineData"')
    expect(translate('openai.chat', 'anthropic.messages', fields).dropped).toEqual(['image_url'])
    expect(
      translate(
        'gemini.generateContent',
        'openai.chat',
        spoken({ inlineData: { mimeType: 'image/png', data: 'AA==' } }),
      ).dropped,
    ).toEqual(['inlineData'])
  })

  test('arguments that are no JSON object are the only argument', () => {
    const broken = calling({ tool_calls: [{ ...CALL, function: { name: 't', arguments: '{"a":' } }] })
    for (const target of ['anthropic.messages', 'gemini.generateContent'] as const) {
      const { text, adapted } = translate('openai.chat', target, broken)
      expect([text, adapted]).toEqual([
        expect.stringContaining('{"arguments":"{\\"a\\":"}'),
        ['tool_calls.function.arguments'],
      ])
    }
  })

  test('a search for tools is left out, because every tool is sent', () => {
    const search = { type: 'tool_search_tool_regex_20251119', name: 'tool_search_tool_regex' }
    for (const target of ['openai.chat', 'gemini.generateContent'] as const) {
      const { json, dropped } = translate('anthropic.messages', target, { tools: [search] })
      expect([json.tools, dropped]).toEqual([undefined, [search.type]])
    }
  })

  test('a tool that a search found is text', () => {
    const found = used(TEXT)
    const content = [{ type: 'tool_reference', tool_name: 'WebFetch' }]
    const fields = {
      messages: [
        ...found.messages.slice(0, 2),
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'u1', content }] },
      ],
    }
    for (const target of ['openai.chat', 'gemini.generateContent'] as const)
      expect(translate('anthropic.messages', target, fields).text).toContain('The tool WebFetch is available now.')
    // By the name under which the tool is sent.
    const long = `mcp__${'x'.repeat(80)}`
    const longContent = [{ type: 'tool_reference', tool_name: long }]
    const [, , last] = fields.messages
    const { json, text } = translate('anthropic.messages', 'openai.chat', {
      tools: [{ name: long, defer_loading: true, input_schema: { type: 'object' } }],
      messages: [
        ...fields.messages.slice(0, 2),
        { ...last, content: [{ type: 'tool_result', tool_use_id: 'u1', content: longContent }] },
      ],
    })
    const [tool] = Array.isArray(json.tools) ? json.tools.map(recordOf) : []
    expect(text).toContain(`The tool ${String(recordOf(tool?.function).name)} is available now.`)
    expect(text).not.toContain(long)
  })
})

const SAMPLES: Readonly<Record<string, unknown>> = {
  minLength: 1,
  maxLength: 9,
  pattern: '^a',
  format: 'color',
  minimum: 1,
  maximum: 9,
  exclusiveMinimum: 0,
  exclusiveMaximum: 10,
  multipleOf: 2,
  minItems: 2,
  maxItems: 3,
  uniqueItems: true,
  minProperties: 1,
  maxProperties: 2,
  default: 'x',
  examples: ['x'],
  not: { type: 'null' },
  contains: { type: 'string' },
  patternProperties: { '^x': { type: 'string' } },
  propertyNames: { maxLength: 3 },
  if: { type: 'string' },
  dependentRequired: { a: ['b'] },
  readOnly: true,
  contentEncoding: 'base64',
  unevaluatedProperties: false,
}
const IN_FORMAT: Readonly<Record<Name, (schema: JsonObject) => object>> = {
  'openai.chat': (schema) => ({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } }),
  'anthropic.messages': (schema) => ({ output_config: { format: { type: 'json_schema', schema } } }),
  'gemini.generateContent': (schema) => ({
    generationConfig: { responseMimeType: 'application/json', responseJsonSchema: schema },
  }),
}
const IN_TOOL: Readonly<Record<Name, (schema: JsonObject, strict?: boolean) => object>> = {
  'openai.chat': (parameters, strict) => ({
    tools: [{ type: 'function', function: { name: 'f', parameters, ...(strict && { strict }) } }],
  }),
  'anthropic.messages': (schema, strict) => ({
    tools: [{ name: 'f', input_schema: schema, ...(strict && { strict }) }],
  }),
  'gemini.generateContent': (schema) => ({
    tools: [{ functionDeclarations: [{ name: 'f', parametersJsonSchema: schema }] }],
  }),
}
const FORMAT_FIELDS = {
  'openai.chat': 'response_format',
  'anthropic.messages': 'output_config.format',
  'gemini.generateContent': 'generationConfig.responseMimeType',
}

/** The first schema in a request's JSON that holds `marker` among its properties. */
function schemaWith(value: unknown, marker: string): JsonObject | undefined {
  if (Array.isArray(value)) return value.map((inner) => schemaWith(inner, marker)).find((found) => found)
  if (!isRecord(value)) return undefined
  if (isRecord(value.properties) && Object.hasOwn(value.properties, marker)) return value
  return Object.values(value)
    .map((inner) => schemaWith(inner, marker))
    .find((found) => found)
}

describe('schemas', () => {
  const inside = (inner: JsonObject): JsonObject => ({
    type: 'object',
    properties: {
      list: { type: 'array', items: { type: 'object', properties: { marker: inner }, required: ['marker'] } },
    },
    required: ['list'],
  })

  describe.each(PAIRS)('%s > %s', (caller, target) => {
    const { rules } = translatorNamed(target)
    const places: [string, (schema: JsonObject) => object, SchemaRules][] = [
      ['a format', IN_FORMAT[caller], rules.strictOutputSchema ?? rules.outputSchema],
      ['a tool', IN_TOOL[caller], rules.toolSchema],
      ...(rules.strictToolSchema && caller !== 'gemini.generateContent'
        ? [
            ['a strict tool', (schema: JsonObject) => IN_TOOL[caller](schema, true), rules.strictToolSchema] as [
              string,
              (schema: JsonObject) => object,
              SchemaRules,
            ],
          ]
        : []),
    ]
    test.each(places)(
      '%s keeps each accepted keyword and says the others in the description',
      (_place, fieldsOf, { keywords, formats, maxMinItems }) => {
        for (const [keyword, value] of Object.entries(SAMPLES)) {
          const { json, adapted } = translate(
            caller,
            target,
            fieldsOf(inside({ type: 'string', description: 'd', [keyword]: value })),
          )
          const marker = recordOf(recordOf(schemaWith(json, 'marker')?.properties).marker)
          const isRefusedValue =
            (keyword === 'format' && formats && !formats.has(String(value))) ||
            (keyword === 'minItems' && Number(value) > (maxMinItems ?? Number.POSITIVE_INFINITY))
          if ((!keywords || keywords.has(keyword)) && !isRefusedValue)
            expect([keyword, marker[keyword]]).toEqual([keyword, value])
          else {
            expect([keyword, marker[keyword], marker.description]).toEqual([
              keyword,
              undefined,
              `d\n\n{${keyword}: ${JSON.stringify(value)}}`,
            ])
            expect(adapted).not.toEqual([])
          }
        }
      },
    )

    test('a tool has an object at its root, and no combination of schemas', () => {
      const any = {
        type: 'object',
        properties: { a: { type: 'string' } },
        anyOf: [{ required: ['a'] }, { properties: { b: { type: 'null' } }, required: ['b'] }],
      }
      const { json, adapted } = translate(caller, target, IN_TOOL[caller](any))
      const root = schemaWith(json, 'b')
      expect(root).toMatchObject({ type: 'object', properties: { a: { type: 'string' }, b: { type: 'null' } } })
      expect(Object.keys(root ?? {})).not.toContain('anyOf')
      expect(JSON.stringify(json.tools)).toContain('anyOf: [{\\"required\\":[\\"a\\"]},')
      expect(adapted).toHaveLength(1)
      const referred = { $ref: '#/$defs/A', $defs: { A: { type: 'object', properties: { b: { type: 'null' } } } } }
      expect(schemaWith(translate(caller, target, IN_TOOL[caller](referred)).json, 'b')).toMatchObject({
        type: 'object',
      })
    })
  })

  test('Claude gets closed objects, unions, constants and tuples in its own form', () => {
    const schema = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: {
        marker: { oneOf: [{ type: 'string', nullable: true }, { const: 1 }] },
        pair: { type: 'array', items: [{ type: 'string' }, { type: 'number' }] },
        both: { allOf: [{ $ref: '#/definitions/A' }, { type: 'object', properties: { b: { type: 'null' } } }] },
        map: { type: 'object', additionalProperties: { type: 'number' } },
      },
      definitions: { A: { type: 'object', properties: { a: { type: 'string', maxLength: 3 } }, required: ['a'] } },
    }
    const { json } = translate('openai.chat', 'anthropic.messages', IN_FORMAT['openai.chat'](schema))
    expect(schemaWith(json, 'marker')).toEqual({
      type: 'object',
      properties: {
        marker: { anyOf: [{ type: ['string', 'null'] }, { type: 'number', const: 1 }] },
        pair: {
          type: 'array',
          items: { anyOf: [{ type: 'string' }, { type: 'number' }] },
          description: 'The items have these schemas in turn.',
        },
        both: {
          type: 'object',
          properties: { b: { type: 'null' }, a: { type: 'string', description: '{maxLength: 3}' } },
          required: ['a'],
          additionalProperties: false,
        },
        map: { type: 'object', additionalProperties: false, description: '{additionalProperties: {"type":"number"}}' },
      },
      additionalProperties: false,
      $defs: {
        A: {
          type: 'object',
          properties: { a: { type: 'string', description: '{maxLength: 3}' } },
          required: ['a'],
          additionalProperties: false,
        },
      },
    })
  })

  test('OpenAI gets properties and items, and constants reach Gemini as enums', () => {
    const empty = translate('anthropic.messages', 'openai.chat', IN_TOOL['anthropic.messages']({ type: 'object' }))
    expect(empty.text).toContain('"parameters":{"properties":{},"type":"object"}')
    const list = { type: 'object', properties: { marker: { type: 'array' } } }
    expect(translate('anthropic.messages', 'openai.chat', IN_TOOL['anthropic.messages'](list)).text).toContain(
      '{"type":"array","items":{}}',
    )
    const constant = { type: 'object', properties: { marker: { const: 'x' } } }
    expect(
      schemaWith(translate('openai.chat', 'gemini.generateContent', IN_FORMAT['openai.chat'](constant)).json, 'marker')
        ?.properties,
    ).toEqual({ marker: { type: 'string', enum: ['x'] } })
  })

  test.each([
    [
      'openai.chat',
      'anthropic.messages',
      {
        type: 'object',
        properties: { a: { type: 'object', additionalProperties: { type: 'string' } } },
        required: ['a'],
      },
    ],
    [
      'openai.chat',
      'anthropic.messages',
      {
        type: 'object',
        properties: { a: { $ref: '#/$defs/A' } },
        $defs: { A: { type: 'object', properties: { a: { $ref: '#/$defs/A' } } } },
      },
    ],
    ['anthropic.messages', 'openai.chat', { type: 'object', properties: { a: { type: 'string' } } }],
    ['anthropic.messages', 'openai.chat', { type: 'object', properties: { a: {} }, required: ['a'] }],
  ] as const)('%s > %s: a tool that cannot be strict there is sent without it: %j', (caller, target, schema) => {
    const { text, dropped } = translate(caller, target, IN_TOOL[caller](schema, true))
    expect([text.includes('"strict":true'), dropped]).toEqual([false, ['strict']])
  })

  test('at most 20 tools are strict at Anthropic', () => {
    const tools = Array.from({ length: 25 }, (_, index) => ({
      type: 'function',
      function: {
        name: `f${index}`,
        strict: true,
        parameters: { type: 'object', properties: {}, additionalProperties: false },
      },
    }))
    const { text, dropped } = translate('openai.chat', 'anthropic.messages', { tools })
    expect([text.match(/"strict":true/g)?.length, dropped]).toEqual([20, ['strict']])
  })

  test('a format that refers to itself has no form at Anthropic', () => {
    const schema = { type: 'object', properties: { next: { $ref: '#' } } }
    expect(
      catchProblem(() => translate('openai.chat', 'anthropic.messages', IN_FORMAT['openai.chat'](schema))),
    ).toMatchObject({ code: 'unsupported', param: 'response_format' })
  })

  test.each(PAIRS)('%s > %s: a format that is no object is wrapped where it must be', (caller, target) => {
    const { changes, adapted, text } = translate(
      caller,
      target,
      IN_FORMAT[caller]({ type: 'array', items: { type: 'string' } }),
    )
    const isWrapped = target !== 'gemini.generateContent'
    expect([changes?.isWrapped ?? false, adapted]).toEqual([isWrapped, isWrapped ? [FORMAT_FIELDS[caller]] : []])
    if (isWrapped) expect(text).toContain('"properties":{"value":{"type":"array"')
  })

  describe.each([
    ['anthropic.messages', IN_FORMAT['anthropic.messages']],
    ['anthropic.messages', (schema: JsonObject) => ({ output_format: { type: 'json_schema', schema } })],
    ['gemini.generateContent', IN_FORMAT['gemini.generateContent']],
    [
      'gemini.generateContent',
      (schema: JsonObject) => ({ generationConfig: { responseMimeType: 'application/json', responseSchema: schema } }),
    ],
  ] as const)('the format of a caller of %s at OpenAI', (caller, formatOf) => {
    const object = (properties: JsonObject, more: JsonObject = {}): JsonObject => ({
      type: 'object',
      properties,
      required: Object.keys(properties),
      ...more,
    })
    const sent = (schema: JsonObject, model?: string) => {
      const { json, adapted, dropped } = translate(caller, 'openai.chat', formatOf(schema), model)
      const { strict, schema: form } = recordOf(recordOf(json.response_format).json_schema)
      return { strict, form, told: [...adapted, ...dropped] }
    }
    const TEXT_SCHEMA = { type: 'string' }

    test.each([
      ['objects in lists', object({ a: { type: 'array', items: object({ b: TEXT_SCHEMA }) } })],
      ['unions and constants', object({ a: { anyOf: [TEXT_SCHEMA, { type: 'null' }] }, b: { enum: ['x', 1] } })],
      ['a list at the root', { type: 'array', items: object({ a: TEXT_SCHEMA }) }],
      ['lengths and lookarounds', object({ a: { type: 'string', minLength: 3, pattern: '^(?=a)' } })],
    ])('is enforced: %s', (_what, schema) => {
      const { strict, form } = sent(schema)
      expect(strict).toBe(true)
      const text = JSON.stringify(form)
      const count = (pattern: RegExp) => text.match(pattern)?.length
      expect(count(/"additionalProperties":false/g)).toBe(count(/"properties":/g))
      expect(text).not.toMatch(/"(?:minLength|pattern)":/)
    })

    test('that needs no other form is told as it is', () => {
      const inner = object({ b: TEXT_SCHEMA }, { additionalProperties: false })
      expect(sent(object({ a: inner }, { additionalProperties: false }))).toMatchObject({ strict: true, told: [] })
    })

    const deep = (levels: number): JsonObject => (levels === 0 ? TEXT_SCHEMA : object({ a: deep(levels - 1) }))
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, TEXT_SCHEMA]))
    test.each([
      ['an optional property', object({ a: TEXT_SCHEMA }, { required: [] })],
      [
        'an optional property inside',
        object({ a: { type: 'array', items: object({ b: TEXT_SCHEMA }, { required: [] }) } }),
      ],
      ['a map', object({ a: { type: 'object', additionalProperties: TEXT_SCHEMA } })],
      ['any object', object({ a: { type: 'object' } })],
      ['any object at the root', { type: 'object' }],
      ['any value', object({ a: { description: 'any' } })],
      [
        'a combination that brings properties',
        object({ a: object({ c: TEXT_SCHEMA }, { allOf: [{ if: {}, else: object({ b: TEXT_SCHEMA }) }] }) }),
      ],
      [
        'properties by a pattern',
        object({ a: object({ c: TEXT_SCHEMA }, { patternProperties: { '^x': TEXT_SCHEMA } }) }),
      ],
      ['too many levels', deep(11)],
      ['too many properties', object(many(5_001))],
      ['too many values', object({ a: { type: 'string', enum: Object.keys(many(1_001)) } })],
    ])('is sent without being enforced, and that is told: %s', (_what, schema) => {
      const { strict, told } = sent(schema)
      expect([strict, told]).toEqual([undefined, [FORMAT_FIELDS[caller]]])
    })

    test('is enforced up to ten levels, by models that enforce schemas', () => {
      expect(sent(deep(9)).strict).toBe(true)
      for (const model of ['gpt-4o-mini', 'o3', 'gpt-4.1', 'openai/gpt-5'])
        expect(sent(deep(1), model).strict).toBe(true)
      for (const model of ['llama-3.3-70b', 'gpt-3.5-turbo', 'mistral-large'])
        expect(sent(deep(1), model).strict).toBe(undefined)
    })
  })

  test('absent keywords may be written as null, and long words are cut', () => {
    const empty = { type: 'object', properties: null, required: null, description: null }
    expect(translate('openai.chat', 'anthropic.messages', IN_TOOL['openai.chat'](empty)).text).toContain(
      '"input_schema":{"type":"object"}',
    )
    const long = { type: 'object', properties: {}, anyOf: [{ description: 'x'.repeat(1_000_000) }] }
    const { body } = translate('openai.chat', 'anthropic.messages', IN_TOOL['openai.chat'](long))
    expect(body.length).toBeLessThan(10_000)
  })

  test('places that references name become definitions, so that they can be moved', () => {
    const inner = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] }
    const referring = {
      type: 'object',
      properties: {
        'x/y': inner,
        default: { $ref: '#/properties/x~1y' },
        'b c': { $ref: '#/properties/x~1y/properties/a' },
      },
      required: ['x/y', 'default', 'b c'],
    }
    for (const caller of ['openai.chat', 'gemini.generateContent'] as const) {
      const { json } = translate(caller, 'anthropic.messages', IN_FORMAT[caller](referring))
      expect(recordOf(recordOf(json.output_config).format).schema).toEqual({
        type: 'object',
        properties: {
          'x/y': { $ref: '#/$defs/ref1' },
          default: { $ref: '#/$defs/ref1' },
          'b c': { $ref: '#/$defs/ref2' },
        },
        required: ['x/y', 'default', 'b c'],
        additionalProperties: false,
        $defs: {
          ref1: { ...inner, properties: { a: { $ref: '#/$defs/ref2' } }, additionalProperties: false },
          ref2: { type: 'string' },
        },
      })
    }
    const tool = translate('openai.chat', 'anthropic.messages', IN_TOOL['openai.chat'](referring))
    expect(tool.text).toContain('"default":{"$ref":"#/$defs/ref1"}')
    const tree = { type: 'array', items: { anyOf: [{ type: 'string' }, { $ref: '#' }] } }
    const { json } = translate('anthropic.messages', 'openai.chat', IN_FORMAT['anthropic.messages'](tree))
    expect(recordOf(recordOf(json.response_format).json_schema).schema).toMatchObject({
      properties: { value: { $ref: '#/$defs/ref1' } },
      $defs: { ref1: { type: 'array', items: { anyOf: [{ type: 'string' }, { $ref: '#/$defs/ref1' }] } } },
    })
    const looped = { type: 'object', properties: { a: { type: 'array', items: { $ref: '#/properties/a' } } } }
    expect(
      catchProblem(() => translate('openai.chat', 'anthropic.messages', IN_FORMAT['openai.chat'](looped))),
    ).toMatchObject({ code: 'unsupported' })
  })

  test('alternatives of tens of thousands are merged in little time', () => {
    const branches = Array.from({ length: 20_000 }, (_, index) => ({ properties: { a: { const: index } } }))
    const names = Array.from({ length: 40_000 }, (_, index) => `r${index}`)
    const startedMs = performance.now()
    for (const anyOf of [branches, [{ required: names }, { required: names.toReversed() }]])
      translate('openai.chat', 'anthropic.messages', IN_TOOL['openai.chat']({ type: 'object', anyOf }))
    expect(performance.now() - startedMs).toBeLessThan(5_000)
  })

  test('are adapted in time linear in their size, however they refer to themselves', () => {
    const chain = Object.fromEntries(
      Array.from({ length: 5_000 }, (_, index) => [
        `a${index}`,
        { type: 'array', items: { $ref: `#/$defs/a${index + 1}` } },
      ]),
    )
    const both = { allOf: [{ $ref: '#/$defs/A' }, { type: 'object', properties: {} }] }
    const twice = {
      $defs: { A: { type: 'object', properties: { a: both, b: both } } },
      type: 'object',
      properties: { a: both },
    }
    const startedMs = performance.now()
    for (const target of ['anthropic.messages', 'gemini.generateContent'] as const) {
      translate(
        'openai.chat',
        target,
        IN_FORMAT['openai.chat']({ type: 'object', properties: { a: { $ref: '#/$defs/a0' } }, $defs: chain }),
      )
      const tools = Array.from({ length: 500 }, (_, index) => ({
        type: 'function',
        function: { name: `f${index}`, strict: true, parameters: twice },
      }))
      expect(translate('openai.chat', target, { tools }).body.length).toBeGreaterThan(50_000)
    }
    expect(performance.now() - startedMs).toBeLessThan(10_000)
  }, 30_000)

  test('of any kind are read without an error, and a second reading changes nothing', () => {
    const rules = NAMES.flatMap((name) => {
      const { outputSchema, toolSchema, strictToolSchema } = translatorNamed(name).rules
      return [outputSchema, toolSchema, ...(strictToolSchema ? [strictToolSchema] : [])]
    })
    const keyword = fc.constantFrom(
      ...Object.keys(SAMPLES),
      'type',
      'anyOf',
      'allOf',
      'items',
      'properties',
      '$ref',
      '$defs',
      'required',
      'enum',
    )
    const value = fc.oneof(
      junk,
      fc.constantFrom<unknown>('object', 'array', '#', '#/$defs/a', { a: { type: 'object' } }, [{ $ref: '#/$defs/a' }]),
    )
    fc.assert(
      fc.property(fc.dictionary(keyword, value, { maxKeys: 6 }), (schema) => {
        for (const rule of rules) {
          const { schema: once } = adaptSchema(schema, rule)
          expect(JSON.stringify(once).length).toBeLessThan(10_000_000)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('names of tools', () => {
  const LONG = `mcp__${'x'.repeat(60)}`
  const USED = [`${LONG}a`, `${LONG}b`, 'fs.read:file', 'fs_read_file', '1tool', 'ö', 'Ö', 'weather']
  const declare: Readonly<Record<Name, object>> = {
    'openai.chat': { tools: USED.map((name) => ({ type: 'function', function: { name } })) },
    'anthropic.messages': { tools: USED.map((name) => ({ name, input_schema: { type: 'object' } })) },
    'gemini.generateContent': { tools: [{ functionDeclarations: USED.map((name) => ({ name })) }] },
  }
  const LEGAL: Readonly<Record<Name, RegExp>> = {
    'openai.chat': /^[a-zA-Z0-9_-]{1,64}$/,
    'anthropic.messages': /^[a-zA-Z0-9_-]{1,64}$/,
    'gemini.generateContent': /^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$/,
  }
  const sentNames = ({ tools }: JsonObject): string[] => JSON.stringify(tools).match(/(?<="name":")[^"]*/g) ?? []

  test.each(PAIRS)('%s > %s: are legal, unique, the same in every call, and known by their own', (caller, target) => {
    const { json, changes, adapted } = translate(caller, target, declare[caller])
    const names = sentNames(json)
    expect(names.filter((name) => !LEGAL[target].test(name))).toEqual([])
    expect(new Set(names).size).toBe(USED.length)
    expect(adapted[0]).toMatch(/name$/)
    expect(names.map((name) => changes?.toolNames.get(name) ?? name)).toEqual(USED)
    const reversed = JSON.parse(JSON.stringify(declare[caller]).replace('"weather"', '"other"'))
    expect(sentNames(translate(caller, target, reversed).json).slice(0, -1)).toEqual(names.slice(0, -1))
  })

  test('stay unique beside a tool that has the new name already', () => {
    const declared = (...names: string[]) => ({
      tools: names.map((name) => ({ type: 'function', function: { name } })),
    })
    const [taken = ''] = sentNames(translate('openai.chat', 'anthropic.messages', declared('a.b')).json)
    const { json, changes } = translate('openai.chat', 'anthropic.messages', declared('a.b', taken))
    const [renamed = '', kept] = sentNames(json)
    expect([kept, renamed === taken, changes?.toolNames.get(renamed)]).toEqual([taken, false, 'a.b'])
  })

  test('are changed alike in the choice and in the history', () => {
    const name = `${LONG}a`
    const { text, changes } = translate('openai.chat', 'anthropic.messages', {
      ...calling({ tool_calls: [{ ...CALL, function: { name, arguments: '{}' } }] }),
      tools: [{ type: 'function', function: { name } }],
      tool_choice: { type: 'function', function: { name } },
    })
    const [sent = ''] = [...(changes?.toolNames.keys() ?? [])]
    expect([text.split(`"${sent}"`).length - 1, text.includes(name)]).toEqual([3, false])
  })
})

const BASE64: Readonly<Record<string, string>> = {
  'image/png': 'iVBORw0KGgo=',
  'image/jpeg': '/9j/4A==',
  'image/gif': 'R0lGODlh',
  'application/pdf': 'JVBERi0=',
}
const TYPES = [
  'image/png',
  'image/jpeg',
  'image/gif',
  'image/webp',
  'image/heic',
  'image/svg+xml',
  'image/bmp',
  'application/pdf',
  'audio/wav',
  'video/mp4',
  'application/zip',
]
const IN_PART: Readonly<Record<Name, (mediaType: string, data: string) => object>> = {
  'openai.chat': (type, data) => {
    const url = `data:${type};base64,${data}`
    const part = /image/i.test(type)
      ? { type: 'image_url', image_url: { url } }
      : { type: 'file', file: { file_data: url, filename: 'f' } }
    return { messages: [{ role: 'user', content: [TEXT, part] }] }
  },
  'anthropic.messages': (type, data) => {
    const source = { type: 'base64', media_type: type, data }
    return {
      messages: [{ role: 'user', content: [TEXT, { type: /image/i.test(type) ? 'image' : 'document', source }] }],
    }
  },
  'gemini.generateContent': (mimeType, data) => ({
    contents: [{ role: 'user', parts: [{ text: 'b' }, { inlineData: { mimeType, data } }] }],
  }),
}
const PART_PLACES: Readonly<Record<Name, string>> = {
  'openai.chat': 'messages[0].content[1]',
  'anthropic.messages': 'messages[0].content[1]',
  'gemini.generateContent': 'contents[0].parts[1]',
}

describe('media', () => {
  test.each(PAIRS)(
    '%s > %s: each accepted type passes, and the others are refused with their place',
    (caller, target) => {
      const { accepted } = translatorNamed(target).rules.media
      for (const type of TYPES) {
        const run = () => translate(caller, target, IN_PART[caller](type, BASE64[type] ?? 'AAAA'))
        if (accepted.some((known) => (known.endsWith('/') ? type.startsWith(known) : type === known)))
          expect(run().text).toContain(BASE64[type] ?? 'AAAA')
        else expect([type, catchProblem(run).param]).toEqual([type, PART_PLACES[caller]])
      }
    },
  )

  test.each(PAIRS)('%s > %s: a type can be written in many ways', (caller, target) => {
    for (const [type, data, expected, base64 = data] of [
      ['IMAGE/PNG', 'iVBORw0KGgo=', 'image/png'],
      ['image/jpg', '/9j/4A==', 'image/jpeg'],
      ['image/png;charset=utf-8', 'iVBORw0KGgo=', 'image/png'],
      ['image/png', 'iVBORw0K\nGgo=', 'image/png', 'iVBORw0KGgo='],
      ['image/*', '_9j_4A==', 'image/jpeg', '/9j/4A=='],
    ] as const) {
      const { text } = translate(caller, target, IN_PART[caller](type, data))
      expect(text).toMatch(target === 'openai.chat' ? `data:${expected};base64,${base64}` : expected)
      expect(text).toContain(base64)
    }
  })

  test('a name with a comma in a data URL, base64 without a URL, and the ending of a URL tell the type', () => {
    const named = { image_url: { url: 'data:image/jpg;name=a,b.jpg;base64,/9j/4A==' } }
    const bare = { file: { file_data: 'JVBERi0=', filename: 'a.pdf' } }
    for (const target of ['anthropic.messages', 'gemini.generateContent'] as const)
      for (const [part, type, data] of [
        [{ type: 'image_url', ...named }, 'image/jpeg', '"/9j/4A=="'],
        [{ type: 'file', ...bare }, 'application/pdf', '"JVBERi0="'],
      ] as const) {
        const { text } = translate('openai.chat', target, { messages: [{ role: 'user', content: [part] }] })
        expect(text).toContain(type)
        expect(text).toContain(data)
      }
    const linked = { contents: [{ role: 'user', parts: [{ fileData: { fileUri: 'https://a/b.GIF?c' } }] }] }
    expect(translate('gemini.generateContent', 'openai.chat', linked).text).toContain('"url":"https://a/b.GIF?c"')
  })

  test('OpenAI hears WAV and MP3; the models of routers hear more', () => {
    const heard = (type: string, model?: string) =>
      translate('gemini.generateContent', 'openai.chat', IN_PART['gemini.generateContent'](type, 'AAAA'), model).text
    expect(heard('audio/mpeg')).toContain('"format":"mp3"')
    expect(heard('audio/x-m4a', 'google/gemini-3.5-flash')).toContain('"format":"m4a"')
    expect(catchProblem(() => heard('audio/x-m4a'))).toMatchObject({ param: 'contents[0].parts[1]' })
  })

  test('text of any type is text, and a data URL is data', () => {
    const json = IN_PART['openai.chat']('application/json', Buffer.from('{"a":1}').toString('base64'))
    for (const target of ['anthropic.messages', 'gemini.generateContent'] as const)
      expect(translate('openai.chat', target, json).text).toContain('f:\\n{\\"a\\":1}')
    const linked = { contents: [{ role: 'user', parts: [{ fileData: { fileUri: PICTURE } }] }] }
    expect(translate('gemini.generateContent', 'anthropic.messages', linked).text).toContain(
      '"media_type":"image/png","data":"iVBORw0KGgo="',
    )
    const local = {
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'file:///a.png' } }] }],
    }
    expect(catchProblem(() => translate('openai.chat', 'gemini.generateContent', local)).param).toBe(
      'messages[0].content[0]',
    )
  })
})

describe('efforts', () => {
  test.each(OPENAI_EFFORTS.map(([pattern, levels]) => [String(pattern), pattern, levels] as const))(
    'of models like %s',
    (_name, pattern, levels) => {
      const models = [
        'o3',
        'o4-mini',
        'gpt-5-pro',
        'gpt-5-codex',
        'gpt-5.1-codex',
        'gpt-5',
        'gpt-5-mini',
        'gpt-5-2025-08-07',
        'gpt-5.1-codex-max',
        'gpt-5.3-codex',
        'gpt-5.1',
        'gpt-5.2-pro',
        'gpt-5.2',
        'gpt-5.5',
        'gpt-5.6-sol',
        'gpt-6-luna',
        'gpt-oss-120b',
      ]
      const mine = models.filter((model) => OPENAI_EFFORTS.find(([other]) => other.test(model))?.[0] === pattern)
      expect(mine).not.toEqual([])
      for (const model of mine)
        for (const effort of EFFORTS.filter((level) => level !== 'none' && level !== 'minimal')) {
          const { json, adapted } = translate(
            'anthropic.messages',
            'openai.chat',
            { thinking: { type: 'adaptive' }, output_config: { effort } },
            model,
          )
          const expected = levels.includes(effort)
            ? effort
            : (levels.findLast((level) => EFFORTS.indexOf(level) <= EFFORTS.indexOf(effort) && level !== 'none') ??
              levels.find((level) => level !== 'none'))
          expect([model, effort, json.reasoning_effort, adapted]).toEqual([
            model,
            effort,
            expected,
            expected === effort ? [] : ['output_config.effort'],
          ])
        }
    },
  )

  test.each([
    ['gpt-5', 'max', 'high'],
    ['gpt-5.1', 'xhigh', 'high'],
    ['gpt-5.1', 'minimal', 'low'],
    ['llama-of-a-server', 'max', undefined],
    ['a-server', 'max', 'high'],
    ['openai/gpt-5', 'max', 'xhigh'],
  ])('%s with %s thinks with %s', (model, effort, expected) => {
    const body = { output_config: { effort }, thinking: { type: 'adaptive' } }
    if (effort === 'minimal') {
      const config = { generationConfig: { thinkingConfig: { thinkingLevel: 'MINIMAL' } } }
      expect(translate('gemini.generateContent', 'openai.chat', config, model).json.reasoning_effort).toBe(expected)
    } else expect(translate('anthropic.messages', 'openai.chat', body, model).json.reasoning_effort).toBe(expected)
  })

  test.each([
    ['anthropic.messages', 'claude-opus-4-6', 'xhigh', '"effort":"high"'],
    ['anthropic.messages', 'claude-opus-5-5', 'minimal', '"effort":"low"'],
    ['anthropic.messages', 'claude-opus-5-5', 'max', '"effort":"max"'],
    ['gemini.generateContent', 'gemini-3.5-flash', 'max', '"thinkingLevel":"high"'],
    ['gemini.generateContent', 'gemini-3.1-pro-preview', 'minimal', '"thinkingLevel":"low"'],
    ['gemini.generateContent', 'gemini-2.5-flash', 'low', '"thinkingBudget":1024'],
  ] as const)('%s: %s with %s sends %s', (target, model, effort, expected) => {
    expect(translate('openai.chat', target, { reasoning_effort: effort }, model).text).toContain(expected)
  })
})

describe('texts that say nothing', () => {
  const said: Readonly<Record<Name, (...texts: string[]) => object>> = {
    'openai.chat': (...texts) => ({
      messages: texts.map((content, index) => ({ role: index % 2 ? 'assistant' : 'user', content })),
    }),
    'anthropic.messages': (...texts) => ({
      messages: texts.map((content, index) => ({ role: index % 2 ? 'assistant' : 'user', content })),
    }),
    'gemini.generateContent': (...texts) => ({
      contents: texts.map((text, index) => ({ role: index % 2 ? 'model' : 'user', parts: [{ text }] })),
    }),
  }

  test.each(PAIRS)('%s > %s: are left out, or refused with their place', (caller, target) => {
    const place = caller === 'gemini.generateContent' ? 'contents' : 'messages'
    expect(catchProblem(() => translate(caller, target, said[caller]())).param).toBe(place)
    for (const text of target === 'anthropic.messages'
      ? ['', ' \n']
      : target === 'gemini.generateContent'
        ? ['']
        : []) {
      expect(catchProblem(() => translate(caller, target, said[caller](text))).param).toBe(`${place}[0]`)
      expect(catchProblem(() => translate(caller, target, said[caller]('a', 'b', text))).param).toBe(`${place}[2]`)
      const { json } = translate(caller, target, said[caller]('a', text, 'c'))
      expect(JSON.stringify(json.messages ?? json.contents)).not.toContain(JSON.stringify(text))
    }
  })

  test('take no cache hint with them, and an answer to be continued ends without white space', () => {
    const content = [{ ...TEXT }, { type: 'text', text: ' ', cache_control: CACHED }]
    const { json } = translate('openai.chat', 'anthropic.messages', {
      messages: [
        { role: 'user', content },
        { role: 'assistant', content: 'So \n' },
      ],
    })
    expect(json.messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'b', cache_control: CACHED }] },
      { role: 'assistant', content: 'So' },
    ])
  })
})

describe('cache hints of OpenAI callers', () => {
  test.each([
    [
      'a system message',
      {
        messages: [
          { role: 'system', content: 'S', cache_control: CACHED },
          { role: 'user', content: 'Hi' },
        ],
      },
      { system: [{ type: 'text', text: 'S', cache_control: CACHED }] },
    ],
    [
      'a user message',
      { messages: [{ role: 'user', content: 'Hi', cache_control: CACHED }] },
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi', cache_control: CACHED }] }] },
    ],
    [
      'the body',
      { cache_control: { type: 'ephemeral', ttl: '1h' } },
      { cache_control: { type: 'ephemeral', ttl: '1h' } },
    ],
    [
      'a tool',
      { tools: [{ type: 'function', function: { name: 'f' }, cache_control: CACHED }] },
      { tools: [{ name: 'f', input_schema: { type: 'object' }, cache_control: CACHED }] },
    ],
  ])('of %s reach Claude', (_place, fields, expected) => {
    const { json, dropped } = translate('openai.chat', 'anthropic.messages', fields)
    expect(json).toMatchObject(expected)
    expect(dropped).toEqual([])
    expect(translate('openai.chat', 'gemini.generateContent', fields).dropped).toEqual(['cache_control'])
  })

  test('of calls, of results and of messages with calls alone reach Claude', () => {
    for (const fields of [
      calling({ tool_calls: [{ ...CALL, cache_control: CACHED }] }),
      calling({ content: null, cache_control: CACHED }),
    ])
      expect(translate('openai.chat', 'anthropic.messages', fields).text).toContain(
        '"input":{},"cache_control":{"type":"ephemeral"}',
      )
    expect(translate('openai.chat', 'anthropic.messages', calling({}, { cache_control: CACHED })).text).toMatch(
      /"tool_result".*"cache_control"/,
    )
  })

  test('are at most four: the first one and the last ones', () => {
    const messages = ['1', '2', '3', '4', '5', '6'].map((text) => ({
      role: 'user',
      content: [{ type: 'text', text, cache_control: CACHED }],
    }))
    const { json, dropped } = translate('openai.chat', 'anthropic.messages', { messages })
    const [{ content }] = json.messages as [{ content: JsonObject[] }]
    expect(content.filter(({ cache_control: mark }) => mark).map(({ text }) => text)).toEqual(['1', '4', '5', '6'])
    expect(dropped).toEqual(['cache_control'])
  })
})

describe('docs/translation.md', () => {
  const lines = readFileSync('docs/translation.md', 'utf8').split('\n')
  const wordsOf = (row: string | undefined) => (row?.match(/`[^`]+`/g) ?? []).map((word) => word.slice(1, -1))
  const rowsBelow = (head: string) => {
    const from = lines.findIndex((line) => line.startsWith(head)) + 2
    return lines.slice(from, lines.indexOf('', from))
  }

  test('lists the keywords of each table', () => {
    const [openai, anthropic, gemini] = rowsBelow('| | accepted keywords of schemas |').map((row) => row.split('|')[2])
    const rulesOf = (name: Name) => translatorNamed(name).rules
    expect(wordsOf(openai)).toEqual([...(rulesOf('openai.chat').strictToolSchema?.keywords ?? [])])
    expect(wordsOf(anthropic)).toEqual([...(rulesOf('anthropic.messages').outputSchema.keywords ?? [])])
    expect(wordsOf(gemini)).toEqual([...(rulesOf('gemini.generateContent').outputSchema.keywords ?? [])])
  })

  test('lists the efforts of the models that it names', () => {
    const { effortsOf } = translatorNamed('openai.chat').rules
    for (const row of rowsBelow('| efforts at OpenAI |').slice(0, -1)) {
      const [, names, efforts] = row.split('|')
      for (const model of wordsOf(names).filter((name) => !name.startsWith('-')))
        expect([model, effortsOf(model)?.join(', ')]).toEqual([model, efforts?.trim()])
    }
  })
})
