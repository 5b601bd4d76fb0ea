// Refusal history: keeps the newest refused calls in memory, so that /llm/explain can say why a call was refused. It stores nothing.

import { Ring } from '../core/ring.ts'
import type { CallEvent, CallListener, CallRefused } from './call-events.ts'

const MAX_KEPT_REFUSALS = 1_000

/** Listens to refused calls, and keeps the newest 1,000. */
export class RefusalHistory implements CallListener {
  readonly name = 'refusal history'
  readonly #refused = new Ring<CallRefused>(MAX_KEPT_REFUSALS)

  hear(event: CallEvent): void {
    if (event.kind === 'refused') this.#refused.push(event)
  }

  /** The newest refused calls, newest first. */
  newest(limit: number): readonly CallRefused[] {
    return this.#refused.newest(limit)
  }

  /** Undefined for calls that were not refused, or so long ago that newer refusals took their place. */
  find(callId: string): CallRefused | undefined {
    return this.#refused.find((refused) => refused.callId === callId)
  }
}
