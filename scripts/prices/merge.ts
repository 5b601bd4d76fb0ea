// Merge: makes the price file out of genai-prices, litellm's map and the corrections. Pure; update.ts gets and writes the files.

import type {
  FileModel,
  FileNames,
  FilePrice,
  FileProvider,
  FileRates,
  FileSpan,
  FileTiers,
  PriceFile,
} from '../../src/prices/price-file.ts'
import { findModel } from '../../src/prices/price-file.ts'
import { CLASS_OF_KEY } from './classes.ts'
import { addClaudeUplift, addLitellmFacts, litellmModels } from './litellm.ts'
import { percentOf } from './percent.ts'
import { withMediaRates } from './routed.ts'
import type {
  Correction,
  GenaiConstraint,
  GenaiMatch,
  GenaiModel,
  GenaiProvider,
  GenaiRates,
  LitellmMap,
} from './sources.ts'

export interface PriceSources {
  /** The day of the merge: YYYY-MM-DD. */
  readonly date: string
  readonly versions: Readonly<Record<string, string>>
  readonly genai: readonly GenaiProvider[]
  readonly litellm: LitellmMap
  readonly corrections: readonly Correction[]
  readonly providers: Readonly<Record<string, Omit<FileProvider, 'models'>>>
  readonly limits: PriceFile['limits']
}

/** The price file. Throws if a correction names a model that does not exist. */
export function mergePrices(sources: PriceSources): PriceFile {
  const { date, versions, genai, litellm, corrections, limits } = sources
  const providers: Record<string, FileProvider> = {}
  for (const { id, fallbacks, models } of genai) {
    const listed = models.map((model) => addLitellmFacts(id, modelOf(model, date), litellm))
    providers[id] = {
      ...(fallbacks.length > 0 ? { alsoServes: [...fallbacks] } : {}),
      ...sources.providers[id],
      models: [...listed, ...litellmModels(id, litellm, listed)].map((model) => addClaudeUplift(id, model)),
    }
  }
  for (const correction of corrections) {
    const provider = providers[correction.provider]
    if (!provider) throw new Error(`No such provider: ${correction.provider}/${correction.model}`)
    providers[correction.provider] = { ...provider, models: corrected(provider.models, correction) }
  }
  const router = providers.openrouter
  if (router) {
    const modelsOf = (id: string) => providers[id]?.models ?? []
    providers.openrouter = { ...router, models: router.models.flatMap((model) => withMediaRates(model, modelsOf)) }
  }
  return { format: 1, date, sources: versions, limits, providers }
}

function modelOf(model: GenaiModel, date: string): FileModel {
  const startOf = (constraint: GenaiConstraint) => (constraint && 'from' in constraint ? constraint.from : '')
  const startsByNow = model.prices.map(({ constraint }) => startOf(constraint)).filter((start) => start <= date)
  const currentStart = startsByNow.sort().at(-1) ?? ''
  return {
    id: model.id,
    names: namesOf(model.match),
    spans: model.prices.map(({ constraint, prices }) => {
      const start = startOf(constraint)
      const rates = ratesOf(prices)
      // The rates of tiers are known from today on. For older spans their percentages are.
      const isOver = constraint === null || 'from' in constraint ? start < currentStart : false
      const tiers = isOver
        ? currentPercents(model, currentStart, date)
        : tiersOf(model, rates, start > date ? start : date)
      return { ...whenOf(constraint), rates, ...(Object.keys(tiers).length > 0 ? { tiers } : {}) }
    }),
    ...(model.deprecated ? { isDeprecated: true } : {}),
  }
}

function currentPercents(model: GenaiModel, currentStart: string, date: string): FileTiers {
  const current = model.prices.find(
    ({ constraint }) => constraint && 'from' in constraint && constraint.from === currentStart,
  )
  const tiers = tiersOf(model, ratesOf(current?.prices ?? {}), date)
  return Object.fromEntries(Object.entries(tiers).filter(([, rates]) => typeof rates === 'number'))
}

function whenOf(constraint: GenaiConstraint): Pick<FileSpan, 'from' | 'hours'> {
  if (constraint === null) return {}
  if ('from' in constraint) return { from: constraint.from }
  const [from, to] = constraint.utc
  return { hours: { utcOffsetMinutes: 0, daily: [[from, to]], weekdays: [1, 2, 3, 4, 5, 6, 7] } }
}

/** A class that several keys join has the highest of their prices. */
function ratesOf(prices: GenaiRates): FileRates {
  const rates: FileRates = {}
  for (const [key, price] of Object.entries(prices)) {
    const name = CLASS_OF_KEY[key]
    if (name === undefined) throw new Error(`A price key that classes.ts does not name: ${key}`)
    const other = rates[name]
    if (other === undefined || baseOf(price) > baseOf(other)) rates[name] = price
  }
  return rates
}

function baseOf(price: FilePrice): number {
  return typeof price === 'number' ? price : price.base
}

/** genai-prices resolves variants first to last, for each key by itself. */
function tiersOf(model: GenaiModel, standard: FileRates, atDate: string): FileTiers {
  const rates = new Map<string, FileRates>()
  for (const { when, constraint, prices } of model.variants) {
    const name = when.service_tier ?? when.speed ?? when.processing
    if (name === undefined || name === 'default' || Object.keys(when).length > 1) continue
    if (constraint && (!('from' in constraint) || constraint.from > atDate)) continue
    rates.set(name, { ...ratesOf(prices), ...rates.get(name) })
  }
  return Object.fromEntries([...rates].map(([name, ownRates]) => [name, percentOf(ownRates, standard) ?? ownRates]))
}

type MutableNames = { -readonly [Key in keyof FileNames]: FileNames[Key] }

function namesOf(match: GenaiMatch): FileNames {
  const names: MutableNames = {}
  const add = (key: keyof FileNames, text: string): void => {
    names[key] = [...(names[key] ?? []), text]
  }
  for (const part of 'or_' in match ? match.or_ : [match]) {
    if ('equals' in part) add('equals', part.equals.toLowerCase())
    else if ('starts_with' in part) add('startsWith', part.starts_with.toLowerCase())
    else if ('ends_with' in part) add('endsWith', part.ends_with.toLowerCase())
    else if ('contains' in part) add('contains', part.contains.toLowerCase())
    else add('pattern', patternOf(part))
  }
  return names
}

/** A condition with several parts becomes a look-ahead for each. */
function patternOf(match: GenaiMatch): string {
  if ('regex' in match) return match.regex
  if ('starts_with' in match) return `^${literal(match.starts_with)}`
  if ('and_' in match) return `^${match.and_.map((part) => `(?=${patternOf(part).replace(/^\^/, '')})`).join('')}`
  throw new Error(`A condition that merge.ts does not know: ${JSON.stringify(match)}`)
}

function literal(text: string): string {
  return text.toLowerCase().replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}

function corrected(models: readonly FileModel[], correction: Correction): FileModel[] {
  const { model: id, isUnknown, source, date } = correction
  const index = models.findIndex((model) => model.id === id)
  const listed = models[index]
  if (isUnknown) {
    if (!listed) throw new Error(`No such model: ${correction.provider}/${id}`)
    return models.filter((model) => model !== listed)
  }
  const target = correction.as === undefined ? listed : models.find((model) => model.id === correction.as)
  if (correction.as !== undefined && !target) throw new Error(`No such model: ${correction.provider}/${correction.as}`)
  const names = listed ? namesWith(listed.names, id) : { equals: [id, ...(correction.otherNames ?? [])] }
  const base: FileModel = { ...(target ?? { spans: [{ rates: {} }] }), id, names }
  const spans = (correction.spans ?? base.spans).map((span) => ({
    ...span,
    rates: { ...span.rates, ...correction.set } as FileRates,
    ...(correction.tiers || span.tiers ? { tiers: { ...span.tiers, ...correction.tiers } } : {}),
  }))
  const model: FileModel = {
    ...base,
    spans: [...spans, ...(correction.laterSpans ?? [])],
    ...(correction.uplifts ? { uplifts: correction.uplifts } : {}),
    ...(correction.ends ? { ends: correction.ends } : {}),
    source: `${source}, ${date}`,
  }
  if (listed) return models.map((other) => (other === listed ? model : other))
  // Before the others: a name of its own wins over another model's rule for many names.
  return [model, ...models]
}

function namesWith(names: FileNames, id: string): FileNames {
  const isFound = findModel([{ id, names, spans: [] }], id) !== undefined
  return isFound ? names : { ...names, equals: [...(names.equals ?? []), id] }
}
