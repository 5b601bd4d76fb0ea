// Recorder: what happens after an answer and never in its way: the log line, the newest refusals, what was noticed about providers.

import pino, { type Logger } from 'pino'
import type { CallFacts, Outcome } from '../core/ledger-entry.ts'
import type { Instant } from '../core/meter.ts'
import { formatUsd } from '../core/money.ts'
import type { Problem } from '../core/problem.ts'
import type { Quote } from '../core/quote.ts'
import { type FactoredQuote, QuoteOverruns } from '../core/quote-overruns.ts'
import type { Refusal } from '../core/refusal.ts'
import { Ring } from '../core/ring.ts'
import { SlotCache } from '../core/slot-cache.ts'
import { inputTokens, outputTokens } from '../core/usage.ts'
import type { Store } from '../stores/store.ts'
import { UpstreamLimitTracker } from './upstream-limit-tracker.ts'

/** A refused call, kept for `/llm/explain` as long as the ring has room. It has no row in the ledger: it consumed nothing. */
export interface RefusalRecord {
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

const MAX_KEPT_REFUSALS = 1_000

export class Recorder {
  readonly #log: Logger
  readonly #callLog: CallLogWriter
  readonly #store: Store
  readonly #refused = new Ring<RefusalRecord>(MAX_KEPT_REFUSALS)
  readonly upstreamLimits = new UpstreamLimitTracker()
  /** Calls that cost more than their quote. Booked in full; the promise did not hold for them. */
  readonly quoteOverruns = new QuoteOverruns()

  constructor(log: Logger, store: Store) {
    this.#log = log
    this.#callLog = new CallLogWriter(log)
    this.#store = store
  }

  /** @param ownAccount false where the call was made with the caller's own key: the provider's limits are the caller's, too */
  settled(facts: CallFacts, outcome: Outcome, quoted: Quoted, ownAccount: boolean): void {
    if (outcome.upstreamLimits && !facts.simulated && ownAccount) this.#recordLimits(facts, outcome)
    if (facts.costKnown && outcome.cost.totalNanoUsd > facts.reservedCostNanoUsd)
      this.#recordOverrun(facts, outcome, quoted)
    if (this.#log.isLevelEnabled('info')) this.#callLog.add(formatCallLine(facts, outcome))
  }

  /** Hands on the lines that are waiting. */
  flush(): void {
    this.#callLog.flush()
  }

  /** @param user as the caller declared it */
  refused(call: RefusalRecord, user: string | null, now: Instant): void {
    const { callId, key, model, refusal } = call
    this.#refused.push(call)
    this.#countRefusal(refusal.meter.name, now)
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
    this.#countRefusal(problem.code, now)
    const level = problem.status >= 500 ? 'warn' : 'info'
    this.#log[level]({ call: callId, outcome: 'rejected', reason: problem.code, status: problem.status }, 'call')
  }

  failedUnexpectedly(callId: string, error: unknown): void {
    this.#log.error({ call: callId, err: error }, 'a call failed in the gateway itself')
  }

  findRefusal(callId: string): RefusalRecord | undefined {
    return this.#refused.find((one) => one.callId === callId)
  }

  #recordLimits(facts: CallFacts, outcome: Outcome): void {
    const low = this.upstreamLimits.record(facts, outcome)
    if (!low) return
    const { provider, model } = facts
    this.#log.warn(
      { provider, model, limit: low.name, remaining: low.remaining, of: low.limit, resetMs: low.resetMs },
      'a provider is about to refuse calls: little is left of its own limit',
    )
  }

  #recordOverrun(facts: CallFacts, outcome: Outcome, { quote, bounded }: Quoted): void {
    const reason = this.quoteOverruns.add(facts, outcome, quote, bounded)
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

  #countRefusal(reason: string, now: Instant): void {
    this.#store.append([{ kind: 'refusals', reason, count: 1 }], now).catch((error: unknown) => {
      this.#log.error({ err: error }, 'a refusal could not be counted in the ledger')
    })
  }
}

/** Lines are handed to the log's stream this many characters at a time, or after this long. */
const BATCH_CHARACTERS = 8_192
const BATCH_MS = 50

/** Finished lines on their way to where a log goes: the one line of every call skips the formatting. */
class CallLogWriter {
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
function formatCallLine(facts: CallFacts, outcome: Outcome): string {
  const { caller } = facts
  const error = outcome.attempts.at(-1)?.error ?? null
  return (
    `{"level":30,"time":"${isoTime(outcome.settledAtMs)}","call":"${facts.callId}","key":${jsonString(caller.key)},"user":${JSON.stringify(caller.user)}` +
    `,"model":${jsonString(facts.requestedModel)},"provider":"${facts.provider}"${askedModelField(facts)},"outcome":"${outcome.ending}"` +
    `,"certainty":"${outcome.certainty}","input":${inputTokens(outcome.usage)},"output":${outputTokens(outcome.usage)}` +
    `,"costUsd":"${formatUsd(outcome.cost.totalNanoUsd)}","ms":${outcome.latencyMs},"firstMs":${outcome.timeToFirstTokenMs}` +
    `,"stream":${facts.streaming}${error === null ? '' : `,"error":${jsonString(error)}`},"msg":"call"}`
  )
}

/** The model as the provider was asked for it, where that is not what the caller wrote. */
function askedModelField({ model, requestedModel }: CallFacts): string {
  return model === requestedModel ? '' : `,"asked":${jsonString(model)}`
}

let cachedSecond = -1
let cachedSecondText = ''

/** ISO 8601, with all but the milliseconds remembered for a second. */
function isoTime(wallMs: number): string {
  const whole = Math.floor(wallMs / 1000)
  if (whole !== cachedSecond) {
    cachedSecond = whole
    cachedSecondText = new Date(whole * 1000).toISOString().slice(0, 20)
  }
  return `${cachedSecondText}${String(wallMs - whole * 1000).padStart(3, '0')}Z`
}

/** As JSON strings: the same few names in nearly all calls. */
const jsonStrings = new SlotCache((name) => JSON.stringify(name))

function jsonString(name: string | null): string {
  return name === null ? 'null' : jsonStrings.get(name)
}
