// Asking: what patterns ask models through. Every ask is a call of its own through the gate: admitted, metered and booked.

import type { Budget } from '../call/admission.ts'
import type { Gate } from '../call/gate.ts'
import type { NeutralAsk } from '../core/chat.ts'
import type { Clock } from '../core/clock.ts'
import { parsedObject, recordOf } from '../core/json-values.ts'
import type { Entry } from '../core/ledger-entry.ts'
import type { Meter } from '../core/meter.ts'
import { formatUsd, parseUsd } from '../core/money.ts'
import { countOf, inputTokens, isCounted, outputTokens } from '../core/usage.ts'
import { type InnerAnswer, InnerExchange } from '../exchange/memory.ts'
import {
  type Embedded,
  type ModelAnswer,
  type ModelAsk,
  Stopped,
  type StoppedBy,
  textOf,
} from '../patterns/pattern/pattern.ts'
import type { Store } from '../stores/store.ts'
import { translatorOf } from '../translate/index.ts'
import type { Dialect, HeaderList } from '../wire/dialect.ts'
import { dialectNamed } from '../wire/index.ts'

/** One run of a pattern, and on whose behalf. */
export interface Asking {
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
export interface Spent {
  readonly requests: number
  readonly input: number
  readonly output: number
  readonly costNanoUsd: bigint
  /** Any of them was answered by the simulated provider. */
  readonly simulated: boolean
}

/** What an HTTP client would have seen of an ask that failed. */
interface Failing {
  readonly status: number
  /** By lower-case name. */
  readonly headers?: ReadonlyMap<string, string>
  /** OpenAI's `error`. */
  readonly error?: Readonly<Record<string, unknown>>
}

/** A model's provider, or the gateway, did not answer as wished. */
export class AskFailed extends Stopped {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly error: Readonly<Record<string, unknown>>

  constructor(reason: StoppedBy, message: string, { status, headers = new Map(), error = {} }: Failing) {
    super(reason, message)
    this.status = status
    this.headers = headers
    this.error = error
  }
}

/** Who asks, and from where. All else in a request's headers is said of that request alone. */
const PASSED = /^(?:authorization|x-api-key|x-goog-api-key|api-key|host|origin|sec-fetch-site|x-bursar-.*)$/
const SET_ANEW = new Set(['x-bursar-task', 'x-bursar-operation'])
/** Of a provider's refusal that does not say when to come back; and the least where it does: it may say anything. */
const PROVIDER_WAIT_MS = 1_000
/** A wait looks up this often: the gateway may be stopping. */
const LOOK_UP_MS = 250
const MILLISECONDS_OF_GRACE = 3_600_000
const BUDGET_NAME = 'max_cost_usd'

/** A budget of its own for one run. */
export function runBudget(run: string, task: string, nanoUsd: bigint, wallMs: number, deadlineInMs: number): Budget {
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
    endsAtMs: wallMs + deadlineInMs + MILLISECONDS_OF_GRACE,
  }
  return { meter, nanoUsd }
}

export class Asker {
  readonly #asking: Asking
  #answered = 0
  #spent: Spent = { requests: 0, input: 0, output: 0, costNanoUsd: 0n, simulated: false }

  constructor(asking: Asking) {
    this.#asking = asking
  }

  get spent(): Spent {
    return this.#spent
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
    if (!read || !choice) throw new AskFailed('error', 'The model gave no answer.', { status: 502 })
    return {
      parts: choice.parts,
      stop: choice.stop,
      text: textOf(choice.parts),
      model: read.model,
      simulated: isSimulated(answer),
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
      if (!answer) throw new AskFailed('error', 'The answer broke off.', { status: 502 })
      const read = parsedObject(answer.body.toString()) ?? {}
      await this.#add(answer, read)
      if (answer.status < 300) {
        this.#answered += 1
        return { body: read, answer }
      }
      const failure = this.#failureOf(answer, read)
      const waitMs = waitOf(answer)
      const inTime = clock.now().monoMs + waitMs < deadlineMs
      if (failure.reason !== 'rate' || this.#answered === 0 || !inTime) throw failure
      await this.#wait(waitMs)
    }
  }

  async #once(dialect: Dialect, path: string, body: Buffer): Promise<InnerAnswer | undefined> {
    const { gate, budget, signal, clock, deadlineMs } = this.#asking
    const exchange = new InnerExchange({ path, query: this.#query, headers: this.#headers, body })
    const leave = () => exchange.leave()
    const timer = setTimeout(leave, Math.max(0, deadlineMs - clock.now().monoMs))
    signal.addEventListener('abort', leave)
    try {
      if (signal.aborted) return undefined
      void gate.call(exchange, dialect, budget ? { budget } : {})
      const answer = await exchange.answer
      if (!answer && !signal.aborted && exchange.left)
        throw new AskFailed('deadline', 'The run took too long.', { status: 504 })
      return answer
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', leave)
    }
  }

  get #headers(): HeaderList {
    const { headers, task, operation } = this.#asking
    const passed = headers.flatMap((name, at) =>
      at % 2 === 0 && PASSED.test(name) && !SET_ANEW.has(name) ? [name, headers[at + 1] ?? ''] : [],
    )
    passed.push('content-type', 'application/json', 'accept-encoding', 'identity')
    return [...passed, 'x-bursar-task', task, 'x-bursar-operation', operation]
  }

  /** The caller's key, where that is its place; nothing else of it is for a provider. */
  get #query(): string {
    return this.#asking.query.split('&').find((part) => part.startsWith('key=')) ?? ''
  }

  /** A call that failed, or that does not say what it used, is summed as it was booked. One that was refused is not there. */
  async #add(answer: InnerAnswer, body: Readonly<Record<string, unknown>>): Promise<void> {
    const said = costIn(answer, body)
    const isSaid = answer.status < 300 && saysUsage(body)
    const used = isSaid ? said : bookedIn(await this.#entry(said.callId))
    if (!used) return
    this.#spent = {
      requests: this.#spent.requests + 1,
      input: this.#spent.input + used.tokens.input,
      output: this.#spent.output + used.tokens.output,
      costNanoUsd: this.#spent.costNanoUsd + used.costNanoUsd,
      simulated: this.#spent.simulated || isSimulated(answer),
    }
  }

  /** Undefined, too, where the ledger is closed already. */
  async #entry(callId: string): Promise<Entry | undefined> {
    try {
      return await this.#asking.ledger.entry(callId)
    } catch {
      return undefined
    }
  }

  /** Why a run cannot go on, from an error answer in OpenAI's shape. */
  #failureOf({ status, headers }: InnerAnswer, body: Readonly<Record<string, unknown>>): AskFailed {
    const { budget, clock, deadlineMs } = this.#asking
    const error = recordOf(body.error)
    const details = recordOf(error.details)
    const message = typeof error.message === 'string' ? error.message : `The call failed with status ${status}.`
    const failing = { status, headers, error }
    // A call has a deadline of its own, which may come in the same moment.
    if (status === 504 && clock.now().monoMs >= deadlineMs) return new AskFailed('deadline', message, failing)
    if (status !== 429) return new AskFailed('error', message, failing)
    if (budget && details.limit === BUDGET_NAME) {
      const words = `The next call may cost more than is left of the run's ${BUDGET_NAME}, $${formatUsd(budget.nanoUsd)}.`
      return new AskFailed('budget', words, failing)
    }
    if (error.code === 'insufficient_quota') return new AskFailed('budget', message, failing)
    return new AskFailed(details.retryable === false ? 'error' : 'rate', message, failing)
  }

  /** Waits for no longer than there is somebody to wait for. */
  async #wait(ms: number): Promise<void> {
    const { gate, signal } = this.#asking
    for (let leftMs = ms; leftMs > 0 && !gate.closing && !signal.aborted; leftMs -= LOOK_UP_MS)
      await pause(Math.min(leftMs, LOOK_UP_MS), signal)
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
  return {
    tokens: { input: countOf(usage.prompt_tokens), output: countOf(usage.completion_tokens) },
    costNanoUsd: parseUsd(headers.get('x-bursar-cost-usd') ?? '0') ?? 0n,
    callId: headers.get('x-bursar-call-id') ?? '',
  }
}

/** In figures that the ledger believes, too. */
function saysUsage(body: Readonly<Record<string, unknown>>): boolean {
  const usage = recordOf(body.usage)
  return isCounted([usage.prompt_tokens, usage.completion_tokens])
}

function bookedIn(entry: Entry | undefined) {
  if (!entry?.outcome) return undefined
  const { usage, cost } = entry.outcome
  return { tokens: { input: inputTokens(usage), output: outputTokens(usage) }, costNanoUsd: cost.totalNanoUsd }
}

function isSimulated({ headers }: InnerAnswer): boolean {
  return headers.has('x-bursar-simulated')
}

/** When a refused call may be made again, in milliseconds from now. */
function waitOf({ headers }: InnerAnswer): number {
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
