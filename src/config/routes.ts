// The routes of bursar.json: aliases with their targets, and how often a target is asked again.

import { z } from 'zod'

/** One alias, with every default filled in. */
export interface RouteRow {
  /** Models as callers name them, the first one first. */
  readonly targets: readonly [string, ...string[]]
  /** How often a target is asked again that could not answer, before the next one is. */
  readonly retries: number
  /** What becomes of a call whose targets do not fit the money left: `cheaper` leaves out the dearest, and tries again. */
  readonly onBudget: 'refuse' | 'cheaper'
}

/** What bursar.json says of routes. */
export interface RouteRows {
  readonly aliases: ReadonlyMap<string, RouteRow>
  /** Retries of calls to models that are no alias. Official SDKs retry by themselves. */
  readonly retries: number
}

export const NO_ROUTES: RouteRows = { aliases: new Map(), retries: 0 }

const MAX_TARGETS = 8
const MAX_RETRIES = 5

const retriesSchema = z.number().int().nonnegative().max(MAX_RETRIES)
const targetSchema = z.string().min(1).max(512)
const targetsSchema = z
  .tuple([targetSchema], targetSchema)
  .refine((all) => all.length <= MAX_TARGETS, `must be at most ${MAX_TARGETS}`)

const aliasRowSchema = z.union([
  targetsSchema,
  z.strictObject({
    targets: targetsSchema,
    retries: retriesSchema.exactOptional(),
    onBudget: z.enum(['refuse', 'cheaper']).exactOptional(),
  }),
])

export const patternsSchema = z
  .strictObject({
    model: z.string().min(1).max(512).exactOptional(),
    embeddingModel: z.string().min(1).max(512).exactOptional(),
  })
  .default({})

export const routeFields = {
  aliases: z.record(z.string(), aliasRowSchema).default({}),
  retries: retriesSchema.default(NO_ROUTES.retries),
}

/** Of a call to an alias, which has asked for it: once more at each target. */
const DEFAULT_ALIAS_RETRIES = 1

/** The rows with defaults filled in. What is wrong with them is added to `mistakes`. */
export function routeRows(
  file: { readonly aliases: Readonly<Record<string, z.infer<typeof aliasRowSchema>>>; readonly retries: number },
  mistakes: string[],
): RouteRows {
  const aliases = new Map<string, RouteRow>()
  for (const [name, row] of Object.entries(file.aliases)) {
    const given = Array.isArray(row) ? { targets: row } : row
    if (!/^(?!sim\/)\S{1,512}$/.test(name))
      mistakes.push(`aliases.${name}: must be a name without spaces, and not sim/…`)
    const nested = given.targets.find((target) => target !== name && Object.hasOwn(file.aliases, target))
    if (nested !== undefined) mistakes.push(`aliases.${name}: ${nested} is an alias itself`)
    aliases.set(name, { retries: DEFAULT_ALIAS_RETRIES, onBudget: 'refuse', ...given })
  }
  return { aliases, retries: file.retries }
}
