// Problem: every reason why a call cannot be made or answered, except a limit, as a code with an HTTP status. Limits refuse with a
// Refusal (core/refusal.ts).

const STATUS = {
  invalid_json: 400,
  invalid_request: 400,
  unknown_price: 400,
  unbounded_call: 400,
  unsupported: 400,
  cookie_not_possible: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  idempotency_in_flight: 409,
  idempotency_done: 409,
  not_settled: 409,
  already_exists: 409,
  conflict: 409,
  backtest_running: 409,
  self_check_running: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  upgrade_required: 426,
  idempotency_mismatch: 422,
  too_many_attempts: 429,
  internal: 500,
  upstream_unreachable: 502,
  upstream_failed: 502,
  provider_not_configured: 503,
  overloaded: 503,
  circuit_open: 503,
  ledger_unavailable: 503,
  shutting_down: 503,
  sums_not_ready: 503,
  upstream_timeout: 504,
} as const

/** The word for a problem, in errors and logs. */
export type ProblemCode = keyof typeof STATUS

/** What a client should do about a problem, as headers of the answer. */
interface Advice {
  readonly retryAfterMs?: number
  /** False: trying again is useless, since the problem stays. */
  readonly retry?: false
  /** Additional headers of the answer, names and values in turn. */
  readonly headers?: readonly string[]
}

/**
 * Thrown if a call cannot go on. The dialect of the call renders it in its own shape. A message is a sentence for the caller: it
 * says what was expected and where, and holds no content and no secrets.
 *
 * @example
 * throw new Problem('invalid_request', "Invalid value for 'n': it must be at least 1.", 'n')
 */
export class Problem extends Error {
  override name = 'Problem'
  readonly code: ProblemCode
  /** The field at fault; null if it is not one field. */
  readonly param: string | null
  readonly advice: Advice

  constructor(code: ProblemCode, message: string, param: string | null = null, advice: Advice = {}) {
    super(message)
    this.code = code
    this.param = param
    this.advice = advice
  }

  /** The HTTP status. */
  get status(): number {
    return STATUS[this.code]
  }
}
