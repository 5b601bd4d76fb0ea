// Gemini's paths, which name the version of the API, the model, and the method: /v1beta/models/{model}:generateContent.

import type { RequestLine } from '../dialect.ts'
import type { Endpoint } from '../endpoint.ts'
import { forwardedQuery } from '../headers.ts'

/** The newest SDK uses `v1`, like those of other vendors. */
const ROUTE_PREFIXES = ['/v1/models/', '/v1beta/models/', '/v1alpha/models/']
const CALL_PATH = /\/v1(?:beta|alpha)?\/models\/.+:(\w+)$/
/** A model's name may hold slashes. */
const MODEL_PATH = /\/(v1\w*)\/models\/(.+):(\w+)$/

/** The model that a path names; empty if it names none. */
export function modelInPath(path: string): string {
  const encoded = MODEL_PATH.exec(path)?.[2] ?? ''
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

/** The caller's path and query, with the model as the provider names it. */
export function upstreamPath(model: string, line: RequestLine): string {
  const [, version = 'v1beta', , method = 'generateContent'] = MODEL_PATH.exec(line.path) ?? []
  return `/${version}/models/${encodeURIComponent(model)}:${method}${forwardedQuery(line.query)}`
}

/** The endpoint of calls with these methods of Google's, which end their paths. */
export function modelEndpoint(...names: string[]): Endpoint {
  const matches = (path: string) => names.includes(CALL_PATH.exec(path)?.[1] ?? '')
  return {
    methods: ['POST'],
    shownPath: `/v1beta/models/{model}:${names[0]}`,
    routes: ROUTE_PREFIXES.map((prefix) => `${prefix}*`),
    endings: names.map((name) => `:${name}`),
    serves: (method, path) =>
      method === 'POST' && ROUTE_PREFIXES.some((prefix) => path.startsWith(prefix)) && matches(path),
    matches,
  }
}
