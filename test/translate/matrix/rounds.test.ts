// Rounds: conversations with tool calls and their results, and conversations that move from provider to provider.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { recordOf } from '../../../src/core/json-values.ts'
import {
  CALLERS,
  type Caller,
  type CallerAnswer,
  type CallerOptions,
  type Conversation,
  errorRaisedBy,
  type Turn,
} from './callers.ts'
import { UPSTREAM_NAMES, type UpstreamName } from './cells.ts'
import { type Json, listOf, SIGNATURES } from './request-rules.ts'
import { type MatrixFixture, startMatrixFixture, WORDS } from './upstreams.ts'

let fixture: MatrixFixture
beforeAll(async () => {
  fixture = await startMatrixFixture({ env: { UNKNOWN_PRICE: 'allow' } })
})
afterAll(() => fixture[Symbol.asyncDispose]())
/** No provider received an illegal request. */
afterEach(() => {
  fixture.upstreams.useTwoCalls()
  fixture.upstreams.reply = ({ defaultReply }) => defaultReply
  expect(fixture.upstreams.faults.splice(0)).toEqual([])
})

const MODELS: Readonly<Record<UpstreamName, string>> = {
  openai: 'openai/gpt-4o',
  anthropic: 'anthropic/claude-sonnet-4-5',
  gemini: 'gemini/gemini-3-flash-preview',
  compatible: 'local/llama-3.3-70b-versatile',
  simulated: 'sim/tools-2',
}
const PAIRS = CALLERS.flatMap((caller) => UPSTREAM_NAMES.map((upstream) => ({ caller, upstream, from: caller.name })))
const DELIVERIES = ['whole', 'streamed'] as const
const TURN: Turn = { text: 'How are the weather and the time in Köln?' }
const RESULTS = ['Sunny, 21 °C', '12:00']

const sendTurn = (
  conversation: Conversation,
  delivery: (typeof DELIVERIES)[number],
  turn: Turn,
  options: CallerOptions,
) => conversation[delivery](turn, options, () => {})
const results = ({ calls }: CallerAnswer): Turn => ({
  results: calls.map((call, index) => ({ call, text: RESULTS[index] ?? '' })),
})

/** The body of the last request that a provider received. */
function lastBody(): Json {
  const last = fixture.upstreams.requests.at(-1)
  if (!last) throw new Error('no provider received a request')
  return last.received.body
}

describe.each(DELIVERIES)('%s', (delivery) => {
  test.each(PAIRS)(
    '$from > $upstream: two calls at once, and the response to their results',
    async ({ caller, upstream }) => {
      const { upstreams, gateway } = fixture
      upstreams.useTwoCalls()
      const conversation = caller.startConversation(gateway.url)
      const options = { model: MODELS[upstream], tools: true }
      const callingAnswer = await sendTurn(conversation, delivery, TURN, options)
      expect(callingAnswer.calls.map(({ name }) => name)).toEqual(['weather', 'time'])
      expect(callingAnswer.stop).toBe(caller.stops.calls)
      const answer = await sendTurn(conversation, delivery, results(callingAnswer), options)
      expect([answer.stop, answer.calls]).toEqual([caller.stops.end, []])
      if (upstream === 'simulated') expect(answer.text).toContain('12:00')
      else {
        expect(answer.text).toBe(WORDS.answer)
        expect(upstreams.lastRequest.results).toEqual(RESULTS)
      }
      await gateway.idle()
      for (const { callId } of [callingAnswer, answer]) {
        const entry = await gateway.app.store.entry(callId)
        expect(entry?.outcome).toMatchObject({ ending: 'completed', certainty: 'exact' })
      }
    },
  )
})

describe('a conversation that moves', () => {
  const REAL = UPSTREAM_NAMES.filter((upstream) => upstream !== 'simulated')
  const MOVES = CALLERS.flatMap((caller) => REAL.map((first) => ({ caller, from: caller.name, first })))

  test.each(MOVES)('from $from > $first to every other provider', async ({ caller, first }) => {
    const { upstreams, gateway } = fixture
    for (const second of REAL) {
      for (const delivery of DELIVERIES) {
        upstreams.useTwoCalls()
        const conversation = caller.startConversation(gateway.url)
        const callingAnswer = await sendTurn(conversation, delivery, TURN, {
          model: MODELS[first],
          tools: true,
          thinks: first === 'anthropic',
        })
        const answer = await sendTurn(conversation, delivery, results(callingAnswer), {
          model: MODELS[second],
          tools: true,
        })
        expect([second, delivery, answer.text, upstreams.lastRequest.results]).toEqual([
          second,
          delivery,
          WORDS.answer,
          RESULTS,
        ])
        const further = await sendTurn(
          conversation,
          delivery,
          { text: 'Thank you.' },
          { model: MODELS[first], tools: true },
        )
        expect(further.text).toBe(WORDS.answer)
      }
    }
  })
})

describe.each(DELIVERIES)('thoughts among calls, %s', (delivery) => {
  const options: CallerOptions = { model: MODELS.anthropic, tools: true, thinks: true }

  test.each(CALLERS.filter(({ name }) => name !== 'gemini'))(
    '$name sends back what Anthropic signed',
    async (caller) => {
      const conversation = caller.startConversation(fixture.gateway.url)
      const callingAnswer = await sendTurn(conversation, delivery, TURN, options)
      expect(callingAnswer.thought).toBe(WORDS.thought)
      await sendTurn(conversation, delivery, results(callingAnswer), options)
      const { messages, thinking } = lastBody()
      expect(recordOf(thinking).type).toBe('enabled')
      const [thought] = listOf(listOf(messages).at(-2)?.content)
      expect(thought).toMatchObject({ type: 'thinking', thinking: WORDS.thought, signature: SIGNATURES.anthropic })
    },
  )

  test('gemini has no field for what Anthropic signed, so thinking is dropped and the caller is notified', async () => {
    const caller = callerNamed('gemini')
    const conversation = caller.startConversation(fixture.gateway.url)
    const callingAnswer = await sendTurn(conversation, delivery, TURN, options)
    expect(callingAnswer.thought).toBe(WORDS.thought)
    const answer = await sendTurn(conversation, delivery, results(callingAnswer), options)
    expect(answer.headers.get('x-bursar-dropped')).toBe('generationConfig.thinkingConfig')
    expect(lastBody().thinking).toBe(undefined)
  })

  test.each(CALLERS)("$name sends back what Gemini signed, or Google's stand-in", async (caller) => {
    const conversation = caller.startConversation(fixture.gateway.url)
    const model = MODELS.gemini
    const callingAnswer = await sendTurn(conversation, delivery, TURN, { model, tools: true })
    await sendTurn(conversation, delivery, results(callingAnswer), { model, tools: true })
    const parts = listOf(listOf(lastBody().contents).at(-2)?.parts)
    const signatures = parts.filter(({ functionCall }) => functionCall).map(({ thoughtSignature }) => thoughtSignature)
    // Anthropic's dialect has no field for it.
    const expected = caller.name === 'anthropic' ? 'skip_thought_signature_validator' : SIGNATURES.gemini
    expect(signatures).toEqual([expected, undefined])
  })
})

function callerNamed(name: Caller['name']): Caller {
  const caller = CALLERS.find((caller) => caller.name === name)
  if (!caller) throw new Error(`unknown caller ${name}`)
  return caller
}

const CITED = [{ role: 'user', content: [{ type: 'text', text: 'Hello', cache_control: { type: 'ephemeral' } }] }]

/** Caller, upstream, the fields that the client asks for, and the names that the response reports as dropped. */
const HINTS: readonly (readonly [Caller['name'], UpstreamName, object, string | null])[] = [
  ['openai', 'anthropic', { seed: 7, frequency_penalty: 0.5 }, 'seed, frequency_penalty'],
  ['openai', 'anthropic', { logit_bias: { 50256: -100 }, store: true }, 'logit_bias, store'],
  ['openai', 'anthropic', { temperature: 1.5 }, 'temperature'],
  ['openai', 'anthropic', { temperature: 0.5, user: 'ada', stop: ['END'] }, null],
  ['openai', 'gemini', { logit_bias: { 50256: -100 }, user: 'ada' }, 'logit_bias, user'],
  ['openai', 'gemini', { temperature: 1.5, seed: 7, stop: ['END'], n: 1 }, null],
  ['anthropic', 'openai', { top_k: 5, stop_sequences: ['END'] }, 'top_k'],
  ['anthropic', 'openai', { thinking: { type: 'enabled', budget_tokens: 2_000 } }, 'thinking'],
  ['anthropic', 'openai', { metadata: { user_id: 'ada' } }, null],
  ['anthropic', 'openai', { messages: CITED }, 'cache_control'],
  ['anthropic', 'gemini', { metadata: { user_id: 'ada' }, top_k: 5 }, 'metadata.user_id'],
  ['anthropic', 'compatible', { top_k: 5 }, 'top_k'],
  ['gemini', 'openai', { topK: 5, seed: 7 }, 'generationConfig.topK'],
  [
    'gemini',
    'openai',
    { safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'OFF' }] },
    'safetySettings',
  ],
  ['gemini', 'anthropic', { seed: 7, presencePenalty: 0.5 }, 'generationConfig.seed, generationConfig.presencePenalty'],
  ['gemini', 'anthropic', { temperature: 0.5, topK: 5, stopSequences: ['END'] }, null],
]

test.each(HINTS)(
  '%s > %s: the client asks for %j and is notified that %s was dropped',
  async (name, upstream, extraFields, dropped) => {
    for (const delivery of DELIVERIES) {
      const conversation = callerNamed(name).startConversation(fixture.gateway.url)
      const answer = await sendTurn(conversation, delivery, { text: 'Hello' }, { model: MODELS[upstream], extraFields })
      expect([answer.text, answer.headers.get('x-bursar-dropped')]).toEqual([WORDS.answer, dropped])
    }
  },
)

const AUDIO = { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } }
const withPart = (part: object) => ({ messages: [{ role: 'user', content: [part] }] })
const FILE = { type: 'document', source: { type: 'file', file_id: 'file_011CNha8iCJcU1wXNR6q4V8w' } }
const SEARCH = { type: 'web_search_20250305', name: 'web_search' }

/** Caller, upstream, the fields that the client asks for, and the caller's name of the refused field. */
const NEEDS: readonly (readonly [Caller['name'], UpstreamName, object, string])[] = [
  ['openai', 'anthropic', { logprobs: true }, 'logprobs'],
  ['openai', 'anthropic', { web_search_options: {} }, 'web_search_options'],
  ['openai', 'anthropic', { modalities: ['text', 'audio'] }, 'modalities'],
  ['openai', 'anthropic', withPart(AUDIO), 'messages[0].content[0]'],
  ['openai', 'anthropic', { stop: [' '] }, 'stop'],
  ['openai', 'anthropic', { a_field_of_tomorrow: 1 }, 'a_field_of_tomorrow'],
  ['openai', 'gemini', { logprobs: true }, 'logprobs'],
  ['openai', 'gemini', { n: 9 }, 'n'],
  ['openai', 'gemini', { stop: ['1', '2', '3', '4', '5', '6'] }, 'stop'],
  ['anthropic', 'openai', { tools: [SEARCH] }, 'tools[0]'],
  ['anthropic', 'openai', { mcp_servers: [{ type: 'url', url: 'https://x.example', name: 'x' }] }, 'mcp_servers'],
  ['anthropic', 'openai', { container: 'container_1' }, 'container'],
  ['anthropic', 'openai', withPart(FILE), 'messages[0].content[0]'],
  ['anthropic', 'gemini', withPart(FILE), 'messages[0].content[0]'],
  ['anthropic', 'gemini', { tools: [SEARCH] }, 'tools[0]'],
  ['gemini', 'openai', { tools: [{ googleSearch: {} }] }, 'tools[0].googleSearch'],
  ['gemini', 'openai', { cachedContent: 'cachedContents/1' }, 'cachedContent'],
  ['gemini', 'openai', { responseModalities: ['IMAGE'] }, 'generationConfig.responseModalities'],
  ['gemini', 'anthropic', { tools: [{ codeExecution: {} }] }, 'tools[0].codeExecution'],
  ['gemini', 'anthropic', { responseLogprobs: true }, 'generationConfig.responseLogprobs'],
]

test.each(NEEDS)(
  '%s > %s: the client asks for %j and is refused, with the field %s',
  async (name, upstream, extraFields, param) => {
    const { upstreams, gateway } = fixture
    const before = upstreams.requests.length
    for (const delivery of DELIVERIES) {
      const caller = callerNamed(name)
      const answer = sendTurn(
        caller.startConversation(gateway.url),
        delivery,
        { text: 'Hello' },
        { model: MODELS[upstream], extraFields },
      )
      const { status, body } = await errorRaisedBy(caller, answer)
      expect(status).toBe(400)
      expect(JSON.stringify(body)).toContain(`"${param}"`)
    }
    expect(upstreams.requests.length).toBe(before)
  },
)
