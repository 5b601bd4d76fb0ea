// What a message of Anthropic's reports as used, as a document or as a stream, by passes if it lists them.

import { isRecord, recordOf } from '../../core/json-values.ts'
import { servedTier } from '../../core/service-tier.ts'
import {
  areCounts,
  countOf,
  isCount,
  outputTokens,
  TOKEN_CLASSES,
  type TokenClass,
  type Usage,
  unitsOf,
  usageOf,
  usageSum,
} from '../../core/usage.ts'
import { isErrorValue } from '../answer-errors.ts'
import type { AnswerUsage, Tap, UsageShare } from '../dialect.ts'
import { eachObject, ObjectReader } from '../json/object-reader.ts'
import { readStatedCost } from '../stated-cost.ts'
import { AnswerEvents } from '../taps/answer-events.ts'
import { DocumentTap, ErrorDocument } from '../taps/document.ts'
import { hasValue, SseTap } from '../taps/sse.ts'
import { mergeReports, saysSomething, tokensBeside, useCountOf } from '../usage-reports.ts'
import { addParsedBlock, type BilledBlocks, newBilledBlocks, readAnswerBlock, searchesIn } from './billed-blocks.ts'

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
  /** True if the answer has content, be it empty. */
  hasContent: boolean
  readonly blocks: BilledBlocks
}

const ANSWER = new ObjectReader<AnswerFacts>({
  usage(json, answer) {
    answer.usage = json.value()
  },
  model(json, answer) {
    answer.model = json.stringOrNull()
  },
  type(json, answer) {
    answer.isError = json.stringOrNull() === 'error' || answer.isError
  },
  error(json, answer) {
    answer.isError = isErrorValue(json) || answer.isError
  },
  content(json, answer) {
    answer.hasContent = eachObject(json, readAnswerBlock, answer.blocks) > 0
  },
})

export function createMessageTap(streaming: boolean, contentType: string): Tap {
  return streaming && contentType.includes('event-stream')
    ? new SseTap(new MessageEvents(), false)
    : new DocumentTap(readMessageUsage)
}

/** The usage of a whole message. Throws Problem on anything but JSON. */
export function readMessageUsage(document: Buffer): AnswerUsage | undefined {
  const answer: AnswerFacts = {
    usage: undefined,
    model: null,
    isError: false,
    hasContent: false,
    blocks: newBilledBlocks(),
  }
  const { usage, model, isError, hasContent, blocks } = ANSWER.readDocument(document, answer)
  const answerUsage = isRecord(usage) ? normaliseUsage(usage, model, blocks, isCount(usage.output_tokens)) : undefined
  if (isError && !hasContent) throw new ErrorDocument(answerUsage)
  return answerUsage
}

/** @param isOutputCounted false if the output's count is absent, or is what a stream begins with */
function normaliseUsage(
  counts: Readonly<Record<string, unknown>>,
  model: string | null,
  blocks: BilledBlocks,
  isOutputCounted: boolean,
): AnswerUsage | undefined {
  const passes = Array.isArray(counts.iterations) ? counts.iterations : []
  const statedCost = readStatedCost(counts)
  const figures = billedCounts(counts)
  if (!saysSomething(figures, statedCost) || !passes.every((pass) => areCounts(billedCounts(recordOf(pass)))))
    return undefined
  const { own, others } = sharesOf(counts, model)
  const { web_search_requests, code_execution_requests, ...otherTools } = recordOf(counts.server_tool_use)
  const searches = useCountOf(web_search_requests)
  const webSearches = Math.max(searches ?? 0, searchesIn(blocks, countOf(searches) > 0))
  const unmetered = unmeteredIn(otherTools)
  const arePassesCounted = passes.length > 0 && outputTokens(own) > 0
  const isNothingCounted = figures.every((figure) => countOf(figure) === 0)
  const isOutputMissing = isNothingCounted || (!isOutputCounted && !arePassesCounted)
  return {
    usage: usageSum(own, usageOf({ webSearches, requests: 1 })),
    ...(others.length > 0 ? { otherUsage: others } : {}),
    ...(unmetered.length > 0 ? { unmetered } : {}),
    ...(blocks.ranCode || (useCountOf(code_execution_requests) ?? 0) > 0 ? { ranCode: true } : {}),
    ...(statedCost ? { statedCost } : {}),
    ...(isOutputMissing ? { isOutputMissing } : {}),
    reasoningTokens: countOf(recordOf(counts.output_tokens_details).thinking_tokens),
    model,
    serviceTier: premiumTier(counts.speed, counts.inference_geo) ?? usualTier(counts),
  }
}

/** Null if the answer does not tell its speed or its place: the tier that the request names may be the one that counts. */
function usualTier({
  speed,
  inference_geo: geo,
  service_tier: tier,
}: Readonly<Record<string, unknown>>): string | null {
  return typeof speed === 'string' && typeof geo === 'string' ? servedTier(tier) : null
}

/** Pages that are fetched, and searches of tools, are billed by their tokens alone. */
const TOKEN_COUNTS: ReadonlySet<string> = new Set(['web_fetch_requests', 'tool_search_requests'])

function unmeteredIn(toolCounts: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(toolCounts).flatMap(([name, count]) =>
    count !== null && useCountOf(count) !== 0 && !TOKEN_COUNTS.has(name) ? [name] : [],
  )
}

/** The counts that the cost is computed from. */
function billedCounts(counts: Readonly<Record<string, unknown>>): unknown[] {
  const { input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens } = counts
  return [input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens]
}

/**
 * Anthropic's input classes are disjoint already. Cache writes that it does not split by lifetime are five-minute ones; the parts
 * count where the sum is less. Output includes thinking, unless there is more thinking than output.
 */
function tokensOf(counts: Readonly<Record<string, unknown>>): Usage {
  const { ephemeral_5m_input_tokens, ephemeral_1h_input_tokens } = recordOf(counts.cache_creation)
  const cacheWrite1h = countOf(ephemeral_1h_input_tokens)
  const parts = countOf(ephemeral_5m_input_tokens) + cacheWrite1h
  const written = Math.max(countOf(counts.cache_creation_input_tokens), parts)
  const output = countOf(counts.output_tokens)
  const thinking = countOf(recordOf(counts.output_tokens_details).thinking_tokens)
  return usageOf({
    input: countOf(counts.input_tokens),
    cacheRead: countOf(counts.cache_read_input_tokens),
    cacheWrite5m: written - cacheWrite1h,
    cacheWrite1h,
    output: output + tokensBeside(0, 0, output, thinking),
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
const RUNS_CODE = Buffer.from('code_execution"')
const SEARCHES = Buffer.from('web_search')

class MessageEvents extends AnswerEvents {
  /** Later events repeat some fields, leave others out or at zero, and never add up. */
  #counts: Readonly<Record<string, unknown>> | undefined
  #model: string | null = null
  readonly #blocks = newBilledBlocks()
  /** The count that the first event has is of what has been written by then. */
  #isOutputCounted = false

  protected matters(chunk: Buffer): boolean {
    return (
      hasValue(chunk, USAGE) ||
      chunk.includes(STOP) ||
      chunk.includes(ERROR) ||
      chunk.includes(RUNS_CODE) ||
      chunk.includes(SEARCHES)
    )
  }

  override answerUsage(): AnswerUsage | undefined {
    return this.#counts ? normaliseUsage(this.#counts, this.#model, this.#blocks, this.#isOutputCounted) : undefined
  }

  protected readEvent(payload: Buffer): boolean {
    const event: unknown = JSON.parse(payload.toString())
    if (!isRecord(event)) return false
    this.hasContent ||= !isPreambleOrError(event)
    if (event.type === 'message_start') {
      const message = recordOf(event.message)
      this.#model = typeof message.model === 'string' ? message.model : null
      this.#counts = undefined
      this.#updateCounts(message.usage)
    } else if (event.type === 'message_delta') {
      this.#updateCounts(event.usage)
      this.#isOutputCounted ||= isCount(recordOf(event.usage).output_tokens)
      this.finished ||= typeof recordOf(event.delta).stop_reason === 'string'
    } else if (event.type === 'content_block_start') {
      addParsedBlock(event.content_block, this.#blocks)
    } else if (event.type === 'message_stop') this.terminated = this.finished = true
    else if (isError(event)) this.#readError(event)
    return false
  }

  /** What an error counts is the end of the counts. */
  #readError({ usage }: Readonly<Record<string, unknown>>): void {
    this.failed = true
    if (!isRecord(usage)) return
    this.#updateCounts(usage)
    this.#isOutputCounted ||= isCount(usage.output_tokens)
    this.isUsageFinal = this.answerUsage() !== undefined
  }

  #updateCounts(usage: unknown): void {
    if (!isRecord(usage)) return
    // A report that lists the passes is complete: its counts leave out those that it lists apart, and may be smaller.
    const isComplete = Array.isArray(usage.iterations)
    this.#counts = mergeReports(isComplete ? withoutCounts(this.#counts) : this.#counts, usage)
  }
}

/** Events that come before anything is answered. */
const PREAMBLE: ReadonlySet<unknown> = new Set(['message_start', 'ping', 'content_block_stop'])

function isPreambleOrError(event: Readonly<Record<string, unknown>>): boolean {
  return PREAMBLE.has(event.type) || isError(event) || isEmptyBlock(recordOf(event.content_block ?? event.delta))
}

/** The fields of the blocks that a model fills piece by piece. */
const TEXT_FIELDS = ['text', 'thinking', 'signature']

/** The start, or a piece, of a text or of a thought that says nothing yet. */
function isEmptyBlock(block: Readonly<Record<string, unknown>>): boolean {
  const isText = typeof block.type === 'string' && /^(?:text|thinking)(?:_delta)?$/.test(block.type)
  return isText && TEXT_FIELDS.every((field) => (block[field] ?? '') === '')
}

/** Some servers that copy the API leave the type out. */
function isError({ type, error }: Readonly<Record<string, unknown>>): boolean {
  return type === 'error' || (type === undefined && isRecord(error))
}
