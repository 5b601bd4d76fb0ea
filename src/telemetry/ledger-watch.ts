// Notices that the ledger takes no calls, and that it takes calls again: one notice for each change, however many calls are refused.
// And that sums of deleted rows were lost.

import type { StoreFailure, StoreHealth } from '../stores/store.ts'
import type { Telemetry } from './call-events.ts'

/** Notifies until the process ends. */
export function watchLedger(health: StoreHealth, telemetry: Pick<Telemetry, 'notify'>): void {
  const notify = (failure: StoreFailure | undefined) => telemetry.notify(failure ? failureNotice(failure) : RECOVERED)
  if (health.failure) notify(health.failure)
  health.watch(notify)
  health.watchSums(() => telemetry.notify(SUMS_LOST))
}

const RECOVERED = {
  code: 'ledger_available',
  level: 'info',
  message: 'The ledger takes calls again.',
} as const

const SUMS_LOST = {
  code: 'sums_lost',
  level: 'error',
  message:
    'The file of sums beside the ledger (-sums) was missing or did not fit the ledger, and is built anew from the rows. Reports of the time whose rows were deleted are lost, unless the gateway is stopped and a backup of that file is put back. Limits and /llm/stats are not touched. If the file was there, it is kept as -sums.unused.',
} as const

function failureNotice({ kind, message, file }: StoreFailure) {
  return { code: 'ledger_unavailable', level: 'error', message, details: { reason: kind, file } } as const
}
