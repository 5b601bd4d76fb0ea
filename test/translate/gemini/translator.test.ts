// Gemini translator: recordings survive reading and writing, and what is written is what Google's servers and clients accept.

import { describe, expect, test } from 'vitest'
import type { ChatEvent, ChatMessage, ChatResponse, JsonObject } from '../../../src/core/chat.ts'
import { isRecord, recordOf } from '../../../src/core/json-values.ts'
import { type UnitsByClass, usageOf } from '../../../src/core/usage.ts'
import { geminiGenerateTranslator as gemini } from '../../../src/translate/gemini/translator.ts'
import type { ResponseContext } from '../../../src/translate/translator.ts'
import { geminiGenerate } from '../../../src/wire/gemini/generate.ts'
import { modelInPath } from '../../../src/wire/gemini/path.ts'
import { HAS_SHARED_RECORDINGS, type Recording, recordingsOf, sharedOf } from '../../support/recordings.ts'
import { lineTo } from '../../wire/samples.ts'

const CONTEXT: ResponseContext = { callId: '019a-call', nowMs: 0, model: 'asked', withUsage: true, asEvents: true }
const UNSIGNED = { thoughtSignature: 'skip_thought_signature_validator' }
const RECORDINGS = recordingsOf('gemini.generate_content')
const SUCCESSFUL = RECORDINGS.filter(({ status }) => status === 200)
const FAILED = RECORDINGS.filter(({ status }) => status !== 200)
const ASKED = RECORDINGS.filter(({ request }) => isRecord(request?.body))

const targetOf = (model: string) => ({ model, capField: 'maxOutputTokens', defaultCap: 4096 })

/** The events of a recorded stream, as SSE or as a JSON array. */
function eventsIn(body: string): JsonObject[] {
  if (body.trimStart().startsWith('[')) return JSON.parse(body)
  return body.split('\n').flatMap((line) => (line.startsWith('data:') ? [recordOf(JSON.parse(line.slice(5)))] : []))
}

const isStream = ({ response }: Recording) => /^\s*(data:|\[)/.test(response.body)

function readAll(events: readonly JsonObject[]): ChatEvent[] {
  const reader = gemini.createEventReader()
  return [...events.flatMap((event) => reader.read(event)), ...reader.end()]
}

function writeAll(events: readonly ChatEvent[], context = CONTEXT): string {
  const writer = gemini.createEventWriter(context)
  return events.map((event) => writer.write(event)).join('') + writer.end(undefined)
}

/** The content of events with its pieces joined. */
function saidIn(events: readonly ChatEvent[]): unknown {
  const text = (kind: string) =>
    events.flatMap((event) => (event.kind === kind && 'text' in event ? [event.text] : [])).join('')
  const calls = events.flatMap((event) => (event.kind === 'toolCall' ? [event] : []))
  const others = events.filter(({ kind }) => kind === 'stop' || kind === 'media' || kind === 'signature')
  return { text: text('text'), reasoning: text('reasoning'), arguments: text('arguments'), calls, others }
}

/** Candidates without grounding metadata. */
const text = ({ candidates }: JsonObject) =>
  Array.isArray(candidates) ? candidates.map(({ content, finishReason }) => ({ content, finishReason })) : []

/** All values of a field, at any depth. */
function valuesOf(value: unknown, name: string): unknown[] {
  if (Array.isArray(value)) return value.flatMap((value) => valuesOf(value, name))
  if (!isRecord(value)) return []
  return Object.entries(value).flatMap(([key, inside]) => (key === name ? [inside] : valuesOf(inside, name)))
}

describe('recorded', () => {
  test.skipIf(!HAS_SHARED_RECORDINGS)('the shared set is complete (../shared/recordings)', () => {
    const [asked, answered, failed] = [ASKED, SUCCESSFUL, FAILED].map(sharedOf)
    expect([asked?.length, answered?.length, failed?.length]).toEqual([63, 61, 6])
    expect(answered?.filter(isStream)).toHaveLength(13)
  })

  test('requests are the same when they have been read and written', () => {
    for (const { request, file } of ASKED) {
      if (!request || !isRecord(request.body)) continue
      const path = request.path.split('?')[0] ?? ''
      const ask = gemini.readRequest(request.body, lineTo(path))
      const model = modelInPath(path)
      expect(gemini.writeRequest(ask, targetOf(model)), file).toStrictEqual({ body: request.body, dropped: [] })
      // Vertex has other paths.
      if (model !== '') expect(gemini.requestLine(ask, targetOf(model)).path, file).toBe(path)
      // The dialect's reader in wire/ reads the same values.
      const metered = geminiGenerate.readRequest(Buffer.from(JSON.stringify(request.body)), lineTo(path)).facts
      expect([ask.model, ask.stream, ask.outputCap ?? null], file).toEqual([
        metered.model,
        metered.stream,
        metered.outputCap,
      ])
    }
  })

  test('responses keep their parts and their finish reasons', () => {
    for (const recording of SUCCESSFUL.filter((candidate) => !isStream(candidate))) {
      const { response, file } = recording
      const body = recordOf(JSON.parse(response.body))
      const answer = gemini.readResponse(body)
      const written = gemini.writeResponse(answer, undefined, CONTEXT)
      const again = gemini.readResponse(JSON.parse(JSON.stringify(written)))
      expect(again.choices, file).toStrictEqual(withIds(answer, again))
      expect(written.modelVersion, file).toBe(body.modelVersion)
      for (const name of [
        'text',
        'args',
        'thoughtSignature',
        'executableCode',
        'codeExecutionResult',
        'finishReason',
      ]) {
        expect(valuesOf(text(written), name), `${file} ${name}`).toStrictEqual(valuesOf(text(body), name))
      }
    }
  })

  test('streams say the same when they have been read and written', () => {
    for (const { response, file } of SUCCESSFUL.filter(isStream)) {
      const events = eventsIn(response.body)
      const expected = readAll(events)
      for (const context of [CONTEXT, { ...CONTEXT, asEvents: false }]) {
        const written = eventsIn(writeAll(expected, context))
        expect(saidIn(readAll(written)), file).toStrictEqual(saidIn(expected))
      }
      const texts = expected.flatMap((event) =>
        event.kind === 'text' || event.kind === 'reasoning' ? [event.text] : [],
      )
      expect(texts.join(''), file).toBe(valuesOf(events.map(text), 'text').join(''))
      expect(
        expected.filter(({ kind }) => kind === 'stop'),
        file,
      ).toHaveLength(1)
    }
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)('arguments that came piece by piece are whole (../shared/recordings)', () => {
    const streams = SUCCESSFUL.filter(({ response }) => response.body.includes('"partialArgs"'))
    const pieces = streams.flatMap(({ response }) => readAll(eventsIn(response.body)))
    const item = (action: string, description: string, itemid: string, price: number) => ({
      action,
      description,
      itemid,
      price,
    })
    expect(pieces.flatMap((event) => (event.kind === 'arguments' ? [JSON.parse(event.text)] : []))).toEqual([
      {
        operations: [
          item('add', 'Fresh red apple', 'apple_001', 0.5),
          item('add', 'Ripe yellow banana', 'banana_001', 0.3),
        ],
      },
    ])
    expect(pieces.at(-1)).toEqual({ kind: 'stop', choice: 0, reason: 'toolCalls' })
  })

  test('usage has the same figures after writing', () => {
    const names = [
      'promptTokenCount',
      'cachedContentTokenCount',
      'candidatesTokenCount',
      'thoughtsTokenCount',
      'totalTokenCount',
    ]
    let compared = 0
    for (const recording of SUCCESSFUL.filter((candidate) => !isStream(candidate))) {
      const counts = recordOf(JSON.parse(recording.response.body).usageMetadata)
      // Metering counts the prompt tokens of tools as input.
      if (counts.toolUsePromptTokenCount !== undefined) continue
      const tap = geminiGenerate.createTap(false, 'application/json', false)
      tap.push(Buffer.from(recording.response.body))
      tap.end()
      const metered = tap.answerUsage()
      if (!metered) continue
      const answer: ChatResponse = { id: '', model: '', choices: [] }
      const written = recordOf(gemini.writeResponse(answer, metered, CONTEXT).usageMetadata)
      for (const name of names) expect(written[name] ?? 0, `${recording.file} ${name}`).toBe(counts[name] ?? 0)
      compared++
    }
    expect(compared).toBeGreaterThan(HAS_SHARED_RECORDINGS ? 25 : 0)
  })

  test('errors say what went wrong', () => {
    expect(FAILED.map(({ status, response }) => gemini.readError(status, JSON.parse(response.body)))).toEqual(
      FAILED.map(({ status, response }) => ({
        status,
        kind: status === 404 ? 'notFound' : 'rate',
        message: recordOf(JSON.parse(response.body).error).message,
        code: status === 404 ? 'NOT_FOUND' : 'RESOURCE_EXHAUSTED',
      })),
    )
  })
})

/** Parts without ids that the reader made up: they contain the response's id, which changes. */
function withIds(answer: ChatResponse, again: ChatResponse): unknown {
  return answer.choices.map((choice, index) => ({
    ...choice,
    parts: choice.parts.map((part, partIndex) => {
      const partAgain = again.choices[index]?.parts[partIndex]
      return part.kind === 'toolCall' && partAgain?.kind === 'toolCall' ? { ...part, id: partAgain.id } : part
    }),
  }))
}

const LINE = lineTo('/v1beta/models/gemini-3-flash:generateContent')
const read = (body: JsonObject) => gemini.readRequest(body, LINE)
const write = (messages: readonly ChatMessage[], fields: JsonObject = {}, model = 'gemini-3-flash') =>
  gemini.writeRequest({ model, stream: false, messages, ...fields }, targetOf(model))
const script = (text: string): ChatMessage => ({ role: 'user', parts: [{ kind: 'text', text }] })

describe('the path and the spelling of a request', () => {
  test('hold the model and whether it streams', () => {
    const request = gemini.readRequest(
      { contents: [] },
      lineTo('/v1beta/models/tuned%2Fm:streamGenerateContent', 'alt=sse'),
    )
    expect(request).toEqual({ model: 'tuned/m', stream: true, messages: [] })
    expect(gemini.requestLine(request, targetOf('a/b'))).toEqual({
      path: '/v1beta/models/a%2Fb:streamGenerateContent',
      query: 'alt=sse',
    })
  })

  test('can be snake_case, which is restored', () => {
    const body = {
      system_instruction: { parts: [{ text: 'Be brief.' }] },
      contents: [
        { parts: [{ inline_data: { mime_type: 'image/png', data: 'AA==' } }, { text: 'Hi' }] },
        { role: 'model', parts: [{ function_call: { name: 'f', args: { some_name: 1 } }, thought_signature: 'c2ln' }] },
        { role: 'user', parts: [{ function_response: { name: 'f', response: { result: '2' } } }] },
      ],
      generation_config: {
        max_output_tokens: 9,
        stop_sequences: ['x'],
        response_mime_type: 'application/json',
        response_json_schema: { type: 'object', max_items: 2 },
        thinking_config: { thinking_budget: 0, include_thoughts: true },
      },
      tools: [
        {
          function_declarations: [
            { name: 'f', parameters: { type: 'OBJECT', properties: { some_name: { type: 'INTEGER' } } } },
          ],
        },
      ],
      tool_config: { function_calling_config: { mode: 'ANY', allowed_function_names: ['f'] } },
      cached_content: '',
    }
    const request = read(body)
    expect(request).toMatchObject({
      messages: [
        { role: 'system', parts: [{ kind: 'text', text: 'Be brief.' }] },
        {
          role: 'user',
          parts: [{ kind: 'media', mediaType: 'image/png', source: { base64: 'AA==' } }, { text: 'Hi' }],
        },
        { role: 'assistant', parts: [{ id: 'call_1_0', name: 'f', arguments: '{"some_name":1}', signature: 'c2ln' }] },
        {
          role: 'user',
          parts: [{ callId: 'call_1_0', name: 'f', parts: [{ kind: 'text', text: '2' }], failed: false }],
        },
      ],
      outputCap: 9,
      stop: ['x'],
      format: { kind: 'schema', schema: { type: 'object', max_items: 2 } },
      reasoning: { effort: 'none', shown: true },
      tools: [
        { kind: 'function', name: 'f', schema: { type: 'object', properties: { some_name: { type: 'integer' } } } },
      ],
      toolChoice: { kind: 'tools', names: ['f'], required: true },
    })
    expect(gemini.writeRequest(request, targetOf('gemini-3-flash'))).toStrictEqual({ body, dropped: [] })
  })
})

describe('what a request becomes for other dialects', () => {
  test.each<[string, JsonObject, JsonObject]>([
    [
      'safety settings are a hint',
      { safetySettings: [{ category: 'c' }] },
      { hints: { safetySettings: [{ category: 'c' }] } },
    ],
    [
      'stored context is a need',
      { cachedContent: 'cachedContents/x' },
      { needs: { cachedContent: 'cachedContents/x' } },
    ],
    [
      'pictures are a need',
      { generationConfig: { responseModalities: ['IMAGE'] } },
      { needs: { 'generationConfig.responseModalities': ['IMAGE'] } },
    ],
    [
      'text is what is answered anyway',
      { generationConfig: { responseModalities: ['TEXT'] } },
      { marks: { 'generationConfig.responseModalities': ['TEXT'] } },
    ],
    [
      'probabilities are a need',
      { generationConfig: { responseLogprobs: true } },
      { needs: { 'generationConfig.responseLogprobs': true } },
    ],
    [
      'no probabilities are asked for',
      { generationConfig: { responseLogprobs: false } },
      { hints: { 'generationConfig.responseLogprobs': false } },
    ],
    ['an empty configuration asks for nothing', { generationConfig: {} }, { hints: { generationConfig: {} } }],
    ['an unknown field is a need', { toolConfig: { new_thing: 1 } }, { needs: { 'toolConfig.new_thing': 1 } }],
    [
      'an enumeration is a need',
      { generationConfig: { responseMimeType: 'text/x.enum' } },
      { needs: { 'generationConfig.responseMimeType': 'text/x.enum' } },
    ],
  ])('%s', (_name, fields, extras) => {
    const request = read({ contents: [], ...fields })
    expect(request.extras).toEqual({ dialect: 'gemini.generateContent', ...extras })
    expect(gemini.writeRequest(request, targetOf('gemini-3-flash')).body).toStrictEqual({ contents: [], ...fields })
  })
})

describe('a request that is read and written again', () => {
  test.each<[string, JsonObject]>([
    ['one candidate', { generationConfig: { candidateCount: 1 } }],
    ['a null', { generationConfig: { topK: null }, tools: null, toolConfig: null }],
    ['no tools', { tools: [] }],
    ['plain text', { generationConfig: { responseMimeType: 'text/plain' } }],
    [
      'a schema in capitals',
      {
        generationConfig: { responseMimeType: 'application/json', responseSchema: { type: 'STRING', nullable: true } },
      },
    ],
    [
      'lists of functions apart',
      {
        tools: [
          { functionDeclarations: [{ name: 'a' }, { name: 'b' }] },
          { functionDeclarations: [{ name: 'c' }] },
          { googleSearch: {} },
          { functionDeclarations: [{ name: 'd' }] },
        ],
      },
    ],
    [
      'a validating mode',
      { toolConfig: { functionCallingConfig: { mode: 'VALIDATED' }, retrievalConfig: { languageCode: 'de' } } },
    ],
    [
      'a file of Google',
      {
        contents: [
          {
            role: 'user',
            parts: [{ fileData: { fileUri: 'https://generativelanguage.googleapis.com/v1beta/files/a' } }],
          },
        ],
      },
    ],
    [
      'a film and where it starts',
      {
        contents: [
          {
            role: 'user',
            parts: [{ fileData: { fileUri: 'https://youtu.be/x' }, videoMetadata: { startOffset: '1s' } }],
          },
        ],
      },
    ],
    [
      'code that was run',
      {
        contents: [
          {
            role: 'model',
            parts: [{ executableCode: { code: '1' } }, { codeExecutionResult: { outcome: 'OUTCOME_OK' } }],
          },
        ],
      },
    ],
    [
      'a thought',
      {
        contents: [
          {
            role: 'model',
            parts: [
              { text: 'Hm', thought: true, thoughtSignature: 'a' },
              { text: '', thoughtSignature: 'b' },
              { thoughtSignature: 'c' },
            ],
          },
        ],
      },
    ],
    [
      'data in letters for URLs',
      {
        contents: [
          { role: 'user', parts: [{ inlineData: { mimeType: 'image/png', data: '-_==', displayName: 'x' } }] },
        ],
      },
    ],
    [
      'a result with a picture',
      {
        contents: [
          {
            role: 'function',
            parts: [
              {
                functionResponse: {
                  name: 'f',
                  response: { error: 'no' },
                  parts: [{ inlineData: { mimeType: 'image/png', data: 'AA==' } }],
                  scheduling: 'SILENT',
                },
              },
            ],
          },
        ],
      },
    ],
    [
      'results that hold JSON, or look like it',
      {
        contents: [
          {
            role: 'user',
            parts: ['{"a":1}', '{', 'a'].map((result) => ({
              functionResponse: { id: 'x', name: 'f', response: { result } },
            })),
          },
        ],
      },
    ],
    [
      'contents of one role that stay separate',
      {
        contents: [
          { role: 'function', parts: [{ text: 'a' }] },
          { role: 'user', parts: [{ text: 'b' }] },
          { parts: [{ text: 'c' }] },
        ],
      },
    ],
    [
      'contents of one role, and an empty one',
      {
        contents: [
          { role: 'user', parts: [{ text: 'a' }] },
          { role: 'user', parts: [{ text: 'b' }] },
          { role: 'model', parts: [] },
        ],
      },
    ],
  ])('is restored with %s', (_name, fields) => {
    const body = { contents: [], ...fields }
    expect(gemini.writeRequest(read(body), targetOf('gemini-3-flash'))).toStrictEqual({ body, dropped: [] })
  })

  test.each<[string, JsonObject, JsonObject]>([
    [
      'types in capitals',
      { type: 'OBJECT', properties: { a: { type: 'ARRAY', items: { type: 'STRING' } } } },
      { type: 'object', properties: { a: { type: 'array', items: { type: 'string' } } } },
    ],
    ['what may be null', { type: 'STRING', nullable: true }, { type: ['string', 'null'] }],
    ['what may not be null', { type: 'STRING', nullable: false, enum: ['A'] }, { type: 'string', enum: ['A'] }],
    ['formats, orders and examples', { format: 'enum', propertyOrdering: ['a'], example: 1 }, { examples: [1] }],
    [
      'long numbers',
      { minItems: '2', maxLength: 'x', anyOf: [{ type: 'NULL' }] },
      { minItems: 2, maxLength: 'x', anyOf: [{ type: 'null' }] },
    ],
    ['no type', { type: 'TYPE_UNSPECIFIED', format: 'int32' }, { format: 'int32' }],
    [
      'a property named type',
      { properties: { type: { type: 'STRING' } } },
      { properties: { type: { type: 'string' } } },
    ],
  ])('has a schema with %s as JSON Schema for other dialects', (_name, parameters, schema) => {
    const request = read({ contents: [], tools: [{ functionDeclarations: [{ name: 'f', parameters }] }] })
    expect(request.tools).toMatchObject([{ schema }])
    expect(request.tools?.map((tool) => tool.kind === 'function' && tool.schema)).toEqual([schema])
  })

  test('does not overwrite what was changed after reading', () => {
    const changed = { ...read({ contents: [], generationConfig: {}, toolConfig: null }), temperature: 1 }
    expect(gemini.writeRequest(changed, targetOf('gemini-3-flash')).body).toEqual({
      contents: [],
      generationConfig: { temperature: 1 },
      toolConfig: null,
    })
  })
})

describe('the contents of a request', () => {
  test('of one stream become one message without its empty end', () => {
    const text = (...parts: object[]) => ({ role: 'model', parts })
    const call = { functionCall: { name: 'f', args: {}, id: 'a' } }
    const body = {
      contents: [
        { role: 'user', parts: [{ text: 'Hi' }] },
        text({ text: 'Hel' }),
        text({ text: 'lo' }, call),
        text({ text: '', thought_signature: 'c2ln' }),
        text({ text: '' }, { text: '!' }),
        { role: 'user', parts: [{ functionResponse: { id: 'a', name: 'f', response: {} } }] },
        { role: 'user', parts: [{ text: '' }] },
        { role: 'user', parts: [{ text: 'So?' }] },
      ],
    }
    const request = read(body)
    expect(request.messages.map(({ role, parts }) => [role, ...parts.map(({ kind }) => kind)])).toEqual([
      ['user', 'text'],
      ['assistant', 'text', 'text', 'toolCall', 'text'],
      ['user', 'toolResult', 'text'],
    ])
    expect(gemini.writeRequest(request, targetOf('gemini-3-flash'))).toStrictEqual({ body, dropped: [] })
  })

  test('match a result without an id to its call', () => {
    const call = (id?: string) => ({ functionCall: { name: 'f', args: {}, ...(id ? { id } : {}) } })
    const result = (id?: string) => ({ functionResponse: { name: 'f', response: {}, ...(id ? { id } : {}) } })
    const request = read({
      contents: [
        { role: 'model', parts: [call(), call('b'), call()] },
        { role: 'user', parts: [{ text: 'Here.' }, result('b'), result(), result(), result()] },
      ],
    })
    const ids = request.messages[1]?.parts.map((part) => (part.kind === 'toolResult' ? part.callId : part.kind))
    expect(ids).toEqual(['b', 'call_0_0', 'call_0_2', 'call_1_4', 'text'])
  })
})

describe('an invalid request', () => {
  test.each<[string, JsonObject, string]>([
    ['a field twice', { contents: [], generationConfig: {}, generation_config: {} }, 'generationConfig'],
    ['contents of text', { contents: ['Hi'] }, 'contents[0]'],
    ['a role of its own', { contents: [{ role: 'robot', parts: [] }] }, 'contents[0].role'],
    ['text that is none', { contents: [{ parts: [{ text: 1 }] }] }, 'contents[0].parts[0].text'],
    ['a part of two kinds', { contents: [{ parts: [{ text: 'a', inlineData: {} }] }] }, 'contents[0].parts[0]'],
    [
      'arguments that are none',
      { contents: [{ parts: [{ functionCall: { name: 'f', args: [1] } }] }] },
      'contents[0].parts[0].functionCall.args',
    ],
    [
      'a response that is none',
      { contents: [{ parts: [{ functionResponse: { name: 'f', response: [1] } }] }] },
      'contents[0].parts[0].functionResponse.response',
    ],
    [
      'a call of nothing',
      { contents: [{ parts: [{ functionCall: { name: '' } }] }] },
      'contents[0].parts[0].functionCall.name',
    ],
    ['a system prompt of text', { contents: [], systemInstruction: 'Hi' }, 'systemInstruction'],
    ['a number in quotes', { contents: [], generationConfig: { topK: '3' } }, 'generationConfig.topK'],
    [
      'a nameless function',
      { contents: [], tools: [{ functionDeclarations: [{}] }] },
      'tools[0].functionDeclarations[0].name',
    ],
  ])('is refused: %s', (_name, body, param) => {
    expect(() => read(body)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })
})

const call = (id: string, args: string, fields = {}) =>
  ({ kind: 'toolCall', id, name: 'f', arguments: args, ...fields }) as const

const result = (text: string, failed = false) =>
  ({ kind: 'toolResult', callId: 'a', name: 'f', parts: [{ kind: 'text', text }], failed }) as const

describe('messages written for Gemini', () => {
  test('have joined instructions and joined neighbours', () => {
    const parts = (text: string) => [{ kind: 'text', text }] as const
    const { body } = write([
      { role: 'system', parts: parts('A') },
      script('1'),
      { role: 'system', parts: parts('B') },
      script('2'),
      { role: 'assistant', parts: [] },
      script(''),
      { role: 'assistant', parts: [{ kind: 'refusal', text: 'No.' }] },
    ])
    expect(body).toEqual({
      systemInstruction: { parts: [{ text: 'A' }, { text: 'B' }] },
      contents: [
        { role: 'user', parts: [{ text: '1' }, { text: '2' }] },
        { role: 'model', parts: [{ text: 'No.' }] },
      ],
    })
  })

  test('have a signature on the first call if the model needs it', () => {
    const parts = [call('a', '{"x":1}'), call('b', ' ')]
    const functions = (...signature: object[]) => [
      { functionCall: { id: 'a', name: 'f', args: { x: 1 } }, ...signature[0] },
      { functionCall: { id: 'b', name: 'f', args: {} } },
    ]
    const skip = { thoughtSignature: 'skip_thought_signature_validator' }
    expect(write([{ role: 'assistant', parts }]).body.contents).toEqual([{ role: 'model', parts: functions(skip) }])
    expect(write([{ role: 'assistant', parts }], {}, 'gemini-2.5-pro').body.contents).toEqual([
      { role: 'model', parts: functions() },
    ])
    const signed = [call('a', '{"x":1}', { signature: 'c2ln' }), call('b', '{}')]
    expect(write([{ role: 'assistant', parts: signed }]).body.contents).toEqual([
      { role: 'model', parts: functions({ thoughtSignature: 'c2ln' }) },
    ])
  })

  test.each<[string, ReturnType<typeof result>, object]>([
    ['an object', result('{"a":1}'), { a: 1 }],
    ['text', result('warm'), { result: 'warm' }],
    ['a list', result('[1]'), { result: '[1]' }],
    ['a failure', result('{"a":1}', true), { error: '{"a":1}' }],
    ['broken JSON', result('{"a"'), { result: '{"a"' }],
  ])('have %s as the response of a function', (_name, part, response) => {
    expect(write([{ role: 'user', parts: [part] }]).body.contents).toEqual([
      { role: 'user', parts: [{ functionResponse: { id: 'a', name: 'f', response } }] },
    ])
  })

  test('have the media of a result after its text, before anything else', () => {
    const picture = { kind: 'media', mediaType: 'image/png', source: { base64: 'AA==' } } as const
    const shown = { ...result('ok'), parts: [picture, { kind: 'text', text: 'ok' } as const] }
    const { body } = write([{ role: 'user', parts: [shown, result('2'), { kind: 'text', text: 'So?' }] }])
    const resultPart = (text: string) => ({ functionResponse: { id: 'a', name: 'f', response: { result: text } } })
    expect(body.contents).toEqual([
      {
        role: 'user',
        parts: [
          resultPart('ok'),
          resultPart('2'),
          { inlineData: { mimeType: 'image/png', data: 'AA==' } },
          { text: 'So?' },
        ],
      },
    ])
  })

  test('have a media type for an image by URL', () => {
    const index = (url: string): ChatMessage => ({
      role: 'user',
      parts: [{ kind: 'media', mediaType: 'image/*', source: { url } }],
    })
    expect(valuesOf(write([index('https://a/b.PNG?c=d.gif')]).body, 'mimeType')).toEqual(['image/png'])
    expect(valuesOf(write([index('https://a/b')]).body, 'mimeType')).toEqual(['image/jpeg'])
  })
})

describe('thinking written for Gemini', () => {
  test.each<[string, string, JsonObject, JsonObject | undefined, string[]]>([
    [
      'an effort',
      'gemini-3-flash',
      { effort: 'max', shown: true },
      { thinkingLevel: 'high', includeThoughts: true },
      [],
    ],
    ['a budget, as a level', 'gemini-3-flash', { budgetTokens: 2_048 }, { thinkingLevel: 'low' }, []],
    ['a larger budget, as a level', 'gemini-3-flash', { budgetTokens: 2_049 }, { thinkingLevel: 'medium' }, []],
    [
      'no thought of a model that must think',
      'gemini-3-pro',
      { effort: 'none' },
      { thinkingLevel: 'low' },
      ['reasoning'],
    ],
    ['an effort, as a budget', 'gemini-2.5-flash', { effort: 'low' }, { thinkingBudget: 1_024 }, []],
    ['no thought', 'gemini-2.5-flash', { effort: 'none' }, { thinkingBudget: 0 }, []],
    ['little thought of a larger model', 'gemini-2.5-pro', { effort: 'none' }, { thinkingBudget: 128 }, ['reasoning']],
    ['a budget', 'gemini-2.5-flash', { budgetTokens: 99_999 }, { thinkingBudget: 24_576 }, []],
    ['whatever it takes', 'gemini-2.5-flash', { dynamic: true }, { thinkingBudget: -1 }, []],
    ['whatever it takes, as is usual', 'gemini-3-flash', { dynamic: true }, undefined, []],
    ['thought of a model without', 'gemini-2.0-flash', { effort: 'low' }, undefined, ['reasoning']],
    ['no thought of a model without', 'gemini-2.0-flash', { effort: 'none' }, undefined, []],
  ])('is written for %s on %s', (_name, model, reasoning, expected, dropped) => {
    const written = write([script('Hi')], { reasoning }, model)
    expect(recordOf(written.body.generationConfig).thinkingConfig).toEqual(expected)
    expect(written.dropped).toEqual(dropped)
  })

  test('is restored for models of the same generation only', () => {
    const request = read({
      contents: [],
      generationConfig: { thinkingConfig: { thinkingLevel: 'LOW', includeThoughts: false } },
    })
    const thinking = (model: string) => valuesOf(gemini.writeRequest(request, targetOf(model)).body, 'thinkingConfig')
    expect(thinking('gemini-3.1-pro')).toEqual([{ thinkingLevel: 'LOW', includeThoughts: false }])
    expect(thinking('gemini-2.5-flash')).toEqual([{ thinkingBudget: 1_024, includeThoughts: false }])
    expect(thinking('gemini-2.0-flash')).toEqual([])
  })
})

describe('what Gemini cannot do', () => {
  test.each<[string, JsonObject, string[]]>([
    ['parallelTools', { parallelTools: false }, ['parallelTools']],
    ['user', { user: 'u' }, ['user']],
    ['temperature', { temperature: 3 }, ['temperature']],
    ['seed', { seed: 2 ** 40 }, ['seed']],
    ['strict tools', { tools: [{ kind: 'function', name: 'f', strict: true, cache: '5m' }] }, ['strict', 'cache']],
    ['hints of others', { extras: { dialect: 'other', hints: { a: 1, b: null }, marks: { c: 1 } } }, ['a']],
    ['nothing', { temperature: 2, seed: 7, parallelTools: true, answers: 1, user: '' }, []],
  ])('is dropped and reported: %s', (_name, fields, dropped) => {
    expect(write([script('Hi')], fields).dropped).toEqual(dropped)
  })

  test.each<[string, JsonObject, string]>([
    ['six stop sequences', { stop: ['1', '2', '3', '4', '5', '6'] }, 'stop'],
    ['nine answers', { answers: 9 }, 'answers'],
    ['needs of others', { extras: { dialect: 'other', needs: { store: 'x' } } }, 'store'],
    [
      'tools of others',
      { tools: [{ kind: 'dialect', dialect: 'other', name: 'web_search', value: {} }] },
      'web_search',
    ],
    [
      'parts of others',
      { messages: [{ role: 'user', parts: [{ kind: 'dialect', dialect: 'other', name: 'x', value: {} }] }] },
      'x',
    ],
    [
      'instructions in pictures',
      { messages: [{ role: 'system', parts: [{ kind: 'media', mediaType: 'image/png', source: { url: 'u' } }] }] },
      'messages',
    ],
  ])('is refused: %s', (_name, fields, param) => {
    expect(() => write([], fields)).toThrow(expect.objectContaining({ code: 'unsupported', param }))
  })

  test.each(['{"a"', '[1]', 'null', '"a"', `{"a":${'['.repeat(9_000)}${']'.repeat(9_000)}}`])(
    'is refused with arguments that are no object: %#',
    (args) => {
      expect(() => write([{ role: 'assistant', parts: [call('a', args)] }])).toThrow(
        expect.objectContaining({ code: 'invalid_request', param: 'messages' }),
      )
    },
  )

  test('is dropped without a report: thoughts of another provider', () => {
    const thought = { kind: 'reasoning', text: 'Hm', signature: 's', signedIn: 'anthropic.messages' } as const
    const written = write([{ role: 'assistant', parts: [thought, { kind: 'text', text: 'Yes' }] }])
    expect(written).toEqual({ body: { contents: [{ role: 'model', parts: [{ text: 'Yes' }] }] }, dropped: [] })
  })
})

const answerOf = (finishReason: string, ...parts: object[]) =>
  gemini.readResponse({ responseId: 'R', candidates: [{ content: { parts }, finishReason }] }).choices

const used = { usage: usageOf({ input: 5, cacheRead: 3, output: 9 }), reasoningTokens: 4 }

const counted = {
  promptTokenCount: 8,
  cachedContentTokenCount: 3,
  candidatesTokenCount: 5,
  thoughtsTokenCount: 4,
  totalTokenCount: 17,
}

const STREAM: ChatEvent[] = [
  { kind: 'start', id: 'x', model: 'gpt' },
  { kind: 'reasoning', choice: 0, text: 'Hm' },
  { kind: 'signature', choice: 0, signature: 's', signedIn: 'anthropic.messages' },
  { kind: 'text', choice: 0, text: 'A' },
  { kind: 'toolCall', choice: 0, call: 0, id: 'a', name: 'f' },
  { kind: 'arguments', choice: 0, call: 0, text: '{"x"' },
  { kind: 'toolCall', choice: 0, call: 1, id: 'b', name: 'g', signature: 'c2ln' },
  { kind: 'arguments', choice: 0, call: 0, text: ':1}' },
  { kind: 'text', choice: 1, text: 'B' },
  { kind: 'stop', choice: 1, reason: 'length' },
  { kind: 'stop', choice: 0, reason: 'toolCalls' },
]

const head = { modelVersion: 'gpt', responseId: '019a-call' }

const content = (index: number, ...parts: object[]) => ({ content: { parts, role: 'model' }, index })

const CHUNKS = [
  { candidates: [content(0, { text: 'Hm', thought: true })], ...head },
  { candidates: [content(0, { text: 'A' })], ...head },
  { candidates: [content(1, { text: 'B' })], ...head },
  {
    candidates: [
      content(
        0,
        { functionCall: { id: 'a', name: 'f', args: { x: 1 } }, ...UNSIGNED },
        { functionCall: { id: 'b', name: 'g', args: {} }, thoughtSignature: 'c2ln' },
      ),
    ],
    ...head,
  },
  {
    candidates: [
      { ...content(0, { text: '' }), finishReason: 'STOP' },
      { ...content(1, { text: '' }), finishReason: 'MAX_TOKENS' },
    ],
    usageMetadata: counted,
    ...head,
  },
]

describe('a response that is read', () => {
  test.each([
    ['STOP', 'end'],
    ['MAX_TOKENS', 'length'],
    ['SAFETY', 'filtered'],
    ['SPII', 'filtered'],
    ['MALFORMED_FUNCTION_CALL', 'end'],
    ['NEWS', 'end'],
    ['constructor', 'end'],
  ])('with finish reason %s has stop reason %s', (reason, stop) => {
    expect(answerOf(reason)).toEqual([{ parts: [], stop }])
  })

  test('with function calls has the stop reason toolCalls, and ids for its calls', () => {
    const call = (id?: string) => ({ functionCall: { name: 'f', ...(id ? { id } : {}) } })
    expect(answerOf('STOP', call(), call('x'), call())).toMatchObject([
      { parts: [{ id: 'call_R_0', arguments: '{}' }, { id: 'x' }, { id: 'call_R_2' }], stop: 'toolCalls' },
    ])
    expect(answerOf('MAX_TOKENS', call())).toMatchObject([{ stop: 'length' }])
  })

  test('has its candidates in their order', () => {
    const candidate = (index: number) => ({ index, content: { parts: [{ text: `${index}` }] }, finishReason: 'STOP' })
    const { choices } = gemini.readResponse({ candidates: [candidate(1), candidate(2), candidate(0)] })
    expect(choices.map(({ parts }) => parts)).toEqual(['0', '1', '2'].map((text) => [{ kind: 'text', text }]))
  })

  test('of a blocked prompt has the stop reason filtered', () => {
    expect(gemini.readResponse({ promptFeedback: { blockReason: 'SAFETY' } }).choices).toEqual([
      { parts: [], stop: 'filtered' },
    ])
    expect(readAll([{ promptFeedback: { blockReason: 'SAFETY' } }])).toEqual([
      { kind: 'start', id: '', model: '' },
      { kind: 'stop', choice: 0, reason: 'filtered' },
    ])
  })
})

describe('a response that is written', () => {
  test('has all parts in their fields', () => {
    const answer: ChatResponse = {
      id: 'chatcmpl-1',
      model: 'gpt',
      choices: [
        {
          parts: [
            { kind: 'reasoning', text: 'Hm', signature: 's', signedIn: 'anthropic.messages' },
            { kind: 'reasoning', text: '', redacted: 'r', signedIn: 'anthropic.messages' },
            { kind: 'text', text: 'Hi' },
            { kind: 'media', mediaType: 'image/png', source: { base64: 'AA==' } },
            { kind: 'toolCall', id: 'a', name: 'f', arguments: '{"x":1}' },
            { kind: 'dialect', dialect: 'other', name: 'o', value: {} },
          ],
          stop: 'toolCalls',
        },
        { parts: [{ kind: 'refusal', text: 'No.' }], stop: 'refusal' },
      ],
    }
    expect(gemini.writeResponse(answer, used, CONTEXT)).toEqual({
      candidates: [
        {
          content: {
            role: 'model',
            parts: [
              { text: 'Hm', thought: true },
              { text: 'Hi' },
              { inlineData: { mimeType: 'image/png', data: 'AA==' } },
              // Gemini needs a signature if the caller sends it back.
              { functionCall: { id: 'a', name: 'f', args: { x: 1 } }, ...UNSIGNED },
            ],
          },
          finishReason: 'STOP',
          index: 0,
        },
        { content: { role: 'model', parts: [{ text: 'No.' }] }, finishReason: 'SAFETY', index: 1 },
      ],
      usageMetadata: counted,
      modelVersion: 'gpt',
      responseId: '019a-call',
    })
  })

  test.each<[string, UnitsByClass, number]>([
    ['more thoughts than output', { output: 3 }, 9],
    ['nothing', {}, 0],
  ])('never has negative usage: %s', (_name, usage, reasoningTokens) => {
    const written = gemini.writeResponse(
      { id: '', model: '', choices: [] },
      { usage: usageOf(usage), reasoningTokens },
      CONTEXT,
    )
    const output = usage.output ?? 0
    expect(written.usageMetadata).toMatchObject({ candidatesTokenCount: 0, totalTokenCount: output })
  })

  test('reports a call with broken arguments as malformed', () => {
    const parts = [{ kind: 'toolCall', id: 'a', name: 'f', arguments: '{"x"' } as const]
    const candidate = (stop: 'toolCalls' | 'length') =>
      gemini.writeResponse({ id: '', model: '', choices: [{ parts, stop }] }, undefined, CONTEXT).candidates
    expect(candidate('toolCalls')).toMatchObject([{ content: { parts: [] }, finishReason: 'MALFORMED_FUNCTION_CALL' }])
    expect(candidate('length')).toMatchObject([{ content: { parts: [] }, finishReason: 'MAX_TOKENS' }])
  })
})

describe('a stream that is written', () => {
  test('has whole calls, and the finish reason and the usage at its end', () => {
    const writer = gemini.createEventWriter(CONTEXT)
    const written = STREAM.map((event) => writer.write(event)).join('') + writer.end(used)
    expect(written).toMatch(/^(data: \{.*\}\r\n\r\n){5}$/)
    expect(eventsIn(written)).toEqual(CHUNKS)
    expect(gemini.streamContentType(CONTEXT)).toBe('text/event-stream')
  })

  test('is one JSON array if the client does not ask for events', () => {
    const context = { ...CONTEXT, asEvents: false }
    const writer = gemini.createEventWriter(context)
    const written = STREAM.map((event) => writer.write(event)).join('') + writer.end(used)
    expect(JSON.parse(written)).toEqual(CHUNKS)
    expect(written).toMatch(/^\[\{.*\}\n(,\r\n\{.*\}\n){4}\]$/)
    expect(writeAll([], context)).toBe('[]')
    expect(gemini.streamContentType(context)).toContain('json')
  })

  test('ends with its error', () => {
    const failure: ChatEvent = { kind: 'error', error: { status: 0, kind: 'overloaded', message: 'Busy' } }
    const events: ChatEvent[] = [
      { kind: 'text', choice: 0, text: 'A' },
      failure,
      { kind: 'text', choice: 0, text: 'B' },
      failure,
    ]
    const error = { code: 503, message: 'Busy', status: 'UNAVAILABLE' }
    expect(eventsIn(writeAll(events))).toMatchObject([{ candidates: [{}] }, { error }])
    expect(JSON.parse(writeAll(events, { ...CONTEXT, asEvents: false }))).toMatchObject([
      { candidates: [{}] },
      { error },
    ])
    expect(JSON.parse(writeAll([failure], { ...CONTEXT, asEvents: false }))).toMatchObject([{ error }])
    expect(readAll(eventsIn(writeAll([failure]))).at(-1)).toMatchObject({
      kind: 'error',
      error: { status: 503, kind: 'overloaded' },
    })
  })

  test('reports an unfinished call as malformed', () => {
    const call: ChatEvent[] = [
      { kind: 'toolCall', choice: 0, call: 0, id: 'a', name: 'f' },
      { kind: 'arguments', choice: 0, call: 0, text: '{"x"' },
      { kind: 'stop', choice: 0, reason: 'toolCalls' },
    ]
    expect(eventsIn(writeAll(call))).toMatchObject([{ candidates: [{ finishReason: 'MALFORMED_FUNCTION_CALL' }] }])
  })

  test('has a call before the text that follows it', () => {
    const call: ChatEvent[] = [
      { kind: 'toolCall', choice: 0, call: 0, id: 'a', name: 'f' },
      { kind: 'text', choice: 0, text: 'A' },
    ]
    expect(eventsIn(writeAll(call)).map((event) => valuesOf(event, 'parts'))).toEqual([
      [[{ functionCall: { id: 'a', name: 'f', args: {} }, ...UNSIGNED }]],
      [[{ text: 'A' }]],
    ])
  })

  test('has a call as soon as the next one begins, unless it is unfinished', () => {
    const writer = gemini.createEventWriter(CONTEXT)
    const call = (index: number) =>
      writer.write({ kind: 'toolCall', choice: 0, call: index, id: `${index}`, name: 'f' })
    const fields = (index: number, text: string) => writer.write({ kind: 'arguments', choice: 0, call: index, text })
    const calls = (index: number, fields = {}) => [{ functionCall: { id: `${index}`, name: 'f', args: {} }, ...fields }]
    const partsIn = (written: string) => eventsIn(written).map((event) => valuesOf(event, 'parts'))
    expect([call(0), fields(0, '{'), call(1), fields(1, '{}'), fields(0, '}')]).toEqual(['', '', '', '', ''])
    expect(partsIn(call(2))).toEqual([[[...calls(0, UNSIGNED), ...calls(1)]]])
    expect(fields(2, '{}')).toBe('')
    expect(partsIn(writer.end(undefined))).toEqual([[calls(2)]])
  })

  test('has calls with ids that the reader makes up, streamed or whole', () => {
    const body = { responseId: 'R', candidates: [{ content: { parts: [{ functionCall: { name: 'f' } }] } }] }
    expect(readAll([body])).toContainEqual({ kind: 'toolCall', choice: 0, call: 0, id: 'call_R_0', name: 'f' })
  })
})

describe('a stream that is read', () => {
  test.each<[string, JsonObject[], JsonObject]>([
    [
      'goes on only where it says so',
      [
        { jsonPath: '$.a', stringValue: 'x' },
        { jsonPath: '$.a', stringValue: 'y' },
      ],
      { a: 'y' },
    ],
    [
      'goes on',
      [
        { jsonPath: '$.a', stringValue: 'x', willContinue: true },
        { jsonPath: '$.a', stringValue: 'y' },
      ],
      { a: 'xy' },
    ],
    [
      'is of any kind',
      [
        { jsonPath: "$['a b'].c", boolValue: true },
        { jsonPath: '$.d', nullValue: null },
      ],
      { 'a b': { c: true }, d: null },
    ],
    [
      'leaves no holes',
      [
        { jsonPath: '$.a[0]', numberValue: 1 },
        { jsonPath: '$.a[999999999]', numberValue: 2 },
      ],
      { a: [1] },
    ],
  ])('is read with arguments in pieces: %s', (_name, partialArgs, args) => {
    const body = { candidates: [{ content: { parts: [{ functionCall: { name: 'f', partialArgs } }] } }] }
    const texts = readAll([body]).flatMap((event) => (event.kind === 'arguments' ? [event.text] : []))
    expect(texts.map((text) => JSON.parse(text))).toEqual([args])
  })

  test('that repeats its finish reason stops once, at its end', () => {
    const event = (text: string) => ({ candidates: [{ content: { parts: [{ text }] }, finishReason: 'STOP' }] })
    expect(readAll([event('A'), event('B')]).map(({ kind }) => kind)).toEqual(['start', 'text', 'text', 'stop'])
  })
})

describe('an error', () => {
  test.each<[number, string | undefined, string]>([
    [400, 'INVALID_ARGUMENT', 'invalid'],
    [401, 'UNAUTHENTICATED', 'unauthenticated'],
    [402, undefined, 'quota'],
    [403, 'PERMISSION_DENIED', 'forbidden'],
    [404, 'NOT_FOUND', 'notFound'],
    [413, undefined, 'tooLarge'],
    [429, 'RESOURCE_EXHAUSTED', 'rate'],
    [500, 'INTERNAL', 'server'],
    [502, undefined, 'server'],
    [503, 'UNAVAILABLE', 'overloaded'],
    [504, 'DEADLINE_EXCEEDED', 'timeout'],
    [0, 'RESOURCE_EXHAUSTED', 'rate'],
    [0, undefined, 'server'],
  ])('of status %i %s is %s', (status, name, kind) => {
    expect(gemini.readError(status, { error: { message: 'm', status: name } })).toMatchObject({ kind, message: 'm' })
  })

  test('of an unknown key is unauthenticated, also in a list', () => {
    const body = [
      { error: { code: 400, message: 'm', status: 'INVALID_ARGUMENT', details: [{ reason: 'API_KEY_INVALID' }] } },
    ]
    expect(gemini.readError(400, body)).toMatchObject({ kind: 'unauthenticated' })
  })

  test('always has a message of bounded length', () => {
    for (const body of [
      undefined,
      null,
      'x',
      [],
      [null],
      { error: null },
      { error: { message: '' } },
      { error: 'x' },
    ]) {
      expect(gemini.readError(500, body)).toEqual({
        status: 500,
        kind: 'server',
        message: 'The provider answered with status 500.',
      })
    }
    expect(gemini.readError(500, { error: { message: 'x'.repeat(9_999) } }).message).toHaveLength(2_000)
  })

  test('is written with the status that clients read', () => {
    const error = { status: 429, kind: 'quota', message: 'Used up', code: 'insufficient_quota' } as const
    expect(JSON.parse(gemini.writeError(error, CONTEXT))).toEqual({
      error: {
        code: 429,
        message: 'Used up',
        status: 'RESOURCE_EXHAUSTED',
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
            reason: 'insufficient_quota',
            domain: 'bursar',
            metadata: { callId: '019a-call' },
          },
        ],
      },
    })
  })
})
