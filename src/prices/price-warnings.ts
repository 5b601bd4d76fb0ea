// Price warnings: what an operator should know about prices before it costs money: age, announced changes, and models that end.

import type { EditablePriceBook } from './price-book.ts'
import type { PriceList } from './price-list.ts'

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
  const ends = models.flatMap(({ provider, model }) => endWarning(book, provider, model, nowMs))
  const changes = [...new Set(providers)].flatMap((provider) => changeWarnings(book.list, provider, nowMs))
  return [...ageWarning(book.list, nowMs), ...changes, ...new Map(ends.map((one) => [one.message, one])).values()]
}

function ageWarning({ date }: PriceList, nowMs: number): readonly PriceWarning[] {
  const ageDays = Math.floor((nowMs - Date.parse(date)) / DAY_MS)
  if (ageDays <= MAX_AGE_DAYS) return []
  const message = `Prices are of ${date}, ${ageDays} days ago. Update bursar, or set PRICES_URL.`
  return [{ code: 'prices_old', message }]
}

function changeWarnings(list: PriceList, provider: string, nowMs: number): readonly PriceWarning[] {
  return list.changesWithin(provider, nowMs, nowMs + CHANGE_NOTICE_DAYS * DAY_MS).map(({ model, date }) => ({
    code: 'price_changes',
    message: `The price of ${provider}/${model} changes on ${date}.`,
  }))
}

function endWarning(
  book: Pick<EditablePriceBook, 'find'>,
  provider: string,
  model: string,
  nowMs: number,
): readonly PriceWarning[] {
  const { retirement } = book.find(provider, model, nowMs)
  if (!retirement || Date.parse(retirement.date) - nowMs > END_NOTICE_DAYS * DAY_MS) return []
  const { date, successor } = retirement
  const verb = Date.parse(date) <= nowMs ? 'ended' : 'ends'
  const advice = successor === undefined ? '' : ` The provider recommends ${successor}.`
  return [{ code: 'model_ends', message: `The model ${provider}/${model} ${verb} on ${date}.${advice}` }]
}
