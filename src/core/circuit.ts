// Circuit breaker: whether calls may go to a target. It opens if too many calls fail, lets one call through as a probe, and closes
// if the probe succeeds. It reads no clock.

/** Whether a call may go to a target, and as what. */
export type CircuitPass =
  | { readonly kind: 'closed' }
  /** The one call that tests a half-open circuit. Report its end with `recordResult`, or call `release` if it is not sent. */
  | { readonly kind: 'probe' }
  | { readonly kind: 'open'; readonly retryAfterMs: number }

/** What a result did to a circuit. A probe that fails leaves the circuit open, which is no change. */
export type CircuitChange = 'opened' | 'closed'

/** The circuit of one target, for people. */
export interface CircuitView {
  readonly provider: string
  readonly model: string
  readonly state: 'closed' | 'open' | 'half-open'
  /** How many of `calls` failed. */
  readonly failures: number
  /** Calls in the last 15 to 30 seconds. */
  readonly calls: number
  /** Time until the next probe, if the circuit is open; else 0. */
  readonly retryAfterMs: number
  /** Time for which calls prefer other targets, because this one refused a call for its own limits. */
  readonly coolingMs: number
}

/** Calls are counted over the current span and the span before. */
const COUNT_SPAN_MS = 15_000
const MIN_CALLS = 10
const FAILURE_RATE_THRESHOLD = 0.5
const FIRST_OPEN_MS = 5_000
const MAX_OPEN_MS = 60_000
/** A probe without a result counts as lost after this time. */
const PROBE_TIMEOUT_MS = 120_000
/** When to try again while another call is the probe. */
const PROBE_RETRY_MS = 1_000
const MAX_COOLING_MS = 60_000
/** Callers may make up any model name: only targets that failed are kept, and the oldest is dropped for a new one. */
const MAX_TARGETS = 1_000

/** The pass of a call whose target has no circuit, or a closed one. */
export const CLOSED_PASS: CircuitPass = { kind: 'closed' }
const PROBE_PASS: CircuitPass = { kind: 'probe' }

interface CallCounts {
  calls: number
  failures: number
}

interface Circuit {
  readonly provider: string
  readonly model: string
  spanStartedAtMs: number
  currentSpan: CallCounts
  previousSpan: CallCounts
  /** Infinity while the circuit is closed. */
  openUntilMs: number
  /** How long the circuit was opened for last. */
  openForMs: number
  probingUntilMs: number
  coolingUntilMs: number
}

/** The circuits of all targets. `monoMs` is the time on the monotonic clock. */
export class Circuits {
  readonly #circuits = new Map<string, Circuit>()

  /** True if every target may be called and none is cooling, as nearly always. */
  get areAllClosed(): boolean {
    return this.#circuits.size === 0
  }

  /** True if no call may go to a target now. Unlike `acquire`, this makes no call the probe. */
  isOpen(provider: string, model: string, monoMs: number): boolean {
    const circuit = this.#circuits.get(keyOf(provider, model))
    if (!circuit || circuit.openUntilMs === Number.POSITIVE_INFINITY) return false
    return monoMs < circuit.openUntilMs || monoMs < circuit.probingUntilMs
  }

  /** Whether a call may go to a target now. If it may as a probe, other calls may not until its result is recorded. */
  acquire(provider: string, model: string, monoMs: number): CircuitPass {
    if (this.#circuits.size === 0) return CLOSED_PASS
    const circuit = this.#circuits.get(keyOf(provider, model))
    if (!circuit || circuit.openUntilMs === Number.POSITIVE_INFINITY) return CLOSED_PASS
    if (monoMs < circuit.openUntilMs) return { kind: 'open', retryAfterMs: circuit.openUntilMs - monoMs }
    if (monoMs < circuit.probingUntilMs) return { kind: 'open', retryAfterMs: PROBE_RETRY_MS }
    circuit.probingUntilMs = monoMs + PROBE_TIMEOUT_MS
    return PROBE_PASS
  }

  /** Gives a pass back: the call was not sent. */
  release(provider: string, model: string, pass: CircuitPass): void {
    const circuit = pass.kind === 'probe' ? this.#circuits.get(keyOf(provider, model)) : undefined
    if (circuit) circuit.probingUntilMs = 0
  }

  /** @param failed the target could not be reached, broke off, or answered that it is in trouble */
  recordResult(
    provider: string,
    model: string,
    failed: boolean,
    pass: CircuitPass,
    monoMs: number,
  ): CircuitChange | undefined {
    if (!failed && this.#circuits.size === 0) return undefined
    const known = this.#circuits.get(keyOf(provider, model))
    if (!known && !failed) return undefined
    const circuit = known ?? this.#addCircuit(provider, model, monoMs)
    if (pass.kind === 'probe') {
      circuit.probingUntilMs = 0
      if (failed) openCircuit(circuit, Math.min(circuit.openForMs * 2, MAX_OPEN_MS), monoMs)
      else closeCircuit(circuit, monoMs)
      return failed ? undefined : 'closed'
    }
    // This call was sent before the circuit opened: it shows nothing new.
    if (circuit.openUntilMs !== Number.POSITIVE_INFINITY) return undefined
    advanceSpan(circuit, monoMs)
    circuit.currentSpan.calls += 1
    if (failed) circuit.currentSpan.failures += 1
    const calls = circuit.currentSpan.calls + circuit.previousSpan.calls
    const failures = circuit.currentSpan.failures + circuit.previousSpan.failures
    if (calls < MIN_CALLS || failures < calls * FAILURE_RATE_THRESHOLD) return undefined
    openCircuit(circuit, FIRST_OPEN_MS, monoMs)
    return 'opened'
  }

  /** The target refused a call for its own limits: for a while, calls prefer other targets. */
  startCooling(provider: string, model: string, forMs: number, monoMs: number): void {
    const circuit = this.#circuits.get(keyOf(provider, model)) ?? this.#addCircuit(provider, model, monoMs)
    circuit.coolingUntilMs = Math.max(circuit.coolingUntilMs, monoMs + Math.min(forMs, MAX_COOLING_MS))
  }

  /** How long calls still prefer other targets. 0 if they do not. */
  coolingMs(provider: string, model: string, monoMs: number): number {
    const circuit = this.#circuits.get(keyOf(provider, model))
    return circuit ? Math.max(0, circuit.coolingUntilMs - monoMs) : 0
  }

  /** The circuits of targets that failed or refused a call. */
  views(monoMs: number): CircuitView[] {
    return [...this.#circuits.values()].map((circuit) => {
      advanceSpan(circuit, monoMs)
      const isClosed = circuit.openUntilMs === Number.POSITIVE_INFINITY
      return {
        provider: circuit.provider,
        model: circuit.model,
        state: isClosed ? 'closed' : monoMs < circuit.openUntilMs ? 'open' : 'half-open',
        failures: circuit.currentSpan.failures + circuit.previousSpan.failures,
        calls: circuit.currentSpan.calls + circuit.previousSpan.calls,
        retryAfterMs: isClosed ? 0 : Math.max(0, circuit.openUntilMs - monoMs),
        coolingMs: Math.max(0, circuit.coolingUntilMs - monoMs),
      }
    })
  }

  #addCircuit(provider: string, model: string, monoMs: number): Circuit {
    if (this.#circuits.size >= MAX_TARGETS) {
      const [oldest] = this.#circuits.keys()
      if (oldest !== undefined) this.#circuits.delete(oldest)
    }
    const circuit: Circuit = {
      provider,
      model,
      spanStartedAtMs: monoMs,
      currentSpan: { calls: 0, failures: 0 },
      previousSpan: { calls: 0, failures: 0 },
      openUntilMs: Number.POSITIVE_INFINITY,
      openForMs: FIRST_OPEN_MS,
      probingUntilMs: 0,
      coolingUntilMs: Number.NEGATIVE_INFINITY,
    }
    this.#circuits.set(keyOf(provider, model), circuit)
    return circuit
  }
}

function keyOf(provider: string, model: string): string {
  return `${provider}/${model}`
}

function openCircuit(circuit: Circuit, forMs: number, monoMs: number): void {
  circuit.openForMs = forMs
  circuit.openUntilMs = monoMs + forMs
}

function closeCircuit(circuit: Circuit, monoMs: number): void {
  circuit.openUntilMs = Number.POSITIVE_INFINITY
  circuit.spanStartedAtMs = monoMs
  circuit.currentSpan = { calls: 0, failures: 0 }
  circuit.previousSpan = { calls: 0, failures: 0 }
}

/** Drops counts that are older than two spans. */
function advanceSpan(circuit: Circuit, monoMs: number): void {
  const spans = Math.floor((monoMs - circuit.spanStartedAtMs) / COUNT_SPAN_MS)
  if (spans <= 0) return
  circuit.previousSpan = spans === 1 ? circuit.currentSpan : { calls: 0, failures: 0 }
  circuit.currentSpan = { calls: 0, failures: 0 }
  circuit.spanStartedAtMs += spans * COUNT_SPAN_MS
}
