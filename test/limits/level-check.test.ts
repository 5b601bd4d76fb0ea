// The check of levels: the levels of windows are the sums of the ledger, and a level that is not is named.

import { expect, it } from 'vitest'
import { type Limit, LimitPlan, meterOf, NO_SUBJECTS } from '../../src/core/limits.ts'
import { checkLevels } from '../../src/limits/level-check.ts'
import { MemoryStore } from '../../src/stores/memory/store.ts'
import { factsOf, outcomeOf, START_MS, usedOf } from '../stores/calls.ts'
import { ManualClock } from '../support/clocks.ts'

const limitOn = (who: Limit['who'], what: Limit['what'], span: Limit['span']): Limit => ({
  who,
  subject: undefined,
  what,
  span,
  refill: 'window',
  capacity: 10n ** 12n,
  enforced: true,
})
const LIMITS = [
  limitOn('global', 'cost', 'day'),
  limitOn('global', 'requests', 'total'),
  limitOn('key', 'cost', 'month'),
  limitOn('user', 'tokens', 'day'),
  limitOn('model', 'cost', 'day'),
  { ...limitOn('key', 'requests', 'minute'), refill: 'steady' as const },
]

async function ledger() {
  const clock = new ManualClock()
  const store = new MemoryStore()
  const plan = new LimitPlan(LIMITS, 'Asia/Kathmandu')
  const amounts = { requests: 1n, tokens: 30n, cost: 50n, inFlight: 1n }
  const call = async (callId: string, key: string, settles: boolean) => {
    const facts = factsOf(callId, {
      caller: { key, user: 'ann' },
      reservedAtMs: clock.now().wallMs,
      reservedTokens: 30,
      reservedCostNanoUsd: 50n,
    })
    const subjects = { ...NO_SUBJECTS, ...facts, canonical: facts.model, family: facts.model }
    const charges = plan.chargesFor(subjects, amounts, facts.reservedAtMs, '', false)
    await store.reserve([{ facts, charges, expiresAtMs: Number.MAX_SAFE_INTEGER }], clock.now())
    const outcome = outcomeOf(7, 11n)
    if (settles) await store.settle([{ callId, outcome, used: usedOf(7, 11n) }], clock.now())
  }
  for (const key of ['a', 'b']) {
    await call(`${key}-settled`, key, true)
    await call(`${key}-open`, key, false)
  }
  const check = (signal?: AbortSignal) => checkLevels({ store, clock, plan, countsCost: true }, signal)
  return { store, clock, plan, check, call }
}

it('levels of settled and open calls are the sums of the ledger', async () => {
  const { check } = await ledger()
  // All calls: cost and requests. Each key: cost. Each key's user: tokens.
  expect(await check()).toMatchObject({ compared: 6, moving: 0, differing: 0, differences: [] })
})

it('a level that is too high is named', async () => {
  const { store, clock, check } = await ledger()
  const meter = meterOf(limitOn('key', 'cost', 'month'), 'a', clock.now().wallMs, 'Asia/Kathmandu', '')
  await store.settle([{ callId: 'a-open', outcome: outcomeOf(7, 11n), used: usedOf(7, 11n) }], clock.now())
  await store.seed([{ meter, settled: 99n }], clock.now())
  const { differing, differences } = await check()
  expect(differing).toBe(1)
  expect(differences).toEqual([
    {
      limit: 'monthly_spending_limit',
      subject: 'a',
      simulated: false,
      window: expect.stringContaining('month'),
      level: 99n,
      ledger: 22n,
    },
  ])
})

it('a level that moves each time is no difference', async () => {
  const { store, clock, plan, call } = await ledger()
  let calls = 0
  const busy = {
    registry: store.registry,
    levels: store.levels.bind(store),
    sums: async (query: Parameters<typeof store.sums>[0]) => {
      const sums = await store.sums(query)
      await call(`late-${++calls}`, 'a', true)
      return sums
    },
  }
  const { moving, differing } = await checkLevels({ store: busy, clock, plan, countsCost: true })
  expect(moving).toBeGreaterThan(0)
  expect(differing).toBe(0)
})

it('the check ends if its signal aborts', async () => {
  const { check } = await ledger()
  await expect(check(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
})

it('long windows are summed in days that do not overlap', async () => {
  const { store, clock, check, plan } = await ledger()
  clock.advance(3 * 86_400_000)
  expect((await check()).differing).toBe(0)
  expect([plan.limits.length, START_MS > 0, (await store.entries({ limit: 9 })).length]).toEqual([6, true, 2])
})
