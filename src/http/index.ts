// Every endpoint there is.

import { Hono } from 'hono'
import { callRoutes, notFound } from './calls.ts'
import { type LlmParts, llmRoutes } from './figures.ts'
import { type ModelParts, modelRoutes } from './models.ts'
import { type PatternParts, patternRoutes } from './patterns.ts'
import { probeRoutes } from './probes.ts'

export function routes(parts: LlmParts & ModelParts & PatternParts): Hono {
  const app = new Hono()
  app.route('/', callRoutes(parts.gate))
  app.route('/', modelRoutes(parts))
  app.route('/', llmRoutes(parts))
  app.route('/', patternRoutes(parts))
  app.route('/', probeRoutes(parts.gate))
  app.notFound(notFound)
  return app
}
