// Limits for tests of keys that are about no limit: a change of a key's limits is its write.

import type { LimitsInForce } from '../../src/limits/limits-in-force.ts'

export const NO_LIMIT_CHANGES: Pick<LimitsInForce, 'countsCost' | 'useKeyLimits' | 'changeKey'> = {
  countsCost: true,
  useKeyLimits() {},
  changeKey: (_id, _before, _after, write) => write(),
}
