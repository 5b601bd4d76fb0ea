// Restored answers: what a provider says in its own form, as each caller's SDK expects it: names of tools, errors, waits, whole
// answers to streams, and answers that a model gave up.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { recordOf } from '../../../src/core/json-values.ts'
import { CALLERS, type Caller } from './callers.ts'
import { type Json, listOf, type Provider } from './request-rules.ts'
import { UPSTREAM_ANSWERS } from './upstream-answers.ts'
import { KEY, type MatrixFixture, type Reply, startMatrixFixture } from './upstreams.ts'

let fixture: MatrixFixture
beforeAll(async () => {
  fixture = await startMatrixFixture({ env: { UNKNOWN_PRICE: 'allow' } })
})
afterAll(() => fixture[Symbol.asyncDispose]())
afterEach(async () => {
  fixture.upstreams.reply = ({ defaultReply }) => defaultReply
  expect(fixture.upstreams.faults.splice(0)).toEqual([])
  await fixture.gateway.idle()
  expect((await fixture.gateway.app.store.figures({ simulated: false })).open.calls).toBe(0)
})

const MODELS: Readonly<Record<Provider, string>> = {
  openai: 'openai/gpt-4o',
  anthropic: 'anthropic/claude-sonnet-4-5',
  gemini: 'gemini/gemini-3.5-flash-lite',
  compatible: 'local/llama-3.3-70b-versatile',
}
const UPSTREAMS: readonly Provider[] = ['openai', 'anthropic', 'gemini', 'compatible']
const PAIRS = CALLERS.flatMap((caller) => UPSTREAMS.map((upstream) => ({ caller, upstream, from: caller.name })))
const isTranslated = ({ from, upstream }: { from: Caller['name']; upstream: Provider }) =>
  from !== (upstream === 'compatible' ? 'openai' : upstream)
const json = (status: number, body: unknown, headers = {}): Reply => ({
  status,
  type: 'application/json',
  pieces: [JSON.stringify(body)],
  headers,
})

/** Sends a request of a caller's dialect without an SDK. */
async function send(name: Caller['name'], upstream: Provider, fields: Json = {}, stream = false): Promise<Response> {
  const model = MODELS[upstream]
  const path = {
    openai: '/v1/chat/completions',
    anthropic: '/v1/messages',
    gemini: `/v1beta/models/${encodeURIComponent(model)}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
  }[name]
  const said = { messages: [{ role: 'user', content: 'Hi' }] }
  const asked =
    name === 'gemini' ? { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] } : { model, stream, ...said }
  const body = { ...asked, ...(name === 'anthropic' ? { max_tokens: 100 } : {}), ...fields }
  const headers = {
    'content-type': 'application/json',
    authorization: `Bearer ${KEY}`,
    'x-goog-api-key': KEY,
    'anthropic-version': '2023-06-01',
  }
  return fetch(fixture.gateway.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
}

/** The JSON of each event of a stream. */
async function eventsOf(response: Response): Promise<Json[]> {
  const lines = (await response.text()).split(/\r?\n/).filter((line) => line.startsWith('data: {'))
  return lines.map((line) => JSON.parse(line.slice('data: '.length)))
}

describe.each(['application/json', 'text/event-stream', 'text/plain'])(
  'one whole document of type %s in place of events',
  (type) => {
    test.each(PAIRS)('$from > $upstream: the SDK gets events all the same', async ({ caller, upstream }) => {
      fixture.upstreams.reply = ({ provider, content }) => {
        return { ...json(200, JSON.parse(UPSTREAM_ANSWERS[provider].whole(content, 'm'))), type }
      }
      const conversation = caller.startConversation(fixture.gateway.url)
      const pieces: string[] = []
      const options = { model: MODELS[upstream], tools: true }
      const answer = await conversation.streamed({ text: 'Hi' }, options, (kind) => pieces.push(kind))
      expect([answer.calls.map(({ name }) => name), answer.stop]).toEqual([['weather'], caller.stops.calls])
      expect(pieces).toContain('call')
      expect(answer.usage.output).toBeGreaterThan(0)
      await fixture.gateway.idle()
      const entry = await fixture.gateway.app.store.entry(answer.callId)
      expect(entry?.outcome).toMatchObject({ ending: 'completed', certainty: 'exact' })
    })
  },
)

const TOO_LONG: Readonly<Record<Provider, Json>> = {
  openai: {
    error: {
      message:
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens. Please reduce the length of the messages.",
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context_length_exceeded',
    },
  },
  anthropic: {
    type: 'error',
    error: { type: 'invalid_request_error', message: 'prompt is too long: 130000 tokens > 128000 maximum' },
  },
  gemini: {
    error: {
      code: 400,
      message: 'The input token count (130000) exceeds the maximum number of tokens allowed (128000).',
      status: 'INVALID_ARGUMENT',
    },
  },
  compatible: {
    object: 'error',
    message:
      "This model's maximum context length is 128000 tokens. However, you requested 130000 tokens in the messages. Please reduce the length.",
    code: 400,
  },
}
const WORDS_FOR: Readonly<Record<Caller['name'], RegExp>> = {
  openai: /maximum context length is 128000 tokens.*130000 tokens.*"code":"context_length_exceeded"/,
  anthropic: /"prompt is too long: 130000 tokens > 128000 maximum"/,
  gemini: /The input token count \(130000\) exceeds the maximum number of tokens allowed \(128000\)/,
}

describe('a prompt that is too long', () => {
  test.each(PAIRS.filter(isTranslated))(
    "$from > $upstream: is told in the caller's words",
    async ({ from, upstream }) => {
      fixture.upstreams.reply = () => json(400, TOO_LONG[upstream])
      const response = await send(from, upstream)
      expect([response.status, await response.text()]).toEqual([400, expect.stringMatching(WORDS_FOR[from])])
    },
  )

  test('is recognised in an array, as Google writes errors for OpenAI callers', async () => {
    fixture.upstreams.reply = () => json(400, [TOO_LONG.gemini])
    for (const upstream of ['compatible', 'openai'] as const)
      expect(await (await send('anthropic', upstream)).text()).toMatch(WORDS_FOR.anthropic)
  })
})

describe('a wait', () => {
  const exhausted = (retryDelay: string) => ({
    error: {
      code: 429,
      message: 'Quota exceeded.',
      status: 'RESOURCE_EXHAUSTED',
      details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay }],
    },
  })

  test.each(['openai', 'anthropic'] as const)("of Gemini's body is told to callers of %s in headers", async (from) => {
    fixture.upstreams.reply = () => json(429, exhausted('36.2s'))
    const { headers, status } = await send(from, 'gemini')
    expect([status, headers.get('retry-after'), headers.get('retry-after-ms')]).toEqual([429, '37', '36200'])
    fixture.upstreams.reply = () => json(429, exhausted('3600s'))
    const longer = await send(from, 'gemini')
    expect([longer.headers.get('retry-after'), longer.headers.get('x-should-retry')]).toEqual([null, 'false'])
  })

  test.each(['openai', 'anthropic'] as const)(
    'of the headers of %s is told to callers of Gemini in the body',
    async (to) => {
      fixture.upstreams.reply = ({ provider }) => ({
        ...json(429, JSON.parse(UPSTREAM_ANSWERS[provider].refusal(429))),
        headers: { 'retry-after': '7' },
      })
      const response = await send('gemini', to)
      const { details } = recordOf(recordOf(await response.json()).error)
      expect(listOf(details).at(-1)).toEqual({ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '7s' })
    },
  )
})

describe('errors of providers', () => {
  const LONG = `mcp__${'x'.repeat(70)}`
  test.each([false, true])('name tools as the caller does (streamed: %s)', async (stream) => {
    fixture.upstreams.reply = ({ received }) => {
      const [sent = ''] = /mcp__\w+/.exec(JSON.stringify(received.body)) ?? []
      expect(sent).toHaveLength(64)
      return json(stream ? 200 : 400, { error: { message: `Invalid schema for function '${sent}'`, code: 400 } })
    }
    const tools = [{ name: LONG, input_schema: { type: 'object' } }]
    const response = await send('anthropic', 'openai', { tools, messages: [{ role: 'user', content: 'Hi' }] }, stream)
    expect(await response.json()).toMatchObject({ error: { message: `Invalid schema for function '${LONG}'` } })
  })

  test.each([
    [{ detail: [{ loc: ['body'], msg: 'bad' }] }, '[{"loc":["body"],"msg":"bad"}]'],
    [{ detail: 'bad' }, 'bad'],
    [{ error: 'bad' }, 'bad'],
    [[{ error: { message: 'bad' } }], 'bad'],
    [{ message: 'bad', code: 400 }, 'bad'],
  ])('are told in their own words: %j', async (body, message) => {
    fixture.upstreams.reply = () => json(400, body)
    const response = await send('anthropic', 'openai', { messages: [{ role: 'user', content: 'Hi' }] })
    expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error', message } })
  })
})

describe('an answer that Gemini gave up', () => {
  const givenUp = (finishReason: string, parts: Json[] = []) => ({
    candidates: [{ content: { parts, role: 'model' }, finishReason, finishMessage: 'Malformed: print(1)', index: 0 }],
    usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 0, totalTokenCount: 9 },
  })
  const REASONS = ['MALFORMED_FUNCTION_CALL', 'UNEXPECTED_TOOL_CALL', 'MALFORMED_RESPONSE', 'OTHER', 'A_NEW_REASON']

  test.each(['openai', 'anthropic'] as const)(
    'is an error that callers of %s try again, and is billed',
    async (from) => {
      for (const reason of REASONS) {
        fixture.upstreams.reply = () => json(200, givenUp(reason))
        const whole = await send(from, 'gemini')
        const text = await whole.text()
        expect([whole.status, text]).toEqual([502, expect.stringContaining(`${reason}: Malformed: print(1)`)])
        expect(whole.headers.get('x-should-retry')).toBe(null)
        fixture.upstreams.reply = () => ({
          status: 200,
          type: 'text/event-stream',
          pieces: [`data: ${JSON.stringify(givenUp(reason))}\r\n\r\n`],
        })
        const events = await eventsOf(await send(from, 'gemini', {}, true))
        expect(JSON.stringify(recordOf(events.at(-1)).error)).toContain(`${reason}: Malformed: print(1)`)
        await fixture.gateway.idle()
        const entries = await fixture.gateway.app.store.entries({ limit: 2 })
        for (const { outcome } of entries) expect(outcome).toMatchObject({ certainty: 'exact' })
      }
    },
  )

  test('says nothing of whether the target works: the next calls are sent', async () => {
    fixture.upstreams.reply = () => json(200, givenUp('MALFORMED_FUNCTION_CALL'))
    for (let call = 0; call < 12; call++) expect((await send('openai', 'gemini')).status).toBe(502)
  })

  test('is an error even after some text', async () => {
    fixture.upstreams.reply = () => json(200, givenUp('MALFORMED_FUNCTION_CALL', [{ text: 'I will look.' }]))
    expect((await send('openai', 'gemini')).status).toBe(502)
  })

  test('is no success if some of the answer came before an unexplained end', async () => {
    fixture.upstreams.reply = () => json(200, givenUp('OTHER', [{ text: 'So' }]))
    const [choice] = listOf(recordOf(await (await send('openai', 'gemini')).json()).choices)
    expect(choice).toMatchObject({ finish_reason: 'content_filter', message: { content: 'So' } })
  })
})

const LONG_NAME = 'mcp__plugin_acme-content-strategist_video-analytics__get_video_enhanced_transcript'
const ODD_NAME = 'fs.read:file'
const namedTool: Readonly<Record<Caller['name'], (name: string) => Json>> = {
  openai: (name) => ({ tools: [{ type: 'function', function: { name } }] }),
  anthropic: (name) => ({ tools: [{ name, input_schema: { type: 'object' } }] }),
  gemini: (name) => ({ tools: [{ functionDeclarations: [{ name }] }] }),
}

describe('the name of a tool', () => {
  test.each(PAIRS.filter(isTranslated))(
    '$from > $upstream: is legal there and the same here',
    async ({ from, upstream }) => {
      for (const name of [LONG_NAME, ODD_NAME, '1tool', 'Wetter ö'])
        for (const stream of [false, true]) {
          fixture.upstreams.reply = ({ provider, content, received }) => {
            const [tool] = listOf(received.body.tools)
            const [declared] = listOf(tool?.functionDeclarations)
            const sent = String(declared?.name ?? tool?.name ?? recordOf(tool?.function).name)
            const calling = { ...content, text: '', calls: [{ name: sent, args: {} }] }
            const { events } = UPSTREAM_ANSWERS[provider].stream(calling, 'm', received.body)
            return stream
              ? { status: 200, type: UPSTREAM_ANSWERS[provider].type, pieces: events }
              : json(200, JSON.parse(UPSTREAM_ANSWERS[provider].whole(calling, 'm')))
          }
          const response = await send(from, upstream, namedTool[from](name), stream)
          expect([response.status, await response.text()]).toEqual([200, expect.stringContaining(JSON.stringify(name))])
        }
    },
  )
})

test.each(['openai', 'gemini'] as const)(
  'the name of a parameter that %s callers have is legal at Claude and the same here',
  async (from) => {
    const parameters = {
      type: 'object',
      properties: { $filter: { type: 'string' }, top: { type: 'integer' } },
      required: ['$filter'],
    }
    const tools: Readonly<Record<typeof from, object[]>> = {
      openai: [{ type: 'function', function: { name: 'f', parameters } }],
      gemini: [{ functionDeclarations: [{ name: 'f', parametersJsonSchema: parameters }] }],
    }
    for (const stream of [false, true]) {
      fixture.upstreams.reply = ({ provider, content, received }) => {
        const { input_schema: schema } = listOf(received.body.tools)[0] ?? {}
        const [filter = ''] = Object.keys(recordOf(recordOf(schema).properties))
        expect([filter, recordOf(schema).required]).toEqual([expect.stringMatching(/^[a-zA-Z0-9_.-]{1,64}$/), [filter]])
        const calling = { ...content, text: '', calls: [{ name: 'f', args: { [filter]: 'a eq {', top: 3 } }] }
        const { events } = UPSTREAM_ANSWERS[provider].stream(calling, 'm', received.body)
        return stream
          ? { status: 200, type: UPSTREAM_ANSWERS[provider].type, pieces: events }
          : json(200, JSON.parse(UPSTREAM_ANSWERS[provider].whole(calling, 'm')))
      }
      const text = await (await send(from, 'anthropic', { tools: tools[from] }, stream)).text()
      expect(text.replaceAll('\\"', '"')).toContain('{"$filter":"a eq {","top":3}')
    }
  },
)

describe('an answer whose schema is no object’s', () => {
  const LIST = { responseMimeType: 'application/json', responseSchema: { type: 'ARRAY', items: { type: 'STRING' } } }

  test.each(['openai', 'anthropic', 'compatible'] as const)(
    'gemini > %s: is wrapped there and bare here',
    async (upstream) => {
      const list = '["a}","b\\"]"]'
      for (const [said, read] of [
        [`{"value":${list}}`, list],
        [` { "value" : ${list} }\n`, `${list} `],
        ['I cannot.', 'I cannot.'],
      ]) {
        for (const stream of [false, true]) {
          fixture.upstreams.reply = ({ provider, content, received }) => {
            const answer = { ...content, text: said ?? '' }
            const { events } = UPSTREAM_ANSWERS[provider].stream(answer, 'm', received.body)
            return stream
              ? { status: 200, type: UPSTREAM_ANSWERS[provider].type, pieces: events }
              : json(200, JSON.parse(UPSTREAM_ANSWERS[provider].whole(answer, 'm')))
          }
          const response = await send('gemini', upstream, { generationConfig: LIST }, stream)
          expect(response.headers.get('x-bursar-adapted')).toContain('generationConfig.responseMimeType')
          const answers = stream ? await eventsOf(response) : [recordOf(await response.json())]
          const parts = answers.flatMap(({ candidates }) => listOf(recordOf(listOf(candidates)[0]?.content).parts))
          expect(parts.map(({ text }) => text).join('')).toBe(read)
        }
      }
    },
  )
})

describe('the reservation', () => {
  const HOUR = { cache_control: { type: 'ephemeral', ttl: '1h' } }
  const text = 'x'.repeat(4_000)
  const call = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }
  const called = (fields: Json, result: Json) => [
    { role: 'user', content: text },
    { role: 'assistant', content: null, tool_calls: [call], ...fields },
    { role: 'tool', tool_call_id: 'c1', content: 'r', ...result },
  ]
  const tools = [{ type: 'function', function: { name: 'f' } }]

  test.each<[string, Json]>([
    ['a message', { messages: [{ role: 'user', content: text, ...HOUR }] }],
    [
      'a system message',
      {
        messages: [
          { role: 'system', content: text, ...HOUR },
          { role: 'user', content: 'Hi' },
        ],
      },
    ],
    ['the body', { messages: [{ role: 'user', content: text }], ...HOUR }],
    ['a tool', { messages: [{ role: 'user', content: text }], tools: [{ ...tools[0], ...HOUR }] }],
    ['a call', { messages: called({ tool_calls: [{ ...call, ...HOUR }] }, {}), tools }],
    ['a result', { messages: called({}, HOUR), tools }],
  ])('holds what the cache hint at %s can cost at Claude', async (_place, fields) => {
    const reserved = async (body: Json) => {
      const response = await send('openai', 'anthropic', { max_completion_tokens: 1, ...body })
      expect(response.status).toBe(200)
      await fixture.gateway.idle()
      const entry = await fixture.gateway.app.store.entry(response.headers.get('x-bursar-call-id') ?? '')
      return Number(entry?.facts.reservedCostNanoUsd)
    }
    const plain: Json = JSON.parse(
      JSON.stringify(fields, (name, value) => (name === 'cache_control' ? undefined : value)),
    )
    // Writes for an hour cost twice the input.
    expect(await reserved(fields)).toBeGreaterThan(1.8 * (await reserved(plain)))
  })
})

test('nothing is adapted for a target that speaks the caller’s dialect', async () => {
  const schema = { anyOf: [{ required: ['a'] }] }
  const response = await send('anthropic', 'anthropic', {
    tools: [{ name: 'f', input_schema: { type: 'object', ...schema } }],
  })
  expect([response.status, response.headers.get('x-bursar-adapted')]).toEqual([200, null])
  const [tool] = listOf(fixture.upstreams.requests.at(-1)?.received.body.tools)
  expect(tool).toEqual({ name: 'f', input_schema: { type: 'object', ...schema } })
})
