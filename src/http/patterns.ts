// Agentic patterns: POST /api/patterns/{name}. The request itself is no call; each of its asks is.

import { type Context, Hono } from 'hono'
import { type Gate, readBody } from '../call/gate.ts'
import type { Settings } from '../config/settings.ts'
import type { JsonObject } from '../core/chat.ts'
import type { Clock } from '../core/clock.ts'
import { FairSlots } from '../core/fair-slots.ts'
import { hasMoreValuesThan, parseObject, recordOf } from '../core/json-values.ts'
import { jsonUsd } from '../core/money.ts'
import type { PermitLease } from '../core/permits.ts'
import { Problem } from '../core/problem.ts'
import { WebExchange } from '../exchange/web.ts'
import { type Callers, declaredOperation } from '../keys/callers.ts'
import { type Outcome, type Pattern, type PatternRequest, RunStopped, type Step } from '../patterns/pattern/pattern.ts'
import { createRunBudget, ModelClient, ModelRequestError, type RunUsage } from '../runs/model-client.ts'
import type { Store } from '../stores/store.ts'
import type { Recorder } from '../telemetry/recorder.ts'
import { problemResponse } from './problems.ts'

export interface PatternParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly gate: Gate
  readonly store: Pick<Store, 'entry'>
  readonly callers: Callers
  readonly recorder: Pick<Recorder, 'failedUnexpectedly'>
  readonly newCallId: () => string
  /** The models patterns ask where a request names none. */
  readonly patternModels: () => { readonly model: string; readonly embeddingModel: string | undefined }
}

export function patternRoutes(parts: PatternParts): Hono {
  const app = new Hono()
  app.onError(problemResponse)
  app.get('/api/patterns', async (c) => {
    const patterns = await loadPatterns()
    return c.json({
      patterns: patterns.map(({ name, description, schema }) => ({
        name,
        about: description,
        schema: withStreamField(schema),
      })),
    })
  })
  const runs = new FairSlots(MAX_RUNS)
  app.post('/api/patterns/:name', async (c) => {
    const pattern = (await loadPatterns()).find(({ name }) => name === c.req.param('name'))
    if (!pattern) throw new Problem('not_found', 'There is no such pattern.')
    return startRun(parts, runs, pattern, c)
  })
  return app
}

/** Loaded when somebody asks: with all they need they take as much memory as a tenth of the rest. */
async function loadPatterns(): Promise<readonly Pattern[]> {
  const { PATTERNS } = await import('../patterns/index.ts')
  return PATTERNS
}

/** What a request may hold beside what its pattern reads. */
function withStreamField({ properties, ...schema }: JsonObject): JsonObject {
  const stream = { type: 'boolean', description: 'Whether steps are told as server-sent events as they are done.' }
  return { ...schema, properties: { ...recordOf(properties), stream } }
}

/** Runs at a time: they may wait long. Each key gets its share of them. */
const MAX_RUNS = 1_000

/** The answer to a request, whose bytes count as held until its run is over. Throws Problem. */
async function startRun(parts: PatternParts, runs: FairSlots, pattern: Pattern, c: Context): Promise<Response> {
  const exchange = new WebExchange(c.req.raw)
  const { task: id, key } = parts.callers.identify(exchange)
  if (parts.gate.isClosing) throw new Problem('shutting_down', 'The gateway is stopping.')
  const answer = Promise.withResolvers<Response>()
  const follow = async (holding: PermitLease) => {
    const body = parseBody(await readBody(exchange, parts.settings.MAX_BODY_BYTES, holding))
    const { task, stream } = readTask(body, pattern, parts.settings)
    const isOver = await runs.withSlot(key, async () => {
      const run = new PatternRun(parts, { pattern, task, id: id ?? parts.newCallId(), exchange }, c.req.raw.signal)
      answer.resolve(stream ? streamResponse(run) : wholeResponse(run))
      await run.finished
      return true
    })
    if (!isOver) throw new Problem('overloaded', 'Too many runs are under way. Please try again in a moment.')
  }
  parts.gate.withBufferLease(follow).catch(answer.reject)
  return answer.promise
}

/** No request has as many: parsed, those of a large body take seconds of everybody's time. */
const MAX_JSON_VALUES = 100_000

function parseBody(body: Buffer): Readonly<Record<string, unknown>> {
  const text = body.toString()
  if (hasMoreValuesThan(text, MAX_JSON_VALUES))
    throw new Problem('invalid_request', `The request has more than ${MAX_JSON_VALUES} values.`)
  const value = parseObject(text)
  if (!value) throw new Problem('invalid_json', 'The request body is not a JSON object.')
  return value
}

/** What is to be done, and whether its steps are to be told as they are done. Throws Problem. */
function readTask(body: Readonly<Record<string, unknown>>, pattern: Pattern, settings: Settings) {
  const { stream = false, ...fields } = body
  if (typeof stream !== 'boolean') throw new Problem('invalid_request', 'stream: must be true or false', 'stream')
  const task = pattern.read(fields)
  if (task.maxCostNanoUsd !== undefined && !settings.ENABLE_COST_TRACKING)
    throw new Problem(
      'invalid_request',
      'max_cost_usd: cannot be kept while ENABLE_COST_TRACKING is false',
      'max_cost_usd',
    )
  return { task, stream }
}

/** What a run is to do, and for whom. */
interface RunRequest {
  readonly pattern: Pattern
  readonly task: PatternRequest
  /** Of all its calls, in the ledger. */
  readonly id: string
  readonly exchange: WebExchange
}

/** One run under way. */
class PatternRun {
  readonly #parts: PatternParts
  readonly #request: RunRequest
  readonly #model: string
  readonly #ended = Promise.withResolvers<void>()
  readonly #abort = new AbortController()
  readonly #modelClient: ModelClient

  constructor(parts: PatternParts, started: RunRequest, signal: AbortSignal) {
    const { clock, gate, settings } = parts
    const { pattern, task, id, exchange } = started
    const models = parts.patternModels()
    const now = clock.now()
    this.#parts = parts
    this.#request = started
    this.#model = task.model ?? models.model
    if (signal.aborted) this.cancel()
    signal.addEventListener('abort', () => this.cancel())
    this.#modelClient = new ModelClient({
      gate,
      clock,
      ledger: parts.store,
      headers: exchange.headers,
      query: exchange.query,
      task: id,
      operation: declaredOperation(exchange) ?? pattern.name,
      model: this.#model,
      embeddingModel: models.embeddingModel,
      // By an id of its own: a caller's task may have many runs.
      budget:
        task.maxCostNanoUsd === undefined
          ? undefined
          : createRunBudget(parts.newCallId(), id, task.maxCostNanoUsd, now.wallMs, settings.UPSTREAM_TIMEOUT_MS),
      deadlineMs: now.monoMs + settings.UPSTREAM_TIMEOUT_MS,
      signal: this.#abort.signal,
    })
  }

  get id(): string {
    return this.#request.id
  }

  get usage(): RunUsage {
    return this.#modelClient.usage
  }

  get finished(): Promise<void> {
    return this.#ended.promise
  }

  cancel(): void {
    this.#abort.abort()
  }

  /** @param told of every step when it is done. Throws Stopped where there is nothing to give back. */
  async follow(told: (step: Step) => void): Promise<object> {
    const { embed } = this.#modelClient
    const { task } = this.#request
    try {
      const outcome = await task.execute({
        callModel: (ask) => this.#modelClient.complete(ask),
        ...(embed ? { embed } : {}),
        nowMs: () => this.#parts.clock.now().wallMs,
        maxSteps: task.maxSteps,
        isClientGone: () => this.#abort.signal.aborted,
        recordStep: told,
      })
      return this.#json(outcome)
    } finally {
      this.#ended.resolve()
    }
  }

  /** The answer to a run that has nothing to give back. */
  errorResponse(error: unknown): Response {
    if (error instanceof RunStopped) return stoppedResponse(error, this.id)
    this.#parts.recorder.failedUnexpectedly(this.id, error)
    return problemResponse(new Problem('internal', 'The gateway failed.'))
  }

  #json({ result, stopped, stoppedBecause, steps }: Outcome): object {
    const { pattern, task } = this.#request
    const { requests, inputTokens, outputTokens, costNanoUsd, simulated } = this.usage
    return {
      pattern: pattern.name,
      task: this.id,
      model: this.#model,
      result,
      stopped: stopped ?? null,
      ...(stoppedBecause === undefined ? {} : { stopped_because: stoppedBecause }),
      steps: steps.map(stepJson),
      usage: {
        requests,
        input_tokens: inputTokens,
        output_tokens: outputTokens,
        total_tokens: inputTokens + outputTokens,
      },
      cost: jsonUsd(costNanoUsd),
      limits: {
        max_cost_usd: task.maxCostNanoUsd === undefined ? null : jsonUsd(task.maxCostNanoUsd),
        max_steps: task.maxSteps,
        max_seconds: this.#parts.settings.UPSTREAM_TIMEOUT_MS / 1_000,
      },
      simulated,
    }
  }
}

function stepJson({ number, name, kind, model, asked, answered, failed, tokens, ...step }: Step): object {
  return {
    number,
    name,
    kind,
    model,
    asked,
    answered,
    failed,
    tokens,
    cost: step.costNanoUsd === undefined ? undefined : jsonUsd(step.costNanoUsd),
    duration_ms: step.durationMs,
    call_id: step.callId,
  }
}

async function wholeResponse(run: PatternRun): Promise<Response> {
  try {
    const answer = await run.follow(() => {})
    const headers = new Headers({ 'x-bursar-task': run.id })
    if (run.usage.simulated) headers.set('x-bursar-simulated', 'true')
    return Response.json(answer, { headers })
  } catch (error) {
    return run.errorResponse(error)
  }
}

/** Steps as events, and the whole at the end. A run that cannot even start is answered like any other. */
async function streamResponse(run: PatternRun): Promise<Response> {
  const answer = Promise.withResolvers<Response>()
  const events = new RunEvents(run)
  const begin = () => answer.resolve(events.response)
  run
    .follow((step) => {
      events.send('step', stepJson(step))
      if (run.usage.requests > 0) begin()
    })
    .then((result) => {
      events.send('result', result)
      begin()
    })
    .catch(async (error: unknown) => {
      const refused = run.errorResponse(error)
      if (run.usage.requests > 0) events.send('error', await refused.clone().json())
      answer.resolve(refused)
    })
    .finally(() => events.end())
    .catch(answer.reject)
  return answer.promise
}

/** Server-sent events of a run. Few and small: they wait for the client in memory. */
class RunEvents {
  readonly response: Response
  readonly #encoder = new TextEncoder()
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined

  constructor(run: PatternRun) {
    const body = new ReadableStream<Uint8Array>({
      start: (sink) => {
        this.#sink = sink
      },
      cancel: () => {
        this.#sink = undefined
        run.cancel()
      },
    })
    const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-bursar-task': run.id }
    this.response = new Response(body, { headers })
  }

  send(event: string, data: object): void {
    this.#sink?.enqueue(this.#encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`))
  }

  end(): void {
    this.#sink?.close()
    this.#sink = undefined
  }
}

const STATUS_BY_REASON = { budget: 429, rate: 429, steps: 400, deadline: 504, left: 499, error: 502 } as const
/** What is said of the ask that failed, and holds for the run. */
const FORWARDED_HEADERS = ['retry-after', 'retry-after-ms', 'x-should-retry', 'x-bursar-limited-by', 'x-bursar-call-id']

function stoppedResponse(error: RunStopped, task: string): Response {
  const failed = error instanceof ModelRequestError ? error : undefined
  const headers = new Headers({ 'x-bursar-task': task })
  headers.set('x-bursar-source', failed?.headers.get('x-bursar-source') ?? 'gateway')
  for (const name of FORWARDED_HEADERS) {
    const value = failed?.headers.get(name)
    if (value !== undefined) headers.set(name, value)
  }
  const { code, param, details } = failed?.error ?? {}
  const said = {
    code: typeof code === 'string' ? code : error.reason,
    message: error.message,
    // Its other fields are not those of the run.
    param: param === 'model' ? param : null,
    stopped: error.reason,
    task,
    details,
  }
  return Response.json({ error: said }, { status: failed?.status ?? STATUS_BY_REASON[error.reason], headers })
}
