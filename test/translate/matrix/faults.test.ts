// Faults: providers that refuse, break off or send nonsense, clients that disconnect, and large calls, each through a caller's SDK.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { waitFor } from '../../support/waiting.ts'
import { CALLERS, type Caller, type CallerAnswer, type Conversation, errorRaisedBy, type Turn } from './callers.ts'
import type { Provider } from './request-rules.ts'
import { UPSTREAM_ANSWERS } from './upstream-answers.ts'
import { type MatrixFixture, type Reply, startMatrixFixture, WORDS } from './upstreams.ts'

const UPSTREAM_NAMES: readonly Provider[] = ['openai', 'anthropic', 'gemini', 'compatible']
const MODELS: Readonly<Record<Provider, string>> = {
  openai: 'openai/gpt-4o',
  anthropic: 'anthropic/claude-sonnet-4-5',
  gemini: 'gemini/gemini-2.5-flash',
  compatible: 'local/llama-3.3-70b-versatile',
}
const PAIRS = CALLERS.flatMap((caller) => UPSTREAM_NAMES.map((upstream) => ({ caller, upstream, from: caller.name })))
/** Pairs of different dialects. Other responses pass through unread. */
const TRANSLATED = PAIRS.filter(({ from, upstream }) => from !== (upstream === 'compatible' ? 'openai' : upstream))
const DELIVERIES = ['whole', 'streamed'] as const
type Delivery = (typeof DELIVERIES)[number]
const TURN: Turn = { text: 'Hello' }

const sendTurn = (conversation: Conversation, delivery: Delivery, upstream: Provider, turn = TURN) =>
  conversation[delivery](turn, { model: MODELS[upstream] }, () => {})

/** How the ledger says that calls were settled, the newest first, once nothing is in flight. */
async function endings({ gateway }: MatrixFixture) {
  await gateway.idle()
  expect((await gateway.app.store.figures({ simulated: false })).open.calls).toBe(0)
  const entries = await gateway.app.store.entries({ limit: 100 })
  return entries.map(({ facts, outcome }) => ({
    ending: outcome?.ending,
    certainty: outcome?.certainty,
    isWhole: outcome?.cost.totalNanoUsd === facts.reservedCostNanoUsd,
    isFree: outcome?.cost.totalNanoUsd === 0n,
  }))
}

/** The class that each SDK raises for a status. */
const CLASSES: Readonly<Record<Caller['name'], Readonly<Record<number, string>>>> = {
  openai: {
    400: 'BadRequestError',
    401: 'AuthenticationError',
    429: 'RateLimitError',
    503: 'InternalServerError',
    529: 'InternalServerError',
  },
  anthropic: {
    400: 'BadRequestError',
    401: 'AuthenticationError',
    429: 'RateLimitError',
    503: 'ServiceUnavailableError',
    529: 'OverloadedError',
  },
  gemini: { 400: 'ApiError', 401: 'ApiError', 429: 'ApiError', 503: 'ApiError', 529: 'ApiError' },
}

describe.each(PAIRS)('$from > $upstream', ({ caller, upstream }) => {
  const statuses = [400, 401, 429, upstream === 'anthropic' ? 529 : 503]

  test.each(statuses)("raises the SDK's own error for %i, which costs nothing", async (status) => {
    await using fixture = await startMatrixFixture()
    fixture.upstreams.reply = ({ provider }) => ({
      status,
      type: 'application/json',
      pieces: [UPSTREAM_ANSWERS[provider].refusal(status)],
      headers: { 'retry-after': '7' },
    })
    for (const delivery of DELIVERIES) {
      const raised = await errorRaisedBy(
        caller,
        sendTurn(caller.startConversation(fixture.gateway.url), delivery, upstream),
      )
      expect(raised).toMatchObject({ type: CLASSES[caller.name][status], status })
      expect(JSON.stringify(raised.body)).toContain('The provider says no.')
    }
    const free = { ending: 'failed', certainty: 'exact', isWhole: false, isFree: true }
    expect(await endings(fixture)).toEqual([free, free])
    expect(fixture.upstreams.faults).toEqual([])
  })

  test('settles the call of a client that disconnects in the middle', async () => {
    await using fixture = await startMatrixFixture()
    const { upstreams, gateway } = fixture
    const { promise: left, resolve: release } = Promise.withResolvers<void>()
    upstreams.holdUntil = left
    const abort = new AbortController()
    const options = { model: MODELS[upstream], signal: abort.signal }
    const answer = caller.startConversation(gateway.url).streamed(TURN, options, () => abort.abort())
    await expect(answer).rejects.toThrow()
    await waitFor(() => gateway.receivedRequests[0]?.clientGone === true)
    release()
    expect(await endings(fixture)).toMatchObject([{ ending: 'canceled', isFree: false }])
    expect(upstreams.faults).toEqual([])
  })
})

const FALLBACK: Readonly<Record<Provider, Provider>> = {
  openai: 'anthropic',
  compatible: 'gemini',
  anthropic: 'gemini',
  gemini: 'openai',
}
const EXPECTED_ANSWER = { thought: '', text: WORDS.answer, calls: [], answers: 1 }
const json = (text: string): Reply => ({ status: 200, type: 'application/json', pieces: [text] })
const events = (...pieces: string[]): Reply => ({ status: 200, type: 'text/event-stream', pieces })

/** Replies that are no response of the provider's dialect. */
const NONSENSE: Readonly<Record<string, (upstream: Provider) => Reply>> = {
  nothing: () => json(''),
  'nothing of no type': () => ({ status: 200, type: '', pieces: [] }),
  'a page': () => ({ status: 200, type: 'text/html', pieces: ['<!doctype html><h1>It works!</h1>'] }),
  'half a document': (upstream) => json(UPSTREAM_ANSWERS[upstream].whole(EXPECTED_ANSWER, 'm').slice(0, 40)),
  null: () => json('null'),
  'a list': () => json('[1, 2]'),
  'an empty object': () => json('{}'),
  'another dialect': (upstream) => json(UPSTREAM_ANSWERS[FALLBACK[upstream]].whole(EXPECTED_ANSWER, 'm')),
  'a stream of nothing': () => events(),
  'a stream of noise': () => events('data: noise\n\n', 'event: x\ndata: {"a": [1, 2\n\n', ': ping\n\n', '\u0000\n\n'),
  "another dialect's stream": (upstream) =>
    events(...UPSTREAM_ANSWERS[FALLBACK[upstream]].stream(EXPECTED_ANSWER, 'm', {}).events),
  'bytes under the wrong type': () => ({
    status: 200,
    type: 'application/octet-stream',
    pieces: ['\u0001\u0002\u0003'],
  }),
}

describe.each(TRANSLATED)('$from > $upstream, if the provider says', ({ caller, upstream }) => {
  test.each(Object.keys(NONSENSE))("%s, raises the SDK's own error and settles the full reservation", async (reply) => {
    await using fixture = await startMatrixFixture()
    const { upstreams, gateway } = fixture
    upstreams.reply = () => NONSENSE[reply]?.(upstream) ?? json('')
    for (const delivery of DELIVERIES) {
      const { status = 502 } = await errorRaisedBy(
        caller,
        sendTurn(caller.startConversation(gateway.url), delivery, upstream),
      )
      expect([delivery, status]).toEqual([delivery, 502])
    }
    const isFree = reply === 'a page' || reply.includes('nothing')
    // OpenAI's dialect is read in the words of others, too.
    const isCounted = reply === 'another dialect' && upstream === 'openai'
    const certainty = isFree || isCounted ? 'exact' : 'upperBound'
    const failed = { ending: 'failed', certainty, isWhole: certainty === 'upperBound', isFree }
    expect(await endings(fixture)).toEqual([failed, failed])
    upstreams.reply = ({ defaultReply }) => defaultReply
    expect((await sendTurn(caller.startConversation(gateway.url), 'whole', upstream)).text).toBe(WORDS.answer)
  })
})

describe('large', () => {
  let fixture: MatrixFixture
  beforeAll(async () => {
    fixture = await startMatrixFixture()
  })
  afterAll(() => fixture[Symbol.asyncDispose]())

  test.each(PAIRS)('$from > $upstream: an image of 5 MB', async ({ caller, upstream }) => {
    const { upstreams, gateway } = fixture
    const image = Buffer.alloc(5_000_000, 'picture').toString('base64')
    const answer = await sendTurn(caller.startConversation(gateway.url), 'whole', upstream, {
      text: 'What is this?',
      image,
    })
    expect([answer.text, upstreams.faults.splice(0)]).toEqual([WORDS.answer, []])
    const [seen] = upstreams.lastRequest.images
    expect(String(seen).replace(/^data:image\/png;base64,/, '') === image).toBe(true)
  })

  test.each(PAIRS)('$from > $upstream: arguments and a result of 100 kB', async ({ caller, upstream }) => {
    const { upstreams, gateway } = fixture
    const long = 'Köln 👋 "\\\n'.repeat(10_000)
    upstreams.calls = [{ name: 'weather', args: { city: long, days: 3 } }]
    for (const delivery of DELIVERIES) {
      const options = { model: MODELS[upstream], tools: true }
      const conversation = caller.startConversation(gateway.url)
      const calls: CallerAnswer = await conversation[delivery](TURN, options, () => {})
      expect(calls.calls.map(({ args }) => args)).toEqual([{ city: long, days: 3 }])
      const results = calls.calls.map((call) => ({ call, text: long }))
      const answer = await conversation[delivery]({ results }, options, () => {})
      expect([answer.text, upstreams.faults.splice(0)]).toEqual([WORDS.answer, []])
      expect(upstreams.lastRequest.results).toEqual([long])
    }
  })
})
