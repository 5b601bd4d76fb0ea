// Every place where a class of usage counts: run against the sources, or against a copy of them with a class added.

import { pathToFileURL } from 'node:url'
import type { Price } from '../../src/core/prices.ts'
import type { RequestFacts } from '../../src/core/quote.ts'
import type { Usage, UsageClass } from '../../src/core/usage.ts'
import { at, factsOf, outcomeOf, usedOf } from '../stores/calls.ts'
import { realTimers } from '../support/clocks.ts'

/** Imports the parts that follow the table of classes from a folder like `src/`. */
export async function loadSources(folder: string) {
  const load = (path: string) => import(pathToFileURL(`${folder}/${path}`).href)
  const usage: typeof import('../../src/core/usage.ts') = await load('core/usage.ts')
  const prices: typeof import('../../src/core/prices.ts') = await load('core/prices.ts')
  const { quote }: typeof import('../../src/core/quote.ts') = await load('core/quote.ts')
  const { readFileConfig }: typeof import('../../src/config/file.ts') = await load('config/file.ts')
  const { createPriceBook }: typeof import('../../src/prices/price-book.ts') = await load('prices/price-book.ts')
  const views: typeof import('../../src/http/views.ts') = await load('http/views.ts')
  const { MemoryStore }: typeof import('../../src/stores/memory/store.ts') = await load('stores/memory/store.ts')
  const { SqliteStore }: typeof import('../../src/stores/sqlite/store.ts') = await load('stores/sqlite/store.ts')
  return { usage, prices, quote, readFileConfig, createPriceBook, views, MemoryStore, SqliteStore }
}

type Sources = Awaited<ReturnType<typeof loadSources>>

const UNITS = 7
/** Nano-dollars per million units: three for each unit. */
const RATE = 3_000_000n

/** The places that forget a class, as `class: place`. None if the table is followed everywhere. */
export async function forgottenPlaces(sources: Sources): Promise<string[]> {
  const forgotten: string[] = []
  for (const name of sources.usage.USAGE_CLASSES) {
    for (const placesOf of [sumPlaces, pricePlaces, filePlaces, quotePlaces, jsonPlaces, reportPlaces]) {
      for (const [place, holds] of Object.entries(await placesOrError(() => placesOf(sources, name))))
        if (!holds) forgotten.push(`${name}: ${place}`)
    }
  }
  return forgotten
}

/** A place that knows nothing of a class may throw. */
async function placesOrError(places: () => Places | Promise<Places>): Promise<Places> {
  try {
    return await places()
  } catch (error) {
    return { [String(error)]: false }
  }
}

type Places = Readonly<Record<string, boolean>>

/** A usage of that class alone. */
const onlyOf = ({ usage }: Sources, name: UsageClass, units = UNITS): Usage => usage.usageOf({ [name]: units })

function sumPlaces(sources: Sources, name: UsageClass): Places {
  const { usage } = sources
  const { part, isCommon } = usage.CLASS_ROWS[name]
  const only = onlyOf(sources, name)
  const units = (of: Usage) => usage.unitsOf(of, name)
  const others = usage.USAGE_CLASSES.filter((other) => other !== name)
  const sum = usage.usageOf()
  usage.addUsage(sum, only)
  usage.addUsage(sum, only)
  return {
    usageOf: units(only) === UNITS && units(usage.usageOf()) === 0,
    'usageOf: no other class': others.every((other) => usage.unitsOf(only, other) === 0),
    'usageOf: one field, or the shared record': isCommon
      ? only.rare === usage.NO_RARE_UNITS
      : Object.keys(only.rare).join() === name,
    'usageOf: zero': onlyOf(sources, name, 0).rare === usage.NO_RARE_UNITS,
    addUsage: units(sum) === 2 * UNITS && units(only) === UNITS,
    usageSum: units(usage.usageSum(only, only)) === 2 * UNITS && units(only) === UNITS,
    'usageSum: with none': [usage.usageOf(), only].every((left) => {
      const right = left === only ? usage.usageOf() : only
      return units(usage.usageSum(left, right)) === UNITS
    }),
    'usageSum: with another class': others.every((other) => {
      const both = usage.usageSum(onlyOf(sources, other), only)
      return units(both) === UNITS && usage.unitsOf(both, other) === UNITS
    }),
    'largest sum':
      units(usage.usageSum(onlyOf(sources, name, Number.MAX_SAFE_INTEGER), only)) === Number.MAX_SAFE_INTEGER,
    inputTokens: usage.inputTokens(only) === (part === 'input' ? UNITS : 0),
    outputTokens: usage.outputTokens(only) === (part === 'output' ? UNITS : 0),
    totalTokens: usage.totalTokens(only) === (part === 'fee' ? 0 : UNITS),
  }
}

/** A price of that class alone. Nothing follows it: every other rate is given, as zero. */
function priceOf({ usage, prices }: Sources, name: UsageClass, rateOfClass = RATE): Price {
  const rates = Object.fromEntries(usage.USAGE_CLASSES.map((known) => [known, known === name ? rateOfClass : 0n]))
  const stepsAt = (rate: bigint): Price['steps'] => [
    { fromInputTokens: 0, rates: prices.ratesOf({ ...rates, [name]: rate }) },
  ]
  return { version: 'test', steps: stepsAt(rateOfClass), tiers: new Map([['x', stepsAt(rateOfClass * 2n)]]) }
}

function pricePlaces(sources: Sources, name: UsageClass): Places {
  const { usage, prices } = sources
  const { part, rateFrom, pricedPer } = usage.CLASS_ROWS[name]
  const price = priceOf(sources, name)
  const cost = prices.costOf(price, onlyOf(sources, name))
  const tiered = prices.costOf(price, onlyOf(sources, name), 'x')
  const nanoUsd = BigInt(UNITS) * 3n
  const book = sources.createPriceBook()
  book.addPrice('own', 'm', { input: 0, output: 0, [name]: '1' })
  const ownRate = book.find('own', 'm', 0).price?.steps[0].rates[name]
  return {
    'ratesOf: its own': prices.ratesOf({ [name]: 5n })[name] === 5n,
    'ratesOf: its relatives': rateFrom.every((relative) => prices.ratesOf({ [relative]: 5n })[name] === 5n),
    'ratesOf: none': prices.ratesOf({})[name] === 0n,
    costOf: cost.totalNanoUsd === nanoUsd,
    'costOf: input': cost.inputNanoUsd === (part === 'input' ? nanoUsd : 0n),
    'costOf: output': cost.outputNanoUsd === (part === 'output' ? nanoUsd : 0n),
    'costOf: tier': tiered.totalNanoUsd === 2n * nanoUsd,
    isFree: !prices.isFree(price),
    "an operator's price": ownRate === (1_000_000_000n * 1_000_000n) / BigInt(pricedPer),
  }
}

function filePlaces({ readFileConfig }: Sources, name: UsageClass): Places {
  const { prices } = readFileConfig(JSON.stringify({ prices: [{ model: 'm', [name]: '1' }] }))
  return { 'bursar.json': prices[0]?.[name] === '1' }
}

/** A request that may be billed in every class. */
const REQUEST: RequestFacts = {
  kind: 'generate',
  model: 'm',
  stream: false,
  textBytes: 1_000,
  grownBytes: 0,
  toolBytes: 0,
  toolSeparators: 0,
  repeatedBytes: 0,
  callArguments: 0,
  depth: 0,
  messages: 1,
  addedTokens: 0,
  outputCap: 1_000,
  answers: 1,
  prompts: 1,
  predictionBytes: 0,
  tools: true,
  images: 1,
  unsizedInput: true,
  uncountableInput: false,
  audioInput: true,
  audioOutput: true,
  cacheWrite: '12h',
  hostedTools: [],
  unbounded: [
    'web_search',
    'googleMaps',
    'search_parameters',
    'file_search',
    'attachment_search',
    'browser_search',
    'code_interpreter',
    'code_execution',
  ],
  serviceTier: null,
  user: null,
  metadata: null,
}
const RULES = {
  tokensPerCall: 0,
  tokensPerMessage: 0,
  tokensWithTools: 0,
  imageTokens: () => 0,
  capCoversReasoning: true,
  cachesAutomatically: false,
}

function quotePlaces(sources: Sources, name: UsageClass): Places {
  const limits = { contextWindow: 1_000, maxOutput: 1_000, usualOutput: 10 }
  const settings = { defaultMaxOutputTokens: 10, tokenReservation: 'worst' } as const
  const costAt = (rate: bigint) =>
    sources.quote(REQUEST, { price: priceOf(sources, name, rate), limits }, RULES, settings).costNanoUsd
  const units = sources.usage.CLASS_ROWS[name].part === 'fee' ? 1n : 1_000n
  const [cost, doubleCost] = [costAt(RATE), costAt(RATE * 2n)]
  return { quote: cost >= units * 3n && doubleCost > cost }
}

function jsonPlaces(sources: Sources, name: UsageClass): Places {
  const { usage, views } = sources
  const { json, part } = usage.CLASS_ROWS[name]
  const only = onlyOf(sources, name)
  const [classes, schema] =
    part === 'fee' ? [usage.FEE_CLASSES, views.billedUnitsSchema] : [usage.TOKEN_CLASSES, views.tokensByClassSchema]
  return {
    'JSON name': /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(json),
    'JSON: calls': views.usageSchema.parse(usage.usageJson(only))[json] === UNITS,
    'JSON: sums': schema.parse(usage.usageJson(only, classes))[json] === UNITS,
    'JSON: zero': usage.usageJson(usage.usageOf())[json] === 0,
    'JSON: every class': Object.keys(usage.usageJson(only)).length === usage.USAGE_CLASSES.length,
  }
}

async function reportPlaces(sources: Sources, name: UsageClass): Promise<Places> {
  const { usage } = sources
  const { part } = usage.CLASS_ROWS[name]
  const only = onlyOf(sources, name)
  const tokens = part === 'fee' ? 0 : UNITS
  const places: Record<string, boolean> = {}
  const stores = {
    memory: new sources.MemoryStore(),
    sqlite: new sources.SqliteStore(':memory:', { now: at(), timers: realTimers }),
  }
  for (const [kind, store] of Object.entries(stores)) {
    const facts = factsOf('call', { caller: { key: 'k' } })
    const outcome = outcomeOf(0, 1n, { usage: only })
    await store.append([{ kind: 'entry', facts, outcome, charges: [], used: usedOf(0, 1n) }], at())
    const stored = (await store.entry('call'))?.outcome?.usage
    const sums = await store.sums({ who: 'global', what: 'tokens', simulated: false, sinceMs: 0 })
    // The sums of a key are read from the file.
    const total = (await store.figures({ simulated: false })).report.total()
    const ofKey = (await store.figures({ simulated: false, key: 'k' })).report.total()
    const isStored = (known: UsageClass) => stored && usage.unitsOf(stored, known) === usage.unitsOf(only, known)
    places[`${kind}: entry`] = usage.USAGE_CLASSES.every(isStored)
    places[`${kind}: sum of tokens`] = (sums.get('') ?? 0n) === BigInt(tokens)
    for (const [whose, tally] of Object.entries({ total, ofKey })) {
      places[`${kind}: report, ${whose}`] = usage.unitsOf(tally.usage, name) === UNITS && tally.tokens === tokens
    }
    await store.close(at())
  }
  return places
}
