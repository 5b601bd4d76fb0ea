// Responses: OpenAI's newer way to ask, with the SDKs that have it, against a running gateway.

import { createOpenAI } from '@ai-sdk/openai'
import { generateText, streamText } from 'ai'
import OpenAI7 from 'openai'
import OpenAI6 from 'openai-6'
import { describe, expect, test } from 'vitest'
import { type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { PROVIDER_KEYS } from '../support/provider.ts'
import { KEY, startPair } from './pair.ts'

const start = ({ env, ...options }: GatewayOptions = {}) =>
  startGateway({ ...options, env: { BURSAR_KEYS: `alice:${KEY}`, ...env } })

const PROMPT = 'Say hello to Köln.'
const ANSWER_TEXT = `You said: ${PROMPT}`
const STREAMED = { model: 'gpt-4o', input: PROMPT, stream: true } as const
const bodyOf = (model: string) => ({ model, input: [{ role: 'user' as const, content: PROMPT }] })

/** One question to an SDK: its answer's text, or what it throws. */
interface Sdk {
  readonly name: string
  whole(url: string, model: string): Promise<string>
  streamed(url: string, model: string): Promise<string>
}

const openai = { apiKey: KEY, maxRetries: 0 }
const openai7At = (url: string) => new OpenAI7({ ...openai, baseURL: `${url}/v1` }).responses
const openai6At = (url: string) => new OpenAI6({ ...openai, baseURL: `${url}/v1` }).responses
const aiAt = (url: string, model: string) => createOpenAI({ apiKey: KEY, baseURL: `${url}/v1` }).responses(model)

async function joinText(events: AsyncIterable<{ readonly type: string }>): Promise<string> {
  let text = ''
  for await (const event of events) if ('delta' in event) text += event.delta
  return text
}

const SDKS: readonly Sdk[] = [
  {
    name: 'openai 7',
    whole: async (url, model) => (await openai7At(url).create(bodyOf(model))).output_text,
    streamed: async (url, model) => joinText(await openai7At(url).create({ ...bodyOf(model), stream: true })),
  },
  {
    name: 'openai 6',
    whole: async (url, model) => (await openai6At(url).create(bodyOf(model))).output_text,
    streamed: async (url, model) => joinText(await openai6At(url).create({ ...bodyOf(model), stream: true })),
  },
  {
    name: '@ai-sdk/openai',
    whole: async (url, model) => (await generateText({ model: aiAt(url, model), prompt: PROMPT, maxRetries: 0 })).text,
    streamed: async (url, model) => {
      let text = ''
      const { fullStream } = streamText({
        model: aiAt(url, model),
        prompt: PROMPT,
        maxRetries: 0,
        onError: () => {},
      })
      for await (const part of fullStream) {
        if (part.type === 'text-delta') text += part.text
        if (part.type === 'error') throw part.error
      }
      return text
    },
  },
]

/** How the calls were settled: the newest first. */
async function settledEntry(gateway: Gateway, simulated = true) {
  await gateway.idle()
  const entries = await gateway.app.store.entries({ simulated, limit: 10 })
  return entries.map(({ facts, outcome }) => {
    if (!outcome) throw new Error('not settled')
    expect(facts).toMatchObject({ dialect: 'openai.responses', caller: { key: 'alice' } })
    expect(outcome.cost.totalNanoUsd).toBeLessThanOrEqual(facts.reservedCostNanoUsd)
    return { ended: [outcome.ending, outcome.certainty], usage: outcome.usage, cost: outcome.cost, facts }
  })
}

describe.each(SDKS)('$name', (sdk) => {
  test('is answered, whole and streamed, and the usage in the answer is settled', async () => {
    await using gateway = await start()
    expect(await sdk.whole(gateway.url, 'sim/echo')).toBe(ANSWER_TEXT)
    expect(await sdk.streamed(gateway.url, 'sim/echo')).toBe(ANSWER_TEXT)
    for (const { ended, usage } of await settledEntry(gateway)) {
      expect(ended).toEqual(['completed', 'exact'])
      expect(usage).toMatchObject({ input: expect.any(Number), output: 6, requests: 1 })
      expect(usage.input).toBeGreaterThan(0)
    }
    expect(await settledEntry(gateway)).toHaveLength(2)
  })

  test.each(['sim/cut', 'sim/no-end'])('raises an error when the stream of %s breaks off', async (model) => {
    await using gateway = await start()
    await expect(sdk.streamed(gateway.url, model)).rejects.toThrow(/broke off its answer/)
    expect((await settledEntry(gateway)).map(({ ended }) => ended)).toEqual([['failed', 'upperBound']])
  })

  test.each([
    [{ MAX_REQUESTS_PER_MINUTE: '0' }, /requests_per_minute/],
    [{ MAX_COST_PER_REQUEST: '0.000001' }, /cost_per_request/],
  ])('is refused within %j', async (env, message) => {
    await using gateway = await start({ env })
    for (const ask of [sdk.whole, sdk.streamed])
      await expect(ask(gateway.url, 'sim/echo')).rejects.toMatchObject({ message: expect.stringMatching(message) })
    expect(await settledEntry(gateway)).toEqual([])
  })
})

describe('openai 7', () => {
  const options = (url: string) => ({ ...openai, baseURL: `${url}/v1` })
  const fails = (gateway: Gateway, model = 'sim/echo') =>
    openai7At(gateway.url)
      .create(bodyOf(model))
      .then(
        () => undefined,
        (error: unknown) => error,
      )

  test.each([
    [{ MAX_REQUESTS_PER_MINUTE: '0' }, 'rate_limit_exceeded'],
    [{ MAX_TOKENS_PER_MINUTE: '1' }, 'rate_limit_exceeded'],
    [{ MAX_COST_PER_REQUEST: '0.000001' }, 'insufficient_quota'],
    [{ DAILY_SPENDING_LIMIT: '0' }, 'insufficient_quota'],
  ])('raises its RateLimitError within %j', async (env, code) => {
    await using gateway = await start({ env })
    const error = await fails(gateway)
    expect(error).toBeInstanceOf(OpenAI7.RateLimitError)
    expect(error).toMatchObject({ status: 429, code })
  })

  test("raises its own errors for the provider's, and for what cannot be read", async () => {
    await using gateway = await start()
    expect(await fails(gateway, 'sim/error-429')).toBeInstanceOf(OpenAI7.RateLimitError)
    expect(await fails(gateway, 'sim/error-500')).toBeInstanceOf(OpenAI7.InternalServerError)
    const broken = openai7At(gateway.url).create({ model: 'sim/echo', input: 'Hi', max_output_tokens: -1 })
    await expect(broken).rejects.toBeInstanceOf(OpenAI7.BadRequestError)
    const unknown = new OpenAI7(options(gateway.url)).responses.retrieve('resp.1')
    await expect(unknown).rejects.toBeInstanceOf(OpenAI7.NotFoundError)
  })

  test('gets the events of OpenAI, in their order', async () => {
    await using gateway = await start()
    const types: string[] = []
    const stream = openai7At(gateway.url).stream({ ...bodyOf('sim/echo'), max_output_tokens: 3 })
    for await (const { type, sequence_number } of stream) expect(types.push(type) - 1).toBe(sequence_number)
    expect(types).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      ...Array.from({ length: 3 }, () => 'response.output_text.delta'),
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.incomplete',
    ])
    const final = await stream.finalResponse()
    expect(final).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
    expect(final.output_text).toBe('You said: Say')
    const [{ usage, ended } = { usage: undefined, ended: undefined }] = await settledEntry(gateway)
    expect([final.usage?.input_tokens, final.usage?.output_tokens]).toEqual([usage?.input, usage?.output])
    expect(ended).toEqual(['completed', 'exact'])
  })

  test('gets the result of a tool', async () => {
    await using gateway = await start()
    const answer = await openai7At(gateway.url).create({
      model: 'sim/echo',
      input: [
        { role: 'user', content: 'Add.' },
        { type: 'function_call', call_id: 'c', name: 'add', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c', output: 'seven' },
      ],
      tools: [{ type: 'function', name: 'add', parameters: {}, strict: null }],
    })
    expect(answer.output_text).toBe('You said: seven')
  })
})

/** An answer of OpenAI's, of which so much stands in its last event that it comes in many packets. */
const USAGE = { input_tokens: 21, input_tokens_details: { cached_tokens: 5 }, output_tokens: 9, total_tokens: 30 }
const LONG = 'Grüße '.repeat(30_000)
const part = { type: 'output_text', text: LONG, annotations: [] }
const message = { id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [part] }
const response = (fields: object) => ({
  id: 'resp_1',
  object: 'response',
  model: 'gpt-4o-2024-08-06',
  error: null,
  ...fields,
})
const event = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
const CREATED = event('response.created', { response: response({ status: 'in_progress', output: [], usage: null }) })
const COMPLETED = event('response.completed', {
  response: response({ status: 'completed', output: [message], usage: USAGE }),
})

function answerOf(type: string, pieces: readonly string[]) {
  return { status: 200, headers: { 'content-type': type }, pieces }
}
const streamOf = (...pieces: string[]) => answerOf('text/event-stream', pieces)

describe('in front of a provider', () => {
  test.each([
    ['openai 7', (url: string) => openai7At(url).create(STREAMED)],
    ['openai 6', (url: string) => openai6At(url).create(STREAMED)],
  ])('%s misses no byte of a long last event, however it comes', async (_name, ask) => {
    await using pair = await startPair()
    const [head, tail] = [COMPLETED.slice(0, 70_000), COMPLETED.slice(70_000, -1)]
    const silent = new Promise<void>(() => {})
    pair.provider.says(() => ({
      ...streamOf(CREATED, head, tail, '\n'),
      pieces: [CREATED, head, tail, '\n', silent],
    }))
    const events: { readonly type: string }[] = []
    for await (const event of await ask(pair.gateway.url)) events.push(event)
    expect(events.map(({ type }) => type)).toEqual(['response.created', 'response.completed'])
    expect(events[1]).toMatchObject({ response: { output: [message] } })
    const [entry] = await settledEntry(pair.gateway, false)
    expect(entry?.ended).toEqual(['completed', 'exact'])
    expect(entry?.usage).toMatchObject({ input: 16, cacheRead: 5, output: 9 })
    expect(pair.provider.received[0]).toMatchObject({
      path: '/v1/responses',
      headers: { authorization: `Bearer ${PROVIDER_KEYS.openai}` },
      json: { model: 'gpt-4o', stream: true },
    })
  })

  test("an SDK learns of the provider's own failure as it would from the provider", async () => {
    await using pair = await startPair()
    const error = { type: 'insufficient_quota', code: 'insufficient_quota', message: 'You are broke.', param: null }
    const failed = response({ status: 'failed', error: { code: error.code, message: error.message }, usage: null })
    const ends = [event('error', { sequence_number: 2, error }), event('response.failed', { response: failed })]
    const learned = async (url: string) => {
      const stream = await openai7At(url).create(STREAMED)
      return joinText(stream)
    }
    const raisedBy = (url: string) => learned(url).catch((thrown: unknown) => thrown)
    const word = event('response.output_text.delta', { item_id: 'm', output_index: 0, content_index: 0, delta: 'Hi' })
    pair.provider.says(() => streamOf(CREATED, word, ...ends))
    const direct = await raisedBy(pair.provider.url)
    expect(direct).toBeInstanceOf(OpenAI7.APIError)
    expect(await raisedBy(pair.gateway.url)).toMatchObject({
      message: String((direct as Error).message),
      code: error.code,
    })
    expect((await settledEntry(pair.gateway, false)).map(({ ended }) => ended)).toEqual([['failed', 'upperBound']])
  })

  test('an SDK learns of a failure before the first word by its status', async () => {
    await using pair = await startPair()
    const error = { type: 'insufficient_quota', code: 'insufficient_quota', message: 'You are broke.', param: null }
    pair.provider.says(() => streamOf(CREATED, event('error', { sequence_number: 2, error })))
    const raised = await openai7At(pair.gateway.url)
      .create(STREAMED)
      .catch((thrown: unknown) => thrown)
    expect(raised).toBeInstanceOf(OpenAI7.RateLimitError)
    expect(raised).toMatchObject({ status: 429, code: error.code, message: '429 You are broke.' })
    expect((await settledEntry(pair.gateway, false)).map(({ ended }) => ended)).toEqual([['failed', 'exact']])
  })

  test('one whole document in place of events comes as events, and is settled by its usage', async () => {
    await using pair = await startPair()
    const citation = { type: 'url_citation', url: 'http://a', title: 'A', start_index: 0, end_index: 1 }
    const output = [
      { id: 'rs_1', type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm.' }], encrypted_content: 'x' },
      {
        ...message,
        content: [
          { ...part, text: 'Köln', annotations: [citation] },
          { type: 'refusal', refusal: 'No.' },
        ],
      },
      { id: 'ws_1', type: 'web_search_call', status: 'completed', action: { type: 'search', query: 'q' } },
      { type: 'function_call', call_id: 'c1', name: 'add', arguments: '{"a":1}', status: 'completed' },
      { id: 'ct_1', type: 'custom_tool_call', call_id: 'c2', name: 'patch', input: 'text' },
    ]
    const whole = response({ status: 'completed', output, usage: USAGE })
    pair.provider.says(() => answerOf('application/json', [JSON.stringify(whole)]))
    const stream = openai7At(pair.gateway.url).stream({ model: 'gpt-4o', input: PROMPT })
    const types: string[] = []
    for await (const { type, sequence_number } of stream) expect(types.push(type) - 1).toBe(sequence_number)
    expect([types.slice(0, 3), types.at(-1)]).toEqual([
      ['response.created', 'response.in_progress', 'response.output_item.added'],
      'response.completed',
    ])
    for (const type of [
      'response.reasoning_summary_text.delta',
      'response.output_text.delta',
      'response.output_text.annotation.added',
      'response.refusal.delta',
      'response.function_call_arguments.delta',
      'response.custom_tool_call_input.delta',
    ])
      expect(types.filter((other) => other === type)).toHaveLength(1)
    const final = await stream.finalResponse()
    expect(final.output).toMatchObject([...output.slice(0, 3), { ...output[3], id: 'item_3' }, output[4]])
    expect([final.output_text, final.usage]).toMatchObject(['Köln', USAGE])
    const [entry] = await settledEntry(pair.gateway, false)
    expect([entry?.ended, entry?.usage.output]).toEqual([['completed', 'exact'], 9])
  })

  test.each(SDKS)('one whole document in place of events reaches $name, also if it is cut short', async (sdk) => {
    await using pair = await startPair()
    const short = { ...message, content: [{ ...part, text: 'Köln' }] }
    for (const fields of [{ status: 'completed' }, { status: 'incomplete', incomplete_details: { reason: 'x' } }]) {
      const whole = response({ created_at: 1, output: [short], usage: USAGE, ...fields })
      pair.provider.says(() => answerOf('application/json', [JSON.stringify(whole)]))
      expect(await sdk.streamed(pair.gateway.url, 'gpt-4o')).toBe('Köln')
    }
  })

  test('an item of a list is no response, though a stream was requested', async () => {
    await using pair = await startPair()
    pair.provider.says(() => answerOf('application/json', ['{"object":"list","data":[]}']))
    const headers = { authorization: `Bearer ${KEY}` }
    const answer = await fetch(`${pair.gateway.url}/v1/responses/resp_1/input_items?stream=true`, { headers })
    expect(await answer.json()).toEqual({ object: 'list', data: [] })
  })

  test('a call that goes on in the background is settled in full, or refused', async () => {
    for (const [UNBOUNDED_CALLS, refused] of [
      ['estimate', false],
      ['refuse', true],
    ] as const) {
      await using pair = await startPair({ env: { UNBOUNDED_CALLS, MAX_COST_PER_REQUEST: '' } })
      const queued = response({ status: 'queued', background: true, output: [], usage: null })
      pair.provider.says(() => answerOf('application/json', [JSON.stringify(queued)]))
      const ask = openai7At(pair.gateway.url).create({ model: 'gpt-4o', input: PROMPT, background: true })
      if (refused) await expect(ask).rejects.toThrow(/background/)
      else expect((await ask).status).toBe('queued')
      const [entry] = await settledEntry(pair.gateway, false)
      if (refused) expect(entry).toBeUndefined()
      else
        expect([entry?.ended, entry?.cost.totalNanoUsd]).toEqual([
          ['completed', 'upperBound'],
          entry?.facts.reservedCostNanoUsd,
        ])
    }
  })

  test('a cap is set where a call has none and the money left does not do', async () => {
    await using pair = await startPair({ env: { DAILY_SPENDING_LIMIT: '0.10', MAX_COST_PER_REQUEST: '' } })
    const whole = response({ status: 'completed', output: [message], usage: USAGE })
    pair.provider.says(() => answerOf('application/json', [JSON.stringify(whole)]))
    const { response: answer } = await openai7At(pair.gateway.url)
      .create({ model: 'gpt-4o', input: PROMPT })
      .withResponse()
    const cap = Number(answer.headers.get('x-bursar-max-output-tokens'))
    expect(cap).toBeGreaterThan(0)
    expect(pair.provider.received[0]?.json).toEqual({ model: 'gpt-4o', input: PROMPT, max_output_tokens: cap })
  })
})
