// Prices: rows that are set by PUT /admin/prices, in the words of bursar.json. A row takes the place of the file's row for its model.

import { type Finding, placeText } from '../config/findings.ts'
import { type FilePrice, readPrices } from '../config/prices.ts'
import { Problem } from '../core/problem.ts'
import { compileUserPrices } from '../prices/user-prices.ts'
import type { DocumentDraft } from '../stores/registry.ts'
import type { ConfigurationState, OverrideChange } from './overrides.ts'
import { priceEntries } from './price-entries.ts'

export const MAX_PRICES = 1_000
const MAX_SHOWN_MISTAKES = 10

/** Replaces all rows that are set here. Throws Problem `invalid_request` that names the place of each mistake. */
export function changePrices({ overrides }: ConfigurationState, written: readonly unknown[]): OverrideChange {
  const prices = readRows(written)
  const before = new Map(overrides.prices.map((row) => [priceId(row), row]))
  const after = new Map(prices.map((row) => [priceId(row), row]))
  const changed = [...after].filter(([id, row]) => JSON.stringify(row) !== JSON.stringify(before.get(id)))
  const drafts: DocumentDraft[] = [
    ...[...before.keys()].filter((id) => !after.has(id)).map((id) => ({ kind: 'price' as const, id, value: null })),
    ...changed.map(([id, value]) => ({ kind: 'price' as const, id, value })),
  ]
  return { overrides: { ...overrides, prices }, drafts }
}

function readRows(written: readonly unknown[]): readonly FilePrice[] {
  const mistakes: Finding[] = []
  const rows = [...readPrices(written, mistakes).rows.values()]
  const [first] = mistakes
  if (first) {
    const texts = mistakes.slice(0, MAX_SHOWN_MISTAKES).map(({ place, text }) => `${placeText(place)}: ${text}`)
    throw new Problem('invalid_request', texts.join('; '), placeText(first.place))
  }
  try {
    compileUserPrices(priceEntries(rows))
  } catch (error) {
    if (error instanceof RangeError) throw new Problem('invalid_request', error.message, 'prices')
    throw error
  }
  return rows
}

/** The same for rows of the same model, however its name is written. */
export function priceId({ provider, model }: Pick<FilePrice, 'provider' | 'model'>): string {
  return `${provider}/${model.trim().toLowerCase()}`
}

/** The rows of bursar.json, and whether a row that is set here takes their place. */
export function rowsOfFile({ file, overrides }: ConfigurationState) {
  const ids = new Set(overrides.prices.map(priceId))
  return file.prices.map((row) => ({ row, isReplaced: ids.has(priceId(row)) }))
}
