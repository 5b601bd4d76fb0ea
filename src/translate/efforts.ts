// Efforts: the level of effort that stands in for one that a model does not have.

import { EFFORTS, type Effort } from '../core/chat.ts'

/** The highest of the levels that is not above `effort`; otherwise the lowest one. `none` stands in for no other level. */
export function nearestEffort(effort: Effort, levels: readonly Effort[]): Effort {
  if (effort === 'none' || levels.includes(effort)) return effort
  const limit = EFFORTS.indexOf(effort)
  const thinking = levels.filter((level) => level !== 'none')
  return thinking.findLast((level) => EFFORTS.indexOf(level) <= limit) ?? thinking[0] ?? effort
}
