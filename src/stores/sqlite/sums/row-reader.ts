// Reads settled rows of the ledger as packed calls, with the names that the sums need beside them.

import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import { bucketOf } from '../../../core/histogram.ts'
import type { Certainty, Ending } from '../../../core/ledger-entry.ts'
import { cacheReadTokens, cacheWriteTokens, inputTokens, outputTokens } from '../../../core/usage.ts'
import { QUARTER_MS } from '../../usage-query.ts'
import { decodedSql, readCallId } from '../compact-values.ts'
import { RARE_COLUMN, usageOfRow } from '../usage-columns.ts'
import { holderText, type Names, NO_NAME } from './names.ts'
import type { PackedCall } from './packed-calls.ts'

/** Rows of calls read at once. */
export const ROWS_PER_PAGE = 4096

const PART = 1_000_000_000

const COLUMNS = [
  'settled_seq',
  'call_id',
  'reserved_at_ms',
  'simulated',
  'organisation',
  'project',
  'key',
  'user',
  'thread',
  'task',
  'agent',
  'operation',
  'provider',
  'model',
  `iif(adjusts IS NULL, ${decodedSql('ending')}, 'adjusted')`,
  decodedSql('certainty'),
  'latency_ms',
  'time_to_first_token_ms',
  'input_tokens',
  'cache_read_tokens',
  'cache_write_5m_tokens',
  'output_tokens',
  RARE_COLUMN,
  'items',
  `cost_nano_usd / ${PART}`,
  `cost_nano_usd % ${PART}`,
]

/** A settled row. Names are '' where the call has none. */
export interface CountedCall extends PackedCall {
  readonly callId: string
  readonly simulated: boolean
  readonly names: Readonly<
    Record<
      'organisation' | 'project' | 'key' | 'user' | 'thread' | 'task' | 'agent' | 'operation' | 'provider' | 'model',
      string
    >
  >
}

export class RowReader {
  readonly #page: StatementSync
  readonly #names: Names

  /** @param ledger a connection to the ledger; @param names those of the file of sums */
  constructor(ledger: DatabaseSync, names: Names) {
    this.#names = names
    this.#page = ledger.prepare(
      `SELECT ${COLUMNS.join(', ')} FROM entry WHERE settled_seq > ? ORDER BY settled_seq LIMIT ?`,
      { returnArrays: true },
    )
  }

  /** The calls after `seq` in the order of their settlements, at most `limit`. */
  after(seq: number, limit: number): CountedCall[] {
    // Arrays, which node:sqlite types as records.
    const rows = this.#page.all(seq, limit) as unknown as SQLOutputValue[][]
    return rows.map((row) => this.#callOf(row))
  }

  #callOf(row: readonly SQLOutputValue[]): CountedCall {
    const [seq, callId, reservedAtMs, simulated, organisation, project, key, user, thread, task] = row
    const [agent, operation, provider, model, ending, certainty, latencyMs, firstTokenMs] = row.slice(10)
    const [input, cacheRead, cacheWrite, output, rare, items, costParts, costRest] = row.slice(18)
    const isCompleted = ending === 'completed'
    const names = this.#names
    const call = {
      seq: Number(seq),
      callId: readCallId(callId),
      simulated: simulated === 1,
      quarter: Math.floor(Number(reservedAtMs) / QUARTER_MS),
      ending: ending as Ending,
      certainty: certainty as Certainty,
      target: names.idOf('target', `${provider}/${model}`),
      holder: names.idOf('holder', holderText(textOf(organisation), textOf(project), textOf(key))),
      user: user ? names.idOf('user', String(user)) : NO_NAME,
      agent: agent ? names.idOf('agent', String(agent)) : NO_NAME,
      operation: operation ? names.idOf('operation', String(operation)) : NO_NAME,
      inputTokens: Number(input) + Number(cacheRead) + Number(cacheWrite),
      cacheReadTokens: Number(cacheRead),
      cacheWriteTokens: Number(cacheWrite),
      outputTokens: Number(output),
      costNanoUsd: BigInt(Number(costParts)) * 1_000_000_000n + BigInt(Number(costRest)),
      items: Number(items ?? 0),
      latencyBucket: isCompleted && latencyMs !== null ? bucketOf(Number(latencyMs)) : -1,
      firstTokenBucket: isCompleted && firstTokenMs !== null ? bucketOf(Number(firstTokenMs)) : -1,
      names: {
        organisation: String(organisation ?? ''),
        project: String(project ?? ''),
        key: String(key ?? ''),
        user: String(user ?? ''),
        thread: String(thread ?? ''),
        task: String(task ?? ''),
        agent: String(agent ?? ''),
        operation: String(operation ?? ''),
        provider: String(provider),
        model: `${provider}/${model}`,
      },
    }
    return typeof rare === 'string' ? { ...call, ...rareTokens(row) } : call
  }
}

function textOf(value: SQLOutputValue | undefined): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** The tokens of a row with rare classes. */
function rareTokens(row: readonly SQLOutputValue[]) {
  const usage = usageOfRow(Object.fromEntries(COLUMNS.map((column, index) => [column, row[index] ?? null])))
  return {
    inputTokens: inputTokens(usage),
    cacheReadTokens: cacheReadTokens(usage),
    cacheWriteTokens: cacheWriteTokens(usage),
    outputTokens: outputTokens(usage),
  }
}
