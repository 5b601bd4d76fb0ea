// The routes of bursar.json: aliases with their targets, and how often a call is retried.

import { z } from 'zod'
import { type Finding, type Place, shown } from './findings.ts'
import { modelSchema, readEntries, readValue, strictObject, wholeNumber } from './schema.ts'

/** What happens to the tools of a call that the provider runs: they stay, are left out, or the call is refused. */
export const HOSTED_TOOLS_RULES = ['estimate', 'drop', 'refuse'] as const

export type HostedToolsRule = (typeof HOSTED_TOOLS_RULES)[number]

/** One alias, with every default filled in. */
export interface RouteRow {
  /** Models as callers name them, in the order in which they are tried. */
  readonly targets: readonly [string, ...string[]]
  /** How often a target that failed is tried again before the next target. */
  readonly retries: number
  /** What happens if not all targets fit the money left: `refuse` the call, or leave out the most expensive (`cheaper`). */
  readonly onBudget: 'refuse' | 'cheaper'
  /** Absent: the setting HOSTED_TOOLS decides. */
  readonly hostedTools?: HostedToolsRule
}

/** The routes of bursar.json. */
export interface RouteRows {
  readonly aliases: ReadonlyMap<string, RouteRow>
  /** Retries of calls to models that are no alias. Zero by default, because official SDKs retry by themselves. */
  readonly retries: number
}

export const NO_ROUTES: RouteRows = { aliases: new Map(), retries: 0 }

const MAX_TARGETS = 8
const MAX_RETRIES = 5

const retriesSchema = wholeNumber(0, MAX_RETRIES)
const targetsSchema = z
  .tuple([modelSchema], modelSchema)
  .refine((targets) => targets.length <= MAX_TARGETS, `must have at most ${MAX_TARGETS} targets`)

const aliasSchema = strictObject({
  targets: targetsSchema,
  retries: retriesSchema.exactOptional(),
  onBudget: z.enum(['refuse', 'cheaper']).exactOptional(),
  hostedTools: z.enum(HOSTED_TOOLS_RULES).exactOptional(),
})
/** An alias is a list of targets, or an object of targets and options. */
const targetsOnlySchema = z
  .unknown()
  .refine(
    (value) => Array.isArray(value) && value.length > 0,
    `must be a list of 1 to ${MAX_TARGETS} models, ` +
      `or { "targets": [models], "retries": 0 to ${MAX_RETRIES}, "onBudget": "refuse" or "cheaper", ` +
      '"hostedTools": "estimate", "drop" or "refuse" }',
  )
  .pipe(targetsSchema)

export const patternsSchema = strictObject({
  model: modelSchema.exactOptional(),
  embeddingModel: modelSchema.exactOptional(),
})

/** The default for aliases: one more attempt at each target. */
const DEFAULT_ALIAS_RETRIES = 1

/** Reads `aliases` and `retries` of a file, with defaults filled in. What is wrong with them is added to `mistakes`. */
export function readRoutes(
  file: { readonly aliases?: unknown; readonly retries?: unknown },
  mistakes: Finding[],
): RouteRows {
  const aliases = new Map<string, RouteRow>()
  const rows = readEntries(file.aliases, ['aliases'], mistakes)
  const names = new Set(rows.map(([name]) => name))
  for (const [name, written] of rows) {
    const place = ['aliases', name]
    if (!/^(?!sim\/)\S{1,512}$/.test(name))
      mistakes.push({ place, text: 'must be a name without spaces, and not sim/…' })
    const row = readAlias(written, place, mistakes)
    if (!row) continue
    const nested = row.targets.find((target) => target !== name && names.has(target))
    if (nested !== undefined)
      mistakes.push({ place, text: `must name models, and ${shown(nested)} is an alias itself` })
    aliases.set(name, { retries: DEFAULT_ALIAS_RETRIES, onBudget: 'refuse', ...row })
  }
  const retries = file.retries === undefined ? undefined : readValue(retriesSchema, file.retries, ['retries'], mistakes)
  return { aliases, retries: retries ?? NO_ROUTES.retries }
}

function readAlias(written: unknown, place: Place, mistakes: Finding[]) {
  const isObject = typeof written === 'object' && written !== null && !Array.isArray(written)
  if (isObject) return readValue(aliasSchema, written, place, mistakes)
  const targets = readValue(targetsOnlySchema, written, place, mistakes)
  return targets && { targets }
}
