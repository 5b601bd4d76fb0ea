// Rows of the SQLite ledger: how entries and levels are bound to statements and read back. Decides nothing.

import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import type {
  Attempt,
  CallFacts,
  Certainty,
  Ending,
  Entry,
  Outcome,
  UpstreamLimit,
  UpstreamLimits,
} from '../../core/ledger-entry.ts'
import type { Usage } from '../../core/usage.ts'

const FACT_COLUMNS = `call_id, organisation, project, key, user, thread, agent, task, operation, dialect, provider, requested_model,
  model, reserved_at_ms, day, reserved_tokens, reserved_cost_nano_usd, price_version, cost_known, streaming, cap_asked,
  cap_injected, simulated, metadata, charges`

/** What an amendment may change. */
const AMENDED_COLUMNS = `operation, dialect, provider, requested_model, model, reserved_tokens, reserved_cost_nano_usd, price_version,
  cost_known, streaming, cap_asked, cap_injected, simulated, metadata, idempotency_key, idempotency_body, charges`

/** About what settling adds to a row. */
const PAD_BYTES = 80

const MAX_INT64 = 2n ** 63n - 1n
const MIN_INT64 = -MAX_INT64

/** The column holds 64 bits. A figure beyond that (nine billion dollars) must not cost other calls their commit. */
export function clampInt64(value: bigint): bigint {
  return value > MAX_INT64 ? MAX_INT64 : value < MIN_INT64 ? MIN_INT64 : value
}

/**
 * Writes entries. Each method is one statement inside a transaction of the caller. `get` and not `run`: it makes no result
 * object, and there is no row to get.
 */
export class EntryRows {
  readonly #insert: StatementSync
  readonly #setIdempotency: StatementSync
  readonly #amend: StatementSync
  readonly #settle: StatementSync
  readonly #updateRareUsage: StatementSync

  constructor(db: DatabaseSync) {
    const places = FACT_COLUMNS.split(',').map(() => '?')
    this.#insert = db.prepare(`INSERT INTO entry (id, appended, ${FACT_COLUMNS}, pad)
      VALUES (?, ?, ${places.join(', ')}, zeroblob(${PAD_BYTES}))`)
    this.#setIdempotency = db.prepare('UPDATE entry SET idempotency_key = ?, idempotency_body = ? WHERE id = ?')
    const changes = AMENDED_COLUMNS.split(',').map((column) => `${column} = ?`)
    this.#amend = db.prepare(`UPDATE entry SET ${changes.join(', ')} WHERE id = ?`)
    this.#settle =
      db.prepare(`UPDATE entry SET pad = NULL, settled_seq = ?, ending = ?, certainty = ?, settled_at_ms = ?,
      latency_ms = ?, time_to_first_token_ms = ?, answered_model = ?, input_tokens = ?, cache_read_tokens = ?,
      cache_write_5m_tokens = ?, output_tokens = ?, billed_requests = ?, reasoning_tokens = ?, input_cost_nano_usd = ?,
      output_cost_nano_usd = ?, cost_nano_usd = ?, attempts = ?, upstream_limits = ? WHERE id = ?`)
    this.#updateRareUsage = db.prepare(`UPDATE entry SET cache_write_1h_tokens = ?, audio_input_tokens = ?,
      audio_cache_read_tokens = ?, audio_output_tokens = ?, image_input_tokens = ?, image_output_tokens = ?,
      web_searches = ? WHERE id = ?`)
  }

  insert(id: number, facts: CallFacts, charges: string, appended: boolean): void {
    const { caller } = facts
    this.#insert.get(
      id,
      appended ? 1 : 0,
      facts.callId,
      caller.organisation,
      caller.project,
      caller.key,
      caller.user,
      caller.thread,
      caller.agent,
      caller.task,
      facts.operation,
      facts.dialect,
      facts.provider,
      facts.requestedModel,
      facts.model,
      facts.reservedAtMs,
      facts.day,
      facts.reservedTokens,
      clampInt64(facts.reservedCostNanoUsd),
      facts.priceVersion,
      facts.costKnown ? 1 : 0,
      facts.streaming ? 1 : 0,
      facts.capAsked,
      facts.capInjected,
      facts.simulated ? 1 : 0,
      facts.metadata,
      charges,
    )
    if (facts.idempotency) this.#setIdempotency.get(facts.idempotency.keyHash, facts.idempotency.bodyHash, id)
  }

  amend(id: number, facts: CallFacts, charges: string): void {
    this.#amend.get(
      facts.operation,
      facts.dialect,
      facts.provider,
      facts.requestedModel,
      facts.model,
      facts.reservedTokens,
      clampInt64(facts.reservedCostNanoUsd),
      facts.priceVersion,
      facts.costKnown ? 1 : 0,
      facts.streaming ? 1 : 0,
      facts.capAsked,
      facts.capInjected,
      facts.simulated ? 1 : 0,
      facts.metadata,
      facts.idempotency?.keyHash ?? null,
      facts.idempotency?.bodyHash ?? null,
      charges,
      id,
    )
  }

  settle(id: number, seq: number, facts: CallFacts, outcome: Outcome): void {
    const { usage, cost } = outcome
    this.#settle.get(
      seq,
      outcome.ending,
      outcome.certainty,
      outcome.settledAtMs,
      outcome.latencyMs,
      outcome.timeToFirstTokenMs,
      outcome.answeredModel,
      usage.input,
      usage.cacheRead,
      usage.cacheWrite5m,
      usage.output,
      usage.requests,
      outcome.reasoningTokens,
      clampInt64(cost.inputNanoUsd),
      clampInt64(cost.outputNanoUsd),
      clampInt64(cost.totalNanoUsd),
      serializeAttempts(facts, outcome),
      serializeLimits(outcome.upstreamLimits),
      id,
    )
    if (hasRareUsage(usage)) this.#settleRareUsage(id, usage)
  }

  #settleRareUsage(id: number, usage: Usage): void {
    this.#updateRareUsage.get(
      usage.cacheWrite1h,
      usage.audioInput,
      usage.audioCacheRead,
      usage.audioOutput,
      usage.imageInput,
      usage.imageOutput,
      usage.webSearches,
      id,
    )
  }
}

function hasRareUsage(usage: Usage): boolean {
  return (
    usage.cacheWrite1h +
      usage.audioInput +
      usage.audioCacheRead +
      usage.audioOutput +
      usage.imageInput +
      usage.imageOutput +
      usage.webSearches >
    0
  )
}

export type Row = Record<string, SQLOutputValue>

/** For statements that read whole entries: money needs all its 64 bits. */
export function prepareEntries(db: DatabaseSync, where: string): StatementSync {
  const statement = db.prepare(`SELECT * FROM entry ${where}`)
  statement.setReadBigInts(true)
  return statement
}

export function entryOf(row: Row): Entry {
  const settledSeq = parseCount(row.settled_seq)
  return { facts: factsOf(row), outcome: settledSeq === null ? null : outcomeOf(row), settledSeq }
}

function factsOf(row: Row): CallFacts {
  return {
    callId: parseText(row.call_id) ?? '',
    caller: {
      key: parseText(row.key),
      organisation: parseText(row.organisation),
      project: parseText(row.project),
      user: parseText(row.user),
      thread: parseText(row.thread),
      agent: parseText(row.agent),
      task: parseText(row.task),
    },
    operation: parseText(row.operation),
    dialect: parseText(row.dialect) ?? '',
    provider: parseText(row.provider) ?? '',
    requestedModel: parseText(row.requested_model) ?? '',
    model: parseText(row.model) ?? '',
    reservedAtMs: parseCount(row.reserved_at_ms) ?? 0,
    day: parseText(row.day) ?? '',
    reservedTokens: parseCount(row.reserved_tokens) ?? 0,
    reservedCostNanoUsd: toBigint(row.reserved_cost_nano_usd),
    priceVersion: parseText(row.price_version),
    costKnown: row.cost_known === 1n,
    streaming: row.streaming === 1n,
    capAsked: parseCount(row.cap_asked),
    capInjected: parseCount(row.cap_injected),
    simulated: row.simulated === 1n,
    metadata: parseText(row.metadata),
    idempotency: idempotencyOf(row),
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
    answeredModel: parseText(row.answered_model),
    settledAtMs: parseCount(row.settled_at_ms) ?? 0,
    latencyMs: parseCount(row.latency_ms) ?? 0,
    timeToFirstTokenMs: parseCount(row.time_to_first_token_ms),
    attempts: parseAttempts(row),
    upstreamLimits: parseLimits(row),
  }
}

function usageOfRow(row: Row): Usage {
  return {
    input: parseCount(row.input_tokens) ?? 0,
    cacheRead: parseCount(row.cache_read_tokens) ?? 0,
    cacheWrite5m: parseCount(row.cache_write_5m_tokens) ?? 0,
    cacheWrite1h: parseCount(row.cache_write_1h_tokens) ?? 0,
    output: parseCount(row.output_tokens) ?? 0,
    audioInput: parseCount(row.audio_input_tokens) ?? 0,
    audioCacheRead: parseCount(row.audio_cache_read_tokens) ?? 0,
    audioOutput: parseCount(row.audio_output_tokens) ?? 0,
    imageInput: parseCount(row.image_input_tokens) ?? 0,
    imageOutput: parseCount(row.image_output_tokens) ?? 0,
    webSearches: parseCount(row.web_searches) ?? 0,
    requests: parseCount(row.billed_requests) ?? 0,
  }
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

/** One good attempt at the call's own target and cost, as nearly all have, is stored as its duration. */
function serializeAttempts({ provider, model }: CallFacts, { attempts, cost }: Outcome): string | number | null {
  const [first] = attempts
  if (!first) return null
  const plain = attempts.length === 1 && first.status === 200 && first.error === null
  const own = first.provider === provider && first.model === model && first.costNanoUsd === cost.totalNanoUsd
  if (plain && own) return first.durationMs
  return JSON.stringify(attempts.map((attempt) => ({ ...attempt, costNanoUsd: `${attempt.costNanoUsd}` })))
}

type StoredAttempt = Omit<Attempt, 'costNanoUsd'> & { readonly costNanoUsd?: string }

function parseAttempts(row: Row): readonly Attempt[] {
  if (typeof row.attempts === 'string') {
    const attempts: readonly StoredAttempt[] = JSON.parse(row.attempts)
    return attempts.map((attempt) => ({ ...attempt, costNanoUsd: BigInt(attempt.costNanoUsd ?? 0) }))
  }
  const durationMs = parseCount(row.attempts)
  if (durationMs === null) return []
  const [provider, model] = [parseText(row.provider) ?? '', parseText(row.model) ?? '']
  return [{ provider, model, status: 200, durationMs, error: null, costNanoUsd: toBigint(row.cost_nano_usd) }]
}

/** As a list: the names would be most of it. What most answers do not say is at its end, and left off. */
function serializeLimits(limits: UpstreamLimits | null): string | null {
  if (!limits) return null
  const { limitRequests, remainingRequests, resetRequestsMs, limitTokens, remainingTokens, resetTokensMs } = limits
  const { retryAfterMs, others } = limits
  let rest = retryAfterMs === null && others.length === 0 ? '' : `,${retryAfterMs}`
  for (const { name, limit, remaining, resetMs } of others)
    rest += `,${JSON.stringify(name)},${limit},${remaining},${resetMs}`
  return `[${limitRequests},${remainingRequests},${resetRequestsMs},${limitTokens},${remainingTokens},${resetTokensMs}${rest}]`
}

type StoredLimits = readonly (number | string | null)[]

function parseLimits(row: Row): UpstreamLimits | null {
  const list: StoredLimits | null = JSON.parse(parseText(row.upstream_limits) ?? 'null')
  if (!list) return null
  const others: UpstreamLimit[] = []
  for (let at = 7; at < list.length; at += 4)
    others.push({
      name: String(list[at]),
      limit: numberAt(list, at + 1),
      remaining: numberAt(list, at + 2),
      resetMs: numberAt(list, at + 3),
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

function numberAt(list: StoredLimits, at: number): number | null {
  const value = list[at]
  return typeof value === 'number' ? value : null
}
