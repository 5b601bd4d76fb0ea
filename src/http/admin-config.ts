// Config: GET /admin/config, every value in force and where it is set. It shows no secret in clear.

import { z } from 'zod'
import { shownSections } from '../config/masks.ts'
import type { LimitEditor } from '../limits/limit-editor.ts'
import type { ConfiguredLimits } from '../limits/merge-limits.ts'
import type { LiveConfiguration } from '../overrides/overrides.ts'
import { settingViews } from '../overrides/setting-views.ts'
import type { Provider } from '../providers/provider.ts'
import { providerSchema, providersJson } from './admin-providers.ts'
import { setSettingsJson, setSettingsSchema } from './admin-settings.ts'
import { endpointsFor } from './endpoint.ts'

export interface ConfigParts {
  readonly live: LiveConfiguration
  readonly providers: readonly Provider[]
  readonly limitEditor: Pick<LimitEditor, 'inForceOn'>
  readonly configuredLimits: () => ConfiguredLimits
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
        /** The limit that is in force in the place of this setting. Null: the setting is in force, or sets no limit. */
        replaced_by: z.string().nullable(),
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
    /** What was set by /admin/settings and /admin/prices, and the paths that list what else is set by HTTP. */
    registry: z.strictObject({
      ...setSettingsSchema.shape,
      prices: z.array(z.looseObject({ model: z.string() })),
      limits: z.literal('/admin/limits'),
      keys: z.literal('/admin/keys'),
    }),
  }),
}).handle((parts) => {
  const { live, providers } = parts
  const { state } = live
  const replacements = replacementsOf(parts)
  const { path, sections } = state.file.written
  return {
    answer: {
      settings: settingViews(state).map((view) => ({ ...view, replaced_by: replacements.get(view.name) ?? null })),
      file: { source: 'bursar.json', path, sections: shownSections(sections) },
      providers: providersJson(state, providers),
      registry: {
        ...setSettingsJson(state),
        prices: [...state.overrides.prices],
        limits: '/admin/limits',
        keys: '/admin/keys',
      },
    },
  }
})

/** The limits on everyone that are in force in the place of settings, by the setting's name. */
function replacementsOf({ limitEditor, configuredLimits }: ConfigParts): ReadonlyMap<string, string> {
  const inForce = limitEditor.inForceOn({ who: 'global', subject: undefined })
  const replacements = new Map<string, string>()
  for (const { what, span, source } of configuredLimits().settings) {
    const other = inForce.find(({ limit }) => limit.what === what && limit.span === span)?.limit.source
    if (source !== undefined && other !== undefined && other !== source) replacements.set(source, other)
  }
  return replacements
}
