// Recorder: what happens after an answer and never in its way: the log line, the newest refusals, what was noticed about providers.

import pino, { type Logger } from 'pino'
import type { CallFacts, Outcome } from '../core/ledger-entry.ts'
import type { Instant } from '../core/meter.ts'
import { formatUsd } from '../core/money.ts'
import type { Problem } from '../core/problem.ts'
import type { Quote } from '../core/quote.ts'
import { Excesses, type FactoredQuote } from '../core/quote-excess.ts'
import type { Refusal } from '../core/refusal.ts'
import { Ring } from '../core/ring.ts'
import { Memo } from '../core/slot-cache.ts'
import { inputTokens, outputTokens } from '../core/usage.ts'
import type { Store } from '../stores/store.ts'
import { Upstreams } from './upstream-limits-seen.ts'

/** A refused call, kept for `/llm/explain` as long as the ring has room. It has no row in the ledger: it consumed nothing. */
export interface RefusedCall {
  readonly callId: string
  readonly atMs: number
  readonly key: string | null
  readonly model: string
  readonly provider: string
  readonly refusal: Refusal
  readonly quote: Quote
}

/** What a settled call was quoted, and whether that is the most it could cost. */
interface Quoted {
  readonly quote: FactoredQuote
  readonly bounded: boolean
}

const KEPT_REFUSALS = 1_000

export class Recorder {
  readonly #log: Logger
  readonly #lines: CallLines
  readonly #store: Store
  readonly #refused = new Ring<RefusedCall>(KEPT_REFUSALS)
  readonly upstreams = new Upstreams()
  /** Calls that cost more than their quote. Booked in full; the promise did not hold for them. */
  readonly excesses = new Excesses()

  constructor(log: Logger, store: Store) {
    this.#log = log
    this.#lines = new CallLines(log)
    this.#store = store
  }

  /** @param ownAccount false where the call was made with the caller's own key: the provider's limits are the caller's, too */
  settled(facts: CallFacts, outcome: Outcome, quoted: Quoted, ownAccount: boolean): void {
    if (outcome.upstreamLimits && !facts.simulated && ownAccount) this.#sawLimits(facts, outcome)
    if (facts.costKnown && outcome.cost.totalNanoUsd > facts.reservedCostNanoUsd)
      this.#overQuote(facts, outcome, quoted)
    if (this.#log.isLevelEnabled('info')) this.#lines.add(callLine(facts, outcome))
  }

  /** Hands on the lines that are waiting. */
  flush(): void {
    this.#lines.flush()
  }

  /** @param user as the caller declared it */
  refused(call: RefusedCall, user: string | null, now: Instant): void {
    const { callId, key, model, refusal } = call
    this.#refused.push(call)
    this.#tally(refusal.meter.name, now)
    this.#log.info(
      {
        call: callId,
        key,
        user,
        model,
        outcome: 'refused',
        limit: refusal.meter.name,
        reason: refusal.kind,
        waitMs: refusal.waitMs,
      },
      'call',
    )
  }

  /** A call that could not go on for another reason than a limit. */
  rejected(callId: string, problem: Problem, now: Instant): void {
    this.#tally(problem.code, now)
    const level = problem.status >= 500 ? 'warn' : 'info'
    this.#log[level]({ call: callId, outcome: 'rejected', reason: problem.code, status: problem.status }, 'call')
  }

  failedUnexpectedly(callId: string, error: unknown): void {
    this.#log.error({ call: callId, err: error }, 'a call failed in the gateway itself')
  }

  refusal(callId: string): RefusedCall | undefined {
    return this.#refused.find((one) => one.callId === callId)
  }

  #sawLimits(facts: CallFacts, outcome: Outcome): void {
    const low = this.upstreams.saw(facts, outcome)
    if (!low) return
    const { provider, model } = facts
    this.#log.warn(
      { provider, model, limit: low.name, remaining: low.remaining, of: low.limit, resetMs: low.resetMs },
      'a provider is about to refuse calls: little is left of its own limit',
    )
  }

  #overQuote(facts: CallFacts, outcome: Outcome, { quote, bounded }: Quoted): void {
    const reason = this.excesses.add(facts, outcome, quote, bounded)
    this.#log.warn(
      {
        call: facts.callId,
        provider: facts.provider,
        model: facts.model,
        reason,
        quotedUsd: formatUsd(facts.reservedCostNanoUsd),
        costUsd: formatUsd(outcome.cost.totalNanoUsd),
      },
      'a call cost more than its quote',
    )
  }

  #tally(reason: string, now: Instant): void {
    this.#store.append([{ kind: 'refusals', reason, count: 1 }], now).catch((error: unknown) => {
      this.#log.error({ err: error }, 'a refusal could not be counted in the ledger')
    })
  }
}

/** Lines are handed to the log's stream this many characters at a time, or after this long. */
const BATCH_CHARACTERS = 8_192
const BATCH_MS = 50

/** Finished lines on their way to where a log goes: the one line of every call skips the formatting. */
class CallLines {
  readonly #write: (text: string) => void
  #pending = ''
  #timer: NodeJS.Timeout | undefined

  constructor(log: Logger) {
    const stream: unknown = Reflect.get(log, pino.symbols.streamSym)
    this.#write = isWritable(stream) ? (text) => void stream.write(text) : () => {}
  }

  add(line: string): void {
    this.#pending += `${line}\n`
    if (this.#pending.length >= BATCH_CHARACTERS) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), BATCH_MS).unref()
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#pending !== '') this.#write(this.#pending)
    this.#pending = ''
  }
}

function isWritable(stream: unknown): stream is { write(text: string): unknown } {
  return typeof stream === 'object' && stream !== null && 'write' in stream && typeof stream.write === 'function'
}

/** The line of one call, in pino's shape. Put together by hand: it is written for every call. */
function callLine(facts: CallFacts, outcome: Outcome): string {
  const { caller } = facts
  const error = outcome.attempts.at(-1)?.error ?? null
  return (
    `{"level":30,"time":"${isoTime(outcome.settledAtMs)}","call":"${facts.callId}","key":${quoted(caller.key)},"user":${JSON.stringify(caller.user)}` +
    `,"model":${quoted(facts.requestedModel)},"provider":"${facts.provider}"${askedAs(facts)},"outcome":"${outcome.ending}"` +
    `,"certainty":"${outcome.certainty}","input":${inputTokens(outcome.usage)},"output":${outputTokens(outcome.usage)}` +
    `,"costUsd":"${formatUsd(outcome.cost.totalNanoUsd)}","ms":${outcome.latencyMs},"firstMs":${outcome.timeToFirstTokenMs}` +
    `,"stream":${facts.streaming}${error === null ? '' : `,"error":${quoted(error)}`},"msg":"call"}`
  )
}

/** The model as the provider was asked for it, where that is not what the caller wrote. */
function askedAs({ model, requestedModel }: CallFacts): string {
  return model === requestedModel ? '' : `,"asked":${quoted(model)}`
}

let second = -1
let secondText = ''

/** ISO 8601, with all but the milliseconds remembered for a second. */
function isoTime(wallMs: number): string {
  const whole = Math.floor(wallMs / 1000)
  if (whole !== second) {
    second = whole
    secondText = new Date(whole * 1000).toISOString().slice(0, 20)
  }
  return `${secondText}${String(wallMs - whole * 1000).padStart(3, '0')}Z`
}

/** As JSON strings: the same few names in nearly all calls. */
const literals = new Memo((name) => JSON.stringify(name))

function quoted(name: string | null): string {
  return name === null ? 'null' : literals.of(name)
}
