// Problem: everything that can be wrong with a call other than a limit, as words mapped to a status in one table.

const STATUS = {
  invalid_json: 400,
  invalid_request: 400,
  unknown_price: 400,
  unbounded_call: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  body_too_large: 413,
  unsupported_media_type: 415,
  internal: 500,
  upstream_unreachable: 502,
  upstream_failed: 502,
  provider_not_configured: 503,
  overloaded: 503,
  ledger_unavailable: 503,
  shutting_down: 503,
  upstream_timeout: 504,
} as const

export type ProblemCode = keyof typeof STATUS

/** Thrown where a call cannot go on, rendered by the dialect in its own shape. Messages hold no content and no secrets. */
export class Problem extends Error {
  override name = 'Problem'
  readonly code: ProblemCode
  /** The field at fault, where there is one. */
  readonly param: string | null

  constructor(code: ProblemCode, message: string, param: string | null = null) {
    super(message)
    this.code = code
    this.param = param
  }

  get status(): number {
    return STATUS[this.code]
  }
}
