// Anthropic requests: recorded and random requests survive reading and writing, and requests of other dialects are written.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChatMessage, ChatRequest, Extras, JsonObject, Part } from '../../../src/core/chat.ts'
import { isRecord, recordOf } from '../../../src/core/json-values.ts'
import { Problem } from '../../../src/core/problem.ts'
import { anthropicMessagesTranslator as anthropic } from '../../../src/translate/anthropic/translator.ts'
import { HAS_SHARED_RECORDINGS, recordingsOf, sharedOf } from '../../support/recordings.ts'
import { LINE, NEWER_MODEL, objectOf, says, targetFor } from './fixtures.ts'

const RECORDED = recordingsOf('anthropic.messages')
const RECORDED_REQUESTS = RECORDED.flatMap(({ file, isShared, request, model }) => {
  const body = request?.body ?? request?.body_trimmed
  // Google and Amazon name the model in the path.
  return isRecord(body) ? [{ file, isShared, body: { model: model ?? 'claude', ...body } }] : []
})

type Counts = Record<'text' | 'cache' | 'format', number>

/**
 * A body in one form, for fields that have two: a string becomes one text block, a cache of five minutes loses its default
 * `ttl`, and `output_format` becomes `output_config.format`. Counts the fields that had the other form.
 */
function plain(body: JsonObject, counts: Counts): JsonObject {
  // At the top level, the field is kept as it is.
  const { output_format: format, cache_control: cache, ...rest } = body
  if (format !== undefined) counts.format++
  return {
    ...recordOf(plainValue(rest, counts)),
    ...(format === undefined ? {} : { output_config: { format } }),
    ...(cache === undefined ? {} : { cache_control: cache }),
  }
}

function plainValue(value: unknown, counts: Counts): unknown {
  if (Array.isArray(value)) return value.map((inner) => plainValue(inner, counts))
  if (!isRecord(value)) return value
  const entries = Object.entries(value).map(([name, inner]) => {
    if (name === 'cache_control' && recordOf(inner).ttl === '5m') {
      counts.cache++
      return [name, { type: 'ephemeral' }]
    }
    const isText = name === 'system' || (name === 'content' && (value.role || value.type === 'tool_result'))
    if (isText && typeof inner === 'string') return [name, [{ type: 'text', text: inner }]]
    if (isText && Array.isArray(inner) && inner.length === 1 && Object.keys(inner[0]).length === 2) counts.text++
    return [name, plainValue(inner, counts)]
  })
  return Object.fromEntries(entries)
}

const roundTrip = (body: JsonObject) =>
  anthropic.writeRequest(anthropic.readRequest(body, LINE), targetFor(String(body.model)))

describe('recorded requests', () => {
  const noCounts = () => ({ text: 0, cache: 0, format: 0 })

  test('are restored', () => {
    for (const { file, body } of RECORDED_REQUESTS) {
      const { body: written, dropped } = roundTrip(body)
      expect(plain(written, noCounts()), file).toEqual(plain(body, noCounts()))
      expect(dropped, file).toEqual([])
    }
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)(
    'there are as many, in as many forms, as there were (../shared/recordings)',
    () => {
      const counts = noCounts()
      const shared = sharedOf(RECORDED_REQUESTS)
      for (const { body } of shared) plain(body, counts)
      expect(shared).toHaveLength(52)
      expect(counts).toEqual({ text: 28, cache: 1, format: 1 })
    },
  )
})

const extras = (...names: string[]): fc.Arbitrary<Extras> =>
  fc.constantFrom(...names).map((name) => ({ dialect: anthropic.dialect, hints: { [name]: { x: 1 } } }))
const word = fc.string({ minLength: 1 })
const cache = fc.constantFrom('5m' as const, '1h' as const)
const ALL_OPTIONAL = { requiredKeys: [] }
const withCache = <T extends object>(part: fc.Arbitrary<T>, ...names: string[]) =>
  fc
    .tuple(part, fc.record({ cache, extras: extras(...names) }, ALL_OPTIONAL))
    .map(([required, fields]) => ({ ...required, ...fields }))
const json = fc.dictionary(
  word.filter((name) => name !== '__proto__'),
  fc.oneof(fc.integer(), word, fc.constant(null)),
)
const text = withCache(fc.record({ kind: fc.constant('text' as const), text: word }), 'citations')
const base64 = fc.base64String().map((data) => ({ base64: data }))
const image = withCache(
  fc.oneof(
    fc.record({ kind: fc.constant('media' as const), mediaType: fc.constant('image/png'), source: base64 }),
    fc.record({
      kind: fc.constant('media' as const),
      mediaType: fc.constant('image/*'),
      source: fc.record({ url: fc.webUrl() }),
    }),
  ),
  'citations',
)
const pdf = withCache(
  fc.record(
    {
      kind: fc.constant('media' as const),
      mediaType: fc.constant('application/pdf'),
      source: fc.oneof(base64, fc.record({ url: fc.webUrl() })),
      name: word,
    },
    { requiredKeys: ['kind', 'mediaType', 'source'] },
  ),
  'context',
)
const thought = fc.oneof(
  fc.record({
    kind: fc.constant('reasoning' as const),
    text: fc.string(),
    signature: word,
    signedIn: fc.constant(anthropic.dialect),
  }),
  fc.record({
    kind: fc.constant('reasoning' as const),
    text: fc.constant(''),
    redacted: word,
    signedIn: fc.constant(anthropic.dialect),
  }),
)
const result = fc.tuple(fc.array(fc.oneof(text, image, pdf), { maxLength: 3 }), fc.boolean())
const turns = fc.array(
  fc.record({
    asks: fc.array(fc.oneof(text, image, pdf), { minLength: 1, maxLength: 3 }),
    thoughts: fc.array(thought, { minLength: 1, maxLength: 2 }),
    says: fc.array(text, { maxLength: 2 }),
    calls: fc.array(fc.tuple(json, result, fc.boolean()), { maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 3 },
)

/** A conversation in the order that Anthropic requires: results first in the message after their calls. */
const messages = fc.tuple(fc.array(text, { maxLength: 2 }), turns).map(([system, all]) => {
  const list: ChatMessage[] = system.length > 0 ? [{ role: 'system', parts: system }] : []
  let results: Part[] = []
  for (const [turn, { asks, thoughts, says: texts, calls }] of all.entries()) {
    list.push({ role: 'user', parts: [...results, ...asks] })
    const made = calls.map(([input, [parts, failed], isCached], index) => {
      const id = `call_${turn}-${index}`
      return {
        call: { kind: 'toolCall' as const, id, name: `f${index}`, arguments: JSON.stringify(input) },
        result: {
          ...{ kind: 'toolResult' as const, callId: id, name: `f${index}`, parts, failed },
          ...(isCached ? { cache: '1h' as const } : {}),
        },
      }
    })
    list.push({ role: 'assistant', parts: [...thoughts, ...texts, ...made.map(({ call }) => call)] })
    results = made.map(({ result: answer }) => answer)
  }
  list.push({ role: 'user', parts: [...results, { kind: 'text', text: 'so?' }] })
  return list
})

const schema = json.map((fields) => ({ ...fields, type: 'object' }))
const tool = withCache(
  fc.record(
    { kind: fc.constant('function' as const), name: word, description: word, schema, strict: fc.boolean() },
    { requiredKeys: ['kind', 'name', 'schema'] },
  ),
  'eager_input_streaming',
)
const dialectTool = word.map((name) => ({
  ...{ kind: 'dialect' as const, dialect: anthropic.dialect, name: 'web_search_20250305' },
  value: { type: 'web_search_20250305', name },
}))
const toolChoices = fc.oneof(
  fc.record({ kind: fc.constantFrom('auto' as const, 'required' as const, 'none' as const) }),
  fc.record({ kind: fc.constant('tools' as const), names: fc.tuple(word), required: fc.constant(true) }),
)
const chatRequests: fc.Arbitrary<ChatRequest> = fc
  .record(
    {
      model: fc.constant('claude-opus-4-6'),
      stream: fc.boolean(),
      messages,
      tools: fc.array(fc.oneof(tool, dialectTool), { minLength: 1, maxLength: 3 }),
      outputCap: fc.integer({ min: 20_000, max: 64_000 }),
      stop: fc.array(
        word.filter((sequence) => sequence.trim() !== ''),
        { minLength: 1 },
      ),
      format: fc.record({ kind: fc.constant('schema' as const), schema }),
      user: word,
      extras: extras('service_tier', 'container', 'metadata.x', 'output_config.task_budget'),
    },
    { requiredKeys: ['model', 'stream', 'messages', 'outputCap'] },
  )
  .chain((request) =>
    fc
      .oneof(
        fc.record(
          { toolChoice: toolChoices, temperature: fc.double({ min: 0.01, max: 1, noNaN: true }), topK: fc.nat() },
          ALL_OPTIONAL,
        ),
        fc.record({ topP: fc.double({ min: 0.96, max: 1, noNaN: true }) }, ALL_OPTIONAL),
        fc.record({ reasoning: fc.constantFrom(...reasonings) }, ALL_OPTIONAL),
      )
      .map((fields) => ({ ...request, ...fields })),
  )
  .map(({ toolChoice, ...request }: ChatRequest) =>
    request.tools && toolChoice ? { ...request, toolChoice } : request,
  )
  .filter(({ topK }) => topK !== 0)
const reasonings = [
  { effort: 'none' },
  { effort: 'high', dynamic: true },
  { effort: 'max', dynamic: true, shown: true },
  { dynamic: true, shown: false },
  { budgetTokens: 2_000 },
  { budgetTokens: 19_999, effort: 'low', shown: true },
] as const

describe('every request that the dialect can express', () => {
  test('survives writing and reading', () => {
    fc.assert(
      fc.property(chatRequests, (request) => {
        const { body, dropped } = anthropic.writeRequest(request, targetFor(request.model))
        expect(dropped).toEqual([])
        const { extras: kept, ...rest } = anthropic.readRequest(objectOf(JSON.stringify(body)), LINE)
        const { extras: requests, ...expected } = request
        expect(rest).toEqual({ ...expected })
        expect({ ...kept?.hints, ...kept?.needs }).toEqual({ ...requests?.hints })
      }),
      { numRuns: 300 },
    )
  })
})

const FROM = 'openai.chat'
const BARE = { model: NEWER_MODEL, max_tokens: 9_000, messages: [{ role: 'user', content: 'Hi' }] }
const read = (fields: object) => anthropic.readRequest({ ...BARE, ...fields }, LINE)
const CALLED = [
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: {} }] },
]
const answers = (fields: object) => ({
  messages: [...CALLED, { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', ...fields }] }],
})
const EFFORT = { role: 'system', output_config: { effort: 'low' } }
const SEARCH_RESULT = { type: 'search_result', title: 'T', source: 'https://x', content: [{ type: 'text', text: 'C' }] }
const document = (source: object, fields = {}) => ({ type: 'document', source, ...fields })
const TEXT = { type: 'text', media_type: 'text/plain', data: 'D' }

describe('a field', () => {
  test.each<[string, object]>([
    ['nothing asked in so many words', { stream: false, tools: [], metadata: { user_id: null }, stop_sequences: null }],
    ['unknown fields', { dream: { deep: true }, __proto__x: 1 }],
    ['a place', { inference_geo: 'us' }],
    [
      'servers, containers, management',
      { mcp_servers: [{ url: 'u' }], container: 'c', context_management: { edits: [1] } },
    ],
    [
      'tiers, speed, and caches',
      { service_tier: 'auto', speed: 'fast', cache_control: { type: 'ephemeral', ttl: '1h' } },
    ],
    ['effort alone', { output_config: { effort: 'low' } }],
    [
      'effort beside a budget',
      { output_config: { effort: 'low' }, thinking: { type: 'enabled', budget_tokens: 2_000 } },
    ],
    ['effort without thinking', { output_config: { effort: 'high' }, thinking: { type: 'disabled' } }],
    ['an unknown effort', { output_config: { effort: 'huge', task_budget: { total: 9 }, more: 1 } }],
    ['thinking in detail', { thinking: { type: 'adaptive', display: 'updates', block_binding: { x: 1 } } }],
    ['thinking shown', { thinking: { type: 'enabled', budget_tokens: 2_000, display: 'omitted' } }],
    ['an unknown kind of thinking', { thinking: { type: 'between_tools' }, output_config: { effort: 'max' } }],
    ['an unknown format', { output_config: { format: { type: 'regex', regex: 'a' } } }],
    [
      'both names of a format',
      {
        output_config: { format: { type: 'json_schema', schema: { type: 'object' } } },
        output_format: { type: 'json_schema', schema: { type: 'string' } },
      },
    ],
    ['an unknown format of the older field', { output_format: { type: 'regex', regex: 'a' } }],
    ['more metadata', { metadata: { user_id: 'u', team: 't' } }],
    ['a choice', { tools: [{ name: 'f', input_schema: { type: 'object' } }], tool_choice: { type: 'any', x: 1 } }],
    [
      'a lonely choice',
      {
        tools: [{ name: 'f', input_schema: { type: 'object' } }],
        tool_choice: { type: 'tool', name: 'f', disable_parallel_tool_use: true },
      },
    ],
    [
      'tools in detail',
      {
        tools: [
          { type: 'bash_20250124', name: 'bash' },
          {
            ...{ name: 'f', description: '', input_schema: { type: 'object' }, strict: false, input_examples: [{}] },
            ...{ eager_input_streaming: true, allowed_callers: ['code_execution_20260120'], x: 1 },
            cache_control: { type: 'ephemeral', scope: 'global' },
          },
        ],
      },
    ],
    [
      'nulls',
      {
        ...says({ type: 'text', text: 'x', cache_control: null }, document(TEXT, { title: null })),
        tools: [{ type: null, name: 'f', input_schema: { type: 'object' }, strict: null, cache_control: null }],
      },
    ],
    ['a result of nothing', answers({})],
    ['a result of no text', answers({ content: '', is_error: false })],
    ['a result of no blocks', answers({ content: [], is_error: true, toolset_name: 's' })],
    ['a result of text', answers({ content: 'yes', cache_control: { type: 'ephemeral' } })],
    [
      'a result of many kinds',
      answers({ content: [{ type: 'text', text: 'a' }, { type: 'tool_reference', tool_name: 'g' }, SEARCH_RESULT] }),
    ],
    [
      'documents',
      says(
        document(TEXT, { title: 'T', citations: { enabled: true } }),
        document({ type: 'content', content: 'c' }),
        document({ type: 'content', content: [{ type: 'text', text: 'c' }, { type: 'image' }] }),
        document({ type: 'file', file_id: 'f' }),
        document({ type: 'url', url: 'https://x/y.pdf' }, { context: 'c' }),
        SEARCH_RESULT,
        { type: 'image', source: { type: 'file', file_id: 'f' } },
        { type: 'image', source: { type: 'url', url: 'https://x' }, transformations: { x: 1 } },
        { type: 'text', text: 'x', citations: null, cache_control: { type: 'ephemeral', ttl: '1h' } },
        { type: 'text', text: 'x', citations: [{ type: 'page_location' }] },
      ),
    ],
    [
      'instructions in the middle',
      {
        system: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
        messages: [...BARE.messages, { role: 'system', content: 'c', clear_at: 'never' }, ...CALLED, EFFORT],
      },
    ],
  ])('is restored: %s', (_, fields) => {
    expect(roundTrip({ ...BARE, ...fields }).body).toEqual({ ...BARE, ...fields })
    expect(roundTrip({ ...BARE, ...fields }).dropped).toEqual([])
  })

  test.each<[string, object, string]>([
    ['model', { model: '' }, 'model'],
    ['messages', { messages: {} }, 'messages'],
    ['a message', { messages: [1] }, 'messages[0]'],
    ['a role', { messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].role'],
    ['a block', says({ text: 'x' }), 'messages[0].content[0].type'],
    ['a call without an id', says({ type: 'tool_use', name: 'f' }), 'messages[0].content[0].id'],
    ['a call without a name', says({ type: 'tool_use', id: 'a' }), 'messages[0].content[0].name'],
    ['a result without a call', says({ type: 'tool_result', tool_use_id: 'a' }), 'messages[0].content[0].tool_use_id'],
    ['a result of a number', answers({ content: 1 }), 'messages[2].content[0].content'],
    ['system', { system: 1 }, 'system'],
    ['tools', { tools: { a: 1 } }, 'tools'],
    ['a tool', { tools: [1] }, 'tools[0]'],
    ['a tool without a name', { tools: [{ input_schema: {} }] }, 'tools[0].name'],
    ['a schema', { tools: [{ name: 'f', input_schema: 1 }] }, 'tools[0].input_schema'],
    ['stop', { stop_sequences: 'x' }, 'stop_sequences'],
    ['a stop', { stop_sequences: [1] }, 'stop_sequences'],
    ['temperature', { temperature: '1' }, 'temperature'],
    ['max_tokens', { max_tokens: -1 }, 'max_tokens'],
    ['stream', { stream: 1 }, 'stream'],
    ['metadata', { metadata: 1 }, 'metadata'],
    ['output_config', { output_config: 1 }, 'output_config'],
  ])('of the wrong type is named in the error: %s', (_, fields, param) => {
    expect(() => read(fields)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })

  test('of betas is a hint that is in no body', () => {
    const line = { ...LINE, header: (name: string) => (name === 'anthropic-beta' ? 'b-1' : undefined) }
    const request = anthropic.readRequest(BARE, line)
    expect(request.extras).toEqual({ dialect: 'anthropic.messages', hints: { 'anthropic-beta': 'b-1' } })
    expect(anthropic.writeRequest(request, targetFor()).body).toEqual(BARE)
  })
})

describe('for other dialects', () => {
  test.each<[string, object, readonly string[]]>([
    ['nothing', { stream: false, tools: [], mcp_servers: [], container: null }, []],
    ['a place', { inference_geo: 'us' }, ['inference_geo']],
    ['anywhere', { inference_geo: 'global' }, []],
    ['a format', { output_format: { type: 'x' } }, ['output_format']],
    ['unknown fields', { container: 'c', dream: 1, speed: 'fast' }, ['container', 'dream']],
  ])('%s is a need if another dialect cannot express it', (_, fields, needs) => {
    expect(Object.keys(read(fields).extras?.needs ?? {})).toEqual(needs)
  })

  test('text documents and search results are text', () => {
    const parts = read(says(document(TEXT), document({ type: 'content', content: 'c' }), SEARCH_RESULT)).messages[0]
      ?.parts
    expect(parts?.map((part) => part.kind === 'text' && part.text)).toEqual(['D', 'c', 'T\nhttps://x\nC'])
  })

  test.each([
    ['direct', undefined],
    [
      'code_execution_20260120',
      { dialect: 'anthropic.messages', hints: { caller: { type: 'code_execution_20260120' } } },
    ],
  ])("a call by %s is the model's, or a hint", (type, kept) => {
    const { messages } = read(says({ type: 'tool_use', id: 'a', name: 'f', input: {}, caller: { type } }))
    expect(messages[0]?.parts).toEqual([{ ...call('a'), ...(kept ? { extras: kept } : {}) }])
  })

  test('results come first, with the name of their tool', () => {
    const result = { type: 'tool_result', tool_use_id: 'a', content: 'r' }
    const { messages } = read({
      messages: [...CALLED, { role: 'user', content: [{ type: 'text', text: 't' }, result] }],
    })
    expect(messages.at(-1)?.parts).toMatchObject([{ kind: 'toolResult', name: 'f', callId: 'a' }, { kind: 'text' }])
  })
})

const REQUEST: ChatRequest = {
  model: 'm',
  stream: false,
  messages: [{ role: 'user', parts: [{ kind: 'text', text: 'Hi' }] }],
}
const writeRequest = (fields: Partial<ChatRequest>, model = NEWER_MODEL) =>
  anthropic.writeRequest({ ...REQUEST, ...fields }, targetFor(model))
const bodyOf = (...messages: ChatMessage[]) => writeRequest({ messages }).body
const user = (...parts: Part[]): ChatMessage => ({ role: 'user', parts })
const assistant = (...parts: Part[]): ChatMessage => ({ role: 'assistant', parts })
const system = (...parts: Part[]): ChatMessage => ({ role: 'system', parts })
const textPart = (text: string): Part => ({ kind: 'text', text })
const call = (id: string, text = '{}'): Part => ({ kind: 'toolCall', id, name: 'f', arguments: text })
const resultOf = (callId: string): Part => ({ kind: 'toolResult', callId, name: 'f', parts: [], failed: false })
const FUNCTION = { kind: 'function', name: 'f' } as const
const UPDATES = { dialect: 'anthropic.messages', hints: { 'thinking.display': 'updates' } } as const
const FORCED = { tools: [FUNCTION], toolChoice: { kind: 'required' } } as const

describe('thinking', () => {
  test.each<[string, Partial<ChatRequest>, Record<string, unknown>]>([
    ['claude-opus-4-8', { reasoning: { effort: 'minimal' } }, { thinking: { type: 'adaptive' }, effort: 'low' }],
    ['claude-sonnet-5', { reasoning: { effort: 'xhigh' } }, { thinking: { type: 'adaptive' }, effort: 'xhigh' }],
    ['claude-opus-4-6', { reasoning: { effort: 'xhigh' } }, { thinking: { type: 'adaptive' }, effort: 'high' }],
    [
      'claude-opus-4-6',
      { reasoning: { budgetTokens: 2_000 } },
      { thinking: { type: 'enabled', budget_tokens: 2_000 } },
    ],
    ['claude-opus-4-8', { reasoning: { budgetTokens: 2_000 } }, { thinking: { type: 'adaptive' }, effort: 'low' }],
    ['claude-opus-4-8', { reasoning: { budgetTokens: 8_192 } }, { thinking: { type: 'adaptive' }, effort: 'medium' }],
    ['claude-opus-4-8', { reasoning: { budgetTokens: 8_193 } }, { thinking: { type: 'adaptive' }, effort: 'high' }],
    ['claude-next', { reasoning: { dynamic: true } }, { thinking: { type: 'adaptive' } }],
    ['claude-next', { reasoning: { shown: true } }, { thinking: { type: 'adaptive', display: 'summarized' } }],
    ['claude-next', { reasoning: { shown: false } }, {}],
    ['claude-next', { reasoning: { effort: 'none' } }, { thinking: { type: 'disabled' } }],
    ['claude-next', { reasoning: { budgetTokens: 0 } }, { thinking: { type: 'disabled' } }],
    ['claude-3-haiku-20240307', { reasoning: { effort: 'none' } }, {}],
    ['claude-3-5-haiku-20241022', { reasoning: { effort: 'low' } }, { dropped: ['reasoning'] }],
    [
      'claude-3-7-sonnet-20250219',
      { reasoning: { effort: 'low' } },
      { thinking: { type: 'enabled', budget_tokens: 1_024 } },
    ],
    [
      'claude-sonnet-4-20250514',
      { reasoning: { effort: 'high' } },
      { thinking: { type: 'enabled', budget_tokens: 4_095 } },
    ],
    ['claude-haiku-4-5', { reasoning: { dynamic: true } }, { thinking: { type: 'enabled', budget_tokens: 4_095 } }],
    ['claude-haiku-4-5', { reasoning: { effort: 'low' }, outputCap: 1_024 }, { dropped: ['reasoning'] }],
    [
      'claude-haiku-4-5',
      { reasoning: { effort: 'low' }, outputCap: 1_025 },
      { thinking: { type: 'enabled', budget_tokens: 1_024 } },
    ],
    ['claude-opus-4-6', { reasoning: { effort: 'low' }, ...FORCED }, { dropped: ['reasoning'] }],
    ['claude-3-5-haiku', { reasoning: { dynamic: true }, extras: UPDATES }, { dropped: ['reasoning'] }],
    [
      'claude-next',
      { reasoning: { dynamic: true }, extras: UPDATES },
      { thinking: { type: 'adaptive', display: 'updates' } },
    ],
    [
      'claude-haiku-4-5',
      { reasoning: { effort: 'low' }, messages: [user(textPart('a')), assistant(call('a')), user(resultOf('a'))] },
      { dropped: ['reasoning'] },
    ],
    [
      'claude-opus-4-6',
      { reasoning: { effort: 'low' }, messages: [user(textPart('a')), assistant(call('a')), user(resultOf('a'))] },
      { thinking: { type: 'adaptive' }, effort: 'low' },
    ],
    [
      'claude-haiku-4-5',
      {
        reasoning: { effort: 'low' },
        messages: [
          user(textPart('a')),
          assistant({ kind: 'reasoning', text: 't', signature: 's', signedIn: 'anthropic.messages' }, call('a')),
        ],
      },
      { thinking: { type: 'enabled', budget_tokens: 1_024 } },
    ],
  ])('of %s, requested as %j: %j', (model, fields, { thinking, effort, dropped = [] }) => {
    const { body, dropped: left } = writeRequest(fields, model)
    expect(body.thinking).toEqual(thinking)
    expect(body.output_config).toEqual(effort && { effort })
    expect(left).toEqual(dropped)
  })
})

describe('sampling', () => {
  test.each<[string, Partial<ChatRequest>, object, readonly string[]]>([
    ['claude-sonnet-4', { temperature: 1.7 }, { temperature: 1 }, ['temperature']],
    ['claude-sonnet-4', { temperature: 0, topP: 0.5, topK: 9 }, { temperature: 0, top_p: 0.5, top_k: 9 }, []],
    ['claude-opus-4-1', { temperature: 0, topP: 0.5, topK: 9 }, { temperature: 0, top_k: 9 }, ['topP']],
    ['claude-opus-4-1', { temperature: 0, topP: 1 }, { temperature: 0 }, []],
    ['claude-opus-4-1', { temperature: 1, topP: 0.5 }, { top_p: 0.5 }, []],
    ['claude-opus-4-1', { temperature: 1, topP: 1 }, { temperature: 1 }, []],
    ['claude-opus-4-1', { temperature: 1.5, topP: 0.5 }, { temperature: 1 }, ['temperature', 'topP']],
    ['claude-opus-4-6', { topP: 0.5 }, { top_p: 0.5 }, []],
    ['claude-opus-4-7', { temperature: 0.5, topP: 0.5, topK: 9 }, {}, ['temperature', 'topP', 'topK']],
    ['claude-opus-4-7', { temperature: 1 }, { temperature: 1 }, []],
    [NEWER_MODEL, { reasoning: { effort: 'low' }, temperature: 0.5, topK: 9 }, {}, ['temperature', 'topK']],
    [NEWER_MODEL, { reasoning: { effort: 'low' }, topP: 0.5 }, {}, ['topP']],
    [NEWER_MODEL, { reasoning: { effort: 'low' }, topP: 0.95 }, { top_p: 0.95 }, []],
    [NEWER_MODEL, { reasoning: { effort: 'none' }, temperature: 0.5 }, { temperature: 0.5 }, []],
    [
      NEWER_MODEL,
      { seed: 1, frequencyPenalty: 0, presencePenalty: 1 },
      {},
      ['seed', 'frequencyPenalty', 'presencePenalty'],
    ],
  ])('of %s: %j', (model, overrides, fields, dropped) => {
    const { body, dropped: left } = writeRequest(overrides, model)
    const { temperature, top_p, top_k } = body
    expect({ temperature, top_p, top_k }).toEqual({
      temperature: undefined,
      top_p: undefined,
      top_k: undefined,
      ...fields,
    })
    expect(left).toEqual(dropped)
  })
})

const TOOLS = { tools: [FUNCTION, { kind: 'function', name: 'g', schema: {} }] } as const

const sound = { kind: 'media', mediaType: 'audio/wav', source: { base64: '' } } as const

describe('messages of another dialect', () => {
  test('always have a cap', () => {
    expect(writeRequest({ stream: true }).body).toEqual({
      ...{ model: NEWER_MODEL, max_tokens: 4_096, stream: true },
      messages: [{ role: 'user', content: 'Hi' }],
    })
  })

  test('have joined instructions, merged neighbours, and results first', () => {
    const body = bodyOf(
      system(textPart('a')),
      user(textPart('b')),
      system(textPart('c')),
      assistant(textPart(''), call('x.1')),
      assistant(call('y', '')),
      user(textPart('d')),
      user(resultOf('x.1'), resultOf('y')),
      assistant(textPart('')),
      user({ kind: 'refusal', text: 'e' }),
    )
    const use = { type: 'tool_use', name: 'f', input: {} }
    expect(body).toMatchObject({
      system: [
        { type: 'text', text: 'a' },
        { type: 'text', text: 'c' },
      ],
      messages: [
        { role: 'user', content: 'b' },
        {
          role: 'assistant',
          content: [
            { ...use, id: expect.stringMatching(/^x_1_[0-9a-f]{8}$/) },
            { ...use, id: 'y' },
          ],
        },
        {
          role: 'user',
          content: [{ type: 'tool_result' }, { type: 'tool_result', tool_use_id: 'y' }, block('d'), block('e')],
        },
      ],
    })
    const [, { content: calls }, { content: results }] = Array.isArray(body.messages) ? body.messages : []
    expect(results[0].tool_use_id).toBe(calls[0].id)
  })

  test('with instructions only become a user message', () => {
    expect(bodyOf(system(textPart('a')))).toEqual({
      model: NEWER_MODEL,
      max_tokens: 4_096,
      messages: [{ role: 'user', content: 'a' }],
    })
  })

  test('leave out thoughts that Anthropic did not sign', () => {
    const body = bodyOf(
      assistant(
        { kind: 'reasoning', text: 'a' },
        { kind: 'reasoning', text: 'a', signedIn: 'anthropic.messages' },
        { kind: 'reasoning', text: 'b', signature: 's', signedIn: 'gemini.generate_content' },
        { kind: 'reasoning', text: 'c', signature: 's', signedIn: 'anthropic.messages' },
        textPart('d'),
      ),
    )
    expect(body.messages).toEqual([
      { role: 'assistant', content: [{ type: 'thinking', thinking: 'c', signature: 's' }, block('d')] },
    ])
  })

  test('keep their media', () => {
    const of = (mediaType: string, source: { base64: string } | { url: string }, name?: string): Part => ({
      ...{ kind: 'media', mediaType, source },
      ...(name === undefined ? {} : { name }),
    })
    const body = bodyOf(
      user(
        of('image/png', { base64: 'AA==' }),
        of('image/*', { url: 'https://x' }),
        of('application/pdf', { base64: 'AA==' }, 'a.pdf'),
        of('text/csv', { base64: 'YSxi' }),
      ),
    )
    expect(body.messages).toMatchObject([
      {
        content: [
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA==' } },
          { type: 'image', source: { type: 'url', url: 'https://x' } },
          { type: 'document', title: 'a.pdf', source: { type: 'base64', media_type: 'application/pdf', data: 'AA==' } },
          { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'a,b' } },
        ],
      },
    ])
  })
})

describe('the tool choice of another dialect', () => {
  test.each<[string, Partial<ChatRequest>, object | undefined, readonly string[]]>([
    ['nothing', TOOLS, undefined, ['f', 'g']],
    [
      'one at a time',
      { ...TOOLS, parallelTools: false },
      { type: 'auto', disable_parallel_tool_use: true },
      ['f', 'g'],
    ],
    ['several', { ...TOOLS, parallelTools: true }, undefined, ['f', 'g']],
    ['none', { ...TOOLS, parallelTools: false, toolChoice: { kind: 'none' } }, { type: 'none' }, ['f', 'g']],
    [
      'this',
      { ...TOOLS, toolChoice: { kind: 'tools', names: ['g'], required: true } },
      { type: 'tool', name: 'g' },
      ['f', 'g'],
    ],
    [
      'perhaps this',
      { ...TOOLS, toolChoice: { kind: 'tools', names: ['g'], required: false } },
      { type: 'auto' },
      ['g'],
    ],
    [
      'one of',
      { ...TOOLS, toolChoice: { kind: 'tools', names: ['g', 'f'], required: true } },
      { type: 'any' },
      ['f', 'g'],
    ],
  ])('is written: %s', (_, fields, choice, names) => {
    const { body, dropped } = writeRequest(fields)
    expect(body.tool_choice).toEqual(choice)
    expect(body.tools).toEqual(names.map((name) => ({ name, input_schema: { type: 'object' } })))
    expect(dropped).toEqual([])
  })

  test('is left out if there are no tools', () => {
    const { body } = writeRequest({ toolChoice: { kind: 'auto' }, parallelTools: false })
    expect(body).not.toHaveProperty('tool_choice')
    expect(() => writeRequest({ toolChoice: { kind: 'required' } })).toThrow(
      expect.objectContaining({ param: 'tools' }),
    )
  })
})

describe('what Anthropic cannot do', () => {
  test('is reported if it is a hint', () => {
    const hint = (name: string): Extras => ({ dialect: FROM, hints: { [name]: 1, quiet: null, off: false } })
    const strict = { ...FUNCTION, strict: true, extras: hint('c') }
    const parts: Part[] = [{ kind: 'text', text: 'x', extras: hint('b') }]
    const messages: ChatMessage[] = [{ role: 'user', parts, extras: hint('a') }]
    const { dropped } = writeRequest({ messages, tools: [strict], extras: hint('d') }, 'claude-sonnet-4')
    expect([...dropped].sort()).toEqual(['a', 'b', 'c', 'd', 'strict'])
    expect(writeRequest({ tools: [strict] }, 'claude-haiku-4-5').body.tools).toMatchObject([{ strict: true }])
  })

  test('leaves out what the model once made or did at another provider', () => {
    const search: Part = { kind: 'dialect', dialect: FROM, name: 'executableCode', value: {} }
    const message = assistant({ ...sound, mediaType: 'image/png' }, { kind: 'text', text: 'a' }, search)
    const { body, dropped } = writeRequest({ messages: [user(textPart('hello')), message] })
    expect(body.messages).toEqual([
      { role: 'user', content: 'hello' },
      { role: 'assistant', content: 'a' },
    ])
    expect(dropped).toEqual(['media', 'executableCode'])
  })

  test.each<[string, Partial<ChatRequest>, string, string]>([
    ['several answers', { answers: 2 }, 'unsupported', 'answers'],
    ['JSON of any kind', { format: { kind: 'json' } }, 'unsupported', 'format'],
    ['blank stops', { stop: ['a', '\n'] }, 'unsupported', 'stop'],
    ['sound', { messages: [user(sound)] }, 'unsupported', 'messages'],
    [
      'files elsewhere',
      { messages: [user({ ...sound, mediaType: 'image/png', source: { url: 'gs://x' } })] },
      'unsupported',
      'messages',
    ],
    ['a need', { extras: { dialect: FROM, needs: { logprobs: true } } }, 'unsupported', 'logprobs'],
    [
      'a part',
      { messages: [user({ kind: 'dialect', dialect: FROM, name: 'file_id', value: {} })] },
      'unsupported',
      'file_id',
    ],
    [
      'a tool',
      { tools: [{ kind: 'dialect', dialect: FROM, name: 'web_search', value: {} }] },
      'unsupported',
      'web_search',
    ],
    ['broken arguments', { messages: [assistant(call('a', '{"x'))] }, 'invalid_request', 'messages'],
    ['arguments that are no object', { messages: [assistant(call('a', '[1]'))] }, 'invalid_request', 'messages'],
    [
      'arguments without a bottom',
      { messages: [assistant(call('a', `{"a":${'['.repeat(9_999)}${']'.repeat(9_999)}}`))] },
      'invalid_request',
      'messages',
    ],
  ])('is refused: %s', (_, fields, code, param) => {
    expect(() => writeRequest(fields)).toThrow(expect.objectContaining({ code, param }))
  })
})

function block(text: string): JsonObject {
  return { type: 'text', text }
}

test('junk is read as a request or refused with a Problem', () => {
  const names = ['type', 'text', 'content', 'source', 'input', 'id', 'name', '__proto__', 'constructor', 'data', 'url']
  const words = fc.constantFrom(
    'text',
    'image',
    'document',
    'tool_use',
    'tool_result',
    'user',
    'system',
    'enabled',
    'url',
  )
  const { junk } = fc.letrec<{ junk: unknown }>((tie) => ({
    junk: fc.oneof(
      { maxDepth: 5 },
      fc.oneof(words, fc.integer(), fc.constantFrom(null, true, '')),
      fc.array(tie('junk'), { maxLength: 3 }),
      fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), tie('junk'), { maxKeys: 4 }),
    ),
  }))
  const fields = ['system', 'tools', 'tool_choice', 'thinking', 'output_config', 'metadata', '__proto__', 'max_tokens']
  const blocks = fc.record(
    { type: words, id: words, name: words, input: junk, content: junk, source: junk },
    { requiredKeys: ['type'] },
  )
  const message = fc.record({
    role: fc.constantFrom('user', 'assistant', 'system'),
    content: fc.oneof(junk, fc.array(blocks)),
  })
  const body = fc.tuple(fc.dictionary(fc.constantFrom(...fields), junk), fc.array(message), junk)
  fc.assert(
    fc.property(body, ([fields, messages, otherFields]) => {
      for (const list of [messages, otherFields]) {
        try {
          roundTrip(objectOf(JSON.stringify({ ...fields, model: NEWER_MODEL, messages: list })))
        } catch (error) {
          expect(error).toBeInstanceOf(Problem)
        }
      }
    }),
    { numRuns: 1_000 },
  )
})
