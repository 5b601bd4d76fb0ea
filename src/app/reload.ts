// Reload: puts another bursar.json, or a change by /admin/, in force: all of it or nothing. It reads no file and decides no call.

import type { Alerts } from '../alerts/alerts.ts'
import type { Gate } from '../call/gate.ts'
import type { Routing } from '../call/routing.ts'
import { EMPTY_FILE_CONFIG, type FileConfig, type PatternModels } from '../config/file.ts'
import { type Settings, settingLimits } from '../config/settings.ts'
import type { Clock } from '../core/clock.ts'
import { Problem } from '../core/problem.ts'
import type { LimitsInForce } from '../limits/limits-in-force.ts'
import type { ConfiguredLimits } from '../limits/merge-limits.ts'
import { alertsInForce } from '../overrides/alerts.ts'
import {
  type ConfigurationState,
  type LiveConfiguration,
  NO_OVERRIDES,
  type OverrideChange,
  type Overrides,
} from '../overrides/overrides.ts'
import { priceEntries } from '../overrides/price-entries.ts'
import { providerOverridesOf } from '../overrides/providers.ts'
import { defaultProviderOf } from '../overrides/settings.ts'
import type { EditablePriceBook } from '../prices/price-book.ts'
import { compileUserPrices } from '../prices/user-prices.ts'
import type { ProvidersInForce } from '../providers/index.ts'
import type { Registry } from '../stores/registry.ts'

/** Everything that the configuration changes, and what decides how. */
interface ReloadParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly gate: Pick<Gate, 'isClosing'>
  readonly prices: Pick<EditablePriceBook, 'useUserPrices'>
  readonly limits: Pick<LimitsInForce, 'prepare'>
  readonly providers: Pick<ProvidersInForce, 'prepare' | 'list'>
  readonly alerts: Pick<Alerts, 'use'>
  readonly routing: Pick<Routing, 'change'>
  readonly patterns: { change(models: PatternModels, defaultProvider: string): void }
  readonly registry: Pick<Registry, 'writeAll'>
}

/**
 * The configuration in force, and how another one takes over. A change prepares everything that can fail, then swaps in one turn of the
 * event loop. If it rejects, everything is as before, and nothing of the new configuration stays open. Each change waits until the one
 * before is over, so that a reload of bursar.json and a change by /admin/ do not undo each other.
 */
export class ConfigurationInForce implements LiveConfiguration {
  readonly #parts: ReloadParts
  #state: ConfigurationState
  #last: Promise<unknown> = Promise.resolve()
  #changed: (state: ConfigurationState) => void = () => {}

  /** @param overrides what the registry holds; nothing is in force until the first reload */
  constructor(parts: ReloadParts, overrides: Overrides = NO_OVERRIDES) {
    this.#parts = parts
    this.#state = { settings: parts.settings, file: EMPTY_FILE_CONFIG, overrides }
  }

  get state(): ConfigurationState {
    return this.#state
  }

  /** Calls back after each change that is no reload. */
  onChange(changed: (state: ConfigurationState) => void): void {
    this.#changed = changed
  }

  /**
   * Puts another bursar.json in force. Rejects with RangeError for a price that is no price, with the store's or the registry's own
   * error if the ledger cannot be read or written, and with Problem `shutting_down` once the gateway is stopping.
   */
  reload(file: FileConfig): Promise<void> {
    return this.#afterLast(async () => {
      const { settings, limits } = this.#parts
      await this.#replace({ ...this.#state, file }, () => limits.prepare(configuredLimits(settings, file)))
    })
  }

  /** Limits stay as they are, so no call waits. */
  change(
    make: (state: ConfigurationState) => OverrideChange | Promise<OverrideChange>,
    actor: string,
  ): Promise<ConfigurationState> {
    return this.#afterLast(async () => {
      const { overrides, drafts } = await make(this.#state)
      const { registry, clock } = this.#parts
      await this.#replace({ ...this.#state, overrides }, async () => {
        if (drafts.length > 0) await registry.writeAll(drafts, { actor, atMs: clock.now().wallMs, audit: true })
        return () => {}
      })
      this.#changed(this.#state)
      return this.#state
    })
  }

  /** @param prepare the last thing that can fail; its result puts in force what it prepared, and cannot fail */
  async #replace(next: ConfigurationState, prepare: () => Promise<() => void>): Promise<void> {
    const { gate, prices, providers, routing, patterns, alerts } = this.#parts
    const { file, overrides } = next
    if (gate.isClosing) throw new Problem('shutting_down', 'The gateway is stopping: it takes no other configuration.')
    const entries = [...priceEntries(file.prices), ...priceEntries(overrides.prices, 'admin')]
    const nextPrices = compileUserPrices(entries)
    const nextProviders = providers.prepare(file.providers, providerOverridesOf(next))
    let putInForce: () => void
    try {
      putInForce = await prepare()
    } catch (error) {
      await nextProviders.discard()
      throw error
    }
    // Nothing from here on can fail, and nothing waits: no call sees one half of a configuration.
    this.#state = next
    prices.useUserPrices(nextPrices)
    nextProviders.putInForce()
    routing.change(file.routes)
    patterns.change(file.patterns, defaultProviderOf(next))
    putInForce()
    const isReal = providers.list.some(({ configured, simulated }) => configured && !simulated)
    alerts.use(alertsInForce(next), !isReal)
  }

  #afterLast<Result>(step: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(step)
    this.#last = result.catch(() => {})
    return result
  }
}

/** The limits of settings and of the file. Without cost tracking, no limit counts cost. */
export function configuredLimits(settings: Settings, file: FileConfig): ConfiguredLimits {
  const ofFile = file.limits.filter((limit) => settings.ENABLE_COST_TRACKING || limit.what !== 'cost')
  return { settings: settingLimits(settings), file: ofFile }
}
