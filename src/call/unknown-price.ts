// Unknown price: the refusal of a model whose price is not known, with the line for bursar.json that makes the model known.

import { formatUsd } from '../core/money.ts'
import type { PriceBook, Rates } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import type { UsageClass } from '../core/usage.ts'

const MAX_NAME_CHARACTERS = 128

/** The prices that a row should have. All others follow from these. */
const TOKEN_CLASSES: readonly UsageClass[] = ['input', 'output', 'cacheRead', 'cacheWrite5m']

/** What a row has if no model is near. */
const EXAMPLE_ROW = { input: '1.00', output: '2.00' }

/** The message carries the very line to paste, with the figures of the nearest model that is known. */
export function unknownPriceProblem(prices: PriceBook, priceName: string, model: string, atMs: number): Problem {
  const provider = priceName.replace(/\+.*/, '')
  const name = model.slice(0, MAX_NAME_CHARACTERS)
  const sibling = prices.sibling(provider, name, atMs)
  const known = sibling === undefined ? undefined : rowOf(prices, provider, sibling, atMs)
  const line = JSON.stringify({ prices: [{ provider, model: name, ...(known?.row ?? EXAMPLE_ROW) }] })
  const origin =
    known === undefined
      ? `for example ${line}`
      : `for example this line, which has the figures of ${sibling}${known.caveat}; check them against the provider's page: ${line}`
  const [prefix] = name.split('/')
  const hint = name.includes('/') ? ` If ${prefix} is meant as a provider, it needs a row in bursar.json.` : ''
  const message = `The price of ${name} is not known, so its cost cannot be limited. Put its dollars per million tokens into bursar.json, ${origin}, or set UNKNOWN_PRICE=allow.${hint}`
  return new Problem('unknown_price', message, 'model')
}

function rowOf(prices: PriceBook, provider: string, model: string, atMs: number) {
  const { price, limits } = prices.find(provider, model, atMs)
  if (!price) return undefined
  const [{ rates }, later] = price.steps
  const row = {
    ...Object.fromEntries(TOKEN_CLASSES.map((name) => [name, dollars(rates, name)])),
    ...(limits ? { contextWindow: limits.contextWindow, maxOutput: limits.maxOutput } : {}),
  }
  const caveat = later ? `, whose price is higher from ${later.fromInputTokens} tokens of input on` : ''
  return { row, caveat }
}

/** Dollars per million tokens. */
function dollars(rates: Rates, name: UsageClass): string {
  return formatUsd(rates[name])
}
