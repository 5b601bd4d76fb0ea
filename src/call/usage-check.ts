// Usage check: whether the usage that an answer reports can be true. It prices nothing.

import { inputTokens, outputTokens, usageOf, usageSum } from '../core/usage.ts'
import type { AnswerUsage } from '../wire/dialect.ts'
import type { AdmittedCall } from './applicant.ts'
import { type SettlementBasis, upperBoundBasis } from './settlement-basis.ts'

/** Usage beyond so many times the model's window, and the call's quote, is no usage. */
const MAX_OVER = 10
/** The same for calls without an upper bound, whose hosted tools read the context again and again. */
const MAX_OVER_UNBOUNDED = 1_000

/** The error of an attempt whose usage cannot be true. */
export const INCREDIBLE_USAGE = 'usage cannot be true'

/**
 * The basis with what its usage cannot be put right. Usage beyond the model's window by orders of magnitude counts as unknown. A
 * prompt has tokens: if none are counted, the input is the most that it can be.
 */
export function checkBasis(basis: SettlementBasis, admitted: AdmittedCall): SettlementBasis {
  const { metered } = basis
  if (!metered) return basis
  const { quote, bounded } = admitted
  const times = bounded ? MAX_OVER : MAX_OVER_UNBOUNDED
  const [input, output] = [inputTokens(metered.usage), outputTokens(metered.usage)]
  const isCredible =
    input <= times * Math.max(quote.contextWindow, quote.inputTokens) &&
    output <= times * Math.max(quote.contextWindow, quote.outputTokens)
  if (!isCredible) return upperBoundBasis(basis.ending, INCREDIBLE_USAGE)
  const isPromptMissing = input === 0 && quote.inputTokens > 0 && output > 0
  if (!isPromptMissing) return metered.isUpperBound ? { ...basis, certainty: 'upperBound' } : basis
  return { ...basis, certainty: 'upperBound', metered: withInput(metered, quote.inputTokens) }
}

function withInput(metered: AnswerUsage, input: number): AnswerUsage {
  return { ...metered, usage: usageSum(metered.usage, usageOf({ input })) }
}
