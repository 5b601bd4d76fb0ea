// Unmetered requests: which requests pass `gate()` although nothing meters them.

import type { HonoRequest } from 'hono'
import { Problem } from '../core/problem.ts'

const READING_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** With these headers, some servers take a request that reads for another method. */
const METHOD_HEADERS = ['x-http-method-override', 'x-http-method', 'x-method-override']
/** Slashes, backslashes and parent folders in disguise: a server behind may understand another path. */
const DISGUISED_PATH = /%2f|%5c|%2e|\\|\/\.\.?(?:\/|$)/i
const MAX_SHOWN_CHARACTERS = 256

/** True for a request that only reads: a page, a list of models. Providers charge nothing for these. A websocket can carry calls. */
export function isReading(request: HonoRequest): boolean {
  const opensSocket = /websocket/i.test(request.header('upgrade') ?? '')
  const hasOtherMethod = METHOD_HEADERS.some((name) => request.header(name) !== undefined)
  return READING_METHODS.has(request.method) && !opensSocket && !hasOtherMethod
}

/**
 * Whether a path matches one of these patterns. A `*` stands for any part of one segment, and at the end for any rest.
 * Throws TypeError for a pattern that does not begin with a slash.
 */
export function pathMatcher(patterns: readonly string[]): (path: string) => boolean {
  if (!Array.isArray(patterns)) throw unreadablePattern(patterns)
  const expressions = patterns.map(expressionOf)
  return (path) => !DISGUISED_PATH.test(path) && expressions.some((expression) => expression.test(path))
}

function expressionOf(pattern: string): RegExp {
  if (typeof pattern !== 'string' || !pattern.startsWith('/')) throw unreadablePattern(pattern)
  const takesRest = pattern.endsWith('*')
  const parts = (takesRest ? pattern.slice(0, -1) : pattern)
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^/]+')}${takesRest ? '.*' : ''}$`, 's')
}

function unreadablePattern(pattern: unknown): TypeError {
  return new TypeError(`gate(): unmetered must list paths such as '/v1/images/*', and not ${JSON.stringify(pattern)}.`)
}

export function unmeteredProblem(method: string, path: string): Problem {
  const text = `${method} ${path.slice(0, MAX_SHOWN_CHARACTERS)} is not metered, so gate() does not let it pass. Calls are POST requests to the exact path of an API, such as /v1/chat/completions. To let other paths pass without a limit, list them: gate({ unmetered: ['/v1/images/*'] }).`
  return new Problem('forbidden', text)
}
