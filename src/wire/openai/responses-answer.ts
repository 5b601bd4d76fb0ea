// What a response of OpenAI's reports as used, as a document or at the end of a stream.

import { isRecord, recordOf } from '../../core/json-values.ts'
import { servedTier } from '../../core/service-tier.ts'
import { countOf, isCount, type UnitsByClass, usageOf } from '../../core/usage.ts'
import { isErrorValue } from '../answer-errors.ts'
import type { AnswerUsage, Tap, UsageShare } from '../dialect.ts'
import { type ByteRange, JsonCursor } from '../json/cursor.ts'
import { eachObject, type FieldHandlers, ObjectReader } from '../json/object-reader.ts'
import { readStatedCost } from '../stated-cost.ts'
import { AnswerEvents } from '../taps/answer-events.ts'
import { DocumentTap, ErrorDocument } from '../taps/document.ts'
import { Shortener } from '../taps/shortener.ts'
import { hasValue, SseTap } from '../taps/sse.ts'
import { saysSomething, tokensBeside, useCountOf } from '../usage-reports.ts'
import { ERROR_FIELDS, type ErrorFacts } from './chat-errors.ts'
import { type BilledItems, DEFAULT_GIGABYTES, gigabytesOf, newBilledItems, readOutputItem } from './responses-items.ts'
import { readXaiTools } from './xai-tools.ts'

/** The model that draws, if a response does not name it. */
const DEFAULT_IMAGE_MODEL = 'gpt-image-1'

export function createResponsesTap(streaming: boolean, contentType: string): Tap {
  return streaming && contentType.includes('event-stream') ? new ResponsesTap() : new DocumentTap(readDocumentUsage)
}

/** What was read of a response. */
interface AnswerFacts extends ErrorFacts {
  usage: unknown
  /** Usage of hosted tools, in addition to the model's. */
  toolUsage: unknown
  model: string | null
  serviceTier: string | null
  imageModel: string | null
  /** The largest memory of a container that the response states. */
  gigabytes: number
  readonly items: BilledItems
  /** How many items of the output have been read: the index of the next one. */
  itemCount: number
}

function readDocumentUsage(document: Buffer): AnswerUsage | undefined {
  const answer = readAnswer(document, newBilledItems())
  const usage = answerUsageOf(answer)
  const hasContent = answer.itemCount > 0
  if (answer.hasError || (answer.hasDetail && !hasContent)) throw new ErrorDocument(usage, hasContent)
  return usage
}

function readAnswer(bytes: Buffer, items: BilledItems): AnswerFacts {
  return RESPONSE.readDocument(bytes, {
    usage: null,
    toolUsage: null,
    model: null,
    serviceTier: null,
    imageModel: null,
    gigabytes: DEFAULT_GIGABYTES,
    items,
    itemCount: 0,
    hasError: false,
    hasDetail: false,
  })
}

/** Only top-level fields count: neither a model's words nor the request, which a response repeats, ever do. */
const RESPONSE = new ObjectReader<AnswerFacts>({
  usage(json, answer) {
    answer.usage = json.value()
  },
  model(json, answer) {
    answer.model = json.stringOrNull()
  },
  service_tier(json, answer) {
    answer.serviceTier = servedTier(json.stringOrNull())
  },
  ...(ERROR_FIELDS as FieldHandlers<AnswerFacts>),
  status(json, answer) {
    answer.hasError = json.stringOrNull() === 'failed' || answer.hasError
  },
  output(json, answer) {
    eachObject(json, readAnswerItem, answer)
  },
  tools(json, answer) {
    eachObject(json, readOutputTool, answer)
  },
  tool_usage(json, answer) {
    answer.toolUsage = json.value()
  },
})

function readAnswerItem(json: JsonCursor, answer: AnswerFacts): void {
  readOutputItem(json, answer.items, String(answer.itemCount++))
}

interface OutputTool {
  type: string | null
  model: string | null
}

const OUTPUT_TOOL = new ObjectReader<OutputTool, AnswerFacts>({
  type(json, tool) {
    tool.type = json.stringOrNull()
  },
  model(json, tool) {
    tool.model = json.stringOrNull()
  },
  container(json, _tool, answer) {
    CONTAINER.readIfObject(json, answer)
  },
  environment(json, _tool, answer) {
    CONTAINER.readIfObject(json, answer)
  },
})

const CONTAINER = new ObjectReader<AnswerFacts>({
  memory_limit(json, answer) {
    answer.gigabytes = Math.max(answer.gigabytes, gigabytesOf(json.stringOrNull()))
  },
})

/** A model of its own draws images and is billed for them; containers are billed by the memory that the request names. */
function readOutputTool(json: JsonCursor, answer: AnswerFacts): void {
  const tool: OutputTool = { type: null, model: null }
  OUTPUT_TOOL.read(json, tool, answer)
  if (tool.type === 'image_generation') answer.imageModel = tool.model
}

/**
 * OpenAI's counts include their parts; the classes of `Usage` are disjoint. Parts that exceed their total are reduced to it.
 * Tokens that are in the total and in neither half are reasoning (xAI).
 */
function answerUsageOf(answer: AnswerFacts): AnswerUsage | undefined {
  const { usage, model, serviceTier } = answer
  if (!isRecord(usage)) return undefined
  const statedCost = readStatedCost(usage)
  if (!saysSomething([usage.input_tokens, usage.output_tokens], statedCost)) return undefined
  const inputDetails = recordOf(usage.input_tokens_details)
  const outputDetails = recordOf(usage.output_tokens_details)
  const lifetimes = recordOf(inputDetails.cache_write_tokens_details)
  const input = countOf(usage.input_tokens)
  const output = countOf(usage.output_tokens)
  const reasoning = countOf(outputDetails.reasoning_tokens)
  const beside = tokensBeside(countOf(usage.total_tokens), input, output, reasoning)
  const isNothingCounted = input + output + beside === 0
  const isOutputMissing = isNothingCounted || (!isCount(usage.output_tokens) && beside === 0)
  const cacheRead = Math.min(countOf(inputDetails.cached_tokens), input)
  const written = Math.min(countOf(inputDetails.cache_write_tokens), input - cacheRead)
  const cacheWrite12h = Math.min(countOf(lifetimes.ttl_12h_tokens), written)
  const audioInput = Math.min(countOf(inputDetails.audio_tokens), input - cacheRead - written)
  const audioOutput = Math.min(countOf(outputDetails.audio_tokens), output)
  const images = imageShareIn(answer)
  const uses = toolUsesIn(answer, usage)
  const unmetered = !images && answer.items.images.size > 0 ? [...uses.unmetered, 'image_generation'] : uses.unmetered
  return {
    usage: usageOf({
      input: input - cacheRead - written - audioInput,
      cacheRead,
      cacheWrite5m: written - cacheWrite12h,
      cacheWrite12h,
      audioInput,
      output: output - audioOutput + beside,
      audioOutput,
      ...uses.units,
      requests: 1,
    }),
    ...(images ? { otherUsage: [images] } : {}),
    ...(unmetered.length > 0 ? { unmetered } : {}),
    ...(statedCost ? { statedCost } : {}),
    ...(isOutputMissing ? { isOutputMissing } : {}),
    reasoningTokens: Math.max(reasoning, beside),
    model,
    serviceTier,
  }
}

/**
 * The uses of hosted tools. OpenAI and OpenRouter also count searches in fields of their own, and the figures differ: the largest
 * counts. xAI counts every tool, and bills runs of code in place of containers.
 */
function toolUsesIn(
  { items, toolUsage, gigabytes }: AnswerFacts,
  usage: Readonly<Record<string, unknown>>,
): { readonly units: UnitsByClass; readonly unmetered: readonly string[] } {
  const counted = countOf(recordOf(recordOf(toolUsage).web_search).num_requests)
  const requested = useCountOf(recordOf(usage.server_tool_use_details).web_search_requests) ?? 0
  const seen = {
    webSearches: Math.max(items.webSearches.size, counted, requested),
    fileSearches: items.fileSearches.size,
  }
  const xai = readXaiTools(usage, { ...seen, codeRuns: items.codeRuns.size })
  if (!xai) return { units: { ...seen, containerGigabytes: items.containers.size * gigabytes }, unmetered: [] }
  const { webSearches = 0, ...units } = xai.units
  return { units: { ...units, webSearches: Math.max(webSearches, seen.webSearches) }, unmetered: xai.unmetered }
}

/** Tokens of text and images that the model that draws used. */
function imageShareIn({ toolUsage, imageModel }: AnswerFacts): UsageShare | undefined {
  const drawn = recordOf(recordOf(toolUsage).image_gen)
  const input = countOf(drawn.input_tokens)
  const output = countOf(drawn.output_tokens)
  if (input + output === 0) return undefined
  const imageInput = Math.min(countOf(recordOf(drawn.input_tokens_details).image_tokens), input)
  const text = Math.min(countOf(recordOf(drawn.output_tokens_details).text_tokens), output)
  const usage = usageOf({ input: input - imageInput, imageInput, output: text, imageOutput: output - text })
  return { usage, model: imageModel ?? DEFAULT_IMAGE_MODEL, isTool: true }
}

const COMPLETED = Buffer.from('.completed"')
const INCOMPLETE = Buffer.from('.incomplete"')
const FAILED = Buffer.from('.failed"')
const ERROR = Buffer.from('error"')
const ITEM_DONE = Buffer.from('_item.done"')
const DONE = Buffer.from('[DONE]')

interface StreamEvent {
  type: string | null
  response: ByteRange | null
  hasError: boolean
  item: ByteRange | null
  /** The index of the item in the output. */
  outputIndex: string
}

const EVENT = new ObjectReader<StreamEvent>({
  type(json, event) {
    event.type = json.stringOrNull()
  },
  response(json, event) {
    event.response = json.range()
  },
  error(json, event) {
    event.hasError = isErrorValue(json)
  },
  item(json, event) {
    event.item = json.range()
  },
  output_index(json, event) {
    event.outputIndex = json.text(json.range())
  },
})

/** Events that come before anything is answered. */
const PREAMBLE: ReadonlySet<string> = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'keepalive',
])

class ResponseEvents extends AnswerEvents {
  /** The last event repeats the items, but some providers leave its output empty. */
  readonly #items = newBilledItems()

  protected matters(chunk: Buffer): boolean {
    return (
      chunk.includes(COMPLETED) ||
      chunk.includes(INCOMPLETE) ||
      chunk.includes(FAILED) ||
      chunk.includes(DONE) ||
      chunk.includes(ITEM_DONE) ||
      hasValue(chunk, ERROR)
    )
  }

  protected readEvent(payload: Buffer): boolean {
    if (payload.toString('latin1', 0, DONE.length * 2).trim() === '[DONE]') this.#markEnded(!this.failed)
    const event: StreamEvent = { type: null, response: null, hasError: false, item: null, outputIndex: '' }
    EVENT.read(new JsonCursor(payload), event)
    const { type, response, hasError, item, outputIndex } = event
    if (type === 'error' || hasError || type === 'response.failed') this.failed = true
    else this.hasContent ||= type === null || !PREAMBLE.has(type)
    if (type === 'response.output_item.done' && item)
      readOutputItem(new JsonCursor(payload.subarray(item.start, item.end)), this.#items, outputIndex)
    if (type !== 'response.completed' && type !== 'response.incomplete' && type !== 'response.failed') return false
    this.#markEnded(type !== 'response.failed')
    this.isUsageFinal = true
    if (response)
      this.lastUsage = answerUsageOf(readAnswer(payload.subarray(response.start, response.end), this.#items))
    return false
  }

  #markEnded(isSuccess: boolean): void {
    this.terminated = true
    this.finished ||= isSuccess
  }
}

/** The last event repeats the whole answer, images included: long lines are shortened before they are read. */
class ResponsesTap extends SseTap {
  readonly #shortener = new Shortener()

  constructor() {
    super(new ResponseEvents(), false)
  }

  override push(chunk: Buffer): Buffer {
    super.push(this.#shortener.push(chunk))
    return chunk
  }
}
