// What a response of OpenAI's says it used, whole or at the end of a stream.

import { countOf, usageOf } from '../core/usage.ts'
import type { Metered, Share, Tap } from './dialect.ts'
import { DocumentTap } from './document.ts'
import { eachField, eachObject, isRecord, recordOf } from './draft.ts'
import { Fields, JsonCursor, type Range } from './json.ts'
import { Shortener } from './shorten.ts'
import { type EventMeter, hasValue, SseTap } from './sse.ts'

const RESPONSE = new Fields('usage', 'model', 'service_tier', 'status', 'error', 'output', 'tools', 'tool_usage')
const OUTPUT_ITEM = new Fields('type', 'action')
const ACTION = new Fields('type')
const OUTPUT_TOOL = new Fields('type', 'model')
/** Draws where a response does not say who did. */
const USUAL_IMAGE_MODEL = 'gpt-image-1'

export function responsesTap(streaming: boolean, contentType: string): Tap {
  return streaming && contentType.includes('event-stream') ? new ResponsesTap() : new DocumentTap(readWhole)
}

/** A response, as far as it was read. */
interface Answer {
  usage: unknown
  /** What hosted tools used beside it. */
  toolUsage: unknown
  model: string | null
  serviceTier: string | null
  imageModel: string | null
  searches: number
  failed: boolean
}

/** A failed response that says no usage is as good as none: nobody knows what it cost. Throws for it. */
function readWhole(document: Buffer): Metered | undefined {
  const answer = readAnswer(document)
  const metered = meteredIn(answer)
  if (answer.failed && !metered) throw new Error('the response failed')
  return metered
}

/** Only what stands at its own level counts: a model's words, and what it was asked, never do. */
function readAnswer(bytes: Buffer): Answer {
  const json = new JsonCursor(bytes)
  const answer: Answer = {
    usage: null,
    toolUsage: null,
    model: null,
    serviceTier: null,
    imageModel: null,
    searches: 0,
    failed: false,
  }
  eachField(json, RESPONSE, (field) => readAnswerMember(json, bytes, RESPONSE.names[field] ?? '', answer))
  json.finish()
  return answer
}

function readAnswerMember(json: JsonCursor, bytes: Buffer, name: string, answer: Answer): void {
  switch (name) {
    case 'usage':
      answer.usage = valueAt(bytes, json.skip())
      return
    case 'tool_usage':
      answer.toolUsage = valueAt(bytes, json.skip())
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
      answer.failed = json.text(json.skip()) !== 'null' || answer.failed
      return
    case 'output':
      return eachObject(json, () => readOutputItem(json, answer))
    case 'tools':
      return eachObject(json, () => readImageModel(json, answer))
  }
}

function valueAt(bytes: Buffer, { start, end }: Range): unknown {
  // Nothing but counts is read from it, so the encoding of its text does not matter.
  return JSON.parse(bytes.toString('latin1', start, end))
}

/** Searches are billed by the call; opening what was found, and looking in it, are not. */
function readOutputItem(json: JsonCursor, answer: Answer): void {
  const item: { type: string | null; action: string | null } = { type: null, action: null }
  eachField(json, OUTPUT_ITEM, (field) => {
    if (OUTPUT_ITEM.names[field] === 'type') item.type = json.stringOrNull()
    else if (json.peek() !== '{') json.skip()
    else eachField(json, ACTION, () => (item.action = json.stringOrNull()))
  })
  const isFree = item.action === 'open_page' || item.action === 'find_in_page'
  if (item.type === 'web_search_call' && !isFree) answer.searches++
}

/** Images are written, and billed, by a model of their own. */
function readImageModel(json: JsonCursor, answer: Answer): void {
  const tool: { type: string | null; model: string | null } = { type: null, model: null }
  eachField(json, OUTPUT_TOOL, (field) => {
    if (OUTPUT_TOOL.names[field] === 'type') tool.type = json.stringOrNull()
    else tool.model = json.stringOrNull()
  })
  if (tool.type === 'image_generation') answer.imageModel = tool.model
}

/** OpenAI's counts hold their parts inside; ours are disjoint. Parts that contradict their total are cut to fit. */
function meteredIn(answer: Answer): Metered | undefined {
  const { usage, model, serviceTier } = answer
  if (!isRecord(usage) || (typeof usage.input_tokens !== 'number' && typeof usage.output_tokens !== 'number'))
    return undefined
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
  const images = imagesIn(answer)
  return {
    usage: usageOf({
      input: input - cacheRead - written - audioInput,
      cacheRead,
      cacheWrite5m: written - cacheWrite1h,
      cacheWrite1h,
      audioInput,
      output: output - audioOutput,
      audioOutput,
      webSearches: searchesIn(answer, usage),
      requests: 1,
    }),
    ...(images ? { also: [images] } : {}),
    reasoningTokens: countOf(outputDetails.reasoning_tokens),
    model,
    serviceTier,
  }
}

/** OpenAI and xAI count searches in places of their own, too, and not always as many: the most of them counts. */
function searchesIn({ searches, toolUsage }: Answer, usage: Readonly<Record<string, unknown>>): number {
  const counted = countOf(recordOf(recordOf(toolUsage).web_search).num_requests)
  const { web_search_calls, x_search_calls } = recordOf(usage.server_side_tool_usage_details)
  return Math.max(searches, counted, countOf(web_search_calls) + countOf(x_search_calls))
}

/** What was used to draw: tokens of text and images, by the model that draws. */
function imagesIn({ toolUsage, imageModel }: Answer): Share | undefined {
  const drawn = recordOf(recordOf(toolUsage).image_gen)
  const input = countOf(drawn.input_tokens)
  const output = countOf(drawn.output_tokens)
  if (input + output === 0) return undefined
  const imageInput = Math.min(countOf(recordOf(drawn.input_tokens_details).image_tokens), input)
  const text = Math.min(countOf(recordOf(drawn.output_tokens_details).text_tokens), output)
  const usage = usageOf({ input: input - imageInput, imageInput, output: text, imageOutput: output - text })
  return { usage, model: imageModel ?? USUAL_IMAGE_MODEL }
}

const EVENT = new Fields('type', 'response', 'error')
const COMPLETED = Buffer.from('"response.completed"')
const INCOMPLETE = Buffer.from('"response.incomplete"')
const FAILED = Buffer.from('"response.failed"')
const ERROR = Buffer.from('"error"')
const DONE = Buffer.from('[DONE]')

class ResponseEvents implements EventMeter {
  terminated = false
  finished = false
  failed = false
  #last: Metered | undefined

  mayMatter(chunk: Buffer): boolean {
    return (
      chunk.includes(COMPLETED) ||
      chunk.includes(INCOMPLETE) ||
      chunk.includes(FAILED) ||
      chunk.includes(DONE) ||
      hasValue(chunk, ERROR)
    )
  }

  data(payload: Buffer): boolean {
    if (!this.mayMatter(payload)) return false
    if (payload.toString('latin1', 0, DONE.length * 2).trim() === '[DONE]') this.#ends(!this.failed)
    try {
      this.#event(payload)
    } catch {
      // Not an event, or an answer that cannot be read: passed on as it is.
    }
    return false
  }

  metered(): Metered | undefined {
    return this.#last
  }

  #event(payload: Buffer): void {
    const json = new JsonCursor(payload)
    const event: { type: string | null; response: Range | null; error: boolean } = {
      type: null,
      response: null,
      error: false,
    }
    eachField(json, EVENT, (field) => {
      const name = EVENT.names[field]
      if (name === 'type') event.type = json.stringOrNull()
      else if (name === 'response') event.response = json.skip()
      else event.error = json.text(json.skip()) !== 'null'
    })
    const { type, response, error } = event
    if (type === 'error' || error) this.failed = true
    if (type !== 'response.completed' && type !== 'response.incomplete' && type !== 'response.failed') return
    if (type === 'response.failed') this.failed = true
    this.#ends(type !== 'response.failed')
    if (response) this.#last = meteredIn(readAnswer(payload.subarray(response.start, response.end)))
  }

  #ends(well: boolean): void {
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
