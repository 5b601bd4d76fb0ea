// The routes of bursar.json: aliases with their targets, and how often a target is asked again.

import { z } from 'zod'
import { NO_ROUTES, type RouteRow, type RouteRows } from '../call/routing.ts'

const MOST_TARGETS = 8
const MOST_RETRIES = 5

const retries = z.number().int().nonnegative().max(MOST_RETRIES)
const target = z.string().min(1).max(512)
const targets = z.tuple([target], target).refine((all) => all.length <= MOST_TARGETS, `must be at most ${MOST_TARGETS}`)

const aliasRow = z.union([
  targets,
  z.strictObject({
    targets,
    retries: retries.exactOptional(),
    onBudget: z.enum(['refuse', 'cheaper']).exactOptional(),
  }),
])

export const patternsShape = z
  .strictObject({
    model: z.string().min(1).max(512).exactOptional(),
    embeddingModel: z.string().min(1).max(512).exactOptional(),
  })
  .default({})

export const routesShape = {
  aliases: z.record(z.string(), aliasRow).default({}),
  retries: retries.default(NO_ROUTES.retries),
}

/** Of a call to an alias, which has asked for it: once more at each target. */
const USUAL_RETRIES = 1

/** The rows with defaults filled in. What is wrong with them is added to `mistakes`. */
export function routeRows(
  file: { readonly aliases: Readonly<Record<string, z.infer<typeof aliasRow>>>; readonly retries: number },
  mistakes: string[],
): RouteRows {
  const aliases = new Map<string, RouteRow>()
  for (const [name, row] of Object.entries(file.aliases)) {
    const given = Array.isArray(row) ? { targets: row } : row
    if (!/^(?!sim\/)\S{1,512}$/.test(name))
      mistakes.push(`aliases.${name}: must be a name without spaces, and not sim/…`)
    const nested = given.targets.find((target) => target !== name && Object.hasOwn(file.aliases, target))
    if (nested !== undefined) mistakes.push(`aliases.${name}: ${nested} is an alias itself`)
    aliases.set(name, { retries: USUAL_RETRIES, onBudget: 'refuse', ...given })
  }
  return { aliases, retries: file.retries }
}
