// Excess: calls that cost more than their quote, by model and reason. Later quotes of such a model are raised by the observed factor.

import type { CallFacts, Outcome } from './ledger-entry.ts'
import { divideUp } from './money.ts'
import type { Quote } from './quote.ts'
import { inputTokens, outputTokens } from './usage.ts'

/** The part that exceeded the quote: input tokens, output tokens, or, if neither did, the price. */
export type OverrunReason = 'input' | 'output' | 'price'

/** A quote that may have been raised by an observed factor. */
export interface FactoredQuote extends Quote {
  /** The cost before it was raised, in nano-dollars. Absent if no factor applied. */
  readonly plainCostNanoUsd?: bigint
}

/** The overruns of one model. */
export interface ModelOverruns {
  readonly provider: string
  readonly model: string
  readonly simulated: boolean
  readonly counts: Readonly<Record<OverrunReason, number>>
  /** The factor of its quotes, in percent: the largest cost so far in relation to its quote. 100 if none is known. */
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

/** Models with a record of their own. All others share a record, and their quotes are not raised. */
const MAX_MODELS = 1_000
const OTHER_MODELS = '(others)'

/**
 * Records are kept in memory alone: a restart forgets them, and the next overrun brings them back. Calls without an upper bound
 * have a factor of their own, since the cost of a loop of hosted tools says nothing about other calls.
 */
export class QuoteOverruns {
  readonly #records = new Map<string, OverrunRecord>()

  /** Counts a call that cost more than its reservation. @param bounded false if its cost had no upper bound */
  add(facts: CallFacts, outcome: Outcome, quoted: FactoredQuote, bounded: boolean): OverrunReason {
    const reason = reasonOf(outcome, quoted)
    const known = this.#records.get(keyOf(facts.provider, facts.model))
    const isNamed = known !== undefined || this.#records.size < MAX_MODELS
    const record = known ?? this.#findOrAddRecord(facts, isNamed)
    record.counts[reason] += 1
    const plainNanoUsd = quoted.plainCostNanoUsd ?? facts.reservedCostNanoUsd
    if (isNamed && plainNanoUsd > 0n) {
      const percent = Number(divideUp(outcome.cost.totalNanoUsd * 100n, plainNanoUsd))
      if (bounded) record.boundedPercent = Math.max(record.boundedPercent, percent)
      else record.unboundedPercent = Math.max(record.unboundedPercent, percent)
    }
    return reason
  }

  #findOrAddRecord(facts: CallFacts, isNamed: boolean): OverrunRecord {
    const provider = isNamed || facts.simulated ? facts.provider : OTHER_MODELS
    const model = isNamed ? facts.model : OTHER_MODELS
    const key = keyOf(provider, model)
    const known = this.#records.get(key)
    if (known) return known
    const counts = { input: 0, output: 0, price: 0 }
    const record = { provider, model, simulated: facts.simulated, counts, boundedPercent: 100, unboundedPercent: 100 }
    this.#records.set(key, record)
    return record
  }

  /** The factor of a model's quotes, in percent. 100 for nearly every model. */
  percent(provider: string, model: string, bounded: boolean): number {
    if (this.#records.size === 0) return 100
    const record = this.#records.get(keyOf(provider, model))
    return (bounded ? record?.boundedPercent : record?.unboundedPercent) ?? 100
  }

  models(): ModelOverruns[] {
    return [...this.#records.values()].map(({ boundedPercent, unboundedPercent, ...record }) => ({
      ...record,
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
