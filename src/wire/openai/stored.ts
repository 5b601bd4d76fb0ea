// OpenAI's stored responses: fetched, canceled and deleted at /v1/responses/{id}. Each takes a request, and no money.

import { Problem } from '../../core/problem.ts'
import { usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Dialect, ParsedRequest, RequestLine, Tap } from '../dialect.ts'
import { forwardedQuery } from '../headers.ts'
import { newDraft } from '../request-reader.ts'
import { countingTap } from '../taps/count.ts'
import { openaiResponses } from './responses.ts'

const STORED_PATH = /^\/v1(\/responses\/[\w-]{1,128}(\/cancel|\/input_items)?)$/
const METHODS: ReadonlyMap<string, readonly string[]> = new Map([
  ['', ['GET', 'DELETE']],
  ['/cancel', ['POST']],
  ['/input_items', ['GET']],
])
const EMPTY_BODY = Buffer.alloc(0)
/** What a response used was booked when it was asked for. */
const NO_USAGE: AnswerUsage = { usage: usageOf(), reasoningTokens: 0, model: null, serviceTier: null }

export const openaiStored: Dialect = {
  ...openaiResponses,
  name: 'openai.stored',
  readRequest: readBody,
  upstreamPath: (_model, line) => upstreamPathIn(line.path) + forwardedQuery(line.query),
  createTap: (_streaming, contentType) =>
    contentType.includes('event-stream')
      ? new ReplayTap(openaiResponses.createTap(true, contentType, false))
      : countingTap(),
}

/** True where something is done with a stored response. */
export function isStored(method: string, path: string): boolean {
  const match = STORED_PATH.exec(path)
  return match !== null && METHODS.get(match[2] ?? '')?.includes(method) === true
}

/** Relative to the provider's base URL. Throws Problem for a path that is not a stored response's. */
function upstreamPathIn(path: string): string {
  const known = STORED_PATH.exec(path)?.[1]
  if (known === undefined) throw new Problem('not_found', `Unknown request URL: ${path.slice(0, 256)}.`)
  return known
}

/** Nothing in a body counts, and none is sent on. Which model wrote the response is not asked: every one is as free. */
function readBody(_body: Buffer, line: RequestLine): ParsedRequest {
  upstreamPathIn(line.path)
  const asked = new URLSearchParams(line.query).get('stream') ?? 'false'
  const stream = asked.toLowerCase() !== 'false'
  const ask = { ...newDraft(0), kind: 'count', model: 'stored', stream } as const
  return { facts: ask, asksForUsage: true, edit: () => EMPTY_BODY }
}

/** A response's stream, played once more. It ends as the response did, and well whenever it says how: that is all it is for. */
class ReplayTap implements Tap {
  readonly isDocument = false
  readonly #stream: Tap
  #ended = false

  constructor(stream: Tap) {
    this.#stream = stream
  }

  get terminated(): boolean {
    return this.#stream.terminated
  }

  /** After the response's last event there is nothing left to play. */
  get finished(): boolean {
    return this.terminated || (this.#ended && this.eventCount === 0)
  }

  get failed(): boolean {
    return this.#stream.failed
  }

  get eventCount(): number {
    return this.#stream.eventCount
  }

  answerUsage(): AnswerUsage {
    return NO_USAGE
  }

  push(chunk: Buffer): Buffer {
    return this.#stream.push(chunk)
  }

  end(): Buffer {
    this.#ended = true
    return this.#stream.end()
  }
}
