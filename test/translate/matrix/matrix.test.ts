// The matrix: every caller's SDK against every provider, for everything that can be asked, whole and streamed.

import { type GenerateContentResponse, GoogleGenerativeAI, SchemaType } from '@google/generative-ai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Entry } from '../../../src/core/ledger-entry.ts'
import { inputTokens, outputTokens } from '../../../src/core/usage.ts'
import { snakeCase } from '../../../src/http/views.ts'
import type { Gateway } from '../../support/server.ts'
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

/** What a feature is asked with. */
function optionsOf({ caller, out, what }: Cell): CallerOptions {
  const model = modelOf(out, what)
  const isGemini = caller.name === 'gemini'
  switch (what) {
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
        more: isGemini ? { responseMimeType: 'application/json' } : { response_format: { type: 'json_object' } },
      }
    case 'several':
      return { model, more: isGemini ? { candidateCount: 2 } : { n: 2 } }
    default:
      return { model }
  }
}

const turnOf = (what: Cell['what']): Turn => ({ text: QUESTION, ...(what === 'image' ? { image: IMAGE } : {}) })

/** What a client hears before the held half of a stream is sent. Gemini tells calls whole. */
function firstPieceKind({ caller, out, what }: Cell): PieceKind {
  if (what !== 'tools' && what !== 'parallel') return 'text'
  const isWhole = caller.name === 'gemini' || out === 'gemini'
  if (!isWhole) return 'arguments'
  // A call that is told whole cannot be told before it is.
  return what === 'parallel' && out !== 'compatible' ? 'call' : 'text'
}

interface StreamResult {
  readonly got: CallerAnswer
  /** Pieces of each kind. */
  readonly pieces: Readonly<Record<PieceKind, number>>
}

/** Asks with the end of the stream held back, until enough of the rest has been heard. */
async function readStream(cell: Cell): Promise<StreamResult> {
  const { upstreams, gateway } = fixture
  const released = Promise.withResolvers<void>()
  const timer = setTimeout(() => {
    upstreams.faults.push(`nothing of ${firstPieceKind(cell)} was heard before the end`)
    released.resolve()
  }, 3_000)
  upstreams.holdUntil = released.promise
  const pieces = { text: 0, thought: 0, call: 0, arguments: 0 }
  const awaited = firstPieceKind(cell)
  const hear: PieceListener = (kind) => {
    pieces[kind] += 1
    if (kind === awaited) released.resolve()
  }
  try {
    const got = await cell.caller.startConversation(gateway.url).streamed(turnOf(cell.what), optionsOf(cell), hear)
    return { got, pieces }
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

/** Who is asked in the caller's own dialect. */
const NATIVE: Readonly<Record<Cell['caller']['name'], readonly UpstreamName[]>> = {
  openai: ['openai', 'compatible', 'simulated'],
  anthropic: ['anthropic', 'simulated'],
  gemini: ['gemini', 'simulated'],
}

/** The ledger says what the caller was told, and of whom. */
async function expectSettled({ caller, out, what }: Cell, got: CallerAnswer, streaming: boolean): Promise<void> {
  const { callId, usage } = got
  const { gateway } = fixture
  await gateway.idle()
  const entry = await entryOf(callId)
  const requestedModel = modelOf(out, what)
  const model = out === 'simulated' ? requestedModel : requestedModel.replace(/^\w+\//, '')
  const provider = PROVIDERS[out]
  expect(entry.facts).toMatchObject({
    dialect: caller.dialect,
    provider,
    requestedModel,
    model,
    streaming,
    costKnown: true,
  })
  const isTranslated = !NATIVE[caller.name].includes(out)
  expect(got.headers.get('x-bursar-target')).toBe(isTranslated ? `${provider}/${model}` : null)
  expect(entry.outcome).toMatchObject({ ending: 'completed', certainty: 'exact' })
  if (!entry.outcome) throw new Error('it is not settled')
  const { usage: booked, reasoningTokens, cost } = entry.outcome
  const cached = booked.cacheRead
  const told = { input: inputTokens(booked), cached, output: outputTokens(booked), reasoning: reasoningTokens }
  expect(usage).toEqual(told)
  if (out === 'simulated') return
  expect(told).toMatchObject({
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
  if (!entry) throw new Error(`no entry of ${callId}`)
  return entry
}

const UNNAMED_OUTCOMES: ReadonlySet<string> = new Set(['ok', 'hidden'])

/** The answer is the one that the provider gave, and the request the one that the caller made. */
function expectAnswered({ caller, out, what, outcome }: Cell, got: CallerAnswer): void {
  const { upstreams } = fixture
  const calls = what === 'tools' || what === 'parallel' ? upstreams.calls : []
  expect(got.headers.get('x-bursar-dropped')).toBe(null)
  expect(got.stop).toBe(calls.length > 0 ? caller.stops.calls : caller.stops.end)
  expect(got.answers).toBe(what === 'several' ? 2 : 1)
  if (out === 'simulated') {
    expect(got.calls).toHaveLength(what === 'parallel' ? 2 : calls.length)
    if (what === 'schema') expect(JSON.parse(got.text)).toMatchObject({ city: expect.any(String), days: 1 })
    else if (what === 'text') expect(got.text).toContain(QUESTION)
    return
  }
  expect(got.calls.map(({ name, args }) => ({ name, args }))).toEqual(calls)
  expect(new Set(got.calls.map(({ id }) => id)).size).toBe(
    out === 'gemini' && caller.name === 'gemini' ? Math.min(1, calls.length) : calls.length,
  )
  expect(got.text).toBe(
    calls.length > 0 ? WORDS.looks : what === 'schema' || what === 'json' ? WORDS.json : WORDS.answer,
  )
  expect(got.thought).toBe(UNNAMED_OUTCOMES.has(outcome) ? '' : WORDS.thought)
  if (outcome === 'hidden' && out === 'openai') expect(got.usage.reasoning).toBe(REPORTED_USAGE.reasoning)
  const { images, schema, tools } = upstreams.lastRequest
  expect(tools).toEqual(calls.length > 0 ? TOOLS : [])
  expect(images.map((image) => String(image).replace(/^data:image\/png;base64,/, ''))).toEqual(
    what === 'image' ? [IMAGE] : [],
  )
  expect(schema).toEqual(what === 'schema' ? SCHEMA : undefined)
}

/** More than one piece of everything, but of what Gemini tells whole. */
function expectPieces({ caller, out, what }: Cell, { pieces, got }: StreamResult): void {
  if (got.text !== '') expect(pieces.text).toBeGreaterThan(1)
  if (got.thought !== '' && out !== 'gemini') expect(pieces.thought).toBeGreaterThan(1)
  if (what !== 'tools' && what !== 'parallel') return
  expect(pieces.call).toBe(got.calls.length)
  if (caller.name === 'gemini') expect(pieces.arguments).toBe(0)
  else if (out === 'gemini') expect(pieces.arguments).toBe(got.calls.length)
  else expect(pieces.arguments).toBeGreaterThan(got.calls.length)
}

/** Some of the answer was heard, then the SDK raised an error, and all that was reserved is booked. */
async function expectBroken(cell: Cell, gateway: Gateway, whole: string, model?: string): Promise<void> {
  let heard = ''
  const wish = { ...optionsOf(cell), ...(model === undefined ? {} : { model }) }
  const answer = cell.caller.startConversation(gateway.url).streamed(turnOf('text'), wish, (_, text) => {
    heard += text
  })
  expect((await errorRaisedBy(cell.caller, answer)).type).toBe(cell.outcome)
  expect(whole.startsWith(heard) && heard.length > 0 && heard !== whole).toBe(true)
  await gateway.idle()
  const [entry, ...others] = await gateway.app.store.entries({ limit: 10 })
  expect(others).toEqual([])
  expect(entry?.outcome).toMatchObject({ ending: 'failed', certainty: 'upperBound' })
  expect(entry?.outcome?.cost.totalNanoUsd).toBe(entry?.facts.reservedCostNanoUsd)
  expect(gateway.app.store.openTotals(false).calls).toBe(0)
}

/** What comes before the part of a stream that is held back. */
const piecesBeforeHold = ({ pieces }: Reply) =>
  pieces.slice(
    0,
    pieces.findIndex((piece) => typeof piece !== 'string'),
  )

const isFeature = (cell: Cell) => FEATURES.some((one) => one === cell.what)
const withCallerNames = (cells: readonly Cell[]) => cells.map((cell) => ({ ...cell, from: cell.caller.name, cell }))
const ANSWERED = CELLS.filter((cell) => isFeature(cell) && !/^[!.]/.test(cell.outcome))
const REFUSED = CELLS.filter((cell) => isFeature(cell) && cell.outcome.startsWith('!'))

describe('answered', () => {
  test.each(withCallerNames(ANSWERED))('$from > $out: $what, whole', async ({ cell }) => {
    const { upstreams, gateway } = fixture
    if (cell.what === 'parallel') upstreams.useTwoCalls()
    else upstreams.useOneCall()
    const got = await cell.caller.startConversation(gateway.url).whole(turnOf(cell.what), optionsOf(cell))
    expect(upstreams.faults.splice(0)).toEqual([])
    expectAnswered(cell, got)
    await expectSettled(cell, got, false)
  })

  test.each(withCallerNames(ANSWERED))('$from > $out: $what, streamed', async ({ cell }) => {
    const { upstreams } = fixture
    if (cell.what === 'parallel') upstreams.useTwoCalls()
    else upstreams.useOneCall()
    const heard = await readStream(cell)
    expect(upstreams.faults.splice(0)).toEqual([])
    expectAnswered(cell, heard.got)
    expectPieces(cell, heard)
    await expectSettled(cell, heard.got, true)
  })
})

describe('refused', () => {
  test.each(withCallerNames(REFUSED))('$from > $out: $what, for $outcome', async ({ cell }) => {
    const { upstreams, gateway } = fixture
    const before = upstreams.requests.length
    for (const how of ['whole', 'streamed'] as const) {
      const answer = cell.caller.startConversation(gateway.url)[how](turnOf(cell.what), optionsOf(cell), () => {})
      const { status, body } = await errorRaisedBy(cell.caller, answer)
      expect(status).toBe(400)
      expect(JSON.stringify(body)).toContain(`"${cell.outcome.slice(1)}"`)
    }
    expect([upstreams.requests.length, upstreams.faults.splice(0)]).toEqual([before, []])
  })
})

describe('a budget that is spent', () => {
  let poor: MatrixFixture
  beforeAll(async () => {
    poor = await startMatrixFixture({ settings: { MAX_COST_PER_REQUEST: '0.000001' } })
  })
  afterAll(() => poor[Symbol.asyncDispose]())

  test.each(withCallerNames(CELLS.filter(({ what }) => what === 'refusal')))(
    '$from > $out: $outcome',
    async ({ cell }) => {
      for (const how of ['whole', 'streamed'] as const) {
        const answer = cell.caller.startConversation(poor.gateway.url)[how](turnOf('text'), optionsOf(cell), () => {})
        const { type, status } = await errorRaisedBy(cell.caller, answer)
        expect({ type, status }).toEqual({ type: cell.outcome, status: 429 })
      }
      expect([poor.upstreams.requests, poor.upstreams.faults]).toEqual([[], []])
    },
  )
})

describe('a stream that breaks in the middle', () => {
  const broken = withCallerNames(CELLS.filter(({ what, out }) => what === 'broken' && out !== 'simulated'))

  test.each(broken)('$from > $out: an error event raises $outcome', async ({ cell }) => {
    await using extras = await startMatrixFixture()
    const { upstreams, gateway } = extras
    upstreams.reply = ({ usual, provider }) => ({
      ...usual,
      pieces: [...piecesBeforeHold(usual), UPSTREAM_ANSWERS[provider].errorEvent],
    })
    await expectBroken(cell, gateway, WORDS.answer)
    expect(upstreams.faults).toEqual([])
  })

  test.each(broken)('$from > $out: a cut raises $outcome', async ({ cell }) => {
    await using extras = await startMatrixFixture()
    const { upstreams, gateway } = extras
    upstreams.reply = ({ usual }) => ({ ...usual, pieces: piecesBeforeHold(usual), cut: true })
    await expectBroken(cell, gateway, WORDS.answer)
    expect(upstreams.faults).toEqual([])
  })

  test.each(withCallerNames(CELLS.filter(({ what, out }) => what === 'broken' && out === 'simulated')))(
    '$from > $out: $outcome',
    async ({ cell }) => {
      await using extras = await startMatrixFixture()
      await expectBroken(cell, extras.gateway, `You said: ${QUESTION}`, 'sim/cut')
    },
  )
})

describe.each(UPSTREAM_NAMES)('%s, asked as Gemini is', (out) => {
  const model = modelOf(out, 'tools')
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
    const text = out === 'simulated' ? `You said: ${QUESTION}` : WORDS.answer
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
    expect(parts.map(({ text }) => text).join('')).toBe(out === 'simulated' ? `You said: ${QUESTION}` : WORDS.answer)
    expect(events.length).toBeGreaterThan(2)
    expect(upstreams.faults.splice(0)).toEqual([])
  })
})

test('the table holds every caller against every provider', () => {
  expect(CELLS).toHaveLength(3 * UPSTREAM_NAMES.length * (FEATURES.length + FAILURES.length))
})
