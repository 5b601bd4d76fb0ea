// Configuration watch: keeps what an operator should look at in the configuration, and why the newest bursar.json is not in force.

import type { CallListener, Notice, Telemetry } from './call-events.ts'

/** What is shown of the configuration. */
export interface ConfigurationState {
  /** Of what is in force. A sentence each, which begins with its place. */
  readonly warnings: readonly string[]
  /** Why the newest file is not in force. Null if it is. */
  readonly notReloaded: string | null
}

export class ConfigurationWatch implements CallListener {
  readonly name = 'configuration watch'
  readonly #telemetry: Pick<Telemetry, 'notify'>
  #state: ConfigurationState = { warnings: [], notReloaded: null }

  constructor(telemetry: Pick<Telemetry, 'notify'>) {
    this.#telemetry = telemetry
  }

  get state(): ConfigurationState {
    return this.#state
  }

  /** Another configuration is in force. Notifies of each of its warnings, also of those that the one before had. */
  use(warnings: readonly string[]): void {
    this.#state = { warnings, notReloaded: null }
    for (const message of warnings) this.#telemetry.notify({ code: 'configuration_warning', level: 'warn', message })
  }

  hear(): void {}

  notice({ code, details }: Notice): void {
    if (code === 'configuration_not_reloaded') this.#state = { ...this.#state, notReloaded: String(details?.reason) }
  }
}
