// Refusal counts in memory: by quarter hour, limit, key and shadow. The oldest are forgotten.

import type { RefusedCalls } from '../store.ts'
import { QUARTER_MS, type RefusalCount, type RefusalQuery } from '../usage-query.ts'

const MAX_COUNTS = 10_000

interface CountedRefusals extends RefusalCount {
  readonly quarter: number
  readonly simulated: boolean
  count: number
}

export class RefusalCounts {
  readonly #counts = new Map<string, CountedRefusals>()

  add(limit: string, count: number, { key, atMs, simulated, isShadow }: RefusedCalls): void {
    const quarter = Math.floor(atMs / QUARTER_MS)
    const name = JSON.stringify([quarter, simulated, isShadow, key, limit])
    const known = this.#counts.get(name)
    if (known) {
      known.count += count
      return
    }
    const [oldest] = this.#counts.keys()
    if (oldest !== undefined && this.#counts.size >= MAX_COUNTS) this.#counts.delete(oldest)
    this.#counts.set(name, { quarter, simulated, isShadow, key, limit, count })
  }

  counts({ simulated, period, key }: RefusalQuery): RefusalCount[] {
    const sums = new Map<string, RefusalCount & { count: number }>()
    for (const counted of this.#counts.values()) {
      const atMs = counted.quarter * QUARTER_MS
      if (counted.simulated !== simulated || atMs < period.fromMs || atMs >= period.untilMs) continue
      if (key !== undefined && counted.key !== key) continue
      const { limit, isShadow, count } = counted
      const name = JSON.stringify([isShadow, counted.key, limit])
      const sum = sums.get(name)
      if (sum) sum.count += count
      else sums.set(name, { limit, key: counted.key, isShadow, count })
    }
    return [...sums.values()]
  }
}
