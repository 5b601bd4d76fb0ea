// Settings: PUT /admin/settings, the default provider and the default models, live from the next call on.

import { z } from 'zod'
import { modelSchema } from '../config/schema.ts'
import { MAX_RETENTION_DAYS, MIN_RETENTION_DAYS, RETENTION_EXPECTED } from '../config/setting-parsers.ts'
import { isRecord } from '../core/json-values.ts'
import type { ConfigurationState, LiveConfiguration } from '../overrides/overrides.ts'
import { changeSettings } from '../overrides/settings.ts'
import { endpointsFor } from './endpoint.ts'

export interface SettingParts {
  readonly live: LiveConfiguration
}

const endpoint = endpointsFor<SettingParts>()

/** Records of zod leave out `__proto__` without a word. */
const modelsSchema = z
  .unknown()
  .refine((value) => !isRecord(value) || !Object.hasOwn(value, '__proto__'), 'must not have "__proto__"')
  .pipe(z.record(z.string(), modelSchema.nullable()).nullish())

export const setSettingsSchema = z.strictObject({
  default_provider: z.string().nullable(),
  /** By the provider's name. */
  default_models: z.record(z.string(), z.string()),
  /** Days for which the ledger keeps the rows of calls. */
  retention_days: z.number().int().nullable(),
})

export const SET_SETTINGS = endpoint({
  method: 'PUT',
  path: '/admin/settings',
  role: 'admin',
  summary: 'Replaces what is set here of the settings: null, or a field left out, gives back what was there before.',
  body: z.strictObject({
    default_provider: z.string().min(1).nullish(),
    default_models: modelsSchema.optional(),
    retention_days: z
      .int(RETENTION_EXPECTED)
      .min(MIN_RETENTION_DAYS, RETENTION_EXPECTED)
      .max(MAX_RETENTION_DAYS, RETENTION_EXPECTED)
      .nullish(),
  }),
  answer: setSettingsSchema,
}).handle(async ({ live }, { sender, body }) => {
  const change = await body()
  return { answer: setSettingsJson(await live.change((state) => changeSettings(state, change), sender.actor)) }
})

export function setSettingsJson({ overrides }: ConfigurationState): z.output<typeof setSettingsSchema> {
  return {
    default_provider: overrides.defaultProvider,
    default_models: Object.fromEntries(overrides.defaultModels),
    retention_days: overrides.retentionDays,
  }
}
