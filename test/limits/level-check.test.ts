// The check of levels: the levels of windows are the sums of the ledger, whatever happened to calls and limits, and a level that is not
// is named.

import { afterEach, describe, expect, it } from 'vitest'
import type { KeyLimits } from '../../src/core/key-limits.ts'
import type { Caller, Outcome } from '../../src/core/ledger-entry.ts'
import { type Limit, meterOf, NO_SUBJECTS, ZERO_AMOUNTS } from '../../src/core/limits.ts'
import type { Charge } from '../../src/core/meter.ts'
import { readKeyLimits } from '../../src/limits/key-documents.ts'
import { checkLevels } from '../../src/limits/level-check.ts'
import { LimitsInForce } from '../../src/limits/limits-in-force.ts'
import { MemoryStore } from '../../src/stores/memory/store.ts'
import type { Store } from '../../src/stores/store.ts'
import { factsOf, outcomeOf, usedOf } from '../stores/calls.ts'
import { openSqlite } from '../stores/open-sqlite.ts'
import { ManualClock } from '../support/clocks.ts'

const ZONE = 'Asia/Kathmandu'
const limitOn = (who: Limit['who'], what: Limit['what'], span: Limit['span'], subject?: string): Limit => ({
  who,
  subject,
  what,
  span,
  refill: 'window',
  capacity: 10n ** 12n,
  enforced: true,
})
const EVERY_KIND = [
  limitOn('global', 'cost', 'day'),
  limitOn('global', 'requests', 'total'),
  limitOn('key', 'cost', 'month'),
  limitOn('user', 'tokens', 'day'),
  limitOn('model', 'cost', 'day'),
  limitOn('provider', 'cost', 'day'),
  { ...limitOn('key', 'requests', 'minute'), refill: 'steady' as const },
]

const opened: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close()
})

async function world(openStore: (clock: ManualClock) => Store, limits: readonly Limit[]) {
  const clock = new ManualClock()
  const store = openStore(clock)
  opened.push({ close: () => store.close(clock.now()) })
  const inForce = new LimitsInForce({ store, clock, timeZone: ZONE, countsCost: true })
  const put = async (file: readonly Limit[]) => (await inForce.prepare({ settings: [], file }))()
  await put(limits)
  let calls = 0
  const reserve = async (caller: Partial<Caller> = { key: 'a', user: 'ann' }, keyLimits?: KeyLimits) => {
    const facts = factsOf(`call-${++calls}`, {
      caller,
      reservedAtMs: clock.wallMs,
      reservedTokens: 30,
      reservedCostNanoUsd: 50n,
    })
    const subjects = { ...NO_SUBJECTS, ...facts, canonical: facts.model, family: facts.model, keyLimits }
    const amounts = { requests: 1n, tokens: 30n, cost: 50n, inFlight: 1n }
    const charges = inForce.plan.chargesFor(subjects, amounts, clock.wallMs, '', false)
    await store.reserve([{ facts, charges, expiresAtMs: Number.MAX_SAFE_INTEGER }], clock.now())
    return facts.callId
  }
  const settle = (callId: string, overrides: Partial<Outcome> = {}) => {
    const outcome = outcomeOf(7, 11n, { settledAtMs: clock.wallMs, ...overrides })
    return store.settle([{ callId, outcome, used: usedOf(7, 11n) }], clock.now())
  }
  const check = (other: Store = store, signal?: AbortSignal) =>
    checkLevels({ store: other, clock, plan: inForce.plan, countsCost: true }, signal)
  return { clock, store, put, reserve, settle, check }
}

const STORES: readonly (readonly [string, (clock: ManualClock) => Store])[] = [
  ['memory', () => new MemoryStore()],
  ['sqlite', (clock) => openSqlite(':memory:', clock.now())],
]

describe.each(STORES)('%s', (_name, openStore) => {
  it('levels of settled and open calls are the sums of the ledger', async () => {
    const { reserve, settle, check } = await world(openStore, EVERY_KIND)
    for (const key of ['a', 'b']) {
      await settle(await reserve({ key, user: 'ann' }))
      await reserve({ key, user: 'ann' })
    }
    // All calls: cost and requests. Each key: cost. Each key's user: tokens. Model and provider: cost.
    expect(await check()).toMatchObject({ equal: 8, withinBounds: 0, moving: 0, differing: 0, difference: 0n })
  })

  it('a level that is too high is named, and one that is too low', async () => {
    const { store, clock, reserve, settle, check } = await world(openStore, EVERY_KIND)
    await settle(await reserve())
    const meter = meterOf(limitOn('key', 'cost', 'month'), 'a', clock.wallMs, ZONE, '')
    await store.seed([{ meter, settled: 99n }], clock.now())
    const charges = [{ meter, amount: 0n, capacity: 10n ** 12n, enforced: true }]
    const found = await check()
    expect(found).toMatchObject({ differing: 1, difference: 88n })
    expect(found.differences).toEqual([
      {
        limit: 'perKey.costPerMonth',
        subject: 'a',
        simulated: false,
        window: 'month:2026-11',
        level: 99n,
        ledger: 11n,
      },
    ])
    const facts = factsOf('uncharged', { caller: { key: 'a', user: 'ann' }, reservedAtMs: clock.wallMs })
    await store.append(
      [{ kind: 'entry', facts, outcome: outcomeOf(7, 500n), charges: [], used: usedOf(7, 500n) }],
      clock.now(),
    )
    expect((await check()).differences.map(({ limit, level, ledger }) => [limit, level - ledger])).toContainEqual([
      'perKey.costPerMonth',
      -412n,
    ])
    expect((await store.levels(charges, clock.now()))[0]?.settled).toBe(99n)
  })

  it('a limit that began while a call was open may count what the call had reserved', async () => {
    const { clock, put, reserve, settle, check } = await world(openStore, [])
    const open = await reserve()
    clock.advance(60_000)
    await put([limitOn('global', 'cost', 'day')])
    clock.advance(600_000)
    await settle(open)
    expect(await check()).toMatchObject({ equal: 0, withinBounds: 1, differing: 0 })
  })

  it('a limit in a key’s record is compared in the zone of the key, which the name of its window has', async () => {
    const { store, clock, reserve, settle, check } = await world(openStore, [])
    const value = { limits: { costPerDay: 1 }, time_zone: 'Pacific/Auckland' }
    await store.registry.write({ kind: 'key', id: 'a', value }, { actor: 'admin', atMs: 0, audit: true })
    const keyLimits = readKeyLimits('a', value)
    await settle(await reserve({ key: 'a' }, keyLimits))
    expect(await check()).toMatchObject({ equal: 1, differing: 0 })
    const charges: Charge[] = []
    keyLimits.addCharges(charges, ZERO_AMOUNTS, clock.wallMs, '', false, ZONE)
    await store.seed(
      charges.map(({ meter }) => ({ meter, settled: 77n })),
      clock.now(),
    )
    expect((await check()).differences).toMatchObject([
      { subject: 'a', level: 77n, window: expect.stringContaining('@Pacific/Auckland') },
    ])
  })

  it('a correction is in the level and in the sum', async () => {
    const { store, clock, reserve, settle, check } = await world(openStore, EVERY_KIND)
    const callId = await reserve()
    await settle(callId)
    const facts = factsOf('correction', { caller: { key: 'a', user: 'ann' }, reservedAtMs: clock.wallMs })
    const charges = EVERY_KIND.filter(({ what, refill }) => what === 'cost' && refill === 'window').map((limit) => {
      const subject = { global: '', key: 'a', model: 'openai/gpt-4o', provider: 'openai' }[limit.who as 'global'] ?? ''
      return { meter: meterOf(limit, subject, clock.wallMs, ZONE, ''), amount: -4n, capacity: 1n, enforced: true }
    })
    const outcome = outcomeOf(0, -4n, { ending: 'adjusted', settledAtMs: clock.wallMs })
    await store.append(
      [{ kind: 'adjustment', facts, outcome, charges, adjustment: { callId, reason: 'invoice' } }],
      clock.now(),
    )
    expect(await check()).toMatchObject({ differing: 0, moving: 0 })
  })

  it('a window that turns during the check stays the window that was begun', async () => {
    const { store, clock, reserve, settle, check } = await world(openStore, [limitOn('global', 'cost', 'minute')])
    await settle(await reserve())
    let turned = false
    const turning = withSums(store, async (query) => {
      if (!turned) {
        turned = true
        clock.advance(60_000)
        await settle(await reserve())
      }
      return store.sums(query)
    })
    expect(await check(turning)).toMatchObject({ equal: 1, differing: 0 })
  })

  it('a level that moves each time is no difference', async () => {
    const { store, reserve, settle, check } = await world(openStore, EVERY_KIND)
    await settle(await reserve())
    const busy = withSums(store, async (query) => {
      const sums = await store.sums(query)
      await settle(await reserve())
      return sums
    })
    const { moving, differing } = await check(busy)
    expect(moving).toBeGreaterThan(0)
    expect(differing).toBe(0)
  })

  it('ends if its signal aborts', async () => {
    const { reserve, check } = await world(openStore, EVERY_KIND)
    await reserve()
    await expect(check(undefined, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  })
})

it('calls that a memory ledger dropped are no difference', async () => {
  const { reserve, settle, check } = await world(() => new MemoryStore(3), [limitOn('global', 'cost', 'day')])
  for (let call = 0; call < 9; call++) await settle(await reserve())
  expect(await check()).toMatchObject({ dropped: 1, differing: 0 })
})

/** The same store with other sums. */
function withSums(store: Store, sums: Store['sums']): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'sums') return sums
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
