// Broken requests, answers and streams, in great numbers: nothing is thrown but problems, no count is negative,
// bytes pass as they came, and every reservation is settled. FUZZ_CASES=1000000 for as many; SEED=… for the same again.

import { afterAll, describe, expect, test } from 'vitest'
import { costOf, NO_TIERS, ratesOf } from '../../src/core/prices.ts'
import { Problem } from '../../src/core/problem.ts'
import { quote, type RequestFacts } from '../../src/core/quote.ts'
import { USAGE_CLASSES, unitsOf } from '../../src/core/usage.ts'
import { WebExchange } from '../../src/exchange/web.ts'
import type { Provider, UpstreamRequest } from '../../src/providers/provider.ts'
import { simulated } from '../../src/providers/simulated/provider.ts'
import { anthropicCountTokens } from '../../src/wire/anthropic/count-tokens.ts'
import { anthropicMessages } from '../../src/wire/anthropic/messages.ts'
import type { Dialect, Tap } from '../../src/wire/dialect.ts'
import { geminiCountTokens } from '../../src/wire/gemini/count-tokens.ts'
import { geminiEmbed } from '../../src/wire/gemini/embed.ts'
import { geminiGenerate } from '../../src/wire/gemini/generate.ts'
import { openaiChat } from '../../src/wire/openai/chat.ts'
import { openaiCompletions } from '../../src/wire/openai/completions.ts'
import { openaiEmbeddings } from '../../src/wire/openai/embeddings.ts'
import { openaiResponses } from '../../src/wire/openai/responses.ts'
import { type DialectName, eventsOf, requestFor, wholeAnswer } from '../call/dialect-fixtures.ts'
import { Random, SEED } from '../call/random.ts'
import { useGateway } from '../support/gateway.ts'
import { recordingsOf } from '../support/recordings.ts'
import { lineTo } from '../wire/samples.ts'
import { CHAT_STREAMS, GEMINI_ARRAYS, GEMINI_STREAMS, MESSAGE_STREAMS } from '../wire/streams.ts'
import { mutate, mutateStream, splitBytes } from './mutate.ts'

const CASE_COUNT = Number(process.env.FUZZ_CASES ?? 60_000)
/** Each case is one request or one answer; calls through the gate cost more. */
const CALL_COUNT = Math.ceil(CASE_COUNT / 50)
const TEN_MINUTES_MS = 600_000
/** Long documents are read like short ones, only slower. */
const MAX_SEED_CHARACTERS = 12_000
/** Seeds of runs that once found something. */
const KNOWN_SEEDS: readonly number[] = []

interface Subject {
  readonly dialect: Dialect
  readonly path: string
  readonly requests: readonly string[]
  readonly answers: readonly string[]
  readonly streams: readonly string[]
}

function recordedSubject(
  parser: Dialect,
  api: string,
  path: string,
  vendor: DialectName,
  streams: readonly { text: string }[],
): Subject {
  const usage = { input: 20, output: 10 }
  const recordings = recordingsOf(api)
  const short = (texts: readonly string[]) => texts.filter((text) => text.length < MAX_SEED_CHARACTERS)
  return {
    dialect: parser,
    path,
    requests: short([
      requestFor(vendor, { cap: 10 }).body,
      requestFor(vendor, { stream: true }).body,
      ...recordings.flatMap(({ request }) => (request?.body ? [JSON.stringify(request.body)] : [])),
    ]),
    answers: short([
      wholeAnswer(vendor, usage),
      ...recordings.flatMap(({ stream, response }) => (stream ? [] : [response.body])),
    ]),
    streams: short([
      eventsOf(vendor, usage).join(''),
      ...streams.map(({ text }) => text),
      ...recordings.flatMap(({ stream, response }) => (stream ? [response.body] : [])),
    ]).filter((text) => text !== ''),
  }
}

/** A dialect that a request and an answer stand for, where there are no recordings. */
function smallSubject(
  dialect: Dialect,
  api: string,
  path: string,
  request: object,
  answer: object,
  stream = '',
): Subject {
  const recordings = recordingsOf(api)
  const short = (texts: readonly string[]) => texts.filter((text) => text !== '' && text.length < MAX_SEED_CHARACTERS)
  const wholes = recordings.filter((recording) => !recording.stream).map(({ response }) => response.body)
  const streams = recordings.filter((recording) => recording.stream).map(({ response }) => response.body)
  return {
    dialect,
    path,
    requests: short([
      JSON.stringify(request),
      ...recordings.flatMap(({ request: sent }) => (sent?.body ? [JSON.stringify(sent.body)] : [])),
    ]),
    answers: short([JSON.stringify(answer), ...wholes]),
    streams: short([stream, `data: ${JSON.stringify(answer)}\n\n`, ...streams]),
  }
}

const RESPONSE = {
  object: 'response',
  status: 'completed',
  model: 'm',
  output: [{ type: 'message', content: [{ type: 'output_text', text: 'hi' }] }, { type: 'web_search_call' }],
  usage: { input_tokens: 9, input_tokens_details: { cached_tokens: 2 }, output_tokens: 4, total_tokens: 13 },
}
const VECTOR = { data: [{ embedding: [0.1, 2] }], model: 'm', usage: { prompt_tokens: 7, total_tokens: 7 } }

const SUBJECTS: readonly Subject[] = [
  smallSubject(
    openaiResponses,
    'openai.responses',
    '/v1/responses',
    { model: 'm', input: [{ role: 'user', content: [{ type: 'input_text', text: 'a' }] }], max_output_tokens: 9 },
    RESPONSE,
    `data: ${JSON.stringify({ type: 'response.created', response: { usage: null } })}\n\nevent: response.completed\ndata: ${JSON.stringify({ type: 'response.completed', response: RESPONSE })}\n\n`,
  ),
  smallSubject(
    openaiEmbeddings,
    'openai.embeddings',
    '/v1/embeddings',
    { model: 'm', input: ['a', 'b'], encoding_format: 'float' },
    VECTOR,
  ),
  smallSubject(
    openaiCompletions,
    'openai.completions',
    '/v1/completions',
    { model: 'm', prompt: ['a', 'b'], n: 2, best_of: 3, max_tokens: 5, stream: true },
    { choices: [{ text: 'a', finish_reason: 'stop' }], usage: { prompt_tokens: 2, completion_tokens: 1 } },
  ),
  smallSubject(
    anthropicCountTokens,
    'anthropic.count_tokens',
    '/v1/messages/count_tokens',
    { model: 'm', messages: [{ role: 'user', content: 'a' }], tools: [{ name: 't', input_schema: {} }] },
    { input_tokens: 7 },
  ),
  smallSubject(
    geminiCountTokens,
    'gemini.count_tokens',
    '/v1beta/models/m:countTokens',
    { generateContentRequest: { model: 'models/m', contents: [{ parts: [{ text: 'a' }] }] } },
    { totalTokens: 7 },
  ),
  smallSubject(
    geminiEmbed,
    'gemini.embed_content',
    '/v1beta/models/m:batchEmbedContents',
    { requests: [{ model: 'models/m', content: { parts: [{ text: 'a' }] } }] },
    { embeddings: [{ values: [1] }], usageMetadata: { promptTokenCount: 3 } },
  ),
  recordedSubject(openaiChat, 'openai.chat', '/v1/chat/completions', 'openai', CHAT_STREAMS),
  recordedSubject(anthropicMessages, 'anthropic.messages', '/v1/messages', 'anthropic', MESSAGE_STREAMS),
  recordedSubject(geminiGenerate, 'gemini.generate_content', '/v1beta/models/m:streamGenerateContent', 'gemini', [
    ...GEMINI_STREAMS,
    ...GEMINI_ARRAYS,
  ]),
]

const PRICE = {
  version: 'fuzz',
  steps: [{ fromInputTokens: 0, rates: ratesOf({ input: 3_000_000_000n, output: 15_000_000_000n }) }],
  tiers: NO_TIERS,
} as const
const FACTS = { price: PRICE, limits: { contextWindow: 200_000, maxOutput: 8_000, usualOutput: 500 } }
const SETTINGS = { defaultMaxOutputTokens: 4_096, tokenReservation: 'estimate' } as const
const RULES = simulated().rules

const rejections: unknown[] = []
const noteRejection = (reason: unknown) => rejections.push(reason)
process.on('unhandledRejection', noteRejection)
afterAll(() => {
  process.off('unhandledRejection', noteRejection)
  expect(rejections).toEqual([])
})

/** Runs a case per seed, those that once found something first. What fails says how to do it again. */
async function forEachCase(cases: number, run: (random: Random) => void | Promise<void>): Promise<void> {
  for (const seed of [...KNOWN_SEEDS, ...Array.from({ length: cases }, (_, index) => SEED + index)]) {
    try {
      await run(new Random(seed))
    } catch (error) {
      throw new Error(`SEED=${seed} FUZZ_CASES=1: ${error instanceof Error ? error.message : error}`, { cause: error })
    }
  }
}

describe(`${CASE_COUNT} cases from SEED=${SEED}`, () => {
  test('requests are read or refused, never half understood', { timeout: TEN_MINUTES_MS }, async () => {
    await forEachCase(Math.ceil(CASE_COUNT / 3), (random) => {
      const { dialect, path, requests } = random.oneOf(SUBJECTS)
      const body = mutate(random.oneOf(requests), random)
      const reading = readOrRefuse(dialect, body, path)
      if (!reading) return
      expectCounts(reading.facts)
      const quoted = quote(reading.facts, FACTS, RULES, SETTINGS)
      for (const figure of [quoted.inputTokens, quoted.outputTokens, quoted.tokens])
        expect(figure >= 0 && Number.isFinite(figure)).toBe(true)
      expect(quoted.costNanoUsd >= 0n).toBe(true)
      expectSameWords(dialect, reading, body, path)
    })
  })

  test('whole answers pass as they came, and no count is negative', { timeout: TEN_MINUTES_MS }, async () => {
    await forEachCase(Math.ceil(CASE_COUNT / 3), (random) => {
      const { dialect, answers } = random.oneOf(SUBJECTS)
      const bytes = mutate(random.oneOf(answers), random)
      const tap = dialect.createTap(false, 'application/json', false)
      expect(passThrough(tap, splitBytes(bytes, random)).equals(bytes)).toBe(true)
      expectUsage(tap)
    })
  })

  test('streams pass as they came but for what is hidden, and no count is negative', {
    timeout: TEN_MINUTES_MS,
  }, async () => {
    await forEachCase(Math.ceil(CASE_COUNT / 3), (random) => {
      const { dialect, streams } = random.oneOf(SUBJECTS)
      const bytes = mutateStream(random.oneOf(streams), random)
      const hides = random.chance(0.3)
      const type = bytes[0] === 0x5b ? 'application/json' : 'text/event-stream'
      const tap = dialect.createTap(true, type, hides)
      const out = passThrough(tap, splitBytes(bytes, random))
      if (hides) expect(out.length).toBeLessThanOrEqual(bytes.length)
      else expect(out.equals(bytes)).toBe(true)
      expectUsage(tap)
    })
  })

  test('whatever is asked and answered, every reservation is settled', { timeout: TEN_MINUTES_MS }, async () => {
    const gateway = await useGateway({ env: { UPSTREAM_TIMEOUT_MS: '2000', MAX_IN_FLIGHT: '1000' } })
    let admitted = 0
    await forEachCase(CALL_COUNT, async (random) => {
      const subject = random.oneOf(SUBJECTS)
      const request = random.chance(0.5)
        ? random.oneOf(subject.requests)
        : mutate(random.oneOf(subject.requests), random)
      const leaving = new AbortController()
      const exchange = new WebExchange(
        new Request(`http://localhost${subject.path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: typeof request === 'string' ? request : new Uint8Array(request),
          signal: leaving.signal,
        }),
      )
      const sendInstead: Provider['send'] = (outgoing, listener) => {
        admitted++
        return sendToSimulated(subject, outgoing, listener, random)
      }
      const done = gateway.app.gate.call(exchange, subject.dialect, { sendInstead })
      const response = await exchange.response
      if (random.chance(0.1)) leaving.abort()
      await response.arrayBuffer().catch(() => {})
      await done
    })
    expect((await gateway.app.store.figures({ simulated: false })).open).toEqual({
      calls: 0,
      tokens: 0,
      costNanoUsd: 0n,
    })
    expect(await gateway.ledger.entries()).toHaveLength(admitted)
    expect(gateway.log.filter((line) => line.includes('failed in the gateway itself'))).toEqual([])
  })
})

function readOrRefuse(dialect: Dialect, body: Buffer, path: string) {
  try {
    return dialect.readRequest(body, lineTo(path))
  } catch (error) {
    if (error instanceof Problem && error.status < 500) return undefined
    throw error
  }
}

function expectCounts(ask: RequestFacts): void {
  for (const count of [ask.textBytes, ask.messages, ask.answers, ask.prompts, ask.predictionBytes, ask.images])
    expect(Number.isSafeInteger(count) && count >= 0).toBe(true)
  if (ask.outputCap !== null) expect(Number.isSafeInteger(ask.outputCap) && ask.outputCap >= 0).toBe(true)
}

/** What the provider will read in the body is what was read here, and after an edit what was put in. What is no JSON it refuses. */
function expectSameWords(
  dialect: Dialect,
  reading: ReturnType<Dialect['readRequest']>,
  body: Buffer,
  path: string,
): void {
  const theirs = membersOf(body)
  if (!theirs) return
  const edited = reading.edit({
    model: 'another',
    cap: { field: 'max_tokens', tokens: 77 },
    ...(reading.requestsUsage || !reading.facts.stream ? {} : { includeUsage: true }),
  })
  const after = membersOf(edited)
  // Google's model is in the path.
  const again = dialect.readRequest(edited, lineTo(path.replace('/m:', '/another:')))
  expect(after).toBeDefined()
  if (reading.facts.kind === 'generate' && reading.facts.outputCap === null) expect(again.facts.outputCap).toBe(77)
  if (dialect.name.startsWith('gemini')) return
  expect(theirs.model).toBe(reading.facts.model)
  if (reading.facts.kind === 'generate') expect(theirs.stream === true).toBe(reading.facts.stream)
  expect([after?.model, again.facts.model]).toEqual(['another', 'another'])
  if (reading.facts.kind === 'generate' && reading.facts.stream) expect(again.requestsUsage).toBe(true)
}

function membersOf(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}

function passThrough(tap: Tap, chunks: readonly Buffer[]): Buffer {
  const out = chunks.map((chunk) => tap.push(chunk))
  return Buffer.concat([...out, tap.end()])
}

function expectUsage(tap: Tap): void {
  const metered = tap.answerUsage()
  if (!metered) return
  for (const name of USAGE_CLASSES) {
    const units = unitsOf(metered.usage, name)
    expect(Number.isSafeInteger(units) && units >= 0, name).toBe(true)
  }
  expect(metered.reasoningTokens >= 0).toBe(true)
  expect(costOf(PRICE, metered.usage, metered.serviceTier).totalNanoUsd >= 0n).toBe(true)
}

/** An upstream that answers anything, in any status and type, and may break off, or hang until it is cut. */
function sendToSimulated(
  subject: Subject,
  outgoing: UpstreamRequest,
  listener: Parameters<typeof simulatedSend>[1],
  random: Random,
) {
  const text = random.oneOf(outgoing.stream ? subject.streams : subject.answers)
  const change = outgoing.stream ? mutateStream : mutate
  const bytes = random.chance(0.3) ? Buffer.from(text) : change(text, random)
  const status = random.chance(0.8) ? 200 : random.oneOf([201, 204, 301, 400, 401, 404, 429, 500, 503, 529])
  const type = random.oneOf(['application/json', 'text/event-stream', 'text/html', ''])
  const usual = outgoing.stream ? 'text/event-stream' : 'application/json'
  const encoding = random.chance(0.05) ? ['content-encoding', random.oneOf(['gzip', 'br', 'x'])] : []
  let over = false
  const step = (act: () => void) => setImmediate(() => over || act())
  const fail = (message: string) => {
    if (over) return
    over = true
    listener.failed(new Error(message))
  }
  step(() => {
    if (random.chance(0.05)) return fail('refused')
    listener.started()
    if (random.chance(0.05)) return fail('reset')
    listener.head(status, ['content-type', random.chance(0.8) ? usual : type, ...encoding])
    const chunks = splitBytes(bytes, random).slice(0, 50)
    const breaksAt = random.chance(0.1) ? random.between(0, chunks.length) : -1
    const next = (depth: number): unknown =>
      step(() => {
        const chunk = chunks[depth]
        if (depth === breaksAt) return fail('cut')
        if (chunk) {
          listener.data(chunk)
          return next(depth + 1)
        }
        over = true
        listener.end()
      })
    next(0)
  })
  return { pause() {}, resume() {}, abort: () => setImmediate(() => fail('aborted')) }
}

const { send: simulatedSend } = simulated()
