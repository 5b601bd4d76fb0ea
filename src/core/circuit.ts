// Circuit: whether a target is worth asking. Opens when too many calls fail, lets one through to see, closes when that one ends well.

/** What stands in the way of a call, or how it may go. */
export type CircuitPass =
  | { readonly kind: 'closed' }
  /** The one call that is let through to see. Its end has to be told, or that it was never sent. */
  | { readonly kind: 'probe' }
  | { readonly kind: 'open'; readonly retryAfterMs: number }

/** What a result did to a circuit. A probe that fails leaves the circuit open, which is no change. */
export type CircuitChange = 'opened' | 'closed'

/** One target as it stands, for people. */
export interface CircuitView {
  readonly provider: string
  readonly model: string
  readonly state: 'closed' | 'open' | 'half-open'
  /** Of the calls looked at. */
  readonly failures: number
  readonly calls: number
  /** Until the next try, where it is open. */
  readonly retryAfterMs: number
  /** Until it is asked again after it refused a call, while there are others to ask. */
  readonly coolingMs: number
}

/** Calls are counted over the last one to two of these. */
const COUNT_SPAN_MS = 15_000
const MIN_CALLS = 10
const FAILURE_RATE_THRESHOLD = 0.5
const FIRST_OPEN_MS = 5_000
const MAX_OPEN_MS = 60_000
/** A probe that nobody reports is taken to be lost. */
const PROBE_TIMEOUT_MS = 120_000
const MAX_COOLING_MS = 60_000
/** Targets remembered. Callers may make up any model's name: only those that failed are, and the oldest give way. */
const MAX_TARGETS = 1_000

const CLOSED_PASS: CircuitPass = { kind: 'closed' }
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
  /** Infinity while closed. */
  openUntilMs: number
  openForMs: number
  probingUntilMs: number
  coolingUntilMs: number
}

/** The circuits of all targets. Instants are monotonic milliseconds. */
export class Circuits {
  readonly #circuits = new Map<string, Circuit>()

  /** Whether no call may go to a target now. Unlike `enter`, asking takes nobody's place. */
  isOpen(provider: string, model: string, nowMs: number): boolean {
    const circuit = this.#circuits.get(keyOf(provider, model))
    if (!circuit || circuit.openUntilMs === Number.POSITIVE_INFINITY) return false
    return nowMs < circuit.openUntilMs || nowMs < circuit.probingUntilMs
  }

  /** How a call may go to a target now. */
  acquire(provider: string, model: string, nowMs: number): CircuitPass {
    if (this.#circuits.size === 0) return CLOSED_PASS
    const circuit = this.#circuits.get(keyOf(provider, model))
    if (!circuit || circuit.openUntilMs === Number.POSITIVE_INFINITY) return CLOSED_PASS
    if (nowMs < circuit.openUntilMs) return { kind: 'open', retryAfterMs: circuit.openUntilMs - nowMs }
    if (nowMs < circuit.probingUntilMs) return { kind: 'open', retryAfterMs: 1_000 }
    circuit.probingUntilMs = nowMs + PROBE_TIMEOUT_MS
    return PROBE_PASS
  }

  /** A call that had entered was not sent after all. */
  release(provider: string, model: string, passage: CircuitPass): void {
    const circuit = passage.kind === 'probe' ? this.#circuits.get(keyOf(provider, model)) : undefined
    if (circuit) circuit.probingUntilMs = 0
  }

  /** How a call ended: `failed` where the target could not be reached, broke, or said that it is in trouble. */
  recordResult(
    provider: string,
    model: string,
    failed: boolean,
    passage: CircuitPass,
    nowMs: number,
  ): CircuitChange | undefined {
    if (!failed && this.#circuits.size === 0) return undefined
    const known = this.#circuits.get(keyOf(provider, model))
    if (!known && !failed) return undefined
    const circuit = known ?? this.#addCircuit(provider, model, nowMs)
    if (passage.kind === 'probe') {
      circuit.probingUntilMs = 0
      if (failed) openCircuit(circuit, Math.min(circuit.openForMs * 2, MAX_OPEN_MS), nowMs)
      else closeCircuit(circuit, nowMs)
      return failed ? undefined : 'closed'
    }
    // Calls sent before it opened say nothing new.
    if (circuit.openUntilMs !== Number.POSITIVE_INFINITY) return undefined
    advanceSpan(circuit, nowMs)
    circuit.currentSpan.calls += 1
    if (failed) circuit.currentSpan.failures += 1
    const calls = circuit.currentSpan.calls + circuit.previousSpan.calls
    const failures = circuit.currentSpan.failures + circuit.previousSpan.failures
    if (calls < MIN_CALLS || failures < calls * FAILURE_RATE_THRESHOLD) return undefined
    openCircuit(circuit, FIRST_OPEN_MS, nowMs)
    return 'opened'
  }

  /** A target refused a call for its own limits: others are asked first for a while. */
  startCooling(provider: string, model: string, forMs: number, nowMs: number): void {
    const circuit = this.#circuits.get(keyOf(provider, model)) ?? this.#addCircuit(provider, model, nowMs)
    circuit.coolingUntilMs = Math.max(circuit.coolingUntilMs, nowMs + Math.min(forMs, MAX_COOLING_MS))
  }

  /** How long a target is to be left alone yet while there are others. */
  coolingMs(provider: string, model: string, nowMs: number): number {
    const circuit = this.#circuits.get(keyOf(provider, model))
    return circuit ? Math.max(0, circuit.coolingUntilMs - nowMs) : 0
  }

  /** Those that anything is to be said of. */
  views(nowMs: number): CircuitView[] {
    return [...this.#circuits.values()].map((circuit) => {
      advanceSpan(circuit, nowMs)
      const isClosed = circuit.openUntilMs === Number.POSITIVE_INFINITY
      return {
        provider: circuit.provider,
        model: circuit.model,
        state: isClosed ? 'closed' : nowMs < circuit.openUntilMs ? 'open' : 'half-open',
        failures: circuit.currentSpan.failures + circuit.previousSpan.failures,
        calls: circuit.currentSpan.calls + circuit.previousSpan.calls,
        retryAfterMs: isClosed ? 0 : Math.max(0, circuit.openUntilMs - nowMs),
        coolingMs: Math.max(0, circuit.coolingUntilMs - nowMs),
      }
    })
  }

  #addCircuit(provider: string, model: string, nowMs: number): Circuit {
    if (this.#circuits.size >= MAX_TARGETS) {
      const [oldest] = this.#circuits.keys()
      if (oldest !== undefined) this.#circuits.delete(oldest)
    }
    const circuit: Circuit = {
      provider,
      model,
      spanStartedAtMs: nowMs,
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

function openCircuit(circuit: Circuit, forMs: number, nowMs: number): void {
  circuit.openForMs = forMs
  circuit.openUntilMs = nowMs + forMs
}

function closeCircuit(circuit: Circuit, nowMs: number): void {
  circuit.openUntilMs = Number.POSITIVE_INFINITY
  circuit.openForMs = FIRST_OPEN_MS
  circuit.spanStartedAtMs = nowMs
  circuit.currentSpan = { calls: 0, failures: 0 }
  circuit.previousSpan = { calls: 0, failures: 0 }
}

/** Old calls are forgotten a span at a time. */
function advanceSpan(circuit: Circuit, nowMs: number): void {
  const spans = Math.floor((nowMs - circuit.spanStartedAtMs) / COUNT_SPAN_MS)
  if (spans <= 0) return
  circuit.previousSpan = spans === 1 ? circuit.currentSpan : { calls: 0, failures: 0 }
  circuit.currentSpan = { calls: 0, failures: 0 }
  circuit.spanStartedAtMs += spans * COUNT_SPAN_MS
}
