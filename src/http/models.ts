// Model lists: the models that can be used here, in the shape of the requesting SDK: OpenAI's, Anthropic's or Google's.
// These are no rows of endpoint.ts: answers and errors are in a vendor's shape.

import { type Context, Hono } from 'hono'
import { Problem } from '../core/problem.ts'
import type { Callers } from '../keys/callers.ts'
import { limitsOf } from '../prices/model-limits.ts'
import type { Provider } from '../providers/provider.ts'
import type { Dialect } from '../wire/dialect.ts'
import { dialectNamed } from '../wire/index.ts'
import { problemResponse } from './problems.ts'

export interface ModelParts {
  readonly callers: Callers
  readonly providers: readonly Provider[]
  /** Names of routes, which are used like models. */
  readonly routing: { readonly aliases: readonly string[] }
  /** The known models of a provider, by the provider's name. */
  readonly models: (provider: string) => readonly string[]
}

const SIMULATED_MODELS = [
  'sim/echo',
  'sim/slow',
  'sim/long-500',
  'sim/error-429',
  'sim/error-500',
  'sim/cut',
  'sim/hang',
]

const MAX_SHOWN_CHARACTERS = 128

export function modelRoutes(parts: ModelParts): Hono {
  const app = new Hono()
  app.onError((error, c) => problemResponse(error, formatOf(c).dialect))
  for (const path of ['/v1/models', '/v1beta/models', '/v1alpha/models']) {
    app.get(path, (c) => {
      identifyViewer(parts, c)
      const format = formatOf(c)
      return c.json(format.list(listedModels(parts).filter(format.shows), c))
    })
    app.get(`${path}/:id{.+}`, (c) => {
      identifyViewer(parts, c)
      return c.json(describeModel(parts, formatOf(c), c.req.param('id')))
    })
  }
  return app
}

/** Throws Problem for a request that may not see the models. */
function identifyViewer({ callers }: ModelParts, c: Context): void {
  const { pathname, search } = new URL(c.req.url)
  callers.identifyViewer({ path: pathname, query: search.slice(1), header: (name) => c.req.header(name) })
}

function describeModel(parts: ModelParts, format: ModelListFormat, id: string): object {
  const model = listedModels(parts).find((candidate) => candidate.id === id && format.shows(candidate))
  if (model) return format.describe(model)
  throw new Problem('not_found', `The model ${id.slice(0, MAX_SHOWN_CHARACTERS)} is not known here.`, 'model')
}

interface Model {
  readonly id: string
  readonly provider: Pick<Provider, 'name' | 'dialects' | 'simulated'>
}

function listedModels(parts: ModelParts): Model[] {
  const aliases = parts.routing.aliases.map((id) => ({ id, provider: ALIAS_PROVIDER }))
  const models = parts.providers
    .filter((provider) => provider.configured)
    .flatMap((provider) =>
      (provider.simulated ? SIMULATED_MODELS : parts.models(provider.name)).map((id) => ({ id, provider })),
    )
  return [...aliases, ...models]
}

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
  describe: ({ id, provider }) => ({ id, object: 'model', created: 0, owned_by: provider.name }),
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
  describe: ({ id }) => ({ type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' }),
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
  describe: ({ id, provider }) => {
    const limits = limitsOf(id)
    return {
      name: `models/${id}`,
      displayName: id,
      ...(limits ? { inputTokenLimit: limits.contextWindow, outputTokenLimit: limits.maxOutput } : {}),
      supportedGenerationMethods: provider.simulated
        ? ALL_METHODS
        : limits?.maxOutput === 0
          ? EMBEDDING_METHODS
          : GENERATION_METHODS,
    }
  },
}

const EMBEDDING_METHODS = ['embedContent', 'countTokens']
const GENERATION_METHODS = ['generateContent', 'countTokens']
const ALL_METHODS = ['generateContent', 'embedContent', 'countTokens']

/** Google's newest SDK uses `/v1`, as OpenAI's and Anthropic's do; its headers tell it apart. */
function formatOf(c: Context): ModelListFormat {
  const isGoogle = c.req.header('x-goog-api-key') !== undefined || c.req.header('x-goog-api-client') !== undefined
  if (isGoogle || !c.req.path.startsWith('/v1/')) return GEMINI_FORMAT
  return c.req.header('anthropic-version') === undefined ? OPENAI_FORMAT : ANTHROPIC_FORMAT
}

function parseWholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}
