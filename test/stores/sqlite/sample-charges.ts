// Charges of one call on four kinds of limits, and how the call may settle.

import { chargeOf, outcomeOf, usedOf } from '../calls.ts'

export const charges = [
  chargeOf('requests/minute', 1n, 100_000n),
  chargeOf('tokens/minute', 50n, 100_000n),
  chargeOf('cost/day', 10n, 100_000n),
  chargeOf('inFlight', 1n, 100_000n),
]
/** What an amendment may change them to. */
export const larger = [
  chargeOf('requests/minute', 1n, 100_000n),
  chargeOf('tokens/minute', 500n, 100_000n),
  chargeOf('cost/day', 99_990n, 100_000n),
  chargeOf('inFlight', 1n, 100_000n),
  chargeOf('cost/total', 7n, 100_000n),
]
/** The levels that either touches. */
export const all = larger.map((charge) => ({ ...charge, amount: 0n }))
export const settlement = (callId: string) => ({ callId, outcome: outcomeOf(30, 4n), used: usedOf(30, 4n) })
