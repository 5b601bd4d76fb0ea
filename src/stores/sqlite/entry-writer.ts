// Writes entries into the SQLite ledger: one INSERT when a call is reserved, one UPDATE when it is settled. Decides nothing.

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { Adjustment, CallFacts, Outcome, UpstreamLimits } from '../../core/ledger-entry.ts'
import { saturateNanoUsd } from '../../core/money.ts'
import { storedCallId, storedDay, TextCodes } from './compact-values.ts'
import { serializeRareUsage } from './usage-columns.ts'

/** About what settling adds to a row. */
const SETTLED_BYTES = 90

/**
 * A statement made of the columns that are written with it: `` write`key ${key}, model ${model}, id ${id}` `` names each column
 * beside its value, and the first write prepares the SQL. Values are bound by position, which is far cheaper than by name
 * or by a list of getters.
 */
class ColumnStatement {
  readonly #db: DatabaseSync
  readonly #sqlOf: (columns: readonly string[]) => string
  #statement: StatementSync | undefined

  constructor(db: DatabaseSync, sqlOf: (columns: readonly string[]) => string) {
    this.#db = db
    this.#sqlOf = sqlOf
  }

  /** One statement takes the same columns every time. `get` and not `run`: it makes no result object. */
  write(columns: TemplateStringsArray, ...values: SQLInputValue[]): void {
    const statement = (this.#statement ??= this.#prepare(columns))
    statement.get(...values)
  }

  #prepare(columns: TemplateStringsArray): StatementSync {
    return this.#db.prepare(this.#sqlOf(columns.slice(0, -1).map((text) => text.replace(/[\s,]/g, ''))))
  }
}

/** The charges leave the row when it is settled: their bytes are room already. */
function insertSql(columns: readonly string[]): string {
  const chargesParameter = columns.indexOf('charges') + 1
  const pad = `zeroblob(max(0, ${SETTLED_BYTES} - length(?${chargesParameter})))`
  return `INSERT INTO entry (${columns}, pad) VALUES (${columns.map(() => '?')}, ${pad})`
}

/** Every column but the last one is set; the last one is `id`. */
const updateSql = (columns: readonly string[]) =>
  `UPDATE entry SET ${columns.slice(0, -1).map((column) => `${column} = ?`)} WHERE id = ?`

/** Each method is one statement inside a transaction of the caller, and more for the few calls with what most calls do not have. */
export class EntryWriter {
  readonly codes: TextCodes
  readonly #insert: ColumnStatement
  readonly #amend: ColumnStatement
  readonly #settle: ColumnStatement
  readonly #markAppended: StatementSync
  readonly #setProviderCost: StatementSync
  readonly #setPrice: StatementSync
  readonly #setIdempotency: StatementSync
  readonly #setItems: StatementSync
  readonly #setAdjustment: StatementSync

  constructor(db: DatabaseSync) {
    this.codes = new TextCodes(db)
    this.#insert = new ColumnStatement(db, insertSql)
    this.#amend = new ColumnStatement(db, updateSql)
    this.#settle = new ColumnStatement(db, (columns) => updateSql(columns).replace('SET', 'SET pad = NULL,'))
    this.#markAppended = db.prepare('UPDATE entry SET appended = 1 WHERE id = ?')
    this.#setAdjustment = db.prepare('UPDATE entry SET adjusts = ?, reason = ? WHERE id = ?')
    this.#setProviderCost = db.prepare(
      'UPDATE entry SET provider_cost_nano_usd = ?, computed_cost_nano_usd = ? WHERE id = ?',
    )
    this.#setPrice = db.prepare('UPDATE entry SET price_version = ?, cost_known = 1 WHERE id = ?')
    this.#setItems = db.prepare('UPDATE entry SET items = ? WHERE id = ?')
    this.#setIdempotency = db.prepare('UPDATE entry SET idempotency_key = ?, idempotency_body = ? WHERE id = ?')
  }

  /** @param isAppended the call was settled elsewhere, so that its id must be unique among such calls */
  insert(id: number, facts: CallFacts, charges: string, isAppended: boolean): void {
    writeFacts(this.#insert, this.codes, id, facts, charges)
    if (isAppended) this.#markAppended.get(id)
    if (facts.items !== null) this.#setItems.get(facts.items, id)
    if (facts.idempotency) this.#setIdempotency.get(facts.idempotency.keyHash, facts.idempotency.bodyHash, id)
  }

  /** Marks a row that was inserted as the correction of another call. */
  markAdjustment(id: number, { callId, reason }: Adjustment): void {
    this.#setAdjustment.get(callId, reason, id)
  }

  /** Writes all facts anew. The caller of the call, its time and its day are those of the row. */
  amend(id: number, facts: CallFacts, charges: string): void {
    writeFacts(this.#amend, this.codes, id, facts, charges)
    this.#setIdempotency.get(facts.idempotency?.keyHash ?? null, facts.idempotency?.bodyHash ?? null, id)
  }

  settle(id: number, seq: number, facts: CallFacts, outcome: Outcome): void {
    const { usage, cost, providerCost } = outcome
    this.#settle.write`
      settled_seq ${seq},
      ending ${this.codes.codeOf(outcome.ending)},
      certainty ${this.codes.codeOf(outcome.certainty)},
      settled_at_ms ${outcome.settledAtMs},
      latency_ms ${outcome.latencyMs},
      time_to_first_token_ms ${outcome.timeToFirstTokenMs},
      answered_model ${outcome.answeredModel === facts.model ? '' : outcome.answeredModel || null},
      input_tokens ${usage.input},
      cache_read_tokens ${usage.cacheRead},
      cache_write_5m_tokens ${usage.cacheWrite5m},
      output_tokens ${usage.output},
      billed_requests ${usage.requests},
      rare_usage ${serializeRareUsage(usage)},
      reasoning_tokens ${outcome.reasoningTokens},
      input_cost_nano_usd ${saturateNanoUsd(cost.inputNanoUsd)},
      output_cost_nano_usd ${saturateNanoUsd(cost.outputNanoUsd)},
      cost_nano_usd ${saturateNanoUsd(cost.totalNanoUsd)},
      attempts ${serializeAttempts(facts, outcome)},
      upstream_limits ${serializeLimits(outcome.upstreamLimits)},
      charges ${''},
      id ${id}`
    if (providerCost)
      this.#setProviderCost.get(
        saturateNanoUsd(providerCost.statedNanoUsd),
        saturateNanoUsd(providerCost.computedNanoUsd),
        id,
      )
    if (outcome.priceVersion !== undefined) this.#setPrice.get(this.codes.codeOf(outcome.priceVersion), id)
  }
}

function writeFacts(statement: ColumnStatement, codes: TextCodes, id: number, facts: CallFacts, charges: string): void {
  const { caller } = facts
  statement.write`
    call_id ${storedCallId(facts.callId)},
    organisation ${caller.organisation},
    project ${caller.project},
    key ${caller.key},
    user ${caller.user},
    thread ${caller.thread},
    agent ${caller.agent},
    task ${caller.task},
    person ${caller.isPerson ? 1 : null},
    operation ${facts.operation},
    dialect ${codes.codeOf(facts.dialect)},
    provider ${facts.provider},
    requested_model ${facts.requestedModel === facts.model ? '' : facts.requestedModel},
    model ${facts.model},
    reserved_at_ms ${facts.reservedAtMs},
    day ${storedDay(facts.day, facts.reservedAtMs)},
    reserved_tokens ${facts.reservedTokens},
    reserved_cost_nano_usd ${saturateNanoUsd(facts.reservedCostNanoUsd)},
    price_version ${facts.priceVersion === null ? null : codes.codeOf(facts.priceVersion)},
    cost_known ${facts.costKnown ? 1 : 0},
    streaming ${facts.streaming ? 1 : 0},
    cap_asked ${facts.capAsked},
    cap_injected ${facts.capInjected},
    simulated ${facts.simulated ? 1 : 0},
    metadata ${facts.metadata},
    charges ${charges},
    id ${id}`
}

/** A single good attempt at the call's own target and cost, as nearly all calls have, is stored as its duration. */
function serializeAttempts({ provider, model }: CallFacts, { attempts, cost }: Outcome): string | number | null {
  const [first] = attempts
  if (!first) return null
  const isPlain = attempts.length === 1 && first.status === 200 && first.error === null
  const isOwn = first.provider === provider && first.model === model && first.costNanoUsd === cost.totalNanoUsd
  if (isPlain && isOwn) return first.durationMs
  return JSON.stringify(attempts.map((attempt) => ({ ...attempt, costNanoUsd: `${attempt.costNanoUsd}` })))
}

/** As a list, since names would be most of the text. Figures that most answers leave out come last and are omitted. */
function serializeLimits(limits: UpstreamLimits | null): string | null {
  if (!limits) return null
  const { limitRequests, remainingRequests, resetRequestsMs, limitTokens, remainingTokens, resetTokensMs } = limits
  const { retryAfterMs, others } = limits
  let rest = retryAfterMs === null && others.length === 0 ? '' : `,${retryAfterMs}`
  for (const { name, limit, remaining, resetMs } of others)
    rest += `,${JSON.stringify(name)},${limit},${remaining},${resetMs}`
  return `[${limitRequests},${remainingRequests},${resetRequestsMs},${limitTokens},${remainingTokens},${resetTokensMs}${rest}]`
}
