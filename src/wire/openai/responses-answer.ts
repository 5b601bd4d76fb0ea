// What a response of OpenAI's says it used, whole or at the end of a stream.

import { isRecord, recordOf } from '../../core/json-values.ts'
import { areCredibleCounts, countOf, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Tap, UsageShare } from '../dialect.ts'
import { type ByteRange, Fields, JsonCursor } from '../json/cursor.ts'
import { eachField, eachObject, readInto } from '../request-reader.ts'
import { DocumentTap } from '../taps/document.ts'
import { Shortener } from '../taps/shortener.ts'
import { type EventUsageReader, hasValue, SseTap } from '../taps/sse.ts'

const RESPONSE = new Fields('usage', 'model', 'service_tier', 'status', 'error', 'output', 'tools', 'tool_usage')
const OUTPUT_ITEM = new Fields('type', 'id', 'action', 'container_id', 'environment')
const ACTION = new Fields('type')
const ENVIRONMENT = new Fields('container_id')
const OUTPUT_TOOL = new Fields('type', 'model', 'container', 'environment')
const CONTAINER = new Fields('memory_limit')
/** Draws where a response does not say who did. */
const DEFAULT_IMAGE_MODEL = 'gpt-image-1'
/** Memory that containers have, and are billed by. The first is what they get unasked. */
const CONTAINER_MEMORIES = ['1g', '4g', '16g', '64g']
/** What a response holds of them is counted no further. */
const MAX_ITEMS = 10_000
const MAX_ID_CHARACTERS = 128

export function responsesTap(streaming: boolean, contentType: string): Tap {
  return streaming && contentType.includes('event-stream') ? new ResponsesTap() : new DocumentTap(readDocumentUsage)
}

/** A response, as far as it was read. */
interface AnswerFacts {
  usage: unknown
  /** What hosted tools used beside it. */
  toolUsage: unknown
  model: string | null
  serviceTier: string | null
  imageModel: string | null
  /** The dearest memory stated, as a place in MEMORIES. */
  memoryIndex: number
  readonly items: BilledItems
  failed: boolean
}

/** What is billed by the piece: each counts once, however often a stream tells of it. */
interface BilledItems {
  readonly webSearches: Set<string>
  readonly fileSearches: Set<string>
  readonly containers: Set<string>
}

function newBilledItems(): BilledItems {
  return { webSearches: new Set(), fileSearches: new Set(), containers: new Set() }
}

function addItem(items: Set<string>, id: string): void {
  if (items.size < MAX_ITEMS) items.add(id.slice(0, MAX_ID_CHARACTERS))
}

/** A failed response that says no usage is as good as none: nobody knows what it cost. Throws for it. */
function readDocumentUsage(document: Buffer): AnswerUsage | undefined {
  const answer = readAnswer(document, newBilledItems())
  const metered = answerUsageOf(answer)
  if (answer.failed && !metered) throw new Error('the response failed')
  return metered
}

/** Only what stands at its own level counts: a model's words, and what it was asked, never do. */
function readAnswer(bytes: Buffer, items: BilledItems): AnswerFacts {
  return readInto<AnswerFacts>(bytes, RESPONSE, readAnswerMember, {
    usage: null,
    toolUsage: null,
    model: null,
    serviceTier: null,
    imageModel: null,
    memoryIndex: 0,
    items,
    failed: false,
  })
}

function readAnswerMember(field: number, json: JsonCursor, answer: AnswerFacts): void {
  switch (RESPONSE.names[field]) {
    case 'usage':
      answer.usage = json.value()
      return
    case 'tool_usage':
      answer.toolUsage = json.value()
      return
    case 'model':
      answer.model = json.stringOrNull()
      return
    case 'service_tier':
      answer.serviceTier = json.stringOrNull()
      return
    case 'status':
      answer.failed = json.stringOrNull() === 'failed' || answer.failed
      return
    case 'error':
      if (json.peek() !== 'n') answer.failed = true
      json.skipValue()
      return
    case 'output': {
      let place = 0
      eachObject(json, (_json, { items }) => readOutputItem(json, items, String(place++)), answer)
      return
    }
    case 'tools':
      eachObject(json, readOutputTool, answer)
  }
}

/**
 * Searches are billed by the call; opening what was found, and looking in it, are not. Containers are billed each by itself,
 * whatever runs in them.
 * @param place stands in for an id
 */
function readOutputItem(json: JsonCursor, items: BilledItems, place: string): void {
  const item: { type: string | null; id: string; action: string | null; container: string | null } = {
    type: null,
    id: place,
    action: null,
    container: null,
  }
  eachField(json, OUTPUT_ITEM, (field) => {
    const name = OUTPUT_ITEM.names[field]
    if (name === 'type') item.type = json.stringOrNull()
    else if (name === 'id') item.id = json.stringOrNull() || place
    else if (name === 'container_id') item.container = json.stringOrNull()
    else if (json.peek() !== '{') json.skipValue()
    else if (name === 'action') eachField(json, ACTION, () => (item.action = json.stringOrNull()))
    else eachField(json, ENVIRONMENT, () => (item.container = json.stringOrNull()))
  })
  const { type, id, action, container } = item
  if (type === 'web_search_call' && action !== 'open_page' && action !== 'find_in_page') addItem(items.webSearches, id)
  if (type === 'file_search_call') addItem(items.fileSearches, id)
  if (type === 'code_interpreter_call') addItem(items.containers, container ?? '')
  if (type === 'shell_call' && container !== null) addItem(items.containers, container)
}

/** Images are written, and billed, by a model of their own, and containers by the memory that was asked for. */
function readOutputTool(json: JsonCursor, answer: AnswerFacts): void {
  const tool: { type: string | null; model: string | null } = { type: null, model: null }
  eachField(json, OUTPUT_TOOL, (field) => {
    const name = OUTPUT_TOOL.names[field]
    if (name === 'type') tool.type = json.stringOrNull()
    else if (name === 'model') tool.model = json.stringOrNull()
    else if (json.peek() !== '{') json.skipValue()
    else
      eachField(
        json,
        CONTAINER,
        () => (answer.memoryIndex = Math.max(answer.memoryIndex, memoryIndexOf(json.stringOrNull()))),
      )
  })
  if (tool.type === 'image_generation') answer.imageModel = tool.model
}

/** A memory nobody has heard of is taken to be the dearest. */
function memoryIndexOf(memory: string | null): number {
  const place = memory === null ? 0 : CONTAINER_MEMORIES.indexOf(memory)
  return place < 0 ? CONTAINER_MEMORIES.length - 1 : place
}

/** OpenAI's counts hold their parts inside; ours are disjoint. Parts that contradict their total are cut to fit. */
function answerUsageOf(answer: AnswerFacts): AnswerUsage | undefined {
  const { usage, model, serviceTier } = answer
  if (!isRecord(usage) || !areCredibleCounts([usage.input_tokens, usage.output_tokens])) return undefined
  const inputDetails = recordOf(usage.input_tokens_details)
  const outputDetails = recordOf(usage.output_tokens_details)
  const lifetimes = recordOf(inputDetails.cache_write_tokens_details)
  const input = countOf(usage.input_tokens)
  const output = countOf(usage.output_tokens)
  const cacheRead = Math.min(countOf(inputDetails.cached_tokens), input)
  const written = Math.min(countOf(inputDetails.cache_write_tokens), input - cacheRead)
  const cacheWrite1h = Math.min(countOf(lifetimes.ttl_12h_tokens), written)
  const audioInput = Math.min(countOf(inputDetails.audio_tokens), input - cacheRead - written)
  const audioOutput = Math.min(countOf(outputDetails.audio_tokens), output)
  const also = sharesIn(answer)
  return {
    usage: usageOf({
      input: input - cacheRead - written - audioInput,
      cacheRead,
      cacheWrite5m: written - cacheWrite1h,
      cacheWrite1h,
      audioInput,
      output: output - audioOutput,
      audioOutput,
      webSearches: webSearchesIn(answer, usage),
      requests: 1,
    }),
    ...(also.length > 0 ? { otherUsage: also } : {}),
    reasoningTokens: countOf(outputDetails.reasoning_tokens),
    model,
    serviceTier,
  }
}

/** OpenAI and xAI count searches in places of their own, too, and not always as many: the most of them counts. */
function webSearchesIn({ items, toolUsage }: AnswerFacts, usage: Readonly<Record<string, unknown>>): number {
  const counted = countOf(recordOf(recordOf(toolUsage).web_search).num_requests)
  const { web_search_calls, x_search_calls } = recordOf(usage.server_side_tool_usage_details)
  return Math.max(items.webSearches.size, counted, countOf(web_search_calls) + countOf(x_search_calls))
}

/** What is billed beside the model, each by the name its price has. */
function sharesIn(answer: AnswerFacts): UsageShare[] {
  const { fileSearches, containers } = answer.items
  const images = imageShareIn(answer)
  const shares = images ? [images] : []
  const add = (model: string, requests: number) => {
    if (requests > 0) shares.push({ usage: usageOf({ requests }), model })
  }
  add('file_search', fileSearches.size)
  add(`container_${CONTAINER_MEMORIES[answer.memoryIndex]}`, containers.size)
  return shares
}

/** What was used to draw: tokens of text and images, by the model that draws. */
function imageShareIn({ toolUsage, imageModel }: AnswerFacts): UsageShare | undefined {
  const drawn = recordOf(recordOf(toolUsage).image_gen)
  const input = countOf(drawn.input_tokens)
  const output = countOf(drawn.output_tokens)
  if (input + output === 0) return undefined
  const imageInput = Math.min(countOf(recordOf(drawn.input_tokens_details).image_tokens), input)
  const text = Math.min(countOf(recordOf(drawn.output_tokens_details).text_tokens), output)
  const usage = usageOf({ input: input - imageInput, imageInput, output: text, imageOutput: output - text })
  return { usage, model: imageModel ?? DEFAULT_IMAGE_MODEL }
}

const EVENT = new Fields('type', 'response', 'error', 'item', 'output_index')
const COMPLETED = Buffer.from('.completed"')
const INCOMPLETE = Buffer.from('.incomplete"')
const FAILED = Buffer.from('.failed"')
const ERROR = Buffer.from('error"')
const ITEM_DONE = Buffer.from('_item.done"')
const DONE = Buffer.from('[DONE]')

interface StreamEvent {
  type: string | null
  response: ByteRange | null
  error: boolean
  item: ByteRange | null
  /** Of the item, in the output. */
  outputIndex: string
}

function readEvent(payload: Buffer): StreamEvent {
  const json = new JsonCursor(payload)
  const event: StreamEvent = { type: null, response: null, error: false, item: null, outputIndex: '' }
  eachField(json, EVENT, (field) => {
    const name = EVENT.names[field]
    if (name === 'type') event.type = json.stringOrNull()
    else if (name === 'response') event.response = json.range()
    else if (name === 'item') event.item = json.range()
    else if (name === 'output_index') event.outputIndex = json.text(json.range())
    else event.error = json.text(json.range()) !== 'null'
  })
  return event
}

class ResponseEvents implements EventUsageReader {
  terminated = false
  finished = false
  failed = false
  #last: AnswerUsage | undefined
  /** The last event repeats them, but for some providers, which leave its output empty. */
  readonly #items = newBilledItems()

  mayMatter(chunk: Buffer): boolean {
    return (
      chunk.includes(COMPLETED) ||
      chunk.includes(INCOMPLETE) ||
      chunk.includes(FAILED) ||
      chunk.includes(DONE) ||
      chunk.includes(ITEM_DONE) ||
      hasValue(chunk, ERROR)
    )
  }

  readData(payload: Buffer): boolean {
    if (!this.mayMatter(payload)) return false
    if (payload.toString('latin1', 0, DONE.length * 2).trim() === '[DONE]') this.#markEnded(!this.failed)
    try {
      this.#readEvent(payload)
    } catch {
      // Not an event, or an answer that cannot be read: passed on as it is.
    }
    return false
  }

  answerUsage(): AnswerUsage | undefined {
    return this.#last
  }

  #readEvent(payload: Buffer): void {
    const { type, response, error, item, outputIndex } = readEvent(payload)
    if (type === 'error' || error) this.failed = true
    if (type === 'response.output_item.done' && item)
      readOutputItem(new JsonCursor(payload.subarray(item.start, item.end)), this.#items, outputIndex)
    if (type !== 'response.completed' && type !== 'response.incomplete' && type !== 'response.failed') return
    if (type === 'response.failed') this.failed = true
    this.#markEnded(type !== 'response.failed')
    if (response) this.#last = answerUsageOf(readAnswer(payload.subarray(response.start, response.end), this.#items))
  }

  #markEnded(well: boolean): void {
    this.terminated = true
    this.finished ||= well
  }
}

/** Its last event repeats the whole answer, images and all: long lines are shortened before they are read. */
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
