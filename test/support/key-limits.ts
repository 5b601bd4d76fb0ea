// Limits for tests of keys that are about no limit: a change of a key's limits is its write.

import { NamedTurns } from '../../src/core/named-turns.ts'
import type { LimitsInForce } from '../../src/limits/limits-in-force.ts'

export const NO_LIMIT_CHANGES: Pick<LimitsInForce, 'countsCost' | 'useKeyLimits' | 'changeKey' | 'keyTurns'> = {
  countsCost: true,
  keyTurns: new NamedTurns(),
  useKeyLimits() {},
  changeKey: (_id, _before, _after, write) => write(),
}
