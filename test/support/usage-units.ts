// Usage by class, as tests compare it: common and rare classes side by side.

import { type UnitsByClass, USAGE_CLASSES, type Usage, unitsOf, usageOf } from '../../src/core/usage.ts'

/** The classes that are not zero. None if there is no usage. */
export function usedUnits(usage: Usage = usageOf()): UnitsByClass {
  const units = USAGE_CLASSES.map((name) => [name, unitsOf(usage, name)] as const)
  return Object.fromEntries(units.filter(([, count]) => count !== 0))
}

/** The smallest count of any class. */
export function minUnits(usage: Usage): number {
  return Math.min(...USAGE_CLASSES.map((name) => unitsOf(usage, name)))
}
