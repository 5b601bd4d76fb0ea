// Reads entries back from rows of the SQLite ledger, and converts single values. Decides nothing; `entry-writer.ts` writes.

import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import type {
  Attempt,
  Caller,
  CallFacts,
  Certainty,
  Ending,
  Entry,
  Outcome,
  UpstreamLimit,
  UpstreamLimits,
} from '../../core/ledger-entry.ts'
import { decodedSql, readCallId, readDay } from './compact-values.ts'
import { COMMON_COLUMNS, RARE_COLUMN, usageOfRow } from './usage-columns.ts'

/** A row of `entry`, by column. */
export type Row = Record<string, SQLOutputValue>

/** The columns that `callerOf` reads. */
export const CALLER_COLUMNS = ['key', 'organisation', 'project', 'user', 'thread', 'agent', 'task', 'person'] as const

/** What `entryOf` reads, and what an open row has beside it. The file has more columns, which older versions wrote. */
const ENTRY_COLUMNS = [
  'id',
  'call_id',
  ...CALLER_COLUMNS,
  ...['dialect', 'price_version', 'ending', 'certainty'].map((column) => `${decodedSql(column)} AS ${column}`),
  'operation',
  'provider',
  'requested_model',
  'model',
  'reserved_at_ms',
  'day',
  'reserved_tokens',
  'reserved_cost_nano_usd',
  'cost_known',
  'streaming',
  'cap_asked',
  'cap_injected',
  'simulated',
  'items',
  'metadata',
  'idempotency_key',
  'idempotency_body',
  'charges',
  'settled_seq',
  'settled_at_ms',
  'latency_ms',
  'time_to_first_token_ms',
  'answered_model',
  ...COMMON_COLUMNS.map(({ column }) => column),
  RARE_COLUMN,
  'reasoning_tokens',
  'input_cost_nano_usd',
  'output_cost_nano_usd',
  'cost_nano_usd',
  'provider_cost_nano_usd',
  'computed_cost_nano_usd',
  'attempts',
  'upstream_limits',
  'adjusts',
  'reason',
].join(', ')

/** Selects whole entries, with integers as bigints, since money takes all 64 bits. @param where what follows `FROM entry` */
export function prepareEntries(db: DatabaseSync, where: string): StatementSync {
  const statement = db.prepare(`SELECT ${ENTRY_COLUMNS} FROM entry ${where}`)
  statement.setReadBigInts(true)
  return statement
}

export function entryOf(row: Row): Entry {
  const settledSeq = parseCount(row.settled_seq)
  const outcome = settledSeq === null ? null : outcomeOf(row)
  return { facts: factsOf(row), outcome, settledSeq, ...adjustmentOf(row) }
}

function adjustmentOf({ adjusts, reason }: Row): Pick<Entry, 'adjustment'> {
  const callId = parseText(adjusts)
  return callId === null ? {} : { adjustment: { callId, reason: parseText(reason) ?? '' } }
}

function factsOf(row: Row): CallFacts {
  return {
    callId: readCallId(row.call_id),
    caller: callerOf(row),
    operation: parseText(row.operation),
    dialect: parseText(row.dialect) ?? '',
    provider: parseText(row.provider) ?? '',
    requestedModel: parseText(row.requested_model) || (parseText(row.model) ?? ''),
    model: parseText(row.model) ?? '',
    reservedAtMs: parseCount(row.reserved_at_ms) ?? 0,
    day: readDay(row.day, parseCount(row.reserved_at_ms) ?? 0),
    reservedTokens: parseCount(row.reserved_tokens) ?? 0,
    reservedCostNanoUsd: toBigint(row.reserved_cost_nano_usd),
    priceVersion: parseText(row.price_version),
    costKnown: row.cost_known === 1n,
    streaming: row.streaming === 1n,
    capAsked: parseCount(row.cap_asked),
    capInjected: parseCount(row.cap_injected),
    simulated: row.simulated === 1n,
    items: parseCount(row.items),
    metadata: parseText(row.metadata),
    idempotency: idempotencyOf(row),
  }
}

export function callerOf(row: Row): Caller {
  return {
    key: parseText(row.key),
    organisation: parseText(row.organisation),
    project: parseText(row.project),
    user: parseText(row.user),
    thread: parseText(row.thread),
    agent: parseText(row.agent),
    task: parseText(row.task),
    isPerson: row.person === 1n,
  }
}

function idempotencyOf(row: Row): CallFacts['idempotency'] {
  const [keyHash, bodyHash] = [parseText(row.idempotency_key), parseText(row.idempotency_body)]
  return keyHash === null || bodyHash === null ? null : { keyHash, bodyHash }
}

function outcomeOf(row: Row): Outcome {
  return {
    ending: parseText(row.ending) as Ending,
    certainty: parseText(row.certainty) as Certainty,
    usage: usageOfRow(row),
    reasoningTokens: parseCount(row.reasoning_tokens) ?? 0,
    cost: {
      inputNanoUsd: toBigint(row.input_cost_nano_usd),
      outputNanoUsd: toBigint(row.output_cost_nano_usd),
      totalNanoUsd: toBigint(row.cost_nano_usd),
    },
    ...providerCostOf(row),
    answeredModel: row.answered_model === '' ? parseText(row.model) : parseText(row.answered_model),
    settledAtMs: parseCount(row.settled_at_ms) ?? 0,
    latencyMs: parseCount(row.latency_ms) ?? 0,
    timeToFirstTokenMs: parseCount(row.time_to_first_token_ms),
    attempts: parseAttempts(row),
    upstreamLimits: parseLimits(row),
  }
}

function providerCostOf({ provider_cost_nano_usd, computed_cost_nano_usd }: Row): Pick<Outcome, 'providerCost'> {
  if (typeof provider_cost_nano_usd !== 'bigint') return {}
  return { providerCost: { statedNanoUsd: provider_cost_nano_usd, computedNanoUsd: toBigint(computed_cost_nano_usd) } }
}

export function parseText(value: SQLOutputValue | undefined): string | null {
  return typeof value === 'string' ? value : null
}

export function parseCount(value: SQLOutputValue | undefined): number | null {
  return typeof value === 'bigint' || typeof value === 'number' ? Number(value) : null
}

export function toBigint(value: SQLOutputValue | undefined): bigint {
  return typeof value === 'bigint' ? value : 0n
}

type StoredAttempt = Omit<Attempt, 'costNanoUsd'> & { readonly costNanoUsd?: string }

/** Attempts from their JSON. */
export function attemptsOf(text: string): readonly Attempt[] {
  const attempts: readonly StoredAttempt[] = JSON.parse(text)
  return attempts.map((attempt) => ({ ...attempt, costNanoUsd: BigInt(attempt.costNanoUsd ?? 0) }))
}

function parseAttempts(row: Row): readonly Attempt[] {
  if (typeof row.attempts === 'string') return attemptsOf(row.attempts)
  const durationMs = parseCount(row.attempts)
  if (durationMs === null) return []
  const [provider, model] = [parseText(row.provider) ?? '', parseText(row.model) ?? '']
  return [{ provider, model, status: 200, durationMs, error: null, costNanoUsd: toBigint(row.cost_nano_usd) }]
}

type StoredLimits = readonly (number | string | null)[]

function parseLimits(row: Row): UpstreamLimits | null {
  const list: StoredLimits | null = JSON.parse(parseText(row.upstream_limits) ?? 'null')
  if (!list) return null
  const others: UpstreamLimit[] = []
  for (let index = 7; index < list.length; index += 4)
    others.push({
      name: String(list[index]),
      limit: numberAt(list, index + 1),
      remaining: numberAt(list, index + 2),
      resetMs: numberAt(list, index + 3),
    })
  return {
    limitRequests: numberAt(list, 0),
    remainingRequests: numberAt(list, 1),
    resetRequestsMs: numberAt(list, 2),
    limitTokens: numberAt(list, 3),
    remainingTokens: numberAt(list, 4),
    resetTokensMs: numberAt(list, 5),
    retryAfterMs: numberAt(list, 6),
    others,
  }
}

function numberAt(list: StoredLimits, index: number): number | null {
  const value = list[index]
  return typeof value === 'number' ? value : null
}
