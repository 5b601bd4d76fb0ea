// Tracked calls: the JSON of calls that were made elsewhere, checked, with every mistake and its place. It books nothing.

import { z } from 'zod'
import type { TrackedCall, Tracking } from '../call/tracking.ts'
import { type Finding, shown } from '../config/findings.ts'
import { readValue, strictObject } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { modelNameOf, PROVIDER_SPELLINGS } from '../core/model-name.ts'
import { MAX_CALL_NANO_USD, nanoUsdOf, parseUsd } from '../core/money.ts'
import { Problem } from '../core/problem.ts'
import { tierName } from '../core/service-tier.ts'
import { usageOf } from '../core/usage.ts'
import { type Callers, callerOf, MAX_DECLARED_CHARACTERS, MAX_DECLARED_ITEMS, type Viewer } from '../keys/callers.ts'
import type { KeyRecord } from '../keys/key-record.ts'
import type { Provider } from '../providers/provider.ts'
import { MAX_METADATA_BYTES } from '../wire/request-reader.ts'
import { timeJson } from './views.ts'

export interface TrackParts {
  readonly clock: Clock
  readonly tracking: Tracking
  readonly callers: Callers
  readonly providers: readonly Provider[]
  /** Where a call of the gateway with this model would go first. */
  readonly locate: (model: string) => { readonly provider: string; readonly model: string }
}

const MAX_ID_CHARACTERS = 128
const MAX_TOKENS = 1_000_000_000
const MAX_DURATION_MS = 86_400_000
const MAX_AGE_DAYS = 31
const DAY_MS = 86_400_000
/** Clocks of two machines differ a little. */
const MAX_AHEAD_MS = 60_000

const name = z
  .string()
  .min(1)
  .max(MAX_DECLARED_CHARACTERS)
  .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), 'must have no control characters')
const declared = name.nullish().transform((value) => value ?? null)
const tokens = z.number().int().min(0).max(MAX_TOKENS)
const duration = z.number().int().min(0).max(MAX_DURATION_MS)

const timestamp = z.iso
  .datetime({ offset: true, error: 'must be a time with its zone, such as "2026-11-22T09:30:00Z"' })
  .transform((text) => Date.parse(text))

/** Programs add up costs as doubles: fractions of a nano-dollar are rounded up. */
const cost = z
  .union([z.number().min(0), z.string()], 'must be dollars: a number, or text such as "0.0042"')
  .transform((value) => (typeof value === 'string' ? parseUsd(value) : nanoUsdOf(value)))
  .refine((nanoUsd) => nanoUsd !== undefined, 'must be dollars, such as "0.0042"')
  .refine((nanoUsd) => (nanoUsd ?? 0n) <= MAX_CALL_NANO_USD, 'must be at most 1000000 dollars')

const metadata = z
  .record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean(), z.null()], 'must be text, a number, true, false or null'),
  )
  .transform((value) => JSON.stringify(value))
  .refine(
    (text) => Buffer.byteLength(text) <= MAX_METADATA_BYTES,
    `must have at most ${MAX_METADATA_BYTES} bytes as JSON`,
  )
  .nullish()
  .transform((text) => (text === undefined || text === '{}' ? null : text))

/** One call, with the names of records. */
const callSchema = strictObject({
  id: z
    .string()
    .min(1)
    .max(MAX_ID_CHARACTERS)
    .regex(/^[\x21-\x7E]*$/, 'must have letters, digits and signs of ASCII only, and no blanks'),
  timestamp,
  /** Whose call it is. For the admin key alone. */
  key: z.string().min(1).max(MAX_DECLARED_CHARACTERS).optional(),
  user_id: declared,
  thread_id: declared,
  agent_name: declared,
  task: declared,
  operation_type: declared,
  /** `openai/gpt-4o`, or the model alone. */
  model: name,
  provider: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be the name of a provider, such as openai')
    .optional(),
  /** All tokens in, cached or not. */
  input_tokens: tokens,
  output_tokens: tokens,
  /** Parts of `input_tokens`. */
  cache_read_tokens: tokens.default(0),
  cache_write_tokens: tokens.default(0),
  /** A part of `output_tokens`. */
  reasoning_tokens: tokens.default(0),
  total_tokens: tokens.optional(),
  /** Dollars. Without it, the price book says what the call cost at its time. */
  total_cost: cost.optional(),
  /** The tier that was billed, if the price depends on it: `batch`, `flex`, `priority`. */
  service_tier: name.optional(),
  certainty: z.enum(['exact', 'estimated']).default('exact'),
  outcome: z.enum(['completed', 'failed', 'canceled']).default('completed'),
  latency_ms: duration.default(0),
  time_to_first_token_ms: duration.nullish().transform((value) => value ?? null),
  items: z
    .number()
    .int()
    .min(1)
    .max(MAX_DECLARED_ITEMS)
    .nullish()
    .transform((value) => value ?? null),
  request_metadata: metadata,
})
type CallJson = z.output<typeof callSchema>

/** A mistake, and the code of the problem if all mistakes are of this kind. */
export interface Mistake extends Finding {
  readonly code?: 'unknown_price' | 'forbidden'
}

/** Reads the calls of one sender. */
export class CallReader {
  readonly #parts: TrackParts
  readonly #sender: Viewer
  readonly #keys = new Map<string, KeyRecord | undefined>()

  constructor(parts: TrackParts, sender: Viewer) {
    this.#parts = parts
    this.#sender = sender
  }

  /** Undefined for a call with mistakes, which are added to `mistakes`. */
  async read(value: unknown, place: Finding['place'], mistakes: Mistake[]): Promise<TrackedCall | undefined> {
    const call = readValue(callSchema, value, place, mistakes)
    if (!call) return undefined
    const before = mistakes.length
    const add = (field: string, text: string, code?: Mistake['code']) =>
      mistakes.push({ place: [...place, field], text, ...(code ? { code } : {}) })
    this.#checkTime(call, add)
    checkTokens(call, add)
    const key = await this.#keyOf(call, add)
    if (key) checkKey(call, key, add)
    const target = this.#targetOf(call, add)
    if (!target || mistakes.length > before) return undefined
    const tracked = trackedCall(call, key, target)
    if (this.#parts.tracking.isPriced(tracked)) return tracked
    const { provider, model } = target
    add(
      'model',
      `has no price at ${shown(provider)}: send total_cost, or give ${shown(`${provider}/${model}`)} a price in bursar.json`,
      'unknown_price',
    )
    return undefined
  }

  #checkTime({ timestamp: atMs }: CallJson, add: AddMistake): void {
    const { wallMs } = this.#parts.clock.now()
    const earliestMs = wallMs - MAX_AGE_DAYS * DAY_MS
    if (atMs < earliestMs)
      add('timestamp', `must be at most ${MAX_AGE_DAYS} days ago: ${timeJson(earliestMs)} or later`)
    if (atMs > wallMs + MAX_AHEAD_MS) add('timestamp', `must not be in the future: it is ${timeJson(wallMs)} here`)
  }

  /** The key whose call it is. A sender with a key sends its own calls alone. */
  async #keyOf({ key: named }: CallJson, add: AddMistake): Promise<KeyRecord | undefined> {
    const { callers } = this.#parts
    const { role } = this.#sender
    if (role === 'key') {
      if (named !== undefined && named !== this.#sender.key)
        add('key', 'must be left out: an API key tracks its own calls alone', 'forbidden')
      return this.#sender.record
    }
    if (named === undefined) {
      if (callers.needKeys) add('key', 'is missing: name the key whose call it is')
      return undefined
    }
    if (role !== 'admin') {
      add('key', 'must be left out: only the admin key names keys', 'forbidden')
      return undefined
    }
    if (!this.#keys.has(named)) this.#keys.set(named, await callers.findKey(named))
    const key = this.#keys.get(named)
    if (!key) add('key', 'must be the id of a key of this gateway')
    return key
  }

  #targetOf({ model: written, provider: named }: CallJson, add: AddMistake): Target | undefined {
    const target = named === undefined ? this.#locate(written) : this.#targetAt(named, written)
    if (!target) {
      add('provider', 'is missing: the model alone does not say which provider served it')
      return undefined
    }
    const { provider, model } = target
    if (model.trim() === '') {
      add('model', 'must name a model, such as openai/gpt-4o')
      return undefined
    }
    if (this.#parts.providers.find((candidate) => candidate.name === provider)?.simulated) {
      add(named === undefined ? 'model' : 'provider', 'must not be the simulated provider, whose calls cost nothing')
      return undefined
    }
    return { provider, model: modelNameOf(provider, model).model }
  }

  /** A provider in front of the model, or the provider that the gateway would send the call to. */
  #locate(written: string): Target | undefined {
    const slash = written.indexOf('/')
    const known = slash > 0 ? this.#knownProvider(written.slice(0, slash)) : undefined
    if (known !== undefined) return { provider: known, model: written.slice(slash + 1) }
    try {
      return this.#parts.locate(written)
    } catch (error) {
      if (error instanceof Problem) return undefined
      throw error
    }
  }

  #targetAt(named: string, written: string): Target {
    const provider = this.#knownProvider(named) ?? named.trim().toLowerCase()
    return { provider, model: written.startsWith(`${provider}/`) ? written.slice(provider.length + 1) : written }
  }

  /** Our name of a provider in any of its spellings: `google` is `gemini`. */
  #knownProvider(spelling: string): string | undefined {
    const name = spelling.trim().toLowerCase()
    const { providers } = this.#parts
    const found =
      providers.find((provider) => provider.name === name) ??
      providers.find((provider) => PROVIDER_SPELLINGS.get(provider.name)?.includes(name))
    return found?.name
  }
}

type AddMistake = (field: string, text: string, code?: Mistake['code']) => void

interface Target {
  readonly provider: string
  readonly model: string
}

function checkTokens(call: CallJson, add: AddMistake): void {
  const { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, total_tokens } = call
  if (cache_read_tokens + cache_write_tokens > input_tokens)
    add('input_tokens', 'must include cache_read_tokens and cache_write_tokens')
  if (reasoning_tokens > output_tokens) add('output_tokens', 'must include reasoning_tokens')
  if (total_tokens !== undefined && total_tokens !== input_tokens + output_tokens)
    add('total_tokens', 'must be input_tokens + output_tokens')
}

/** What the key requires of its calls, and whose key it is. */
function checkKey(call: CallJson, key: KeyRecord, add: AddMistake): void {
  if (key.user !== null && call.user_id !== null && call.user_id !== key.user)
    add('user_id', 'must be left out: the API key is of a person, whose calls these are')
  const given = {
    organisation: key.organisation,
    project: key.project,
    user: call.user_id ?? key.user,
    thread: call.thread_id,
    agent: call.agent_name,
    task: call.task,
    operation: call.operation_type,
  }
  for (const required of key.requires)
    if (given[required] === null)
      add(FIELD_OF[required] ?? 'key', `is missing: the API key requires a call to have its ${required}`)
}

const FIELD_OF: Readonly<Record<string, string>> = {
  user: 'user_id',
  thread: 'thread_id',
  agent: 'agent_name',
  task: 'task',
  operation: 'operation_type',
}

function trackedCall(call: CallJson, key: KeyRecord | undefined, target: Target): TrackedCall {
  const { cache_read_tokens: cacheRead, cache_write_tokens: cacheWrite5m } = call
  return {
    id: call.id,
    caller: callerOf(key, call.user_id, call.thread_id, call.agent_name, call.task),
    keyLimits: key?.limits,
    atMs: call.timestamp,
    ...target,
    writtenModel: call.model,
    operation: call.operation_type,
    usage: usageOf({
      input: call.input_tokens - cacheRead - cacheWrite5m,
      cacheRead,
      cacheWrite5m,
      output: call.output_tokens,
      requests: 1,
    }),
    reasoningTokens: call.reasoning_tokens,
    serviceTier: call.service_tier === undefined ? null : tierName(call.service_tier),
    statedNanoUsd: call.total_cost,
    certainty: call.certainty,
    ending: call.outcome,
    latencyMs: call.latency_ms,
    timeToFirstTokenMs: call.time_to_first_token_ms,
    items: call.items,
    metadata: call.request_metadata,
  }
}
