// Rare classes of usage share a column: a ledger from before keeps its figures, and sums of JSON are sums.

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { newTally } from '../../../src/core/report.ts'
import { RARE_CLASSES, totalTokens, type Usage, usageOf, usageSum } from '../../../src/core/usage.ts'
import { APPLICATION_ID, MIGRATIONS } from '../../../src/stores/sqlite/migrations.ts'
import { SqliteStore } from '../../../src/stores/sqlite/store.ts'
import { realTimers } from '../../support/clocks.ts'
import { usedUnits } from '../../support/usage-units.ts'
import { at, factsOf, outcomeOf, START_MS, usedOf } from '../calls.ts'
import { temporaryFolder } from '../folder.ts'

/** The columns of usage before rare classes shared one. */
const OLD_COLUMNS: Readonly<Record<string, string>> = {
  input: 'input_tokens',
  cacheRead: 'cache_read_tokens',
  cacheWrite5m: 'cache_write_5m_tokens',
  cacheWrite1h: 'cache_write_1h_tokens',
  output: 'output_tokens',
  audioInput: 'audio_input_tokens',
  audioCacheRead: 'audio_cache_read_tokens',
  audioOutput: 'audio_output_tokens',
  imageInput: 'image_input_tokens',
  imageOutput: 'image_output_tokens',
  webSearches: 'web_searches',
  requests: 'billed_requests',
}
const FEES = ['webSearches', 'requests']
const DAY = '2026-11-22'

interface OldCall {
  readonly key: string | null
  readonly usage: Usage
  readonly isRolledUp: boolean
}

const everyClass = usageOf(Object.fromEntries(Object.keys(OLD_COLUMNS).map((name, index) => [name, 100 + index])))
const OLD_CALLS: readonly OldCall[] = [
  { key: 'a', usage: everyClass, isRolledUp: true },
  { key: null, usage: usageOf({ input: 7, output: 3, requests: 1 }), isRolledUp: true },
  { key: 'a', usage: usageOf({ imageOutput: 5, webSearches: 2, requests: 1 }), isRolledUp: true },
  { key: 'a', usage: usageOf({ audioInput: 9, webSearches: 1, requests: 1 }), isRolledUp: false },
]

/** A ledger as it was before, and its rollups as that version wrote them: without units that are not tokens. */
function writeOldLedger(path: string): void {
  const db = new DatabaseSync(path)
  for (const migration of MIGRATIONS.slice(0, 4)) db.exec(migration)
  const columns = Object.values(OLD_COLUMNS)
  const insert =
    db.prepare(`INSERT INTO entry (id, call_id, key, dialect, provider, requested_model, model, reserved_at_ms, day,
    reserved_tokens, reserved_cost_nano_usd, cost_known, streaming, simulated, settled_seq, ending, certainty, settled_at_ms,
    charges, ${columns}) VALUES (?, ?, ?, 'openai.chat', 'openai', 'm', 'm', ${START_MS}, '${DAY}', 0, 0, 1, 0, 0, ?, 'completed',
    'exact', ${START_MS}, '[]', ${columns.map(() => '?')})`)
  const sums = Object.keys(OLD_COLUMNS).filter((name) => !FEES.includes(name))
  const sumColumns = sums.map((name) => OLD_COLUMNS[name])
  const save =
    db.prepare(`INSERT INTO rollup (span, key, simulated, id, requests, cost_nano_usd, exact, estimated, upper_bound,
    ${sumColumns}) VALUES (?, ?, 0, ?, 1, 0, 1, 0, 0, ${sums.map(() => '?')})
    ON CONFLICT DO UPDATE SET ${['requests', 'exact', ...sumColumns].map((name) => `${name} = ${name} + excluded.${name}`)}`)
  for (const [index, { key, usage, isRolledUp }] of OLD_CALLS.entries()) {
    const units = new Map<string, number>(Object.entries(usedUnits(usage)))
    const unitsIn = (names: readonly string[]) => names.map((name) => units.get(name) ?? 0)
    insert.run(START_MS * 1024 + index, `old-${index}`, key, index + 1, ...unitsIn(Object.keys(OLD_COLUMNS)))
    if (!isRolledUp) continue
    for (const owner of ['', key ?? '(none)']) {
      save.run('day', owner, DAY, ...unitsIn(sums))
      save.run('minute', owner, START_MS / 60_000, ...unitsIn(sums))
    }
  }
  db.exec(`INSERT INTO mark VALUES ('rolled_up_seq', ${OLD_CALLS.filter(({ isRolledUp }) => isRolledUp).length});
    UPDATE mark SET value = ${START_MS * 1024 + OLD_CALLS.length} WHERE name = 'open_from';
    PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 4`)
  db.close()
}

const sumOf = (calls: readonly OldCall[]) => calls.reduce((sum, { usage }) => usageSum(sum, usage), usageOf())

describe('a ledger with a column for each class', () => {
  test('keeps the usage of its entries and its sums, and goes on', async () => {
    const path = join(temporaryFolder(), 'ledger.db')
    writeOldLedger(path)
    for (let opening = 0; opening < 2; opening++) {
      const store = new SqliteStore(path, { now: at(), timers: realTimers })
      for (const [index, { usage }] of OLD_CALLS.entries())
        expect((await store.entry(`old-${index}`))?.outcome?.usage).toEqual(usage)
      const total = (await store.figures({ simulated: false })).report.total()
      expect(total).toMatchObject({ requests: 4, tokens: totalTokens(sumOf(OLD_CALLS)), usage: sumOf(OLD_CALLS) })
      const ofA = (await store.figures({ simulated: false, key: 'a' })).report.total()
      expect(ofA.usage).toEqual(sumOf(OLD_CALLS.filter(({ key }) => key === 'a')))
      const hour = (await store.figures({ simulated: false })).report.recentHour(START_MS)
      expect([hour.requests, hour.tokens]).toEqual([4, totalTokens(sumOf(OLD_CALLS))])
      const tokens = { who: 'global', what: 'tokens', simulated: false, sinceMs: 0 } as const
      expect([...(await store.sums(tokens)).values()]).toEqual([BigInt(totalTokens(sumOf(OLD_CALLS)))])
      await store.close(at())
    }
  })

  test('is not changed by a version that fails to migrate it', () => {
    const path = join(temporaryFolder(), 'ledger.db')
    writeOldLedger(path)
    const db = new DatabaseSync(path)
    db.exec('ALTER TABLE entry ADD COLUMN rare_usage TEXT')
    db.close()
    expect(() => new SqliteStore(path, { now: at(), timers: realTimers })).toThrow('duplicate column name')
    const untouched = new DatabaseSync(path)
    expect(untouched.prepare('SELECT sum(audio_input_tokens) AS sum FROM rollup').get()?.sum).toBe(420)
    untouched.close()
  })
})

test('sums of rare classes grow by what each save adds, whichever side has none', async () => {
  const path = join(temporaryFolder(), 'ledger.db')
  const store = new SqliteStore(path, { now: at(), timers: realTimers })
  const usages = [
    usageOf({ input: 1 }),
    usageOf({ audioInput: 2 }),
    usageOf({ output: 3 }),
    usageOf({ audioInput: 4, webSearches: 5 }),
    usageOf({ cacheWrite1h: Number.MAX_SAFE_INTEGER - 10 }),
    usageOf({ cacheWrite1h: 7 }),
  ]
  let sum = newTally().usage
  for (const [index, usage] of usages.entries()) {
    const facts = factsOf(`${index}`)
    const outcome = outcomeOf(0, 1n, { usage })
    await store.append([{ kind: 'entry', facts, outcome, charges: [], used: usedOf(0, 1n) }], at())
    sum = usageSum(sum, usage)
    // Of a key, the report is read from what is saved.
    expect((await store.figures({ simulated: false, key: '(none)' })).report.total().usage).toEqual(sum)
  }
  await store.close(at())
  const reopened = new SqliteStore(path, { now: at(), timers: realTimers })
  expect((await reopened.figures({ simulated: false })).report.total().usage).toEqual(sum)
  await reopened.close(at())
})

test('a call that used no rare class has no JSON', async () => {
  const store = new SqliteStore(':memory:', { now: at(), timers: realTimers })
  for (const [callId, usage] of [
    ['common', usageOf({ input: 1, cacheRead: 2, cacheWrite5m: 3, output: 4, requests: 1 })],
    ['rare', usageOf(Object.fromEntries(RARE_CLASSES.map((name) => [name, 1])))],
  ] as const) {
    const outcome = outcomeOf(0, 1n, { usage })
    await store.append([{ kind: 'entry', facts: factsOf(callId), outcome, charges: [], used: usedOf(0, 1n) }], at())
  }
  const rows = store.db.prepare('SELECT call_id, rare_usage IS NULL AS none FROM entry ORDER BY id').all()
  expect(rows.map(({ call_id, none }) => [call_id, none])).toEqual([
    ['common', 1],
    ['rare', 0],
  ])
  await store.close(at())
})
