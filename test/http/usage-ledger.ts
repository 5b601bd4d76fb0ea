// Usage ledger: calls of random callers and their corrections, written to a gateway's ledger, and what reports should say of them.

import fc from 'fast-check'
import type { CallFacts, Entry, Outcome } from '../../src/core/ledger-entry.ts'
import { parseUsd } from '../../src/core/money.ts'
import { usageOf } from '../../src/core/usage.ts'
import type { LedgerRecord } from '../../src/stores/store.ts'
import { factsOf, outcomeOf, usedOf } from '../stores/calls.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { Gateway } from '../support/gateway.ts'

export const KEY_SECRETS = { alice: 'alice-secret-alice', bob: 'bob-secret-bob-bob' }
export const AS_ADMIN = { authorization: `Bearer ${ADMIN_KEY}` }
export const AS_ALICE = { authorization: `Bearer ${KEY_SECRETS.alice}` }
export const AS_BOB = { authorization: `Bearer ${KEY_SECRETS.bob}` }

/** A gateway with two keys and without limits per day, since the test writes calls without charges. The caller closes it. */
export function openLedger(database = 'memory:', settings: Readonly<Record<string, string>> = {}) {
  const keys = Object.entries(KEY_SECRETS).map(([name, secret]) => `${name}:${secret}`)
  return Gateway.start({
    settings: {
      ADMIN_KEY,
      BURSAR_KEYS: keys.join(),
      OPENAI_API_KEY: 'sk-of-this-test',
      DAILY_SPENDING_LIMIT: '',
      ...settings,
    },
    config: {},
    clock: new ManualClock(),
    database,
  })
}

/** A call as a test names it. */
export interface WrittenCall extends Partial<Omit<CallFacts, 'caller'>> {
  readonly caller?: Partial<CallFacts['caller']>
  readonly outcome?: Partial<Outcome>
  readonly costNanoUsd?: bigint
  readonly tokens?: number
}

let lastId = 0

/** Writes a settled call, and returns its entry without a place in the ledger. */
export async function writeCall(gateway: Gateway<ManualClock>, call: WrittenCall): Promise<Entry> {
  const { outcome: ending, costNanoUsd = 1_000n, tokens = 30, ...rest } = call
  const facts = factsOf(rest.callId ?? `call-${++lastId}`, rest)
  const outcome = outcomeOf(tokens, costNanoUsd, { settledAtMs: facts.reservedAtMs + 500, ...ending })
  await append(gateway, { kind: 'entry', facts, outcome, charges: [], used: usedOf(tokens, costNanoUsd) })
  return { facts, outcome, settledSeq: null }
}

/** Corrects the cost of a call by a difference. */
export async function correctCall(gateway: Gateway<ManualClock>, { facts: ofCall }: Entry, differenceNanoUsd: bigint) {
  const facts: CallFacts = { ...ofCall, callId: `correction-${++lastId}`, reservedTokens: 0, reservedCostNanoUsd: 0n }
  const cost = { inputNanoUsd: 0n, outputNanoUsd: 0n, totalNanoUsd: differenceNanoUsd }
  const outcome = outcomeOf(0, 0n, { ending: 'adjusted', cost, usage: usageOf(), settledAtMs: gateway.clock.wallMs })
  const adjustment = { callId: ofCall.callId, reason: 'an invoice' }
  await append(gateway, { kind: 'adjustment', facts, outcome, adjustment, charges: [] })
  return { facts, outcome, adjustment, settledSeq: null } satisfies Entry
}

function append(gateway: Gateway<ManualClock>, record: LedgerRecord): Promise<void> {
  return gateway.app.store.append([record], gateway.clock.now())
}

/** Names that callers choose, some of them with care. */
export const HOSTILE_NAMES = [
  "x' OR '1'='1",
  '"; DROP TABLE entry; --',
  '100%_',
  '__proto__',
  'constructor',
  '(none)',
  'null',
  '=1+1',
  'a/b?c=d&e#f',
  'nul\0inside',
  'é😀\u202e',
] as const

const someName = fc.option(fc.constantFrom('ann', 'ben', ...HOSTILE_NAMES), { nil: null, freq: 4 })

/** From before one change of most zones' clocks to after the other. */
export const FIRST_MS = Date.UTC(2026, 2, 1)
export const LAST_MS = Date.UTC(2026, 10, 22, 12)

/** A call at any time of most of a year, and what later corrections change of its cost. */
export const callArbitrary = fc.record({
  key: fc.constantFrom('alice', 'bob', null),
  user: someName,
  thread: someName,
  agent: someName,
  task: someName,
  project: someName,
  organisation: someName,
  operation: someName,
  provider: fc.constantFrom('openai', 'anthropic', 'my-vllm'),
  model: fc.constantFrom('m', 'gpt-4o', 'org/large', '__proto__'),
  reservedAtMs: fc.integer({ min: FIRST_MS, max: LAST_MS }),
  tokens: fc.integer({ min: 0, max: 100_000 }),
  costNanoUsd: fc.bigInt({ min: 0n, max: 10n ** 15n }),
  items: fc.option(fc.integer({ min: 1, max: 9 }), { nil: null }),
  ending: fc.constantFrom('completed', 'completed', 'failed', 'canceled', 'expired'),
  certainty: fc.constantFrom('exact', 'estimated', 'upperBound'),
  simulated: fc.constantFrom(false, false, false, true),
  differences: fc.array(fc.bigInt({ min: 0n, max: 10n ** 12n }), { maxLength: 2 }),
  isLowered: fc.boolean(),
})
export type RandomCall = typeof callArbitrary extends fc.Arbitrary<infer Call> ? Call : never

/** Writes random calls and their corrections, and returns all that was written. */
export async function writeCalls(gateway: Gateway<ManualClock>, calls: readonly RandomCall[]): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const { ending, certainty, differences, isLowered, tokens, costNanoUsd, ...call } of calls) {
    const { key, user, thread, agent, task, project, organisation, ...facts } = call
    const caller = { key, user, thread, agent, task, project, organisation }
    const entry = await writeCall(gateway, { ...facts, caller, tokens, costNanoUsd, outcome: { ending, certainty } })
    entries.push(entry)
    let restNanoUsd = costNanoUsd
    for (const difference of differences) {
      const lowered = difference < restNanoUsd ? difference : restNanoUsd
      const signed = isLowered ? -lowered : difference
      restNanoUsd += signed
      entries.push(await correctCall(gateway, entry, signed))
    }
  }
  return entries
}

/** A number of JSON as it was written, so that no digit is lost. */
export class ExactNumber {
  readonly value: number
  readonly source: string

  constructor(value: number, source: string) {
    this.value = value
    this.source = source
  }

  get nanoUsd(): bigint {
    return nanoUsdOf(this.source)
  }
}

/** Exact, for decimals with or without a sign. */
export function nanoUsdOf(text: string): bigint {
  const nanoUsd = parseUsd(text.replace(/^-/, ''))
  if (nanoUsd === undefined) throw new Error(`${text} is no amount of dollars`)
  return text.startsWith('-') ? -nanoUsd : nanoUsd
}

export interface SumJson {
  readonly total_requests: ExactNumber
  readonly total_tokens: ExactNumber
  readonly total_cost: ExactNumber
}

/** The fields of all answers. A test reads those that its path has. */
export interface AnswerJson extends SumJson {
  readonly period: { readonly from: string; readonly to: string; readonly time_zone: string }
  readonly cost_by_model: Readonly<Record<string, ExactNumber>>
  readonly tokens_by_model: Readonly<Record<string, ExactNumber>>
  readonly other_models: { readonly cost: ExactNumber; readonly tokens: ExactNumber } | null
  readonly requests_by_agent: Readonly<Record<string, ExactNumber>>
  readonly other_agents: { readonly requests: ExactNumber } | null
  readonly cost_trend: readonly { readonly date: string; readonly cost: ExactNumber; readonly requests: ExactNumber }[]
  readonly groups: readonly (SumJson & Readonly<Record<string, unknown>>)[]
  readonly others: (SumJson & { readonly count: ExactNumber }) | null
  readonly days: readonly (SumJson & { readonly date: string })[]
  readonly records: readonly (Readonly<Record<string, unknown>> & {
    readonly id: string
    readonly total_cost: ExactNumber
  })[]
  readonly next_cursor: string | null
  readonly global: MetricsJson
  readonly difference: ExactNumber
  readonly total_cost_usd: ExactNumber
  readonly error: { readonly code: string; readonly message: string; readonly param: string | null }
}

export interface MetricsJson {
  readonly total_tokens: ExactNumber
  readonly total_cost_usd: ExactNumber
  readonly total_requests: ExactNumber
}

/** The answer of an endpoint, with the digits of its numbers. */
export async function ask(
  gateway: Gateway,
  path: string,
  headers: Readonly<Record<string, string>> = AS_ADMIN,
): Promise<{ readonly status: number; readonly body: AnswerJson; readonly text: string }> {
  const response = await gateway.client.fetch('in process', path, { headers })
  const text = await response.text()
  const exact = (_name: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' ? new ExactNumber(value, context?.source ?? '') : value
  return { status: response.status, text, body: (text.startsWith('{') ? JSON.parse(text, exact) : {}) as AnswerJson }
}
