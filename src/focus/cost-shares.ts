// Cost shares: the cost of a call, split by the classes of units that it used. The shares are the cost, to the nano-dollar.

import type { Cost, Rates } from '../core/prices.ts'
import { CLASS_ROWS, USAGE_CLASSES, type Usage, type UsageClass, unitsOf } from '../core/usage.ts'

/** What a call used of one class, and the part of its cost for that. */
export interface CostShare {
  readonly unitClass: UsageClass
  readonly units: number
  readonly nanoUsd: bigint
}

/** Every call counts as one of these, priced or not. */
const CALL_CLASS = 'requests' satisfies UsageClass

/**
 * A share for each class of tokens that the call used, and for each other class that has a part of the cost. A call without usage is one
 * share of the class `requests`.
 *
 * The cost is split in proportion to rate × units. If that says nothing (no price, or a free one), input and output cost are split by
 * tokens. What rounding leaves goes to the largest share.
 * @param rates nano-dollars per million units; undefined if no price is known
 */
export function costShares(usage: Usage, cost: Cost, rates: Rates | undefined): readonly CostShare[] {
  const used = USAGE_CLASSES.filter((name) => unitsOf(usage, name) > 0)
  const units = used.map((name) => BigInt(unitsOf(usage, name)))
  const weights = used.map((name, index) => (rates ? rates[name] * (units[index] ?? 0n) : 0n))
  const amounts = weights.some((weight) => weight > 0n)
    ? distribute(cost.totalNanoUsd, weights)
    : distributeByPart(cost, used, units)
  const shares = used.map((unitClass, index) => ({
    unitClass,
    units: Number(units[index] ?? 0n),
    nanoUsd: amounts[index] ?? 0n,
  }))
  const shown = shares.filter(({ unitClass, nanoUsd }) => CLASS_ROWS[unitClass].part !== 'fee' || nanoUsd !== 0n)
  if (shown.length > 0) return shown
  return [{ unitClass: CALL_CLASS, units: 1, nanoUsd: cost.totalNanoUsd }]
}

/** Input cost to the classes of input, output cost to those of output, and the rest to the largest class. */
function distributeByPart(cost: Cost, used: readonly UsageClass[], units: readonly bigint[]): bigint[] {
  const weightsOf = (part: 'input' | 'output') =>
    used.map((name, index) => (CLASS_ROWS[name].part === part ? (units[index] ?? 0n) : 0n))
  const input = distribute(cost.inputNanoUsd, weightsOf('input'))
  const output = distribute(cost.outputNanoUsd, weightsOf('output'))
  const amounts = used.map((_, index) => (input[index] ?? 0n) + (output[index] ?? 0n))
  return withRest(amounts, cost.totalNanoUsd, indexOfLargest(units))
}

/** An amount in proportion to weights. Nothing, if all weights are zero. */
function distribute(amount: bigint, weights: readonly bigint[]): bigint[] {
  const sum = weights.reduce((all, weight) => all + weight, 0n)
  if (sum === 0n) return weights.map(() => 0n)
  const amounts = weights.map((weight) => (amount * weight) / sum)
  return withRest(amounts, amount, indexOfLargest(weights))
}

function withRest(amounts: readonly bigint[], total: bigint, place: number): bigint[] {
  const rest = total - amounts.reduce((all, amount) => all + amount, 0n)
  return amounts.map((amount, index) => (index === place ? amount + rest : amount))
}

function indexOfLargest(amounts: readonly bigint[]): number {
  let place = 0
  for (const [index, amount] of amounts.entries()) if (amount > (amounts[place] ?? 0n)) place = index
  return place
}
