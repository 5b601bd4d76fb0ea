// Agentic patterns: POST /api/patterns/{name}. The request itself is no call; each of its asks is.

import { type Context, Hono } from 'hono'
import { Asker, AskFailed, runBudget } from '../asking.ts'
import type { Callers } from '../callers.ts'
import { Allowance, type Clock } from '../clock.ts'
import type { Settings } from '../config.ts'
import { jsonUsd } from '../core/money.ts'
import { Problem } from '../core/problem.ts'
import { retryAfterSeconds } from '../core/refusal.ts'
import { WebExchange } from '../exchange.ts'
import { type Gate, readBody } from '../gate.ts'
import { PATTERNS } from '../patterns/index.ts'
import { type Outcome, type Pattern, type Step, Stopped, type Task } from '../patterns/pattern.ts'
import { problemResponse } from '../web.ts'
import { parsedObject } from '../wire/draft.ts'

export interface PatternParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly gate: Gate
  readonly callers: Callers
  readonly newCallId: () => string
  /** The models patterns ask where a request names none. */
  readonly patternModels: () => { readonly model: string; readonly embeddingModel: string | undefined }
}

export function patternRoutes(parts: PatternParts): Hono {
  const app = new Hono()
  app.onError(problemResponse)
  app.get('/api/patterns', (c) =>
    c.json({ patterns: PATTERNS.map(({ name, about, schema }) => ({ name, about, schema })) }),
  )
  const runs = new Allowance(MOST_RUNS)
  for (const pattern of PATTERNS) app.post(`/api/patterns/${pattern.name}`, (c) => started(parts, runs, pattern, c))
  return app
}

/** Runs at a time: they may wait long. */
const MOST_RUNS = 1_000

async function started(parts: PatternParts, runs: Allowance, pattern: Pattern, c: Context): Promise<Response> {
  const exchange = new WebExchange(c.req.raw)
  parts.callers.identify(exchange)
  if (parts.gate.closing) throw new Problem('shutting_down', 'The gateway is stopping.')
  const { stream, ...fields } = await parts.gate.holding(async (hold) =>
    objectIn(await readBody(exchange, parts.settings.MAX_BODY_BYTES, hold)),
  )
  if (stream !== undefined && typeof stream !== 'boolean')
    throw new Problem('invalid_request', 'stream: must be true or false', 'stream')
  const task = pattern.read(fields)
  if (!runs.take(1)) throw new Problem('overloaded', 'Too many runs are under way. Please try again in a moment.')
  const run = new PatternRun(parts, pattern, task, exchange, c.req.raw.signal)
  const answer = stream ? streamed(run) : whole(run)
  void run.over.finally(() => runs.give(1))
  return answer
}

function objectIn(body: Buffer): Readonly<Record<string, unknown>> {
  const value = parsedObject(body.toString())
  if (!value) throw new Problem('invalid_json', 'The request body is not a JSON object.')
  return value
}

/** What a run is answered with. */
interface RunJson extends Readonly<Record<string, unknown>> {
  readonly simulated: boolean
}

/** One run under way. */
class PatternRun {
  readonly #parts: PatternParts
  readonly #pattern: Pattern
  readonly #task: Task
  readonly #budgetJson: unknown
  readonly #id: string
  readonly #model: string
  readonly #ended = Promise.withResolvers<void>()
  readonly #left = new AbortController()
  readonly #asker: Asker

  constructor(parts: PatternParts, pattern: Pattern, task: Task, exchange: WebExchange, signal: AbortSignal) {
    const { clock, gate, settings } = parts
    const models = parts.patternModels()
    const now = clock.now()
    this.#parts = parts
    this.#pattern = pattern
    this.#task = task
    this.#id = exchange.header('x-bursar-task') ?? parts.newCallId()
    this.#model = task.model ?? models.model
    this.#budgetJson = task.mostCostNanoUsd === undefined ? null : jsonUsd(task.mostCostNanoUsd)
    signal.addEventListener('abort', () => this.leave())
    this.#asker = new Asker({
      gate,
      clock,
      headers: exchange.headers,
      query: exchange.query,
      task: this.#id,
      operation: exchange.header('x-bursar-operation') ?? pattern.name,
      model: this.#model,
      embeddingModel: models.embeddingModel,
      // By an id of its own: a caller's task may have many runs.
      budget:
        task.mostCostNanoUsd === undefined
          ? undefined
          : runBudget(parts.newCallId(), task.mostCostNanoUsd, now.wallMs, settings.UPSTREAM_TIMEOUT_MS),
      deadlineMs: now.monoMs + settings.UPSTREAM_TIMEOUT_MS,
      signal: this.#left.signal,
    })
  }

  get over(): Promise<void> {
    return this.#ended.promise
  }

  leave(): void {
    this.#left.abort()
  }

  /** @param told of every step when it is done. Throws Problem where the run could not even start. */
  async follow(told: (step: Step) => void): Promise<RunJson> {
    const { embed } = this.#asker
    try {
      const outcome = await this.#task.follow({
        ask: (ask) => this.#asker.ask(ask),
        ...(embed ? { embed } : {}),
        nowMs: () => this.#parts.clock.now().wallMs,
        mostSteps: this.#task.mostSteps,
        left: () => this.#left.signal.aborted,
        step: told,
      })
      return this.#json(outcome)
    } finally {
      this.#ended.resolve()
    }
  }

  #json(outcome: Outcome): RunJson {
    const { input, output } = outcome.tokens
    return {
      pattern: this.#pattern.name,
      task: this.#id,
      model: this.#model,
      result: outcome.result,
      stopped: outcome.stopped ?? null,
      ...(outcome.stoppedBecause === undefined ? {} : { stopped_because: outcome.stoppedBecause }),
      steps: outcome.steps.map(stepJson),
      usage: { requests: outcome.asks, input_tokens: input, output_tokens: output, total_tokens: input + output },
      cost: jsonUsd(outcome.costNanoUsd),
      limits: {
        max_cost_usd: this.#budgetJson,
        max_steps: this.#task.mostSteps,
        max_seconds: this.#parts.settings.UPSTREAM_TIMEOUT_MS / 1_000,
      },
      simulated: outcome.simulated,
    }
  }
}

function stepJson({ durationMs, costNanoUsd, callId, ...step }: Step): object {
  return {
    ...step,
    duration_ms: durationMs,
    ...(costNanoUsd === undefined ? {} : { cost: jsonUsd(costNanoUsd) }),
    ...(callId === undefined ? {} : { call_id: callId }),
  }
}

async function whole(run: PatternRun): Promise<Response> {
  try {
    const answer = await run.follow(() => {})
    return Response.json(answer, answer.simulated ? { headers: { 'x-bursar-simulated': 'true' } } : {})
  } catch (error) {
    return refused(error)
  }
}

/** Steps as events, and the whole at the end. A run that cannot even start is answered like any other. */
async function streamed(run: PatternRun): Promise<Response> {
  const encoder = new TextEncoder()
  const begun = Promise.withResolvers<Response>()
  let sink: ReadableStreamDefaultController<Uint8Array> | undefined
  const send = (event: string, data: unknown) => {
    if (!sink) begin()
    sink?.enqueue(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`))
  }
  const begin = () => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        sink = controller
      },
      cancel: () => {
        sink = undefined
        run.leave()
      },
    })
    begun.resolve(new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' } }))
  }
  run
    .follow((step) => send('step', stepJson(step)))
    .then((result) => send('result', result))
    .catch(async (error: unknown) => {
      if (!sink) begun.resolve(refused(error))
      else send('error', await refused(error).json())
    })
    .finally(() => sink?.close())
    .catch(() => {})
  return begun.promise
}

const STATUS_OF = { budget: 429, rate: 429, steps: 400, deadline: 504, left: 499, error: 502 } as const

/** A run that has nothing to give back. */
function refused(error: unknown): Response {
  if (!(error instanceof Stopped)) return problemResponse(error instanceof Error ? error : new Error(String(error)))
  const failed = error instanceof AskFailed ? error : undefined
  const status = failed?.status ?? STATUS_OF[error.reason]
  const headers = new Headers({ 'x-bursar-source': 'gateway' })
  if (failed?.retryAfterMs !== undefined) {
    headers.set('retry-after', String(retryAfterSeconds(failed.retryAfterMs)))
    headers.set('retry-after-ms', String(Math.ceil(failed.retryAfterMs)))
  }
  const { reason, message } = error
  return Response.json({ error: { code: reason, message, param: null, details: failed?.details } }, { status, headers })
}
