// Booked costs: what a provider bills, and what the ledger has of it, for answers that state, hide or list their charges.

import { describe, expect, test } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { useProvider } from '../support/gateway.ts'
import type { ProviderAnswer } from '../support/provider.ts'
import { type Answer, answerOf, book, type Call, chat, chatStream, open, tokens } from './booking.ts'

describe('what the provider states counts', () => {
  const GPT_4O = 'openrouter/openai/gpt-4o'
  const BYOK = { cost: 0, is_byok: true, cost_details: { upstream_inference_cost: 0.0360795 } }
  const AUTO = [{ provider: 'openrouter', model: 'openrouter/auto', input: '1', output: '2' }]
  test.each<[string, Call, number]>([
    ['whole', { model: GPT_4O, answer: chat('openai/gpt-4o', tokens(1_000, 1_000, { cost: 0.05 })) }, 0.05],
    ['streamed', { model: GPT_4O, answer: chatStream('openai/gpt-4o', tokens(1_000, 1_000, { cost: 0.05 })) }, 0.05],
    [
      'at responses',
      {
        path: '/v1/responses',
        model: GPT_4O,
        answer: {
          body: {
            id: 'r',
            model: 'openai/gpt-4o',
            status: 'completed',
            output: [],
            usage: { input_tokens: 1_000, output_tokens: 1_000, cost: 0.05 },
          },
        },
      },
      0.05,
    ],
    [
      'for a model nobody lists',
      {
        model: 'openrouter/openrouter/auto',
        prices: AUTO,
        answer: chat('nobody/lists', tokens(1_000, 1_000, { cost: 0.2 })),
      },
      0.2,
    ],
    [
      'with a key of the caller’s own',
      { model: GPT_4O, answer: chat('openai/gpt-4o', tokens(9_171, 113, BYOK)) },
      0.0360795,
    ],
    [
      'in ticks',
      {
        model: 'xai/grok-4.5',
        ask: { service_tier: 'priority' },
        answer: chat('grok-4.5', tokens(1_000, 500, { cost_in_usd_ticks: 100_000_000 }), { service_tier: 'priority' }),
      },
      0.01,
    ],
    [
      'below our sum',
      {
        model: 'perplexity/sonar',
        answer: chat('sonar', tokens(14, 80, { search_context_size: 'low', cost: { total_cost: 0.005094 } })),
      },
      0.005094,
    ],
    [
      'for tools',
      {
        model: 'openrouter/openai/gpt-4.1-mini',
        ask: { tools: [{ type: 'openrouter:web_search' }] },
        answer: chat(
          'openai/gpt-4.1-mini',
          tokens(8_174, 30, { cost: 0.0133176, server_tool_use_details: { web_search_requests: 1 } }),
        ),
      },
      0.0133176,
    ],
    [
      'for an advisor',
      {
        model: 'openrouter/openai/gpt-4o-mini',
        ask: { tools: [{ type: 'openrouter:advisor' }] },
        answer: chat('openai/gpt-4o-mini', tokens(900, 69, { cost: 0.0160614 })),
      },
      0.0160614,
    ],
  ])('%s', async (_how, call, cost) => {
    const booked = await book(call)
    expect(booked).toMatchObject({ status: 200, cost, certainty: 'exact' })
    expect(Number(booked.provider)).toBe(cost)
  })

  test('is kept beside our sum', async () => {
    const answer = chat('openai/gpt-4o', tokens(1_000, 1_000, { cost: 0.05 }))
    expect(await book({ model: GPT_4O, answer })).toMatchObject({ provider: '0.05', computed: '0.0125' })
  })

  test('only where it is the larger if the operator priced the model, or the row names no such field, or a zero is stated', async () => {
    const priced = [{ provider: 'openrouter', model: 'openai/gpt-4o', input: '10', output: '10' }]
    const cheaper = chat('openai/gpt-4o', tokens(1_000, 1_000, { cost: 0.001 }))
    expect((await book({ model: GPT_4O, prices: priced, answer: cheaper })).cost).toBe(0.02)
    expect(
      (
        await book({
          model: 'groq/openai/gpt-oss-20b',
          answer: chat('openai/gpt-oss-20b', tokens(1_000_000, 0, { cost: 0.001 })),
        })
      ).cost,
    ).toBe(0.075)
    expect(
      (
        await book({
          model: 'groq/openai/gpt-oss-20b',
          answer: chat('openai/gpt-oss-20b', tokens(1_000, 10, { cost: 0.9 })),
        })
      ).cost,
    ).toBe(0.9)
    expect((await book({ model: GPT_4O, answer: chat('openai/gpt-4o', tokens(1_000, 1_000, { cost: 0 })) })).cost).toBe(
      0.0125,
    )
  })

  test.each([-1, 'free', null, 1e9, { total_cost: -3 }, [], true])('a cost of %j is none', async (cost) => {
    const booked = await book({ model: GPT_4O, answer: chat('openai/gpt-4o', tokens(1_000, 1_000, { cost })) })
    expect(booked).toMatchObject({ cost: 0.0125, provider: undefined })
  })

  test('makes a price known that was not', async () => {
    const env = { UNKNOWN_PRICE: 'allow' }
    const answer = chat('nobody/lists', tokens(10, 10, { cost: 0.3 }))
    expect(await book({ model: 'openrouter/nobody/lists', env, answer })).toMatchObject({
      cost: 0.3,
      certainty: 'exact',
    })
  })
})

describe('what is billed beside tokens', () => {
  const GEMINI = (model: string, stream = false) =>
    `/v1beta/models/${model}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`
  const TOOLS = { tools: [{ googleSearch: {} }] }
  const usageMetadata = { promptTokenCount: 1_000, candidatesTokenCount: 100, totalTokenCount: 1_100 }
  const grounded = (modelVersion: string, webSearchQueries: string[]) => ({
    candidates: [
      { content: { parts: [{ text: 'x' }] }, finishReason: 'STOP', groundingMetadata: { webSearchQueries } },
    ],
    usageMetadata,
    modelVersion,
  })
  test.each<[string, Call, number]>([
    [
      'each query of Gemini 3',
      {
        path: GEMINI('gemini-3-flash-preview'),
        model: '',
        ask: TOOLS,
        answer: { body: grounded('gemini-3-flash-preview', ['a', 'b', '', 'c', 'a']) },
      },
      0.0428,
    ],
    [
      'queries that a stream repeats',
      {
        path: GEMINI('gemini-3-flash-preview', true),
        model: '',
        ask: TOOLS,
        answer: {
          events: [grounded('gemini-3-flash-preview', ['a', 'b']), grounded('gemini-3-flash-preview', ['a', 'b', 'c'])],
        },
      },
      0.0428,
    ],
    [
      'each prompt of Gemini 2.5 that searches',
      {
        path: GEMINI('gemini-2.5-flash'),
        model: '',
        ask: TOOLS,
        answer: { body: grounded('gemini-2.5-flash', ['a', 'b']) },
      },
      0.03555,
    ],
    [
      'no search of Gemini',
      { path: GEMINI('gemini-2.5-flash'), model: '', ask: TOOLS, answer: { body: grounded('gemini-2.5-flash', []) } },
      0.00055,
    ],
    [
      'sound by the second',
      {
        model: 'mistral/voxtral-small-latest',
        ask: { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: 'UklGRg==' }] }] },
        answer: chat('voxtral-small-latest', {
          prompt_audio_seconds: 1_800,
          prompt_tokens: 4,
          completion_tokens: 40,
          total_tokens: 22_544,
        }),
      },
      0.1200164,
    ],
    [
      'sources',
      {
        model: 'xai/grok-4.5',
        ask: { search_parameters: { mode: 'on' } },
        answer: chat('grok-4.5', tokens(1_000, 0, { num_sources_used: 25 })),
      },
      0.627,
    ],
    [
      'citations, queries and reasoning',
      {
        model: 'perplexity/sonar-deep-research',
        answer: chat(
          'sonar-deep-research',
          tokens(100, 100, { citation_tokens: 20_000, num_search_queries: 30, reasoning_tokens: 100_000 }),
        ),
      },
      0.491,
    ],
  ])('%s', async (_what, call, cost) => {
    const booked = await book(call)
    expect(booked).toMatchObject({ status: 200, cost, certainty: 'exact' })
    if (!call.model.includes('deep-research')) expect(booked.reserved).toBeGreaterThanOrEqual(cost)
  })

  test('stays booked at the reservation if the answer gives no figure for it', async () => {
    const ask = { plugins: [{ id: 'web' }] }
    const booked = await book({
      model: 'openrouter/openai/gpt-4o-mini',
      ask,
      answer: chat('openai/gpt-4o-mini', tokens(10, 10)),
    })
    expect(booked.certainty).toBe('upperBound')
    expect(booked.cost).toBe(booked.reserved)
  })

  test.each([
    ['which a cheaper provider may answer', { sort: 'price' }, 'exact'],
    ['which a dearer provider may answer', { sort: 'throughput' }, 'upperBound'],
  ])('of a choice of providers %s', async (_what, provider, certainty) => {
    const booked = await book({
      model: 'openrouter/openai/gpt-4o-mini',
      ask: { provider },
      answer: chat('openai/gpt-4o-mini', tokens(10, 10)),
    })
    expect(booked.certainty).toBe(certainty)
    if (certainty === 'upperBound') expect(booked.cost).toBe(booked.reserved)
  })

  test('is refused before the call where calls without a bound are', async () => {
    const provider = await useProvider()
    const gateway = await open(provider, { env: { UNBOUNDED_CALLS: 'refuse' } })
    for (const model of [
      'perplexity/sonar-deep-research',
      'groq/compound-beta',
      'openrouter/openai/o3-deep-research',
      'o3-deep-research',
      'o4-mini-deep-research-2025-06-26',
      'openrouter/perplexity/sonar-pro-search',
      'openrouter/openai/gpt-4o:online',
    ]) {
      const response = await gateway.client.fetch('in process', '/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }], max_tokens: 10 }),
      })
      expect([model, response.status]).toEqual([model, 400])
    }
    expect(provider.received).toEqual([])
  })
})

describe('what hosted tools did', () => {
  const response = (model: string, output: readonly object[], usage: object = {}, more: object = {}) => ({
    id: 'r',
    model,
    status: 'completed',
    output,
    usage: { input_tokens: 1_000, output_tokens: 0, ...usage },
    ...more,
  })
  const responses = (model: string, answer: Answer, ask: object): Call => ({
    path: '/v1/responses',
    model,
    ask,
    answer,
  })
  const responseStream = (body: ReturnType<typeof response>): Answer => ({
    events: [
      ...body.output.map((item, output_index) => ({ type: 'response.output_item.done', output_index, item })),
      { type: 'response.completed', response: { ...body, output: [] } },
    ],
  })

  const XAI_DETAILS = {
    num_server_side_tools_used: 6,
    server_side_tool_usage_details: {
      web_search_calls: 1,
      x_search_calls: 1,
      code_interpreter_calls: 1,
      file_search_calls: 1,
      document_search_calls: 1,
      mcp_calls: 1,
    },
  }
  const XAI_CODE = [{ type: 'code_interpreter_call', id: 'ci', container_id: null }]
  const GROK = 'xai/grok-4.5'
  const SEARCH = { tools: [{ type: 'web_search' }] }
  const FILES = { tools: [{ type: 'file_search' }, { type: 'code_interpreter', container: { memory_limit: '4g' } }] }
  const FILES_USED = response(
    'gpt-5',
    [
      { type: 'file_search_call', id: 'a' },
      { type: 'file_search_call', id: 'b' },
      { type: 'code_interpreter_call', id: 'c', container_id: 'x' },
    ],
    {},
    { tools: [{ type: 'code_interpreter', container: { memory_limit: '4g' } }] },
  )
  const SEARCHED = response('gpt-5', [{ type: 'web_search_call', id: 'a', action: { type: 'search' } }])

  const OSS = 'openai/gpt-oss-120b'
  const BROWSER = { tools: [{ type: 'browser_search' }] }
  const executed = (index: number, name: string, more: object = {}) => ({
    index,
    type: 'browser_search',
    name,
    ...more,
  })
  const BROWSED = [executed(0, 'browser.search'), executed(1, 'browser.open'), executed(2, 'browser.search')]
  const groq = (executed_tools?: readonly object[]): Answer => ({
    body: {
      id: 'c',
      object: 'chat.completion',
      model: OSS,
      choices: [{ index: 0, message: { role: 'assistant', content: 'ok', executed_tools }, finish_reason: 'stop' }],
      usage: tokens(1_000, 0),
    },
  })
  const groqChunk = (delta: object, finish_reason: string | null = null) => ({
    id: 'c',
    object: 'chat.completion.chunk',
    model: OSS,
    choices: [{ index: 0, delta, finish_reason }],
  })
  /** Each use comes twice: when it begins, and with what it found. */
  const groqStream = (uses: readonly object[]): Answer => ({
    events: [
      ...uses.flatMap((use) => [
        groqChunk({ executed_tools: [use] }),
        groqChunk({ executed_tools: [{ ...use, output: 'x' }] }),
      ]),
      groqChunk({ content: 'ok' }, 'stop'),
      { ...groqChunk({}), choices: [], usage: tokens(1_000, 0) },
    ],
  })

  const CLAUDE = 'claude-sonnet-4-5'
  const code = { type: 'server_tool_use', id: 's', name: 'bash_code_execution', input: {} }
  const messages = (usage: object, content: readonly object[] = []): Answer => ({
    body: {
      id: 'm',
      type: 'message',
      role: 'assistant',
      model: CLAUDE,
      content: [{ type: 'text', text: 'ok' }, ...content],
      stop_reason: 'end_turn',
      usage: { input_tokens: 1_000, output_tokens: 0, ...usage },
    },
  })
  const messageStream = (usage: object, content: readonly object[] = []): Answer => ({
    events: [
      {
        type: 'message_start',
        message: {
          id: 'm',
          type: 'message',
          role: 'assistant',
          model: CLAUDE,
          content: [],
          usage: { input_tokens: 1_000, output_tokens: 0 },
        },
      },
      ...content.flatMap((content_block, index) => [
        { type: 'content_block_start', index, content_block },
        { type: 'content_block_stop', index },
      ]),
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 0, ...usage } },
      { type: 'message_stop' },
    ],
  })
  const claude = (answer: Answer, ask: object): Call => ({ path: '/v1/messages', model: CLAUDE, ask, answer })
  const CODE = { tools: [{ type: 'code_execution_20250825', name: 'code_execution' }] }
  const FILTER = { tools: [{ type: 'web_search_20260209', name: 'web_search' }] }
  const FILE = [{ role: 'user', content: [{ type: 'container_upload', file_id: 'f' }] }]
  const SEARCHES = { server_tool_use: { web_search_requests: 2, web_fetch_requests: 1 } }

  const FLASH = 'gemini-3-flash-preview'
  const grounded = (groundingMetadata: object) => ({
    candidates: [{ content: { parts: [{ text: 'x' }] }, finishReason: 'STOP', groundingMetadata }],
    usageMetadata: { promptTokenCount: 1_000, candidatesTokenCount: 100, totalTokenCount: 1_100 },
    modelVersion: FLASH,
  })
  const gemini = (groundingMetadata: object, ask: object, stream = false): Call => {
    const body = grounded(groundingMetadata)
    const method = stream ? 'streamGenerateContent?alt=sse' : 'generateContent'
    return { path: `/v1beta/models/${FLASH}:${method}`, model: '', ask, answer: stream ? { events: [body] } : { body } }
  }
  const PLACES = { webSearchQueries: ['a', 'b'], groundingChunks: [{ maps: { uri: 'x' } }] }
  const MAPS = { tools: [{ googleMaps: {} }] }

  test.each<[string, Call, number]>([
    ['xAI’s tools', responses(GROK, { body: response('grok-4.5', [], XAI_DETAILS) }, SEARCH), 0.0295],
    ['xAI’s tools, streamed', responses(GROK, responseStream(response('grok-4.5', [], XAI_DETAILS)), SEARCH), 0.0295],
    [
      'xAI’s tools in chat',
      { model: GROK, ask: SEARCH, answer: chat('grok-4.5', tokens(1_000, 0, XAI_DETAILS)) },
      0.0295,
    ],
    [
      'xAI’s code, which has no container',
      responses(GROK, { body: response('grok-4.5', XAI_CODE, { num_server_side_tools_used: 1 }) }, SEARCH),
      0.007,
    ],
    [
      'no tool of xAI’s',
      responses(GROK, { body: response('grok-4.5', [], { num_server_side_tools_used: 0 }) }, SEARCH),
      0.002,
    ],
    ['files and containers', responses('gpt-5', { body: FILES_USED }, FILES), 0.12625],
    ['files and containers, streamed', responses('gpt-5', responseStream(FILES_USED), FILES), 0.12625],
    ['files and containers at Azure', responses('azure/gpt-5', { body: FILES_USED }, FILES), 0.13825],
    ['searches at Azure', responses('azure/gpt-5', { body: SEARCHED }, SEARCH), 0.01525],
    ['Groq’s browser', { model: `groq/${OSS}`, ask: BROWSER, answer: groq(BROWSED) }, 0.01115],
    ['Groq’s browser, streamed', { model: `groq/${OSS}`, ask: BROWSER, answer: groqStream(BROWSED) }, 0.01115],
    ['Groq’s browser, translated', { path: '/v1/messages', model: `groq/${OSS}`, answer: groq(BROWSED) }, 0.01115],
    [
      'Groq’s browser, translated and streamed',
      { path: '/v1/messages', model: `groq/${OSS}`, answer: groqStream(BROWSED) },
      0.01115,
    ],
    ['Claude’s searches, translated', { model: `anthropic/${CLAUDE}`, answer: messages(SEARCHES) }, 0.023],
    [
      'Claude’s searches, translated and streamed',
      { model: `anthropic/${CLAUDE}`, answer: messageStream(SEARCHES) },
      0.023,
    ],
    ['no code of Claude’s', claude(messages({}), CODE), 0.003],
    ['code that filters what Claude found', claude(messages(SEARCHES, [code]), FILTER), 0.023],
    ['maps by the query', gemini(PLACES, MAPS), 0.0288],
    ['maps by the query, streamed', gemini(PLACES, MAPS, true), 0.0288],
    ['maps, translated', { model: `gemini/${FLASH}`, answer: { body: grounded(PLACES) } }, 0.0288],
    [
      'pictures that were searched for',
      gemini({ imageSearchQueries: ['a', 'b'] }, { tools: [{ googleSearch: {} }] }),
      0.0288,
    ],
    [
      'searches at the operator’s price',
      {
        ...responses('deepseek/deepseek-v4-flash', { body: { ...SEARCHED, model: 'deepseek-v4-flash' } }, SEARCH),
        prices: [{ provider: 'deepseek', model: 'deepseek-v4-flash', input: '1', output: '1', webSearches: '7' }],
      },
      0.008,
    ],
    [
      'searches that the operator calls free',
      {
        ...responses('deepseek/deepseek-v4-flash', { body: { ...SEARCHED, model: 'deepseek-v4-flash' } }, SEARCH),
        prices: [{ provider: 'deepseek', model: 'deepseek-v4-flash', input: '1', output: '1', webSearches: '0' }],
      },
      0.001,
    ],
    [
      'searches at the answering model’s price, where the operator has none',
      {
        ...responses('openai/house-model', { body: SEARCHED }, SEARCH),
        prices: [{ provider: 'openai', model: 'house-model', input: '1', output: '1' }],
      },
      0.011,
    ],
    [
      'a stated cost, whatever the tools',
      {
        model: GROK,
        ask: SEARCH,
        answer: chat('grok-4.5', tokens(1_000, 0, { num_server_side_tools_used: 3, cost_in_usd_ticks: 90_000_000 })),
      },
      0.009,
    ],
  ])('is booked: %s', async (_what, call, cost) => {
    const booked = await book(call)
    expect(booked).toMatchObject({ status: 200, cost, certainty: 'exact' })
    // A call that was translated has no hosted tool in its request.
    if (call.ask) expect(booked.reserved).toBeGreaterThanOrEqual(cost)
  })

  // A thousand tokens of input, and five minutes of a container at $0.05 an hour.
  test.each<[string, Call]>([
    ['that code ran in', claude(messages({}, [code]), CODE)],
    ['that code ran in, streamed', claude(messageStream({}, [code]), CODE)],
    ['that the usage counts', claude(messages({ server_tool_use: { code_execution_requests: 1 } }), CODE)],
    ['that a file was put in', claude(messages({}), { ...CODE, messages: FILE })],
  ])('counts the least that is billed for a container %s', async (_which, call) => {
    const booked = await book(call)
    expect(booked).toMatchObject({ status: 200, cost: 0.007166667, certainty: 'upperBound' })
    expect(booked.reserved).toBeGreaterThan(0.05)
  })

  test.each<[string, Call]>([
    [
      'a tool of xAI’s without a known price',
      responses(
        GROK,
        { body: response('grok-4.5', [], { server_side_tool_usage_details: { image_generation_calls: 1 } }) },
        SEARCH,
      ),
    ],
    [
      'uses at xAI that nothing tells the kind of',
      responses(GROK, responseStream(response('grok-4.5', [], { num_server_side_tools_used: 1 })), SEARCH),
    ],
    [
      'a stated cost of zero, beside a count of sources alone',
      {
        model: 'azure/grok-4-1-fast-non-reasoning',
        ask: SEARCH,
        answer: chat('grok-4-1-fast-non-reasoning', tokens(1_000, 0, { num_sources_used: 0, cost_in_usd_ticks: 0 })),
      },
    ],
    [
      'a picture without a count',
      responses(
        'gpt-5',
        { body: response('gpt-5', [{ type: 'image_generation_call', id: 'i' }]) },
        { tools: [{ type: 'image_generation' }] },
      ),
    ],
    [
      'a picture of a model without a price',
      responses(
        'gpt-5',
        {
          body: response(
            'gpt-5',
            [],
            {},
            {
              tools: [{ type: 'image_generation', model: 'nobody-lists' }],
              tool_usage: { image_gen: { input_tokens: 10, output_tokens: 300 } },
            },
          ),
        },
        { tools: [{ type: 'image_generation' }] },
      ),
    ],
    [
      'a tool of Groq’s without a known price',
      { model: `groq/${OSS}`, ask: BROWSER, answer: groq([{ index: 0, type: 'python' }]) },
    ],
    ['no list of Groq’s tools', { model: `groq/${OSS}`, ask: BROWSER, answer: groq() }],
    [
      'a new tool of Claude’s',
      claude(messages({ server_tool_use: { new_tool_requests: 1 } }), { tools: [{ type: 'new_tool_20270101' }] }),
    ],
    [
      'searches without a known price',
      responses('deepseek/deepseek-v4-flash', { body: { ...SEARCHED, model: 'deepseek-v4-flash' } }, SEARCH),
    ],
    ['searches in a data store', gemini({ retrievalQueries: ['a'] }, { tools: [{ retrieval: {} }] })],
    ['searches for enterprises', gemini({ webSearchQueries: ['a'] }, { tools: [{ enterpriseWebSearch: {} }] })],
    [
      'plugins at the Responses API',
      responses(
        'openrouter/openai/gpt-4o-mini',
        { body: response('openai/gpt-4o-mini', []) },
        { plugins: [{ id: 'file-parser', pdf: { engine: 'mistral-ocr' } }] },
      ),
    ],
    [
      'a document that is read by OCR',
      {
        model: 'mistral/mistral-small-latest',
        ask: {
          messages: [{ role: 'user', content: [{ type: 'document_url', document_url: 'https://example.com/a.pdf' }] }],
        },
        answer: chat('mistral-small-latest', tokens(1_000, 0)),
      },
    ],
    [
      'sound without its seconds',
      {
        model: 'mistral/voxtral-small-latest',
        ask: { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: 'UklGRg==' }] }] },
        answer: chat('voxtral-small-latest', { prompt_tokens: 4, completion_tokens: 40, total_tokens: 22_544 }),
      },
    ],
  ])('stays booked at the reservation: %s', async (_what, call) => {
    const booked = await book(call)
    expect(booked).toMatchObject({ status: 200, certainty: 'upperBound' })
    expect(booked.cost).toBe(booked.reserved)
    expect(booked.cost).toBeGreaterThan(0.01)
  })
})

describe('whose price', () => {
  const price = (provider: string, model: string, input: string, output: string) => ({ provider, model, input, output })
  test.each<[string, Call, number]>([
    [
      'the operator’s before the answered name’s',
      {
        model: 'azure/prod-chat',
        prices: [price('azure', 'prod-chat', '5', '20')],
        answer: chat('gpt-4o-2024-11-20', tokens(1_000, 1_000)),
      },
      0.025,
    ],
    [
      'the operator’s, however cheap the answered name',
      {
        model: 'openai/house-model',
        prices: [price('openai', 'house-model', '9', '90')],
        answer: chat('gpt-4o-mini', tokens(1_000, 1_000)),
      },
      0.099,
    ],
    [
      'a router’s and its model’s',
      {
        model: 'azure/model-router',
        prices: [price('azure', 'model-router', '0.14', '0')],
        answer: chat('gpt-5-nano-2025-08-07', tokens(10_000, 1_000)),
      },
      0.0023,
    ],
    [
      'the operator’s for a deployment whose name begins like a router’s',
      {
        model: 'azure/router-prod',
        prices: [price('azure', 'router-prod', '5', '20')],
        answer: chat('gpt-4o-2024-11-20', tokens(1_000, 1_000)),
      },
      0.025,
    ],
    [
      'the answered name’s, with the fee of the asked one',
      { model: 'openai/gpt-5-search-api', answer: chat('gpt-5-2025-08-07', tokens(1_000, 1_000)) },
      0.02125,
    ],
    [
      'that of the tier served',
      {
        path: '/v1beta/models/gemini-2.5-flash:generateContent',
        model: '',
        answer: {
          body: {
            candidates: [{ finishReason: 'STOP' }],
            usageMetadata: { promptTokenCount: 1_000, candidatesTokenCount: 1_000, serviceTier: 'PRIORITY' },
            modelVersion: 'gemini-2.5-flash',
          },
        },
      },
      0.00504,
    ],
    [
      'that of the tier that a header names',
      {
        path: '/v1beta/models/gemini-2.5-flash:generateContent',
        model: '',
        answer: {
          headers: { 'x-gemini-service-tier': 'priority' },
          body: {
            candidates: [{ finishReason: 'STOP' }],
            usageMetadata: { promptTokenCount: 1_000, candidatesTokenCount: 1_000 },
            modelVersion: 'gemini-2.5-flash',
          },
        },
      },
      0.00504,
    ],
    [
      'that of Vertex AI’s type of traffic',
      {
        path: '/v1beta/models/gemini-2.5-flash:generateContent',
        model: '',
        answer: {
          body: {
            candidates: [{ finishReason: 'STOP' }],
            usageMetadata: { promptTokenCount: 1_000, candidatesTokenCount: 1_000, trafficType: 'ON_DEMAND_FLEX' },
            modelVersion: 'gemini-2.5-flash',
          },
        },
      },
      0.0014,
    ],
    [
      'that of fast answers, by the model',
      {
        path: '/v1/messages',
        model: 'claude-opus-4-8',
        answer: {
          body: {
            id: 'm',
            type: 'message',
            role: 'assistant',
            model: 'claude-opus-4-8',
            content: [],
            stop_reason: 'end_turn',
            usage: { input_tokens: 1_000, output_tokens: 1_000, speed: 'fast' },
          },
        },
      },
      0.06,
    ],
  ])('%s', async (_whose, call, cost) => {
    expect(await book(call)).toMatchObject({ status: 200, cost })
  })
})

describe('reading usage', () => {
  const messages = (...usages: object[]): Answer => {
    const [start, ...deltas] = usages
    return {
      events: [
        {
          type: 'message_start',
          message: {
            id: 'm',
            type: 'message',
            role: 'assistant',
            model: 'claude-sonnet-4-5',
            content: [],
            usage: start,
          },
        },
        ...deltas.map((usage) => ({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage })),
        { type: 'message_stop' },
      ],
    }
  }
  const START = { input_tokens: 1_000, cache_read_input_tokens: 5_000, output_tokens: 1 }
  const CLAUDE = { path: '/v1/messages', model: 'claude-sonnet-4-5' }
  test.each<[string, Call, number]>([
    [
      'zeros after counts',
      {
        ...CLAUDE,
        answer: messages(START, {
          input_tokens: 0,
          cache_read_input_tokens: 0,
          cache_creation_input_tokens: 0,
          output_tokens: 50,
        }),
      },
      0.00525,
    ],
    ['a zero after one token', { ...CLAUDE, answer: messages(START, { output_tokens: 0 }) }, 0.004515],
    ['zeros in chat', { model: 'gpt-4o', answer: chatStream('gpt-4o', tokens(1_000, 50), tokens(1_000, 0)) }, 0.003],
    [
      'cached tokens at the top',
      {
        model: 'together/moonshotai/Kimi-K2-Instruct-0905',
        prices: [
          {
            provider: 'together',
            model: 'moonshotai/Kimi-K2-Instruct-0905',
            input: '0.95',
            output: '4',
            cacheRead: '0.16',
          },
        ],
        answer: chat('moonshotai/Kimi-K2-Instruct-0905', tokens(1_000, 100, { cached_tokens: 900 })),
      },
      0.000639,
    ],
    [
      'hits in the cache by DeepSeek’s name',
      {
        model: 'deepseek/deepseek-v3.2',
        answer: chat(
          'deepseek-v3.2',
          tokens(1_000, 100, { prompt_cache_hit_tokens: 900, prompt_cache_miss_tokens: 100 }),
        ),
      },
      0.0000952,
    ],
    [
      'the words of another dialect',
      { model: 'gpt-4o', answer: chat('gpt-4o', { input_tokens: 1_000, output_tokens: 50, total_tokens: 1_050 }) },
      0.003,
    ],
  ])('%s', async (_what, call, cost) => {
    expect(await book(call)).toMatchObject({ status: 200, cost, certainty: 'exact' })
  })

  test.each<[string, Call]>([
    ['a total alone', { model: 'gpt-4o', answer: chat('gpt-4o', { total_tokens: 1_050 }) }],
    ['a prompt without tokens', { model: 'gpt-4o', answer: chat('gpt-4o', tokens(0, 50)) }],
    [
      'a message without input',
      {
        ...CLAUDE,
        answer: {
          body: {
            id: 'm',
            type: 'message',
            role: 'assistant',
            model: 'claude-sonnet-4-5',
            content: [],
            stop_reason: 'end_turn',
            usage: { input_tokens: 0, output_tokens: 50 },
          },
        },
      },
    ],
  ])('%s is not exact', async (_what, call) => {
    const booked = await book(call)
    expect(booked.certainty).toBe('upperBound')
    expect(booked.cost).toBeGreaterThan(0.0005)
    expect(booked.cost).toBeLessThanOrEqual(Math.max(booked.reserved, 0.0105))
  })

  test('a picture of more than a megabyte hides no usage beside it', async () => {
    const parts = [{ inlineData: { mimeType: 'image/png', data: 'A'.repeat(1_300_000) } }]
    const response = {
      candidates: [{ content: { parts, role: 'model' }, finishReason: 'STOP', index: 0 }],
      usageMetadata: {
        promptTokenCount: 10,
        candidatesTokenCount: 1_290,
        totalTokenCount: 1_300,
        candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 1_290 }],
      },
      modelVersion: 'gemini-2.5-flash-image',
    }
    const path = '/v1beta/models/gemini-2.5-flash-image:streamGenerateContent?alt=sse'
    const booked = await book({ path, model: '', answer: { events: [response] } })
    expect(booked).toMatchObject({ status: 200, cost: 0.038703, certainty: 'exact', ending: 'completed' })
  })

  test('a response that failed in a stream costs what it says, as one that failed whole', async () => {
    const response = {
      id: 'r',
      model: 'gpt-5-nano',
      status: 'failed',
      error: { code: 'server_error', message: 'x' },
      output: [],
      usage: { input_tokens: 84, output_tokens: 16, total_tokens: 100 },
    }
    const call = { path: '/v1/responses', model: 'gpt-5-nano', ask: { max_output_tokens: 50_000 } }
    const streamed = await book({ ...call, answer: { events: [{ type: 'response.failed', response }] } })
    const whole = await book({ ...call, answer: { body: response } })
    expect(streamed).toMatchObject({ cost: 0.0000106, certainty: 'exact', ending: 'failed' })
    expect(whole).toMatchObject({ cost: 0.0000106, certainty: 'exact' })
  })

  test.each([1e15, 5e8, 9e15])('%d tokens of output are no usage: the reservation is booked', async (count) => {
    const provider = await useProvider()
    provider.says(() => answerOf(chat('gpt-4o', tokens(10, count))))
    const gateway = await open(provider, {})
    await (await gateway.client.asks('openai', { model: 'gpt-4o' })).text()
    const [entry] = await gateway.ledger.holds(1)
    expect(entry?.outcome?.certainty).toBe('upperBound')
    expect(entry?.outcome?.cost.totalNanoUsd).toBe(entry?.facts.reservedCostNanoUsd)
    const status = await gateway.client.asksOwner<{ usage_not_credible: unknown[] }>('/llm/status')
    expect(status.usage_not_credible).toEqual([expect.objectContaining({ provider: 'openai', calls: 1 })])
    expect(gateway.log.join('')).toContain('usage_not_credible')
  })
})

describe('fees and stated costs that cannot be true', () => {
  const searches = (web_search_requests: number): Answer => ({
    body: {
      id: 'm',
      type: 'message',
      role: 'assistant',
      model: 'claude-sonnet-5',
      content: [{ type: 'text', text: 'ok' }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 1_000, output_tokens: 10, server_tool_use: { web_search_requests } },
    },
  })
  test.each<[string, Call]>([
    ['searches', { path: '/v1/messages', model: 'claude-sonnet-5', answer: searches(1e12) }],
    ['searches of a call without a tool', { path: '/v1/messages', model: 'claude-sonnet-5', answer: searches(1e6) }],
    [
      'seconds of sound',
      {
        model: 'mistral/voxtral-small-latest',
        answer: chat('voxtral-small-latest', tokens(10, 10, { prompt_audio_seconds: 1e12 })),
      },
    ],
    ['a cost', { model: 'openrouter/openai/gpt-4o', answer: chat('openai/gpt-4o', tokens(10, 10, { cost: 500_000 })) }],
    ['a cost where none is stated', { model: 'gpt-4o', answer: chat('gpt-4o', tokens(10, 10, { cost: 100 })) }],
  ])('%s: the reservation is booked', async (_what, call) => {
    const { cost, reserved, certainty } = await book(call)
    expect([cost, certainty]).toEqual([reserved, 'upperBound'])
  })

  test('a stated cost of a model without a price counts up to a hundred dollars', async () => {
    const call = (cost: number): Call => ({
      model: 'openrouter/nobody/lists',
      env: { UNKNOWN_PRICE: 'allow' },
      answer: chat('nobody/lists', tokens(10, 10, { cost })),
    })
    expect(await book(call(100))).toMatchObject({ cost: 100, certainty: 'exact' })
    expect(await book(call(101))).toMatchObject({ cost: 0, certainty: 'upperBound' })
  })
})

describe('usage that is told in part, or in another place', () => {
  const message = (usage: object, content: readonly object[] = []) => ({
    id: 'm',
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-4-5',
    content,
    stop_reason: 'end_turn',
    usage,
  })
  const messageStream = (start: object, delta: object | undefined, content: readonly object[] = []): Answer => ({
    events: [
      { type: 'message_start', message: message(start) },
      ...content.map((content_block, index) => ({ type: 'content_block_start', index, content_block })),
      { type: 'content_block_delta', index: 9, delta: { type: 'text_delta', text: 'ok' } },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, ...(delta ? { usage: delta } : {}) },
      { type: 'message_stop' },
    ],
  })
  const claude = (answer: Answer, ask: object = {}): Call => ({
    path: '/v1/messages',
    model: 'claude-sonnet-4-5',
    ask,
    answer,
  })
  const response = (model: string, usage: object): Answer => {
    const last = { id: 'r', model: model.replace(/^\w+\//, ''), status: 'completed', output: [], usage }
    return { body: last, events: [{ type: 'response.completed', response: last }] }
  }
  const responses = (model: string, usage: object, streamed = false): Call => {
    const { body = {}, events = [] } = response(model, usage)
    return { path: '/v1/responses', model, answer: streamed ? { events } : { body } }
  }
  const gemini = (model: string, usageMetadata: object, more: object = {}, parts: readonly object[] = []): Answer => ({
    body: {
      candidates: [{ content: { parts }, finishReason: 'STOP', ...more }],
      usageMetadata,
      ...(model === '' ? {} : { modelVersion: model }),
    },
  })
  const generate = (model: string, { body = {} }: Answer, ask: object = {}, streamed = false): Call => ({
    path: `/v1beta/models/${model}:${streamed ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
    model: '',
    ask,
    answer: streamed ? { events: [body] } : { body },
  })

  const GPT_4O = 'openrouter/openai/gpt-4o'
  const GROK = 'xai/grok-4.5'
  const REASONED = {
    input_tokens: 100,
    output_tokens: 10,
    output_tokens_details: { reasoning_tokens: 300 },
    total_tokens: 410,
  }
  const CHAT_REASONED = {
    prompt_tokens: 100,
    completion_tokens: 10,
    completion_tokens_details: { reasoning_tokens: 300 },
  }
  const FLASH = gemini('gemini-2.5-flash', {
    promptTokenCount: 1_000,
    candidatesTokenCount: 100,
    totalTokenCount: 3_100,
  })
  const PRO = gemini('gemini-2.5-pro', { promptTokenCount: 1_000, totalTokenCount: 9_000 }, {}, [{ text: 'ok' }])
  const SEARCH_TOOL = { tools: [{ googleSearch: {} }] }
  const COUNTS = { promptTokenCount: 1_000, candidatesTokenCount: 100, totalTokenCount: 1_100 }
  const QUERIES = { groundingMetadata: { webSearchQueries: ['a', 'b', 'c'] } }
  const PAGES = { groundingMetadata: { groundingChunks: [{ web: { uri: 'x' } }] } }
  const WEB = { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }
  const searched = (id: string, found: unknown = []) => [
    { type: 'server_tool_use', id, name: 'web_search', input: {} },
    { type: 'web_search_tool_result', tool_use_id: id, content: found },
  ]
  const FAILED = { type: 'web_search_tool_result_error', error_code: 'unavailable' }
  const BLOCKS = [...searched('a'), ...searched('b'), ...searched('c', FAILED)]
  const USED = { input_tokens: 1_000, output_tokens: 0 }
  const ONE_HOUR = { input_tokens: 10, output_tokens: 5, cache_creation: { ephemeral_1h_input_tokens: 5_000 } }
  const THINKING = { input_tokens: 100, output_tokens: 10, output_tokens_details: { thinking_tokens: 300 } }
  const BYOK = { cost: 0.0018, is_byok: true }

  test.each<[string, Call, number]>([
    ['reasoning in the total of a response', responses(GROK, REASONED), 0.00206],
    ['reasoning in the total of a response, streamed', responses(GROK, REASONED, true), 0.00206],
    ['reasoning larger than the output of a response', responses(GROK, { ...REASONED, total_tokens: null }), 0.00206],
    ['reasoning larger than the output', { model: GROK, answer: chat('grok-4.5', CHAT_REASONED) }, 0.00206],
    [
      'reasoning larger than the output, streamed',
      { model: GROK, answer: chatStream('grok-4.5', CHAT_REASONED) },
      0.00206,
    ],
    [
      'reasoning larger than the output, translated',
      { path: '/v1/messages', model: GROK, answer: chat('grok-4.5', CHAT_REASONED) },
      0.00206,
    ],
    ['thinking larger than the output', claude({ body: message(THINKING) }), 0.00495],
    ['output in the total of Gemini', generate('gemini-2.5-flash', FLASH), 0.00555],
    ['output in the total of Gemini, streamed', generate('gemini-2.5-flash', FLASH, {}, true), 0.00555],
    ['output in the total of Gemini, translated', { model: 'gemini/gemini-2.5-flash', answer: FLASH }, 0.00555],
    ['output in the total of Gemini alone', generate('gemini-2.5-pro', PRO), 0.08125],
    [
      'prompts of tools, which are in the total of Gemini',
      generate('gemini-2.5-flash', gemini('', { ...COUNTS, toolUsePromptTokenCount: 500, totalTokenCount: 1_600 })),
      0.0007,
    ],
    [
      'no output of Gemini without parts',
      generate('gemini-2.5-flash', gemini('', { promptTokenCount: 1_000, totalTokenCount: 1_000 })),
      0.0003,
    ],
    [
      'a text that Gemini leaves out of its total',
      generate(
        'gemini-2.5-flash',
        gemini('', { promptTokenCount: 1_000, totalTokenCount: 1_000 }, {}, [{ text: 'ok' }]),
      ),
      0.0003,
    ],
    [
      'thoughts without an answer of Gemini',
      generate(
        'gemini-2.5-flash',
        gemini('', { promptTokenCount: 1_000, thoughtsTokenCount: 100 }, {}, [{ text: 'hm', thought: true }]),
      ),
      0.00055,
    ],

    [
      'the fee for a key of the caller’s, beside our sum',
      { model: GPT_4O, answer: chat('openai/gpt-4o', tokens(1_000, 1_000, BYOK)) },
      0.0143,
    ],
    [
      'the same with a null',
      {
        model: GPT_4O,
        answer: chat(
          'openai/gpt-4o',
          tokens(1_000, 1_000, { ...BYOK, cost_details: { upstream_inference_cost: null } }),
        ),
      },
      0.0143,
    ],
    [
      'the fee and both parts of the upstream’s cost',
      {
        model: GPT_4O,
        answer: chat(
          'openai/gpt-4o',
          tokens(1_000, 1_000, {
            ...BYOK,
            cost_details: { upstream_inference_prompt_cost: 0.01, upstream_inference_completions_cost: '0.02' },
          }),
        ),
      },
      0.0318,
    ],
    [
      'a cost in a chunk of its own',
      { model: GPT_4O, answer: chatStream('openai/gpt-4o', tokens(1_000, 1_000), { cost: 0.05 }) },
      0.05,
    ],
    ['a cost as text', { model: GPT_4O, answer: chat('openai/gpt-4o', tokens(1_000, 1_000, { cost: '0.05' })) }, 0.05],
    [
      'ticks as text',
      { model: GROK, answer: chat('grok-4.5', tokens(1_000, 500, { cost_in_usd_ticks: '100000000' })) },
      0.01,
    ],
    [
      'ticks beside a cost of zero',
      { model: GROK, answer: chat('grok-4.5', tokens(1_000, 500, { cost: 0, cost_in_usd_ticks: 100_000_000 })) },
      0.01,
    ],
    ['a cost in a message', claude({ body: message({ ...USED, cost: 0.05 }) }), 0.05],
    ['a cost in a message, streamed', claude(messageStream(USED, { output_tokens: 0, cost: 0.05 })), 0.05],
    ['our sum, if a message states less', claude({ body: message({ ...USED, cost: 0.0001 }) }), 0.003],

    [
      'sources as text',
      {
        model: GROK,
        ask: { search_parameters: { mode: 'on' } },
        answer: chat('grok-4.5', tokens(1_000, 0, { num_sources_used: '25' })),
      },
      0.627,
    ],
    [
      'searches of Claude’s as text',
      claude({ body: message({ ...USED, server_tool_use: { web_search_requests: '3' } }) }, WEB),
      0.033,
    ],
    ['searches that only blocks show', claude({ body: message(USED, BLOCKS) }, WEB), 0.023],
    ['searches that only blocks show, streamed', claude(messageStream(USED, { output_tokens: 0 }, BLOCKS), WEB), 0.023],
    [
      'searches that blocks show, beside a count of zero',
      claude({ body: message({ ...USED, server_tool_use: { web_search_requests: 0 } }, BLOCKS) }, WEB),
      0.023,
    ],
    [
      'a search whose result another answer has',
      claude(
        {
          body: message({ ...USED, server_tool_use: { web_search_requests: 1 } }, [
            ...searched('a'),
            ...BLOCKS.slice(2, 3),
          ]),
        },
        WEB,
      ),
      0.013,
    ],
    [
      'pages without queries of Gemini 3',
      generate(
        'gemini-3-flash-preview',
        gemini('gemini-3-flash-preview', COUNTS, PAGES, [{ text: 'ok' }]),
        SEARCH_TOOL,
      ),
      0.0148,
    ],
    [
      'pages that the caller named',
      generate(
        'gemini-3-flash-preview',
        gemini('gemini-3-flash-preview', COUNTS, { ...PAGES, urlContextMetadata: { urlMetadata: [] } }),
        { tools: [{ urlContext: {} }] },
      ),
      0.0008,
    ],
    ...['', 'publishers/google/models/gemini-2.5-flash', 'models/gemini-2.5-flash', 'my-endpoint'].flatMap(
      (version) => [
        [
          `three queries of one prompt by ‘${version}’`,
          generate('gemini-2.5-flash', gemini(version, COUNTS, QUERIES), SEARCH_TOOL),
          0.03555,
        ] as [string, Call, number],
        [
          `three queries of one prompt by ‘${version}’, streamed`,
          generate('gemini-2.5-flash', gemini(version, COUNTS, QUERIES), SEARCH_TOOL, true),
          0.03555,
        ] as [string, Call, number],
      ],
    ),

    ['an hour’s cache without the sum', claude({ body: message(ONE_HOUR) }), 0.030105],
    ['an hour’s cache without the sum, streamed', claude(messageStream(ONE_HOUR, { output_tokens: 5 })), 0.030105],
    [
      'Claude’s cache in chat',
      {
        model: 'openrouter/anthropic/claude-sonnet-4.5',
        answer: chat('anthropic/claude-sonnet-4.5', tokens(1_010, 0, { cache_creation_input_tokens: 1_000 })),
      },
      0.00378,
    ],
  ])('is booked: %s', async (_what, call, cost) => {
    expect(await book(call)).toMatchObject({ status: 200, cost, certainty: 'exact' })
  })

  const MISTRAL = 'mistral/mistral-small-latest'
  test.each<[string, Call]>([
    [
      'sources as null',
      {
        model: GROK,
        ask: { search_parameters: { mode: 'on' } },
        answer: chat('grok-4.5', tokens(1_000, 0, { num_sources_used: null })),
      },
    ],
    [
      'sources that are no whole number',
      {
        model: GROK,
        ask: { search_parameters: { mode: 'on' } },
        answer: chat('grok-4.5', tokens(1_000, 0, { num_sources_used: -1 })),
      },
    ],
    [
      'xAI’s tools as null',
      {
        model: GROK,
        ask: { tools: [{ type: 'web_search' }] },
        answer: chat('grok-4.5', tokens(1_000, 0, { server_side_tool_usage_details: { web_search_calls: null } })),
      },
    ],
    [
      'deep research as null',
      {
        model: 'perplexity/sonar-deep-research',
        answer: chat(
          'sonar-deep-research',
          tokens(100, 100, { citation_tokens: null, num_search_queries: null, reasoning_tokens: null }),
        ),
      },
    ],
    [
      'deep research in part',
      {
        model: 'perplexity/sonar-deep-research',
        answer: chat('sonar-deep-research', tokens(100, 100, { citation_tokens: null, num_search_queries: 3 })),
      },
    ],
    [
      'OpenRouter’s tools as null',
      {
        model: 'openrouter/openai/gpt-4o-mini',
        ask: { web_search_options: {} },
        answer: chat('openai/gpt-4o-mini', tokens(1_000, 0, { server_tool_use_details: null })),
      },
    ],
    [
      'tools beside a fee for a key of the caller’s',
      {
        model: 'openrouter/openai/gpt-4o-mini',
        ask: { web_search_options: {} },
        answer: chat('openai/gpt-4o-mini', tokens(1_000, 0, BYOK)),
      },
    ],
    [
      'Mistral’s tools in Perplexity’s words',
      {
        model: MISTRAL,
        ask: { tools: [{ type: 'web_search' }] },
        answer: chat('mistral-small-latest', tokens(1_000, 0, { num_search_queries: 0 })),
      },
    ],
  ])('stays booked at the reservation: %s', async (_what, call) => {
    const booked = await book(call)
    expect(booked).toMatchObject({ status: 200, certainty: 'upperBound' })
    expect(booked.cost).toBe(booked.reserved)
  })

  // A thousand tokens of input, and the thousand of output that each request allows.
  const TEXT = [{ text: 'ok' }]
  const FLASH_CAP = { generationConfig: { maxOutputTokens: 1_000 } }
  test.each<[string, Call, number]>([
    ['chat', { model: 'gpt-4o', answer: chat('gpt-4o', { prompt_tokens: 1_000 }) }, 0.0125],
    ['chat, streamed', { model: 'gpt-4o', answer: chatStream('gpt-4o', { prompt_tokens: 1_000 }) }, 0.0125],
    [
      'a null in chat',
      { model: 'gpt-4o', answer: chat('gpt-4o', tokens(1_000, 0, { completion_tokens: null })) },
      0.0125,
    ],
    ['a response', responses('gpt-4o', { input_tokens: 1_000 }), 0.0125],
    ['a response, streamed', responses('gpt-4o', { input_tokens: 1_000 }, true), 0.0125],
    ['a message', claude({ body: message({ input_tokens: 1_000 }) }), 0.018],
    [
      'a stream that counts its output at the start alone',
      claude(messageStream({ ...USED, output_tokens: 1 }, undefined)),
      0.018,
    ],
    [
      'the same, translated',
      { model: 'anthropic/claude-sonnet-4-5', answer: messageStream({ ...USED, output_tokens: 1 }, undefined) },
      0.018,
    ],
    [
      'Gemini, if it wrote',
      generate('gemini-2.5-flash', gemini('', { promptTokenCount: 1_000 }, {}, TEXT), FLASH_CAP),
      0.0028,
    ],
    [
      'Gemini, if it wrote, streamed',
      generate('gemini-2.5-flash', gemini('', { promptTokenCount: 1_000 }, {}, TEXT), FLASH_CAP, true),
      0.0028,
    ],
  ])('has the most output that it can have, where it counts none: %s', async (_what, call, cost) => {
    expect(await book(call)).toMatchObject({ status: 200, cost, certainty: 'upperBound' })
  })

  test.each<[string, Call]>([
    ['whole', { model: GPT_4O, answer: chat('openai/gpt-4o', { cost: 0.5 }) }],
    ['streamed', { model: GPT_4O, answer: chatStream('openai/gpt-4o', { cost: 0.5 }) }],
    ['in a response', responses(GPT_4O, { cost: 0.5 })],
    ['in a message', claude({ body: message({ cost: 0.5 }) })],
  ])('is the cost alone, %s: the cost counts, and the tokens are the most that they can be', async (_how, call) => {
    expect(await book(call)).toMatchObject({ status: 200, cost: 0.5, provider: '0.5', certainty: 'upperBound' })
  })
})

test('stated costs that differ from ours are counted by model', async () => {
  const provider = await useProvider()
  const gateway = await open(provider, {})
  for (const cost of [0.0125, 0.0125001, 0.05]) {
    provider.says(() => answerOf(chat('openai/gpt-4o', tokens(1_000, 1_000, { cost }))))
    await (await gateway.client.asks('openai', { model: 'openrouter/openai/gpt-4o' })).text()
  }
  await gateway.ledger.holds(3)
  const { stated_costs } = await gateway.client.asksOwner<{ stated_costs: unknown[] }>('/llm/status')
  expect(stated_costs).toEqual([
    {
      provider: 'openrouter',
      model: 'openai/gpt-4o',
      calls: 3,
      calls_differing_over_1_percent: 1,
      provider_cost_usd: 0.0750001,
      computed_cost_usd: 0.0375,
    },
  ])
})

describe('answers that are none', () => {
  const PAIR = { aliases: { pair: { targets: ['openrouter/openai/gpt-4o', 'openai/gpt-4o'], retries: 0 } } }
  const ERROR = { error: { message: 'Provider returned error', code: 502 } }

  test.each([
    ['whole', { body: ERROR }],
    ['streamed', { events: [{ id: 'c', object: 'chat.completion.chunk', choices: [], ...ERROR }] }],
  ])('an error with the status of an answer, %s, has failed, and is booked whole', async (_how, answer) => {
    const booked = await book({ model: 'openrouter/openai/gpt-4o', answer })
    expect(booked).toMatchObject({ status: 502, ending: 'failed', certainty: 'upperBound' })
    expect(booked.cost).toBe(booked.reserved)
  })

  test.each([false, true])('the next target answers in the place of an error (streamed: %s)', async (stream) => {
    const provider = await useProvider()
    const events = [{ id: 'c', object: 'chat.completion.chunk', choices: [], ...ERROR }]
    provider.says((request) =>
      request.body.includes('"openai/gpt-4o"') ? answerOf(stream ? { events } : { body: ERROR }) : request.usual,
    )
    const gateway = await open(provider, {})
    const providers = { openrouter: { preset: 'openrouter', baseUrl: `${provider.url}/v1`, apiKey: 'sk' } }
    await gateway.app.reload(readFileConfig(JSON.stringify({ providers, ...PAIR }), {}))
    const response = await gateway.client.asks('openai', { model: 'pair', stream }, {}, 'over sockets')
    expect(response.status).toBe(200)
    const text = await response.text()
    expect(text).not.toContain('Provider returned error')
    expect(text.length).toBeGreaterThan(100)
    const [entry] = await gateway.ledger.holds(1)
    expect(entry?.outcome?.attempts.map(({ error }) => error)).toEqual(['error in the answer', null])
  })

  const CHAT_USAGE = tokens(1_000, 1_000)
  test.each([
    ['whole', chat('gpt-4o', CHAT_USAGE)],
    ['streamed', chatStream('gpt-4o', CHAT_USAGE)],
  ])('an answer under the content type of a page, %s, is one', async (_how, answer) => {
    const headers = { 'content-type': 'text/html; charset=utf-8' }
    const booked = await book({ model: 'gpt-4o', answer: { ...answer, headers } })
    expect(booked).toMatchObject({ status: 200, cost: 0.0125, certainty: 'exact', ending: 'completed' })
  })

  test.each([
    ['openai', 'text/html', ': hello\n\ndata: {"choices":[{"delta":{"content":"a"}}]}\n\n'],
    ['anthropic', 'application/json', 'event: ping\ndata: {"type":"ping"}\n\ndata: {"type":"content_block_start"}\n\n'],
    ['gemini', 'text/plain', '\r\ndata: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n\n'],
  ] as const)('events of %s under %s are not held back', async (dialect, type, first) => {
    const provider = await useProvider()
    const rest = Promise.withResolvers<void>()
    const pieces = [first, rest.promise]
    provider.says(() => ({ status: 200, headers: { 'content-type': type }, pieces }))
    const gateway = await open(provider, {})
    const model = { openai: 'gpt-4o', anthropic: 'claude-sonnet-4-5', gemini: 'gemini-2.5-flash' }[dialect]
    const response = await gateway.client.asks(dialect, { model, stream: true }, {}, 'over sockets')
    const reader = response.body?.getReader()
    const { value } = (await reader?.read()) ?? {}
    expect(Buffer.from(value ?? []).toString()).toBe(first)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    rest.resolve()
    await reader?.cancel()
  })

  test.each([
    ['openai', 'text/event-stream', []],
    ['gemini', 'application/json', []],
    ['gemini', 'application/json', ['<html>', '</html>']],
  ] as const)('nothing, or a page, in the place of a stream of %s under %s is free', async (dialect, type, pieces) => {
    const provider = await useProvider()
    provider.says(() => ({ status: 200, headers: { 'content-type': type }, pieces }))
    const gateway = await open(provider, {})
    const model = dialect === 'openai' ? 'gpt-4o' : 'gemini-2.5-flash'
    const response = await gateway.client.asks(dialect, { model, stream: true }, {}, 'over sockets')
    expect(await response.text()).toContain('so its address is not that of its API')
    const [entry] = await gateway.ledger.holds(1)
    expect(entry?.outcome).toMatchObject({ ending: 'failed', certainty: 'exact', cost: { totalNanoUsd: 0n } })
  })

  test.each<[string, ProviderAnswer, string]>([
    [
      'a redirect',
      { status: 308, headers: { location: 'https://api.example.com/v1/chat/completions?key=secret' }, pieces: [] },
      'a redirect (308) to https://api.example.com/v1/chat/completions,',
    ],
    ['a redirect to nowhere', { status: 301, headers: {}, pieces: [] }, 'a redirect (301),'],
    ['nothing', { status: 204, headers: {}, pieces: [] }, 'no content (204),'],
    [
      'a page',
      { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, pieces: ['<html></html>'] },
      'a web page (200),',
    ],
    [
      'a page that is said to be text',
      { status: 200, headers: { 'content-type': 'text/plain' }, pieces: ['\ufeff\r\n <!doctype html>'] },
      'a web page (200),',
    ],
    [
      'a page in gzip, of no known type',
      {
        status: 200,
        headers: { 'content-type': 'application/octet-stream' },
        pieces: ['<!doctype html>'],
        gzip: true,
      },
      'a web page (200),',
    ],
    [
      'an empty answer',
      { status: 200, headers: { 'content-type': 'application/json' }, pieces: [] },
      'no content (200),',
    ],
  ])('%s is free, and names the setting', async (_what, answer, words) => {
    const provider = await useProvider()
    provider.says(() => answer)
    const gateway = await open(provider, {})
    const response = await gateway.client.asks('openai', { model: 'gpt-4o' })
    expect(response.status).toBe(502)
    const text = await response.text()
    expect(text).toContain(words)
    expect(text).toContain('Check OPENAI_BASE_URL.')
    expect(text).not.toContain('secret')
    const [entry] = await gateway.ledger.holds(1)
    expect(entry?.outcome?.cost.totalNanoUsd).toBe(0n)
    const hint = async () => {
      const { providers } = await gateway.client.asksOwner<{ providers: { name: string; hint: string }[] }>(
        '/llm/status',
      )
      return providers.find(({ name }) => name === 'openai')?.hint
    }
    expect(await hint()).toContain(words)
    provider.says(({ usual }) => usual)
    await (await gateway.client.asks('openai', { model: 'gpt-4o' })).text()
    await gateway.ledger.holds(2)
    expect(await hint()).toBeNull()
  })
})
