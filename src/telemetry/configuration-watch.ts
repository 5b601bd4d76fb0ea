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
  readonly #ofEnvironment: readonly string[]
  #state: ConfigurationState | undefined

  /** @param ofEnvironment warnings that no reload changes */
  constructor(telemetry: Pick<Telemetry, 'notify'>, ofEnvironment: readonly string[]) {
    this.#telemetry = telemetry
    this.#ofEnvironment = ofEnvironment
  }

  get state(): ConfigurationState {
    return this.#state ?? { warnings: this.#ofEnvironment, notReloaded: null }
  }

  /**
   * Another bursar.json is in force. Notifies of each of its warnings, also of those that the file before had, and the first time of
   * those of the environment.
   */
  use(ofFile: readonly string[]): void {
    const news = this.#state === undefined ? [...this.#ofEnvironment, ...ofFile] : ofFile
    this.#state = { warnings: [...this.#ofEnvironment, ...ofFile], notReloaded: null }
    for (const message of news) this.#warn(message)
  }

  #warn(message: string): void {
    this.#telemetry.notify({ code: 'configuration_warning', level: 'warn', message })
  }

  /** Something else than bursar.json has changed. Notifies of warnings that are new. */
  refresh(warnings: readonly string[]): void {
    const before = new Set(this.state.warnings)
    this.#state = { ...this.state, warnings: [...this.#ofEnvironment, ...warnings] }
    for (const message of warnings) if (!before.has(message)) this.#warn(message)
  }

  hear(): void {}

  notice({ code, details }: Notice): void {
    if (code === 'configuration_not_reloaded') this.#state = { ...this.state, notReloaded: String(details?.reason) }
  }
}
