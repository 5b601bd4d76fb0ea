// Excess: calls that cost more than their quote, by model and reason, and how much dearer those models are quoted from then on.

import type { CallFacts, Outcome } from './ledger-entry.ts'
import type { Quote } from './quote.ts'
import { inputTokens, outputTokens } from './usage.ts'

/** What was more than quoted: tokens in, tokens out, or neither, so that it was the price. */
export type OverrunReason = 'input' | 'output' | 'price'

/** A quote that an observed factor may have raised. */
export interface FactoredQuote extends Quote {
  /** What it was before; absent where no factor applied. */
  readonly plainCostNanoUsd?: bigint
}

/** What was seen of one model. */
export interface ModelOverruns {
  readonly provider: string
  readonly model: string
  readonly simulated: boolean
  readonly counts: Readonly<Record<OverrunReason, number>>
  /** What its quotes are multiplied with, in percent: the largest excess there was. 100 where it cannot be said. */
  readonly percent: number
}

type OverrunRecord = {
  readonly provider: string
  readonly model: string
  readonly simulated: boolean
  readonly counts: Record<OverrunReason, number>
  boundedPercent: number
  unboundedPercent: number
}

/** Models told apart; the rest share a name, and are quoted as before. */
const MAX_MODELS = 1_000
const OTHER_MODELS = '(others)'

/**
 * Remembers in memory alone: a restart forgets it, and the first call over its quote brings it back. Calls that nobody can
 * bound have a factor of their own, since a loop of hosted tools says nothing about a call without.
 */
export class QuoteOverruns {
  readonly #records = new Map<string, OverrunRecord>()

  /** Counts a call that cost more than was reserved for it. */
  add(facts: CallFacts, outcome: Outcome, quoted: FactoredQuote, bounded: boolean): OverrunReason {
    const reason = reasonOf(outcome, quoted)
    const known = this.#records.get(keyOf(facts.provider, facts.model))
    const named = known !== undefined || this.#records.size < MAX_MODELS
    const seen = known ?? this.#findOrAddRecord(facts, named)
    seen.counts[reason] += 1
    const plain = quoted.plainCostNanoUsd ?? facts.reservedCostNanoUsd
    if (named && plain > 0n) {
      const percent = Number((outcome.cost.totalNanoUsd * 100n + plain - 1n) / plain)
      if (bounded) seen.boundedPercent = Math.max(seen.boundedPercent, percent)
      else seen.unboundedPercent = Math.max(seen.unboundedPercent, percent)
    }
    return reason
  }

  #findOrAddRecord(facts: CallFacts, named: boolean): OverrunRecord {
    const provider = named || facts.simulated ? facts.provider : OTHER_MODELS
    const model = named ? facts.model : OTHER_MODELS
    const key = keyOf(provider, model)
    const known = this.#records.get(key)
    if (known) return known
    const counts = { input: 0, output: 0, price: 0 }
    const made = { provider, model, simulated: facts.simulated, counts, boundedPercent: 100, unboundedPercent: 100 }
    this.#records.set(key, made)
    return made
  }

  /** What the quotes of a model are to be multiplied with, in percent; 100 for nearly every model. */
  percent(provider: string, model: string, bounded: boolean): number {
    if (this.#records.size === 0) return 100
    const seen = this.#records.get(keyOf(provider, model))
    return (bounded ? seen?.boundedPercent : seen?.unboundedPercent) ?? 100
  }

  models(): ModelOverruns[] {
    return [...this.#records.values()].map(({ boundedPercent, unboundedPercent, ...seen }) => ({
      ...seen,
      percent: Math.max(boundedPercent, unboundedPercent),
    }))
  }
}

/** A provider's name has no line breaks. */
const keyOf = (provider: string, model: string) => `${provider}\n${model}`

function reasonOf({ usage }: Outcome, quoted: Quote): OverrunReason {
  if (inputTokens(usage) > quoted.inputTokens) return 'input'
  return outputTokens(usage) > quoted.outputTokens ? 'output' : 'price'
}
