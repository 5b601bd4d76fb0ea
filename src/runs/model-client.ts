// Asking: what patterns ask models through. Every ask is a call of its own through the gate: admitted, metered and booked.

import type { Budget } from '../call/applicant.ts'
import type { Gate } from '../call/gate.ts'
import type { ChatRequest } from '../core/chat.ts'
import type { Clock } from '../core/clock.ts'
import { parseObject, recordOf } from '../core/json-values.ts'
import type { Entry } from '../core/ledger-entry.ts'
import type { Meter } from '../core/meter.ts'
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

/** One run of a pattern, and on whose behalf. */
export interface RunContext {
  readonly gate: Gate
  readonly clock: Clock
  readonly ledger: Pick<Store, 'entry'>
  /** The caller's own: its key goes along with every ask, and what it declared of itself. */
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

/** What all asks of a run came to. One that was still unanswered when the run ended is not among them. */
export interface RunUsage {
  readonly requests: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costNanoUsd: bigint
  /** Any of them was answered by the simulated provider. */
  readonly simulated: boolean
}

/** What an HTTP client would have seen of an ask that failed. */
interface FailedResponse {
  readonly status: number
  /** By lower-case name. */
  readonly headers?: ReadonlyMap<string, string>
  /** OpenAI's `error`. */
  readonly error?: Readonly<Record<string, unknown>>
}

/** A model's provider, or the gateway, did not answer as wished. */
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

/** Who asks, and from where. All else in a request's headers is said of that request alone. */
const FORWARDED_HEADERS = /^(?:authorization|x-api-key|x-goog-api-key|api-key|host|origin|sec-fetch-site|x-bursar-.*)$/
const OVERWRITTEN_HEADERS = new Set(['x-bursar-task', 'x-bursar-operation'])
/** Of a provider's refusal that does not say when to come back; and the least where it does: it may say anything. */
const PROVIDER_WAIT_MS = 1_000
/** A wait looks up this often: the gateway may be stopping. */
const WAIT_POLL_MS = 250
const BUDGET_GRACE_MS = 3_600_000
const BUDGET_NAME = 'max_cost_usd'

/** A budget of its own for one run. */
export function createRunBudget(
  run: string,
  task: string,
  nanoUsd: bigint,
  wallMs: number,
  deadlineInMs: number,
): Budget {
  const meter: Meter = {
    key: `run:${run}/cost/total`,
    name: BUDGET_NAME,
    who: 'task',
    subject: task,
    what: 'cost',
    span: 'total',
    refill: 'window',
    spanMs: 0,
    // Nobody asks for it once the run is over: it can be forgotten then.
    endsAtMs: wallMs + deadlineInMs + BUDGET_GRACE_MS,
  }
  return { meter, nanoUsd }
}

export class ModelClient {
  readonly #context: RunContext
  #answeredCount = 0
  #usage: RunUsage = { requests: 0, inputTokens: 0, outputTokens: 0, costNanoUsd: 0n, simulated: false }

  constructor(asking: RunContext) {
    this.#context = asking
  }

  get usage(): RunUsage {
    return this.#usage
  }

  /** Throws Stopped. */
  async complete(ask: ModelRequest): Promise<ModelResponse> {
    const { body, answer } = await this.#call(
      dialectNamed('openai.chat'),
      '/v1/chat/completions',
      bodyOf(this.#context.model, ask),
    )
    const read = translatorOf('openai.chat')?.readResponse(body)
    const choice = read?.choices[0]
    if (!read || !choice) throw new ModelRequestError('error', 'The model gave no answer.', { status: 502 })
    return {
      parts: choice.parts,
      stop: choice.stop,
      text: textOf(choice.parts),
      model: read.model,
      simulated: isSimulated(answer),
      ...usageIn(answer, body),
    }
  }

  /** Undefined where no embedding model is configured. Throws Stopped. */
  get embed(): ((texts: readonly string[]) => Promise<Embeddings>) | undefined {
    const { embeddingModel } = this.#context
    if (embeddingModel === undefined) return undefined
    return async (texts) => {
      const input = { model: embeddingModel, input: texts }
      const { body, answer } = await this.#call(dialectNamed('openai.embeddings'), '/v1/embeddings', input)
      const data = Array.isArray(body.data) ? body.data.map(recordOf) : []
      const vectors = data.map(({ embedding }) =>
        Array.isArray(embedding) ? embedding.filter((one) => Number.isFinite(one)) : [],
      )
      const model = typeof body.model === 'string' ? body.model : embeddingModel
      return { vectors, model, ...usageIn(answer, body) }
    }
  }

  /** Asks, and asks again where a rate refuses and there is time to wait for it. A run that has nothing yet is not kept waiting. */
  async #call(dialect: Dialect, path: string, input: object) {
    const { clock, deadlineMs, signal } = this.#context
    const body = Buffer.from(JSON.stringify(input))
    for (;;) {
      const answer = await this.#callOnce(dialect, path, body)
      if (signal.aborted) throw new RunStopped('left', 'The caller is gone.')
      if (!answer) throw new ModelRequestError('error', 'The answer broke off.', { status: 502 })
      const read = parseObject(answer.body.toString()) ?? {}
      await this.#addUsage(answer, read)
      if (answer.status < 300) {
        this.#answeredCount += 1
        return { body: read, answer }
      }
      const failure = this.#failureOf(answer, read)
      const waitMs = waitMsOf(answer)
      const inTime = clock.now().monoMs + waitMs < deadlineMs
      if (failure.reason !== 'rate' || this.#answeredCount === 0 || !inTime) throw failure
      await this.#wait(waitMs)
    }
  }

  async #callOnce(dialect: Dialect, path: string, body: Buffer): Promise<MemoryResponse | undefined> {
    const { gate, budget, signal, clock, deadlineMs } = this.#context
    const exchange = new MemoryExchange({ path, query: this.#query, headers: this.#headers, body })
    const leave = () => exchange.disconnect()
    const timer = setTimeout(leave, Math.max(0, deadlineMs - clock.now().monoMs))
    signal.addEventListener('abort', leave)
    try {
      if (signal.aborted) return undefined
      void gate.call(exchange, dialect, budget ? { budget } : {})
      const answer = await exchange.response
      if (!answer && !signal.aborted && exchange.clientGone)
        throw new ModelRequestError('deadline', 'The run took too long.', { status: 504 })
      return answer
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', leave)
    }
  }

  get #headers(): HeaderList {
    const { headers, task, operation } = this.#context
    const passed = headers.flatMap((name, at) =>
      at % 2 === 0 && FORWARDED_HEADERS.test(name) && !OVERWRITTEN_HEADERS.has(name)
        ? [name, headers[at + 1] ?? '']
        : [],
    )
    passed.push('content-type', 'application/json', 'accept-encoding', 'identity')
    return [...passed, 'x-bursar-task', task, 'x-bursar-operation', operation]
  }

  /** The caller's key, where that is its place; nothing else of it is for a provider. */
  get #query(): string {
    return this.#context.query.split('&').find((part) => part.startsWith('key=')) ?? ''
  }

  /** A call that failed, or that does not say what it used, is summed as it was booked. One that was refused is not there. */
  async #addUsage(answer: MemoryResponse, body: Readonly<Record<string, unknown>>): Promise<void> {
    const said = usageIn(answer, body)
    const isSaid = answer.status < 300 && hasUsage(body)
    const used = isSaid ? said : settledUsageOf(await this.#entry(said.callId))
    if (!used) return
    this.#usage = {
      requests: this.#usage.requests + 1,
      inputTokens: this.#usage.inputTokens + used.tokens.input,
      outputTokens: this.#usage.outputTokens + used.tokens.output,
      costNanoUsd: this.#usage.costNanoUsd + used.costNanoUsd,
      simulated: this.#usage.simulated || isSimulated(answer),
    }
  }

  /** Undefined, too, where the ledger is closed already. */
  async #entry(callId: string): Promise<Entry | undefined> {
    try {
      return await this.#context.ledger.entry(callId)
    } catch {
      return undefined
    }
  }

  /** Why a run cannot go on, from an error answer in OpenAI's shape. */
  #failureOf({ status, headers }: MemoryResponse, body: Readonly<Record<string, unknown>>): ModelRequestError {
    const { budget, clock, deadlineMs } = this.#context
    const error = recordOf(body.error)
    const details = recordOf(error.details)
    const message = typeof error.message === 'string' ? error.message : `The call failed with status ${status}.`
    const failing = { status, headers, error }
    // A call has a deadline of its own, which may come in the same moment.
    if (status === 504 && clock.now().monoMs >= deadlineMs) return new ModelRequestError('deadline', message, failing)
    if (status !== 429) return new ModelRequestError('error', message, failing)
    if (budget && details.limit === BUDGET_NAME) {
      const words = `Spending limit reached: ${BUDGET_NAME}. The next call may cost more than is left of the run's $${formatUsd(budget.nanoUsd)}.`
      return new ModelRequestError('budget', words, failing)
    }
    if (error.code === 'insufficient_quota') return new ModelRequestError('budget', message, failing)
    return new ModelRequestError(details.retryable === false ? 'error' : 'rate', message, failing)
  }

  /** Waits for no longer than there is somebody to wait for. */
  async #wait(ms: number): Promise<void> {
    const { gate, signal } = this.#context
    for (let leftMs = ms; leftMs > 0 && !gate.isClosing && !signal.aborted; leftMs -= WAIT_POLL_MS)
      await pause(Math.min(leftMs, WAIT_POLL_MS), signal)
  }
}

function bodyOf(model: string, { system, messages, ...ask }: ModelRequest): object {
  const told =
    system === undefined ? [] : [{ role: 'system' as const, parts: [{ kind: 'text' as const, text: system }] }]
  const neutral: ChatRequest = { model, stream: false, messages: [...told, ...messages], ...ask }
  const target = { model, capField: 'max_completion_tokens', defaultCap: 0 }
  return translatorOf('openai.chat')?.writeRequest(neutral, target).body ?? {}
}

function usageIn({ headers }: MemoryResponse, body: Readonly<Record<string, unknown>>) {
  const usage = recordOf(body.usage)
  return {
    tokens: { input: countOf(usage.prompt_tokens), output: countOf(usage.completion_tokens) },
    costNanoUsd: parseUsd(headers.get('x-bursar-cost-usd') ?? '0') ?? 0n,
    callId: headers.get('x-bursar-call-id') ?? '',
  }
}

/** In figures that the ledger believes, too. */
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

/** When a refused call may be made again, in milliseconds from now. */
function waitMsOf({ headers }: MemoryResponse): number {
  const said = Number(headers.get('retry-after-ms') ?? Number(headers.get('retry-after') ?? Number.NaN) * 1_000)
  const leastMs = headers.get('x-bursar-source') === 'gateway' ? 1 : PROVIDER_WAIT_MS
  return Math.max(leastMs, Number.isFinite(said) ? said : PROVIDER_WAIT_MS)
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    function done() {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
