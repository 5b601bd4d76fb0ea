// Agentic patterns: POST /api/patterns/{name}. The request itself is no call; each of its asks is.

import { type Context, Hono } from 'hono'
import { type Gate, readBody } from '../call/gate.ts'
import type { Settings } from '../config/settings.ts'
import type { JsonObject } from '../core/chat.ts'
import type { Clock } from '../core/clock.ts'
import { holdsMore, parsedObject, recordOf } from '../core/json-values.ts'
import { jsonUsd } from '../core/money.ts'
import type { Holding } from '../core/permits.ts'
import { Problem } from '../core/problem.ts'
import { Places } from '../counting/input-counter.ts'
import { WebExchange } from '../exchange/web.ts'
import { type Callers, declaredOperation } from '../keys/callers.ts'
import { type Outcome, type Pattern, type Step, Stopped, type Task } from '../patterns/pattern/pattern.ts'
import { Asker, AskFailed, runBudget, type Spent } from '../runs/model-client.ts'
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
    const patterns = await allPatterns()
    return c.json({
      patterns: patterns.map(({ name, about, schema }) => ({ name, about, schema: withStream(schema) })),
    })
  })
  const runs = new Places(MOST_RUNS)
  app.post('/api/patterns/:name', async (c) => {
    const pattern = (await allPatterns()).find(({ name }) => name === c.req.param('name'))
    if (!pattern) throw new Problem('not_found', 'There is no such pattern.')
    return started(parts, runs, pattern, c)
  })
  return app
}

/** Loaded when somebody asks: with all they need they take as much memory as a tenth of the rest. */
async function allPatterns(): Promise<readonly Pattern[]> {
  const { PATTERNS } = await import('../patterns/index.ts')
  return PATTERNS
}

/** What a request may hold beside what its pattern reads. */
function withStream({ properties, ...schema }: JsonObject): JsonObject {
  const stream = { type: 'boolean', description: 'Whether steps are told as server-sent events as they are done.' }
  return { ...schema, properties: { ...recordOf(properties), stream } }
}

/** Runs at a time: they may wait long. Each key gets its share of them. */
const MOST_RUNS = 1_000

/** The answer to a request, whose bytes count as held until its run is over. Throws Problem. */
async function started(parts: PatternParts, runs: Places, pattern: Pattern, c: Context): Promise<Response> {
  const exchange = new WebExchange(c.req.raw)
  const { task: id, key } = parts.callers.identify(exchange)
  if (parts.gate.closing) throw new Problem('shutting_down', 'The gateway is stopping.')
  const answer = Promise.withResolvers<Response>()
  const follow = async (holding: Holding) => {
    const body = objectIn(await readBody(exchange, parts.settings.MAX_BODY_BYTES, holding))
    const { task, stream } = taskIn(body, pattern, parts.settings)
    const isOver = await runs.hold(key, async () => {
      const run = new PatternRun(parts, { pattern, task, id: id ?? parts.newCallId(), exchange }, c.req.raw.signal)
      answer.resolve(stream ? streamed(run) : whole(run))
      await run.over
      return true
    })
    if (!isOver) throw new Problem('overloaded', 'Too many runs are under way. Please try again in a moment.')
  }
  parts.gate.holding(follow).catch(answer.reject)
  return answer.promise
}

/** No request has as many: parsed, those of a large body take seconds of everybody's time. */
const MOST_VALUES = 100_000

function objectIn(body: Buffer): Readonly<Record<string, unknown>> {
  const text = body.toString()
  if (holdsMore(text, MOST_VALUES))
    throw new Problem('invalid_request', `The request has more than ${MOST_VALUES} values.`)
  const value = parsedObject(text)
  if (!value) throw new Problem('invalid_json', 'The request body is not a JSON object.')
  return value
}

/** What is to be done, and whether its steps are to be told as they are done. Throws Problem. */
function taskIn(body: Readonly<Record<string, unknown>>, pattern: Pattern, settings: Settings) {
  const { stream = false, ...fields } = body
  if (typeof stream !== 'boolean') throw new Problem('invalid_request', 'stream: must be true or false', 'stream')
  const task = pattern.read(fields)
  if (task.mostCostNanoUsd !== undefined && !settings.ENABLE_COST_TRACKING)
    throw new Problem(
      'invalid_request',
      'max_cost_usd: cannot be kept while ENABLE_COST_TRACKING is false',
      'max_cost_usd',
    )
  return { task, stream }
}

/** What a run is to do, and for whom. */
interface Started {
  readonly pattern: Pattern
  readonly task: Task
  /** Of all its calls, in the ledger. */
  readonly id: string
  readonly exchange: WebExchange
}

/** One run under way. */
class PatternRun {
  readonly #parts: PatternParts
  readonly #started: Started
  readonly #model: string
  readonly #ended = Promise.withResolvers<void>()
  readonly #left = new AbortController()
  readonly #asker: Asker

  constructor(parts: PatternParts, started: Started, signal: AbortSignal) {
    const { clock, gate, settings } = parts
    const { pattern, task, id, exchange } = started
    const models = parts.patternModels()
    const now = clock.now()
    this.#parts = parts
    this.#started = started
    this.#model = task.model ?? models.model
    if (signal.aborted) this.leave()
    signal.addEventListener('abort', () => this.leave())
    this.#asker = new Asker({
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
        task.mostCostNanoUsd === undefined
          ? undefined
          : runBudget(parts.newCallId(), id, task.mostCostNanoUsd, now.wallMs, settings.UPSTREAM_TIMEOUT_MS),
      deadlineMs: now.monoMs + settings.UPSTREAM_TIMEOUT_MS,
      signal: this.#left.signal,
    })
  }

  get id(): string {
    return this.#started.id
  }

  get spent(): Spent {
    return this.#asker.spent
  }

  get over(): Promise<void> {
    return this.#ended.promise
  }

  leave(): void {
    this.#left.abort()
  }

  /** @param told of every step when it is done. Throws Stopped where there is nothing to give back. */
  async follow(told: (step: Step) => void): Promise<object> {
    const { embed } = this.#asker
    const { task } = this.#started
    try {
      const outcome = await task.follow({
        ask: (ask) => this.#asker.ask(ask),
        ...(embed ? { embed } : {}),
        nowMs: () => this.#parts.clock.now().wallMs,
        mostSteps: task.mostSteps,
        left: () => this.#left.signal.aborted,
        step: told,
      })
      return this.#json(outcome)
    } finally {
      this.#ended.resolve()
    }
  }

  /** The answer to a run that has nothing to give back. */
  refused(error: unknown): Response {
    if (error instanceof Stopped) return stoppedResponse(error, this.id)
    this.#parts.recorder.failedUnexpectedly(this.id, error)
    return problemResponse(new Problem('internal', 'The gateway failed.'))
  }

  #json({ result, stopped, stoppedBecause, steps }: Outcome): object {
    const { pattern, task } = this.#started
    const { requests, input, output, costNanoUsd, simulated } = this.spent
    return {
      pattern: pattern.name,
      task: this.id,
      model: this.#model,
      result,
      stopped: stopped ?? null,
      ...(stoppedBecause === undefined ? {} : { stopped_because: stoppedBecause }),
      steps: steps.map(stepJson),
      usage: { requests, input_tokens: input, output_tokens: output, total_tokens: input + output },
      cost: jsonUsd(costNanoUsd),
      limits: {
        max_cost_usd: task.mostCostNanoUsd === undefined ? null : jsonUsd(task.mostCostNanoUsd),
        max_steps: task.mostSteps,
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

async function whole(run: PatternRun): Promise<Response> {
  try {
    const answer = await run.follow(() => {})
    const headers = new Headers({ 'x-bursar-task': run.id })
    if (run.spent.simulated) headers.set('x-bursar-simulated', 'true')
    return Response.json(answer, { headers })
  } catch (error) {
    return run.refused(error)
  }
}

/** Steps as events, and the whole at the end. A run that cannot even start is answered like any other. */
async function streamed(run: PatternRun): Promise<Response> {
  const answer = Promise.withResolvers<Response>()
  const events = new RunEvents(run)
  const begin = () => answer.resolve(events.response)
  run
    .follow((step) => {
      events.send('step', stepJson(step))
      if (run.spent.requests > 0) begin()
    })
    .then((result) => {
      events.send('result', result)
      begin()
    })
    .catch(async (error: unknown) => {
      const refused = run.refused(error)
      if (run.spent.requests > 0) events.send('error', await refused.clone().json())
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
        run.leave()
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

const STATUS_OF = { budget: 429, rate: 429, steps: 400, deadline: 504, left: 499, error: 502 } as const
/** What is said of the ask that failed, and holds for the run. */
const KEPT = ['retry-after', 'retry-after-ms', 'x-should-retry', 'x-bursar-limited-by', 'x-bursar-call-id']

function stoppedResponse(error: Stopped, task: string): Response {
  const failed = error instanceof AskFailed ? error : undefined
  const headers = new Headers({ 'x-bursar-task': task })
  headers.set('x-bursar-source', failed?.headers.get('x-bursar-source') ?? 'gateway')
  for (const name of KEPT) {
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
  return Response.json({ error: said }, { status: failed?.status ?? STATUS_OF[error.reason], headers })
}
