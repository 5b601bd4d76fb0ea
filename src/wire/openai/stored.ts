// OpenAI's stored responses: fetched, canceled and deleted at /v1/responses/{id}. Each takes a request, and no money.

import { Problem } from '../../core/problem.ts'
import type { AnswerUsage, Dialect, ParsedRequest, RequestLine, Tap } from '../dialect.ts'
import type { Endpoint } from '../endpoint.ts'
import { forwardedQuery } from '../headers.ts'
import { newDraft } from '../request-reader.ts'
import { EMPTY_BUFFER } from '../taps/chunk-buffer.ts'
import { createFreeTap, NO_USAGE } from '../taps/count.ts'
import { MeteredTap } from '../taps/metered-tap.ts'
import { openaiResponses } from './responses.ts'

const STORED_PATH = /^\/v1(\/responses\/[\w-]{1,128}(\/cancel|\/input_items)?)$/
const METHODS_BY_SUFFIX: ReadonlyMap<string, readonly string[]> = new Map([
  ['', ['GET', 'DELETE']],
  ['/cancel', ['POST']],
  ['/input_items', ['GET']],
])

const STORED_ENDPOINT: Endpoint = {
  methods: ['GET', 'POST', 'DELETE'],
  shownPath: '/v1/responses/{id}',
  routes: ['/v1/responses/*'],
  endings: [],
  serves(method, path) {
    const match = STORED_PATH.exec(path)
    return match !== null && METHODS_BY_SUFFIX.get(match[2] ?? '')?.includes(method) === true
  },
  // No model is called, so no handler behind the middleware is in its place.
  matches: () => false,
}

export const openaiStored: Dialect<'openai.stored'> = {
  ...openaiResponses,
  name: 'openai.stored',
  endpoint: STORED_ENDPOINT,
  namesModel: false,
  readRequest: readStoredRequest,
  upstreamPath: (_model, line) => upstreamPathIn(line.path) + forwardedQuery(line.query),
  createTap: (_streaming, contentType) =>
    contentType.includes('event-stream')
      ? new ReplayTap(openaiResponses.createTap(true, contentType, false))
      : createFreeTap(),
}

/** Relative to the provider's base URL. Throws Problem for a path that is not a stored response's. */
function upstreamPathIn(path: string): string {
  const known = STORED_PATH.exec(path)?.[1]
  if (known === undefined) throw new Problem('not_found', `Unknown request URL: ${path.slice(0, 256)}.`)
  return known
}

/** The body is not read, and none is sent on. The model that wrote the response does not matter: all are free here. */
function readStoredRequest(_body: Buffer, line: RequestLine): ParsedRequest {
  upstreamPathIn(line.path)
  const streamParameter = new URLSearchParams(line.query).get('stream') ?? 'false'
  const stream = streamParameter.toLowerCase() !== 'false'
  const facts = { ...newDraft(0), kind: 'count', model: 'stored', stream } as const
  return { facts, requestsUsage: true, edit: () => EMPTY_BUFFER }
}

/**
 * A response's stream, replayed. What the response used was settled when it was made. A replay ends as the response did, and
 * always well if the response says how it ended.
 */
class ReplayTap extends MeteredTap<Tap> {
  readonly isDocument = false
  #hasEnded = false

  /** After the response's last event there is nothing left to replay. */
  override get finished(): boolean {
    return this.terminated || (this.#hasEnded && this.eventCount === 0)
  }

  /** What the response failed with is its content here. */
  override get hasContent(): boolean {
    return true
  }

  get eventCount(): number {
    return this.source.eventCount
  }

  override answerUsage(): AnswerUsage {
    return NO_USAGE
  }

  push(chunk: Buffer): Buffer {
    return this.source.push(chunk)
  }

  end(): Buffer {
    this.#hasEnded = true
    return this.source.end()
  }
}
