// Anthropic's answers: what they say they used, as documents and as streams, pass by pass where they tell.

import { isRecord, recordOf } from '../../core/json-values.ts'
import {
  areCounts,
  areCredibleCounts,
  countOf,
  TOKEN_CLASSES,
  type Usage,
  usageOf,
  usageSum,
} from '../../core/usage.ts'
import type { AnswerUsage, UsageShare } from '../dialect.ts'
import { Fields, JsonCursor } from '../json/cursor.ts'
import { eachField } from '../request-reader.ts'
import { type EventUsageReader, hasValue } from '../taps/sse.ts'

/** Models one answer is priced by, beside its own. More are nobody's real answer, and are priced as its own. */
const MAX_OTHER_MODELS = 8

/** Speed and place have prices of their own, and no service tier names them: the price book knows them by these words. */
export function premiumTier(speed: unknown, geo: unknown): string | null {
  const parts = [speed === 'fast' ? 'fast' : '', geo === 'us' ? 'us' : ''].filter((part) => part !== '')
  return parts.length > 0 ? parts.join('+') : null
}

const ANSWER = new Fields('usage', 'model', 'type')

/** The usage of a whole message. Throws Problem where it is no JSON. */
export function readMessageUsage(document: Buffer): AnswerUsage | undefined {
  const json = new JsonCursor(document)
  let usage: unknown
  let model: string | null = null
  eachField(json, ANSWER, (field) => {
    const name = ANSWER.names[field]
    if (name === 'usage') usage = json.value()
    else if (name === 'model') model = json.stringOrNull()
    else json.skipValue()
  })
  json.finish()
  return isRecord(usage) ? normaliseUsage(usage, model) : undefined
}

function normaliseUsage(counts: Readonly<Record<string, unknown>>, model: string | null): AnswerUsage | undefined {
  const passes = Array.isArray(counts.iterations) ? counts.iterations : []
  if (!areCredibleCounts(billedCounts(counts)) || !passes.every((pass) => areCounts(billedCounts(recordOf(pass)))))
    return undefined
  const { own, also } = sharesOf(counts, model)
  const webSearches = countOf(recordOf(counts.server_tool_use).web_search_requests)
  return {
    usage: { ...own, webSearches, requests: 1 },
    ...(also.length > 0 ? { otherUsage: also } : {}),
    reasoningTokens: countOf(recordOf(counts.output_tokens_details).thinking_tokens),
    model,
    serviceTier:
      premiumTier(counts.speed, counts.inference_geo) ??
      (typeof counts.service_tier === 'string' ? counts.service_tier : null),
  }
}

/** What its cost rests on. */
function billedCounts(counts: Readonly<Record<string, unknown>>): unknown[] {
  const { input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens } = counts
  return [input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens]
}

/** Anthropic's input classes are disjoint already. Cache writes it does not split by lifetime are five-minute ones. */
function tokensOf(counts: Readonly<Record<string, unknown>>): Usage {
  const written = countOf(counts.cache_creation_input_tokens)
  const cacheWrite1h = Math.min(countOf(recordOf(counts.cache_creation).ephemeral_1h_input_tokens), written)
  return usageOf({
    input: countOf(counts.input_tokens),
    cacheRead: countOf(counts.cache_read_input_tokens),
    cacheWrite5m: written - cacheWrite1h,
    cacheWrite1h,
    output: countOf(counts.output_tokens),
  })
}

/**
 * The counts at the top hold the passes that wrote the message, and not those that compacted the context or advised. A pass
 * of another model is priced as that model's; where it wrote, it is taken out of the top, which keeps at least the passes of
 * the model that answered. A kind of pass nobody knows is taken to be left out of the top.
 */
function sharesOf(counts: Readonly<Record<string, unknown>>, model: string | null): { own: Usage; also: UsageShare[] } {
  const top = tokensOf(counts)
  if (!Array.isArray(counts.iterations)) return { own: top, also: [] }
  let written = usageOf()
  let writtenByOthers = usageOf()
  const others = new Map<string | null, Usage>()
  for (const pass of counts.iterations.filter(isRecord)) {
    const tokens = tokensOf(pass)
    const by = typeof pass.model === 'string' ? pass.model : model
    const isWriting = pass.type === 'message' || pass.type === 'fallback_message'
    if (isWriting && by === model) {
      written = usageSum(written, tokens)
      continue
    }
    if (isWriting) writtenByOthers = usageSum(writtenByOthers, tokens)
    const key = others.has(by) || others.size < MAX_OTHER_MODELS ? by : model
    others.set(key, usageSum(others.get(key) ?? usageOf(), tokens))
  }
  const own = { ...top }
  for (const name of TOKEN_CLASSES) own[name] = Math.max(written[name], top[name] - writtenByOthers[name])
  return { own, also: [...others].map(([by, usage]) => ({ model: by, usage })) }
}

const USAGE = Buffer.from('usage"')
const STOP = Buffer.from('message_stop')
const ERROR = Buffer.from('error"')

export class MessageEvents implements EventUsageReader {
  terminated = false
  finished = false
  failed = false
  /** Usage as last said, field by field: later events repeat some, are null in others, and never add up. */
  #counts: Record<string, unknown> | undefined
  #model: string | null = null

  mayMatter(chunk: Buffer): boolean {
    return hasValue(chunk, USAGE) || chunk.includes(STOP) || chunk.includes(ERROR)
  }

  readData(payload: Buffer): boolean {
    if (!this.mayMatter(payload)) return false
    try {
      this.#readEvent(JSON.parse(payload.toString()))
    } catch {
      // Not an event: passed on as it is.
    }
    return false
  }

  answerUsage(): AnswerUsage | undefined {
    return this.#counts ? normaliseUsage(this.#counts, this.#model) : undefined
  }

  #readEvent(event: unknown): void {
    if (!isRecord(event)) return
    if (event.type === 'message_start') {
      const message = recordOf(event.message)
      this.#model = typeof message.model === 'string' ? message.model : null
      this.#updateCounts(message.usage)
    } else if (event.type === 'message_delta') {
      this.#updateCounts(event.usage)
      this.finished ||= typeof recordOf(event.delta).stop_reason === 'string'
    } else if (event.type === 'message_stop') this.terminated = this.finished = true
    else if (event.type === 'error') this.failed = true
  }

  #updateCounts(usage: unknown): void {
    if (!isRecord(usage)) return
    const said = Object.entries(usage).filter(([, value]) => value !== null)
    this.#counts = { ...this.#counts, ...Object.fromEntries(said) }
  }
}
