// The simulated provider: answers that fit their schema, calls of tools in each dialect, caps and stop reasons true to it.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { recordOf } from '../../../src/core/json-values.ts'
import { quote } from '../../../src/core/quote.ts'
import { instanceOf } from '../../../src/providers/simulated/instance.ts'
import { simulated } from '../../../src/providers/simulated/provider.ts'
import { expressionIn } from '../../../src/providers/simulated/words.ts'
import { dialectNamed } from '../../../src/wire/index.ts'
import { lineTo } from '../../wire/samples.ts'

type Json = Readonly<Record<string, unknown>>

/** What is sent back, all of it. */
async function sendSimulated(dialect: string, body: Json, { model = 'sim/echo', path = '/x', stream = false } = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const chunks: Buffer[] = []
  const bytes = Buffer.from(JSON.stringify(body))
  const outgoing = {
    dialect,
    path,
    headers: [],
    callerKey: undefined,
    body: bytes,
    model,
    stream,
    needsPlainAnswer: false,
  }
  simulated().send(outgoing, {
    started: () => {},
    head: () => {},
    data: (chunk) => chunks.push(chunk),
    end: () => resolve(Buffer.concat(chunks).toString()),
    failed: reject,
  })
  return await promise
}

/** The data of each event that is JSON. */
const eventsOf = (text: string) => [...text.matchAll(/^data: (\{.*\})\r?$/gm)].map(([, data]) => JSON.parse(data ?? ''))

const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 2, maximum: 5 } },
  required: ['city', 'days'],
  additionalProperties: false,
}
const EXPECTED = { city: 'Weather in Rome', days: 3 }

interface DialectFixture {
  readonly name: string
  ask(tools: readonly string[], options?: { choice?: unknown; format?: boolean; cap?: number; results?: boolean }): Json
  /** The calls of a whole answer, its text, why it stopped, and how many tokens it says it wrote. */
  read(answer: Json): { calls: readonly unknown[]; text: string; stop: unknown; output: unknown }
  /** The same of a streamed one. */
  readEvents(events: readonly Json[]): { calls: readonly unknown[]; text: string; stop: unknown; output: unknown }
  readonly stops: { readonly calls: string; readonly end: string; readonly cap: string }
  readonly path?: string
  /** How its requests choose tools: none, or the second. */
  readonly none: unknown
  readonly second: unknown
}

const valueAt = (value: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>((node, step) => (Array.isArray(node) ? node.at(Number(step)) : recordOf(node)[step]), value)
const listAt = (value: unknown, ...path: readonly (string | number)[]): readonly unknown[] => {
  const found = valueAt(value, ...path)
  return Array.isArray(found) ? found : []
}
const parseJson = (text: unknown): unknown => JSON.parse(String(text))

const openai: DialectFixture = {
  name: 'openai.chat',
  ask: (tools, { choice, format, cap, results } = {}) => ({
    messages: [
      { role: 'user', content: 'Weather in Rome' },
      ...(results
        ? [
            { role: 'assistant', tool_calls: [] },
            { role: 'tool', tool_call_id: 'x', content: 'sunny' },
          ]
        : []),
    ],
    ...(tools.length > 0
      ? { tools: tools.map((name) => ({ type: 'function', function: { name, parameters: SCHEMA } })) }
      : {}),
    ...(choice === undefined ? {} : { tool_choice: choice }),
    ...(format ? { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: SCHEMA } } } : {}),
    ...(cap === undefined ? {} : { max_tokens: cap }),
    stream_options: { include_usage: true },
  }),
  read: (answer) => ({
    calls: listAt(answer, 'choices', 0, 'message', 'tool_calls').map((call) => [
      valueAt(call, 'function', 'name'),
      parseJson(valueAt(call, 'function', 'arguments')),
    ]),
    text: String(valueAt(answer, 'choices', 0, 'message', 'content') ?? ''),
    stop: valueAt(answer, 'choices', 0, 'finish_reason'),
    output: valueAt(answer, 'usage', 'completion_tokens'),
  }),
  readEvents: (events) => {
    const deltas = events.flatMap((event) => listAt(event, 'choices', 0, 'delta', 'tool_calls'))
    const starts = deltas.filter((delta) => valueAt(delta, 'id') !== undefined)
    return {
      calls: starts.map((start) => [
        valueAt(start, 'function', 'name'),
        parseJson(
          deltas
            .filter((delta) => valueAt(delta, 'index') === valueAt(start, 'index'))
            .map((delta) => valueAt(delta, 'function', 'arguments'))
            .join(''),
        ),
      ]),
      text: events.map((event) => valueAt(event, 'choices', 0, 'delta', 'content') ?? '').join(''),
      stop: events.map((event) => valueAt(event, 'choices', 0, 'finish_reason')).find(Boolean),
      output: valueAt(events, -1, 'usage', 'completion_tokens'),
    }
  },
  stops: { calls: 'tool_calls', end: 'stop', cap: 'length' },
  none: 'none',
  second: { type: 'function', function: { name: 'second' } },
}

const responses: DialectFixture = {
  name: 'openai.responses',
  ask: (tools, { choice, format, cap, results } = {}) => ({
    input: [
      { role: 'user', content: 'Weather in Rome' },
      ...(results
        ? [
            { type: 'function_call', call_id: 'x', name: 'first', arguments: '{}' },
            { type: 'function_call_output', call_id: 'x', output: 'sunny' },
          ]
        : []),
    ],
    ...(tools.length > 0 ? { tools: tools.map((name) => ({ type: 'function', name, parameters: SCHEMA })) } : {}),
    ...(choice === undefined ? {} : { tool_choice: choice }),
    ...(format ? { text: { format: { type: 'json_schema', name: 'x', schema: SCHEMA } } } : {}),
    ...(cap === undefined ? {} : { max_output_tokens: cap }),
  }),
  read: (answer) => {
    const items = listAt(answer, 'output')
    return {
      calls: items
        .filter((item) => valueAt(item, 'type') === 'function_call')
        .map((item) => [valueAt(item, 'name'), parseJson(valueAt(item, 'arguments'))]),
      text: items
        .flatMap((item) => listAt(item, 'content'))
        .map((part) => valueAt(part, 'text'))
        .join(''),
      stop: valueAt(answer, 'status'),
      output: valueAt(answer, 'usage', 'output_tokens'),
    }
  },
  readEvents: (events) => {
    const ofType = (type: string) => events.filter((event) => valueAt(event, 'type') === `response.${type}`)
    const calls = ofType('output_item.added').filter((event) => valueAt(event, 'item', 'type') === 'function_call')
    const deltasOf = (event: Json) =>
      ofType('function_call_arguments.delta').filter(
        (delta) =>
          valueAt(delta, 'item_id') === valueAt(event, 'item', 'id') &&
          valueAt(delta, 'output_index') === valueAt(event, 'output_index'),
      )
    const last = events.at(-1) ?? {}
    expect(events.map((event) => valueAt(event, 'sequence_number'))).toEqual(events.map((_, index) => index))
    return {
      calls: calls.map((event) => [
        valueAt(event, 'item', 'name'),
        parseJson(
          deltasOf(event)
            .map((delta) => valueAt(delta, 'delta'))
            .join(''),
        ),
      ]),
      text: ofType('output_text.delta')
        .map((delta) => valueAt(delta, 'delta'))
        .join(''),
      stop: valueAt(last, 'response', 'status'),
      output: valueAt(last, 'response', 'usage', 'output_tokens'),
    }
  },
  stops: { calls: 'completed', end: 'completed', cap: 'incomplete' },
  none: 'none',
  second: { type: 'function', name: 'second' },
}

const anthropic: DialectFixture = {
  name: 'anthropic.messages',
  ask: (tools, { choice, format, cap, results } = {}) => ({
    system: 'Be brief.',
    messages: [
      { role: 'user', content: 'Weather in Rome' },
      ...(results ? [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'x', content: 'sunny' }] }] : []),
    ],
    ...(tools.length > 0 ? { tools: tools.map((name) => ({ name, input_schema: SCHEMA })) } : {}),
    ...(choice === undefined ? {} : { tool_choice: choice }),
    ...(format ? { output_config: { format: { type: 'json_schema', schema: SCHEMA } } } : {}),
    max_tokens: cap ?? 1_000,
  }),
  read: (answer) => ({
    calls: listAt(answer, 'content')
      .filter((block) => valueAt(block, 'type') === 'tool_use')
      .map((block) => [valueAt(block, 'name'), valueAt(block, 'input')]),
    text: listAt(answer, 'content')
      .map((block) => valueAt(block, 'text') ?? '')
      .join(''),
    stop: valueAt(answer, 'stop_reason'),
    output: valueAt(answer, 'usage', 'output_tokens'),
  }),
  readEvents: (events) => {
    const starts = events.filter((event) => valueAt(event, 'content_block', 'type') === 'tool_use')
    const pieces = (index: unknown) =>
      events
        .filter((event) => valueAt(event, 'index') === index)
        .map((event) => valueAt(event, 'delta', 'partial_json') ?? '')
    return {
      calls: starts.map((start) => [valueAt(start, 'content_block', 'name'), parseJson(pieces(start.index).join(''))]),
      text: events.map((event) => valueAt(event, 'delta', 'text') ?? '').join(''),
      stop: valueAt(events, -2, 'delta', 'stop_reason'),
      output: valueAt(events, -2, 'usage', 'output_tokens'),
    }
  },
  stops: { calls: 'tool_use', end: 'end_turn', cap: 'max_tokens' },
  none: { type: 'none' },
  second: { type: 'tool', name: 'second' },
}

const gemini: DialectFixture = {
  name: 'gemini.generateContent',
  ask: (tools, { choice, format, cap, results } = {}) => ({
    contents: [
      { role: 'user', parts: [{ text: 'Weather in Rome' }] },
      ...(results ? [{ role: 'user', parts: [{ functionResponse: { name: 'x', response: { sky: 'sunny' } } }] }] : []),
    ],
    ...(tools.length > 0
      ? { tools: [{ functionDeclarations: tools.map((name) => ({ name, parametersJsonSchema: SCHEMA })) }] }
      : {}),
    ...(choice === undefined ? {} : { toolConfig: { functionCallingConfig: choice } }),
    generationConfig: {
      ...(format ? { responseMimeType: 'application/json', responseJsonSchema: SCHEMA } : {}),
      ...(cap === undefined ? {} : { maxOutputTokens: cap }),
    },
  }),
  read: (answer) => gemini.readEvents([answer]),
  readEvents: (events) => {
    const parts = events.flatMap((event) => listAt(event, 'candidates', 0, 'content', 'parts'))
    return {
      calls: parts
        .filter((part) => valueAt(part, 'functionCall') !== undefined)
        .map((part) => [valueAt(part, 'functionCall', 'name'), valueAt(part, 'functionCall', 'args')]),
      text: parts.map((part) => valueAt(part, 'text') ?? '').join(''),
      stop: valueAt(events, -1, 'candidates', 0, 'finishReason'),
      output: valueAt(events, -1, 'usageMetadata', 'candidatesTokenCount'),
    }
  },
  stops: { calls: 'STOP', end: 'STOP', cap: 'MAX_TOKENS' },
  path: '/models/x:streamGenerateContent?alt=sse',
  none: { mode: 'NONE' },
  second: { mode: 'ANY', allowedFunctionNames: ['second'] },
}

const TOOLS = ['first', 'second']

describe.each([openai, responses, anthropic, gemini].map((dialect) => [dialect.name, dialect] as const))(
  '%s',
  (name, dialect) => {
    const whole = async (body: Json, model = 'sim/echo') =>
      dialect.read(parseJson(await sendSimulated(name, body, { model })) as Json)
    const streamed = async (body: Json, model = 'sim/echo') =>
      dialect.readEvents(
        eventsOf(
          await sendSimulated(name, body, { model, stream: true, ...(dialect.path ? { path: dialect.path } : {}) }),
        ),
      )

    it.each([
      ['whole', whole],
      ['streamed', streamed],
    ])('calls its first tool, %s', async (_how, say) => {
      expect(await say(dialect.ask(TOOLS))).toEqual({
        calls: [['first', EXPECTED]],
        text: '',
        stop: dialect.stops.calls,
        output: Math.ceil(JSON.stringify(EXPECTED).length / 4),
      })
      const { calls } = await say(dialect.ask(TOOLS), 'sim/tools-3')
      expect(calls).toEqual(['first', 'second', 'first'].map((tool) => [tool, EXPECTED]))
      expect((await say(dialect.ask(TOOLS, { choice: dialect.second }))).calls).toEqual([['second', EXPECTED]])
    })

    it.each([
      ['whole', whole],
      ['streamed', streamed],
    ])('answers a schema with an instance of it, %s', async (_how, say) => {
      const answer = await say(dialect.ask([], { format: true }))
      expect(parseJson(answer.text)).toEqual(EXPECTED)
      expect(answer).toMatchObject({ calls: [], stop: dialect.stops.end })
      expect(answer.output).toBe(Math.ceil(answer.text.length / 4))
    })

    it.each([
      ['whole', whole],
      ['streamed', streamed],
    ])('answers in words where calls are not wanted, or were made, %s', async (_how, say) => {
      const refused = await say(dialect.ask(TOOLS, { choice: dialect.none }))
      expect(refused).toMatchObject({ calls: [], text: 'You said: Weather in Rome', stop: dialect.stops.end })
      const after = await say(dialect.ask(TOOLS, { results: true }))
      expect(after).toMatchObject({ calls: [], text: expect.stringContaining('sunny'), stop: dialect.stops.end })
      expect((await say(dialect.ask(TOOLS), 'sim/long-5')).calls).toEqual([])
      const both = await say(dialect.ask(TOOLS, { results: true, format: true }))
      expect(parseJson(both.text)).toMatchObject({ days: 3 })
    })

    it.each([
      ['whole', whole],
      ['streamed', streamed],
    ])('keeps to the cap, %s', async (_how, say) => {
      const json = await say(dialect.ask([], { format: true, cap: 3 }))
      expect(json).toMatchObject({ text: JSON.stringify(EXPECTED).slice(0, 12), stop: dialect.stops.cap, output: 3 })
      const tokens = Math.ceil(JSON.stringify(EXPECTED).length / 4)
      const fits = await say(dialect.ask(TOOLS, { cap: tokens }), 'sim/tools-2')
      expect(fits).toMatchObject({ calls: [['first', EXPECTED]], stop: dialect.stops.cap, output: tokens })
    })

    it('says the same to the same', async () => {
      const body = dialect.ask(TOOLS)
      expect(await sendSimulated(name, body)).toBe(await sendSimulated(name, body))
    })

    it('sends no usage if the model name asks for that, with tool calls neither', async () => {
      expect((await whole(dialect.ask(TOOLS), 'sim/no-usage')).output).toBeUndefined()
    })
  },
)

describe('calls in part', () => {
  it('are broken JSON in OpenAI, empty in Anthropic, and none in Gemini', async () => {
    const cut = async (dialect: DialectFixture) =>
      parseJson(await sendSimulated(dialect.name, dialect.ask(TOOLS, { cap: 2 })))
    expect(valueAt(await cut(openai), 'choices', 0, 'message', 'tool_calls', 0, 'function', 'arguments')).toBe(
      '{"city":',
    )
    expect(valueAt(await cut(anthropic), 'content', 0)).toMatchObject({ type: 'tool_use', input: {} })
    expect(valueAt(await cut(gemini), 'candidates', 0, 'content', 'parts')).toEqual([])
  })
})

describe('ways to ask', () => {
  const calls = async (body: Json) =>
    openai.read(parseJson(await sendSimulated('openai.chat', { ...openai.ask(TOOLS), ...body })) as Json).calls

  it('for one call at a time', async () => {
    const body = { ...openai.ask(TOOLS), parallel_tool_calls: false }
    const answer = parseJson(await sendSimulated('openai.chat', body, { model: 'sim/tools-9' })) as Json
    expect(openai.read(answer).calls).toHaveLength(1)
  })

  it('for some tools of Responses only, and for any of them', async () => {
    const ask = async (tool_choice: unknown) =>
      responses.read(
        parseJson(await sendSimulated('openai.responses', responses.ask(TOOLS, { choice: tool_choice }))) as Json,
      ).calls
    const allowed = { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'second' }] }
    expect(await ask(allowed)).toEqual([['second', EXPECTED]])
    expect(await ask('required')).toEqual([['first', EXPECTED]])
  })

  it('for some tools only, or one that there is not', async () => {
    const allowed = {
      type: 'allowed_tools',
      allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'second' } }] },
    }
    expect(await calls({ tool_choice: allowed })).toEqual([['second', EXPECTED]])
    expect(await calls({ tool_choice: { type: 'function', function: { name: 'third' } } })).toEqual([])
  })

  it.each<[string, Json]>([
    ['openai.chat', { messages: [{ role: 'user', content: 'Hi' }], response_format: { type: 'json_object' } }],
    ['openai.responses', { input: 'Hi', text: { format: { type: 'json_schema', name: 'x', schema: SCHEMA } } }],
    ['gemini.generateContent', { contents: [], generationConfig: { responseMimeType: 'application/json' } }],
    [
      'gemini.generateContent',
      {
        contents: [],
        generationConfig: {
          responseMimeType: 'application/json',
          responseSchema: { type: 'OBJECT', properties: { a: { type: 'INTEGER' } } },
        },
      },
    ],
    ['anthropic.messages', { messages: [], max_tokens: 99, output_format: { type: 'json_schema', schema: SCHEMA } }],
  ])('%s for JSON: %j', async (dialect, body) => {
    const texts = [...(await sendSimulated(dialect, body)).matchAll(/"(?:content|text)":"((?:[^"\\]|\\.)*)"/g)]
    expect(parseJson(parseJson(`"${texts[0]?.[1]}"`))).toBeTypeOf('object')
  })

  it.each<Json>([
    { tools: 5 },
    { tools: [null, 5, { type: 'function' }, { type: 'custom', custom: {} }] },
    { tools: [{ type: 'function', function: { name: 5, parameters: 'x' } }] },
    { tool_choice: 5, response_format: 'json' },
    { response_format: { type: 'json_schema' } },
    { response_format: { type: 'json_schema', json_schema: { schema: 5 } } },
    { messages: 'x' },
  ])('that make no sense are answered all the same: %j', async (body) => {
    expect(parseJson(await sendSimulated('openai.chat', { ...openai.ask([]), ...body }))).toMatchObject({
      object: 'chat.completion',
    })
  })
})

const PROMPT = { last: 'What is 2 + 3?\n<text>\nPens are blue. Ink is black.\n</text>', all: 'Rules.' }
const makeInstance = (schema: unknown) => instanceOf(schema, PROMPT)

describe('an instance', () => {
  it.each<[unknown, unknown]>([
    [{ enum: ['b', 'a'] }, 'b'],
    [{ const: 7 }, 7],
    [{ default: [1] }, [1]],
    [{ type: 'boolean' }, true],
    [{ type: 'null' }, null],
    [{ type: ['null', 'integer'] }, 1],
    [{ type: 'integer', minimum: 4 }, 4],
    [{ type: 'integer', exclusiveMinimum: 4 }, 5],
    [{ type: 'integer', maximum: -4 }, -4],
    [{ type: 'integer', minimum: 1, maximum: 100, multipleOf: 30 }, 30],
    [{ type: 'integer', minimum: 5, maximum: 12, multipleOf: 10 }, 10],
    [{ type: 'number', minimum: 0, maximum: 1 }, 0.5],
    [{ type: 'number', description: 'From 2 (low) to 4 (high).' }, 3],
    [{ type: 'array', items: { type: 'boolean' } }, [true]],
    [{ type: 'array', items: { type: 'boolean' }, minItems: 3 }, [true, true, true]],
    [{ type: 'array', items: { type: 'boolean' }, maxItems: 0 }, []],
    [{ type: 'array', prefixItems: [{ const: 1 }, { const: 2 }] }, [1, 2]],
    [{ type: 'string', format: 'date' }, '2026-01-01'],
    [{ type: 'string', maxLength: 4 }, 'What'],
    [
      { type: 'object', properties: { a: { const: 1 } }, required: ['b'], additionalProperties: { const: 2 } },
      { a: 1, b: 2 },
    ],
    [{ anyOf: [{ const: 1 }, { const: 2 }] }, 1],
    [{ allOf: [{ properties: { a: { const: 1 } } }, { properties: { b: { const: 2 } } }] }, { a: 1, b: 2 }],
    [{ $ref: '#/$defs/x', $defs: { x: { const: 'd' } } }, 'd'],
    [{ $ref: '#/$defs/x', $defs: { x: { $ref: '#/$defs/x' } } }, 'What is 2 + 3?'],
    [{ properties: { quote: { type: 'string' } } }, { quote: 'Pens are blue.' }],
    [{ properties: { expression: { type: 'string' } } }, { expression: '2 + 3' }],
    [true, 'What is 2 + 3?'],
    [undefined, 'What is 2 + 3?'],
    ['nonsense', 'What is 2 + 3?'],
    [{ type: 'object', properties: 5, required: 'a' }, {}],
  ])('of %j', (schema, instance) => {
    expect(makeInstance(schema)).toEqual(instance)
  })

  it('holds a property named like a part of an object, and no prototype of its own', () => {
    const schema = JSON.parse(
      '{"type": "object", "properties": {"__proto__": {"const": 1}}, "required": ["constructor"]}',
    )
    const instance = makeInstance(schema)
    expect(Object.keys(Object(instance))).toEqual(['__proto__', 'constructor'])
    expect(Object.getPrototypeOf(instance)).toBe(Object.prototype)
    expect(makeInstance({ $ref: '#/constructor/prototype' })).toBe('What is 2 + 3?')
  })

  it('of a schema that holds itself comes to an end', () => {
    const node = {
      type: 'object',
      properties: { next: { $ref: '#/$defs/node' }, list: { type: 'array', items: { $ref: '#/$defs/node' } } },
    }
    const size = (schema: unknown) => JSON.stringify(makeInstance(schema)).length
    expect(size({ $ref: '#/$defs/node', $defs: { node } })).toBeLessThan(20_000)
    expect(size({ $ref: '#/$defs/node', $defs: { node: { ...node, required: ['next', 'list'] } } })).toBeLessThan(
      200_000,
    )
    const wide = { type: 'array', minItems: 1e9, items: { $ref: '#' } }
    expect(size(wide)).toBeLessThan(200_000)
  })

  it('fits its schema', () => {
    const leaf = fc.oneof(
      fc.record({ type: fc.constant('string'), maxLength: fc.integer({ min: 5, max: 50 }), minLength: fc.nat(5) }),
      fc
        .tuple(fc.integer({ min: -99, max: 99 }), fc.nat(99))
        .map(([minimum, span]) => ({ type: 'integer', minimum, maximum: minimum + span })),
      fc
        .tuple(fc.integer({ min: -99, max: 99 }), fc.nat(99))
        .map(([minimum, span]) => ({ type: 'number', minimum, maximum: minimum + span })),
      fc.constant({ type: 'boolean' }),
      fc.array(fc.string(), { minLength: 1 }).map((all) => ({ type: 'string', enum: all })),
    )
    const name = fc.constantFrom(
      'a',
      'b',
      'id',
      'needs',
      'score',
      'quote',
      'expression',
      'from',
      'revised_text',
      'answer',
    )
    const { schema } = fc.letrec((tie) => ({
      schema: fc.oneof({ depthSize: 'small' }, leaf, tie('object'), tie('array'), tie('choice')),
      object: fc.dictionary(name, tie('schema'), { maxKeys: 4 }).map((properties) => ({
        type: 'object',
        properties,
        required: Object.keys(properties),
        additionalProperties: false,
      })),
      array: fc.record({
        type: fc.constant('array'),
        items: tie('schema'),
        minItems: fc.nat(3),
        maxItems: fc.integer({ min: 3, max: 5 }),
      }),
      choice: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    }))
    fc.assert(
      fc.property(schema, fc.string({ unit: 'grapheme', maxLength: 80 }), (answerSchema, last) => {
        const asked = JSON.parse(JSON.stringify(answerSchema))
        const instance = instanceOf(asked, { last, all: last })
        const read = z.fromJSONSchema(asked).safeParse(instance)
        expect(read.success, `${JSON.stringify(asked)} ${JSON.stringify(instance)}`).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe('arithmetic', () => {
  it.each([
    ['What is 17 * (3 + 4)?', '17 * (3 + 4)'],
    ['(1+2)*3 please', '(1+2)*3'],
    ['Take 2^10.', '2^10'],
    ['there are 3 cats', undefined],
    ['', undefined],
    ['call 555 123, or 2 - 1', '2 - 1'],
    ['((((((1', undefined],
  ])('in %j is %j', (text, expression) => {
    expect(expressionIn(text)).toBe(expression)
  })

  it('is looked for soon, whatever the text', () => {
    const begun = performance.now()
    for (const text of ['1+'.repeat(1e5), '('.repeat(2e5), '1 '.repeat(1e5), '<a>\n'.repeat(5e4)]) {
      expressionIn(text)
      instanceOf(
        { properties: { quote: { type: 'string' }, revised_text: {}, score: { type: 'number', maximum: 9 } } },
        { last: text, all: text },
      )
    }
    expect(performance.now() - begun).toBeLessThan(4_000)
  })
})

describe('what it takes in', () => {
  const data = 'A'.repeat(1_000_000)
  const url = `data:image/png;base64,${data}`
  const told = (part: Json) => ({ model: 'sim/echo', max_tokens: 9, messages: [{ role: 'user', content: [part] }] })
  const contents = (part: Json) => ({ contents: [{ role: 'user', parts: [part] }] })

  it.each<[Parameters<typeof dialectNamed>[0], Json, number]>([
    ['openai.chat', told({ type: 'image_url', image_url: { url } }), 300],
    ['openai.chat', told({ type: 'input_audio', input_audio: { data, format: 'wav' } }), 300],
    ['openai.chat', told({ type: 'text', text: url }), 300],
    ['openai.chat', told({ type: 'text', text: 'data: seven words of text, and no picture' }), 45],
    ['openai.chat', told({ type: 'text', text: data }), 250_030],
    [
      'openai.responses',
      { model: 'sim/echo', input: [{ role: 'user', content: [{ type: 'input_image', image_url: url }] }] },
      300,
    ],
    ['anthropic.messages', told({ type: 'image', source: { type: 'base64', media_type: 'image/png', data } }), 310],
    ['gemini.generateContent', contents({ inlineData: { mimeType: 'image/png', data } }), 300],
    ['gemini.generateContent', contents({ inline_data: { mime_type: 'image/png', data } }), 300],
  ])('%s %#: is no more than its quote, and of a picture not its bytes', async (name, body, maxTokens) => {
    const { facts: ask } = dialectNamed(name).readRequest(
      Buffer.from(JSON.stringify(body)),
      lineTo('/v1beta/models/sim:generateContent'),
    )
    const settings = { defaultMaxOutputTokens: 1, tokenReservation: 'worst' } as const
    const facts = { price: undefined, limits: undefined }
    const { usage, usageMetadata } = JSON.parse(await sendSimulated(name, body))
    const input = usage?.prompt_tokens ?? usage?.input_tokens ?? usageMetadata.promptTokenCount
    expect(input).toBeLessThanOrEqual(quote(ask, facts, simulated().rules, settings).inputTokens)
    expect(input).toBeLessThan(maxTokens)
  })
})
