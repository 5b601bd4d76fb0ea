// Asking: what patterns ask models through. Every ask is a call of its own through the gate: admitted, metered and booked.

import type { Budget } from './admission.ts'
import type { Clock } from './clock.ts'
import type { Meter } from './core/meter.ts'
import { parseUsd } from './core/money.ts'
import type { NeutralAsk } from './core/neutral.ts'
import type { Gate } from './gate.ts'
import { type InnerAnswer, InnerExchange } from './inner-exchange.ts'
import { type Embedded, type ModelAnswer, type ModelAsk, Stopped, type StoppedBy, textOf } from './patterns/pattern.ts'
import { translatorOf } from './translate/index.ts'
import type { Dialect, HeaderList } from './wire/dialect.ts'
import { isRecord, parsedObject, recordOf } from './wire/draft.ts'
import { dialectNamed } from './wire/index.ts'

/** One run of a pattern, and on whose behalf. */
export interface Asking {
  readonly gate: Gate
  readonly clock: Clock
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

/** A model's provider, or the gateway, did not answer as wished. */
export class AskFailed extends Stopped {
  /** As an HTTP client would have seen it. */
  readonly status: number
  readonly retryAfterMs: number | undefined
  readonly details: unknown

  constructor(reason: StoppedBy, message: string, status: number, retryAfterMs?: number, details?: unknown) {
    super(reason, message)
    this.status = status
    this.retryAfterMs = retryAfterMs
    this.details = details
  }
}

/** Set anew, or no business of an inner call. */
const NOT_PASSED = new Set(['content-length', 'content-type', 'idempotency-key', 'x-bursar-task', 'x-bursar-operation'])
/** Of a refusal that does not say when to come back. */
const UNSAID_WAIT_MS = 1_000
const MILLISECONDS_OF_GRACE = 3_600_000

/** A budget of its own for one run. */
export function runBudget(task: string, nanoUsd: bigint, wallMs: number, deadlineInMs: number): Budget {
  const meter: Meter = {
    key: `run:${task}/cost/total`,
    name: 'max_cost_usd',
    who: 'task',
    subject: task,
    what: 'cost',
    span: 'total',
    refill: 'window',
    spanMs: 0,
    // Nobody asks for it once the run is over: it can be forgotten then.
    endsAtMs: wallMs + deadlineInMs + MILLISECONDS_OF_GRACE,
  }
  return { meter, nanoUsd }
}

export class Asker {
  readonly #asking: Asking
  #answered = 0

  constructor(asking: Asking) {
    this.#asking = asking
  }

  /** Throws Stopped. */
  async ask(ask: ModelAsk): Promise<ModelAnswer> {
    const { body, answer } = await this.#call(
      dialectNamed('openai.chat'),
      '/v1/chat/completions',
      bodyOf(this.#asking.model, ask),
    )
    const read = translatorOf('openai.chat')?.readAnswer(body)
    const choice = read?.choices[0]
    if (!read || !choice) throw new AskFailed('error', 'The model gave no answer.', 502)
    return {
      parts: choice.parts,
      stop: choice.stop,
      text: textOf(choice.parts),
      model: read.model,
      simulated: answer.headers.has('x-bursar-simulated'),
      ...costIn(answer, body),
    }
  }

  /** Undefined where no embedding model is configured. Throws Stopped. */
  get embed(): ((texts: readonly string[]) => Promise<Embedded>) | undefined {
    const { embeddingModel } = this.#asking
    if (embeddingModel === undefined) return undefined
    return async (texts) => {
      const input = { model: embeddingModel, input: texts }
      const { body, answer } = await this.#call(dialectNamed('openai.embeddings'), '/v1/embeddings', input)
      const data = Array.isArray(body.data) ? body.data.map(recordOf) : []
      const vectors = data.map(({ embedding }) =>
        Array.isArray(embedding) ? embedding.filter((one) => Number.isFinite(one)) : [],
      )
      const model = typeof body.model === 'string' ? body.model : embeddingModel
      return { vectors, model, ...costIn(answer, body) }
    }
  }

  /** Asks, and asks again where a rate refuses and there is time to wait for it. A run that has nothing yet is not kept waiting. */
  async #call(dialect: Dialect, path: string, input: object) {
    const { clock, deadlineMs, signal } = this.#asking
    const body = Buffer.from(JSON.stringify(input))
    for (;;) {
      const answer = await this.#once(dialect, path, body)
      if (signal.aborted) throw new Stopped('left', 'The caller is gone.')
      if (!answer) throw new AskFailed('error', 'The answer broke off.', 502)
      const read = parsedObject(answer.body.toString()) ?? {}
      if (answer.status < 300) {
        this.#answered += 1
        return { body: read, answer }
      }
      const failure = failureOf(answer, read)
      const waitMs = failure.retryAfterMs ?? UNSAID_WAIT_MS
      const inTime = clock.now().monoMs + waitMs < deadlineMs
      if (failure.reason !== 'rate' || this.#answered === 0 || !inTime) throw failure
      await pause(waitMs, signal)
    }
  }

  async #once(dialect: Dialect, path: string, body: Buffer): Promise<InnerAnswer | undefined> {
    const { gate, headers, query, task, operation, budget, signal, clock, deadlineMs } = this.#asking
    const passed = headers.flatMap((name, at) =>
      at % 2 === 0 && !NOT_PASSED.has(name) ? [name, headers[at + 1] ?? ''] : [],
    )
    passed.push('content-type', 'application/json', 'x-bursar-task', task, 'x-bursar-operation', operation)
    const exchange = new InnerExchange({ path, query, headers: passed, body })
    const leave = () => exchange.leave()
    const timer = setTimeout(leave, Math.max(0, deadlineMs - clock.now().monoMs))
    signal.addEventListener('abort', leave)
    try {
      if (signal.aborted) return undefined
      void gate.call(exchange, dialect, budget ? { budget } : {})
      const answer = await exchange.answer
      if (!answer && !signal.aborted && exchange.left) throw new AskFailed('deadline', 'The run took too long.', 504)
      return answer
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', leave)
    }
  }
}

function bodyOf(model: string, { system, messages, ...ask }: ModelAsk): object {
  const told =
    system === undefined ? [] : [{ role: 'system' as const, parts: [{ kind: 'text' as const, text: system }] }]
  const neutral: NeutralAsk = { model, stream: false, messages: [...told, ...messages], ...ask }
  const target = { model, capField: 'max_completion_tokens', usualCap: 0 }
  return translatorOf('openai.chat')?.writeAsk(neutral, target).body ?? {}
}

function costIn({ headers }: InnerAnswer, body: Readonly<Record<string, unknown>>) {
  const usage = recordOf(body.usage)
  const count = (value: unknown) => (typeof value === 'number' ? value : 0)
  return {
    tokens: { input: count(usage.prompt_tokens), output: count(usage.completion_tokens) },
    costNanoUsd: parseUsd(headers.get('x-bursar-cost-usd') ?? '0') ?? 0n,
    callId: headers.get('x-bursar-call-id') ?? '',
  }
}

/** Why a run cannot go on, from an error answer in OpenAI's shape. */
function failureOf({ status, headers }: InnerAnswer, body: Readonly<Record<string, unknown>>): AskFailed {
  const error = recordOf(body.error)
  const message = typeof error.message === 'string' ? error.message : `The call failed with status ${status}.`
  const wait = Number(headers.get('retry-after-ms') ?? Number(headers.get('retry-after') ?? Number.NaN) * 1_000)
  const retryAfterMs = Number.isFinite(wait) ? wait : undefined
  if (status !== 429) return new AskFailed('error', message, status, retryAfterMs, error.details)
  const details = isRecord(error.details) ? error.details : {}
  const isMoney = error.code === 'insufficient_quota' || details.unit === 'usd'
  const isRate = !isMoney && details.retryable !== false
  return new AskFailed(isMoney ? 'budget' : isRate ? 'rate' : 'error', message, status, retryAfterMs, error.details)
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
