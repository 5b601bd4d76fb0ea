// Price file: the shape of prices.json, its check, and the search for a model in it. It turns no price into money: price-list.ts does.

import { z } from 'zod'

/** Dollars. */
const dollars = z.number().nonnegative()

/**
 * Dollars for the units that a price is published for, or a base and the dollars for the whole call once its input is over so
 * many tokens.
 */
const filePrice = z.union([
  dollars,
  z.strictObject({
    base: dollars,
    over: z.record(z.string().regex(/^\d{1,9}$/, 'must be a number of tokens'), dollars),
  }),
])

/** Prices by usage class. A class that this version does not meter is kept and not used. */
const fileRates = z.record(z.string(), filePrice)

/** The rates of service tiers: a percentage of all token rates, or the rates that differ from the standard ones. */
const fileTiers = z.record(z.string(), z.union([z.number().positive(), fileRates]))

const date = z.iso.date('must be a date: YYYY-MM-DD')
const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day: HH:MM')

/** Hours of the week at a provider. `weekdays` are 1 for Monday to 7; the provider's public holidays belong to no weekday. */
const fileHours = z.strictObject({
  utcOffsetMinutes: z.number().int().min(-840).max(840),
  daily: z.array(z.tuple([timeOfDay, timeOfDay])).min(1),
  weekdays: z.array(z.number().int().min(1).max(7)).min(1),
})

const fileSpan = z.strictObject({
  /** The first day, in UTC. */
  from: date.optional(),
  hours: fileHours.optional(),
  rates: fileRates,
  tiers: fileTiers.optional(),
})

/** The names of a model, in lower case, as genai-prices writes them. A name that matches any of these is the model's. */
const fileNames = z.strictObject({
  equals: z.array(z.string()).optional(),
  startsWith: z.array(z.string()).optional(),
  endsWith: z.array(z.string()).optional(),
  contains: z.array(z.string()).optional(),
  pattern: z.array(z.string().refine(isPattern, 'must be a regular expression')).optional(),
})

const fileModel = z.strictObject({
  id: z.string(),
  names: fileNames,
  /** The last span that holds counts, or the first if none holds. */
  spans: z.array(fileSpan).min(1),
  /** Context window and longest answer, in tokens. */
  limits: z.tuple([z.number().int(), z.number().int()]).optional(),
  /** Percent of all token rates by region. */
  uplifts: z.record(z.string(), z.number().positive()).optional(),
  /** The day on which the provider stops serving the model. */
  ends: date.optional(),
  successor: z.string().optional(),
  isDeprecated: z.literal(true).optional(),
  /** The source of the figures that differ from those of genai-prices. */
  source: z.string().optional(),
})

const fileProvider = z.strictObject({
  /** The providers whose models this one serves as well. */
  alsoServes: z.array(z.string()).optional(),
  /** For models that have no such rate, tier or uplift of their own. */
  rates: fileRates.optional(),
  /** For every model that this provider serves, whatever the model's own row says. */
  fees: fileRates.optional(),
  tiers: fileTiers.optional(),
  uplifts: z.record(z.string(), z.number().positive()).optional(),
  holidays: z.array(date).optional(),
  models: z.array(fileModel),
})

const priceFile = z.strictObject({
  format: z.literal(1),
  /** The day on which the file was made. */
  date,
  /** Versions of the packages that the figures come from. */
  sources: z.record(z.string(), z.string()),
  /** By family: context window, longest answer, usual answer, in tokens. */
  limits: z.record(z.string(), z.tuple([z.number().int(), z.number().int(), z.number().int()])),
  providers: z.record(z.string(), fileProvider),
})

export type FilePrice = z.infer<typeof filePrice>
export type FileRates = z.infer<typeof fileRates>
export type FileTiers = z.infer<typeof fileTiers>
export type FileHours = z.infer<typeof fileHours>
export type FileSpan = z.infer<typeof fileSpan>
export type FileNames = z.infer<typeof fileNames>
export type FileModel = z.infer<typeof fileModel>
export type FileProvider = z.infer<typeof fileProvider>
export type PriceFile = z.infer<typeof priceFile>

function isPattern(text: string): boolean {
  try {
    new RegExp(text)
    return true
  } catch {
    return false
  }
}

/** Parses and checks a price file. Throws a RangeError that names the first mistake and where it is. */
export function readPriceFile(text: string): PriceFile {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new RangeError('The price file is not JSON.')
  }
  const checked = priceFile.safeParse(json)
  if (checked.success) return checked.data
  const [issue] = checked.error.issues
  throw new RangeError(`The price file is not valid at ${issue?.path.join('.') || 'its top'}: ${issue?.message}.`)
}

/** Whether a model costs anything, now or at another time. */
export function isPricedModel({ spans }: FileModel): boolean {
  return spans.some(({ rates }) =>
    Object.values(rates).some((price) => (typeof price === 'number' ? price : price.base) > 0),
  )
}

/** The model of a list that a name in lower case belongs to: the first one that matches. */
export function findModel(models: readonly FileModel[], name: string): FileModel | undefined {
  return models.find(({ names }) => matches(names, name))
}

function matches(names: FileNames, name: string): boolean {
  return (
    (names.equals?.includes(name) ?? false) ||
    (names.startsWith?.some((text) => name.startsWith(text)) ?? false) ||
    (names.endsWith?.some((text) => name.endsWith(text)) ?? false) ||
    (names.contains?.some((text) => name.includes(text)) ?? false) ||
    (names.pattern?.some((text) => new RegExp(text).test(name)) ?? false)
  )
}
