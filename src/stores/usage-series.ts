// Usage series: the parts of a period for each of the dearest values of a dimension, from queries of one snapshot.

import type { UsageQuery, UsageReport } from './usage-query.ts'

/** What a query gets that asks for no series. */
export type PlainReport = Omit<UsageReport, 'series'>

/**
 * The report of a query with its series. The whole is summed first, then each value by itself.
 * @param usage sums one query; nothing may settle between two of its calls
 */
export function withSeries(query: UsageQuery, usage: (query: UsageQuery) => PlainReport): UsageReport {
  const { series, ...whole } = query
  const report = usage(whole)
  if (!series) return { ...report, series: [] }
  const { period, simulated, where, cuts = [] } = query
  const dearest = usage({ simulated, period, where: { ...where }, by: [series.by], maxGroups: series.max }).by[
    series.by
  ]
  return {
    ...report,
    series: (dearest?.groups ?? []).map(({ value }) => ({
      value,
      parts: usage({ simulated, period, where: { ...where, [series.by]: value }, cuts }).parts,
    })),
  }
}
