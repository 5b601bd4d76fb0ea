// Notices that the ledger takes no calls, and that it takes calls again: one notice for each change, however many calls are refused.

import type { StoreFailure, StoreHealth } from '../stores/store.ts'
import type { Telemetry } from './call-events.ts'

/** Notifies until the process ends. */
export function watchLedger(health: StoreHealth, telemetry: Pick<Telemetry, 'notify'>): void {
  const notify = (failure: StoreFailure | undefined) => telemetry.notify(failure ? failureNotice(failure) : RECOVERED)
  if (health.failure) notify(health.failure)
  health.watch(notify)
}

const RECOVERED = {
  code: 'ledger_available',
  level: 'info',
  message: 'The ledger takes calls again.',
} as const

function failureNotice({ kind, message, file }: StoreFailure) {
  return { code: 'ledger_unavailable', level: 'error', message, details: { reason: kind, file } } as const
}
