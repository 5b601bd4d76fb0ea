// What a call costs in the SQLite store: CPU of the calling thread, by how many calls share a commit.
//   node bench/sqlite.ts [path] [calls]

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CallFacts, Outcome, Reservation } from '../src/core/ledger-entry.ts'
import { LimitPlan } from '../src/core/limits.ts'
import type { Instant } from '../src/core/meter.ts'
import { usageOf } from '../src/core/usage.ts'
import { processTimers } from '../src/stores/index.ts'
import { SqliteStore } from '../src/stores/sqlite/store.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-bench-'))
const path = process.argv[2] ?? join(folder, 'bench.db')
const CALLS = Number(process.argv[3] ?? 40_000)
const KEYS = 8

const limit = (who: 'global' | 'key', what: 'requests' | 'tokens' | 'cost', span: 'minute' | 'day') => {
  const refill = span === 'minute' ? ('steady' as const) : ('window' as const)
  return { who, subject: undefined, what, span, capacity: 10n ** 15n, refill, enforced: true }
}
const plan = new LimitPlan(
  [
    limit('global', 'requests', 'minute'),
    limit('global', 'tokens', 'minute'),
    limit('global', 'cost', 'day'),
    limit('key', 'requests', 'minute'),
    limit('key', 'cost', 'day'),
  ],
  'UTC',
)

const instant = (): Instant => {
  const wallMs = Date.now()
  return { wallMs, monoMs: wallMs }
}

let reservationCount = 0
function reservation(now: Instant): Reservation {
  reservationCount += 1
  const hex = now.wallMs.toString(16).padStart(12, '0')
  const tail = (reservationCount * 0x9e3779b1).toString(16).padStart(12, '0').slice(-12)
  const facts: CallFacts = {
    callId: `${hex.slice(0, 8)}-${hex.slice(8)}-7${(reservationCount & 0xfff).toString(16).padStart(3, '0')}-8abc-${tail}`,
    caller: {
      key: `key-${reservationCount % KEYS}`,
      organisation: 'acme',
      project: 'search',
      user: `user-${reservationCount % 50}`,
      thread: null,
      agent: null,
      task: null,
      isPerson: false,
    },
    operation: null,
    dialect: 'openai-chat',
    provider: 'openai',
    requestedModel: 'gpt-4o',
    model: 'gpt-4o',
    reservedAtMs: now.wallMs,
    day: '2026-11-22',
    reservedTokens: 1400,
    reservedCostNanoUsd: 12_345_678n,
    priceVersion: 'prices@2026-11-30#1a2b3c4d',
    costKnown: true,
    streaming: false,
    capAsked: 1000,
    capInjected: null,
    simulated: false,
    items: null,
    metadata: null,
    idempotency: null,
  }
  const amounts = { requests: 1n, tokens: 1400n, cost: 12_345_678n, inFlight: 1n }
  const charges = plan.chargesFor(
    { ...facts, canonical: facts.model, family: facts.model },
    amounts,
    now.wallMs,
    '',
    false,
  )
  return { facts, charges, expiresAtMs: now.monoMs + 660_000 }
}

const usage = usageOf({ input: 350, output: 420 })
const outcome = (wallMs: number): Outcome => ({
  ending: 'completed',
  certainty: 'exact',
  usage,
  reasoningTokens: 0,
  cost: { inputNanoUsd: 875_000n, outputNanoUsd: 4_200_000n, totalNanoUsd: 5_075_000n },
  answeredModel: 'gpt-4o-2024-08-06',
  settledAtMs: wallMs,
  latencyMs: 812,
  timeToFirstTokenMs: 311,
  attempts: [
    { provider: 'openai', model: 'gpt-4o', status: 200, durationMs: 811, error: null, costNanoUsd: 5_075_000n },
  ],
  upstreamLimits: null,
})
const used = { requests: 1n, tokens: 770n, cost: 5_075_000n, inFlight: 0n }

const ROUND_CALLS = 1600

/** Microseconds of this thread per call, without what making the calls costs: the median of rounds. */
async function measure(store: SqliteStore, batch: number): Promise<number> {
  const rounds: number[] = []
  let settling: Promise<unknown> = Promise.resolve()
  for (let done = 0; done < CALLS; done += ROUND_CALLS) {
    let making = 0
    const startedAt = process.threadCpuUsage()
    for (let call = 0; call < ROUND_CALLS; call += batch) {
      const now = instant()
      const before = process.threadCpuUsage()
      const calls = Array.from({ length: batch }, () => reservation(now))
      const spent = process.threadCpuUsage(before)
      making += spent.user + spent.system
      await Promise.all(calls.map((call) => store.reserve([call], now)))
      const settled = outcome(now.wallMs)
      settling = Promise.all(
        calls.map(({ facts }) => store.settle([{ callId: facts.callId, outcome: settled, used }], now)),
      )
    }
    const spent = process.threadCpuUsage(startedAt)
    rounds.push((spent.user + spent.system - making) / ROUND_CALLS)
  }
  await settling
  return rounds.sort((a, b) => a - b)[Math.floor(rounds.length / 2)] ?? 0
}

const store = new SqliteStore(path, { now: instant(), timers: processTimers })
await measure(store, 32)
for (const batch of [1, 8, 32]) {
  console.log(`batch of ${String(batch).padStart(2)}: ${(await measure(store, batch)).toFixed(2)} µs per call`)
}
await store.close(instant())
rmSync(folder, { recursive: true })
