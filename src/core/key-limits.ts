// Key limits: the limits of one key, prepared for its calls. They hold no level.

import type { Limit } from './limits.ts'

/** The compiled limits of one key. */
export interface KeyLimits {
  readonly limits: readonly Limit[]
  /** The IANA zone of their windows; undefined: that of all limits. */
  readonly timeZone: string | undefined
}

/** @param limits all of them for the key itself */
export function compileKeyLimits(limits: readonly Limit[], timeZone: string | undefined): KeyLimits {
  return { limits, timeZone }
}
