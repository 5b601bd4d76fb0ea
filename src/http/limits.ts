// Limits: GET /llm/limits, the live levels of the limits that apply to the viewer. Changes no level.

import { z } from 'zod'
import type { Settings } from '../config/settings.ts'
import type { Clock } from '../core/clock.ts'
import { type LimitPlan, NO_SUBJECTS, SIMULATED_REALM, ZERO_AMOUNTS } from '../core/limits.ts'
import type { Who } from '../core/meter.ts'
import type { Provider } from '../providers/provider.ts'
import type { Store } from '../stores/store.ts'
import { endpointsFor } from './endpoint.ts'
import { showsSimulated } from './stats.ts'
import { levelJson, levelSchema } from './views.ts'

export interface LimitParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly providers: readonly Provider[]
  readonly plan: () => LimitPlan
}

const endpoint = endpointsFor<LimitParts>()

const name = z.string().optional()
/** The subjects whose limits are shown in addition to the global ones. `key` is ignored for a viewer with a key of its own. */
const subjectsSchema = z.strictObject({
  key: name,
  user: name,
  thread: name,
  agent: name,
  task: name,
  provider: name,
  /** With or without its provider in front. */
  model: name,
})

export const LIMITS = endpoint({
  method: 'GET',
  path: '/llm/limits',
  role: 'key',
  summary: 'The live level of every limit on everyone, on the key, and on the subjects in the query.',
  query: subjectsSchema,
  answer: z.strictObject({
    enforcement: z.enum(['hard', 'soft']),
    time_zone: z.string(),
    limits: z.array(levelSchema),
  }),
}).handle(async (parts, { sender, query }) => {
  const { settings, clock, store } = parts
  const plan = parts.plan()
  const subjects: ShownSubjects = { ...query, key: sender.key ?? query.key }
  const now = clock.now()
  const realm = (await showsSimulated(parts)) ? SIMULATED_REALM : ''
  const charges = plan
    .chargesFor(subjectsOf(subjects), ZERO_AMOUNTS, now.wallMs, realm, settings.ENFORCEMENT === 'soft')
    .filter(({ meter: { who } }) => who === 'global' || subjects[who] !== undefined)
  const levels = await store.levels(charges, now)
  return {
    answer: { enforcement: settings.ENFORCEMENT, time_zone: plan.timeZone, limits: levels.map(levelJson) },
  }
})

/** Subjects by their kind. Undefined: the request does not name that kind. */
type ShownSubjects = { readonly [Kind in Who]?: string | undefined }

function subjectsOf({ key, user, thread, agent, task, provider, model }: ShownSubjects) {
  return {
    caller: {
      ...NO_SUBJECTS.caller,
      key: key ?? null,
      user: user ?? null,
      thread: thread ?? null,
      agent: agent ?? null,
      task: task ?? null,
    },
    ...targetOf(provider ?? '', model ?? ''),
  }
}

/** A model may be written with its provider in front; a provider of its own has precedence. */
function targetOf(provider: string, model: string): { readonly provider: string; readonly model: string } {
  const slash = model.indexOf('/')
  const prefix = slash > 0 ? model.slice(0, slash) : ''
  if (prefix === '' || (provider !== '' && provider !== prefix)) return { provider, model }
  return { provider: prefix, model: model.slice(slash + 1) }
}
