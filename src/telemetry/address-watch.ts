// Address watch: keeps what is wrong with the address of a provider, until the provider answers a call.

import type { CallEvent, CallListener, Notice } from './call-events.ts'

export class AddressWatch implements CallListener {
  readonly name = 'address watch'
  readonly #hints = new Map<string, string>()

  hear(event: CallEvent): void {
    if (event.kind === 'settled' && event.outcome.ending === 'completed') this.#hints.delete(event.facts.provider)
  }

  notice({ code, message, details }: Notice): void {
    if (code === 'provider_address_wrong') this.#hints.set(String(details?.provider), message)
  }

  /** A sentence on what came and which setting to check; null if nothing is known to be wrong. */
  hint(provider: string): string | null {
    return this.#hints.get(provider) ?? null
  }
}
