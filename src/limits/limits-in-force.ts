// Limits in force: the plan that calls are checked by, and the way a new plan takes over without forgetting what was spent.

import { windowAt } from '../core/calendar.ts'
import { type Limit, LimitPlan, meterOf, SIMULATED_REALM } from '../core/limits.ts'
import type { Instant, Meter } from '../core/meter.ts'
import type { Registry } from '../stores/registry.ts'
import type { Store } from '../stores/store.ts'

/**
 * The limits that calls are checked by. A window of a new limit starts from the sum of the ledger. A document `limit-seed` marks
 * that this was done, so that a restart does not do it again.
 */
export class LimitsInForce {
  readonly #store: Store
  readonly #registry: Registry
  #plan: LimitPlan
  #changing: Promise<void> | undefined

  constructor(store: Store, registry: Registry, timeZone: string) {
    this.#store = store
    this.#registry = registry
    this.#plan = new LimitPlan([], timeZone)
  }

  get plan(): LimitPlan {
    return this.#plan
  }

  /** While this is set, calls wait for it: what is spent during a change must count. */
  get changing(): Promise<void> | undefined {
    return this.#changing
  }

  /** Puts limits in force. Rejects if the store or the registry fails; then the plan before stays in force. */
  async change(limits: readonly Limit[], now: Instant): Promise<void> {
    const next = new LimitPlan(limits, this.#plan.timeZone)
    const change = this.#seedNew(next, now).then(() => {
      this.#plan = next
    })
    this.#changing = change.catch(() => {})
    try {
      await change
    } finally {
      this.#changing = undefined
    }
  }

  async #seedNew(plan: LimitPlan, now: Instant): Promise<void> {
    const inForce = new Map(
      plan.limits.filter((limit) => limit.refill === 'window').map((limit) => [nameOf(limit, plan), limit]),
    )
    const known = new Set((await this.#registry.read('limit-seed')).map((document) => document.id))
    const seeds: { meter: Meter; settled: bigint }[] = []
    for (const [name, limit] of inForce) if (!known.has(name)) seeds.push(...(await this.#seedsOf(limit, plan, now)))
    if (seeds.length > 0) await this.#store.seed(seeds, now)
    const by = { actor: 'gateway', atMs: now.wallMs, audit: false }
    for (const name of inForce.keys()) {
      if (!known.has(name))
        await this.#registry.write({ kind: 'limit-seed', id: name, value: { since: now.wallMs } }, by)
    }
    for (const name of known) {
      if (!inForce.has(name)) await this.#registry.write({ kind: 'limit-seed', id: name, value: null }, by)
    }
  }

  async #seedsOf(limit: Limit, plan: LimitPlan, now: Instant): Promise<{ meter: Meter; settled: bigint }[]> {
    const { who, what, span } = limit
    if (what === 'inFlight') return []
    const sinceMs = windowAt(span, plan.timeZone, now.wallMs).startsAtMs
    const seeds: { meter: Meter; settled: bigint }[] = []
    for (const realm of ['', SIMULATED_REALM]) {
      const sums = await this.#store.sums({ who, what, simulated: realm !== '', sinceMs })
      for (const [subject, settled] of sums) {
        seeds.push({ meter: meterOf(limit, subject, now.wallMs, plan.timeZone, realm), settled })
      }
    }
    return seeds
  }
}

/** What the keys of a limit's levels depend on. A limit with another capacity is the same limit. */
function nameOf(limit: Limit, plan: LimitPlan): string {
  return `${limit.who}/${limit.what}/${limit.span}/${plan.timeZone}`
}
