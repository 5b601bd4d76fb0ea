// Error answers: errors that come with the status of an answer, what the caller gets of each, and what the ledger has of it.

import { describe, expect, test } from 'vitest'
import { type Answer, book, type Call, chat, chatStream, tokens } from './booking.ts'

const GPT = 'gpt-4o'
const ERROR = { message: 'no luck', type: 'server_error', code: null, param: null }
const USED = tokens(1_000, 1_000)
const choice = (fields: object) => ({ choices: [{ index: 0, message: { role: 'assistant', content: '' }, ...fields }] })
const chunk = (delta: object, finish_reason: string | null = null, more: object = {}) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  model: GPT,
  choices: [{ index: 0, delta, finish_reason }],
  ...more,
})

const ask = (body: object): Call => ({ model: GPT, answer: { body } })
const stream = (...events: object[]): Call => ({ model: GPT, answer: { events } })
const response = (fields: object): Call => ({
  path: '/v1/responses',
  model: GPT,
  answer: { body: { id: 'r', object: 'response', model: GPT, output: [], ...fields } },
})
const claude = (answer: Answer): Call => ({ path: '/v1/messages', model: 'claude-sonnet-4-5', answer })
const gemini = (answer: Answer): Call => ({
  path: `/v1beta/models/gemini-2.5-flash:${answer.events ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
  model: '',
  answer,
})
const CLAUDE_ERROR = { type: 'error', error: { type: 'api_error', message: 'no luck' } }
const GOOGLE_ERROR = { error: { code: 500, message: 'no luck', status: 'INTERNAL' } }
const GEMINI_USED = { promptTokenCount: 1_000, candidatesTokenCount: 1_000, totalTokenCount: 2_000 }
const ITEM = { type: 'message', id: 'm', role: 'assistant', content: [{ type: 'output_text', text: 'half' }] }
const RESPONSE_USED = { input_tokens: 1_000, output_tokens: 1_000 }

describe('an error that tells what was used costs that:', () => {
  test.each<[string, Call, number, number]>([
    ['beside nothing', ask({ error: ERROR, usage: USED }), 0.0125, 500],
    ['in place of choices', ask({ error: ERROR, choices: [], usage: USED }), 0.0125, 500],
    ['beside a choice that says nothing', ask({ error: ERROR, ...choice({}), usage: USED }), 0.0125, 500],
    ['in a choice', ask({ ...choice({ error: { code: 503, message: 'no' } }), usage: USED }), 0.0125, 503],
    ['as the reason to finish', ask({ ...choice({ finish_reason: 'error' }), usage: USED }), 0.0125, 502],
    ['with a free status', ask({ error: { ...ERROR, code: 429 }, usage: USED }), 0.0125, 429],
    [
      'beside a part of an answer',
      ask({ ...chat(GPT, USED).body, ...choice({ message: { content: 'half' }, finish_reason: 'error' }) }),
      0.0125,
      200,
    ],
    ['in the first chunk', stream(chunk({ content: '' }, 'error', { error: ERROR, usage: USED })), 0.0125, 500],
    [
      'in the last chunk',
      stream(chunk({ content: 'half' }), chunk({}, 'error', { error: ERROR, usage: USED })),
      0.0125,
      200,
    ],
    [
      'after the last chunk',
      stream(chunk({ content: 'half' }), { error: ERROR }, { choices: [], usage: USED }),
      0.0125,
      200,
    ],
    [
      'in a response',
      response({ status: 'failed', error: { code: 'server_error', message: 'no' }, usage: RESPONSE_USED }),
      0.0125,
      500,
    ],
    [
      'in a response in part',
      response({
        status: 'failed',
        error: { code: 'server_error', message: 'no' },
        output: [ITEM],
        usage: RESPONSE_USED,
      }),
      0.0125,
      200,
    ],
    ['of Anthropic', claude({ body: { ...CLAUDE_ERROR, usage: RESPONSE_USED } }), 0.018, 500],
    ['of Anthropic, streamed', claude({ events: [{ ...CLAUDE_ERROR, usage: RESPONSE_USED }] }), 0.018, 500],
    ['of Gemini', gemini({ body: { ...GOOGLE_ERROR, usageMetadata: GEMINI_USED } }), 0.0028, 500],
    ['of Gemini, streamed', gemini({ events: [{ ...GOOGLE_ERROR, usageMetadata: GEMINI_USED }] }), 0.0028, 500],
    [
      'of embeddings',
      {
        path: '/v1/embeddings',
        model: 'text-embedding-3-small',
        ask: { input: 'hello' },
        answer: { body: { error: ERROR, usage: { prompt_tokens: 1_000, total_tokens: 1_000 } } },
      },
      0.00002,
      500,
    ],
    [
      'of completions',
      {
        path: '/v1/completions',
        model: 'gpt-3.5-turbo-instruct',
        ask: { prompt: 'hello' },
        answer: { body: { choices: [{ text: '' }], error: ERROR, usage: USED } },
      },
      0.0035,
      500,
    ],
  ])('%s', async (_where, call, cost, status) => {
    expect(await book(call)).toMatchObject({ cost, certainty: 'exact', ending: 'failed', status })
  })
})

describe('an error that tells nothing of what was used costs what its status costs:', () => {
  test.each<[string, Call, number]>([
    ['a number', ask({ error: { code: 429, message: 'no' } }), 429],
    ['a number in words', ask({ error: { code: '503', message: 'no' } }), 503],
    ['a status in the error', ask({ error: { message: 'no', code: 'content_filter', status: 400 } }), 400],
    ['vLLM’s', ask({ object: 'error', message: 'no', type: 'BadRequestError', param: null, code: 400 }), 400],
    ['Mistral’s', ask({ object: 'error', message: 'no', type: 'rate_limited', param: null, code: '1300' }), 429],
    ['a code', ask({ error: { ...ERROR, type: 'tokens', code: 'rate_limit_exceeded' } }), 429],
    ['used-up money', ask({ error: { ...ERROR, type: 'insufficient_quota', code: 'insufficient_quota' } }), 429],
    ['a wrong key', ask({ error: { ...ERROR, type: 'invalid_request_error', code: 'invalid_api_key' } }), 401],
    ['no such model', ask({ error: { ...ERROR, type: 'invalid_request_error', code: 'model_not_found' } }), 404],
    ['too much to do', ask({ error: { ...ERROR, code: 'server_is_overloaded' } }), 503],
    ['usage of nothing', ask({ error: { code: 429, message: 'no' }, usage: tokens(0, 0) }), 429],
    ['the first chunk', stream({ error: { code: 429, message: 'no' } }), 429],
    [
      'a chunk with a role before',
      stream(chunk({ role: 'assistant', content: '' }), { error: { code: 429, message: 'no' } }),
      429,
    ],
    ['a response', response({ status: 'failed', error: { code: 'rate_limit_exceeded', message: 'no' } }), 429],
    [
      'a response, streamed',
      {
        path: '/v1/responses',
        model: GPT,
        answer: {
          events: [
            { type: 'response.created', response: { status: 'in_progress', error: null } },
            { type: 'response.in_progress', response: { status: 'in_progress', error: null } },
            {
              type: 'response.failed',
              response: { status: 'failed', error: { code: 'rate_limit_exceeded', message: 'no' } },
            },
          ],
        },
      },
      429,
    ],
    [
      'an event of a response',
      {
        path: '/v1/responses',
        model: GPT,
        answer: { events: [{ type: 'error', code: 'rate_limit_exceeded', message: 'no', param: null }] },
      },
      429,
    ],
    ['Anthropic’s', claude({ body: { type: 'error', error: { type: 'overloaded_error', message: 'no' } } }), 529],
    ['Anthropic’s without a type', claude({ body: { error: { type: 'rate_limit_error', message: 'no' } } }), 429],
    [
      'Anthropic’s behind a preamble',
      claude({
        events: [
          {
            type: 'message_start',
            message: {
              id: 'm',
              model: 'claude-sonnet-4-5',
              content: [],
              usage: { input_tokens: 25, output_tokens: 1 },
            },
          },
          { type: 'ping' },
          { type: 'error', error: { type: 'overloaded_error', message: 'no' } },
        ],
      }),
      529,
    ],
    ['Google’s', gemini({ body: { error: { code: 503, message: 'no', status: 'UNAVAILABLE' } } }), 503],
    ['Google’s, by its name', gemini({ body: { error: { message: 'no', status: 'RESOURCE_EXHAUSTED' } } }), 429],
    [
      'Google’s in a list',
      gemini({ body: [{ error: { code: 429, message: 'no', status: 'RESOURCE_EXHAUSTED' } }] }),
      429,
    ],
    [
      'Google’s, streamed',
      gemini({ events: [{ error: { code: 429, message: 'no', status: 'RESOURCE_EXHAUSTED' } }] }),
      429,
    ],
    ['Google’s in a list, streamed', gemini({ events: [[{ error: { code: 429, message: 'no' } }]] }), 429],
    [
      'that of Gemini’s embeddings',
      {
        path: '/v1beta/models/gemini-embedding-001:embedContent',
        model: '',
        ask: { content: { parts: [{ text: 'x' }] } },
        answer: { body: { error: { code: 429, message: 'no' } } },
      },
      429,
    ],
  ])('nothing for %s', async (_what, call, status) => {
    expect(await book(call)).toMatchObject({ cost: 0, certainty: 'exact', ending: 'failed', status })
  })

  test.each<[string, Call, number]>([
    ['an unknown one', ask({ error: 'no luck' }), 502],
    ['FastAPI’s', ask({ detail: [{ loc: ['body'], msg: 'no' }] }), 502],
    ['Cloudflare’s', ask({ success: false, errors: [{ code: 7003, message: 'no' }] }), 502],
    ['500', ask({ error: { code: 500, message: 'no' } }), 500],
    [
      'a free one beside a part of an answer',
      ask({ ...choice({ message: { content: 'half' }, error: { code: 429, message: 'no' } }) }),
      200,
    ],
    ['500 of Anthropic', claude({ events: [CLAUDE_ERROR] }), 500],
    [
      '500 of Anthropic behind a preamble that counts',
      claude({
        events: [
          {
            type: 'message_start',
            message: { model: 'claude-sonnet-4-5', usage: { input_tokens: 25, output_tokens: 1 } },
          },
          CLAUDE_ERROR,
        ],
      }),
      500,
    ],
    ['500 of Google', gemini({ events: [GOOGLE_ERROR] }), 500],
    ['a free one after a word', stream(chunk({ content: 'half' }), { error: { code: 429, message: 'no' } }), 200],
    [
      'a free one after a thought',
      stream(chunk({ reasoning_content: 'hm' }), { error: { code: 429, message: 'no' } }),
      200,
    ],
    ['an end behind a preamble', claude({ events: [{ type: 'message_start', message: { model: 'm' } }] }), 502],
  ])('the whole reservation for %s', async (_what, call, status) => {
    const booked = await book(call)
    expect(booked).toMatchObject({ certainty: 'upperBound', ending: 'failed', status })
    expect(booked.cost).toBe(booked.reserved)
  })
})

describe('no error is', () => {
  test.each([null, {}, '', false, []])('%j beside an answer', async (error) => {
    const call: Call = { model: GPT, answer: chat(GPT, USED, { error }) }
    expect(await book(call)).toMatchObject({ status: 200, cost: 0.0125, certainty: 'exact', ending: 'completed' })
    const { events = [] } = chatStream(GPT, USED)
    const streamed = await book(stream(...events.map((event) => ({ ...event, error }))))
    expect(streamed).toMatchObject({ status: 200, cost: 0.0125, certainty: 'exact', ending: 'completed' })
  })

  test('what a model says of one', async () => {
    const words = { content: '{"error":{"code":429},"object":"error","detail":"no"}' }
    const call = stream(chunk(words), chunk({}, 'stop'), { choices: [], usage: USED })
    expect(await book(call)).toMatchObject({ status: 200, cost: 0.0125, certainty: 'exact', ending: 'completed' })
  })
})
