// Reload: puts another bursar.json in force, all of it or nothing. It reads no file and decides no call.

import type { Gate } from '../call/gate.ts'
import type { Routing } from '../call/routing.ts'
import type { FileConfig, PatternModels } from '../config/file.ts'
import { type Settings, settingLimits } from '../config/settings.ts'
import type { LimitsInForce } from '../limits/limits-in-force.ts'
import type { ConfiguredLimits } from '../limits/merge-limits.ts'
import type { EditablePriceBook } from '../prices/price-book.ts'
import { compileUserPrices } from '../prices/user-prices.ts'
import type { ProvidersInForce } from '../providers/index.ts'
import { userPricesOf } from './load-configuration.ts'

/** Everything that bursar.json changes, and what decides how. */
interface ReloadParts {
  readonly settings: Settings
  readonly gate: Pick<Gate, 'isClosing'>
  readonly prices: Pick<EditablePriceBook, 'useUserPrices'>
  readonly limits: Pick<LimitsInForce, 'prepare'>
  readonly providers: Pick<ProvidersInForce, 'prepare'>
  readonly routing: Pick<Routing, 'change'>
  readonly patterns: { change(models: PatternModels): void }
}

/**
 * The function that reloads. It prepares everything that can fail, then swaps in one turn of the event loop. If it rejects,
 * prices, limits, providers, routes and the models of patterns are as before, and nothing of the new file stays open. A second
 * reload waits until the first is over.
 *
 * Rejects with RangeError for a price that is no price, with the store's or the registry's own error if the ledger cannot be
 * read or written, and with an Error once the gateway is stopping.
 */
export function reloader(parts: ReloadParts): (file: FileConfig) => Promise<void> {
  let last: Promise<unknown> = Promise.resolve()
  return (file) => {
    const reload = last.then(() => replaceConfig(parts, file))
    last = reload.catch(() => {})
    return reload
  }
}

async function replaceConfig(parts: ReloadParts, file: FileConfig): Promise<void> {
  const { settings, gate, prices, limits, providers, routing, patterns } = parts
  if (gate.isClosing) throw new Error('The gateway is stopping: it takes no other configuration.')
  const nextPrices = compileUserPrices(userPricesOf(file))
  const nextProviders = providers.prepare(file.providers)
  let putLimitsInForce: () => void
  try {
    putLimitsInForce = await limits.prepare(configuredLimits(settings, file))
  } catch (error) {
    await nextProviders.discard()
    throw error
  }
  // Nothing from here on can fail, and nothing waits: no call sees one half of a file.
  prices.useUserPrices(nextPrices)
  nextProviders.putInForce()
  routing.change(file.routes)
  patterns.change(file.patterns)
  putLimitsInForce()
}

/** The limits of settings and of the file. Without cost tracking, no limit counts cost. */
export function configuredLimits(settings: Settings, file: FileConfig): ConfiguredLimits {
  const ofFile = file.limits.filter((limit) => settings.ENABLE_COST_TRACKING || limit.what !== 'cost')
  return { settings: settingLimits(settings), file: ofFile }
}
