// Status: GET /llm/status, which providers are ready and what to set for the others, and how targets fare. Sends nothing to a provider.

import { z } from 'zod'
import type { Settings } from '../config/settings.ts'
import type { Circuits } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { QuoteOverruns } from '../core/quote-overruns.ts'
import type { LiveConfiguration } from '../overrides/overrides.ts'
import { defaultProviderOf } from '../overrides/settings.ts'
import type { Provider } from '../providers/provider.ts'
import { countSchema } from '../runs/run-answer.ts'
import type { AddressWatch } from '../telemetry/address-watch.ts'
import type { BookingWatch } from '../telemetry/booking-watch.ts'
import type { ConfigurationWatch } from '../telemetry/configuration-watch.ts'
import type { UpstreamLimitTracker } from '../telemetry/upstream-limit-tracker.ts'
import { endpointsFor } from './endpoint.ts'
import {
  bookingsJson,
  bookingsSchema,
  circuitJson,
  circuitSchema,
  observedLimitsJson,
  observedLimitsSchema,
  overrunsJson,
  overrunsSchema,
  type PriceStateView,
  pricesJson,
  pricesSchema,
} from './views.ts'

export interface StatusParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly providers: readonly Provider[]
  readonly circuits: Circuits
  readonly upstreamLimits: Pick<UpstreamLimitTracker, 'newest' | 'models'>
  readonly quoteOverruns: Pick<QuoteOverruns, 'models'>
  readonly bookings: Pick<BookingWatch, 'models'>
  readonly addresses: Pick<AddressWatch, 'hint'>
  readonly configuration: Pick<ConfigurationWatch, 'state'>
  readonly live: Pick<LiveConfiguration, 'state'>
  /** The prices in force. */
  readonly upkeep: { readonly state: PriceStateView }
}

const endpoint = endpointsFor<StatusParts>()

export const STATUS = endpoint({
  method: 'GET',
  path: '/llm/status',
  alias: '/api/patterns/llm/status',
  role: 'key',
  summary: 'Which providers are ready, and what to set for the others.',
  answer: z.strictObject({
    configured: z.boolean(),
    configured_count: countSchema,
    total_providers: countSchema,
    default_provider: z.string(),
    providers: z.array(
      z.discriminatedUnion('status', [
        z.strictObject({
          name: z.string(),
          status: z.literal('configured'),
          model: z.string(),
          /** What is wrong with its address, if calls showed that. */
          hint: z.string().nullable(),
          upstream_rate_limits: observedLimitsSchema.nullable(),
          upstream_rate_limits_by_model: z.record(z.string(), observedLimitsSchema).optional(),
        }),
        z.strictObject({ name: z.string(), status: z.literal('not_configured'), setup_guide: z.string() }),
      ]),
    ),
    message: z.string(),
    enforcement: z.enum(['hard', 'soft']),
    targets: z.array(circuitSchema),
    prices: pricesSchema,
    /** For those who see everyone's figures. */
    configuration: z
      .strictObject({
        /** What to look at in the settings and in bursar.json, as the log has it. */
        warnings: z.array(z.string()),
        /** Why the newest bursar.json is not in force. */
        not_reloaded: z.string().nullable(),
      })
      .optional(),
    ...overrunsSchema.partial().shape,
    ...bookingsSchema.partial().shape,
  }),
}).handle(
  (
    {
      settings,
      providers,
      upstreamLimits,
      quoteOverruns,
      bookings,
      addresses,
      configuration,
      live,
      upkeep,
      circuits,
      clock,
    },
    { sender },
  ) => {
    const realProviders = providers.filter(({ simulated }) => !simulated)
    const configuredCount = realProviders.filter(({ configured }) => configured).length
    const seesAll = sender.role === 'admin' || sender.role === 'open'
    return {
      answer: {
        configured: configuredCount > 0,
        configured_count: configuredCount,
        total_providers: realProviders.length,
        default_provider: defaultProviderOf(live.state),
        providers: realProviders.map((provider) =>
          provider.configured
            ? {
                name: provider.name,
                status: 'configured',
                model: provider.defaultModel,
                hint: addresses.hint(provider.name),
                ...limitsJson(upstreamLimits, provider.name, seesAll),
              }
            : { name: provider.name, status: 'not_configured', setup_guide: provider.setupGuide },
        ),
        message:
          configuredCount > 0
            ? `${configuredCount} provider(s) ready`
            : 'No provider is configured; sim/ models answer without one',
        enforcement: settings.ENFORCEMENT,
        targets: circuits.views(clock.now().monoMs).map(circuitJson),
        prices: pricesJson(upkeep.state),
        ...(seesAll
          ? {
              configuration: configurationJson(configuration.state),
              ...overrunsJson(quoteOverruns.models()),
              ...bookingsJson(bookings.models()),
            }
          : {}),
      },
    }
  },
)

function configurationJson({ warnings, notReloaded }: ConfigurationWatch['state']) {
  return { warnings: [...warnings], not_reloaded: notReloaded }
}

/** The limits that a provider last gave for its own, and by model for those who may see every call. */
function limitsJson(upstreamLimits: StatusParts['upstreamLimits'], provider: string, seesAll: boolean) {
  const newest = upstreamLimits.newest(provider)
  const upstream_rate_limits = newest ? observedLimitsJson(newest) : null
  if (!seesAll) return { upstream_rate_limits }
  const byModel = Object.entries(upstreamLimits.models(provider))
  return {
    upstream_rate_limits,
    upstream_rate_limits_by_model: Object.fromEntries(
      byModel.map(([model, limits]) => [model, observedLimitsJson(limits)]),
    ),
  }
}
