// Config: GET /admin/config, every value in force and where it is set. It shows no secret in clear.

import { z } from 'zod'
import { shownSections } from '../config/masks.ts'
import type { LiveConfiguration } from '../overrides/overrides.ts'
import { settingViews } from '../overrides/setting-views.ts'
import type { Provider } from '../providers/provider.ts'
import { providerSchema, providersJson } from './admin-providers.ts'
import { setSettingsJson, setSettingsSchema } from './admin-settings.ts'
import { endpointsFor } from './endpoint.ts'

export interface ConfigParts {
  readonly live: LiveConfiguration
  readonly providers: readonly Provider[]
}

const endpoint = endpointsFor<ConfigParts>()

export const CONFIG = endpoint({
  method: 'GET',
  path: '/admin/config',
  role: 'admin',
  summary: 'Every setting in force and its source, bursar.json, and what was set here. Secrets are in disguise.',
  answer: z.strictObject({
    settings: z.array(
      z.strictObject({
        name: z.string(),
        /** As .env writes it; null if it is empty. Secrets are `sk-…abcd`, or `set`. */
        value: z.string().nullable(),
        source: z.enum(['environment', 'default', 'registry']),
      }),
    ),
    file: z.strictObject({
      source: z.literal('bursar.json'),
      /** Null if there is no file. */
      path: z.string().nullable(),
      /** In the file's own words. */
      sections: z.record(z.string(), z.unknown()),
    }),
    providers: z.array(providerSchema),
    /** What was set by /admin/settings and /admin/prices. */
    registry: z.strictObject({ ...setSettingsSchema.shape, prices: z.array(z.looseObject({ model: z.string() })) }),
  }),
}).handle(({ live, providers }) => {
  const { state } = live
  const { path, sections } = state.file.written
  return {
    answer: {
      settings: [...settingViews(state)],
      file: { source: 'bursar.json', path, sections: shownSections(sections) },
      providers: providersJson(state, providers),
      registry: { ...setSettingsJson(state), prices: [...state.overrides.prices] },
    },
  }
})
