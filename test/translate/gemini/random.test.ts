// Gemini's translator on random input: every request survives writing and reading, and no input makes it throw anything but a Problem.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChatEvent, ChatMessage, ChatRequest, JsonObject, Part } from '../../../src/core/chat.ts'
import { Problem } from '../../../src/core/problem.ts'
import { usageOf } from '../../../src/core/usage.ts'
import { geminiGenerateTranslator as gemini } from '../../../src/translate/gemini/translator.ts'
import type { ResponseContext } from '../../../src/translate/translator.ts'
import { lineTo } from '../../wire/samples.ts'

const MODEL = 'gemini-2.5-flash'
const TARGET = { model: MODEL, capField: 'maxOutputTokens', defaultCap: 4096 }
const CONTEXT: ResponseContext = { callId: 'c', nowMs: 0, model: MODEL, withUsage: true, asEvents: true }
const pathOf = (stream: boolean) =>
  lineTo(`/v1beta/models/${MODEL}:${stream ? 'streamGenerateContent' : 'generateContent'}`)

const word = fc.string({ minLength: 1, maxLength: 8 })
const json = fc.dictionary(
  fc.constantFrom('a', 'b', 'type_name', '__proto__', 'constructor'),
  fc.jsonValue({ maxDepth: 2 }),
)
/** A value after a round trip through JSON, which drops -0 and inherited fields. */
const plain = json.map((value): JsonObject => JSON.parse(JSON.stringify(value)))
const type = fc.constantFrom('image/png', 'application/pdf', 'audio/wav', 'video/mp4')
const base64 = fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes).toString('base64'))
const source = fc.oneof(
  base64.map((data) => ({ base64: data })),
  fc.webUrl({ validSchemes: ['https'] }).map((url) => ({ url })),
)

const textPart = word.map((text): Part => ({ kind: 'text', text }))
const media = fc.record({ kind: fc.constant('media' as const), mediaType: type, source })
const thought = fc.record(
  {
    kind: fc.constant('reasoning' as const),
    text: word,
    signature: word,
    signedIn: fc.constant('gemini.generateContent'),
  },
  { requiredKeys: ['kind', 'text', 'signedIn'] },
)
const call = fc.record(
  {
    kind: fc.constant('toolCall' as const),
    id: word,
    name: word,
    arguments: plain.map((args) => JSON.stringify(args)),
    signature: word,
    extras: fc.constant({ dialect: 'gemini.generateContent' }),
  },
  { requiredKeys: ['kind', 'id', 'name', 'arguments', 'extras'] },
)
/** Texts that are JSON too: an object with only `error` or `result` looks like a wrapped text. */
const resultText = fc.oneof(
  word,
  plain.map((value) => JSON.stringify(value)),
)
const result = fc.tuple(word, word, resultText, fc.boolean()).map(
  ([callId, name, text, failed]): Part => ({
    kind: 'toolResult',
    callId,
    name,
    parts: [{ kind: 'text', text }],
    failed,
  }),
)

const userParts = fc
  .tuple(fc.array(result, { maxLength: 2 }), fc.array(fc.oneof(textPart, media), { minLength: 1, maxLength: 3 }))
  .map(([results, others]): Part[] => [...results, ...others])
const modelParts = fc.array<Part>(fc.oneof(textPart, thought, call), { minLength: 1, maxLength: 3 })
/** Roles alternate, since neighbours with the same role would be joined. */
const messages = fc
  .tuple(
    fc.option(fc.array(textPart, { minLength: 1, maxLength: 2 })),
    fc.array(fc.tuple(userParts, modelParts), { maxLength: 3 }),
  )
  .map(([system, turns]): ChatMessage[] => [
    ...(system ? [{ role: 'system', parts: system } as const] : []),
    ...turns.flatMap(([user, model]): ChatMessage[] => [
      { role: 'user', parts: user },
      { role: 'assistant', parts: model },
    ]),
  ])

const tool = fc.oneof(
  fc.record(
    { kind: fc.constant('function' as const), name: word, description: word, schema: plain },
    { requiredKeys: ['kind', 'name'] },
  ),
  fc.constant({
    kind: 'dialect' as const,
    dialect: 'gemini.generateContent',
    name: 'googleSearch',
    value: { googleSearch: {} },
  }),
)
const format = fc.oneof(
  fc.constant({ kind: 'json' as const }),
  fc.record({ kind: fc.constant('schema' as const), schema: plain }),
)
const choice = fc.oneof(
  fc.constantFrom({ kind: 'auto' as const }, { kind: 'none' as const }, { kind: 'required' as const }),
  fc.record({
    kind: fc.constant('tools' as const),
    names: fc.array(word, { minLength: 1, maxLength: 2 }),
    required: fc.boolean(),
  }),
)
const budget = fc.oneof(
  fc.constant({ effort: 'none' as const }),
  fc.constant({ dynamic: true }),
  fc.record({ budgetTokens: fc.integer({ min: 1, max: 24_576 }) }),
)
const reasoning = fc
  .tuple(budget, fc.option(fc.boolean()))
  .map(([request, shown]) => (shown === null ? request : { ...request, shown }))
const probability = fc.integer({ min: 0, max: 8 }).map((eighths) => eighths / 8)

const chatRequest: fc.Arbitrary<ChatRequest> = fc.record(
  {
    model: fc.constant(MODEL),
    stream: fc.boolean(),
    messages,
    tools: fc.array(tool, { minLength: 1, maxLength: 4 }),
    toolChoice: choice,
    format,
    outputCap: fc.integer({ min: 1, max: 9_999 }),
    answers: fc.integer({ min: 1, max: 8 }),
    temperature: probability.map((value) => value * 2),
    topP: probability,
    topK: fc.integer({ min: 1, max: 99 }),
    seed: fc.integer(),
    stop: fc.array(word, { minLength: 1, maxLength: 5 }),
    frequencyPenalty: probability,
    presencePenalty: probability,
    reasoning,
  },
  { requiredKeys: ['model', 'stream', 'messages'] },
)

/** A request without extras. */
function bare<T>(value: T): T {
  return JSON.parse(JSON.stringify(value, (key, inner) => (key === 'extras' ? undefined : inner)))
}

/** Results in the form that writing and reading gives them. */
function normalized(value: ChatRequest): ChatRequest {
  const { body } = gemini.writeRequest(value, TARGET)
  return gemini.readRequest(JSON.parse(JSON.stringify(body)), pathOf(value.stream))
}

test('every request that Gemini can express survives writing and reading', () => {
  fc.assert(
    fc.property(chatRequest, (request) => {
      const wrapped = request.messages.some(({ parts }) =>
        parts.some((part) => part.kind === 'toolResult' && /"(error|result)"/.test(JSON.stringify(part.parts))),
      )
      fc.pre(!wrapped)
      const again = normalized(request)
      expect(bare(again)).toEqual(bare(request))
      expect(gemini.writeRequest(request, TARGET).dropped).toEqual([])
      // A second round trip changes nothing, including marks.
      expect(normalized(again)).toEqual(again)
    }),
    { numRuns: 500 },
  )
})

const NAMES = [
  ...[
    'contents',
    'parts',
    'role',
    'text',
    'thought',
    'thoughtSignature',
    'functionCall',
    'function_call',
    'functionResponse',
  ],
  ...[
    'name',
    'args',
    'id',
    'response',
    'inlineData',
    'inline_data',
    'fileData',
    'fileUri',
    'mimeType',
    'data',
    'tools',
  ],
  ...[
    'functionDeclarations',
    'parameters',
    'generationConfig',
    'generation_config',
    'thinkingConfig',
    'thinkingBudget',
  ],
  ...[
    'responseSchema',
    'responseMimeType',
    'stopSequences',
    'toolConfig',
    'functionCallingConfig',
    'mode',
    'systemInstruction',
  ],
  ...[
    'candidates',
    'content',
    'finishReason',
    'index',
    'promptFeedback',
    'blockReason',
    'usageMetadata',
    'modelVersion',
  ],
  ...[
    'partialArgs',
    'jsonPath',
    'stringValue',
    'willContinue',
    'error',
    'code',
    'status',
    'message',
    'details',
    'responseId',
  ],
  ...['__proto__', 'constructor', 'toString', 'generationConfig.topK', 'separate', 'snakeCase', 'inside'],
]
const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    1e300,
    '',
    'model',
    'user',
    'STOP',
    'SAFETY',
    'application/json',
    'STRING',
  ),
  fc.constantFrom<unknown>('$.a', '$.a[0].b', '$.__proto__.x', '$[9]', '{"a":1}', '{"a"', 'x'.repeat(99), [], {}),
)
const { junk } = fc.letrec<{ junk: unknown }>((tie) => ({
  junk: fc.oneof(
    { maxDepth: 7, withCrossShrink: true },
    scalar,
    fc.array(tie('junk'), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.constantFrom(...NAMES), tie('junk')), { maxLength: 6 })
      .map((fields): unknown => Object.fromEntries(fields)),
  ),
}))
const object = fc
  .array(fc.tuple(fc.constantFrom(...NAMES), junk), { maxLength: 8 })
  .map((fields): JsonObject => Object.fromEntries(fields))
/** Junk in place of the parts of a request or a response. */
const parts = fc.array(object, { maxLength: 4 })
const bodies = fc.oneof(
  object,
  parts.map((list) => ({ contents: [{ role: 'model', parts: list }] })),
  parts.map((list) => ({ candidates: [{ content: { parts: list }, finishReason: 'STOP' }] })),
  fc.array(object).map((pieces) => ({
    candidates: [{ content: { parts: [{ functionCall: { name: 'f', partialArgs: pieces, willContinue: true } }] } }],
  })),
)

describe('any input', () => {
  test('a request is refused with a Problem, or is read and restored', () => {
    fc.assert(
      fc.property(bodies, (body) => {
        try {
          const request = gemini.readRequest(body, pathOf(false))
          gemini.writeRequest(request, TARGET)
          gemini.writeRequest(request, { ...TARGET, model: 'gemini-3-flash' })
        } catch (error) {
          expect(error).toBeInstanceOf(Problem)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test.each([true, false])('an answer is read and written, and so is a stream (as events: %s)', (asEvents) => {
    const context = { ...CONTEXT, asEvents }
    const used = { usage: usageOf({ output: 1 }), reasoningTokens: 9 }
    fc.assert(
      fc.property(fc.array(bodies, { maxLength: 3 }), (all) => {
        const reader = gemini.createEventReader()
        const writer = gemini.createEventWriter(context)
        const events = [...all.flatMap((body) => reader.read(body)), ...reader.end()]
        const written = events.map((event) => writer.write(event)).join('') + writer.end(used)
        if (!asEvents) expect(Array.isArray(JSON.parse(written))).toBe(true)
        for (const body of all) {
          JSON.stringify(gemini.writeResponse(gemini.readResponse(body), used, context))
          expect(gemini.readError(400, body).message.length).toBeLessThanOrEqual(2_000)
        }
      }),
      { numRuns: 1_000 },
    )
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  test('a stream of events in any order is written as JSON', () => {
    const index = fc.integer({ min: 0, max: 2 })
    const piece = fc.constantFrom('', '{', '}', '{}', '{"a":', '1}', '['.repeat(20_000))
    const event: fc.Arbitrary<ChatEvent> = fc.oneof(
      fc.record({
        kind: fc.constantFrom('text' as const, 'reasoning' as const, 'refusal' as const),
        choice: index,
        text: word,
      }),
      fc.record({ kind: fc.constant('toolCall' as const), choice: index, call: index, id: word, name: word }),
      fc.record({ kind: fc.constant('arguments' as const), choice: index, call: index, text: piece }),
      fc.record({
        kind: fc.constant('stop' as const),
        choice: index,
        reason: fc.constantFrom('end' as const, 'toolCalls' as const),
      }),
      fc.record({ kind: fc.constant('redacted' as const), choice: index, data: word, signedIn: word }),
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 12 }), (events) => {
        const writer = gemini.createEventWriter({ ...CONTEXT, asEvents: false })
        const written = events.map((event) => writer.write(event)).join('') + writer.end(undefined)
        expect(Array.isArray(JSON.parse(written))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('very deep and very long arguments take bounded time and memory', () => {
    const depth = 100_000
    const deep = JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)
    const part = (functionCall: JsonObject) => ({
      candidates: [{ content: { parts: [{ functionCall }] }, finishReason: 'STOP' }],
    })
    const answer = gemini.readResponse(part({ name: 'f', args: deep }))
    expect(JSON.stringify(gemini.writeResponse(answer, undefined, CONTEXT))).toContain('MALFORMED_FUNCTION_CALL')
    const reader = gemini.createEventReader()
    const long = { jsonPath: '$.a', stringValue: 'x'.repeat(1_000_000), willContinue: true }
    for (let times = 0; times < 100; times++) {
      reader.read(part({ ...(times === 0 ? { name: 'f' } : {}), partialArgs: [long], willContinue: true }))
    }
    const event = reader.end().find((event) => event.kind === 'arguments')
    expect(event?.kind === 'arguments' && event.text.length).toBeLessThan(5_000_000)
  })

  test('contents with very many parts are joined', () => {
    const parts = Array.from({ length: 150_000 }, (_, index) => ({ text: index % 2 === 0 ? '' : 'a' }))
    const request = gemini.readRequest(
      {
        contents: [
          { role: 'user', parts },
          { role: 'user', parts },
        ],
      },
      pathOf(false),
    )
    expect(request.messages.map((message) => message.parts.length)).toEqual([150_000])
    expect(sizesOf(gemini.writeRequest(request, TARGET).body.contents)).toEqual([150_000, 150_000])
    const asUser = request.messages.map(({ parts }) => ({ role: 'user' as const, parts }))
    const joined = gemini.writeRequest({ ...request, messages: [...asUser, ...asUser] }, TARGET).body
    expect(sizesOf(joined.contents)).toEqual([300_000])
  })
})

/** The number of parts of each content. */
function sizesOf(contents: unknown): number[] {
  return Array.isArray(contents) ? contents.map(({ parts }) => parts.length) : []
}
