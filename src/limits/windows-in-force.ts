// Windows in force: which calendar windows calls are charged with now, by the limits of the plan and of the records of keys. It reads no
// level.

import type { Limit, LimitPlan } from '../core/limits.ts'
import type { What } from '../core/meter.ts'
import { type WindowZone, windowZone } from '../core/metered-limit.ts'
import { modelNameOf } from '../core/model-name.ts'
import type { Registry } from '../stores/registry.ts'
import { readKeyLimits } from './key-documents.ts'

/** Records of keys that are read at a time. */
const KEYS_PER_PAGE = 256

/** The windows of one dimension and span that turn at the same time. */
export interface WindowGroup extends Pick<Limit, 'who' | 'span'> {
  readonly what: Exclude<What, 'inFlight'>
  readonly zone: WindowZone
  /** The subjects that a limit names. */
  readonly named: Iterable<string>
  /** The limit by which calls of a subject are charged with a window of the group; undefined if they are not. */
  limitOn(subject: string): Limit | undefined
}

/**
 * All windows that calls are charged with, but those of runs. Rejects with StoreUnavailable.
 * @param countsCost see `LimitsInForce`
 */
export async function windowsInForce(
  plan: LimitPlan,
  registry: Pick<Registry, 'page'>,
  countsCost: boolean,
): Promise<readonly WindowGroup[]> {
  const groups = new Map<string, MutableGroup>()
  const groupOf = ({ who, what, span }: Limit, zone: WindowZone): MutableGroup => {
    // A window without end is the same in every zone.
    const name = `${who}/${what}/${span}/${span === 'total' ? '' : zone.mark}`
    let group = groups.get(name)
    if (!group) groups.set(name, (group = new MutableGroup({ who, what, span }, zone)))
    return group
  }
  const planZone = windowZone(undefined, plan.timeZone)
  for (const limit of plan.limits) groupOf(limit, planZone).add(limit)
  for (let afterId: string | undefined; ; ) {
    const page = await registry.page('key', { limit: KEYS_PER_PAGE, ...(afterId === undefined ? {} : { afterId }) })
    for (const { id, value } of page) {
      const { limits, timeZone } = readKeyLimits(id, value, countsCost)
      for (const limit of limits) {
        groupOf(limit, planZone).exclude(id)
        groupOf(limit, windowZone(timeZone, plan.timeZone)).add({ ...limit, subject: id })
      }
    }
    if (page.length < KEYS_PER_PAGE) break
    afterId = page.at(-1)?.id
  }
  return [...groups.values()].filter((group): group is MutableGroup & WindowGroup => group.hasWindows)
}

class MutableGroup {
  readonly who: Limit['who']
  readonly what: What
  readonly span: Limit['span']
  readonly zone: WindowZone
  /** The limit on each subject that has none of its own. */
  #shared: Limit | undefined
  /** The limits of single subjects. Undefined: another limit stands in place of the group's. */
  readonly #own = new Map<string, Limit | undefined>()

  constructor({ who, what, span }: Pick<Limit, 'who' | 'what' | 'span'>, zone: WindowZone) {
    this.who = who
    this.what = what
    this.span = span
    this.zone = zone
  }

  add(limit: Limit): void {
    if (limit.subject === undefined) this.#shared = limit
    else this.#own.set(limit.subject, limit)
  }

  /** The subject is charged by a limit of another group. */
  exclude(subject: string): void {
    this.#own.set(subject, undefined)
  }

  get hasWindows(): boolean {
    if (this.what === 'inFlight') return false
    if (this.#shared?.refill === 'window') return true
    for (const limit of this.#own.values()) if (limit?.refill === 'window') return true
    return false
  }

  get named(): Iterable<string> {
    return this.#own.keys()
  }

  limitOn(subject: string): Limit | undefined {
    const own = this.#own.has(subject)
    const limit = own ? this.#own.get(subject) : this.who === 'model' && !isFamily(subject) ? undefined : this.#shared
    return limit?.refill === 'window' ? limit : undefined
  }
}

/** A limit on each model is one on all dated names of the model together. */
function isFamily(subject: string): boolean {
  const slash = subject.indexOf('/')
  const model = subject.slice(slash + 1)
  return modelNameOf(subject.slice(0, slash), model).family === model
}
