// Runs: hosts for tests of patterns, with scripted answers or with the simulated provider.

import type { ChatMessage, JsonObject, Part, ToolCallPart } from '../../src/core/chat.ts'
import type {
  Embed,
  ModelRequest,
  ModelResponse,
  Outcome,
  Pattern,
  Run,
  Step,
} from '../../src/patterns/pattern/pattern.ts'
import { RunStopped, textOf } from '../../src/patterns/pattern/pattern.ts'
import { simulated } from '../../src/providers/simulated/provider.ts'

export const NOW_MS = Date.UTC(2026, 10, 22, 12)

/** What the model says: a text, an object as JSON, parts, or an error that the call rejects with. */
export type ScriptedAnswer = string | JsonObject | readonly Part[] | Error
export type Script = (request: ModelRequest, step: string, index: number) => ScriptedAnswer

export interface ScriptedRequest {
  readonly step: string
  readonly request: ModelRequest
}

export interface TestRun extends Run {
  callModel: Run['callModel']
  readonly requests: ScriptedRequest[]
  readonly steps: Step[]
  clientGone: boolean
}

export interface TestRunOptions {
  /** The budget ends before the call with this index, from 0. */
  readonly budgetAt?: number
  readonly maxSteps?: number
  readonly embed?: Embed
}

export function scriptedRun(script: Script, options: TestRunOptions = {}): TestRun {
  let nowMs = NOW_MS
  const requests: ScriptedRequest[] = []
  const expected: Step[] = []
  return {
    requests,
    steps: expected,
    clientGone: false,
    maxSteps: options.maxSteps ?? 50,
    ...(options.embed === undefined ? {} : { embed: options.embed }),
    nowMs: () => nowMs++,
    isClientGone() {
      return this.clientGone
    },
    recordStep: (step) => expected.push(step),
    async callModel(request, step) {
      if (requests.length === options.budgetAt) throw new RunStopped('budget', 'The budget is used up.')
      requests.push({ step, request })
      const text = script(request, step, requests.length - 1)
      if (text instanceof Error) throw text
      return answerOf(text)
    },
  }
}

function answerOf(text: Exclude<ScriptedAnswer, Error>): ModelResponse {
  const parts = isParts(text) ? text : [textPart(typeof text === 'string' ? text : JSON.stringify(text))]
  const calls = parts.some(({ kind }) => kind === 'toolCall')
  return {
    parts,
    stop: calls ? 'toolCalls' : 'end',
    text: textOf(parts),
    tokens: { input: 10, output: 5 },
    costNanoUsd: 7n,
    model: 'm',
    callId: 'c',
    simulated: false,
  }
}

function isParts(text: Exclude<ScriptedAnswer, Error>): text is readonly Part[] {
  return Array.isArray(text)
}

export function textPart(text: string): Part {
  return { kind: 'text', text }
}

export function toolCallPart(id: string, name: string, args: unknown): ToolCallPart {
  return { kind: 'toolCall', id, name, arguments: typeof args === 'string' ? args : JSON.stringify(args) }
}

export async function outcomeOf(pattern: Pattern, body: JsonObject, run: TestRun): Promise<Outcome> {
  return await pattern.read(body).execute(run)
}

/** The text of a request's last message. */
export function lastText(request: ModelRequest | undefined): string {
  return textOf(request?.messages.at(-1)?.parts ?? [])
}

/** A run on the simulated provider, through OpenAI's dialect. */
export function simulatedRun(model = 'sim/echo', options: TestRunOptions = {}): TestRun {
  const run = scriptedRun(() => '', options)
  run.callModel = async (request, step) => {
    run.requests.push({ step, request })
    const { choices, usage } = await simulateChat({ model, ...bodyOf(request) })
    const { message } = choices[0] ?? {}
    const parts = [
      ...(message?.content ? [textPart(message.content)] : []),
      ...(message?.tool_calls ?? []).map((call) => toolCallPart(call.id, call.function.name, call.function.arguments)),
    ]
    return {
      ...answerOf(parts),
      tokens: { input: usage.prompt_tokens, output: usage.completion_tokens },
      model,
      simulated: true,
    }
  }
  return run
}

interface Completion {
  readonly choices: readonly {
    readonly message: {
      readonly content: string | null
      readonly tool_calls?: readonly {
        readonly id: string
        readonly function: { readonly name: string; readonly arguments: string }
      }[]
    }
  }[]
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number }
}

function bodyOf({ system, messages, tools, toolChoice, format }: ModelRequest): JsonObject {
  return {
    messages: [
      ...(system === undefined ? [] : [{ role: 'system', content: system }]),
      ...messages.flatMap(openaiMessages),
    ],
    ...(tools === undefined
      ? {}
      : { tools: tools.map(({ name, schema }) => ({ type: 'function', function: { name, parameters: schema } })) }),
    ...(toolChoice === undefined ? {} : { tool_choice: toolChoice.kind }),
    ...(format?.kind === 'schema'
      ? { response_format: { type: 'json_schema', json_schema: { name: format.name, schema: format.schema } } }
      : {}),
  }
}

function openaiMessages({ role, parts }: ChatMessage): JsonObject[] {
  const results = parts.filter((part) => part.kind === 'toolResult')
  const calls = parts.filter((part) => part.kind === 'toolCall')
  const text = textOf(parts)
  const tool_calls = calls.map(({ id, name, arguments: args }) => ({
    id,
    type: 'function',
    function: { name, arguments: args },
  }))
  return [
    ...results.map(({ callId, parts }) => ({ role: 'tool', tool_call_id: callId, content: textOf(parts) })),
    ...(text === '' && calls.length === 0
      ? []
      : [{ role, content: text, ...(calls.length > 0 ? { tool_calls } : {}) }]),
  ]
}

/** The simulated provider's response to a chat completion. */
export async function simulateChat(body: JsonObject): Promise<Completion> {
  return JSON.parse(await sendSimulated('openai.chat', '/chat/completions', body, String(body.model), false))
}

/** All that the simulated provider sends. */
export async function sendSimulated(dialect: string, path: string, body: JsonObject, model: string, stream: boolean) {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const chunks: Buffer[] = []
  const outgoing = {
    dialect,
    path,
    headers: [],
    callerKey: undefined,
    body: Buffer.from(JSON.stringify(body)),
    model,
    stream,
    needsPlainAnswer: false,
  }
  simulated().send(outgoing, {
    started: () => {},
    head: () => {},
    data: (chunk) => chunks.push(chunk),
    end: () => resolve(Buffer.concat(chunks).toString()),
    failed: reject,
  })
  return await promise
}

/**
 * Runs a pattern once for each call before which its budget could end. Returns the outcome or the error of each run.
 */
export async function runWithEachBudget(
  pattern: Pattern,
  body: JsonObject,
  script: Script,
): Promise<(Outcome | Error)[]> {
  const whole = scriptedRun(script)
  await outcomeOf(pattern, body, whole)
  const outcomes = whole.requests.map((_, budgetAt) =>
    outcomeOf(pattern, body, scriptedRun(script, { budgetAt })).catch((error: Error) => error),
  )
  return await Promise.all(outcomes)
}

/** A summary of how runs ended: `thrown`, or the reason and the number of calls. */
export function endings(outcomes: readonly (Outcome | Error)[]): string[] {
  return outcomes.map((outcome) =>
    outcome instanceof Error
      ? `thrown: ${outcome instanceof RunStopped ? outcome.reason : outcome.message}`
      : `${outcome.stopped} after ${outcome.modelCalls}`,
  )
}
