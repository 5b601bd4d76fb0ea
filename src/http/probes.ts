// Probes: /healthz says that the process runs, /readyz that it takes calls.

import { z } from 'zod'
import type { Gate } from '../call/gate.ts'
import type { Store } from '../stores/store.ts'
import { type Endpoint, endpointsFor } from './endpoint.ts'

interface ProbeParts {
  readonly gate: Pick<Gate, 'isClosing'>
  readonly store: Pick<Store, 'health'>
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
    summary: 'Whether the gateway takes calls; status 503 while it stops, or while its ledger cannot be written.',
    answer: z.strictObject({
      status: z.enum(['ready', 'stopping', 'ledger_unavailable']),
      /** Why the ledger cannot be written, and what to do. */
      message: z.string().optional(),
    }),
  }).handle(({ gate, store }) => {
    if (gate.isClosing) return { answer: { status: 'stopping' }, status: 503 }
    const { failure } = store.health
    if (failure) return { answer: { status: 'ledger_unavailable', message: failure.message }, status: 503 }
    return { answer: { status: 'ready' } }
  }),
]
