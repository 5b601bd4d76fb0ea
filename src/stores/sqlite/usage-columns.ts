// Columns of usage in the SQLite ledger: one for each common class, one for all rare classes together. The names come from
// the table in core/usage.ts; where the figures come from is not known here.

import type { SQLOutputValue } from 'node:sqlite'
import {
  CLASS_ROWS,
  COMMON_CLASSES,
  NO_RARE_UNITS,
  RARE_CLASSES,
  type Usage,
  type UsageClass,
  usageOf,
} from '../../core/usage.ts'

/** The column of a common class, in rows and in rollups. */
export function columnOf(name: UsageClass): string {
  const { json, part } = CLASS_ROWS[name]
  return part === 'fee' ? `billed_${json}` : `${json}_tokens`
}

/** Common classes and the column of each. */
export const COMMON_COLUMNS = COMMON_CLASSES.map((name) => ({ name, column: columnOf(name) }))

/** Rare classes by their JSON names; null if there are none. */
export const RARE_COLUMN = 'rare_usage'

/** The tokens of all classes of a row, in SQL. Rare classes are read only if there are any. */
export const TOKENS_SUM_SQL = tokensSumSql()

function tokensSumSql(): string {
  const isToken = (name: UsageClass) => CLASS_ROWS[name].part !== 'fee'
  const common = COMMON_CLASSES.filter(isToken).map(columnOf)
  const rare = RARE_CLASSES.filter(isToken).map((name) => `'${CLASS_ROWS[name].json}'`)
  const rareSum = `(SELECT sum(value) FROM json_each(${RARE_COLUMN}) WHERE key IN (${rare.join(', ')}))`
  return `${common.join(' + ')} + iif(${RARE_COLUMN} IS NULL, 0, coalesce(${rareSum}, 0))`
}

/** Adds the rare classes of a row that is being inserted (`excluded`) to those of the row that is there, in SQL. */
export const RARE_SUM_SQL = `CASE
  WHEN excluded.${RARE_COLUMN} IS NULL THEN ${RARE_COLUMN}
  WHEN ${RARE_COLUMN} IS NULL THEN excluded.${RARE_COLUMN}
  ELSE (SELECT json_group_object(key, units) FROM (SELECT key, sum(value) AS units FROM (
    SELECT key, value FROM json_each(rollup.${RARE_COLUMN})
    UNION ALL SELECT key, value FROM json_each(excluded.${RARE_COLUMN})) GROUP BY key))
  END`

/** JSON of the rare classes that were used, by their JSON names. Null for most calls, which then write no JSON. */
export function serializeRareUsage(usage: Usage): string | null {
  if (usage.rare === NO_RARE_UNITS) return null
  const used = RARE_CLASSES.filter((name) => (usage.rare[name] ?? 0) > 0)
  if (used.length === 0) return null
  return JSON.stringify(Object.fromEntries(used.map((name) => [CLASS_ROWS[name].json, usage.rare[name]])))
}

/** The usage of a row or rollup, all classes. */
export function usageOfRow(row: Readonly<Record<string, SQLOutputValue>>): Usage {
  const units: Partial<Record<UsageClass, number>> = {}
  for (const { name, column } of COMMON_COLUMNS) units[name] = Number(row[column] ?? 0)
  const text = row[RARE_COLUMN]
  if (typeof text !== 'string') return usageOf(units)
  const rare: Readonly<Record<string, number>> = JSON.parse(text)
  for (const name of RARE_CLASSES) units[name] = rare[CLASS_ROWS[name].json] ?? 0
  return usageOf(units)
}
