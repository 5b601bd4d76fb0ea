// Probes: /healthz says the process runs, /readyz that it takes calls.

import { Hono } from 'hono'
import type { Gate } from '../call/gate.ts'

export function probeRoutes(gate: Gate): Hono {
  const app = new Hono()
  app.get('/healthz', (c) => c.json({ status: 'ok' }))
  app.get('/readyz', (c) => (gate.isClosing ? c.json({ status: 'stopping' }, 503) : c.json({ status: 'ready' })))
  return app
}
