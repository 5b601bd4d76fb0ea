// Runs of patterns in tests: a request for each pattern, models that follow a script, and readers of answers and events.

import { setImmediate as turn } from 'node:timers/promises'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { totalTokens } from '../../src/core/usage.ts'
import { nanoUsd } from '../call/settlement-checks.ts'
import type { Transport } from '../support/client-and-ledger.ts'
import type { ManualClock } from '../support/clocks.ts'
import type { GatewayFixture } from '../support/gateway.ts'
import type { ProviderRequest, ProviderScript } from '../support/provider.ts'

export const PATTERN_NAMES = ['reflection', 'planning', 'tool-use', 'rag', 'metacognition'] as const
export type PatternName = (typeof PATTERN_NAMES)[number]

/** On the simulated provider each pattern but `rag` makes more than one model request. */
export const REQUESTS: Readonly<Record<PatternName, object>> = {
  reflection: { initial_output: 'Bursar is a gate.', criteria: { clarity: 'It is clear.', depth: 'It says why.' } },
  planning: { goal: 'Write three sentences about rivers.' },
  'tool-use': { task: 'What is (2 + 3) * 4?' },
  rag: {
    question: 'Where is the bridge?',
    documents: [
      { id: 'a', text: 'The bridge is in Bonn.' },
      { id: 'b', text: 'Cats sleep.' },
    ],
  },
  metacognition: { problem: 'How many primes are below 20?' },
}

export interface StepJson {
  readonly number: number
  readonly name: string
  readonly kind: string
  readonly asked: string
  readonly answered: string
  readonly failed?: string
  readonly tokens?: { readonly input: number; readonly output: number }
  readonly cost_usd?: number
  readonly duration_ms: number
  readonly call_id?: string
}

export interface RunJson {
  readonly pattern: string
  readonly task: string
  readonly model: string
  readonly result: Readonly<Record<string, unknown>>
  readonly stopped: string | null
  readonly stopped_because?: string
  readonly steps: readonly StepJson[]
  readonly usage: {
    readonly requests: number
    readonly input_tokens: number
    readonly output_tokens: number
    readonly total_tokens: number
  }
  readonly cost_usd: number
  readonly limits: Readonly<Record<string, unknown>>
  readonly simulated: boolean
}

export interface ErrorJson {
  readonly code: string
  readonly message: string
  readonly param: string | null
  readonly stopped?: string
  readonly task?: string
  readonly details?: Readonly<Record<string, unknown>>
}

/** The answer to a run: either `run` or `error` is defined. */
export interface PatternResponse {
  readonly status: number
  readonly headers: Headers
  readonly run: RunJson | undefined
  readonly error: ErrorJson | undefined
  /** The steps of an answer that is a stream of events. */
  readonly streamedSteps: readonly StepJson[]
}

export interface RunRequestInit extends RequestInit {
  readonly transport?: Transport
  readonly query?: string
}

/** Starts a run; resolves once its answer has begun. */
export function startRun(
  gateway: GatewayFixture,
  name: PatternName,
  fields: object = {},
  start: RunRequestInit = {},
): Promise<Response> {
  const { transport = 'in process', query = '', ...init } = start
  const body = JSON.stringify({ ...REQUESTS[name], ...fields })
  const headers = { 'content-type': 'application/json', ...init.headers }
  return gateway.client.fetch(transport, `/api/patterns/${name}${query}`, { method: 'POST', body, ...init, headers })
}

/** A run from its start to its end. */
export async function runPattern(
  gateway: GatewayFixture,
  name: PatternName,
  fields: object = {},
  start: RunRequestInit = {},
): Promise<PatternResponse> {
  return readResponse(await startRun(gateway, name, fields, start))
}

export async function readResponse(answer: Response): Promise<PatternResponse> {
  const { status, headers } = answer
  if (headers.get('content-type') !== 'text/event-stream') {
    const body = (await answer.json()) as RunJson & { readonly error?: ErrorJson }
    return { status, headers, run: body.error ? undefined : body, error: body.error, streamedSteps: [] }
  }
  const events = eventsIn(await answer.text())
  const [last] = events.splice(-1)
  if (events.some(({ event }) => event !== 'step')) throw new Error('something came after the last event')
  return {
    status,
    headers,
    run: last?.event === 'result' ? (last.data as RunJson) : undefined,
    error: last?.event === 'error' ? (last.data as { readonly error: ErrorJson }).error : undefined,
    streamedSteps: events.map(({ data }) => data as StepJson),
  }
}

function eventsIn(text: string) {
  if (!text.endsWith('\n\n')) throw new Error('the last event is not whole')
  return text
    .slice(0, -2)
    .split('\n\n')
    .map((event) => {
      const [, name = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? []
      return { event: name, data: JSON.parse(data) as unknown }
    })
}

/** The run of an answer. Throws if the answer is an error. */
export function completedRun({ run, error }: PatternResponse): RunJson {
  if (!run) throw new Error(`refused: ${JSON.stringify(error)}`)
  return run
}

export function errorOf({ run, error }: PatternResponse): ErrorJson {
  if (!error) throw new Error(`not refused: ${JSON.stringify(run)}`)
  return error
}

/** What stopped the run, or `whole`. */
export const kindOf = ({ run, error }: PatternResponse): string => run?.stopped ?? error?.stopped ?? 'whole'

/** All of a task's entries, the oldest first. */
export async function entriesOf(gateway: GatewayFixture, task: string): Promise<readonly Entry[]> {
  const entries = await gateway.ledger.holds(0)
  return entries
    .filter(({ facts }) => facts.caller.task === task)
    .toSorted((left, right) => (left.facts.callId < right.facts.callId ? -1 : 1))
}

export const costOf = (entries: readonly Entry[]): bigint =>
  entries.reduce((sum, { outcome }) => sum + (outcome?.cost.totalNanoUsd ?? 0n), 0n)

/** What the answer of a run says that it used, and what the ledger holds for its task. */
export async function runAndLedgerSums(gateway: GatewayFixture, { task, usage, cost_usd }: RunJson) {
  const entries = await entriesOf(gateway, task)
  const tokens = entries.reduce((sum, { outcome }) => sum + (outcome ? totalTokens(outcome.usage) : 0), 0)
  return {
    reported: { requests: usage.requests, tokens: usage.total_tokens, costNanoUsd: nanoUsd(cost_usd) },
    settled: { requests: entries.length, tokens, costNanoUsd: costOf(entries) },
  }
}

/** The name of the schema that the model has to answer in, or `words`. */
export function shapeIn({ body }: ProviderRequest): string {
  return /"json_schema":\{"name":"(\w+)"/.exec(body)?.[1] ?? 'words'
}

type ScriptedAnswer =
  | string
  | { readonly [field: string]: unknown }
  | { readonly calls: readonly [name: string, args: string][] }

/** A model of OpenAI's that answers by a script. @param at how many requests came before */
export function openaiModel(
  script: (call: ProviderRequest, index: number) => ScriptedAnswer | ProviderScript,
): ProviderScript {
  let index = 0
  return (call) => {
    const scripted = script(call, index++)
    if (typeof scripted === 'function') return scripted(call)
    const calls = typeof scripted === 'object' && Array.isArray(scripted.calls) ? scripted.calls : undefined
    const content = calls ? null : typeof scripted === 'string' ? scripted : JSON.stringify(scripted)
    const tool_calls = calls?.map(([name, args], place) => ({
      id: `call_${index}_${place}`,
      type: 'function',
      function: { name, arguments: args },
    }))
    const message = { role: 'assistant', content, ...(tool_calls ? { tool_calls } : {}) }
    const choices = [{ index: 0, message, finish_reason: calls ? 'tool_calls' : 'stop' }]
    const usage = { prompt_tokens: 20, completion_tokens: 10, total_tokens: 30 }
    const text = JSON.stringify({ id: 'c', object: 'chat.completion', created: 0, model: 'm', choices, usage })
    call.response.writeHead(200, { 'content-type': 'application/json' }).end(text)
  }
}

/** The first answer of a model to `metacognition`, and the ones after it. */
const METACOGNITION_ANSWERS = [
  { reasoning: 'So.', answer: '8', confidence: 0.9 },
  { gaps: [], choice: 'answer', question: '', why: '', confidence: 0.9 },
]
export const metacognitionModel = () => openaiModel((_, index) => METACOGNITION_ANSWERS[Math.min(index, 1)] ?? {})

/** A model that answers this many requests by `script` at once, and the others once they are released. */
export function heldModel(script: ProviderScript, answeredAtOnce: number) {
  const held: ProviderRequest[] = []
  let received = 0
  return {
    respond: (call: ProviderRequest) => (received++ < answeredAtOnce ? script(call) : void held.push(call)),
    release: () => {
      for (const call of held.splice(0)) void script(call)
    },
  }
}

/** A model that scores low and revises, forever. */
export const endlessReviser = () =>
  openaiModel((call, index) => {
    if (shapeIn(call).startsWith('revise')) return { revised_text: `Version ${index}.` }
    const score = { critique: 'More.', score: Math.min(7, index / 10) }
    return { c1: score, c2: score }
  })

/** Turns of the event loop without a call after which a run can only be waiting for time to pass. */
const IDLE_TURNS = 25
const TIME_STEP_MS = 250

/** Lets time pass until `running` has ended, but none while a call is in flight. Needs the clock as timers, too. */
export async function passTime<Result>(
  gateway: GatewayFixture,
  clock: ManualClock,
  running: Promise<Result>,
): Promise<Result> {
  let isOver = false
  const end = () => {
    isOver = true
  }
  running.then(end, end)
  for (let idleTurns = 0; !isOver; await turn()) {
    idleTurns = gateway.app.gate.inFlight === 0 ? idleTurns + 1 : 0
    if (idleTurns < IDLE_TURNS) continue
    idleTurns = 0
    clock.advance(TIME_STEP_MS)
  }
  return running
}
