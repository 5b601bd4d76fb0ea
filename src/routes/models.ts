// Model lists: what can be asked here, in OpenAI's shape or, with `anthropic-version`, in Anthropic's.

import { type Context, Hono } from 'hono'
import type { Callers } from '../callers.ts'
import { Problem } from '../core/problem.ts'
import type { Provider } from '../providers/provider.ts'
import { problemResponse, viewerOf } from '../web.ts'

export interface ModelParts {
  readonly callers: Callers
  readonly providers: readonly Provider[]
  /** Known models of a provider. */
  readonly models: (provider: string) => readonly string[]
}

const SIMULATED = ['sim/echo', 'sim/slow', 'sim/long-500', 'sim/error-429', 'sim/error-500', 'sim/cut', 'sim/hang']

export function modelRoutes(parts: ModelParts): Hono {
  const app = new Hono()
  app.onError(problemResponse)
  app.get('/v1/models', (c) => {
    viewerOf(parts, c)
    const models = known(parts)
    if (!isAnthropic(c)) return c.json({ object: 'list', data: models.map(openaiModel) })
    const data = models.map(anthropicModel)
    return c.json({ data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null })
  })
  app.get('/v1/models/:id{.+}', (c) => {
    viewerOf(parts, c)
    const model = known(parts).find((one) => one.id === c.req.param('id'))
    if (!model)
      throw new Problem('not_found', `The model ${c.req.param('id').slice(0, 128)} is not known here.`, 'model')
    return c.json(isAnthropic(c) ? anthropicModel(model) : openaiModel(model))
  })
  return app
}

interface Model {
  readonly id: string
  readonly provider: string
}

function known(parts: ModelParts): Model[] {
  return parts.providers
    .filter((provider) => provider.configured)
    .flatMap(({ name, simulated }) =>
      (simulated ? SIMULATED : parts.models(name)).map((id) => ({ id, provider: name })),
    )
}

function isAnthropic(c: Context): boolean {
  return c.req.header('anthropic-version') !== undefined
}

function openaiModel({ id, provider }: Model) {
  return { id, object: 'model', created: 0, owned_by: provider }
}

function anthropicModel({ id }: Model) {
  return { type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' }
}
