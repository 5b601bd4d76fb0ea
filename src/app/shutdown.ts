// Shutdown: ends the gateway in order. Calls first, then the ledger and the connections.

import type { Alerts } from '../alerts/alerts.ts'
import type { Gate } from '../call/gate.ts'
import type { Clock, Timers } from '../core/clock.ts'
import type { InputCounter } from '../counting/input-counter.ts'
import type { LiveHub } from '../live/live-hub.ts'
import type { ProvidersInForce } from '../providers/index.ts'
import type { Store } from '../stores/store.ts'
import type { RefusalCounter } from '../telemetry/refusal-counter.ts'
import type { PriceUpkeep } from './price-upkeep.ts'

/** Everything that has to end. */
interface ShutdownParts {
  readonly clock: Clock
  readonly timers: Timers
  readonly gate: Pick<Gate, 'close' | 'inFlight' | 'activeLeases' | 'movesInProgress' | 'expireAll'>
  readonly store: Pick<Store, 'close'>
  readonly providers: Pick<ProvidersInForce, 'close'>
  readonly inputCounter: Pick<InputCounter, 'close'>
  readonly upkeep: Pick<PriceUpkeep, 'stop' | 'idle'>
  readonly refusalCounter: Pick<RefusalCounter, 'flush'>
  readonly alerts: Pick<Alerts, 'close'>
  readonly hub: Pick<LiveHub, 'close'>
  readonly stopSweeping: () => void
  readonly stopDeleting: () => void
}

const POLL_INTERVAL_MS = 20
/** How often the gateway looks whether calls that it cut are settled: one second in all. */
const MAX_SETTLE_POLLS = 50

/**
 * The function that stops the gateway. New calls get 503 at once. Calls in flight have `waitMs` milliseconds to finish; what is
 * left then is cut and settled. The promise resolves once the ledger, the providers' pools and the tokenizer are closed.
 */
export function shutdown(parts: ShutdownParts): (waitMs: number) => Promise<void> {
  const {
    clock,
    timers,
    gate,
    store,
    providers,
    inputCounter,
    upkeep,
    refusalCounter,
    alerts,
    hub,
    stopSweeping,
    stopDeleting,
  } = parts
  const waitForNextPoll = () => new Promise<void>((resolve) => timers.setTimeout(resolve, POLL_INTERVAL_MS))
  return async (waitMs) => {
    gate.close()
    hub.close()
    const untilMs = clock.now().monoMs + waitMs
    while (gate.inFlight + gate.activeLeases > 0 && clock.now().monoMs < untilMs) await waitForNextPoll()
    gate.expireAll()
    for (let polls = 0; gate.movesInProgress + gate.activeLeases > 0 && polls < MAX_SETTLE_POLLS; polls++)
      await waitForNextPoll()
    stopSweeping()
    stopDeleting()
    upkeep.stop()
    await upkeep.idle()
    await refusalCounter.flush()
    await alerts.close()
    await store.close(clock.now())
    await Promise.all([providers.close(), inputCounter.close()])
    // Ends of answers are written at the end of the turn they came in, which may be this one.
    await new Promise((resolve) => setImmediate(resolve))
  }
}
