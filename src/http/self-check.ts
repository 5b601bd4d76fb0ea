// Self-check: GET /audit/self-check, whether every sum that is kept, and the level of every limit's window, is that of the ledger's rows.
// It changes nothing.

import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import type { LimitPlan } from '../core/limits.ts'
import { Problem } from '../core/problem.ts'
import { checkLevels, type LevelCheck } from '../limits/level-check.ts'
import { countSchema } from '../runs/run-answer.ts'
import type { Store } from '../stores/store.ts'
import type { SumCheck } from '../stores/usage-query.ts'
import { endpointsFor } from './endpoint.ts'
import { msSchema, timeJson, timeSchema } from './views.ts'

export interface SelfCheckParts {
  readonly clock: Clock
  readonly settings: { readonly ENABLE_COST_TRACKING: boolean }
  readonly store: Store
  /** Read anew for every check, since a reload replaces the plan. */
  readonly plan: () => LimitPlan
}

const endpoint = endpointsFor<SelfCheckParts>()

/** A whole number with every digit. */
const amountSchema = z
  .custom<ReturnType<typeof JSON.rawJSON>>((value) => typeof value === 'number', 'must be a whole number')
  .meta({ type: 'integer', description: 'Requests, tokens or nano-dollars.' })

const levelsSchema = z.strictObject({
  /** The windows of all limits in force, each on all subjects with calls in the window. */
  checked: countSchema,
  /** Those that the ledger bounds but does not determine, and that lie within the bounds. */
  within_bounds: countSchema,
  /** Those that changed whenever they were read, on which nothing is said. */
  moving: countSchema,
  /** Those of which a memory ledger has dropped calls, on which nothing is said. */
  dropped: countSchema,
  differing: countSchema,
  /** The first 100. */
  differences: z.array(
    z.strictObject({
      /** As `bursar.json` names the limit: `perUser.costPerDay`. */
      limit: z.string(),
      subject: z.string(),
      simulated: z.boolean(),
      /** `day:2026-11-22`, with the zone if that is another than the gateway's. */
      window: z.string(),
      level: amountSchema,
      ledger: amountSchema,
      /** `level` minus `ledger`. */
      difference: amountSchema,
    }),
  ),
})

/** Stores of which a check is running: each check reads all rows, so there is one at a time. */
const checkedStores = new WeakSet<object>()

export const SELF_CHECK = endpoint({
  method: 'GET',
  path: '/audit/self-check',
  role: 'admin',
  summary: 'Adds up the ledger anew and compares it with every sum and every level. The difference is 0.',
  answer: z.strictObject({
    checked_at: timeSchema,
    duration_ms: msSchema,
    /** The sum of the differences of all checks and levels, each without its sign. */
    difference: amountSchema,
    checks: z.array(
      z.strictObject({
        name: z.string(),
        simulated: z.boolean(),
        ledger: amountSchema,
        kept: amountSchema,
        /** `kept` minus `ledger`. */
        difference: amountSchema,
      }),
    ),
    levels: levelsSchema,
  }),
}).handle(async ({ clock, store, plan, settings }, { signal }) => {
  if (checkedStores.has(store))
    throw new Problem('self_check_running', 'Another self-check is running. Try again once it has ended.')
  checkedStores.add(store)
  const start = clock.now()
  try {
    const checks = await store.selfCheck(signal)
    const parts = { clock, store, plan: plan(), countsCost: settings.ENABLE_COST_TRACKING }
    const levels = await checkLevels(parts, signal)
    return {
      answer: {
        checked_at: timeJson(start.wallMs),
        duration_ms: clock.now().monoMs - start.monoMs,
        difference: wholeNumberJson(
          checks.reduce((sum, check) => sum + magnitude(differenceOf(check)), levels.difference),
        ),
        checks: checks.map((check) => ({
          name: check.name,
          simulated: check.simulated,
          ledger: wholeNumberJson(check.ledger),
          kept: wholeNumberJson(check.kept),
          difference: wholeNumberJson(differenceOf(check)),
        })),
        levels: levelsJson(levels),
      },
    }
  } catch (error) {
    if (signal.aborted) throw new Problem('shutting_down', 'The self-check ended early.')
    throw error
  } finally {
    checkedStores.delete(store)
  }
})

function levelsJson({ equal, withinBounds, moving, dropped, differing, differences }: LevelCheck) {
  return {
    checked: equal + withinBounds + moving + dropped + differing,
    within_bounds: withinBounds,
    moving,
    dropped,
    differing,
    differences: differences.map(({ level, ledger, ...difference }) => ({
      ...difference,
      level: wholeNumberJson(level),
      ledger: wholeNumberJson(ledger),
      difference: wholeNumberJson(level - ledger),
    })),
  }
}

function differenceOf({ kept, ledger }: SumCheck): bigint {
  return kept - ledger
}

function magnitude(amount: bigint): bigint {
  return amount < 0n ? -amount : amount
}

function wholeNumberJson(amount: bigint) {
  return JSON.rawJSON(`${amount}`)
}
