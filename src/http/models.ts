// Model lists: what can be asked here, in the shape of the SDK that asks: OpenAI's, Anthropic's or Google's.

import { type Context, Hono } from 'hono'
import { Problem } from '../core/problem.ts'
import type { Callers } from '../keys/callers.ts'
import { limitsOf } from '../prices/model-limits.ts'
import type { Provider } from '../providers/provider.ts'
import type { Dialect } from '../wire/dialect.ts'
import { dialectNamed } from '../wire/index.ts'
import { viewerOf } from './problems.ts'

export interface ModelParts {
  readonly callers: Callers
  readonly providers: readonly Provider[]
  /** Names of routes, which stand for models. */
  readonly routing: { readonly aliases: readonly string[] }
  /** Known models of a provider. */
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

export function modelRoutes(parts: ModelParts): Hono {
  const app = new Hono()
  app.onError((error, c) => dialectProblemResponse(error, formatOf(c).dialect))
  for (const path of ['/v1/models', '/v1beta/models', '/v1alpha/models']) {
    app.get(path, (c) => {
      viewerOf(parts, c)
      const shape = formatOf(c)
      return c.json(shape.list(listedModels(parts).filter(shape.shows), c))
    })
    app.get(`${path}/:id{.+}`, (c) => {
      viewerOf(parts, c)
      const shape = formatOf(c)
      const id = c.req.param('id')
      const model = listedModels(parts).find((one) => one.id === id && shape.shows(one))
      if (!model) throw new Problem('not_found', `The model ${id.slice(0, 128)} is not known here.`, 'model')
      return c.json(shape.describe(model))
    })
  }
  return app
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

/** What stands in a provider's place where that is decided by call. */
const ALIAS_PROVIDER: Model['provider'] = { name: 'bursar', dialects: ['gemini.generateContent'], simulated: false }

/** One vendor's way to write models down. */
interface ModelListFormat {
  /** Writes problems. */
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

/** Google's SDKs ask no other vendor's models. */
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

/** Google's newest SDK asks at `/v1`, as OpenAI's and Anthropic's do. */
function formatOf(c: Context): ModelListFormat {
  const isGoogle = c.req.header('x-goog-api-key') !== undefined || c.req.header('x-goog-api-client') !== undefined
  if (isGoogle || !c.req.path.startsWith('/v1/')) return GEMINI_FORMAT
  return c.req.header('anthropic-version') === undefined ? OPENAI_FORMAT : ANTHROPIC_FORMAT
}

function parseWholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}

function dialectProblemResponse(error: Error, dialect: Dialect): Response {
  const problem = error instanceof Problem ? error : new Problem('internal', 'The gateway failed.')
  return new Response(dialect.problemBody(problem, { callId: '', nowMs: 0 }), {
    status: problem.status,
    headers: { 'content-type': 'application/json' },
  })
}
