// The prices of bursar.json. It checks each row alone: prices/user-prices.ts makes rates of them.

import { z } from 'zod'
import type { Finding } from './findings.ts'
import { ratesShape, readValue, strictObject, wholeNumber } from './schema.ts'

const tokens = wholeNumber(0).optional()

const priceSchema = strictObject({
  provider: z.string().min(1).default('*'),
  model: z.string().min(1),
  ...ratesShape,
  contextWindow: tokens,
  maxOutput: tokens,
  usualOutput: tokens,
})

const namedSchema = z.object({ provider: z.string().default('*'), model: z.string() })

/** A row of `prices`: dollars for the units of each class, and limits of the model in tokens. */
export type FilePrice = z.infer<typeof priceSchema>

/** The prices of a file. */
export interface ReadPrices {
  /** The rows without mistakes, by their index. */
  readonly rows: ReadonlyMap<number, FilePrice>
  /** The models of all rows, also of those with mistakes. */
  readonly named: readonly { readonly provider: string; readonly model: string }[]
}

/** Reads `prices` of a file. What is wrong with them is added to `mistakes`. */
export function readPrices(value: unknown, mistakes: Finding[]): ReadPrices {
  const written = value === undefined ? [] : (readValue(z.array(z.unknown()), value, ['prices'], mistakes) ?? [])
  const named = written.flatMap((row) => namedSchema.safeParse(row).data ?? [])
  const firstByModel = new Map<string, number>()
  const rows = new Map<number, FilePrice>()
  for (const [index, price] of written.entries()) {
    const place = ['prices', index]
    const row = readValue(priceSchema, price, place, mistakes)
    if (!row) continue
    rows.set(index, row)
    const name = `${row.provider}\n${row.model.trim().toLowerCase()}`
    const first = firstByModel.get(name)
    if (first === undefined) firstByModel.set(name, index)
    else mistakes.push({ place, text: `must not stand beside prices[${first}], which is for the same model` })
  }
  return { rows, named }
}
