// The matrix: every caller's SDK against every provider, in every scenario, whole and streamed.

import { type GenerateContentResponse, GoogleGenerativeAI, SchemaType } from '@google/generative-ai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { snakeCase } from '../../../src/core/json-values.ts'
import type { Entry } from '../../../src/core/ledger-entry.ts'
import { inputTokens, outputTokens } from '../../../src/core/usage.ts'
import type { Gateway } from '../../support/gateway.ts'
import type { CallerAnswer, CallerOptions, PieceKind, PieceListener, Turn } from './callers.ts'
import { errorRaisedBy, SCHEMA, TOOLS } from './callers.ts'
import { CELLS, type Cell, FAILURES, FEATURES, modelOf, UPSTREAM_NAMES, type UpstreamName } from './cells.ts'
import { REPORTED_USAGE, UPSTREAM_ANSWERS } from './upstream-answers.ts'
import { KEY, type MatrixFixture, type Reply, startMatrixFixture, WORDS } from './upstreams.ts'

const IMAGE = Buffer.from('\x89PNG\r\n\x1a\n of a sunny day', 'latin1').toString('base64')
const QUESTION = 'How is the weather in Köln?'

let fixture: MatrixFixture
beforeAll(async () => {
  fixture = await startMatrixFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** What the client asks for in a scenario. */
function optionsOf({ caller, upstream, scenario }: Cell): CallerOptions {
  const model = modelOf(upstream, scenario)
  const isGemini = caller.name === 'gemini'
  switch (scenario) {
    case 'tools':
    case 'parallel':
      return { model, tools: true }
    case 'schema':
      return { model, schema: true }
    case 'thought':
      return { model, thinks: true }
    case 'json':
      return {
        model,
        extraFields: isGemini ? { responseMimeType: 'application/json' } : { response_format: { type: 'json_object' } },
      }
    case 'several':
      return { model, extraFields: isGemini ? { candidateCount: 2 } : { n: 2 } }
    default:
      return { model }
  }
}

const turnOf = (scenario: Cell['scenario']): Turn => ({
  text: QUESTION,
  ...(scenario === 'image' ? { image: IMAGE } : {}),
})

/** The kind of piece that reaches the client before the held half of a stream. Gemini sends calls whole. */
function firstPieceKind({ caller, upstream, scenario }: Cell): PieceKind {
  if (scenario !== 'tools' && scenario !== 'parallel') return 'text'
  const isWhole = caller.name === 'gemini' || upstream === 'gemini'
  if (!isWhole) return 'arguments'
  // A call that is sent whole has to wait for its last piece.
  return scenario === 'parallel' && upstream !== 'compatible' ? 'call' : 'text'
}

interface StreamResult {
  readonly answer: CallerAnswer
  /** The number of pieces of each kind. */
  readonly pieces: Readonly<Record<PieceKind, number>>
}

/** More than a piece takes on a busy machine. */
const MAX_HOLD_MS = 10_000

/** Reads a stream whose end is held back until the first half has reached the client. */
async function readStream(cell: Cell): Promise<StreamResult> {
  const { upstreams, gateway } = fixture
  const released = Promise.withResolvers<void>()
  // Real time, as in waiting.ts: what is missing shows in nothing else.
  const timer = setTimeout(() => {
    upstreams.faults.push(`nothing of ${firstPieceKind(cell)} arrived before the end`)
    released.resolve()
  }, MAX_HOLD_MS)
  upstreams.holdUntil = released.promise
  const pieces = { text: 0, thought: 0, call: 0, arguments: 0 }
  const awaitedKind = firstPieceKind(cell)
  const listener: PieceListener = (kind) => {
    pieces[kind] += 1
    if (kind === awaitedKind) released.resolve()
  }
  try {
    const answer = await cell.caller
      .startConversation(gateway.url)
      .streamed(turnOf(cell.scenario), optionsOf(cell), listener)
    return { answer, pieces }
  } finally {
    clearTimeout(timer)
    released.resolve()
    upstreams.holdUntil = Promise.resolve()
  }
}

const PROVIDERS: Readonly<Record<UpstreamName, string>> = {
  openai: 'openai',
  anthropic: 'anthropic',
  gemini: 'gemini',
  compatible: 'local',
  simulated: 'simulated',
}

/** The upstreams that speak the caller's own dialect. */
const NATIVE: Readonly<Record<Cell['caller']['name'], readonly UpstreamName[]>> = {
  openai: ['openai', 'compatible', 'simulated'],
  anthropic: ['anthropic', 'simulated'],
  gemini: ['gemini', 'simulated'],
}

/** The ledger holds the usage that the caller received, and the target. */
async function expectSettled(
  { caller, upstream, scenario }: Cell,
  answer: CallerAnswer,
  streaming: boolean,
): Promise<void> {
  const { callId, usage } = answer
  const { gateway } = fixture
  await gateway.idle()
  const entry = await entryOf(callId)
  const requestedModel = modelOf(upstream, scenario)
  const model = upstream === 'simulated' ? requestedModel : requestedModel.replace(/^\w+\//, '')
  const provider = PROVIDERS[upstream]
  expect(entry.facts).toMatchObject({
    dialect: caller.dialect,
    provider,
    requestedModel,
    model,
    streaming,
    costKnown: true,
  })
  const isTranslated = !NATIVE[caller.name].includes(upstream)
  expect(answer.headers.get('x-bursar-target')).toBe(isTranslated ? `${provider}/${model}` : null)
  expect(entry.outcome).toMatchObject({ ending: 'completed', certainty: 'exact' })
  if (!entry.outcome) throw new Error('the call is not settled')
  const { usage: settledUsage, reasoningTokens, cost } = entry.outcome
  const cached = settledUsage.cacheRead
  const settled = {
    input: inputTokens(settledUsage),
    cached,
    output: outputTokens(settledUsage),
    reasoning: reasoningTokens,
  }
  expect(usage).toEqual(settled)
  if (upstream === 'simulated') return
  expect(settled).toMatchObject({
    input: REPORTED_USAGE.input + REPORTED_USAGE.cached,
    cached: REPORTED_USAGE.cached,
    output: REPORTED_USAGE.output,
  })
  expect(cost.totalNanoUsd).toBeGreaterThan(0n)
  expect(cost.totalNanoUsd).toBeLessThanOrEqual(entry.facts.reservedCostNanoUsd)
  const headers = { authorization: `Bearer ${KEY}` }
  const explained = await (await fetch(`${gateway.url}/llm/explain/${callId}`, { headers })).json()
  expect(explained).toMatchObject({ dialect: snakeCase(caller.dialect), provider, certainty: 'exact' })
  expect(explained.tokens).toEqual({
    total: usage.input + usage.output,
    input: usage.input,
    output: usage.output,
    reasoning: usage.reasoning,
  })
}

async function entryOf(callId: string): Promise<Entry> {
  const entry = await fixture.gateway.app.store.entry(callId)
  if (!entry) throw new Error(`the ledger holds no entry of ${callId}`)
  return entry
}

const UNNAMED_OUTCOMES: ReadonlySet<string> = new Set(['ok', 'hidden'])

/** The client receives what the provider says, and the provider receives what the client asks. */
function expectAnswered({ caller, upstream, scenario, outcome }: Cell, answer: CallerAnswer): void {
  const { upstreams } = fixture
  const calls = scenario === 'tools' || scenario === 'parallel' ? upstreams.calls : []
  expect(answer.headers.get('x-bursar-dropped')).toBe(null)
  expect(answer.stop).toBe(calls.length > 0 ? caller.stops.calls : caller.stops.end)
  expect(answer.answers).toBe(scenario === 'several' ? 2 : 1)
  if (upstream === 'simulated') {
    expect(answer.calls).toHaveLength(scenario === 'parallel' ? 2 : calls.length)
    if (scenario === 'schema') expect(JSON.parse(answer.text)).toMatchObject({ city: expect.any(String), days: 1 })
    else if (scenario === 'text') expect(answer.text).toContain(QUESTION)
    return
  }
  expect(answer.calls.map(({ name, args }) => ({ name, args }))).toEqual(calls)
  expect(new Set(answer.calls.map(({ id }) => id)).size).toBe(
    upstream === 'gemini' && caller.name === 'gemini' ? Math.min(1, calls.length) : calls.length,
  )
  expect(answer.text).toBe(
    calls.length > 0 ? WORDS.looks : scenario === 'schema' || scenario === 'json' ? WORDS.json : WORDS.answer,
  )
  expect(answer.thought).toBe(UNNAMED_OUTCOMES.has(outcome) ? '' : WORDS.thought)
  if (outcome === 'hidden' && upstream === 'openai') expect(answer.usage.reasoning).toBe(REPORTED_USAGE.reasoning)
  const { images, schema, tools } = upstreams.lastRequest
  expect(tools).toEqual(calls.length > 0 ? TOOLS : [])
  expect(images.map((image) => String(image).replace(/^data:image\/png;base64,/, ''))).toEqual(
    scenario === 'image' ? [IMAGE] : [],
  )
  expect(schema).toEqual(scenario === 'schema' ? SCHEMA : undefined)
}

/** Everything arrives in several pieces, except what Gemini sends whole. */
function expectPieces({ caller, upstream, scenario }: Cell, { pieces, answer }: StreamResult): void {
  if (answer.text !== '') expect(pieces.text).toBeGreaterThan(1)
  if (answer.thought !== '' && upstream !== 'gemini') expect(pieces.thought).toBeGreaterThan(1)
  if (scenario !== 'tools' && scenario !== 'parallel') return
  expect(pieces.call).toBe(answer.calls.length)
  if (caller.name === 'gemini') expect(pieces.arguments).toBe(0)
  else if (upstream === 'gemini') expect(pieces.arguments).toBe(answer.calls.length)
  else expect(pieces.arguments).toBeGreaterThan(answer.calls.length)
}

/** The client receives a part of the response, the SDK raises an error, and the full reservation is settled. */
async function expectBroken(cell: Cell, gateway: Gateway, whole: string, model?: string): Promise<void> {
  let received = ''
  const options = { ...optionsOf(cell), ...(model === undefined ? {} : { model }) }
  const answer = cell.caller.startConversation(gateway.url).streamed(turnOf('text'), options, (_, text) => {
    received += text
  })
  expect((await errorRaisedBy(cell.caller, answer)).type).toBe(cell.outcome)
  expect(whole.startsWith(received) && received.length > 0 && received !== whole).toBe(true)
  await gateway.idle()
  const [entry, ...others] = await gateway.app.store.entries({ limit: 10 })
  expect(others).toEqual([])
  expect(entry?.outcome).toMatchObject({ ending: 'failed', certainty: 'upperBound' })
  expect(entry?.outcome?.cost.totalNanoUsd).toBe(entry?.facts.reservedCostNanoUsd)
  expect((await gateway.app.store.figures({ simulated: false })).open.calls).toBe(0)
}

/** The pieces before the held part of a stream. */
const piecesBeforeHold = ({ pieces }: Reply) =>
  pieces.slice(
    0,
    pieces.findIndex((piece) => typeof piece !== 'string'),
  )

const isFeature = (cell: Cell) => FEATURES.some((feature) => feature === cell.scenario)
const withCallerNames = (cells: readonly Cell[]) => cells.map((cell) => ({ ...cell, from: cell.caller.name, cell }))
const ANSWERED = CELLS.filter((cell) => isFeature(cell) && !/^[!.]/.test(cell.outcome))
const REFUSED = CELLS.filter((cell) => isFeature(cell) && cell.outcome.startsWith('!'))

describe('an accepted request', () => {
  test.each(withCallerNames(ANSWERED))('$from > $upstream: $scenario, whole', async ({ cell }) => {
    const { upstreams, gateway } = fixture
    if (cell.scenario === 'parallel') upstreams.useTwoCalls()
    else upstreams.useOneCall()
    const answer = await cell.caller.startConversation(gateway.url).whole(turnOf(cell.scenario), optionsOf(cell))
    expect(upstreams.faults.splice(0)).toEqual([])
    expectAnswered(cell, answer)
    await expectSettled(cell, answer, false)
  })

  test.each(withCallerNames(ANSWERED))('$from > $upstream: $scenario, streamed', async ({ cell }) => {
    const { upstreams } = fixture
    if (cell.scenario === 'parallel') upstreams.useTwoCalls()
    else upstreams.useOneCall()
    const result = await readStream(cell)
    expect(upstreams.faults.splice(0)).toEqual([])
    expectAnswered(cell, result.answer)
    expectPieces(cell, result)
    await expectSettled(cell, result.answer, true)
  })
})

describe('a refused request', () => {
  test.each(withCallerNames(REFUSED))('$from > $upstream: $scenario, for $outcome', async ({ cell }) => {
    const { upstreams, gateway } = fixture
    const before = upstreams.requests.length
    for (const delivery of ['whole', 'streamed'] as const) {
      const answer = cell.caller
        .startConversation(gateway.url)
        [delivery](turnOf(cell.scenario), optionsOf(cell), () => {})
      const { status, body } = await errorRaisedBy(cell.caller, answer)
      expect(status).toBe(400)
      expect(JSON.stringify(body)).toContain(`"${cell.outcome.slice(1)}"`)
    }
    expect([upstreams.requests.length, upstreams.faults.splice(0)]).toEqual([before, []])
  })
})

describe('a call over the spending limit', () => {
  let budgetFixture: MatrixFixture
  beforeAll(async () => {
    budgetFixture = await startMatrixFixture({ env: { MAX_COST_PER_REQUEST: '0.000001' } })
  })
  afterAll(() => budgetFixture[Symbol.asyncDispose]())

  test.each(withCallerNames(CELLS.filter(({ scenario }) => scenario === 'refusal')))(
    '$from > $upstream: $outcome',
    async ({ cell }) => {
      for (const delivery of ['whole', 'streamed'] as const) {
        const answer = cell.caller
          .startConversation(budgetFixture.gateway.url)
          [delivery](turnOf('text'), optionsOf(cell), () => {})
        const { type, status } = await errorRaisedBy(cell.caller, answer)
        expect({ type, status }).toEqual({ type: cell.outcome, status: 429 })
      }
      expect([budgetFixture.upstreams.requests, budgetFixture.upstreams.faults]).toEqual([[], []])
    },
  )
})

describe('a stream that breaks in the middle', () => {
  const broken = withCallerNames(
    CELLS.filter(({ scenario, upstream }) => scenario === 'broken' && upstream !== 'simulated'),
  )

  test.each(broken)('$from > $upstream: an error event raises $outcome', async ({ cell }) => {
    await using fixture = await startMatrixFixture()
    const { upstreams, gateway } = fixture
    upstreams.reply = ({ defaultReply, provider }) => ({
      ...defaultReply,
      pieces: [...piecesBeforeHold(defaultReply), UPSTREAM_ANSWERS[provider].errorEvent],
    })
    await expectBroken(cell, gateway, WORDS.answer)
    expect(upstreams.faults).toEqual([])
  })

  test.each(broken)('$from > $upstream: a cut raises $outcome', async ({ cell }) => {
    await using fixture = await startMatrixFixture()
    const { upstreams, gateway } = fixture
    upstreams.reply = ({ defaultReply }) => ({ ...defaultReply, pieces: piecesBeforeHold(defaultReply), cut: true })
    await expectBroken(cell, gateway, WORDS.answer)
    expect(upstreams.faults).toEqual([])
  })

  test.each(
    withCallerNames(CELLS.filter(({ scenario, upstream }) => scenario === 'broken' && upstream === 'simulated')),
  )('$from > $upstream: $outcome', async ({ cell }) => {
    await using fixture = await startMatrixFixture()
    await expectBroken(cell, fixture.gateway, `You said: ${QUESTION}`, 'sim/cut')
  })
})

describe.each(UPSTREAM_NAMES)('%s, through the API of Gemini', (upstream) => {
  const model = modelOf(upstream, 'tools')
  const question = { contents: [{ role: 'user', parts: [{ text: QUESTION }] }] }

  test("through Google's older SDK, calls tools and answers", async () => {
    const { upstreams, gateway } = fixture
    upstreams.useOneCall()
    const parameters = { type: SchemaType.OBJECT, properties: { city: { type: SchemaType.STRING } } } as const
    const older = new GoogleGenerativeAI(KEY).getGenerativeModel({ model: `models/${model}` }, { baseUrl: gateway.url })
    const tools = [{ functionDeclarations: [{ name: 'weather', description: 'The weather.', parameters }] }]
    const whole = (await older.generateContent({ ...question, tools })).response
    const stream = await older.generateContentStream({ ...question, tools })
    for (const answer of [whole, await stream.response])
      expect(answer.functionCalls()?.map(({ name }) => name)).toEqual(['weather'])
    const text = upstream === 'simulated' ? `You said: ${QUESTION}` : WORDS.answer
    expect((await older.generateContent(question)).response.text()).toBe(text)
    expect((await (await older.generateContentStream(question)).response).text()).toBe(text)
    expect(upstreams.faults.splice(0)).toEqual([])
  })

  test('without an SDK, streams a JSON array', async () => {
    const { upstreams, gateway } = fixture
    const response = await fetch(`${gateway.url}/v1beta/models/${encodeURIComponent(model)}:streamGenerateContent`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-goog-api-key': KEY },
      body: JSON.stringify(question),
    })
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    const events: GenerateContentResponse[] = await response.json()
    const parts = events.flatMap(({ candidates }) => candidates?.[0]?.content.parts ?? [])
    expect(parts.map(({ text }) => text).join('')).toBe(
      upstream === 'simulated' ? `You said: ${QUESTION}` : WORDS.answer,
    )
    expect(events.length).toBeGreaterThan(2)
    expect(upstreams.faults.splice(0)).toEqual([])
  })
})

test('the table has a cell for every caller, upstream and scenario', () => {
  expect(CELLS).toHaveLength(3 * UPSTREAM_NAMES.length * (FEATURES.length + FAILURES.length))
})
