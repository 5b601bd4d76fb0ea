// OpenAI's stored responses: fetched, canceled and deleted at /v1/responses/{id}. Each takes a request, and no money.

import { Problem } from '../../core/problem.ts'
import { usageOf } from '../../core/usage.ts'
import { draftOf } from '../ask-reader.ts'
import type { Dialect, Metered, Reading, RequestLine, Tap } from '../dialect.ts'
import { forwardedQuery } from '../headers.ts'
import { countingTap } from '../taps/count.ts'
import { openaiResponses } from './responses.ts'

const PATH = /^\/v1(\/responses\/[\w-]{1,128}(\/cancel|\/input_items)?)$/
const METHODS: ReadonlyMap<string, readonly string[]> = new Map([
  ['', ['GET', 'DELETE']],
  ['/cancel', ['POST']],
  ['/input_items', ['GET']],
])
const NOTHING = Buffer.alloc(0)
/** What a response used was booked when it was asked for. */
const NOTHING_USED: Metered = { usage: usageOf(), reasoningTokens: 0, model: null, serviceTier: null }

export const openaiStored: Dialect = {
  ...openaiResponses,
  name: 'openai.stored',
  read,
  upstreamPath: (_model, line) => pathIn(line.path) + forwardedQuery(line.query),
  tap: (_streaming, contentType) =>
    contentType.includes('event-stream') ? new ReplayTap(openaiResponses.tap(true, contentType, false)) : countingTap(),
}

/** True where something is done with a stored response. */
export function isStored(method: string, path: string): boolean {
  const match = PATH.exec(path)
  return match !== null && METHODS.get(match[2] ?? '')?.includes(method) === true
}

/** Relative to the provider's base URL. Throws Problem for a path that is not a stored response's. */
function pathIn(path: string): string {
  const known = PATH.exec(path)?.[1]
  if (known === undefined) throw new Problem('not_found', `Unknown request URL: ${path.slice(0, 256)}.`)
  return known
}

/** Nothing in a body counts, and none is sent on. Which model wrote the response is not asked: every one is as free. */
function read(_body: Buffer, line: RequestLine): Reading {
  pathIn(line.path)
  const asked = new URLSearchParams(line.query).get('stream') ?? 'false'
  const stream = asked.toLowerCase() !== 'false'
  const ask = { ...draftOf(0), kind: 'count', model: 'stored', stream } as const
  return { ask, asksForUsage: true, edit: () => NOTHING }
}

/** A response's stream, played once more. It ends as the response did, and well whenever it says how: that is all it is for. */
class ReplayTap implements Tap {
  readonly whole = false
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
    return this.terminated || (this.#ended && this.events === 0)
  }

  get failed(): boolean {
    return this.#stream.failed
  }

  get events(): number {
    return this.#stream.events
  }

  metered(): Metered {
    return NOTHING_USED
  }

  push(chunk: Buffer): Buffer {
    return this.#stream.push(chunk)
  }

  end(): Buffer {
    this.#ended = true
    return this.#stream.end()
  }
}
