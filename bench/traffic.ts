// Traffic: made-up calls of 90 days, for ledgers of any size. The same number of calls is always the same calls. It writes nothing.

import type { Caller, CallFacts, Ending, Outcome, UpstreamLimits } from '../src/core/ledger-entry.ts'
import { type Usage, usageOf } from '../src/core/usage.ts'

export const DAYS = 90
const USERS = 5_000
const KEYS = 50
const PROJECTS = 10
const AGENTS = 12
const CALLS_PER_THREAD = 7
const HOUR_MS = 3_600_000
export const TRAFFIC_MS = DAYS * 24 * HOUR_MS
const OPERATIONS = ['plan', 'search', 'answer', 'review', 'summarize', 'classify']
const PRICE_VERSION = 'prices@2026-11-30#5dfcf624'

export const userName = (index: number) => `user-${index % USERS}`
export const keyName = (index: number) => `key-${index % KEYS}`
const threadName = (index: number) => `thread-${String(index).padStart(8, '0')}`
/** The first of many threads are in every ledger. */
export const isThreadOf = (calls: number) => Math.max(1, Math.floor(calls / CALLS_PER_THREAD / 2))
export const earlyThreadName = (index: number, calls: number) => threadName(index % isThreadOf(calls))

/** A call that has settled. */
export interface TrafficCall {
  readonly facts: CallFacts
  readonly outcome: Outcome
}

/** Nano-dollars per token, cached and not, and of output. */
interface Model {
  readonly provider: string
  readonly dialect: string
  readonly name: string
  readonly input: number
  readonly cached: number
  readonly output: number
}

const models = (provider: string, dialect: string, rows: readonly (readonly [string, number, number, number])[]) =>
  rows.map(([name, input, cached, output]): Model => {
    const [inputNano, cachedNano, outputNano] = [input, cached, output].map((dollars) => Math.round(dollars * 1_000))
    return { provider, dialect, name, input: inputNano ?? 0, cached: cachedNano ?? 0, output: outputNano ?? 0 }
  })

/** Dollars per million tokens. The first are called the most. */
export const MODELS: readonly Model[] = interleave([
  models('openai', 'openai.chat', [
    ['gpt-4o', 2.5, 1.25, 10],
    ['gpt-4o-mini', 0.15, 0.075, 0.6],
    ['gpt-4.1', 2, 0.5, 8],
    ['gpt-4.1-mini', 0.4, 0.1, 1.6],
    ['gpt-4.1-nano', 0.1, 0.025, 0.4],
    ['gpt-5', 1.25, 0.125, 10],
    ['gpt-5-mini', 0.25, 0.025, 2],
    ['gpt-5-nano', 0.05, 0.005, 0.4],
    ['gpt-5.1', 1.25, 0.125, 10],
    ['gpt-4-turbo', 10, 10, 30],
    ['gpt-3.5-turbo', 0.5, 0.5, 1.5],
    ['gpt-4', 30, 30, 60],
  ]),
  models('anthropic', 'anthropic.messages', [
    ['claude-sonnet-4-6', 3, 0.3, 15],
    ['claude-haiku-4-5', 1, 0.1, 5],
    ['claude-opus-4-8', 5, 0.5, 25],
    ['claude-sonnet-5', 2, 0.2, 10],
    ['claude-sonnet-5-5', 2, 0.1, 10],
    ['claude-opus-5', 5, 0.5, 25],
    ['claude-opus-5-5', 4, 0.2, 20],
    ['claude-opus-4-5', 5, 0.5, 25],
    ['claude-opus-4-6', 5, 0.5, 25],
    ['claude-opus-4-7', 5, 0.5, 25],
  ]),
  models('gemini', 'gemini.generateContent', [
    ['gemini-2.5-flash', 0.3, 0.03, 2.5],
    ['gemini-2.5-flash-lite', 0.1, 0.01, 0.4],
    ['gemini-3.5-flash', 1.5, 0.15, 9],
    ['gemini-3.1-flash-lite', 0.25, 0.025, 1.5],
    ['gemini-3.8-flash', 1.5, 0.15, 7.5],
    ['gemini-4-argon', 4, 0.2, 20],
  ]),
  models('mistral', 'openai.chat', [
    ['mistral-small-latest', 0.15, 0.015, 0.6],
    ['mistral-large-latest', 0.5, 0.05, 1.5],
    ['mistral-medium-latest', 1.5, 0.15, 7.5],
    ['ministral-8b-latest', 0.15, 0.015, 0.15],
    ['codestral', 0.3, 0.03, 0.9],
  ]),
  models('deepseek', 'openai.chat', [
    ['deepseek-chat', 0.3, 0.006, 1.2],
    ['deepseek-reasoner', 0.3, 0.006, 1.2],
    ['deepseek-v4-pro', 1.32, 0.044, 3.96],
  ]),
  models('groq', 'openai.chat', [
    ['openai/gpt-oss-120b', 0.15, 0.075, 0.6],
    ['openai/gpt-oss-20b', 0.075, 0.0375, 0.3],
    ['qwen/qwen3.8-27b', 0.8, 0.8, 4],
    ['meta-llama/llama-prompt-guard-2-86m', 0.04, 0.04, 0.04],
  ]),
])

/** The first of each list, then the second of each, … */
function interleave<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(...lists.map((list) => list.length))
  return Array.from({ length: longest }, (_, index) => lists.flatMap((list) => list.slice(index, index + 1))).flat()
}

/** What answers of these providers state: OpenAI two limits, Anthropic four. */
const UPSTREAM_LIMITS: Readonly<Record<string, (tokens: number) => UpstreamLimits>> = {
  openai: (tokens) => ({ ...COMMON_LIMITS, limitTokens: 30_000_000, remainingTokens: 30_000_000 - tokens }),
  anthropic: (tokens) => ({
    ...COMMON_LIMITS,
    limitTokens: 4_800_000,
    remainingTokens: 4_800_000 - tokens,
    others: [
      { name: 'input-tokens', limit: 4_000_000, remaining: 4_000_000 - tokens, resetMs: 0 },
      { name: 'output-tokens', limit: 800_000, remaining: 799_000, resetMs: 0 },
    ],
  }),
}
const COMMON_LIMITS = {
  limitRequests: 10_000,
  remainingRequests: 9_999,
  resetRequestsMs: 6,
  resetTokensMs: 2,
  retryAfterMs: null,
  others: [],
} as const

/** Numbers from 0 to 1, always the same (mulberry32). */
function randomSource(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** How busy each hour before `untilMs` is: office hours of working days the most. */
function hourWeights(fromMs: number): number[] {
  return Array.from({ length: DAYS * 24 }, (_, index) => {
    const date = new Date(fromMs + index * HOUR_MS)
    const isWeekend = date.getUTCDay() % 6 === 0
    const daily = 0.25 + Math.max(0, Math.sin(((date.getUTCHours() - 6) / 15) * Math.PI))
    return isWeekend ? daily * 0.4 : daily
  })
}

/**
 * Calls in the order of their reservations. They differ in person, thread, agent, operation, model, size, duration and how they end.
 * @param untilMs the end of the 90 days, in epoch milliseconds
 */
export function* traffic(count: number, untilMs: number): Generator<TrafficCall> {
  const fromMs = untilMs - TRAFFIC_MS
  const weights = hourWeights(fromMs)
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  const maker = new CallMaker()
  let made = 0
  let weighed = 0
  for (const [hour, weight] of weights.entries()) {
    weighed += weight
    const until = hour === weights.length - 1 ? count : Math.round((count * weighed) / all)
    const inHour = until - made
    for (let index = 0; index < inHour; index++, made++)
      yield maker.next(fromMs + hour * HOUR_MS + Math.floor((index * HOUR_MS) / inHour))
  }
}

class CallMaker {
  readonly #random = randomSource(20_261_130)
  readonly #threads = new Map<number, { name: string; left: number }>()
  #calls = 0
  #threadCount = 0

  next(reservedAtMs: number): TrafficCall {
    const random = this.#random
    const model = MODELS[Math.min(MODELS.length - 1, Math.floor(MODELS.length ** random()) - 1)] ?? NO_MODEL
    const caller = this.#caller()
    const usage = this.#usage(model)
    const streaming = random() < 0.4
    const latencyMs = Math.round(this.#logNormal(1_800, 0.7))
    const ending = endingOf(random())
    const isFree = ending === 'failed'
    const inputNanoUsd = BigInt(
      Math.ceil(usage.input * model.input + usage.cacheRead * model.cached + usage.cacheWrite5m * model.input * 1.25),
    )
    const outputNanoUsd = BigInt(Math.ceil(usage.output * model.output))
    const totalNanoUsd = inputNanoUsd + outputNanoUsd
    const capAsked = random() < 0.6 ? 1_000 : null
    const reservedTokens = usage.input + usage.cacheRead + usage.cacheWrite5m + (capAsked ?? 700)
    const facts: CallFacts = {
      callId: this.#callId(reservedAtMs),
      caller,
      operation: random() < 0.8 ? (OPERATIONS[Math.floor(random() * OPERATIONS.length)] ?? null) : null,
      dialect: model.dialect,
      provider: model.provider,
      requestedModel: model.name,
      model: model.name,
      reservedAtMs,
      day: new Date(reservedAtMs).toISOString().slice(0, 10),
      reservedTokens,
      reservedCostNanoUsd: totalNanoUsd * 3n,
      priceVersion: PRICE_VERSION,
      costKnown: true,
      streaming,
      capAsked,
      capInjected: null,
      simulated: false,
      items: random() < 0.02 ? 1 + Math.floor(random() * 20) : null,
      metadata: null,
      idempotency: null,
    }
    const cost = isFree
      ? { inputNanoUsd: 0n, outputNanoUsd: 0n, totalNanoUsd: 0n }
      : { inputNanoUsd, outputNanoUsd, totalNanoUsd }
    const error = isFree ? 'overloaded' : null
    const attempt = { provider: model.provider, model: model.name, status: isFree ? 503 : 200, durationMs: latencyMs }
    const outcome: Outcome = {
      ending,
      certainty: ending === 'canceled' ? 'estimated' : ending === 'expired' ? 'upperBound' : 'exact',
      usage: isFree ? usageOf() : usage,
      reasoningTokens: model.name.startsWith('gpt-5') ? usage.output >> 1 : 0,
      cost,
      answeredModel: isFree ? null : model.name,
      settledAtMs: reservedAtMs + latencyMs,
      latencyMs,
      timeToFirstTokenMs: isFree ? null : Math.round(latencyMs * (streaming ? 0.2 : 0.95)),
      attempts: ending === 'expired' ? [] : [{ ...attempt, error, costNanoUsd: cost.totalNanoUsd }],
      upstreamLimits: UPSTREAM_LIMITS[model.provider]?.(reservedTokens) ?? null,
    }
    this.#calls++
    return { facts, outcome }
  }

  /** Few people make most calls. */
  #caller(): Caller {
    const random = this.#random
    const user = Math.floor(USERS * random() ** 2)
    let thread = this.#threads.get(user)
    if (!thread || thread.left === 0) {
      thread = { name: threadName(this.#threadCount++), left: 1 + Math.floor(random() * (2 * CALLS_PER_THREAD - 1)) }
      this.#threads.set(user, thread)
    }
    thread.left--
    return {
      key: keyName(user),
      organisation: 'acme',
      project: `project-${user % PROJECTS}`,
      user: userName(user),
      thread: thread.name,
      agent: `agent-${Math.floor(AGENTS * random() ** 2)}`,
      task: null,
      isPerson: false,
    }
  }

  #usage({ provider }: Model): Usage {
    const random = this.#random
    const input = Math.min(100_000, Math.round(this.#logNormal(900, 1.2)))
    const cacheRead = random() < 0.3 ? input >> 1 : 0
    const cacheWrite5m = provider === 'anthropic' && random() < 0.15 ? input >> 2 : 0
    const output = Math.min(16_000, Math.round(this.#logNormal(250, 1)))
    return usageOf({ input: input - cacheRead - cacheWrite5m, cacheRead, cacheWrite5m, output, requests: 1 })
  }

  /** @param sigma of the logarithm */
  #logNormal(median: number, sigma: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random())
    return median * Math.exp(sigma * normal)
  }

  #callId(atMs: number): string {
    const time = atMs.toString(16).padStart(12, '0')
    const count = this.#calls.toString(16).padStart(12, '0')
    const mixed = (Math.imul(this.#calls, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0')
    return `${time.slice(0, 8)}-${time.slice(8)}-7${mixed.slice(0, 3)}-8${mixed.slice(3, 6)}-${count}`
  }
}

const NO_MODEL: Model = { provider: 'openai', dialect: 'openai.chat', name: 'gpt-4o', input: 0, cached: 0, output: 0 }

function endingOf(share: number): Ending {
  if (share < 0.015) return 'failed'
  if (share < 0.025) return 'canceled'
  return share < 0.026 ? 'expired' : 'completed'
}
