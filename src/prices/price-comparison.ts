// Price comparison: whether a newer price list takes prices away from the one in force. It knows no operator's prices and changes nothing.

import { setImmediate } from 'node:timers/promises'
import { isFree, type ModelLimits, type Price, type PriceSteps, type Rates } from '../core/prices.ts'
import { FEE_CLASSES, TOKEN_CLASSES, USAGE_CLASSES } from '../core/usage.ts'
import { modelNames } from './model-names.ts'
import { fileIdOf, type PriceList, type ServedNames, type Timeline, withoutRegion } from './price-list.ts'
import { spanAt } from './price-spans.ts'

/** Models that are compared before other work can run. */
const MODELS_PER_TURN = 10
/** One model in so many of all may lose its price, or change it by more than `MAX_CHANGE_FACTOR` up or down. */
const MAX_CHANGED_SHARE = 10
/** So many of a provider's models may lose a price or a part of it, or fall; more only up to one in `MAX_CHANGED_SHARE`. */
const MAX_REDUCED_MODELS = 9
/** So many models of all may fall below one in `MAX_FALL_FACTOR` of their price; none of a provider that is configured. */
const MAX_COLLAPSED_MODELS = 9
const MAX_CHANGE_FACTOR = 2n
const MAX_FALL_FACTOR = 10n

const HOUR_MS = 3_600_000
const HOURS_OF_WEEK = 168

/** How a model's price changes, at the worst of its names and times. */
interface Change {
  isLost: boolean
  /** A rate becomes more than `MAX_CHANGE_FACTOR` times higher or lower. */
  isChanged: boolean
  /** A rate becomes more than `MAX_CHANGE_FACTOR` times lower. */
  isFallen: boolean
  /** A rate falls below one in `MAX_FALL_FACTOR`, or all rates to zero. */
  hasCollapsed: boolean
  /** A tier, a region, a fee or a rate of long input is gone. */
  lostPart: string | undefined
}

/** Models that were counted, with the first of them as an example. */
interface Tally {
  count: number
  example: string
}

/** What was counted of a provider, or of all. */
interface Tallies {
  /** Models that have a price. */
  readonly known: Tally
  readonly lost: Tally
  readonly changed: Tally
  /** Models that are lost or fallen, or lose a part of their price. */
  readonly reduced: Tally
  readonly collapsed: Tally
}

/**
 * Throws RangeError for a list that takes prices away, with the reason. Lets other work run in between.
 * @param configured names that the price book has for the providers that are configured
 */
export async function checkSuccessor(
  current: PriceList,
  next: PriceList,
  configured: readonly string[],
  nowMs: number,
): Promise<void> {
  const [missing] = [
    ...limitProblems(current, next),
    ...[...current.servedNames()].flatMap((one) => missingFacts(one, next)),
  ]
  if (missing !== undefined) throw new RangeError(`The price file has ${missing}`)
  const configuredIds = new Set(configured.map((name) => fileIdOf(withoutRegion(name))))
  const all = newTallies()
  const problems: string[] = []
  for (const provider of current.servedNames()) {
    const own = await tallyProvider(provider, current, next, nowMs)
    problems.push(...providerProblems(provider, own))
    if (configuredIds.has(provider.id) && own.collapsed.count > 0)
      problems.push(`less than a tenth of the price of ${own.collapsed.example}, whose provider is configured`)
    for (const name of Object.keys(all) as (keyof Tallies)[]) add(all[name], own[name].example, own[name].count)
  }
  const [problem] = [...sharedProblems(all), ...problems]
  if (problem !== undefined) throw new RangeError(`The price file has ${problem}`)
}

function sharedProblems({ known, lost, changed, collapsed }: Tallies): string[] {
  const ofKnown = (tally: Tally) => `${tally.count} of ${known.count} known models, such as ${tally.example}`
  const problems: [boolean, string][] = [
    [isAboveShare(lost, known), `no price for ${ofKnown(lost)}`],
    [isAboveShare(changed, known), `more than twice or less than half of the price for ${ofKnown(changed)}`],
    [collapsed.count > MAX_COLLAPSED_MODELS, `less than a tenth of the price for ${ofKnown(collapsed)}`],
  ]
  return problems.flatMap(([isProblem, text]) => (isProblem ? [text] : []))
}

/** Reservations rest on the limits of models: shorter ones would reserve less than a call can cost. */
function limitProblems(current: PriceList, next: PriceList): string[] {
  const shrunk = [...current.families].filter(([family, limits]) => isShrunk(limits, next.familyLimits(family)))
  const isProblem = shrunk.length * MAX_CHANGED_SHARE > current.families.size
  return isProblem
    ? [`less than half of the limits of ${shrunk.length} families of models, such as ${shrunk[0]?.[0]}`]
    : []
}

function isShrunk(was: ModelLimits | undefined, is: ModelLimits | undefined): boolean {
  if (!was || !is) return false
  return (['contextWindow', 'maxOutput'] as const).some((name) => is[name] * Number(MAX_CHANGE_FACTOR) < was[name])
}

/** What holds for all models of a provider, and that the next list lacks. */
function missingFacts({ id, facts, models }: ServedNames, next: PriceList): string[] {
  const nextFacts = next.providerFacts(id)
  if (!nextFacts) return models.some(({ isPriced }) => isPriced) ? [`no prices of ${id}`] : []
  const missing = (['rates', 'fees', 'tiers', 'uplifts'] as const).flatMap((kind) => {
    const kept = nextFacts[kind] ?? {}
    return Object.keys(facts[kind] ?? {}).flatMap((name) => (Object.hasOwn(kept, name) ? [] : [`${kind}.${name}`]))
  })
  const unserved = (facts.alsoServes ?? []).filter((other) => !nextFacts.alsoServes?.includes(other))
  return [
    ...missing.map((name) => `no ${name} for all models of ${id}`),
    ...unserved.map((other) => `no price for models of ${other} at ${id}`),
  ]
}

function providerProblems({ id }: ServedNames, { known, lost, reduced }: Tallies): string[] {
  if (known.count > 0 && lost.count === known.count) return [`no prices of ${id}`]
  if (reduced.count <= MAX_REDUCED_MODELS || !isAboveShare(reduced, known)) return []
  const models = `${reduced.count} of ${known.count} models of ${id}, such as ${reduced.example}`
  return [`less of a price, or less than half, for ${models}`]
}

function isAboveShare(part: Tally, whole: Tally): boolean {
  return part.count * MAX_CHANGED_SHARE > whole.count
}

async function tallyProvider(
  { id: provider, models }: ServedNames,
  current: PriceList,
  next: PriceList,
  nowMs: number,
): Promise<Tallies> {
  const tallies = newTallies()
  for (const [index, { id, names, isPriced }] of models.entries()) {
    if (index % MODELS_PER_TURN === 0) await setImmediate()
    const model = `${provider}/${id}`
    if (names.every((name) => current.hasSameRow(next, provider, name))) {
      if (isPriced) add(tallies.known, model)
      continue
    }
    const change = changeOf(provider, names, current, next, nowMs)
    if (!change) continue
    const { isLost, isChanged, isFallen, hasCollapsed, lostPart } = change
    add(tallies.known, model)
    if (isLost) add(tallies.lost, model)
    if (isChanged) add(tallies.changed, model)
    if (isLost || isFallen || lostPart !== undefined)
      add(tallies.reduced, lostPart === undefined ? model : `${lostPart} of ${model}`)
    if (hasCollapsed) add(tallies.collapsed, model)
  }
  return tallies
}

/** Undefined for a model that has no price now, or is free. */
function changeOf(
  provider: string,
  names: readonly string[],
  current: PriceList,
  next: PriceList,
  nowMs: number,
): Change | undefined {
  let change: Change | undefined
  for (const name of names) {
    const spellings = modelNames(provider, name)
    const { timeline: before, limits: oldLimits } = current.facts(provider, spellings, name)
    const { timeline: after, limits: newLimits } = next.facts(provider, spellings, name)
    for (const atMs of instantsOf(before, after, nowMs)) {
      const was = priceAt(before, atMs)
      if (!was || isFree(was)) continue
      change ??= { isLost: false, isChanged: false, isFallen: false, hasCollapsed: false, lostPart: undefined }
      compare(was, priceAt(after, atMs), change)
    }
    if (change && isShrunk(oldLimits, newLimits)) change.lostPart ??= 'half of the limits'
  }
  return change
}

/** Now and all later times at which one of the prices may be another; every hour of a week if prices depend on the hour. */
function instantsOf(before: Timeline, after: Timeline, nowMs: number): readonly number[] {
  if (before.spans.length === 1 && after.spans.length === 1) return [nowMs]
  const spans = [...before.spans, ...after.spans]
  const starts = new Set([nowMs, ...spans.map(({ fromMs }) => fromMs).filter((fromMs) => fromMs > nowMs)])
  if (!spans.some(({ hours }) => hours)) return [...starts]
  const hours = Array.from({ length: HOURS_OF_WEEK }, (_, hour) => hour * HOUR_MS)
  return [...starts].flatMap((start) => hours.map((passedMs) => start + passedMs))
}

function priceAt({ spans, prices }: Timeline, atMs: number): Price | undefined {
  return prices[spanAt(spans, atMs)]
}

function compare(was: Price, is: Price | undefined, change: Change): void {
  if (!is || isFree(is)) {
    change.isLost = true
    if (is) change.hasCollapsed = true
    return
  }
  for (const [oldRates, newRates] of ratePairs(was.steps, is.steps)) {
    for (const name of TOKEN_CLASSES) {
      const isFallen = newRates[name] * MAX_CHANGE_FACTOR < oldRates[name]
      if (isFallen) change.isFallen = true
      const isUsual = name === 'input' || name === 'output'
      if (isUsual && (isFallen || newRates[name] > oldRates[name] * MAX_CHANGE_FACTOR)) change.isChanged = true
    }
    for (const name of FEE_CLASSES) if (oldRates[name] > 0n && newRates[name] === 0n) change.lostPart ??= name
  }
  const tiers = [...was.tiers].flatMap(([tier, steps]) => ratePairs(steps, is.tiers.get(tier) ?? is.steps))
  for (const [oldRates, newRates] of [...ratePairs(was.steps, is.steps), ...tiers])
    if (USAGE_CLASSES.some((name) => newRates[name] * MAX_FALL_FACTOR < oldRates[name])) change.hasCollapsed = true
  for (const tier of was.tiers.keys()) if (!is.tiers.has(tier)) change.lostPart ??= `tier ${tier}`
  if (was.steps.length > 1 && is.steps.length === 1) change.lostPart ??= 'the price of long input'
}

/** The rates of the shortest and of the longest input. */
function ratePairs(was: PriceSteps, is: PriceSteps): readonly (readonly [Rates, Rates])[] {
  const ratesAt = (steps: PriceSteps, index: number) => (steps.at(index) ?? steps[0]).rates
  return [0, -1].map((index) => [ratesAt(was, index), ratesAt(is, index)] as const)
}

function newTallies(): Tallies {
  const tally = (): Tally => ({ count: 0, example: '' })
  return { known: tally(), lost: tally(), changed: tally(), reduced: tally(), collapsed: tally() }
}

function add(tally: Tally, example: string, count = 1): void {
  tally.example ||= example
  tally.count += count
}
