// xAI's tools: how often the tools that xAI runs were used, by the counts in the usage of a chat completion or a response.

import { recordOf } from '../../core/json-values.ts'
import type { UnitsByClass } from '../../core/usage.ts'
import { useCountOf } from '../usage-reports.ts'

/** The fields of a usage object that `readXaiTools` reads. */
export const XAI_TOOL_FIELDS = ['num_server_side_tools_used', 'server_side_tool_usage_details'] as const

export interface XaiTools {
  readonly units: UnitsByClass
  /** Uses that are billed in a way that is not known. */
  readonly unmetered: readonly string[]
}

/** By the count in `server_side_tool_usage_details`. X is searched at the price of the web. */
const CLASS_OF_COUNT = {
  web_search_calls: 'webSearches',
  x_search_calls: 'webSearches',
  code_interpreter_calls: 'codeRuns',
  file_search_calls: 'fileSearches',
  document_search_calls: 'documentSearches',
} as const

/** Billed by their tokens alone. */
const TOKEN_COUNTS: ReadonlySet<string> = new Set(['mcp_calls'])

/**
 * Undefined if the usage does not count xAI's tools.
 * @param seen the uses that the answer shows in another place. They count where the usage has a total alone, and the rest of the
 * total is of an unknown kind.
 */
export function readXaiTools(usage: Readonly<Record<string, unknown>>, seen: UnitsByClass = {}): XaiTools | undefined {
  const { num_server_side_tools_used: total, server_side_tool_usage_details: details } = usage
  const counts = Object.entries(recordOf(details)).filter(([, count]) => count !== null)
  const totalCount = useCountOf(total)
  if (counts.length === 0) {
    if (totalCount === undefined) return undefined
    const seenCount = Object.values(seen).reduce((sum, units) => sum + units, 0)
    return { units: seen, unmetered: totalCount > seenCount ? ['num_server_side_tools_used'] : [] }
  }
  const units: Partial<Record<(typeof CLASS_OF_COUNT)[keyof typeof CLASS_OF_COUNT], number>> = {}
  const unmetered: string[] = []
  for (const [name, count] of counts) {
    const usageClass = Object.hasOwn(CLASS_OF_COUNT, name)
      ? CLASS_OF_COUNT[name as keyof typeof CLASS_OF_COUNT]
      : undefined
    const uses = useCountOf(count)
    if (usageClass && uses !== undefined) units[usageClass] = (units[usageClass] ?? 0) + uses
    else if (uses !== 0 && !TOKEN_COUNTS.has(name)) unmetered.push(name)
  }
  return { units, unmetered }
}
