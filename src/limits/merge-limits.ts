// Merge limits: the limits in force of those that settings, bursar.json and the registry set. It decides which one counts, and nothing
// else.

import { type Limit, strictestLimit } from '../core/limits.ts'

/** The limits that do not change with the registry. */
export interface ConfiguredLimits {
  readonly settings: readonly Limit[]
  /** Of `bursar.json`. */
  readonly file: readonly Limit[]
}

/** All limits, by what sets them. */
export interface LimitSources extends ConfiguredLimits {
  /** Set at `/admin/limits`. */
  readonly registry: readonly Limit[]
}

/**
 * One limit for each subject, what and span: that of the registry, otherwise the stricter one of settings and file. They are in the
 * order of the sources.
 */
export function mergeLimits({ settings, file, registry }: LimitSources): readonly Limit[] {
  const merged = new Map<string, Limit>()
  const put = (limit: Limit) => {
    const name = placeOf(limit)
    merged.delete(name)
    merged.set(name, limit)
  }
  for (const limit of [...settings, ...file]) {
    const other = merged.get(placeOf(limit))
    if (!other || strictestLimit(other, limit) === limit) put(limit)
  }
  for (const limit of registry) put(limit)
  return [...merged.values()]
}

function placeOf({ who, subject, what, span }: Limit): string {
  return `${who}/${what}/${span}${subject === undefined ? '' : `:${subject}`}`
}
