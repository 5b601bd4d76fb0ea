// Prices: GET and PUT /admin/prices, the rows of bursar.json's `prices` that are set here, and live from the next call on.

import { z } from 'zod'
import type { LiveConfiguration } from '../overrides/overrides.ts'
import { changePrices, MAX_PRICES, rowsOfFile } from '../overrides/prices.ts'
import { endpointsFor } from './endpoint.ts'

export interface PriceParts {
  readonly live: LiveConfiguration
}

const endpoint = endpointsFor<PriceParts>()

/** In the words of bursar.json. */
const rowSchema = z.looseObject({ provider: z.string(), model: z.string() })
const answerSchema = z.strictObject({
  /** The rows that are set here; PUT takes them back as they are. */
  prices: z.array(rowSchema),
  /** The rows of bursar.json, with those in whose place a row that is set here holds. */
  file_prices: z.array(z.strictObject({ source: z.literal('bursar.json'), replaced: z.boolean(), price: rowSchema })),
})

export const PRICES = endpoint({
  method: 'GET',
  path: '/admin/prices',
  role: 'admin',
  summary: 'The prices that are set here, and those of bursar.json.',
  answer: answerSchema,
}).handle(({ live }) => ({ answer: pricesJson(live.state) }))

export const SET_PRICES = endpoint({
  method: 'PUT',
  path: '/admin/prices',
  role: 'admin',
  summary: 'Replaces all prices that are set here, from the next call on. A row goes before the one of bursar.json.',
  body: z.strictObject({ prices: z.array(z.unknown()).max(MAX_PRICES) }),
  answer: answerSchema,
}).handle(async ({ live }, { sender, body }) => {
  const { prices } = await body()
  return { answer: pricesJson(await live.change((state) => changePrices(state, prices), sender.actor)) }
})

function pricesJson(state: LiveConfiguration['state']): z.output<typeof answerSchema> {
  return {
    prices: [...state.overrides.prices],
    file_prices: rowsOfFile(state).map(({ row, isReplaced }) => ({
      source: 'bursar.json',
      replaced: isReplaced,
      price: row,
    })),
  }
}
