// Model lists: the models that can be used here, in the shape of the requesting SDK: OpenAI's, Anthropic's or Google's.
// These are no rows of endpoint.ts: answers and errors are in a vendor's shape.

import { type Context, Hono } from 'hono'
import type { Clock } from '../core/clock.ts'
import { formatUsd } from '../core/money.ts'
import type { ModelFacts, Price } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import { CLASS_ROWS, USAGE_CLASSES } from '../core/usage.ts'
import type { Callers } from '../keys/callers.ts'
import type { PermittedModels } from '../keys/permitted-models.ts'
import { SIMULATED_MODELS } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import type { Dialect } from '../wire/dialect.ts'
import { dialectNamed } from '../wire/index.ts'
import { exchangeOf, pathBelowMount } from './hono-request.ts'
import { problemResponse } from './problems.ts'

export interface ModelParts {
  readonly callers: Callers
  readonly clock: Clock
  readonly providers: readonly Provider[]
  /** Names of routes, which are used like models. */
  readonly routing: {
    readonly aliases: readonly string[]
    /** The targets of an alias now. */
    targetsOfAlias(name: string, wallMs: number): readonly { readonly provider: string; readonly model: string }[]
  }
  /** The models that a provider serves now, by the provider's name. */
  readonly models: (provider: string) => readonly KnownModel[]
  /** When the list of models was made, in epoch milliseconds. */
  readonly listedAtMs: () => number
}

export interface KnownModel {
  /** The name under which callers ask for the model. */
  readonly id: string
  readonly facts: ModelFacts
}

const MAX_SHOWN_CHARACTERS = 128

export function modelRoutes(parts: ModelParts): Hono {
  const app = new Hono()
  app.onError((error, c) => problemResponse(error, formatOf(c).dialect))
  for (const path of ['/v1/models', '/v1beta/models', '/v1alpha/models']) {
    app.get(path, async (c) => {
      const models = await modelsForViewer(parts, c)
      const format = formatOf(c)
      return c.json(format.list(models.filter(format.shows), c))
    })
    app.get(`${path}/:id{.+}`, async (c) => {
      const models = await modelsForViewer(parts, c)
      return c.json(describeModel(models, formatOf(c), c.req.param('id')))
    })
  }
  return app
}

/** The models that the sender of a request may use. Rejects with Problem for a request that may not see any. */
async function modelsForViewer(parts: ModelParts, c: Context): Promise<Model[]> {
  const viewer = await parts.callers.identifyViewer(exchangeOf(c))
  const permitted = viewer.role === 'key' ? viewer.record.permitted : undefined
  const models = listedModels(parts)
  return permitted ? models.filter((model) => isPermitted(permitted, model, parts)) : models
}

/** An alias is, if any of its targets is: calls to it go to those. */
function isPermitted(permitted: PermittedModels, { id, provider }: Model, { routing, clock }: ModelParts): boolean {
  if (provider === ALIAS_PROVIDER) {
    const targets = routing.targetsOfAlias(id, clock.now().wallMs)
    return targets.some((target) => permitted.permits(target.provider, target.model, id))
  }
  const prefix = `${provider.name}/`
  return permitted.permits(provider.name, id.startsWith(prefix) ? id.slice(prefix.length) : id)
}

function describeModel(models: readonly Model[], format: ModelListFormat, id: string): object {
  const model = models.find((candidate) => candidate.id === id && format.shows(candidate))
  if (model) return format.describe(model)
  throw new Problem('not_found', `The model ${id.slice(0, MAX_SHOWN_CHARACTERS)} is not known here.`, 'model')
}

interface Model extends KnownModel {
  readonly listedAtMs: number
  readonly provider: Pick<Provider, 'name' | 'dialects' | 'simulated'>
}

function listedModels(parts: ModelParts): Model[] {
  const aliases = parts.routing.aliases.map((id) => ({ id, facts: UNKNOWN_FACTS, provider: ALIAS_PROVIDER }))
  const models = parts.providers
    .filter((provider) => provider.configured)
    .flatMap((provider) => {
      const known = provider.simulated ? simulatedModels(parts) : parts.models(provider.name)
      return known.map((model) => ({ ...model, provider }))
    })
  const listedAtMs = parts.listedAtMs()
  return [...aliases, ...models].map((model) => ({ ...model, listedAtMs }))
}

/** All of them have the facts of the one that the price book lists. */
function simulatedModels(parts: ModelParts): KnownModel[] {
  const [listed] = parts.models('simulated')
  return SIMULATED_MODELS.map((id) => ({ id, facts: listed?.facts ?? UNKNOWN_FACTS }))
}

const UNKNOWN_FACTS: ModelFacts = { price: undefined, limits: undefined }

/** Named as the provider of aliases: each call decides which provider it is. */
const ALIAS_PROVIDER: Model['provider'] = { name: 'bursar', dialects: ['gemini.generateContent'], simulated: false }

/** How one vendor lists models. */
interface ModelListFormat {
  /** The dialect of errors. */
  readonly dialect: Dialect
  shows(model: Model): boolean
  list(models: readonly Model[], c: Context): object
  describe(model: Model): object
}

const OPENAI_FORMAT: ModelListFormat = {
  dialect: dialectNamed('openai.chat'),
  shows: () => true,
  list: (models) => ({ object: 'list', data: models.map(OPENAI_FORMAT.describe) }),
  describe: ({ id, provider, facts: { limits, price, retirement }, listedAtMs }) => ({
    id,
    object: 'model',
    // Since when the list has the model as it is. Days on which models came out are not known.
    created: Math.floor(listedAtMs / 1_000),
    owned_by: provider.name,
    shutdown_date: retirement?.date ?? null,
    // OpenAI has no fields for what follows. Others that copy its list have these.
    ...(limits ? { context_window: limits.contextWindow, max_output_tokens: limits.maxOutput } : {}),
    ...(price ? { pricing: pricingJson(price) } : {}),
  }),
}

const ANTHROPIC_FORMAT: ModelListFormat = {
  dialect: dialectNamed('anthropic.messages'),
  shows: () => true,
  list: (models) => ({
    data: models.map(ANTHROPIC_FORMAT.describe),
    has_more: false,
    first_id: models[0]?.id ?? null,
    last_id: models.at(-1)?.id ?? null,
  }),
  describe: ({ id, facts: { limits, price, retirement } }) => ({
    type: 'model',
    id,
    display_name: id,
    created_at: '1970-01-01T00:00:00Z',
    lifecycle: retirement ? 'deprecated' : 'active',
    deprecated_at: null,
    retires_at: retirement ? `${retirement.date}T00:00:00Z` : null,
    line: null,
    capabilities: null,
    max_input_tokens: limits?.contextWindow ?? null,
    max_tokens: limits?.maxOutput ?? null,
    ...(price ? { pricing: pricingJson(price) } : {}),
  }),
}

/** Google's SDKs use no other vendor's models. */
const GEMINI_FORMAT: ModelListFormat = {
  dialect: dialectNamed('gemini.generateContent'),
  shows: ({ provider }) => provider.dialects.includes('gemini.generateContent'),
  list: (models, c) => {
    const from = parseWholeNumber(c.req.query('pageToken')) ?? 0
    const to = from + (parseWholeNumber(c.req.query('pageSize')) || models.length)
    const page = { models: models.slice(from, to).map(GEMINI_FORMAT.describe) }
    return to < models.length ? { ...page, nextPageToken: `${to}` } : page
  },
  describe: ({ id, provider, facts: { limits, price } }) => {
    return {
      name: `models/${id}`,
      displayName: id,
      ...(limits ? { inputTokenLimit: limits.contextWindow, outputTokenLimit: limits.maxOutput } : {}),
      supportedGenerationMethods: provider.simulated
        ? ALL_METHODS
        : limits?.maxOutput === 0
          ? EMBEDDING_METHODS
          : GENERATION_METHODS,
      ...(price ? { pricing: pricingJson(price) } : {}),
    }
  },
}

/**
 * The standard rates as decimal dollars: for a million tokens, or for a thousand units that are no tokens. A class that is left
 * out costs what its nearest relative costs.
 */
function pricingJson({ steps }: Price): object {
  const json: Record<string, unknown> = {}
  for (const [index, { fromInputTokens, rates }] of steps.entries()) {
    const step: Record<string, string> = {}
    for (const name of USAGE_CLASSES) {
      const { json: key, pricedPer, rateFrom } = CLASS_ROWS[name]
      const [relative] = rateFrom
      const isOwn = relative === undefined ? rates[name] > 0n : rates[name] !== rates[relative]
      if (isOwn || name === 'input' || name === 'output')
        step[key] = formatUsd((rates[name] * BigInt(pricedPer)) / 1_000_000n)
    }
    if (index === 0) Object.assign(json, step)
    else json[`from_${fromInputTokens}_input_tokens`] = step
  }
  return json
}

const EMBEDDING_METHODS = ['embedContent', 'countTokens']
const GENERATION_METHODS = ['generateContent', 'countTokens']
const ALL_METHODS = ['generateContent', 'embedContent', 'countTokens']

/** Google's newest SDK uses `/v1`, as OpenAI's and Anthropic's do; its headers tell it apart. */
function formatOf(c: Context): ModelListFormat {
  const isGoogle = c.req.header('x-goog-api-key') !== undefined || c.req.header('x-goog-api-client') !== undefined
  if (isGoogle || !pathBelowMount(c).startsWith('/v1/')) return GEMINI_FORMAT
  return c.req.header('anthropic-version') === undefined ? OPENAI_FORMAT : ANTHROPIC_FORMAT
}

function parseWholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}
