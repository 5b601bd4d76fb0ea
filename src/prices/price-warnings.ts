// Price warnings: what an operator should know about prices before it costs money: age, announced changes, and models that end.

import { modelNameOf } from '../core/model-name.ts'
import type { EditablePriceBook } from './price-book.ts'
import { fileIdOf, type PriceList, withoutRegion } from './price-list.ts'

const DAY_MS = 86_400_000
export const MAX_AGE_DAYS = 45
const CHANGE_NOTICE_DAYS = 7
const END_NOTICE_DAYS = 60

export interface PriceWarning {
  readonly code: 'prices_old' | 'price_changes' | 'model_ends'
  readonly message: string
}

/** What warnings are about. */
export interface WarningSubjects {
  /** Names that the price book has for the providers that are configured. */
  readonly providers: readonly string[]
  /** The models that are configured: defaults, targets of aliases, models of patterns. */
  readonly models: readonly { readonly provider: string; readonly model: string }[]
}

export function priceWarnings(
  book: Pick<EditablePriceBook, 'find' | 'list'>,
  { providers, models }: WarningSubjects,
  nowMs: number,
): readonly PriceWarning[] {
  const changes = providers.flatMap((provider) => changeWarnings(book.list, provider, nowMs))
  const ends = models.flatMap(({ provider, model }) => endWarnings(book, provider, model, nowMs))
  return [...ageWarning(book.list, nowMs), ...onePerModel(changes), ...onePerModel(ends)]
}

/** A warning, and the model that it is about: the same for all providers that share a list of prices. */
type ModelWarning = readonly [model: string, warning: PriceWarning]

/** The first of each model. */
function onePerModel(warnings: readonly ModelWarning[]): readonly PriceWarning[] {
  const byModel = new Map<string, PriceWarning>()
  for (const [model, warning] of warnings) if (!byModel.has(model)) byModel.set(model, warning)
  return [...byModel.values()]
}

function ageWarning({ date }: PriceList, nowMs: number): readonly PriceWarning[] {
  const ageDays = Math.floor((nowMs - Date.parse(date)) / DAY_MS)
  if (ageDays <= MAX_AGE_DAYS) return []
  const message = `Prices are of ${date}, ${ageDays} days ago. Update bursar, or set PRICES_URL.`
  return [{ code: 'prices_old', message }]
}

function changeWarnings(list: PriceList, priceName: string, nowMs: number): readonly ModelWarning[] {
  const provider = withoutRegion(priceName)
  return list
    .changesWithin(provider, nowMs, nowMs + CHANGE_NOTICE_DAYS * DAY_MS)
    .map(({ model, date }) => [
      `${fileIdOf(provider)}/${model}`,
      { code: 'price_changes', message: `The price of ${provider}/${model} changes on ${date}.` },
    ])
}

function endWarnings(
  book: Pick<EditablePriceBook, 'find'>,
  priceName: string,
  written: string,
  nowMs: number,
): readonly ModelWarning[] {
  const { retirement } = book.find(priceName, written, nowMs)
  if (!retirement || Date.parse(retirement.date) - nowMs > END_NOTICE_DAYS * DAY_MS) return []
  const { date, successor } = retirement
  const provider = withoutRegion(priceName)
  const { model } = modelNameOf(provider, written)
  const verb = Date.parse(date) <= nowMs ? 'ended' : 'ends'
  const advice = successor === undefined ? '' : ` The provider recommends ${successor}.`
  const message = `The model ${provider}/${model} ${verb} on ${date}.${advice}`
  return [[`${fileIdOf(provider)}/${model}`, { code: 'model_ends', message }]]
}
