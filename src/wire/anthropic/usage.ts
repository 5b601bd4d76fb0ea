// What a message of Anthropic's reports as used, as a document or as a stream, by passes if it lists them.

import { isRecord, recordOf } from '../../core/json-values.ts'
import {
  areCounts,
  areCredibleCounts,
  countOf,
  TOKEN_CLASSES,
  type TokenClass,
  type Usage,
  unitsOf,
  usageOf,
  usageSum,
} from '../../core/usage.ts'
import type { AnswerUsage, Tap, UsageShare } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { eachObject, ObjectReader } from '../json/object-reader.ts'
import { AnswerEvents } from '../taps/answer-events.ts'
import { DocumentTap, ErrorDocument } from '../taps/document.ts'
import { hasValue, SseTap } from '../taps/sse.ts'
import { mergeReports } from '../usage-reports.ts'

/** How many other models an answer may be priced by. No real answer has more; the rest is priced as the answer's own model. */
const MAX_OTHER_MODELS = 8

/** The price book's name for speed and place, which have prices of their own and no service tier. Null for the usual ones. */
export function premiumTier(speed: unknown, geo: unknown): string | null {
  const parts = [speed === 'fast' ? 'fast' : '', geo === 'us' ? 'us' : ''].filter((part) => part !== '')
  return parts.length > 0 ? parts.join('+') : null
}

interface AnswerFacts {
  usage: unknown
  model: string | null
  isError: boolean
  ranCode: boolean
}

const ANSWER = new ObjectReader<AnswerFacts>({
  usage(json, answer) {
    answer.usage = json.value()
  },
  model(json, answer) {
    answer.model = json.stringOrNull()
  },
  type(json, answer) {
    answer.isError = json.stringOrNull() === 'error'
  },
  content(json, answer) {
    eachObject(json, readAnswerBlock, answer)
  },
})

interface Block {
  type: string | null
  name: string | null
}

const BLOCK = new ObjectReader<Block>({
  type(json, block) {
    block.type = json.stringOrNull()
  },
  name(json, block) {
    block.name = json.stringOrNull()
  },
})

function readAnswerBlock(json: JsonCursor, answer: AnswerFacts): void {
  const block: Block = { type: null, name: null }
  BLOCK.read(json, block)
  answer.ranCode ||= runsCode(block.type, block.name)
}

/** `code_execution`, `bash_code_execution`, `text_editor_code_execution`. */
function runsCode(type: unknown, name: unknown): boolean {
  return type === 'server_tool_use' && typeof name === 'string' && name.endsWith(CODE_EXECUTION)
}

const CODE_EXECUTION = 'code_execution'

export function createMessageTap(streaming: boolean, contentType: string): Tap {
  return streaming && contentType.includes('event-stream')
    ? new SseTap(new MessageEvents(), false)
    : new DocumentTap(readMessageUsage)
}

/** The usage of a whole message. Throws Problem on anything but JSON. */
export function readMessageUsage(document: Buffer): AnswerUsage | undefined {
  const answer: AnswerFacts = { usage: undefined, model: null, isError: false, ranCode: false }
  const { usage, model, isError, ranCode } = ANSWER.readDocument(document, answer)
  if (isError) throw new ErrorDocument()
  return isRecord(usage) ? normaliseUsage(usage, model, ranCode) : undefined
}

function normaliseUsage(
  counts: Readonly<Record<string, unknown>>,
  model: string | null,
  ranCode: boolean,
): AnswerUsage | undefined {
  const passes = Array.isArray(counts.iterations) ? counts.iterations : []
  if (!areCredibleCounts(billedCounts(counts)) || !passes.every((pass) => areCounts(billedCounts(recordOf(pass)))))
    return undefined
  const { own, others } = sharesOf(counts, model)
  const { web_search_requests, code_execution_requests, ...otherTools } = recordOf(counts.server_tool_use)
  const webSearches = countOf(web_search_requests)
  const unmetered = unmeteredIn(otherTools)
  return {
    usage: usageSum(own, usageOf({ webSearches, requests: 1 })),
    ...(others.length > 0 ? { otherUsage: others } : {}),
    ...(unmetered.length > 0 ? { unmetered } : {}),
    ...(ranCode || countOf(code_execution_requests) > 0 ? { ranCode: true } : {}),
    reasoningTokens: countOf(recordOf(counts.output_tokens_details).thinking_tokens),
    model,
    serviceTier:
      premiumTier(counts.speed, counts.inference_geo) ??
      (typeof counts.service_tier === 'string' ? counts.service_tier : null),
  }
}

/** Pages that are fetched, and searches of tools, are billed by their tokens alone. */
const TOKEN_COUNTS: ReadonlySet<string> = new Set(['web_fetch_requests', 'tool_search_requests'])

function unmeteredIn(toolCounts: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(toolCounts).flatMap(([name, count]) =>
    countOf(count) > 0 && !TOKEN_COUNTS.has(name) ? [name] : [],
  )
}

/** The counts that the cost is computed from. */
function billedCounts(counts: Readonly<Record<string, unknown>>): unknown[] {
  const { input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens } = counts
  return [input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens]
}

/** Anthropic's input classes are disjoint already. Cache writes that it does not split by lifetime are five-minute ones. */
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
 * Splits usage by model. The counts at the top include the passes that wrote the message, and exclude those that compacted the
 * context or advised. A pass of another model is priced as that model's. If it wrote, it is subtracted from the top, which
 * keeps at least the passes of the model that answered. An unknown kind of pass counts as excluded from the top.
 */
function sharesOf(
  counts: Readonly<Record<string, unknown>>,
  model: string | null,
): { own: Usage; others: UsageShare[] } {
  const top = tokensOf(counts)
  if (!Array.isArray(counts.iterations)) return { own: top, others: [] }
  let written = usageOf()
  let writtenByOthers = usageOf()
  const usageByModel = new Map<string | null, Usage>()
  for (const pass of counts.iterations.filter(isRecord)) {
    const tokens = tokensOf(pass)
    const passModel = typeof pass.model === 'string' ? pass.model : model
    const isWriting = pass.type === 'message' || pass.type === 'fallback_message'
    if (isWriting && passModel === model) {
      written = usageSum(written, tokens)
      continue
    }
    if (isWriting) writtenByOthers = usageSum(writtenByOthers, tokens)
    const isCounted = usageByModel.has(passModel) || usageByModel.size < MAX_OTHER_MODELS
    const pricedModel = isCounted ? passModel : model
    usageByModel.set(pricedModel, usageSum(usageByModel.get(pricedModel) ?? usageOf(), tokens))
  }
  const ownUnitsOf = (name: TokenClass) =>
    Math.max(unitsOf(written, name), unitsOf(top, name) - unitsOf(writtenByOthers, name))
  const own = usageOf(Object.fromEntries(TOKEN_CLASSES.map((name) => [name, ownUnitsOf(name)])))
  return { own, others: [...usageByModel].map(([name, usage]) => ({ model: name, usage })) }
}

function withoutCounts(usage: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(usage).filter(([, value]) => typeof value !== 'number'))
}

const USAGE = Buffer.from('usage"')
const STOP = Buffer.from('message_stop')
const ERROR = Buffer.from('error"')
const RUNS_CODE = Buffer.from(`${CODE_EXECUTION}"`)

class MessageEvents extends AnswerEvents {
  /** Later events repeat some fields, leave others out or at zero, and never add up. */
  #counts: Readonly<Record<string, unknown>> | undefined
  #model: string | null = null
  #ranCode = false

  mayMatter(chunk: Buffer): boolean {
    return hasValue(chunk, USAGE) || chunk.includes(STOP) || chunk.includes(ERROR) || chunk.includes(RUNS_CODE)
  }

  override answerUsage(): AnswerUsage | undefined {
    return this.#counts ? normaliseUsage(this.#counts, this.#model, this.#ranCode) : undefined
  }

  protected readEvent(payload: Buffer): boolean {
    const event: unknown = JSON.parse(payload.toString())
    if (!isRecord(event)) return false
    if (event.type === 'message_start') {
      const message = recordOf(event.message)
      this.#model = typeof message.model === 'string' ? message.model : null
      this.#counts = undefined
      this.#updateCounts(message.usage)
    } else if (event.type === 'message_delta') {
      this.#updateCounts(event.usage)
      this.finished ||= typeof recordOf(event.delta).stop_reason === 'string'
    } else if (event.type === 'content_block_start') {
      const { type, name } = recordOf(event.content_block)
      this.#ranCode ||= runsCode(type, name)
    } else if (event.type === 'message_stop') this.terminated = this.finished = true
    else if (event.type === 'error') this.failed = true
    return false
  }

  #updateCounts(usage: unknown): void {
    if (!isRecord(usage)) return
    // A report that lists the passes is complete: its counts leave out those that it lists apart, and may be smaller.
    const isComplete = Array.isArray(usage.iterations)
    this.#counts = mergeReports(isComplete ? withoutCounts(this.#counts) : this.#counts, usage)
  }
}
