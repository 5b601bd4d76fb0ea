// Ledgers that earlier versions wrote: today's store opens each with the totals that its own version reported.

import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { windowAt } from '../../../src/core/calendar.ts'
import type { Entry } from '../../../src/core/ledger-entry.ts'
import { meterOf, SIMULATED_REALM } from '../../../src/core/limits.ts'
import type { LevelView, Meter, What, Who } from '../../../src/core/meter.ts'
import type { Report, Tally } from '../../../src/core/report.ts'
import { type Usage, type UsageClass, unitsOf } from '../../../src/core/usage.ts'
import { LimitsInForce } from '../../../src/limits/limits-in-force.ts'
import { openStore } from '../../../src/stores/index.ts'
import type { AuditLine, Document, DocumentKind } from '../../../src/stores/registry.ts'
import { temporaryFolder } from '../folder.ts'

/** What a version reported of its own ledger. Whole numbers beyond a double's are texts such as `12n`; no end is `Infinity`. */
interface ReportedLedger {
  readonly openedAtMs: number
  /** Ids of the calls that were open when the process was killed, in the order of their reservation. */
  readonly open: readonly string[]
  /** By `real` or `simulated`, with `/key` behind it for one key. */
  readonly reports: Readonly<Record<string, ReturnType<typeof plainReport>>>
  /** By `real|simulated/who/what/all|lastDay`. */
  readonly sums: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly levels: readonly (Omit<LevelView, 'capacity'> & { readonly capacity: string })[]
  /** Ids of calls by the digest of their idempotency key. */
  readonly idempotency: Readonly<Record<string, string>>
  readonly documents: Readonly<Record<string, readonly Document[]>>
  readonly audit: readonly AuditLine[]
  /** Oldest first. */
  readonly entries: readonly { readonly facts: { readonly callId: string } }[]
}

const FOLDER = fileURLToPath(new URL('./ledgers/', import.meta.url))
/** `0.1.0`: format 4, written at commit cdcd7b8 by a process that was killed with three calls open. */
const NAMES = ['0.1.0']

function reportedOf(name: string): ReportedLedger {
  return JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8'))
}

async function openCopy(name: string) {
  const path = join(temporaryFolder(), 'ledger.db')
  copyFileSync(join(FOLDER, `${name}.db`), path)
  const { openedAtMs } = reportedOf(name)
  const now = { wallMs: openedAtMs, monoMs: openedAtMs }
  const store = await openStore(`sqlite:${path}`, { now })
  onTestFinished(() => store.close(now))
  return { store, registry: store.registry, now, reported: reportedOf(name) }
}

/** Plain data, as it stands in the JSON. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`
  if (value === Number.POSITIVE_INFINITY) return 'Infinity'
  if (value instanceof Map) return plain(Object.fromEntries(value))
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]))
}

function plainReport(report: Report, lastMs: number) {
  return {
    total: plain(tallyThen(report.total())),
    days: plain(new Map([...report.days].map(([day, tally]) => [day, tallyThen(tally)]))) as Record<string, unknown>,
    recentHour: plain(tallyThen(report.recentHour(lastMs))),
    refusals: plain(report.refusals),
  }
}

/** The classes of tokens in version 0.1.0. */
const TOKENS_THEN = [
  'input',
  'cacheRead',
  'cacheWrite5m',
  'cacheWrite1h',
  'output',
  'audioInput',
  'audioCacheRead',
  'audioOutput',
  'imageInput',
  'imageOutput',
] as const

/** A tally as version 0.1.0 named its parts: `usage` was `tokensByClass`, and held tokens alone. */
function tallyThen({ usage, ...tally }: Tally) {
  return { ...tally, tokensByClass: usageThen(usage, TOKENS_THEN) }
}

/** An entry as version 0.1.0 had it: with a field for each class of usage. */
function entryThen(entry: Entry | undefined) {
  const outcome = entry?.outcome
  if (!outcome) return entry
  return {
    ...entry,
    outcome: { ...outcome, usage: usageThen(outcome.usage, [...TOKENS_THEN, 'webSearches', 'requests']) },
  }
}

function usageThen(usage: Usage, classes: readonly UsageClass[]) {
  return Object.fromEntries(classes.map((name) => [name, unitsOf(usage, name)]))
}

/** The meter as it was, with its key made anew: a key that changes would give budgets back. */
function meterToday(reported: Meter, wallMs: number): Meter {
  const endsAtMs = Number(reported.endsAtMs)
  const realm = reported.key.startsWith(SIMULATED_REALM) ? SIMULATED_REALM : ''
  const limit = { ...reported, subject: undefined, capacity: 0n, enforced: true }
  return meterOf(limit, reported.subject, Number.isFinite(endsAtMs) ? endsAtMs - 1 : wallMs, 'UTC', realm)
}

/** Kinds of documents that were renamed since. */
const KINDS_TODAY: Readonly<Record<string, DocumentKind>> = { limit: 'limit-seed' }

const LAST_CALL_MS = 60_000

test.each(NAMES)('%s: every report has the totals it had', async (name) => {
  const { store, now, reported } = await openCopy(name)
  expect(Object.keys(reported.reports)).toContain('real')
  for (const [title, before] of Object.entries(reported.reports)) {
    const [realm = '', key] = title.split('/')
    const query = { simulated: realm === 'simulated', ...(key === undefined ? {} : { key }) }
    const report = plainReport((await store.figures(query)).report, now.wallMs - LAST_CALL_MS)
    expect(report).toMatchObject(before)
    expect(Object.keys(report.days)).toEqual(Object.keys(before.days))
  }
})

test.each(NAMES)(
  '%s: every entry has the figures and names it had, and open calls are settled in full',
  async (name) => {
    const { store, reported, now } = await openCopy(name)
    expect((await store.sweep(now)).map(({ facts }) => facts.callId)).toEqual(reported.open)
    const entries = [...(await store.entries({ limit: 1_000 }))].reverse()
    expect(plain(entries.map(entryThen))).toMatchObject(reported.entries)
    for (const { facts } of reported.entries) {
      const entry = entryThen(await store.entry(facts.callId))
      expect(plain(entry)).toMatchObject(reported.entries.find((before) => before.facts.callId === facts.callId) ?? {})
    }
    for (const [keyHash, callId] of Object.entries(reported.idempotency))
      expect((await store.idempotentEntry(keyHash, 0))?.facts.callId).toBe(callId)
  },
)

test.each(NAMES)('%s: sums for new limits are what they were', async (name) => {
  const { store, now, reported } = await openCopy(name)
  const lastDayMs = windowAt('day', 'UTC', now.wallMs - LAST_CALL_MS).startsAtMs
  for (const [title, sums] of Object.entries(reported.sums)) {
    const [realm, who, what, since] = title.split('/') as ['real' | 'simulated', Who, Exclude<What, 'inFlight'>, string]
    const query = { who, what, simulated: realm === 'simulated', sinceMs: since === 'all' ? 0 : lastDayMs }
    expect([title, plain(await store.sums(query))]).toEqual([title, sums])
  }
})

test.each(NAMES)('%s: every level is where it was, under the key that its limit makes today', async (name) => {
  const { store, now, reported } = await openCopy(name)
  expect(reported.levels.length).toBeGreaterThan(100)
  for (const { capacity, enforced, ...before } of reported.levels) {
    const meter = meterToday(before.meter, now.wallMs)
    const charge = { meter, amount: 0n, capacity: BigInt(capacity.slice(0, -1)), enforced }
    expect(plain((await store.levels([charge], now))[0])).toMatchObject(before)
  }
})

test.each(NAMES)('%s: documents and the audit are what they were', async (name) => {
  const { registry, reported } = await openCopy(name)
  for (const [kindThen, documents] of Object.entries(reported.documents)) {
    const kind = KINDS_TODAY[kindThen] ?? (kindThen as DocumentKind)
    expect(await registry.read(kind)).toEqual(documents.map((document) => ({ ...document, kind })))
    if (kind !== kindThen) expect(await registry.read(kindThen as DocumentKind)).toEqual([])
  }
  expect(await registry.audit({ limit: 100 })).toEqual(reported.audit)
})

const LIMIT = { capacity: 10n ** 18n, refill: 'window', enforced: true } as const

test.each(NAMES)('%s: limits that were in force are not seeded anew', async (name) => {
  const { store, registry, now } = await openCopy(name)
  const limits = ['day', 'total'] as const
  const seeds = await registry.read('limit-seed')
  const inForce = new LimitsInForce({ store, clock: { now: () => now }, timeZone: 'UTC', countsCost: true })
  const putInForce = await inForce.prepare({
    settings: limits.map((span) => ({ who: 'global', subject: undefined, what: 'cost', span, ...LIMIT })),
    file: [],
  })
  putInForce()
  const kept = ['global/cost/day/UTC', 'global/cost/total/UTC']
  expect(await registry.read('limit-seed')).toEqual(seeds.filter(({ id }) => kept.includes(id)))
})
