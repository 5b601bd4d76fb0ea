// File: the shape of bursar.json. It reads neither files nor the environment itself.

import { z } from 'zod'
import { describeIssue } from '../core/issue-text.ts'
import type { Limit } from '../core/limits.ts'
import { NO_PROVIDER_ROWS, type ProviderRows } from '../providers/index.ts'
import { ConfigError } from './config-error.ts'
import { limitsSchema, readLimits } from './limits.ts'
import { providersSchema, readProviders } from './providers.ts'
import { NO_ROUTES, patternsSchema, type RouteRows, readRoutes, routeFields } from './routes.ts'
import { mistakesOf, ratesShape, strictObject, wholeNumber } from './schema.ts'
import type { Environment } from './settings.ts'

const tokens = wholeNumber(0).optional()

const priceSchema = strictObject({
  provider: z.string().default('*'),
  model: z.string().min(1),
  ...ratesShape,
  contextWindow: tokens,
  maxOutput: tokens,
  usualOutput: tokens,
})

const fileSchema = strictObject({
  $schema: z.string().optional(),
  ...routeFields,
  patterns: patternsSchema,
  providers: providersSchema,
  limits: limitsSchema,
  prices: z.array(priceSchema).default([]),
})

/** A row of `prices`: dollars for the units of each class, and limits of the model in tokens. */
export type FilePrice = z.infer<typeof priceSchema>

/** The models that patterns use if a request names none. */
export interface PatternModels {
  readonly model?: string
  readonly embeddingModel?: string
}

/** What bursar.json says, with every default filled in. */
export interface FileConfig {
  readonly limits: readonly Limit[]
  readonly prices: readonly FilePrice[]
  readonly providers: ProviderRows
  readonly routes: RouteRows
  readonly patterns: PatternModels
}

/** The configuration of an empty bursar.json, and of none. */
export const EMPTY_FILE_CONFIG: FileConfig = {
  limits: [],
  prices: [],
  providers: NO_PROVIDER_ROWS,
  routes: NO_ROUTES,
  patterns: {},
}

/**
 * Reads the text of bursar.json. Throws ConfigError with every mistake and its place.
 * @param env where keys written as `$NAME` are looked up
 */
export function readFileConfig(json: string, env: Environment = {}): FileConfig {
  const parsed = fileSchema.safeParse(parseJson(json), { error: describeIssue })
  if (!parsed.success) throw new ConfigError(mistakesOf(parsed.error))
  const mistakes: string[] = []
  const limits = readLimits(parsed.data.limits, mistakes)
  const providers = readProviders(parsed.data.providers, env, mistakes)
  const routes = readRoutes(parsed.data, mistakes)
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return { limits, prices: parsed.data.prices, providers, routes, patterns: parsed.data.patterns }
}

/** V8's message is a reason, and sometimes a quotation of the text around it. The quotation may hold a key. */
const ENGINE_MESSAGE = /^(.*?)(?:, (?:\.\.\.)?"(.*)"(?:\.\.\.)? is not valid JSON)?$/s

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    const message = error instanceof Error ? error.message : ''
    const [, reason = '', quoted] = ENGINE_MESSAGE.exec(message) ?? []
    const line = quoted === undefined ? '' : ` near line ${json.slice(0, json.indexOf(quoted)).split('\n').length}`
    throw new ConfigError([`file: must be valid JSON: ${reason}${line}`])
  }
}
