// Endpoints: where the calls of a dialect are made, at the gateway itself and below any prefix.

/**
 * The method and the paths of a dialect's calls.
 * @example
 * const endpoint = postEndpoint('/v1/messages')
 * endpoint.serves('POST', '/v1/messages') // true
 * endpoint.matches('/anthropic/v1/messages') // true: a handler behind the middleware may have a prefix
 */
export interface Endpoint {
  readonly methods: readonly string[]
  /** The path as people write it: `/v1beta/models/{model}:generateContent`. */
  readonly shownPath: string
  /** The gateway's routes, in the router's syntax: a `*` at the end stands for any rest. */
  readonly routes: readonly string[]
  /** How the paths of calls end, below any prefix: `/chat/completions`, `:generateContent`. */
  readonly endings: readonly string[]
  /** True for a request to the gateway that is a call in this dialect. */
  serves(method: string, path: string): boolean
  /** True for the path of a call in this dialect below any prefix. */
  matches(path: string): boolean
}

/**
 * An endpoint of one path.
 * @param suffix how the path ends below a prefix, if that is shorter
 */
export function postEndpoint(path: string, suffix = path): Endpoint {
  return {
    methods: ['POST'],
    shownPath: path,
    routes: [path],
    endings: [suffix],
    serves: (method, requested) => requested === path && method === 'POST',
    matches: (requested) => requested.endsWith(suffix),
  }
}
