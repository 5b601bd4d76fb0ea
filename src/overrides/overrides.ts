// Overrides: what /admin/ has set beside the settings and bursar.json, as plain values.

import type { AlertRow } from '../config/alerts.ts'
import type { FileConfig, FilePrice } from '../config/file.ts'
import type { Settings } from '../config/settings.ts'
import type { DocumentDraft } from '../stores/registry.ts'

/** A provider's key. `shown` is the key as people see it: `sk-…abcd`. */
export type StoredKey =
  | { readonly shown: string; readonly secret: string }
  /** It cannot be decrypted; `reason` says why, and what to do. A line without a full stop. */
  | { readonly shown: string; readonly reason: string }

/** What is set for one provider. Null: not set here. */
export interface ProviderRecord {
  readonly key: StoredKey | null
  readonly baseUrl: string | null
}

/** A receiver of alerts that is set here. */
export type StoredAlert =
  | AlertRow
  /** It cannot be decrypted; `reason` says why, and what to do. A line without a full stop. */
  | { readonly name: string; readonly shown: Readonly<Record<string, unknown>>; readonly reason: string }

/** Everything that is set here. */
export interface Overrides {
  /** The name of a provider. Null: the settings decide. */
  readonly defaultProvider: string | null
  /** Default models by the name of their provider. */
  readonly defaultModels: ReadonlyMap<string, string>
  /** Days for which rows are kept. Null: the settings decide. */
  readonly retentionDays: number | null
  /** In the words of bursar.json. A row takes the place of the file's row for the same model. */
  readonly prices: readonly FilePrice[]
  readonly providers: ReadonlyMap<string, ProviderRecord>
  /** By name. A receiver takes the place of the file's receiver of the same name. */
  readonly alerts: ReadonlyMap<string, StoredAlert>
}

export const NO_OVERRIDES: Overrides = {
  defaultProvider: null,
  defaultModels: new Map(),
  retentionDays: null,
  prices: [],
  providers: new Map(),
  alerts: new Map(),
}

/** All that decides how the gateway is configured, in order of precedence: the environment, what is set here, bursar.json. */
export interface ConfigurationState {
  readonly settings: Settings
  readonly file: FileConfig
  readonly overrides: Overrides
}

/** A change that is not in force yet, with the documents that keep it. */
export interface OverrideChange {
  readonly overrides: Overrides
  readonly drafts: readonly DocumentDraft[]
}

/** What endpoints need to show and change the configuration. */
export interface LiveConfiguration {
  readonly state: ConfigurationState
  /**
   * Writes a change and puts it in force, or neither. Changes, and reloads of bursar.json, happen one after the other: each starts
   * from what the one before left. Resolves to what is in force then. Rejects with what `make` throws, and as `Registry.writeAll`.
   *
   * @param make must not wait for another change
   * @param actor who changes, for the audit
   */
  change(
    make: (state: ConfigurationState) => OverrideChange | Promise<OverrideChange>,
    actor: string,
  ): Promise<ConfigurationState>
}
