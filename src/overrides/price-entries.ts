// Price entries: rows of prices as the price book reads them.

import type { FilePrice } from '../config/prices.ts'
import type { UserPrice, UserPriceEntry } from '../prices/user-prices.ts'

/** @param source where the rows are set, for the version of their prices: `bursar.json` or `admin` */
export function priceEntries(rows: readonly FilePrice[], source = 'bursar.json'): readonly UserPriceEntry[] {
  return rows.map(({ provider, model, ...price }) => {
    const given = Object.entries(price).filter(([, value]) => value !== undefined)
    return { provider, model, price: Object.fromEntries(given) as UserPrice, source }
  })
}
