// Run: one run of a pattern, from its request to its outcome, with a budget of its own. Each of its model requests is a call
// through the gate; the run itself is none.

import type { Budget } from '../call/applicant.ts'
import type { Gate } from '../call/gate.ts'
import type { Clock, Timers } from '../core/clock.ts'
import type { Meter } from '../core/meter.ts'
import { type Pattern, type PatternRequest, RunStopped, type Step } from '../patterns/pattern/pattern.ts'
import type { Store } from '../stores/store.ts'
import { internalFailure, type Telemetry } from '../telemetry/call-events.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { BUDGET_NAME, ModelClient, ModelRequestError, type RunUsage } from './model-client.ts'
import { type RunJson, runJson } from './run-answer.ts'

export interface RunParts {
  readonly gate: Gate
  readonly clock: Clock
  readonly timers: Timers
  readonly store: Pick<Store, 'entry'>
  /** Logs an error that is a bug of the gateway. */
  readonly telemetry: Pick<Telemetry, 'notify'>
  readonly newCallId: () => string
  /** The time that a whole run may take. */
  readonly timeoutMs: number
}

/** What to run, and on whose behalf. */
interface RunRequest {
  readonly pattern: Pattern
  readonly task: PatternRequest
  /** The task of all its calls in the ledger. */
  readonly id: string
  /** The operation of all its calls in the ledger. */
  readonly operation: string
  /** Headers and query of the caller's request: its key is sent with every call. */
  readonly headers: HeaderList
  readonly query: string
  /** The models to use if the request names none. */
  readonly models: { readonly model: string; readonly embeddingModel: string | undefined }
  /** Aborted once the caller has gone. */
  readonly signal: AbortSignal
}

/** The meter of a budget outlives its run by this much; later it can be forgotten. */
const BUDGET_GRACE_MS = 3_600_000

/** One run under way. Call `follow` once. */
export class PatternRun {
  readonly #parts: RunParts
  readonly #request: RunRequest
  readonly #model: string
  readonly #finished = Promise.withResolvers<void>()
  readonly #abort = new AbortController()
  readonly #modelClient: ModelClient

  constructor(parts: RunParts, request: RunRequest) {
    const { clock, timeoutMs } = parts
    const { task, id, models, signal } = request
    const now = clock.now()
    this.#parts = parts
    this.#request = request
    this.#model = task.model ?? models.model
    if (signal.aborted) this.cancel()
    signal.addEventListener('abort', () => this.cancel())
    this.#modelClient = new ModelClient({
      ...parts,
      headers: request.headers,
      query: request.query,
      task: id,
      operation: request.operation,
      model: this.#model,
      embeddingModel: models.embeddingModel,
      // A caller may give many runs the same task, so the budget has an id of its own.
      budget:
        task.maxCostNanoUsd === undefined
          ? undefined
          : createRunBudget(parts.newCallId(), id, task.maxCostNanoUsd, now.wallMs + timeoutMs),
      deadlineMs: now.monoMs + timeoutMs,
      signal: this.#abort.signal,
    })
  }

  get id(): string {
    return this.#request.id
  }

  get usage(): RunUsage {
    return this.#modelClient.usage
  }

  /** Resolves when `follow` has ended, however it ends. */
  get finished(): Promise<void> {
    return this.#finished.promise
  }

  /** The caller has gone: ends the run before its next step. */
  cancel(): void {
    this.#abort.abort()
  }

  /** Runs the pattern to its end. Throws RunStopped if the run has to end with nothing to give back. */
  async follow(onStep: (step: Step) => void): Promise<RunJson> {
    const { embed } = this.#modelClient
    const { task, pattern } = this.#request
    try {
      const outcome = await task.execute({
        callModel: (request) => this.#modelClient.complete(request),
        ...(embed ? { embed } : {}),
        nowMs: () => this.#parts.clock.now().wallMs,
        maxSteps: task.maxSteps,
        isClientGone: () => this.#abort.signal.aborted,
        recordStep: onStep,
      })
      return runJson(outcome, {
        pattern: pattern.name,
        task: this.id,
        model: this.#model,
        maxCostNanoUsd: task.maxCostNanoUsd,
        maxSteps: task.maxSteps,
        timeoutMs: this.#parts.timeoutMs,
        usage: this.usage,
      })
    } finally {
      this.#finished.resolve()
    }
  }

  /** Why a run ended that threw `error`. Any error but RunStopped is a bug: it is logged, and not shown to the caller. */
  stopOf(error: unknown): RunStopped {
    if (error instanceof RunStopped) return error
    this.#parts.telemetry.notify(internalFailure(this.id, error))
    return new ModelRequestError('error', 'The gateway failed.', { status: 500, error: { code: 'internal' } })
  }
}

/** A budget for one run: a meter that no other call is charged on. @param endsAtMs wall clock */
function createRunBudget(id: string, task: string, nanoUsd: bigint, endsAtMs: number): Budget {
  const meter: Meter = {
    key: `run:${id}/cost/total`,
    name: BUDGET_NAME,
    who: 'task',
    subject: task,
    what: 'cost',
    span: 'total',
    refill: 'window',
    spanMs: 0,
    endsAtMs: endsAtMs + BUDGET_GRACE_MS,
    source: `"${BUDGET_NAME}" of the run's request`,
  }
  return { meter, nanoUsd }
}
