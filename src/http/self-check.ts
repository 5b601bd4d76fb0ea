// Self-check: GET /audit/self-check, whether every sum and every level is that of the ledger's rows. It changes nothing.

import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import type { LimitPlan } from '../core/limits.ts'
import { Problem } from '../core/problem.ts'
import { checkLevels } from '../limits/level-check.ts'
import type { Store } from '../stores/store.ts'
import type { SumCheck } from '../stores/usage-query.ts'
import { endpointsFor } from './endpoint.ts'
import { msSchema, timeJson, timeSchema } from './views.ts'

export interface SelfCheckParts {
  readonly clock: Clock
  readonly store: Pick<Store, 'selfCheck' | 'sums' | 'levels' | 'registry'>
  readonly plan: () => LimitPlan
  readonly settings: { readonly ENABLE_COST_TRACKING: boolean }
}

const endpoint = endpointsFor<SelfCheckParts>()

/** A whole number with every digit. */
const amountSchema = z
  .custom<ReturnType<typeof JSON.rawJSON>>((value) => typeof value === 'number', 'must be a whole number')
  .meta({ type: 'integer', description: 'Requests, tokens or nano-dollars.' })

/** Stores of which a check is running: each check reads all rows, so there is one at a time. */
const checkedStores = new WeakSet<object>()

export const SELF_CHECK = endpoint({
  method: 'GET',
  path: '/audit/self-check',
  role: 'admin',
  summary: 'Adds up the ledger anew and compares it with every sum that is kept. The difference is 0.',
  answer: z.strictObject({
    checked_at: timeSchema,
    duration_ms: msSchema,
    /** The sum of the differences of all checks, each without its sign. */
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
    /** The levels of calendar windows, each against the sum of its calls. */
    levels: z.strictObject({
      compared: z.int(),
      /** Calls settled each time that these were compared. */
      moving: z.int(),
      differing: z.int(),
      /** The first of them. */
      differences: z.array(
        z.strictObject({
          limit: z.string(),
          subject: z.string(),
          simulated: z.boolean(),
          window: z.string(),
          level: amountSchema,
          ledger: amountSchema,
          difference: amountSchema,
        }),
      ),
    }),
  }),
}).handle(async ({ clock, store, plan, settings }, { signal }) => {
  if (checkedStores.has(store))
    throw new Problem('self_check_running', 'Another self-check is running. Try again once it has ended.')
  checkedStores.add(store)
  const start = clock.now()
  try {
    const checks = await store.selfCheck(signal)
    const levelParts = { clock, store, plan: plan(), countsCost: settings.ENABLE_COST_TRACKING }
    const levels = await checkLevels(levelParts, signal)
    const differences = [...checks.map(differenceOf), ...levels.differences.map(({ level, ledger }) => level - ledger)]
    return {
      answer: {
        checked_at: timeJson(start.wallMs),
        duration_ms: clock.now().monoMs - start.monoMs,
        difference: wholeNumberJson(differences.reduce((sum, difference) => sum + magnitude(difference), 0n)),
        checks: checks.map((check) => ({
          name: check.name,
          simulated: check.simulated,
          ledger: wholeNumberJson(check.ledger),
          kept: wholeNumberJson(check.kept),
          difference: wholeNumberJson(differenceOf(check)),
        })),
        levels: {
          compared: levels.compared,
          moving: levels.moving,
          differing: levels.differing,
          differences: levels.differences.map(({ level, ledger, ...place }) => ({
            ...place,
            level: wholeNumberJson(level),
            ledger: wholeNumberJson(ledger),
            difference: wholeNumberJson(level - ledger),
          })),
        },
      },
    }
  } catch (error) {
    if (signal.aborted) throw new Problem('shutting_down', 'The self-check ended early.')
    throw error
  } finally {
    checkedStores.delete(store)
  }
})

function differenceOf({ kept, ledger }: SumCheck): bigint {
  return kept - ledger
}

function magnitude(amount: bigint): bigint {
  return amount < 0n ? -amount : amount
}

function wholeNumberJson(amount: bigint) {
  return JSON.rawJSON(`${amount}`)
}
