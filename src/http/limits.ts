// Limits: GET /llm/limits, the live levels of the limits that apply to the viewer. Changes no level.

import { z } from 'zod'
import { shown } from '../config/findings.ts'
import type { Settings } from '../config/settings.ts'
import type { Clock } from '../core/clock.ts'
import {
  type LimitPlan,
  type LimitSubjects,
  NO_SUBJECT,
  NO_SUBJECTS,
  SCOPED_BY,
  SIMULATED_REALM,
  WHO,
  ZERO_AMOUNTS,
} from '../core/limits.ts'
import type { LevelView, Who } from '../core/meter.ts'
import { modelNameOf } from '../core/model-name.ts'
import { didYouMean } from '../core/nearest-name.ts'
import { Problem } from '../core/problem.ts'
import type { Callers } from '../keys/callers.ts'
import type { KeyRecord } from '../keys/key-record.ts'
import type { Provider } from '../providers/provider.ts'
import { countSchema } from '../runs/run-answer.ts'
import type { Store } from '../stores/store.ts'
import type { ShadowCounter } from '../telemetry/shadow-counter.ts'
import { endpointsFor } from './endpoint.ts'
import { showsSimulated } from './stats.ts'
import { levelJson, levelSchema } from './views.ts'

export interface LimitParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly providers: readonly Provider[]
  readonly callers: Pick<Callers, 'findKey' | 'needKeys'>
  readonly plan: () => LimitPlan
  readonly shadows: Pick<ShadowCounter, 'count'>
  /** The target that a call with this model would go to first. */
  readonly locate: (model: string) => { readonly provider: string; readonly model: string }
}

const endpoint = endpointsFor<LimitParts>()

const name = z.string().min(1).optional()
/** The subjects whose limits are shown in addition to the global ones. `key` is ignored for a viewer with a key of its own. */
const subjectsSchema = z.strictObject({
  key: name,
  user: name,
  thread: name,
  agent: name,
  task: name,
  provider: name,
  /** As a call names it: with or without its provider in front, or an alias. */
  model: name,
})

export const limitSchema = z.strictObject({
  ...levelSchema.shape,
  /** True: the limit decides and counts, and refuses nothing. */
  shadow: z.boolean(),
  /** Calls since the start that did not fit and passed, because the limit is not enforced. */
  would_have_refused: countSchema,
  /** What sets the limit: a setting, or a place in bursar.json, at /admin/limits or in the key. */
  source: z.string().nullable(),
})

export const LIMITS = endpoint({
  method: 'GET',
  path: '/llm/limits',
  role: 'figures',
  summary: 'The live level of every limit on everyone, on the key, and on the subjects in the query.',
  query: subjectsSchema,
  answer: z.strictObject({
    enforcement: z.enum(['hard', 'soft']),
    time_zone: z.string(),
    limits: z.array(limitSchema),
  }),
}).handle(async (parts, { sender, query }) => {
  const { settings, clock, store } = parts
  const plan = parts.plan()
  // The admin key can come as `?key=`, as SDKs of Google's send theirs. Then it names nobody.
  const key = sender.key ?? (query.key === settings.ADMIN_KEY ? undefined : query.key)
  const record = sender.role === 'key' ? sender.record : await findKey(key, parts)
  const subjects: ShownSubjects = { ...query, key, ...subjectsOfKey(record, query.user) }
  if (sender.role === 'key') checkPermitted(sender.record, subjects, parts.locate)
  await checkSubjects(subjects, sender.role === 'key' ? 'sender' : record, parts)
  const now = clock.now()
  const realm = (await showsSimulated(parts)) ? SIMULATED_REALM : ''
  const charges = plan
    .chargesFor(subjectsOf(subjects, record, parts.locate), ZERO_AMOUNTS, now.wallMs, realm, false)
    .filter(({ meter: { who } }) => who === 'global' || subjects[who] !== undefined)
  const levels = await store.levels(charges, now)
  const limits = levels.map((level) => limitJson(level, parts, realm !== ''))
  return { answer: { enforcement: settings.ENFORCEMENT, time_zone: plan.timeZone, limits } }
})

export function limitJson(
  level: LevelView,
  { settings, shadows }: Pick<LimitParts, 'settings' | 'shadows'>,
  simulated: boolean,
): z.output<typeof limitSchema> {
  return {
    ...levelJson({ ...level, enforced: level.enforced && settings.ENFORCEMENT !== 'soft' }),
    shadow: !level.enforced,
    would_have_refused: shadows.count(level.meter, simulated),
    source: level.meter.source ?? null,
  }
}

/** Subjects by their kind. Undefined: the request does not name that kind. */
type ShownSubjects = { readonly [Kind in Who]?: string | undefined }

async function findKey(key: string | undefined, { callers }: LimitParts): Promise<KeyRecord | undefined> {
  return key === undefined ? undefined : callers.findKey(key)
}

/** Organisation, project and person are those of the key, whatever the request names. */
function subjectsOfKey(record: KeyRecord | undefined, user: string | undefined): ShownSubjects {
  return {
    organisation: record?.organisation ?? undefined,
    project: record?.project ?? undefined,
    user: record?.user ?? user,
  }
}

/** Throws Problem `forbidden` for a provider or a model that the key may not use. */
function checkPermitted(
  { permitted }: KeyRecord,
  { provider, model }: ShownSubjects,
  locate: LimitParts['locate'],
): void {
  if (!permitted || (provider === undefined && model === undefined)) return
  const target = targetOf(provider, model, locate)
  const isPermitted =
    model === undefined
      ? permitted.permitsProvider(target.provider)
      : permitted.permits(target.provider, target.model, model)
  if (isPermitted) return
  const message = `This API key may not use ${shown(model ?? target.provider)}. It may use ${permitted.text}.`
  throw new Problem('forbidden', message, model === undefined ? 'provider' : 'model')
}

/**
 * Rejects with Problem for subjects that no call can have: their levels would be those of a limit that nothing uses.
 * @param named the key that a parameter names, if there is such a key; `sender` if it is the sender's own
 */
async function checkSubjects(
  subjects: ShownSubjects,
  named: KeyRecord | 'sender' | undefined,
  { settings, providers, callers }: LimitParts,
): Promise<void> {
  const { key, provider } = subjects
  const namesKey = named !== 'sender'
  const keys = callers.needKeys ? settings.BURSAR_KEYS.map(({ id }) => id) : [NO_SUBJECT]
  if (key !== undefined && named === undefined) checkName('key', key, keys)
  if (provider !== undefined)
    checkName(
      'provider',
      provider,
      providers.map(({ name }) => name),
    )
  for (const who of WHO) {
    const subject = subjects[who]
    if (SCOPED_BY[who] !== 'key' || subject === undefined || (namesKey && key !== undefined)) continue
    const slash = subject.indexOf('/')
    const owner = subject.slice(0, Math.max(slash, 0))
    const isOwner = namesKey ? keys.includes(owner) || (await callers.findKey(owner)) : owner === key
    if (isOwner) throw writtenAsInFile(who, owner, subject.slice(slash + 1), namesKey)
    if (key === undefined && !keys.includes(NO_SUBJECT))
      throw new Problem('invalid_request', `The key is missing that the ${who} belongs to: ?key=…&${who}=….`, 'key')
  }
}

function checkName(kind: Who, subject: string, names: readonly string[]): void {
  if (!names.includes(subject))
    throw new Problem('invalid_request', `No ${kind} has this name.${didYouMean(subject, names)}`, kind)
}

/** `alice/7` is how bursar.json writes user `7` of key `alice`. Here it would be a user of that whole name. */
function writtenAsInFile(who: Who, owner: string, subject: string, namesKey: boolean): Problem {
  const key = namesKey && owner !== NO_SUBJECT ? `key=${owner}&` : ''
  const message = `Key and ${who} are two parameters here: ?${key}${who}=${encodeURIComponent(subject)}.`
  return new Problem('invalid_request', message, who)
}

function subjectsOf(
  { key, user, thread, agent, task, provider, model }: ShownSubjects,
  record: KeyRecord | undefined,
  locate: LimitParts['locate'],
): LimitSubjects {
  const target = targetOf(provider, model, locate)
  return {
    caller: {
      ...NO_SUBJECTS.caller,
      key: key ?? null,
      organisation: record?.organisation ?? null,
      project: record?.project ?? null,
      isPerson: record !== undefined && record.user !== null,
      user: user ?? null,
      thread: thread ?? null,
      agent: agent ?? null,
      task: task ?? null,
    },
    provider: target.provider,
    ...modelNameOf(target.provider, target.model),
    keyLimits: record?.limits,
  }
}

/** A provider of its own has precedence, and the model may have the same one in front. */
function targetOf(provider: string | undefined, model: string | undefined, locate: LimitParts['locate']) {
  if (model === undefined) return { provider: provider ?? '', model: '' }
  if (provider === undefined) return locate(model)
  return { provider, model: model.startsWith(`${provider}/`) ? model.slice(provider.length + 1) : model }
}
