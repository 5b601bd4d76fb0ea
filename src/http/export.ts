// Export: GET /token-usage/export, the ledger for other programs: rows of FOCUS 1.0, or one row for each call. It keeps few in memory.

import { z } from 'zod'
import type { PriceBook } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import { type FocusCharge, FocusCharges, type Granularity } from '../focus/charges.ts'
import { FOCUS_COLUMNS } from '../focus/columns.ts'
import { csvResponse, inPages } from './csv.ts'
import { endpointsFor } from './endpoint.ts'
import { recordPages, recordsCsv } from './token-usage.ts'
import {
  FILTER_FIELDS,
  PERIOD_FIELDS,
  periodHeaders,
  readUsageRequest,
  type UsageRequestParts,
} from './usage-request.ts'

export interface ExportParts extends UsageRequestParts {
  readonly prices: PriceBook
}

const endpoint = endpointsFor<ExportParts>()

export const EXPORT = endpoint({
  method: 'GET',
  path: '/token-usage/export',
  role: 'figures',
  summary:
    'The ledger as a CSV file: rows of FOCUS 1.0 by day or hour, key, model and class of tokens, or a row for each call.',
  query: z.strictObject({
    format: z.enum(['focus', 'csv']).default('focus'),
    /** Of rows of FOCUS, in UTC. */
    granularity: z.enum(['hour', 'day']).optional(),
    ...PERIOD_FIELDS,
    ...FILTER_FIELDS,
  }),
  answer: z.string(),
}).handle(async (parts, request) => {
  const { format, granularity = 'day', ...query } = request.query
  if (format === 'csv' && request.query.granularity !== undefined)
    throw new Problem('invalid_request', 'granularity: must stand beside format=focus alone', 'granularity')
  const read = await readUsageRequest(parts, { ...request, query })
  if (format === 'csv') return { response: await recordsCsv(parts.store, read, {}, 'token-usage') }
  const pages = chargePages(parts, recordPages(parts.store, read, {}), granularity)
  const headers = { ...periodHeaders(read), 'x-bursar-focus-version': '1.0' }
  return { response: await csvResponse({ columns: FOCUS_COLUMNS, pages, fileName: 'focus', headers }) }
})

async function* chargePages(
  { prices, providers }: ExportParts,
  records: ReturnType<typeof recordPages>,
  granularity: Granularity,
): AsyncGenerator<readonly FocusCharge[]> {
  const priceNames = new Map(providers.map(({ name, priceName }) => [name, priceName]))
  const charges = new FocusCharges(granularity, prices.inForce, (provider) => priceNames.get(provider) ?? provider)
  for await (const entries of records) {
    for (const entry of entries) charges.add(entry)
    if (charges.isFull) yield* inPages(charges.takeAll())
  }
  yield* inPages(charges.takeAll())
}
