// Admission: from an ask to a reservation or a refusal. Quotes, sets a cap where that makes a call fit, and reserves.

import type { Clock } from './clock.ts'
import type { Settings } from './config.ts'
import { windowAt } from './core/calendar.ts'
import type { Caller, CallFacts } from './core/entry.ts'
import type { FactoredQuote } from './core/excess.ts'
import type { Short } from './core/levels.ts'
import type { Amounts, LimitPlan, Subjects } from './core/limits.ts'
import type { Charge, Instant, LevelView } from './core/meter.ts'
import { divideUp } from './core/money.ts'
import type { ModelFacts, PriceBook } from './core/prices.ts'
import { Problem } from './core/problem.ts'
import { type Ask, affordableCap, type CountedInput, type Quote, type QuoteSettings, quote } from './core/quote.ts'
import { type Refusal, refusalOf } from './core/refusal.ts'
import type { Provider } from './providers/provider.ts'
import type { Store } from './stores/store.ts'
import type { Countable, Tightening } from './tightening.ts'

/** What of a call is known before it is quoted. */
export interface Applicant {
  readonly callId: string
  readonly caller: Caller
  readonly operation: string | null
  readonly dialect: string
  readonly provider: Provider
  /** As the provider will be asked. */
  readonly model: string
  readonly ask: Ask
  /** What it takes in, where that was counted because its bound did not fit. */
  readonly counted?: CountedInput
}

export type Admitted = {
  readonly admitted: true
  readonly facts: CallFacts
  readonly quote: FactoredQuote
  /** False where something in the call has no bound: hosted tools and the like. */
  readonly bounded: boolean
  readonly levels: readonly LevelView[]
  readonly overlooked: readonly string[]
}

export type Refused = {
  readonly admitted: false
  readonly refusal: Refusal
  readonly quote: Quote
  readonly levels: readonly LevelView[]
}

/** What of a request can be counted. */
export type Sent = Pick<Countable, 'body' | 'headers' | 'callerKey'>

/** Simulated calls have meters of their own: they are limited like real ones, and spend nothing of theirs. */
export const SIMULATED_REALM = 'simulated/'

/** Between looking at what is free and taking it, another replica may take it first. */
const MOST_TRIES = 3
const GRACE_MS = 60_000

export interface AdmissionParts {
  readonly settings: Settings
  readonly store: Store
  readonly prices: PriceBook
  /** Read anew for every call, since limits are reloaded. */
  readonly limits: { readonly plan: LimitPlan; readonly changing: Promise<void> | undefined }
  /** By how much calls were seen to exceed their quotes, in percent of them. */
  readonly recorder: {
    readonly excesses: { percent(provider: string, model: string, bounded: boolean): number }
  }
  readonly random: () => number
  readonly clock: Clock
  readonly tightening: Tightening
}

export class Admission {
  readonly #parts: AdmissionParts
  readonly #quoteSettings: QuoteSettings
  readonly #soft: boolean

  constructor(parts: AdmissionParts) {
    this.#parts = parts
    this.#soft = parts.settings.ENFORCEMENT === 'soft'
    this.#quoteSettings = {
      defaultMaxOutputTokens: parts.settings.DEFAULT_MAX_OUTPUT_TOKENS,
      tokenReservation: parts.settings.TOKEN_RESERVATION,
    }
  }

  /** The most a call can cost, as it would be quoted now. Throws Problem where it cannot be. */
  quote(applicant: Applicant, now: Instant): FactoredQuote {
    const { ask } = applicant
    const facts = this.#facts(applicant, now)
    if (ask.unbounded.length > 0 && this.#parts.settings.UNBOUNDED_CALLS === 'refuse') {
      throw new Problem(
        'unbounded_call',
        `Nobody can bound what this call costs, because of: ${ask.unbounded.join(', ')}.`,
      )
    }
    return this.#affordable(applicant, this.#quoted(applicant, facts), facts)
  }

  /** The charges a quote makes. */
  charges(applicant: Applicant, quoted: Quote, now: Instant): Charge[] {
    const amounts: Amounts = { requests: 1n, tokens: BigInt(quoted.tokens), cost: quoted.costNanoUsd, inFlight: 1n }
    const realm = applicant.provider.simulated ? SIMULATED_REALM : ''
    return this.#parts.limits.plan.chargesFor(subjectsOf(applicant), amounts, now.wallMs, realm, this.#soft)
  }

  /**
   * Reserves the most the call can use. A call without a cap that does not fit the money left gets one, and another try; one
   * that would be refused for the size of its input has that counted, and another try.
   * @param sent what is counted; where it is absent the bound stands
   * Throws Problem for calls that cannot be quoted, StoreUnavailable when the ledger cannot be written.
   */
  async admit(applicant: Applicant, now: Instant, sent?: Sent): Promise<Admitted | Refused> {
    if (this.#parts.limits.changing) await this.#parts.limits.changing
    let quoted = this.quote(applicant, now)
    for (let tries = 1; ; tries++) {
      const charges = this.charges(applicant, quoted, now)
      const facts = this.#callFacts(applicant, quoted, now)
      const expiresAtMs = now.monoMs + this.#parts.settings.UPSTREAM_TIMEOUT_MS + GRACE_MS
      const [answer] = await this.#parts.store.reserve([{ facts, charges, expiresAtMs }], now)
      if (answer?.admitted)
        return {
          admitted: true,
          facts,
          quote: quoted,
          bounded: applicant.ask.unbounded.length === 0,
          levels: answer.levels,
          overlooked: answer.overlooked,
        }
      const short = answer?.short ?? []
      const smaller = tries < MOST_TRIES ? this.#capped(applicant, quoted, short, now) : undefined
      if (!smaller) {
        const counted = sent && (await this.#counted(applicant, sent, short, now))
        if (counted) return this.admit({ ...applicant, counted }, this.#parts.clock.now())
        return this.#refused(applicant, quoted, short, now)
      }
      quoted = smaller
    }
  }

  /** The input of a call that may fit once it is counted; undefined where it could not fit without any input at all. */
  async #counted(
    applicant: Applicant,
    sent: Sent,
    short: readonly Short[],
    now: Instant,
  ): Promise<CountedInput | undefined> {
    const { ask, provider, model, dialect } = applicant
    const boundless = ask.kind !== 'generate' || ask.unsizedInput || ask.unbounded.length > 0
    if (boundless || !short.every((one) => one.charge.meter.what === 'cost')) return undefined
    const cap = ask.outputCap === null ? this.#leastCap : undefined
    const least = this.#quoted({ ...applicant, counted: { all: 0 } }, this.#facts(applicant, now), cap)
    if (short.some((one) => one.level.free < least.costNanoUsd)) return undefined
    return this.#parts.tightening.count({ ...sent, provider, model, dialect })
  }

  #facts(applicant: Applicant, now: Instant): ModelFacts {
    const { provider, model, ask } = applicant
    const listed = this.#parts.prices.find(provider.priceName, model, now.wallMs)
    const found = { ...listed, price: listed.price ?? provider.unlistedPrice }
    if (!this.#parts.settings.ENABLE_COST_TRACKING) return { ...found, price: undefined }
    if (ask.kind === 'count') return found
    if (!found.price && this.#parts.settings.UNKNOWN_PRICE === 'refuse' && this.#parts.limits.plan.limitsMoney) {
      throw new Problem('unknown_price', unknownPrice(provider.priceName, model), 'model')
    }
    return found
  }

  /**
   * A quote. Where calls to the model were seen to cost more than theirs, it is raised by as much, up to the dearest that a
   * call to it can be: all of its window, and its longest answers.
   */
  #quoted(applicant: Applicant, facts: ModelFacts, cap?: number): FactoredQuote {
    const { ask, provider } = applicant
    const plain = quote(ask, facts, provider.rules, this.#quoteSettings, cap, applicant.counted)
    const percent = this.#percent(applicant)
    if (percent === 100n || plain.costNanoUsd === 0n) return plain
    const raised = divideUp(plain.costNanoUsd * percent, 100n)
    const most = { ...ask, unsizedInput: true, outputCap: facts.limits ? null : ask.outputCap }
    const dearest = quote(most, facts, provider.rules, this.#quoteSettings, facts.limits ? undefined : cap).costNanoUsd
    const least = raised < dearest ? raised : dearest
    const costNanoUsd = least > plain.costNanoUsd ? least : plain.costNanoUsd
    return { ...plain, costNanoUsd, plainCostNanoUsd: plain.costNanoUsd }
  }

  #affordableCap(applicant: Applicant, quoted: Quote, budgetNanoUsd: bigint): number {
    const { ask, provider } = applicant
    return affordableCap(ask, quoted, provider.rules, (budgetNanoUsd * 100n) / this.#percent(applicant))
  }

  #percent({ ask, provider, model }: Applicant): bigint {
    return BigInt(this.#parts.recorder.excesses.percent(provider.name, model, ask.unbounded.length === 0))
  }

  /** Without a cap of its own, a call over the ceiling per call gets the largest cap that keeps it under. */
  #affordable(applicant: Applicant, quoted: FactoredQuote, facts: ModelFacts): FactoredQuote {
    if (this.#soft || applicant.ask.outputCap !== null || applicant.ask.kind !== 'generate') return quoted
    const ceiling = this.#parts.limits.plan.ceiling(subjectsOf(applicant), 'cost')
    if (ceiling === undefined || quoted.costNanoUsd <= ceiling) return quoted
    const cap = this.#affordableCap(applicant, quoted, ceiling)
    return cap < this.#leastCap ? quoted : this.#quoted(applicant, facts, cap)
  }

  /**
   * A smaller quote for the money left: half of what is free goes to one call, so that the next one finds some too. Where not
   * even the least cap fits, the quote with that one, so that the refusal says when it will.
   * Undefined where a cap is none of our business, or money is not lacking, or no cap makes the call cheaper.
   */
  #capped(applicant: Applicant, quoted: Quote, short: readonly Short[], now: Instant): FactoredQuote | undefined {
    const { ask } = applicant
    const money = short.filter((one) => one.charge.meter.what === 'cost')
    if (this.#soft || ask.outputCap !== null || ask.kind !== 'generate' || money.length === 0) return undefined
    const free = money.map((one) => one.level.free).reduce((least, one) => (one < least ? one : least))
    const cap = Math.max(this.#affordableCap(applicant, quoted, free / 2n), this.#leastCap)
    const smaller = this.#quoted(applicant, this.#facts(applicant, now), cap)
    return smaller.costNanoUsd < quoted.costNanoUsd ? smaller : undefined
  }

  #refused(applicant: Applicant, quoted: Quote, short: readonly Short[], now: Instant): Refused {
    const zone = this.#parts.limits.plan.timeZone
    const waits = {
      inFlightMs: 1000 + Math.floor(this.#parts.random() * 2000),
      neverMs: Math.max(1, windowAt('day', zone, now.wallMs).endsAtMs - now.wallMs),
    }
    const refusal = refusalOf(short, waits, this.#fittingCap(applicant, quoted, short))
    return { admitted: false, refusal, quote: quoted, levels: short.map((one) => one.level) }
  }

  /** The cap that would have fitted every money limit that refused; null where none would, or money was not it. */
  #fittingCap(applicant: Applicant, quoted: Quote, short: readonly Short[]): number | null {
    if (applicant.ask.kind !== 'generate' || !short.every((one) => one.charge.meter.what === 'cost')) return null
    const caps = short.map((one) => this.#affordableCap(applicant, quoted, one.level.free))
    const cap = Math.min(...caps)
    return cap >= 1 && cap < Number.MAX_SAFE_INTEGER ? cap : null
  }

  #callFacts(applicant: Applicant, quoted: Quote, now: Instant): CallFacts {
    const { ask, provider } = applicant
    return {
      callId: applicant.callId,
      caller: applicant.caller,
      operation: applicant.operation,
      dialect: applicant.dialect,
      provider: provider.name,
      requestedModel: ask.model,
      model: applicant.model,
      reservedAtMs: now.wallMs,
      day: windowAt('day', this.#parts.limits.plan.timeZone, now.wallMs).id.slice(4),
      reservedTokens: quoted.tokens,
      reservedCostNanoUsd: quoted.costNanoUsd,
      priceVersion: quoted.price?.version ?? null,
      costKnown: quoted.price !== undefined,
      streaming: ask.stream,
      capAsked: ask.outputCap,
      capInjected: quoted.injectedCap,
      simulated: provider.simulated,
      metadata: null,
    }
  }

  get #leastCap(): number {
    return this.#parts.settings.MIN_INJECTED_OUTPUT_TOKENS
  }
}

function subjectsOf(applicant: Applicant): Subjects {
  return { caller: applicant.caller, provider: applicant.provider.name, model: applicant.model }
}

/** The message carries the very line to paste. */
function unknownPrice(provider: string, model: string): string {
  const line = JSON.stringify({ prices: [{ provider, model: model.slice(0, 128), input: '1.00', output: '2.00' }] })
  return `The price of ${model.slice(0, 128)} is not known, so its cost cannot be limited. Put its dollars per million tokens into bursar.json, for example ${line}, or set UNKNOWN_PRICE=allow.`
}
