// Circuit: whether a target is worth asking. Opens when too many calls fail, lets one through to see, closes when that one ends well.

/** What stands in the way of a call, or how it may go. */
export type Passage =
  | { readonly kind: 'closed' }
  /** The one call that is let through to see. Its end has to be told, or that it was never sent. */
  | { readonly kind: 'probe' }
  | { readonly kind: 'open'; readonly retryAfterMs: number }

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
const SPAN_MS = 15_000
const LEAST_CALLS = 10
const FAILING_SHARE = 0.5
const FIRST_OPEN_MS = 5_000
const LONGEST_OPEN_MS = 60_000
/** A probe that nobody reports is taken to be lost. */
const PROBE_MS = 120_000
const LONGEST_COOLING_MS = 60_000
/** Targets remembered. Callers may make up any model's name: only those that failed are, and the oldest give way. */
const MOST_TARGETS = 1_000

const CLOSED: Passage = { kind: 'closed' }
const PROBE: Passage = { kind: 'probe' }

interface Tally {
  calls: number
  failures: number
}

interface Circuit {
  readonly provider: string
  readonly model: string
  spanFromMs: number
  now: Tally
  before: Tally
  /** Infinity while closed. */
  openUntilMs: number
  openForMs: number
  probingUntilMs: number
  coolUntilMs: number
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
  enter(provider: string, model: string, nowMs: number): Passage {
    if (this.#circuits.size === 0) return CLOSED
    const circuit = this.#circuits.get(keyOf(provider, model))
    if (!circuit || circuit.openUntilMs === Number.POSITIVE_INFINITY) return CLOSED
    if (nowMs < circuit.openUntilMs) return { kind: 'open', retryAfterMs: circuit.openUntilMs - nowMs }
    if (nowMs < circuit.probingUntilMs) return { kind: 'open', retryAfterMs: 1_000 }
    circuit.probingUntilMs = nowMs + PROBE_MS
    return PROBE
  }

  /** A call that had entered was not sent after all. */
  leave(provider: string, model: string, passage: Passage): void {
    const circuit = passage.kind === 'probe' ? this.#circuits.get(keyOf(provider, model)) : undefined
    if (circuit) circuit.probingUntilMs = 0
  }

  /** How a call ended: `failed` where the target could not be reached, broke, or said that it is in trouble. */
  ended(provider: string, model: string, failed: boolean, passage: Passage, nowMs: number): void {
    if (!failed && this.#circuits.size === 0) return
    const known = this.#circuits.get(keyOf(provider, model))
    if (!known && !failed) return
    const circuit = known ?? this.#circuit(provider, model, nowMs)
    if (passage.kind === 'probe') {
      circuit.probingUntilMs = 0
      if (failed) open(circuit, Math.min(circuit.openForMs * 2, LONGEST_OPEN_MS), nowMs)
      else close(circuit, nowMs)
      return
    }
    // Calls sent before it opened say nothing new.
    if (circuit.openUntilMs !== Number.POSITIVE_INFINITY) return
    turn(circuit, nowMs)
    circuit.now.calls += 1
    if (failed) circuit.now.failures += 1
    const calls = circuit.now.calls + circuit.before.calls
    const failures = circuit.now.failures + circuit.before.failures
    if (calls >= LEAST_CALLS && failures >= calls * FAILING_SHARE) open(circuit, FIRST_OPEN_MS, nowMs)
  }

  /** A target refused a call for its own limits: others are asked first for a while. */
  cool(provider: string, model: string, forMs: number, nowMs: number): void {
    const circuit = this.#circuits.get(keyOf(provider, model)) ?? this.#circuit(provider, model, nowMs)
    circuit.coolUntilMs = Math.max(circuit.coolUntilMs, nowMs + Math.min(forMs, LONGEST_COOLING_MS))
  }

  /** How long a target is to be left alone yet while there are others. */
  coolingMs(provider: string, model: string, nowMs: number): number {
    const circuit = this.#circuits.get(keyOf(provider, model))
    return circuit ? Math.max(0, circuit.coolUntilMs - nowMs) : 0
  }

  /** Those that anything is to be said of. */
  views(nowMs: number): CircuitView[] {
    return [...this.#circuits.values()].map((circuit) => {
      turn(circuit, nowMs)
      const isClosed = circuit.openUntilMs === Number.POSITIVE_INFINITY
      return {
        provider: circuit.provider,
        model: circuit.model,
        state: isClosed ? 'closed' : nowMs < circuit.openUntilMs ? 'open' : 'half-open',
        failures: circuit.now.failures + circuit.before.failures,
        calls: circuit.now.calls + circuit.before.calls,
        retryAfterMs: isClosed ? 0 : Math.max(0, circuit.openUntilMs - nowMs),
        coolingMs: Math.max(0, circuit.coolUntilMs - nowMs),
      }
    })
  }

  #circuit(provider: string, model: string, nowMs: number): Circuit {
    if (this.#circuits.size >= MOST_TARGETS) {
      const [oldest] = this.#circuits.keys()
      if (oldest !== undefined) this.#circuits.delete(oldest)
    }
    const circuit: Circuit = {
      provider,
      model,
      spanFromMs: nowMs,
      now: { calls: 0, failures: 0 },
      before: { calls: 0, failures: 0 },
      openUntilMs: Number.POSITIVE_INFINITY,
      openForMs: FIRST_OPEN_MS,
      probingUntilMs: 0,
      coolUntilMs: Number.NEGATIVE_INFINITY,
    }
    this.#circuits.set(keyOf(provider, model), circuit)
    return circuit
  }
}

function keyOf(provider: string, model: string): string {
  return `${provider}/${model}`
}

function open(circuit: Circuit, forMs: number, nowMs: number): void {
  circuit.openForMs = forMs
  circuit.openUntilMs = nowMs + forMs
}

function close(circuit: Circuit, nowMs: number): void {
  circuit.openUntilMs = Number.POSITIVE_INFINITY
  circuit.openForMs = FIRST_OPEN_MS
  circuit.spanFromMs = nowMs
  circuit.now = { calls: 0, failures: 0 }
  circuit.before = { calls: 0, failures: 0 }
}

/** Old calls are forgotten a span at a time. */
function turn(circuit: Circuit, nowMs: number): void {
  const spans = Math.floor((nowMs - circuit.spanFromMs) / SPAN_MS)
  if (spans <= 0) return
  circuit.before = spans === 1 ? circuit.now : { calls: 0, failures: 0 }
  circuit.now = { calls: 0, failures: 0 }
  circuit.spanFromMs += spans * SPAN_MS
}
