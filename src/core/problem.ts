// Problem: everything that can be wrong with a call other than a limit, as words mapped to a status in one table.

const STATUS = {
  invalid_json: 400,
  invalid_request: 400,
  unknown_price: 400,
  unbounded_call: 400,
  unsupported: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  idempotency_in_flight: 409,
  idempotency_done: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  idempotency_mismatch: 422,
  internal: 500,
  upstream_unreachable: 502,
  upstream_failed: 502,
  provider_not_configured: 503,
  overloaded: 503,
  circuit_open: 503,
  ledger_unavailable: 503,
  shutting_down: 503,
  upstream_timeout: 504,
} as const

export type ProblemCode = keyof typeof STATUS

/** What a client is told to do about a problem. */
interface Advice {
  readonly retryAfterMs?: number
  /** False: nothing changes while it waits. */
  readonly retry?: false
  /** More headers of the answer, names and values in turn. */
  readonly headers?: readonly string[]
}

/** Thrown where a call cannot go on, rendered by the dialect in its own shape. Messages hold no content and no secrets. */
export class Problem extends Error {
  override name = 'Problem'
  readonly code: ProblemCode
  /** The field at fault, where there is one. */
  readonly param: string | null
  readonly advice: Advice

  constructor(code: ProblemCode, message: string, param: string | null = null, advice: Advice = {}) {
    super(message)
    this.code = code
    this.param = param
    this.advice = advice
  }

  get status(): number {
    return STATUS[this.code]
  }
}
