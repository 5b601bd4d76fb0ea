// Runs for tests of patterns: on scripted answers, or on the simulated provider.

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

/** An answer: text, an object as JSON, parts, or what is thrown. */
export type ScriptedAnswer = string | JsonObject | readonly Part[] | Error
export type Script = (ask: ModelRequest, step: string, at: number) => ScriptedAnswer

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
  /** The budget ends before this ask, counted from 0. */
  readonly budgetAt?: number
  readonly maxSteps?: number
  readonly embed?: Embed
}

export function scriptedRun(script: Script, ends: TestRunOptions = {}): TestRun {
  let nowMs = NOW_MS
  const asked: ScriptedRequest[] = []
  const told: Step[] = []
  return {
    requests: asked,
    steps: told,
    clientGone: false,
    maxSteps: ends.maxSteps ?? 50,
    ...(ends.embed === undefined ? {} : { embed: ends.embed }),
    nowMs: () => nowMs++,
    isClientGone() {
      return this.clientGone
    },
    recordStep: (step) => told.push(step),
    async callModel(ask, step) {
      if (asked.length === ends.budgetAt) throw new RunStopped('budget', 'The budget is used up.')
      asked.push({ step, request: ask })
      const said = script(ask, step, asked.length - 1)
      if (said instanceof Error) throw said
      return answerOf(said)
    },
  }
}

function answerOf(said: Exclude<ScriptedAnswer, Error>): ModelResponse {
  const parts = isParts(said) ? said : [textPart(typeof said === 'string' ? said : JSON.stringify(said))]
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

function isParts(said: Exclude<ScriptedAnswer, Error>): said is readonly Part[] {
  return Array.isArray(said)
}

export function textPart(words: string): Part {
  return { kind: 'text', text: words }
}

export function toolCallPart(id: string, name: string, args: unknown): ToolCallPart {
  return { kind: 'toolCall', id, name, arguments: typeof args === 'string' ? args : JSON.stringify(args) }
}

export async function outcomeOf(pattern: Pattern, body: JsonObject, run: TestRun): Promise<Outcome> {
  return await pattern.read(body).execute(run)
}

/** The last thing an ask says. */
export function lastText(ask: ModelRequest | undefined): string {
  return textOf(ask?.messages.at(-1)?.parts ?? [])
}

/** A run on the simulated provider, asked as OpenAI's SDK would ask it. */
export function simulatedRun(model = 'sim/echo', ends: TestRunOptions = {}): TestRun {
  const run = scriptedRun(() => '', ends)
  run.callModel = async (ask, step) => {
    run.requests.push({ step, request: ask })
    const { choices, usage } = await simulateChat({ model, ...bodyOf(ask) })
    const { message } = choices[0] ?? {}
    const parts = [
      ...(message?.content ? [textPart(message.content)] : []),
      ...(message?.tool_calls ?? []).map((one) => toolCallPart(one.id, one.function.name, one.function.arguments)),
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
  const words = textOf(parts)
  const tool_calls = calls.map(({ id, name, arguments: args }) => ({
    id,
    type: 'function',
    function: { name, arguments: args },
  }))
  return [
    ...results.map(({ callId, parts }) => ({ role: 'tool', tool_call_id: callId, content: textOf(parts) })),
    ...(words === '' && calls.length === 0
      ? []
      : [{ role, content: words, ...(calls.length > 0 ? { tool_calls } : {}) }]),
  ]
}

/** What the simulated provider answers to a chat completion. */
export async function simulateChat(body: JsonObject): Promise<Completion> {
  return JSON.parse(await sendSimulated('openai.chat', '/chat/completions', body, String(body.model), false))
}

/** What the simulated provider sends, whole. */
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
 * Runs a pattern once for each ask at which its budget could end. Returns what came back each time: an outcome, or what was
 * thrown.
 */
export async function runWithEachBudget(
  pattern: Pattern,
  body: JsonObject,
  script: Script,
): Promise<(Outcome | Error)[]> {
  const whole = scriptedRun(script)
  await outcomeOf(pattern, body, whole)
  const ends = whole.requests.map((_, budgetAt) =>
    outcomeOf(pattern, body, scriptedRun(script, { budgetAt })).catch((error: Error) => error),
  )
  return await Promise.all(ends)
}

/** How they ended, in short: `thrown`, or what stopped them and after how many asks. */
export function endings(outcomes: readonly (Outcome | Error)[]): string[] {
  return outcomes.map((one) =>
    one instanceof Error
      ? `thrown: ${one instanceof RunStopped ? one.reason : one.message}`
      : `${one.stopped} after ${one.modelCalls}`,
  )
}
