// Model client: sends the model requests of a run. Each is a call of its own through the gate: admitted, metered and settled
// like any other. It never reaches a provider by another way.

import type { Budget } from '../call/applicant.ts'
import type { Gate } from '../call/gate.ts'
import type { ChatRequest } from '../core/chat.ts'
import type { Clock, Timers } from '../core/clock.ts'
import { parseObject, recordOf } from '../core/json-values.ts'
import type { Entry } from '../core/ledger-entry.ts'
import { formatUsd, parseUsd } from '../core/money.ts'
import { areCredibleCounts, countOf, inputTokens, outputTokens } from '../core/usage.ts'
import { MemoryExchange, type MemoryResponse } from '../exchange/memory.ts'
import {
  type Embeddings,
  type ModelRequest,
  type ModelResponse,
  RunStopped,
  type StopCause,
  textOf,
} from '../patterns/pattern/pattern.ts'
import type { Store } from '../stores/store.ts'
import { translatorOf } from '../translate/index.ts'
import type { Dialect, HeaderList } from '../wire/dialect.ts'
import { dialectNamed } from '../wire/index.ts'

/** One run of a pattern, and on whose behalf it runs. */
interface RunContext {
  readonly gate: Gate
  readonly clock: Clock
  readonly timers: Timers
  readonly store: Pick<Store, 'entry'>
  /** The headers of the caller's request: its key and what it declares about itself are sent with every call. */
  readonly headers: HeaderList
  readonly query: string
  readonly task: string
  readonly operation: string
  readonly model: string
  readonly embeddingModel: string | undefined
  readonly budget: Budget | undefined
  /** Monotonic milliseconds. */
  readonly deadlineMs: number
  readonly signal: AbortSignal
}

/** What all calls of a run used. A call that was still unanswered when the run ended is not included. */
export interface RunUsage {
  readonly requests: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costNanoUsd: bigint
  /** The simulated provider answered at least one of the calls. */
  readonly simulated: boolean
}

/** What an HTTP client would have received for a call that failed. */
interface FailedResponse {
  readonly status: number
  /** Values by lower-case name. */
  readonly headers?: ReadonlyMap<string, string>
  /** The `error` object of OpenAI's error answers. */
  readonly error?: Readonly<Record<string, unknown>>
}

/** A call of a run failed, at the provider or at the gateway. */
export class ModelRequestError extends RunStopped {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly error: Readonly<Record<string, unknown>>

  constructor(reason: StopCause, message: string, { status, headers = new Map(), error = {} }: FailedResponse) {
    super(reason, message)
    this.status = status
    this.headers = headers
    this.error = error
  }
}

/** Headers that identify the caller. All others concern the caller's own request alone. */
const FORWARDED_HEADERS = /^(?:authorization|x-api-key|x-goog-api-key|api-key|host|origin|sec-fetch-site|x-bursar-.*)$/
const OVERWRITTEN_HEADERS = new Set(['x-bursar-task', 'x-bursar-operation'])
/** How long to wait if a provider refuses and does not say for how long; also the minimum if it does. */
const MIN_PROVIDER_WAIT_MS = 1_000
/** How often a wait checks whether the gateway is stopping. */
const WAIT_POLL_MS = 250
/** The name of a run's budget, as a limit. */
export const BUDGET_NAME = 'max_cost_usd'

/** The models of one run. It sums up what its calls used. */
export class ModelClient {
  readonly #context: RunContext
  #answeredCount = 0
  #usage: RunUsage = { requests: 0, inputTokens: 0, outputTokens: 0, costNanoUsd: 0n, simulated: false }

  constructor(context: RunContext) {
    this.#context = context
  }

  get usage(): RunUsage {
    return this.#usage
  }

  /** Throws RunStopped if the call is refused or fails. */
  async complete(request: ModelRequest): Promise<ModelResponse> {
    const translator = translatorOf('openai.chat')
    const input = chatBodyOf(this.#context.model, request)
    const { body, response } = await this.#call(dialectNamed('openai.chat'), '/v1/chat/completions', input)
    const chat = translator?.readResponse(body)
    const choice = chat?.choices[0]
    if (!chat || !choice) throw new ModelRequestError('error', 'The model gave no answer.', { status: 502 })
    return {
      parts: choice.parts,
      stop: choice.stop,
      text: textOf(choice.parts),
      model: chat.model,
      simulated: isSimulated(response),
      ...usageIn(response, body),
    }
  }

  /** Undefined if no embedding model is configured. The function throws RunStopped as `complete` does. */
  get embed(): ((texts: readonly string[]) => Promise<Embeddings>) | undefined {
    const { embeddingModel } = this.#context
    if (embeddingModel === undefined) return undefined
    return async (texts) => {
      const input = { model: embeddingModel, input: texts }
      const { body, response } = await this.#call(dialectNamed('openai.embeddings'), '/v1/embeddings', input)
      const data = Array.isArray(body.data) ? body.data.map(recordOf) : []
      const vectors = data.map(({ embedding }) =>
        Array.isArray(embedding) ? embedding.filter((value) => Number.isFinite(value)) : [],
      )
      const model = typeof body.model === 'string' ? body.model : embeddingModel
      return { vectors, model, ...usageIn(response, body) }
    }
  }

  /**
   * Makes a call, and makes it again after a wait if a rate limit refuses it and the deadline leaves time for the wait. The
   * first call of a run is not repeated: its caller is better off with the refusal at once.
   */
  async #call(dialect: Dialect, path: string, input: object) {
    const { clock, deadlineMs, signal } = this.#context
    const requestBody = Buffer.from(JSON.stringify(input))
    for (;;) {
      const response = await this.#callOnce(dialect, path, requestBody)
      if (signal.aborted) throw new RunStopped('left', 'The caller is gone.')
      if (!response) throw new ModelRequestError('error', 'The answer broke off.', { status: 502 })
      const body = parseObject(response.body.toString()) ?? {}
      await this.#addUsage(response, body)
      if (response.status < 300) {
        this.#answeredCount += 1
        return { body, response }
      }
      const failure = this.#failureOf(response, body)
      const waitMs = retryWaitMs(response, failure.error)
      const isInTime = clock.now().monoMs + waitMs < deadlineMs
      if (failure.reason !== 'rate' || this.#answeredCount === 0 || !isInTime) throw failure
      await this.#wait(waitMs)
    }
  }

  async #callOnce(dialect: Dialect, path: string, body: Buffer): Promise<MemoryResponse | undefined> {
    const { gate, budget, signal, clock, timers, deadlineMs } = this.#context
    const exchange = new MemoryExchange({ path, query: this.#query, headers: this.#headers, body })
    const leave = () => exchange.disconnect()
    const timer = timers.setTimeout(leave, Math.max(0, deadlineMs - clock.now().monoMs))
    signal.addEventListener('abort', leave)
    try {
      if (signal.aborted) return undefined
      void gate.call(exchange, dialect, budget ? { budget } : {})
      const response = await exchange.response
      if (!response && !signal.aborted && exchange.clientGone)
        throw new ModelRequestError('deadline', 'The run took too long.', { status: 504 })
      return response
    } finally {
      timers.clearTimeout(timer)
      signal.removeEventListener('abort', leave)
    }
  }

  get #headers(): HeaderList {
    const { headers, task, operation } = this.#context
    const forwarded = headers.flatMap((name, index) =>
      index % 2 === 0 && FORWARDED_HEADERS.test(name) && !OVERWRITTEN_HEADERS.has(name)
        ? [name, headers[index + 1] ?? '']
        : [],
    )
    forwarded.push('content-type', 'application/json', 'accept-encoding', 'identity')
    return [...forwarded, 'x-bursar-task', task, 'x-bursar-operation', operation]
  }

  /** The caller's key, if the query carries it. Nothing else of the query is meant for a provider. */
  get #query(): string {
    return this.#context.query.split('&').find((part) => part.startsWith('key=')) ?? ''
  }

  /**
   * Adds what a call used: what its answer says, or else what the ledger settled it with (a call that failed, or an answer
   * without usage). A refused call has no entry and used nothing.
   */
  async #addUsage(response: MemoryResponse, body: Readonly<Record<string, unknown>>): Promise<void> {
    const reported = usageIn(response, body)
    const isReported = response.status < 300 && hasUsage(body)
    const used = isReported ? reported : settledUsageOf(await this.#entry(reported.callId))
    if (!used) return
    this.#usage = {
      requests: this.#usage.requests + 1,
      inputTokens: this.#usage.inputTokens + used.tokens.input,
      outputTokens: this.#usage.outputTokens + used.tokens.output,
      costNanoUsd: this.#usage.costNanoUsd + used.costNanoUsd,
      simulated: this.#usage.simulated || isSimulated(response),
    }
  }

  /** The entry of a call; undefined if there is none, or if the store is already closed. */
  async #entry(callId: string): Promise<Entry | undefined> {
    try {
      return await this.#context.store.entry(callId)
    } catch {
      return undefined
    }
  }

  /** Why the run cannot go on, from an error answer in OpenAI's shape. */
  #failureOf({ status, headers }: MemoryResponse, body: Readonly<Record<string, unknown>>): ModelRequestError {
    const { budget, clock, deadlineMs } = this.#context
    const error = recordOf(body.error)
    const details = recordOf(error.details)
    const message = typeof error.message === 'string' ? error.message : `The call failed with status ${status}.`
    const response = { status, headers, error }
    // The call has a deadline of its own, which may pass in the same moment as the run's.
    if (status === 504 && clock.now().monoMs >= deadlineMs) return new ModelRequestError('deadline', message, response)
    if (status !== 429 && !headers.has('x-bursar-limited-by')) return new ModelRequestError('error', message, response)
    if (budget && details.limit === BUDGET_NAME) {
      const text = `Spending limit reached: ${BUDGET_NAME}. The next call may cost more than is left of the run's $${formatUsd(budget.nanoUsd)}.`
      return new ModelRequestError('budget', text, response)
    }
    if (error.code === 'insufficient_quota' && details.unit !== 'tokens' && details.unit !== 'requests')
      return new ModelRequestError('budget', message, response)
    return new ModelRequestError(details.retryable === false ? 'error' : 'rate', message, response)
  }

  /** Waits for `ms`, or until the caller has gone or the gateway is stopping. */
  async #wait(ms: number): Promise<void> {
    const { gate, timers, signal } = this.#context
    for (let leftMs = ms; leftMs > 0 && !gate.isClosing && !signal.aborted; leftMs -= WAIT_POLL_MS)
      await pause(timers, Math.min(leftMs, WAIT_POLL_MS), signal)
  }
}

function chatBodyOf(model: string, { system, messages, ...options }: ModelRequest): object {
  const systemMessages =
    system === undefined ? [] : [{ role: 'system' as const, parts: [{ kind: 'text' as const, text: system }] }]
  const request: ChatRequest = { model, stream: false, messages: [...systemMessages, ...messages], ...options }
  const target = { model, capField: 'max_completion_tokens', defaultCap: 0 }
  return translatorOf('openai.chat')?.writeRequest(request, target).body ?? {}
}

function usageIn({ headers }: MemoryResponse, body: Readonly<Record<string, unknown>>) {
  const usage = recordOf(body.usage)
  return {
    tokens: { input: countOf(usage.prompt_tokens), output: countOf(usage.completion_tokens) },
    costNanoUsd: parseUsd(headers.get('x-bursar-cost-usd') ?? '0') ?? 0n,
    callId: headers.get('x-bursar-call-id') ?? '',
  }
}

/** Whether an answer carries usage that the ledger believes, too. */
function hasUsage(body: Readonly<Record<string, unknown>>): boolean {
  const usage = recordOf(body.usage)
  return areCredibleCounts([usage.prompt_tokens, usage.completion_tokens])
}

function settledUsageOf(entry: Entry | undefined) {
  if (!entry?.outcome) return undefined
  const { usage, cost } = entry.outcome
  return { tokens: { input: inputTokens(usage), output: outputTokens(usage) }, costNanoUsd: cost.totalNanoUsd }
}

function isSimulated({ headers }: MemoryResponse): boolean {
  return headers.has('x-bursar-simulated')
}

/** How long to wait before a refused call is made again. */
function retryWaitMs({ headers }: MemoryResponse, { details }: Readonly<Record<string, unknown>>): number {
  const retryAfterMs = Number(headers.get('retry-after') ?? Number.NaN) * 1_000
  // The gateway's own long waits are in the body alone.
  const announcedMs = Number(headers.get('retry-after-ms') ?? recordOf(details).retry_after_ms ?? retryAfterMs)
  const minMs = headers.get('x-bursar-source') === 'gateway' ? 1 : MIN_PROVIDER_WAIT_MS
  return Math.max(minMs, Number.isFinite(announcedMs) ? announcedMs : MIN_PROVIDER_WAIT_MS)
}

function pause(timers: Timers, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = timers.setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
    function end() {
      timers.clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
  })
}
