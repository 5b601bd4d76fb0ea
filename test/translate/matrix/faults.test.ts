// Faults: what a caller's SDK makes of providers that refuse, break off, or answer nonsense, and of clients that leave; and large calls.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { waitFor } from '../../support/server.ts'
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
const PAIRS = CALLERS.flatMap((caller) => UPSTREAM_NAMES.map((out) => ({ caller, out, from: caller.name })))
/** Answers that pass through are the provider's own business. */
const TRANSLATED = PAIRS.filter(({ from, out }) => from !== (out === 'compatible' ? 'openai' : out))
const DELIVERIES = ['whole', 'streamed'] as const
type Delivery = (typeof DELIVERIES)[number]
const TURN: Turn = { text: 'Hello' }

const sendTurn = (talk: Conversation, how: Delivery, out: Provider, turn = TURN) =>
  talk[how](turn, { model: MODELS[out] }, () => {})

/** How calls were settled, newest first, once nothing is in flight. */
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

describe.each(PAIRS)('$from > $out', ({ caller, out }) => {
  const statuses = [400, 401, 429, out === 'anthropic' ? 529 : 503]

  test.each(statuses)('raises its own error for %i, which costs nothing', async (status) => {
    await using scene = await startMatrixFixture()
    scene.upstreams.reply = ({ provider }) => ({
      status,
      type: 'application/json',
      pieces: [UPSTREAM_ANSWERS[provider].refusal(status)],
      headers: { 'retry-after': '7' },
    })
    for (const how of DELIVERIES) {
      const raised = await errorRaisedBy(caller, sendTurn(caller.startConversation(scene.gateway.url), how, out))
      expect(raised).toMatchObject({ type: CLASSES[caller.name][status], status })
      expect(JSON.stringify(raised.body)).toContain('The provider says no.')
    }
    const free = { ending: 'failed', certainty: 'exact', isWhole: false, isFree: true }
    expect(await endings(scene)).toEqual([free, free])
    expect(scene.upstreams.faults).toEqual([])
  })

  test('settles the call of a client that leaves in the middle', async () => {
    await using scene = await startMatrixFixture()
    const { upstreams, gateway } = scene
    const { promise: left, resolve: release } = Promise.withResolvers<void>()
    upstreams.holdUntil = left
    const abort = new AbortController()
    const wish = { model: MODELS[out], signal: abort.signal }
    const answer = caller.startConversation(gateway.url).streamed(TURN, wish, () => abort.abort())
    await expect(answer).rejects.toThrow()
    await waitFor(() => gateway.receivedRequests[0]?.clientGone === true)
    release()
    expect(await endings(scene)).toMatchObject([{ ending: 'canceled', isFree: false }])
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

/** What is no answer of the provider's. */
const NONSENSE: Readonly<Record<string, (out: Provider) => Reply>> = {
  nothing: () => json(''),
  'nothing of no type': () => ({ status: 200, type: '', pieces: [] }),
  'a page': () => ({ status: 200, type: 'text/html', pieces: ['<!doctype html><h1>It works!</h1>'] }),
  'half a document': (out) => json(UPSTREAM_ANSWERS[out].whole(EXPECTED_ANSWER, 'm').slice(0, 40)),
  null: () => json('null'),
  'a list': () => json('[1, 2]'),
  'an empty object': () => json('{}'),
  'another dialect': (out) => json(UPSTREAM_ANSWERS[FALLBACK[out]].whole(EXPECTED_ANSWER, 'm')),
  'a stream of nothing': () => events(),
  'a stream of noise': () => events('data: noise\n\n', 'event: x\ndata: {"a": [1, 2\n\n', ': ping\n\n', '\u0000\n\n'),
  "another dialect's stream": (out) =>
    events(...UPSTREAM_ANSWERS[FALLBACK[out]].stream(EXPECTED_ANSWER, 'm', {}).events),
  'bytes under the wrong type': () => ({
    status: 200,
    type: 'application/octet-stream',
    pieces: ['\u0001\u0002\u0003'],
  }),
}

describe.each(TRANSLATED)('$from > $out, answered with', ({ caller, out }) => {
  test.each(Object.keys(NONSENSE))('%s, raises its own error, and books all that was reserved', async (what) => {
    await using scene = await startMatrixFixture()
    const { upstreams, gateway } = scene
    upstreams.reply = () => NONSENSE[what]?.(out) ?? json('')
    for (const how of DELIVERIES) {
      const { status = 502 } = await errorRaisedBy(caller, sendTurn(caller.startConversation(gateway.url), how, out))
      expect([how, status]).toEqual([how, 502])
    }
    const failed = { ending: 'failed', certainty: 'upperBound', isWhole: true, isFree: false }
    expect(await endings(scene)).toEqual([failed, failed])
    upstreams.reply = ({ usual }) => usual
    expect((await sendTurn(caller.startConversation(gateway.url), 'whole', out)).text).toBe(WORDS.answer)
  })
})

describe('large', () => {
  let scene: MatrixFixture
  beforeAll(async () => {
    scene = await startMatrixFixture()
  })
  afterAll(() => scene[Symbol.asyncDispose]())

  test.each(PAIRS)('$from > $out: a picture of 5 MB', async ({ caller, out }) => {
    const { upstreams, gateway } = scene
    const image = Buffer.alloc(5_000_000, 'picture').toString('base64')
    const got = await sendTurn(caller.startConversation(gateway.url), 'whole', out, { text: 'What is this?', image })
    expect([got.text, upstreams.faults.splice(0)]).toEqual([WORDS.answer, []])
    const [seen] = upstreams.lastRequest.images
    expect(String(seen).replace(/^data:image\/png;base64,/, '') === image).toBe(true)
  })

  test.each(PAIRS)('$from > $out: arguments of 100 kB, and as much as a result', async ({ caller, out }) => {
    const { upstreams, gateway } = scene
    const long = 'Köln 👋 "\\\n'.repeat(10_000)
    upstreams.calls = [{ name: 'weather', args: { city: long, days: 3 } }]
    for (const how of DELIVERIES) {
      const wish = { model: MODELS[out], tools: true }
      const talk = caller.startConversation(gateway.url)
      const called: CallerAnswer = await talk[how](TURN, wish, () => {})
      expect(called.calls.map(({ args }) => args)).toEqual([{ city: long, days: 3 }])
      const results = called.calls.map((call) => ({ call, text: long }))
      const got = await talk[how]({ results }, wish, () => {})
      expect([got.text, upstreams.faults.splice(0)]).toEqual([WORDS.answer, []])
      expect(upstreams.lastRequest.results).toEqual([long])
    }
  })
})
