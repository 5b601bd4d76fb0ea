// Probes: /healthz says that the process runs, /readyz that it takes calls.

import { z } from 'zod'
import type { Gate } from '../call/gate.ts'
import { type Endpoint, endpointsFor } from './endpoint.ts'

interface ProbeParts {
  readonly gate: Pick<Gate, 'isClosing'>
}

const endpoint = endpointsFor<ProbeParts>()

export const PROBES: readonly Endpoint<ProbeParts>[] = [
  endpoint({
    method: 'GET',
    path: '/healthz',
    role: 'open',
    summary: 'Whether the process runs.',
    answer: z.strictObject({ status: z.literal('ok') }),
  }).handle(() => ({ answer: { status: 'ok' } })),
  endpoint({
    method: 'GET',
    path: '/readyz',
    role: 'open',
    summary: 'Whether the gateway takes calls; status 503 while it stops.',
    answer: z.strictObject({ status: z.enum(['ready', 'stopping']) }),
  }).handle(({ gate }) =>
    gate.isClosing ? { answer: { status: 'stopping' }, status: 503 } : { answer: { status: 'ready' } },
  ),
]
