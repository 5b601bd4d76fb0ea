// Retries: when an alert that could not be delivered is tried again, and when no more. It reads no clock.

import { HOUR_MS } from './alert.ts'
import type { Attempt } from './receiver.ts'

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS

/** The waits that Standard Webhooks suggests, a little over three days in all. After one more attempt, the alert is given up. */
const WAITS_MS: readonly number[] = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
]
/** The least wait after a refusal that waiting alone does not lift. */
const MIN_REFUSED_WAIT_MS = HOUR_MS
/** Waits are longer by up to this part, so that receivers that come back are not met by all senders at once. */
const JITTER = 0.1

/**
 * The wait before the next attempt, in milliseconds; undefined if there is none.
 * @param failedAttempts this one included
 * @param random from 0 to below 1
 */
export function retryWaitMs(
  { retry, retryAfterMs = 0 }: Extract<Attempt, { readonly kind: 'failed' }>,
  failedAttempts: number,
  random: number,
): number | undefined {
  const waitMs = WAITS_MS[failedAttempts - 1]
  if (waitMs === undefined) return undefined
  const least = Math.max(waitMs, retryAfterMs, retry === 'seldom' ? MIN_REFUSED_WAIT_MS : 0)
  return Math.round(least * (1 + JITTER * random))
}
