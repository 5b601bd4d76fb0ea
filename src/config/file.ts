// Config: one table of environment settings, and the shape of bursar.json. Reads neither the environment nor files itself.

import { z } from 'zod'
import type { Span } from '../core/calendar.ts'
import { DEFAULT_REFILLS, type Limit, SCOPED_BY, WHO } from '../core/limits.ts'
import type { Refill, What, Who } from '../core/meter.ts'
import { parseUsd } from '../core/money.ts'
import { NO_PROVIDER_ROWS, type ProviderRows } from '../providers/index.ts'
import { ConfigError } from './config-error.ts'
import { providerRows, providersSchema } from './providers.ts'
import { NO_ROUTES, patternsSchema, type RouteRows, routeFields, routeRows } from './routes.ts'
import type { Environment } from './settings.ts'

const usdText = z.union([z.string(), z.number()]).transform((value, context) => {
  const nanoUsd = parseUsd(String(value))
  if (nanoUsd === undefined) context.addIssue('expected decimal dollars, such as "2.50"')
  return nanoUsd ?? 0n
})
const wholeNumber = z.number().int().nonnegative().transform(BigInt)
const tokenCount = z.number().int().nonnegative()
const rate = z
  .union([z.string(), z.number()])
  .refine((value) => parseUsd(String(value)) !== undefined, 'expected decimal dollars per million tokens')

/** A limit's amount, plain or with how it is kept. */
function limitValue<Amount extends z.ZodType<bigint>>(amount: Amount) {
  return z.union([
    amount.transform((capacity) => ({ amount: capacity, refill: undefined, enforce: true })),
    z.strictObject({ amount, refill: z.enum(['steady', 'window']).optional(), enforce: z.boolean().default(true) }),
  ])
}

/** `requestsPerMinute`, `costPerDay`, `tokensPerCall`, `inFlight`, …: every row of the what × span table. */
const LIMIT_NAMES: ReadonlyMap<string, { readonly what: What; readonly span: Span; readonly refill: Refill }> = new Map(
  (Object.entries(DEFAULT_REFILLS) as [What, Partial<Record<Span, Refill>>][]).flatMap(([what, spans]) =>
    (Object.entries(spans) as [Span, Refill][]).map(([span, refill]) => [
      what === 'inFlight' ? what : `${what}Per${span.charAt(0).toUpperCase()}${span.slice(1)}`,
      { what, span, refill },
    ]),
  ),
)

const limitSet = z.strictObject(
  Object.fromEntries(
    [...LIMIT_NAMES].map(([name, { what }]) => [name, limitValue(what === 'cost' ? usdText : wholeNumber).optional()]),
  ),
)

const priceSchema = z.strictObject({
  provider: z.string().default('*'),
  model: z.string().min(1),
  input: rate.optional(),
  output: rate.optional(),
  cacheRead: rate.optional(),
  cacheWrite5m: rate.optional(),
  cacheWrite1h: rate.optional(),
  audioInput: rate.optional(),
  audioOutput: rate.optional(),
  imageOutput: rate.optional(),
  contextWindow: tokenCount.optional(),
  maxOutput: tokenCount.optional(),
  usualOutput: tokenCount.optional(),
})

const fileSchema = z.strictObject({
  $schema: z.string().optional(),
  ...routeFields,
  patterns: patternsSchema,
  providers: providersSchema,
  limits: z.record(z.string(), limitSet).default({}),
  prices: z.array(priceSchema).default([]),
})

export type FilePrice = z.infer<typeof priceSchema>

export interface PatternModels {
  readonly model?: string
  readonly embeddingModel?: string
}

export interface FileConfig {
  readonly limits: readonly Limit[]
  readonly prices: readonly FilePrice[]
  readonly providers: ProviderRows
  readonly routes: RouteRows
  /** The models that patterns ask where a request names none. */
  readonly patterns: PatternModels
}

/** What an empty bursar.json says, and none at all. */
export const EMPTY_FILE_CONFIG: FileConfig = {
  limits: [],
  prices: [],
  providers: NO_PROVIDER_ROWS,
  routes: NO_ROUTES,
  patterns: {},
}

/**
 * Reads the text of bursar.json. Throws ConfigError with every mistake and where it is.
 * @param env where keys written as `$NAME` are looked up
 */
export function readFileConfig(json: string, env: Environment = {}): FileConfig {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw new ConfigError([`not valid JSON: ${error instanceof Error ? error.message : ''}`])
  }
  const parsed = fileSchema.safeParse(value)
  if (!parsed.success) {
    throw new ConfigError(
      parsed.error.issues.map((issue) => `${issue.path.map(String).join('.') || 'file'}: ${issue.message}`),
    )
  }
  const mistakes: string[] = []
  const limits: Limit[] = []
  for (const [subject, set] of Object.entries(parsed.data.limits)) {
    const scope = scopeOf(subject)
    if (!scope)
      mistakes.push(
        `limits.${subject}: expected global, per${WHO.slice(1).map(capitalize).join(', per')}, or who:subject such as key:alice`,
      )
    else if (!isCompleteScope(scope)) mistakes.push(`limits.${subject}: ${SCOPE_HINTS[SCOPED_BY[scope.who] ?? 'key']}`)
    else limits.push(...limitsOf(scope, subject, set, mistakes))
  }
  const providers = providerRows(parsed.data.providers, env, mistakes)
  const routes = routeRows(parsed.data, mistakes)
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return { limits, prices: parsed.data.prices, providers, routes, patterns: parsed.data.patterns }
}

interface Scope {
  readonly who: Who
  readonly subject: string | undefined
}

function scopeOf(name: string): Scope | undefined {
  if (name === 'global') return { who: 'global', subject: undefined }
  const each = WHO.find((who) => who !== 'global' && name === `per${capitalize(who)}`)
  if (each) return { who: each, subject: undefined }
  const colon = name.indexOf(':')
  const who = WHO.find((one) => one === name.slice(0, colon))
  return who && who !== 'global' && colon < name.length - 1 ? { who, subject: name.slice(colon + 1) } : undefined
}

const SCOPE_HINTS = {
  key: 'expected the name of its key in front, such as user:alice/bob, or user:(none)/bob where there are no keys',
  provider: 'expected its provider in front, such as model:openai/gpt-4o',
}

/** False for a subject that no call is: one of two parts that has only the second. */
function isCompleteScope({ who, subject }: Scope): boolean {
  return subject === undefined || SCOPED_BY[who] === undefined || subject.includes('/')
}

function limitsOf(scope: Scope, subject: string, set: z.infer<typeof limitSet>, mistakes: string[]): Limit[] {
  return Object.entries(set).flatMap(([name, value]) => {
    const row = LIMIT_NAMES.get(name)
    if (!row || !value) return []
    const { what, span } = row
    if (
      value.refill === 'steady' &&
      (what === 'cost' || row.refill === 'call' || span === 'month' || span === 'total')
    ) {
      mistakes.push(`limits.${subject}.${name}: cannot refill steadily`)
    }
    const refill = value.refill && row.refill !== 'none' && row.refill !== 'call' ? value.refill : row.refill
    return [{ ...scope, what, span, capacity: value.amount, refill, enforced: value.enforce }]
  })
}

function capitalize(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
